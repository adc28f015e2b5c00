/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A copy and a comparison that some bytes decide: see io_plan.h. */
#include "io_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "io/sio.h"
#include "io_faults.h"

#define EXTENTS	  24u
#define BYTES_MAX (SM_MIB + 64 * SM_KIB)

struct io_plan_counts io_plan_counts;

struct plan {
	const uint8_t *bytes;
	size_t size, at;
	uint64_t random;

	uint64_t unit; /* offsets and lengths are multiples of it */
	uint64_t source_bytes, target_bytes, source_offset, target_offset;
	struct sio_extent extents[EXTENTS];
	size_t n_extents;
	bool whole; /* no map */
	struct sio_copy_opts opts;

	unsigned char *source, *before, *after; /* the target's contents before and after */
	uint64_t after_bytes;
	int source_fd, target_fd, target_look; /* target_look: another description */
	uint64_t durable;
	const char *wrong;
};

static uint32_t byte(struct plan *p)
{
	return p->at < p->size ? p->bytes[p->at++] : 0;
}

static uint32_t word(struct plan *p)
{
	uint32_t high = byte(p);

	return high << 8 | byte(p);
}

static uint64_t random_next(struct plan *p)
{
	p->random ^= p->random << 13;
	p->random ^= p->random >> 7;
	p->random ^= p->random << 17;
	return p->random;
}

/* ---- what the bytes decide ---- */

/* Runs of zeroes and of anything, some of them just as long as the engine looks for. */
static void fill(struct plan *p, unsigned char *at, uint64_t len)
{
	while (len) {
		uint64_t kind = random_next(p) % 4, n = 1 + random_next(p) % (192 * SM_KIB);

		n = kind == 1 ? n / SM_KIB * SM_KIB : n;
		n = n < len ? n : len;
		for (uint64_t i = 0; i < n; i++)
			at[i] = kind < 2 ? 0 : (unsigned char)random_next(p);
		if (kind == 1 && n)
			at[n - 1] = 1;
		at += n;
		len -= n;
	}
}

static void choose_extents(struct plan *p, uint64_t room)
{
	const uint64_t wide = byte(p) & 1 ? 16 : 1;
	uint64_t at = 0;
	uint32_t n = byte(p) % (EXTENTS + 1);

	p->whole = byte(p) % 4 == 0;
	if (p->whole && room)
		p->extents[p->n_extents++] = (struct sio_extent){ 0, room, SIO_DATA };
	for (; n && p->n_extents < EXTENTS && !p->whole; n--) {
		uint32_t kind = byte(p) % 4;
		uint64_t gap = kind == 3 ? 0 : byte(p) * p->unit,
			 len = word(p) % 4096 * p->unit * wide;

		at += gap;
		if (at >= room)
			return;
		len = len < room - at ? len : room - at;
		p->extents[p->n_extents++] = (struct sio_extent){ at, len,
								  kind == 0 ? SIO_HOLE : SIO_DATA };
		at += len;
	}
}

static void choose(struct plan *p)
{
	static const uint64_t units[] = { 1, 512, 4096, 4096 };
	struct sio_copy_opts *o = &p->opts;

	p->random = word(p) + 1;
	p->unit = units[byte(p) % SM_ARRAY(units)];
	p->source_bytes = (uint64_t)word(p) * 16 / p->unit * p->unit;
	p->target_bytes = (uint64_t)word(p) * 16 / p->unit * p->unit;
	p->source_offset = byte(p) % 32 * p->unit;
	p->target_offset = byte(p) % 32 * p->unit;
	choose_extents(p,
		       p->source_bytes > p->source_offset ? p->source_bytes - p->source_offset : 0);
	o->size = sizeof(*o);
	o->depth = 1 + byte(p) % 9;
	o->request_bytes = SIO_REQUEST_BYTES_MIN << byte(p) % 7;
	o->holes = byte(p) % 3;
	o->all_data = byte(p) % 4 == 0;
	o->verify = byte(p) & 1;
	o->checkpoint_bytes = 1 + word(p) * 8;
	o->no_flush = byte(p) % 8 == 0;
	o->len = byte(p) % 4 == 0 ? (uint64_t)word(p) * 8 : 0;
	o->resume_at = byte(p) % 4 == 0 ? (uint64_t)word(p) * 4 : 0;
}

static void choose_faults(struct plan *p, bool again)
{
	static const int errors[] = { -EIO, -ENOSPC, -EIO, 1 };
	uint32_t which = byte(p);

	io_faults = (struct io_faults){ 0 };
	if (again)
		return;
	io_faults.again_every = which & 1 ? 2 + byte(p) % 6 : 0;
	io_faults.most_at_once = which & 2 ? 1 + byte(p) % 3 : 0;
	io_faults.short_every = which & 4 ? 2 + byte(p) % 6 : 0;
	io_faults.again_later = which & 8 ? 3 + byte(p) % 6 : 0;
	io_faults.signal_every = which & 16 ? 2 + byte(p) % 6 : 0;
	if (which % 2)
		return;
	io_faults.of = byte(p) % 3;
	io_faults.fail_at = 1 + byte(p) % 5;
	io_faults.error = errors[byte(p) % SM_ARRAY(errors)];
	if (io_faults.of == OF_FLUSHES)
		io_faults.error = -EIO;
	io_faults.for_good = true;
}

