/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A revert by merge, an undo and a snapshot, killed at each step that changes anything; then recovery, or
 * a reboot. The volume is wholly as before or wholly the snapshot, and nothing else has changed.
 */
#include <signal.h>
#include <sys/wait.h>

#include "cow_lab.h"
#include "failpoint.h"

#define BYTES	   (2 * SM_MIB)
#define LOG	   LAB "/points"
#define POINTS_MAX 1000
#define PATIENCE   400 /* times 25 ms, until the kernel has merged */

struct verb {
	int (*run)(struct snapmgr_err *err);
	bool moves;   /* the head, to what it names */
	bool adds;    /* a snapshot, "p/v@new" */
	bool removes; /* that */
	bool makes;   /* a volume, "p/n" */
	bool grows;   /* the volume */
};
static uint64_t was_bytes; /* before it began */

struct point {
	char name[56];
	unsigned int n;
};
static struct point points[POINTS_MAX];
static size_t n_points;
static unsigned int kills;

static int run_revert(struct snapmgr_err *err)
{
	return snapmgr_revert(lab, "p/v@a", NULL, NULL, err);
}

static int run_undo(struct snapmgr_err *err)
{
	return snapmgr_undo(lab, "p/v", NULL, NULL, err);
}

static int run_snapshot(struct snapmgr_err *err)
{
	const char *spec = "p/v@new";

	return snapmgr_snapshot(lab, &spec, 1, NULL, NULL, NULL, err);
}

static int run_delete(struct snapmgr_err *err)
{
	struct snapmgr_delete_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);

	return snapmgr_delete(lab, "p/v@new", &opts, NULL, NULL, err);
}

static int run_create(struct snapmgr_err *err)
{
	struct snapmgr_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);

	opts.size_bytes = BYTES;
	return snapmgr_create(lab, "p/n", &opts, NULL, NULL, err);
}

static int run_grow(struct snapmgr_err *err)
{
	return snapmgr_resize(lab, "p/v", was_bytes + SM_MIB, NULL, NULL, NULL, err);
}

static void fill(uint64_t seed)
{
	lab_write(lab_node("p/v"), 0, BYTES, seed, LAB_DIRECT);
}

static bool holds(const char *spec, uint64_t seed)
{
	struct snapmgr_object o;
	bool is;

	lab_show(spec, &o);
	if (!o.active)
		LAB_DO(snapmgr_activate(lab, spec, NULL, NULL, &err));
	is = lab_holds(lab_node(spec), 0, BYTES, seed, LAB_DIRECT);
	if (!o.active)
		LAB_DO(snapmgr_deactivate(lab, spec, &err));
	return is;
}

static void up(void)
{
	struct snapmgr_pool_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_create_opts);
	const char *const disks[] = { lab_disk(0), lab_disk(1) };

	lab_clean();
	lab_reopen();
	opts.driver = "cow";
	LAB_DO(snapmgr_pool_create(lab, "p", disks, 2, &opts, &err));
	lab_create("p/v", BYTES);
	fill('a');
	cow_snapshot("p/v@a", 0);
	fill('b');
	cow_snapshot("p/v@b", 0);
}

/* In a process of its own, which dies at @arm, or writes down what it passes. */
static bool run_in_child(const struct verb *verb, const char *arm, const char *log)
{
	int status;
	pid_t pid;

	(void)fflush(NULL);
	snapmgr_free(lab);
	pid = fork();
	ATF_REQUIRE(pid >= 0);
	if (pid == 0) {
		struct snapmgr_err err = { .message = "" };

		lab_reopen();
		sm_failpoint_arm(arm, log, false);
		_exit(verb->run(&err) < 0 ? 3 : 0);
	}
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	lab_reopen();
	ATF_REQUIRE_MSG(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "%s: it failed", arm);
	return WIFSIGNALED(status);
}

static void record(const struct verb *verb)
{
	char name[64];
	FILE *f;

	(void)unlink(LOG);
	ATF_REQUIRE(!run_in_child(verb, NULL, LOG));
	f = fopen(LOG, "re");
	ATF_REQUIRE(f != NULL);
	n_points = 0;
	while (n_points < POINTS_MAX && fscanf(f, "%63s", name) == 1) {
		struct point *p = &points[n_points];

		(void)sm_copy_text(p->name, sizeof(p->name), name);
		p->n = 1;
		for (size_t i = 0; i < n_points; i++)
			p->n += strcmp(points[i].name, name) == 0;
		n_points++;
	}
	(void)fclose(f);
}

static void wait_until_available(void)
{
	struct snapmgr_object v;

	for (int i = 0; i < PATIENCE; i++) {
		LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
		lab_show("p/v", &v);
		if (strcmp(v.state, "available") == 0)
			return;
		lab_sleep_ms(25);
	}
	atf_tc_fail("it stays %s", v.state);
}

static bool is_there(const char *spec)
{
	return lab_exists(spec);
}

/* The old size, and then the same again leads to the new one; what is new reads as zero. */
static void check_size(const struct verb *verb, const char *where)
{
	struct snapmgr_object v;

	lab_show("p/v", &v);
	if (!verb->grows) {
		ATF_CHECK_EQ_MSG(was_bytes, v.size_bytes, "%s: the size has changed", where);
		return;
	}
	ATF_CHECK_MSG(v.size_bytes == was_bytes || v.size_bytes == was_bytes + SM_MIB,
		      "%s: the size is neither old nor new", where);
	LAB_DO(run_grow(&err));
	lab_run("tail -c %ju %s | cmp -n %ju - /dev/zero", (uintmax_t)SM_MIB, lab_node("p/v"),
		(uintmax_t)SM_MIB);
}

