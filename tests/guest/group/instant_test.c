/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A group's snapshot is of one instant, and its revert brings all of it back. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../pool_lab.h"

#define FS_SIZE	   (384 * SM_MIB)
#define FILE_BYTES (3 * SM_MIB)
#define ROUNDS	   25
#define STAMPED	   4
#define MANY	   16

static void make_group(const char *spec, unsigned int n, uint64_t bytes)
{
	const char *volumes[MANY];
	char names[MANY][16];

	for (unsigned int i = 0; i < n; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "p/v%u", i);
		lab_create(names[i], bytes);
		volumes[i] = names[i];
	}
	LAB_DO(snapmgr_group_create(lab, spec, volumes, n, NULL, NULL, NULL, &err));
}

/* ---- stamps ---- */

struct stamps {
	char nodes[STAMPED][160];
};

static uint64_t *new_block(void)
{
	uint64_t *block;

	if (posix_memalign((void **)&block, 4096, 4096) != 0)
		_exit(1);
	memset(block, 0, 4096);
	return block;
}

/* The number goes to each volume in turn, to the next only when it is there. */
static void stamp(void *data)
{
	const struct stamps *s = data;
	uint64_t *block = new_block();
	int fds[STAMPED];

	for (int i = 0; i < STAMPED; i++) {
		fds[i] = open(s->nodes[i], O_WRONLY | O_DSYNC | O_DIRECT | O_CLOEXEC);
		if (fds[i] < 0)
			_exit(1);
	}
	lab_ready();
	for (;; (*block)++)
		for (int i = 0; i < STAMPED; i++)
			if (pwrite(fds[i], block, 4096, 0) != 4096)
				_exit(2);
}

static uint64_t stamp_of(const char *node)
{
	AUTO(sm_close_fd) int fd = open(node, O_RDONLY | O_DIRECT | O_CLOEXEC);
	AUTO(free) uint64_t *block = new_block();

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ(4096, pread(fd, block, 4096, 0));
	return *block;
}

/* What no instant ever had: a later stamp without the earlier one in the volume before it. */
static uint64_t check_stamps(const uint64_t found[STAMPED], int round)
{
	for (int i = 1; i < STAMPED; i++)
		ATF_CHECK_MSG(found[i] <= found[i - 1],
			      "snapshot %d: v%d has %ju, v%d before it %ju", round, i,
			      (uintmax_t)found[i], i - 1, (uintmax_t)found[i - 1]);
	ATF_CHECK_MSG(found[0] - found[STAMPED - 1] <= 1, "snapshot %d: %ju in v0, %ju in the last",
		      round, (uintmax_t)found[0], (uintmax_t)found[STAMPED - 1]);
	return found[0];
}

ATF_TC(a_later_stamp_is_never_there_without_the_earlier);
ATF_TC_HEAD(a_later_stamp_is_never_there_without_the_earlier, tc)
{
	atf_tc_set_md_var(tc, "timeout", "280");
}
ATF_TC_BODY(a_later_stamp_is_never_there_without_the_earlier, tc)
{
	struct snapmgr_snapshot_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_snapshot_opts);
	uint64_t found[STAMPED], last = 0, suspended_ns = 0, longest_ns = 0;
	struct stamps s;
	char spec[32];
	const char *const specs[] = { spec };
	pid_t pid;

	lab_up();
	make_group("p/g", STAMPED, SM_MIB);
	for (int i = 0; i < STAMPED; i++) {
		(void)snprintf(spec, sizeof(spec), "p/v%d", i);
		(void)strcpy(s.nodes[i], lab_node(spec));
	}
	opts.suspended_ns = &suspended_ns;
	pid = lab_child(stamp, &s);
	for (int round = 0; round < ROUNDS; round++) {
		(void)snprintf(spec, sizeof(spec), "p/g@s%d", round);
		lab_sleep_ms(7 + (unsigned int)round * 3);
		LAB_DO(snapmgr_snapshot(lab, specs, 1, &opts, NULL, NULL, &err));
		ATF_CHECK(suspended_ns > 0);
		longest_ns = suspended_ns > longest_ns ? suspended_ns : longest_ns;
	}
	lab_end(pid);
	for (int round = 0; round < ROUNDS; round++) {
		(void)snprintf(spec, sizeof(spec), "p/g@s%d", round);
		lab_revert(spec); /* so the revert is looked at, too */
		for (int i = 0; i < STAMPED; i++)
			found[i] = stamp_of(s.nodes[i]);
		ATF_CHECK(check_stamps(found, round) >= last);
		last = found[0];
	}
	printf("the writer came to %ju; longest pause %ju us\n", (uintmax_t)last,
	       (uintmax_t)longest_ns / 1000);
	ATF_CHECK_MSG(last > ROUNDS, "the writer came no further than %ju", (uintmax_t)last);
	lab_check_rest();
}

