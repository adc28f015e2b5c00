/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * cached.h - whether a block device has a page in its cache
 *
 * To be asked while the device is suspended: no way of looking blocks, reads or writes anything.
 */
#ifndef SDM_CACHED_H
#define SDM_CACHED_H

#include "dm/sdm.h"

enum sdm_cached {
	SDM_CACHED_NOTHING,
	SDM_CACHED_SOMETHING,
	SDM_CACHED_UNKNOWN, /* the kernel cannot tell, or did not want to */
};

struct sdm_cached_look {
	int fd;		/* the device; borrowed */
	int writing_fd; /* O_DIRECT, another one; -1: none is needed, or could be had */
	uint64_t len_bytes;
	size_t page_bytes, n_slice;
	const char *mapped;   /* the device, to be asked for by mincore(); NULL: cannot be */
	void *forbidden;      /* addresses without memory; NULL: none are needed */
	unsigned char *slice; /* answers of mincore() */
};

/* sdm_cached_open() - before anything is suspended. What cannot be had is gone without. */
void sdm_cached_open(int fd, struct sdm_cached_look *ret);
void sdm_cached_close(struct sdm_cached_look *look);

/* sdm_cached() - any page, also one that somebody is just reading in or writing to. Takes microseconds. */
enum sdm_cached sdm_cached(const struct sdm_cached_look *look);
/**
 * sdm_cached_complete() - a page with contents: not one that waits to be read in, nor one of a writer that
 * was put to sleep between reading it and changing it
 *
 * Where sdm_cached() is not known, some 6 ms a GiB, and unknown of devices of more than 8 GiB.
 */
enum sdm_cached sdm_cached_complete(const struct sdm_cached_look *look);

#endif
