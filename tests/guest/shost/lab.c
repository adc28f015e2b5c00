/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices, filesystems and processes for the tests of host/. */
#include "lab.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>

#include "snapmgr/host/loops.h"
#include "snapmgr/host/mountinfo.h"
#include "snapmgr/host/sys.h"

static int ready_fd = -1;

static bool unmount_round(void)
{
	AUTO(shost_mounttab_release) struct shost_mounttab tab = { 0 };
	bool any = false;

	ATF_REQUIRE_EQ(0, shost_mounttab_load(0, &tab));
	for (size_t i = tab.n; i-- > 0;)
		if (shost_path_below(tab.v[i].target, LAB))
			any = umount2(tab.v[i].target, UMOUNT_NOFOLLOW) == 0 || any;
	return any;
}

static void swap_off(void)
{
	AUTO(free) char *text = NULL;
	struct shost_swap swap;
	char *rest, *line;

	if (shost_read_file("/proc/swaps", &text) < 0)
		return;
	rest = text;
	while ((line = strsep(&rest, "\n")))
		if (shost_swap_line(line, &swap) == 0)
			(void)swapoff(swap.path);
}

static bool has_dm(void)
{
	AUTO(shost_close_dir) DIR *all = shost_dir(AT_FDCWD, "/sys/block");
	const char *name;

	while (all && (name = shost_next(all)))
		if (strncmp(name, "dm-", 3) == 0)
			return true;
	return false;
}

static bool has_loops(void)
{
	AUTO(shost_loops_release) struct shost_loops loops = { 0 };

	return shost_loops_load(&loops) == 0 && loops.n > 0;
}

void lab_fresh(void)
{
	swap_off();
	for (int i = 0; i < 5; i++) {
		while (unmount_round())
			;
		if (has_dm())
			(void)!system("dmsetup remove_all --force");
		if (has_loops())
			(void)!system("losetup -D");
	}
	ATF_REQUIRE_MSG(!has_dm() && !has_loops(), "something is left of another test");
	lab_run("rm -rf " LAB "; mkdir " LAB);
}

static void wipe(const char *path)
{
	AUTO(sm_close_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
	static const char zero[1 << 20];

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ(sizeof(zero), write(fd, zero, sizeof(zero)));
	ATF_REQUIRE(lseek(fd, -(off_t)sizeof(zero), SEEK_END) > 0);
	ATF_REQUIRE_EQ(sizeof(zero), write(fd, zero, sizeof(zero)));
	ATF_REQUIRE_EQ(0, fsync(fd));
}

const char *lab_disk(unsigned int n)
{
	static const char *disks[8];
	char *rest, *name;

	ATF_REQUIRE(n < SM_ARRAY(disks));
	if (disks[n])
		return disks[n];
	ATF_REQUIRE_MSG(getenv("SANDBOX_DISKS"), "outside of a guest");
	rest = strdup(getenv("SANDBOX_DISKS"));
	name = strsep(&rest, " ");
	for (unsigned int i = 0; i < n; i++)
		name = strsep(&rest, " ");
	ATF_REQUIRE(name && *name);
	wipe(name);
	disks[n] = name;
	return name;
}

void lab_run(const char *fmt, ...)
{
	char command[2048];
	va_list ap;
	int status;

	va_start(ap, fmt);
	(void)vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	status = system(command);
	ATF_REQUIRE_MSG(status == 0, "'%s' failed: %d", command, status);
}

dev_t lab_devno(const char *path)
{
	dev_t devno = shost_rdev(path);

	ATF_REQUIRE_MSG(devno, "'%s' is no block device", path);
	return devno;
}

const char *lab_linear(const char *name, const char *below)
{
	static char paths[4][64];
	static unsigned int next;
	char *path = paths[next++ % SM_ARRAY(paths)];
	struct shost_device dev;

	ATF_REQUIRE_EQ(0, shost_device(below, &dev, NULL));
	lab_run("dmsetup create %s --table '0 %ju linear %s 0'", name,
		(uintmax_t)(dev.size_bytes / SM_SECTOR), below);
	(void)snprintf(path, sizeof(paths[0]), "/dev/mapper/%s", name);
	return path;
}

void lab_write(const char *path, const char *text)
{
	AUTO(sm_close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ATF_REQUIRE_MSG(fd >= 0, "cannot make '%s': %s", path, strerror(errno));
	ATF_REQUIRE_EQ((ssize_t)strlen(text), write(fd, text, strlen(text)));
}

const char *lab_read(const char *path)
{
	static char text[64];

	if (shost_read_text(AT_FDCWD, path, text, sizeof(text)) < 0)
		text[0] = '\0';
	return text;
}

pid_t lab_child(lab_work_fn *work, const void *data)
{
	int fds[2];
	pid_t pid;
	char c;

	ATF_REQUIRE_EQ(0, pipe2(fds, O_CLOEXEC));
	pid = fork();
	ATF_REQUIRE(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		ready_fd = fds[1];
		work(data);
		_exit(0);
	}
	(void)close(fds[1]);
	ATF_REQUIRE_EQ_MSG(1, read(fds[0], &c, 1), "the child did not get ready");
	(void)close(fds[0]);
	return pid;
}

void lab_ready(void)
{
	if (write(ready_fd, "r", 1) != 1)
		_exit(1);
}

void lab_end(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static int collect(const struct shost_holder *holder, void *data)
{
	struct lab_holders *all = data;

	ATF_REQUIRE(all->n < SM_ARRAY(all->v));
	all->v[all->n++] = *holder;
	return 0;
}

void lab_holders(const char *device, unsigned int kinds, struct lab_holders *ret)
{
	struct snapmgr_err err = { 0 };

	ret->n = 0;
	ATF_REQUIRE_EQ_MSG(0, shost_holders(lab_devno(device), kinds, collect, ret, &err), "%s",
			   err.message);
}

void lab_check_held(const char *device, unsigned int kind, const char *fmt, ...)
{
	struct lab_holders h;
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	lab_holders(device, kind, &h);
	for (size_t i = 0; i < h.n; i++)
		printf("%s: %s\n", device, h.v[i].what);
	ATF_CHECK_EQ_MSG(1, h.n, "%s: %zu holders, not '%s'", device, h.n, what);
	if (h.n == 1) {
		ATF_CHECK_STREQ(what, h.v[0].what);
		ATF_CHECK_EQ(kind, h.v[0].kind);
	}
}