/* ---- what must come of it ---- */

static uint64_t limit_of(const struct plan *p)
{
	return p->opts.len ? p->opts.len : UINT64_MAX;
}

/* One extent in the model; what is before the resume offset is taken to be there already. */
static void model_extent(struct plan *p, const struct sio_extent *e)
{
	uint64_t at = e->at, to = at + e->len < limit_of(p) ? at + e->len : limit_of(p);
	unsigned char *target;

	at = at > p->opts.resume_at ? at : p->opts.resume_at;
	if (at >= to)
		return;
	target = p->after + p->target_offset + at;
	if (e->kind == SIO_DATA)
		memcpy(target, p->source + p->source_offset + at, to - at);
	else if (p->opts.holes != SIO_HOLES_SKIP)
		memset(target, 0, to - at);
	if (p->target_offset + to > p->after_bytes)
		p->after_bytes = p->target_offset + to;
}

/* What an earlier call did. */
static void model_resumed(struct plan *p, const struct sio_extent *e)
{
	uint64_t to = e->at + e->len < p->opts.resume_at ? e->at + e->len : p->opts.resume_at;

	if (e->at >= to)
		return;
	if (e->kind == SIO_DATA)
		memcpy(p->before + p->target_offset + e->at, p->source + p->source_offset + e->at,
		       to - e->at);
	else
		memset(p->before + p->target_offset + e->at, 0, to - e->at);
	if (p->target_offset + to > p->target_bytes)
		p->target_bytes = p->target_offset + to;
}

static void make_model(struct plan *p)
{
	fill(p, p->source, p->source_bytes);
	if (p->opts.holes != SIO_HOLES_SKIP)
		fill(p, p->before, p->target_bytes);
	for (size_t i = 0; i < p->n_extents; i++)
		model_resumed(p, &p->extents[i]);
	memcpy(p->after, p->before, BYTES_MAX * 2);
	p->after_bytes = p->target_bytes;
	for (size_t i = 0; i < p->n_extents; i++)
		model_extent(p, &p->extents[i]);
}

/* ---- files ---- */

static int make_file(struct plan *p, const char *name, const unsigned char *data, uint64_t len,
		     int *ret_look)
{
	bool direct = byte(p) & 1;
	int fd = direct ? open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) :
			  memfd_create(name, MFD_CLOEXEC);
	char path[64];
	uint64_t at = 0;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*ret_look = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || *ret_look < 0 || ftruncate(fd, (off_t)len) < 0)
		abort();
	io_plan_counts.direct += direct;
	for (; at < len; at += 4096) { /* zeroes stay holes */
		uint64_t n = len - at < 4096 ? len - at : 4096;

		if (!sio_is_zero(data + at, n) && pwrite(fd, data + at, n, (off_t)at) != (ssize_t)n)
			abort();
	}
	return fd;
}

static bool same(int fd, const unsigned char *want, uint64_t at, uint64_t len)
{
	unsigned char got[16384];

	while (len) {
		uint64_t n = len < sizeof(got) ? len : sizeof(got);

		if (pread(fd, got, n, (off_t)at) != (ssize_t)n || memcmp(got, want + at, n))
			return false;
		at += n;
		len -= n;
	}
	return true;
}

/* ---- the copy ---- */

static void found(struct plan *p, const char *what)
{
	p->wrong = p->wrong ? p->wrong : what;
}

static bool there_up_to(struct plan *p, uint64_t position)
{
	uint64_t to = p->target_offset + position;
	struct stat st;

	if (fstat(p->target_look, &st) < 0)
		return false;
	to = to < p->after_bytes ? to : p->after_bytes;
	to = to < (uint64_t)st.st_size ? to : (uint64_t)st.st_size;
	return same(p->target_look, p->after, 0, to);
}

static int at_checkpoint(uint64_t durable, void *data, struct snapmgr_err *err)
{
	struct plan *p = data;

	(void)err;
	io_plan_counts.checkpoints++;
	if (durable < p->durable)
		found(p, "a checkpoint lies before the one before it");
	p->durable = durable;
	if (!there_up_to(p, durable))
		found(p, "what lies before a checkpoint is not there");
	return 0;
}

/* Each byte is what it was or what it shall be. */
static bool torn(struct plan *p)
{
	unsigned char got;

	for (uint64_t i = 0; i < p->after_bytes; i++) {
		if (p->before[i] == p->after[i] && i % 512)
			continue;
		if (pread(p->target_look, &got, 1, (off_t)i) == 1 && got != p->before[i] &&
		    got != p->after[i])
			return true;
	}
	return false;
}

static int run_copy(struct plan *p, struct sio_copy_result *result, struct snapmgr_err *err)
{
	struct sio_side source = { p->source_fd, "source", p->source_offset };
	struct sio_side target = { p->target_fd, "target", p->target_offset };
	struct sio_list list;

	sio_list(&list, p->extents, p->n_extents);
	p->opts.map = p->whole ? NULL : &list.map;
	p->opts.checkpoint = at_checkpoint;
	p->opts.data = p;
	return sio_copy(&source, &target, &p->opts, result, err);
}

