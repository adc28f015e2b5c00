/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * fill.h - reverts that copy: a new head filled beside the old one, which is then switched to it
 */
#ifndef SM_FILL_H
#define SM_FILL_H

#include "snapmgr/core/displace.h"
#include "snapmgr/core/strategy.h"

/* sm_fill_measure() - how much a merge would copy: the snapshot's blocks that the head does not share */
int sm_fill_measure(struct sm_found *f, uint64_t *ret_bytes, struct snapmgr_err *err);
/**
 * sm_fill_revert() - @f's volume reads as @f's snapshot, by "merge" or "copy"
 * @d: prepared by nobody yet; volume, change.size_bytes and the options are filled
 * @strategy: move_bytes is what was copied, afterwards
 *
 * A lasting operation: the pool's lock is held on entry and free while bytes are copied. Nobody needs to
 * be kept from the volume meanwhile, since nothing that is written to it then is read for it: it is
 * claimed at the end, for the switch, and only looked at in the beginning. After a failure, a stop or a
 * death the volume is as it was, with all that was written to it.
 */
int sm_fill_revert(struct sm_found *f, struct sm_displace *d, struct sm_strategy *strategy,
		   struct snapmgr_err *err);
/* sm_fill_settle() - of sm_lasting_verbs, for "revert" */
int sm_fill_settle(struct sm_pool *pool, const struct scat_operation *op, char *said,
		   struct snapmgr_err *err);

/* ---- revert_clone.c ---- */

/**
 * sm_revert_clone() - a new volume with the contents of @f's snapshot, which takes over all snapshots
 *
 * f->volume is the new one then, unless it is a @dry_run. @ret_kept: the name of the old one.
 */
int sm_revert_clone(struct sm_found *f, bool dry_run, char ret_kept[SNAPMGR_NAME_MAX + 1],
		    struct snapmgr_err *err);

#endif
