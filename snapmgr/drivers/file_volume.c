/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files made, named and dropped. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "snapmgr/drivers/file.h"

void file_head_path(const struct sm_backend *b, const char *volume, char ret[FILE_PATH])
{
	(void)snprintf(ret, FILE_PATH, "%s/%s.img", b->dir, volume);
}

void file_id_path(const struct sm_backend *b, uint32_t id, const char *suffix, char ret[FILE_PATH])
{
	(void)snprintf(ret, FILE_PATH, "%s/" SM_FILE_FOLDER "/%" PRIu32 ".%s", b->dir, id, suffix);
}

void file_path(const struct sm_backend *b, const struct sm_vdev *v, char ret[FILE_PATH])
{
	if (v->dm.read_only)
		file_id_path(b, v->id, "img", ret);
	else
		file_head_path(b, v->volume, ret);
}

int file_failed(struct snapmgr_err *err, int errnum, const char *act, const char *path)
{
	if (errnum == ENOSPC || errnum == EDQUOT)
		return sm_fail(err, SNAPMGR_NO_SPACE, errnum,
			       "cannot %s '%s': its filesystem is full", act, path);
	return sm_fail(err, errnum == EACCES || errnum == EPERM ? SNAPMGR_PERMISSION : SNAPMGR_IO,
		       errnum, "cannot %s '%s'", act, path);
}

int file_open(const char *path, int flags, struct snapmgr_err *err)
{
	struct stat st;
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0 && (errno == ENOENT || errno == ELOOP))
		return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN,
			       "the file '%s' is missing: bring it back to where it was", path);
	if (fd < 0)
		return file_failed(err, errno, "open", path);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	(void)close(fd);
	return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN, "'%s' is not a file any more", path);
}

int file_unlink(const char *path, struct snapmgr_err *err)
{
	if (SM_STEP("file.unlink", unlink(path)) == 0 || errno == ENOENT)
		return 0;
	return file_failed(err, errno, "delete", path);
}

int file_sync_dir(const struct sm_backend *b, bool below, struct snapmgr_err *err)
{
	char path[FILE_PATH];
	AUTO(sm_close_fd) int fd = -1;

	(void)snprintf(path, sizeof(path), "%s%s", b->dir, below ? "/" SM_FILE_FOLDER : "");
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || SM_STEP("file.sync", fsync(fd)) < 0)
		return file_failed(err, errno, "flush", path);
	return 0;
}

/* ---- made ---- */

/* Empty; it gets its size with its name. */
int file_make(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err)
{
	char path[FILE_PATH];
	int fd;

	file_id_path(b, id, "head", path);
	fd = SM_STEP("file.make",
		     open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
	if (fd < 0)
		return file_failed(err, errno, "make", path);
	(void)close(fd);
	return file_sync_dir(b, true, err);
}

/*
 * Snapshots are never written to, so that a copy that is only read, by a revert, is a second name of the
 * same file. What becomes a volume is made of it when it is placed.
 */
int file_link(const struct sm_backend *b, uint32_t from, uint32_t id, struct snapmgr_err *err)
{
	char old[FILE_PATH], new[FILE_PATH];

	file_id_path(b, from, "img", old);
	file_id_path(b, id, "img", new);
	if (SM_STEP("file.link", link(old, new)) == 0)
		return 0;
	if (errno == EEXIST)
		return sm_fail(err, SNAPMGR_EXISTS, EEXIST, "'%s' is there already", new);
	if (errno == ENOENT)
		return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN,
			       "the file '%s' is missing: bring it back to where it was", old);
	return file_failed(err, errno, "link", new);
}

int file_link_active(const struct sm_backend *b, const struct sm_vdev *active, uint32_t id,
		     const struct sm_switch_opts *opts, struct snapmgr_err *err)
{
	(void)opts;
	return file_link(b, active->id, id, err);
}

int file_drop(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err)
{
	static const char *const suffixes[] = { "img", "head", "part" };
	char path[FILE_PATH];
	int r = 0;

	for (size_t i = 0; i < SM_ARRAY(suffixes) && r == 0; i++) {
		file_id_path(b, id, suffixes[i], path);
		r = file_unlink(path, err);
	}
	return r;
}

/* ---- named ---- */

/* A clone: what file_link() left becomes a file of its own. */
int file_own(const struct sm_backend *b, uint32_t id, const struct sm_watch *watch,
	     struct snapmgr_err *err)
{
	char source[FILE_PATH], part[FILE_PATH], head[FILE_PATH];
	AUTO(sm_close_fd) int from = -1;
	int r;

	file_id_path(b, id, "head", head);
	file_id_path(b, id, "img", source);
	file_id_path(b, id, "part", part);
	r = from = file_open(source, O_RDONLY, err);
	if (r >= 0)
		r = file_share_new(b, from, part, watch, err);
	if (r == 0 && SM_STEP("file.rename", rename(part, head)) < 0)
		r = file_failed(err, errno, "make", head);
	if (r == 0) /* before the other name goes */
		r = file_sync_dir(b, true, err);
	return r == 0 ? file_unlink(source, err) : r;
}

/* A new volume has no size yet, and a clone may be larger than its source. */
static int give_size(const char *head, uint64_t size_bytes, struct snapmgr_err *err)
{
	AUTO(sm_close_fd) int fd = file_open(head, O_RDWR, err);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) == 0 && (uint64_t)st.st_size >= size_bytes)
		return 0;
	if (SM_STEP("file.size", ftruncate(fd, (off_t)size_bytes)) < 0 ||
	    SM_STEP("file.flush", fsync(fd)) < 0)
		return file_failed(err, errno, "size", head);
	return 0;
}

int file_place(const struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err)
{
	char path[FILE_PATH], head[FILE_PATH];
	int r = 0;

	file_head_path(b, v->volume, path);
	file_id_path(b, v->id, "head", head);
	if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return access(head, F_OK) < 0 ? 0 :
						sm_fail(err, SNAPMGR_EXISTS, EEXIST,
							"there is a file '%s' already", path);
	if (access(head, F_OK) < 0)
		r = file_own(b, v->id, NULL, err);
	if (r == 0)
		r = give_size(head, v->size_bytes, err);
	if (r < 0)
		return r;
	if (SM_STEP("file.rename", renameat2(AT_FDCWD, head, AT_FDCWD, path, RENAME_NOREPLACE)) <
		    0 &&
	    (errno != EINVAL || SM_STEP("file.rename", rename(head, path)) < 0))
		return file_failed(err, errno, "make", path);
	return file_sync_dir(b, false, err);
}

int file_withdraw(const struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err)
{
	char path[FILE_PATH], head[FILE_PATH], mark_path[FILE_PATH];
	struct sm_contents mark;

	file_head_path(b, v->volume, path);
	file_id_path(b, v->id, "head", head);
	if (file_mark_read(b, v, &mark, NULL) == 0 &&
	    !mark.to) { /* it says what the catalogue says */
		file_mark_path(b, v, mark_path);
		(void)file_unlink(mark_path, NULL);
	}
	if (SM_STEP("file.rename", rename(path, head)) < 0 && errno != ENOENT)
		return file_failed(err, errno, "rename", path);
	return file_sync_dir(b, true, err);
}
