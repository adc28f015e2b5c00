/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Suspending, switching and resuming: the order of calls, and the way back from each failure. */
#include <atf-c.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "fake_kernel.h"

static const struct sdm_device meta = { .name = "meta", .uuid = "SNAPMGR-u-meta" };
static const struct sdm_device data = { .name = "data", .uuid = "SNAPMGR-u-data" };
static const struct sdm_device pool = { .name = "pool", .uuid = "SNAPMGR-u-pool" };
static const struct sdm_device a = { .name = "a", .uuid = "SNAPMGR-a" };
static const struct sdm_device b = { .name = "b", .uuid = "SNAPMGR-b" };

static struct sdm_target target_a, target_b;
static const struct sdm_switch_device both[] = {
	{ .dev = &a, .target = &target_a },
	{ .dev = &b, .target = &target_b },
};

static struct sdm_switch_opts plain_opts(void)
{
	return (struct sdm_switch_opts){ .lock_fd = -1, .pool = "p0" };
}

static void require(int r, const struct snapmgr_err *err)
{
	if (r < 0)
		atf_tc_fail("%s", err->message);
}

static void map_thin(const struct sdm_device *dev, uint32_t id)
{
	struct sdm_target target;
	struct snapmgr_err err;

	require(sdm_thin_create("pool", id, &err), &err);
	sdm_thin_target("pool", id, 2048, &target);
	require(sdm_create(dev, &target, 1, NULL, &err), &err);
}

/* a and b hold 1 and 2; their targets hold 11 and 12. */
static void set_up(void)
{
	const struct sdm_pool_table table = { "meta", "data", 1280000, 500, 128, false };
	const struct sdm_target disk = { .len_sectors = 1280000,
					 .type = "linear",
					 .params = "8:0 0" };
	struct sdm_target target;
	struct snapmgr_err err;

	fake_kernel_reset();
	require(sdm_create(&meta, &disk, 1, NULL, &err), &err);
	require(sdm_create(&data, &disk, 1, NULL, &err), &err);
	sdm_pool_target(&table, &target);
	require(sdm_create(&pool, &target, 1, NULL, &err), &err);
	map_thin(&a, 11);
	fake_kernel_write("a", 11);
	require(sdm_remove(&a, NULL, &err), &err);
	map_thin(&b, 12);
	fake_kernel_write("b", 12);
	require(sdm_remove(&b, NULL, &err), &err);
	map_thin(&a, 1);
	fake_kernel_write("a", 1);
	map_thin(&b, 2);
	fake_kernel_write("b", 2);
	sdm_thin_target("pool", 11, 2048, &target_a);
	sdm_thin_target("pool", 12, 2048, &target_b);
	fake_kernel_log_clear();
}

static void check_contents(uint64_t of_a, uint64_t of_b)
{
	struct sdm_info info;

	ATF_CHECK(!fake_kernel_is_suspended("a"));
	ATF_CHECK(!fake_kernel_is_suspended("b"));
	ATF_CHECK_EQ(of_a, fake_kernel_read("a"));
	ATF_CHECK_EQ(of_b, fake_kernel_read("b"));
	ATF_CHECK(sdm_info("a", &info, NULL) == 0 && !info.has_inactive);
	ATF_CHECK(sdm_info("b", &info, NULL) == 0 && !info.has_inactive);
	ATF_CHECK_STREQ("", fake_kernel_violations());
	ATF_CHECK_EQ(0, fake_kernel_cookies());
}

static int switch_both(const struct sdm_switch_opts *opts, struct snapmgr_err *err)
{
	AUTO(sdm_switch_free) struct sdm_switch *sw = NULL;
	int r = sdm_switch_prepare(both, 2, opts, &sw, err);

	if (r == 0)
		r = sdm_switch_suspend(sw, err);
	if (r < 0)
		return r;
	sdm_switch_committed(sw);
	r = sdm_switch_resume(sw, err);
	return r < 0 ? r : sdm_switch_settle(sw, 1000, err);
}

ATF_TC_WITHOUT_HEAD(all_is_loaded_before_anything_is_suspended);
ATF_TC_BODY(all_is_loaded_before_anything_is_suspended, tc)
{
	struct sdm_switch_opts opts = plain_opts();
	struct snapmgr_err err;

	(void)tc;
	set_up();
	require(switch_both(&opts, &err), &err);
	ATF_CHECK_STREQ("arm a b\n"
			"load a thin /dev/mapper/pool 11\n"
			"load b thin /dev/mapper/pool 12\n"
			"suspend a\n"
			"suspend b\n"
			"committed\n"
			"resume b\n"
			"resume a\n"
			"dismiss\n",
			fake_kernel_log());
	check_contents(11, 12);
}

