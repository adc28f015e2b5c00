/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors that a forked child does not get. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base.h"

#define MAX_PRIVATE 256 /* of a process; what is beyond goes to children as others do */

static _Atomic int slots[MAX_PRIVATE]; /* a descriptor plus one; 0: free */

/* In the child: only what a signal handler may call. The numbers stay taken, for whoever closes them. */
static void in_child(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (size_t i = 0; i < MAX_PRIVATE; i++) {
		int fd = atomic_exchange(&slots[i], 0) - 1;

		if (fd >= 0 && (null < 0 || dup3(null, fd, O_CLOEXEC) < 0))
			(void)close(fd);
	}
	sm_close_fd(null);
}

static void watch_forks(void)
{
	(void)pthread_atfork(NULL, NULL, in_child);
}

void sm_fd_private(int fd)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, watch_forks);
	for (size_t i = 0; i < MAX_PRIVATE; i++) {
		int free_slot = 0;

		if (atomic_compare_exchange_strong(&slots[i], &free_slot, fd + 1))
			return;
	}
}

void sm_fd_public(int fd)
{
	for (size_t i = 0; i < MAX_PRIVATE; i++) {
		int ours = fd + 1;

		if (atomic_compare_exchange_strong(&slots[i], &ours, 0))
			return;
	}
}

/* Of an open file of its own: a mapping holds that open, and so its locks. */
void *sm_map_shared(int fd, size_t len, off_t at)
{
	char path[32];
	void *p;
	int own;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_RDWR | O_CLOEXEC);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, own >= 0 ? own : fd, at);
	sm_close_fd(own);
	return p == MAP_FAILED ? NULL : p;
}
