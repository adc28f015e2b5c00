/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The format: drivers/md/dm-log-writes.c. All integers are little-endian. */
#include "tests/model/wlog.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "tests/model/internal.h"

#define MAGIC	  UINT64_C(0x6a736677736872)
#define VERSION	  1u
#define MAX_WRITE (4 * SM_MIB)

struct super {
	uint64_t magic, version, n_entries;
	uint32_t sector_bytes;
} __attribute__((packed));
struct entry {
	uint64_t sector, n_sectors, flags, data_len;
};

static int read_entry(struct wlog *log, uint64_t *at, uint32_t sector, struct model_why *why)
{
	struct wlog_entry *x = &log->v[log->n];
	struct entry e;
	size_t len;

	if (pread(log->fd, &e, sizeof(e), (off_t)*at) != sizeof(e))
		return model_fail(why, "the log ends at entry %zu", log->n);
	*x = (struct wlog_entry){ .at = le64toh(e.sector) * sector,
				  .len = le64toh(e.n_sectors) * sector,
				  .flags = (uint32_t)le64toh(e.flags),
				  .data_at = *at + sector };
	len = (size_t)le64toh(e.data_len);
	if (x->flags & WLOG_MARK && len < sizeof(x->mark) &&
	    pread(log->fd, x->mark, len, (off_t)(*at + sizeof(e))) != (ssize_t)len)
		return model_fail(why, "cannot read entry %zu", log->n);
	if (x->len > MAX_WRITE && !(x->flags & WLOG_DISCARD))
		return model_fail(why, "entry %zu has %ju bytes", log->n, (uintmax_t)x->len);
	*at += sector + (x->flags & (WLOG_MARK | WLOG_DISCARD) ? 0 : x->len);
	log->n++;
	return 0;
}

int wlog_read(const char *device, struct wlog *ret, struct model_why *why)
{
	struct wlog log = { .fd = open(device, O_RDONLY | O_CLOEXEC) };
	struct super super = { 0 };
	uint64_t at, n;
	int r = 0;

	if (log.fd < 0 || pread(log.fd, &super, sizeof(super), 0) != sizeof(super) ||
	    le64toh(super.magic) != MAGIC || le64toh(super.version) != VERSION) {
		sm_close_fd(log.fd);
		return model_fail(why, "'%s' holds no log of writes", device);
	}
	n = le64toh(super.n_entries);
	at = le32toh(super.sector_bytes);
	log.v = calloc(n + 1, sizeof(*log.v));
	if (!log.v)
		abort();
	while (r == 0 && log.n < n)
		r = read_entry(&log, &at, le32toh(super.sector_bytes), why);
	if (r < 0)
		wlog_free(&log);
	else
		*ret = log;
	return r;
}

void wlog_free(struct wlog *log)
{
	sm_close_fd(log->fd);
	free(log->v);
	*log = (struct wlog){ .fd = -1 };
}

/* ---- playing it ---- */

static unsigned char *room(void)
{
	static void *p;

	if (!p && posix_memalign(&p, MODEL_SLOT, MAX_WRITE) != 0)
		abort();
	return p;
}

/* [from, from + len) of an entry to @fd; a discard leaves zeroes. */
static int apply(const struct wplay *play, const struct wlog_entry *x, int fd, uint64_t from,
		 uint64_t len, struct model_why *why)
{
	while (len > 0) {
		size_t n = (size_t)(len < MAX_WRITE ? len : MAX_WRITE);

		if (x->flags & WLOG_DISCARD)
			memset(room(), 0, n);
		else if (pread(play->log->fd, room(), n, (off_t)(x->data_at + from)) != (ssize_t)n)
			return model_fail(why, "cannot read the log: %s", strerror(errno));
		if (pwrite(fd, room(), n, (off_t)(x->at + from)) != (ssize_t)n)
			return model_fail(why, "cannot write %zu bytes at %ju: %s", n,
					  (uintmax_t)(x->at + from), strerror(errno));
		from += n;
		len -= n;
	}
	return 0;
}

