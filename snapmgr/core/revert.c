/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_revert(): a volume reads as one of its snapshots again, in place. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/core/create.h"
#include "snapmgr/core/displace.h"
#include "snapmgr/core/fill.h"
#include "snapmgr/core/rewrite.h"
#include "snapmgr/core/store.h"
#include "snapmgr/core/strategy.h"
#include "snapmgr/core/together.h"

/* The volume that is to read as the snapshot: its own, or the one that was named. */
static int find_target(struct sm_found *f, const char *target, enum sm_reach *ret_reach,
		       struct snapmgr_err *err)
{
	char spec[SNAPMGR_SPEC_TEXT];
	struct sm_found t;
	struct sm_uuid uuid;
	int r;

	*ret_reach = SM_OWN_VOLUME;
	if (!target && f->has_volume)
		return 0;
	if (!target)
		return sm_fail(
			err, SNAPMGR_NOT_FOUND, ENOENT,
			"the volume of snapshot '%s' is gone: 'snapmgr clone' makes a new one of it, and "
			"--target reverts another",
			f->snapshot.c.name);
	if (strchr(target, '/') || sm_uuid_parse(target, &uuid))
		r = sm_copy_text(spec, sizeof(spec), target);
	else
		r = snprintf(spec, sizeof(spec), "%s/%s", f->pool.row.name, target) <
				    (int)sizeof(spec) ?
			    0 :
			    -ENAMETOOLONG;
	if (r < 0)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "'%.80s...' names no volume", target);
	r = sm_find_in(f, spec, SM_WANT_VOLUME, &t, err);
	if (r < 0)
		return r;
	if (!f->has_volume || t.volume.id != f->volume.id)
		*ret_reach = SM_SAME_POOL;
	f->volume = t.volume;
	f->has_volume = true;
	return 0;
}

static int check_latest(struct sm_pool *pool, const struct scat_snapshot *s,
			struct snapmgr_err *err)
{
	struct scat_snapshot newest;
	int r = scat_snapshot_latest(pool->cat, s->volume, 0, &newest, err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (newest.id == s->id)
		return 0;
	return sm_fail(err, SNAPMGR_NOT_LATEST, ESTALE,
		       "'%s/%s@%s' is not the latest snapshot of its volume: '@%s' is",
		       pool->row.name, s->volume_name, s->c.name, newest.c.name);
}

int sm_revert_support(const struct sm_pool *pool, const struct scat_volume *v,
		      struct snapmgr_err *err)
{
	if (v->revert_support)
		return 0;
	return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
		       "volume '%s/%s' was made without support for reverts (property "
		       "revert_to_snapshot_support)",
		       pool->row.name, v->c.name);
}

/* A clone leaves the volume alone, so that it matters only where the driver has another way. */
static int check_support(const struct sm_pool *pool, const struct scat_volume *v, bool allow_clone,
			 struct snapmgr_err *err)
{
	return allow_clone && !sm_driver_reverts(pool->b.driver) ? 0 :
								   sm_revert_support(pool, v, err);
}

int sm_revert_check(struct sm_pool *pool, const struct scat_volume *v,
		    const struct scat_snapshot *s, bool latest_only, bool allow_clone,
		    struct snapmgr_err *err)
{
	int r = check_support(pool, v, allow_clone, err);

	if (r == 0)
		r = sm_volume_ready(pool, v, true, err);
	if (r == 0)
		r = sm_snapshot_ready(pool, s, err);
	return r == 0 && latest_only ? check_latest(pool, s, err) : r;
}

/* Sizes cost a look at the metadata, and are asked for only where they matter. */
static int choose(struct sm_found *f, const struct snapmgr_revert_opts *o, enum sm_reach reach,
		  struct sm_strategy *ret, struct snapmgr_err *err)
{
	struct sm_choice c = {
		.driver = f->pool.b.driver,
		.backend = &f->pool.b,
		.reach = reach,
		.mapped_bytes = f->snapshot.used_bytes,
		.changed_bytes = SM_UNKNOWN_BYTES,
		.forced = o->strategy,
		.allow_clone = o->allow_clone,
	};
	int r = sm_strategy_choose(&c, ret, err);

