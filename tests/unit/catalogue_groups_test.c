/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Groups, their members, and what was taken or displaced together. */
#include "tests/unit/catalogue_rig.h"

#include <errno.h>
#include <string.h>

static struct scat *fresh(void)
{
	rig_format(16 * SM_MIB);
	return rig_open(true);
}

static struct scat_group make_group(struct scat *cat, const char *name)
{
	struct scat_group g = { .created_at_us = 7 };

	sm_uuid_make(&g.uuid);
	(void)sm_copy_text(g.name, sizeof(g.name), name);
	MUST(CHANGE(cat, scat_group_insert(cat, &g, &rig_err)));
	return g;
}

static struct scat_set make_set(struct scat *cat, const struct scat_group *g, const char *name,
				uint32_t members)
{
	struct scat_set s = { .group = g->id, .members = members, .created_at_us = 9 };

	sm_uuid_make(&s.uuid);
	(void)sm_copy_text(s.name, sizeof(s.name), name);
	MUST(CHANGE(cat, scat_set_insert(cat, &s, &rig_err)));
	return s;
}

static int add_name(const struct scat_volume *v, void *data)
{
	strcat(strcat(data, v->c.name), " ");
	return 0;
}

ATF_TC_WITHOUT_HEAD(groups_and_volumes_share_their_names);
ATF_TC_BODY(groups_and_volumes_share_their_names, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v");
	struct scat_group g = make_group(cat, "g"), other = g;

	(void)sm_copy_text(other.name, sizeof(other.name), "v");
	sm_uuid_make(&other.uuid);
	ATF_CHECK_EQ(-EEXIST, CHANGE(cat, scat_group_insert(cat, &other, &rig_err)));
	ATF_CHECK_EQ(SNAPMGR_EXISTS, rig_err.code);
	(void)sm_copy_text(g.name, sizeof(g.name), "v");
	ATF_CHECK_EQ(-EEXIST, CHANGE(cat, scat_group_update(cat, &g, &rig_err)));
	(void)sm_copy_text(v.c.name, sizeof(v.c.name), "g");
	ATF_CHECK_EQ(-EEXIST, CHANGE(cat, scat_volume_update(cat, &v, &rig_err)));
	(void)sm_copy_text(g.name, sizeof(g.name), "h");
	(void)sm_copy_text(g.label, sizeof(g.label), "eight");
	MUST(CHANGE(cat, scat_group_update(cat, &g, &rig_err)));
	ATF_CHECK_EQ(-ENOENT, scat_group_by_name(cat, "g", &other, &rig_err));
	MUST(scat_group_by_name(cat, "h", &other, &rig_err));
	ATF_CHECK_STREQ("eight", other.label);
	ATF_CHECK_EQ(-ENOENT, scat_group_by_name(cat, "v", &other, &rig_err)); /* a volume's */
	ATF_CHECK_EQ(0, rig_count_findings(cat));
}

ATF_TC_WITHOUT_HEAD(a_volume_is_in_one_group_at_most_and_leaves_it_when_it_goes);
ATF_TC_BODY(a_volume_is_in_one_group_at_most_and_leaves_it_when_it_goes, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume b = rig_volume(cat, "b"), a = rig_volume(cat, "a");
	struct scat_group g = make_group(cat, "g"), h = make_group(cat, "h"), of;
	char names[64] = "";

	MUST(CHANGE(cat, scat_member_add(cat, g.id, b.id, &rig_err)));
	MUST(CHANGE(cat, scat_member_add(cat, g.id, a.id, &rig_err)));
	ATF_CHECK(CHANGE(cat, scat_member_add(cat, h.id, a.id, &rig_err)) < 0);
	MUST(scat_member_each(cat, g.id, add_name, names, &rig_err));
	ATF_CHECK_STREQ("a b ", names);
	MUST(scat_group_of(cat, a.id, &of, &rig_err));
	ATF_CHECK_EQ(g.id, of.id);
	MUST(CHANGE(cat, scat_member_remove(cat, a.id, &rig_err)));
	ATF_CHECK_EQ(-ENOENT, CHANGE(cat, scat_member_remove(cat, a.id, &rig_err)));
	ATF_CHECK_EQ(-ENOENT, scat_group_of(cat, a.id, &of, &rig_err));
	MUST(CHANGE(cat, scat_volume_delete(cat, b.id, &rig_err)));
	names[0] = '\0';
	MUST(scat_member_each(cat, g.id, add_name, names, &rig_err));
	ATF_CHECK_STREQ("", names);
	MUST(CHANGE(cat, scat_member_add(cat, g.id, a.id, &rig_err)));
	MUST(CHANGE(cat, scat_group_delete(cat, g.id, &rig_err)));
	MUST(scat_volume_by_name(cat, "a", &a, &rig_err));
	ATF_CHECK_EQ(-ENOENT, scat_group_of(cat, a.id, &of, &rig_err));
	ATF_CHECK_EQ(0, rig_count_findings(cat));
}

