/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapmgr/catalogue/superblock.h"

#include <atf-c.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "snapmgr/catalogue/bytes.h"

/* Offsets of doc/CATALOGUE.md, written down again on purpose. */
#define AT_CRC	     16
#define AT_LENGTH    20
#define AT_VERSION   24
#define AT_FLAGS     84
#define AT_N_MEMBERS 96
#define AT_N_REGIONS 100
#define AT_NAME	     128
#define AT_TABLES    512

static struct snapmgr_err err;

/* ---- a superblock to start from ---- */

static struct ssb make(uint32_t n_members, uint32_t n_regions)
{
	struct ssb sb = { .pool_name = "p0",
			  .driver = "thin",
			  .generation = 7,
			  .block_bytes = 512,
			  .chunk_sectors = 128,
			  .created_at_us = 1700000000000000,
			  .host = "node-1",
			  .n_members = n_members,
			  .n_regions = n_regions };

	sm_uuid_make(&sb.pool_uuid);
	sm_uuid_make(&sb.host_id);
	sb.members = calloc(n_members, sizeof(*sb.members));
	sb.regions = calloc(n_regions, sizeof(*sb.regions));
	ATF_REQUIRE(sb.members && sb.regions);
	for (uint32_t i = 0; i < n_members; i++) {
		sm_uuid_make(&sb.members[i].uuid);
		sb.members[i].size_bytes = SM_GIB;
		sb.members[i].role = SSB_ROLE_DATA;
	}
	for (uint32_t i = 0; i < n_regions; i++)
		sb.regions[i] = (struct ssb_region){ .kind = i == 0 ? SSB_CATALOGUE : SSB_DATA,
						     .member = i % n_members,
						     .start_sectors = 2048 + 128 * i,
						     .len_sectors = 128 };
	return sb;
}

static unsigned char *encode(const struct ssb *sb)
{
	unsigned char *buf = malloc(SSB_COPY_BYTES);

	ATF_REQUIRE(buf != NULL);
	ATF_REQUIRE_EQ_MSG(0, ssb_encode(sb, buf, &err), "%s", err.message);
	return buf;
}

static void repair_checksum(unsigned char *buf)
{
	put_le32(buf + AT_CRC,
		 sm_crc32c(0, buf + AT_LENGTH, get_le32(buf + AT_LENGTH) - AT_LENGTH));
}

static int decode(const unsigned char *buf, size_t len)
{
	struct ssb sb = { 0 };
	int r;

	memset(&err, 0, sizeof(err));
	r = ssb_decode(buf, len, &sb, &err);
	ssb_release(&sb);
	return r;
}

/* @sb was spoilt on purpose, behind the encoder's back. */
static void require_damaged(unsigned char *buf, const char *why)
{
	repair_checksum(buf);
	ATF_REQUIRE_EQ_MSG(-EUCLEAN, decode(buf, SSB_COPY_BYTES), "%s passed", why);
	ATF_CHECK_EQ(SNAPMGR_DAMAGED, err.code);
	ATF_CHECK_MSG(strstr(err.message, why), "'%s' does not say '%s'", err.message, why);
	free(buf);
}

static unsigned char *region_bytes(unsigned char *buf, uint32_t n_members, uint32_t i)
{
	return buf + AT_TABLES + 32 * n_members + 24 * i;
}

/* ---- bytes ---- */

ATF_TC_WITHOUT_HEAD(what_was_encoded_decodes_to_the_same);
ATF_TC_BODY(what_was_encoded_decodes_to_the_same, tc)
{
	AUTO(ssb_release) struct ssb sb = make(3, 5), got = { 0 };
	AUTO(free) unsigned char *buf, *again;

	sb.self = 2;
	sb.flags = SSB_FLAG_ACTIVE;
	buf = encode(&sb);
	ATF_REQUIRE_EQ(0, ssb_decode(buf, SSB_COPY_BYTES, &got, &err));
	again = encode(&got);
	ATF_CHECK_EQ(0, memcmp(buf, again, SSB_COPY_BYTES));
	ATF_CHECK_STREQ("p0", got.pool_name);
	ATF_CHECK_STREQ("node-1", got.host);
	ATF_CHECK_EQ(2, got.self);
	ATF_CHECK_EQ(SSB_FLAG_ACTIVE, got.flags);
	ATF_CHECK_EQ(4 * 128, ssb_kind_sectors(&got, SSB_DATA));
}

