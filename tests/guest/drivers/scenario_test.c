/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is promised of every kind of pool, asked of each in the same words. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "bed.h"

/* ---- the scenarios ---- */

static void a_revert_reads_as_the_snapshot_and_keeps_who_the_volume_is(const struct bed *bed)
{
	struct snapmgr_revert_result result;
	char before[512], after[512];
	uint64_t one, two, three;

	bed_up(bed);
	bed_write("p/v", 1);
	one = bed_sum("p/v");
	lab_snapshot("p/v@s1");
	bed_write("p/v", 2);
	two = bed_sum("p/v");
	lab_snapshot("p/v@s2");
	bed_write("p/v", 3);
	three = bed_sum("p/v");
	ATF_REQUIRE(one != two && two != three);
	bed_identity("p/v", before);
	LAB_DO(snapmgr_revert(lab, "p/v@s1", NULL, &result, &err));
	ATF_CHECK_STREQ(bed->strategy, result.strategy);
	ATF_CHECK(result.in_place && result.undo);
	ATF_CHECK_EQ(one, bed_sum("p/v"));
	bed_identity("p/v", after);
	ATF_CHECK_STREQ(before, after);
	/* the other way too, and no snapshot has changed */
	lab_revert("p/v@s2");
	ATF_CHECK_EQ(two, bed_sum("p/v"));
	ATF_CHECK_EQ(one, bed_sum_of("p/v@s1"));
	ATF_CHECK_EQ(two, bed_sum_of("p/v@s2"));
	ATF_CHECK_EQ(three, bed_sum_of("p/v@undo~1"));
	bed_identity("p/v", after);
	ATF_CHECK_STREQ(before, after);
	bed_check_clean();
}

static void an_undo_brings_back_what_was_and_another_undoes_it(const struct bed *bed)
{
	uint64_t one, two;

	bed_up(bed);
	bed_write("p/v", 1);
	one = bed_sum("p/v");
	lab_snapshot("p/v@s");
	bed_write("p/v", 2);
	two = bed_sum("p/v");
	lab_revert("p/v@s");
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK_EQ(two, bed_sum("p/v"));
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK_EQ(one, bed_sum("p/v"));
	ATF_CHECK_EQ(two, bed_sum_of("p/v@undo"));
	bed_check_clean();
}

static void a_revert_brings_the_size_back(const struct bed *bed)
{
	struct snapmgr_object o;
	uint64_t one;

	bed_up(bed);
	bed_write("p/v", 1);
	one = bed_sum("p/v");
	lab_snapshot("p/v@s");
	LAB_DO(snapmgr_resize(lab, "p/v", 2 * BED_BYTES, NULL, NULL, NULL, &err));
	bed_write("p/v", 2);
	lab_revert("p/v@s");
	ATF_CHECK_EQ(one, bed_sum("p/v"));
	lab_show("p/v", &o);
	ATF_CHECK_EQ(BED_BYTES, o.size_bytes);
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	lab_show("p/v", &o);
	ATF_CHECK_EQ(2 * BED_BYTES, o.size_bytes);
	bed_check_clean();
}

static void a_clone_goes_its_own_way(const struct bed *bed)
{
	uint64_t one;

	bed_up(bed);
	bed_write("p/v", 1);
	one = bed_sum("p/v");
	lab_snapshot("p/v@s");
	LAB_DO(snapmgr_clone(lab, "p/v@s", "p/c", NULL, NULL, NULL, &err));
	ATF_CHECK_EQ(one, bed_sum("p/c"));
	bed_write("p/c", 2);
	bed_write("p/v", 4);
	ATF_CHECK(bed_sum("p/c") != one);
	ATF_CHECK_EQ(one, bed_sum_of("p/v@s"));
	bed_check_clean();
}