	if (r < 0 || ret->move_bytes == 0 || !c.driver->beside || reach != SM_OWN_VOLUME)
		return r;
	r = sm_fill_measure(f, &c.changed_bytes, err);
	return r == 0 ? sm_strategy_choose(&c, ret, err) : r;
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

static int repoint(struct sm_found *f, struct sm_displace *d, struct snapmgr_err *err)
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
	if (r == 0 && sm_rewrite_wanted(&f->pool)) {
		d->change.thin = id;
		r = sm_rewrite(&f->pool, d, &f->snapshot, err);
		if (r < 0 && r != -ECANCELED && f->pool.lock.held)
			sm_message_volume_failed(&f->pool, &f->volume, err);
		return r;
	}
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

static int switch_now(struct sm_found *f, struct sm_displace *d, bool dry_run,
		      struct snapmgr_err *err)
{
	struct sm_space space;
	int r = sm_space_for(&f->pool, "revert", &space, err);

	if (r == 0 && !d->no_undo)
		r = sm_displace_check_undo(&f->pool, &f->volume, err);
	d->at_once = sm_switches_at_once(&f->pool);
	if (r == 0)
		r = sm_displace_prepare(&f->pool, d, 1, space.out_of_data, dry_run, err);
	return r == 0 && !dry_run ? repoint(f, d, err) : r;
}

/* @kept: the volume beside which a clone was made. */
static int by_strategy(struct sm_found *f, struct sm_displace *d, struct sm_strategy *strategy,
		       bool dry_run, char kept[SNAPMGR_NAME_MAX + 1], struct snapmgr_err *err)
{
	int r;

	if (strcmp(strategy->name, "clone") != 0)
		return sm_strategy_copies(f->pool.b.driver, strategy) && !dry_run ?
			       sm_fill_revert(f, d, strategy, err) :
			       switch_now(f, d, dry_run, err);
	r = sm_revert_clone(f, dry_run, kept, err);
	if (r == 0 && !dry_run) {
		sm_pool_settle(&f->pool);
		sm_backup(&f->pool);
	}
	return r;
}

/*
 * A revert that the kernel gave up is finished before another one begins. Return: 1 where that was what is
 * asked for.
 */
static int finish_failed(struct sm_found *f, bool dry_run, struct sm_strategy *strategy,
			 struct snapmgr_err *err)
{
	uint32_t source = 0;
	int done = dry_run ? 0 : sm_merge_resume(&f->pool, &f->volume, &source, err);
	int r = done > 0 ? scat_snapshot_by_id(f->pool.cat, f->snapshot.id, &f->snapshot, err) :
			   done;

	if (r < 0 || !done || source != f->snapshot.c.thin)
		return r;
	*strategy = (struct sm_strategy){
		.name = "merge",
		.reason = "the revert that the kernel had given up went on where it stopped",
		.in_place = true,
	};
	return 1;
}

/* ---- a volume of another pool ---- */

/* Its own error is left for who looks for it in this pool. */
static bool is_elsewhere(const struct sm_found *f, const char *target, struct sm_spec *ret)
{
	return target && strchr(target, '/') && sm_spec_parse(target, ret, NULL) == 0 &&
	       ret->volume[0] && !ret->snapshot[0] && sm_same_pool(&f->pool, ret->pool, NULL) < 0;
}

static int choose_across(struct snapmgr *sm, const struct sm_spec *to, uint64_t mapped_bytes,
			 const struct snapmgr_revert_opts *o, struct sm_strategy *ret,
			 struct snapmgr_err *err)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct sm_choice c = {
		.reach = SM_OTHER_POOL,
		.mapped_bytes = mapped_bytes,
		.changed_bytes = SM_UNKNOWN_BYTES,
		.forced = o->strategy,
		.allow_clone = o->allow_clone,
	};
	int r = sm_pool_open(sm, to->pool, false, &pool, err);

	c.driver = pool.b.driver;
	c.backend = &pool.b;
	return r == 0 ? sm_strategy_choose(&c, ret, err) : r;
}

