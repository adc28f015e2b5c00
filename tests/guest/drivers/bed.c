/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bed.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "tests/guest/watch.h"

#define STUCK_S	 250 /* so long no scenario takes, on any machine */
#define PATIENCE 400 /* times 25 ms, until a kernel has merged */

const struct bed thin_bed = { .name = "thin", .driver = "thin" };
const struct bed cow_bed = { .name = "cow", .driver = "cow", .stores = true };
const struct bed xfs_bed = { .name = "file on XFS",
			     .driver = "file",
			     .mkfs = "mkfs.xfs -q -f -m reflink=1 %s",
			     .type = "xfs" };
const struct bed btrfs_bed = {
	.name = "file on btrfs", .driver = "file", .mkfs = "mkfs.btrfs -q -f %s", .type = "btrfs"
};
const struct bed ext4_bed = {
	.name = "file on ext4", .driver = "file", .mkfs = "mkfs.ext4 -q -F %s", .type = "ext4"
};
const struct bed tmpfs_bed = { .name = "file on tmpfs", .driver = "file", .type = "tmpfs" };

struct snapmgr_capability bed_can;
static const struct bed *the_bed;
static uint64_t the_bytes;
static bool fragile;
static const char *ways[8];

static int keep(const struct snapmgr_capability *can, void *data)
{
	size_t n = 0;

	(void)data;
	for (const char *const *way = can->strategies; *way; way++) {
		ATF_REQUIRE(n + 1 < SM_ARRAY(ways));
		ways[n++] = *way;
	}
	ways[n] = NULL;
	bed_can = *can;
	bed_can.strategies = ways;
	return 0;
}

bool bed_has(const char *strategy)
{
	for (const char *const *way = bed_can.strategies; *way; way++)
		if (strcmp(*way, strategy) == 0)
			return true;
	return false;
}

/* ---- the disk, which may break ---- */

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= UINT64_C(0xff51afd7ed558ccd);
	x ^= x >> 33;
	return x * UINT64_C(0x9e3779b97f4a7c15);
}

/* The @i-th of a volume, by what was written. */
static uint64_t word(uint64_t seed, uint64_t i)
{
	return mix(mix(seed) ^ i);
}

static const char *disk(void)
{
	return fragile ? "/dev/mapper/lab-disk" : lab_disk(0);
}

static void map_disk(void)
{
	if (fragile)
		lab_run("dmsetup create lab-disk --table '0 %ju linear %s 0'",
			(uintmax_t)(BED_DISK_BYTES / SM_SECTOR), lab_disk(0));
}

static void set_table(const char *text)
{
	FILE *f = fopen(LAB "/table", "we");

	ATF_REQUIRE(f && fputs(text, f) >= 0 && fclose(f) == 0);
	lab_run("dmsetup reload lab-disk " LAB
		"/table && dmsetup resume --noflush --nolockfs lab-disk");
}

void bed_mend(void)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "0 %ju linear %s 0\n",
		       (uintmax_t)(BED_DISK_BYTES / SM_SECTOR), lab_disk(0));
	set_table(text);
}

/* Also what an older test has left: it does no harm. */
static size_t find(uint64_t seed, uint64_t at, uint64_t ret_sectors[8])
{
	AUTO(sm_close_fd) int fd = open(lab_disk(0), O_RDONLY | O_DIRECT | O_CLOEXEC);
	uint64_t wanted[4];
	char *buf = NULL;
	size_t n = 0;

	for (size_t i = 0; i < SM_ARRAY(wanted); i++)
		wanted[i] = word(seed, at / 8 + i);
	ATF_REQUIRE(fd >= 0 && posix_memalign((void **)&buf, 4096, SM_MIB) == 0);
	for (uint64_t from = 0; from < BED_DISK_BYTES; from += SM_MIB) {
		ATF_REQUIRE_EQ((ssize_t)SM_MIB, pread(fd, buf, SM_MIB, (off_t)from));
		for (uint64_t s = 0; s < SM_MIB && n < 8; s += SM_SECTOR)
			if (memcmp(buf + s, wanted, sizeof(wanted)) == 0)
				ret_sectors[n++] = (from + s) / SM_SECTOR;
	}
	free(buf);
	return n;
}

void bed_break(uint64_t seed, uint64_t at)
{
	const uint64_t end = BED_DISK_BYTES / SM_SECTOR;
	uint64_t sectors[8], from = 0;
	size_t n = find(seed, at, sectors), len = 0;
	char text[2048];

	ATF_REQUIRE_MSG(n > 0, "what was written is nowhere");
	for (size_t i = 0; i < n; i++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%ju %ju linear %s %ju\n%ju 1 error\n", (uintmax_t)from,
					(uintmax_t)(sectors[i] - from), lab_disk(0),
					(uintmax_t)from, (uintmax_t)sectors[i]);
		from = sectors[i] + 1;
	}
	(void)snprintf(text + len, sizeof(text) - len, "%ju %ju linear %s %ju\n", (uintmax_t)from,
		       (uintmax_t)(end - from), lab_disk(0), (uintmax_t)from);
	set_table(text);
}

/* ---- the pool ---- */

static void mount_it(void)
{
	lab_run("mkdir -p " LAB "/fs && mount -t %s %s " LAB "/fs", the_bed->type, disk());
}

void bed_up(const struct bed *bed)
{
	bed_up_as(bed, BED_BYTES, false);
}

