/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A volume's head changed, under the running device or without one. Revert, undo and resize. */
#include <errno.h>
#include <sys/sysmacros.h>

#include "snapmgr/core/core.h"

struct commit {
	struct sm_pool *pool;
	struct sm_head_change *first;
	bool done;
};

static int write_change(struct sm_pool *pool, struct sm_head_change *change,
			struct snapmgr_err *err)
{
	int r = scat_volume_update(pool->cat, &change->wanted, err);

	return r == 0 && change->rows ? change->rows(pool, change, err) : r;
}

/* All but the commit itself, before anything is suspended: nothing of it is on the disk yet. */
static int write_rows(struct sm_pool *pool, struct sm_head_change *first, struct snapmgr_err *err)
{
	int r = scat_begin(pool->cat, err);

	for (struct sm_head_change *change = first; change && r == 0; change = change->next)
		r = write_change(pool, change, err);
	return r == 0 ? sm_pool_save(pool, err) : r;
}

/* The commit answered with an error: only reading tells whether it is there; of one as of all. */
static int reread(struct commit *c, int r_commit)
{
	const struct scat_common *wanted = &c->first->wanted.c;
	struct scat_volume now;

	if (sm_pool_reopen(c->pool, NULL) < 0 ||
	    scat_volume_by_id(c->pool->cat, c->first->wanted.id, &now, NULL) < 0) {
		c->first->unclear = true;
		return r_commit;
	}
	return now.c.thin == wanted->thin && now.c.size_bytes == wanted->size_bytes ? 0 : r_commit;
}

static int commit(void *arg, struct snapmgr_err *err)
{
	struct commit *c = arg;
	int r = scat_commit(c->pool->cat, true, err);

	if (r < 0)
		r = reread(c, r);
	c->done = r == 0;
	return r;
}

static int switch_items(struct commit *c, const struct sm_switch_item *items, size_t n,
			struct snapmgr_err *err)
{
	struct sm_pool *pool = c->pool;
	const struct sm_switch_opts opts = {
		.lock_fd = pool->lock.fd,
		.lock_serial = pool->lock.serial,
		.recover_program = pool->sm->opts.recover_program,
		.suspended_ns = c->first->timed ? &c->first->suspended_ns : NULL,
	};

	return pool->b.driver->repoint(&pool->b, items, n, &opts, commit, c, &c->first->settle,
				       err);
}

/* Those that are mapped; the others change by the commit alone. */
static int switch_tables(struct commit *c, size_t n, struct snapmgr_err *err)
{
	AUTO(free) struct sm_switch_item *items = calloc(n, sizeof(*items));
	AUTO(free) struct sm_vdev *devs = calloc(n, sizeof(*devs));
	size_t i = 0;

	if (!items || !devs)
		return sm_nomem(err);
	for (struct sm_head_change *change = c->first; change; change = change->next) {
		const struct sm_claim *claim = change->claim;

		if (!claim->mapped)
			continue;
		sm_volume_device(c->pool, &change->wanted, &devs[i]);
		items[i] = (struct sm_switch_item){
			.v = &devs[i],
			.claim_fd = claim->fd,
			.alone = claim->alone,
			.online = claim->others,
			.devno = makedev(claim->info.major, claim->info.minor),
			.old_id = change->volume->c.thin,
			.forget = change->forget,
		};
		i++;
	}
	return switch_items(c, items, n, err);
}

static void want(struct sm_head_change *change, const struct sm_uuid *together)
{
	const struct scat_common *now = &change->volume->c;
	struct scat_volume *wanted = &change->wanted;

	*wanted = *change->volume;
	wanted->before.thin = now->thin;
	wanted->before.parent = now->parent;
	wanted->before.size_bytes = now->size_bytes;
	wanted->before.swapped = change->swap;
	wanted->before.with = together ? *together : (struct sm_uuid){ 0 };
	wanted->c.thin = change->thin;
	wanted->c.size_bytes = change->size_bytes;
	wanted->c.parent = change->parent;
	wanted->c.state = SCAT_AVAILABLE;
}

int sm_head_switch(struct sm_pool *pool, struct sm_head_change *first, struct snapmgr_err *err)
{
	struct commit c = { .pool = pool, .first = first };
	size_t n_mapped = 0;
	int r;

	for (struct sm_head_change *change = first; change; change = change->next) {
		want(change, first->next ? &pool->op.uuid : NULL);
		n_mapped += change->claim->mapped;
	}
	r = write_rows(pool, first, err);
	if (r == 0)
		r = n_mapped ? switch_tables(&c, n_mapped, err) : commit(&c, err);
	if (pool->cat) /* it may not have come to the commit */
		scat_rollback(pool->cat);
	first->unclear |= r < 0 && c.done; /* the way back is over, but not all new tables run */
	for (struct sm_head_change *change = first; change && r == 0; change = change->next)
		*change->volume = change->wanted;
	return r;
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
