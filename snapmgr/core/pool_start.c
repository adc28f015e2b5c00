/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A pool brought up from its members. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/core/store.h"

static void warn_bad_copies(const struct snapmgr *sm, const struct sm_members *m)
{
	for (uint32_t i = 0; i < m->sb.n_members; i++) {
		if (m->bad_copy[i])
			sm_warn(sm,
				"one of the two copies of the superblock on '%s' is damaged: 'snapmgr pool check %s --repair' "
				"rewrites it",
				m->paths[i], m->sb.pool_name);
	}
}

/*
 * Ours from now on, in every member, before the first change to anything else. A bad copy alone is no
 * reason to write: see sm_members_write().
 */
static int mark_host(struct snapmgr *sm, struct sm_members *m, const char *rename,
		     struct snapmgr_err *err)
{
	struct sm_uuid id;
	char host[65];
	bool stale = rename && strcmp(rename, m->sb.pool_name) != 0;

	if (rename)
		(void)sm_copy_text(m->sb.pool_name, sizeof(m->sb.pool_name), rename);
	shost_machine(&id, host);
	for (uint32_t i = 0; i < m->sb.n_members; i++)
		stale |= m->generations[i] != m->sb.generation;
	if (!stale && m->sb.flags == SSB_FLAG_ACTIVE && sm_uuid_equal(&m->sb.host_id, &id) &&
	    strcmp(m->sb.host, host) == 0) {
		warn_bad_copies(sm, m);
		return 0;
	}
	m->sb.flags = SSB_FLAG_ACTIVE;
	m->sb.host_id = id;
	(void)sm_copy_text(m->sb.host, sizeof(m->sb.host), host);
	return sm_members_write(sm, m, err);
}

static int open_mapped_catalogue(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct sdm_info info;
	int r = sdm_info(pool->b.roles[SM_ROLE_CATALOGUE].name, &info, err);

	if (r < 0)
		return r;
	sm_node_path(&info, pool->node, sizeof(pool->node));
	r = scat_open(pool->node, &pool->b.uuid, SCAT_HEAL, &pool->cat, err);
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

static int check_row(const struct sm_pool *pool, const struct ssb *sb, struct snapmgr_err *err)
{
	if (sm_uuid_equal(&pool->row.uuid, &sb->pool_uuid) &&
	    pool->row.chunk_sectors == sb->chunk_sectors)
		return 0;
	return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN,
		       "catalogue and superblock of pool '%s' are not of one pool", sb->pool_name);
}

/* A rename, or an import under another name, is in the superblocks first. */
static int follow_name(struct sm_pool *pool, const struct ssb *sb, struct snapmgr_err *err)
{
	if (strcmp(pool->row.name, sb->pool_name) == 0)
		return 0;
	(void)sm_copy_text(pool->row.name, sizeof(pool->row.name), sb->pool_name);
	return save_row(pool, true, err);
}

/*
 * The kernel's transaction id goes up by one at each activation, and the catalogue knows which one it
 * should be: metadata or catalogue of another time are noticed before anything is written.
 */
int sm_pool_times(const struct sm_pool *pool, uint64_t kernel, struct snapmgr_err *err)
{
	const uint64_t known = pool->row.transaction_id;

	if (kernel == known || kernel == pool->row.next_transaction_id)
		return 0;
	return sm_fail(
		err, SNAPMGR_STALE, ESTALE,
		"thin metadata and catalogue of pool '%s' are of different times: the metadata is of transaction "
		"%" PRIu64 ", the catalogue of %" PRIu64
		"; nothing was changed; restore the %s of the same time as "
		"the other, or all of the disks from one backup; 'snapmgr pool check %s --repair' lists other ways "
		"out",
		pool->row.name, kernel, known, kernel < known ? "metadata" : "catalogue",
		pool->row.name);
}

static int advance(struct sm_pool *pool, const struct sm_space *space, struct snapmgr_err *err)
{
	const uint64_t from = space->transaction_id;
	int r = pool->b.driver->transaction ? sm_pool_times(pool, from, err) : 1;

	if (r > 0) /* no second memory, no second time */
		return 0;
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
	int r = pool->b.driver->stores ? sm_store_attach(pool, volume, &err) : 0;

	if (r == 0 && (!volume->autostart || volume->c.state == SCAT_CREATING))
		return 0;
	sm_volume_device(pool, volume, &dev);
	if (r == 0)
		r = pool->b.driver->map(&pool->b, &dev, &err);
	if (r < 0) /* one bad volume keeps no other one down */
		sm_warn(pool->sm, "volume '%s/%s' stays inactive: %s", pool->row.name,
			volume->c.name, err.message);
	return 0;
}

