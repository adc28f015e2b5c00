/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mounts are taken away and come back as they were. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "lab.h"
#include "snapmgr/host/mountinfo.h"
#include "snapmgr/host/sys.h"

/* The mounts below LAB, without the numbers that change. */
static char *mounts(void)
{
	AUTO(shost_mounttab_release) struct shost_mounttab tab = { 0 };
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	ATF_REQUIRE_EQ(0, shost_mounttab_load(0, &tab));
	for (size_t i = 0; i < tab.n; i++) {
		const struct shost_mountinfo *m = &tab.v[i];

		if (shost_path_below(m->target, LAB))
			fprintf(f, "%s %s [%s]%s%s%s %s %s [%s]\n", m->root, m->target, m->flags,
				m->shared ? " shared" : "", m->slave ? " slave" : "",
				m->unbindable ? " unbindable" : "", m->fstype, m->source, m->super);
	}
	(void)fclose(f);
	return text;
}

static int take_away(const char *device, struct shost_mounts *ret, struct snapmgr_err *err)
{
	*ret = (struct shost_mounts){ 0 };
	*err = (struct snapmgr_err){ 0 };
	return shost_unmount(lab_devno(device), ret, err);
}

static void check_free(const char *device)
{
	int fd = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);

	ATF_CHECK_MSG(fd >= 0, "'%s' is still held: %s", device, strerror(errno));
	sm_close_fd(fd);
}

/* All mounts of @device go, and come back in every detail. */
static void check_round(const char *device, size_t n)
{
	AUTO(free) char *before = mounts();
	AUTO(free) char *after = NULL;
	struct shost_mounts m;
	struct snapmgr_err err;

	printf("%s", before);
	ATF_REQUIRE_EQ_MSG(0, take_away(device, &m, &err), "%s", err.message);
	ATF_CHECK_EQ_MSG(n, m.n, "%zu mounts", m.n);
	check_free(device);
	ATF_REQUIRE_EQ_MSG(0, shost_remount(&m, &err), "%s", err.message);
	ATF_CHECK_STREQ("", m.warning);
	after = mounts();
	ATF_CHECK_STREQ(before, after);
	ATF_CHECK_EQ(0, shost_remount(&m, &err)); /* once more changes nothing */
	free(after);
	after = mounts();
	ATF_CHECK_STREQ(before, after);
	shost_mounts_free(&m);
	ATF_CHECK_EQ(0, m.n);
}

/* Refused with @message, and everything is as it was. */
static void check_refused(const char *device, enum snapmgr_code code, const char *message)
{
	AUTO(free) char *before = mounts();
	AUTO(free) char *after = NULL;
	struct shost_mounts m;
	struct snapmgr_err err;

	ATF_CHECK(take_away(device, &m, &err) < 0);
	ATF_CHECK_EQ(code, err.code);
	ATF_CHECK_STREQ(message, err.message);
	ATF_CHECK_EQ(NULL, m.v);
	after = mounts();
	ATF_CHECK_STREQ(before, after);
}

/* A disk with ext4, mounted on a. */
static const char *ext4(const char *options)
{
	lab_fresh();
	lab_run("mkfs.ext4 -q %s 64M && mkdir " LAB "/a " LAB "/b " LAB "/c && mount -o %s %s " LAB
		"/a",
		lab_disk(0), options, lab_disk(0));
	return lab_disk(0);
}

ATF_TC_WITHOUT_HEAD(a_device_that_is_not_mounted_is_no_error);
ATF_TC_BODY(a_device_that_is_not_mounted_is_no_error, tc)
{
	lab_fresh();
	check_round(lab_disk(0), 0);
}

ATF_TC_WITHOUT_HEAD(flags_and_options_of_ext4_come_back);
ATF_TC_BODY(flags_and_options_of_ext4_come_back, tc)
{
	static const char *const options[] = {
		"defaults",
		"ro,noatime,nosuid,nodev,noexec",
		"strictatime,nodiratime,data=journal,commit=77,errors=remount-ro,discard",
		"noatime,lazytime,sync,dirsync,nobarrier,noauto_da_alloc,stripe=16,usrquota",
		"nosymfollow,journal_checksum,journal_async_commit,data=writeback,nodelalloc",
	};

	for (size_t i = 0; i < SM_ARRAY(options); i++) {
		check_round(ext4(options[i]), 1);
		lab_fresh();
	}
}

