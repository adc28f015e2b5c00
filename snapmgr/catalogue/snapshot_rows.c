/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/internal.h"

#define SELECT                                                                                   \
	"SELECT s.id,s.uuid,s.name,s.project,s.label,s.description,s.created_at,s.state,s.size," \
	"s.thin,s.parent,s.volume,n.name,s.sequence,s.used,s.hold,"                              \
	"s.taken_with "                                                                          \
	"FROM snapshots s LEFT JOIN names n ON n.id=s.volume "

/* NULL: not known */
static uint64_t row_used(struct scat_row *row)
{
	if (sqlite3_column_type(row->stmt, row->column) != SQLITE_NULL)
		return (uint64_t)scat_row_int(row, 0, INT64_MAX, "used size");
	row->column++;
	return UINT64_MAX;
}

static int read_snapshot(struct scat *cat, sqlite3_stmt *stmt, void *ret, struct snapmgr_err *err)
{
	struct scat_row row = { .stmt = stmt };
	struct scat_snapshot s = { 0 };
	int r;

	scat_row_common(&row, &s.id, &s.c, scat_snapshot_states);
	s.volume = scat_row_id(&row, "volume");
	if (s.volume)
		scat_row_name(&row, s.volume_name, "volume");
	else
		row.column++;
	s.sequence = (uint64_t)scat_row_int(&row, 0, INT64_MAX, "sequence");
	s.used_bytes = row_used(&row);
	s.hold = scat_row_bool(&row, "hold");
	scat_row_uuid_or_null(&row, &s.taken_with, "set");
	if (!row.wrong && s.c.parent >= s.id) /* nobody descends from a younger one, or itself */
		row.wrong = "parent";
	r = scat_row_end(cat, &row, "snapshot", sqlite3_column_int64(stmt, 0), err);
	if (r == 0)
		memcpy(ret, &s, sizeof(s));
	return r;
}

int scat_snapshot_by_name(struct scat *cat, int64_t volume, const char *name,
			  struct scat_snapshot *ret, struct snapmgr_err *err)
{
	static const char sql[] = SELECT "WHERE s.volume=?1 AND s.name=?2";

	return scat_get(cat, sql, ARGS(ARG_INT(volume), ARG_TEXT(name)), read_snapshot, ret, err);
}

int scat_snapshot_by_uuid(struct scat *cat, const struct sm_uuid *uuid, struct scat_snapshot *ret,
			  struct snapmgr_err *err)
{
	static const char sql[] = SELECT "WHERE s.uuid=?1";

	return scat_get(cat, sql, ARGS(ARG_UUID(uuid)), read_snapshot, ret, err);
}

int scat_snapshot_by_id(struct scat *cat, int64_t id, struct scat_snapshot *ret,
			struct snapmgr_err *err)
{
	static const char sql[] = SELECT "WHERE s.id=?1";

	return scat_get(cat, sql, ARGS(ARG_INT(id)), read_snapshot, ret, err);
}

int scat_snapshot_latest(struct scat *cat, int64_t volume, uint32_t back, struct scat_snapshot *ret,
			 struct snapmgr_err *err)
{
	static const char sql[] = SELECT
		"WHERE s.volume=?1 ORDER BY s.sequence DESC LIMIT 1 OFFSET ?2";

	return scat_get(cat, sql, ARGS(ARG_INT(volume), ARG_INT(back)), read_snapshot, ret, err);
}

int scat_snapshot_each(struct scat *cat, int64_t volume, scat_snapshot_fn *visit, void *data,
		       struct snapmgr_err *err)
{
	static const char of_volume[] = SELECT "WHERE s.volume IS ?1 ORDER BY s.sequence,s.id";
	static const char all[] = SELECT "ORDER BY s.id";
	struct scat_snapshot s;
	sqlite3_stmt *stmt;
	int r;

	if (volume < 0)
		r = scat_query(cat, all, NULL, &stmt, err);
	else
		r = scat_query(cat, of_volume, ARGS(ARG_ID(volume)), &stmt, err);
	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0) {
		r = read_snapshot(cat, stmt, &s, err);
		if (r == 0)
			r = visit(&s, data);
		if (r)
			break;
	}
	scat_finish(cat, stmt);
	return r;
}

int scat_snapshot_each_with(struct scat *cat, const struct sm_uuid *taken_with,
			    scat_snapshot_fn *visit, void *data, struct snapmgr_err *err)
{
	static const char sql[] = SELECT "WHERE s.taken_with=?1 ORDER BY s.id";
	struct scat_snapshot s;
	sqlite3_stmt *stmt;
	int r = scat_query(cat, sql, ARGS(ARG_UUID(taken_with)), &stmt, err);

	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0) {
		r = read_snapshot(cat, stmt, &s, err);
		if (r == 0)
			r = visit(&s, data);
		if (r)
			break;
	}
	scat_finish(cat, stmt);
	return r;
}

static int check_snapshot(const struct scat_snapshot *s, struct snapmgr_err *err)
{
	if (s->sequence > INT64_MAX || (s->used_bytes > INT64_MAX && s->used_bytes != UINT64_MAX))
		return sm_fail(err, SNAPMGR_INTERNAL, EINVAL,
			       "snapshot '%s' cannot be recorded with such a sequence or use",
			       s->c.name);
	return scat_common_check(&s->c, scat_snapshot_states, err);
}

