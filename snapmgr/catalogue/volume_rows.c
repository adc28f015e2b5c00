/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/internal.h"

#define SELECT                                                                                   \
	"SELECT v.id,v.uuid,n.name,v.project,v.label,v.description,v.created_at,v.state,v.size," \
	"v.thin,v.parent,v.sequence,v.last_snapshot_at,v.undo_keep,v.autostart,v.guest,"         \
	"v.revert_support,v.before_thin,v.before_parent,v.before_size,v.before_swapped,"         \
	"v.before_with "                                                                         \
	"FROM names n JOIN volumes v ON v.id=n.id "

static int read_volume(struct scat *cat, sqlite3_stmt *stmt, void *ret, struct snapmgr_err *err)
{
	struct scat_row row = { .stmt = stmt };
	struct scat_volume v = { 0 };
	int r;

	scat_row_common(&row, &v.id, &v.c, scat_volume_states);
	v.sequence = (uint64_t)scat_row_int(&row, 0, INT64_MAX, "sequence");
	v.last_snapshot_at_us = scat_row_int(&row, 0, SCAT_TIME_MAX, "time of its last snapshot");
	v.undo_keep = (uint32_t)scat_row_int(&row, 0, UINT32_MAX, "undo_keep");
	v.autostart = scat_row_bool(&row, "autostart");
	v.guest = scat_row_bool(&row, "guest");
	v.revert_support = scat_row_bool(&row, "revert support");
	v.before.thin = scat_row_thin(&row);
	v.before.parent = scat_row_id(&row, "parent before");
	v.before.size_bytes = (uint64_t)scat_row_int(&row, 0, INT64_MAX, "size before");
	v.before.swapped = scat_row_bool(&row, "swap");
	scat_row_uuid_or_null(&row, &v.before.with, "set");
	r = scat_row_end(cat, &row, "volume", sqlite3_column_int64(stmt, 0), err);
	if (r == 0)
		memcpy(ret, &v, sizeof(v));
	return r;
}

int scat_volume_by_name(struct scat *cat, const char *name, struct scat_volume *ret,
			struct snapmgr_err *err)
{
	static const char sql[] = SELECT "WHERE n.name=?1";

	return scat_get(cat, sql, ARGS(ARG_TEXT(name)), read_volume, ret, err);
}

int scat_volume_by_uuid(struct scat *cat, const struct sm_uuid *uuid, struct scat_volume *ret,
			struct snapmgr_err *err)
{
	static const char sql[] = SELECT "WHERE v.uuid=?1";

	return scat_get(cat, sql, ARGS(ARG_UUID(uuid)), read_volume, ret, err);
}

int scat_volume_by_id(struct scat *cat, int64_t id, struct scat_volume *ret,
		      struct snapmgr_err *err)
{
	static const char sql[] = SELECT "WHERE n.id=?1";

	return scat_get(cat, sql, ARGS(ARG_INT(id)), read_volume, ret, err);
}

int scat_volume_each(struct scat *cat, scat_volume_fn *visit, void *data, struct snapmgr_err *err)
{
	static const char sql[] = SELECT "ORDER BY n.name";
	struct scat_volume v;
	sqlite3_stmt *stmt;
	int r = scat_query(cat, sql, NULL, &stmt, err);

	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0) {
		r = read_volume(cat, stmt, &v, err);
		if (r == 0)
			r = visit(&v, data);
		if (r)
			break;
	}
	scat_finish(cat, stmt);
	return r;
}

static int check_volume(const struct scat_volume *v, struct snapmgr_err *err)
{
	if (v->sequence > INT64_MAX || v->last_snapshot_at_us < 0 ||
	    v->last_snapshot_at_us > SCAT_TIME_MAX)
		return sm_fail(err, SNAPMGR_INTERNAL, EINVAL,
			       "volume '%s' cannot be recorded with such a sequence", v->c.name);
	return scat_common_check(&v->c, scat_volume_states, err);
}

/* Is @name taken by a volume or a group other than @id? */
static int check_name(struct scat *cat, const char *name, int64_t id, struct snapmgr_err *err)
{
	static const char sql[] = "SELECT id FROM names WHERE name=?1";
	int64_t other = 0;
	int r = scat_number(cat, sql, ARGS(ARG_TEXT(name)), &other, err);

	if (r == -ENOENT || (r == 0 && other == id))
		return 0;
	if (r < 0)
		return r;
	return sm_fail(err, SNAPMGR_EXISTS, EEXIST, "'%s' exists already in pool '%s'", name,
		       cat->subject);
}

int scat_name_insert(struct scat *cat, const char *name, int64_t *ret_id, struct snapmgr_err *err)
{
	static const char sql[] = "INSERT INTO names(name)VALUES(?1)";
	int r = check_name(cat, name, 0, err);

	if (r == 0)
		r = scat_run(cat, sql, ARGS(ARG_TEXT(name)), err);
	if (r < 0)
		return r;
	*ret_id = sqlite3_last_insert_rowid(cat->db);
	return 0;
}

