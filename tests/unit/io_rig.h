/* SPDX-License-Identifier: LGPL-2.1-or-later */
/** io_rig.h - files to copy, for the unit tests of io/ */
#ifndef IO_RIG_H
#define IO_RIG_H

#include <atf-c.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "io/sio.h"

/* A file of the current folder (O_DIRECT works there), or one in memory (it does not). */
static inline int io_file(const char *name, bool in_memory)
{
	int fd = in_memory ? memfd_create(name, MFD_CLOEXEC) :
			     open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ATF_REQUIRE(fd >= 0);
	return fd;
}

static inline unsigned char io_byte(uint64_t at, unsigned int seed)
{
	uint64_t x = (at / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15) + seed;

	return (unsigned char)((x ^ x >> 29) >> at % 8 * 4) | 1;
}

/* Bytes that tell where they belong; none is zero. */
static inline void io_fill(int fd, uint64_t at, uint64_t len, unsigned int seed)
{
	unsigned char buf[65536];

	while (len) {
		uint64_t n = len < sizeof(buf) ? len : sizeof(buf);

		for (uint64_t i = 0; i < n; i++)
			buf[i] = io_byte(at + i, seed);
		ATF_REQUIRE_EQ((ssize_t)n, pwrite(fd, buf, n, (off_t)at));
		at += n;
		len -= n;
	}
}

/* Position of the first byte that is not io_fill()'s, or with @seed 0 not zero; @at + @len: none. */
static inline uint64_t io_differs(int fd, uint64_t at, uint64_t len, unsigned int seed)
{
	unsigned char buf[65536];
	const uint64_t to = at + len;

	while (at < to) {
		uint64_t n = to - at < sizeof(buf) ? to - at : sizeof(buf);

		if (pread(fd, buf, n, (off_t)at) != (ssize_t)n)
			return at;
		for (uint64_t i = 0; i < n; i++)
			if (buf[i] != (seed ? io_byte(at + i, seed) : 0))
				return at + i;
		at += n;
	}
	return to;
}

static inline void io_is(int fd, uint64_t at, uint64_t len, unsigned int seed)
{
	uint64_t first = io_differs(fd, at, len, seed);

	ATF_CHECK_MSG(first == at + len, "%ju of %ju..%ju is not of %u", (uintmax_t)first,
		      (uintmax_t)at, (uintmax_t)(at + len), seed);
}

static inline uint64_t io_size(int fd)
{
	struct stat st;

	ATF_REQUIRE_EQ(0, fstat(fd, &st));
	return (uint64_t)st.st_size;
}

static inline uint64_t io_used(int fd)
{
	struct stat st;

	ATF_REQUIRE_EQ(0, fsync(fd));
	ATF_REQUIRE_EQ(0, fstat(fd, &st));
	return (uint64_t)st.st_blocks * 512;
}

static struct snapmgr_err err;

/* A copy from 0 to 0 that must succeed. */
static inline struct sio_copy_result io_copied(int source, int target,
					       const struct sio_copy_opts *opts)
{
	struct sio_side from = { source, "source", 0 }, to = { target, "target", 0 };
	struct sio_copy_result result;
	int r = sio_copy(&from, &to, opts, &result, &err);

	ATF_REQUIRE_EQ_MSG(0, r, "%s", err.message);
	return result;
}

#endif
