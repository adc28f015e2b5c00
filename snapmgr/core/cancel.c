/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_cancel(): a lasting operation stopped and undone, by its owner or in its place. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "snapmgr/core/lasting.h"

#define PAUSE_MS 20

struct seek {
	struct snapmgr *sm;
	struct sm_uuid uuid; /* of an operation, or of a volume */
	struct sm_uuid pool;
	struct scat_operation op;
	char object[2 * SNAPMGR_NAME_MAX + 2];
	char pool_name[SNAPMGR_NAME_MAX + 1], dir[SPROGRESS_DIR];
	bool found;
	struct snapmgr_err *err;
};

static void found(struct seek *s, struct sm_pool *pool)
{
	s->found = true;
	s->pool = pool->b.uuid;
	sprogress_dir(&pool->b.uuid, pool->b.dir, s->dir);
	(void)sm_copy_text(s->pool_name, sizeof(s->pool_name), pool->row.name);
	sm_lasting_object(pool, &s->op, s->object);
}

static int seek_in_pool(const char *name, void *data)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct seek *s = data;
	struct scat_volume v;
	int r = sm_pool_open(s->sm, name, false, &pool, NULL);

	if (r < 0 || !pool.row.operations)
		return 0;
	r = scat_operation_by_uuid(pool.cat, &s->uuid, &s->op, NULL);
	if (r == -ENOENT && scat_volume_by_uuid(pool.cat, &s->uuid, &v, NULL) == 0)
		r = scat_operation_on(pool.cat, v.id, 0, &s->op, NULL);
	if (r == 0)
		found(s, &pool);
	return s->found;
}

static int none(const char *what, struct snapmgr_err *err)
{
	return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT,
		       "no lasting operation is '%.100s', or works on it: 'snapmgr list "
		       "--operations' shows them",
		       what);
}

static int seek_on_object(struct seek *s, const char *what)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	int r = sm_find(s->sm, what, SM_WANT_VOLUME | SM_WANT_SNAPSHOT, false, &f, s->err);

	if (r == 0)
		r = f.has_snapshot ?
			    scat_operation_on(f.pool.cat, 0, f.snapshot.id, &s->op, s->err) :
			    scat_operation_on(f.pool.cat, f.volume.id, 0, &s->op, s->err);
	if (r == 0)
		found(s, &f.pool);
	return r == -ENOENT && f.pool.cat ? none(what, s->err) : r;
}

static int find(struct seek *s, const char *what)
{
	int r;

	if (!sm_uuid_parse(what, &s->uuid))
		return seek_on_object(s, what);
	r = sm_pool_each(s->sm, seek_in_pool, s, s->err);
	return r < 0 ? r : s->found ? 0 : none(what, s->err);
}

/* Its owner ends it, and its row goes with all that it did. Return: 1 where the row is there still. */
static int look_again(struct seek *s)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	char uuid[SNAPMGR_UUID_TEXT];
	int r;

	sm_uuid_text(&s->pool, uuid);
	r = sm_pool_open(s->sm, uuid, false, &pool, s->err);
	if (r == 0)
		r = scat_operation_by_uuid(pool.cat, &s->op.uuid, &s->op, s->err);
	return r == -ENOENT && pool.cat ? 0 : r < 0 ? r : 1;
}

static int slow(struct seek *s, struct snapmgr_err *err)
{
	char uuid[SNAPMGR_UUID_TEXT];

	sm_uuid_text(&s->op.uuid, uuid);
	return sm_fail(err, SNAPMGR_LOCKED, EAGAIN,
		       "operation %s (%s of '%s/%s') was asked to stop, but process %d has not "
		       "answered yet; it stops when it goes on, and is undone when it dies",
		       uuid, s->op.verb, s->pool_name, s->object, s->op.pid);
}

static int ask_and_wait(struct seek *s)
{
	const uint64_t until_ns = sm_monotonic_ns() + s->sm->opts.wait_ms * UINT64_C(1000000);
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
	struct sprogress_seen seen;
	int r = 1;

	if (sprogress_stop(s->dir, &s->op.uuid) < 0 && sm_lasting_owner_alive(&s->op) &&
	    look_again(s) > 0)
		return slow(s, s->err);
	while (r > 0 && sm_lasting_owner_alive(&s->op)) {
		/* The file goes last, so the catalogue need not be asked before. */
		r = sprogress_look(s->dir, &s->op.uuid, &seen) == 0 ? 1 : look_again(s);
		if (r > 0 && sm_monotonic_ns() > until_ns)
			return slow(s, s->err);
		if (r > 0)
			(void)nanosleep(&pause, NULL);
	}
	return r;
}

/* A dead owner's: opening the pool for a change settles it, but for one that waits to be resumed. */
static int settle(struct seek *s)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	char uuid[SNAPMGR_UUID_TEXT], said[SM_SAID] = "";
	int r;

	sm_uuid_text(&s->pool, uuid);
	s->sm->leave_dead = true;
	r = sm_pool_open(s->sm, uuid, true, &pool, s->err);
	s->sm->leave_dead = false;
	if (r < 0)
		return r;
	r = scat_operation_by_uuid(pool.cat, &s->op.uuid, &s->op, s->err);
	if (r == -ENOENT)
		return 0;
	if (r == 0 && sm_lasting_owner_alive(&s->op)) /* somebody resumed it meanwhile */
		return slow(s, s->err);
	return r == 0 ? sm_lasting_settle(&pool, &s->op, said, s->err) : r;
}

int snapmgr_cancel(struct snapmgr *sm, const char *what, struct snapmgr_err *err)
{
	struct seek s = { .sm = sm, .err = err };
	int r = find(&s, what);

	if (r == 0 && sm_lasting_owner_alive(&s.op))
		r = ask_and_wait(&s);
	else if (r == 0)
		r = 1;
	return r > 0 ? settle(&s) : r;
}