/* ---- many ---- */

static bool all_hold(uint64_t seed)
{
	char spec[32];

	for (unsigned int i = 0; i < MANY; i++) {
		(void)snprintf(spec, sizeof(spec), "p/v%u", i);
		if (!lab_holds(lab_node(spec), 0, 256 * SM_KIB, seed + i, LAB_DIRECT))
			return false;
	}
	return true;
}

static void write_all(uint64_t seed)
{
	char spec[32];

	for (unsigned int i = 0; i < MANY; i++) {
		(void)snprintf(spec, sizeof(spec), "p/v%u", i);
		lab_write(lab_node(spec), 0, 256 * SM_KIB, seed + i, LAB_DIRECT);
	}
}

ATF_TC_WITHOUT_HEAD(sixteen_volumes_go_and_come_back_together);
ATF_TC_BODY(sixteen_volumes_go_and_come_back_together, tc)
{
	struct snapmgr_object before[MANY], after;
	struct snapmgr_revert_result ret;
	char spec[32];

	lab_up();
	make_group("p/g", MANY, SM_MIB);
	write_all(100);
	lab_snapshot("p/g@s1");
	write_all(200);
	for (unsigned int i = 0; i < MANY; i++) {
		(void)snprintf(spec, sizeof(spec), "p/v%u", i);
		lab_show(spec, &before[i]);
	}
	LAB_DO(snapmgr_revert(lab, "p/g@s1", NULL, &ret, &err));
	ATF_CHECK(ret.undo && ret.suspended_us > 0 && ret.volume.kind == SNAPMGR_GROUP);
	printf("reverted 16 in %ju us, suspended %ju us\n", (uintmax_t)ret.elapsed_us,
	       (uintmax_t)ret.suspended_us);
	ATF_CHECK(all_hold(100));
	for (unsigned int i = 0; i < MANY; i++) {
		(void)snprintf(spec, sizeof(spec), "p/v%u", i);
		lab_show(spec, &after);
		ATF_CHECK_STREQ(before[i].uuid, after.uuid);
		ATF_CHECK_STREQ(before[i].dm_name, after.dm_name);
		ATF_CHECK(before[i].major == after.major && before[i].minor == after.minor);
	}
	LAB_DO(snapmgr_undo(lab, "p/g", NULL, NULL, &err));
	ATF_CHECK(all_hold(200));
	LAB_DO(snapmgr_undo(lab, "p/g", NULL, NULL, &err));
	ATF_CHECK(all_hold(100));
	lab_check_rest();
}

/* ---- open elsewhere ---- */

static void check_open(const int *fds, unsigned int n, uint64_t seed)
{
	for (unsigned int i = 0; i < n; i++)
		ATF_CHECK_MSG(lab_reads(fds[i], 0, 512 * SM_KIB, seed + i),
			      "v%u reads as something else through the page cache", i);
}

/* No page of any of them may be left of what they were. */
ATF_TC_WITHOUT_HEAD(programs_that_keep_them_open_read_what_they_are_now);
ATF_TC_BODY(programs_that_keep_them_open_read_what_they_are_now, tc)
{
	struct snapmgr_revert_opts online = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	struct snapmgr_undo_opts undo = SNAPMGR_OPTS_INIT(struct snapmgr_undo_opts);
	char specs[3][16];
	int fds[3];

	online.online = undo.online = true;
	lab_up();
	make_group("p/g", 3, SM_MIB);
	for (unsigned int i = 0; i < 3; i++) {
		(void)snprintf(specs[i], sizeof(specs[i]), "p/v%u", i);
		lab_write(lab_node(specs[i]), 0, 512 * SM_KIB, 100 + i, LAB_DIRECT);
	}
	lab_snapshot("p/g@s1");
	for (unsigned int i = 0; i < 3; i++) {
		fds[i] = open(lab_node(specs[i]), O_RDWR | O_CLOEXEC);
		ATF_REQUIRE(fds[i] >= 0);
		lab_pwrite(fds[i], 0, 512 * SM_KIB, 200 + i); /* dirty, in the cache */
	}
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, "p/g@s1", NULL, NULL, &err));
	check_open(fds, 3, 200);
	LAB_DO(snapmgr_revert(lab, "p/g@s1", &online, NULL, &err));
	check_open(fds, 3, 100);
	LAB_DO(snapmgr_undo(lab, "p/g", &undo, NULL, &err));
	check_open(fds, 3, 200);
	for (unsigned int i = 0; i < 3; i++)
		(void)close(fds[i]);
	lab_check_rest();
}

