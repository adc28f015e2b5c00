/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Putting mounts back that unmount.c took away, on contents that may be others by now. */
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "fsdev.h"
#include "mountopts.h"
#include "shost.h"
#include "sys.h"

#define ASIDE SM_RUN_DIR "/mount." /* and something random: a folder to mount on for a moment */

/* ---- the filesystem ---- */

/* The source by its old name, where that still means the same device. */
static int source_of(const struct shost_mounts *mounts, const struct shost_mountinfo *m, char *ret,
		     size_t size, struct snapmgr_err *err)
{
	dev_t devno = shost_rdev(m->source);

	if (devno == mounts->devno || (devno && strcmp(m->fstype, "btrfs") == 0))
		if (sm_copy_text(ret, size, m->source) == 0)
			return 0;
	return shost_device_path(mounts->devno, ret, size, err);
}

static int try_mount(const char *source, const char *target, const struct shost_mountinfo *m,
		     unsigned int how)
{
	unsigned long flags = shost_flags_of_super(m->super);
	AUTO(free) char *data = shost_data_of_super(m->super, how);

	if (!data)
		return -ENOMEM;
	flags |= shost_flags_of_mount(m->flags) & ~(unsigned long)MS_RDONLY;
	return SM_STEP("fs.mount", mount(source, target, m->fstype, flags, data)) < 0 ? -errno : 0;
}

static int fail_mount(const char *source, const struct shost_mountinfo *m, int r,
		      struct snapmgr_err *err)
{
	char now[64] = "", text[96] = "";

	if (r == -EINVAL && shost_probe(source, now, sizeof(now), NULL) == 0 &&
	    strcmp(now, m->fstype) != 0)
		(void)snprintf(text, sizeof(text), " (there is %s on it now)",
			       *now ? now : "no known filesystem");
	return sm_fail(err, SNAPMGR_KERNEL, r, "cannot mount '%s' on '%s' again as %s%s", source,
		       m->target, m->fstype, text);
}

/* The kernel may not take back all that it shows; then fewer options, and a warning. */
static int mount_super(struct shost_mounts *mounts, const struct shost_mountinfo *m,
		       const char *target, struct snapmgr_err *err)
{
	static const unsigned int ways[] = { 0, SHOST_DATA_NO_SUBVOLID, SHOST_DATA_ESSENTIAL,
					     SHOST_DATA_ESSENTIAL | SHOST_DATA_NO_SUBVOLID };
	char source[256];
	int r, first = 0;

	r = source_of(mounts, m, source, sizeof(source), err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < SM_ARRAY(ways); i++) {
		r = try_mount(source, target, m, ways[i]);
		if (r == 0 && ways[i] & SHOST_DATA_ESSENTIAL)
			(void)snprintf(mounts->warning, sizeof(mounts->warning),
				       "'%s' was mounted again without all of its options (%s)",
				       m->target, m->super);
		if (r != -EINVAL)
			break;
		first = first ? first : r;
	}
	return r < 0 ? fail_mount(source, m, first ? first : r, err) : 0;
}

/* ---- where it shows ---- */

static void drop(const char *whole)
{
	const int anyway = UMOUNT_NOFOLLOW | MNT_DETACH; /* somebody looks into it */

	if (SM_STEP("fs.aside", umount2(whole, UMOUNT_NOFOLLOW)) < 0)
		(void)SM_STEP("fs.aside", umount2(whole, anyway));
	(void)SM_STEP("fs.aside", rmdir(whole));
}

/* All of the filesystem is mounted aside for a moment, and what is wanted of it bound from there. */
static int mount_by_bind(struct shost_mounts *mounts, const struct shost_mountinfo *m,
			 struct snapmgr_err *err)
{
	char whole[] = ASIDE "XXXXXX", path[4096];
	int r;

	r = sm_mkdir_p(SM_RUN_DIR, 0755, err);
	if (r < 0)
		return r;
	if (!SM_STEP("fs.aside", mkdtemp(whole)))
		return shost_fail(err, errno, "cannot make a folder in '%s'", SM_RUN_DIR);
	r = mount_super(mounts, m, whole, err);
	if (r == 0) {
		(void)snprintf(path, sizeof(path), "%s%s", whole, shost_subtree(m));
		if (SM_STEP("fs.bind", mount(path, m->target, NULL, MS_BIND, NULL)) < 0)
			r = sm_fail(err, SNAPMGR_KERNEL, errno,
				    "cannot mount folder '%s' on '%s' again", shost_subtree(m),
				    m->target);
	}
	drop(whole);
	return r;
}

