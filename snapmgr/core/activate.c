/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_activate(), snapmgr_deactivate(): objects mapped and unmapped. */
#include <errno.h>

#include "snapmgr/core/core.h"

static void device_of(const struct sm_found *f, struct sm_vdev *ret)
{
	if (f->has_undo)
		sm_undo_device(&f->pool, &f->volume, &f->undo, f->undo_back, ret);
	else if (f->has_snapshot)
		sm_snapshot_device(&f->pool, &f->snapshot, ret);
	else
		sm_volume_device(&f->pool, &f->volume, ret);
}

static int visit_found(struct sm_found *f, snapmgr_object_fn *visit, void *data,
		       struct snapmgr_err *err)
{
	struct snapmgr_object o;
	int r;

	if (!visit)
		return 0;
	if (f->has_snapshot)
		return sm_visit_snapshot(&f->pool, &f->snapshot, visit, data, err);
	if (!f->has_undo)
		return sm_visit_volume(&f->pool, &f->volume, visit, data, err);
	r = sm_object_undo(&f->pool, &f->volume, &f->undo, f->undo_back, &o, err);
	return r == 0 ? sm_object_visit(&f->pool, &o, visit, data, err) : r;
}

int snapmgr_activate(struct snapmgr *sm, const char *spec, snapmgr_object_fn *visit, void *data,
		     struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	struct sdm_info info;
	struct sm_vdev dev;
	int r = sm_find(sm, spec, SM_WANT_VOLUME | SM_WANT_SNAPSHOT | SM_WANT_UNDO, true, &f, err);

	if (r < 0)
		return r;
	device_of(&f, &dev);
	r = sm_vdev_info(&f.pool.b, &dev, &info, err);
	if (r == 0 && !info.exists)
		r = f.pool.b.driver->map(&f.pool.b, &dev, err);
	sm_pool_settle(&f.pool);
	return r == 0 ? visit_found(&f, visit, data, err) : r;
}

int snapmgr_deactivate(struct snapmgr *sm, const char *spec, struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	struct sm_claim claim = { .fd = -1 };
	struct sm_vdev dev;
	int r = sm_find(sm, spec, SM_WANT_VOLUME | SM_WANT_SNAPSHOT | SM_WANT_UNDO, true, &f, err);

	if (r < 0)
		return r;
	device_of(&f, &dev);
	r = sm_claim(&f.pool, &dev, dev.dm.link, false, &claim, err);
	sm_claim_drop(&claim);
	if (r == 0 && claim.info.exists)
		r = f.pool.b.driver->unmap(&f.pool.b, &dev, err);
	sm_pool_settle(&f.pool);
	return r;
}
