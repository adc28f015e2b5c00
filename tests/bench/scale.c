/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What grows with what: each thing at three sizes, and the straight line through them. Prints the table
 * of doc/SCALE.md. BENCH_QUICK makes the sizes a tenth.
 */
#include <inttypes.h>
#include <string.h>

#include "snapmgr/core/core.h"
#include "tests/bench/bench.h"

#define CHUNK	(64 * SM_KIB)
#define FILLERS 200

/* ---- what there is to read ---- */

static int keep_pool(const struct snapmgr_pool *pool, void *data)
{
	*(struct snapmgr_pool *)data = *pool;
	return 0;
}

static double metadata_bytes(void)
{
	struct snapmgr_pool pool;
	struct snapmgr_err err;

	must(snapmgr_pool_show(bench.sm, BENCH_POOL, keep_pool, &pool, &err), &err);
	return (double)pool.meta_used_bytes;
}

static double catalogue_bytes(void)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct snapmgr_err err;

	must(sm_pool_open(bench.sm, BENCH_POOL, false, &pool, &err), &err);
	return (double)scat_used_bytes(pool.cat);
}

static double kernel_kib(void)
{
	AUTO(sm_close_file) FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	double kib, sum = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Slab: %lf", &kib) == 1 ||
		    sscanf(line, "KernelStack: %lf", &kib) == 1 ||
		    sscanf(line, "Percpu: %lf", &kib) == 1 ||
		    sscanf(line, "PageTables: %lf", &kib) == 1)
			sum += kib;
	}
	return sum;
}

static double timed_check(void)
{
	struct snapmgr_pool_check_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_check_opts);
	struct snapmgr_err err;
	double start = now_ms();

	/* The ids of bare snapshots would be findings; there are none here. */
	must(snapmgr_pool_check(bench.sm, BENCH_POOL, &opts, &err), &err);
	return now_ms() - start;
}

static double timed_activation(void)
{
	struct snapmgr_err err;
	double start;

	must(snapmgr_pool_deactivate(bench.sm, BENCH_POOL, &err), &err);
	start = now_ms();
	must(snapmgr_pool_activate(bench.sm, BENCH_POOL, &err), &err);
	return now_ms() - start;
}

static void record(const char *name, const char *unit, size_t x, double value)
{
	series_add(series_at(unit, (double)x, "%s", name), value);
	say("%-44s %8zu: %.3f %s", name, x, value, unit);
}

/* ---- mapped chunks ---- */

static void at_chunks(size_t chunks)
{
	double before = metadata_bytes(), start;
	char spec[64], device[64];

	(void)snprintf(spec, sizeof(spec), "bench/m%zu", chunks);
	(void)snprintf(device, sizeof(device), "/dev/snapmgr/bench/m%zu", chunks);
	volume_make(spec, chunks * CHUNK);
	fill(device, 0, chunks * CHUNK);
	record("metadata, by mapped chunks", "B", chunks, metadata_bytes() - before);
	record("pool check, by mapped chunks", "ms", chunks, timed_check());
	start = now_ms();
	volume_delete(spec);
	record("delete of a volume, by its chunks", "ms", chunks, now_ms() - start);
}

/* ---- snapshots ---- */

/* What is written between two snapshots is what costs metadata: a path down to each chunk. */
static void at_changed_snapshots(size_t count)
{
	static size_t taken;
	static double before;

	if (!taken) {
		volume_make("bench/live", SM_GIB);
		fill("/dev/snapmgr/bench/live", 0, SM_GIB);
		before = metadata_bytes();
	}
	for (; taken < count; taken++) {
		char spec[64];

		(void)snprintf(spec, sizeof(spec), "bench/live@s%zu", taken);
		snapshot_take(spec);
		fill("/dev/snapmgr/bench/live", taken * 2654435761u % (SM_GIB / CHUNK) * CHUNK,
		     CHUNK);
	}
	record("metadata, by snapshots with one chunk written after", "B", count,
	       metadata_bytes() - before);
	record("pool check, by mappings, each snapshot's counted", "ms", count * (SM_GIB / CHUNK),
	       timed_check());
}

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

