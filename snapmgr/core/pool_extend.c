/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_pool_extend(): more devices for a running pool. */
#include <errno.h>

#include "snapmgr/core/core.h"
#include "snapmgr/core/folder.h"

static int grow_tables(struct sm_members *m, size_t n, struct snapmgr_err *err)
{
	const size_t total = m->sb.n_members + n;
	void *members = realloc(m->sb.members, total * sizeof(*m->sb.members));
	void *paths, *bad, *generations;

	if (members)
		m->sb.members = members;
	paths = realloc(m->paths, total * sizeof(*m->paths));
	if (paths)
		m->paths = paths;
	bad = realloc(m->bad_copy, total * sizeof(*m->bad_copy));
	if (bad)
		m->bad_copy = bad;
	generations = realloc(m->generations, total * sizeof(*m->generations));
	if (generations)
		m->generations = generations;
	return members && paths && bad && generations ? 0 : sm_nomem(err);
}

static int add_member(struct sm_members *m, const char *path, bool force, struct snapmgr_err *err)
{
	const uint32_t i = m->sb.n_members;
	struct shost_device dev;
	int r = sm_device_vet(path, force, &dev, err);

	if (r < 0)
		return r;
	if (dev.block_bytes > m->sb.block_bytes)
		return sm_fail(
			err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			"device '%s' has logical blocks of %u bytes, pool '%s' of %u: filesystems in it could not be "
			"mounted any more",
			dev.path, dev.block_bytes, m->sb.pool_name, m->sb.block_bytes);
	m->sb.members[i] = (struct ssb_member){ .size_bytes = dev.size_bytes,
						.role = SSB_ROLE_DATA };
	sm_uuid_make(&m->sb.members[i].uuid);
	(void)sm_copy_text(m->paths[i], sizeof(*m->paths), dev.path);
	m->bad_copy[i] = false;
	m->generations[i] = 0;
	for (uint32_t k = 0; k < i; k++) {
		struct shost_device other;

		if (shost_device(m->paths[k], &other, NULL) == 0 && other.devno == dev.devno)
			return sm_fail(err, SNAPMGR_USAGE, EINVAL, "device '%s' is given twice",
				       dev.path);
	}
	m->sb.n_members++;
	return 0;
}

static int add_members(struct sm_members *m, const char *const *devices, size_t n, bool force,
		       const struct sm_driver *driver, struct snapmgr_err *err)
{
	const uint32_t first = m->sb.n_members;
	int r = n && first + n <= SSB_MAX_MEMBERS ?
			grow_tables(m, n, err) :
			sm_fail(err, SNAPMGR_USAGE, EINVAL, "a pool has 1 to %u devices",
				SSB_MAX_MEMBERS);

	for (size_t i = 0; i < n && r == 0; i++)
		r = add_member(m, devices[i], force, err);
	if (r == 0)
		r = sm_layout_extend(&m->sb, driver, first, err);
	for (uint32_t i = first; i < m->sb.n_members && r == 0; i++)
		r = ssb_format(m->paths[i], m->sb.members[i].size_bytes, err);
	return r;
}

/* The kernel runs what the superblocks say. Where it does so already, nothing is paused. */
int sm_pool_grow(struct sm_pool *pool, struct sm_members *m, struct snapmgr_err *err)
{
	AUTO(sm_layout_release) struct sm_layout layout = { 0 };
	struct sm_space space;
	int r = sm_members_complete(m, err);

	if (r == 0)
		r = sm_members_level(pool->sm, m, err);
	if (r == 0)
		r = sm_members_layout(m, &layout, err);
	if (r == 0)
		r = sm_pool_space(pool, false, &space, err);
	if (r < 0 || space.data_bytes >= ssb_kind_sectors(&m->sb, SSB_DATA) * SM_SECTOR)
		return r; /* the data is what grows last */
	r = sm_region_map(&pool->b, SM_ROLE_CATALOGUE, &layout.catalogue, err);
	return r == 0 ? pool->b.driver->grow(&pool->b, &layout, err) : r;
}

