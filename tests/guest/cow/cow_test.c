/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pools of classic snapshots: their stores, and what is theirs alone; the rest is drivers/scenario_test. */
#include <errno.h>
#include <fcntl.h>

#include "cow_lab.h"

/* Snapshots a and b, and c in the head. */
static void two_snapshots(void)
{
	cow_up();
	cow_fill('a');
	cow_snapshot("p/v@a", 16 * SM_MIB);
	cow_fill('b');
	cow_snapshot("p/v@b", 16 * SM_MIB);
	cow_fill('c');
}

ATF_TC_WITHOUT_HEAD(a_new_volume_reads_as_zeroes_where_another_was);
ATF_TC_BODY(a_new_volume_reads_as_zeroes_where_another_was, tc)
{
	struct snapmgr_delete_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);
	static const char zero[4096];
	char first[4096] = "x";
	int fd;

	cow_up();
	cow_fill('a');
	LAB_DO(snapmgr_delete(lab, "p/v", &opts, NULL, NULL, &err));
	lab_create("p/w", SIZE);
	fd = open(lab_node("p/w"), O_RDONLY | O_CLOEXEC);
	ATF_REQUIRE(fd >= 0);
	for (uint64_t at = 0; at < SIZE; at += sizeof(first)) {
		ATF_REQUIRE_EQ(sizeof(first), pread(fd, first, sizeof(first), (off_t)at));
		ATF_REQUIRE_EQ_MSG(0, memcmp(first, zero, sizeof(first)), "not zero at %ju",
				   (uintmax_t)at);
	}
	(void)close(fd);
}

/* ---- while it lasts ---- */

static struct during {
	const char *node;
	unsigned int seen, written, wrong;
} during;

static int look(const char *what, uint64_t done, uint64_t todo, void *data)
{
	char page[4096] = "";
	int fd = open(during.node, O_RDWR | O_CLOEXEC);

	(void)what;
	(void)done;
	(void)todo;
	(void)data;
	during.seen++;
	if (fd >= 0 && pwrite(fd, page, sizeof(page), 0) == sizeof(page))
		during.written++;
	if (fd >= 0)
		(void)close(fd);
	during.wrong += !lab_holds(during.node, 0, SIZE, 'a', LAB_DIRECT);
	return 0;
}

ATF_TC_WITHOUT_HEAD(during_a_revert_it_reads_as_the_snapshot_and_takes_no_writes);
ATF_TC_BODY(during_a_revert_it_reads_as_the_snapshot_and_takes_no_writes, tc)
{
	struct snapmgr_open_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_open_opts);
	static char node[256];

	two_snapshots();
	(void)sm_copy_text(node, sizeof(node), lab_node("p/v"));
	during = (struct during){ .node = node };
	snapmgr_free(lab);
	opts.wait_ms = 30000;
	opts.progress = look;
	LAB_DO(snapmgr_open(&opts, &lab, &err));
	lab_revert("p/v@a");
	ATF_CHECK(during.seen > 0);
	ATF_CHECK_EQ(0, during.written);
	ATF_CHECK_EQ(0, during.wrong);
	lab_write(lab_node("p/v"), 0, 4096, 'z', LAB_DIRECT); /* now it does */
}

/* ---- stores ---- */

ATF_TC_WITHOUT_HEAD(a_store_that_overflowed_is_an_error_and_never_reverted_to);
ATF_TC_BODY(a_store_that_overflowed_is_an_error_and_never_reverted_to, tc)
{
	struct snapmgr_object o;

	cow_up();
	cow_fill('a');
	cow_snapshot("p/v@small", 4 * SM_MIB);
	cow_snapshot("p/v@large", 16 * SM_MIB);
	cow_fill('b');
	lab_show("p/v@small", &o);
	ATF_CHECK_STREQ("error", o.state);
	LAB_REFUSED(SNAPMGR_BAD_STATE, snapmgr_revert(lab, "p/v@small", NULL, NULL, &err));
	ATF_CHECK(cow_is("p/v", 'b'));
	ATF_CHECK(cow_is("p/v@large", 'a'));
	cow_reboot();
	lab_show("p/v@small", &o);
	ATF_CHECK_STREQ("error", o.state);
	lab_revert("p/v@large");
	ATF_CHECK(cow_is("p/v", 'a'));
}

