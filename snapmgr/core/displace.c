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
	o->parts = NULL;
	o->n_tags = o->n_parts = 0;
	return 0;
}

static int check_size(const struct sm_pool *pool, const struct sm_displace *d,
		      struct snapmgr_err *err)
{
	const struct scat_common *v = &d->volume->c;

	if (d->change.size_bytes >= v->size_bytes || !d->claim.others || d->force)
		return 0;
	return sm_fail(err, SNAPMGR_IN_USE, EBUSY,
		       "'%s/%s' is open and would shrink from %" PRIu64 " to %" PRIu64
		       " bytes: whoever writes past the new end gets an error; --force does it",
		       pool->row.name, v->name, v->size_bytes, d->change.size_bytes);
}

/* A suspend would wait for writes that the full pool has queued. */
static int check_full(const struct sm_pool *pool, const struct sm_displace *d, bool out_of_data,
		      struct snapmgr_err *err)
{
	if (!out_of_data || !d->claim.others)
		return 0;
	return sm_fail(
		err, SNAPMGR_NO_SPACE, ENOSPC,
		"pool '%s' is out of data space and '%s' is open, maybe with writes that wait for space: close "
		"it, or extend the pool with 'snapmgr pool extend %s DEVICE'",
		pool->row.name, d->volume->c.name, pool->row.name);
}

struct taking {
	struct sm_pool *pool;
	struct sm_displace *d;
	size_t turn;
};

static int note_mounts(const struct shost_mounts *mounts, void *data, struct snapmgr_err *err)
{
	const struct taking *t = data;

	return sm_aside_mounts(t->pool, t->d->volume, t->turn, mounts, &t->d->noted, err);
}

static int take_mounts(struct sm_pool *pool, struct sm_displace *d, size_t turn,
		       struct snapmgr_err *err)
{
	struct taking t = { pool, d, turn };
	struct sdm_info info;
	struct sm_vdev dev;
	int r;

	sm_volume_device(pool, d->volume, &dev);
	r = sm_vdev_info(&pool->b, &dev, &info, err);
	if (r < 0 || !info.exists)
		return r;
	d->mounts.before = note_mounts;
	d->mounts.data = &t;
	r = shost_unmount(makedev(info.major, info.minor), &d->mounts, err);
	d->mounts.before = NULL;
	d->mounts.data = NULL;
	if (r < 0) /* they are back */
		sm_aside_mounts_end(pool, &d->noted);
	return r;
}

/*
 * One volume's filesystem may be mounted below another's, which cannot be unmounted before it: as long
 * as one goes, the others are tried again.
 */
static int unmount_all(struct sm_pool *pool, struct sm_displace *d, size_t n,
		       struct snapmgr_err *err)
{
	size_t done = 0, before;
	int first, r;

	sm_signals_hold(&d->signals);
	d->held = true;
	do {
		before = done;
		first = 0;
		for (size_t i = 0; i < n; i++) {
			if (d[i].unmounted)
				continue;
			r = take_mounts(pool, &d[i], done + 1, first < 0 ? NULL : err);
			if (r == 0)
				d[i].unmounted = ++done;
			else if (first == 0)
				first = r;
		}
	} while (done < n && done > before);
	return first;
}

static int prepare_one(struct sm_pool *pool, struct sm_displace *d, bool out_of_data, bool dry_run,
		       struct snapmgr_err *err)
{
	char spec[2 * SNAPMGR_NAME_MAX + 2];
	struct sm_vdev dev;
	int r;

