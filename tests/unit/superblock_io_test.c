/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapmgr/catalogue/superblock.h"

#include <atf-c.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#define DEVICE	     "device"
#define DEVICE_BYTES (64 * SM_MIB)

static struct snapmgr_err err;

/* A formatted device without a superblock, and a superblock for it. */
static struct ssb prepare(void)
{
	struct ssb sb = { .pool_name = "p0",
			  .driver = "thin",
			  .generation = 1,
			  .block_bytes = 512,
			  .chunk_sectors = 128,
			  .host = "node-1",
			  .n_members = 1,
			  .n_regions = 1 };
	int fd = open(DEVICE, O_RDWR | O_CREAT | O_TRUNC, 0600);

	ATF_REQUIRE(fd >= 0 && ftruncate(fd, (off_t)DEVICE_BYTES) == 0);
	(void)close(fd);
	sm_uuid_make(&sb.pool_uuid);
	sb.members = calloc(1, sizeof(*sb.members));
	sb.regions = calloc(1, sizeof(*sb.regions));
	ATF_REQUIRE(sb.members && sb.regions);
	sm_uuid_make(&sb.members[0].uuid);
	sb.members[0].size_bytes = DEVICE_BYTES;
	sb.members[0].role = SSB_ROLE_DATA;
	sb.regions[0] = (struct ssb_region){ SSB_CATALOGUE, 0, 2048, 16384 };
	return sb;
}

static void write_generation(struct ssb *sb, uint64_t generation)
{
	sb->generation = generation;
	ATF_REQUIRE_EQ_MSG(0, ssb_write(DEVICE, sb, &err), "%s", err.message);
}

static void patch(off_t at, const void *data, size_t len)
{
	int fd = open(DEVICE, O_RDWR);

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ((ssize_t)len, pwrite(fd, data, len, at));
	(void)close(fd);
}

static void flip(off_t at, unsigned int bit)
{
	int fd = open(DEVICE, O_RDWR);
	unsigned char c;

	ATF_REQUIRE(fd >= 0 && pread(fd, &c, 1, at) == 1);
	c ^= (unsigned char)(1u << bit);
	ATF_REQUIRE_EQ(1, pwrite(fd, &c, 1, at));
	(void)close(fd);
}

static int read_back(uint64_t *ret_generation, struct ssb_health *health)
{
	AUTO(ssb_release) struct ssb sb = { 0 };
	int r;

	memset(&err, 0, sizeof(err));
	memset(health, 0, sizeof(*health));
	r = ssb_read(DEVICE, &sb, health, &err);
	*ret_generation = sb.generation;
	return r;
}

static void require_health(uint64_t generation, bool bad_a, bool bad_b)
{
	struct ssb_health health;
	uint64_t got;

	ATF_REQUIRE_EQ_MSG(0, read_back(&got, &health), "%s", err.message);
	ATF_REQUIRE_EQ(generation, got);
	ATF_REQUIRE_EQ(bad_a, health.bad_a);
	ATF_REQUIRE_EQ(bad_b, health.bad_b);
}

ATF_TC_WITHOUT_HEAD(both_copies_are_written_and_whole);
ATF_TC_BODY(both_copies_are_written_and_whole, tc)
{
	AUTO(ssb_release) struct ssb sb = prepare();

	write_generation(&sb, 1);
	require_health(1, false, false);
	write_generation(&sb, 2);
	require_health(2, false, false);
}

ATF_TC_WITHOUT_HEAD(a_flipped_bit_in_one_copy_leaves_the_other);
ATF_TC_BODY(a_flipped_bit_in_one_copy_leaves_the_other, tc)
{
	AUTO(ssb_release) struct ssb sb = prepare();

	write_generation(&sb, 5);
	for (unsigned int i = 0; i < 512 + 32 + 24; i++) {
		flip(SSB_COPY_A + (off_t)i, i % 8);
		require_health(5, true, false);
		flip(SSB_COPY_A + (off_t)i, i % 8);
		flip((off_t)SSB_COPY_B + (off_t)i, i % 8);
		require_health(5, false, true);
		flip((off_t)SSB_COPY_B + (off_t)i, i % 8);
	}
	require_health(5, false, false);
}

ATF_TC_WITHOUT_HEAD(a_lost_copy_is_bad);
ATF_TC_BODY(a_lost_copy_is_bad, tc)
{
	static const unsigned char zeroes[4096];
	AUTO(ssb_release) struct ssb sb = prepare();

	write_generation(&sb, 5);
	patch(SSB_COPY_A, zeroes, sizeof(zeroes));
	require_health(5, true, false);
	write_generation(&sb, 6); /* and mended by the next write */
	require_health(6, false, false);
}