ATF_TC_WITHOUT_HEAD(a_clone_is_the_same_and_owns_its_tables);
ATF_TC_BODY(a_clone_is_the_same_and_owns_its_tables, tc)
{
	AUTO(ssb_release) struct ssb sb = make(2, 2), copy = { 0 };
	AUTO(free) unsigned char *a, *b;

	ATF_REQUIRE_EQ(0, ssb_clone(&sb, &copy, &err));
	a = encode(&sb);
	b = encode(&copy);
	ATF_CHECK_EQ(0, memcmp(a, b, SSB_COPY_BYTES));
	ATF_CHECK(sb.members != copy.members && sb.regions != copy.regions);
}

ATF_TC_WITHOUT_HEAD(the_largest_superblock_fits);
ATF_TC_BODY(the_largest_superblock_fits, tc)
{
	AUTO(ssb_release) struct ssb sb = make(SSB_MAX_MEMBERS, SSB_MAX_REGIONS);
	AUTO(free) unsigned char *buf = encode(&sb);

	ATF_CHECK_EQ(0, decode(buf, SSB_COPY_BYTES));
}

ATF_TC_WITHOUT_HEAD(one_member_or_region_too_many_is_refused);
ATF_TC_BODY(one_member_or_region_too_many_is_refused, tc)
{
	AUTO(free) unsigned char *buf = malloc(SSB_COPY_BYTES);
	AUTO(ssb_release) struct ssb members = make(SSB_MAX_MEMBERS + 1, 1);
	AUTO(ssb_release) struct ssb regions = make(1, SSB_MAX_REGIONS + 1);

	ATF_CHECK_EQ(-E2BIG, ssb_encode(&members, buf, &err));
	ATF_CHECK_EQ(SNAPMGR_UNSUPPORTED, err.code);
	ATF_CHECK_EQ(-E2BIG, ssb_encode(&regions, buf, &err));
}

ATF_TC_WITHOUT_HEAD(what_could_not_be_read_back_is_not_written);
ATF_TC_BODY(what_could_not_be_read_back_is_not_written, tc)
{
	AUTO(free) unsigned char *buf = malloc(SSB_COPY_BYTES);
	AUTO(ssb_release) struct ssb sb = make(1, 2);

	sb.regions[1].start_sectors = sb.regions[0].start_sectors + 8;
	ATF_CHECK_EQ(-EINVAL, ssb_encode(&sb, buf, &err));
	ATF_CHECK_EQ(SNAPMGR_INTERNAL, err.code);
}

ATF_TC_WITHOUT_HEAD(zeroes_and_text_are_not_ours);
ATF_TC_BODY(zeroes_and_text_are_not_ours, tc)
{
	unsigned char buf[4096] = { 0 };

	ATF_CHECK_EQ(-ENOMSG, decode(buf, sizeof(buf)));
	memset(buf, 'x', sizeof(buf));
	ATF_CHECK_EQ(-ENOMSG, decode(buf, sizeof(buf)));
	ATF_CHECK_EQ(-ENOMSG, decode(buf, 0));
	ATF_CHECK_STREQ("", err.message);
}

ATF_TC_WITHOUT_HEAD(a_superblock_cut_short_anywhere_is_refused);
ATF_TC_BODY(a_superblock_cut_short_anywhere_is_refused, tc)
{
	AUTO(ssb_release) struct ssb sb = make(2, 3);
	AUTO(free) unsigned char *buf = encode(&sb);
	size_t length = get_le32(buf + AT_LENGTH);

	for (size_t len = 0; len < length; len++) {
		AUTO(free) unsigned char *part = malloc(len ? len : 1);

		memcpy(part, buf, len);
		ATF_REQUIRE_EQ(len < 16 ? -ENOMSG : -EUCLEAN, decode(part, len));
	}
	ATF_CHECK_EQ(0, decode(buf, length));
}

