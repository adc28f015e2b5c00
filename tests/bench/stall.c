/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows 6 and 7: what snapshots and reverts do to somebody who writes meanwhile. fio writes 4 KiB at
 * random, 16 at a time, and each second something is done to its volume.
 */
#include <limits.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/bench/bench.h"

#define VOLUME_BYTES (96 * SM_MIB)

/* Each answers how long the volume was suspended, in ms, or -1 where that is not known. */
typedef double act_fn(int i);
static double nothing(int i);
static double bare_snapshots(int i);
static double our_snapshots(int i);
static double lvm_snapshots(int i);
static double bare_reverts(int i);
static double our_reverts(int i);

enum how { NOTHING, BARE_SNAPSHOT, OUR_SNAPSHOT, LVM_SNAPSHOT, BARE_REVERT, OUR_REVERT, HOWS };
static const struct {
	const char *name, *file, *device; /* without a device: the bare one's node */
	act_fn *act;
} hows[HOWS] = {
	[NOTHING] = { "nothing", "nothing", "/dev/snapmgr/bench/v", nothing },
	[BARE_SNAPSHOT] = { "bare snapshots", "bare-snapshot", NULL, bare_snapshots },
	[OUR_SNAPSHOT] = { "snapshots", "snapshot", "/dev/snapmgr/bench/v", our_snapshots },
	[LVM_SNAPSHOT] = { "lvcreate -s", "lvcreate", "/dev/" LVM_VG "/v", lvm_snapshots },
	[BARE_REVERT] = { "bare reverts", "bare-revert", NULL, bare_reverts },
	[OUR_REVERT] = { "reverts", "revert", "/dev/snapmgr/bench/v", our_reverts },
};

static struct bare bare;
static char bare_node[PATH_MAX]; /* udev drops the link when a resume has no cookie */

static const char *device_of(enum how how)
{
	return hows[how].device ? hows[how].device : bare_node;
}

static double nothing(int i)
{
	(void)i;
	return -1;
}

static double bare_snapshots(int i)
{
	double ms;

	(void)i;
	(void)bare_snapshot(&bare, &ms);
	return ms;
}

static double bare_reverts(int i)
{
	double ms;

	(void)i;
	(void)bare_revert(&bare, &ms);
	return ms;
}

static double our_snapshots(int i)
{
	struct snapmgr_snapshot_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_snapshot_opts);
	uint64_t suspended_ns = 0;
	struct snapmgr_err err;
	char spec[64];
	const char *specs[] = { spec };

	(void)snprintf(spec, sizeof(spec), "bench/v@t%d", i);
	opts.suspended_ns = &suspended_ns;
	must(snapmgr_snapshot(bench.sm, specs, 1, &opts, NULL, NULL, &err), &err);
	return (double)suspended_ns / 1e6;
}

static double our_reverts(int i)
{
	struct snapmgr_revert_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	struct snapmgr_revert_result result;
	struct snapmgr_err err;

	(void)i;
	opts.online = true;
	must(snapmgr_revert(bench.sm, "bench/v@s", &opts, &result, &err), &err);
	return (double)result.suspended_us / 1e3;
}

static double lvm_snapshots(int i)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "t%d", i);
	(void)command_ms(ARGV("lvcreate", "-q", "-s", "-n", name, LVM_VG "/v"));
	return -1;
}

/* ---- what a run leaves goes before the next one ---- */

static void clean(enum how how, int done)
{
	struct snapmgr_err err;

	for (int i = 0; i < done && (how == OUR_SNAPSHOT || how == LVM_SNAPSHOT); i++) {
		char name[64];

		if (how == OUR_SNAPSHOT) {
			(void)snprintf(name, sizeof(name), "bench/v@t%d", i);
			snapshot_delete(name);
		} else {
			(void)snprintf(name, sizeof(name), LVM_VG "/t%d", i);
			(void)command_ms(ARGV("lvremove", "-q", "-y", name));
		}
	}
	if (how == OUR_REVERT)
		must(snapmgr_recover(bench.sm, BENCH_POOL, NULL, NULL, &err), &err);
	if (how == BARE_SNAPSHOT || how == BARE_REVERT) {
		bare_forget(&bare);
		(void)bare_snapshot(&bare, NULL); /* the one to revert to */
	}
}

