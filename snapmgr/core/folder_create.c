/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A folder becomes a pool, and none again. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>

#include "snapmgr/core/folder.h"
#include "snapmgr/core/lasting.h"

#define BLOCK_BYTES 512u

static int io_failed(struct snapmgr_err *err, const char *act, const char *path)
{
	const int e = errno;

	return sm_fail(err, e == EACCES || e == EPERM ? SNAPMGR_PERMISSION : SNAPMGR_IO, e,
		       "cannot %s '%s'", act, path);
}

/* ---- create ---- */

static int resolve(const char *path, char ret[SM_POOL_DIR], struct snapmgr_err *err)
{
	char real[PATH_MAX];
	struct stat st;

	if (SM_STEP("folder.make", mkdir(path, 0700)) < 0 && errno != EEXIST)
		return io_failed(err, "make", path);
	if (!realpath(path, real) || stat(real, &st) < 0)
		return io_failed(err, "look at", path);
	if (!S_ISDIR(st.st_mode))
		return sm_fail(err, SNAPMGR_USAGE, ENOTDIR,
			       "'%s' is not a folder: a pool of driver 'file' is one", path);
	if (strlen(real) > SM_POOL_DIR - 8 || strpbrk(real, "\n"))
		return sm_fail(err, SNAPMGR_USAGE, ENAMETOOLONG,
			       "the path of '%s' is too long, or not one line", path);
	if (!real[1])
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "the root folder cannot be a pool");
	return sm_copy_text(ret, SM_POOL_DIR, real);
}

/* A catalogue without an owner is what a create left that was killed; without our folder it is theirs. */
static int vet(const char *dir, struct snapmgr_err *err)
{
	char path[SM_POOL_DIR + 32], ours[SM_POOL_DIR + 32];
	struct sm_folder other;
	int r = sm_folder_read(dir, &other, err);

	if (r == 0)
		return sm_fail(err, SNAPMGR_EXISTS, EEXIST,
			       "'%s' is pool '%s' already: 'snapmgr pool import %s' takes it", dir,
			       other.name, dir);
	if (r != -ENOENT)
		return r;
	(void)snprintf(path, sizeof(path), "%s/" SCAT_FILE_NAME, dir);
	(void)snprintf(ours, sizeof(ours), "%s/" SM_FILE_FOLDER, dir);
	if (access(path, F_OK) == 0 && access(ours, F_OK) < 0)
		return sm_fail(err, SNAPMGR_EXISTS, EEXIST, "there is a file '%s' that is not ours",
			       path);
	if (SM_STEP("folder.make", mkdir(ours, 0700)) < 0 && errno != EEXIST)
		return io_failed(err, "make", ours);
	return 0;
}

static int drop_catalogue(const char *dir, struct snapmgr_err *err)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	char path[SM_POOL_DIR + 32];

	for (size_t i = 0; i < SM_ARRAY(suffixes); i++) {
		(void)snprintf(path, sizeof(path), "%s/" SCAT_FILE_NAME "%s", dir, suffixes[i]);
		if (SM_STEP("file.unlink", unlink(path)) < 0 && errno != ENOENT)
			return io_failed(err, "delete", path);
	}
	return 0;
}

static int make(struct snapmgr *sm, struct sm_folder *f, const struct sm_driver *driver,
		struct snapmgr_err *err)
{
	struct scat_pool row = {
		.uuid = f->uuid,
		.created_at_us = f->created_at_us,
		.block_bytes = BLOCK_BYTES,
		.next_thin = 1,
		.reserved_thin = 1,
	};
	char dir[SM_POOL_DIR + 1];
	int r = drop_catalogue(f->dir, err);

	(void)sm_copy_text(row.name, sizeof(row.name), f->name);
	(void)sm_copy_text(row.driver, sizeof(row.driver), driver->name);
	(void)snprintf(dir, sizeof(dir), "%s/", f->dir);
	if (r == 0)
		r = scat_format_file(dir, &row, err);
	if (r == 0)
		r = sm_folder_link(sm, f->name, f->dir, err);
	if (r < 0)
		return r;
	r = sm_folder_claim(f, err); /* the pool exists from here on */
	if (r < 0)
		(void)sm_folder_unlink(sm, f->name, NULL);
	return r;
}

struct taken {
	const char *name;
	struct snapmgr_err *err;
};

