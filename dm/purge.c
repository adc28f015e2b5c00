/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page cache of a suspended device, dropped by a helper thread.
 *
 * BLKFLSBUF writes what is dirty and forgets what is clean. Where nothing is dirty it returns at once;
 * where a page is, it waits for a device that does not run, and so tells that there is one. A page that
 * somebody is just copying from or to is passed over, so it is tried again until the cache is seen to
 * be empty. An empty one stays so: nothing can be read in while the device is suspended.
 *
 * The kernel tells whether anything is cached (cached.c), and mostly nothing is. What is may be a page
 * that somebody waits for, which does no harm: so the pages that are complete are looked for, and those
 * alone count. Not complete is also that of a writer who was put to sleep between reading the page and
 * changing it. For him, every thread that wants to run is let run first: a thread of the policy
 * SCHED_IDLE, having used up its share on a processor, runs there again when all others had their turn.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "dm/cached.h"
#include "dm/critical.h"

#define BETWEEN_MS    15
#define PASSES_MAX    6
#define BURN_US	      150 /* as SCHED_IDLE: to the scheduler 340 times as much */
#define LOOK_MS	      5
#define LOOKS_WAITING 5
#define LOOKS_MAX     200
#define STACK_BYTES   (64 * 1024)
#define TOUCHED_BYTES (16 * 1024)

struct sdm_purge {
	pthread_t thread;
	sem_t go, done;
	int fd, stat_fd; /* stat_fd: the helper's own state */
	bool end, clean;
	atomic_bool stop; /* the device runs again: what it does now is of no use */
	cpu_set_t cpus;
	struct sdm_cached_look look;
};

static void burn(void)
{
	struct timespec t;
	int64_t end_ns, now_ns = 0;

	for (end_ns = 0; !end_ns || now_ns < end_ns;) {
		(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
		now_ns = t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
		if (!end_ns)
			end_ns = now_ns + BURN_US * 1000;
	}
}

static void let_others_run(const struct sdm_purge *p)
{
	const struct timespec between = { .tv_nsec = BETWEEN_MS * 1000000L };
	const struct sched_param none = { 0 };

	(void)sched_setscheduler(0, SCHED_IDLE, &none);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		cpu_set_t one;

		if (!CPU_ISSET(cpu, &p->cpus))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one) < 0)
			continue; /* switched off meanwhile */
		burn();
		(void)sched_yield();
		burn();
	}
	(void)sched_setaffinity(0, sizeof(p->cpus), &p->cpus);
	(void)sched_setscheduler(0, SCHED_OTHER, &none);
	(void)nanosleep(&between, NULL);
}

/* Once all others had their turn. Who waits for a page to be read in will read the new contents. */
static bool is_clean(const struct sdm_purge *p)
{
	enum sdm_cached rest = sdm_cached_complete(&p->look);

	if (rest == SDM_CACHED_UNKNOWN) /* too large to look at */
		return sdm_cached(&p->look) != SDM_CACHED_SOMETHING;
	return rest == SDM_CACHED_NOTHING;
}

static bool purge(struct sdm_purge *p)
{
	const struct timespec between = { .tv_nsec = BETWEEN_MS * 1000000L };

	for (int pass = 1; pass <= PASSES_MAX && !p->stop; pass++) {
		(void)SM_STEP("cache.purge", ioctl(p->fd, BLKFLSBUF, 0));
		if (sdm_cached(&p->look) == SDM_CACHED_NOTHING)
			return true;
		if (!p->stop)
			let_others_run(p);
		(void)SM_STEP("cache.purge", ioctl(p->fd, BLKFLSBUF, 0));
		if (is_clean(p))
			return true;
		(void)nanosleep(&between, NULL);
	}
	return false;
}

static void await(sem_t *sem)
{
	while (sem_wait(sem) < 0 && errno == EINTR)
		;
}

__attribute__((noinline)) static void touch_stack(void)
{
	volatile char room[TOUCHED_BYTES];

	for (size_t i = 0; i < sizeof(room); i += 1024)
		room[i] = 0;
}

static void *helper(void *data)
{
	struct sdm_purge *p = data;

	touch_stack();
	p->stat_fd = open("/proc/thread-self/stat", O_RDONLY | O_CLOEXEC);
	(void)sched_getaffinity(0, sizeof(p->cpus), &p->cpus);
	(void)sem_post(&p->done);
	for (;;) {
		await(&p->go);
		if (p->end)
			return NULL;
		p->clean = purge(p);
		(void)sem_post(&p->done);
	}
}

static int start_thread(struct sdm_purge *p)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int e = pthread_attr_init(&attr);

	if (e)
		return e;
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	e = pthread_create(&p->thread, &attr, helper, p);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attr);
	return e;
}

int sdm_purge_start(int fd, struct sdm_purge **ret, struct snapmgr_err *err)
{
	struct sdm_purge *p = calloc(1, sizeof(*p));
	int e;

	if (!p)
		return sm_nomem(err);
	p->fd = fd;
	sdm_cached_open(fd, &p->look);
	(void)sem_init(&p->go, 0, 0);
	(void)sem_init(&p->done, 0, 0);
	e = start_thread(p);
	if (e) {
		sdm_cached_close(&p->look);
		free(p);
		return sm_fail(err, SNAPMGR_KERNEL, e, "cannot start a thread");
	}
	await(&p->done);
	*ret = p;
	return 0;
}

/* Whether the helper waits in the kernel, as for a device that does not run. */
static bool waits(const struct sdm_purge *p)
{
	char text[256];
	ssize_t n = pread(p->stat_fd, text, sizeof(text) - 1, 0);
	const char *state;

	text[n > 0 ? n : 0] = '\0';
	state = strrchr(text, ')'); /* "123 (name) D ..." */
	return state && state[1] == ' ' && state[2] == 'D';
}

static bool returns_within(struct sdm_purge *p, uint32_t ms)
{
	struct timespec end;
	int r;

	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += ms * 1000000L;
	if (end.tv_nsec >= 1000000000L) {
		end.tv_nsec -= 1000000000L;
		end.tv_sec++;
	}
	do
		r = sem_clockwait(&p->done, CLOCK_MONOTONIC, &end);
	while (r < 0 && errno == EINTR);
	return r == 0;
}

bool sdm_purge_needed(const struct sdm_purge *p)
{
	return sdm_cached(&p->look) != SDM_CACHED_NOTHING;
}

void sdm_purge_begin(struct sdm_purge *p)
{
	p->stop = false;
	(void)sem_post(&p->go);
}

void sdm_purge_stop(struct sdm_purge *p)
{
	p->stop = true;
}

int sdm_purge_result(struct sdm_purge *p)
{
	unsigned int looks = 0, waiting = 0;

	while (!returns_within(p, LOOK_MS)) {
		waiting = waits(p) ? waiting + 1 : 0;
		if (waiting == LOOKS_WAITING || ++looks == LOOKS_MAX) {
			p->stop = true;
			return -ETIMEDOUT;
		}
	}
	return p->clean ? 0 : -EBUSY;
}

void sdm_purge_wait(struct sdm_purge *p)
{
	await(&p->done);
}

void sdm_purge_free(struct sdm_purge *p)
{
	if (!p)
		return;
	p->end = true;
	(void)sem_post(&p->go);
	(void)pthread_join(p->thread, NULL);
	(void)sem_destroy(&p->go);
	(void)sem_destroy(&p->done);
	sm_close_fd(p->stat_fd);
	sdm_cached_close(&p->look);
	free(p);
}
