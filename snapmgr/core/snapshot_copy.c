/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A snapshot of a file that has to be copied: a lasting operation.
 *
 * The file stays claimed, and its volume is snapshotting, until the copy is there. A copy that was cut
 * short is not gone on with: nobody knows what was written to the file after its owner's death.
 */
#include "snapmgr/core/rewrite.h"

#include <errno.h>
#include <inttypes.h>

struct taking {
	struct sm_pool *pool;
	struct scat_volume *v;
	struct scat_snapshot *s;
	const struct snapmgr_snapshot_opts *opts;
	struct sm_lasting op;
};

static int insert(struct sm_pool *pool, void *arg, struct snapmgr_err *err)
{
	struct taking *t = arg;
	struct scat_snapshot *s = t->s;
	int r;

	s->sequence = ++t->v->sequence; /* the volume's row is written with its state */
	s->c.created_at_us = t->v->last_snapshot_at_us = sm_next_time(pool->op.started_at_us,
								      t->v->last_snapshot_at_us);
	s->c.state = SCAT_CREATING;
	r = scat_snapshot_insert(pool->cat, s, err);
	return r == 0 ? sm_set_tags(pool, &s->c.uuid, t->opts->tags, t->opts->n_tags, err) : r;
}

static int end_rows(struct sm_pool *pool, void *arg, struct snapmgr_err *err)
{
	struct taking *t = arg;

	(void)pool;
	(void)err;
	t->v->c.parent = t->s->id; /* the head descends from it now */
	return 0;
}

static int on_progress(const struct sio_progress *p, void *data)
{
	struct taking *t = data;

	return sm_lasting_progress(&t->op, p->done_bytes, p->todo_bytes);
}

/* The whole of it is known to be needed before anything is copied. */
static int check_room(const struct taking *t, const struct sm_vdev *dev, uint64_t *ret_bytes,
		      struct snapmgr_err *err)
{
	const struct sm_backend *b = &t->pool->b;
	struct sm_space s;
	uint64_t left;
	int r = b->driver->rewrite->room(b, dev, ret_bytes, err);

	if (r == 0)
		r = b->driver->space(b, false, &s, err);
	if (r < 0)
		return r;
	left = s.data_bytes > s.data_used_bytes ? s.data_bytes - s.data_used_bytes : 0;
	if (*ret_bytes <= left)
		return 0;
	return sm_fail(err, SNAPMGR_NO_SPACE, ENOSPC,
		       "'%s/%s' has to be copied, which needs %" PRIu64
		       " MiB, and the filesystem of '%s' has %" PRIu64 " left",
		       t->pool->row.name, t->v->c.name, (*ret_bytes + SM_MIB - 1) / SM_MIB, b->dir,
		       left / SM_MIB);
}

static int begin(struct taking *t, const struct sm_vdev *dev, struct snapmgr_err *err)
{
	struct sm_lasting_plan plan = {
		.verb = "snapshot",
		.volume = t->v,
		.volume_state = SCAT_SNAPSHOTTING,
		.snapshot = t->s,
		.snapshot_state = SCAT_CREATING,
		.rows = insert,
		.arg = t,
	};
	int r = check_room(t, dev, &plan.todo_bytes, err);

	if (r == 0)
		r = sm_id_reserve(t->pool, 1, err);
	if (r < 0)
		return r;
	t->s->c.thin = t->pool->row.next_thin++;
	return sm_lasting_begin(t->pool, &plan, &t->op, err);
}

int sm_snapshot_copy(struct sm_pool *pool, struct scat_volume *v, struct scat_snapshot *s,
		     const struct sm_vdev *dev, int fd, const struct snapmgr_snapshot_opts *opts,
		     struct snapmgr_err *err)
{
	struct taking t = { .pool = pool, .v = v, .s = s, .opts = opts };
	const struct sm_watch watch = { .progress = on_progress, .data = &t };
	int r = begin(&t, dev, err);

	if (r < 0)
		return r;
	r = pool->b.driver->rewrite->keep(&pool->b, dev, fd, s->c.thin, &watch, err);
	if (r == -ECANCELED)
		r = sm_lasting_stopped(&t.op, err);
	if (r == 0)
		r = sm_lasting_end(&t.op, end_rows, &t, err);
	if (r < 0) {
		scat_rollback(pool->cat);
		sm_lasting_undo(&t.op);
	}
	sm_lasting_release(&t.op);
	return r;
}

/* ---- what a dead owner left ---- */

static int settle_rows(struct sm_pool *pool, const struct scat_operation *op,
		       struct snapmgr_err *err)
{
	struct scat_snapshot s;
	struct scat_volume v;
	int r = scat_snapshot_by_id(pool->cat, op->snapshot, &s, err);

	if (r == 0)
		r = scat_snapshot_delete(pool->cat, s.id, err);
	if (r == 0)
		r = scat_garbage_add(pool->cat, s.c.thin, err);
	if (r == 0 || r == -ENOENT)
		r = scat_volume_by_id(pool->cat, op->volume, &v, err);
	if (r == 0 && v.c.state == SCAT_SNAPSHOTTING) {
		v.c.state = SCAT_AVAILABLE;
		r = scat_volume_update(pool->cat, &v, err);
	}
	return r == 0 || r == -ENOENT ? scat_operation_delete(pool->cat, op->id, err) : r;
}

int sm_snapshot_settle(struct sm_pool *pool, const struct scat_operation *op, char *said,
		       struct snapmgr_err *err)
{
	int r = scat_begin(pool->cat, err);

	if (r == 0)
		r = settle_rows(pool, op, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	if (r == 0) /* what stays is garbage still */
		(void)sm_garbage_drop(pool, NULL);
	(void)sm_copy_text(said, SM_SAID, "the unfinished snapshot is gone");
	return r;
}
