/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * fsdev.h - which mounted filesystem uses a block device, also where st_dev does not tell
 *
 * st_dev names one device of a filesystem at most. Others: the members of a btrfs, the external
 * journal of an ext4, the log and realtime devices of an XFS.
 */
#ifndef SHOST_FSDEV_H
#define SHOST_FSDEV_H

#include "mountinfo.h"
#include "sys.h"

enum shost_use {
	SHOST_USE_NONE,
	SHOST_USE_DATA,
	SHOST_USE_JOURNAL, /* or log or realtime device */
};

struct shost_fsdev {
	dev_t devno;
	char kname[SHOST_KNAME];
	char btrfs[SNAPMGR_UUID_TEXT]; /* the mounted btrfs that it is a member of; "" for none */
	bool journal;		       /* the journal of some mounted filesystem elsewhere */
	bool mounted; /* the kernel knows of a filesystem on it, in any namespace */
	struct sm_uuid journal_uuid;
};
/* shost_fsdev_look() - what the kernel says of the device itself; a few look-ups in /sys. 0, -errno. */
int shost_fsdev_look(dev_t devno, struct shost_fsdev *ret);
/* shost_fsdev_use() - how the filesystem of a mount, seen in the namespace of @pid, uses it. */
enum shost_use shost_fsdev_use(const struct shost_fsdev *dev, const struct shost_mountinfo *m,
			       int32_t pid);

/* shost_option() - the value of "name=" in a list of mount options; false where it is not there. */
bool shost_option(const char *options, const char *name, char *ret, size_t size);

/* shost_ext4_journal() - what an ext4 superblock (1024 bytes) says of its external journal. */
struct shost_ext4_journal {
	struct sm_uuid uuid;
	dev_t devno;
};
bool shost_ext4_journal(const uint8_t super[1024], struct shost_ext4_journal *ret);

#endif
