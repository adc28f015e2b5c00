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

static int collect_undo(const struct scat_undo *u, void *data)
{
	char thin[16];

	(void)snprintf(thin, sizeof(thin), "%u ", u->thin);
	strcat(data, thin);
	return 0;
}

ATF_TC_WITHOUT_HEAD(undo_points_come_newest_first);
ATF_TC_BODY(undo_points_come_newest_first, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v");
	struct scat_undo u = { .volume = v.id, .size_bytes = 4096 }, got;
	char seen[100] = "";

	for (uint32_t i = 0; i < 4; i++) {
		u.thin = 300 + i;
		sm_uuid_make(&u.uuid);
		MUST(CHANGE(cat, scat_undo_insert(cat, &u, &rig_err)));
	}
	MUST(scat_undo_each(cat, v.id, collect_undo, seen, &rig_err));
	ATF_CHECK_STREQ("303 302 301 300 ", seen);
	MUST(scat_undo_nth(cat, v.id, 1, &got, &rig_err));
	ATF_CHECK_EQ(302, got.thin);
	got.thin = 400;
	MUST(CHANGE(cat, scat_undo_update(cat, &got, &rig_err)));
	MUST(CHANGE(cat, scat_undo_delete(cat, u.id, &rig_err)));
	MUST(scat_undo_nth(cat, v.id, 0, &got, &rig_err));
	ATF_CHECK_EQ(400, got.thin);
	MUST(scat_undo_by_uuid(cat, &got.uuid, &got, &rig_err));
	ATF_CHECK_EQ(-ENOENT, scat_undo_nth(cat, v.id, 3, &got, &rig_err));
	ATF_CHECK_EQ(-ENOENT, CHANGE(cat, scat_undo_delete(cat, 999, &rig_err)));
	ATF_CHECK_EQ(-ENOENT, scat_undo_nth(cat, v.id + 1, 0, &got, &rig_err));
}

ATF_TC_WITHOUT_HEAD(a_volume_with_undo_points_stays);
ATF_TC_BODY(a_volume_with_undo_points_stays, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v");
	struct scat_undo u = { .volume = v.id, .size_bytes = 4096, .thin = 9 };

	sm_uuid_make(&u.uuid);
	MUST(CHANGE(cat, scat_undo_insert(cat, &u, &rig_err)));
	ATF_CHECK(CHANGE(cat, scat_volume_delete(cat, v.id, &rig_err)) < 0);
	ATF_CHECK_EQ(SNAPMGR_INTERNAL, rig_err.code);
	MUST(scat_volume_by_name(cat, "v", &v, &rig_err));
}

ATF_TC_WITHOUT_HEAD(tags_are_set_replaced_and_removed);
ATF_TC_BODY(tags_are_set_replaced_and_removed, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v");
	AUTO(free) struct snapmgr_tag *tags = NULL;
	char key[SNAPMGR_LABEL_MAX + 2];
	size_t n = 99;

	MUST(scat_tags_get(cat, &v.c.uuid, &tags, &n, &rig_err));
	ATF_CHECK_EQ(0, n);
	free(tags);
	for (int i = 0; i < 40; i++) {
		(void)snprintf(key, sizeof(key), "k%02d", 39 - i);
		MUST(CHANGE(cat, scat_tag_set(cat, &v.c.uuid, key, "old", &rig_err)));
	}
	MUST(CHANGE(cat, scat_tag_set(cat, &v.c.uuid, "k00", "new", &rig_err)));
	MUST(CHANGE(cat, scat_tag_set(cat, &v.c.uuid, "k01", "", &rig_err)));
	MUST(CHANGE(cat, scat_tag_set(cat, &v.c.uuid, "k02", NULL, &rig_err)));
	MUST(scat_tags_get(cat, &v.c.uuid, &tags, &n, &rig_err));
	ATF_REQUIRE_EQ(38, n);
	ATF_CHECK_STREQ("k00", tags[0].key);
	ATF_CHECK_STREQ("new", tags[0].value);
	ATF_CHECK_STREQ("k03", tags[1].key);
	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	ATF_CHECK_EQ(-EINVAL, CHANGE(cat, scat_tag_set(cat, &v.c.uuid, key, "v", &rig_err)));
	ATF_CHECK_EQ(SNAPMGR_USAGE, rig_err.code);
	ATF_CHECK_EQ(-EINVAL, CHANGE(cat, scat_tag_set(cat, &v.c.uuid, "", "v", &rig_err)));
	ATF_CHECK_EQ(-EINVAL, CHANGE(cat, scat_tag_set(cat, &v.c.uuid, "k", "\n", &rig_err)));
}

static int collect_garbage(uint32_t thin, void *data)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%u ", thin);
	strcat(data, text);
	return 0;
}