static int set_flags(const struct shost_mountinfo *m, struct snapmgr_err *err)
{
	unsigned long flags = shost_flags_of_mount(m->flags);

	if (SM_STEP("fs.flags", mount(NULL, m->target, NULL, MS_REMOUNT | MS_BIND | flags, NULL)) <
	    0)
		return sm_fail(err, SNAPMGR_KERNEL, errno, "cannot mount '%s' with '%s' again",
			       m->target, m->flags);
	return 0;
}

/* A new mount takes after the one that it is mounted on. */
static void set_propagation(const struct shost_mountinfo *m)
{
	if (m->slave)
		(void)SM_STEP("fs.flags", mount(NULL, m->target, NULL, MS_SLAVE, NULL));
	else if (!m->shared)
		(void)SM_STEP("fs.flags", mount(NULL, m->target, NULL,
						m->unbindable ? MS_UNBINDABLE : MS_PRIVATE, NULL));
	if (m->shared)
		(void)SM_STEP("fs.flags", mount(NULL, m->target, NULL, MS_SHARED, NULL));
}

static bool same_place(const struct shost_mountinfo *a, const struct shost_mountinfo *b)
{
	return strcmp(a->target, b->target) == 0 && strcmp(a->root, b->root) == 0 &&
	       strcmp(a->fstype, b->fstype) == 0;
}

/* Brought back with another one: what is mounted in a shared mount is mounted in its peers too. */
static bool came_back(const struct shost_mounts *mounts, size_t index)
{
	AUTO(shost_mounttab_release) struct shost_mounttab tab = { 0 };
	const struct shost_mountinfo *m = &mounts->v[index].info;
	size_t have = 0, want = 1;

	if (shost_mounttab_load(0, &tab) < 0)
		return false;
	for (size_t i = 0; i < tab.n; i++)
		have += same_place(&tab.v[i], m);
	for (size_t i = 0; i < index; i++)
		want += same_place(&mounts->v[i].info, m);
	return have >= want;
}

/* The kernel mounts no filesystem right on top of itself, but it binds it there. */
static bool lies_on_itself(const struct shost_mounts *mounts, const struct shost_mountinfo *m)
{
	for (size_t i = 0; i < mounts->n; i++) {
		const struct shost_mountinfo *below = &mounts->v[i].info;

		if (below->id == m->parent && strcmp(below->target, m->target) == 0)
			return true;
	}
	return false;
}

static int remount_one(struct shost_mounts *mounts, size_t index, struct snapmgr_err *err)
{
	const struct shost_mountinfo *m = &mounts->v[index].info;
	bool bind = strcmp(shost_subtree(m), "/") != 0 || lies_on_itself(mounts, m);
	int r = 0;

	if (!came_back(mounts, index))
		r = bind ? mount_by_bind(mounts, m, err) : mount_super(mounts, m, m->target, err);
	if (r < 0)
		return r;
	mounts->v[index].mounted = true;
	r = set_flags(m, err);
	set_propagation(m);
	return r;
}

int shost_remount(struct shost_mounts *mounts, struct snapmgr_err *err)
{
	int first = 0;

	mounts->warning[0] = '\0';
	for (size_t i = 0; i < mounts->n; i++) {
		int r;

		if (mounts->v[i].mounted)
			continue;
		r = remount_one(mounts, i, first ? NULL : err);
		first = first ? first : r;
	}
	return first;
}

void shost_remount_sweep(dev_t devno)
{
	AUTO(shost_mounttab_release) struct shost_mounttab tab = { 0 };
	struct shost_fsdev dev;

	if (shost_fsdev_look(devno, &dev) < 0 || shost_mounttab_load(0, &tab) < 0)
		return;
	for (size_t i = 0; i < tab.n; i++)
		if (strncmp(tab.v[i].target, ASIDE, strlen(ASIDE)) == 0 &&
		    shost_fsdev_use(&dev, &tab.v[i], 0) == SHOST_USE_DATA)
			drop(tab.v[i].target);
}

void shost_mounts_free(struct shost_mounts *mounts)
{
	free(mounts->v);
	free(mounts->text);
	*mounts = (struct shost_mounts){ 0 };
}