static bool overlap(const struct wlog_entry *a, const struct wlog_entry *b)
{
	return a->at < b->at + b->len && b->at < a->at + a->len;
}

/* Of the pending, those that @durable picks become so. */
static int make_durable(struct wplay *play, const struct wlog_entry *by,
			bool (*durable)(const struct wplay *, const struct wlog_entry *,
					const struct wlog_entry *),
			struct model_why *why)
{
	size_t left = 0;
	int r = 0;

	for (size_t i = 0; i < play->n_pending && r == 0; i++) {
		const struct wlog_entry *x = &play->log->v[play->pending[i]];

		if (durable(play, by, x))
			r = apply(play, x, play->base_fd, 0, x->len, why);
		else
			play->pending[left++] = play->pending[i];
	}
	play->n_pending = left;
	return r;
}

static bool on_same_device(const struct wplay *play, const struct wlog_entry *flush,
			   const struct wlog_entry *x)
{
	return (flush->at < play->split) == (x->at < play->split);
}

static bool under(const struct wplay *play, const struct wlog_entry *fua,
		  const struct wlog_entry *x)
{
	(void)play;
	return overlap(fua, x);
}

int wplay_next(struct wplay *play, struct model_why *why)
{
	const struct wlog_entry *x = &play->log->v[play->next];
	int r = 0;

	if (x->flags & WLOG_FLUSH)
		r = make_durable(play, x, on_same_device, why);
	if (r == 0 && x->flags & WLOG_FUA) {
		r = make_durable(play, x, under, why);
		if (r == 0)
			r = apply(play, x, play->base_fd, 0, x->len, why);
	} else if (x->len) {
		play->pending[play->n_pending++] = play->next;
	}
	play->next++;
	return r;
}

int wplay_start(struct wplay *play, const struct wlog *log, const char *base, uint64_t split,
		struct model_why *why)
{
	*play = (struct wplay){ .log = log, .split = split };
	play->base_fd = open(base, O_RDWR | O_DIRECT | O_CLOEXEC);
	play->pending = calloc(log->n + 1, sizeof(*play->pending));
	if (!play->pending)
		abort();
	return play->base_fd >= 0 ? 0 : model_fail(why, "cannot open '%s'", base);
}

void wplay_end(struct wplay *play)
{
	sm_close_fd(play->base_fd);
	free(play->pending);
	*play = (struct wplay){ .base_fd = -1 };
}

/* Each sector by itself, for some; else one half of the whole. */
static int tear(const struct wplay *play, const struct wlog_entry *x, int fd, uint64_t *random,
		struct model_why *why)
{
	uint64_t sectors = x->len / SM_SECTOR, half, bits = model_random(random);
	int r = 0;

	if (sectors < 2)
		return 0;
	half = (1 + model_random(random) % (sectors - 1)) * SM_SECTOR;
	switch (bits % 4) {
	case 0:
		return apply(play, x, fd, 0, half, why);
	case 1:
		return apply(play, x, fd, half, x->len - half, why);
	default:
		for (uint64_t i = 0; i < sectors && r == 0; i++)
			if (model_random(random) % 2)
				r = apply(play, x, fd, i * SM_SECTOR, SM_SECTOR, why);
		return r;
	}
}

int wplay_power_cut(const struct wplay *play, int fd, enum wplay_how how, uint64_t *random,
		    struct model_why *why)
{
	int r = 0;

	for (size_t i = 0; i < play->n_pending && how != WPLAY_NOTHING && r == 0; i++) {
		const struct wlog_entry *x = &play->log->v[play->pending[i]];
		uint64_t luck = how == WPLAY_ALL ? 0 : model_random(random) % 3;

		if (luck == 0)
			r = apply(play, x, fd, 0, x->len, why);
		else if (luck == 1)
			r = tear(play, x, fd, random, why);
	}
	return r;
}
