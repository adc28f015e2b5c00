/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who uses a device is found and named. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lab.h"
#include "snapmgr/host/sys.h"

static void sleep_for_ever(void)
{
	lab_ready();
	for (;;)
		(void)pause();
}

static void check_free(const char *device)
{
	struct lab_holders h;

	lab_holders(device, LAB_KERNEL_KINDS | SHOST_PROCESS, &h);
	ATF_CHECK_EQ_MSG(0, h.n, "%s", h.v[0].what);
}

ATF_TC_WITHOUT_HEAD(an_idle_device_has_no_holder);
ATF_TC_BODY(an_idle_device_has_no_holder, tc)
{
	lab_fresh();
	check_free(lab_disk(0));
}

ATF_TC_WITHOUT_HEAD(a_device_that_is_not_there_is_not_found);
ATF_TC_BODY(a_device_that_is_not_there_is_not_found, tc)
{
	struct snapmgr_err err;

	ATF_CHECK_EQ(-ENOENT, shost_holders(makedev(200, 77), LAB_KERNEL_KINDS, NULL, NULL, &err));
	ATF_CHECK_EQ(SNAPMGR_NOT_FOUND, err.code);
	ATF_CHECK_MSG(strstr(err.message, "200:77"), "%s", err.message);
}

ATF_TC_WITHOUT_HEAD(a_mount_is_named_with_its_blanks);
ATF_TC_BODY(a_mount_is_named_with_its_blanks, tc)
{
	struct lab_holders h;

	lab_fresh();
	lab_run("mkfs.ext4 -q %s 64M && mkdir '" LAB "/a b' && mount %s '" LAB "/a b'", lab_disk(0),
		lab_disk(0));
	lab_check_held(lab_disk(0), SHOST_MOUNT, "mounted on '" LAB "/a b'");
	lab_holders(lab_disk(0), LAB_KERNEL_KINDS, &h);
	ATF_REQUIRE_EQ(1, h.n);
	ATF_CHECK_STREQ(LAB "/a b", h.v[0].mount_point);
	ATF_CHECK_EQ(0, h.v[0].pid);
	lab_fresh();
	check_free(lab_disk(0));
}

ATF_TC_WITHOUT_HEAD(an_answer_of_the_visitor_ends_the_walk);
static int seven(const struct shost_holder *holder, void *data)
{
	(void)holder;
	++*(int *)data;
	return 7;
}
ATF_TC_BODY(an_answer_of_the_visitor_ends_the_walk, tc)
{
	int calls = 0;

	lab_fresh();
	lab_run("mkfs.ext4 -q %s 64M && mkdir " LAB "/a " LAB "/b && mount %s " LAB
		"/a && mount --bind " LAB "/a " LAB "/b",
		lab_disk(0), lab_disk(0));
	ATF_CHECK_EQ(7,
		     shost_holders(lab_devno(lab_disk(0)), LAB_KERNEL_KINDS, seven, &calls, NULL));
	ATF_CHECK_EQ(1, calls);
	lab_fresh();
}

static void mount_elsewhere(const void *data)
{
	(void)data;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(data, LAB "/a", "ext4", 0, NULL) < 0)
		_exit(1);
	sleep_for_ever();
}

ATF_TC_WITHOUT_HEAD(a_mount_in_another_namespace_is_named_with_a_process);
ATF_TC_BODY(a_mount_in_another_namespace_is_named_with_a_process, tc)
{
	char name[32];
	pid_t pid;

	lab_fresh();
	lab_run("mkfs.ext4 -q %s 64M && mkdir " LAB "/a", lab_disk(0));
	pid = lab_child(mount_elsewhere, lab_disk(0));
	shost_pid_name(pid, name);
	lab_check_held(lab_disk(0), SHOST_MOUNT,
		       "mounted on '" LAB "/a' in the mount namespace of process %d (%s)", pid,
		       name);
	lab_end(pid);
	check_free(lab_disk(0));
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_mount_out_of_sight_is_still_told);
ATF_TC_BODY(a_mount_out_of_sight_is_still_told, tc)
{
	int fd;

	lab_fresh();
	lab_run("mkfs.ext4 -q %s 64M && mkdir " LAB "/a && mount %s " LAB "/a", lab_disk(0),
		lab_disk(0));
	fd = open(LAB "/a", O_RDONLY | O_CLOEXEC);
	ATF_REQUIRE_EQ(0, umount2(LAB "/a", MNT_DETACH));
	lab_check_held(lab_disk(0), SHOST_MOUNT,
		       "in use by a filesystem that is mounted out of sight");
	(void)close(fd);
	check_free(lab_disk(0));
}

