/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which part of which member becomes what. */
#include <errno.h>
#include <inttypes.h>

#include "snapmgr/core/core.h"

#define CATALOGUE_MIN	(16 * SM_MIB)
#define CATALOGUE_MAX	SM_GIB
#define CATALOGUE_SHARE 512u /* one part in this many of the data */
#define DATA_MIN	(16 * SM_MIB)
#define META_STEP	(4 * SM_MIB) /* that an extend adds at least: it may be what was full */

/* The free part of each member, while regions are cut off its front. */
struct plan {
	struct ssb *sb;
	uint64_t start[SSB_MAX_MEMBERS], end[SSB_MAX_MEMBERS]; /* sectors */
	uint32_t first; /* data members before this one are full already */
};

static uint64_t sectors(uint64_t bytes)
{
	return bytes / SM_SECTOR;
}

static uint64_t round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

static int add_region(struct ssb *sb, enum ssb_kind kind, uint32_t member, uint64_t start,
		      uint64_t len, struct snapmgr_err *err)
{
	struct ssb_region *v;

	if (sb->n_regions == SSB_MAX_REGIONS)
		return sm_fail(err, SNAPMGR_NO_SPACE, ENOSPC,
			       "pool '%s' has no room for another region", sb->pool_name);
	v = realloc(sb->regions, (sb->n_regions + 1) * sizeof(*v));
	if (!v)
		return sm_nomem(err);
	sb->regions = v;
	sb->regions[sb->n_regions++] = (struct ssb_region){ kind, member, start, len };
	return 0;
}

/* May @kind, with @len sectors, be cut off this member now? */
static bool fits(const struct plan *p, uint32_t i, enum ssb_role role, uint64_t len)
{
	/* What is left of the data's old members is less than a chunk. */
	return p->sb->members[i].role == role && (role == SSB_ROLE_META || i >= p->first) &&
	       p->end[i] > p->start[i] && p->end[i] - p->start[i] >= len;
}

static int cut_from(struct plan *p, enum ssb_kind kind, enum ssb_role role, uint64_t len,
		    struct snapmgr_err *err)
{
	for (uint32_t i = 0; i < p->sb->n_members; i++) {
		if (!fits(p, i, role, len))
			continue;
		p->start[i] += len;
		return add_region(p->sb, kind, i, p->start[i] - len, len, err);
	}
	return -ENOENT;
}

static bool has_meta_members(const struct ssb *sb)
{
	for (uint32_t i = 0; i < sb->n_members; i++) {
		if (sb->members[i].role == SSB_ROLE_META)
			return true;
	}
	return false;
}

/*
 * @bytes of @kind in one piece, from the first member with room: of those given with --meta, where
 * there are any. When such a device is full, an extend goes on on the new devices.
 */
static int cut(struct plan *p, enum ssb_kind kind, uint64_t bytes, struct snapmgr_err *err)
{
	const bool meta = has_meta_members(p->sb);
	const uint64_t len = sectors(bytes);
	int r = meta ? cut_from(p, kind, SSB_ROLE_META, len, err) : -ENOENT;

	if (r == -ENOENT && (!meta || p->first > 0))
		r = cut_from(p, kind, SSB_ROLE_DATA, len, err);
	if (r != -ENOENT)
		return r;
	return sm_fail(err, SNAPMGR_NO_SPACE, ENOSPC,
		       "%s %" PRIu64 " MiB in one piece for the pool's own use: give a larger one",
		       meta ? "the device given with --meta lacks" : "no device has",
		       bytes / SM_MIB);
}

/* What is left on the data members, in whole chunks. */
static int cut_data(struct plan *p, struct snapmgr_err *err)
{
	const uint64_t chunk = p->sb->chunk_sectors;
	uint64_t sum = 0;
	int r = 0;

	for (uint32_t i = p->first; i < p->sb->n_members && r == 0; i++) {
		uint64_t start = round_up(p->start[i], chunk);
		uint64_t len = start < p->end[i] ? (p->end[i] - start) / chunk * chunk : 0;

		if (p->sb->members[i].role != SSB_ROLE_DATA || !len)
			continue;
		sum += len;
		r = add_region(p->sb, SSB_DATA, i, start, len, err);
	}
	if (r == 0 && sum < sectors(DATA_MIN))
		return sm_fail(err, SNAPMGR_NO_SPACE, ENOSPC,
			       "the devices are too small: %" PRIu64
			       " MiB would be left for data, at least %" PRIu64 " are needed",
			       sum * SM_SECTOR / SM_MIB, (uint64_t)(DATA_MIN / SM_MIB));
	return r;
}

