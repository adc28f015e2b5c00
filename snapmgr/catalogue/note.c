/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapmgr/catalogue/note.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapmgr/catalogue/rundir.h"

#define PREFIX	 "note."
#define TEXT_MAX (1024 * 1024) /* of a machine with some thousand mounts of one device */

static void folder_of(const struct sm_uuid *pool, char path[SCAT_RUN_PATH])
{
	char uuid[SNAPMGR_UUID_TEXT];

	sm_uuid_text(pool, uuid);
	(void)snprintf(path, SCAT_RUN_PATH, "%s/%s", scat_run_dir(), uuid);
}

static void path_of(const struct sm_uuid *pool, const char *name, char path[SCAT_RUN_PATH])
{
	char uuid[SNAPMGR_UUID_TEXT];

	sm_uuid_text(pool, uuid);
	(void)snprintf(path, SCAT_RUN_PATH, "%s/%s/" PREFIX "%s", scat_run_dir(), uuid, name);
}

static int open_to_add(const char *path)
{
	return SM_STEP("note.open",
		       open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
}

int snote_add(const struct sm_uuid *pool, const char *name, const char *text,
	      struct snapmgr_err *err)
{
	char path[SCAT_RUN_PATH], folder[SCAT_RUN_PATH];
	AUTO(sm_close_fd) int fd = -1;
	size_t len = strlen(text);
	ssize_t n;
	int r;

	path_of(pool, name, path);
	fd = open_to_add(path);
	if (fd < 0 && errno == ENOENT) {
		folder_of(pool, folder);
		r = sm_mkdir_p(folder, 0700, err);
		if (r < 0)
			return r;
		fd = open_to_add(path);
	}
	n = fd < 0 ? -1 : SM_STEP("note.write", write(fd, text, len));
	if (n == (ssize_t)len)
		return 0;
	return sm_fail(err, SNAPMGR_IO, n < 0 ? errno : ENOSPC, "cannot write '%s'", path);
}

void snote_forget(const struct sm_uuid *pool, const char *name)
{
	char path[SCAT_RUN_PATH];

	path_of(pool, name, path);
	(void)SM_STEP("note.unlink", unlink(path));
}

/* Return: 0, -ENOENT where it has just gone, or -errno. */
static int read_one(int dir, const char *file, char **ret)
{
	AUTO(sm_close_fd) int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	AUTO(free) char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > TEXT_MAX)
		return -EFBIG;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = read(fd, text, (size_t)st.st_size);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	*ret = text;
	text = NULL;
	return 0;
}

static int add(int dir, const char *file, struct snotes *notes)
{
	struct snote *more = reallocarray(notes->v, notes->n + 1, sizeof(*more));
	int r;

	if (!more)
		return -ENOMEM;
	notes->v = more;
	more += notes->n;
	if (sm_copy_text(more->name, sizeof(more->name), file + strlen(PREFIX)) < 0)
		return 0; /* not one of ours */
	r = read_one(dir, file, &more->text);
	notes->n += r == 0;
	return r == -ENOENT ? 0 : r;
}

int snote_load(const struct sm_uuid *pool, struct snotes *ret)
{
	struct snotes notes = { 0 };
	char path[SCAT_RUN_PATH];
	struct dirent *d;
	int r = 0;
	DIR *dir;

	folder_of(pool, path);
	dir = opendir(path);
	if (!dir && errno != ENOENT)
		return -errno;
	while (dir && r == 0 && (d = readdir(dir)))
		if (strncmp(d->d_name, PREFIX, strlen(PREFIX)) == 0)
			r = add(dirfd(dir), d->d_name, &notes);
	if (dir)
		(void)closedir(dir);
	if (r < 0)
		snote_release(&notes);
	else
		*ret = notes;
	return r;
}

void snote_release(struct snotes *notes)
{
	for (size_t i = 0; i < notes->n; i++)
		free(notes->v[i].text);
	free(notes->v);
	*notes = (struct snotes){ 0 };
}
