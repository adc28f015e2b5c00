/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which processes have something open. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "openers.h"
#include "sys.h"

typedef int process_fn(int32_t pid, int procfd, void *data);

static int each_process(process_fn *visit, void *data)
{
	AUTO(shost_close_dir) DIR *proc = shost_dir(AT_FDCWD, "/proc");
	const char *name;
	int r = 0;

	if (!proc)
		return -errno;
	while (r == 0 && (name = shost_next(proc))) {
		AUTO(sm_close_fd) int fd = -1;
		int32_t pid = isdigit((unsigned char)name[0]) ? atoi(name) : 0;

		if (!pid || pid == getpid())
			continue;
		fd = openat(dirfd(proc), name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			r = visit(pid, fd, data);
	}
	return r;
}

/* ---- block devices ---- */

struct openers {
	const char *folder; /* of links to open files, below a process's */
	shost_opener_fn *visit;
	void *data;
	dev_t *told; /* of the process being looked at */
	size_t n;
};

/* The device that a link to an open file means; never asks a remote filesystem. */
static dev_t open_device(int fds, const char *name)
{
	struct statx st;

	if (statx(fds, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st) < 0 ||
	    !S_ISBLK(st.stx_mode))
		return 0;
	return makedev(st.stx_rdev_major, st.stx_rdev_minor);
}

/* Return: whether @devno was told of already; -ENOMEM. */
static int told(struct openers *o, dev_t devno)
{
	dev_t *more;

	for (size_t i = 0; i < o->n; i++)
		if (o->told[i] == devno)
			return 1;
	more = realloc(o->told, (o->n + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	o->told = more;
	o->told[o->n++] = devno;
	return 0;
}

static int look_at_links(int32_t pid, int procfd, void *data)
{
	AUTO(shost_close_dir) DIR *fds = NULL;
	struct openers *o = data;
	const char *entry;
	char name[32];
	int r = 0;

	o->n = 0;
	fds = shost_dir(procfd, o->folder);
	while (r == 0 && fds && (entry = shost_next(fds))) {
		dev_t devno = open_device(dirfd(fds), entry);

		if (!devno)
			continue;
		r = told(o, devno);
		if (r == 0) {
			shost_pid_name(pid, name);
			r = o->visit(pid, name, devno, o->data);
		} else if (r > 0) {
			r = 0;
		}
	}
	return r;
}

int shost_openers(bool mapped, shost_opener_fn *visit, void *data)
{
	struct openers o = { .folder = mapped ? "map_files" : "fd", .visit = visit, .data = data };
	int r = each_process(look_at_links, &o);

	free(o.told);
	return r;
}

/* ---- files ---- */

struct file_openers {
	const struct stat *file;
	shost_path_user_fn *visit;
	void *data;
};

static bool is_file(int fds, const char *name, const struct stat *file)
{
	struct statx st;

	return statx(fds, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO,
		     &st) == 0 &&
	       S_ISREG(st.stx_mode) && st.stx_ino == file->st_ino &&
	       makedev(st.stx_dev_major, st.stx_dev_minor) == file->st_dev;
}

static int look_for_file(int32_t pid, int procfd, void *data)
{
	AUTO(shost_close_dir) DIR *fds = shost_dir(procfd, "fd");
	const struct file_openers *o = data;
	const char *entry;
	char name[32];

	while (fds && (entry = shost_next(fds))) {
		if (!is_file(dirfd(fds), entry, o->file))
			continue;
		shost_pid_name(pid, name);
		return o->visit(pid, name, o->data);
	}
	return 0;
}

int shost_file_openers(const struct stat *file, shost_path_user_fn *visit, void *data)
{
	struct file_openers o = { file, visit, data };

	return each_process(look_for_file, &o);
}

/* ---- paths ---- */

struct path_users {
	const char *folder;
	shost_path_user_fn *visit;
	void *data;
};

static bool link_is_below(int dirfd, const char *name, const char *folder)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target) - 1);

	if (n <= 0)
		return false;
	target[n] = '\0';
	return shost_path_below(target, folder);
}

static bool fd_is_below(int procfd, const char *folder)
{
	AUTO(shost_close_dir) DIR *fds = shost_dir(procfd, "fd");
	const char *entry;

	while (fds && (entry = shost_next(fds)))
		if (link_is_below(dirfd(fds), entry, folder))
			return true;
	return false;
}

static bool mapping_is_below(int32_t pid, const char *folder)
{
	AUTO(free) char *text = NULL;
	char path[32], *rest, *line;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	if (shost_read_file(path, &text) < 0)
		return false;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		const char *name = strchr(line, '/');

		if (name && shost_path_below(name, folder))
			return true;
	}
	return false;
}

static int look_at_paths(int32_t pid, int procfd, void *data)
{
	const struct path_users *u = data;
	char name[32];

	if (!link_is_below(procfd, "cwd", u->folder) && !link_is_below(procfd, "root", u->folder) &&
	    !fd_is_below(procfd, u->folder) && !mapping_is_below(pid, u->folder))
		return 0;
	shost_pid_name(pid, name);
	return u->visit(pid, name, u->data);
}

int shost_path_users(const char *folder, shost_path_user_fn *visit, void *data)
{
	struct path_users u = { folder, visit, data };

	return each_process(look_at_paths, &u);
}
