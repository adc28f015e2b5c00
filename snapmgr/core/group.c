/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_group_create() and the rest: which volumes belong together. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"

/* ---- what is in a group, for those who work on all of it ---- */

struct gather {
	void *v;
	size_t n, size; /* bytes of one */
};

static int gather_one(const void *row, void *data)
{
	struct gather *all = data;
	char *more = reallocarray(all->v, all->n + 1, all->size);

	if (!more)
		return -ENOMEM;
	all->v = more;
	memcpy(more + all->n++ * all->size, row, all->size);
	return 0;
}

static int gather_volume(const struct scat_volume *v, void *data)
{
	return gather_one(v, data);
}

static int gather_snapshot(const struct scat_snapshot *s, void *data)
{
	return gather_one(s, data);
}

int sm_group_volumes(struct sm_pool *pool, const struct scat_group *g, struct sm_volumes *ret,
		     struct snapmgr_err *err)
{
	struct gather all = { .size = sizeof(struct scat_volume) };
	int r = scat_member_each(pool->cat, g->id, gather_volume, &all, err);

	if (r == -ENOMEM)
		(void)sm_nomem(err);
	else if (r == 0 && !all.n)
		r = sm_fail(err, SNAPMGR_BAD_STATE, EBUSY,
			    "group '%s/%s' has no volumes: 'snapmgr group add %s/%s VOL' adds one",
			    pool->row.name, g->name, pool->row.name, g->name);
	if (r < 0) {
		free(all.v);
		return r;
	}
	*ret = (struct sm_volumes){ all.v, all.n };
	return 0;
}

static int check_set(const struct sm_pool *pool, const struct scat_set *s,
		     const struct scat_snapshot *all, size_t n, struct snapmgr_err *err)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i && all[i].volume; k++)
			if (all[i].volume == all[k].volume)
				return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN,
					       "catalogue of pool '%s' is damaged: group snapshot "
					       "'%s' has two snapshots of '%s'",
					       pool->row.name, s->name, all[i].volume_name);
	return 0;
}

int sm_set_snapshots(struct sm_pool *pool, const struct scat_set *s, struct sm_snapshots *ret,
		     struct snapmgr_err *err)
{
	struct gather all = { .size = sizeof(struct scat_snapshot) };
	int r = scat_snapshot_each_with(pool->cat, &s->uuid, gather_snapshot, &all, err);

	if (r == -ENOMEM)
		(void)sm_nomem(err);
	if (r == 0)
		r = check_set(pool, s, all.v, all.n, err);
	if (r < 0) {
		free(all.v);
		return r;
	}
	*ret = (struct sm_snapshots){ all.v, all.n };
	return 0;
}

/* ---- the verbs ---- */

/* "vol", "pool/vol" or a UUID. */
static int find_member(struct sm_pool *pool, const char *text, struct scat_volume *ret,
		       struct snapmgr_err *err)
{
	const char *name = text;
	struct sm_spec spec;
	struct sm_uuid uuid;
	int r = 0;

	if (strchr(text, '/')) {
		r = sm_spec_parse(text, &spec, err);
		if (r == 0 && spec.snapshot[0])
			r = sm_fail(err, SNAPMGR_USAGE, EINVAL, "'%.80s' is no volume", text);
		if (r == 0)
			r = sm_same_pool(pool, spec.pool, err);
		name = spec.volume;
	}
	if (r < 0)
		return r;
	r = sm_uuid_parse(name, &uuid) ? scat_volume_by_uuid(pool->cat, &uuid, ret, err) :
					 scat_volume_by_name(pool->cat, name, ret, err);
	if (r == -ENOENT)
		return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT, "pool '%s' has no volume '%.80s'",
			       pool->row.name, name);
	return r;
}

static int add_one(struct sm_pool *pool, const struct scat_group *g, const char *text,
		   struct snapmgr_err *err)
{
	struct scat_volume v;
	struct scat_group of;
	int r = find_member(pool, text, &v, err);

	if (r < 0)
		return r;
	r = scat_group_of(pool->cat, v.id, &of, err);
	if (r < 0)
		return r == -ENOENT ? scat_member_add(pool->cat, g->id, v.id, err) : r;
	if (of.id == g->id)
		return sm_fail(err, SNAPMGR_EXISTS, EEXIST,
			       "volume '%s/%s' is in group '%s/%s' already", pool->row.name,
			       v.c.name, pool->row.name, g->name);
	return sm_fail(err, SNAPMGR_EXISTS, EEXIST,
		       "volume '%s/%s' is in group '%s/%s': 'snapmgr group remove %s/%s %s' first",
		       pool->row.name, v.c.name, pool->row.name, of.name, pool->row.name, of.name,
		       v.c.name);
}

static int count_one(const struct scat_volume *v, void *data)
{
	(void)v;
	++*(size_t *)data;
	return 0;
}

