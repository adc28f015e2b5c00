/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices, tables and messages: thin wrappers around libdevmapper. */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

#include "dm/task.h"

#define CONTROL		"/dev/mapper/control"
#define REMOVE_TRIES	50
#define REMOVE_PAUSE_MS 20
#define MESSAGE_MAX	512

static pthread_mutex_t library = PTHREAD_MUTEX_INITIALIZER;

void sdm_task_lock(void)
{
	(void)pthread_mutex_lock(&library);
}

void sdm_task_unlock(void)
{
	(void)pthread_mutex_unlock(&library);
}

/* What it has to say, errno says too. */
__attribute__((format(printf, 5, 6))) static void silence(int level, const char *file, int line,
							  int class, const char *format, ...)
{
	(void)level;
	(void)file;
	(void)line;
	(void)class;
	(void)format;
}

static int no_driver(struct snapmgr_err *err)
{
	if (access(CONTROL, R_OK | W_OK) < 0 && errno == EACCES)
		return sm_fail(err, SNAPMGR_PERMISSION, EACCES,
			       "cannot open '" CONTROL "', which only root may");
	return sm_fail(err, SNAPMGR_UNSUPPORTED, ENODEV,
		       "this kernel has no device-mapper (is the module dm-mod loaded?)");
}

/*
 * The library opens its control device without O_CLOEXEC and keeps it to itself. It is the lowest free
 * number that it gets, so that one is looked at.
 */
static void close_control_on_exec(int fd)
{
	struct stat control, found;

	if (stat(CONTROL, &control) == 0 && fstat(fd, &found) == 0 && S_ISCHR(found.st_mode) &&
	    found.st_rdev == control.st_rdev)
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static bool open_control(void)
{
	int fd = open("/", O_PATH | O_CLOEXEC);
	struct dm_task *t;
	bool ok;

	sm_close_fd(fd);
	dm_log_with_errno_init(silence);
	dm_hold_control_dev(1);
	t = dm_task_create(DM_DEVICE_VERSION);
	ok = t && dm_task_run(t);
	if (t)
		dm_task_destroy(t);
	if (ok && fd >= 0)
		close_control_on_exec(fd);
	return ok;
}

/* Ours, for what the library cannot say; -1 until sdm_init() succeeded. */
static int control_fd = -1;

int sdm_init(struct snapmgr_err *err)
{
	bool ok;

	sdm_task_lock();
	if (control_fd < 0 && open_control())
		control_fd = open(CONTROL, O_RDWR | O_CLOEXEC);
	ok = control_fd >= 0;
	sdm_task_unlock();
	return ok ? 0 : no_driver(err);
}

int sdm_task_make(int type, const char *name, struct dm_task **ret, struct snapmgr_err *err)
{
	struct dm_task *t;
	int r = sdm_init(err);

	if (r < 0)
		return r;
	sdm_task_lock();
	t = dm_task_create(type);
	if (t && name && !dm_task_set_name(t, name)) {
		dm_task_destroy(t);
		t = NULL;
	}
	sdm_task_unlock();
	if (!t)
		return sm_fail(err, SNAPMGR_INTERNAL, EINVAL,
			       "cannot build a request for device '%s'", name ? name : "");
	*ret = t;
	return 0;
}

static int task_result(struct dm_task *t, int ok)
{
	int e = dm_task_get_errno(t);

	return ok ? 0 : e ? -e : -EIO;
}

int sdm_task_run(struct dm_task *t)
{
	int ok;

	sdm_task_lock();
	ok = dm_task_run(t);
	sdm_task_unlock();
	return task_result(t, ok);
}

int sdm_task_refused(struct snapmgr_err *err, int r, const char *what, const char *name)
{
	if (r == -ENXIO || r == -ENODEV)
		return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT, "no device '%s' to %s", name, what);
	return sm_fail(err, SNAPMGR_KERNEL, r, "cannot %s device '%s'", what, name);
}

static int load(const struct sdm_device *dev, const struct sdm_target *targets, size_t n,
		struct snapmgr_err *err)
{
	AUTO(dm_task_destroy) struct dm_task *t = NULL;
	bool ok = true;
	int r = sdm_task_make(DM_DEVICE_RELOAD, dev->name, &t, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n && ok; i++)
		ok = dm_task_add_target(t, targets[i].start_sectors, targets[i].len_sectors,
					targets[i].type, targets[i].params);
	if (ok && dev->read_only)
		ok = dm_task_set_ro(t);
	if (!ok)
		return sm_nomem(err);
	r = SM_STEP("dm.load", sdm_task_run(t));
	if (r == -ENXIO)
		return sdm_task_refused(err, r, "load a table into", dev->name);
	if (r < 0)
		return sm_fail(err, SNAPMGR_KERNEL, r, "device '%s' refused table '%s %s'",
			       dev->name, n ? targets[0].type : "", n ? targets[0].params : "");
	return 0;
}

int sdm_load(const struct sdm_device *dev, const struct sdm_target *targets, size_t n,
	     struct snapmgr_err *err)
{
	return load(dev, targets, n, err);
}

