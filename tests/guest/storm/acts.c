/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One of the processes. The linker hands us two calls of the library (--wrap, see the Makefile). */
#include "storm.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>

#include "dm/sdm.h"
#include "snapmgr/catalogue/catalogue.h"

#define MANY	 12 /* snapshots of a volume: from here on they are deleted more often */
#define MAX_SPEC 64

int __real_scat_commit(struct scat *cat, bool durable, struct snapmgr_err *err);
int __wrap_scat_commit(struct scat *cat, bool durable, struct snapmgr_err *err);
int __real_sdm_switch_suspend(struct sdm_switch *sw, struct snapmgr_err *err);
int __wrap_sdm_switch_suspend(struct sdm_switch *sw, struct snapmgr_err *err);

static struct storm *storm;
static uint64_t last_ticket, last_suspend_ns;

/* Under the pool's lock: so tickets are in the order of what was done. */
int __wrap_scat_commit(struct scat *cat, bool durable, struct snapmgr_err *err)
{
	if (storm)
		last_ticket = __atomic_add_fetch(&storm->tickets, 1, __ATOMIC_SEQ_CST);
	return __real_scat_commit(cat, durable, err);
}

/* From here to the resume no write gets anywhere: what had ended is in it, what begins now is not. */
int __wrap_sdm_switch_suspend(struct sdm_switch *sw, struct snapmgr_err *err)
{
	int r = __real_sdm_switch_suspend(sw, err);

	if (r == 0)
		last_suspend_ns = sm_monotonic_ns();
	return r;
}

void storm_page(uint64_t *page, unsigned int process, unsigned int volume, uint32_t stamp)
{
	page[0] = (uint64_t)process << 40 | (uint64_t)volume << 32 | stamp;
	for (size_t i = 1; i < STORM_PAGE / 8; i++)
		page[i] = page[i - 1] * 31 + i;
}

uint32_t storm_number(const char *name)
{
	return name[0] == 's' ? (uint32_t)strtoul(name + 1, NULL, 10) : 0;
}

/* ---- one process ---- */

struct worker {
	struct snapmgr *sm;
	struct storm_process *log;
	unsigned int self;
	uint64_t random;
	bool keeps_open;
	int fds[STORM_VOLUMES]; /* -1: not open */
	uint64_t *page;
	struct snapmgr_err err;
};
struct seen { /* in a list of the pool */
	uint32_t numbers[STORM_LIVE_MAX];
	size_t n;
	unsigned int volume;
};

static uint64_t dice(struct worker *w, uint64_t sides)
{
	uint64_t z = w->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % sides;
}

static int open_volume(unsigned int v)
{
	char node[64];

	(void)snprintf(node, sizeof(node), "/dev/mapper/snapmgr-p-v%u", v);
	return open(node, O_RDWR | O_DIRECT | O_CLOEXEC);
}

static int write_stamp(struct worker *w)
{
	unsigned int v = (unsigned int)dice(w, STORM_VOLUMES);
	struct storm_write *record = &w->log->writes[w->log->n_writes];
	int fd = w->fds[v] >= 0 ? w->fds[v] : open_volume(v);
	ssize_t n;

	if (w->log->n_writes == STORM_WRITES_MAX || fd < 0)
		return storm_failed(storm, "cannot open v%u: %s", v, strerror(errno));
	record->volume = v;
	record->stamp = ++w->log->stamps;
	storm_page(w->page, w->self, v, record->stamp);
	record->begin_ns = sm_monotonic_ns();
	n = pwrite(fd, w->page, STORM_PAGE, STORM_SLOT(w->self));
	record->end_ns = sm_monotonic_ns();
	w->log->n_writes++;
	if (w->keeps_open)
		w->fds[v] = fd;
	else
		(void)close(fd);
	return n == STORM_PAGE ? 0 : storm_failed(storm, "write to v%u: %s", v, strerror(errno));
}

static int see(const struct snapmgr_object *o, void *data)
{
	struct seen *seen = data;

	if (o->kind == SNAPMGR_SNAPSHOT && seen->n < STORM_LIVE_MAX)
		seen->numbers[seen->n++] = storm_number(o->name);
	return 0;
}

