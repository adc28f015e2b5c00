/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two at once on one volume, many times: what each was told, and what is there then. */
#include <string.h>
#include <time.h>

#include "racers.h"

#define SIZE   (1 * SM_MIB)
#define ROUNDS 24

static bool holds(const char *spec, uint64_t seed)
{
	struct snapmgr_object o;
	bool same;

	lab_show(spec, &o);
	if (o.active)
		return lab_holds(lab_node(spec), 0, SIZE, seed, LAB_DIRECT);
	LAB_DO(snapmgr_activate(lab, spec, NULL, NULL, &err));
	same = lab_holds(lab_node(spec), 0, SIZE, seed, LAB_DIRECT);
	LAB_DO(snapmgr_deactivate(lab, spec, &err));
	return same;
}

static void write_head(uint64_t seed)
{
	lab_write(lab_node("p/v"), 0, SIZE, seed, LAB_DIRECT);
}

/* Snapshots "a" of contents 1 and "b" of contents 2. */
static void make_volume(void)
{
	lab_up();
	lab_create("p/v", SIZE);
	write_head(1);
	lab_snapshot("p/v@a");
	write_head(2);
	lab_snapshot("p/v@b");
}

static int keep_name(struct answer *ret, int r, const struct snapmgr_revert_result *result)
{
	if (r == 0)
		(void)sm_copy_text(ret->name, sizeof(ret->name), result->snapshot.name);
	return r;
}

static int revert(const char *spec, bool latest_only, struct answer *ret, struct snapmgr_err *err)
{
	struct snapmgr_revert_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	struct snapmgr_revert_result result;

	opts.latest_only = latest_only;
	return keep_name(ret, snapmgr_revert(lab, spec, &opts, &result, err), &result);
}

static int revert_to_a(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)round;
	return revert("p/v@a", false, ret, err);
}

static int revert_to_b(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)round;
	return revert("p/v@b", false, ret, err);
}

static const char *round_spec(unsigned int round)
{
	static char spec[64];

	(void)snprintf(spec, sizeof(spec), "p/v@n%u", round);
	return spec;
}

static int take_snapshot(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	const char *spec = round_spec(round);

	(void)ret;
	return snapmgr_snapshot(lab, &spec, 1, NULL, NULL, NULL, err);
}

static int delete_newest(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)ret;
	return snapmgr_delete(lab, round_spec(round), NULL, NULL, NULL, err);
}

static int revert_to_newest(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	return revert(round_spec(round), false, ret, err);
}

static int revert_to_latest(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)round;
	return revert("p/v@latest", false, ret, err);
}

static int revert_latest_only(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	char spec[64];

	(void)snprintf(spec, sizeof(spec), round ? "p/v@n%u" : "p/v@b", round - 1);
	return revert(spec, true, ret, err);
}

ATF_TC_WITHOUT_HEAD(a_snapshot_against_a_revert_is_of_before_or_after);
ATF_TC_BODY(a_snapshot_against_a_revert_is_of_before_or_after, tc)
{
	unsigned int before = 0;

	make_volume();
	race_begin(take_snapshot, revert_to_a);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct snapmgr_object s;

		write_head(100 + round);
		race_round();
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[0].code);
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[1].code);
		ATF_REQUIRE(holds("p/v", 1));
		lab_show(round_spec(round), &s);
		if (holds(round_spec(round), 100 + round)) {
			before++;
			ATF_CHECK_MSG(round == 0 || strcmp(s.parent_name, "") != 0, "no parent");
		} else {
			ATF_REQUIRE_MSG(holds(round_spec(round), 1), "it is a mixture");
			ATF_CHECK_STREQ("v@a", s.parent_name);
		}
	}
	printf("%u of %u snapshots came first\n", before, ROUNDS);
	race_finish();
}

ATF_TC_WITHOUT_HEAD(a_delete_of_the_latest_against_a_revert_to_it_is_one_or_the_other_first);
ATF_TC_BODY(a_delete_of_the_latest_against_a_revert_to_it_is_one_or_the_other_first, tc)
{
	unsigned int reverted = 0;

	make_volume();
	race_begin(delete_newest, revert_to_newest);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		write_head(100 + round);
		lab_snapshot(round_spec(round));
		write_head(5);
		race_round();
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[0].code);
		ATF_REQUIRE(!lab_exists(round_spec(round)));
		if (race->answers[1].code == SNAPMGR_OK) {
			reverted++;
			ATF_REQUIRE(holds("p/v", 100 + round));
		} else {
			ATF_REQUIRE_EQ(SNAPMGR_NOT_FOUND, race->answers[1].code);
			ATF_REQUIRE(holds("p/v", 5));
		}
	}
	printf("%u of %u reverts came first\n", reverted, ROUNDS);
	race_finish();
}

