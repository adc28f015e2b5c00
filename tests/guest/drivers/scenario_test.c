/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is promised of every kind of pool, asked of each in the same words. What a pool cannot do by its
 * driver's own table it refuses, and nothing has changed then.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "bed.h"

/* ---- the main job ---- */

/* Snapshots s1, s2, s3 and a head that was wrecked since; their sums. */
static void make_history(const struct bed *bed, uint64_t sums[4])
{
	static const char *const names[] = { "p/v@s1", "p/v@s2", "p/v@s3" };

	bed_up(bed);
	for (uint64_t i = 0; i < 4; i++) {
		bed_write("p/v", 1 + i);
		sums[i] = bed_sum("p/v");
		for (uint64_t k = 0; k < i; k++)
			ATF_REQUIRE(sums[i] != sums[k]);
		if (i < SM_ARRAY(names))
			bed_snapshot(names[i]);
	}
}

static void check_snapshots(const uint64_t sums[3])
{
	ATF_CHECK_EQ(sums[0], bed_sum_of("p/v@s1"));
	ATF_CHECK_EQ(sums[1], bed_sum_of("p/v@s2"));
	ATF_CHECK_EQ(sums[2], bed_sum_of("p/v@s3"));
}

static void check_parent(const char *spec, const char *parent)
{
	struct snapmgr_object o;

	lab_show(spec, &o);
	ATF_CHECK_STREQ(parent, o.parent_name);
}

static void a_volume_goes_to_any_snapshot_and_back_and_stays_who_it_is(const struct bed *bed)
{
	char before[BED_IDENTITY], after[BED_IDENTITY];
	struct snapmgr_revert_result result;
	uint64_t sums[4], five, six;

	make_history(bed, sums);
	LAB_DO(snapmgr_set(lab, "p/v", "project", "web", &err));
	bed_identity("p/v", before);
	ATF_REQUIRE(bed_can.revert_to_snapshot_support && bed_can.in_place);
	LAB_DO(snapmgr_revert(lab, "p/v@s3", NULL, &result, &err));
	ATF_CHECK_MSG(bed_has(result.strategy), "by %s", result.strategy);
	ATF_CHECK(result.in_place && result.undo);
	ATF_CHECK_EQ(sums[2], bed_sum("p/v"));
	lab_revert("p/v@s1");
	ATF_CHECK_EQ(sums[0], bed_sum("p/v"));
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK_EQ(sums[2], bed_sum("p/v"));
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK_EQ(sums[0], bed_sum("p/v"));
	check_snapshots(sums);
	/* a second child of s1, and on to a newer one, which has been kept */
	bed_write("p/v", 5);
	five = bed_sum("p/v");
	bed_snapshot("p/v@s4");
	check_parent("p/v@s2", "v@s1");
	check_parent("p/v@s4", "v@s1");
	bed_write("p/v", 6);
	six = bed_sum("p/v");
	lab_revert("p/v@s2");
	ATF_CHECK_EQ(six, bed_sum_of("p/v@undo"));
	ATF_CHECK_EQ(sums[2], bed_sum_of("p/v@undo~1"));
	bed_write("p/v", 7);
	lab_revert("p/v@s2");
	lab_revert("p/v@s2"); /* twice is as once */
	ATF_CHECK_EQ(sums[1], bed_sum("p/v"));
	check_parent("p/v", "v@s2");
	bed_identity("p/v", after);
	ATF_CHECK_STREQ(before, after);
	check_snapshots(sums);
	ATF_CHECK_EQ(five, bed_sum_of("p/v@s4"));
	bed_check_clean();
}

