/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One pool looked after: what the dead left, its mode, its space, its garbage. */
#include <errno.h>

#include "snapmgr/core/monitor.h"
#include "snapmgr/core/store.h"

#define BUDGET_MS 50 /* of work under the lock, before others may have it */
#define PAUSE_MS  20 /* then */
#define PATIENCE  3  /* times that a busy pool is left alone, before we queue for it */
#define QUEUE_MS  2000
#define SLACK	  2 /* percent below a mark that count as still past it, so that nothing flaps */

static int open_pool(struct sm_monitor *m, struct sm_pool *ret)
{
	struct sm_watched *w = m->current;
	char uuid[SNAPMGR_UUID_TEXT];
	struct snapmgr_err why = { 0 };
	int r;

	sm_uuid_text(&w->uuid, uuid);
	m->sm->opts.wait_ms = w->busy < PATIENCE ? 0 : QUEUE_MS;
	r = sm_pool_open(m->sm, uuid, true, ret, &why);
	w->busy = r == -EAGAIN ? w->busy + 1 : 0;
	if (r < 0 && r != -EAGAIN && why.code != SNAPMGR_NOT_FOUND && r != -ENODEV)
		sm_monitor_trouble(m, "error", why.message);
	return r;
}

/* Told by us, and to whoever asks later. What cannot be written down is told all the same. */
static void announce(struct sm_monitor *m, struct sm_pool *pool, const char *level,
		     const char *what, const char *code, const char *text)
{
	const struct sm_message row = { .level = level,
					.verb = "monitor",
					.code = code,
					.kind = "pool",
					.object = &pool->b.uuid,
					.text = text };

	sm_monitor_tell(m, level, what, "%s", text);
	if (scat_begin(pool->cat, NULL) == 0 && sm_message(pool, &row, NULL) == 0)
		(void)scat_commit(pool->cat, false, NULL);
	scat_rollback(pool->cat);
}

/* ---- its mode ---- */

static const char *mode_of(const struct sm_space *s)
{
	if (s->fail)
		return "fail";
	if (s->needs_check)
		return "needs_check";
	if (s->read_only)
		return "ro";
	return s->out_of_data ? "out_of_data_space" : "rw";
}

static void look_at_mode(struct sm_monitor *m, struct sm_pool *pool, const struct sm_space *s)
{
	struct sm_watched *w = m->current;
	const char *mode = mode_of(s), *name = pool->row.name;
	char text[SNAPMGR_MESSAGE_MAX];
	bool well = strcmp(mode, "rw") == 0;

	if (strcmp(mode, w->mode) == 0)
		return;
	w->mode = mode;
	if (well)
		(void)snprintf(text, sizeof(text), "pool '%s' takes writes again", name);
	else if (s->out_of_data && !s->fail && !s->needs_check && !s->read_only)
		(void)snprintf(
			text, sizeof(text),
			"pool '%s' is out of data space: writes to new places wait, and fail after a minute; "
			"'snapmgr pool extend %s DEVICE' adds some",
			name, name);
	else
		(void)snprintf(
			text, sizeof(text),
			"the metadata of pool '%s' takes no changes (%s): 'snapmgr pool deactivate "
			"%s', then 'snapmgr pool check %s --repair'",
			name, mode, name, name);
	announce(m, pool, well ? "info" : "error", "mode",
		 well ? NULL :
			snapmgr_code_name(s->out_of_data ? SNAPMGR_NO_SPACE : SNAPMGR_BAD_STATE),
		 text);
}

/* ---- its space ---- */

struct level {
	const char *name;
	uint64_t used, size;
};

static uint32_t percent(const struct level *l)
{
	return l->size < 100 ? 0 : (uint32_t)(l->used / (l->size / 100));
}

static enum sm_mark mark_of(uint32_t full, enum sm_mark before, const struct sm_limits *limits)
{
	if (full >= limits->high_water ||
	    (before == SM_MARK_HIGH && full + SLACK >= limits->high_water))
		return SM_MARK_HIGH;
	if (full >= limits->low_water ||
	    (before != SM_MARK_NONE && full + SLACK >= limits->low_water))
		return SM_MARK_LOW;
	return SM_MARK_NONE;
}

static void tell_mark(struct sm_monitor *m, struct sm_pool *pool, const struct level *l,
		      enum sm_mark mark, enum sm_mark before, const struct sm_limits *limits)
{
	const char *name = pool->row.name;
	char text[SNAPMGR_MESSAGE_MAX];
	bool high = mark == SM_MARK_HIGH;

	if (mark < before) {
		sm_monitor_tell(m, "info", "space",
				"%s of pool '%s' is %u%% full, below its %s-water mark again",
				l->name, name, percent(l), before == SM_MARK_HIGH ? "high" : "low");
		return;
	}
	(void)snprintf(
		text, sizeof(text),
		"%s of pool '%s' is %u%% full, past its %s-water mark of %u%%: 'snapmgr pool "
		"extend %s DEVICE' adds some",
		l->name, name, percent(l), high ? "high" : "low",
		high ? limits->high_water : limits->low_water, name);
	announce(m, pool, high ? "error" : "warning", "space",
		 high ? snapmgr_code_name(SNAPMGR_NO_SPACE) : NULL, text);
}