ATF_TC_WITHOUT_HEAD(garbage_is_added_and_removed_any_number_of_times);
ATF_TC_BODY(garbage_is_added_and_removed_any_number_of_times, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	char seen[100] = "";

	MUST(CHANGE(cat, scat_garbage_add(cat, 7, &rig_err)));
	MUST(CHANGE(cat, scat_garbage_add(cat, 7, &rig_err)));
	MUST(CHANGE(cat, scat_garbage_add(cat, 16777215, &rig_err)));
	MUST(CHANGE(cat, scat_garbage_add(cat, 8, &rig_err)));
	MUST(CHANGE(cat, scat_garbage_remove(cat, 8, &rig_err)));
	MUST(CHANGE(cat, scat_garbage_remove(cat, 8, &rig_err)));
	MUST(scat_garbage_each(cat, collect_garbage, seen, &rig_err));
	ATF_CHECK_STREQ("7 16777215 ", seen);
	ATF_CHECK_EQ(-EINVAL, CHANGE(cat, scat_garbage_add(cat, 0, &rig_err)));
	ATF_CHECK_EQ(-EINVAL, CHANGE(cat, scat_garbage_add(cat, 1u << 24, &rig_err)));
}

ATF_TC_WITHOUT_HEAD(a_thin_id_is_known_wherever_it_is_named);
ATF_TC_BODY(a_thin_id_is_known_wherever_it_is_named, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v");
	struct scat_snapshot s = rig_snapshot(cat, &v, "s");
	struct scat_undo u = { .volume = v.id, .size_bytes = 4096, .thin = 600 };

	sm_uuid_make(&u.uuid);
	MUST(CHANGE(cat, scat_undo_insert(cat, &u, &rig_err)));
	MUST(CHANGE(cat, scat_garbage_add(cat, 700, &rig_err)));
	ATF_CHECK_EQ(1, scat_thin_named(cat, v.c.thin, &rig_err));
	ATF_CHECK_EQ(1, scat_thin_named(cat, s.c.thin, &rig_err));
	ATF_CHECK_EQ(1, scat_thin_named(cat, 600, &rig_err));
	ATF_CHECK_EQ(1, scat_thin_named(cat, 700, &rig_err));
	ATF_CHECK_EQ(0, scat_thin_named(cat, 800, &rig_err));
	ATF_CHECK_EQ(0, scat_thin_named(cat, 0, &rig_err));
	s.c.thin = v.c.thin; /* and is named twice by no two of a kind */
	MUST(CHANGE(cat, scat_snapshot_update(cat, &s, &rig_err)));
	ATF_CHECK_EQ(1, rig_count_findings(cat));
}

static int collect_operation(const struct scat_operation *op, void *data)
{
	memcpy(data, op, sizeof(*op));
	return 0;
}

ATF_TC_WITHOUT_HEAD(an_operation_is_journalled_and_done);
ATF_TC_BODY(an_operation_is_journalled_and_done, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v");
	struct scat_snapshot s = rig_snapshot(cat, &v, "s");
	struct scat_operation op = { .verb = "revert",
				     .volume = v.id,
				     .snapshot = s.id,
				     .pid = 77,
				     .start_ticks = 12345,
				     .started_at_us = 99 };
	struct scat_operation got = { 0 };

	sm_uuid_make(&op.uuid);
	sm_uuid_make(&op.boot_id);
	MUST(CHANGE(cat, scat_operation_insert(cat, &op, &rig_err)));
	MUST(scat_operation_each(cat, collect_operation, &got, &rig_err));
	ATF_CHECK_EQ(0, memcmp(&op, &got, sizeof(op)));
	MUST(CHANGE(cat, scat_snapshot_delete(cat, s.id, &rig_err)));
	MUST(scat_operation_each(cat, collect_operation, &got, &rig_err));
	ATF_CHECK(got.volume == v.id && got.snapshot == 0);
	MUST(CHANGE(cat, scat_operation_delete(cat, op.id, &rig_err)));
	ATF_CHECK_EQ(-ENOENT, CHANGE(cat, scat_operation_delete(cat, op.id, &rig_err)));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, undo_points_come_newest_first);
	ATF_TP_ADD_TC(tp, a_volume_with_undo_points_stays);
	ATF_TP_ADD_TC(tp, tags_are_set_replaced_and_removed);
	ATF_TP_ADD_TC(tp, garbage_is_added_and_removed_any_number_of_times);
	ATF_TP_ADD_TC(tp, a_thin_id_is_known_wherever_it_is_named);
	ATF_TP_ADD_TC(tp, an_operation_is_journalled_and_done);
	return atf_no_error();
}
