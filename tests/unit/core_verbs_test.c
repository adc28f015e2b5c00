/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is left, and what is not, where a verb fails between two of its steps. */
#include <atf-c.h>
#include <errno.h>
#include <string.h>

#include "snapmgr/core/displace.h"
#include "tests/unit/core_rig.h"

static bool exists(const char *spec)
{
	return snapmgr_show(rig_sm, spec, NULL, NULL, NULL) == 0;
}

static unsigned int operations(void)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	int64_t n = 0;

	MUST(sm_find(rig_sm, "p0", SM_WANT_POOL, false, &f, &rig_err));
	MUST(scat_number(f.pool.cat, "SELECT count(*) FROM operations", NULL, &n, &rig_err));
	return (unsigned int)n;
}

static void check_clean(void)
{
	ATF_CHECK_EQ(0, operations());
	ATF_CHECK_STREQ("", fake_kernel_violations());
	ATF_CHECK_EQ(0, fake_kernel_cookies());
}

ATF_TC_WITHOUT_HEAD(an_id_that_a_dead_process_made_is_deleted_and_made_again);
ATF_TC_BODY(an_id_that_a_dead_process_made_is_deleted_and_made_again, tc)
{
	rig_up();
	MUST(sdm_thin_create(POOL_DEV, 1, &rig_err)); /* made, and never committed */
	fake_kernel_log_clear();
	rig_create("p0/v");
	ATF_CHECK_EQ(1, rig_thin("p0/v"));
	ATF_CHECK_EQ(2, fake_kernel_count("message " POOL_DEV " create_thin 1"));
	ATF_CHECK_EQ(1, fake_kernel_count("message " POOL_DEV " delete 1"));
	MUST(sdm_thin_create(POOL_DEV, 2, &rig_err));
	rig_take("p0/v@s1");
	ATF_CHECK_EQ(2, rig_thin("p0/v@s1"));
	ATF_CHECK_EQ(1, fake_kernel_count("message " POOL_DEV " delete 2"));
	check_clean();
}

ATF_TC_WITHOUT_HEAD(an_id_that_a_row_names_is_never_deleted_for_another);
ATF_TC_BODY(an_id_that_a_row_names_is_never_deleted_for_another, tc)
{
	struct snapmgr_create_opts o = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);
	struct scat *cat;
	struct scat_pool row;

	o.size_bytes = SM_MIB;
	rig_up();
	rig_create("p0/v");
	cat = rig_open(true);
	MUST(scat_pool_get(cat, &row, &rig_err));
	row.next_thin = 1; /* a counter that went back */
	MUST(scat_begin(cat, &rig_err));
	MUST(scat_pool_put(cat, &row, &rig_err));
	MUST(scat_commit(cat, true, &rig_err));
	scat_close(cat);
	ATF_CHECK_EQ(-EUCLEAN, snapmgr_create(rig_sm, "p0/w", &o, NULL, NULL, &rig_err));
	ATF_CHECK_EQ(SNAPMGR_DAMAGED, rig_err.code);
	ATF_CHECK_MSG(strstr(rig_err.message, "pool check p0"), "%s", rig_err.message);
	ATF_CHECK(fake_kernel_has_thin(POOL_DEV, 1));
	ATF_CHECK(!exists("p0/w"));
}

ATF_TC_WITHOUT_HEAD(a_revert_forgets_the_copy_when_the_commit_fails);
ATF_TC_BODY(a_revert_forgets_the_copy_when_the_commit_fails, tc)
{
	uint32_t head;

	rig_up();
	rig_create("p0/v");
	fake_kernel_write("snapmgr-p0-v", 1);
	rig_take("p0/v@s1");
	fake_kernel_write("snapmgr-p0-v", 2);
	head = rig_thin("p0/v");
	rig_io.fail_syncs = 1;
	ATF_CHECK_EQ(-EIO, snapmgr_revert(rig_sm, "p0/v@s1", NULL, NULL, &rig_err));
	ATF_CHECK_EQ(SNAPMGR_IO, rig_err.code);
	rig_io.fail_syncs = 0;
	ATF_CHECK(!fake_kernel_is_suspended("snapmgr-p0-v"));
	ATF_CHECK_EQ(2, fake_kernel_read("snapmgr-p0-v"));
	ATF_CHECK_EQ(head, rig_thin("p0/v"));
	ATF_CHECK_EQ_MSG(3, fake_kernel_thins(POOL_DEV), "%s", fake_kernel_log()); /* 0, head, s1 */
	MUST(snapmgr_revert(rig_sm, "p0/v@s1", NULL, NULL, &rig_err));
	ATF_CHECK_EQ(1, fake_kernel_read("snapmgr-p0-v"));
	check_clean();
}

