/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way back from a revert. */
#include <string.h>

#include "../pool_lab.h"

#define SIZE (8 * SM_MIB)

static const struct snapmgr_revert_opts no_undo = { .size = sizeof(no_undo), .no_undo = true };

static void fill(char seed)
{
	lab_write(lab_node("p/v"), 0, SIZE, (uint64_t)seed, LAB_DIRECT);
}

static void check_head(char seed)
{
	ATF_CHECK_MSG(lab_holds(lab_node("p/v"), 0, SIZE, (uint64_t)seed, LAB_DIRECT),
		      "the head is not '%c'", seed);
}

static void check_point(const char *spec, char seed)
{
	struct snapmgr_object o;

	LAB_DO(snapmgr_activate(lab, spec, NULL, NULL, &err));
	lab_show(spec, &o);
	ATF_CHECK_MSG(lab_holds(lab_node(spec), 0, SIZE, (uint64_t)seed, LAB_DIRECT),
		      "%s is not '%c'", spec, seed);
	LAB_DO(snapmgr_deactivate(lab, spec, &err));
}

/* Snapshot 's'; then @heads are made and displaced, the last one stays. */
static void displace(const char *heads)
{
	lab_up();
	lab_create("p/v", SIZE);
	fill('s');
	lab_snapshot("p/v@s");
	for (; *heads; heads++) {
		fill(*heads);
		if (heads[1])
			lab_revert("p/v@s");
	}
}

