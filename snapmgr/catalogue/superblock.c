/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * superblock.c - superblocks as bytes, and the rules that one must keep (doc/CATALOGUE.md)
 */
#include "snapmgr/catalogue/superblock.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/bytes.h"

/* Where things are; what is not named is reserved and zero. */
enum {
	AT_MAGIC = 0, /* 16 bytes */
	AT_CRC = 16,  /* of everything from AT_LENGTH to the end */
	AT_LENGTH = 20,
	AT_VERSION = 24,
	AT_GENERATION = 32,
	AT_POOL_UUID = 40,
	AT_CREATED_AT = 56,
	AT_HOST_ID = 64,
	AT_SELF = 80,
	AT_FLAGS = 84,
	AT_BLOCK_BYTES = 88,
	AT_CHUNK_SECTORS = 92,
	AT_N_MEMBERS = 96,
	AT_N_REGIONS = 100,
	AT_DRIVER = 112,    /* 16 bytes, zero-padded, as the two below */
	AT_POOL_NAME = 128, /* 80 bytes */
	AT_HOST = 208,	    /* 80 bytes */
	AT_END = 288,
	FIXED_BYTES = 512, /* members follow, then regions */
	TEXT_BYTES = 80,
	MEMBER_BYTES = 32,
	REGION_BYTES = 24,
};
static const unsigned char magic[16] = "snapmgr pool\r\n\x1a";

static_assert(FIXED_BYTES + SSB_MAX_MEMBERS * MEMBER_BYTES + SSB_MAX_REGIONS * REGION_BYTES <=
		      SSB_COPY_BYTES,
	      "the largest superblock fits into a copy");

void ssb_release(struct ssb *sb)
{
	free(sb->members);
	free(sb->regions);
	memset(sb, 0, sizeof(*sb));
}

static int alloc_tables(struct ssb *sb, struct snapmgr_err *err)
{
	sb->members = calloc(sb->n_members, sizeof(*sb->members));
	sb->regions = calloc(sb->n_regions ? sb->n_regions : 1, sizeof(*sb->regions));
	if (sb->members && sb->regions)
		return 0;
	ssb_release(sb);
	return sm_nomem(err);
}

int ssb_clone(const struct ssb *from, struct ssb *ret, struct snapmgr_err *err)
{
	struct ssb sb = *from;
	int r = alloc_tables(&sb, err);

	if (r < 0)
		return r;
	if (sb.n_members)
		memcpy(sb.members, from->members, sb.n_members * sizeof(*sb.members));
	if (sb.n_regions)
		memcpy(sb.regions, from->regions, sb.n_regions * sizeof(*sb.regions));
	*ret = sb;
	return 0;
}

uint64_t ssb_kind_sectors(const struct ssb *sb, enum ssb_kind kind)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < sb->n_regions; i++)
		if (sb->regions[i].kind == kind)
			sum += sb->regions[i].len_sectors;
	return sum;
}

/* ---- the rules: NULL, or what is wrong ---- */

static const char *check_fixed(const struct ssb *sb)
{
	if (sm_name_check("pool name", sb->pool_name, NULL) < 0)
		return "impossible pool name";
	if (sb->driver[0] == '\0' || sb->driver[strspn(sb->driver, "abcdefghijklmnopqrstuvwxyz")])
		return "impossible driver name";
	if (!sm_utf8_valid(sb->host))
		return "impossible host name";
	if (sm_uuid_is_null(&sb->pool_uuid))
		return "no pool UUID";
	if (sb->block_bytes != 512 && sb->block_bytes != 4096)
		return "impossible block size";
	if (sb->chunk_sectors > SM_GIB / SM_SECTOR || sb->chunk_sectors % 128)
		return "impossible chunk size";
	if (strcmp(sb->driver, "thin") == 0 && sb->chunk_sectors == 0)
		return "no chunk size";
	if (sb->created_at_us < 0)
		return "impossible creation time";
	if (sb->self >= sb->n_members)
		return "its own place in the pool is not in the table";
	return NULL;
}

