/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The devices that people see: which table they have, mapped and unmapped. */
#include <errno.h>
#include <string.h>

#include "snapmgr/drivers/cow.h"

int cow_target(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_target *ret,
	       struct snapmgr_err *err)
{
	const enum cow_kind kind = v->of_store ? COW_SHOWN : v->merging ? COW_MERGING : COW_PLACE;
	const uint64_t sectors = v->size_bytes / SM_SECTOR;
	dev_t dev;
	int r;

	if (v->merging == SM_ID_UNKNOWN)
		return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN,
			       "the catalogue of pool '%s' does not tell whether '%s' is being "
			       "reverted",
			       b->name, v->dm.link);
	r = cow_devno(b, v->id, kind, &dev, err);
	if (r < 0)
		return r;
	if (kind == COW_PLACE && v->has_stores)
		sdm_origin_target(dev, sectors, ret);
	else
		sdm_linear_target(dev, 0, 0, sectors, ret);
	return 0;
}

int cow_map(struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err)
{
	struct sdm_target target;
	int r = cow_target(b, v, &target, err);

	return r == 0 ? sm_vdev_map(b, v, &target, err) : r;
}

/* A volume is all there from the beginning. */
int cow_used(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_info *ret_info,
	     uint64_t *ret, struct snapmgr_err *err)
{
	struct sdm_info info;
	int r = sdm_info(v->dm.name, &info, err);

	(void)b;
	if (r < 0)
		return r;
	if (!info.exists)
		return -ENOENT;
	if (ret_info)
		*ret_info = info;
	*ret = v->size_bytes;
	return 0;
}

static int see_length(const struct sdm_target *target, void *data)
{
	*(uint64_t *)data += target->len_sectors;
	return 0;
}

/* For one that is suspended: where its merge has not begun, or is over, it is to be read as it is. */
static int heal_target(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_target *ret,
		       struct snapmgr_err *err)
{
	struct sm_vdev as_is = *v;
	dev_t dev;

	if (v->merging && v->merging != SM_ID_UNKNOWN &&
	    cow_devno(b, v->id, COW_MERGING, &dev, NULL) < 0) {
		as_is.merging = 0;
		as_is.has_stores = true;
	}
	return cow_target(b, &as_is, ret, err);
}

/* The catalogue knows which table it should have: an owner that died left that one, or the one before. */
int cow_heal(const struct sm_backend *b, const struct sm_vdev *v, uint32_t *ret_id,
	     uint64_t *ret_bytes, struct snapmgr_err *err)
{
	struct sdm_target target;
	struct sdm_info info;
	uint64_t sectors = 0;
	bool forward = false;
	int r = sdm_info(v->dm.name, &info, err);

	if (r < 0)
		return r;
	if (!info.exists)
		return -ENOENT;
	if (info.suspended) {
		r = heal_target(b, v, &target, err);
		if (r == 0)
			r = sdm_load(&v->dm, &target, 1, err);
		forward = true;
	}
	if (r == 0)
		r = sdm_switch_heal(&v->dm, forward, err);
	if (r >= 0)
		r = sdm_table(v->dm.name, false, see_length, &sectors, err);
	if (r == 0) /* its maker may have died before it made these two */
		r = sdm_node_mend(v->dm.name, err);
	if (r == 0)
		r = sdm_link_settle(&v->dm, false, err);
	if (r < 0)
		return r;
	*ret_id = v->id;
	*ret_bytes = sectors * SM_SECTOR;
	return 0;
}
