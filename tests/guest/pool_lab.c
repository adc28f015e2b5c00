/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A fresh pool for each test, contents that can be told apart, and what is true at rest. */
#include "pool_lab.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <mntent.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <time.h>

#define BUFFER	  (1u << 20)
#define WIPED	  (2 * SM_MIB)
#define MAX_TRIES 5

const char *lab_recover_program;
struct snapmgr *lab;
char lab_message[SNAPMGR_MESSAGE_MAX];
char lab_warnings[4096];
static int ready_fd = -1;

static void *buffer(void)
{
	static void *room;

	if (!room)
		ATF_REQUIRE_EQ(0, posix_memalign(&room, 4096, BUFFER));
	return room;
}

/* ---- the guest ---- */

void lab_run(const char *fmt, ...)
{
	char command[2048];
	va_list ap;
	int status;

	va_start(ap, fmt);
	(void)vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	(void)fflush(NULL);
	status = system(command);
	ATF_REQUIRE_MSG(status == 0, "'%s' ended with %d", command, status);
}

void lab_sleep_ms(unsigned int ms)
{
	const struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&t, NULL);
}

uint64_t lab_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* How many there are in this guest. */
static unsigned int lab_disks(void)
{
	const char *all = getenv("SANDBOX_DISKS");
	unsigned int n = all && *all ? 1 : 0;

	for (; all && *all; all++)
		n += *all == ' ' && all[1];
	return n;
}

const char *lab_disk(unsigned int n)
{
	static char disks[8][64];
	const char *all = getenv("SANDBOX_DISKS");

	ATF_REQUIRE_MSG(all && n < SM_ARRAY(disks), "outside of a guest");
	for (unsigned int i = 0; i < n && all; i++) {
		all = strchr(all, ' ');
		all = all ? all + 1 : NULL;
	}
	ATF_REQUIRE_MSG(all && sscanf(all, "%63s", disks[n]) == 1, "this guest has no disk %u", n);
	return disks[n];
}

static void swap_off(void)
{
	char line[512], path[256];
	FILE *f = fopen("/proc/swaps", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "/%254s", path + 1) == 1) {
			path[0] = '/';
			(void)swapoff(path);
		}
	sm_close_file(f);
}

static bool unmount_all(void)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	char points[64][256];
	struct mntent *m;
	size_t n = 0;
	bool all = true;

	while (f && n < SM_ARRAY(points) && (m = getmntent(f)))
		if (strncmp(m->mnt_fsname, "/dev/", 5) == 0 ||
		    strncmp(m->mnt_dir, LAB "/", strlen(LAB "/")) == 0)
			(void)sm_copy_text(points[n++], sizeof(points[0]), m->mnt_dir);
	if (f)
		(void)endmntent(f);
	while (n > 0)
		all &= umount2(points[--n], UMOUNT_NOFOLLOW) == 0;
	return all;
}

/* Those with a backing file: a free one has no such folder. */
static bool has_block(const char *prefix, const char *entry)
{
	DIR *all = opendir("/sys/block");
	struct dirent *d;
	bool found = false;
	char path[512];

	while (all && !found && (d = readdir(all))) {
		if (strncmp(d->d_name, prefix, strlen(prefix)) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "/sys/block/%s/%s", d->d_name, entry);
		found = access(path, F_OK) == 0;
	}
	if (all)
		(void)closedir(all);
	return found;
}

/* Whatever name it has; the ones below go in a later round. */
static int remove_device(const char *name, const char *uuid, uint32_t major, uint32_t minor,
			 void *data)
{
	struct sdm_device dev = { .audience = SDM_INTERNAL };
	struct sdm_info info;

	(void)major;
	(void)minor;
	(void)data;
	(void)sm_copy_text(dev.name, sizeof(dev.name), name);
	(void)sm_copy_text(dev.uuid, sizeof(dev.uuid), uuid);
	(void)sdm_clear(name, NULL);
	if (sdm_info(name, &info, NULL) == 0 && info.exists && info.suspended)
		(void)sdm_resume(&dev, NULL, NULL);
	if (info.open_count == 0)
		(void)sdm_remove(&dev, NULL, NULL);
	return 0;
}

