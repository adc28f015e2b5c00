/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The block devices that are made of another one, from sysfs. Loop devices: loops.c. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "sys.h"
#include "upper.h"

/* @prefix: of the names to be looked at; opening each entry of a folder to see what it is costs. */
static int visit_all(DIR *dir, const char *prefix, bool (*wanted)(int sysfd), shost_upper_fn *visit,
		     void *data)
{
	const char *name;
	int r = 0;

	while (r == 0 && (name = shost_next(dir))) {
		AUTO(sm_close_fd) int fd = -1;
		dev_t devno;

		if (strncmp(name, prefix, strlen(prefix)) != 0)
			continue;
		fd = openat(dirfd(dir), name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || !wanted(fd))
			continue;
		devno = shost_sys_devno(fd, ".");
		if (devno)
			r = visit(devno, name, fd, data);
	}
	return r;
}

static bool any(int sysfd)
{
	(void)sysfd;
	return true;
}

static bool is_partition(int sysfd)
{
	return faccessat(sysfd, "partition", F_OK, 0) == 0;
}

int shost_holders_of(dev_t devno, shost_upper_fn *visit, void *data)
{
	AUTO(sm_close_fd) int sysfd = shost_sys_open(devno);
	AUTO(shost_close_dir) DIR *dir = NULL;

	if (sysfd < 0)
		return sysfd;
	dir = shost_dir(sysfd, "holders");
	return dir ? visit_all(dir, "", any, visit, data) : 0;
}

int shost_partitions_of(dev_t devno, shost_upper_fn *visit, void *data)
{
	AUTO(sm_close_fd) int sysfd = shost_sys_open(devno);
	AUTO(shost_close_dir) DIR *dir = NULL;
	char disk[SHOST_KNAME];
	int r;

	if (sysfd < 0)
		return sysfd;
	if (faccessat(sysfd, "dm", F_OK, 0) == 0) /* those have partitions mapped on top */
		return 0;
	r = shost_sys_kname(devno, disk);
	if (r < 0)
		return r;
	dir = shost_dir(sysfd, ".");
	return dir ? visit_all(dir, disk, is_partition, visit, data) : 0;
}
