/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * ring.h - requests on their way to the kernel and back
 *
 * Requests are queued, and handed over all at once. What the kernel does not take now stays queued.
 */
#ifndef SIO_RING_H
#define SIO_RING_H

#include <libaio.h>

#include "io/end.h"

struct sio_ring {
	io_context_t ctx;
	uint32_t depth;
	uint32_t n_queued, n_flying, n_refused;
	struct iocb **queue;
	struct io_event *refused; /* by io_submit() itself, not yet reaped */
	uint32_t idle_tries;
};

/* sio_ring_open() - for @depth requests; fewer, not below @least, where the kernel has no more. */
int sio_ring_open(struct sio_ring *ret, uint32_t depth, uint32_t least, struct snapmgr_err *err);
/* Waits for what is on its way. Harmless on a zeroed one. */
void sio_ring_close(struct sio_ring *ring);
void sio_ring_queue(struct sio_ring *ring, struct iocb *cb);
/* sio_ring_submit() - hand over what is queued. -errno only where nothing moves any more. */
int sio_ring_submit(struct sio_ring *ring, struct snapmgr_err *err);
/**
 * sio_ring_reap() - wait for at least one that is done
 * @max: room in @events
 *
 * Return: how many; 0 after @timeout_ms or a signal; -errno.
 */
int sio_ring_reap(struct sio_ring *ring, struct io_event *events, uint32_t max, uint32_t timeout_ms,
		  struct snapmgr_err *err);
static inline bool sio_ring_busy(const struct sio_ring *ring)
{
	return ring->n_queued || ring->n_flying || ring->n_refused;
}

/* A transfer, which may take several requests: short ones go on where they ended. */
struct sio_request {
	struct iocb cb;
	void *owner; /* of the user */
	struct sio_end *end;
	bool write;
	char *buf;
	uint64_t at, len, done; /* bytes of the file or device */
	uint32_t tries;		/* without progress */
};
/* sio_request_start() - @end, @write, @buf, @at and @len are filled. */
void sio_request_start(struct sio_ring *ring, struct sio_request *request);
/* sio_request_of() - whose event it is. */
struct sio_request *sio_request_of(const struct io_event *event);
/**
 * sio_request_went() - an event of it came
 *
 * Return: 1: it is whole; 0: it is on its way again; -errno: it failed.
 */
int sio_request_went(struct sio_ring *ring, struct sio_request *request, long res,
		     struct snapmgr_err *err);

#endif
