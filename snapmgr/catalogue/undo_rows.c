/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/internal.h"

#define SELECT "SELECT id,volume,uuid,created_at,size,thin,parent,displaced_with FROM undos "

static int read_undo(struct scat *cat, sqlite3_stmt *stmt, void *ret, struct snapmgr_err *err)
{
	struct scat_row row = { .stmt = stmt };
	struct scat_undo u = { 0 };
	int r;

	u.id = scat_row_int(&row, 1, INT64_MAX, "id");
	u.volume = scat_row_int(&row, 1, INT64_MAX, "volume");
	scat_row_uuid(&row, &u.uuid, "UUID");
	u.created_at_us = scat_row_int(&row, 0, SCAT_TIME_MAX, "creation time");
	u.size_bytes = scat_row_bytes(&row, "size");
	u.thin = scat_row_thin(&row);
	u.parent = scat_row_id(&row, "parent");
	scat_row_uuid_or_null(&row, &u.displaced_with, "set");
	r = scat_row_end(cat, &row, "undo point", sqlite3_column_int64(stmt, 0), err);
	if (r == 0)
		memcpy(ret, &u, sizeof(u));
	return r;
}

int scat_undo_each(struct scat *cat, int64_t volume, scat_undo_fn *visit, void *data,
		   struct snapmgr_err *err)
{
	static const char of_volume[] = SELECT "WHERE volume=?1 ORDER BY id DESC";
	static const char all[] = SELECT "ORDER BY id DESC";
	struct scat_undo u;
	sqlite3_stmt *stmt;
	int r;

	if (volume < 0)
		r = scat_query(cat, all, NULL, &stmt, err);
	else
		r = scat_query(cat, of_volume, ARGS(ARG_INT(volume)), &stmt, err);
	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0) {
		r = read_undo(cat, stmt, &u, err);
		if (r == 0)
			r = visit(&u, data);
		if (r)
			break;
	}
	scat_finish(cat, stmt);
	return r;
}

int scat_undo_each_with(struct scat *cat, const struct sm_uuid *displaced_with, scat_undo_fn *visit,
			void *data, struct snapmgr_err *err)
{
	static const char sql[] = SELECT "WHERE displaced_with=?1 ORDER BY id";
	struct scat_undo u;
	sqlite3_stmt *stmt;
	int r = scat_query(cat, sql, ARGS(ARG_UUID(displaced_with)), &stmt, err);

	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0) {
		r = read_undo(cat, stmt, &u, err);
		if (r == 0)
			r = visit(&u, data);
		if (r)
			break;
	}
	scat_finish(cat, stmt);
	return r;
}

int scat_undo_nth(struct scat *cat, int64_t volume, uint32_t back, struct scat_undo *ret,
		  struct snapmgr_err *err)
{
	static const char sql[] = SELECT "WHERE volume=?1 ORDER BY id DESC LIMIT 1 OFFSET ?2";

	return scat_get(cat, sql, ARGS(ARG_INT(volume), ARG_INT(back)), read_undo, ret, err);
}

int scat_undo_by_uuid(struct scat *cat, const struct sm_uuid *uuid, struct scat_undo *ret,
		      struct snapmgr_err *err)
{
	static const char sql[] = SELECT "WHERE uuid=?1";

	return scat_get(cat, sql, ARGS(ARG_UUID(uuid)), read_undo, ret, err);
}

static int check_undo(const struct scat_undo *u, struct snapmgr_err *err)
{
	if (!sm_uuid_is_null(&u->uuid) && u->created_at_us >= 0 &&
	    u->created_at_us <= SCAT_TIME_MAX && u->size_bytes > 0 && u->size_bytes <= INT64_MAX &&
	    u->size_bytes % SM_SECTOR == 0 && u->thin <= SCAT_THIN_MAX)
		return 0;
	return sm_fail(err, SNAPMGR_INTERNAL, EINVAL, "such an undo point cannot be recorded");
}