/* It greets the pool before it looks at it, and ends after that. */
static int end_it(const struct snapmgr_event *event, void *data)
{
	const int *fds = data;

	(void)event;
	return write(fds[1], "x", 1) == 1 ? 0 : -1;
}

static void monitor_once(void)
{
	struct snapmgr_monitor_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_monitor_opts);
	int fds[2];

	ATF_REQUIRE_EQ(0, pipe2(fds, O_CLOEXEC));
	opts.stop_fd = fds[0];
	LAB_DO(snapmgr_monitor(lab, "p", &opts, end_it, fds, &err));
	(void)close(fds[0]);
	(void)close(fds[1]);
}

ATF_TC_WITHOUT_HEAD(the_monitor_lets_a_store_grow_before_it_is_full);
ATF_TC_BODY(the_monitor_lets_a_store_grow_before_it_is_full, tc)
{
	struct snapmgr_object o;

	cow_up();
	cow_fill('a');
	cow_snapshot("p/v@s", 4 * SM_MIB);
	for (uint64_t at = 0; at < SIZE; at += SM_MIB) {
		lab_write(lab_node("p/v"), at, SM_MIB, 'b', LAB_DIRECT);
		monitor_once();
	}
	lab_show("p/v@s", &o);
	ATF_CHECK_STREQ("available", o.state);
	ATF_CHECK(cow_is("p/v@s", 'a'));
	lab_revert("p/v@s");
	ATF_CHECK(cow_is("p/v", 'a'));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(when_a_store_grows_is_a_property_of_the_pool);
ATF_TC_BODY(when_a_store_grows_is_a_property_of_the_pool, tc)
{
	const char *bytes = "test $(dmsetup table snapmgr-p-_2 | awk '{ n += $2 } END { print n }')"
			    " -%s 8192";

	cow_up();
	cow_snapshot("p/v@s", 4 * SM_MIB);
	lab_write(lab_node("p/v"), 0, SM_MIB, 'b', LAB_DIRECT); /* a quarter of it */
	monitor_once();
	lab_run(bytes, "eq");
	LAB_REFUSED(SNAPMGR_USAGE, snapmgr_set(lab, "p", "store_grow_at", "5%", &err));
	LAB_DO(snapmgr_set(lab, "p", "store_grow_at", "20%", &err));
	lab_run("snapmgr get p store_grow_at | grep -qx 20%% && "
		"snapmgr pool show p | grep -qx 'store_grow_at: 20%%'");
	monitor_once();
	lab_run(bytes, "gt");
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(the_monitor_writes_down_what_was_lost);
ATF_TC_BODY(the_monitor_writes_down_what_was_lost, tc)
{
	struct snapmgr_object o;

	cow_up();
	cow_fill('a');
	cow_snapshot("p/v@s", 4 * SM_MIB);
	cow_fill('b');
	monitor_once();
	lab_run("snapmgr messages p | grep -q 'p/v@s.*is lost'");
	LAB_DO(snapmgr_pool_deactivate(lab, "p", &err));
	LAB_DO(snapmgr_pool_activate(lab, "p", &err));
	lab_show("p/v@s", &o);
	ATF_CHECK_STREQ("error", o.state);
}

ATF_TC_WITHOUT_HEAD(a_siblings_store_grows_before_a_revert_would_overflow_it);
ATF_TC_BODY(a_siblings_store_grows_before_a_revert_would_overflow_it, tc)
{
	struct snapmgr_object o;

	cow_up();
	cow_fill('a');
	cow_snapshot("p/v@a", 16 * SM_MIB);
	cow_fill('b');
	cow_snapshot("p/v@small", 4 * SM_MIB); /* all of its chunks are still to be kept */
	lab_revert("p/v@a");
	lab_show("p/v@small", &o);
	ATF_CHECK_STREQ("available", o.state);
	ATF_CHECK(cow_is("p/v@small", 'b'));
	ATF_CHECK(cow_is("p/v", 'a'));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(without_room_for_what_it_displaces_a_revert_is_refused);
ATF_TC_BODY(without_room_for_what_it_displaces_a_revert_is_refused, tc)
{
	struct snapmgr_revert_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	struct snapmgr_create_opts fill = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);
	struct snapmgr_pool_create_opts cow = SNAPMGR_OPTS_INIT(struct snapmgr_pool_create_opts);
	const char *const devices[] = { "/dev/mapper/lab-small" };

	lab_clean();
	lab_reopen();
	lab_run("dmsetup create lab-small --table '0 %ju linear %s 0'",
		(uintmax_t)(64 * SM_MIB / SM_SECTOR), lab_disk(0));
	cow.driver = "cow";
	LAB_DO(snapmgr_pool_create(lab, "p", devices, 1, &cow, &err));
	LAB_DO(snapmgr_set(lab, "p", "reserve", "0%", &err));
	lab_create("p/v", SIZE);
	cow_fill('a');
	cow_snapshot("p/v@a", 16 * SM_MIB);
	cow_fill('b');
	fill.size_bytes = 25 * SM_MIB;
	fill.inactive = true;
	LAB_DO(snapmgr_create(lab, "p/filler", &fill, NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_NO_SPACE, snapmgr_revert(lab, "p/v@a", NULL, NULL, &err));
	LAB_SAYS("--no-undo");
	ATF_CHECK(cow_is("p/v", 'b'));
	ATF_CHECK(cow_is("p/v@a", 'a'));
	lab_check_rest();
	lab_write(lab_node("p/v"), 0, 4096, 'b', LAB_DIRECT);
	opts.no_undo = true;
	LAB_DO(snapmgr_revert(lab, "p/v@a", &opts, NULL, &err));
	ATF_CHECK(cow_is("p/v", 'a'));
	ATF_CHECK_EQ(0, lab_undo_points("p/v"));
}

ATF_TC_WITHOUT_HEAD(a_deleted_snapshot_frees_its_store_and_the_others_keep_theirs);
ATF_TC_BODY(a_deleted_snapshot_frees_its_store_and_the_others_keep_theirs, tc)
{
	struct snapmgr_delete_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);

	two_snapshots();
	LAB_DO(snapmgr_delete(lab, "p/v@a", &opts, NULL, NULL, &err));
	ATF_CHECK(cow_is("p/v@b", 'b'));
	cow_snapshot("p/v@c", 16 * SM_MIB);
	cow_fill('d');
	ATF_CHECK(cow_is("p/v@b", 'b'));
	ATF_CHECK(cow_is("p/v@c", 'c'));
	LAB_DO(snapmgr_delete(lab, "p/v@b", &opts, NULL, NULL, &err));
	LAB_DO(snapmgr_delete(lab, "p/v@c", &opts, NULL, NULL, &err));
	lab_run("dmsetup table %s | grep -q linear", lab_node("p/v"));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_snapshot_that_is_mapped_is_not_reverted_to);
ATF_TC_BODY(a_snapshot_that_is_mapped_is_not_reverted_to, tc)
{
	two_snapshots();
	LAB_DO(snapmgr_activate(lab, "p/v@a", NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, "p/v@a", NULL, NULL, &err));
	LAB_DO(snapmgr_deactivate(lab, "p/v@a", &err));
	ATF_CHECK(cow_is("p/v", 'c'));
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_new_volume_reads_as_zeroes_where_another_was);
	ATF_TP_ADD_TC(tp, during_a_revert_it_reads_as_the_snapshot_and_takes_no_writes);
	ATF_TP_ADD_TC(tp, a_store_that_overflowed_is_an_error_and_never_reverted_to);
	ATF_TP_ADD_TC(tp, the_monitor_lets_a_store_grow_before_it_is_full);
	ATF_TP_ADD_TC(tp, when_a_store_grows_is_a_property_of_the_pool);
	ATF_TP_ADD_TC(tp, the_monitor_writes_down_what_was_lost);
	ATF_TP_ADD_TC(tp, a_siblings_store_grows_before_a_revert_would_overflow_it);
	ATF_TP_ADD_TC(tp, without_room_for_what_it_displaces_a_revert_is_refused);
	ATF_TP_ADD_TC(tp, a_deleted_snapshot_frees_its_store_and_the_others_keep_theirs);
	ATF_TP_ADD_TC(tp, a_snapshot_that_is_mapped_is_not_reverted_to);
	return atf_no_error();
}
