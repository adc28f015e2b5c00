/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every verb is killed at steps spread over its run; "make torture" kills it at each. */
#include <string.h>

#include "steps.h"

#define KILLS	  3 /* of each verb */
#define TIMEOUT_S "800"

static void sweep_some(unsigned int flag)
{
	struct sweep total = { .lost = 0 };

	for (size_t i = 0; i < n_verbs; i++) {
		uint64_t began_ns = sm_monotonic_ns();
		struct sweep s = { .verb = &verbs[i], .most = KILLS, .seed = i };

		if ((verbs[i].flags & VERB_POOL) != flag)
			continue;
		sweep(&s);
		printf("%s: %u points, %u kills, %u not reached, %u lost, %ju ms\n", s.verb->name,
		       s.points, s.kills, s.missed, s.lost,
		       (uintmax_t)(sm_monotonic_ns() - began_ns) / 1000000);
		total.kills += s.kills;
		total.missed += s.missed;
		total.lost += s.lost;
	}
	ATF_CHECK_MSG(total.lost == 0, "%u lost", total.lost);
	ATF_CHECK_MSG(total.kills > 8 * total.missed, "%u of %u not reached", total.missed,
		      total.kills + total.missed);
}

ATF_TC(a_verb_that_is_killed_is_done_or_not_done);
ATF_TC_HEAD(a_verb_that_is_killed_is_done_or_not_done, tc)
{
	atf_tc_set_md_var(tc, "timeout", TIMEOUT_S);
}
ATF_TC_BODY(a_verb_that_is_killed_is_done_or_not_done, tc)
{
	sweep_some(0);
}

ATF_TC(a_change_of_a_pool_that_is_killed_is_done_by_the_same_again);
ATF_TC_HEAD(a_change_of_a_pool_that_is_killed_is_done_by_the_same_again, tc)
{
	atf_tc_set_md_var(tc, "timeout", TIMEOUT_S);
}
ATF_TC_BODY(a_change_of_a_pool_that_is_killed_is_done_by_the_same_again, tc)
{
	sweep_some(VERB_POOL);
}

/* Every point from the first unmount to the last mount, by itself or with its guard. */
ATF_TC(mounts_come_back_wherever_their_revert_is_killed);
ATF_TC_HEAD(mounts_come_back_wherever_their_revert_is_killed, tc)
{
	atf_tc_set_md_var(tc, "timeout", TIMEOUT_S);
}
ATF_TC_BODY(mounts_come_back_wherever_their_revert_is_killed, tc)
{
	static const char *const only[] = { "note.", "fs.", "commit.", "guard.tell", NULL };
	struct sweep s = { .verb = verbs_find("revert --remount"), .only = only, .seed = 1 };

	sweep(&s);
	printf("%u points, %u kills, %u not reached, %u lost\n", s.points, s.kills, s.missed,
	       s.lost);
	ATF_CHECK_EQ(0, s.lost);
	ATF_CHECK_EQ(0, s.missed);
	ATF_CHECK_MSG(s.points >= 20, "%u points", s.points);
}

/* For hand: steps_test -v verb=NAME -v most=N (0: every point in every way) one_verb */
ATF_TC_WITHOUT_HEAD(one_verb);
ATF_TC_BODY(one_verb, tc)
{
	const char *name = atf_tc_get_config_var_wd(tc, "verb", "revert");
	struct sweep s = { .most = (size_t)atf_tc_get_config_var_as_long_wd(tc, "most", 3),
			   .seed = 1 };

	for (size_t i = 0; i < n_verbs; i++) {
		if (strcmp(verbs[i].name, name) != 0)
			continue;
		s.verb = &verbs[i];
		sweep(&s);
		printf("%s: %u points, %u kills, %u not reached, %u lost\n", name, s.points,
		       s.kills, s.missed, s.lost);
		ATF_CHECK_EQ(0, s.lost);
	}
	ATF_REQUIRE(s.verb != NULL);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_verb_that_is_killed_is_done_or_not_done);
	ATF_TP_ADD_TC(tp, a_change_of_a_pool_that_is_killed_is_done_by_the_same_again);
	ATF_TP_ADD_TC(tp, mounts_come_back_wherever_their_revert_is_killed);
	ATF_TP_ADD_TC(tp, one_verb);
	return atf_no_error();
}