ATF_TC_WITHOUT_HEAD(a_volume_that_cannot_be_mapped_is_not_left_behind);
ATF_TC_BODY(a_volume_that_cannot_be_mapped_is_not_left_behind, tc)
{
	struct snapmgr_create_opts o = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);

	o.size_bytes = SM_MIB;
	rig_up();
	fake_kernel_fail("create snapmgr-p0-v *", 1, EBUSY);
	ATF_CHECK_EQ(-EBUSY, snapmgr_create(rig_sm, "p0/v", &o, NULL, NULL, &rig_err));
	ATF_CHECK(!exists("p0/v"));
	ATF_CHECK_EQ(1, fake_kernel_thins(POOL_DEV));
	check_clean();
	rig_create("p0/v");
}

ATF_TC_WITHOUT_HEAD(snapshots_that_cannot_all_be_made_leave_none);
ATF_TC_BODY(snapshots_that_cannot_all_be_made_leave_none, tc)
{
	const char *const both[] = { "p0/a@s", "p0/b@s" };

	rig_up();
	rig_create("p0/a");
	rig_create("p0/b");
	fake_kernel_fail("message * create_snap *", 2, ENOSPC);
	ATF_CHECK(snapmgr_snapshot(rig_sm, both, 2, NULL, NULL, NULL, &rig_err) < 0);
	ATF_CHECK_EQ(3, fake_kernel_thins(POOL_DEV));
	ATF_CHECK(!exists("p0/a@s") && !exists("p0/b@s"));
	ATF_CHECK(!fake_kernel_is_suspended("snapmgr-p0-a"));
	ATF_CHECK(!fake_kernel_is_suspended("snapmgr-p0-b"));
	check_clean();
	rig_io.fail_syncs = 1;
	ATF_CHECK_EQ(-EIO, snapmgr_snapshot(rig_sm, both, 2, NULL, NULL, NULL, &rig_err));
	rig_io.fail_syncs = 0;
	ATF_CHECK(!exists("p0/a@s"));
	MUST(snapmgr_snapshot(rig_sm, both, 2, NULL, NULL, NULL,
			      &rig_err)); /* the ids are made again */
	ATF_CHECK_EQ(5, fake_kernel_thins(POOL_DEV));
	check_clean();
}

ATF_TC_WITHOUT_HEAD(a_rename_that_fails_half_way_goes_back);
ATF_TC_BODY(a_rename_that_fails_half_way_goes_back, tc)
{
	rig_up();
	rig_create("p0/v");
	rig_take("p0/v@s1");
	MUST(snapmgr_activate(rig_sm, "p0/v@s1", NULL, NULL, &rig_err));
	fake_kernel_fail("rename *", 2, ENOMEM); /* the second of two devices */
	ATF_CHECK(snapmgr_rename(rig_sm, "p0/v", "w", &rig_err) < 0);
	ATF_CHECK(exists("p0/v") && !exists("p0/w"));
	ATF_CHECK_MSG(fake_kernel_exists("snapmgr-p0-v") && fake_kernel_exists("snapmgr-p0-v@s1"),
		      "%s", fake_kernel_log());
	check_clean();
	rig_io.fail_syncs = 1;
	ATF_CHECK_EQ(-EIO, snapmgr_rename(rig_sm, "p0/v", "w", &rig_err));
	rig_io.fail_syncs = 0;
	ATF_CHECK(exists("p0/v"));
	ATF_CHECK(fake_kernel_exists("snapmgr-p0-v") && fake_kernel_exists("snapmgr-p0-v@s1"));
	check_clean();
}

