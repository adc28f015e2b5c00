/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last resort of a revert: a new volume with the snapshot's contents. What is known of the old one
 * leads to the new one from then on: its snapshots are the new one's, and so is its place in a group.
 * The old volume stays as it is, with its undo points.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/core/fill.h"

struct cloning {
	struct sm_pool *pool;
	struct scat_volume old, new;
	const struct scat_snapshot *snapshot;
	struct scat_snapshot *siblings; /* owned */
	size_t n;
	struct snapmgr_err *err;
};

static void auto_cloning_release(struct cloning *c)
{
	free(c->siblings);
}

/* "v.1", or the first number that is free. */
static int find_name(struct cloning *c)
{
	struct scat_group g;
	struct scat_volume v;

	for (unsigned int i = 1; i < 10000; i++) {
		char number[8];
		int r;

		(void)snprintf(number, sizeof(number), ".%u", i);
		(void)snprintf(c->new.c.name, sizeof(c->new.c.name), "%.*s%s",
			       (int)(SNAPMGR_NAME_MAX - strlen(number)), c->old.c.name, number);
		r = scat_volume_by_name(c->pool->cat, c->new.c.name, &v, c->err);
		if (r == -ENOENT)
			r = scat_group_by_name(c->pool->cat, c->new.c.name, &g, c->err);
		if (r < 0)
			return r == -ENOENT ? 0 : r;
	}
	return sm_fail(c->err, SNAPMGR_EXISTS, EEXIST,
		       "there are too many volumes called '%s.N' in pool '%s'", c->old.c.name,
		       c->pool->row.name);
}

static int describe(struct cloning *c)
{
	c->new = c->old;
	c->new.id = 0;
	c->new.before.thin = 0;
	sm_uuid_make(&c->new.c.uuid);
	c->new.c.created_at_us = sm_now_us();
	c->new.c.state = SCAT_AVAILABLE;
	c->new.c.size_bytes = c->snapshot->c.size_bytes;
	c->new.c.parent = c->snapshot->id;
	return find_name(c);
}

static int check_quota(struct cloning *c)
{
	const struct sm_quota_change change = {
		.project = c->new.c.project,
		.amount = { [SNAPMGR_VOLUMES] = 1,
			    [SNAPMGR_VOLUME_BYTES] = (int64_t)c->new.c.size_bytes },
	};

	return sm_quota_check(c->pool, &change, 1, c->err);
}

/* ---- one transaction ---- */

static int collect(const struct scat_snapshot *s, void *data)
{
	struct cloning *c = data;
	struct scat_snapshot *more = reallocarray(c->siblings, c->n + 1, sizeof(*more));

	if (!more)
		return sm_nomem(c->err);
	c->siblings = more;
	c->siblings[c->n++] = *s;
	return 0;
}

static int lead_siblings(struct cloning *c)
{
	int r = scat_snapshot_each(c->pool->cat, c->old.id, collect, c, c->err);

	for (size_t i = 0; i < c->n && r == 0; i++) {
		c->siblings[i].volume = c->new.id;
		r = scat_snapshot_update(c->pool->cat, &c->siblings[i], c->err);
	}
	return r;
}

