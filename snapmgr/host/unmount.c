/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Taking a device's mounts away, so that they can be put back. */
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "fsdev.h"
#include "loops.h"
#include "mountopts.h"
#include "openers.h"
#include "shost.h"

#define BUSY_STEP_MS 50
#define BUSY_STEPS   20
#define USERS_NAMED  5

/* ---- which mounts ---- */

static const struct shost_mountinfo *by_id(const struct shost_mounttab *tab, int id)
{
	for (size_t i = 0; i < tab->n; i++)
		if (tab->v[i].id == id)
			return &tab->v[i];
	return NULL;
}

static bool carries(const struct shost_mounttab *tab, const struct shost_mountinfo *below,
		    const struct shost_mountinfo *m)
{
	for (size_t steps = 0; m && steps < tab->n; steps++) {
		if (m->parent == below->id)
			return true;
		m = by_id(tab, m->parent);
	}
	return false;
}

/* In the kernel's order; but one that was moved may stand behind what is mounted on it. */
static int insert(const struct shost_mounttab *tab, struct shost_mounts *mounts,
		  const struct shost_mountinfo *m)
{
	struct shost_mount *more = realloc(mounts->v, (mounts->n + 1) * sizeof(*more));
	size_t at = 0;

	if (!more)
		return -ENOMEM;
	mounts->v = more;
	while (at < mounts->n && !carries(tab, m, &more[at].info))
		at++;
	for (size_t i = mounts->n++; i > at; i--)
		more[i] = more[i - 1];
	more[at] = (struct shost_mount){ .info = *m, .mounted = true };
	return 0;
}

static int collect(const struct shost_fsdev *dev, const struct shost_mounttab *tab,
		   struct shost_mounts *mounts)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < tab->n; i++)
		if (shost_fsdev_use(dev, &tab->v[i], 0) == SHOST_USE_DATA)
			r = insert(tab, mounts, &tab->v[i]);
	return r;
}

/* ---- which of them cannot be taken away and brought back ---- */

static bool is_ours(const struct shost_mounts *mounts, int id)
{
	for (size_t i = 0; i < mounts->n; i++)
		if (mounts->v[i].info.id == id)
			return true;
	return false;
}

static int check_below(const struct shost_mounttab *tab, const struct shost_mounts *mounts,
		       struct snapmgr_err *err)
{
	for (size_t i = 0; i < tab->n; i++) {
		const struct shost_mountinfo *child = &tab->v[i];
		const struct shost_mountinfo *m = by_id(tab, child->parent);

		if (m && is_ours(mounts, m->id) && !is_ours(mounts, child->id))
			return sm_fail(err, SNAPMGR_IN_USE, EBUSY,
				       "cannot unmount '%s': '%s' (%s) is mounted on '%s'",
				       m->target, child->source, child->fstype, child->target);
	}
	return 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len >= n && strcmp(text + len - n, end) == 0;
}

static int check_one(const struct shost_mountinfo *m, struct snapmgr_err *err)
{
	const char *why = NULL;

	if (strncmp(m->fstype, "fuse", 4) == 0)
		why = "its filesystem is a process";
	else if (shost_has_option(m->flags, "idmapped"))
		why = "its user ids are mapped";
	else if (ends_with(m->root, "//deleted"))
		why = "it shows a deleted folder";
	if (why)
		return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			       "'%s' could not be mounted again: %s; unmount it first", m->target,
			       why);
	if (strcmp(m->target, "/") == 0)
		return sm_fail(err, SNAPMGR_IN_USE, EBUSY,
			       "cannot unmount '/', the root filesystem");
	return 0;
}

static int check_all(const struct shost_mounttab *tab, const struct shost_mounts *mounts,
		     struct snapmgr_err *err)
{
	int r = check_below(tab, mounts, err);

	for (size_t i = 0; r == 0 && i < mounts->n; i++)
		r = check_one(&mounts->v[i].info, err);
	return r;
}

/* ---- who keeps one busy ---- */

struct users {
	char text[512];
	unsigned int n;
};

