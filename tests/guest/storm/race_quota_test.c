/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two at once that a quota counts: the figures are a recount after each round. */
#include <string.h>

#include "racers.h"

#define SIZE   (1 * SM_MIB)
#define ROUNDS 16

struct figures {
	uint64_t said[SNAPMGR_RESOURCES], counted[SNAPMGR_RESOURCES], limits[SNAPMGR_RESOURCES];
};

static void limit(uint64_t volume_bytes, uint64_t snapshots)
{
	struct snapmgr_quota_set_opts o = SNAPMGR_OPTS_INIT(struct snapmgr_quota_set_opts);

	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++)
		o.limits[i] = SNAPMGR_UNLIMITED;
	o.limits[SNAPMGR_VOLUME_BYTES] = volume_bytes;
	o.limits[SNAPMGR_SNAPSHOTS] = snapshots;
	LAB_DO(snapmgr_quota_set(lab, "p", "web", &o, &err));
}

static int take_said(const struct snapmgr_quota *q, void *data)
{
	struct figures *f = data;

	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++) {
		f->said[i] = q->resources[i].in_use;
		f->limits[i] = q->resources[i].limit;
		ATF_CHECK_EQ(0, q->resources[i].reserved);
	}
	return 0;
}

static int count(const struct snapmgr_object *o, void *data)
{
	struct figures *f = data;
	const bool volume = o->kind == SNAPMGR_VOLUME;

	if (strcmp(o->project, "web") == 0 && (volume || o->kind == SNAPMGR_SNAPSHOT)) {
		f->counted[volume ? SNAPMGR_VOLUMES : SNAPMGR_SNAPSHOTS]++;
		f->counted[volume ? SNAPMGR_VOLUME_BYTES : SNAPMGR_SNAPSHOT_BYTES] += o->size_bytes;
	}
	return 0;
}

static void check_figures(void)
{
	struct figures f = { 0 };

	LAB_DO(snapmgr_quota_list(lab, "p", "web", take_said, &f, &err));
	LAB_DO(snapmgr_list(lab, "p", NULL, count, &f, &err));
	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++) {
		ATF_REQUIRE_EQ_MSG(f.counted[i], f.said[i], "resource %zu: counted %ju, said %ju",
				   i, (uintmax_t)f.counted[i], (uintmax_t)f.said[i]);
		ATF_REQUIRE_MSG(f.said[i] <= f.limits[i], "resource %zu is past its limit", i);
	}
}

static uint64_t size_of(const char *spec)
{
	struct snapmgr_object o;

	lab_show(spec, &o);
	return o.size_bytes;
}

static void make_volume(const char *spec)
{
	struct snapmgr_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);
	const struct snapmgr_resize_opts shrink = { .size = sizeof(shrink), .shrink = true };
	char at[SNAPMGR_SPEC_TEXT];

	opts.size_bytes = 2 * SIZE;
	opts.project = "web";
	LAB_DO(snapmgr_create(lab, spec, &opts, NULL, NULL, &err));
	(void)snprintf(at, sizeof(at), "%s@large", spec);
	lab_snapshot(at);
	LAB_DO(snapmgr_resize(lab, spec, SIZE, &shrink, NULL, NULL, &err));
	(void)snprintf(at, sizeof(at), "%s@small", spec);
	lab_snapshot(at);
}

/* p/v and p/w, of project "web": snapshots "large" of two units and "small" of one, as they are now. */
static void make_volumes(void)
{
	lab_up();
	make_volume("p/v");
	make_volume("p/w");
}

static int v_to_large(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)round;
	(void)ret;
	return snapmgr_revert(lab, "p/v@large", NULL, NULL, err);
}

static int v_to_small(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)round;
	(void)ret;
	return snapmgr_revert(lab, "p/v@small", NULL, NULL, err);
}

static int w_to_large(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)round;
	(void)ret;
	return snapmgr_revert(lab, "p/w@large", NULL, NULL, err);
}

static int x_to_large(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)round;
	(void)ret;
	return snapmgr_revert(lab, "p/x@large", NULL, NULL, err);
}

static int group_to_large(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	(void)round;
	(void)ret;
	return snapmgr_revert(lab, "p/g@big", NULL, NULL, err);
}

static int snapshot_group(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	const char *spec = round % 2 ? "p/g@odd" : "p/g@even";

	(void)ret;
	return snapmgr_snapshot(lab, &spec, 1, NULL, NULL, NULL, err);
}

static int snapshot_both(unsigned int round, struct answer *ret, struct snapmgr_err *err)
{
	const char *const specs[] = { "p/v@both", "p/w@both" };

	(void)round;
	(void)ret;
	return snapmgr_snapshot(lab, specs, 2, NULL, NULL, NULL, err);
}

ATF_TC_WITHOUT_HEAD(two_reverts_of_one_volume_leave_the_size_and_the_figures_of_the_last);
ATF_TC_BODY(two_reverts_of_one_volume_leave_the_size_and_the_figures_of_the_last, tc)
{
	unsigned int large = 0;

	make_volumes();
	limit(3 * SIZE, 4);
	race_begin(v_to_large, v_to_small);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		race_round();
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[0].code);
		ATF_REQUIRE_EQ(SNAPMGR_OK, race->answers[1].code);
		large += size_of("p/v") == 2 * SIZE;
		ATF_REQUIRE_EQ(size_of("p/v") == SIZE ? 2 * SIZE : SIZE, size_of("p/v@undo"));
		check_figures();
	}
	printf("%u of %u times the large one was last\n", large, ROUNDS);
	race_finish();
}

