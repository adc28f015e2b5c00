/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each strategy of a thin pool, forced: contents, identity, snapshots, undo; cut short, and in the way. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "../pool_lab.h"
#include "dm/sdm.h"

#define CHUNK (64 * SM_KIB)
#define SIZE  (8 * SM_MIB)
#define LARGE (12 * SM_MIB)

static const char *const ways[] = { "repoint", "merge", "copy" };

static struct snapmgr_revert_opts by(const char *strategy)
{
	struct snapmgr_revert_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);

	opts.strategy = strategy;
	return opts;
}

static void discard(const char *spec, uint64_t at, uint64_t len)
{
	AUTO(sm_close_fd) int fd = open(lab_node(spec), O_RDWR | O_CLOEXEC);
	uint64_t range[2] = { at, len };

	ATF_REQUIRE_EQ(0, ioctl(fd, BLKDISCARD, range));
}

static void resize(uint64_t bytes)
{
	struct snapmgr_resize_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_resize_opts);

	opts.shrink = true;
	LAB_DO(snapmgr_resize(lab, "p/v", bytes, &opts, NULL, NULL, &err));
}

/*
 * Snapshot a: two pieces and holes; b: larger, later. The head: parts of a written over, a part of it
 * discarded, something where a has nothing, and behind its end what was there when it was larger.
 */
static void make_volume(void)
{
	lab_up();
	lab_create("p/v", SIZE);
	lab_write(lab_node("p/v"), 0, SM_MIB, 'a', LAB_DIRECT);
	lab_write(lab_node("p/v"), 4 * SM_MIB, SM_MIB + 4096, 'a', LAB_DIRECT);
	lab_snapshot("p/v@a");
	resize(LARGE);
	lab_write(lab_node("p/v"), 10 * SM_MIB, SM_MIB, 'b', LAB_DIRECT);
	lab_snapshot("p/v@b");
	lab_write(lab_node("p/v"), 512 * SM_KIB, 4096, 'h', LAB_DIRECT);
	lab_write(lab_node("p/v"), 2 * SM_MIB, SM_MIB, 'h', LAB_DIRECT);
	discard("p/v", 4 * SM_MIB, 2 * CHUNK);
	lab_write(lab_node("p/v"), 11 * SM_MIB, SM_MIB, 'h', LAB_DIRECT);
	resize(9 * SM_MIB);
}

static uint64_t used(const char *spec)
{
	struct snapmgr_object o;

	lab_show(spec, &o);
	return o.used_bytes;
}

static int count_device(const char *name, const char *uuid, uint32_t major, uint32_t minor,
			void *data)
{
	(void)name;
	(void)uuid;
	(void)major;
	(void)minor;
	++*(size_t *)data;
	return 0;
}

static size_t devices(void)
{
	size_t n = 0;

	LAB_DO(sdm_list("", count_device, &n, &err));
	return n;
}

static void check_same(const struct snapmgr_object *a, const struct snapmgr_object *b)
{
	ATF_CHECK_STREQ(a->uuid, b->uuid);
	ATF_CHECK_STREQ(a->name, b->name);
	ATF_CHECK_STREQ(a->dm_name, b->dm_name);
	ATF_CHECK_STREQ(a->device, b->device);
	ATF_CHECK_STREQ(a->project, b->project);
	ATF_CHECK_EQ(a->major, b->major);
	ATF_CHECK_EQ(a->minor, b->minor);
	ATF_CHECK_EQ(a->created_at_us, b->created_at_us);
}

