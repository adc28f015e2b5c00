/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_copy(): by bytes, or within one pool by what the driver shares. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/core/create.h"
#include "snapmgr/core/displace.h"

struct within {
	struct sm_found f; /* the source, in the pool of both */
	struct scat_volume volume;
	struct sm_displace displace;
	const char *from;
};

static void release(struct within *w)
{
	sm_displace_release(&w->displace);
	sm_found_close(&w->f);
}
static inline void auto_release(struct within *w)
{
	release(w);
}

static bool is_head(const struct sm_found *f)
{
	return !f->has_snapshot && !f->has_undo;
}

static int check(struct within *w, struct snapmgr_err *err)
{
	struct sm_pool *pool = &w->f.pool;
	const struct scat_common *v = &w->volume.c;
	struct sm_copy_source source;
	int r;

	sm_copy_source(&w->f, &source);
	if (is_head(&w->f) && w->f.volume.id == w->volume.id)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "'%.200s' is what '%s/%s' holds already",
			       w->from, pool->row.name, v->name);
	r = sm_volume_ready(pool, &w->volume, true, err);
	if (r == 0 && is_head(&w->f))
		r = sm_volume_ready(pool, &w->f.volume, false, err);
	if (r == 0 && w->f.has_snapshot)
		r = sm_snapshot_ready(pool, &w->f.snapshot, err);
	if (r == 0 && v->size_bytes < source.dev.size_bytes)
		r = sm_fail(err, SNAPMGR_USAGE, EINVAL,
			    "'%s/%s' has %" PRIu64 " bytes, less than the %" PRIu64
			    " of the source: what lies beyond would be cut off",
			    pool->row.name, v->name, v->size_bytes, source.dev.size_bytes);
	if (r == 0 && !w->displace.no_undo)
		r = sm_displace_check_undo(pool, &w->volume, err);
	return r;
}

static int leave_message(struct sm_pool *pool, void *arg, struct snapmgr_err *err)
{
	struct within *w = arg;
	char text[SNAPMGR_MESSAGE_MAX];
	const struct sm_message m = { .level = "info",
				      .verb = "copy",
				      .kind = "volume",
				      .object = &w->volume.c.uuid,
				      .project = w->volume.c.project,
				      .operation = &pool->op.uuid,
				      .text = text };

	(void)snprintf(text, sizeof(text), "volume '%s/%s' is a copy now of '%.300s'; %s",
		       pool->row.name, w->volume.c.name, w->from,
		       w->displace.kept ? "what it was before is its undo point" :
					  "there is no way back");
	return sm_message(pool, &m, err);
}

/* As a revert, with another source. */
static int put_over(struct within *w, struct snapmgr_err *err)
{
	struct sm_pool *pool = &w->f.pool;
	struct sm_displace *d = &w->displace;
	struct sm_copy_source source;
	uint32_t id;
	int r = sm_op_begin(pool, "copy", w->volume.c.name, NULL, w->volume.c.thin, err);

	sm_copy_source(&w->f, &source);
	if (r == 0)
		r = is_head(&w->f) ? sm_id_make(pool, sm_make_moment, &w->f.volume, &id, err) :
				     sm_id_make(pool, sm_make_copy, &source, &id, err);
	if (r < 0)
		return r;
	d->change.volume = &w->volume;
	d->change.thin = id;
	d->change.parent = source.parent;
	r = sm_displace(pool, d, 1, err);
	if (r == 0 || !sm_head_abort(pool, &d->change))
		return r;
	(void)pool->b.driver->drop(&pool->b, id, NULL); /* keep the first error */
	sm_message_volume_failed(pool, &w->volume, err);
	return r;
}

static int over(struct within *w, struct snapmgr_err *err)
{
	struct sm_displace *d = &w->displace;
	struct sm_space space;
	int r = check(w, err);

	if (r == 0)
		r = sm_space_for(&w->f.pool, "copy", &space, err);
	d->volume = &w->volume;
	d->quiet = true;
	d->rows = leave_message;
	d->rows_arg = w;
	d->change.size_bytes = w->volume.c.size_bytes;
	if (r == 0)
		r = sm_displace_prepare(&w->f.pool, d, 1, space.out_of_data, false, err);
	if (r == 0)
		r = put_over(w, err);
	return sm_displace_finish(&w->f.pool, d, 1, r, err);
}

