/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ids placed on the data, and stores armed against their origin. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "failpoint.h"
#include "snapmgr/drivers/cow.h"

#define ENTRY_BYTES 16u /* of the exception table on the disk (kernel: dm-snap-persistent.c) */

/* A header, and behind each chunk of the table those that it speaks of. */
uint64_t cow_store_for(const struct sm_backend *b, uint64_t keeps_sectors)
{
	const uint64_t chunk = b->chunk_sectors;
	const uint64_t per_area = chunk * SM_SECTOR / ENTRY_BYTES;
	const uint64_t n = (keeps_sectors + chunk - 1) / chunk;

	return (1 + n / per_area + 1 + n + 1) * chunk;
}

uint64_t cow_store_most(const struct sm_backend *b, uint64_t volume_bytes)
{
	return cow_store_for(b, volume_bytes / SM_SECTOR);
}

static int blank(const struct sdm_info *info, uint64_t bytes, struct snapmgr_err *err)
{
	uint64_t range[2] = { 0, bytes };
	int r, fd = sm_node_open(info, O_RDWR, err);

	if (fd < 0)
		return fd;
	r = SM_STEP("cow.blank", ioctl(fd, BLKZEROOUT, range));
	if (r == 0)
		r = SM_STEP("cow.sync", fdatasync(fd));
	if (r < 0)
		r = sm_fail(err, SNAPMGR_IO, errno, "cannot write zeroes to '%s'", info->name);
	(void)close(fd);
	return r;
}

static uint64_t targets_for(const struct sm_place *p, dev_t data, struct sdm_target *targets)
{
	uint64_t at = 0;

	for (size_t i = 0; i < p->n; i++) {
		sdm_linear_target(data, p->v[i].start_sectors, at, p->v[i].len_sectors,
				  &targets[i]);
		at += p->v[i].len_sectors;
	}
	return at;
}

static int map_place(struct sm_backend *b, const struct sdm_device *dm,
		     const struct sdm_target *targets, size_t n, struct snapmgr_err *err)
{
	struct sdm_info info;
	int r = sdm_info(dm->name, &info, err);

	if (r < 0)
		return r;
	if (!info.exists || !info.has_live)
		return sdm_create(dm, targets, n, NULL, err);
	r = sdm_load(dm, targets, n, err);
	if (r == 0)
		r = sdm_resume(dm, NULL, err);
	(void)b;
	return r;
}

int cow_place(struct sm_backend *b, const struct sm_place *p, enum sm_blank how,
	      struct snapmgr_err *err)
{
	AUTO(free) struct sdm_target *targets = calloc(p->n, sizeof(*targets));
	struct sdm_info data, info;
	struct sdm_device dm;
	uint64_t sectors;
	int r = targets ? sdm_info(b->roles[SM_ROLE_DATA].name, &data, err) : sm_nomem(err);

	if (r < 0)
		return r;
	cow_device(b, p->id, COW_PLACE, &dm);
	sectors = targets_for(p, makedev(data.major, data.minor), targets);
	r = map_place(b, &dm, targets, p->n, err);
	if (r == 0 && how != SM_BLANK_NOTHING)
		r = sdm_info(dm.name, &info, err);
	if (r == 0 && how != SM_BLANK_NOTHING)
		r = blank(&info, (how == SM_BLANK_ALL ? sectors : b->chunk_sectors) * SM_SECTOR,
			  err);
	return r;
}

int cow_arm_idle(const struct sm_backend *b, uint32_t id, uint32_t origin, uint64_t size_bytes,
		 bool merge, struct snapmgr_err *err)
{
	dev_t origin_dev, store_dev;
	struct sdm_target target;
	struct sdm_device dm;
	int r = cow_devno(b, origin, COW_PLACE, &origin_dev, err);

	if (r == 0)
		r = cow_devno(b, id, COW_PLACE, &store_dev, err);
	if (r < 0)
		return r;
	sdm_snapshot_target(origin_dev, store_dev, b->chunk_sectors, size_bytes / SM_SECTOR, merge,
			    &target);
	cow_device(b, merge ? origin : id, merge ? COW_MERGING : COW_SHOWN, &dm);
	return sdm_create_idle(&dm, &target, 1, err);
}

int cow_arm(struct sm_backend *b, const struct sm_place *p, struct snapmgr_err *err)
{
	struct sdm_device dm;
	struct sdm_info info;
	int r;

	cow_device(b, p->id, COW_SHOWN, &dm);
	r = sdm_info(dm.name, &info, err);
	if (r < 0 || (info.exists && info.has_live && !info.suspended))
		return r;
	if (!info.exists || !info.has_live)
		r = cow_arm_idle(b, p->id, p->origin, p->size_bytes, false, err);
	return r == 0 ? sdm_resume(&dm, NULL, err) : r;
}

int cow_disarm(struct sm_backend *b, uint32_t id, struct snapmgr_err *err)
{
	return cow_remove(b, id, COW_SHOWN, err);
}

int cow_status(const struct sm_backend *b, uint32_t id, bool merging, struct sdm_store_status *ret,
	       struct snapmgr_err *err)
{
	struct sdm_device dm;
	struct sdm_info info;
	int r;

	cow_device(b, id, merging ? COW_MERGING : COW_SHOWN, &dm);
	r = sdm_info(dm.name, &info, err);
	if (r < 0)
		return r;
	return info.exists && info.has_live ? sdm_store_status(dm.name, ret, err) : -ENOENT;
}

/* What is mapped of it; where it lay is the catalogue's to forget. */
int cow_drop(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err)
{
	int r = cow_remove(b, id, COW_MERGING, err);

	if (r == 0)
		r = cow_remove(b, id, COW_SHOWN, err);
	return r == 0 ? cow_remove(b, id, COW_PLACE, err) : r;
}
