/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A clone that has to be copied into a file of its own: a lasting operation.
 *
 * Its id is a second name of what it is made of until then, so that it does not matter what becomes of
 * the snapshot. One that was cut short goes.
 */
#include "snapmgr/core/create.h"
#include "snapmgr/core/rewrite.h"

#include <errno.h>

struct cloning {
	struct scat_volume *v;
	const struct snapmgr_create_opts *opts;
	struct sm_lasting op;
};

static int insert(struct sm_pool *pool, void *arg, struct snapmgr_err *err)
{
	struct cloning *c = arg;

	c->v->c.state = SCAT_CREATING;
	return sm_volume_insert(pool, c->v, c->opts, err);
}

static int on_progress(const struct sio_progress *p, void *data)
{
	struct cloning *c = data;

	return sm_lasting_progress(&c->op, p->done_bytes, p->todo_bytes);
}

static int begin(struct sm_pool *pool, struct cloning *c, struct snapmgr_err *err)
{
	const struct sm_vdev source = { .id = c->v->c.thin, .dm.read_only = true };
	struct sm_lasting_plan plan = {
		.verb = "clone",
		.volume = c->v,
		.volume_state = SCAT_CREATING,
		.rows = insert,
		.arg = c,
	};
	int r = pool->b.driver->rewrite->room(&pool->b, &source, &plan.todo_bytes, err);

	return r == 0 ? sm_lasting_begin(pool, &plan, &c->op, err) : r;
}

int sm_clone_copy(struct sm_pool *pool, struct scat_volume *v, const struct snapmgr_create_opts *o,
		  struct snapmgr_err *err)
{
	struct cloning c = { .v = v, .opts = o };
	const struct sm_watch watch = { .progress = on_progress, .data = &c };
	int r = begin(pool, &c, err);

	if (r < 0) {
		if (r != -EIO) /* after that nobody knows */
			(void)pool->b.driver->drop(&pool->b, v->c.thin, NULL);
		return r;
	}
	r = pool->b.driver->rewrite->own(&pool->b, v->c.thin, &watch, err);
	if (r == -ECANCELED)
		r = sm_lasting_stopped(&c.op, err);
	if (r == 0)
		r = sm_lasting_end(&c.op, NULL, NULL, err);
	if (r < 0) {
		scat_rollback(pool->cat);
		sm_lasting_undo(&c.op);
	}
	sm_lasting_release(&c.op);
	if (r < 0)
		return r;
	/* Who dies from here on has made a volume that recovery brings up. */
	(void)sm_copy_text(pool->op.verb, sizeof(pool->op.verb), "create");
	slock_tell(&pool->lock, &pool->op);
	return sm_volume_bring_up(pool, v, err);
}

/* ---- what a dead owner left ---- */

static int settle_rows(struct sm_pool *pool, const struct scat_operation *op,
		       struct snapmgr_err *err)
{
	struct scat_volume v;
	int r = scat_volume_by_id(pool->cat, op->volume, &v, err);

	if (r == 0)
		r = scat_volume_delete(pool->cat, v.id, err);
	if (r == 0)
		r = scat_garbage_add(pool->cat, v.c.thin, err);
	return r == 0 || r == -ENOENT ? scat_operation_delete(pool->cat, op->id, err) : r;
}

int sm_clone_settle(struct sm_pool *pool, const struct scat_operation *op, char *said,
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
	(void)sm_copy_text(said, SM_SAID, "the unfinished volume is gone");
	return r;
}
