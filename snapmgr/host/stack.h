/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * stack.h - the mounted filesystems on some block devices, at whatever height
 *
 * Between a device and a filesystem on it may lie partitions, dm, md and loop devices, and another
 * filesystem with a loop device's file in it.
 */
#ifndef SHOST_STACK_H
#define SHOST_STACK_H

#include "fsdev.h"
#include "loops.h"

struct shost_stack_fs {
	const struct shost_mounttab *tab; /* where it was seen */
	const struct shost_mountinfo *m;
	size_t first_above; /* those from this index up to itself lie on files in it */
};

struct shost_stack_dev {
	struct shost_fsdev dev;
	bool visited;
};

struct shost_stack {
	struct shost_mounttab **tabs; /* ours first; the others only where they were needed */
	size_t n_tabs;
	bool all_tabs;
	struct shost_loops loops;
	struct shost_stack_dev *devs; /* all that were met; those asked for come first */
	size_t n_devs;
	struct shost_stack_fs *fs; /* each once, and whatever lies on one comes before it */
	size_t n_fs;
};

/* shost_stack_find() - 0; -ENOENT (no such device); -errno. Call shost_stack_release() after. */
int shost_stack_find(struct shost_stack *stack, const dev_t *devices, size_t n);
void shost_stack_release(struct shost_stack *stack);
static inline void auto_shost_stack_release(struct shost_stack *stack)
{
	shost_stack_release(stack);
}

#endif
