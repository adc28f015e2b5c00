/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of a merge, by whoever waited for it or comes upon it. */
#include <errno.h>
#include <inttypes.h>

#include "snapmgr/core/lasting.h"
#include "snapmgr/core/store.h"

int sm_merge_left(struct sm_pool *pool, const struct scat_volume *v, uint64_t *ret,
		  struct snapmgr_err *err)
{
	struct sdm_store_status s;
	int r = pool->b.driver->stores->status(&pool->b, v->c.thin, true, &s, err);

	if (r == -ENOENT)
		return sm_fail(
			err, SNAPMGR_BAD_STATE, ENODEV,
			"pool '%s' was deactivated while '%s/%s' was being reverted: that goes on when it "
			"is activated",
			pool->row.name, pool->row.name, v->c.name);
	if (r < 0)
		return r;
	if (s.state != SDM_STORE_VALID)
		return sm_fail(
			err, SNAPMGR_KERNEL, EIO,
			"the kernel gave up the revert of '%s/%s' (%s): it could not read "
			"the snapshot's store, or not write to the volume or the store; its "
			"log names the disk. Nothing is lost: once the disk is well, the same "
			"revert or 'snapmgr recover %s' goes on where it stopped",
			pool->row.name, v->c.name,
			s.state == SDM_STORE_LOST ? "status 'Invalid'" : "status 'Merge failed'",
			pool->row.name);
	*ret = s.used_sectors > s.metadata_sectors ? s.used_sectors - s.metadata_sectors : 0;
	return 0;
}

/* ---- the end ---- */

static int retable(struct sm_pool *pool, const struct scat_volume *v, bool read_only,
		   struct sdm_switch **ret_settle, struct snapmgr_err *err)
{
	const struct sm_switch_opts opts = sm_store_switch_opts(pool);
	struct sm_switch_item item = { .claim_fd = -1 };
	struct sm_vdev dev;

	sm_volume_device(pool, v, &dev);
	dev.dm.read_only = read_only;
	dev.merging = 0;
	dev.has_stores |= read_only;
	item.v = &dev;
	return pool->b.driver->stores->retable(&pool->b, &item, NULL, &opts, ret_settle, err);
}

struct source {
	struct scat_snapshot s;
	struct scat_undo u;
	uint32_t id;
	bool is_snapshot, is_undo;
};

static int is_snapshot(const struct scat_snapshot *s, void *data)
{
	struct source *source = data;

	if (s->c.thin != source->id)
		return 0;
	source->s = *s;
	source->is_snapshot = true;
	return 1;
}

static int is_undo(const struct scat_undo *u, void *data)
{
	struct source *source = data;

	if (u->thin != source->id)
		return 0;
	source->u = *u;
	source->is_undo = true;
	return 1;
}

static int find_source(struct sm_pool *pool, int64_t volume, struct source *ret,
		       struct snapmgr_err *err)
{
	int r = scat_snapshot_each(pool->cat, volume, is_snapshot, ret, err);

	if (r == 0)
		r = scat_undo_each(pool->cat, volume, is_undo, ret, err);
	return r < 0 ? r : 0;
}

static int arm(struct sm_pool *pool, const struct scat_volume *v, const struct scat_snapshot *s,
	       struct snapmgr_err *err)
{
	AUTO(sm_place_free) struct sm_place place = { 0 };
	int r = sm_place_load(pool, s->c.thin, v->c.thin, s->c.size_bytes, &place, err);

	return r == 0 ? pool->b.driver->stores->arm(&pool->b, &place, err) : r;
}

static int forget_operation(struct sm_pool *pool, int64_t volume, struct scat_operation *op,
			    struct snapmgr_err *err)
{
	int r = scat_operation_on(pool->cat, volume, 0, op, err);

	return r == 0 ? scat_operation_delete(pool->cat, op->id, err) : r == -ENOENT ? 0 : r;
}

static int leave_message(struct sm_pool *pool, const struct scat_volume *v,
			 const struct source *source, struct snapmgr_err *err)
{
	char text[SNAPMGR_MESSAGE_MAX];
	const struct sm_message m = { .level = "info",
				      .verb = source->is_undo ? "undo" : "revert",
				      .kind = "volume",
				      .object = &v->c.uuid,
				      .project = v->c.project,
				      .text = text };

	(void)snprintf(text, sizeof(text), "volume '%s/%s' %s%s%s", pool->row.name, v->c.name,
		       source->is_undo ? "was switched with an undo point" :
					 "was reverted to snapshot '",
		       source->is_undo ? "" : source->s.c.name, source->is_undo ? "" : "'");
	return sm_message(pool, &m, err);
}

/* A snapshot's store is empty now, and what it shows is the volume; an undo point's has no use. */
static int settle_source(struct sm_pool *pool, struct source *source, struct snapmgr_err *err)
{
	int r;

	if (source->is_snapshot) {
		source->s.c.state = SCAT_AVAILABLE;
		return scat_snapshot_update(pool->cat, &source->s, err);
	}
	r = source->is_undo ? scat_undo_delete(pool->cat, source->u.id, err) : 0;
	return r == 0 ? scat_garbage_add(pool->cat, source->id, err) : r;
}

static int commit(struct sm_pool *pool, struct scat_volume *v, struct source *source,
		  struct snapmgr_err *err)
{
	struct scat_operation op = { .id = 0 };
	struct scat *cat = pool->cat;
	char dir[SPROGRESS_DIR];
	int r = scat_begin(cat, err);

