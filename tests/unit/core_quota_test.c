/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each verb at the boundary of a quota: refused beyond it with nothing changed, allowed upon it. */
#include <atf-c.h>
#include <errno.h>
#include <string.h>

#include "tests/unit/core_rig.h"

/* limit() - one limit of @project ("": the whole pool); the others stay. */
static void limit(const char *project, enum snapmgr_resource resource, uint64_t n)
{
	struct snapmgr_quota_set_opts o = SNAPMGR_OPTS_INIT(struct snapmgr_quota_set_opts);

	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++)
		o.limits[i] = SNAPMGR_UNCHANGED;
	o.limits[resource] = n;
	MUST(snapmgr_quota_set(rig_sm, "p0", project, &o, &rig_err));
}

static int keep(const struct snapmgr_quota *q, void *data)
{
	memcpy(data, q, sizeof(*q));
	return 0;
}

static int keep_object(const struct snapmgr_object *o, void *data)
{
	memcpy(data, o, sizeof(*o));
	return 0;
}

static uint64_t in_use(const char *project, enum snapmgr_resource resource)
{
	struct snapmgr_quota q;

	MUST(snapmgr_quota_list(rig_sm, "p0", project, keep, &q, &rig_err));
	ATF_CHECK_EQ(0, q.resources[resource].reserved);
	return q.resources[resource].in_use;
}

static int create(const char *spec, const char *project, uint64_t bytes)
{
	struct snapmgr_create_opts o = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);

	o.size_bytes = bytes;
	o.project = project;
	return snapmgr_create(rig_sm, spec, &o, NULL, NULL, &rig_err);
}

static int resize(const char *spec, uint64_t bytes)
{
	struct snapmgr_resize_opts o = SNAPMGR_OPTS_INIT(struct snapmgr_resize_opts);

	o.shrink = true;
	return snapmgr_resize(rig_sm, spec, bytes, &o, NULL, NULL, &rig_err);
}

static int take(const char *spec)
{
	return snapmgr_snapshot(rig_sm, &spec, 1, NULL, NULL, NULL, &rig_err);
}

static int revert(const char *spec)
{
	return snapmgr_revert(rig_sm, spec, NULL, NULL, &rig_err);
}

static void before_refusal(void)
{
	fake_kernel_log_clear();
	memset(&rig_err, 0, sizeof(rig_err));
}

/* Neither the kernel nor the catalogue was told anything. */
static void refused(int r, const char *call, uint64_t writes)
{
	ATF_CHECK_EQ_MSG(-EDQUOT, r, "%s: %d %s", call, r, rig_err.message);
	ATF_CHECK_EQ_MSG(SNAPMGR_OVER_QUOTA, rig_err.code, "%s: %s", call, rig_err.message);
	ATF_CHECK_STREQ("", fake_kernel_log());
	ATF_CHECK_EQ(writes, rig_io.writes);
}
#define REFUSED(call)                                   \
	do {                                            \
		const uint64_t writes_ = rig_io.writes; \
		before_refusal();                       \
		refused((call), #call, writes_);        \
	} while (0)
#define SAYS(text) ATF_CHECK_MSG(strstr(rig_err.message, text), "%s", rig_err.message)

ATF_TC_WITHOUT_HEAD(a_create_fits_up_to_the_limit_and_no_further);
ATF_TC_BODY(a_create_fits_up_to_the_limit_and_no_further, tc)
{
	rig_up();
	limit("web", SNAPMGR_VOLUMES, 2);
	limit("web", SNAPMGR_VOLUME_BYTES, 3 * SM_MIB);
	MUST(create("p0/a", "web", SM_MIB));
	REFUSED(create("p0/b", "web", 2 * SM_MIB + 512));
	SAYS("project 'web' of pool 'p0'");
	SAYS("limit 3M, in use 1M, reserved 0, asked for 2097664 more");
	SAYS("'snapmgr quota p0 --project web --volume-size 3146240'");
	MUST(create("p0/b", "web", 2 * SM_MIB));
	REFUSED(create("p0/c", "web", 512));
	SAYS("limit 2, in use 2, reserved 0, asked for 1 more");
	SAYS("--project web --volumes 3'");
	MUST(create("p0/c", "db", SM_MIB)); /* others are free */
	MUST(create("p0/d", NULL, SM_MIB));
	limit("web", SNAPMGR_VOLUMES, 3);
	REFUSED(create("p0/e", "web", 512));
	limit("web", SNAPMGR_VOLUME_BYTES, 3 * SM_MIB + 512);
	MUST(create("p0/e", "web", 512));
	ATF_CHECK_EQ(3, in_use("web", SNAPMGR_VOLUMES));
	ATF_CHECK_EQ(5, in_use("", SNAPMGR_VOLUMES));
}

ATF_TC_WITHOUT_HEAD(the_pools_own_limit_counts_everybody);
ATF_TC_BODY(the_pools_own_limit_counts_everybody, tc)
{
	rig_up();
	limit("", SNAPMGR_VOLUMES, 2);
	MUST(create("p0/a", "web", SM_MIB));
	MUST(create("p0/b", NULL, SM_MIB));
	REFUSED(create("p0/c", "db", SM_MIB));
	ATF_CHECK(strncmp(rig_err.message, "pool 'p0' would", 15) == 0);
	SAYS("'snapmgr quota p0 --volumes 3'");
	REFUSED(create("p0/c", NULL, SM_MIB));
	limit("", SNAPMGR_VOLUMES, SNAPMGR_UNLIMITED);
	MUST(create("p0/c", NULL, SM_MIB));
}

ATF_TC_WITHOUT_HEAD(a_clone_counts_for_its_sources_owner);
ATF_TC_BODY(a_clone_counts_for_its_sources_owner, tc)
{
	struct snapmgr_create_opts o = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);

	rig_up();
	MUST(create("p0/v", "web", SM_MIB));
	MUST(take("p0/v@s"));
	limit("web", SNAPMGR_VOLUME_BYTES, 2 * SM_MIB);
	o.size_bytes = SM_MIB + 512;
	REFUSED(snapmgr_clone(rig_sm, "p0/v@s", "p0/w", &o, NULL, NULL, &rig_err));
	o.from = "p0/v@s";
	REFUSED(snapmgr_create(rig_sm, "p0/w", &o, NULL, NULL, &rig_err));
	o.project = "db";
	MUST(snapmgr_create(rig_sm, "p0/of-db", &o, NULL, NULL, &rig_err));
	MUST(snapmgr_clone(rig_sm, "p0/v@s", "p0/w", NULL, NULL, NULL, &rig_err));
	REFUSED(snapmgr_clone(rig_sm, "p0/v@s", "p0/x", NULL, NULL, NULL, &rig_err));
}

