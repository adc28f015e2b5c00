/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_pool_create() */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"
#include "snapmgr/core/folder.h"

struct name_wanted {
	const char *name;
	struct snapmgr_err *err;
};

static int refuse_name(struct sm_members *m, void *data)
{
	const struct name_wanted *wanted = data;

	if (strcmp(m->sb.pool_name, wanted->name) != 0)
		return 0;
	return sm_fail(wanted->err, SNAPMGR_EXISTS, EEXIST, "there is a pool '%s' already, on '%s'",
		       wanted->name,
		       m->paths[0][0] ? m->paths[0] : "devices that are not all here");
}

static int check_chunk(uint64_t bytes, struct snapmgr_err *err)
{
	if (bytes == 0 || (bytes % (64 * SM_KIB) == 0 && bytes <= SM_GIB))
		return 0;
	return sm_fail(err, SNAPMGR_USAGE, EINVAL,
		       "chunk size %llu is not a multiple of 64K between 64K and 1G",
		       (unsigned long long)bytes);
}

/* dm-snapshot counts in powers of two, and a store of the least size should have room for some. */
static int check_store_chunk(const struct sm_driver *driver, uint64_t bytes,
			     struct snapmgr_err *err)
{
	if (!driver->stores || ((bytes & (bytes - 1)) == 0 && bytes <= SM_MIB))
		return 0;
	return sm_fail(err, SNAPMGR_USAGE, EINVAL,
		       "chunk size %llu is not a power of two between 64K and 1M, as driver '%s' "
		       "needs",
		       (unsigned long long)bytes, driver->name);
}

static int add_member(struct sm_members *m, const char *path, bool force, enum ssb_role role,
		      dev_t *devnos, struct snapmgr_err *err)
{
	struct ssb_member *member = &m->sb.members[m->sb.n_members];
	struct shost_device dev;
	int r = sm_device_vet(path, force, &dev, err);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < m->sb.n_members; i++) {
		if (devnos[i] == dev.devno)
			return sm_fail(err, SNAPMGR_USAGE, EINVAL, "device '%s' is given twice",
				       dev.path);
	}
	devnos[m->sb.n_members] = dev.devno;
	(void)sm_copy_text(m->paths[m->sb.n_members], sizeof(*m->paths), dev.path);
	sm_uuid_make(&member->uuid);
	member->size_bytes = dev.size_bytes;
	member->role = role;
	if (m->sb.block_bytes < dev.block_bytes)
		m->sb.block_bytes = dev.block_bytes;
	m->sb.n_members++;
	return 0;
}

static int collect(struct sm_members *m, const char *const *devices, size_t n,
		   const struct snapmgr_pool_create_opts *o, struct snapmgr_err *err)
{
	AUTO(free) dev_t *devnos = calloc(n + 1, sizeof(*devnos));
	int r = 0;

	m->sb.members = calloc(n + 1, sizeof(*m->sb.members));
	m->paths = calloc(n + 1, sizeof(*m->paths));
	m->bad_copy = calloc(n + 1, sizeof(*m->bad_copy));
	m->generations = calloc(n + 1, sizeof(*m->generations));
	if (!devnos || !m->sb.members || !m->paths || !m->bad_copy || !m->generations)
		return sm_nomem(err);
	if (o->meta_device)
		r = add_member(m, o->meta_device, o->force, SSB_ROLE_META, devnos, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = add_member(m, devices[i], o->force, SSB_ROLE_DATA, devnos, err);
	return r;
}

static int wipe(const struct sm_members *m, struct snapmgr_err *err)
{
	int r = 0;

	for (uint32_t i = 0; i < m->sb.n_members && r == 0; i++)
		r = ssb_format(m->paths[i], m->sb.members[i].size_bytes, err);
	return r;
}

static int format_catalogue(const struct sm_pool *pool, const struct ssb *sb,
			    struct snapmgr_err *err)
{
	struct scat_pool row = {
		.uuid = sb->pool_uuid,
		.created_at_us = sb->created_at_us,
		.chunk_sectors = sb->chunk_sectors,
		.block_bytes = sb->block_bytes,
		.next_thin = 1,
		.reserved_thin = 1,
	};
	char node[160];
	struct sdm_info info;
	int r = sdm_info(pool->b.roles[SM_ROLE_CATALOGUE].name, &info, err);

	if (r < 0)
		return r;
	(void)sm_copy_text(row.name, sizeof(row.name), sb->pool_name);
	(void)sm_copy_text(row.driver, sizeof(row.driver), sb->driver);
	sm_node_path(&info, node, sizeof(node));
	return scat_format(node, &row, err);
}

static int bring_up(struct sm_pool *pool, struct sm_members *m, struct snapmgr_err *err)
{
	AUTO(sm_layout_release) struct sm_layout layout = { 0 };
	const struct sm_driver *driver = pool->b.driver;
	int r = sm_members_layout(m, &layout, err);

	if (r == 0)
		r = sm_region_map(&pool->b, SM_ROLE_CATALOGUE, &layout.catalogue, err);
	if (r == 0)
		r = format_catalogue(pool, &m->sb, err);
	if (r == 0)
		r = driver->start(&pool->b, &layout, true, err);
	if (r == 0)
		r = driver->pin(&pool->b, true, err);
	if (r == 0) /* the pool exists from here on */
		r = sm_members_write(pool->sm, m, err);
	return r;
}

/* A pool of that name that runs although none of its disks can be read any more. */
static int refuse_device(const struct sm_backend *b, struct snapmgr_err *err)
{
	struct sdm_info info;
	int r = sdm_info(b->roles[SM_ROLE_CATALOGUE].name, &info, err);

	if (r < 0 || !info.exists)
		return r;
	return sm_fail(err, SNAPMGR_EXISTS, EEXIST,
		       "there is a device '%s' already: a pool '%s' is active", info.name, b->name);
}

static int make(struct snapmgr *sm, const struct sm_driver *driver, struct sm_members *m,
		struct snapmgr_err *err)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .sm = sm, .lock = SLOCK_NONE };
	char uuid[SNAPMGR_UUID_TEXT];
	int r;

	sm_uuid_text(&m->sb.pool_uuid, uuid);
	sm_backend_init(&pool.b, driver, &m->sb.pool_uuid, m->sb.pool_name, m->sb.chunk_sectors,
			m->sb.block_bytes);
	r = refuse_device(&pool.b, err);
	if (r == 0)
		r = slock_take(uuid, 0, &pool.lock, err);
	if (r == 0)
		r = wipe(m, err);
	if (r < 0)
		return r;
	r = bring_up(&pool, m, err);
	if (r < 0) {
		(void)sm_pool_stop(&pool, NULL); /* keep the first error */
		for (uint32_t i = 0; i < m->sb.n_members; i++)
			(void)ssb_erase(m->paths[i], NULL);
	}
	sm_pool_settle(&pool);
	return r;
}

