/* SPDX-License-Identifier: LGPL-2.1-or-later */
/** pending.h - ranges of the target that shall be zero, gathered so that neighbours go as one */
#ifndef SIO_PENDING_H
#define SIO_PENDING_H

#include "io/end.h"

#define SIO_PENDING 128u

struct sio_pending {
	enum sio_holes how;
	uint32_t n;
	struct {
		uint64_t at, to;
	} ranges[SIO_PENDING]; /* positions, ascending, none touching */
};
/* sio_pending_add() - false: it is full, and this one is not in it. */
bool sio_pending_add(struct sio_pending *p, uint64_t at, uint64_t len);
/* sio_pending_flush() - make them zero. What could not be done stays. */
int sio_pending_flush(struct sio_pending *p, struct sio_end *target, sio_tick_fn *tick, void *data,
		      struct snapmgr_err *err);

#endif
