/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the page cache holds of a block device.
 *
 * Linux 6.5 says it (cachestat). Before, a direct write that must not wait says it: with RWF_NOWAIT the
 * kernel first looks whether any page of the range is cached, in whatever state, and gives up with EAGAIN
 * if so; if not, it looks at the alignment next, and ours is wrong (EINVAL). Nothing can be written: the
 * place is odd, and the addresses that it would be written from have no memory (EFAULT, should the kernel
 * want to go through the page cache after all).
 *
 * It needs a descriptor for writing, whose end udev would take for a change of the contents where it
 * watches the node. So the node is one of our own, gone before anybody can look at it.
 */
#include "dm/cached.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#define BLIND_BYTES (8 * SM_GIB)   /* of a device that the kernel tells nothing of: 6 ms each GiB */
#define SLICE_BYTES (256 * SM_MIB) /* for one mincore() there */
#define LEAF_BYTES  SM_MIB	   /* and where it is known that there is something */
#define WRITE_BYTES UINT64_C(0x7ffff000) /* the longest one there is: Linux' MAX_RW_COUNT */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

static enum sdm_cached count(int fd, uint64_t at_bytes, uint64_t len_bytes)
{
	uint64_t range[2] = { at_bytes, len_bytes }, cached[5];

	if (syscall(SYS_cachestat, fd, range, cached, 0) < 0)
		return SDM_CACHED_UNKNOWN;
	return cached[0] ? SDM_CACHED_SOMETHING : SDM_CACHED_NOTHING;
}

/* ---- the write that fails ---- */

static int open_for_writing(dev_t dev)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/dev/.snapmgr-%u:%u", major(dev), minor(dev));
	(void)SM_STEP("cache.unlink", unlink(path)); /* of one who died here */
	if (SM_STEP("cache.mknod", mknod(path, S_IFBLK | 0600, dev)) < 0)
		return -1;
	fd = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	(void)SM_STEP("cache.unlink", unlink(path));
	return fd;
}

static void prepare_writes(struct sdm_cached_look *l)
{
	struct stat st;
	void *at;

	if (fstat(l->fd, &st) < 0 || !S_ISBLK(st.st_mode))
		return;
	at = mmap(NULL, WRITE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return;
	l->forbidden = at;
	l->writing_fd = open_for_writing(st.st_rdev);
}

/* All of @len but its first byte: the pages are the same, and the place is odd. */
static enum sdm_cached try_to_write(const struct sdm_cached_look *l, uint64_t at, uint64_t len)
{
	const struct iovec all = { l->forbidden, (size_t)len - 1 };

	if (SM_STEP("cache.ask", pwritev2(l->writing_fd, &all, 1, (off_t)at + 1, RWF_NOWAIT)) >= 0)
		return SDM_CACHED_UNKNOWN;
	switch (errno) {
	case EINVAL:
		return SDM_CACHED_NOTHING;
	case EAGAIN:
	case EFAULT:
		return SDM_CACHED_SOMETHING;
	default:
		return SDM_CACHED_UNKNOWN;
	}
}

static enum sdm_cached try_all(const struct sdm_cached_look *l, uint64_t at, uint64_t len)
{
	const uint64_t end = at + len;
	enum sdm_cached cached = SDM_CACHED_NOTHING;

	for (; at < end && cached == SDM_CACHED_NOTHING; at += WRITE_BYTES)
		cached = try_to_write(l, at, end - at < WRITE_BYTES ? end - at : WRITE_BYTES);
	return cached;
}

static enum sdm_cached any(const struct sdm_cached_look *l, uint64_t at, uint64_t len)
{
	return l->writing_fd >= 0 ? try_all(l, at, len) : count(l->fd, at, len);
}

enum sdm_cached sdm_cached(const struct sdm_cached_look *l)
{
	return any(l, 0, l->len_bytes);
}

/* ---- mincore() ---- */

/* Addresses alone: nothing is read, also where all memory of the process is locked. */
static void map_device(struct sdm_cached_look *l)
{
	const bool blind = sdm_cached(l) == SDM_CACHED_UNKNOWN;
	void *at;

	if (l->len_bytes > (blind ? BLIND_BYTES : SIZE_MAX / 2))
		return;
	l->n_slice = (blind ? SLICE_BYTES : LEAF_BYTES) / l->page_bytes;
	l->slice = malloc(l->n_slice);
	if (!l->slice)
		return;
	memset(l->slice, 1, l->n_slice); /* there when it is needed */
	at = mmap(NULL, (size_t)l->len_bytes, PROT_NONE, MAP_SHARED, l->fd, 0);
	if (at != MAP_FAILED)
		l->mapped = at;
}

static enum sdm_cached resident(const struct sdm_cached_look *l, uint64_t at, uint64_t len)
{
	const size_t n = (size_t)((len + l->page_bytes - 1) / l->page_bytes);

	if (mincore((void *)(uintptr_t)(l->mapped + at), (size_t)len, l->slice) < 0)
		return SDM_CACHED_UNKNOWN;
	return memchr(l->slice, 1, n) ? SDM_CACHED_SOMETHING : SDM_CACHED_NOTHING;
}

/* In halves, as far as there is something in them. */
static enum sdm_cached find(const struct sdm_cached_look *l, uint64_t at, uint64_t len)
{
	const uint64_t half = len / 2 / l->page_bytes * l->page_bytes;
	enum sdm_cached cached = any(l, at, len);

	if (cached == SDM_CACHED_NOTHING)
		return cached;
	if (len <= l->n_slice * l->page_bytes)
		return resident(l, at, len);
	cached = find(l, at, half);
	return cached == SDM_CACHED_NOTHING ? find(l, at + half, len - half) : cached;
}

enum sdm_cached sdm_cached_complete(const struct sdm_cached_look *l)
{
	return l->mapped ? find(l, 0, l->len_bytes) : SDM_CACHED_UNKNOWN;
}

/* ---- */

void sdm_cached_open(int fd, struct sdm_cached_look *ret)
{
	*ret = (struct sdm_cached_look){ .fd = fd, .writing_fd = -1 };
	ret->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	if (ioctl(fd, BLKGETSIZE64, &ret->len_bytes) < 0 || ret->len_bytes < ret->page_bytes)
		return;
	if (count(fd, 0, ret->len_bytes) == SDM_CACHED_UNKNOWN)
		prepare_writes(ret);
	map_device(ret);
}

void sdm_cached_close(struct sdm_cached_look *l)
{
	if (l->mapped)
		(void)munmap((void *)(uintptr_t)l->mapped, (size_t)l->len_bytes);
	if (l->forbidden)
		(void)munmap(l->forbidden, WRITE_BYTES);
	sm_close_fd(l->writing_fd);
	free(l->slice);
	*l = (struct sdm_cached_look){ .fd = -1, .writing_fd = -1 };
}
