/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Kill a verb at its points, one after the other, and look at the pool afterwards.
 *
 * The points come from a run that is left alone. All happens in a worker: what it loses ends it, and the
 * next one goes on with a fresh scene.
 */
#include "steps.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "failpoint.h"

#define LOG	    LAB "/points"
#define POINTS_MAX  2000
#define LOST_MAX    10
#define CHECK_EVERY 24
#define RESUMED_MS  15000 /* its guard gives recovery ten seconds */

/* What comes after the kill. */
#define WRITE  1u /* something is written to what runs */
#define GUARD  2u /* the guard is killed with it */
#define REBOOT 4u /* everything that is not on the disks is gone, then the pool is activated */
#define SAME   8u /* the same command again, and nothing else */

static const unsigned int ways[] = { 0,		  WRITE,	  WRITE | REBOOT,	GUARD,
				     SAME,	  GUARD | REBOOT, GUARD | WRITE | SAME, REBOOT,
				     WRITE | SAME };
/* Nothing but the same command leads out of the middle of what changes a pool. */
static const unsigned int pool_ways[] = { SAME, GUARD | SAME, REBOOT | SAME };

struct point {
	char name[56];
	unsigned int n; /* the n-th time that it is passed */
};

static struct shared {
	struct point points[POINTS_MAX];
	size_t n_points, next, n_jobs;
	struct picture before, after, again; /* the verb, done once, twice */
	char contents[4096];		     /* before */
	unsigned int kills, missed;
	char doing[200];
	size_t verb; /* of a cut */
} * shared;

/* ---- the run that is left alone ---- */

static bool is_wanted(const struct point *p, const char *const *only)
{
	while (only && *only && strncmp(p->name, *only, strlen(*only)) != 0)
		only++;
	return !only || *only;
}

/* After the last one, so that each is counted. */
static void keep_wanted(const char *const *only)
{
	size_t kept = 0;

	for (size_t i = 0; i < shared->n_points; i++)
		if (is_wanted(&shared->points[i], only))
			shared->points[kept++] = shared->points[i];
	shared->n_points = kept;
}

static void add_point(const char *name)
{
	struct point *p = &shared->points[shared->n_points];

	if (shared->n_points == POINTS_MAX)
		lose("too many points");
	(void)sm_copy_text(p->name, sizeof(p->name), name);
	p->n = 1;
	for (size_t i = 0; i < shared->n_points; i++)
		p->n += strcmp(shared->points[i].name, name) == 0;
	shared->n_points++;
}

static void record_run(const struct verb *v)
{
	struct snapmgr_err err = { .message = "" };

	lab_reopen();
	sm_failpoint_arm(NULL, LOG, false);
	if (v->run(&err) < 0)
		lose("it failed: %s", err.message);
	_exit(0);
}

/* In a child, as when it is killed: what a handle has not seen yet costs steps. */
static void record(const struct verb *v)
{
	char name[64];
	int status;
	pid_t pid;
	FILE *f;

	(void)unlink(LOG);
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0)
		record_run(v);
	if (waitpid(pid, &status, 0) != pid || status)
		_exit(3);
	f = fopen(LOG, "re");
	ATF_REQUIRE(f != NULL);
	while (fscanf(f, "%63s", name) == 1)
		add_point(name);
	(void)fclose(f);
}

static enum snapmgr_code run_again(const struct verb *v)
{
	struct snapmgr_err err = { .message = "" };

	if (v->run(&err) == 0)
		return SNAPMGR_OK;
	if (err.code != v->again && err.code != v->or_again && err.code != v->or_inactive)
		lose("the same again: %s: %s", snapmgr_code_name(err.code), err.message);
	return err.code;
}

static void start(const struct verb *v)
{
	const char *differs;
	struct picture now;

	v->start();
	picture_take(&now, NULL, v->flags);
	differs = *shared->before.text ? texts_differ(now.text, shared->before.text) : NULL;
	if (differs)
		lose("not where it started: %s", differs);
	shared->before = now;
	if (v->half)
		v->half();
}

/* Twice: the first time of all may do more than each later one. */
static void get_known(const struct verb *v)
{
	start(v);
	record(v);
	shared->n_points = 0;
	shared->before.text[0] = '\0';
	v->start();
	if (!(v->flags & VERB_POOL))
		picture_contents(shared->contents, sizeof(shared->contents));
	start(v);
	record(v);
	picture_take(&shared->after, &shared->before, v->flags);
	(void)run_again(v);
	picture_take(&shared->again, &shared->before, v->flags);
}

/* ---- after a kill ---- */

