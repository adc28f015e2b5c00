/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * restore.c - a region formatted with the rows of a dump
 *
 * The region's header goes first and comes last: whatever a crash leaves in between cannot be opened.
 */
#include <errno.h>
#include <string.h>

#include "failpoint.h"
#include "snapmgr/catalogue/dump.h"
#include "snapmgr/catalogue/internal.h"

#define MAX_COLUMNS 32

struct column {
	char name[32];
	bool blob;
};
struct table {
	const char *name;
	struct column columns[MAX_COLUMNS];
	int n;
	sqlite3_stmt *insert;
};
struct fill {
	struct scat *cat;
	const struct scat_dump *dump;
	struct table table;
	struct snapmgr_err *err;
};

static int broken(struct fill *f, size_t row, const char *why)
{
	return sm_fail(f->err, SNAPMGR_DAMAGED, EUCLEAN,
		       "the dump contradicts itself: row %zu of table '%s': %.200s", row + 1,
		       f->table.name, why);
}

static int prepare(struct scat *cat, const char *sql, sqlite3_stmt **ret, struct snapmgr_err *err)
{
	int code = sqlite3_prepare_v2(cat->db, sql, -1, ret, NULL);

	return code == SQLITE_OK ? 0 : scat_sql_failed(cat, code, err);
}

static int read_columns(struct fill *f)
{
	struct table *t = &f->table;
	sqlite3_stmt *stmt;
	char sql[80];
	int r;

	(void)snprintf(sql, sizeof(sql), "SELECT name,type FROM pragma_table_info('%s')", t->name);
	r = prepare(f->cat, sql, &stmt, f->err);
	if (r < 0)
		return r;
	while ((r = scat_step(f->cat, stmt, f->err)) > 0 && t->n < MAX_COLUMNS) {
		struct column *c = &t->columns[t->n++];

		(void)sm_copy_text(c->name, sizeof(c->name),
				   (const char *)sqlite3_column_text(stmt, 0));
		c->blob = strcmp((const char *)sqlite3_column_text(stmt, 1), "BLOB") == 0;
	}
	(void)sqlite3_finalize(stmt);
	return r;
}

static int prepare_insert(struct fill *f)
{
	struct table *t = &f->table;
	char sql[1024];
	size_t len = (size_t)snprintf(sql, sizeof(sql), "INSERT INTO \"%s\"VALUES(", t->name);

	for (int i = 0; i < t->n; i++)
		len += (size_t)snprintf(sql + len, sizeof(sql) - len, "%s?", i ? "," : "");
	(void)snprintf(sql + len, sizeof(sql) - len, ")");
	return prepare(f->cat, sql, &t->insert, f->err);
}

static int bind(struct fill *f, size_t row, int i)
{
	const struct column *c = &f->table.columns[i];
	sqlite3_stmt *stmt = f->table.insert;
	struct scat_dump_value v;
	struct sm_uuid uuid;
	int code;

	if (!scat_dump_value(f->dump, f->table.name, row, c->name, &v))
		return broken(f, row, "a column is missing");
	if (v.kind == SCAT_DUMP_TEXT && c->blob) {
		if (!sm_uuid_parse(v.text, &uuid))
			return broken(f, row, "what should be a UUID is none");
		code = sqlite3_bind_blob(stmt, i + 1, uuid.b, sizeof(uuid.b), SQLITE_TRANSIENT);
	} else if (v.kind == SCAT_DUMP_TEXT) {
		code = sqlite3_bind_text(stmt, i + 1, v.text, -1, SQLITE_STATIC);
	} else if (v.kind == SCAT_DUMP_INT) {
		code = sqlite3_bind_int64(stmt, i + 1, v.i);
	} else {
		code = sqlite3_bind_null(stmt, i + 1);
	}
	return code == SQLITE_OK ? 0 : scat_sql_failed(f->cat, code, f->err);
}

static int insert(struct fill *f, size_t row)
{
	int code = 0, r = 0;

	if (scat_dump_columns(f->dump, f->table.name, row) != (size_t)f->table.n)
		return broken(f, row, "its columns are not those of the table");
	for (int i = 0; i < f->table.n && r == 0; i++)
		r = bind(f, row, i);
	if (r < 0)
		return r;
	code = sqlite3_step(f->table.insert);
	if ((code & 0xff) == SQLITE_CONSTRAINT || (code & 0xff) == SQLITE_MISMATCH)
		r = broken(f, row, sqlite3_errmsg(f->cat->db));
	else if (code != SQLITE_DONE)
		r = scat_sql_failed(f->cat, code, f->err);
	(void)sqlite3_reset(f->table.insert);
	return r;
}

