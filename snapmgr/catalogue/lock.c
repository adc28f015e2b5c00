/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock.c - exclusive locks with a queue
 *
 * Byte MAIN_BYTE is the lock. Who has to wait also locks a byte of its own, whose offset is the
 * moment it came (CLOCK_MONOTONIC is one clock for all processes), and goes ahead only where no byte
 * before that is locked: first come, first served. The kernel drops the bytes of the dead. The file's
 * text names the holder, because the kernel does not tell whose an open-file-description lock is.
 */
#include "snapmgr/catalogue/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "snapmgr/catalogue/rundir.h"

#define MAIN_BYTE     0
#define QUEUE_BYTE    4096 /* the first one that waiters lock */
#define HOLDER_BYTES  64
#define PAUSE_MIN_US  200
#define PAUSE_MAX_US  20000
#define PAUSE_HEAD_US 2000 /* of the first in the queue */

/* Return: 0, -EAGAIN where another has it, or -errno. */
static int lock_byte(int fd, short type, off_t at)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

	if (SM_STEP("lock.byte", fcntl(fd, F_OFD_SETLK, &fl)) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

static bool others_before(int fd, off_t ticket)
{
	struct flock fl = { .l_type = F_WRLCK,
			    .l_whence = SEEK_SET,
			    .l_start = QUEUE_BYTE,
			    .l_len = ticket - QUEUE_BYTE };

	return ticket > QUEUE_BYTE && fcntl(fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK;
}

/* Return: the ticket's byte, locked; 0 where that is impossible, and then there is no queueing. */
static off_t draw_ticket(int fd)
{
	off_t ticket = QUEUE_BYTE + (off_t)sm_monotonic_ns();
	int r = lock_byte(fd, F_WRLCK, ticket);

	while (r == -EAGAIN) /* two came at one moment */
		r = lock_byte(fd, F_WRLCK, ++ticket);
	return r == 0 ? ticket : 0;
}

static void sleep_us(uint64_t us)
{
	struct timespec ts = { .tv_sec = (time_t)(us / 1000000),
			       .tv_nsec = (long)(us % 1000000) * 1000 };

	(void)nanosleep(&ts, NULL);
}

static int wait_in_queue(int fd, uint32_t wait_ms)
{
	uint64_t deadline = sm_monotonic_ns() + wait_ms * UINT64_C(1000000);
	off_t ticket = draw_ticket(fd);
	uint64_t pause_us = PAUSE_MIN_US;
	int r = -EAGAIN;

	while (r == -EAGAIN && sm_monotonic_ns() < deadline) {
		bool behind = others_before(fd, ticket);
		uint64_t longest = behind ? PAUSE_MAX_US : PAUSE_HEAD_US;

		if (!behind)
			r = lock_byte(fd, F_WRLCK, MAIN_BYTE);
		if (r != -EAGAIN)
			break;
		sleep_us(pause_us < longest ? pause_us : longest);
		pause_us = pause_us * 2 < PAUSE_MAX_US ? pause_us * 2 : PAUSE_MAX_US;
	}
	if (ticket)
		(void)lock_byte(fd, F_UNLCK, ticket);
	return r;
}

/* Who holds it, for messages of others; and, where that stays behind, the sign that its holder died. */
static void write_holder(struct slock *lock)
{
	char comm[17] = "";

	(void)prctl(PR_GET_NAME, comm);
	lock->held = true;
	lock->abandoned = lock->holder[0] != '\0';
	SM_DO("lock.name",
	      (void)snprintf(lock->holder, HOLDER_BYTES, "%d %s", (int)getpid(), comm));
}

static int held(int fd, const char *name, struct snapmgr_err *err)
{
	char text[HOLDER_BYTES] = "", comm[17] = "";
	int pid = 0;

	if (pread(fd, text, sizeof(text) - 1, 0) > 0 &&
	    sscanf(text, "%d %16[^\n]", &pid, comm) == 2 && pid > 0 &&
	    (kill(pid, 0) == 0 || errno == EPERM) && sm_utf8_valid(comm))
		return sm_fail(err, SNAPMGR_LOCKED, EAGAIN, "lock '%s' is held by process %d (%s)",
			       name, pid, comm);
	return sm_fail(err, SNAPMGR_LOCKED, EAGAIN, "lock '%s' is held by another process", name);
}

/* Allocated before it is mapped: a hole in a full tmpfs would be a SIGBUS. */
static int map_holder(int fd, char **ret)
{
	void *p;
	/* Leaves alone what is there. */
	int r = SM_STEP("lock.allocate", posix_fallocate(fd, 0, HOLDER_BYTES));

	if (r > 0)
		return -r;
	p = mmap(NULL, HOLDER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

static int open_file(const char *path)
{
	return SM_STEP("lock.open", open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
}

static int open_lock(const char *name, struct slock *ret, struct snapmgr_err *err)
{
	char path[SCAT_RUN_PATH];
	int r = 0;

	(void)snprintf(path, sizeof(path), "%s/%s.lock", scat_run_dir(), name);
	*ret = (struct slock){ .fd = open_file(path) };
	if (ret->fd < 0 && errno == ENOENT) {
		r = sm_mkdir_p(scat_run_dir(), 0700, err);
		if (r < 0)
			return r;
		ret->fd = open_file(path);
	}
	r = ret->fd < 0 ? -errno : map_holder(ret->fd, &ret->holder);
	if (r == 0)
		return 0;
	sm_close_fd(ret->fd);
	*ret = SLOCK_NONE;
	return sm_fail(err, r == -EACCES || r == -EPERM ? SNAPMGR_PERMISSION : SNAPMGR_IO, r,
		       "cannot open lock '%s'", path);
}

int slock_retake(const char *name, uint32_t wait_ms, struct slock *lock, struct snapmgr_err *err)
{
	int fd = lock->fd;
	int r = wait_ms > 0 && others_before(fd, INT64_MAX) ? -EAGAIN :
							      lock_byte(fd, F_WRLCK, MAIN_BYTE);

	if (r == -EAGAIN && wait_ms > 0)
		r = wait_in_queue(fd, wait_ms);
	if (r == 0)
		write_holder(lock);
	else if (r == -EAGAIN)
		r = held(fd, name, err);
	else
		r = sm_fail(err, SNAPMGR_IO, r, "cannot take lock '%s'", name);
	return r;
}

static void close_lock(struct slock *lock)
{
	(void)munmap(lock->holder, HOLDER_BYTES);
	(void)close(lock->fd);
	*lock = SLOCK_NONE;
}

int slock_take(const char *name, uint32_t wait_ms, struct slock *ret, struct snapmgr_err *err)
{
	struct slock lock;
	int r = open_lock(name, &lock, err);

	if (r < 0)
		return r;
	r = slock_retake(name, wait_ms, &lock, err);
	if (r < 0)
		close_lock(&lock);
	else
		*ret = lock;
	return r;
}

void slock_park(struct slock *lock)
{
	if (lock->fd < 0 || !lock->held)
		return;
	if (!lock->abandoned)
		SM_DO("lock.clear", memset(lock->holder, 0, 1));
	(void)lock_byte(lock->fd, F_UNLCK, MAIN_BYTE);
	lock->held = false;
}

void slock_drop(struct slock *lock)
{
	if (lock->fd < 0)
		return;
	slock_park(lock);
	close_lock(lock);
}
