/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * filler.h - an id that no volume has yet, filled by the copy engine: of copies, and of reverts that copy
 *
 * open, run, close on every path; without the pool's lock, in a lasting operation that has begun.
 */
#ifndef SM_FILLER_H
#define SM_FILLER_H

#include "io/sio.h"
#include "snapmgr/core/lasting.h"

struct sm_filler {
	struct sm_pool *pool;
	struct sm_lasting *op;
	const struct sm_lasting *reading; /* of the source; stops it as well. May be NULL */
	bool checkpoints;
	uint64_t resume_at, checkpoint_bytes; /* 0: from the start; some */
	bool verify;
	enum sio_holes holes;
	struct sm_vdev dev; /* it is mapped as; name "": it is not */
	int fd;		    /* -1: closed */
	struct sio_copy_result moved;
};
int sm_filler_open(struct sm_filler *f, uint32_t id, uint64_t size_bytes, struct snapmgr_err *err);
/* sm_filler_run() - @map NULL: all of @source */
int sm_filler_run(struct sm_filler *f, const struct sio_side *source, struct sio_map *map,
		  uint64_t len, struct snapmgr_err *err);
/* sm_filler_close() - Return: @r, or where that is 0 the error of the closing. */
int sm_filler_close(struct sm_filler *f, int r, struct snapmgr_err *err);

/* sm_filler_map() - @dev, which is an operation's own, mapped; a descriptor. On failure its name is "". */
int sm_filler_map(struct sm_pool *pool, struct sm_vdev *dev, int flags, struct snapmgr_err *err);
/* sm_filler_unmap_parts() - what a dead owner of the operation left mapped, whatever pool it is of */
int sm_filler_unmap_parts(struct sm_pool *pool, const struct sm_uuid *operation,
			  struct snapmgr_err *err);

#endif
