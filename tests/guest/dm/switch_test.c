/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Suspending, switching and resuming on a real kernel, and what becomes of it when the owner dies. */
#include <atf-c.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "rig.h"

#define MIB 64

static struct sdm_switch_opts plain_opts(void)
{
	return (struct sdm_switch_opts){ .lock_fd = -1, .pool = "rig" };
}

/* Return: as the first call that fails. */
static int switch_one(const struct sdm_switch_device *member, const struct sdm_switch_opts *opts,
		      struct snapmgr_err *err)
{
	AUTO(sdm_switch_free) struct sdm_switch *sw = NULL;
	int r = sdm_switch_prepare(member, 1, opts, &sw, err);

	if (r == 0)
		r = sdm_switch_suspend(sw, err);
	if (r < 0)
		return r;
	sdm_switch_committed(sw);
	r = sdm_switch_resume(sw, err);
	return r < 0 ? r : sdm_switch_settle(sw, 30000, err);
}

/* Point @dev at thin @id. */
static int repoint(const struct rig *rig, const struct sdm_device *dev, uint32_t id,
		   const struct sdm_switch_opts *opts, struct snapmgr_err *err)
{
	struct sdm_target target = rig_target(rig, id, MIB);
	const struct sdm_switch_device member = { .dev = dev, .target = &target };

	return switch_one(&member, opts, err);
}

/* The same while somebody has it open; @fd is ours. */
static int repoint_online(const struct rig *rig, const struct sdm_device *dev, uint32_t id, int fd,
			  const struct sdm_switch_opts *opts, struct snapmgr_err *err)
{
	struct sdm_target target = rig_target(rig, id, MIB);
	const struct sdm_switch_device member = {
		.dev = dev, .target = &target, .online = true, .flush = true, .flush_fd = fd
	};

	return switch_one(&member, opts, err);
}