static void all_is_there_after_a_reboot(const struct bed *bed)
{
	uint64_t sums[4], head;

	make_history(bed, sums);
	lab_revert("p/v@s2");
	bed_write("p/v", 7);
	head = bed_sum("p/v");
	bed_reboot();
	ATF_CHECK_EQ(head, bed_sum("p/v"));
	check_snapshots(sums);
	ATF_CHECK_EQ(sums[3], bed_sum_of("p/v@undo"));
	bed_write("p/v", 8);
	check_snapshots(sums);
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK_EQ(sums[3], bed_sum("p/v"));
	bed_check_clean();
}

/* ---- by each strategy ---- */

static void check_way(const char *way)
{
	struct snapmgr_revert_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	char before[BED_IDENTITY], after[BED_IDENTITY];
	uint64_t snapshot = bed_sum_of("p/v@s2"), head;
	struct snapmgr_revert_result result;

	bed_write("p/v", 10);
	head = bed_sum("p/v");
	bed_identity("p/v", before);
	opts.strategy = way;
	if (!BED_MAY(bed_has(way), snapmgr_revert(lab, "p/v@s2", &opts, &result, &err))) {
		ATF_CHECK_EQ_MSG(head, bed_sum("p/v"), "%s: refused, but done", way);
		LAB_SAYS(way);
		return;
	}
	ATF_CHECK_STREQ(way, result.strategy);
	ATF_CHECK(result.in_place && result.undo);
	ATF_CHECK_EQ_MSG(snapshot, bed_sum("p/v"), "%s: it is another", way);
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK_EQ_MSG(head, bed_sum("p/v"), "%s: undone, it is another", way);
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK_EQ_MSG(snapshot, bed_sum("p/v"), "%s: undone twice, it is another", way);
	bed_identity("p/v", after);
	ATF_CHECK_STREQ(before, after);
}

static void each_strategy_leads_there_and_back_or_is_refused(const struct bed *bed)
{
	static const char *const all[] = { "repoint", "reflink", "merge", "copy", "clone" };
	uint64_t sums[4];

	make_history(bed, sums);
	for (size_t i = 0; i < SM_ARRAY(all); i++) {
		check_way(all[i]);
		check_snapshots(sums);
	}
	bed_check_clean();
}

/* ---- what else is done to a volume ---- */

static void a_revert_brings_the_size_back(const struct bed *bed)
{
	struct snapmgr_object o;
	uint64_t one;

	bed_up(bed);
	bed_write("p/v", 1);
	one = bed_sum("p/v");
	bed_snapshot("p/v@s");
	if (BED_MAY(bed_can.resize,
		    snapmgr_resize(lab, "p/v", 2 * BED_BYTES, NULL, NULL, NULL, &err))) {
		bed_write("p/v", 2);
		lab_revert("p/v@s");
	}
	ATF_CHECK_EQ(one, bed_sum("p/v"));
	lab_show("p/v", &o);
	ATF_CHECK_EQ(BED_BYTES, o.size_bytes);
	if (bed_can.resize) {
		LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
		lab_show("p/v", &o);
		ATF_CHECK_EQ(2 * BED_BYTES, o.size_bytes);
	}
	ATF_CHECK_EQ(one, bed_sum_of("p/v@s"));
	bed_check_clean();
}

static void a_clone_goes_its_own_way(const struct bed *bed)
{
	uint64_t one;

	bed_up(bed);
	bed_write("p/v", 1);
	one = bed_sum("p/v");
	bed_snapshot("p/v@s");
	if (BED_MAY(bed_can.create_share_from_snapshot_support,
		    snapmgr_clone(lab, "p/v@s", "p/c", NULL, NULL, NULL, &err))) {
		ATF_CHECK_EQ(one, bed_sum("p/c"));
		bed_write("p/c", 2);
		bed_write("p/v", 4);
		ATF_CHECK(bed_sum("p/c") != one);
	} else {
		ATF_CHECK(!lab_exists("p/c"));
	}
	ATF_CHECK_EQ(one, bed_sum_of("p/v@s"));
	bed_check_clean();
}