ATF_TC_WITHOUT_HEAD(a_revert_to_the_latest_while_that_is_deleted_says_which_it_was);
ATF_TC_BODY(a_revert_to_the_latest_while_that_is_deleted_says_which_it_was, tc)
{
	make_volume();
	race_begin(delete_newest, revert_to_latest);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		bool newest;

		write_head(100 + round);
		lab_snapshot(round_spec(round));
		write_head(5);
		race_round();
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[0].code);
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[1].code);
		newest = strcmp(race->answers[1].name, "b") != 0;
		ATF_REQUIRE_EQ_MSG(newest, holds("p/v", 100 + round), "it said '%s'",
				   race->answers[1].name);
		ATF_REQUIRE_EQ(!newest, holds("p/v", 2));
	}
	race_finish();
}

ATF_TC_WITHOUT_HEAD(latest_only_never_reverts_past_a_snapshot_that_was_first);
ATF_TC_BODY(latest_only_never_reverts_past_a_snapshot_that_was_first, tc)
{
	unsigned int refused = 0;

	make_volume();
	race_begin(take_snapshot, revert_latest_only);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		write_head(100 + round);
		race_round();
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[0].code);
		if (race->answers[1].code == SNAPMGR_OK) {
			/* The snapshot came after it, or else it was not the latest any more. */
			ATF_REQUIRE(!holds(round_spec(round), 100 + round));
		} else {
			ATF_REQUIRE_EQ(SNAPMGR_NOT_LATEST, race->answers[1].code);
			ATF_REQUIRE(holds(round_spec(round), 100 + round));
			ATF_REQUIRE(holds("p/v", 100 + round));
			refused++;
		}
	}
	printf("%u of %u reverts came second\n", refused, ROUNDS);
	race_finish();
}

ATF_TC_WITHOUT_HEAD(two_reverts_at_once_run_one_after_the_other);
ATF_TC_BODY(two_reverts_at_once_run_one_after_the_other, tc)
{
	unsigned int a_last = 0;

	make_volume();
	race_begin(revert_to_a, revert_to_b);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		write_head(100 + round);
		race_round();
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[0].code);
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[1].code);
		/* What the second displaced is the first, and what that displaced the old head. */
		if (holds("p/v", 1)) {
			a_last++;
			ATF_REQUIRE(holds("p/v@undo", 2));
		} else {
			ATF_REQUIRE(holds("p/v", 2));
			ATF_REQUIRE(holds("p/v@undo", 1));
		}
		ATF_REQUIRE(holds("p/v@undo~1", 100 + round));
	}
	printf("%u of %u times 'a' was last\n", a_last, ROUNDS);
	race_finish();
}

/* With no time to wait, the one that comes second is told who was first. */
static int impatient(const char *spec, struct answer *ret, struct snapmgr_err *err)
{
	static struct snapmgr *handle;
	struct snapmgr_open_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_open_opts);
	struct snapmgr_revert_result result;

	if (!handle && snapmgr_open(&opts, &handle, err) < 0)
		return -1;
	return keep_name(ret, snapmgr_revert(handle, spec, NULL, &result, err), &result);
}

static int impatient_a(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)round;
	return impatient("p/v@a", ret, err);
}

static int impatient_b(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)round;
	return impatient("p/v@b", ret, err);
}