ATF_TC_WITHOUT_HEAD(snapshots_of_one_instant_are_counted_together);
ATF_TC_BODY(snapshots_of_one_instant_are_counted_together, tc)
{
	const char *const three[] = { "p0/a@s", "p0/b@s", "p0/c@s" };

	rig_up();
	MUST(create("p0/a", "web", SM_MIB));
	MUST(create("p0/b", "db", SM_MIB));
	MUST(create("p0/c", "web", SM_MIB));
	limit("web", SNAPMGR_SNAPSHOTS, 1);
	REFUSED(snapmgr_snapshot(rig_sm, three, 3, NULL, NULL, NULL, &rig_err));
	SAYS("asked for 2 more");
	limit("web", SNAPMGR_SNAPSHOTS, 2);
	limit("", SNAPMGR_SNAPSHOT_BYTES, 3 * SM_MIB - 512);
	REFUSED(snapmgr_snapshot(rig_sm, three, 3, NULL, NULL, NULL, &rig_err));
	SAYS("asked for 3M more");
	limit("", SNAPMGR_SNAPSHOT_BYTES, 3 * SM_MIB);
	MUST(snapmgr_snapshot(rig_sm, three, 3, NULL, NULL, NULL, &rig_err));
	REFUSED(take("p0/a@t"));
	REFUSED(take("p0/b@t"));
	MUST(snapmgr_delete(rig_sm, "p0/a@s", NULL, NULL, NULL, &rig_err));
	MUST(take("p0/a@t"));
	ATF_CHECK_EQ(2, in_use("web", SNAPMGR_SNAPSHOTS));
	ATF_CHECK_EQ(3 * SM_MIB, in_use("", SNAPMGR_SNAPSHOT_BYTES));
}

