/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Row 4: a revert takes as long at 15 TiB as at 1 GiB, however much has changed. Each volume is
 * reverted to and fro between an empty snapshot and a written one, so that each revert exchanges all
 * that was written.
 */
#include <inttypes.h>
#include <string.h>

#include "tests/bench/bench.h"

#define MAX_VOLUMES 16

struct volume {
	char name[32];
	uint64_t bytes, written;
};
static struct volume volumes[MAX_VOLUMES];
static size_t n_volumes;

static void make(uint64_t bytes, uint64_t written)
{
	struct volume *v = &volumes[n_volumes++];
	char spec[64], device[64];

	*v = (struct volume){ .bytes = bytes, .written = written };
	(void)snprintf(v->name, sizeof(v->name), "v%" PRIu64 "g-%" PRIu64 "m", bytes / SM_GIB,
		       written / SM_MIB);
	(void)snprintf(spec, sizeof(spec), "bench/%s", v->name);
	(void)snprintf(device, sizeof(device), "/dev/snapmgr/bench/%s", v->name);
	volume_make(spec, bytes);
	(void)snprintf(spec, sizeof(spec), "bench/%s@empty", v->name);
	snapshot_take(spec);
	fill(device, 0, written);
	(void)snprintf(spec, sizeof(spec), "bench/%s@written", v->name);
	snapshot_take(spec);
	say("volume of %" PRIu64 " GiB with %" PRIu64 " MiB written", bytes / SM_GIB,
	    written / SM_MIB);
}

static struct series *series_of(const struct volume *v)
{
	return series_at("ms", (double)(v->bytes / SM_GIB), "revert, %" PRIu64 " MiB changed",
			 v->written / SM_MIB);
}

static void revert(const struct volume *v, int i)
{
	struct snapmgr_err err;
	char spec[64];
	double start;

	(void)snprintf(spec, sizeof(spec), "bench/%s@%s", v->name, i % 2 ? "written" : "empty");
	start = now_ms();
	must(snapmgr_revert(bench.sm, spec, NULL, NULL, &err), &err);
	series_add(series_of(v), now_ms() - start);
}

/* How much may be written to one volume, so that all of them find room in the pool. */
static uint64_t most_written(void)
{
	const char *wanted = getenv("BENCH_WRITTEN_MIB");
	uint64_t room = device_bytes(bench.devices[0]) / 5 * 4, most = 4 * SM_GIB;

	if (wanted)
		most = strtoull(wanted, NULL, 10) * SM_MIB;
	else if (bench.quick || room < 16 * SM_GIB)
		most = room / 4 < SM_GIB ? room / 4 / SM_MIB * SM_MIB : SM_GIB;
	return most;
}

int main(int argc, char **argv)
{
	static const uint64_t sizes[] = { SM_GIB, 64 * SM_GIB, SM_TIB, 15 * SM_TIB };
	uint64_t written[] = { 0, SM_GIB, 4 * SM_GIB }, limit;
	double worst = 0;

	bench_start(4, false, argc, argv);
	limit = most_written();
	pool_make();
	for (size_t w = 0; w < SM_ARRAY(written); w++) {
		if (written[w] > limit)
			written[w] = limit;
		for (size_t s = 0; s < SM_ARRAY(sizes) && (w == 0 || written[w] > written[w - 1]);
		     s++) {
			if (sizes[s] >= written[w])
				make(sizes[s], written[w]);
		}
	}
	for (int i = 0; i < 2 * bench.reps + 1; i++) {
		for (size_t k = 0; k < n_volumes; k++)
			revert(&volumes[(size_t)alternate(i, (int)k, (int)n_volumes)], i);
	}
	for (size_t k = 0; k < n_volumes; k++) {
		double ratio = series_median(series_of(&volumes[k])) /
			       series_median(series_of(&volumes[0]));

		if (ratio > worst)
			worst = ratio;
	}
	at_most("revert, worst case, times that of 1 GiB", worst, 1.3);
	bench_end();
	return 0;
}
