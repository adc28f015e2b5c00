/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_revert() of a group: all volumes that were in it then and are now, or none. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/strategy.h"
#include "snapmgr/core/together.h"

static int check_target(const struct sm_found *f, const char *target, struct snapmgr_err *err)
{
	struct sm_uuid uuid;
	struct sm_spec spec;

	if (!target)
		return 0;
	if (sm_uuid_parse(target, &uuid) ? sm_uuid_equal(&uuid, &f->group.uuid) :
	    !strchr(target, '/')	 ? strcmp(target, f->group.name) == 0 :
					   sm_spec_parse(target, &spec, NULL) == 0 &&
					   strcmp(spec.pool, f->pool.row.name) == 0 &&
					   strcmp(spec.volume, f->group.name) == 0)
		return 0;
	return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
		       "'%.80s' is not the group that '%s/%s@%s' was taken of", target,
		       f->pool.row.name, f->group.name, f->set.name);
}

/* A set that is not whole brings back no state that ever was. */
static int check_whole(const struct sm_found *f, const struct sm_snapshots *all,
		       struct snapmgr_err *err)
{
	for (size_t i = 0; i < all->n; i++) {
		char uuid[SNAPMGR_UUID_TEXT];

		if (all->v[i].volume)
			continue;
		sm_uuid_text(&all->v[i].c.uuid, uuid);
		return sm_fail(
			err, SNAPMGR_BAD_STATE, EBUSY,
			"a volume of '%s/%s@%s' is gone, so it cannot be brought back whole: 'snapmgr clone "
			"%s %s/NEW' makes that one anew, and each of the others can be reverted by itself",
			f->pool.row.name, f->group.name, f->set.name, uuid, f->pool.row.name);
	}
	if (all->n == f->set.members)
		return 0;
	return sm_fail(
		err, SNAPMGR_BAD_STATE, EBUSY,
		"'%s/%s@%s' has lost %u of its %u snapshots, so it cannot be brought back "
		"whole: each of the others can be reverted by itself ('snapmgr show %s/%s@%s')",
		f->pool.row.name, f->group.name, f->set.name, f->set.members - (unsigned int)all->n,
		f->set.members, f->pool.row.name, f->group.name, f->set.name);
}

static const struct scat_snapshot *snapshot_of(const struct sm_snapshots *all, int64_t volume)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->v[i].volume == volume)
			return &all->v[i];
	return NULL;
}

static bool is_member(const struct sm_volumes *all, int64_t volume)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->v[i].id == volume)
			return true;
	return false;
}

/* Those that were in it then and are now; the others are left alone. */
static int choose(struct sm_together *t, const struct sm_volumes *volumes,
		  const struct sm_snapshots *snapshots, struct snapmgr_err *err)
{
	struct scat_volume v;
	int r = 0;

	for (size_t i = 0; i < volumes->n && r == 0; i++) {
		const struct scat_snapshot *s = snapshot_of(snapshots, volumes->v[i].id);
		struct sm_member m = { .volume = volumes->v[i] };

		if (!s) {
			r = sm_together_leave(&t->late, &volumes->v[i], err);
			continue;
		}
		m.snapshot = *s;
		r = sm_together_add(t, &m, err);
	}
	for (size_t i = 0; i < snapshots->n && r == 0; i++) {
		if (is_member(volumes, snapshots->v[i].volume))
			continue;
		r = scat_volume_by_id(t->f->pool.cat, snapshots->v[i].volume, &v, err);
		if (r == 0)
			r = sm_together_leave(&t->gone, &v, err);
	}
	if (r == 0 && !t->n)
		r = sm_fail(err, SNAPMGR_BAD_STATE, EBUSY,
			    "none of the volumes of '%s/%s@%s' is in the group any more",
			    t->f->pool.row.name, t->f->group.name, t->f->set.name);
	return r;
}

static int collect(struct sm_together *t, struct snapmgr_err *err)
{
	AUTO(sm_snapshots_free) struct sm_snapshots snapshots = { 0 };
	AUTO(sm_volumes_free) struct sm_volumes volumes = { 0 };
	int r = sm_set_snapshots(&t->f->pool, &t->f->set, &snapshots, err);

	if (r == 0)
		r = check_whole(t->f, &snapshots, err);
	if (r == 0)
		r = sm_group_volumes(&t->f->pool, &t->f->group, &volumes, err);
	return r == 0 ? choose(t, &volumes, &snapshots, err) : r;
}

static void fill(const struct sm_together *t, const struct sm_strategy *strategy, uint64_t start_ns,
		 bool dry_run, struct snapmgr_revert_result *ret)
{
	(void)sm_copy_text(ret->strategy, sizeof(ret->strategy), strategy->name);
	(void)sm_copy_text(ret->reason, sizeof(ret->reason), strategy->reason);
	ret->move_bytes = strategy->move_bytes;
	ret->in_place = strategy->in_place;
	ret->undo = sm_together_kept(t);
	ret->suspended_us = dry_run ? 0 : sm_together_suspended_ns(t) / 1000;
	ret->elapsed_us = (sm_monotonic_ns() - start_ns) / 1000;
}

int sm_revert_group(struct sm_found *f, const struct snapmgr_revert_opts *o, uint64_t start_ns,
		    struct snapmgr_revert_result *ret, struct snapmgr_err *err)
{
	AUTO(sm_together_release)
	struct sm_together t = { .f = f, .verb = "revert", .no_undo = o->no_undo };
	const struct sm_displace how = { .online = o->online,
					 .remount = o->remount,
					 .force = o->force };
	const struct sm_choice choice = { .driver = f->pool.b.driver,
					  .backend = &f->pool.b,
					  .together = true,
					  .mapped_bytes = SM_UNKNOWN_BYTES,
					  .changed_bytes = SM_UNKNOWN_BYTES,
					  .forced = o->strategy,
					  .allow_clone = o->allow_clone };
	struct sm_strategy strategy;
	int r = check_target(f, o->target, err);

	if (r == 0)
		r = collect(&t, err);
	for (size_t i = 0; i < t.n && r == 0; i++)
		r = sm_revert_check(&f->pool, &t.m[i].volume, &t.m[i].snapshot, o->latest_only,
				    false, err);
	if (r == 0)
		r = sm_strategy_choose(&choice, &strategy, err);
	if (r == 0)
		sm_strategy_apply(&f->pool.b, &strategy);
	if (r == 0)
		r = sm_together_run(&t, &how, o->dry_run, err);
	if (r < 0)
		return r;
	if (ret) {
		*ret = (struct snapmgr_revert_result){ 0 };
		fill(&t, &strategy, start_ns, o->dry_run, ret);
		r = sm_visit_group(&f->pool, &f->group, sm_keep_object, &ret->volume, err);
		if (r == 0)
			r = sm_visit_set(&f->pool, &f->group, &f->set, sm_keep_object,
					 &ret->snapshot, err);
	}
	return r == 0 ? sm_together_tell(&t, &f->set, o->member, o->member_data, err) : r;
}