/* The kernel resizes no pool whose metadata is not sound. */
static int check_mode(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct sm_space s;
	int r = sm_pool_space(pool, false, &s, err);

	if (r < 0 ||
	    (!s.fail && !s.needs_check)) /* one whose metadata is full only waits for this */
		return r;
	return sm_fail(
		err, SNAPMGR_BAD_STATE, EROFS,
		"the metadata of pool '%s' needs a check before it can grow: 'snapmgr pool deactivate %s', then "
		"'snapmgr pool check %s --repair'",
		pool->row.name, pool->row.name, pool->row.name);
}

/* The pool has grown whether this can be written or not. */
static void leave_message(struct sm_pool *pool, size_t n)
{
	char text[SNAPMGR_MESSAGE_MAX];
	const struct sm_message m = { .level = "info",
				      .verb = "extend",
				      .kind = "pool",
				      .object = &pool->b.uuid,
				      .text = text };

	(void)snprintf(text, sizeof(text), "pool '%s' was extended by %zu device%s", pool->row.name,
		       n, n == 1 ? "" : "s");
	if (scat_begin(pool->cat, NULL) == 0 && sm_message(pool, &m, NULL) == 0)
		(void)scat_commit(pool->cat, false, NULL);
	scat_rollback(pool->cat);
}

/* An inactive pool is extended in the superblocks; the kernel follows when it is activated. */
static int extend_inactive(struct snapmgr *sm, const char *name, const char *const *devices,
			   size_t n_devices, bool force, struct snapmgr_err *err)
{
	AUTO(sm_members_release) struct sm_members m = { 0 };
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	const struct sm_driver *driver;
	int r = sm_inactive_lock(sm, name, &m, &pool, err);

	if (r == 0 && m.sb.flags & SSB_FLAG_EXPORTED)
		return sm_fail(err, SNAPMGR_BAD_STATE, EBUSY,
			       "pool '%s' was exported: 'snapmgr pool import %s' takes it", name,
			       name);
	if (r == 0)
		r = sm_driver_find(m.sb.driver, &driver, err);
	if (r == 0)
		r = add_members(&m, devices, n_devices, force, driver, err);
	return r == 0 ? sm_members_write(sm, &m, err) : r;
}

int snapmgr_pool_extend(struct snapmgr *sm, const char *name, const char *const *devices,
			size_t n_devices, const struct snapmgr_pool_extend_opts *opts,
			struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_pool_extend_opts, o, opts);
	AUTO(sm_members_release) struct sm_members m = { 0 };
	AUTO(slock_drop) struct slock host = SLOCK_NONE;
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct sm_folder folder;
	struct snapmgr_err why;
	int r = sm_folder_find(sm, name, &folder, err);

	if (r != -ENOENT)
		return r < 0 ? r : sm_folder_refuse(&folder, "it grows with its filesystem", err);
	r = sdm_init(err);
	if (r == 0) /* before the pool's, as import has them: two must not take one device */
		r = slock_take("host", sm->opts.wait_ms, &host, err);
	if (r < 0)
		return r;
	r = sm_pool_open(sm, name, true, &pool, &why);
	if (r == -ENODEV && why.code == SNAPMGR_BAD_STATE)
		return extend_inactive(sm, name, devices, n_devices, o.force, err);
	if (r < 0 && err)
		*err = why;
	if (r == 0)
		r = sm_members_running(&pool, &m, err);
	if (r == 0)
		r = sm_pool_grow(&pool, &m, err); /* an earlier extend that was cut short */
	if (r == 0)
		r = check_mode(&pool, err);
	if (r == 0)
		r = add_members(&m, devices, n_devices, o.force, pool.b.driver, err);
	if (r == 0) /* the pool has them from here on; the kernel is only made to follow */
		r = sm_members_write(sm, &m, err);
	if (r == 0)
		r = sm_pool_grow(&pool, &m, err);
	if (r == 0)
		leave_message(&pool, n_devices);
	slock_drop(&host);
	sm_pool_settle(&pool);
	if (r == 0)
		sm_backup(&pool);
	return r;
}