void bed_up_as(const struct bed *bed, uint64_t bytes, bool may_break)
{
	struct snapmgr_pool_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_create_opts);
	const char *places[1];

	if (!the_bed)
		watch_over_this(STUCK_S);
	the_bed = bed;
	the_bytes = bytes;
	fragile = may_break;
	places[0] = bed->type ? LAB "/fs/pool" : disk();
	if (system("mountpoint -q " LAB "/fs && umount " LAB "/fs") == -1)
		atf_tc_fail("no shell");
	lab_clean();
	map_disk();
	lab_run("rm -rf /etc/snapmgr/pools");
	if (bed->mkfs)
		lab_run(bed->mkfs, disk());
	if (bed->type)
		mount_it();
	lab_reopen();
	opts.driver = bed->driver;
	LAB_DO(snapmgr_pool_create(lab, "p", places, 1, &opts, &err));
	LAB_DO(snapmgr_capabilities(lab, "p", keep, NULL, &err));
	lab_create("p/v", bytes);
}

void bed_reboot(void)
{
	const bool on_disk = the_bed->mkfs; /* and not in memory */

	snapmgr_free(lab);
	lab = NULL;
	if (on_disk)
		lab_run("umount " LAB "/fs");
	lab_forget();
	map_disk();
	if (on_disk)
		mount_it();
	lab_reopen();
	LAB_DO(snapmgr_pool_activate(lab, "p", &err));
}

void bed_settle(void)
{
	struct snapmgr_object v = { .state = "" };

	for (int i = 0; i < PATIENCE; i++) {
		LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
		lab_show("p/v", &v);
		if (strcmp(v.state, "available") == 0)
			return;
		lab_sleep_ms(25);
	}
	atf_tc_fail("it stays %s", v.state);
}

void bed_snapshot(const char *spec)
{
	struct snapmgr_snapshot_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_snapshot_opts);

	opts.cow_bytes = the_bed->stores ? 3 * the_bytes : 0; /* so that all can change */
	LAB_DO(snapmgr_snapshot(lab, &spec, 1, &opts, NULL, NULL, &err));
}

static char paths[4][512];

const char *bed_path(const char *spec)
{
	static unsigned int next;
	char *path = paths[next++ % 4];
	struct snapmgr_object o;

	lab_show(spec, &o);
	ATF_REQUIRE_MSG(o.device[0], "%s has no device", spec);
	(void)sm_copy_text(path, sizeof(paths[0]), o.device);
	return path;
}

static uint64_t size_of(int fd)
{
	struct stat st;
	uint64_t bytes;

	ATF_REQUIRE_EQ(0, fstat(fd, &st));
	if (S_ISREG(st.st_mode))
		return (uint64_t)st.st_size;
	ATF_REQUIRE_EQ(0, ioctl(fd, BLKGETSIZE64, &bytes));
	return bytes;
}

void bed_write(const char *spec, uint64_t seed)
{
	AUTO(sm_close_fd) int fd = open(bed_path(spec), O_RDWR | O_CLOEXEC);
	static uint64_t words[SM_MIB / 8];

	ATF_REQUIRE_MSG(fd >= 0, "%s: %s", spec, strerror(errno));
	for (uint64_t at = 0, end = size_of(fd); at < end; at += sizeof(words)) {
		for (size_t i = 0; i < SM_ARRAY(words); i++)
			words[i] = word(seed, at / 8 + i);
		/* every other MiB stays as it is, so that holes and old data are there, too */
		if ((at / sizeof(words) + seed) % 2)
			ATF_REQUIRE_EQ((ssize_t)sizeof(words),
				       pwrite(fd, words, sizeof(words), (off_t)at));
	}
	ATF_REQUIRE_EQ(0, fsync(fd));
}

static uint64_t sum_path(const char *path)
{
	AUTO(sm_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	static unsigned char buf[SM_MIB];
	uint64_t bytes, done = 0;
	uint32_t crc = 0;

	ATF_REQUIRE_MSG(fd >= 0, "%s: %s", path, strerror(errno));
	bytes = size_of(fd);
	while (done < bytes) {
		ssize_t n = pread(fd, buf, sizeof(buf), (off_t)done);

		ATF_REQUIRE_MSG(n > 0, "%s at %ju: %s", path, (uintmax_t)done, strerror(errno));
		crc = sm_crc32c(crc, buf, (size_t)n);
		done += (uint64_t)n;
	}
	return crc ^ bytes << 32;
}

uint64_t bed_sum(const char *spec)
{
	return sum_path(bed_path(spec));
}

uint64_t bed_sum_of(const char *spec)
{
	uint64_t sum;

	LAB_DO(snapmgr_activate(lab, spec, NULL, NULL, &err));
	sum = sum_path(bed_path(spec));
	LAB_DO(snapmgr_deactivate(lab, spec, &err));
	return sum;
}

void bed_identity(const char *spec, char ret[BED_IDENTITY])
{
	struct snapmgr_object o;
	struct stat st;

	lab_show(spec, &o);
	ATF_REQUIRE_EQ(0, stat(o.device, &st));
	(void)snprintf(ret, BED_IDENTITY, "%s %s %s %s %s %s %ju %ju %jd", o.name, o.uuid, o.device,
		       o.dm_name, o.project, o.label, (uintmax_t)st.st_rdev,
		       S_ISREG(st.st_mode) ? (uintmax_t)st.st_ino : 0, (intmax_t)o.created_at_us);
}

static int finding(const char *line, bool repaired, void *data)
{
	(void)data;
	if (!repaired)
		printf("pool check: %s\n", line);
	return 0;
}

void bed_check_clean(void)
{
	struct snapmgr_pool_check_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_check_opts);
	struct snapmgr_object o;

	opts.report = finding;
	LAB_DO(snapmgr_pool_check(lab, "p", &opts, &err));
	lab_show("p/v", &o);
	ATF_CHECK_STREQ("available", o.state);
}
