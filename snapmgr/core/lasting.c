/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A lasting operation, as its owner sees it: begun, told of, and ended. */
#include "snapmgr/core/lasting.h"

#include <errno.h>
#include <string.h>

#define CHECKPOINT_WAIT_MS 1000
#define END_WAIT_MS	   600000 /* hours of copying are not thrown away for a lock */

static void describe(struct sm_pool *pool, const struct sm_lasting_plan *plan,
		     struct scat_operation *row)
{
	const struct slock_holder *op = &pool->op;

	*row = (struct scat_operation){
		.uuid = op->uuid,
		.boot_id = op->boot_id,
		.pid = op->pid,
		.start_ticks = op->start_ticks,
		.started_at_us = op->started_at_us,
		.new_size_bytes = plan->new_size_bytes,
		.thin = plan->thin,
		.todo_bytes = plan->todo_bytes,
		.resumable = plan->resumable,
	};
	(void)sm_copy_text(row->verb, sizeof(row->verb), plan->verb);
	(void)sm_copy_text(row->detail, sizeof(row->detail), plan->detail ? plan->detail : "");
}

static int set_states(struct sm_pool *pool, const struct sm_lasting_plan *plan,
		      struct snapmgr_err *err)
{
	struct scat_volume *v = plan->volume;
	struct scat_snapshot *s = plan->snapshot;
	int r = 0;

	if (v && v->c.state != plan->volume_state) {
		v->c.state = plan->volume_state;
		r = scat_volume_update(pool->cat, v, err);
	}
	if (s && r == 0) {
		s->c.state = plan->snapshot_state;
		r = scat_snapshot_update(pool->cat, s, err);
	}
	return r;
}

static int write_begin(struct sm_pool *pool, const struct sm_lasting_plan *plan,
		       struct scat_operation *row, struct snapmgr_err *err)
{
	int r = scat_begin(pool->cat, err);

	if (r == 0 && plan->rows)
		r = plan->rows(pool, plan->arg, err);
	if (r == 0)
		r = set_states(pool, plan, err);
	row->volume = plan->volume ? plan->volume->id : 0;
	row->snapshot = plan->snapshot ? plan->snapshot->id : 0;
	if (r == 0)
		r = scat_operation_insert(pool->cat, row, err);
	if (r == 0)
		r = sm_pool_save(pool, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	return r;
}

/* The commit answered with an I/O error: is it there? */
static int reread(struct sm_pool *pool, const struct sm_uuid *uuid, int r)
{
	struct scat_operation row;

	if (r != -EIO)
		return r;
	if (sm_pool_reopen(pool, NULL) < 0) {
		pool->lock.abandoned = true;
		return r;
	}
	return scat_operation_by_uuid(pool->cat, uuid, &row, NULL) == 0 ? 0 : r;
}

static void start(struct sm_pool *pool, const struct scat_operation *row, struct sm_lasting *op)
{
	char object[2 * SNAPMGR_NAME_MAX + 2], dir[SPROGRESS_DIR];

	sm_lasting_object(pool, row, object);
	op->pool = pool;
	op->row = *row;
	(void)snprintf(op->what, sizeof(op->what), "%s %s/%s", row->verb, pool->row.name, object);
	op->what[sizeof(op->what) - 1] = '\0';
	sprogress_dir(&pool->b.uuid, pool->b.dir, dir);
	sprogress_make(dir, &row->uuid, 0, row->todo_bytes, &op->progress);
	sm_pool_unlock(pool);
}

int sm_lasting_begin(struct sm_pool *pool, const struct sm_lasting_plan *plan,
		     struct sm_lasting *ret, struct snapmgr_err *err)
{
	const enum scat_state v = plan->volume ? plan->volume->c.state : SCAT_STATES;
	const enum scat_state s = plan->snapshot ? plan->snapshot->c.state : SCAT_STATES;
	struct scat_operation row;
	int r;

