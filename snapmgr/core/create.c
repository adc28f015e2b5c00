/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_create(), snapmgr_clone(): volumes come to be. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/core/create.h"
#include "snapmgr/core/rewrite.h"

#define UNDO_KEEP 3u

static int check_text(const char *what, const char *text, size_t max, struct snapmgr_err *err)
{
	if (!text || (strlen(text) <= max && sm_utf8_valid(text)))
		return 0;
	return sm_fail(err, SNAPMGR_USAGE, EINVAL, "%s is longer than %zu bytes or no valid text",
		       what, max);
}

static int check_tags(const struct snapmgr_tag *tags, size_t n, struct snapmgr_err *err)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (!tags[i].key[0])
			return sm_fail(err, SNAPMGR_USAGE, EINVAL, "a tag has no key");
		r = check_text("tag", tags[i].key, SNAPMGR_LABEL_MAX, err);
		if (r == 0)
			r = check_text("tag", tags[i].value, SNAPMGR_LABEL_MAX, err);
	}
	return r;
}

int sm_check_texts(const char *project, const char *label, const char *description,
		   const struct snapmgr_tag *tags, size_t n_tags, struct snapmgr_err *err)
{
	int r = check_text("project", project, SNAPMGR_LABEL_MAX, err);

	if (r == 0)
		r = check_text("label", label, SNAPMGR_LABEL_MAX, err);
	if (r == 0)
		r = check_text("description", description, SNAPMGR_DESC_MAX, err);
	return r == 0 ? check_tags(tags, n_tags, err) : r;
}

int sm_check_size(const struct sm_pool *pool, uint64_t bytes, struct snapmgr_err *err)
{
	if (bytes == 0)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "a volume of size 0 cannot be");
	if (bytes % pool->row.block_bytes)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "size %" PRIu64
			       " is not a multiple of %u, the logical block of pool '%s'",
			       bytes, pool->row.block_bytes, pool->row.name);
	if (bytes > (UINT64_C(1) << 63) / 2)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "size %" PRIu64 " is too large: at most 4 EiB", bytes);
	return 0;
}

int sm_set_tags(struct sm_pool *pool, const struct sm_uuid *object, const struct snapmgr_tag *tags,
		size_t n, struct snapmgr_err *err)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = scat_tag_set(pool->cat, object, tags[i].key, tags[i].value, err);
	return r;
}

void sm_volume_describe(struct scat_volume *v, const char *name,
			const struct snapmgr_create_opts *o, const struct sm_driver *driver)
{
	sm_uuid_make(&v->c.uuid);
	(void)sm_copy_text(v->c.name, sizeof(v->c.name), name);
	(void)sm_copy_text(v->c.project, sizeof(v->c.project), o->project ? o->project : "");
	(void)sm_copy_text(v->c.label, sizeof(v->c.label), o->label ? o->label : "");
	(void)sm_copy_text(v->c.description, sizeof(v->c.description),
			   o->description ? o->description : "");
	v->c.created_at_us = sm_now_us();
	v->c.state = SCAT_AVAILABLE;
	v->undo_keep = UNDO_KEEP;
	v->autostart = !o->inactive && !driver->files;
	v->guest = o->guest;
	v->revert_support = sm_driver_reverts(driver) && !o->no_revert;
}

int sm_volume_insert(struct sm_pool *pool, struct scat_volume *v,
		     const struct snapmgr_create_opts *o, struct snapmgr_err *err)
{
	int r = scat_volume_insert(pool->cat, v, err);

	if (r == 0)
		r = sm_set_tags(pool, &v->c.uuid, o->tags, o->n_tags, err);
	return r == 0 ? sm_pool_save(pool, err) : r;
}

