/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pools that are folders, as callers see them. */
#include <errno.h>

#include "snapmgr/core/folder.h"

#define UNKNOWN UINT64_MAX

static void fill(const struct sm_folder *f, struct snapmgr_pool *p)
{
	*p = (struct snapmgr_pool){
		.size_bytes = UNKNOWN,
		.used_bytes = UNKNOWN,
		.meta_bytes = UNKNOWN,
		.meta_used_bytes = UNKNOWN,
		.catalogue_bytes = UNKNOWN,
		.reclaimable_bytes = UNKNOWN,
		.virtual_bytes = UNKNOWN,
		.volumes = UNKNOWN,
		.snapshots = UNKNOWN,
		.garbage = UNKNOWN,
		.high_water = UNKNOWN,
		.store_grow_at = UNKNOWN,
		.low_water = UNKNOWN,
		.reserve = UNKNOWN,
		.transaction_id = UNKNOWN,
		.created_at_us = f->created_at_us,
		.n_members = 1,
	};
	(void)sm_copy_text(p->name, sizeof(p->name), f->name);
	(void)sm_copy_text(p->driver, sizeof(p->driver), "file");
	(void)sm_copy_text(p->host, sizeof(p->host), f->host);
	(void)sm_copy_text(p->state, sizeof(p->state),
			   strcmp(f->state, SM_FOLDER_EXPORTED) == 0 || sm_folder_is_ours(f) ?
				   f->state :
				   "foreign");
	sm_uuid_text(&f->uuid, p->uuid);
}

static int fill_open(struct sm_pool *pool, struct snapmgr_pool *p, struct snapmgr_err *err)
{
	struct scat_counts counts;
	struct sm_limits limits;
	struct sm_space space;
	int r = pool->b.driver->space(&pool->b, false, &space, err);

	if (r == 0)
		r = scat_counts(pool->cat, &counts, err);
	if (r == 0)
		r = sm_limits_get(pool, &limits, err);
	if (r < 0)
		return r;
	(void)sm_copy_text(p->mode, sizeof(p->mode), space.read_only ? "ro" : "rw");
	p->size_bytes = space.data_bytes;
	p->used_bytes = space.data_used_bytes;
	p->catalogue_bytes = scat_used_bytes(pool->cat);
	p->block_bytes = pool->row.block_bytes;
	p->high_water = limits.high_water;
	p->low_water = limits.low_water;
	p->reserve = limits.reserve;
	p->volumes = counts.volumes;
	p->snapshots = counts.snapshots;
	p->garbage = counts.garbage;
	p->virtual_bytes = counts.virtual_bytes;
	return 0;
}

int sm_folder_show(struct snapmgr *sm, const struct sm_folder *f, snapmgr_pool_fn *visit,
		   void *data, struct snapmgr_err *err)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .sm = sm, .lock = SLOCK_NONE };
	struct snapmgr_member folder = { 0 };
	struct snapmgr_pool p;
	struct snapmgr_err why;
	int r;

	(void)err;
	fill(f, &p);
	(void)sm_copy_text(folder.device, sizeof(folder.device), f->dir);
	(void)sm_copy_text(folder.uuid, sizeof(folder.uuid), p.uuid);
	p.members = &folder;
	if (strcmp(p.state, SM_FOLDER_ACTIVE) == 0) {
		r = sm_folder_catalogue(&pool, f, false, &why);
		if (r == 0)
			r = fill_open(&pool, &p, &why);
		if (r < 0)
			sm_warn(sm, "%s", why.message);
	}
	folder.size_bytes = p.size_bytes;
	return visit(&p, data);
}

struct list {
	struct snapmgr *sm;
	snapmgr_pool_fn *visit;
	void *data;
	size_t n;
};

static int list_one(const struct sm_folder *f, void *data)
{
	struct list *l = data;

	l->n++;
	return sm_folder_show(l->sm, f, l->visit, l->data, NULL);
}

int sm_folder_list(struct snapmgr *sm, snapmgr_pool_fn *visit, void *data, bool *ret_any)
{
	struct list l = { sm, visit, data, 0 };
	int r = sm_folder_each(sm, list_one, &l);

	*ret_any = l.n > 0;
	return r;
}
