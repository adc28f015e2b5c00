/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is copied, made such that it stays as it is while that lasts. */
#include "snapmgr/core/origin.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapmgr/core/create.h"
#include "snapmgr/core/lasting.h"

bool sm_origin_is_path(const char *text)
{
	return *text == '/' || *text == '.';
}

/* ---- files and devices ---- */

static int first_holder(const struct shost_holder *holder, void *data)
{
	*(struct shost_holder *)data = *holder;
	return 1;
}

/* What is written to while it is copied is of no one time. */
static int check_unused(const char *path, dev_t devno, struct snapmgr_err *err)
{
	struct shost_holder holder;
	int r = shost_holders(devno, SHOST_MOUNT | SHOST_SWAP | SHOST_HOLDER, first_holder, &holder,
			      err);

	if (r <= 0)
		return r;
	return sm_fail(
		err, SNAPMGR_IN_USE, EBUSY,
		"'%.200s' is in use: %s; a copy of it would be of no one time: name a volume of a pool, "
		"of which a snapshot is taken for it, or take it out of use",
		path, holder.what);
}

static int open_path(const char *path, struct stat *ret, struct snapmgr_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return sm_fail(err,
			       errno == ENOENT || errno == ENOTDIR ? SNAPMGR_NOT_FOUND :
			       errno == EACCES || errno == EPERM   ? SNAPMGR_PERMISSION :
								     SNAPMGR_IO,
			       errno, "cannot open '%.400s'", path);
	if (fstat(fd, ret) == 0 && (S_ISREG(ret->st_mode) || S_ISBLK(ret->st_mode)))
		return fd;
	(void)close(fd);
	return sm_fail(err, SNAPMGR_USAGE, EINVAL, "'%.400s' is neither a file nor a block device",
		       path);
}

/* Numbers of devices are others after a reboot, so it goes by the name that it was given. */
static void identify_path(struct sm_origin *o, const struct stat *st)
{
	const bool file = S_ISREG(st->st_mode);
	char crc[16];

	(void)snprintf(crc, sizeof(crc), "%08x", sm_crc32c(0, o->text, strlen(o->text)));
	(void)snprintf(o->identity, sizeof(o->identity), "path %" PRIu64 " %lld.%09ld %s",
		       o->size_bytes, file ? (long long)st->st_mtim.tv_sec : 0LL,
		       file ? st->st_mtim.tv_nsec : 0L,
		       sm_utf8_valid(o->text) && strlen(o->text) < 900 ? o->text : crc);
}

static int look_at_path(struct sm_origin *o, struct snapmgr_err *err)
{
	struct sio_side side = { .name = o->text };
	AUTO(sm_close_fd) int fd = -1;
	struct stat st;
	int r;

	side.fd = fd = open_path(o->text, &st, err);
	if (fd < 0)
		return fd;
	r = sio_size(&side, &o->size_bytes, err);
	if (r == 0 && S_ISBLK(st.st_mode))
		r = check_unused(o->text, st.st_rdev, err);
	if (r < 0)
		return r;
	if (!o->size_bytes)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "'%.400s' is empty", o->text);
	o->data_bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * SM_SECTOR : o->size_bytes;
	if (o->data_bytes > o->size_bytes)
		o->data_bytes = o->size_bytes;
	identify_path(o, &st);
	return 0;
}

/* ---- of a pool ---- */

static int find(struct snapmgr *sm, const char *text, bool writable, struct sm_found *f,
		struct snapmgr_err *err)
{
	int r = sm_find(sm, text, SM_WANT_VOLUME | SM_WANT_SNAPSHOT | SM_WANT_UNDO, writable, f,
			err);

	if (r < 0)
		return r;
	if (f->has_snapshot)
		r = sm_snapshot_ready(&f->pool, &f->snapshot, err);
	else if (!f->has_undo)
		r = sm_volume_ready(&f->pool, &f->volume, false, err);
	if (r == 0 && !f->has_snapshot && !f->has_undo && !f->pool.b.driver->snapshot)
		r = sm_fail(
			err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			"pool '%s' has no snapshots, and a copy of a volume that is written to would "
			"be of no one time",
			f->pool.row.name);
	return r;
}