static void check_way(const char *way)
{
	const struct snapmgr_revert_opts opts = by(way);
	struct snapmgr_object before, after;
	struct snapmgr_revert_result ret;
	uint64_t head, a, b;
	size_t n;

	make_volume();
	head = lab_sum_of("p/v");
	a = lab_sum_of("p/v@a");
	b = lab_sum_of("p/v@b");
	lab_show("p/v", &before);
	n = devices();
	LAB_DO(snapmgr_revert(lab, "p/v@a", &opts, &ret, &err));
	ATF_CHECK_STREQ(way, ret.strategy);
	ATF_CHECK(ret.in_place && ret.undo);
	lab_show("p/v", &after);
	check_same(&before, &after);
	ATF_CHECK_STREQ("v@a", after.parent_name);
	ATF_CHECK_EQ(SIZE, after.size_bytes);
	ATF_CHECK_EQ_MSG(a, lab_sum_of("p/v"), "%s: the head is not the snapshot", way);
	ATF_CHECK_EQ_MSG(used("p/v@a"), used("p/v"), "%s: %ju bytes are mapped, not %ju", way,
			 (uintmax_t)used("p/v"), (uintmax_t)used("p/v@a"));
	ATF_CHECK_EQ(a, lab_sum_of("p/v@a"));
	ATF_CHECK_EQ(b, lab_sum_of("p/v@b"));
	ATF_CHECK_EQ(n, devices());
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK_EQ(head, lab_sum_of("p/v"));
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK_EQ(a, lab_sum_of("p/v"));
	/* what lay behind the end of a head does not come up in this one */
	resize(LARGE);
	lab_run("cmp -n %u -i %u:0 %s /dev/zero", (unsigned)(LARGE - SIZE), (unsigned)SIZE,
		lab_node("p/v"));
	lab_revert("p/v@b");
	ATF_CHECK_EQ(b, lab_sum_of("p/v"));
	LAB_DO(snapmgr_revert(lab, "p/v@a", &opts, &ret, &err));
	LAB_DO(snapmgr_revert(lab, "p/v@b", &opts, &ret, &err));
	ATF_CHECK_EQ_MSG(b, lab_sum_of("p/v"), "%s: to a larger one", way);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(each_way_leads_to_the_snapshot_and_back);
ATF_TC_BODY(each_way_leads_to_the_snapshot_and_back, tc)
{
	for (size_t i = 0; i < SM_ARRAY(ways); i++)
		check_way(ways[i]);
}

ATF_TC_WITHOUT_HEAD(
	a_merge_moves_what_differs_and_a_copy_what_is_mapped_also_of_what_is_not_active);
ATF_TC_BODY(a_merge_moves_what_differs_and_a_copy_what_is_mapped_also_of_what_is_not_active, tc)
{
	struct snapmgr_revert_opts opts = by("merge");
	struct snapmgr_revert_result ret;
	uint64_t a, a_used;

	make_volume();
	a = lab_sum_of("p/v@a");
	a_used = used("p/v@a");
	LAB_DO(snapmgr_deactivate(lab, "p/v", &err));
	opts.dry_run = true;
	LAB_DO(snapmgr_revert(lab, "p/v@a", &opts, &ret, &err));
	ATF_CHECK_EQ(3 * CHUNK, ret.move_bytes); /* one written over, two discarded */
	ATF_CHECK_EQ(0, lab_undo_points("p/v"));
	opts.dry_run = false;
	LAB_DO(snapmgr_revert(lab, "p/v@a", &opts, &ret, &err));
	ATF_CHECK_EQ(3 * CHUNK, ret.move_bytes);
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	opts.strategy = "copy";
	opts.dry_run = true;
	LAB_DO(snapmgr_revert(lab, "p/v@a", &opts, &ret, &err));
	ATF_CHECK_EQ(a_used, ret.move_bytes);
	opts.dry_run = false;
	LAB_DO(snapmgr_revert(lab, "p/v@a", &opts, &ret, &err));
	ATF_CHECK_MSG(ret.move_bytes >= 2 * SM_MIB && ret.move_bytes <= a_used, "%ju",
		      (uintmax_t)ret.move_bytes);
	ATF_CHECK_EQ(a, lab_sum_of("p/v"));
	opts = by(NULL);
	opts.dry_run = true;
	LAB_DO(snapmgr_revert(lab, "p/v@a", &opts, &ret, &err));
	ATF_CHECK_STREQ("repoint", ret.strategy);
	ATF_CHECK_EQ(0, ret.move_bytes);
	lab_check_rest();
}

/* ---- while it copies ---- */

static void (*meanwhile)(void);
static int answer;
static unsigned int calls;

static int on_progress(const char *what, uint64_t done, uint64_t todo, void *data)
{
	(void)what;
	(void)done;
	(void)todo;
	(void)data;
	if (calls++ == 0 && meanwhile)
		meanwhile();
	return answer;
}

static struct snapmgr *other; /* a second handle, as of another process */

static struct snapmgr *watched(void (*what)(void), int stop)
{
	struct snapmgr_open_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_open_opts);
	struct snapmgr *sm;

	opts.wait_ms = 30000;
	opts.progress = on_progress;
	meanwhile = what;
	answer = stop;
	calls = 0;
	LAB_DO(snapmgr_open(&opts, &sm, &err));
	return sm;
}

