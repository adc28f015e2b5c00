/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_capabilities(): read off the drivers' tables, never written down twice. */
#include "snapmgr/core/core.h"
#include "snapmgr/core/strategy.h"

/* The first thing that is not there: for the driver, or for a way that its table has. */
static const char *missing(const struct sm_driver *driver, const struct sm_backend *backend)
{
	const char *text = driver->lacks ? driver->lacks(backend, NULL) : NULL;

	for (const char *const *s = driver->strategies; driver->lacks && s && *s && !text; s++)
		text = driver->lacks(backend, *s);
	return text;
}

/* @backend NULL: the driver as such. @ways: what ret->strategies points to. */
static void describe(const struct sm_driver *driver, const struct sm_backend *backend,
		     const char *ways[SM_WAYS], struct snapmgr_capability *ret)
{
	sm_strategies(driver, backend, ways);
	*ret = (struct snapmgr_capability){
		.snapshot_support = driver->snapshot != NULL,
		.revert_to_snapshot_support = driver->snapshot && sm_driver_reverts(driver),
		.create_share_from_snapshot_support = driver->snapshot && driver->copy,
		.in_place = sm_driver_reverts(driver),
		.online = sm_driver_online(driver, backend),
		.diff = driver->diff != NULL,
		.resize = sm_driver_resizes(driver),
		.group_revert = sm_driver_reverts_groups(driver),
		.keep_snapshots = sm_driver_keeps_snapshots(driver),
		.strategies = ways,
		.missing = missing(driver, backend),
	};
	(void)sm_copy_text(ret->driver, sizeof(ret->driver), driver->name);
	if (backend)
		(void)sm_copy_text(ret->pool, sizeof(ret->pool), backend->name);
}

int snapmgr_capabilities(struct snapmgr *sm, const char *pool, snapmgr_capability_fn *visit,
			 void *data, struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	const struct sm_driver *driver;
	struct snapmgr_capability cap;
	const char *ways[SM_WAYS];
	int r = 0;

	if (pool) {
		r = sm_find(sm, pool, SM_WANT_POOL, false, &f, err);
		if (r < 0)
			return r;
		describe(f.pool.b.driver, &f.pool.b, ways, &cap);
		return visit(&cap, data);
	}
	for (size_t i = 0; r == 0 && (driver = sm_driver_at(i)); i++) {
		describe(driver, NULL, ways, &cap);
		r = visit(&cap, data);
	}
	return r;
}
