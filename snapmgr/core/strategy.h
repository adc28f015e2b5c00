/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* strategy.h - the choice of a revert's way: see DESIGN's table in doc/ARCHITECTURE.md */
#ifndef SM_STRATEGY_H
#define SM_STRATEGY_H

#include "snapmgr/drivers/driver.h"

struct sm_strategy {
	const char *name, *reason;
	uint64_t move_bytes; /* data that has to be copied */
	bool in_place;
};
/* sm_strategies() - what @driver can, cheapest first, NULL-terminated: none where its slot is empty. */
const char *const *sm_strategies(const struct sm_driver *driver);
/**
 * sm_strategy_choose() - the cheapest that @driver has, or the @forced one
 * Return: 0; -EOPNOTSUPP (unsupported) where it has none, or not that one.
 */
int sm_strategy_choose(const struct sm_driver *driver, const char *forced, struct sm_strategy *ret,
		       struct snapmgr_err *err);

#endif