ATF_TC_WITHOUT_HEAD(only_growth_is_refused);
ATF_TC_BODY(only_growth_is_refused, tc)
{
	rig_up();
	MUST(create("p0/v", "web", 4 * SM_MIB));
	MUST(take("p0/v@s"));
	limit("web", SNAPMGR_VOLUME_BYTES, 5 * SM_MIB);
	REFUSED(resize("p0/v", 5 * SM_MIB + 512));
	MUST(resize("p0/v", 5 * SM_MIB));
	limit("web", SNAPMGR_VOLUME_BYTES, SM_MIB); /* below what is there */
	limit("web", SNAPMGR_SNAPSHOT_BYTES, SM_MIB);
	limit("web", SNAPMGR_VOLUMES, 0);
	REFUSED(resize("p0/v", 5 * SM_MIB + 512));
	SAYS("limit 1M, in use 5M");
	MUST(resize("p0/v", 5 * SM_MIB));
	MUST(resize("p0/v", 3 * SM_MIB));
	ATF_CHECK_EQ(3 * SM_MIB, in_use("web", SNAPMGR_VOLUME_BYTES));
	REFUSED(take("p0/v@t"));
	MUST(snapmgr_rename(rig_sm, "p0/v", "w", &rig_err));
	MUST(snapmgr_set(rig_sm, "p0/w", "label", "x", &rig_err));
	MUST(snapmgr_delete(rig_sm, "p0/w@s", NULL, NULL, NULL, &rig_err));
	MUST(snapmgr_delete(rig_sm, "p0/w", NULL, NULL, NULL, &rig_err));
	ATF_CHECK_EQ(0, in_use("web", SNAPMGR_VOLUME_BYTES));
}

ATF_TC_WITHOUT_HEAD(a_revert_to_more_is_checked_and_one_to_less_frees);
ATF_TC_BODY(a_revert_to_more_is_checked_and_one_to_less_frees, tc)
{
	struct snapmgr_revert_opts dry = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);

	rig_up();
	MUST(create("p0/v", "web", 4 * SM_MIB));
	MUST(take("p0/v@large"));
	MUST(resize("p0/v", SM_MIB));
	MUST(take("p0/v@small"));
	limit("web", SNAPMGR_VOLUME_BYTES, 4 * SM_MIB - 512);
	dry.dry_run = true;
	REFUSED(snapmgr_revert(rig_sm, "p0/v@large", &dry, NULL, &rig_err));
	REFUSED(revert("p0/v@large"));
	SAYS("in use 1M, reserved 0, asked for 3M more");
	limit("web", SNAPMGR_VOLUME_BYTES, 4 * SM_MIB);
	MUST(revert("p0/v@large"));
	ATF_CHECK_EQ(4 * SM_MIB, in_use("web", SNAPMGR_VOLUME_BYTES));
	REFUSED(create("p0/w", "web", 512));
	MUST(revert("p0/v@small"));
	ATF_CHECK_EQ(SM_MIB, in_use("web", SNAPMGR_VOLUME_BYTES));
	MUST(create("p0/w", "web", 512)); /* in the room that it left */
	REFUSED(snapmgr_undo(rig_sm, "p0/v", NULL, NULL, &rig_err));
	MUST(snapmgr_delete(rig_sm, "p0/w", NULL, NULL, NULL, &rig_err));
	MUST(snapmgr_undo(rig_sm, "p0/v", NULL, NULL, &rig_err));
	ATF_CHECK_EQ(4 * SM_MIB, in_use("web", SNAPMGR_VOLUME_BYTES));
	MUST(snapmgr_undo(rig_sm, "p0/v", NULL, NULL, &rig_err));
	ATF_CHECK_EQ(SM_MIB, in_use("web", SNAPMGR_VOLUME_BYTES));
	ATF_CHECK_EQ(5 * SM_MIB, in_use("web", SNAPMGR_SNAPSHOT_BYTES));
}

ATF_TC_WITHOUT_HEAD(a_group_is_reverted_where_the_sum_of_its_sizes_fits);
ATF_TC_BODY(a_group_is_reverted_where_the_sum_of_its_sizes_fits, tc)
{
	const char *const both[] = { "a", "b" };

	rig_up();
	MUST(create("p0/a", "web", 4 * SM_MIB));
	MUST(create("p0/b", "web", SM_MIB));
	MUST(snapmgr_group_create(rig_sm, "p0/g", both, 2, NULL, NULL, NULL, &rig_err));
	limit("web", SNAPMGR_SNAPSHOTS, 1);
	REFUSED(take("p0/g@s")); /* two at once */
	limit("web", SNAPMGR_SNAPSHOTS, 2);
	MUST(take("p0/g@s"));
	MUST(resize("p0/a", SM_MIB));
	MUST(resize("p0/b", 3 * SM_MIB));
	limit("web", SNAPMGR_VOLUME_BYTES, 5 * SM_MIB - 512);
	REFUSED(revert("p0/g@s"));
	SAYS("in use 4M, reserved 0, asked for 1M more");
	limit("web", SNAPMGR_VOLUME_BYTES, 5 * SM_MIB); /* 3M more for a, 2M less for b */
	MUST(revert("p0/g@s"));
	ATF_CHECK_EQ(5 * SM_MIB, in_use("web", SNAPMGR_VOLUME_BYTES));
	MUST(snapmgr_undo(rig_sm, "p0/g", NULL, NULL, &rig_err));
	ATF_CHECK_EQ(4 * SM_MIB, in_use("web", SNAPMGR_VOLUME_BYTES));
	limit("web", SNAPMGR_VOLUME_BYTES, 4 * SM_MIB);
	REFUSED(snapmgr_undo(rig_sm, "p0/g", NULL, NULL, &rig_err));
}