static int fill_table(struct fill *f, const char *name)
{
	size_t rows = scat_dump_rows(f->dump, name);
	int r;

	f->table = (struct table){ .name = name };
	r = read_columns(f);
	if (r == 0)
		r = prepare_insert(f);
	for (size_t row = 0; row < rows && r == 0; row++)
		r = insert(f, row);
	(void)sqlite3_finalize(f->table.insert);
	return r;
}

/* The operations that these words spoke of are not in the dump. */
static int settle_states(struct scat *cat, struct snapmgr_err *err)
{
	static const char volumes[] =
		"UPDATE volumes SET state=CASE state WHEN 'creating'THEN'error'ELSE'available'END "
		"WHERE state IN('creating',"
		"'snapshotting','reverting','extending','shrinking','deleting')";
	static const char snapshots[] =
		"UPDATE snapshots SET state=CASE state WHEN 'creating'THEN'error'ELSE'available'END "
		"WHERE state IN('creating','restoring','deleting')";
	static const char none[] = "UPDATE pool SET operations=0 WHERE id=1";
	int r = scat_run(cat, none, NULL, err);

	if (r >= 0)
		r = scat_run(cat, volumes, NULL, err);

	if (r >= 0)
		r = scat_run(cat, snapshots, NULL, err);
	return r < 0 ? r : 0;
}

static int fill_all(struct scat *cat, const struct scat_dump *dump, const struct scat_pool *row,
		    struct snapmgr_err *err)
{
	struct fill f = { .cat = cat, .dump = dump, .err = err };
	const char *table;
	int r = scat_schema_begin(cat, err);

	for (size_t i = 0; r == 0 && (table = scat_schema_lasting(i)); i++)
		r = fill_table(&f, table);
	if (r == 0 && scat_dump_rows(dump, "pool") != 1)
		r = sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN,
			    "the dump contradicts itself: it does not know its own pool");
	if (r == 0)
		r = settle_states(cat, err);
	if (r == 0 && row)
		r = scat_pool_put(cat, row, err);
	if (r == 0)
		r = scat_schema_end(cat, err);
	return r;
}

static int write_header(struct scat *cat, const void *header, struct snapmgr_err *err)
{
	int r = scat_region_write(&cat->vfs->region, header, SCAT_PAGE_BYTES, 0);

	if (r == 0)
		r = scat_vfs_sync(cat->vfs);
	if (r == 0)
		return 0;
	(void)scat_vfs_failed(cat->vfs, SQLITE_IOERR_WRITE, r, NULL);
	return scat_sql_failed(cat, SQLITE_IOERR_WRITE, err);
}

int scat_restore(const char *device, const struct scat_dump *dump, const struct scat_pool *row,
		 struct snapmgr_err *err)
{
	unsigned char header[SCAT_PAGE_BYTES], zeroes[SCAT_PAGE_BYTES] = { 0 };
	AUTO(scat_close) struct scat *cat = NULL;
	char name[SNAPMGR_NAME_MAX + 1];
	struct sm_uuid uuid;
	int r;

	scat_dump_pool(dump, &uuid, name);
	r = scat_region_format(device, &uuid, err);
	if (r == 0)
		r = scat_connect(device, &uuid, &cat, err);
	if (r < 0)
		return r;
	if (scat_region_read(&cat->vfs->region, header, sizeof(header), 0) !=
	    (ssize_t)sizeof(header))
		return sm_fail(err, SNAPMGR_IO, EIO, "cannot read catalogue '%s'", device);
	r = write_header(cat, zeroes, err);
	if (r == 0)
		r = fill_all(cat, dump, row, err);
	if (r == 0)
		r = scat_checkpoint(cat, err);
	if (r == 0 && scat_vfs_sync(cat->vfs) < 0)
		r = scat_sql_failed(cat, SQLITE_IOERR_FSYNC, err);
	return r == 0 ? write_header(cat, header, err) : r;
}