ATF_TC_WITHOUT_HEAD(of_two_whole_copies_the_older_is_bad);
ATF_TC_BODY(of_two_whole_copies_the_older_is_bad, tc)
{
	AUTO(ssb_release) struct ssb sb = prepare();
	AUTO(free) unsigned char *old = malloc(SSB_COPY_BYTES);

	sb.generation = 8;
	ATF_REQUIRE_EQ(0, ssb_encode(&sb, old, &err));
	write_generation(&sb, 9);
	patch(SSB_COPY_A, old, SSB_COPY_BYTES);
	require_health(9, true, false);
	write_generation(&sb, 9);
	patch(SSB_COPY_B, old, SSB_COPY_BYTES);
	require_health(9, false, true);
}

ATF_TC_WITHOUT_HEAD(two_broken_copies_are_damage);
ATF_TC_BODY(two_broken_copies_are_damage, tc)
{
	AUTO(ssb_release) struct ssb sb = prepare();
	struct ssb_health health;
	uint64_t generation;

	write_generation(&sb, 1);
	flip(SSB_COPY_A + 100, 1);
	flip((off_t)SSB_COPY_B + 513, 7);
	ATF_CHECK_EQ(-EUCLEAN, read_back(&generation, &health));
	ATF_CHECK_EQ(SNAPMGR_DAMAGED, err.code);
	ATF_CHECK(strstr(err.message, DEVICE) != NULL);
	flip(SSB_COPY_A, 1); /* no magic in one, a broken body in the other: still ours */
	ATF_CHECK_EQ(-EUCLEAN, read_back(&generation, &health));
}

ATF_TC_WITHOUT_HEAD(a_copy_of_a_newer_version_wins);
ATF_TC_BODY(a_copy_of_a_newer_version_wins, tc)
{
	AUTO(ssb_release) struct ssb sb = prepare();
	AUTO(free) unsigned char *newer = malloc(SSB_COPY_BYTES);
	struct ssb_health health;
	uint64_t generation;
	uint32_t crc;

	write_generation(&sb, 1);
	ATF_REQUIRE_EQ(0, ssb_encode(&sb, newer, &err));
	newer[24] = SSB_VERSION + 1;
	crc = sm_crc32c(0, newer + 20, 512 + 32 + 24 - 20);
	for (int i = 0; i < 4; i++)
		newer[16 + i] = (unsigned char)(crc >> 8 * i);
	patch(SSB_COPY_B, newer, SSB_COPY_BYTES);
	ATF_CHECK_EQ(-EPROTONOSUPPORT, read_back(&generation, &health));
	ATF_CHECK_EQ(SNAPMGR_NEWER_VERSION, err.code);
}

/* The disk refuses everything from copy B on: a crash after the first of the two writes. */
static void write_with_b_out_of_reach(struct ssb *sb, uint64_t generation)
{
	struct rlimit old, low;

	(void)signal(SIGXFSZ, SIG_IGN);
	ATF_REQUIRE_EQ(0, getrlimit(RLIMIT_FSIZE, &old));
	low = old;
	low.rlim_cur = SSB_COPY_B;
	ATF_REQUIRE_EQ(0, setrlimit(RLIMIT_FSIZE, &low));
	sb->generation = generation;
	ATF_CHECK_EQ(-EFBIG, ssb_write(DEVICE, sb, &err));
	ATF_CHECK_EQ(SNAPMGR_IO, err.code);
	ATF_REQUIRE_EQ(0, setrlimit(RLIMIT_FSIZE, &old));
}

ATF_TC_WITHOUT_HEAD(a_write_cut_short_leaves_a_whole_copy);
ATF_TC_BODY(a_write_cut_short_leaves_a_whole_copy, tc)
{
	AUTO(ssb_release) struct ssb sb = prepare();

	write_generation(&sb, 1);
	write_with_b_out_of_reach(&sb, 2);
	require_health(2, false, true);
}

ATF_TC_WITHOUT_HEAD(the_only_whole_copy_is_written_last);
ATF_TC_BODY(the_only_whole_copy_is_written_last, tc)
{
	AUTO(ssb_release) struct ssb sb = prepare();

	write_generation(&sb, 1);
	flip((off_t)SSB_COPY_B + 100, 0);
	write_with_b_out_of_reach(&sb, 2); /* B is tried first, and A is not touched */
	require_health(1, false, true);
}