	(void)snprintf(spec, sizeof(spec), "%s/%s", pool->row.name, d->volume->c.name);
	sm_volume_device(pool, d->volume, &dev);
	if (d->remount &&
	    dry_run) /* nothing is unmounted, so it cannot be claimed: look at the others */
		return sm_claim_trial(pool, &dev, spec,
				      SHOST_SWAP | SHOST_HOLDER | SHOST_LOOP |
					      (d->online ? 0 : SHOST_PROCESS),
				      err);
	r = d->at_once && !d->remount && !out_of_data ?
		    sm_claim_lightly(pool, &dev, spec, d->online, &d->claim, err) :
		    sm_claim(pool, &dev, spec, d->online, &d->claim, err);
	if (r == 0)
		r = check_size(pool, d, err);
	if (r == 0)
		r = check_full(pool, d, out_of_data, err);
	/* Where nobody else has it open, the switch does this. */
	return r == 0 && d->claim.others ? sm_claim_flush(&d->claim, spec, err) : r;
}

/* Where one grows and another shrinks, it is the sum that the owner must have room for. */
static int check_quota(struct sm_pool *pool, const struct sm_displace *d, size_t n,
		       struct snapmgr_err *err)
{
	AUTO(free) struct sm_quota_change *changes = NULL;

	if (!pool->row.quotas)
		return 0;
	changes = calloc(n, sizeof(*changes));
	if (!changes)
		return sm_nomem(err);
	for (size_t i = 0; i < n; i++) {
		const struct scat_common *c = &d[i].volume->c;

		changes[i].project = c->project;
		changes[i].amount[SNAPMGR_VOLUME_BYTES] = (int64_t)d[i].change.size_bytes -
							  (int64_t)c->size_bytes;
	}
	return sm_quota_check(pool, changes, n, err);
}

int sm_displace_prepare(struct sm_pool *pool, struct sm_displace *d, size_t n, bool out_of_data,
			bool dry_run, struct snapmgr_err *err)
{
	int r = check_quota(pool, d, n, err);

	if (r == 0 && d->remount && !dry_run)
		r = unmount_all(pool, d, n, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = prepare_one(pool, &d[i], out_of_data, dry_run, err);
	return r;
}

/*
 * Undo points beyond the volume's number go, the oldest first. Should recovery have to take back the
 * commit that this is part of, it finds them with the garbage.
 */
struct evict {
	uint32_t keep;
	int64_t ids[64];
	size_t n;
	uint32_t seen;
};

static int pick(const struct scat_undo *undo, void *data)
{
	struct evict *e = data;

	if (e->seen++ < e->keep)
		return 0;
	e->ids[e->n++] = undo->id;
	return e->n == SM_ARRAY(e->ids);
}

int sm_displace_evict(struct sm_pool *pool, const struct scat_volume *v, uint32_t by,
		      struct snapmgr_err *err)
{
	struct evict e = { .keep = v->undo_keep };
	int r = scat_undo_each(pool->cat, v->id, pick, &e, err);

	for (size_t i = 0; i < e.n && r >= 0; i++)
		r = scat_undo_push_out(pool->cat, e.ids[i], by, err);
	return r < 0 ? r : 0;
}

int sm_displace_check_undo(struct sm_pool *pool, const struct scat_volume *v,
			   struct snapmgr_err *err)
{
	struct scat_undo undo;
	struct sdm_info info;
	struct sm_vdev dev;
	int r;

	if (!v->undo_keep)
		return 0;
	for (uint32_t back = v->undo_keep - 1;; back++) {
		r = scat_undo_nth(pool->cat, v->id, back, &undo, err);
		if (r < 0)
			return r == -ENOENT ? 0 : r;
		sm_undo_device(pool, v, &undo, back, &dev);
		r = sm_vdev_info_by_uuid(&pool->b, &dev, &info, err);
		if (r < 0)
			return r;
		if (info.exists)
			return sm_fail(
				err, SNAPMGR_IN_USE, EBUSY,
				"the undo point '%s/%s@undo~%u', which would go now, is active: deactivate it "
				"first",
				pool->row.name, v->c.name, back);
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
	d->kept = !d->lost && (d->swap || (!d->no_undo && change->volume->undo_keep > 0));
	if (!d->kept)
		return scat_garbage_add(pool->cat, d->old_thin, err);
	sm_uuid_make(&undo.uuid);
	if (d->together)
		undo.displaced_with = pool->op.uuid;
	r = scat_undo_insert(pool->cat, &undo, err);
	if (r < 0 ||
	    d->swap) /* a swap makes no point more, and drops none: it can be swapped again */
		return r;
	return sm_displace_evict(pool, change->volume, change->thin, err);
}

static int write_rows(struct sm_pool *pool, struct sm_head_change *change, struct snapmgr_err *err)
{
	const struct sm_displace *d = change->arg;
	int r = keep_or_drop(pool, change, err);

	if (r == 0 && !d->quiet)
		r = leave_message(pool, change, err);
	return r == 0 && d->rows ? d->rows(pool, d->rows_arg, err) : r;
}

/* Somebody came in between: it goes the way of those that are open. */
static int hold_and_switch(struct sm_pool *pool, struct sm_displace *d, struct snapmgr_err *err)
{
	int r;

	d->at_once = false;
	r = prepare_one(pool, d, false, false, err);
	return r == 0 ? sm_head_switch(pool, &d->change, err) : r;
}

int sm_displace(struct sm_pool *pool, struct sm_displace *all, size_t n, struct snapmgr_err *err)
{
	int r;

	for (size_t i = 0; i < n; i++) {
		struct sm_displace *d = &all[i];

		d->old_thin = d->volume->c.thin;
		d->old_size_bytes = d->volume->c.size_bytes;
		d->old_parent = d->volume->c.parent;
		d->change.volume = d->volume;
		d->change.forget = d->no_undo && !d->swap;
		d->change.claim = &d->claim;
		d->change.rows = write_rows;
		d->change.arg = d;
		d->change.next = i + 1 < n ? &all[i + 1].change : NULL;
	}
	r = sm_head_switch(pool, &all->change, err);
	return r == -EAGAIN && all->claim.alone ? hold_and_switch(pool, all, err) : r;
}

static void release_signals(struct sm_displace *d)
{
	if (d->held)
		sm_signals_release(&d->signals);
	d->held = false;
}

static struct sm_displace *unmounted_as(struct sm_displace *all, size_t n, size_t turn)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].unmounted == turn)
			return &all[i];
	return NULL;
}

