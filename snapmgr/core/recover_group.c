/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Volumes that one commit switched together, after their owner's death.
 *
 * Where one of them runs on the head from before although the catalogue has the new one, the owner had
 * turned back: it could not know that its commit was there. Each that runs tells so by itself, but one
 * that is suspended or not mapped tells nothing, and would follow the catalogue. So all go back, but
 * what runs on the new head, which is the truth as well.
 */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"

struct look {
	struct sm_pool *pool;
	struct sm_uuid *with; /* owned; operations that were turned back */
	size_t n;
	struct snapmgr_err *err;
};

/* Return: 1 and the head that it runs on; 0 where it does not run; or a negative errno. */
static int running_head(struct sm_pool *pool, const struct scat_volume *v, uint32_t *ret,
			struct snapmgr_err *err)
{
	uint64_t sectors;
	struct sdm_info info;
	struct sm_vdev dev;
	int r;

	sm_volume_device(pool, v, &dev);
	if (pool->b.driver->live)
		return pool->b.driver->live(&pool->b, &dev, ret, err);
	r = sdm_info_by_uuid(dev.dm.uuid, &info, err);
	if (r < 0 || !info.exists || info.suspended || !info.has_live)
		return r;
	r = sdm_thin_live_id(info.name, ret, &sectors, err);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static bool is_known(const struct look *look, const struct sm_uuid *with)
{
	for (size_t i = 0; i < look->n; i++)
		if (sm_uuid_equal(&look->with[i], with))
			return true;
	return false;
}

static int look_at(const struct scat_volume *v, void *data)
{
	struct look *look = data;
	struct sm_uuid *more;
	uint32_t live;
	int r;

	if (sm_uuid_is_null(&v->before.with) || v->before.thin == v->c.thin ||
	    is_known(look, &v->before.with))
		return 0;
	r = running_head(look->pool, v, &live, look->err);
	if (r <= 0 || live != v->before.thin)
		return r < 0 ? r : 0;
	more = reallocarray(look->with, look->n + 1, sizeof(*more));
	if (!more)
		return sm_nomem(look->err);
	look->with = more;
	look->with[look->n++] = v->before.with;
	return 0;
}

struct turn {
	const struct look *look;
	struct sm_volumes volumes;
};

static int gather(const struct scat_volume *v, void *data)
{
	struct turn *turn = data;
	struct scat_volume *more;

	if (v->before.thin == v->c.thin || !is_known(turn->look, &v->before.with))
		return 0;
	more = reallocarray(turn->volumes.v, turn->volumes.n + 1, sizeof(*more));
	if (!more)
		return sm_nomem(turn->look->err);
	turn->volumes.v = more;
	turn->volumes.v[turn->volumes.n++] = *v;
	return 0;
}

static int turn_back(struct sm_pool *pool, struct scat_volume *v, struct snapmgr_err *err)
{
	uint32_t live;
	int r = running_head(pool, v, &live, err);

	if (r < 0 || (r > 0 && live != v->before.thin))
		return r < 0 ? r : 0;
	r = sm_recover_head(pool, v, err);
	return r == 0 ? scat_volume_update(pool->cat, v, err) : r;
}

int sm_recover_together(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct look look = { .pool = pool, .err = err };
	struct turn turn = { .look = &look };
	int r = scat_volume_each(pool->cat, look_at, &look, err);

	if (r == 0 && look.n)
		r = scat_volume_each(pool->cat, gather, &turn, err);
	for (size_t i = 0; i < turn.volumes.n && r == 0; i++)
		r = turn_back(pool, &turn.volumes.v[i], err);
	free(turn.volumes.v);
	free(look.with);
	return r;
}
