/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_monitor(): the loop, and which pools there are. */
#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "snapmgr/core/monitor.h"

#define INTERVAL_MS   5000
#define CALM_MS	      100 /* events come in crowds */
#define FORGET_ROUNDS 5

void sm_monitor_tell(struct sm_monitor *m, const char *level, const char *what, const char *fmt,
		     ...)
{
	char text[SNAPMGR_MESSAGE_MAX];
	const struct snapmgr_event event = {
		.pool = m->current ? m->current->name : m->only,
		.level = level,
		.what = what,
		.text = text,
		.at_us = sm_now_us(),
	};
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!m->answer)
		m->answer = m->visit(&event, m->data);
}

/* What was not so for some rounds, and is again, is news. A busy pool has rounds without a look. */
void sm_monitor_trouble(struct sm_monitor *m, const char *level, const char *text)
{
	const uint32_t hash = sm_crc32c(0, text, strlen(text));
	struct sm_watched *w = m->current;
	size_t i = 0;

	while (i < SM_ARRAY(w->troubles) && (w->troubles[i].hash != hash || !w->troubles[i].seen))
		i++;
	if (i < SM_ARRAY(w->troubles) && w->troubles[i].seen + FORGET_ROUNDS >= m->round) {
		w->troubles[i].seen = m->round;
		return;
	}
	if (i == SM_ARRAY(w->troubles))
		i = w->next_trouble++ % SM_ARRAY(w->troubles);
	w->troubles[i].hash = hash;
	w->troubles[i].seen = m->round;
	sm_monitor_tell(m, level, m->topic, "%s", text);
}

bool sm_monitor_stopped(struct sm_monitor *m, int wait_ms)
{
	struct pollfd p = { .fd = m->opts.stop_fd > 0 ? m->opts.stop_fd : -1, .events = POLLIN };

	if (m->answer)
		return true;
	return poll(&p, 1, wait_ms) > 0;
}

/* ---- which pools there are ---- */

static struct sm_watched *watched(struct sm_monitor *m, const struct sm_uuid *uuid)
{
	struct sm_watched *more;

	for (size_t i = 0; i < m->n; i++)
		if (sm_uuid_equal(&m->pools[i].uuid, uuid))
			return &m->pools[i];
	more = reallocarray(m->pools, m->n + 1, sizeof(*more));
	if (!more)
		return NULL;
	m->pools = more;
	more[m->n] = (struct sm_watched){ .uuid = *uuid, .mode = "rw" };
	return &more[m->n++];
}

static int see_pool(const char *text, void *data)
{
	struct sm_monitor *m = data;
	struct sm_watched *w;
	struct sm_uuid uuid;

	if (!sm_uuid_parse(text, &uuid))
		return 0;
	w = watched(m, &uuid);
	if (!w)
		return sm_nomem(m->err);
	w->there = true;
	return 0;
}

/* Its name is asked for once: no pool is renamed while it is active. */
static bool learn_name(struct sm_monitor *m, struct sm_watched *w)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	char uuid[SNAPMGR_UUID_TEXT];
	struct snapmgr_err why;

	if (w->name[0])
		return true;
	sm_uuid_text(&w->uuid, uuid);
	if (sm_pool_open(m->sm, uuid, false, &pool, &why) < 0)
		return false; /* it may have gone by now, or not be whole yet */
	(void)sm_copy_text(w->name, sizeof(w->name), pool.row.name);
	return true;
}

static bool is_wanted(const struct sm_monitor *m, const struct sm_watched *w)
{
	struct sm_uuid uuid;

	if (!m->only)
		return true;
	return sm_uuid_parse(m->only, &uuid) ? sm_uuid_equal(&uuid, &w->uuid) :
					       strcmp(m->only, w->name) == 0;
}

static void drop_gone(struct sm_monitor *m)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->n; i++) {
		m->current = &m->pools[i];
		if (!m->pools[i].there && m->pools[i].greeted)
			sm_monitor_tell(m, "info", "pool", "pool '%s' is not active any more",
					m->pools[i].name);
		if (m->pools[i].there)
			m->pools[kept++] = m->pools[i];
	}
	m->n = kept;
	m->current = NULL;
}

static int look_for_pools(struct sm_monitor *m)
{
	int r;

	for (size_t i = 0; i < m->n; i++)
		m->pools[i].there = false;
	r = sm_pool_each(m->sm, see_pool, m, m->err);
	if (r == 0)
		drop_gone(m);
	return r;
}

