/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * guard.h - a process that resumes suspended devices if their owner dies
 *
 * A fork takes longer than a switch, so a guard serves many switches of its process, one after the
 * other, and idles between them. It is no child that anybody's wait() or SIGCHLD handler would see,
 * it holds nothing but its socket, device-mapper's control device, while it is armed the
 * descriptors it was given, and the lock that was used last; and it ends with its owner.
 */
#ifndef SDM_GUARD_H
#define SDM_GUARD_H

#include "dm/sdm.h"

struct sdm_guard;

struct sdm_guard_plan {
	const struct sdm_switch_device *devs;
	size_t n;
	const struct sdm_switch_opts *opts; /* thaw_fds, lock_fd, recover_program, pool */
	uint32_t cookie;		    /* destroyed after the owner's death; 0: none */
};

/**
 * sdm_guard_arm() - from here on the owner's death clears the inactive tables and resumes
 *
 * The plan is copied. Return: 0, -E2BIG (too many devices), or why no process could be had.
 */
int sdm_guard_arm(const struct sdm_guard_plan *plan, struct sdm_guard **ret,
		  struct snapmgr_err *err);
/**
 * sdm_guard_committing() - from here on it runs the recovery program first, with the devices suspended
 * sdm_guard_undecided() - as after sdm_guard_arm() again
 *
 * The program finds the lock that the guard holds open as the descriptor that SNAPMGR_LOCK_FD names.
 * Where it fails, or is not done in ten seconds, or where there is none, the old tables are resumed.
 * They cannot fail or block.
 */
void sdm_guard_committing(struct sdm_guard *guard);
void sdm_guard_undecided(struct sdm_guard *guard);
/* sdm_guard_committed() - from here on it resumes into the inactive tables. Cannot fail or block. */
void sdm_guard_committed(struct sdm_guard *guard);
/* sdm_guard_dismiss() - all is running again; its copies of the descriptors, but the lock's, are
 * closed on return. */
void sdm_guard_dismiss(struct sdm_guard *guard);
/* sdm_guard_abandon() - this owner cannot resume: do it in its stead, now. */
void sdm_guard_abandon(struct sdm_guard *guard);

#endif
