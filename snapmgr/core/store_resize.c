/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A volume's size where the core places it. Larger: room is taken behind its end and made zero while others
 * work, then its table grows. Smaller: its table shrinks, then what lies behind goes to others.
 *
 * Each store is as long as its volume was when it was made. What one shows behind the volume's end lies
 * where the volume would grow to, or what is cut off would lie: so neither is done while there is such a one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "io/sio.h"
#include "snapmgr/core/lasting.h"
#include "snapmgr/core/store.h"

#define PIECE_BYTES (32 * SM_MIB) /* between two looks at whether to stop */

/* ---- the table ---- */

static int retable(struct sm_pool *pool, const struct scat_volume *v, const struct sm_claim *claim,
		   struct sdm_switch **ret_settle, struct snapmgr_err *err)
{
	const struct sm_switch_opts opts = sm_store_switch_opts(pool);
	struct sm_switch_item item = { .claim_fd = claim ? claim->fd : -1 };
	struct sm_vdev dev;

	sm_volume_device(pool, v, &dev);
	item.v = &dev;
	item.online = claim && claim->others;
	return pool->b.driver->stores->retable(&pool->b, &item, NULL, &opts, ret_settle, err);
}

static int follow(struct sm_pool *pool, const struct scat_volume *v, struct snapmgr_err *err)
{
	AUTO(sm_place_free) struct sm_place place = { 0 };
	int r = sm_place_load(pool, v->c.thin, 0, v->c.size_bytes, &place, err);

	return r == 0 ? pool->b.driver->stores->place(&pool->b, &place, SM_BLANK_NOTHING, err) : r;
}

/* ---- larger ---- */

static int check_none_longer(struct sm_pool *pool, const struct scat_volume *v,
			     struct snapmgr_err *err)
{
	AUTO(sm_stores_free) struct sm_stores all = { 0 };
	int r = sm_stores_of(pool, v->id, &all, err);

	for (size_t i = 0; i < all.n && r == 0; i++)
		if (all.v[i].size_bytes > v->c.size_bytes)
			return sm_fail(
				err, SNAPMGR_BAD_STATE, EBUSY,
				"'%s/%s' was larger once, and %s of it still is: it cannot grow before "
				"that goes ('snapmgr %s')",
				pool->row.name, v->c.name,
				all.v[i].of_undo ? "an undo point" : "a snapshot",
				all.v[i].of_undo ? "undo --drop" : "delete");
	return r;
}

/* What a grow that was cut short has taken is used, and not taken twice. */
static int take_room(struct sm_pool *pool, const struct scat_volume *v, uint64_t bytes,
		     struct snapmgr_err *err)
{
	const uint64_t need = bytes / SM_SECTOR + (bytes % SM_SECTOR != 0);
	uint64_t have;
	int r = scat_extent_sum(pool->cat, v->c.thin, &have, err);

	if (r == 0 && have < need)
		return sm_store_grow(pool, v->c.thin, need - have, err);
	return r == 0 ? follow(pool, v, err) : r;
}

static int zero(struct sm_lasting *op, int fd, uint64_t from, uint64_t to, struct snapmgr_err *err)
{
	const struct sio_side side = { .fd = fd, .name = op->what };
	int r = 0;

	for (uint64_t at = from; at < to && r == 0; at += PIECE_BYTES) {
		const uint64_t n = to - at < PIECE_BYTES ? to - at : PIECE_BYTES;

		r = sm_lasting_progress(op, at - from, to - from);
		if (r < 0)
			return sm_lasting_stopped(op, err);
		r = SM_STEP("resize.zero", sio_zero(&side, at, n, SIO_HOLES_ZERO, err));
	}
	if (r == 0 && SM_STEP("resize.flush", fdatasync(fd)) < 0)
		r = sm_fail(err, SNAPMGR_IO, errno, "cannot write zeroes to '%s'", op->what);
	return r;
}

/* Beside the volume's own device, to a part that it does not have yet. */
static int zero_tail(struct sm_pool *pool, const struct scat_volume *v, uint64_t bytes,
		     struct sm_lasting *op, struct snapmgr_err *err)
{
	const struct sm_driver *driver = pool->b.driver;
	struct sdm_info info;
	struct sm_vdev dev;
	int r, r_unmap, fd;

	sm_lasting_thin_device(&op->row.uuid, "target", v->c.thin, bytes, &dev);
	r = driver->map(&pool->b, &dev, err);
	if (r < 0)
		return r;
	(void)sm_backend_settle(&pool->b, NULL);
	r = sdm_info_by_uuid(dev.dm.uuid, &info, err);
	fd = r == 0 ? sm_node_open(&info, O_RDWR | O_EXCL, err) : r;
	r = fd < 0 ? fd : zero(op, fd, v->c.size_bytes, bytes, err);
	if (fd >= 0)
		sm_close_fd(fd);
	r_unmap = driver->unmap(&pool->b, &dev, r < 0 ? NULL : err); /* keep the first error */
	(void)sm_backend_settle(&pool->b, NULL);
	return r < 0 ? r : r_unmap;
}

