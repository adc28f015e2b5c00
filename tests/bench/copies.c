/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Row 8: copies by our engine against what fio reaches reading and writing at once, dd and qemu-img; a
 * thin merge against LVM's classic one; a clone.
 */
#include <errno.h>
#include <fcntl.h>

#include "io/sio.h"
#include "tests/bench/bench.h"

static uint64_t copy_bytes;

static const char *from(void)
{
	return bench.devices[0];
}

static const char *to(void)
{
	return bench.devices[1];
}

static double rate(uint64_t bytes, double ms)
{
	return (double)bytes / 1e6 / (ms / 1e3);
}

/* ---- copies ---- */

static double by_engine(void)
{
	struct sio_copy_opts opts = { .size = sizeof(opts), .len = copy_bytes };
	struct sio_side source = { .name = from() }, target = { .name = to() };
	AUTO(sm_close_fd) int in = open(from(), O_RDONLY | O_CLOEXEC);
	AUTO(sm_close_fd) int out = open(to(), O_RDWR | O_CLOEXEC);
	struct snapmgr_err err;
	double start;

	source.fd = in;
	target.fd = out;
	start = now_ms();
	must(sio_copy(&source, &target, &opts, NULL, &err), &err);
	return rate(copy_bytes, now_ms() - start);
}

static double by_dd(void)
{
	char in[80], out[80], count[32];

	(void)snprintf(in, sizeof(in), "if=%s", from());
	(void)snprintf(out, sizeof(out), "of=%s", to());
	(void)snprintf(count, sizeof(count), "count=%ju", (uintmax_t)(copy_bytes / SM_MIB));
	return rate(copy_bytes, command_ms(ARGV("dd", in, out, count, "bs=1M", "iflag=direct",
						"oflag=direct", "conv=fsync")));
}

static double by_qemu_img(void)
{
	char image[160];

	(void)snprintf(
		image, sizeof(image),
		"json:{\"driver\":\"raw\",\"size\":%ju,\"file\":{\"driver\":\"host_device\",\"filename\":\"%s\"}}",
		(uintmax_t)copy_bytes, from());
	return rate(copy_bytes,
		    command_ms(ARGV("qemu-img", "convert", "-n", "-t", "none", "-T", "none", "-W",
				    "-m", "16", "-O", "raw", image, to())));
}

/* The lesser of the two rates. */
static double by_fio(void)
{
	const char *jobs = getenv("BENCH_JOBS");
	struct fio_result result;
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/copy.fio", jobs ? jobs : "tests/bench");
	(void)setenv("FROM", from(), 1);
	(void)setenv("TO", to(), 1);
	fio_end(fio_start(path, "", bench.quick ? 3 : 5, NULL), &result);
	return result.read_mb_s < result.write_mb_s ? result.read_mb_s : result.write_mb_s;
}

static const struct copier {
	const char *name;
	double (*copy)(void);
	double at_least; /* of it; 0: ours */
} copiers[] = {
	{ "the engine", by_engine, 0 },
	{ "fio's limit", by_fio, 0.85 },
	{ "dd, direct", by_dd, 1.2 },
	{ "qemu-img convert", by_qemu_img, 1.3 },
};

static struct series *copies_of(size_t i)
{
	return series_at("MB/s", BENCH_NO_X, "copy by %s", copiers[i].name);
}

static void measure_copies(void)
{
	const int n = SM_ARRAY(copiers);
	const char *limit = getenv("BENCH_COPY_MIB");

	copy_bytes = limit ? strtoull(limit, NULL, 10) * SM_MIB : (bench.quick ? 1 : 4) * SM_GIB;
	for (size_t i = 0; i < 2; i++) {
		uint64_t bytes = device_bytes(bench.devices[i]) / SM_MIB * SM_MIB;

		if (copy_bytes > bytes)
			copy_bytes = bytes;
	}
	note("copies of %ju MiB", (uintmax_t)(copy_bytes / SM_MIB));
	fill(from(), 0, copy_bytes);
	fill(to(), 0, copy_bytes);
	for (int i = 0; i < bench.reps; i++) {
		for (int k = 0; k < n; k++) {
			size_t who = (size_t)alternate(i, k, n);

			settle();
			series_add(copies_of(who), copiers[who].copy());
		}
		say("copies: round %d of %d", i + 1, bench.reps);
	}
	for (size_t i = 1; i < SM_ARRAY(copiers); i++) {
		char what[96];

		(void)snprintf(what, sizeof(what), "copy, times %s", copiers[i].name);
		at_least(what, series_median(copies_of(0)) / series_median(copies_of(i)),
			 copiers[i].at_least);
	}
}

/* ---- merges: a volume that was written wholly, of which a part changed since its snapshot ---- */

