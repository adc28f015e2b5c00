/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_delete(): volumes and snapshots go; their blocks are dropped after the commit. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"

struct down { /* what was mapped, or had a name, until now */
	struct sm_vdev dev;
	bool mapped, named;
};

struct del {
	struct sm_found f;
	const struct snapmgr_delete_opts *opts;
	snapmgr_object_fn *visit;
	void *data;
	struct scat_snapshot *snapshots; /* owned; of a volume that goes with them */
	size_t n;
	struct sm_active active;
	struct down *down; /* owned */
	size_t n_down;
	bool noted; /* what of it was mapped beside the volume */
	struct snapmgr_err *err;
};

/* One snapshot, or all of a group's: no volume goes with them. */
static bool only_snapshots(const struct del *d)
{
	return d->f.has_snapshot || d->f.has_set;
}

static void release(struct del *d)
{
	free(d->snapshots);
	free(d->down);
	sm_active_release(&d->active);
	sm_found_close(&d->f);
}

static int check_snapshot(struct del *d, const struct scat_snapshot *s)
{
	char spec[SNAPMGR_SPEC_TEXT];

	sm_snapshot_spec(&d->f.pool, s, spec);
	if (s->hold)
		return sm_fail(d->err, SNAPMGR_HELD, EBUSY,
			       "snapshot '%s' is held: 'snapmgr release %s' first", spec, spec);
	if (s->c.state == SCAT_RESTORING && d->f.has_volume && !only_snapshots(d) &&
	    d->f.volume.c.state == SCAT_REVERTING_ERROR)
		return 0; /* nobody restores it any more, and it goes with its volume */
	return sm_snapshot_ready(&d->f.pool, s, d->err);
}

static int collect(const struct scat_snapshot *s, void *data)
{
	struct del *d = data;
	struct scat_snapshot *v;
	int r = check_snapshot(d, s);

	if (r < 0)
		return r;
	v = realloc(d->snapshots, (d->n + 1) * sizeof(*v));
	if (!v)
		return sm_nomem(d->err);
	d->snapshots = v;
	d->snapshots[d->n++] = *s;
	return 0;
}

static int has_snapshots(const struct del *d)
{
	return sm_fail(
		d->err, SNAPMGR_HAS_SNAPSHOTS, EBUSY,
		"volume '%s/%s' has snapshots: --recursive deletes them too, --keep-snapshots keeps them",
		d->f.pool.row.name, d->f.volume.c.name);
}

static int check_volume(struct del *d)
{
	struct scat_snapshot s;
	int r = sm_volume_ready(&d->f.pool, &d->f.volume, true, d->err);

	if (r == 0 && d->opts->keep_snapshots && !sm_driver_keeps_snapshots(d->f.pool.b.driver))
		return sm_fail(
			d->err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			"snapshots of pool '%s' hold what has changed since, and are nothing without "
			"their volume: --recursive deletes them too",
			d->f.pool.row.name);
	if (r < 0 || d->opts->keep_snapshots)
		return r;
	if (d->opts->recursive)
		return scat_snapshot_each(d->f.pool.cat, d->f.volume.id, collect, d, d->err);
	r = scat_snapshot_latest(d->f.pool.cat, d->f.volume.id, 0, &s, d->err);
	if (r == -ENOENT)
		return 0;
	return r == 0 ? has_snapshots(d) : r;
}

/* Unmapped where it is mapped and nobody uses it; a dry run only looks. */
static int take_down(struct del *d, const struct sm_uuid *uuid, const struct sm_vdev *dev)
{
	const struct sm_driver *driver = d->f.pool.b.driver;
	struct sm_claim claim = { .fd = -1 };
	struct down *more, *one;
	int r;

	if (!sm_active_has(&d->active, uuid) && !d->f.pool.b.dir[0])
		return 0;
	r = sm_claim(&d->f.pool, dev, dev->dm.link, false, &claim, d->err);
	sm_claim_drop(&claim);
	if (r == -EUCLEAN && driver->files) /* its file is gone already */
		return 0;
	if (r < 0 || !claim.mapped || d->opts->dry_run)
		return r;
	more = reallocarray(d->down, d->n_down + 1, sizeof(*more));
	if (!more)
		return sm_nomem(d->err);
	d->down = more;
	one = &more[d->n_down];
	*one = (struct down){ .dev = *dev, .mapped = claim.info.exists };
	if (one->mapped && !sm_uuid_equal(uuid, &d->f.volume.c.uuid)) {
		r = sm_aside_mapped(&d->f.pool, uuid, d->err);
		if (r < 0)
			return r;
		d->noted = true;
	}
	if (one->mapped)
		r = driver->unmap(&d->f.pool.b, dev, d->err);
	d->n_down += r == 0;
	if (r < 0 || !driver->withdraw || dev->dm.read_only)
		return r;
	one->named = true;
	return driver->withdraw(&d->f.pool.b, dev, d->err);
}

