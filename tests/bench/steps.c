/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the time of a snapshot and of a revert goes: each call of the library that leaves the process,
 * timed by what the linker puts in its place. Prints the table of doc/PERFORMANCE.md. Medians; the rest
 * is what the library and SQLite do by themselves.
 */
#include <fcntl.h>
#include <libdevmapper.h>
#include <string.h>

#include "tests/bench/bench.h"

#define ROUNDS 101
#define STEPS  24

struct step {
	char name[48];
	double ms[ROUNDS], calls;
};
static struct step steps[STEPS];
static size_t n_steps;
static int current; /* round */
static bool watching;
static int last_task;

static struct step *step_at(const char *name)
{
	size_t i = 0;

	while (i < n_steps && strcmp(steps[i].name, name) != 0)
		i++;
	if (i == STEPS)
		die("too many steps");
	if (i == n_steps) {
		(void)sm_copy_text(steps[i].name, sizeof(steps[i].name), name);
		n_steps++;
	}
	return &steps[i];
}

static void account(const char *name, double start)
{
	struct step *s;

	if (!watching)
		return;
	s = step_at(name);
	s->ms[current] += now_ms() - start;
	s->calls++;
}

/* ---- in the place of what leaves the process ---- */

struct dm_task *__real_dm_task_create(int type);
struct dm_task *__wrap_dm_task_create(int type);
int __real_dm_task_run(struct dm_task *t);
int __wrap_dm_task_run(struct dm_task *t);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
ssize_t __real_pwrite(int fd, const void *from, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *from, size_t len, off_t at);
ssize_t __real_pread(int fd, void *to, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *to, size_t len, off_t at);
int __real_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode);
int __real_ioctl(int fd, unsigned long request, void *arg);
int __wrap_ioctl(int fd, unsigned long request, void *arg);
int __real_fcntl(int fd, int command, void *arg);
int __wrap_fcntl(int fd, int command, void *arg);

struct dm_task *__wrap_dm_task_create(int type)
{
	last_task = type;
	return __real_dm_task_create(type);
}

static const char *task_name(int type)
{
	switch (type) {
	case DM_DEVICE_SUSPEND:
		return "dm: suspend";
	case DM_DEVICE_RESUME:
		return "dm: resume";
	case DM_DEVICE_RELOAD:
		return "dm: load the table";
	case DM_DEVICE_TARGET_MSG:
		return "dm: create_snap, commits metadata";
	case DM_DEVICE_STATUS:
	case DM_DEVICE_INFO:
		return "dm: status, info";
	default:
		return "dm: other";
	}
}

int __wrap_dm_task_run(struct dm_task *t)
{
	const char *name = task_name(last_task);
	double start = now_ms();
	int ok = __real_dm_task_run(t);

	account(name, start);
	return ok;
}

int __wrap_fdatasync(int fd)
{
	double start = now_ms();
	int r = __real_fdatasync(fd);

	account("catalogue: flush", start);
	return r;
}

ssize_t __wrap_pwrite(int fd, const void *from, size_t len, off_t at)
{
	double start = now_ms();
	ssize_t n = __real_pwrite(fd, from, len, at);

	account("catalogue: write", start);
	return n;
}

ssize_t __wrap_pread(int fd, void *to, size_t len, off_t at)
{
	double start = now_ms();
	ssize_t n = __real_pread(fd, to, len, at);

	account("catalogue: read", start);
	return n;
}

int __wrap_open(const char *path, int flags, mode_t mode)
{
	double start = now_ms();
	int fd = __real_open(path, flags, mode);

	account("open", start);
	return fd;
}

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	double start = now_ms();
	int r = __real_ioctl(fd, request, arg);

	account("ioctl: suspend, resume, buffers", start);
	return r;
}

int __wrap_fcntl(int fd, int command, void *arg)
{
	double start = now_ms();
	int r = __real_fcntl(fd, command, arg);

	account("locks", start);
	return r;
}

/* ---- rounds ---- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double v[ROUNDS])
{
	qsort(v, ROUNDS, sizeof(*v), by_value);
	return v[ROUNDS / 2];
}

static void print_steps(const char *verb, double whole[ROUNDS])
{
	double all = median(whole), known = 0;

	printf("\n| %s | ms | share | calls |\n|---|---|---|---|\n", verb);
	for (size_t i = 0; i < n_steps; i++) {
		double ms = median(steps[i].ms);

		known += ms;
		printf("| %s | %.3f | %.0f %% | %.1f |\n", steps[i].name, ms, ms / all * 100,
		       steps[i].calls / ROUNDS);
	}
	printf("| the rest: our own code and SQLite | %.3f | %.0f %% | |\n", all - known,
	       (all - known) / all * 100);
	printf("| **all** | %.3f | | |\n", all);
	memset(steps, 0, sizeof(steps));
	n_steps = 0;
}

static void watch(const char *verb, void (*act)(int i))
{
	static double whole[ROUNDS];

	act(-1);
	for (current = 0; current < ROUNDS; current++) {
		double start = now_ms();

		watching = true;
		act(current);
		watching = false;
		whole[current] = now_ms() - start;
	}
	current = 0;
	print_steps(verb, whole);
}

static void take(int i)
{
	char spec[64];

	(void)snprintf(spec, sizeof(spec), "bench/v@s%d", i + 1);
	snapshot_take(spec);
}

static void go_back(int i)
{
	struct snapmgr_err err;

	(void)i;
	must(snapmgr_revert(bench.sm, "bench/v@s1", NULL, NULL, &err), &err);
}

int main(int argc, char **argv)
{
	bench_start(0, false, argc, argv);
	pool_make();
	volume_make("bench/v", SM_GIB);
	watch("snapshot", take);
	watch("revert", go_back);
	bench_end();
	return 0;
}
