/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rows as callers see them, and as the kernel knows them. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"

/* Has it stores, does it take on one? A wrong yes to the first does no harm. */
static void fill_stores(const struct sm_pool *pool, int64_t volume, struct sm_vdev *ret)
{
	struct scat_snapshot s;
	struct scat_undo u;
	int r = scat_merge_get(pool->cat, volume, &ret->merging, NULL);

	if (r < 0)
		ret->merging = r == -ENOENT ? 0 : SM_ID_UNKNOWN;
	ret->dm.read_only = ret->merging;
	ret->has_stores = scat_snapshot_latest(pool->cat, volume, 0, &s, NULL) != -ENOENT ||
			  scat_undo_nth(pool->cat, volume, 0, &u, NULL) != -ENOENT;
}

void sm_volume_device(const struct sm_pool *pool, const struct scat_volume *v, struct sm_vdev *ret)
{
	sm_vdev_init(ret, &pool->b, v->c.name, NULL, &v->c.uuid, v->guest);
	ret->id = v->c.thin;
	ret->size_bytes = v->c.size_bytes;
	if (pool->b.driver->stores)
		fill_stores(pool, v->id, ret);
}

void sm_snapshot_device(const struct sm_pool *pool, const struct scat_snapshot *s,
			struct sm_vdev *ret)
{
	sm_vdev_init(ret, &pool->b, s->volume_name, s->c.name, &s->c.uuid, false);
	ret->id = s->c.thin;
	ret->size_bytes = s->c.size_bytes;
	ret->of_store = pool->b.driver->stores;
}

void sm_snapshot_spec(const struct sm_pool *pool, const struct scat_snapshot *s,
		      char ret[SNAPMGR_SPEC_TEXT])
{
	if (s->volume)
		(void)snprintf(ret, SNAPMGR_SPEC_TEXT, "%s/%s@%s", pool->row.name, s->volume_name,
			       s->c.name);
	else
		sm_uuid_text(&s->c.uuid, ret);
}

static void undo_name(uint32_t back, char ret[SNAPMGR_NAME_MAX + 1])
{
	(void)snprintf(ret, SNAPMGR_NAME_MAX + 1, back ? "undo~%u" : "undo", back);
}

/* Named by its UUID: "undo~1" is another one after the next revert. */
void sm_undo_device(const struct sm_pool *pool, const struct scat_volume *v,
		    const struct scat_undo *u, uint32_t back, struct sm_vdev *ret)
{
	char name[SNAPMGR_UUID_TEXT];

	(void)back;
	sm_uuid_text(&u->uuid, name);
	sm_vdev_init(ret, &pool->b, v->c.name, name, &u->uuid, false);
	ret->id = u->thin;
	ret->size_bytes = u->size_bytes;
	ret->of_store = pool->b.driver->stores;
}

/* What it descends from by now; 0 where it is gone itself. */
static int parent_now(struct sm_pool *pool, const struct snapmgr_object *o, int64_t *ret,
		      struct snapmgr_err *err)
{
	struct scat_snapshot s;
	struct scat_volume v;
	struct sm_uuid uuid;
	struct scat_undo u;
	int r = -ENOENT;

	(void)sm_uuid_parse(o->uuid, &uuid);
	if (o->kind == SNAPMGR_VOLUME)
		r = scat_volume_by_uuid(pool->cat, &uuid, &v, err);
	else if (o->kind == SNAPMGR_SNAPSHOT)
		r = scat_snapshot_by_uuid(pool->cat, &uuid, &s, err);
	else
		r = scat_undo_by_uuid(pool->cat, &uuid, &u, err);
	if (r < 0 && r != -ENOENT)
		return r;
	*ret = r < 0			   ? 0 :
	       o->kind == SNAPMGR_VOLUME   ? v.c.parent :
	       o->kind == SNAPMGR_SNAPSHOT ? s.c.parent :
					     u.parent;
	return 0;
}

