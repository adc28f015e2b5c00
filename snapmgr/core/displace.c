/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One head displaced by another. */
#include <errno.h>
#include <inttypes.h>
#include <sys/sysmacros.h>

#include "snapmgr/core/displace.h"

int sm_keep_object(const struct snapmgr_object *object, void *data)
{
	struct snapmgr_object *o = data;

	*o = *object;
	o->tags = NULL;
	o->n_tags = 0;
	return 0;
}

static int check_size(const struct sm_found *f, const struct sm_displace *d, uint64_t size_bytes,
		      struct snapmgr_err *err)
{
	if (size_bytes >= f->volume.c.size_bytes || !d->claim.others || d->force)
		return 0;
	return sm_fail(err, SNAPMGR_IN_USE, EBUSY,
		       "'%s/%s' is open and would shrink from %" PRIu64 " to %" PRIu64
		       " bytes: whoever writes past the new end gets an error; --force does it",
		       f->pool.row.name, f->volume.c.name, f->volume.c.size_bytes, size_bytes);
}

/* A suspend would wait for writes that the full pool has queued. */
static int check_full(const struct sm_found *f, const struct sm_displace *d, bool out_of_data,
		      struct snapmgr_err *err)
{
	if (!out_of_data || !d->claim.others)
		return 0;
	return sm_fail(
		err, SNAPMGR_NO_SPACE, ENOSPC,
		"pool '%s' is out of data space and '%s' is open, maybe with writes that wait for space: close "
		"it, or extend the pool with 'snapmgr pool extend %s DEVICE'",
		f->pool.row.name, f->volume.c.name, f->pool.row.name);
}

static int take_mounts(struct sm_displace *d, const struct sm_vdev *dev, struct snapmgr_err *err)
{
	struct sdm_info info;
	int r = sdm_info(dev->dm.name, &info, err);

	if (r < 0 || !info.exists)
		return r;
	return shost_unmount(makedev(info.major, info.minor), &d->mounts, err);
}

int sm_displace_prepare(struct sm_found *f, struct sm_displace *d, uint64_t size_bytes,
			bool out_of_data, bool dry_run, struct snapmgr_err *err)
{
	char spec[2 * SNAPMGR_NAME_MAX + 2];
	struct sm_vdev dev;
	int r = 0;

	(void)snprintf(spec, sizeof(spec), "%s/%s", f->pool.row.name, f->volume.c.name);
	sm_volume_device(&f->pool, &f->volume, &dev);
	if (d->remount &&
	    dry_run) /* nothing is unmounted, so it cannot be claimed: look at the others */
		return sm_claim_trial(&dev, spec,
				      SHOST_SWAP | SHOST_HOLDER | SHOST_LOOP |
					      (d->online ? 0 : SHOST_PROCESS),
				      err);
	if (d->remount) {
		sm_signals_hold(&d->signals);
		d->held = true;
		r = take_mounts(d, &dev, err);
	}
	if (r == 0)
		r = sm_claim(&f->pool, &dev, spec, d->online, &d->claim, err);
	if (r == 0)
		r = check_size(f, d, size_bytes, err);
	if (r == 0)
		r = check_full(f, d, out_of_data, err);
	return r == 0 ? sm_claim_flush(&d->claim, spec, err) : r;
}

/* Undo points beyond the volume's number go, the oldest first. */
struct evict {
	struct sm_pool *pool;
	uint32_t keep;
	int64_t ids[64];
	uint32_t thins[64];
	size_t n;
	uint32_t seen;
};

static int pick(const struct scat_undo *undo, void *data)
{
	struct evict *e = data;

	if (e->seen++ < e->keep)
		return 0;
	e->ids[e->n] = undo->id;
	e->thins[e->n++] = undo->thin;
	return e->n == SM_ARRAY(e->ids);
}

static int evict(struct sm_pool *pool, int64_t volume, uint32_t keep, struct snapmgr_err *err)
{
	struct evict e = { .pool = pool, .keep = keep };
	int r = scat_undo_each(pool->cat, volume, pick, &e, err);

	for (size_t i = 0; i < e.n && r >= 0; i++) {
		r = scat_undo_delete(pool->cat, e.ids[i], err);
		if (r == 0)
			r = scat_garbage_add(pool->cat, e.thins[i], err);
	}
	return r < 0 ? r : 0;
}

