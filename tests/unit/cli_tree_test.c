/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "snapmgr/cli/tree.h"

static struct tree tree;
static struct table table;
static int64_t birth_us;

static struct snapmgr_object *object(enum snapmgr_kind kind, const char *name, const char *parent)
{
	static struct snapmgr_object o;

	o = (struct snapmgr_object){
		.kind = kind,
		.size_bytes = 4096,
		.used_bytes = 1024,
		.created_at_us = ++birth_us,
	};
	ATF_REQUIRE_EQ(0, sm_copy_text(o.name, sizeof(o.name), name));
	ATF_REQUIRE_EQ(0, sm_copy_text(o.uuid, sizeof(o.uuid), name));
	ATF_REQUIRE_EQ(0, sm_copy_text(o.parent, sizeof(o.parent), parent));
	return &o;
}

static void add(enum snapmgr_kind kind, const char *name, const char *parent)
{
	ATF_REQUIRE_EQ(0, tree_add(&tree, object(kind, name, parent)));
}

/* The tree with its notes; the figures in between are the same in every row. */
static char *draw(bool utf8)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	ATF_REQUIRE(to != NULL);
	table = (struct table){ .columns = TREE_COLUMNS };
	ATF_REQUIRE_EQ(0, tree_draw(&tree, utf8, birth_us, &table));
	ATF_REQUIRE_EQ(0, table_write(&table, to, false));
	ATF_REQUIRE_EQ(0, fclose(to));
	table_release(&table);
	tree_release(&tree);
	birth_us = 0;
	return text;
}

static void require_drawn(bool utf8, const char *expected)
{
	char *text = draw(utf8);

	ATF_CHECK_STREQ(expected, text);
	free(text);
}

ATF_TC_WITHOUT_HEAD(a_volume_without_snapshots_is_its_head);
ATF_TC_BODY(a_volume_without_snapshots_is_its_head, tc)
{
	add(SNAPMGR_VOLUME, "v", "");
	require_drawn(false, "*  head  4.0K  1.0K  now\n");
	require_drawn(false, "");
}

ATF_TC_WITHOUT_HEAD(a_history_without_reverts_is_a_plain_list);
ATF_TC_BODY(a_history_without_reverts_is_a_plain_list, tc)
{
	add(SNAPMGR_VOLUME, "v", "s3");
	add(SNAPMGR_SNAPSHOT, "s1", "");
	add(SNAPMGR_SNAPSHOT, "s2", "s1");
	add(SNAPMGR_SNAPSHOT, "s3", "s2");
	require_drawn(false, "o  s1    4.0K  1.0K  0s\n"
			     "o  s2    4.0K  1.0K  0s\n"
			     "o  s3    4.0K  1.0K  0s\n"
			     "*  head  4.0K  1.0K  now\n");
}

static void second_child_after_a_revert(void)
{
	add(SNAPMGR_VOLUME, "v", "s4");
	add(SNAPMGR_SNAPSHOT, "s1", "");
	add(SNAPMGR_SNAPSHOT, "s2", "s1");
	add(SNAPMGR_SNAPSHOT, "s3", "s2");
	add(SNAPMGR_SNAPSHOT, "s4", "s2");
	add(SNAPMGR_UNDO, "undo", "s3");
	add(SNAPMGR_UNDO, "undo~1", "s4");
}

ATF_TC_WITHOUT_HEAD(a_second_child_and_undo_points_branch_off_in_utf8);
ATF_TC_BODY(a_second_child_and_undo_points_branch_off_in_utf8, tc)
{
	second_child_after_a_revert();
	require_drawn(true, "○  s1         4.0K  1.0K  0s\n"
			    "○  s2         4.0K  1.0K  0s\n"
			    "├─○  s3       4.0K  1.0K  0s\n"
			    "│ ◌  @undo    4.0K  1.0K  0s\n"
			    "○  s4         4.0K  1.0K  0s\n"
			    "├─◌  @undo~1  4.0K  1.0K  0s\n"
			    "●  head       4.0K  1.0K  now\n");
}

ATF_TC_WITHOUT_HEAD(a_second_child_and_undo_points_branch_off_in_ascii);
ATF_TC_BODY(a_second_child_and_undo_points_branch_off_in_ascii, tc)
{
	second_child_after_a_revert();
	require_drawn(false, "o  s1         4.0K  1.0K  0s\n"
			     "o  s2         4.0K  1.0K  0s\n"
			     "|-o  s3       4.0K  1.0K  0s\n"
			     "| x  @undo    4.0K  1.0K  0s\n"
			     "o  s4         4.0K  1.0K  0s\n"
			     "|-x  @undo~1  4.0K  1.0K  0s\n"
			     "*  head       4.0K  1.0K  now\n");
}

