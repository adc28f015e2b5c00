/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pools that are folders: activated, deactivated, exported, imported, renamed. */
#include <errno.h>
#include <limits.h>

#include "snapmgr/core/folder.h"
#include "snapmgr/core/rewrite.h"

static int map_one(const struct scat_volume *v, void *data)
{
	struct sm_pool *pool = data;
	struct snapmgr_err why;
	struct sdm_info info;
	struct sm_vdev dev;
	int r = 0;

	if (!v->autostart)
		return 0;
	sm_volume_device(pool, v, &dev);
	r = sm_vdev_info(&pool->b, &dev, &info, &why);
	if (r == 0 && !info.exists)
		r = pool->b.driver->map(&pool->b, &dev, &why);
	if (r < 0)
		sm_warn(pool->sm, "'%s' stays inactive: %s", dev.dm.link, why.message);
	return 0;
}

/* In use here, in this boot: what was left is finished, and what shall be attached is. */
static int bring_up(struct snapmgr *sm, struct sm_pool *pool, struct sm_folder *f,
		    struct snapmgr_err *err)
{
	int r;

	(void)strcpy(f->state, SM_FOLDER_ACTIVE);
	f->reflink = sm_folder_probe(f->dir);
	pool->sm = sm;
	r = sm_folder_catalogue(pool, f, true, err);
	if (r == 0)
		r = sm_recover_abandoned(pool, err);
	if (r == 0)
		r = sm_folder_claim(f, err);
	if (r == 0 && pool->row.operations)
		r = sm_lasting_reap(pool, err);
	if (r == 0)
		r = sm_rewrite_tend(pool, err);
	if (r == 0)
		r = scat_volume_each(pool->cat, map_one, pool, err);
	return r;
}

int sm_folder_activate(struct snapmgr *sm, const char *name, struct snapmgr_err *err)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct sm_folder f;
	int r = sm_folder_open_any(sm, name, &f, &pool, err);

	if (r < 0)
		return r;
	if (strcmp(f.state, SM_FOLDER_EXPORTED) == 0 || !sm_folder_is_ours(&f))
		return sm_fail(
			err, SNAPMGR_BAD_STATE, EBUSY,
			strcmp(f.state, SM_FOLDER_EXPORTED) == 0 ?
				"pool '%s' was exported: 'snapmgr pool import %s' takes it" :
				"pool '%s' belongs to another host: 'snapmgr pool import --force %s' takes "
				"it, if that host is down for good",
			f.name, f.dir);
	if (strcmp(f.state, SM_FOLDER_DESTROYING) == 0)
		return sm_fail(err, SNAPMGR_BAD_STATE, EBUSY,
			       "pool '%s' is half destroyed: 'snapmgr pool destroy %s' ends it",
			       f.name, f.name);
	return bring_up(sm, &pool, &f, err);
}

int sm_folder_let_go(struct snapmgr *sm, const char *name, const char *state,
		     struct snapmgr_err *err)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct sm_folder f;
	int r = sm_folder_open_any(sm, name, &f, &pool, err);

	if (r < 0 || strcmp(f.state, state) == 0)
		return r;
	if (strcmp(f.state, SM_FOLDER_EXPORTED) == 0) /* deactivated: it is nobody's */
		return 0;
	if (!sm_folder_is_ours(&f))
		return sm_fail(err, SNAPMGR_IN_USE, EBUSY, "host '%s' has pool '%s': do it there",
			       f.host, f.name);
	r = sm_folder_catalogue(&pool, &f, true, err);
	if (r == 0)
		r = sm_lasting_none_alive(&pool, err);
	if (r == 0 && pool.lock.abandoned)
		r = sm_recover_abandoned(&pool, err);
	if (r == 0)
		r = sm_folder_down(&pool, false, err);
	if (r == 0)
		r = sm_folder_down(&pool, true, err);
	if (r == 0)
		r = scat_checkpoint(pool.cat, NULL) < 0 ? 0 : r; /* the less is left beside it */
	if (r < 0)
		return r;
	(void)sm_copy_text(f.state, sizeof(f.state), state);
	return sm_folder_write(&f, err);
}

/* ---- imported ---- */

static int check_import(const struct sm_folder *f, bool force, struct snapmgr_err *err)
{
	if (strcmp(f->state, SM_FOLDER_DESTROYING) == 0)
		return sm_fail(err, SNAPMGR_BAD_STATE, EBUSY, "pool '%s' is half destroyed",
			       f->name);
	if (force || strcmp(f->state, SM_FOLDER_ACTIVE) != 0 || sm_folder_is_ours(f))
		return 0;
	return sm_fail(
		err, SNAPMGR_IN_USE, EBUSY,
		"host '%s' has pool '%s' active and did not export it: two hosts at once would "
		"destroy it; if that host is down for good, --force takes it",
		f->host, f->name);
}

/* The catalogue first: what it says decides when the two differ. */
static int write_name(struct sm_pool *pool, struct sm_folder *f, const char *name,
		      struct snapmgr_err *err)
{
	int r = scat_begin(pool->cat, err);

	(void)sm_copy_text(pool->row.name, sizeof(pool->row.name), name);
	if (r == 0)
		r = scat_pool_put(pool->cat, &pool->row, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	if (r < 0)
		return r;
	(void)sm_copy_text(f->name, sizeof(f->name), name);
	return sm_folder_write(f, err);
}

static int read_any(const struct snapmgr *sm, const char *what, struct sm_folder *ret,
		    struct snapmgr_err *err)
{
	char real[PATH_MAX];
	int r;

	if (!strchr(what, '/'))
		return sm_folder_find(sm, what, ret, err);
	if (!realpath(what, real) || strlen(real) >= SM_POOL_DIR)
		return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT, "there is no folder '%s'", what);
	r = sm_folder_read(real, ret, err);
	return r == -ENOENT ?
		       sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT, "there is no pool in '%s'", real) :
		       r;
}

int sm_folder_import(struct snapmgr *sm, const char *what, const struct snapmgr_pool_import_opts *o,
		     struct snapmgr_err *err)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .sm = sm, .lock = SLOCK_NONE };
	char lock[SM_POOL_DIR + 32], old[SNAPMGR_NAME_MAX + 1];
	struct sm_folder f;
	int r = read_any(sm, what, &f, err);

	if (r < 0)
		return r;
	sm_folder_lock_name(f.dir, lock);
	r = slock_take(lock, sm->opts.wait_ms, &pool.lock, err);
	if (r == 0)
		r = check_import(&f, o->force, err);
	(void)sm_copy_text(old, sizeof(old), f.name);
	if (r == 0)
		r = sm_folder_link(sm, o->as ? o->as : f.name, f.dir, err);
	if (r < 0)
		return r;
	r = bring_up(sm, &pool, &f, err);
	if (r == 0 && o->as && strcmp(o->as, old) != 0) {
		r = write_name(&pool, &f, o->as, err);
		if (r == 0)
			r = sm_folder_unlink(sm, old, err);
	}
	if (r < 0 || !o->no_activate)
		return r;
	r = sm_folder_down(&pool, true, err);
	(void)strcpy(f.state, SM_FOLDER_INACTIVE);
	return r == 0 ? sm_folder_write(&f, err) : r;
}