static void plan_init(struct plan *p, struct ssb *sb, uint32_t first)
{
	p->sb = sb;
	p->first = first;
	for (uint32_t i = 0; i < sb->n_members; i++) {
		uint64_t end = sb->members[i].size_bytes - SSB_TAIL_BYTES;

		p->start[i] = sectors(SSB_HEADER_BYTES);
		p->end[i] = sectors(end / SM_MIB * SM_MIB);
	}
	for (uint32_t i = 0; i < sb->n_regions; i++) {
		const struct ssb_region *region = &sb->regions[i];
		uint64_t end = region->start_sectors + region->len_sectors;

		if (p->start[region->member] < end)
			p->start[region->member] = end;
	}
}

static uint64_t data_bytes(const struct ssb *sb)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < sb->n_members; i++) {
		if (sb->members[i].role == SSB_ROLE_DATA)
			sum += sb->members[i].size_bytes - SSB_HEADER_BYTES - SSB_TAIL_BYTES;
	}
	return sum;
}

static uint64_t catalogue_for(uint64_t bytes)
{
	bytes = round_up(bytes / CATALOGUE_SHARE, SM_MIB);
	if (bytes < CATALOGUE_MIN)
		return CATALOGUE_MIN;
	return bytes > CATALOGUE_MAX ? CATALOGUE_MAX : bytes;
}

int sm_layout_plan(struct ssb *sb, const struct sm_driver *driver, struct snapmgr_err *err)
{
	const uint64_t bytes = data_bytes(sb);
	AUTO(free) struct plan *p = malloc(sizeof(*p));
	uint64_t meta;
	int r;

	if (!p)
		return sm_nomem(err);
	if (!sb->chunk_sectors)
		sb->chunk_sectors = (uint32_t)sectors(driver->chunk_for(bytes));
	meta = driver->meta_for ? driver->meta_for(bytes, (uint64_t)sb->chunk_sectors * SM_SECTOR) :
				  0;
	plan_init(p, sb, 0);
	r = cut(p, SSB_CATALOGUE, catalogue_for(bytes), err);
	if (r == 0 && meta)
		r = cut(p, SSB_META, meta, err);
	if (r == 0 && meta)
		r = cut(p, SSB_SPARE, meta, err);
	return r == 0 ? cut_data(p, err) : r;
}

/* Bring a kind to @want bytes; what it has already stays where it is. */
static int top_up(struct plan *p, enum ssb_kind kind, uint64_t want, struct snapmgr_err *err)
{
	uint64_t have = ssb_kind_sectors(p->sb, kind) * SM_SECTOR;

	return want > have ? cut(p, kind, round_up(want - have, SM_MIB), err) : 0;
}

static uint64_t meta_wanted(const struct ssb *sb, const struct sm_driver *driver, uint64_t bytes)
{
	const uint64_t chunk = (uint64_t)sb->chunk_sectors * SM_SECTOR;
	const uint64_t most = driver->meta_for(INT64_MAX, chunk);
	uint64_t meta = driver->meta_for(bytes, chunk);
	uint64_t more = ssb_kind_sectors(sb, SSB_META) * SM_SECTOR + META_STEP;

	if (meta < more)
		meta = more;
	return meta < most ? meta : most;
}

int sm_layout_extend(struct ssb *sb, const struct sm_driver *driver, uint32_t first_new,
		     struct snapmgr_err *err)
{
	const uint64_t bytes = data_bytes(sb);
	AUTO(free) struct plan *p = malloc(sizeof(*p));
	uint64_t meta = driver->meta_for ? meta_wanted(sb, driver, bytes) : 0;
	int r;

	if (!p)
		return sm_nomem(err);
	plan_init(p, sb, first_new);
	r = top_up(p, SSB_CATALOGUE, catalogue_for(bytes), err);
	if (r == 0)
		r = top_up(p, SSB_META, meta, err);
	if (r == 0)
		r = top_up(p, SSB_SPARE, meta, err);
	return r == 0 ? cut_data(p, err) : r;
}
