/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a walk over many objects remembers, so that each costs neither an ioctl nor a lookup. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"

static int by_uuid(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct sm_uuid));
}

static int add(struct sm_active *a, const struct sm_uuid *uuid)
{
	struct sm_uuid *more;

	if (a->n % 64 == 0) {
		more = reallocarray(a->uuids, a->n + 64, sizeof(*more));
		if (!more)
			return -ENOMEM;
		a->uuids = more;
	}
	a->uuids[a->n++] = *uuid;
	return 0;
}

static int add_active(const char *name, const char *dm_uuid, uint32_t major, uint32_t minor,
		      void *data)
{
	struct sm_active *a = data;
	struct sm_uuid uuid;

	(void)name;
	(void)major;
	(void)minor;
	if (!sm_uuid_parse(dm_uuid + strlen(SM_DM_UUID), &uuid))
		return 0; /* a pool's own device: its UUID has a role behind it */
	return add(a, &uuid);
}

int sm_active_load(struct sm_active *ret, struct snapmgr_err *err)
{
	struct sm_active a = { 0 };
	int r;

	*ret = (struct sm_active){ 0 };
	if (sdm_init(NULL) < 0) /* then no dm device is mapped, and files say so themselves */
		return 0;
	r = sdm_list(SM_DM_UUID, add_active, &a, err);
	if (r < 0) {
		free(a.uuids);
		return r == -ENOMEM ? sm_nomem(err) : r;
	}
	if (a.n)
		qsort(a.uuids, a.n, sizeof(*a.uuids), by_uuid);
	*ret = a;
	return 0;
}

void sm_active_release(struct sm_active *a)
{
	free(a->uuids);
	*a = (struct sm_active){ 0 };
}

bool sm_active_has(const struct sm_active *a, const struct sm_uuid *uuid)
{
	return a->n && bsearch(uuid, a->uuids, a->n, sizeof(*a->uuids), by_uuid);
}

/* ---- snapshots met before, as parents of those to come ---- */

struct sm_view {
	struct sm_active active;
	struct sm_active tagged;     /* in their order */
	struct sm_known known[1024]; /* where a snapshot's id, modulo, says */
	const struct scat_volume *volume;
};

int sm_view_new(struct sm_view **ret, struct snapmgr_err *err)
{
	struct sm_view *view = calloc(1, sizeof(*view));
	int r;

	if (!view)
		return sm_nomem(err);
	r = sm_active_load(&view->active, err);
	if (r < 0)
		free(view);
	else
		*ret = view;
	return r;
}

void sm_view_free(struct sm_view *view)
{
	if (!view)
		return;
	sm_active_release(&view->active);
	sm_active_release(&view->tagged);
	free(view);
}

static int add_tagged(const struct sm_uuid *object, void *data)
{
	return add(data, object);
}

int sm_view_tags(struct sm_view *view, struct scat *cat, struct snapmgr_err *err)
{
	int r = scat_tagged_each(cat, add_tagged, &view->tagged, err);

	return r == -ENOMEM ? sm_nomem(err) : r;
}

bool sm_view_tagged(const struct sm_view *view, const struct sm_uuid *uuid)
{
	return !view || sm_active_has(&view->tagged, uuid);
}

bool sm_view_active(const struct sm_view *view, const struct sm_uuid *uuid)
{
	return sm_active_has(&view->active, uuid);
}

void sm_view_volume(struct sm_view *view, const struct scat_volume *v)
{
	view->volume = v;
}

const struct scat_volume *sm_view_is_volume(const struct sm_view *view, int64_t id)
{
	return view && view->volume && view->volume->id == id ? view->volume : NULL;
}

static struct sm_known *slot_of(struct sm_view *view, int64_t id)
{
	return &view->known[(uint64_t)id % SM_ARRAY(view->known)];
}

void sm_known_fill(struct sm_known *known, const struct scat_snapshot *s)
{
	const size_t len = strlen(s->volume_name);

	known->id = s->id;
	sm_uuid_text(&s->c.uuid, known->uuid);
	memcpy(known->name, s->volume_name, len);
	known->name[len] = '@';
	memcpy(known->name + len + 1, s->c.name, strlen(s->c.name) + 1);
}

void sm_view_meet(struct sm_view *view, const struct scat_snapshot *s)
{
	if (view)
		sm_known_fill(slot_of(view, s->id), s);
}

const struct sm_known *sm_view_known(struct sm_view *view, int64_t id)
{
	const struct sm_known *known = view ? slot_of(view, id) : NULL;

	return known && known->id == id ? known : NULL;
}