static void describe(struct sm_found *f, struct sm_origin *o)
{
	const struct sm_uuid *id = f->has_snapshot ? &f->snapshot.c.uuid :
				   f->has_undo	   ? &f->undo.uuid :
						     &f->volume.c.uuid;
	char uuid[SNAPMGR_UUID_TEXT];
	struct sm_vdev dev;

	sm_uuid_text(id, uuid);
	o->head = !f->has_snapshot && !f->has_undo;
	o->pool = f->pool.b.uuid;
	o->size_bytes = f->has_snapshot ? f->snapshot.c.size_bytes :
			f->has_undo	? f->undo.size_bytes :
					  f->volume.c.size_bytes;
	(void)sm_copy_text(o->project, sizeof(o->project),
			   f->has_snapshot ? f->snapshot.c.project : f->volume.c.project);
	o->guest = f->has_volume && f->volume.guest;
	(void)snprintf(o->identity, sizeof(o->identity), "object %s", uuid);
	o->data_bytes = UINT64_MAX;
	if (f->has_snapshot && !f->pool.b.driver->stores)
		o->data_bytes = f->snapshot.used_bytes;
	sm_volume_device(&f->pool, &f->volume, &dev);
	if (o->head && f->pool.b.driver->used(&f->pool.b, &dev, NULL, &o->data_bytes, NULL) < 0)
		o->data_bytes = UINT64_MAX;
}

int sm_origin_look(struct snapmgr *sm, const char *text, struct sm_origin *ret,
		   struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	struct sm_origin o = {
		.text = text, .path = sm_origin_is_path(text), .fd = -1, .from.lock = SLOCK_NONE
	};
	int r = o.path ? look_at_path(&o, err) : find(sm, text, false, &f, err);

	if (r < 0)
		return r;
	if (!o.path)
		describe(&f, &o);
	*ret = o;
	return 0;
}

static int make_id(struct sm_found *f, uint32_t *ret, struct snapmgr_err *err)
{
	struct sm_copy_source source;

	sm_copy_source(f, &source);
	return f->has_snapshot || f->has_undo ?
		       sm_id_make(&f->pool, sm_make_copy, &source, ret, err) :
		       sm_id_make(&f->pool, sm_make_moment, &f->volume, ret, err);
}

