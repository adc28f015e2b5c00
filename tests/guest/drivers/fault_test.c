/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reverts that move bytes, cut short: killed at any of their requests, and on disks that cannot be read or
 * written at one place. Again on every kind of pool, by each way that it has; the kernel moves what a cow
 * pool merges, so that there a death is at some look of the one who waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "bed.h"

#define BYTES  (UINT64_C(8) << 20)
#define ROUNDS 3

/* Ways that move bytes. */
static const char *const ways[] = { "merge", "copy" };

static struct snapmgr_revert_opts by(const char *way)
{
	struct snapmgr_revert_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);

	opts.strategy = way;
	return opts;
}

/* ---- a fuse: it burns by requests of the copy engine, and by looks at the progress ---- */

static uint64_t burnt, length; /* 0: it never goes off */
static int answer;	       /* to a look at the progress */

static void die(void)
{
	(void)raise(SIGKILL);
}
static void (*goes_off)(void) = die;

static void burn(void)
{
	if (++burnt == length)
		goes_off();
}

/* In place of libaio's; see the Makefile. */
int __real_io_submit(void *context, long n, void **requests);
int __wrap_io_submit(void *context, long n, void **requests);
int __wrap_io_submit(void *context, long n, void **requests)
{
	for (long i = 0; i < n; i++)
		burn();
	return __real_io_submit(context, n, requests);
}

static int look(const char *what, uint64_t done, uint64_t todo, void *data)
{
	(void)what;
	(void)done;
	(void)todo;
	(void)data;
	burn();
	return answer;
}

static struct snapmgr *watched(void)
{
	struct snapmgr_open_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_open_opts);
	struct snapmgr *sm;

	opts.wait_ms = 30000;
	opts.progress = look;
	LAB_DO(snapmgr_open(&opts, &sm, &err));
	return sm;
}

/* ---- killed ---- */

struct history {
	uint64_t a, b, head;
};

static void make_history(const struct bed *bed, bool may_break, struct history *ret)
{
	bed_up_as(bed, BYTES, may_break);
	bed_write("p/v", 1);
	ret->a = bed_sum("p/v");
	bed_snapshot("p/v@a");
	bed_write("p/v", 2);
	ret->b = bed_sum("p/v");
	bed_snapshot("p/v@b");
	bed_write("p/v", 3);
	ret->head = bed_sum("p/v");
}

static void check_snapshots(const struct history *h)
{
	ATF_CHECK_EQ(h->a, bed_sum_of("p/v@a"));
	ATF_CHECK_EQ(h->b, bed_sum_of("p/v@b"));
}

static uint64_t measure(const char *way)
{
	const struct snapmgr_revert_opts opts = by(way);
	struct snapmgr *sm = watched();

	burnt = 0;
	LAB_DO(snapmgr_revert(sm, "p/v@a", &opts, NULL, &err));
	snapmgr_free(sm);
	return burnt;
}

static bool killed(const char *way, uint64_t after)
{
	const struct snapmgr_revert_opts opts = by(way);
	int status;
	pid_t pid;

	(void)fflush(NULL);
	snapmgr_free(lab);
	pid = fork();
	ATF_REQUIRE(pid >= 0);
	if (pid == 0) {
		struct snapmgr *sm = watched();

		burnt = 0;
		length = after;
		_exit(snapmgr_revert(sm, "p/v@a", &opts, NULL, NULL) < 0);
	}
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	lab_reopen();
	ATF_REQUIRE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status);
}

static bool kill_once(const struct bed *bed, const char *way, uint64_t after, bool reboot,
		      struct history *h)
{
	const struct snapmgr_revert_opts opts = by(way);
	bool died;
	uint64_t now;

	bed_write("p/v", 1000 + after);
	h->head = bed_sum("p/v");
	died = killed(way, after);
	if (reboot)
		bed_reboot();
	bed_settle();
	now = bed_sum("p/v");
	ATF_REQUIRE_MSG(now == h->head || now == h->a, "%s by %s: a mixture after %ju steps%s",
			bed->name, way, (uintmax_t)after, reboot ? " and a reboot" : "");
	check_snapshots(h);
	if (now == h->head)
		LAB_DO(snapmgr_revert(lab, "p/v@a", &opts, NULL, &err));
	ATF_CHECK_EQ(h->a, bed_sum("p/v"));
	ATF_CHECK_EQ(h->head, bed_sum_of("p/v@undo"));
	return died;
}