ATF_TC_WITHOUT_HEAD(every_call_that_fails_leaves_the_old_tables);
ATF_TC_BODY(every_call_that_fails_leaves_the_old_tables, tc)
{
	static const char *const calls[] = { "arm *", "load a *", "load b *", "suspend a",
					     "suspend b" };
	struct sdm_switch_opts opts = plain_opts();
	struct snapmgr_err err;

	(void)tc;
	opts.uevent = true;
	for (size_t i = 0; i < SM_ARRAY(calls); i++) {
		set_up();
		fake_kernel_set_udev(true);
		fake_kernel_fail(calls[i], 1, ENOMEM);
		ATF_CHECK_EQ_MSG(-ENOMEM, switch_both(&opts, &err), "%s", calls[i]);
		ATF_CHECK_EQ(SNAPMGR_KERNEL, err.code);
		check_contents(1, 2);
		fake_kernel_owner_dies(); /* nobody guards any more */
		check_contents(1, 2);
	}
}

ATF_TC_WITHOUT_HEAD(who_opens_what_nobody_had_open_turns_it_back);
ATF_TC_BODY(who_opens_what_nobody_had_open_turns_it_back, tc)
{
	const struct sdm_switch_device alone = {
		.dev = &a, .target = &target_a, .idle = true, .alone = true
	};
	struct sdm_switch_opts opts = plain_opts();
	struct snapmgr_err err;

	(void)tc;
	for (int openers = 0; openers <= 1; openers++) {
		AUTO(sdm_switch_free) struct sdm_switch *sw = NULL;

		set_up();
		require(sdm_switch_prepare(&alone, 1, &opts, &sw, &err), &err);
		fake_kernel_open("a", openers);
		ATF_CHECK_EQ(openers ? -EAGAIN : 0, sdm_switch_suspend(sw, &err));
		if (!openers) {
			sdm_switch_committed(sw);
			require(sdm_switch_resume(sw, &err), &err);
		}
		check_contents(openers ? 1 : 11, 2);
	}
}

ATF_TC_WITHOUT_HEAD(a_frozen_filesystem_is_in_use);
ATF_TC_BODY(a_frozen_filesystem_is_in_use, tc)
{
	struct sdm_switch_opts opts = plain_opts();
	struct snapmgr_err err;

	(void)tc;
	set_up();
	fake_kernel_fail("suspend b", 1, EBUSY);
	ATF_CHECK_EQ(-EBUSY, switch_both(&opts, &err));
	ATF_CHECK_EQ(SNAPMGR_IN_USE, err.code);
	ATF_CHECK(strstr(err.message, "'b' is frozen") != NULL);
	check_contents(1, 2);
}

ATF_TC_WITHOUT_HEAD(an_interruption_before_the_time_is_up_is_tried_again);
ATF_TC_BODY(an_interruption_before_the_time_is_up_is_tried_again, tc)
{
	struct sdm_switch_opts opts = plain_opts();
	struct snapmgr_err err;

	(void)tc;
	set_up();
	fake_kernel_fail("suspend b", 1, EINTR);
	require(switch_both(&opts, &err), &err);
	ATF_CHECK_EQ(2, fake_kernel_count("suspend b"));
	check_contents(11, 12);
}

static void interrupted_late(const char *line, void *arg)
{
	(void)arg;
	if (strcmp(line, "suspend b") == 0)
		(void)usleep(60000);
}

ATF_TC_WITHOUT_HEAD(a_suspend_that_lasts_too_long_is_in_use);
ATF_TC_BODY(a_suspend_that_lasts_too_long_is_in_use, tc)
{
	struct sdm_switch_opts opts = plain_opts();
	struct snapmgr_err err;

	(void)tc;
	set_up();
	opts.timeout_ms = 30;
	fake_kernel_before(interrupted_late, NULL);
	fake_kernel_fail("suspend b", 1, EINTR);
	ATF_CHECK_EQ(-ETIMEDOUT, switch_both(&opts, &err));
	ATF_CHECK_EQ(SNAPMGR_IN_USE, err.code);
	check_contents(1, 2);
}

