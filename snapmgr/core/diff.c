/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapmgr_diff(): where two of a pool differ. The driver names candidates under the pool's lock; what
 * they hold is compared without it, so nobody waits for the reading.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/core/displace.h"
#include "snapmgr/core/reading.h"

#define PIECE  SM_MIB
#define DIRECT 4096u /* memory for direct reads is aligned to it */

struct side {
	struct sm_found f; /* the second one's pool is the first one's */
	struct sm_vdev dev;
	int fd;
	char *room; /* a piece */
};

struct diffing {
	struct snapmgr *sm;
	struct side left, right;
	struct sm_reading reading; /* of sides in stores */
	struct sm_diff differ;	   /* candidates; where they were compared: what is left of them */
	uint32_t grain_bytes;
	uint64_t read_bytes, done_bytes, todo_bytes; /* done and to do: of the candidates */
};

static uint64_t total(const struct sm_diff *diff)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < diff->n; i++)
		sum += diff->v[i].len_bytes;
	return sum;
}

static void auto_diffing_release(struct diffing *d)
{
	sm_close_fd(d->left.fd);
	sm_close_fd(d->right.fd);
	sm_reading_end(&d->reading);
	free(d->left.room);
	free(d->right.room);
	sm_diff_release(&d->differ);
	sm_found_close(&d->left.f);
}

const char *snapmgr_extent_kind_name(enum snapmgr_extent_kind kind)
{
	static const char *const names[] = { "differs", "left_only", "right_only" };

	return (size_t)kind < SM_ARRAY(names) ? names[kind] : "unknown";
}

/* ---- which two ---- */

#define WANT (SM_WANT_SNAPSHOT | SM_WANT_UNDO | SM_WANT_VOLUME)

static void find_device(const struct sm_found *f, struct sm_vdev *ret)
{
	if (f->has_undo)
		sm_undo_device(&f->pool, &f->volume, &f->undo, f->undo_back, ret);
	else if (f->has_snapshot)
		sm_snapshot_device(&f->pool, &f->snapshot, ret);
	else
		sm_volume_device(&f->pool, &f->volume, ret);
}

/* What programs have written to a head's device, and the kernel still holds back. */
static int write_back(const struct side *s, struct snapmgr_err *err)
{
	AUTO(sm_close_fd) int fd = -1;
	struct sdm_info info;
	int r = 0;

	if (s->f.has_undo || s->f.has_snapshot)
		return 0;
	r = sm_vdev_info(&s->f.pool.b, &s->dev, &info, err);
	if (r < 0 || !info.exists)
		return r;
	fd = sm_node_open(&info, O_RDONLY, err);
	if (fd < 0)
		return fd;
	if (SM_STEP("diff.write_back", fsync(fd)) == 0)
		return 0;
	return sm_fail(err, SNAPMGR_IO, errno, "cannot write back the cache of '%s'", info.name);
}

static int ready(struct side *s, struct snapmgr_err *err)
{
	const struct sm_found *f = &s->f;

	find_device(f, &s->dev);
	if (f->has_snapshot && f->snapshot.c.state == SCAT_ERROR)
		return sm_snapshot_ready(&f->pool, &f->snapshot, err);
	if (f->pool.b.driver->stores && f->has_volume) { /* a merge moves what is compared */
		int r = sm_volume_ready(&f->pool, &f->volume, true, err);

		if (r < 0)
			return r;
	}
	return write_back(s, err);
}

static int find_both(struct diffing *d, const char *left, const char *right,
		     struct snapmgr_err *err)
{
	int r = sm_find(d->sm, left, WANT, true, &d->left.f, err);

	if (r == 0)
		r = sm_find_in(&d->left.f, right, WANT, &d->right.f, err);
	if (r == 0)
		r = ready(&d->left, err);
	return r == 0 ? ready(&d->right, err) : r;
}

/* ---- what the driver knows ---- */

static int ask_driver(struct diffing *d, struct snapmgr_err *err)
{
	struct sm_pool *pool = &d->left.f.pool;
	const struct sm_driver *driver = pool->b.driver;
	int r;

	if (!driver->diff)
		return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			       "driver '%s' cannot tell where two volumes differ", driver->name);
	/* Told, so that recovery knows of it where this process dies. */
	r = sm_op_begin(pool, "diff", d->left.f.has_volume ? d->left.f.volume.c.name : NULL, NULL,
			0, err);
	return r == 0 ? driver->diff(&pool->b, &d->left.dev, &d->right.dev, &d->differ, err) : r;
}

/* ---- what they hold ---- */

