/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fio in the background, and what it says in the end. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/bench/bench.h"

static char out_path[64];

pid_t fio_start(const char *job, const char *device, int seconds, const char *log)
{
	char runtime[16], log_arg[256], out_arg[96];
	const char *argv[12] = { "fio", job, "--output-format=json", out_arg };
	pid_t pid;

	(void)snprintf(out_path, sizeof(out_path), "/tmp/bench-fio.%d", (int)getpid());
	(void)snprintf(out_arg, sizeof(out_arg), "--output=%s", out_path);
	(void)snprintf(runtime, sizeof(runtime), "%d", seconds);
	(void)setenv("DEVICE", device, 1);
	(void)setenv("RUNTIME", runtime, 1);
	if (log) {
		(void)snprintf(log_arg, sizeof(log_arg), "--write_lat_log=%s", log);
		argv[4] = log_arg;
		argv[5] = "--log_avg_msec=50";
		argv[6] = "--log_max_value=1";
	}
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		(void)dup2(null, 0);
		(void)dup2(null, 1);
		(void)execvp("fio", (char *const *)argv);
		_exit(127);
	}
	if (pid < 0)
		die("cannot start fio: %s", strerror(errno));
	return pid;
}

/* What all jobs did in that direction, in MB/s. */
static double rate(json_t *jobs, const char *direction)
{
	double sum = 0;
	json_t *job;
	size_t i;

	json_array_foreach(jobs, i, job) sum += json_number_value(
		json_object_get(json_object_get(job, direction), "bw_bytes"));
	return sum / 1e6;
}

void fio_end(pid_t pid, struct fio_result *ret)
{
	json_t *root, *jobs, *write;
	json_error_t error;
	int status;

	if (waitpid(pid, &status, 0) != pid || status != 0)
		die("fio ended with status %d", status);
	root = json_load_file(out_path, 0, &error);
	if (!root)
		die("cannot read what fio says: %s", error.text);
	jobs = json_object_get(root, "jobs");
	write = json_object_get(json_array_get(jobs, 0), "write");
	ret->iops = json_number_value(json_object_get(write, "iops"));
	ret->longest_ms = json_number_value(
				  json_object_get(json_object_get(write, "lat_ns"), "max")) /
			  1e6;
	ret->read_mb_s = rate(jobs, "read");
	ret->write_mb_s = rate(jobs, "write");
	json_decref(root);
	if (ret->write_mb_s <= 0)
		die("fio wrote nothing");
}
