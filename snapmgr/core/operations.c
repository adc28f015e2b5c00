/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_operations(): what is being changed just now, and by whom. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/lasting.h"

struct asking {
	struct snapmgr *sm;
	struct sm_pool *pool; /* the one that is looked at */
	snapmgr_operation_fn *visit;
	void *data;
	struct snapmgr_err *err;
};

/* What is done under the pool's lock: the lock's file tells. */
static int tell_holder(struct asking *a)
{
	const struct slock_holder *h = &a->pool->others;
	struct snapmgr_operation op = { 0 };

	sm_uuid_text(&h->uuid, op.uuid);
	(void)sm_copy_text(op.pool, sizeof(op.pool), a->pool->row.name);
	(void)sm_copy_text(op.verb, sizeof(op.verb), h->verb);
	(void)sm_copy_text(op.object, sizeof(op.object), h->object);
	(void)sm_copy_text(op.program, sizeof(op.program), h->comm);
	op.pid = h->pid;
	op.started_at_us = h->started_at_us;
	return a->visit(&op, a->data);
}

static void fill_progress(const struct sm_pool *pool, const struct scat_operation *row,
			  struct snapmgr_operation *op)
{
	struct sprogress_seen seen;
	char dir[SPROGRESS_DIR];

	op->done_bytes = row->done_bytes;
	op->todo_bytes = row->todo_bytes;
	sprogress_dir(&pool->b.uuid, pool->b.dir, dir);
	if (op->dead || sprogress_look(dir, &row->uuid, &seen) < 0)
		return;
	op->done_bytes = seen.done_bytes;
	op->todo_bytes = seen.todo_bytes;
	op->bytes_per_s = seen.bytes_per_s;
	op->stopping = seen.asked_to_stop;
}

static int tell_lasting(const struct scat_operation *row, void *data)
{
	struct asking *a = data;
	struct snapmgr_operation op = { .lasting = true,
					.pid = row->pid,
					.resumable = row->resumable,
					.started_at_us = row->started_at_us };

	if (sm_uuid_equal(&row->uuid, &a->pool->others.uuid))
		return 0; /* told of already: it has the lock for a moment */
	sm_uuid_text(&row->uuid, op.uuid);
	(void)sm_copy_text(op.pool, sizeof(op.pool), a->pool->row.name);
	(void)sm_copy_text(op.verb, sizeof(op.verb), row->verb);
	sm_lasting_object(a->pool, row, op.object);
	op.dead = !sm_lasting_owner_alive(row);
	if (!op.dead)
		shost_process_name(row->pid, op.program, sizeof(op.program));
	fill_progress(a->pool, row, &op);
	return a->visit(&op, a->data);
}

static int ask(const char *name, void *data)
{
	struct asking *a = data;
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	int r = sm_pool_open(a->sm, name, false, &pool, a->err);

	a->pool = &pool;
	if (r == 0 && pool.others.verb[0])
		r = tell_holder(a);
	if (r == 0 && pool.row.operations)
		r = scat_operation_each(pool.cat, tell_lasting, a, a->err);
	return r;
}

int snapmgr_operations(struct snapmgr *sm, const char *pool, snapmgr_operation_fn *visit,
		       void *data, struct snapmgr_err *err)
{
	struct asking a = { sm, NULL, visit, data, err };

	return pool ? ask(pool, &a) : sm_pool_each(sm, ask, &a, err);
}