/* Whoever tells of a change does so without the lock: the parent may be deleted by then. */
static int find_parent(struct sm_pool *pool, int64_t parent, const struct snapmgr_object *o,
		       struct scat_snapshot *ret, struct snapmgr_err *err)
{
	for (;;) {
		int r = scat_snapshot_by_id(pool->cat, parent, ret, err);
		int64_t now;

		if (r != -ENOENT)
			return r;
		r = parent_now(pool, o, &now, err);
		if (r < 0)
			return r;
		if (now == parent)
			return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN,
				       "pool '%s': a parent is missing in the catalogue",
				       pool->row.name);
		if (!now)
			return -ENOENT;
		parent = now;
	}
}

static int fill_parent(struct sm_pool *pool, int64_t parent, struct snapmgr_object *o,
		       struct snapmgr_err *err)
{
	const struct sm_known *known = sm_view_known(pool->view, parent);
	struct scat_snapshot s;
	struct sm_known found;
	int r;

	if (!parent)
		return 0;
	if (!known) {
		r = find_parent(pool, parent, o, &s, err);
		if (r < 0)
			return r == -ENOENT ? 0 : r;
		sm_view_meet(pool->view, &s);
		sm_known_fill(&found, &s);
		known = &found;
	}
	(void)sm_copy_text(o->parent, sizeof(o->parent), known->uuid);
	(void)sm_copy_text(o->parent_name, sizeof(o->parent_name), known->name);
	return 0;
}

/* A file is there without being mapped. */
static void tell_file(const struct sm_pool *pool, const struct sm_vdev *dev,
		      struct snapmgr_object *o)
{
	(void)snprintf(o->device, sizeof(o->device), "%s/%s.img", pool->b.dir, dev->volume);
	if (pool->b.driver->used(&pool->b, dev, NULL, &o->used_bytes, NULL) < 0)
		o->used_bytes = UINT64_MAX;
}

/* Known without asking, as it is of nearly all in a long list. */
static bool is_down(const struct sm_pool *pool, const struct sm_uuid *uuid)
{
	return pool->view && !pool->b.dir[0] && !sm_view_active(pool->view, uuid);
}

/* By UUID: a name may be on its way to another. */
static int fill_device(const struct sm_pool *pool, const struct sm_uuid *uuid,
		       const struct sm_vdev *dev, struct snapmgr_object *o, struct snapmgr_err *err)
{
	struct sdm_info info;
	int r;

	if (pool->b.dir[0] && o->kind == SNAPMGR_VOLUME)
		tell_file(pool, dev, o);
	if (is_down(pool, uuid))
		return 0;
	r = sm_vdev_info_by_uuid(&pool->b, dev, &info, err);
	if (r < 0 || !info.exists)
		return r;
	o->active = true;
	o->major = info.major;
	o->minor = info.minor;
	(void)sm_copy_text(o->dm_name, sizeof(o->dm_name), info.name);
	(void)snprintf(o->device, sizeof(o->device), SM_DEV_DIR "/%s", dev->dm.link);
	if (o->kind == SNAPMGR_VOLUME &&
	    pool->b.driver->used(&pool->b, dev, NULL, &o->used_bytes, NULL) < 0)
		o->used_bytes = UINT64_MAX;
	return 0;
}

static void fill_common(const struct sm_pool *pool, const struct scat_common *c,
			struct snapmgr_object *o)
{
	(void)sm_copy_text(o->pool, sizeof(o->pool), pool->row.name);
	(void)sm_copy_text(o->driver, sizeof(o->driver), pool->row.driver);
	(void)sm_copy_text(o->name, sizeof(o->name), c->name);
	(void)sm_copy_text(o->project, sizeof(o->project), c->project);
	(void)sm_copy_text(o->label, sizeof(o->label), c->label);
	(void)sm_copy_text(o->description, sizeof(o->description), c->description);
	(void)sm_copy_text(o->state, sizeof(o->state), scat_state_name(c->state));
	sm_uuid_text(&c->uuid, o->uuid);
	o->size_bytes = c->size_bytes;
	o->created_at_us = c->created_at_us;
	o->used_bytes = o->exclusive_bytes = o->parts_taken = UINT64_MAX;
}

