/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What dead processes left, finished or undone. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/store.h"

void sm_recover_tell(struct sm_pool *pool, const char *fmt, ...)
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
static int note(struct sm_pool *pool, const struct scat_volume *v, const char *level,
		const char *text, struct snapmgr_err *err)
{
	const struct sm_message m = {
		.level = level,
		.verb = "recover",
		.code = strcmp(level, "error") == 0 ? snapmgr_code_name(SNAPMGR_BAD_STATE) : NULL,
		.kind = v ? "volume" : "pool",
		.object = v ? &v->c.uuid : &pool->b.uuid,
		.project = v ? v->c.project : "",
		.operation = &pool->lock.dead.uuid,
		.text = text,
	};

	return sm_message(pool, &m, err);
}

/*
 * The running table is the head from before although the catalogue has the new one: the owner died
 * between its commit and the resume, and since then people may have written to what runs. So that is
 * the truth, and the catalogue goes back to it (DESIGN: a running device's live table is the truth).
 */
int sm_recover_head(struct sm_pool *pool, struct scat_volume *v, struct snapmgr_err *err)
{
	const struct scat_common newer = v->c;
	struct scat_undo point;
	int r = scat_undo_nth(pool->cat, v->id, 0, &point, err);
	bool kept = r == 0 && point.thin == v->before.thin;

	if (r < 0 && r != -ENOENT)
		return r;
	v->c.thin = v->before.thin;
	v->c.parent = v->before.parent;
	v->c.size_bytes = v->before.size_bytes;
	if (kept && v->before.swapped) {
		point.thin = newer.thin;
		point.parent = newer.parent;
		point.size_bytes = newer.size_bytes;
		return scat_undo_update(pool->cat, &point, err);
	}
	r = kept ? scat_undo_delete(pool->cat, point.id, err) :
		   scat_garbage_remove(pool->cat, v->c.thin, err);
	if (r == 0 && kept)
		r = scat_undo_take_back(pool->cat, newer.thin, err);
	return r == 0 ? scat_garbage_add(pool->cat, newer.thin, err) : r;
}

/* Of a lasting operation, which is not what died under the lock: its state stays. */
static bool is_held(struct sm_pool *pool, const struct scat_volume *v)
{
	struct scat_operation op;

	return pool->row.operations && sm_state_is_transition(v->c.state) &&
	       scat_operation_on(pool->cat, v->id, 0, &op, NULL) == 0;
}

/* Make the row agree with what runs. */
static int follow(struct sm_pool *pool, struct scat_volume *v, uint32_t live, uint64_t live_bytes,
		  struct snapmgr_err *err)
{
	char text[SNAPMGR_MESSAGE_MAX];

	if (!is_held(pool, v))
		v->c.state = SCAT_AVAILABLE;
	if (live == v->c.thin) {
		v->c.size_bytes = live_bytes;
		return 0;
	}
	if (live == v->before.thin)
		return sm_recover_head(pool, v, err);
	v->c.state = SCAT_ERROR;
	(void)snprintf(text, sizeof(text),
		       "volume '%s/%s' runs on id %u, which the catalogue does not know",
		       pool->row.name, v->c.name, live);
	sm_recover_tell(pool, "%s", text);
	return note(pool, v, "error", text, err);
}

/*
 * The kernel refuses to put right what was left. That is no reason to keep the rest of the pool from
 * working: the volume says that it is not well, and every later command tries again.
 */
static int put_off(struct sm_pool *pool, struct scat_volume *v, const struct snapmgr_err *why,
		   struct snapmgr_err *err)
{
	char text[SNAPMGR_MESSAGE_MAX];
	const bool known = v->c.state ==
			   SCAT_REVERTING_ERROR; /* told once, however often it is tried */

	(void)snprintf(text, sizeof(text),
		       "what was begun with volume '%s/%s' cannot be recovered yet: %.400s",
		       pool->row.name, v->c.name, why->message);
	sm_warn(pool->sm, "%s", text);
	v->c.state = SCAT_REVERTING_ERROR;
	return known ? 0 : note(pool, v, "error", text, err);
}

