/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The handle, and what every call does with its options. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "snapmgr/core/core.h"

#define WAIT_MS 30000

int snapmgr_open(const struct snapmgr_open_opts *opts, struct snapmgr **ret,
		 struct snapmgr_err *err)
{
	struct snapmgr *sm = calloc(1, sizeof(*sm));

	if (!sm)
		return sm_nomem(err);
	sm->parked_lock = SLOCK_NONE;
	sm->owner = getpid();
	if (opts) {
		SM_OPTS(struct snapmgr_open_opts, o, opts);
		sm->opts = o;
	} else {
		sm->opts.wait_ms = WAIT_MS;
	}
	if (sm->opts.recover_program) {
		(void)sm_copy_text(sm->recover_program, sizeof(sm->recover_program),
				   sm->opts.recover_program);
		sm->opts.recover_program = sm->recover_program;
	}
	if (sm->opts.backup_dir) {
		(void)sm_copy_text(sm->backup_dir, sizeof(sm->backup_dir), sm->opts.backup_dir);
		sm->opts.backup_dir = sm->backup_dir;
	}
	if (sm->opts.pools_dir) {
		(void)sm_copy_text(sm->pools_dir, sizeof(sm->pools_dir), sm->opts.pools_dir);
		sm->opts.pools_dir = sm->pools_dir;
	}
	*ret = sm;
	return 0;
}

void snapmgr_free(struct snapmgr *sm)
{
	/* A forked child may free what it inherited, but all in it is its parent's. */
	if (sm && sm->owner == getpid()) {
		scat_close(sm->parked);
		slock_drop(&sm->parked_lock);
		sdm_release();
	}
	free(sm);
}

void sm_warn(const struct snapmgr *sm, const char *fmt, ...)
{
	char text[SNAPMGR_MESSAGE_MAX];
	va_list ap;

	if (!sm->opts.warn)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sm->opts.warn(text, sm->opts.data);
}

int sm_params_check(const char *const *params, size_t n, struct snapmgr_err *err)
{
	if (!n)
		return 0;
	return sm_fail(err, SNAPMGR_USAGE, EINVAL, "unknown parameter '%.60s': the driver has none",
		       params[0]);
}
