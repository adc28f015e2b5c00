/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A pool that is full, read-only or not well: refused before anything changed, or done; never hung. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "../pool_lab.h"
#include "dm/sdm.h"

#define POOL (128 * SM_MIB)
#define SIZE (4 * SM_MIB)
#define PAGE 4096u

static const struct snapmgr_revert_opts online = { .size = sizeof(online), .online = true };

/* The kernel's thin pool, whatever it is named. */
static int keep_pool(const char *name, const char *uuid, uint32_t major, uint32_t minor, void *data)
{
	struct sdm_pool_status s;

	(void)uuid;
	(void)major;
	(void)minor;
	return sdm_pool_status(name, false, &s, NULL) == 0 &&
	       sm_copy_text(data, SDM_NAME_MAX, name) == 0;
}

static const char *thin_pool(void)
{
	static char name[SDM_NAME_MAX];

	ATF_REQUIRE_EQ_MSG(1, sdm_list(SM_DM_UUID, keep_pool, name, NULL), "there is no thin pool");
	return name;
}

static void pool_status(struct sdm_pool_status *ret)
{
	LAB_DO(sdm_pool_status(thin_pool(), true, ret, &err));
}

static void make_volume(void)
{
	lab_up_small(POOL);
	lab_create("p/v", SIZE);
	lab_write(lab_node("p/v"), 0, SIZE, 's', LAB_DIRECT);
	lab_snapshot("p/v@s");
	lab_write(lab_node("p/v"), 0, SIZE, 'h', LAB_DIRECT);
}

static void check_head(char seed)
{
	ATF_CHECK_MSG(lab_holds(lab_node("p/v"), 0, SIZE, (uint64_t)seed, LAB_DIRECT),
		      "the head is not '%c'", seed);
}

static void check_unchanged(const struct sdm_info *before)
{
	struct snapmgr_object v;
	struct sdm_info after;

	lab_show("p/v", &v);
	ATF_CHECK_STREQ("available", v.state);
	ATF_CHECK_EQ(0, lab_undo_points("p/v"));
	lab_dm("p/v", &after);
	ATF_CHECK_EQ(before->event_nr, after.event_nr);
	ATF_CHECK(!after.suspended && !after.has_inactive);
	check_head('h');
}

/* ---- metadata ---- */

