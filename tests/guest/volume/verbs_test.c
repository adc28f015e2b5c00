/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What becomes of volumes and snapshots: rows, devices and contents after each verb. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/guest/pool_lab.h"

#define SIZE (32 * SM_MIB)

static uint64_t pool_used(void)
{
	struct sdm_pool_status s;

	LAB_DO(sdm_pool_status("snapmgr-p-_pool", true, &s, &err));
	return s.data_used;
}

static void delete (const char *spec, bool recursive, bool keep)
{
	struct snapmgr_delete_opts o = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);

	o.recursive = recursive;
	o.keep_snapshots = keep;
	LAB_DO(snapmgr_delete(lab, spec, &o, NULL, NULL, &err));
}

static void is_parent(const char *child, const char *parent)
{
	struct snapmgr_object o;

	lab_show(child, &o);
	ATF_CHECK_MSG(strcmp(parent, o.parent_name) == 0, "%s: parent is '%s', not '%s'", child,
		      o.parent_name, parent);
}

/* ---- delete ---- */

ATF_TC_WITHOUT_HEAD(children_of_a_deleted_snapshot_move_to_its_parent);
ATF_TC_BODY(children_of_a_deleted_snapshot_move_to_its_parent, tc)
{
	lab_up();
	lab_create("p/v", SIZE);
	lab_snapshot("p/v@s1");
	lab_snapshot("p/v@s2");
	lab_snapshot("p/v@s3");
	lab_revert("p/v@s2"); /* head and s3 and an undo point below s2 */
	LAB_DO(snapmgr_clone(lab, "p/v@s2", "p/c", NULL, NULL, NULL, &err));
	is_parent("p/c", "v@s2");
	delete ("p/v@s2", false, false);
	is_parent("p/v@s3", "v@s1");
	is_parent("p/v", "v@s1");
	is_parent("p/c", "v@s1");
	delete ("p/v@s1", false, false);
	is_parent("p/v@s3", "");
	is_parent("p/v", "");
	is_parent("p/v@undo", "v@s3");
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_deletion_gives_the_space_back);
ATF_TC_BODY(a_deletion_gives_the_space_back, tc)
{
	uint64_t empty, one;

	lab_up();
	empty = pool_used();
	lab_create("p/v", SIZE);
	lab_write(lab_node("p/v"), 0, 16 * SM_MIB, 1, 0);
	lab_snapshot("p/v@s1");
	one = pool_used();
	ATF_CHECK_EQ_MSG(256, one - empty, "%ju chunks", (uintmax_t)(one - empty));
	lab_write(lab_node("p/v"), 0, 16 * SM_MIB, 2, 0);
	lab_snapshot("p/v@s2");
	ATF_CHECK_EQ(512, pool_used() - empty);
	delete ("p/v@s1", false, false);
	ATF_CHECK_EQ(256, pool_used() - empty);
	lab_revert("p/v@s2"); /* an undo point goes with its volume, too */
	lab_write(lab_node("p/v"), 0, 16 * SM_MIB, 3, 0);
	delete ("p/v", true, false);
	ATF_CHECK_EQ(empty, pool_used());
	ATF_CHECK(!lab_exists("p/v"));
	lab_check_rest();
}

static char orphan[SNAPMGR_UUID_TEXT];

