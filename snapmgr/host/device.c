/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One block device: where it is and how large. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "shost.h"
#include "sys.h"

/* The line DEVNAME= of a device's uevent: its node's name below /dev. */
static int node_name(int sysfd, char *ret, size_t size)
{
	char text[1024], *rest = text, *line;
	ssize_t n = shost_read_text(sysfd, "uevent", text, sizeof(text));

	if (n < 0)
		return (int)n;
	while ((line = strsep(&rest, "\n")))
		if (strncmp(line, "DEVNAME=", 8) == 0)
			return sm_copy_text(ret, size, line + 8);
	return -ENOENT;
}

static bool try_path(dev_t devno, const char *folder, const char *name, char *ret, size_t size)
{
	char path[320];

	(void)snprintf(path, sizeof(path), "%s%s", folder, name);
	return *name && shost_rdev(path) == devno && sm_copy_text(ret, size, path) == 0;
}

int shost_device_path(dev_t devno, char *ret, size_t size, struct snapmgr_err *err)
{
	AUTO(sm_close_fd) int sysfd = shost_sys_open(devno);
	char name[256], number[32];

	(void)snprintf(number, sizeof(number), "%u:%u", major(devno), minor(devno));
	if (sysfd < 0)
		return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT, "there is no block device %s",
			       number);
	if (node_name(sysfd, name, sizeof(name)) == 0 && try_path(devno, "/dev/", name, ret, size))
		return 0;
	shost_sys_dm(sysfd, "name", name, sizeof(name));
	if (try_path(devno, "/dev/mapper/", name, ret, size) ||
	    try_path(devno, "/dev/block/", number, ret, size))
		return 0;
	return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT, "block device %s has no node under /dev",
		       number);
}

/* @path's device must be open as @fd. */
static int measure(int fd, const char *path, struct shost_device *dev, struct snapmgr_err *err)
{
	int block_bytes, read_only;

	if (ioctl(fd, BLKGETSIZE64, &dev->size_bytes) < 0)
		return shost_fail(err, errno, "cannot read the size of '%s'", path);
	if (ioctl(fd, BLKSSZGET, &block_bytes) < 0)
		return shost_fail(err, errno, "cannot read the block size of '%s'", path);
	if (ioctl(fd, BLKROGET, &read_only) < 0)
		return shost_fail(err, errno, "cannot tell whether '%s' is read-only", path);
	dev->block_bytes = (uint32_t)block_bytes;
	dev->read_only = read_only != 0;
	return 0;
}

static int canonical(const char *path, struct shost_device *dev, struct snapmgr_err *err)
{
	AUTO(free) char *real = NULL;

	if (shost_device_path(dev->devno, dev->path, sizeof(dev->path), NULL) == 0)
		return 0;
	real = realpath(path, NULL);
	if (!real)
		return shost_fail(err, errno, "cannot resolve '%s'", path);
	if (sm_copy_text(dev->path, sizeof(dev->path), real) < 0)
		return sm_fail(err, SNAPMGR_USAGE, ENAMETOOLONG,
			       "the path of '%.100s...' is too long", path);
	return 0;
}

int shost_device(const char *path, struct shost_device *ret, struct snapmgr_err *err)
{
	AUTO(sm_close_fd) int fd = -1;
	struct shost_device dev = { 0 };
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return shost_fail(err, errno, "cannot find device '%s'", path);
	if (!S_ISBLK(st.st_mode))
		return sm_fail(err, SNAPMGR_USAGE, ENOTBLK, "'%s' is not a block device", path);
	dev.devno = st.st_rdev;
	r = canonical(path, &dev, err);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return shost_fail(err, errno, "cannot open '%s'", path);
	r = measure(fd, path, &dev, err);
	if (r == 0)
		*ret = dev;
	return r;
}