ATF_TC_WITHOUT_HEAD(of_two_impatient_reverts_one_at_least_wins_and_the_other_changes_nothing);
ATF_TC_BODY(of_two_impatient_reverts_one_at_least_wins_and_the_other_changes_nothing, tc)
{
	unsigned int conflicts = 0;

	make_volume();
	race_begin(impatient_a, impatient_b);
	for (unsigned int round = 0; round < ROUNDS || (!conflicts && round < 20 * ROUNDS);
	     round++) {
		bool lost = false;

		write_head(100 + round);
		race_round();
		for (unsigned int i = 0; i < 2; i++) {
			if (race->answers[i].code == SNAPMGR_OK)
				continue;
			ATF_REQUIRE_EQ(SNAPMGR_LOCKED, race->answers[i].code);
			ATF_REQUIRE_MSG(!lost, "both lost");
			ATF_REQUIRE(holds("p/v", 2 - i)); /* the other's */
			ATF_REQUIRE(holds("p/v@undo", 100 + round));
			lost = true;
		}
		conflicts += lost;
		if (!lost)
			ATF_REQUIRE(holds("p/v@undo~1", 100 + round));
	}
	printf("%u rounds of %u or more had a conflict\n", conflicts, ROUNDS);
	ATF_CHECK(conflicts > 0);
	race_finish();
}

/* ---- clocks ---- */

static void set_clock_back(time_t seconds)
{
	struct timespec now;

	ATF_REQUIRE_EQ(0, clock_gettime(CLOCK_REALTIME, &now));
	now.tv_sec -= seconds;
	ATF_REQUIRE_EQ(0, clock_settime(CLOCK_REALTIME, &now));
}

ATF_TC_WITHOUT_HEAD(a_clock_that_steps_back_an_hour_changes_no_order);
ATF_TC_BODY(a_clock_that_steps_back_an_hour_changes_no_order, tc)
{
	struct answer answer;
	struct snapmgr_object o, last;

	lab_up();
	lab_create("p/v", SIZE);
	for (unsigned int i = 0; i < 6; i++) {
		write_head(100 + i);
		lab_snapshot(round_spec(i));
		lab_show(round_spec(i), &o);
		ATF_CHECK(o.latest);
		ATF_CHECK_EQ(i + 1, o.sequence);
		if (i)
			ATF_CHECK_MSG(o.created_at_us > last.created_at_us, "created_at shrank");
		last = o;
		if (i % 2 == 1)
			set_clock_back(3600);
	}
	lab_show("p/v@latest", &o);
	ATF_CHECK_STREQ("n5", o.name);
	lab_show("p/v@latest~5", &o);
	ATF_CHECK_STREQ("n0", o.name);
	LAB_DO(revert("p/v@n5", true, &answer, &err));
	ATF_CHECK(holds("p/v", 105));
	/* The number of a deleted one is not given again, by whatever clock. */
	LAB_DO(snapmgr_delete(lab, "p/v@n5", NULL, NULL, NULL, &err));
	set_clock_back(3600);
	lab_snapshot("p/v@n6");
	lab_show("p/v@n6", &o);
	ATF_CHECK_EQ(7, o.sequence);
	ATF_CHECK_MSG(o.created_at_us > last.created_at_us, "created_at shrank");
	set_clock_back(-4 * 3600);
	lab_check_rest();
}

/* Undo points, too, are in the order of the reverts. */
ATF_TC_WITHOUT_HEAD(undo_points_keep_their_order_over_a_clock_that_steps_back);
ATF_TC_BODY(undo_points_keep_their_order_over_a_clock_that_steps_back, tc)
{
	make_volume();
	for (unsigned int i = 0; i < 3; i++) {
		write_head(100 + i);
		lab_revert("p/v@a");
		set_clock_back(3600);
	}
	set_clock_back(-3 * 3600);
	ATF_CHECK(holds("p/v@undo", 102));
	ATF_CHECK(holds("p/v@undo~2", 100));
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_snapshot_against_a_revert_is_of_before_or_after);
	ATF_TP_ADD_TC(tp, a_delete_of_the_latest_against_a_revert_to_it_is_one_or_the_other_first);
	ATF_TP_ADD_TC(tp, a_revert_to_the_latest_while_that_is_deleted_says_which_it_was);
	ATF_TP_ADD_TC(tp, latest_only_never_reverts_past_a_snapshot_that_was_first);
	ATF_TP_ADD_TC(tp, two_reverts_at_once_run_one_after_the_other);
	ATF_TP_ADD_TC(tp, of_two_impatient_reverts_one_at_least_wins_and_the_other_changes_nothing);
	ATF_TP_ADD_TC(tp, a_clock_that_steps_back_an_hour_changes_no_order);
	ATF_TP_ADD_TC(tp, undo_points_keep_their_order_over_a_clock_that_steps_back);
	return atf_no_error();
}
