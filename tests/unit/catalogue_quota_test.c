/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Limits as rows, and sums over rows that no 64 bits hold. */
#include <errno.h>
#include <string.h>

#include "tests/unit/catalogue_rig.h"

#define LARGEST ((uint64_t)INT64_MAX - 511) /* what a row can have */

static struct scat *fresh(void)
{
	rig_format(16 * SM_MIB);
	return rig_open(true);
}

static struct scat_volume volume_of(struct scat *cat, const char *name, const char *project,
				    uint64_t size_bytes)
{
	struct scat_volume v = rig_volume(cat, name);

	(void)strcpy(v.c.project, project);
	v.c.size_bytes = size_bytes;
	MUST(CHANGE(cat, scat_volume_update(cat, &v, &rig_err)));
	return v;
}

static struct scat_usage usage(struct scat *cat, const char *project,
			       enum snapmgr_resource resource)
{
	struct scat_usage u;

	MUST(scat_usage(cat, project, resource, &u, &rig_err));
	return u;
}

static uint64_t in_use(struct scat *cat, const char *project, enum snapmgr_resource resource)
{
	return usage(cat, project, resource).in_use;
}

static uint64_t quotas_known(struct scat *cat)
{
	struct scat_pool pool;

	MUST(scat_pool_get(cat, &pool, &rig_err));
	return pool.quotas;
}

ATF_TC_WITHOUT_HEAD(a_limit_is_kept_and_an_owner_without_one_has_no_row);
ATF_TC_BODY(a_limit_is_kept_and_an_owner_without_one_has_no_row, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_quota q = { "web", { 0, SNAPMGR_UNLIMITED, INT64_MAX, SNAPMGR_UNLIMITED } };
	struct scat_quota whole = { "", { 7, 8, 9, 10 } }, got;

	ATF_CHECK_EQ(0, quotas_known(cat));
	ATF_CHECK_EQ(-ENOENT, scat_quota_get(cat, "web", &got, &rig_err));
	MUST(CHANGE(cat, scat_quota_put(cat, &q, &rig_err)));
	MUST(CHANGE(cat, scat_quota_put(cat, &whole, &rig_err)));
	ATF_CHECK_EQ(2, quotas_known(cat));
	MUST(scat_quota_get(cat, "web", &got, &rig_err));
	ATF_CHECK(memcmp(q.limit, got.limit, sizeof(q.limit)) == 0);
	MUST(scat_quota_get(cat, "", &got, &rig_err));
	ATF_CHECK(memcmp(whole.limit, got.limit, sizeof(q.limit)) == 0);
	q.limit[SNAPMGR_VOLUMES] = 5; /* again: replaced, not doubled */
	MUST(CHANGE(cat, scat_quota_put(cat, &q, &rig_err)));
	ATF_CHECK_EQ(2, quotas_known(cat));
	q.limit[SNAPMGR_VOLUMES] = q.limit[SNAPMGR_VOLUME_BYTES] = SNAPMGR_UNLIMITED;
	MUST(CHANGE(cat, scat_quota_put(cat, &q, &rig_err)));
	ATF_CHECK_EQ(-ENOENT, scat_quota_get(cat, "web", &got, &rig_err));
	ATF_CHECK_EQ(1, quotas_known(cat));
	ATF_CHECK_EQ(0, rig_count_findings(cat));
}

