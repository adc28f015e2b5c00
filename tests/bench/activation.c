/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Row 9: activation of a pool with 200 volumes, against "vgchange -ay" of 200 thin volumes. */
#include <string.h>

#include "tests/bench/bench.h"

static unsigned int volumes = 200;

/* Made unmapped, which is quicker; they start with their pool. */
static void make_ours(void)
{
	struct snapmgr_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);
	struct snapmgr_err err;

	opts.size_bytes = SM_GIB;
	opts.inactive = true;
	pool_make();
	for (unsigned int i = 0; i < volumes; i++) {
		char spec[32];

		(void)snprintf(spec, sizeof(spec), "bench/v%u", i);
		must(snapmgr_create(bench.sm, spec, &opts, NULL, NULL, &err), &err);
		must(snapmgr_set(bench.sm, spec, "autostart", "on", &err), &err);
	}
	say("%u volumes of ours", volumes);
}

/* By one process that reads commands. */
static void make_theirs(void)
{
	AUTO(sm_close_file) FILE *f = NULL;
	const char *path = "/tmp/bench-lvcreate";

	lvm_start(true);
	f = fopen(path, "we");
	if (!f)
		die("cannot write '%s'", path);
	for (unsigned int i = 0; i < volumes; i++)
		(void)fprintf(f, "lvcreate -q -an -kn -V 1g -n v%u --thinpool tp " LVM_VG "\n", i);
	(void)fflush(f);
	(void)command_ms(ARGV("sh", "-c", "lvm </tmp/bench-lvcreate"));
	(void)unlink(path);
	say("%u volumes of LVM", volumes);
}

/* Down, and up again: only that is timed. */
static void ours(void)
{
	(void)command_ms(ARGV("snapmgr", "pool", "deactivate", BENCH_POOL));
	settle();
	series_add(series_at("ms", BENCH_NO_X, "snapmgr pool activate"),
		   command_ms(ARGV("snapmgr", "pool", "activate", BENCH_POOL)));
	settle();
}

static void theirs(void)
{
	(void)command_ms(ARGV("vgchange", "-q", "-an", LVM_VG));
	settle();
	series_add(series_at("ms", BENCH_NO_X, "vgchange -ay"),
		   command_ms(ARGV("vgchange", "-q", "-ay", LVM_VG)));
	settle();
}

/* As many rounds as there is time for. Return: how many. */
static int measure(const struct series *us, const struct series *them)
{
	double start, round_ms = 0;
	int i = 0;

	for (; i < bench.reps && time_for(round_ms); i++) {
		start = now_ms();
		for (int k = 0; k < 2; k++)
			alternate(i, k, 2) == 0 ? ours() : theirs();
		round_ms = now_ms() - start;
		say("round %d of %d: %.0f ms, LVM %.0f ms", i + 1, bench.reps, us->v[i],
		    them->v[i]);
	}
	return i;
}

int main(int argc, char **argv)
{
	const char *count = getenv("BENCH_VOLUMES");
	const struct series *us, *them;
	int rounds;

	bench_start(9, true, argc, argv);
	if (count)
		volumes = (unsigned int)strtoul(count, NULL, 10);
	us = series_at("ms", BENCH_NO_X, "snapmgr pool activate");
	them = series_at("ms", BENCH_NO_X, "vgchange -ay");
	make_ours();
	make_theirs();
	rounds = measure(us, them);
	if (rounds < bench.reps)
		not_measured("activation: all repetitions", "time was up after %d of %d", rounds,
			     bench.reps);
	if (rounds)
		at_most("activation, part of vgchange's time",
			series_median(us) / series_median(them), 0.5);
	bench_end();
	return 0;
}