/* After a commit that failed: did it arrive all the same? */
static bool is_gone(struct del *d)
{
	struct scat *cat = d->f.pool.cat;
	struct scat_snapshot s;
	struct scat_volume v;

	if (only_snapshots(d))
		return scat_snapshot_by_uuid(cat, &d->snapshots->c.uuid, &s, NULL) == -ENOENT;
	return scat_volume_by_uuid(cat, &d->f.volume.c.uuid, &v, NULL) == -ENOENT;
}

/* Nothing was deleted: what was mapped is mapped again. */
static void put_back(struct del *d)
{
	struct sm_pool *pool = &d->f.pool;
	struct snapmgr_err err;

	for (size_t i = 0; i < d->n_down; i++) {
		const struct down *one = &d->down[i];
		int r = one->named ? pool->b.driver->place(&pool->b, &one->dev, &err) : 0;

		if (r == 0 && one->mapped)
			r = pool->b.driver->map(&pool->b, &one->dev, &err);
		if (r < 0)
			sm_warn(pool->sm, "'%s' is inactive now: %s", one->dev.dm.link,
				err.message);
	}
}

static int take_undo_down(const struct scat_undo *u, void *data)
{
	struct del *d = data;
	struct sm_vdev dev;

	sm_undo_device(&d->f.pool, &d->f.volume, u, 0, &dev);
	return take_down(d, &u->uuid, &dev);
}

static int take_all_down(struct del *d)
{
	struct sm_vdev dev;
	int r = 0;

	for (size_t i = 0; i < d->n && r == 0; i++) {
		sm_snapshot_device(&d->f.pool, &d->snapshots[i], &dev);
		r = take_down(d, &d->snapshots[i].c.uuid, &dev);
	}
	if (r < 0 || only_snapshots(d))
		return r;
	r = scat_undo_each(d->f.pool.cat, d->f.volume.id, take_undo_down, d, d->err);
	if (r < 0)
		return r;
	sm_volume_device(&d->f.pool, &d->f.volume, &dev);
	return take_down(d, &d->f.volume.c.uuid, &dev);
}

