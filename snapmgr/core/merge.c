/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A revert that lasts: the kernel moves what a store holds back into the volume.
 *
 * The volume is read-only from before the commit that begins it until after the one that ends it, so that
 * nobody can write what the merge would run over. In between its row in merges says what has to be
 * done, and whoever finds it does that: nothing here is needed for it but the row.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/sysmacros.h>

#include "snapmgr/core/displace.h"
#include "snapmgr/core/lasting.h"
#include "snapmgr/core/store.h"

struct merge {
	struct sm_pool *pool;
	struct sm_displace *d;
	struct scat_volume *v;
	struct scat_snapshot *s; /* NULL: an undo */
	uint32_t source, undo_id;
	struct sm_stores stores; /* owned; all of the volume's */
	struct scat_operation row;
	uint64_t keep_sectors; /* that the merge will write over, at most */
};

/* ---- room in the stores that stay ---- */

static int lost(const struct merge *m, const char *what, struct snapmgr_err *err)
{
	return sm_fail(
		err, SNAPMGR_BAD_STATE, EIO,
		"the store of the %s of '%s/%s' was full when something had to be kept in it: what "
		"it held is lost",
		what, m->pool->row.name, m->v->c.name);
}

/* Whoever reads the snapshot would see it move away. */
static int check_unused(const struct merge *m, struct snapmgr_err *err)
{
	struct sdm_info info;
	struct sm_vdev dev;
	int r;

	if (!m->s)
		return 0; /* of an undo point sm_undo_check() has seen to that */
	sm_snapshot_device(m->pool, m->s, &dev);
	r = sdm_info_by_uuid(dev.dm.uuid, &info, err);
	if (r < 0 || !info.exists)
		return r;
	return sm_fail(err, SNAPMGR_IN_USE, EBUSY,
		       "the snapshot is active: 'snapmgr deactivate %s' first", dev.dm.link);
}

static int measure_source(struct merge *m, struct snapmgr_err *err)
{
	struct sdm_store_status s;
	int r = m->pool->b.driver->stores->status(&m->pool->b, m->source, false, &s, err);

	if (r == -ENOENT)
		return sm_fail(
			err, SNAPMGR_BAD_STATE, ENODEV,
			"a store of '%s/%s' is not mapped: deactivate and activate pool '%s'",
			m->pool->row.name, m->v->c.name, m->pool->row.name);
	if (r < 0)
		return r;
	if (s.state != SDM_STORE_VALID)
		return lost(m, m->s ? "snapshot" : "undo point", err);
	m->keep_sectors = s.used_sectors > s.metadata_sectors ?
				  s.used_sectors - s.metadata_sectors :
				  0;
	return 0;
}

/* How much longer this one must be, for what the merge can make it keep. */
static int lacks(const struct merge *m, const struct sm_store *store, uint64_t *ret,
		 struct snapmgr_err *err)
{
	const struct sm_store_driver *stores = m->pool->b.driver->stores;
	const uint64_t most = stores->store_most(&m->pool->b, store->size_bytes);
	struct sdm_store_status s;
	uint64_t need;
	int r = stores->status(&m->pool->b, store->id, false, &s, err);

	*ret = 0;
	if (r < 0 || s.state != SDM_STORE_VALID) /* nothing to lose */
		return r == -ENOENT ? 0 : r;
	need = s.used_sectors + stores->store_for(&m->pool->b, m->keep_sectors);
	need = need < most ? need : most;
	if (need > s.total_sectors)
		*ret = sm_store_step(m->pool, need - s.total_sectors);
	return 0;
}

static uint64_t undo_bytes(const struct merge *m)
{
	uint64_t need = m->pool->b.driver->stores->store_for(&m->pool->b, m->keep_sectors);
	uint64_t share = m->v->c.size_bytes / SM_SECTOR / 5;

	return (need + share) * SM_SECTOR;
}

/* All or nothing: what lacks room is looked at before any of it grows. */
static int check_room(struct merge *m, uint64_t *more, struct snapmgr_err *err)
{
	uint64_t sum = m->d->kept ? sm_store_step(m->pool, undo_bytes(m) / SM_SECTOR) : 0, left;
	int r = sm_store_free_sectors(m->pool, &left, err);

	for (size_t i = 0; i < m->stores.n && r == 0; i++) {
		if (m->stores.v[i].id != m->source)
			r = lacks(m, &m->stores.v[i], &more[i], err);
		sum += more[i];
	}
	if (r == 0 && sum > left)
		r = sm_fail(err, SNAPMGR_NO_SPACE, ENOSPC,
			    "to keep what the revert writes over, %s of '%s/%s' need %" PRIu64
			    " MiB, and pool '%s' has %" PRIu64 " left: 'snapmgr pool extend %s "
			    "DEVICE' adds some%s",
			    m->d->kept ? "the undo point and the snapshots" : "the snapshots",
			    m->pool->row.name, m->v->c.name, sum * SM_SECTOR / SM_MIB,
			    m->pool->row.name, left * SM_SECTOR / SM_MIB, m->pool->row.name,
			    m->d->kept && !m->d->swap ? ", --no-undo needs less" : "");
	return r;
}