/* Who died while he changed it in place has left a mixture, whatever the catalogue says. */
static enum scat_state volume_state(const struct sm_pool *pool, const struct scat_volume *v,
				    const struct sm_vdev *dev)
{
	const enum scat_state now = sm_state_now(pool, v->c.state, v->c.name, NULL);
	const struct sm_rewrite_driver *rewrite = pool->b.driver->rewrite;
	struct sm_contents holds;

	return now == SCAT_AVAILABLE && rewrite &&
			       rewrite->holds(&pool->b, dev, &holds, NULL) == 0 && holds.to ?
		       SCAT_REVERTING :
		       now;
}

int sm_object_volume(struct sm_pool *pool, const struct scat_volume *v, struct snapmgr_object *ret,
		     struct snapmgr_err *err)
{
	struct snapmgr_object o = { .kind = SNAPMGR_VOLUME };
	struct scat_snapshot newest;
	struct scat_group group;
	struct sm_vdev dev;
	int r;

	fill_common(pool, &v->c, &o);
	(void)sm_copy_text(o.volume, sizeof(o.volume), v->c.name);
	sm_volume_device(pool, v, &dev);
	(void)sm_copy_text(o.state, sizeof(o.state), scat_state_name(volume_state(pool, v, &dev)));
	o.autostart = v->autostart;
	o.guest = v->guest;
	o.revert_support = v->revert_support;
	o.undo_keep = v->undo_keep;
	r = scat_snapshot_latest(pool->cat, v->id, 0, &newest, err);
	if (r == 0)
		o.sequence = newest.sequence;
	else if (r != -ENOENT)
		return r;
	r = scat_group_of(pool->cat, v->id, &group, err);
	if (r == 0)
		(void)sm_copy_text(o.group, sizeof(o.group), group.name);
	else if (r != -ENOENT)
		return r;
	r = fill_parent(pool, v->c.parent, &o, err);
	if (r == 0)
		r = fill_device(pool, &v->c.uuid, &dev, &o, err);
	if (r == 0)
		*ret = o;
	return r;
}

static int fill_snapshot_of(struct sm_pool *pool, int64_t volume, struct snapmgr_object *o,
			    struct snapmgr_err *err)
{
	const struct scat_volume *v = sm_view_is_volume(pool->view, volume);
	struct scat_volume found;
	int r;

	if (!volume)
		return 0;
	if (!v) {
		r = scat_volume_by_id(pool->cat, volume, &found, err);
		if (r < 0)
			return r == -ENOENT ? 0 : r;
		v = &found;
	}
	sm_uuid_text(&v->c.uuid, o->snapshot_of);
	o->revert_support = v->revert_support;
	return 0;
}

/* What it holds by now; one that was too small holds nothing. */
static void fill_store(struct sm_pool *pool, uint32_t id, struct snapmgr_object *o)
{
	struct sdm_store_status s;

	if (!pool->b.driver->stores || sm_store_status(pool, id, &s, NULL) < 0)
		return;
	if (s.state == SDM_STORE_VALID)
		o->used_bytes = s.used_sectors * SM_SECTOR;
	else
		(void)sm_copy_text(o->state, sizeof(o->state), scat_state_name(SCAT_ERROR));
}

int sm_object_snapshot(struct sm_pool *pool, const struct scat_snapshot *s, bool latest,
		       struct snapmgr_object *ret, struct snapmgr_err *err)
{
	struct snapmgr_object o = { .kind = SNAPMGR_SNAPSHOT };
	struct sm_vdev dev;
	int r;

