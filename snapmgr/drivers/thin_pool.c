/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A running thin pool: started, pinned, grown, measured, stopped. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "snapmgr/drivers/thin.h"

#define META_BLOCK 4096u
#define META_MAX_BYTES \
	(UINT64_C(16978542592)) /* 255 * ((1 << 14) - 64) * 4096: dm-thin-metadata.h */
#define META_MIN_BYTES	(4 * SM_MIB)
#define BYTES_PER_CHUNK 64u /* a mapping takes 16; the rest is for trees that snapshots unshared */
#define CHUNK_MIN	(64 * SM_KIB)
#define CHUNK_MAX	SM_GIB

uint64_t thin_meta_for(uint64_t data_bytes, uint64_t chunk_bytes)
{
	uint64_t bytes = data_bytes / chunk_bytes * BYTES_PER_CHUNK;

	bytes = (bytes + META_MIN_BYTES + SM_MIB - 1) / SM_MIB * SM_MIB;
	return bytes > META_MAX_BYTES ? META_MAX_BYTES : bytes;
}

uint64_t thin_chunk_for(uint64_t data_bytes)
{
	uint64_t chunk = CHUNK_MIN;

	while (chunk < CHUNK_MAX && data_bytes / chunk * BYTES_PER_CHUNK > META_MAX_BYTES)
		chunk *= 2;
	return chunk;
}

static uint64_t total_sectors(const struct sm_extents *extents)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < extents->n; i++)
		sum += extents->v[i].len_sectors;
	return sum;
}

/* A zeroed first block is what tells the kernel to make new metadata (thin-provisioning.rst). */
static int blank(const struct sdm_device *dm, struct snapmgr_err *err)
{
	const size_t bytes = META_BLOCK;
	AUTO(sm_close_fd) int fd = -1;
	AUTO(free) void *zeroes = NULL;
	struct sdm_info info;
	int r = sdm_info(dm->name, &info, err);

	if (r < 0)
		return r;
	zeroes = aligned_alloc(META_BLOCK, bytes);
	if (!zeroes)
		return sm_nomem(err);
	memset(zeroes, 0, bytes);
	fd = sm_node_open(&info, O_WRONLY | O_DIRECT, err);
	if (fd < 0)
		return fd;
	if (SM_STEP("metadata.blank", pwrite(fd, zeroes, bytes, 0)) != (ssize_t)bytes ||
	    SM_STEP("metadata.flush", fdatasync(fd)) < 0)
		return sm_fail(err, SNAPMGR_IO, errno, "cannot write the first block of '%s'",
			       dm->name);
	return 0;
}

/* "major:minor", so that no node has to exist yet. */
static int devno_text(const struct sdm_device *dm, char ret[SDM_NAME_MAX], struct snapmgr_err *err)
{
	struct sdm_info info;
	int r = sdm_info(dm->name, &info, err);

	if (r < 0)
		return r;
	if (!info.exists)
		return sm_fail(err, SNAPMGR_KERNEL, ENODEV, "device '%s' is gone", dm->name);
	(void)snprintf(ret, SDM_NAME_MAX, "%u:%u", info.major, info.minor);
	return 0;
}

static int pool_target(const struct sm_backend *b, uint64_t data_sectors, struct sdm_target *ret,
		       struct snapmgr_err *err)
{
	struct sdm_pool_table table = { .chunk_sectors = b->chunk_sectors,
					.error_if_no_space = b->error_if_no_space };
	int r = devno_text(&b->roles[SM_ROLE_META], table.meta_dev, err);

	if (r == 0)
		r = devno_text(&b->roles[SM_ROLE_DATA], table.data_dev, err);
	if (r < 0)
		return r;
	table.data_sectors = data_sectors / b->chunk_sectors * b->chunk_sectors;
	table.low_water_chunks = table.data_sectors / b->chunk_sectors / 10; /* an event at 90 % */
	sdm_pool_target(&table, ret);
	return 0;
}

int thin_start(struct sm_backend *b, const struct sm_layout *layout, bool fresh,
	       struct snapmgr_err *err)
{
	struct sdm_target target;
	int r = sm_region_map(b, SM_ROLE_META, &layout->meta, err);

	if (r == 0)
		r = sm_region_map(b, SM_ROLE_DATA, &layout->data, err);
	if (r == 0 && fresh)
		r = blank(&b->roles[SM_ROLE_META], err);
	if (r == 0)
		r = pool_target(b, total_sectors(&layout->data), &target, err);
	if (r == 0)
		r = sdm_create(&b->roles[SM_ROLE_POOL], &target, 1, &b->cookie, err);
	return r;
}

/* A metadata snapshot that a dead process left keeps all blocks of its time from being used again. */
int thin_let_go(const struct sm_backend *b, struct snapmgr_err *err)
{
	const char *pool = b->roles[SM_ROLE_POOL].name;
	struct sdm_pool_status s;
	int r = sdm_pool_status(pool, false, &s, err);

	if (r < 0 || !s.held_root || s.read_only || s.fail || s.needs_check)
		return r;
	return sdm_meta_snap(pool, false, err);
}

/*
 * Id 0 is one chunk, written first: it owns data block 0, so that nobody's filesystem begins where
 * the pool device and the data device begin, and being mapped it keeps the pool device claimed. A
 * write of a part of it makes the kernel zero the rest.
 */