ATF_TC_WITHOUT_HEAD(what_changes_hands_is_held_against_the_new_owner);
ATF_TC_BODY(what_changes_hands_is_held_against_the_new_owner, tc)
{
	const char *const twice[] = { "label=x", "project=db" };

	rig_up();
	MUST(create("p0/v", "web", SM_MIB));
	MUST(take("p0/v@s"));
	limit("db", SNAPMGR_VOLUME_BYTES, SM_MIB - 512);
	limit("db", SNAPMGR_SNAPSHOTS, 0);
	limit("", SNAPMGR_VOLUMES, 1); /* the pool has no more for it */
	limit("", SNAPMGR_SNAPSHOTS, 0);
	REFUSED(snapmgr_set_many(rig_sm, "p0/v", twice, 2, &rig_err));
	SAYS("project 'db'");
	REFUSED(snapmgr_set(rig_sm, "p0/v@s", "project", "db", &rig_err));
	limit("db", SNAPMGR_VOLUME_BYTES, SM_MIB);
	MUST(snapmgr_set_many(rig_sm, "p0/v", twice, 2, &rig_err));
	ATF_CHECK_EQ(0, in_use("web", SNAPMGR_VOLUMES));
	ATF_CHECK_EQ(SM_MIB, in_use("db", SNAPMGR_VOLUME_BYTES));
	ATF_CHECK_EQ(1, in_use("web", SNAPMGR_SNAPSHOTS)); /* a snapshot is its own */
	limit("db", SNAPMGR_VOLUMES, 0);
	MUST(snapmgr_set(rig_sm, "p0/v", "project", "db", &rig_err)); /* his already */
	MUST(snapmgr_set(rig_sm, "p0/v", "project", "", &rig_err));
	REFUSED(snapmgr_set(rig_sm, "p0/v", "project", "db", &rig_err));
}

ATF_TC_WITHOUT_HEAD(sizes_beyond_64_bits_are_over_every_limit);
ATF_TC_BODY(sizes_beyond_64_bits_are_over_every_limit, tc)
{
	const uint64_t four_eib = UINT64_C(1) << 62;

	rig_up();
	MUST(create("p0/a", "web", four_eib));
	MUST(create("p0/b", "web", four_eib));
	ATF_CHECK_EQ(INT64_MAX, in_use("web", SNAPMGR_VOLUME_BYTES));
	limit("web", SNAPMGR_VOLUME_BYTES, INT64_MAX);
	REFUSED(create("p0/c", "web", 512));
	SAYS("--volume-size none'");
	limit("web", SNAPMGR_SNAPSHOT_BYTES, INT64_MAX);
	MUST(take("p0/a@s"));
	REFUSED(take("p0/b@s"));
	MUST(snapmgr_delete(rig_sm, "p0/b", NULL, NULL, NULL, &rig_err));
	MUST(create("p0/c", "web", 512));
}

ATF_TC_WITHOUT_HEAD(a_pool_without_quotas_is_asked_nothing);
ATF_TC_BODY(a_pool_without_quotas_is_asked_nothing, tc)
{
	struct scat *cat;

	rig_up();
	cat = rig_open(true);
	rig_sql(cat, "INSERT INTO quotas VALUES('',0,0,0,0)"); /* and the pool's row says: none */
	scat_close(cat);
	MUST(create("p0/v", "web", SM_MIB));
	MUST(take("p0/v@s"));
	MUST(revert("p0/v@s"));
	cat = rig_open(true);
	rig_sql(cat, "UPDATE pool SET quotas=1");
	scat_close(cat);
	REFUSED(take("p0/v@t"));
}