/* The id is garbage before it is mapped: from then on nobody needs to know of it. */
static int make_moment(struct sm_found *f, struct sm_vdev *dev, struct snapmgr_err *err)
{
	struct sm_pool *pool = &f->pool;
	int r = make_id(f, &dev->id, err);

	if (r == 0)
		r = scat_begin(pool->cat, err);
	if (r == 0)
		r = scat_garbage_add(pool->cat, dev->id, err);
	if (r == 0)
		r = sm_pool_save(pool, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	return r == 0 ? pool->b.driver->map(&pool->b, dev, err) : r;
}

/*
 * What is mapped of it, by the driver's comparison with the one chunk that is ours. A help alone: where it
 * cannot be had, or hardly anything would be left out, all is read.
 */
static void find_extents(struct sm_pool *pool, struct sm_origin *o)
{
	const struct sm_vdev empty = { .id = 0, .size_bytes = o->size_bytes };
	AUTO(sm_diff_release) struct sm_diff diff = { 0 };
	uint64_t used;

	if (!pool->b.driver->diff || pool->b.driver->used(&pool->b, &o->dev, NULL, &used, NULL) < 0)
		return;
	o->data_bytes = used < o->size_bytes ? used : o->size_bytes;
	if (used >= o->size_bytes / 10 * 9 ||
	    pool->b.driver->diff(&pool->b, &o->dev, &empty, &diff, NULL) < 0)
		return;
	o->extents = calloc(diff.n + 1, sizeof(*o->extents));
	for (size_t i = 0; o->extents && i < diff.n; i++) {
		const struct sm_diff_extent *e = &diff.v[i];

		if (e->left_at != SM_NOWHERE)
			o->extents[o->n_extents++] = (struct sio_extent){ e->at_bytes, e->len_bytes,
									  SIO_DATA };
	}
}

struct sio_map *sm_origin_map(const struct sm_origin *o, struct sio_list *list)
{
	if (!o->extents)
		return NULL;
	sio_list(list, o->extents, o->n_extents);
	return &list->map;
}

static int open_thin(struct sm_found *f, struct sm_origin *o, const struct sm_uuid *operation,
		     struct snapmgr_err *err)
{
	struct sdm_info info;
	int r;

	sm_lasting_thin_device(operation, "source", 0, o->size_bytes, &o->dev);
	o->dev.dm.read_only = true;
	r = make_moment(f, &o->dev, err);
	if (r < 0)
		return r;
	find_extents(&f->pool, o);
	sm_pool_settle(&f->pool);
	r = sdm_info_by_uuid(o->dev.dm.uuid, &info, err);
	if (r == 0 && !info.exists)
		r = sm_fail(err, SNAPMGR_KERNEL, ENODEV, "'%s' is gone", o->dev.dm.name);
	return r == 0 ? sm_node_open(&info, O_RDONLY, err) : r;
}

/*
 * What is open stays on the disk, whoever deletes it. So the copy of a volume goes at once; who dies before
 * that leaves an id that no row names.
 */
static int open_file(struct sm_found *f, struct sm_origin *o, struct snapmgr_err *err)
{
	const struct sm_driver *driver = f->pool.b.driver;
	struct sm_copy_source source;
	uint32_t id;
	int r, fd;

	sm_copy_source(f, &source);
	if (!o->head)
		return driver->read_open(&f->pool.b, &source.dev, err);
	r = make_id(f, &id, err);
	if (r < 0)
		return r;
	source.dev.id = id;
	source.dev.dm.read_only = true;
	fd = driver->read_open(&f->pool.b, &source.dev, err);
	r = driver->drop(&f->pool.b, id, fd < 0 ? NULL : err);
	if (r < 0 && fd >= 0) {
		sm_close_fd(fd);
		return r;
	}
	return fd;
}

static int open_store(struct sm_found *f, struct sm_origin *o, struct snapmgr_err *err)
{
	struct sm_copy_source source;
	const struct sm_vdev *dev = &source.dev;
	int r;

	sm_copy_source(f, &source);
	o->from = f->pool; /* the row goes with it */
	f->pool = (struct sm_pool){ .lock = SLOCK_NONE };
	r = o->head ? sm_reading_head(&o->from, &f->volume, &o->reading, err) :
		      sm_reading_begin(&o->from, &dev, 1, f->has_snapshot ? &o->snapshot : NULL,
				       &o->reading, err);
	return r < 0 ? r : dup(o->reading.fds[0]);
}

static int open_object(struct snapmgr *sm, struct sm_origin *o, const struct sm_uuid *operation,
		       struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	const uint64_t size_bytes = o->size_bytes;
	int r = find(sm, o->text, true, &f, err);

	if (r < 0)
		return r;
	describe(&f, o);
	if (o->size_bytes != size_bytes)
		return sm_fail(err, SNAPMGR_STALE, ESTALE,
			       "'%.200s' got another size in this moment", o->text);
	r = sm_op_begin(&f.pool, "copy", f.has_volume ? f.volume.c.name : NULL,
			f.has_snapshot ? f.snapshot.c.name : NULL, 0, err);
	if (r == 0 && (o->head || !f.pool.b.driver->files))
		r = sm_space_for_more(&f.pool, "copy", f.has_undo ? &f.undo : NULL, err);
	if (r < 0)
		return r;
	o->snapshot = f.snapshot;
	r = f.pool.b.driver->read_open ? open_file(&f, o, err) :
	    f.pool.b.driver->stores    ? open_store(&f, o, err) :
					 open_thin(&f, o, operation, err);
	o->fd = r < 0 ? -1 : r;
	return r < 0 ? r : 0;
}

int sm_origin_open(struct snapmgr *sm, struct sm_origin *o, const struct sm_uuid *operation,
		   struct snapmgr_err *err)
{
	struct stat st;
	int fd;

	if (!o->path)
		return open_object(sm, o, operation, err);
	fd = open_path(o->text, &st, err);
	if (fd < 0)
		return fd;
	o->fd = fd;
	return 0;
}

int sm_origin_close(struct sm_backend *b, struct sm_origin *o, struct snapmgr_err *err)
{
	int r = 0;

	sm_close_fd(o->fd);
	o->fd = -1;
	free(o->extents);
	o->extents = NULL;
	sm_reading_end(&o->reading);
	sm_pool_close(&o->from);
	if (o->dev.dm.name[0])
		r = sm_vdev_unmap(b, &o->dev, err);
	if (r == 0)
		o->dev.dm.name[0] = '\0';
	return r;
}
