/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A storm of operations has the result of some order of them. At length: tests/torture/guest/storm.c. */
#include <stdio.h>

#include "../pool_lab.h"
#include "storm.h"

static void storms(uint64_t seed, unsigned int ops)
{
	char what[1024];
	int r;

	lab_clean();
	r = storm_run(seed, ops, what, sizeof(what));
	printf("seed %ju: %s\n", (uintmax_t)seed, what);
	ATF_REQUIRE_EQ_MSG(0, r, "seed %ju: %s", (uintmax_t)seed, what);
}

ATF_TC_WITHOUT_HEAD(a_storm_of_eight_processes_ends_as_some_order_of_what_they_did);
ATF_TC_BODY(a_storm_of_eight_processes_ends_as_some_order_of_what_they_did, tc)
{
	storms(1, 300);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_storm_of_eight_processes_ends_as_some_order_of_what_they_did);
	return atf_no_error();
}
