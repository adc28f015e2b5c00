/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_pool_list(), snapmgr_pool_show() */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"
#include "snapmgr/core/folder.h"

#define UNKNOWN UINT64_MAX

struct show {
	struct snapmgr *sm;
	snapmgr_pool_fn *visit;
	void *data;
	struct snapmgr_err *err;
};

static const char *state_of(const struct sm_members *m, bool active)
{
	struct sm_uuid id;
	char host[65];

	shost_machine(&id, host);
	if (active)
		return "active";
	if (m->n_missing || m->conflict[0])
		return "incomplete";
	if (m->sb.flags & SSB_FLAG_EXPORTED)
		return "exported";
	return sm_uuid_equal(&id, &m->sb.host_id) ? "inactive" : "foreign";
}

static const char *mode_of(const struct sm_space *s)
{
	if (s->fail)
		return "fail";
	if (s->needs_check)
		return "needs_check";
	if (s->read_only)
		return "ro";
	return s->out_of_data ? "out_of_data_space" : "rw";
}

/* What cannot be read stays unknown, so that the rest, and other pools, are still seen. */
static void fill_active(const struct show *show, struct sm_pool *pool, struct snapmgr_pool *p)
{
	struct scat_counts counts;
	struct sm_limits limits;
	struct snapmgr_err err;
	struct sm_space space;
	int r = sm_pool_space(pool, false, &space, &err);

	if (r == 0) {
		(void)sm_copy_text(p->mode, sizeof(p->mode), mode_of(&space));
		p->size_bytes = space.data_bytes;
		p->used_bytes = space.data_used_bytes;
		p->meta_bytes = space.meta_bytes;
		p->meta_used_bytes = space.meta_used_bytes;
		p->transaction_id = space.transaction_id;
		r = scat_counts(pool->cat, &counts, &err);
	}
	if (r == 0)
		r = sm_limits_get(pool, &limits, &err);
	if (r < 0) {
		sm_warn(show->sm, "%s", err.message);
		return;
	}
	p->high_water = limits.high_water;
	p->low_water = limits.low_water;
	p->reserve = limits.reserve;
	p->store_grow_at = pool->b.driver->stores ? limits.grow_at : UNKNOWN;
	p->error_if_no_space = (int)limits.error_if_no_space;
	p->volumes = counts.volumes;
	p->snapshots = counts.snapshots;
	p->garbage = counts.garbage;
	p->virtual_bytes = counts.virtual_bytes;
}

static void fill_members(const struct sm_members *m, struct snapmgr_member *v)
{
	for (uint32_t i = 0; i < m->sb.n_members; i++) {
		(void)sm_copy_text(v[i].device, sizeof(v[i].device), m->paths[i]);
		sm_uuid_text(&m->sb.members[i].uuid, v[i].uuid);
		v[i].size_bytes = m->sb.members[i].size_bytes;
		v[i].missing = !m->paths[i][0];
		v[i].meta_only = m->sb.members[i].role == SSB_ROLE_META;
		v[i].bad_copy = m->bad_copy[i];
	}
}

static void fill(const struct sm_members *m, struct snapmgr_pool *p)
{
	const struct ssb *sb = &m->sb;

	*p = (struct snapmgr_pool){
		.size_bytes = ssb_kind_sectors(sb, SSB_DATA) * SM_SECTOR,
		.used_bytes = UNKNOWN,
		.meta_bytes = ssb_kind_sectors(sb, SSB_META) * SM_SECTOR,
		.meta_used_bytes = UNKNOWN,
		.catalogue_bytes = ssb_kind_sectors(sb, SSB_CATALOGUE) * SM_SECTOR,
		.reclaimable_bytes = UNKNOWN,
		.virtual_bytes = UNKNOWN,
		.chunk_bytes = (uint64_t)sb->chunk_sectors * SM_SECTOR,
		.block_bytes = sb->block_bytes,
		.volumes = UNKNOWN,
		.snapshots = UNKNOWN,
		.garbage = UNKNOWN,
		.high_water = UNKNOWN,
		.low_water = UNKNOWN,
		.reserve = UNKNOWN,
		.store_grow_at = UNKNOWN,
		.error_if_no_space = -1,
		.transaction_id = UNKNOWN,
		.created_at_us = sb->created_at_us,
		.n_members = sb->n_members,
	};
	(void)sm_copy_text(p->name, sizeof(p->name), sb->pool_name);
	(void)sm_copy_text(p->driver, sizeof(p->driver), sb->driver);
	(void)sm_copy_text(p->host, sizeof(p->host), sb->host);
	sm_uuid_text(&sb->pool_uuid, p->uuid);
}

