/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mountinfo.h - the kernel's list of mounts, of our own or another mount namespace */
#ifndef SHOST_MOUNTINFO_H
#define SHOST_MOUNTINFO_H

#include <sys/types.h>

#include "base.h"

struct shost_mountinfo {
	int id, parent;
	dev_t devno; /* of the superblock; btrfs: an anonymous number */
	const char *root, *target;
	const char *flags; /* per mount: "rw,noatime" */
	bool shared, slave, unbindable;
	const char *fstype, *source;
	const char *super; /* per superblock: "rw,errors=remount-ro" */
};

/* shost_mountinfo_line() - take one line apart, in place; @ret points into it. 0 or -EINVAL. */
int shost_mountinfo_line(char *line, struct shost_mountinfo *ret);

struct shost_mounttab {
	int32_t pid; /* in whose namespace; 0: ours */
	char *text;
	struct shost_mountinfo *v;
	size_t n;
};
/* shost_mounttab_parse() - takes over @text (from malloc), also on failure. 0 or -ENOMEM. */
int shost_mounttab_parse(char *text, struct shost_mounttab *ret);
/* shost_mounttab_load() - @pid 0: ours. 0 or -errno. */
int shost_mounttab_load(int32_t pid, struct shost_mounttab *ret);
void shost_mounttab_release(struct shost_mounttab *tab);
static inline void auto_shost_mounttab_release(struct shost_mounttab *tab)
{
	shost_mounttab_release(tab);
}

/* shost_mounttab_of_path() - the mount that an absolute path lies in, by name; NULL: none. */
const struct shost_mountinfo *shost_mounttab_of_path(const struct shost_mounttab *tab,
						     const char *path);
/**
 * shost_mount_open() - open a mount's top, with O_PATH
 *
 * Return: descriptor; -ESTALE where another mount hides it; -errno.
 */
int shost_mount_open(const struct shost_mountinfo *m, int32_t pid);
/* shost_ns_path() - @path as seen from the namespace of @pid; @ret is cut at @size. */
void shost_ns_path(int32_t pid, const char *path, char *ret, size_t size);

/**
 * shost_namespaces() - visit one process in each mount namespace but ours
 *
 * One readlink for each process. A namespace is visited again while the processes met in it had a
 * root of their own and so did not show all of it. Return: 0, what @visit answered, or -errno.
 */
typedef int shost_namespace_fn(int32_t pid, void *data);
int shost_namespaces(shost_namespace_fn *visit, void *data);

/* One line of /proc/swaps. */
struct shost_swap {
	const char *path; /* unescaped, without the mark for deleted names */
	bool partition, deleted;
};
/* shost_swap_line() - take it apart, in place. 0; -EINVAL, also for the heading. */
int shost_swap_line(char *line, struct shost_swap *ret);

#endif
