/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The other mount namespaces, found through the processes that live in them. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "mountinfo.h"
#include "sys.h"

struct seen {
	uint64_t *v;
	size_t n;
};

static bool was_seen(const struct seen *seen, uint64_t ns)
{
	for (size_t i = 0; i < seen->n; i++)
		if (seen->v[i] == ns)
			return true;
	return false;
}

static int remember(struct seen *seen, uint64_t ns)
{
	uint64_t *more = realloc(seen->v, (seen->n + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	seen->v = more;
	seen->v[seen->n++] = ns;
	return 0;
}

/* The number in "mnt:[4026531840]"; 0 where the process is gone, or not ours to look at. */
static uint64_t namespace_of(int proc, const char *pid)
{
	char path[300], target[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%s/ns/mnt", pid);
	n = readlinkat(proc, path, target, sizeof(target) - 1);
	if (n < 6)
		return 0;
	target[n] = '\0';
	return strtoull(target + 5, NULL, 10);
}

static bool sees_all(int proc, const char *pid)
{
	char path[300], target[4];

	(void)snprintf(path, sizeof(path), "%s/root", pid);
	return readlinkat(proc, path, target, sizeof(target)) == 1 && target[0] == '/';
}

static int walk(DIR *proc, struct seen *seen, shost_namespace_fn *visit, void *data)
{
	const char *name;
	int r = 0;

	while (r == 0 && (name = shost_next(proc))) {
		uint64_t ns;

		if (!isdigit((unsigned char)name[0]))
			continue;
		ns = namespace_of(dirfd(proc), name);
		if (!ns || was_seen(seen, ns))
			continue;
		if (sees_all(dirfd(proc), name))
			r = remember(seen, ns);
		if (r == 0)
			r = visit(atoi(name), data);
	}
	return r;
}

int shost_namespaces(shost_namespace_fn *visit, void *data)
{
	AUTO(shost_close_dir) DIR *proc = shost_dir(AT_FDCWD, "/proc");
	struct seen seen = { 0 };
	int r;

	if (!proc)
		return -errno;
	r = remember(&seen, namespace_of(dirfd(proc), "self"));
	if (r == 0)
		r = walk(proc, &seen, visit, data);
	free(seen.v);
	return r;
}
