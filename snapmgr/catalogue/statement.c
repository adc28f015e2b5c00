/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * statement.c - compiled statements, kept for each connection, and SQLite's errors as ours
 */
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/internal.h"

int scat_damaged(struct scat *cat, struct snapmgr_err *err, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN,
		       "catalogue of pool '%s' is damaged: %s; run 'snapmgr pool check %s'",
		       cat->subject, what, cat->subject);
}

static const char *act_of(int code)
{
	switch (code) {
	case SQLITE_IOERR_READ:
	case SQLITE_IOERR_FSTAT:
		return "read";
	case SQLITE_IOERR_WRITE:
	case SQLITE_IOERR_TRUNCATE:
		return "write";
	case SQLITE_IOERR_FSYNC:
		return "flush";
	case SQLITE_IOERR_SHMOPEN:
	case SQLITE_IOERR_SHMMAP:
	case SQLITE_IOERR_SHMSIZE:
	case SQLITE_IOERR_SHMLOCK:
		return "share";
	default:
		return "use";
	}
}

static int io_failed(struct scat *cat, int code, struct snapmgr_err *err)
{
	int errnum = cat->vfs ? cat->vfs->errnum : sqlite3_system_errno(cat->db);
	int e = errnum ? errnum : EIO;
	bool denied = e == EACCES || e == EPERM;
	const char *path = cat->path;

	if (cat->vfs)
		path = cat->vfs->failed_path[0] ? cat->vfs->failed_path : cat->vfs->region.path;
	return sm_fail(err, denied ? SNAPMGR_PERMISSION : SNAPMGR_IO, e,
		       "cannot %s catalogue of pool '%s' on '%s'", act_of(code), cat->subject,
		       path);
}

static int full(struct scat *cat, struct snapmgr_err *err)
{
	if (!cat->vfs)
		return sm_fail(
			err, SNAPMGR_NO_SPACE, ENOSPC,
			"no room for the catalogue of pool '%s': the filesystem of '%s' is full",
			cat->subject, cat->path);
	if (cat->vfs->wal_full)
		return sm_fail(
			err, SNAPMGR_NO_SPACE, ENOSPC,
			"the log of pool '%s's catalogue is full: the change is too large, or "
			"another process has been reading for long; retry",
			cat->subject);
	return sm_fail(err, SNAPMGR_NO_SPACE, ENOSPC,
		       "catalogue of pool '%s' is full: delete snapshots or extend the pool",
		       cat->subject);
}

int scat_sql_failed(struct scat *cat, int code, struct snapmgr_err *err)
{
	const char *text = cat->db ? sqlite3_errmsg(cat->db) : sqlite3_errstr(code);

	switch (code & 0xff) {
	case SQLITE_IOERR:
		if (code == SQLITE_IOERR_NOMEM)
			return sm_nomem(err);
		if (code == SQLITE_IOERR_CORRUPTFS || code == SQLITE_IOERR_SHORT_READ)
			return scat_damaged(cat, err, "it is cut short");
		return io_failed(cat, code, err);
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_READONLY:
		return io_failed(cat, code, err);
	case SQLITE_NOMEM:
		return sm_nomem(err);
	case SQLITE_FULL:
		return full(cat, err);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
		return sm_fail(err, SNAPMGR_LOCKED, EAGAIN,
			       "catalogue of pool '%s' is busy: another process is changing it",
			       cat->subject);
	case SQLITE_ERROR: /* while SQLite parses a schema that is not ours */
		if (cat->verified)
			break;
		__attribute__((fallthrough));
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
	case SQLITE_TOOBIG:
	case SQLITE_MISMATCH:
		return scat_damaged(cat, err, "%s", text);
	default:
		break;
	}
	return sm_fail(err, SNAPMGR_INTERNAL, (code & 0xff) == SQLITE_CONSTRAINT ? EINVAL : EPROTO,
		       "cannot use catalogue of pool '%s': %s", cat->subject, text);
}

/* A free cache entry for @sql, compiled; NULL where it is in use or the cache is full. */
static struct scat_cached *find_cached(struct scat *cat, const char *sql)
{
	for (size_t i = 0; i < SCAT_CACHED; i++) {
		struct scat_cached *c = &cat->cached[i];

		if (c->sql == sql)
			return c->busy ? NULL : c;
		if (!c->sql)
			return c;
	}
	return NULL;
}