ATF_TC_WITHOUT_HEAD(each_member_of_a_btrfs_is_held_by_its_mounts);
ATF_TC_BODY(each_member_of_a_btrfs_is_held_by_its_mounts, tc)
{
	struct lab_holders h;

	lab_fresh();
	lab_run("mkfs.btrfs -q %s %s && mkdir " LAB "/a " LAB "/b && mount %s " LAB
		"/a && btrfs -q subvolume create " LAB "/a/sub && mount -o subvol=sub %s " LAB "/b",
		lab_disk(0), lab_disk(1), lab_disk(1), lab_disk(0));
	for (unsigned int i = 0; i < 2; i++) {
		lab_holders(lab_disk(i), LAB_KERNEL_KINDS, &h);
		ATF_REQUIRE_EQ_MSG(2, h.n, "%s: %zu", lab_disk(i), h.n);
		ATF_CHECK_STREQ("mounted on '" LAB "/a'", h.v[0].what);
		ATF_CHECK_STREQ("mounted on '" LAB "/b'", h.v[1].what);
	}
	check_free(lab_disk(2));
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_btrfs_is_found_also_when_its_source_has_lost_its_name);
ATF_TC_BODY(a_btrfs_is_found_also_when_its_source_has_lost_its_name, tc)
{
	lab_fresh();
	lab_run("mkfs.btrfs -q %s && mkdir " LAB "/a && cp -a %s " LAB "/node && mount " LAB
		"/node " LAB "/a && rm " LAB "/node",
		lab_disk(0), lab_disk(0));
	lab_check_held(lab_disk(0), LAB_KERNEL_KINDS & SHOST_MOUNT, "mounted on '" LAB "/a'");
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_btrfs_whose_mount_is_hidden_is_found_by_its_source);
ATF_TC_BODY(a_btrfs_whose_mount_is_hidden_is_found_by_its_source, tc)
{
	lab_fresh();
	lab_run("mkfs.btrfs -q %s %s && mkdir " LAB "/a && mount %s " LAB
		"/a && mount -t tmpfs over " LAB "/a",
		lab_disk(0), lab_disk(1), lab_disk(1));
	lab_check_held(lab_disk(0), LAB_KERNEL_KINDS & SHOST_MOUNT, "mounted on '" LAB "/a'");
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(an_external_journal_is_held_by_its_filesystem);
ATF_TC_BODY(an_external_journal_is_held_by_its_filesystem, tc)
{
	lab_fresh();
	lab_run("mke2fs -q -b 4096 -O journal_dev %s 16384 && mkfs.ext4 -q -b 4096 -J device=%s %s 16384 && "
		"mkdir " LAB "/a && mount %s " LAB "/a",
		lab_disk(0), lab_disk(0), lab_disk(1), lab_disk(1));
	lab_check_held(lab_disk(0), SHOST_MOUNT, "part of the filesystem mounted on '" LAB "/a'");
	lab_check_held(lab_disk(1), SHOST_MOUNT, "mounted on '" LAB "/a'");
	lab_fresh();
	check_free(lab_disk(0));
}

ATF_TC_WITHOUT_HEAD(an_xfs_log_is_held_by_its_filesystem);
ATF_TC_BODY(an_xfs_log_is_held_by_its_filesystem, tc)
{
	lab_fresh();
	lab_run("mkfs.xfs -q -f -l logdev=%s,size=64m %s && mkdir " LAB
		"/a && mount -o logdev=%s %s " LAB "/a",
		lab_disk(0), lab_disk(1), lab_disk(0), lab_disk(1));
	lab_check_held(lab_disk(0), SHOST_MOUNT, "part of the filesystem mounted on '" LAB "/a'");
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(swap_is_told_also_when_its_name_is_deleted);
ATF_TC_BODY(swap_is_told_also_when_its_name_is_deleted, tc)
{
	const char *dev;

	lab_fresh();
	dev = lab_linear("swap", lab_disk(0));
	lab_run("mkswap -q %s 65536 >/dev/null && swapon %s", dev, dev);
	lab_check_held(dev, LAB_KERNEL_KINDS & SHOST_SWAP, "used as swap");
	lab_run("rm %s", dev);
	ATF_CHECK(strstr(lab_read("/proc/swaps"), "Filename"));
	lab_check_held("/dev/dm-0", SHOST_SWAP, "used as swap");
	lab_run("cp -a /dev/dm-0 %s; swapoff %s", dev, dev);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_loop_is_told_by_whatever_name_it_was_attached);
ATF_TC_BODY(a_loop_is_told_by_whatever_name_it_was_attached, tc)
{
	char kname[SHOST_KNAME];

	lab_fresh();
	ATF_REQUIRE_EQ(0, shost_sys_kname(lab_devno(lab_disk(0)), kname));
	lab_run("ln -s %s " LAB "/link && losetup /dev/loop3 " LAB "/link", lab_disk(0));
	lab_check_held(lab_disk(0), SHOST_LOOP, "attached to '/dev/loop3'");
	lab_run("losetup -d /dev/loop3 && cp -a %s " LAB "/node && losetup /dev/loop4 " LAB
		"/node && rm " LAB "/node",
		lab_disk(0));
	lab_check_held(lab_disk(0), SHOST_LOOP, "attached to '/dev/loop4'");
	check_free(lab_disk(1));
	lab_fresh();
	check_free(lab_disk(0));
}

static void attach_elsewhere(const void *data)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("x", LAB "/a", "tmpfs", 0, NULL) < 0 ||
	    mknod(LAB "/a/x", S_IFBLK | 0600, *(const dev_t *)data) < 0 ||
	    system("losetup /dev/loop5 " LAB "/a/x") != 0)
		_exit(1);
	sleep_for_ever();
}