static int any_snapshot(struct worker *w, unsigned int v, struct seen *ret, uint32_t *ret_number)
{
	char spec[MAX_SPEC];

	*ret = (struct seen){ .volume = v };
	(void)snprintf(spec, sizeof(spec), "p/v%u", v);
	if (snapmgr_list(w->sm, spec, NULL, see, ret, &w->err) < 0)
		return storm_failed(storm, "list: %s", w->err.message);
	*ret_number = ret->n ? ret->numbers[dice(w, ret->n)] : 0;
	return 0;
}

static bool stands_still(enum storm_verb verb)
{
	return verb == STORM_SNAPSHOT || verb == STORM_UNDO || verb == STORM_REVERT ||
	       verb == STORM_REVERT_NO_UNDO || verb == STORM_GROUP_UNDO;
}

static void acknowledge(struct worker *w, const struct storm_event *what)
{
	struct storm_event *e = &w->log->events[w->log->n_events++];

	*e = *what;
	e->ticket = last_ticket;
	e->at_ns = stands_still(e->verb) ? last_suspend_ns : 0;
	w->log->acknowledged[e->verb]++;
	w->log->of_group += e->group;
	if (!last_ticket)
		(void)storm_failed(storm, "verb %d was acknowledged without a commit", e->verb);
}

/* Others were faster, and that is what it says; anything else is a failure. */
static int refused(struct worker *w, const char *verb, unsigned int codes)
{
	w->log->refused++;
	w->log->over_quota += w->err.code == SNAPMGR_OVER_QUOTA;
	if (codes & 1u << w->err.code)
		return 0;
	return storm_failed(storm, "%s: %s: %s", verb, snapmgr_code_name(w->err.code),
			    w->err.message);
}
#define NOT_FOUND  (1u << SNAPMGR_NOT_FOUND)
#define NOT_LATEST (1u << SNAPMGR_NOT_LATEST)
#define IN_USE	   (1u << SNAPMGR_IN_USE)
#define BAD_STATE  (1u << SNAPMGR_BAD_STATE)
#define OVER_QUOTA (1u << SNAPMGR_OVER_QUOTA)

static int take_snapshot(struct worker *w, unsigned int volumes)
{
	uint32_t number = __atomic_add_fetch(&storm->snapshots, 1, __ATOMIC_SEQ_CST);
	char specs[STORM_VOLUMES][MAX_SPEC];
	const char *list[STORM_VOLUMES];
	size_t n = 0;

	for (unsigned int v = 0; v < STORM_VOLUMES; v++) {
		if (!(volumes & 1u << v))
			continue;
		(void)snprintf(specs[n], MAX_SPEC, "p/v%u@s%u", v, number);
		list[n] = specs[n];
		n++;
	}
	if (snapmgr_snapshot(w->sm, list, n, NULL, NULL, NULL, &w->err) < 0)
		return refused(w, "snapshot", OVER_QUOTA);
	acknowledge(w, &(struct storm_event){
			       .verb = STORM_SNAPSHOT, .volumes = volumes, .snapshot = number });
	return 0;
}

static int revert(struct worker *w, unsigned int v, uint32_t number)
{
	struct snapmgr_revert_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	struct snapmgr_revert_result result;
	unsigned int codes = NOT_FOUND | OVER_QUOTA;
	char spec[MAX_SPEC];

	(void)snprintf(spec, sizeof(spec), "p/v%u@s%u", v, number);
	opts.online = opts.force = dice(w, 8) > 0;
	opts.no_undo = dice(w, 5) == 0;
	opts.latest_only = dice(w, 4) == 0;
	codes |= opts.online ? 0 : IN_USE;
	codes |= opts.latest_only ? NOT_LATEST : 0;
	if (dice(w, 4) == 0)
		(void)snprintf(spec, sizeof(spec), "p/v%u@latest", v);
	if (snapmgr_revert(w->sm, spec, &opts, &result, &w->err) < 0)
		return refused(w, "revert", codes);
	acknowledge(w, &(struct storm_event){ .verb = opts.no_undo ? STORM_REVERT_NO_UNDO :
								     STORM_REVERT,
					      .volumes = 1u << v,
					      .snapshot = storm_number(result.snapshot.name) });
	return 0;
}