/* @pool: opened, or NULL where it cannot be. */
static int show_one(struct show *show, const struct sm_members *m, struct sm_pool *pool,
		    bool active)
{
	AUTO(free) struct snapmgr_member *members = calloc(m->sb.n_members, sizeof(*members));
	struct snapmgr_pool p;

	if (!members)
		return sm_nomem(show->err);
	fill(m, &p);
	fill_members(m, members);
	p.members = members;
	if (pool)
		fill_active(show, pool, &p);
	if (m->conflict[0])
		sm_warn(show->sm, "%s", m->conflict);
	(void)sm_copy_text(p.state, sizeof(p.state), state_of(m, active));
	return show->visit(&p, show->data);
}

static int show_active(struct show *show, const char *name, struct snapmgr_err *err)
{
	AUTO(sm_members_release) struct sm_members m = { 0 };
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	int r = sm_pool_open(show->sm, name, false, &pool, err);

	if (r == 0)
		r = sm_members_running(&pool, &m, err);
	return r == 0 ? show_one(show, &m, &pool, true) : r;
}

static int show_members(struct sm_members *m, void *data)
{
	char uuid[SNAPMGR_UUID_TEXT];
	struct show *show = data;
	struct snapmgr_err why;
	bool active;
	int r = sm_pool_is_active(&m->sb.pool_uuid, &active, show->err);

	if (r < 0 || !active)
		return r < 0 ? r : show_one(show, m, NULL, false);
	sm_uuid_text(&m->sb.pool_uuid, uuid);
	why.code = SNAPMGR_OK;
	r = show_active(show, uuid, &why);
	if (r >= 0 || why.code == SNAPMGR_OK) /* or the visitor's own answer */
		return r;
	sm_warn(show->sm, "%s", why.message);
	return show_one(show, m, NULL, true);
}

/* Active, but none of its disks is to be seen any more. */
static int warn_lost(const char *uuid, void *data)
{
	AUTO(sm_members_release) struct sm_members m = { 0 };
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	const struct show *show = data;
	struct snapmgr_err why;
	int r = sm_pool_open(show->sm, uuid, false, &pool, &why);

	if (r == 0 && pool.b.dir[0])
		return 0;
	if (r == 0)
		r = sm_members_running(&pool, &m, &why);
	if (r < 0 && why.code == SNAPMGR_NOT_FOUND) /* else it was told with what is left of it */
		sm_warn(show->sm, "%s", why.message);
	return 0;
}

int snapmgr_pool_list(struct snapmgr *sm, snapmgr_pool_fn *visit, void *data,
		      struct snapmgr_err *err)
{
	struct show show = { sm, visit, data, err };
	bool any;
	int r = sm_folder_list(sm, visit, data, &any);

	if (r)
		return r;
	r = sdm_init(any ? NULL : err);
	if (r < 0) /* who may not look at devices has no pools on them */
		return any ? 0 : r;
	r = sm_members_scan(show_members, &show, err);
	return r == 0 ? sm_pool_each(sm, warn_lost, &show, err) : r;
}

int snapmgr_pool_show(struct snapmgr *sm, const char *pool, snapmgr_pool_fn *visit, void *data,
		      struct snapmgr_err *err)
{
	AUTO(sm_members_release) struct sm_members m = { 0 };
	struct show show = { sm, visit, data, err };
	struct snapmgr_err why = { .code = SNAPMGR_OK };
	struct sm_folder folder;
	struct sm_spec spec;
	int r = sm_spec_parse(pool, &spec, err);

	if (r == 0 && spec.volume[0])
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "'%.80s' does not name a pool", pool);
	if (r < 0)
		return r;
	r = sm_folder_find(sm, pool, &folder, err);
	if (r != -ENOENT)
		return r < 0 ? r : sm_folder_show(sm, &folder, visit, data, err);
	r = sdm_init(err);
	if (r < 0)
		return r;
	r = show_active(&show, pool, &why);
	if (r >= 0 || why.code == SNAPMGR_OK)
		return r;
	if (r == -ENODEV || why.code == SNAPMGR_DAMAGED || why.code == SNAPMGR_IO) {
		/* inactive, or all that can be said of it */
		r = sm_members_find(pool, &m, err);
		return r == 0 ? show_members(&m, &show) : r;
	}
	if (err)
		*err = why;
	return r;
}
