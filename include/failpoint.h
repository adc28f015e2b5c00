/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * failpoint.h - places where a test build can be made to die: both sides of each call that changes
 * something durable or the kernel
 *
 * Only a build with FAILPOINTS=1 has them; in any other the macros are the bare call. scripts/check-
 * failpoints finds the calls that have none. In the environment of a program of such a build:
 *
 *   SM_FAIL=POINT:N[,POINT:N...]  SIGKILL to whichever process comes to POINT for the N-th time
 *   SM_FAIL_LOG=PATH              each point passed is appended to this file, a line each
 *
 * POINT is the name here and the side of the call, as in "commit.before". Processes that were forked
 * before a point count on from what their parent had counted.
 */
#ifndef SM_FAILPOINT_H
#define SM_FAILPOINT_H

#ifdef SNAPMGR_FAILPOINTS

#include <stdbool.h>

enum sm_failpoint_side { SM_BEFORE, SM_AFTER };

void sm_failpoint(const char *name, enum sm_failpoint_side side);

/**
 * sm_failpoint_arm() - what the environment would say, for a test that forks and calls the library
 * @points: as in SM_FAIL, or NULL
 * @log:    as in SM_FAIL_LOG, or NULL
 * @stop:   SIGSTOP instead of SIGKILL, so that the one who waits for it can kill others first
 */
void sm_failpoint_arm(const char *points, const char *log, bool stop);

/* SM_STEP() - the value of @call, which changes something. */
#define SM_STEP(name, call)                    \
	({                                     \
		__typeof__(call) step_result;  \
		sm_failpoint(name, SM_BEFORE); \
		step_result = (call);          \
		sm_failpoint(name, SM_AFTER);  \
		step_result;                   \
	})
/* SM_DO() - the same for one that has none. */
#define SM_DO(name, call)                      \
	do {                                   \
		sm_failpoint(name, SM_BEFORE); \
		call;                          \
		sm_failpoint(name, SM_AFTER);  \
	} while (0)

#else
#define SM_STEP(name, call) (call)
#define SM_DO(name, call)   call
#endif

#endif