static int undo(struct worker *w, unsigned int v, bool drop)
{
	struct snapmgr_undo_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_undo_opts);
	char spec[MAX_SPEC];

	(void)snprintf(spec, sizeof(spec), "p/v%u", v);
	opts.online = opts.force = !drop;
	opts.drop = drop;
	if (snapmgr_undo(w->sm, spec, &opts, NULL, &w->err) < 0)
		return refused(w, "undo", NOT_FOUND | OVER_QUOTA);
	acknowledge(w, &(struct storm_event){ .verb = drop ? STORM_DROP_UNDO : STORM_UNDO,
					      .volumes = 1u << v });
	return 0;
}

static int delete_one(struct worker *w, unsigned int v, uint32_t number)
{
	char spec[MAX_SPEC];

	(void)snprintf(spec, sizeof(spec), "p/v%u@s%u", v, number);
	if (snapmgr_delete(w->sm, spec, NULL, NULL, NULL, &w->err) < 0)
		return refused(w, "delete", NOT_FOUND);
	acknowledge(w, &(struct storm_event){
			       .verb = STORM_DELETE, .volumes = 1u << v, .snapshot = number });
	return 0;
}

static int keep_size(const struct snapmgr_object *o, void *data)
{
	*(uint64_t *)data = o->size_bytes;
	return 0;
}

static int resize(struct worker *w, unsigned int v)
{
	struct snapmgr_resize_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_resize_opts);
	uint64_t bytes = STORM_SIZE + dice(w, 5) * 256 * SM_KIB, now = 0;
	char spec[MAX_SPEC];

	(void)snprintf(spec, sizeof(spec), "p/v%u", v);
	opts.shrink = opts.online = true;
	if (snapmgr_resize(w->sm, spec, bytes, &opts, keep_size, &now, &w->err) < 0)
		return refused(w, "resize", OVER_QUOTA);
	if (now != bytes)
		return storm_failed(storm, "a resize to %ju bytes answered %ju", (uintmax_t)bytes,
				    (uintmax_t)now);
	if (last_ticket) /* else it had that size */
		acknowledge(w, &(struct storm_event){ .verb = STORM_RESIZE,
						      .volumes = 1u << v,
						      .size_bytes = bytes });
	return 0;
}

/* A clone that comes and goes, so that ids are made and become garbage. */
static int clone_and_delete(struct worker *w, unsigned int v, uint32_t number)
{
	struct storm_event e = { .verb = STORM_CLONE, .snapshot = number };
	char from[MAX_SPEC], to[MAX_SPEC];

	(void)snprintf(from, sizeof(from), "p/v%u@s%u", v, number);
	(void)snprintf(to, sizeof(to), "p/c%u", w->self);
	if (snapmgr_clone(w->sm, from, to, NULL, keep_size, &e.size_bytes, &w->err) < 0)
		return refused(w, "clone", NOT_FOUND | OVER_QUOTA);
	acknowledge(w, &e);
	last_ticket = 0;
	if (snapmgr_delete(w->sm, to, NULL, NULL, NULL, &w->err) < 0)
		return refused(w, "delete of a clone", 0);
	e.verb = STORM_UNCLONE;
	acknowledge(w, &e);
	return 0;
}

/* ---- the group ---- */

static uint32_t *recent(struct worker *w)
{
	return &storm->recent[dice(w, STORM_RECENT)];
}

static int group_snapshot(struct worker *w)
{
	uint32_t number = __atomic_add_fetch(&storm->snapshots, 1, __ATOMIC_SEQ_CST);
	char spec[MAX_SPEC];
	const char *const list[] = { spec };

	(void)snprintf(spec, sizeof(spec), "p/g@s%u", number);
	if (snapmgr_snapshot(w->sm, list, 1, NULL, NULL, NULL, &w->err) < 0)
		return refused(w, "snapshot of the group", OVER_QUOTA);
	acknowledge(w, &(struct storm_event){ .verb = STORM_SNAPSHOT,
					      .volumes = STORM_GROUP,
					      .snapshot = number,
					      .group = true });
	__atomic_store_n(recent(w), number, __ATOMIC_SEQ_CST);
	return 0;
}

/* Of the volumes that changed, a bit each. */
static int note_member(const struct snapmgr_object *o, const char *left_alone, void *data)
{
	unsigned int v;

	if (o->kind == SNAPMGR_VOLUME && !left_alone && sscanf(o->name, "v%u", &v) == 1)
		*(unsigned int *)data |= 1u << v;
	return 0;
}

