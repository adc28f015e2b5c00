/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guard of suspended devices: its owner's side.
 *
 * What it has to do lies in memory that both share (of the plan only: an own address space keeps it
 * alive where the OOM killer ends all that share one), and the descriptors that it needs for it lie
 * unread in a socket, which keeps them open. So neither arming nor dismissing wakes it; the end of its
 * owner, or of the socket's other side, does. The owner has both sides, to take the descriptors back.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "dm/guard.h"
#include "dm/guard_child.h"

#define CONTROL	 "/dev/mapper/control"
#define START_MS 10000

struct sdm_guard {
	struct sdm_guard *next; /* in the list of idle ones */
	struct guard_shared *shared;
	pid_t owner, pid;
	uint64_t kept; /* the serial of a lock that still lies in the socket; 0: nothing does */
	int sock, theirs;
};

static struct {
	pthread_mutex_t lock;
	struct sdm_guard *idle;
} guards = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void end(struct sdm_guard *g)
{
	if (!g)
		return;
	sm_fd_public(g->sock);
	sm_fd_public(g->theirs);
	sm_close_fd(g->sock);
	sm_close_fd(g->theirs);
	if (g->shared)
		(void)munmap(g->shared, sizeof(*g->shared));
	if (g->pid > 0 && g->owner == getpid()) {
		(void)SM_STEP("guard.end", kill(g->pid, SIGKILL)); /* should it be stopped */
		(void)waitpid(g->pid, NULL, __WALL);
	}
	free(g);
}

static struct sdm_guard *new_guard(void)
{
	struct sdm_guard *g = calloc(1, sizeof(*g));
	void *shared = mmap(NULL, sizeof(*g->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

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
	struct guard_child c = {
		.shared = g->shared, .sock = sock, .control = control, .owner = owner
	};
	sigset_t all, before;
	long pid;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = syscall(SYS_clone, 0UL, NULL, NULL, NULL, 0UL);
	if (pid == 0)
		sdm_guard_watch(&c);
	if (pid < 0)
		pid = -errno;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return (pid_t)pid;
}

static int start_process(struct sdm_guard *g)
{
	AUTO(sm_close_fd) int control = open(CONTROL, O_RDWR | O_CLOEXEC);
	/* Where the kernel has none, the socket's end must do. */
	AUTO(sm_close_fd) int owner = (int)syscall(SYS_pidfd_open, getpid(), 0);
	int socks[2];

	if (control < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks) < 0)
		return -errno;
	g->sock = socks[0];
	g->theirs = socks[1];
	sm_fd_private(g->sock); /* the lock may lie in it */
	sm_fd_private(g->theirs);
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
	r = SM_STEP("guard.fork", start_process(g));
	if (r == 0)
		r = await_ready(g);
	if (r < 0) {
		end(g);
		return sm_fail(err, SNAPMGR_KERNEL, r,
			       "cannot start the guard of suspended volumes");
	}
	*ret = g;
	return 0;
}

/* It changes its folder, so a path that begins here would not lead there. */
static int write_program(struct guard_shared *s, const char *program)
{
	if (*program == '/' || !strchr(program, '/'))
		return sm_copy_text(s->program, sizeof(s->program), program);
	return realpath(program, s->program) ? 0 : -errno;
}

static int write_plan(struct guard_shared *s, const struct sdm_guard_plan *plan,
		      struct snapmgr_err *err)
{
	const struct sdm_switch_opts *opts = plan->opts;
	int r;

	if (plan->n > GUARD_DEVICES_MAX || opts->n_thaw >= GUARD_FDS_MAX)
		return sm_fail(err, SNAPMGR_UNSUPPORTED, E2BIG, "at most %d volumes at once",
			       GUARD_DEVICES_MAX);
	s->n = (uint32_t)plan->n;
	s->n_thaw = (uint32_t)opts->n_thaw;
	s->cookie = plan->cookie;
	for (size_t i = 0; i < plan->n; i++) {
		s->devs[i].event_nr = sdm_udev_event(plan->devs[i].dev->audience);
		memcpy(s->devs[i].name, plan->devs[i].dev->name, SDM_NAME_MAX);
	}
	(void)sm_copy_text(s->verb, sizeof(s->verb), "recover");
	(void)sm_copy_text(s->pool, sizeof(s->pool), opts->pool ? opts->pool : "");
	r = write_program(s, opts->recover_program ? opts->recover_program : "");
	return r < 0 ? sm_fail(err, SNAPMGR_USAGE, r, "no recovery program '%s'",
			       opts->recover_program) :
		       0;
}

static int send_fds(int sock, const int *fds, size_t n)
{
	union guard_message control;
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
	if (SM_STEP("guard.send", sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT)) != 1)
		return -errno;
	return 0;
}

static void take_back(struct sdm_guard *g)
{
	int fds[GUARD_FDS_MAX];

	g->kept = 0;
	SM_DO("guard.take", sdm_guard_close_fds(fds, sdm_guard_take_fds(g->theirs, fds)));
}

/* A lock that is used again and again stays with the guard: who gives it up unlocks it for all copies. */
static int arm(struct sdm_guard *g, const struct sdm_guard_plan *plan)
{
	const uint64_t lock = plan->opts->n_thaw ? 0 : plan->opts->lock_serial;
	int fds[GUARD_FDS_MAX];
	size_t n = plan->opts->n_thaw;
	int r;

	if (g->kept && g->kept == lock) {
		SM_DO("guard.arm", atomic_store(&g->shared->state, GUARD_ARMED));
		return 0;
	}
	if (g->kept)
		take_back(g);
	if (n)
		memcpy(fds, plan->opts->thaw_fds, n * sizeof(*fds));
	if (plan->opts->lock_fd >= 0)
		fds[n++] = plan->opts->lock_fd;
	r = n ? send_fds(g->sock, fds, n) : 0;
	if (r == 0)
		SM_DO("guard.arm", atomic_store(&g->shared->state, GUARD_ARMED));
	if (r == 0)
		g->kept = lock;
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

int sdm_guard_arm(const struct sdm_guard_plan *plan, struct sdm_guard **ret,
		  struct snapmgr_err *err)
{
	struct sdm_guard *g = NULL;
	int r = find(&g, err);

	if (r < 0)
		return r;
	r = write_plan(g->shared, plan, err);
	if (r == 0) {
		r = arm(g, plan);
		if (r < 0)
			r = sm_fail(err, SNAPMGR_KERNEL, r,
				    "cannot instruct the guard of suspended volumes");
	}
	if (r < 0)
		end(g);
	else
		*ret = g;
	return r;
}

void sdm_guard_committing(struct sdm_guard *g)
{
	SM_DO("guard.committing", atomic_store(&g->shared->state, GUARD_COMMITTING));
}

void sdm_guard_undecided(struct sdm_guard *g)
{
	SM_DO("guard.undecided", atomic_store(&g->shared->state, GUARD_ARMED));
}

void sdm_guard_committed(struct sdm_guard *g)
{
	SM_DO("guard.committed", atomic_store(&g->shared->state, GUARD_COMMITTED));
}

void sdm_guard_dismiss(struct sdm_guard *g)
{
	if (!g)
		return;
	SM_DO("guard.idle", atomic_store(&g->shared->state, GUARD_IDLE));
	if (!g->kept)
		take_back(g);
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
