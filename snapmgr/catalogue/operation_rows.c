/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * operation_rows.c - what lasts longer than its hold of the pool's lock
 *
 * The pool's row says how many there are. Every change reads that row anyway, so that one to a pool
 * without any asks nothing else.
 */
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/internal.h"

static int read_operation(struct scat *cat, sqlite3_stmt *stmt, void *ret, struct snapmgr_err *err)
{
	struct scat_row row = { .stmt = stmt };
	struct scat_operation *op = ret;

	memset(op, 0, sizeof(*op));
	op->id = scat_row_int(&row, 1, INT64_MAX, "id");
	scat_row_uuid(&row, &op->uuid, "UUID");
	scat_row_text(&row, op->verb, sizeof(op->verb), "verb");
	op->volume = scat_row_id(&row, "volume");
	op->snapshot = scat_row_id(&row, "snapshot");
	op->new_size_bytes = (uint64_t)scat_row_int(&row, 0, INT64_MAX, "new size");
	scat_row_uuid(&row, &op->boot_id, "boot id");
	op->pid = (int32_t)scat_row_int(&row, 1, INT32_MAX, "pid");
	op->start_ticks = (uint64_t)scat_row_int(&row, 0, INT64_MAX, "start time");
	op->started_at_us = scat_row_int(&row, 0, SCAT_TIME_MAX, "time");
	op->thin = scat_row_thin(&row);
	op->todo_bytes = (uint64_t)scat_row_int(&row, 0, INT64_MAX, "number of bytes");
	op->done_bytes = (uint64_t)scat_row_int(&row, 0, INT64_MAX, "checkpoint");
	op->resumable = scat_row_bool(&row, "resumable");
	scat_row_text(&row, op->detail, sizeof(op->detail), "detail");
	return scat_row_end(cat, &row, "operation", sqlite3_column_int64(stmt, 0), err);
}

#define SELECT                                                                                  \
	"SELECT id,uuid,verb,volume,snapshot,new_size,boot_id,pid,start_ticks,started_at,thin," \
	"todo,done,resumable,detail FROM operations "

static int check(const struct scat_operation *op, struct snapmgr_err *err)
{
	if (!sm_uuid_is_null(&op->uuid) && !sm_uuid_is_null(&op->boot_id) && op->pid >= 1 &&
	    op->start_ticks <= INT64_MAX && op->new_size_bytes <= INT64_MAX &&
	    op->todo_bytes <= INT64_MAX && op->done_bytes <= INT64_MAX && op->started_at_us >= 0 &&
	    op->thin <= SCAT_THIN_MAX && sm_utf8_valid(op->detail))
		return 0;
	return sm_fail(err, SNAPMGR_INTERNAL, EINVAL, "such an operation cannot be recorded");
}

static int count(struct scat *cat, struct snapmgr_err *err)
{
	static const char sql[] =
		"UPDATE pool SET operations=(SELECT count(*)FROM operations)WHERE id=1";
	int r = scat_run(cat, sql, NULL, err);

	return r < 0 ? r : 0;
}

int scat_operation_insert(struct scat *cat, struct scat_operation *op, struct snapmgr_err *err)
{
	static const char sql[] =
		"INSERT INTO operations(uuid,verb,volume,snapshot,boot_id,pid,start_ticks,started_at,"
		"new_size,thin,todo,done,resumable,detail)"
		"VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)";
	int r = check(op, err);

	if (r == 0)
		r = scat_check_room(cat, err);
	if (r < 0)
		return r;
	r = scat_run(cat, sql,
		     ARGS(ARG_UUID(&op->uuid), ARG_TEXT(op->verb), ARG_ID(op->volume),
			  ARG_ID(op->snapshot), ARG_UUID(&op->boot_id), ARG_INT(op->pid),
			  ARG_INT(op->start_ticks), ARG_INT(op->started_at_us),
			  ARG_INT(op->new_size_bytes), ARG_ID(op->thin), ARG_INT(op->todo_bytes),
			  ARG_INT(op->done_bytes), ARG_INT(op->resumable), ARG_TEXT(op->detail)),
		     err);
	if (r < 0)
		return r;
	op->id = sqlite3_last_insert_rowid(cat->db);
	return count(cat, err);
}

int scat_operation_update(struct scat *cat, const struct scat_operation *op,
			  struct snapmgr_err *err)
{
	static const char sql[] =
		"UPDATE operations SET boot_id=?2,pid=?3,start_ticks=?4,thin=?5,todo=?6,done=?7,"
		"detail=?8,resumable=?9 WHERE id=?1";
	int r = check(op, err);

	if (r < 0)
		return r;
	r = scat_run(cat, sql,
		     ARGS(ARG_INT(op->id), ARG_UUID(&op->boot_id), ARG_INT(op->pid),
			  ARG_INT(op->start_ticks), ARG_ID(op->thin), ARG_INT(op->todo_bytes),
			  ARG_INT(op->done_bytes), ARG_TEXT(op->detail), ARG_INT(op->resumable)),
		     err);
	return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

int scat_operation_delete(struct scat *cat, int64_t id, struct snapmgr_err *err)
{
	static const char sql[] = "DELETE FROM operations WHERE id=?1";
	int r = scat_run(cat, sql, ARGS(ARG_INT(id)), err);

	if (r == 0)
		return -ENOENT;
	return r < 0 ? r : count(cat, err);
}

int scat_operation_by_uuid(struct scat *cat, const struct sm_uuid *uuid, struct scat_operation *ret,
			   struct snapmgr_err *err)
{
	static const char sql[] = SELECT "WHERE uuid=?1";

	return scat_get(cat, sql, ARGS(ARG_UUID(uuid)), read_operation, ret, err);
}

int scat_operation_on(struct scat *cat, int64_t volume, int64_t snapshot,
		      struct scat_operation *ret, struct snapmgr_err *err)
{
	static const char of_volume[] = SELECT "WHERE volume=?1 ORDER BY id LIMIT 1";
	static const char of_snapshot[] = SELECT "WHERE snapshot=?1 ORDER BY id LIMIT 1";

	return scat_get(cat, volume ? of_volume : of_snapshot,
			ARGS(ARG_INT(volume ? volume : snapshot)), read_operation, ret, err);
}

int scat_operation_each(struct scat *cat, scat_operation_fn *visit, void *data,
			struct snapmgr_err *err)
{
	static const char sql[] = SELECT "ORDER BY id";
	struct scat_operation op;
	sqlite3_stmt *stmt;
	int r = scat_query(cat, sql, NULL, &stmt, err);

	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0) {
		r = read_operation(cat, stmt, &op, err);
		if (r == 0)
			r = visit(&op, data);
		if (r)
			break;
	}
	scat_finish(cat, stmt);
	return r;
}
