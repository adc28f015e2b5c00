/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SIGKILL at any moment of a revert, and recovery after it.
 *
 * A child reverts between two snapshots without end. It is killed after a random time; what runs then
 * is written to; recovery must leave the volume wholly old or wholly new, with what was written.
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

#define SIZE  (2 * SM_MIB)
#define STAMP (64 * SM_KIB) /* the volume's last chunk, which is zero in both snapshots */

static const struct snapmgr_revert_opts online = { .size = sizeof(online), .online = true };

struct round {
	const struct snapmgr_revert_opts *opts;
	unsigned int longest_us;
	bool kill_guard;
	uint64_t random;
	unsigned int suspended, recovered, olds, news; /* seen */
};

static void make_volume(void)
{
	lab_up();
	lab_create("p/v", SIZE + STAMP);
	lab_write(lab_node("p/v"), 0, SIZE, 1, LAB_DIRECT);
	lab_snapshot("p/v@one");
	lab_write(lab_node("p/v"), 0, SIZE, 2, LAB_DIRECT);
	lab_snapshot("p/v@two");
}

static void revert_without_end(void *data)
{
	const struct round *round = data;

	lab_reopen();
	lab_ready();
	for (;;) {
		if (snapmgr_revert(lab, "p/v@one", round->opts, NULL, NULL) < 0 ||
		    snapmgr_revert(lab, "p/v@two", round->opts, NULL, NULL) < 0)
			_exit(1);
	}
}

/* Every process of that name, ours or not: the guest is ours. */
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

static void sleep_us(unsigned int us)
{
	const struct timespec t = { us / 1000000, (long)(us % 1000000) * 1000 };
	const uint64_t end_ns = sm_monotonic_ns() + us * UINT64_C(1000);

	if (us > 20000)
		(void)nanosleep(&t, NULL);
	while (sm_monotonic_ns() <
	       end_ns) /* the guest's clock ticks too slowly to sleep for less */
		(void)sched_yield();
}

static void cut_short(struct round *round)
{
	pid_t pid = lab_child(revert_without_end, round);
	int status;

	sleep_us((unsigned int)(lab_random(&round->random) % round->longest_us));
	if (round->kill_guard) {
		(void)kill(pid, SIGSTOP); /* so that there is no time between the two */
		kill_named("snapmgr-guard");
	}
	(void)kill(pid, SIGKILL);
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	ATF_REQUIRE_MSG(WIFSIGNALED(status), "a revert failed");
}

static bool is_suspended(void)
{
	struct sdm_info info;

	LAB_DO(sdm_info("snapmgr-p-v", &info, &err));
	return info.suspended;
}

static int keep_report(const char *finding, bool repaired, void *data)
{
	(void)repaired;
	*(unsigned int *)data += strstr(finding, "cut short") != NULL;
	return 0;
}

static void check_head(struct round *round, uint64_t stamp)
{
	const char *node = lab_node("p/v");
	bool one = lab_holds(node, 0, SIZE, 1, LAB_DIRECT),
	     two = lab_holds(node, 0, SIZE, 2, LAB_DIRECT);

	ATF_REQUIRE_MSG(one || two, "the volume is a mixture");
	round->olds += one;
	round->news += two;
	if (stamp)
		ATF_REQUIRE_MSG(lab_holds(node, SIZE, STAMP, stamp, LAB_DIRECT),
				"a write was thrown away");
}

static void check_state(const char *spec)
{
	struct snapmgr_object o;

	lab_show(spec, &o);
	ATF_REQUIRE_STREQ_MSG("available", o.state, "%s", spec);
}

/* Once killed: write to what runs, recover, look. */
static void one_round(struct round *round, uint64_t stamp)
{
	unsigned int reported = 0;

	cut_short(round);
	if (round->kill_guard && is_suspended()) {
		round->suspended++;
		stamp = 0; /* who wrote now would wait for the recovery */
	}
	if (stamp)
		lab_write("/dev/mapper/snapmgr-p-v", SIZE, STAMP, stamp, LAB_DIRECT);
	LAB_DO(snapmgr_recover(lab, "p", keep_report, &reported, &err));
	round->recovered += reported;
	ATF_REQUIRE(!is_suspended());
	check_head(round, stamp);
	check_state("p/v");
	check_state("p/v@one");
	check_state("p/v@two");
}

/* When a kill comes is luck. There are more rounds until it has come where the test wants it. */
#define PATIENCE 10

static bool came_in_time(const struct round *round, unsigned int recovered, unsigned int suspended)
{
	return round->recovered >= recovered && round->suspended >= suspended;
}