static int group_revert(struct worker *w, uint32_t number)
{
	struct snapmgr_revert_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	unsigned int changed = 0;
	char spec[MAX_SPEC];

	(void)snprintf(spec, sizeof(spec), "p/g@s%u", number);
	opts.online = opts.force = true;
	opts.no_undo = dice(w, 5) == 0;
	opts.latest_only = dice(w, 4) == 0;
	opts.member = note_member;
	opts.member_data = &changed;
	if (snapmgr_revert(w->sm, spec, &opts, NULL, &w->err) < 0)
		return refused(w, "revert of the group",
			       NOT_FOUND | BAD_STATE | OVER_QUOTA |
				       (opts.latest_only ? NOT_LATEST : 0));
	if (changed != STORM_GROUP)
		return storm_failed(storm, "a revert of the group changed volumes %x", changed);
	acknowledge(w, &(struct storm_event){ .verb = opts.no_undo ? STORM_REVERT_NO_UNDO :
								     STORM_REVERT,
					      .volumes = changed,
					      .snapshot = number,
					      .group = true });
	return 0;
}

static int group_undo(struct worker *w)
{
	struct snapmgr_undo_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_undo_opts);
	unsigned int changed = 0;

	opts.online = opts.force = true;
	opts.member = note_member;
	opts.member_data = &changed;
	if (snapmgr_undo(w->sm, "p/g", &opts, NULL, &w->err) < 0)
		return refused(w, "undo of the group", NOT_FOUND | OVER_QUOTA);
	if (changed != STORM_GROUP)
		return storm_failed(storm, "an undo of the group changed volumes %x", changed);
	acknowledge(w, &(struct storm_event){
			       .verb = STORM_GROUP_UNDO, .volumes = changed, .group = true });
	return 0;
}

static int note_snapshot(const struct snapmgr_object *o, void *data)
{
	unsigned int v;

	if (o->kind == SNAPMGR_SNAPSHOT && sscanf(o->volume, "v%u", &v) == 1)
		*(unsigned int *)data |= 1u << v;
	return 0;
}

/* Those of its snapshots that are left. */
static int group_delete(struct worker *w, uint32_t number)
{
	unsigned int gone = 0;
	char spec[MAX_SPEC];

	(void)snprintf(spec, sizeof(spec), "p/g@s%u", number);
	if (snapmgr_delete(w->sm, spec, NULL, note_snapshot, &gone, &w->err) < 0)
		return refused(w, "delete of a snapshot of the group", NOT_FOUND);
	acknowledge(w, &(struct storm_event){ .verb = STORM_DELETE,
					      .volumes = gone,
					      .snapshot = number,
					      .group = true });
	return 0;
}

static int with_group(struct worker *w, unsigned int what)
{
	uint32_t number = __atomic_load_n(recent(w), __ATOMIC_SEQ_CST);

	if (!number || what < 30)
		return group_snapshot(w);
	if (what < 65)
		return group_revert(w, number);
	return what < 88 ? group_undo(w) : group_delete(w, number);
}

/* ---- what a reader sees at any moment ---- */

struct look {
	char uuids[STORM_VOLUMES * STORM_LIVE_MAX][SNAPMGR_UUID_TEXT];
	char parents[STORM_VOLUMES * STORM_LIVE_MAX][SNAPMGR_UUID_TEXT];
	size_t n;
	uint64_t sequence;
	int64_t created_at_us;
	bool latest;
};

static int look_at(const struct snapmgr_object *o, void *data)
{
	struct look *l = data;

	if (o->kind != SNAPMGR_VOLUME && o->kind != SNAPMGR_SNAPSHOT)
		return 0; /* the group */
	if (strcmp(o->state, "available") != 0 && strcmp(o->state, "reverting") != 0 &&
	    strcmp(o->state, "restoring") != 0 && strcmp(o->state, "snapshotting") != 0 &&
	    strcmp(o->state, "extending") != 0 && strcmp(o->state, "shrinking") != 0 &&
	    strcmp(o->state, "deleting") != 0 && strcmp(o->state, "creating") != 0)
		return storm_failed(storm, "'%s@%s' is in state '%s'", o->volume, o->name,
				    o->state);
	if (o->kind == SNAPMGR_VOLUME) {
		l->sequence = 0;
		l->created_at_us = 0;
		l->latest = false;
		return 0;
	}
	if (o->sequence <= l->sequence || o->created_at_us <= l->created_at_us || l->latest)
		return storm_failed(storm, "'%s@%s' is listed after a newer one", o->volume,
				    o->name);
	l->sequence = o->sequence;
	l->created_at_us = o->created_at_us;
	l->latest = o->latest;
	(void)sm_copy_text(l->uuids[l->n], SNAPMGR_UUID_TEXT, o->uuid);
	(void)sm_copy_text(l->parents[l->n++], SNAPMGR_UUID_TEXT, o->parent);
	return l->n == SM_ARRAY(l->uuids);
}