static struct scat_snapshot take(struct scat *cat, struct scat_volume *v,
				 const struct scat_set *set)
{
	static uint32_t thin = 500;
	struct scat_snapshot s = { .volume = v->id, .taken_with = set->uuid };

	s.c = v->c;
	sm_uuid_make(&s.c.uuid);
	(void)sm_copy_text(s.c.name, sizeof(s.c.name), set->name);
	s.c.thin = thin++;
	s.sequence = ++v->sequence;
	MUST(CHANGE(cat, scat_snapshot_insert(cat, &s, &rig_err)));
	MUST(CHANGE(cat, scat_volume_update(cat, v, &rig_err)));
	return s;
}

static int count_one(const struct scat_snapshot *s, void *data)
{
	(void)s;
	++*(int *)data;
	return 0;
}

ATF_TC_WITHOUT_HEAD(a_set_knows_what_it_had_and_goes_with_its_last_snapshot);
ATF_TC_BODY(a_set_knows_what_it_had_and_goes_with_its_last_snapshot, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume a = rig_volume(cat, "a"), b = rig_volume(cat, "b");
	struct scat_group g = make_group(cat, "g");
	struct scat_set set = make_set(cat, &g, "s1", 2), got;
	struct scat_snapshot sa, sb;
	int n = 0;

	ATF_CHECK_EQ(1, rig_count_findings(cat)); /* a set of nothing */
	sa = take(cat, &a, &set);
	sb = take(cat, &b, &set);
	ATF_CHECK_EQ(0, rig_count_findings(cat));
	MUST(scat_set_by_name(cat, g.id, "s1", &got, &rig_err));
	ATF_CHECK(sm_uuid_equal(&set.uuid, &got.uuid) && got.members == 2 && got.left == 2);
	MUST(scat_snapshot_each_with(cat, &set.uuid, count_one, &n, &rig_err));
	ATF_CHECK_EQ(2, n);
	MUST(CHANGE(cat, scat_snapshot_delete(cat, sa.id, &rig_err)));
	MUST(scat_set_latest(cat, g.id, 0, &got, &rig_err));
	ATF_CHECK(got.members == 2 && got.left == 1);
	MUST(CHANGE(cat, scat_snapshot_delete(cat, sb.id, &rig_err)));
	ATF_CHECK_EQ(-ENOENT, scat_set_by_uuid(cat, &set.uuid, &got, &rig_err));
	ATF_CHECK_EQ(0, rig_count_findings(cat));
	set = make_set(cat, &g, "s1", 1);
	sa = take(cat, &a, &set);
	ATF_CHECK_EQ(-EEXIST, CHANGE(cat, scat_set_insert(cat, &set, &rig_err)));
	MUST(CHANGE(cat, scat_group_delete(cat, g.id, &rig_err)));
	MUST(scat_snapshot_by_id(cat, sa.id, &sb, &rig_err)); /* stays, as any other */
	ATF_CHECK_EQ(-ENOENT, scat_set_by_uuid(cat, &set.uuid, &got, &rig_err));
	ATF_CHECK_EQ(0, rig_count_findings(cat));
}

static int count_undo(const struct scat_undo *u, void *data)
{
	(void)u;
	++*(int *)data;
	return 0;
}