ATF_TC_WITHOUT_HEAD(format_clears_head_and_tail_and_nothing_else);
ATF_TC_BODY(format_clears_head_and_tail_and_nothing_else, tc)
{
	static unsigned char buf[DEVICE_BYTES];
	struct ssb sb = prepare();
	int fd;

	ssb_release(&sb);
	memset(buf, 0xee, sizeof(buf));
	patch(0, buf, sizeof(buf));
	ATF_REQUIRE_EQ(0, ssb_format(DEVICE, DEVICE_BYTES, &err));
	fd = open(DEVICE, O_RDONLY);
	ATF_REQUIRE_EQ((ssize_t)sizeof(buf), read(fd, buf, sizeof(buf)));
	(void)close(fd);
	for (size_t i = 0; i < sizeof(buf); i++) {
		bool cleared = i < SSB_HEADER_BYTES || i >= DEVICE_BYTES - SSB_TAIL_BYTES;

		if (buf[i] != (cleared ? 0 : 0xee))
			atf_tc_fail("byte %zu is %02x", i, buf[i]);
	}
}

ATF_TC_WITHOUT_HEAD(an_erased_member_is_not_ours);
ATF_TC_BODY(an_erased_member_is_not_ours, tc)
{
	AUTO(ssb_release) struct ssb sb = prepare();
	struct ssb_health health;
	uint64_t generation;

	write_generation(&sb, 1);
	ATF_REQUIRE_EQ(0, ssb_erase(DEVICE, &err));
	ATF_CHECK_EQ(-ENOMSG, read_back(&generation, &health));
	ATF_CHECK_STREQ("", err.message);
}

ATF_TC_WITHOUT_HEAD(tiny_and_odd_devices_are_not_ours);
ATF_TC_BODY(tiny_and_odd_devices_are_not_ours, tc)
{
	static const off_t sizes[] = { 0, 1, 511, 512, 4096, 131072, 524288, 524289, 600001 };
	struct ssb sb = prepare();
	struct ssb_health health;
	uint64_t generation;

	ssb_release(&sb);
	for (size_t i = 0; i < SM_ARRAY(sizes); i++) {
		ATF_REQUIRE_EQ(0, truncate(DEVICE, sizes[i]));
		ATF_CHECK_EQ(-ENOMSG, read_back(&generation, &health));
	}
	ATF_CHECK_EQ(-ENOSPC, ssb_format(DEVICE, SM_MIB, &err));
	ATF_CHECK_EQ(SNAPMGR_NO_SPACE, err.code);
}

ATF_TC_WITHOUT_HEAD(a_device_cut_behind_copy_a_still_reads);
ATF_TC_BODY(a_device_cut_behind_copy_a_still_reads, tc)
{
	AUTO(ssb_release) struct ssb sb = prepare();

	write_generation(&sb, 3);
	ATF_REQUIRE_EQ(0, truncate(DEVICE, (off_t)SSB_COPY_B));
	require_health(3, false, true);
}

ATF_TC_WITHOUT_HEAD(a_device_that_is_not_there_is_named);
ATF_TC_BODY(a_device_that_is_not_there_is_named, tc)
{
	struct ssb sb;

	ATF_CHECK_EQ(-ENOENT, ssb_read("/dev/not-there", &sb, NULL, &err));
	ATF_CHECK_EQ(SNAPMGR_IO, err.code);
	ATF_CHECK(strstr(err.message, "'/dev/not-there'") != NULL);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, both_copies_are_written_and_whole);
	ATF_TP_ADD_TC(tp, a_flipped_bit_in_one_copy_leaves_the_other);
	ATF_TP_ADD_TC(tp, a_lost_copy_is_bad);
	ATF_TP_ADD_TC(tp, of_two_whole_copies_the_older_is_bad);
	ATF_TP_ADD_TC(tp, two_broken_copies_are_damage);
	ATF_TP_ADD_TC(tp, a_copy_of_a_newer_version_wins);
	ATF_TP_ADD_TC(tp, a_write_cut_short_leaves_a_whole_copy);
	ATF_TP_ADD_TC(tp, the_only_whole_copy_is_written_last);
	ATF_TP_ADD_TC(tp, format_clears_head_and_tail_and_nothing_else);
	ATF_TP_ADD_TC(tp, an_erased_member_is_not_ours);
	ATF_TP_ADD_TC(tp, tiny_and_odd_devices_are_not_ours);
	ATF_TP_ADD_TC(tp, a_device_cut_behind_copy_a_still_reads);
	ATF_TP_ADD_TC(tp, a_device_that_is_not_there_is_named);
	return atf_no_error();
}
