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
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "snapmgr/catalogue/rundir.h"

#define MAIN_BYTE     0
#define QUEUE_BYTE    4096 /* the first one that waiters lock */
#define HOLDER_BYTES  512
#define PAUSE_MIN_US  200
#define PAUSE_MAX_US  20000
#define PAUSE_HEAD_US 2000 /* of the first in the queue */

/* The file: text, for people too, and behind it how many may be waiting. */
struct slock_shared {
	char holder[HOLDER_BYTES];
	/* Who waits counts itself in. The killed never count themselves out, so that it is reset by
	 * who finds nobody in the queue: 0 alone is certain. */
	_Atomic uint32_t waiters;
	_Atomic uint32_t notes; /* 1: there may be some */
};

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

/* Who has just come lets those go first who were here before. */
static bool others_wait(struct slock *lock)
{
	uint32_t n = atomic_load(&lock->shared->waiters);

	if (!n)
		return false;
	if (others_before(lock->fd, INT64_MAX))
		return true;
	(void)atomic_compare_exchange_strong(&lock->shared->waiters, &n, 0);
	return false;
}

static void count_out(struct slock_shared *shared)
{
	uint32_t n = atomic_load(&shared->waiters);

	while (n && !atomic_compare_exchange_weak(&shared->waiters, &n, n - 1))
		;
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

static int wait_in_queue(struct slock *lock, uint32_t wait_ms)
{
	const int fd = lock->fd;
	uint64_t deadline = sm_monotonic_ns() + wait_ms * UINT64_C(1000000);
	off_t ticket = draw_ticket(fd);
	uint64_t pause_us = PAUSE_MIN_US;
	int r = -EAGAIN;

	(void)atomic_fetch_add(&lock->shared->waiters,
			       1); /* behind the ticket: who sees it, sees that */
	while (r == -EAGAIN && sm_monotonic_ns() < deadline) {
		bool behind = others_before(fd, ticket);
		uint64_t longest = behind ? PAUSE_MAX_US : PAUSE_HEAD_US;

		if (!atomic_load(&lock->shared->waiters)) /* somebody took us for dead */
			SM_DO("lock.waiters", atomic_store(&lock->shared->waiters, 1));
		if (!behind)
			r = lock_byte(fd, F_WRLCK, MAIN_BYTE);
		if (r != -EAGAIN)
			break;
		sleep_us(pause_us < longest ? pause_us : longest);
		pause_us = pause_us * 2 < PAUSE_MAX_US ? pause_us * 2 : PAUSE_MAX_US;
	}
	if (ticket)
		(void)lock_byte(fd, F_UNLCK, ticket);
	count_out(lock->shared);
	return r;
}

static pid_t own_pid;

static void forget_pid(void)
{
	own_pid = 0;
}

static void watch_forks(void)
{
	(void)pthread_atfork(NULL, NULL, forget_pid);
}

/* getpid() is a system call, and this is asked at each lock. */
static pid_t pid_of_us(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, watch_forks);
	if (!own_pid)
		own_pid = getpid();
	return own_pid;
}

/* The name of the program, once for each process. */
static const char *name_of_us(pid_t pid)
{
	static _Thread_local char comm[17];
	static _Thread_local pid_t of;

	if (of != pid && prctl(PR_GET_NAME, comm) == 0)
		of = pid;
	return comm;
}

static void parse(const char *text, struct slock_holder *ret)
{
	struct slock_holder h = { 0 };
	char uuid[SNAPMGR_UUID_TEXT] = "", boot[SNAPMGR_UUID_TEXT] = "";
	char copy[HOLDER_BYTES];

	(void)sm_copy_text(copy, sizeof(copy), text);
	copy[sizeof(copy) - 1] = '\0';
	if (sscanf(copy, "%d %16[^\n]\n%23s %129s %36s %" SCNd64 " %36s %" SCNu64 " %" SCNu32,
		   &h.pid, h.comm, h.verb, h.object, uuid, &h.started_at_us, boot, &h.start_ticks,
		   &h.head) < 9) {
		h.verb[0] = h.object[0] = '\0'; /* not told yet, or just being told */
	} else {
		(void)sm_uuid_parse(uuid, &h.uuid);
		(void)sm_uuid_parse(boot, &h.boot_id);
	}
	if (h.pid < 1 || !sm_utf8_valid(h.comm) || !sm_utf8_valid(h.verb) ||
	    !sm_utf8_valid(h.object))
		h = (struct slock_holder){ 0 };
	*ret = h;
}

