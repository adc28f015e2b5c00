/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loop devices in use. The kernel takes no exclusive claim on what is behind them, so neither
 * O_EXCL nor a device's holders folder tell of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "loops.h"
#include "sys.h"

static dev_t decode(uint64_t kernel)
{
	return makedev((unsigned int)(kernel >> 8 & 0xfff),
		       (unsigned int)((kernel & 0xff) | (kernel >> 12 & 0xfff00)));
}

/* The loop's own word: what is behind it, whatever its path means by now and to us. */
static bool ask(struct shost_loop *loop)
{
	AUTO(sm_close_fd) int fd = shost_open_node(loop->devno, O_RDONLY);
	struct loop_info64 info;

	if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return false;
	loop->behind_node = decode(info.lo_rdevice);
	loop->behind_file = loop->behind_node ? 0 : decode(info.lo_device);
	return true;
}

/* Without a node to ask: by its path. */
static void guess(struct shost_loop *loop)
{
	struct stat st;

	if (stat(loop->path, &st) < 0)
		return;
	if (S_ISBLK(st.st_mode))
		loop->behind_node = st.st_rdev;
	else
		loop->behind_file = st.st_dev;
}

static int add(struct shost_loops *loops, int sysfd, const char *name, const char *path)
{
	struct shost_loop *more = realloc(loops->v, (loops->n + 1) * sizeof(*more));
	struct shost_loop *loop;

	if (!more)
		return -ENOMEM;
	loops->v = more;
	loop = &more[loops->n];
	*loop = (struct shost_loop){ .devno = shost_sys_devno(sysfd, name), .path = strdup(path) };
	if (!loop->path)
		return -ENOMEM;
	loops->n++;
	(void)sm_copy_text(loop->kname, sizeof(loop->kname), name);
	if (!ask(loop))
		guess(loop);
	return 0;
}

int shost_loops_load(struct shost_loops *ret)
{
	AUTO(shost_close_dir) DIR *all = shost_dir(AT_FDCWD, "/sys/block");
	struct shost_loops loops = { 0 };
	char file[300], path[PATH_MAX];
	const char *name;
	int r = 0;

	if (!all)
		return -errno;
	while (r == 0 && (name = shost_next(all))) {
		if (strncmp(name, "loop", 4) != 0)
			continue;
		(void)snprintf(file, sizeof(file), "%s/loop/backing_file", name);
		if (shost_read_text(dirfd(all), file, path, sizeof(path)) > 0)
			r = add(&loops, dirfd(all), name, path);
	}
	if (r < 0)
		shost_loops_release(&loops);
	else
		*ret = loops;
	return r;
}

void shost_loops_release(struct shost_loops *loops)
{
	for (size_t i = 0; i < loops->n; i++)
		free(loops->v[i].path);
	free(loops->v);
	*loops = (struct shost_loops){ 0 };
}
