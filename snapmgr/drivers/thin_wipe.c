/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a thin id holds behind its end, since it was larger once: gone before anybody sees it again.
 *
 * The kernel drops chunks by discards alone, and only those of a device that reaches so far. So the id is
 * mapped once more, at that length, under a name of the pool's own; the kernel allows it beside the volume.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "failpoint.h"
#include "snapmgr/drivers/thin.h"

#define STEP_BYTES  SM_GIB /* of one discard: the pool is locked while it lasts */
#define PIECE_BYTES (64 * SM_KIB)

static uint64_t round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

/* The whole of the tail, under the pool's name for it; what a dead process left of that goes first. */
static int map_tail(struct sm_backend *b, uint32_t id, uint64_t bytes, struct snapmgr_err *err)
{
	const struct sdm_device *dm = &b->roles[SM_ROLE_TAIL];
	struct sdm_target target;
	char dev[32];
	int r = thin_find_pool(b, err);

	if (r == 0)
		r = sdm_remove(dm, NULL, err);
	if (r < 0)
		return r;
	(void)snprintf(dev, sizeof(dev), "%u:%u", major(b->pool_dev), minor(b->pool_dev));
	sdm_thin_target(dev, id, bytes / SM_SECTOR, &target);
	return sdm_create(dm, &target, 1, NULL, err);
}

static int failed(const struct sm_backend *b, int e, struct snapmgr_err *err)
{
	return sm_fail(err, SNAPMGR_IO, e,
		       "cannot wipe what lies behind the end, from when it was larger (pool '%s')",
		       b->name);
}

/* The rest of a chunk that is in use: zeroes where there is something else. */
static int zero(const struct sm_backend *b, int fd, uint64_t at, uint64_t end,
		struct snapmgr_err *err)
{
	AUTO(free) char *found = aligned_alloc(4096, PIECE_BYTES);
	AUTO(free) char *zeroes = aligned_alloc(4096, PIECE_BYTES);

	if (!found || !zeroes)
		return sm_nomem(err);
	memset(zeroes, 0, PIECE_BYTES);
	for (size_t n; at < end; at += n) {
		n = end - at < PIECE_BYTES ? (size_t)(end - at) : PIECE_BYTES;
		if (pread(fd, found, n, (off_t)at) != (ssize_t)n)
			return failed(b, errno, err);
		if (memcmp(found, zeroes, n) != 0 &&
		    SM_STEP("tail.zero", pwrite(fd, zeroes, n, (off_t)at)) != (ssize_t)n)
			return failed(b, errno, err);
	}
	return 0;
}

/* Return: 1 where time was up. */
static int discard(const struct sm_backend *b, int fd, uint64_t at, uint64_t end, uint64_t until_ns,
		   struct snapmgr_err *err)
{
	for (uint64_t n; at < end; at += n) {
		n = end - at < STEP_BYTES ? end - at : STEP_BYTES;
		if (SM_STEP("tail.discard", ioctl(fd, BLKDISCARD, (uint64_t[2]){ at, n })) < 0)
			return failed(b, errno, err);
		if (until_ns && sm_monotonic_ns() >= until_ns)
			return 1;
	}
	/* Before anybody can see a longer device: a crash shall not bring it back. */
	return SM_STEP("tail.flush", fdatasync(fd)) < 0 ? failed(b, errno, err) : 0;
}

static int wipe_mapped(const struct sm_backend *b, uint64_t from, uint64_t end, uint64_t until_ns,
		       struct snapmgr_err *err)
{
	const uint64_t whole = round_up(from, (uint64_t)b->chunk_sectors * SM_SECTOR);
	struct sdm_info info;
	int r = sdm_info(b->roles[SM_ROLE_TAIL].name, &info, err);
	AUTO(sm_close_fd) int fd = r < 0 ? -1 : sm_node_open(&info, O_RDWR | O_DIRECT, err);

	if (r < 0 || fd < 0)
		return r < 0 ? r : fd;
	r = zero(b, fd, from, whole, err);
	return r == 0 ? discard(b, fd, whole, end, until_ns, err) : r;
}

int thin_wipe(struct sm_backend *b, const struct sm_vdev *v, uint64_t from_bytes, uint64_t to_bytes,
	      uint64_t until_ns, struct snapmgr_err *err)
{
	const uint64_t end = round_up(to_bytes, (uint64_t)b->chunk_sectors * SM_SECTOR);
	const struct sdm_device *tail = &b->roles[SM_ROLE_TAIL];
	uint64_t used;
	int r = *v->dm.name ? sdm_thin_mapped_end(v->dm.name, &used, err) : -ENOENT;

	if (r == 0 && used * SM_SECTOR <= from_bytes) /* as ever */
		return 0;
	if (r < 0 && r != -ENOENT)
		return r;
	r = map_tail(b, v->id, end, err);
	if (r < 0)
		return r;
	r = sdm_thin_mapped_end(tail->name, &used, err);
	if (r == 0 && used * SM_SECTOR > from_bytes)
		r = wipe_mapped(b, from_bytes, end, until_ns, err);
	if (sdm_remove(tail, NULL, r < 0 ? NULL : err) < 0 && r >= 0)
		r = -EBUSY;
	return r;
}