static int look_at_quota(const struct snapmgr_quota *q, void *data)
{
	(void)data;
	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++)
		if (q->resources[i].limit != storm_limits.n[i] ||
		    q->resources[i].in_use + q->resources[i].reserved > storm_limits.n[i])
			return storm_failed(
				storm, "of resource %zu %ju are in use and %ju reserved, of %ju", i,
				(uintmax_t)q->resources[i].in_use,
				(uintmax_t)q->resources[i].reserved,
				(uintmax_t)q->resources[i].limit);
	return 0;
}

/* One view: no snapshot without its parent; and no figure beyond its limit. */
static int look_around(struct worker *w)
{
	static struct look l;

	l.n = 0;
	if (snapmgr_list(w->sm, "p", NULL, look_at, &l, &w->err) != 0)
		return storm_failed(storm, "list: %s", w->err.message);
	for (size_t i = 0; i < l.n; i++) {
		size_t k = 0;

		while (k < l.n && l.parents[i][0] && strcmp(l.parents[i], l.uuids[k]) != 0)
			k++;
		if (k == l.n)
			return storm_failed(storm, "a list has a snapshot without its parent");
	}
	if (snapmgr_quota_list(w->sm, "p", "web", look_at_quota, NULL, &w->err) != 0)
		return storm_failed(storm, "quota: %s", w->err.message);
	w->log->looks++;
	return 0;
}

/* ---- what comes to mind ---- */

static int one_operation(struct worker *w)
{
	unsigned int v = (unsigned int)dice(w, STORM_VOLUMES), what = (unsigned int)dice(w, 100);
	struct seen seen;
	uint32_t number = 0;

	last_ticket = last_suspend_ns = 0;
	if (dice(w, 5) == 0)
		return with_group(w, what);
	if (any_snapshot(w, v, &seen, &number) < 0)
		return -1;
	if (!number || (what < 22 && seen.n < 2 * MANY))
		return take_snapshot(w, 1u << v);
	if (seen.n >= MANY && what < 45)
		return delete_one(w, v, number);
	if (what < 30)
		return take_snapshot(w, 1u << v | 1u << dice(w, STORM_VOLUMES) |
						1u << dice(w, STORM_VOLUMES));
	if (what < 60)
		return revert(w, v, number);
	if (what < 73)
		return undo(w, v, what == 72);
	if (what < 85)
		return delete_one(w, v, number);
	if (what < 90)
		return resize(w, v);
	return what < 93 ? clone_and_delete(w, v, number) : look_around(w);
}

static bool take_turn(void)
{
	unsigned int left = __atomic_load_n(&storm->ops_left, __ATOMIC_SEQ_CST);

	while (left && !storm->failed)
		if (__atomic_compare_exchange_n(&storm->ops_left, &left, left - 1, false,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return true;
	return false;
}

void storm_work(struct storm *shared, unsigned int self, uint64_t seed)
{
	struct worker w = { .log = &shared->processes[self],
			    .self = self,
			    .random = seed * STORM_PROCESSES + self,
			    .keeps_open = self % 4 == 0 };

	storm = shared;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	memset(w.fds, -1, sizeof(w.fds));
	if (posix_memalign((void **)&w.page, STORM_PAGE, STORM_PAGE) != 0 ||
	    storm_open(&w.sm, &w.err) < 0)
		_exit(1);
	while (!storm->begun)
		(void)sched_yield();
	while (take_turn()) {
		for (uint64_t n = dice(&w, 4); n > 0; n--)
			if (write_stamp(&w) < 0)
				_exit(0);
		if (w.log->n_events + 2 > STORM_EVENTS_MAX || one_operation(&w) < 0)
			break;
	}
	snapmgr_free(w.sm);
	_exit(0);
}
