/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Links below /dev, with a real udevd and without one; and that udev leaves alone what is not for it. */
#include <atf-c.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "rig.h"

#define MIB	64
#define FS_UUID "6b51f5a4-7a3e-4a0c-9d58-0f1e2d3c4b5a"
#define BY_UUID "/dev/disk/by-uuid/" FS_UUID
#define LABEL	"riglabel"

#define REQUIRE_OK(what)                                                     \
	do {                                                                 \
		struct snapmgr_err err = { .message = "" };                  \
		int ok_r = (what);                                           \
		if (ok_r < 0)                                                \
			atf_tc_fail("%s: %d: %s", #what, ok_r, err.message); \
	} while (0)

static void mkfs(const struct sdm_device *dev)
{
	rig_run("mkfs.ext4 -q -F -U " FS_UUID " -L " LABEL " /dev/dm-%u && udevadm settle",
		rig_info(dev).minor);
}

/* Where a link leads: the minor number of a dm device, or -1 where there is none. */
static int leads_to(const char *link)
{
	char path[PATH_MAX];
	unsigned int minor;

	if (!realpath(link, path))
		return -1;
	return sscanf(path, "/dev/dm-%u", &minor) == 1 ? (int)minor : -2;
}

static int own_link(const struct sdm_device *dev)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), SM_DEV_DIR "/%s", dev->link);
	return leads_to(path);
}

/* No link of /dev/disk leads there. */
static void check_hidden(const struct sdm_device *dev)
{
	rig_run("! find /dev/disk -type l -lname '*/dm-%u' | grep .", rig_info(dev).minor);
}

static void trigger(const char *action)
{
	rig_run("udevadm trigger --subsystem-match=block --action=%s && udevadm settle", action);
}

static void repoint(const struct rig *rig, const struct sdm_device *dev, uint32_t id, bool uevent)
{
	AUTO(sdm_switch_free) struct sdm_switch *sw = NULL;
	struct sdm_target target = rig_target(rig, id, MIB);
	struct sdm_switch_device member = { .dev = dev, .target = &target };
	struct sdm_switch_opts opts = { .uevent = uevent, .lock_fd = -1, .pool = "rig" };

	REQUIRE_OK(sdm_switch_prepare(&member, 1, &opts, &sw, &err));
	REQUIRE_OK(sdm_switch_suspend(sw, &err));
	sdm_switch_committed(sw);
	REQUIRE_OK(sdm_switch_resume(sw, &err));
	REQUIRE_OK(sdm_switch_settle(sw, 30000, &err));
}

ATF_TC_WITHOUT_HEAD(links_of_a_volume_survive_switches_and_triggers);
ATF_TC_BODY(links_of_a_volume_survive_switches_and_triggers, tc)
{
	struct sdm_device dev;
	struct rig rig;
	int minor;

	(void)tc;
	rig_up(&rig, 512);
	dev = rig_thin(&rig, "vol", 1, MIB);
	minor = (int)rig_info(&dev).minor;
	ATF_CHECK_EQ(minor, own_link(&dev));
	mkfs(&dev);
	ATF_CHECK_EQ(minor, leads_to(BY_UUID));
	ATF_CHECK_EQ(minor, leads_to("/dev/disk/by-label/" LABEL));
	rig_snap(&rig, &dev, 2, 1);
	rig_run("udevadm settle");
	ATF_CHECK_EQ(minor, leads_to(BY_UUID));
	repoint(&rig, &dev, 2, true);
	ATF_CHECK_EQ(minor, leads_to(BY_UUID));
	ATF_CHECK_EQ(minor, own_link(&dev));
	rig_snap(&rig, &dev, 3, 2);
	repoint(&rig, &dev, 3, false);
	rig_run("udevadm settle");
	ATF_CHECK_EQ(minor, leads_to(BY_UUID));
	ATF_CHECK_EQ(minor, own_link(&dev));
	trigger("change");
	ATF_CHECK_EQ(minor, leads_to(BY_UUID));
	ATF_CHECK_EQ(minor, own_link(&dev));
	trigger("add");
	ATF_CHECK_EQ(minor, leads_to(BY_UUID));
	ATF_CHECK_EQ(minor, own_link(&dev));
	rig_remove(&dev);
	ATF_CHECK_EQ(-1, leads_to(BY_UUID));
	ATF_CHECK(access(SM_DEV_DIR "/rig", F_OK) < 0);
	rig_down(&rig);
}

