/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guard of suspended devices: the process.
 *
 * No malloc, no stdio, no locks (it was forked from a program with threads), and until the devices run
 * again no memory that is not locked: what runs then has the attribute GUARD.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "dm/guard_child.h"

#define RESUME_TRIES 5
#define ANSWER_MS    10000 /* how long others may wait for a volume whose owner died */
#define ANSWER_STEP  5
#define LOCK_FD	     3
#define LOCK_ENV     "SNAPMGR_LOCK_FD=3"
#define ENV_MAX	     1000
#define STACK_BYTES  12288

#define GUARD __attribute__((section("sdm_guard_text"), noinline))

/* The linker's names for both ends of that section. */
extern const char __start_sdm_guard_text[] __attribute__((visibility("hidden")));
extern const char __stop_sdm_guard_text[] __attribute__((visibility("hidden")));

GUARD static bool forward(const struct guard_child *c)
{
	return atomic_load(&c->shared->state) == GUARD_COMMITTED;
}

GUARD static void dm_ioctl_on(const struct guard_child *c, unsigned long request, uint32_t i)
{
	struct dm_ioctl io = {
		.version = { DM_VERSION_MAJOR, 0, 0 },
		.data_size = sizeof(io),
		.data_start = sizeof(io),
	};
	int r;

	if (request == DM_DEV_SUSPEND && forward(c)) /* a resume: its flag is missing */
		io.event_nr = c->shared->devs[i].event_nr;
	for (size_t k = 0; k < SDM_NAME_MAX; k++)
		io.name[k] = c->shared->devs[i].name[k];
	for (int try = 0; try < RESUME_TRIES; try++) {
		struct dm_ioctl once = io;

		r = SM_STEP("guard.ioctl", ioctl(c->control, request, &once));
		if (r == 0 || errno == ENXIO)
			return;
		(void)poll(NULL, 0, 100);
	}
}

GUARD static void wake_devices(const struct guard_child *c)
{
	uint32_t n = c->shared->n;

	for (uint32_t i = n; !forward(c) && i > 0; i--)
		dm_ioctl_on(c, DM_TABLE_CLEAR, i - 1);
	for (uint32_t i = n; i > 0; i--)
		dm_ioctl_on(c, DM_DEV_SUSPEND, i - 1);
	for (size_t i = 0; i < c->n_fds && i < c->shared->n_thaw; i++)
		(void)SM_STEP("guard.thaw", ioctl(c->fds[i], FITHAW, 0));
}

static void drop_semaphore(uint32_t cookie)
{
	int id = cookie ? semget((key_t)cookie, 1, 0) : -1;

	if (id >= 0)
		(void)SM_STEP("guard.udev", semctl(id, 0, IPC_RMID));
}

/* With the lock, where that is given: it is open in the program, and named in its environment. */
static void run_recovery(struct guard_child *c, int lock)
{
	char *const argv[] = { c->shared->program, c->shared->verb, c->shared->pool, NULL };
	char *env[ENV_MAX + 2] = { NULL }, word[] = LOCK_ENV;
	struct sigaction plain = { .sa_handler = SIG_DFL };
	sigset_t none;
	size_t n = 0;
	int fd;

	for (int s = 1; s < NSIG; s++)
		(void)sigaction(s, &plain, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0);
	if (c->oom >= 0)
		(void)!write(c->oom, c->oom_before, strlen(c->oom_before));
	if (lock >= 0 && (lock == LOCK_FD ? fcntl(lock, F_SETFD, 0) : dup2(lock, LOCK_FD)) < 0)
		return;
	(void)syscall(SYS_close_range, 0, LOCK_FD - 1, 0);
	(void)syscall(SYS_close_range, lock >= 0 ? LOCK_FD + 1 : LOCK_FD, ~0U, 0);
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < 2);
	if (fd > LOCK_FD - 1)
		(void)close(fd);
	for (; n < ENV_MAX && environ && environ[n]; n++)
		env[n] = environ[n];
	if (lock >= 0)
		env[n] = word;
	(void)SM_STEP("guard.recover", execvpe(argv[0], argv, env));
}

/* The devices run: from here on nothing is forbidden any more. */
static void recover(struct guard_child *c)
{
	if (*c->shared->program)
		run_recovery(c, -1);
}

/* With a process group of its own: what it starts has the lock, too, and has to go with it. */
static void answer(struct guard_child *c, int lock)
{
	(void)setpgid(0, 0);
	run_recovery(c, lock);
	_exit(127);
}