ATF_TC_WITHOUT_HEAD(one_that_goes_back_is_as_it_was);
ATF_TC_BODY(one_that_goes_back_is_as_it_was, tc)
{
	struct sdm_switch_opts opts = plain_opts();
	struct sdm_switch *sw = NULL;
	struct snapmgr_err err;

	(void)tc;
	set_up();
	require(sdm_switch_prepare(both, 2, &opts, &sw, &err), &err);
	require(sdm_switch_suspend(sw, &err), &err);
	ATF_CHECK(fake_kernel_is_suspended("a"));
	sdm_switch_back(sw);
	check_contents(1, 2);
	fake_kernel_log_clear();
	sdm_switch_back(sw);
	sdm_switch_free(sw);
	ATF_CHECK_STREQ("", fake_kernel_log());
}

ATF_TC_WITHOUT_HEAD(freeing_one_that_is_suspended_takes_it_back);
ATF_TC_BODY(freeing_one_that_is_suspended_takes_it_back, tc)
{
	struct sdm_switch_opts opts = plain_opts();
	struct sdm_switch *sw = NULL;
	struct snapmgr_err err;

	(void)tc;
	set_up();
	require(sdm_switch_prepare(both, 2, &opts, &sw, &err), &err);
	require(sdm_switch_suspend(sw, &err), &err);
	sdm_switch_free(sw);
	check_contents(1, 2);
	sdm_switch_free(NULL);
}

ATF_TC_WITHOUT_HEAD(a_resume_that_fails_once_is_tried_again);
ATF_TC_BODY(a_resume_that_fails_once_is_tried_again, tc)
{
	struct sdm_switch_opts opts = plain_opts();
	struct snapmgr_err err;

	(void)tc;
	set_up();
	fake_kernel_fail("resume b", 1, ENOMEM);
	require(switch_both(&opts, &err), &err);
	check_contents(11, 12);
}

ATF_TC_WITHOUT_HEAD(one_that_cannot_be_resumed_is_left_to_the_guard);
ATF_TC_BODY(one_that_cannot_be_resumed_is_left_to_the_guard, tc)
{
	struct sdm_switch_opts opts = plain_opts();
	struct snapmgr_err err;

	(void)tc;
	set_up();
	for (int i = 0; i < 3; i++)
		fake_kernel_fail("resume b", 1, ENOMEM);
	ATF_CHECK_EQ(-ENOMEM, switch_both(&opts, &err));
	ATF_CHECK_EQ(1, fake_kernel_count("resume a"));
	ATF_CHECK_EQ(1, fake_kernel_count("abandon"));
	check_contents(11, 12); /* the guard did it */
}

ATF_TC_WITHOUT_HEAD(only_suspended_is_not_switched);
ATF_TC_BODY(only_suspended_is_not_switched, tc)
{
	const struct sdm_switch_device member = { .dev = &a };
	struct sdm_switch_opts opts = plain_opts();
	struct sdm_switch *sw = NULL;
	struct snapmgr_err err;

	(void)tc;
	set_up();
	require(sdm_switch_prepare(&member, 1, &opts, &sw, &err), &err);
	require(sdm_switch_suspend(sw, &err), &err);
	require(sdm_thin_snap("pool", 20, 1, &err), &err);
	require(sdm_switch_resume(sw, &err), &err);
	ATF_CHECK(sdm_switch_suspended_ns(sw) > 0);
	sdm_switch_free(sw);
	ATF_CHECK_STREQ("arm a\nsuspend a\nmessage pool create_snap 20 1\nresume a\ndismiss\n",
			fake_kernel_log());
	check_contents(1, 2);
}

ATF_TC_WITHOUT_HEAD(signals_are_blocked_only_while_suspended);
ATF_TC_BODY(signals_are_blocked_only_while_suspended, tc)
{
	struct sdm_switch_opts opts = plain_opts();
	struct sdm_switch *sw = NULL;
	struct snapmgr_err err;
	sigset_t now;

	(void)tc;
	set_up();
	require(sdm_switch_prepare(both, 2, &opts, &sw, &err), &err);
	(void)pthread_sigmask(SIG_BLOCK, NULL, &now);
	ATF_CHECK(!sigismember(&now, SIGTERM));
	require(sdm_switch_suspend(sw, &err), &err);
	(void)pthread_sigmask(SIG_BLOCK, NULL, &now);
	ATF_CHECK(sigismember(&now, SIGTERM) && sigismember(&now, SIGINT) &&
		  sigismember(&now, SIGALRM));
	require(sdm_switch_resume(sw, &err), &err);
	(void)pthread_sigmask(SIG_BLOCK, NULL, &now);
	ATF_CHECK(!sigismember(&now, SIGTERM));
	sdm_switch_free(sw);
}

