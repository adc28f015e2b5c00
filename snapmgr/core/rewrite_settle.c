/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A head that somebody was copying into when he died: gone on with, or taken back. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/core/rewrite.h"

struct left { /* what a dead owner left, as rows say */
	struct sm_rewrite w;
	struct sm_displace d;
	struct scat_operation op;
	struct scat_volume v;
	struct scat_snapshot s;
	struct scat_undo undo;
	bool has_undo;
};

static int match_undo(const struct scat_undo *undo, void *data)
{
	struct left *l = data;

	if (undo->thin != l->w.new)
		return 0;
	l->undo = *undo;
	l->has_undo = true;
	return 1;
}

static int load_source(struct left *l, struct sm_pool *pool, struct snapmgr_err *err)
{
	int r;

	if (l->op.snapshot) {
		l->w.s = &l->s;
		l->d.change.snapshot = &l->s;
		r = scat_snapshot_by_id(pool->cat, l->op.snapshot, &l->s, err);
		l->d.change.parent = l->s.id;
		return r;
	}
	r = scat_undo_each(pool->cat, l->v.id, match_undo, l, err);
	if (r >= 0 && !l->has_undo)
		return -ENOENT;
	l->d.swap = &l->undo;
	l->d.change.swap = true;
	l->d.change.parent = l->undo.parent;
	return r < 0 ? r : 0;
}

static int load(struct left *l, struct sm_pool *pool, const struct scat_operation *op,
		struct snapmgr_err *err)
{
	int kept = 0, r;

	*l = (struct left){ .op = *op, .d.claim.fd = -1 };
	l->w.pool = pool;
	l->w.d = &l->d;
	l->w.v = l->d.volume = &l->v;
	if (sscanf(op->detail, "new %" SCNu32 " kept %d", &l->w.new, &kept) != 2)
		return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN,
			       "the row of operation %" PRId64 " of pool '%s' is damaged", op->id,
			       pool->row.name);
	l->w.kept = kept;
	r = scat_volume_by_id(pool->cat, op->volume, &l->v, err);
	if (r < 0)
		return r;
	l->w.old = l->v.c.thin;
	sm_volume_device(pool, &l->v, &l->w.dev);
	l->d.no_undo = !kept;
	l->d.change.thin = l->w.new;
	l->d.change.size_bytes = op->new_size_bytes;
	return load_source(l, pool, err);
}

/* Nobody else uses the file, and it is ours; then the lock is free. */
static int take_over(struct left *l, struct snapmgr_err *err)
{
	struct sm_pool *pool = l->w.pool;
	char spec[2 * SNAPMGR_NAME_MAX + 2];
	int r;

	(void)snprintf(spec, sizeof(spec), "%s/%s", pool->row.name, l->v.c.name);
	r = sm_claim(pool, &l->w.dev, spec, false, &l->d.claim, err);
	if (r == 0)
		r = sm_op_begin(pool, l->op.verb, l->v.c.name, l->w.s ? l->s.c.name : NULL, 0, err);
	return r == 0 ? sm_lasting_adopt(pool, &l->op, &l->v, l->w.s, &l->w.op, err) : r;
}

/* ---- forward ---- */

static int note_end(struct sm_pool *pool, const struct left *l)
{
	char text[SNAPMGR_MESSAGE_MAX];
	const struct sm_message m = { .level = "warning",
				      .verb = "recover",
				      .kind = "volume",
				      .object = &l->v.c.uuid,
				      .project = l->v.c.project,
				      .operation = &l->op.uuid,
				      .text = text };
	int r = scat_begin(pool->cat, NULL);

	(void)snprintf(
		text, sizeof(text),
		"recovered: the %s of '%s/%s' that process %d began was cut short: it is done",
		l->op.verb, pool->row.name, l->v.c.name, l->op.pid);
	if (r == 0)
		r = sm_message(pool, &m, NULL);
	if (r == 0)
		r = scat_commit(pool->cat, false, NULL);
	scat_rollback(pool->cat);
	sm_recover_tell(pool, "%s", text);
	return r;
}

/* With the lock; it is held again afterwards, but for -EAGAIN and its like. */
static int go_on(struct sm_pool *pool, const struct scat_operation *op, struct snapmgr_err *err)
{
	struct left l;
	int r = load(&l, pool, op, err);

	if (r == 0)
		r = take_over(&l, err);
	if (r == 0) {
		r = sm_rewrite_go_on(&l.w, op->done_bytes, err);
		if (r < 0)
			sm_lasting_abandon(&l.w.op);
		sm_lasting_release(&l.w.op);
	}
	sm_claim_drop(&l.d.claim);
	if (r == 0)
		(void)note_end(pool, &l);
	return r;
}

