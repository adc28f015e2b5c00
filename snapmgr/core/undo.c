/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_undo(): the head swapped with an undo point, or undo points forgotten. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"
#include "snapmgr/core/rewrite.h"
#include "snapmgr/core/store.h"
#include "snapmgr/core/strategy.h"
#include "snapmgr/core/together.h"

static int none_left(const struct sm_found *f, struct snapmgr_err *err)
{
	return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT,
		       "%s '%s/%s' has no undo point: nothing was reverted",
		       f->has_group ? "no volume of group" : "volume", f->pool.row.name,
		       f->has_group ? f->group.name : f->volume.c.name);
}

struct drop {
	struct scat_undo undos[128];
	size_t n;
};

static int keep(const struct scat_undo *undo, void *data)
{
	struct drop *drop = data;

	drop->undos[drop->n++] = *undo;
	return drop->n == SM_ARRAY(drop->undos);
}

static int drop_one(struct sm_pool *pool, const struct scat_volume *v, const struct scat_undo *u,
		    struct snapmgr_err *err)
{
	struct sdm_info info;
	struct sm_vdev dev;
	int r;

	sm_undo_device(pool, v, u, 0, &dev);
	r = sm_vdev_info(&pool->b, &dev, &info, err);
	if (r < 0)
		return r;
	if (info.exists)
		return sm_fail(err, SNAPMGR_IN_USE, EBUSY,
			       "an undo point of '%s/%s' is active: deactivate '%s' first",
			       pool->row.name, v->c.name, dev.dm.link);
	r = scat_undo_delete(pool->cat, u->id, err);
	return r == 0 ? scat_garbage_add(pool->cat, u->thin, err) : r;
}

static int leave_message(struct sm_pool *pool, const struct scat_volume *v, size_t n,
			 struct snapmgr_err *err)
{
	char text[SNAPMGR_MESSAGE_MAX];
	const struct sm_message m = { .level = "info",
				      .verb = "undo-drop",
				      .kind = "volume",
				      .object = &v->c.uuid,
				      .project = v->c.project,
				      .text = text };

	(void)snprintf(text, sizeof(text), "%zu undo point%s of volume '%s/%s' dropped", n,
		       n == 1 ? " was" : "s were", pool->row.name, v->c.name);
	return sm_message(pool, &m, err);
}

/* @only: NULL: all. Return: how many, in the transaction that is open, or a negative errno. */
static int drop_of(struct sm_pool *pool, const struct scat_volume *v, const struct scat_undo *only,
		   struct snapmgr_err *err)
{
	AUTO(free) struct drop *drop = calloc(1, sizeof(*drop));
	int r;

	if (!drop)
		return sm_nomem(err);
	r = only ? keep(only, drop) : scat_undo_each(pool->cat, v->id, keep, drop, err);
	for (size_t i = 0; i < drop->n && r >= 0; i++)
		r = drop_one(pool, v, &drop->undos[i], err);
	if (r >= 0 && drop->n)
		r = leave_message(pool, v, drop->n, err);
	return r < 0 ? r : (int)drop->n;
}

static int drop_of_group(struct sm_found *f, struct snapmgr_err *err)
{
	AUTO(sm_volumes_free) struct sm_volumes volumes = { 0 };
	int r = sm_group_volumes(&f->pool, &f->group, &volumes, err), n = 0;

	for (size_t i = 0; i < volumes.n && r >= 0; i++) {
		r = drop_of(&f->pool, &volumes.v[i], NULL, err);
		n += r;
	}
	return r < 0 ? r : n;
}

static int drop_points(struct sm_found *f, bool dry_run, struct snapmgr_err *err)
{
	int r = scat_begin(f->pool.cat, err);

	if (r == 0)
		r = f->has_group ?
			    drop_of_group(f, err) :
			    drop_of(&f->pool, &f->volume, f->has_undo ? &f->undo : NULL, err);
	if (r == 0)
		r = none_left(f, err);
	if (r > 0)
		r = dry_run ? 0 : scat_commit(f->pool.cat, true, err);
	scat_rollback(f->pool.cat);
	if (r == 0 && !dry_run)
		(void)sm_garbage_drop(&f->pool, NULL); /* what stays is garbage still */
	if (r == 0 && !dry_run && !f->has_group)
		sm_store_refresh(&f->pool, f->volume.id);
	return r;
}

static int swap(struct sm_found *f, struct sm_displace *d, struct snapmgr_err *err)
{
	int r = sm_op_begin(&f->pool, "undo", f->volume.c.name, NULL,
			    f->pool.b.driver->stores ? 0 : f->volume.c.thin, err);

	if (r < 0)
		return r;
	d->swap = &f->undo;
	d->change.swap = true;
	d->change.thin = f->undo.thin;
	d->change.parent = f->undo.parent;
	if (f->pool.b.driver->stores)
		return sm_merge(&f->pool, d, f->undo.thin, NULL, err);
	if (sm_rewrite_wanted(&f->pool)) {
		r = sm_rewrite(&f->pool, d, NULL, err);
		if (r < 0 && r != -ECANCELED && f->pool.lock.held)
			sm_message_volume_failed(&f->pool, &f->volume, err);
		return r;
	}
	r = sm_displace(&f->pool, d, 1, err);
	if (r < 0 && sm_head_abort(&f->pool, &d->change))
		sm_message_volume_failed(&f->pool, &f->volume, err);
	return r;
}