static void
killed_at_any_request_it_is_done_or_as_before_and_done_by_the_next(const struct bed *bed)
{
	struct history h;
	uint64_t random = 11;

	make_history(bed, false, &h);
	for (size_t w = 0; w < SM_ARRAY(ways); w++) {
		unsigned int kills = 0;
		uint64_t steps;

		if (!bed_has(ways[w]))
			continue;
		steps = measure(ways[w]);
		printf("%s: %ju steps\n", ways[w], (uintmax_t)steps);
		for (unsigned int i = 0; i < ROUNDS; i++) /* the first step there is in any case */
			kills += kill_once(bed, ways[w], i ? 1 + lab_random(&random) % steps : 1,
					   i % 2, &h);
		printf("%s: %u of %u died\n", ways[w], kills, ROUNDS);
		ATF_CHECK(kills > 0);
		check_snapshots(&h);
	}
	bed_check_clean();
}

/* Whoever asked for it lives on, and is in nobody's way. */
static void
stopped_by_its_caller_it_is_done_or_as_before_and_the_next_goes_on(const struct bed *bed)
{
	struct snapmgr_err err;
	struct history h;
	uint64_t now;

	for (size_t w = 0; w < SM_ARRAY(ways); w++) {
		const struct snapmgr_revert_opts opts = by(ways[w]);
		struct snapmgr *sm;

		make_history(bed, false, &h);
		if (!bed_has(ways[w]))
			continue;
		sm = watched();
		answer = 1;
		(void)snapmgr_revert(sm, "p/v@a", &opts, NULL, &err);
		answer = 0;
		snapmgr_free(sm);
		bed_settle();
		now = bed_sum("p/v");
		ATF_CHECK_MSG(now == h.head || now == h.a, "%s: neither", ways[w]);
		check_snapshots(&h);
		lab_revert("p/v@b");
		ATF_CHECK_EQ(h.b, bed_sum("p/v"));
		bed_check_clean();
	}
}

/* ---- a place on the disk that gives errors ---- */

#define PLACE (2 * SM_MIB + 64 * SM_KIB) /* where a and the head, by odd seeds, have something */

static void is_told_what_failed(const char *way)
{
	printf("%s: %s\n", way, lab_message);
}

/*
 * What it was asked for fails, all is there, and once the disk is whole it works. Where the kernel has begun a
 * merge there is no way back: the volume is neither until then, and recovery goes on with it.
 */
static void fails_there(const struct bed *bed, const char *way, uint64_t seed, struct history *h)
{
	const struct snapmgr_revert_opts opts = by(way);
	struct snapmgr_object v;
	uint64_t now;

	bed_break(seed, PLACE);
	LAB_REFUSED(bed->stores ? SNAPMGR_KERNEL : SNAPMGR_IO,
		    snapmgr_revert(lab, "p/v@a", &opts, NULL, &err));
	is_told_what_failed(way);
	bed_mend();
	bed_settle();
	now = bed_sum("p/v");
	lab_show("p/v", &v);
	ATF_CHECK_EQ_MSG(bed->stores ? h->a : h->head, now, "%s by %s: it is another", bed->name,
			 way);
	check_snapshots(h);
	LAB_DO(snapmgr_revert(lab, "p/v@a", &opts, NULL, &err));
	ATF_CHECK_EQ(h->a, bed_sum("p/v"));
	bed_check_clean();
}

static void
a_snapshot_that_cannot_be_read_fails_by_name_and_works_when_it_can(const struct bed *bed)
{
	struct history h;

	for (size_t w = 0; w < SM_ARRAY(ways); w++) {
		make_history(bed, true, &h);
		if (bed_has(ways[w]))
			fails_there(bed, ways[w], 1, &h);
	}
}

static void a_head_that_cannot_be_written_fails_by_name_and_works_when_it_can(const struct bed *bed)
{
	struct history h;

	for (size_t w = 0; w < SM_ARRAY(ways); w++) {
		make_history(bed, true, &h);
		if (bed_has(ways[w]))
			fails_there(bed, ways[w], 3, &h);
	}
}

/* ---- room, and sources that change ---- */

