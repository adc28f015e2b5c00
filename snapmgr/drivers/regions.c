/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Regions of member devices as linear dm devices, and the nodes of dm devices. */
#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "snapmgr/drivers/driver.h"

#define SETTLE_MS 10000

void sm_layout_release(struct sm_layout *layout)
{
	free(layout->catalogue.v);
	free(layout->meta.v);
	free(layout->spare.v);
	free(layout->data.v);
	*layout = (struct sm_layout){ 0 };
}

int sm_backend_settle(struct sm_backend *b, struct snapmgr_err *err)
{
	return b->cookie.made ? sdm_cookie_wait(&b->cookie, SETTLE_MS, err) : 0;
}

static void linear_targets(const struct sm_extents *extents, struct sdm_target *targets)
{
	uint64_t at = 0;

	for (size_t i = 0; i < extents->n; i++) {
		const struct sm_extent *e = &extents->v[i];
		struct sdm_target *t = &targets[i];

		*t = (struct sdm_target){ .start_sectors = at,
					  .len_sectors = e->len_sectors,
					  .type = "linear" };
		(void)snprintf(t->params, sizeof(t->params), "%u:%u %llu", major(e->devno),
			       minor(e->devno), (unsigned long long)e->start_sectors);
		at += e->len_sectors;
	}
}

static int reload(struct sm_backend *b, const struct sdm_device *dm,
		  const struct sdm_target *targets, size_t n, struct snapmgr_err *err)
{
	int r = sdm_load(dm, targets, n, err);

	return r < 0 ? r : sdm_resume(dm, &b->cookie, err);
}

int sm_region_map(struct sm_backend *b, enum sm_role role, const struct sm_extents *extents,
		  struct snapmgr_err *err)
{
	const struct sdm_device *dm = &b->roles[role];
	AUTO(free) struct sdm_target *targets = calloc(extents->n + 1, sizeof(*targets));
	struct sdm_info info;
	int r;

	if (!targets)
		return sm_nomem(err);
	linear_targets(extents, targets);
	r = sdm_info_by_uuid(dm->uuid, &info, err); /* another pool's may have that name */
	if (r == 0 && !b->cookie.made)
		r = sdm_cookie_make(&b->cookie, err);
	if (r < 0)
		return r;
	return info.exists ? reload(b, dm, targets, extents->n, err) :
			     sdm_create(dm, targets, extents->n, &b->cookie, err);
}

int sm_region_pin(const struct sm_backend *b, uint64_t start_sectors, struct sdm_target *ret,
		  struct snapmgr_err *err)
{
	const struct sdm_device *dm = &b->roles[SM_ROLE_CATALOGUE];
	struct sdm_info info;
	int r = sdm_info_by_uuid(dm->uuid, &info, err);

	if (r < 0)
		return r;
	if (!info.exists)
		return sm_fail(err, SNAPMGR_KERNEL, ENODEV, "device '%s' is gone", dm->name);
	sdm_linear_target(makedev(info.major, info.minor), 0, start_sectors,
			  b->block_bytes / SM_SECTOR, ret);
	return 0;
}

int sm_region_unmap(struct sm_backend *b, enum sm_role role, struct snapmgr_err *err)
{
	struct sdm_device dm = b->roles[role];
	struct sdm_info info;
	int r = sdm_info_by_uuid(dm.uuid, &info, err);

	if (r < 0 || !info.exists)
		return r;
	(void)sm_copy_text(dm.name, sizeof(dm.name), info.name);
	if (!b->cookie.made)
		r = sdm_cookie_make(&b->cookie, err);
	return r < 0 ? r : sdm_remove(&dm, &b->cookie, err);
}

/* The kernel's own node, which needs no udev; where /dev has none, libdevmapper's. */
void sm_node_path(const struct sdm_info *info, char *ret, size_t size)
{
	struct stat st;

	if (info->major == LOOP_MAJOR) {
		(void)snprintf(ret, size, "/dev/%s", info->name);
		return;
	}
	(void)snprintf(ret, size, "/dev/dm-%u", info->minor);
	if (stat(ret, &st) < 0 || !S_ISBLK(st.st_mode) ||
	    st.st_rdev != makedev(info->major, info->minor))
		(void)snprintf(ret, size, "/dev/mapper/%s", info->name);
}

int sm_node_open(const struct sdm_info *info, int flags, struct snapmgr_err *err)
{
	char path[SDM_NAME_MAX + 16];
	int fd;

	sm_node_path(info, path, sizeof(path));
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		return sm_fail(err, errno == EBUSY ? SNAPMGR_IN_USE : SNAPMGR_IO, errno,
			       "cannot open '%s' (%s)", path, info->name);
	return fd;
}