static int describe(struct sm_members *m, const char *name, const struct sm_driver *driver,
		    const struct snapmgr_pool_create_opts *o, struct snapmgr_err *err)
{
	struct ssb *sb = &m->sb;

	sm_uuid_make(&sb->pool_uuid);
	(void)sm_copy_text(sb->pool_name, sizeof(sb->pool_name), name);
	(void)sm_copy_text(sb->driver, sizeof(sb->driver), driver->name);
	sb->flags = SSB_FLAG_ACTIVE;
	sb->created_at_us = sm_now_us();
	sb->chunk_sectors = (uint32_t)(o->chunk_bytes / SM_SECTOR);
	shost_machine(&sb->host_id, sb->host);
	return sm_layout_plan(sb, driver, err);
}

int snapmgr_pool_create(struct snapmgr *sm, const char *name, const char *const *devices,
			size_t n_devices, const struct snapmgr_pool_create_opts *opts,
			struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_pool_create_opts, o, opts);
	AUTO(sm_members_release) struct sm_members m = { 0 };
	AUTO(slock_drop) struct slock host = SLOCK_NONE;
	struct name_wanted wanted = { name, err };
	const struct sm_driver *driver;
	struct sm_folder folder;
	int r = sm_name_check("pool name", name, err);

	if (r == 0)
		r = check_chunk(o.chunk_bytes, err);
	if (r == 0)
		r = sm_params_check(o.params, o.n_params, err);
	if (r == 0)
		r = sm_driver_find(o.driver ? o.driver : "thin", &driver, err);
	if (r == 0)
		r = check_store_chunk(driver, o.chunk_bytes, err);
	if (r == 0 && driver->files)
		return sm_folder_create(sm, name, devices, n_devices, driver, &o, err);
	if (r == 0 && sm_folder_find(sm, name, &folder, NULL) == 0)
		return sm_fail(err, SNAPMGR_EXISTS, EEXIST, "there is a pool '%s' already, in '%s'",
			       name, folder.dir);
	if (r == 0 && (!n_devices || n_devices >= SSB_MAX_MEMBERS))
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "a pool has 1 to %u devices",
			       SSB_MAX_MEMBERS - 1);
	if (r == 0)
		r = sdm_init(err);
	if (r == 0) /* one scan of names at a time */
		r = slock_take("host", sm->opts.wait_ms, &host, err);
	if (r == 0)
		r = sm_pool_sweep(sm, err);
	if (r == 0)
		r = collect(&m, devices, n_devices, &o, err);
	if (r == 0)
		r = sm_members_scan(refuse_name, &wanted, err);
	if (r == 0)
		r = describe(&m, name, driver, &o, err);
	if (r == 0)
		r = make(sm, driver, &m, err);
	if (r == 0)
		sm_backup_of(sm, name);
	return r;
}