static int find_target(struct within *w, const struct sm_spec *to, struct snapmgr_err *err)
{
	struct sm_uuid uuid;
	int r = scat_volume_by_name(w->f.pool.cat, to->volume, &w->volume, err);

	if (r == -ENOENT && sm_uuid_parse(to->volume, &uuid))
		r = scat_volume_by_uuid(w->f.pool.cat, &uuid, &w->volume, err);
	return r;
}

static const char *way(const struct sm_pool *pool)
{
	return !pool->b.driver->files ? "repoint" : pool->b.reflink ? "reflink" : "copy";
}

/* Return: 1 where there is no such volume yet. */
static int copy_over(struct snapmgr *sm, const char *from, const struct sm_spec *to,
		     const struct snapmgr_copy_opts *o, snapmgr_object_fn *visit, void *data,
		     struct snapmgr_copy_result *ret, struct snapmgr_err *err)
{
	struct snapmgr_err why;
	AUTO(release)
	struct within w = { .f.pool.lock = SLOCK_NONE,
			    .from = from,
			    .displace = { .online = o->online,
					  .remount = o->remount,
					  .no_undo = o->no_undo,
					  .claim.fd = -1 } };
	int r = sm_find(sm, from, SM_WANT_VOLUME | SM_WANT_SNAPSHOT | SM_WANT_UNDO, true, &w.f,
			err);

	err = err ? err : &why;
	if (r == 0)
		r = find_target(&w, to, err);
	if (r == -ENOENT && w.f.pool.cat)
		return 1;
	if (r == 0 && !w.f.pool.b.driver->repoint)
		return 1;
	if (r == 0)
		r = over(&w, err);
	if (r < 0)
		return r;
	if (ret) {
		(void)sm_copy_text(ret->strategy, sizeof(ret->strategy), way(&w.f.pool));
		ret->undo = w.displace.kept;
	}
	return sm_visit_volume(&w.f.pool, &w.volume, visit, data, err);
}

static int copy_within(struct snapmgr *sm, const char *from, const struct sm_spec *to,
		       const struct snapmgr_copy_opts *o, snapmgr_object_fn *visit, void *data,
		       struct snapmgr_copy_result *ret, struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_create_opts, create, o->create);
	int r = copy_over(sm, from, to, o, visit, data, ret, err);

	if (r <= 0)
		return r;
	r = sm_name_check("volume name", to->volume, err);
	if (r == 0 && ret)
		(void)sm_copy_text(ret->strategy, sizeof(ret->strategy), "clone");
	return r == 0 ? sm_clone(sm, from, to, &create, true, visit, data, err) : r;
}

int snapmgr_copy(struct snapmgr *sm, const char *from, const char *to,
		 const struct snapmgr_copy_opts *opts, snapmgr_object_fn *visit, void *data,
		 struct snapmgr_copy_result *ret, struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_copy_opts, o, opts);
	const uint64_t start_ns = sm_monotonic_ns();
	struct snapmgr_copy_result result = { 0 };
	struct sm_spec spec;
	int r = sm_spec_parse(to, &spec, err);

	if (r == 0 && (!spec.volume[0] || spec.snapshot[0]))
		r = sm_fail(err, SNAPMGR_USAGE, EINVAL, "'%.80s' does not name a volume (pool/vol)",
			    to);
	if (r == 0 && o.create)
		r = sm_create_opts_check(o.create, err);
	if (r == 0)
		r = sm_copy_is_foreign(sm, from, spec.pool, err);
	if (r < 0)
		return r;
	r = r || o.full ? sm_copy_bytes(sm, from, &spec, &o, visit, data, &result, err) :
			  copy_within(sm, from, &spec, &o, visit, data, &result, err);
	result.elapsed_us = (sm_monotonic_ns() - start_ns) / 1000;
	if (r == 0 && ret)
		*ret = result;
	return r;
}
