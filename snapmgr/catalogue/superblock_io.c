/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * superblock_io.c - the two copies of a superblock on a device
 */
#include "snapmgr/catalogue/superblock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ALIGN_BYTES 4096u

static const off_t copy_at[2] = { SSB_COPY_A, SSB_COPY_B };

static int io_error(struct snapmgr_err *err, const char *act, const char *path)
{
	int e = errno;

	if (e == EACCES || e == EPERM)
		return sm_fail(err, SNAPMGR_PERMISSION, e, "cannot %s '%s'", act, path);
	if (e == EBUSY)
		return sm_fail(err, SNAPMGR_IN_USE, e, "cannot %s '%s', somebody uses it", act,
			       path);
	return sm_fail(err, SNAPMGR_IO, e, "cannot %s '%s'", act, path);
}

/* O_DIRECT, so that no cached page of this node goes stale; some files (not devices) refuse it. */
static int open_direct(const char *path, int flags, struct snapmgr_err *err)
{
	int fd = open(path, flags | O_CLOEXEC | O_DIRECT);

	if (fd < 0 && errno == EINVAL)
		fd = open(path, flags | O_CLOEXEC);
	return fd >= 0 ? fd : io_error(err, "open", path);
}

static int alloc_buffer(size_t len, void *ret, struct snapmgr_err *err)
{
	void *p = NULL;

	if (posix_memalign(&p, ALIGN_BYTES, len) != 0)
		return sm_nomem(err);
	memset(p, 0, len);
	memcpy(ret, &p, sizeof(p));
	return 0;
}

/* Return: bytes read, fewer than @len only at the end; or -errno. */
static ssize_t read_at(int fd, unsigned char *buf, size_t len, off_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, buf + done, len - done, at + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
		if (n % 512)
			break; /* the end of a file of odd size: O_DIRECT would refuse the rest */
	}
	return (ssize_t)done;
}

static int write_at(int fd, const char *path, const unsigned char *buf, size_t len, off_t at,
		    struct snapmgr_err *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = SM_STEP("superblock.write",
				    pwrite(fd, buf + done, len - done, at + (off_t)done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n < 0 ? errno : ENOSPC;
			return io_error(err, "write", path);
		}
		done += (size_t)n;
	}
	return 0;
}

static int flush(int fd, const char *path, struct snapmgr_err *err)
{
	return SM_STEP("superblock.flush", fdatasync(fd)) == 0 ? 0 : io_error(err, "flush", path);
}

struct copies {
	struct ssb sb[2];
	int r[2]; /* of each copy: 0, or the errno of ssb_decode() or of reading */
	bool same;
};

static void auto_copies_release(struct copies *c)
{
	ssb_release(&c->sb[0]);
	ssb_release(&c->sb[1]);
}

static int read_copies(int fd, struct copies *c, struct snapmgr_err *errs)
{
	AUTO(free) unsigned char *buf = NULL;
	int r = alloc_buffer(2 * SSB_COPY_BYTES, &buf, &errs[0]);

	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++) {
		unsigned char *copy = buf + (size_t)i * SSB_COPY_BYTES;
		ssize_t n = read_at(fd, copy, SSB_COPY_BYTES, copy_at[i]);

		c->r[i] = n < 0 ? (int)n : ssb_decode(copy, (size_t)n, &c->sb[i], &errs[i]);
	}
	c->same = memcmp(buf, buf + SSB_COPY_BYTES, SSB_COPY_BYTES) == 0;
	return 0;
}

/* The index of the copy to believe, or -1. Of two equals the first. */
static int better_copy(const struct copies *c)
{
	if (c->r[0] < 0)
		return c->r[1] < 0 ? -1 : 1;
	return c->r[1] == 0 && c->sb[1].generation > c->sb[0].generation ? 1 : 0;
}

/* Neither copy can be used: say which kind of bad this is. */
static int no_copy(const char *path, const struct copies *c, const struct snapmgr_err *errs,
		   struct snapmgr_err *err)
{
	for (int i = 0; i < 2; i++)
		if (c->r[i] == -ENOMEM)
			return sm_nomem(err);
	for (int i = 0; i < 2; i++)
		if (c->r[i] == -EUCLEAN)
			return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN,
				       "both copies of the superblock on '%s' are broken (%s)",
				       path, errs[i].message);
	for (int i = 0; i < 2; i++)
		if (c->r[i] != -ENOMSG)
			return sm_fail(err, SNAPMGR_IO, c->r[i], "cannot read '%s'", path);
	return -ENOMSG;
}

