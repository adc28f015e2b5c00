/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_snapshot(): one or several, all at one instant. */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "snapmgr/core/rewrite.h"
#include "snapmgr/core/store.h"

struct item { /* one snapshot that is wanted */
	struct scat_volume volume;
	struct scat_snapshot snapshot;
	struct sm_vdev dev;
	dev_t devno;
	bool active, open;     /* mapped; and somebody has it open, maybe a filesystem */
	struct sm_claim claim; /* of a file that has to be copied */
};
struct work {
	struct sm_pool pool;
	const struct snapmgr_snapshot_opts *opts;
	struct item *items;	     /* owned */
	struct sm_snap_item *kernel; /* owned; the driver's view of them */
	size_t n;
	bool of_group;
	struct scat_group group;
	struct scat_set set;
	struct sm_uuid taken_with; /* null: one volume's, which nothing was taken with */
};

static void work_release(struct work *w)
{
	for (size_t i = 0; i < w->n; i++)
		sm_claim_drop(&w->items[i].claim);
	sm_pool_close(&w->pool);
	free(w->items);
	free(w->kernel);
}
static inline void auto_work_release(struct work *w)
{
	work_release(w);
}

static int find_group(struct work *w, const char *name, struct snapmgr_err *err)
{
	struct sm_uuid uuid;
	int r = sm_uuid_parse(name, &uuid) ?
			scat_group_by_uuid(w->pool.cat, &uuid, &w->group, err) :
			scat_group_by_name(w->pool.cat, name, &w->group, err);

	if (r == -ENOENT)
		return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT,
			       "pool '%s' has no volume or group '%s'", w->pool.row.name, name);
	w->of_group = r == 0;
	return r;
}

/* Where there is no such volume, w->of_group says that it is a group. */
static int find_volume(struct work *w, const char *name, struct scat_volume *ret,
		       struct snapmgr_err *err)
{
	struct sm_uuid uuid;
	int r = sm_uuid_parse(name, &uuid) ? scat_volume_by_uuid(w->pool.cat, &uuid, ret, err) :
					     scat_volume_by_name(w->pool.cat, name, ret, err);

	return r == -ENOENT ? find_group(w, name, err) : r;
}

static int check_new(struct work *w, const char *name, struct item *item, struct snapmgr_err *err)
{
	struct scat_snapshot s;
	int r;

	for (size_t i = 0; &w->items[i] != item; i++) {
		if (w->items[i].volume.id == item->volume.id)
			return sm_fail(
				err, SNAPMGR_USAGE, EINVAL,
				"volume '%s' is named twice: one instant makes one snapshot of each",
				item->volume.c.name);
	}
	r = scat_snapshot_by_name(w->pool.cat, item->volume.id, name, &s, err);
	if (r == 0)
		return sm_fail(err, SNAPMGR_EXISTS, EEXIST,
			       "volume '%s/%s' has a snapshot '%s' already", w->pool.row.name,
			       item->volume.c.name, name);
	return r == -ENOENT ? 0 : r;
}

static int look_at_device(struct work *w, struct item *item, struct snapmgr_err *err)
{
	struct sdm_info info;
	int r;

	sm_volume_device(&w->pool, &item->volume, &item->dev);
	r = w->pool.b.driver->used(&w->pool.b, &item->dev, &info, &item->snapshot.used_bytes, NULL);
	if (r < 0) { /* inactive, or not well */
		item->snapshot.used_bytes = UINT64_MAX;
		r = sm_vdev_info(&w->pool.b, &item->dev, &info, err);
	}
	if (r < 0)
		return r;
	item->active = info.exists;
	/* Of a loop device nobody knows how many have it open: it is looked for filesystems. */
	item->open = info.exists && (info.open_count > 0 || w->pool.b.dir[0]);
	item->devno = makedev(info.major, info.minor);
	return 0;
}

/* What is copied block by block must not change meanwhile. */
static int claim_file(struct work *w, struct item *item, struct snapmgr_err *err)
{
	char spec[2 * SNAPMGR_NAME_MAX + 2];

	(void)snprintf(spec, sizeof(spec), "%s/%s", w->pool.row.name, item->volume.c.name);
	return sm_claim(&w->pool, &item->dev, spec, false, &item->claim, err);
}