int scat_name_update(struct scat *cat, int64_t id, const char *name, struct snapmgr_err *err)
{
	static const char sql[] = "UPDATE names SET name=?2 WHERE id=?1 AND name<>?2";
	int r = check_name(cat, name, id, err);

	if (r == 0)
		r = scat_run(cat, sql, ARGS(ARG_INT(id), ARG_TEXT(name)), err);
	return r < 0 ? r : 0;
}

int scat_volume_insert(struct scat *cat, struct scat_volume *v, struct snapmgr_err *err)
{
	static const char sql[] =
		"INSERT INTO volumes(id,uuid,project,label,description,created_at,state,size,thin,"
		"parent,sequence,last_snapshot_at,undo_keep,autostart,guest,revert_support,before_size,"
		"before_swapped)VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,0,0)";
	const struct scat_common *c = &v->c;
	int64_t id = 0;
	int r = check_volume(v, err);

	if (r == 0)
		r = scat_check_room(cat, err);
	if (r == 0)
		r = scat_name_insert(cat, c->name, &id, err);
	if (r < 0)
		return r;
	r = scat_run(cat, sql,
		     ARGS(ARG_INT(id), ARG_UUID(&c->uuid), ARG_TEXT(c->project), ARG_TEXT(c->label),
			  ARG_TEXT(c->description), ARG_INT(c->created_at_us),
			  ARG_TEXT(scat_state_name(c->state)), ARG_INT(c->size_bytes),
			  ARG_ID(c->thin), ARG_ID(c->parent), ARG_INT(v->sequence),
			  ARG_INT(v->last_snapshot_at_us), ARG_INT(v->undo_keep),
			  ARG_INT(v->autostart), ARG_INT(v->guest), ARG_INT(v->revert_support)),
		     err);
	if (r < 0)
		return r;
	v->id = id;
	return 0;
}

/* Columns with an index only where they change, so that an update dirties few pages. */
static int update_indexed(struct scat *cat, const struct scat_volume *v, struct snapmgr_err *err)
{
	static const char move[] = "UPDATE volumes SET thin=?2,parent=?3 WHERE id=?1 AND"
				   "(thin IS NOT ?2 OR parent IS NOT ?3)";
	int r = scat_name_update(cat, v->id, v->c.name, err);

	if (r == 0)
		r = scat_run(cat, move,
			     ARGS(ARG_INT(v->id), ARG_ID(v->c.thin), ARG_ID(v->c.parent)), err);
	return r < 0 ? r : 0;
}

int scat_volume_update(struct scat *cat, const struct scat_volume *v, struct snapmgr_err *err)
{
	static const char sql[] =
		"UPDATE volumes SET project=?2,label=?3,description=?4,state=?5,size=?6,sequence=?7,"
		"last_snapshot_at=?8,undo_keep=?9,autostart=?10,guest=?11,revert_support=?12,"
		"before_thin=?13,before_parent=?14,before_size=?15,before_swapped=?16,"
		"before_with=?17 WHERE id=?1";
	const struct scat_common *c = &v->c;
	int r = check_volume(v, err);

	if (r == 0)
		r = update_indexed(cat, v, err);
	if (r < 0)
		return r;
	r = scat_run(cat, sql,
		     ARGS(ARG_INT(v->id), ARG_TEXT(c->project), ARG_TEXT(c->label),
			  ARG_TEXT(c->description), ARG_TEXT(scat_state_name(c->state)),
			  ARG_INT(c->size_bytes), ARG_INT(v->sequence),
			  ARG_INT(v->last_snapshot_at_us), ARG_INT(v->undo_keep),
			  ARG_INT(v->autostart), ARG_INT(v->guest), ARG_INT(v->revert_support),
			  ARG_ID(v->before.thin), ARG_ID(v->before.parent),
			  ARG_INT(v->before.size_bytes), ARG_INT(v->before.swapped),
			  ARG_UUID_OR_NULL(&v->before.with)),
		     err);
	return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

int scat_states_reset(struct scat *cat, struct snapmgr_err *err)
{
	static const char volumes[] =
		"UPDATE volumes SET state=CASE state WHEN 'creating'THEN'error'ELSE'available'END "
		"WHERE state<>'available'AND NOT EXISTS"
		"(SELECT 1 FROM operations WHERE volume=volumes.id)";
	static const char snapshots[] =
		"UPDATE snapshots SET state=CASE state WHEN 'creating'THEN'error'ELSE'available'END "
		"WHERE state<>'available'AND NOT EXISTS"
		"(SELECT 1 FROM operations WHERE snapshot=snapshots.id)";
	int r = scat_run(cat, volumes, NULL, err);

	if (r >= 0)
		r = scat_run(cat, snapshots, NULL, err);
	return r < 0 ? r : 0;
}

int scat_volume_delete(struct scat *cat, int64_t id, struct snapmgr_err *err)
{
	static const char tags[] =
		"DELETE FROM tags WHERE object=(SELECT uuid FROM volumes WHERE id=?1)";
	static const char row[] = "DELETE FROM names WHERE id=(SELECT id FROM volumes WHERE id=?1)";
	int r = scat_run(cat, tags, ARGS(ARG_INT(id)), err);

	if (r >= 0)
		r = scat_run(cat, row, ARGS(ARG_INT(id)), err);
	return r < 0 ? r : r == 0 ? -ENOENT : 0;
}
