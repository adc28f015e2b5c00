/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * steps SEED cut FILE, steps SEED up FILE - of host/steps_reboot.sh: both halves of one round
 * steps SEED SECONDS - each round kills one verb at all of its points, in every way there is.
 *
 * The seed says which verb, so that as many rounds as there are verbs take each of them once.
 */
#include <string.h>

#include "../../guest/steps/steps.h"

static uint64_t seed;
static unsigned int seconds, all_lost;
static const char *half, *file;

static void one_round(uint64_t number)
{
	struct sweep s = { .verb = &verbs[number % n_verbs], .seed = number };

	sweep(&s);
	all_lost += s.lost;
	printf("round %ju: %s %s, %u points, killed %u times, %u not reached, %u lost\n",
	       (uintmax_t)number, s.lost ? "lost" : "ok", s.verb->name, s.points, s.kills, s.missed,
	       s.lost);
	(void)fflush(stdout);
}

ATF_TC_WITHOUT_HEAD(torture);
ATF_TC_BODY(torture, tc)
{
	const uint64_t end_ns = sm_monotonic_ns() + seconds * UINT64_C(1000000000);

	if (half && strcmp(half, "cut") == 0)
		sweep_cut(seed, file);
	else if (half)
		sweep_up(file);
	if (half)
		return;
	do
		one_round(seed++);
	while (sm_monotonic_ns() < end_ns);
	ATF_REQUIRE_EQ(0, all_lost);
}

int main(int argc, char *argv[])
{
	const char *const config[] = { NULL };

	if (argc != 3 && argc != 4)
		return 2;
	seed = strtoull(argv[1], NULL, 10);
	half = argc == 4 ? argv[2] : NULL;
	file = argc == 4 ? argv[3] : NULL;
	seconds = (unsigned int)strtoul(argv[2], NULL, 10);
	if (atf_is_error(atf_tc_init_pack(&atfu_torture_tc, &atfu_torture_tc_pack, config)) ||
	    atf_is_error(atf_tc_run(&atfu_torture_tc, "/dev/null")))
		return 2;
	return all_lost > 0;
}