#define BATCH 32 /* of one opening; there are hardly ever two */

struct dead {
	struct scat_operation v[BATCH];
	size_t n;
};

static int collect(const struct scat_operation *op, void *data)
{
	struct dead *d = data;

	if (op->resumable && strcmp(op->verb, "copy") != 0 && !sm_lasting_owner_alive(op))
		d->v[d->n++] = *op;
	return d->n == BATCH;
}

/* Others had the lock meanwhile: it may be gone on with by them. */
static bool is_there_still(struct sm_pool *pool, const struct scat_operation *op)
{
	struct scat_operation now;

	return scat_operation_by_uuid(pool->cat, &op->uuid, &now, NULL) == 0 &&
	       !sm_lasting_owner_alive(&now);
}

int sm_rewrite_tend(struct sm_pool *pool, struct snapmgr_err *err)
{
	AUTO(free) struct dead *d = NULL;
	struct snapmgr_err why;
	int r;

	if (!pool->row.operations || !pool->b.driver->rewrite)
		return 0;
	d = calloc(1, sizeof(*d));
	if (!d)
		return sm_nomem(err);
	r = scat_operation_each(pool->cat, collect, d, err);
	for (size_t i = 0; i < d->n && r >= 0; i++) {
		r = 0;
		if (is_there_still(pool, &d->v[i]) && go_on(pool, &d->v[i], &why) < 0)
			sm_warn(pool->sm,
				"the %s that process %d began in pool '%s' cannot be gone on with yet: "
				"%.400s",
				d->v[i].verb, d->v[i].pid, pool->row.name, why.message);
		scat_rollback(pool->cat);
		if (!pool->lock.held)
			r = sm_pool_relock(pool, pool->sm->opts.wait_ms, err);
	}
	if (r < 0 || !d->n)
		return r < 0 ? r : 0;
	r = scat_begin(pool->cat, err);
	return r == 0 ? scat_pool_get(pool->cat, &pool->row, err) : r;
}

/* ---- back ---- */

static int back_rows(struct left *l, struct snapmgr_err *err)
{
	struct scat *cat = l->w.pool->cat;
	int r = scat_begin(cat, err);

	if (r == 0 && l->v.c.state == SCAT_REVERTING) {
		l->v.c.state = SCAT_AVAILABLE;
		r = scat_volume_update(cat, &l->v, err);
	}
	if (r == 0 && l->w.s && l->s.c.state == SCAT_RESTORING) {
		l->s.c.state = SCAT_AVAILABLE;
		r = scat_snapshot_update(cat, &l->s, err);
	}
	if (r == 0 && l->op.thin)
		r = scat_garbage_add(cat, l->op.thin, err);
	if (r == 0)
		r = scat_operation_delete(cat, l->op.id, err);
	if (r == 0)
		r = scat_commit(cat, true, err);
	scat_rollback(cat);
	if (r == 0)
		(void)sm_garbage_drop(l->w.pool, NULL); /* what stays is garbage still */
	return r;
}

/* It was begun: the old contents again, without the lock. */
static int take_back(struct left *l, bool *ret_broken, struct snapmgr_err *err)
{
	int r = take_over(l, err), back;

	if (r < 0)
		return r;
	back = sm_rewrite_go_back(&l->w, err);
	r = sm_lasting_retake(&l->w.op, err);
	*ret_broken = r == 0 && back == -ENODATA;
	if (*ret_broken)
		r = sm_rewrite_leave_broken(&l->w, err);
	else if (r == 0)
		r = back;
	if (r < 0) {
		scat_rollback(l->w.pool->cat);
		sm_lasting_abandon(&l->w.op);
		if (!l->w.pool->lock.held)
			(void)sm_pool_relock(l->w.pool, 0, NULL);
	}
	return r;
}

int sm_rewrite_settle(struct sm_pool *pool, const struct scat_operation *op, char *said,
		      struct snapmgr_err *err)
{
	struct sm_contents now = { 0 };
	bool broken = false;
	struct left l;
	int r = load(&l, pool, op, err);

	if (r == 0)
		r = pool->b.driver->rewrite->holds(&pool->b, &l.w.dev, &now, err);
	if (r == 0 && (now.id == l.w.new || now.to == l.w.new))
		r = take_back(&l, &broken, err);
	if (r == 0 && !broken) {
		r = pool->b.driver->rewrite->forget(&pool->b, l.w.old, err);
		if (r == 0)
			r = back_rows(&l, err);
	}
	sm_claim_drop(&l.d.claim);
	sm_lasting_release(&l.w.op);
	(void)sm_copy_text(said, SM_SAID,
			   broken ? "the volume is a mixture" : "the volume is as it was before");
	return r;
}
