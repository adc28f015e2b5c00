/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two at once on one group: its volumes never part. */
#include <string.h>

#include "racers.h"

#define SIZE   (1 * SM_MIB)
#define ROUNDS 16

static const char *const volumes[] = { "p/v", "p/w" };

/* One of the volumes, or one of its snapshots: "p/v", "p/v@a". */
static bool holds(const char *volume, const char *at, uint64_t seed)
{
	char spec[SNAPMGR_SPEC_TEXT];
	struct snapmgr_object o;
	bool same;

	(void)snprintf(spec, sizeof(spec), "%s%s", volume, at);
	lab_show(spec, &o);
	if (o.active)
		return lab_holds(lab_node(spec), 0, SIZE, seed, LAB_DIRECT);
	LAB_DO(snapmgr_activate(lab, spec, NULL, NULL, &err));
	same = lab_holds(lab_node(spec), 0, SIZE, seed, LAB_DIRECT);
	LAB_DO(snapmgr_deactivate(lab, spec, &err));
	return same;
}

/* Both of them, as one wrote them together. */
static bool both_hold(const char *at, uint64_t seed)
{
	const bool first = holds(volumes[0], at, seed), second = holds(volumes[1], at, seed + 1000);

	ATF_REQUIRE_MSG(first == second, "of 'p/g%s' only %s is of time %ju", at,
			first ? volumes[0] : volumes[1], (uintmax_t)seed);
	return first;
}

static void write_both(uint64_t seed)
{
	for (unsigned int i = 0; i < 2; i++)
		lab_write(lab_node(volumes[i]), 0, SIZE, seed + 1000 * i, LAB_DIRECT);
}

/* Group snapshots "a" of time 1 and "b" of time 2. */
static void make_group(void)
{
	lab_up();
	lab_create("p/v", SIZE);
	lab_create("p/w", SIZE);
	LAB_DO(snapmgr_group_create(lab, "p/g", volumes, 2, NULL, NULL, NULL, &err));
	write_both(1);
	lab_snapshot("p/g@a");
	write_both(2);
	lab_snapshot("p/g@b");
}

static const char *round_spec(const char *of, unsigned int round)
{
	static char specs[2][64];
	static unsigned int next;
	char *spec = specs[next ^= 1];

	(void)snprintf(spec, sizeof(specs[0]), "%s@n%u", of, round);
	return spec;
}

static int revert_to_a(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)round;
	(void)ret;
	return snapmgr_revert(lab, "p/g@a", NULL, NULL, err);
}

static int revert_to_b(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)round;
	(void)ret;
	return snapmgr_revert(lab, "p/g@b", NULL, NULL, err);
}

static int take_snapshot(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	const char *spec = round_spec("p/g", round);

	(void)ret;
	return snapmgr_snapshot(lab, &spec, 1, NULL, NULL, NULL, err);
}

static int delete_newest(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)ret;
	return snapmgr_delete(lab, round_spec("p/g", round), NULL, NULL, NULL, err);
}

static int revert_to_newest(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)ret;
	return snapmgr_revert(lab, round_spec("p/g", round), NULL, NULL, err);
}

static int delete_a_members_newest(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)ret;
	return snapmgr_delete(lab, round_spec("p/w", round), NULL, NULL, NULL, err);
}

static int undo_group(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)round;
	(void)ret;
	return snapmgr_undo(lab, "p/g", NULL, NULL, err);
}

static int revert_a_member(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)round;
	(void)ret;
	return snapmgr_revert(lab, "p/w@b", NULL, NULL, err);
}

ATF_TC_WITHOUT_HEAD(two_reverts_of_a_group_at_once_run_one_after_the_other);
ATF_TC_BODY(two_reverts_of_a_group_at_once_run_one_after_the_other, tc)
{
	unsigned int a_last = 0;

	make_group();
	race_begin(revert_to_a, revert_to_b);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		bool a;

		write_both(100 + round);
		race_round();
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[0].code);
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[1].code);
		a = both_hold("", 1);
		a_last += a;
		/* What the second displaced is the first, and what that displaced the old heads. */
		ATF_REQUIRE(a || both_hold("", 2));
		ATF_REQUIRE(both_hold("@undo", a ? 2 : 1));
		ATF_REQUIRE(both_hold("@undo~1", 100 + round));
	}
	printf("%u of %u times 'a' was last\n", a_last, ROUNDS);
	race_finish();
}

