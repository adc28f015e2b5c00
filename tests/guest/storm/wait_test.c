/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writers that stop or die with the pool's lock, and who waits for them.
 *
 * The linker hands us the commits (--wrap, see the Makefile), so that a writer stops in the middle of a
 * revert: its volume suspended, its transaction open.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "../pool_lab.h"
#include "snapmgr/catalogue/catalogue.h"

#define SIZE (1 * SM_MIB)
#define BOUND \
	(20 * UINT64_C(1000000000)) /* of what should take some milliseconds; machines are slow */

int __real_scat_commit(struct scat *cat, bool durable, struct snapmgr_err *err);
int __wrap_scat_commit(struct scat *cat, bool durable, struct snapmgr_err *err);

static enum stop { GO_ON, STOP_BEFORE, STOP_AFTER, FORK_AND_STOP } at_commit;

static void fork_and_stop(void)
{
	if (fork() == 0) { /* with whatever its parent has open, and no exec */
		for (;;)
			(void)pause();
	}
	(void)raise(SIGSTOP);
}

/* The durable one of a revert is made while its volume is suspended. */
int __wrap_scat_commit(struct scat *cat, bool durable, struct snapmgr_err *err)
{
	int r;

	if (durable && at_commit == FORK_AND_STOP)
		fork_and_stop();
	if (durable && at_commit == STOP_BEFORE)
		(void)raise(SIGSTOP);
	r = __real_scat_commit(cat, durable, err);
	if (durable && at_commit == STOP_AFTER)
		(void)raise(SIGSTOP);
	return r;
}

static void make_volume(void)
{
	lab_up();
	lab_create("p/v", SIZE);
	lab_write(lab_node("p/v"), 0, SIZE, 1, LAB_DIRECT);
	lab_snapshot("p/v@a");
	lab_write(lab_node("p/v"), 0, SIZE, 2, LAB_DIRECT);
	lab_create("p/w", SIZE);
}

static void revert_and_stop(void *data)
{
	lab_reopen();
	at_commit = *(enum stop *)data;
	lab_ready();
	(void)snapmgr_revert(lab, "p/v@a", NULL, NULL, NULL);
}

static pid_t start_stopped(enum stop where)
{
	pid_t pid = lab_child(revert_and_stop, &where);
	int status;

	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ATF_REQUIRE_MSG(WIFSTOPPED(status), "it ended with %d", status);
	return pid;
}

static void go_on(pid_t pid)
{
	int status;

	ATF_REQUIRE_EQ(0, kill(pid, SIGCONT));
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	ATF_REQUIRE_EQ(0, status);
}

static int count_object(const struct snapmgr_object *o, void *data)
{
	(void)o;
	++*(unsigned int *)data;
	return 0;
}

static int see_pool(const struct snapmgr_pool *p, void *data)
{
	(void)data;
	ATF_CHECK_STREQ("active", p->state);
	return 0;
}

static void check_readers(void)
{
	const uint64_t start_ns = sm_monotonic_ns();
	struct snapmgr_object o;
	unsigned int n = 0;

	LAB_DO(snapmgr_list(lab, "p", NULL, count_object, &n, &err));
	ATF_CHECK_EQ(3, n);
	lab_show("p/v", &o);
	ATF_CHECK_STREQ("reverting", o.state);
	lab_show("p/v@a", &o);
	ATF_CHECK_STREQ("restoring", o.state);
	lab_show("p/w", &o);
	ATF_CHECK_STREQ("available", o.state);
	LAB_DO(snapmgr_pool_show(lab, "p", see_pool, NULL, &err));
	ATF_CHECK_MSG(sm_monotonic_ns() - start_ns < BOUND, "a reader waited");
}

static int see_operation(const struct snapmgr_operation *op, void *data)
{
	ATF_CHECK_STREQ("p", op->pool);
	ATF_CHECK_STREQ("revert", op->verb);
	ATF_CHECK_STREQ("v@a", op->object);
	ATF_CHECK(op->started_at_us > 0 && strlen(op->uuid) == 36);
	*(int *)data = op->pid;
	return 0;
}

static void check_operations(pid_t holder)
{
	int pid = 0;

	LAB_DO(snapmgr_operations(lab, NULL, see_operation, &pid, &err));
	ATF_CHECK_EQ(holder, pid);
}

