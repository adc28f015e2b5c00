/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_undo() of a group: what its last revert displaced comes back, all or none. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/strategy.h"
#include "snapmgr/core/together.h"

struct newest { /* undo point that was displaced with others */
	int64_t id;
	struct sm_uuid with;
};

static int look_at(const struct scat_undo *u, void *data)
{
	struct newest *newest = data;

	if (sm_uuid_is_null(&u->displaced_with))
		return 0;
	if (u->id > newest->id) {
		newest->id = u->id;
		newest->with = u->displaced_with;
	}
	return 1; /* the newest of this volume */
}

static int find_newest(struct sm_pool *pool, const struct sm_volumes *volumes,
		       struct newest *newest, struct snapmgr_err *err)
{
	int r = 0;

	for (size_t i = 0; i < volumes->n && r >= 0; i++)
		r = scat_undo_each(pool->cat, volumes->v[i].id, look_at, newest, err);
	return r < 0 ? r : 0;
}

struct choosing {
	struct sm_together *t;
	const struct sm_volumes *volumes;
	bool *taken; /* which of the volumes have a point */
	struct snapmgr_err *err;
};

static int choose_point(const struct scat_undo *u, void *data)
{
	struct choosing *c = data;
	struct scat_volume v;
	int r;

	for (size_t i = 0; i < c->volumes->n; i++) {
		const struct sm_member m = { .volume = c->volumes->v[i], .undo = *u };

		if (m.volume.id != u->volume)
			continue;
		if (c->taken[i])
			return sm_fail(c->err, SNAPMGR_DAMAGED, EUCLEAN,
				       "catalogue of pool '%s' is damaged: two undo points of '%s' "
				       "belong to one revert",
				       c->t->f->pool.row.name, m.volume.c.name);
		c->taken[i] = true;
		return sm_together_add(c->t, &m, c->err);
	}
	r = scat_volume_by_id(c->t->f->pool.cat, u->volume, &v, c->err);
	return r == 0 ? sm_together_leave(&c->t->gone, &v, c->err) : r;
}

static int none(const struct sm_found *f, struct snapmgr_err *err)
{
	return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT,
		       "the volumes of group '%s/%s' have no undo points of one revert; each may "
		       "have its own ('snapmgr list %s/%s --undo')",
		       f->pool.row.name, f->group.name, f->pool.row.name, f->group.name);
}

static int collect(struct sm_together *t, struct snapmgr_err *err)
{
	AUTO(sm_volumes_free) struct sm_volumes volumes = { 0 };
	AUTO(free) bool *taken = NULL;
	struct choosing c = { .t = t, .volumes = &volumes, .err = err };
	struct newest newest = { 0 };
	int r = sm_group_volumes(&t->f->pool, &t->f->group, &volumes, err);

	if (r == 0)
		r = find_newest(&t->f->pool, &volumes, &newest, err);
	if (r < 0)
		return r;
	if (!newest.id)
		return none(t->f, err);
	c.taken = taken = calloc(volumes.n, sizeof(*taken));
	if (!taken)
		return sm_nomem(err);
	r = scat_undo_each_with(t->f->pool.cat, &newest.with, choose_point, &c, err);
	for (size_t i = 0; i < volumes.n && r == 0; i++)
		if (!taken[i])
			r = sm_together_leave(&t->late, &volumes.v[i], err);
	return r;
}

int sm_undo_group(struct sm_found *f, const struct snapmgr_undo_opts *o, uint64_t start_ns,
		  struct snapmgr_revert_result *ret, struct snapmgr_err *err)
{
	AUTO(sm_together_release)
	struct sm_together t = { .f = f, .verb = "undo", .swap = true };
	const struct sm_displace how = { .online = o->online,
					 .remount = o->remount,
					 .force = o->force };
	const char *ways[SM_WAYS];
	int r = collect(&t, err);

	for (size_t i = 0; i < t.n && r == 0; i++)
		r = sm_undo_check(&f->pool, &t.m[i].volume, &t.m[i].undo, err);
	if (r == 0)
		r = sm_together_run(&t, &how, o->dry_run, err);
	if (r < 0)
		return r;
	if (ret) {
		*ret = (struct snapmgr_revert_result){ .in_place = true, .undo = true };
		sm_strategies(f->pool.b.driver, &f->pool.b, ways);
		(void)sm_copy_text(ret->strategy, sizeof(ret->strategy), ways[0] ? ways[0] : "");
		(void)strcpy(ret->reason, "the heads and the undo points change places");
		ret->suspended_us = sm_together_suspended_ns(&t) / 1000;
		ret->elapsed_us = (sm_monotonic_ns() - start_ns) / 1000;
		r = sm_visit_group(&f->pool, &f->group, sm_keep_object, &ret->volume, err);
	}
	return r == 0 ? sm_together_tell(&t, NULL, o->member, o->member_data, err) : r;
}
