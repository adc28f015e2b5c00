/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A udevd that stopped, or died: what is asked for is done, within a bound, and a warning tells of it. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "../pool_lab.h"

#define SIZE	(1 * SM_MIB)
#define BOUND_S 25 /* of one verb: udev is waited for ten seconds; machines are slow */

static uint64_t began_ns;

static void begin(void)
{
	*lab_warnings = '\0';
	began_ns = sm_monotonic_ns();
}

static void check_bound(const char *verb)
{
	const uint64_t s = (sm_monotonic_ns() - began_ns) / 1000000000;

	printf("%s: %ju s\n", verb, (uintmax_t)s);
	ATF_CHECK_MSG(s < BOUND_S, "%s took %ju s", verb, (uintmax_t)s);
}

static void make_volume(void)
{
	lab_up();
	lab_create("p/v", SIZE);
	lab_write(lab_node("p/v"), 0, SIZE, 1, LAB_DIRECT);
	lab_snapshot("p/v@s");
	lab_write(lab_node("p/v"), 0, SIZE, 2, LAB_DIRECT);
	lab_create("p/old", SIZE);
	lab_create("p/w", SIZE);
	lab_create("p/u", SIZE);
	lab_snapshot("p/u@s");
	lab_write(lab_node("p/u"), 0, SIZE, 4, LAB_DIRECT);
	lab_revert("p/u@s");
	lab_run("udevadm settle");
}

static bool is_mapped(const char *spec)
{
	struct snapmgr_object o;
	struct sdm_info info;

	lab_show(spec, &o);
	if (!o.active)
		return false;
	LAB_DO(sdm_info(o.dm_name, &info, &err));
	return info.exists && info.has_live && !info.suspended;
}

static bool reads(const char *spec, uint64_t seed)
{
	struct sdm_info info;
	char node[32];

	lab_dm(spec, &info);
	(void)snprintf(node, sizeof(node), "/dev/dm-%u", info.minor);
	return lab_holds(node, 0, SIZE, seed, LAB_DIRECT);
}

/* ---- what a user does ---- */

static void revert(void)
{
	lab_revert("p/v@s");
}

static void snapshot(void)
{
	lab_snapshot("p/w@t");
}

static void create(void)
{
	lab_create("p/n", SIZE);
}

static void activate(void)
{
	LAB_DO(snapmgr_activate(lab, "p/v@s", NULL, NULL, &err));
}

static void undo(void)
{
	LAB_DO(snapmgr_undo(lab, "p/u", NULL, NULL, &err));
}

static void delete_old(void)
{
	LAB_DO(snapmgr_delete(lab, "p/old", NULL, NULL, NULL, &err));
}

static const struct {
	const char *name;
	void (*run)(void);
	bool waits; /* for udev */
} verbs[] = {
	{ "revert", revert, true }, { "snapshot", snapshot, false },
	{ "create", create, true }, { "activate", activate, true },
	{ "undo", undo, true },	    { "delete", delete_old, true },
};

static void check_results(void)
{
	ATF_CHECK(reads("p/v", 1));
	ATF_CHECK(lab_exists("p/w@t"));
	ATF_CHECK(is_mapped("p/n"));
	ATF_CHECK(is_mapped("p/v@s"));
	ATF_CHECK(reads("p/v@s", 1));
	ATF_CHECK(reads("p/u", 4));
	ATF_CHECK(!lab_exists("p/old"));
	lab_check_rest();
}

/* In a process of its own. Status: 0, 1 without the warning that there should be, 2 with another one. */
static pid_t start(size_t i)
{
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	ATF_REQUIRE(pid >= 0);
	if (pid != 0)
		return pid;
	*lab_warnings = '\0';
	lab_reopen();
	verbs[i].run();
	if (!verbs[i].waits)
		_exit(*lab_warnings ? 2 : 0);
	_exit(strstr(lab_warnings, "udev did not answer") ? 0 : 1);
}

/* All at once: nobody who waits for udev keeps the others waiting. */
static void run_at_once(void)
{
	pid_t pids[SM_ARRAY(verbs)];
	int status;

	begin();
	for (size_t i = 0; i < SM_ARRAY(verbs); i++)
		pids[i] = start(i);
	for (size_t i = 0; i < SM_ARRAY(verbs); i++) {
		ATF_REQUIRE_EQ(pids[i], waitpid(pids[i], &status, 0));
		ATF_CHECK_MSG(status == 0, "%s ended with status %d", verbs[i].name,
			      WEXITSTATUS(status));
	}
	check_bound("all of them");
}

static bool links_are_right(void)
{
	return access(SM_DEV_DIR "/p/v", F_OK) == 0 && access(SM_DEV_DIR "/p/n", F_OK) == 0 &&
	       access(SM_DEV_DIR "/p/v@s", F_OK) == 0 && access(SM_DEV_DIR "/p/old", F_OK) < 0 &&
	       access("/dev/mapper/snapmgr-p-old", F_OK) < 0;
}

/* "udevadm settle" may be done before a udevd that was stopped has read what waits for it. */
static void check_links(void)
{
	for (int i = 0; i < 100 && !links_are_right(); i++)
		lab_sleep_ms(100);
	if (!links_are_right())
		lab_run("ls -lR " SM_DEV_DIR " /dev/mapper /run/snapmgr/udev");
	ATF_CHECK_MSG(links_are_right(), "links are missing, or left over");
}

ATF_TC_WITHOUT_HEAD(verbs_are_done_while_udevd_is_stopped_and_links_follow_when_it_goes_on);
ATF_TC_BODY(verbs_are_done_while_udevd_is_stopped_and_links_follow_when_it_goes_on, tc)
{
	make_volume();
	lab_run("ipcs -s | grep -c 0x0d4d >" LAB "/before; pkill -STOP -x systemd-udevd");
	run_at_once();
	check_results();
	lab_run("pkill -CONT -x systemd-udevd; udevadm settle");
	check_links();
	lab_run("ipcs -s | grep -c 0x0d4d >" LAB "/after; cmp " LAB "/before " LAB "/after");
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK(lab_holds(SM_DEV_DIR "/p/v", 0, SIZE, 2, LAB_DIRECT));
	lab_check_rest();
}

/* Its socket stays behind. */
ATF_TC_WITHOUT_HEAD(verbs_are_done_without_delay_once_udevd_is_dead);
ATF_TC_BODY(verbs_are_done_without_delay_once_udevd_is_dead, tc)
{
	make_volume();
	lab_run("pkill -KILL -x systemd-udevd; test -S /run/udev/control");
	/* The first may still believe in it. */
	begin();
	LAB_DO(snapmgr_activate(lab, "p/v@s", NULL, NULL, &err));
	check_bound("the first");
	ATF_CHECK(lab_holds("/dev/mapper/snapmgr-p-v@s", 0, SIZE, 1, LAB_DIRECT));
	LAB_DO(snapmgr_deactivate(lab, "p/v@s", &err));
	for (size_t i = 0; i < SM_ARRAY(verbs); i++) {
		begin();
		verbs[i].run();
		check_bound(verbs[i].name);
	}
	check_results();
	ATF_CHECK_MSG(!strstr(lab_warnings, "udev"), "%s", lab_warnings);
	check_links();
	lab_run("/lib/systemd/systemd-udevd --daemon && udevadm trigger --action=add "
		"--subsystem-match=block && udevadm settle");
	check_links();
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, verbs_are_done_while_udevd_is_stopped_and_links_follow_when_it_goes_on);
	ATF_TP_ADD_TC(tp, verbs_are_done_without_delay_once_udevd_is_dead);
	return atf_no_error();
}
