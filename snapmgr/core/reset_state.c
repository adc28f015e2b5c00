/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_reset_state(): the operator's last word on an object that is in a state of error. */
#include <errno.h>

#include "snapmgr/core/lasting.h"

static int refuse(const char *spec, enum scat_state state, struct snapmgr_err *err)
{
	return sm_fail(err, SNAPMGR_BAD_STATE, EBUSY,
		       "'%s' is in state '%s', not in one of error: there is nothing to reset",
		       spec, scat_state_name(state));
}

/* What runs is what the catalogue says, or the volume would lie about itself. */
static int check_live(struct sm_pool *pool, const struct scat_volume *v, struct snapmgr_err *err)
{
	uint64_t bytes;
	struct sm_vdev dev;
	uint32_t live;
	int r;

	sm_volume_device(pool, v, &dev);
	r = pool->b.driver->heal(&pool->b, &dev, &live, &bytes, err);
	if (r == -ENOENT)
		return 0;
	if (r < 0 || live == v->c.thin)
		return r;
	return sm_fail(
		err, SNAPMGR_BAD_STATE, EBUSY,
		"'%s/%s' runs on id %u and the catalogue says %u: revert it, undo, or delete it, which "
		"each lead out, or deactivate it first and what the catalogue says is what comes up",
		pool->row.name, v->c.name, live, v->c.thin);
}

static int write_reset(struct sm_found *f, const char *spec, struct snapmgr_err *err)
{
	struct scat_common *c = f->has_snapshot ? &f->snapshot.c : &f->volume.c;
	char text[SNAPMGR_MESSAGE_MAX];
	const struct sm_message m = { .level = "warning",
				      .verb = "reset-state",
				      .kind = f->has_snapshot ? "snapshot" : "volume",
				      .object = &c->uuid,
				      .project = c->project,
				      .operation = &f->pool.op.uuid,
				      .text = text };
	int r = scat_begin(f->pool.cat, err);

	(void)snprintf(text, sizeof(text),
		       "'%.200s' was in state '%s', and was said to be available", spec,
		       scat_state_name(c->state));
	c->state = SCAT_AVAILABLE;
	if (r == 0)
		r = f->has_snapshot ? scat_snapshot_update(f->pool.cat, &f->snapshot, err) :
				      scat_volume_update(f->pool.cat, &f->volume, err);
	if (r == 0)
		r = sm_message(&f->pool, &m, err);
	if (r == 0)
		r = scat_commit(f->pool.cat, true, err);
	scat_rollback(f->pool.cat);
	return r;
}

/* Of an operation whose process is dead: it is undone. Where there is no such row, the state is wrong. */
static int reset_transition(struct sm_found *f, const char *spec, struct snapmgr_err *err)
{
	struct scat_operation op;
	char said[SM_SAID] = "";
	int r = f->has_snapshot ? scat_operation_on(f->pool.cat, 0, f->snapshot.id, &op, err) :
				  scat_operation_on(f->pool.cat, f->volume.id, 0, &op, err);

	if (r == -ENOENT)
		return write_reset(f, spec, err);
	if (r < 0)
		return r;
	if (sm_lasting_owner_alive(&op))
		return f->has_snapshot ? sm_snapshot_ready(&f->pool, &f->snapshot, err) :
					 sm_volume_ready(&f->pool, &f->volume, true, err);
	return sm_lasting_settle(&f->pool, &op, said, err);
}

/* A revert by the kernel that is half done: nobody but it can say what the volume holds. */
static int check_merge(struct sm_found *f, struct snapmgr_err *err)
{
	uint32_t store;
	int r = f->pool.b.driver->stores && !f->has_snapshot ?
			scat_merge_get(f->pool.cat, f->volume.id, &store, err) :
			-ENOENT;

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return sm_fail(err, SNAPMGR_BAD_STATE, EBUSY,
		       "the revert of '%s/%s' is half done: once its disk is well 'snapmgr recover "
		       "%s' goes on with it",
		       f->pool.row.name, f->volume.c.name, f->pool.row.name);
}

int snapmgr_reset_state(struct snapmgr *sm, const char *spec, struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	enum scat_state state;
	int r = sm_find(sm, spec, SM_WANT_VOLUME | SM_WANT_SNAPSHOT | SM_WANT_HELD, true, &f, err);

	if (r < 0)
		return r;
	state = f.has_snapshot ? f.snapshot.c.state : f.volume.c.state;
	if (!sm_state_is_transition(state) && state != SCAT_ERROR && state != SCAT_REVERTING_ERROR)
		return refuse(spec, state, err);
	r = sm_op_begin(&f.pool, "reset-state", f.has_volume ? f.volume.c.name : NULL,
			f.has_snapshot ? f.snapshot.c.name : NULL, 0, err);
	if (r == 0 && sm_state_is_transition(state))
		return reset_transition(&f, spec, err);
	if (r == 0)
		r = check_merge(&f, err);
	if (r == 0 && !f.has_snapshot)
		r = check_live(&f.pool, &f.volume, err);
	return r == 0 ? write_reset(&f, spec, err) : r;
}
