/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dump.c - every table that lasts, row by row, as JSON
 */
#include "snapmgr/catalogue/dump.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "snapmgr/catalogue/internal.h"

struct out {
	struct scat *cat;
	scat_text_fn *write;
	void *data;
	const char *table;
	int r; /* the first failure; nothing is written after it */
	char buf[4096];
	size_t len;
	struct snapmgr_err *err;
};

static void flush(struct out *o)
{
	if (o->r == 0 && o->len)
		o->r = o->write(o->buf, o->len, o->data);
	o->len = 0;
}

static void put(struct out *o, const char *text, size_t len)
{
	while (o->r == 0 && len) {
		size_t room = sizeof(o->buf) - o->len, n = len < room ? len : room;

		memcpy(o->buf + o->len, text, n);
		o->len += n;
		text += n;
		len -= n;
		if (o->len == sizeof(o->buf))
			flush(o);
	}
}

static void puts_(struct out *o, const char *text)
{
	put(o, text, strlen(text));
}

static void put_number(struct out *o, int64_t n)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64, n);
	puts_(o, text);
}

/* What is in the catalogue is UTF-8 without control characters; anything else is damage. */
static void put_string(struct out *o, const char *text, size_t len)
{
	if (strlen(text) != len || !sm_utf8_valid(text)) {
		o->r = o->r ? o->r :
			      scat_damaged(o->cat, o->err, "a text in '%s' is none", o->table);
		return;
	}
	puts_(o, "\"");
	for (const char *p = text; *p; p++) {
		if (*p == '"' || *p == '\\')
			puts_(o, "\\");
		put(o, p, 1);
	}
	puts_(o, "\"");
}

static void put_uuid(struct out *o, const void *blob, int len)
{
	char text[SNAPMGR_UUID_TEXT];
	struct sm_uuid uuid;

	if (len != sizeof(uuid.b)) {
		o->r = o->r ? o->r :
			      scat_damaged(o->cat, o->err, "a UUID in '%s' is none", o->table);
		return;
	}
	memcpy(uuid.b, blob, sizeof(uuid.b));
	sm_uuid_text(&uuid, text);
	put_string(o, text, strlen(text));
}

static void put_value(struct out *o, sqlite3_stmt *stmt, int column)
{
	switch (sqlite3_column_type(stmt, column)) {
	case SQLITE_INTEGER:
		put_number(o, sqlite3_column_int64(stmt, column));
		break;
	case SQLITE_TEXT:
		put_string(o, (const char *)sqlite3_column_text(stmt, column),
			   (size_t)sqlite3_column_bytes(stmt, column));
		break;
	case SQLITE_BLOB:
		put_uuid(o, sqlite3_column_blob(stmt, column), sqlite3_column_bytes(stmt, column));
		break;
	default:
		puts_(o, "null");
	}
}

static void put_row(struct out *o, sqlite3_stmt *stmt)
{
	const int n = sqlite3_column_count(stmt);

	for (int i = 0; i < n && o->r == 0; i++) {
		const char *name = sqlite3_column_name(stmt, i);

		puts_(o, i ? "," : "{");
		put_string(o, name, strlen(name));
		puts_(o, ":");
		put_value(o, stmt, i);
	}
	puts_(o, "}");
}

static void put_table(struct out *o)
{
	sqlite3_stmt *stmt = NULL;
	const char *between = "\n";
	char sql[64];
	int code, r;

	(void)snprintf(sql, sizeof(sql), "SELECT*FROM \"%s\"", o->table);
	code = sqlite3_prepare_v2(o->cat->db, sql, -1, &stmt, NULL);
	if (code != SQLITE_OK) {
		o->r = scat_sql_failed(o->cat, code, o->err);
		return;
	}
	while (o->r == 0 && (r = scat_step(o->cat, stmt, o->err)) != 0) {
		o->r = r < 0 ? r : 0;
		puts_(o, between);
		put_row(o, stmt);
		between = ",\n";
	}
	(void)sqlite3_finalize(stmt);
}

static void put_head(struct out *o, const struct scat_pool *pool)
{
	char uuid[SNAPMGR_UUID_TEXT], time_text[32] = "";
	time_t now = (time_t)(sm_now_us() / 1000000);
	struct tm tm;

	if (gmtime_r(&now, &tm))
		(void)strftime(time_text, sizeof(time_text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	sm_uuid_text(&pool->uuid, uuid);
	puts_(o, "{\"snapmgr_dump\":");
	put_number(o, SCAT_DUMP_VERSION);
	puts_(o, ",\"schema\":");
	put_number(o, SCAT_SCHEMA);
	puts_(o, ",\"program\":\"" SNAPMGR_VERSION "\",\"dumped_at\":");
	put_string(o, time_text, strlen(time_text));
	puts_(o, ",\"pool\":");
	put_string(o, pool->name, strlen(pool->name));
	puts_(o, ",\"uuid\":");
	put_string(o, uuid, strlen(uuid));
	puts_(o, ",\"tables\":{");
}

static int put_all(struct out *o)
{
	struct scat_pool pool;
	int r = scat_pool_get(o->cat, &pool, o->err);

	if (r < 0)
		return r;
	put_head(o, &pool);
	for (size_t i = 0; o->r == 0 && (o->table = scat_schema_lasting(i)); i++) {
		puts_(o, i ? ",\n\"" : "\n\"");
		puts_(o, o->table);
		puts_(o, "\":[");
		put_table(o);
		puts_(o, "]");
	}
	puts_(o, "}}\n");
	flush(o);
	return o->r;
}

int scat_dump(struct scat *cat, scat_text_fn *write, void *data, struct snapmgr_err *err)
{
	struct out o = { .cat = cat, .write = write, .data = data, .err = err };
	bool own = sqlite3_get_autocommit(cat->db);
	int r = own ? scat_begin_read(cat, err) : 0;

	if (r == 0)
		r = put_all(&o);
	if (own)
		scat_rollback(cat);
	return r;
}
