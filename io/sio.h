/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * sio.h - the asynchronous copy engine: extents in, bytes moved
 *
 * Only this folder includes libaio.h. Offsets and lengths are bytes and may be odd. Works on block
 * devices and regular files, with O_DIRECT wherever the kernel allows it: while a call runs it sets
 * that flag on the caller's descriptors, and puts back what was there. One thread; blocks until done;
 * no state outside the call, so that several may run at once on different descriptors.
 *
 * Positions are relative to both sides' offsets: position x is byte source.offset + x there and
 * target.offset + x here.
 */
#ifndef SIO_H
#define SIO_H

#include "base.h"

#define SIO_DEPTH	      32u	 /* default of requests in flight */
#define SIO_REQUEST_BYTES     (1u << 20) /* default and... */
#define SIO_REQUEST_BYTES_MIN (4u << 10) /* ...limits of a request's size */
#define SIO_REQUEST_BYTES_MAX (4u << 20)
#define SIO_MEMORY_MAX	      (64u << 20)	  /* depth times request bytes is refused above */
#define SIO_CHECKPOINT_BYTES  (UINT64_C(1) << 30) /* default of bytes between two checkpoints */

/* One end of a copy. */
struct sio_side {
	int fd;		  /* a source readable; a target readable and writable; never O_APPEND */
	const char *name; /* for messages: a volume, a device, a path; borrowed */
	uint64_t offset;  /* where position 0 lies */
};

/* ---- map.c: what there is to copy ---- */

enum sio_kind {
	SIO_DATA, /* to be read */
	SIO_HOLE, /* reads as zero: never read; the target's bytes become zero, see enum sio_holes */
};
struct sio_extent {
	uint64_t at, len; /* position and bytes */
	enum sio_kind kind;
};

/**
 * A map hands out extents one by one, ascending and without overlap. What lies between two of them is
 * neither read nor written. Neighbours are merged by who asks, so they may be as small as they come.
 */
struct sio_map {
	/* Return: 1 with the next one in @ret, 0 after the last, -errno with @err filled. */
	int (*next)(struct sio_map *map, struct sio_extent *ret, struct snapmgr_err *err);
	void (*rewind)(struct sio_map *map); /* from the start again; needed for verify only */
	uint64_t data_bytes;		     /* of all its data, for the progress; 0: unknown */
};

/* A map that is an array. Make it with sio_list(). */
struct sio_list {
	struct sio_map map;
	const struct sio_extent *extents; /* borrowed */
	size_t n, i;
};
void sio_list(struct sio_list *ret, const struct sio_extent *extents, size_t n);

/* A file's own data and holes by SEEK_HOLE; of a device, or where nobody can tell, all is data. */
struct sio_file_map {
	struct sio_map map;
	struct sio_side side;
	uint64_t len, inside, at; /* inside: before the end of the file */
	bool plain;		  /* no SEEK_HOLE here */
};
/**
 * sio_file_map() - @len bytes of @side from its offset; UINT64_MAX: all there is
 *
 * What lies behind the end of @side is a hole, so that a map can be longer than its file.
 * Return: 0, or -errno where its size cannot be found out (not a file or block device: unsupported).
 */
int sio_file_map(const struct sio_side *side, uint64_t len, struct sio_file_map *ret,
		 struct snapmgr_err *err);

typedef int sio_extent_fn(const struct sio_extent *extent, void *data);
/* sio_extents() - each extent of @map, neighbours of one kind merged; a non-zero answer ends it and
 * is returned. A map that breaks the rules is refused (-EINVAL, internal). */
int sio_extents(struct sio_map *map, sio_extent_fn *visit, void *data, struct snapmgr_err *err);

/* sio_size() - bytes of the file or block device, from its start, whatever its offset. */
int sio_size(const struct sio_side *side, uint64_t *ret_bytes, struct snapmgr_err *err);

/* ---- copy.c ---- */

/* How what is zero gets to be zero at the target. Zero blocks within data go the same way. */
enum sio_holes {
	/* Whatever is there now becomes zero, and is given back where target and kernel can: holes are
	 * punched into files; devices are asked to write zeroes with unmapping, then without it, then
	 * zeroes are written. */
	SIO_HOLES_ZERO,
	/* As before, but a device is told to discard what its discard granularity allows, and the rest
	 * is zeroed: for devices known to read as zero after that (dm-thin). */
	SIO_HOLES_DISCARD,
	/* Nothing is done: the target is known to read as zero there (new). */
	SIO_HOLES_SKIP,
};