ATF_TC_WITHOUT_HEAD(an_owner_that_dies_anywhere_leaves_all_old_or_all_new);
ATF_TC_BODY(an_owner_that_dies_anywhere_leaves_all_old_or_all_new, tc)
{
	struct sdm_switch_opts opts = plain_opts();
	struct sdm_switch *sw;
	struct snapmgr_err err;

	(void)tc;
	for (int until = 0; until < 4; until++) {
		set_up();
		sw = NULL;
		require(sdm_switch_prepare(both, 2, &opts, &sw, &err), &err);
		if (until > 0)
			require(sdm_switch_suspend(sw, &err), &err);
		if (until > 1)
			sdm_switch_committed(sw);
		if (until > 2)
			require(sdm_switch_resume(sw, &err), &err);
		fake_kernel_owner_dies();
		check_contents(until > 1 ? 11 : 1, until > 1 ? 12 : 2);
		sdm_switch_free(sw);
	}
}

ATF_TC_WITHOUT_HEAD(healing_follows_the_commit_of_a_suspended_device);
ATF_TC_BODY(healing_follows_the_commit_of_a_suspended_device, tc)
{
	struct snapmgr_err err;

	(void)tc;
	for (int forward = 0; forward < 2; forward++) {
		set_up();
		require(sdm_load(&a, &target_a, 1, &err), &err);
		require(sdm_suspend("a", 0, NULL, &err), &err);
		ATF_CHECK_EQ(1, sdm_switch_heal(&a, forward, &err));
		check_contents(forward ? 11 : 1, 2);
		ATF_CHECK_EQ(0, sdm_switch_heal(&a, forward, &err));
	}
}

ATF_TC_WITHOUT_HEAD(healing_leaves_a_running_device_at_its_live_table);
ATF_TC_BODY(healing_leaves_a_running_device_at_its_live_table, tc)
{
	const struct sdm_device gone = { .name = "gone" };
	struct snapmgr_err err;

	(void)tc;
	set_up();
	require(sdm_load(&a, &target_a, 1, &err), &err);
	ATF_CHECK_EQ(1, sdm_switch_heal(&a, true, &err));
	check_contents(1, 2);
	ATF_CHECK_EQ(0, sdm_switch_heal(&a, true, &err));
	ATF_CHECK_EQ(0, sdm_switch_heal(&gone, true, &err));
	fake_kernel_fail("clear a", 1, EIO);
	require(sdm_load(&a, &target_a, 1, &err), &err);
	ATF_CHECK_EQ(-EIO, sdm_switch_heal(&a, true, &err));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, all_is_loaded_before_anything_is_suspended);
	ATF_TP_ADD_TC(tp, every_call_that_fails_leaves_the_old_tables);
	ATF_TP_ADD_TC(tp, who_opens_what_nobody_had_open_turns_it_back);
	ATF_TP_ADD_TC(tp, a_frozen_filesystem_is_in_use);
	ATF_TP_ADD_TC(tp, an_interruption_before_the_time_is_up_is_tried_again);
	ATF_TP_ADD_TC(tp, a_suspend_that_lasts_too_long_is_in_use);
	ATF_TP_ADD_TC(tp, one_that_goes_back_is_as_it_was);
	ATF_TP_ADD_TC(tp, freeing_one_that_is_suspended_takes_it_back);
	ATF_TP_ADD_TC(tp, a_resume_that_fails_once_is_tried_again);
	ATF_TP_ADD_TC(tp, one_that_cannot_be_resumed_is_left_to_the_guard);
	ATF_TP_ADD_TC(tp, only_suspended_is_not_switched);
	ATF_TP_ADD_TC(tp, signals_are_blocked_only_while_suspended);
	ATF_TP_ADD_TC(tp, an_owner_that_dies_anywhere_leaves_all_old_or_all_new);
	ATF_TP_ADD_TC(tp, healing_follows_the_commit_of_a_suspended_device);
	ATF_TP_ADD_TC(tp, healing_leaves_a_running_device_at_its_live_table);
	return atf_no_error();
}
