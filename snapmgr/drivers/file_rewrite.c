/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A head kept and filled in steps, where the filesystem shares no extents and all has to be copied. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "snapmgr/drivers/file.h"

static bool lasts(const struct sm_backend *b)
{
	return !b->reflink;
}

static int room(const struct sm_backend *b, const struct sm_vdev *v, uint64_t *ret,
		struct snapmgr_err *err)
{
	return file_used(b, v, NULL, ret, err);
}

static int keep(const struct sm_backend *b, const struct sm_vdev *v, int fd, uint32_t id,
		const struct sm_watch *watch, struct snapmgr_err *err)
{
	char to[FILE_PATH];
	int r = file_loop_flush(b, v, err);

	file_id_path(b, id, "img", to);
	if (r == 0 && SM_STEP("file.flush", fdatasync(fd)) < 0)
		r = file_failed(err, errno, "flush", v->volume);
	if (r == 0)
		r = file_share_new(b, fd, to, watch, err);
	return r == 0 ? file_sync_dir(b, true, err) : r;
}

static int forget(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err)
{
	char path[FILE_PATH];

	file_id_path(b, id, "img", path);
	return file_unlink(path, err);
}

static int holds(const struct sm_backend *b, const struct sm_vdev *v, struct sm_contents *ret,
		 struct snapmgr_err *err)
{
	int r = file_mark_read(b, v, ret, err);

	if (r == -ENOENT)
		*ret = (struct sm_contents){ v->id, 0 };
	return r == -ENOENT ? 0 : r;
}

static int mark(const struct sm_backend *b, const struct sm_vdev *v,
		const struct sm_contents *contents, struct snapmgr_err *err)
{
	int r = file_mark_write(b, v, contents, err);

	if (r == 0)
		r = file_sync_dir(b, true, err);
	return r == 0 && !contents->to ? file_loop_resize(b, v, err) : r;
}

static int fill(const struct sm_backend *b, const struct sm_vdev *v, int fd, uint32_t id,
		const struct sm_watch *watch, struct snapmgr_err *err)
{
	char source[FILE_PATH], path[FILE_PATH];
	AUTO(sm_close_fd) int from = -1;
	int r;

	file_path(b, v, path);
	file_id_path(b, id, "img", source);
	r = from = file_open(source, O_RDONLY, err);
	return r < 0 ? r : file_share(b, from, fd, path, watch, err);
}

const struct sm_rewrite_driver file_rewrite = {
	.lasts = lasts,
	.room = room,
	.keep = keep,
	.forget = forget,
	.own = file_own,
	.holds = holds,
	.mark = mark,
	.fill = fill,
};