	v->c.state = SCAT_AVAILABLE;
	if (r == 0)
		r = scat_volume_update(cat, v, err);
	if (r == 0)
		r = settle_source(pool, source, err);
	if (r == 0)
		r = scat_merge_delete(cat, v->id, err);
	if (r == 0)
		r = forget_operation(pool, v->id, &op, err);
	if (r == 0)
		r = leave_message(pool, v, source, err);
	if (r == 0)
		r = scat_commit(cat, true, err);
	scat_rollback(cat);
	sprogress_dir(&pool->b.uuid, pool->b.dir, dir);
	if (r == 0 && op.id)
		sprogress_forget(dir, &op.uuid);
	return r;
}

/* In this order: at no moment can anybody write what the store that is armed again would not see. */
int sm_merge_finish(struct sm_pool *pool, struct scat_volume *v, struct sdm_switch **ret_settle,
		    struct snapmgr_err *err)
{
	struct source source = { 0 };
	int r = scat_merge_get(pool->cat, v->id, &source.id, err);

	if (r == 0)
		r = find_source(pool, v->id, &source, err);
	if (r == 0)
		r = retable(pool, v, true, NULL, err);
	if (r == 0 && source.is_snapshot)
		r = arm(pool, v, &source.s, err);
	if (r == 0)
		r = pool->b.driver->stores->flush(&pool->b, v->c.thin, err);
	if (r == 0)
		r = pool->b.driver->stores->flush(&pool->b, source.id, err);
	if (r == 0)
		r = commit(pool, v, &source, err);
	if (r == 0)
		r = retable(pool, v, false, ret_settle, err);
	if (r < 0)
		pool->lock.abandoned = true; /* the next one goes on */
	else if (!source.is_snapshot)
		(void)sm_garbage_drop(pool, NULL);
	return r;
}

/* ---- what the dead left ---- */

static int keep(const struct scat_volume *v, void *data)
{
	struct sm_volumes *all = data;
	struct scat_volume *more = reallocarray(all->v, all->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	all->v = more;
	all->v[all->n++] = *v;
	return 0;
}

int sm_volumes_all(struct sm_pool *pool, struct sm_volumes *ret, struct snapmgr_err *err)
{
	int r = scat_volume_each(pool->cat, keep, ret, err);

	return r == -ENOMEM ? sm_nomem(err) : r;
}

/* Told once, however often it is come upon; the rest of the pool can be worked with. */
static int put_off(struct sm_pool *pool, struct scat_volume *v, const struct snapmgr_err *why,
		   struct snapmgr_err *err)
{
	if (v->c.state == SCAT_REVERTING_ERROR)
		return 0;
	sm_warn(pool->sm, "%s", why->message);
	return sm_merge_gave_up(pool, v, why->message, err);
}

/* It had failed, and since then its pool was activated anew. */
static int goes_on(struct sm_pool *pool, struct scat_volume *v, struct snapmgr_err *err)
{
	int r;

	if (v->c.state == SCAT_REVERTING)
		return 0;
	v->c.state = SCAT_REVERTING;
	r = scat_begin(pool->cat, err);
	if (r == 0)
		r = scat_volume_update(pool->cat, v, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	return r;
}

static int tend(struct sm_pool *pool, struct scat_volume *v, struct snapmgr_err *err)
{
	struct snapmgr_err why = { 0 };
	struct scat_operation op;
	uint64_t left;
	uint32_t source;
	int r = scat_merge_get(pool->cat, v->id, &source, err);

	if (r == -ENOENT)
		return retable(pool, v, false, NULL, err);
	if (r == 0)
		r = scat_operation_on(pool->cat, v->id, 0, &op, err);
	if (r == 0 && sm_lasting_owner_alive(&op))
		return 0;
	if (r < 0 && r != -ENOENT)
		return r;
	r = sm_merge_forward(pool, v, source, NULL, &why);
	if (r == 0)
		r = sm_merge_left(pool, v, &left, &why);
	if (r < 0)
		return put_off(pool, v, &why, err);
	return left ? goes_on(pool, v, err) : sm_merge_finish(pool, v, NULL, err);
}

int sm_merge_tend(struct sm_pool *pool, struct snapmgr_err *err)
{
	AUTO(sm_volumes_free) struct sm_volumes all = { 0 };
	int r = sm_volumes_all(pool, &all, err);

	for (size_t i = 0; i < all.n && r == 0; i++)
		r = tend(pool, &all.v[i], err);
	return r;
}

int sm_merge_notice(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct snapmgr_err why;
	int r = scat_merge_any(pool->cat, err);

	if (r <= 0)
		return r;
	if (sm_merge_tend(pool, &why) < 0) /* the rest of the pool can be worked with */
		sm_warn(pool->sm, "%s", why.message);
	return scat_begin(pool->cat, err);
}

int sm_store_status(struct sm_pool *pool, uint32_t id, struct sdm_store_status *ret,
		    struct snapmgr_err *err)
{
	return pool->b.driver->stores->status(&pool->b, id, false, ret, err);
}

void sm_store_refresh(struct sm_pool *pool, int64_t volume)
{
	struct scat_volume v;
	uint32_t source;

	if (pool->b.driver->stores && scat_volume_by_id(pool->cat, volume, &v, NULL) == 0 &&
	    scat_merge_get(pool->cat, volume, &source, NULL) == -ENOENT)
		(void)retable(pool, &v, false, NULL,
			      NULL); /* an origin without stores works, too */
}

int sm_merge_settle(struct sm_pool *pool, const struct scat_operation *op, char said[SM_SAID],
		    struct snapmgr_err *err)
{
	(void)said;
	return sm_fail(err, SNAPMGR_BAD_STATE, EBUSY,
		       "operation %" PRId64
		       " of pool '%s' is a revert by the kernel, which has begun and cannot be "
		       "stopped: 'snapmgr undo' takes it back when it is done",
		       op->id, pool->row.name);
}