/* Catalogue and metadata are there, of this pool and of one time. Nothing is written, nothing runs. */
static int look_first(struct sm_pool *pool, const struct ssb *sb, const struct sm_layout *layout,
		      struct snapmgr_err *err)
{
	struct sm_space space;
	int r = sm_region_map(&pool->b, SM_ROLE_CATALOGUE, &layout->catalogue, err);

	if (r == 0 && layout->meta.n)
		r = sm_region_map(&pool->b, SM_ROLE_META, &layout->meta, err);
	if (r == 0)
		r = open_mapped_catalogue(pool, err);
	if (r == 0)
		r = check_row(pool, sb, err);
	if (r < 0 || !pool->b.driver->peek)
		return r;
	if (r == 0)
		r = pool->b.driver->peek(&pool->b, &space, err);
	return r == 0 ? sm_pool_times(pool, space.transaction_id, err) : r;
}

/* The pool runs; finish what the dead left in it, and map its volumes. */
static int bring_in(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct start start = { pool, err };
	struct sm_space space;
	bool frozen;
	int r = sm_pool_space(pool, false, &space, err);

	if (r == 0)
		r = advance(pool, &space, err);
	if (r < 0)
		return r;
	frozen = space.read_only || space.needs_check || space.fail;
	if (frozen)
		sm_warn(pool->sm,
			"pool '%s' is read-only, since its metadata needs a check: 'snapmgr pool deactivate %s', then "
			"'snapmgr pool check %s --repair'",
			pool->row.name, pool->row.name, pool->row.name);
	r = sm_recover_activated(pool, err);
	if (r == 0 && !frozen)
		r = sm_recover_ids(pool, err);
	return r == 0 ? scat_volume_each(pool->cat, start_volume, &start, err) : r;
}

static int run(struct sm_pool *pool, const struct sm_members *m, const struct sm_layout *layout,
	       struct snapmgr_err *err)
{
	struct sm_limits limits;
	int r = follow_name(pool, &m->sb, err);

	if (r == 0)
		r = sm_limits_get(pool, &limits, err);
	pool->b.error_if_no_space = r == 0 && limits.error_if_no_space;
	if (r == 0)
		r = pool->b.driver->start(&pool->b, layout, false, err);
	if (r == 0)
		r = bring_in(pool, err);
	return r == 0 ? pool->b.driver->pin(&pool->b, false, err) : r; /* last: now it is active */
}

/* An import is done once the superblocks say so, whatever comes after it. */
static int imported_but(const struct ssb *sb, int r, struct snapmgr_err *err)
{
	const struct snapmgr_err why = err ? *err : (struct snapmgr_err){ 0 };

	if (err)
		(void)snprintf(
			err->message, sizeof(err->message),
			"%.400s; pool '%s' is imported, but inactive: 'snapmgr pool activate %s' tries "
			"again",
			why.message, sb->pool_name, sb->pool_name);
	return r;
}

static bool is_ours(const struct ssb *sb)
{
	struct sm_uuid id;
	char host[65];

	shost_machine(&id, host);
	return !(sb->flags & SSB_FLAG_EXPORTED) && sm_uuid_equal(&sb->host_id, &id);
}

static int bring_up(struct sm_pool *pool, struct sm_members *m, const char *rename,
		    struct snapmgr_err *err)
{
	AUTO(sm_layout_release) struct sm_layout layout = { 0 };
	const bool ours = is_ours(&m->sb);
	int r = sm_members_layout(m, &layout, err);

	if (r == 0)
		r = look_first(pool, &m->sb, &layout, err);
	if (r == 0)
		r = mark_host(pool->sm, m, rename, err);
	if (r < 0)
		return r;
	r = run(pool, m, &layout, err);
	return r == 0 || ours ? r : imported_but(&m->sb, r, err);
}

int sm_pool_start(struct snapmgr *sm, struct sm_members *m, struct slock *lock, const char *rename,
		  struct snapmgr_err *err)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .sm = sm, .lock = *lock };
	const struct sm_driver *driver;
	int r;

	*lock = SLOCK_NONE; /* the pool's now */
	r = sm_members_complete(m, err);
	if (r == 0)
		r = sm_driver_find(m->sb.driver, &driver, err);
	if (r < 0)
		return r;
	sm_backend_init(&pool.b, driver, &m->sb.pool_uuid, rename ? rename : m->sb.pool_name,
			m->sb.chunk_sectors, m->sb.block_bytes);
	r = sm_pool_stop(&pool, err); /* what somebody left who was killed half way */
	if (r == 0)
		r = bring_up(&pool, m, rename, err);
	if (r == 0) /* nothing is left of whoever died under the lock: all was mapped anew */
		pool.lock.abandoned = false;
	if (r < 0)
		(void)sm_pool_stop(&pool, NULL); /* keep the first error */
	sm_pool_settle(&pool);
	return r;
}
