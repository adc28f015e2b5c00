/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Power cuts on disks that lose what was not flushed: a round records a series of changes, and looks at
 * the disks that a cut at each of many moments could have left. See tests/model/rig.h.
 */
#include <inttypes.h>
#include <string.h>

#include "tests/model/rig.h"

static bool one_round(struct rig *rig, uint64_t seed)
{
	struct model_why why = { "" };
	uint64_t random = seed;

	*rig = (struct rig){ .log_device = rig->log_device, .seed = seed };
	rig->files = model_random(&random) % 2;
	rig->exports = model_random(&random) % 4 == 0;
	rig->changes = rig->exports ? 20 : 40;
	rig->states = 150;
	if (rig_record(rig, &why) < 0 || rig_replay(rig, false, &why) < 0) {
		printf("round %" PRIu64 ": lost %s\n", seed, why.text);
		return false;
	}
	printf("round %" PRIu64 ": ok %u changes, %u flushes, %u disks as a power cut left them\n",
	       seed, rig->changes, rig->flushes, rig->tried);
	return true;
}

int main(int argc, char **argv)
{
	static struct rig rig;
	const char *disks = getenv("SANDBOX_DISKS");
	static char disk[64];
	uint64_t seed, end_ns;
	bool whole = true;

	if (argc != 3 || !disks || sscanf(disks, "%63s", disk) != 1)
		return 2;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	rig.log_device = disk;
	seed = strtoull(argv[1], NULL, 10);
	end_ns = sm_monotonic_ns() + strtoull(argv[2], NULL, 10) * UINT64_C(1000000000);
	do
		whole &= one_round(&rig, seed++);
	while (sm_monotonic_ns() < end_ns);
	return whole ? 0 : 1;
}
