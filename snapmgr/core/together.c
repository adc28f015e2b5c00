/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The volumes of a group get other heads, all or none. */
#include <errno.h>

#include "snapmgr/core/together.h"

int sm_together_add(struct sm_together *t, const struct sm_member *m, struct snapmgr_err *err)
{
	struct sm_member *more = reallocarray(t->m, t->n + 1, sizeof(*more));

	if (!more)
		return sm_nomem(err);
	t->m = more;
	t->m[t->n++] = *m;
	return 0;
}

int sm_together_leave(struct sm_volumes *list, const struct scat_volume *v, struct snapmgr_err *err)
{
	struct scat_volume *more = reallocarray(list->v, list->n + 1, sizeof(*more));

	if (!more)
		return sm_nomem(err);
	list->v = more;
	list->v[list->n++] = *v;
	return 0;
}

static uint64_t wanted_bytes(const struct sm_together *t, const struct sm_member *m)
{
	return t->swap ? m->undo.size_bytes : m->snapshot.c.size_bytes;
}

static bool keeps(const struct sm_together *t, const struct sm_member *m)
{
	return t->swap || (!t->no_undo && m->volume.undo_keep > 0);
}

/* Undo points of one revert are such only where each volume has one. */
static bool all_keep(const struct sm_together *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (!keeps(t, &t->m[i]))
			return false;
	return true;
}

static int make_displaces(struct sm_together *t, const struct sm_displace *how,
			  struct snapmgr_err *err)
{
	const bool together = all_keep(t);

	t->d = calloc(t->n, sizeof(*t->d));
	if (!t->d)
		return sm_nomem(err);
	for (size_t i = 0; i < t->n; i++) {
		struct sm_member *m = &t->m[i];
		struct sm_displace *d = &t->d[i];

		*d = *how;
		d->claim.fd = -1;
		d->volume = &m->volume;
		d->no_undo = t->no_undo;
		d->together = together;
		d->quiet = true;
		d->swap = t->swap ? &m->undo : NULL;
		d->change.timed = true;
		d->change.swap = t->swap;
		d->change.snapshot = t->swap ? NULL : &m->snapshot;
		d->change.size_bytes = wanted_bytes(t, m);
		d->change.parent = t->swap ? m->undo.parent : m->snapshot.id;
	}
	return 0;
}

static int make_heads(struct sm_together *t, struct snapmgr_err *err)
{
	struct sm_pool *pool = &t->f->pool;
	int r = 0;

	for (size_t i = 0; i < t->n && r == 0; i++) {
		struct sm_member *m = &t->m[i];
		struct sm_copy_source source = { .parent = m->snapshot.id };

		if (t->swap) {
			t->d[i].change.thin = m->undo.thin;
			continue;
		}
		sm_snapshot_device(pool, &m->snapshot, &source.dev);
		r = sm_id_make(pool, sm_make_copy, &source, &m->made, err);
		t->d[i].change.thin = m->made;
	}
	return r;
}

/* One message for all. */
static int leave_message(const struct sm_together *t, struct snapmgr_err *err)
{
	struct sm_pool *pool = &t->f->pool;
	const struct scat_group *g = &t->f->group;
	char text[SNAPMGR_MESSAGE_MAX];
	const struct sm_message m = { .level = "info",
				      .verb = t->verb,
				      .kind = "group",
				      .object = &g->uuid,
				      .project = g->project,
				      .operation = &pool->op.uuid,
				      .text = text };

	(void)snprintf(text, sizeof(text), "group '%s/%s' %s%s%s (%zu volumes); %s", pool->row.name,
		       g->name,
		       t->swap ? "was switched with its undo points" : "was reverted to snapshot '",
		       t->swap ? "" : t->f->set.name, t->swap ? "" : "'", t->n,
		       all_keep(t) ? "what it was before are its undo points" :
				     "there is no way back for all of it");
	return sm_message(pool, &m, err);
}

/* Where the last revert has no way back as a whole, undo takes nobody back to one before it. */
static int write_rows(struct sm_pool *pool, void *arg, struct snapmgr_err *err)
{
	struct sm_together *t = arg;
	int r = 0;

	for (size_t i = 0; i < t->n && r == 0 && !all_keep(t); i++)
		r = scat_undo_part(pool->cat, t->m[i].volume.id, err);
	return r == 0 ? leave_message(t, err) : r;
}