ATF_TC_WITHOUT_HEAD(a_group_snapshot_against_a_group_revert_is_of_before_or_after);
ATF_TC_BODY(a_group_snapshot_against_a_group_revert_is_of_before_or_after, tc)
{
	unsigned int before = 0;

	make_group();
	race_begin(take_snapshot, revert_to_a);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		char at[32];

		write_both(100 + round);
		race_round();
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[0].code);
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[1].code);
		ATF_REQUIRE(both_hold("", 1));
		(void)snprintf(at, sizeof(at), "@n%u", round);
		if (both_hold(at, 100 + round))
			before++;
		else
			ATF_REQUIRE_MSG(both_hold(at, 1), "it is of no time");
	}
	printf("%u of %u snapshots came first\n", before, ROUNDS);
	race_finish();
}

ATF_TC_WITHOUT_HEAD(a_delete_of_a_group_snapshot_against_a_revert_to_it_is_one_or_the_other_first);
ATF_TC_BODY(a_delete_of_a_group_snapshot_against_a_revert_to_it_is_one_or_the_other_first, tc)
{
	unsigned int reverted = 0;

	make_group();
	race_begin(delete_newest, revert_to_newest);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		write_both(100 + round);
		lab_snapshot(round_spec("p/g", round));
		write_both(5);
		race_round();
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[0].code);
		ATF_REQUIRE(!lab_exists(round_spec("p/g", round)));
		ATF_REQUIRE(!lab_exists(round_spec("p/v", round)));
		ATF_REQUIRE(!lab_exists(round_spec("p/w", round)));
		if (race->answers[1].code == SNAPMGR_OK) {
			reverted++;
			ATF_REQUIRE(both_hold("", 100 + round));
		} else {
			ATF_REQUIRE_EQ(SNAPMGR_NOT_FOUND, race->answers[1].code);
			ATF_REQUIRE(both_hold("", 5));
		}
	}
	printf("%u of %u reverts came first\n", reverted, ROUNDS);
	race_finish();
}

/* A set that has lost a snapshot is refused as a whole. */
ATF_TC_WITHOUT_HEAD(a_delete_of_a_members_snapshot_against_a_revert_of_the_group_parts_nothing);
ATF_TC_BODY(a_delete_of_a_members_snapshot_against_a_revert_of_the_group_parts_nothing, tc)
{
	unsigned int reverted = 0;

	make_group();
	race_begin(delete_a_members_newest, revert_to_newest);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		write_both(100 + round);
		lab_snapshot(round_spec("p/g", round));
		write_both(5);
		race_round();
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[0].code);
		if (race->answers[1].code == SNAPMGR_OK) {
			reverted++;
			ATF_REQUIRE(both_hold("", 100 + round));
		} else {
			ATF_REQUIRE_EQ(SNAPMGR_BAD_STATE, race->answers[1].code);
			ATF_REQUIRE(both_hold("", 5));
		}
		LAB_DO(snapmgr_delete(lab, round_spec("p/g", round), NULL, NULL, NULL, &err));
	}
	printf("%u of %u reverts came first\n", reverted, ROUNDS);
	race_finish();
}

/* Once one of them was reverted by itself, its undo point is another; the group's stays where it is. */
ATF_TC_WITHOUT_HEAD(an_undo_of_a_group_against_a_revert_of_a_member_is_one_and_then_the_other);
ATF_TC_BODY(an_undo_of_a_group_against_a_revert_of_a_member_is_one_and_then_the_other, tc)
{
	unsigned int undone_first = 0;

	make_group();
	race_begin(undo_group, revert_a_member);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		bool first;

		write_both(100 + round);
		lab_revert("p/g@a");
		race_round();
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[0].code);
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[1].code);
		ATF_REQUIRE(holds("p/v", "", 100 + round));
		ATF_REQUIRE(holds("p/v", "@undo", 1));
		/* The member's revert came last and is seen, or first and is what was displaced. */
		first = holds("p/w", "", 1002);
		undone_first += first;
		ATF_REQUIRE(first || holds("p/w", "", 1100 + round));
		ATF_REQUIRE(holds("p/w", "@undo", first ? 1100 + round : 1002));
		ATF_REQUIRE(holds("p/w", "@undo~1", 1001));
	}
	printf("%u of %u undos came first\n", undone_first, ROUNDS);
	race_finish();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, two_reverts_of_a_group_at_once_run_one_after_the_other);
	ATF_TP_ADD_TC(tp, a_group_snapshot_against_a_group_revert_is_of_before_or_after);
	ATF_TP_ADD_TC(
		tp, a_delete_of_a_group_snapshot_against_a_revert_to_it_is_one_or_the_other_first);
	ATF_TP_ADD_TC(tp,
		      a_delete_of_a_members_snapshot_against_a_revert_of_the_group_parts_nothing);
	ATF_TP_ADD_TC(tp,
		      an_undo_of_a_group_against_a_revert_of_a_member_is_one_and_then_the_other);
	return atf_no_error();
}
