/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices and tables of the fake kernel: dm/kernel.c. */
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <string.h>

#include "fake_state.h"

struct fake k;

/* ---- records and failures ---- */

static int wanted_failure(const char *line)
{
	for (size_t i = 0; i < FAILS_MAX; i++)
		if (k.fails[i].left && fnmatch(k.fails[i].pattern, line, 0) == 0 &&
		    --k.fails[i].left == 0)
			return -k.fails[i].errnum;
	return 0;
}

int fake_record(bool keep, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (keep && k.hook)
		k.hook(line, k.hook_data);
	len = strlen(line);
	if (keep && k.log_len + len + 2 < LOG_MAX) {
		memcpy(k.log + k.log_len, line, len);
		k.log_len += len;
		k.log[k.log_len++] = '\n';
		k.log[k.log_len] = '\0';
	}
	return wanted_failure(line);
}

void fake_violation(const char *what, const char *name)
{
	size_t len = strlen(k.violations);

	(void)snprintf(k.violations + len, sizeof(k.violations) - len, "%s: %s\n", what, name);
}

int fake_refused(struct snapmgr_err *err, int r, const char *what, const char *name)
{
	if (r == -ENXIO)
		return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT, "no device '%s' to %s", name, what);
	return sm_fail(err, SNAPMGR_KERNEL, r, "cannot %s device '%s'", what, name);
}

/* ---- devices and what lies below them ---- */

struct device *fake_find(const char *name)
{
	for (struct device *d = k.devices; d < k.devices + DEVICES_MAX; d++)
		if (d->used && strcmp(d->name, name) == 0)
			return d;
	return NULL;
}

/* The device that a word of a table names. */
struct device *fake_named(const char *word)
{
	static const char dir[] = "/dev/mapper/";
	unsigned int major, minor;
	char name[SDM_NAME_MAX] = "";

	if (sscanf(word, "%u:%u", &major, &minor) == 2)
		return major == FAKE_MAJOR && minor < DEVICES_MAX && k.devices[minor].used ?
			       &k.devices[minor] :
			       NULL;
	if (strncmp(word, dir, strlen(dir)) != 0 || sscanf(word + strlen(dir), "%127s", name) != 1)
		return NULL;
	return fake_find(name);
}

const char *fake_word(const char *params, int n)
{
	for (; n > 0; n--) {
		params += strcspn(params, " ");
		params += strspn(params, " ");
	}
	return params;
}

bool fake_refers(const struct table *t, const struct device *to)
{
	for (size_t i = 0; i < t->n; i++) {
		bool pool = strcmp(t->targets[i].type, "thin-pool") == 0;

		if (fake_named(fake_word(t->targets[i].params, 0)) == to ||
		    (pool && fake_named(fake_word(t->targets[i].params, 1)) == to))
			return true;
	}
	return false;
}

unsigned int fake_users(const struct device *to)
{
	unsigned int n = to->open > 0 ? (unsigned int)to->open : 0;

	for (const struct device *d = k.devices; d < k.devices + DEVICES_MAX; d++)
		if (d->used)
			n += fake_refers(&d->live, to) + fake_refers(&d->inactive, to);
	return n;
}

/* ---- dm/kernel.c ---- */

int sdm_init(struct snapmgr_err *err)
{
	(void)err;
	return 0;
}

/* Whether the kernel would take the table. */
static int acceptable(const struct sdm_target *targets, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct table t = { .n = 1, .targets = { targets[i] } };
		const struct device *below = fake_named(targets[i].params);

		if (strcmp(targets[i].type, "thin") != 0)
			continue;
		if (!below || !fake_pool_of(below) || below->suspended)
			return -EINVAL;
		if (!fake_thin_of(&t))
			return -ENODATA;
	}
	return n && n <= TARGETS_MAX ? 0 : -EINVAL;
}

int sdm_load(const struct sdm_device *dev, const struct sdm_target *targets, size_t n,
	     struct snapmgr_err *err)
{
	struct device *d = fake_find(dev->name);
	int r = fake_record(true, "load %s %s %s", dev->name, n ? targets[0].type : "",
			    n ? targets[0].params : "");

	if (r == 0)
		r = d ? acceptable(targets, n) : -ENXIO;
	if (r < 0)
		return fake_refused(err, r, "load a table into", dev->name);
	d->inactive = (struct table){ .n = n, .read_only = dev->read_only };
	memcpy(d->inactive.targets, targets, n * sizeof(*targets));
	return 0;
}

