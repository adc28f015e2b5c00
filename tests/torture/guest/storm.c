/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Storms of 2,000 operations by 8 processes, one after the other: see tests/guest/storm/storm.h. */
#include <inttypes.h>

#include "tests/guest/storm/storm.h"

#define OPS 2000

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	uint64_t end_ns = sm_monotonic_ns() +
			  (argc > 2 ? strtoull(argv[2], NULL, 10) : 0) * UINT64_C(1000000000);
	char what[1024] = "";
	int lost = 0;

	do {
		int r = storm_run(seed, OPS, what, sizeof(what));

		printf("round %" PRIu64 ": %s %s\n", seed++, r < 0 ? "lost" : "ok", what);
		(void)fflush(stdout);
		lost |= r < 0;
	} while (sm_monotonic_ns() < end_ns && !lost);
	return lost;
}
