/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/catalogue_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define REGION_BYTES (16 * SM_MIB)

static struct scat *fresh(void)
{
	rig_format(REGION_BYTES);
	return rig_open(true);
}

ATF_TC_WITHOUT_HEAD(a_formatted_region_holds_its_pool);
ATF_TC_BODY(a_formatted_region_holds_its_pool, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_pool pool;
	struct scat_counts counts;

	MUST(scat_pool_get(cat, &pool, &rig_err));
	ATF_CHECK(sm_uuid_equal(&pool.uuid, &rig_pool.uuid));
	ATF_CHECK_STREQ("p0", pool.name);
	ATF_CHECK_STREQ("thin", pool.driver);
	ATF_CHECK_EQ(128, pool.chunk_sectors);
	ATF_CHECK_EQ(rig_pool.created_at_us, pool.created_at_us);
	MUST(scat_counts(cat, &counts, &rig_err));
	ATF_CHECK_EQ(0, counts.volumes + counts.snapshots + counts.undos + counts.garbage);
	ATF_CHECK(scat_used_bytes(cat) > 0 && scat_used_bytes(cat) < SM_MIB);
	ATF_CHECK_EQ(0, rig_count_findings(cat));
}

ATF_TC_WITHOUT_HEAD(what_is_put_into_the_pools_row_is_read_back);
ATF_TC_BODY(what_is_put_into_the_pools_row_is_read_back, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_pool pool = rig_pool, got;

	(void)strcpy(pool.name, "renamed");
	pool.next_thin = 16777215;
	pool.reserved_thin = 16777216;
	pool.transaction_id = INT64_MAX - 1;
	pool.next_transaction_id = INT64_MAX;
	ATF_CHECK_EQ(0, CHANGE(cat, scat_pool_put(cat, &pool, &rig_err)));
	MUST(scat_pool_get(cat, &got, &rig_err));
	ATF_CHECK_EQ(0, memcmp(&pool, &got, sizeof(pool)));
}

ATF_TC_WITHOUT_HEAD(a_volume_is_found_by_name_uuid_and_id);
ATF_TC_BODY(a_volume_is_found_by_name_uuid_and_id, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v"), got;
	struct sm_uuid other;

	MUST(scat_volume_by_name(cat, "v", &got, &rig_err));
	ATF_CHECK_EQ(0, memcmp(&v, &got, sizeof(v)));
	MUST(scat_volume_by_uuid(cat, &v.c.uuid, &got, &rig_err));
	ATF_CHECK_EQ(0, memcmp(&v, &got, sizeof(v)));
	MUST(scat_volume_by_id(cat, v.id, &got, &rig_err));
	ATF_CHECK_EQ(0, memcmp(&v, &got, sizeof(v)));
	memset(&rig_err, 0, sizeof(rig_err));
	sm_uuid_make(&other);
	ATF_CHECK_EQ(-ENOENT, scat_volume_by_name(cat, "V", &got, &rig_err));
	ATF_CHECK_EQ(-ENOENT, scat_volume_by_uuid(cat, &other, &got, &rig_err));
	ATF_CHECK_EQ(-ENOENT, scat_volume_by_id(cat, 99, &got, &rig_err));
	ATF_CHECK_STREQ("", rig_err.message); /* the caller knows the subject */
}

ATF_TC_WITHOUT_HEAD(every_field_of_a_volume_can_change_but_its_identity);
ATF_TC_BODY(every_field_of_a_volume_can_change_but_its_identity, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v"), changed, got;
	struct scat_snapshot s = rig_snapshot(cat, &v, "s");

	changed = (struct scat_volume){ .id = v.id,
					.c = { .uuid = s.c.uuid,
					       .created_at_us = 5,
					       .state = SCAT_REVERTING,
					       .size_bytes = 512,
					       .thin = 77,
					       .parent = s.id },
					.sequence = 9,
					.last_snapshot_at_us = 8,
					.undo_keep = 7,
					.autostart = true,
					.guest = true };
	(void)strcpy(changed.c.name, "w");
	(void)strcpy(changed.c.project, "tenant");
	(void)strcpy(changed.c.label, "größer");
	memset(changed.c.description, 'd', SNAPMGR_DESC_MAX);
	ATF_CHECK_EQ(0, CHANGE(cat, scat_volume_update(cat, &changed, &rig_err)));
	MUST(scat_volume_by_name(cat, "w", &got, &rig_err));
	changed.c.uuid = v.c.uuid;
	changed.c.created_at_us = v.c.created_at_us;
	ATF_CHECK_EQ(0, memcmp(&changed, &got, sizeof(got)));
	ATF_CHECK_EQ(-ENOENT, scat_volume_by_name(cat, "v", &got, &rig_err));
}