static int drop_undos(struct del *d)
{
	struct scat *cat = d->f.pool.cat;
	struct scat_undo u;
	int r;

	while ((r = scat_undo_nth(cat, d->f.volume.id, 0, &u, d->err)) == 0) {
		r = scat_undo_delete(cat, u.id, d->err);
		if (r == 0)
			r = scat_garbage_add(cat, u.thin, d->err);
		if (r < 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

/* Of a revert that the kernel gave up. */
static int drop_merge(struct del *d)
{
	struct scat *cat = d->f.pool.cat;
	const int64_t volume = d->f.volume.id;
	struct scat_operation op;
	int r = scat_merge_delete(cat, volume, d->err);

	if (r == 0)
		r = scat_operation_on(cat, volume, 0, &op, d->err);
	return r == 0 ? scat_operation_delete(cat, op.id, d->err) : r == -ENOENT ? 0 : r;
}

static int delete_rows(struct del *d)
{
	struct scat *cat = d->f.pool.cat;
	int r = 0;

	/* The newest first: an older one is often the parent of those after it. */
	for (size_t i = d->n; i > 0 && r == 0; i--) {
		r = scat_snapshot_delete(cat, d->snapshots[i - 1].id, d->err);
		if (r == 0)
			r = scat_garbage_add(cat, d->snapshots[i - 1].c.thin, d->err);
	}
	if (r < 0 || only_snapshots(d))
		return r;
	r = drop_undos(d);
	if (r == 0 && d->f.pool.b.driver->stores)
		r = drop_merge(d);
	if (r == 0)
		r = scat_volume_delete(cat, d->f.volume.id, d->err);
	return r == 0 ? scat_garbage_add(cat, d->f.volume.c.thin, d->err) : r;
}

static int leave_message_of_set(struct del *d)
{
	char text[SNAPMGR_MESSAGE_MAX];
	const struct sm_message m = { .level = "info",
				      .verb = "delete",
				      .kind = "snapshot",
				      .object = &d->f.set.uuid,
				      .project = d->f.group.project,
				      .operation = &d->f.pool.op.uuid,
				      .text = text };

	(void)snprintf(text, sizeof(text), "group snapshot '%s/%s@%s' was deleted (%zu snapshots)",
		       d->f.pool.row.name, d->f.group.name, d->f.set.name, d->n);
	return sm_message(&d->f.pool, &m, d->err);
}

static int leave_message(struct del *d)
{
	const bool one = d->f.has_snapshot;
	const struct scat_common *c = one ? &d->f.snapshot.c : &d->f.volume.c;
	char text[SNAPMGR_MESSAGE_MAX];
	const struct sm_message m = { .level = "info",
				      .verb = "delete",
				      .kind = one ? "snapshot" : "volume",
				      .object = &c->uuid,
				      .project = c->project,
				      .operation = &d->f.pool.op.uuid,
				      .text = text };

	if (one)
		(void)snprintf(text, sizeof(text), "snapshot '%s/%s@%s' was deleted",
			       d->f.pool.row.name, d->f.snapshot.volume_name, c->name);
	else
		(void)snprintf(text, sizeof(text), "volume '%s/%s' was deleted%s",
			       d->f.pool.row.name, c->name,
			       d->n		       ? " with its snapshots" :
			       d->opts->keep_snapshots ? "; its snapshots were kept" :
							 "");
	return sm_message(&d->f.pool, &m, d->err);
}

static int write_all(struct del *d)
{
	int r = scat_begin(d->f.pool.cat, d->err);

	if (r == 0)
		r = delete_rows(d);
	if (r == 0)
		r = d->f.has_set ? leave_message_of_set(d) : leave_message(d);
	if (r == 0 && d->opts->keep_snapshots) /* mapped snapshots are called after their volume */
		r = sm_names_follow(&d->f.pool, d->err);
	if (r == 0)
		r = scat_commit(d->f.pool.cat, true, d->err);
	scat_rollback(d->f.pool.cat);
	return r;
}

static int try_commit(struct del *d)
{
	const char *owner = d->f.has_set ? d->f.group.name : d->f.volume.c.name;
	/* What recovery is to map again, should we die before the commit. */
	const bool mapped = !only_snapshots(d) && sm_active_has(&d->active, &d->f.volume.c.uuid);
	int r = sm_op_begin(&d->f.pool, "delete", owner,
			    d->f.has_set      ? d->f.set.name :
			    d->f.has_snapshot ? d->f.snapshot.c.name :
						NULL,
			    mapped ? d->f.volume.c.thin : 0, d->err);

	if (r == 0)
		r = take_all_down(d);
	else
		return r;
	if (r == 0)
		r = write_all(d);
	if (r == 0)
		return r;
	if (r == -EIO && sm_pool_reopen(&d->f.pool, NULL) < 0) {
		d->f.pool.lock.abandoned = true; /* of unknown outcome; recovery reads it again */
		return r;
	}
	if (r == -EIO && is_gone(d))
		return 0;
	put_back(d);
	d->f.pool.lock.abandoned |= sm_names_follow(&d->f.pool, NULL) < 0;
	return r;
}

/* The kernel's ids go after the commit: until then all can be as it was. */
static int commit(struct del *d)
{
	int r = try_commit(d);

	if (d->noted && !d->f.pool.lock.abandoned)
		sm_aside_mapped_end(&d->f.pool);
	return r;
}

static int show_all(struct del *d)
{
	int r = 0;

	if (d->f.has_set)
		r = sm_visit_set(&d->f.pool, &d->f.group, &d->f.set, d->visit, d->data, d->err);
	for (size_t i = 0; i < d->n && r == 0; i++)
		r = sm_visit_snapshot(&d->f.pool, &d->snapshots[i], d->visit, d->data, d->err);
	if (r == 0 && !only_snapshots(d))
		r = sm_visit_volume(&d->f.pool, &d->f.volume, d->visit, d->data, d->err);
	return r;
}

static int check_group(struct del *d)
{
	const char *pool = d->f.pool.row.name, *group = d->f.group.name;

	if (!d->f.has_set)
		return sm_fail(d->err, SNAPMGR_USAGE, EINVAL,
			       "'%s/%s' is a group: 'snapmgr group delete %s/%s' forgets it and "
			       "keeps its volumes",
			       pool, group, pool, group);
	return scat_snapshot_each_with(d->f.pool.cat, &d->f.set.uuid, collect, d, d->err);
}

static int run(struct del *d)
{
	int r = d->f.has_group	  ? check_group(d) :
		d->f.has_snapshot ? collect(&d->f.snapshot, d) :
				    check_volume(d);

	if (r == 0)
		r = show_all(d);
	if (r == 0)
		r = sm_active_load(&d->active, d->err);
	if (r < 0 || d->opts->dry_run)
		return r < 0 ? r : take_all_down(d);
	r = commit(d);
	if (r == 0)
		(void)sm_garbage_drop(&d->f.pool, NULL); /* what stays is garbage still */
	for (size_t i = 0; i < d->n && r == 0 && only_snapshots(d); i++)
		sm_store_refresh(&d->f.pool, d->snapshots[i].volume);
	return r;
}

int snapmgr_delete(struct snapmgr *sm, const char *spec, const struct snapmgr_delete_opts *opts,
		   snapmgr_object_fn *visit, void *data, struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_delete_opts, o, opts);
	struct del d = {
		.f.pool.lock = SLOCK_NONE, .opts = &o, .visit = visit, .data = data, .err = err
	};
	int r;

	if (o.recursive && o.keep_snapshots)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "--recursive and --keep-snapshots contradict each other");
	r = sm_find(sm, spec, SM_WANT_VOLUME | SM_WANT_SNAPSHOT | SM_WANT_GROUP | SM_WANT_SET, true,
		    &d.f, err);
	if (r == 0)
		r = run(&d);
	if (d.f.pool.cat)
		sm_pool_settle(&d.f.pool);
	if (r == 0 && !o.dry_run && !only_snapshots(&d))
		sm_backup(&d.f.pool);
	release(&d);
	return r;
}