static void write_and_ask(void)
{
	struct snapmgr_object o;

	lab_write(lab_node("p/v"), 6 * SM_MIB, SM_MIB, 'm', LAB_DIRECT);
	lab_show("p/v", &o);
	ATF_CHECK_STREQ("reverting", o.state);
	lab_show("p/v@a", &o);
	ATF_CHECK_STREQ("restoring", o.state);
	LAB_REFUSED(SNAPMGR_BAD_STATE, snapmgr_revert(lab, "p/v@b", NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_BAD_STATE, snapmgr_delete(lab, "p/v@a", NULL, NULL, NULL, &err));
	lab_create("p/w", SIZE); /* nobody waits for it */
}

ATF_TC_WITHOUT_HEAD(what_is_written_while_it_copies_is_in_the_undo_point);
ATF_TC_BODY(what_is_written_while_it_copies_is_in_the_undo_point, tc)
{
	for (size_t i = 1; i < SM_ARRAY(ways); i++) {
		const struct snapmgr_revert_opts opts = by(ways[i]);
		uint64_t a;

		make_volume();
		a = lab_sum_of("p/v@a");
		other = watched(write_and_ask, 0);
		LAB_DO(snapmgr_revert(other, "p/v@a", &opts, NULL, &err));
		snapmgr_free(other);
		ATF_CHECK(calls > 0);
		ATF_CHECK_EQ(a, lab_sum_of("p/v"));
		LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
		ATF_CHECK(lab_holds(lab_node("p/v"), 6 * SM_MIB, SM_MIB, 'm', LAB_DIRECT));
		lab_check_rest();
	}
}

static int held_fd = -1;

static void open_volume(void)
{
	held_fd = open(lab_node("p/v"), O_RDONLY | O_CLOEXEC);
	ATF_REQUIRE(held_fd >= 0);
}

/* As it was, and nothing is left of the attempt. */
static void check_untouched(uint64_t head, size_t n_devices)
{
	struct snapmgr_object o;

	ATF_CHECK_EQ(head, lab_sum_of("p/v"));
	ATF_CHECK_EQ(n_devices, devices());
	ATF_CHECK_EQ(0, lab_undo_points("p/v"));
	lab_show("p/v", &o);
	ATF_CHECK_STREQ("available", o.state);
	lab_show("p/v@a", &o);
	ATF_CHECK_STREQ("available", o.state);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(in_use_at_the_beginning_or_the_end_is_refused_and_nothing_changes);
ATF_TC_BODY(in_use_at_the_beginning_or_the_end_is_refused_and_nothing_changes, tc)
{
	const struct snapmgr_revert_opts opts = by("merge");
	uint64_t head;
	size_t n;

	make_volume();
	head = lab_sum_of("p/v");
	n = devices();
	open_volume();
	other = watched(NULL, 0);
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(other, "p/v@a", &opts, NULL, &err));
	ATF_CHECK_EQ(0, calls);
	(void)close(held_fd);
	snapmgr_free(other);
	check_untouched(head, n);
	other = watched(open_volume, 0);
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(other, "p/v@a", &opts, NULL, &err));
	ATF_CHECK(calls > 0);
	snapmgr_free(other);
	(void)close(held_fd);
	check_untouched(head, n);
	other = watched(NULL, 1);
	LAB_REFUSED(SNAPMGR_BAD_STATE, snapmgr_revert(other, "p/v@a", &opts, NULL, &err));
	LAB_SAYS("stopped");
	snapmgr_free(other);
	check_untouched(head, n);
}

/* ---- deaths ---- */

static void die_at_once(void)
{
	(void)raise(SIGKILL);
}

static void revert_and_die(void *data)
{
	const struct snapmgr_revert_opts opts = by(data);

	lab_ready();
	(void)snapmgr_revert(watched(die_at_once, 0), "p/v@a", &opts, NULL, NULL);
}

static void revert_slowly(void *data)
{
	const struct snapmgr_revert_opts opts = by(data);

	lab_reopen();
	lab_ready();
	(void)snapmgr_revert(lab, "p/v@a", &opts, NULL, NULL);
}

