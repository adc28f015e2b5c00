/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The copy: a fixed number of slots, each with a buffer. A slot reads its piece, then writes what of it
 * is not zero, run by run, and takes the next piece, whatever the others do: so reads and writes are in
 * flight together, as many of each as the slower side wants.
 *
 * All before the lowest position that a slot is at work on is written. A checkpoint is that position,
 * taken before a flush that runs beside the copy.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "io/pending.h"
#include "io/ring.h"
#include "io/walk.h"
#include "io/window.h"

#define ZERO_GRAIN \
	(64 * SM_KIB) /* zeroes are looked for in so much; chunks of pools are no smaller */
#define WAIT_MS 100

struct slot {
	struct sio_request request;
	uint64_t at, len; /* the piece, as positions */
	uint64_t seen;	  /* so much of it was read and dealt with, or is being written */
	char *buf;
	bool busy;
};

struct copy {
	struct sio_copy_opts opts;
	struct sio_end source, target;
	struct sio_walk walk;
	struct sio_cut cut;
	struct sio_ring ring;
	struct sio_meter meter;
	struct sio_window window;
	struct sio_pending zeroes;
	struct sio_copy_result result;
	struct slot *slots, **idle;
	uint32_t depth, n_idle;
	char *buffers;

	struct sio_extent rest; /* of the extent that is being handed out */
	bool all_out;		/* the map has no more */
	uint64_t out_to;	/* all before is handed out */
	uint64_t failed_at;	/* the lowest position that could not be done; UINT64_MAX: none */
	uint64_t end;		/* of the last extent */

	struct iocb flush;
	bool flushing;
	uint64_t flush_to, since_flush;
	struct snapmgr_err *err;
	int r; /* the first failure: nothing is handed out any more */
};

static void fail_at(struct copy *c, uint64_t at, int r)
{
	c->failed_at = at < c->failed_at ? at : c->failed_at;
	c->r = c->r ? c->r : r;
}

/* Only the first failure is told. */
static struct snapmgr_err *err_of(struct copy *c)
{
	return c->r ? NULL : c->err;
}

static int tick(void *data)
{
	struct copy *c = data;

	return sio_meter_tick(&c->meter, false);
}

static int flush_zeroes(struct copy *c)
{
	int r = sio_pending_flush(&c->zeroes, &c->target, tick, c, err_of(c));

	return r == -ECANCELED ? sio_meter_stopped(&c->meter, err_of(c)) : r;
}

static void zero(struct copy *c, uint64_t at, uint64_t len)
{
	int r = 0;

	if (!sio_pending_add(&c->zeroes, at, len)) {
		r = flush_zeroes(c);
		if (r == 0)
			(void)sio_pending_add(&c->zeroes, at, len);
	}
	if (r < 0)
		fail_at(c, at, r);
}

/* ---- a piece ---- */

static void piece_done(struct copy *c, uint64_t len)
{
	c->meter.now.done_bytes += len;
	c->since_flush += len;
}

static void slot_done(struct copy *c, struct slot *s)
{
	s->busy = false;
	c->idle[c->n_idle++] = s;
	piece_done(c, s->len);
}

static uint64_t grain_at(const struct slot *s, uint64_t at)
{
	return s->len - at < ZERO_GRAIN ? s->len - at : ZERO_GRAIN;
}

/* What is zero from s->seen on; the rest is not, to where *@ret_to says. */
static uint64_t zeroes_ahead(const struct copy *c, const struct slot *s, uint64_t *ret_to)
{
	uint64_t at = s->seen, to;

	*ret_to = s->len;
	if (c->opts.all_data)
		return 0;
	while (at < s->len && sio_is_zero(s->buf + at, grain_at(s, at)))
		at += grain_at(s, at);
	for (to = at; to < s->len && (to == at || !sio_is_zero(s->buf + to, grain_at(s, to)));)
		to += grain_at(s, to);
	*ret_to = to;
	return at - s->seen;
}

/* Write the next run that is not zero; after the last one the slot is free. */
static void write_on(struct copy *c, struct slot *s)
{
	uint64_t to, nothing;

	if (c->r) {
		fail_at(c, s->at, c->r);
		s->busy = false;
		c->idle[c->n_idle++] = s;
		return;
	}
	nothing = zeroes_ahead(c, s, &to);
	if (nothing) {
		zero(c, s->at + s->seen, nothing);
		c->result.zero_bytes += nothing;
		s->seen += nothing;
	}
	if (s->seen == s->len || c->r) {
		slot_done(c, s);
		return;
	}
	s->request.write = true;
	s->request.end = &c->target;
	s->request.buf = s->buf + s->seen;
	s->request.at = c->target.offset + s->at + s->seen;
	s->request.len = to - s->seen;
	s->seen = to;
	sio_request_start(&c->ring, &s->request);
}

