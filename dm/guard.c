/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guard of suspended devices, both sides.
 *
 * What it has to do lies in memory that both share (of the plan only: an own address space keeps it
 * alive where the OOM killer ends all that share one), and the descriptors that it needs for it lie
 * unread in a socket, which keeps them open. So neither arming nor dismissing wakes it; the end of its
 * owner, or of the socket's other side, does. The owner has both sides, to take the descriptors back.
 *
 * Everything with the attribute GUARD runs in the child: no malloc, no stdio, no locks, no memory that
 * is not locked, until the devices run again.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "dm/guard.h"

#define CONTROL	     "/dev/mapper/control"
#define DEVICES_MAX  240
#define FDS_MAX	     250 /* the kernel passes 253 at once */
#define START_MS     10000
#define RESUME_TRIES 5
#define STACK_BYTES  12288

#define GUARD __attribute__((section("sdm_guard_text"), noinline))

enum state { IDLE, ARMED, COMMITTED };

struct shared {
	_Atomic int state;
	uint32_t n, cookie;
	char pool[SNAPMGR_NAME_MAX + 1];
	char program[4096];
	char verb[8];
	struct {
		uint32_t event_nr;
		char name[SDM_NAME_MAX];
	} devs[DEVICES_MAX];
};

struct sdm_guard {
	struct sdm_guard *next; /* in the list of idle ones */
	struct shared *shared;
	pid_t owner, pid;
	int sock, theirs;
};

/* What the child knows. */
struct child {
	struct shared *shared;
	int sock, control, owner, oom;
	size_t n_fds;
	int fds[FDS_MAX];
};

union fd_message {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int) * FDS_MAX)];
};

static struct {
	pthread_mutex_t lock;
	struct sdm_guard *idle;
} guards = { .lock = PTHREAD_MUTEX_INITIALIZER };

extern const char __start_sdm_guard_text[] __attribute__((visibility("hidden")));
extern const char __stop_sdm_guard_text[] __attribute__((visibility("hidden")));

/* ---- the child ---- */

GUARD static void dm_ioctl_on(const struct child *c, unsigned long request, uint32_t i)
{
	struct dm_ioctl io = {
		.version = { DM_VERSION_MAJOR, 0, 0 },
		.data_size = sizeof(io),
		.data_start = sizeof(io),
	};
	int r;

	if (request == DM_DEV_SUSPEND) /* without its flag that is a resume */
		io.event_nr = c->shared->devs[i].event_nr;
	for (size_t k = 0; k < SDM_NAME_MAX; k++)
		io.name[k] = c->shared->devs[i].name[k];
	for (int try = 0; try < RESUME_TRIES; try++) {
		struct dm_ioctl once = io;

		r = ioctl(c->control, request, &once);
		if (r == 0 || errno == ENXIO)
			return;
		(void)poll(NULL, 0, 100);
	}
}

GUARD static void wake_devices(const struct child *c)
{
	bool forward = atomic_load(&c->shared->state) == COMMITTED;
	uint32_t n = c->shared->n;

	for (uint32_t i = n; !forward && i > 0; i--)
		dm_ioctl_on(c, DM_TABLE_CLEAR, i - 1);
	for (uint32_t i = n; i > 0; i--)
		dm_ioctl_on(c, DM_DEV_SUSPEND, i - 1);
	for (size_t i = 0; i < c->n_fds; i++)
		(void)ioctl(c->fds[i], FITHAW, 0); /* the lock's answers ENOTTY or EINVAL */
}

static void drop_semaphore(uint32_t cookie)
{
	int id = cookie ? semget((key_t)cookie, 1, 0) : -1;

	if (id >= 0)
		(void)semctl(id, 0, IPC_RMID);
}

