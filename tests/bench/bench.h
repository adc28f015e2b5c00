/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * bench.h - what the programs of a benchmark share
 *
 * Each program measures one row (or two) of the table that "make bench" prints. It is told by the
 * environment: BENCH_BACKING (disk, ram or device), BENCH_REPS, BENCH_QUICK, and BENCH_OUT, a file
 * that gets a line of JSON for each series and each target. Its devices are its arguments, or RAM
 * disks, or the disks of the sandbox. They are overwritten. Whatever fails ends the program.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdarg.h>

#include "base.h"

#define BENCH_POOL    "bench"
#define BENCH_SERIES  64
#define BENCH_SAMPLES 512
#define BENCH_NO_X    (-1.0)

/* Figures of one kind, one for each repetition. */
struct series {
	char name[96];
	char unit[8];
	double x; /* what it is drawn over, or BENCH_NO_X */
	int row;
	size_t n;
	double v[BENCH_SAMPLES];
};

struct bench {
	const char *backing; /* "disk", "ram", "device" */
	bool quick;
	int row; /* what series and targets belong to */
	int reps;
	double start_ms;
	char devices[4][64];
	size_t n_devices;
	bool has_pool, has_lvm;
	struct snapmgr *sm;
	struct series *series[BENCH_SERIES];
	size_t n_series;
};
extern struct bench bench;

/**
 * bench_start() - read arguments and environment, find the devices, open the library
 * @udev: what is measured waits for udevd where one runs; false: nobody waits
 */
void bench_start(int row, bool udev, int argc, char **argv);
/* time_for() - whether another round of that length ends before the time given to the program is up. */
bool time_for(double round_ms);
/* bench_flush() - write the series so far, and forget them: what comes later may fail. */
void bench_flush(void);
/* bench_end() - write the series to the results; on real devices, remove what was made. */
void bench_end(void);

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *fmt, ...);
/* must() - end with the library's message where @r is a failure. */
void must(int r, const struct snapmgr_err *err);
/* say() - a line of progress, on stderr. */
__attribute__((format(printf, 1, 2))) void say(const char *fmt, ...);
double now_ms(void);

/* ---- figures ---- */

/* series_at() - the one with that name and @x; a new one where there is none yet. */
__attribute__((format(printf, 3, 4))) struct series *series_at(const char *unit, double x,
							       const char *fmt, ...);
void series_add(struct series *s, double value);
double series_median(const struct series *s);
double series_max(const struct series *s);

/* at_most(), at_least() - one target of the row; missed where the value is on the other side. */
void at_most(const char *what, double value, double limit);
void at_least(const char *what, double value, double limit);
/* not_measured() - a part of the row that cannot be had here; it counts as missed. */
__attribute__((format(printf, 2, 3))) void not_measured(const char *what, const char *fmt, ...);
/* note() - a figure that explains a row and has no target. */
__attribute__((format(printf, 1, 2))) void note(const char *fmt, ...);

/* alternate() - which of @n goes @k-th in repetition @i: each of them is first in turn. */
static inline int alternate(int i, int k, int n)
{
	return (i + k) % n;
}

/* ---- commands ---- */

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })
/* command_ms() - run it; from fork to the end of the process. Its output is shown where it fails. */
double command_ms(const char *const argv[]);
/* command_ok() - the same where a failure is an answer. */
bool command_ok(const char *const argv[]);
struct run_result {
	int status;
	double ms;
	char output[256]; /* its start */
};
/* command_try() - the same where a failure has to be looked at. */
void command_try(const char *const argv[], struct run_result *ret);
struct usage {
	double cpu_ms, peak_mib;
	size_t out_bytes;
};
void command_usage(const char *const argv[], struct usage *ret);
/* settle() - udevd, where one runs, has seen everything. */
void settle(void);
bool have(const char *program);

/* ---- a pool of ours on the first device ---- */

void pool_make(void);
void pool_destroy(void);
void volume_make(const char *spec, uint64_t bytes);
void volume_delete(const char *spec);
void snapshot_take(const char *spec);
void snapshot_delete(const char *spec);
uint64_t device_bytes(const char *path);
/* fill() - write @len bytes of noise at @at, past the page cache. */
void fill(const char *device, uint64_t at, uint64_t len);

/* ---- the same by bare libdevmapper calls, in our pool: bare.c ---- */

struct bare {
	char name[32];
	uint64_t bytes;
	uint32_t first, head; /* thin ids: of the empty origin, and of what is mapped */
	uint32_t snapshot;    /* the first one taken; 0: none */
	uint32_t oldest, next;
};
void bare_make(struct bare *b, const char *name, uint64_t bytes);
/* Each answers the time that it took; @suspended_ms may be NULL. */
double bare_snapshot(struct bare *b, double *suspended_ms);
double bare_revert(struct bare *b, double *suspended_ms);
/* bare_group_ms() - snapshots of all of them under one suspension: from the first suspend on. */
double bare_group_ms(struct bare *b, size_t n);
/* bare_message() - to any dm device. */
__attribute__((format(printf, 2, 3))) void bare_message(const char *device, const char *fmt, ...);
void bare_forget(struct bare *b); /* every snapshot */
void bare_remove(struct bare *b);

/* ---- fio in the background: fio.c ---- */

struct fio_result {
	double iops, longest_ms;      /* of its first job's writes */
	double read_mb_s, write_mb_s; /* of all jobs */
};
/* fio_start() - @job, a file, with DEVICE and RUNTIME set; @log, the start of a file's name, may be NULL. */
pid_t fio_start(const char *job, const char *device, int seconds, const char *log);
void fio_end(pid_t pid, struct fio_result *ret);

/* ---- LVM on the second device: lvm.c ---- */

#define LVM_VG	 "bench_vg"
#define LVM_POOL LVM_VG "/tp"
/* lvm_start() - a configuration of our own, a volume group, and with @thin a thin pool in it. */
void lvm_start(bool thin);
void lvm_end(void);

#endif