ATF_TC_WITHOUT_HEAD(a_deletion_that_is_not_committed_maps_again);
ATF_TC_BODY(a_deletion_that_is_not_committed_maps_again, tc)
{
	struct snapmgr_delete_opts o = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);

	o.recursive = true;
	rig_up();
	rig_create("p0/v");
	rig_take("p0/v@s1");
	rig_io.fail_syncs = 1;
	ATF_CHECK_EQ(-EIO, snapmgr_delete(rig_sm, "p0/v", &o, NULL, NULL, &rig_err));
	rig_io.fail_syncs = 0;
	ATF_CHECK(exists("p0/v") && exists("p0/v@s1"));
	ATF_CHECK(fake_kernel_exists("snapmgr-p0-v"));
	ATF_CHECK_EQ(3, fake_kernel_thins(POOL_DEV));
	check_clean();
	MUST(snapmgr_delete(rig_sm, "p0/v", &o, NULL, NULL, &rig_err));
	ATF_CHECK_EQ(1, fake_kernel_thins(POOL_DEV));
	ATF_CHECK(!fake_kernel_exists("snapmgr-p0-v"));
	check_clean();
}

/* Where in the log this begins, behind what was asked for before it; the test fails where it does not. */
static size_t after(size_t at, const char *what)
{
	const char *log = fake_kernel_log(), *found = strstr(log + at, what);

	ATF_REQUIRE_MSG(found, "no '%s' behind byte %zu of:\n%s", what, at, log);
	return found ? (size_t)(found - log) + 1 : 0;
}

static void make_group(void)
{
	const char *const both[] = { "a", "p0/b" };

	rig_up();
	rig_create("p0/a");
	rig_create("p0/b");
	MUST(snapmgr_group_create(rig_sm, "p0/g", both, 2, NULL, NULL, NULL, &rig_err));
	fake_kernel_write("snapmgr-p0-a", 1);
	fake_kernel_write("snapmgr-p0-b", 2);
	fake_kernel_log_clear();
	rig_take("p0/g@s");
}

ATF_TC_WITHOUT_HEAD(a_group_is_suspended_whole_before_anything_is_taken_or_committed);
ATF_TC_BODY(a_group_is_suspended_whole_before_anything_is_taken_or_committed, tc)
{
	size_t both, at;

	make_group();
	both = after(after(0, "suspend snapmgr-p0-a"), "suspend snapmgr-p0-b");
	at = after(after(both, " create_snap "), " create_snap ");
	(void)after(at, "resume snapmgr-p0-a");
	(void)after(at, "resume snapmgr-p0-b");
	ATF_CHECK_EQ(2, fake_kernel_count("message * create_snap *"));
	fake_kernel_write("snapmgr-p0-a", 3);
	fake_kernel_write("snapmgr-p0-b", 4);
	fake_kernel_log_clear();
	MUST(snapmgr_revert(rig_sm, "p0/g@s", NULL, NULL, &rig_err));
	at = after(after(0, "load snapmgr-p0-a"), "load snapmgr-p0-b");
	both = after(after(at, "suspend snapmgr-p0-a"), "suspend snapmgr-p0-b");
	at = after(both, "committed");
	(void)after(at, "resume snapmgr-p0-a");
	(void)after(at, "resume snapmgr-p0-b");
	ATF_CHECK_EQ(1, fake_kernel_count("committed"));
	ATF_CHECK(fake_kernel_read("snapmgr-p0-a") == 1 && fake_kernel_read("snapmgr-p0-b") == 2);
	MUST(snapmgr_undo(rig_sm, "p0/g", NULL, NULL, &rig_err));
	ATF_CHECK(fake_kernel_read("snapmgr-p0-a") == 3 && fake_kernel_read("snapmgr-p0-b") == 4);
	check_clean();
}

