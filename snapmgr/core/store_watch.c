/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stores that fill: longer before they are full, and known as lost afterwards. */
#include <errno.h>
#include <inttypes.h>

#include "snapmgr/core/store.h"

#define GROW_BY 5u /* one part in this many of the volume */

struct watch {
	struct sm_pool *pool;
	sm_store_tell_fn *tell;
	void *data;
	struct sm_limits limits;
};

static void say(const struct watch *w, const char *level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void say(const struct watch *w, const char *level, const char *fmt, ...)
{
	char text[SNAPMGR_MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	w->tell(level, text, w->data);
}

static void name_of(const struct watch *w, const struct scat_volume *v,
		    const struct sm_store *store, char ret[SNAPMGR_SPEC_TEXT])
{
	struct scat_snapshot s;
	char uuid[SNAPMGR_UUID_TEXT];

	sm_uuid_text(&store->uuid, uuid);
	if (!store->of_undo && scat_snapshot_by_id(w->pool->cat, store->row, &s, NULL) == 0)
		(void)snprintf(ret, SNAPMGR_SPEC_TEXT, "%s/%s@%s", w->pool->row.name, v->c.name,
			       s.c.name);
	else
		(void)snprintf(ret, SNAPMGR_SPEC_TEXT, "%s/%s@%s", w->pool->row.name, v->c.name,
			       uuid);
}

/* Stored, so that it is told once and known also where the pool is inactive. */
static int mark_lost(struct watch *w, const struct scat_volume *v, const struct sm_store *store,
		     struct snapmgr_err *err)
{
	char name[SNAPMGR_SPEC_TEXT];
	struct scat *cat = w->pool->cat;
	struct scat_snapshot s;
	int r = store->of_undo ? -ENOENT : scat_snapshot_by_id(cat, store->row, &s, err);

	if (r < 0 || s.c.state != SCAT_AVAILABLE)
		return r == -ENOENT ? 0 : r;
	s.c.state = SCAT_ERROR;
	r = scat_begin(cat, err);
	if (r == 0)
		r = scat_snapshot_update(cat, &s, err);
	if (r == 0)
		r = scat_commit(cat, true, err);
	scat_rollback(cat);
	name_of(w, v, store, name);
	if (r == 0)
		say(w, "error",
		    "the store of '%s' was full when something had to be kept in it: what it held is lost, "
		    "'snapmgr delete %s' frees its room",
		    name, name);
	return r;
}

/* Where the catalogue has given it more than the kernel knows, somebody died in between. */
static int grow(struct watch *w, const struct scat_volume *v, const struct sm_store *store,
		uint64_t total_sectors, struct snapmgr_err *err)
{
	const uint64_t most = w->pool->b.driver->stores->store_most(&w->pool->b, store->size_bytes);
	uint64_t more = v->c.size_bytes / SM_SECTOR / GROW_BY, have;
	char name[SNAPMGR_SPEC_TEXT];
	int r = scat_extent_sum(w->pool->cat, store->id, &have, err);

	if (r < 0 || (have <= total_sectors && total_sectors >= most))
		return r;
	if (more > most - total_sectors)
		more = most - total_sectors;
	r = have > total_sectors ? sm_store_follow(w->pool, store->id, err) :
				   sm_store_grow(w->pool, store->id, more, err);
	name_of(w, v, store, name);
	if (r == 0)
		say(w, "info", "the store of '%s' is longer now, since it had become %u%% full",
		    name, w->limits.grow_at);
	return r;
}

static int look(struct watch *w, const struct scat_volume *v, const struct sm_store *store,
		struct snapmgr_err *err)
{
	struct sdm_store_status s;
	int r = sm_store_status(w->pool, store->id, &s, err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (s.state == SDM_STORE_LOST)
		return mark_lost(w, v, store, err);
	if (s.state != SDM_STORE_VALID ||
	    s.used_sectors < s.total_sectors / 100 * w->limits.grow_at)
		return 0;
	return grow(w, v, store, s.total_sectors, err);
}

static int look_at_volume(struct watch *w, const struct scat_volume *v, struct snapmgr_err *err)
{
	AUTO(sm_stores_free) struct sm_stores all = { 0 };
	int r = sm_stores_of(w->pool, v->id, &all, err), first = 0;

	for (size_t i = 0; i < all.n && r >= 0; i++) {
		int one = look(w, v, &all.v[i], first < 0 ? NULL : err);

		first = first < 0 ? first : one; /* one without room leaves the others theirs */
	}
	return r < 0 ? r : first;
}

int sm_store_watch(struct sm_pool *pool, sm_store_tell_fn *tell, void *data,
		   struct snapmgr_err *err)
{
	struct watch w = { .pool = pool, .tell = tell, .data = data };
	AUTO(sm_volumes_free) struct sm_volumes all = { 0 };
	int r = sm_limits_get(pool, &w.limits, err), first = 0;

	if (r == 0)
		r = sm_volumes_all(pool, &all, err);

	for (size_t i = 0; i < all.n && r >= 0; i++) {
		int one = all.v[i].c.state == SCAT_AVAILABLE ?
				  look_at_volume(&w, &all.v[i], first < 0 ? NULL : err) :
				  0;

		first = first < 0 ? first : one;
	}
	return r < 0 ? r : first;
}
