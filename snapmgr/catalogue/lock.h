/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * lock.h - one writer at a time: open-file-description locks on files under /run/snapmgr
 */
#ifndef SLOCK_H
#define SLOCK_H

#include "base.h"

/* What the lock's file tells of its holder. */
struct slock_holder {
	int pid; /* 0: nothing is known */
	char comm[17];
	/* What it is doing, from slock_tell() on; "" before. */
	char verb[24], object[2 * SNAPMGR_NAME_MAX + 2];
	struct sm_uuid uuid, boot_id;
	uint64_t start_ticks;
	int64_t started_at_us;
	uint32_t head; /* thin id of a volume's head before it was switched; 0: none is */
};
struct slock {
	int fd; /* -1: not open. O_CLOEXEC; a forked child that keeps it open keeps the lock */
	uint64_t serial;	     /* of this descriptor, unique in the process */
	struct slock_shared *shared; /* the file, mapped */
	bool held;
	bool noted;	/* there may be notes (note.h) of the pool that it guards */
	bool inherited; /* others hold it with us, and it is theirs to unlock */
	bool abandoned; /* its last holder died with it. Stays so, for the next one, until cleared */
	struct slock_holder dead; /* where abandoned: who that was */
	bool unfinished; /* what an earlier one left is there still: the next one finds it abandoned, by nobody */
};
#define SLOCK_NONE ((struct slock){ .fd = -1 })

/* The environment's name of an open lock: who has that holds it together with whoever started it. */
#define SLOCK_FD_ENV "SNAPMGR_LOCK_FD"

/**
 * slock_take() - the exclusive lock named @name ("host", or a pool's UUID), made where absent; a name
 * that begins with '/' is that file, without a ".lock" behind it
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
/* slock_tell() - what it is held for from now on, for everybody to read. No system call. */
void slock_tell(struct slock *lock, const struct slock_holder *doing);
/* slock_note() - there are notes from now on, or none any more; the same. */
void slock_note(struct slock *lock, bool some);
/* slock_ask() - who holds the lock named @name now; false where nobody does. */
bool slock_ask(const char *name, struct slock_holder *ret);
/**
 * slock_borrow() - the lock named @name for a moment, if nobody has it, without a word in its file
 * slock_return() - give it back
 *
 * Return: a descriptor, -EAGAIN, or -errno.
 */
int slock_borrow(const char *name);
void slock_return(int fd);
/* slock_drop() - explicit unlock, also for forked children that share it. */
void slock_drop(struct slock *lock);
static inline void auto_slock_drop(struct slock *lock)
{
	slock_drop(lock);
}

#endif
