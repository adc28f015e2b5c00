/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a head holds: copied to a snapshot, changed in place, healed.
 *
 * A change goes: the old contents into a file of their own; commit; the mark says that it begins; the
 * new contents into the head's inode; the mark says that it is done. Who dies before the mark leaves the
 * old head as it was, and recovery makes the catalogue follow; behind it recovery does the copying once
 * more, towards what the catalogue says.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "snapmgr/drivers/file.h"

/* ---- the mark ---- */

void file_mark_path(const struct sm_backend *b, const struct sm_vdev *v, char ret[FILE_PATH])
{
	char text[SNAPMGR_UUID_TEXT];

	sm_uuid_text(&v->uuid, text);
	(void)snprintf(ret, FILE_PATH, "%s/" SM_FILE_FOLDER "/%s.mark", b->dir, text);
}

int file_mark_read(const struct sm_backend *b, const struct sm_vdev *v, struct sm_contents *ret,
		   struct snapmgr_err *err)
{
	char path[FILE_PATH], text[32] = "";
	AUTO(sm_close_fd) int fd = -1;
	struct sm_contents mark;

	file_mark_path(b, v, path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 || pread(fd, text, sizeof(text) - 1, 0) < 0)
		return file_failed(err, errno, "read", path);
	if (!*text) /* made, and nothing was written yet */
		return -ENOENT;
	if (sscanf(text, "%" SCNu32 " %" SCNu32, &mark.id, &mark.to) != 2)
		return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN, "'%s' is damaged", path);
	*ret = mark;
	return 0;
}

/* One line of one length, in place: a sector, which is written whole or not at all. */
int file_mark_write(const struct sm_backend *b, const struct sm_vdev *v,
		    const struct sm_contents *mark, struct snapmgr_err *err)
{
	char path[FILE_PATH], text[32];
	AUTO(sm_close_fd) int fd = -1;
	int n = snprintf(text, sizeof(text), "%010" PRIu32 " %010" PRIu32 "\n", mark->id, mark->to);

	file_mark_path(b, v, path);
	fd = SM_STEP("file.make", open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
	if (fd < 0 || SM_STEP("file.mark", pwrite(fd, text, (size_t)n, 0)) != n ||
	    SM_STEP("file.flush", fdatasync(fd)) < 0)
		return file_failed(err, errno, "write", path);
	return 0;
}

int file_live(const struct sm_backend *b, const struct sm_vdev *v, uint32_t *ret_id,
	      struct snapmgr_err *err)
{
	struct sm_contents mark;
	int r = file_mark_read(b, v, &mark, err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	*ret_id = mark.id;
	return mark.to == 0;
}

/* ---- snapshots ---- */

static int take(const struct sm_backend *b, const struct sm_snap_item *item,
		struct snapmgr_err *err)
{
	char path[FILE_PATH], to[FILE_PATH];
	AUTO(sm_close_fd) int own = -1;
	int fd = item->claim_fd, r = 0;

	file_path(b, item->volume, path);
	file_id_path(b, item->new_id, "img", to);
	if (fd < 0)
		r = fd = own = file_open(path, O_RDONLY, err);
	if (r >= 0 && SM_STEP("file.flush", fdatasync(fd)) < 0)
		r = file_failed(err, errno, "flush", path);
	return r < 0 ? r : file_share_new(b, fd, to, NULL, err);
}

int file_snapshot(const struct sm_backend *b, struct sm_snap_item *items, size_t n,
		  const int *thaw_fds, size_t n_thaw, const struct sm_switch_opts *opts,
		  struct snapmgr_err *err)
{
	size_t done = 0;
	int r = 0;

	(void)thaw_fds;
	(void)n_thaw;
	(void)opts;
	for (size_t i = 0; i < n && r == 0; i++)
		if (items[i].active)
			r = file_loop_flush(b, items[i].volume, err);
	for (; done < n && r == 0; done++)
		r = take(b, &items[done], err);
	if (r == 0)
		r = file_sync_dir(b, true, err);
	for (size_t i = 0; i < done && r < 0; i++) /* keep the first error */
		(void)file_drop(b, items[i].new_id, NULL);
	return r;
}

/* ---- heads changed ---- */

static bool is_resize(const struct sm_switch_item *item)
{
	return item->old_id == item->v->id;
}

/* The old contents, for the way back and as an undo point. */
static int keep_old(const struct sm_backend *b, const struct sm_switch_item *item,
		    struct snapmgr_err *err)
{
	char to[FILE_PATH];

	file_id_path(b, item->old_id, "img", to);
	return file_share_new(b, item->claim_fd, to, NULL, err);
}

static bool wants_old(const struct sm_backend *b, const struct sm_switch_item *item)
{
	return !is_resize(item) && (b->reflink || !item->forget);
}

static int keep_all(const struct sm_backend *b, const struct sm_switch_item *items, size_t n,
		    struct snapmgr_err *err)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		const struct sm_contents now = { items[i].old_id, 0 };

		if (is_resize(&items[i]))
			continue;
		if (items[i].claim_fd < 0)
			return sm_fail(err, SNAPMGR_INTERNAL, EBADF, "the file of '%s' is not open",
				       items[i].v->volume);
		r = file_loop_flush(b, items[i].v, err);
		if (r == 0 && wants_old(b, &items[i]))
			r = keep_old(b, &items[i], err);
		if (r == 0)
			r = file_mark_write(b, items[i].v, &now, err);
	}
	return r == 0 ? file_sync_dir(b, true, err) : r;
}