/* Does @volume have a snapshot @name other than @id? */
static int check_name(struct scat *cat, const struct scat_snapshot *s, int64_t id,
		      struct snapmgr_err *err)
{
	static const char sql[] = "SELECT id FROM snapshots WHERE volume=?1 AND name=?2";
	int64_t other = 0;
	int r = scat_number(cat, sql, ARGS(ARG_ID(s->volume), ARG_TEXT(s->c.name)), &other, err);

	if (r == -ENOENT || (r == 0 && other == id))
		return 0;
	if (r < 0)
		return r;
	return sm_fail(err, SNAPMGR_EXISTS, EEXIST, "snapshot '%s' exists already", s->c.name);
}

/* A new id is higher than all: parents are older than their children (CHECK in the schema). */
int scat_snapshot_insert(struct scat *cat, struct scat_snapshot *s, struct snapmgr_err *err)
{
	static const char sql[] =
		"INSERT INTO snapshots(uuid,volume,name,project,label,description,created_at,state,"
		"size,thin,parent,sequence,used,hold,taken_with)"
		"VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,nullif(?13,-1),?14,?15)";
	const struct scat_common *c = &s->c;
	int r = check_snapshot(s, err);

	if (r == 0)
		r = scat_check_room(cat, err);
	if (r == 0)
		r = check_name(cat, s, 0, err);
	if (r < 0)
		return r;
	r = scat_run(cat, sql,
		     ARGS(ARG_UUID(&c->uuid), ARG_ID(s->volume), ARG_TEXT(c->name),
			  ARG_TEXT(c->project), ARG_TEXT(c->label), ARG_TEXT(c->description),
			  ARG_INT(c->created_at_us), ARG_TEXT(scat_state_name(c->state)),
			  ARG_INT(c->size_bytes), ARG_ID(c->thin), ARG_ID(c->parent),
			  ARG_INT(s->sequence), ARG_INT(s->used_bytes), ARG_INT(s->hold),
			  ARG_UUID_OR_NULL(&s->taken_with)),
		     err);
	if (r < 0)
		return r;
	s->id = sqlite3_last_insert_rowid(cat->db);
	return 0;
}

/* Columns with an index only where they change, so that an update dirties few pages. */
static int update_indexed(struct scat *cat, const struct scat_snapshot *s, struct snapmgr_err *err)
{
	static const char sql[] =
		"UPDATE snapshots SET volume=?2,name=?3,thin=?4,parent=?5,sequence=?6 WHERE id=?1 AND"
		"(volume IS NOT ?2 OR name IS NOT ?3 OR thin IS NOT ?4 OR parent IS NOT ?5 OR "
		"sequence IS NOT ?6)";
	int r = check_name(cat, s, s->id, err);

	if (r == 0)
		r = scat_run(cat, sql,
			     ARGS(ARG_INT(s->id), ARG_ID(s->volume), ARG_TEXT(s->c.name),
				  ARG_ID(s->c.thin), ARG_ID(s->c.parent), ARG_INT(s->sequence)),
			     err);
	return r < 0 ? r : 0;
}

int scat_snapshot_update(struct scat *cat, const struct scat_snapshot *s, struct snapmgr_err *err)
{
	static const char sql[] =
		"UPDATE snapshots SET project=?2,label=?3,description=?4,state=?5,size=?6,"
		"used=nullif(?7,-1),hold=?8 WHERE id=?1";
	const struct scat_common *c = &s->c;
	int r = check_snapshot(s, err);

	if (r == 0)
		r = update_indexed(cat, s, err);
	if (r < 0)
		return r;
	r = scat_run(cat, sql,
		     ARGS(ARG_INT(s->id), ARG_TEXT(c->project), ARG_TEXT(c->label),
			  ARG_TEXT(c->description), ARG_TEXT(scat_state_name(c->state)),
			  ARG_INT(c->size_bytes), ARG_INT(s->used_bytes), ARG_INT(s->hold)),
		     err);
	return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

int scat_snapshot_delete(struct scat *cat, int64_t id, struct snapmgr_err *err)
{
#define ADOPT(table) \
	"UPDATE " table " SET parent=(SELECT parent FROM snapshots WHERE id=?1)WHERE parent=?1"
	static const char snapshots[] = ADOPT("snapshots");
	static const char volumes[] = ADOPT("volumes");
	static const char undos[] = ADOPT("undos");
	static const char tags[] = "DELETE FROM tags WHERE object="
				   "(SELECT uuid FROM snapshots WHERE id=?1)";
	/* of a group, where it is the last of its set */
	static const char set[] =
		"DELETE FROM group_snapshots WHERE uuid=(SELECT taken_with FROM snapshots WHERE "
		"id=?1)AND NOT EXISTS(SELECT 1 FROM snapshots s WHERE s.taken_with="
		"group_snapshots.uuid AND s.id<>?1)";
	static const char row[] = "DELETE FROM snapshots WHERE id=?1";
	static const char *const steps[] = { snapshots, volumes, undos, tags, set, row };
	int r = 0;

	for (size_t i = 0; i < SM_ARRAY(steps) && r >= 0; i++)
		r = scat_run(cat, steps[i], ARGS(ARG_INT(id)), err);
	return r < 0 ? r : r == 0 ? -ENOENT : 0;
}
