/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's lists of mounts and swaps, parsed. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "mountinfo.h"
#include "sys.h"

static bool parse_int(const char *text, int *ret)
{
	char *end;
	long v;

	if (!text || !*text)
		return false;
	errno = 0;
	v = strtol(text, &end, 10);
	if (errno || *end || v < INT_MIN || v > INT_MAX)
		return false;
	*ret = (int)v;
	return true;
}

static bool parse_devno(char *text, dev_t *ret)
{
	char *colon = text ? strchr(text, ':') : NULL;
	int ma, mi;

	if (!colon)
		return false;
	*colon = '\0';
	if (!parse_int(text, &ma) || !parse_int(colon + 1, &mi) || ma < 0 || mi < 0)
		return false;
	*ret = makedev((unsigned int)ma, (unsigned int)mi);
	return true;
}

/* The optional fields, any number of them, up to the lone hyphen. */
static bool parse_tags(char **rest, struct shost_mountinfo *m)
{
	const char *tag;

	while ((tag = strsep(rest, " "))) {
		if (strcmp(tag, "-") == 0)
			return true;
		if (strncmp(tag, "shared:", 7) == 0)
			m->shared = true;
		else if (strncmp(tag, "master:", 7) == 0)
			m->slave = true;
		else if (strcmp(tag, "unbindable") == 0)
			m->unbindable = true;
	}
	return false;
}

static const char *text_field(char **rest)
{
	char *field = strsep(rest, " ");

	if (field)
		shost_unescape(field);
	return field;
}

int shost_mountinfo_line(char *line, struct shost_mountinfo *ret)
{
	struct shost_mountinfo m = { 0 };
	char *rest = line;

	if (!parse_int(strsep(&rest, " "), &m.id) || !parse_int(strsep(&rest, " "), &m.parent) ||
	    !parse_devno(strsep(&rest, " "), &m.devno))
		return -EINVAL;
	m.root = text_field(&rest);
	m.target = text_field(&rest);
	m.flags = text_field(&rest);
	if (!m.flags || !parse_tags(&rest, &m))
		return -EINVAL;
	m.fstype = text_field(&rest);
	m.source = text_field(&rest);
	if (!m.source)
		return -EINVAL;
	if (rest)
		shost_unescape(rest);
	m.super = rest ? rest : "";
	*ret = m;
	return 0;
}

static size_t count_lines(const char *text)
{
	size_t n = 1;

	for (const char *p = text; (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

int shost_mounttab_parse(char *text, struct shost_mounttab *ret)
{
	struct shost_mounttab tab = { .text = text };
	char *rest = text, *line;

	tab.v = calloc(count_lines(text), sizeof(*tab.v));
	if (!tab.v) {
		free(text);
		return -ENOMEM;
	}
	while ((line = strsep(&rest, "\n")))
		if (shost_mountinfo_line(line, &tab.v[tab.n]) == 0)
			tab.n++;
	*ret = tab;
	return 0;
}

int shost_mounttab_load(int32_t pid, struct shost_mounttab *ret)
{
	char path[64], *text;
	int r;

	if (pid)
		(void)snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
	else
		(void)sm_copy_text(path, sizeof(path), "/proc/self/mountinfo");
	r = shost_read_file(path, &text);
	if (r < 0)
		return r;
	r = shost_mounttab_parse(text, ret);
	if (r == 0)
		ret->pid = pid;
	return r;
}

void shost_mounttab_release(struct shost_mounttab *tab)
{
	free(tab->v);
	free(tab->text);
	*tab = (struct shost_mounttab){ 0 };
}

const struct shost_mountinfo *shost_mounttab_of_path(const struct shost_mounttab *tab,
						     const char *path)
{
	const struct shost_mountinfo *best = NULL;
	size_t best_len = 0;

	for (size_t i = 0; i < tab->n; i++) {
		size_t len = strlen(tab->v[i].target);

		if (len >= best_len && shost_path_below(path, tab->v[i].target)) {
			best = &tab->v[i];
			best_len = len;
		}
	}
	return best;
}

void shost_ns_path(int32_t pid, const char *path, char *ret, size_t size)
{
	if (pid)
		(void)snprintf(ret, size, "/proc/%d/root%s", pid, path);
	else
		(void)sm_copy_text(ret, size, path);
}

int shost_mount_open(const struct shost_mountinfo *m, int32_t pid)
{
	AUTO(sm_close_fd) int fd = -1;
	char path[PATH_MAX];
	struct statx st;
	int ret;

	shost_ns_path(pid, m->target, path, sizeof(path));
	fd = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MNT_ID, &st) < 0)
		return -errno;
	if ((st.stx_mask & STATX_MNT_ID) && st.stx_mnt_id != (uint64_t)m->id)
		return -ESTALE;
	ret = fd;
	fd = -1;
	return ret;
}

int shost_swap_line(char *line, struct shost_swap *ret)
{
	static const char mark[] = "\\040(deleted)";
	size_t len = strcspn(line, " \t");
	struct shost_swap s = { .path = line };
	const char *type = line + len + strspn(line + len, " \t");

	if (line[0] != '/' || !*type)
		return -EINVAL;
	s.partition = strncmp(type, "partition", 9) == 0;
	line[len] = '\0';
	if (len >= sizeof(mark) - 1 && strcmp(line + len - (sizeof(mark) - 1), mark) == 0) {
		s.deleted = true;
		line[len - (sizeof(mark) - 1)] = '\0';
	}
	shost_unescape(line);
	*ret = s;
	return 0;
}
