/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Eight processes, four volumes. The linker hands us two calls of the library (--wrap, see the Makefile). */
#include "storm.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "dm/sdm.h"
#include "snapmgr/catalogue/catalogue.h"

#define PAGE	 4096u
#define SLOT(p)	 ((off_t)(p)*9 * PAGE) /* so that some chunks of 64 KiB have two slots, others one */
#define SIZE	 (2 * SM_MIB)
#define LOCK_MS	 300000
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

int storm_failed(struct storm *s, const char *fmt, ...)
{
	va_list ap;

	if (__atomic_exchange_n(&s->failed, 1, __ATOMIC_SEQ_CST))
		return -1;
	va_start(ap, fmt);
	(void)vsnprintf(s->failure, sizeof(s->failure), fmt, ap);
	va_end(ap);
	return -1;
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

static void make_page(uint64_t *page, unsigned int process, unsigned int volume, uint32_t stamp)
{
	page[0] = (uint64_t)process << 40 | (uint64_t)volume << 32 | stamp;
	for (size_t i = 1; i < PAGE / 8; i++)
		page[i] = page[i - 1] * 31 + i;
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
	make_page(w->page, w->self, v, record->stamp);
	record->begin_ns = sm_monotonic_ns();
	n = pwrite(fd, w->page, PAGE, SLOT(w->self));
	record->end_ns = sm_monotonic_ns();
	w->log->n_writes++;
	if (w->keeps_open)
		w->fds[v] = fd;
	else
		(void)close(fd);
	return n == PAGE ? 0 : storm_failed(storm, "write to v%u: %s", v, strerror(errno));
}

static uint32_t number_of(const char *name)
{
	return name[0] == 's' ? (uint32_t)strtoul(name + 1, NULL, 10) : 0;
}

static int see(const struct snapmgr_object *o, void *data)
{
	struct seen *seen = data;

	if (o->kind == SNAPMGR_SNAPSHOT && seen->n < STORM_LIVE_MAX)
		seen->numbers[seen->n++] = number_of(o->name);
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

static void acknowledge(struct worker *w, enum storm_verb verb, unsigned int volumes,
			uint32_t snapshot, uint64_t size_bytes)
{
	struct storm_event *e = &w->log->events[w->log->n_events++];

	*e = (struct storm_event){ .ticket = last_ticket,
				   .verb = verb,
				   .volumes = volumes,
				   .snapshot = snapshot,
				   .size_bytes = size_bytes };
	if (verb == STORM_SNAPSHOT || verb == STORM_UNDO || verb == STORM_REVERT ||
	    verb == STORM_REVERT_NO_UNDO)
		e->at_ns = last_suspend_ns;
	w->log->acknowledged[verb]++;
	if (!last_ticket)
		(void)storm_failed(storm, "verb %d was acknowledged without a commit", verb);
}

/* Others were faster, and that is what it says; anything else is a failure. */
static int refused(struct worker *w, const char *verb, unsigned int codes)
{
	w->log->refused++;
	if (codes & 1u << w->err.code)
		return 0;
	return storm_failed(storm, "%s: %s: %s", verb, snapmgr_code_name(w->err.code),
			    w->err.message);
}
#define NOT_FOUND  (1u << SNAPMGR_NOT_FOUND)
#define NOT_LATEST (1u << SNAPMGR_NOT_LATEST)
#define IN_USE	   (1u << SNAPMGR_IN_USE)

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
		return refused(w, "snapshot", 0);
	acknowledge(w, STORM_SNAPSHOT, volumes, number, 0);
	return 0;
}

static int revert(struct worker *w, unsigned int v, uint32_t number)
{
	struct snapmgr_revert_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	struct snapmgr_revert_result result;
	unsigned int codes = NOT_FOUND;
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
	acknowledge(w, opts.no_undo ? STORM_REVERT_NO_UNDO : STORM_REVERT, 1u << v,
		    number_of(result.snapshot.name), 0);
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
		return refused(w, "undo", NOT_FOUND);
	acknowledge(w, drop ? STORM_DROP_UNDO : STORM_UNDO, 1u << v, 0, 0);
	return 0;
}

static int delete_one(struct worker *w, unsigned int v, uint32_t number)
{
	char spec[MAX_SPEC];

	(void)snprintf(spec, sizeof(spec), "p/v%u@s%u", v, number);
	if (snapmgr_delete(w->sm, spec, NULL, NULL, NULL, &w->err) < 0)
		return refused(w, "delete", NOT_FOUND);
	acknowledge(w, STORM_DELETE, 1u << v, number, 0);
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
	uint64_t bytes = SIZE + dice(w, 5) * 256 * SM_KIB, now = 0;
	char spec[MAX_SPEC];

	(void)snprintf(spec, sizeof(spec), "p/v%u", v);
	opts.shrink = opts.online = true;
	if (snapmgr_resize(w->sm, spec, bytes, &opts, keep_size, &now, &w->err) < 0)
		return refused(w, "resize", 0);
	if (now != bytes)
		return storm_failed(storm, "a resize to %ju bytes answered %ju", (uintmax_t)bytes,
				    (uintmax_t)now);
	if (last_ticket) /* else it had that size */
		acknowledge(w, STORM_RESIZE, 1u << v, 0, bytes);
	return 0;
}

/* A clone that comes and goes, so that ids are made and become garbage. */
static int clone_and_delete(struct worker *w, unsigned int v, uint32_t number)
{
	char from[MAX_SPEC], to[MAX_SPEC];

	(void)snprintf(from, sizeof(from), "p/v%u@s%u", v, number);
	(void)snprintf(to, sizeof(to), "p/c%u", w->self);
	if (snapmgr_clone(w->sm, from, to, NULL, NULL, NULL, &w->err) < 0)
		return refused(w, "clone", NOT_FOUND);
	return snapmgr_delete(w->sm, to, NULL, NULL, NULL, &w->err) < 0 ?
		       refused(w, "delete of a clone", 0) :
		       0;
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

/* One view: no snapshot without its parent. */
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
	return what < 94 ? clone_and_delete(w, v, number) : look_around(w);
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

static int open_handle(struct snapmgr **ret, struct snapmgr_err *err)
{
	struct snapmgr_open_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_open_opts);

	opts.wait_ms = LOCK_MS;
	return snapmgr_open(&opts, ret, err);
}

static void work(unsigned int self, uint64_t seed)
{
	struct worker w = { .log = &storm->processes[self],
			    .self = self,
			    .random = seed * STORM_PROCESSES + self,
			    .keeps_open = self % 4 == 0 };

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	memset(w.fds, -1, sizeof(w.fds));
	if (posix_memalign((void **)&w.page, PAGE, PAGE) != 0 || open_handle(&w.sm, &w.err) < 0)
		_exit(1);
	while (!storm->begun)
		(void)sched_yield();
	while (take_turn()) {
		for (uint64_t n = dice(&w, 4); n > 0; n--)
			if (write_stamp(&w) < 0)
				_exit(0);
		if (w.log->n_events == STORM_EVENTS_MAX || one_operation(&w) < 0)
			break;
	}
	snapmgr_free(w.sm);
	_exit(0);
}

static int run_processes(uint64_t seed)
{
	pid_t pids[STORM_PROCESSES];
	int status, r = 0;

	(void)fflush(NULL);
	for (unsigned int i = 0; i < STORM_PROCESSES; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			work(i, seed);
	}
	storm->begun = 1;
	for (unsigned int i = 0; i < STORM_PROCESSES; i++)
		if (waitpid(pids[i], &status, 0) != pids[i] || status != 0)
			r = storm_failed(storm, "process %u ended with status %d", i, status);
	return storm->failed ? -1 : r;
}

/* ---- at the end ---- */

static uint32_t stamp_of(const uint64_t *page, unsigned int process, unsigned int volume)
{
	static uint64_t expected[PAGE / 8];
	uint32_t stamp = (uint32_t)page[0];

	if (!stamp) {
		for (size_t i = 0; i < PAGE / 8; i++)
			stamp |= (uint32_t)page[i] | (uint32_t)(page[i] >> 32);
		return stamp ? STORM_BAD : 0;
	}
	make_page(expected, process, volume, stamp);
	return memcmp(page, expected, PAGE) == 0 ? stamp : STORM_BAD;
}

static int keep(const struct snapmgr_object *o, void *data)
{
	struct snapmgr_object *ret = data;

	*ret = *o;
	ret->tags = NULL;
	return 0;
}

static int read_slots(const char *dm_name, unsigned int v, struct storm_contents *ret)
{
	AUTO(free) uint64_t *page = aligned_alloc(PAGE, PAGE);
	char node[160];
	int fd;

	(void)snprintf(node, sizeof(node), "/dev/mapper/%s", dm_name);
	fd = open(node, O_RDONLY | O_DIRECT | O_CLOEXEC);
	for (unsigned int p = 0; p < STORM_PROCESSES; p++) {
		if (fd < 0 || pread(fd, page, PAGE, SLOT(p)) != PAGE)
			return storm_failed(storm, "cannot read '%s': %s", node, strerror(errno));
		ret->stamps[p] = stamp_of(page, p, v);
	}
	(void)close(fd);
	return 0;
}

static int read_contents(struct snapmgr *sm, const char *spec, unsigned int v,
			 struct storm_contents *ret)
{
	struct snapmgr_object o;
	struct snapmgr_err err;
	int r = snapmgr_activate(sm, spec, keep, &o, &err);

	if (r == 0 && read_slots(o.dm_name, v, ret) < 0)
		return -1;
	if (r == 0 && o.kind != SNAPMGR_VOLUME)
		r = snapmgr_deactivate(sm, spec, &err);
	return r < 0 ? storm_failed(storm, "%s: %s", spec, err.message) : 0;
}

struct finding {
	unsigned int volume;
	struct storm_volume *ret;
};

static uint32_t parent_of(const struct snapmgr_object *o)
{
	const char *at = strchr(o->parent_name, '@');

	return at ? number_of(at + 1) : 0;
}

static int find_object(const struct snapmgr_object *o, void *data)
{
	struct finding *f = data;
	struct storm_snapshot *s = &f->ret->snapshots[f->ret->n_snapshots];

	if (o->kind == SNAPMGR_VOLUME) {
		f->ret->parent = parent_of(o);
		f->ret->size_bytes = o->size_bytes;
	} else if (f->ret->n_snapshots++ < STORM_LIVE_MAX) {
		*s = (struct storm_snapshot){ .number = number_of(o->name),
					      .parent = parent_of(o),
					      .size_bytes = o->size_bytes,
					      .sequence = o->sequence,
					      .created_at_us = o->created_at_us };
	}
	return 0;
}

static int find_volume(struct snapmgr *sm, unsigned int v, struct storm_volume *ret)
{
	struct finding f = { v, ret };
	struct snapmgr_err err;
	char spec[MAX_SPEC];
	int r;

	*ret = (struct storm_volume){ 0 };
	(void)snprintf(spec, sizeof(spec), "p/v%u", v);
	if (snapmgr_list(sm, spec, NULL, find_object, &f, &err) < 0)
		return storm_failed(storm, "%s: %s", spec, err.message);
	r = read_contents(sm, spec, v, &ret->contents);
	for (size_t i = 0; i < ret->n_snapshots && r == 0; i++) {
		(void)snprintf(spec, sizeof(spec), "p/v%u@s%u", v, ret->snapshots[i].number);
		r = read_contents(sm, spec, v, &ret->snapshots[i].contents);
	}
	while (r == 0) {
		struct snapmgr_object o;

		(void)snprintf(spec, sizeof(spec), "p/v%u@undo~%zu", v, ret->n_undos);
		if (snapmgr_show(sm, spec, keep, &o, &err) < 0)
			break;
		if (ret->n_undos == STORM_UNDOS)
			return storm_failed(storm, "v%u has too many undo points", v);
		r = read_contents(sm, spec, v, &ret->undos[ret->n_undos++]);
	}
	return r;
}

static int keep_finding(const char *finding, bool repaired, void *data)
{
	(void)repaired;
	(void)data;
	return storm_failed(storm, "pool check: %s", finding);
}

static int judge(struct snapmgr *sm)
{
	struct snapmgr_pool_check_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_check_opts);
	static struct storm_volume found;
	struct snapmgr_err err;
	int r = 0;

	opts.report = keep_finding;
	if (snapmgr_pool_check(sm, "p", &opts, &err) < 0)
		return storm_failed(storm, "pool check: %s", err.message);
	for (unsigned int v = 0; v < STORM_VOLUMES && r == 0; v++) {
		r = find_volume(sm, v, &found);
		if (r == 0)
			r = storm_judge(storm, v, SIZE, &found);
	}
	return r;
}