static int add_all(struct sm_pool *pool, const struct scat_group *g, const char *const *volumes,
		   size_t n, struct snapmgr_err *err)
{
	size_t have = 0;
	int r = scat_member_each(pool->cat, g->id, count_one, &have, err);

	if (r == 0 && have + n > SM_GROUP_MAX)
		return sm_fail(err, SNAPMGR_UNSUPPORTED, E2BIG, "a group has at most %d volumes",
			       SM_GROUP_MAX);
	for (size_t i = 0; i < n && r == 0; i++)
		r = add_one(pool, g, volumes[i], err);
	return r;
}

static int remove_one(struct sm_pool *pool, const struct scat_group *g, const char *text,
		      struct snapmgr_err *err)
{
	struct scat_volume v;
	struct scat_group of = { 0 };
	int r = find_member(pool, text, &v, err);

	if (r < 0)
		return r;
	r = scat_group_of(pool->cat, v.id, &of, err);
	if (r == -ENOENT || (r == 0 && of.id != g->id))
		return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT,
			       "volume '%s/%s' is not in group '%s/%s'", pool->row.name, v.c.name,
			       pool->row.name, g->name);
	return r == 0 ? scat_member_remove(pool->cat, v.id, err) : r;
}

static int commit(struct sm_pool *pool, int r, struct snapmgr_err *err)
{
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	sm_pool_unlock(pool); /* without what was not committed */
	if (r == 0)
		sm_backup(pool);
	return r;
}

static int insert(struct sm_pool *pool, const char *name, const struct snapmgr_group_opts *o,
		  struct scat_group *g, struct snapmgr_err *err)
{
	int r;

	sm_uuid_make(&g->uuid);
	g->created_at_us = sm_now_us();
	(void)sm_copy_text(g->name, sizeof(g->name), name);
	(void)sm_copy_text(g->project, sizeof(g->project), o->project ? o->project : "");
	(void)sm_copy_text(g->label, sizeof(g->label), o->label ? o->label : "");
	(void)sm_copy_text(g->description, sizeof(g->description),
			   o->description ? o->description : "");
	r = scat_group_insert(pool->cat, g, err);
	return r == 0 ? sm_set_tags(pool, &g->uuid, o->tags, o->n_tags, err) : r;
}

int snapmgr_group_create(struct snapmgr *sm, const char *text, const char *const *volumes, size_t n,
			 const struct snapmgr_group_opts *opts, snapmgr_object_fn *visit,
			 void *data, struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_group_opts, o, opts);
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct scat_group g = { 0 };
	struct sm_spec spec;
	int r = sm_check_texts(o.project, o.label, o.description, o.tags, o.n_tags, err);

	if (r == 0)
		r = sm_spec_parse(text, &spec, err);
	if (r == 0 && (!spec.volume[0] || spec.snapshot[0]))
		r = sm_fail(err, SNAPMGR_USAGE, EINVAL,
			    "'%.80s' does not name a group (pool/group)", text);
	if (r == 0)
		r = sm_name_check("group name", spec.volume, err);
	if (r == 0)
		r = sm_pool_open(sm, spec.pool, true, &pool, err);
	if (r < 0)
		return r;
	r = scat_begin(pool.cat, err);
	if (r == 0)
		r = insert(&pool, spec.volume, &o, &g, err);
	if (r == 0)
		r = add_all(&pool, &g, volumes, n, err);
	r = commit(&pool, r, err);
	return r == 0 ? sm_visit_group(&pool, &g, visit, data, err) : r;
}

int snapmgr_group_add(struct snapmgr *sm, const char *spec, const char *const *volumes, size_t n,
		      snapmgr_object_fn *visit, void *data, struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	int r = sm_find(sm, spec, SM_WANT_GROUP, true, &f, err);

	if (r < 0)
		return r;
	r = scat_begin(f.pool.cat, err);
	if (r == 0)
		r = add_all(&f.pool, &f.group, volumes, n, err);
	r = commit(&f.pool, r, err);
	return r == 0 ? sm_visit_group(&f.pool, &f.group, visit, data, err) : r;
}

int snapmgr_group_remove(struct snapmgr *sm, const char *spec, const char *const *volumes, size_t n,
			 snapmgr_object_fn *visit, void *data, struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	int r = sm_find(sm, spec, SM_WANT_GROUP, true, &f, err);

	if (r < 0)
		return r;
	r = scat_begin(f.pool.cat, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = remove_one(&f.pool, &f.group, volumes[i], err);
	r = commit(&f.pool, r, err);
	return r == 0 ? sm_visit_group(&f.pool, &f.group, visit, data, err) : r;
}

int snapmgr_group_delete(struct snapmgr *sm, const char *spec, snapmgr_object_fn *visit, void *data,
			 struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	int r = sm_find(sm, spec, SM_WANT_GROUP, true, &f, err);

	if (r == 0)
		r = sm_visit_group(&f.pool, &f.group, visit, data, err);
	if (r < 0)
		return r;
	r = scat_begin(f.pool.cat, err);
	if (r == 0)
		r = scat_group_delete(f.pool.cat, f.group.id, err);
	return commit(&f.pool, r, err);
}
