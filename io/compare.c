/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The comparison: pairs of reads in flight, looked at in the order of their positions, so that what
 * differs comes out ascending and in one piece.
 */
#include <errno.h>
#include <string.h>

#include "io/ring.h"
#include "io/walk.h"

#define GRAIN	4096u
#define WAIT_MS 100

struct half {
	struct sio_request request;
	char *buf;
	bool there;  /* else it is zero: a hole, or behind the end */
	bool flying; /* and not read yet */
};
struct pair {
	uint64_t at, len;
	struct half half[2];
};

struct compare {
	struct sio_compare_opts opts;
	struct sio_end ends[2];
	struct sio_walk walk;
	struct sio_cut cut;
	struct sio_ring ring;
	struct sio_meter meter;
	struct pair *pairs;
	uint32_t n_pairs, first, n_used; /* pairs in use, from the oldest on */
	char *buffers;
	struct sio_extent rest;
	bool all_out, enough;	     /* enough: one difference was all that was asked for */
	struct sio_extent differing; /* to be told when it grows no more */
	uint64_t differing_bytes;
	struct snapmgr_err *err;
};

/* ---- where either of two files has data ---- */

struct either {
	struct sio_map map;
	struct sio_file_map file[2];
	struct sio_extent now[2];
	uint64_t at;
};

static int either_next(struct sio_map *map, struct sio_extent *ret, struct snapmgr_err *err)
{
	struct either *e = (struct either *)map;
	uint64_t to;

	for (;;) {
		for (int i = 0; i < 2; i++) {
			while (e->now[i].at + e->now[i].len <= e->at) {
				int r = e->file[i].map.next(&e->file[i].map, &e->now[i], err);

				if (r <= 0)
					return r;
			}
		}
		to = e->now[0].at + e->now[0].len;
		if (e->now[1].at + e->now[1].len < to)
			to = e->now[1].at + e->now[1].len;
		*ret = (struct sio_extent){ e->at, to - e->at, SIO_DATA };
		e->at = to;
		if (e->now[0].kind == SIO_DATA || e->now[1].kind == SIO_DATA)
			return 1;
	}
}

static int either_map(const struct sio_side *a, const struct sio_side *b, struct either *ret,
		      struct snapmgr_err *err)
{
	struct either e = { .map = { .next = either_next } };
	uint64_t len;
	int r = sio_file_map(a, UINT64_MAX, &e.file[0], err);

	if (r == 0)
		r = sio_file_map(b, UINT64_MAX, &e.file[1], err);
	if (r < 0)
		return r;
	len = e.file[0].len > e.file[1].len ? e.file[0].len : e.file[1].len;
	e.file[0].len = e.file[1].len = len;
	e.map.data_bytes = e.file[0].map.data_bytes > e.file[1].map.data_bytes ?
				   e.file[0].map.data_bytes :
				   e.file[1].map.data_bytes;
	*ret = e;
	return 0;
}

/* ---- a pair that was read ---- */

static int tell(struct compare *c)
{
	int r = 0;

	if (!c->differing.len)
		return 0;
	c->differing_bytes += c->differing.len;
	if (c->opts.differs)
		r = c->opts.differs(&c->differing, c->opts.data);
	else
		c->enough = true;
	c->differing.len = 0;
	return r;
}

static int differs(struct compare *c, uint64_t at, uint64_t len)
{
	int r = 0;

	if (c->differing.len && c->differing.at + c->differing.len != at)
		r = tell(c);
	if (!c->differing.len)
		c->differing.at = at;
	c->differing.len += len;
	return r;
}

static bool equal(const struct pair *p, uint64_t from, uint64_t len)
{
	const struct half *a = &p->half[0], *b = &p->half[1];

	if (a->there && b->there)
		return !memcmp(a->buf + from, b->buf + from, len);
	if (a->there)
		return sio_is_zero(a->buf + from, len);
	return !b->there || sio_is_zero(b->buf + from, len);
}

