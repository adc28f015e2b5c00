/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * rig.h - a pool of two devices on one RAM disk, whose writes are recorded; and the power cuts that
 * come of the record
 *
 * For a guest: it loads brd and takes over all of device-mapper.
 */
#ifndef MODEL_RIG_H
#define MODEL_RIG_H

#include "tests/model/wlog.h"

#define RIG_BYTES (80 * SM_MIB)
#define RIG_SPLIT (56 * SM_MIB) /* the first device's size; the second has the rest */
#define RIG_MAX	  400		/* changes */

struct rig {
	const char *log_device; /* large enough for all that is written */
	uint64_t seed;
	bool files;
	bool exports;		      /* every other change: what writes superblocks */
	unsigned int changes, states; /* how many are wanted; the states come out near that */
	/* seen */
	struct model models[RIG_MAX + 1]; /* after so many changes */
	struct model_op ops[RIG_MAX];
	unsigned int flushes, tried, at_flushes, torn, lost;
};

/* rig_record() - make a pool, change it, and leave the record on the log device. */
int rig_record(struct rig *rig, struct model_why *why);
/**
 * rig_replay() - cut the power at many moments of the record, and look
 *
 * Return: 0; -1 with the first state that is not what was promised (unless @count_only: then they are
 * counted in rig->lost).
 */
int rig_replay(struct rig *rig, bool count_only, struct model_why *why);
/* rig_forget() - unmount and unmap everything, and empty /run/snapmgr: as a reboot does. */
int rig_forget(struct model_why *why);
/* rig_wipe() - rig_forget(), and no disk of the guest is a pool's any more. */
int rig_wipe(struct model_why *why);

#endif
