/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <atf-c.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "rig.h"

#define MUST(what)                                                             \
	do {                                                                   \
		struct snapmgr_err err = { .message = "" };                    \
		int must_r = (what);                                           \
		if (must_r < 0)                                                \
			atf_tc_fail("%s: %d: %s", #what, must_r, err.message); \
	} while (0)

void rig_run(const char *fmt, ...)
{
	char command[1024];
	va_list ap;
	int status;

	va_start(ap, fmt);
	(void)vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	(void)fflush(NULL);
	status = system(command);
	if (status != 0)
		atf_tc_fail("'%s' ended with %d", command, status);
}

struct sdm_device rig_device(const char *name, enum sdm_audience audience)
{
	struct sdm_device dev = { .audience = audience };

	(void)snprintf(dev.name, sizeof(dev.name), "snapmgr-rig-%s", name);
	(void)snprintf(dev.uuid, sizeof(dev.uuid), "SNAPMGR-00000000-0000-4000-8000-%012x%s%s",
		       sm_crc32c(0, name, strlen(name)), audience == SDM_INTERNAL ? "-" : "",
		       audience == SDM_INTERNAL ? name : "");
	if (audience != SDM_INTERNAL)
		(void)snprintf(dev.link, sizeof(dev.link), "rig/%s", name);
	return dev;
}

void rig_reexec_without_udev(void)
{
	char words[4096] = "", *argv[32];
	size_t n = 0, len;
	FILE *f;

	if (getenv("DM_DISABLE_UDEV"))
		return;
	f = fopen("/proc/self/cmdline", "re");
	ATF_REQUIRE(f != NULL);
	len = fread(words, 1, sizeof(words) - 1, f);
	(void)fclose(f);
	for (char *p = words; p < words + len && n + 1 < SM_ARRAY(argv); p += strlen(p) + 1)
		argv[n++] = p;
	argv[n] = NULL;
	(void)setenv("DM_DISABLE_UDEV", "1", 1);
	(void)execv("/proc/self/exe", argv);
	atf_tc_fail("cannot start again: %s", strerror(errno));
}

static int collect(const char *name, const char *uuid, uint32_t major, uint32_t minor, void *data)
{
	char *names = data;

	(void)uuid;
	(void)major;
	(void)minor;
	(void)strcat(strcat(names, name), " ");
	return 0;
}

/* Those on top first: whatever is still in use stays for the next round. */
static void clean(void)
{
	char names[8192];

	rig_run("grep -o '^/dev/\\(dm-\\|mapper/\\)[^ ]*' /proc/mounts | xargs -r umount");
	for (unsigned int round = 0; round < 50; round++) {
		*names = '\0';
		MUST(sdm_list("SNAPMGR-", collect, names, &err));
		if (!*names)
			return;
		for (char *name = strtok(names, " "); name; name = strtok(NULL, " ")) {
			struct sdm_device dev = { .audience = SDM_INTERNAL };
			struct sdm_info info;

			(void)snprintf(dev.name, sizeof(dev.name), "%s", name);
			(void)sdm_clear(name, NULL);
			(void)sdm_resume(&dev, NULL, NULL);
			MUST(sdm_info(name, &info, &err));
			if (info.open_count == 0)
				(void)sdm_remove(&dev, NULL, NULL);
		}
		(void)usleep(round * 10000); /* udev may be looking at one */
	}
	atf_tc_fail("devices of an earlier test will not go");
}

static void disk_devno(char ret[32])
{
	const char *disks = getenv("SANDBOX_DISKS");
	char disk[64];
	struct stat st;

	if (!disks || sscanf(disks, "%63s", disk) != 1)
		atf_tc_skip("no disk: run in scripts/sandbox");
	ATF_REQUIRE(stat(disk, &st) == 0);
	(void)snprintf(ret, 32, "%u:%u", major(st.st_rdev), minor(st.st_rdev));
}

static void map_linear(const struct sdm_device *dev, uint64_t from, uint64_t sectors)
{
	struct sdm_target target = { .len_sectors = sectors, .type = "linear" };
	char disk[32];

	disk_devno(disk);
	(void)snprintf(target.params, sizeof(target.params), "%s %ju", disk, (uintmax_t)from);
	MUST(sdm_create(dev, &target, 1, NULL, &err));
}

static void devno(const struct sdm_device *dev, char *ret, size_t size)
{
	struct sdm_info info = rig_info(dev);

	(void)snprintf(ret, size, "%u:%u", info.major, info.minor);
}

void rig_up(struct rig *rig, uint64_t data_mib)
{
	struct sdm_pool_table table = { .chunk_sectors = RIG_CHUNK_SECTORS };
	struct sdm_target target;

	clean();
	*rig = (struct rig){
		.meta = rig_device("meta", SDM_INTERNAL),
		.data = rig_device("data", SDM_INTERNAL),
		.pool = rig_device("pool", SDM_INTERNAL),
		.data_sectors = data_mib * 2048,
	};
	map_linear(&rig->meta, 0, RIG_META_SECTORS);
	map_linear(&rig->data, RIG_META_SECTORS, rig->data_sectors);
	rig_write(&rig->meta, 0, 0, 4096);
	devno(&rig->meta, table.meta_dev, sizeof(table.meta_dev));
	devno(&rig->data, table.data_dev, sizeof(table.data_dev));
	table.data_sectors = rig->data_sectors;
	sdm_pool_target(&table, &target);
	MUST(sdm_create(&rig->pool, &target, 1, NULL, &err));
	devno(&rig->pool, rig->pool_devno, sizeof(rig->pool_devno));
}

void rig_down(struct rig *rig)
{
	(void)rig;
	clean();
	sdm_release();
}

struct sdm_target rig_target(const struct rig *rig, uint32_t id, uint64_t mib)
{
	struct sdm_target target;

	sdm_thin_target(rig->pool_devno, id, mib * 2048, &target);
	return target;
}

void rig_map(const struct rig *rig, const struct sdm_device *dev, uint32_t id, uint64_t mib)
{
	struct sdm_target target = rig_target(rig, id, mib);
	struct sdm_cookie cookie;

	MUST(sdm_cookie_make(&cookie, &err));
	MUST(sdm_link_announce(dev, &err));
	MUST(sdm_create(dev, &target, 1, &cookie, &err));
	MUST(sdm_cookie_wait(&cookie, 30000, &err));
	MUST(sdm_link_settle(dev, false, &err));
}

struct sdm_device rig_thin(const struct rig *rig, const char *name, uint32_t id, uint64_t mib)
{
	struct sdm_device dev = rig_device(name, SDM_VOLUME);

	MUST(sdm_thin_create(rig->pool.name, id, &err));
	rig_map(rig, &dev, id, mib);
	return dev;
}

void rig_snap(const struct rig *rig, const struct sdm_device *dev, uint32_t id, uint32_t origin)
{
	MUST(sdm_suspend(dev->name, 0, NULL, &err));
	MUST(sdm_thin_snap(rig->pool.name, id, origin, &err));
	MUST(sdm_resume(dev, NULL, &err));
}

/* By number: the node is there from the start, whatever udev does. */
int rig_open(const struct sdm_device *dev, int flags)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/dev/dm-%u", rig_info(dev).minor);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		atf_tc_fail("cannot open '%s' (%s): %s", path, dev->name, strerror(errno));
	return fd;
}