static void name_user(struct users *users, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void name_user(struct users *users, const char *fmt, ...)
{
	size_t len = strlen(users->text);
	va_list ap;

	if (users->n++ >= USERS_NAMED)
		return;
	(void)snprintf(users->text + len, sizeof(users->text) - len, "%s", len ? ", " : "");
	len = strlen(users->text);
	va_start(ap, fmt);
	(void)vsnprintf(users->text + len, sizeof(users->text) - len, fmt, ap);
	va_end(ap);
}

static int on_user(int32_t pid, const char *name, void *data)
{
	name_user(data, "process %d (%s)", pid, name);
	return 0;
}

static void name_loops(struct users *users, const char *folder)
{
	AUTO(shost_loops_release) struct shost_loops loops = { 0 };

	if (shost_loops_load(&loops) < 0)
		return;
	for (size_t i = 0; i < loops.n; i++)
		if (!loops.v[i].behind_node && shost_path_below(loops.v[i].path, folder))
			name_user(users, "'/dev/%s' (%s)", loops.v[i].kname, loops.v[i].path);
}

static void name_swaps(struct users *users, const char *folder)
{
	AUTO(free) char *text = NULL;
	struct shost_swap swap;
	char *rest, *line;

	if (shost_read_file("/proc/swaps", &text) < 0)
		return;
	rest = text;
	while ((line = strsep(&rest, "\n")))
		if (shost_swap_line(line, &swap) == 0 && shost_path_below(swap.path, folder))
			name_user(users, "swap file '%s'", swap.path);
}

static int fail_busy(const char *target, struct snapmgr_err *err)
{
	struct users users = { 0 };

	(void)shost_path_users(target, on_user, &users);
	name_loops(&users, target);
	name_swaps(&users, target);
	if (!users.n)
		name_user(&users, "the kernel, or a process in another mount namespace");
	if (users.n > USERS_NAMED)
		return sm_fail(err, SNAPMGR_IN_USE, EBUSY,
			       "cannot unmount '%s': in use by %s and %u more", target, users.text,
			       users.n - USERS_NAMED);
	return sm_fail(err, SNAPMGR_IN_USE, EBUSY, "cannot unmount '%s': in use by %s", target,
		       users.text);
}

/* ---- taking away ---- */

/* Gone by itself: what is unmounted in a shared mount goes from its peers too. */
static bool is_gone(int id)
{
	AUTO(shost_mounttab_release) struct shost_mounttab tab = { 0 };

	return shost_mounttab_load(0, &tab) == 0 && !by_id(&tab, id);
}

/* umount2() goes by name: make sure that the name still means this mount. */
static int check_visible(const struct shost_mountinfo *m, struct snapmgr_err *err)
{
	AUTO(sm_close_fd) int fd = shost_mount_open(m, 0);

	if (fd == -ESTALE || fd == -ENOENT || fd == -ENOTDIR)
		return sm_fail(err, SNAPMGR_IN_USE, EBUSY,
			       "cannot unmount '%s': another mount hides it", m->target);
	return fd < 0 ? shost_fail(err, fd, "cannot unmount '%s'", m->target) : 0;
}

static int unmount_one(const struct shost_mountinfo *m, struct snapmgr_err *err)
{
	static const struct timespec step = { .tv_nsec = BUSY_STEP_MS * 1000000L };
	int r = check_visible(m, err);

	if (r < 0)
		return is_gone(m->id) ? 0 : r;
	for (int i = 0; i < BUSY_STEPS; i++) {
		if (SM_STEP("fs.unmount", umount2(m->target, UMOUNT_NOFOLLOW)) == 0)
			return 0;
		if (errno != EBUSY)
			return shost_fail(err, errno, "cannot unmount '%s'", m->target);
		(void)nanosleep(&step, NULL);
	}
	return fail_busy(m->target, err);
}

static int unmount_all(struct shost_mounts *mounts, struct snapmgr_err *err)
{
	int r = 0;

	for (size_t i = mounts->n; r == 0 && i-- > 0;) {
		r = unmount_one(&mounts->v[i].info, err);
		if (r == 0)
			mounts->v[i].mounted = false;
	}
	return r;
}

/* Says so where a mount that was taken away cannot be put back as it was: that is worse news. */
static void put_back(struct shost_mounts *mounts, struct snapmgr_err *err)
{
	struct snapmgr_err again = { 0 };
	const char *news = again.message;
	size_t len;

	if (shost_remount(mounts, &again) == 0)
		news = mounts->warning;
	if (!*news || !err)
		return;
	len = strlen(err->message);
	(void)snprintf(err->message + len, sizeof(err->message) - len, "; and then: %s", news);
}

int shost_unmount(dev_t devno, struct shost_mounts *ret, struct snapmgr_err *err)
{
	AUTO(shost_mounttab_release) struct shost_mounttab tab = { 0 };
	struct shost_mounts mounts = { .devno = devno, .before = ret->before, .data = ret->data };
	struct shost_fsdev dev;
	int r;

	r = shost_fsdev_look(devno, &dev);
	if (r == 0)
		r = shost_mounttab_load(0, &tab);
	if (r == 0)
		r = collect(&dev, &tab, &mounts);
	if (r < 0) {
		r = shost_fail(err, r, "cannot tell where block device %u:%u is mounted",
			       major(devno), minor(devno));
		goto out;
	}
	r = check_all(&tab, &mounts, err);
	if (r == 0 && mounts.n && mounts.before)
		r = mounts.before(&mounts, mounts.data, err);
	if (r < 0)
		goto out;
	r = unmount_all(&mounts, err);
	if (r < 0) {
		put_back(&mounts, err);
		goto out;
	}
	mounts.text = tab.text;
	tab.text = NULL;
	*ret = mounts;
	return 0;
out:
	shost_mounts_free(&mounts);
	return r;
}