static void rounds(struct round *round, unsigned int n)
{
	const unsigned int suspended = round->kill_guard;

	make_volume();
	for (unsigned int i = 1;
	     i <= n || (i <= PATIENCE * n && !came_in_time(round, n / 10, suspended)); i++) {
		one_round(round, i + 100);
		if (i % 20 == 0)
			lab_check_rest();
	}
	printf("%u kills: %u left a revert behind, %u a suspended volume; then %u times one, %u two\n",
	       n, round->recovered, round->suspended, round->olds, round->news);
	ATF_CHECK_MSG(round->recovered >= n / 10, "only %u of %u kills came in time",
		      round->recovered, n);
	lab_revert("p/v@one");
	check_head(round, 0);
}

ATF_TC_WITHOUT_HEAD(a_revert_killed_at_any_moment_is_recovered);
ATF_TC_BODY(a_revert_killed_at_any_moment_is_recovered, tc)
{
	struct round round = { .longest_us = 90000, .random = 1 };

	rounds(&round, 100);
}

ATF_TC_WITHOUT_HEAD(a_revert_killed_with_its_guard_is_recovered);
ATF_TC_BODY(a_revert_killed_with_its_guard_is_recovered, tc)
{
	struct round round = { .kill_guard = true, .longest_us = 90000, .random = 3 };

	rounds(&round, 40);
	ATF_CHECK_MSG(round.suspended > 0, "no kill came while the volume was suspended");
}

/* Single bytes of the volume's, through the page cache, for ever. */
static void read_without_end(void *data)
{
	int fd = open(data, O_RDONLY | O_CLOEXEC);
	uint64_t random = 11;
	char byte;

	if (fd < 0)
		_exit(1);
	lab_ready();
	for (;;) {
		for (int i = 0; i < 8; i++)
			(void)!pread(fd, &byte, 1, (off_t)(lab_random(&random) % SIZE));
		lab_sleep_ms(1);
	}
}

/* Somebody reads from it, so its cache is purged under suspension: that takes longer, and may be killed. */
ATF_TC_WITHOUT_HEAD(an_online_revert_killed_with_its_guard_is_recovered);
ATF_TC_BODY(an_online_revert_killed_with_its_guard_is_recovered, tc)
{
	struct round round = {
		.opts = &online, .kill_guard = true, .longest_us = 120000, .random = 5
	};
	pid_t pid;

	make_volume();
	pid = lab_child(read_without_end, (void *)(uintptr_t)lab_node("p/v"));
	for (unsigned int i = 1; i <= 30 || (i <= PATIENCE * 30 && !came_in_time(&round, 0, 4));
	     i++)
		one_round(&round, i + 100);
	lab_end(pid);
	printf("%u left behind, %u suspended\n", round.recovered, round.suspended);
	ATF_CHECK_MSG(round.suspended > 3, "%u", round.suspended);
	lab_check_rest();
}

/* The next command is enough: nobody has to know of the recovery. */
ATF_TC_WITHOUT_HEAD(the_next_command_recovers_by_itself);
ATF_TC_BODY(the_next_command_recovers_by_itself, tc)
{
	struct round round = { .kill_guard = true, .longest_us = 30000, .random = 6 };

	make_volume();
	for (int i = 0; i < 25; i++) {
		cut_short(&round);
		lab_revert("p/v@one");
		ATF_REQUIRE(lab_holds(lab_node("p/v"), 0, SIZE, 1, LAB_DIRECT));
	}
	lab_check_rest();
}

/* After a reboot the catalogue alone decides: the devices are gone, in whatever state they were. */
ATF_TC_WITHOUT_HEAD(a_pool_that_went_down_in_a_revert_comes_up_whole);
ATF_TC_BODY(a_pool_that_went_down_in_a_revert_comes_up_whole, tc)
{
	struct round round = { .kill_guard = true, .longest_us = 30000, .random = 7 };

	make_volume();
	for (int i = 0; i < 15; i++) {
		cut_short(&round);
		lab_forget();
		LAB_DO(snapmgr_pool_activate(lab, "p", &err));
		check_state("p/v");
		check_head(&round, 0);
	}
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_revert_killed_at_any_moment_is_recovered);
	ATF_TP_ADD_TC(tp, a_revert_killed_with_its_guard_is_recovered);
	ATF_TP_ADD_TC(tp, an_online_revert_killed_with_its_guard_is_recovered);
	ATF_TP_ADD_TC(tp, the_next_command_recovers_by_itself);
	ATF_TP_ADD_TC(tp, a_pool_that_went_down_in_a_revert_comes_up_whole);
	return atf_no_error();
}
