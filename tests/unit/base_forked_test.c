/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <atf-c.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base.h"

static int open_locked(void)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	int fd = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	return fd >= 0 && fcntl(fd, F_OFD_SETLK, &fl) == 0 ? fd : -1;
}

/* A child that is forked while @fd is open, and is there when the parent's copy is closed. */
static bool child_keeps_lock(int fd)
{
	int ready[2], other;
	pid_t pid;
	char c;

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ(0, pipe(ready));
	pid = fork();
	if (pid == 0) {
		(void)!write(ready[1], "r", 1);
		for (;;)
			(void)pause();
	}
	ATF_REQUIRE_EQ(1, read(ready[0], &c, 1));
	(void)close(fd);
	other = open_locked();
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	sm_close_fd(other);
	return other < 0;
}

ATF_TC_WITHOUT_HEAD(a_forked_child_keeps_no_lock_of_a_private_descriptor);
ATF_TC_BODY(a_forked_child_keeps_no_lock_of_a_private_descriptor, tc)
{
	int fd = open_locked();

	sm_fd_private(fd);
	ATF_CHECK(!child_keeps_lock(fd));
}

ATF_TC_WITHOUT_HEAD(one_that_is_private_no_more_goes_to_children);
ATF_TC_BODY(one_that_is_private_no_more_goes_to_children, tc)
{
	int fd = open_locked();

	sm_fd_private(fd);
	sm_fd_public(fd);
	ATF_CHECK(child_keeps_lock(fd));
}

/* Else the child would close somebody else's when it frees what it inherited. */
ATF_TC_WITHOUT_HEAD(its_number_stays_taken_in_the_child);
ATF_TC_BODY(its_number_stays_taken_in_the_child, tc)
{
	int fd = open_locked(), status;
	struct stat st;
	pid_t pid;

	sm_fd_private(fd);
	pid = fork();
	if (pid == 0)
		_exit(fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3));
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	ATF_CHECK_EQ(0, status);
	ATF_CHECK_EQ(0, fstat(fd, &st));
	ATF_CHECK(S_ISREG(st.st_mode));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_forked_child_keeps_no_lock_of_a_private_descriptor);
	ATF_TP_ADD_TC(tp, one_that_is_private_no_more_goes_to_children);
	ATF_TP_ADD_TC(tp, its_number_stays_taken_in_the_child);
	return atf_no_error();
}
