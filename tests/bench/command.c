/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whole commands, timed from fork to the end of the process. No shell. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/bench/bench.h"

struct run {
	int status, out; /* out: what it printed, in memory */
	double ms;
	struct rusage usage;
};

static void run(const char *const argv[], struct run *ret)
{
	int out = memfd_create("output", MFD_CLOEXEC);
	double start;
	pid_t pid;

	if (out < 0)
		die("memfd: %s", strerror(errno));
	start = now_ms();
	pid = fork();
	if (pid == 0) {
		int in = open("/dev/null", O_RDONLY | O_CLOEXEC);

		(void)dup2(in, 0);
		(void)dup2(out, 1);
		(void)dup2(out, 2);
		(void)execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &ret->status, 0, &ret->usage) != pid)
		die("cannot run '%s': %s", argv[0], strerror(errno));
	ret->ms = now_ms() - start;
	ret->out = out;
}

static void fail(const char *const argv[], const struct run *r)
{
	char text[1024] = "";
	ssize_t n = pread(r->out, text, sizeof(text) - 1, 0);

	(void)fprintf(stderr, "bench: status %d of:", r->status);
	for (; *argv; argv++)
		(void)fprintf(stderr, " %s", *argv);
	die("%.*s", n > 0 ? (int)n : 0, text);
}

double command_ms(const char *const argv[])
{
	struct run r;

	run(argv, &r);
	if (r.status != 0)
		fail(argv, &r);
	sm_close_fd(r.out);
	return r.ms;
}

bool command_ok(const char *const argv[])
{
	struct run r;

	run(argv, &r);
	sm_close_fd(r.out);
	return r.status == 0;
}

void command_try(const char *const argv[], struct run_result *ret)
{
	struct run r;
	ssize_t n;

	run(argv, &r);
	n = pread(r.out, ret->output, sizeof(ret->output) - 1, 0);
	ret->output[n > 0 ? n : 0] = '\0';
	ret->output[strcspn(ret->output, "\n")] = '\0';
	ret->status = r.status;
	ret->ms = r.ms;
	sm_close_fd(r.out);
}

void command_usage(const char *const argv[], struct usage *ret)
{
	struct stat st;
	struct run r;

	run(argv, &r);
	if (r.status != 0)
		fail(argv, &r);
	ret->cpu_ms = (double)(r.usage.ru_utime.tv_sec + r.usage.ru_stime.tv_sec) * 1e3 +
		      (double)(r.usage.ru_utime.tv_usec + r.usage.ru_stime.tv_usec) / 1e3;
	ret->peak_mib = (double)r.usage.ru_maxrss / 1024;
	ret->out_bytes = fstat(r.out, &st) == 0 ? (size_t)st.st_size : 0;
	sm_close_fd(r.out);
}

void settle(void)
{
	if (access("/run/udev/control", F_OK) == 0)
		(void)command_ok(ARGV("udevadm", "settle", "--timeout=60"));
}

bool have(const char *program)
{
	char path[4096], *save = NULL;
	const char *dirs = getenv("PATH");

	if (!dirs || sm_copy_text(path, sizeof(path), dirs) < 0)
		return false;
	for (char *dir = strtok_r(path, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		char file[4200];

		(void)snprintf(file, sizeof(file), "%s/%s", dir, program);
		if (access(file, X_OK) == 0)
			return true;
	}
	return false;
}
