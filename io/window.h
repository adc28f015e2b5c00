/* SPDX-License-Identifier: LGPL-2.1-or-later */
/** window.h - how many requests in flight keep the devices busy: more only push buffers out of caches */
#ifndef SIO_WINDOW_H
#define SIO_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define SIO_WINDOW_LEAST 8
#define SIO_WINDOW_BYTES (64ull << 20) /* a rate is taken over so much, */
#define SIO_WINDOW_NS	 50000000ull   /* and over so long at the least */
#define SIO_WINDOW_REST	 16	       /* such spans pass between two trials */

struct sio_window {
	uint32_t now;
	/* private */
	uint32_t most, before; /* before: of the trial that is under way; 0: none */
	unsigned int rest;
	bool down;
	uint64_t from_bytes, from_ns;
	double rate; /* with @before */
};

void sio_window_start(struct sio_window *w, uint32_t most, uint64_t now_ns);
/* sio_window_due() - is a rate to be taken? Spares the look at the clock. */
bool sio_window_due(const struct sio_window *w, uint64_t done_bytes);
/* sio_window_judge() - so much was done until now: @w->now may change. */
void sio_window_judge(struct sio_window *w, uint64_t done_bytes, uint64_t now_ns);

#endif
