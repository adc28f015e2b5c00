/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapmgr_copy(): contents brought into a volume, a new one or one that is there.
 *
 * An id is filled beside, which nobody but the operation's row (or that of the new volume, in state
 * creating) names. Only when all of it is durable does it become the volume's head: of a new one by the
 * last commit, of another by a switch as in a revert, so that what it held is an undo point.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "snapmgr/core/create.h"
#include "snapmgr/core/displace.h"
#include "snapmgr/core/filler.h"
#include "snapmgr/core/origin.h"

#define TIDY_MS 100 /* for what was made in vain */

struct copying {
	struct snapmgr *sm;
	const struct snapmgr_copy_opts *opts;
	struct snapmgr_create_opts create; /* of a new volume */
	const struct sm_spec *to;
	struct sm_origin origin;
	struct sm_pool pool; /* the target's */
	struct scat_volume volume;
	bool is_new, resumed;
	bool revert; /* the volume is there, and gets the source's size */
	bool dry_run;
	struct scat_operation old; /* where it is resumed */
	uint32_t thin;
	uint64_t size_bytes; /* of the target */
	struct sm_lasting op;
	struct sm_filler filler;
	struct sm_displace displace;
	struct snapmgr_err *err;
};

static void release(struct copying *c)
{
	sm_lasting_release(&c->op);
	sm_displace_release(&c->displace);
	sm_pool_close(&c->pool);
}
static inline void auto_release(struct copying *c)
{
	release(c);
}

/* ---- may it be? ---- */

static int check_size(struct copying *c)
{
	const uint64_t block = c->pool.row.block_bytes, need = c->origin.size_bytes;

	if (c->revert)
		c->size_bytes = need;
	else if (!c->is_new)
		c->size_bytes = c->volume.c.size_bytes;
	else if (c->create.size_bytes)
		c->size_bytes = c->create.size_bytes;
	else
		c->size_bytes = (need + block - 1) / block * block; /* of a file */
	if (c->size_bytes < need)
		return sm_fail(c->err, SNAPMGR_USAGE, EINVAL,
			       "'%s/%s' has %" PRIu64 " bytes, less than the %" PRIu64
			       " of the source: what lies beyond would be cut off",
			       c->pool.row.name, c->to->volume, c->size_bytes, need);
	return c->is_new ? sm_check_size(&c->pool, c->size_bytes, c->err) : 0;
}

/* What is known to be needed is there before hours are spent. */
static int check_space(struct copying *c)
{
	struct sm_limits limits;
	struct sm_space s;
	uint64_t keep, left;
	int r = sm_space_for_more(&c->pool, "copy", NULL, c->err);

	if (r == 0)
		r = sm_pool_space(&c->pool, false, &s, c->err);
	if (r == 0)
		r = sm_limits_get(&c->pool, &limits, c->err);
	/* Where ids are placed, all of a volume is taken in the beginning. */
	if (r < 0 || c->origin.data_bytes == UINT64_MAX || c->resumed || c->pool.b.driver->stores)
		return r;
	keep = s.data_bytes / 100 * limits.reserve;
	left = s.data_bytes > s.data_used_bytes ? s.data_bytes - s.data_used_bytes : 0;
	if (left > keep && c->origin.data_bytes <= left - keep)
		return 0;
	return sm_fail(c->err, SNAPMGR_NO_SPACE, ENOSPC,
		       "no copy: '%.200s' holds %" PRIu64 " bytes, and pool '%s' has %" PRIu64
		       " free beyond its reserve: 'snapmgr pool extend %s DEVICE' adds some",
		       c->origin.text, c->origin.data_bytes, c->pool.row.name,
		       left > keep ? left - keep : 0, c->pool.row.name);
}

/* Who has the volume in use is told now, and not when all has been copied. */
static int try_displace(struct copying *c)
{
	struct sm_displace *d = &c->displace;
	struct sm_space space;
	int r;

	if (!c->pool.b.driver->repoint)
		return sm_fail(
			c->err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			"pool '%s' cannot give a volume other contents in place (driver '%s'): copy "
			"to a new volume, and rename the two",
			c->pool.row.name, c->pool.b.driver->name);
	r = c->opts->no_undo ? 0 : sm_displace_check_undo(&c->pool, &c->volume, c->err);
	if (r == 0)
		r = sm_space_for(&c->pool, "copy", &space, c->err);
	d->volume = &c->volume;
	d->change.size_bytes = c->size_bytes;
	if (r == 0)
		r = sm_displace_prepare(&c->pool, d, 1, space.out_of_data, true, c->err);
	sm_claim_drop(&d->claim);
	return r;
}

