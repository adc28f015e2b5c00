/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Room handed out and given back, in random walks beside a model that is a map of every sector. */
#include <errno.h>
#include <string.h>

#include "catalogue_rig.h"

#define FROM   16u
#define TO     512u
#define OWNERS 24u

static uint32_t map[TO]; /* whose each sector is; 0: nobody's */

static struct scat *rig_new(void)
{
	rig_run_dir();
	rig_format(SCAT_MIN_BYTES);
	memset(map, 0, sizeof(map));
	return rig_open(true);
}

struct seen {
	uint32_t map[TO];
	uint64_t next; /* position, where one owner's are walked */
	bool one, wrong;
};

static int see(const struct scat_extent *e, void *data)
{
	struct seen *s = data;

	s->wrong |= e->start < FROM || e->start + e->len > TO || !e->len;
	s->wrong |= s->one && e->position != s->next;
	s->next = e->position + e->len;
	for (uint64_t i = e->start; i < e->start + e->len && i < TO; i++) {
		s->wrong |= s->map[i] != 0; /* one over another */
		s->map[i] = e->owner;
	}
	return 0;
}

/* The first gap that holds all; else from the first gap on. */
static void model_take(uint32_t owner, uint64_t len)
{
	uint64_t run = 0, start = FROM;

	for (uint64_t i = FROM; i < TO && run < len; i++) {
		run = map[i] ? 0 : run + 1;
		start = map[i] ? i + 1 : start;
	}
	if (run < len)
		start = FROM;
	for (uint64_t i = start; i < TO && len; i++) {
		if (map[i])
			continue;
		map[i] = owner;
		len--;
	}
}

static uint64_t model_sum(uint32_t owner)
{
	uint64_t n = 0;

	for (uint64_t i = FROM; i < TO; i++)
		n += owner ? map[i] == owner : map[i] != 0;
	return n;
}

static void take(struct scat *cat, uint32_t owner, uint64_t len)
{
	struct snapmgr_err err = { .message = "" };
	const bool fits = len <= TO - FROM - model_sum(0);
	int r = scat_begin(cat, &err);

	ATF_REQUIRE_EQ(0, r);
	r = scat_extent_take(cat, owner, len, FROM, TO, &err);
	if (fits) {
		ATF_REQUIRE_EQ_MSG(0, r, "%s", err.message);
		model_take(owner, len);
	} else {
		ATF_REQUIRE_EQ(-ENOSPC, r);
		ATF_CHECK_EQ(SNAPMGR_NO_SPACE, err.code);
	}
	MUST(scat_commit(cat, false, &rig_err));
}

static void give_back(struct scat *cat, uint32_t owner)
{
	MUST(CHANGE(cat, scat_extent_free(cat, owner, &rig_err)));
	for (uint64_t i = FROM; i < TO; i++)
		if (map[i] == owner)
			map[i] = 0;
}

static void compare(struct scat *cat)
{
	struct seen all = { 0 };

	MUST(scat_extent_each(cat, 0, see, &all, &rig_err));
	ATF_REQUIRE(!all.wrong);
	ATF_REQUIRE_EQ(0, memcmp(all.map, map, sizeof(map)));
	for (uint32_t owner = 1; owner <= OWNERS; owner++) {
		struct seen one = { .one = true };
		uint64_t sum = 0;

		MUST(scat_extent_each(cat, owner, see, &one, &rig_err));
		MUST(scat_extent_sum(cat, owner, &sum, &rig_err));
		ATF_REQUIRE_MSG(!one.wrong, "owner %u has a gap", owner);
		ATF_REQUIRE_EQ(model_sum(owner), sum);
		ATF_REQUIRE_EQ(sum, one.next);
	}
}

ATF_TC_WITHOUT_HEAD(what_is_handed_out_is_what_a_map_of_all_sectors_says);
ATF_TC_BODY(what_is_handed_out_is_what_a_map_of_all_sectors_says, tc)
{
	AUTO(scat_close) struct scat *cat = rig_new();
	uint64_t state = 1;

	for (int step = 0; step < 1500; step++) {
		uint32_t owner;

		state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
		owner = (uint32_t)(state >> 33) % OWNERS + 1;
		if (state >> 62 == 0)
			give_back(cat, owner);
		else
			take(cat, owner, (state >> 40) % 40 + 1);
		if (step % 25 == 0)
			compare(cat);
	}
	compare(cat);
}