ATF_TC_WITHOUT_HEAD(a_name_is_given_once_to_volumes_and_groups_together);
ATF_TC_BODY(a_name_is_given_once_to_volumes_and_groups_together, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v"), w = rig_volume(cat, "w"), again = v;

	sm_uuid_make(&again.c.uuid);
	again.c.thin = 0;
	ATF_CHECK_EQ(-EEXIST, CHANGE(cat, scat_volume_insert(cat, &again, &rig_err)));
	ATF_CHECK_EQ(SNAPMGR_EXISTS, rig_err.code);
	ATF_CHECK(strstr(rig_err.message, "'v'") != NULL);
	(void)strcpy(w.c.name, "v");
	ATF_CHECK_EQ(-EEXIST, CHANGE(cat, scat_volume_update(cat, &w, &rig_err)));
	rig_sql(cat, "INSERT INTO names VALUES(50,'g');INSERT INTO groups VALUES(50,zeroblob(16),"
		     "'','','',0)");
	(void)strcpy(again.c.name, "g");
	ATF_CHECK_EQ(-EEXIST, CHANGE(cat, scat_volume_insert(cat, &again, &rig_err)));
}

static int collect_volume(const struct scat_volume *v, void *data)
{
	strcat(data, v->c.name);
	return strcmp(v->c.name, "stop") == 0 ? 17 : 0;
}

ATF_TC_WITHOUT_HEAD(volumes_are_walked_by_name_until_told_to_stop);
ATF_TC_BODY(volumes_are_walked_by_name_until_told_to_stop, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	char seen[100] = "";

	(void)rig_volume(cat, "b");
	(void)rig_volume(cat, "c");
	(void)rig_volume(cat, "a");
	ATF_CHECK_EQ(0, scat_volume_each(cat, collect_volume, seen, &rig_err));
	ATF_CHECK_STREQ("abc", seen);
	(void)rig_volume(cat, "stop");
	(void)rig_volume(cat, "z");
	seen[0] = '\0';
	ATF_CHECK_EQ(17, scat_volume_each(cat, collect_volume, seen, &rig_err));
	ATF_CHECK_STREQ("abcstop", seen);
}

ATF_TC_WITHOUT_HEAD(a_snapshot_is_found_by_name_uuid_id_and_age);
ATF_TC_BODY(a_snapshot_is_found_by_name_uuid_id_and_age, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v");
	struct scat_snapshot a = rig_snapshot(cat, &v, "a"), b = rig_snapshot(cat, &v, "b"), got;

	(void)strcpy(a.volume_name, "v");
	MUST(scat_snapshot_by_name(cat, v.id, "a", &got, &rig_err));
	ATF_CHECK_EQ(0, memcmp(&a, &got, sizeof(a)));
	MUST(scat_snapshot_by_uuid(cat, &a.c.uuid, &got, &rig_err));
	ATF_CHECK_EQ(a.id, got.id);
	MUST(scat_snapshot_by_id(cat, b.id, &got, &rig_err));
	ATF_CHECK_STREQ("b", got.c.name);
	ATF_CHECK_EQ(a.id, got.c.parent);
	MUST(scat_snapshot_latest(cat, v.id, 0, &got, &rig_err));
	ATF_CHECK_EQ(b.id, got.id);
	MUST(scat_snapshot_latest(cat, v.id, 1, &got, &rig_err));
	ATF_CHECK_EQ(a.id, got.id);
	ATF_CHECK_EQ(-ENOENT, scat_snapshot_latest(cat, v.id, 2, &got, &rig_err));
	ATF_CHECK_EQ(-ENOENT, scat_snapshot_latest(cat, v.id, UINT32_MAX, &got, &rig_err));
	ATF_CHECK_EQ(-ENOENT, scat_snapshot_by_name(cat, v.id, "c", &got, &rig_err));
}

ATF_TC_WITHOUT_HEAD(a_snapshots_name_is_its_volumes_own);
ATF_TC_BODY(a_snapshots_name_is_its_volumes_own, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v"), w = rig_volume(cat, "w");
	struct scat_snapshot s = rig_snapshot(cat, &v, "s"), t = rig_snapshot(cat, &v, "t");

	(void)rig_snapshot(cat, &w, "s");
	MUST(scat_begin(cat, &rig_err));
	ATF_CHECK_EQ(-EEXIST, rig_snapshot_in(cat, &v, "s", &s));
	ATF_CHECK_EQ(SNAPMGR_EXISTS, rig_err.code);
	scat_rollback(cat);
	(void)strcpy(t.c.name, "s");
	ATF_CHECK_EQ(-EEXIST, CHANGE(cat, scat_snapshot_update(cat, &t, &rig_err)));
	(void)strcpy(t.c.name, "u");
	t.used_bytes = 4096;
	t.hold = true;
	t.c.state = SCAT_RESTORING;
	ATF_CHECK_EQ(0, CHANGE(cat, scat_snapshot_update(cat, &t, &rig_err)));
	MUST(scat_snapshot_by_name(cat, v.id, "u", &s, &rig_err));
	ATF_CHECK(s.hold && s.used_bytes == 4096 && s.c.state == SCAT_RESTORING);
}

