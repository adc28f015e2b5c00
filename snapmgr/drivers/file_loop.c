/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files as block devices: loop devices, and their links under /dev/snapmgr. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "snapmgr/drivers/file.h"

#define TRIES 20 /* others take the free one that we were told of */

static void link_path(const struct sm_vdev *v, char ret[PATH_MAX])
{
	(void)snprintf(ret, PATH_MAX, SM_DEV_DIR "/%s", v->dm.link);
}

/* The file behind a loop device, as the kernel calls it now. */
static bool is_behind(const char *loop, const char *path)
{
	char sys[128], text[PATH_MAX];
	AUTO(sm_close_fd) int fd = -1;
	ssize_t n;

	(void)snprintf(sys, sizeof(sys), "/sys/block/%.60s/loop/backing_file", loop);
	fd = open(sys, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return strcmp(text, path) == 0;
}

/* By its link, which is there as long as it is mapped, and may be of another boot. */
int file_info(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_info *ret,
	      struct snapmgr_err *err)
{
	char link[PATH_MAX], target[PATH_MAX], path[FILE_PATH];
	const char *loop;
	ssize_t n;

	(void)err;
	*ret = (struct sdm_info){ 0 };
	link_path(v, link);
	n = readlink(link, target, sizeof(target) - 1);
	if (n <= 0)
		return 0;
	target[n] = '\0';
	loop = strrchr(target, '/');
	loop = loop ? loop + 1 : target;
	file_path(b, v, path);
	if (sscanf(loop, "loop%u", &ret->minor) != 1 || !is_behind(loop, path))
		return 0;
	ret->exists = ret->has_live = true;
	ret->major = LOOP_MAJOR;
	ret->read_only = v->dm.read_only;
	(void)sm_copy_text(ret->name, sizeof(ret->name), loop);
	(void)sm_copy_text(ret->uuid, sizeof(ret->uuid), v->dm.uuid);
	return 0;
}

/* ---- links ---- */

static int make_link(const struct sm_vdev *v, const char *loop, struct snapmgr_err *err)
{
	char link[PATH_MAX], part[PATH_MAX], target[80];
	char *slash;
	int r;

	link_path(v, link);
	slash = strrchr(link, '/');
	*slash = '\0';
	r = sm_mkdir_p(link, 0755, err);
	if (r < 0)
		return r;
	if (snprintf(part, sizeof(part), "%s/.%s.new", link, slash + 1) >= (int)sizeof(part))
		return sm_fail(err, SNAPMGR_INTERNAL, ENAMETOOLONG, "'%s' is too long", link);
	*slash = '/';
	(void)snprintf(target, sizeof(target), "../../%.60s", loop);
	(void)SM_STEP("link.unlink", unlink(part));
	if (SM_STEP("link.make", symlink(target, part)) < 0 ||
	    SM_STEP("link.rename", rename(part, link)) < 0)
		return file_failed(err, errno, "make", link);
	return 0;
}

static void drop_link(const struct sm_vdev *v)
{
	char link[PATH_MAX];

	link_path(v, link);
	(void)SM_STEP("link.unlink", unlink(link));
	*strrchr(link, '/') = '\0';
	(void)SM_STEP("link.rmdir", rmdir(link)); /* the last one of the pool */
}

/* ---- attached ---- */

/* Return: a descriptor of the loop device, or a negative errno; -EBUSY: another was faster. */
static int attach(int file, const struct sm_vdev *v, int control, uint32_t block_bytes,
		  char ret_name[32])
{
	struct loop_config config = {
		.fd = (uint32_t)file,
		.info.lo_flags = LO_FLAGS_DIRECT_IO | (v->dm.read_only ? LO_FLAGS_READ_ONLY : 0u),
		.block_size = block_bytes,
	};
	char path[48];
	int n = SM_STEP("loop.free", ioctl(control, LOOP_CTL_GET_FREE)), fd;

	if (n < 0)
		return -errno;
	(void)snprintf(ret_name, 32, "loop%d", n);
	(void)snprintf(path, sizeof(path), "/dev/%s", ret_name);
	(void)sm_copy_text((char *)config.info.lo_file_name, LO_NAME_SIZE, v->dm.uuid);
	fd = open(path, (v->dm.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (SM_STEP("loop.configure", ioctl(fd, LOOP_CONFIGURE, &config)) == 0)
		return fd;
	n = -errno;
	(void)close(fd);
	return n;
}

/* Neither what it was nor what it shall be is to be handed out. */
static int refuse_mixture(const struct sm_backend *b, const struct sm_vdev *v,
			  struct snapmgr_err *err)
{
	struct sm_contents now = { 0 };
	int r = v->dm.read_only ? -ENOENT : file_mark_read(b, v, &now, err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return now.to ?
		       sm_fail(err, SNAPMGR_BAD_STATE, EBUSY,
			       "'%s' holds a mixture of what it was and what it shall be: 'snapmgr "
			       "recover %s' ends that, or a revert",
			       v->dm.link, b->name) :
		       0;
}

int file_map(struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err)
{
	char path[FILE_PATH], name[32];
	AUTO(sm_close_fd) int file = -1, control = -1, loop = -1;
	int r = refuse_mixture(b, v, err);

	if (r < 0)
		return r;

	file_path(b, v, path);
	file = file_open(path, v->dm.read_only ? O_RDONLY : O_RDWR, err);
	if (file < 0)
		return file;
	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return sm_fail(err, errno == EACCES ? SNAPMGR_PERMISSION : SNAPMGR_KERNEL, errno,
			       "cannot attach '%s': '/dev/loop-control'", path);
	for (int i = 0; i < TRIES; i++) {
		r = loop = attach(file, v, control, b->block_bytes, name);
		if (r != -EBUSY)
			break;
	}
	if (r < 0)
		return sm_fail(err, r == -EACCES ? SNAPMGR_PERMISSION : SNAPMGR_KERNEL, r,
			       "cannot attach '%s' to a loop device", path);
	r = make_link(v, name, err);
	if (r < 0)
		(void)SM_STEP("loop.clear", ioctl(loop, LOOP_CLR_FD));
	return r;
}

static int open_loop(const struct sm_backend *b, const struct sm_vdev *v, int flags,
		     struct snapmgr_err *err)
{
	struct sdm_info info;
	char path[SDM_NAME_MAX + 16];
	int fd, r = file_info(b, v, &info, err);

	if (r < 0 || !info.exists)
		return r < 0 ? r : -ENOENT;
	sm_node_path(&info, path, sizeof(path));
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? file_failed(err, errno, "open", path) : fd;
}

int file_unmap(struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err)
{
	AUTO(sm_close_fd) int fd = open_loop(b, v, O_RDONLY, err);

	if (fd == -ENOENT) {
		drop_link(v);
		return 0;
	}
	if (fd < 0)
		return fd;
	if (SM_STEP("loop.clear", ioctl(fd, LOOP_CLR_FD)) < 0)
		return sm_fail(err, SNAPMGR_KERNEL, errno, "cannot detach '%s'", v->dm.link);
	drop_link(v);
	return 0;
}

int file_rename(struct sm_backend *b, const struct sm_vdev *from, const struct sm_vdev *to,
		struct snapmgr_err *err)
{
	char link[PATH_MAX], target[PATH_MAX];
	const char *loop;
	ssize_t n;
	int r;

	(void)b;
	link_path(from, link);
	n = readlink(link, target, sizeof(target) - 1);
	if (n <= 0)
		return 0;
	target[n] = '\0';
	loop = strrchr(target, '/');
	r = make_link(to, loop ? loop + 1 : target, err);
	if (r == 0)
		drop_link(from);
	return r;
}

int file_used(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_info *ret_info,
	      uint64_t *ret, struct snapmgr_err *err)
{
	char path[FILE_PATH];
	struct stat st;
	int r = ret_info ? file_info(b, v, ret_info, err) : 0;

	file_path(b, v, path);
	if (r == 0 && stat(path, &st) < 0)
		return file_failed(err, errno, "look at", path);
	*ret = (uint64_t)st.st_blocks * SM_SECTOR;
	return r;
}

int file_loop_flush(const struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err)
{
	AUTO(sm_close_fd) int fd = open_loop(b, v, O_RDONLY, err);

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (SM_STEP("loop.flush", fsync(fd)) < 0 ||
	    SM_STEP("loop.flush", ioctl(fd, BLKFLSBUF, 0)) < 0)
		return sm_fail(err, SNAPMGR_IO, errno, "cannot write back the cache of '%s'",
			       v->dm.link);
	return 0;
}

int file_loop_resize(const struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err)
{
	AUTO(sm_close_fd) int fd = open_loop(b, v, O_RDONLY, err);

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	if (SM_STEP("loop.resize", ioctl(fd, LOOP_SET_CAPACITY, 0)) < 0 ||
	    SM_STEP("loop.flush", ioctl(fd, BLKFLSBUF, 0)) < 0)
		return sm_fail(err, SNAPMGR_KERNEL, errno, "cannot resize '%s'", v->dm.link);
	return 0;
}
