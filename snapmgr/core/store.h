/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * store.h - pools whose ids the core places: volumes on extents, snapshots in stores
 *
 * What is taken here is taken in the transaction that is open; the verb's commit makes it real.
 */
#ifndef SM_STORE_H
#define SM_STORE_H

#include "snapmgr/core/core.h"

/* ---- store.c: room ---- */

/* sm_place_load() - where @id lies; free ret->v. -ENOENT (damaged): nowhere */
int sm_place_load(struct sm_pool *pool, uint32_t id, uint32_t origin, uint64_t size_bytes,
		  struct sm_place *ret, struct snapmgr_err *err);
static inline void auto_sm_place_free(struct sm_place *p)
{
	free(p->v);
}
/* sm_store_new() - place an empty store of @cow_bytes (0: a fifth of the volume) for a new id */
int sm_store_new(struct sm_pool *pool, uint32_t id, const struct scat_volume *v, uint64_t cow_bytes,
		 struct snapmgr_err *err);
/* sm_store_free_sectors() - that nobody has yet */
int sm_store_free_sectors(struct sm_pool *pool, uint64_t *ret, struct snapmgr_err *err);
/* sm_store_grow() - @more_sectors for a store, or behind a volume's end; commits, and makes the kernel
 * follow. */
int sm_store_grow(struct sm_pool *pool, uint32_t id, uint64_t more_sectors,
		  struct snapmgr_err *err);
/* sm_store_follow() - make the kernel's as long as the catalogue says. */
int sm_store_follow(struct sm_pool *pool, uint32_t id, struct snapmgr_err *err);
/* sm_store_step() - @sectors, rounded up to what can be handed out */
uint64_t sm_store_step(const struct sm_pool *pool, uint64_t sectors);

/* ---- store_attach.c: the kernel's devices ---- */

struct sm_store { /* of a volume: a snapshot's, or an undo point's */
	uint32_t id;
	uint64_t size_bytes; /* of what it shows */
	struct sm_uuid uuid;
	bool of_undo;
	int64_t row;
};
struct sm_stores { /* owned */
	struct sm_store *v;
	size_t n;
};
int sm_stores_of(struct sm_pool *pool, int64_t volume, struct sm_stores *ret,
		 struct snapmgr_err *err);
static inline void auto_sm_stores_free(struct sm_stores *all)
{
	free(all->v);
}
/**
 * sm_store_attach() - of a pool that is coming up: all that @v lies on, its stores before its device
 *
 * A merge that was under way goes on. Maps nothing that people see.
 */
int sm_store_attach(struct sm_pool *pool, const struct scat_volume *v, struct snapmgr_err *err);
/* sm_store_switch_opts() - for the driver */
struct sm_switch_opts sm_store_switch_opts(const struct sm_pool *pool);

/* ---- store_resize.c ---- */

/* sm_store_resize() - of a volume to another size, which is allowed; the lock is free afterwards. */
int sm_store_resize(struct sm_found *f, uint64_t bytes, bool online, struct snapmgr_err *err);

/* ---- store_watch.c ---- */

typedef void sm_store_tell_fn(const char *level, const char *text, void *data);
/**
 * sm_store_watch() - what a monitor does for stores: those that fill grow, those lost are marked
 *
 * -ENOSPC: one could not, of which the error tells; the others were seen to.
 */
int sm_store_watch(struct sm_pool *pool, sm_store_tell_fn *tell, void *data,
		   struct snapmgr_err *err);

/* ---- merge.c: a revert that lasts ---- */

/**
 * sm_merge() - @d->volume takes on what @source holds, and its head gets a store of its own
 * @d: prepared; d->swap says that it is an undo
 * @s: the snapshot, or NULL
 *
 * The commit that begins it is the point from which there is no way back, only forward. Waits for the
 * end without the lock. On return the pool is locked, or (an error) not.
 */
struct sm_displace;
/* sm_merge_check() - -EOPNOTSUPP (unsupported) for what this driver's reverts cannot do */
int sm_merge_check(const struct sm_pool *pool, const struct sm_displace *d,
		   struct snapmgr_err *err);
int sm_merge(struct sm_pool *pool, struct sm_displace *d, uint32_t source, struct scat_snapshot *s,
	     struct snapmgr_err *err);
/* sm_merge_forward() - make the kernel do what the row of the merge says; repeatable at any time. */
int sm_merge_forward(struct sm_pool *pool, const struct scat_volume *v, uint32_t source,
		     const struct sm_claim *claim, struct snapmgr_err *err);

/* ---- merge_wait.c: while it lasts, and where the kernel gave up ---- */

/**
 * sm_merge_wait() - become the owner of the operation @row, and wait without the lock for the merge's end
 * @s: the snapshot, or NULL
 *
 * Return: 0, and it can be finished; -EIO: the kernel gave up, which is written down, and where it
 * stopped sm_merge_resume() goes on; or as sm_lasting_retake(). The lock is held again on 0 alone.
 */
int sm_merge_wait(struct sm_pool *pool, struct scat_volume *v, struct scat_snapshot *s,
		  const struct scat_operation *row, struct snapmgr_err *err);
/* sm_merge_gave_up() - write down that it did, and why: what @v is, and a message. Commits. */
int sm_merge_gave_up(struct sm_pool *pool, struct scat_volume *v, const char *why,
		     struct snapmgr_err *err);
/**
 * sm_merge_resume() - of a volume whose revert the kernel gave up: it begins again where it stopped
 * @ret_source: the store; may be NULL
 *
 * Waits for the end, as sm_merge(). Return: 1, it is done now, and the lock is held; 0, there was no such
 * thing; -EBUSY (in_use): somebody has the volume open; or a negative errno.
 */
int sm_merge_resume(struct sm_pool *pool, struct scat_volume *v, uint32_t *ret_source,
		    struct snapmgr_err *err);

/* ---- merge_tend.c: its end, by whomever ---- */

/* sm_merge_left() - sectors that are not merged yet; 0: it is done. -EIO: the kernel gave up */
int sm_merge_left(struct sm_pool *pool, const struct scat_volume *v, uint64_t *ret,
		  struct snapmgr_err *err);
/* sm_merge_finish() - of one that is done: the store armed again, the states, the table. */
int sm_merge_finish(struct sm_pool *pool, struct scat_volume *v, struct sdm_switch **ret_settle,
		    struct snapmgr_err *err);
int sm_volumes_all(struct sm_pool *pool, struct sm_volumes *ret, struct snapmgr_err *err);
/* sm_merge_tend() - of every volume: what the dead left goes on, and what is done is finished. */
int sm_merge_tend(struct sm_pool *pool, struct snapmgr_err *err);

#endif