static void describe(struct work *w, const char *name, struct item *item)
{
	const struct snapmgr_snapshot_opts *o = w->opts;
	struct scat_common *c = &item->snapshot.c;

	*c = item->volume.c; /* project, size, parent, state */
	sm_uuid_make(&c->uuid);
	(void)sm_copy_text(c->name, sizeof(c->name), name);
	(void)sm_copy_text(c->label, sizeof(c->label), o->label ? o->label : "");
	(void)sm_copy_text(c->description, sizeof(c->description),
			   o->description ? o->description : "");
	(void)sm_copy_text(item->snapshot.volume_name, sizeof(item->snapshot.volume_name),
			   item->volume.c.name);
	item->snapshot.volume = item->volume.id;
}

static int add_volume(struct work *w, const struct scat_volume *v, const char *name,
		      struct snapmgr_err *err)
{
	struct item *item = &w->items[w->n];
	int r = sm_volume_ready(&w->pool, v, false, err);

	item->volume = *v;
	item->claim.fd = -1;
	if (r == 0)
		r = check_new(w, name, item, err);
	if (r == 0)
		r = look_at_device(w, item, err);
	if (r == 0 && w->pool.b.dir[0] && !w->pool.b.reflink)
		r = claim_file(w, item, err);
	if (r < 0)
		return r;
	describe(w, name, item);
	w->n++;
	return 0;
}

static int make_room(struct work *w, size_t n, struct snapmgr_err *err)
{
	w->items = calloc(n, sizeof(*w->items));
	w->kernel = calloc(n, sizeof(*w->kernel));
	return w->items && w->kernel ? 0 : sm_nomem(err);
}

static int parse(const char *text, struct sm_spec *ret, struct snapmgr_err *err)
{
	int r = sm_spec_parse(text, ret, err);

	if (r < 0)
		return r;
	if (!ret->snapshot[0])
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "'%.80s' does not name a snapshot (pool/vol@snap)", text);
	return sm_name_check("snapshot name", ret->snapshot, err);
}

/* All volumes of the group; @n specs were given. */
static int add_group(struct work *w, const char *name, size_t n, struct snapmgr_err *err)
{
	AUTO(sm_volumes_free) struct sm_volumes all = { 0 };
	int r;

	if (n > 1)
		return sm_fail(
			err, SNAPMGR_USAGE, EINVAL,
			"'%s/%s' is a group: a snapshot of it is taken by a command of its own",
			w->pool.row.name, w->group.name);
	r = scat_set_by_name(w->pool.cat, w->group.id, name, &w->set, err);
	if (r == 0)
		return sm_fail(err, SNAPMGR_EXISTS, EEXIST,
			       "group '%s/%s' has a snapshot '%s' already", w->pool.row.name,
			       w->group.name, name);
	if (r == -ENOENT)
		r = sm_group_volumes(&w->pool, &w->group, &all, err);
	if (r == 0)
		r = make_room(w, all.n, err);
	for (size_t i = 0; i < all.n && r == 0; i++)
		r = add_volume(w, &all.v[i], name, err);
	w->set = (struct scat_set){ .group = w->group.id, .members = (uint32_t)all.n };
	(void)sm_copy_text(w->set.name, sizeof(w->set.name), name);
	return r;
}

static int add_spec(struct work *w, const char *text, size_t n, struct snapmgr_err *err)
{
	struct scat_volume v;
	struct sm_spec spec;
	int r = parse(text, &spec, err);

	if (r == 0)
		r = sm_same_pool(&w->pool, spec.pool, err);
	if (r == 0)
		r = find_volume(w, spec.volume, &v, err);
	if (r == 0 && w->of_group)
		return add_group(w, spec.snapshot, n, err);
	if (r == 0 && !w->items)
		r = make_room(w, n, err);
	return r == 0 ? add_volume(w, &v, spec.snapshot, err) : r;
}

static int collect(struct work *w, struct snapmgr *sm, const char *const *specs, size_t n,
		   struct snapmgr_err *err)
{
	struct sm_spec first;
	int r = sm_spec_parse(specs[0], &first, err);

