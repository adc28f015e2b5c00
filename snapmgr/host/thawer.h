/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * thawer.h - somebody who thaws if we die
 *
 * A frozen filesystem stays frozen when its freezer is killed, and whoever writes to it hangs for good.
 * The guard of suspended devices knows of it only once it is armed, and freezing takes time.
 */
#ifndef SHOST_THAWER_H
#define SHOST_THAWER_H

#include "base.h"

struct shost_thawer;
/* shost_thawer_start() - a process that thaws those of @fds that are marked, when this one dies. */
int shost_thawer_start(const int *fds, size_t n, struct shost_thawer **ret,
		       struct snapmgr_err *err);
/* shost_thawer_mark() - before FIFREEZE of the @i-th; and false where that did not freeze it. */
void shost_thawer_mark(struct shost_thawer *t, size_t i, bool frozen);
void shost_thawer_end(struct shost_thawer *t); /* after all are thawed; NULL is fine */

#endif
