/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Row 1: "snapmgr revert" of an active volume, against LVM's way to the same end, whole commands. */
#include "tests/bench/bench.h"

#define VOLUME_BYTES SM_GIB
#define CHANGED	     (4 * SM_MIB)

static void ours(void)
{
	double ms;

	fill("/dev/snapmgr/bench/v", 0, CHANGED);
	settle();
	ms = command_ms(ARGV("snapmgr", "revert", "--quiet", "bench/v@s"));
	series_add(series_at("ms", BENCH_NO_X, "snapmgr revert"), ms);
}

/*
 * Where nobody has the volume open, one command takes it down, merges and activates it again. The merge
 * eats the snapshot, so a new one is a part of the way.
 */
static void theirs(void)
{
	static const struct {
		const char *name, *argv[6];
	} steps[] = {
		{ "lvconvert --merge", { "lvconvert", "-q", "--merge", LVM_VG "/s" } },
		{ "lvcreate -s", { "lvcreate", "-q", "-s", "-ns", LVM_VG "/v" } },
	};
	double sum = 0;

	fill("/dev/" LVM_VG "/v", 0, CHANGED);
	settle();
	for (size_t i = 0; i < SM_ARRAY(steps); i++) {
		double ms = command_ms(steps[i].argv);

		series_add(series_at("ms", BENCH_NO_X, "of it %s", steps[i].name), ms);
		sum += ms;
	}
	series_add(series_at("ms", BENCH_NO_X, "LVM: merge, reactivation, new snapshot"), sum);
}

int main(int argc, char **argv)
{
	const struct series *us, *them;

	bench_start(1, true, argc, argv);
	us = series_at("ms", BENCH_NO_X, "snapmgr revert");
	them = series_at("ms", BENCH_NO_X, "LVM: merge, reactivation, new snapshot");
	pool_make();
	volume_make("bench/v", VOLUME_BYTES);
	snapshot_take("bench/v@s");
	lvm_start(true);
	(void)command_ms(ARGV("lvcreate", "-q", "-V", "1g", "-n", "v", "--thinpool", LVM_POOL));
	(void)command_ms(ARGV("lvcreate", "-q", "-s", "-ns", LVM_VG "/v"));
	for (int i = 0; i < bench.reps; i++) {
		for (int k = 0; k < 2; k++)
			alternate(i, k, 2) == 0 ? ours() : theirs();
	}
	at_most("revert, part of LVM's time", series_median(us) / series_median(them), 0.25);
	bench_end();
	return 0;
}
