/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A pool brought up from its members, and taken down. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/core/core.h"

/* Ours from now on, in every member, before the first change to anything else. */
static int mark_host(struct sm_members *m, struct snapmgr_err *err)
{
	struct sm_uuid id;
	char host[65];
	bool stale = false;

	shost_machine(&id, host);
	for (uint32_t i = 0; i < m->sb.n_members; i++)
		stale |= m->generations[i] != m->sb.generation || m->bad_copy[i];
	if (!stale && m->sb.flags == SSB_FLAG_ACTIVE && sm_uuid_equal(&m->sb.host_id, &id) &&
	    strcmp(m->sb.host, host) == 0)
		return 0;
	m->sb.flags = SSB_FLAG_ACTIVE;
	m->sb.host_id = id;
	(void)sm_copy_text(m->sb.host, sizeof(m->sb.host), host);
	/* A bad copy is evidence until an admin repairs it: but writing mends it, so it is not news. */
	return sm_members_write(m, err);
}

static int open_mapped_catalogue(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct sdm_info info;
	int r = sdm_info(pool->b.roles[SM_ROLE_CATALOGUE].name, &info, err);

	if (r < 0)
		return r;
	sm_node_path(&info, pool->node, sizeof(pool->node));
	r = scat_open(pool->node, &pool->b.uuid, true, &pool->cat, err);
	return r == 0 ? scat_pool_get(pool->cat, &pool->row, err) : r;
}

static int save_row(struct sm_pool *pool, bool durable, struct snapmgr_err *err)
{
	int r = scat_begin(pool->cat, err);

	if (r == 0)
		r = scat_pool_put(pool->cat, &pool->row, err);
	if (r == 0)
		r = scat_commit(pool->cat, durable, err);
	scat_rollback(pool->cat);
	return r;
}

static int check_row(struct sm_pool *pool, const struct ssb *sb, struct snapmgr_err *err)
{
	if (!sm_uuid_equal(&pool->row.uuid, &sb->pool_uuid) || pool->row.chunk_sectors != sb->chunk_sectors)
		return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN,
			       "catalogue and superblock of pool '%s' are not of one pool", sb->pool_name);
	if (strcmp(pool->row.name, sb->pool_name) == 0)
		return 0;
	(void)sm_copy_text(pool->row.name, sizeof(pool->row.name), sb->pool_name);
	return save_row(pool, true, err);
}

/*
 * The kernel's transaction id goes up by one at each activation, and the catalogue knows which one it
 * should be: metadata or catalogue of another time are noticed before anything is written.
 */
static int check_times(struct sm_pool *pool, const struct sm_space *space, struct snapmgr_err *err)
{
	const uint64_t kernel = space->transaction_id, known = pool->row.transaction_id;

	if (kernel == known || kernel == pool->row.next_transaction_id)
		return 0;
	return sm_fail(err, SNAPMGR_STALE, ESTALE,
		       "thin metadata and catalogue of pool '%s' are of different times (the metadata says "
		       "transaction %" PRIu64 ", the catalogue %" PRIu64 "): nothing was changed; put back the %s that "
		       "belongs to the other",
		       pool->row.name, kernel, known, kernel < known ? "newer metadata" : "newer catalogue");
}

static int advance(struct sm_pool *pool, const struct sm_space *space, struct snapmgr_err *err)
{
	const uint64_t from = space->transaction_id;
	int r = check_times(pool, space, err);

	if (r < 0 || space->read_only || space->needs_check || space->fail)
		return r;
	pool->row.transaction_id = from;
	pool->row.next_transaction_id = from + 1;
	r = save_row(pool, true, err);
	if (r == 0)
		r = pool->b.driver->transaction(&pool->b, from, from + 1, err);
	if (r < 0)
		return r;
	pool->row.transaction_id = from + 1;
	return save_row(pool, false, err);
}

struct start {
	struct sm_pool *pool;
	struct snapmgr_err *err;
};

static int start_volume(const struct scat_volume *volume, void *data)
{
	struct start *start = data;
	struct sm_pool *pool = start->pool;
	struct snapmgr_err err;
	struct sm_vdev dev;

	if (!volume->autostart)
		return 0;
	sm_volume_device(pool, volume, &dev);
	if (pool->b.driver->map(&pool->b, &dev, &err) < 0) /* one bad volume keeps no other one down */
		sm_warn(pool->sm, "volume '%s/%s' stays inactive: %s", pool->row.name, volume->c.name, err.message);
	return 0;
}