ATF_TC_WITHOUT_HEAD(one_that_fits_in_a_later_gap_is_not_split_over_earlier_ones);
ATF_TC_BODY(one_that_fits_in_a_later_gap_is_not_split_over_earlier_ones, tc)
{
	AUTO(scat_close) struct scat *cat = rig_new();

	take(cat, 1, 10);
	take(cat, 2, 1);
	take(cat, 3, 30);
	take(cat, 4, 1);
	give_back(cat, 1);
	give_back(cat, 3);
	take(cat, 5, 20);
	ATF_CHECK_EQ(5, map[FROM + 11]);
	ATF_CHECK_EQ(0, map[FROM]);
	compare(cat);
	take(cat, 5, TO - FROM - 22); /* all that is left, in pieces */
	compare(cat);
	ATF_CHECK_EQ(TO - FROM, model_sum(0));
}

ATF_TC_WITHOUT_HEAD(what_is_cut_off_is_nobodys_and_the_rest_stays);
ATF_TC_BODY(what_is_cut_off_is_nobodys_and_the_rest_stays, tc)
{
	AUTO(scat_close) struct scat *cat = rig_new();

	take(cat, 1, 10);
	take(cat, 2, 5);
	take(cat, 1, 10); /* behind that: its second piece */
	take(cat, 3, 5);
	MUST(CHANGE(cat, scat_extent_cut(cat, 1, 20, &rig_err))); /* all of it */
	compare(cat);
	MUST(CHANGE(cat, scat_extent_cut(cat, 1, 12, &rig_err)));
	memset(&map[FROM + 17], 0, 8 * sizeof(map[0]));
	compare(cat);
	MUST(CHANGE(cat, scat_extent_cut(cat, 1, 10, &rig_err)));
	memset(&map[FROM + 15], 0, 2 * sizeof(map[0]));
	compare(cat);
	MUST(CHANGE(cat, scat_extent_cut(cat, 1, 4, &rig_err)));
	memset(&map[FROM + 4], 0, 6 * sizeof(map[0]));
	compare(cat);
	take(cat, 4, 10);
	take(cat, 1, 6);
	compare(cat);
}

ATF_TC_WITHOUT_HEAD(what_was_not_committed_was_never_taken);
ATF_TC_BODY(what_was_not_committed_was_never_taken, tc)
{
	AUTO(scat_close) struct scat *cat = rig_new();

	take(cat, 1, 10);
	MUST(scat_begin(cat, &rig_err));
	MUST(scat_extent_take(cat, 2, 10, FROM, TO, &rig_err));
	scat_rollback(cat);
	compare(cat);
}

ATF_TC_WITHOUT_HEAD(extents_over_each_other_are_damage_and_hand_out_nothing);
ATF_TC_BODY(extents_over_each_other_are_damage_and_hand_out_nothing, tc)
{
	AUTO(scat_close) struct scat *cat = rig_new();
	struct snapmgr_err err = { .message = "" };

	take(cat, 1, 10);
	take(cat, 2, 10);
	rig_sql(cat, "UPDATE extents SET len=15 WHERE owner=1");
	MUST(scat_begin(cat, &rig_err));
	ATF_CHECK_EQ(-EUCLEAN, scat_extent_take(cat, 4, 1, FROM, TO, &err));
	ATF_CHECK_EQ(SNAPMGR_DAMAGED, err.code);
	scat_rollback(cat);
	ATF_CHECK(rig_count_findings(cat) > 0);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_is_handed_out_is_what_a_map_of_all_sectors_says);
	ATF_TP_ADD_TC(tp, one_that_fits_in_a_later_gap_is_not_split_over_earlier_ones);
	ATF_TP_ADD_TC(tp, what_is_cut_off_is_nobodys_and_the_rest_stays);
	ATF_TP_ADD_TC(tp, what_was_not_committed_was_never_taken);
	ATF_TP_ADD_TC(tp, extents_over_each_other_are_damage_and_hand_out_nothing);
	return atf_no_error();
}
