/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What there is to copy: extents from an array, from a file's own holes, merged and cut to size. */
#include <errno.h>
#include <inttypes.h>

#include "io/walk.h"

static int list_next(struct sio_map *map, struct sio_extent *ret, struct snapmgr_err *err)
{
	struct sio_list *list = (struct sio_list *)map;

	(void)err;
	if (list->i >= list->n)
		return 0;
	*ret = list->extents[list->i++];
	return 1;
}

static void list_rewind(struct sio_map *map)
{
	((struct sio_list *)map)->i = 0;
}

void sio_list(struct sio_list *ret, const struct sio_extent *extents, size_t n)
{
	*ret = (struct sio_list){ { list_next, list_rewind, 0 }, extents, n, 0 };
	for (size_t i = 0; i < n; i++)
		if (extents[i].kind == SIO_DATA)
			ret->map.data_bytes += extents[i].len;
}

/* ---- a file ---- */

static void file_rewind(struct sio_map *map)
{
	((struct sio_file_map *)map)->at = 0;
}

/* Where the kind of what is at @at ends, behind @at and not behind the end. */
static uint64_t kind_ends(struct sio_file_map *f, uint64_t at, enum sio_kind *ret_kind)
{
	const uint64_t pos = f->side.offset + at, limit = f->side.offset + f->inside;
	off_t found;

	*ret_kind = SIO_DATA;
	if (f->plain)
		return f->inside;
	found = lseek(f->side.fd, (off_t)pos, SEEK_DATA);
	if (found < 0 && errno == ENXIO) {
		*ret_kind = SIO_HOLE;
		return f->inside;
	}
	if (found > (off_t)pos) {
		*ret_kind = SIO_HOLE;
		return ((uint64_t)found < limit ? (uint64_t)found : limit) - f->side.offset;
	}
	found = found < 0 ? -1 : lseek(f->side.fd, (off_t)pos, SEEK_HOLE);
	if (found <= (off_t)pos || (uint64_t)found >= limit)
		return f->inside;
	return (uint64_t)found - f->side.offset;
}

static int file_next(struct sio_map *map, struct sio_extent *ret, struct snapmgr_err *err)
{
	struct sio_file_map *f = (struct sio_file_map *)map;
	uint64_t ends = f->len;
	enum sio_kind kind = SIO_HOLE;

	(void)err;
	if (f->at >= f->len)
		return 0;
	if (f->at < f->inside)
		ends = kind_ends(f, f->at, &kind);
	*ret = (struct sio_extent){ f->at, ends - f->at, kind };
	f->at = ends;
	return 1;
}

/* A file says what it takes on disk, which is near to its data. */
static uint64_t data_bytes(const struct sio_file_map *f)
{
	struct stat st;
	uint64_t bytes;

	if (f->plain || fstat(f->side.fd, &st) < 0)
		return f->inside;
	bytes = (uint64_t)st.st_blocks * SM_SECTOR;
	return bytes < f->inside ? bytes : f->inside;
}

int sio_file_map(const struct sio_side *side, uint64_t len, struct sio_file_map *ret,
		 struct snapmgr_err *err)
{
	struct sio_file_map f = { .map = { file_next, file_rewind, 0 }, .side = *side };
	uint64_t size;
	struct stat st;
	int r = sio_size(side, &size, err);

	if (r < 0)
		return r;
	size = size > side->offset ? size - side->offset : 0;
	f.len = len == UINT64_MAX ? size : len;
	f.inside = size < f.len ? size : f.len;
	f.plain = fstat(side->fd, &st) < 0 || !S_ISREG(st.st_mode) ||
		  (lseek(side->fd, 0, SEEK_DATA) < 0 && errno != ENXIO);
	f.map.data_bytes = data_bytes(&f);
	*ret = f;
	return 0;
}

/* ---- merged, cut, and held to the rules ---- */

void sio_walk_start(struct sio_walk *w, struct sio_map *map, uint64_t from, uint64_t to)
{
	*w = (struct sio_walk){ .map = map, .from = from, .to = to };
}

/* The next one as the map has it; none that is empty. */
static int fetch(struct sio_walk *w, struct sio_extent *ret, struct snapmgr_err *err)
{
	int r;

	do {
		r = w->map->next(w->map, ret, err);
		if (r <= 0)
			return r;
		if (ret->at < w->seen_to || ret->len > (uint64_t)INT64_MAX ||
		    ret->at > (uint64_t)INT64_MAX - ret->len)
			return sm_fail(err, SNAPMGR_INTERNAL, EINVAL,
				       "the extent of %" PRIu64 " bytes at %" PRIu64
				       " is out of order or out of range",
				       ret->len, ret->at);
		w->seen_to = ret->at + ret->len;
	} while (!ret->len);
	return 1;
}

static int fetch_merged(struct sio_walk *w, struct sio_extent *ret, struct snapmgr_err *err)
{
	int r = w->has_ahead ? 1 : fetch(w, &w->ahead, err);

	w->has_ahead = false;
	if (r <= 0)
		return r;
	*ret = w->ahead;
	while ((r = fetch(w, &w->ahead, err)) == 1 && w->ahead.kind == ret->kind &&
	       w->ahead.at == ret->at + ret->len)
		ret->len += w->ahead.len;
	if (r < 0)
		return r;
	w->has_ahead = r == 1;
	return 1;
}

int sio_walk_next(struct sio_walk *w, struct sio_extent *ret, struct snapmgr_err *err)
{
	int r;

	do {
		uint64_t ends;

		if (w->ended)
			return 0;
		r = fetch_merged(w, ret, err);
		w->ended = r == 0;
		if (r <= 0)
			return r;
		ends = ret->at + ret->len < w->to ? ret->at + ret->len : w->to;
		if (ret->kind == SIO_DATA && ret->at < w->from)
			w->skipped_bytes += (ends < w->from ? ends : w->from) - ret->at;
		ret->at = ret->at > w->from ? ret->at : w->from;
		ret->len = ends > ret->at ? ends - ret->at : 0;
	} while (!ret->len);
	return 1;
}

int sio_extents(struct sio_map *map, sio_extent_fn *visit, void *data, struct snapmgr_err *err)
{
	struct sio_extent extent;
	struct sio_walk w;
	int r;

	sio_walk_start(&w, map, 0, UINT64_MAX);
	while ((r = sio_walk_next(&w, &extent, err)) == 1)
		if ((r = visit(&extent, data)))
			return r;
	return r;
}
