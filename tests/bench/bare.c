/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The floor: snapshots and reverts by nothing but the libdevmapper calls that they are made of. Thin
 * ids are far from those that the library hands out of the same pool.
 */
#include <inttypes.h>
#include <libdevmapper.h>
#include <string.h>

#include "tests/bench/bench.h"

#define KERNEL_POOL "snapmgr-" BENCH_POOL "-_pool"
#define FIRST_ID    8000000u
#define IDS	    100000u /* of one volume */

static uint32_t volumes;

static struct dm_task *task(int type, const char *name)
{
	struct dm_task *t = dm_task_create(type);

	if (!t || !dm_task_set_name(t, name))
		die("cannot build a task");
	return t;
}

static void run(struct dm_task *t, const char *what)
{
	if (!dm_task_run(t))
		die("bare: %s failed", what);
	dm_task_destroy(t);
}

static void simple(int type, const char *name)
{
	run(task(type, name), name);
}

void bare_message(const char *device, const char *fmt, ...)
{
	struct dm_task *t = task(DM_DEVICE_TARGET_MSG, device);
	char text[64];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)dm_task_set_sector(t, 0);
	(void)dm_task_set_message(t, text);
	run(t, text);
}

static void load(const char *name, uint32_t id, uint64_t bytes, int type)
{
	struct dm_task *t = task(type, name);
	uint32_t cookie = 0;
	char params[96];

	(void)snprintf(params, sizeof(params), "/dev/mapper/" KERNEL_POOL " %u", id);
	(void)dm_task_add_target(t, 0, bytes / SM_SECTOR, "thin", params);
	if (type == DM_DEVICE_CREATE &&
	    (!dm_task_set_add_node(t, DM_ADD_NODE_ON_CREATE) || !dm_task_set_cookie(t, &cookie, 0)))
		die("no cookie");
	run(t, params);
	if (type == DM_DEVICE_CREATE)
		(void)dm_udev_wait(cookie);
}

void bare_make(struct bare *b, const char *name, uint64_t bytes)
{
	*b = (struct bare){ .bytes = bytes, .first = FIRST_ID + volumes++ * IDS };
	(void)sm_copy_text(b->name, sizeof(b->name), name);
	b->head = b->first;
	b->oldest = b->next = b->first + 1;
	bare_message(KERNEL_POOL, "create_thin %u", b->first);
	load(b->name, b->first, bytes, DM_DEVICE_CREATE);
}

/* No cookie: nobody has to wait for udev here. */
static void resume(const char *name)
{
	run(task(DM_DEVICE_RESUME, name), name);
}

double bare_snapshot(struct bare *b, double *suspended_ms)
{
	double start = now_ms(), end;

	simple(DM_DEVICE_SUSPEND, b->name);
	bare_message(KERNEL_POOL, "create_snap %u %u", b->next, b->head);
	resume(b->name);
	end = now_ms();
	if (!b->snapshot)
		b->snapshot = b->next;
	b->next++;
	if (suspended_ms)
		*suspended_ms = end - start;
	return end - start;
}

/* To the first snapshot taken: an id that nothing maps. */
double bare_revert(struct bare *b, double *suspended_ms)
{
	double start = now_ms(), suspend, end;

	bare_message(KERNEL_POOL, "create_snap %u %u", b->next, b->snapshot);
	load(b->name, b->next, b->bytes, DM_DEVICE_RELOAD);
	suspend = now_ms();
	simple(DM_DEVICE_SUSPEND, b->name);
	resume(b->name);
	end = now_ms();
	b->head = b->next++;
	if (suspended_ms)
		*suspended_ms = end - suspend;
	return end - start;
}

double bare_group_ms(struct bare *b, size_t n)
{
	double start = now_ms();

	for (size_t i = 0; i < n; i++)
		simple(DM_DEVICE_SUSPEND, b[i].name);
	for (size_t i = 0; i < n; i++)
		bare_message(KERNEL_POOL, "create_snap %u %u", b[i].next++, b[i].head);
	for (size_t i = 0; i < n; i++)
		resume(b[i].name);
	return now_ms() - start;
}

void bare_forget(struct bare *b)
{
	for (; b->oldest < b->next; b->oldest++) {
		if (b->oldest != b->head)
			bare_message(KERNEL_POOL, "delete %u", b->oldest);
	}
	b->snapshot = 0;
}

void bare_remove(struct bare *b)
{
	struct dm_task *t = task(DM_DEVICE_REMOVE, b->name);
	uint32_t cookie = 0;

	if (!dm_task_set_cookie(t, &cookie, 0))
		die("no cookie");
	run(t, b->name);
	(void)dm_udev_wait(cookie);
	bare_forget(b);
	if (b->head != b->first)
		bare_message(KERNEL_POOL, "delete %u", b->head);
	bare_message(KERNEL_POOL, "delete %u", b->first);
}
