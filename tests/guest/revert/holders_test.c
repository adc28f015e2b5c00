/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A volume that somebody uses is not reverted, and the message names who. */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/swap.h>

#include "../pool_lab.h"

#define SIZE (32 * SM_MIB)

static const struct snapmgr_revert_opts online = { .size = sizeof(online), .online = true };
static const struct snapmgr_revert_opts remount = { .size = sizeof(remount), .remount = true };

/* A volume with a file system and a snapshot that is not what it holds now. */
static const char *make_volume(void)
{
	static char node[160];

	lab_up();
	lab_create("p/v", SIZE);
	lab_snapshot("p/v@s");
	(void)sm_copy_text(node, sizeof(node), lab_node("p/v"));
	lab_run("mkfs.ext4 -q %s; mkdir " LAB "/m", node);
	return node;
}

/* Refused, by name, and nothing is another than it was. */
static void check_refused(const struct snapmgr_revert_opts *opts, const char *says)
{
	struct snapmgr_undo_opts undo = { .size = sizeof(undo), .online = opts && opts->online };
	struct sdm_info before, after;
	uint64_t sum = lab_sum(lab_node("p/v"));

	lab_dm("p/v", &before);
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, "p/v@s", opts, NULL, &err));
	LAB_SAYS(says);
	LAB_SAYS("'p/v'");
	LAB_REFUSED(SNAPMGR_NOT_FOUND,
		    snapmgr_undo(lab, "p/v", &undo, NULL, &err)); /* there is no point */
	lab_dm("p/v", &after);
	ATF_CHECK_EQ(sum, lab_sum(lab_node("p/v")));
	ATF_CHECK_EQ(before.event_nr, after.event_nr);
	ATF_CHECK_EQ(0, lab_undo_points("p/v"));
	lab_check_rest();
}

static void check_free(void)
{
	lab_revert("p/v@s");
	ATF_CHECK_EQ(1, lab_undo_points("p/v"));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_mount_is_named_with_its_place);
ATF_TC_BODY(a_mount_is_named_with_its_place, tc)
{
	const char *node = make_volume();

	ATF_REQUIRE_EQ(0, mount(node, LAB "/m", "ext4", 0, NULL));
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	LAB_SAYS("--remount");
	check_refused(NULL, "mounted on '" LAB "/m'");
	check_refused(&online, "mounted on '" LAB "/m'");
	ATF_REQUIRE_EQ(0, umount2(LAB "/m", 0));
	check_free();
}

static void mount_elsewhere(void *node)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(node, LAB "/m", "ext4", 0, NULL) < 0)
		_exit(1);
	lab_ready();
	for (;;)
		(void)pause();
}

ATF_TC_WITHOUT_HEAD(a_mount_in_another_namespace_is_named_with_a_process);
ATF_TC_BODY(a_mount_in_another_namespace_is_named_with_a_process, tc)
{
	char says[64];
	pid_t pid = lab_child(mount_elsewhere, (void *)(uintptr_t)make_volume());

	(void)snprintf(says, sizeof(says), "in the mount namespace of process %d", pid);
	check_refused(NULL, says);
	check_refused(&online, says);
	check_refused(&remount, says);
	lab_end(pid);
	check_free();
}

ATF_TC_WITHOUT_HEAD(swap_is_named);
ATF_TC_BODY(swap_is_named, tc)
{
	const char *node = make_volume();

	lab_run("mkswap -q %s >/dev/null 2>&1 || mkswap %s >/dev/null", node, node);
	ATF_REQUIRE_EQ(0, swapon(node, 0));
	check_refused(NULL, "used as swap");
	check_refused(&online, "used as swap");
	ATF_REQUIRE_EQ(0, swapoff(node));
	check_free();
}

ATF_TC_WITHOUT_HEAD(a_mapped_partition_is_named);
ATF_TC_BODY(a_mapped_partition_is_named, tc)
{
	const char *node = make_volume();

	lab_run("dmsetup create v-part1 --table '0 4096 linear %s 2048'", node);
	check_refused(NULL, "(v-part1)");
	check_refused(&online, "(v-part1)");
	lab_run("dmsetup remove v-part1");
	check_free();
}