struct sio_progress {
	uint64_t done_bytes; /* of data: moved, found to be zero, or before the resume offset */
	uint64_t todo_bytes; /* of data, in all; 0: unknown */
	uint64_t bytes_per_s;
	bool verifying; /* the second round, of verify */
};
/* At least ten times a second and once at the end. Non-zero: stop. It may not use the descriptors. */
typedef int sio_progress_fn(const struct sio_progress *progress, void *data);
/* All before position @durable is on the target for good. A negative answer fails the copy with it,
 * and fills @err. */
typedef int sio_checkpoint_fn(uint64_t durable, void *data, struct snapmgr_err *err);

struct sio_copy_opts {
	size_t size;		/* of this struct */
	struct sio_map *map;	/* NULL: sio_file_map() of the source */
	uint64_t len;		/* positions from here on are left alone; 0: the source's end */
	uint32_t depth;		/* requests in flight; 0: SIO_DEPTH */
	uint32_t request_bytes; /* a power of two; 0: SIO_REQUEST_BYTES */
	enum sio_holes holes;
	bool all_data;	    /* zeroes among the data are written as they are, not looked for */
	bool verify;	    /* when all is durable, read both and compare; -EBADMSG (damaged) */
	bool no_flush;	    /* not durable when it returns; no checkpoints */
	uint64_t resume_at; /* a checkpoint of an earlier call: all before it is left alone */
	uint64_t checkpoint_bytes; /* 0: SIO_CHECKPOINT_BYTES */
	sio_checkpoint_fn *checkpoint;
	sio_progress_fn *progress;
	void *data; /* for the two */
};

/* Filled on failure too. */
struct sio_copy_result {
	uint64_t moved_bytes;	 /* written as data */
	uint64_t zero_bytes;	 /* read and found to be zero */
	uint64_t hole_bytes;	 /* never read */
	uint64_t verified_bytes; /* compared */
	uint64_t durable;	 /* position to resume at; the end of all after success */
	uint64_t ns;
};

/**
 * sio_copy() - make the target equal to the source, as far as the map goes
 * @opts: NULL: defaults
 * @ret:  may be NULL
 *
 * A target file that is too short is extended first, to a hole. Memory: depth times request_bytes and
 * little more. Both descriptors may be of one file, as long as the two ranges do not overlap.
 *
 * After a crash or a failure the target holds what it held before, or what the source holds, block
 * by block; before the last checkpoint only the latter. Calling again with resume_at ends it.
 *
 * Return: 0; -ECANCELED (usage) where the progress callback said so, requests in flight waited for;
 * -EBADMSG (damaged) by verify; -ENOSPC, -EDQUOT (no_space): target full or too small; -EIO and others
 * (io): what was read or written, where, how much, and why; -ENODATA (io): the source ended early.
 */
int sio_copy(const struct sio_side *source, const struct sio_side *target,
	     const struct sio_copy_opts *opts, struct sio_copy_result *ret,
	     struct snapmgr_err *err);

/* ---- compare.c ---- */

struct sio_compare_opts {
	size_t size; /* of this struct */
	struct sio_map
		*map;	/* where to look; a hole of it is compared with zeroes, and neither side
			       * is read where both have holes. NULL: the whole of the longer one */
	uint64_t len;	/* positions from here on are not looked at; 0: the map's end */
	bool data_only; /* nor what the map says is a hole */
	uint32_t grain_bytes; /* differences are told in multiples of it; a power of two; 0: 4096 */
	uint32_t depth, request_bytes;
	/* Each differing range (kind is SIO_DATA), ascending, neighbours merged; a non-zero answer ends
	 * the call and is returned. NULL: the first difference ends it. */
	sio_extent_fn *differs;
	sio_progress_fn *progress;
	void *data; /* for the two */
};

/**
 * sio_compare() - where two files or devices differ
 * @ret_bytes: differing bytes told; may be NULL
 *
 * What one side has behind the end of the other is compared with zeroes.
 * Return: 0 and *@ret_bytes, or as sio_copy().
 */
int sio_compare(const struct sio_side *a, const struct sio_side *b,
		const struct sio_compare_opts *opts, uint64_t *ret_bytes, struct snapmgr_err *err);

/* ---- zero.c ---- */

/**
 * sio_zero() - make a range of a file or device zero
 *
 * Synchronous; not durable before a flush. A file is not made longer: what lies behind its end is
 * zero once it grows. Return: 0 or -errno.
 */
int sio_zero(const struct sio_side *side, uint64_t at, uint64_t len, enum sio_holes how,
	     struct snapmgr_err *err);

/* sio_is_zero() - @len bytes are all zero. */
bool sio_is_zero(const void *data, size_t len);

#endif