/* Return: 0, -EAGAIN where it still runs, or another error. */
GUARD static int look_for(pid_t pid)
{
	int status;
	pid_t r = waitpid(pid, &status, WNOHANG | __WALL);

	if (r == 0)
		return -EAGAIN;
	return r == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

/*
 * The owner died in its commit. Which tables are right, the catalogue knows; so the recovery program is
 * run now, and resumes them. It may need what is suspended (the root filesystem, if it is not in
 * memory), and hangs then: so it gets a time, after which it is killed, and runs no further than the
 * end of whatever it hangs in. Return: whether all is done.
 */
GUARD static bool is_settled(struct guard_child *c)
{
	const int lock = c->n_fds > c->shared->n_thaw ? c->fds[c->shared->n_thaw] : -1;
	int r = -EAGAIN;
	long pid;

	if (atomic_load(&c->shared->state) != GUARD_COMMITTING || !*c->shared->program)
		return false;
	pid = SM_STEP("guard.ask", syscall(SYS_clone, 0UL, NULL, NULL, NULL, 0UL));
	if (pid == 0)
		answer(c, lock);
	for (int ms = 0; pid > 0 && r == -EAGAIN && ms < ANSWER_MS; ms += ANSWER_STEP) {
		(void)poll(NULL, 0, ANSWER_STEP);
		r = look_for((pid_t)pid);
	}
	if (pid > 0 && r == -EAGAIN)
		(void)SM_STEP("guard.give_up", kill(-(pid_t)pid, SIGKILL));
	return pid > 0 && r == 0;
}

GUARD size_t sdm_guard_take_fds(int sock, int fds[GUARD_FDS_MAX])
{
	union guard_message control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	size_t n = 0;

	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control);
	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) <= 0 ||
	    msg.msg_controllen < sizeof(control.head) || control.head.cmsg_type != SCM_RIGHTS)
		return 0;
	for (; n < (control.head.cmsg_len - CMSG_LEN(0)) / sizeof(int); n++)
		fds[n] = ((const int *)(const void *)CMSG_DATA(&control.head))[n];
	return n;
}

GUARD void sdm_guard_close_fds(const int fds[], size_t n)
{
	while (n > 0)
		(void)close(fds[--n]);
}

GUARD static void raise_alarm(struct guard_child *c)
{
	bool settled;

	if (atomic_load(&c->shared->state) == GUARD_IDLE)
		_exit(0);
	c->n_fds = sdm_guard_take_fds(c->sock, c->fds);
	settled = is_settled(c);
	if (!settled)
		wake_devices(c);
	/* The pool's lock goes when all is running. */
	SM_DO("guard.unlock", sdm_guard_close_fds(c->fds, c->n_fds));
	drop_semaphore(c->shared->cookie);
	if (!settled)
		recover(c);
	_exit(0);
}

GUARD static void watch(struct guard_child *c)
{
	for (;;) {
		struct pollfd polled[2] = { { .fd = c->sock },
					    { .fd = c->owner, .events = POLLIN } };

		if (poll(polled, 2, -1) > 0)
			raise_alarm(c);
	}
}

static void lock_page_of(const void *p, size_t len)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)p & ~(page - 1);

	(void)mlock((const void *)at, (uintptr_t)p + len - at); /* best effort */
}

/* What the functions called next will use of it. */
__attribute__((noinline)) static void lock_stack(void)
{
	volatile char room[STACK_BYTES];

	for (size_t i = 0; i < sizeof(room); i += 1024)
		room[i] = 0;
	lock_page_of((const void *)(uintptr_t)room, sizeof(room));
}

/* Its words, its stack, its code, and the few functions of libc that it calls. */
static void lock_memory(const struct guard_child *c)
{
	lock_page_of(c->shared, sizeof(*c->shared));
	lock_page_of(c, sizeof(*c));
	lock_stack();
	lock_page_of(&errno, sizeof(errno));
	lock_page_of(__start_sdm_guard_text,
		     (size_t)(__stop_sdm_guard_text - __start_sdm_guard_text));
	lock_page_of((const void *)(uintptr_t)ioctl, 128);
	lock_page_of((const void *)(uintptr_t)poll, 256);
	lock_page_of((const void *)(uintptr_t)syscall, 128);
	lock_page_of((const void *)(uintptr_t)waitpid, 256);
	lock_page_of((const void *)(uintptr_t)kill, 128);
	lock_page_of((const void *)(uintptr_t)close, 128);
	lock_page_of((const void *)(uintptr_t)recvmsg, 256);
	lock_page_of((const void *)(uintptr_t)memcpy, 1024);
	lock_page_of((const void *)(uintptr_t)memset, 1024);
}

/* All but @keep, which is sorted. */
static void close_others(const int keep[], size_t n)
{
	unsigned int from = 0;

	for (size_t i = 0; i < n; i++) {
		if (keep[i] < 0)
			continue;
		if ((unsigned int)keep[i] > from)
			(void)syscall(SYS_close_range, from, (unsigned int)keep[i] - 1, 0);
		from = (unsigned int)keep[i] + 1;
	}
	(void)syscall(SYS_close_range, from, ~0U, 0);
}

static void sort3(int v[3])
{
	for (int i = 0; i < 2; i++)
		for (int k = 0; k < 2 - i; k++)
			if (v[k] > v[k + 1]) {
				int higher = v[k];

				v[k] = v[k + 1];
				v[k + 1] = higher;
			}
}

void sdm_guard_watch(struct guard_child *c)
{
	int keep[3] = { c->sock, c->control, c->owner };

	sort3(keep);
	close_others(keep, 3);
	(void)setsid(); /* a terminal's Ctrl-C is not for it */
	(void)!chdir("/");
	(void)prctl(PR_SET_NAME, "snapmgr-guard");
	(void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	c->oom = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	if (c->oom >= 0 && read(c->oom, c->oom_before, sizeof(c->oom_before) - 1) > 0)
		(void)!write(c->oom, "-1000", 5);
	lock_memory(c);
	(void)send(c->sock, "", 1, MSG_NOSIGNAL); /* ready */
	watch(c);
	_exit(0);
}
