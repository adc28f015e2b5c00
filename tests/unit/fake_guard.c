/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What surrounds the fake kernel: udev, the guard, links. */
#include <errno.h>
#include <string.h>

#include "dm/guard.h"
#include "fake_state.h"

/* ---- dm/udev.c ---- */

bool sdm_udev_running(void)
{
	return k.udev;
}

uint32_t sdm_udev_event(enum sdm_audience audience)
{
	(void)audience;
	return 0;
}

int sdm_cookie_make(struct sdm_cookie *cookie, struct snapmgr_err *err)
{
	(void)err;
	*cookie = (struct sdm_cookie){ .value = k.udev, .made = k.udev };
	k.cookies += k.udev;
	return 0;
}

int sdm_cookie_wait(struct sdm_cookie *cookie, uint32_t timeout_ms, struct snapmgr_err *err)
{
	(void)timeout_ms;
	(void)err;
	k.cookies -= cookie->made;
	*cookie = (struct sdm_cookie){ 0 };
	return 0;
}

/* ---- dm/guard.c ---- */

struct sdm_guard {
	int unused;
};

int sdm_guard_arm(const struct sdm_guard_plan *plan, struct sdm_guard **ret,
		  struct snapmgr_err *err)
{
	static struct sdm_guard guard;
	char names[512] = "";
	int r;

	k.guard.n = 0;
	for (size_t i = 0; i < plan->n && i < SM_ARRAY(k.guard.names); i++) {
		size_t len = strlen(names);

		(void)snprintf(names + len, sizeof(names) - len, " %s", plan->devs[i].dev->name);
		(void)sm_copy_text(k.guard.names[k.guard.n++], SDM_NAME_MAX,
				   plan->devs[i].dev->name);
	}
	r = fake_record(true, "arm%s", names);
	if (r < 0)
		return sm_fail(err, SNAPMGR_KERNEL, r,
			       "cannot start the guard of suspended volumes");
	k.guard.armed = true;
	k.guard.committed = false;
	*ret = &guard;
	return 0;
}

void sdm_guard_committing(struct sdm_guard *guard)
{
	(void)guard;
}

void sdm_guard_undecided(struct sdm_guard *guard)
{
	(void)guard;
}

void sdm_guard_committed(struct sdm_guard *guard)
{
	(void)guard;
	(void)fake_record(true, "committed");
	k.guard.committed = true;
}

void sdm_guard_dismiss(struct sdm_guard *guard)
{
	if (!guard)
		return;
	(void)fake_record(true, "dismiss");
	k.guard.armed = false;
	for (size_t i = 0; i < k.guard.n; i++)
		if (fake_kernel_is_suspended(k.guard.names[i]))
			fake_violation("guard dismissed of a suspended device", k.guard.names[i]);
}

void fake_kernel_owner_dies(void)
{
	for (size_t i = 0; k.guard.armed && i < k.guard.n; i++) {
		struct device *d = fake_find(k.guard.names[i]);

		if (d && !k.guard.committed)
			d->inactive.n = 0;
		if (d && (d->suspended || d->inactive.n))
			(void)fake_wake(d);
	}
	k.guard.armed = false;
}

void sdm_guard_abandon(struct sdm_guard *guard)
{
	if (!guard)
		return;
	(void)fake_record(true, "abandon");
	fake_kernel_owner_dies();
}

void sdm_release(void)
{
}

/* ---- dm/link.c ---- */

static char *announcement(const char *dm_uuid)
{
	size_t i = 0;

	while (i < DEVICES_MAX - 1 && *k.announced[i].uuid &&
	       strcmp(k.announced[i].uuid, dm_uuid) != 0)
		i++;
	(void)sm_copy_text(k.announced[i].uuid, sizeof(k.announced[i].uuid), dm_uuid);
	return k.announced[i].link;
}

int sdm_link_announce(const struct sdm_device *dev, struct snapmgr_err *err)
{
	int r = *dev->link ? fake_record(true, "announce %s %s", dev->name, dev->link) : 0;

	if (r < 0)
		return sm_fail(err, SNAPMGR_IO, r, "cannot announce '%s'", dev->link);
	return sm_copy_text(announcement(dev->uuid), sizeof(k.announced[0].link), dev->link);
}

int sdm_link_announced(const char *dm_uuid, char ret[200], struct snapmgr_err *err)
{
	(void)err;
	return *announcement(dm_uuid) ? sm_copy_text(ret, 200, announcement(dm_uuid)) : -ENOENT;
}

int sdm_link_move(const struct sdm_device *from, const struct sdm_device *to,
		  struct snapmgr_err *err)
{
	int r = sdm_link_announce(to, err);

	(void)sdm_link_settle(from, true, NULL);
	return r < 0 ? r : sdm_link_settle(to, false, err);
}

int sdm_link_settle(const struct sdm_device *dev, bool gone, struct snapmgr_err *err)
{
	int r = *dev->link ? fake_record(true, "%s %s %s", gone ? "unlink" : "link", dev->name,
					 dev->link) :
			     0;

	return r < 0 ? sm_fail(err, SNAPMGR_IO, r, "cannot make link '%s'", dev->link) : 0;
}

void sdm_link_forget(const struct sdm_device *dev)
{
	*announcement(dev->uuid) = '\0';
	(void)sdm_link_settle(dev, true, NULL);
}

void fake_kernel_set_udev(bool running)
{
	k.udev = running;
}

unsigned int fake_kernel_cookies(void)
{
	return k.cookies;
}