static void a_rename_changes_nothing_inside(const struct bed *bed)
{
	uint64_t one;

	bed_up(bed);
	bed_write("p/v", 1);
	one = bed_sum("p/v");
	lab_snapshot("p/v@s");
	bed_write("p/v", 2);
	LAB_DO(snapmgr_rename(lab, "p/v", "w", &err));
	ATF_CHECK(!lab_exists("p/v"));
	lab_revert("p/w@s");
	ATF_CHECK_EQ(one, bed_sum("p/w"));
	LAB_DO(snapmgr_rename(lab, "p/w", "v", &err));
	bed_check_clean();
}

static void a_group_is_reverted_as_one(const struct bed *bed)
{
	const char *const volumes[] = { "p/v", "p/w" }, *snapshot = "p/g@s";
	uint64_t v, w;

	bed_up(bed);
	lab_create("p/w", BED_BYTES);
	LAB_DO(snapmgr_group_create(lab, "p/g", volumes, 2, NULL, NULL, NULL, &err));
	bed_write("p/v", 1);
	bed_write("p/w", 2);
	v = bed_sum("p/v");
	w = bed_sum("p/w");
	LAB_DO(snapmgr_snapshot(lab, &snapshot, 1, NULL, NULL, NULL, &err));
	bed_write("p/v", 3);
	bed_write("p/w", 4);
	LAB_DO(snapmgr_revert(lab, snapshot, NULL, NULL, &err));
	ATF_CHECK_EQ(v, bed_sum("p/v"));
	ATF_CHECK_EQ(w, bed_sum("p/w"));
	bed_check_clean();
}

static void what_is_open_is_refused_and_online_follows_where_it_can(const struct bed *bed)
{
	struct snapmgr_revert_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	static unsigned char a[4096], b[4096];
	uint64_t two;
	int fd;

	bed_up(bed);
	bed_write("p/v", 1);
	fd = open(bed_path("p/v"), O_RDWR | O_CLOEXEC);
	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ((ssize_t)sizeof(a), pread(fd, a, sizeof(a), 0));
	ATF_REQUIRE_EQ(0, close(fd));
	lab_snapshot("p/v@s");
	bed_write("p/v", 2);
	bed_write("p/v", 3);
	two = bed_sum("p/v");
	fd = open(bed_path("p/v"), O_RDWR | O_CLOEXEC);
	ATF_REQUIRE(fd >= 0);
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	ATF_CHECK_EQ(two, bed_sum("p/v"));
	opts.online = true;
	if (!bed->online) {
		LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, "p/v@s", &opts, NULL, &err));
	} else {
		LAB_DO(snapmgr_revert(lab, "p/v@s", &opts, NULL, &err));
		ATF_REQUIRE_EQ((ssize_t)sizeof(b), pread(fd, b, sizeof(b), 0));
		ATF_CHECK_EQ(0, memcmp(a, b, sizeof(a)));
	}
	ATF_REQUIRE_EQ(0, close(fd));
	bed_check_clean();
}

static void revert_forever(void *data)
{
	(void)data;
	lab_reopen();
	lab_ready();
	for (;;) {
		lab_revert("p/v@a");
		lab_revert("p/v@b");
	}
}

static void who_is_killed_in_a_revert_leaves_one_or_the_other(const struct bed *bed)
{
	uint64_t a, b, now, random = 7, seen_a = 0;

	bed_up(bed);
	bed_write("p/v", 1);
	a = bed_sum("p/v");
	lab_snapshot("p/v@a");
	bed_write("p/v", 2);
	b = bed_sum("p/v");
	lab_snapshot("p/v@b");
	for (int i = 0; i < 5; i++) {
		pid_t pid = lab_child(revert_forever, NULL);

		lab_sleep_ms((unsigned int)(lab_random(&random) % 150));
		lab_end(pid);
		lab_reopen();
		LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
		now = bed_sum("p/v");
		ATF_REQUIRE_MSG(now == a || now == b, "round %d: neither of the two", i);
		seen_a += now == a;
		bed_check_clean();
	}
	printf("%ju of 5 read as a\n", (uintmax_t)seen_a);
	ATF_CHECK_EQ(a, bed_sum_of("p/v@a"));
	ATF_CHECK_EQ(b, bed_sum_of("p/v@b"));
	lab_revert("p/v@a");
	ATF_CHECK_EQ(a, bed_sum("p/v"));
}

