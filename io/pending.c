/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ranges to be made zero: found in any order, done in few calls. */
#include <string.h>

#include "io/pending.h"

bool sio_pending_add(struct sio_pending *p, uint64_t at, uint64_t len)
{
	uint64_t to = at + len;
	uint32_t first = 0, after;

	if (p->how == SIO_HOLES_SKIP || !len)
		return true;
	while (first < p->n && p->ranges[first].to < at)
		first++;
	for (after = first; after < p->n && p->ranges[after].at <= to; after++) {
		at = p->ranges[after].at < at ? p->ranges[after].at : at;
		to = p->ranges[after].to > to ? p->ranges[after].to : to;
	}
	if (after == first && p->n == SIO_PENDING)
		return false;
	memmove(p->ranges + first + 1, p->ranges + after, (p->n - after) * sizeof(p->ranges[0]));
	p->n = p->n + 1 - (after - first);
	p->ranges[first].at = at;
	p->ranges[first].to = to;
	return true;
}

int sio_pending_flush(struct sio_pending *p, struct sio_end *target, sio_tick_fn *tick, void *data,
		      struct snapmgr_err *err)
{
	uint32_t i;
	int r = 0;

	for (i = 0; i < p->n && r == 0; i++)
		r = sio_end_zero(target, target->offset + p->ranges[i].at,
				 p->ranges[i].to - p->ranges[i].at, p->how, tick, data, err);
	if (r < 0)
		i--;
	memmove(p->ranges, p->ranges + i, (p->n - i) * sizeof(p->ranges[0]));
	p->n -= i;
	return r;
}
