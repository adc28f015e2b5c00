/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * rig.h - a thin pool on the guest's first disk, made with dm/ alone
 *
 * Every failure fails the test.
 */
#ifndef RIG_H
#define RIG_H

#include "dm/sdm.h"

#define RIG_META_SECTORS  32768 /* 16 MiB */
#define RIG_CHUNK_SECTORS 128

struct rig {
	struct sdm_device meta, data, pool;
	char pool_devno[32];
	uint64_t data_sectors;
};

/* rig_reexec_without_udev() - the first thing in a test that is for a machine without a udevd. */
void rig_reexec_without_udev(void);
/* rig_up() - what an earlier test left is removed first. */
void rig_up(struct rig *rig, uint64_t data_mib);
void rig_down(struct rig *rig);
/* rig_device() - a name and a UUID made of @name; nothing is mapped. */
struct sdm_device rig_device(const char *name, enum sdm_audience audience);
/* rig_target() - thin @id, @mib long. */
struct sdm_target rig_target(const struct rig *rig, uint32_t id, uint64_t mib);
/* rig_thin() - make thin @id and map it as a volume named @name. */
struct sdm_device rig_thin(const struct rig *rig, const char *name, uint32_t id, uint64_t mib);
/* rig_map() - the same for an id that exists. */
void rig_map(const struct rig *rig, const struct sdm_device *dev, uint32_t id, uint64_t mib);
/* rig_snap() - snapshot @id of the mapped @dev, whose thin is @origin. */
void rig_snap(const struct rig *rig, const struct sdm_device *dev, uint32_t id, uint32_t origin);
int rig_open(const struct sdm_device *dev, int flags);
void rig_write(const struct sdm_device *dev, uint64_t offset, char what, size_t bytes);
char rig_read(const struct sdm_device *dev, uint64_t offset); /* past the page cache */
uint32_t rig_live_id(const struct sdm_device *dev);
struct sdm_info rig_info(const struct sdm_device *dev);
void rig_remove(const struct sdm_device *dev);
void rig_run(const char *fmt, ...)
	__attribute__((format(printf, 1, 2))); /* a shell command that must succeed */

#endif
