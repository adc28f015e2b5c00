/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Row 2: "snapmgr snapshot" against "lvcreate -s" of a thin volume, whole commands. */
#include "tests/bench/bench.h"

#define CHANGED (4 * SM_MIB)

static void ours(int i)
{
	char spec[64];
	double ms;

	(void)snprintf(spec, sizeof(spec), "bench/v@s%d", i);
	fill("/dev/snapmgr/bench/v", 0, CHANGED);
	settle();
	ms = command_ms(ARGV("snapmgr", "snapshot", "--quiet", spec));
	series_add(series_at("ms", BENCH_NO_X, "snapmgr snapshot"), ms);
}

static void theirs(int i)
{
	char name[32];
	double ms;

	(void)snprintf(name, sizeof(name), "s%d", i);
	fill("/dev/" LVM_VG "/v", 0, CHANGED);
	settle();
	ms = command_ms(ARGV("lvcreate", "-q", "-s", "-n", name, LVM_VG "/v"));
	series_add(series_at("ms", BENCH_NO_X, "lvcreate -s"), ms);
}

int main(int argc, char **argv)
{
	const struct series *us, *them;

	bench_start(2, true, argc, argv);
	us = series_at("ms", BENCH_NO_X, "snapmgr snapshot");
	them = series_at("ms", BENCH_NO_X, "lvcreate -s");
	pool_make();
	volume_make("bench/v", SM_GIB);
	lvm_start(true);
	(void)command_ms(ARGV("lvcreate", "-q", "-V", "1g", "-n", "v", "--thinpool", LVM_POOL));
	for (int i = 0; i < bench.reps; i++) {
		for (int k = 0; k < 2; k++)
			alternate(i, k, 2) == 0 ? ours(i) : theirs(i);
	}
	at_most("snapshot, part of lvcreate's time", series_median(us) / series_median(them), 0.25);
	bench_end();
	return 0;
}