static void slot_went(struct copy *c, struct slot *s, long res)
{
	int r = sio_request_went(&c->ring, &s->request, res, err_of(c));

	if (r == 0)
		return;
	if (r < 0) {
		fail_at(c, s->at, r);
		s->busy = false;
		c->idle[c->n_idle++] = s;
		return;
	}
	if (s->request.write)
		c->result.moved_bytes += s->request.len;
	if (s->request.write && s->seen == s->len)
		slot_done(c, s);
	else
		write_on(c, s);
}

static void start_slot(struct copy *c, uint64_t at, uint64_t len)
{
	struct slot *s = c->idle[--c->n_idle];

	s->busy = true;
	s->at = at;
	s->len = len;
	s->seen = 0;
	s->request.write = false;
	s->request.end = &c->source;
	s->request.buf = s->buf;
	s->request.at = c->source.offset + at;
	s->request.len = len;
	sio_request_start(&c->ring, &s->request);
}

/* No whole block: read and written at once, through the page cache. */
static void copy_rag(struct copy *c, uint64_t at, uint64_t len)
{
	char *buf = c->idle[c->n_idle - 1]->buf;
	int r = sio_ring_submit(&c->ring, c->err); /* nobody waits for this one */

	if (r == 0)
		r = sio_end_plain(&c->source, false, buf, c->source.offset + at, len, c->err);
	if (r == 0)
		r = sio_end_plain(&c->target, true, buf, c->target.offset + at, len, c->err);
	if (r < 0) {
		fail_at(c, at, r);
		return;
	}
	c->result.moved_bytes += len;
	piece_done(c, len);
	(void)sio_meter_tick(&c->meter, false);
}

/* ---- handing out ---- */

static void next_extent(struct copy *c)
{
	int r = sio_walk_next(&c->walk, &c->rest, c->err);

	sio_meter_skip(&c->meter, c->walk.skipped_bytes);
	c->walk.skipped_bytes = 0;
	if (r == 0)
		c->all_out = true;
	else if (r < 0)
		fail_at(c, c->out_to, r);
	if (r <= 0)
		return;
	c->out_to = c->rest.at;
	c->end = c->rest.at + c->rest.len;
	r = sio_end_extend(&c->target, c->target.offset + c->end, c->err);
	if (r < 0)
		fail_at(c, c->rest.at, r);
}

static void advance(struct copy *c, uint64_t len)
{
	c->rest.at += len;
	c->rest.len -= len;
	c->out_to = c->rest.at;
}

static void hand_out_piece(struct copy *c)
{
	uint64_t at = c->rest.at, len = c->rest.len;
	bool rag;

	if (c->rest.kind == SIO_HOLE) {
		zero(c, at, len);
		c->result.hole_bytes += c->r ? 0 : len;
	} else {
		len = sio_cut_piece(&c->cut, at, len, &rag);
		if (rag)
			copy_rag(c, at, len);
		else
			start_slot(c, at, len);
	}
	if (!c->r)
		advance(c, len);
}

static bool more_to_hand_out(const struct copy *c)
{
	return !c->r && !c->all_out && !c->meter.stop && c->depth - c->n_idle < c->window.now;
}

/* The slots used last first: their buffers are still in the processor's cache. */
static void hand_out(struct copy *c)
{
	while (more_to_hand_out(c)) {
		if (!c->rest.len)
			next_extent(c);
		else
			hand_out_piece(c);
	}
}

static void widen_or_narrow(struct copy *c)
{
	if (sio_window_due(&c->window, c->result.moved_bytes))
		sio_window_judge(&c->window, c->result.moved_bytes, sm_monotonic_ns());
}

/* ---- checkpoints ---- */

static uint64_t written_to(const struct copy *c)
{
	uint64_t to = c->out_to < c->failed_at ? c->out_to : c->failed_at;

	for (uint32_t i = 0; i < c->depth; i++)
		if (c->slots[i].busy && c->slots[i].at < to)
			to = c->slots[i].at;
	return to;
}