/* Where a change needs room, a crowded pool's undo points make it: not for one that is refused. */
ATF_TC_WITHOUT_HEAD(a_refusal_takes_no_undo_point_of_a_crowded_pool);
ATF_TC_BODY(a_refusal_takes_no_undo_point_of_a_crowded_pool, tc)
{
	struct snapmgr_object undo;

	rig_up();
	MUST(create("p0/v", "web", 4 * SM_MIB));
	MUST(take("p0/v@large"));
	MUST(resize("p0/v", SM_MIB));
	MUST(revert("p0/v@large"));
	MUST(snapmgr_undo(rig_sm, "p0/v", NULL, NULL, &rig_err));
	limit("web", SNAPMGR_VOLUME_BYTES, SM_MIB);
	limit("web", SNAPMGR_SNAPSHOTS, 1);
	fake_kernel_set_status(
		POOL_DEV, "0 12/4096 9700/10000 - rw discard_passdown queue_if_no_space - 1024");
	REFUSED(create("p0/w", "web", 512));
	REFUSED(snapmgr_clone(rig_sm, "p0/v@large", "p0/w", NULL, NULL, NULL, &rig_err));
	REFUSED(take("p0/v@t"));
	REFUSED(revert("p0/v@large"));
	REFUSED(snapmgr_undo(rig_sm, "p0/v", NULL, NULL, &rig_err));
	MUST(snapmgr_show(rig_sm, "p0/v@undo", keep_object, &undo, &rig_err));
	ATF_CHECK_EQ(4 * SM_MIB, undo.size_bytes);
	/* One that has a right to room gets it made, though here nothing is enough. */
	ATF_CHECK_EQ(-ENOSPC, create("p0/w", "db", 512));
	ATF_CHECK(snapmgr_show(rig_sm, "p0/v@undo", NULL, NULL, &rig_err) < 0);
}

ATF_TC_WITHOUT_HEAD(an_odd_project_is_no_command_to_copy);
ATF_TC_BODY(an_odd_project_is_no_command_to_copy, tc)
{
	rig_up();
	limit("a b'; reboot", SNAPMGR_VOLUMES, 0);
	REFUSED(create("p0/v", "a b'; reboot", SM_MIB));
	SAYS("'snapmgr quota p0 --project PROJECT --volumes 1'");
	limit("--yes", SNAPMGR_VOLUMES, 0);
	REFUSED(create("p0/v", "--yes", SM_MIB));
	SAYS("--project PROJECT ");
}

ATF_TC_WITHOUT_HEAD(wrong_quotas_are_usage_errors);
ATF_TC_BODY(wrong_quotas_are_usage_errors, tc)
{
	struct snapmgr_quota_set_opts o = SNAPMGR_OPTS_INIT(struct snapmgr_quota_set_opts);
	char name[SNAPMGR_LABEL_MAX + 2];

	rig_up();
	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++)
		o.limits[i] = 1;
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	ATF_CHECK_EQ(-EINVAL, snapmgr_quota_set(rig_sm, "p0", name, &o, &rig_err));
	ATF_CHECK_EQ(-EINVAL, snapmgr_quota_set(rig_sm, "p0", "a\nb", &o, &rig_err));
	ATF_CHECK_EQ(-EINVAL, snapmgr_quota_list(rig_sm, "p0", name, NULL, NULL, &rig_err));
	ATF_CHECK_EQ(-EINVAL, snapmgr_quota_set(rig_sm, "p0/v", "", &o, &rig_err));
	o.limits[1] = (uint64_t)INT64_MAX + 1;
	ATF_CHECK_EQ(-EINVAL, snapmgr_quota_set(rig_sm, "p0", "", &o, &rig_err));
	ATF_CHECK_EQ(SNAPMGR_USAGE, rig_err.code);
	ATF_CHECK_EQ(0, in_use("", SNAPMGR_VOLUMES));
	MUST(create("p0/v", NULL, SM_MIB));
	MUST(create("p0/w", NULL, SM_MIB)); /* none of it was kept */
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_create_fits_up_to_the_limit_and_no_further);
	ATF_TP_ADD_TC(tp, the_pools_own_limit_counts_everybody);
	ATF_TP_ADD_TC(tp, a_clone_counts_for_its_sources_owner);
	ATF_TP_ADD_TC(tp, snapshots_of_one_instant_are_counted_together);
	ATF_TP_ADD_TC(tp, only_growth_is_refused);
	ATF_TP_ADD_TC(tp, a_revert_to_more_is_checked_and_one_to_less_frees);
	ATF_TP_ADD_TC(tp, a_group_is_reverted_where_the_sum_of_its_sizes_fits);
	ATF_TP_ADD_TC(tp, what_changes_hands_is_held_against_the_new_owner);
	ATF_TP_ADD_TC(tp, sizes_beyond_64_bits_are_over_every_limit);
	ATF_TP_ADD_TC(tp, a_pool_without_quotas_is_asked_nothing);
	ATF_TP_ADD_TC(tp, a_refusal_takes_no_undo_point_of_a_crowded_pool);
	ATF_TP_ADD_TC(tp, an_odd_project_is_no_command_to_copy);
	ATF_TP_ADD_TC(tp, wrong_quotas_are_usage_errors);
	return atf_no_error();
}
