/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A revert that copies. A merge begins with a copy of the head that shares all its blocks, and brings
 * into it what the snapshot has otherwise; a copy begins with nothing. In both the driver's diff of
 * that and the snapshot is the list of what has to be done, so that neither depends on the head.
 */
#include "snapmgr/core/fill.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "io/sio.h"
#include "snapmgr/core/lasting.h"

struct filling {
	struct sm_found *f;
	struct sm_pool *pool;
	struct sm_displace *d;
	bool merge;
	uint32_t thin;	     /* that is filled */
	struct sm_diff diff; /* left: it; right: the snapshot */
	uint64_t data_bytes, end_bytes;
	struct sm_vdev source, target; /* mapped meanwhile; name "": not */
	struct sm_lasting op;
	struct sio_copy_result moved;
};

static void auto_filling_release(struct filling *l)
{
	sm_diff_release(&l->diff);
	sm_lasting_release(&l->op);
}

/* ---- what there is to do ---- */

static uint64_t data_of(const struct sm_diff *diff)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < diff->n; i++)
		sum += diff->v[i].right_at == SM_NOWHERE ? 0 : diff->v[i].len_bytes;
	return sum;
}

int sm_fill_measure(struct sm_found *f, uint64_t *ret_bytes, struct snapmgr_err *err)
{
	AUTO(sm_diff_release) struct sm_diff diff = { 0 };
	struct sm_vdev head, snapshot;
	int r;

	sm_volume_device(&f->pool, &f->volume, &head);
	sm_snapshot_device(&f->pool, &f->snapshot, &snapshot);
	r = f->pool.b.driver->diff(&f->pool.b, &head, &snapshot, &diff, err);
	if (r == 0)
		*ret_bytes = data_of(&diff);
	return r;
}

static int make_empty(struct sm_pool *pool, uint32_t id, void *arg, struct snapmgr_err *err)
{
	(void)arg;
	return pool->b.driver->make(&pool->b, id, err);
}

static int make_target(struct filling *l, struct snapmgr_err *err)
{
	struct sm_copy_source head = { .parent = 0 };

	if (!l->merge)
		return sm_id_make(l->pool, make_empty, NULL, &l->thin, err);
	sm_volume_device(l->pool, &l->f->volume, &head.dev);
	return sm_id_make(l->pool, sm_make_copy, &head, &l->thin, err);
}

/*
 * What a head that was shrunk keeps behind its end is part of it here, and goes: it would come up again
 * in a volume that grows.
 */
static int compare(struct filling *l, struct snapmgr_err *err)
{
	const struct sm_vdev left = { .id = l->thin, .size_bytes = UINT64_MAX };
	struct sm_vdev right;
	int r;

	sm_snapshot_device(l->pool, &l->f->snapshot, &right);
	r = l->pool->b.driver->diff(&l->pool->b, &left, &right, &l->diff, err);
	if (r < 0)
		return r;
	l->data_bytes = data_of(&l->diff);
	l->end_bytes = right.size_bytes;
	for (size_t i = 0; i < l->diff.n; i++) {
		const struct sm_diff_extent *e = &l->diff.v[i];

		if (e->at_bytes + e->len_bytes > l->end_bytes)
			l->end_bytes = e->at_bytes + e->len_bytes;
	}
	return 0;
}

static int check_space(struct filling *l, struct snapmgr_err *err)
{
	struct sm_limits limits;
	struct sm_space s;
	uint64_t keep, left;
	int r = sm_space_for_more(l->pool, "copying revert", NULL, err);

	if (r == 0)
		r = l->pool->b.driver->space(&l->pool->b, false, &s, err);
	if (r == 0)
		r = sm_limits_get(l->pool, &limits, err);
	if (r < 0)
		return r;
	keep = s.data_bytes / 100 * limits.reserve;
	left = s.data_bytes > s.data_used_bytes ? s.data_bytes - s.data_used_bytes : 0;
	if (left > keep && l->data_bytes <= left - keep)
		return 0;
	return sm_fail(err, SNAPMGR_NO_SPACE, ENOSPC,
		       "%" PRIu64 " bytes have to be copied, and pool '%s' has %" PRIu64
		       " free beyond its reserve: the strategy 'repoint' needs none",
		       l->data_bytes, l->pool->row.name, left > keep ? left - keep : 0);
}

/* Who has the volume in use is told now, and not when all has been copied. */
static int look_ahead(struct filling *l, struct snapmgr_err *err)
{
	struct sm_space space;
	int r = sm_space_for(l->pool, "revert", &space, err);

	if (r == 0 && !l->d->no_undo)
		r = sm_displace_check_undo(l->pool, l->d->volume, err);
	if (r == 0)
		r = sm_displace_prepare(l->pool, l->d, 1, space.out_of_data, true, err);
	sm_claim_drop(&l->d->claim);
	return r;
}