static void checkpoint(struct copy *c, uint64_t durable)
{
	int r;

	c->result.durable = durable;
	if (!c->opts.checkpoint)
		return;
	r = c->opts.checkpoint(durable, c->opts.data, err_of(c));
	if (r < 0)
		fail_at(c, durable, r);
}

static void flush_if_due(struct copy *c)
{
	const uint64_t every = c->opts.checkpoint_bytes ? c->opts.checkpoint_bytes :
							  SIO_CHECKPOINT_BYTES;
	uint64_t to;
	int r;

	if (!c->opts.checkpoint || c->opts.no_flush || c->flushing || c->r ||
	    c->since_flush < every)
		return;
	to = written_to(c);
	if (to <= c->result.durable)
		return;
	r = flush_zeroes(c);
	if (r < 0) {
		fail_at(c, c->result.durable, r);
		return;
	}
	c->since_flush = 0;
	c->flushing = true;
	c->flush_to = to;
	io_prep_fdsync(&c->flush, c->target.fd);
	c->flush.data = NULL;
	sio_ring_queue(&c->ring, &c->flush);
}

static void flush_went(struct copy *c, long res)
{
	int r = 0;

	c->flushing = false;
	if (res == -EINVAL || res == -EOPNOTSUPP) /* before Linux 4.18 */
		r = sio_end_flush(&c->target, err_of(c));
	else if (res < 0)
		r = sm_fail(err_of(c), SNAPMGR_IO, (int)res, "cannot flush '%s'", c->target.name);
	if (r < 0)
		fail_at(c, c->result.durable, r);
	else
		checkpoint(c, c->flush_to);
}

/* ---- the whole ---- */

static int reap(struct copy *c)
{
	struct io_event events[64];
	int n = sio_ring_reap(&c->ring, events, SM_ARRAY(events), more_to_hand_out(c) ? 0 : WAIT_MS,
			      err_of(c));

	if (n < 0)
		fail_at(c, 0, n);
	for (int i = 0; i < n; i++) {
		struct sio_request *request = sio_request_of(&events[i]);

		if (request)
			slot_went(c, request->owner, (long)events[i].res);
		else
			flush_went(c, (long)events[i].res);
	}
	return n < 0 ? n : 0;
}

/* Until all is written, or what was handed out before a failure has come back. */
static int move_all(struct copy *c)
{
	bool lost = false; /* the kernel answers no more: sio_ring_close() waits for what it has */

	while (!lost && (sio_ring_busy(&c->ring) || (!c->r && !c->all_out))) {
		int r;

		hand_out(c);
		flush_if_due(c);
		r = sio_ring_submit(&c->ring, err_of(c));
		if (r < 0)
			fail_at(c, 0, r);
		lost = r < 0 || reap(c) < 0;
		widen_or_narrow(c);
		if (sio_meter_tick(&c->meter, false) && !c->r)
			fail_at(c, c->out_to, sio_meter_stopped(&c->meter, c->err));
	}
	return c->r;
}

/* All is on the target; or, after a failure, what came before it. */
static int finish(struct copy *c)
{
	uint64_t to;
	int r = 0;

	if (c->r == -ECANCELED)
		return c->r;
	to = c->r ? written_to(c) : c->end;
	if (c->r && (!c->opts.checkpoint || c->opts.no_flush || to <= c->result.durable))
		return c->r;
	r = flush_zeroes(c);
	if (r == 0 && !c->opts.no_flush)
		r = sio_end_flush(&c->target, err_of(c));
	if (r < 0)
		return c->r ? c->r : r;
	if (c->r)
		checkpoint(c, to);
	else
		c->result.durable = to > c->result.durable ? to : c->result.durable;
	return c->r;
}

static int make_slots(struct copy *c)
{
	c->buffers = sio_buffers(c->cut.request_bytes * c->depth);
	c->slots = calloc(c->depth, sizeof(*c->slots));
	c->idle = calloc(c->depth, sizeof(struct slot *));
	if (!c->buffers || !c->slots || !c->idle)
		return sm_nomem(c->err);
	for (uint32_t i = c->depth; i-- > 0;) {
		c->slots[i].buf = c->buffers + i * c->cut.request_bytes;
		c->slots[i].request.owner = &c->slots[i];
		c->idle[c->n_idle++] = &c->slots[i];
	}
	return 0;
}

