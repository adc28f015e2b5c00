/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a volume reads as after a revert. */
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>

#include "../pool_lab.h"

#define SIZE (32 * SM_MIB)

/* Checksum of every file, name and mode below the mount point. */
static void tree_sum(char ret[65])
{
	FILE *f = popen("cd " LAB
			"/m && find . -mindepth 1 -not -name lost+found -printf '%P %m\\n' -type f "
			"-exec sha256sum {} + | sort | sha256sum",
			"re");

	ATF_REQUIRE(f && fscanf(f, "%64s", ret) == 1);
	ATF_REQUIRE_EQ(0, pclose(f));
}

static void mount_volume(const char *type)
{
	ATF_REQUIRE_EQ(0, mount(lab_node("p/v"), LAB "/m", type, 0, NULL));
}

static void unmount_volume(void)
{
	ATF_REQUIRE_EQ(0, umount2(LAB "/m", 0));
}

static void check_tree(const char *type, const char *sum)
{
	char now[65];

	mount_volume(type);
	tree_sum(now);
	ATF_CHECK_STREQ(sum, now);
	unmount_volume();
}

/* Real files in two snapshots, taken while they are mounted and not synced; then all of it wrecked. */
static void go_through_filesystem(const char *type, const char *mkfs)
{
	char one[65], two[65];
	uint64_t wreck;

	lab_up();
	lab_create("p/v", 300 * SM_MIB);
	lab_run("mkdir " LAB "/m; %s %s >/dev/null", mkfs, lab_node("p/v"));
	mount_volume(type);
	lab_run("cp -r /usr/share/doc/b* " LAB "/m/");
	tree_sum(one);
	lab_snapshot("p/v@one");
	lab_run("rm -r " LAB "/m/b*; cp -r /usr/share/doc/c* " LAB "/m/; echo x >" LAB "/m/new");
	tree_sum(two);
	lab_snapshot("p/v@two");
	lab_run("rm -r " LAB "/m/c* " LAB "/m/new");
	unmount_volume();
	lab_write(lab_node("p/v"), 0, 2 * SM_MIB, 666, LAB_DIRECT); /* and its superblock */
	wreck = lab_sum(lab_node("p/v"));
	ATF_REQUIRE(strcmp(one, two) != 0);

	lab_revert("p/v@two");
	check_tree(type, two);
	lab_revert("p/v@one");
	check_tree(type, one);
	LAB_DO(snapmgr_undo(lab, "p/v@undo~1", NULL, NULL, &err));
	ATF_CHECK_EQ_MSG(wreck, lab_sum(lab_node("p/v")), "the wreck is another one");
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(files_of_an_ext4_come_back);
ATF_TC_BODY(files_of_an_ext4_come_back, tc)
{
	go_through_filesystem("ext4", "mkfs.ext4 -q");
}

ATF_TC_WITHOUT_HEAD(files_of_an_xfs_come_back);
ATF_TC_BODY(files_of_an_xfs_come_back, tc)
{
	go_through_filesystem("xfs", "mkfs.xfs -q");
}

ATF_TC_WITHOUT_HEAD(files_of_a_btrfs_come_back);
ATF_TC_BODY(files_of_a_btrfs_come_back, tc)
{
	go_through_filesystem("btrfs", "mkfs.btrfs -q");
}

/* Three snapshots whose every byte differs: a, b, c; and the head. */
static void make_three(void)
{
	char node[160];

	lab_up();
	lab_create("p/v", SIZE);
	(void)sm_copy_text(node, sizeof(node), lab_node("p/v"));
	for (char name = 'a'; name <= 'c'; name++) {
		char spec[] = "p/v@?";

		spec[4] = name;
		lab_write(node, 0, SIZE, (uint64_t)name, LAB_DIRECT);
		lab_snapshot(spec);
	}
	lab_write(node, 0, SIZE, 'h', LAB_DIRECT);
}

static void check_reads(char seed)
{
	ATF_CHECK_MSG(lab_holds(lab_node("p/v"), 0, SIZE, (uint64_t)seed, LAB_DIRECT),
		      "not all of '%c'", seed);
	ATF_CHECK_MSG(lab_holds(lab_node("p/v"), 0, SIZE, (uint64_t)seed, 0),
		      "not all of '%c', cached", seed);
}

ATF_TC_WITHOUT_HEAD(every_byte_is_the_snapshots);
ATF_TC_BODY(every_byte_is_the_snapshots, tc)
{
	static const char order[] = "cabbcac";
	uint64_t sums[3];

	make_three();
	for (size_t i = 0; i < 3; i++)
		sums[i] = lab_sum_of((const char *const[]){ "p/v@a", "p/v@b", "p/v@c" }[i]);
	for (const char *to = order; *to; to++) {
		char spec[] = "p/v@?";

		spec[4] = *to;
		lab_revert(spec);
		check_reads(*to);
		ATF_CHECK_EQ(sums[*to - 'a'], lab_sum(lab_node("p/v")));
		lab_write(lab_node("p/v"), 0, SIZE / 2, 'w',
			  LAB_DIRECT); /* none of their business */
		for (size_t i = 0; i < 3; i++)
			ATF_CHECK_EQ(sums[i], lab_sum_of((const char *const[]){ "p/v@a", "p/v@b",
										"p/v@c" }[i]));
	}
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(an_older_revert_keeps_the_newer_and_the_next_snapshot_is_a_second_child);
ATF_TC_BODY(an_older_revert_keeps_the_newer_and_the_next_snapshot_is_a_second_child, tc)
{
	struct snapmgr_object a, b, d, v;

	make_three();
	lab_revert("p/v@a");
	check_reads('a');
	lab_show("p/v@a", &a);
	lab_show("p/v@b", &b);
	ATF_CHECK_STREQ(a.uuid, b.parent);
	lab_snapshot("p/v@d");
	lab_show("p/v@d", &d);
	lab_show("p/v", &v);
	ATF_CHECK_STREQ(a.uuid, d.parent);
	ATF_CHECK_STREQ(d.uuid, v.parent);
	ATF_CHECK(d.latest && !b.latest);
	ATF_CHECK_EQ(4, d.sequence);
	lab_revert("p/v@c");
	check_reads('c');
	lab_revert("p/v@d");
	check_reads('a');
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_volume_that_is_not_active_is_reverted);
ATF_TC_BODY(a_volume_that_is_not_active_is_reverted, tc)
{
	struct snapmgr_object v;

	make_three();
	LAB_DO(snapmgr_deactivate(lab, "p/v", &err));
	lab_revert("p/v@b");
	lab_show("p/v", &v);
	ATF_CHECK(!v.active);
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	lab_revert("p/v@a");
	LAB_DO(snapmgr_activate(lab, "p/v", NULL, NULL, &err));
	check_reads('a');
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	check_reads('h');
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_snapshot_that_is_active_and_open_is_reverted_to);
ATF_TC_BODY(a_snapshot_that_is_active_and_open_is_reverted_to, tc)
{
	struct sdm_info before, after;
	int fd;

	make_three();
	LAB_DO(snapmgr_activate(lab, "p/v@b", NULL, NULL, &err));
	fd = open(lab_node("p/v@b"), O_RDONLY | O_CLOEXEC);
	ATF_REQUIRE(fd >= 0);
	lab_dm("p/v@b", &before);
	lab_revert("p/v@b");
	check_reads('b');
	lab_write(lab_node("p/v"), 0, SIZE, 'w', LAB_DIRECT);
	ATF_CHECK(lab_reads(fd, 0, SIZE, 'b'));
	ATF_CHECK(lab_holds(lab_node("p/v@b"), 0, SIZE, 'b', LAB_DIRECT));
	lab_dm("p/v@b", &after);
	ATF_CHECK(after.read_only && after.minor == before.minor);
	(void)close(fd);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_snapshot_that_is_mounted_is_reverted_to);
ATF_TC_BODY(a_snapshot_that_is_mounted_is_reverted_to, tc)
{
	char text[8] = "";
	FILE *f;

	lab_up();
	lab_create("p/v", SIZE);
	lab_run("mkfs.ext4 -q %s; mkdir " LAB "/m " LAB "/s; mount %s " LAB "/m; echo one >" LAB
		"/m/f; umount " LAB "/m",
		lab_node("p/v"), lab_node("p/v"));
	lab_snapshot("p/v@s");
	LAB_DO(snapmgr_activate(lab, "p/v@s", NULL, NULL, &err));
	lab_run("mount -r %s " LAB "/s; mount %s " LAB "/m; echo two >" LAB "/m/f; umount " LAB
		"/m",
		lab_node("p/v@s"), lab_node("p/v"));
	lab_revert("p/v@s");
	lab_run("mount %s " LAB "/m", lab_node("p/v"));
	f = fopen(LAB "/m/f", "re");
	ATF_REQUIRE(f && fscanf(f, "%7s", text) == 1);
	ATF_CHECK_STREQ("one", text);
	(void)fclose(f);
	lab_run("grep -q one " LAB "/s/f; umount " LAB "/m " LAB "/s");
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(the_same_revert_twice_ends_as_once);
ATF_TC_BODY(the_same_revert_twice_ends_as_once, tc)
{
	struct snapmgr_object first, second;

	make_three();
	lab_revert("p/v@b");
	lab_show("p/v", &first);
	lab_revert("p/v@b");
	lab_show("p/v", &second);
	check_reads('b');
	ATF_CHECK_STREQ(first.parent, second.parent);
	ATF_CHECK_EQ(first.size_bytes, second.size_bytes);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(the_size_of_the_snapshot_comes_back_with_its_contents);
ATF_TC_BODY(the_size_of_the_snapshot_comes_back_with_its_contents, tc)
{
	struct snapmgr_object v;
	uint64_t small, large;

	make_three();
	small = lab_sum_of("p/v@a");
	LAB_DO(snapmgr_resize(lab, "p/v", 2 * SIZE, NULL, NULL, NULL, &err));
	lab_write(lab_node("p/v"), SIZE, SIZE, 'L', LAB_DIRECT);
	lab_snapshot("p/v@large");
	large = lab_sum_of("p/v@large");
	lab_revert("p/v@a");
	lab_show("p/v", &v);
	ATF_CHECK_EQ(SIZE, v.size_bytes);
	ATF_CHECK_EQ(small, lab_sum(lab_node("p/v")));
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	lab_show("p/v", &v);
	ATF_CHECK_EQ(2 * SIZE, v.size_bytes);
	ATF_CHECK_EQ(large, lab_sum(lab_node("p/v")));
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK_EQ(small, lab_sum(lab_node("p/v")));
	lab_revert("p/v@large");
	ATF_CHECK_EQ(large, lab_sum(lab_node("p/v")));
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, files_of_an_ext4_come_back);
	ATF_TP_ADD_TC(tp, files_of_an_xfs_come_back);
	ATF_TP_ADD_TC(tp, files_of_a_btrfs_come_back);
	ATF_TP_ADD_TC(tp, every_byte_is_the_snapshots);
	ATF_TP_ADD_TC(tp, an_older_revert_keeps_the_newer_and_the_next_snapshot_is_a_second_child);
	ATF_TP_ADD_TC(tp, a_volume_that_is_not_active_is_reverted);
	ATF_TP_ADD_TC(tp, a_snapshot_that_is_active_and_open_is_reverted_to);
	ATF_TP_ADD_TC(tp, a_snapshot_that_is_mounted_is_reverted_to);
	ATF_TP_ADD_TC(tp, the_same_revert_twice_ends_as_once);
	ATF_TP_ADD_TC(tp, the_size_of_the_snapshot_comes_back_with_its_contents);
	return atf_no_error();
}