/* ---- filesystems ---- */

static void write_file(const char *path, uint64_t seed)
{
	AUTO(sm_close_fd) int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	ATF_REQUIRE_MSG(fd >= 0, "cannot make '%s': %s", path, strerror(errno));
	lab_pwrite(fd, 0, FILE_BYTES, seed); /* and nobody syncs it */
}

static bool is_file(const char *path, uint64_t seed)
{
	AUTO(sm_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && lab_reads(fd, 0, FILE_BYTES, seed);
}

/* XFS below ext4: it has to be unmounted before, and mounted after. */
ATF_TC_WITHOUT_HEAD(files_on_two_filesystems_come_back_together);
ATF_TC_BODY(files_on_two_filesystems_come_back_together, tc)
{
	struct snapmgr_revert_opts remount = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	struct snapmgr_undo_opts undo = SNAPMGR_OPTS_INIT(struct snapmgr_undo_opts);

	remount.remount = undo.remount = true;
	lab_up();
	make_group("p/g", 2, FS_SIZE);
	lab_run("mkfs.ext4 -q %s && mkfs.xfs -q %s", lab_node("p/v0"), lab_node("p/v1"));
	lab_run("mkdir -p " LAB "/m && mount %s " LAB "/m && mkdir " LAB "/m/x && mount %s " LAB
		"/m/x",
		lab_node("p/v0"), lab_node("p/v1"));
	write_file(LAB "/m/ext4", 1);
	write_file(LAB "/m/x/xfs", 2);
	lab_snapshot("p/g@s1");
	write_file(LAB "/m/ext4", 3);
	write_file(LAB "/m/x/xfs", 4);
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, "p/g@s1", NULL, NULL, &err));
	LAB_DO(snapmgr_revert(lab, "p/g@s1", &remount, NULL, &err));
	ATF_CHECK(is_file(LAB "/m/ext4", 1));
	ATF_CHECK(is_file(LAB "/m/x/xfs", 2));
	LAB_DO(snapmgr_undo(lab, "p/g", &undo, NULL, &err));
	ATF_CHECK(is_file(LAB "/m/ext4", 3));
	ATF_CHECK(is_file(LAB "/m/x/xfs", 4));
	lab_run("umount " LAB "/m/x " LAB "/m && fsck.ext4 -fn %s >/dev/null && xfs_repair -n %s "
		">/dev/null 2>&1",
		lab_node("p/v0"), lab_node("p/v1"));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_busy_mount_puts_all_others_back);
ATF_TC_BODY(a_busy_mount_puts_all_others_back, tc)
{
	struct snapmgr_revert_opts remount = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	int fd;

	remount.remount = true;
	lab_up();
	make_group("p/g", 3, 32 * SM_MIB);
	for (int i = 0; i < 3; i++) {
		char spec[16];

		(void)snprintf(spec, sizeof(spec), "p/v%d", i);
		lab_run("mkfs.ext4 -q %s && mkdir -p " LAB "/m%d && mount %s " LAB "/m%d",
			lab_node(spec), i, lab_node(spec), i);
	}
	lab_snapshot("p/g@s1");
	for (int i = 0; i < 3; i++)
		lab_run("echo new >" LAB "/m%d/file", i);
	fd = open(LAB "/m2/file", O_RDONLY | O_CLOEXEC);
	ATF_REQUIRE(fd >= 0);
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, "p/g@s1", &remount, NULL, &err));
	LAB_SAYS("/m2");
	for (int i = 0; i < 3; i++)
		lab_run("mountpoint -q " LAB "/m%d && grep -q new " LAB "/m%d/file", i, i);
	(void)close(fd);
	LAB_DO(snapmgr_revert(lab, "p/g@s1", &remount, NULL, &err));
	for (int i = 0; i < 3; i++)
		lab_run("mountpoint -q " LAB "/m%d && [ ! -e " LAB "/m%d/file ]", i, i);
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_later_stamp_is_never_there_without_the_earlier);
	ATF_TP_ADD_TC(tp, sixteen_volumes_go_and_come_back_together);
	ATF_TP_ADD_TC(tp, programs_that_keep_them_open_read_what_they_are_now);
	ATF_TP_ADD_TC(tp, files_on_two_filesystems_come_back_together);
	ATF_TP_ADD_TC(tp, a_busy_mount_puts_all_others_back);
	return atf_no_error();
}