ATF_TC_WITHOUT_HEAD(points_displaced_together_are_so_while_all_are_there);
ATF_TC_BODY(points_displaced_together_are_so_while_all_are_there, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume a = rig_volume(cat, "a"), b = rig_volume(cat, "b");
	struct scat_undo u = { .size_bytes = 4096 }, got;
	struct sm_uuid with;
	int n = 0;

	sm_uuid_make(&with);
	for (uint32_t i = 0; i < 3; i++) { /* the last one alone */
		u.volume = i == 1 ? b.id : a.id;
		u.thin = 300 + i;
		u.displaced_with = i < 2 ? with : (struct sm_uuid){ 0 };
		sm_uuid_make(&u.uuid);
		MUST(CHANGE(cat, scat_undo_insert(cat, &u, &rig_err)));
	}
	MUST(scat_undo_each_with(cat, &with, count_undo, &n, &rig_err));
	ATF_CHECK_EQ(2, n);
	MUST(CHANGE(cat, scat_undo_delete(cat, u.id, &rig_err)));
	MUST(scat_undo_nth(cat, b.id, 0, &got, &rig_err));
	ATF_CHECK(sm_uuid_equal(&with, &got.displaced_with));
	MUST(CHANGE(cat, scat_undo_delete(cat, got.id, &rig_err)));
	MUST(scat_undo_nth(cat, a.id, 0, &got, &rig_err));
	ATF_CHECK(sm_uuid_is_null(&got.displaced_with));
	u.displaced_with = with;
	for (uint32_t i = 0; i < 2; i++) {
		u.volume = i ? b.id : a.id;
		u.thin = 310 + i;
		sm_uuid_make(&u.uuid);
		MUST(CHANGE(cat, scat_undo_insert(cat, &u, &rig_err)));
	}
	MUST(CHANGE(cat, scat_undo_part(cat, a.id, &rig_err)));
	MUST(scat_undo_nth(cat, b.id, 0, &got, &rig_err));
	ATF_CHECK_EQ(311, got.thin);
	ATF_CHECK(sm_uuid_is_null(&got.displaced_with));
}

static int64_t add_point(struct scat *cat, const struct scat_volume *v, uint32_t thin,
			 const struct sm_uuid *with)
{
	struct scat_undo u = { .volume = v->id,
			       .thin = thin,
			       .size_bytes = 4096,
			       .created_at_us = 11,
			       .displaced_with = *with };

	sm_uuid_make(&u.uuid);
	MUST(CHANGE(cat, scat_undo_insert(cat, &u, &rig_err)));
	return u.id;
}

ATF_TC_WITHOUT_HEAD(points_that_were_pushed_out_come_back_with_those_that_they_belong_to);
ATF_TC_BODY(points_that_were_pushed_out_come_back_with_those_that_they_belong_to, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v[3] = { rig_volume(cat, "a"), rig_volume(cat, "b"),
				    rig_volume(cat, "c") };
	struct scat_undo got;
	struct sm_uuid with;
	int64_t ids[3];

	sm_uuid_make(&with);
	for (uint32_t i = 0; i < 3; i++)
		ids[i] = add_point(cat, &v[i], 300 + i, &with);
	for (uint32_t i = 0; i < 2; i++)
		MUST(CHANGE(cat, scat_undo_push_out(cat, ids[i], 400 + i, &rig_err)));
	ATF_CHECK_EQ(-ENOENT, scat_undo_nth(cat, v[0].id, 0, &got, &rig_err));
	ATF_CHECK_EQ(1, scat_thin_named(cat, 300, &rig_err));
	MUST(CHANGE(cat, scat_undo_take_back(cat, 499, &rig_err))); /* which pushed out nothing */
	for (uint32_t i = 0; i < 2; i++)
		MUST(CHANGE(cat, scat_undo_take_back(cat, 400 + i, &rig_err)));
	for (uint32_t i = 0; i < 3; i++) {
		MUST(scat_undo_nth(cat, v[i].id, 0, &got, &rig_err));
		ATF_CHECK_EQ(ids[i], got.id);
		ATF_CHECK_EQ(300 + i, got.thin);
		ATF_CHECK(sm_uuid_equal(&with, &got.displaced_with));
	}
	ATF_CHECK_EQ(0, rig_count_findings(cat));
	MUST(CHANGE(cat, scat_undo_push_out(cat, ids[2], 402, &rig_err)));
	MUST(CHANGE(cat, scat_garbage_remove(cat, 302, &rig_err)));
	MUST(CHANGE(cat, scat_undo_take_back(cat, 402, &rig_err))); /* the kernel has it no more */
	ATF_CHECK_EQ(-ENOENT, scat_undo_nth(cat, v[2].id, 0, &got, &rig_err));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, groups_and_volumes_share_their_names);
	ATF_TP_ADD_TC(tp, points_that_were_pushed_out_come_back_with_those_that_they_belong_to);
	ATF_TP_ADD_TC(tp, a_volume_is_in_one_group_at_most_and_leaves_it_when_it_goes);
	ATF_TP_ADD_TC(tp, a_set_knows_what_it_had_and_goes_with_its_last_snapshot);
	ATF_TP_ADD_TC(tp, points_displaced_together_are_so_while_all_are_there);
	return atf_no_error();
}
