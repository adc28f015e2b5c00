/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * progress.h - how far a lasting operation is: a small mapped file under /run/snapmgr, or in the
 * pool's folder
 *
 * Its owner writes it without a system call, as often as it likes; anybody may read it, and ask the
 * owner to stop. Nothing in it has to survive anything: what must is in the operation's row.
 */
#ifndef SCAT_PROGRESS_H
#define SCAT_PROGRESS_H

#include "base.h"

#define SPROGRESS_DIR 400

/* sprogress_dir() - where those of a pool lie; @folder: of a pool that is one, else "" */
void sprogress_dir(const struct sm_uuid *pool, const char *folder, char ret[SPROGRESS_DIR]);

struct sprogress {
	struct sprogress_shared *shared; /* NULL: there is no file; the operation goes on without */
	char dir[SPROGRESS_DIR];
	struct sm_uuid operation;
};
struct sprogress_seen {
	uint64_t done_bytes, todo_bytes, bytes_per_s;
	bool asked_to_stop;
};
/* sprogress_make() - the file, anew; a failure is only that nobody sees how far it is. */
void sprogress_make(const char *dir, const struct sm_uuid *operation, uint64_t done_bytes,
		    uint64_t todo_bytes, struct sprogress *ret);
void sprogress_set(struct sprogress *p, uint64_t done_bytes, uint64_t todo_bytes);
bool sprogress_asked_to_stop(const struct sprogress *p);
/* sprogress_drop() - the file goes, too; zeroed is fine. */
void sprogress_drop(struct sprogress *p);

/* ---- for others ---- */

/* sprogress_look() - -ENOENT: there is none */
int sprogress_look(const char *dir, const struct sm_uuid *operation, struct sprogress_seen *ret);
/* sprogress_stop() - ask its owner to stop; 0, or -ENOENT */
int sprogress_stop(const char *dir, const struct sm_uuid *operation);
/* sprogress_forget() - that of a dead owner */
void sprogress_forget(const char *dir, const struct sm_uuid *operation);

#endif
