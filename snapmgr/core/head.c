/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A volume's head changed, under the running device or without one. Revert, undo and resize. */
#include <errno.h>

#include "snapmgr/core/core.h"

struct commit {
	struct sm_pool *pool;
	struct sm_head_change *change;
	struct scat_volume *wanted;
	bool done, tried;
};

static int write_rows(struct commit *c, struct snapmgr_err *err)
{
	struct sm_pool *pool = c->pool;
	int r = scat_begin(pool->cat, err);

	if (r == 0)
		r = scat_volume_update(pool->cat, c->wanted, err);
	if (r == 0 && c->change->rows)
		r = c->change->rows(pool, c->change, err);
	if (r == 0)
		r = sm_pool_save(pool, err);
	c->tried = r == 0;
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	return r;
}

/* The commit answered with an error: only reading tells whether it is there. */
static int reread(struct commit *c, int r_commit)
{
	struct scat_volume now;

	if (sm_pool_reopen(c->pool, NULL) < 0 ||
	    scat_volume_by_id(c->pool->cat, c->wanted->id, &now, NULL) < 0) {
		c->change->unclear = true;
		return r_commit;
	}
	return now.c.thin == c->wanted->c.thin && now.c.size_bytes == c->wanted->c.size_bytes ?
		       0 :
		       r_commit;
}

static int commit(void *arg, struct snapmgr_err *err)
{
	struct commit *c = arg;
	int r = write_rows(c, err);

	if (r < 0 && c->tried)
		r = reread(c, r);
	c->done = r == 0;
	return r;
}

static int switch_table(struct sm_pool *pool, struct sm_head_change *change, struct sm_claim *claim,
			struct commit *c, struct snapmgr_err *err)
{
	const struct sm_switch_opts opts = {
		.lock_fd = pool->lock.fd,
		.recover_program = pool->sm->opts.recover_program,
		.suspended_ns = &change->suspended_ns,
	};
	struct sm_vdev dev;
	const struct sm_switch_item item = { &dev, claim->fd, claim->others };

	sm_volume_device(pool, c->wanted, &dev);
	return pool->b.driver->repoint(&pool->b, &item, 1, &opts, commit, c, &change->settle, err);
}

int sm_head_switch(struct sm_pool *pool, struct sm_head_change *change, struct sm_claim *claim,
		   struct snapmgr_err *err)
{
	const struct scat_common *now = &change->volume->c;
	struct scat_volume wanted = *change->volume;
	struct commit c = { .pool = pool, .change = change, .wanted = &wanted };
	int r;

	wanted.before.thin = now->thin;
	wanted.before.parent = now->parent;
	wanted.before.size_bytes = now->size_bytes;
	wanted.before.swapped = change->swap;
	wanted.c.thin = change->thin;
	wanted.c.size_bytes = change->size_bytes;
	wanted.c.parent = change->parent;
	wanted.c.state = SCAT_AVAILABLE;
	r = claim->mapped ? switch_table(pool, change, claim, &c, err) : commit(&c, err);
	change->unclear |= r < 0 &&
			   c.done; /* the way back is over, but the new table does not run */
	if (r < 0)
		return r;
	*change->volume = wanted;
	return 0;
}

bool sm_head_abort(struct sm_pool *pool, struct sm_head_change *change)
{
	if (!change->unclear)
		return true;
	sdm_switch_free(change->settle); /* from here on only its guard would touch the device */
	change->settle = NULL;
	pool->lock.abandoned = true; /* until recovery has seen to it */
	if (sm_pool_reopen(pool, NULL) < 0 || sm_recover_abandoned(pool, NULL) < 0)
		sm_warn(pool->sm,
			"it is not known yet what volume '%s/%s' will read as: 'snapmgr recover %s' finds out",
			pool->row.name, change->volume->c.name, pool->row.name);
	return false;
}

void sm_head_settle(struct sm_pool *pool, struct sm_head_change *change)
{
	struct snapmgr_err err;

	if (change->settle && sdm_switch_settle(change->settle, 10000, &err) < 0)
		sm_warn(pool->sm, "%s", err.message);
	sdm_switch_free(change->settle);
	change->settle = NULL;
}
