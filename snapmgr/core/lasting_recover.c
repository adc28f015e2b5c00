/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lasting operations whose owner is dead, finished or undone: each as its verb says. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/create.h"
#include "snapmgr/core/fill.h"
#include "snapmgr/core/lasting.h"
#include "snapmgr/core/rewrite.h"

/* Filled beside the head, or into it: only a file is. */
static int settle_revert(struct sm_pool *pool, const struct scat_operation *op, char said[SM_SAID],
			 struct snapmgr_err *err)
{
	return pool->b.driver->rewrite ? sm_rewrite_settle(pool, op, said, err) :
					 sm_fill_settle(pool, op, said, err);
}

const struct sm_lasting_verb sm_lasting_verbs[] = {
	{ "copy", sm_copy_settle },    { "create", sm_copy_settle },
	{ "extend", sm_copy_settle },  { "merge", sm_merge_settle },
	{ "read", sm_reading_settle }, { "revert", settle_revert },
	{ "undo", settle_revert },     { "snapshot", sm_snapshot_settle },
	{ "clone", sm_clone_settle },  { NULL, NULL },
};

bool sm_lasting_owner_alive(const struct scat_operation *op)
{
	const struct shost_owner owner = { op->boot_id, op->pid, op->start_ticks };

	return shost_owner_alive(&owner);
}

void sm_lasting_object(struct sm_pool *pool, const struct scat_operation *op,
		       char ret[2 * SNAPMGR_NAME_MAX + 2])
{
	struct scat_snapshot s;
	struct scat_volume v;

	if (op->snapshot && scat_snapshot_by_id(pool->cat, op->snapshot, &s, NULL) == 0)
		(void)snprintf(ret, 2 * SNAPMGR_NAME_MAX + 2, "%s@%s", s.volume_name, s.c.name);
	else if (op->volume && scat_volume_by_id(pool->cat, op->volume, &v, NULL) == 0)
		(void)sm_copy_text(ret, 2 * SNAPMGR_NAME_MAX + 2, v.c.name);
	else
		(void)sm_copy_text(ret, 2 * SNAPMGR_NAME_MAX + 2, pool->row.name);
}

/* Of a verb that this version does not know: nobody can say what its objects hold. */
static int settle_unknown(struct sm_pool *pool, const struct scat_operation *op, char said[SM_SAID],
			  struct snapmgr_err *err)
{
	struct scat_snapshot s;
	struct scat_volume v;
	int r = scat_begin(pool->cat, err);

	if (r == 0 && op->volume && scat_volume_by_id(pool->cat, op->volume, &v, err) == 0) {
		v.c.state = SCAT_ERROR;
		r = scat_volume_update(pool->cat, &v, err);
	}
	if (r == 0 && op->snapshot && scat_snapshot_by_id(pool->cat, op->snapshot, &s, err) == 0) {
		s.c.state = SCAT_AVAILABLE; /* snapshots are never written to */
		r = scat_snapshot_update(pool->cat, &s, err);
	}
	if (r == 0 && op->thin)
		r = scat_garbage_add(pool->cat, op->thin, err);
	if (r == 0)
		r = scat_operation_delete(pool->cat, op->id, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	(void)sm_copy_text(said, SM_SAID, "this version does not know how to go on with it");
	return r;
}

int sm_lasting_settle(struct sm_pool *pool, const struct scat_operation *op, char said[SM_SAID],
		      struct snapmgr_err *err)
{
	const struct sm_lasting_verb *v = sm_lasting_verbs;
	struct scat_operation left;
	char dir[SPROGRESS_DIR];
	int r;