static int prepare_new(struct copying *c)
{
	sm_volume_describe(&c->volume, c->to->volume, &c->create, c->pool.b.driver);
	c->volume.c.size_bytes = c->size_bytes;
	c->volume.c.state = SCAT_CREATING;
	return sm_volume_quota(&c->pool, &c->volume, c->err);
}

static bool may_resume(const struct copying *c, const struct scat_operation *op)
{
	return c->opts->resume && op->resumable && !sm_lasting_owner_alive(op) &&
	       strcmp(op->verb, "copy") == 0 && strcmp(op->detail, c->origin.identity) == 0;
}

/* A volume that is there: to be replaced, or half copied by somebody who died. */
static int look_at_volume(struct copying *c)
{
	struct scat_volume *v = &c->volume;
	int r = scat_volume_by_name(c->pool.cat, c->to->volume, v, c->err);
	struct sm_uuid uuid;

	if (r == -ENOENT && sm_uuid_parse(c->to->volume, &uuid))
		r = scat_volume_by_uuid(c->pool.cat, &uuid, v, c->err);
	c->is_new = r == -ENOENT;
	if (c->is_new) {
		*v = (struct scat_volume){ 0 };
		return sm_name_check("volume name", c->to->volume, c->err);
	}
	if (r < 0 || !sm_state_is_transition(v->c.state) ||
	    scat_operation_on(c->pool.cat, v->id, 0, &c->old, NULL) < 0 || !may_resume(c, &c->old))
		return r < 0 ? r : sm_volume_ready(&c->pool, v, true, c->err);
	c->resumed = true;
	c->is_new = v->c.state == SCAT_CREATING;
	c->thin = c->is_new ? v->c.thin : c->old.thin;
	return 0;
}

static int check_driver(struct copying *c)
{
	const struct sm_driver *driver = c->pool.b.driver;

	if (driver->make || driver->stores)
		return 0;
	return sm_fail(c->err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
		       "nothing can be copied into pool '%s', whose driver is '%s'",
		       c->pool.row.name, driver->name);
}

static int check_revert(struct copying *c)
{
	if (c->is_new)
		return sm_fail(c->err, SNAPMGR_NOT_FOUND, ENOENT, "pool '%s' has no volume '%s'",
			       c->pool.row.name, c->to->volume);
	return sm_revert_support(&c->pool, &c->volume, c->err);
}

static int check(struct copying *c)
{
	int r = check_driver(c);

	if (r == 0)
		r = look_at_volume(c);

	if (r == 0 && !c->is_new && c->opts->must_be_new)
		r = sm_fail(c->err, SNAPMGR_EXISTS, EEXIST, "pool '%s' has a volume '%s' already",
			    c->pool.row.name, c->to->volume);
	if (r == 0 && c->revert)
		r = check_revert(c);
	if (r == 0 && c->resumed && !c->revert)
		c->size_bytes = c->volume.c.size_bytes;
	else if (r == 0)
		r = check_size(c);
	if (r == 0 && !c->is_new)
		r = try_displace(c);
	else if (r == 0 && !c->resumed)
		r = prepare_new(c);
	return r == 0 ? check_space(c) : r;
}

/* ---- the operation begins ---- */

static int insert_volume(struct sm_pool *pool, void *arg, struct snapmgr_err *err)
{
	struct copying *c = arg;

	return sm_volume_insert(pool, &c->volume, &c->create, err);
}