static void write_name(struct slock *lock)
{
	const pid_t pid = pid_of_us();

	SM_DO("lock.name", (void)snprintf(lock->shared->holder, HOLDER_BYTES, "%d %s\n", (int)pid,
					  name_of_us(pid)));
}

/* Who holds it, for others to read; and, where that stays behind, the sign that its holder died. */
static void write_holder(struct slock *lock)
{
	const char *text = lock->shared->holder;

	lock->held = true;
	lock->unfinished = false;
	lock->noted = atomic_load(&lock->shared->notes);
	lock->abandoned = *text != '\0';
	if (lock->abandoned)
		parse(text, &lock->dead);
	write_name(lock);
}

void slock_tell(struct slock *lock, const struct slock_holder *doing)
{
	char uuid[SNAPMGR_UUID_TEXT], boot[SNAPMGR_UUID_TEXT];
	const pid_t pid = pid_of_us();

	if (!lock->held)
		return;
	sm_uuid_text(&doing->uuid, uuid);
	sm_uuid_text(&doing->boot_id, boot);
	SM_DO("lock.tell",
	      (void)snprintf(lock->shared->holder, HOLDER_BYTES,
			     "%d %s\n%s %s\n%s %" PRId64 "\n%s %" PRIu64 " %" PRIu32 "\n", (int)pid,
			     name_of_us(pid), doing->verb, doing->object, uuid,
			     doing->started_at_us, boot, doing->start_ticks, doing->head));
}

void slock_note(struct slock *lock, bool some)
{
	SM_DO("lock.note", atomic_store(&lock->shared->notes, some));
	lock->noted = some;
}

static void say_age(const struct slock_holder *h, char *ret, size_t size)
{
	int64_t seconds = (sm_now_us() - h->started_at_us) / 1000000;

	*ret = '\0';
	if (h->verb[0])
		(void)snprintf(ret, size, ": %s of '%s' since %" PRId64 " s", h->verb, h->object,
			       seconds > 0 ? seconds : 0);
}

static int held(const struct slock *lock, const char *name, struct snapmgr_err *err)
{
	struct slock_holder h;
	char doing[200];

	parse(lock->shared->holder, &h);
	if (!h.pid || (kill(h.pid, 0) < 0 && errno != EPERM))
		return sm_fail(err, SNAPMGR_LOCKED, EAGAIN, "lock '%s' is held by another process",
			       name);
	say_age(&h, doing, sizeof(doing));
	return sm_fail(err, SNAPMGR_LOCKED, EAGAIN, "lock '%s' is held by process %d (%s)%s", name,
		       h.pid, h.comm, doing);
}

/* Allocated before it is mapped: a hole in a full tmpfs would be a SIGBUS. */
static int map_file(int fd, struct slock_shared **ret)
{
	void *p;
	/* Leaves alone what is there. */
	int r = SM_STEP("lock.allocate", posix_fallocate(fd, 0, sizeof(**ret)));

	if (r > 0)
		return -r;
	p = sm_map_shared(fd, sizeof(**ret), 0);
	if (!p)
		return -errno;
	sm_fd_private(fd); /* a child of ours that outlived us would keep the lock */
	*ret = p;
	return 0;
}

