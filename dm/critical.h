/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * critical.h - what a thread needs that holds devices suspended: memory that is there, no signals but
 * the one of its timer, and a helper that may block in its stead
 */
#ifndef SDM_CRITICAL_H
#define SDM_CRITICAL_H

#include <signal.h>
#include <time.h>

#include "dm/sdm.h"

/**
 * sdm_pin() - lock the code that runs under suspension: ours, libc, libdevmapper, SQLite
 *
 * Once per process, for good: a page of it may lie on the very volume that is suspended. The stack
 * below the caller is touched each time.
 */
void sdm_pin(void);

/* From the first suspend to the last resume, in one thread. Zeroed: not entered. */
struct sdm_critical {
	bool entered, timed, flusher;
	timer_t timer;
	sigset_t before;
};
/* sdm_critical_enter() - block all signals */
void sdm_critical_enter(struct sdm_critical *c);
/**
 * sdm_critical_alarm() - interrupt this thread's system calls after @ms, and again and again; and until it
 * leaves keep memory reclaim from writing to devices
 *
 * A timer needs a signal with a handler that does nothing: it is in place while the alarm is set, what
 * was there before is restored after.
 */
int sdm_critical_alarm(struct sdm_critical *c, uint32_t ms, struct snapmgr_err *err);
void sdm_critical_alarm_off(struct sdm_critical *c);
void sdm_critical_leave(struct sdm_critical *c);

struct sdm_purge;
/**
 * sdm_purge_start() - a thread that can drop the page cache of the device @fd, which may block
 *
 * To be called while nothing is suspended.
 */
int sdm_purge_start(int fd, struct sdm_purge **ret, struct snapmgr_err *err);
/* sdm_purge_needed() - unless the kernel says that no page is cached; under suspension, without blocking. */
bool sdm_purge_needed(const struct sdm_purge *p);
/**
 * sdm_purge_begin() - let the thread drop it all, while the device is suspended
 * sdm_purge_result() - how that went
 *
 * Return: 0, -EBUSY (a page in use stays), or -ETIMEDOUT: a page is dirty, the thread waits for the
 * device, and sdm_purge_wait() has to be called when that runs again.
 */
void sdm_purge_begin(struct sdm_purge *p);
int sdm_purge_result(struct sdm_purge *p);
/* sdm_purge_stop() - instead of asking for the result; sdm_purge_wait() has to be called, too. */
void sdm_purge_stop(struct sdm_purge *p);
void sdm_purge_wait(struct sdm_purge *p);
/* sdm_purge_free() - NULL is fine; nothing may be suspended. */
void sdm_purge_free(struct sdm_purge *p);

#endif