static int collect_snapshot(const struct scat_snapshot *s, void *data)
{
	strcat(data, s->c.name);
	return 0;
}

static const char *names_of(struct scat *cat, int64_t volume)
{
	static char seen[200];

	seen[0] = '\0';
	MUST(scat_snapshot_each(cat, volume, collect_snapshot, seen, &rig_err));
	return seen;
}

ATF_TC_WITHOUT_HEAD(snapshots_outlive_their_volume);
ATF_TC_BODY(snapshots_outlive_their_volume, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v"), w = rig_volume(cat, "w");
	struct scat_snapshot a = rig_snapshot(cat, &v, "a");

	(void)rig_snapshot(cat, &w, "x");
	(void)rig_snapshot(cat, &v, "b");
	ATF_CHECK_STREQ("ab", names_of(cat, v.id));
	ATF_CHECK_STREQ("", names_of(cat, 0));
	MUST(CHANGE(cat, scat_tag_set(cat, &v.c.uuid, "k", "v", &rig_err)));
	MUST(CHANGE(cat, scat_volume_delete(cat, v.id, &rig_err)));
	ATF_CHECK_STREQ("ab", names_of(cat, 0));
	ATF_CHECK_STREQ("axb", names_of(cat, -1));
	MUST(scat_snapshot_by_uuid(cat, &a.c.uuid, &a, &rig_err));
	ATF_CHECK_EQ(0, a.volume);
	ATF_CHECK_STREQ("", a.volume_name);
	v = rig_volume(cat, "v"); /* the name is free again */
	(void)rig_snapshot(cat, &v, "a");
	MUST(CHANGE(cat, scat_volume_delete(cat, v.id, &rig_err)));
	ATF_CHECK_EQ(-ENOENT, CHANGE(cat, scat_volume_delete(cat, v.id, &rig_err)));
	ATF_CHECK_EQ(0, rig_count_findings(cat));
}

ATF_TC_WITHOUT_HEAD(a_deleted_snapshots_children_move_to_its_parent);
ATF_TC_BODY(a_deleted_snapshots_children_move_to_its_parent, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v");
	struct scat_snapshot a = rig_snapshot(cat, &v, "a"), b = rig_snapshot(cat, &v, "b");
	struct scat_undo u = { .volume = v.id, .size_bytes = 512, .parent = b.id, .thin = 500 };
	struct scat_snapshot c;

	v.c.parent = b.id;
	c = rig_snapshot(cat, &v, "c");
	v.c.parent = b.id;
	sm_uuid_make(&u.uuid);
	MUST(CHANGE(cat, scat_volume_update(cat, &v, &rig_err)));
	MUST(CHANGE(cat, scat_undo_insert(cat, &u, &rig_err)));
	MUST(CHANGE(cat, scat_tag_set(cat, &b.c.uuid, "k", "v", &rig_err)));
	MUST(CHANGE(cat, scat_snapshot_delete(cat, b.id, &rig_err)));
	MUST(scat_snapshot_by_id(cat, c.id, &c, &rig_err));
	MUST(scat_volume_by_id(cat, v.id, &v, &rig_err));
	MUST(scat_undo_nth(cat, v.id, 0, &u, &rig_err));
	ATF_CHECK(c.c.parent == a.id && v.c.parent == a.id && u.parent == a.id);
	MUST(CHANGE(cat, scat_snapshot_delete(cat, a.id, &rig_err)));
	MUST(scat_snapshot_by_id(cat, c.id, &c, &rig_err));
	ATF_CHECK_EQ(0, c.c.parent);
	ATF_CHECK_EQ(-ENOENT, CHANGE(cat, scat_snapshot_delete(cat, a.id, &rig_err)));
	ATF_CHECK_EQ(0, rig_count_findings(cat));
}