/* ---- the operation ---- */

static int begin(struct filling *l, struct snapmgr_err *err)
{
	struct sm_found *f = l->f;
	const struct sm_lasting_plan plan = {
		.verb = "revert",
		.volume = &f->volume,
		.volume_state = SCAT_REVERTING,
		.snapshot = &f->snapshot,
		.snapshot_state = SCAT_RESTORING,
		.new_size_bytes = f->snapshot.c.size_bytes,
		.thin = l->thin,
		.todo_bytes = l->data_bytes,
		.detail = l->merge ? "merge" : "copy",
	};

	return sm_lasting_begin(l->pool, &plan, &l->op, err);
}

static int prepare(struct filling *l, struct snapmgr_err *err)
{
	struct sm_found *f = l->f;
	int r = look_ahead(l, err);

	if (r == 0)
		r = sm_op_begin(l->pool, "revert", f->volume.c.name, f->snapshot.c.name,
				f->volume.c.thin, err);
	if (r == 0)
		r = make_target(l, err);
	if (r < 0)
		return r;
	r = compare(l, err);
	if (r == 0)
		r = check_space(l, err);
	if (r == 0)
		r = begin(l, err);
	if (r < 0 && r != -EIO) /* after that nobody knows: recovery looks */
		(void)l->pool->b.driver->drop(&l->pool->b, l->thin, NULL);
	return r;
}

static int map(struct filling *l, const char *part, uint32_t thin, uint64_t bytes, int flags,
	       struct sm_vdev *ret, struct snapmgr_err *err)
{
	struct sm_backend *b = &l->pool->b;
	struct sdm_info info;
	int r;

	sm_lasting_thin_device(&l->op.row.uuid, part, thin, bytes, ret);
	r = b->driver->map(b, ret, err);
	if (r < 0) {
		ret->dm.name[0] = '\0';
		return r;
	}
	r = sm_backend_settle(b, err);
	if (r == 0)
		r = sdm_info_by_uuid(ret->dm.uuid, &info, err);
	return r == 0 ? sm_node_open(&info, flags, err) : r;
}

static int on_progress(const struct sio_progress *p, void *data)
{
	struct filling *l = data;

	return sm_lasting_progress(&l->op, p->done_bytes, p->todo_bytes);
}

static int run_engine(struct filling *l, int source_fd, int target_fd, struct snapmgr_err *err)
{
	AUTO(free) struct sio_extent *todo = calloc(l->diff.n + 1, sizeof(*todo));
	const struct sio_side source = { .fd = source_fd, .name = l->f->snapshot.c.name };
	const struct sio_side target = { .fd = target_fd, .name = l->op.what };
	struct sio_list list;
	struct sio_copy_opts o = {
		.size = sizeof(o),
		.map = &list.map,
		.len = l->end_bytes,
		.holes = SIO_HOLES_DISCARD,
		.progress = on_progress,
		.data = l,
	};
	int r;

	if (!todo)
		return sm_nomem(err);
	for (size_t i = 0; i < l->diff.n; i++) {
		const struct sm_diff_extent *e = &l->diff.v[i];

		todo[i] = (struct sio_extent){ e->at_bytes, e->len_bytes,
					       e->right_at == SM_NOWHERE ? SIO_HOLE : SIO_DATA };
	}
	sio_list(&list, todo, l->diff.n);
	list.map.data_bytes = l->data_bytes;
	r = SM_STEP("fill.move", sio_copy(&source, &target, &o, &l->moved, err));
	return r == -ECANCELED ? sm_lasting_stopped(&l->op, err) : r;
}

/* On every path; the first error is kept. */
static int unmap_both(struct filling *l, int r, struct snapmgr_err *err)
{
	struct sm_backend *b = &l->pool->b;
	struct sm_vdev *const devs[] = { &l->source, &l->target };

	for (size_t i = 0; i < SM_ARRAY(devs); i++) {
		if (devs[i]->dm.name[0]) {
			int r_unmap = b->driver->unmap(b, devs[i], r < 0 ? NULL : err);

			r = r < 0 ? r : r_unmap;
		}
	}
	(void)sm_backend_settle(b, NULL);
	return r;
}