int scat_undo_insert(struct scat *cat, struct scat_undo *u, struct snapmgr_err *err)
{
	static const char sql[] =
		"INSERT INTO undos(volume,uuid,created_at,size,thin,parent,displaced_with)"
		"VALUES(?1,?2,?3,?4,?5,?6,?7)";
	int r = check_undo(u, err);

	if (r == 0)
		r = scat_check_room(cat, err);
	if (r == 0)
		r = scat_run(cat, sql,
			     ARGS(ARG_INT(u->volume), ARG_UUID(&u->uuid), ARG_INT(u->created_at_us),
				  ARG_INT(u->size_bytes), ARG_ID(u->thin), ARG_ID(u->parent),
				  ARG_UUID_OR_NULL(&u->displaced_with)),
			     err);
	if (r < 0)
		return r;
	u->id = sqlite3_last_insert_rowid(cat->db);
	return 0;
}

int scat_undo_update(struct scat *cat, const struct scat_undo *u, struct snapmgr_err *err)
{
	static const char sql[] =
		"UPDATE undos SET uuid=?2,created_at=?3,size=?4,thin=?5,parent=?6 "
		"WHERE id=?1";
	int r = check_undo(u, err);

	if (r == 0)
		r = scat_run(cat, sql,
			     ARGS(ARG_INT(u->id), ARG_UUID(&u->uuid), ARG_INT(u->created_at_us),
				  ARG_INT(u->size_bytes), ARG_ID(u->thin), ARG_ID(u->parent)),
			     err);
	return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

int scat_undo_delete(struct scat *cat, int64_t id, struct snapmgr_err *err)
{
	static const char set[] = "UPDATE undos SET displaced_with=NULL WHERE displaced_with="
				  "(SELECT displaced_with FROM undos WHERE id=?1)";
	static const char row[] = "DELETE FROM undos WHERE id=?1";
	int r = scat_run(cat, set, ARGS(ARG_INT(id)), err);

	if (r >= 0)
		r = scat_run(cat, row, ARGS(ARG_INT(id)), err);
	return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

int scat_undo_push_out(struct scat *cat, int64_t id, uint32_t by, struct snapmgr_err *err)
{
	static const char sql[] =
		"INSERT OR REPLACE INTO garbage SELECT thin,?2,id,volume,uuid,created_at,size,"
		"parent,displaced_with FROM undos WHERE id=?1";
	int r = scat_run(cat, sql, ARGS(ARG_INT(id), ARG_ID(by)), err);

	return r < 0 ? r : scat_undo_delete(cat, id, err);
}

/* Points of one revert have one time. Who was pushed out after another of them had lost its set by then. */
int scat_undo_take_back(struct scat *cat, uint32_t by, struct snapmgr_err *err)
{
	static const char rows[] =
		"INSERT INTO undos(id,volume,uuid,created_at,size,thin,parent,displaced_with)"
		"SELECT undo,volume,uuid,created_at,size,thin,"
		"(SELECT id FROM snapshots WHERE id=g.parent),"
		"coalesce(displaced_with,(SELECT displaced_with FROM undos WHERE "
		"created_at=g.created_at AND displaced_with IS NOT NULL))"
		"FROM garbage g WHERE pushed_by=?1";
	static const char set[] =
		"UPDATE undos SET displaced_with=(SELECT displaced_with FROM garbage g WHERE "
		"pushed_by=?1 AND g.created_at=undos.created_at)WHERE displaced_with IS NULL AND "
		"created_at IN(SELECT created_at FROM garbage WHERE pushed_by=?1)";
	static const char garbage[] = "DELETE FROM garbage WHERE pushed_by=?1";
	static const char *const steps[] = { rows, set, garbage };
	int r = 0;

	for (size_t i = 0; i < SM_ARRAY(steps) && r >= 0; i++)
		r = scat_run(cat, steps[i], ARGS(ARG_INT(by)), err);
	return r < 0 ? r : 0;
}

int scat_undo_part(struct scat *cat, int64_t volume, struct snapmgr_err *err)
{
	static const char sql[] =
		"UPDATE undos SET displaced_with=NULL WHERE displaced_with IN(SELECT displaced_with "
		"FROM undos WHERE volume=?1)";
	int r = scat_run(cat, sql, ARGS(ARG_INT(volume)), err);

	return r < 0 ? r : 0;
}
