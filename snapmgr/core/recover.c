/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What dead processes left, finished or undone. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"

static void tell(struct sm_pool *pool, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct sm_pool *pool, const char *fmt, ...)
{
	char text[SNAPMGR_MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (pool->sm->report)
		(void)pool->sm->report(text, true, pool->sm->report_data);
	else
		sm_warn(pool->sm, "%s", text);
}

/* The same for those who ask later; in the transaction that makes it so. */
static int note(struct sm_pool *pool, const struct scat_operation *op, const struct scat_volume *v,
		const char *level, const char *text, struct snapmgr_err *err)
{
	const struct sm_message m = {
		.level = level,
		.verb = "recover",
		.code = strcmp(level, "error") == 0 ? snapmgr_code_name(SNAPMGR_BAD_STATE) : NULL,
		.kind = v->id ? "volume" : "pool",
		.object = v->id ? &v->c.uuid : &pool->b.uuid,
		.project = v->c.project,
		.operation = &op->uuid,
		.text = text,
	};

	return sm_message(pool, &m, err);
}

/*
 * The running table is the old head although the catalogue has the new one: the owner died between
 * its commit and the resume, and since then people may have written to what runs. So that is the
 * truth, and the catalogue goes back to it (DESIGN: a running device's live table is the truth).
 */
static int go_back(struct sm_pool *pool, const struct scat_operation *op, struct scat_volume *v,
		   struct snapmgr_err *err)
{
	const struct scat_common newer = v->c;
	struct scat_undo point;
	int r = scat_undo_nth(pool->cat, v->id, 0, &point, err);
	bool kept = r == 0 && point.thin == op->old_thin;

	if (r < 0 && r != -ENOENT)
		return r;
	v->c.thin = op->old_thin;
	v->c.parent = op->old_parent;
	v->c.size_bytes = op->old_size_bytes;
	if (!kept) {
		r = scat_garbage_remove(pool->cat, op->old_thin, err);
		return r == 0 ? scat_garbage_add(pool->cat, newer.thin, err) : r;
	}
	if (strcmp(op->verb, "undo") != 0) {
		r = scat_undo_delete(pool->cat, point.id, err);
		return r == 0 ? scat_garbage_add(pool->cat, newer.thin, err) : r;
	}
	point.thin = newer.thin;
	point.parent = newer.parent;
	point.size_bytes = newer.size_bytes;
	return scat_undo_update(pool->cat, &point, err);
}

/* Make the row agree with what runs; 1 where it had to change. */
static int follow(struct sm_pool *pool, const struct scat_operation *op, struct scat_volume *v,
		  uint32_t live, uint64_t live_bytes, struct snapmgr_err *err)
{
	char text[SNAPMGR_MESSAGE_MAX];
	int r;

	if (live == v->c.thin && live_bytes == v->c.size_bytes)
		return 0;
	if (live == v->c.thin) {
		v->c.size_bytes = live_bytes;
		return 1;
	}
	if (live == op->old_thin) {
		r = go_back(pool, op, v, err);
		return r < 0 ? r : 1;
	}
	v->c.state = SCAT_ERROR;
	(void)snprintf(text, sizeof(text),
		       "volume '%s/%s' runs on id %u, which the catalogue does not know",
		       pool->row.name, v->c.name, live);
	tell(pool, "%s", text);
	r = note(pool, op, v, "error", text, err);
	return r < 0 ? r : 1;
}

static int heal_volume(struct sm_pool *pool, const struct scat_operation *op, struct scat_volume *v,
		       struct snapmgr_err *err)
{
	uint64_t live_bytes;
	struct sm_vdev dev;
	uint32_t live;
	int r;

	v->c.state = SCAT_AVAILABLE;
	sm_volume_device(pool, v, &dev);
	r = pool->b.driver->heal(&pool->b, &dev, &live, &live_bytes, err);
	if (r == -ENOENT) /* not mapped: the catalogue alone decides */
		return 0;
	return r < 0 ? r : follow(pool, op, v, live, live_bytes, err);
}

static int heal_snapshot(struct sm_pool *pool, int64_t id, struct snapmgr_err *err)
{
	struct scat_snapshot s;
	struct sm_vdev dev;
	uint64_t live_bytes;
	uint32_t live;
	int r = id ? scat_snapshot_by_id(pool->cat, id, &s, err) : -ENOENT;

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	sm_snapshot_device(pool, &s, &dev); /* active, and suspended for a copy */
	r = pool->b.driver->heal(&pool->b, &dev, &live, &live_bytes, err);
	if (r < 0 && r != -ENOENT)
		return r;
	s.c.state = SCAT_AVAILABLE;
	return scat_snapshot_update(pool->cat, &s, err);
}

/*
 * The kernel refuses to put right what one operation left. That is no reason to keep the rest of the
 * pool from working: the volume says that it is not well, and every later command tries again.
 */
static int put_off(struct sm_pool *pool, const struct scat_operation *op, struct scat_volume *v,
		   const struct snapmgr_err *why, struct snapmgr_err *err)
{
	bool displacing = strcmp(op->verb, "revert") == 0 || strcmp(op->verb, "undo") == 0;
	enum scat_state state = displacing ? SCAT_REVERTING_ERROR : SCAT_ERROR;
	char text[SNAPMGR_MESSAGE_MAX];
	int r;

	(void)snprintf(text, sizeof(text),
		       "%s of volume '%s/%s' was cut short and cannot be recovered yet: %.400s",
		       op->verb, pool->row.name, v->c.name, why->message);
	sm_warn(pool->sm, "%s", text);
	scat_rollback(pool->cat);
	r = scat_volume_by_id(pool->cat, op->volume, v, err);
	if (r == 0)
		r = scat_begin(pool->cat, err);
	if (r == 0 && v->c.state != state) /* once, however often it is tried */
		r = note(pool, op, v, "error", text, err);
	v->c.state = state;
	if (r == 0)
		r = scat_volume_update(pool->cat, v, err);
	if (r == 0)
		r = scat_commit(pool->cat, false, err);
	scat_rollback(pool->cat);
	return r;
}

static void describe_end(const struct sm_pool *pool, const struct scat_operation *op,
			 const struct scat_volume *v, char text[SNAPMGR_MESSAGE_MAX])
{
	bool head_changes = strcmp(op->verb, "revert") == 0 || strcmp(op->verb, "undo") == 0 ||
			    strcmp(op->verb, "resize") == 0;
	bool as_before = v->c.thin == op->old_thin && v->c.size_bytes == op->old_size_bytes;

	if (!v->id)
		(void)snprintf(text, SNAPMGR_MESSAGE_MAX,
			       "recovered: the %s that process %d began was cut short", op->verb,
			       op->pid);
	else
		(void)snprintf(text, SNAPMGR_MESSAGE_MAX,
			       "recovered: the %s of '%s/%s' that process %d began was cut short%s",
			       op->verb, pool->row.name, v->c.name, op->pid,
			       !head_changes ? "" :
			       as_before     ? ": the volume is as it was before" :
					       ": it is done");
}

static int recover_one(struct sm_pool *pool, const struct scat_operation *op,
		       struct snapmgr_err *err)
{
	struct scat_volume v = { 0 };
	struct snapmgr_err why = { 0 };
	char text[SNAPMGR_MESSAGE_MAX];
	bool changed = false;
	int r = scat_begin(pool->cat, err);

	if (r == 0 && op->volume) {
		r = scat_volume_by_id(pool->cat, op->volume, &v, err);
		if (r == 0)
			r = heal_volume(pool, op, &v, &why);
		if (r < 0 && why.code == SNAPMGR_KERNEL)
			return put_off(pool, op, &v, &why, err);
		if (r < 0 && why.code && err)
			*err = why;
		changed = r > 0;
		if (r >= 0)
			r = scat_volume_update(pool->cat, &v, err);
		r = r == -ENOENT ? 0 : r; /* it was deleted */
	}
	if (r == 0)
		r = heal_snapshot(pool, op->snapshot, err);
	if (r == 0)
		r = scat_operation_delete(pool->cat, op->id, err);
	describe_end(pool, op, &v, text);
	if (r == 0)
		r = note(pool, op, &v, "warning", text, err);
	if (r == 0)
		r = scat_commit(pool->cat, changed, err);
	scat_rollback(pool->cat);
	if (r == 0)
		tell(pool, "%s", text);
	return r;
}

struct healing {
	struct sm_pool *pool;
	struct snapmgr_err *err;
};

/* All volumes that a snapshot of several may have left suspended. */
static int heal_device(const char *name, const char *dm_uuid, uint32_t major, uint32_t minor,
		       void *data)
{
	struct healing *h = data;
	struct sm_vdev dev;
	uint64_t live_bytes;
	uint32_t live;
	int r;

	(void)name;
	(void)major;
	(void)minor;
	if (sm_pool_device(h->pool, dm_uuid, &dev) < 0)
		return 0;
	r = h->pool->b.driver->heal(&h->pool->b, &dev, &live, &live_bytes, h->err);
	return r == -ENOENT ? 0 : r;
}

static int heal_all(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct healing h = { pool, err };

	return sdm_list(SM_DM_UUID, heal_device, &h, err);
}

#define MAX_PENDING 64

struct pending {
	struct scat_operation ops[MAX_PENDING];
	size_t n;
};

/* Every operation of this version lasts no longer than its hold of the lock, which is ours now. */
static int collect(const struct scat_operation *op, void *data)
{
	struct pending *p = data;

	p->ops[p->n++] = *op;
	return p->n == MAX_PENDING;
}

int sm_recover_pending(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct pending p = { .n = 0 };
	bool several = false;
	int r = scat_operation_each(pool->cat, collect, &p, err);

	if (r < 0 || !p.n)
		return r < 0 ? r : 0;
	r = sm_names_follow(pool, err); /* a rename may have been cut short */
	for (size_t i = 0; i < p.n && r == 0; i++) {
		r = recover_one(pool, &p.ops[i], err);
		several |= !p.ops[i].volume;
	}
	if (r == 0 && several)
		r = heal_all(pool, err);
	return r == 0 ? sm_recover_ids(pool, err) : r;
}

int sm_recover_abandoned(struct sm_pool *pool, struct snapmgr_err *err)
{
	int r = heal_all(pool, err);

	return r == 0 ? sm_recover_ids(pool, err) : r;
}

/* Ids in the reserved window that no row names were made by somebody who died before the commit. */
int sm_recover_ids(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct sm_space space;
	int r_space = pool->b.driver->space(&pool->b, false, &space, err);

	/* A pool that takes no changes keeps them until it does. */
	if (r_space < 0 || space.read_only || space.fail || space.needs_check)
		return r_space;
	for (uint32_t id = pool->row.next_thin; id < pool->row.reserved_thin; id++) {
		int r = scat_thin_named(pool->cat, id, err);

		if (r == 0)
			r = pool->b.driver->drop(&pool->b, id, err);
		if (r == -EBUSY) /* in the tables of a volume whose recovery was put off */
			r = 0;
		else if (r > 0)
			r = sm_fail(
				err, SNAPMGR_DAMAGED, EUCLEAN,
				"pool '%s' names id %u, which was not handed out: run 'snapmgr pool check %s'",
				pool->row.name, id, pool->row.name);
		if (r < 0)
			return r;
	}
	return 0;
}

struct recover {
	struct snapmgr *sm;
	struct snapmgr_err *err;
};

static int recover_pool(const char *name, void *data)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct recover *rec = data;
	struct sm_space space;
	int r = sm_pool_open(rec->sm, name, true, &pool, rec->err);

	if (r == 0)
		r = heal_all(&pool, rec->err);
	if (r == 0)
		r = pool.b.driver->space(&pool.b, false, &space, rec->err);
	if (r < 0 || space.read_only || space.fail || space.needs_check)
		return r;
	r = sm_recover_ids(&pool, rec->err);
	if (r == 0)
		r = sm_garbage_drop(&pool, rec->err);
	if (r > 0)
		tell(&pool, "pool '%s': %d displaced heads and deleted snapshots were dropped",
		     pool.row.name, r);
	return r < 0 ? r : 0;
}

int snapmgr_recover(struct snapmgr *sm, const char *pool, snapmgr_report_fn *report, void *data,
		    struct snapmgr_err *err)
{
	struct recover rec = { sm, err };
	int r;

	sm->report = report;
	sm->report_data = data;
	r = pool ? recover_pool(pool, &rec) : sm_pool_each(recover_pool, &rec, err);
	sm->report = NULL;
	return r;
}