#define REQUIRE_OK(what)                                                     \
	do {                                                                 \
		struct snapmgr_err err = { .message = "" };                  \
		int ok_r = (what);                                           \
		if (ok_r < 0)                                                \
			atf_tc_fail("%s: %d: %s", #what, ok_r, err.message); \
	} while (0)

/* ---- under load ---- */

struct load {
	const struct sdm_device *dev;
	pthread_t thread;
	atomic_bool stop;
	atomic_ulong done, failed;
	uint64_t offset;
};

static void *write_direct(void *data)
{
	struct load *load = data;
	int fd = rig_open(load->dev, O_RDWR | O_DIRECT);
	void *buf;

	if (posix_memalign(&buf, 4096, 4096))
		return NULL;
	memset(buf, 'w', 4096);
	while (!load->stop) {
		if (pwrite(fd, buf, 4096, (off_t)load->offset) == 4096)
			load->done++;
		else
			load->failed++;
	}
	(void)close(fd);
	free(buf);
	return NULL;
}

/* The guest has one processor: a writer may not have had its turn yet. */
static void await_write(const struct load *load)
{
	unsigned long before = load->done;

	for (int i = 0; i < 5000 && load->done == before && !load->failed; i++)
		(void)usleep(1000);
	ATF_CHECK(load->done > before);
}

ATF_TC_WITHOUT_HEAD(writers_see_no_error_and_the_device_stays_itself);
ATF_TC_BODY(writers_see_no_error_and_the_device_stays_itself, tc)
{
	struct sdm_switch_opts opts = plain_opts();
	struct load loads[3];
	struct sdm_device dev;
	struct sdm_info before, after;
	struct rig rig;

	(void)tc;
	rig_up(&rig, 512);
	dev = rig_thin(&rig, "vol", 1, MIB);
	before = rig_info(&dev);
	for (size_t i = 0; i < SM_ARRAY(loads); i++) {
		loads[i] = (struct load){ .dev = &dev, .offset = i << 20 };
		ATF_REQUIRE(pthread_create(&loads[i].thread, NULL, write_direct, &loads[i]) == 0);
	}
	for (uint32_t id = 2; id < 32; id++) {
		rig_snap(&rig, &dev, id, id - 1);
		REQUIRE_OK(repoint(&rig, &dev, id, &opts, &err));
		REQUIRE_OK(sdm_thin_delete(rig.pool.name, id - 1, &err));
		await_write(&loads[id % SM_ARRAY(loads)]);
	}
	for (size_t i = 0; i < SM_ARRAY(loads); i++) {
		loads[i].stop = true;
		(void)pthread_join(loads[i].thread, NULL);
		ATF_CHECK_EQ(0, loads[i].failed);
	}
	after = rig_info(&dev);
	ATF_CHECK_EQ(before.minor, after.minor);
	ATF_CHECK_EQ(before.major, after.major);
	ATF_CHECK_STREQ(before.uuid, after.uuid);
	ATF_CHECK_EQ(31, rig_live_id(&dev));
	rig_down(&rig);
}

/* ---- the owner dies ---- */

struct fatal {
	const struct rig *rig;
	const struct sdm_device *dev;
	bool committed;
	const struct sdm_switch_opts *opts;
};

/* In a child: suspend and wait for the end. */
static void hold_suspended(const struct fatal *f, int ready_fd)
{
	struct sdm_target target = rig_target(f->rig, 2, MIB);
	struct sdm_switch_device member = { .dev = f->dev, .target = &target };
	struct sdm_switch *sw = NULL;

	if (sdm_switch_prepare(&member, 1, f->opts, &sw, NULL) < 0 ||
	    sdm_switch_suspend(sw, NULL) < 0)
		_exit(1);
	for (size_t i = 0; i < f->opts->n_thaw; i++)
		if (ioctl(f->opts->thaw_fds[i], FIFREEZE, 0) < 0 && errno != EBUSY)
			_exit(2);
	if (f->committed)
		sdm_switch_committed(sw);
	if (write(ready_fd, "r", 1) != 1)
		_exit(3);
	for (;;)
		(void)pause();
}

static void kill_an_owner(const struct fatal *f)
{
	int ends[2], status;
	char byte;
	pid_t pid;

	ATF_REQUIRE(pipe(ends) == 0);
	pid = fork();
	ATF_REQUIRE(pid >= 0);
	if (pid == 0)
		hold_suspended(f, ends[1]);
	(void)close(ends[1]);
	ATF_REQUIRE_EQ_MSG(1, read(ends[0], &byte, 1), "the child could not suspend");
	(void)close(ends[0]);
	ATF_REQUIRE(rig_info(f->dev).suspended);
	ATF_REQUIRE(kill(pid, SIGKILL) == 0);
	ATF_REQUIRE(waitpid(pid, &status, 0) == pid);
}

static void await_running(const struct sdm_device *dev)
{
	for (int i = 0; i < 300; i++) {
		struct sdm_info info = rig_info(dev);

		if (!info.suspended && !info.has_inactive)
			return;
		(void)usleep(10000);
	}
	atf_tc_fail("'%s' was not resumed", dev->name);
}

static void die_and_look(bool committed, uint32_t want_id, char want)
{
	struct sdm_switch_opts opts = plain_opts();
	struct sdm_device dev;
	struct rig rig;

	rig_up(&rig, 256);
	dev = rig_thin(&rig, "vol", 1, MIB);
	rig_write(&dev, 0, 'n', 4096);
	rig_snap(&rig, &dev, 2, 1);
	rig_write(&dev, 0, 'o', 4096);
	kill_an_owner(&(struct fatal){ &rig, &dev, committed, &opts });
	await_running(&dev);
	ATF_CHECK_EQ(want_id, rig_live_id(&dev));
	ATF_CHECK_EQ(want, rig_read(&dev, 0));
	rig_down(&rig);
}

ATF_TC_WITHOUT_HEAD(an_owner_killed_before_the_commit_leaves_the_old_table);
ATF_TC_BODY(an_owner_killed_before_the_commit_leaves_the_old_table, tc)
{
	(void)tc;
	die_and_look(false, 1, 'o');
}

ATF_TC_WITHOUT_HEAD(an_owner_killed_after_the_commit_leaves_the_new_table);
ATF_TC_BODY(an_owner_killed_after_the_commit_leaves_the_new_table, tc)
{
	(void)tc;
	die_and_look(true, 2, 'n');
}

ATF_TC_WITHOUT_HEAD(the_guard_thaws_and_then_runs_the_recovery);
ATF_TC_BODY(the_guard_thaws_and_then_runs_the_recovery, tc)
{
	struct sdm_switch_opts opts = plain_opts();
	struct sdm_device dev, fs;
	char cwd[256], program[300];
	struct rig rig;
	int dir;

	(void)tc;
	rig_up(&rig, 512);
	dev = rig_thin(&rig, "vol", 1, MIB);
	rig_snap(&rig, &dev, 2, 1);
	fs = rig_thin(&rig, "fs", 3, MIB);
	rig_run("mkfs.ext4 -q /dev/dm-%u && mkdir mnt && mount /dev/dm-%u mnt", rig_info(&fs).minor,
		rig_info(&fs).minor);
	ATF_REQUIRE(getcwd(cwd, sizeof(cwd)));
	(void)snprintf(program, sizeof(program), "%s/recover", cwd);
	rig_run("printf '#!/bin/sh\\necho \"$@\" >%s/new; ls -l /proc/self/fd >%s/fds; "
		"grep SigBlk /proc/self/status >%s/mask; mv %s/new %s/ran\\n' >recover; chmod +x recover",
		cwd, cwd, cwd, cwd, cwd);
	dir = open("mnt", O_RDONLY | O_CLOEXEC);
	ATF_REQUIRE(dir >= 0);
	opts.thaw_fds = &dir;
	opts.n_thaw = 1;
	opts.recover_program = program;
	kill_an_owner(&(struct fatal){ &rig, &dev, false, &opts });
	await_running(&dev);
	for (int i = 0; i < 500 && access("ran", F_OK) < 0; i++)
		(void)usleep(10000);
	rig_run("test \"$(cat ran)\" = 'recover rig'");
	rig_run("grep -q '0000000000000000$' mask");
	rig_run("test $(grep -c -e '->' fds) = 4"); /* 0, 1, 2, and the one ls reads from */
	rig_run("timeout 10 sh -c 'echo text >mnt/file && sync -f mnt/file'");
	(void)close(dir);
	rig_run("umount mnt");
	rig_down(&rig);
}

static int lock_is_free(const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), r;

	ATF_REQUIRE(fd >= 0);
	r = fcntl(fd, F_OFD_SETLK, &lock);
	(void)close(fd);
	return r == 0;
}