ATF_TC_WITHOUT_HEAD(links_come_and_go_with_what_is_inside);
ATF_TC_BODY(links_come_and_go_with_what_is_inside, tc)
{
	struct sdm_device dev;
	struct rig rig;

	(void)tc;
	rig_up(&rig, 512);
	dev = rig_thin(&rig, "vol", 1, MIB);
	rig_snap(&rig, &dev, 2, 1); /* empty */
	mkfs(&dev);
	rig_snap(&rig, &dev, 3, 1); /* with the filesystem */
	repoint(&rig, &dev, 2, true);
	ATF_CHECK_EQ(-1, leads_to(BY_UUID));
	repoint(&rig, &dev, 3, true);
	ATF_CHECK_EQ((int)rig_info(&dev).minor, leads_to(BY_UUID));
	rig_down(&rig);
}

ATF_TC_WITHOUT_HEAD(links_survive_the_death_of_an_owner);
ATF_TC_BODY(links_survive_the_death_of_an_owner, tc)
{
	struct sdm_switch_opts opts = { .uevent = true, .lock_fd = -1, .pool = "rig" };
	struct sdm_device dev;
	struct rig rig;
	int minor;
	pid_t pid;

	(void)tc;
	rig_up(&rig, 512);
	dev = rig_thin(&rig, "vol", 1, MIB);
	mkfs(&dev);
	rig_snap(&rig, &dev, 2, 1);
	rig_run("udevadm settle; ipcs -s | grep -c 0x0d4d >before; true");
	minor = (int)rig_info(&dev).minor;
	pid = fork();
	ATF_REQUIRE(pid >= 0);
	if (pid == 0) {
		struct sdm_target target = rig_target(&rig, 2, MIB);
		struct sdm_switch_device member = { .dev = &dev, .target = &target };
		struct sdm_switch *sw = NULL;

		if (sdm_switch_prepare(&member, 1, &opts, &sw, NULL) == 0 &&
		    sdm_switch_suspend(sw, NULL) == 0) {
			sdm_switch_committed(sw);
			(void)kill(getpid(), SIGKILL);
		}
		_exit(1);
	}
	ATF_REQUIRE(waitpid(pid, NULL, 0) == pid);
	for (int i = 0; i < 300 && rig_info(&dev).suspended; i++)
		(void)usleep(10000);
	rig_run("udevadm settle");
	ATF_CHECK_EQ(2, rig_live_id(&dev));
	ATF_CHECK_EQ(minor, leads_to(BY_UUID));
	ATF_CHECK_EQ(minor, own_link(&dev));
	rig_run("pidwait snapmgr-guard; ipcs -s | grep -c 0x0d4d >after; cmp before after");
	rig_down(&rig);
}

ATF_TC_WITHOUT_HEAD(internal_devices_are_never_linked);
ATF_TC_BODY(internal_devices_are_never_linked, tc)
{
	struct sdm_target target = { .len_sectors = 131072, .type = "linear" };
	struct sdm_device dev;
	struct rig rig;

	(void)tc;
	rig_up(&rig, 512);
	/* One that begins as somebody's filesystem does: what a pool's data device may look like. */
	dev = rig_device("role", SDM_INTERNAL);
	(void)snprintf(target.params, sizeof(target.params), "%u:%u 0", rig_info(&rig.data).major,
		       rig_info(&rig.data).minor);
	REQUIRE_OK(sdm_create(&dev, &target, 1, NULL, &err));
	mkfs(&dev);
	check_hidden(&dev);
	REQUIRE_OK(sdm_suspend(dev.name, 0, NULL, &err));
	REQUIRE_OK(sdm_resume(&dev, NULL, &err));
	rig_run("udevadm settle");
	check_hidden(&dev);
	trigger("change");
	check_hidden(&dev);
	trigger("add");
	check_hidden(&dev);
	check_hidden(&rig.meta);
	check_hidden(&rig.data);
	check_hidden(&rig.pool);
	/* Also where udev has lost its database. */
	rig_run("udevadm info --cleanup-db");
	trigger("change");
	check_hidden(&dev);
	rig_run("udevadm info /dev/dm-%u | grep -q SYSTEMD_READY=0", rig_info(&dev).minor);
	rig_down(&rig);
}