/* ---- all of it ---- */

static int make_pool(struct snapmgr *sm)
{
	struct snapmgr_pool_create_opts pool = SNAPMGR_OPTS_INIT(struct snapmgr_pool_create_opts);
	struct snapmgr_create_opts volume = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);
	char disks[2][64], spec[MAX_SPEC];
	const char *const list[] = { disks[0], disks[1] };
	const char *all = getenv("SANDBOX_DISKS");
	struct snapmgr_err err = { .message = "outside of a guest with two disks" };
	int r = all && sscanf(all, "%63s %63s", disks[0], disks[1]) == 2 ? 0 : -1;

	pool.force = true;
	volume.size_bytes = SIZE;
	if (r == 0)
		r = snapmgr_pool_create(sm, "p", list, 2, &pool, &err);
	for (unsigned int v = 0; v < STORM_VOLUMES && r == 0; v++) {
		(void)snprintf(spec, sizeof(spec), "p/v%u", v);
		r = snapmgr_create(sm, spec, &volume, NULL, NULL, &err);
	}
	return r < 0 ? storm_failed(storm, "cannot make the pool: %s", err.message) : 0;
}

static void summarise(char *what, size_t size)
{
	static const char *const names[] = { "snapshots", "reverts", "reverts without undo",
					     "undos",	  "drops",   "deletes",
					     "resizes" };
	size_t writes = 0, refusals = 0, looks = 0, at = 0;

	for (int verb = 0; verb < STORM_VERBS && at < size; verb++) {
		unsigned int n = 0;

		for (size_t i = 0; i < STORM_PROCESSES; i++)
			n += storm->processes[i].acknowledged[verb];
		at += (size_t)snprintf(what + at, size - at, "%u %s, ", n, names[verb]);
	}
	for (size_t i = 0; i < STORM_PROCESSES; i++) {
		writes += storm->processes[i].n_writes;
		refusals += storm->processes[i].refused;
		looks += storm->processes[i].looks;
	}
	if (at < size)
		(void)snprintf(what + at, size - at, "%zu writes, %zu conflicts, %zu looks", writes,
			       refusals, looks);
}

int storm_run(uint64_t seed, unsigned int ops, char *what, size_t size)
{
	struct snapmgr *sm = NULL;
	int r;

	storm = mmap(NULL, sizeof(*storm), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (storm == MAP_FAILED || open_handle(&sm, NULL) < 0)
		return -1;
	storm->ops_left = ops;
	r = make_pool(sm);
	if (r == 0)
		r = run_processes(seed);
	if (r == 0)
		r = judge(sm);
	if (r == 0)
		summarise(what, size);
	else
		(void)snprintf(what, size, "%s", storm->failure);
	(void)snapmgr_pool_destroy(sm, "p", NULL, NULL);
	snapmgr_free(sm);
	(void)munmap(storm, sizeof(*storm));
	storm = NULL;
	return r;
}
