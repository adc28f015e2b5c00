/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Thin metadata and catalogue of different times, brought together again.
 *
 * Ids are never handed out twice, so that an id which both know is the same object. What the metadata
 * lacks cannot be had from it: such rows are forgotten, whichever of the two is accepted. What the
 * catalogue lacks is in the metadata still: it stays there, or goes as garbage.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/core/core.h"

#define MAX_ID (1u << 24)

struct list {
	int64_t *ids; /* owned */
	size_t n;
};
struct stale {
	struct sm_pool *pool;
	const uint8_t *present; /* a bit an id */
	uint8_t *named;
	const char *accept; /* NULL: only say what would be */
	sm_stale_fn *find;
	void *data;
	struct list snapshots, undos, volumes; /* without contents */
	struct snapmgr_err *err;
};

static bool has(const uint8_t *bits, uint32_t id)
{
	return id < MAX_ID && bits[id / 8] >> (id % 8) & 1;
}

static int add(struct list *l, int64_t id)
{
	int64_t *more = reallocarray(l->ids, l->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	l->ids = more;
	l->ids[l->n++] = id;
	return 0;
}

static int say(struct stale *s, bool repaired, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int say(struct stale *s, bool repaired, const char *fmt, ...)
{
	char text[SNAPMGR_MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return s->find(text, repaired, s->data);
}

/* ---- what is lost ---- */

static bool is_there(struct stale *s, uint32_t thin)
{
	if (thin < MAX_ID)
		s->named[thin / 8] = (uint8_t)(s->named[thin / 8] | 1u << (thin % 8));
	return has(s->present, thin);
}

static int lost(struct stale *s, struct list *l, int64_t id, const char *what, const char *volume,
		const char *name)
{
	const char *at = *name ? "@" : "";
	int r = add(l, id);

	if (r < 0)
		return sm_nomem(s->err);
	return s->accept ?
		       say(s, true, "%s '%s%s%s' is forgotten: the metadata does not have it", what,
			   volume, at, name) :
		       say(s, false, "%s '%s%s%s' is not in the metadata, and would be forgotten",
			   what, volume, at, name);
}

static int see_snapshot(const struct scat_snapshot *snap, void *data)
{
	struct stale *s = data;

	return is_there(s, snap->c.thin) ? 0 :
					   lost(s, &s->snapshots, snap->id, "snapshot",
						snap->volume_name, snap->c.name);
}

static int see_undo(const struct scat_undo *undo, void *data)
{
	struct stale *s = data;
	struct scat_volume v;
	char uuid[SNAPMGR_UUID_TEXT];
	int r;

	if (is_there(s, undo->thin))
		return 0;
	sm_uuid_text(&undo->uuid, uuid);
	r = scat_volume_by_id(s->pool->cat, undo->volume, &v, s->err);
	return lost(s, &s->undos, undo->id, "undo point", r < 0 ? "?" : v.c.name, uuid);
}

static int one(const struct scat_snapshot *snap, void *data)
{
	const struct stale *s = data;

	return has(s->present, snap->c.thin) ? 1 : 0;
}

/* The head is gone; its volume is worth keeping where a snapshot of it is there to revert to. */
static int see_volume(const struct scat_volume *v, void *data)
{
	struct stale *s = data;
	int r;

	if (is_there(s, v->c.thin))
		return 0;
	r = scat_snapshot_each(s->pool->cat, v->id, one, s, s->err);
	if (r < 0)
		return r;
	if (r == 0)
		return lost(s, &s->volumes, v->id, "volume", v->c.name, "");
	return say(
		s, false,
		"the contents of volume '%s' are not in the metadata: 'snapmgr revert --no-undo %s/%s@SNAP' "
		"to one of its snapshots, once the pool is active",
		v->c.name, s->pool->row.name, v->c.name);
}

static int see_all(struct stale *s)
{
	int r = scat_snapshot_each(s->pool->cat, -1, see_snapshot, s, s->err);

	if (r == 0)
		r = scat_undo_each(s->pool->cat, -1, see_undo, s, s->err);
	return r == 0 ? scat_volume_each(s->pool->cat, see_volume, s, s->err) : r;
}

static int see_garbage(uint32_t thin, void *data)
{
	(void)is_there(data, thin);
	return 0;
}

static int see_operation(const struct scat_operation *op, void *data)
{
	return op->thin ? see_garbage(op->thin, data) : 0;
}

/* ---- what is left over ---- */

static int one_unnamed(struct stale *s, uint32_t id)
{
	int r = 0;

	if (!s->accept)
		return say(s, false,
			   "id %" PRIu32
			   " is in the metadata and nothing names it: '--accept metadata' keeps "
			   "it there, '--accept catalogue' deletes it",
			   id);
	if (strcmp(s->accept, "catalogue") != 0)
		return say(
			s, true,
			"id %" PRIu32
			" is kept in the metadata, and nothing names it: the next --repair of the "
			"active pool deletes it",
			id);
	r = scat_garbage_add(s->pool->cat, id, s->err);
	return r < 0 ? r : say(s, true, "id %" PRIu32 ", which nothing names, is garbage now", id);
}

static int see_unnamed(struct stale *s)
{
	int r = scat_garbage_each(s->pool->cat, see_garbage, s, s->err);

	if (r == 0)
		r = scat_operation_each(s->pool->cat, see_operation, s, s->err);

	for (uint32_t id = 1; id < MAX_ID && r == 0; id++)
		if (has(s->present, id) && !has(s->named, id))
			r = one_unnamed(s, id);
	return r;
}

/* ---- the change ---- */

static int forget(struct stale *s)
{
	struct scat *cat = s->pool->cat;
	int r = 0;

	for (size_t i = 0; i < s->undos.n && r == 0; i++)
		r = scat_undo_delete(cat, s->undos.ids[i], s->err);
	for (size_t i = 0; i < s->snapshots.n && r == 0; i++)
		r = scat_snapshot_delete(cat, s->snapshots.ids[i], s->err);
	return r;
}

struct points {
	struct list *ids;
	struct list thins;
};

static int keep_point(const struct scat_undo *undo, void *data)
{
	struct points *p = data;

	return add(p->ids, undo->id) < 0 || add(&p->thins, undo->thin) < 0 ? -ENOMEM : 0;
}

/* With what undo points it has: nothing else could name them. */
static int forget_volume(struct stale *s, int64_t id)
{
	struct list ids = { 0 };
	struct points p = { .ids = &ids };
	int r = scat_undo_each(s->pool->cat, id, keep_point, &p, s->err);

	for (size_t i = 0; i < ids.n && r == 0; i++) {
		r = scat_undo_delete(s->pool->cat, ids.ids[i], s->err);
		if (r == 0)
			r = scat_garbage_add(s->pool->cat, (uint32_t)p.thins.ids[i], s->err);
	}
	if (r == 0)
		r = scat_volume_delete(s->pool->cat, id, s->err);
	free(ids.ids);
	free(p.thins.ids);
	return r;
}

/* No id of the metadata may ever be handed out. */
static void raise_ids(struct stale *s, uint64_t transaction)
{
	struct scat_pool *row = &s->pool->row;

	for (uint32_t id = MAX_ID - 1; id >= row->next_thin; id--)
		if (has(s->present, id)) {
			row->next_thin = id + 1;
			break;
		}
	if (row->reserved_thin < row->next_thin)
		row->reserved_thin = row->next_thin;
	row->transaction_id = row->next_transaction_id = transaction;
}

static int change(struct stale *s, uint64_t transaction)
{
	int r = scat_begin(s->pool->cat, s->err);

	if (r == 0)
		r = see_all(s);
	if (r == 0)
		r = see_unnamed(s);
	if (r == 0)
		r = forget(s);
	for (size_t i = 0; i < s->volumes.n && r == 0; i++)
		r = forget_volume(s, s->volumes.ids[i]);
	raise_ids(s, transaction);
	if (r == 0)
		r = scat_pool_put(s->pool->cat, &s->pool->row, s->err);
	if (r == 0)
		r = scat_commit(s->pool->cat, true, s->err);
	scat_rollback(s->pool->cat);
	return r;
}

static int keep_copy(struct stale *s)
{
	char path[512];
	int r = sm_backup_to(s->pool, path, sizeof(path), s->err);

	return r < 0 ? r : say(s, true, "the catalogue as it was is dumped to '%s'", path);
}

static int offer(struct stale *s)
{
	int r = see_all(s);

	if (r == 0)
		r = see_unnamed(s);
	return r != 0 ?
		       r :
		       say(s, false,
			   "ways out: disks or metadata of one time from a backup; 'snapmgr pool restore' with a "
			   "dump of the catalogue of that time; 'snapmgr pool check %s --repair --accept "
			   "metadata' or '--accept catalogue'. What was written or deleted between the two "
			   "times may be lost with each",
			   s->pool->row.name);
}

int sm_stale_resolve(struct sm_pool *pool, const uint8_t *present, uint64_t transaction,
		     const char *accept, sm_stale_fn *find, void *data, struct snapmgr_err *err)
{
	struct stale s = { .pool = pool,
			   .present = present,
			   .named = calloc(MAX_ID / 8, 1),
			   .accept = accept,
			   .find = find,
			   .data = data,
			   .err = err };
	int r = s.named ? 0 : sm_nomem(err);

	if (r == 0 && !accept)
		r = offer(&s);
	else if (r == 0)
		r = keep_copy(&s);
	if (r == 0 && accept)
		r = change(&s, transaction);
	free(s.named);
	free(s.snapshots.ids);
	free(s.undos.ids);
	free(s.volumes.ids);
	return r;
}