ATF_TC_WITHOUT_HEAD(out_of_metadata_is_refused_with_the_way_out);
ATF_TC_BODY(out_of_metadata_is_refused_with_the_way_out, tc)
{
	struct sdm_pool_status status;
	struct sdm_info before;
	const char *pool;
	uint32_t id = 1000000; /* each new thin takes a block */

	make_volume();
	pool = thin_pool();
	pool_status(&status);
	for (uint64_t left = status.meta_total - status.meta_used; left > 30; left--)
		LAB_DO(sdm_thin_create(pool, id++, &err));
	lab_dm("p/v", &before);
	LAB_REFUSED(SNAPMGR_NO_SPACE, snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	LAB_SAYS("metadata");
	LAB_SAYS("pool extend");
	check_unchanged(&before);
	while (--id >= 1000000)
		LAB_DO(sdm_thin_delete(pool, id, &err));
	lab_revert("p/v@s");
	check_head('s');
	lab_check_rest();
}

/* The pool's table again, with or without the feature "read_only". */
static int keep_target(const struct sdm_target *target, void *data)
{
	*(struct sdm_target *)data = *target;
	return 1;
}

static void make_pool_read_only(void)
{
	const char *name = thin_pool();
	struct sdm_target target;
	unsigned int n;
	char *features;

	(void)sdm_table(name, false, keep_target, &target, NULL);
	features = target.params; /* META DATA CHUNK LOW_WATER N_FEATURES FEATURE... */
	for (int i = 0; i < 4; i++)
		features = strchr(features, ' ') + 1;
	n = (unsigned int)strtoul(features, NULL, 10);
	*strchrnul(features, ' ') = '\0';
	*features = '\0';
	(void)n; /* the others do not matter for a pool that takes nothing */
	lab_run("dmsetup suspend %s && dmsetup reload %s --table '0 %ju thin-pool %s1 read_only' && dmsetup resume %s",
		name, name, (uintmax_t)target.len_sectors, target.params, name);
}

ATF_TC_WITHOUT_HEAD(a_read_only_pool_is_refused);
ATF_TC_BODY(a_read_only_pool_is_refused, tc)
{
	struct sdm_pool_status status;
	struct sdm_info before;

	make_volume();
	lab_dm("p/v", &before);
	make_pool_read_only();
	pool_status(&status);
	ATF_REQUIRE(status.read_only);
	lab_dm("p/v", &before);
	LAB_REFUSED(SNAPMGR_BAD_STATE, snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	LAB_SAYS("read-only");
	LAB_REFUSED(SNAPMGR_BAD_STATE, snapmgr_revert(lab, "p/v@s", &online, NULL, &err));
	check_unchanged(&before);
}

/* Where the metadata's first block lies: of the device that the pool's first argument names. */
static int keep_meta(const char *name, const char *uuid, uint32_t major, uint32_t minor, void *data)
{
	struct sdm_target target;
	unsigned int want_major, want_minor;
	char dev[32];
	unsigned long long start;

	(void)uuid;
	if (sdm_table(thin_pool(), false, keep_target, &target, NULL) != 1 ||
	    sscanf(target.params, "%u:%u", &want_major, &want_minor) != 2 || want_major != major ||
	    want_minor != minor)
		return 0;
	ATF_REQUIRE_EQ(1, sdm_table(name, false, keep_target, &target, NULL));
	ATF_REQUIRE_EQ(2, sscanf(target.params, "%31s %llu", dev, &start));
	*(uint64_t *)data = start * SM_SECTOR;
	return 1;
}

/* dm-thin-metadata.c: struct thin_disk_superblock { __le32 csum, flags; ... }, crc32c over what follows csum. */
static void set_needs_check(uint64_t at)
{
	int fd = open("/dev/mapper/lab-small", O_RDWR | O_CLOEXEC);
	uint32_t block[1024], sum;

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ(sizeof(block), pread(fd, block, sizeof(block), (off_t)at));
	sum = ~sm_crc32c(0, block + 1, sizeof(block) - 4) ^ 160774u;
	ATF_REQUIRE_EQ_MSG(sum, block[0], "this is no superblock: %x, %x", sum, block[0]);
	block[1] |= 1;
	block[0] = ~sm_crc32c(0, block + 1, sizeof(block) - 4) ^ 160774u;
	ATF_REQUIRE_EQ(sizeof(block), pwrite(fd, block, sizeof(block), (off_t)at));
	ATF_REQUIRE_EQ(0, fsync(fd));
	(void)close(fd);
}

ATF_TC_WITHOUT_HEAD(a_pool_that_needs_a_check_is_refused);
ATF_TC_BODY(a_pool_that_needs_a_check_is_refused, tc)
{
	struct sdm_pool_status status;
	struct sdm_info before;
	uint64_t meta;

	make_volume();
	ATF_REQUIRE_EQ(1, sdm_list(SM_DM_UUID, keep_meta, &meta, NULL));
	LAB_DO(snapmgr_pool_deactivate(lab, "p", &err));
	set_needs_check(meta);
	LAB_DO(snapmgr_pool_activate(lab, "p", &err));
	ATF_CHECK_MSG(strstr(lab_warnings, "pool check"), "no warning: %s", lab_warnings);
	pool_status(&status);
	ATF_REQUIRE(status.needs_check);
	lab_dm("p/v", &before);
	LAB_REFUSED(SNAPMGR_BAD_STATE, snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	LAB_SAYS("snapmgr pool check p");
	check_unchanged(&before);
}

/* ---- data ---- */

/* Fills the pool and goes on: its last write waits for space. */
static void fill_pool(void *data)
{
	AUTO(sm_close_fd) int fd = open(data, O_WRONLY | O_DIRECT | O_CLOEXEC);
	void *room;

	if (fd < 0 || posix_memalign(&room, PAGE, SM_MIB) != 0)
		_exit(1);
	memset(room, 'f', SM_MIB);
	lab_ready();
	while (write(fd, room, SM_MIB) > 0)
		;
}

static void set_space_timeout(unsigned int seconds)
{
	lab_run("echo %u >/sys/module/dm_thin_pool/parameters/no_space_timeout", seconds);
}

static bool out_of_data(void)
{
	struct sdm_pool_status status;

	LAB_DO(sdm_pool_status(thin_pool(), false, &status, &err));
	return status.out_of_data;
}

/* A second volume larger than what is left, written full by a child that stays in its last write. */
static pid_t make_full(const char *volume)
{
	static char node[160];
	pid_t pid;

	(void)sm_copy_text(node, sizeof(node), lab_node(volume));
	pid = lab_child(fill_pool, node);
	for (int i = 0; i < 600 && !out_of_data(); i++)
		lab_sleep_ms(50);
	ATF_REQUIRE_MSG(out_of_data(), "the pool did not fill up");
	return pid;
}

static unsigned int seconds_since(uint64_t start_ns)
{
	return (unsigned int)((sm_monotonic_ns() - start_ns) / 1000000000);
}

ATF_TC_WITHOUT_HEAD(a_full_pool_reverts_a_volume_that_nobody_has_open);
ATF_TC_BODY(a_full_pool_reverts_a_volume_that_nobody_has_open, tc)
{
	uint64_t start_ns;
	pid_t pid;

	make_volume();
	set_space_timeout(8);
	lab_create("p/big", POOL);
	pid = make_full("p/big");
	start_ns = sm_monotonic_ns();
	lab_revert("p/v@s");
	ATF_CHECK_MSG(seconds_since(start_ns) < 7, "it took %u s", seconds_since(start_ns));
	check_head('s');
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	check_head('h');
	(void)waitpid(pid, NULL, 0); /* its write fails at last */
	set_space_timeout(60);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_full_pool_refuses_a_volume_with_waiting_writes_in_bounded_time);
ATF_TC_BODY(a_full_pool_refuses_a_volume_with_waiting_writes_in_bounded_time, tc)
{
	uint64_t start_ns;
	pid_t pid;

	lab_up_small(POOL);
	lab_create("p/v", POOL);
	lab_write(lab_node("p/v"), 0, SIZE, 's', LAB_DIRECT);
	lab_snapshot("p/v@s");
	lab_write(lab_node("p/v"), 0, SIZE, 'h', LAB_DIRECT);
	set_space_timeout(12);
	pid = make_full("p/v");
	start_ns = sm_monotonic_ns();
	LAB_REFUSED(SNAPMGR_NO_SPACE, snapmgr_revert(lab, "p/v@s", &online, NULL, &err));
	ATF_CHECK_MSG(seconds_since(start_ns) < 7, "it took %u s", seconds_since(start_ns));
	LAB_SAYS("out of data space");
	LAB_SAYS("pool extend");
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	ATF_CHECK_MSG(seconds_since(start_ns) < 11, "it took %u s", seconds_since(start_ns));
	ATF_CHECK_EQ(0, lab_undo_points("p/v"));
	(void)waitpid(pid, NULL, 0); /* its write fails at last */
	lab_revert("p/v@s");
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE, 's', LAB_DIRECT));
	set_space_timeout(60);
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, out_of_metadata_is_refused_with_the_way_out);
	ATF_TP_ADD_TC(tp, a_read_only_pool_is_refused);
	ATF_TP_ADD_TC(tp, a_pool_that_needs_a_check_is_refused);
	ATF_TP_ADD_TC(tp, a_full_pool_reverts_a_volume_that_nobody_has_open);
	ATF_TP_ADD_TC(tp, a_full_pool_refuses_a_volume_with_waiting_writes_in_bounded_time);
	return atf_no_error();
}
