/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making a range zero, by the cheapest way that a file or device has. A way that was refused is not
 * tried again. Devices are asked for whole pages only: the rags go through the page cache, where what
 * else is in their pages may be.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "io/end.h"

/* What is done between two looks at whether to stop. */
#define GIVEN_BACK_BYTES SM_GIB
#define WRITTEN_BYTES	 (32 * SM_MIB)
#define BUFFER_BYTES	 (64 * SM_KIB)

enum way { DISCARD, PUNCH, ZERO_RANGE, WRITE, WAYS };

bool sio_is_zero(const void *data, size_t len)
{
	const char *bytes = data;

	if (!len)
		return true;
	/* Each byte is the one before it, and the first is zero. */
	return !bytes[0] && !memcmp(bytes, bytes + 1, len - 1);
}

static uint64_t read_number(const char *path)
{
	AUTO(sm_close_file) FILE *f = fopen(path, "re");
	uint64_t n;

	return f && fscanf(f, "%" SCNu64, &n) == 1 ? n : 0;
}

/* A partition has no queue of its own. One that is not aligned gets nothing discarded. */
static uint64_t granularity_of(const struct sio_end *end)
{
	char path[96];
	struct stat st;
	uint64_t bytes;

	if (fstat(end->fd, &st) < 0)
		return 0;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/discard_alignment",
		       major(st.st_rdev), minor(st.st_rdev));
	if (read_number(path))
		return 0;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/queue/discard_granularity",
		       major(st.st_rdev), minor(st.st_rdev));
	bytes = read_number(path);
	if (bytes)
		return bytes;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../queue/discard_granularity",
		       major(st.st_rdev), minor(st.st_rdev));
	return read_number(path);
}

static uint64_t discard_bytes(struct sio_end *end)
{
	if (!end->discard_asked)
		end->discard_bytes = granularity_of(end);
	end->discard_asked = true;
	return end->discard_bytes;
}

static int write_zeroes(struct sio_end *end, uint64_t at, uint64_t len)
{
	static char zeroes[BUFFER_BYTES]; /* stays so */
	int r = 0;

	while (len && r == 0) {
		uint64_t n = len < BUFFER_BYTES ? len : BUFFER_BYTES;

		r = sio_end_plain(end, true, zeroes, at, n, NULL);
		at += n;
		len -= n;
	}
	return r;
}

static int zero_by(struct sio_end *end, enum way way, uint64_t at, uint64_t len)
{
	uint64_t range[2] = { at, len };
	int r = 0;

	if (way == DISCARD)
		r = SM_STEP("io.discard", ioctl(end->fd, BLKDISCARD, range));
	else if (way == PUNCH)
		r = SM_STEP("io.punch",
			    fallocate(end->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      (off_t)at, (off_t)len));
	else if (way == ZERO_RANGE && end->device)
		r = SM_STEP("io.zeroout", ioctl(end->fd, BLKZEROOUT, range));
	else if (way == ZERO_RANGE)
		r = SM_STEP("io.zero_range",
			    fallocate(end->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
				      (off_t)at, (off_t)len));
	else
		return write_zeroes(end, at, len);
	return r < 0 ? -errno : 0;
}

static bool refused(int r)
{
	return r == -EOPNOTSUPP || r == -ENOTTY || r == -ENOSYS || r == -EINVAL;
}

/* One range by one way, bit by bit. *@done says how far it came. */
static int zero_bits(struct sio_end *end, enum way way, uint64_t at, uint64_t len, uint64_t *done,
		     sio_tick_fn *tick, void *data)
{
	const uint64_t bit = way == DISCARD || way == PUNCH ? GIVEN_BACK_BYTES : WRITTEN_BYTES;

	for (*done = 0; *done < len;) {
		uint64_t n = len - *done < bit ? len - *done : bit;
		int r = zero_by(end, way, at + *done, n);

		if (r == -EINTR)
			continue;
		if (r < 0)
			return r;
		*done += n;
		if (tick && tick(data))
			return -ECANCELED;
	}
	return 0;
}

/* By the first way that works, of those from @way on. */
static int zero_range(struct sio_end *end, enum way way, uint64_t at, uint64_t len,
		      sio_tick_fn *tick, void *data, struct snapmgr_err *err)
{
	int r = 0;

	for (; way < WAYS && len; way++) {
		uint64_t done = 0;

		if (end->zero_refused & 1u << way)
			continue;
		r = zero_bits(end, way, at, len, &done, tick, data);
		at += done;
		len -= done;
		if (r == 0 || !refused(r) || way == WRITE)
			break;
		end->zero_refused |= 1u << way;
	}
	if (r == -ECANCELED)
		return r;
	return r < 0 ? sio_end_fail(end, "zero", at, len, -r, err) : 0;
}

/* What of the range is whole units; its rags are written. */
static int zero_units(struct sio_end *end, uint64_t at, uint64_t len, uint64_t unit, enum way way,
		      enum way rags, sio_tick_fn *tick, void *data, struct snapmgr_err *err)
{
	uint64_t from = (at + unit - 1) / unit * unit, to = (at + len) / unit * unit;
	int r;

	if (from >= to)
		return zero_range(end, rags, at, len, tick, data, err);
	r = zero_range(end, rags, at, from - at, tick, data, err);
	if (r == 0)
		r = zero_range(end, way, from, to - from, tick, data, err);
	if (r == 0)
		r = zero_range(end, rags, to, at + len - to, tick, data, err);
	return r;
}

static int zero_device(struct sio_end *end, uint64_t at, uint64_t len, enum sio_holes how,
		       sio_tick_fn *tick, void *data, struct snapmgr_err *err)
{
	const uint64_t page = sio_page_bytes() > end->block_bytes ? sio_page_bytes() :
								    end->block_bytes;
	const uint64_t grain = how == SIO_HOLES_DISCARD ? discard_bytes(end) : 0;
	uint64_t from, to;
	int r;

	if (!grain || end->zero_refused & 1u << DISCARD || grain % page)
		return zero_units(end, at, len, page, PUNCH, WRITE, tick, data, err);
	from = (at + grain - 1) / grain * grain;
	to = (at + len) / grain * grain;
	if (from >= to)
		return zero_units(end, at, len, page, PUNCH, WRITE, tick, data, err);
	r = zero_units(end, at, from - at, page, PUNCH, WRITE, tick, data, err);
	if (r == 0)
		r = zero_range(end, DISCARD, from, to - from, tick, data, err);
	if (r == 0)
		r = zero_units(end, to, at + len - to, page, PUNCH, WRITE, tick, data, err);
	return r;
}

int sio_end_zero(struct sio_end *end, uint64_t at, uint64_t len, enum sio_holes how,
		 sio_tick_fn *tick, void *data, struct snapmgr_err *err)
{
	if (how == SIO_HOLES_SKIP)
		return 0;
	if (!end->device && at >= end->size_bytes)
		return 0;
	if (!end->device && len > end->size_bytes - at)
		len = end->size_bytes - at;
	if (end->device)
		return zero_device(end, at, len, how, tick, data, err);
	return zero_range(end, PUNCH, at, len, tick, data, err);
}

int sio_zero(const struct sio_side *side, uint64_t at, uint64_t len, enum sio_holes how,
	     struct snapmgr_err *err)
{
	AUTO(sio_end_close) struct sio_end end = { 0 };
	int r = sio_end_open(&end, side, err);

	return r < 0 ? r : sio_end_zero(&end, side->offset + at, len, how, NULL, NULL, err);
}