ATF_TC_WITHOUT_HEAD(kept_snapshots_outlive_their_volume);
ATF_TC_BODY(kept_snapshots_outlive_their_volume, tc)
{
	struct snapmgr_object o;
	struct sdm_info before, after;

	lab_up();
	lab_create("p/v", SIZE);
	lab_write(lab_node("p/v"), 0, SM_MIB, 1, 0);
	lab_snapshot("p/v@s1");
	lab_snapshot("p/v@s2");
	LAB_DO(snapmgr_activate(lab, "p/v@s1", NULL, NULL, &err));
	lab_dm("p/v@s1", &before);
	lab_show("p/v@s1", &o);
	(void)strcpy(orphan, o.uuid);

	LAB_REFUSED(SNAPMGR_HAS_SNAPSHOTS, snapmgr_delete(lab, "p/v", NULL, NULL, NULL, &err));
	LAB_SAYS("--recursive");
	LAB_SAYS("p/v");
	delete ("p/v", false, true);
	ATF_CHECK(!lab_exists("p/v"));

	lab_show(orphan, &o);
	ATF_CHECK_STREQ("", o.snapshot_of);
	ATF_CHECK_STREQ("s1", o.name);
	ATF_CHECK(o.active);
	lab_dm(orphan, &after); /* it went on under a name without the volume */
	ATF_CHECK_STREQ(before.uuid, after.uuid);
	ATF_CHECK_EQ(before.minor, after.minor);
	ATF_CHECK(lab_holds(lab_node(orphan), 0, SM_MIB, 1, 0));

	/* The name is free again, and what was kept can be cloned. */
	lab_create("p/v", SIZE);
	LAB_DO(snapmgr_clone(lab, orphan, "p/back", NULL, NULL, NULL, &err));
	ATF_CHECK(lab_holds(lab_node("p/back"), 0, SM_MIB, 1, 0));
	LAB_REFUSED(SNAPMGR_NOT_FOUND, snapmgr_revert(lab, orphan, NULL, NULL, &err));
	LAB_SAYS("clone");
	delete (orphan, false, false);
	lab_check_rest();
}

static void hold_open(void *data)
{
	int fd = open(data, O_RDONLY);

	if (fd < 0)
		_exit(1);
	lab_ready();
	(void)pause();
}

ATF_TC_WITHOUT_HEAD(what_is_used_or_held_is_not_deleted);
ATF_TC_BODY(what_is_used_or_held_is_not_deleted, tc)
{
	struct snapmgr_delete_opts all = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);
	struct snapmgr_object o;
	pid_t pid;

	all.recursive = true;
	lab_up();
	lab_create("p/v", SIZE);
	lab_snapshot("p/v@s1");
	lab_snapshot("p/v@s2");
	LAB_DO(snapmgr_activate(lab, "p/v@s1", NULL, NULL, &err));
	LAB_DO(snapmgr_hold(lab, "p/v@s2", true, &err));
	LAB_REFUSED(SNAPMGR_HELD, snapmgr_delete(lab, "p/v@s2", NULL, NULL, NULL, &err));
	LAB_SAYS("snapmgr release p/v@s2");
	LAB_REFUSED(SNAPMGR_HELD, snapmgr_delete(lab, "p/v", &all, NULL, NULL, &err));
	LAB_DO(snapmgr_hold(lab, "p/v@s2", true, &err)); /* twice is once */
	LAB_DO(snapmgr_hold(lab, "p/v@s2", false, &err));

	pid = lab_child(hold_open, (void *)(uintptr_t)lab_node("p/v@s1"));
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_delete(lab, "p/v@s1", NULL, NULL, NULL, &err));
	LAB_SAYS("verbs_test");
	/* The volume is unmapped by then, and mapped again. */
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_delete(lab, "p/v", &all, NULL, NULL, &err));
	lab_end(pid);
	pid = lab_child(hold_open, (void *)(uintptr_t)lab_node("p/v"));
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_delete(lab, "p/v", &all, NULL, NULL, &err));
	lab_end(pid);
	lab_show("p/v@s1", &o);
	ATF_CHECK_MSG(o.active, "a refused deletion unmapped a snapshot");
	lab_show("p/v", &o);
	ATF_CHECK(o.active);
	lab_run("mkfs.ext4 -q %s && mkdir " LAB "/m && mount %s " LAB "/m", lab_node("p/v"),
		lab_node("p/v"));
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_delete(lab, "p/v", &all, NULL, NULL, &err));
	LAB_SAYS(LAB "/m");
	lab_run("umount " LAB "/m");
	lab_check_rest();
	delete ("p/v", true, false);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(an_active_undo_point_is_not_pushed_out);