void rig_write(const struct sdm_device *dev, uint64_t offset, char what, size_t bytes)
{
	int fd = rig_open(dev, O_RDWR | O_DIRECT);
	void *buf;

	ATF_REQUIRE(posix_memalign(&buf, 4096, bytes) == 0);
	memset(buf, what, bytes);
	ATF_REQUIRE_EQ((ssize_t)bytes, pwrite(fd, buf, bytes, (off_t)offset));
	ATF_REQUIRE(fdatasync(fd) == 0);
	(void)close(fd);
	free(buf);
}

char rig_read(const struct sdm_device *dev, uint64_t offset)
{
	int fd = rig_open(dev, O_RDONLY | O_DIRECT);
	char *buf = NULL, c;

	ATF_REQUIRE(posix_memalign((void **)&buf, 4096, 4096) == 0);
	ATF_REQUIRE_EQ(4096, pread(fd, buf, 4096, (off_t)offset));
	c = buf[0];
	(void)close(fd);
	free(buf);
	return c;
}

uint32_t rig_live_id(const struct sdm_device *dev)
{
	uint64_t sectors;
	uint32_t id = UINT32_MAX;

	MUST(sdm_thin_live_id(dev->name, &id, &sectors, &err));
	return id;
}

struct sdm_info rig_info(const struct sdm_device *dev)
{
	struct sdm_info info;

	MUST(sdm_info(dev->name, &info, &err));
	return info;
}

void rig_remove(const struct sdm_device *dev)
{
	struct sdm_cookie cookie;

	MUST(sdm_cookie_make(&cookie, &err));
	MUST(sdm_remove(dev, &cookie, &err));
	MUST(sdm_cookie_wait(&cookie, 30000, &err));
	sdm_link_forget(dev);
}
