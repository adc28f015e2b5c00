/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_resize(): a volume's size, under the running device. */
#include <errno.h>
#include <inttypes.h>

#include "snapmgr/core/store.h"

#define WIPE_NS (UINT64_C(2) * 1000000000) /* as long as a shrink may wipe; the pool is locked */

static int check_shrink(const struct sm_found *f, uint64_t bytes,
			const struct snapmgr_resize_opts *o, struct snapmgr_err *err)
{
	if (bytes >= f->volume.c.size_bytes || o->shrink)
		return 0;
	return sm_fail(err, SNAPMGR_USAGE, EINVAL,
		       "'%s/%s' has %" PRIu64 " bytes; what lies beyond %" PRIu64
		       " would be cut off: --shrink does it",
		       f->pool.row.name, f->volume.c.name, f->volume.c.size_bytes, bytes);
}

/* Growing takes nothing from anybody: a mounted filesystem stays, and grows afterwards. */
static int claim_for(struct sm_found *f, uint64_t bytes, const struct snapmgr_resize_opts *o,
		     struct sm_claim *claim, struct snapmgr_err *err)
{
	char spec[2 * SNAPMGR_NAME_MAX + 2];
	struct sm_vdev dev;
	int r;

	(void)snprintf(spec, sizeof(spec), "%s/%s", f->pool.row.name, f->volume.c.name);
	sm_volume_device(&f->pool, &f->volume, &dev);
	if (bytes < f->volume.c.size_bytes) {
		r = sm_claim(&f->pool, &dev, spec, o->online, claim, err);
		return r == 0 ? sm_claim_flush(claim, spec, err) : r;
	}
	r = sm_vdev_info(&f->pool.b, &dev, &claim->info, err);
	claim->mapped = r == 0 && (claim->info.exists || f->pool.b.dir[0]);
	return r;
}

/*
 * What lies behind the end, since the volume was larger once, is not shown again: it goes before a volume
 * grows. A crash or an error in between leaves the volume as it was.
 */
static int wipe_before(struct sm_found *f, uint64_t bytes, struct snapmgr_err *err)
{
	struct sm_backend *b = &f->pool.b;
	struct sm_vdev dev;

	if (!b->driver->wipe || bytes <= f->volume.c.size_bytes)
		return 0;
	sm_volume_device(&f->pool, &f->volume, &dev);
	return b->driver->wipe(b, &dev, f->volume.c.size_bytes, bytes, 0, err);
}

/* For the space. What cannot be done now, or within the time, is done before the volume grows again. */
static void wipe_after(struct sm_found *f, uint64_t old_bytes)
{
	const uint64_t until_ns = sm_monotonic_ns() + WIPE_NS;
	struct sm_backend *b = &f->pool.b;
	struct sm_vdev dev;

	if (!b->driver->wipe || old_bytes <= f->volume.c.size_bytes)
		return;
	sm_volume_device(&f->pool, &f->volume, &dev);
	(void)b->driver->wipe(b, &dev, f->volume.c.size_bytes, old_bytes, until_ns, NULL);
}

static int change_size(struct sm_found *f, uint64_t bytes, const struct snapmgr_resize_opts *o,
		       struct snapmgr_err *err)
{
	AUTO(sm_claim_drop) struct sm_claim claim = { .fd = -1 };
	struct sm_head_change change = {
		.volume = &f->volume,
		.thin = f->volume.c.thin,
		.size_bytes = bytes,
		.parent = f->volume.c.parent,
		.claim = &claim,
	};
	const uint64_t old_bytes = f->volume.c.size_bytes;
	int r = claim_for(f, bytes, o, &claim, err);

	if (r == 0)
		r = sm_op_begin(&f->pool, bytes < f->volume.c.size_bytes ? "shrink" : "extend",
				f->volume.c.name, NULL, 0, err);
	if (r < 0)
		return r;
	r = wipe_before(f, bytes, err);
	if (r < 0)
		return r;
	r = sm_head_switch(&f->pool, &change, err);
	if (r < 0)
		(void)sm_head_abort(&f->pool, &change);
	else
		wipe_after(f, old_bytes);
	sm_claim_drop(&claim);
	sm_pool_unlock(&f->pool);
	sm_head_settle(&f->pool, &change);
	return r;
}

static int check_quota(struct sm_found *f, uint64_t bytes, struct snapmgr_err *err)
{
	const struct scat_common *c = &f->volume.c;
	const struct sm_quota_change change = {
		.project = c->project,
		.amount[SNAPMGR_VOLUME_BYTES] = (int64_t)bytes - (int64_t)c->size_bytes,
	};

	return sm_quota_check(&f->pool, &change, 1, err);
}

int snapmgr_resize(struct snapmgr *sm, const char *spec, uint64_t size_bytes,
		   const struct snapmgr_resize_opts *opts, snapmgr_object_fn *visit, void *data,
		   struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_resize_opts, o, opts);
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	int r = sm_find(sm, spec, SM_WANT_VOLUME, true, &f, err);

	if (r == 0 && !sm_driver_resizes(f.pool.b.driver))
		return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			       "driver '%s' of pool '%s' does not resize volumes",
			       f.pool.b.driver->name, f.pool.row.name);
	if (r == 0)
		r = sm_check_size(&f.pool, size_bytes, err);
	if (r == 0)
		r = sm_volume_ready(&f.pool, &f.volume, false, err);
	if (r == 0)
		r = check_shrink(&f, size_bytes, &o, err);
	if (r == 0)
		r = check_quota(&f, size_bytes, err);
	if (r == 0 && size_bytes != f.volume.c.size_bytes)
		r = f.pool.b.driver->stores ? sm_store_resize(&f, size_bytes, o.online, err) :
					      change_size(&f, size_bytes, &o, err);
	sm_pool_unlock(&f.pool);
	return r == 0 ? sm_visit_volume(&f.pool, &f.volume, visit, data, err) : r;
}