static int refuse_name(struct sm_members *m, void *data)
{
	const struct taken *t = data;

	return strcmp(m->sb.pool_name, t->name) == 0 ?
		       sm_fail(t->err, SNAPMGR_EXISTS, EEXIST,
			       "there is a pool '%s' already, on '%s'", t->name,
			       m->paths[0][0] ? m->paths[0] : "devices that are not all here") :
		       0;
}

/* Whoever may not look at devices cannot have a pool on them. */
static int check_name(const struct snapmgr *sm, const char *name, struct snapmgr_err *err)
{
	struct taken taken = { name, err };
	struct sm_folder other;
	int r = sm_folder_find(sm, name, &other, NULL);

	if (r == 0)
		return sm_fail(err, SNAPMGR_EXISTS, EEXIST, "there is a pool '%s' already, in '%s'",
			       name, other.dir);
	return sdm_init(NULL) == 0 ? sm_members_scan(refuse_name, &taken, err) : 0;
}

static int check_opts(const struct snapmgr_pool_create_opts *o, size_t n, struct snapmgr_err *err)
{
	if (n != 1)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "a pool of driver 'file' is one folder, and %zu are named", n);
	if (o->meta_device || o->chunk_bytes)
		return sm_fail(
			err, SNAPMGR_USAGE, EINVAL,
			"a pool of driver 'file' has neither a device for metadata nor chunks");
	return 0;
}

int sm_folder_create(struct snapmgr *sm, const char *name, const char *const *dirs, size_t n,
		     const struct sm_driver *driver, const struct snapmgr_pool_create_opts *o,
		     struct snapmgr_err *err)
{
	struct sm_folder f = { .state = SM_FOLDER_ACTIVE, .created_at_us = sm_now_us() };
	AUTO(slock_drop) struct slock lock = SLOCK_NONE;
	char lock_name[SM_POOL_DIR + 32];
	int r = check_opts(o, n, err);

	if (r == 0)
		r = check_name(sm, name, err);
	if (r == 0)
		r = resolve(dirs[0], f.dir, err);
	if (r == 0)
		r = vet(f.dir, err);
	if (r < 0)
		return r;
	sm_folder_lock_name(f.dir, lock_name);
	r = slock_take(lock_name, sm->opts.wait_ms, &lock, err);
	if (r == 0)
		r = vet(f.dir, err); /* again, now that nobody changes it */
	if (r < 0)
		return r;
	sm_uuid_make(&f.uuid);
	(void)sm_copy_text(f.name, sizeof(f.name), name);
	r = make(sm, &f, driver, err);
	slock_drop(&lock);
	if (r == 0)
		sm_backup_of(sm, name);
	return r;
}

/* ---- destroy ---- */

struct down {
	struct sm_pool *pool;
	bool remove; /* else only look whether it could be */
	struct snapmgr_err *err;
};

static int held(const struct scat_snapshot *s, void *data)
{
	const struct down *d = data;
	char spec[SNAPMGR_SPEC_TEXT];

	if (!s->hold)
		return 0;
	sm_snapshot_spec(d->pool, s, spec);
	return sm_fail(
		d->err, SNAPMGR_HELD, EBUSY,
		"pool '%s' has held snapshots: '%s'; 'snapmgr release' them, or --force destroys "
		"them too",
		d->pool->row.name, spec);
}

static int take_down(struct down *d, const struct sm_vdev *dev)
{
	struct sm_claim claim = { .fd = -1 };
	int r = sm_claim(d->pool, dev, dev->dm.link, false, &claim, d->err);

	sm_claim_drop(&claim);
	if (r == -EUCLEAN) /* its file is gone already */
		return 0;
	return r == 0 && d->remove && claim.info.exists ?
		       d->pool->b.driver->unmap(&d->pool->b, dev, d->err) :
		       r;
}

static int down_volume(const struct scat_volume *v, void *data)
{
	struct down *d = data;
	struct sm_vdev dev;

	sm_volume_device(d->pool, v, &dev);
	return take_down(d, &dev);
}

static int down_snapshot(const struct scat_snapshot *s, void *data)
{
	struct down *d = data;
	struct sm_vdev dev;

	sm_snapshot_device(d->pool, s, &dev);
	return take_down(d, &dev);
}

static int down_undo(const struct scat_undo *u, void *data)
{
	struct down *d = data;
	struct scat_volume v;
	struct sm_vdev dev;
	int r = scat_volume_by_id(d->pool->cat, u->volume, &v, d->err);

	if (r < 0)
		return r;
	sm_undo_device(d->pool, &v, u, 0, &dev);
	return take_down(d, &dev);
}

