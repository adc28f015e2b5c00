/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests that come short, fail, or are not taken: see io_faults.h. */
#include "io_faults.h"

#include <errno.h>
#include <libaio.h>
#include <unistd.h>

#define DOOMED 512u

int __real_io_submit(io_context_t ctx, long nr, struct iocb *ios[]);
int __wrap_io_submit(io_context_t ctx, long nr, struct iocb *ios[]);
int __real_io_getevents(io_context_t ctx, long min_nr, long nr, struct io_event *events,
			struct timespec *timeout);
int __wrap_io_getevents(io_context_t ctx, long min_nr, long nr, struct io_event *events,
			struct timespec *timeout);

int __real_io_setup(int max, io_context_t *ctx);
int __wrap_io_setup(int max, io_context_t *ctx);
int __wrap_io_destroy(io_context_t ctx);

struct io_faults io_faults;
void (*io_faults_submitted)(const struct iocb *cb);
void (*io_faults_done)(const struct iocb *cb);

static struct {
	const struct iocb *cb;
	long answer;
} doomed[DOOMED];
static uint32_t n_doomed;

/* One context for all: to end one takes the kernel some 30 ms, most of what a small copy takes. */
static io_context_t context;
static pid_t context_of; /* a forked child has none */

int __wrap_io_setup(int max, io_context_t *ctx)
{
	int r = 0;

	if (context_of != getpid()) {
		context = NULL;
		r = __real_io_setup((int)DOOMED, &context);
		context_of = r == 0 ? getpid() : 0;
	}
	*ctx = context;
	return max > (int)DOOMED ? -EAGAIN : r;
}

/* As the kernel does it: what is on its way is waited for. */
int __wrap_io_destroy(io_context_t ctx)
{
	struct io_event event;

	while (io_faults.in_flight && __wrap_io_getevents(ctx, 1, 1, &event, NULL) >= 0)
		;
	n_doomed = 0;
	return 0;
}

static bool due(uint32_t every, uint32_t count)
{
	return every && count % every == 0;
}

static enum io_fault_of kind_of(const struct iocb *cb)
{
	if (cb->aio_lio_opcode == IO_CMD_PREAD)
		return OF_READS;
	return cb->aio_lio_opcode == IO_CMD_PWRITE ? OF_WRITES : OF_FLUSHES;
}

static void doom(struct iocb *cb, long answer)
{
	if (n_doomed == DOOMED)
		return;
	doomed[n_doomed].cb = cb;
	doomed[n_doomed++].answer = answer;
	if (kind_of(cb) != OF_FLUSHES)
		cb->u.c.nbytes = 0;
}

static void spoil(struct iocb *cb)
{
	struct io_faults *f = &io_faults;
	enum io_fault_of kind = kind_of(cb);
	uint32_t nth = ++f->count[kind];

	if (f->fail_at && f->of == kind &&
	    (nth == f->fail_at || (f->for_good && nth > f->fail_at))) {
		doom(cb, f->error < 0 ? f->error : 0);
		return;
	}
	if (kind == OF_FLUSHES)
		return;
	f->transfers++;
	if (due(f->again_later, f->transfers))
		doom(cb, -EAGAIN);
	else if (due(f->short_every, f->transfers))
		cb->u.c.nbytes = cb->u.c.nbytes / 3 & ~UINT64_C(511);
}

static void count_in(const struct iocb *cb, int by)
{
	struct io_faults *f = &io_faults;
	enum io_fault_of kind = kind_of(cb);

	f->in_flight += (uint32_t)by;
	f->reads_in_flight += kind == OF_READS ? (uint32_t)by : 0;
	f->writes_in_flight += kind == OF_WRITES ? (uint32_t)by : 0;
	f->most_in_flight = f->in_flight > f->most_in_flight ? f->in_flight : f->most_in_flight;
}

int __wrap_io_submit(io_context_t ctx, long nr, struct iocb *ios[])
{
	struct io_faults *f = &io_faults;
	int r;

	if (due(f->again_every, ++f->submissions))
		return -EAGAIN;
	if (f->most_at_once && nr > (long)f->most_at_once)
		nr = (long)f->most_at_once;
	for (long i = 0; i < nr; i++) {
		spoil(ios[i]);
		if (io_faults_submitted)
			io_faults_submitted(ios[i]);
	}
	r = __real_io_submit(ctx, nr, ios);
	for (long i = 0; i < r; i++)
		count_in(ios[i], 1);
	return r;
}

static void answer(struct io_event *event)
{
	for (uint32_t i = 0; i < n_doomed; i++) {
		if (doomed[i].cb == event->obj) {
			event->res = (unsigned long)doomed[i].answer;
			doomed[i] = doomed[--n_doomed];
			return;
		}
	}
}

int __wrap_io_getevents(io_context_t ctx, long min_nr, long nr, struct io_event *events,
			struct timespec *timeout)
{
	struct io_faults *f = &io_faults;
	int r;

	if (timeout && due(f->signal_every, ++f->waits))
		return -EINTR;
	f->waits_with_both += f->reads_in_flight && f->writes_in_flight;
	r = __real_io_getevents(ctx, min_nr, nr, events, timeout);
	for (int i = 0; i < r; i++) {
		count_in(events[i].obj, -1);
		answer(&events[i]);
		if (io_faults_done)
			io_faults_done(events[i].obj);
	}
	return r;
}
