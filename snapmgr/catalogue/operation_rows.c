/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/internal.h"

static int read_operation(struct scat *cat, sqlite3_stmt *stmt, struct scat_operation *op,
			  struct snapmgr_err *err)
{
	struct scat_row row = { .stmt = stmt };

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
	return scat_row_end(cat, &row, "operation", sqlite3_column_int64(stmt, 0), err);
}

int scat_operation_insert(struct scat *cat, struct scat_operation *op, struct snapmgr_err *err)
{
	static const char sql[] =
		"INSERT INTO operations(uuid,verb,volume,snapshot,boot_id,pid,start_ticks,started_at,"
		"new_size)VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)";
	int r;

	if (sm_uuid_is_null(&op->uuid) || sm_uuid_is_null(&op->boot_id) || op->pid < 1 ||
	    op->start_ticks > INT64_MAX || op->new_size_bytes > INT64_MAX || op->started_at_us < 0)
		return sm_fail(err, SNAPMGR_INTERNAL, EINVAL,
			       "such an operation cannot be recorded");
	r = scat_run(cat, sql,
		     ARGS(ARG_UUID(&op->uuid), ARG_TEXT(op->verb), ARG_ID(op->volume),
			  ARG_ID(op->snapshot), ARG_UUID(&op->boot_id), ARG_INT(op->pid),
			  ARG_INT(op->start_ticks), ARG_INT(op->started_at_us),
			  ARG_INT(op->new_size_bytes)),
		     err);
	if (r < 0)
		return r;
	op->id = sqlite3_last_insert_rowid(cat->db);
	return 0;
}

int scat_operation_delete(struct scat *cat, int64_t id, struct snapmgr_err *err)
{
	static const char sql[] = "DELETE FROM operations WHERE id=?1";
	int r = scat_run(cat, sql, ARGS(ARG_INT(id)), err);

	return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

int scat_operation_each(struct scat *cat, scat_operation_fn *visit, void *data,
			struct snapmgr_err *err)
{
	static const char sql[] =
		"SELECT id,uuid,verb,volume,snapshot,new_size,boot_id,pid,start_ticks,started_at "
		"FROM operations ORDER BY id";
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
