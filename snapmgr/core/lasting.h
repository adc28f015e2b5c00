/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * lasting.h - operations that outlast their hold of the pool's lock
 *
 * A verb that copies for long
 *   1. opens its pool for writing, checks, says sm_op_begin(), makes what it fills;
 *   2. sm_lasting_begin(): one durable transaction writes the operation's row and the states in
 *      transition; then the lock is free. From here on every other change to volume and snapshot is
 *      refused with a conflict that names the operation, its process and its age;
 *   3. works: sm_lasting_progress() often, sm_lasting_checkpoint() seldom;
 *   4. sm_lasting_end(), or sm_lasting_retake() and a transaction of its own that contains
 *      sm_lasting_leave(): the lock again, the final states, and the row goes, in one commit;
 *   5. where it fails or is asked to stop: sm_lasting_undo(), which is what recovery does, too;
 *   6. sm_lasting_release() on every path.
 *
 * Its owner is in the row (boot id, pid, start time). One whose owner is dead is settled by its verb's
 * handler (sm_lasting_verbs): when the pool is opened for a change, by the monitor, by activation. One
 * that is merely slow is left alone, however long. The pool's row counts the operations, so that a pool
 * without any pays nothing for this.
 */
#ifndef SM_LASTING_H
#define SM_LASTING_H

#include "snapmgr/catalogue/progress.h"
#include "snapmgr/core/core.h"

typedef int sm_rows_fn(struct sm_pool *pool, void *arg, struct snapmgr_err *err);

struct sm_lasting_plan {
	const char *verb; /* of sm_lasting_verbs; pool->op, from sm_op_begin(), has its UUID */
	/* What it changes, with the states that it has meanwhile; borrowed until sm_lasting_release(),
	 * and kept as the catalogue has them. A volume of id 0 is inserted by @rows. NULL: none. */
	struct scat_volume *volume;
	enum scat_state volume_state;
	struct scat_snapshot *snapshot;
	enum scat_state snapshot_state;
	uint64_t new_size_bytes; /* the volume's afterwards: its growth is reserved; 0: unchanged */
	uint32_t thin;		 /* an id of the driver's that is filled and no other row names */
	uint64_t todo_bytes;	 /* for progress; 0: unknown */
	bool resumable;		 /* a dead owner's is kept for the same command, until cancelled */
	const char *detail;	 /* the verb's own, for its handler; NULL: "" */
	sm_rows_fn *rows;	 /* further rows of the first transaction; may be NULL */
	void *arg;
};

struct sm_lasting { /* zeroed: none */
	struct sm_pool *pool;
	struct scat_operation row;
	struct scat_volume *volume;
	struct scat_snapshot *snapshot;
	struct sprogress progress;
	char what[SNAPMGR_SPEC_TEXT + 32]; /* "copy p0/v", for progress */
};

/**
 * sm_lasting_begin() - journal it, and let go of the lock
 *
 * Return: 0, the lock is free; or a negative errno, the lock is held and nothing has changed but what
 * the caller made in the kernel.
 */
int sm_lasting_begin(struct sm_pool *pool, const struct sm_lasting_plan *plan,
		     struct sm_lasting *ret, struct snapmgr_err *err);
/**
 * sm_lasting_adopt() - go on with a dead owner's, which is resumable; the lock is held, then free
 *
 * Its row gets this process as owner. @volume, @snapshot: its own, as of the catalogue, or NULL.
 */
int sm_lasting_adopt(struct sm_pool *pool, const struct scat_operation *row,
		     struct scat_volume *volume, struct scat_snapshot *snapshot,
		     struct sm_lasting *ret, struct snapmgr_err *err);
/* sm_lasting_progress() - tell everybody how far it is; no system call but the clock's.
 * Return: 0; -ECANCELED where it shall stop (err is the caller's to fill: sm_lasting_stopped()). */
