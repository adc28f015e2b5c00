/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the catalogue names, against what the metadata holds. */
#include "snapmgr/core/inventory.h"

#include <errno.h>
#include <string.h>

void sm_inventory_release(struct sm_inventory *inv)
{
	free(inv->named);
	free(inv->present);
	*inv = (struct sm_inventory){ 0 };
}

static int by_id(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Room for one more, in powers of two. */
static void *grown(void *v, size_t n, size_t size)
{
	return n & (n - 1) ? v : reallocarray(v, n ? 2 * n : 1, size);
}

static int name_one(struct sm_inventory *inv, const struct sm_named *one)
{
	struct sm_named *v = grown(inv->named, inv->n_named, sizeof(*v));

	if (!v)
		return -ENOMEM;
	inv->named = v;
	inv->named[inv->n_named++] = *one;
	return 0;
}

static int name_volume(const struct scat_volume *v, void *data)
{
	struct sm_named n = {
		.id = v->c.thin, .kind = SM_WANT_VOLUME, .row = v->id, .used_bytes = UINT64_MAX
	};

	(void)snprintf(n.what, sizeof(n.what), "volume '%s'", v->c.name);
	return name_one(data, &n);
}

static int name_snapshot(const struct scat_snapshot *s, void *data)
{
	struct sm_named n = {
		.id = s->c.thin, .kind = SM_WANT_SNAPSHOT, .row = s->id, .used_bytes = s->used_bytes
	};

	(void)snprintf(n.what, sizeof(n.what), "snapshot '%s@%s'", s->volume_name, s->c.name);
	return name_one(data, &n);
}

static int name_undo(const struct scat_undo *u, void *data)
{
	struct sm_named n = {
		.id = u->thin, .kind = SM_WANT_UNDO, .row = u->id, .used_bytes = UINT64_MAX
	};
	char uuid[SNAPMGR_UUID_TEXT];

	sm_uuid_text(&u->uuid, uuid);
	(void)snprintf(n.what, sizeof(n.what), "undo point %s", uuid);
	return name_one(data, &n);
}

static int name_garbage(uint32_t thin, void *data)
{
	return name_one(data, &(struct sm_named){ .id = thin, .used_bytes = UINT64_MAX });
}

/* What a lasting one fills counts for nobody yet: where it is lost, it is made again. */
static int name_operation(const struct scat_operation *op, void *data)
{
	return op->thin ? name_garbage(op->thin, data) : 0;
}

int sm_inventory_names(struct sm_inventory *inv, struct scat *cat, struct snapmgr_err *err)
{
	int r = scat_volume_each(cat, name_volume, inv, err);

	if (r == 0)
		r = scat_snapshot_each(cat, -1, name_snapshot, inv, err);
	if (r == 0)
		r = scat_undo_each(cat, -1, name_undo, inv, err);
	if (r == 0)
		r = scat_operation_each(cat, name_operation, inv, err);
	if (r == 0)
		r = scat_garbage_each(cat, name_garbage, inv, err);
	if (inv->n_named)
		qsort(inv->named, inv->n_named, sizeof(*inv->named), by_id);
	return r == -ENOMEM ? sm_nomem(err) : r;
}

/* By id, as the kernel's trees are. */
int sm_inventory_add(struct sm_inventory *inv, uint32_t id, uint64_t mapped_bytes)
{
	struct sm_present *v = grown(inv->present, inv->n_present, sizeof(*v));

	if (!v)
		return -ENOMEM;
	inv->present = v;
	inv->present[inv->n_present++] = (struct sm_present){ id, mapped_bytes };
	return 0;
}

static int see_id(uint32_t id, uint64_t mapped, uint64_t exclusive, void *data)
{
	(void)exclusive;
	return sm_inventory_add(data, id, mapped);
}

int sm_inventory_ids(struct sm_inventory *inv, const struct sm_backend *b, struct snapmgr_err *err)
{
	int r = b->driver->ids(b, false, see_id, inv, err);

	if (inv->n_present)
		qsort(inv->present, inv->n_present, sizeof(*inv->present), by_id);
	return r == -ENOMEM ? sm_nomem(err) : r;
}

const struct sm_named *sm_inventory_named(const struct sm_inventory *inv, uint32_t id)
{
	return inv->n_named ? bsearch(&id, inv->named, inv->n_named, sizeof(*inv->named), by_id) :
			      NULL;
}

const struct sm_present *sm_inventory_present(const struct sm_inventory *inv, uint32_t id)
{
	return inv->n_present ?
		       bsearch(&id, inv->present, inv->n_present, sizeof(*inv->present), by_id) :
		       NULL;
}

static int mark_one(struct scat *cat, const struct sm_named *n, struct snapmgr_err *err)
{
	struct scat_snapshot s;
	struct scat_volume v;
	int r = 0;

	if (n->kind == SM_WANT_VOLUME) {
		r = scat_volume_by_id(cat, n->row, &v, err);
		v.c.state = SCAT_ERROR;
		return r == 0 ? scat_volume_update(cat, &v, err) : r;
	}
	if (n->kind == SM_WANT_SNAPSHOT) {
		r = scat_snapshot_by_id(cat, n->row, &s, err);
		s.c.state = SCAT_ERROR;
		return r == 0 ? scat_snapshot_update(cat, &s, err) : r;
	}
	return n->kind == SM_WANT_UNDO ? scat_undo_delete(cat, n->row, err) : 0;
}

int sm_inventory_mark_lost(const struct sm_inventory *inv, struct scat *cat,
			   struct snapmgr_err *err)
{
	int r = scat_begin(cat, err);

	for (size_t i = 0; i < inv->n_named && r == 0; i++) {
		if (!sm_inventory_present(inv, inv->named[i].id))
			r = mark_one(cat, &inv->named[i], err);
	}
	if (r == 0)
		r = scat_commit(cat, true, err);
	scat_rollback(cat);
	return r;
}