static int look(struct compare *c, const struct pair *p)
{
	uint64_t from = 0;
	int r = 0;

	if (equal(p, 0, p->len))
		return 0;
	while (from < p->len && r == 0 && !c->enough) {
		uint64_t len = c->opts.grain_bytes - (p->at + from) % c->opts.grain_bytes;

		len = len < p->len - from ? len : p->len - from;
		if (!equal(p, from, len))
			r = differs(c, p->at + from, len);
		from += len;
	}
	return r;
}

static int look_at_what_came(struct compare *c)
{
	int r = 0;

	while (c->n_used && r == 0) {
		struct pair *p = &c->pairs[c->first];

		if (p->half[0].flying || p->half[1].flying)
			break;
		r = look(c, p);
		c->meter.now.done_bytes += p->len;
		c->first = (c->first + 1) % c->n_pairs;
		c->n_used--;
	}
	return r;
}

/* ---- handing out ---- */

/* Up to where position @at is inside of that side. */
static uint64_t inside(const struct sio_end *end)
{
	return end->size_bytes > end->offset ? end->size_bytes - end->offset : 0;
}

static int read_half(struct compare *c, struct half *half, struct sio_end *end, uint64_t at,
		     uint64_t len, bool rag)
{
	if (rag)
		return sio_end_plain(end, false, half->buf, end->offset + at, len, c->err);
	half->request.end = end;
	half->request.buf = half->buf;
	half->request.at = end->offset + at;
	half->request.len = len;
	half->flying = true;
	sio_request_start(&c->ring, &half->request);
	return 0;
}

/* Neither piece reaches over the end of a side. */
static uint64_t cut_at_ends(const struct compare *c, uint64_t at, uint64_t len)
{
	for (int i = 0; i < 2; i++) {
		uint64_t end = inside(&c->ends[i]);

		if (at < end && end - at < len)
			len = end - at;
	}
	return len;
}

static int hand_out_pair(struct compare *c)
{
	struct pair *p = &c->pairs[(c->first + c->n_used) % c->n_pairs];
	uint64_t at = c->rest.at, len = cut_at_ends(c, at, c->rest.len);
	bool rag;
	int r = 0;

	len = sio_cut_piece(&c->cut, at, len, &rag);
	p->at = at;
	p->len = len;
	for (int i = 0; i < 2 && r == 0; i++) {
		p->half[i].flying = false;
		p->half[i].there = at < inside(&c->ends[i]) && (i || c->rest.kind == SIO_DATA);
		if (p->half[i].there)
			r = read_half(c, &p->half[i], &c->ends[i], at, len, rag);
	}
	c->rest.at += len;
	c->rest.len -= len;
	if (p->half[0].there || p->half[1].there)
		c->n_used++;
	return r;
}

/* A hole is held against zero, which is what the second side has where it has a hole, or nothing. */
static void skip_second_hole(struct compare *c)
{
	const struct sio_end *b = &c->ends[1];
	uint64_t to = c->rest.at + c->rest.len;
	off_t data;

	if (c->rest.at >= inside(b)) {
		c->rest.len = 0;
		return;
	}
	data = b->device ? -1 : lseek(b->fd, (off_t)(b->offset + c->rest.at), SEEK_DATA);
	if (data < 0 && (b->device || errno != ENXIO))
		return;
	if (data < 0 || (uint64_t)data - b->offset > to)
		c->rest.at = to;
	else
		c->rest.at = (uint64_t)data - b->offset;
	c->rest.len = to - c->rest.at;
}

static int hand_out(struct compare *c)
{
	int r = 0;

	while (r == 0 && !c->all_out && c->n_used < c->n_pairs) {
		if (c->rest.len) {
			r = hand_out_pair(c);
			continue;
		}
		r = sio_walk_next(&c->walk, &c->rest, c->err);
		if (r == 0)
			c->all_out = true;
		if (r <= 0)
			break;
		r = 0;
		if (c->rest.kind == SIO_HOLE && c->opts.data_only)
			c->rest.len = 0;
		else if (c->rest.kind == SIO_HOLE)
			skip_second_hole(c);
	}
	return r;
}

/* ---- the whole ---- */

