/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Errors: their names, the exit statuses they mean, and how they are filled. */
#include <errno.h>
#include <string.h>

#include "base.h"

static const struct {
	const char *name;
	int exit_status;
} codes[SNAPMGR_CODES] = {
	[SNAPMGR_OK] = { "ok", 0 },
	[SNAPMGR_IO] = { "io", 1 },
	[SNAPMGR_KERNEL] = { "kernel", 1 },
	[SNAPMGR_DAMAGED] = { "damaged", 1 },
	[SNAPMGR_NEWER_VERSION] = { "newer_version", 1 },
	[SNAPMGR_PERMISSION] = { "permission", 1 },
	[SNAPMGR_INTERNAL] = { "internal", 1 },
	[SNAPMGR_USAGE] = { "usage", 2 },
	[SNAPMGR_NOT_FOUND] = { "not_found", 3 },
	[SNAPMGR_EXISTS] = { "exists", 4 },
	[SNAPMGR_IN_USE] = { "in_use", 4 },
	[SNAPMGR_BAD_STATE] = { "bad_state", 4 },
	[SNAPMGR_NOT_LATEST] = { "not_latest", 4 },
	[SNAPMGR_STALE] = { "stale", 4 },
	[SNAPMGR_LOCKED] = { "locked", 4 },
	[SNAPMGR_HELD] = { "held", 4 },
	[SNAPMGR_HAS_SNAPSHOTS] = { "has_snapshots", 4 },
	[SNAPMGR_FOREIGN_DEVICE] = { "foreign_device", 4 },
	[SNAPMGR_NO_SPACE] = { "no_space", 5 },
	[SNAPMGR_OVER_QUOTA] = { "over_quota", 5 },
	[SNAPMGR_UNSUPPORTED] = { "unsupported", 6 },
};

const char *snapmgr_code_name(enum snapmgr_code code)
{
	return (unsigned int)code < SNAPMGR_CODES ? codes[code].name : "internal";
}

int snapmgr_code_exit(enum snapmgr_code code)
{
	return (unsigned int)code < SNAPMGR_CODES ? codes[code].exit_status : 1;
}

/* These codes say little by themselves: the system's own words are part of the cause. */
static bool wants_strerror(enum snapmgr_code code)
{
	return code == SNAPMGR_IO || code == SNAPMGR_KERNEL || code == SNAPMGR_PERMISSION;
}

int sm_fail(struct snapmgr_err *err, enum snapmgr_code code, int errnum, const char *fmt, ...)
{
	char text[64];
	size_t len;
	va_list ap;

	errnum = errnum < 0 ? -errnum : errnum;
	if (!errnum)
		errnum = EIO;
	if (!err)
		return -errnum;
	err->code = code;
	err->errnum = errnum;
	va_start(ap, fmt);
	(void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	len = strlen(err->message);
	if (wants_strerror(code))
		(void)snprintf(err->message + len, sizeof(err->message) - len, ": %s",
			       strerror_r(errnum, text, sizeof(text)));
	return -errnum;
}

int sm_nomem(struct snapmgr_err *err)
{
	return sm_fail(err, SNAPMGR_INTERNAL, ENOMEM, "out of memory");
}
