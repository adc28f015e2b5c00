/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which way a revert goes: a pure choice, made from the driver's table. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/strategy.h"

static const char *const reasons[][2] = {
	{ "repoint",
	  "the driver switches the volume to a copy of the snapshot that shares all its blocks" },
	{ "merge", "the kernel moves back what has changed since the snapshot" },
};

const char *const *sm_strategies(const struct sm_driver *driver)
{
	static const char *const none[] = { NULL };

	return sm_driver_reverts(driver) && driver->strategies ? driver->strategies : none;
}

static bool has(const struct sm_driver *driver, const char *strategy)
{
	for (const char *const *s = sm_strategies(driver); *s; s++) {
		if (strcmp(*s, strategy) == 0)
			return true;
	}
	return false;
}

int sm_strategy_choose(const struct sm_driver *driver, const char *forced, struct sm_strategy *ret,
		       struct snapmgr_err *err)
{
	const char *name = forced;

	if (!sm_driver_reverts(driver))
		return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			       "driver '%s' cannot revert in place", driver->name);
	if (!name)
		name = driver->strategies[0];
	if (!has(driver, name))
		return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			       "driver '%s' has no strategy '%.40s': it has '%s'", driver->name,
			       name, driver->strategies[0]);
	*ret = (struct sm_strategy){ .in_place = true };
	for (size_t i = 0; i < SM_ARRAY(reasons); i++) {
		if (strcmp(reasons[i][0], name) == 0) {
			ret->name = reasons[i][0];
			ret->reason = reasons[i][1];
		}
	}
	return 0;
}
