/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What fails in the middle of a group's revert, and that all of it is old or all of it new then.
 *
 * The linker hands us the calls of the library named here (--wrap, see the Makefile); all else is real.
 */
#include <errno.h>
#include <string.h>

#include "../pool_lab.h"
#include "snapmgr/catalogue/catalogue.h"

#define SIZE SM_MIB

int __real_scat_commit(struct scat *cat, bool durable, struct snapmgr_err *err);
int __wrap_scat_commit(struct scat *cat, bool durable, struct snapmgr_err *err);
int __real_scat_open(const char *device, const struct sm_uuid *uuid, bool writable,
		     struct scat **ret, struct snapmgr_err *err);
int __wrap_scat_open(const char *device, const struct sm_uuid *uuid, bool writable,
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
static enum { COMMITS, NOT_DONE, DONE_BUT_FAILS } commit_goes;
static int opens_fail, resumes_fail, load_fails_at;

int __wrap_scat_commit(struct scat *cat, bool durable, struct snapmgr_err *err)
{
	int r;

	if (!durable || commit_goes == COMMITS)
		return __real_scat_commit(cat, durable, err);
	r = commit_goes == DONE_BUT_FAILS ? __real_scat_commit(cat, durable, err) : 0;
	commit_goes = COMMITS;
	return r < 0 ? r : sm_fail(err, SNAPMGR_IO, EIO, "cannot flush the catalogue");
}

int __wrap_scat_open(const char *device, const struct sm_uuid *uuid, bool writable,
		     struct scat **ret, struct snapmgr_err *err)
{
	if (writable && opens_fail > 0 && commit_goes == COMMITS && opens_fail-- > 0)
		return sm_fail(err, SNAPMGR_IO, EIO, "cannot open '%s'", device);
	return __real_scat_open(device, uuid, writable, ret, err);
}

/* Of volume b alone. */
int __wrap_sdm_resume(const struct sdm_device *dev, struct sdm_cookie *cookie,
		      struct snapmgr_err *err)
{
	if (resumes_fail > 0 && strcmp(dev->name, "snapmgr-p-b") == 0 && resumes_fail-- > 0)
		return sm_fail(err, SNAPMGR_KERNEL, ENOMEM, "cannot resume '%s'", dev->name);
	return __real_sdm_resume(dev, cookie, err);
}

int __wrap_sdm_load(const struct sdm_device *dev, const struct sdm_target *targets, size_t n,
		    struct snapmgr_err *err)
{
	if (load_fails_at > 0 && --load_fails_at == 0)
		return sm_fail(err, SNAPMGR_KERNEL, ENOMEM, "cannot load '%s'", dev->name);
	return __real_sdm_load(dev, targets, n, err);
}

/* Three volumes, of which the last is not mapped: it follows the catalogue alone. */
static void make_group(void)
{
	static const char *const all[] = { "a", "b", "c" };
	char spec[8];

	lab_up();
	for (size_t i = 0; i < SM_ARRAY(all); i++) {
		(void)snprintf(spec, sizeof(spec), "p/%s", all[i]);
		lab_create(spec, SIZE);
		lab_write(lab_node(spec), 0, SIZE, 's', LAB_DIRECT);
	}
	LAB_DO(snapmgr_group_create(lab, "p/g", all, 3, NULL, NULL, NULL, &err));
	lab_snapshot("p/g@s");
	for (size_t i = 0; i < SM_ARRAY(all); i++) {
		(void)snprintf(spec, sizeof(spec), "p/%s", all[i]);
		lab_write(lab_node(spec), 0, SIZE, 'h', LAB_DIRECT);
	}
	LAB_DO(snapmgr_deactivate(lab, "p/c", &err));
}

static bool holds(const char *spec, char seed)
{
	return lab_holds(lab_node(spec), 0, SIZE, (uint64_t)seed, LAB_DIRECT);
}

static void check_all(char seed, size_t undo_points)
{
	ATF_CHECK(holds("p/a", seed));
	ATF_CHECK(holds("p/b", seed));
	LAB_DO(snapmgr_activate(lab, "p/c", NULL, NULL, &err));
	ATF_CHECK_MSG(holds("p/c", seed), "the unmapped one did not follow");
	ATF_CHECK_EQ(undo_points, lab_undo_points("p/a"));
	ATF_CHECK_EQ(undo_points, lab_undo_points("p/b"));
	ATF_CHECK_EQ(undo_points, lab_undo_points("p/c"));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_table_that_is_refused_changes_none);
ATF_TC_BODY(a_table_that_is_refused_changes_none, tc)
{
	make_group();
	load_fails_at = 2;
	LAB_REFUSED(SNAPMGR_KERNEL, snapmgr_revert(lab, "p/g@s", NULL, NULL, &err));
	check_all('h', 0);
}

ATF_TC_WITHOUT_HEAD(a_commit_that_fails_changes_none);
ATF_TC_BODY(a_commit_that_fails_changes_none, tc)
{
	make_group();
	commit_goes = NOT_DONE;
	LAB_REFUSED(SNAPMGR_IO, snapmgr_revert(lab, "p/g@s", NULL, NULL, &err));
	check_all('h', 0);
}

ATF_TC_WITHOUT_HEAD(a_commit_that_only_seemed_to_fail_is_a_revert_of_all);
ATF_TC_BODY(a_commit_that_only_seemed_to_fail_is_a_revert_of_all, tc)
{
	make_group();
	commit_goes = DONE_BUT_FAILS;
	lab_revert("p/g@s");
	check_all('s', 1);
}

/* The tables went back, since nobody knew: so does what only the catalogue tells of. */
ATF_TC_WITHOUT_HEAD(a_done_commit_of_unknown_outcome_is_turned_back_for_all);
ATF_TC_BODY(a_done_commit_of_unknown_outcome_is_turned_back_for_all, tc)
{
	make_group();
	commit_goes = DONE_BUT_FAILS;
	opens_fail = 2; /* the one that looks, and that of the recovery */
	LAB_REFUSED(SNAPMGR_IO, snapmgr_revert(lab, "p/g@s", NULL, NULL, &err));
	ATF_CHECK(holds("p/a", 'h'));
	lab_write(lab_node("p/a"), 0, 64 * SM_KIB, 'h', LAB_DIRECT);
	LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
	check_all('h', 0);
	lab_revert("p/g@s");
	check_all('s', 1);
}

/* The same of an undo: no head is lost. */
ATF_TC_WITHOUT_HEAD(an_undo_of_unknown_outcome_is_turned_back_for_all);
ATF_TC_BODY(an_undo_of_unknown_outcome_is_turned_back_for_all, tc)
{
	make_group();
	lab_revert("p/g@s");
	commit_goes = DONE_BUT_FAILS;
	opens_fail = 2;
	LAB_REFUSED(SNAPMGR_IO, snapmgr_undo(lab, "p/g", NULL, NULL, &err));
	LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
	check_all('s', 1);
	LAB_DO(snapmgr_undo(lab, "p/g", NULL, NULL, &err));
	check_all('h', 1);
}

/* After the commit there is no way back: all are new, also that which came late. */
ATF_TC_WITHOUT_HEAD(one_that_cannot_be_resumed_is_new_as_all_others);
ATF_TC_BODY(one_that_cannot_be_resumed_is_new_as_all_others, tc)
{
	make_group();
	resumes_fail = 3; /* of the owner; its guard goes on trying */
	LAB_REFUSED(SNAPMGR_KERNEL, snapmgr_revert(lab, "p/g@s", NULL, NULL, &err));
	LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
	check_all('s', 1);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_table_that_is_refused_changes_none);
	ATF_TP_ADD_TC(tp, a_commit_that_fails_changes_none);
	ATF_TP_ADD_TC(tp, a_commit_that_only_seemed_to_fail_is_a_revert_of_all);
	ATF_TP_ADD_TC(tp, a_done_commit_of_unknown_outcome_is_turned_back_for_all);
	ATF_TP_ADD_TC(tp, an_undo_of_unknown_outcome_is_turned_back_for_all);
	ATF_TP_ADD_TC(tp, one_that_cannot_be_resumed_is_new_as_all_others);
	return atf_no_error();
}
