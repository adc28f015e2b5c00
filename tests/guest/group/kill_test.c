/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SIGKILL at any moment of a group's revert: after it all volumes are old, or all are new.
 *
 * Two of the group's volumes are mapped and written to when their owner is dead; one is not, and has
 * nothing but the catalogue to tell what it is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "../pool_lab.h"

#define SIZE  (512 * SM_KIB)
#define STAMP (64 * SM_KIB) /* the last chunk, which is zero in both snapshots */

static const char *const mapped[] = { "p/a", "p/b" };

static void write_both(uint64_t seed)
{
	for (size_t i = 0; i < SM_ARRAY(mapped); i++)
		lab_write(lab_node(mapped[i]), 0, SIZE, seed, LAB_DIRECT);
	LAB_DO(snapmgr_activate(lab, "p/c", NULL, NULL, &err));
	lab_write(lab_node("p/c"), 0, SIZE, seed, LAB_DIRECT);
	LAB_DO(snapmgr_deactivate(lab, "p/c", &err));
}

static void make_group(void)
{
	static const char *const all[] = { "a", "b", "c" };
	struct snapmgr_create_opts inactive = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);

	lab_up();
	lab_create("p/a", SIZE + STAMP);
	lab_create("p/b", SIZE + STAMP);
	inactive.size_bytes = SIZE + STAMP;
	inactive.inactive = true;
	LAB_DO(snapmgr_create(lab, "p/c", &inactive, NULL, NULL, &err));
	LAB_DO(snapmgr_group_create(lab, "p/g", all, 3, NULL, NULL, NULL, &err));
	write_both(1);
	lab_snapshot("p/g@one");
	write_both(2);
	lab_snapshot("p/g@two");
}

/* Reverts, and undos between them. */
static void revert_without_end(void *data)
{
	(void)data;
	lab_reopen();
	lab_ready();
	for (;;) {
		if (snapmgr_revert(lab, "p/g@one", NULL, NULL, NULL) < 0 ||
		    snapmgr_revert(lab, "p/g@two", NULL, NULL, NULL) < 0 ||
		    snapmgr_undo(lab, "p/g", NULL, NULL, NULL) < 0)
			_exit(1);
	}
}

/* Every process of that name: the guest is ours. */
static void kill_named(const char *name)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;

	while ((d = readdir(proc))) {
		char path[300], comm[32] = "";
		FILE *f;

		(void)snprintf(path, sizeof(path), "/proc/%s/comm", d->d_name);
		if (d->d_name[0] < '1' || d->d_name[0] > '9' || !(f = fopen(path, "re")))
			continue;
		(void)!fscanf(f, "%31s", comm);
		(void)fclose(f);
		if (strcmp(comm, name) == 0)
			(void)kill((pid_t)strtol(d->d_name, NULL, 10), SIGKILL);
	}
	(void)closedir(proc);
}

struct tally {
	unsigned int suspended, cut, ones, twos;
	uint64_t random;
};

static void cut_short(struct tally *t, bool kill_guard)
{
	pid_t pid = lab_child(revert_without_end, NULL);
	uint64_t end_ns = sm_monotonic_ns() + lab_random(&t->random) % 90000000;
	int status;

	while (sm_monotonic_ns() < end_ns) /* the guest's clock ticks too slowly to sleep */
		(void)sched_yield();
	if (kill_guard) {
		(void)kill(pid, SIGSTOP); /* so that there is no time between the two */
		kill_named("snapmgr-guard");
	}
	(void)kill(pid, SIGKILL);
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	ATF_REQUIRE_MSG(WIFSIGNALED(status), "a revert failed");
}

static bool is_suspended(const char *spec)
{
	struct sdm_info info;

	lab_dm(spec, &info);
	return info.suspended;
}

static int note_cut(const char *finding, bool repaired, void *data)
{
	(void)repaired;
	*(unsigned int *)data += strstr(finding, "cut short") != NULL;
	return 0;
}

static unsigned int what(const char *spec)
{
	bool one = lab_holds(lab_node(spec), 0, SIZE, 1, LAB_DIRECT),
	     two = lab_holds(lab_node(spec), 0, SIZE, 2, LAB_DIRECT);

	ATF_REQUIRE_MSG(one || two, "%s is a mixture", spec);
	return one ? 1 : 2;
}