static int begin_anew(struct copying *c)
{
	const struct sm_lasting_plan plan = {
		.verb = "copy",
		.volume = &c->volume,
		.volume_state = c->is_new ? SCAT_CREATING : SCAT_REVERTING,
		.new_size_bytes = c->revert ? c->size_bytes : 0,
		.todo_bytes = c->origin.data_bytes == UINT64_MAX ? c->origin.size_bytes :
								   c->origin.data_bytes,
		.resumable = c->opts->resume,
		.detail = c->origin.identity,
		.rows = c->is_new ? insert_volume : NULL,
		.arg = c,
	};
	struct sm_lasting_plan full = plan;
	int r = sm_id_make(&c->pool, sm_make_empty, &c->volume, &c->thin, c->err);

	if (r < 0)
		return r;
	if (c->is_new)
		c->volume.c.thin = c->thin;
	else
		full.thin = c->thin;
	r = sm_lasting_begin(&c->pool, &full, &c->op, c->err);
	if (r < 0 && r != -EIO)
		(void)c->pool.b.driver->drop(&c->pool.b, c->thin, NULL);
	return r;
}

static int begin(struct copying *c)
{
	int r = sm_op_begin(&c->pool, "copy", c->to->volume, NULL, 0, c->err);

	if (r == 0 && c->resumed)
		return sm_lasting_adopt(&c->pool, &c->old, &c->volume, NULL, &c->op, c->err);
	return r == 0 ? begin_anew(c) : r;
}

/* ---- the copy itself; without the lock ---- */

static int move(struct copying *c)
{
	const struct sio_side source = { .fd = c->origin.fd, .name = c->origin.text };
	struct sio_list list;

	return sm_filler_run(&c->filler, &source, sm_origin_map(&c->origin, &list),
			     c->origin.size_bytes, c->err);
}

/* What a process left that died in this operation has the same names. */
static int fill(struct copying *c)
{
	struct sm_filler *f = &c->filler;
	int r = c->resumed ? sm_filler_unmap_parts(&c->pool, &c->op.row.uuid, c->err) : 0, r_close;

	*f = (struct sm_filler){
		.pool = &c->pool,
		.op = &c->op,
		.checkpoints = c->opts->resume,
		.checkpoint_bytes = c->opts->checkpoint_bytes,
		.resume_at = c->resumed ? c->old.done_bytes : 0,
		.verify = c->opts->verify,
		.holes = SIO_HOLES_SKIP, /* what is new reads as zero */
		.fd = -1,
	};
	if (r == 0)
		r = sm_origin_open(c->sm, &c->origin, &c->op.row.uuid, c->err);
	if (c->origin.reading.op.pool)
		f->reading = &c->origin.reading.op;
	if (r == 0)
		r = sm_filler_open(f, c->thin, c->size_bytes, c->err);
	if (r == 0)
		r = move(c);
	r_close = sm_origin_close(&c->pool.b, &c->origin, r < 0 ? NULL : c->err);
	return sm_filler_close(f, r < 0 ? r : r_close, c->err);
}

/* ---- the end ---- */

static int leave_message(struct sm_pool *pool, struct copying *c, struct snapmgr_err *err)
{
	char text[SNAPMGR_MESSAGE_MAX];
	const struct sm_message m = { .level = "info",
				      .verb = "copy",
				      .kind = "volume",
				      .object = &c->volume.c.uuid,
				      .project = c->volume.c.project,
				      .operation = &c->op.row.uuid,
				      .text = text };

	(void)snprintf(text, sizeof(text), "volume '%s/%s' %s '%.300s'%s", pool->row.name,
		       c->volume.c.name, c->is_new ? "was made of" : "is a copy now of",
		       c->origin.text,
		       c->is_new	? "" :
		       c->displace.kept ? "; what it was before is its undo point" :
					  "; there is no way back");
	return sm_message(pool, &m, err);
}

static int new_rows(struct sm_pool *pool, void *arg, struct snapmgr_err *err)
{
	return leave_message(pool, arg, err);
}

static int finish_new(struct copying *c)
{
	int r = sm_lasting_end(&c->op, new_rows, c, c->err);

	/* Who dies from here on has made a volume that recovery maps. */
	(void)sm_copy_text(c->pool.op.verb, sizeof(c->pool.op.verb), "create");
	slock_tell(&c->pool.lock, &c->pool.op);
	return r == 0 ? sm_volume_bring_up(&c->pool, &c->volume, c->err) : r;
}

