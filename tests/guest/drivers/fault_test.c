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

#define BYTES  (UINT64_C(16) << 20)
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

static void burn(void)
{
	if (++burnt == length)
		(void)raise(SIGKILL);
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
	return 0;
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

/* ---- on every bed ---- */

#define SCENARIOS(X, bed) X(killed_at_any_request_it_is_done_or_as_before_and_done_by_the_next, bed)
#define BEDS(Y)		  Y(thin) Y(cow) Y(xfs) Y(btrfs) Y(ext4) Y(tmpfs)

#define CASE(scenario, bed)                     \
	ATF_TC_WITHOUT_HEAD(scenario##__##bed); \
	ATF_TC_BODY(scenario##__##bed, tc)      \
	{                                       \
		scenario(&bed##_bed);           \
	}
#define CASES(bed)	   SCENARIOS(CASE, bed)
#define ADD(scenario, bed) ATF_TP_ADD_TC(tp, scenario##__##bed);
#define ADD_ALL(bed)	   SCENARIOS(ADD, bed)

BEDS(CASES)

ATF_TP_ADD_TCS(tp)
{
	BEDS(ADD_ALL)
	return atf_no_error();
}