static int write_rows(struct sm_pool *pool, struct scat_volume *v,
		      const struct snapmgr_create_opts *o, struct snapmgr_err *err)
{
	int r = scat_begin(pool->cat, err);

	if (r == 0)
		r = sm_volume_insert(pool, v, o, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	return r;
}

int sm_make_empty(struct sm_pool *pool, uint32_t id, void *arg, struct snapmgr_err *err)
{
	const struct scat_volume *v = arg;

	return pool->b.driver->stores ? sm_store_volume(pool, id, v->c.size_bytes, err) :
					pool->b.driver->make(&pool->b, id, err);
}

/* It could not be mapped: nobody has seen it, and a failure leaves nothing behind. */
static void take_back(struct sm_pool *pool, const struct scat_volume *v)
{
	int r = scat_begin(pool->cat, NULL);

	if (r == 0)
		r = scat_volume_delete(pool->cat, v->id, NULL);
	if (r == 0)
		r = scat_garbage_add(pool->cat, v->c.thin, NULL);
	if (r == 0)
		r = scat_commit(pool->cat, true, NULL);
	scat_rollback(pool->cat);
	if (r == 0)
		(void)sm_garbage_drop(pool, NULL);
}

int sm_volume_bring_up(struct sm_pool *pool, const struct scat_volume *v, struct snapmgr_err *err)
{
	struct sm_vdev dev;
	int r = 0;

	sm_volume_device(pool, v, &dev);
	if (pool->b.driver->place)
		r = pool->b.driver->place(&pool->b, &dev, err);
	if (r == 0 && v->autostart)
		r = pool->b.driver->map(&pool->b, &dev, err);
	if (r < 0)
		take_back(pool, v);
	return r;
}

/*
 * Kernel first, then the commit that makes it real; what a crash leaves between is an unnamed id. Who dies
 * after the commit is said to have been at it, so that recovery maps the volume.
 */
static int make_volume(struct sm_pool *pool, struct scat_volume *v,
		       const struct snapmgr_create_opts *o, sm_make_fn *make, void *arg,
		       struct snapmgr_err *err)
{
	int r = sm_op_begin(pool, "create", v->c.name, NULL, 0, err);

	if (r == 0)
		r = sm_id_make(pool, make, arg, &v->c.thin, err);
	if (r == 0 && make == sm_make_copy && sm_rewrite_wanted(pool))
		return sm_clone_copy(pool, v, o, err);
	if (r == 0) {
		r = write_rows(pool, v, o, err);
		if (r < 0 && r != -EIO) /* after -EIO nobody knows: the next one of that id looks */
			(void)pool->b.driver->drop(&pool->b, v->c.thin, NULL);
	}
	return r < 0 ? r : sm_volume_bring_up(pool, v, err);
}

static int name_free(struct sm_pool *pool, const char *name, struct snapmgr_err *err)
{
	struct scat_volume v;
	int r = scat_volume_by_name(pool->cat, name, &v, err);

	if (r == 0)
		return sm_fail(err, SNAPMGR_EXISTS, EEXIST, "pool '%s' has a volume '%s' already",
			       pool->row.name, name);
	if (r == -ENOENT && pool->b.driver->name_free)
		return pool->b.driver->name_free(&pool->b, name, err);
	return r == -ENOENT ? 0 : r;
}

static int finish(struct sm_pool *pool, const struct scat_volume *v, snapmgr_object_fn *visit,
		  void *data, struct snapmgr_err *err)
{
	sm_pool_settle(pool);
	sm_backup(pool);
	return sm_visit_volume(pool, v, visit, data, err);
}

int sm_volume_quota(struct sm_pool *pool, const struct scat_volume *v, struct snapmgr_err *err)
{
	const struct sm_quota_change change = {
		.project = v->c.project,
		.amount = { [SNAPMGR_VOLUMES] = 1,
			    [SNAPMGR_VOLUME_BYTES] = (int64_t)v->c.size_bytes },
	};

	return sm_quota_check(pool, &change, 1, err);
}

/* "pool/new" of a volume that is to be, taken apart. */
int sm_new_volume_spec(const char *text, struct sm_spec *ret, struct snapmgr_err *err)
{
	int r = sm_spec_parse(text, ret, err);

	if (r < 0)
		return r;
	if (!ret->volume[0] || ret->snapshot[0])
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "'%.80s' does not name a volume (pool/vol)", text);
	return sm_name_check("volume name", ret->volume, err);
}

int sm_create_opts_check(const struct snapmgr_create_opts *o, struct snapmgr_err *err)
{
	int r = sm_params_check(o->params, o->n_params, err);

	return r == 0 ? sm_check_texts(o->project, o->label, o->description, o->tags, o->n_tags,
				       err) :
			r;
}

static int check_source_size(struct sm_found *f, uint64_t bytes, uint64_t source_bytes,
			     struct snapmgr_err *err)
{
	if (bytes < source_bytes)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "size %" PRIu64 " is less than the source's %" PRIu64
			       ": what lies beyond would be cut off",
			       bytes, source_bytes);
	return sm_check_size(&f->pool, bytes, err);
}

/* What is inside belongs to the same people as the source: its project, and a virtual machine. */
static void inherit(const struct sm_found *f, struct snapmgr_create_opts *o)
{
	if (!o->project && f->has_snapshot)
		o->project = f->snapshot.c.project;
	else if (!o->project)
		o->project = f->volume.c.project;
	o->guest |= f->has_volume && f->volume.guest;
}

