/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Random extents, sizes, contents and faults, from fixed seeds, against memcpy(). */
#include "tests/model/io_plan.h"

#include <atf-c.h>
#include <stdlib.h>

#include "base.h"

#define PLAN_BYTES 160u

static void run(unsigned int from, unsigned int to)
{
	uint8_t bytes[PLAN_BYTES];

	for (unsigned int seed = from; seed < to; seed++) {
		const char *wrong;

		srandom(seed);
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)(random() >> 8);
		wrong = io_plan_run(bytes, sizeof(bytes));
		ATF_REQUIRE_MSG(!wrong, "seed %u: %s", seed, wrong);
	}
}

ATF_TC_WITHOUT_HEAD(random_copies_end_as_memcpy_would);
ATF_TC_BODY(random_copies_end_as_memcpy_would, tc)
{
	(void)tc;
	run(1, 101);
	ATF_CHECK(io_plan_counts.failed_copies > 5);
	ATF_CHECK(io_plan_counts.resumed > 5);
	ATF_CHECK(io_plan_counts.checkpoints > 10); /* how many depends on what ends first */
	ATF_CHECK(io_plan_counts.zeroes > 20);
	ATF_CHECK(io_plan_counts.differing > 100);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, random_copies_end_as_memcpy_would);
	return atf_no_error();
}
