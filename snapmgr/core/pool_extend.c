/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_pool_extend(): more devices for a running pool. */
#include <errno.h>

#include "snapmgr/core/core.h"

/* What an extend that was cut short left on @path: ours, but not in the pool's table. */
static bool left_over(const char *path, const struct ssb *pool)
{
	AUTO(ssb_release) struct ssb sb = { 0 };

	if (ssb_read(path, &sb, NULL, NULL) < 0 || !sm_uuid_equal(&sb.pool_uuid, &pool->pool_uuid))
		return false;
	for (uint32_t i = 0; i < pool->n_members; i++) {
		if (sm_uuid_equal(&pool->members[i].uuid, &sb.members[sb.self].uuid))
			return false;
	}
	return true;
}

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
	int r = 0;

	if (left_over(path, &m->sb))
		r = ssb_erase(path, err);
	if (r == 0)
		r = sm_device_vet(path, force, &dev, err);
	if (r < 0)
		return r;
	if (dev.block_bytes > m->sb.block_bytes)
		return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			       "device '%s' has logical blocks of %u bytes, pool '%s' of %u: filesystems in it could not be "
			       "mounted any more",
			       dev.path, dev.block_bytes, m->sb.pool_name, m->sb.block_bytes);
	m->sb.members[i] = (struct ssb_member){ .size_bytes = dev.size_bytes, .role = SSB_ROLE_DATA };
	sm_uuid_make(&m->sb.members[i].uuid);
	(void)sm_copy_text(m->paths[i], sizeof(*m->paths), dev.path);
	m->bad_copy[i] = false;
	m->generations[i] = 0;
	for (uint32_t k = 0; k < i; k++) {
		struct shost_device other;

		if (shost_device(m->paths[k], &other, NULL) == 0 && other.devno == dev.devno)
			return sm_fail(err, SNAPMGR_USAGE, EINVAL, "device '%s' is given twice", dev.path);
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
			sm_fail(err, SNAPMGR_USAGE, EINVAL, "a pool has 1 to %u devices", SSB_MAX_MEMBERS);

	for (size_t i = 0; i < n && r == 0; i++)
		r = add_member(m, devices[i], force, err);
	if (r == 0)
		r = sm_layout_extend(&m->sb, driver, first, err);
	for (uint32_t i = first; i < m->sb.n_members && r == 0; i++)
		r = ssb_format(m->paths[i], m->sb.members[i].size_bytes, err);
	return r;
}

int snapmgr_pool_extend(struct snapmgr *sm, const char *name, const char *const *devices, size_t n_devices,
			const struct snapmgr_pool_extend_opts *opts, struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_pool_extend_opts, o, opts);
	AUTO(sm_layout_release) struct sm_layout layout = { 0 };
	AUTO(sm_members_release) struct sm_members m = { 0 };
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	char uuid[SNAPMGR_UUID_TEXT];
	int r = sm_pool_open(sm, name, true, &pool, err);

	if (r < 0)
		return r;
	sm_uuid_text(&pool.b.uuid, uuid);
	r = sm_members_find(uuid, &m, err);
	if (r == 0)
		r = sm_members_complete(&m, err);
	if (r == 0)
		r = add_members(&m, devices, n_devices, o.force, pool.b.driver, err);
	if (r == 0) /* the pool has them from here on; the kernel is only made to follow */
		r = sm_members_write(&m, err);
	if (r == 0)
		r = sm_members_layout(&m, &layout, err);
	if (r == 0)
		r = sm_region_map(&pool.b, SM_ROLE_CATALOGUE, &layout.catalogue, err);
	if (r == 0)
		r = pool.b.driver->grow(&pool.b, &layout, err);
	sm_pool_settle(&pool);
	return r;
}
