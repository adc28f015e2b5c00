/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Row 3: what a snapshot and a revert of an active volume cost: the library's calls against the bare
 * libdevmapper sequences for the same end. Nobody waits for udevd.
 */
#include <string.h>

#include "tests/bench/bench.h"
#include "tests/model/wlog.h"

#define ROUNDS 41
#define LOGGED 6 /* calls whose flushes are counted */

static double lib_snapshot(const char *spec)
{
	double start = now_ms();

	snapshot_take(spec);
	return now_ms() - start;
}

static double lib_revert(void)
{
	struct snapmgr_err err;
	double start = now_ms();

	must(snapmgr_revert(bench.sm, "bench/v@s0", NULL, NULL, &err), &err);
	return now_ms() - start;
}

static void compare(const char *verb, const struct series *us, const struct series *them,
		    double limit)
{
	char what[96];

	(void)snprintf(what, sizeof(what), "%s at %g GiB, times the bare one", verb, us->x);
	at_most(what, series_median(us) / series_median(them), limit);
}

static void measure(uint64_t bytes)
{
	const double x = (double)(bytes / SM_GIB);
	struct series *snap = series_at("ms", x, "library's snapshot"),
		      *bare_snap = series_at("ms", x, "bare snapshot"),
		      *revert = series_at("ms", x, "library's revert"),
		      *bare_rev = series_at("ms", x, "bare revert");
	struct bare bare;

	volume_make("bench/v", bytes);
	bare_make(&bare, "bench-bare", bytes);
	for (int i = 0; i < ROUNDS; i++) {
		char spec[64];

		(void)snprintf(spec, sizeof(spec), "bench/v@s%d", i);
		for (int k = 0; k < 2; k++) {
			if (alternate(i, k, 2) == 0)
				series_add(bare_snap, bare_snapshot(&bare, NULL));
			else
				series_add(snap, lib_snapshot(spec));
		}
	}
	for (int i = 0; i < ROUNDS; i++) {
		for (int k = 0; k < 2; k++) {
			if (alternate(i, k, 2) == 0)
				series_add(bare_rev, bare_revert(&bare, NULL));
			else
				series_add(revert, lib_revert());
		}
	}
	compare("snapshot", snap, bare_snap, 3);
	compare("revert", revert, bare_rev, 4);
	bare_remove(&bare);
	volume_delete("bench/v");
}

/* ---- flushes, counted by dm-log-writes below the pool ---- */

#define LOG_DEVICE "bench-log"

static const char *const kinds[] = { "bare snapshot", "library's snapshot", "bare revert",
				     "library's revert" };

static bool log_start(void)
{
	char table[256], sectors[32] = "";
	const char *name = strrchr(bench.devices[0], '/') + 1;
	FILE *f;

	(void)snprintf(table, sizeof(table), "/sys/class/block/%s/size", name);
	f = fopen(table, "re");
	if (!f || fscanf(f, "%31s", sectors) != 1)
		die("no size of '%s'", bench.devices[0]);
	sm_close_file(f);
	(void)snprintf(table, sizeof(table), "0 %s log-writes %s %s", sectors, bench.devices[0],
		       bench.devices[1]);
	return command_ok(ARGV("modprobe", "dm-log-writes")) &&
	       command_ok(ARGV("dmsetup", "create", LOG_DEVICE, "--table", table));
}

/* One call of each kind, each behind a mark that names it. */
static void log_calls(struct bare *bare, int i)
{
	char spec[64];

	(void)snprintf(spec, sizeof(spec), "bench/v@s%d", i);
	bare_message(LOG_DEVICE, "mark 0");
	(void)bare_snapshot(bare, NULL);
	bare_message(LOG_DEVICE, "mark 1");
	(void)lib_snapshot(spec);
	bare_message(LOG_DEVICE, "mark 2");
	(void)bare_revert(bare, NULL);
	bare_message(LOG_DEVICE, "mark 3");
	(void)lib_revert();
	bare_message(LOG_DEVICE, "mark 4");
}

static void count_flushes(void)
{
	struct model_why why;
	struct wlog log;
	unsigned int kind = SM_ARRAY(kinds), n = 0;

	if (wlog_read(bench.devices[1], &log, &why) < 0)
		die("%s", why.text);
	for (size_t i = 0; i < log.n; i++) {
		const struct wlog_entry *e = &log.v[i];

		if (e->flags & WLOG_MARK) {
			if (kind < SM_ARRAY(kinds))
				series_add(series_at("n", BENCH_NO_X, "flushes of %s", kinds[kind]),
					   n);
			kind = (unsigned int)strtoul(e->mark, NULL, 10);
			n = 0;
		} else if (e->flags & (WLOG_FLUSH | WLOG_FUA)) {
			n++;
		}
	}
	wlog_free(&log);
}

static double flushes_of(unsigned int kind)
{
	return series_median(series_at("n", BENCH_NO_X, "flushes of %s", kinds[kind]));
}

static void measure_flushes(void)
{
	struct bare bare;

	if (!log_start()) {
		not_measured("flushes", "no dm-log-writes here");
		return;
	}
	(void)sm_copy_text(bench.devices[0], sizeof(bench.devices[0]), "/dev/mapper/" LOG_DEVICE);
	pool_make();
	volume_make("bench/v", SM_GIB);
	bare_make(&bare, "bench-bare", SM_GIB);
	(void)bare_snapshot(&bare, NULL); /* first calls do more */
	snapshot_take("bench/v@first");
	for (int i = 0; i < LOGGED; i++)
		log_calls(&bare, i);
	bare_remove(&bare);
	pool_destroy();
	(void)command_ms(ARGV("dmsetup", "remove", LOG_DEVICE));
	count_flushes();
	at_most("flushes of a snapshot, more than bare", flushes_of(1) - flushes_of(0), 4);
	at_most("flushes of a revert, more than bare", flushes_of(3) - flushes_of(2), 8);
}

int main(int argc, char **argv)
{
	static const uint64_t sizes[] = { SM_GIB, 64 * SM_GIB, SM_TIB, 15 * SM_TIB };
	struct usage usage;

	bench_start(3, false, argc, argv);
	pool_make();
	for (size_t i = 0; i < SM_ARRAY(sizes); i++)
		measure(sizes[i]);
	command_usage(ARGV("snapmgr", "list"), &usage);
	note("'snapmgr list' takes %.1f MiB of memory at most", usage.peak_mib);
	pool_destroy();
	if (bench.n_devices > 1)
		measure_flushes();
	bench_end();
	return 0;
}