ATF_TC_WITHOUT_HEAD(use_is_counted_by_project_and_for_the_whole_pool);
ATF_TC_BODY(use_is_counted_by_project_and_for_the_whole_pool, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume a = volume_of(cat, "a", "web", 4096), b = volume_of(cat, "b", "", 512);
	struct scat_snapshot s;

	(void)volume_of(cat, "c", "db", 1024);
	for (int i = 0; i < 3; i++) {
		s = rig_snapshot(cat, &a, (char[]){ (char)('x' + i), 0 });
		(void)strcpy(s.c.project, i < 2 ? "web" : "db");
		s.c.size_bytes = 4096u << i;
		MUST(CHANGE(cat, scat_snapshot_update(cat, &s, &rig_err)));
	}
	(void)rig_snapshot(cat, &b, "of-nobody");
	ATF_CHECK_EQ(1, in_use(cat, "web", SNAPMGR_VOLUMES));
	ATF_CHECK_EQ(4096, in_use(cat, "web", SNAPMGR_VOLUME_BYTES));
	ATF_CHECK_EQ(2, in_use(cat, "web", SNAPMGR_SNAPSHOTS));
	ATF_CHECK_EQ(4096 + 8192, in_use(cat, "web", SNAPMGR_SNAPSHOT_BYTES));
	ATF_CHECK_EQ(1, in_use(cat, "db", SNAPMGR_SNAPSHOTS));
	ATF_CHECK_EQ(0, in_use(cat, "none", SNAPMGR_VOLUMES));
	ATF_CHECK_EQ(0, in_use(cat, "none", SNAPMGR_SNAPSHOT_BYTES));
	ATF_CHECK_EQ(3, in_use(cat, "", SNAPMGR_VOLUMES));
	ATF_CHECK_EQ(4096 + 512 + 1024, in_use(cat, "", SNAPMGR_VOLUME_BYTES));
	ATF_CHECK_EQ(4, in_use(cat, "", SNAPMGR_SNAPSHOTS));
}

ATF_TC_WITHOUT_HEAD(a_sum_that_64_bits_do_not_hold_is_as_large_as_can_be);
ATF_TC_BODY(a_sum_that_64_bits_do_not_hold_is_as_large_as_can_be, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	char name[] = "a";

	(void)volume_of(cat, name, "web", LARGEST);
	ATF_CHECK_EQ(LARGEST, in_use(cat, "web", SNAPMGR_VOLUME_BYTES));
	for (name[0] = 'b'; name[0] < 'h'; name[0]++) {
		(void)volume_of(cat, name, "web", LARGEST);
		ATF_CHECK_EQ(INT64_MAX, in_use(cat, "web", SNAPMGR_VOLUME_BYTES));
		ATF_CHECK_EQ(INT64_MAX, in_use(cat, "", SNAPMGR_VOLUME_BYTES));
	}
	(void)volume_of(cat, "x", "db", UINT64_C(1) << 62);
	(void)volume_of(cat, "y", "db", (UINT64_C(1) << 62) - 512);
	ATF_CHECK_EQ((UINT64_C(1) << 63) - 512, in_use(cat, "db", SNAPMGR_VOLUME_BYTES));
}

static void operation_on(struct scat *cat, int64_t volume, int64_t snapshot, uint64_t new_bytes)
{
	struct scat_operation op = { .verb = "copy",
				     .volume = volume,
				     .snapshot = snapshot,
				     .new_size_bytes = new_bytes,
				     .pid = 1 };

	sm_uuid_make(&op.uuid);
	sm_uuid_make(&op.boot_id);
	MUST(CHANGE(cat, scat_operation_insert(cat, &op, &rig_err)));
}

static int keep_new_size(const struct scat_operation *op, void *data)
{
	*(uint64_t *)data = op->new_size_bytes;
	return 0;
}

