/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * origin.h - where a copy comes from: a volume as it is now, a snapshot, an undo point, a file, a device
 */
#ifndef SM_ORIGIN_H
#define SM_ORIGIN_H

#include "io/sio.h"
#include "snapmgr/core/reading.h"

struct sm_origin {
	const char *text; /* as given; borrowed */
	bool path;	  /* a file or device; else something of a pool */
	bool head;	  /* a volume as it is now */
	struct sm_uuid pool;
	char identity[SCAT_DETAIL_MAX]; /* what a copy that is resumed must find again */
	uint64_t size_bytes;
	uint64_t data_bytes; /* about how much there is to copy; UINT64_MAX: not known */
	char project[SNAPMGR_LABEL_MAX + 1];
	bool guest;
	/* While it is open: */
	int fd;
	struct sm_vdev dev;  /* a momentary copy, mapped; name "" where there is none */
	struct sm_pool from; /* its pool, for as long as it is read; else closed */
	struct scat_snapshot snapshot;
	struct sm_reading reading;
	struct sio_extent *extents; /* all that it holds; the rest reads as zero. NULL: not known */
	size_t n_extents;
};
/* sm_origin_is_path() - "/..." or "./...": no name begins so. */
bool sm_origin_is_path(const char *text);
/* sm_origin_look() - what it is and how large; takes no lock. */
int sm_origin_look(struct snapmgr *sm, const char *text, struct sm_origin *ret,
		   struct snapmgr_err *err);
/**
 * sm_origin_open() - its contents as of one instant, to be read from ret->fd
 * @operation: names the device that it is read through
 *
 * Of a thin pool it is a copy that nobody else knows: a row of garbage from the start, so that the kernel
 * gets it back when it is not mapped any more, whoever dies. A file is open, and stays on the disk until it
 * is closed, deleted or not. A store is kept by a row: reading.h. The lock of its pool is held for a moment.
 */
int sm_origin_open(struct snapmgr *sm, struct sm_origin *o, const struct sm_uuid *operation,
		   struct snapmgr_err *err);
/* sm_origin_map() - for the engine; @list is room for it. NULL: all there is. */
struct sio_map *sm_origin_map(const struct sm_origin *o, struct sio_list *list);
/* sm_origin_close() - @b: any pool's; its udev work is waited for with that of the pool. */
int sm_origin_close(struct sm_backend *b, struct sm_origin *o, struct snapmgr_err *err);

#endif
