/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * io_plan.h - a copy and a comparison that some bytes decide, held against memcpy() and memcmp()
 *
 * Sizes, offsets, extents, contents, options and faults come from the bytes: random ones from a seed
 * in a unit test, or a fuzzer's.
 */
#ifndef IO_PLAN_H
#define IO_PLAN_H

#include <stddef.h>
#include <stdint.h>

/**
 * io_plan_run() - do it, in files of the current folder and in memory
 *
 * Return: NULL where all is as it should be, else what is not; static.
 */
const char *io_plan_run(const uint8_t *bytes, size_t size);

/* What ran so far, so that a test can see that its seeds reach everything. */
struct io_plan_counts {
	unsigned int plans, failed_copies, resumed, checkpoints, zeroes, rags, direct, differing;
};
extern struct io_plan_counts io_plan_counts;

#endif