ATF_TC_WITHOUT_HEAD(killed_at_random_it_is_as_before_or_done_and_the_next_command_recovers);
ATF_TC_BODY(killed_at_random_it_is_as_before_or_done_and_the_next_command_recovers, tc)
{
	uint64_t head, a, now, state = 7;
	unsigned int done = 0;
	size_t n;

	make_volume();
	head = lab_sum_of("p/v");
	a = lab_sum_of("p/v@a");
	n = devices();
	for (unsigned int i = 0; i < 12; i++) {
		char *way = (char *)ways[1 + i % 2];
		pid_t pid = lab_child(i < 2 ? revert_and_die : revert_slowly, way);

		if (i < 2)
			ATF_REQUIRE_EQ(pid, waitpid(pid, NULL, 0));
		else
			lab_sleep_ms((unsigned int)(lab_random(&state) % 250));
		lab_end(pid);
		LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
		now = lab_sum_of("p/v");
		ATF_REQUIRE_MSG(now == head || now == a, "kill %u: neither as before nor as a", i);
		if (now == a) {
			done++;
			LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
			LAB_DO(snapmgr_undo(lab, "p/v",
					    &(struct snapmgr_undo_opts){
						    .size = sizeof(struct snapmgr_undo_opts),
						    .drop = true },
					    NULL, &err));
		}
		check_untouched(head, n);
	}
	printf("%u of 12 were done\n", done);
	ATF_CHECK_EQ(a, lab_sum_of("p/v@a"));
}

ATF_TC_WITHOUT_HEAD(after_a_reboot_in_the_middle_the_volume_is_as_before);
ATF_TC_BODY(after_a_reboot_in_the_middle_the_volume_is_as_before, tc)
{
	uint64_t head;
	pid_t pid;
	size_t n;

	make_volume();
	head = lab_sum_of("p/v");
	n = devices();
	pid = lab_child(revert_and_die, "merge");
	ATF_REQUIRE_EQ(pid, waitpid(pid, NULL, 0));
	lab_forget();
	lab_reopen();
	LAB_DO(snapmgr_pool_activate(lab, "p", &err));
	check_untouched(head, n);
	LAB_DO(snapmgr_revert(lab, "p/v@a", NULL, NULL, &err));
}

/* ---- bad disks, full pools ---- */

static const char *bad_table;

static void set_data(const char *type)
{
	lab_run("dmsetup suspend --noflush lab-data && dmsetup reload lab-data --table \"0 $(blockdev --getsz %s) %s\" && dmsetup resume lab-data",
		lab_disk(0), type);
}

static void break_data(void)
{
	set_data(bad_table);
}

ATF_TC_WITHOUT_HEAD(a_disk_that_fails_while_it_copies_changes_nothing);
ATF_TC_BODY(a_disk_that_fails_while_it_copies_changes_nothing, tc)
{
	struct snapmgr_pool_create_opts create = SNAPMGR_OPTS_INIT(struct snapmgr_pool_create_opts);
	const char *const devices_of[] = { "/dev/mapper/lab-data" };
	const struct snapmgr_revert_opts opts = by("copy");
	char good[80];
	uint64_t head;

	lab_clean();
	lab_reopen();
	(void)snprintf(good, sizeof(good), "linear %s 0", lab_disk(0));
	lab_run("dmsetup create lab-data --table \"0 $(blockdev --getsz %s) %s\"", lab_disk(0),
		good);
	create.meta_device = lab_disk(1);
	LAB_DO(snapmgr_pool_create(lab, "p", devices_of, 1, &create, &err));
	lab_create("p/v", 64 * SM_MIB);
	lab_write(lab_node("p/v"), 0, 48 * SM_MIB, 'a', LAB_DIRECT);
	lab_snapshot("p/v@a");
	lab_write(lab_node("p/v"), 0, SM_MIB, 'h', LAB_DIRECT);
	head = lab_sum_of("p/v");
	bad_table = "error";
	other = watched(break_data, 0);
	LAB_REFUSED(SNAPMGR_IO, snapmgr_revert(other, "p/v@a", &opts, NULL, &err));
	snapmgr_free(other);
	set_data(good);
	lab_run("dmsetup mknodes");
	LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
	ATF_CHECK_EQ(head, lab_sum_of("p/v"));
	ATF_CHECK_EQ(0, lab_undo_points("p/v"));
}

ATF_TC_WITHOUT_HEAD(a_pool_without_room_for_the_copy_is_refused_and_repoint_still_works);
ATF_TC_BODY(a_pool_without_room_for_the_copy_is_refused_and_repoint_still_works, tc)
{
	const struct snapmgr_revert_opts opts = by("copy");

	lab_up_small(256 * SM_MIB);
	lab_create("p/v", 128 * SM_MIB);
	lab_write(lab_node("p/v"), 0, 100 * SM_MIB, 'a', LAB_DIRECT);
	lab_snapshot("p/v@a");
	lab_write(lab_node("p/v"), 0, 60 * SM_MIB, 'h', LAB_DIRECT);
	LAB_REFUSED(SNAPMGR_NO_SPACE, snapmgr_revert(lab, "p/v@a", &opts, NULL, &err));
	LAB_SAYS("repoint");
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, 60 * SM_MIB, 'h', LAB_DIRECT));
	lab_revert("p/v@a");
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, 60 * SM_MIB, 'a', LAB_DIRECT));
	lab_check_rest();
}