static void remove_all(void)
{
	for (int i = 0; i < 8 && has_block("dm-", "dm"); i++)
		(void)sdm_list("", remove_device, NULL, NULL);
	if (has_block("dm-", "dm"))
		(void)!system("dmsetup remove_all --force");
}

void lab_forget(void)
{
	remove_all();
	ATF_REQUIRE(!has_block("dm-", "dm"));
	lab_run("rm -rf " SM_RUN_DIR " " SM_DEV_DIR);
}

static void wipe(const char *disk)
{
	AUTO(sm_close_fd) int fd = open(disk, O_RDWR | O_CLOEXEC);
	static const char zero[WIPED];

	ATF_REQUIRE_MSG(fd >= 0, "cannot open '%s': %s", disk, strerror(errno));
	ATF_REQUIRE_EQ(sizeof(zero), write(fd, zero, sizeof(zero)));
	ATF_REQUIRE(lseek(fd, -(off_t)sizeof(zero), SEEK_END) > 0);
	ATF_REQUIRE_EQ(sizeof(zero), write(fd, zero, sizeof(zero)));
	ATF_REQUIRE_EQ(0, fsync(fd));
}

void lab_clean(void)
{
	bool clean = false;

	ATF_REQUIRE_MSG(getenv("SANDBOX_DISKS"), "outside of a guest");
	for (int i = 0; i < MAX_TRIES && !clean; i++) {
		swap_off();
		clean = unmount_all();
		if (has_block("loop", "loop"))
			(void)!system("losetup -D");
		remove_all();
		clean = clean && !has_block("loop", "loop") && !has_block("dm-", "dm");
		if (!clean)
			lab_sleep_ms(200);
	}
	ATF_REQUIRE_MSG(clean, "something is left of another test");
	lab_run("rm -rf " LAB " " SM_RUN_DIR " " SM_DEV_DIR " && mkdir " LAB);
	for (unsigned int i = 0; i < lab_disks(); i++)
		wipe(lab_disk(i));
}

static void warn(const char *message, void *data)
{
	size_t len = strlen(lab_warnings);

	(void)data;
	printf("warning: %s\n", message);
	(void)snprintf(lab_warnings + len, sizeof(lab_warnings) - len, "%s\n", message);
}

void lab_reopen(void)
{
	struct snapmgr_open_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_open_opts);

	opts.wait_ms = 30000;
	opts.warn = warn;
	opts.recover_program = lab_recover_program;
	LAB_DO(snapmgr_open(&opts, &lab, &err));
}

void lab_up(void)
{
	const char *const disks[] = { lab_disk(0), lab_disk(1) };

	lab_clean();
	lab_reopen();
	LAB_DO(snapmgr_pool_create(lab, "p", disks, 2, NULL, &err));
}

void lab_up_small(uint64_t bytes)
{
	const char *const devices[] = { "/dev/mapper/lab-small" };

	lab_clean();
	lab_reopen();
	lab_run("dmsetup create lab-small --table '0 %ju linear %s 0'",
		(uintmax_t)(bytes / SM_SECTOR), lab_disk(0));
	LAB_DO(snapmgr_pool_create(lab, "p", devices, 1, NULL, &err));
}

pid_t lab_child(lab_work_fn *work, void *data)
{
	int fds[2];
	pid_t pid;
	char c;

	ATF_REQUIRE_EQ(0, pipe2(fds, O_CLOEXEC));
	(void)fflush(NULL);
	pid = fork();
	ATF_REQUIRE(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		ready_fd = fds[1];
		(void)close(fds[0]);
		work(data);
		_exit(0);
	}
	(void)close(fds[1]);
	ATF_REQUIRE_EQ_MSG(1, read(fds[0], &c, 1), "the child did not get ready");
	(void)close(fds[0]);
	return pid;
}

void lab_ready(void)
{
	if (write(ready_fd, "r", 1) != 1)
		_exit(1);
	(void)close(ready_fd);
}