/* The one that went last first; all of them, whatever happens to one. */
static int mount_again(struct sm_pool *pool, struct sm_displace *all, size_t n,
		       struct snapmgr_err *err)
{
	int first = 0;

	for (size_t turn = n; turn > 0; turn--) {
		struct sm_displace *d = unmounted_as(all, n, turn);
		struct snapmgr_err why;
		int r = d && d->mounts.n ? shost_remount(&d->mounts, &why) : 0;

		if (d) /* whatever came of it is told now */
			sm_aside_mounts_end(pool, &d->noted);
		if (d && d->mounts.warning[0])
			sm_warn(pool->sm, "%s", d->mounts.warning);
		if (r < 0 && first == 0) {
			first = r;
			*err = why;
			(void)snprintf(err->message, sizeof(err->message), "'%s/%s': %.600s",
				       pool->row.name, d->volume->c.name, why.message);
		}
	}
	return first;
}

int sm_displace_finish(struct sm_pool *pool, struct sm_displace *d, size_t n, int r,
		       struct snapmgr_err *err)
{
	struct snapmgr_err why;
	int r_mount;

	for (size_t i = 0; i < n; i++)
		sm_claim_drop(&d[i].claim);
	sm_pool_unlock(pool);
	sm_head_settle(pool, &d->change);
	if (!d->held)
		return r;
	r_mount = mount_again(pool, d, n, &why);
	release_signals(d);
	if (r_mount == 0)
		return r;
	if (r < 0) { /* the first error is the caller's */
		sm_warn(pool->sm, "%s", why.message);
		return r;
	}
	if (err) {
		*err = why;
		(void)snprintf(err->message, sizeof(err->message), "it was switched, but: %.600s",
			       why.message);
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
