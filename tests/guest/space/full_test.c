/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pools that fill up to the last chunk, or the last block of metadata, and come back. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#include "../pool_lab.h"
#include "dm/sdm.h"

#define POOL (128 * SM_MIB)
#define SIZE (4 * SM_MIB)

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

/* Writes until it is told that there is no more room; it goes on when there is. */
static void write_on(void *data)
{
	AUTO(sm_close_fd) int fd = open(data, O_WRONLY | O_DIRECT | O_CLOEXEC);
	void *room;

	if (fd < 0 || posix_memalign(&room, 4096, SM_MIB) != 0)
		_exit(1);
	memset(room, 'f', SM_MIB);
	lab_ready();
	while (write(fd, room, SM_MIB) > 0)
		;
}

static void wait_until_full(void)
{
	struct sdm_pool_status s = { 0 };

	for (int i = 0; i < 1200 && !s.out_of_data; i++) {
		lab_sleep_ms(50);
		LAB_DO(sdm_pool_status(thin_pool(), false, &s, &err));
	}
	ATF_REQUIRE_MSG(s.out_of_data, "the pool did not fill up");
}

static const char *extra_disk(void)
{
	lab_run("rm -f /tmp/extra.img && truncate -s 192M /tmp/extra.img && losetup -f --show /tmp/extra.img >/tmp/extra");
	static char path[64];
	FILE *f = fopen("/tmp/extra", "re");

	ATF_REQUIRE(f && fscanf(f, "%63s", path) == 1);
	(void)fclose(f);
	return path;
}

static void extend(void)
{
	const char *disk = extra_disk();

	LAB_DO(snapmgr_pool_extend(lab, "p", &disk, 1, NULL, &err));
}

/* p/v with a snapshot, the head other than it, and p/big, which wants more than there is. */
static void make_volumes(void)
{
	const char *const limits[] = { "high_water=100%", "reserve=0%" };

	lab_up_small(POOL);
	LAB_DO(snapmgr_set_many(lab, "p", limits, 2, &err));
	lab_create("p/v", SIZE);
	lab_write(lab_node("p/v"), 0, SIZE, 's', LAB_DIRECT);
	lab_snapshot("p/v@s");
	lab_write(lab_node("p/v"), 0, SIZE, 'h', LAB_DIRECT);
	lab_create("p/big", 2 * POOL);
}

ATF_TC_WITHOUT_HEAD(a_full_pool_loses_nothing_and_comes_back_by_an_extend);
ATF_TC_BODY(a_full_pool_loses_nothing_and_comes_back_by_an_extend, tc)
{
	static char node[160];
	uint64_t sum, done;
	int status;
	pid_t pid;

	make_volumes();
	sum = lab_sum_of("p/v@s");
	(void)sm_copy_text(node, sizeof(node), lab_node("p/big"));
	pid = lab_child(write_on, node);
	wait_until_full();
	/* What is mapped is read and written as ever. */
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE, 'h', LAB_DIRECT));
	lab_write(lab_node("p/v"), 0, SIZE, 'i', LAB_DIRECT);
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE, 'i', LAB_DIRECT));
	{
		const char *spec = "p/v@t";

		LAB_REFUSED(SNAPMGR_NO_SPACE,
			    snapmgr_snapshot(lab, &spec, 1, NULL, NULL, NULL, &err));
	}
	LAB_SAYS("pool extend p DEVICE");
	lab_revert("p/v@s"); /* wants no chunk */
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE, 's', LAB_DIRECT));
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE, 'i', LAB_DIRECT));
	ATF_CHECK_EQ(sum, lab_sum_of("p/v@s"));
	extend();
	/* The write that waited goes on, and the writer fills what came. */
	for (int i = 0; i < 600 && waitpid(pid, &status, WNOHANG) == 0; i++) {
		struct sdm_pool_status s;

		LAB_DO(sdm_pool_status(thin_pool(), false, &s, &err));
		done = s.data_used;
		if (!s.out_of_data && done > s.data_total / 2 + 64)
			break;
		lab_sleep_ms(50);
	}
	lab_end(pid);
	lab_snapshot("p/v@t");
	ATF_CHECK_EQ(sum, lab_sum_of("p/v@s"));
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE, 'i', LAB_DIRECT));
	lab_check_rest();
}

/* Writes to the end of the pool. Return: the errno that ended it, and how long that took. */
static int write_until_error(const char *node, uint64_t *ret_ms)
{
	AUTO(sm_close_fd) int fd = open(node, O_WRONLY | O_DIRECT | O_CLOEXEC);
	uint64_t start_ns;
	void *room;

	ATF_REQUIRE(fd >= 0 && posix_memalign(&room, 4096, SM_MIB) == 0);
	memset(room, 'f', SM_MIB);
	do
		start_ns = sm_monotonic_ns();
	while (write(fd, room, SM_MIB) > 0);
	*ret_ms = (sm_monotonic_ns() - start_ns) / 1000000;
	return errno;
}

