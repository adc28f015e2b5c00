/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_messages(): what was written down, for those who ask. */
#include <errno.h>

#include "snapmgr/core/core.h"

#define SHOWN_US (INT64_C(30) * 24 * 3600 * 1000000)

struct asking {
	struct snapmgr *sm;
	const struct scat_pool *row;
	const struct snapmgr_messages_opts *opts;
	int level; /* at least */
	struct sm_uuid object;
	int64_t now_us;
	snapmgr_message_fn *visit;
	void *data;
	bool told; /* at least one */
	struct snapmgr_err *err;
	struct snapmgr_err first; /* why the first of several pools could not be read */
	int failed;
};

/* Nothing is stored for it: the pool's UUID is random, and a row's id is never used twice. */
static void make_uuid(const struct sm_uuid *pool, int64_t id, char text[SNAPMGR_UUID_TEXT])
{
	struct sm_uuid u = *pool;

	for (size_t i = 0; i < 8; i++)
		u.b[15 - i] ^= (uint8_t)((uint64_t)id >> (8 * i));
	u.b[6] = (uint8_t)((u.b[6] & 0x0f) | 0x80);
	u.b[8] = (uint8_t)((u.b[8] & 0x3f) | 0x80);
	sm_uuid_text(&u, text);
}

static void uuid_or_none(const struct sm_uuid *uuid, char text[SNAPMGR_UUID_TEXT])
{
	if (sm_uuid_is_null(uuid))
		*text = '\0';
	else
		sm_uuid_text(uuid, text);
}

static int visit_row(const struct scat_message *row, void *data)
{
	struct asking *a = data;
	struct snapmgr_message m = {
		.created_at_us = row->created_at_us,
		.expires_at_us = row->created_at_us + SHOWN_US,
	};

	if (scat_message_level(row->level) < a->level || row->created_at_us < a->opts->since_us ||
	    m.expires_at_us <= a->now_us ||
	    (!sm_uuid_is_null(&a->object) && !sm_uuid_equal(&a->object, &row->object)))
		return 0;
	make_uuid(&a->row->uuid, row->id, m.uuid);
	memcpy(m.pool, a->row->name, sizeof(m.pool));
	memcpy(m.level, row->level, sizeof(m.level));
	memcpy(m.verb, row->verb, sizeof(m.verb));
	memcpy(m.code, row->code, sizeof(m.code));
	memcpy(m.kind, row->kind, sizeof(m.kind));
	memcpy(m.project, row->project, sizeof(m.project));
	memcpy(m.text, row->text, sizeof(m.text));
	uuid_or_none(&row->object, m.object);
	uuid_or_none(&row->operation, m.operation);
	a->told = true;
	return a->visit(&m, a->data);
}

static int ask_pool(struct asking *a, struct sm_pool *pool)
{
	int r = scat_begin_read(pool->cat, a->err);

	a->row = &pool->row;
	if (r == 0)
		r = scat_message_each(pool->cat, a->opts->newest_first, visit_row, a, a->err);
	scat_rollback(pool->cat);
	return r;
}

/* One that cannot be read hides no other; one that went down since it was listed is no news. */
static int ask_one(const char *uuid, void *data)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct asking *a = data;
	struct snapmgr_err why;
	int r = sm_pool_open(a->sm, uuid, false, &pool, &why);

	if (r == 0)
		return ask_pool(a, &pool);
	if (!a->failed && r != -ENODEV && r != -ENOENT) {
		a->failed = r;
		a->first = why;
	}
	return 0;
}

static int ask_all(struct asking *a)
{
	int r = sm_pool_each(a->sm, ask_one, a, a->err);

	if (r != 0 || !a->failed)
		return r;
	if (a->err)
		*a->err = a->first;
	return a->failed;
}

/* What has this UUID is gone; what was said of it is not. */
static int ask_for_gone(struct asking *a, const char *spec)
{
	int r = ask_all(a);

	if (r == 0 && !a->told)
		return sm_fail(
			a->err, SNAPMGR_NOT_FOUND, ENOENT,
			"nothing in an active pool has the UUID '%.40s', and no message speaks of "
			"it",
			spec);
	return r;
}

static int ask_for(struct asking *a, const char *spec)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	struct snapmgr_err why = { 0 };
	int r = sm_find(a->sm, spec,
			SM_WANT_POOL | SM_WANT_VOLUME | SM_WANT_SNAPSHOT | SM_WANT_GROUP |
				SM_WANT_SET,
			false, &f, &why);

	if (r == -ENOENT && sm_uuid_parse(spec, &a->object))
		return ask_for_gone(a, spec);
	if (r < 0 && a->err)
		*a->err = why;
	if (r < 0)
		return r;
	if (f.has_snapshot)
		a->object = f.snapshot.c.uuid;
	else if (f.has_volume)
		a->object = f.volume.c.uuid;
	else if (f.has_group)
		a->object = f.has_set ? f.set.uuid : f.group.uuid;
	return ask_pool(a, &f.pool);
}

int snapmgr_messages(struct snapmgr *sm, const char *spec, const struct snapmgr_messages_opts *opts,
		     snapmgr_message_fn *visit, void *data, struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_messages_opts, o, opts);
	struct asking a = { .sm = sm,
			    .opts = &o,
			    .now_us = sm_now_us(),
			    .visit = visit,
			    .data = data,
			    .err = err };

	a.level = o.level ? scat_message_level(o.level) : 0;
	if (a.level < 0)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "'%.40s' is no level: there are info, warning and error", o.level);
	return spec ? ask_for(&a, spec) : ask_all(&a);
}
