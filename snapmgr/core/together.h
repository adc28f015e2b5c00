/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * together.h - the volumes of a group get other heads, all or none: its revert and its undo
 */
#ifndef SM_TOGETHER_H
#define SM_TOGETHER_H

#include "snapmgr/core/displace.h"

struct sm_member {
	struct scat_volume volume;
	struct scat_snapshot snapshot; /* of a revert; id 0: none */
	struct scat_undo undo;	       /* of an undo */
	uint32_t made;		       /* thin id of the copy that becomes the head; 0: none yet */
};

struct sm_together {
	struct sm_found *f;
	const char *verb; /* "revert", "undo" */
	bool no_undo, swap;
	struct sm_member *m; /* owned; those that change */
	struct sm_displace *d;
	size_t n;
	struct sm_volumes late, gone; /* left alone: not in it then; not in it any more */
};

/* sm_together_add() - one more that changes; -ENOMEM */
int sm_together_add(struct sm_together *t, const struct sm_member *m, struct snapmgr_err *err);
/* sm_together_leave() - one more that is left alone */
int sm_together_leave(struct sm_volumes *list, const struct scat_volume *v,
		      struct snapmgr_err *err);
/**
 * sm_together_run() - quota, space, claims, switch, and mounting again
 * @how: online, remount, force of each; the heads wanted are in the members
 *
 * Every member has been checked by itself. On a dry run nothing changes. The pool is unlocked on
 * return, on every path.
 */
int sm_together_run(struct sm_together *t, const struct sm_displace *how, bool dry_run,
		    struct snapmgr_err *err);
/* sm_together_tell() - the group, @s (or NULL), and each volume to the caller's callback. */
int sm_together_tell(struct sm_together *t, const struct scat_set *s, snapmgr_member_fn *visit,
		     void *data, struct snapmgr_err *err);
bool sm_together_kept(const struct sm_together *t); /* each has a way back */
uint64_t sm_together_suspended_ns(const struct sm_together *t);
void sm_together_release(struct sm_together *t);
static inline void auto_sm_together_release(struct sm_together *t)
{
	sm_together_release(t);
}

/* ---- revert.c, revert_group.c, undo_group.c ---- */

/* sm_revert_check() - may @v be reverted to @s: support, states; with @latest_only, its age; a driver
 * that has no reverts is no reason against it with @allow_clone */
int sm_revert_check(struct sm_pool *pool, const struct scat_volume *v,
		    const struct scat_snapshot *s, bool latest_only, bool allow_clone,
		    struct snapmgr_err *err);
int sm_revert_group(struct sm_found *f, const struct snapmgr_revert_opts *o, uint64_t start_ns,
		    struct snapmgr_revert_result *ret, struct snapmgr_err *err);
int sm_undo_group(struct sm_found *f, const struct snapmgr_undo_opts *o, uint64_t start_ns,
		  struct snapmgr_revert_result *ret, struct snapmgr_err *err);
/* sm_undo_check() - is the undo point free to become a head? */
int sm_undo_check(struct sm_pool *pool, const struct scat_volume *v, const struct scat_undo *u,
		  struct snapmgr_err *err);

#endif
