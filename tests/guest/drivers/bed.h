/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * bed.h - one scenario for every kind of pool
 *
 * A bed is a row: a driver, and what it lies on. Each scenario is a function of a bed and asks it for
 * nothing but what it shall be able to do; BED_CASES() makes a test of each scenario on each bed.
 */
#ifndef BED_H
#define BED_H

#include "tests/guest/pool_lab.h"

struct bed {
	const char *name, *driver;
	const char *mkfs;     /* a command for the first disk; NULL: none */
	const char *type;     /* of the filesystem that is mounted; NULL: the pool is on the disk */
	const char *strategy; /* of a revert */
	bool online;	      /* what is open can be reverted underneath */
};
extern const struct bed thin_bed, xfs_bed, btrfs_bed, ext4_bed, tmpfs_bed;

#define BED_BYTES (UINT64_C(4) << 20) /* of a volume */

/* bed_up() - a pool "p" with a volume "v", which reads as zeroes */
void bed_up(const struct bed *bed);
/* bed_path() - where the contents of a volume are; static, of the last four calls */
const char *bed_path(const char *spec);
void bed_write(const char *spec, uint64_t seed); /* all of it */
uint64_t bed_sum(const char *spec);		 /* of a volume; differs where only the size does */
uint64_t bed_sum_of(const char *spec);		 /* of a snapshot or undo point, activated for it */
/* bed_identity() - path, inode or device number, UUID, name */
void bed_identity(const char *spec, char ret[512]);
void bed_check_clean(void); /* pool check finds nothing, and nothing was left */

#endif
