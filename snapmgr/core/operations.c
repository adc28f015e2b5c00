/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_operations(): what is being changed just now, and by whom. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"

struct asking {
	struct snapmgr *sm;
	snapmgr_operation_fn *visit;
	void *data;
	struct snapmgr_err *err;
};

static int ask(const char *name, void *data)
{
	struct asking *a = data;
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct snapmgr_operation op = { 0 };
	int r = sm_pool_open(a->sm, name, false, &pool, a->err);

	if (r < 0 || !pool.others.verb[0])
		return r;
	sm_uuid_text(&pool.others.uuid, op.uuid);
	(void)sm_copy_text(op.pool, sizeof(op.pool), pool.row.name);
	(void)sm_copy_text(op.verb, sizeof(op.verb), pool.others.verb);
	(void)sm_copy_text(op.object, sizeof(op.object), pool.others.object);
	(void)sm_copy_text(op.program, sizeof(op.program), pool.others.comm);
	op.pid = pool.others.pid;
	op.started_at_us = pool.others.started_at_us;
	return a->visit(&op, a->data);
}

int snapmgr_operations(struct snapmgr *sm, const char *pool, snapmgr_operation_fn *visit,
		       void *data, struct snapmgr_err *err)
{
	struct asking a = { sm, visit, data, err };

	return pool ? ask(pool, &a) : sm_pool_each(sm, ask, &a, err);
}