static int bring_up(struct sm_pool *pool, struct sm_members *m, struct snapmgr_err *err)
{
	AUTO(sm_layout_release) struct sm_layout layout = { 0 };
	struct start start = { pool, err };
	struct sm_space space;
	int r = sm_members_layout(m, &layout, err);

	if (r == 0)
		r = sm_region_map(&pool->b, SM_ROLE_CATALOGUE, &layout.catalogue, err);
	if (r == 0)
		r = open_mapped_catalogue(pool, err);
	if (r == 0)
		r = check_row(pool, &m->sb, err);
	if (r == 0)
		r = pool->b.driver->start(&pool->b, &layout, false, err);
	if (r == 0)
		r = pool->b.driver->space(&pool->b, false, &space, err);
	if (r == 0)
		r = advance(pool, &space, err);
	if (r == 0)
		r = pool->b.driver->pin(&pool->b, false, err);
	if (r == 0)
		r = sm_recover_pending(pool, err);
	if (r == 0 && !space.read_only && !space.needs_check && !space.fail)
		r = sm_recover_ids(pool, err);
	if (r == 0)
		r = scat_volume_each(pool->cat, start_volume, &start, err);
	if (r == 0 && (space.read_only || space.needs_check || space.fail))
		sm_warn(pool->sm, "pool '%s' is read-only: its metadata wants a check ('snapmgr pool check %s')",
			pool->row.name, pool->row.name);
	return r;
}

int sm_pool_start(struct snapmgr *sm, struct sm_members *m, struct slock *lock, const char *rename,
		  struct snapmgr_err *err)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .sm = sm, .lock = *lock };
	const struct sm_driver *driver;
	int r;

	*lock = SLOCK_NONE; /* the pool's now */
	if (rename)
		(void)sm_copy_text(m->sb.pool_name, sizeof(m->sb.pool_name), rename);
	r = sm_members_complete(m, err);
	if (r == 0)
		r = sm_driver_find(m->sb.driver, &driver, err);
	if (r == 0)
		r = mark_host(m, err);
	if (r < 0)
		return r;
	sm_backend_init(&pool.b, driver, &m->sb.pool_uuid, m->sb.pool_name, m->sb.chunk_sectors,
			m->sb.block_bytes);
	r = bring_up(&pool, m, err);
	if (r < 0)
		(void)sm_pool_stop(&pool, NULL); /* keep the first error */
	sm_pool_settle(&pool);
	return r;
}

/* ---- down ---- */

struct down {
	struct sm_pool *pool;
	bool remove; /* else only look whether it could be */
	struct snapmgr_err *err;
};

/* The device with this dm UUID as one of this pool's objects; -ENOENT where it is none of them. */
int sm_pool_device(struct sm_pool *pool, const char *dm_uuid, struct sm_vdev *ret)
{
	struct scat_snapshot s;
	struct scat_volume v;
	struct scat_undo u;
	struct sm_uuid uuid;
	int r;

	if (!sm_uuid_parse(dm_uuid + strlen(SM_DM_UUID), &uuid))
		return -ENOENT;
	r = scat_volume_by_uuid(pool->cat, &uuid, &v, NULL);
	if (r == 0) {
		sm_volume_device(pool, &v, ret);
		return 0;
	}
	if (r == -ENOENT)
		r = scat_snapshot_by_uuid(pool->cat, &uuid, &s, NULL);
	if (r == 0) {
		sm_snapshot_device(pool, &s, ret);
		return 0;
	}
	if (r == -ENOENT)
		r = scat_undo_by_uuid(pool->cat, &uuid, &u, NULL);
	if (r == 0)
		r = scat_volume_by_id(pool->cat, u.volume, &v, NULL);
	if (r == 0)
		sm_undo_device(pool, &v, &u, 0, ret);
	return r;
}

static int take_down(const char *name, const char *dm_uuid, uint32_t major, uint32_t minor, void *data)
{
	struct down *down = data;
	struct sm_pool *pool = down->pool;
	struct sm_claim claim = { .fd = -1 };
	struct sm_vdev dev;
	int r;

	(void)major;
	(void)minor;
	if (sm_pool_device(pool, dm_uuid, &dev) < 0)
		return 0;
	(void)sm_copy_text(dev.dm.name, sizeof(dev.dm.name), name);
	if (down->remove)
		return pool->b.driver->unmap(&pool->b, &dev, down->err);
	r = sm_claim(pool, &dev, dev.dm.link, false, &claim, down->err);
	sm_claim_drop(&claim);
	return r;
}

int sm_pool_stop(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct down down = { pool, false, err };
	int r = 0;

	if (pool->cat) {
		r = sdm_list(SM_DM_UUID, take_down, &down, err);
		down.remove = true;
		if (r == 0)
			r = sdm_list(SM_DM_UUID, take_down, &down, err);
	}
	if (r < 0)
		return r;
	scat_close(pool->cat);
	pool->cat = NULL;
	r = pool->b.driver->stop(&pool->b, err);
	return r == 0 ? sm_region_unmap(&pool->b, SM_ROLE_CATALOGUE, err) : r;
}