static void back_to_small(void)
{
	lab_revert("p/v@small");
	lab_revert("p/w@small");
	check_figures();
}

ATF_TC_WITHOUT_HEAD(of_two_reverts_that_grow_into_the_last_of_a_quota_exactly_one_wins);
ATF_TC_BODY(of_two_reverts_that_grow_into_the_last_of_a_quota_exactly_one_wins, tc)
{
	unsigned int first = 0;

	make_volumes();
	limit(3 * SIZE, 4);
	race_begin(v_to_large, w_to_large);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		race_round();
		for (unsigned int i = 0; i < 2; i++) {
			const bool won = race->answers[i].code == SNAPMGR_OK;

			ATF_REQUIRE(won || race->answers[i].code == SNAPMGR_OVER_QUOTA);
			ATF_REQUIRE_EQ(won ? 2 * SIZE : SIZE, size_of(i ? "p/w" : "p/v"));
		}
		ATF_REQUIRE((race->answers[0].code == SNAPMGR_OK) !=
			    (race->answers[1].code == SNAPMGR_OK));
		first += race->answers[0].code == SNAPMGR_OK;
		check_figures();
		back_to_small();
	}
	printf("%u of %u times the first won\n", first, ROUNDS);
	race_finish();
}

/* The group wants all that is left, and the other volume a part of it. */
ATF_TC_WITHOUT_HEAD(a_group_that_grows_gets_all_that_it_wants_of_a_quota_or_nothing);
ATF_TC_BODY(a_group_that_grows_gets_all_that_it_wants_of_a_quota_or_nothing, tc)
{
	const char *const members[] = { "p/v", "p/w" };
	unsigned int group = 0;

	make_volumes();
	make_volume("p/x");
	lab_revert("p/v@large");
	lab_revert("p/w@large");
	LAB_DO(snapmgr_group_create(lab, "p/g", members, 2, NULL, NULL, NULL, &err));
	lab_snapshot("p/g@big");
	back_to_small();
	limit(5 * SIZE, SNAPMGR_UNLIMITED); /* three are taken */
	race_begin(group_to_large, x_to_large);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		bool won;

		race_round();
		won = race->answers[0].code == SNAPMGR_OK;
		group += won;
		ATF_REQUIRE(won || race->answers[0].code == SNAPMGR_OVER_QUOTA);
		ATF_REQUIRE_EQ(won ? SNAPMGR_OVER_QUOTA : SNAPMGR_OK, race->answers[1].code);
		ATF_REQUIRE_EQ(won ? 2 * SIZE : SIZE, size_of("p/v"));
		ATF_REQUIRE_EQ(won ? 2 * SIZE : SIZE, size_of("p/w"));
		ATF_REQUIRE_EQ(won ? SIZE : 2 * SIZE, size_of("p/x"));
		check_figures();
		back_to_small();
		lab_revert("p/x@small");
	}
	printf("%u of %u times the group won\n", group, ROUNDS);
	race_finish();
}

ATF_TC_WITHOUT_HEAD(of_two_sets_of_snapshots_that_race_for_the_last_of_a_quota_one_is_whole);
ATF_TC_BODY(of_two_sets_of_snapshots_that_race_for_the_last_of_a_quota_one_is_whole, tc)
{
	const char *const members[] = { "p/v", "p/w" };

	make_volumes();
	LAB_DO(snapmgr_group_create(lab, "p/g", members, 2, NULL, NULL, NULL, &err));
	limit(4 * SIZE, 7); /* four are taken, and each wants two */
	race_begin(snapshot_group, snapshot_both);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		const char *set = round % 2 ? "p/g@odd" : "p/g@even";
		bool group;

		race_round();
		group = race->answers[0].code == SNAPMGR_OK;
		ATF_REQUIRE_EQ(group ? SNAPMGR_OVER_QUOTA : SNAPMGR_OK, race->answers[1].code);
		ATF_REQUIRE(group || race->answers[0].code == SNAPMGR_OVER_QUOTA);
		ATF_REQUIRE_EQ(group, lab_exists(set));
		ATF_REQUIRE_EQ(!group, lab_exists("p/v@both"));
		ATF_REQUIRE_EQ(!group, lab_exists("p/w@both"));
		check_figures();
		if (group) {
			LAB_DO(snapmgr_delete(lab, set, NULL, NULL, NULL, &err));
			continue;
		}
		LAB_DO(snapmgr_delete(lab, "p/v@both", NULL, NULL, NULL, &err));
		LAB_DO(snapmgr_delete(lab, "p/w@both", NULL, NULL, NULL, &err));
	}
	race_finish();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, two_reverts_of_one_volume_leave_the_size_and_the_figures_of_the_last);
	ATF_TP_ADD_TC(tp, of_two_reverts_that_grow_into_the_last_of_a_quota_exactly_one_wins);
	ATF_TP_ADD_TC(tp, a_group_that_grows_gets_all_that_it_wants_of_a_quota_or_nothing);
	ATF_TP_ADD_TC(tp, of_two_sets_of_snapshots_that_race_for_the_last_of_a_quota_one_is_whole);
	return atf_no_error();
}