static void copy_free(struct copy *c)
{
	sio_ring_close(&c->ring);
	sio_end_close(&c->target);
	sio_end_close(&c->source);
	free(c->slots);
	free(c->idle);
	free(c->buffers);
}

static int open_ends(struct copy *c, const struct sio_side *source, const struct sio_side *target)
{
	int r = sio_end_open(&c->source, source, c->err);

	if (r == 0)
		r = sio_end_open(&c->target, target, c->err);
	return r;
}

static int copy(struct copy *c, const struct sio_side *source, const struct sio_side *target,
		struct sio_map *map)
{
	int r = open_ends(c, source, target);

	if (r < 0)
		return r;
	sio_cut_make(&c->cut, &c->source, &c->target, c->opts.request_bytes);
	/* One more, for the flush. */
	r = sio_ring_open(&c->ring, c->opts.depth + 1, 2, c->err);
	if (r < 0)
		return r;
	c->depth = c->ring.depth - 1;
	r = make_slots(c);
	if (r < 0)
		return r;
	sio_walk_start(&c->walk, map, c->opts.resume_at, c->opts.len ? c->opts.len : UINT64_MAX);
	sio_window_start(&c->window, c->depth, sm_monotonic_ns());
	sio_meter_start(&c->meter, c->opts.progress, c->opts.data, map->data_bytes);
	(void)move_all(c);
	r = finish(c);
	(void)sio_meter_tick(&c->meter, true);
	return r;
}

/* ---- verify ---- */

struct verify {
	const struct sio_copy_opts *opts;
	const struct sio_side *source, *target;
	struct sio_copy_result *result;
	struct snapmgr_err *err;
};

static int verify_progress(const struct sio_progress *progress, void *data)
{
	struct verify *v = data;
	struct sio_progress now = *progress;

	now.verifying = true;
	v->result->verified_bytes = now.done_bytes;
	return v->opts->progress ? v->opts->progress(&now, v->opts->data) : 0;
}

static int tell_difference(const struct sio_extent *extent, void *data)
{
	struct verify *v = data;

	return sm_fail(v->err, SNAPMGR_DAMAGED, EBADMSG,
		       "'%s' differs from '%s' after the copy: %" PRIu64 " bytes at %" PRIu64,
		       v->target->name, v->source->name, extent->len,
		       v->target->offset + extent->at);
}

static int verify(struct verify *v, struct sio_map *map)
{
	const struct sio_compare_opts opts = {
		.size = sizeof(opts),
		.map = map,
		.len = v->opts->len,
		.data_only = v->opts->holes == SIO_HOLES_SKIP,
		.depth = v->opts->depth,
		.request_bytes = v->opts->request_bytes,
		.differs = tell_difference,
		.progress = verify_progress,
		.data = v,
	};

	map->rewind(map);
	return sio_compare(v->source, v->target, &opts, NULL, v->err);
}

static int check_opts(const struct sio_copy_opts *given, struct sio_copy_opts *ret,
		      struct snapmgr_err *err)
{
	*ret = (struct sio_copy_opts){ 0 };
	if (given)
		memcpy(ret, given, given->size < sizeof(*ret) ? given->size : sizeof(*ret));
	if (ret->verify && ret->map && !ret->map->rewind)
		return sm_fail(err, SNAPMGR_INTERNAL, EINVAL,
			       "a map that cannot begin anew cannot be verified");
	return sio_sizes(&ret->depth, &ret->request_bytes, err);
}

int sio_copy(const struct sio_side *source, const struct sio_side *target,
	     const struct sio_copy_opts *opts, struct sio_copy_result *ret, struct snapmgr_err *err)
{
	const uint64_t start_ns = sm_monotonic_ns();
	struct sio_file_map file;
	struct copy c = { .err = err, .failed_at = UINT64_MAX };
	struct verify v = { &c.opts, source, target, &c.result, err };
	struct sio_map *map;
	int r = check_opts(opts, &c.opts, err);

	map = c.opts.map;
	if (r == 0 && !map) {
		r = sio_file_map(source, UINT64_MAX, &file, err);
		map = &file.map;
	}
	if (r == 0) {
		c.result.durable = c.opts.resume_at;
		c.zeroes.how = c.opts.holes;
		r = copy(&c, source, target, map);
		copy_free(&c);
	}
	if (r == 0 && c.opts.verify)
		r = verify(&v, map);
	c.result.ns = sm_monotonic_ns() - start_ns;
	if (ret)
		*ret = c.result;
	return r;
}
