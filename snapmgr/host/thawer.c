/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A small process that outlives us by the moment that a thaw takes. */
#include "thawer.h"

#include <errno.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct shared {
	size_t n;
	struct {
		int fd;
		atomic_bool frozen;
	} fs[];
};

struct shost_thawer {
	struct shared *shared;
	size_t bytes;
	pid_t pid;
	int sock;
};

static bool is_kept(const struct shared *s, int fd)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->fs[i].fd == fd)
			return true;
	return false;
}

/* All but ours: a lock that stayed open here would stay locked. */
static void close_others(const struct shared *s, int sock)
{
	int last = sock;

	for (size_t i = 0; i < s->n; i++)
		last = s->fs[i].fd > last ? s->fs[i].fd : last;
	for (int fd = 0; fd < last; fd++)
		if (fd != sock && !is_kept(s, fd))
			(void)close(fd);
	(void)syscall(SYS_close_range, (unsigned int)last + 1, ~0U, 0);
}

/* No malloc, no stdio, no locks: it was forked from a program with threads. */
__attribute__((noreturn)) static void watch(struct shared *s, int sock)
{
	char byte;

	close_others(s, sock);
	(void)setsid(); /* a terminal's Ctrl-C is not for it */
	(void)!chdir("/");
	(void)prctl(PR_SET_NAME, "snapmgr-thawer");
	(void)send(sock, "", 1, MSG_NOSIGNAL); /* ready: nothing of its owner's is open here */
	while (recv(sock, &byte, 1, 0) < 0 && errno == EINTR)
		;
	for (size_t i = s->n; i-- > 0;)
		if (atomic_load(&s->fs[i].frozen))
			(void)SM_STEP("thawer.thaw", ioctl(s->fs[i].fd, FITHAW, 0));
	_exit(0);
}

/* As dm/guard.c does it: the end of such a child sends no signal. */
static int start_process(struct shost_thawer *t)
{
	sigset_t all, before;
	int socks[2], r = 0;
	char byte;
	long pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks) < 0)
		return -errno;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = syscall(SYS_clone, 0UL, NULL, NULL, NULL, 0UL);
	if (pid == 0)
		watch(t->shared, socks[1]);
	if (pid < 0)
		r = -errno;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)close(socks[1]);
	t->sock = socks[0];
	t->pid = pid < 0 ? 0 : (pid_t)pid;
	while (r == 0 && recv(t->sock, &byte, 1, 0) != 1)
		r = errno == EINTR ? 0 : -EPIPE;
	return r;
}

static struct shost_thawer *new_thawer(const int *fds, size_t n)
{
	struct shost_thawer *t = calloc(1, sizeof(*t));
	void *p;

	if (!t)
		return NULL;
	t->sock = -1;
	t->bytes = sizeof(*t->shared) + n * sizeof(t->shared->fs[0]);
	p = mmap(NULL, t->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		free(t);
		return NULL;
	}
	t->shared = p;
	t->shared->n = n;
	for (size_t i = 0; i < n; i++)
		t->shared->fs[i].fd = fds[i];
	return t;
}

int shost_thawer_start(const int *fds, size_t n, struct shost_thawer **ret, struct snapmgr_err *err)
{
	struct shost_thawer *t = new_thawer(fds, n);
	int r;

	if (!t)
		return sm_nomem(err);
	r = SM_STEP("thawer.fork", start_process(t));
	if (r < 0) {
		shost_thawer_end(t);
		return sm_fail(err, SNAPMGR_KERNEL, r,
			       "cannot start the guard of frozen filesystems");
	}
	*ret = t;
	return 0;
}

void shost_thawer_mark(struct shost_thawer *t, size_t i, bool frozen)
{
	SM_DO("thawer.mark", atomic_store(&t->shared->fs[i].frozen, frozen));
}

void shost_thawer_end(struct shost_thawer *t)
{
	if (!t)
		return;
	if (t->pid > 0) {
		(void)SM_STEP("thawer.end", kill(t->pid, SIGKILL));
		(void)waitpid(t->pid, NULL, __WALL);
	}
	sm_close_fd(t->sock);
	(void)munmap(t->shared, t->bytes);
	free(t);
}
