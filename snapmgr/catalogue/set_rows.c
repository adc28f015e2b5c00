/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* set_rows.c - snapshots of groups: each a set of snapshots that were taken at one instant */
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/internal.h"

#define SELECT                                                                   \
	"SELECT id,uuid,member_of,name,created_at,members,(SELECT count(*)FROM " \
	"snapshots s WHERE s.taken_with=group_snapshots.uuid)FROM group_snapshots "

static int read_set(struct scat *cat, sqlite3_stmt *stmt, void *ret, struct snapmgr_err *err)
{
	struct scat_row row = { .stmt = stmt };
	struct scat_set s = { 0 };
	int r;

	s.id = scat_row_int(&row, 1, INT64_MAX, "id");
	scat_row_uuid(&row, &s.uuid, "UUID");
	s.group = scat_row_int(&row, 1, INT64_MAX, "group");
	scat_row_name(&row, s.name, "name");
	s.created_at_us = scat_row_int(&row, 0, SCAT_TIME_MAX, "creation time");
	s.members = (uint32_t)scat_row_int(&row, 1, UINT32_MAX, "number of members");
	s.left = (uint32_t)scat_row_int(&row, 0, UINT32_MAX, "number of snapshots");
	r = scat_row_end(cat, &row, "group snapshot", sqlite3_column_int64(stmt, 0), err);
	if (r == 0)
		memcpy(ret, &s, sizeof(s));
	return r;
}

int scat_set_by_name(struct scat *cat, int64_t group, const char *name, struct scat_set *ret,
		     struct snapmgr_err *err)
{
	static const char sql[] = SELECT "WHERE member_of=?1 AND name=?2";

	return scat_get(cat, sql, ARGS(ARG_INT(group), ARG_TEXT(name)), read_set, ret, err);
}

int scat_set_by_uuid(struct scat *cat, const struct sm_uuid *uuid, struct scat_set *ret,
		     struct snapmgr_err *err)
{
	static const char sql[] = SELECT "WHERE uuid=?1";

	return scat_get(cat, sql, ARGS(ARG_UUID(uuid)), read_set, ret, err);
}

int scat_set_latest(struct scat *cat, int64_t group, uint32_t back, struct scat_set *ret,
		    struct snapmgr_err *err)
{
	static const char sql[] = SELECT
		"WHERE member_of=?1 ORDER BY created_at DESC,id DESC LIMIT 1 OFFSET ?2";

	return scat_get(cat, sql, ARGS(ARG_INT(group), ARG_INT(back)), read_set, ret, err);
}

int scat_set_each(struct scat *cat, int64_t group, scat_set_fn *visit, void *data,
		  struct snapmgr_err *err)
{
	static const char of_group[] = SELECT "WHERE member_of=?1 ORDER BY created_at,id";
	static const char all[] = SELECT "ORDER BY id";
	struct scat_set s;
	sqlite3_stmt *stmt;
	int r;

	if (group < 0)
		r = scat_query(cat, all, NULL, &stmt, err);
	else
		r = scat_query(cat, of_group, ARGS(ARG_INT(group)), &stmt, err);
	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0) {
		r = read_set(cat, stmt, &s, err);
		if (r == 0)
			r = visit(&s, data);
		if (r)
			break;
	}
	scat_finish(cat, stmt);
	return r;
}

static int check_name(struct scat *cat, const struct scat_set *s, struct snapmgr_err *err)
{
	static const char sql[] =
		"SELECT id FROM group_snapshots WHERE member_of=?1 AND name=?2 AND id<>?3";
	int64_t other = 0;
	int r = scat_number(cat, sql, ARGS(ARG_INT(s->group), ARG_TEXT(s->name), ARG_INT(s->id)),
			    &other, err);

	if (r == 0)
		return sm_fail(err, SNAPMGR_EXISTS, EEXIST, "group snapshot '%s' exists already",
			       s->name);
	return r == -ENOENT ? 0 : r;
}

int scat_set_insert(struct scat *cat, struct scat_set *s, struct snapmgr_err *err)
{
	static const char sql[] =
		"INSERT INTO group_snapshots(uuid,member_of,name,created_at,members)"
		"VALUES(?1,?2,?3,?4,?5)";
	int r = scat_check_room(cat, err);

	s->id = 0;
	if (r == 0 && (sm_uuid_is_null(&s->uuid) || s->members < 1 || s->created_at_us < 0 ||
		       sm_name_check("name", s->name, NULL) < 0))
		r = sm_fail(err, SNAPMGR_INTERNAL, EINVAL,
			    "such a group snapshot cannot be recorded");
	if (r == 0)
		r = check_name(cat, s, err);
	if (r == 0)
		r = scat_run(cat, sql,
			     ARGS(ARG_UUID(&s->uuid), ARG_INT(s->group), ARG_TEXT(s->name),
				  ARG_INT(s->created_at_us), ARG_INT(s->members)),
			     err);
	if (r < 0)
		return r;
	s->id = sqlite3_last_insert_rowid(cat->db);
	return 0;
}

int scat_set_rename(struct scat *cat, const struct scat_set *s, struct snapmgr_err *err)
{
	static const char sql[] = "UPDATE group_snapshots SET name=?2 WHERE id=?1";
	int r = check_name(cat, s, err);

	if (r == 0)
		r = scat_run(cat, sql, ARGS(ARG_INT(s->id), ARG_TEXT(s->name)), err);
	return r < 0 ? r : r == 0 ? -ENOENT : 0;
}