static int create_empty(const struct sdm_device *dev, struct snapmgr_err *err)
{
	/* Without a udevd the library notes here what node to make; else it is to note nothing. */
	dm_add_node_t node = sdm_udev_running() ? DM_ADD_NODE_ON_RESUME : DM_ADD_NODE_ON_CREATE;
	AUTO(dm_task_destroy) struct dm_task *t = NULL;
	int r = sdm_task_make(DM_DEVICE_CREATE, dev->name, &t, err);

	if (r < 0)
		return r;
	if (!dm_task_set_uuid(t, dev->uuid) || !dm_task_set_add_node(t, node))
		return sm_nomem(err);
	r = SM_STEP("dm.create", sdm_task_run(t));
	if (r == -EBUSY || r == -EEXIST)
		return sm_fail(err, SNAPMGR_EXISTS, EEXIST,
			       "a device named '%s' or with UUID '%s' is there already", dev->name,
			       dev->uuid);
	if (r < 0)
		return sm_fail(err, SNAPMGR_KERNEL, r, "cannot make device '%s'", dev->name);
	return 0;
}

/* One of ours that was never given its table: its maker died between two calls. */
static bool drop_half_made(const struct sdm_device *dev)
{
	struct sdm_info found;

	return *dev->uuid && sdm_info(dev->name, &found, NULL) == 0 && found.exists &&
	       !found.has_live && strcmp(found.uuid, dev->uuid) == 0 &&
	       sdm_remove(dev, NULL, NULL) == 0;
}

int sdm_create_idle(const struct sdm_device *dev, const struct sdm_target *targets, size_t n,
		    struct snapmgr_err *err)
{
	int r = create_empty(dev, err);

	if (r == -EEXIST && drop_half_made(dev))
		r = create_empty(dev, err);
	if (r < 0)
		return r;
	r = load(dev, targets, n, err);
	if (r < 0)
		(void)sdm_remove(dev, NULL, NULL); /* keep the first error */
	return r;
}

int sdm_create(const struct sdm_device *dev, const struct sdm_target *targets, size_t n,
	       struct sdm_cookie *cookie, struct snapmgr_err *err)
{
	int r = sdm_create_idle(dev, targets, n, err);

	if (r < 0)
		return r;
	r = sdm_resume(dev, cookie, err);
	if (r < 0)
		(void)sdm_remove(dev, NULL, NULL); /* keep the first error */
	return r;
}

int sdm_clear(const char *name, struct snapmgr_err *err)
{
	AUTO(dm_task_destroy) struct dm_task *t = NULL;
	int r = sdm_task_make(DM_DEVICE_CLEAR, name, &t, err);

	if (r < 0)
		return r;
	r = SM_STEP("dm.clear", sdm_task_run(t));
	return r < 0 ? sdm_task_refused(err, r, "clear the inactive table of", name) : 0;
}

int sdm_suspend(const char *name, unsigned int flags, uint32_t *ret_openers,
		struct snapmgr_err *err)
{
	AUTO(dm_task_destroy) struct dm_task *t = NULL;
	struct dm_info info;
	int r = sdm_task_make(DM_DEVICE_SUSPEND, name, &t, err);

	if (r < 0)
		return r;
	if (((flags & SDM_SKIP_LOCKFS) && !dm_task_skip_lockfs(t)) ||
	    ((flags & SDM_NOFLUSH) && !dm_task_no_flush(t)))
		return sm_nomem(err);
	/* May wait: not under the mutex. */
	r = SM_STEP("dm.suspend", task_result(t, dm_task_run(t)));
	if (r < 0)
		return sdm_task_refused(err, r, "suspend", name);
	if (ret_openers)
		*ret_openers = dm_task_get_info(t, &info) ? (uint32_t)info.open_count : UINT32_MAX;
	return 0;
}

int sdm_resume(const struct sdm_device *dev, struct sdm_cookie *cookie, struct snapmgr_err *err)
{
	AUTO(dm_task_destroy) struct dm_task *t = NULL;
	int r = sdm_task_make(DM_DEVICE_RESUME, dev->name, &t, err);

	if (r < 0)
		return r;
	if (!dm_task_set_add_node(t, DM_ADD_NODE_ON_CREATE)) /* see create_empty() */
		return sm_nomem(err);
	r = SM_STEP("dm.resume", sdm_task_run_event(t, dev->audience, cookie));
	return r < 0 ? sdm_task_refused(err, r, "resume", dev->name) : 0;
}

/* The library marks each event as a "primary" one; this one shall not be. */
int sdm_resume_unchanged(const char *name, struct snapmgr_err *err)
{
	struct dm_ioctl io = {
		.version = { DM_VERSION_MAJOR, 0, 0 },
		.data_size = sizeof(io),
		.data_start = sizeof(io),
	};
	int r = sdm_init(err);

	if (r < 0)
		return r;
	if (sm_copy_text(io.name, sizeof(io.name), name) < 0)
		return sm_fail(err, SNAPMGR_INTERNAL, EINVAL, "bad device name '%s'", name);
	/* Without its flag that is a resume. */
	if (SM_STEP("dm.resume", ioctl(control_fd, DM_DEV_SUSPEND, &io)) < 0)
		return sdm_task_refused(err, -errno, "resume", name);
	return 0;
}