/* The device is kept from being resumed by a stopped guard. */
ATF_TC_WITHOUT_HEAD(the_lock_stays_taken_until_the_guard_has_resumed);
ATF_TC_BODY(the_lock_stays_taken_until_the_guard_has_resumed, tc)
{
	struct sdm_switch_opts opts = plain_opts();
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct sdm_device dev;
	struct rig rig;
	int ends[2], i;
	char byte;
	pid_t pid;

	(void)tc;
	rig_up(&rig, 256);
	dev = rig_thin(&rig, "vol", 1, MIB);
	rig_snap(&rig, &dev, 2, 1);
	ATF_REQUIRE(pipe(ends) == 0);
	pid = fork();
	if (pid == 0) {
		opts.lock_fd = open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fcntl(opts.lock_fd, F_OFD_SETLK, &lock) < 0)
			_exit(4);
		hold_suspended(&(struct fatal){ &rig, &dev, false, &opts }, ends[1]);
	}
	(void)close(ends[1]);
	ATF_REQUIRE_EQ(1, read(ends[0], &byte, 1));
	rig_run("pkill -STOP snapmgr-guard");
	ATF_REQUIRE(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	(void)usleep(300000);
	ATF_CHECK(rig_info(&dev).suspended);
	ATF_CHECK(!lock_is_free("lock"));
	rig_run("pkill -CONT snapmgr-guard");
	for (i = 0; i < 300 && !lock_is_free("lock"); i++)
		(void)usleep(10000);
	ATF_CHECK(i < 300);
	ATF_CHECK(!rig_info(&dev).suspended);
	rig_down(&rig);
}

static int count_children(void)
{
	int n = 0;

	for (FILE *f = popen("pgrep -c snapmgr-guard", "r"); f; f = NULL) {
		(void)!fscanf(f, "%d", &n);
		(void)pclose(f);
	}
	return n;
}

