/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* group_rows.c - groups, and which volumes are in them */
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/internal.h"

#define SELECT                                                                         \
	"SELECT g.id,g.uuid,n.name,g.project,g.label,g.description,g.created_at FROM " \
	"names n JOIN groups g ON g.id=n.id "

static int read_group(struct scat *cat, sqlite3_stmt *stmt, void *ret, struct snapmgr_err *err)
{
	struct scat_row row = { .stmt = stmt };
	struct scat_group g = { 0 };
	int r;

	g.id = scat_row_int(&row, 1, INT64_MAX, "id");
	scat_row_uuid(&row, &g.uuid, "UUID");
	scat_row_name(&row, g.name, "name");
	scat_row_text(&row, g.project, sizeof(g.project), "project");
	scat_row_text(&row, g.label, sizeof(g.label), "label");
	scat_row_text(&row, g.description, sizeof(g.description), "description");
	g.created_at_us = scat_row_int(&row, 0, SCAT_TIME_MAX, "creation time");
	r = scat_row_end(cat, &row, "group", sqlite3_column_int64(stmt, 0), err);
	if (r == 0)
		memcpy(ret, &g, sizeof(g));
	return r;
}

int scat_group_by_name(struct scat *cat, const char *name, struct scat_group *ret,
		       struct snapmgr_err *err)
{
	static const char sql[] = SELECT "WHERE n.name=?1";

	return scat_get(cat, sql, ARGS(ARG_TEXT(name)), read_group, ret, err);
}

int scat_group_by_uuid(struct scat *cat, const struct sm_uuid *uuid, struct scat_group *ret,
		       struct snapmgr_err *err)
{
	static const char sql[] = SELECT "WHERE g.uuid=?1";

	return scat_get(cat, sql, ARGS(ARG_UUID(uuid)), read_group, ret, err);
}

int scat_group_by_id(struct scat *cat, int64_t id, struct scat_group *ret, struct snapmgr_err *err)
{
	static const char sql[] = SELECT "WHERE n.id=?1";

	return scat_get(cat, sql, ARGS(ARG_INT(id)), read_group, ret, err);
}

int scat_group_of(struct scat *cat, int64_t volume, struct scat_group *ret, struct snapmgr_err *err)
{
	static const char sql[] = SELECT
		"WHERE n.id=(SELECT member_of FROM group_members WHERE volume=?1)";

	return scat_get(cat, sql, ARGS(ARG_INT(volume)), read_group, ret, err);
}

int scat_group_each(struct scat *cat, scat_group_fn *visit, void *data, struct snapmgr_err *err)
{
	static const char sql[] = SELECT "ORDER BY n.name";
	struct scat_group g;
	sqlite3_stmt *stmt;
	int r = scat_query(cat, sql, NULL, &stmt, err);

	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0) {
		r = read_group(cat, stmt, &g, err);
		if (r == 0)
			r = visit(&g, data);
		if (r)
			break;
	}
	scat_finish(cat, stmt);
	return r;
}

static int check_group(const struct scat_group *g, struct snapmgr_err *err)
{
	if (!sm_uuid_is_null(&g->uuid) && sm_name_check("name", g->name, NULL) == 0 &&
	    sm_utf8_valid(g->project) && sm_utf8_valid(g->label) && sm_utf8_valid(g->description) &&
	    g->created_at_us >= 0 && g->created_at_us <= SCAT_TIME_MAX)
		return 0;
	return sm_fail(err, SNAPMGR_INTERNAL, EINVAL, "such a group cannot be recorded");
}

int scat_group_insert(struct scat *cat, struct scat_group *g, struct snapmgr_err *err)
{
	static const char sql[] = "INSERT INTO groups(id,uuid,project,label,description,created_at)"
				  "VALUES(?1,?2,?3,?4,?5,?6)";
	int64_t id = 0;
	int r = check_group(g, err);

	if (r == 0)
		r = scat_check_room(cat, err);
	if (r == 0)
		r = scat_name_insert(cat, g->name, &id, err);
	if (r == 0)
		r = scat_run(cat, sql,
			     ARGS(ARG_INT(id), ARG_UUID(&g->uuid), ARG_TEXT(g->project),
				  ARG_TEXT(g->label), ARG_TEXT(g->description),
				  ARG_INT(g->created_at_us)),
			     err);
	if (r < 0)
		return r;
	g->id = id;
	return 0;
}

int scat_group_update(struct scat *cat, const struct scat_group *g, struct snapmgr_err *err)
{
	static const char sql[] =
		"UPDATE groups SET project=?2,label=?3,description=?4 WHERE id=?1";
	int r = check_group(g, err);

	if (r == 0)
		r = scat_name_update(cat, g->id, g->name, err);
	if (r == 0)
		r = scat_run(cat, sql,
			     ARGS(ARG_INT(g->id), ARG_TEXT(g->project), ARG_TEXT(g->label),
				  ARG_TEXT(g->description)),
			     err);
	return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

int scat_group_delete(struct scat *cat, int64_t id, struct snapmgr_err *err)
{
	static const char tags[] =
		"DELETE FROM tags WHERE object=(SELECT uuid FROM groups WHERE id=?1)";
	static const char row[] = "DELETE FROM names WHERE id=(SELECT id FROM groups WHERE id=?1)";
	int r = scat_run(cat, tags, ARGS(ARG_INT(id)), err);

	if (r >= 0)
		r = scat_run(cat, row, ARGS(ARG_INT(id)), err);
	return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

/* ---- members ---- */

int scat_member_add(struct scat *cat, int64_t group, int64_t volume, struct snapmgr_err *err)
{
	static const char sql[] = "INSERT INTO group_members(volume,member_of)VALUES(?1,?2)";
	int r = scat_check_room(cat, err);

	if (r == 0)
		r = scat_run(cat, sql, ARGS(ARG_INT(volume), ARG_INT(group)), err);
	return r < 0 ? r : 0;
}

int scat_member_remove(struct scat *cat, int64_t volume, struct snapmgr_err *err)
{
	static const char sql[] = "DELETE FROM group_members WHERE volume=?1";
	int r = scat_run(cat, sql, ARGS(ARG_INT(volume)), err);

	return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

int scat_member_each(struct scat *cat, int64_t group, scat_volume_fn *visit, void *data,
		     struct snapmgr_err *err)
{
	static const char sql[] = "SELECT m.volume FROM group_members m JOIN names n ON "
				  "n.id=m.volume WHERE m.member_of=?1 ORDER BY n.name";
	struct scat_volume v;
	sqlite3_stmt *stmt;
	int r = scat_query(cat, sql, ARGS(ARG_INT(group)), &stmt, err);

	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0) {
		r = scat_volume_by_id(cat, sqlite3_column_int64(stmt, 0), &v, err);
		if (r == -ENOENT)
			r = scat_damaged(cat, err, "a group has a member that is no volume");
		if (r == 0)
			r = visit(&v, data);
		if (r)
			break;
	}
	scat_finish(cat, stmt);
	return r;
}