/* ---- the loop ---- */

static void look_after(struct sm_monitor *m, struct sm_watched *w)
{
	if (!learn_name(m, w) || !is_wanted(m, w))
		return;
	m->current = w;
	m->missed = false;
	if (!w->greeted)
		sm_monitor_tell(m, "info", "pool", "pool '%s' is active", w->name);
	w->greeted = true;
	sm_monitor_pool(m);
	m->current = NULL;
}

static bool any_wanted(const struct sm_monitor *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->pools[i].greeted)
			return true;
	return !m->only;
}

static int look(struct sm_monitor *m)
{
	int r;

	m->round++;
	r = look_for_pools(m);
	for (size_t i = 0; i < m->n && r == 0 && !sm_monitor_stopped(m, 0); i++)
		look_after(m, &m->pools[i]);
	if (r == 0 && !any_wanted(m) && !m->missed) {
		m->missed = true;
		sm_monitor_tell(m, "warning", "pool", "pool '%s' is not active: waiting for it",
				m->only);
	}
	return r;
}

/* Until something happened, the time is up, or it is to end. */
static bool wait_for_news(struct sm_monitor *m)
{
	struct pollfd p[] = {
		{ .fd = m->opts.stop_fd > 0 ? m->opts.stop_fd : -1, .events = POLLIN },
		{ .fd = m->events_fd, .events = POLLIN },
	};
	int n, timeout_ms = m->opts.interval_ms > INT_MAX ? INT_MAX : (int)m->opts.interval_ms;

	do
		n = poll(p, SM_ARRAY(p), timeout_ms);
	while (n < 0 && errno == EINTR && !sm_monitor_stopped(m, 0));
	if (n > 0 && p[1].revents)
		return !sm_monitor_stopped(m, CALM_MS);
	return !sm_monitor_stopped(m, 0);
}

static void on_report_warn(const char *text, void *data)
{
	struct sm_monitor *m = data;

	if (m->current)
		sm_monitor_trouble(m, "warning", text);
	else
		sm_monitor_tell(m, "warning", "trouble", "%s", text);
}

static int on_report(const char *finding, bool repaired, void *data)
{
	sm_monitor_tell(data, repaired ? "warning" : "error", "recover", "%s", finding);
	return 0;
}

static int watch(struct sm_monitor *m)
{
	struct snapmgr_err why;
	int r;

	m->events_fd = sdm_events_open(&why);
	if (m->events_fd < 0)
		sm_monitor_tell(m, "warning", "trouble", "%s: looking every %u ms", why.message,
				m->opts.interval_ms);
	do {
		r = m->events_fd < 0 ? 0 : sdm_events_arm(m->events_fd, m->err);
		if (r == 0)
			r = look(m);
	} while (r == 0 && wait_for_news(m));
	sm_close_fd(m->events_fd);
	return r ? r : m->answer;
}

static int begin(struct sm_monitor *m, struct snapmgr_err *err)
{
	struct sm_spec spec;
	int r = m->only ? sm_spec_parse(m->only, &spec, err) : 0;

	if (r == 0 && m->only && spec.volume[0])
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "'%.80s' does not name a pool", m->only);
	if (!m->opts.interval_ms)
		m->opts.interval_ms = INTERVAL_MS;
	return r == 0 ? sdm_init(err) : r;
}

int snapmgr_monitor(struct snapmgr *sm, const char *pool, const struct snapmgr_monitor_opts *opts,
		    snapmgr_event_fn *visit, void *data, struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_monitor_opts, o, opts);
	AUTO(free) struct sm_monitor *m = calloc(1, sizeof(*m));
	const struct snapmgr_open_opts before = sm->opts;
	int r;

	if (!m)
		return sm_nomem(err);
	*m = (struct sm_monitor){ .sm = sm,
				  .only = pool,
				  .opts = o,
				  .visit = visit,
				  .data = data,
				  .topic = "trouble",
				  .events_fd = -1,
				  .err = err };
	r = begin(m, err);
	if (r < 0)
		return r;
	sm->opts.warn = on_report_warn;
	sm->opts.data = m;
	sm->opts.progress = NULL;
	sm->report = on_report;
	sm->report_data = m;
	r = watch(m);
	sm->report = NULL;
	sm->opts = before;
	free(m->pools);
	return r;
}
