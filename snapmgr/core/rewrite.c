/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A head copied into, by its owner: see rewrite.h. */
#include "snapmgr/core/rewrite.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

bool sm_rewrite_wanted(const struct sm_pool *pool)
{
	const struct sm_rewrite_driver *rewrite = pool->b.driver->rewrite;

	return rewrite && rewrite->lasts(&pool->b);
}

static const struct sm_rewrite_driver *slots(const struct sm_rewrite *w)
{
	return w->pool->b.driver->rewrite;
}

/* ---- while it copies ---- */

static int on_progress(const struct sio_progress *p, void *data)
{
	struct sm_rewrite *w = data;
	int r = sm_lasting_progress(&w->op, w->before_bytes + p->done_bytes,
				    w->bytes > w->before_bytes + p->todo_bytes ?
					    w->bytes :
					    w->before_bytes + p->todo_bytes);

	return w->deaf ? 0 : r;
}

static int on_checkpoint(uint64_t durable, void *data, struct snapmgr_err *err)
{
	struct sm_rewrite *w = data;

	return sm_lasting_checkpoint(&w->op, durable, NULL, err);
}

static int stopped(const struct sm_rewrite *w, int r, struct snapmgr_err *err)
{
	return r == -ECANCELED ? sm_lasting_stopped(&w->op, err) : r;
}

static int fill(struct sm_rewrite *w, uint32_t id, uint64_t resume_at, bool checkpoints,
		struct snapmgr_err *err)
{
	const struct sm_watch watch = { .progress = on_progress,
					.checkpoint = checkpoints ? on_checkpoint : NULL,
					.data = w,
					.resume_at = resume_at };

	return slots(w)->fill(&w->pool->b, &w->dev, w->d->claim.fd, id, &watch, err);
}

int sm_rewrite_go_back(struct sm_rewrite *w, struct snapmgr_err *err)
{
	const struct sm_contents old = { w->old, 0 };
	int r;

	if (!w->kept)
		return -ENODATA;
	w->deaf = true;
	w->before_bytes = w->bytes = 0;
	r = fill(w, w->old, 0, false, err);
	return r == 0 ? slots(w)->mark(&w->pool->b, &w->dev, &old, err) : r;
}

/* ---- the end ---- */

static int end_rows(struct sm_pool *pool, void *arg, struct snapmgr_err *err)
{
	struct sm_rewrite *w = arg;

	(void)pool;
	return sm_lasting_leave(&w->op, err);
}

/* The file is what the catalogue will say: only rows change. */
static int commit(struct sm_rewrite *w, sm_rows_fn *rows, struct snapmgr_err *err)
{
	struct sm_displace *d = w->d;

	w->pool->op.started_at_us = sm_now_us(); /* the undo point is of now */
	d->claim.mapped = false;
	d->rows = rows;
	d->rows_arg = w;
	d->volume = w->v;
	return sm_displace(w->pool, d, 1, err);
}

int sm_rewrite_go_on(struct sm_rewrite *w, uint64_t resume_at, struct snapmgr_err *err)
{
	const struct sm_contents new = { w->new, 0 };
	struct sm_contents now = { 0 };
	int r = slots(w)->holds(&w->pool->b, &w->dev, &now, err);

	if (r == 0 && (now.id != w->new || now.to)) {
		r = stopped(w, fill(w, w->new, resume_at, true, err), err);
		if (r == 0)
			r = slots(w)->mark(&w->pool->b, &w->dev, &new, err);
	}
	if (r == 0)
		r = sm_lasting_retake(&w->op, err);
	if (r == 0)
		r = commit(w, end_rows, err);
	if (r == 0) /* what it held is in the head now */
		(void)slots(w)->forget(&w->pool->b, w->new, NULL);
	return r;
}

static int broken_rows(struct sm_pool *pool, void *arg, struct snapmgr_err *err)
{
	struct sm_rewrite *w = arg;
	struct scat_volume v = w->d->change.wanted;
	int r = sm_lasting_leave(&w->op, err);

	v.c.state = SCAT_REVERTING_ERROR;
	return r == 0 ? scat_volume_update(pool->cat, &v, err) : r;
}

int sm_rewrite_leave_broken(struct sm_rewrite *w, struct snapmgr_err *err)
{
	int r;

	w->d->lost = w->d->quiet = true;
	r = commit(w, broken_rows, err);
	if (r == 0)
		w->v->c.state = SCAT_REVERTING_ERROR;
	return r;
}

/* ---- the beginning ---- */

void sm_rewrite_print(const struct sm_rewrite *w, char ret[64])
{
	(void)snprintf(ret, 64, "new %" PRIu32 " kept %d", w->new, w->kept);
}