ATF_TC_WITHOUT_HEAD(every_flipped_bit_is_noticed);
ATF_TC_BODY(every_flipped_bit_is_noticed, tc)
{
	AUTO(ssb_release) struct ssb sb = make(2, 3);
	AUTO(free) unsigned char *buf = encode(&sb);
	size_t length = get_le32(buf + AT_LENGTH);

	for (size_t bit = 0; bit < 8 * length; bit++) {
		buf[bit / 8] ^= (unsigned char)(1u << bit % 8);
		ATF_REQUIRE_EQ(bit < 128 ? -ENOMSG : -EUCLEAN, decode(buf, SSB_COPY_BYTES));
		buf[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
}

ATF_TC_WITHOUT_HEAD(garbage_with_a_right_checksum_never_breaks_a_rule);
ATF_TC_BODY(garbage_with_a_right_checksum_never_breaks_a_rule, tc)
{
	AUTO(ssb_release) struct ssb sb = make(2, 3);
	AUTO(free) unsigned char *good = encode(&sb), *buf = malloc(SSB_COPY_BYTES);
	size_t length = get_le32(good + AT_LENGTH);
	int passed = 0;

	srandom(1);
	for (int i = 0; i < 20000; i++) {
		struct ssb got = { 0 };

		memcpy(buf, good, SSB_COPY_BYTES);
		for (long n = random() % 4; n >= 0; n--)
			buf[AT_VERSION + (size_t)random() % (length - AT_VERSION)] = (unsigned char)
				random();
		repair_checksum(buf);
		if (ssb_decode(buf, SSB_COPY_BYTES, &got, NULL) == 0) {
			AUTO(free) unsigned char *again = encode(&got);

			ATF_REQUIRE_EQ(0, memcmp(buf, again, SSB_COPY_BYTES));
			passed++;
		}
		ssb_release(&got);
	}
	printf("%d of 20000 were superblocks\n", passed);
}

ATF_TC_WITHOUT_HEAD(absurd_counts_are_refused);
ATF_TC_BODY(absurd_counts_are_refused, tc)
{
	static const uint32_t counts[] = { 0, 4, SSB_MAX_REGIONS + 1, 0x80000000, 0xffffffff };
	AUTO(ssb_release) struct ssb sb = make(3, 3);

	for (size_t i = 0; i < SM_ARRAY(counts); i++) {
		unsigned char *buf = encode(&sb);

		put_le32(buf + AT_N_MEMBERS, counts[i]);
		require_damaged(buf, counts[i] == 4 ? "length" : "number of members");
		buf = encode(&sb);
		put_le32(buf + AT_N_REGIONS, counts[i]);
		require_damaged(buf, counts[i] > SSB_MAX_REGIONS ? "number of regions" : "length");
	}
}

ATF_TC_WITHOUT_HEAD(an_absurd_length_is_refused);
ATF_TC_BODY(an_absurd_length_is_refused, tc)
{
	static const uint32_t lengths[] = { 0, 20, 511, SSB_COPY_BYTES + 1, 0xffffffff };
	AUTO(ssb_release) struct ssb sb = make(1, 1);
	AUTO(free) unsigned char *buf = encode(&sb);

	for (size_t i = 0; i < SM_ARRAY(lengths); i++) {
		put_le32(buf + AT_LENGTH, lengths[i]);
		ATF_CHECK_EQ(-EUCLEAN, decode(buf, SSB_COPY_BYTES));
	}
}

ATF_TC_WITHOUT_HEAD(impossible_regions_are_refused);
ATF_TC_BODY(impossible_regions_are_refused, tc)
{
	static const struct {
		uint64_t start, len;
		const char *why;
	} bad[] = {
		{ 2048 + 64, 128, "overlap" },	 { 2048, 128, "overlap" },
		{ 0, 128, "outside" },		 { 2047, 8, "outside" },
		{ 4096, 0, "outside" },		 { SM_GIB / 512 - 2048 - 64, 128, "outside" },
		{ SM_GIB / 512, 1, "outside" },	 { UINT64_MAX, 2, "outside" },
		{ 4096, UINT64_MAX, "outside" }, { 4096, UINT64_MAX - 4095, "outside" },
	};
	AUTO(ssb_release) struct ssb sb = make(1, 2);

	for (size_t i = 0; i < SM_ARRAY(bad); i++) {
		unsigned char *buf = encode(&sb);

		put_le64(region_bytes(buf, 1, 1) + 8, bad[i].start);
		put_le64(region_bytes(buf, 1, 1) + 16, bad[i].len);
		require_damaged(buf, bad[i].why);
	}
}

ATF_TC_WITHOUT_HEAD(regions_that_meet_do_not_overlap);
ATF_TC_BODY(regions_that_meet_do_not_overlap, tc)
{
	AUTO(ssb_release) struct ssb sb = make(1, 2);
	AUTO(free) unsigned char *buf = NULL;

	sb.regions[0].start_sectors = SM_GIB / 512 - 2048 - 128; /* up to the tail */
	sb.regions[1].start_sectors = SM_GIB / 512 - 2048 - 256;
	buf = encode(&sb);
	ATF_CHECK_EQ(0, decode(buf, SSB_COPY_BYTES));
}

ATF_TC_WITHOUT_HEAD(other_broken_rules_are_refused);
ATF_TC_BODY(other_broken_rules_are_refused, tc)
{
	static const struct {
		size_t at;
		uint32_t value;
		const char *why;
	} bad[] = {
		{ 80, 2, "own place" },
		{ 88, 1024, "block size" },
		{ 92, 64, "chunk size" },
		{ 92, 0, "chunk size" },
		{ 92, 128 << 20, "chunk size" },
		{ 60, 0x80000000, "creation time" },
		{ 104, 1, "reserved" },
		{ 300, 1, "reserved" },
		{ AT_NAME, 0x2e2e, "pool name" },
		{ AT_NAME, 0, "pool name" },
		{ AT_NAME + 72, 1, "text" },
		{ 112, 0x00000041, "driver" },
		{ 112, 0x2f2f2f2f, "driver" },
		{ 208, 0x000000ff, "text" },
		{ AT_TABLES + 16, 1, "size" },
		{ AT_TABLES + 20, 0x80000000, "size" },
		{ AT_TABLES + 24, 3, "role" },
		{ AT_TABLES + 28, 1, "reserved" },
		{ AT_TABLES + 64, 9, "kind" },
		{ AT_TABLES + 64, SSB_DATA, "no catalogue" },
		{ AT_TABLES + 68, 2, "not in the table" },
		{ AT_VERSION, 0, "version" },
	};
	AUTO(ssb_release) struct ssb sb = make(2, 2);

	for (size_t i = 0; i < SM_ARRAY(bad); i++) {
		unsigned char *buf = encode(&sb);

		put_le32(buf + bad[i].at, bad[i].value);
		require_damaged(buf, bad[i].why);
	}
}

ATF_TC_WITHOUT_HEAD(two_members_of_one_uuid_are_refused);
ATF_TC_BODY(two_members_of_one_uuid_are_refused, tc)
{
	AUTO(ssb_release) struct ssb sb = make(2, 2);
	unsigned char *buf = encode(&sb);

	memcpy(buf + AT_TABLES, buf + AT_TABLES + 32, 16);
	require_damaged(buf, "one UUID");
}

ATF_TC_WITHOUT_HEAD(a_region_must_fit_the_blocks_of_the_pool);
ATF_TC_BODY(a_region_must_fit_the_blocks_of_the_pool, tc)
{
	AUTO(ssb_release) struct ssb sb = make(1, 2);
	unsigned char *buf;

	sb.block_bytes = 4096;
	buf = encode(&sb);
	put_le64(region_bytes(buf, 1, 1) + 8, 4097);
	require_damaged(buf, "aligned");
}

ATF_TC_WITHOUT_HEAD(a_newer_version_or_an_unknown_flag_is_for_newer_programs);
ATF_TC_BODY(a_newer_version_or_an_unknown_flag_is_for_newer_programs, tc)
{
	AUTO(ssb_release) struct ssb sb = make(1, 1);
	AUTO(free) unsigned char *version = encode(&sb), *flag = encode(&sb);

	put_le32(version + AT_VERSION, SSB_VERSION + 1);
	memset(version + AT_VERSION + 4, 0xa5, 200);
	repair_checksum(version);
	ATF_CHECK_EQ(-EPROTONOSUPPORT, decode(version, SSB_COPY_BYTES));
	ATF_CHECK_EQ(SNAPMGR_NEWER_VERSION, err.code);
	put_le32(flag + AT_FLAGS, 4);
	repair_checksum(flag);
	ATF_CHECK_EQ(-EPROTONOSUPPORT, decode(flag, SSB_COPY_BYTES));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_was_encoded_decodes_to_the_same);
	ATF_TP_ADD_TC(tp, a_clone_is_the_same_and_owns_its_tables);
	ATF_TP_ADD_TC(tp, the_largest_superblock_fits);
	ATF_TP_ADD_TC(tp, one_member_or_region_too_many_is_refused);
	ATF_TP_ADD_TC(tp, what_could_not_be_read_back_is_not_written);
	ATF_TP_ADD_TC(tp, zeroes_and_text_are_not_ours);
	ATF_TP_ADD_TC(tp, a_superblock_cut_short_anywhere_is_refused);
	ATF_TP_ADD_TC(tp, every_flipped_bit_is_noticed);
	ATF_TP_ADD_TC(tp, garbage_with_a_right_checksum_never_breaks_a_rule);
	ATF_TP_ADD_TC(tp, absurd_counts_are_refused);
	ATF_TP_ADD_TC(tp, an_absurd_length_is_refused);
	ATF_TP_ADD_TC(tp, impossible_regions_are_refused);
	ATF_TP_ADD_TC(tp, regions_that_meet_do_not_overlap);
	ATF_TP_ADD_TC(tp, other_broken_rules_are_refused);
	ATF_TP_ADD_TC(tp, two_members_of_one_uuid_are_refused);
	ATF_TP_ADD_TC(tp, a_region_must_fit_the_blocks_of_the_pool);
	ATF_TP_ADD_TC(tp, a_newer_version_or_an_unknown_flag_is_for_newer_programs);
	return atf_no_error();
}
