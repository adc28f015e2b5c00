/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a driver can do is which slots it fills: reports and strategies follow the table. */
#include <atf-c.h>
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"
#include "snapmgr/core/strategy.h"

static struct sm_driver driver; /* the thin driver, or less */

/* Instead of the registry's. */
const struct sm_driver *sm_driver_at(size_t i)
{
	return i == 0 ? &driver : NULL;
}

int sm_driver_find(const char *name, const struct sm_driver **ret, struct snapmgr_err *err)
{
	(void)name;
	(void)err;
	*ret = &driver;
	return 0;
}

static const char *ways[SM_WAYS];

static int keep(const struct snapmgr_capability *cap, void *data)
{
	struct snapmgr_capability *ret = data;

	*ret = *cap;
	for (size_t i = 0; i < SM_ARRAY(ways); i++) {
		ways[i] = cap->strategies[i];
		if (!ways[i])
			break;
	}
	ret->strategies = ways;
	return 0;
}

static struct snapmgr_capability capability(void)
{
	struct snapmgr_capability cap;
	struct snapmgr *sm;

	ATF_REQUIRE_EQ(0, snapmgr_open(NULL, &sm, NULL));
	ATF_REQUIRE_EQ(0, snapmgr_capabilities(sm, NULL, keep, &cap, NULL));
	snapmgr_free(sm);
	return cap;
}

ATF_TC_WITHOUT_HEAD(a_full_table_can_everything);
ATF_TC_BODY(a_full_table_can_everything, tc)
{
	struct snapmgr_capability cap;

	driver = sm_driver_thin;
	cap = capability();
	ATF_CHECK_STREQ("thin", cap.driver);
	ATF_CHECK(cap.snapshot_support);
	ATF_CHECK(cap.revert_to_snapshot_support);
	ATF_CHECK(cap.create_share_from_snapshot_support);
	ATF_CHECK(cap.in_place);
	ATF_CHECK(cap.online);
	ATF_CHECK(cap.resize && cap.group_revert && cap.keep_snapshots);
	ATF_CHECK_STREQ("repoint", cap.strategies[0]);
}

ATF_TC_WITHOUT_HEAD(without_repoint_every_report_of_a_revert_flips);
ATF_TC_BODY(without_repoint_every_report_of_a_revert_flips, tc)
{
	struct sm_strategy strategy = { .name = "before" };
	struct sm_choice choice = { .driver = &driver };
	struct snapmgr_capability cap;
	struct snapmgr_err err;

	driver = sm_driver_thin;
	driver.repoint = NULL;
	cap = capability();
	ATF_CHECK(cap.snapshot_support);
	ATF_CHECK(!cap.revert_to_snapshot_support);
	ATF_CHECK(cap.create_share_from_snapshot_support);
	ATF_CHECK(!cap.in_place);
	ATF_CHECK(!cap.online);
	ATF_CHECK(!cap.resize && !cap.group_revert);
	ATF_CHECK(!cap.strategies[0]);
	ATF_CHECK_EQ(-EOPNOTSUPP, sm_strategy_choose(&choice, &strategy, &err));
	ATF_CHECK_EQ(SNAPMGR_UNSUPPORTED, err.code);
	choice.forced = "repoint";
	ATF_CHECK_EQ(-EOPNOTSUPP, sm_strategy_choose(&choice, &strategy, &err));
	ATF_CHECK_STREQ("before", strategy.name);
}

ATF_TC_WITHOUT_HEAD(without_snapshots_there_are_no_reverts_and_no_clones);
ATF_TC_BODY(without_snapshots_there_are_no_reverts_and_no_clones, tc)
{
	struct snapmgr_capability cap;

	driver = sm_driver_thin;
	driver.snapshot = NULL;
	cap = capability();
	ATF_CHECK(!cap.snapshot_support);
	ATF_CHECK(!cap.revert_to_snapshot_support);
	ATF_CHECK(!cap.create_share_from_snapshot_support);
	driver = sm_driver_thin;
	driver.copy = NULL;
	cap = capability();
	ATF_CHECK(cap.snapshot_support);
	ATF_CHECK(!cap.create_share_from_snapshot_support);
}

ATF_TC_WITHOUT_HEAD(without_differences_there_is_no_merge);
ATF_TC_BODY(without_differences_there_is_no_merge, tc)
{
	driver = sm_driver_thin;
	ATF_CHECK_STREQ("merge", capability().strategies[1]);
	driver.diff = NULL;
	ATF_CHECK_STREQ("copy", capability().strategies[1]);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_full_table_can_everything);
	ATF_TP_ADD_TC(tp, without_repoint_every_report_of_a_revert_flips);
	ATF_TP_ADD_TC(tp, without_snapshots_there_are_no_reverts_and_no_clones);
	ATF_TP_ADD_TC(tp, without_differences_there_is_no_merge);
	return atf_no_error();
}