ATF_TC_WITHOUT_HEAD(a_full_pool_that_is_told_to_fails_writes_at_once);
ATF_TC_BODY(a_full_pool_that_is_told_to_fails_writes_at_once, tc)
{
	uint64_t ms, sum;

	make_volumes();
	sum = lab_sum_of("p/v@s");
	LAB_DO(snapmgr_set(lab, "p", "error_if_no_space", "on", &err));
	ATF_CHECK_EQ(ENOSPC, write_until_error(lab_node("p/big"), &ms));
	ATF_CHECK_MSG(ms < 20000, "it took %ju ms", (uintmax_t)ms);
	/* What is mapped is read and written as ever; a revert, which wants no chunk, works. */
	lab_write(lab_node("p/v"), 0, SIZE, 'i', LAB_DIRECT);
	lab_revert("p/v@s");
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE, 's', LAB_DIRECT));
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE, 'i', LAB_DIRECT));
	extend();
	lab_write(lab_node("p/big"), POOL, SIZE, 'b', LAB_DIRECT);
	ATF_CHECK_EQ(sum, lab_sum_of("p/v@s"));
	lab_check_rest();
}

/* ---- metadata ---- */

#define FIRST_ID 1000000u

/* Each new thin takes a block. Until there is @left, or no more goes. */
static uint32_t fill_metadata(uint64_t left)
{
	const char *pool = thin_pool();
	struct sdm_pool_status s;
	uint32_t id = FIRST_ID;

	pool_status(&s);
	while (s.meta_total - s.meta_used > left && !s.read_only) {
		for (uint64_t n = s.meta_total - s.meta_used - left; n > 0; n--)
			if (sdm_thin_create(pool, id++, NULL) < 0)
				break;
		pool_status(&s);
	}
	return id;
}

static void check_contents(uint64_t sum)
{
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE, 'h', LAB_DIRECT));
	ATF_CHECK_EQ(sum, lab_sum_of("p/v@s"));
}

/* Ids that the test made, and nobody names: a repair of the active pool deletes them. */
static void tidy(void)
{
	const struct snapmgr_pool_check_opts opts = { .size = sizeof(opts), .repair = true };

	LAB_DO(snapmgr_pool_check(lab, "p", &opts, &err));
}

ATF_TC_WITHOUT_HEAD(metadata_that_is_full_is_extended_while_the_pool_runs);
ATF_TC_BODY(metadata_that_is_full_is_extended_while_the_pool_runs, tc)
{
	struct sdm_pool_status s;
	uint64_t sum;

	make_volumes();
	sum = lab_sum_of("p/v@s");
	(void)fill_metadata(0);
	pool_status(&s);
	ATF_CHECK_MSG(s.meta_total - s.meta_used < 64, "%ju left",
		      (uintmax_t)(s.meta_total - s.meta_used));
	LAB_REFUSED(s.read_only ? SNAPMGR_BAD_STATE : SNAPMGR_NO_SPACE,
		    snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	LAB_SAYS("pool extend p DEVICE");
	check_contents(sum);
	if (!s.needs_check) {
		extend();
		pool_status(&s);
		ATF_CHECK(!s.read_only && !s.needs_check);
	}
	lab_snapshot("p/v@t");
	lab_revert("p/v@s");
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	check_contents(sum);
	tidy();
	lab_check_rest();
}

/* The ids that the test made have no name. */
static int expect_orphan(const char *finding, bool repaired, void *data)
{
	(void)data;
	ATF_CHECK_MSG(repaired || strstr(finding, "nothing names it"), "%s", finding);
	return 0;
}

ATF_TC_WITHOUT_HEAD(a_pool_that_needs_a_check_comes_back_by_repair_extend_activate);
ATF_TC_BODY(a_pool_that_needs_a_check_comes_back_by_repair_extend_activate, tc)
{
	const struct snapmgr_pool_check_opts opts = { .size = sizeof(opts),
						      .repair = true,
						      .report = expect_orphan };
	const char *disk;
	uint64_t sum;

	make_volumes();
	sum = lab_sum_of("p/v@s");
	(void)fill_metadata(0);
	LAB_DO(snapmgr_pool_deactivate(lab, "p", &err));
	(void)snapmgr_pool_check(lab, "p", &opts, NULL);
	disk = extra_disk();
	LAB_DO(snapmgr_pool_extend(lab, "p", &disk, 1, NULL, &err)); /* inactive */
	LAB_DO(snapmgr_pool_activate(lab, "p", &err));
	check_contents(sum);
	lab_snapshot("p/v@t");
	tidy();
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_full_pool_loses_nothing_and_comes_back_by_an_extend);
	ATF_TP_ADD_TC(tp, a_full_pool_that_is_told_to_fails_writes_at_once);
	ATF_TP_ADD_TC(tp, metadata_that_is_full_is_extended_while_the_pool_runs);
	ATF_TP_ADD_TC(tp, a_pool_that_needs_a_check_comes_back_by_repair_extend_activate);
	return atf_no_error();
}