static int switched_rows(struct sm_pool *pool, void *arg, struct snapmgr_err *err)
{
	struct copying *c = arg;
	int r = sm_lasting_leave(&c->op, err);

	return r == 0 ? leave_message(pool, c, err) : r;
}

static int do_switch(struct copying *c)
{
	struct sm_displace *d = &c->displace;
	const struct sm_driver *driver = c->pool.b.driver;
	struct sm_space space;
	int r = driver->fill_end ? driver->fill_end(&c->pool.b, c->thin, c->err) : 0;

	if (r == 0)
		r = sm_space_for(&c->pool, "copy", &space, c->err);
	if (r == 0)
		r = sm_displace_prepare(&c->pool, d, 1, space.out_of_data, false, c->err);
	if (r < 0)
		return r;
	c->pool.op.head = c->volume.c.thin;
	c->pool.op.started_at_us = sm_now_us(); /* the undo point is of now */
	slock_tell(&c->pool.lock, &c->pool.op);
	return sm_displace(&c->pool, d, 1, c->err);
}

static int finish_over(struct copying *c)
{
	struct sm_displace *d = &c->displace;
	int r = sm_lasting_retake(&c->op, c->err);

	if (r < 0)
		return r;
	d->volume = &c->volume;
	d->no_undo = c->opts->no_undo;
	d->quiet = true;
	d->rows = switched_rows;
	d->rows_arg = c;
	d->change.volume = &c->volume;
	d->change.thin = c->thin;
	d->change.size_bytes = c->size_bytes;
	r = do_switch(c);
	if (r < 0 && !sm_head_abort(&c->pool, &d->change))
		sm_lasting_release(&c->op); /* recovery finds out whether it is done */
	return sm_displace_finish(&c->pool, d, 1, r, c->err);
}

/* Stopped or failed: all that was made goes, or it waits to be resumed. */
static void give_up(struct copying *c)
{
	if (!c->op.pool)
		return;
	if (c->opts->resume && !sm_lasting_cancelled(&c->op))
		sm_lasting_abandon(&c->op);
	else
		sm_lasting_undo(&c->op);
}

static int run(struct copying *c)
{
	int r = sm_pool_open(c->sm, c->to->pool, true, &c->pool, c->err);

	if (r == 0)
		r = check(c);
	if (r < 0 || c->dry_run)
		return r;
	r = begin(c);
	if (r < 0)
		return r;
	r = fill(c);
	if (r == 0)
		r = c->is_new ? finish_new(c) : finish_over(c);
	if (r < 0)
		give_up(c);
	return r;
}

/* ---- what a dead owner left ---- */

static int undo_volume(struct sm_pool *pool, struct scat_volume *v, struct snapmgr_err *err)
{
	int r;

	if (v->c.state != SCAT_CREATING) {
		v->c.state = SCAT_AVAILABLE;
		return scat_volume_update(pool->cat, v, err);
	}
	r = scat_volume_delete(pool->cat, v->id, err);
	return r == 0 && v->c.thin ? scat_garbage_add(pool->cat, v->c.thin, err) : r;
}

int sm_copy_settle(struct sm_pool *pool, const struct scat_operation *op, char *said,
		   struct snapmgr_err *err)
{
	struct scat_volume v = { 0 };
	uint32_t after = 0;
	bool more;
	int r = sm_filler_unmap_parts(pool, &op->uuid, err);

	if (r == 0)
		r = scat_begin(pool->cat, err);
	if (r == 0 && op->volume)
		r = scat_volume_by_id(pool->cat, op->volume, &v, err);
	(void)sm_copy_text(said, SM_SAID,
			   v.c.state == SCAT_CREATING && v.id ? "the unfinished volume is gone" :
								"the volume is as it was before");
	if (r == 0 && v.id)
		r = undo_volume(pool, &v, err);
	if (r == -ENOENT)
		r = 0;
	if (r == 0 && op->thin)
		r = scat_garbage_add(pool->cat, op->thin, err);
	if (r == 0)
		r = scat_operation_delete(pool->cat, op->id, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	if (r == 0) /* what stays is garbage still */
		(void)sm_garbage_drop_some(pool, TIDY_MS, &after, &more, NULL);
	return r;
}

/* ---- the callers ---- */

static int copy_bytes(struct copying *c, const char *from, snapmgr_object_fn *visit, void *data,
		      struct snapmgr_copy_result *ret)
{
	int r = sm_origin_look(c->sm, from, &c->origin, c->err);

