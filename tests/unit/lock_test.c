/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapmgr/catalogue/lock.h"

#include <atf-c.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "snapmgr/catalogue/rundir.h"

#define LONG_MS 20000

static struct snapmgr_err err;

static void use_run_dir(const char *name)
{
	static char path[PATH_MAX];

	ATF_REQUIRE(getcwd(path, sizeof(path) - 32) != NULL);
	strcat(path, name);
	scat_set_run_dir(path);
}

static struct slock take(uint32_t wait_ms)
{
	struct slock lock = SLOCK_NONE;

	ATF_REQUIRE_EQ_MSG(0, slock_take("host", wait_ms, &lock, &err), "%s", err.message);
	return lock;
}

static void pause_ms(unsigned int ms)
{
	(void)usleep(ms * 1000);
}

/* A child that takes the lock, tells so on a pipe, and holds it for @hold_ms. */
static pid_t start_holder(uint32_t wait_ms, unsigned int hold_ms, int tell_fd, char name)
{
	struct slock lock = SLOCK_NONE;
	pid_t pid = fork();

	ATF_REQUIRE(pid >= 0);
	if (pid > 0)
		return pid;
	if (slock_take("host", wait_ms, &lock, NULL) < 0 || write(tell_fd, &name, 1) != 1)
		_exit(1);
	pause_ms(hold_ms);
	slock_drop(&lock);
	_exit(0);
}