/* Return: whether data or metadata are past their high-water mark. */
static bool look_at_space(struct sm_monitor *m, struct sm_pool *pool, const struct sm_space *s)
{
	const struct level levels[SM_RESOURCES] = {
		[SM_RES_DATA] = { "data", s->data_used_bytes, s->data_bytes },
		[SM_RES_META] = { "metadata", s->meta_used_bytes, s->meta_bytes },
		[SM_RES_CATALOGUE] = { "catalogue", scat_used_bytes(pool->cat),
				       scat_size_bytes(pool->cat) },
	};
	struct sm_watched *w = m->current;
	struct sm_limits limits;
	struct snapmgr_err why;

	if (sm_limits_get(pool, &limits, &why) < 0) {
		sm_monitor_trouble(m, "error", why.message);
		return false;
	}
	for (size_t i = 0; i < SM_RESOURCES; i++) {
		enum sm_mark before = w->marks[i];

		if (levels[i].used == UINT64_MAX)
			continue;
		w->marks[i] = mark_of(percent(&levels[i]), before, &limits);
		if (w->marks[i] != before)
			tell_mark(m, pool, &levels[i], w->marks[i], before, &limits);
	}
	return w->marks[SM_RES_DATA] == SM_MARK_HIGH || w->marks[SM_RES_META] == SM_MARK_HIGH;
}

/* ---- its garbage ---- */

/* Some of it, and then let go of the lock. Return: how many, or a negative errno. */
static int drop_some(struct sm_monitor *m, uint32_t *after, bool *ret_more)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct snapmgr_err why = { 0 };
	int r = open_pool(m, &pool);

	*ret_more = false;
	if (r < 0)
		return r;
	r = sm_garbage_drop_some(&pool, BUDGET_MS, after, ret_more, &why);
	if (r < 0)
		sm_monitor_trouble(m, "error", why.message);
	return r;
}

static void drop_garbage(struct sm_monitor *m)
{
	bool more = true;
	uint32_t after = 0;
	int total = 0;

	while (more && !sm_monitor_stopped(m, PAUSE_MS)) {
		int n = drop_some(m, &after, &more);

		total += n > 0 ? n : 0;
	}
	if (total)
		sm_monitor_tell(m, "info", "garbage",
				"%d displaced head%s or deleted snapshot%s dropped", total,
				total == 1 ? "" : "s", total == 1 ? " was" : "s were");
}

/* ---- its stores, where it has some ---- */

struct telling {
	struct sm_monitor *m;
	struct sm_pool *pool;
};

static void tell_store(const char *level, const char *text, void *data)
{
	struct telling *t = data;
	bool lost = strcmp(level, "error") == 0;

	announce(t->m, t->pool, level, "space", lost ? snapmgr_code_name(SNAPMGR_NO_SPACE) : NULL,
		 text);
}

static void look_at_stores(struct sm_monitor *m, struct sm_pool *pool)
{
	struct telling t = { m, pool };
	struct snapmgr_err why = { 0 };

	if (pool->b.driver->stores && sm_store_watch(pool, tell_store, &t, &why) < 0)
		sm_monitor_trouble(m, "warning", why.message);
}

/* ---- all of it ---- */

/* What takes moments. Return: whether there is garbage, or room has to be made, and it can be. */
static bool look_at_pool(struct sm_monitor *m, bool *ret_high)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct snapmgr_err why = { 0 };
	struct scat_counts counts;
	struct sm_space s;
	int r = open_pool(m, &pool); /* which finishes what the dead began */

	if (r < 0)
		return false;
	r = sm_pool_space(&pool, false, &s, &why);
	if (r == 0) {
		look_at_mode(m, &pool, &s);
		*ret_high = look_at_space(m, &pool, &s);
		look_at_stores(m, &pool);
		r = scat_counts(pool.cat, &counts, &why);
	}
	if (r < 0) {
		sm_monitor_trouble(m, "error", why.message);
		return false;
	}
	return !s.fail && !s.read_only && !s.needs_check && (counts.garbage || *ret_high);
}

/* Undo points go, the oldest first; the space's own doing, which also tells of each. */
static void make_room(struct sm_monitor *m)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct snapmgr_err why = { 0 };

	if (open_pool(m, &pool) < 0)
		return;
	m->topic = "space";
	if (sm_space_relieve(&pool, &why) < 0)
		sm_monitor_trouble(m, "error", why.message);
	m->topic = "trouble";
}

void sm_monitor_pool(struct sm_monitor *m)
{
	bool high = false;

	if (!look_at_pool(m, &high) || sm_monitor_stopped(m, 0))
		return;
	drop_garbage(m);
	if (high && !sm_monitor_stopped(m, 0))
		make_room(m);
}