ATF_TC_WITHOUT_HEAD(a_loop_attached_in_another_namespace_is_told);
ATF_TC_BODY(a_loop_attached_in_another_namespace_is_told, tc)
{
	dev_t devno;
	pid_t pid;

	lab_fresh();
	devno = lab_devno(lab_disk(0));
	lab_run("mkdir " LAB "/a && mkdir " LAB
		"/a/x"); /* the same name means another thing here */
	pid = lab_child(attach_elsewhere, &devno);
	lab_check_held(lab_disk(0), SHOST_LOOP, "attached to '/dev/loop5'");
	lab_end(pid);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_dm_device_on_top_is_named);
ATF_TC_BODY(a_dm_device_on_top_is_named, tc)
{
	const char *part;
	struct lab_holders h;

	lab_fresh();
	part = lab_linear("disk-part1", lab_disk(0));
	lab_check_held(lab_disk(0), LAB_KERNEL_KINDS & SHOST_HOLDER,
		       "held by device 'dm-0' (disk-part1)");
	lab_holders(lab_disk(0), LAB_KERNEL_KINDS, &h);
	ATF_CHECK_EQ(1, h.n);
	check_free(part);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_partition_counts_with_its_own_users);
ATF_TC_BODY(a_partition_counts_with_its_own_users, tc)
{
	lab_fresh();
	lab_run("truncate -s 200M " LAB "/img && printf '2048,100M\\n,,S\\n' | sfdisk -q " LAB
		"/img && losetup -P /dev/loop2 " LAB
		"/img && mkfs.ext4 -q /dev/loop2p1 && mkdir " LAB "/a && mount /dev/loop2p1 " LAB
		"/a");
	lab_check_held("/dev/loop2", SHOST_MOUNT, "partition 'loop2p1' mounted on '" LAB "/a'");
	lab_check_held("/dev/loop2p1", SHOST_MOUNT, "mounted on '" LAB "/a'");
	lab_run("mkswap /dev/loop2p2 >/dev/null && swapon /dev/loop2p2");
	lab_check_held("/dev/loop2", SHOST_SWAP, "partition 'loop2p2' used as swap");
	check_free(lab_disk(0));
	lab_fresh();
}

static void open_device(const void *data)
{
	if (open(data, O_RDWR | O_CLOEXEC) < 0 || open(data, O_RDWR | O_CLOEXEC) < 0)
		_exit(1);
	sleep_for_ever();
}

