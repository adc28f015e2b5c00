/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A writable copy of a snapshot or an undo point, which may be mapped at the moment. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"

void sm_copy_source(const struct sm_found *f, struct sm_copy_source *ret)
{
	*ret = (struct sm_copy_source){ 0 };
	if (f->has_undo) {
		sm_undo_device(&f->pool, &f->volume, &f->undo, f->undo_back, &ret->dev);
		ret->parent = f->undo.parent;
	} else if (!f->has_snapshot) { /* the head: sm_make_moment() */
		sm_volume_device(&f->pool, &f->volume, &ret->dev);
		ret->parent = f->volume.c.parent;
	} else {
		sm_snapshot_device(&f->pool, &f->snapshot, &ret->dev);
		ret->parent = f->snapshot.id;
	}
}

/* Its volume may have been larger once: what lies behind the end is nobody's to see. */
static int wipe_tail(struct sm_pool *pool, uint32_t id, const struct sm_copy_source *source,
		     struct snapmgr_err *err)
{
	const struct sm_vdev copy = { .id = id };
	const struct sm_driver *driver = pool->b.driver;
	int r;

	if (!driver->wipe || source->larger_bytes <= source->dev.size_bytes)
		return 0;
	r = driver->wipe(&pool->b, &copy, source->dev.size_bytes, source->larger_bytes, 0, err);
	if (r < 0)
		(void)driver->drop(&pool->b, id, NULL); /* keep the first error */
	return r;
}

/* An active origin must be suspended for it: thin-provisioning.rst, "create_snap". */
int sm_make_copy(struct sm_pool *pool, uint32_t id, void *arg, struct snapmgr_err *err)
{
	const struct sm_copy_source *source = arg;
	const struct sm_switch_opts opts = {
		.lock_fd = pool->lock.fd,
		.lock_serial = pool->lock.serial,
		.recover_program = pool->sm->opts.recover_program,
	};
	struct sdm_info info;
	int r = sm_vdev_info(&pool->b, &source->dev, &info, err);

	if (r < 0)
		return r;
	r = info.exists ? pool->b.driver->copy_active(&pool->b, &source->dev, id, &opts, err) :
			  pool->b.driver->copy(&pool->b, source->dev.id, id, err);
	return r == 0 ? wipe_tail(pool, id, source, err) : r;
}

int sm_same_pool(const struct sm_pool *pool, const char *other, struct snapmgr_err *err)
{
	struct sm_uuid uuid;

	if (sm_uuid_parse(other, &uuid) ? sm_uuid_equal(&uuid, &pool->b.uuid) :
					  strcmp(other, pool->row.name) == 0)
		return 0;
	return sm_fail(err, SNAPMGR_USAGE, EXDEV,
		       "'%s' is another pool than '%s': this works within one pool", other,
		       pool->row.name);
}
