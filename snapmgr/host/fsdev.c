/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which mounted filesystem uses a block device. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/btrfs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "fsdev.h"

#define EXT4_MAGIC 0xef53

bool shost_option(const char *options, const char *name, char *ret, size_t size)
{
	size_t len = strlen(name);

	for (const char *p = options; *p; p += strcspn(p, ","), p += *p == ',') {
		if (strncmp(p, name, len) != 0 || p[len] != '=')
			continue;
		(void)snprintf(ret, size, "%.*s", (int)strcspn(p + len + 1, ","), p + len + 1);
		return true;
	}
	return false;
}

static uint32_t get_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool is_ext4(const uint8_t super[1024])
{
	return (super[0x38] | super[0x39] << 8) == EXT4_MAGIC;
}

bool shost_ext4_journal(const uint8_t super[1024], struct shost_ext4_journal *ret)
{
	bool has_journal = get_le32(super + 0x5c) & 0x4;
	uint32_t kernel = get_le32(super + 0xe4);

	if (!is_ext4(super) || !has_journal || get_le32(super + 0xe0) != 0)
		return false;
	memcpy(ret->uuid.b, super + 0xd0, sizeof(ret->uuid.b));
	ret->devno = makedev(kernel >> 8 & 0xfff, (kernel & 0xff) | (kernel >> 12 & 0xfff00));
	return true;
}

/* A mounted filesystem keeps its superblock in the page cache, so this is what the kernel sees. */
static bool read_super(dev_t devno, uint8_t ret[1024])
{
	AUTO(sm_close_fd) int fd = shost_open_node(devno, O_RDONLY);

	return fd >= 0 && pread(fd, ret, 1024, 1024) == 1024;
}

static bool btrfs_member(const char *fsid, const char *kname)
{
	char path[200];

	(void)snprintf(path, sizeof(path), "/sys/fs/btrfs/%s/devices/%s", fsid, kname);
	return access(path, F_OK) == 0;
}

static void find_btrfs(struct shost_fsdev *dev)
{
	AUTO(shost_close_dir) DIR *all = shost_dir(AT_FDCWD, "/sys/fs/btrfs");
	const char *name;

	while (all && (name = shost_next(all)))
		if (strlen(name) == SNAPMGR_UUID_TEXT - 1 && btrfs_member(name, dev->kname))
			(void)sm_copy_text(dev->btrfs, sizeof(dev->btrfs), name);
}

static bool listed(const char *folder, const char *kname)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, kname);
	return access(path, F_OK) == 0;
}

int shost_fsdev_look(dev_t devno, struct shost_fsdev *ret)
{
	static const char *const folders[] = { "/sys/fs/ext4", "/sys/fs/xfs", "/sys/fs/f2fs",
					       "/sys/fs/nilfs2" };
	struct shost_fsdev dev = { .devno = devno };
	uint8_t super[1024];
	int r = shost_sys_kname(devno, dev.kname);

	if (r < 0)
		return r;
	find_btrfs(&dev);
	dev.mounted = *dev.btrfs != '\0';
	for (size_t i = 0; i < SM_ARRAY(folders); i++)
		dev.mounted = dev.mounted || listed(folders[i], dev.kname);
	dev.journal = listed("/proc/fs/jbd2", dev.kname); /* an internal one has a longer name */
	if (dev.journal && read_super(devno, super) && is_ext4(super))
		memcpy(dev.journal_uuid.b, super + 0x68, sizeof(dev.journal_uuid.b));
	*ret = dev;
	return 0;
}

/* Does @path, seen here or there, name @devno? */
static bool names_device(const char *path, int32_t pid, dev_t devno)
{
	char there[PATH_MAX];

	if (path[0] != '/')
		return false;
	if (shost_rdev(path) == devno)
		return true;
	shost_ns_path(pid, path, there, sizeof(there));
	return pid && shost_rdev(there) == devno;
}

static bool source_is_member(const struct shost_fsdev *dev, const char *source, int32_t pid)
{
	char path[PATH_MAX], kname[SHOST_KNAME];
	dev_t devno;

	shost_ns_path(pid, source, path, sizeof(path));
	devno = shost_rdev(path);
	if (!devno && pid)
		devno = shost_rdev(source);
	return devno && shost_sys_kname(devno, kname) == 0 && btrfs_member(dev->btrfs, kname);
}

/* Asks the filesystem itself: the source's name may be stale. */
static bool has_fsid(const struct shost_fsdev *dev, const struct shost_mountinfo *m, int32_t pid)
{
	AUTO(sm_close_fd) int top = shost_mount_open(m, pid);
	AUTO(sm_close_fd) int fd = -1;
	struct btrfs_ioctl_fs_info_args info;
	char text[SNAPMGR_UUID_TEXT], path[32];
	struct sm_uuid fsid;

	if (top < 0)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", top);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	memset(&info, 0, sizeof(info));
	if (fd < 0 || ioctl(fd, BTRFS_IOC_FS_INFO, &info) < 0)
		return false;
	memcpy(fsid.b, info.fsid, sizeof(fsid.b));
	sm_uuid_text(&fsid, text);
	return strcmp(text, dev->btrfs) == 0;
}

static bool is_btrfs_of(const struct shost_fsdev *dev, const struct shost_mountinfo *m, int32_t pid)
{
	if (strcmp(m->fstype, "btrfs") != 0 || !*dev->btrfs)
		return false;
	return source_is_member(dev, m->source, pid) || has_fsid(dev, m, pid);
}

static bool is_ext4_journal_of(const struct shost_fsdev *dev, const struct shost_mountinfo *m)
{
	struct shost_ext4_journal journal;
	uint8_t super[1024];

	if (!dev->journal || strncmp(m->fstype, "ext", 3) != 0)
		return false;
	if (!read_super(m->devno, super) || !shost_ext4_journal(super, &journal))
		return false;
	return journal.devno == dev->devno || (!sm_uuid_is_null(&dev->journal_uuid) &&
					       sm_uuid_equal(&journal.uuid, &dev->journal_uuid));
}

static bool is_xfs_log_of(const struct shost_fsdev *dev, const struct shost_mountinfo *m,
			  int32_t pid)
{
	char path[PATH_MAX];

	if (strcmp(m->fstype, "xfs") != 0)
		return false;
	return (shost_option(m->super, "logdev", path, sizeof(path)) &&
		names_device(path, pid, dev->devno)) ||
	       (shost_option(m->super, "rtdev", path, sizeof(path)) &&
		names_device(path, pid, dev->devno));
}

enum shost_use shost_fsdev_use(const struct shost_fsdev *dev, const struct shost_mountinfo *m,
			       int32_t pid)
{
	if (m->devno == dev->devno || is_btrfs_of(dev, m, pid))
		return SHOST_USE_DATA;
	if (is_ext4_journal_of(dev, m) || is_xfs_log_of(dev, m, pid))
		return SHOST_USE_JOURNAL;
	return SHOST_USE_NONE;
}
