/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mounted filesystems above some block devices, uppermost first: a walk in post-order, so that
 * each is listed only after all that lies on it.
 */
#include <errno.h>
#include <string.h>

#include "stack.h"
#include "upper.h"

static int visit_device(struct shost_stack *stack, dev_t devno);

/* ---- tables of mounts ---- */

static int add_tab(int32_t pid, void *data)
{
	struct shost_stack *stack = data;
	struct shost_mounttab **more, *tab;
	int r;

	more = realloc(stack->tabs, (stack->n_tabs + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	stack->tabs = more;
	tab = calloc(1, sizeof(*tab));
	if (!tab)
		return -ENOMEM;
	r = shost_mounttab_load(pid, tab);
	if (r < 0) {
		free(tab);
		return pid ? 0 : r; /* another process may end meanwhile */
	}
	more[stack->n_tabs++] = tab;
	return 0;
}

static int load_other_tabs(struct shost_stack *stack)
{
	if (stack->all_tabs)
		return 0;
	stack->all_tabs = true;
	return shost_namespaces(add_tab, stack);
}

/* ---- filesystems ---- */

static bool is_listed(const struct shost_stack *stack, dev_t fs)
{
	for (size_t i = 0; i < stack->n_fs; i++)
		if (stack->fs[i].m->devno == fs)
			return true;
	return false;
}

static bool lies_in(const struct shost_loop *loop, const struct shost_mounttab *tab,
		    const struct shost_mountinfo *m)
{
	const struct shost_mountinfo *by_path;

	if (!loop->behind_file)
		return false;
	if (loop->behind_file == m->devno)
		return true;
	by_path = shost_mounttab_of_path(tab,
					 loop->path); /* btrfs: each subvolume has its st_dev */
	return by_path && by_path->devno == m->devno;
}

static int visit_fs(struct shost_stack *stack, const struct shost_mounttab *tab,
		    const struct shost_mountinfo *m)
{
	struct shost_stack_fs fs = { .tab = tab, .m = m, .first_above = stack->n_fs };
	struct shost_stack_fs *more;
	int r;

	if (is_listed(stack, m->devno))
		return 0;
	for (size_t i = 0; i < stack->loops.n; i++) {
		if (!lies_in(&stack->loops.v[i], tab, m))
			continue;
		r = visit_device(stack, stack->loops.v[i].devno);
		if (r < 0)
			return r;
	}
	more = realloc(stack->fs, (stack->n_fs + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	stack->fs = more;
	stack->fs[stack->n_fs++] = fs;
	return 0;
}

/* Return: 1 where @tab shows a filesystem that uses @dev, 0, or -errno. */
static int search_tab(struct shost_stack *stack, const struct shost_mounttab *tab,
		      const struct shost_fsdev *dev)
{
	bool found = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < tab->n; i++) {
		if (shost_fsdev_use(dev, &tab->v[i], tab->pid) == SHOST_USE_NONE)
			continue;
		found = true;
		r = visit_fs(stack, tab, &tab->v[i]);
	}
	return r < 0 ? r : found;
}

static int visit_mounts(struct shost_stack *stack, const struct shost_fsdev *dev)
{
	int r = search_tab(stack, stack->tabs[0], dev);

	if (r != 0 || !(dev->mounted || dev->journal))
		return r < 0 ? r : 0;
	r = load_other_tabs(stack);
	for (size_t i = 1; r == 0 && i < stack->n_tabs; i++)
		r = search_tab(stack, stack->tabs[i], dev);
	return r < 0 ? r : 0;
}

/* ---- devices ---- */

static size_t index_of(const struct shost_stack *stack, dev_t devno)
{
	size_t i = 0;

	while (i < stack->n_devs && stack->devs[i].dev.devno != devno)
		i++;
	return i;
}

static int meet(struct shost_stack *stack, dev_t devno)
{
	struct shost_stack_dev *more = realloc(stack->devs, (stack->n_devs + 1) * sizeof(*more));
	int r;

	if (!more)
		return -ENOMEM;
	stack->devs = more;
	more[stack->n_devs].visited = false;
	r = shost_fsdev_look(devno, &more[stack->n_devs].dev);
	if (r == 0)
		stack->n_devs++;
	return r;
}

static int on_upper(dev_t devno, const char *kname, int sysfd, void *data)
{
	(void)kname;
	(void)sysfd;
	return visit_device(data, devno);
}

static int visit_above(struct shost_stack *stack, const struct shost_fsdev *dev)
{
	int r = shost_partitions_of(dev->devno, on_upper, stack);

	if (r == 0)
		r = shost_holders_of(dev->devno, on_upper, stack);
	for (size_t i = 0; r == 0 && i < stack->loops.n; i++)
		if (stack->loops.v[i].behind_node == dev->devno)
			r = visit_device(stack, stack->loops.v[i].devno);
	return r < 0 ? r : visit_mounts(stack, dev);
}

static int visit_device(struct shost_stack *stack, dev_t devno)
{
	size_t i = index_of(stack, devno);
	struct shost_fsdev dev;
	int r;

	if (i == stack->n_devs) {
		r = meet(stack, devno);
		if (r < 0)
			return r == -ENOENT ? 0 : r; /* an upper device may go meanwhile */
	}
	if (stack->devs[i].visited)
		return 0;
	stack->devs[i].visited = true;
	dev = stack->devs[i].dev; /* a copy, since visiting moves the list */
	return visit_above(stack, &dev);
}

int shost_stack_find(struct shost_stack *stack, const dev_t *devices, size_t n)
{
	int r = add_tab(0, stack);

	if (r == 0)
		r = shost_loops_load(&stack->loops);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = meet(stack, devices[i]);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = visit_device(stack, devices[i]);
	return r;
}

void shost_stack_release(struct shost_stack *stack)
{
	for (size_t i = 0; i < stack->n_tabs; i++) {
		shost_mounttab_release(stack->tabs[i]);
		free(stack->tabs[i]);
	}
	free(stack->tabs);
	free(stack->devs);
	free(stack->fs);
	shost_loops_release(&stack->loops);
	*stack = (struct shost_stack){ 0 };
}