static const char *check_members(const struct ssb *sb)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < sb->n_members; i++) {
		const struct ssb_member *m = &sb->members[i];

		if (sm_uuid_is_null(&m->uuid))
			return "a member without a UUID";
		if (m->role != SSB_ROLE_DATA && m->role != SSB_ROLE_META)
			return "a member of an unknown role";
		if (m->size_bytes % SM_SECTOR ||
		    m->size_bytes < SSB_HEADER_BYTES + SSB_TAIL_BYTES ||
		    m->size_bytes > (uint64_t)INT64_MAX - sum)
			return "a member of an impossible size";
		sum += m->size_bytes;
		for (uint32_t j = 0; j < i; j++)
			if (sm_uuid_equal(&m->uuid, &sb->members[j].uuid))
				return "two members of one UUID";
	}
	return NULL;
}

static const char *check_region(const struct ssb *sb, const struct ssb_region *r)
{
	uint64_t first = SSB_HEADER_BYTES / SM_SECTOR, end, block = sb->block_bytes / SM_SECTOR;

	if (r->kind < SSB_CATALOGUE || r->kind > SSB_DATA)
		return "a region of an unknown kind";
	if (r->member >= sb->n_members)
		return "a region on a member that is not in the table";
	end = (sb->members[r->member].size_bytes - SSB_TAIL_BYTES) / SM_SECTOR;
	if (r->start_sectors < first || r->start_sectors > end || r->len_sectors == 0 ||
	    r->len_sectors > end - r->start_sectors)
		return "a region outside of its member";
	if (r->start_sectors % block || r->len_sectors % block)
		return "a region that is not aligned to a block";
	return NULL;
}

static int compare_regions(const void *a, const void *b)
{
	const struct ssb_region *x = a, *y = b;

	if (x->member != y->member)
		return x->member < y->member ? -1 : 1;
	if (x->start_sectors != y->start_sectors)
		return x->start_sectors < y->start_sectors ? -1 : 1;
	return 0;
}

/* Neighbours in order of place; @sorted is ours to sort. */
static const char *check_overlap(struct ssb_region *sorted, uint32_t n)
{
	qsort(sorted, n, sizeof(*sorted), compare_regions);
	for (uint32_t i = 1; i < n; i++)
		if (sorted[i].member == sorted[i - 1].member &&
		    sorted[i].start_sectors - sorted[i - 1].start_sectors <
			    sorted[i - 1].len_sectors)
			return "regions that overlap";
	return NULL;
}

static const char *check_regions(const struct ssb *sb)
{
	struct ssb_region sorted[SSB_MAX_REGIONS];
	const char *wrong;

	for (uint32_t i = 0; i < sb->n_regions; i++) {
		wrong = check_region(sb, &sb->regions[i]);
		if (wrong)
			return wrong;
	}
	if (sb->n_regions == 0 || ssb_kind_sectors(sb, SSB_CATALOGUE) == 0)
		return "no catalogue region";
	memcpy(sorted, sb->regions, sb->n_regions * sizeof(*sorted));
	return check_overlap(sorted, sb->n_regions);
}

static const char *check_all(const struct ssb *sb)
{
	const char *wrong = check_fixed(sb);

	if (!wrong)
		wrong = check_members(sb);
	if (!wrong)
		wrong = check_regions(sb);
	return wrong;
}

/* ---- bytes ---- */

static uint32_t length_of(const struct ssb *sb)
{
	return FIXED_BYTES + sb->n_members * MEMBER_BYTES + sb->n_regions * REGION_BYTES;
}