/* The devices run: from here on nothing is forbidden any more. */
static void recover(struct child *c)
{
	char *const argv[] = { c->shared->program, c->shared->verb, c->shared->pool, NULL };
	struct sigaction plain = { .sa_handler = SIG_DFL };
	sigset_t none;
	int fd;

	if (!*c->shared->program)
		return;
	for (int s = 1; s < NSIG; s++)
		(void)sigaction(s, &plain, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (c->oom >= 0)
		(void)!write(c->oom, "0", 1);
	do
		fd = open("/dev/null", O_RDWR); /* for 0, 1, 2, which are free */
	while (fd >= 0 && fd < 2);
	(void)execve(argv[0], argv, environ);
}

/* What lies in the socket. Both sides use it: the one to act, the other to take it back. */
GUARD static size_t take_fds(int sock, int fds[FDS_MAX])
{
	union fd_message control;
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

GUARD static void close_fds(const int fds[], size_t n)
{
	while (n > 0)
		(void)close(fds[--n]);
}

GUARD static void raise_alarm(struct child *c)
{
	if (atomic_load(&c->shared->state) == IDLE)
		_exit(0);
	c->n_fds = take_fds(c->sock, c->fds);
	wake_devices(c);
	close_fds(c->fds, c->n_fds); /* the pool's lock goes when all is running */
	drop_semaphore(c->shared->cookie);
	recover(c);
	_exit(0);
}

GUARD static void watch(struct child *c)
{
	for (;;) {
		struct pollfd polled[2] = { { .fd = c->sock }, { .fd = c->owner, .events = POLLIN } };

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
static void lock_memory(const struct child *c)
{
	lock_page_of(c->shared, sizeof(*c->shared));
	lock_page_of(c, sizeof(*c));
	lock_stack();
	lock_page_of(&errno, sizeof(errno));
	lock_page_of(__start_sdm_guard_text,
		     (size_t)(__stop_sdm_guard_text - __start_sdm_guard_text));
	lock_page_of((const void *)(uintptr_t)ioctl, 128);
	lock_page_of((const void *)(uintptr_t)poll, 256);
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

__attribute__((noreturn)) static void child_main(struct child *c)
{
	int keep[3] = { c->sock, c->control, c->owner };

	sort3(keep);
	close_others(keep, 3);
	(void)setsid(); /* a terminal's Ctrl-C is not for it */
	(void)!chdir("/");
	(void)prctl(PR_SET_NAME, "snapmgr-guard");
	(void)prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	c->oom = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (c->oom >= 0)
		(void)!write(c->oom, "-1000", 5);
	lock_memory(c);
	(void)send(c->sock, "", 1, MSG_NOSIGNAL); /* ready */
	watch(c);
	_exit(0);
}

/* ---- the owner ---- */

static void end(struct sdm_guard *g)
{
	if (!g)
		return;
	sm_close_fd(g->sock);
	sm_close_fd(g->theirs);
	if (g->shared)
		(void)munmap(g->shared, sizeof(*g->shared));
	if (g->pid > 0 && g->owner == getpid()) {
		(void)kill(g->pid, SIGKILL); /* should it be stopped */
		(void)waitpid(g->pid, NULL, __WALL);
	}
	free(g);
}

static struct sdm_guard *new_guard(void)
{
	struct sdm_guard *g = calloc(1, sizeof(*g));
	void *shared = mmap(NULL, sizeof(*g->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0);

	if (g && shared != MAP_FAILED) {
		g->shared = shared;
		g->owner = getpid();
		g->sock = g->theirs = -1;
		return g;
	}
	if (shared != MAP_FAILED)
		(void)munmap(shared, sizeof(*g->shared));
	free(g);
	return NULL;
}

/*
 * A child whose end sends no signal, made without libc's fork handlers: it calls nothing that would need
 * them. All its signals are blocked for good.
 */
static pid_t fork_guard(struct sdm_guard *g, int sock, int control, int owner)
{
	struct child c = { .shared = g->shared, .sock = sock, .control = control, .owner = owner };
	sigset_t all, before;
	long pid;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = syscall(SYS_clone, 0UL, NULL, NULL, NULL, 0UL);
	if (pid == 0)
		child_main(&c);
	if (pid < 0)
		pid = -errno;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return (pid_t)pid;
}

static int start_process(struct sdm_guard *g)
{
	AUTO(sm_close_fd) int control = open(CONTROL, O_RDWR | O_CLOEXEC);
	AUTO(sm_close_fd) int owner = (int)syscall(SYS_pidfd_open, getpid(), 0); /* -1: the socket tells */
	int socks[2];

	if (control < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks) < 0)
		return -errno;
	g->sock = socks[0];
	g->theirs = socks[1];
	g->pid = fork_guard(g, g->theirs, control, owner);
	return g->pid < 0 ? g->pid : 0;
}

static int await_ready(const struct sdm_guard *g)
{
	struct pollfd answer = { .fd = g->sock, .events = POLLIN };
	char byte;
	int r;

	do
		r = poll(&answer, 1, START_MS);
	while (r < 0 && errno == EINTR);
	return r > 0 && recv(g->sock, &byte, 1, MSG_DONTWAIT) == 1 ? 0 : -ETIMEDOUT;
}

static int start(struct sdm_guard **ret, struct snapmgr_err *err)
{
	struct sdm_guard *g = new_guard();
	int r;

	if (!g)
		return sm_nomem(err);
	r = start_process(g);
	if (r == 0)
		r = await_ready(g);
	if (r < 0) {
		end(g);
		return sm_fail(err, SNAPMGR_KERNEL, r, "cannot start the guard of suspended volumes");
	}
	*ret = g;
	return 0;
}

static int write_plan(struct shared *s, const struct sdm_guard_plan *plan, struct snapmgr_err *err)
{
	const struct sdm_switch_opts *opts = plan->opts;
	const char *program = opts->recover_program ? opts->recover_program : "";

	if (plan->n > DEVICES_MAX || opts->n_thaw >= FDS_MAX)
		return sm_fail(err, SNAPMGR_UNSUPPORTED, E2BIG, "at most %d volumes at once", DEVICES_MAX);
	s->n = (uint32_t)plan->n;
	s->cookie = plan->cookie;
	for (size_t i = 0; i < plan->n; i++) {
		s->devs[i].event_nr = sdm_udev_event(plan->devs[i].dev->audience);
		memcpy(s->devs[i].name, plan->devs[i].dev->name, SDM_NAME_MAX);
	}
	memcpy(s->verb, "recover", sizeof(s->verb));
	if (sm_copy_text(s->program, sizeof(s->program), program) < 0 ||
	    sm_copy_text(s->pool, sizeof(s->pool), opts->pool ? opts->pool : "") < 0)
		return sm_fail(err, SNAPMGR_INTERNAL, ENAMETOOLONG, "recovery program's path is too long");
	return 0;
}

static int send_fds(int sock, const int *fds, size_t n)
{
	union fd_message control;
	struct iovec iov = { "", 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	msg.msg_control = &control;
	msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
	control.head = (struct cmsghdr){
		.cmsg_level = SOL_SOCKET,
		.cmsg_type = SCM_RIGHTS,
		.cmsg_len = CMSG_LEN(sizeof(int) * n),
	};
	memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * n);
	return sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? 0 : -errno;
}

static int arm(struct sdm_guard *g, const struct sdm_guard_plan *plan)
{
	int fds[FDS_MAX];
	size_t n = plan->opts->n_thaw;
	int r;

	if (n)
		memcpy(fds, plan->opts->thaw_fds, n * sizeof(*fds));
	if (plan->opts->lock_fd >= 0)
		fds[n++] = plan->opts->lock_fd;
	r = n ? send_fds(g->sock, fds, n) : 0;
	if (r == 0)
		atomic_store(&g->shared->state, ARMED);
	return r;
}

static struct sdm_guard *take_idle(void)
{
	struct sdm_guard *g;

	(void)pthread_mutex_lock(&guards.lock);
	g = guards.idle;
	if (g)
		guards.idle = g->next;
	(void)pthread_mutex_unlock(&guards.lock);
	return g;
}

/* Of this process, not of one that forked us, and not killed. */
static bool of_use(struct sdm_guard *g)
{
	if (g->owner != getpid())
		return false;
	if (waitpid(g->pid, NULL, WNOHANG | __WALL) == 0)
		return true;
	g->pid = 0;
	return false;
}

static int find(struct sdm_guard **ret, struct snapmgr_err *err)
{
	struct sdm_guard *g;

	while ((g = take_idle())) {
		if (of_use(g)) {
			*ret = g;
			return 0;
		}
		end(g);
	}
	return start(ret, err);
}

int sdm_guard_arm(const struct sdm_guard_plan *plan, struct sdm_guard **ret, struct snapmgr_err *err)
{
	struct sdm_guard *g = NULL;
	int r = find(&g, err);

	if (r < 0)
		return r;
	r = write_plan(g->shared, plan, err);
	if (r == 0) {
		r = arm(g, plan);
		if (r < 0)
			r = sm_fail(err, SNAPMGR_KERNEL, r, "cannot instruct the guard of suspended volumes");
	}
	if (r < 0)
		end(g);
	else
		*ret = g;
	return r;
}

void sdm_guard_committed(struct sdm_guard *g)
{
	atomic_store(&g->shared->state, COMMITTED);
}

void sdm_guard_dismiss(struct sdm_guard *g)
{
	int fds[FDS_MAX];

	if (!g)
		return;
	atomic_store(&g->shared->state, IDLE);
	close_fds(fds, take_fds(g->theirs, fds));
	(void)pthread_mutex_lock(&guards.lock);
	g->next = guards.idle;
	guards.idle = g;
	(void)pthread_mutex_unlock(&guards.lock);
}

void sdm_guard_abandon(struct sdm_guard *g)
{
	if (!g)
		return;
	g->pid = 0; /* what it runs then may wait for a lock of ours */
	end(g);
}

void sdm_release(void)
{
	struct sdm_guard *g;

	while ((g = take_idle()))
		end(g);
}