/* Room for what it keeps, and for what the new contents have more; before anything is copied. */
static int check_room(struct sm_rewrite *w, bool keep, struct snapmgr_err *err)
{
	const struct sm_vdev source = { .id = w->new, .dm.read_only = true };
	uint64_t old = 0, new = 0, need, left;
	struct sm_space s;
	int r = slots(w)->room(&w->pool->b, &w->dev, &old, err);

	if (r == 0)
		r = slots(w)->room(&w->pool->b, &source, &new, err);
	if (r == 0)
		r = w->pool->b.driver->space(&w->pool->b, false, &s, err);
	if (r < 0)
		return r;
	w->bytes = new + (keep ? old : 0);
	need = (keep ? old : 0) + (new > old ? new - old : 0);
	left = s.data_bytes > s.data_used_bytes ? s.data_bytes - s.data_used_bytes : 0;
	if (need <= left)
		return 0;
	return sm_fail(err, SNAPMGR_NO_SPACE, ENOSPC,
		       "'%s/%s' has to be copied, which needs %" PRIu64
		       " MiB, and the filesystem of "
		       "'%s' has %" PRIu64 " left%s",
		       w->pool->row.name, w->v->c.name, (need + SM_MIB - 1) / SM_MIB,
		       w->pool->b.dir, left / SM_MIB,
		       keep && !w->d->swap ? ": --no-undo needs less" : "");
}

static int begin(struct sm_rewrite *w, struct snapmgr_err *err)
{
	char detail[64];
	const struct sm_lasting_plan plan = {
		.verb = w->s ? "revert" : "undo",
		.volume = w->v,
		.volume_state = SCAT_REVERTING,
		.snapshot = w->s,
		.snapshot_state = SCAT_RESTORING,
		.new_size_bytes = w->d->change.size_bytes,
		.thin = w->s ? w->new : 0, /* that of an undo point has its name */
		.todo_bytes = w->bytes,
		.detail = detail,
	};

	sm_rewrite_print(w, detail);
	return sm_lasting_begin(w->pool, &plan, &w->op, err);
}

/* Without the lock. A mixture is not worth keeping. */
static int keep(struct sm_rewrite *w, struct snapmgr_err *err)
{
	const struct sm_watch watch = { .progress = on_progress, .data = w };
	const uint64_t all = w->bytes;
	uint64_t old = 0;
	int r = stopped(
		w, slots(w)->keep(&w->pool->b, &w->dev, w->d->claim.fd, w->old, &watch, err), err);

	if (r < 0)
		return r;
	w->kept = true;
	(void)slots(w)->room(&w->pool->b, &w->dev, &old, NULL);
	w->before_bytes = old < all ? old : all;
	return 0;
}

/* From here on a dead owner is not undone, but gone on with. */
static int point_of_change(struct sm_rewrite *w, struct snapmgr_err *err)
{
	const struct sm_contents mixture = { w->old, w->new };
	int r = sm_lasting_retake(&w->op, err);

	if (r < 0)
		return r;
	w->op.row.resumable = true;
	sm_rewrite_print(w, w->op.row.detail);
	r = scat_operation_update(w->pool->cat, &w->op.row, err);
	if (r == 0)
		r = scat_commit(w->pool->cat, true, err);
	scat_rollback(w->pool->cat);
	sm_pool_unlock(w->pool);
	return r == 0 ? slots(w)->mark(&w->pool->b, &w->dev, &mixture, err) : r;
}

/* Back where that is possible; else it says so by its state. What cannot be done now waits. */
static int give_up(struct sm_rewrite *w, int r, struct snapmgr_err *err)
{
	struct snapmgr_err why = { 0 };
	struct sm_contents now = { 0 };
	int back = 0;

	scat_rollback(w->pool->cat);
	sm_pool_unlock(w->pool);
	if (slots(w)->holds(&w->pool->b, &w->dev, &now, &why) < 0 || now.id == w->new)
		back = -EAGAIN;
	else if (now.to == w->new)
		back = sm_rewrite_go_back(w, &why);
	if (back == 0) {
		sm_lasting_undo(&w->op);
		return r;
	}
	if (back == -ENODATA && sm_lasting_retake(&w->op, &why) == 0 &&
	    sm_rewrite_leave_broken(w, &why) == 0)
		return sm_fail(err, SNAPMGR_BAD_STATE, -r,
			       "%s was cut short, and nothing was kept to go back to: '%s/%s' is a "
			       "mixture until a revert or 'snapmgr recover %s' ends that",
			       w->op.what, w->pool->row.name, w->v->c.name, w->pool->row.name);
	scat_rollback(w->pool->cat);
	sm_lasting_abandon(&w->op);
	return r;
}

static int run(struct sm_rewrite *w, bool keeps, struct snapmgr_err *err)
{
	int r = keeps ? keep(w, err) : 0;

	if (r == 0)
		r = point_of_change(w, err);
	return r == 0 ? sm_rewrite_go_on(w, 0, err) : r;
}

int sm_rewrite(struct sm_pool *pool, struct sm_displace *d, struct scat_snapshot *s,
	       struct snapmgr_err *err)
{
	struct sm_rewrite w = { .pool = pool,
				.d = d,
				.v = d->volume,
				.s = s,
				.old = d->volume->c.thin,
				.new = d->change.thin };
	struct sm_contents now = { 0 };
	bool keeps;
	int r;

	sm_volume_device(pool, d->volume, &w.dev);
	r = slots(&w)->holds(&pool->b, &w.dev, &now, err);
	d->lost = now.to != 0;
	keeps = !d->lost && (d->swap || !d->no_undo);
	if (r == 0)
		r = check_room(&w, keeps, err);
	if (r == 0)
		r = begin(&w, err);
	if (r < 0) {
		if (s && r != -EIO)
			(void)pool->b.driver->drop(&pool->b, w.new, NULL);
		return r;
	}
	r = run(&w, keeps, err);
	if (r < 0)
		r = give_up(&w, r, err);
	sm_lasting_release(&w.op);
	return r;
}
