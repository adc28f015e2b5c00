/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_list(), snapmgr_show(): readers, which wait for nobody. */
#include <errno.h>

#include "snapmgr/core/core.h"

struct walk {
	struct snapmgr *sm;
	struct sm_pool *pool;
	const struct snapmgr_list_opts *opts;
	snapmgr_object_fn *visit;
	void *data;
	const struct scat_volume *volume;
	const struct scat_group *group;
	int64_t newest; /* id of the volume's latest snapshot */
	uint32_t back;
	struct snapmgr_err *err;
	struct snapmgr_err first; /* why the first of several pools could not be read */
	int failed;
};

static int visit_snapshot(const struct scat_snapshot *s, void *data)
{
	struct walk *w = data;
	struct snapmgr_object o;
	int r = sm_object_snapshot(w->pool, s, s->id == w->newest, &o, w->err);

	return r < 0 ? r : sm_object_visit(w->pool, &o, w->visit, w->data, w->err);
}

static int visit_undo(const struct scat_undo *u, void *data)
{
	struct walk *w = data;
	struct snapmgr_object o;
	int r = sm_object_undo(w->pool, w->volume, u, w->back++, &o, w->err);

	return r < 0 ? r : sm_object_visit(w->pool, &o, w->visit, w->data, w->err);
}

static int visit_volume(const struct scat_volume *v, void *data)
{
	struct walk *w = data;
	struct scat_snapshot newest;
	int r = sm_visit_volume(w->pool, v, w->visit, w->data, w->err);

	if (r == 0) {
		r = scat_snapshot_latest(w->pool->cat, v->id, 0, &newest, w->err);
		w->newest = r == 0 ? newest.id : 0;
		w->volume = v;
		w->back = 0;
		sm_view_volume(w->pool->view, v);
		r = r == -ENOENT ? 0 : r;
	}
	if (r == 0)
		r = scat_snapshot_each(w->pool->cat, v->id, visit_snapshot, w, w->err);
	return r == 0 && w->opts->undo ?
		       scat_undo_each(w->pool->cat, v->id, visit_undo, w, w->err) :
		       r;
}

static int visit_set(const struct scat_set *s, void *data)
{
	struct walk *w = data;

	return sm_visit_set(w->pool, w->group, s, w->visit, w->data, w->err);
}

static int visit_group(const struct scat_group *g, void *data)
{
	struct walk *w = data;
	int r = sm_visit_group(w->pool, g, w->visit, w->data, w->err);

	w->group = g;
	return r == 0 ? scat_set_each(w->pool->cat, g->id, visit_set, w, w->err) : r;
}

static int walk_found(struct walk *w, const struct sm_found *only)
{
	struct scat *cat = w->pool->cat;
	int r = 0;

	if (only && only->has_volume)
		return visit_volume(&only->volume, w);
	if (only && only->has_group) {
		if (!w->opts->groups_only)
			r = scat_member_each(cat, only->group.id, visit_volume, w, w->err);
		return r == 0 ? visit_group(&only->group, w) : r;
	}
	if (!w->opts->groups_only)
		r = scat_volume_each(cat, visit_volume, w, w->err);
	w->newest = 0;
	if (r == 0 && !w->opts->groups_only)
		r = scat_snapshot_each(cat, 0, visit_snapshot, w, w->err);
	return r == 0 ? scat_group_each(cat, visit_group, w, w->err) : r;
}

static int walk_pool(struct walk *w, const struct sm_found *only)
{
	AUTO(sm_view_free) struct sm_view *view = NULL;
	int r = sm_view_new(&view, w->err);

	w->pool->view = view;
	if (r == 0)
		r = scat_begin_read(w->pool->cat, w->err);
	if (r == 0)
		r = sm_view_tags(view, w->pool->cat, w->err);
	if (r == 0)
		r = walk_found(w, only);
	scat_rollback(w->pool->cat);
	w->pool->view = NULL;
	return r;
}

/* One that cannot be read hides no other; one that went down since it was listed is no news. */
static int list_pool(const char *uuid, void *data)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct walk *w = data;
	struct snapmgr_err why;
	int r = sm_pool_open(w->sm, uuid, false, &pool, &why);

	w->pool = &pool;
	if (r == 0)
		return walk_pool(w, NULL);
	if (!w->failed && r != -ENODEV && r != -ENOENT) {
		w->failed = r;
		w->first = why;
	}
	return 0;
}

static int list_all(struct walk *w)
{
	int r = sm_pool_each(w->sm, list_pool, w, w->err);

	if (r != 0 || !w->failed)
		return r;
	if (w->err)
		*w->err = w->first;
	return w->failed;
}

int snapmgr_list(struct snapmgr *sm, const char *spec, const struct snapmgr_list_opts *opts,
		 snapmgr_object_fn *visit, void *data, struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_list_opts, o, opts);
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	struct walk w = { .sm = sm, .opts = &o, .visit = visit, .data = data, .err = err };
	int r;

	if (!spec)
		return list_all(&w);
	r = sm_find(sm, spec, SM_WANT_POOL | SM_WANT_VOLUME | SM_WANT_GROUP, false, &f, err);
	w.pool = &f.pool;
	return r == 0 ? walk_pool(&w, &f) : r;
}

int snapmgr_show(struct snapmgr *sm, const char *spec, snapmgr_object_fn *visit, void *data,
		 struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	struct snapmgr_object o;
	int r = sm_find(sm, spec,
			SM_WANT_VOLUME | SM_WANT_SNAPSHOT | SM_WANT_UNDO | SM_WANT_GROUP |
				SM_WANT_SET,
			false, &f, err);

	if (r < 0)
		return r;
	if (f.has_group)
		return f.has_set ? sm_visit_set(&f.pool, &f.group, &f.set, visit, data, err) :
				   sm_visit_group(&f.pool, &f.group, visit, data, err);
	if (f.has_snapshot)
		return sm_visit_snapshot(&f.pool, &f.snapshot, visit, data, err);
	if (!f.has_undo)
		return sm_visit_volume(&f.pool, &f.volume, visit, data, err);
	r = sm_object_undo(&f.pool, &f.volume, &f.undo, f.undo_back, &o, err);
	return r == 0 ? sm_object_visit(&f.pool, &o, visit, data, err) : r;
}