	if (r < 0)
		return r;
	r = sm_pool_open(sm, first.pool, true, &w->pool, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = add_spec(w, specs[i], n, err);
	if (w->of_group || n > 1)
		sm_uuid_make(&w->taken_with);
	return r;
}

/* All at once: each may fit alone where together they do not. */
static int check_quota(struct work *w, struct snapmgr_err *err)
{
	AUTO(free) struct sm_quota_change *changes = NULL;

	if (!w->pool.row.quotas)
		return 0;
	changes = calloc(w->n, sizeof(*changes));
	if (!changes)
		return sm_nomem(err);
	for (size_t i = 0; i < w->n; i++) {
		const struct scat_common *c = &w->items[i].snapshot.c;

		changes[i].project = c->project;
		changes[i].amount[SNAPMGR_SNAPSHOTS] = 1;
		changes[i].amount[SNAPMGR_SNAPSHOT_BYTES] = (int64_t)c->size_bytes;
	}
	return sm_quota_check(&w->pool, changes, w->n, err);
}

static bool any_open(const struct work *w)
{
	size_t i = 0;

	while (i < w->n && !w->items[i].open)
		i++;
	return i < w->n;
}

/* Filesystems frozen by their mount points, so that no suspend can wait for another volume's. */
static int freeze(struct work *w, struct shost_freeze *ret, struct snapmgr_err *err)
{
	AUTO(free) dev_t *devices = calloc(w->n, sizeof(*devices));
	size_t n = 0;
	int r;

	if (!devices)
		return sm_nomem(err);
	for (size_t i = 0; i < w->n; i++) {
		if (w->items[i].open)
			devices[n++] = w->items[i].devno;
	}
	r = n ? shost_freeze(devices, n, ret, err) : 0;
	if (r < 0)
		return r;
	for (size_t i = 0, k = 0; i < w->n; i++) {
		if (w->items[i].open)
			w->kernel[i].frozen = ret->has_fs[k++];
	}
	return 0;
}

/* Ids that a dead process made and never committed lie where ours come next. */
static int clear_ids(struct work *w, struct snapmgr_err *err)
{
	int r = 0;

	for (size_t i = 0; i < w->n && r == 0; i++) {
		r = scat_thin_named(w->pool.cat, w->kernel[i].new_id, err);
		if (r > 0)
			return sm_fail(
				err, SNAPMGR_DAMAGED, EUCLEAN,
				"pool '%s' is about to hand out id %u a second time: run 'snapmgr pool check %s'",
				w->pool.row.name, w->kernel[i].new_id, w->pool.row.name);
		if (r == 0)
			r = w->pool.b.driver->drop(&w->pool.b, w->kernel[i].new_id, err);
	}
	return r;
}

/* Before anything is frozen: they have to be written to. */
static int place_stores(struct work *w, struct snapmgr_err *err)
{
	int r = 0;

	for (size_t i = 0; i < w->n && r == 0; i++)
		r = sm_store_new(&w->pool, w->kernel[i].new_id, &w->items[i].volume,
				 w->opts->cow_bytes, err);
	return r;
}

static int take(struct work *w, struct snapmgr_err *err)
{
	const struct sm_switch_opts opts = {
		.lock_fd = w->pool.lock.fd,
		.lock_serial = w->pool.lock.serial,
		.recover_program = w->pool.sm->opts.recover_program,
		.suspended_ns = w->opts->suspended_ns,
	};
	const struct sm_driver *driver = w->pool.b.driver;
	struct shost_freeze frozen = { 0 };
	sigset_t signals;
	int r = sm_id_reserve(&w->pool, (uint32_t)w->n, err);

	for (size_t i = 0; i < w->n && r == 0; i++) {
		w->kernel[i].volume = &w->items[i].dev;
		w->kernel[i].active = w->items[i].active;
		w->kernel[i].open = w->items[i].open;
		w->kernel[i].claim_fd = w->items[i].claim.fd;
		w->kernel[i].new_id = w->pool.row.next_thin++;
		w->items[i].snapshot.c.thin = w->kernel[i].new_id;
	}
	if (r == 0 && driver->stores)
		r = place_stores(w, err);
	if (any_open(w))
		sm_signals_hold(&signals); /* what is frozen stays so where a Ctrl-C ends us */
	for (int tries = 0; r == 0; tries++) {
		r = freeze(w, &frozen, err);
		if (r == 0)
			r = driver->snapshot(&w->pool.b, w->kernel, w->n, frozen.fds, frozen.n,
					     &opts, err);
		shost_thaw(&frozen);
		if (r != -EEXIST || tries > 0)
			break;
		r = clear_ids(w, err);
	}
	if (any_open(w))
		sm_signals_release(&signals);
	return r;
}

/* The kernel's order is the order of sequence numbers, whatever the clock says. */
static int write_item(struct work *w, struct item *item, int64_t now_us, struct snapmgr_err *err)
{
	struct scat_volume changed = item->volume,
			   *v = &changed; /* as it was, should the commit fail */
	struct scat_snapshot *s = &item->snapshot;
	int r;

	s->sequence = ++v->sequence;
	s->c.created_at_us = v->last_snapshot_at_us = sm_next_time(now_us, v->last_snapshot_at_us);
	s->c.state = v->c.state = SCAT_AVAILABLE;
	s->taken_with = w->taken_with;
	if (w->set.created_at_us < s->c.created_at_us)
		w->set.created_at_us = s->c.created_at_us;
	r = scat_snapshot_insert(w->pool.cat, s, err);
	if (r == 0)
		r = sm_set_tags(&w->pool, &s->c.uuid, w->opts->tags, w->opts->n_tags, err);
	if (r < 0)
		return r;
	v->c.parent = s->id; /* the head descends from it now */
	return scat_volume_update(w->pool.cat, v, err);
}

static int commit(struct work *w, struct snapmgr_err *err)
{
	/* One instant, one time. Where nothing had to be frozen it was the moment when this began. */
	const int64_t now_us = any_open(w) ? sm_now_us() : w->pool.op.started_at_us;
	int r = scat_begin(w->pool.cat, err);

	for (size_t i = 0; i < w->n && r == 0; i++)
		r = write_item(w, &w->items[i], now_us, err);
	w->set.uuid = w->taken_with;
	if (r == 0 && w->of_group)
		r = scat_set_insert(w->pool.cat, &w->set, err);
	if (r == 0)
		r = sm_pool_save(&w->pool, err);
	if (r == 0)
		r = scat_commit(w->pool.cat, true, err);
	scat_rollback(w->pool.cat);
	return r;
}

/*
 * Who dies in it leaves suspended volumes and ids that no row names, and recovery finds both.
 */
static int run(struct work *w, struct snapmgr_err *err)
{
	int r = sm_op_begin(&w->pool, "snapshot",
			    w->of_group ? w->group.name : w->items[0].volume.c.name,
			    w->items[0].snapshot.c.name, 0, err);

	if (r < 0)
		return r;
	if (w->n == 1 && !w->of_group && sm_rewrite_wanted(&w->pool))
		return sm_snapshot_copy(&w->pool, &w->items->volume, &w->items->snapshot,
					&w->items->dev, w->items->claim.fd, w->opts, err);
	r = take(w, err);
	if (r < 0 && !w->pool.b.driver->stores)
		return r;
	if (r == 0)
		r = commit(w, err);
	for (size_t i = 0; i < w->n && r < 0 && r != -EIO; i++)
		(void)w->pool.b.driver->drop(&w->pool.b, w->kernel[i].new_id, NULL);
	return r;
}

int snapmgr_snapshot(struct snapmgr *sm, const char *const *specs, size_t n,
		     const struct snapmgr_snapshot_opts *opts, snapmgr_object_fn *visit, void *data,
		     struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_snapshot_opts, o, opts);
	AUTO(work_release) struct work w = { .opts = &o, .pool.lock = SLOCK_NONE };
	int r = sm_params_check(o.params, o.n_params, err);

	if (!n)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "no snapshot is named");
	if (r == 0)
		r = sm_check_texts(NULL, o.label, o.description, o.tags, o.n_tags, err);
	if (r == 0)
		r = collect(&w, sm, specs, n, err);
	if (r == 0 && o.cow_bytes && !w.pool.b.driver->stores)
		return sm_fail(
			err, SNAPMGR_USAGE, EINVAL,
			"snapshots of pool '%s' have no store of their own, so none has a size",
			w.pool.row.name);
	if (r == 0 && !w.pool.b.driver->snapshot)
		return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP, "pool '%s' has no snapshots",
			       w.pool.row.name);
	if (r == 0)
		r = check_quota(&w, err);
	if (r == 0)
		r = sm_space_for_more(&w.pool, "snapshot", NULL, err);
	if (r == 0)
		r = run(&w, err);
	sm_pool_unlock(&w.pool);
	if (r == 0 && w.of_group)
		r = sm_visit_set(&w.pool, &w.group, &w.set, visit, data, err);
	for (size_t i = 0; i < w.n && r == 0; i++)
		r = sm_visit_snapshot(&w.pool, &w.items[i].snapshot, visit, data, err);
	return r;
}