ATF_TC_BODY(an_active_undo_point_is_not_pushed_out, tc)
{
	struct snapmgr_revert_opts no_undo = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);

	no_undo.no_undo = true;
	lab_up();
	lab_create("p/v", SIZE);
	lab_snapshot("p/v@s1");
	LAB_DO(snapmgr_set(lab, "p/v", "undo_keep", "2", &err));
	lab_revert("p/v@s1");
	LAB_DO(snapmgr_activate(lab, "p/v@undo", NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	lab_revert("p/v@s1"); /* it is the second now */
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, "p/v@s1", NULL, NULL, &err));
	LAB_SAYS("p/v@undo~1");
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err)); /* changes places with the first */
	LAB_DO(snapmgr_revert(lab, "p/v@s1", &no_undo, NULL, &err));
	LAB_DO(snapmgr_deactivate(lab, "p/v@undo~1", &err));
	lab_revert("p/v@s1");
	lab_check_rest();
	LAB_DO(snapmgr_pool_deactivate(lab, "p", &err));
}

/* ---- rename ---- */

/* Number and dm UUID stay; name and link follow. */
static void rename_and_compare(const char *spec, const char *to, const char *renamed)
{
	struct sdm_info before, after;
	struct snapmgr_object o;

	lab_dm(spec, &before);
	LAB_DO(snapmgr_rename(lab, spec, to, &err));
	lab_dm(renamed, &after);
	ATF_CHECK_EQ(before.minor, after.minor);
	ATF_CHECK_STREQ(before.uuid, after.uuid);
	lab_show(renamed, &o);
	lab_run("[ $(readlink -f %s) = $(readlink -f /dev/mapper/%s) ]", o.device, o.dm_name);
	lab_run("[ ! -e /dev/snapmgr/%s ] && [ ! -L /dev/snapmgr/%s ]", spec, spec);
}

ATF_TC_WITHOUT_HEAD(a_rename_changes_names_and_links_only);
ATF_TC_BODY(a_rename_changes_names_and_links_only, tc)
{
	lab_up();
	lab_create("p/v", SIZE);
	lab_create("p/other", SIZE);
	lab_run("mkfs.ext4 -q %s && mkdir " LAB "/m && mount %s " LAB "/m", lab_node("p/v"),
		lab_node("p/v"));
	lab_snapshot("p/v@s1");
	lab_snapshot("p/v@s2");
	LAB_DO(snapmgr_activate(lab, "p/v@s1", NULL, NULL, &err));
	rename_and_compare("p/v", "w", "p/w"); /* mounted, with an active snapshot */
	lab_run("echo x >" LAB "/m/x && sync " LAB "/m/x");
	lab_run("[ -e /dev/snapmgr/p/w@s1 ] && [ ! -e /dev/snapmgr/p/v@s1 ]");
	rename_and_compare("p/w@s1", "t1", "p/w@t1");
	LAB_DO(snapmgr_rename(lab, "p/w@s2", "t2", &err)); /* inactive */
	is_parent("p/w@t2", "w@t1");
	LAB_REFUSED(SNAPMGR_EXISTS, snapmgr_rename(lab, "p/w", "other", &err));
	LAB_REFUSED(SNAPMGR_EXISTS, snapmgr_rename(lab, "p/w@t1", "t2", &err));
	lab_run("umount " LAB "/m");
	lab_revert("p/w@t2");
	LAB_DO(snapmgr_activate(lab, "p/w@undo", NULL, NULL, &err));
	rename_and_compare("p/w", "u", "p/u"); /* an active undo point follows, too */
	LAB_DO(snapmgr_deactivate(lab, "p/u@undo", &err));
	LAB_DO(snapmgr_deactivate(lab, "p/u", &err));
	LAB_DO(snapmgr_rename(lab, "p/u", "v", &err));
	LAB_DO(snapmgr_activate(lab, "p/v", NULL, NULL, &err));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_pool_is_renamed_while_inactive);
