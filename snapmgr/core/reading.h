/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * reading.h - objects of pools with stores, kept as they are while somebody reads them for long
 *
 * Their snapshots only work while they are mapped, and are kept from being deleted, or merged, by being
 * open. So they are mapped as the admin would, and a row of a lasting operation "read" says what has to be
 * taken down again should the reader die.
 */
#ifndef SM_READING_H
#define SM_READING_H

#include "snapmgr/core/lasting.h"

#define SM_READ_MAX 2

struct sm_reading { /* zeroed: none */
	struct sm_lasting op;
	int fds[SM_READ_MAX]; /* of the devices, in the order given; read past the page cache */
};
/**
 * sm_reading_begin() - map what is not yet mapped of @devs, and open it
 * @snapshot: what the row is about, or NULL
 *
 * Under the lock, after sm_op_begin(); it is free afterwards, also after most failures.
 */
int sm_reading_begin(struct sm_pool *pool, const struct sm_vdev *const *devs, size_t n,
		     struct scat_snapshot *snapshot, struct sm_reading *ret,
		     struct snapmgr_err *err);
/* sm_reading_head() - the same of what @v holds now: a snapshot that is made for it, and goes with it. */
int sm_reading_head(struct sm_pool *pool, const struct scat_volume *v, struct sm_reading *ret,
		    struct snapmgr_err *err);
/* sm_reading_end() - closed, unmapped, gone; a failure is left to recovery. The lock may be held then. */
void sm_reading_end(struct sm_reading *r);
static inline void auto_sm_reading_end(struct sm_reading *r)
{
	sm_reading_end(r);
}

#endif
