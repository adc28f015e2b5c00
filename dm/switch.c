/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Suspend, act, resume: the order of things, and the way back from each. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "dm/critical.h"
#include "dm/guard.h"

#define SUSPEND_MS   5000
#define PURGE_MS     2500 /* of tries */
#define PURGE_GAP_MS 20
#define RESUME_TRIES 3

struct member {
	struct sdm_switch_device d;
	bool loaded, suspended;
	int stat_fd; /* I/O counters of the device, where its page cache matters; -1: none */
	char stat_before[256];
	uint32_t
		openers; /* once it was suspended: who comes later reads nothing before the resume */
	struct sdm_purge *purge;
	bool purging, dirty; /* the helper is not back yet; its page cache was in our way */
};

struct sdm_switch {
	struct sdm_switch_opts opts;
	struct sdm_guard *guard;
	struct sdm_cookie cookie;
	struct sdm_critical critical;
	uint64_t began_ns, suspended_ns;
	bool committing, over; /* over: resumed, or back */
	size_t n;
	struct member members[];
};

static void sleep_ms(long ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	(void)nanosleep(&t, NULL);
}

/* ---- before ---- */

static int load_all(struct sdm_switch *sw, struct snapmgr_err *err)
{
	int r = 0;

	for (size_t i = 0; i < sw->n && r == 0; i++) {
		struct member *m = &sw->members[i];

		if (!m->d.target || m->loaded)
			continue;
		r = sdm_load(m->d.dev, m->d.target, 1, err);
		m->loaded = r == 0;
	}
	return r;
}

static int open_stat(dev_t dev)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(dev), minor(dev));
	return open(path, O_RDONLY | O_CLOEXEC);
}

