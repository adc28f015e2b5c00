/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The devices that a cow pool is made of: its data, and what keeps it claimed. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "failpoint.h"
#include "snapmgr/drivers/cow.h"

/* Nobody's: else the first sectors of somebody's image would be those of the data's own device. */
#define FIRST_SECTORS (SM_MIB / SM_SECTOR)
#define STEP_SECTORS  (SM_MIB / SM_SECTOR)
#define CHUNK_BYTES   (64 * SM_KIB)

uint64_t cow_chunk_for(uint64_t data_bytes)
{
	(void)data_bytes;
	return CHUNK_BYTES;
}

static int data_info(const struct sm_backend *b, struct sdm_info *ret, struct snapmgr_err *err)
{
	int r = sdm_info(b->roles[SM_ROLE_DATA].name, ret, err);

	if (r == 0 && !ret->exists)
		return sm_fail(err, SNAPMGR_BAD_STATE, ENODEV, "pool '%s' is not active", b->name);
	return r;
}

/* Written, not discarded: it shall read as zeroes. */
static int blank_first(const struct sm_backend *b, struct snapmgr_err *err)
{
	uint64_t range[2] = { 0, FIRST_SECTORS * SM_SECTOR };
	struct sdm_info info;
	int r = data_info(b, &info, err), fd;

	if (r < 0)
		return r;
	fd = sm_node_open(&info, O_RDWR, err);
	if (fd < 0)
		return fd;
	r = SM_STEP("cow.blank", ioctl(fd, BLKZEROOUT, range));
	if (r == 0)
		r = SM_STEP("cow.sync", fdatasync(fd));
	if (r < 0)
		r = sm_fail(err, SNAPMGR_IO, errno, "cannot write to '%s'", info.name);
	(void)close(fd);
	return r;
}

int cow_start(struct sm_backend *b, const struct sm_layout *layout, bool fresh,
	      struct snapmgr_err *err)
{
	int r = sm_region_map(b, SM_ROLE_DATA, &layout->data, err);

	return r == 0 && fresh ? blank_first(b, err) : r;
}

int cow_pin(struct sm_backend *b, bool fresh, struct snapmgr_err *err)
{
	struct sdm_target targets[2];
	struct sdm_info info;
	int r = data_info(b, &info, err);

	(void)fresh;
	if (r == 0)
		r = sm_region_pin(b, FIRST_SECTORS, &targets[1], err);
	if (r < 0)
		return r;
	sdm_linear_target(makedev(info.major, info.minor), 0, 0, FIRST_SECTORS, &targets[0]);
	return sdm_create(&b->roles[SM_ROLE_ZERO], targets, 2, &b->cookie, err);
}

struct stop {
	const struct sm_backend *b;
	enum cow_kind kind; /* what goes in this walk */
	struct snapmgr_err *err;
};

static int remove_kind(const char *name, const char *dm_uuid, uint32_t major, uint32_t minor,
		       void *data)
{
	const struct stop *stop = data;
	struct sdm_device dm = { .audience = SDM_INTERNAL };
	enum cow_kind kind;
	uint32_t id;

	(void)major;
	(void)minor;
	if (!cow_id(stop->b, dm_uuid, &id, &kind) || kind != stop->kind)
		return 0;
	(void)sm_copy_text(dm.name, sizeof(dm.name), name);
	(void)sm_copy_text(dm.uuid, sizeof(dm.uuid), dm_uuid);
	return sdm_remove(&dm, NULL, stop->err);
}

int cow_stop(struct sm_backend *b, struct snapmgr_err *err)
{
	static const enum cow_kind order[] = { COW_MERGING, COW_SHOWN, COW_PLACE };
	struct stop stop = { .b = b, .err = err };
	int r = sm_region_unmap(b, SM_ROLE_ZERO, err);

	for (size_t i = 0; i < SM_ARRAY(order) && r == 0; i++) {
		stop.kind = order[i];
		r = sdm_list(SM_DM_UUID, remove_kind, &stop, err);
	}
	return r == 0 ? sm_region_unmap(b, SM_ROLE_DATA, err) : r;
}

int cow_grow(struct sm_backend *b, const struct sm_layout *layout, struct snapmgr_err *err)
{
	return sm_region_map(b, SM_ROLE_DATA, &layout->data, err);
}

static int add_length(const struct sdm_target *target, void *data)
{
	*(uint64_t *)data += target->len_sectors;
	return 0;
}

/* What of it is in use, the core knows. */
int cow_space(const struct sm_backend *b, bool commit_first, struct sm_space *ret,
	      struct snapmgr_err *err)
{
	uint64_t sectors = 0;
	int r = sdm_table(b->roles[SM_ROLE_DATA].name, false, add_length, &sectors, err);

	(void)commit_first;
	if (r == 0)
		*ret = (struct sm_space){ .data_bytes = sectors * SM_SECTOR };
	return r;
}

int cow_room(const struct sm_backend *b, uint64_t *ret_from, uint64_t *ret_to, uint64_t *ret_step,
	     struct snapmgr_err *err)
{
	struct sm_space space;
	int r = cow_space(b, false, &space, err);

	if (r < 0)
		return r;
	*ret_from = FIRST_SECTORS;
	*ret_to = space.data_bytes / SM_SECTOR / STEP_SECTORS * STEP_SECTORS;
	*ret_step = STEP_SECTORS;
	return 0;
}
