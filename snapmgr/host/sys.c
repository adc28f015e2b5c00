/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading /proc and /sys. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "shost.h"
#include "sys.h"

DIR *shost_dir(int dirfd, const char *path)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d;

	if (fd < 0)
		return NULL;
	d = fdopendir(fd);
	if (!d)
		(void)close(fd);
	return d;
}

const char *shost_next(DIR *dir)
{
	const struct dirent *e;

	while ((e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			return e->d_name;
	return NULL;
}

ssize_t shost_read_text(int dirfd, const char *path, char *ret, size_t size)
{
	AUTO(sm_close_fd) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, ret, size - 1);
	if (n < 0)
		return -errno;
	if (n > 0 && ret[n - 1] == '\n')
		n--;
	ret[n] = '\0';
	return n;
}

uint64_t shost_read_number(int dirfd, const char *path, uint64_t otherwise)
{
	char text[32];
	char *end;
	uint64_t v;

	if (shost_read_text(dirfd, path, text, sizeof(text)) <= 0)
		return otherwise;
	errno = 0;
	v = strtoull(text, &end, 10);
	return errno || *end ? otherwise : v;
}

int shost_read_file(const char *path, char **ret)
{
	AUTO(sm_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	AUTO(free) char *text = NULL;
	size_t len = 0, room = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		if (room - len < 4096) {
			char *more;

			room = room ? 2 * room : 16384;
			more = realloc(text, room);
			if (!more)
				return -ENOMEM;
			text = more;
		}
		n = read(fd, text + len, room - len - 1);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		return -errno;
	text[len] = '\0';
	*ret = text;
	text = NULL;
	return 0;
}

int shost_sys_open(dev_t devno)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(devno), minor(devno));
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int shost_sys_kname(dev_t devno, char ret[SHOST_KNAME])
{
	char path[64], target[512];
	const char *name;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(devno), minor(devno));
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	name = strrchr(target, '/');
	return sm_copy_text(ret, SHOST_KNAME, name ? name + 1 : target);
}

dev_t shost_sys_devno(int dirfd, const char *path)
{
	char file[300], text[32], *end;
	unsigned long ma, mi;

	(void)snprintf(file, sizeof(file), "%s/dev", path);
	if (shost_read_text(dirfd, file, text, sizeof(text)) <= 0)
		return 0;
	ma = strtoul(text, &end, 10);
	if (*end != ':')
		return 0;
	mi = strtoul(end + 1, &end, 10);
	return *end ? 0 : makedev((unsigned int)ma, (unsigned int)mi);
}

void shost_sys_dm(int dirfd, const char *what, char *ret, size_t size)
{
	char file[32];

	(void)snprintf(file, sizeof(file), "dm/%s", what);
	if (shost_read_text(dirfd, file, ret, size) < 0)
		ret[0] = '\0';
}

dev_t shost_rdev(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISBLK(st.st_mode) ? st.st_rdev : 0;
}

int shost_open_node(dev_t devno, int flags)
{
	char path[256];
	int r = shost_device_path(devno, path, sizeof(path), NULL);

	if (r < 0)
		return r;
	r = open(path, flags | O_CLOEXEC | O_NONBLOCK);
	return r < 0 ? -errno : r;
}

void shost_pid_name(int32_t pid, char ret[32])
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if (shost_read_text(AT_FDCWD, path, ret, 32) <= 0)
		(void)sm_copy_text(ret, 32, "?");
	for (char *p = ret; *p; p++)
		if (!isascii(*p) || !isprint(*p))
			*p = '?';
}

bool shost_path_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	while (len > 0 && folder[len - 1] == '/')
		len--;
	return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static bool octal(char c, char most)
{
	return c >= '0' && c <= most;
}

void shost_unescape(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		if (p[0] == '\\' && octal(p[1], '3') && octal(p[2], '7') && octal(p[3], '7')) {
			*to++ = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
			p += 3;
		} else {
			*to++ = *p;
		}
	}
	*to = '\0';
}

static enum snapmgr_code code_of(int errnum)
{
	switch (errnum) {
	case EACCES:
	case EPERM:
		return SNAPMGR_PERMISSION;
	case ENOENT:
	case ENODEV:
	case ENXIO:
	case ENOMEDIUM:
		return SNAPMGR_NOT_FOUND;
	case ENOMEM:
		return SNAPMGR_INTERNAL;
	default:
		return SNAPMGR_IO;
	}
}

int shost_fail(struct snapmgr_err *err, int errnum, const char *fmt, ...)
{
	enum snapmgr_code code = code_of(errnum < 0 ? -errnum : errnum);
	bool words = code == SNAPMGR_NOT_FOUND || code == SNAPMGR_INTERNAL;
	char text[512], cause[64];
	va_list ap;

	errnum = errnum < 0 ? -errnum : errnum;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return sm_fail(err, code, errnum, "%s%s%s", text, words ? ": " : "",
		       words ? strerror_r(errnum, cause, sizeof(cause)) : "");
}