static void encode_fixed(const struct ssb *sb, unsigned char *b)
{
	memcpy(b + AT_MAGIC, magic, sizeof(magic));
	put_le32(b + AT_LENGTH, length_of(sb));
	put_le32(b + AT_VERSION, SSB_VERSION);
	put_le64(b + AT_GENERATION, sb->generation);
	memcpy(b + AT_POOL_UUID, sb->pool_uuid.b, 16);
	put_le64(b + AT_CREATED_AT, (uint64_t)sb->created_at_us);
	memcpy(b + AT_HOST_ID, sb->host_id.b, 16);
	put_le32(b + AT_SELF, sb->self);
	put_le32(b + AT_FLAGS, sb->flags);
	put_le32(b + AT_BLOCK_BYTES, sb->block_bytes);
	put_le32(b + AT_CHUNK_SECTORS, sb->chunk_sectors);
	put_le32(b + AT_N_MEMBERS, sb->n_members);
	put_le32(b + AT_N_REGIONS, sb->n_regions);
	memcpy(b + AT_DRIVER, sb->driver, strnlen(sb->driver, sizeof(sb->driver) - 1));
	memcpy(b + AT_POOL_NAME, sb->pool_name, strnlen(sb->pool_name, sizeof(sb->pool_name) - 1));
	memcpy(b + AT_HOST, sb->host, strnlen(sb->host, sizeof(sb->host) - 1));
}

static void encode_tables(const struct ssb *sb, unsigned char *b)
{
	for (uint32_t i = 0; i < sb->n_members; i++, b += MEMBER_BYTES) {
		memcpy(b, sb->members[i].uuid.b, 16);
		put_le64(b + 16, sb->members[i].size_bytes);
		put_le32(b + 24, (uint32_t)sb->members[i].role);
	}
	for (uint32_t i = 0; i < sb->n_regions; i++, b += REGION_BYTES) {
		put_le32(b, (uint32_t)sb->regions[i].kind);
		put_le32(b + 4, sb->regions[i].member);
		put_le64(b + 8, sb->regions[i].start_sectors);
		put_le64(b + 16, sb->regions[i].len_sectors);
	}
}

int ssb_encode(const struct ssb *sb, void *buf, struct snapmgr_err *err)
{
	unsigned char *b = buf;
	const char *wrong;

	if (sb->n_members > SSB_MAX_MEMBERS)
		return sm_fail(err, SNAPMGR_UNSUPPORTED, E2BIG,
			       "pool '%s' cannot have more than %u members", sb->pool_name,
			       SSB_MAX_MEMBERS);
	if (sb->n_regions > SSB_MAX_REGIONS)
		return sm_fail(err, SNAPMGR_UNSUPPORTED, E2BIG,
			       "pool '%s' cannot have more than %u regions", sb->pool_name,
			       SSB_MAX_REGIONS);
	wrong = check_all(sb); /* never write what could not be read back */
	if (wrong)
		return sm_fail(err, SNAPMGR_INTERNAL, EINVAL, "superblock of pool '%s' has %s",
			       sb->pool_name, wrong);
	memset(b, 0, SSB_COPY_BYTES);
	encode_fixed(sb, b);
	encode_tables(sb, b + FIXED_BYTES);
	put_le32(b + AT_CRC, sm_crc32c(0, b + AT_LENGTH, length_of(sb) - AT_LENGTH));
	return 0;
}

static int damaged(struct snapmgr_err *err, const char *wrong)
{
	return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN, "superblock is damaged: %s", wrong);
}

/* Zero-padded text: what follows its end must be zero, so that one value has one spelling. */
static bool decode_text(const unsigned char *from, size_t room, char *to, size_t size)
{
	size_t len = strnlen((const char *)from, room);

	if (len >= size || !all_zero(from + len, room - len))
		return false;
	memcpy(to, from, len);
	to[len] = '\0';
	return true;
}

