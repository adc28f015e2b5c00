/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * displace.h - heads displaced by others: what revert and undo have in common
 *
 * prepare (nobody uses the volumes; their mounts taken away), displace (the switch and its commit),
 * finish (unlock, wait for udev, mount again; on every path). One volume, or several at one instant.
 */
#ifndef SM_DISPLACE_H
#define SM_DISPLACE_H

#include "snapmgr/core/core.h"

struct sm_displace {
	struct scat_volume *volume; /* borrowed */
	bool online, remount, force, no_undo;
	bool at_once; /* nothing but the switch follows: see sm_claim_lightly() */
	struct sm_claim claim;
	struct sm_head_change change; /* the caller fills what the new head is */
	struct shost_mounts mounts;
	struct sm_uuid noted; /* under this name, until they are back; null: nothing is */
	size_t unmounted;     /* as the how manyeth of all, from 1; 0: not */
	bool held;	      /* a Ctrl-C waits until they are back */
	sigset_t signals;
	uint32_t old_thin; /* the displaced head */
	uint64_t old_size_bytes;
	int64_t old_parent;
	struct scat_undo *swap; /* undo: the point that the head is swapped with; NULL: a revert */
	bool lost;		/* it is a mixture, which nobody wants back */
	bool kept;		/* the displaced head is an undo point now */
	bool together;		/* with those of the same operation, and so is its undo point */
	bool quiet;		/* no message of its own */
	/* The caller's rows of the same transaction; may be NULL. */
	int (*rows)(struct sm_pool *pool, void *arg, struct snapmgr_err *err);
	void *rows_arg;
};
/* Of devices whose tables alone change; what has bytes moved, or a file's page cache, has to be held. */
static inline bool sm_switches_at_once(const struct sm_pool *pool)
{
	return !pool->b.dir[0] && !pool->b.driver->stores;
}
/**
 * sm_displace_prepare() - if quotas allow it, claim all of @d[0..n), after their mounts are gone
 *
 * The caller has filled volume, the options, and change.size_bytes of each.
 */
int sm_displace_prepare(struct sm_pool *pool, struct sm_displace *d, size_t n, bool out_of_data,
			bool dry_run, struct snapmgr_err *err);
/**
 * sm_displace_check_undo() - -EBUSY (in_use) where one more undo point would push out a mapped one
 *
 * Its device would be left with no row to name it, and keep its id and the pool busy.
 */
int sm_displace_check_undo(struct sm_pool *pool, const struct scat_volume *v,
			   struct snapmgr_err *err);
/* sm_displace_evict() - in the open transaction: undo points beyond those it keeps become garbage;
 * @by: the id of the head for which they go. */
int sm_displace_evict(struct sm_pool *pool, const struct scat_volume *v, uint32_t by,
		      struct snapmgr_err *err);
/* sm_displace() - all or none, by one commit. */
int sm_displace(struct sm_pool *pool, struct sm_displace *d, size_t n, struct snapmgr_err *err);
/* sm_displace_finish() - @r: how it went so far. Return: that, or the error of mounting again. */
int sm_displace_finish(struct sm_pool *pool, struct sm_displace *d, size_t n, int r,
		       struct snapmgr_err *err);
void sm_displace_release(struct sm_displace *d);
static inline void auto_sm_displace_release(struct sm_displace *d)
{
	sm_displace_release(d);
}
/* sm_keep_object() - a snapmgr_object_fn that copies the object (without tags) to @data. */
int sm_keep_object(const struct snapmgr_object *object, void *data);

#endif