/* Return: what was written, or 0. */
static uint64_t write_stamp(uint64_t stamp)
{
	const uint64_t end_ns = sm_monotonic_ns() + RESUMED_MS * UINT64_C(1000000);
	struct sdm_info info;

	do
		LAB_DO(sdm_info("snapmgr-p-v", &info, &err));
	while (info.suspended && sm_monotonic_ns() < end_ns);
	if (!info.exists || !info.has_live)
		return 0;
	if (info.suspended)
		lose("'p/v' stays suspended");
	lab_write("/dev/mapper/snapmgr-p-v", SIZE, STAMP, stamp, LAB_DIRECT);
	return stamp;
}

static bool is_suspended(void)
{
	struct sdm_info info;

	LAB_DO(sdm_info("snapmgr-p-v", &info, &err));
	return info.suspended;
}

static bool was_active(const struct picture *p)
{
	return strstr(p->text, " active ") != NULL;
}

/* As a machine does that comes up, where there still is a pool. */
static void activate_pool(const struct verb *v)
{
	struct snapmgr_err err = { .message = "" };
	bool may_be_away = v->flags & VERB_POOL && !was_active(&shared->after); /* an export */

	if (snapmgr_pool_activate(lab, "p", &err) < 0 && err.code != SNAPMGR_NOT_FOUND &&
	    !(may_be_away && err.code == v->again))
		lose("activation: %s", err.message);
}

static void reboot(const struct verb *v)
{
	verbs_reopen(); /* our own guard goes with the handle */
	verbs_guarded();
	lab_forget();
	verbs_reopen();
	if (!(v->flags & VERB_POOL) || was_active(&shared->before))
		activate_pool(v);
}

/* Return: whether the verb was done. */
static bool look(const struct verb *v, bool rebooted)
{
	const unsigned int flags = v->flags | (rebooted ? PICTURE_REBOOTED : 0);
	bool rows = rebooted && v->flags & VERB_REMAPS;
	struct picture now;

	picture_take(&now, &shared->before, flags);
	if (!texts_differ(rows ? now.rows : now.text,
			  rows ? shared->after.rows : shared->after.text))
		return true;
	if (texts_differ(rows ? now.rows : now.text,
			 rows ? shared->before.rows : shared->before.text))
		lose("neither as before: %s\nnor as after: %s",
		     texts_differ(now.text, shared->before.text),
		     strdup(texts_differ(now.text, shared->after.text)));
	return false;
}

/* Of a POOL verb it is not known whether it was done, nor of one that nobody recovered. */
static void look_again(const struct verb *v, bool known, bool done, bool rebooted)
{
	const unsigned int flags = v->flags | (rebooted ? PICTURE_REBOOTED : 0);
	struct picture now;

	if (v->flags & VERB_POOL && rebooted && was_active(&shared->after))
		activate_pool(v);
	picture_take(&now, &shared->before, flags);
	if (rebooted && v->flags & VERB_REMAPS && !(v->flags & VERB_POOL))
		return; /* what is mapped then is another matter */
	if ((!known || !done || v->flags & VERB_MIDWAY) &&
	    !texts_differ(now.text, shared->after.text))
		return;
	if ((!known || done) && !texts_differ(now.text, shared->again.text))
		return;
	if (v->flags & VERB_MIDWAY && !done && !texts_differ(now.text, shared->before.text))
		return;
	lose("after the same again: %s",
	     texts_differ(now.text, done ? shared->again.text : shared->after.text));
}

static void after_kill(const struct verb *v, unsigned int way, uint64_t stamp)
{
	bool done = false, known = !(way & SAME);

	if ((way & GUARD || v->flags & VERB_MIDWAY) && is_suspended())
		way &= ~WRITE; /* it would wait for the recovery */
	if (v->flags & VERB_MOUNTED)
		way &= ~REBOOT;
	stamp = way & WRITE ? write_stamp(stamp) : 0;
	if (way & REBOOT)
		reboot(v);
	else if (!(way & SAME))
		LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
	if (known)
		done = look(v, way & REBOOT);
	if (known && stamp && !lab_holds("/dev/mapper/snapmgr-p-v", SIZE, STAMP, stamp, LAB_DIRECT))
		lose("what was written after the kill is lost");
	if (run_again(v) != SNAPMGR_OK && known && !done)
		lose("the same again was refused, although it was not done");
	look_again(v, known, done, way & REBOOT);
}

static void check_rest(const struct verb *v)
{
	char contents[sizeof(shared->contents)];
	const char *differs;

	if (v->flags & VERB_POOL)
		return;
	v->start();
	if (v->flags & VERB_STATES)
		(void)run_again(v);
	lab_check_rest();
	picture_contents(contents, sizeof(contents));
	differs = texts_differ(contents, shared->contents);
	if (differs)
		lose("contents: %s", differs);
}

/* ---- which ---- */

static size_t n_ways(const struct verb *v)
{
	return v->flags & VERB_POOL ? SM_ARRAY(pool_ways) : SM_ARRAY(ways);
}