ATF_TC_WITHOUT_HEAD(a_loop_device_is_named);
ATF_TC_BODY(a_loop_device_is_named, tc)
{
	lab_run("losetup /dev/loop3 %s", make_volume());
	check_refused(NULL, "attached to '/dev/loop3'");
	check_refused(&online, "attached to '/dev/loop3'");
	lab_run("losetup -d /dev/loop3");
	check_free();
}

ATF_TC_WITHOUT_HEAD(a_filesystem_on_a_loop_device_is_found);
ATF_TC_BODY(a_filesystem_on_a_loop_device_is_found, tc)
{
	lab_run("losetup /dev/loop3 %s; mount /dev/loop3 " LAB "/m", make_volume());
	check_refused(NULL, "attached to '/dev/loop3'");
	check_refused(&online, "attached to '/dev/loop3'");
	check_refused(&remount, "attached to '/dev/loop3'");
	lab_run("umount " LAB "/m; losetup -d /dev/loop3");
	check_free();
}

static void hold_open(void *node)
{
	if (open(node, O_RDWR | O_CLOEXEC) < 0)
		_exit(1);
	lab_ready();
	for (;;)
		(void)pause();
}

ATF_TC_WITHOUT_HEAD(a_process_is_named);
ATF_TC_BODY(a_process_is_named, tc)
{
	char says[64];
	pid_t pid = lab_child(hold_open, (void *)(uintptr_t)make_volume());

	(void)snprintf(says, sizeof(says), "open by process %d", pid);
	check_refused(NULL, says);
	check_refused(&remount, says);
	LAB_DO(snapmgr_revert(lab, "p/v@s", &online, NULL, &err));
	lab_end(pid);
	lab_check_rest();
}

static void hold_exclusively(void *node)
{
	if (open(node, O_RDONLY | O_EXCL | O_CLOEXEC) < 0)
		_exit(1);
	lab_ready();
	for (;;)
		(void)pause();
}

ATF_TC_WITHOUT_HEAD(a_process_that_holds_it_exclusively_is_named_also_online);
ATF_TC_BODY(a_process_that_holds_it_exclusively_is_named_also_online, tc)
{
	char says[64];
	pid_t pid = lab_child(hold_exclusively, (void *)(uintptr_t)make_volume());

	(void)snprintf(says, sizeof(says), "open by process %d", pid);
	check_refused(NULL, says);
	check_refused(&online, says);
	lab_end(pid);
	check_free();
}

static void pass_by(void *node)
{
	if (open(node, O_RDONLY | O_CLOEXEC) < 0)
		_exit(1);
	lab_ready();
	lab_sleep_ms(400);
}

ATF_TC_WITHOUT_HEAD(who_is_gone_within_a_second_is_no_conflict);
ATF_TC_BODY(who_is_gone_within_a_second_is_no_conflict, tc)
{
	pid_t pid = lab_child(pass_by, (void *)(uintptr_t)make_volume());

	check_free();
	lab_end(pid);
}

ATF_TC_WITHOUT_HEAD(a_volume_that_somebody_suspended_is_refused_and_not_waited_for);
ATF_TC_BODY(a_volume_that_somebody_suspended_is_refused_and_not_waited_for, tc)
{
	struct sdm_info info;

	(void)make_volume();
	lab_dm("p/v", &info);
	LAB_DO(sdm_suspend(info.name, 0, NULL, &err));
	LAB_REFUSED(SNAPMGR_BAD_STATE, snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	LAB_SAYS("suspended");
	LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
	check_free();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_mount_is_named_with_its_place);
	ATF_TP_ADD_TC(tp, a_mount_in_another_namespace_is_named_with_a_process);
	ATF_TP_ADD_TC(tp, swap_is_named);
	ATF_TP_ADD_TC(tp, a_mapped_partition_is_named);
	ATF_TP_ADD_TC(tp, a_loop_device_is_named);
	ATF_TP_ADD_TC(tp, a_filesystem_on_a_loop_device_is_found);
	ATF_TP_ADD_TC(tp, a_process_is_named);
	ATF_TP_ADD_TC(tp, a_process_that_holds_it_exclusively_is_named_also_online);
	ATF_TP_ADD_TC(tp, who_is_gone_within_a_second_is_no_conflict);
	ATF_TP_ADD_TC(tp, a_volume_that_somebody_suspended_is_refused_and_not_waited_for);
	return atf_no_error();
}
