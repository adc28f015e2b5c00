/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Filesystems are frozen whole, in an order that cannot deadlock, and always thawed. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "lab.h"
#include "snapmgr/host/sys.h"

static void freeze(struct shost_freeze *f, const char *a, const char *b)
{
	dev_t devices[2] = { lab_devno(a), b ? lab_devno(b) : 0 };
	struct snapmgr_err err = { 0 };

	*f = (struct shost_freeze){ 0 };
	ATF_REQUIRE_EQ_MSG(0, shost_freeze(devices, b ? 2 : 1, f, &err), "%s", err.message);
	ATF_REQUIRE_EQ(b ? 2 : 1, f->n_devices);
}

static void thaw(struct shost_freeze *f)
{
	shost_thaw(f);
	ATF_CHECK_EQ(0, f->n);
	ATF_CHECK_EQ(NULL, f->fds);
	shost_thaw(f);
}

static void write_there(const void *data)
{
	lab_ready();
	lab_write(data, "written while frozen\n");
}

static bool ends_within(pid_t pid, int ms)
{
	for (; ms > 0; ms -= 10) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return true;
		(void)usleep(10000);
	}
	return false;
}

/* Whether @file's filesystem is frozen: a writer waits. It is left waiting for the thaw. */
static bool blocks(const char *file, pid_t *ret)
{
	*ret = lab_child(write_there, file);
	return !ends_within(*ret, 200);
}

static void check_frozen(struct shost_freeze *f, const char *file)
{
	pid_t writer;

	ATF_CHECK_MSG(blocks(file, &writer), "'%s' can be written", file);
	thaw(f);
	ATF_CHECK_MSG(ends_within(writer, 5000), "'%s' stays frozen", file);
	ATF_CHECK_STREQ("written while frozen", lab_read(file));
}

static void check_writable(const char *file)
{
	pid_t writer;

	ATF_CHECK_MSG(!blocks(file, &writer), "'%s' is frozen", file);
}

/* What a snapshot taken now would hold. */
static void copy_disk(const char *disk)
{
	lab_run("dd if=%s of=" LAB "/copy bs=4M iflag=direct conv=sparse status=none", disk);
}

static void check_unsynced(const char *mkfs, const char *mount_copy)
{
	const char *dev;
	struct shost_freeze f;

	lab_fresh();
	lab_run("truncate -s 320M " LAB "/img && losetup /dev/loop0 " LAB
		"/img && %s /dev/loop0 && mkdir " LAB "/a && mount /dev/loop0 " LAB "/a",
		mkfs);
	dev = "/dev/loop0";
	for (int i = 0; i < 20; i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), LAB "/a/file%d", i);
		lab_write(path, "not synced\n");
	}
	freeze(&f, dev, NULL);
	ATF_CHECK_EQ(1, f.n);
	ATF_CHECK(f.has_fs[0]);
	copy_disk(dev);
	check_frozen(&f, LAB "/a/late");
	lab_run("umount " LAB "/a && losetup -d /dev/loop0 && %s " LAB "/copy " LAB "/a",
		mount_copy);
	for (int i = 0; i < 20; i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), LAB "/a/file%d", i);
		ATF_CHECK_STREQ_MSG("not synced", lab_read(path), "%s", path);
	}
	ATF_CHECK_STREQ("", lab_read(LAB "/a/late"));
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(unsynced_files_of_ext4_are_on_the_frozen_device);
ATF_TC_BODY(unsynced_files_of_ext4_are_on_the_frozen_device, tc)
{
	check_unsynced("mkfs.ext4 -q", "mount -o loop");
}

ATF_TC_WITHOUT_HEAD(unsynced_files_of_xfs_are_on_the_frozen_device);
ATF_TC_BODY(unsynced_files_of_xfs_are_on_the_frozen_device, tc)
{
	check_unsynced("mkfs.xfs -q", "mount -o loop,nouuid");
}

ATF_TC_WITHOUT_HEAD(unsynced_files_of_btrfs_are_on_the_frozen_device);
ATF_TC_BODY(unsynced_files_of_btrfs_are_on_the_frozen_device, tc)
{
	check_unsynced("mkfs.btrfs -q", "btrfs -q device scan --forget; mount -o loop");
}