ATF_TC_BODY(a_pool_is_renamed_while_inactive, tc)
{
	lab_up();
	lab_create("p/v", SIZE);
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_rename(lab, "p", "q", &err));
	LAB_SAYS("deactivate");
	LAB_DO(snapmgr_pool_deactivate(lab, "p", &err));
	LAB_DO(snapmgr_rename(lab, "p", "q", &err));
	LAB_DO(snapmgr_pool_activate(lab, "q", &err));
	lab_run("[ -e /dev/snapmgr/q/v ] && [ -e /dev/mapper/snapmgr-q-v ]");
	ATF_CHECK(lab_exists("q/v"));
}

static void rename_back_and_forth(void *data)
{
	(void)data;
	(void)setenv("DM_DISABLE_UDEV", "1", 1); /* else it mostly waits for udev, with all done */
	lab_reopen();
	lab_ready();
	for (;;) {
		if (snapmgr_rename(lab, "p/a", "b", NULL) < 0)
			(void)snapmgr_rename(lab, "p/b", "a", NULL);
	}
}

ATF_TC(a_rename_killed_anywhere_is_finished_or_undone);
ATF_TC_HEAD(a_rename_killed_anywhere_is_finished_or_undone, tc)
{
	atf_tc_set_md_var(tc, "timeout", "120");
}
ATF_TC_BODY(a_rename_killed_anywhere_is_finished_or_undone, tc)
{
	uint64_t random = 7;
	int unsettled = 0;

	lab_up();
	lab_create("p/a", SIZE);
	lab_snapshot("p/a@s1");
	LAB_DO(snapmgr_activate(lab, "p/a@s1", NULL, NULL, &err));
	for (int i = 0; i < 30; i++) {
		pid_t pid = lab_child(rename_back_and_forth, NULL);
		struct sdm_info volume, snapshot;
		const char *name;

		lab_sleep_ms((unsigned int)(lab_random(&random) % 60));
		lab_end(pid);
		name = lab_exists("p/a") ? "a" : "b";
		LAB_DO(sdm_info(name[0] == 'a' ? "snapmgr-p-a" : "snapmgr-p-b", &volume, &err));
		unsettled += !volume.exists;
		LAB_DO(snapmgr_recover(lab, NULL, NULL, NULL, &err));
		name = lab_exists("p/a") ? "a" : "b";
		ATF_CHECK(lab_exists(name[0] == 'a' ? "p/a@s1" : "p/b@s1"));
		LAB_DO(sdm_info(name[0] == 'a' ? "snapmgr-p-a" : "snapmgr-p-b", &volume, &err));
		LAB_DO(sdm_info(name[0] == 'a' ? "snapmgr-p-a@s1" : "snapmgr-p-b@s1", &snapshot,
				&err));
		ATF_CHECK_MSG(volume.exists && snapshot.exists,
			      "round %d: names do not follow '%s'", i, name);
	}
	printf("killed between kernel and catalogue: %d times\n", unsettled);
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, children_of_a_deleted_snapshot_move_to_its_parent);
	ATF_TP_ADD_TC(tp, a_deletion_gives_the_space_back);
	ATF_TP_ADD_TC(tp, kept_snapshots_outlive_their_volume);
	ATF_TP_ADD_TC(tp, what_is_used_or_held_is_not_deleted);
	ATF_TP_ADD_TC(tp, an_active_undo_point_is_not_pushed_out);
	ATF_TP_ADD_TC(tp, a_rename_changes_names_and_links_only);
	ATF_TP_ADD_TC(tp, a_pool_is_renamed_while_inactive);
	ATF_TP_ADD_TC(tp, a_rename_killed_anywhere_is_finished_or_undone);
	return atf_no_error();
}
