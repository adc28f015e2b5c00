/* SPDX-License-Identifier: GPL-2.0-or-later */
/* New volumes of cow pools: made zero while others work, and gone where that is cut short. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "cow_lab.h"

#define LARGE (96 * SM_MIB) /* several looks at whether to stop */

static void reads_as_zero(const char *spec)
{
	static const char zero[SM_MIB];
	static char page[SM_MIB];
	int fd = open(lab_node(spec), O_RDONLY | O_CLOEXEC);

	ATF_REQUIRE(fd >= 0);
	for (uint64_t at = 0; at < LARGE; at += sizeof(page)) {
		ATF_REQUIRE_EQ(sizeof(page), pread(fd, page, sizeof(page), (off_t)at));
		ATF_REQUIRE_EQ_MSG(0, memcmp(page, zero, sizeof(page)), "not zero at %ju",
				   (uintmax_t)at);
	}
	(void)close(fd);
}

/* What "p/new" will lie on is full of what somebody else had. */
static void up(void)
{
	struct snapmgr_delete_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);

	cow_up();
	lab_create("p/old", LARGE);
	lab_write(lab_node("p/old"), 0, LARGE, 'x', LAB_DIRECT);
	LAB_DO(snapmgr_delete(lab, "p/old", &opts, NULL, NULL, &err));
}

static void with_progress(int (*progress)(const char *, uint64_t, uint64_t, void *), void *data)
{
	struct snapmgr_open_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_open_opts);

	snapmgr_free(lab);
	opts.wait_ms = 30000;
	opts.progress = progress;
	opts.data = data;
	LAB_DO(snapmgr_open(&opts, &lab, &err));
}

static int create(struct snapmgr_err *err)
{
	struct snapmgr_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);

	opts.size_bytes = LARGE;
	return snapmgr_create(lab, "p/new", &opts, NULL, NULL, err);
}

/* By another process, as everybody else would. */
static int work_meanwhile(const char *what, uint64_t done, uint64_t todo, void *data)
{
	unsigned int *seen = data;

	(void)what;
	(void)todo;
	if (!done && ++*seen == 1)
		lab_run("snapmgr show p/new --json | grep -q '\"state\":\"creating\"' && "
			"snapmgr list p --operations | grep -q create && "
			"snapmgr --wait 5 snapshot p/v@meanwhile && "
			"! snapmgr --wait 5 snapshot p/new@s 2>" LAB "/refused && "
			"grep -q creating " LAB "/refused && "
			"! snapmgr pool deactivate p 2>/dev/null");
	return 0;
}

ATF_TC_WITHOUT_HEAD(others_need_not_wait_for_a_new_volume_to_be_made_zero);
ATF_TC_BODY(others_need_not_wait_for_a_new_volume_to_be_made_zero, tc)
{
	unsigned int seen = 0;

	up();
	with_progress(work_meanwhile, &seen);
	LAB_DO(create(&err));
	ATF_CHECK_EQ(1, seen);
	ATF_CHECK(lab_exists("p/v@meanwhile"));
	reads_as_zero("p/new");
	lab_check_rest();
}

static int stop(const char *what, uint64_t done, uint64_t todo, void *data)
{
	(void)what;
	(void)todo;
	(void)data;
	return done > 0;
}

ATF_TC_WITHOUT_HEAD(one_that_is_stopped_leaves_nothing);
ATF_TC_BODY(one_that_is_stopped_leaves_nothing, tc)
{
	up();
	with_progress(stop, NULL);
	LAB_REFUSED(SNAPMGR_BAD_STATE, create(&err));
	ATF_CHECK(!lab_exists("p/new"));
	lab_check_rest();
	with_progress(NULL, NULL);
	LAB_DO(create(&err));
	reads_as_zero("p/new");
}

static int die(const char *what, uint64_t done, uint64_t todo, void *data)
{
	(void)what;
	(void)todo;
	(void)data;
	if (done > 0)
		(void)raise(SIGKILL);
	return 0;
}

static void die_in_it(void)
{
	int status;
	pid_t pid;

	(void)fflush(NULL);
	snapmgr_free(lab);
	lab = NULL;
	pid = fork();
	ATF_REQUIRE(pid >= 0);
	if (pid == 0) {
		struct snapmgr_err err;

		with_progress(die, NULL);
		_exit(create(&err) < 0);
	}
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	ATF_REQUIRE(WIFSIGNALED(status));
}

ATF_TC_WITHOUT_HEAD(one_whose_process_dies_is_gone_for_the_next_one);
ATF_TC_BODY(one_whose_process_dies_is_gone_for_the_next_one, tc)
{
	up();
	die_in_it();
	lab_reopen();
	LAB_DO(create(&err)); /* the same command again */
	reads_as_zero("p/new");
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(one_that_a_reboot_cuts_short_is_gone);
ATF_TC_BODY(one_that_a_reboot_cuts_short_is_gone, tc)
{
	up();
	die_in_it();
	lab_reopen();
	cow_reboot();
	ATF_CHECK(!lab_exists("p/new"));
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, others_need_not_wait_for_a_new_volume_to_be_made_zero);
	ATF_TP_ADD_TC(tp, one_that_is_stopped_leaves_nothing);
	ATF_TP_ADD_TC(tp, one_whose_process_dies_is_gone_for_the_next_one);
	ATF_TP_ADD_TC(tp, one_that_a_reboot_cuts_short_is_gone);
	return atf_no_error();
}
