/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_rename(): names change, UUIDs and device numbers stay. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"

struct rename {
	struct sm_found *f;
	const struct scat_volume *to_volume;
	struct snapmgr_err *err;
};

static int rename_device(struct sm_pool *pool, const struct sm_vdev *from, const struct sm_vdev *to,
			 struct snapmgr_err *err)
{
	struct sdm_info info;
	int r = sdm_info(from->dm.name, &info, err);

	return r == 0 && info.exists ? pool->b.driver->rename(&pool->b, from, to, err) : r;
}

/* An active snapshot's device carries its volume's name. */
static int rename_snapshot_device(const struct scat_snapshot *s, void *data)
{
	struct rename *rn = data;
	struct scat_snapshot renamed = *s;
	struct sm_vdev from, to;

	sm_snapshot_device(&rn->f->pool, s, &from);
	(void)sm_copy_text(renamed.volume_name, sizeof(renamed.volume_name), rn->to_volume->c.name);
	sm_snapshot_device(&rn->f->pool, &renamed, &to);
	return rename_device(&rn->f->pool, &from, &to, rn->err);
}

static int rename_devices(struct sm_found *f, const struct scat_volume *to, struct snapmgr_err *err)
{
	struct rename rn = { f, to, err };
	struct sm_vdev old_dev, new_dev;
	int r;

	sm_volume_device(&f->pool, &f->volume, &old_dev);
	sm_volume_device(&f->pool, to, &new_dev);
	r = rename_device(&f->pool, &old_dev, &new_dev, err);
	return r == 0 ? scat_snapshot_each(f->pool.cat, f->volume.id, rename_snapshot_device, &rn, err) : r;
}

static int commit_volume(struct sm_found *f, const struct scat_volume *v, const struct scat_operation *op,
			 struct snapmgr_err *err)
{
	int r = scat_begin(f->pool.cat, err);

	if (r == 0)
		r = scat_volume_update(f->pool.cat, v, err);
	if (r == 0)
		r = scat_operation_delete(f->pool.cat, op->id, err);
	if (r == 0)
		r = scat_commit(f->pool.cat, true, err);
	scat_rollback(f->pool.cat);
	return r;
}

static int taken(const struct sm_found *f, const char *to, struct snapmgr_err *err)
{
	return sm_fail(err, SNAPMGR_EXISTS, EEXIST, "pool '%s' has '%s' already", f->pool.row.name, to);
}

static int rename_volume(struct sm_found *f, const char *to, struct snapmgr_err *err)
{
	struct scat_volume wanted = f->volume, other;
	struct scat_operation op;
	int r = scat_volume_by_name(f->pool.cat, to, &other, err);

	if (r == 0)
		return taken(f, to, err);
	if (r != -ENOENT)
		return r;
	r = sm_op_begin(&f->pool, "rename", &f->volume, f->volume.c.state, NULL, 0, &op, err);
	if (r < 0)
		return r;
	(void)sm_copy_text(wanted.c.name, sizeof(wanted.c.name), to);
	r = rename_devices(f, &wanted, err);
	if (r == 0)
		r = commit_volume(f, &wanted, &op, err);
	if (r == 0)
		return 0;
	/* The row of the operation stays: recovery renames the devices as the catalogue has it. */
	(void)sm_recover_pending(&f->pool, NULL);
	return r;
}

static int commit_snapshot(struct sm_found *f, const struct scat_snapshot *s, struct snapmgr_err *err)
{
	int r = scat_begin(f->pool.cat, err);

	if (r == 0)
		r = scat_snapshot_update(f->pool.cat, s, err);
	if (r == 0)
		r = scat_commit(f->pool.cat, true, err);
	scat_rollback(f->pool.cat);
	return r;
}

static int rename_snapshot(struct sm_found *f, const char *to, struct snapmgr_err *err)
{
	struct scat_snapshot wanted = f->snapshot, other;
	struct sdm_info info;
	struct sm_vdev dev;
	int r = f->snapshot.volume ?
			scat_snapshot_by_name(f->pool.cat, f->snapshot.volume, to, &other, err) :
			-ENOENT;

	if (r == 0)
		return taken(f, to, err);
	if (r != -ENOENT)
		return r;
	sm_snapshot_device(&f->pool, &f->snapshot, &dev);
	r = sdm_info(dev.dm.name, &info, err);
	if (r < 0)
		return r;
	if (info.exists)
		return sm_fail(err, SNAPMGR_IN_USE, EBUSY, "snapshot '%s' is active: deactivate it first", dev.dm.link);
	(void)sm_copy_text(wanted.c.name, sizeof(wanted.c.name), to);
	return commit_snapshot(f, &wanted, err);
}

static int rename_pool(struct snapmgr *sm, const char *pool, const char *to, struct snapmgr_err *err)
{
	struct snapmgr_pool_import_opts import = SNAPMGR_OPTS_INIT(struct snapmgr_pool_import_opts);
	AUTO(sm_members_release) struct sm_members m = { 0 };
	bool active;
	int r = sdm_init(err);

	if (r == 0)
		r = sm_members_find(pool, &m, err);
	if (r == 0)
		r = sm_pool_is_active(&m.sb.pool_uuid, &active, err);
	if (r < 0)
		return r;
	if (active)
		return sm_fail(err, SNAPMGR_IN_USE, EBUSY,
			       "pool '%s' is active, and its devices are named after it: deactivate it first", pool);
	import.as = to;
	import.no_activate = true;
	return snapmgr_pool_import(sm, pool, &import, err);
}

int snapmgr_rename(struct snapmgr *sm, const char *text, const char *to, struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	struct sm_spec spec;
	struct sm_uuid uuid;
	int r = sm_name_check("new name", to, err);

	if (r == 0)
		r = sm_spec_parse(text, &spec, err);
	if (r < 0)
		return r;
	if (!spec.volume[0] && !sm_uuid_parse(spec.pool, &uuid))
		return rename_pool(sm, spec.pool, to, err);
	r = sm_find(sm, text, SM_WANT_VOLUME | SM_WANT_SNAPSHOT, true, &f, err);
	if (r < 0)
		return r;
	r = f.has_snapshot ? rename_snapshot(&f, to, err) : rename_volume(&f, to, err);
	sm_pool_settle(&f.pool);
	return r;
}