static int find_source(struct snapmgr *sm, const char *from, const struct sm_spec *to, bool head,
		       struct sm_found *f, struct snapmgr_err *err)
{
	int r = sm_find(sm, from, SM_WANT_SNAPSHOT | SM_WANT_UNDO | (head ? SM_WANT_VOLUME : 0),
			true, f, err);

	if (r == 0 && !f->pool.b.driver->copy)
		return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			       "driver '%s' of pool '%s' makes no clones", f->pool.b.driver->name,
			       f->pool.row.name);
	if (r == 0)
		r = sm_same_pool(&f->pool, to->pool, err);
	if (r == 0 && f->has_snapshot)
		r = sm_snapshot_ready(&f->pool, &f->snapshot, err);
	else if (r == 0 && !f->has_undo)
		r = sm_volume_ready(&f->pool, &f->volume, false, err);
	return r == 0 ? name_free(&f->pool, to->volume, err) : r;
}

int sm_clone(struct snapmgr *sm, const char *from, const struct sm_spec *to,
	     struct snapmgr_create_opts *o, bool head, snapmgr_object_fn *visit, void *data,
	     struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	struct scat_volume v = { 0 };
	struct sm_copy_source source;
	bool moment;
	int r = find_source(sm, from, to, head, &f, err);

	if (r < 0)
		return r;
	moment = !f.has_snapshot && !f.has_undo;
	sm_copy_source(&f, &source);
	v.c.size_bytes = o->size_bytes ? o->size_bytes : source.dev.size_bytes;
	v.c.parent = source.parent;
	source.larger_bytes = v.c.size_bytes;
	r = check_source_size(&f, v.c.size_bytes, source.dev.size_bytes, err);
	if (r < 0)
		return r;
	inherit(&f, o);
	sm_volume_describe(&v, to->volume, o, f.pool.b.driver);
	r = sm_volume_quota(&f.pool, &v, err);
	if (r == 0) /* which may take undo points, so nothing is refused after it */
		r = sm_space_for_more(&f.pool, "clone", f.has_undo ? &f.undo : NULL, err);
	if (r == 0)
		r = moment ? make_volume(&f.pool, &v, o, sm_make_moment, &f.volume, err) :
			     make_volume(&f.pool, &v, o, sm_make_copy, &source, err);
	return r == 0 ? finish(&f.pool, &v, visit, data, err) : r;
}

static int make_new(struct snapmgr *sm, const struct sm_spec *spec,
		    const struct snapmgr_create_opts *o, snapmgr_object_fn *visit, void *data,
		    struct snapmgr_err *err)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct scat_volume v = { .c.size_bytes = o->size_bytes };
	int r = sm_pool_open(sm, spec->pool, true, &pool, err);

	if (r == 0)
		r = sm_check_size(&pool, o->size_bytes, err);
	if (r == 0)
		r = name_free(&pool, spec->volume, err);
	if (r < 0)
		return r;
	sm_volume_describe(&v, spec->volume, o, pool.b.driver);
	r = sm_volume_quota(&pool, &v, err);
	if (r == 0)
		r = sm_space_for_more(&pool, "new volume", NULL, err);
	if (r == 0)
		r = pool.b.driver->stores ? sm_create_blank(&pool, &v, o, err) :
					    make_volume(&pool, &v, o, sm_make_empty, &v, err);
	return r == 0 ? finish(&pool, &v, visit, data, err) : r;
}

int snapmgr_create(struct snapmgr *sm, const char *text, const struct snapmgr_create_opts *opts,
		   snapmgr_object_fn *visit, void *data, struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_create_opts, o, opts);
	struct sm_spec spec;
	int r = sm_new_volume_spec(text, &spec, err);

	if (r == 0)
		r = sm_create_opts_check(&o, err);
	if (r == 0 && o.from)
		r = sm_copy_is_foreign(sm, o.from, spec.pool, err);
	if (r < 0)
		return r;
	if (!o.from)
		return make_new(sm, &spec, &o, visit, data, err);
	return r ? sm_copy_new(sm, o.from, &spec, &o, visit, data, err) :
		   sm_clone(sm, o.from, &spec, &o, true, visit, data, err);
}

int snapmgr_clone(struct snapmgr *sm, const char *from, const char *to,
		  const struct snapmgr_create_opts *opts, snapmgr_object_fn *visit, void *data,
		  struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_create_opts, o, opts);
	struct sm_spec spec;
	int r = sm_new_volume_spec(to, &spec, err);

	if (r == 0)
		r = sm_create_opts_check(&o, err);
	return r == 0 ? sm_clone(sm, from, &spec, &o, false, visit, data, err) : r;
}