static void require_exit(pid_t pid)
{
	int status = -1;

	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	ATF_REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static char wait_for_word(int fd)
{
	char c = '?';

	ATF_REQUIRE_EQ(1, read(fd, &c, 1));
	return c;
}

ATF_TC_WITHOUT_HEAD(a_second_taker_is_told_who_holds_it);
ATF_TC_BODY(a_second_taker_is_told_who_holds_it, tc)
{
	struct slock other = SLOCK_NONE;
	int tell[2];
	char expected[64];
	pid_t pid;

	use_run_dir("/run");
	ATF_REQUIRE_EQ(0, pipe(tell));
	(void)prctl(PR_SET_NAME, "a holder");
	pid = start_holder(0, LONG_MS, tell[1], 'a');
	(void)wait_for_word(tell[0]);
	pause_ms(5);
	ATF_CHECK_EQ(-EAGAIN, slock_take("host", 0, &other, &err));
	ATF_CHECK_EQ(SNAPMGR_LOCKED, err.code);
	ATF_CHECK_EQ(-1, other.fd);
	(void)snprintf(expected, sizeof(expected), "process %d (a holder)", (int)pid);
	ATF_CHECK_MSG(strstr(err.message, expected), "%s", err.message);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

ATF_TC_WITHOUT_HEAD(locks_of_other_names_are_apart);
ATF_TC_BODY(locks_of_other_names_are_apart, tc)
{
	struct slock host, pool = SLOCK_NONE;

	use_run_dir("/run");
	host = take(0);
	ATF_CHECK_EQ(0, slock_take("0d5c6d2e-5a5c-4b6e-9a53-0f4f7a1e7a10", 0, &pool, &err));
	slock_drop(&host);
	slock_drop(&pool);
	ATF_CHECK_EQ(-1, pool.fd);
	slock_drop(&pool); /* twice is fine */
}

ATF_TC_WITHOUT_HEAD(the_lock_of_a_killed_holder_is_free);
ATF_TC_BODY(the_lock_of_a_killed_holder_is_free, tc)
{
	struct slock lock;
	int tell[2];
	pid_t pid;

	use_run_dir("/run");
	ATF_REQUIRE_EQ(0, pipe(tell));
	pid = start_holder(0, LONG_MS, tell[1], 'a');
	(void)wait_for_word(tell[0]);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	lock = take(0);
	slock_drop(&lock);
}

ATF_TC_WITHOUT_HEAD(dropping_frees_it_although_a_child_has_the_descriptor);
ATF_TC_BODY(dropping_frees_it_although_a_child_has_the_descriptor, tc)
{
	struct slock lock;
	pid_t pid;

	use_run_dir("/run");
	lock = take(0);
	pid = fork();
	if (pid == 0) {
		pause_ms(LONG_MS);
		_exit(0);
	}
	slock_drop(&lock);
	lock = take(0);
	slock_drop(&lock);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

ATF_TC_WITHOUT_HEAD(a_waiter_gets_it_soon_after_it_is_dropped);
ATF_TC_BODY(a_waiter_gets_it_soon_after_it_is_dropped, tc)
{
	struct slock lock;
	uint64_t start, ms;
	int tell[2];
	pid_t pid;

	use_run_dir("/run");
	ATF_REQUIRE_EQ(0, pipe(tell));
	pid = start_holder(0, 200, tell[1], 'a');
	(void)wait_for_word(tell[0]);
	start = sm_monotonic_ns();
	lock = take(LONG_MS);
	ms = (sm_monotonic_ns() - start) / 1000000;
	printf("waited %llu ms\n", (unsigned long long)ms);
	ATF_CHECK(ms >= 150 && ms < 5000);
	slock_drop(&lock);
	require_exit(pid);
}

ATF_TC_WITHOUT_HEAD(a_wait_ends_after_its_time);
ATF_TC_BODY(a_wait_ends_after_its_time, tc)
{
	struct slock lock, other = SLOCK_NONE;
	uint64_t start, ms;

	use_run_dir("/run");
	lock = take(0);
	start = sm_monotonic_ns();
	ATF_CHECK_EQ(-EAGAIN, slock_take("host", 100, &other, &err));
	ms = (sm_monotonic_ns() - start) / 1000000;
	ATF_CHECK(ms >= 99 && ms < 5000);
	slock_drop(&lock);
}

ATF_TC_WITHOUT_HEAD(first_come_is_first_served);
ATF_TC_BODY(first_come_is_first_served, tc)
{
	struct slock lock;
	pid_t pids[5];
	int tell[2];

	use_run_dir("/run");
	ATF_REQUIRE_EQ(0, pipe(tell));
	lock = take(0);
	for (int i = 0; i < 5; i++) {
		pids[i] = start_holder(LONG_MS, 1, tell[1], (char)('a' + i));
		pause_ms(100);
	}
	slock_drop(&lock);
	for (int i = 0; i < 5; i++)
		ATF_CHECK_EQ('a' + i, wait_for_word(tell[0]));
	for (int i = 0; i < 5; i++)
		require_exit(pids[i]);
}

ATF_TC_WITHOUT_HEAD(a_killed_waiter_holds_nobody_up);
ATF_TC_BODY(a_killed_waiter_holds_nobody_up, tc)
{
	struct slock lock;
	pid_t first, second;
	int tell[2];

	use_run_dir("/run");
	ATF_REQUIRE_EQ(0, pipe(tell));
	lock = take(0);
	first = start_holder(LONG_MS, 1, tell[1], 'a');
	pause_ms(100);
	second = start_holder(LONG_MS, 1, tell[1], 'b');
	pause_ms(100);
	(void)kill(first, SIGKILL);
	(void)waitpid(first, NULL, 0);
	slock_drop(&lock);
	ATF_CHECK_EQ('b', wait_for_word(tell[0]));
	require_exit(second);
}

ATF_TC_WITHOUT_HEAD(nobody_starves_and_no_two_hold_it);
ATF_TC_BODY(nobody_starves_and_no_two_hold_it, tc)
{
	struct {
		int holders, clashes, rounds[6];
	} *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t end = sm_monotonic_ns() + 2000000000;
	pid_t pids[6];

	use_run_dir("/run");
	for (int i = 0; i < 6; i++) {
		pids[i] = fork();
		while (pids[i] == 0 && sm_monotonic_ns() < end) {
			struct slock lock = take(LONG_MS);

			if (__atomic_fetch_add(&shared->holders, 1, __ATOMIC_SEQ_CST) != 0)
				shared->clashes++;
			(void)usleep(500);
			__atomic_fetch_sub(&shared->holders, 1, __ATOMIC_SEQ_CST);
			shared->rounds[i]++;
			slock_drop(&lock);
		}
		if (pids[i] == 0)
			_exit(0);
	}
	for (int i = 0; i < 6; i++) {
		require_exit(pids[i]);
		printf("%d: %d\n", i, shared->rounds[i]);
		ATF_CHECK(shared->rounds[i] >= 5);
	}
	ATF_CHECK_EQ(0, shared->clashes);
}

/* Processes that try once, again and again, are no reason to wait for ever. */
ATF_TC_WITHOUT_HEAD(who_waits_is_not_overtaken_by_those_who_try_once);
ATF_TC_BODY(who_waits_is_not_overtaken_by_those_who_try_once, tc)
{
	pid_t pids[6];
	struct slock lock;
	uint64_t start, ms;

	use_run_dir("/run");
	for (int i = 0; i < 6; i++) {
		pids[i] = fork();
		while (pids[i] == 0) {
			if (slock_take("host", 0, &lock, NULL) < 0)
				continue;
			pause_ms(3);
			slock_drop(&lock);
		}
	}
	pause_ms(100);
	for (int i = 0; i < 5; i++) {
		start = sm_monotonic_ns();
		lock = take(LONG_MS);
		ms = (sm_monotonic_ns() - start) / 1000000;
		printf("waited %llu ms\n", (unsigned long long)ms);
		ATF_CHECK(ms < 2000);
		slock_drop(&lock);
	}
	for (int i = 0; i < 6; i++) {
		(void)kill(pids[i], SIGKILL);
		(void)waitpid(pids[i], NULL, 0);
	}
}

/* How often others have it between one's coming and one's turn: no oftener than they were there before. */
ATF_TC_WITHOUT_HEAD(under_constant_traffic_each_one_waits_for_those_before_it_only);
ATF_TC_BODY(under_constant_traffic_each_one_waits_for_those_before_it_only, tc)
{
	struct {
		unsigned int turns, longest[6];
	} *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t end = sm_monotonic_ns() + 2000000000;
	pid_t pids[6];

	use_run_dir("/run");
	for (int i = 0; i < 6; i++) {
		pids[i] = fork();
		while (pids[i] == 0 && sm_monotonic_ns() < end) {
			unsigned int came = __atomic_load_n(&shared->turns, __ATOMIC_SEQ_CST);
			struct slock lock = take(LONG_MS);
			unsigned int n = __atomic_fetch_add(&shared->turns, 1, __ATOMIC_SEQ_CST) -
					 came;

			if (n > shared->longest[i])
				shared->longest[i] = n;
			pause_ms(1);
			slock_drop(&lock);
		}
		if (pids[i] == 0)
			_exit(0);
	}
	for (int i = 0; i < 6; i++) {
		require_exit(pids[i]);
		printf("%d: at most %u turns of %u\n", i, shared->longest[i], shared->turns);
		/* Five others, and again those who came between our look and our ticket. */
		ATF_CHECK(shared->longest[i] <= 12);
	}
	ATF_CHECK(shared->turns > 50);
}

ATF_TC_WITHOUT_HEAD(a_run_folder_that_cannot_be_made_is_named);
ATF_TC_BODY(a_run_folder_that_cannot_be_made_is_named, tc)
{
	struct slock lock = SLOCK_NONE;

	atf_utils_create_file("file", "%s", "");
	use_run_dir("/file/run");
	ATF_CHECK_EQ(-ENOTDIR, slock_take("host", 0, &lock, &err));
	ATF_CHECK_EQ(SNAPMGR_IO, err.code);
	ATF_CHECK(strstr(err.message, "/file/run") != NULL);
}

ATF_TC_WITHOUT_HEAD(a_lock_tells_that_its_last_holder_died);
ATF_TC_BODY(a_lock_tells_that_its_last_holder_died, tc)
{
	struct slock lock;
	int tell[2];
	pid_t pid;

	use_run_dir("/run");
	ATF_REQUIRE_EQ(0, pipe(tell));
	lock = take(0);
	ATF_CHECK(!lock.abandoned);
	slock_drop(&lock);
	lock = take(0);
	ATF_CHECK(!lock.abandoned);
	slock_drop(&lock);
	pid = start_holder(0, LONG_MS, tell[1], 'a');
	(void)wait_for_word(tell[0]);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	lock = take(0);
	ATF_CHECK(lock.abandoned);
	slock_drop(&lock); /* nobody said that this was seen to */
	lock = take(0);
	ATF_CHECK(lock.abandoned);
	lock.abandoned = false;
	slock_drop(&lock);
	lock = take(0);
	ATF_CHECK(!lock.abandoned);
	slock_drop(&lock);
}

ATF_TC_WITHOUT_HEAD(what_is_left_unfinished_is_not_taken_for_its_holders_death);
ATF_TC_BODY(what_is_left_unfinished_is_not_taken_for_its_holders_death, tc)
{
	const struct slock_holder doing = { .verb = "revert", .object = "v@s" };
	struct slock lock;

	use_run_dir("/run");
	lock = take(0);
	slock_tell(&lock, &doing);
	lock.unfinished = true;
	slock_drop(&lock);
	lock = take(0);
	ATF_CHECK(lock.abandoned && !lock.unfinished);
	ATF_CHECK_STREQ("", lock.dead.verb);
	lock.abandoned = false;
	slock_drop(&lock);
	lock = take(0);
	ATF_CHECK(!lock.abandoned);
	slock_drop(&lock);
}

ATF_TC_WITHOUT_HEAD(a_parked_lock_is_free_and_can_be_taken_again);
ATF_TC_BODY(a_parked_lock_is_free_and_can_be_taken_again, tc)
{
	struct slock lock, other;

	use_run_dir("/run");
	lock = take(0);
	slock_park(&lock);
	other = take(0);
	ATF_CHECK_EQ(-EAGAIN, slock_retake("host", 0, &lock, &err));
	slock_drop(&other);
	ATF_CHECK_EQ(0, slock_retake("host", 0, &lock, &err));
	ATF_CHECK(lock.held && !lock.abandoned);
	slock_drop(&lock);
}

ATF_TC_WITHOUT_HEAD(the_run_folder_is_private);
ATF_TC_BODY(the_run_folder_is_private, tc)
{
	struct slock lock;
	struct stat st;

	use_run_dir("/run");
	(void)umask(0);
	lock = take(0);
	ATF_REQUIRE_EQ(0, stat("run", &st));
	ATF_CHECK_EQ(0700, st.st_mode & 07777);
	ATF_REQUIRE_EQ(0, stat("run/host.lock", &st));
	ATF_CHECK_EQ(0600, st.st_mode & 07777);
	slock_drop(&lock);
}

/* As the guard of suspended volumes gives it to the program that recovers them. */
ATF_TC_WITHOUT_HEAD(an_inherited_lock_is_had_at_once_although_others_wait_and_stays_its_givers);
ATF_TC_BODY(an_inherited_lock_is_had_at_once_although_others_wait_and_stays_its_givers, tc)
{
	struct slock giver, heir, other;
	char text[16];
	int fd, pipes[2], status;
	pid_t waiter;

	use_run_dir("/run");
	giver = take(0);
	ATF_REQUIRE_EQ(0, pipe(pipes));
	waiter = start_holder(LONG_MS, 0, pipes[1], 'w');
	pause_ms(200); /* it is in the queue */
	fd = dup(giver.fd);
	ATF_REQUIRE(fd >= 0);
	(void)snprintf(text, sizeof(text), "%d", fd);
	ATF_REQUIRE_EQ(0, setenv(SLOCK_FD_ENV, text, 1));
	heir = take(0);
	ATF_CHECK(heir.inherited && heir.held);
	slock_drop(&heir);
	ATF_REQUIRE_EQ(0, setenv(SLOCK_FD_ENV, "0", 1)); /* something else */
	ATF_CHECK_EQ(-EAGAIN, slock_take("host", 0, &other, &err));
	ATF_REQUIRE_EQ(0, unsetenv(SLOCK_FD_ENV));
	(void)close(fd);
	slock_drop(&giver);
	ATF_REQUIRE_EQ(waiter, waitpid(waiter, &status, 0));
	ATF_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_second_taker_is_told_who_holds_it);
	ATF_TP_ADD_TC(tp, locks_of_other_names_are_apart);
	ATF_TP_ADD_TC(tp, the_lock_of_a_killed_holder_is_free);
	ATF_TP_ADD_TC(tp, dropping_frees_it_although_a_child_has_the_descriptor);
	ATF_TP_ADD_TC(tp, a_waiter_gets_it_soon_after_it_is_dropped);
	ATF_TP_ADD_TC(tp, a_wait_ends_after_its_time);
	ATF_TP_ADD_TC(tp, first_come_is_first_served);
	ATF_TP_ADD_TC(tp, a_killed_waiter_holds_nobody_up);
	ATF_TP_ADD_TC(tp, nobody_starves_and_no_two_hold_it);
	ATF_TP_ADD_TC(tp, who_waits_is_not_overtaken_by_those_who_try_once);
	ATF_TP_ADD_TC(tp, under_constant_traffic_each_one_waits_for_those_before_it_only);
	ATF_TP_ADD_TC(tp, a_run_folder_that_cannot_be_made_is_named);
	ATF_TP_ADD_TC(tp, a_lock_tells_that_its_last_holder_died);
	ATF_TP_ADD_TC(tp, what_is_left_unfinished_is_not_taken_for_its_holders_death);
	ATF_TP_ADD_TC(tp, a_parked_lock_is_free_and_can_be_taken_again);
	ATF_TP_ADD_TC(tp,
		      an_inherited_lock_is_had_at_once_although_others_wait_and_stays_its_givers);
	ATF_TP_ADD_TC(tp, the_run_folder_is_private);
	return atf_no_error();
}
