/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which snapshot is meant, what a revert asks for, and what it answers. */
#include <string.h>

#include "../pool_lab.h"

#define SIZE (4 * SM_MIB)

/* Snapshots a, b, c of what their names say; the head is 'h'. */
static void make_three(void)
{
	lab_up();
	lab_create("p/v", SIZE);
	for (char name = 'a'; name <= 'c'; name++) {
		char spec[] = "p/v@?";

		spec[4] = name;
		lab_write(lab_node("p/v"), 0, SIZE, (uint64_t)name, LAB_DIRECT);
		lab_snapshot(spec);
	}
	lab_write(lab_node("p/v"), 0, SIZE, 'h', LAB_DIRECT);
}

static void check_head(char seed)
{
	ATF_CHECK_MSG(lab_holds(lab_node("p/v"), 0, SIZE, (uint64_t)seed, LAB_DIRECT),
		      "the head is not '%c'", seed);
}

/* The head is untouched: no switch, no row. */
static void check_unchanged(void)
{
	struct snapmgr_object v;

	check_head('h');
	lab_show("p/v", &v);
	ATF_CHECK_STREQ("v@c", v.parent_name);
	ATF_CHECK_EQ(0, lab_undo_points("p/v"));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(latest_counts_back_from_the_newest);
ATF_TC_BODY(latest_counts_back_from_the_newest, tc)
{
	make_three();
	lab_revert("p/v@latest");
	check_head('c');
	lab_revert("p/v@latest~2");
	check_head('a');
	lab_revert("p/v@latest~1"); /* by age, not by descent */
	check_head('b');
	LAB_REFUSED(SNAPMGR_NOT_FOUND, snapmgr_revert(lab, "p/v@latest~3", NULL, NULL, &err));
	LAB_SAYS("latest~3");
	check_head('b');
}

ATF_TC_WITHOUT_HEAD(the_answer_names_the_uuid_that_was_meant);
ATF_TC_BODY(the_answer_names_the_uuid_that_was_meant, tc)
{
	struct snapmgr_revert_result ret;
	struct snapmgr_object b, v;

	make_three();
	lab_show("p/v@b", &b);
	lab_show("p/v", &v);
	LAB_DO(snapmgr_revert(lab, "p/v@latest~1", NULL, &ret, &err));
	ATF_CHECK_STREQ(b.uuid, ret.snapshot.uuid);
	ATF_CHECK_STREQ("b", ret.snapshot.name);
	ATF_CHECK_STREQ("available", ret.snapshot.state);
	ATF_CHECK_STREQ(v.uuid, ret.volume.uuid);
	ATF_CHECK_STREQ(b.uuid, ret.volume.parent);
	ATF_CHECK_STREQ("available", ret.volume.state);
	ATF_CHECK_STREQ("repoint", ret.strategy);
	ATF_CHECK_EQ(0, ret.move_bytes);
	ATF_CHECK(ret.in_place && ret.undo && ret.reason[0] && ret.elapsed_us > 0 &&
		  ret.suspended_us > 0);
}

ATF_TC_WITHOUT_HEAD(a_uuid_alone_or_in_the_names_place_is_enough);
ATF_TC_BODY(a_uuid_alone_or_in_the_names_place_is_enough, tc)
{
	struct snapmgr_object a, b, v;
	char spec[SNAPMGR_SPEC_TEXT];

	make_three();
	lab_show("p/v@a", &a);
	lab_show("p/v@b", &b);
	lab_show("p/v", &v);
	lab_revert(a.uuid);
	check_head('a');
	(void)snprintf(spec, sizeof(spec), "p/v@%s", b.uuid);
	lab_revert(spec);
	check_head('b');
	(void)snprintf(spec, sizeof(spec), "p/%s@latest", v.uuid);
	lab_revert(spec);
	check_head('c');
	LAB_DO(snapmgr_undo(lab, v.uuid, NULL, NULL, &err));
	check_head('b');
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_uuid_that_is_gone_or_of_another_kind_is_no_snapshot);
ATF_TC_BODY(a_uuid_that_is_gone_or_of_another_kind_is_no_snapshot, tc)
{
	struct snapmgr_object b, v;
	char spec[SNAPMGR_SPEC_TEXT];

	make_three();
	lab_show("p/v@b", &b);
	lab_show("p/v", &v);
	lab_create("p/w", SIZE);
	(void)snprintf(spec, sizeof(spec), "p/w@%s", b.uuid);
	LAB_REFUSED(SNAPMGR_NOT_FOUND, snapmgr_revert(lab, spec, NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_USAGE, snapmgr_revert(lab, v.uuid, NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_USAGE, snapmgr_revert(lab, "p/v", NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_USAGE, snapmgr_revert(lab, "p/v@undo", NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_USAGE, snapmgr_revert(lab, "p", NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_NOT_FOUND, snapmgr_revert(lab, "p/v@d", NULL, NULL, &err));
	LAB_SAYS("'d'");
	LAB_REFUSED(SNAPMGR_NOT_FOUND, snapmgr_revert(lab, "p/x@a", NULL, NULL, &err));
	LAB_SAYS("'x'");
	LAB_REFUSED(SNAPMGR_NOT_FOUND, snapmgr_revert(lab, "q/v@a", NULL, NULL, &err));
	LAB_SAYS("'q'");
	check_unchanged();
	LAB_DO(snapmgr_delete(lab, "p/v@b", NULL, NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_NOT_FOUND, snapmgr_revert(lab, b.uuid, NULL, NULL, &err));
	LAB_SAYS(b.uuid);
	check_unchanged();
}

ATF_TC_WITHOUT_HEAD(latest_only_refuses_one_that_is_not);
ATF_TC_BODY(latest_only_refuses_one_that_is_not, tc)
{
	const struct snapmgr_revert_opts opts = { .size = sizeof(opts), .latest_only = true };

	make_three();
	LAB_REFUSED(SNAPMGR_NOT_LATEST, snapmgr_revert(lab, "p/v@b", &opts, NULL, &err));
	LAB_SAYS("p/v@b");
	LAB_SAYS("'@c'");
	check_unchanged();
	LAB_DO(snapmgr_revert(lab, "p/v@c", &opts, NULL, &err));
	check_head('c');
	LAB_DO(snapmgr_delete(lab, "p/v@c", NULL, NULL, NULL, &err));
	LAB_DO(snapmgr_revert(lab, "p/v@b", &opts, NULL, &err));
	check_head('b');
}

ATF_TC_WITHOUT_HEAD(a_target_must_be_a_volume_that_there_is);
ATF_TC_BODY(a_target_must_be_a_volume_that_there_is, tc)
{
	struct snapmgr_revert_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	struct snapmgr_object v;

	make_three();
	lab_show("p/v", &v);
	opts.target = "w";
	LAB_REFUSED(SNAPMGR_NOT_FOUND, snapmgr_revert(lab, "p/v@a", &opts, NULL, &err));
	for (size_t i = 0; i < 4; i++) {
		opts.target = (const char *const[]){ "/v", "pp/v", "p/v@a", "p" }[i];
		LAB_REFUSED(i % 2 ? SNAPMGR_NOT_FOUND :
				    SNAPMGR_USAGE, /* no such pool, nor volume */
			    snapmgr_revert(lab, "p/v@a", &opts, NULL, &err));
	}
	check_unchanged();
	for (size_t i = 0; i < 3; i++) {
		opts.target = (const char *const[]){ "v", "p/v", v.uuid }[i];
		LAB_DO(snapmgr_revert(lab, "p/v@a", &opts, NULL, &err));
	}
	check_head('a');
}

ATF_TC_WITHOUT_HEAD(a_revert_that_is_only_tried_changes_nothing);
ATF_TC_BODY(a_revert_that_is_only_tried_changes_nothing, tc)
{
	struct snapmgr_revert_opts opts = { .size = sizeof(opts), .dry_run = true };
	struct snapmgr_revert_result ret;
	struct sdm_info before, after;

	make_three();
	lab_dm("p/v", &before);
	LAB_DO(snapmgr_revert(lab, "p/v@latest~2", &opts, &ret, &err));
	ATF_CHECK_STREQ("repoint", ret.strategy);
	ATF_CHECK(ret.reason[0]);
	ATF_CHECK_EQ(0, ret.move_bytes);
	ATF_CHECK_STREQ("a", ret.snapshot.name);
	ATF_CHECK(ret.undo && ret.in_place);
	opts.no_undo = true;
	LAB_DO(snapmgr_revert(lab, "p/v@a", &opts, &ret, &err));
	ATF_CHECK(!ret.undo);
	lab_dm("p/v", &after);
	ATF_CHECK_EQ(before.event_nr, after.event_nr);
	check_unchanged();
}

ATF_TC_WITHOUT_HEAD(a_trial_is_refused_as_the_revert_would_be);
ATF_TC_BODY(a_trial_is_refused_as_the_revert_would_be, tc)
{
	struct snapmgr_revert_opts opts = { .size = sizeof(opts), .dry_run = true };

	make_three();
	lab_run("mkfs.ext4 -q %s; mkdir " LAB "/m; mount %s " LAB "/m", lab_node("p/v"),
		lab_node("p/v"));
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, "p/v@a", &opts, NULL, &err));
	opts.remount = true;
	LAB_DO(snapmgr_revert(lab, "p/v@a", &opts, NULL, &err));
	lab_run("mountpoint -q " LAB "/m; umount " LAB "/m; losetup /dev/loop0 %s",
		lab_node("p/v"));
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, "p/v@a", &opts, NULL, &err));
	LAB_SAYS("/dev/loop0");
}

ATF_TC_WITHOUT_HEAD(a_strategy_or_parameter_that_is_not_there_is_refused);
ATF_TC_BODY(a_strategy_or_parameter_that_is_not_there_is_refused, tc)
{
	struct snapmgr_revert_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	const char *const params[] = { "speed=high" };

	make_three();
	opts.strategy = "reflink";
	LAB_REFUSED(SNAPMGR_UNSUPPORTED, snapmgr_revert(lab, "p/v@a", &opts, NULL, &err));
	LAB_SAYS("reflink");
	LAB_SAYS("repoint");
	opts.strategy = NULL;
	opts.params = params;
	opts.n_params = 1;
	LAB_REFUSED(SNAPMGR_USAGE, snapmgr_revert(lab, "p/v@a", &opts, NULL, &err));
	LAB_SAYS("speed");
	check_unchanged();
	opts.n_params = 0;
	opts.strategy = "repoint";
	LAB_DO(snapmgr_revert(lab, "p/v@a", &opts, NULL, &err));
	check_head('a');
}

ATF_TC_WITHOUT_HEAD(a_volume_made_without_reverts_is_not_reverted);
ATF_TC_BODY(a_volume_made_without_reverts_is_not_reverted, tc)
{
	make_three();
	LAB_DO(snapmgr_set(lab, "p/v", "revert_to_snapshot_support", "false", &err));
	LAB_REFUSED(SNAPMGR_UNSUPPORTED, snapmgr_revert(lab, "p/v@a", NULL, NULL, &err));
	LAB_SAYS("revert_to_snapshot_support");
	check_unchanged();
}

ATF_TC_WITHOUT_HEAD(a_snapshot_whose_volume_is_gone_has_nothing_to_revert);
ATF_TC_BODY(a_snapshot_whose_volume_is_gone_has_nothing_to_revert, tc)
{
	const struct snapmgr_delete_opts opts = { .size = sizeof(opts), .keep_snapshots = true };
	struct snapmgr_object a;

	make_three();
	lab_show("p/v@a", &a);
	LAB_DO(snapmgr_delete(lab, "p/v", &opts, NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_NOT_FOUND, snapmgr_revert(lab, a.uuid, NULL, NULL, &err));
	LAB_SAYS("clone");
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_held_snapshot_is_reverted_to_and_stays_held);
ATF_TC_BODY(a_held_snapshot_is_reverted_to_and_stays_held, tc)
{
	struct snapmgr_object a;

	make_three();
	LAB_DO(snapmgr_hold(lab, "p/v@a", true, &err));
	lab_revert("p/v@a");
	check_head('a');
	lab_show("p/v@a", &a);
	ATF_CHECK(a.hold);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, latest_counts_back_from_the_newest);
	ATF_TP_ADD_TC(tp, the_answer_names_the_uuid_that_was_meant);
	ATF_TP_ADD_TC(tp, a_uuid_alone_or_in_the_names_place_is_enough);
	ATF_TP_ADD_TC(tp, a_uuid_that_is_gone_or_of_another_kind_is_no_snapshot);
	ATF_TP_ADD_TC(tp, latest_only_refuses_one_that_is_not);
	ATF_TP_ADD_TC(tp, a_target_must_be_a_volume_that_there_is);
	ATF_TP_ADD_TC(tp, a_revert_that_is_only_tried_changes_nothing);
	ATF_TP_ADD_TC(tp, a_trial_is_refused_as_the_revert_would_be);
	ATF_TP_ADD_TC(tp, a_strategy_or_parameter_that_is_not_there_is_refused);
	ATF_TP_ADD_TC(tp, a_volume_made_without_reverts_is_not_reverted);
	ATF_TP_ADD_TC(tp, a_snapshot_whose_volume_is_gone_has_nothing_to_revert);
	ATF_TP_ADD_TC(tp, a_held_snapshot_is_reverted_to_and_stays_held);
	return atf_no_error();
}