static void without_room_it_is_refused_and_works_when_there_is(const struct bed *bed)
{
	struct history h;

	make_history(bed, true, &h);
	lab_run("fallocate -l $(($(stat -f -c '%%a * %%S' " LAB "/fs) - (2 << 20))) " LAB
		"/fs/full");
	LAB_REFUSED(SNAPMGR_NO_SPACE, snapmgr_revert(lab, "p/v@a", NULL, NULL, &err));
	ATF_CHECK_EQ(h.head, bed_sum("p/v"));
	check_snapshots(&h);
	lab_run("rm " LAB "/fs/full");
	lab_revert("p/v@a");
	ATF_CHECK_EQ(h.a, bed_sum("p/v"));
	ATF_CHECK_EQ(h.head, bed_sum_of("p/v@undo"));
	bed_check_clean();
}

#define SOURCE_PATH LAB "/source"

static void size_source(uint64_t bytes)
{
	ATF_REQUIRE_EQ(0, truncate(SOURCE_PATH, (off_t)bytes));
}

static void let_it_grow(void)
{
	size_source(2 * BYTES);
}

static void let_it_shrink(void)
{
	size_source(BYTES / 2);
}

/* A copy of a file to "p/c", to which @what happens once the first request is made. */
static int copy_while(void (*what)(void), struct snapmgr_err *err)
{
	int r;

	lab_run("head -c %ju /dev/urandom >" SOURCE_PATH, (uintmax_t)BYTES);
	lab_run("cp " SOURCE_PATH " " SOURCE_PATH ".was");
	goes_off = what;
	burnt = 0;
	length = 1;
	r = snapmgr_copy(lab, SOURCE_PATH, "p/c", NULL, NULL, NULL, NULL, err);
	length = 0;
	goes_off = die;
	return r;
}

static void
a_source_that_grows_is_copied_as_it_was_and_one_that_shrinks_is_told_of(const struct bed *bed)
{
	struct snapmgr_object o;

	bed_up(bed);
	LAB_DO(copy_while(let_it_grow, &err));
	lab_show("p/c", &o);
	ATF_CHECK_EQ(BYTES, o.size_bytes);
	lab_run("cmp %s " SOURCE_PATH ".was", bed_path("p/c"));
	LAB_DO(snapmgr_delete(lab, "p/c", NULL, NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_IO, copy_while(let_it_shrink, &err));
	LAB_SAYS(SOURCE_PATH);
	LAB_SAYS(" bytes at ");
	ATF_CHECK(!lab_exists("p/c"));
	bed_check_clean();
}

/* ---- on every bed ---- */

/*
 * What is not asked of every bed goes by the same code there: folders differ only in whether they share extents,
 * which no copy does. Where a thin is filled beside, the head may be as bad as it likes; what cannot be written
 * there is in strategy/fill_test.
 */
#define KILLED(X, bed)	X(killed_at_any_request_it_is_done_or_as_before_and_done_by_the_next, bed)
#define STOPPED(X, bed) X(stopped_by_its_caller_it_is_done_or_as_before_and_the_next_goes_on, bed)
#define SOURCE(X, bed)	X(a_snapshot_that_cannot_be_read_fails_by_name_and_works_when_it_can, bed)
#define TARGET(X, bed)	X(a_head_that_cannot_be_written_fails_by_name_and_works_when_it_can, bed)
#define ALL(X)                                                      \
	KILLED(X, thin)                                             \
	KILLED(X, cow)                                              \
	KILLED(X, xfs)                                              \
	KILLED(X, ext4)                                             \
	KILLED(X, tmpfs)                                            \
	STOPPED(X, thin)                                            \
	STOPPED(X, cow)                                             \
	STOPPED(X, ext4)                                            \
	SOURCE(X, thin)                                             \
	SOURCE(X, cow)                                              \
	SOURCE(X, btrfs)                                            \
	SOURCE(X, ext4)                                             \
	TARGET(X, cow)                                              \
	TARGET(X, ext4)                                             \
	X(without_room_it_is_refused_and_works_when_there_is, ext4) \
	X(a_source_that_grows_is_copied_as_it_was_and_one_that_shrinks_is_told_of, thin)

#define CASE(scenario, bed)                     \
	ATF_TC_WITHOUT_HEAD(scenario##__##bed); \
	ATF_TC_BODY(scenario##__##bed, tc)      \
	{                                       \
		scenario(&bed##_bed);           \
	}
#define ADD(scenario, bed) ATF_TP_ADD_TC(tp, scenario##__##bed);

ALL(CASE)

ATF_TP_ADD_TCS(tp)
{
	ALL(ADD)
	return atf_no_error();
}