	fill_common(pool, &s->c, &o);
	(void)sm_copy_text(o.volume, sizeof(o.volume), s->volume_name);
	(void)sm_copy_text(
		o.state, sizeof(o.state),
		scat_state_name(sm_state_now(pool, s->c.state, s->volume_name, s->c.name)));
	o.sequence = s->sequence;
	o.latest = latest;
	o.hold = s->hold;
	o.used_bytes = s->used_bytes;
	fill_store(pool, s->c.thin, &o);
	if (!sm_uuid_is_null(&s->taken_with))
		sm_uuid_text(&s->taken_with, o.taken_with);
	r = fill_snapshot_of(pool, s->volume, &o, err);
	if (r == 0)
		r = fill_parent(pool, s->c.parent, &o, err);
	sm_view_meet(pool->view, s);
	if (r == 0 && !is_down(pool, &s->c.uuid)) {
		sm_snapshot_device(pool, s, &dev);
		r = fill_device(pool, &s->c.uuid, &dev, &o, err);
	}
	if (r == 0)
		*ret = o;
	return r;
}

int sm_object_undo(struct sm_pool *pool, const struct scat_volume *v, const struct scat_undo *u,
		   uint32_t back, struct snapmgr_object *ret, struct snapmgr_err *err)
{
	const struct scat_common c = {
		.uuid = u->uuid,
		.created_at_us = u->created_at_us,
		.size_bytes = u->size_bytes,
		.state = SCAT_AVAILABLE,
	};
	struct snapmgr_object o = { .kind = SNAPMGR_UNDO };
	struct sm_vdev dev;
	int r;

	fill_common(pool, &c, &o);
	undo_name(back, o.name);
	fill_store(pool, u->thin, &o);
	(void)sm_copy_text(o.volume, sizeof(o.volume), v->c.name);
	sm_uuid_text(&v->c.uuid, o.snapshot_of);
	sm_undo_device(pool, v, u, back, &dev);
	r = fill_parent(pool, u->parent, &o, err);
	if (r == 0)
		r = fill_device(pool, &u->uuid, &dev, &o, err);
	if (r == 0)
		*ret = o;
	return r;
}

int sm_object_visit(struct sm_pool *pool, struct snapmgr_object *o, snapmgr_object_fn *visit,
		    void *data, struct snapmgr_err *err)
{
	AUTO(free) struct snapmgr_tag *tags = NULL;
	struct sm_uuid uuid;
	int r = 0;

	if (!visit)
		return 0;
	if (sm_uuid_parse(o->uuid, &uuid) && sm_view_tagged(pool->view, &uuid))
		r = scat_tags_get(pool->cat, &uuid, &tags, &o->n_tags, err);
	if (r < 0)
		return r;
	o->tags = tags;
	r = visit(o, data);
	o->tags = NULL;
	o->n_tags = 0;
	return r;
}

int sm_visit_volume(struct sm_pool *pool, const struct scat_volume *v, snapmgr_object_fn *visit,
		    void *data, struct snapmgr_err *err)
{
	struct snapmgr_object o;
	int r = visit ? sm_object_volume(pool, v, &o, err) : 0;

	return r < 0 ? r : sm_object_visit(pool, &o, visit, data, err);
}

int sm_visit_snapshot(struct sm_pool *pool, const struct scat_snapshot *s, snapmgr_object_fn *visit,
		      void *data, struct snapmgr_err *err)
{
	struct scat_snapshot newest;
	struct snapmgr_object o;
	int r = 0;

	if (!visit)
		return 0;
	r = s->volume ? scat_snapshot_latest(pool->cat, s->volume, 0, &newest, err) : -ENOENT;
	if (r < 0 && r != -ENOENT)
		return r;
	r = sm_object_snapshot(pool, s, r == 0 && newest.id == s->id, &o, err);
	return r < 0 ? r : sm_object_visit(pool, &o, visit, data, err);
}
