/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What has to be mapped below a volume, and stays so as long as its pool is active. */
#include <errno.h>

#include "snapmgr/core/store.h"

struct collect {
	struct sm_stores *all;
};

static int add(struct sm_stores *all, const struct sm_store *store)
{
	struct sm_store *more = reallocarray(all->v, all->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	all->v = more;
	all->v[all->n++] = *store;
	return 0;
}

static int add_snapshot(const struct scat_snapshot *s, void *data)
{
	return add(data, &(struct sm_store){ s->c.thin, s->c.size_bytes, s->c.uuid, false, s->id });
}

static int add_undo(const struct scat_undo *u, void *data)
{
	return add(data, &(struct sm_store){ u->thin, u->size_bytes, u->uuid, true, u->id });
}

int sm_stores_of(struct sm_pool *pool, int64_t volume, struct sm_stores *ret,
		 struct snapmgr_err *err)
{
	struct sm_stores all = { 0 };
	int r = scat_snapshot_each(pool->cat, volume, add_snapshot, &all, err);

	if (r == 0)
		r = scat_undo_each(pool->cat, volume, add_undo, &all, err);
	if (r < 0) {
		free(all.v);
		return r == -ENOMEM ? sm_nomem(err) : r;
	}
	*ret = all;
	return 0;
}

struct sm_switch_opts sm_store_switch_opts(const struct sm_pool *pool)
{
	return (struct sm_switch_opts){
		.lock_fd = pool->lock.fd,
		.lock_serial = pool->lock.serial,
		.recover_program = pool->sm->opts.recover_program,
	};
}

static int place(struct sm_pool *pool, uint32_t id, uint32_t origin, uint64_t size_bytes, bool arm,
		 struct snapmgr_err *err)
{
	AUTO(sm_place_free) struct sm_place p = { 0 };
	const struct sm_store_driver *stores = pool->b.driver->stores;
	int r = sm_place_load(pool, id, origin, size_bytes, &p, err);

	if (r == 0)
		r = stores->place(&pool->b, &p, SM_BLANK_NOTHING, err);
	return r == 0 && arm ? stores->arm(&pool->b, &p, err) : r;
}

int sm_store_attach(struct sm_pool *pool, const struct scat_volume *v, struct snapmgr_err *err)
{
	AUTO(sm_stores_free) struct sm_stores all = { 0 };
	uint32_t merging = 0;
	int r = scat_merge_get(pool->cat, v->id, &merging, err);

	if (r == 0 || r == -ENOENT)
		r = sm_stores_of(pool, v->id, &all, err);
	if (r == 0)
		r = place(pool, v->c.thin, 0, v->c.size_bytes, false, err);
	for (size_t i = 0; i < all.n && r == 0; i++)
		r = place(pool, all.v[i].id, v->c.thin, all.v[i].size_bytes, all.v[i].id != merging,
			  err);
	return r == 0 && merging ? sm_merge_forward(pool, v, merging, NULL, err) : r;
}
