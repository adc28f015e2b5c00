/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SIGKILL before every single system call of a revert that could change anything, and recovery.
 *
 * A traced child reverts; it is killed where it would make its first such call, then its second, and so
 * on until one of them lives to the end. What runs then is written to; recovery must leave the volume
 * wholly old or wholly new, with what was written.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/reg.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../pool_lab.h"

#define SIZE  (1 * SM_MIB)
#define STAMP (64 * SM_KIB) /* the volume's last chunk, which is zero in both snapshots */
#define MOST  3000	    /* calls: far more than there are */

struct sweep {
	int (*work)(const struct sweep *sweep);
	bool kill_guard, inactive;
	int head; /* 1 or 2: what the volume reads as */
	/* seen */
	unsigned int kills, recovered, suspended, done;
};

static const char *snapshot(int which)
{
	return which == 1 ? "p/v@one" : "p/v@two";
}

/* To the snapshot that the volume does not read as. */
static int do_revert(const struct sweep *sweep)
{
	return snapmgr_revert(lab, snapshot(3 - sweep->head), NULL, NULL, NULL);
}

static int do_undo(const struct sweep *sweep)
{
	(void)sweep;
	return snapmgr_undo(lab, "p/v", NULL, NULL, NULL);
}

static pid_t start_traced(const struct sweep *sweep)
{
	pid_t pid;
	int status;

	(void)fflush(NULL);
	pid = fork();
	ATF_REQUIRE(pid >= 0);
	if (pid == 0) {
		lab_reopen();
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(2);
		(void)raise(SIGSTOP);
		_exit(sweep->work(sweep) < 0);
	}
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	ATF_REQUIRE(WIFSTOPPED(status));
	ATF_REQUIRE_EQ(0, ptrace(PTRACE_SETOPTIONS, pid, NULL,
				 (void *)(uintptr_t)PTRACE_O_TRACESYSGOOD));
	return pid;
}

/* To the next stop at a system call, entry or return. Return: false where it has ended instead. */
static bool next_stop(pid_t pid)
{
	int status, sig = 0;

	for (;;) {
		ATF_REQUIRE_EQ(0, ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(uintptr_t)sig));
		ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
		if (!WIFSTOPPED(status)) {
			ATF_REQUIRE_MSG(WIFEXITED(status) && WEXITSTATUS(status) == 0,
					"it failed: %x", status);
			return false;
		}
		sig = WSTOPSIG(status);
		if (sig == (SIGTRAP | 0x80))
			return true;
	}
}

/* How many of these there are depends on how long the catalogue's log has grown. */
static bool only_looks(pid_t pid)
{
	static const long calls[] = { SYS_read,	  SYS_pread64,	  SYS_fcntl,
				      SYS_openat, SYS_mmap,	  SYS_fstat,
				      SYS_lseek,  SYS_newfstatat, SYS_clock_gettime };
	long call = ptrace(PTRACE_PEEKUSER, pid, (void *)(uintptr_t)(ORIG_RAX * sizeof(long)),
			   NULL);

	for (size_t i = 0; i < SM_ARRAY(calls); i++)
		if (call == calls[i])
			return true;
	return false;
}

/* To where it enters a call that does something. Return: false where it has ended instead. */
static bool next_call(pid_t pid)
{
	while (next_stop(pid)) {
		if (!only_looks(pid))
			return true;
		if (!next_stop(pid))
			return false;
	}
	return false;
}

/* Every process of that name: the guest is ours. */
static void kill_guards(void)
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
		if (strcmp(comm, "snapmgr-guard") == 0)
			(void)kill((pid_t)strtol(d->d_name, NULL, 10), SIGKILL);
	}
	(void)closedir(proc);
}

/* Return: false where it lived to the end. */
static bool kill_before_call(const struct sweep *sweep, unsigned int n)
{
	pid_t pid = start_traced(sweep);

	for (unsigned int i = 0; i < n; i++) {
		if (!next_call(pid) || (i + 1 < n && !next_stop(pid)))
			return false;
	}
	if (sweep->kill_guard)
		kill_guards();
	ATF_REQUIRE_EQ(0, kill(pid, SIGKILL));
	ATF_REQUIRE_EQ(pid, waitpid(pid, NULL, 0));
	return true;
}

static int keep_report(const char *finding, bool repaired, void *data)
{
	(void)repaired;
	*(unsigned int *)data += strstr(finding, "cut short") != NULL;
	return 0;
}

static void check_states(void)
{
	static const char *const all[] = { "p/v", "p/v@one", "p/v@two" };
	struct snapmgr_object o;

	for (size_t i = 0; i < SM_ARRAY(all); i++) {
		lab_show(all[i], &o);
		ATF_REQUIRE_STREQ_MSG("available", o.state, "%s", all[i]);
	}
}

