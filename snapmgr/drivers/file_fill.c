/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Contents that come from elsewhere, or go there. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapmgr/drivers/file.h"

int file_read_open(const struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err)
{
	char path[FILE_PATH];

	file_path(b, v, path);
	return file_open(path, O_RDONLY, err);
}

/* One that was ready to be switched to when its owner died is one that is filled again. */
static int bring_back(const struct sm_backend *b, uint32_t id, const char *head,
		      struct snapmgr_err *err)
{
	char img[FILE_PATH];

	file_id_path(b, id, "img", img);
	if (access(head, F_OK) == 0 || SM_STEP("file.rename", rename(img, head)) == 0 ||
	    errno == ENOENT)
		return 0;
	return file_failed(err, errno, "rename", img);
}

int file_fill_open(const struct sm_backend *b, uint32_t id, uint64_t size_bytes,
		   struct snapmgr_err *err)
{
	char head[FILE_PATH];
	struct stat st;
	int fd, r;

	file_id_path(b, id, "head", head);
	r = bring_back(b, id, head, err);
	if (r < 0)
		return r;
	fd = file_open(head, O_RDWR, err);
	if (fd < 0)
		return fd;
	if ((fstat(fd, &st) == 0 && (uint64_t)st.st_size == size_bytes) ||
	    SM_STEP("file.size", ftruncate(fd, (off_t)size_bytes)) == 0)
		return fd;
	r = file_failed(err, errno, "size", head);
	(void)close(fd);
	return r;
}

int file_fill_end(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err)
{
	char head[FILE_PATH], img[FILE_PATH];

	file_id_path(b, id, "head", head);
	file_id_path(b, id, "img", img);
	if (SM_STEP("file.rename", rename(head, img)) < 0 &&
	    (errno != ENOENT || access(img, F_OK) < 0))
		return file_failed(err, errno, "rename", head);
	return file_sync_dir(b, true, err);
}