ATF_TC_WITHOUT_HEAD(an_active_snapshot_takes_no_link_of_its_volume);
ATF_TC_BODY(an_active_snapshot_takes_no_link_of_its_volume, tc)
{
	struct sdm_device dev, snap = rig_device("vol@s1", SDM_SNAPSHOT);
	struct rig rig;
	int minor;

	(void)tc;
	snap.read_only = true;
	rig_up(&rig, 512);
	dev = rig_thin(&rig, "vol", 1, MIB);
	minor = (int)rig_info(&dev).minor;
	mkfs(&dev);
	rig_snap(&rig, &dev, 2, 1);
	rig_map(&rig, &snap, 2, MIB);
	ATF_CHECK_EQ((int)rig_info(&snap).minor, own_link(&snap));
	ATF_CHECK(rig_info(&snap).read_only);
	check_hidden(&snap);
	trigger("add");
	check_hidden(&snap);
	trigger("change");
	check_hidden(&snap);
	ATF_CHECK_EQ((int)rig_info(&snap).minor, own_link(&snap));
	ATF_CHECK_EQ(minor, leads_to(BY_UUID));
	/* Suspended and resumed, as for a snapshot of it. */
	rig_snap(&rig, &snap, 3, 2);
	rig_run("udevadm settle");
	check_hidden(&snap);
	ATF_CHECK_EQ((int)rig_info(&snap).minor, own_link(&snap));
	rig_remove(&snap);
	ATF_CHECK_EQ(-1, own_link(&snap));
	ATF_CHECK_EQ(minor, leads_to(BY_UUID));
	rig_down(&rig);
}

ATF_TC_WITHOUT_HEAD(other_rules_leave_a_guests_disk_alone);
ATF_TC_BODY(other_rules_leave_a_guests_disk_alone, tc)
{
	struct sdm_device dev = rig_device("vm", SDM_GUEST);
	struct rig rig;

	(void)tc;
	rig_up(&rig, 512);
	REQUIRE_OK(sdm_thin_create(rig.pool.name, 1, &err));
	rig_map(&rig, &dev, 1, MIB);
	mkfs(&dev);
	ATF_CHECK_EQ((int)rig_info(&dev).minor, leads_to(BY_UUID));
	rig_run("udevadm info /dev/dm-%u | grep -q DM_UDEV_DISABLE_OTHER_RULES_FLAG=1",
		rig_info(&dev).minor);
	rig_run("udevadm info --cleanup-db");
	trigger("change");
	rig_run("udevadm info /dev/dm-%u | grep -q DM_UDEV_DISABLE_OTHER_RULES_FLAG=1",
		rig_info(&dev).minor);
	rig_down(&rig);
}

ATF_TC_WITHOUT_HEAD(a_renamed_device_has_its_new_link_only);
ATF_TC_BODY(a_renamed_device_has_its_new_link_only, tc)
{
	struct sdm_device dev, renamed;
	struct sdm_cookie cookie;
	struct rig rig;

	(void)tc;
	rig_up(&rig, 256);
	dev = rig_thin(&rig, "vol", 1, MIB);
	renamed = rig_device("new+name", SDM_VOLUME);
	memcpy(renamed.uuid, dev.uuid, sizeof(renamed.uuid));
	REQUIRE_OK(sdm_link_announce(&renamed, &err));
	REQUIRE_OK(sdm_cookie_make(&cookie, &err));
	REQUIRE_OK(sdm_rename(&dev, renamed.name, &cookie, &err));
	REQUIRE_OK(sdm_cookie_wait(&cookie, 30000, &err));
	ATF_CHECK_EQ(-1, own_link(&dev));
	ATF_CHECK_EQ((int)rig_info(&renamed).minor, own_link(&renamed));
	ATF_CHECK(access("/dev/mapper/snapmgr-rig-new+name", F_OK) == 0);
	ATF_CHECK(access("/dev/mapper/snapmgr-rig-vol", F_OK) < 0);
	rig_down(&rig);
}