int sm_folder_down(struct sm_pool *pool, bool remove, struct snapmgr_err *err)
{
	struct down d = { pool, remove, err };
	int r = scat_volume_each(pool->cat, down_volume, &d, err);

	if (r == 0)
		r = scat_snapshot_each(pool->cat, -1, down_snapshot, &d, err);
	return r == 0 ? scat_undo_each(pool->cat, -1, down_undo, &d, err) : r;
}

static int drop_head(const struct scat_volume *v, void *data)
{
	struct down *d = data;
	struct sm_vdev dev;

	sm_volume_device(d->pool, v, &dev);
	return d->pool->b.driver->withdraw(&d->pool->b, &dev, d->err);
}

/* All that is ours; what is not stays, and so does the folder. The owner's file goes last. */
static int erase(struct sm_pool *pool, const struct sm_folder *f, struct snapmgr_err *err)
{
	char path[PATH_MAX];
	struct dirent *d;
	DIR *dir;
	int r = 0;

	(void)snprintf(path, sizeof(path), "%s/" SM_FILE_FOLDER, f->dir);
	dir = opendir(path);
	if (!dir)
		return io_failed(err, "read", path);
	(void)pool;
	while (r == 0 && (d = readdir(dir))) {
		if (d->d_name[0] == '.' || strcmp(d->d_name, "owner") == 0 ||
		    strcmp(d->d_name, "lock") == 0)
			continue;
		if (SM_STEP("file.unlink", unlinkat(dirfd(dir), d->d_name, 0)) < 0 &&
		    errno != ENOENT)
			r = io_failed(err, "delete", d->d_name);
	}
	if (r == 0)
		r = drop_catalogue(f->dir, err);
	if (r == 0 && (SM_STEP("file.unlink", unlinkat(dirfd(dir), "owner", 0)) < 0 ||
		       SM_STEP("file.unlink", unlinkat(dirfd(dir), "lock", 0)) < 0))
		r = io_failed(err, "delete", path);
	(void)closedir(dir);
	if (r == 0)
		(void)SM_STEP("folder.drop", rmdir(path));
	return r;
}

static int refuse(struct sm_pool *pool, const struct sm_folder *f,
		  const struct snapmgr_pool_destroy_opts *o, struct snapmgr_err *err)
{
	struct down d = { pool, false, err };
	int r;

	if (strcmp(f->state, SM_FOLDER_EXPORTED) != 0 && !sm_folder_is_ours(f))
		return sm_fail(
			err, SNAPMGR_IN_USE, EBUSY,
			"host '%s' has pool '%s' active: 'snapmgr pool import %s --force' takes it "
			"first, if that host is down for good",
			f->host, f->name, f->dir);
	r = sm_folder_catalogue(pool, f, true, err);
	if (r == 0)
		r = sm_lasting_none_alive(pool, err);
	if (r == 0 && !o->force)
		r = scat_snapshot_each(pool->cat, -1, held, &d, err);
	return r == 0 ? sm_folder_down(pool, false, err) : r;
}

int sm_folder_destroy(struct snapmgr *sm, const char *name,
		      const struct snapmgr_pool_destroy_opts *o, struct snapmgr_err *err)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct down d = { &pool, true, err };
	struct sm_folder f;
	int r = sm_folder_open_any(sm, name, &f, &pool, err);

	if (r < 0)
		return r;
	if (strcmp(f.state, SM_FOLDER_DESTROYING) != 0) {
		r = refuse(&pool, &f, o, err);
		if (r < 0 || o->dry_run)
			return r;
		sm_backup(&pool);
		r = sm_folder_down(&pool, true, err);
		(void)strcpy(f.state, SM_FOLDER_DESTROYING);
		if (r == 0) /* no way back from here on: the next one ends it */
			r = sm_folder_write(&f, err);
	} else {
		r = sm_folder_catalogue(&pool, &f, true, NULL) < 0 ? 0 : r;
	}
	if (r == 0 && pool.cat)
		r = scat_volume_each(pool.cat, drop_head, &d, err);
	scat_close(pool.cat);
	pool.cat = NULL;
	if (r == 0)
		r = erase(&pool, &f, err);
	return r == 0 ? sm_folder_unlink(sm, f.name, err) : r;
}