static void check_failure(struct plan *p, int r, const struct snapmgr_err *err)
{
	int want = io_faults.error < 0 ? io_faults.error : -EIO;

	io_plan_counts.failed_copies++;
	if (!io_faults.fail_at || (r != want && io_faults.error < 0))
		found(p, "it failed by itself");
	if (!err->message[0] || -err->errnum != r)
		found(p, "a failure without a message");
	if (torn(p))
		found(p, "a failed copy left what is neither old nor new");
}

static void check_copy(struct plan *p)
{
	struct sio_copy_result result = { 0 };
	struct snapmgr_err err = { 0 };
	int r;

	p->durable = p->opts.resume_at;
	choose_faults(p, false);
	r = run_copy(p, &result, &err);
	if (r < 0 && r != -EBADMSG) {
		check_failure(p, r, &err);
		if (result.durable < p->opts.resume_at || !there_up_to(p, result.durable))
			found(p, "what a failed copy calls durable is not there");
		choose_faults(p, true);
		p->opts.resume_at = p->durable = result.durable;
		io_plan_counts.resumed++;
		r = run_copy(p, &result, &err);
	}
	choose_faults(p, true);
	io_plan_counts.zeroes += result.zero_bytes > 0;
	if (r < 0) {
		static char text[SNAPMGR_MESSAGE_MAX];

		(void)sm_copy_text(text, sizeof(text), err.message);
		found(p, text);
	}
}

static void check_target(struct plan *p)
{
	struct stat st;

	if (fstat(p->target_fd, &st) < 0 || (uint64_t)st.st_size != p->after_bytes)
		found(p, "the target has another size");
	else if (!same(p->target_look, p->after, 0, p->after_bytes))
		found(p, "the target has other contents");
	if (fcntl(p->target_fd, F_GETFL) & O_DIRECT || fcntl(p->source_fd, F_GETFL) & O_DIRECT)
		found(p, "O_DIRECT is still set");
}

/* ---- the comparison ---- */

struct differences {
	struct plan *p;
	uint64_t grain, last_to, total;
	unsigned char *seen; /* a byte for each grain */
};

static int note(const struct sio_extent *extent, void *data)
{
	struct differences *d = data;

	if (!extent->len || extent->at < d->last_to || (d->total && extent->at == d->last_to))
		found(d->p, "differences are not ascending, or not merged");
	d->last_to = extent->at + extent->len;
	d->total += extent->len;
	for (uint64_t at = extent->at; at < d->last_to; at += d->grain - at % d->grain)
		d->seen[at / d->grain] = 1;
	return 0;
}

static void check_compare(struct plan *p)
{
	struct sio_side a = { p->source_fd, "a", 0 }, b = { p->target_fd, "b", 0 };
	struct differences d = { .p = p, .grain = UINT64_C(512) << byte(p) % 6 };
	struct sio_compare_opts opts = { .size = sizeof(opts),
					 .grain_bytes = (uint32_t)d.grain,
					 .depth = p->opts.depth,
					 .request_bytes = p->opts.request_bytes,
					 .differs = note,
					 .data = &d };
	uint64_t bytes = 0, longer = p->source_bytes;
	struct snapmgr_err err;

	longer = p->after_bytes > longer ? p->after_bytes : longer;
	d.seen = calloc(1, 2 * BYTES_MAX / d.grain);
	if (!d.seen)
		abort();
	if (sio_compare(&a, &b, &opts, &bytes, &err) < 0)
		found(p, "a comparison failed");
	if (bytes != d.total)
		found(p, "a comparison's sum is not that of its parts");
	for (uint64_t at = 0; at < longer; at += d.grain) {
		bool differs = memcmp(p->source + at, p->after + at, d.grain) != 0;

		io_plan_counts.differing += differs;
		if (differs != (d.seen[at / d.grain] != 0))
			found(p, "a comparison missed a difference, or made one up");
	}
	free(d.seen);
}

const char *io_plan_run(const uint8_t *bytes, size_t size)
{
	struct plan p = { .bytes = bytes, .size = size };
	AUTO(free) unsigned char *memory = calloc(3, BYTES_MAX * 2);
	AUTO(sm_close_fd) int source_look = -1;

	if (!memory)
		abort();
	p.source = memory;
	p.before = memory + BYTES_MAX * 2;
	p.after = memory + BYTES_MAX * 4;
	choose(&p);
	make_model(&p);
	p.source_fd = make_file(&p, "source", p.source, p.source_bytes, &source_look);
	p.target_fd = make_file(&p, "target", p.before, p.target_bytes, &p.target_look);
	check_copy(&p);
	if (!p.wrong)
		check_target(&p);
	if (!p.wrong)
		check_compare(&p);
	io_plan_counts.plans++;
	(void)close(p.source_fd);
	(void)close(p.target_fd);
	(void)close(p.target_look);
	return p.wrong;
}