/* Of volumes that nobody writes to: one call takes one of each. */
static void at_snapshots(size_t count)
{
	static size_t taken, rounds;
	static double meta, catalogue;
	static char text[FILLERS][64];
	const char *specs[FILLERS];
	struct snapmgr_err err;

	if (!taken) {
		for (size_t i = 0; i < FILLERS; i++)
			make_filler(i);
		meta = metadata_bytes();
		catalogue = catalogue_bytes();
	}
	for (; taken < count; taken += FILLERS, rounds++) {
		for (size_t i = 0; i < FILLERS; i++) {
			(void)snprintf(text[i], sizeof(text[i]), "bench/f%zu@s%zu", i, rounds);
			specs[i] = text[i];
		}
		must(snapmgr_snapshot(bench.sm, specs, FILLERS, NULL, NULL, NULL, &err), &err);
	}
	record("metadata, by unchanged snapshots", "B", taken, metadata_bytes() - meta);
	record("catalogue, by snapshots", "B", taken, catalogue_bytes() - catalogue);
	record("pool check, by snapshots", "ms", taken, timed_check());
	record("activation, by snapshots", "ms", taken, timed_activation());
}

/* ---- volumes that are mapped ---- */

static void at_volumes(size_t count)
{
	static size_t made;
	static double before, catalogue;

	if (!made) {
		before = kernel_kib();
		catalogue = catalogue_bytes();
	}
	for (; made < count; made++) {
		char spec[64];

		(void)snprintf(spec, sizeof(spec), "bench/a%zu", made);
		volume_make(spec, SM_GIB);
	}
	record("kernel memory, by active volumes", "KiB", count, kernel_kib() - before);
	record("catalogue, by volumes", "B", count, catalogue_bytes() - catalogue);
	record("activation without udevd, by active volumes", "ms", count, timed_activation());
}

/* ---- the lines through them ---- */

static void print_line(const char *name)
{
	double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0, slope;
	const char *unit = "";

	printf("| %s |", name);
	for (size_t i = 0; i < bench.n_series; i++) {
		const struct series *s = bench.series[i];

		if (strcmp(s->name, name) != 0)
			continue;
		printf(" %.0f: %.4g %s%s", s->x, s->v[0], s->unit, n < 2 ? "," : " |");
		unit = s->unit;
		n++;
		sx += s->x;
		sy += s->v[0];
		sxx += s->x * s->x;
		sxy += s->x * s->v[0];
	}
	slope = (n * sxy - sx * sy) / (n * sxx - sx * sx);
	printf(" %.4g + %.4g n %s |\n", (sy - slope * sx) / n, slope, unit);
}

static bool is_first(size_t i)
{
	size_t k = 0;

	while (strcmp(bench.series[k]->name, bench.series[i]->name) != 0)
		k++;
	return k == i;
}

int main(int argc, char **argv)
{
	static const size_t chunks[] = { 4096, 16384, 65536 }, changed[] = { 250, 500, 1000 },
			    snapshots[] = { 1000, 4000, 16000 }, volumes[] = { 50, 100, 200 };
	size_t part;

	bench_start(0, false, argc, argv);
	part = bench.quick ? 10 : 1;
	pool_make();
	for (size_t i = 0; i < 3; i++)
		at_volumes(volumes[i] / part);
	for (size_t i = 0; i < 3; i++)
		at_chunks(chunks[i] / part);
	for (size_t i = 0; i < 3; i++)
		at_changed_snapshots(changed[i] / part);
	for (size_t i = 0; i < 3; i++)
		at_snapshots(snapshots[i] / part);
	printf("| what grows with n | measured | line through it |\n|---|---|---|\n");
	for (size_t i = 0; i < bench.n_series; i++) {
		if (is_first(i))
			print_line(bench.series[i]->name);
	}
	return 0;
}