ATF_TC_WITHOUT_HEAD(a_cookie_that_udev_never_answers_is_given_up);
ATF_TC_BODY(a_cookie_that_udev_never_answers_is_given_up, tc)
{
	struct snapmgr_err err = { .message = "" };
	struct sdm_cookie cookie;
	struct sdm_device dev;
	struct rig rig;
	uint64_t ns;

	(void)tc;
	rig_up(&rig, 256);
	dev = rig_thin(&rig, "vol", 1, MIB);
	rig_run("udevadm settle; ipcs -s | grep -c 0x0d4d >before; udevadm control --stop-exec-queue");
	ATF_REQUIRE(sdm_cookie_make(&cookie, &err) == 0 && cookie.made);
	ATF_REQUIRE_EQ(0, sdm_suspend(dev.name, 0, NULL, &err));
	ATF_REQUIRE_EQ(0, sdm_resume(&dev, &cookie, &err));
	ns = sm_monotonic_ns();
	ATF_CHECK_EQ(-ETIMEDOUT, sdm_cookie_wait(&cookie, 300, &err));
	ns = sm_monotonic_ns() - ns;
	ATF_CHECK(ns > 250000000 && ns < 1500000000);
	ATF_CHECK(!cookie.made);
	ATF_CHECK_EQ(0, sdm_cookie_wait(&cookie, 300, &err));
	rig_run("ipcs -s | grep -c 0x0d4d >after; udevadm control --start-exec-queue; cmp before after");
	rig_down(&rig);
}

/* ---- no udevd ---- */

ATF_TC_WITHOUT_HEAD(without_udev_we_make_nodes_and_links_ourselves);
ATF_TC_BODY(without_udev_we_make_nodes_and_links_ourselves, tc)
{
	char mapper[] = "/dev/mapper/snapmgr-rig-vol@s+1", to[PATH_MAX] = "";
	struct sdm_device dev, other, renamed;
	struct sdm_cookie cookie;
	struct rig rig;
	struct stat st;

	(void)tc;
	rig_reexec_without_udev();
	ATF_REQUIRE(!sdm_udev_running());
	rig_up(&rig, 256);
	REQUIRE_OK(sdm_cookie_make(&cookie, &err));
	ATF_CHECK(!cookie.made);
	dev = rig_thin(&rig, "vol@s+1", 1, MIB);
	other = rig_thin(&rig, "other", 2, MIB);
	ATF_CHECK(stat(mapper, &st) == 0 && S_ISBLK(st.st_mode));
	ATF_CHECK(readlink(SM_DEV_DIR "/rig/vol@s+1", to, sizeof(to) - 1) > 0);
	ATF_CHECK_STREQ("../../mapper/snapmgr-rig-vol@s+1", to);
	ATF_CHECK(stat(SM_DEV_DIR "/rig/vol@s+1", &st) == 0 && S_ISBLK(st.st_mode));
	repoint(&rig, &dev, 2, true);
	ATF_CHECK(stat(SM_DEV_DIR "/rig/vol@s+1", &st) == 0 && S_ISBLK(st.st_mode));

	renamed = rig_device("vol2", SDM_VOLUME);
	memcpy(renamed.uuid, dev.uuid, sizeof(renamed.uuid));
	REQUIRE_OK(sdm_rename(&dev, renamed.name, NULL, &err));
	REQUIRE_OK(sdm_link_settle(&dev, true, &err));
	REQUIRE_OK(sdm_link_announce(&renamed, &err));
	REQUIRE_OK(sdm_link_settle(&renamed, false, &err));
	ATF_CHECK(stat(SM_DEV_DIR "/rig/vol2", &st) == 0 && S_ISBLK(st.st_mode));
	ATF_CHECK(access(mapper, F_OK) < 0);
	ATF_CHECK(lstat(SM_DEV_DIR "/rig/vol@s+1", &st) < 0);
	rig_remove(&renamed);
	ATF_CHECK(access("/dev/mapper/snapmgr-rig-vol2", F_OK) < 0);
	ATF_CHECK(access(SM_DEV_DIR "/rig", F_OK) == 0);
	rig_remove(&other);
	rig_run("udevadm settle"); /* there is one after all, and it reads what we announce */
	ATF_CHECK(access(SM_DEV_DIR "/rig", F_OK) < 0);
	rig_down(&rig);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, links_of_a_volume_survive_switches_and_triggers);
	ATF_TP_ADD_TC(tp, links_come_and_go_with_what_is_inside);
	ATF_TP_ADD_TC(tp, links_survive_the_death_of_an_owner);
	ATF_TP_ADD_TC(tp, internal_devices_are_never_linked);
	ATF_TP_ADD_TC(tp, an_active_snapshot_takes_no_link_of_its_volume);
	ATF_TP_ADD_TC(tp, other_rules_leave_a_guests_disk_alone);
	ATF_TP_ADD_TC(tp, a_renamed_device_has_its_new_link_only);
	ATF_TP_ADD_TC(tp, a_cookie_that_udev_never_answers_is_given_up);
	ATF_TP_ADD_TC(tp, without_udev_we_make_nodes_and_links_ourselves);
	return atf_no_error();
}