/* Nothing has changed: what was made for it may go. @err is kept. */
static void undo_begun(struct sm_together *t, const struct snapmgr_err *err)
{
	struct sm_pool *pool = &t->f->pool;
	const struct scat_group *g = &t->f->group;
	const struct sm_message about = { .kind = "group",
					  .object = &g->uuid,
					  .project = g->project };

	for (size_t i = 0; i < t->n; i++)
		if (t->m[i].made)
			(void)pool->b.driver->drop(&pool->b, t->m[i].made, NULL);
	sm_message_failed(pool, &about, g->name, err);
}

static int change_heads(struct sm_together *t, struct snapmgr_err *err)
{
	struct sm_pool *pool = &t->f->pool;
	int r = sm_id_reserve(pool, t->swap ? 0 : (uint32_t)t->n, err);

	if (r == 0)
		r = sm_op_begin(pool, t->verb, t->f->group.name, t->swap ? NULL : t->f->set.name, 0,
				err);
	if (r == 0)
		r = make_heads(t, err);
	t->d[t->n - 1].rows = write_rows;
	t->d[t->n - 1].rows_arg = t;
	if (r == 0)
		r = sm_displace(pool, t->d, t->n, err);
	if (r < 0 && sm_head_abort(pool, &t->d->change))
		undo_begun(t, err);
	return r;
}

int sm_together_run(struct sm_together *t, const struct sm_displace *how, bool dry_run,
		    struct snapmgr_err *err)
{
	struct sm_pool *pool = &t->f->pool;
	struct sm_space space;
	int r = sm_space_for(pool, t->verb, &space, err);

	if (r == 0 && !sm_driver_reverts_groups(pool->b.driver))
		return sm_fail(
			err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			"driver '%s' of pool '%s' changes no volumes at one instant: each by "
			"itself",
			pool->b.driver->name, pool->row.name);

	for (size_t i = 0; i < t->n && r == 0 && !t->swap && !t->no_undo; i++)
		r = sm_displace_check_undo(pool, &t->m[i].volume, err);
	if (r == 0)
		r = make_displaces(t, how, err);
	if (r < 0)
		return r;
	r = sm_displace_prepare(pool, t->d, t->n, space.out_of_data, dry_run, err);
	if (r == 0 && !dry_run)
		r = change_heads(t, err);
	return sm_displace_finish(pool, t->d, t->n, r, err);
}

static int tell_volume(struct sm_together *t, const struct scat_volume *v, const char *left_alone,
		       snapmgr_member_fn *visit, void *data, struct snapmgr_err *err)
{
	struct snapmgr_object o;
	int r = sm_object_volume(&t->f->pool, v, &o, err);

	return r == 0 ? visit(&o, left_alone, data) : r;
}

struct telling {
	snapmgr_member_fn *visit;
	void *data;
};

static int pass_on(const struct snapmgr_object *o, void *data)
{
	const struct telling *telling = data;

	return telling->visit(o, NULL, telling->data);
}

int sm_together_tell(struct sm_together *t, const struct scat_set *s, snapmgr_member_fn *visit,
		     void *data, struct snapmgr_err *err)
{
	struct telling telling = { visit, data };
	struct sm_found *f = t->f;
	int r = 0;

	if (!visit)
		return 0;
	r = sm_visit_group(&f->pool, &f->group, pass_on, &telling, err);
	if (r == 0 && s)
		r = sm_visit_set(&f->pool, &f->group, s, pass_on, &telling, err);
	for (size_t i = 0; i < t->n && r == 0; i++)
		r = tell_volume(t, &t->m[i].volume, NULL, visit, data, err);
	for (size_t i = 0; i < t->late.n && r == 0; i++)
		r = tell_volume(t, &t->late.v[i],
				t->swap ? "it was not reverted with the group" :
					  "it was not in the group when the snapshot was taken",
				visit, data, err);
	for (size_t i = 0; i < t->gone.n && r == 0; i++)
		r = tell_volume(t, &t->gone.v[i], "it is no longer in the group", visit, data, err);
	return r;
}

bool sm_together_kept(const struct sm_together *t)
{
	return all_keep(t);
}

uint64_t sm_together_suspended_ns(const struct sm_together *t)
{
	return t->d ? t->d->change.suspended_ns : 0;
}

void sm_together_release(struct sm_together *t)
{
	for (size_t i = 0; t->d && i < t->n; i++)
		sm_displace_release(&t->d[i]);
	free(t->d);
	free(t->m);
	free(t->late.v);
	free(t->gone.v);
}