struct grown {
	struct scat_volume *volume;
	uint64_t bytes;
};

static int set_size(struct sm_pool *pool, void *arg, struct snapmgr_err *err)
{
	const struct grown *g = arg;

	(void)pool;
	(void)err;
	g->volume->c.size_bytes = g->bytes; /* sm_lasting_end() writes it */
	return 0;
}

static int grow(struct sm_found *f, uint64_t bytes, struct sdm_switch **ret_settle,
		struct snapmgr_err *err)
{
	AUTO(sm_lasting_release) struct sm_lasting op = { 0 };
	struct sm_pool *pool = &f->pool;
	struct scat_volume *v = &f->volume;
	struct grown grown = { v, bytes };
	const struct sm_lasting_plan plan = {
		.verb = "extend",
		.volume = v,
		.volume_state = SCAT_EXTENDING,
		.new_size_bytes = bytes,
		.todo_bytes = bytes - v->c.size_bytes,
	};
	int r = check_none_longer(pool, v, err);

	if (r == 0)
		r = sm_op_begin(pool, "extend", v->c.name, NULL, 0, err);
	if (r == 0)
		r = take_room(pool, v, bytes, err);
	if (r == 0)
		r = sm_lasting_begin(pool, &plan, &op, err);
	if (r < 0)
		return r;
	r = zero_tail(pool, v, bytes, &op, err);
	if (r == 0)
		r = sm_lasting_end(&op, set_size, &grown, err);
	if (r < 0) {
		sm_lasting_undo(&op);
		return r;
	}
	r = retable(pool, v, NULL, ret_settle, err);
	if (r < 0)
		pool->lock.abandoned = true; /* its size is what its table says */
	return r;
}

/* ---- smaller ---- */

static int check_no_stores(struct sm_pool *pool, const struct scat_volume *v,
			   struct snapmgr_err *err)
{
	AUTO(sm_stores_free) struct sm_stores all = { 0 };
	int r = sm_stores_of(pool, v->id, &all, err);

	if (r < 0 || !all.n)
		return r;
	return sm_fail(
		err, SNAPMGR_BAD_STATE, EBUSY,
		"'%s/%s' has %s, which need what would be cut off: delete them ('snapmgr "
		"delete', 'snapmgr undo --drop') first, or copy what you need to a smaller volume",
		pool->row.name, v->c.name, all.v[0].of_undo ? "undo points" : "snapshots");
}

/* In this order: what others get is not the volume's any more, whoever dies in between. */
static int cut(struct sm_pool *pool, struct scat_volume *v, uint64_t bytes,
	       const struct sm_claim *claim, struct sdm_switch **ret_settle,
	       struct snapmgr_err *err)
{
	struct scat_volume smaller = *v;
	int r;

	smaller.c.size_bytes = bytes;
	r = retable(pool, &smaller, claim, ret_settle, err);
	if (r == 0)
		r = scat_begin(pool->cat, err);
	if (r == 0)
		r = scat_volume_update(pool->cat, &smaller, err);
	if (r == 0)
		r = scat_extent_cut(pool->cat, v->c.thin, sm_store_step(pool, bytes / SM_SECTOR),
				    err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	if (r < 0) { /* its size is what its table says */
		pool->lock.abandoned = true;
		return r;
	}
	*v = smaller;
	return follow(pool, v, err);
}

static int shrink(struct sm_found *f, uint64_t bytes, bool online, struct sdm_switch **ret_settle,
		  struct snapmgr_err *err)
{
	AUTO(sm_claim_drop) struct sm_claim claim = { .fd = -1 };
	struct sm_pool *pool = &f->pool;
	struct sm_vdev dev;
	int r = check_no_stores(pool, &f->volume, err);

	sm_volume_device(pool, &f->volume, &dev);
	if (r == 0)
		r = sm_claim(pool, &dev, dev.dm.link, online, &claim, err);
	if (r == 0)
		r = sm_claim_flush(&claim, dev.dm.link, err);
	if (r == 0)
		r = sm_op_begin(pool, "shrink", f->volume.c.name, NULL, 0, err);
	return r == 0 ? cut(pool, &f->volume, bytes, &claim, ret_settle, err) : r;
}

int sm_store_resize(struct sm_found *f, uint64_t bytes, bool online, struct snapmgr_err *err)
{
	struct sm_head_change change = { .volume = &f->volume };
	int r = bytes < f->volume.c.size_bytes ? shrink(f, bytes, online, &change.settle, err) :
						 grow(f, bytes, &change.settle, err);

	sm_pool_unlock(&f->pool);
	sm_head_settle(&f->pool, &change);
	return r;
}
