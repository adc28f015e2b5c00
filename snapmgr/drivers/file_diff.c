/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where two files may differ: where the filesystem does not say that both have their bytes in the same
 * place. One that does not say where bytes lie at all says at least where there are any.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "snapmgr/drivers/file.h"

#define AT_ONCE 128u

struct stretch { /* of a file; what lies between two of them reads as zero */
	uint64_t at, len;
	uint64_t place; /* SM_NOWHERE: not to be compared with another's */
};
struct layout { /* owned */
	struct stretch *v;
	size_t n, room;
};

static void auto_layout_free(struct layout *l)
{
	free(l->v);
}

static int add(struct layout *l, uint64_t at, uint64_t len, uint64_t place, struct snapmgr_err *err)
{
	if (l->n == l->room) {
		const size_t room = l->room ? 2 * l->room : 64;
		struct stretch *more = reallocarray(l->v, room, sizeof(*more));

		if (!more)
			return sm_nomem(err);
		l->v = more;
		l->room = room;
	}
	l->v[l->n++] = (struct stretch){ at, len, place };
	return 0;
}

/* ---- by FIEMAP ---- */

/* Parts of a compressed extent have the place of the whole. */
#define PLACELESS                                                                 \
	(FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_ENCODED | \
	 FIEMAP_EXTENT_NOT_ALIGNED | FIEMAP_EXTENT_DATA_INLINE | FIEMAP_EXTENT_DATA_TAIL)

static int add_mapped(struct layout *l, const struct fiemap *map, uint64_t *at, bool *last,
		      struct snapmgr_err *err)
{
	int r = 0;

	*last = map->fm_mapped_extents == 0;
	for (uint32_t i = 0; i < map->fm_mapped_extents && r == 0; i++) {
		const struct fiemap_extent *e = &map->fm_extents[i];

		*at = e->fe_logical + e->fe_length;
		*last |= (e->fe_flags & FIEMAP_EXTENT_LAST) != 0;
		if (!(e->fe_flags & FIEMAP_EXTENT_UNWRITTEN))
			r = add(l, e->fe_logical, e->fe_length,
				e->fe_flags & PLACELESS ? SM_NOWHERE : e->fe_physical, err);
	}
	return r;
}

/* Return: 1 where the filesystem does not tell. */
static int load_places(int fd, const char *path, struct layout *l, struct snapmgr_err *err)
{
	AUTO(free)
	struct fiemap *map = calloc(1, sizeof(*map) + AT_ONCE * sizeof(map->fm_extents[0]));
	uint64_t at = 0;
	bool last = false;
	int r = map ? 0 : sm_nomem(err);

	while (r == 0 && !last) {
		*map = (struct fiemap){ .fm_start = at,
					.fm_length = FIEMAP_MAX_OFFSET - at,
					.fm_flags = at ? 0 : FIEMAP_FLAG_SYNC,
					.fm_extent_count = AT_ONCE };
		if (SM_STEP("file.extents", ioctl(fd, FS_IOC_FIEMAP, map)) < 0)
			return at == 0 && (errno == EOPNOTSUPP || errno == ENOTTY) ?
				       1 :
				       file_failed(err, errno, "look at the extents of", path);
		r = add_mapped(l, map, &at, &last, err);
	}
	return r;
}

/* ---- by SEEK_DATA ---- */

static int load_data(int fd, const char *path, struct layout *l, struct snapmgr_err *err)
{
	off_t from, to = 0;
	int r = 0;

	while (r == 0) {
		from = lseek(fd, to, SEEK_DATA);
		if (from < 0 && errno == ENXIO)
			return 0;
		to = from < 0 ? -1 : lseek(fd, from, SEEK_HOLE);
		if (to < 0)
			return file_failed(err, errno, "look for data in", path);
		r = add(l, (uint64_t)from, (uint64_t)(to - from), SM_NOWHERE, err);
	}
	return r;
}

static int load(const struct sm_backend *b, const struct sm_vdev *v, struct layout *l,
		struct snapmgr_err *err)
{
	char path[FILE_PATH];
	AUTO(sm_close_fd) int fd = -1;
	int r;

	file_path(b, v, path);
	r = fd = file_open(path, O_RDONLY, err);
	if (r >= 0)
		r = load_places(fd, path, l, err);
	return r == 1 ? load_data(fd, path, l, err) : r;
}

/* ---- the two beside each other ---- */

struct cursor {
	const struct layout *l;
	size_t i;
};

/* What lies at @at, or NULL; *end: for how long that is so. */
static const struct stretch *look(struct cursor *c, uint64_t at, uint64_t *end)
{
	const struct stretch *s;

	while (c->i < c->l->n && c->l->v[c->i].at + c->l->v[c->i].len <= at)
		c->i++;
	s = c->i < c->l->n ? &c->l->v[c->i] : NULL;
	if (s && s->at > at) {
		*end = *end < s->at ? *end : s->at;
		return NULL;
	}
	if (s && *end > s->at + s->len)
		*end = s->at + s->len;
	return s;
}

static uint64_t place_at(const struct stretch *s, uint64_t at)
{
	return s && s->place != SM_NOWHERE ? s->place + (at - s->at) : SM_NOWHERE;
}

static int put_together(const struct layout *left, const struct layout *right, uint64_t left_bytes,
			uint64_t right_bytes, struct sm_diff *diff, struct snapmgr_err *err)
{
	const uint64_t most = left_bytes > right_bytes ? left_bytes : right_bytes;
	struct cursor a = { left, 0 }, b = { right, 0 };
	int r = 0;

	for (uint64_t at = 0, end; at < most && r == 0; at = end) {
		const struct stretch *l, *s;

		end = most;
		l = look(&a, at, &end);
		s = look(&b, at, &end);
		if (l || s)
			r = sm_diff_add(diff,
					(struct sm_diff_extent){ at, end - at, l ? at : SM_NOWHERE,
								 s ? at : SM_NOWHERE },
					l && s && place_at(l, at) != SM_NOWHERE &&
						place_at(l, at) == place_at(s, at),
					left_bytes, right_bytes, err);
	}
	return r;
}

int file_diff(const struct sm_backend *b, const struct sm_vdev *left, const struct sm_vdev *right,
	      struct sm_diff *ret, struct snapmgr_err *err)
{
	AUTO(sm_diff_release) struct sm_diff diff = { 0 };
	AUTO(layout_free) struct layout of_left = { 0 };
	AUTO(layout_free) struct layout of_right = { 0 };
	int r = load(b, left, &of_left, err);

	if (r == 0)
		r = load(b, right, &of_right, err);
	if (r == 0)
		r = put_together(&of_left, &of_right, left->size_bytes, right->size_bytes, &diff,
				 err);
	if (r < 0)
		return r;
	*ret = diff;
	diff = (struct sm_diff){ 0 };
	return 0;
}
