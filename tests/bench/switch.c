/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a snapshot and a revert of an active volume cost: the library's calls against the bare
 * libdevmapper sequences for the same end, in one run, alternating. No udevd runs, so nobody waits for
 * one. Arguments: the devices to make a pool of; they are overwritten.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libdevmapper.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "base.h"

#define ROUNDS	 41
#define FIRST_ID 1000000u /* far from the ids that the library hands out */

enum what { BARE_SNAPSHOT, LIB_SNAPSHOT, BARE_REVERT, LIB_REVERT, WHATS };

struct bench {
	struct snapmgr *sm;
	uint64_t size_bytes;
	uint32_t next_id, snap_id; /* of the bare volume */
	double ms[WHATS][ROUNDS];
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fprintf(stderr, "bench: ");
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static void must(int r, const struct snapmgr_err *err)
{
	if (r < 0)
		die("%s", err->message);
}

static double now_ms(void)
{
	return (double)sm_monotonic_ns() / 1e6;
}

/* ---- the bare sequences, nothing around them ---- */

static void run(struct dm_task *t, const char *what)
{
	if (!t || !dm_task_run(t))
		die("bare %s failed", what);
	dm_task_destroy(t);
}

static struct dm_task *task(int type, const char *name)
{
	struct dm_task *t = dm_task_create(type);

	if (!t || !dm_task_set_name(t, name))
		die("cannot build a task");
	return t;
}

static void simple(int type, const char *name)
{
	run(task(type, name), name);
}

static void message(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void message(const char *name, const char *fmt, ...)
{
	struct dm_task *t = task(DM_DEVICE_TARGET_MSG, name);
	char text[64];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)dm_task_set_sector(t, 0);
	(void)dm_task_set_message(t, text);
	run(t, text);
}

static void load_thin(const char *name, uint32_t id, uint64_t bytes, int type)
{
	struct dm_task *t = task(type, name);
	char params[64];

	(void)snprintf(params, sizeof(params), "/dev/mapper/snapmgr-bench-_pool %u", id);
	(void)dm_task_add_target(t, 0, bytes / SM_SECTOR, "thin", params);
	run(t, params);
}

static void bare_make(struct bench *b)
{
	b->snap_id = b->next_id = FIRST_ID;
	message("snapmgr-bench-_pool", "create_thin %u", b->next_id++);
	load_thin("bare", b->snap_id, b->size_bytes, DM_DEVICE_CREATE);
}

static double bare_snapshot(struct bench *b)
{
	double start = now_ms();

	simple(DM_DEVICE_SUSPEND, "bare");
	message("snapmgr-bench-_pool", "create_snap %u %u", b->next_id++, FIRST_ID);
	simple(DM_DEVICE_RESUME, "bare");
	return now_ms() - start;
}

/* To the first snapshot taken: an id that nothing maps. */
static double bare_revert(struct bench *b)
{
	double start = now_ms();

	message("snapmgr-bench-_pool", "create_snap %u %u", b->next_id, FIRST_ID + 1);
	load_thin("bare", b->next_id++, b->size_bytes, DM_DEVICE_RELOAD);
	simple(DM_DEVICE_SUSPEND, "bare");
	simple(DM_DEVICE_RESUME, "bare");
	return now_ms() - start;
}

static void bare_remove(struct bench *b)
{
	simple(DM_DEVICE_REMOVE, "bare");
	while (b->next_id > FIRST_ID)
		message("snapmgr-bench-_pool", "delete %u", --b->next_id);
}

/* ---- the library's calls ---- */

static double lib_snapshot(struct bench *b, int i)
{
	struct snapmgr_err err;
	char spec[64];
	const char *specs[] = { spec };
	double start = now_ms();

	(void)snprintf(spec, sizeof(spec), "bench/v@s%d", i);
	must(snapmgr_snapshot(b->sm, specs, 1, NULL, NULL, NULL, &err), &err);
	return now_ms() - start;
}

static double lib_revert(struct bench *b)
{
	struct snapmgr_err err;
	double start = now_ms();

	must(snapmgr_revert(b->sm, "bench/v@s0", NULL, NULL, &err), &err);
	return now_ms() - start;
}

/* ---- figures ---- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double v[ROUNDS])
{
	qsort(v, ROUNDS, sizeof(*v), by_value);
	return v[ROUNDS / 2];
}

static void print_pair(struct bench *b, const char *name, enum what bare, enum what lib,
		       double limit)
{
	double m_bare = median(b->ms[bare]), m_lib = median(b->ms[lib]);

	printf("%-9s %8" PRIu64
	       " GiB  bare %7.3f ms  library %7.3f ms (%.3f to %.3f)  ratio %.2f (target %.0f)\n",
	       name, b->size_bytes >> 30, m_bare, m_lib, b->ms[lib][0], b->ms[lib][ROUNDS - 1],
	       m_lib / m_bare, limit);
}

static void measure(struct bench *b)
{
	struct snapmgr_create_opts create = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);
	struct snapmgr_delete_opts del = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);
	struct snapmgr_err err;

	create.size_bytes = b->size_bytes;
	del.recursive = true;
	must(snapmgr_create(b->sm, "bench/v", &create, NULL, NULL, &err), &err);
	bare_make(b);
	for (int i = 0; i < ROUNDS; i++) {
		b->ms[BARE_SNAPSHOT][i] = bare_snapshot(b);
		b->ms[LIB_SNAPSHOT][i] = lib_snapshot(b, i);
	}
	for (int i = 0; i < ROUNDS; i++) {
		b->ms[BARE_REVERT][i] = bare_revert(b);
		b->ms[LIB_REVERT][i] = lib_revert(b);
	}
	print_pair(b, "snapshot", BARE_SNAPSHOT, LIB_SNAPSHOT, 3);
	print_pair(b, "revert", BARE_REVERT, LIB_REVERT, 4);
	bare_remove(b);
	must(snapmgr_delete(b->sm, "bench/v", &del, NULL, NULL, &err), &err);
}

/* The whole command's peak memory. */
static void print_memory(const char *const argv[])
{
	struct rusage usage;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

		(void)dup2(fd, 1);
		(void)execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	if (wait4(pid, &status, 0, &usage) != pid || status != 0)
		die("'%s %s' failed", argv[0], argv[1]);
	printf("command   '%s %s': %.1f MiB at most (target 16)\n", argv[0], argv[1],
	       (double)usage.ru_maxrss / 1024);
}

int main(int argc, char **argv)
{
	static const uint64_t sizes[] = { SM_GIB, 64 * SM_GIB, SM_TIB, 15 * SM_TIB };
	static struct bench b;
	struct snapmgr_err err;

	if (argc < 2)
		die("usage: switch DEVICE...");
	(void)setenv("DM_DISABLE_UDEV", "1", 1);
	must(snapmgr_open(NULL, &b.sm, &err), &err);
	must(snapmgr_pool_create(b.sm, "bench", (const char *const *)argv + 1, (size_t)argc - 1,
				 NULL, &err),
	     &err);
	for (size_t i = 0; i < SM_ARRAY(sizes); i++) {
		b.size_bytes = sizes[i];
		measure(&b);
	}
	print_memory((const char *const[]){ "snapmgr", "list", NULL });
	must(snapmgr_pool_destroy(b.sm, "bench", NULL, &err), &err);
	snapmgr_free(b.sm);
	return 0;
}