ATF_TC_WITHOUT_HEAD(undo_twice_is_where_one_began);
ATF_TC_BODY(undo_twice_is_where_one_began, tc)
{
	struct snapmgr_revert_result ret;
	struct snapmgr_object v;

	displace("ab");
	for (int i = 0; i < 3; i++) {
		LAB_DO(snapmgr_undo(lab, "p/v", NULL, &ret, &err));
		check_head('a');
		ATF_CHECK(ret.undo && ret.in_place);
		lab_show("p/v", &v);
		ATF_CHECK_STREQ("v@s", v.parent_name);
		LAB_DO(snapmgr_undo(lab, "p/v@undo", NULL, NULL, &err));
		check_head('b');
		ATF_CHECK_EQ(1, lab_undo_points("p/v"));
	}
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(the_parent_of_an_undone_head_comes_back);
ATF_TC_BODY(the_parent_of_an_undone_head_comes_back, tc)
{
	struct snapmgr_object v, point;

	displace("a");
	lab_snapshot("p/v@t");
	lab_revert("p/v@s");
	lab_show("p/v", &v);
	lab_show("p/v@undo", &point);
	ATF_CHECK_STREQ("v@s", v.parent_name);
	ATF_CHECK_STREQ("v@t", point.parent_name);
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	lab_show("p/v", &v);
	ATF_CHECK_STREQ("v@t", v.parent_name);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(an_older_undo_point_is_swapped_in_and_the_others_stay);
ATF_TC_BODY(an_older_undo_point_is_swapped_in_and_the_others_stay, tc)
{
	displace("abcd"); /* points: c b a */
	check_point("p/v@undo", 'c');
	check_point("p/v@undo~1", 'b');
	check_point("p/v@undo~2", 'a');
	LAB_DO(snapmgr_undo(lab, "p/v@undo~2", NULL, NULL, &err));
	check_head('a');
	check_point("p/v@undo", 'd');
	check_point("p/v@undo~1", 'c');
	check_point("p/v@undo~2", 'b');
	ATF_CHECK_EQ(3, lab_undo_points("p/v"));
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	check_head('d');
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(three_undo_points_are_kept_and_the_oldest_go);
ATF_TC_BODY(three_undo_points_are_kept_and_the_oldest_go, tc)
{
	displace("abcdef"); /* displaced: a b c d e */
	ATF_CHECK_EQ(3, lab_undo_points("p/v"));
	check_point("p/v@undo", 'e');
	check_point("p/v@undo~2", 'c');
	LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err)); /* drops the garbage */
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(undo_keep_is_the_number_of_undo_points);
ATF_TC_BODY(undo_keep_is_the_number_of_undo_points, tc)
{
	struct snapmgr_revert_result ret;

	displace("ab");
	LAB_DO(snapmgr_set(lab, "p/v", "undo_keep", "5", &err));
	for (char c = 'c'; c <= 'i'; c++) {
		lab_revert("p/v@s");
		fill(c);
	}
	ATF_CHECK_EQ(5, lab_undo_points("p/v"));
	check_point("p/v@undo", 'h');
	check_point("p/v@undo~4", 'd');
	LAB_DO(snapmgr_set(lab, "p/v", "undo_keep", "1", &err));
	lab_revert("p/v@s");
	ATF_CHECK_EQ(1, lab_undo_points("p/v"));
	check_point("p/v@undo", 'i');
	LAB_DO(snapmgr_set(lab, "p/v", "undo_keep", "0", &err));
	LAB_DO(snapmgr_revert(lab, "p/v@s", NULL, &ret, &err));
	ATF_CHECK(!ret.undo);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(no_undo_leaves_no_way_back_and_keeps_the_older_ones);
ATF_TC_BODY(no_undo_leaves_no_way_back_and_keeps_the_older_ones, tc)
{
	struct snapmgr_revert_result ret;

	displace("ab");
	LAB_DO(snapmgr_revert(lab, "p/v@s", &no_undo, &ret, &err));
	ATF_CHECK(!ret.undo);
	check_head('s');
	ATF_CHECK_EQ(1, lab_undo_points("p/v"));
	check_point("p/v@undo", 'a');
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(without_an_undo_point_there_is_nothing_to_undo);
ATF_TC_BODY(without_an_undo_point_there_is_nothing_to_undo, tc)
{
	displace("a");
	LAB_REFUSED(SNAPMGR_NOT_FOUND, snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	LAB_SAYS("p/v");
	LAB_REFUSED(SNAPMGR_NOT_FOUND, snapmgr_undo(lab, "p/v@undo~7", NULL, NULL, &err));
	LAB_SAYS("undo~7");
	check_head('a');
}

ATF_TC_WITHOUT_HEAD(dropped_undo_points_are_gone);
ATF_TC_BODY(dropped_undo_points_are_gone, tc)
{
	struct snapmgr_undo_opts drop = SNAPMGR_OPTS_INIT(struct snapmgr_undo_opts);

	displace("abcd");
	drop.drop = true;
	drop.dry_run = true;
	LAB_DO(snapmgr_undo(lab, "p/v", &drop, NULL, &err));
	ATF_CHECK_EQ(3, lab_undo_points("p/v"));
	drop.dry_run = false;
	LAB_DO(snapmgr_undo(lab, "p/v@undo~1", &drop, NULL, &err));
	ATF_CHECK_EQ(2, lab_undo_points("p/v"));
	check_point("p/v@undo", 'c');
	check_point("p/v@undo~1", 'a');
	LAB_DO(snapmgr_undo(lab, "p/v", &drop, NULL, &err));
	ATF_CHECK_EQ(0, lab_undo_points("p/v"));
	check_head('d');
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(an_active_undo_point_is_not_swapped_in);
ATF_TC_BODY(an_active_undo_point_is_not_swapped_in, tc)
{
	displace("ab");
	LAB_DO(snapmgr_activate(lab, "p/v@undo", NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	LAB_SAYS("deactivate");
	check_head('b');
	LAB_DO(snapmgr_deactivate(lab, "p/v@undo", &err));
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	check_head('a');
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(an_undo_that_is_only_tried_changes_nothing);
ATF_TC_BODY(an_undo_that_is_only_tried_changes_nothing, tc)
{
	const struct snapmgr_undo_opts opts = { .size = sizeof(opts), .dry_run = true };
	struct snapmgr_revert_result ret;
	struct sdm_info before, after;

	displace("ab");
	lab_dm("p/v", &before);
	LAB_DO(snapmgr_undo(lab, "p/v", &opts, &ret, &err));
	lab_dm("p/v", &after);
	ATF_CHECK_STREQ("repoint", ret.strategy);
	ATF_CHECK_EQ(before.event_nr, after.event_nr);
	check_head('b');
	check_point("p/v@undo", 'a');
}

/* Undo points that deletion of their parent left go to its parent. */
ATF_TC_WITHOUT_HEAD(an_undo_point_outlives_the_snapshot_it_descends_from);
ATF_TC_BODY(an_undo_point_outlives_the_snapshot_it_descends_from, tc)
{
	struct snapmgr_object o;

	displace("a");
	lab_snapshot("p/v@t");
	lab_revert("p/v@s");
	LAB_DO(snapmgr_delete(lab, "p/v@t", NULL, NULL, NULL, &err));
	lab_show("p/v@undo", &o);
	ATF_CHECK_STREQ("v@s", o.parent_name);
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	check_head('a');
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(an_undo_swaps_where_undo_points_are_no_longer_kept);
ATF_TC_BODY(an_undo_swaps_where_undo_points_are_no_longer_kept, tc)
{
	displace("abc");
	LAB_DO(snapmgr_set(lab, "p/v", "undo_keep", "0", &err));
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	check_head('b');
	ATF_CHECK_EQ(2, lab_undo_points("p/v"));
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	check_head('c');
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, an_undo_swaps_where_undo_points_are_no_longer_kept);
	ATF_TP_ADD_TC(tp, undo_twice_is_where_one_began);
	ATF_TP_ADD_TC(tp, the_parent_of_an_undone_head_comes_back);
	ATF_TP_ADD_TC(tp, an_older_undo_point_is_swapped_in_and_the_others_stay);
	ATF_TP_ADD_TC(tp, three_undo_points_are_kept_and_the_oldest_go);
	ATF_TP_ADD_TC(tp, undo_keep_is_the_number_of_undo_points);
	ATF_TP_ADD_TC(tp, no_undo_leaves_no_way_back_and_keeps_the_older_ones);
	ATF_TP_ADD_TC(tp, without_an_undo_point_there_is_nothing_to_undo);
	ATF_TP_ADD_TC(tp, dropped_undo_points_are_gone);
	ATF_TP_ADD_TC(tp, an_active_undo_point_is_not_swapped_in);
	ATF_TP_ADD_TC(tp, an_undo_that_is_only_tried_changes_nothing);
	ATF_TP_ADD_TC(tp, an_undo_point_outlives_the_snapshot_it_descends_from);
	return atf_no_error();
}
