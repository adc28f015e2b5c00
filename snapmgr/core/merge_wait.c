/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* While the kernel merges, and what is done where it gave up: an error of a disk underneath. */
#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "snapmgr/core/lasting.h"
#include "snapmgr/core/store.h"

#define PAUSE_MS 50

static void pause_ms(long ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

static int no_more_waiting(const struct sm_pool *pool, const struct scat_volume *v,
			   struct snapmgr_err *err)
{
	return sm_fail(
		err, SNAPMGR_BAD_STATE, ECANCELED,
		"the kernel goes on with the revert of '%s/%s', which cannot be stopped any more; "
		"'snapmgr recover %s' ends it when that is done, as every change to the pool does",
		pool->row.name, v->c.name, pool->row.name);
}

/* That others ask it to stop changes nothing; that the caller does ends the wait. */
static int wait_for_end(struct sm_pool *pool, const struct scat_volume *v, struct sm_lasting *op,
			struct snapmgr_err *err)
{
	const uint64_t todo_bytes = op->row.todo_bytes;
	uint64_t left = 1;
	int r = 0;

	for (;;) {
		r = sm_merge_left(pool, v, &left, err);
		if (r < 0)
			return r;
		r = sm_lasting_progress(
			op, todo_bytes > left * SM_SECTOR ? todo_bytes - left * SM_SECTOR : 0,
			todo_bytes);
		if (!left)
			return 0;
		if (r < 0 && !sm_lasting_cancelled(op))
			return no_more_waiting(pool, v, err);
		pause_ms(PAUSE_MS);
	}
}

int sm_merge_gave_up(struct sm_pool *pool, struct scat_volume *v, const char *why,
		     struct snapmgr_err *err)
{
	const struct sm_message m = {
		.level = "error",
		.verb = "revert",
		.code = snapmgr_code_name(SNAPMGR_KERNEL),
		.kind = "volume",
		.object = &v->c.uuid,
		.project = v->c.project,
		.text = why,
	};
	int r = scat_begin(pool->cat, err);

	v->c.state = SCAT_REVERTING_ERROR;
	if (r == 0)
		r = scat_volume_update(pool->cat, v, err);
	if (r == 0)
		r = sm_message(pool, &m, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	return r;
}

/* The operation stays for who resumes it, with an owner that nobody waits for. */
static void leave_failed(struct sm_pool *pool, struct scat_volume *v, struct sm_lasting *op,
			 const struct snapmgr_err *why)
{
	struct snapmgr_err ignored = { 0 };

	if (sm_lasting_retake(op, &ignored) < 0)
		return; /* the next one comes upon it */
	if (sm_merge_gave_up(pool, v, why->message, &ignored) < 0)
		sm_warn(pool->sm, "the state of '%s/%s' could not be written down: %s",
			pool->row.name, v->c.name, ignored.message);
	sm_lasting_abandon(op);
}

int sm_merge_wait(struct sm_pool *pool, struct scat_volume *v, struct scat_snapshot *s,
		  const struct scat_operation *row, struct snapmgr_err *err)
{
	AUTO(sm_lasting_release) struct sm_lasting op = { 0 };
	struct snapmgr_err why = { 0 };
	int r = sm_lasting_adopt(pool, row, v, s, &op, &why);

	if (r == 0) {
		r = wait_for_end(pool, v, &op, &why);
		if (r == -EIO)
			leave_failed(pool, v, &op, &why);
		else if (r < 0) /* this process may live on: others end it all the same */
			sm_lasting_abandon(&op);
	}
	if (r == 0)
		r = sm_lasting_retake(&op, &why);
	if (r < 0 && err)
		*err = why;
	return r;
}

/* ---- begun again ---- */

/* What reads the volume in this moment could be told of an error. */
static int begin_again(struct sm_pool *pool, const struct scat_volume *v, uint32_t source,
		       struct snapmgr_err *err)
{
	AUTO(sm_place_free) struct sm_place place = { 0 };
	AUTO(sm_claim_drop) struct sm_claim claim = { .fd = -1 };
	const struct sm_switch_opts opts = sm_store_switch_opts(pool);
	struct sm_switch_item item = { 0 };
	struct sm_vdev dev;
	int r = sm_place_load(pool, source, v->c.thin, v->c.size_bytes, &place, err);

	sm_volume_device(pool, v, &dev);
	dev.dm.read_only = true;
	dev.merging = source;
	if (r == 0)
		r = sm_claim(pool, &dev, dev.dm.link, false, &claim, err);
	item.v = &dev;
	item.claim_fd = claim.fd;
	if (r == 0)
		r = sm_op_begin(pool, "revert", v->c.name, NULL, 0, err);
	if (r < 0)
		return r;
	r = pool->b.driver->stores->again(&pool->b, &item, &place, &opts, err);
	if (r < 0)
		pool->lock.abandoned = true; /* the next one sees to its table */
	return r;
}

static int resume(struct sm_pool *pool, struct scat_volume *v, uint32_t source,
		  struct snapmgr_err *err)
{
	struct scat_operation op;
	int r = scat_operation_on(pool->cat, v->id, 0, &op, err);

	if (r == 0 && sm_lasting_owner_alive(&op))
		return sm_state_conflict(pool, "volume", v->c.name, v->c.state, v->id, 0, err);
	if (r == 0)
		r = begin_again(pool, v, source, err);
	if (r == 0)
		r = scat_begin(pool->cat, err);
	v->c.state = SCAT_REVERTING;
	if (r == 0)
		r = scat_volume_update(pool->cat, v, err);
	if (r == 0)
		r = sm_merge_wait(pool, v, NULL, &op, err);
	return r == 0 ? sm_merge_finish(pool, v, NULL, err) : r;
}

int sm_merge_resume(struct sm_pool *pool, struct scat_volume *v, uint32_t *ret_source,
		    struct snapmgr_err *err)
{
	uint32_t source;
	int r;

	if (!pool->b.driver->stores || v->c.state != SCAT_REVERTING_ERROR)
		return 0;
	r = scat_merge_get(pool->cat, v->id, &source, err);
	if (r == -ENOENT)
		return 0;
	if (ret_source)
		*ret_source = source;
	if (r == 0)
		r = resume(pool, v, source, err);
	return r == 0 ? 1 : r;
}
