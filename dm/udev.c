/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What udev is told with each event, and waiting until it is done with one. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "dm/task.h"

#define UDEV_CONTROL   "/run/udev/control"
#define ANSWER_GOOD_NS (5 * UINT64_C(1000000000))
#define KNOCK_NS       (1 * UINT64_C(1000000000)) /* who waits so long asks whether it still lives */

/* A socket file may be left of a dead udevd, so it is knocked at. */
static bool udevd_answers(void)
{
	const struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = UDEV_CONTROL };
	AUTO(sm_close_fd)
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	return connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 || errno == EAGAIN;
}

static _Atomic uint64_t good_until_ns; /* each knock wakes the daemon up */

bool sdm_udev_running(void)
{
	uint64_t now_ns;

	if (getenv("DM_DISABLE_UDEV"))
		return false;
	now_ns = sm_monotonic_ns();
	if (now_ns < good_until_ns)
		return true;
	if (!udevd_answers())
		return false;
	good_until_ns = now_ns + ANSWER_GOOD_NS;
	return true;
}

static uint16_t audience_flags(enum sdm_audience audience)
{
	const uint16_t hidden = DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG |
				DM_UDEV_DISABLE_DISK_RULES_FLAG | DM_UDEV_DISABLE_OTHER_RULES_FLAG;

	switch (audience) {
	case SDM_INTERNAL:
	case SDM_SNAPSHOT:
		return hidden;
	case SDM_GUEST:
		return DM_UDEV_DISABLE_OTHER_RULES_FLAG;
	case SDM_VOLUME:
		break;
	}
	return 0;
}

/* With a udevd the nodes are its own business; without one they are the library's. */
static uint16_t event_flags(enum sdm_audience audience, bool udevd)
{
	uint16_t flags = audience_flags(audience);

	return udevd ? (uint16_t)(flags | DM_UDEV_DISABLE_LIBRARY_FALLBACK) : flags;
}

uint32_t sdm_udev_event(enum sdm_audience audience)
{
	uint32_t flags = event_flags(audience, sdm_udev_running()) | DM_UDEV_PRIMARY_SOURCE_FLAG;

	return flags << DM_UDEV_FLAGS_SHIFT;
}

/* Flags without a cookie: the library passes them only while it is told not to synchronise. */
static int run_flagged(struct dm_task *t, uint16_t flags)
{
	int was = dm_udev_get_sync_support();
	uint32_t none = 0;
	int ok;

	if (was)
		dm_udev_set_sync_support(0);
	ok = dm_task_set_cookie(t, &none, flags) && dm_task_run(t);
	if (was)
		dm_udev_set_sync_support(1);
	return ok;
}

int sdm_task_run_event(struct dm_task *t, enum sdm_audience audience, struct sdm_cookie *cookie)
{
	bool udevd = sdm_udev_running();
	uint16_t flags = event_flags(audience, udevd);
	int ok, e;

	sdm_task_lock();
	if (cookie && cookie->made && dm_task_set_cookie(t, &cookie->value, flags))
		ok = dm_task_run(t);
	else /* also where somebody destroyed the semaphore: a resume must not fail for that */
		ok = run_flagged(t, flags);
	e = dm_task_get_errno(t);
	if (ok && !udevd)
		SM_DO("dm.nodes", dm_task_update_nodes());
	sdm_task_unlock();
	return ok ? 0 : e ? -e : -EIO;
}

int sdm_cookie_make(struct sdm_cookie *cookie, struct snapmgr_err *err)
{
	uint32_t value = 0;
	int r = sdm_init(err), ok;

	*cookie = (struct sdm_cookie){ 0 };
	if (r < 0 || !sdm_udev_running())
		return r;
	sdm_task_lock();
	ok = SM_STEP("udev.cookie", dm_udev_create_cookie(&value));
	sdm_task_unlock();
	if (!ok)
		return sm_fail(err, SNAPMGR_KERNEL, ENOSPC, "cannot make a semaphore for udev");
	*cookie = (struct sdm_cookie){ .value = value, .made = value != 0 };
	return 0;
}

/* The semaphore's key is the cookie; whoever still waits for it or counts it down gets an error. */
static void destroy(uint32_t cookie)
{
	int id = semget((key_t)cookie, 1, 0);

	if (id >= 0)
		(void)SM_STEP("udev.drop", semctl(id, 0, IPC_RMID));
}

static bool ready(uint32_t cookie)
{
	int done = 0, ok;

	sdm_task_lock();
	ok = dm_udev_wait_immediate(cookie, &done);
	sdm_task_unlock();
	return !ok || done; /* an error: it is gone already */
}

/* Nobody will answer: the nodes are the library's to make, after all. */
static int died(uint32_t cookie, struct snapmgr_err *err)
{
	destroy(cookie);
	(void)sdm_node_mend(NULL, NULL);
	return sm_fail(err, SNAPMGR_KERNEL, ETIMEDOUT,
		       "udev did not answer: no udevd runs any more, and links may be missing");
}

int sdm_cookie_wait(struct sdm_cookie *cookie, uint32_t timeout_ms, struct snapmgr_err *err)
{
	struct timespec pause = { .tv_nsec = 500000 };
	uint64_t end_ns, knock_ns;
	uint32_t value = cookie->value;

	if (!cookie->made)
		return 0;
	knock_ns = sm_monotonic_ns() + KNOCK_NS;
	end_ns = knock_ns - KNOCK_NS + timeout_ms * UINT64_C(1000000);
	*cookie = (struct sdm_cookie){ 0 };
	while (!ready(value)) {
		if (sm_monotonic_ns() >= end_ns) {
			destroy(value);
			return sm_fail(err, SNAPMGR_KERNEL, ETIMEDOUT,
				       "udev did not answer within %u ms", timeout_ms);
		}
		if (sm_monotonic_ns() >= knock_ns) {
			knock_ns += KNOCK_NS;
			good_until_ns = 0;
			if (!sdm_udev_running())
				return died(value, err);
		}
		(void)nanosleep(&pause, NULL);
		if (pause.tv_nsec < 8000000)
			pause.tv_nsec *= 2;
	}
	return 0;
}
