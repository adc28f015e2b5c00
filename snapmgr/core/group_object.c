/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Groups and their snapshots as callers see them. */
#include <errno.h>

#include "snapmgr/core/core.h"

/* What is in it, collected while its rows are walked. */
struct parts {
	struct snapmgr_object *o;
	struct snapmgr_part *v; /* owned */
};

static struct snapmgr_part *next_part(struct parts *p)
{
	struct snapmgr_part *more;

	if (p->o->n_parts % 16 == 0) {
		more = reallocarray(p->v, p->o->n_parts + 16, sizeof(*more));
		if (!more)
			return NULL;
		p->v = more;
	}
	return &p->v[p->o->n_parts++];
}

static void worse_state(struct snapmgr_object *o, enum scat_state state)
{
	if (state != SCAT_AVAILABLE)
		(void)sm_copy_text(o->state, sizeof(o->state), scat_state_name(state));
}

static int add_volume(const struct scat_volume *v, void *data)
{
	struct parts *p = data;
	struct snapmgr_part *part = next_part(p);

	if (!part)
		return -ENOMEM;
	(void)sm_copy_text(part->name, sizeof(part->name), v->c.name);
	sm_uuid_text(&v->c.uuid, part->uuid);
	p->o->size_bytes += v->c.size_bytes;
	worse_state(p->o, v->c.state);
	return 0;
}

static int add_snapshot(const struct scat_snapshot *s, void *data)
{
	struct parts *p = data;
	struct snapmgr_part *part = next_part(p);
	struct snapmgr_object *o = p->o;

	if (!part)
		return -ENOMEM;
	(void)snprintf(part->name, sizeof(part->name), "%s@%s", s->volume_name, s->c.name);
	sm_uuid_text(&s->c.uuid, part->uuid);
	o->size_bytes += s->c.size_bytes;
	o->used_bytes = s->used_bytes == UINT64_MAX || o->used_bytes == UINT64_MAX ?
				UINT64_MAX :
				o->used_bytes + s->used_bytes;
	o->hold |= s->hold;
	worse_state(o, s->c.state);
	if (o->n_parts == 1) { /* they were all given the same */
		(void)sm_copy_text(o->label, sizeof(o->label), s->c.label);
		(void)sm_copy_text(o->description, sizeof(o->description), s->c.description);
	}
	return 0;
}

static void fill(const struct sm_pool *pool, const struct scat_group *g, struct snapmgr_object *o)
{
	(void)sm_copy_text(o->pool, sizeof(o->pool), pool->row.name);
	(void)sm_copy_text(o->driver, sizeof(o->driver), pool->row.driver);
	(void)sm_copy_text(o->group, sizeof(o->group), g->name);
	(void)sm_copy_text(o->state, sizeof(o->state), scat_state_name(SCAT_AVAILABLE));
	(void)sm_copy_text(o->project, sizeof(o->project), g->project);
	o->exclusive_bytes = UINT64_MAX;
}

static int visit_parts(struct sm_pool *pool, struct parts *p, int r, snapmgr_object_fn *visit,
		       void *data, struct snapmgr_err *err)
{
	p->o->parts = p->v;
	if (r == 0)
		r = sm_object_visit(pool, p->o, visit, data, err);
	free(p->v);
	return r == -ENOMEM ? sm_nomem(err) : r;
}

int sm_visit_group(struct sm_pool *pool, const struct scat_group *g, snapmgr_object_fn *visit,
		   void *data, struct snapmgr_err *err)
{
	struct snapmgr_object o = { .kind = SNAPMGR_GROUP, .used_bytes = UINT64_MAX };
	struct parts p = { .o = &o };
	int r;

	if (!visit)
		return 0;
	fill(pool, g, &o);
	(void)sm_copy_text(o.name, sizeof(o.name), g->name);
	(void)sm_copy_text(o.label, sizeof(o.label), g->label);
	(void)sm_copy_text(o.description, sizeof(o.description), g->description);
	sm_uuid_text(&g->uuid, o.uuid);
	o.created_at_us = g->created_at_us;
	o.parts_taken = o.sequence = UINT64_MAX;
	r = scat_member_each(pool->cat, g->id, add_volume, &p, err);
	return visit_parts(pool, &p, r, visit, data, err);
}

int sm_visit_set(struct sm_pool *pool, const struct scat_group *g, const struct scat_set *s,
		 snapmgr_object_fn *visit, void *data, struct snapmgr_err *err)
{
	struct snapmgr_object o = { .kind = SNAPMGR_GROUP_SNAPSHOT };
	struct parts p = { .o = &o };
	struct scat_set newest;
	int r;

	if (!visit)
		return 0;
	fill(pool, g, &o);
	(void)sm_copy_text(o.name, sizeof(o.name), s->name);
	sm_uuid_text(&s->uuid, o.uuid);
	sm_uuid_text(&s->uuid, o.taken_with);
	sm_uuid_text(&g->uuid, o.snapshot_of);
	o.created_at_us = s->created_at_us;
	o.parts_taken = s->members;
	o.sequence = UINT64_MAX;
	r = scat_set_latest(pool->cat, g->id, 0, &newest, err);
	o.latest = r == 0 && newest.id == s->id;
	if (r == 0)
		r = scat_snapshot_each_with(pool->cat, &s->uuid, add_snapshot, &p, err);
	return visit_parts(pool, &p, r, visit, data, err);
}
