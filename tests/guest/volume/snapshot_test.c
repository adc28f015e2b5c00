/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Snapshots of what is in use: of one instant, complete, and without a hang. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tests/guest/pool_lab.h"

#define FS_SIZE	   (384 * SM_MIB)
#define FILE_BYTES (3 * SM_MIB)
#define A	   LAB "/a"
#define B	   LAB "/b"

static void clone(const char *from, const char *to)
{
	LAB_DO(snapmgr_clone(lab, from, to, NULL, NULL, NULL, &err));
}

static void take_two(const char *a, const char *b)
{
	const char *const specs[] = { a, b };

	LAB_DO(snapmgr_snapshot(lab, specs, 2, NULL, NULL, NULL, &err));
}

/* A file that nobody has synced. */
static void write_file(const char *path, uint64_t seed)
{
	AUTO(sm_close_fd) int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	ATF_REQUIRE_MSG(fd >= 0, "cannot make '%s': %s", path, strerror(errno));
	lab_pwrite(fd, 0, FILE_BYTES, seed);
}

static void check_file(const char *path, uint64_t seed)
{
	AUTO(sm_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);

	ATF_REQUIRE_MSG(fd >= 0, "'%s' is not in the snapshot", path);
	ATF_CHECK_MSG(lab_reads(fd, 0, FILE_BYTES, seed), "'%s' is not as it was written", path);
}

/* ---- one instant ---- */

struct stamps {
	char a[160], b[160];
};

static int open_stamped(const char *node, int flags)
{
	return open(node, flags | O_DIRECT | O_CLOEXEC);
}

/* The number goes to the first volume, and only when it is there to the second. */
static void stamp(void *data)
{
	const struct stamps *s = data;
	int a = open_stamped(s->a, O_WRONLY | O_DSYNC), b = open_stamped(s->b, O_WRONLY | O_DSYNC);
	uint64_t *block;

	if (a < 0 || b < 0 || posix_memalign((void **)&block, 4096, 4096) != 0)
		_exit(1);
	memset(block, 0, 4096);
	lab_ready();
	for (;; (*block)++)
		if (pwrite(a, block, 4096, 0) != 4096 || pwrite(b, block, 4096, 0) != 4096)
			_exit(2);
}

static uint64_t stamp_of(const char *spec)
{
	AUTO(sm_close_fd) int fd = -1;
	uint64_t *block, n;

	LAB_DO(snapmgr_activate(lab, spec, NULL, NULL, &err));
	fd = open_stamped(lab_node(spec), O_RDONLY);
	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ(0, posix_memalign((void **)&block, 4096, 4096));
	ATF_REQUIRE_EQ(4096, pread(fd, block, 4096, 0));
	n = *block;
	free(block);
	return n;
}

