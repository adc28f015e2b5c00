/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the options that mountinfo shows to those that mount(2) takes. */
#include <string.h>
#include <sys/mount.h>

#include "mountopts.h"
#include "sys.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

struct flag {
	const char *name;
	unsigned long flag;
};

static const struct flag mount_flags[] = {
	{ "ro", MS_RDONLY },	     { "nosuid", MS_NOSUID },
	{ "nodev", MS_NODEV },	     { "noexec", MS_NOEXEC },
	{ "noatime", MS_NOATIME },   { "nodiratime", MS_NODIRATIME },
	{ "relatime", MS_RELATIME }, { "nosymfollow", MS_NOSYMFOLLOW },
};

static const struct flag super_flags[] = {
	{ "ro", MS_RDONLY },	 { "sync", MS_SYNCHRONOUS },  { "dirsync", MS_DIRSYNC },
	{ "mand", MS_MANDLOCK }, { "lazytime", MS_LAZYTIME },
};

/* Shown by the kernel, but not the filesystem's: "seclabel" says only that labels are in use. */
static const char *const dropped[] = {
	"rw", "ro", "sync", "dirsync", "mand", "lazytime", "seclabel"
};

static const char *const essential[] = { "subvol",    "subvolid",    "norecovery",    "noload",
					 "nouuid",    "logdev",	     "rtdev",	      "degraded",
					 "rescue",    "nologreplay", "usebackuproot", "context",
					 "fscontext", "defcontext",  "rootcontext" };

static bool is_option(const char *p, size_t len, const char *name)
{
	size_t n = strlen(name);

	return len >= n && strncmp(p, name, n) == 0 && (len == n || p[n] == '=');
}

static bool is_any(const char *p, size_t len, const char *const names[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_option(p, len, names[i]))
			return true;
	return false;
}

/* A security label is quoted, and may hold commas. */
static size_t option_len(const char *p)
{
	size_t len = strcspn(p, ",=");
	const char *end;

	if (p[len] == '=' && p[len + 1] == '"') {
		end = strchr(p + len + 2, '"');
		if (end)
			len = (size_t)(end - p);
	}
	return len + strcspn(p + len, ",");
}

static const char *next_option(const char *p)
{
	p += option_len(p);
	return *p ? p + 1 : p;
}

bool shost_has_option(const char *options, const char *name)
{
	for (const char *p = options; *p; p = next_option(p))
		if (is_option(p, option_len(p), name))
			return true;
	return false;
}

static unsigned long collect(const char *options, const struct flag *flags, size_t n)
{
	unsigned long all = 0;

	for (size_t i = 0; i < n; i++)
		if (shost_has_option(options, flags[i].name))
			all |= flags[i].flag;
	return all;
}

unsigned long shost_flags_of_mount(const char *flags)
{
	unsigned long all = collect(flags, mount_flags, SM_ARRAY(mount_flags));

	return all & (MS_NOATIME | MS_RELATIME) ? all : all | MS_STRICTATIME;
}

unsigned long shost_flags_of_super(const char *super)
{
	return collect(super, super_flags, SM_ARRAY(super_flags));
}

char *shost_data_of_super(const char *super, unsigned int how)
{
	char *data = malloc(strlen(super) + 1), *to = data;

	for (const char *p = super; data && *p; p = next_option(p)) {
		size_t len = option_len(p);

		if (is_any(p, len, dropped, SM_ARRAY(dropped)) ||
		    (how & SHOST_DATA_NO_SUBVOLID && is_option(p, len, "subvolid")) ||
		    (how & SHOST_DATA_ESSENTIAL && !is_any(p, len, essential, SM_ARRAY(essential))))
			continue;
		if (to != data)
			*to++ = ',';
		memcpy(to, p, len);
		to += len;
	}
	if (data)
		*to = '\0';
	return data;
}

const char *shost_subtree(const struct shost_mountinfo *m)
{
	const char *subvol = strstr(m->super, "subvol=");
	const char *root = m->root;
	size_t len;

	if (strcmp(m->fstype, "btrfs") == 0 && subvol) {
		subvol += strlen("subvol=");
		len = strcspn(subvol, ",");
		if (len > 1 && strncmp(root, subvol, len) == 0 && (root[len] == '/' || !root[len]))
			root += len;
	}
	return *root ? root : "/";
}