/* Under the lock, which is free afterwards: stores have to be kept from going while they are read. */
static int begin_reading(struct diffing *d, struct snapmgr_err *err)
{
	struct side *const sides[] = { &d->left, &d->right };
	const struct sm_vdev *devs[SM_READ_MAX];
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < SM_ARRAY(sides); i++)
		if (sides[i]->dev.of_store)
			devs[n++] = &sides[i]->dev;
	if (n)
		r = sm_reading_begin(&d->left.f.pool, devs, n, NULL, &d->reading, err);
	else
		sm_pool_unlock(&d->left.f.pool);
	n = 0;
	for (size_t i = 0; i < SM_ARRAY(sides) && r == 0; i++) {
		if (!sides[i]->dev.of_store)
			continue;
		sides[i]->fd = d->reading.fds[n];
		d->reading.fds[n++] = -1;
	}
	return r;
}

/* What was mapped for it is not to be told of as active. */
static void end_reading(struct diffing *d)
{
	if (!d->reading.op.pool)
		return;
	sm_close_fd(d->left.fd);
	sm_close_fd(d->right.fd);
	d->left.fd = d->right.fd = -1;
	sm_reading_end(&d->reading);
	sm_pool_unlock(&d->left.f.pool);
}

static int prepare_side(struct diffing *d, struct side *s, struct snapmgr_err *err)
{
	const struct sm_pool *pool = &d->left.f.pool;

	if (s->fd < 0)
		s->fd = pool->b.driver->diff_open(&pool->b, &s->dev, err);
	if (s->fd < 0)
		return s->fd;
	return posix_memalign((void **)&s->room, DIRECT, PIECE) == 0 ? 0 : sm_nomem(err);
}

/* The next @len bytes; nowhere there is nothing but zeroes. */
static int read_side(struct diffing *d, struct side *s, uint64_t at, size_t len,
		     struct snapmgr_err *err)
{
	ssize_t n;

	if (at == SM_NOWHERE) {
		memset(s->room, 0, len);
		return 0;
	}
	d->read_bytes += len;
	do
		n = pread(s->fd, s->room, len, (off_t)at);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)len)
		return 0;
	return sm_fail(err, SNAPMGR_IO, n < 0 ? errno : EIO,
		       "cannot read %zu bytes of '%s' where they are compared (at %" PRIu64 ")",
		       len, s->dev.dm.name, at);
}

static uint64_t moved(uint64_t at, uint64_t by)
{
	return at == SM_NOWHERE ? SM_NOWHERE : at + by;
}

/* The differing grains of a piece that was read. */
static int keep_differing(const struct diffing *d, const struct sm_diff_extent *piece,
			  struct sm_diff *ret, struct snapmgr_err *err)
{
	int r = 0;

	for (uint64_t at = 0; at < piece->len_bytes && r == 0; at += d->grain_bytes) {
		const uint64_t left = piece->len_bytes - at;
		const uint64_t len = left < d->grain_bytes ? left : d->grain_bytes;
		const struct sm_diff_extent grain = { piece->at_bytes + at, len,
						      moved(piece->left_at, at),
						      moved(piece->right_at, at) };

		if (memcmp(d->left.room + at, d->right.room + at, len) != 0)
			r = sm_diff_add(ret, grain, false, UINT64_MAX, UINT64_MAX, err);
	}
	return r;
}

static int report(struct diffing *d, uint64_t done_bytes, struct snapmgr_err *err)
{
	const struct snapmgr_open_opts *o = &d->sm->opts;

	d->done_bytes += done_bytes;
	if (!o->progress || !o->progress("comparing", d->done_bytes, d->todo_bytes, o->data))
		return 0;
	return sm_fail(err, SNAPMGR_USAGE, ECANCELED, "stopped; nothing was changed");
}

static int compare_extent(struct diffing *d, const struct sm_diff_extent *e, struct sm_diff *ret,
			  struct snapmgr_err *err)
{
	int r = 0;

	for (uint64_t at = 0; at < e->len_bytes && r == 0; at += PIECE) {
		const uint64_t left = e->len_bytes - at;
		const struct sm_diff_extent piece = { e->at_bytes + at, left < PIECE ? left : PIECE,
						      moved(e->left_at, at),
						      moved(e->right_at, at) };

		r = read_side(d, &d->left, piece.left_at, piece.len_bytes, err);
		if (r == 0)
			r = read_side(d, &d->right, piece.right_at, piece.len_bytes, err);
		if (r == 0)
			r = keep_differing(d, &piece, ret, err);
		if (r == 0)
			r = report(d, piece.len_bytes, err);
	}
	return r;
}

/* What was compared must have been theirs all the time: ids are never given out twice. */
static int check_still(const struct sm_pool *pool, const struct side *s, struct snapmgr_err *err)
{
	struct scat_snapshot snapshot;
	struct scat_volume volume;
	struct scat_undo undo;
	uint32_t thin = 0;
	int r;

	if (s->f.has_undo) {
		r = scat_undo_by_uuid(pool->cat, &s->f.undo.uuid, &undo, err);
		thin = undo.thin;
	} else if (s->f.has_snapshot) {
		r = scat_snapshot_by_uuid(pool->cat, &s->f.snapshot.c.uuid, &snapshot, err);
		thin = snapshot.c.thin;
	} else {
		r = scat_volume_by_uuid(pool->cat, &s->f.volume.c.uuid, &volume, err);
		thin = volume.c.thin;
	}
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && thin == s->dev.id)
		return 0;
	return sm_fail(err, SNAPMGR_STALE, ESTALE,
		       "'%s' was deleted or switched while it was compared: start again",
		       s->dev.dm.name);
}