static int lead_group(struct cloning *c)
{
	struct scat_group g;
	int r = scat_group_of(c->pool->cat, c->old.id, &g, c->err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = scat_member_remove(c->pool->cat, c->old.id, c->err);
	return r == 0 ? scat_member_add(c->pool->cat, g.id, c->new.id, c->err) : r;
}

static int copy_tags(struct cloning *c)
{
	AUTO(free) struct snapmgr_tag *tags = NULL;
	size_t n = 0;
	int r = scat_tags_get(c->pool->cat, &c->old.c.uuid, &tags, &n, c->err);

	return r == 0 ? sm_set_tags(c->pool, &c->new.c.uuid, tags, n, c->err) : r;
}

static int leave_message(struct cloning *c)
{
	char text[SNAPMGR_MESSAGE_MAX];
	const struct sm_message m = { .level = "info",
				      .verb = "revert",
				      .kind = "volume",
				      .object = &c->new.c.uuid,
				      .project = c->new.c.project,
				      .operation = &c->pool->op.uuid,
				      .text = text };

	(void)snprintf(
		text, sizeof(text),
		"volume '%s/%s' is a clone of snapshot '%s' of '%s/%s', which is kept as it was",
		c->pool->row.name, c->new.c.name, c->snapshot->c.name, c->pool->row.name,
		c->old.c.name);
	return sm_message(c->pool, &m, c->err);
}

/* Snapshots that are mapped are named after their volume, so devices are renamed with the rows. */
static int write_rows(struct cloning *c)
{
	struct scat *cat = c->pool->cat;
	int r = scat_begin(cat, c->err);

	if (r == 0)
		r = scat_volume_insert(cat, &c->new, c->err);
	if (r == 0)
		r = copy_tags(c);
	if (r == 0)
		r = lead_siblings(c);
	if (r == 0)
		r = lead_group(c);
	if (r == 0)
		r = leave_message(c);
	if (r == 0)
		r = sm_pool_save(c->pool, c->err);
	if (r == 0)
		r = sm_names_follow(c->pool, c->err);
	if (r == 0)
		r = scat_commit(cat, true, c->err);
	scat_rollback(cat);
	return r;
}

/* Back to the names that the catalogue has. After -EIO its outcome is unknown: read it again. */
static int go_back(struct cloning *c, int r)
{
	struct scat_volume found;

	if ((r == -EIO && sm_pool_reopen(c->pool, NULL) < 0) || sm_names_follow(c->pool, NULL) < 0)
		c->pool->lock.abandoned = true;
	else if (r == -EIO && scat_volume_by_uuid(c->pool->cat, &c->new.c.uuid, &found, NULL) == 0)
		return 0;
	if (!c->pool->lock.abandoned)
		(void)c->pool->b.driver->drop(&c->pool->b, c->new.c.thin, NULL);
	return r;
}

static int make(struct cloning *c, const struct sm_found *f)
{
	struct sm_copy_source source;
	struct sm_vdev dev;
	int r = sm_op_begin(c->pool, "revert", c->old.c.name, c->snapshot->c.name, 0, c->err);

	sm_copy_source(f, &source);
	if (r == 0)
		r = sm_id_make(c->pool, sm_make_copy, &source, &c->new.c.thin, c->err);
	if (r < 0)
		return r;
	r = write_rows(c);
	if (r < 0)
		r = go_back(c, r);
	if (r < 0 || !c->new.autostart)
		return r;
	sm_volume_device(c->pool, &c->new, &dev);
	if (c->pool->b.driver->map(&c->pool->b, &dev, c->err) < 0)
		sm_warn(c->pool->sm, "'%s/%s' is there, but could not be activated",
			c->pool->row.name, c->new.c.name);
	return 0;
}

int sm_revert_clone(struct sm_found *f, bool dry_run, char ret_kept[SNAPMGR_NAME_MAX + 1],
		    struct snapmgr_err *err)
{
	AUTO(cloning_release)
	struct cloning c = {
		.pool = &f->pool, .old = f->volume, .snapshot = &f->snapshot, .err = err
	};
	int r = describe(&c);

	if (r == 0)
		r = check_quota(&c);
	if (r == 0 && !dry_run)
		r = sm_space_for_more(&f->pool, "clone", NULL, err);
	if (r == 0 && !dry_run)
		r = make(&c, f);
	if (r < 0)
		return r;
	(void)sm_copy_text(ret_kept, SNAPMGR_NAME_MAX + 1, f->volume.c.name);
	if (dry_run)
		return 0;
	f->volume = c.new;
	return scat_snapshot_by_id(f->pool.cat, f->snapshot.id, &f->snapshot, err);
}
