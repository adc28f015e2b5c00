/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's names of mapped objects, made to follow the catalogue's. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"

struct follow {
	struct sm_pool *pool;
	struct snapmgr_err *err;
};

static int follow_one(const char *name, const char *dm_uuid, uint32_t major, uint32_t minor,
		      void *data)
{
	struct follow *f = data;
	struct sm_vdev wanted, now;
	int r;

	(void)major;
	(void)minor;
	r = sm_pool_device(f->pool, dm_uuid, &wanted, f->err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	now = wanted;
	(void)sm_copy_text(now.dm.name, sizeof(now.dm.name), name);
	r = sdm_link_announced(dm_uuid, now.dm.link, f->err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (strcmp(now.dm.name, wanted.dm.name) == 0 && strcmp(now.dm.link, wanted.dm.link) == 0)
		return 0;
	return f->pool->b.driver->rename(&f->pool->b, &now, &wanted, f->err);
}

/* A file that was on its way to another name, or to its first. */
static int place_one(const struct scat_volume *v, void *data)
{
	struct follow *f = data;
	struct snapmgr_err why;
	struct sm_vdev dev;

	if (v->c.state == SCAT_CREATING) /* gets its name when all of it is there */
		return 0;
	sm_volume_device(f->pool, v, &dev);
	if (f->pool->b.driver->place(&f->pool->b, &dev, &why) < 0)
		sm_warn(f->pool->sm, "volume '%s/%s': %s", f->pool->row.name, v->c.name,
			why.message);
	return 0;
}

int sm_names_follow(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct follow f = { pool, err };

	if (pool->b.driver->place)
		return scat_volume_each(pool->cat, place_one, &f, err);
	return sdm_list(SM_DM_UUID, follow_one, &f, err);
}