ATF_TC_WITHOUT_HEAD(a_device_without_a_filesystem_needs_no_freeze);
ATF_TC_BODY(a_device_without_a_filesystem_needs_no_freeze, tc)
{
	struct shost_freeze f;

	lab_fresh();
	freeze(&f, lab_disk(0), lab_disk(1));
	ATF_CHECK_EQ(0, f.n);
	ATF_CHECK(!f.has_fs[0] && !f.has_fs[1]);
	thaw(&f);
}

ATF_TC_WITHOUT_HEAD(a_device_that_is_not_there_is_refused);
ATF_TC_BODY(a_device_that_is_not_there_is_refused, tc)
{
	dev_t devno = 0xfff00;
	struct shost_freeze f = { 0 };
	struct snapmgr_err err;

	ATF_CHECK_EQ(-ENOENT, shost_freeze(&devno, 1, &f, &err));
	ATF_CHECK_EQ(0, f.n_devices);
}

static void make_journalled(void)
{
	lab_fresh();
	lab_run("mke2fs -q -b 4096 -O journal_dev %s 16384 && mkfs.ext4 -q -b 4096 -J device=%s %s 16384 && "
		"mkdir " LAB "/a && mount %s " LAB "/a",
		lab_disk(0), lab_disk(0), lab_disk(1), lab_disk(1));
}