int sm_lasting_progress(struct sm_lasting *op, uint64_t done_bytes, uint64_t todo_bytes);
/* sm_lasting_stopped() - -ECANCELED with its error. */
int sm_lasting_stopped(const struct sm_lasting *op, struct snapmgr_err *err);
bool sm_lasting_cancelled(const struct sm_lasting *op);
/**
 * sm_lasting_checkpoint() - all before position @done is on the target for good
 * @detail: replaces the row's; NULL: as it is
 *
 * Takes the lock for one durable transaction. Where others keep it for a second it is left out, since
 * all that it saves is time. Return: 0; -ESTALE (stale): the operation was taken from us.
 */
int sm_lasting_checkpoint(struct sm_lasting *op, uint64_t done, const char *detail,
			  struct snapmgr_err *err);
/**
 * sm_lasting_retake() - the pool's lock again, in a transaction, and the rows as they are now
 * Return: 0; -ESTALE (stale): somebody took us for dead and settled it; -EAGAIN (locked); ...
 */
int sm_lasting_retake(struct sm_lasting *op, struct snapmgr_err *err);
/* sm_lasting_leave() - in the caller's transaction, after retake: the row goes, and the snapshot is
 * available. The volume's state is the caller's. */
int sm_lasting_leave(struct sm_lasting *op, struct snapmgr_err *err);
/* sm_lasting_end() - retake, @rows (may be NULL), both available, leave, a durable commit. The lock is
 * held then. */
int sm_lasting_end(struct sm_lasting *op, sm_rows_fn *rows, void *arg, struct snapmgr_err *err);
/**
 * sm_lasting_undo() - it failed, or shall stop: settle it as recovery would
 *
 * Takes the lock where it is not held. What cannot be undone now is left to recovery, with a warning.
 */
void sm_lasting_undo(struct sm_lasting *op);
/* sm_lasting_abandon() - it failed, and is resumable: left as a dead owner would leave it. */
void sm_lasting_abandon(struct sm_lasting *op);
void sm_lasting_release(struct sm_lasting *op);
static inline void auto_sm_lasting_release(struct sm_lasting *op)
{
	sm_lasting_release(op);
}

/* ---- lasting_recover.c ---- */

#define SM_SAID 200
struct sm_lasting_verb {
	const char *verb; /* NULL ends the table */
	/**
	 * Finish or undo what @op's owner left; under the lock.
	 * @said: how it ended, for people: "the unfinished volume is gone"
	 *
	 * First the kernel (each step repeatable), then one durable transaction that puts the rows
	 * right and deletes that of @op. -EBUSY: not now, a later command tries again.
	 */
	int (*settle)(struct sm_pool *pool, const struct scat_operation *op, char said[SM_SAID],
		      struct snapmgr_err *err);
};
extern const struct sm_lasting_verb sm_lasting_verbs[];
/* reading.c */
int sm_reading_settle(struct sm_pool *pool, const struct scat_operation *op, char said[SM_SAID],
		      struct snapmgr_err *err);
/* merge_tend.c */
int sm_merge_settle(struct sm_pool *pool, const struct scat_operation *op, char said[SM_SAID],
		    struct snapmgr_err *err);

/**
 * sm_lasting_settle() - run @op's handler, whoever its owner is: of a dead one, or of our own
 * Return: 0, its row is gone, and its progress file; or a negative errno.
 */
int sm_lasting_settle(struct sm_pool *pool, const struct scat_operation *op, char said[SM_SAID],
		      struct snapmgr_err *err);
/* sm_lasting_none_alive() - -EBUSY (in_use) where somebody is at work in the pool */
int sm_lasting_none_alive(struct sm_pool *pool, struct snapmgr_err *err);
/* sm_lasting_object() - "vol", "vol@snap" or the pool's name, of what it changes */
void sm_lasting_object(struct sm_pool *pool, const struct scat_operation *op,
		       char ret[2 * SNAPMGR_NAME_MAX + 2]);

/**
 * sm_lasting_thin_device() - how a thin id that an operation reads or fills is mapped meanwhile
 * @part: "source" or "target"
 *
 * Not under /dev/snapmgr, and named after the operation, so that recovery finds it.
 */
void sm_lasting_thin_device(const struct sm_uuid *operation, const char *part, uint32_t thin,
			    uint64_t size_bytes, struct sm_vdev *ret);

#endif
