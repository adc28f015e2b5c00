/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * shost.h - what this machine does with a block device: who uses it, what is on it, where it is
 *
 * Reads /proc and /sys, asks libblkid; changes nothing but mounts, and those only in remount.c and
 * freeze.c. Devices are major:minor or paths. Outputs untouched on failure.
 */
#ifndef SHOST_H
#define SHOST_H

#include <sys/types.h>

#include "base.h"

/* ---- identity.c ---- */

/* shost_machine() - stable over reboots: /etc/machine-id; else derived from the host name. */
void shost_machine(struct sm_uuid *ret_id, char ret_name[65]);

struct shost_owner { /* tells a dead process from a slow one */
	struct sm_uuid boot_id;
	int32_t pid;
	uint64_t start_ticks;
};
int shost_owner_self(struct shost_owner *ret, struct snapmgr_err *err);
bool shost_owner_alive(const struct shost_owner *owner);
/* shost_process_name() - as in /proc/PID/comm; "" where that cannot be read */
void shost_process_name(int32_t pid, char *ret, size_t size);

/* ---- device.c ---- */

struct shost_device {
	char path[256]; /* canonical, under /dev */
	dev_t devno;
	uint64_t size_bytes;
	uint32_t block_bytes; /* logical */
	bool read_only;
};
/**
 * shost_device() - look at one block device
 * Return: 0; -ENOENT (not_found); -ENOTBLK (usage: not a block device); -EACCES (permission); ...
 */
int shost_device(const char *path, struct shost_device *ret, struct snapmgr_err *err);
/* shost_device_path() - a node under /dev for a device number, from sysfs; -ENOENT. */
int shost_device_path(dev_t devno, char *ret, size_t size, struct snapmgr_err *err);

typedef int shost_device_fn(const struct shost_device *dev, void *data);
/**
 * shost_scan() - every block device that could be a pool member
 *
 * Whole disks, partitions, loops, md, multipath and dm devices of others; not: empty ones, RAM
 * disks' unused nodes of size 0, our own dm devices, read errors, and components of others' md, dm
 * or multipath devices (their holders decide; our own dm devices as holders do not count).
 */
int shost_scan(shost_device_fn *visit, void *data, struct snapmgr_err *err);

/* ---- probe.c: the one file that includes blkid.h ---- */

/**
 * shost_probe() - what signature is on a device
 * @ret_type: "ext4", "LVM2_member", "dos partition table", ...; "" for none
 * Return: 0, also for none; -EBUSY-like ambivalent results name "several signatures".
 */
int shost_probe(const char *path, char *ret_type, size_t size, struct snapmgr_err *err);

/* ---- holders.c ---- */

#define SHOST_MOUNT   1u /* in this or any other mount namespace */
#define SHOST_SWAP    2u
#define SHOST_HOLDER  4u  /* dm, md, bcache, ... device on top, e.g. a mapped partition or an LV */
#define SHOST_LOOP    8u  /* a loop device whose backing file is it (sysfs backing_file) */
#define SHOST_PROCESS 16u /* a process that has it open, or else mapped */

struct shost_holder {
	unsigned int kind; /* one of the above */
	char what[256];	   /* "mounted on '/mnt/a'", "mounted on '/mnt' in the mount namespace of
			    * process 12 (bash)", "used as swap", "held by device 'dm-7' (p-part1)",
			    * "attached to '/dev/loop0'", "open by process 12 (qemu)" */
	char mount_point[256]; /* of a mount in our own namespace */
	int32_t pid;	       /* of a process, or of one in that mount namespace; 0: none */
};
typedef int shost_holder_fn(const struct shost_holder *holder, void *data);
/**
 * shost_holders() - who uses a device, cheapest kinds first
 * @kinds: mask of the above; SHOST_PROCESS walks /proc and is dear: ask only for a message
 *
 * A kernel partition of the device counts with its own users. A mount counts for every device of its
 * filesystem: all members of a btrfs, the journal of an ext4, the log and realtime devices of an XFS.
 * Skips our own process's descriptors. Whoever was granted O_EXCL needs to ask for SHOST_LOOP only:
 * the kernel claims the device for all the others.
 * Return: 0, what @visit answered, or a negative errno.
 */