ATF_TC_WITHOUT_HEAD(the_left_column_leads_to_the_head_also_when_that_is_the_smaller_part);
ATF_TC_BODY(the_left_column_leads_to_the_head_also_when_that_is_the_smaller_part, tc)
{
	add(SNAPMGR_SNAPSHOT, "s1", "");
	add(SNAPMGR_SNAPSHOT, "s2", "s1");
	add(SNAPMGR_SNAPSHOT, "s3", "s2");
	add(SNAPMGR_SNAPSHOT, "s4", "s2");
	add(SNAPMGR_SNAPSHOT, "s5", "s4");
	add(SNAPMGR_VOLUME, "v", "s1");
	require_drawn(false, "o  s1      4.0K  1.0K  0s\n"
			     "|-o  s2    4.0K  1.0K  0s\n"
			     "| |-o  s3  4.0K  1.0K  0s\n"
			     "| o  s4    4.0K  1.0K  0s\n"
			     "| o  s5    4.0K  1.0K  0s\n"
			     "*  head    4.0K  1.0K  now\n");
}

ATF_TC_WITHOUT_HEAD(those_without_a_parent_hang_on_the_volume);
ATF_TC_BODY(those_without_a_parent_hang_on_the_volume, tc)
{
	add(SNAPMGR_SNAPSHOT, "s1", "");
	add(SNAPMGR_SNAPSHOT, "s2", "of-another-volume");
	add(SNAPMGR_SNAPSHOT, "s3", "s2");
	add(SNAPMGR_VOLUME, "v", "s3");
	require_drawn(false, "|-o  s1  4.0K  1.0K  0s\n"
			     "o  s2    4.0K  1.0K  0s\n"
			     "o  s3    4.0K  1.0K  0s\n"
			     "*  head  4.0K  1.0K  now\n");
}

ATF_TC_WITHOUT_HEAD(notes_tell_what_is_latest_held_and_labelled);
ATF_TC_BODY(notes_tell_what_is_latest_held_and_labelled, tc)
{
	struct snapmgr_object *o = object(SNAPMGR_SNAPSHOT, "s1", "");

	o->latest = true;
	o->hold = true;
	(void)strcpy(o->label, "before the upgrade");
	ATF_REQUIRE_EQ(0, tree_add(&tree, o));
	require_drawn(false, "o  s1  4.0K  1.0K  0s  latest,held  before the upgrade\n");
}

ATF_TC_WITHOUT_HEAD(a_ring_in_damaged_data_is_drawn_once);
ATF_TC_BODY(a_ring_in_damaged_data_is_drawn_once, tc)
{
	add(SNAPMGR_SNAPSHOT, "s1", "s2");
	add(SNAPMGR_SNAPSHOT, "s2", "s1");
	add(SNAPMGR_SNAPSHOT, "s3", "s2");
	add(SNAPMGR_SNAPSHOT, "s4", "s4");
	add(SNAPMGR_VOLUME, "v", "s3");
	require_drawn(false, "o  s1    4.0K  1.0K  0s\n"
			     "o  s2    4.0K  1.0K  0s\n"
			     "o  s3    4.0K  1.0K  0s\n"
			     "o  s4    4.0K  1.0K  0s\n"
			     "*  head  4.0K  1.0K  now\n");
}

/* Each of 3000 snapshots is followed by a sibling; the worst case for a drawing that indents. */
ATF_TC_WITHOUT_HEAD(a_long_zigzag_does_not_run_out_to_the_right);
ATF_TC_BODY(a_long_zigzag_does_not_run_out_to_the_right, tc)
{
	char name[16], parent[16] = "", *text;
	size_t lines = 0;

	for (int i = 0; i < 3000; i++) {
		(void)snprintf(name, sizeof(name), "a%d", i);
		add(SNAPMGR_SNAPSHOT, name, parent);
		(void)snprintf(name, sizeof(name), "b%d", i);
		add(SNAPMGR_SNAPSHOT, name, parent);
		(void)snprintf(parent, sizeof(parent), "a%d", i);
	}
	text = draw(false);
	for (const char *p = text; *p; lines++) {
		size_t len = strcspn(p, "\n");

		ATF_REQUIRE(len < 40);
		p += len + 1;
	}
	ATF_CHECK_EQ(6000, lines);
	free(text);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_volume_without_snapshots_is_its_head);
	ATF_TP_ADD_TC(tp, a_history_without_reverts_is_a_plain_list);
	ATF_TP_ADD_TC(tp, a_second_child_and_undo_points_branch_off_in_utf8);
	ATF_TP_ADD_TC(tp, a_second_child_and_undo_points_branch_off_in_ascii);
	ATF_TP_ADD_TC(tp, the_left_column_leads_to_the_head_also_when_that_is_the_smaller_part);
	ATF_TP_ADD_TC(tp, those_without_a_parent_hang_on_the_volume);
	ATF_TP_ADD_TC(tp, notes_tell_what_is_latest_held_and_labelled);
	ATF_TP_ADD_TC(tp, a_ring_in_damaged_data_is_drawn_once);
	ATF_TP_ADD_TC(tp, a_long_zigzag_does_not_run_out_to_the_right);
	return atf_no_error();
}
