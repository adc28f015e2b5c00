/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A running thin pool: started, pinned, grown, measured, checked, stopped. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/drivers/thin.h"

#define META_BLOCK	 4096u
#define META_MAX_BYTES	 (UINT64_C(16978542592)) /* 255 * ((1 << 14) - 64) * 4096: dm-thin-metadata.h */
#define META_MIN_BYTES	 (4 * SM_MIB)
#define BYTES_PER_CHUNK	 64u /* a mapping takes 16; the rest is for trees that snapshots unshared */
#define CHUNK_MIN	 (64 * SM_KIB)
#define CHUNK_MAX	 SM_GIB
#define LISTING_BYTES	 (64 * SM_MIB)

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
static int blank(const struct sdm_device *dm, uint64_t bytes, struct snapmgr_err *err)
{
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
	if (pwrite(fd, zeroes, bytes, 0) != (ssize_t)bytes || fdatasync(fd) < 0)
		return sm_fail(err, SNAPMGR_IO, errno, "cannot write the first block of '%s'", dm->name);
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
	struct sdm_pool_table table = { .chunk_sectors = b->chunk_sectors };
	int r = devno_text(&b->roles[SM_ROLE_META], table.meta_dev, err);

	if (r == 0)
		r = devno_text(&b->roles[SM_ROLE_DATA], table.data_dev, err);
	if (r < 0)
		return r;
	table.data_sectors = data_sectors / b->chunk_sectors * b->chunk_sectors;
	table.low_water_chunks = table.data_sectors / b->chunk_sectors / 20; /* an event at 95 % */
	sdm_pool_target(&table, ret);
	return 0;
}

int thin_start(struct sm_backend *b, const struct sm_layout *layout, bool fresh, struct snapmgr_err *err)
{
	struct sdm_target target;
	int r = sm_region_map(b, SM_ROLE_META, &layout->meta, err);

	if (r == 0)
		r = sm_region_map(b, SM_ROLE_DATA, &layout->data, err);
	if (r == 0 && fresh)
		r = blank(&b->roles[SM_ROLE_META], META_BLOCK, err);
	if (r == 0)
		r = pool_target(b, total_sectors(&layout->data), &target, err);
	if (r == 0)
		r = sdm_create(&b->roles[SM_ROLE_POOL], &target, 1, &b->cookie, err);
	return r;
}

/*
 * Id 0 is one chunk, written first: it owns data block 0, so that nobody's filesystem begins where
 * the pool device and the data device begin, and being mapped it keeps the pool device claimed.
 */
int thin_pin(struct sm_backend *b, bool fresh, struct snapmgr_err *err)
{
	const char *pool = b->roles[SM_ROLE_POOL].name;
	struct sdm_target target;
	int r = fresh ? sdm_thin_create(pool, 0, err) : 0;

	if (r < 0)
		return r;
	r = devno_text(&b->roles[SM_ROLE_POOL], target.params, err);
	if (r < 0)
		return r;
	{
		char dev[SDM_NAME_MAX];

		(void)sm_copy_text(dev, sizeof(dev), target.params);
		sdm_thin_target(dev, 0, b->chunk_sectors, &target);
	}
	r = sdm_create(&b->roles[SM_ROLE_ZERO], &target, 1, &b->cookie, err);
	return r == 0 && fresh ? blank(&b->roles[SM_ROLE_ZERO], (uint64_t)b->chunk_sectors * SM_SECTOR, err) : r;
}

int thin_stop(struct sm_backend *b, struct snapmgr_err *err)
{
	static const enum sm_role order[] = { SM_ROLE_ZERO, SM_ROLE_POOL, SM_ROLE_DATA, SM_ROLE_META };
	int r = 0;

	for (size_t i = 0; i < SM_ARRAY(order) && r == 0; i++)
		r = sm_region_unmap(b, order[i], err);
	return r;
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

int thin_transaction(const struct sm_backend *b, uint64_t from, uint64_t to, struct snapmgr_err *err)
{
	return sdm_pool_transaction(b->roles[SM_ROLE_POOL].name, from, to, err);
}

static int meta_node(const struct sm_backend *b, char *ret, size_t size, struct snapmgr_err *err)
{
	struct sdm_info info;
	int r = sdm_info(b->roles[SM_ROLE_META].name, &info, err);

	if (r < 0)
		return r;
	sm_node_path(&info, ret, size);
	return 0;
}

/* Run one of thin-provisioning-tools on a metadata snapshot, which is released whatever happens. */
static int on_metadata_snapshot(const struct sm_backend *b, const char *const argv[], char *out,
				size_t size, struct snapmgr_err *err)
{
	const char *pool = b->roles[SM_ROLE_POOL].name;
	int r = sdm_meta_snap(pool, true, err);
	int r_release;

	if (r == -EBUSY) { /* one that a dead process left */
		r = sdm_meta_snap(pool, false, err);
		if (r == 0)
			r = sdm_meta_snap(pool, true, err);
	}
	if (r < 0)
		return r;
	r = sm_program_run(argv, out, size, err);
	r_release = sdm_meta_snap(pool, false, r < 0 ? NULL : err);
	return r < 0 ? r : r_release;
}

static int visit_line(const char *line, sm_id_fn *visit, void *data, struct snapmgr_err *err)
{
	uint64_t mapped, exclusive;
	uint32_t id;

	if (sscanf(line, "%" SCNu32 " %" SCNu64 " %" SCNu64, &id, &mapped, &exclusive) != 3)
		return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN, "thin_ls answered '%.60s'", line);
	return visit(id, mapped, exclusive, data);
}

int thin_ids(const struct sm_backend *b, sm_id_fn *visit, void *data, struct snapmgr_err *err)
{
	char node[SDM_NAME_MAX + 16];
	const char *const argv[] = { "thin_ls", "--metadata-snap", "--no-headers", "-o",
				     "DEV,MAPPED_BYTES,EXCLUSIVE_BYTES", node, NULL };
	AUTO(free) char *out = malloc(LISTING_BYTES);
	char *state = NULL;
	int r;

	if (!out)
		return sm_nomem(err);
	r = meta_node(b, node, sizeof(node), err);
	if (r == 0)
		r = on_metadata_snapshot(b, argv, out, LISTING_BYTES, err);
	if (r < 0)
		return r;
	for (char *line = strtok_r(out, "\n", &state); line && r == 0; line = strtok_r(NULL, "\n", &state))
		r = visit_line(line, visit, data, err);
	return r;
}

int thin_verify(const struct sm_backend *b, bool active, snapmgr_report_fn *report, void *data,
		struct snapmgr_err *err)
{
	char node[SDM_NAME_MAX + 16], out[2048];
	const char *const live[] = { "thin_check", "-q", "--metadata-snap", node, NULL };
	const char *const still[] = { "thin_check", "-q", node, NULL };
	struct snapmgr_err why;
	int r = meta_node(b, node, sizeof(node), err);

	if (r < 0)
		return r;
	r = active ? on_metadata_snapshot(b, live, out, sizeof(out), &why) :
		     sm_program_run(still, out, sizeof(out), &why);
	if (r == 0 || (why.code != SNAPMGR_DAMAGED)) {
		if (r < 0 && err)
			*err = why;
		return r;
	}
	return report(why.message, false, data);
}