ATF_TC_WITHOUT_HEAD(what_is_being_made_or_enlarged_is_reserved);
ATF_TC_BODY(what_is_being_made_or_enlarged_is_reserved, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume made = volume_of(cat, "made", "web", 4096);
	struct scat_volume grows = volume_of(cat, "grows", "web", 8192);
	struct scat_volume shrinks = volume_of(cat, "shrinks", "web", 16384);
	struct scat_snapshot s = rig_snapshot(cat, &grows, "s");
	struct scat_usage u;
	uint64_t new_bytes = 0;

	(void)strcpy(s.c.project, "web");
	s.c.state = SCAT_CREATING;
	MUST(CHANGE(cat, scat_snapshot_update(cat, &s, &rig_err)));
	made.c.state = SCAT_CREATING;
	grows.c.state = SCAT_EXTENDING;
	shrinks.c.state = SCAT_SHRINKING;
	MUST(CHANGE(cat, scat_volume_update(cat, &made, &rig_err)));
	MUST(CHANGE(cat, scat_volume_update(cat, &grows, &rig_err)));
	MUST(CHANGE(cat, scat_volume_update(cat, &shrinks, &rig_err)));
	operation_on(cat, made.id, 0, 4096);
	operation_on(cat, shrinks.id, 0, 512);
	operation_on(cat, grows.id, s.id, 8192 + 1024);
	MUST(scat_operation_each(cat, keep_new_size, &new_bytes, &rig_err));
	ATF_CHECK_EQ(8192 + 1024, new_bytes);

	u = usage(cat, "web", SNAPMGR_VOLUMES);
	ATF_CHECK_EQ(2, u.in_use);
	ATF_CHECK_EQ(1, u.reserved);
	u = usage(cat, "web", SNAPMGR_VOLUME_BYTES);
	ATF_CHECK_EQ(8192 + 16384, u.in_use);
	ATF_CHECK_EQ(4096 + 1024, u.reserved);
	u = usage(cat, "", SNAPMGR_VOLUME_BYTES);
	ATF_CHECK_EQ(4096 + 1024, u.reserved);
	u = usage(cat, "web", SNAPMGR_SNAPSHOTS);
	ATF_CHECK_EQ(0, u.in_use);
	ATF_CHECK_EQ(1, u.reserved);
	ATF_CHECK_EQ(0, usage(cat, "db", SNAPMGR_VOLUMES).reserved);
	ATF_CHECK_EQ(0, usage(cat, "db", SNAPMGR_VOLUME_BYTES).reserved);
}

static int add_project(const char *project, void *data)
{
	(void)strcat(strcat(data, project), ",");
	return 0;
}

ATF_TC_WITHOUT_HEAD(each_owner_is_named_once);
ATF_TC_BODY(each_owner_is_named_once, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_quota q = { "limited", { 1, 1, 1, 1 } };
	struct scat_volume v = volume_of(cat, "v", "web", 4096);
	struct scat_snapshot s = rig_snapshot(cat, &v, "s");
	char seen[200] = "";

	(void)strcpy(s.c.project, "backup");
	MUST(CHANGE(cat, scat_snapshot_update(cat, &s, &rig_err)));
	(void)volume_of(cat, "w", "web", 4096);
	(void)volume_of(cat, "nobodys", "", 4096);
	MUST(CHANGE(cat, scat_quota_put(cat, &q, &rig_err)));
	MUST(scat_project_each(cat, add_project, seen, &rig_err));
	ATF_CHECK_STREQ(",backup,limited,web,", seen);
}

ATF_TC_WITHOUT_HEAD(quotas_that_cannot_be_are_damage);
ATF_TC_BODY(quotas_that_cannot_be_are_damage, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_quota q;

	rig_sql(cat, "INSERT INTO quotas VALUES('web',1,NULL,NULL,NULL)");
	ATF_CHECK_EQ(1, rig_count_findings(cat)); /* the pool knows of none */
	rig_sql(cat, "UPDATE pool SET quotas=1");
	ATF_CHECK_EQ(0, rig_count_findings(cat));
	rig_sql(cat, "UPDATE quotas SET volumes=-5");
	ATF_CHECK_EQ(-EUCLEAN, scat_quota_get(cat, "web", &q, &rig_err));
	ATF_CHECK_EQ(1, rig_count_findings(cat));
	rig_sql(cat, "UPDATE quotas SET volumes=1;UPDATE pool SET quotas=-1");
	ATF_CHECK(rig_count_findings(cat) > 0);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_limit_is_kept_and_an_owner_without_one_has_no_row);
	ATF_TP_ADD_TC(tp, use_is_counted_by_project_and_for_the_whole_pool);
	ATF_TP_ADD_TC(tp, a_sum_that_64_bits_do_not_hold_is_as_large_as_can_be);
	ATF_TP_ADD_TC(tp, what_is_being_made_or_enlarged_is_reserved);
	ATF_TP_ADD_TC(tp, each_owner_is_named_once);
	ATF_TP_ADD_TC(tp, quotas_that_cannot_be_are_damage);
	return atf_no_error();
}