static int compile(struct scat *cat, const char *sql, unsigned int flags, sqlite3_stmt **ret,
		   struct snapmgr_err *err)
{
	int code = sqlite3_prepare_v3(cat->db, sql, -1, flags, ret, NULL);

	return code == SQLITE_OK ? 0 : scat_sql_failed(cat, code, err);
}

static int bind_one(sqlite3_stmt *stmt, int at, const struct scat_arg *arg)
{
	switch (arg->kind) {
	case SCAT_INT:
		return sqlite3_bind_int64(stmt, at, arg->i);
	case SCAT_ID:
		return arg->i ? sqlite3_bind_int64(stmt, at, arg->i) : sqlite3_bind_null(stmt, at);
	case SCAT_TEXT:
		return sqlite3_bind_text(stmt, at, arg->p, -1, SQLITE_STATIC);
	case SCAT_UUID:
		return sqlite3_bind_blob(stmt, at, arg->p, 16, SQLITE_STATIC);
	default:
		return SQLITE_MISUSE;
	}
}

int scat_query(struct scat *cat, const char *sql, const struct scat_arg *args, sqlite3_stmt **ret,
	       struct snapmgr_err *err)
{
	struct scat_cached *c = find_cached(cat, sql);
	sqlite3_stmt *stmt = c ? c->stmt : NULL;
	int code = SQLITE_OK, r;

	if (!stmt) {
		r = compile(cat, sql, c ? SQLITE_PREPARE_PERSISTENT : 0, &stmt, err);
		if (r < 0)
			return r;
	}
	if (c)
		*c = (struct scat_cached){ .sql = sql, .stmt = stmt, .busy = true };
	for (int i = 0; args && args[i].kind != SCAT_END && code == SQLITE_OK; i++)
		code = bind_one(stmt, i + 1, &args[i]);
	if (code != SQLITE_OK) {
		r = scat_sql_failed(cat, code, err);
		scat_finish(cat, stmt);
		return r;
	}
	*ret = stmt;
	return 0;
}

int scat_step(struct scat *cat, sqlite3_stmt *stmt, struct snapmgr_err *err)
{
	int code = sqlite3_step(stmt);

	if (code == SQLITE_ROW)
		return 1;
	if (code == SQLITE_DONE)
		return 0;
	return scat_sql_failed(cat, code, err);
}

void scat_finish(struct scat *cat, sqlite3_stmt *stmt)
{
	if (!stmt)
		return;
	for (size_t i = 0; i < SCAT_CACHED && cat->cached[i].sql; i++)
		if (cat->cached[i].stmt == stmt) {
			(void)sqlite3_reset(stmt);
			(void)sqlite3_clear_bindings(stmt);
			cat->cached[i].busy = false;
			return;
		}
	(void)sqlite3_finalize(stmt);
}

int scat_run(struct scat *cat, const char *sql, const struct scat_arg *args,
	     struct snapmgr_err *err)
{
	sqlite3_stmt *stmt;
	int r = scat_query(cat, sql, args, &stmt, err);

	if (r < 0)
		return r;
	r = scat_step(cat, stmt, err);
	scat_finish(cat, stmt);
	return r < 0 ? r : sqlite3_changes(cat->db);
}

int scat_number(struct scat *cat, const char *sql, const struct scat_arg *args, int64_t *ret,
		struct snapmgr_err *err)
{
	sqlite3_stmt *stmt;
	int r = scat_query(cat, sql, args, &stmt, err);

	if (r < 0)
		return r;
	r = scat_step(cat, stmt, err);
	if (r > 0)
		*ret = sqlite3_column_int64(stmt, 0);
	scat_finish(cat, stmt);
	return r > 0 ? 0 : r < 0 ? r : -ENOENT;
}

int scat_get(struct scat *cat, const char *sql, const struct scat_arg *args, scat_read_fn *read,
	     void *ret, struct snapmgr_err *err)
{
	sqlite3_stmt *stmt;
	int r = scat_query(cat, sql, args, &stmt, err);

	if (r < 0)
		return r;
	r = scat_step(cat, stmt, err);
	if (r > 0)
		r = read(cat, stmt, ret, err);
	else if (r == 0)
		r = -ENOENT;
	scat_finish(cat, stmt);
	return r;
}