/* The library's own descriptor, which it can arm, is not to be had from it. */
int sdm_events_arm(int fd, struct snapmgr_err *err)
{
	struct dm_ioctl io = {
		.version = { DM_VERSION_MAJOR, 0, 0 },
		.data_size = sizeof(io),
		.data_start = sizeof(io),
	};

	if (ioctl(fd, DM_DEV_ARM_POLL, &io) == 0)
		return 0;
	if (errno == ENOTTY)
		return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			       "this kernel's device-mapper does not tell of events");
	return sm_fail(err, SNAPMGR_KERNEL, errno, "cannot wait for events of device-mapper");
}

int sdm_events_open(struct snapmgr_err *err)
{
	int fd, r = sdm_init(err);

	if (r < 0)
		return r;
	fd = open(CONTROL, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return sm_fail(err, SNAPMGR_KERNEL, errno, "cannot open '" CONTROL "'");
	r = sdm_events_arm(fd, err);
	if (r == 0)
		return fd;
	(void)close(fd);
	return r;
}

static int remove_once(const struct sdm_device *dev, struct sdm_cookie *cookie,
		       struct snapmgr_err *err)
{
	AUTO(dm_task_destroy) struct dm_task *t = NULL;
	int r = sdm_task_make(DM_DEVICE_REMOVE, dev->name, &t, err);

	if (r < 0)
		return r;
	r = SM_STEP("dm.remove", sdm_task_run_event(t, dev->audience, cookie));
	if (r == -ENXIO)
		return 0;
	if (r == -EBUSY)
		return sm_fail(err, SNAPMGR_IN_USE, EBUSY, "device '%s' is in use", dev->name);
	return r < 0 ? sdm_task_refused(err, r, "remove", dev->name) : 0;
}

int sdm_remove(const struct sdm_device *dev, struct sdm_cookie *cookie, struct snapmgr_err *err)
{
	const struct timespec pause = { .tv_nsec = REMOVE_PAUSE_MS * 1000000L };
	int r = remove_once(dev, cookie, err);

	for (int i = 1; i < REMOVE_TRIES && r == -EBUSY; i++) {
		(void)nanosleep(&pause, NULL);
		r = remove_once(dev, cookie, err);
	}
	return r;
}

int sdm_node_mend(const char *name, struct snapmgr_err *err)
{
	AUTO(dm_task_destroy) struct dm_task *t = NULL;
	int r = sdm_udev_running() ? 0 : sdm_task_make(DM_DEVICE_MKNODES, name, &t, err);

	if (r < 0 || !t)
		return r;
	r = SM_STEP("dm.nodes", sdm_task_run(t));
	if (r < 0)
		return sdm_task_refused(err, r, "make the node of", name ? name : "");
	sdm_task_lock();
	SM_DO("dm.nodes", dm_task_update_nodes());
	sdm_task_unlock();
	return 0;
}

int sdm_rename(const struct sdm_device *dev, const char *to, struct sdm_cookie *cookie,
	       struct snapmgr_err *err)
{
	AUTO(dm_task_destroy) struct dm_task *t = NULL;
	int r = sdm_task_make(DM_DEVICE_RENAME, dev->name, &t, err);

	if (r < 0)
		return r;
	if (!dm_task_set_newname(t, to))
		return sm_fail(err, SNAPMGR_INTERNAL, EINVAL, "cannot name a device '%s'", to);
	r = SM_STEP("dm.rename", sdm_task_run_event(t, dev->audience, cookie));
	if (r == -EBUSY || r == -EEXIST)
		return sm_fail(err, SNAPMGR_EXISTS, EEXIST, "a device named '%s' is there already",
			       to);
	return r < 0 ? sdm_task_refused(err, r, "rename", dev->name) : 0;
}

int sdm_message(const char *name, struct snapmgr_err *err, const char *fmt, ...)
{
	AUTO(dm_task_destroy) struct dm_task *t = NULL;
	char message[MESSAGE_MAX];
	va_list ap;
	int r, len;

	va_start(ap, fmt);
	len = vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(message))
		return sm_fail(err, SNAPMGR_INTERNAL, EMSGSIZE, "message for '%s' is too long",
			       name);
	r = sdm_task_make(DM_DEVICE_TARGET_MSG, name, &t, err);
	if (r < 0)
		return r;
	if (!dm_task_set_sector(t, 0) || !dm_task_set_message(t, message))
		return sm_nomem(err);
	r = SM_STEP("dm.message", sdm_task_run(t));
	return r < 0 ? sm_fail(err, SNAPMGR_KERNEL, r, "device '%s' refused '%s'", name, message) :
		       0;
}
