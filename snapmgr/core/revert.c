/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_revert(): a volume reads as one of its snapshots again, in place. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/core/core.h"
#include "snapmgr/core/displace.h"
#include "snapmgr/core/store.h"
#include "snapmgr/core/strategy.h"
#include "snapmgr/core/together.h"

static bool pool_is(const struct sm_found *f, const char *name, size_t len)
{
	return strlen(f->pool.row.name) == len && strncmp(name, f->pool.row.name, len) == 0;
}

static int check_target(struct sm_found *f, const char *target, struct snapmgr_err *err)
{
	struct sm_uuid uuid;
	const char *slash;

	if (!target)
		return 0;
	if (sm_uuid_parse(target, &uuid) ?
		    sm_uuid_equal(&uuid, &f->volume.c.uuid) :
		    (slash = strchr(target, '/'),
		     strcmp(slash ? slash + 1 : target, f->volume.c.name) == 0 &&
			     (!slash || pool_is(f, target, (size_t)(slash - target)))))
		return 0;
	return sm_fail(
		err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
		"'%.80s' is not the volume that '%s/%s@%s' was taken of: reverting another volume is a copy",
		target, f->pool.row.name, f->volume.c.name, f->snapshot.c.name);
}

static int check_latest(struct sm_pool *pool, const struct scat_volume *v,
			const struct scat_snapshot *s, struct snapmgr_err *err)
{
	struct scat_snapshot newest;
	int r = scat_snapshot_latest(pool->cat, v->id, 0, &newest, err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (newest.id == s->id)
		return 0;
	return sm_fail(err, SNAPMGR_NOT_LATEST, ESTALE,
		       "'%s/%s@%s' is not the latest snapshot of its volume: '@%s' is",
		       pool->row.name, v->c.name, s->c.name, newest.c.name);
}

int sm_revert_check(struct sm_pool *pool, const struct scat_volume *v,
		    const struct scat_snapshot *s, bool latest_only, struct snapmgr_err *err)
{
	int r;

	if (!v->revert_support)
		return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			       "volume '%s/%s' was made without support for reverts (property "
			       "revert_to_snapshot_support)",
			       pool->row.name, v->c.name);
	r = sm_volume_ready(pool, v, true, err);
	if (r == 0)
		r = sm_snapshot_ready(pool, s, err);
	return r == 0 && latest_only ? check_latest(pool, v, s, err) : r;
}

static int check(struct sm_found *f, const struct snapmgr_revert_opts *o, struct snapmgr_err *err)
{
	int r;

	if (!f->has_volume)
		return sm_fail(
			err, SNAPMGR_NOT_FOUND, ENOENT,
			"the volume of snapshot '%s' is gone: 'snapmgr clone' makes a new one of it",
			f->snapshot.c.name);
	r = check_target(f, o->target, err);
	return r == 0 ? sm_revert_check(&f->pool, &f->volume, &f->snapshot, o->latest_only, err) :
			r;
}

static int tell(struct sm_found *f, const struct sm_strategy *strategy,
		struct snapmgr_revert_result *ret, struct snapmgr_err *err)
{
	int r;

	if (!ret)
		return 0;
	r = sm_object_volume(&f->pool, &f->volume, &ret->volume, err);
	if (r == 0)
		r = sm_visit_snapshot(&f->pool, &f->snapshot, sm_keep_object, &ret->snapshot, err);
	(void)sm_copy_text(ret->strategy, sizeof(ret->strategy), strategy->name);
	(void)sm_copy_text(ret->reason, sizeof(ret->reason), strategy->reason);
	ret->move_bytes = strategy->move_bytes;
	ret->in_place = strategy->in_place;
	return r;
}

static int do_revert(struct sm_found *f, struct sm_displace *d, struct snapmgr_err *err)
{
	struct sm_copy_source source;
	bool made = false;
	uint32_t id;
	int r = sm_op_begin(&f->pool, "revert", f->volume.c.name, f->snapshot.c.name,
			    f->pool.b.driver->stores ? 0 : f->volume.c.thin, err);

	if (r < 0)
		return r;
	d->change.parent = f->snapshot.id;
	if (f->pool.b.driver->stores)
		return sm_merge(&f->pool, d, f->snapshot.c.thin, &f->snapshot, err);
	sm_copy_source(f, &source);
	d->change.volume = &f->volume;
	d->change.snapshot = &f->snapshot;
	r = sm_id_make(&f->pool, sm_make_copy, &source, &id, err);
	if (r == 0) {
		d->change.thin = id;
		r = sm_displace(&f->pool, d, 1, err);
		made = true;
	}
	if (r == 0 || !sm_head_abort(&f->pool, &d->change))
		return r;
	if (made)
		(void)f->pool.b.driver->drop(&f->pool.b, id, NULL); /* keep the first error */
	sm_message_volume_failed(&f->pool, &f->volume, err);
	return r;
}

int snapmgr_revert(struct snapmgr *sm, const char *spec, const struct snapmgr_revert_opts *opts,
		   struct snapmgr_revert_result *ret, struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_revert_opts, o, opts);
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	AUTO(sm_displace_release)
	struct sm_displace d = { .online = o.online,
				 .remount = o.remount,
				 .force = o.force,
				 .no_undo = o.no_undo,
				 .change.timed = ret,
				 .claim.fd = -1 };
	const uint64_t start_ns = ret ? sm_monotonic_ns() : 0;
	struct sm_strategy strategy;
	struct snapmgr_err why;
	struct sm_space space;
	int r;

	err = err ? err : &why;
	r = sm_params_check(o.params, o.n_params, err);
	if (r == 0)
		r = sm_find(sm, spec, SM_WANT_SNAPSHOT | SM_WANT_SET, true, &f, err);
	if (r == 0 && f.has_set)
		return sm_revert_group(&f, &o, start_ns, ret, err);
	if (r == 0)
		r = check(&f, &o, err);
	if (r == 0)
		r = sm_strategy_choose(f.pool.b.driver, o.strategy, &strategy, err);
	if (r == 0)
		r = sm_merge_check(&f.pool, &d, err);
	if (r == 0)
		r = sm_space_for(&f.pool, "revert", &space, err);
	if (r == 0 && !o.no_undo)
		r = sm_displace_check_undo(&f.pool, &f.volume, err);
	d.volume = &f.volume;
	d.change.size_bytes = f.snapshot.c.size_bytes;
	if (r == 0)
		r = sm_displace_prepare(&f.pool, &d, 1, space.out_of_data, o.dry_run, err);
	if (r == 0 && !o.dry_run)
		r = do_revert(&f, &d, err);
	r = sm_displace_finish(&f.pool, &d, 1, r, err);
	if (r == 0)
		r = tell(&f, &strategy, ret, err);
	if (r == 0 && ret) {
		ret->undo = o.dry_run ? !o.no_undo && f.volume.undo_keep > 0 : d.kept;
		ret->suspended_us = d.change.suspended_ns / 1000;
		ret->elapsed_us = (sm_monotonic_ns() - start_ns) / 1000;
	}
	return r;
}