static int reap(struct compare *c)
{
	struct io_event events[64];
	int n = sio_ring_reap(&c->ring, events, SM_ARRAY(events), WAIT_MS, c->err), r = 0;

	for (int i = 0; i < n && r >= 0; i++) {
		struct sio_request *request = sio_request_of(&events[i]);
		struct half *half = request->owner;

		r = sio_request_went(&c->ring, request, (long)events[i].res, c->err);
		if (r == 1)
			half->flying = false;
	}
	return n < 0 ? n : r < 0 ? r : 0;
}

static int compare_all(struct compare *c)
{
	int r = 0;

	while (r == 0 && !c->enough && (c->n_used || !c->all_out)) {
		r = hand_out(c);
		if (r == 0)
			r = sio_ring_submit(&c->ring, c->err);
		if (r == 0)
			r = reap(c);
		if (r == 0)
			r = look_at_what_came(c);
		if (r == 0 && sio_meter_tick(&c->meter, false))
			r = sio_meter_stopped(&c->meter, c->err);
	}
	return r ? r : tell(c);
}

static int make_pairs(struct compare *c)
{
	char *buf;

	c->n_pairs = c->ring.depth / 2;
	c->buffers = buf = sio_buffers(c->cut.request_bytes * 2 * c->n_pairs);
	c->pairs = calloc(c->n_pairs, sizeof(*c->pairs));
	if (!c->buffers || !c->pairs)
		return sm_nomem(c->err);
	for (uint32_t i = 0; i < 2 * c->n_pairs; i++, buf += c->cut.request_bytes) {
		struct half *half = &c->pairs[i / 2].half[i % 2];

		half->buf = buf;
		half->request.owner = half;
	}
	return 0;
}

static void compare_free(struct compare *c)
{
	sio_ring_close(&c->ring);
	sio_end_close(&c->ends[1]);
	sio_end_close(&c->ends[0]);
	free(c->pairs);
	free(c->buffers);
}

static int compare(struct compare *c, const struct sio_side *a, const struct sio_side *b,
		   struct sio_map *map)
{
	int r = sio_end_open(&c->ends[0], a, c->err);

	if (r == 0)
		r = sio_end_open(&c->ends[1], b, c->err);
	if (r < 0)
		return r;
	sio_cut_make(&c->cut, &c->ends[0], &c->ends[1], c->opts.request_bytes);
	r = sio_ring_open(&c->ring, c->opts.depth > 2 ? c->opts.depth : 2, 2, c->err);
	if (r == 0)
		r = make_pairs(c);
	if (r < 0)
		return r;
	sio_walk_start(&c->walk, map, 0, c->opts.len ? c->opts.len : UINT64_MAX);
	sio_meter_start(&c->meter, c->opts.progress, c->opts.data, map->data_bytes);
	r = compare_all(c);
	(void)sio_meter_tick(&c->meter, true);
	return r;
}

static int check_opts(const struct sio_compare_opts *given, struct sio_compare_opts *ret,
		      struct snapmgr_err *err)
{
	*ret = (struct sio_compare_opts){ 0 };
	if (given)
		memcpy(ret, given, given->size < sizeof(*ret) ? given->size : sizeof(*ret));
	ret->grain_bytes = ret->grain_bytes ? ret->grain_bytes : GRAIN;
	if (ret->grain_bytes & (ret->grain_bytes - 1))
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "a grain of %u bytes: not a power of two", ret->grain_bytes);
	return sio_sizes(&ret->depth, &ret->request_bytes, err);
}

int sio_compare(const struct sio_side *a, const struct sio_side *b,
		const struct sio_compare_opts *opts, uint64_t *ret_bytes, struct snapmgr_err *err)
{
	struct compare c = { .err = err };
	struct either either;
	struct sio_map *map;
	int r = check_opts(opts, &c.opts, err);

	map = c.opts.map;
	if (r == 0 && !map) {
		r = either_map(a, b, &either, err);
		map = &either.map;
	}
	if (r < 0)
		return r;
	r = compare(&c, a, b, map);
	compare_free(&c);
	if (ret_bytes)
		*ret_bytes = c.differing_bytes;
	return r;
}