ATF_TC_WITHOUT_HEAD(options_of_xfs_come_back);
ATF_TC_BODY(options_of_xfs_come_back, tc)
{
	lab_fresh();
	lab_run("mkfs.xfs -q -f %s && mkdir " LAB
		"/a && mount -o noatime,logbufs=4,logbsize=64k,prjquota,"
		"allocsize=1m,swalloc,nouuid %s " LAB "/a",
		lab_disk(0), lab_disk(0));
	check_round(lab_disk(0), 1);
	lab_run("umount " LAB "/a && mount -o ro,norecovery %s " LAB "/a", lab_disk(0));
	check_round(lab_disk(0), 1);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(an_xfs_with_a_log_device_comes_back);
ATF_TC_BODY(an_xfs_with_a_log_device_comes_back, tc)
{
	lab_fresh();
	lab_run("mkfs.xfs -q -f -l logdev=%s,size=64m %s && mkdir " LAB
		"/a && mount -o logdev=%s %s " LAB "/a",
		lab_disk(1), lab_disk(0), lab_disk(1), lab_disk(0));
	check_round(lab_disk(0), 1);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(an_ext4_with_a_journal_device_comes_back);
ATF_TC_BODY(an_ext4_with_a_journal_device_comes_back, tc)
{
	lab_fresh();
	lab_run("mke2fs -q -b 4096 -O journal_dev %s 16384 && mkfs.ext4 -q -b 4096 -J device=%s %s 16384 && "
		"mkdir " LAB "/a && mount %s " LAB "/a",
		lab_disk(1), lab_disk(1), lab_disk(0), lab_disk(0));
	check_round(lab_disk(0), 1);
	lab_fresh();
}

static void make_btrfs(void)
{
	lab_fresh();
	lab_run("mkfs.btrfs -q %s && mkdir " LAB "/a " LAB "/b " LAB "/c && mount %s " LAB
		"/a && btrfs -q subvolume create " LAB "/a/one && btrfs -q subvolume create " LAB
		"/a/one/two && mkdir " LAB "/a/one/dir",
		lab_disk(0), lab_disk(0));
}

ATF_TC_WITHOUT_HEAD(subvolumes_of_btrfs_come_back);
ATF_TC_BODY(subvolumes_of_btrfs_come_back, tc)
{
	make_btrfs();
	lab_run("mount -o subvol=one,compress=zstd,noatime %s " LAB
		"/b && mount -o ro,subvol=one/two %s " LAB "/c && mkdir " LAB
		"/d && mount --bind " LAB "/b/dir " LAB "/d",
		lab_disk(0), lab_disk(0));
	check_round(lab_disk(0), 4);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_btrfs_on_two_devices_comes_back);
ATF_TC_BODY(a_btrfs_on_two_devices_comes_back, tc)
{
	lab_fresh();
	lab_run("mkfs.btrfs -q %s %s && mkdir " LAB "/a && mount %s " LAB "/a", lab_disk(0),
		lab_disk(1), lab_disk(0));
	check_round(lab_disk(1), 1);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_subvolume_with_a_new_number_comes_back_by_its_name);
ATF_TC_BODY(a_subvolume_with_a_new_number_comes_back_by_its_name, tc)
{
	struct shost_mounts m;
	struct snapmgr_err err;

	make_btrfs();
	lab_run("mount -o subvol=one %s " LAB "/b && umount " LAB "/a", lab_disk(0));
	ATF_REQUIRE_EQ(0, take_away(lab_disk(0), &m, &err));
	lab_run("mount %s " LAB "/a && mv " LAB "/a/one " LAB
		"/a/old && btrfs -q subvolume create " LAB "/a/one && echo new >" LAB
		"/a/one/file && umount " LAB "/a",
		lab_disk(0));
	ATF_CHECK_EQ_MSG(0, shost_remount(&m, &err), "%s", err.message);
	ATF_CHECK_STREQ("new", lab_read(LAB "/b/file"));
	shost_mounts_free(&m);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(binds_of_folders_and_files_come_back);
ATF_TC_BODY(binds_of_folders_and_files_come_back, tc)
{
	ext4("defaults");
	lab_run("mkdir '" LAB "/a/x y' && echo text >" LAB "/a/file && touch " LAB
		"/d && mount --bind '" LAB "/a/x y' " LAB "/b && mount --bind " LAB "/a/file " LAB
		"/d && mount --bind " LAB "/a " LAB
		"/c && mount -o remount,bind,ro,noexec,noatime " LAB "/c");
	check_round(lab_disk(0), 4);
	ATF_CHECK_STREQ("text", lab_read(LAB "/d"));
	lab_run("umount " LAB "/a");
	check_round(lab_disk(0), 3);
	lab_run("umount " LAB "/c");
	check_round(lab_disk(0), 2); /* nothing shows all of the filesystem any more */
	ATF_CHECK_STREQ("text", lab_read(LAB "/d"));
	lab_run("rmdir %s", SM_RUN_DIR); /* nothing is left in it */
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(nested_and_stacked_mounts_of_one_device_come_back);
ATF_TC_BODY(nested_and_stacked_mounts_of_one_device_come_back, tc)
{
	ext4("defaults");
	lab_run("mkdir -p " LAB "/a/x/y && mount %s " LAB "/a/x && mount --bind " LAB "/a/x " LAB
		"/a/x && mount -o remount,bind,noatime " LAB "/a/x && mount %s " LAB
		"/a/x/x/y && mount %s " LAB "/b && mount --bind " LAB "/b/x " LAB "/b",
		lab_disk(0), lab_disk(0), lab_disk(0));
	check_round(lab_disk(0), 6);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(propagation_comes_back);
ATF_TC_BODY(propagation_comes_back, tc)
{
	const char *disk = lab_disk(0);

	lab_fresh();
	lab_run("mkfs.ext4 -q %s 64M && mount --bind " LAB " " LAB " && mount --make-shared " LAB
		" && mkdir " LAB "/s " LAB "/p " LAB "/u && mount %s " LAB "/s && mount %s " LAB
		"/p && mount --make-private " LAB "/p && mount %s " LAB
		"/u && mount --make-unbindable " LAB "/u",
		disk, disk, disk, disk);
	check_round(disk, 3);
	lab_run("umount " LAB "/u && mount --make-private " LAB " && mkdir " LAB
		"/t && mount %s " LAB "/t && mount --make-shared " LAB "/t",
		disk);
	check_round(disk, 3);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_mount_that_spread_to_a_peer_comes_back_once);
ATF_TC_BODY(a_mount_that_spread_to_a_peer_comes_back_once, tc)
{
	lab_fresh();
	lab_run("mkfs.ext4 -q %s 64M && mkdir " LAB "/a " LAB "/b && mount -t tmpfs none " LAB
		"/a && mount --make-shared " LAB "/a && mount --bind " LAB "/a " LAB
		"/b && mkdir " LAB "/a/m && mount %s " LAB "/a/m",
		lab_disk(0), lab_disk(0));
	check_round(lab_disk(0), 2);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(another_device_mounted_below_is_named);
ATF_TC_BODY(another_device_mounted_below_is_named, tc)
{
	ext4("defaults");
	lab_run("mount --bind " LAB "/a " LAB "/b && mkdir " LAB
		"/a/sub && mount -t tmpfs inside " LAB "/a/sub");
	check_refused(lab_disk(0), SNAPMGR_IN_USE,
		      "cannot unmount '" LAB "/a': 'inside' (tmpfs) is mounted on '" LAB "/a/sub'");
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_mount_hidden_by_another_is_refused);
ATF_TC_BODY(a_mount_hidden_by_another_is_refused, tc)
{
	ext4("defaults");
	lab_run("mkdir -p " LAB "/b/x && mount %s " LAB "/b/x && mount -t tmpfs over " LAB "/b",
		lab_disk(0));
	check_refused(lab_disk(0), SNAPMGR_IN_USE,
		      "cannot unmount '" LAB "/b/x': another mount hides it");
	lab_run("mkdir " LAB "/b/x");
	check_refused(lab_disk(0), SNAPMGR_IN_USE,
		      "cannot unmount '" LAB "/b/x': another mount hides it");
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_deleted_folder_is_refused);
ATF_TC_BODY(a_deleted_folder_is_refused, tc)
{
	ext4("defaults");
	lab_run("mkdir " LAB "/a/x && mount --bind " LAB "/a/x " LAB "/b && rmdir " LAB "/a/x");
	check_refused(
		lab_disk(0), SNAPMGR_UNSUPPORTED,
		"'" LAB
		"/b' could not be mounted again: it shows a deleted folder; unmount it first");
	lab_fresh();
}

/* ---- busy ones ---- */

static void sit_in(const void *data)
{
	if (chdir(data) < 0)
		_exit(1);
	lab_ready();
	for (;;)
		(void)pause();
}

static void hold_open(const void *data)
{
	if (open(data, O_RDONLY | O_CLOEXEC) < 0)
		_exit(1);
	lab_ready();
	for (;;)
		(void)pause();
}

static void check_busy(lab_work_fn *work, const void *data)
{
	char message[256], name[32];
	pid_t pid;

	ext4("noatime");
	lab_run("mkdir " LAB "/a/sub && touch " LAB "/a/file && mount --bind " LAB "/a/sub " LAB
		"/b && mount -o ro %s " LAB "/c; mount -o remount,bind,ro " LAB "/b",
		lab_disk(0));
	pid = lab_child(work, data);
	shost_pid_name(pid, name);
	(void)snprintf(message, sizeof(message),
		       "cannot unmount '" LAB "/a': in use by process %d (%s)", pid, name);
	check_refused(lab_disk(0), SNAPMGR_IN_USE, message);
	lab_end(pid);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_process_in_a_folder_is_named_and_all_is_put_back);
ATF_TC_BODY(a_process_in_a_folder_is_named_and_all_is_put_back, tc)
{
	check_busy(sit_in, LAB "/a");
}

ATF_TC_WITHOUT_HEAD(a_process_with_an_open_file_is_named_and_all_is_put_back);
ATF_TC_BODY(a_process_with_an_open_file_is_named_and_all_is_put_back, tc)
{
	check_busy(hold_open, LAB "/a/file");
}

ATF_TC_WITHOUT_HEAD(loops_and_swap_files_are_named);
ATF_TC_BODY(loops_and_swap_files_are_named, tc)
{
	ext4("defaults");
	lab_run("dd if=/dev/zero of=" LAB "/a/swap bs=1M count=4 status=none && chmod 600 " LAB
		"/a/swap && mkswap -q " LAB "/a/swap >/dev/null && swapon " LAB
		"/a/swap && truncate -s 1M " LAB "/a/img && losetup /dev/loop1 " LAB "/a/img");
	check_refused(lab_disk(0), SNAPMGR_IN_USE,
		      "cannot unmount '" LAB "/a': in use by '/dev/loop1' (" LAB
		      "/a/img), swap file '" LAB "/a/swap'");
	lab_fresh();
}

static void sit_for_a_moment(const void *data)
{
	if (chdir(data) < 0)
		_exit(1);
	lab_ready();
	(void)usleep(400000);
	_exit(0);
}

ATF_TC_WITHOUT_HEAD(a_user_who_is_passing_by_is_waited_for);
ATF_TC_BODY(a_user_who_is_passing_by_is_waited_for, tc)
{
	pid_t pid;

	ext4("defaults");
	pid = lab_child(sit_for_a_moment, LAB "/a");
	check_round(lab_disk(0), 1);
	lab_end(pid);
	lab_fresh();
}

/* ---- other contents ---- */

ATF_TC_WITHOUT_HEAD(other_contents_are_mounted_the_same_way);
ATF_TC_BODY(other_contents_are_mounted_the_same_way, tc)
{
	struct shost_mounts m;
	struct snapmgr_err err;

	ext4("noatime,commit=77");
	ATF_REQUIRE_EQ(0, take_away(lab_disk(0), &m, &err));
	lab_run("mkfs.ext4 -q -F -O ^has_journal -L other %s 128M", lab_disk(0));
	ATF_CHECK_EQ_MSG(0, shost_remount(&m, &err), "%s", err.message);
	printf("%s\n", m.warning);
	lab_run("grep -q '" LAB "/a ext4 rw,noatime' /proc/mounts");
	shost_mounts_free(&m);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(fewer_options_are_used_with_a_warning);
ATF_TC_BODY(fewer_options_are_used_with_a_warning, tc)
{
	struct shost_mounts m;
	struct snapmgr_err err;

	ext4("noatime,data=journal");
	ATF_REQUIRE_EQ(0, take_away(lab_disk(0), &m, &err));
	lab_run("mkfs.ext4 -q -F -O ^has_journal %s 128M", lab_disk(0));
	ATF_CHECK_EQ_MSG(0, shost_remount(&m, &err), "%s", err.message);
	ATF_CHECK_STREQ(
		"'" LAB
		"/a' was mounted again without all of its options (rw,nodelalloc,data=journal)",
		m.warning);
	shost_mounts_free(&m);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(what_is_there_now_is_told_when_it_cannot_be_mounted);
ATF_TC_BODY(what_is_there_now_is_told_when_it_cannot_be_mounted, tc)
{
	struct shost_mounts m;
	struct snapmgr_err err;
	char message[256];

	ext4("defaults");
	lab_run("mount %s " LAB "/b", lab_disk(0));
	ATF_REQUIRE_EQ(0, take_away(lab_disk(0), &m, &err));
	lab_run("mkfs.xfs -q -f %s", lab_disk(0));
	ATF_CHECK_EQ(-EINVAL, shost_remount(&m, &err));
	(void)snprintf(message, sizeof(message),
		       "cannot mount '%s' on '" LAB
		       "/a' again as ext4 (there is xfs on it now): Invalid argument",
		       lab_disk(0));
	ATF_CHECK_STREQ(message, err.message);
	lab_run("mkfs.ext4 -q -F %s", lab_disk(0));
	ATF_CHECK_EQ_MSG(0, shost_remount(&m, &err), "%s", err.message);
	lab_run("grep -q ' " LAB "/b ' /proc/mounts");
	shost_mounts_free(&m);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(one_that_fails_does_not_keep_the_others_away);
ATF_TC_BODY(one_that_fails_does_not_keep_the_others_away, tc)
{
	struct shost_mounts m;
	struct snapmgr_err err;

	ext4("defaults");
	lab_run("mkdir " LAB "/a/sub && mount --bind " LAB "/a/sub " LAB "/b && mount %s " LAB "/c",
		lab_disk(0));
	ATF_REQUIRE_EQ(0, take_away(lab_disk(0), &m, &err));
	lab_run("mkfs.ext4 -q -F %s", lab_disk(0));
	ATF_CHECK_EQ(-ENOENT, shost_remount(&m, &err));
	ATF_CHECK_STREQ("cannot mount folder '/sub' on '" LAB
			"/b' again: No such file or directory",
			err.message);
	lab_run("grep -q ' " LAB "/a ' /proc/mounts && grep -q ' " LAB "/c ' /proc/mounts");
	lab_run("mkdir " LAB "/a/sub");
	ATF_CHECK_EQ_MSG(0, shost_remount(&m, &err), "%s", err.message);
	lab_run("grep -q ' " LAB "/b ' /proc/mounts");
	shost_mounts_free(&m);
	lab_fresh();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_device_that_is_not_mounted_is_no_error);
	ATF_TP_ADD_TC(tp, flags_and_options_of_ext4_come_back);
	ATF_TP_ADD_TC(tp, options_of_xfs_come_back);
	ATF_TP_ADD_TC(tp, an_xfs_with_a_log_device_comes_back);
	ATF_TP_ADD_TC(tp, an_ext4_with_a_journal_device_comes_back);
	ATF_TP_ADD_TC(tp, subvolumes_of_btrfs_come_back);
	ATF_TP_ADD_TC(tp, a_btrfs_on_two_devices_comes_back);
	ATF_TP_ADD_TC(tp, a_subvolume_with_a_new_number_comes_back_by_its_name);
	ATF_TP_ADD_TC(tp, binds_of_folders_and_files_come_back);
	ATF_TP_ADD_TC(tp, nested_and_stacked_mounts_of_one_device_come_back);
	ATF_TP_ADD_TC(tp, propagation_comes_back);
	ATF_TP_ADD_TC(tp, a_mount_that_spread_to_a_peer_comes_back_once);
	ATF_TP_ADD_TC(tp, another_device_mounted_below_is_named);
	ATF_TP_ADD_TC(tp, a_mount_hidden_by_another_is_refused);
	ATF_TP_ADD_TC(tp, a_deleted_folder_is_refused);
	ATF_TP_ADD_TC(tp, a_process_in_a_folder_is_named_and_all_is_put_back);
	ATF_TP_ADD_TC(tp, a_process_with_an_open_file_is_named_and_all_is_put_back);
	ATF_TP_ADD_TC(tp, loops_and_swap_files_are_named);
	ATF_TP_ADD_TC(tp, a_user_who_is_passing_by_is_waited_for);
	ATF_TP_ADD_TC(tp, other_contents_are_mounted_the_same_way);
	ATF_TP_ADD_TC(tp, fewer_options_are_used_with_a_warning);
	ATF_TP_ADD_TC(tp, what_is_there_now_is_told_when_it_cannot_be_mounted);
	ATF_TP_ADD_TC(tp, one_that_fails_does_not_keep_the_others_away);
	return atf_no_error();
}