static int open_file(const char *path)
{
	return SM_STEP("lock.open", open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
}

/* What the guard of volumes that are suspended gives to the program that is to recover them. */
static int open_inherited(const char *path)
{
	const char *text = secure_getenv(SLOCK_FD_ENV);
	struct stat ours, theirs;
	char *end;
	long fd = text ? strtol(text, &end, 10) : -1;

	if (fd < 0 || fd > INT_MAX || *end || fstat((int)fd, &ours) < 0 ||
	    stat(path, &theirs) < 0 || ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino)
		return -1;
	(void)fcntl((int)fd, F_SETFD, FD_CLOEXEC); /* not for programs that we start */
	return SM_STEP("lock.inherit", fcntl((int)fd, F_DUPFD_CLOEXEC, 0));
}

static _Atomic uint64_t serials = 1;

static void lock_path(const char *name, char ret[SCAT_RUN_PATH])
{
	if (name[0] == '/')
		(void)snprintf(ret, SCAT_RUN_PATH, "%s", name);
	else
		(void)snprintf(ret, SCAT_RUN_PATH, "%s/%s.lock", scat_run_dir(), name);
}

static int open_lock(const char *name, struct slock *ret, struct snapmgr_err *err)
{
	char path[SCAT_RUN_PATH];
	int r = 0;

	lock_path(name, path);
	*ret = (struct slock){ .fd = open_inherited(path) };
	ret->inherited = ret->fd >= 0;
	if (ret->fd < 0)
		ret->fd = open_file(path);
	if (ret->fd < 0 && errno == ENOENT && name[0] != '/') {
		r = sm_mkdir_p(scat_run_dir(), 0700, err);
		if (r < 0)
			return r;
		ret->fd = open_file(path);
	}
	r = ret->fd < 0 ? -errno : map_file(ret->fd, &ret->shared);
	ret->serial = atomic_fetch_add(&serials, 1);
	if (r == 0)
		return 0;
	sm_close_fd(ret->fd);
	*ret = SLOCK_NONE;
	return sm_fail(err, r == -EACCES || r == -EPERM ? SNAPMGR_PERMISSION : SNAPMGR_IO, r,
		       "cannot open lock '%s'", path);
}

int slock_retake(const char *name, uint32_t wait_ms, struct slock *lock, struct snapmgr_err *err)
{
	/* Those who wait, wait for what has been inherited. */
	int r = !lock->inherited && others_wait(lock) ? -EAGAIN :
							lock_byte(lock->fd, F_WRLCK, MAIN_BYTE);

	if (r == -EAGAIN && wait_ms > 0)
		r = wait_in_queue(lock, wait_ms);
	if (r == 0)
		write_holder(lock);
	else if (r == -EAGAIN)
		r = held(lock, name, err);
	else
		r = sm_fail(err, SNAPMGR_IO, r, "cannot take lock '%s'", name);
	return r;
}

static void close_lock(struct slock *lock)
{
	(void)munmap(lock->shared, sizeof(*lock->shared));
	sm_fd_public(lock->fd);
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
	if (!lock->abandoned && lock->unfinished)
		write_name(lock); /* what we did ourselves is done */
	else if (!lock->abandoned)
		SM_DO("lock.clear", memset(lock->shared->holder, 0, 1));
	if (!lock->inherited)
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

bool slock_ask(const char *name, struct slock_holder *ret)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	char path[SCAT_RUN_PATH], text[HOLDER_BYTES] = "";
	AUTO(sm_close_fd) int fd = -1;

	lock_path(name, path);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fcntl(fd, F_OFD_GETLK, &fl) < 0 || fl.l_type == F_UNLCK ||
	    pread(fd, text, sizeof(text) - 1, 0) < 0)
		return false;
	parse(text, ret);
	return ret->pid > 0;
}

int slock_borrow(const char *name)
{
	char path[SCAT_RUN_PATH];
	int fd, r;

	lock_path(name, path);
	fd = open_file(path);
	if (fd < 0)
		return -errno;
	r = lock_byte(fd, F_WRLCK, MAIN_BYTE);
	if (r == 0)
		return fd;
	(void)close(fd);
	return r;
}

void slock_return(int fd)
{
	(void)lock_byte(fd, F_UNLCK, MAIN_BYTE);
	(void)close(fd);
}