static int make_device(const struct sdm_device *dev, struct device **ret)
{
	struct device *unused = NULL;

	for (struct device *d = k.devices + DEVICES_MAX - 1; d >= k.devices; d--) {
		if (!d->used)
			unused = d;
		else if (strcmp(d->name, dev->name) == 0 ||
			 (*dev->uuid && strcmp(d->uuid, dev->uuid) == 0))
			return -EEXIST;
	}
	if (!unused)
		return -ENOSPC;
	*unused = (struct device){ .used = true, .suspended = true };
	(void)sm_copy_text(unused->name, sizeof(unused->name), dev->name);
	(void)sm_copy_text(unused->uuid, sizeof(unused->uuid), dev->uuid);
	*ret = unused;
	return 0;
}

int sdm_create_idle(const struct sdm_device *dev, const struct sdm_target *targets, size_t n,
		    struct snapmgr_err *err)
{
	struct device *d = NULL;
	int r = fake_record(true, "create %s %s %s", dev->name, n ? targets[0].type : "",
			    n ? targets[0].params : "");

	if (r == 0)
		r = make_device(dev, &d);
	if (r == -EEXIST)
		return sm_fail(err, SNAPMGR_EXISTS, EEXIST, "a device '%s' is there already",
			       dev->name);
	if (r == 0)
		r = acceptable(targets, n);
	if (r < 0) {
		if (d)
			d->used = false;
		return fake_refused(err, r, "make", dev->name);
	}
	d->inactive = (struct table){ .n = n, .read_only = dev->read_only };
	memcpy(d->inactive.targets, targets, n * sizeof(*targets));
	return 0;
}

int sdm_create(const struct sdm_device *dev, const struct sdm_target *targets, size_t n,
	       struct sdm_cookie *cookie, struct snapmgr_err *err)
{
	struct device *d;
	int r = sdm_create_idle(dev, targets, n, err);

	(void)cookie;
	if (r < 0)
		return r;
	d = fake_find(dev->name);
	d->live = d->inactive;
	d->inactive.n = 0;
	d->suspended = false;
	return 0;
}

int sdm_clear(const char *name, struct snapmgr_err *err)
{
	struct device *d = fake_find(name);
	int r = fake_record(true, "clear %s", name);

	if (r == 0 && !d)
		r = -ENXIO;
	if (r < 0)
		return fake_refused(err, r, "clear the inactive table of", name);
	d->inactive.n = 0;
	return 0;
}

int sdm_suspend(const char *name, unsigned int flags, uint32_t *ret_openers,
		struct snapmgr_err *err)
{
	struct device *d = fake_find(name);
	int r = fake_record(true, "suspend %s", name);

	(void)flags;
	if (r == 0 && !d)
		r = -ENXIO;
	if (r < 0)
		return fake_refused(err, r, "suspend", name);
	d->suspended = true;
	if (ret_openers)
		*ret_openers = fake_users(d);
	return 0;
}

int fake_wake(struct device *d)
{
	if (d->inactive.n) {
		d->live = d->inactive;
		d->inactive.n = 0;
	}
	if (!d->live.n)
		return -EINVAL;
	d->suspended = false;
	d->event_nr++;
	return 0;
}

int sdm_resume(const struct sdm_device *dev, struct sdm_cookie *cookie, struct snapmgr_err *err)
{
	struct device *d = fake_find(dev->name);
	int r = fake_record(true, "resume %s", dev->name);

	(void)cookie;
	if (r == 0)
		r = d ? fake_wake(d) : -ENXIO;
	return r < 0 ? fake_refused(err, r, "resume", dev->name) : 0;
}

int sdm_resume_unchanged(const char *name, struct snapmgr_err *err)
{
	struct sdm_device dev = { .name = "" };

	(void)sm_copy_text(dev.name, sizeof(dev.name), name);
	return sdm_resume(&dev, NULL, err);
}

int sdm_remove(const struct sdm_device *dev, struct sdm_cookie *cookie, struct snapmgr_err *err)
{
	struct device *d = fake_find(dev->name);
	int r = fake_record(true, "remove %s", dev->name);

	(void)cookie;
	if (r == 0 && !d)
		return 0;
	if (r == 0 && fake_users(d))
		r = -EBUSY;
	if (r == -EBUSY)
		return sm_fail(err, SNAPMGR_IN_USE, EBUSY, "device '%s' is in use", dev->name);
	if (r < 0)
		return fake_refused(err, r, "remove", dev->name);
	d->used = false;
	return 0;
}

