/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * note.h - what a change takes away for a moment, written down below /run/snapmgr
 *
 * Should its process die, whoever has the pool's lock next puts it back; slock_note() says that there
 * may be something. A note is gone with the boot, and so is what it tells of: mounts, mapped devices.
 */
#ifndef SCAT_NOTE_H
#define SCAT_NOTE_H

#include "base.h"

#define SNOTE_NAME 64

/* snote_add() - @text, behind what the note @name says already. Not flushed: it is to outlive a process. */
int snote_add(const struct sm_uuid *pool, const char *name, const char *text,
	      struct snapmgr_err *err);
void snote_forget(const struct sm_uuid *pool, const char *name); /* none is fine */

struct snote {
	char name[SNOTE_NAME];
	char *text; /* a copy */
};
struct snotes {
	struct snote *v; /* owned */
	size_t n;
};
/* snote_load() - all of a pool. 0 or -errno. */
int snote_load(const struct sm_uuid *pool, struct snotes *ret);
void snote_release(struct snotes *notes);
static inline void auto_snote_release(struct snotes *notes)
{
	snote_release(notes);
}

#endif
