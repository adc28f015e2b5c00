/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One file made equal to another. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "io/sio.h"
#include "snapmgr/drivers/file.h"

#define CHECKPOINT_BYTES (64 * SM_MIB)

/* Whole, holes too. The sizes first: the kernel shares a last block that is not full only at an end. */
static int reflink(int from, int to, uint64_t size)
{
	const struct file_clone_range all = { .src_fd = from };

	if (SM_STEP("file.size", ftruncate(to, (off_t)size)) < 0 ||
	    SM_STEP("file.reflink", ioctl(to, FICLONERANGE, &all)) < 0)
		return -errno;
	return 0;
}

/* What is allocated; the rest becomes a hole. */
static int copy(int from, int to, uint64_t size, const char *to_path, const struct sm_watch *watch,
		struct snapmgr_err *err)
{
	const struct sio_side source = { .fd = from, .name = "its source" };
	const struct sio_side target = { .fd = to, .name = to_path };
	const struct sio_copy_opts opts = {
		.size = sizeof(opts),
		.len = size,
		.no_flush = !watch || !watch->checkpoint,
		.resume_at = watch ? watch->resume_at : 0,
		.progress = watch ? watch->progress : NULL,
		.checkpoint = watch ? watch->checkpoint : NULL,
		.checkpoint_bytes = CHECKPOINT_BYTES,
		.data = watch ? watch->data : NULL,
	};
	struct stat st;

	if (fstat(to, &st) < 0 ||
	    ((uint64_t)st.st_size != size && SM_STEP("file.size", ftruncate(to, (off_t)size)) < 0))
		return file_failed(err, errno, "size", to_path);
	return SM_STEP("file.copy", sio_copy(&source, &target, &opts, NULL, err));
}

int file_share(const struct sm_backend *b, int from, int to, const char *to_path,
	       const struct sm_watch *watch, struct snapmgr_err *err)
{
	struct stat st;
	int r = fstat(from, &st) < 0 ? -errno : 0;

	if (r == 0 && !b->reflink) {
		r = copy(from, to, (uint64_t)st.st_size, to_path, watch, err);
		if (r < 0)
			return r;
	} else if (r == 0) {
		r = reflink(from, to, (uint64_t)st.st_size);
	}
	if (r == 0 && SM_STEP("file.flush", fsync(to)) < 0)
		r = -errno;
	return r < 0 ? file_failed(err, -r, "write", to_path) : 0;
}

/* Never truncated: it may be a second name of a snapshot. */
int file_share_new(const struct sm_backend *b, int from, const char *to_path,
		   const struct sm_watch *watch, struct snapmgr_err *err)
{
	AUTO(sm_close_fd) int to = -1;
	int r = file_unlink(to_path, err);

	if (r < 0)
		return r;
	to = SM_STEP("file.make",
		     open(to_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
	if (to < 0)
		return file_failed(err, errno, "make", to_path);
	r = file_share(b, from, to, to_path, watch, err);
	if (r < 0)
		(void)file_unlink(to_path, NULL);
	return r;
}
