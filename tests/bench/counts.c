/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Row 5: what a pool full of snapshots does to snapshot, revert, show and list of one volume that keeps
 * ten of them; and the list of all.
 */
#include <inttypes.h>

#include "tests/bench/bench.h"

#define KEPT	10
#define FILLERS 500 /* volumes whose snapshots fill the pool; one call takes one of each */

static size_t n_fillers, total; /* fillers that are there; snapshots in the pool */

static void make_filler(size_t i)
{
	struct snapmgr_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);
	struct snapmgr_err err;
	char spec[64];

	(void)snprintf(spec, sizeof(spec), "bench/f%zu", i);
	opts.size_bytes = SM_GIB;
	opts.inactive = true;
	must(snapmgr_create(bench.sm, spec, &opts, NULL, NULL, &err), &err);
}

/* One call: one snapshot each of the first @n fillers. */
static void take_many(size_t n, unsigned int round)
{
	static char text[FILLERS][64];
	const char *specs[FILLERS];
	struct snapmgr_err err;

	for (; n_fillers < n; n_fillers++)
		make_filler(n_fillers);
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(text[i], sizeof(text[i]), "bench/f%zu@s%u", i, round);
		specs[i] = text[i];
	}
	must(snapmgr_snapshot(bench.sm, specs, n, NULL, NULL, NULL, &err), &err);
	total += n;
}

static void fill_to(size_t wanted)
{
	static unsigned int round;
	const size_t before = total;
	double start = now_ms();

	while (total < wanted)
		take_many(wanted - total < FILLERS ? wanted - total : FILLERS, round++);
	if (total > before)
		series_add(series_at("ms", (double)total, "fill, each snapshot of it"),
			   (now_ms() - start) / (double)(total - before));
}

static int drop(const struct snapmgr_object *object, void *data)
{
	(void)object;
	(*(unsigned int *)data)++;
	return 0;
}

static void time_snapshot(double x, int i)
{
	char spec[64];
	double start;

	(void)snprintf(spec, sizeof(spec), "bench/v@t%d", i);
	start = now_ms();
	snapshot_take(spec);
	series_add(series_at("ms", x, "snapshot"), now_ms() - start);
	start = now_ms();
	snapshot_delete(spec);
	series_add(series_at("ms", x, "delete"), now_ms() - start);
}

static void time_revert(double x, int i)
{
	struct snapmgr_err err;
	char spec[64];
	double start = now_ms();

	(void)snprintf(spec, sizeof(spec), "bench/v@k%d", i % KEPT);
	must(snapmgr_revert(bench.sm, spec, NULL, NULL, &err), &err);
	series_add(series_at("ms", x, "revert"), now_ms() - start);
}

static void time_readers(double x)
{
	struct snapmgr_err err;
	unsigned int seen = 0;
	double start = now_ms();

	must(snapmgr_show(bench.sm, "bench/v", drop, &seen, &err), &err);
	series_add(series_at("ms", x, "show"), now_ms() - start);
	start = now_ms();
	seen = 0;
	must(snapmgr_list(bench.sm, "bench/v", NULL, drop, &seen, &err), &err);
	series_add(series_at("ms", x, "list of the volume"), now_ms() - start);
	if (seen != KEPT + 1)
		die("the list has %u objects, not %d", seen, KEPT + 1);
}

static void measure(size_t count)
{
	fill_to(count);
	for (int i = 0; i < 2 * bench.reps + 1; i++) {
		time_snapshot((double)count, i);
		time_revert((double)count, i);
		time_readers((double)count);
	}
	say("%zu snapshots in the pool", count);
}

static void judge(const char *verb, size_t count)
{
	char what[96];

	(void)snprintf(what, sizeof(what), "%s with %zu snapshots, times that with %d", verb, count,
		       KEPT);
	at_most(what,
		series_median(series_at("ms", (double)count, "%s", verb)) /
			series_median(series_at("ms", KEPT, "%s", verb)),
		1.5);
}

static void list_all(void)
{
	struct usage usage;
	char what[96];

	command_usage(ARGV("snapmgr", "list", "--json"), &usage);
	(void)snprintf(what, sizeof(what), "ms of CPU, list --json of %zu snapshots", total);
	at_most(what, usage.cpu_ms, 1000);
	(void)snprintf(what, sizeof(what), "MiB of memory, list --json of %zu snapshots", total);
	at_most(what, usage.peak_mib, 64);
	note("it prints %zu KiB", usage.out_bytes / 1024);
}

int main(int argc, char **argv)
{
	static const size_t counts[] = { KEPT, 1000, 10000, 50000 };
	static const char *const verbs[] = { "snapshot", "revert", "show", "list of the volume" };
	const char *limit = getenv("BENCH_SNAPSHOTS");
	size_t most, n = 0;

	bench_start(5, false, argc, argv);
	most = limit ? strtoul(limit, NULL, 10) : bench.quick ? 1000 : 50000;
	pool_make();
	volume_make("bench/v", SM_GIB);
	for (int i = 0; i < KEPT; i++) {
		char spec[64];

		(void)snprintf(spec, sizeof(spec), "bench/v@k%d", i);
		snapshot_take(spec);
	}
	total = KEPT;
	for (; n < SM_ARRAY(counts) && counts[n] <= most; n++)
		measure(counts[n]);
	for (size_t v = 0; v < SM_ARRAY(verbs); v++)
		judge(verbs[v], counts[n - 1]);
	list_all();
	bench_end();
	return 0;
}
