/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A volume's head changed, under the running device or without one. Revert, undo and resize. */
#include <errno.h>

#include "snapmgr/core/core.h"

struct commit {
	struct sm_pool *pool;
	struct sm_head_change *change;
	struct scat_volume *wanted;
};

static int write_rows(struct commit *c, struct snapmgr_err *err)
{
	struct sm_pool *pool = c->pool;
	int r = scat_begin(pool->cat, err);

	if (r == 0)
		r = scat_volume_update(pool->cat, c->wanted, err);
	if (r == 0 && c->change->snapshot)
		r = scat_snapshot_update(pool->cat, c->change->snapshot, err);
	if (r == 0 && c->change->rows)
		r = c->change->rows(pool, c->change, err);
	if (r == 0)
		r = sm_pool_save(pool, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	return r;
}

/* The commit answered with an I/O error: only reading tells whether it is there. */
static int reread(struct commit *c, int r_commit, struct snapmgr_err *err)
{
	struct scat_volume now;

	if (sm_pool_reopen(c->pool, NULL) < 0 ||
	    scat_volume_by_id(c->pool->cat, c->wanted->id, &now, NULL) < 0)
		return r_commit;
	if (now.c.thin != c->wanted->c.thin || now.c.size_bytes != c->wanted->c.size_bytes)
		return r_commit;
	(void)err;
	return 0;
}

static int commit(void *arg, struct snapmgr_err *err)
{
	struct commit *c = arg;
	int r = write_rows(c, err);

	return r == -EIO ? reread(c, r, err) : r;
}

static int switch_table(struct sm_pool *pool, struct sm_head_change *change, struct sm_claim *claim,
			struct commit *c, struct snapmgr_err *err)
{
	const struct sm_switch_opts opts = {
		.online = claim->others,
		.claim_fd = claim->fd,
		.lock_fd = pool->lock.fd,
		.recover_program = pool->sm->opts.recover_program,
		.suspended_ns = &change->suspended_ns,
	};
	struct sm_vdev dev;

	sm_volume_device(pool, c->wanted, &dev);
	return pool->b.driver->repoint(&pool->b, &dev, &opts, commit, c, &change->settle, err);
}

int sm_head_switch(struct sm_pool *pool, struct sm_head_change *change, struct sm_claim *claim,
		   struct scat_operation *op, struct snapmgr_err *err)
{
	struct scat_volume wanted = *change->volume;
	struct commit c = { pool, change, &wanted };
	int r;

	wanted.c.thin = change->thin;
	wanted.c.size_bytes = change->size_bytes;
	wanted.c.parent = change->parent;
	wanted.c.state = SCAT_AVAILABLE;
	if (change->snapshot)
		change->snapshot->c.state = SCAT_AVAILABLE;
	r = claim->mapped ? switch_table(pool, change, claim, &c, err) : commit(&c, err);
	if (r < 0)
		return r;
	*change->volume = wanted;
	sm_op_end(pool, op);
	return 0;
}

void sm_head_settle(struct sm_pool *pool, struct sm_head_change *change)
{
	struct snapmgr_err err;

	if (change->settle && sdm_switch_settle(change->settle, 10000, &err) < 0)
		sm_warn(pool->sm, "%s", err.message);
	sdm_switch_free(change->settle);
	change->settle = NULL;
}