int sm_displace_check_undo(struct sm_found *f, struct snapmgr_err *err)
{
	const uint32_t keep = f->volume.undo_keep;
	struct scat_undo undo;
	struct sdm_info info;
	struct sm_vdev dev;
	int r;

	if (!keep)
		return 0;
	for (uint32_t back = keep - 1;; back++) {
		r = scat_undo_nth(f->pool.cat, f->volume.id, back, &undo, err);
		if (r < 0)
			return r == -ENOENT ? 0 : r;
		sm_undo_device(&f->pool, &f->volume, &undo, back, &dev);
		r = sdm_info_by_uuid(dev.dm.uuid, &info, err);
		if (r < 0)
			return r;
		if (info.exists)
			return sm_fail(
				err, SNAPMGR_IN_USE, EBUSY,
				"the undo point '%s/%s@undo~%u', which would go now, is active: deactivate it "
				"first",
				f->pool.row.name, f->volume.c.name, back);
	}
}

static int leave_message(struct sm_pool *pool, const struct sm_head_change *change,
			 struct snapmgr_err *err)
{
	const struct sm_displace *d = change->arg;
	const struct scat_common *v = &change->volume->c;
	char text[SNAPMGR_MESSAGE_MAX];
	const struct sm_message m = { .level = "info",
				      .verb = d->swap ? "undo" : "revert",
				      .kind = "volume",
				      .object = &v->uuid,
				      .project = v->project,
				      .operation = &pool->op.uuid,
				      .text = text };

	(void)snprintf(
		text, sizeof(text), "volume '%s/%s' %s%s%s; %s", pool->row.name, v->name,
		change->snapshot ? "was reverted to snapshot '" : "was switched with an undo point",
		change->snapshot ? change->snapshot->c.name : "", change->snapshot ? "'" : "",
		d->kept ? "what it was before is its undo point" : "there is no way back");
	return sm_message(pool, &m, err);
}

/* The displaced head becomes an undo point, or garbage where none are wanted. */
static int keep_or_drop(struct sm_pool *pool, struct sm_head_change *change,
			struct snapmgr_err *err)
{
	struct sm_displace *d = change->arg;
	struct scat_undo undo = {
		.volume = change->volume->id,
		.created_at_us = pool->op.started_at_us,
		.thin = d->old_thin,
		.size_bytes = d->old_size_bytes,
		.parent = d->old_parent,
	};
	int r = d->swap ? scat_undo_delete(pool->cat, d->swap->id, err) : 0;

	if (r < 0)
		return r;
	d->kept = d->swap || (!d->no_undo && change->volume->undo_keep > 0);
	if (!d->kept)
		return scat_garbage_add(pool->cat, d->old_thin, err);
	sm_uuid_make(&undo.uuid);
	r = scat_undo_insert(pool->cat, &undo, err);
	if (r < 0 ||
	    d->swap) /* a swap makes no point more, and drops none: it can be swapped again */
		return r;
	return evict(pool, undo.volume, change->volume->undo_keep, err);
}

static int write_rows(struct sm_pool *pool, struct sm_head_change *change, struct snapmgr_err *err)
{
	int r = keep_or_drop(pool, change, err);

	return r == 0 ? leave_message(pool, change, err) : r;
}

int sm_displace(struct sm_found *f, struct sm_displace *d, struct snapmgr_err *err)
{
	d->old_thin = f->volume.c.thin;
	d->old_size_bytes = f->volume.c.size_bytes;
	d->old_parent = f->volume.c.parent;
	d->change.volume = &f->volume;
	d->change.rows = write_rows;
	d->change.arg = d;
	return sm_head_switch(&f->pool, &d->change, &d->claim, err);
}

static void release_signals(struct sm_displace *d)
{
	if (d->held)
		sm_signals_release(&d->signals);
	d->held = false;
}

int sm_displace_finish(struct sm_found *f, struct sm_displace *d, int r, struct snapmgr_err *err)
{
	struct snapmgr_err why;
	int r_mount;

	sm_claim_drop(&d->claim);
	sm_pool_unlock(&f->pool);
	sm_head_settle(&f->pool, &d->change);
	if (!d->mounts.n)
		return r;
	r_mount = shost_remount(&d->mounts, &why);
	release_signals(d);
	if (d->mounts.warning[0])
		sm_warn(f->pool.sm, "%s", d->mounts.warning);
	if (r_mount == 0)
		return r;
	if (r < 0) { /* the first error is the caller's */
		sm_warn(f->pool.sm, "%s", why.message);
		return r;
	}
	if (err) {
		*err = why;
		(void)snprintf(err->message, sizeof(err->message),
			       "'%s/%s' was switched, but: %.600s", f->pool.row.name,
			       f->volume.c.name, why.message);
	}
	return r_mount;
}

void sm_displace_release(struct sm_displace *d)
{
	sm_claim_drop(&d->claim);
	sdm_switch_free(d->change.settle);
	shost_mounts_free(&d->mounts);
	release_signals(d);
}