static int tell(struct sm_found *f, const struct sm_displace *d, uint64_t start_ns,
		struct snapmgr_revert_result *ret, struct snapmgr_err *err)
{
	const char *ways[SM_WAYS];
	struct scat_snapshot s;
	int r = sm_object_volume(&f->pool, &f->volume, &ret->volume, err);

	ret->snapshot = (struct snapmgr_object){ 0 };
	if (r == 0 && f->volume.c.parent &&
	    scat_snapshot_by_id(f->pool.cat, f->volume.c.parent, &s, NULL) == 0)
		r = sm_visit_snapshot(&f->pool, &s, sm_keep_object, &ret->snapshot, err);
	sm_strategies(f->pool.b.driver, &f->pool.b, ways);
	(void)sm_copy_text(ret->strategy, sizeof(ret->strategy), ways[0] ? ways[0] : "");
	(void)strcpy(ret->reason, "the head and the undo point change places");
	ret->move_bytes = 0;
	ret->in_place = true;
	ret->kept[0] = '\0';
	ret->undo = true; /* the other half of the swap */
	ret->suspended_us = d->change.suspended_ns / 1000;
	ret->elapsed_us = (sm_monotonic_ns() - start_ns) / 1000;
	return r;
}

static int find_point(struct sm_found *f, struct snapmgr_err *err)
{
	int r = f->has_undo ? 0 : scat_undo_nth(f->pool.cat, f->volume.id, 0, &f->undo, err);

	if (r == -ENOENT)
		return none_left(f, err);
	f->has_undo = r == 0;
	return r;
}

int sm_undo_check(struct sm_pool *pool, const struct scat_volume *v, const struct scat_undo *u,
		  struct snapmgr_err *err)
{
	struct sdm_info info;
	struct sm_vdev dev;
	int r = sm_volume_ready(pool, v, true, err);

	if (r < 0)
		return r;
	if (!sm_driver_reverts(pool->b.driver))
		return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			       "pool '%s' cannot revert in place", pool->row.name);
	sm_undo_device(pool, v, u, 0, &dev);
	r = sm_vdev_info(&pool->b, &dev, &info, err);
	if (r < 0 || !info.exists)
		return r;
	return sm_fail(err, SNAPMGR_IN_USE, EBUSY,
		       "the undo point is active: deactivate '%s' first", dev.dm.link);
}

static int check(struct sm_found *f, struct sm_space *space, struct snapmgr_err *err)
{
	int r = find_point(f, err);

	if (r == 0)
		r = sm_undo_check(&f->pool, &f->volume, &f->undo, err);
	return r == 0 ? sm_space_for(&f->pool, "undo", space, err) : r;
}

static int is_of_store(const struct scat_undo *u, void *data)
{
	return u->thin == *(const uint32_t *)data;
}

/* What the kernel gave up is finished first. Return: 1 where that was an undo itself. */
static int finish_failed(struct sm_found *f, struct snapmgr_err *err)
{
	uint32_t store = 0;
	bool was_undo;
	int r;

	if (!f->pool.b.driver->stores ||
	    scat_merge_get(f->pool.cat, f->volume.id, &store, NULL) < 0)
		return 0;
	r = scat_undo_each(f->pool.cat, f->volume.id, is_of_store, &store, err);
	was_undo = r > 0;
	if (r >= 0)
		r = sm_merge_resume(&f->pool, &f->volume, NULL, err);
	return r > 0 ? was_undo : r;
}

int snapmgr_undo(struct snapmgr *sm, const char *spec, const struct snapmgr_undo_opts *opts,
		 struct snapmgr_revert_result *ret, struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_undo_opts, o, opts);
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	AUTO(sm_displace_release)
	struct sm_displace d = { .online = o.online,
				 .remount = o.remount,
				 .force = o.force,
				 .claim.fd = -1,
				 .change.timed = ret };
	const uint64_t start_ns = ret ? sm_monotonic_ns() : 0;
	struct snapmgr_err why;
	struct sm_space space;
	bool done;
	int r;

	err = err ? err : &why;
	r = sm_find(sm, spec, SM_WANT_VOLUME | SM_WANT_UNDO | SM_WANT_GROUP, true, &f, err);
	if (r < 0)
		return r;
	if (o.drop)
		return drop_points(&f, o.dry_run, err);
	if (f.has_group)
		return sm_undo_group(&f, &o, start_ns, ret, err);
	r = o.dry_run ? 0 : finish_failed(&f, err);
	done = r > 0;
	if (r == 0)
		r = check(&f, &space, err);
	if (r == 0)
		r = sm_merge_check(&f.pool, &d, err);
	d.volume = &f.volume;
	d.change.size_bytes = f.undo.size_bytes;
	d.at_once = sm_switches_at_once(&f.pool);
	if (r == 0)
		r = sm_displace_prepare(&f.pool, &d, 1, space.out_of_data, o.dry_run, err);
	if (r == 0 && !o.dry_run)
		r = swap(&f, &d, err);
	r = sm_displace_finish(&f.pool, &d, 1, done ? 0 : r, err);
	return r == 0 && ret ? tell(&f, &d, start_ns, ret, err) : r;
}
