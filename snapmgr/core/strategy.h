/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * strategy.h - which way a revert goes: a choice made from tables, sizes and nothing else
 *
 * A driver lists the ways that it has; a way whose slots are empty is none. doc/DRIVERS.md has them.
 */
#ifndef SM_STRATEGY_H
#define SM_STRATEGY_H

#include "snapmgr/drivers/driver.h"

#define SM_WAYS		 8
#define SM_UNKNOWN_BYTES UINT64_MAX

/* How far the snapshot is from the volume that is to read as it. */
enum sm_reach {
	SM_OWN_VOLUME,
	SM_SAME_POOL,
	SM_OTHER_POOL,
};

/* What the choice is made from. */
struct sm_choice {
	const struct sm_driver *driver;	  /* of the volume's pool */
	const struct sm_backend *backend; /* that pool; NULL: what the driver can in general */
	enum sm_reach reach;
	bool together;		/* several volumes at one instant */
	uint64_t mapped_bytes;	/* of the snapshot; SM_UNKNOWN_BYTES */
	uint64_t changed_bytes; /* between it and the head; SM_UNKNOWN_BYTES */
	const char *forced;	/* NULL: the cheapest */
	bool allow_clone;
};
struct sm_strategy {
	const char *name, *reason;
	uint64_t move_bytes; /* data that has to be copied; SM_UNKNOWN_BYTES */
	bool in_place;
};

/* sm_strategies() - what @driver can, cheapest first, NULL-terminated; @backend as in a choice. */
void sm_strategies(const struct sm_driver *driver, const struct sm_backend *backend,
		   const char *ret[SM_WAYS]);
/* sm_strategy_copies() - into an id beside the head, which is switched to it when all is there */
bool sm_strategy_copies(const struct sm_driver *driver, const struct sm_strategy *strategy);
/**
 * sm_strategy_choose() - of the ways that are open the one that moves least, or the forced one
 *
 * A clone is the last resort: only where it is allowed and no way leads to the volume itself.
 * Return: 0; -EOPNOTSUPP (unsupported) where none is open, or not that one: the message says why.
 */
int sm_strategy_choose(const struct sm_choice *choice, struct sm_strategy *ret,
		       struct snapmgr_err *err);
/* sm_strategy_apply() - what is done with this backend from now on goes that way. */
void sm_strategy_apply(struct sm_backend *b, const struct sm_strategy *strategy);

#endif