static void check(const struct verb *verb, const char *where, uint64_t head)
{
	struct snapmgr_delete_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);
	const bool old = holds("p/v", head);

	ATF_CHECK_MSG(holds("p/v@a", 'a'), "%s: a is not a", where);
	ATF_CHECK_MSG(holds("p/v@b", 'b'), "%s: b is not b", where);
	if (!old) {
		ATF_CHECK_MSG(verb->moves, "%s: the head has changed", where);
		ATF_CHECK_MSG(holds("p/v", 'a'), "%s: the head is neither old nor new", where);
		ATF_CHECK_MSG(holds("p/v@undo", head), "%s: the way back is lost", where);
	}
	check_size(verb, where);
	if (verb->makes && is_there("p/n")) {
		lab_run("cmp -n %ju /dev/zero %s", (uintmax_t)BYTES, lab_node("p/n"));
		LAB_DO(snapmgr_delete(lab, "p/n", &opts, NULL, NULL, &err));
	}
	if (!(verb->adds || verb->removes) || !is_there("p/v@new"))
		return;
	ATF_CHECK_MSG(holds("p/v@new", head), "%s: the snapshot is not the head", where);
	LAB_DO(snapmgr_delete(lab, "p/v@new", &opts, NULL, NULL, &err));
}

static void kill_at(const struct verb *verb, size_t i, bool reboot, uint64_t head)
{
	char where[96];
	const struct point *p = &points[i];

	(void)snprintf(where, sizeof(where), "%.55s:%u", p->name, p->n);
	kills += run_in_child(verb, where, NULL);
	if (reboot)
		cow_reboot();
	wait_until_available();
	check(verb, where, head);
	if (i % 16 == 0)
		lab_check_rest();
}

/* For an undo, what it undoes has to be there: a revert, and then something new. */
static void prepare(const struct verb *verb, uint64_t head)
{
	struct snapmgr_object v;

	if (verb->run == run_undo) {
		lab_revert("p/v@a"); /* whatever was there; its undo point goes */
		LAB_DO(snapmgr_undo(
			lab, "p/v",
			&(struct snapmgr_undo_opts){ .size = sizeof(struct snapmgr_undo_opts),
						     .drop = true },
			NULL, &err));
		fill('a');
		lab_revert("p/v@b"); /* so that the newest undo point is 'a' */
	}
	fill(head);
	if (verb->removes && !is_there("p/v@new"))
		cow_snapshot("p/v@new", 0);
	lab_show("p/v", &v);
	was_bytes = v.size_bytes;
}

/* Each step would take minutes: SWEEP_EVERY=1 in the environment does it all the same. */
static void sweep(const struct verb *verb, size_t stride)
{
	const char *every = getenv("SWEEP_EVERY");
	uint64_t head = 1000;

	stride = every ? strtoul(every, NULL, 10) : stride;
	up();
	prepare(verb, head);
	record(verb);
	if (!verb->moves)
		check(verb, "left alone", head);
	printf("%zu points\n", n_points);
	for (size_t i = 0; i < n_points; i += stride) {
		prepare(verb, ++head);
		kill_at(verb, i, head % 2, head);
	}
	printf("%u kills\n", kills);
	ATF_CHECK(kills > n_points / stride / 2);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_revert_killed_at_any_step_is_done_or_was_never_begun);
ATF_TC_BODY(a_revert_killed_at_any_step_is_done_or_was_never_begun, tc)
{
	static const struct verb revert = { .run = run_revert, .moves = true };

	sweep(&revert, 7);
}

ATF_TC_WITHOUT_HEAD(an_undo_killed_at_any_step_is_done_or_was_never_begun);
ATF_TC_BODY(an_undo_killed_at_any_step_is_done_or_was_never_begun, tc)
{
	static const struct verb undo = { .run = run_undo, .moves = true };

	sweep(&undo, 25);
}

ATF_TC_WITHOUT_HEAD(a_snapshot_killed_at_any_step_is_whole_or_is_not);
ATF_TC_BODY(a_snapshot_killed_at_any_step_is_whole_or_is_not, tc)
{
	static const struct verb snapshot = { .run = run_snapshot, .adds = true };

	sweep(&snapshot, 7);
}

ATF_TC_WITHOUT_HEAD(a_delete_killed_at_any_step_is_done_or_not);
ATF_TC_BODY(a_delete_killed_at_any_step_is_done_or_not, tc)
{
	static const struct verb removal = { .run = run_delete, .removes = true };

	sweep(&removal, 7);
}

ATF_TC_WITHOUT_HEAD(a_creation_killed_at_any_step_is_whole_or_is_not);
ATF_TC_BODY(a_creation_killed_at_any_step_is_whole_or_is_not, tc)
{
	static const struct verb creation = { .run = run_create, .makes = true };

	sweep(&creation, 9);
}

ATF_TC_WITHOUT_HEAD(a_volume_killed_while_it_grows_has_the_old_or_the_new_size);
ATF_TC_BODY(a_volume_killed_while_it_grows_has_the_old_or_the_new_size, tc)
{
	static const struct verb growth = { .run = run_grow, .grows = true };

	sweep(&growth, 9);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_revert_killed_at_any_step_is_done_or_was_never_begun);
	ATF_TP_ADD_TC(tp, an_undo_killed_at_any_step_is_done_or_was_never_begun);
	ATF_TP_ADD_TC(tp, a_snapshot_killed_at_any_step_is_whole_or_is_not);
	ATF_TP_ADD_TC(tp, a_delete_killed_at_any_step_is_done_or_not);
	ATF_TP_ADD_TC(tp, a_creation_killed_at_any_step_is_whole_or_is_not);
	ATF_TP_ADD_TC(tp, a_volume_killed_while_it_grows_has_the_old_or_the_new_size);
	return atf_no_error();
}
