/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Thin pools of the fake kernel. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fake_state.h"

static const struct device *meta_of(const struct device *pool)
{
	if (!pool || !pool->live.n || strcmp(pool->live.targets[0].type, "thin-pool") != 0)
		return NULL;
	return fake_named(pool->live.targets[0].params);
}

struct pool *fake_pool_of(const struct device *dev)
{
	const struct device *meta = meta_of(dev);

	for (struct pool *p = k.pools; meta && p < k.pools + SM_ARRAY(k.pools); p++) {
		if (!*p->meta_uuid)
			(void)sm_copy_text(p->meta_uuid, sizeof(p->meta_uuid), meta->uuid);
		if (strcmp(p->meta_uuid, meta->uuid) == 0)
			return p;
	}
	return NULL;
}

static struct thin *find_thin(const struct pool *p, uint32_t id)
{
	for (struct thin *t = k.thins; p && t < k.thins + THINS_MAX; t++)
		if (t->used && t->id == id && strcmp(t->meta_uuid, p->meta_uuid) == 0)
			return t;
	return NULL;
}

struct thin *fake_thin_of(const struct table *t)
{
	if (!t->n || strcmp(t->targets[0].type, "thin") != 0)
		return NULL;
	return find_thin(fake_pool_of(fake_named(t->targets[0].params)),
			 (uint32_t)strtoul(fake_word(t->targets[0].params, 1), NULL, 10));
}

static int new_thin(const struct pool *p, uint32_t id, uint64_t value)
{
	if (find_thin(p, id))
		return -EEXIST;
	for (struct thin *t = k.thins; t < k.thins + THINS_MAX; t++) {
		if (t->used)
			continue;
		*t = (struct thin){ .used = true, .id = id, .value = value };
		(void)sm_copy_text(t->meta_uuid, sizeof(t->meta_uuid), p->meta_uuid);
		return 0;
	}
	return -ENOSPC;
}

static int snap_thin(const struct pool *p, uint32_t id, uint32_t origin)
{
	const struct thin *t = find_thin(p, origin);

	if (!t)
		return -ENODATA;
	for (const struct device *d = k.devices; d < k.devices + DEVICES_MAX; d++)
		if (d->used && !d->suspended && fake_thin_of(&d->live) == t)
			fake_violation("snapshot of a running origin", d->name);
	return new_thin(p, id, t->value);
}

static int delete_thin(const struct pool *p, uint32_t id)
{
	struct thin *t = find_thin(p, id);

	if (!t)
		return -ENODATA;
	for (const struct device *d = k.devices; d < k.devices + DEVICES_MAX; d++)
		if (d->used && (fake_thin_of(&d->live) == t || fake_thin_of(&d->inactive) == t))
			return -EBUSY;
	t->used = false;
	return 0;
}

static int set_transaction(struct pool *p, uint64_t from, uint64_t to)
{
	if (p->transaction != from)
		return -EINVAL;
	p->transaction = to;
	return 0;
}

static int hold(struct pool *p, bool want)
{
	if (p->held == want)
		return want ? -EBUSY : -EINVAL;
	p->held = want;
	return 0;
}

int fake_obey(struct pool *p, const char *text)
{
	uint64_t a, b;

	if (sscanf(text, "create_thin %" SCNu64, &a) == 1)
		return new_thin(p, (uint32_t)a, 0);
	if (sscanf(text, "create_snap %" SCNu64 " %" SCNu64, &a, &b) == 2)
		return snap_thin(p, (uint32_t)a, (uint32_t)b);
	if (sscanf(text, "delete %" SCNu64, &a) == 1)
		return delete_thin(p, (uint32_t)a);
	if (sscanf(text, "set_transaction_id %" SCNu64 " %" SCNu64, &a, &b) == 2)
		return set_transaction(p, a, b);
	if (strcmp(text, "reserve_metadata_snap") == 0)
		return hold(p, true);
	if (strcmp(text, "release_metadata_snap") == 0)
		return hold(p, false);
	return -EINVAL;
}

bool fake_kernel_has_thin(const char *pool, uint32_t id)
{
	return find_thin(fake_pool_of(fake_find(pool)), id);
}

unsigned int fake_kernel_thins(const char *pool)
{
	const struct pool *p = fake_pool_of(fake_find(pool));
	unsigned int n = 0;

	for (const struct thin *t = k.thins; p && t < k.thins + THINS_MAX; t++)
		n += t->used && strcmp(t->meta_uuid, p->meta_uuid) == 0;
	return n;
}