ATF_TC_WITHOUT_HEAD(several_snapshots_are_of_one_instant);
ATF_TC_BODY(several_snapshots_are_of_one_instant, tc)
{
	struct snapmgr_object oa, ob;
	struct stamps s;
	uint64_t last = 0;
	pid_t pid;

	lab_up();
	lab_create("p/a", SM_MIB);
	lab_create("p/b", SM_MIB);
	(void)strcpy(s.a, lab_node("p/a"));
	(void)strcpy(s.b, lab_node("p/b"));
	pid = lab_child(stamp, &s);
	for (int i = 0; i < 12; i++) {
		char name_a[32], name_b[32];

		(void)snprintf(name_a, sizeof(name_a), "p/a@s%d", i);
		(void)snprintf(name_b, sizeof(name_b), "p/b@s%d", i);
		lab_sleep_ms(40);
		if (i % 2)
			take_two(name_a, name_b);
		else
			take_two(name_b, name_a);
	}
	lab_end(pid);
	for (int i = 0; i < 12; i++) {
		char spec[32];
		uint64_t a, b;

		(void)snprintf(spec, sizeof(spec), "p/a@s%d", i);
		a = stamp_of(spec);
		lab_show(spec, &oa);
		spec[2] = 'b';
		b = stamp_of(spec);
		lab_show(spec, &ob);
		ATF_CHECK_MSG(a == b || a == b + 1, "snapshot %d: %ju and then %ju", i,
			      (uintmax_t)a, (uintmax_t)b);
		ATF_CHECK(a >= last);
		last = a;
		ATF_CHECK_EQ(oa.created_at_us, ob.created_at_us);
		ATF_CHECK_EQ((uint64_t)i + 1, oa.sequence);
	}
	ATF_CHECK_MSG(last > 12, "the writer came no further than %ju", (uintmax_t)last);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(several_snapshots_are_all_or_none);
ATF_TC_BODY(several_snapshots_are_all_or_none, tc)
{
	const char *const taken[] = { "p/a@s1", "p/b@s1", "p/gone@s1" };
	const char *const exists[] = { "p/b@s1", "p/a@s0" };
	const char *const twice[] = { "p/a@s1", "p/a@s2" };
	const char *const pools[] = { "p/a@s1", "q/b@s1" };

	lab_up();
	lab_create("p/a", SM_MIB);
	lab_create("p/b", SM_MIB);
	lab_snapshot("p/a@s0");
	LAB_REFUSED(SNAPMGR_NOT_FOUND, snapmgr_snapshot(lab, taken, 3, NULL, NULL, NULL, &err));
	LAB_SAYS("gone");
	LAB_REFUSED(SNAPMGR_EXISTS, snapmgr_snapshot(lab, exists, 2, NULL, NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_USAGE, snapmgr_snapshot(lab, twice, 2, NULL, NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_USAGE, snapmgr_snapshot(lab, pools, 2, NULL, NULL, NULL, &err));
	ATF_CHECK(!lab_exists("p/a@s1"));
	ATF_CHECK(!lab_exists("p/b@s1"));
	lab_check_rest();
}

/* ---- filesystems ---- */

/* What was written until then is in the snapshot, what came after is not; and it mounts. */
static void snapshot_of_mounted(const char *mkfs, const char *options)
{
	lab_up();
	lab_create("p/v", FS_SIZE);
	lab_run("%s %s >/dev/null && mkdir " A " " B " && mount %s " A, mkfs, lab_node("p/v"),
		lab_node("p/v"));
	write_file(A "/synced", 1);
	lab_run("sync && mkdir " A "/folder");
	write_file(A "/unsynced", 2);
	write_file(A "/folder/unsynced", 3);
	lab_snapshot("p/v@s1");
	write_file(A "/later", 4);
	lab_run("rm " A "/synced && umount " A);
	clone("p/v@s1", "p/c");
	lab_run("btrfs device scan --forget 2>/dev/null; mount %s %s " B, options, lab_node("p/c"));
	check_file(B "/synced", 1);
	check_file(B "/unsynced", 2);
	check_file(B "/folder/unsynced", 3);
	ATF_CHECK_MSG(access(B "/later", F_OK) < 0, "the snapshot has a file of later");
	lab_run("umount " B);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_snapshot_of_ext4_has_unsynced_files);
ATF_TC_BODY(a_snapshot_of_ext4_has_unsynced_files, tc)
{
	snapshot_of_mounted("mkfs.ext4 -q", "");
	LAB_DO(snapmgr_activate(lab, "p/v@s1", NULL, NULL, &err));
	lab_run("e2fsck -fn %s >/dev/null 2>&1",
		lab_node("p/v@s1")); /* not even a journal to replay */
}

ATF_TC_WITHOUT_HEAD(a_snapshot_of_xfs_has_unsynced_files);
ATF_TC_BODY(a_snapshot_of_xfs_has_unsynced_files, tc)
{
	snapshot_of_mounted("mkfs.xfs -q", "-o nouuid");
}

ATF_TC_WITHOUT_HEAD(a_snapshot_of_btrfs_has_unsynced_files);
ATF_TC_BODY(a_snapshot_of_btrfs_has_unsynced_files, tc)
{
	snapshot_of_mounted("mkfs.btrfs -q", "");
}

ATF_TC(a_filesystem_over_two_volumes_does_not_hang);
ATF_TC_HEAD(a_filesystem_over_two_volumes_does_not_hang, tc)
{
	atf_tc_set_md_var(tc, "timeout", "60");
}
ATF_TC_BODY(a_filesystem_over_two_volumes_does_not_hang, tc)
{
	lab_up();
	lab_create("p/a", FS_SIZE);
	lab_create("p/b", FS_SIZE);
	lab_run("mkfs.btrfs -q -m raid1 -d raid0 %s %s && mkdir " A " " B " && mount %s " A,
		lab_node("p/a"), lab_node("p/b"), lab_node("p/b"));
	write_file(A "/one", 1);
	lab_snapshot("p/a@alone"); /* one of its two devices */
	write_file(A "/two", 2);
	take_two("p/a@s1", "p/b@s1");
	write_file(A "/later", 3);
	lab_run("umount " A);
	clone("p/a@s1", "p/ca");
	clone("p/b@s1", "p/cb");
	LAB_DO(snapmgr_deactivate(lab, "p/a", &err));
	LAB_DO(snapmgr_deactivate(lab, "p/b", &err));
	lab_run("btrfs device scan --forget; btrfs device scan %s %s >/dev/null && mount %s " B,
		lab_node("p/ca"), lab_node("p/cb"), lab_node("p/ca"));
	check_file(B "/one", 1);
	check_file(B "/two", 2);
	ATF_CHECK(access(B "/later", F_OK) < 0);
	lab_run("umount " B "; btrfs device scan --forget");
	lab_check_rest();
}

ATF_TC(a_journal_on_a_second_volume_does_not_hang);
ATF_TC_HEAD(a_journal_on_a_second_volume_does_not_hang, tc)
{
	atf_tc_set_md_var(tc, "timeout", "60");
}
ATF_TC_BODY(a_journal_on_a_second_volume_does_not_hang, tc)
{
	lab_up();
	lab_create("p/a", FS_SIZE);
	lab_create("p/j", 32 * SM_MIB);
	lab_run("mke2fs -q -b 4096 -O journal_dev %s && mkfs.ext4 -q -b 4096 -J device=%s %s && mkdir " A
		" " B " && mount %s " A,
		lab_node("p/j"), lab_node("p/j"), lab_node("p/a"), lab_node("p/a"));
	write_file(A "/one", 1);
	lab_snapshot("p/j@alone");
	lab_snapshot("p/a@alone");
	write_file(A "/two", 2);
	take_two("p/j@s1", "p/a@s1");
	write_file(A "/three", 3);
	take_two("p/a@s2", "p/j@s2");
	lab_run("umount " A);
	clone("p/a@s1", "p/ca");
	clone("p/j@s1", "p/cj");
	lab_run("mount -o journal_path=%s %s " B, lab_node("p/cj"), lab_node("p/ca"));
	check_file(B "/one", 1);
	check_file(B "/two", 2);
	ATF_CHECK(access(B "/three", F_OK) < 0);
	lab_run("umount " B);
	lab_check_rest();
}

ATF_TC(a_filesystem_frozen_already_stays_frozen);
ATF_TC_HEAD(a_filesystem_frozen_already_stays_frozen, tc)
{
	atf_tc_set_md_var(tc, "timeout", "60");
}
ATF_TC_BODY(a_filesystem_frozen_already_stays_frozen, tc)
{
	int fd;

	lab_up();
	lab_create("p/v", FS_SIZE);
	lab_run("mkfs.ext4 -q %s && mkdir " A " " B " && mount %s " A, lab_node("p/v"),
		lab_node("p/v"));
	write_file(A "/one", 1);
	fd = open(A, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ATF_REQUIRE_EQ(0, ioctl(fd, FIFREEZE, 0));
	lab_snapshot("p/v@s1");
	ATF_CHECK_EQ_MSG(0, ioctl(fd, FITHAW, 0), "somebody thawed it: %s", strerror(errno));
	ATF_CHECK(ioctl(fd, FITHAW, 0) < 0); /* frozen once, as it was */
	(void)close(fd);
	write_file(A "/two", 2); /* and it runs */
	lab_run("umount " A);
	clone("p/v@s1", "p/c");
	lab_run("mount %s " B, lab_node("p/c"));
	check_file(B "/one", 1);
	ATF_CHECK(access(B "/two", F_OK) < 0);
	lab_run("umount " B);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_snapshot_of_a_mounted_volume_leaves_it_running);
ATF_TC_BODY(a_snapshot_of_a_mounted_volume_leaves_it_running, tc)
{
	int fd;

	lab_up();
	lab_create("p/v", FS_SIZE);
	lab_run("mkfs.xfs -q %s && mkdir " A " && mount %s " A, lab_node("p/v"), lab_node("p/v"));
	lab_snapshot("p/v@s1");
	fd = open(A, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ATF_CHECK_MSG(ioctl(fd, FITHAW, 0) < 0 && errno == EINVAL, "it was left frozen");
	(void)close(fd);
	write_file(A "/x", 1);
	lab_run("sync -f " A " && umount " A);
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, several_snapshots_are_of_one_instant);
	ATF_TP_ADD_TC(tp, several_snapshots_are_all_or_none);
	ATF_TP_ADD_TC(tp, a_snapshot_of_ext4_has_unsynced_files);
	ATF_TP_ADD_TC(tp, a_snapshot_of_xfs_has_unsynced_files);
	ATF_TP_ADD_TC(tp, a_snapshot_of_btrfs_has_unsynced_files);
	ATF_TP_ADD_TC(tp, a_filesystem_over_two_volumes_does_not_hang);
	ATF_TP_ADD_TC(tp, a_journal_on_a_second_volume_does_not_hang);
	ATF_TP_ADD_TC(tp, a_filesystem_frozen_already_stays_frozen);
	ATF_TP_ADD_TC(tp, a_snapshot_of_a_mounted_volume_leaves_it_running);
	return atf_no_error();
}