static void check_impatient(pid_t holder)
{
	const char *const spec = "p/w@x";
	struct snapmgr *impatient;
	char pid[32];

	LAB_DO(snapmgr_open(&(struct snapmgr_open_opts){ .size = sizeof(struct snapmgr_open_opts) },
			    &impatient, &err));
	LAB_REFUSED(SNAPMGR_LOCKED, snapmgr_snapshot(impatient, &spec, 1, NULL, NULL, NULL, &err));
	(void)snprintf(pid, sizeof(pid), "process %d", (int)holder);
	LAB_SAYS(pid);
	LAB_SAYS("revert of 'v@a' since");
	snapmgr_free(impatient);
}

ATF_TC_WITHOUT_HEAD(readers_do_not_wait_for_a_writer_that_stopped_before_its_commit);
ATF_TC_BODY(readers_do_not_wait_for_a_writer_that_stopped_before_its_commit, tc)
{
	pid_t pid;

	make_volume();
	pid = start_stopped(STOP_BEFORE);
	check_readers();
	check_operations(pid);
	check_impatient(pid);
	go_on(pid);
	pid = 0;
	LAB_DO(snapmgr_operations(lab, "p", see_operation, &pid, &err));
	ATF_CHECK_EQ(0, pid);
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE, 1, LAB_DIRECT));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(readers_do_not_wait_for_a_writer_that_stopped_after_its_commit);
ATF_TC_BODY(readers_do_not_wait_for_a_writer_that_stopped_after_its_commit, tc)
{
	pid_t pid;

	make_volume();
	pid = start_stopped(STOP_AFTER);
	check_readers();
	check_impatient(pid);
	go_on(pid);
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE, 1, LAB_DIRECT));
	lab_check_rest();
}

static int stop_here(const struct snapmgr_object *o, void *data)
{
	(void)o;
	(void)data;
	(void)raise(SIGSTOP);
	return 1;
}

static void list_and_stop(void *data)
{
	(void)data;
	lab_reopen();
	lab_ready();
	(void)snapmgr_list(lab, "p", NULL, stop_here, NULL, NULL);
}

ATF_TC_WITHOUT_HEAD(writers_do_not_wait_for_a_reader_that_stopped);
ATF_TC_BODY(writers_do_not_wait_for_a_reader_that_stopped, tc)
{
	const uint64_t start_ns = sm_monotonic_ns();
	int status;
	pid_t pid;

	make_volume();
	pid = lab_child(list_and_stop, NULL);
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, WUNTRACED));
	for (int i = 0; i < 10; i++) {
		lab_revert("p/v@a");
		lab_snapshot("p/v@b");
		LAB_DO(snapmgr_delete(lab, "p/v@b", NULL, NULL, NULL, &err));
	}
	ATF_CHECK_MSG(sm_monotonic_ns() - start_ns < 3 * BOUND, "a writer waited");
	lab_check_rest();
	lab_end(pid);
}

static int status_of(const char *command)
{
	int status;

	(void)fflush(NULL);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

ATF_TC_WITHOUT_HEAD(the_command_waits_as_long_as_it_is_told_to);
ATF_TC_BODY(the_command_waits_as_long_as_it_is_told_to, tc)
{
	uint64_t start_ns, ms;
	pid_t pid;

	make_volume();
	pid = start_stopped(STOP_BEFORE);
	ATF_CHECK_EQ(4, status_of("snapmgr snapshot p/w@x --wait 0 --json >out"));
	ATF_CHECK_EQ(0, status_of("grep -q '\"code\": *\"locked\"' out"));
	start_ns = sm_monotonic_ns();
	ATF_CHECK_EQ(4, status_of("snapmgr snapshot p/w@x --wait 2 2>err"));
	ms = (sm_monotonic_ns() - start_ns) / 1000000;
	ATF_CHECK_MSG(ms >= 2000 && ms < 20000, "%ju ms", (uintmax_t)ms);
	ATF_CHECK_EQ(0, status_of("snapmgr list p --wait 0 >out && grep -q w out"));
	go_on(pid);
	ATF_CHECK_EQ(0, status_of("snapmgr snapshot p/w@x --wait 0"));
	lab_check_rest();
}

/* Who waits when the holder dies gets the lock, and heals what the dead left. */
static void kill_and_wait(enum stop where)
{
	struct snapmgr_object v;
	pid_t pid;

	make_volume();
	pid = start_stopped(where);
	lab_end(pid);
	lab_snapshot("p/w@x");
	lab_show("p/v", &v);
	ATF_CHECK_STREQ("available", v.state);
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE, 1, LAB_DIRECT) ||
		  lab_holds(lab_node("p/v"), 0, SIZE, 2, LAB_DIRECT));
	lab_check_rest();
	lab_revert("p/v@a");
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE, 1, LAB_DIRECT));
}

