/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * message_rows.c - what happened, as a queue: written at one end, cut off at the other
 */
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/internal.h"

#define CROWDED_OUT (4 * SCAT_MESSAGES_UPKEEP) /* old ones that go where there is no room */

int scat_message_level(const char *level)
{
	static const char *const levels[] = { "info", "warning", "error" };

	for (int i = 0; i < (int)SM_ARRAY(levels); i++)
		if (strcmp(level, levels[i]) == 0)
			return i;
	return -EINVAL;
}

static bool may_be_null(struct scat_row *row)
{
	if (sqlite3_column_type(row->stmt, row->column) != SQLITE_NULL)
		return false;
	row->column++;
	return true;
}

static int read_message(struct scat *cat, sqlite3_stmt *stmt, struct scat_message *m,
			struct snapmgr_err *err)
{
	struct scat_row row = { .stmt = stmt };

	memset(m, 0, sizeof(*m));
	m->id = scat_row_int(&row, 1, INT64_MAX, "id");
	m->created_at_us = scat_row_int(&row, 0, SCAT_TIME_MAX, "time");
	scat_row_text(&row, m->level, sizeof(m->level), "level");
	if (scat_message_level(m->level) < 0 && !row.wrong)
		row.wrong = "level";
	scat_row_text(&row, m->project, sizeof(m->project), "project");
	scat_row_text(&row, m->verb, sizeof(m->verb), "verb");
	scat_row_text(&row, m->code, sizeof(m->code), "code");
	scat_row_text(&row, m->kind, sizeof(m->kind), "kind");
	if (!may_be_null(&row))
		scat_row_uuid(&row, &m->object, "object");
	if (!may_be_null(&row))
		scat_row_uuid(&row, &m->operation, "operation");
	scat_row_text(&row, m->text, sizeof(m->text), "text");
	return scat_row_end(cat, &row, "message", sqlite3_column_int64(stmt, 0), err);
}

int scat_message_each(struct scat *cat, bool newest_first, scat_message_fn *visit, void *data,
		      struct snapmgr_err *err)
{
#define SELECT \
	"SELECT id,created_at,level,project,verb,code,kind,object,operation,text FROM messages "
	static const char up[] = SELECT "ORDER BY id", down[] = SELECT "ORDER BY id DESC";
	struct scat_message m;
	sqlite3_stmt *stmt;
	int r = scat_query(cat, newest_first ? down : up, NULL, &stmt, err);

	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0) {
		r = read_message(cat, stmt, &m, err);
		if (r == 0)
			r = visit(&m, data);
		if (r)
			break;
	}
	scat_finish(cat, stmt);
	return r;
}

static int check_message(const struct scat_message *m, struct snapmgr_err *err)
{
	if (scat_message_level(m->level) >= 0 && m->created_at_us >= 0 &&
	    m->created_at_us <= SCAT_TIME_MAX && sm_utf8_valid(m->text) &&
	    sm_utf8_valid(m->project))
		return 0;
	return sm_fail(err, SNAPMGR_INTERNAL, EINVAL, "such a message cannot be recorded");
}

/* By the range of ids: nothing is counted, and only the first pages of the table are touched. */
static int drop_to(struct scat *cat, int64_t id, struct snapmgr_err *err)
{
	static const char sql[] = "DELETE FROM messages WHERE id<=?1";
	int r = scat_run(cat, sql, ARGS(ARG_INT(id)), err);

	return r < 0 ? r : 0;
}

static int upkeep(struct scat *cat, int64_t newest, struct snapmgr_err *err)
{
	static const char first[] = "SELECT min(id) FROM messages";
	int64_t oldest = newest;
	int r = drop_to(cat, newest - SCAT_MESSAGES, err);

	if (r < 0 || scat_check_room(cat, NULL) != -ENOSPC)
		return r;
	r = scat_number(cat, first, NULL, &oldest, err);
	if (r < 0)
		return r;
	oldest += CROWDED_OUT; /* as many as fit while nobody looks, even were each a long one */
	return drop_to(cat, oldest < newest ? oldest : newest - 1, err);
}

int scat_message_insert(struct scat *cat, struct scat_message *m, struct snapmgr_err *err)
{
	static const char sql[] =
		"INSERT INTO messages(created_at,level,project,verb,code,kind,object,operation,text)"
		"VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)";
	const struct scat_arg none = ARG_ID(0);
	int r = check_message(m, err);

	if (r == 0)
		r = scat_run(cat, sql,
			     ARGS(ARG_INT(m->created_at_us), ARG_TEXT(m->level),
				  ARG_TEXT(m->project), ARG_TEXT(m->verb), ARG_TEXT(m->code),
				  ARG_TEXT(m->kind),
				  sm_uuid_is_null(&m->object) ? none : ARG_UUID(&m->object),
				  sm_uuid_is_null(&m->operation) ? none : ARG_UUID(&m->operation),
				  ARG_TEXT(m->text)),
			     err);
	if (r < 0)
		return r;
	m->id = sqlite3_last_insert_rowid(cat->db);
	return m->id % SCAT_MESSAGES_UPKEEP ? 0 : upkeep(cat, m->id, err);
}
