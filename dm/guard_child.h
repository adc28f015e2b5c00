/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guard_child.h - between the two halves of the guard: guard.c and guard_child.c. */
#ifndef SDM_GUARD_CHILD_H
#define SDM_GUARD_CHILD_H

#include <stdatomic.h>
#include <sys/socket.h>

#include "dm/sdm.h"

#define GUARD_DEVICES_MAX 240
#define GUARD_FDS_MAX	  250 /* the kernel passes 253 at once */

/* While COMMITTING only what the commit left on the disks says which tables are right. */
enum guard_state { GUARD_IDLE, GUARD_ARMED, GUARD_COMMITTING, GUARD_COMMITTED };

/* The plan, in memory that both share. */
struct guard_shared {
	_Atomic int state; /* enum guard_state */
	uint32_t n, n_thaw, cookie;
	char pool[SNAPMGR_NAME_MAX + 1];
	char program[4096];
	char verb[8];
	struct {
		uint32_t event_nr;
		char name[SDM_NAME_MAX];
	} devs[GUARD_DEVICES_MAX];
};

struct guard_child {
	struct guard_shared *shared;
	int sock, control, owner, oom;
	char oom_before[8];
	size_t n_fds;
	int fds[GUARD_FDS_MAX];
};

union guard_message {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int) * GUARD_FDS_MAX)];
};

/* sdm_guard_watch() - the child's whole life: says a byte when it is ready, then waits for the end. */
void sdm_guard_watch(struct guard_child *c) __attribute__((noreturn));
/* What lies in the socket. Both sides use it: the one to act, the other to take it back. */
size_t sdm_guard_take_fds(int sock, int fds[GUARD_FDS_MAX]);
void sdm_guard_close_fds(const int fds[], size_t n);

#endif
