/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests handed over to the kernel in batches, and what it says of them. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "io/ring.h"

#define TRIES_MAX \
	5000	    /* of a millisecond each: the kernel says EAGAIN, and nothing is on its way */
#define SHORT_MAX 3 /* transfers without progress before the page cache is asked */

int sio_ring_open(struct sio_ring *ret, uint32_t depth, uint32_t least, struct snapmgr_err *err)
{
	struct sio_ring ring = { .depth = depth };
	int r;

	while ((r = io_setup((int)ring.depth, &ring.ctx)) == -EAGAIN && ring.depth > least)
		ring.depth = ring.depth / 2 > least ? ring.depth / 2 : least;
	if (r == -EAGAIN)
		return sm_fail(err, SNAPMGR_KERNEL, EAGAIN,
			       "no asynchronous requests are left on this machine (raise "
			       "/proc/sys/fs/aio-max-nr)");
	if (r < 0)
		return sm_fail(err, SNAPMGR_KERNEL, r, "cannot set up asynchronous I/O");
	ring.queue = calloc(ring.depth, sizeof(struct iocb *));
	ring.refused = calloc(ring.depth, sizeof(*ring.refused));
	*ret = ring;
	if (ring.queue && ring.refused)
		return 0;
	sio_ring_close(ret);
	return sm_nomem(err);
}

void sio_ring_close(struct sio_ring *ring)
{
	if (ring->ctx)
		(void)io_destroy(ring->ctx);
	free(ring->queue);
	free(ring->refused);
	*ring = (struct sio_ring){ 0 };
}

void sio_ring_queue(struct sio_ring *ring, struct iocb *cb)
{
	ring->queue[ring->n_queued++] = cb;
}

static void take_off(struct sio_ring *ring, uint32_t n)
{
	ring->n_queued -= n;
	memmove(ring->queue, ring->queue + n, ring->n_queued * sizeof(*ring->queue));
}

static void refuse_first(struct sio_ring *ring, int error)
{
	struct iocb *cb = ring->queue[0];

	ring->refused[ring->n_refused++] = (struct io_event){ .data = cb->data,
							      .obj = cb,
							      .res = (unsigned long)(long)error };
	take_off(ring, 1);
}

static void pause_ms(long ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000 };

	(void)nanosleep(&t, NULL);
}

int sio_ring_submit(struct sio_ring *ring, struct snapmgr_err *err)
{
	while (ring->n_queued) {
		int r = SM_STEP("io.submit", io_submit(ring->ctx, ring->n_queued, ring->queue));

		if (r > 0) {
			ring->n_flying += (uint32_t)r;
			ring->idle_tries = 0;
			take_off(ring, (uint32_t)r);
		} else if (r == -EAGAIN || r == 0) {
			/* What is on its way makes room when it is done. */
			if (ring->n_flying || ring->n_refused)
				return 0;
			if (++ring->idle_tries > TRIES_MAX)
				return sm_fail(err, SNAPMGR_KERNEL, EAGAIN,
					       "the kernel takes no more asynchronous requests");
			pause_ms(1);
			return 0;
		} else if (r != -EINTR) {
			refuse_first(ring, r);
		}
	}
	return 0;
}

static int reap_refused(struct sio_ring *ring, struct io_event *events, uint32_t max)
{
	uint32_t n = ring->n_refused < max ? ring->n_refused : max;

	memcpy(events, ring->refused, n * sizeof(*events));
	ring->n_refused -= n;
	memmove(ring->refused, ring->refused + n, ring->n_refused * sizeof(*events));
	return (int)n;
}

int sio_ring_reap(struct sio_ring *ring, struct io_event *events, uint32_t max, uint32_t timeout_ms,
		  struct snapmgr_err *err)
{
	struct timespec timeout = { .tv_sec = timeout_ms / 1000,
				    .tv_nsec = (long)(timeout_ms % 1000) * 1000000 };
	int r;

	if (ring->n_refused)
		return reap_refused(ring, events, max);
	if (!ring->n_flying)
		return 0;
	r = io_getevents(ring->ctx, 1, (long)max, events, &timeout);
	if (r == -EINTR)
		return 0;
	if (r < 0)
		return sm_fail(err, SNAPMGR_KERNEL, r, "cannot wait for asynchronous I/O");
	ring->n_flying -= (uint32_t)r;
	return r;
}

/* ---- a transfer ---- */

static void send(struct sio_ring *ring, struct sio_request *request)
{
	char *buf = request->buf + request->done;
	size_t len = request->len - request->done;
	long long at = (long long)(request->at + request->done);

	if (request->write)
		io_prep_pwrite(&request->cb, request->end->fd, buf, len, at);
	else
		io_prep_pread(&request->cb, request->end->fd, buf, len, at);
	request->cb.data = request;
	sio_ring_queue(ring, &request->cb);
}

void sio_request_start(struct sio_ring *ring, struct sio_request *request)
{
	request->done = 0;
	request->tries = 0;
	send(ring, request);
}

struct sio_request *sio_request_of(const struct io_event *event)
{
	return event->data;
}

static int again(struct sio_ring *ring, struct sio_request *request)
{
	send(ring, request);
	return 0;
}

static int failed(struct sio_ring *ring, struct sio_request *request, int error,
		  struct snapmgr_err *err)
{
	uint64_t left = request->len - request->done;

	if (error == -EAGAIN && ++request->tries <= TRIES_MAX) {
		pause_ms(1);
		return again(ring, request);
	}
	if (error == -EINTR)
		return again(ring, request);
	/* A filesystem may take the flag and then not the request. */
	if (error == -EINVAL && request->end->direct) {
		sio_end_indirect(request->end);
		return again(ring, request);
	}
	return sio_end_fail(request->end, request->write ? "write" : "read",
			    request->at + request->done, left, -error, err);
}

int sio_request_went(struct sio_ring *ring, struct sio_request *request, long res,
		     struct snapmgr_err *err)
{
	uint64_t left = request->len - request->done, moved;
	int r;

	if (res < 0)
		return failed(ring, request, (int)res, err);
	if ((uint64_t)res >= left) {
		request->done = request->len;
		return 1;
	}
	moved = (uint64_t)res - (uint64_t)res % request->end->block_bytes;
	request->done += moved;
	request->tries = moved ? 0 : request->tries + 1;
	if (request->tries < SHORT_MAX)
		return again(ring, request);
	/* The page cache knows no blocks: it goes on to the last byte, or says what is in the way. */
	r = sio_end_plain(request->end, request->write, request->buf + request->done,
			  request->at + request->done, left, err);
	if (r < 0)
		return r;
	request->done = request->len;
	return 1;
}
