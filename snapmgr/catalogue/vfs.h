/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * vfs.h - a catalogue region as the files that SQLite wants: one database and its log
 *
 * Each connection registers a VFS of its own, so that what happened (an errno, a full area, the
 * number of flushes) is known to the connection that it happened to.
 */
#ifndef SCAT_VFS_H
#define SCAT_VFS_H

#include <sqlite3.h>

#include "snapmgr/catalogue/region.h"

#define SCAT_SHM_REGIONS 16 /* 32 KiB each; the largest log needs 2 */

/* The wal-index: a mapped file of this pool under /run/snapmgr, and the locks on its bytes. */
struct scat_shm {
	int fd;	      /* -1: not open */
	int borrowed; /* the pool's lock, while this connection writes without owning it; or -1 */
	unsigned int locked; /* SQLite's locks that the kernel knows of, a bit each */
	uint32_t region_bytes;
	uint32_t n_regions;
	void *regions[SCAT_SHM_REGIONS];
};

struct scat_vfs {
	sqlite3_vfs base;
	char name[48];
	struct scat_region region;
	struct scat_shm shm;
	char failed_path[600]; /* where errnum happened */
	int errnum;	       /* of the last system call that failed */
	bool owner;	       /* the caller holds the pool's lock: see vfs_shm.c */
	bool wal_full, db_full;
	bool skip_sync;		 /* the commit at hand need not be durable */
	bool wal_header_written; /* since the last flush: that flush must be real */
	uint64_t syncs, skipped_syncs;
	/* Writes to the log that lie side by side, held back until somebody could see them. */
	unsigned char *held;
	size_t held_len;
	uint64_t held_at;	       /* in the region */
	const unsigned char *foreseen; /* in @held: what the next write will be, written already */
	size_t foreseen_len;	       /* 0: nothing is */
	uint64_t foreseen_at;
	int held_error; /* -errno of the held writes, where nobody could be told at once; 0: none */
};

int scat_vfs_open(const char *device, const struct sm_uuid *pool, bool writable,
		  struct scat_vfs **ret, struct snapmgr_err *err);
void scat_vfs_close(struct scat_vfs *vfs);
/* scat_vfs_sync() - a real flush of the device. Return: 0 or -errno. */
int scat_vfs_sync(struct scat_vfs *vfs);
/* scat_vfs_release() - write what is held back. Return: 0 or -errno. */
int scat_vfs_release(struct scat_vfs *vfs);
/* scat_vfs_failed() - remember what failed; @path NULL: the region. Return: @code. */
int scat_vfs_failed(struct scat_vfs *vfs, int code, int errnum, const char *path);
/* scat_vfs_frames() - frames in the log as the wal-index knows; 0 where it is not mapped. */
uint32_t scat_vfs_frames(const struct scat_vfs *vfs);

/* scat_vfs_log_end() - the same, where it is certain: the log's last frame is the one that the
 * wal-index ends with. Return: false where it is not. */
bool scat_vfs_log_end(const struct scat_vfs *vfs, uint32_t *ret_frames);

/* The shared-memory half of sqlite3_io_methods (vfs_shm.c). */
int scat_shm_map(struct scat_vfs *vfs, int index, int bytes, bool extend, void volatile **ret);
int scat_shm_lock(struct scat_vfs *vfs, int offset, int n, int flags);
void scat_shm_unmap(struct scat_vfs *vfs);
/* scat_shm_distrust() - frames that it knows of did not arrive: let it be built anew. */
void scat_shm_distrust(struct scat_vfs *vfs);

#endif
