/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Thin ids made, copied and dropped, and mapped as devices. */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "snapmgr/drivers/thin.h"

static const char *pool_name(const struct sm_backend *b)
{
	return b->roles[SM_ROLE_POOL].name;
}

int thin_find_pool(struct sm_backend *b, struct snapmgr_err *err)
{
	struct sdm_info info;
	int r = b->pool_dev ? 0 : sdm_info(pool_name(b), &info, err);

	if (r < 0 || b->pool_dev)
		return r;
	if (!info.exists)
		return sm_fail(err, SNAPMGR_BAD_STATE, ENODEV, "pool '%s' is not active", b->name);
	b->pool_dev = makedev(info.major, info.minor);
	return 0;
}

int thin_target(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_target *ret,
		struct snapmgr_err *err)
{
	struct sm_backend copy = *b;
	char dev[SDM_NAME_MAX];
	int r = thin_find_pool(&copy, err);

	if (r < 0)
		return r;
	(void)snprintf(dev, sizeof(dev), "%u:%u", major(copy.pool_dev), minor(copy.pool_dev));
	sdm_thin_target(dev, v->id, v->size_bytes / SM_SECTOR, ret);
	return 0;
}

static int frozen(const struct sm_backend *b, struct snapmgr_err *err)
{
	return sm_fail(
		err, SNAPMGR_KERNEL, EROFS,
		"a change of pool '%s' did not reach its disks (below '%s' and '%s'), and the kernel takes "
		"no others: see its log, then 'snapmgr pool deactivate %s' and 'snapmgr pool check %s "
		"--repair'",
		b->name, b->roles[SM_ROLE_META].name, b->roles[SM_ROLE_DATA].name, b->name,
		b->name);
}

static bool is_frozen(const struct sdm_pool_status *s)
{
	return s->fail || s->read_only || s->needs_check;
}

/*
 * After a message the kernel commits the metadata, and answers with success where that fails
 * (dm-thin.c, pool_message()). But then it has gone back to what was committed before, and made the
 * pool read-only: whoever believed the answer would name an id that is not there.
 */
int thin_committed(const struct sm_backend *b, struct snapmgr_err *err)
{
	struct sdm_pool_status s;
	int r = sdm_pool_status(pool_name(b), false, &s, err);

	return r == 0 && is_frozen(&s) ? frozen(b, err) : r;
}

/*
 * What a message came to. Metadata that could not be read or written makes the kernel refuse with an
 * errno that says nothing (EINVAL), until its next commit finds out; so make it commit, and look.
 */
static int outcome(const struct sm_backend *b, int r, struct snapmgr_err *err)
{
	struct sdm_pool_status s;

	if (r == 0)
		return thin_committed(b, err);
	if (r == -EEXIST || r == -EBUSY || r == -ENODATA ||
	    sdm_pool_status(pool_name(b), true, &s, NULL) < 0 || !is_frozen(&s))
		return r;
	return frozen(b, err);
}

int thin_make(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err)
{
	return outcome(b, sdm_thin_create(pool_name(b), id, err), err);
}

int thin_copy(const struct sm_backend *b, uint32_t from, uint32_t id, struct snapmgr_err *err)
{
	return outcome(b, sdm_thin_snap(pool_name(b), id, from, err), err);
}

int thin_drop(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err)
{
	int r = sdm_thin_delete(pool_name(b), id, err);

	/* Maybe somebody died while it wiped that id's tail. */
	if (r == -EBUSY && sdm_remove(&b->roles[SM_ROLE_TAIL], NULL, NULL) == 0)
		r = sdm_thin_delete(pool_name(b), id, err);
	/* Where there was none the kernel commits nothing, so there is nothing to look for. */
	return r > 0 ? 0 : outcome(b, r, err);
}

int thin_map(struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err)
{
	struct sdm_target target;
	int r = thin_target(b, v, &target, err);

	return r == 0 ? sm_vdev_map(b, v, &target, err) : r;
}

int thin_used(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_info *ret_info,
	      uint64_t *ret, struct snapmgr_err *err)
{
	uint64_t sectors;
	int r = sdm_thin_status(v->dm.name, ret_info, &sectors, err);

	(void)b;
	if (r == 0)
		*ret = sectors * SM_SECTOR;
	return r;
}