static bool read_stat(int fd, char *buf, size_t size)
{
	ssize_t n = pread(fd, buf, size - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/*
 * From here on a page that gets into the cache is seen by the I/O that brought it there. Where that
 * cannot be seen, or others have it open, the cache is looked at under suspension, and purged there if
 * something came into it: not by those who write past it, as a VM does.
 */
static int empty_cache(struct member *m, struct snapmgr_err *err)
{
	struct stat st;
	bool seen;

	if (m->d.flush_dev && !m->d.online)
		m->stat_fd = open_stat(m->d.flush_dev);
	if (m->stat_fd < 0 && (fstat(m->d.flush_fd, &st) < 0 || !S_ISBLK(st.st_mode))) {
		m->d.flush = false; /* has no page cache */
		return 0;
	}
	if (m->stat_fd < 0 && !m->d.online)
		m->stat_fd = open_stat(st.st_rdev);
	seen = m->stat_fd >= 0 && read_stat(m->stat_fd, m->stat_before, sizeof(m->stat_before));
	if (SM_STEP("cache.empty", ioctl(m->d.flush_fd, BLKFLSBUF, 0)) < 0)
		return sm_fail(err, SNAPMGR_IO, errno, "cannot write back the cache of '%s'",
			       m->d.dev->name);
	return seen ? 0 : sdm_purge_start(m->d.flush_fd, &m->purge, err);
}

static int empty_caches(struct sdm_switch *sw, struct snapmgr_err *err)
{
	int r = 0;

	for (size_t i = 0; i < sw->n && r == 0; i++)
		if (sw->members[i].d.flush)
			r = empty_cache(&sw->members[i], err);
	return r;
}

static struct sdm_switch *new_switch(const struct sdm_switch_device *devs, size_t n,
				     const struct sdm_switch_opts *opts)
{
	struct sdm_switch *sw = calloc(1, sizeof(*sw) + n * sizeof(*sw->members));

	if (!sw)
		return NULL;
	sw->opts = *opts;
	sw->n = n;
	for (size_t i = 0; i < n; i++) {
		sw->members[i].d = devs[i];
		sw->members[i].stat_fd = -1;
	}
	return sw;
}

int sdm_switch_prepare(const struct sdm_switch_device *devs, size_t n,
		       const struct sdm_switch_opts *opts, struct sdm_switch **ret,
		       struct snapmgr_err *err)
{
	AUTO(sdm_switch_free) struct sdm_switch *sw = new_switch(devs, n, opts);
	struct sdm_guard_plan plan = { .devs = devs, .n = n, .opts = opts };
	int r = sw ? 0 : sm_nomem(err);

	if (r == 0 && opts->uevent)
		r = sdm_cookie_make(&sw->cookie, err);
	if (r < 0)
		return r;
	sdm_pin();
	plan.cookie = sw->cookie.value;
	r = sdm_guard_arm(&plan, &sw->guard, err);
	if (r == 0)
		r = load_all(sw, err);
	if (r == 0)
		r = empty_caches(sw, err);
	if (r < 0)
		return r;
	*ret = sw;
	sw = NULL;
	return 0;
}

/* ---- the way back ---- */

static void clear_all(struct sdm_switch *sw)
{
	for (size_t i = 0; i < sw->n; i++) {
		if (sw->members[i].loaded)
			(void)sdm_clear(sw->members[i].d.dev->name, NULL);
		sw->members[i].loaded = false;
	}
}

/* @changed: it comes back with other contents, and udev is to look at them. */
static int resume_one(struct member *m, bool changed, struct sdm_cookie *cookie,
		      struct snapmgr_err *err)
{
	int r = -EAGAIN;

	for (int i = 0; i < RESUME_TRIES && r < 0; i++) {
		if (i > 0)
			sleep_ms(20);
		if (changed)
			r = sdm_resume(m->d.dev, i == 0 ? cookie : NULL, i == 0 ? err : NULL);
		else
			r = sdm_resume_unchanged(m->d.dev->name, i == 0 ? err : NULL);
	}
	m->suspended = r < 0;
	if (r == 0)
		m->loaded = false;
	return r;
}

/* The last one suspended first; all of them, whatever happens to one. Return: the first error. */
static int resume_all(struct sdm_switch *sw, struct snapmgr_err *err)
{
	int first = 0;

	for (size_t i = sw->n; i > 0; i--) {
		struct member *m = &sw->members[i - 1];
		bool changed = m->loaded && sw->opts.uevent;
		int r = 0;

		if (m->suspended)
			r = resume_one(m, changed, &sw->cookie, first < 0 ? NULL : err);
		if (first == 0)
			first = r;
	}
	sw->suspended_ns = sw->began_ns ? sm_monotonic_ns() - sw->began_ns : 0;
	return first;
}

static void thaw(const struct sdm_switch *sw)
{
	for (size_t i = 0; i < sw->opts.n_thaw; i++)
		(void)SM_STEP("switch.thaw", ioctl(sw->opts.thaw_fds[i], FITHAW, 0));
}

/* One that cannot be resumed is left to the guard, which tries on while we go. */
static void finish(struct sdm_switch *sw, bool running)
{
	thaw(sw);
	sdm_critical_leave(&sw->critical);
	if (running)
		sdm_guard_dismiss(sw->guard);
	else
		sdm_guard_abandon(sw->guard);
	sw->guard = NULL;
	sw->over = true;
}

void sdm_switch_back(struct sdm_switch *sw)
{
	int r;

	if (sw->over)
		return;
	if (sw->committing)
		sdm_guard_undecided(sw->guard);
	clear_all(sw);
	r = resume_all(sw, NULL);
	finish(sw, r == 0);
}

/* ---- suspended ---- */

static int suspend_failed(int r, const char *name, struct snapmgr_err *err)
{
	if (r == -EINTR)
		return sm_fail(
			err, SNAPMGR_IN_USE, ETIMEDOUT,
			"'%s' has writes waiting that do not finish (is its pool out of space?); "
			"nothing was changed",
			name);
	if (r == -EBUSY)
		return sm_fail(err, SNAPMGR_IN_USE, EBUSY,
			       "the filesystem on '%s' is frozen; nothing was changed", name);
	return r;
}

/* Can I/O be on its way to any of them? Then the suspend may have to wait, and not for ever. */
static bool busy(const struct sdm_switch *sw)
{
	size_t i = 0;

	while (i < sw->n && sw->members[i].d.idle)
		i++;
	return i < sw->n;
}

static int suspend_all(struct sdm_switch *sw, struct snapmgr_err *err)
{
	uint32_t ms = sw->opts.timeout_ms ? sw->opts.timeout_ms : SUSPEND_MS;
	struct member *m = sw->members;
	int r = busy(sw) ? sdm_critical_alarm(&sw->critical, ms, err) : 0;

	if (r < 0)
		return r;
	if (sw->opts.timed || sw->critical.timed)
		sw->began_ns = sm_monotonic_ns();
	while (m < sw->members + sw->n) {
		r = sdm_suspend(m->d.dev->name, m->d.suspend_flags, &m->openers, err);
		if (r == -EINTR && sw->critical.timed &&
		    sm_monotonic_ns() - sw->began_ns < ms * UINT64_C(1000000))
			continue; /* stopped and continued, or looked at by a debugger */
		if (r < 0)
			break;
		m->suspended = true;
		m++;
	}
	sdm_critical_alarm_off(&sw->critical);
	return r < 0 ? suspend_failed(r, m->d.dev->name, err) : 0;
}

/* Nobody else has it open, and nobody had since its cache was emptied. */
static bool cache_is_empty(const struct member *m)
{
	char stat_now[sizeof(m->stat_before)];

	return m->openers <= 1 && read_stat(m->stat_fd, stat_now, sizeof(stat_now)) &&
	       strcmp(stat_now, m->stat_before) == 0;
}

/* All helpers at once: the time under suspension is that of one. */
static int purge_begun(struct sdm_switch *sw)
{
	int first = 0, r;

	for (size_t i = 0; i < sw->n; i++) {
		struct member *m = &sw->members[i];

		if (!m->purging)
			continue;
		if (first < 0) {
			sdm_purge_stop(m->purge);
			continue;
		}
		r = sdm_purge_result(m->purge);
		m->purging = r == -ETIMEDOUT;
		m->dirty = r < 0;
		first = r;
	}
	return first;
}

/* Return: 0, or a negative errno where one of them is not seen to be empty: it is marked as dirty. */
static int purge_all(struct sdm_switch *sw)
{
	for (size_t i = 0; i < sw->n; i++) {
		struct member *m = &sw->members[i];

		m->dirty = m->d.flush && !m->purge && !cache_is_empty(m);
		if (m->dirty)
			return -EBUSY;
	}
	for (size_t i = 0; i < sw->n; i++) {
		struct member *m = &sw->members[i];

		m->purging = m->purge && sdm_purge_needed(m->purge);
		if (m->purging)
			sdm_purge_begin(m->purge);
	}
	return purge_begun(sw);
}

static void await_purges(struct sdm_switch *sw)
{
	for (size_t i = 0; i < sw->n; i++) {
		if (sw->members[i].purging)
			sdm_purge_wait(sw->members[i].purge);
		sw->members[i].purging = false;
	}
}

/* Return: 0, -EAGAIN where all runs again on the old tables, or another error. */
static int suspend_clean(struct sdm_switch *sw, struct snapmgr_err *err)
{
	int r;

	sdm_critical_enter(&sw->critical);
	r = suspend_all(sw, err);
	if (r < 0 || purge_all(sw) == 0)
		return r;
	clear_all(sw);
	r = resume_all(sw, err);
	sdm_critical_leave(&sw->critical);
	await_purges(sw);
	return r < 0 ? r : -EAGAIN;
}

/* The pause is never the same, for a writer that has a rhythm of its own. */
static int again(struct sdm_switch *sw, struct snapmgr_err *err)
{
	int r = 0;

	for (size_t i = 0; i < sw->n && r == 0; i++) {
		struct member *m = &sw->members[i];

		if (m->dirty && !m->purge)
			r = sdm_purge_start(m->d.flush_fd, &m->purge, err);
	}
	sleep_ms(PURGE_GAP_MS + (long)(sm_monotonic_ns() / 1000 % PURGE_GAP_MS));
	for (size_t i = 0; i < sw->n; i++) {
		if (sw->members[i].dirty) /* there is less to wait for then */
			(void)SM_STEP("cache.empty",
				      ioctl(sw->members[i].d.flush_fd, BLKFLSBUF, 0));
	}
	return r < 0 ? r : load_all(sw, err);
}

static const char *dirty_name(const struct sdm_switch *sw)
{
	size_t i = 0;

	while (i + 1 < sw->n && !sw->members[i].dirty)
		i++;
	return sw->members[i].d.dev->name;
}

/* One that nobody has open has no page in the cache: the last close drops them. */
static bool was_opened(const struct sdm_switch *sw)
{
	for (size_t i = 0; i < sw->n; i++)
		if (sw->members[i].d.alone && sw->members[i].openers > 0)
			return true;
	return false;
}

int sdm_switch_suspend(struct sdm_switch *sw, struct snapmgr_err *err)
{
	int r = suspend_clean(sw, err);
	uint64_t end_ns = r == -EAGAIN ? sm_monotonic_ns() + PURGE_MS * UINT64_C(1000000) : 0;

	if (r == 0 && was_opened(sw)) {
		sdm_switch_back(sw);
		return sm_fail(err, SNAPMGR_IN_USE, EAGAIN, "somebody has just opened '%s'",
			       sw->members[0].d.dev->name);
	}
	while (r == -EAGAIN && sm_monotonic_ns() < end_ns) {
		r = again(sw, err);
		if (r == 0)
			r = suspend_clean(sw, err);
	}
	if (r == -EAGAIN)
		r = sm_fail(err, SNAPMGR_IN_USE, EBUSY,
			    "somebody keeps writing to '%s' through the page cache; nothing was "
			    "changed",
			    dirty_name(sw));
	if (r < 0)
		sdm_switch_back(sw);
	return r;
}

void sdm_switch_committing(struct sdm_switch *sw)
{
	sdm_guard_committing(sw->guard);
	sw->committing = true;
}

void sdm_switch_committed(struct sdm_switch *sw)
{
	sdm_guard_committed(sw->guard);
}

int sdm_switch_resume(struct sdm_switch *sw, struct snapmgr_err *err)
{
	int r = resume_all(sw, err);

	finish(sw, r == 0);
	return r;
}

/* ---- after ---- */

uint64_t sdm_switch_suspended_ns(const struct sdm_switch *sw)
{
	return sw->suspended_ns;
}

int sdm_switch_settle(struct sdm_switch *sw, uint32_t timeout_ms, struct snapmgr_err *err)
{
	return sdm_cookie_wait(&sw->cookie, timeout_ms, err);
}

void sdm_switch_free(struct sdm_switch *sw)
{
	if (!sw)
		return;
	sdm_switch_back(sw);
	(void)sdm_cookie_wait(&sw->cookie, 0, NULL);
	for (size_t i = 0; i < sw->n; i++) {
		sdm_purge_free(sw->members[i].purge);
		sm_close_fd(sw->members[i].stat_fd);
	}
	free(sw);
}

int sdm_switch_heal(const struct sdm_device *dev, bool forward, struct snapmgr_err *err)
{
	struct sdm_info info;
	int r = sdm_info(dev->name, &info, err);

	if (r < 0 || !info.exists)
		return r;
	if (!info.has_live && !(info.suspended && info.has_inactive && forward)) {
		r = sdm_remove(dev, NULL, err); /* its maker died before it was complete */
		return r < 0 ? r : 1;
	}
	if (info.has_inactive && !(info.suspended && forward))
		r = sdm_clear(dev->name, err);
	if (r == 0 && info.suspended)
		r = sdm_resume(dev, NULL, err);
	if (r < 0)
		return r;
	return info.suspended || info.has_inactive;
}
