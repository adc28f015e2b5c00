/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * bed.h - one scenario for every kind of pool
 *
 * A bed is a row: a driver, and what it lies on. Each scenario is a function of a bed. What the pool can do
 * is in no row: it is asked for its capabilities, and what it says that it cannot do it has to refuse.
 */
#ifndef BED_H
#define BED_H

#include "tests/guest/pool_lab.h"

struct bed {
	const char *name, *driver;
	const char *mkfs; /* a command for the first disk; NULL: none */
	const char *type; /* of the filesystem that is mounted; NULL: the pool is on the disk */
	bool stores;	  /* each snapshot has one, whose size is told */
};
extern const struct bed thin_bed, cow_bed, xfs_bed, btrfs_bed, ext4_bed, tmpfs_bed;

#define BED_BYTES    (UINT64_C(4) << 20) /* of a volume */
#define BED_IDENTITY 1024

/* What pool "p" says of itself, since bed_up(). */
extern struct snapmgr_capability bed_can;
bool bed_has(const char *strategy);
/* BED_MAY() - a call that must succeed where the pool @can, and else be refused as unsupported; whether
 * it can. */
#define BED_MAY(can, call)                                      \
	({                                                      \
		const bool bed_may = (can);                     \
                                                                \
		if (bed_may)                                    \
			LAB_DO(call);                           \
		else                                            \
			LAB_REFUSED(SNAPMGR_UNSUPPORTED, call); \
		bed_may;                                        \
	})

/* bed_up() - a pool "p" with a volume "v", which reads as zeroes */
void bed_up(const struct bed *bed);
/* bed_up_as() - the same, of that size; on a disk that can be broken */
void bed_up_as(const struct bed *bed, uint64_t bytes, bool may_break);
#define BED_DISK_BYTES (UINT64_C(320) << 20) /* of that; XFS wants as much */
/* bed_break() - the sector that was written with @seed at @at, a multiple of 512, gives errors from now on,
 * wherever it lies */
void bed_break(uint64_t seed, uint64_t at);
void bed_mend(void);
/* bed_reboot() - nothing is mapped, mounted or in /run any more; then the pool is activated again */
void bed_reboot(void);
/* bed_settle() - recover until "p/v" is available, as it is once a kernel has done its part */
void bed_settle(void);
void bed_snapshot(const char *spec); /* also of a group */
/* bed_path() - where the contents of a volume are; static, of the last four calls */
const char *bed_path(const char *spec);
void bed_write(const char *spec, uint64_t seed); /* every other MiB of it */
uint64_t bed_sum(const char *spec);		 /* of a volume; differs where only the size does */
uint64_t bed_sum_of(const char *spec);		 /* of a snapshot or undo point, activated for it */
/* bed_identity() - name, UUID, path, inode or device number, project, label, time of creation */
void bed_identity(const char *spec, char ret[BED_IDENTITY]);
void bed_check_clean(void); /* pool check finds nothing, and nothing was left */

#endif
