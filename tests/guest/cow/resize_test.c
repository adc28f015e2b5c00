/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Volumes of cow pools that grow and shrink: under their snapshots, over a revert, and cut short. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "cow_lab.h"

static int resize(uint64_t bytes, struct snapmgr_err *err)
{
	const struct snapmgr_resize_opts opts = { .size = sizeof(opts), .shrink = true };

	return snapmgr_resize(lab, "p/v", bytes, &opts, NULL, NULL, err);
}

static bool is_zero(uint64_t from, uint64_t to)
{
	static const char zero[65536];
	static char page[65536];
	int fd = open(lab_node("p/v"), O_RDONLY | O_CLOEXEC);
	bool is = fd >= 0;

	for (uint64_t at = from; at < to && is; at += sizeof(page))
		is = pread(fd, page, sizeof(page), (off_t)at) == sizeof(page) &&
		     memcmp(page, zero, sizeof(page)) == 0;
	if (fd >= 0)
		(void)close(fd);
	return is;
}

static void fill(uint64_t bytes, char seed)
{
	lab_write(lab_node("p/v"), 0, bytes, (uint64_t)seed, LAB_DIRECT);
}

static void check_size(const char *spec, uint64_t bytes)
{
	struct snapmgr_object o;

	lab_show(spec, &o);
	ATF_CHECK_EQ(bytes, o.size_bytes);
}

/* A snapshot of 8 MiB, and one of 16. */
static void grown(void)
{
	cow_up();
	lab_create("p/next", SIZE); /* so that there is no room behind it */
	cow_fill('a');
	cow_snapshot("p/v@a", 16 * SM_MIB);
	LAB_DO(resize(2 * SIZE, &err));
	fill(2 * SIZE, 'b');
	cow_snapshot("p/v@b", 32 * SM_MIB);
	fill(2 * SIZE, 'c');
}

ATF_TC_WITHOUT_HEAD(a_volume_grows_under_its_snapshots_while_it_is_open);
ATF_TC_BODY(a_volume_grows_under_its_snapshots_while_it_is_open, tc)
{
	struct snapmgr_object before, after;
	int fd;

	cow_up();
	cow_fill('a');
	cow_snapshot("p/v@a", 16 * SM_MIB);
	lab_show("p/v", &before);
	fd = open(lab_node("p/v"), O_RDWR | O_CLOEXEC);
	ATF_REQUIRE(fd >= 0);
	LAB_DO(resize(2 * SIZE, &err));
	(void)close(fd);
	lab_show("p/v", &after);
	ATF_CHECK_EQ(2 * SIZE, after.size_bytes);
	ATF_CHECK_EQ(before.minor, after.minor);
	ATF_CHECK(cow_is("p/v", 'a'));
	ATF_CHECK(is_zero(SIZE, 2 * SIZE));
	fill(2 * SIZE, 'b');
	ATF_CHECK(cow_is("p/v@a", 'a'));
	check_size("p/v@a", SIZE);
	lab_check_rest();
	cow_reboot();
	check_size("p/v", 2 * SIZE);
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, 2 * SIZE, 'b', LAB_DIRECT));
	ATF_CHECK(cow_is("p/v@a", 'a'));
}

ATF_TC_WITHOUT_HEAD(a_revert_and_its_undo_bring_each_size_back);
ATF_TC_BODY(a_revert_and_its_undo_bring_each_size_back, tc)
{
	uint64_t b;

	grown();
	b = lab_sum_of("p/v@b");
	lab_revert("p/v@a");
	check_size("p/v", SIZE);
	ATF_CHECK(cow_is("p/v", 'a'));
	ATF_CHECK_EQ(b, lab_sum_of("p/v@b"));
	cow_fill('d');
	cow_reboot();
	check_size("p/v", SIZE);
	ATF_CHECK(cow_is("p/v", 'd'));
	ATF_CHECK_EQ(b, lab_sum_of("p/v@b"));
	lab_revert("p/v@b");
	check_size("p/v", 2 * SIZE);
	ATF_CHECK_EQ(b, lab_sum(lab_node("p/v")));
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	check_size("p/v", SIZE);
	ATF_CHECK(cow_is("p/v", 'd'));
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK_EQ(b, lab_sum(lab_node("p/v")));
	ATF_CHECK_EQ(b, lab_sum_of("p/v@b"));
	ATF_CHECK(cow_is("p/v@a", 'a'));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(what_an_undo_point_shows_behind_the_end_is_not_grown_over);
ATF_TC_BODY(what_an_undo_point_shows_behind_the_end_is_not_grown_over, tc)
{
	const struct snapmgr_undo_opts drop = { .size = sizeof(drop), .drop = true };
	struct snapmgr_delete_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);

	grown();
	LAB_DO(snapmgr_delete(lab, "p/v@b", &opts, NULL, NULL, &err));
	lab_revert("p/v@a");
	LAB_REFUSED(SNAPMGR_BAD_STATE, resize(2 * SIZE, &err));
	LAB_SAYS("undo --drop");
	check_size("p/v", SIZE);
	LAB_DO(snapmgr_undo(lab, "p/v", &drop, NULL, &err));
	LAB_DO(resize(2 * SIZE, &err));
	ATF_CHECK(cow_is("p/v", 'a'));
	ATF_CHECK(is_zero(SIZE, 2 * SIZE));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_volume_without_snapshots_shrinks_and_others_get_the_room);
