/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_pool_dump(): the catalogue as text. */
#include <errno.h>

#include "snapmgr/catalogue/dump.h"
#include "snapmgr/core/core.h"

static int dump_inactive(struct snapmgr *sm, const char *name, snapmgr_text_fn *write, void *data,
			 struct snapmgr_err *err)
{
	AUTO(sm_layout_release) struct sm_layout layout = { 0 };
	AUTO(sm_members_release) struct sm_members m = { 0 };
	struct sm_pool pool;
	int r = sm_inactive_lock(sm, name, &m, &pool, err);

	if (r == 0)
		r = sm_inactive_map(&pool, &m, &layout, err);
	if (r == 0)
		r = sm_inactive_catalogue(&pool, err);
	if (r == 0)
		r = scat_dump(pool.cat, write, data, err);
	sm_inactive_unmap(&pool);
	return r;
}

int snapmgr_pool_dump(struct snapmgr *sm, const char *name, snapmgr_text_fn *write, void *data,
		      struct snapmgr_err *err)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct snapmgr_err why;
	int r = sm_pool_open(sm, name, false, &pool, &why);

	if (r == 0)
		return scat_dump(pool.cat, write, data, err);
	if (r == -ENODEV && why.code == SNAPMGR_BAD_STATE)
		return dump_inactive(sm, name, write, data, err);
	if (err)
		*err = why;
	return r;
}