ATF_TC_WITHOUT_HEAD(a_group_revert_forgets_all_copies_when_one_cannot_be_made_or_the_commit_fails);
ATF_TC_BODY(a_group_revert_forgets_all_copies_when_one_cannot_be_made_or_the_commit_fails, tc)
{
	make_group();
	fake_kernel_write("snapmgr-p0-a", 3);
	fake_kernel_fail("message * create_snap *", 2, ENOSPC);
	ATF_CHECK(snapmgr_revert(rig_sm, "p0/g@s", NULL, NULL, &rig_err) < 0);
	ATF_CHECK_EQ_MSG(5, fake_kernel_thins(POOL_DEV), "%s", fake_kernel_log());
	rig_io.fail_syncs = 1;
	ATF_CHECK_EQ(-EIO, snapmgr_revert(rig_sm, "p0/g@s", NULL, NULL, &rig_err));
	rig_io.fail_syncs = 0;
	ATF_CHECK_EQ_MSG(5, fake_kernel_thins(POOL_DEV), "%s", fake_kernel_log());
	ATF_CHECK(fake_kernel_read("snapmgr-p0-a") == 3 && fake_kernel_read("snapmgr-p0-b") == 2);
	ATF_CHECK(!fake_kernel_is_suspended("snapmgr-p0-a"));
	ATF_CHECK(!fake_kernel_is_suspended("snapmgr-p0-b"));
	MUST(snapmgr_revert(rig_sm, "p0/g@s", NULL, NULL, &rig_err));
	ATF_CHECK_EQ(1, fake_kernel_read("snapmgr-p0-a"));
	check_clean();
}

/* The documentation's table of states is the code's. */
ATF_TC_WITHOUT_HEAD(the_states_of_an_operation_are_those_that_the_document_has);
ATF_TC_BODY(the_states_of_an_operation_are_those_that_the_document_has, tc)
{
	for (const struct sm_transition *t = sm_transitions; t->verb; t++) {
		char row[128];

		(void)snprintf(row, sizeof(row), "^. %s . %s . %s .$", t->verb,
			       t->volume == SCAT_STATES ? "-" : scat_state_name(t->volume),
			       t->snapshot == SCAT_STATES ? "-" : scat_state_name(t->snapshot));
		ATF_CHECK_MSG(atf_utils_grep_file("%s", SRC_DIR "/doc/ARCHITECTURE.md", row), "%s",
			      row);
	}
}

ATF_TC_WITHOUT_HEAD(only_a_state_of_error_is_reset);
ATF_TC_BODY(only_a_state_of_error_is_reset, tc)
{
	struct snapmgr_object o;
	struct scat_volume v;
	struct scat *cat;

	rig_up();
	rig_create("p0/v");
	ATF_CHECK_EQ(-EBUSY, snapmgr_reset_state(rig_sm, "p0/v", &rig_err));
	ATF_CHECK_EQ(SNAPMGR_BAD_STATE, rig_err.code);
	cat = rig_open(true);
	MUST(scat_volume_by_name(cat, "v", &v, &rig_err));
	v.c.state = SCAT_REVERTING_ERROR;
	MUST(scat_begin(cat, &rig_err));
	MUST(scat_volume_update(cat, &v, &rig_err));
	MUST(scat_commit(cat, true, &rig_err));
	scat_close(cat);
	MUST(snapmgr_show(rig_sm, "p0/v", sm_keep_object, &o, &rig_err));
	ATF_CHECK_STREQ("reverting_error", o.state);
	MUST(snapmgr_reset_state(rig_sm, "p0/v", &rig_err));
	MUST(snapmgr_show(rig_sm, "p0/v", sm_keep_object, &o, &rig_err));
	ATF_CHECK_STREQ("available", o.state);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, the_states_of_an_operation_are_those_that_the_document_has);
	ATF_TP_ADD_TC(tp, only_a_state_of_error_is_reset);
	ATF_TP_ADD_TC(tp, a_group_is_suspended_whole_before_anything_is_taken_or_committed);
	ATF_TP_ADD_TC(
		tp, a_group_revert_forgets_all_copies_when_one_cannot_be_made_or_the_commit_fails);
	ATF_TP_ADD_TC(tp, an_id_that_a_dead_process_made_is_deleted_and_made_again);
	ATF_TP_ADD_TC(tp, an_id_that_a_row_names_is_never_deleted_for_another);
	ATF_TP_ADD_TC(tp, a_revert_forgets_the_copy_when_the_commit_fails);
	ATF_TP_ADD_TC(tp, a_volume_that_cannot_be_mapped_is_not_left_behind);
	ATF_TP_ADD_TC(tp, snapshots_that_cannot_all_be_made_leave_none);
	ATF_TP_ADD_TC(tp, a_rename_that_fails_half_way_goes_back);
	ATF_TP_ADD_TC(tp, a_deletion_that_is_not_committed_maps_again);
	return atf_no_error();
}
