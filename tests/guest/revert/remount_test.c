/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --remount: the mounts come back as they were, on the snapshot's contents or on the old ones. */
#include <fcntl.h>
#include <mntent.h>
#include <string.h>
#include <sys/mount.h>

#include "../pool_lab.h"

#define SIZE	(64 * SM_MIB)
#define OPTIONS "nosuid,nodev,noatime,commit=7,data=journal"

static const struct snapmgr_revert_opts remount = { .size = sizeof(remount), .remount = true };

/* "old" in the snapshot, "new" mounted, with options of every sort. */
static void mount_volume(void)
{
	char node[160];

	lab_up();
	lab_create("p/v", SIZE);
	(void)sm_copy_text(node, sizeof(node), lab_node("p/v"));
	lab_run("mkfs.ext4 -q %s; mkdir " LAB "/m " LAB "/b; mount %s " LAB "/m; echo old >" LAB
		"/m/f; mkdir " LAB "/m/sub; umount " LAB "/m",
		node, node);
	lab_snapshot("p/v@s");
	lab_run("mount -o " OPTIONS " %s " LAB "/m; echo new >" LAB "/m/f", node);
}

/* Source, type and options of a mount. */
static void mount_line(const char *point, char ret[512])
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	ret[0] = '\0';
	while ((m = getmntent(f)))
		if (strcmp(m->mnt_dir, point) == 0)
			(void)snprintf(ret, 512, "%s %s %s", m->mnt_fsname, m->mnt_type,
				       m->mnt_opts);
	(void)endmntent(f);
}

static void check_file(const char *path, const char *want)
{
	AUTO(sm_close_file) FILE *f = fopen(path, "re");
	char text[16] = "";

	ATF_CHECK_MSG(f, "there is no '%s'", path);
	if (f)
		(void)!fscanf(f, "%15s", text);
	ATF_CHECK_STREQ(want, text);
}

static void check_mounted(const char *point, const char *as)
{
	char now[512];

	mount_line(point, now);
	ATF_CHECK_STREQ_MSG(as, now, "%s", point);
}

ATF_TC_WITHOUT_HEAD(a_mount_comes_back_with_its_options);
ATF_TC_BODY(a_mount_comes_back_with_its_options, tc)
{
	char before[512];

	mount_volume();
	mount_line(LAB "/m", before);
	ATF_REQUIRE_MSG(strstr(before, "nosuid") && strstr(before, "commit=7"), "%s", before);
	LAB_DO(snapmgr_revert(lab, "p/v@s", &remount, NULL, &err));
	check_mounted(LAB "/m", before);
	check_file(LAB "/m/f", "old");
	ATF_CHECK_STREQ("", lab_warnings);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(binds_of_its_folders_come_back_too);
ATF_TC_BODY(binds_of_its_folders_come_back_too, tc)
{
	char before[512], bind[512];

	mount_volume();
	lab_run("mount --bind " LAB "/m/sub " LAB "/b; mount -o remount,bind,ro " LAB "/b");
	mount_line(LAB "/m", before);
	mount_line(LAB "/b", bind);
	ATF_REQUIRE(*bind);
	LAB_DO(snapmgr_revert(lab, "p/v@s", &remount, NULL, &err));
	check_mounted(LAB "/m", before);
	check_mounted(LAB "/b", bind);
	check_file(LAB "/m/f", "old");
	lab_check_rest();
}

static void hold_open(void *path)
{
	if (open(path, O_RDONLY | O_CLOEXEC) < 0)
		_exit(1);
	lab_ready();
	for (;;)
		(void)pause();
}

ATF_TC_WITHOUT_HEAD(a_filesystem_in_use_stays_mounted_and_its_user_is_named);
ATF_TC_BODY(a_filesystem_in_use_stays_mounted_and_its_user_is_named, tc)
{
	char before[512], says[64];
	pid_t pid;

	mount_volume();
	mount_line(LAB "/m", before);
	pid = lab_child(hold_open, (void *)(uintptr_t)LAB "/m/f");
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, "p/v@s", &remount, NULL, &err));
	LAB_SAYS(LAB "/m");
	(void)snprintf(says, sizeof(says), "process %d", pid);
	LAB_SAYS(says);
	check_mounted(LAB "/m", before);
	check_file(LAB "/m/f", "new");
	lab_end(pid);
	ATF_CHECK_EQ(0, lab_undo_points("p/v"));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_refused_revert_mounts_again_what_it_unmounted);