static const char *decode_fixed(const unsigned char *b, struct ssb *sb)
{
	sb->generation = get_le64(b + AT_GENERATION);
	memcpy(sb->pool_uuid.b, b + AT_POOL_UUID, 16);
	sb->created_at_us = (int64_t)get_le64(b + AT_CREATED_AT);
	memcpy(sb->host_id.b, b + AT_HOST_ID, 16);
	sb->self = get_le32(b + AT_SELF);
	sb->flags = get_le32(b + AT_FLAGS);
	sb->block_bytes = get_le32(b + AT_BLOCK_BYTES);
	sb->chunk_sectors = get_le32(b + AT_CHUNK_SECTORS);
	sb->n_members = get_le32(b + AT_N_MEMBERS);
	sb->n_regions = get_le32(b + AT_N_REGIONS);
	if (!decode_text(b + AT_DRIVER, 16, sb->driver, sizeof(sb->driver)) ||
	    !decode_text(b + AT_POOL_NAME, TEXT_BYTES, sb->pool_name, sizeof(sb->pool_name)) ||
	    !decode_text(b + AT_HOST, TEXT_BYTES, sb->host, sizeof(sb->host)))
		return "text without an end";
	if (sb->n_members == 0 || sb->n_members > SSB_MAX_MEMBERS)
		return "impossible number of members";
	if (sb->n_regions > SSB_MAX_REGIONS)
		return "impossible number of regions";
	if (get_le32(b + AT_LENGTH) != length_of(sb))
		return "its length does not fit its tables";
	if (!all_zero(b + AT_VERSION + 4, 4) || !all_zero(b + AT_N_REGIONS + 4, 8) ||
	    !all_zero(b + AT_END, FIXED_BYTES - AT_END))
		return "reserved bytes are in use";
	return NULL;
}

static const char *decode_tables(const unsigned char *b, struct ssb *sb)
{
	for (uint32_t i = 0; i < sb->n_members; i++, b += MEMBER_BYTES) {
		memcpy(sb->members[i].uuid.b, b, 16);
		sb->members[i].size_bytes = get_le64(b + 16);
		sb->members[i].role = (enum ssb_role)get_le32(b + 24);
		if (!all_zero(b + 28, 4))
			return "reserved bytes are in use";
	}
	for (uint32_t i = 0; i < sb->n_regions; i++, b += REGION_BYTES) {
		sb->regions[i].kind = (enum ssb_kind)get_le32(b);
		sb->regions[i].member = get_le32(b + 4);
		sb->regions[i].start_sectors = get_le64(b + 8);
		sb->regions[i].len_sectors = get_le64(b + 16);
	}
	return NULL;
}

/* The part that every version keeps: magic, checksum, length, version. */
static int decode_envelope(const unsigned char *b, size_t len, struct snapmgr_err *err)
{
	uint32_t length, version;

	if (len < sizeof(magic) || memcmp(b, magic, sizeof(magic)) != 0)
		return -ENOMSG;
	if (len < FIXED_BYTES)
		return damaged(err, "cut short");
	length = get_le32(b + AT_LENGTH);
	if (length < FIXED_BYTES || length > len || length > SSB_COPY_BYTES)
		return damaged(err, "impossible length");
	if (get_le32(b + AT_CRC) != sm_crc32c(0, b + AT_LENGTH, length - AT_LENGTH))
		return damaged(err, "wrong checksum");
	version = get_le32(b + AT_VERSION);
	if (version == 0)
		return damaged(err, "no version");
	if (version > SSB_VERSION ||
	    (get_le32(b + AT_FLAGS) & ~(SSB_FLAG_ACTIVE | SSB_FLAG_EXPORTED)))
		return sm_fail(err, SNAPMGR_NEWER_VERSION, EPROTONOSUPPORT,
			       "superblock has version %u, and this program knows %u: use a newer "
			       "snapmgr",
			       version, SSB_VERSION);
	return 0;
}

int ssb_decode(const void *buf, size_t len, struct ssb *ret, struct snapmgr_err *err)
{
	AUTO(ssb_release) struct ssb sb = { 0 };
	const unsigned char *b = buf;
	const char *wrong;
	int r = decode_envelope(b, len, err);

	if (r < 0)
		return r;
	wrong = decode_fixed(b, &sb);
	if (wrong)
		return damaged(err, wrong);
	r = alloc_tables(&sb, err);
	if (r < 0)
		return r;
	wrong = decode_tables(b + FIXED_BYTES, &sb);
	if (!wrong)
		wrong = check_all(&sb);
	if (wrong)
		return damaged(err, wrong);
	*ret = sb;
	memset(&sb, 0, sizeof(sb)); /* handed over */
	return 0;
}