struct healing {
	struct sm_pool *pool;
	struct snapmgr_err *err;
	bool several_left; /* something was put off */
};

static int heal_volume(struct healing *h, const struct sm_vdev *dev, struct scat_volume *v)
{
	struct sm_pool *pool = h->pool;
	const struct scat_volume before = *v;
	struct snapmgr_err why = { 0 };
	uint64_t live_bytes;
	uint32_t live;
	int r = pool->b.driver->heal(&pool->b, dev, &live, &live_bytes, &why);

	if (r == -ENOENT)
		return 0;
	if (r == 0 && dev->merging) /* is seen to by itself */
		return 0;
	if (r == 0) {
		r = follow(pool, v, live, live_bytes, h->err);
	} else if (why.code == SNAPMGR_KERNEL) {
		h->several_left = true;
		r = put_off(pool, v, &why, h->err);
	} else if (h->err) {
		*h->err = why;
	}
	if (r == 0 && (v->c.state != before.c.state || v->c.thin != before.c.thin ||
		       v->c.size_bytes != before.c.size_bytes))
		r = scat_volume_update(pool->cat, v, h->err);
	return r;
}

/* Any device of the pool may have been left suspended: a snapshot is, for a copy of it. */
static int heal_device(const char *name, const char *dm_uuid, uint32_t major, uint32_t minor,
		       void *data)
{
	struct healing *h = data;
	struct scat_volume v;
	struct sm_uuid uuid;
	struct sm_vdev dev;
	uint64_t live_bytes;
	uint32_t live;
	int r;

	(void)name;
	(void)major;
	(void)minor;
	r = sm_pool_device(h->pool, dm_uuid, &dev, h->err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (!sm_uuid_parse(dm_uuid + strlen(SM_DM_UUID), &uuid))
		return 0;
	r = scat_volume_by_uuid(h->pool->cat, &uuid, &v, h->err);
	if (r != -ENOENT)
		return r < 0 ? r : heal_volume(h, &dev, &v);
	r = h->pool->b.driver->heal(&h->pool->b, &dev, &live, &live_bytes, h->err);
	return r == -ENOENT ? 0 : r;
}

static int heal_file(const struct scat_volume *v, void *data)
{
	struct healing *h = data;
	struct scat_volume now = *v;
	struct sm_vdev dev;

	if (is_held(h->pool, v)) /* what it holds is for the operation to know */
		return 0;
	sm_volume_device(h->pool, &now, &dev);
	return heal_volume(h, &dev, &now);
}

static const char *dead_name(const struct slock_holder *dead, char name[sizeof(dead->object)])
{
	(void)sm_copy_text(name, sizeof(dead->object), dead->object);
	name[strcspn(name, "@")] = '\0';
	return name;
}

/* The volume that the dead one had to do with; false where there is none, or not any more. */
static bool dead_volume(struct sm_pool *pool, struct scat_volume *ret)
{
	char name[sizeof(pool->lock.dead.object)];

	return scat_volume_by_name(pool->cat, dead_name(&pool->lock.dead, name), ret, NULL) == 0;
}

struct switched {
	const struct sm_uuid *by;
	bool is;
};

static int was_switched(const struct scat_volume *v, void *data)
{
	struct switched *s = data;

	s->is |= sm_uuid_equal(&v->before.with, s->by) && v->c.thin != v->before.thin;
	return 0;
}

static const char *outcome_of_group(struct sm_pool *pool, const struct slock_holder *dead)
{
	struct switched s = { .by = &dead->uuid };
	char name[sizeof(dead->object)];
	struct scat_group g;

	if ((strcmp(dead->verb, "revert") != 0 && strcmp(dead->verb, "undo") != 0) ||
	    scat_group_by_name(pool->cat, dead_name(dead, name), &g, NULL) < 0 ||
	    scat_member_each(pool->cat, g.id, was_switched, &s, NULL) < 0)
		return "";
	return s.is ? ": it is done" : ": the volumes are as they were before";
}

/* Of an operation that switches heads. */
static const char *outcome(struct sm_pool *pool, const struct slock_holder *dead,
			   const struct scat_volume *v)
{
	if (!v)
		return outcome_of_group(pool, dead);
	if (strcmp(dead->verb, "create") == 0)
		return v->c.state == SCAT_CREATING ? "" : ": it is done";
	if (!dead->head)
		return "";
	return v->c.thin == dead->head ? ": the volume is as it was before" : ": it is done";
}

static void describe_dead(struct sm_pool *pool, const struct scat_volume *v,
			  char text[SNAPMGR_MESSAGE_MAX])
{
	const struct slock_holder *dead = &pool->lock.dead;

	if (dead->verb[0])
		(void)snprintf(
			text, SNAPMGR_MESSAGE_MAX,
			"recovered: the %s of '%s/%s' that process %d (%s) began was cut short%s",
			dead->verb, pool->row.name, dead->object, dead->pid, dead->comm,
			outcome(pool, dead, v));
}

/*
 * A commit whose owner died between its write and its flush counts from here on: what is resumed into it
 * will be written to, and nobody takes that back.
 */
static int make_last(struct sm_pool *pool, struct snapmgr_err *err)
{
	int r = scat_begin(pool->cat, err);

	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	return r;
}

/* Return: 0, 1 where something was put off, or a negative errno. */
static int heal_all(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct healing h = { .pool = pool, .err = err };
	char text[SNAPMGR_MESSAGE_MAX] = "";
	const struct scat_volume *of = NULL;
	struct scat_volume v;
	int r = make_last(pool, err);

	if (r == 0 && pool->b.driver->let_go)
		r = pool->b.driver->let_go(&pool->b, err);
	if (r == 0)
		r = scat_begin(pool->cat, err);
	if (r == 0)
		r = sm_names_follow(pool, err); /* a rename may have been cut short */
	if (r == 0)
		r = sm_recover_together(pool, err);
	if (r == 0)
		r = pool->b.dir[0] ? scat_volume_each(pool->cat, heal_file, &h, err) :
				     sdm_list(SM_DM_UUID, heal_device, &h, err);
	if (pool->lock.dead.verb[0] && dead_volume(pool, &v))
		of = &v;
	describe_dead(pool, of, text);
	if (r == 0 && *text)
		r = note(pool, of, "warning", text, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	if (r == 0 && *text)
		sm_recover_tell(pool, "%s", text);
	return r == 0 ? h.several_left : r;
}

/* A volume that was just made, or was to be deleted and is there still: its owner would have mapped it. */
static void map_dead_volume(struct sm_pool *pool)
{
	const struct slock_holder *dead = &pool->lock.dead;
	const bool made = strcmp(dead->verb, "create") == 0;
	struct snapmgr_err why = { 0 };
	struct scat_volume v;
	struct sdm_info info;
	struct sm_vdev dev;
	int r;

	if (!pool->b.driver->map || (!made && (strcmp(dead->verb, "delete") != 0 || !dead->head)) ||
	    !dead_volume(pool, &v) || (made && (!v.autostart || v.c.state == SCAT_CREATING)))
		return;
	sm_volume_device(pool, &v, &dev);
	r = sdm_info_by_uuid(dev.dm.uuid, &info, &why);
	if (r == 0 && !info.exists)
		r = pool->b.driver->map(&pool->b, &dev, &why);
	if (r < 0)
		sm_warn(pool->sm, "'%s/%s' is inactive: %s", pool->row.name, v.c.name, why.message);
}

int sm_recover_abandoned(struct sm_pool *pool, struct snapmgr_err *err)
{
	int left = heal_all(pool, err);
	int r = left < 0 ? left : sm_recover_ids(pool, err);

	if (r == 0 && pool->b.driver->stores)
		r = sm_merge_tend(pool, err);
	if (r < 0)
		return r;
	map_dead_volume(pool);
	pool->lock.dead = (struct slock_holder){ 0 }; /* told once */
	pool->lock.abandoned = false;
	pool->lock.unfinished |= left > 0;
	return 0;
}

int sm_recover_activated(struct sm_pool *pool, struct snapmgr_err *err)
{
	int r = sm_lasting_reap(pool, err);

	if (r == 0)
		r = scat_begin(pool->cat, err);
	if (r == 0)
		r = scat_states_reset(pool->cat, err);
	if (r == 0)
		r = scat_commit(pool->cat, false, err);
	scat_rollback(pool->cat);
	return r;
}

static int fail_named(const struct sm_pool *pool, uint32_t id, struct snapmgr_err *err)
{
	return sm_fail(
		err, SNAPMGR_DAMAGED, EUCLEAN,
		"pool '%s' names id %u, which was not handed out: run 'snapmgr pool check %s'",
		pool->row.name, id, pool->row.name);
}

/* An orphan is in nobody's way: it stays in the window, and is looked for again by the next change. */
static void leave_orphans(struct sm_pool *pool, uint32_t id, const struct snapmgr_err *why)
{
	pool->lock.unfinished = true;
	sm_warn(pool->sm,
		"id %u of pool '%s', which nothing names, stays for now: %.400s; the next change, or "
		"'snapmgr recover %s', tries again",
		id, pool->row.name, why->message, pool->row.name);
}

/* Ids in the reserved window that no row names were made by somebody who died before the commit. */
int sm_recover_ids(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct snapmgr_err why = { 0 };
	struct sm_space space;
	int r_space = sm_pool_space(pool, false, &space, err);

	/* A pool that takes no changes keeps them until it does. */
	if (r_space < 0 || space.read_only || space.fail || space.needs_check)
		return r_space;
	for (uint32_t id = pool->row.next_thin; id < pool->row.reserved_thin; id++) {
		int r = scat_thin_named(pool->cat, id, err);

		if (r != 0)
			return r < 0 ? r : fail_named(pool, id, err);
		r = pool->b.driver->drop(&pool->b, id, &why);
		if (r == 0 ||
		    r == -EBUSY) /* in the tables of a volume whose recovery was put off */
			continue;
		leave_orphans(pool, id, &why);
		return 0; /* what refuses one would refuse them all */
	}
	return 0;
}

struct recover {
	struct snapmgr *sm;
	struct snapmgr_err *err;
};

/* Reverts that the kernel gave up are tried again; that is what this is asked for. */
static int resume_merges(struct sm_pool *pool, struct snapmgr_err *err)
{
	AUTO(sm_volumes_free) struct sm_volumes all = { 0 };
	int r = pool->b.driver->stores ? sm_volumes_all(pool, &all, err) : 0;

	for (size_t i = 0; i < all.n && r >= 0; i++) {
		r = sm_merge_resume(pool, &all.v[i], NULL, err);
		if (r > 0)
			sm_recover_tell(
				pool, "the revert of '%s/%s' that the kernel had given up is done",
				pool->row.name, all.v[i].c.name);
	}
	return r < 0 ? r : 0;
}

static int recover_pool(const char *name, void *data)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct recover *rec = data;
	struct sm_space space;
	int r = sm_pool_open(rec->sm, name, true, &pool, rec->err);

	if (r == 0) /* also what is no process's of ours */
		r = heal_all(&pool, rec->err);
	pool.lock.unfinished |= r > 0;
	if (r >= 0)
		r = resume_merges(&pool, rec->err);
	if (r >= 0)
		r = sm_pool_space(&pool, false, &space, rec->err);
	if (r < 0 || space.read_only || space.fail || space.needs_check)
		return r;
	r = sm_recover_ids(&pool, rec->err);
	if (r == 0)
		r = sm_garbage_drop(&pool, rec->err);
	if (r > 0)
		sm_recover_tell(&pool,
				"pool '%s': %d displaced heads and deleted snapshots were dropped",
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
	r = pool ? recover_pool(pool, &rec) : sm_pool_each(sm, recover_pool, &rec, err);
	sm->report = NULL;
	return r;
}