static void a_rename_changes_nothing_inside(const struct bed *bed)
{
	uint64_t one;

	bed_up(bed);
	bed_write("p/v", 1);
	one = bed_sum("p/v");
	bed_snapshot("p/v@s");
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
	const char *const volumes[] = { "p/v", "p/w" };
	uint64_t v, w;

	bed_up(bed);
	lab_create("p/w", BED_BYTES);
	LAB_DO(snapmgr_group_create(lab, "p/g", volumes, 2, NULL, NULL, NULL, &err));
	bed_write("p/v", 1);
	bed_write("p/w", 2);
	v = bed_sum("p/v");
	w = bed_sum("p/w");
	bed_snapshot("p/g@s");
	bed_write("p/v", 3);
	bed_write("p/w", 4);
	if (!BED_MAY(bed_can.group_revert, snapmgr_revert(lab, "p/g@s", NULL, NULL, &err))) {
		ATF_CHECK(v != bed_sum("p/v") && w != bed_sum("p/w"));
		lab_revert("p/v@s"); /* each by itself */
		lab_revert("p/w@s");
	}
	ATF_CHECK_EQ(v, bed_sum("p/v"));
	ATF_CHECK_EQ(w, bed_sum("p/w"));
	bed_check_clean();
}

/* Files can be closed, and then it works; a driver that never does it says so. */
static enum snapmgr_code refusal_of_online(const struct bed *bed)
{
	return bed->type ? SNAPMGR_IN_USE : SNAPMGR_UNSUPPORTED;
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
	bed_snapshot("p/v@s");
	bed_write("p/v", 2);
	bed_write("p/v", 3);
	two = bed_sum("p/v");
	fd = open(bed_path("p/v"), O_RDWR | O_CLOEXEC);
	ATF_REQUIRE(fd >= 0);
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	ATF_CHECK_EQ(two, bed_sum("p/v"));
	opts.online = true;
	if (!bed_can.online) {
		LAB_REFUSED(refusal_of_online(bed),
			    snapmgr_revert(lab, "p/v@s", &opts, NULL, &err));
		ATF_CHECK_EQ(two, bed_sum("p/v"));
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
	bed_snapshot("p/v@a");
	bed_write("p/v", 2);
	b = bed_sum("p/v");
	bed_snapshot("p/v@b");
	for (int i = 0; i < 3; i++) {
		pid_t pid = lab_child(revert_forever, NULL);

		lab_sleep_ms((unsigned int)(lab_random(&random) % 150));
		lab_end(pid); /* wherever it is: either of the two is right */
		lab_reopen();
		bed_settle();
		now = bed_sum("p/v");
		ATF_REQUIRE_MSG(now == a || now == b, "round %d: neither of the two", i);
		seen_a += now == a;
		bed_check_clean();
	}
	printf("%ju of 3 read as a\n", (uintmax_t)seen_a);
	ATF_CHECK_EQ(a, bed_sum_of("p/v@a"));
	ATF_CHECK_EQ(b, bed_sum_of("p/v@b"));
	lab_revert("p/v@a");
	ATF_CHECK_EQ(a, bed_sum("p/v"));
}

static void
who_holds_a_snapshot_keeps_it_and_the_tree_closes_over_one_that_goes(const struct bed *bed)
{
	uint64_t sums[4];

	make_history(bed, sums);
	LAB_DO(snapmgr_hold(lab, "p/v@s2", true, &err));
	LAB_REFUSED(SNAPMGR_HELD, snapmgr_delete(lab, "p/v@s2", NULL, NULL, NULL, &err));
	lab_revert("p/v@s2"); /* that is no harm to it */
	check_snapshots(sums);
	LAB_DO(snapmgr_hold(lab, "p/v@s2", false, &err));
	LAB_DO(snapmgr_delete(lab, "p/v@s2", NULL, NULL, NULL, &err));
	check_parent("p/v@s3", "v@s1");
	ATF_CHECK_EQ(sums[1], bed_sum("p/v"));
	ATF_CHECK_EQ(sums[0], bed_sum_of("p/v@s1"));
	ATF_CHECK_EQ(sums[2], bed_sum_of("p/v@s3"));
	ATF_CHECK_EQ(sums[3], bed_sum_of("p/v@undo"));
	lab_revert("p/v@s3");
	ATF_CHECK_EQ(sums[2], bed_sum("p/v"));
	bed_check_clean();
}

static void snapshots_outlive_their_volume_where_they_can(const struct bed *bed)
{
	struct snapmgr_delete_opts keep = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);
	struct snapmgr_object s;
	uint64_t one, now;

