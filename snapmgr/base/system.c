/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Small wishes to the operating system: clocks, folders, programs. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base.h"

extern char **environ;

int64_t sm_now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

uint64_t sm_monotonic_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int sm_mkdir_p(const char *path, unsigned int mode, struct snapmgr_err *err)
{
	char part[512];

	if (sm_copy_text(part, sizeof(part), path) < 0)
		return sm_fail(err, SNAPMGR_INTERNAL, ENAMETOOLONG, "path '%.100s...' is too long",
			       path);
	for (char *p = part + 1;; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = '\0';
		if (SM_STEP("folder.make", mkdir(part, mode)) < 0 && errno != EEXIST)
			return sm_fail(err,
				       errno == EACCES || errno == EPERM ? SNAPMGR_PERMISSION :
									   SNAPMGR_IO,
				       errno, "cannot make folder '%s'", part);
		if (!c)
			return 0;
		*p = c;
	}
}

void sm_signals_hold(sigset_t *ret_before)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS };
	sigset_t most;

	(void)sigfillset(&most);
	for (size_t i = 0; i < SM_ARRAY(faults); i++)
		(void)sigdelset(&most, faults[i]);
	(void)pthread_sigmask(SIG_BLOCK, &most, ret_before);
}

void sm_signals_release(const sigset_t *before)
{
	(void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* What the program says, up to @size - 1 bytes; the rest is read and dropped. */
static void collect(int fd, char *out, size_t size)
{
	char drop[512];
	size_t len = 0;
	ssize_t n;

	do {
		bool room = len + 1 < size;

		n = room ? read(fd, out + len, size - 1 - len) : read(fd, drop, sizeof(drop));
		if (n > 0 && room)
			len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (size)
		out[len] = '\0';
}

static int spawn(const char *const argv[], int out_fd, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int r;

	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawnattr_init(&attr);
	(void)sigemptyset(&none);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	(void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, out_fd, 1);
	(void)posix_spawn_file_actions_adddup2(&actions, out_fd, 2);
	r = SM_STEP("program.start",
		    posix_spawnp(ret, argv[0], &actions, &attr, (char *const *)argv, environ));
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&actions);
	return r;
}

/* @said: what of its words goes into the message. */
static int finish_program(const char *name, pid_t pid, const char *said, struct snapmgr_err *err)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN, "'%s' failed with status %d: %.300s", name,
		       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), said);
}

/* *ret_fd reads what it says. */
static int start_program(const char *const argv[], int *ret_fd, pid_t *ret, struct snapmgr_err *err)
{
	int pipe_fds[2], r;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return sm_fail(err, SNAPMGR_INTERNAL, errno, "cannot make a pipe: %m");
	r = spawn(argv, pipe_fds[1], ret);
	(void)close(pipe_fds[1]);
	if (r == 0) {
		*ret_fd = pipe_fds[0];
		return 0;
	}
	(void)close(pipe_fds[0]);
	return sm_fail(err, r == ENOENT ? SNAPMGR_UNSUPPORTED : SNAPMGR_INTERNAL, r,
		       "cannot run '%s': %s", argv[0], strerror(r));
}

int sm_program_run(const char *const argv[], char *out, size_t out_size, struct snapmgr_err *err)
{
	pid_t pid;
	int fd, r = start_program(argv, &fd, &pid, err);

	if (r < 0)
		return r;
	collect(fd, out, out_size);
	(void)close(fd);
	return finish_program(argv[0], pid, out_size ? out : "", err);
}

int sm_program_lines(const char *const argv[], sm_line_fn *line, void *data,
		     struct snapmgr_err *err)
{
	AUTO(free) char *text = NULL;
	char first[320] = "";
	size_t size = 0;
	pid_t pid;
	FILE *f;
	int fd, r_line = 0, r = start_program(argv, &fd, &pid, err);

	if (r < 0)
		return r;
	f = fdopen(fd, "re");
	if (!f)
		(void)close(fd); /* it will end of SIGPIPE */
	while (f && getline(&text, &size, f) > 0) {
		text[strcspn(text, "\n")] = '\0';
		if (!*first)
			(void)sm_copy_text(first, sizeof(first), text);
		if (r_line == 0)
			r_line = line(text, data);
	}
	sm_close_file(f);
	r = finish_program(argv[0], pid, first, err);
	return r == 0 && !f ? sm_nomem(err) : r < 0 ? r : r_line;
}

bool sm_program_found(const char *name)
{
	const char *path = getenv("PATH");
	char file[512];

	for (size_t len; path && *path; path += len + (path[len] == ':')) {
		len = strcspn(path, ":");
		if (snprintf(file, sizeof(file), "%.*s/%s", (int)len, path, name) <
			    (int)sizeof(file) &&
		    access(file, X_OK) == 0)
			return true;
	}
	return false;
}