/* The locks of the two pools are taken one after the other, and this one's is given up first. */
static int revert_across(struct snapmgr *sm, struct sm_found *f, const struct sm_spec *to,
			 const struct snapmgr_revert_opts *o, struct snapmgr_revert_result *ret,
			 struct snapmgr_err *err)
{
	struct snapmgr_revert_result result = { .in_place = true };
	struct snapmgr_copy_result copied = { 0 };
	const uint64_t mapped_bytes = f->pool.b.driver->stores ? f->snapshot.c.size_bytes :
								 f->snapshot.used_bytes;
	char uuid[SNAPMGR_UUID_TEXT];
	struct sm_strategy strategy;
	int r = sm_snapshot_ready(&f->pool, &f->snapshot, err);

	if (r == 0 && o->latest_only)
		r = check_latest(&f->pool, &f->snapshot, err);
	if (r == 0)
		r = sm_visit_snapshot(&f->pool, &f->snapshot, sm_keep_object, &result.snapshot,
				      err);
	sm_uuid_text(&f->snapshot.c.uuid, uuid);
	sm_found_close(f);
	if (r == 0)
		r = choose_across(sm, to, mapped_bytes, o, &strategy, err);
	if (r == 0)
		r = sm_copy_revert(sm, uuid, to, o, &result.volume, &copied, err);
	if (r < 0)
		return r;
	(void)sm_copy_text(result.strategy, sizeof(result.strategy), strategy.name);
	(void)sm_copy_text(result.reason, sizeof(result.reason), strategy.reason);
	result.move_bytes = o->dry_run ? strategy.move_bytes : copied.moved_bytes;
	result.undo = o->dry_run ? !o->no_undo && result.volume.undo_keep > 0 : copied.undo;
	if (ret)
		*ret = result;
	return 0;
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
	enum sm_reach reach = SM_OWN_VOLUME;
	char kept[SNAPMGR_NAME_MAX + 1] = "";
	struct sm_strategy strategy;
	struct sm_spec other;
	struct snapmgr_err why;
	bool done = false;
	int r;

	err = err ? err : &why;
	r = sm_params_check(o.params, o.n_params, err);
	if (r == 0)
		r = sm_find(sm, spec, SM_WANT_SNAPSHOT | SM_WANT_SET | SM_WANT_HELD, true, &f, err);
	if (r == 0 && f.has_set)
		return sm_revert_group(&f, &o, start_ns, ret, err);
	if (r == 0 && is_elsewhere(&f, o.target, &other)) {
		r = revert_across(sm, &f, &other, &o, ret, err);
		if (r == 0 && ret)
			ret->elapsed_us = (sm_monotonic_ns() - start_ns) / 1000;
		return r;
	}
	if (r == 0)
		r = find_target(&f, o.target, &reach, err);
	if (r == 0)
		r = finish_failed(&f, o.dry_run, &strategy, err);
	done = r > 0;
	if (r == 0)
		r = sm_revert_check(&f.pool, &f.volume, &f.snapshot, o.latest_only, o.allow_clone,
				    err);
	if (r == 0)
		r = choose(&f, &o, reach, &strategy, err);
	if (r == 0)
		sm_strategy_apply(&f.pool.b, &strategy);
	if (r == 0)
		r = sm_merge_check(&f.pool, &d, err);
	d.volume = &f.volume;
	d.change.size_bytes = f.snapshot.c.size_bytes;
	if (r == 0)
		r = by_strategy(&f, &d, &strategy, o.dry_run, kept, err);
	r = sm_displace_finish(&f.pool, &d, 1, done ? 0 : r, err);
	if (r == 0)
		r = tell(&f, &strategy, ret, err);
	if (r == 0 && ret) {
		(void)sm_copy_text(ret->kept, sizeof(ret->kept), kept);
		ret->undo = *kept ? false :
			    done  ? scat_undo_nth(f.pool.cat, f.volume.id, 0, &f.undo, NULL) == 0 :
			    o.dry_run ? !o.no_undo && f.volume.undo_keep > 0 :
					d.kept;
		ret->suspended_us = d.change.suspended_ns / 1000;
		ret->elapsed_us = (sm_monotonic_ns() - start_ns) / 1000;
	}
	return r;
}
