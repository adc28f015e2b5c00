/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_rename(): names change, UUIDs and device numbers stay. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"
#include "snapmgr/core/folder.h"

static int write_names(struct sm_found *f, const struct scat_volume *v,
		       const struct scat_snapshot *s, struct snapmgr_err *err)
{
	int r = scat_begin(f->pool.cat, err);

	if (r == 0)
		r = s ? scat_snapshot_update(f->pool.cat, s, err) :
			scat_volume_update(f->pool.cat, v, err);
	if (r == 0 && !f->pool.b.driver->place)
		r = sm_names_follow(&f->pool, err);
	if (r == 0)
		r = scat_commit(f->pool.cat, true, err);
	scat_rollback(f->pool.cat);
	return r;
}

/* Of a file: away from its old name, and after the commit to its new one; recovery does the latter. */
static int write_file_names(struct sm_found *f, struct scat_volume *v, struct snapmgr_err *err)
{
	const struct sm_driver *driver = f->pool.b.driver;
	struct sm_backend *b = &f->pool.b;
	struct sm_vdev from, to;
	int r;

	sm_volume_device(&f->pool, &f->volume, &from);
	sm_volume_device(&f->pool, v, &to);
	r = driver->withdraw(b, &from, err);
	if (r == 0)
		r = write_names(f, v, NULL, err);
	if (r == 0)
		r = driver->place(b, &to, err);
	return r == 0 ? driver->rename(b, &from, &to, err) : r;
}

/* All snapshots of the set that are still called as it is. */
static int rename_set(struct sm_found *f, const char *to, struct snapmgr_err *err)
{
	AUTO(sm_snapshots_free) struct sm_snapshots all = { 0 };
	struct scat_set set = f->set;
	int r = sm_set_snapshots(&f->pool, &f->set, &all, err);

	for (size_t i = 0; i < all.n && r == 0; i++) {
		struct scat_common *c = &all.v[i].c;

		if (strcmp(c->name, f->set.name) != 0)
			continue;
		(void)sm_copy_text(c->name, sizeof(c->name), to);
		r = scat_snapshot_update(f->pool.cat, &all.v[i], err);
	}
	(void)sm_copy_text(set.name, sizeof(set.name), to);
	return r == 0 ? scat_set_rename(f->pool.cat, &set, err) : r;
}

static int write_group(struct sm_found *f, const char *to, struct snapmgr_err *err)
{
	struct scat_group group = f->group;
	int r = scat_begin(f->pool.cat, err);

	(void)sm_copy_text(group.name, sizeof(group.name), to);
	if (r == 0)
		r = f->has_set ? rename_set(f, to, err) :
				 scat_group_update(f->pool.cat, &group, err);
	if (r == 0 && f->has_set) /* some of its snapshots may be mapped */
		r = sm_names_follow(&f->pool, err);
	if (r == 0)
		r = scat_commit(f->pool.cat, true, err);
	scat_rollback(f->pool.cat);
	return r;
}

/* Back to the names that the catalogue has; where that fails too, the next command does it once more. */
static void go_back(struct sm_found *f, int r)
{
	/* -EIO: of unknown outcome, read it again */
	if ((r == -EIO && sm_pool_reopen(&f->pool, NULL) < 0) ||
	    sm_names_follow(&f->pool, NULL) < 0)
		f->pool.lock.abandoned = true;
}

/* The devices are renamed before the commit. */
static int rename_object(struct sm_found *f, const char *to, struct snapmgr_err *err)
{
	struct scat_snapshot s = f->snapshot;
	struct scat_volume v = f->volume;
	int r = sm_op_begin(&f->pool, "rename", f->has_group ? f->group.name : f->volume.c.name,
			    f->has_set	    ? f->set.name :
			    f->has_snapshot ? f->snapshot.c.name :
					      NULL,
			    0, err);

	if (r < 0)
		return r;
	if (f->has_group) {
		r = write_group(f, to, err);
		if (r < 0)
			go_back(f, r);
		return r;
	}
	(void)sm_copy_text(f->has_snapshot ? s.c.name : v.c.name, sizeof(v.c.name), to);
	r = f->pool.b.driver->withdraw && !f->has_snapshot ?
		    write_file_names(f, &v, err) :
		    write_names(f, &v, f->has_snapshot ? &s : NULL, err);
	if (r < 0)
		go_back(f, r);
	return r;
}

static int check_free(struct sm_found *f, const char *to, struct snapmgr_err *err)
{
	struct scat_snapshot s;
	struct scat_volume v;
	int r;

	if (!f->has_snapshot)
		r = scat_volume_by_name(f->pool.cat, to, &v, err);
	else if (f->has_volume)
		r = scat_snapshot_by_name(f->pool.cat, f->volume.id, to, &s, err);
	else
		r = -ENOENT;
	if (r == -ENOENT && !f->has_snapshot && f->pool.b.driver->name_free)
		return f->pool.b.driver->name_free(&f->pool.b, to, err);
	if (r != 0)
		return r == -ENOENT ? 0 : r;
	if (f->has_snapshot)
		return sm_fail(err, SNAPMGR_EXISTS, EEXIST,
			       "volume '%s/%s' has a snapshot '%s' already", f->pool.row.name,
			       f->volume.c.name, to);
	return sm_fail(err, SNAPMGR_EXISTS, EEXIST, "pool '%s' has a volume '%s' already",
		       f->pool.row.name, to);
}

static int rename_pool(struct snapmgr *sm, const char *pool, const char *to,
		       struct snapmgr_err *err)
{
	struct snapmgr_pool_import_opts import = SNAPMGR_OPTS_INIT(struct snapmgr_pool_import_opts);
	AUTO(sm_members_release) struct sm_members m = { 0 };
	struct sm_folder folder;
	bool active;
	int r = sm_folder_find(sm, pool, &folder, err);

	if (r == 0 && strcmp(folder.state, SM_FOLDER_ACTIVE) == 0)
		return sm_fail(
			err, SNAPMGR_IN_USE, EBUSY,
			"pool '%s' is active, and its devices are named after it: deactivate it first",
			pool);
	if (r == 0) {
		import.as = to;
		import.no_activate = true;
		return snapmgr_pool_import(sm, pool, &import, err);
	}
	if (r != -ENOENT)
		return r;
	r = sdm_init(err);

	if (r == 0)
		r = sm_members_find(pool, &m, err);
	if (r == 0)
		r = sm_pool_is_active(&m.sb.pool_uuid, &active, err);
	if (r < 0)
		return r;
	if (active)
		return sm_fail(
			err, SNAPMGR_IN_USE, EBUSY,
			"pool '%s' is active, and its devices are named after it: deactivate it first",
			pool);
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
	r = sm_find(sm, text, SM_WANT_VOLUME | SM_WANT_SNAPSHOT | SM_WANT_GROUP | SM_WANT_SET, true,
		    &f, err);
	if (r < 0)
		return r;
	r = f.has_group ? 0 : check_free(&f, to, err); /* a group's transaction finds out itself */
	if (r == 0)
		r = rename_object(&f, to, err);
	sm_pool_settle(&f.pool);
	if (r == 0 && !f.has_snapshot && !f.has_set)
		sm_backup(&f.pool);
	return r;
}