int thin_pin(struct sm_backend *b, bool fresh, struct snapmgr_err *err)
{
	struct sdm_target targets[2];
	char dev[SDM_NAME_MAX];
	int r = fresh ? thin_make(b, 0, err) : thin_let_go(b, err);

	if (r == 0)
		r = devno_text(&b->roles[SM_ROLE_POOL], dev, err);
	if (r == 0)
		r = sm_region_pin(b, b->chunk_sectors, &targets[1], err);
	if (r < 0)
		return r;
	sdm_thin_target(dev, 0, b->chunk_sectors, &targets[0]);
	r = sdm_create(&b->roles[SM_ROLE_ZERO], targets, 2, &b->cookie, err);
	if (r < 0 && !fresh && thin_make(b, 0, NULL) == 0) { /* a repair has lost it */
		fresh = true;
		r = sdm_create(&b->roles[SM_ROLE_ZERO], targets, 2, &b->cookie, err);
	}
	return r == 0 && fresh ? blank(&b->roles[SM_ROLE_ZERO], err) : r;
}

int thin_stop(struct sm_backend *b, struct snapmgr_err *err)
{
	static const enum sm_role order[] = { SM_ROLE_TAIL, SM_ROLE_ZERO, SM_ROLE_POOL,
					      SM_ROLE_DATA, SM_ROLE_META, SM_ROLE_SPARE };
	int r = 0;

	for (size_t i = 0; i < SM_ARRAY(order) && r == 0; i++)
		r = sm_region_unmap(b, order[i], err);
	return r;
}

static int keep_target(const struct sdm_target *target, void *data)
{
	*(struct sdm_target *)data = *target;
	return 1;
}

static int live_table(const struct sm_backend *b, struct sdm_target *ret, struct snapmgr_err *err)
{
	const char *pool = b->roles[SM_ROLE_POOL].name;
	int r = sdm_table(pool, false, keep_target, ret, err);

	return r == 0 ? sm_fail(err, SNAPMGR_KERNEL, EPROTO, "device '%s' has no table", pool) : r;
}

int thin_when_full(struct sm_backend *b, struct snapmgr_err *err)
{
	const struct sdm_device *pool = &b->roles[SM_ROLE_POOL];
	struct sdm_target target;
	int r = live_table(b, &target, err);

	if (r >= 0)
		r = pool_target(b, target.len_sectors, &target, err);
	if (r == 0 && !b->cookie.made)
		r = sdm_cookie_make(&b->cookie, err);
	if (r == 0)
		r = sdm_load(pool, &target, 1, err);
	return r == 0 ? sdm_resume(pool, &b->cookie, err) : r;
}

/* The linear devices first, then the pool learns their new length by a reload (thin-provisioning.rst). */
int thin_grow(struct sm_backend *b, const struct sm_layout *layout, struct snapmgr_err *err)
{
	const struct sdm_device *pool = &b->roles[SM_ROLE_POOL];
	struct sdm_target target;
	int r = sm_region_map(b, SM_ROLE_META, &layout->meta, err);

	if (r == 0)
		r = sm_region_map(b, SM_ROLE_DATA, &layout->data, err);
	if (r == 0)
		r = live_table(b, &target, err);
	if (r < 0)
		return r;
	b->error_if_no_space = strstr(target.params, "error_if_no_space") != NULL;
	r = pool_target(b, total_sectors(&layout->data), &target, err);
	if (r == 0)
		r = sdm_load(pool, &target, 1, err);
	return r == 0 ? sdm_resume(pool, &b->cookie, err) : r;
}

int thin_space(const struct sm_backend *b, bool commit_first, struct sm_space *ret,
	       struct snapmgr_err *err)
{
	const uint64_t chunk_bytes = (uint64_t)b->chunk_sectors * SM_SECTOR;
	struct sdm_pool_status s;
	int r = sdm_pool_status(b->roles[SM_ROLE_POOL].name, commit_first, &s, err);

	if (r < 0)
		return r;
	*ret = (struct sm_space){
		.data_bytes = s.data_total * chunk_bytes,
		.data_used_bytes = s.data_used * chunk_bytes,
		.meta_bytes = s.meta_total * META_BLOCK,
		.meta_used_bytes = s.meta_used * META_BLOCK,
		.transaction_id = s.transaction_id,
		.fail = s.fail,
		.read_only = s.read_only,
		.out_of_data = s.out_of_data,
		.needs_check = s.needs_check,
	};
	return 0;
}

int thin_transaction(const struct sm_backend *b, uint64_t from, uint64_t to,
		     struct snapmgr_err *err)
{
	int r = sdm_pool_transaction(b->roles[SM_ROLE_POOL].name, from, to, err);

	return r == 0 ? thin_committed(b, err) : r;
}

const char *thin_lacks(const struct sm_backend *b, const char *strategy)
{
	if (!b && !strategy && sdm_target_known("thin-pool", NULL) <= 0)
		return "the kernel has no device-mapper target 'thin-pool'";
	if (strategy && strcmp(strategy, "merge") == 0 && !sm_program_found("thin_delta"))
		return "thin_delta (thin-provisioning-tools) is not installed";
	return NULL;
}