int sdm_node_mend(const char *name, struct snapmgr_err *err)
{
	(void)name;
	(void)err;
	return 0;
}

int sdm_rename(const struct sdm_device *dev, const char *to, struct sdm_cookie *cookie,
	       struct snapmgr_err *err)
{
	struct device *d = fake_find(dev->name);
	int r = fake_record(true, "rename %s %s", dev->name, to);

	(void)cookie;
	if (r == 0)
		r = !d ? -ENXIO : fake_find(to) ? -EEXIST : 0;
	if (r == -EEXIST)
		return sm_fail(err, SNAPMGR_EXISTS, EEXIST, "a device named '%s' is there already",
			       to);
	if (r < 0)
		return fake_refused(err, r, "rename", dev->name);
	return sm_copy_text(d->name, sizeof(d->name), to);
}

int sdm_message(const char *name, struct snapmgr_err *err, const char *fmt, ...)
{
	struct device *d = fake_find(name);
	char text[512];
	va_list ap;
	int r;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r = fake_record(true, "message %s %s", name, text);
	(void)sm_copy_text(k.last_message, sizeof(k.last_message), text);
	if (r == 0)
		r = fake_pool_of(d) ? fake_obey(fake_pool_of(d), text) : -ENXIO;
	return r < 0 ? sm_fail(err, SNAPMGR_KERNEL, r, "device '%s' refused '%s'", name, text) : 0;
}

/* ---- for the tests ---- */

void fake_kernel_reset(void)
{
	memset(&k, 0, sizeof(k));
}

void fake_kernel_reboot(void)
{
	memset(k.devices, 0, sizeof(k.devices));
	memset(&k.guard, 0, sizeof(k.guard));
	k.cookies = 0;
}

void fake_kernel_fail(const char *pattern, unsigned int nth, int errnum)
{
	for (size_t i = 0; i < FAILS_MAX; i++) {
		if (k.fails[i].left)
			continue;
		(void)sm_copy_text(k.fails[i].pattern, sizeof(k.fails[i].pattern), pattern);
		k.fails[i].left = nth;
		k.fails[i].errnum = errnum;
		return;
	}
	fake_violation("too many failures wanted", pattern);
}

void fake_kernel_before(void (*hook)(const char *line, void *data), void *data)
{
	k.hook = hook;
	k.hook_data = data;
}

const char *fake_kernel_log(void)
{
	return k.log;
}

void fake_kernel_log_clear(void)
{
	k.log_len = 0;
	k.log[0] = '\0';
}

unsigned int fake_kernel_count(const char *pattern)
{
	unsigned int n = 0;
	char line[1024];

	for (const char *p = k.log; *p;) {
		size_t len = strcspn(p, "\n");

		(void)snprintf(line, sizeof(line), "%.*s", (int)len, p);
		n += fnmatch(pattern, line, 0) == 0;
		p += len + 1;
	}
	return n;
}

const char *fake_kernel_last_message(void)
{
	return k.last_message;
}

const char *fake_kernel_violations(void)
{
	return k.violations;
}

bool fake_kernel_exists(const char *name)
{
	return fake_find(name);
}

bool fake_kernel_is_suspended(const char *name)
{
	const struct device *d = fake_find(name);

	return d && d->suspended;
}

void fake_kernel_open(const char *name, int by)
{
	struct device *d = fake_find(name);

	if (d)
		d->open += by;
}

void fake_kernel_write(const char *name, uint64_t value)
{
	struct device *d = fake_find(name);
	struct thin *t = d ? fake_thin_of(&d->live) : NULL;

	if (!d || d->suspended || d->live.read_only)
		fake_violation("write to a device that takes none", name);
	else if (t)
		t->value = value;
	else
		d->value = value;
}

uint64_t fake_kernel_read(const char *name)
{
	const struct device *d = fake_find(name);
	const struct thin *t = d ? fake_thin_of(&d->live) : NULL;

	if (!d || d->suspended) {
		fake_violation("read of a device that gives nothing", name);
		return UINT64_MAX;
	}
	return t ? t->value : d->value;
}

void fake_kernel_set_status(const char *name, const char *line)
{
	struct device *d = fake_find(name);

	if (d)
		(void)snprintf(d->status, sizeof(d->status), "%s", line ? line : "");
}