static int compare(struct diffing *d, struct snapmgr_err *err)
{
	AUTO(sm_diff_release) struct sm_diff differ = { 0 };
	int r = prepare_side(d, &d->left, err);

	if (r == 0)
		r = prepare_side(d, &d->right, err);
	d->todo_bytes = total(&d->differ);
	for (size_t i = 0; i < d->differ.n && r == 0; i++)
		r = compare_extent(d, &d->differ.v[i], &differ, err);
	if (r == 0)
		r = check_still(&d->left.f.pool, &d->left, err);
	if (r == 0)
		r = check_still(&d->left.f.pool, &d->right, err);
	if (r < 0)
		return r;
	sm_diff_release(&d->differ);
	d->differ = differ;
	differ = (struct sm_diff){ 0 };
	return 0;
}

/* ---- what is told ---- */

static struct snapmgr_extent extent_of(const struct sm_diff_extent *e)
{
	return (struct snapmgr_extent){ .start_bytes = e->at_bytes,
					.len_bytes = e->len_bytes,
					.kind = e->right_at == SM_NOWHERE ? SNAPMGR_LEFT_ONLY :
						e->left_at == SM_NOWHERE  ? SNAPMGR_RIGHT_ONLY :
									    SNAPMGR_DIFFERS };
}

/* Extents that lie apart in the pool and side by side in the volume are one. */
static int each_extent(const struct sm_diff *diff, snapmgr_extent_fn *visit, void *data)
{
	int r = 0;

	for (size_t i = 0; i < diff->n && r == 0;) {
		struct snapmgr_extent e = extent_of(&diff->v[i]);

		for (i++; i < diff->n; i++) {
			const struct snapmgr_extent next = extent_of(&diff->v[i]);

			if (next.kind != e.kind || next.start_bytes != e.start_bytes + e.len_bytes)
				break;
			e.len_bytes += next.len_bytes;
		}
		r = visit(&e, data);
	}
	return r;
}

static int count(const struct snapmgr_extent *extent, void *data)
{
	(void)extent;
	++*(uint64_t *)data;
	return 0;
}

static int object_of(struct diffing *d, const struct side *s, struct snapmgr_object *ret,
		     struct snapmgr_err *err)
{
	struct sm_pool *pool = &d->left.f.pool;

	if (s->f.has_undo)
		return sm_object_undo(pool, &s->f.volume, &s->f.undo, s->f.undo_back, ret, err);
	if (s->f.has_snapshot)
		return sm_visit_snapshot(pool, &s->f.snapshot, sm_keep_object, ret, err);
	return sm_visit_volume(pool, &s->f.volume, sm_keep_object, ret, err);
}

static int tell(struct diffing *d, bool exact, struct snapmgr_diff_result *ret,
		struct snapmgr_err *err)
{
	struct snapmgr_diff_result result = {
		.changed_bytes = total(&d->differ),
		.read_bytes = d->read_bytes,
		.grain_bytes = d->grain_bytes,
		.exact = exact,
	};
	int r = object_of(d, &d->left, &result.left, err);

	if (r == 0)
		r = object_of(d, &d->right, &result.right, err);
	if (r < 0)
		return r;
	(void)each_extent(&d->differ, count, &result.extents);
	*ret = result;
	return 0;
}

int snapmgr_diff(struct snapmgr *sm, const char *left, const char *right,
		 const struct snapmgr_diff_opts *opts, snapmgr_extent_fn *visit, void *data,
		 struct snapmgr_diff_result *ret, struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_diff_opts, o, opts);
	AUTO(diffing_release)
	struct diffing d = { .sm = sm,
			     .left = { .f.pool.lock = SLOCK_NONE, .fd = -1 },
			     .right.fd = -1 };
	const struct sm_pool *pool = &d.left.f.pool;
	int r = find_both(&d, left, right, err);

	if (r == 0)
		r = ask_driver(&d, err);
	if (r < 0)
		return r;
	d.grain_bytes = o.fast && pool->row.chunk_sectors ? pool->row.chunk_sectors * SM_SECTOR :
							    pool->row.block_bytes;
	if (o.fast)
		sm_pool_unlock(&d.left.f.pool);
	else
		r = begin_reading(&d, err);
	if (!o.fast && r == 0)
		r = compare(&d, err);
	end_reading(&d);
	if (r == 0 && ret)
		r = tell(&d, !o.fast, ret, err);
	return r == 0 && visit ? each_extent(&d.differ, visit, data) : r;
}