	describe(pool, plan, &row);
	r = write_begin(pool, plan, &row, err);
	if (r < 0)
		r = reread(pool, &row.uuid, r);
	if (r < 0) {
		if (plan->volume)
			plan->volume->c.state = v;
		if (plan->snapshot)
			plan->snapshot->c.state = s;
		return r;
	}
	pool->row.operations++;
	*ret = (struct sm_lasting){ .volume = plan->volume, .snapshot = plan->snapshot };
	start(pool, &row, ret);
	return 0;
}

int sm_lasting_adopt(struct sm_pool *pool, const struct scat_operation *row,
		     struct scat_volume *volume, struct scat_snapshot *snapshot,
		     struct sm_lasting *ret, struct snapmgr_err *err)
{
	struct scat_operation mine = *row;
	int r = scat_begin(pool->cat, err);

	mine.boot_id = pool->op.boot_id;
	mine.pid = pool->op.pid;
	mine.start_ticks = pool->op.start_ticks;
	if (r == 0)
		r = scat_operation_update(pool->cat, &mine, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	if (r < 0)
		return r;
	pool->op.uuid = row->uuid; /* of its messages, and where it is told of in the lock */
	*ret = (struct sm_lasting){ .volume = volume, .snapshot = snapshot };
	start(pool, &mine, ret);
	return 0;
}

bool sm_lasting_cancelled(const struct sm_lasting *op)
{
	return sprogress_asked_to_stop(&op->progress);
}

int sm_lasting_progress(struct sm_lasting *op, uint64_t done_bytes, uint64_t todo_bytes)
{
	const struct snapmgr_open_opts *o = &op->pool->sm->opts;

	sprogress_set(&op->progress, done_bytes, todo_bytes);
	if (sm_lasting_cancelled(op) ||
	    (o->progress && o->progress(op->what, done_bytes, todo_bytes, o->data)))
		return -ECANCELED;
	return 0;
}

int sm_lasting_stopped(const struct sm_lasting *op, struct snapmgr_err *err)
{
	return sm_fail(err, SNAPMGR_BAD_STATE, ECANCELED, "%s was stopped", op->what);
}

static int taken_away(const struct sm_lasting *op, struct snapmgr_err *err)
{
	char uuid[SNAPMGR_UUID_TEXT];

	sm_uuid_text(&op->row.uuid, uuid);
	return sm_fail(
		err, SNAPMGR_STALE, ESTALE,
		"operation %s (%s) is not this process's any more: it was settled by somebody "
		"else",
		uuid, op->what);
}

/* Ours still? The rows that it is about, as they are now. */
static int look_again(struct sm_lasting *op, struct snapmgr_err *err)
{
	struct scat *cat = op->pool->cat;
	struct scat_operation now;
	int r = scat_operation_by_uuid(cat, &op->row.uuid, &now, err);

	if (r == -ENOENT ||
	    (r == 0 && (now.pid != op->row.pid || now.start_ticks != op->row.start_ticks ||
			!sm_uuid_equal(&now.boot_id, &op->row.boot_id))))
		return taken_away(op, err);
	if (r == 0)
		op->row = now;
	if (r == 0 && op->volume)
		r = scat_volume_by_id(cat, now.volume, op->volume, err);
	if (r == 0 && op->snapshot)
		r = scat_snapshot_by_id(cat, now.snapshot, op->snapshot, err);
	return r == -ENOENT ? taken_away(op, err) : r;
}

static int retake(struct sm_lasting *op, uint32_t wait_ms, struct snapmgr_err *err)
{
	int r = op->pool->lock.held ? scat_begin(op->pool->cat, err) :
				      sm_pool_relock(op->pool, wait_ms, err);

	if (r < 0)
		return r;
	r = look_again(op, err);
	if (r < 0)
		sm_pool_unlock(op->pool);
	else
		slock_tell(&op->pool->lock, &op->pool->op);
	return r;
}

int sm_lasting_retake(struct sm_lasting *op, struct snapmgr_err *err)
{
	return retake(op, END_WAIT_MS, err);
}

int sm_lasting_checkpoint(struct sm_lasting *op, uint64_t done, const char *detail,
			  struct snapmgr_err *err)
{
	struct sm_pool *pool = op->pool;
	int r = retake(op, CHECKPOINT_WAIT_MS, err);

	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	op->row.done_bytes = done;
	if (detail)
		(void)sm_copy_text(op->row.detail, sizeof(op->row.detail), detail);
	r = scat_operation_update(pool->cat, &op->row, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	sm_pool_unlock(pool);
	return r;
}

int sm_lasting_leave(struct sm_lasting *op, struct snapmgr_err *err)
{
	int r = 0;

	if (op->snapshot) {
		op->snapshot->c.state = SCAT_AVAILABLE;
		r = scat_snapshot_update(op->pool->cat, op->snapshot, err);
	}
	if (r == 0)
		r = scat_operation_delete(op->pool->cat, op->row.id, err);
	return r;
}

int sm_lasting_end(struct sm_lasting *op, sm_rows_fn *rows, void *arg, struct snapmgr_err *err)
{
	struct sm_pool *pool = op->pool;
	struct scat_operation left;
	int r = sm_lasting_retake(op, err);

	if (r < 0)
		return r;
	if (op->volume)
		op->volume->c.state = SCAT_AVAILABLE;
	if (rows)
		r = rows(pool, arg, err);
	if (r == 0 && op->volume)
		r = scat_volume_update(pool->cat, op->volume, err);
	if (r == 0)
		r = sm_lasting_leave(op, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	if (r != -EIO)
		return r;
	if (sm_pool_reopen(pool, NULL) < 0) {
		pool->lock.abandoned = true;
		return r;
	}
	return scat_operation_by_uuid(pool->cat, &op->row.uuid, &left, NULL) == -ENOENT ? 0 : r;
}

void sm_lasting_undo(struct sm_lasting *op)
{
	struct snapmgr_err why = { 0 };
	char said[SM_SAID] = "";
	int r = retake(op, END_WAIT_MS, &why);

	if (r == 0)
		r = sm_lasting_settle(op->pool, &op->row, said, &why);
	if (r < 0 && r != -ESTALE)
		sm_warn(op->pool->sm,
			"%s could not be undone yet, the next command tries again: %s", op->what,
			why.message);
}

void sm_lasting_abandon(struct sm_lasting *op)
{
	struct sm_pool *pool = op->pool;
	struct snapmgr_err why = { 0 };
	int r = retake(op, END_WAIT_MS, &why);

	if (r == 0) {
		op->row.start_ticks = 0; /* no process started then */
		r = scat_operation_update(pool->cat, &op->row, &why);
	}
	if (r == 0)
		r = scat_commit(pool->cat, true, &why);
	scat_rollback(pool->cat);
	if (r < 0)
		sm_warn(pool->sm, "%s can be resumed once this process is gone: %s", op->what,
			why.message);
}

void sm_lasting_release(struct sm_lasting *op)
{
	if (!op->pool)
		return;
	sprogress_drop(&op->progress);
	*op = (struct sm_lasting){ 0 };
}

void sm_lasting_thin_device(const struct sm_uuid *operation, const char *part, uint32_t thin,
			    uint64_t size_bytes, struct sm_vdev *ret)
{
	char uuid[SNAPMGR_UUID_TEXT];

	sm_uuid_text(operation, uuid);
	*ret = (struct sm_vdev){ .id = thin, .size_bytes = size_bytes };
	ret->dm.audience = SDM_INTERNAL;
	(void)snprintf(ret->dm.name, sizeof(ret->dm.name), "snapmgr-%s-_%s", uuid, part);
	(void)snprintf(ret->dm.uuid, sizeof(ret->dm.uuid), SM_DM_UUID "%s-%s", uuid, part);
}