ATF_TC_WITHOUT_HEAD(a_holder_killed_before_its_commit_leaves_nothing_behind);
ATF_TC_BODY(a_holder_killed_before_its_commit_leaves_nothing_behind, tc)
{
	kill_and_wait(STOP_BEFORE);
}

ATF_TC_WITHOUT_HEAD(a_holder_killed_after_its_commit_leaves_nothing_behind);
ATF_TC_BODY(a_holder_killed_after_its_commit_leaves_nothing_behind, tc)
{
	kill_and_wait(STOP_AFTER);
}

ATF_TC_WITHOUT_HEAD(a_holder_killed_with_a_forked_child_alive_leaves_nothing_behind);
ATF_TC_BODY(a_holder_killed_with_a_forked_child_alive_leaves_nothing_behind, tc)
{
	kill_and_wait(FORK_AND_STOP);
}

/* ---- nobody starves ---- */

struct traffic {
	volatile bool over;
	unsigned int rounds[6];
	uint64_t longest_ns[6];
};
static struct traffic *traffic;

static void come_and_go(void *data)
{
	const unsigned int self = *(unsigned int *)data;
	char spec[64];
	const char *const list[] = { spec };

	lab_reopen();
	lab_ready();
	for (unsigned int i = 0; !traffic->over; i++) {
		uint64_t start_ns = sm_monotonic_ns(), ns;

		(void)snprintf(spec, sizeof(spec), "p/v@t%u-%u", self, i);
		LAB_DO(snapmgr_snapshot(lab, list, 1, NULL, NULL, NULL, &err));
		LAB_DO(snapmgr_delete(lab, spec, NULL, NULL, NULL, &err));
		ns = sm_monotonic_ns() - start_ns;
		if (ns > traffic->longest_ns[self])
			traffic->longest_ns[self] = ns;
		traffic->rounds[self]++;
	}
}

ATF_TC_WITHOUT_HEAD(six_writers_without_a_pause_get_their_share_each);
ATF_TC_BODY(six_writers_without_a_pause_get_their_share_each, tc)
{
	unsigned int numbers[6], all = 0;
	pid_t pids[6];

	make_volume();
	traffic = mmap(NULL, sizeof(*traffic), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	ATF_REQUIRE(traffic != MAP_FAILED);
	for (unsigned int i = 0; i < 6; i++) {
		numbers[i] = i;
		pids[i] = lab_child(come_and_go, &numbers[i]);
	}
	lab_sleep_ms(4000);
	traffic->over = true;
	for (unsigned int i = 0; i < 6; i++) {
		ATF_REQUIRE_EQ(pids[i], waitpid(pids[i], NULL, 0));
		printf("%u: %u rounds, the longest %ju ms\n", i, traffic->rounds[i],
		       (uintmax_t)(traffic->longest_ns[i] / 1000000));
		all += traffic->rounds[i];
	}
	for (unsigned int i = 0; i < 6; i++)
		ATF_CHECK_MSG(traffic->rounds[i] >= all / 18, "process %u had %u of %u rounds", i,
			      traffic->rounds[i], all);
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, readers_do_not_wait_for_a_writer_that_stopped_before_its_commit);
	ATF_TP_ADD_TC(tp, readers_do_not_wait_for_a_writer_that_stopped_after_its_commit);
	ATF_TP_ADD_TC(tp, writers_do_not_wait_for_a_reader_that_stopped);
	ATF_TP_ADD_TC(tp, the_command_waits_as_long_as_it_is_told_to);
	ATF_TP_ADD_TC(tp, a_holder_killed_before_its_commit_leaves_nothing_behind);
	ATF_TP_ADD_TC(tp, a_holder_killed_after_its_commit_leaves_nothing_behind);
	ATF_TP_ADD_TC(tp, a_holder_killed_with_a_forked_child_alive_leaves_nothing_behind);
	ATF_TP_ADD_TC(tp, six_writers_without_a_pause_get_their_share_each);
	return atf_no_error();
}
