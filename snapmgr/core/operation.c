/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Thin ids handed out, and what is under way told to others. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"

#define ID_MAX	 ((1u << 24) - 1) /* dm-thin.c: MAX_DEV_ID */
#define ID_BATCH 64u
#define ID_LOW	 16u /* a commit that leaves fewer reserved takes another batch along */

int sm_pool_save(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct scat_pool *row = &pool->row;

	if (row->reserved_thin < row->next_thin + ID_LOW)
		row->reserved_thin = row->next_thin + ID_BATCH;
	return scat_pool_put(pool->cat, row, err);
}

int sm_id_reserve(struct sm_pool *pool, uint32_t n, struct snapmgr_err *err)
{
	int r;

	if (pool->row.next_thin + n > ID_MAX)
		return sm_fail(err, SNAPMGR_NO_SPACE, ENOSPC,
			       "pool '%s' has used up its %u ids: move its volumes to a new pool",
			       pool->row.name, ID_MAX);
	if (pool->row.next_thin + n <= pool->row.reserved_thin)
		return 0;
	pool->row.reserved_thin = pool->row.next_thin + n + ID_BATCH;
	r = scat_begin(pool->cat, err);
	if (r == 0)
		r = scat_pool_put(pool->cat, &pool->row, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	return r;
}

static int clear_orphan(struct sm_pool *pool, uint32_t id, struct snapmgr_err *err)
{
	int named = scat_thin_named(pool->cat, id, err);

	if (named < 0)
		return named;
	if (named)
		return sm_fail(
			err, SNAPMGR_DAMAGED, EUCLEAN,
			"pool '%s' is about to hand out id %u a second time: run 'snapmgr pool check %s'",
			pool->row.name, id, pool->row.name);
	return pool->b.driver->drop(&pool->b, id, err);
}

int sm_id_make(struct sm_pool *pool, sm_make_fn *make, void *arg, uint32_t *ret,
	       struct snapmgr_err *err)
{
	uint32_t id;
	int r = sm_id_reserve(pool, 1, err);

	if (r < 0)
		return r;
	id = pool->row.next_thin++;
	r = make(pool, id, arg, err);
	if (r == -EEXIST) {
		r = clear_orphan(pool, id, err);
		if (r == 0)
			r = make(pool, id, arg, err);
	}
	if (r == 0)
		*ret = id;
	return r;
}

int sm_op_begin(struct sm_pool *pool, const char *verb, const char *volume, const char *snapshot,
		uint32_t head, struct snapmgr_err *err)
{
	struct slock_holder *op = &pool->op;
	struct shost_owner *self = &pool->sm->self;
	int r = self->pid ? 0 : shost_owner_self(self, err);

	if (r < 0)
		return r;
	sm_uuid_make(&op->uuid);
	(void)sm_copy_text(op->verb, sizeof(op->verb), verb);
	(void)snprintf(op->object, sizeof(op->object), "%s%s%s", volume ? volume : pool->row.name,
		       snapshot ? "@" : "", snapshot ? snapshot : "");
	op->head = head;
	op->boot_id = self->boot_id;
	op->pid = self->pid;
	op->start_ticks = self->start_ticks;
	op->started_at_us = sm_now_us();
	slock_tell(&pool->lock, op);
	return 0;
}

int sm_volume_ready(const struct sm_pool *pool, const struct scat_volume *v, bool also_error,
		    struct snapmgr_err *err)
{
	char spec[SNAPMGR_SPEC_TEXT];

	if (v->c.state == SCAT_AVAILABLE ||
	    (also_error && (v->c.state == SCAT_REVERTING_ERROR || v->c.state == SCAT_ERROR)))
		return 0;
	(void)snprintf(spec, sizeof(spec), "%s/%s", pool->row.name, v->c.name);
	return sm_state_conflict(pool, "volume", spec, v->c.state, v->id, 0, err);
}

int sm_snapshot_ready(const struct sm_pool *pool, const struct scat_snapshot *s,
		      struct snapmgr_err *err)
{
	char spec[SNAPMGR_SPEC_TEXT];

	if (s->c.state == SCAT_AVAILABLE)
		return 0;
	sm_snapshot_spec(pool, s, spec);
	return sm_state_conflict(pool, "snapshot", spec, s->c.state, 0, s->id, err);
}

int64_t sm_next_time(int64_t now_us, int64_t previous_us)
{
	return now_us > previous_us ? now_us : previous_us + 1;
}
