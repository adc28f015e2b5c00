/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What fails in the middle of a revert, and what is true then.
 *
 * The linker hands us the calls of the library named here (--wrap, see the Makefile); all else is real.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../pool_lab.h"
#include "snapmgr/catalogue/catalogue.h"

#define SIZE (4 * SM_MIB)

int __real_scat_commit(struct scat *cat, bool durable, struct snapmgr_err *err);
int __wrap_scat_commit(struct scat *cat, bool durable, struct snapmgr_err *err);
int __real_scat_open(const char *device, const struct sm_uuid *uuid, enum scat_use use,
		     struct scat **ret, struct snapmgr_err *err);
int __wrap_scat_open(const char *device, const struct sm_uuid *uuid, enum scat_use use,
		     struct scat **ret, struct snapmgr_err *err);
int __real_sdm_resume(const struct sdm_device *dev, struct sdm_cookie *cookie,
		      struct snapmgr_err *err);
int __wrap_sdm_resume(const struct sdm_device *dev, struct sdm_cookie *cookie,
		      struct snapmgr_err *err);
int __real_sdm_load(const struct sdm_device *dev, const struct sdm_target *targets, size_t n,
		    struct snapmgr_err *err);
int __wrap_sdm_load(const struct sdm_device *dev, const struct sdm_target *targets, size_t n,
		    struct snapmgr_err *err);

/* How the next durable commit goes, and what comes after it. */
static enum { COMMITS, NOT_DONE, DONE_BUT_FAILS, DONE_BUT_DIES } commit_goes;
static int opens_fail, resumes_fail, loads_fail;

int __wrap_scat_commit(struct scat *cat, bool durable, struct snapmgr_err *err)
{
	int r;

	if (!durable || commit_goes == COMMITS)
		return __real_scat_commit(cat, durable, err);
	r = commit_goes != NOT_DONE ? __real_scat_commit(cat, durable, err) : 0;
	if (commit_goes == DONE_BUT_DIES)
		(void)kill(getpid(), SIGKILL);
	commit_goes = COMMITS;
	return r < 0 ? r : sm_fail(err, SNAPMGR_IO, EIO, "cannot flush the catalogue");
}

int __wrap_scat_open(const char *device, const struct sm_uuid *uuid, enum scat_use use,
		     struct scat **ret, struct snapmgr_err *err)
{
	if (use != SCAT_READ && opens_fail > 0 && commit_goes == COMMITS && opens_fail-- > 0)
		return sm_fail(err, SNAPMGR_IO, EIO, "cannot open '%s'", device);
	return __real_scat_open(device, uuid, use, ret, err);
}

int __wrap_sdm_resume(const struct sdm_device *dev, struct sdm_cookie *cookie,
		      struct snapmgr_err *err)
{
	if (resumes_fail > 0 && strcmp(dev->name, "snapmgr-p-v") == 0 && resumes_fail-- > 0)
		return sm_fail(err, SNAPMGR_KERNEL, ENOMEM, "cannot resume '%s'", dev->name);
	return __real_sdm_resume(dev, cookie, err);
}

int __wrap_sdm_load(const struct sdm_device *dev, const struct sdm_target *targets, size_t n,
		    struct snapmgr_err *err)
{
	if (loads_fail > 0 && loads_fail-- > 0)
		return sm_fail(err, SNAPMGR_KERNEL, ENOMEM, "cannot load '%s'", dev->name);
	return __real_sdm_load(dev, targets, n, err);
}

static void make_volume(void)
{
	lab_up();
	lab_create("p/v", SIZE);
	lab_write(lab_node("p/v"), 0, SIZE, 's', LAB_DIRECT);
	lab_snapshot("p/v@s");
	lab_write(lab_node("p/v"), 0, SIZE, 'h', LAB_DIRECT);
}

static bool head_is(char seed)
{
	return lab_holds(lab_node("p/v"), 0, SIZE, (uint64_t)seed, LAB_DIRECT);
}

/* Wholly old: no way back is needed, and no id is left. */
static void check_old(void)
{
	ATF_CHECK(head_is('h'));
	ATF_CHECK_EQ(0, lab_undo_points("p/v"));
	lab_check_rest();
	lab_revert("p/v@s");
	ATF_CHECK(head_is('s'));
}