	if (r == 0 && c->origin.head && c->opts->resume)
		r = sm_fail(c->err, SNAPMGR_USAGE, EINVAL,
			    "a volume changes, so that a copy of it cannot be resumed: take a "
			    "snapshot of '%.200s', and copy that",
			    from);
	if (r < 0)
		return r;
	if (c->opts->create) {
		SM_OPTS(struct snapmgr_create_opts, create, c->opts->create);
		c->create = create;
	}
	if (!c->create.project && *c->origin.project)
		c->create.project = c->origin.project;
	c->create.guest |= c->origin.guest;
	r = run(c);
	if (r < 0)
		return r;
	sm_pool_settle(&c->pool);
	if (!c->dry_run)
		sm_backup(&c->pool);
	if (ret) {
		(void)sm_copy_text(ret->strategy, sizeof(ret->strategy), "copy");
		ret->moved_bytes = c->filler.moved.moved_bytes;
		ret->undo = c->displace.kept;
	}
	return sm_visit_volume(&c->pool, &c->volume, visit, data, c->err);
}

int sm_copy_bytes(struct snapmgr *sm, const char *from, const struct sm_spec *to,
		  const struct snapmgr_copy_opts *o, snapmgr_object_fn *visit, void *data,
		  struct snapmgr_copy_result *ret, struct snapmgr_err *err)
{
	struct snapmgr_err why;
	AUTO(release)
	struct copying c = {
		.sm = sm,
		.opts = o,
		.to = to,
		.pool.lock = SLOCK_NONE,
		.origin.fd = -1,
		.displace = { .online = o->online, .remount = o->remount, .claim.fd = -1 },
		.err = err ? err : &why
	};

	return copy_bytes(&c, from, visit, data, ret);
}

int sm_copy_revert(struct snapmgr *sm, const char *from, const struct sm_spec *to,
		   const struct snapmgr_revert_opts *o, struct snapmgr_object *ret_volume,
		   struct snapmgr_copy_result *ret, struct snapmgr_err *err)
{
	struct snapmgr_copy_opts copy = SNAPMGR_OPTS_INIT(struct snapmgr_copy_opts);
	AUTO(release)
	struct copying c = { .sm = sm,
			     .opts = &copy,
			     .to = to,
			     .revert = true,
			     .dry_run = o->dry_run,
			     .pool.lock = SLOCK_NONE,
			     .origin.fd = -1,
			     .displace = { .online = o->online,
					   .remount = o->remount,
					   .force = o->force,
					   .claim.fd = -1 },
			     .err = err };

	copy.no_undo = o->no_undo;
	return copy_bytes(&c, from, sm_keep_object, ret_volume, ret);
}

int sm_copy_new(struct snapmgr *sm, const char *from, const struct sm_spec *to,
		const struct snapmgr_create_opts *o, snapmgr_object_fn *visit, void *data,
		struct snapmgr_err *err)
{
	struct snapmgr_copy_opts copy = SNAPMGR_OPTS_INIT(struct snapmgr_copy_opts);
	struct snapmgr_create_opts create = *o;

	create.size = sizeof(create);
	copy.create = &create;
	copy.must_be_new = true;
	return sm_copy_bytes(sm, from, to, &copy, visit, data, NULL, err);
}

/* Can another volume of its pool have the contents without copying them through here? */
static bool shares(const struct sm_found *f)
{
	const struct sm_backend *b = &f->pool.b;

	return b->driver->copy &&
	       (f->has_snapshot || f->has_undo || !b->driver->files || b->reflink);
}

int sm_copy_is_foreign(struct snapmgr *sm, const char *from, const char *pool,
		       struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	int r;

	if (sm_origin_is_path(from))
		return 1;
	r = sm_find(sm, from, SM_WANT_VOLUME | SM_WANT_SNAPSHOT | SM_WANT_UNDO, false, &f, err);
	return r < 0 ? r : sm_same_pool(&f.pool, pool, NULL) < 0 || !shares(&f);
}