/* Without the lock. */
static int fill(struct filling *l, struct snapmgr_err *err)
{
	const struct scat_common *s = &l->f->snapshot.c;
	int source_fd = map(l, "source", s->thin, s->size_bytes, O_RDONLY, &l->source, err);
	int target_fd = source_fd < 0 ? source_fd :
					map(l, "target", l->thin, l->end_bytes, O_RDWR | O_EXCL,
					    &l->target, err);
	int r = target_fd < 0 ? target_fd : run_engine(l, source_fd, target_fd, err);

	sm_close_fd(target_fd);
	sm_close_fd(source_fd);
	return unmap_both(l, r, err);
}

/* ---- the end: a revert as any other ---- */

static int switch_over(struct filling *l, struct snapmgr_err *err)
{
	struct sm_displace *d = l->d;
	struct sm_space space;
	int r = sm_lasting_retake(&l->op, err);

	if (r == 0) /* before quotas are asked, which counted what it had reserved */
		r = sm_lasting_leave(&l->op, err);
	if (r == 0)
		r = sm_space_for(l->pool, "revert", &space, err);
	if (r == 0 && !d->no_undo)
		r = sm_displace_check_undo(l->pool, d->volume, err);
	if (r == 0)
		r = sm_displace_prepare(l->pool, d, 1, space.out_of_data, false, err);
	if (r < 0)
		return r;
	l->pool->op.head = l->f->volume.c.thin;
	l->pool->op.started_at_us = sm_now_us(); /* the undo point is of now */
	slock_tell(&l->pool->lock, &l->pool->op);
	d->change.volume = &l->f->volume;
	d->change.snapshot = &l->f->snapshot;
	d->change.thin = l->thin;
	d->change.parent = l->f->snapshot.id;
	return sm_displace(l->pool, d, 1, err);
}

static void give_up(struct filling *l, int r, const struct snapmgr_err *err)
{
	scat_rollback(l->pool->cat);
	(void)sm_head_abort(l->pool, &l->d->change);
	sm_lasting_undo(&l->op);
	if (r != -ECANCELED && l->pool->lock.held)
		sm_message_volume_failed(l->pool, &l->f->volume, err);
}

int sm_fill_revert(struct sm_found *f, struct sm_displace *d, struct sm_strategy *strategy,
		   struct snapmgr_err *err)
{
	AUTO(filling_release)
	struct filling l = {
		.f = f, .pool = &f->pool, .d = d, .merge = strcmp(strategy->name, "merge") == 0
	};
	int r = prepare(&l, err);

	if (r < 0)
		return r;
	r = fill(&l, err);
	if (r == 0)
		r = switch_over(&l, err);
	if (r < 0)
		give_up(&l, r, err);
	else
		strategy->move_bytes = l.moved.moved_bytes;
	return r;
}

/* ---- what a dead owner left ---- */

static int settle_rows(struct sm_pool *pool, const struct scat_operation *op,
		       struct snapmgr_err *err)
{
	struct scat_snapshot s;
	struct scat_volume v;
	int r = op->volume ? scat_volume_by_id(pool->cat, op->volume, &v, err) : -ENOENT;

	if (r == 0 && v.c.state == SCAT_REVERTING) {
		v.c.state = SCAT_AVAILABLE;
		r = scat_volume_update(pool->cat, &v, err);
	}
	if (r < 0 && r != -ENOENT)
		return r;
	r = op->snapshot ? scat_snapshot_by_id(pool->cat, op->snapshot, &s, err) : -ENOENT;
	if (r == 0 && s.c.state == SCAT_RESTORING) {
		s.c.state = SCAT_AVAILABLE;
		r = scat_snapshot_update(pool->cat, &s, err);
	}
	if (r < 0 && r != -ENOENT)
		return r;
	r = op->thin ? scat_garbage_add(pool->cat, op->thin, err) : 0;
	return r == 0 ? scat_operation_delete(pool->cat, op->id, err) : r;
}

int sm_fill_settle(struct sm_pool *pool, const struct scat_operation *op, char *said,
		   struct snapmgr_err *err)
{
	static const char *const parts[] = { "source", "target" };
	int r = 0;

	for (size_t i = 0; i < SM_ARRAY(parts) && r == 0; i++) {
		struct sdm_info info;
		struct sm_vdev dev;

		sm_lasting_thin_device(&op->uuid, parts[i], 0, 0, &dev);
		r = sdm_info_by_uuid(dev.dm.uuid, &info, err);
		if (r == 0 && info.exists)
			r = pool->b.driver->unmap(&pool->b, &dev, err);
	}
	if (r == 0)
		r = scat_begin(pool->cat, err);
	if (r == 0)
		r = settle_rows(pool, op, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	if (r == 0)
		(void)sm_copy_text(said, SM_SAID, "the volume is as it was before");
	return r;
}