/* ---- which volume, which way ---- */

ATF_TC_WITHOUT_HEAD(another_volume_is_reverted_where_it_is_named);
ATF_TC_BODY(another_volume_is_reverted_where_it_is_named, tc)
{
	struct snapmgr_delete_opts keep = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);
	struct snapmgr_revert_opts opts = by(NULL);
	struct snapmgr_revert_result ret;
	struct snapmgr_object a;
	uint64_t sum, w, v;

	make_volume();
	lab_create("p/w", SM_MIB);
	lab_write(lab_node("p/w"), 0, SM_MIB, 'w', LAB_DIRECT);
	sum = lab_sum_of("p/v@a");
	v = lab_sum_of("p/v");
	w = lab_sum_of("p/w");
	opts.target = "w";
	LAB_DO(snapmgr_revert(lab, "p/v@a", &opts, &ret, &err));
	ATF_CHECK_STREQ("repoint", ret.strategy);
	ATF_CHECK_STREQ("w", ret.volume.name);
	ATF_CHECK_STREQ("v@a", ret.volume.parent_name);
	ATF_CHECK_EQ(sum, lab_sum_of("p/w"));
	ATF_CHECK_EQ(v, lab_sum_of("p/v"));
	LAB_DO(snapmgr_undo(lab, "p/w", NULL, NULL, &err));
	ATF_CHECK_EQ(w, lab_sum_of("p/w"));
	opts.strategy = "copy";
	opts.target = "p/w";
	LAB_DO(snapmgr_revert(lab, "p/v@a", &opts, &ret, &err));
	ATF_CHECK_EQ(sum, lab_sum_of("p/w"));
	opts.strategy = "merge";
	LAB_REFUSED(SNAPMGR_UNSUPPORTED, snapmgr_revert(lab, "p/v@a", &opts, &ret, &err));
	LAB_SAYS("merge");
	lab_show("p/v@a", &a);
	keep.keep_snapshots = true;
	LAB_DO(snapmgr_delete(lab, "p/v", &keep, NULL, NULL, &err));
	LAB_DO(snapmgr_undo(lab, "p/w", NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_NOT_FOUND, snapmgr_revert(lab, a.uuid, NULL, NULL, &err));
	LAB_SAYS("--target");
	opts = by(NULL);
	opts.target = "w";
	LAB_DO(snapmgr_revert(lab, a.uuid, &opts, NULL, &err));
	ATF_CHECK_EQ(sum, lab_sum_of("p/w"));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(ways_that_there_are_not_are_refused_with_those_that_there_are);
ATF_TC_BODY(ways_that_there_are_not_are_refused_with_those_that_there_are, tc)
{
	static const char *const odd[] = { "reflink", "clone", "magic", "" };

	make_volume();
	for (size_t i = 0; i < SM_ARRAY(odd); i++) {
		const struct snapmgr_revert_opts opts = by(odd[i]);

		LAB_REFUSED(SNAPMGR_UNSUPPORTED, snapmgr_revert(lab, "p/v@a", &opts, NULL, &err));
		LAB_SAYS("'repoint', 'merge', 'copy'");
	}
	ATF_CHECK_EQ(0, lab_undo_points("p/v"));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, each_way_leads_to_the_snapshot_and_back);
	ATF_TP_ADD_TC(
		tp,
		a_merge_moves_what_differs_and_a_copy_what_is_mapped_also_of_what_is_not_active);
	ATF_TP_ADD_TC(tp, what_is_written_while_it_copies_is_in_the_undo_point);
	ATF_TP_ADD_TC(tp, in_use_at_the_beginning_or_the_end_is_refused_and_nothing_changes);
	ATF_TP_ADD_TC(tp, killed_at_random_it_is_as_before_or_done_and_the_next_command_recovers);
	ATF_TP_ADD_TC(tp, after_a_reboot_in_the_middle_the_volume_is_as_before);
	ATF_TP_ADD_TC(tp, a_disk_that_fails_while_it_copies_changes_nothing);
	ATF_TP_ADD_TC(tp, a_pool_without_room_for_the_copy_is_refused_and_repoint_still_works);
	ATF_TP_ADD_TC(tp, another_volume_is_reverted_where_it_is_named);
	ATF_TP_ADD_TC(tp, ways_that_there_are_not_are_refused_with_those_that_there_are);
	return atf_no_error();
}
