/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A pool of ours on the first device, through the library. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tests/bench/bench.h"

void pool_make(void)
{
	const char *device = bench.devices[0];
	struct snapmgr_err err;

	must(snapmgr_pool_create(bench.sm, BENCH_POOL, &device, 1, NULL, &err), &err);
	bench.has_pool = true;
}

void pool_destroy(void)
{
	struct snapmgr_err err;

	must(snapmgr_pool_destroy(bench.sm, BENCH_POOL, NULL, &err), &err);
	bench.has_pool = false;
}

void volume_make(const char *spec, uint64_t bytes)
{
	struct snapmgr_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);
	struct snapmgr_err err;

	opts.size_bytes = bytes;
	must(snapmgr_create(bench.sm, spec, &opts, NULL, NULL, &err), &err);
}

void volume_delete(const char *spec)
{
	struct snapmgr_delete_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);
	struct snapmgr_err err;

	opts.recursive = true;
	must(snapmgr_delete(bench.sm, spec, &opts, NULL, NULL, &err), &err);
}

void snapshot_take(const char *spec)
{
	struct snapmgr_err err;

	must(snapmgr_snapshot(bench.sm, &spec, 1, NULL, NULL, NULL, &err), &err);
}

void snapshot_delete(const char *spec)
{
	struct snapmgr_err err;

	must(snapmgr_delete(bench.sm, spec, NULL, NULL, NULL, &err), &err);
}

uint64_t device_bytes(const char *path)
{
	AUTO(sm_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t bytes = 0;

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes) < 0)
		die("no size of '%s'", path);
	return bytes;
}

static void make_noise(unsigned char *to, size_t len)
{
	uint64_t x = UINT64_C(88172645463325252);

	for (size_t i = 0; i + sizeof(x) <= len; i += sizeof(x)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(to + i, &x, sizeof(x));
	}
}

void fill(const char *device, uint64_t at, uint64_t len)
{
	AUTO(sm_close_fd) int fd = open(device, O_WRONLY | O_DIRECT | O_CLOEXEC);
	static void *noise;

	if (fd < 0)
		die("cannot open '%s': %s", device, strerror(errno));
	if (!noise) {
		if (posix_memalign(&noise, 4096, SM_MIB) != 0)
			die("no memory");
		make_noise(noise, SM_MIB);
	}
	for (uint64_t end = at + len; at < end; at += SM_MIB) {
		size_t n = (size_t)(end - at < SM_MIB ? end - at : SM_MIB);

		if (pwrite(fd, noise, n, (off_t)at) != (ssize_t)n)
			die("cannot write to '%s': %s", device, strerror(errno));
	}
	if (fdatasync(fd) < 0)
		die("cannot flush '%s': %s", device, strerror(errno));
}