/* All as one; by contents, the unmapped one too. */
static unsigned int check_group(struct tally *t)
{
	unsigned int a = what("p/a"), b = what("p/b"), c;

	LAB_DO(snapmgr_activate(lab, "p/c", NULL, NULL, &err));
	c = what("p/c");
	LAB_DO(snapmgr_deactivate(lab, "p/c", &err));
	ATF_REQUIRE_MSG(a == b && b == c, "the volumes hold %u, %u and %u", a, b, c);
	t->ones += a == 1;
	t->twos += a == 2;
	return a;
}

static void one_round(struct tally *t, bool kill_guard, uint64_t stamp)
{
	bool written[SM_ARRAY(mapped)] = { false };
	bool suspended = false;

	cut_short(t, kill_guard);
	for (size_t i = 0; i < SM_ARRAY(mapped); i++) {
		if (kill_guard && is_suspended(mapped[i])) { /* who wrote would wait for recovery */
			suspended = true;
			continue;
		}
		lab_write(lab_node(mapped[i]), SIZE, STAMP, stamp, LAB_DIRECT);
		written[i] = true;
	}
	t->suspended += suspended;
	LAB_DO(snapmgr_recover(lab, "p", note_cut, &t->cut, &err));
	(void)check_group(t);
	for (size_t i = 0; i < SM_ARRAY(mapped); i++)
		ATF_REQUIRE_MSG(!written[i] || lab_holds(lab_node(mapped[i]), SIZE, STAMP, stamp,
							 LAB_DIRECT),
				"a write to %s was thrown away", mapped[i]);
}

/* When a kill comes is luck. There are more rounds until it has come where the test wants it. */
#define PATIENCE 10

static bool has_all(const struct tally *t, bool kill_guard, unsigned int n)
{
	return t->cut >= n / 10 && t->ones > 0 && t->twos > 0 && (!kill_guard || t->suspended > 0);
}

static void rounds(struct tally *t, bool kill_guard, unsigned int n)
{
	make_group();
	for (unsigned int i = 1; i <= n || (i <= PATIENCE * n && !has_all(t, kill_guard, n)); i++)
		one_round(t, kill_guard, i + 100);
	printf("%u kills: %u in a revert, %u left a volume suspended; %u times one, %u two\n", n,
	       t->cut, t->suspended, t->ones, t->twos);
	ATF_CHECK_MSG(t->cut >= n / 10, "only %u of %u kills came in time", t->cut, n);
	ATF_CHECK(t->ones > 0 && t->twos > 0);
	lab_revert("p/g@one");
	ATF_CHECK_EQ(1, check_group(t));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_group_revert_killed_at_any_moment_is_all_or_none);
ATF_TC_BODY(a_group_revert_killed_at_any_moment_is_all_or_none, tc)
{
	struct tally t = { .random = 11 };

	rounds(&t, false, 60);
}

ATF_TC_WITHOUT_HEAD(a_group_revert_killed_with_its_guard_is_all_or_none);
ATF_TC_BODY(a_group_revert_killed_with_its_guard_is_all_or_none, tc)
{
	struct tally t = { .random = 12 };

	rounds(&t, true, 40);
	ATF_CHECK_MSG(t.suspended > 0, "no kill came while a volume was suspended");
}

/* The catalogue alone decides: it has all of it or nothing. */
ATF_TC_WITHOUT_HEAD(a_pool_that_went_down_in_a_group_revert_comes_up_whole);
ATF_TC_BODY(a_pool_that_went_down_in_a_group_revert_comes_up_whole, tc)
{
	struct tally t = { .random = 13 };

	make_group();
	for (int i = 0; i < 10; i++) {
		cut_short(&t, true);
		lab_forget();
		LAB_DO(snapmgr_pool_activate(lab, "p", &err));
		(void)check_group(&t);
	}
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_group_revert_killed_at_any_moment_is_all_or_none);
	ATF_TP_ADD_TC(tp, a_group_revert_killed_with_its_guard_is_all_or_none);
	ATF_TP_ADD_TC(tp, a_pool_that_went_down_in_a_group_revert_comes_up_whole);
	return atf_no_error();
}