ATF_TC_WITHOUT_HEAD(a_filesystem_is_frozen_for_its_journal_alone);
ATF_TC_BODY(a_filesystem_is_frozen_for_its_journal_alone, tc)
{
	struct shost_freeze f;

	make_journalled();
	freeze(&f, lab_disk(0), NULL);
	ATF_CHECK_EQ(1, f.n);
	ATF_CHECK(f.has_fs[0]);
	check_frozen(&f, LAB "/a/x");
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(data_and_journal_are_frozen_once);
ATF_TC_BODY(data_and_journal_are_frozen_once, tc)
{
	struct shost_freeze f;

	make_journalled();
	freeze(&f, lab_disk(0), lab_disk(1));
	ATF_CHECK_EQ(1, f.n);
	ATF_CHECK(f.has_fs[0] && f.has_fs[1]);
	check_frozen(&f, LAB "/a/x");
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(an_xfs_is_frozen_for_its_log_alone);
ATF_TC_BODY(an_xfs_is_frozen_for_its_log_alone, tc)
{
	struct shost_freeze f;

	lab_fresh();
	lab_run("mkfs.xfs -q -f -l logdev=%s,size=64m %s && mkdir " LAB
		"/a && mount -o logdev=%s %s " LAB "/a",
		lab_disk(0), lab_disk(1), lab_disk(0), lab_disk(1));
	freeze(&f, lab_disk(0), NULL);
	ATF_CHECK_EQ(1, f.n);
	ATF_CHECK(f.has_fs[0]);
	check_frozen(&f, LAB "/a/x");
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_btrfs_is_frozen_for_any_of_its_devices);
ATF_TC_BODY(a_btrfs_is_frozen_for_any_of_its_devices, tc)
{
	struct shost_freeze f;

	lab_fresh();
	lab_run("mkfs.btrfs -q %s %s && mkdir " LAB "/a && mount %s " LAB "/a", lab_disk(0),
		lab_disk(1), lab_disk(0));
	freeze(&f, lab_disk(1), NULL);
	ATF_CHECK_EQ(1, f.n);
	ATF_CHECK(f.has_fs[0]);
	check_frozen(&f, LAB "/a/x");
	freeze(&f, lab_disk(0), lab_disk(1));
	ATF_CHECK_EQ(1, f.n);
	ATF_CHECK(f.has_fs[0] && f.has_fs[1]);
	check_frozen(&f, LAB "/a/y");
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(two_filesystems_are_both_frozen);
ATF_TC_BODY(two_filesystems_are_both_frozen, tc)
{
	struct shost_freeze f;

	lab_fresh();
	lab_run("mkfs.ext4 -q %s 64M && mkfs.xfs -q %s && mkdir " LAB "/a " LAB
		"/b && mount %s " LAB "/a && mount %s " LAB "/b",
		lab_disk(0), lab_disk(1), lab_disk(0), lab_disk(1));
	freeze(&f, lab_disk(0), lab_disk(1));
	ATF_CHECK_EQ(2, f.n);
	ATF_CHECK(f.has_fs[0] && f.has_fs[1]);
	check_frozen(&f, LAB "/a/x");
	freeze(&f, lab_disk(0), lab_disk(1));
	check_frozen(&f, LAB "/b/x");
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(what_somebody_froze_stays_frozen);
ATF_TC_BODY(what_somebody_froze_stays_frozen, tc)
{
	struct shost_freeze f;
	pid_t writer;

	lab_fresh();
	lab_run("mkfs.ext4 -q %s 64M && mkdir " LAB "/a && mount %s " LAB "/a && fsfreeze -f " LAB
		"/a",
		lab_disk(0), lab_disk(0));
	freeze(&f, lab_disk(0), NULL);
	ATF_CHECK_EQ(0, f.n);
	ATF_CHECK(f.has_fs[0]);
	thaw(&f);
	ATF_CHECK(blocks(LAB "/a/x", &writer));
	lab_run("fsfreeze -u " LAB "/a");
	ATF_CHECK(ends_within(writer, 5000));
	lab_fresh();
}

static void make_stack(void)
{
	const char *dev;

	lab_fresh();
	dev = lab_linear("stack", lab_disk(0));
	lab_run("mkfs.ext4 -q %s 512M && mkdir " LAB "/a " LAB "/b && mount %s " LAB
		"/a && truncate -s 64M " LAB "/a/img && losetup /dev/loop6 " LAB
		"/a/img && mkfs.ext4 -q /dev/loop6 && mount /dev/loop6 " LAB "/b",
		dev, dev);
}

ATF_TC_WITHOUT_HEAD(what_lies_higher_is_frozen_first);
ATF_TC_BODY(what_lies_higher_is_frozen_first, tc)
{
	struct shost_freeze f;
	char link[64], target[64] = "";

	make_stack();
	lab_write(LAB "/b/x", "not synced\n");
	freeze(&f, lab_disk(0), NULL);
	ATF_REQUIRE_EQ(2, f.n);
	ATF_CHECK_MSG(!f.has_fs[0], "the filesystem is on the dm device, not on the disk");
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", f.fds[0]);
	ATF_REQUIRE(readlink(link, target, sizeof(target) - 1) > 0);
	ATF_CHECK_STREQ(LAB "/b", target);
	check_frozen(&f, LAB "/b/y");
	freeze(&f, "/dev/mapper/stack", NULL);
	ATF_CHECK_EQ(2, f.n);
	ATF_CHECK(f.has_fs[0]);
	check_frozen(&f, LAB "/a/y");
	check_writable(LAB "/b/z");
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(the_order_of_the_devices_does_not_matter);
ATF_TC_BODY(the_order_of_the_devices_does_not_matter, tc)
{
	struct shost_freeze f;

	make_stack();
	lab_write(LAB "/b/x", "not synced\n");
	freeze(&f, "/dev/mapper/stack", "/dev/loop6");
	ATF_CHECK_EQ(2, f.n);
	ATF_CHECK(f.has_fs[0] && f.has_fs[1]);
	check_frozen(&f, LAB "/b/y");
	freeze(&f, "/dev/loop6", "/dev/mapper/stack");
	ATF_CHECK_EQ(2, f.n);
	check_frozen(&f, LAB "/a/y");
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_btrfs_subvolume_with_a_loop_file_is_seen);
ATF_TC_BODY(a_btrfs_subvolume_with_a_loop_file_is_seen, tc)
{
	struct shost_freeze f;

	lab_fresh();
	lab_run("mkfs.btrfs -q %s && mkdir " LAB "/a " LAB "/b && mount %s " LAB
		"/a && btrfs -q subvolume create " LAB "/a/sub && truncate -s 64M " LAB
		"/a/sub/img && losetup /dev/loop6 " LAB
		"/a/sub/img && mkfs.ext4 -q /dev/loop6 && mount "
		"/dev/loop6 " LAB "/b",
		lab_disk(0), lab_disk(0));
	freeze(&f, lab_disk(0), NULL);
	ATF_CHECK_EQ(2, f.n);
	check_frozen(&f, LAB "/b/x");
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_filesystem_on_a_loop_on_the_device_is_frozen);
ATF_TC_BODY(a_filesystem_on_a_loop_on_the_device_is_frozen, tc)
{
	struct shost_freeze f;

	lab_fresh();
	lab_run("losetup /dev/loop6 %s && mkfs.ext4 -q /dev/loop6 64M && mkdir " LAB
		"/a && mount /dev/loop6 " LAB "/a",
		lab_disk(0));
	freeze(&f, lab_disk(0), NULL);
	ATF_CHECK_EQ(1, f.n);
	ATF_CHECK(!f.has_fs[0]);
	check_frozen(&f, LAB "/a/x");
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(what_lies_on_somebodys_frozen_one_does_not_hang_us);
ATF_TC_BODY(what_lies_on_somebodys_frozen_one_does_not_hang_us, tc)
{
	struct shost_freeze f;

	make_stack();
	lab_write(LAB "/b/x", "not synced\n");
	lab_run("fsfreeze -f " LAB "/a");
	freeze(&f, "/dev/mapper/stack", NULL);
	ATF_CHECK_EQ(0, f.n);
	ATF_CHECK(f.has_fs[0]);
	thaw(&f);
	lab_run("fsfreeze -u " LAB "/a");
	check_writable(LAB "/b/y");
	lab_fresh();
}

static void mount_elsewhere(const void *data)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(data, LAB "/a", "ext4", 0, NULL) < 0)
		_exit(1);
	lab_ready();
	for (;;) {
		lab_write(LAB "/a/x", "again");
		(void)usleep(1000);
	}
}

ATF_TC_WITHOUT_HEAD(a_filesystem_in_another_namespace_is_frozen);
ATF_TC_BODY(a_filesystem_in_another_namespace_is_frozen, tc)
{
	struct shost_freeze f;
	pid_t pid;

	lab_fresh();
	lab_run("mkfs.ext4 -q %s 64M && mkdir " LAB "/a", lab_disk(0));
	pid = lab_child(mount_elsewhere, lab_disk(0));
	freeze(&f, lab_disk(0), NULL);
	ATF_CHECK_EQ(1, f.n);
	ATF_CHECK(f.has_fs[0]);
	thaw(&f);
	lab_end(pid);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_mount_that_is_hidden_is_frozen_through_another);
ATF_TC_BODY(a_mount_that_is_hidden_is_frozen_through_another, tc)
{
	struct shost_freeze f;

	lab_fresh();
	lab_run("mkfs.ext4 -q %s 64M && mkdir " LAB "/a " LAB "/b && mount %s " LAB
		"/a && mount %s " LAB "/b && mount -t tmpfs none " LAB "/a",
		lab_disk(0), lab_disk(0), lab_disk(0));
	freeze(&f, lab_disk(0), NULL);
	ATF_CHECK_EQ(1, f.n);
	check_writable(LAB "/a/x");
	check_frozen(&f, LAB "/b/x");
	lab_run("umount " LAB "/b");
	ATF_CHECK(shost_freeze(&(dev_t){ lab_devno(lab_disk(0)) }, 1, &f, NULL) < 0);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_read_only_mount_is_no_obstacle);
ATF_TC_BODY(a_read_only_mount_is_no_obstacle, tc)
{
	struct shost_freeze f;

	lab_fresh();
	lab_run("mkfs.ext4 -q %s 64M && mkdir " LAB "/a && mount -r %s " LAB "/a", lab_disk(0),
		lab_disk(0));
	freeze(&f, lab_disk(0), NULL);
	ATF_CHECK(f.has_fs[0]);
	thaw(&f);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(one_that_cannot_freeze_is_left_to_dm);
ATF_TC_BODY(one_that_cannot_freeze_is_left_to_dm, tc)
{
	struct shost_freeze f;

	lab_fresh();
	lab_run("mkfs.minix -3 %s >/dev/null && mkdir " LAB "/a", lab_disk(0));
	if (system("mount -t minix "
		   "$(echo $SANDBOX_DISKS | cut -d' ' -f1) " LAB "/a 2>/dev/null") != 0)
		atf_tc_skip("no minix filesystem in this kernel");
	freeze(&f, lab_disk(0), NULL);
	ATF_CHECK_EQ(0, f.n);
	ATF_CHECK(!f.has_fs[0]);
	check_writable(LAB "/a/x");
	thaw(&f);
	lab_fresh();
}

static void check_failure(bool dirty, const char *what)
{
	struct shost_freeze f = { 0 };
	struct snapmgr_err err = { 0 };
	struct shost_device below;
	const char *bad;
	dev_t devices[2];

	lab_fresh();
	bad = lab_linear("bad", lab_disk(1));
	ATF_REQUIRE_EQ(0, shost_device(lab_disk(1), &below, NULL));
	lab_run("mkfs.ext4 -q %s 64M && mkfs.xfs -q -f %s && mkdir " LAB "/a " LAB
		"/b && mount %s " LAB "/a && mount %s " LAB "/b && touch " LAB "/b/x && sync",
		lab_disk(0), bad, lab_disk(0), bad);
	lab_run("dmsetup suspend bad && dmsetup load bad --table '0 %ju error' && dmsetup resume bad",
		(uintmax_t)(below.size_bytes / SM_SECTOR));
	if (dirty)
		lab_write(LAB "/b/y", "cannot be written");
	devices[0] = lab_devno(lab_disk(0));
	devices[1] = lab_devno(bad);
	ATF_CHECK(shost_freeze(devices, 2, &f, &err) < 0);
	ATF_CHECK_STREQ(what, err.message);
	ATF_CHECK_EQ(0, f.n);
	ATF_CHECK_EQ(NULL, f.fds);
	check_writable(LAB "/a/x");
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_failure_to_sync_freezes_nothing);
ATF_TC_BODY(a_failure_to_sync_freezes_nothing, tc)
{
	check_failure(true, "cannot sync the filesystem on '" LAB "/b': Input/output error");
}

ATF_TC_WITHOUT_HEAD(a_failure_to_freeze_thaws_what_was_frozen_before);
ATF_TC_BODY(a_failure_to_freeze_thaws_what_was_frozen_before, tc)
{
	check_failure(false, "cannot freeze the filesystem on '" LAB "/b': Input/output error");
}

static void freeze_and_wait(const void *data)
{
	struct shost_freeze f;

	freeze(&f, data, NULL);
	lab_ready();
	(void)pause();
}

ATF_TC_WITHOUT_HEAD(what_the_killed_froze_is_thawed);
ATF_TC_BODY(what_the_killed_froze_is_thawed, tc)
{
	pid_t pid, writer;

	lab_fresh();
	lab_run("mkfs.ext4 -q %s 64M && mkdir " LAB "/a && mount %s " LAB "/a", lab_disk(0),
		lab_disk(0));
	pid = lab_child(freeze_and_wait, lab_disk(0));
	ATF_CHECK_MSG(blocks(LAB "/a/x", &writer), "it is not frozen");
	lab_end(pid);
	ATF_CHECK_MSG(ends_within(writer, 5000), "it stays frozen");
	lab_fresh();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_the_killed_froze_is_thawed);
	ATF_TP_ADD_TC(tp, unsynced_files_of_ext4_are_on_the_frozen_device);
	ATF_TP_ADD_TC(tp, unsynced_files_of_xfs_are_on_the_frozen_device);
	ATF_TP_ADD_TC(tp, unsynced_files_of_btrfs_are_on_the_frozen_device);
	ATF_TP_ADD_TC(tp, a_device_without_a_filesystem_needs_no_freeze);
	ATF_TP_ADD_TC(tp, a_device_that_is_not_there_is_refused);
	ATF_TP_ADD_TC(tp, a_filesystem_is_frozen_for_its_journal_alone);
	ATF_TP_ADD_TC(tp, data_and_journal_are_frozen_once);
	ATF_TP_ADD_TC(tp, an_xfs_is_frozen_for_its_log_alone);
	ATF_TP_ADD_TC(tp, a_btrfs_is_frozen_for_any_of_its_devices);
	ATF_TP_ADD_TC(tp, two_filesystems_are_both_frozen);
	ATF_TP_ADD_TC(tp, what_somebody_froze_stays_frozen);
	ATF_TP_ADD_TC(tp, what_lies_higher_is_frozen_first);
	ATF_TP_ADD_TC(tp, the_order_of_the_devices_does_not_matter);
	ATF_TP_ADD_TC(tp, a_btrfs_subvolume_with_a_loop_file_is_seen);
	ATF_TP_ADD_TC(tp, a_filesystem_on_a_loop_on_the_device_is_frozen);
	ATF_TP_ADD_TC(tp, what_lies_on_somebodys_frozen_one_does_not_hang_us);
	ATF_TP_ADD_TC(tp, a_filesystem_in_another_namespace_is_frozen);
	ATF_TP_ADD_TC(tp, a_mount_that_is_hidden_is_frozen_through_another);
	ATF_TP_ADD_TC(tp, a_read_only_mount_is_no_obstacle);
	ATF_TP_ADD_TC(tp, one_that_cannot_freeze_is_left_to_dm);
	ATF_TP_ADD_TC(tp, a_failure_to_sync_freezes_nothing);
	ATF_TP_ADD_TC(tp, a_failure_to_freeze_thaws_what_was_frozen_before);
	return atf_no_error();
}