static void what_is_deleted_leaves_nothing(const struct bed *bed)
{
	struct snapmgr_delete_opts all = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);

	bed_up(bed);
	bed_write("p/v", 1);
	lab_snapshot("p/v@s");
	bed_write("p/v", 2);
	lab_revert("p/v@s");
	LAB_REFUSED(SNAPMGR_HAS_SNAPSHOTS, snapmgr_delete(lab, "p/v", NULL, NULL, NULL, &err));
	all.recursive = true;
	LAB_DO(snapmgr_delete(lab, "p/v", &all, NULL, NULL, &err));
	LAB_DO(snapmgr_pool_check(lab, "p", NULL, &err));
	if (bed->type)
		lab_run("! ls " LAB "/fs/pool/*.img " LAB "/fs/pool/.snapmgr/*.img " LAB
			"/fs/pool/.snapmgr/*.mark 2>/dev/null");
	LAB_DO(snapmgr_pool_destroy(lab, "p", NULL, &err));
	if (bed->type)
		lab_run("test -z \"$(ls -A " LAB "/fs/pool)\"");
}

/* ---- on every bed ---- */

#define BED_CASE(scenario, bed)                 \
	ATF_TC_WITHOUT_HEAD(scenario##__##bed); \
	ATF_TC_BODY(scenario##__##bed, tc)      \
	{                                       \
		scenario(&bed##_bed);           \
	}
#define BED_CASES(bed)                                                            \
	BED_CASE(a_revert_reads_as_the_snapshot_and_keeps_who_the_volume_is, bed) \
	BED_CASE(an_undo_brings_back_what_was_and_another_undoes_it, bed)         \
	BED_CASE(a_revert_brings_the_size_back, bed)                              \
	BED_CASE(a_clone_goes_its_own_way, bed)                                   \
	BED_CASE(a_rename_changes_nothing_inside, bed)                            \
	BED_CASE(a_group_is_reverted_as_one, bed)                                 \
	BED_CASE(what_is_open_is_refused_and_online_follows_where_it_can, bed)    \
	BED_CASE(who_is_killed_in_a_revert_leaves_one_or_the_other, bed)          \
	BED_CASE(what_is_deleted_leaves_nothing, bed)
#define BED_ADD(bed)                                                                          \
	ATF_TP_ADD_TC(tp, a_revert_reads_as_the_snapshot_and_keeps_who_the_volume_is__##bed); \
	ATF_TP_ADD_TC(tp, an_undo_brings_back_what_was_and_another_undoes_it__##bed);         \
	ATF_TP_ADD_TC(tp, a_revert_brings_the_size_back__##bed);                              \
	ATF_TP_ADD_TC(tp, a_clone_goes_its_own_way__##bed);                                   \
	ATF_TP_ADD_TC(tp, a_rename_changes_nothing_inside__##bed);                            \
	ATF_TP_ADD_TC(tp, a_group_is_reverted_as_one__##bed);                                 \
	ATF_TP_ADD_TC(tp, what_is_open_is_refused_and_online_follows_where_it_can__##bed);    \
	ATF_TP_ADD_TC(tp, who_is_killed_in_a_revert_leaves_one_or_the_other__##bed);          \
	ATF_TP_ADD_TC(tp, what_is_deleted_leaves_nothing__##bed)

/* Of thin, what other tests do not ask in the same words. */
BED_CASE(a_revert_reads_as_the_snapshot_and_keeps_who_the_volume_is, thin)
BED_CASE(a_group_is_reverted_as_one, thin)
BED_CASES(xfs)
BED_CASES(btrfs)
BED_CASES(ext4)
BED_CASES(tmpfs)

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_revert_reads_as_the_snapshot_and_keeps_who_the_volume_is__thin);
	ATF_TP_ADD_TC(tp, a_group_is_reverted_as_one__thin);
	BED_ADD(xfs);
	BED_ADD(btrfs);
	BED_ADD(ext4);
	BED_ADD(tmpfs);
	return atf_no_error();
}