int shost_holders(dev_t devno, unsigned int kinds, shost_holder_fn *visit, void *data,
		  struct snapmgr_err *err);

/* ---- file_users.c ---- */

/**
 * shost_file_users() - who has the file behind @fd open: loop devices but @but_loop, processes but ours
 *
 * Walks /proc, and sees what this user may see there. Return: as shost_holders().
 */
int shost_file_users(int fd, const char *but_loop, shost_holder_fn *visit, void *data,
		     struct snapmgr_err *err);

/* ---- freeze.c ---- */

/* Filesystems frozen for a snapshot. Zeroed: none. */
struct shost_freeze {
	int *fds; /* mount points, open; those we froze ourselves */
	size_t n;
	bool *has_fs; /* per device of the call: some filesystem on it is frozen now */
	size_t n_devices;
	struct shost_thawer *thawer; /* who thaws them if we die */
};
/**
 * shost_freeze() - syncfs and FIFREEZE every mounted filesystem on @devices, each once
 *
 * Also those in other mount namespaces, those that have only their journal or log there, and those
 * on partitions, dm, md and loop devices above, or on loop devices in a file of such a filesystem.
 * What lies higher is frozen first, and thawed last. One that was frozen already stays so and is not
 * in @fds; what lies on such a one cannot be synced and is left alone. One that cannot freeze (FAT)
 * is synced, and has_fs stays false. On failure all are thawed.
 * Call shost_thaw() on every path; the fds may be handed to a guard.
 */
int shost_freeze(const dev_t *devices, size_t n, struct shost_freeze *ret, struct snapmgr_err *err);
void shost_thaw(struct shost_freeze *freeze); /* FITHAW, close, free; repeatable */

/* ---- unmount.c, remount.c ---- */

/* Mounts taken away to be put back. Zeroed: none. */
struct shost_mounts {
	struct shost_mount *v; /* what carries another comes before it */
	size_t n;
	dev_t devno;
	char *text; /* what they point into */
	/* The caller's, or NULL: before the first one of several is taken away; < 0: then none is. */
	int (*before)(const struct shost_mounts *mounts, void *data, struct snapmgr_err *err);
	void *data;
	char warning[256]; /* of shost_remount(): what it could not bring back as it was; or "" */
};
/**
 * shost_unmount() - every mount of a device in our namespace, deepest first, never lazily
 *
 * Waits up to a second for a user who is only passing by. Refused before anything is changed: one
 * with another device's mount below it, "/", one that other mounts hide, and those that mount(2)
 * alone cannot bring back (FUSE, mapped ids, a deleted folder).
 * Return: 0, also where there is none; -EBUSY (in_use: names the mount point and the processes);
 * -EOPNOTSUPP (unsupported); on failure all are mounted again as they were.
 */
int shost_unmount(dev_t devno, struct shost_mounts *ret, struct snapmgr_err *err);
/**
 * shost_remount() - mount them again with the same flags and options, subtree binds too
 *
 * The contents may have changed. Where the kernel refuses the options that it told us, fewer are
 * used and @mounts->warning says so. Tries all of them; the first failure is reported. May be
 * called again: what is mounted by now stays so.
 */
int shost_remount(struct shost_mounts *mounts, struct snapmgr_err *err);
void shost_mounts_free(struct shost_mounts *mounts);

/* ---- mounts.c: of a process that died before it could mount them again ---- */

/* shost_mounts_text() - for shost_mounts_parse(), a line each; NULL: out of memory. Caller frees. */
char *shost_mounts_text(const struct shost_mounts *mounts);
/* shost_mounts_parse() - none of them mounted; on @devno, whatever it was then. 0 or -ENOMEM. */
int shost_mounts_parse(const char *text, dev_t devno, struct shost_mounts *ret);
const char *shost_mounts_where(const struct shost_mounts *mounts); /* the first one; or "" */
/* shost_remount_sweep() - take away what a process left aside that died in shost_remount(). */
void shost_remount_sweep(dev_t devno);

#endif