static void forget_all(const struct sm_backend *b, const struct sm_switch_item *items, size_t n)
{
	char path[FILE_PATH];

	for (size_t i = 0; i < n; i++) {
		if (is_resize(&items[i]))
			continue;
		file_id_path(b, items[i].old_id, "img", path);
		(void)file_unlink(path, NULL);
	}
}

static int resize(const struct sm_backend *b, const struct sm_switch_item *item,
		  struct snapmgr_err *err)
{
	char path[FILE_PATH];
	AUTO(sm_close_fd) int own = -1;
	int fd = item->claim_fd, r = 0;

	file_path(b, item->v, path);
	if (fd < 0)
		r = fd = own = file_open(path, O_RDWR, err);
	if (r < 0)
		return r;
	if (SM_STEP("file.size", ftruncate(fd, (off_t)item->v->size_bytes)) < 0 ||
	    SM_STEP("file.flush", fsync(fd)) < 0)
		return file_failed(err, errno, "resize", path);
	return file_loop_resize(b, item->v, err);
}

/* @fd, of @v, gets the contents of @id: the mark is written before and after. */
static int fill(const struct sm_backend *b, const struct sm_vdev *v, int fd, uint32_t id,
		uint64_t size_bytes, struct snapmgr_err *err)
{
	const struct sm_contents done = { id, 0 };
	char source[FILE_PATH], path[FILE_PATH];
	AUTO(sm_close_fd) int from = -1;
	int r;

	file_path(b, v, path);
	file_id_path(b, id, "img", source);
	r = from = file_open(source, O_RDONLY, err);
	if (r >= 0)
		r = file_share(b, from, fd, path, NULL, err);
	if (r == 0 && size_bytes && SM_STEP("file.size", ftruncate(fd, (off_t)size_bytes)) < 0)
		r = file_failed(err, errno, "resize", path);
	return r == 0 ? file_mark_write(b, v, &done, err) : r;
}

/* Behind the commit: forward, or where that is impossible back, which the catalogue will follow. */
static int switch_one(const struct sm_backend *b, const struct sm_switch_item *item,
		      struct snapmgr_err *err)
{
	int r;

	if (is_resize(item))
		return resize(b, item, err);
	r = fill(b, item->v, item->claim_fd, item->v->id, item->v->size_bytes, err);
	if (r < 0) {
		if (wants_old(b, item)) /* keep the first error */
			(void)fill(b, item->v, item->claim_fd, item->old_id, 0, NULL);
		return r;
	}
	return file_loop_resize(b, item->v, err);
}

/* All of them, before the first is touched: from here on none goes back alone. */
static int begin_all(const struct sm_backend *b, const struct sm_switch_item *items, size_t n,
		     struct snapmgr_err *err)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		const struct sm_contents mixture = { items[i].old_id, items[i].v->id };

		if (!is_resize(&items[i]))
			r = file_mark_write(b, items[i].v, &mixture, err);
	}
	return r;
}

int file_repoint(struct sm_backend *b, const struct sm_switch_item *items, size_t n,
		 const struct sm_switch_opts *opts, sm_commit_fn *commit, void *arg,
		 struct sdm_switch **ret_settle, struct snapmgr_err *err)
{
	char path[FILE_PATH];
	int r = keep_all(b, items, n, err);

	(void)opts;
	(void)ret_settle;
	if (r == 0)
		r = commit(arg, err);
	if (r < 0) {
		forget_all(b, items, n);
		return r;
	}
	r = begin_all(b, items, n, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = switch_one(b, &items[i], err);
	for (size_t i = 0; i < n && r == 0; i++) {
		if (is_resize(&items[i]))
			continue;
		file_id_path(b, items[i].v->id, "img", path);
		(void)file_unlink(path, NULL); /* what it held is in the head now */
	}
	return r;
}

/* ---- healed ---- */

/* A mixture: to where the catalogue says, or where that is gone to the other. */
static int finish(const struct sm_backend *b, const struct sm_vdev *v, int fd,
		  const struct sm_contents *mark, uint32_t *ret_id, struct snapmgr_err *err)
{
	uint32_t first = v->id == mark->id ? mark->id : mark->to;
	uint32_t second = first == mark->id ? mark->to : mark->id;
	struct snapmgr_err why;
	int r = fill(b, v, fd, first, first == v->id ? v->size_bytes : 0, &why);

	*ret_id = first;
	if (r == 0)
		return 0;
	*ret_id = second;
	r = fill(b, v, fd, second, 0, NULL);
	return r < 0 ? sm_fail(err, SNAPMGR_KERNEL, -r, "'%s' holds a mixture: %.300s", v->volume,
			       why.message) :
		       0;
}

int file_heal(const struct sm_backend *b, const struct sm_vdev *v, uint32_t *ret_id,
	      uint64_t *ret_bytes, struct snapmgr_err *err)
{
	struct sm_contents mark = { v->id, 0 };
	char path[FILE_PATH];
	AUTO(sm_close_fd) int fd = -1;
	struct stat st;
	int r;

	if (v->dm.read_only)
		return -ENOENT;
	file_path(b, v, path);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -ENOENT; /* somebody took it away, which check tells of */
	r = file_mark_read(b, v, &mark, err);
	if (r < 0 && r != -ENOENT)
		return r;
	*ret_id = mark.id;
	r = mark.to ? finish(b, v, fd, &mark, ret_id, err) : 0;
	if (r < 0)
		return r;
	(void)file_loop_flush(b, v, NULL);
	(void)file_loop_resize(b, v, NULL);
	if (fstat(fd, &st) < 0)
		return file_failed(err, errno, "look at", path);
	*ret_bytes = st.st_size > 0 && st.st_size % (off_t)SM_SECTOR == 0 ? (uint64_t)st.st_size :
									    v->size_bytes;
	return 0;
}
