/* SPDX-License-Identifier: LGPL-2.1-or-later */
/** end.h - one side of a copy while it is in use: its size, its block, O_DIRECT */
#ifndef SIO_END_H
#define SIO_END_H

#include "io/sio.h"

struct sio_end {
	int fd;
	const char *name;
	uint64_t offset;     /* of position 0 */
	uint64_t size_bytes; /* from the start of the file or device */
	bool device;
	bool direct;	      /* O_DIRECT is set: at and len are multiples of block_bytes */
	uint32_t block_bytes; /* 1 where not direct */
	int flags_before;
	unsigned int zero_refused; /* ways to zero that this one does not have: see zero.c */
	bool discard_asked;
	uint64_t discard_bytes; /* granularity; 0: none */
};

/* sio_end_open() - @ret is closed by sio_end_close(), in the reverse order where there are two. */
int sio_end_open(struct sio_end *ret, const struct sio_side *side, struct snapmgr_err *err);
/* Puts the flags back; not the descriptor's owner. Harmless on a zeroed one. */
void sio_end_close(struct sio_end *end);
static inline void auto_sio_end_close(struct sio_end *end)
{
	sio_end_close(end);
}
/* sio_end_indirect() - go on through the page cache. */
void sio_end_indirect(struct sio_end *end);

uint64_t sio_page_bytes(void);
/**
 * sio_end_plain() - move bytes at any offset and of any length, now, through the page cache
 *
 * Only for the rags at the ends of extents, and never into a page that a direct request may be
 * writing to: a page is written back whole. -ENODATA where the end of what is read comes first.
 */
int sio_end_plain(struct sio_end *end, bool write, char *buf, uint64_t at, uint64_t len,
		  struct snapmgr_err *err);
/* sio_end_fail() - fill @err: "cannot WHAT LEN bytes at AT of 'NAME': why". Return: -errnum. */
int sio_end_fail(const struct sio_end *end, const char *what, uint64_t at, uint64_t len, int errnum,
		 struct snapmgr_err *err);
/* sio_end_short() - it ended before @at + @len. Return: -ENODATA. */
int sio_end_short(const struct sio_end *end, uint64_t at, uint64_t len, struct snapmgr_err *err);
/* sio_end_flush() - what was written is durable. */
int sio_end_flush(struct sio_end *end, struct snapmgr_err *err);
/* sio_end_extend() - a file shorter than @bytes becomes as long; a device so small is refused. */
int sio_end_extend(struct sio_end *end, uint64_t bytes, struct snapmgr_err *err);

/* sio_end_zero() - as sio_zero(), bit by bit: after each, @tick may say (non-zero) to stop. */
typedef int sio_tick_fn(void *data);
int sio_end_zero(struct sio_end *end, uint64_t at, uint64_t len, enum sio_holes how,
		 sio_tick_fn *tick, void *data, struct snapmgr_err *err);

#endif