#define MERGE_BYTES (SM_GIB)
#define STEP	    (256 * SM_KIB)

/* Spread over all of it. */
static void change(const char *device, unsigned int percent)
{
	const uint64_t steps = MERGE_BYTES / STEP, n = steps * percent / 100;

	for (uint64_t i = 0; i < n; i++)
		fill(device, i * steps / n * STEP, STEP);
}

static struct series *merges_of(const char *whose, unsigned int percent)
{
	return series_at("ms", BENCH_NO_X, "%s, %u %% changed", whose, percent);
}

static bool our_merge(unsigned int percent)
{
	struct run_result r;

	change("/dev/snapmgr/bench/v", percent);
	settle();
	command_try(ARGV("snapmgr", "revert", "--strategy", "merge", "--no-undo", "--quiet",
			 "bench/v@s"),
		    &r);
	if (r.status != 0) {
		not_measured("thin merge", "%s", r.output);
		return false;
	}
	series_add(merges_of("thin merge", percent), r.ms);
	return true;
}

/* The merge eats the snapshot; another one is made before the next, untimed. */
static void their_merge(unsigned int percent)
{
	(void)command_ms(ARGV("lvcreate", "-q", "-s", "-n", "s", "-L", "1200m", LVM_VG "/v"));
	change("/dev/" LVM_VG "/v", percent);
	settle();
	series_add(merges_of("LVM's classic merge", percent),
		   command_ms(ARGV("lvconvert", "-q", "--merge", "-i", "1", LVM_VG "/s")));
}

static bool measure_merges_of(unsigned int percent)
{
	char what[96];

	for (int i = 0; i < bench.reps; i++) {
		for (int k = 0; k < 2; k++) {
			if (alternate(i, k, 2) != 0)
				their_merge(percent);
			else if (!our_merge(percent))
				return false;
		}
	}
	(void)snprintf(what, sizeof(what), "thin merge of %u %%, times as fast as LVM's", percent);
	at_least(what,
		 series_median(merges_of("LVM's classic merge", percent)) /
			 series_median(merges_of("thin merge", percent)),
		 3);
	return true;
}

static void measure_clones(void)
{
	for (int i = 0; i < bench.reps; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "bench/c%d", i);
		settle();
		series_add(series_at("ms", BENCH_NO_X, "snapmgr clone"),
			   command_ms(ARGV("snapmgr", "clone", "--quiet", "bench/v@s", name)));
	}
}

/* 100 GiB of which little is mapped: the time follows what is mapped. */
static void measure_sparse(void)
{
	const uint64_t mapped = 256 * SM_MIB;

	volume_make("bench/sparse", 100 * SM_GIB);
	volume_make("bench/dense", mapped);
	fill("/dev/snapmgr/bench/sparse", 50 * SM_GIB, mapped);
	fill("/dev/snapmgr/bench/dense", 0, mapped);
	for (int i = 0; i < bench.reps; i++) {
		static const char *const names[] = { "bench/sparse", "bench/dense" };

		for (int k = 0; k < 2; k++) {
			const char *name = names[alternate(i, k, 2)];
			char target[64];
			struct run_result r;

			(void)snprintf(target, sizeof(target), "%s-copy%d", name, i);
			settle();
			command_try(ARGV("snapmgr", "create", "--quiet", "--from", name, target),
				    &r);
			if (r.status != 0) {
				not_measured("copy of 100 GiB with 256 MiB mapped", "%s", r.output);
				return;
			}
			series_add(series_at("ms", BENCH_NO_X, "create --from %s", name + 6), r.ms);
			volume_delete(target);
		}
	}
	at_most("copy of 100 GiB with 256 MiB mapped, times that of 256 MiB",
		series_median(series_at("ms", BENCH_NO_X, "create --from sparse")) /
			series_median(series_at("ms", BENCH_NO_X, "create --from dense")),
		1.5);
}

int main(int argc, char **argv)
{
	bench_start(8, true, argc, argv);
	if (bench.n_devices < 2)
		die("copies need two devices");
	measure_copies();
	bench_flush();
	(void)command_ms(ARGV("wipefs", "-qa", bench.devices[0], bench.devices[1]));
	settle();
	pool_make();
	volume_make("bench/v", MERGE_BYTES);
	fill("/dev/snapmgr/bench/v", 0, MERGE_BYTES);
	snapshot_take("bench/v@s");
	lvm_start(false);
	(void)command_ms(ARGV("lvcreate", "-q", "-y", "-L", "1g", "-n", "v", LVM_VG));
	fill("/dev/" LVM_VG "/v", 0, MERGE_BYTES);
	if (measure_merges_of(1))
		(void)measure_merges_of(20);
	bench_flush();
	measure_clones();
	measure_sparse();
	bench_end();
	return 0;
}
