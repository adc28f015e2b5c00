/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The page cache of a suspended device, dropped by a helper thread.
 *
 * BLKFLSBUF writes what is dirty and forgets what is clean. Where nothing is dirty it returns at once;
 * where a page is, it waits for a device that does not run, and so tells that there is one. A page
 * that is just being copied to its reader is passed over, hence the second pass.
 */
#include <errno.h>
#include <linux/fs.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>

#include "dm/critical.h"

#define BETWEEN_MS    20
#define ANSWER_MS     120
#define STACK_BYTES   (64 * 1024)
#define TOUCHED_BYTES (16 * 1024)

struct sdm_purge {
	pthread_t thread;
	sem_t go, done;
	int fd;
	bool end;
};

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
	const struct timespec between = { .tv_nsec = BETWEEN_MS * 1000000L };
	struct sdm_purge *p = data;

	touch_stack();
	(void)sem_post(&p->done);
	for (;;) {
		await(&p->go);
		if (p->end)
			return NULL;
		(void)ioctl(p->fd, BLKFLSBUF, 0);
		(void)nanosleep(&between, NULL);
		(void)ioctl(p->fd, BLKFLSBUF, 0);
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
	(void)sem_init(&p->go, 0, 0);
	(void)sem_init(&p->done, 0, 0);
	e = start_thread(p);
	if (e) {
		free(p);
		return sm_fail(err, SNAPMGR_KERNEL, e, "cannot start a thread");
	}
	await(&p->done);
	*ret = p;
	return 0;
}

bool sdm_purge_run(struct sdm_purge *p)
{
	struct timespec end;
	int r;

	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += ANSWER_MS * 1000000L;
	if (end.tv_nsec >= 1000000000L) {
		end.tv_nsec -= 1000000000L;
		end.tv_sec++;
	}
	(void)sem_post(&p->go);
	do
		r = sem_clockwait(&p->done, CLOCK_MONOTONIC, &end);
	while (r < 0 && errno == EINTR);
	return r == 0;
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
	free(p);
}