/* All of them, or some, spread over the run: the way changes from one to the next. */
static void choose(const struct sweep *s, size_t job, size_t *point, unsigned int *way)
{
	size_t n = n_ways(s->verb), w;

	if (s->most || s->only) {
		uint64_t state = s->seed * 1000 + job;

		*point = (size_t)((job * shared->n_points + lab_random(&state) % shared->n_points) /
				  shared->n_jobs);
		w = (job + s->seed) % n;
	} else {
		*point = job / n;
		w = job % n;
	}
	*way = s->verb->flags & VERB_POOL ? pool_ways[w] : ways[w];
}

static void one_kill(const struct sweep *s, size_t job)
{
	char points[80];
	unsigned int way;
	size_t i;

	choose(s, job, &i, &way);
	(void)snprintf(points, sizeof(points), "%s:%u", shared->points[i].name,
		       shared->points[i].n);
	(void)snprintf(shared->doing, sizeof(shared->doing),
		       "%s, killed at %s (%zu of %zu)%s%s, then%s%s%s", s->verb->name, points,
		       i + 1, shared->n_points, way & GUARD ? " with its guard" : "",
		       way & WRITE ? ", a write" : "", way & REBOOT ? " a reboot" : "",
		       way & SAME ? " the same again" : "",
		       way & (REBOOT | SAME) ? "" : " recover");
	start(s->verb);
	if (verbs_die(s->verb->run, points, way & GUARD))
		shared->kills++;
	else
		shared->missed++;
	after_kill(s->verb, way, 1000 + job);
}

static void work(const struct sweep *s)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sm_copy_text(shared->doing, sizeof(shared->doing), s->verb->name);
	verbs_scene(s->verb);
	shared->before.text[0] = '\0';
	if (!shared->n_points) {
		get_known(s->verb);
		keep_wanted(s->only);
		shared->n_jobs = s->only ? shared->n_points : shared->n_points * n_ways(s->verb);
		if (s->most && shared->n_jobs > s->most)
			shared->n_jobs = s->most;
	}
	for (; shared->next < shared->n_jobs; shared->next++) {
		one_kill(s, shared->next);
		if (shared->next % CHECK_EVERY == CHECK_EVERY - 1)
			check_rest(s->verb);
	}
	check_rest(s->verb);
	(void)fflush(NULL);
	_exit(0);
}

static void share(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	ATF_REQUIRE(shared != MAP_FAILED);
}

void sweep(struct sweep *s)
{
	int status = 1;
	pid_t pid;

	share();
	do {
		(void)fflush(NULL);
		pid = fork();
		if (pid == 0)
			work(s);
		ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
		if (status) {
			printf("lost: %s\n", shared->doing);
			s->lost++;
			shared->next++;
		}
	} while (status && shared->n_points && shared->next < shared->n_jobs && s->lost < LOST_MAX);
	s->points = (unsigned int)shared->n_points;
	s->kills = shared->kills;
	s->missed = shared->missed;
	(void)munmap(shared, sizeof(*shared));
}

/* ---- a machine that dies with it ---- */

static void cut_power(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

	ATF_REQUIRE(fd >= 0 && write(fd, "b", 1) == 1);
	(void)pause();
}

void sweep_cut(uint64_t seed, const char *path)
{
	uint64_t state = seed;
	const struct point *point;
	const struct verb *v;
	char points[80];
	int fd;

	share();
	do
		shared->verb = (size_t)(lab_random(&state) % n_verbs);
	while (verbs[shared->verb].flags & VERB_POOL);
	v = &verbs[shared->verb];
	verbs_scene(v);
	get_known(v);
	point = &shared->points[lab_random(&state) % shared->n_points];
	(void)snprintf(points, sizeof(points), "%s:%u", point->name, point->n);
	(void)snprintf(shared->doing, sizeof(shared->doing), "%s, cut at %s", v->name, points);
	start(v);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ATF_REQUIRE(fd >= 0 && write(fd, shared, sizeof(*shared)) == sizeof(*shared));
	ATF_REQUIRE(fsync(fd) == 0 && close(fd) == 0);
	if (verbs_stop(v->run, points))
		cut_power();
}

void sweep_up(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const struct verb *v;
	bool done;

	share();
	ATF_REQUIRE(fd >= 0 && read(fd, shared, sizeof(*shared)) == sizeof(*shared));
	(void)close(fd);
	printf("%s\n", shared->doing);
	v = &verbs[shared->verb];
	lab_run("mkdir -p " LAB);
	lab_recover_program = "snapmgr";
	lab_reopen();
	activate_pool(v);
	done = look(v, true);
	if (run_again(v) != SNAPMGR_OK && !done)
		lose("the same again was refused, although it was not done");
	look_again(v, true, done, true);
	check_rest(v);
}
