/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * region.h - the catalogue's region of a pool: its header, and where log and database lie in it
 */
#ifndef SCAT_REGION_H
#define SCAT_REGION_H

#include "base.h"

#define SCAT_PAGE_BYTES	  4096u /* of the database, and the unit of everything here */
#define SCAT_WAL_MAX	  (16 * SM_MIB)
#define SCAT_WAL_HEADER	  32u
#define SCAT_FRAME_HEADER 24u
#define SCAT_FRAME_BYTES  (SCAT_FRAME_HEADER + SCAT_PAGE_BYTES)

struct scat_region {
	int fd; /* buffered; -1: closed */
	bool writable;
	char path[256];
	struct sm_uuid pool;
	uint64_t life; /* of the device: another one each time it is mapped; 0: not known */
	uint64_t wal_at, wal_len, db_at, db_len; /* bytes; the database reaches to the end */
};

/**
 * scat_region_open() - open @path and check its header
 * Return: 0; -EUCLEAN (damaged: no header of ours, of another pool, or cut short);
 * -EPROTONOSUPPORT (newer_version); -EACCES; -EIO; ...
 */
int scat_region_open(const char *path, const struct sm_uuid *pool, bool writable,
		     struct scat_region *ret, struct snapmgr_err *err);
/**
 * scat_region_reopen() - after a close, where the device is still the one it was
 * Return: 0; -ESTALE (err untouched) where it is another one, or cannot tell; ...
 */
int scat_region_reopen(struct scat_region *region, struct snapmgr_err *err);
/* scat_region_db_len() - bytes for the database; looked at again where @wanted is more than were known,
 * since the region may have been extended. */
uint64_t scat_region_db_len(struct scat_region *region, uint64_t wanted);
/* scat_region_forget() - what the kernel keeps of it is read from the device again, but what is dirty. */
void scat_region_forget(const struct scat_region *region);
void scat_region_close(struct scat_region *region);
/* scat_region_format() - write a header; log and database become empty. Flushes all but the header. */
int scat_region_format(const char *path, const struct sm_uuid *pool, struct snapmgr_err *err);

/* scat_pretend_life() - for unit tests: what files answer for their life */
void scat_pretend_life(uint64_t life);

/* pread and pwrite of everything. Return: bytes (fewer only at the end of a file), or -errno. */
ssize_t scat_region_read(const struct scat_region *region, void *buf, size_t len, uint64_t at);
int scat_region_write(const struct scat_region *region, const void *buf, size_t len, uint64_t at);

#endif
