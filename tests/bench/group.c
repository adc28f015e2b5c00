/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Row 11: a snapshot of a group of 16, from first suspend to last resume, against 16 bare sequences. */
#include "tests/bench/bench.h"

#define VOLUMES 16

static struct bare bare[VOLUMES];

static double ours(int i)
{
	struct snapmgr_snapshot_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_snapshot_opts);
	uint64_t suspended_ns = 0;
	struct snapmgr_err err;
	char spec[64];
	const char *specs[] = { spec };

	(void)snprintf(spec, sizeof(spec), "bench/g@s%d", i);
	opts.suspended_ns = &suspended_ns;
	must(snapmgr_snapshot(bench.sm, specs, 1, &opts, NULL, NULL, &err), &err);
	return (double)suspended_ns / 1e6;
}

static void make_group(void)
{
	const char *names[VOLUMES];
	static char text[VOLUMES][16];
	struct snapmgr_err err;

	for (size_t i = 0; i < VOLUMES; i++) {
		char spec[64], name[32];

		(void)snprintf(text[i], sizeof(text[i]), "v%zu", i);
		(void)snprintf(spec, sizeof(spec), "bench/v%zu", i);
		(void)snprintf(name, sizeof(name), "bare%zu", i);
		names[i] = text[i];
		volume_make(spec, SM_GIB);
		bare_make(&bare[i], name, SM_GIB);
	}
	must(snapmgr_group_create(bench.sm, "bench/g", names, VOLUMES, NULL, NULL, NULL, &err),
	     &err);
}

int main(int argc, char **argv)
{
	struct series *us, *them;

	bench_start(11, false, argc, argv);
	us = series_at("ms", BENCH_NO_X, "group of 16: suspended");
	them = series_at("ms", BENCH_NO_X, "16 bare sequences under one suspension");
	pool_make();
	make_group();
	for (int i = 0; i < bench.reps; i++) {
		for (int k = 0; k < 2; k++) {
			if (alternate(i, k, 2) == 0)
				series_add(us, ours(i));
			else
				series_add(them, bare_group_ms(bare, VOLUMES));
		}
	}
	at_most("group's suspension, times the bare one's", series_median(us) / series_median(them),
		2);
	for (size_t i = 0; i < VOLUMES; i++)
		bare_remove(&bare[i]);
	bench_end();
	return 0;
}