ATF_TC_BODY(a_refused_revert_mounts_again_what_it_unmounted, tc)
{
	char before[512], node[160];
	pid_t pid;

	mount_volume();
	mount_line(LAB "/m", before);
	(void)sm_copy_text(node, sizeof(node), lab_node("p/v"));
	pid = lab_child(hold_open, node);
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, "p/v@s", &remount, NULL, &err));
	LAB_SAYS("open by process");
	check_mounted(LAB "/m", before);
	check_file(LAB "/m/f", "new");
	lab_end(pid);
	ATF_CHECK_EQ(0, lab_undo_points("p/v"));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_snapshot_without_a_filesystem_is_reverted_to_and_the_mount_is_missed);
ATF_TC_BODY(a_snapshot_without_a_filesystem_is_reverted_to_and_the_mount_is_missed, tc)
{
	struct snapmgr_undo_opts undo = SNAPMGR_OPTS_INIT(struct snapmgr_undo_opts);
	struct snapmgr_object v;

	mount_volume();
	ATF_REQUIRE_EQ(0, umount2(LAB "/m", 0));
	lab_write(lab_node("p/v"), 0, SM_MIB, 1, LAB_DIRECT);
	lab_snapshot("p/v@raw");
	lab_revert("p/v@s");
	ATF_REQUIRE_EQ(0, mount(lab_node("p/v"), LAB "/m", "ext4", 0, NULL));
	{
		struct snapmgr_err err = { .message = "" };

		ATF_CHECK(snapmgr_revert(lab, "p/v@raw", &remount, NULL, &err) < 0);
		ATF_CHECK_MSG(strstr(err.message, LAB "/m") && strstr(err.message, "p/v"), "%s",
			      err.message);
		printf("%s\n", err.message);
	}
	lab_show("p/v", &v);
	ATF_CHECK_STREQ("v@raw", v.parent_name);
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SM_MIB, 1, LAB_DIRECT));
	LAB_DO(snapmgr_undo(lab, "p/v", &undo, NULL, &err));
	ATF_REQUIRE_EQ(0, mount(lab_node("p/v"), LAB "/m", "ext4", 0, NULL));
	check_file(LAB "/m/f", "old");
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(an_undo_mounts_again_too);
ATF_TC_BODY(an_undo_mounts_again_too, tc)
{
	const struct snapmgr_undo_opts undo = { .size = sizeof(undo), .remount = true };
	char before[512];

	mount_volume();
	mount_line(LAB "/m", before);
	LAB_DO(snapmgr_revert(lab, "p/v@s", &remount, NULL, &err));
	check_file(LAB "/m/f", "old");
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	LAB_DO(snapmgr_undo(lab, "p/v", &undo, NULL, &err));
	check_mounted(LAB "/m", before);
	check_file(LAB "/m/f", "new");
	LAB_DO(snapmgr_undo(lab, "p/v", &undo, NULL, &err));
	check_file(LAB "/m/f", "old");
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(nothing_mounted_is_nothing_to_mount);
ATF_TC_BODY(nothing_mounted_is_nothing_to_mount, tc)
{
	char now[512];

	mount_volume();
	ATF_REQUIRE_EQ(0, umount2(LAB "/m", 0));
	LAB_DO(snapmgr_revert(lab, "p/v@s", &remount, NULL, &err));
	mount_line(LAB "/m", now);
	ATF_CHECK_STREQ("", now);
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_mount_comes_back_with_its_options);
	ATF_TP_ADD_TC(tp, binds_of_its_folders_come_back_too);
	ATF_TP_ADD_TC(tp, a_filesystem_in_use_stays_mounted_and_its_user_is_named);
	ATF_TP_ADD_TC(tp, a_refused_revert_mounts_again_what_it_unmounted);
	ATF_TP_ADD_TC(tp, a_snapshot_without_a_filesystem_is_reverted_to_and_the_mount_is_missed);
	ATF_TP_ADD_TC(tp, an_undo_mounts_again_too);
	ATF_TP_ADD_TC(tp, nothing_mounted_is_nothing_to_mount);
	return atf_no_error();
}
