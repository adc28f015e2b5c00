/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where two of a volume differ: in chunks that the store of one of them keeps. A chunk that no store has
 * was not written to since, so that both read it from the volume. Which chunks a store has stands in its
 * exception table on the disk, where the kernel writes it before the write that made it necessary is
 * answered (dm-snap-persistent.c): a header in the first chunk, then chunks full of entries, each followed by
 * those that it speaks of.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "io/sio.h"
#include "snapmgr/drivers/cow.h"

#define MAGIC  0x70416e53u /* "SnAp" */
#define DIRECT 4096u

struct entry {
	uint64_t old_chunk, new_chunk; /* little endian; a new_chunk of 0 is behind the last */
};

struct table {
	const struct sm_backend *b;
	const char *name;
	int fd;
	uint64_t chunk_bytes, n_chunks; /* of the volume, the longer of two */
	uint64_t store_bytes;
	char *room;    /* a chunk */
	uint8_t *kept; /* a bit each: some store has it */
};

static int read_chunk(const struct table *t, uint64_t chunk, struct snapmgr_err *err)
{
	const ssize_t n = pread(t->fd, t->room, t->chunk_bytes, (off_t)(chunk * t->chunk_bytes));

	if (n == (ssize_t)t->chunk_bytes)
		return 0;
	return sm_fail(err, SNAPMGR_IO, n < 0 ? errno : EIO, "cannot read the table in '%s'",
		       t->name);
}

/* Return: 1 where it has entries to be read, 0 where it is new. */
static int check_header(const struct table *t, struct snapmgr_err *err)
{
	uint32_t header[4]; /* magic, valid, version, sectors of a chunk */
	int r = read_chunk(t, 0, err);

	if (r < 0)
		return r;
	memcpy(header, t->room, sizeof(header));
	if (!header[0])
		return 0;
	if (le32toh(header[0]) != MAGIC || le32toh(header[3]) * SM_SECTOR != t->chunk_bytes)
		return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN, "'%s' is no store of this pool",
			       t->name);
	if (!header[1])
		return sm_fail(err, SNAPMGR_BAD_STATE, EIO,
			       "the store '%s' was full when something had to be kept in it: what "
			       "it held is lost",
			       t->name);
	return 1;
}

/* Return: 1 where more follow. */
static int read_entries(const struct table *t, struct snapmgr_err *err)
{
	for (uint64_t i = 0; i < t->chunk_bytes / sizeof(struct entry); i++) {
		struct entry e;
		uint64_t chunk;

		memcpy(&e, t->room + i * sizeof(e), sizeof(e));
		if (!e.new_chunk)
			return 0;
		chunk = le64toh(e.old_chunk);
		if (chunk >= t->n_chunks)
			return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN,
				       "the table in '%s' has a chunk behind the end of its volume",
				       t->name);
		t->kept[chunk / 8] |= (uint8_t)(1u << chunk % 8);
	}
	return 1;
}

static int read_table(const struct table *t, struct snapmgr_err *err)
{
	const uint64_t step = 1 + t->chunk_bytes / sizeof(struct entry);
	int r = check_header(t, err);

	for (uint64_t at = 1; r > 0 && (at + 1) * t->chunk_bytes <= t->store_bytes; at += step) {
		r = read_chunk(t, at, err);
		if (r == 0)
			r = read_entries(t, err);
	}
	return r < 0 ? r : 0;
}

static int add_store(struct table *t, uint32_t id, struct snapmgr_err *err)
{
	struct sio_side side = { .name = "a store" };
	struct sdm_device dm;
	struct sdm_info info;
	int r;

	cow_device(t->b, id, COW_PLACE, &dm);
	r = sdm_info(dm.name, &info, err);
	if (r == 0)
		r = side.fd = t->fd = sm_node_open(&info, O_RDONLY | O_DIRECT, err);
	if (r < 0)
		return r;
	t->name = dm.name;
	r = sio_size(&side, &t->store_bytes, err);
	if (r == 0)
		r = read_table(t, err);
	sm_close_fd(t->fd);
	return r;
}

static bool is_kept(const struct table *t, uint64_t chunk)
{
	return t->kept[chunk / 8] >> chunk % 8 & 1;
}

static int tell(const struct table *t, uint64_t left_bytes, uint64_t right_bytes,
		struct sm_diff *diff, struct snapmgr_err *err)
{
	int r = 0;

	for (uint64_t i = 0; i < t->n_chunks && r == 0; i++) {
		const uint64_t at = i * t->chunk_bytes;

		r = sm_diff_add(diff, (struct sm_diff_extent){ at, t->chunk_bytes, at, at },
				!is_kept(t, i), left_bytes, right_bytes, err);
	}
	return r;
}

static int compare(struct table *t, const struct sm_vdev *left, const struct sm_vdev *right,
		   struct sm_diff *diff, struct snapmgr_err *err)
{
	int r = 0;

	if (strcmp(left->volume, right->volume) != 0) /* they have nothing in common */
		memset(t->kept, 0xff, t->n_chunks / 8 + 1);
	else if (left->of_store)
		r = add_store(t, left->id, err);
	if (r == 0 && right->of_store && strcmp(left->volume, right->volume) == 0)
		r = add_store(t, right->id, err);
	return r == 0 ? tell(t, left->size_bytes, right->size_bytes, diff, err) : r;
}

int cow_diff(const struct sm_backend *b, const struct sm_vdev *left, const struct sm_vdev *right,
	     struct sm_diff *ret, struct snapmgr_err *err)
{
	const uint64_t most = left->size_bytes > right->size_bytes ? left->size_bytes :
								     right->size_bytes;
	const uint64_t chunk = b->chunk_sectors * SM_SECTOR;
	AUTO(sm_diff_release) struct sm_diff diff = { 0 };
	AUTO(free) uint8_t *kept = calloc(1, most / chunk / 8 + 2);
	AUTO(free) void *room = NULL;
	struct table t = {
		.b = b, .chunk_bytes = chunk, .n_chunks = (most + chunk - 1) / chunk, .kept = kept
	};
	int r = kept && posix_memalign(&room, DIRECT, chunk) == 0 ? 0 : sm_nomem(err);

	t.room = room;
	if (r == 0)
		r = compare(&t, left, right, &diff, err);
	if (r < 0)
		return r;
	*ret = diff;
	diff = (struct sm_diff){ 0 };
	return 0;
}

/* Of a store there is no more to open than the device that shows it, which the core maps. */
int cow_diff_open(const struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err)
{
	struct sdm_device dm;
	struct sdm_info info;
	int r;

	cow_device(b, v->id, COW_PLACE, &dm);
	r = sdm_info(dm.name, &info, err);
	return r < 0 ? r : sm_node_open(&info, O_RDONLY | O_DIRECT, err);
}
