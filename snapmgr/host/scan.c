/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every block device that could be a pool's member. Nothing is opened but sysfs. */
#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "shost.h"
#include "sys.h"

static bool is_ours(int sysfd)
{
	char uuid[160];

	shost_sys_dm(sysfd, "uuid", uuid, sizeof(uuid));
	return strncmp(uuid, SM_DM_UUID, strlen(SM_DM_UUID)) == 0;
}

/* Somebody else's device is made of this one, so that one is to be looked at instead. */
static bool is_component(int sysfd)
{
	AUTO(shost_close_dir) DIR *holders = shost_dir(sysfd, "holders");
	const char *name;

	while (holders && (name = shost_next(holders))) {
		AUTO(sm_close_fd) int fd = openat(dirfd(holders), name, O_PATH | O_CLOEXEC);

		if (fd < 0 || !is_ours(fd))
			return true;
	}
	return false;
}

/* Reads from a suspended device, or from one on top of it, wait for its resume. */
static bool would_block(int sysfd, int depth)
{
	AUTO(shost_close_dir) DIR *slaves = NULL;
	const char *name;

	if (shost_read_number(sysfd, "dm/suspended", 0) == 1)
		return true;
	slaves = depth < 16 ? shost_dir(sysfd, "slaves") : NULL;
	while (slaves && (name = shost_next(slaves))) {
		AUTO(sm_close_fd) int fd = openat(dirfd(slaves), name, O_PATH | O_CLOEXEC);

		if (fd >= 0 && would_block(fd, depth + 1))
			return true;
	}
	return false;
}

static bool has_slow_media(dev_t devno)
{
	return major(devno) == FLOPPY_MAJOR || major(devno) == SCSI_CDROM_MAJOR;
}

/* Of a partition, the whole disk's. */
static uint32_t block_bytes(int sysfd)
{
	uint64_t v = shost_read_number(sysfd, "queue/logical_block_size", 0);

	if (!v)
		v = shost_read_number(sysfd, "../queue/logical_block_size", SM_SECTOR);
	return (uint32_t)v;
}

/* Return: true and @ret where the device is to be visited. */
static bool candidate(int sysfd, dev_t devno, struct shost_device *ret)
{
	*ret = (struct shost_device){ .devno = devno };
	if (!devno || has_slow_media(devno))
		return false;
	ret->size_bytes = shost_read_number(sysfd, "size", 0) * SM_SECTOR;
	if (!ret->size_bytes || is_ours(sysfd) || is_component(sysfd) || would_block(sysfd, 0))
		return false;
	ret->block_bytes = block_bytes(sysfd);
	ret->read_only = shost_read_number(sysfd, "ro", 0) != 0;
	return shost_device_path(devno, ret->path, sizeof(ret->path), NULL) == 0;
}

int shost_scan(shost_device_fn *visit, void *data, struct snapmgr_err *err)
{
	AUTO(shost_close_dir) DIR *all = shost_dir(AT_FDCWD, "/sys/class/block");
	struct shost_device dev;
	const char *name;
	int r = 0;

	if (!all)
		return shost_fail(err, errno, "cannot read '/sys/class/block'");
	while (r == 0 && (name = shost_next(all))) {
		AUTO(sm_close_fd) int fd = openat(dirfd(all), name, O_PATH | O_CLOEXEC);

		if (fd >= 0 && candidate(fd, shost_sys_devno(fd, "."), &dev))
			r = visit(&dev, data);
	}
	return r;
}