/* Wholly one or the other; with @stamp, that was written since. */
static void check_head(struct sweep *sweep, uint64_t stamp, unsigned int n)
{
	const char *node = lab_node("p/v");
	int was = sweep->head;

	sweep->head = lab_holds(node, 0, SIZE, 1, LAB_DIRECT) ? 1 : 2;
	if (sweep->head == 2)
		ATF_REQUIRE_MSG(lab_holds(node, 0, SIZE, 2, LAB_DIRECT),
				"call %u: the volume is a mixture", n);
	if (stamp)
		ATF_REQUIRE_MSG(lab_holds(node, SIZE, STAMP, stamp, LAB_DIRECT),
				"call %u: a write is lost", n);
	sweep->done += was != sweep->head;
}

static void after_kill(struct sweep *sweep, unsigned int n)
{
	uint64_t stamp = 100 + n;
	struct sdm_info info;

	sweep->kills++;
	LAB_DO(sdm_info("snapmgr-p-v", &info, &err));
	if (sweep->kill_guard && info.exists && info.suspended) {
		sweep->suspended++;
		stamp = 0; /* a write would wait for the recovery */
	} else if (info.exists) {
		lab_write("/dev/mapper/snapmgr-p-v", SIZE, STAMP, stamp, LAB_DIRECT);
	}
	LAB_DO(snapmgr_recover(lab, "p", keep_report, &sweep->recovered, &err));
	LAB_DO(sdm_info("snapmgr-p-v", &info, &err));
	ATF_REQUIRE_MSG(!info.suspended && !info.has_inactive, "call %u", n);
	check_states();
	if (!sweep->inactive) {
		check_head(sweep, stamp, n);
		LAB_DO(snapmgr_deactivate(lab, "p/v", &err));
	}
	/* What ran is what the catalogue takes for the head, too. */
	LAB_DO(snapmgr_activate(lab, "p/v", NULL, NULL, &err));
	check_head(sweep, sweep->inactive ? 0 : stamp, n);
	if (sweep->inactive)
		LAB_DO(snapmgr_deactivate(lab, "p/v", &err));
	if (n % 40 == 0)
		lab_check_rest();
}

static void make_volume(void)
{
	lab_up();
	lab_create("p/v", SIZE + STAMP);
	lab_write(lab_node("p/v"), 0, SIZE, 1, LAB_DIRECT);
	lab_snapshot("p/v@one");
	lab_write(lab_node("p/v"), 0, SIZE, 2, LAB_DIRECT);
	lab_snapshot("p/v@two");
}

static void run(struct sweep *sweep)
{
	unsigned int n = 1;

	sweep->head = 2;
	while (kill_before_call(sweep, n) && n < MOST)
		after_kill(sweep, n++);
	printf("%u kills: %u recovered, %u suspended, %u times done\n", sweep->kills,
	       sweep->recovered, sweep->suspended, sweep->done);
	ATF_CHECK_MSG(n > 20 && n < MOST, "%u calls", n);
	/* before the kernel's message, the write of the commit, its flush; all others are more */
	ATF_CHECK_MSG(sweep->recovered >= 3, "%u", sweep->recovered);
	ATF_CHECK(sweep->done > 0);
	if (sweep->kill_guard)
		/* before the write of the commit, its flush, and the resume */
		ATF_CHECK_MSG(sweep->suspended >= 3, "%u", sweep->suspended);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_revert_killed_before_each_of_its_calls_is_recovered);
ATF_TC_BODY(a_revert_killed_before_each_of_its_calls_is_recovered, tc)
{
	struct sweep sweep = { .work = do_revert };

	make_volume();
	run(&sweep);
}

ATF_TC_WITHOUT_HEAD(a_revert_killed_with_its_guard_before_each_of_its_calls_is_recovered);
ATF_TC_BODY(a_revert_killed_with_its_guard_before_each_of_its_calls_is_recovered, tc)
{
	struct sweep sweep = { .work = do_revert, .kill_guard = true };

	make_volume();
	run(&sweep);
}

ATF_TC_WITHOUT_HEAD(an_undo_killed_before_each_of_its_calls_is_recovered);
ATF_TC_BODY(an_undo_killed_before_each_of_its_calls_is_recovered, tc)
{
	struct sweep sweep = { .work = do_undo };

	make_volume();
	lab_revert("p/v@one");
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err)); /* head two, undo point one */
	run(&sweep);
	ATF_CHECK_EQ(1, lab_undo_points("p/v"));
}

ATF_TC_WITHOUT_HEAD(a_revert_of_an_inactive_volume_killed_before_each_of_its_calls_is_recovered);
ATF_TC_BODY(a_revert_of_an_inactive_volume_killed_before_each_of_its_calls_is_recovered, tc)
{
	struct sweep sweep = { .work = do_revert, .inactive = true };

	make_volume();
	LAB_DO(snapmgr_deactivate(lab, "p/v", &err));
	run(&sweep);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_revert_killed_before_each_of_its_calls_is_recovered);
	ATF_TP_ADD_TC(tp, a_revert_killed_with_its_guard_before_each_of_its_calls_is_recovered);
	ATF_TP_ADD_TC(tp, an_undo_killed_before_each_of_its_calls_is_recovered);
	ATF_TP_ADD_TC(tp,
		      a_revert_of_an_inactive_volume_killed_before_each_of_its_calls_is_recovered);
	return atf_no_error();
}
