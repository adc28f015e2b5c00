/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An inactive pool, looked into: catalogue and metadata are mapped for it, and nothing runs. */
#include <errno.h>

#include "snapmgr/core/core.h"

/* Another host is at work on it: what is read here would be a mixture. */
static int refuse_foreign(const struct ssb *sb, struct snapmgr_err *err)
{
	struct sm_uuid id;
	char host[65];

	shost_machine(&id, host);
	if (!(sb->flags & SSB_FLAG_ACTIVE) || sm_uuid_equal(&sb->host_id, &id))
		return 0;
	return sm_fail(err, SNAPMGR_IN_USE, EBUSY, "host '%s' has pool '%s' active: do it there",
		       sb->host, sb->pool_name);
}

int sm_inactive_lock(struct snapmgr *sm, const char *name, struct sm_members *m,
		     struct sm_pool *pool, struct snapmgr_err *err)
{
	bool active = false;
	int r;

	*pool = (struct sm_pool){ .sm = sm, .lock = SLOCK_NONE };
	r = sm_members_lock(sm, name, m, &pool->lock, err);
	if (r == 0)
		r = sm_pool_is_active(&m->sb.pool_uuid, &active, err);
	if (r == 0 && active)
		return sm_fail(err, SNAPMGR_IN_USE, EBUSY,
			       "pool '%s' is active: 'snapmgr pool deactivate %s' first",
			       m->sb.pool_name, m->sb.pool_name);
	if (r == 0)
		r = refuse_foreign(&m->sb, err);
	return r == 0 ? sm_members_complete(m, err) : r;
}

int sm_inactive_map(struct sm_pool *pool, struct sm_members *m, struct sm_layout *ret_layout,
		    struct snapmgr_err *err)
{
	const struct sm_driver *driver;
	struct sdm_info info;
	int r = sm_driver_find(m->sb.driver, &driver, err);

	if (r == 0)
		r = sm_members_layout(m, ret_layout, err);
	if (r < 0)
		return r;
	sm_backend_init(&pool->b, driver, &m->sb.pool_uuid, m->sb.pool_name, m->sb.chunk_sectors,
			m->sb.block_bytes);
	r = sm_pool_stop(pool, err); /* what somebody left who was killed half way */
	if (r == 0)
		r = sm_region_map(&pool->b, SM_ROLE_CATALOGUE, &ret_layout->catalogue, err);
	if (r == 0 && ret_layout->meta.n)
		r = sm_region_map(&pool->b, SM_ROLE_META, &ret_layout->meta, err);
	if (r == 0)
		r = sdm_info(pool->b.roles[SM_ROLE_CATALOGUE].name, &info, err);
	if (r == 0)
		sm_node_path(&info, pool->node, sizeof(pool->node));
	return r;
}

int sm_inactive_catalogue(struct sm_pool *pool, struct snapmgr_err *err)
{
	int r = scat_open(pool->node, &pool->b.uuid, SCAT_OWN, &pool->cat, err);

	return r == 0 ? scat_pool_get(pool->cat, &pool->row, err) : r;
}

void sm_inactive_unmap(struct sm_pool *pool)
{
	if (pool->b.driver)
		(void)sm_pool_stop(pool, NULL);
	sm_pool_close(pool);
}