ATF_TC_WITHOUT_HEAD(the_guard_is_no_child_that_the_program_sees);
ATF_TC_BODY(the_guard_is_no_child_that_the_program_sees, tc)
{
	struct sdm_switch_opts opts = plain_opts();
	struct sigaction now;
	struct sdm_device dev;
	struct rig rig;

	(void)tc;
	rig_up(&rig, 256);
	dev = rig_thin(&rig, "vol", 1, MIB);
	rig_snap(&rig, &dev, 2, 1);
	ATF_REQUIRE(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	REQUIRE_OK(repoint(&rig, &dev, 2, &opts, &err));
	ATF_CHECK_EQ(-1, waitpid(-1, NULL, WNOHANG));
	ATF_CHECK_EQ(ECHILD, errno);
	ATF_REQUIRE(sigaction(SIGCHLD, NULL, &now) == 0);
	ATF_CHECK(now.sa_handler == SIG_IGN);
	(void)signal(SIGCHLD, SIG_DFL);
	ATF_CHECK_EQ(1, count_children());
	sdm_release();
	ATF_CHECK_EQ(0, count_children());
	rig_down(&rig);
}

/* ---- time ---- */

static void *write_until_full(void *data)
{
	struct load *load = data;
	int fd = rig_open(load->dev, O_RDWR | O_DIRECT);
	void *buf;

	if (posix_memalign(&buf, 65536, 65536))
		return NULL;
	memset(buf, 'f', 65536);
	while (pwrite(fd, buf, 65536, (off_t)load->offset) == 65536) {
		load->offset += 65536;
		load->done++;
	}
	(void)close(fd);
	free(buf);
	return NULL;
}

ATF_TC_WITHOUT_HEAD(queued_writes_of_a_full_pool_end_the_suspend_in_time);
ATF_TC_BODY(queued_writes_of_a_full_pool_end_the_suspend_in_time, tc)
{
	struct sdm_switch_opts opts = plain_opts();
	struct snapmgr_err why = { .message = "" };
	struct sigaction before, after;
	struct sdm_pool_status status;
	struct sdm_device dev;
	struct load load = { .dev = &dev };
	sigset_t mask_before, mask_after;
	struct rig rig;
	uint64_t ns;

	(void)tc;
	rig_up(&rig, 16);
	rig_run("echo 4 >/sys/module/dm_thin_pool/parameters/no_space_timeout");
	dev = rig_thin(&rig, "vol", 1, MIB);
	REQUIRE_OK(sdm_thin_create(rig.pool.name, 2, &err));
	ATF_REQUIRE(pthread_create(&load.thread, NULL, write_until_full, &load) == 0);
	for (int i = 0; i < 500; i++) {
		REQUIRE_OK(sdm_pool_status(rig.pool.name, false, &status, &err));
		if (status.out_of_data)
			break;
		(void)usleep(10000);
	}
	ATF_REQUIRE(status.out_of_data);
	memset(&mask_before, 0, sizeof(mask_before));
	memset(&mask_after, 0, sizeof(mask_after));
	(void)pthread_sigmask(SIG_BLOCK, NULL, &mask_before);
	(void)sigaction(SIGRTMIN + 11, NULL, &before);
	opts.timeout_ms = 700;
	ns = sm_monotonic_ns();
	ATF_CHECK_EQ(-ETIMEDOUT, repoint(&rig, &dev, 2, &opts, &why));
	ns = sm_monotonic_ns() - ns;
	ATF_CHECK_EQ(SNAPMGR_IN_USE, why.code);
	ATF_CHECK_MSG(ns < 2000000000, "took %ju ms", (uintmax_t)ns / 1000000);
	(void)pthread_sigmask(SIG_BLOCK, NULL, &mask_after);
	(void)sigaction(SIGRTMIN + 11, NULL, &after);
	ATF_CHECK(memcmp(&mask_before, &mask_after, sizeof(mask_before)) == 0);
	ATF_CHECK(before.sa_handler == after.sa_handler);
	ATF_CHECK(!rig_info(&dev).suspended);
	ATF_CHECK(!rig_info(&dev).has_inactive);
	ATF_CHECK_EQ(1, rig_live_id(&dev));
	(void)pthread_join(load.thread, NULL);
	rig_run("echo 60 >/sys/module/dm_thin_pool/parameters/no_space_timeout");
	rig_down(&rig);
}

/* ---- the page cache ---- */

static void *write_buffered(void *data)
{
	struct load *load = data;
	int fd = rig_open(load->dev, O_RDWR);
	unsigned int at = 1;

	while (!load->stop) {
		at = at * 1103515245 + 12345;
		if (pwrite(fd, "w", 1, (off_t)((at >> 8) % 64 * 4096 + 100)) == 1)
			load->done++;
		else
			load->failed++;
		if (load->done % 16 == 0)
			(void)usleep(500);
	}
	(void)close(fd);
	return NULL;
}

/*
 * Each head is a copy of a snapshot with the head's number in the first byte of every page; a writer
 * dirties other bytes of the same pages. A page of the old head's, in the cache or written out, shows
 * by its number.
 */
static void number_pages(const struct sdm_device *dev, uint8_t number)
{
	int fd = rig_open(dev, O_RDWR | O_DIRECT);
	uint8_t *buf = NULL;

	ATF_REQUIRE(posix_memalign((void **)&buf, 4096, 4096) == 0);
	memset(buf, 0, 4096);
	for (int page = 0; page < 64; page++) {
		buf[0] = number;
		ATF_REQUIRE_EQ(4096, pwrite(fd, buf, 4096, page * 4096));
	}
	(void)close(fd);
	free(buf);
}

/* Thin @id with its number in each page, by way of a device that is not the one under test. */
static void make_head(const struct rig *rig, const struct sdm_device *by, uint32_t id)
{
	struct sdm_target target = rig_target(rig, id, MIB);

	REQUIRE_OK(sdm_thin_create(rig->pool.name, id, &err));
	if (!rig_info(by).exists) {
		REQUIRE_OK(sdm_create(by, &target, 1, NULL, &err));
	} else {
		REQUIRE_OK(sdm_load(by, &target, 1, &err));
		REQUIRE_OK(sdm_suspend(by->name, 0, NULL, &err));
		REQUIRE_OK(sdm_resume(by, NULL, &err));
	}
	number_pages(by, (uint8_t)id);
}

static int pages_on_disk_of_others(const struct sdm_device *dev, uint8_t number)
{
	int fd = rig_open(dev, O_RDONLY | O_DIRECT), n = 0;
	uint8_t *buf = NULL;

	ATF_REQUIRE(posix_memalign((void **)&buf, 4096, 64 * 4096) == 0);
	ATF_REQUIRE_EQ(64 * 4096, pread(fd, buf, 64 * 4096, 0));
	for (int page = 0; page < 64; page++)
		n += buf[page * 4096] != number;
	(void)close(fd);
	free(buf);
	return n;
}

static int stale_pages(int fd, uint8_t number)
{
	uint8_t byte;
	int n = 0;

	for (int page = 0; page < 64; page++) {
		ATF_REQUIRE_EQ(1, pread(fd, &byte, 1, page * 4096));
		n += byte != number;
	}
	return n;
}

ATF_TC(a_buffered_writer_brings_no_page_across);
ATF_TC_HEAD(a_buffered_writer_brings_no_page_across, tc)
{
	atf_tc_set_md_var(tc, "timeout", "200");
}
ATF_TC_BODY(a_buffered_writer_brings_no_page_across, tc)
{
	struct sdm_switch_opts opts = plain_opts();
	struct sdm_device dev, other;
	struct load load = { .dev = &dev };
	int switched = 0, refused = 0, stale = 0, written = 0, fd;
	struct rig rig;

	(void)tc;
	rig_up(&rig, 512);
	dev = rig_thin(&rig, "vol", 1, MIB);
	other = rig_device("other", SDM_INTERNAL);
	number_pages(&dev, 1);
	for (uint32_t id = 2; id < 62; id++)
		make_head(&rig, &other, id);
	REQUIRE_OK(sdm_remove(&other, NULL, &err));
	ATF_REQUIRE(pthread_create(&load.thread, NULL, write_buffered, &load) == 0);
	fd = rig_open(&dev, O_RDONLY);
	for (uint32_t id = 2; id < 62; id++) {
		struct snapmgr_err why = { .message = "" };
		int r = repoint_online(&rig, &dev, id, fd, &opts, &why);

		if (r == -EBUSY) {
			refused++;
			ATF_CHECK_EQ(SNAPMGR_IN_USE, why.code);
			ATF_CHECK(!rig_info(&dev).has_inactive);
			continue;
		}
		REQUIRE_OK((err = why, r));
		switched++;
		stale += stale_pages(fd, (uint8_t)id);
		REQUIRE_OK(sdm_suspend(dev.name, 0, NULL, &err)); /* writes out what is dirty */
		REQUIRE_OK(sdm_resume(&dev, NULL, &err));
		written += pages_on_disk_of_others(&dev, (uint8_t)id);
	}
	load.stop = true;
	(void)pthread_join(load.thread, NULL);
	(void)close(fd);
	printf("%d switched, %d refused, %lu bytes written meanwhile\n", switched, refused,
	       load.done);
	ATF_CHECK_EQ(0, load.failed);
	ATF_CHECK_EQ(0, stale);
	ATF_CHECK_EQ(0, written);
	ATF_CHECK_MSG(switched >= 30, "only %d of 60 were switched", switched);
	rig_down(&rig);
}

ATF_TC_WITHOUT_HEAD(a_page_read_in_passing_is_not_seen_after);
ATF_TC_BODY(a_page_read_in_passing_is_not_seen_after, tc)
{
	struct sdm_switch_opts opts = plain_opts();
	AUTO(sdm_switch_free) struct sdm_switch *sw = NULL;
	struct sdm_switch_device member;
	struct sdm_target target;
	struct sdm_device dev;
	struct rig rig;
	char byte;
	int fd, passing;

	(void)tc;
	rig_up(&rig, 256);
	dev = rig_thin(&rig, "vol", 1, MIB);
	rig_write(&dev, 0, 'n', 4096);
	rig_snap(&rig, &dev, 2, 1);
	rig_write(&dev, 0, 'o', 4096);
	fd = rig_open(&dev, O_RDONLY | O_EXCL);
	target = rig_target(&rig, 2, MIB);
	member = (struct sdm_switch_device){
		.dev = &dev, .target = &target, .flush = true, .flush_fd = fd
	};
	REQUIRE_OK(sdm_switch_prepare(&member, 1, &opts, &sw, &err));
	passing = rig_open(&dev, O_RDONLY);
	ATF_REQUIRE_EQ(1, pread(passing, &byte, 1, 0));
	ATF_CHECK_EQ('o', byte);
	(void)close(passing);
	REQUIRE_OK(sdm_switch_suspend(sw, &err));
	sdm_switch_committed(sw);
	REQUIRE_OK(sdm_switch_resume(sw, &err));
	ATF_REQUIRE_EQ(1, pread(fd, &byte, 1, 0));
	ATF_CHECK_EQ('n', byte);
	(void)close(fd);
	sdm_switch_free(sw);
	sw = NULL;
	rig_down(&rig);
}

/* ---- healing ---- */

ATF_TC_WITHOUT_HEAD(what_a_dead_owner_left_is_healed);
ATF_TC_BODY(what_a_dead_owner_left_is_healed, tc)
{
	struct sdm_target target;
	struct sdm_device dev;
	struct rig rig;

	(void)tc;
	rig_up(&rig, 256);
	dev = rig_thin(&rig, "vol", 1, MIB);
	rig_snap(&rig, &dev, 2, 1);
	target = rig_target(&rig, 2, MIB);

	ATF_CHECK_EQ(0, sdm_switch_heal(&dev, true, NULL));
	REQUIRE_OK(sdm_load(&dev, &target, 1, &err));
	ATF_CHECK_EQ(1,
		     sdm_switch_heal(&dev, true, NULL)); /* a running one: its table is the truth */
	ATF_CHECK_EQ(1, rig_live_id(&dev));
	REQUIRE_OK(sdm_thin_delete(rig.pool.name, 2, &err)); /* no slot holds it any more */

	rig_snap(&rig, &dev, 2, 1);
	REQUIRE_OK(sdm_load(&dev, &target, 1, &err));
	REQUIRE_OK(sdm_suspend(dev.name, 0, NULL, &err));
	ATF_CHECK_EQ(1, sdm_switch_heal(&dev, false, NULL));
	ATF_CHECK_EQ(1, rig_live_id(&dev));
	ATF_CHECK(!rig_info(&dev).suspended);

	REQUIRE_OK(sdm_load(&dev, &target, 1, &err));
	REQUIRE_OK(sdm_suspend(dev.name, 0, NULL, &err));
	ATF_CHECK_EQ(1, sdm_switch_heal(&dev, true, NULL));
	ATF_CHECK_EQ(2, rig_live_id(&dev));
	ATF_CHECK(!rig_info(&dev).suspended);
	rig_down(&rig);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, writers_see_no_error_and_the_device_stays_itself);
	ATF_TP_ADD_TC(tp, an_owner_killed_before_the_commit_leaves_the_old_table);
	ATF_TP_ADD_TC(tp, an_owner_killed_after_the_commit_leaves_the_new_table);
	ATF_TP_ADD_TC(tp, the_guard_thaws_and_then_runs_the_recovery);
	ATF_TP_ADD_TC(tp, the_lock_stays_taken_until_the_guard_has_resumed);
	ATF_TP_ADD_TC(tp, the_guard_is_no_child_that_the_program_sees);
	ATF_TP_ADD_TC(tp, queued_writes_of_a_full_pool_end_the_suspend_in_time);
	ATF_TP_ADD_TC(tp, a_buffered_writer_brings_no_page_across);
	ATF_TP_ADD_TC(tp, a_page_read_in_passing_is_not_seen_after);
	ATF_TP_ADD_TC(tp, what_a_dead_owner_left_is_healed);
	return atf_no_error();
}
