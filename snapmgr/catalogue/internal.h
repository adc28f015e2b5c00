/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * internal.h - what the files of the catalogue share: the connection, statements, rows
 */
#ifndef SCAT_INTERNAL_H
#define SCAT_INTERNAL_H

#include <sqlite3.h>

#include "snapmgr/catalogue/catalogue.h"
#include "snapmgr/catalogue/vfs.h"

#define SCAT_APPLICATION_ID 0x536e614d /* "SnaM" */
#define SCAT_CACHED	    120
#define SCAT_THIN_MAX	    ((INT64_C(1) << 24) - 1)
#define SCAT_TIME_MAX	    INT64_C(253402300799999999) /* the end of the year 9999 */

struct scat_cached {
	const char *sql; /* compared by address */
	sqlite3_stmt *stmt;
	bool busy;
};

struct scat {
	sqlite3 *db;
	struct scat_vfs *vfs; /* NULL: a file of its own, through SQLite's VFS */
	const char *path;     /* of that file, owned; NULL: on a device */
	struct sm_uuid uuid;
	bool writable, wrote;
	bool verified; /* the schema on disk is ours */
	int busy_tries;
	bool impatient;			    /* a reader kept the log from being emptied */
	bool writing;			    /* in a transaction that may write */
	char subject[SNAPMGR_NAME_MAX + 1]; /* the pool's name, or its UUID while that is unknown */
	struct scat_cached cached[SCAT_CACHED];
};

/* ---- statements (statement.c) ---- */

enum scat_arg_kind { SCAT_END, SCAT_INT, SCAT_ID, SCAT_TEXT, SCAT_UUID };
struct scat_arg {
	enum scat_arg_kind kind;
	int64_t i;
	const void *p;
};
#define ARG_INT(v)	    ((struct scat_arg){ SCAT_INT, (int64_t)(v), NULL })
#define ARG_ID(v)	    ((struct scat_arg){ SCAT_ID, (int64_t)(v), NULL }) /* 0 is NULL */
#define ARG_TEXT(v)	    ((struct scat_arg){ SCAT_TEXT, 0, (v) })
#define ARG_UUID(v)	    ((struct scat_arg){ SCAT_UUID, 0, (v) })
#define ARG_UUID_OR_NULL(v) ((struct scat_arg){ SCAT_UUID, 0, sm_uuid_is_null(v) ? NULL : (v) })
#define ARGS(...)	    ((const struct scat_arg[]){ __VA_ARGS__, { SCAT_END, 0, NULL } })

/**
 * scat_query() - a statement with its parameters bound, ready for scat_step()
 * @sql: a string of static life; compiled once for each connection
 */
int scat_query(struct scat *cat, const char *sql, const struct scat_arg *args, sqlite3_stmt **ret,
	       struct snapmgr_err *err);
/* Return: 1 for a row, 0 at the end, or a negative errno. */
int scat_step(struct scat *cat, sqlite3_stmt *stmt, struct snapmgr_err *err);
void scat_finish(struct scat *cat, sqlite3_stmt *stmt); /* NULL is fine */
/* scat_run() - a statement without rows. Return: the number of rows it changed, or -errno. */
int scat_run(struct scat *cat, const char *sql, const struct scat_arg *args,
	     struct snapmgr_err *err);
/* scat_number() - the one integer that a statement answers; a missing row is -ENOENT. */
int scat_number(struct scat *cat, const char *sql, const struct scat_arg *args, int64_t *ret,
		struct snapmgr_err *err);
/* scat_sql_failed() - an SQLite result code as our error */
int scat_sql_failed(struct scat *cat, int code, struct snapmgr_err *err);
/* scat_damaged() - "catalogue of pool 'p' is damaged: @fmt; run ..." Return: -EUCLEAN. */
int scat_damaged(struct scat *cat, struct snapmgr_err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- reading a row, column after column (row.c) ---- */

struct scat_row {
	sqlite3_stmt *stmt;
	int column;
	const char *wrong; /* the first field that was impossible */
};
int64_t scat_row_int(struct scat_row *row, int64_t min, int64_t max, const char *field);
int64_t scat_row_id(struct scat_row *row, const char *field); /* NULL is 0 */
uint32_t scat_row_thin(struct scat_row *row);		      /* NULL is 0 */
bool scat_row_bool(struct scat_row *row, const char *field);
uint64_t scat_row_bytes(struct scat_row *row, const char *field); /* whole sectors, above 0 */
void scat_row_text(struct scat_row *row, char *to, size_t size, const char *field);
void scat_row_name(struct scat_row *row, char *to, const char *field);
void scat_row_uuid(struct scat_row *row, struct sm_uuid *ret, const char *field);
void scat_row_uuid_or_null(struct scat_row *row, struct sm_uuid *ret, const char *field);
/* scat_row_end() - 0, or -EUCLEAN naming the row, e.g. "snapshot" 17. */
int scat_row_end(struct scat *cat, const struct scat_row *row, const char *what, int64_t id,
		 struct snapmgr_err *err);

/* id, uuid, name, project, label, description, created_at, state, size, thin, parent */
void scat_row_common(struct scat_row *row, int64_t *id, struct scat_common *c, uint32_t states);
/* scat_common_check() - before writing: what could not be read back is refused (internal). */
int scat_common_check(const struct scat_common *c, uint32_t states, struct snapmgr_err *err);
#define SCAT_STATE_BIT(s) (UINT32_C(1) << (s))
extern const uint32_t scat_volume_states, scat_snapshot_states;

/* One row into a struct; each walks on with its own context. */
typedef int scat_read_fn(struct scat *cat, sqlite3_stmt *stmt, void *ret, struct snapmgr_err *err);
/* scat_get() - the only row of a query. Return: 0, -ENOENT (err untouched), ... */
int scat_get(struct scat *cat, const char *sql, const struct scat_arg *args, scat_read_fn *read,
	     void *ret, struct snapmgr_err *err);

/* scat_check_room() - before anything is added: -ENOSPC while deleting still has room. */
int scat_check_room(struct scat *cat, struct snapmgr_err *err);

/* ---- the name space of volumes and groups (volume_rows.c) ---- */

int scat_name_insert(struct scat *cat, const char *name, int64_t *ret_id, struct snapmgr_err *err);
/* scat_name_update() - touches no page where @id has the name already */
int scat_name_update(struct scat *cat, int64_t id, const char *name, struct snapmgr_err *err);

/* ---- catalogue.c, for what formats a region ---- */

/* scat_connect() - for writing, of a region with a header and nothing else. */
int scat_connect(const char *device, const struct sm_uuid *uuid, struct scat **ret,
		 struct snapmgr_err *err);
/* scat_schema_begin() - empty tables in a transaction that may have any size, without foreign keys. */
int scat_schema_begin(struct scat *cat, struct snapmgr_err *err);
int scat_schema_end(struct scat *cat, struct snapmgr_err *err);

/* ---- schema.c ---- */

/* scat_schema_lasting() - the @i-th table of those that a dump has; NULL at the end. */
const char *scat_schema_lasting(size_t i);

int scat_schema_create(struct scat *cat, struct snapmgr_err *err);
/* scat_schema_check() - the schema on disk is ours, to the letter. */
int scat_schema_check(struct scat *cat, struct snapmgr_err *err);

/* ---- for tests ---- */

/* scat_syncs() - real flushes since this handle was opened. */
uint64_t scat_syncs(const struct scat *cat);
uint32_t scat_wal_frames(const struct scat *cat);

#endif