ATF_TC_WITHOUT_HEAD(a_process_is_named_once_and_we_are_not);
ATF_TC_BODY(a_process_is_named_once_and_we_are_not, tc)
{
	char name[32];
	pid_t pid;
	int fd;

	lab_fresh();
	fd = open(lab_disk(0), O_RDONLY | O_CLOEXEC);
	check_free(lab_disk(0));
	(void)close(fd);
	pid = lab_child(open_device, lab_disk(0));
	shost_pid_name(pid, name);
	lab_check_held(lab_disk(0), SHOST_PROCESS, "open by process %d (%s)", pid, name);
	lab_end(pid);
	check_free(lab_disk(0));
}

static void map_device(const void *data)
{
	int fd = open(data, O_RDWR | O_CLOEXEC);

	if (fd < 0 || mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED || close(fd) < 0)
		_exit(1);
	sleep_for_ever();
}

ATF_TC_WITHOUT_HEAD(a_process_that_only_has_it_mapped_is_named);
ATF_TC_BODY(a_process_that_only_has_it_mapped_is_named, tc)
{
	char name[32];
	pid_t pid;

	lab_fresh();
	pid = lab_child(map_device, lab_disk(0));
	shost_pid_name(pid, name);
	lab_check_held(lab_disk(0), SHOST_PROCESS, "mapped by process %d (%s)", pid, name);
	lab_end(pid);
	check_free(lab_disk(0));
}

/* A system call costs 7 to 20 us in the guest, some fifty times what it does on a machine. */
static void measure(const char *what, unsigned int kinds, uint64_t limit_us)
{
	struct lab_holders h;
	uint64_t start = sm_monotonic_ns(), us;

	for (int i = 0; i < 100; i++)
		lab_holders(lab_disk(0), kinds, &h);
	us = (sm_monotonic_ns() - start) / 100000;
	printf("%s: %ju us\n", what, (uintmax_t)us);
	ATF_CHECK_MSG(us < limit_us, "%s took %ju us", what, (uintmax_t)us);
}

ATF_TC_WITHOUT_HEAD(the_cheap_kinds_are_cheap);
ATF_TC_BODY(the_cheap_kinds_are_cheap, tc)
{
	lab_fresh();
	measure("devices on top", SHOST_HOLDER, 5000);
	measure("loops", SHOST_LOOP, 5000);
	measure("swap", SHOST_SWAP, 5000);
	measure("mounts", SHOST_MOUNT, 20000);
	measure("processes", SHOST_PROCESS, 200000);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, an_idle_device_has_no_holder);
	ATF_TP_ADD_TC(tp, a_device_that_is_not_there_is_not_found);
	ATF_TP_ADD_TC(tp, a_mount_is_named_with_its_blanks);
	ATF_TP_ADD_TC(tp, an_answer_of_the_visitor_ends_the_walk);
	ATF_TP_ADD_TC(tp, a_mount_in_another_namespace_is_named_with_a_process);
	ATF_TP_ADD_TC(tp, a_mount_out_of_sight_is_still_told);
	ATF_TP_ADD_TC(tp, each_member_of_a_btrfs_is_held_by_its_mounts);
	ATF_TP_ADD_TC(tp, a_btrfs_is_found_also_when_its_source_has_lost_its_name);
	ATF_TP_ADD_TC(tp, a_btrfs_whose_mount_is_hidden_is_found_by_its_source);
	ATF_TP_ADD_TC(tp, an_external_journal_is_held_by_its_filesystem);
	ATF_TP_ADD_TC(tp, an_xfs_log_is_held_by_its_filesystem);
	ATF_TP_ADD_TC(tp, swap_is_told_also_when_its_name_is_deleted);
	ATF_TP_ADD_TC(tp, a_loop_is_told_by_whatever_name_it_was_attached);
	ATF_TP_ADD_TC(tp, a_loop_attached_in_another_namespace_is_told);
	ATF_TP_ADD_TC(tp, a_dm_device_on_top_is_named);
	ATF_TP_ADD_TC(tp, a_partition_counts_with_its_own_users);
	ATF_TP_ADD_TC(tp, a_process_is_named_once_and_we_are_not);
	ATF_TP_ADD_TC(tp, a_process_that_only_has_it_mapped_is_named);
	ATF_TP_ADD_TC(tp, the_cheap_kinds_are_cheap);
	return atf_no_error();
}
