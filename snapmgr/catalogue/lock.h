/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * lock.h - one writer at a time: open-file-description locks on files under /run/snapmgr
 */
#ifndef SLOCK_H
#define SLOCK_H

#include "base.h"

struct slock {
	int fd; /* -1: not open. O_CLOEXEC; a forked child that keeps it open keeps the lock */
	char *holder; /* the file's text, mapped: who holds it */
	bool held;
	bool abandoned; /* its last holder died with it. Stays so, for the next one, until cleared */
};
#define SLOCK_NONE ((struct slock){ .fd = -1 })

/**
 * slock_take() - the exclusive lock named @name ("host", or a pool's UUID), made where absent
 * @wait_ms: 0 tries once; else waits, polling with a growing pause of at most 20 ms
 *
 * Return: 0; -EAGAIN (locked; the message names the holder's pid and program where /proc tells);
 * -EACCES (permission); -EROFS and the like (io: /run/snapmgr not writable).
 */
int slock_take(const char *name, uint32_t wait_ms, struct slock *ret, struct snapmgr_err *err);
/**
 * slock_park() - unlock, but keep the file open for slock_retake()
 * slock_retake() - as slock_take(), on a parked lock; on failure it is still parked
 */
void slock_park(struct slock *lock);
int slock_retake(const char *name, uint32_t wait_ms, struct slock *lock, struct snapmgr_err *err);
/* slock_drop() - explicit unlock, also for forked children that share it. */
void slock_drop(struct slock *lock);
static inline void auto_slock_drop(struct slock *lock)
{
	slock_drop(lock);
}

#endif
