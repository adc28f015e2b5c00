/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A driver that cannot revert: refused, or, where that is allowed, a clone that everything leads to. */
#include <errno.h>
#include <string.h>

#include "core_rig.h"
#include "snapmgr/core/displace.h"

#define POOL_DEV "snapmgr-p0-_pool"

static struct sm_driver driver; /* the thin driver without reverts */

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

/* p0/v with snapshots a and b, in group p0/g, a tag; b is mapped. */
static void make_volume(void)
{
	static const char *const members[] = { "v" };

	driver = sm_driver_thin;
	driver.repoint = NULL;
	rig_up();
	rig_create("p0/v");
	fake_kernel_write("snapmgr-p0-v", 1);
	rig_take("p0/v@a");
	fake_kernel_write("snapmgr-p0-v", 2);
	rig_take("p0/v@b");
	fake_kernel_write("snapmgr-p0-v", 3);
	MUST(snapmgr_set(rig_sm, "p0/v", "tag:k", "x", &rig_err));
	MUST(snapmgr_group_create(rig_sm, "p0/g", members, 1, NULL, NULL, NULL, &rig_err));
	MUST(snapmgr_activate(rig_sm, "p0/v@b", NULL, NULL, &rig_err));
}

static struct snapmgr_revert_opts allowed(void)
{
	struct snapmgr_revert_opts o = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);

	o.allow_clone = true;
	return o;
}

static struct snapmgr_object show(const char *spec)
{
	struct snapmgr_object o;

	MUST(snapmgr_show(rig_sm, spec, sm_keep_object, &o, &rig_err));
	return o;
}

ATF_TC_WITHOUT_HEAD(without_leave_for_a_clone_it_is_refused);
ATF_TC_BODY(without_leave_for_a_clone_it_is_refused, tc)
{
	struct snapmgr_revert_opts o = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	size_t thins;

	make_volume();
	thins = fake_kernel_thins(POOL_DEV);
	ATF_CHECK(!show("p0/v").revert_support);
	ATF_CHECK_EQ(-EOPNOTSUPP, snapmgr_revert(rig_sm, "p0/v@a", &o, NULL, &rig_err));
	ATF_CHECK_EQ(SNAPMGR_UNSUPPORTED, rig_err.code);
	ATF_CHECK_EQ(-EOPNOTSUPP,
		     snapmgr_set(rig_sm, "p0/v", "revert_to_snapshot_support", "on", &rig_err));
	o = allowed();
	o.strategy = "repoint";
	ATF_CHECK_EQ(-EOPNOTSUPP, snapmgr_revert(rig_sm, "p0/v@a", &o, NULL, &rig_err));
	ATF_CHECK_EQ(thins, fake_kernel_thins(POOL_DEV));
}

ATF_TC_WITHOUT_HEAD(a_clone_takes_over_what_the_old_volume_has_and_the_old_one_stays);
ATF_TC_BODY(a_clone_takes_over_what_the_old_volume_has_and_the_old_one_stays, tc)
{
	struct snapmgr_revert_opts o = allowed();
	struct snapmgr_revert_result ret;
	struct snapmgr_object old, new;

	make_volume();
	old = show("p0/v");
	o.dry_run = true;
	MUST(snapmgr_revert(rig_sm, "p0/v@a", &o, &ret, &rig_err));
	ATF_CHECK_STREQ("clone", ret.strategy);
	ATF_CHECK_STREQ("v", ret.kept);
	ATF_CHECK_STREQ(old.uuid, show("p0/v@a").snapshot_of);
	o.dry_run = false;
	MUST(snapmgr_revert(rig_sm, "p0/v@a", &o, &ret, &rig_err));
	ATF_CHECK(!ret.in_place && !ret.undo);
	ATF_CHECK_STREQ("v", ret.kept);
	ATF_CHECK_STREQ("v.1", ret.volume.name);
	new = show("p0/v.1");
	ATF_CHECK(strcmp(new.uuid, old.uuid) != 0);
	ATF_CHECK_STREQ(new.uuid, show("p0/v.1@a").snapshot_of);
	ATF_CHECK_STREQ(new.uuid, show("p0/v.1@b").snapshot_of);
	ATF_CHECK_STREQ("v.1@a", new.parent_name);
	ATF_CHECK_STREQ("g", new.group);
	ATF_CHECK_STREQ("", show("p0/v").group);
	ATF_CHECK_EQ(1, fake_kernel_read("snapmgr-p0-v.1"));
	ATF_CHECK_EQ(3, fake_kernel_read("snapmgr-p0-v"));
	ATF_CHECK(fake_kernel_exists("snapmgr-p0-v.1@b") && !fake_kernel_exists("snapmgr-p0-v@b"));
	ATF_CHECK_STREQ(old.uuid, show("p0/v").uuid);
	MUST(snapmgr_revert(rig_sm, "p0/v.1@b", &o, &ret, &rig_err));
	ATF_CHECK_STREQ("v.1.1", ret.volume.name);
	rig_take("p0/v@a"); /* its names are free again */
	rig_take("p0/v.1.1@c");
	ATF_CHECK(show("p0/v.1.1@c").sequence > show("p0/v.1.1@b").sequence);
}

ATF_TC_WITHOUT_HEAD(a_clone_that_cannot_be_committed_leaves_all_as_it_was);
ATF_TC_BODY(a_clone_that_cannot_be_committed_leaves_all_as_it_was, tc)
{
	struct snapmgr_revert_opts o = allowed();
	size_t thins;

	make_volume();
	thins = fake_kernel_thins(POOL_DEV);
	rig_io.fail_syncs = 1;
	ATF_CHECK_EQ(-EIO, snapmgr_revert(rig_sm, "p0/v@a", &o, NULL, &rig_err));
	rig_io.fail_syncs = 0;
	ATF_CHECK_EQ(thins, fake_kernel_thins(POOL_DEV));
	ATF_CHECK_STREQ(show("p0/v").uuid, show("p0/v@b").snapshot_of);
	ATF_CHECK(fake_kernel_exists("snapmgr-p0-v@b"));
	ATF_CHECK_EQ(-ENOENT, snapmgr_show(rig_sm, "p0/v.1", NULL, NULL, &rig_err));
	MUST(snapmgr_revert(rig_sm, "p0/v@a", &o, NULL, &rig_err));
	ATF_CHECK_EQ(1, fake_kernel_read("snapmgr-p0-v.1"));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, without_leave_for_a_clone_it_is_refused);
	ATF_TP_ADD_TC(tp, a_clone_takes_over_what_the_old_volume_has_and_the_old_one_stays);
	ATF_TP_ADD_TC(tp, a_clone_that_cannot_be_committed_leaves_all_as_it_was);
	return atf_no_error();
}
