/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Verbs whose scene is more than a call: a filesystem that is mounted, metadata that is damaged, quotas. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "scene.h"
#include "snapmgr/core/core.h"

/* ---- "p/m", mounted ---- */

#define MOUNTED_SIZE (16 * SM_MIB)
#define MOUNT_POINT  LAB "/mnt"
#define SUB_POINT    LAB "/a folder" /* the blank is on purpose */
#define DEVICE	     "/dev/mapper/snapmgr-p-m"

/* With options, and a folder of it elsewhere with others. */
static void mount_it(void)
{
	if (mount(DEVICE, MOUNT_POINT, "ext4", MS_NOSUID | MS_NOATIME, "commit=7") < 0)
		lose("cannot mount '%s': %m", DEVICE);
	if ((mkdir(MOUNT_POINT "/sub", 0755) < 0 && errno != EEXIST) ||
	    (mkdir(SUB_POINT, 0755) < 0 && errno != EEXIST) ||
	    mount(MOUNT_POINT "/sub", SUB_POINT, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, SUB_POINT, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV, NULL) < 0)
		lose("cannot mount a folder of '%s': %m", DEVICE);
}

static void unmount_it(void)
{
	while (umount2(SUB_POINT, UMOUNT_NOFOLLOW) == 0 ||
	       umount2(MOUNT_POINT, UMOUNT_NOFOLLOW) == 0)
		;
	if (errno != EINVAL && errno != ENOENT)
		lose("cannot unmount '%s': %m", DEVICE);
}

/* Hangs where somebody left it frozen. */
static void write_file(void)
{
	int fd = open(MOUNT_POINT "/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || pwrite(fd, "written", 7, 0) != 7 || fsync(fd) < 0)
		lose("cannot write to the filesystem: %m");
	(void)close(fd);
}

void more_mounted(void)
{
	if (!lab_exists("p/m")) {
		lab_create("p/m", MOUNTED_SIZE);
		lab_run("mkfs.ext4 -q %s && mkdir -p " MOUNT_POINT, DEVICE);
		mount_it();
		write_file();
		lab_snapshot("p/m@base");
	}
	scene_gone("p/m@s");
	scene_drop_undo_points("p/m");
	unmount_it();
	mount_it();
	write_file();
}

int more_snapshot_mounted(struct snapmgr_err *err)
{
	static const char *const spec = "p/m@s";

	return snapmgr_snapshot(lab, &spec, 1, NULL, NULL, NULL, err);
}

int more_revert_remount(struct snapmgr_err *err)
{
	const struct snapmgr_revert_opts opts = { .size = sizeof(opts),
						  .remount = true,
						  .no_undo = true };

	return snapmgr_revert(lab, "p/m@base", &opts, NULL, err);
}

/* ---- damaged metadata ---- */

#define BLOCK 4096
#define BITMAP_ROOT_AT \
	80 /* in the superblock: the root of the map of used data, which can be rebuilt */

static off_t meta_at;

static int keep_start(const struct sdm_target *target, void *data)
{
	unsigned int major, minor;
	unsigned long long sectors;

	(void)data;
	if (sscanf(target->params, "%u:%u %llu", &major, &minor, &sectors) != 3)
		lose("cannot find the metadata: %s", target->params);
	meta_at = (off_t)sectors * SM_SECTOR;
	return 1;
}

static void spoil(void)
{
	AUTO(sm_close_fd)
	int fd = open(lab_disk(0), O_RDWR | O_CLOEXEC); /* all but data lies there */
	uint64_t root = 0;

	if (fd < 0 || pread(fd, &root, sizeof(root), meta_at + BITMAP_ROOT_AT) != sizeof(root) ||
	    !root || pwrite(fd, "spoilt", 6, meta_at + (off_t)root * BLOCK + 1000) != 6 ||
	    fsync(fd) < 0)
		lose("cannot spoil block %ju: %m", (uintmax_t)root);
}

void more_damaged(void)
{
	LAB_DO(scene_quiet(snapmgr_pool_deactivate(lab, "p", &err), &err, SNAPMGR_BAD_STATE));
	LAB_DO(more_rebuild(&err));
	LAB_DO(snapmgr_pool_activate(lab, "p", &err));
	if (!lab_holds(lab_node("p/v"), 0, SIZE, 2, LAB_DIRECT))
		lose("'p/v' does not read as before the repair");
	LAB_DO(sdm_table("snapmgr-p-_meta", false, keep_start, NULL, &err) < 0 ? -EIO : 0);
	LAB_DO(snapmgr_pool_deactivate(lab, "p", &err));
	spoil();
}

int more_rebuild(struct snapmgr_err *err)
{
	struct snapmgr_pool_check_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_check_opts);

	opts.repair = true;
	return snapmgr_pool_check(lab, "p", &opts, err);
}

/* ---- quotas ---- */

static int set_quota(uint64_t volumes, struct snapmgr_err *err)
{
	struct snapmgr_quota_set_opts opts = { .size = sizeof(opts) };

	for (size_t i = 0; i < SM_ARRAY(opts.limits); i++)
		opts.limits[i] = SNAPMGR_UNCHANGED;
	opts.limits[SNAPMGR_VOLUMES] = volumes;
	return snapmgr_quota_set(lab, "p", "web", &opts, err);
}

void more_no_quota(void)
{
	LAB_DO(set_quota(SNAPMGR_UNLIMITED, &err));
}

int more_quota(struct snapmgr_err *err)
{
	return set_quota(7, err);
}

/* ---- states of error ---- */

/* No verb leaves one there on purpose. */
static void put_in_state(const char *spec, enum scat_state state)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct snapmgr_object o;
	struct scat_snapshot s;
	struct scat_volume v;
	struct sm_uuid uuid;

	lab_show(spec, &o);
	ATF_REQUIRE(sm_uuid_parse(o.uuid, &uuid));
	LAB_DO(sm_pool_open(lab, "p", true, &pool, &err));
	if (o.kind == SNAPMGR_SNAPSHOT) {
		LAB_DO(scat_snapshot_by_uuid(pool.cat, &uuid, &s, &err));
		s.c.state = state;
		LAB_DO(scat_snapshot_update(pool.cat, &s, &err));
	} else {
		LAB_DO(scat_volume_by_uuid(pool.cat, &uuid, &v, &err));
		v.c.state = state;
		LAB_DO(scat_volume_update(pool.cat, &v, &err));
	}
	LAB_DO(scat_commit(pool.cat, true, &err));
}

void more_in_error(void)
{
	put_in_state("p/v", SCAT_REVERTING_ERROR);
}

void more_snapshot_in_error(void)
{
	put_in_state("p/v@one", SCAT_ERROR);
}

int more_reset_state(struct snapmgr_err *err)
{
	return snapmgr_reset_state(lab, "p/v", err);
}

int more_reset_snapshot_state(struct snapmgr_err *err)
{
	return snapmgr_reset_state(lab, "p/v@one", err);
}