static int make_room(struct merge *m, struct snapmgr_err *err)
{
	AUTO(free) uint64_t *more = calloc(m->stores.n + 1, sizeof(*more));
	int r = more ? check_room(m, more, err) : sm_nomem(err);

	for (size_t i = 0; i < m->stores.n && r == 0; i++)
		if (more[i])
			r = sm_store_grow(m->pool, m->stores.v[i].id, more[i], err);
	return r;
}

/* ---- the tables ---- */

static int retable(struct sm_pool *pool, const struct scat_volume *v, bool read_only,
		   const struct sm_place *merging, const struct sm_claim *claim,
		   struct snapmgr_err *err)
{
	const struct sm_switch_opts opts = sm_store_switch_opts(pool);
	struct sm_switch_item item = { .claim_fd = claim ? claim->fd : -1 };
	struct sm_vdev dev;

	sm_volume_device(pool, v, &dev);
	dev.dm.read_only = read_only;
	dev.merging = merging ? merging->id : 0;
	dev.has_stores |= read_only;
	item.v = &dev;
	item.online = claim && claim->others;
	return pool->b.driver->stores->retable(&pool->b, &item, merging, &opts, NULL, err);
}

int sm_merge_forward(struct sm_pool *pool, const struct scat_volume *v, uint32_t source,
		     const struct sm_claim *claim, struct snapmgr_err *err)
{
	AUTO(sm_place_free) struct sm_place place = { 0 };
	AUTO(sm_claim_drop) struct sm_claim own = { .fd = -1 };
	struct sm_vdev dev;
	int r = sm_place_load(pool, source, v->c.thin, v->c.size_bytes, &place, err);

	if (r == 0 && !claim) { /* who reads it meanwhile shall not go on with what is cached */
		sm_volume_device(pool, v, &dev);
		(void)sm_claim(pool, &dev, dev.dm.link, true, &own, NULL);
		claim = &own;
	}
	return r == 0 ? retable(pool, v, true, &place, claim, err) : r;
}

/* ---- the undo point: a store of its own, armed before anything moves ---- */

static int make_undo(struct merge *m, struct snapmgr_err *err)
{
	AUTO(sm_place_free) struct sm_place place = { 0 };
	struct sm_pool *pool = m->pool;
	int r = sm_id_reserve(pool, 1, err);

	if (r < 0)
		return r;
	m->undo_id = pool->row.next_thin++;
	r = sm_store_new(pool, m->undo_id, m->v, undo_bytes(m), err);
	if (r == 0)
		r = sm_place_load(pool, m->undo_id, m->v->c.thin, m->v->c.size_bytes, &place, err);
	if (r == 0)
		r = pool->b.driver->stores->arm(&pool->b, &place, err);
	return r == 0 ? pool->b.driver->stores->flush(&pool->b, m->undo_id, err) : r;
}

/* ---- the commit that begins it ---- */

static int insert_operation(struct merge *m, struct snapmgr_err *err)
{
	const struct slock_holder *op = &m->pool->op;

	m->row = (struct scat_operation){
		.uuid = op->uuid,
		.verb = "merge",
		.volume = m->v->id,
		.snapshot = m->s ? m->s->id : 0,
		.boot_id = op->boot_id,
		.pid = op->pid,
		.start_ticks = op->start_ticks,
		.started_at_us = op->started_at_us,
		.todo_bytes = m->keep_sectors * SM_SECTOR,
		.resumable = true, /* nobody settles it but who has seen the merge end */
	};
	return scat_operation_insert(m->pool->cat, &m->row, err);
}

static int insert_undo(struct merge *m, struct snapmgr_err *err)
{
	struct scat_undo undo = {
		.volume = m->v->id,
		.created_at_us = m->pool->op.started_at_us,
		.thin = m->undo_id,
		.size_bytes = m->v->c.size_bytes,
		.parent = m->v->c.parent,
	};
	int r;

	sm_uuid_make(&undo.uuid);
	r = scat_undo_insert(m->pool->cat, &undo, err);
	return r == 0 && !m->d->swap ? sm_displace_evict(m->pool, m->v, m->undo_id, err) : r;
}

