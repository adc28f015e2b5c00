/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /dev/snapmgr/POOL/VOLUME: what our udev rule is told of it, and the link itself where no udevd runs.
 *
 * The rule reads /run/snapmgr/udev/DM_UUID as a file of KEY="value" lines.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "dm/sdm.h"

#define TOLD_DIR   SM_RUN_DIR "/udev"
#define MOVE_TRIES 1000 /* pauses of 5 ms */

static const char *const audience_words[] = {
	[SDM_INTERNAL] = "internal",
	[SDM_SNAPSHOT] = "snapshot",
	[SDM_VOLUME] = "volume",
	[SDM_GUEST] = "guest",
};

static void told_path(const struct sdm_device *dev, char path[PATH_MAX])
{
	(void)snprintf(path, PATH_MAX, TOLD_DIR "/%s", dev->uuid);
}

static int cannot(struct snapmgr_err *err, int errnum, const char *what, const char *path)
{
	bool denied = errnum == EACCES || errnum == EPERM;

	return sm_fail(err, denied ? SNAPMGR_PERMISSION : SNAPMGR_IO, errnum, "cannot %s '%s'",
		       what, path);
}

static int write_file(const char *path, const char *text, struct snapmgr_err *err)
{
	AUTO(sm_close_fd)
	int fd = SM_STEP("told.open", open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return cannot(err, errno, "write", path);
	n = SM_STEP("told.write", write(fd, text, len));
	if (n < 0 || (size_t)n != len)
		return cannot(err, n < 0 ? errno : ENOSPC, "write", path);
	return 0;
}

/* Others may read it meanwhile: they see the old one or the new one. */
static int replace_file(const char *path, const char *text, struct snapmgr_err *err)
{
	char fresh[PATH_MAX];
	int r;

	if (snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh))
		return cannot(err, ENAMETOOLONG, "write", path);
	r = write_file(fresh, text, err);
	if (r == 0 && SM_STEP("told.rename", rename(fresh, path)) < 0)
		r = cannot(err, errno, "write", path);
	if (r < 0)
		(void)SM_STEP("told.undo", unlink(fresh));
	return r;
}

int sdm_link_announce(const struct sdm_device *dev, struct snapmgr_err *err)
{
	char path[PATH_MAX], text[sizeof(dev->link) + 64];
	int r;

	told_path(dev, path);
	if (!*dev->link) {
		if (SM_STEP("told.forget", unlink(path)) < 0 && errno != ENOENT)
			return cannot(err, errno, "remove", path);
		return 0;
	}
	r = sm_mkdir_p(TOLD_DIR, 0755, err);
	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "SNAPMGR_LINK=\"%s\"\nSNAPMGR_AUDIENCE=\"%s\"\n",
		       dev->link, audience_words[dev->audience]);
	return replace_file(path, text, err);
}

int sdm_link_announced(const char *dm_uuid, char ret[200], struct snapmgr_err *err)
{
	AUTO(sm_close_file) FILE *f = NULL;
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), TOLD_DIR "/%s", dm_uuid);
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? -ENOENT : cannot(err, errno, "read", path);
	return fscanf(f, "SNAPMGR_LINK=\"%199[^\"]\"", ret) == 1 ? 0 : -ENOENT;
}

static void link_path(const struct sdm_device *dev, char path[PATH_MAX])
{
	(void)snprintf(path, PATH_MAX, SM_DEV_DIR "/%s", dev->link);
}

/* The folder of @path, which must have one. */
static void folder_of(const char *path, char folder[PATH_MAX])
{
	(void)snprintf(folder, PATH_MAX, "%s", path);
	*strrchr(folder, '/') = '\0';
}

static int make_link(const struct sdm_device *dev, const char *path, struct snapmgr_err *err)
{
	char folder[PATH_MAX], fresh[PATH_MAX], to[SDM_NAME_MAX + 64] = "";
	int r;

	folder_of(path, folder);
	r = sm_mkdir_p(folder, 0755, err);
	if (r < 0)
		return r;
	for (const char *p = path + strlen("/dev/"); (p = strchr(p, '/')); p++)
		(void)strncat(to, "../", sizeof(to) - strlen(to) - 1);
	(void)strncat(to, "mapper/", sizeof(to) - strlen(to) - 1);
	(void)strncat(to, dev->name, sizeof(to) - strlen(to) - 1);
	if (snprintf(fresh, sizeof(fresh), "%s/.#%s", folder, dev->uuid) >= (int)sizeof(fresh))
		return cannot(err, ENAMETOOLONG, "make link", path);
	(void)SM_STEP("link.clear", unlink(fresh));
	if (SM_STEP("link.make", symlink(to, fresh)) < 0)
		return cannot(err, errno, "make link", path);
	if (SM_STEP("link.rename", rename(fresh, path)) < 0) {
		r = cannot(err, errno, "make link", path);
		(void)SM_STEP("link.clear", unlink(fresh));
	}
	return r;
}

static void drop_link(const char *path)
{
	char folder[PATH_MAX];

	(void)SM_STEP("link.drop", unlink(path));
	folder_of(path, folder);
	(void)SM_STEP("link.folder", rmdir(folder)); /* fails while it holds another */
}

int sdm_link_settle(const struct sdm_device *dev, bool gone, struct snapmgr_err *err)
{
	char path[PATH_MAX];

	if (!*dev->link || sdm_udev_running())
		return 0;
	link_path(dev, path);
	if (!gone)
		return make_link(dev, path, err);
	drop_link(path);
	return 0;
}

static int send_change(const struct sdm_device *dev, struct snapmgr_err *err)
{
	AUTO(sm_close_fd) int fd = -1;
	struct sdm_info info;
	char path[PATH_MAX];
	int r = sdm_info(dev->name, &info, err);

	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/uevent", info.major, info.minor);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || SM_STEP("udev.change", write(fd, "change", 6)) != 6)
		return cannot(err, errno, "write", path);
	return 0;
}

int sdm_link_move(const struct sdm_device *from, const struct sdm_device *to,
		  struct snapmgr_err *err)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	char path[PATH_MAX];
	int r = sdm_link_announce(to, err);

	if (r < 0)
		return r;
	if (!sdm_udev_running()) {
		(void)sdm_link_settle(from, true, NULL);
		return sdm_link_settle(to, false, err);
	}
	r = send_change(to, err);
	link_path(to, path);
	for (int i = 0; r == 0 && i < MOVE_TRIES && access(path, F_OK) < 0; i++)
		(void)nanosleep(&pause, NULL);
	return r;
}

void sdm_link_forget(const struct sdm_device *dev)
{
	char path[PATH_MAX];

	told_path(dev, path);
	(void)SM_STEP("told.forget", unlink(path));
	(void)sdm_link_settle(dev, true, NULL);
}