void lab_end(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

/* ---- objects ---- */

void lab_create(const char *spec, uint64_t bytes)
{
	struct snapmgr_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);

	opts.size_bytes = bytes;
	LAB_DO(snapmgr_create(lab, spec, &opts, NULL, NULL, &err));
}

void lab_snapshot(const char *spec)
{
	LAB_DO(snapmgr_snapshot(lab, &spec, 1, NULL, NULL, NULL, &err));
}

void lab_revert(const char *spec)
{
	LAB_DO(snapmgr_revert(lab, spec, NULL, NULL, &err));
}

static int keep(const struct snapmgr_object *object, void *data)
{
	struct snapmgr_object *ret = data;

	*ret = *object;
	ret->tags = NULL;
	return 0;
}

void lab_show(const char *spec, struct snapmgr_object *ret)
{
	LAB_DO(snapmgr_show(lab, spec, keep, ret, &err));
}

bool lab_exists(const char *spec)
{
	struct snapmgr_object o;
	struct snapmgr_err err;
	int r = snapmgr_show(lab, spec, keep, &o, &err);

	ATF_REQUIRE_MSG(r == 0 || err.code == SNAPMGR_NOT_FOUND, "%s: %s", spec, err.message);
	return r == 0;
}

size_t lab_undo_points(const char *volume)
{
	char spec[SNAPMGR_SPEC_TEXT];
	size_t n = 0;

	do
		(void)snprintf(spec, sizeof(spec), "%s@undo~%zu", volume, n);
	while (lab_exists(spec) && ++n);
	return n;
}

void lab_dm(const char *spec, struct sdm_info *ret)
{
	struct snapmgr_object o;

	lab_show(spec, &o);
	ATF_REQUIRE_MSG(o.active, "'%s' is not active", spec);
	LAB_DO(sdm_info(o.dm_name, ret, &err));
}

const char *lab_node(const char *spec)
{
	static char nodes[4][160];
	static unsigned int next;
	char *node = nodes[next++ % SM_ARRAY(nodes)];
	struct snapmgr_object o;

	lab_show(spec, &o);
	ATF_REQUIRE_MSG(o.active, "'%s' is not active", spec);
	(void)snprintf(node, sizeof(nodes[0]), "/dev/mapper/%s", o.dm_name);
	return node;
}

/* ---- contents ---- */

static void make_pattern(uint64_t *words, size_t len, uint64_t at, uint64_t seed)
{
	uint64_t state = seed * UINT64_C(0x2545f4914f6cdd1d) + at;

	for (size_t i = 0; i < len / 8; i++)
		words[i] = (state += UINT64_C(0x9e3779b97f4a7c15)) ^ seed;
}

static size_t piece(uint64_t at, uint64_t end)
{
	uint64_t left = BUFFER - at % BUFFER; /* so that a position is always made the same way */

	return (size_t)(left < end - at ? left : end - at);
}

/* The pattern of a whole piece, of which [at, at + n) is wanted. */
static const char *pattern(uint64_t at, uint64_t seed)
{
	static uint64_t *room, room_at = UINT64_MAX, room_seed;
	uint64_t from = at - at % BUFFER;

	if (!room)
		ATF_REQUIRE_EQ(0, posix_memalign((void **)&room, 4096, BUFFER));
	if (room_at != from || room_seed != seed)
		make_pattern(room, BUFFER, from, seed);
	room_at = from;
	room_seed = seed;
	return (const char *)room + at % BUFFER;
}

void lab_pwrite(int fd, uint64_t at, uint64_t len, uint64_t seed)
{
	for (uint64_t end = at + len; at < end;) {
		size_t n = piece(at, end);
		ssize_t written = pwrite(fd, pattern(at, seed), n, (off_t)at);

		ATF_REQUIRE_EQ_MSG((ssize_t)n, written, "write at %ju: %s", (uintmax_t)at,
				   strerror(errno));
		at += n;
	}
}

bool lab_reads(int fd, uint64_t at, uint64_t len, uint64_t seed)
{
	for (uint64_t end = at + len; at < end;) {
		size_t n = piece(at, end);
		ssize_t got = pread(fd, buffer(), n, (off_t)at);

		ATF_REQUIRE_EQ_MSG((ssize_t)n, got, "read at %ju: %s", (uintmax_t)at,
				   strerror(errno));
		if (memcmp(buffer(), pattern(at, seed), n) != 0)
			return false;
		at += n;
	}
	return true;
}