static void wait_until(double at_ms)
{
	double left = at_ms - now_ms();
	struct timespec ts = { 0 };

	if (left <= 0)
		return;
	ts.tv_sec = (time_t)(left / 1e3);
	ts.tv_nsec = (long)((left - (double)ts.tv_sec * 1e3) * 1e6);
	(void)nanosleep(&ts, NULL);
}

static struct series *figures(int row, const char *unit, const char *what, enum how how)
{
	bench.row = row;
	return series_at(unit, BENCH_NO_X, "%s %s", what, hows[how].name);
}
#define STALLS(how)    figures(6, "ms", "longest stall with", how)
#define SUSPENDED(how) figures(6, "ms", "suspended by", how)
#define IOPS(how)      figures(7, "iops", "4 KiB random writes with", how)

/* Until fio ends: once a second. Answers how often. */
static int act_each_second(enum how how, pid_t pid)
{
	double start = now_ms();
	int n = 0;

	for (int i = 1;; i++) {
		siginfo_t info = { 0 };
		double ms;

		wait_until(start + i * 1e3);
		if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		    info.si_pid == pid)
			return n;
		ms = hows[how].act(n++);
		if (ms >= 0)
			series_add(SUSPENDED(how), ms);
	}
}

static void run_one(enum how how, int seconds)
{
	const char *dir = getenv("BENCH_DIR"), *job = getenv("BENCH_JOBS");
	struct fio_result result;
	char log[256], path[256];
	int done;
	pid_t pid;

	(void)snprintf(log, sizeof(log), "%s/stall-%s-%s", dir ? dir : "/tmp", bench.backing,
		       hows[how].file);
	(void)snprintf(path, sizeof(path), "%s/randwrite.fio", job ? job : "tests/bench");
	settle();
	pid = fio_start(path, device_of(how), seconds, log);
	done = act_each_second(how, pid);
	fio_end(pid, &result);
	series_add(STALLS(how), result.longest_ms);
	series_add(IOPS(how), result.iops);
	say("with %s: %d in %d s, %.0f writes a second, longest %.1f ms", hows[how].name, done,
	    seconds, result.iops, result.longest_ms);
	clean(how, done);
}

static void prepare(void)
{
	pool_make();
	volume_make("bench/v", VOLUME_BYTES);
	bare_make(&bare, "bench-bare", VOLUME_BYTES);
	if (!realpath("/dev/mapper/bench-bare", bare_node))
		die("the bare volume has no node");
	lvm_start(true);
	(void)command_ms(ARGV("lvcreate", "-q", "-V", "96m", "-n", "v", "--thinpool", LVM_POOL));
	for (size_t i = 0; i < HOWS; i++)
		fill(device_of((enum how)i), 0, VOLUME_BYTES);
	snapshot_take("bench/v@s");
	(void)bare_snapshot(&bare, NULL);
}

static void judge_stall(const char *verb, enum how us, enum how them)
{
	char what[96];

	bench.row = 6;
	(void)snprintf(what, sizeof(what), "longest stall with %s, ms more than bare", verb);
	at_most(what, series_median(STALLS(us)) - series_median(STALLS(them)), 20);
	(void)snprintf(what, sizeof(what), "suspended in %s, times bare", verb);
	at_most(what, series_median(SUSPENDED(us)) / series_median(SUSPENDED(them)), 2);
	bench.row = 7;
	(void)snprintf(what, sizeof(what), "writes with %s, part of those with bare ones", verb);
	at_least(what, series_median(IOPS(us)) / series_median(IOPS(them)), 0.9);
}

int main(int argc, char **argv)
{
	const char *run_seconds = getenv("BENCH_SECONDS"), *runs_text = getenv("BENCH_REPS");
	int seconds, runs;

	bench_start(6, true, argc, argv);
	runs = runs_text ? bench.reps : bench.quick ? 3 : 5;
	seconds = run_seconds ? atoi(run_seconds) : bench.quick ? 5 : 20;
	prepare();
	for (int i = 0; i < runs; i++) {
		for (int k = 0; k < HOWS; k++)
			run_one((enum how)alternate(i, k, HOWS), seconds);
	}
	judge_stall("snapshots", OUR_SNAPSHOT, BARE_SNAPSHOT);
	judge_stall("reverts", OUR_REVERT, BARE_REVERT);
	at_least("writes with snapshots, part of those with lvcreate -s",
		 series_median(IOPS(OUR_SNAPSHOT)) / series_median(IOPS(LVM_SNAPSHOT)), 1);
	bare_remove(&bare);
	bench_end();
	return 0;
}
