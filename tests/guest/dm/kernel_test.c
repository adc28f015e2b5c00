/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The thin wrappers, against a real kernel: what they answer, and what a failure leaves. */
#include <atf-c.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "rig.h"

#define MIB 64

#define REQUIRE_OK(what)                                                     \
	do {                                                                 \
		struct snapmgr_err err = { .message = "" };                  \
		int ok_r = (what);                                           \
		if (ok_r < 0)                                                \
			atf_tc_fail("%s: %d: %s", #what, ok_r, err.message); \
	} while (0)

ATF_TC_WITHOUT_HEAD(a_refused_table_leaves_no_device);
ATF_TC_BODY(a_refused_table_leaves_no_device, tc)
{
	struct sdm_device dev = rig_device("vol", SDM_VOLUME);
	struct snapmgr_err err = { .message = "" };
	struct sdm_target target;
	struct sdm_cookie cookie;
	struct rig rig;

	(void)tc;
	rig_up(&rig, 256);
	target = rig_target(&rig, 7, MIB); /* no such id */
	ATF_REQUIRE_EQ(0, sdm_cookie_make(&cookie, &err));
	ATF_CHECK_EQ(-ENODATA, sdm_create(&dev, &target, 1, &cookie, &err));
	ATF_CHECK_EQ(SNAPMGR_KERNEL, err.code);
	ATF_CHECK_EQ(0, sdm_cookie_wait(&cookie, 10000, &err));
	ATF_CHECK(!rig_info(&dev).exists);
	rig_down(&rig);
}

ATF_TC_WITHOUT_HEAD(a_name_or_uuid_is_given_once);
ATF_TC_BODY(a_name_or_uuid_is_given_once, tc)
{
	struct snapmgr_err err = { .message = "" };
	struct sdm_device dev, other;
	struct sdm_target target;
	struct rig rig;

	(void)tc;
	rig_up(&rig, 256);
	dev = rig_thin(&rig, "vol", 1, MIB);
	ATF_REQUIRE_EQ(0, sdm_thin_create(rig.pool.name, 2, &err));
	target = rig_target(&rig, 2, MIB);
	ATF_CHECK_EQ(-EEXIST, sdm_create(&dev, &target, 1, NULL, &err));
	ATF_CHECK_EQ(SNAPMGR_EXISTS, err.code);
	ATF_CHECK_EQ(1, rig_live_id(&dev));
	other = rig_device("other", SDM_VOLUME);
	memcpy(other.uuid, dev.uuid, sizeof(other.uuid));
	ATF_CHECK_EQ(-EEXIST, sdm_create(&other, &target, 1, NULL, &err));
	ATF_CHECK(!rig_info(&other).exists);
	other = rig_thin(&rig, "other", 3, MIB);
	ATF_CHECK_EQ(-EEXIST, sdm_rename(&other, dev.name, NULL, &err));
	ATF_CHECK_EQ(SNAPMGR_EXISTS, err.code);
	rig_down(&rig);
}

ATF_TC_WITHOUT_HEAD(what_a_dead_maker_left_without_a_table_is_made_again);
ATF_TC_BODY(what_a_dead_maker_left_without_a_table_is_made_again, tc)
{
	struct sdm_device dev = rig_device("vol", SDM_VOLUME);
	struct rig rig;

	(void)tc;
	rig_up(&rig, 256);
	REQUIRE_OK(sdm_thin_create(rig.pool.name, 1, &err));
	rig_run("dmsetup create %s -u %s --notable", dev.name, dev.uuid);
	ATF_REQUIRE(rig_info(&dev).exists && !rig_info(&dev).has_live);
	rig_map(&rig, &dev, 1, MIB);
	ATF_CHECK_EQ(1, rig_live_id(&dev));
	rig_remove(&dev);
	rig_run("dmsetup create %s -u %s --notable", dev.name, dev.uuid);
	ATF_CHECK_EQ(1, sdm_switch_heal(&dev, true, NULL));
	ATF_CHECK(!rig_info(&dev).exists);
	rig_down(&rig);
}

ATF_TC_WITHOUT_HEAD(one_in_use_is_not_removed);
ATF_TC_BODY(one_in_use_is_not_removed, tc)
{
	struct snapmgr_err err = { .message = "" };
	struct sdm_device dev;
	struct rig rig;
	uint64_t ns;
	int fd;

	(void)tc;
	rig_up(&rig, 256);
	dev = rig_thin(&rig, "vol", 1, MIB);
	rig_run("udevadm settle");
	fd = rig_open(&dev, O_RDONLY);
	ATF_CHECK_EQ(1, rig_info(&dev).open_count);
	ns = sm_monotonic_ns();
	ATF_CHECK_EQ(-EBUSY, sdm_remove(&dev, NULL, &err));
	ns = sm_monotonic_ns() - ns;
	ATF_CHECK_EQ(SNAPMGR_IN_USE, err.code);
	ATF_CHECK(ns > 800000000 && ns < 3000000000);
	(void)close(fd);
	ATF_CHECK_EQ(0, sdm_remove(&dev, NULL, &err));
	ATF_CHECK_EQ(0, sdm_remove(&dev, NULL, &err));
	rig_down(&rig);
}

ATF_TC_WITHOUT_HEAD(what_is_not_there_is_said_to_be_missing);
ATF_TC_BODY(what_is_not_there_is_said_to_be_missing, tc)
{
	struct sdm_device dev = { .name = "snapmgr-rig-nothing" };
	struct sdm_target target = { .len_sectors = 8, .type = "error" };
	struct snapmgr_err err = { .message = "" };
	struct sdm_info info = { .exists = true };
	char line[64];

	(void)tc;
	ATF_CHECK_EQ(0, sdm_info(dev.name, &info, &err));
	ATF_CHECK(!info.exists);
	info.exists = true;
	ATF_CHECK_EQ(0, sdm_info_by_uuid("SNAPMGR-nothing", &info, &err));
	ATF_CHECK(!info.exists);
	ATF_CHECK_EQ(-ENOENT, sdm_status(dev.name, false, NULL, line, sizeof(line), &err));
	ATF_CHECK_EQ(SNAPMGR_NOT_FOUND, err.code);
	ATF_CHECK_EQ(-ENOENT, sdm_load(&dev, &target, 1, &err));
	ATF_CHECK_EQ(-ENOENT, sdm_clear(dev.name, &err));
	ATF_CHECK_EQ(-ENOENT, sdm_suspend(dev.name, 0, NULL, &err));
	ATF_CHECK_EQ(-ENOENT, sdm_resume(&dev, NULL, &err));
	ATF_CHECK_EQ(-ENOENT, sdm_resume_unchanged(dev.name, &err));
	ATF_CHECK_EQ(-ENOENT, sdm_rename(&dev, "snapmgr-rig-other", NULL, &err));
	ATF_CHECK_EQ(-ENOENT, sdm_deps(dev.name, NULL, NULL, &err));
	ATF_CHECK_EQ(0, sdm_switch_heal(&dev, true, &err));
}

static int count_ours(const char *name, const char *uuid, uint32_t major, uint32_t minor,
		      void *data)
{
	struct sdm_info info;

	ATF_REQUIRE_EQ(0, sdm_info_by_uuid(uuid, &info, NULL));
	ATF_CHECK_STREQ(name, info.name);
	ATF_CHECK_EQ(major, info.major);
	ATF_CHECK_EQ(minor, info.minor);
	++*(int *)data;
	return 0;
}

static int take_devno(uint32_t major, uint32_t minor, void *data)
{
	(void)snprintf(data, 32, "%u:%u", major, minor);
	return 0;
}

ATF_TC_WITHOUT_HEAD(devices_are_listed_with_what_lies_below);
ATF_TC_BODY(devices_are_listed_with_what_lies_below, tc)
{
	struct sdm_pool_status status;
	char below[32] = "";
	struct sdm_device dev;
	uint64_t mapped = 1;
	struct rig rig;
	int n = 0;

	(void)tc;
	rig_up(&rig, 256);
	dev = rig_thin(&rig, "vol", 1, MIB);
	rig_run("dmsetup create foreign -u FOREIGN-SNAPMGR- --table '0 8 error'");
	REQUIRE_OK(sdm_list("SNAPMGR-", count_ours, &n, &err));
	ATF_CHECK_EQ(4, n);
	rig_run("dmsetup remove foreign");
	REQUIRE_OK(sdm_deps(dev.name, take_devno, below, &err));
	ATF_CHECK_STREQ(rig.pool_devno, below);

	REQUIRE_OK(sdm_thin_status(dev.name, NULL, &mapped, &err));
	ATF_CHECK_EQ(0, mapped);
	rig_write(&dev, 0, 'x', 65536);
	REQUIRE_OK(sdm_thin_status(dev.name, NULL, &mapped, &err));
	ATF_CHECK_EQ(128, mapped);
	REQUIRE_OK(sdm_pool_status(rig.pool.name, true, &status, &err));
	ATF_CHECK_EQ(1, status.data_used);
	ATF_CHECK_EQ(rig.data_sectors / RIG_CHUNK_SECTORS, status.data_total);
	ATF_CHECK_EQ(RIG_META_SECTORS / 8, status.meta_total);
	ATF_CHECK_EQ(0, status.held_root);
	REQUIRE_OK(sdm_meta_snap(rig.pool.name, true, &err));
	REQUIRE_OK(sdm_pool_status(rig.pool.name, true, &status, &err));
	ATF_CHECK(status.held_root != 0);
	REQUIRE_OK(sdm_meta_snap(rig.pool.name, false, &err));
	REQUIRE_OK(sdm_meta_snap(rig.pool.name, false, &err));
	REQUIRE_OK(sdm_pool_transaction(rig.pool.name, 0, 5, &err));
	REQUIRE_OK(sdm_pool_status(rig.pool.name, false, &status, &err));
	ATF_CHECK_EQ(5, status.transaction_id);
	ATF_CHECK(!status.read_only && !status.out_of_data && !status.needs_check && !status.fail);
	rig_down(&rig);
}

ATF_TC_WITHOUT_HEAD(the_kernels_own_errno_comes_through);
ATF_TC_BODY(the_kernels_own_errno_comes_through, tc)
{
	struct snapmgr_err err = { .message = "" };
	struct sdm_device dev;
	struct rig rig;

	(void)tc;
	rig_up(&rig, 256);
	dev = rig_thin(&rig, "vol", 1, MIB);
	ATF_CHECK_EQ(-EEXIST, sdm_thin_create(rig.pool.name, 1, &err));
	ATF_CHECK_EQ(EEXIST, err.errnum);
	ATF_CHECK_EQ(-ENODATA, sdm_thin_snap(rig.pool.name, 2, 9, &err));
	ATF_CHECK_EQ(-EBUSY, sdm_thin_delete(rig.pool.name, 1, &err));
	ATF_CHECK_EQ(-EINVAL, sdm_pool_transaction(rig.pool.name, 3, 4, &err));
	ATF_CHECK_EQ(1, sdm_thin_delete(rig.pool.name, 9, &err));
	rig_remove(&dev);
	ATF_CHECK_EQ(0, sdm_thin_delete(rig.pool.name, 1, &err));
	rig_down(&rig);
}

/* Names hold what a volume's name may hold, and hyphens doubled; 127 bytes at most. */
ATF_TC_WITHOUT_HEAD(names_come_through_as_they_are);
ATF_TC_BODY(names_come_through_as_they_are, tc)
{
	struct sdm_device dev = rig_device("x", SDM_VOLUME);
	struct rig rig;

	(void)tc;
	rig_up(&rig, 256);
	(void)snprintf(dev.name, sizeof(dev.name), "snapmgr-p--0-v+1.a_B@s--1");
	REQUIRE_OK(sdm_thin_create(rig.pool.name, 1, &err));
	rig_map(&rig, &dev, 1, MIB);
	ATF_CHECK_STREQ(dev.name, rig_info(&dev).name);
	rig_run("test -b '/dev/mapper/%s'", dev.name);
	rig_remove(&dev);
	memset(dev.name, 'n', sizeof(dev.name) - 1);
	rig_map(&rig, &dev, 1, MIB);
	ATF_CHECK_STREQ(dev.name, rig_info(&dev).name);
	rig_remove(&dev);
	rig_down(&rig);
}

static int open_descriptors(bool kept_on_exec)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;
	int n = 0;

	ATF_REQUIRE(dir != NULL);
	while ((e = readdir(dir))) {
		int fd = atoi(e->d_name);

		if (*e->d_name == '.' || fd == dirfd(dir))
			continue;
		n += !kept_on_exec || !(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	(void)closedir(dir);
	return n;
}

ATF_TC_WITHOUT_HEAD(no_descriptor_is_left_to_a_program_that_is_run);
ATF_TC_BODY(no_descriptor_is_left_to_a_program_that_is_run, tc)
{
	const struct sdm_switch_opts opts = { .lock_fd = -1, .pool = "rig" };
	int kept = open_descriptors(true), all = 0;
	struct sdm_switch_device member;
	struct sdm_target target;
	struct sdm_device dev;
	struct rig rig;

	(void)tc;
	rig_up(&rig, 256);
	dev = rig_thin(&rig, "vol", 1, MIB);
	for (uint32_t id = 2; id < 8; id++) {
		AUTO(sdm_switch_free) struct sdm_switch *sw = NULL;

		rig_snap(&rig, &dev, id, id - 1);
		target = rig_target(&rig, id, MIB);
		member = (struct sdm_switch_device){
			.dev = &dev,
			.target = &target,
			.flush = true,
			.flush_fd = rig_open(&dev, O_RDONLY),
			.online = id % 2,
		};
		REQUIRE_OK(sdm_switch_prepare(&member, 1, &opts, &sw, &err));
		ATF_CHECK_EQ(kept, open_descriptors(true));
		REQUIRE_OK(sdm_switch_suspend(sw, &err));
		sdm_switch_committed(sw);
		REQUIRE_OK(sdm_switch_resume(sw, &err));
		(void)close(member.flush_fd);
		sdm_switch_free(sw);
		sw = NULL;
		if (id == 3)
			all = open_descriptors(false);
	}
	ATF_CHECK_EQ(all, open_descriptors(false));
	ATF_CHECK_EQ(kept, open_descriptors(true));
	rig_down(&rig);
}

ATF_TC_WITHOUT_HEAD(without_permission_it_says_so);
ATF_TC_BODY(without_permission_it_says_so, tc)
{
	struct snapmgr_err err = { .message = "" };
	int status;
	pid_t pid = fork(); /* what follows has to write its result */

	(void)tc;
	ATF_REQUIRE(pid >= 0);
	if (pid == 0)
		_exit(setresuid(65534, 65534, 65534) == 0 && sdm_init(&err) == -EACCES &&
				      err.code == SNAPMGR_PERMISSION ?
			      0 :
			      1);
	ATF_REQUIRE(waitpid(pid, &status, 0) == pid);
	ATF_CHECK_EQ(0, status);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_refused_table_leaves_no_device);
	ATF_TP_ADD_TC(tp, a_name_or_uuid_is_given_once);
	ATF_TP_ADD_TC(tp, what_a_dead_maker_left_without_a_table_is_made_again);
	ATF_TP_ADD_TC(tp, one_in_use_is_not_removed);
	ATF_TP_ADD_TC(tp, what_is_not_there_is_said_to_be_missing);
	ATF_TP_ADD_TC(tp, devices_are_listed_with_what_lies_below);
	ATF_TP_ADD_TC(tp, the_kernels_own_errno_comes_through);
	ATF_TP_ADD_TC(tp, names_come_through_as_they_are);
	ATF_TP_ADD_TC(tp, no_descriptor_is_left_to_a_program_that_is_run);
	ATF_TP_ADD_TC(tp, without_permission_it_says_so);
	return atf_no_error();
}