static int open_node(const char *node, int flags, unsigned int how)
{
	int fd = open(node, flags | O_CLOEXEC | (how & LAB_DIRECT ? O_DIRECT : 0));

	ATF_REQUIRE_MSG(fd >= 0, "cannot open '%s': %s", node, strerror(errno));
	return fd;
}

void lab_write(const char *node, uint64_t at, uint64_t len, uint64_t seed, unsigned int how)
{
	AUTO(sm_close_fd) int fd = open_node(node, O_WRONLY, how);

	lab_pwrite(fd, at, len, seed);
	if (!(how & LAB_ASYNC))
		ATF_REQUIRE_EQ(0, fdatasync(fd));
}

bool lab_holds(const char *node, uint64_t at, uint64_t len, uint64_t seed, unsigned int how)
{
	AUTO(sm_close_fd) int fd = open_node(node, O_RDONLY, how);

	return lab_reads(fd, at, len, seed);
}

static uint64_t add_to_sum(uint64_t sum, const uint64_t *words, size_t n)
{
	uint64_t lanes[4] = { sum, 1, 2, 3 };

	for (size_t i = 0; i + 4 <= n; i += 4)
		for (size_t k = 0; k < 4; k++)
			lanes[k] = (lanes[k] ^ words[i + k]) * UINT64_C(0xff51afd7ed558ccd) +
				   (lanes[k] >> 29);
	return lanes[0] ^ lanes[1] * 3 ^ lanes[2] * 5 ^ lanes[3] * 7;
}

uint64_t lab_sum(const char *node)
{
	AUTO(sm_close_fd) int fd = open_node(node, O_RDONLY, LAB_DIRECT);
	uint64_t sum = 0;
	ssize_t n;

	while ((n = read(fd, buffer(), BUFFER)) > 0)
		sum = add_to_sum(sum + (uint64_t)n, buffer(), (size_t)n / 8);
	ATF_REQUIRE_EQ_MSG(0, n, "cannot read '%s': %s", node, strerror(errno));
	return sum;
}

uint64_t lab_sum_of(const char *spec)
{
	struct snapmgr_object o;
	char node[160];
	uint64_t sum;

	lab_show(spec, &o);
	if (o.active)
		return lab_sum(lab_node(spec));
	LAB_DO(snapmgr_activate(lab, spec, keep, &o, &err));
	(void)snprintf(node, sizeof(node), "/dev/mapper/%s", o.dm_name);
	sum = lab_sum(node);
	LAB_DO(snapmgr_deactivate(lab, spec, &err));
	return sum;
}

/* ---- at rest ---- */

static int check_device(const char *name, const char *uuid, uint32_t major, uint32_t minor,
			void *data)
{
	struct sdm_info info;

	(void)uuid;
	(void)major;
	(void)minor;
	(void)data;
	LAB_DO(sdm_info(name, &info, &err));
	ATF_CHECK_MSG(!info.suspended, "'%s' is suspended", name);
	ATF_CHECK_MSG(!info.has_inactive, "'%s' has an inactive table", name);
	return 0;
}

static int check_state(const struct snapmgr_object *o, void *data)
{
	(void)data;
	ATF_CHECK_MSG(strcmp(o->state, "available") == 0, "'%s@%s' is in state '%s'", o->volume,
		      o->name, o->state);
	return 0;
}

static int print_finding(const char *finding, bool repaired, void *data)
{
	(void)repaired;
	(void)data;
	printf("check: %s\n", finding);
	return 0;
}

void lab_check_rest(void)
{
	struct snapmgr_pool_check_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_check_opts);

	opts.report = print_finding;
	LAB_DO(sdm_list(SM_DM_UUID, check_device, NULL, &err));
	LAB_DO(snapmgr_list(lab, "p", NULL, check_state, NULL, &err));
	LAB_DO(snapmgr_pool_check(lab, "p", &opts, &err));
}