/* Wholly new, with the way back. */
static void check_new(void)
{
	ATF_CHECK(head_is('s'));
	ATF_CHECK_EQ(1, lab_undo_points("p/v"));
	lab_check_rest();
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK(head_is('h'));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_table_that_is_refused_changes_nothing);
ATF_TC_BODY(a_table_that_is_refused_changes_nothing, tc)
{
	make_volume();
	loads_fail = 1;
	LAB_REFUSED(SNAPMGR_KERNEL, snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	check_old();
}

static int last_message(const struct snapmgr_message *m, void *data)
{
	*(struct snapmgr_message *)data = *m;
	return 0;
}

ATF_TC_WITHOUT_HEAD(a_revert_that_failed_leaves_a_message_with_its_code);
ATF_TC_BODY(a_revert_that_failed_leaves_a_message_with_its_code, tc)
{
	struct snapmgr_message m = { .text = "" };
	struct snapmgr_object v;

	make_volume();
	lab_show("p/v", &v);
	loads_fail = 1;
	LAB_REFUSED(SNAPMGR_KERNEL, snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	LAB_DO(snapmgr_messages(lab, "p/v", NULL, last_message, &m, &err));
	ATF_CHECK_STREQ("error", m.level);
	ATF_CHECK_STREQ("revert", m.verb);
	ATF_CHECK_STREQ("kernel", m.code);
	ATF_CHECK_STREQ(v.uuid, m.object);
	ATF_CHECK_MSG(strstr(m.text, lab_message), "not '%s' in: %s", lab_message, m.text);
	loads_fail = 1; /* and with nowhere to put the reason */
	ATF_CHECK(snapmgr_revert(lab, "p/v@s", NULL, NULL, NULL) < 0);
	check_old();
}

ATF_TC_WITHOUT_HEAD(a_commit_that_fails_changes_nothing);
ATF_TC_BODY(a_commit_that_fails_changes_nothing, tc)
{
	make_volume();
	commit_goes = NOT_DONE;
	LAB_REFUSED(SNAPMGR_IO, snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	check_old();
}

ATF_TC_WITHOUT_HEAD(a_commit_that_only_seemed_to_fail_is_a_revert);
ATF_TC_BODY(a_commit_that_only_seemed_to_fail_is_a_revert, tc)
{
	make_volume();
	commit_goes = DONE_BUT_FAILS;
	lab_revert("p/v@s");
	check_new();
}

ATF_TC_WITHOUT_HEAD(a_lost_commit_of_unknown_outcome_is_found_out_by_recovery);
ATF_TC_BODY(a_lost_commit_of_unknown_outcome_is_found_out_by_recovery, tc)
{
	make_volume();
	commit_goes = NOT_DONE;
	opens_fail = 2;
	LAB_REFUSED(SNAPMGR_IO, snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	ATF_CHECK_MSG(strstr(lab_warnings, "snapmgr recover p"), "no warning: %s", lab_warnings);
	ATF_CHECK(head_is('h'));
	LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
	check_old();
}

ATF_TC_WITHOUT_HEAD(a_done_commit_of_unknown_outcome_follows_what_runs);
ATF_TC_BODY(a_done_commit_of_unknown_outcome_follows_what_runs, tc)
{
	make_volume();
	commit_goes = DONE_BUT_FAILS;
	opens_fail = 2;
	LAB_REFUSED(SNAPMGR_IO, snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	ATF_CHECK_MSG(strstr(lab_warnings, "snapmgr recover p"), "no warning: %s", lab_warnings);
	lab_write(lab_node("p/v"), 0, SIZE, 'h',
		  LAB_DIRECT); /* accepted after: never thrown away */
	LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
	check_old();
}

/* Each reads otherwise: 1 is the newest. */
static void check_undo_points(void)
{
	ATF_CHECK_EQ(3, lab_undo_points("p/v"));
	for (uint64_t i = 0; i < 3; i++) {
		char spec[32];

		(void)snprintf(spec, sizeof(spec), "p/v@undo~%ju", (uintmax_t)i);
		LAB_DO(snapmgr_activate(lab, spec, NULL, NULL, &err));
		ATF_CHECK_MSG(lab_holds(lab_node(spec), 0, SIZE, i + 1, LAB_DIRECT), "%s", spec);
		LAB_DO(snapmgr_deactivate(lab, spec, &err));
	}
}

ATF_TC_WITHOUT_HEAD(a_revert_that_went_back_gives_back_the_undo_point_that_it_pushed_out);
ATF_TC_BODY(a_revert_that_went_back_gives_back_the_undo_point_that_it_pushed_out, tc)
{
	make_volume();
	for (uint64_t i = 3; i > 0; i--) {
		lab_write(lab_node("p/v"), 0, SIZE, i, LAB_DIRECT);
		lab_revert("p/v@s");
	}
	lab_write(lab_node("p/v"), 0, SIZE, 'h', LAB_DIRECT);
	commit_goes = DONE_BUT_FAILS;
	opens_fail = 2;
	LAB_REFUSED(SNAPMGR_IO, snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
	ATF_CHECK(head_is('h'));
	check_undo_points();
	lab_check_rest();
	lab_revert("p/v@s"); /* and this one goes on: the oldest goes now */
	ATF_CHECK_EQ(3, lab_undo_points("p/v"));
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK(head_is('h'));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(an_unknown_outcome_of_an_inactive_volume_is_the_catalogues);
ATF_TC_BODY(an_unknown_outcome_of_an_inactive_volume_is_the_catalogues, tc)
{
	make_volume();
	LAB_DO(snapmgr_deactivate(lab, "p/v", &err));
	commit_goes = DONE_BUT_FAILS;
	opens_fail = 2;
	LAB_REFUSED(SNAPMGR_IO, snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	LAB_DO(snapmgr_activate(lab, "p/v", NULL, NULL, &err));
	check_new();
}

ATF_TC_WITHOUT_HEAD(a_resume_that_fails_after_the_commit_goes_forward);
ATF_TC_BODY(a_resume_that_fails_after_the_commit_goes_forward, tc)
{
	make_volume();
	resumes_fail = 3; /* as often as it is tried: then the guard goes on, and recovery */
	LAB_REFUSED(SNAPMGR_KERNEL, snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	lab_sleep_ms(500);
	LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
	check_new();
}

ATF_TC_WITHOUT_HEAD(an_undo_whose_commit_is_of_unknown_outcome_loses_neither_head);
ATF_TC_BODY(an_undo_whose_commit_is_of_unknown_outcome_loses_neither_head, tc)
{
	make_volume();
	lab_revert("p/v@s");
	commit_goes = DONE_BUT_FAILS;
	opens_fail = 2;
	LAB_REFUSED(SNAPMGR_IO, snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK(head_is('s'));
	LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
	check_new();
}

static int keep_volume(const struct snapmgr_object *o, void *data)
{
	struct snapmgr_object *ret = data;

	if (strcmp(o->name, "v") == 0)
		*ret = *o;
	return 0;
}

/* One volume that cannot be put right keeps nobody else from working, and is retried. */
ATF_TC_WITHOUT_HEAD(a_volume_that_cannot_be_healed_says_so_and_keeps_no_other_one_from_working);
ATF_TC_BODY(a_volume_that_cannot_be_healed_says_so_and_keeps_no_other_one_from_working, tc)
{
	struct snapmgr_object v;

	make_volume();
	lab_create("p/w", SIZE);
	commit_goes = NOT_DONE;
	opens_fail = 2; /* the operation stays */
	LAB_REFUSED(SNAPMGR_IO, snapmgr_revert(lab, "p/v@s", NULL, NULL, &err));
	{
		struct snapmgr_object o;

		lab_show("p/v", &o);
		LAB_DO(sdm_suspend(o.dm_name, 0, NULL, &err));
	}
	resumes_fail = 1000;
	lab_snapshot("p/w@x");
	LAB_DO(snapmgr_list(lab, "p", NULL, keep_volume, &v, &err));
	ATF_CHECK_STREQ("reverting_error", v.state);
	LAB_REFUSED(SNAPMGR_BAD_STATE, snapmgr_snapshot(lab, (const char *const[]){ "p/v@t" }, 1,
							NULL, NULL, NULL, &err));
	resumes_fail = 0;
	lab_snapshot("p/w@y");
	check_old();
}

/* After that nobody but its guard knows of the volume. */
static void revert_and_die(const char *recover_program)
{
	int status;
	pid_t pid;

	make_volume();
	lab_recover_program = recover_program;
	pid = fork();
	if (pid == 0) {
		lab_reopen();
		commit_goes = DONE_BUT_DIES;
		(void)snapmgr_revert(lab, "p/v@s", NULL, NULL, NULL);
		_exit(1);
	}
	lab_recover_program = NULL;
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	ATF_REQUIRE(WIFSIGNALED(status));
}

/* Return: for how long somebody who writes has to wait, in ms. */
static uint64_t wait_for_resume(void)
{
	const uint64_t start_ns = sm_monotonic_ns();
	struct sdm_info info;

	do {
		lab_sleep_ms(5);
		LAB_DO(sdm_info("snapmgr-p-v", &info, &err));
	} while (info.suspended && sm_monotonic_ns() - start_ns < UINT64_C(60000000000));
	return (sm_monotonic_ns() - start_ns) / 1000000;
}

ATF_TC_WITHOUT_HEAD(an_owner_that_dies_after_its_commit_leaves_what_it_committed);
ATF_TC_BODY(an_owner_that_dies_after_its_commit_leaves_what_it_committed, tc)
{
	revert_and_die("snapmgr");
	(void)wait_for_resume();
	ATF_CHECK(head_is('s'));
	check_new();
}

ATF_TC_WITHOUT_HEAD(where_nothing_can_read_the_catalogue_the_old_head_runs_on);
ATF_TC_BODY(where_nothing_can_read_the_catalogue_the_old_head_runs_on, tc)
{
	revert_and_die("/bin/false");
	(void)wait_for_resume();
	lab_write(lab_node("p/v"), 0, SIZE, 'h', LAB_DIRECT); /* accepted: never thrown away */
	LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
	check_old();
}

/* As a program does that lies on what is suspended. */
ATF_TC_WITHOUT_HEAD(who_writes_waits_for_a_bounded_time_where_recovery_hangs);
ATF_TC_BODY(who_writes_waits_for_a_bounded_time_where_recovery_hangs, tc)
{
	uint64_t ms;

	lab_run("printf '#!/bin/sh\\n[ -z \"$SNAPMGR_LOCK_FD\" ] || sleep 1000\\n' >/tmp/hang; "
		"chmod +x /tmp/hang");
	revert_and_die("/tmp/hang");
	ms = wait_for_resume();
	ATF_CHECK_MSG(ms > 5000 && ms < 30000, "%ju ms", (uintmax_t)ms);
	lab_write(lab_node("p/v"), 0, SIZE, 'h', LAB_DIRECT);
	LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
	check_old();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_table_that_is_refused_changes_nothing);
	ATF_TP_ADD_TC(tp, a_revert_that_failed_leaves_a_message_with_its_code);
	ATF_TP_ADD_TC(tp, a_commit_that_fails_changes_nothing);
	ATF_TP_ADD_TC(tp, a_commit_that_only_seemed_to_fail_is_a_revert);
	ATF_TP_ADD_TC(tp, a_lost_commit_of_unknown_outcome_is_found_out_by_recovery);
	ATF_TP_ADD_TC(tp, a_done_commit_of_unknown_outcome_follows_what_runs);
	ATF_TP_ADD_TC(tp, a_revert_that_went_back_gives_back_the_undo_point_that_it_pushed_out);
	ATF_TP_ADD_TC(tp, an_unknown_outcome_of_an_inactive_volume_is_the_catalogues);
	ATF_TP_ADD_TC(tp, a_resume_that_fails_after_the_commit_goes_forward);
	ATF_TP_ADD_TC(tp, an_undo_whose_commit_is_of_unknown_outcome_loses_neither_head);
	ATF_TP_ADD_TC(tp,
		      a_volume_that_cannot_be_healed_says_so_and_keeps_no_other_one_from_working);
	ATF_TP_ADD_TC(tp, an_owner_that_dies_after_its_commit_leaves_what_it_committed);
	ATF_TP_ADD_TC(tp, where_nothing_can_read_the_catalogue_the_old_head_runs_on);
	ATF_TP_ADD_TC(tp, who_writes_waits_for_a_bounded_time_where_recovery_hangs);
	return atf_no_error();
}