int ssb_read(const char *path, struct ssb *ret, struct ssb_health *health, struct snapmgr_err *err)
{
	AUTO(copies_release) struct copies c = { 0 };
	struct snapmgr_err errs[2] = { 0 };
	AUTO(sm_close_fd) int fd = open_direct(path, O_RDONLY, err);
	int r, best;

	if (fd < 0)
		return fd;
	r = read_copies(fd, &c, errs);
	if (r < 0)
		return sm_nomem(err);
	for (int i = 0; i < 2; i++) /* a newer program began to rewrite it: hands off */
		if (c.r[i] == -EPROTONOSUPPORT)
			return sm_fail(err, SNAPMGR_NEWER_VERSION, EPROTONOSUPPORT, "'%s': %s",
				       path, errs[i].message);
	best = better_copy(&c);
	if (best < 0)
		return no_copy(path, &c, errs, err);
	if (health) {
		health->bad_a = best == 1;
		health->bad_b = best == 0 && !c.same;
	}
	*ret = c.sb[best];
	memset(&c.sb[best], 0, sizeof(c.sb[best])); /* handed over */
	return 0;
}

/* First the copy that may be lost, so that one whole copy exists at every moment. */
int ssb_write(const char *path, const struct ssb *sb, struct snapmgr_err *err)
{
	AUTO(copies_release) struct copies c = { 0 };
	struct snapmgr_err errs[2] = { 0 };
	AUTO(free) unsigned char *buf = NULL;
	AUTO(sm_close_fd) int fd = open_direct(path, O_RDWR, err);
	int r, first;

	if (fd < 0)
		return fd;
	r = alloc_buffer(SSB_COPY_BYTES, &buf, err);
	if (r == 0)
		r = ssb_encode(sb, buf, err);
	if (r == 0 && read_copies(fd, &c, errs) < 0)
		r = sm_nomem(err);
	if (r < 0)
		return r;
	first = better_copy(&c) == 0 && !c.same;
	for (int i = 0; r == 0 && i < 2; i++) {
		r = write_at(fd, path, buf, SSB_COPY_BYTES, copy_at[first ^ i], err);
		if (r == 0)
			r = flush(fd, path, err);
	}
	return r;
}

int ssb_format(const char *path, uint64_t size_bytes, struct snapmgr_err *err)
{
	AUTO(free) unsigned char *zeroes = NULL;
	AUTO(sm_close_fd) int fd = -1;
	int r;

	if (size_bytes < SSB_HEADER_BYTES + SSB_TAIL_BYTES)
		return sm_fail(err, SNAPMGR_NO_SPACE, ENOSPC, "'%s' is too small", path);
	fd = open_direct(path, O_RDWR | O_EXCL, err); /* not what was mounted a moment ago */
	if (fd < 0)
		return fd;
	r = alloc_buffer(SSB_HEADER_BYTES, &zeroes, err);
	if (r == 0)
		r = write_at(fd, path, zeroes, SSB_HEADER_BYTES, 0, err);
	if (r == 0)
		r = write_at(fd, path, zeroes, SSB_TAIL_BYTES, (off_t)(size_bytes - SSB_TAIL_BYTES),
			     err);
	if (r == 0)
		r = flush(fd, path, err);
	if (r ==
	    0) /* the kernel forgets the partitions that were there; most devices have no such thing */
		(void)SM_STEP("superblock.reread", ioctl(fd, BLKRRPART));
	return r;
}

int ssb_erase(const char *path, struct snapmgr_err *err)
{
	AUTO(free) unsigned char *zeroes = NULL;
	AUTO(sm_close_fd) int fd = open_direct(path, O_RDWR, err);
	int r;

	if (fd < 0)
		return fd;
	r = alloc_buffer(SSB_COPY_BYTES, &zeroes, err);
	for (int i = 0; r == 0 && i < 2; i++)
		r = write_at(fd, path, zeroes, SSB_COPY_BYTES, copy_at[i], err);
	if (r == 0)
		r = flush(fd, path, err);
	return r;
}
