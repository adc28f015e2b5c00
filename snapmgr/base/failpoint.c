/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Dying where a test wants it. In test builds only; no malloc and no stdio streams: the guard comes by. */
#include "failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "base.h"

#define TARGETS	   4
#define POINT_TEXT 64

static struct {
	atomic_bool armed;
	bool stop;
	struct {
		char point[POINT_TEXT];
		atomic_uint left; /* times that it is passed */
	} targets[TARGETS];
	char log[PATH_MAX];
} failpoints;

/* "NAME.SIDE:N,..." */
static void aim(const char *points)
{
	for (size_t i = 0; i < TARGETS; i++) {
		unsigned int n = 0;

		failpoints.targets[i].point[0] = '\0';
		if (points && sscanf(points, "%63[^:]:%u", failpoints.targets[i].point, &n) == 2)
			atomic_store(&failpoints.targets[i].left, n);
		points = points ? strchr(points, ',') : NULL;
		points = points ? points + 1 : NULL;
	}
}

void sm_failpoint_arm(const char *points, const char *log, bool stop)
{
	aim(points);
	failpoints.stop = stop;
	(void)sm_copy_text(failpoints.log, sizeof(failpoints.log), log ? log : "");
	atomic_store(&failpoints.armed, true);
}

static void write_log(const char *point)
{
	AUTO(sm_close_fd)
	int fd = open(failpoints.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	char line[POINT_TEXT + 1];
	int len = snprintf(line, sizeof(line), "%s\n", point);

	if (fd >= 0)
		(void)!write(fd, line, (size_t)len);
}

static void die(void)
{
	(void)kill(getpid(), failpoints.stop ? SIGSTOP : SIGKILL);
	while (!failpoints.stop)
		(void)pause();
}

void sm_failpoint(const char *name, enum sm_failpoint_side side)
{
	char point[POINT_TEXT];
	int e = errno;

	if (!atomic_load(&failpoints.armed))
		sm_failpoint_arm(getenv("SM_FAIL"), getenv("SM_FAIL_LOG"), false);
	(void)snprintf(point, sizeof(point), "%s.%s", name, side == SM_BEFORE ? "before" : "after");
	if (*failpoints.log)
		write_log(point);
	for (size_t i = 0; i < TARGETS; i++)
		if (strcmp(failpoints.targets[i].point, point) == 0 &&
		    atomic_fetch_sub(&failpoints.targets[i].left, 1) == 1)
			die();
	errno = e;
}