ATF_TC_WITHOUT_HEAD(rows_of_what_is_not_there_are_refused);
ATF_TC_BODY(rows_of_what_is_not_there_are_refused, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v");
	struct scat_snapshot s = rig_snapshot(cat, &v, "s");
	struct scat_undo u = { .volume = 99, .size_bytes = 4096 };

	sm_uuid_make(&u.uuid);
	ATF_CHECK(CHANGE(cat, scat_undo_insert(cat, &u, &rig_err)) < 0);
	v.c.parent = 99;
	ATF_CHECK(CHANGE(cat, scat_volume_update(cat, &v, &rig_err)) < 0);
	s.c.parent = s.id; /* nor may a snapshot descend from itself */
	ATF_CHECK(CHANGE(cat, scat_snapshot_update(cat, &s, &rig_err)) < 0);
	v.id = 99;
	(void)strcpy(v.c.name, "x");
	v.c.parent = 0;
	ATF_CHECK_EQ(-ENOENT, CHANGE(cat, scat_volume_update(cat, &v, &rig_err)));
}

ATF_TC_WITHOUT_HEAD(what_could_not_be_read_back_is_not_recorded);
ATF_TC_BODY(what_could_not_be_read_back_is_not_recorded, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume good = rig_volume(cat, "v"), v;

	v = good, v.c.size_bytes = 513;
	ATF_CHECK_EQ(-EINVAL, CHANGE(cat, scat_volume_update(cat, &v, &rig_err)));
	ATF_CHECK_EQ(SNAPMGR_INTERNAL, rig_err.code);
	v = good, v.c.size_bytes = UINT64_MAX - 511;
	ATF_CHECK_EQ(-EINVAL, CHANGE(cat, scat_volume_update(cat, &v, &rig_err)));
	v = good, v.c.thin = 1u << 24;
	ATF_CHECK_EQ(-EINVAL, CHANGE(cat, scat_volume_update(cat, &v, &rig_err)));
	v = good, v.c.state = SCAT_RESTORING;
	ATF_CHECK_EQ(-EINVAL, CHANGE(cat, scat_volume_update(cat, &v, &rig_err)));
	v = good, v.c.label[0] = '\xff';
	ATF_CHECK_EQ(-EINVAL, CHANGE(cat, scat_volume_update(cat, &v, &rig_err)));
	v = good, v.c.name[0] = '-';
	ATF_CHECK_EQ(-EINVAL, CHANGE(cat, scat_volume_update(cat, &v, &rig_err)));
}

ATF_TC_WITHOUT_HEAD(a_rolled_back_transaction_leaves_nothing);
ATF_TC_BODY(a_rolled_back_transaction_leaves_nothing, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v");
	struct scat_snapshot s;

	MUST(scat_begin(cat, &rig_err));
	MUST(rig_snapshot_in(cat, &v, "s", &s));
	MUST(scat_snapshot_by_name(cat, v.id, "s", &s, &rig_err));
	scat_rollback(cat);
	scat_rollback(cat);
	ATF_CHECK_EQ(-ENOENT, scat_snapshot_by_name(cat, v.id, "s", &s, &rig_err));
}

static int add_one_more(const struct scat_snapshot *s, void *data)
{
	struct scat_snapshot again;

	return scat_snapshot_each(data, s->volume, collect_snapshot, (char[200]){ 0 }, &rig_err) ?:
		       scat_snapshot_by_id(data, s->id, &again, &rig_err);
}

ATF_TC_WITHOUT_HEAD(walks_may_be_nested);
ATF_TC_BODY(walks_may_be_nested, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v");

	(void)rig_snapshot(cat, &v, "a");
	(void)rig_snapshot(cat, &v, "b");
	MUST(scat_snapshot_each(cat, v.id, add_one_more, cat, &rig_err));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_formatted_region_holds_its_pool);
	ATF_TP_ADD_TC(tp, what_is_put_into_the_pools_row_is_read_back);
	ATF_TP_ADD_TC(tp, a_volume_is_found_by_name_uuid_and_id);
	ATF_TP_ADD_TC(tp, every_field_of_a_volume_can_change_but_its_identity);
	ATF_TP_ADD_TC(tp, a_name_is_given_once_to_volumes_and_groups_together);
	ATF_TP_ADD_TC(tp, volumes_are_walked_by_name_until_told_to_stop);
	ATF_TP_ADD_TC(tp, a_snapshot_is_found_by_name_uuid_id_and_age);
	ATF_TP_ADD_TC(tp, a_snapshots_name_is_its_volumes_own);
	ATF_TP_ADD_TC(tp, snapshots_outlive_their_volume);
	ATF_TP_ADD_TC(tp, a_deleted_snapshots_children_move_to_its_parent);
	ATF_TP_ADD_TC(tp, rows_of_what_is_not_there_are_refused);
	ATF_TP_ADD_TC(tp, what_could_not_be_read_back_is_not_recorded);
	ATF_TP_ADD_TC(tp, a_rolled_back_transaction_leaves_nothing);
	ATF_TP_ADD_TC(tp, walks_may_be_nested);
	return atf_no_error();
}