	while (v->verb && strcmp(v->verb, op->verb) != 0)
		v++;
	r = v->verb ? v->settle(pool, op, said, err) : settle_unknown(pool, op, said, err);
	scat_rollback(pool->cat);
	if (r == -EIO && sm_pool_reopen(pool, NULL) == 0 &&
	    scat_operation_by_uuid(pool->cat, &op->uuid, &left, NULL) == -ENOENT)
		r = 0; /* the commit arrived all the same */
	sprogress_dir(&pool->b.uuid, pool->b.dir, dir);
	if (r == 0)
		sprogress_forget(dir, &op->uuid);
	return r;
}

struct busy {
	struct sm_pool *pool;
	struct snapmgr_err *err;
};

static int refuse_alive(const struct scat_operation *op, void *data)
{
	const struct busy *b = data;
	char object[2 * SNAPMGR_NAME_MAX + 2], uuid[SNAPMGR_UUID_TEXT];

	if (!sm_lasting_owner_alive(op))
		return 0;
	sm_lasting_object(b->pool, op, object);
	sm_uuid_text(&op->uuid, uuid);
	return sm_fail(
		b->err, SNAPMGR_IN_USE, EBUSY,
		"pool '%s' is in use: process %d is at work on '%s' (%s); 'snapmgr cancel %s' "
		"ends that",
		b->pool->row.name, op->pid, object, op->verb, uuid);
}

int sm_lasting_none_alive(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct busy b = { pool, err };

	return pool->row.operations ? scat_operation_each(pool->cat, refuse_alive, &b, err) : 0;
}

/* ---- those of the dead ---- */

#define BATCH 32 /* of one opening; there are hardly ever two */

struct dead {
	struct scat_operation v[BATCH];
	size_t n;
};

static int collect(const struct scat_operation *op, void *data)
{
	struct dead *d = data;

	if (!op->resumable && !sm_lasting_owner_alive(op))
		d->v[d->n++] = *op;
	return d->n == BATCH;
}

static void note(struct sm_pool *pool, const struct sm_uuid *about, const char *kind,
		 const struct scat_operation *op, const char *level, const char *text)
{
	const struct sm_message m = { .level = level,
				      .verb = "recover",
				      .kind = kind,
				      .object = about,
				      .operation = &op->uuid,
				      .text = text };

	if (scat_begin(pool->cat, NULL) == 0 && sm_message(pool, &m, NULL) == 0)
		(void)scat_commit(pool->cat, false, NULL);
	scat_rollback(pool->cat);
}

static void reap_one(struct sm_pool *pool, const struct scat_operation *op)
{
	char object[2 * SNAPMGR_NAME_MAX + 2], text[SNAPMGR_MESSAGE_MAX], said[SM_SAID] = "";
	struct sm_uuid about = pool->b.uuid;
	struct snapmgr_err why = { 0 };
	struct scat_volume v;
	const char *kind = "pool";

	sm_lasting_object(pool, op, object);
	if (op->volume && scat_volume_by_id(pool->cat, op->volume, &v, NULL) == 0) {
		about = v.c.uuid;
		kind = "volume";
	}
	if (sm_lasting_settle(pool, op, said, &why) < 0) {
		sm_warn(pool->sm,
			"the %s of '%s/%s' that process %d began cannot be settled yet: %.400s",
			op->verb, pool->row.name, object, op->pid, why.message);
		return;
	}
	(void)snprintf(text, sizeof(text),
		       "recovered: the %s of '%s/%s' that process %d began was cut short: %s",
		       op->verb, pool->row.name, object, op->pid, said);
	note(pool, &about, kind, op, "warning", text);
	sm_recover_tell(pool, "%s", text);
}

int sm_lasting_reap(struct sm_pool *pool, struct snapmgr_err *err)
{
	AUTO(free) struct dead *d = NULL;
	int r;

	if (!pool->row.operations)
		return 0;
	d = calloc(1, sizeof(*d));
	if (!d)
		return sm_nomem(err);
	r = scat_operation_each(pool->cat, collect, d, err);
	for (size_t i = 0; i < d->n && r >= 0; i++)
		reap_one(pool, &d->v[i]);
	if (r < 0 || !d->n)
		return r < 0 ? r : 0;
	r = scat_begin(pool->cat, err);
	return r == 0 ? scat_pool_get(pool->cat, &pool->row, err) : r;
}