static int write_rows(struct merge *m, struct scat_volume *v, struct scat_snapshot *s,
		      struct snapmgr_err *err)
{
	struct scat *cat = m->pool->cat;
	int r = scat_begin(cat, err);

	if (r == 0 && m->d->kept)
		r = insert_undo(m, err);
	if (r == 0)
		r = scat_volume_update(cat, v, err);
	if (r == 0 && m->s)
		r = scat_snapshot_update(cat, s, err);
	if (r == 0)
		r = scat_merge_put(cat, v->id, m->source, err);
	if (r == 0)
		r = insert_operation(m, err);
	if (r == 0)
		r = sm_pool_save(m->pool, err);
	if (r == 0)
		r = scat_commit(cat, true, err);
	scat_rollback(cat);
	return r;
}

static int commit(struct merge *m, struct snapmgr_err *err)
{
	struct scat_volume v = *m->v;
	struct scat_snapshot s = { 0 };
	uint32_t source;
	int r;

	v.c.state = SCAT_REVERTING;
	v.c.parent = m->d->change.parent;
	v.c.size_bytes = m->d->change.size_bytes;
	if (m->s) {
		s = *m->s;
		s.c.state = SCAT_RESTORING;
	}
	r = write_rows(m, &v, &s, err);
	if (r == -EIO && sm_pool_reopen(m->pool, NULL) == 0 &&
	    scat_merge_get(m->pool->cat, v.id, &source, NULL) == 0)
		r = 0;
	if (r < 0)
		return r;
	*m->v = v;
	if (m->s)
		*m->s = s;
	return 0;
}

/* Nothing is committed: the head runs on as it was. */
static void back_out(struct merge *m)
{
	scat_rollback(m->pool->cat);
	if (m->undo_id)
		(void)m->pool->b.driver->drop(&m->pool->b, m->undo_id, NULL);
	if (retable(m->pool, m->v, false, NULL, NULL, NULL) < 0)
		m->pool->lock.abandoned = true; /* recovery makes it writable again */
}

static int begin(struct merge *m, struct snapmgr_err *err)
{
	int r = check_unused(m, err);

	if (r == 0)
		r = measure_source(m, err);
	if (r == 0)
		r = sm_stores_of(m->pool, m->v->id, &m->stores, err);
	if (r == 0)
		r = make_room(m, err);
	if (r < 0)
		return r;
	r = retable(m->pool, m->v, true, NULL, &m->d->claim, err);
	if (r == 0 && m->d->kept)
		r = make_undo(m, err);
	if (r == 0)
		r = commit(m, err);
	if (r < 0)
		back_out(m);
	return r;
}

static int last(struct merge *m, struct snapmgr_err *err)
{
	int r = sm_merge_wait(m->pool, m->v, m->s, &m->row, err);

	return r == 0 ? sm_merge_finish(m->pool, m->v, &m->d->change.settle, err) : r;
}

static int run(struct merge *m, struct snapmgr_err *err)
{
	struct sm_pool *pool = m->pool;
	int r = begin(m, err);

	if (r < 0)
		return r;
	r = sm_merge_forward(pool, m->v, m->source, &m->d->claim, err);
	if (r < 0) {
		pool->lock.abandoned = true; /* there is no way back: the next one goes on */
		return r;
	}
	(void)sm_garbage_drop(pool, NULL); /* those that were pushed out keep nothing more */
	return last(m, err);
}

int sm_merge_check(const struct sm_pool *pool, const struct sm_displace *d, struct snapmgr_err *err)
{
	if (!pool->b.driver->stores || !d->online)
		return 0;
	return sm_fail(
		err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
		"driver '%s' of pool '%s' reverts no volume that somebody has open: the kernel moves its "
		"blocks underneath",
		pool->b.driver->name, pool->row.name);
}

int sm_merge(struct sm_pool *pool, struct sm_displace *d, uint32_t source, struct scat_snapshot *s,
	     struct snapmgr_err *err)
{
	struct merge m = { .pool = pool, .d = d, .v = d->volume, .s = s, .source = source };
	int r;

	d->kept = d->swap || (!d->no_undo && d->volume->undo_keep > 0);
	r = run(&m, err);
	free(m.stores.v);
	if (r == 0 && s)
		r = scat_snapshot_by_id(pool->cat, s->id, s, err);
	return r;
}