ATF_TC_BODY(a_volume_without_snapshots_shrinks_and_others_get_the_room, tc)
{
	struct snapmgr_delete_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);

	cow_up();
	cow_fill('a');
	cow_snapshot("p/v@a", 0);
	LAB_REFUSED(SNAPMGR_BAD_STATE, resize(SIZE / 2, &err));
	LAB_SAYS("snapshots");
	check_size("p/v", SIZE);
	LAB_DO(snapmgr_delete(lab, "p/v@a", &opts, NULL, NULL, &err));
	LAB_DO(resize(SIZE / 2, &err));
	check_size("p/v", SIZE / 2);
	lab_create("p/other", SIZE / 2);
	lab_write(lab_node("p/other"), 0, SIZE / 2, 'x', LAB_DIRECT);
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE / 2, 'a', LAB_DIRECT));
	LAB_DO(resize(SIZE, &err));
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE / 2, 'a', LAB_DIRECT));
	ATF_CHECK(is_zero(SIZE / 2, SIZE));
	ATF_CHECK(lab_holds(lab_node("p/other"), 0, SIZE / 2, 'x', LAB_DIRECT));
	lab_check_rest();
}

static int die(const char *what, uint64_t done, uint64_t todo, void *data)
{
	(void)what;
	(void)done;
	(void)todo;
	(void)data;
	return raise(SIGKILL);
}

static void die_growing(void)
{
	struct snapmgr_open_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_open_opts);
	int status;
	pid_t pid;

	(void)fflush(NULL);
	snapmgr_free(lab);
	lab = NULL;
	pid = fork();
	ATF_REQUIRE(pid >= 0);
	if (pid == 0) {
		struct snapmgr_err why;

		opts.progress = die;
		LAB_DO(snapmgr_open(&opts, &lab, &err));
		_exit(resize(2 * SIZE, &why) < 0);
	}
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	ATF_REQUIRE(WIFSIGNALED(status));
	lab_reopen();
}

ATF_TC_WITHOUT_HEAD(one_that_is_cut_short_while_it_grows_is_as_it_was);
ATF_TC_BODY(one_that_is_cut_short_while_it_grows_is_as_it_was, tc)
{
	cow_up();
	cow_fill('a');
	cow_snapshot("p/v@a", 0);
	die_growing();
	LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
	check_size("p/v", SIZE);
	ATF_CHECK(cow_is("p/v", 'a'));
	lab_check_rest();
	die_growing();
	LAB_DO(resize(2 * SIZE, &err)); /* the same command again */
	check_size("p/v", 2 * SIZE);
	ATF_CHECK(cow_is("p/v", 'a'));
	ATF_CHECK(is_zero(SIZE, 2 * SIZE));
	ATF_CHECK(cow_is("p/v@a", 'a'));
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_volume_grows_under_its_snapshots_while_it_is_open);
	ATF_TP_ADD_TC(tp, a_revert_and_its_undo_bring_each_size_back);
	ATF_TP_ADD_TC(tp, what_an_undo_point_shows_behind_the_end_is_not_grown_over);
	ATF_TP_ADD_TC(tp, a_volume_without_snapshots_shrinks_and_others_get_the_room);
	ATF_TP_ADD_TC(tp, one_that_is_cut_short_while_it_grows_is_as_it_was);
	return atf_no_error();
}
