/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The copy engine alone, from the first device to the second, all of it data: against the lesser of what
 * fio reads and writes doing both at once, dd, and qemu-img. In one run, each first in turn. The size
 * is the first device's: make bench-copy, or with less make bench-copy QUICK=1.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <sys/resource.h>

#include "io/sio.h"
#include "tests/bench/bench.h"

#define ROW 8

enum who { ENGINE, FIO, DD, QEMU, WHO };
static const char *const names[] = { "engine", "fio, the lesser of both at once", "dd",
				     "qemu-img convert" };

static const char *source, *target;
static uint64_t mib;

static uint64_t mib_of(const char *device)
{
	AUTO(sm_close_fd) int fd = open(device, O_RDONLY | O_CLOEXEC);
	const struct sio_side side = { fd, device, 0 };
	struct snapmgr_err err;
	uint64_t bytes;

	must(sio_size(&side, &bytes, &err), &err);
	return bytes / SM_MIB;
}

static double cpu_ms(int who)
{
	struct rusage u;

	(void)getrusage(who, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

static double engine_ms(void)
{
	AUTO(sm_close_fd) int from = open(source, O_RDONLY | O_CLOEXEC);
	AUTO(sm_close_fd) int to = open(target, O_RDWR | O_CLOEXEC);
	const struct sio_side a = { from, source, 0 }, b = { to, target, 0 };
	struct sio_copy_result result;
	struct snapmgr_err err;

	if (from < 0 || to < 0)
		die("cannot open the devices: %s", strerror(errno));
	must(sio_copy(&a, &b, NULL, &result, &err), &err);
	if (result.moved_bytes != mib * SM_MIB)
		die("only %" PRIu64 " bytes were moved", result.moved_bytes);
	return (double)result.ns / 1e6;
}

static double dd_ms(void)
{
	char in[96], out[96], count[32];

	(void)snprintf(in, sizeof(in), "if=%s", source);
	(void)snprintf(out, sizeof(out), "of=%s", target);
	(void)snprintf(count, sizeof(count), "count=%" PRIu64, mib);
	return command_ms(ARGV("dd", in, out, "bs=1M", count, "iflag=direct", "oflag=direct",
			       "conv=notrunc,fdatasync", "status=none"));
}

static double qemu_ms(void)
{
	return command_ms(ARGV("qemu-img", "convert", "-n", "-t", "none", "-T", "none", "-W", "-m",
			       "16", "-f", "raw", "-O", "raw", source, target));
}

/* What the slower side does, and by it the time of a copy. */
static double fio_ms(void)
{
	char runtime[32], from[96], to[96], path[64], out[96];
	json_error_t error;
	json_t *root, *jobs;
	double rates[2];

	(void)snprintf(runtime, sizeof(runtime), "--runtime=%d", bench.quick ? 2 : 5);
	(void)snprintf(from, sizeof(from), "--filename=%s", source);
	(void)snprintf(to, sizeof(to), "--filename=%s", target);
	(void)snprintf(path, sizeof(path), "/tmp/copy-engine.%d", (int)getpid());
	(void)snprintf(out, sizeof(out), "--output=%s", path);
	(void)command_ms(ARGV("fio", "--output-format=json", out, "--ioengine=libaio", "--direct=1",
			      "--bs=1M", "--iodepth=32", "--time_based=1", runtime, "--name=read",
			      "--rw=read", from, "--name=write", "--rw=write", "--ioengine=libaio",
			      "--direct=1", "--bs=1M", "--iodepth=32", "--time_based=1", runtime,
			      to));
	root = json_load_file(path, 0, &error);
	if (!root)
		die("cannot read what fio says: %s", error.text);
	jobs = json_object_get(root, "jobs");
	for (size_t i = 0; i < 2; i++)
		rates[i] = json_number_value(json_object_get(
			json_object_get(json_array_get(jobs, i), i ? "write" : "read"),
			"bw_bytes"));
	json_decref(root);
	if (rates[0] <= 0 || rates[1] <= 0)
		die("fio did nothing");
	note("fio, both at once: %.0f MiB/s read, %.0f MiB/s written", rates[0] / (double)SM_MIB,
	     rates[1] / (double)SM_MIB);
	return (double)(mib * SM_MIB) / (rates[0] < rates[1] ? rates[0] : rates[1]) * 1e3;
}

static void measure(enum who who)
{
	static double (*const run[])(void) = { engine_ms, fio_ms, dd_ms, qemu_ms };
	const int whose = who == ENGINE ? RUSAGE_SELF : RUSAGE_CHILDREN;
	double cpu = cpu_ms(whose), ms = run[who]();

	series_add(series_at("MiB/s", BENCH_NO_X, "%s", names[who]), (double)mib / ms * 1e3);
	if (who != FIO)
		series_add(series_at("ms", BENCH_NO_X, "%s: CPU for each GiB", names[who]),
			   (cpu_ms(whose) - cpu) * 1024 / (double)mib);
}

static double median(enum who who)
{
	return series_median(series_at("MiB/s", BENCH_NO_X, "%s", names[who]));
}

int main(int argc, char **argv)
{
	bench_start(ROW, false, argc, argv);
	if (bench.n_devices < 2)
		die("two devices are needed");
	source = bench.devices[0];
	target = bench.devices[1];
	bench.reps = getenv("BENCH_REPS") ? bench.reps : 5;
	mib = mib_of(source);
	fill(source, 0, mib * SM_MIB);
	fill(target, 0, mib * SM_MIB); /* no disk is faster only because it has nothing yet */
	for (int i = 0; i < bench.reps; i++)
		for (int k = 0; k < WHO; k++)
			measure((enum who)alternate(i, k, WHO));
	at_least("engine, of fio's lesser rate", median(ENGINE) / median(FIO), 0.85);
	at_least("engine, times dd", median(ENGINE) / median(DD), 1.2);
	at_least("engine, times qemu-img", median(ENGINE) / median(QEMU), 1.3);
	bench_end();
	return 0;
}
