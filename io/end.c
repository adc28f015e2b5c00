/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One side of a copy: what it is, O_DIRECT on and off, and what is moved without it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "io/end.h"

#define FILE_BLOCK 4096u /* for O_DIRECT on files: of no device below them is it larger */

uint64_t sio_page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

int sio_end_fail(const struct sio_end *end, const char *what, uint64_t at, uint64_t len, int errnum,
		 struct snapmgr_err *err)
{
	enum snapmgr_code code = SNAPMGR_IO;

	if (errnum == ENOSPC || errnum == EDQUOT)
		return sm_fail(err, SNAPMGR_NO_SPACE, errnum,
			       "cannot %s %" PRIu64 " bytes at %" PRIu64 " of '%s': %s", what, len,
			       at, end->name, strerror(errnum));
	if (errnum == EPERM || errnum == EACCES || errnum == EROFS || errnum == EBADF)
		code = SNAPMGR_PERMISSION;
	return sm_fail(err, code, errnum, "cannot %s %" PRIu64 " bytes at %" PRIu64 " of '%s'",
		       what, len, at, end->name);
}

int sio_end_short(const struct sio_end *end, uint64_t at, uint64_t len, struct snapmgr_err *err)
{
	return sm_fail(err, SNAPMGR_IO, ENODATA,
		       "'%s' ended before the %" PRIu64 " bytes at %" PRIu64
		       " (was it made smaller?)",
		       end->name, len, at);
}

static int look(struct sio_end *end, struct snapmgr_err *err)
{
	struct stat st;
	int block = 0;

	if (fstat(end->fd, &st) < 0)
		return sm_fail(err, SNAPMGR_IO, errno, "cannot look at '%s'", end->name);
	end->block_bytes = FILE_BLOCK;
	end->size_bytes = (uint64_t)st.st_size;
	if (S_ISREG(st.st_mode))
		return 0;
	if (!S_ISBLK(st.st_mode))
		return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			       "'%s' is neither a file nor a block device", end->name);
	end->device = true;
	if (ioctl(end->fd, BLKGETSIZE64, &end->size_bytes) < 0 ||
	    ioctl(end->fd, BLKSSZGET, &block) < 0 || block <= 0)
		return sm_fail(err, SNAPMGR_IO, errno, "cannot find out the size of '%s'",
			       end->name);
	end->block_bytes = (uint32_t)block;
	return 0;
}

int sio_size(const struct sio_side *side, uint64_t *ret_bytes, struct snapmgr_err *err)
{
	struct sio_end end = { .fd = side->fd, .name = side->name };
	int r = look(&end, err);

	if (r == 0)
		*ret_bytes = end.size_bytes;
	return r;
}

int sio_end_open(struct sio_end *ret, const struct sio_side *side, struct snapmgr_err *err)
{
	struct sio_end end = { .fd = side->fd, .name = side->name, .offset = side->offset };
	int r = look(&end, err);

	if (r < 0)
		return r;
	end.flags_before = fcntl(end.fd, F_GETFL);
	if (end.flags_before < 0)
		return sm_fail(err, SNAPMGR_IO, errno, "cannot look at '%s'", end.name);
	end.direct = fcntl(end.fd, F_SETFL, end.flags_before | O_DIRECT) == 0;
	if (!end.direct)
		sio_end_indirect(&end);
	*ret = end;
	return 0;
}

void sio_end_close(struct sio_end *end)
{
	if (end->name)
		(void)fcntl(end->fd, F_SETFL, end->flags_before);
	*end = (struct sio_end){ 0 };
}

void sio_end_indirect(struct sio_end *end)
{
	end->direct = false;
	end->block_bytes = 1;
	(void)fcntl(end->fd, F_SETFL, end->flags_before & ~O_DIRECT);
}

static int move_plain(struct sio_end *end, bool write, char *buf, uint64_t at, uint64_t len,
		      struct snapmgr_err *err)
{
	while (len) {
		ssize_t n = write ? SM_STEP("io.plain", pwrite(end->fd, buf, len, (off_t)at)) :
				    pread(end->fd, buf, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return sio_end_fail(end, write ? "write" : "read", at, len, errno, err);
		if (n == 0 && write)
			return sio_end_fail(end, "write", at, len, ENOSPC, err);
		if (n == 0)
			return sio_end_short(end, at, len, err);
		buf += n;
		at += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

int sio_end_plain(struct sio_end *end, bool write, char *buf, uint64_t at, uint64_t len,
		  struct snapmgr_err *err)
{
	const uint64_t page = sio_page_bytes(), from = at - at % page;
	int flags = fcntl(end->fd, F_GETFL), r;

	/* Clean pages may be of an earlier time: those of a device do not see what a device below it,
	 * or a table that was switched, did to it. */
	if (!write)
		(void)posix_fadvise(end->fd, (off_t)from,
				    (off_t)(at + len + page - (at + len) % page - from),
				    POSIX_FADV_DONTNEED);
	/* Requests on their way keep the flag that they were handed over with. */
	if (end->direct)
		(void)fcntl(end->fd, F_SETFL, flags & ~O_DIRECT);
	r = move_plain(end, write, buf, at, len, err);
	if (end->direct)
		(void)fcntl(end->fd, F_SETFL, flags);
	return r;
}

int sio_end_flush(struct sio_end *end, struct snapmgr_err *err)
{
	if (SM_STEP("io.flush", fdatasync(end->fd)) < 0)
		return sm_fail(err, SNAPMGR_IO, errno, "cannot flush '%s'", end->name);
	return 0;
}

int sio_end_extend(struct sio_end *end, uint64_t bytes, struct snapmgr_err *err)
{
	if (bytes <= end->size_bytes)
		return 0;
	if (end->device)
		return sm_fail(err, SNAPMGR_NO_SPACE, ENOSPC,
			       "'%s' has %" PRIu64 " bytes, %" PRIu64 " fewer than the copy needs",
			       end->name, end->size_bytes, bytes - end->size_bytes);
	if (SM_STEP("io.extend", ftruncate(end->fd, (off_t)bytes)) < 0)
		return sio_end_fail(end, "extend to", bytes, bytes - end->size_bytes, errno, err);
	end->size_bytes = bytes;
	return 0;
}