	bed_up(bed);
	bed_write("p/v", 1);
	one = bed_sum("p/v");
	bed_snapshot("p/v@s");
	bed_write("p/v", 2);
	now = bed_sum("p/v");
	lab_show("p/v@s", &s);
	keep.keep_snapshots = true;
	if (BED_MAY(bed_can.keep_snapshots, snapmgr_delete(lab, "p/v", &keep, NULL, NULL, &err))) {
		ATF_CHECK(!lab_exists("p/v"));
		LAB_DO(snapmgr_clone(lab, s.uuid, "p/v", NULL, NULL, NULL, &err));
		ATF_CHECK_EQ(one, bed_sum("p/v"));
	} else {
		ATF_CHECK_EQ(now, bed_sum("p/v"));
	}
	ATF_CHECK_EQ(one, bed_sum_of(s.uuid));
	bed_check_clean();
}

static int count_device(const char *name, const char *uuid, uint32_t major, uint32_t minor,
			void *data)
{
	(void)uuid;
	(void)major;
	(void)minor;
	printf("left: %s\n", name);
	++*(size_t *)data;
	return 0;
}

static void what_is_deleted_leaves_nothing(const struct bed *bed)
{
	struct snapmgr_delete_opts all = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);
	size_t n = 0;

	bed_up(bed);
	bed_write("p/v", 1);
	bed_snapshot("p/v@s");
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
	LAB_DO(sdm_list("", count_device, &n, &err));
	ATF_CHECK_EQ(0, n);
}

/* ---- on every bed ---- */

#define SCENARIOS(X, bed)                                                            \
	X(a_volume_goes_to_any_snapshot_and_back_and_stays_who_it_is, bed)           \
	X(all_is_there_after_a_reboot, bed)                                          \
	X(each_strategy_leads_there_and_back_or_is_refused, bed)                     \
	X(a_revert_brings_the_size_back, bed)                                        \
	X(a_clone_goes_its_own_way, bed)                                             \
	X(a_rename_changes_nothing_inside, bed)                                      \
	X(a_group_is_reverted_as_one, bed)                                           \
	X(what_is_open_is_refused_and_online_follows_where_it_can, bed)              \
	X(who_is_killed_in_a_revert_leaves_one_or_the_other, bed)                    \
	X(who_holds_a_snapshot_keeps_it_and_the_tree_closes_over_one_that_goes, bed) \
	X(snapshots_outlive_their_volume_where_they_can, bed)                        \
	X(what_is_deleted_leaves_nothing, bed)
#define BEDS(Y) Y(thin) Y(cow) Y(xfs) Y(btrfs) Y(ext4) Y(tmpfs)

#define CASE(scenario, bed)                     \
	ATF_TC_WITHOUT_HEAD(scenario##__##bed); \
	ATF_TC_BODY(scenario##__##bed, tc)      \
	{                                       \
		scenario(&bed##_bed);           \
	}
#define CASES(bed)	   SCENARIOS(CASE, bed)
#define ADD(scenario, bed) ATF_TP_ADD_TC(tp, scenario##__##bed);
#define ADD_ALL(bed)	   SCENARIOS(ADD, bed)

BEDS(CASES)

ATF_TP_ADD_TCS(tp)
{
	BEDS(ADD_ALL)
	return atf_no_error();
}
