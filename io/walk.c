/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What copying and comparing share: pieces, sizes, memory, and how far it came. */
#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>

#include "io/walk.h"

#define HUGE_BYTES (2 * SM_MIB)
#define TELL_NS	   UINT64_C(100000000)
#define RATE_NS	   UINT64_C(1000000000)

void sio_cut_make(struct sio_cut *ret, struct sio_end *source, struct sio_end *target,
		  uint64_t request_bytes)
{
	uint64_t unit = sio_page_bytes();

	unit = target->block_bytes > unit ? target->block_bytes : unit;
	unit = source->block_bytes > unit ? source->block_bytes : unit;
	if ((source->offset - target->offset) % source->block_bytes)
		sio_end_indirect(source);
	*ret = (struct sio_cut){
		.unit = unit,
		.shift = target->offset,
		.request_bytes = request_bytes > unit ? request_bytes : unit,
	};
}

uint64_t sio_cut_piece(const struct sio_cut *cut, uint64_t at, uint64_t len, bool *ret_rag)
{
	uint64_t into = (at + cut->shift) % cut->unit, room;

	*ret_rag = into || len < cut->unit;
	if (*ret_rag)
		return len < cut->unit - into ? len : cut->unit - into;
	/* Requests end at multiples of their size. */
	room = cut->request_bytes - (at + cut->shift) % cut->request_bytes;
	len -= len % cut->unit;
	return len < room ? len : room;
}

/* ---- how far it came ---- */

void sio_meter_start(struct sio_meter *m, sio_progress_fn *fn, void *data, uint64_t todo)
{
	*m = (struct sio_meter){
		.fn = fn,
		.data = data,
		.now = { .todo_bytes = todo },
		.rate_ns = sm_monotonic_ns(),
	};
}

void sio_meter_skip(struct sio_meter *m, uint64_t bytes)
{
	m->now.done_bytes += bytes;
	m->rate_from += bytes;
}

/* Over the last second or two; before that, since the start. */
static void find_rate(struct sio_meter *m, uint64_t now_ns)
{
	uint64_t bytes = m->now.done_bytes - m->rate_from, ns = now_ns - m->rate_ns;

	if (ns > RATE_NS / 4)
		m->now.bytes_per_s = (uint64_t)((double)bytes * 1e9 / (double)ns);
	if (ns < RATE_NS)
		return;
	m->rate_ns = now_ns;
	m->rate_from = m->now.done_bytes;
}

bool sio_meter_tick(struct sio_meter *m, bool force)
{
	uint64_t now_ns;

	if (!m->fn || m->stop)
		return m->stop;
	now_ns = sm_monotonic_ns();
	if (!force && now_ns - m->told_ns < TELL_NS)
		return false;
	m->told_ns = now_ns;
	find_rate(m, now_ns);
	if (m->now.todo_bytes && m->now.todo_bytes < m->now.done_bytes)
		m->now.todo_bytes = m->now.done_bytes;
	m->stop = m->fn(&m->now, m->data) != 0;
	return m->stop;
}

int sio_meter_stopped(const struct sio_meter *m, struct snapmgr_err *err)
{
	return sm_fail(err, SNAPMGR_USAGE, ECANCELED, "stopped after %" PRIu64 " bytes, as asked",
		       m->now.done_bytes);
}

/* ---- sizes and memory ---- */

int sio_sizes(uint32_t *depth, uint32_t *request_bytes, struct snapmgr_err *err)
{
	*depth = *depth ? *depth : SIO_DEPTH;
	*request_bytes = *request_bytes ? *request_bytes : SIO_REQUEST_BYTES;
	if (*request_bytes < SIO_REQUEST_BYTES_MIN || *request_bytes > SIO_REQUEST_BYTES_MAX ||
	    *request_bytes & (*request_bytes - 1))
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "requests of %" PRIu32 " bytes: not a power of two from %u to %u",
			       *request_bytes, SIO_REQUEST_BYTES_MIN, SIO_REQUEST_BYTES_MAX);
	if (*depth > SIO_MEMORY_MAX / *request_bytes)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "%" PRIu32 " requests of %" PRIu32
			       " bytes take more than %u bytes of memory",
			       *depth, *request_bytes, SIO_MEMORY_MAX);
	return 0;
}

/* Pages that lie side by side make requests of few segments. */
char *sio_buffers(uint64_t bytes)
{
	void *p;

	if (posix_memalign(&p, HUGE_BYTES, bytes) != 0)
		return NULL;
	(void)madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}
