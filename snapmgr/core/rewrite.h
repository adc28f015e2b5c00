/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * rewrite.h - reverts, undos, snapshots and clones of a file that has to be copied
 *
 * A lasting operation, for which the pool's lock is free and the volume's file stays claimed:
 *
 *   1. its row, volume reverting, snapshot restoring;
 *   2. the old contents are copied into a file of their own. Who dies until here has changed nothing,
 *      and is undone;
 *   3. the row says that it can be resumed, the mark that the file is a mixture;
 *   4. the new contents are copied into the file, with checkpoints in the row;
 *   5. the mark says that they are there; one commit: head, undo point, states, and the row goes.
 *
 * Who dies between 3 and 5 is gone on with from the last checkpoint, by whoever opens the pool next for
 * a change. A failure or a stop there goes back by what 2 has kept. Without that (--no-undo) there is no
 * way back: the volume is the new one, in state reverting_error, until a revert or a recovery ends it.
 */
#ifndef SM_REWRITE_H
#define SM_REWRITE_H

#include "snapmgr/core/displace.h"
#include "snapmgr/core/lasting.h"

struct sm_rewrite {
	struct sm_pool *pool;
	struct sm_displace *d; /* the claim and the change, filled */
	struct scat_volume *v;
	struct scat_snapshot *s; /* NULL: an undo */
	uint32_t old, new;
	struct sm_vdev dev;
	struct sm_lasting op;
	bool kept;		      /* the old contents are there to go back to */
	bool deaf;		      /* it goes back: nobody stops that */
	uint64_t before_bytes, bytes; /* for progress: in the parts that are over, in all */
};

/* sm_rewrite_wanted() - does this pool copy where others repoint? */
bool sm_rewrite_wanted(const struct sm_pool *pool);
/**
 * sm_rewrite() - what sm_displace() of one volume does, as a lasting operation
 *
 * After sm_op_begin() and sm_displace_prepare(); @d->change is filled. @s: NULL: an undo. Takes care of
 * the new id on failure.
 */
int sm_rewrite(struct sm_pool *pool, struct sm_displace *d, struct scat_snapshot *s,
	       struct snapmgr_err *err);
/* sm_rewrite_tend() - go on with what the dead left, as far as it can be resumed; the lock is held, and
 * free while it copies. What cannot be gone on with now is a warning. */
int sm_rewrite_tend(struct sm_pool *pool, struct snapmgr_err *err);
/* sm_rewrite_settle() - the handler of sm_lasting_verbs: back to what was before */
int sm_rewrite_settle(struct sm_pool *pool, const struct scat_operation *op, char *said,
		      struct snapmgr_err *err);

/* ---- snapshot_copy.c ---- */

/* sm_snapshot_copy() - @s, described but for its id, of @v, whose file is claimed as @fd; after
 * sm_op_begin(). The lock is free meanwhile, and held afterwards. */
int sm_snapshot_copy(struct sm_pool *pool, struct scat_volume *v, struct scat_snapshot *s,
		     const struct sm_vdev *dev, int fd, const struct snapmgr_snapshot_opts *opts,
		     struct snapmgr_err *err);
/* sm_snapshot_settle() - the handler of sm_lasting_verbs */
int sm_snapshot_settle(struct sm_pool *pool, const struct scat_operation *op, char *said,
		       struct snapmgr_err *err);

/* ---- clone_copy.c ---- */

/* sm_clone_copy() - @v, described, with the id of its source's second name; after sm_op_begin(). */
int sm_clone_copy(struct sm_pool *pool, struct scat_volume *v, const struct snapmgr_create_opts *o,
		  struct snapmgr_err *err);
/* sm_clone_settle() - the handler of sm_lasting_verbs */
int sm_clone_settle(struct sm_pool *pool, const struct scat_operation *op, char *said,
		    struct snapmgr_err *err);

/* ---- rewrite.c for rewrite_settle.c ---- */

/* The row's own text: what has to be known to go on. */
void sm_rewrite_print(const struct sm_rewrite *w, char ret[64]);
/* Without the lock: from the position where the checkpoint was to the end. */
int sm_rewrite_go_on(struct sm_rewrite *w, uint64_t resume_at, struct snapmgr_err *err);
/* Without the lock: the file holds what it held before; -ENODATA where nothing was kept of it. */
int sm_rewrite_go_back(struct sm_rewrite *w, struct snapmgr_err *err);
/* Nothing was kept: under the lock, the volume is the new one, in state reverting_error. */
int sm_rewrite_leave_broken(struct sm_rewrite *w, struct snapmgr_err *err);

#endif
