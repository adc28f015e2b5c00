/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * catalogue.c - making, opening, committing
 */
#include "snapmgr/catalogue/catalogue.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "snapmgr/catalogue/internal.h"

#define CHECKPOINT_FRAMES 256u /* the log is moved into the database at a close beyond this */
#define BUSY_TRIES	  400  /* pauses of 1 to 20 ms */
#define RESERVE_PAGES	  64   /* what is added leaves these to what is deleted */

/* So many quarters of the log; a file of its own has one without an end. */
static uint32_t log_part(const struct scat *cat, uint32_t quarters)
{
	return cat->vfs ? (uint32_t)(cat->vfs->region.wal_len * quarters / 4 / SCAT_FRAME_BYTES) :
			  UINT32_MAX;
}

static const char sql_begin[] = "BEGIN IMMEDIATE";
static const char sql_begin_read[] = "BEGIN";
static const char sql_commit[] = "COMMIT";
static const char sql_rollback[] = "ROLLBACK";

/* Another one recovers the log, or commits; both take moments. */
static int pause_busy(void *data, int tries)
{
	const struct timespec pause = { .tv_nsec = (tries < 20 ? tries + 1 : 20) * 1000000L };
	const struct scat *cat = data;

	if (tries >= cat->busy_tries)
		return 0;
	(void)nanosleep(&pause, NULL);
	return 1;
}

/* What is on disk may have been written by an enemy. */
static void harden(struct scat *cat)
{
	static const int limits[][2] = {
		{ SQLITE_LIMIT_LENGTH, 1 << 20 },     { SQLITE_LIMIT_SQL_LENGTH, 16384 },
		{ SQLITE_LIMIT_COLUMN, 100 },	      { SQLITE_LIMIT_EXPR_DEPTH, 100 },
		{ SQLITE_LIMIT_COMPOUND_SELECT, 10 }, { SQLITE_LIMIT_VDBE_OP, 25000 },
		{ SQLITE_LIMIT_FUNCTION_ARG, 8 },     { SQLITE_LIMIT_ATTACHED, 0 },
		{ SQLITE_LIMIT_TRIGGER_DEPTH, 10 },   { SQLITE_LIMIT_WORKER_THREADS, 0 },
	};
	static const int settings[][2] = {
		{ SQLITE_DBCONFIG_DEFENSIVE, 1 },
		{ SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
		{ SQLITE_DBCONFIG_ENABLE_FKEY, 1 },
		{ SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
		{ SQLITE_DBCONFIG_ENABLE_VIEW, 0 },
		{ SQLITE_DBCONFIG_DQS_DDL, 0 },
		{ SQLITE_DBCONFIG_DQS_DML, 0 },
		{ SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1 },
		{ SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 },
	};

	sqlite3 *db = cat->db;

	for (size_t i = 0; i < SM_ARRAY(limits); i++)
		(void)sqlite3_limit(db, limits[i][0], limits[i][1]);
	for (size_t i = 0; i < SM_ARRAY(settings); i++)
		(void)sqlite3_db_config(db, settings[i][0], settings[i][1], NULL);
	cat->busy_tries = BUSY_TRIES;
	(void)sqlite3_busy_handler(db, pause_busy, cat);
	(void)sqlite3_wal_autocheckpoint(db, 0);
}

static int exec(struct scat *cat, const char *sql, struct snapmgr_err *err)
{
	int code = sqlite3_exec(cat->db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : scat_sql_failed(cat, code, err);
}

/* A path with '/' at its end is a folder's: the catalogue is a file in it, of SQLite's own VFS. */
static int connect_where(struct scat *cat, const char *where, struct snapmgr_err *err)
{
	char path[SCAT_FILE_PATH];

	if (where[strlen(where) - 1] != '/')
		return scat_vfs_open(where, &cat->uuid, cat->writable, &cat->vfs, err);
	(void)snprintf(path, sizeof(path), "%s" SCAT_FILE_NAME, where);
	cat->path = strdup(path);
	return cat->path ? 0 : sm_nomem(err);
}

/* A handle with region and connection; nothing has been read through SQLite yet. */
static int connect(const char *where, const struct sm_uuid *uuid, bool writable, struct scat **ret,
		   struct snapmgr_err *err)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE |
		    (writable ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
	struct scat *cat = calloc(1, sizeof(*cat));
	int r, code;

	if (!cat)
		return sm_nomem(err);
	cat->writable = writable;
	cat->uuid = *uuid;
	sm_uuid_text(uuid, cat->subject);
	r = connect_where(cat, where, err);
	if (r == 0) {
		code = cat->vfs ? sqlite3_open_v2(where, &cat->db, flags, cat->vfs->name) :
				  sqlite3_open_v2(cat->path, &cat->db, flags | SQLITE_OPEN_NOFOLLOW,
						  NULL);
		if (code != SQLITE_OK)
			r = scat_sql_failed(cat, code, err);
	}
	if (r < 0) {
		scat_close(cat);
		return r;
	}
	*ret = cat;
	return 0;
}

int scat_connect(const char *device, const struct sm_uuid *uuid, struct scat **ret,
		 struct snapmgr_err *err)
{
	int r = connect(device, uuid, true, ret, err);

	if (r == 0) {
		if ((*ret)->vfs)
			(*ret)->vfs->owner =
				true; /* nobody else knows of what is just being made */
		harden(*ret);
	}
	return r;
}

/* ---- format ---- */

int scat_schema_begin(struct scat *cat, struct snapmgr_err *err)
{
	char version[96];
	int r;

	(void)sqlite3_db_config(cat->db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
	(void)snprintf(version, sizeof(version), "PRAGMA application_id=%d;PRAGMA user_version=%d",
		       SCAT_APPLICATION_ID, SCAT_SCHEMA);
	r = exec(cat, "PRAGMA journal_mode=MEMORY;PRAGMA page_size=4096;BEGIN", err);
	if (r == 0)
		r = exec(cat, version, err);
	return r == 0 ? scat_schema_create(cat, err) : r;
}

int scat_schema_end(struct scat *cat, struct snapmgr_err *err)
{
	return exec(cat, "COMMIT;PRAGMA journal_mode=WAL", err);
}

static int fill(struct scat *cat, const struct scat_pool *pool, struct snapmgr_err *err)
{
	static const char make[] = "INSERT INTO pool VALUES(1,?1,'','',0,0,0,0,0,0,0,0,0,0)";
	int r = scat_schema_begin(cat, err);

	if (r == 0)
		r = scat_run(cat, make, ARGS(ARG_UUID(&pool->uuid)), err);
	if (r >= 0)
		r = scat_pool_put(cat, pool, err);
	return r == 0 ? scat_schema_end(cat, err) : r;
}

int scat_format(const char *device, const struct scat_pool *pool, struct snapmgr_err *err)
{
	AUTO(scat_close) struct scat *cat = NULL;
	int r = scat_region_format(device, &pool->uuid, err);

	if (r == 0)
		r = scat_connect(device, &pool->uuid, &cat, err);
	if (r < 0)
		return r;
	r = fill(cat, pool, err);
	if (r == 0) /* also leaves a log that the first commit can use */
		r = scat_checkpoint(cat, err);
	if (r == 0 && scat_vfs_sync(cat->vfs) < 0)
		r = scat_sql_failed(cat, SQLITE_IOERR_FSYNC, err);
	return r;
}

/* An empty file that SQLite takes for a new database. */
static int make_file(const char *dir, struct snapmgr_err *err)
{
	char path[SCAT_FILE_PATH];
	int fd;

	(void)snprintf(path, sizeof(path), "%s" SCAT_FILE_NAME, dir);
	fd = SM_STEP("file.make",
		     open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
	if (fd < 0)
		return sm_fail(err, errno == EACCES ? SNAPMGR_PERMISSION : SNAPMGR_IO, errno,
			       "cannot make '%s'", path);
	(void)close(fd);
	return 0;
}

int scat_format_file(const char *dir, const struct scat_pool *pool, struct snapmgr_err *err)
{
	AUTO(scat_close) struct scat *cat = NULL;
	int r = make_file(dir, err);

	if (r == 0)
		r = scat_connect(dir, &pool->uuid, &cat, err);
	return r < 0 ? r : fill(cat, pool, err);
}

/* ---- what may be opened ---- */

/* Else SQLite would look for a rollback journal, or lay out the log in other frames. */
static int check_modes(struct scat *cat, struct snapmgr_err *err)
{
	sqlite3_stmt *stmt;
	int64_t page_bytes = 0;
	bool wal = false;
	int r = scat_number(cat, "PRAGMA page_size", NULL, &page_bytes, err);

	if (r == 0)
		r = scat_query(cat, "PRAGMA journal_mode", NULL, &stmt, err);
	if (r < 0)
		return r;
	r = scat_step(cat, stmt, err);
	if (r > 0)
		wal = strcmp((const char *)sqlite3_column_text(stmt, 0), "wal") == 0;
	scat_finish(cat, stmt);
	if (r >= 0 && (!wal || page_bytes != SCAT_PAGE_BYTES))
		return scat_damaged(cat, err, "its database is of another layout");
	return r < 0 ? r : 0;
}

static int check_versions(struct scat *cat, struct snapmgr_err *err)
{
	int64_t application = 0, version = 0;
	int r = scat_number(cat, "PRAGMA application_id", NULL, &application, err);

	if (r == 0)
		r = scat_number(cat, "PRAGMA user_version", NULL, &version, err);
	if (r < 0)
		return r;
	if (application != SCAT_APPLICATION_ID)
		return scat_damaged(cat, err, "its database is not one of ours");
	if (version > SCAT_SCHEMA)
		return sm_fail(err, SNAPMGR_NEWER_VERSION, EPROTONOSUPPORT,
			       "catalogue of pool '%s' has schema %lld, and this program knows %d: "
			       "use a newer snapmgr",
			       cat->subject, (long long)version, SCAT_SCHEMA);
	if (version != SCAT_SCHEMA)
		return scat_damaged(cat, err, "it has schema %lld", (long long)version);
	return 0;
}

/* ---- open, checkpoint, close ---- */

static int begin_write(struct scat *cat, struct snapmgr_err *err)
{
	int r = SM_STEP("begin", scat_run(cat, sql_begin, NULL, err));

	return r < 0 ? r : 0;
}

/*
 * After a full checkpoint the next commit starts the log anew, which costs a flush of the log's
 * header first. Do that here, with a change that matters to nobody, and not in the next commit.
 */
static int restart_log(struct scat *cat, struct snapmgr_err *err)
{
	static const char sql[] = "UPDATE pool SET checkpoints=(checkpoints+1)&0xffffffff";
	int r = begin_write(cat, err);

	if (r < 0)
		return r;
	r = scat_run(cat, sql, NULL, err);
	if (r < 0) {
		scat_rollback(cat);
		return r;
	}
	return scat_commit(cat, false, err);
}

/*
 * RESTART rather than PASSIVE: it keeps writers out and waits for readers of the log, while new ones
 * read the database, so that a crowd of readers that come and go cannot keep the log from its end.
 */
static int checkpoint(struct scat *cat, int tries, struct snapmgr_err *err)
{
	int code;

	cat->busy_tries = tries;
	code = SM_STEP("checkpoint",
		       sqlite3_wal_checkpoint_v2(cat->db, "main", SQLITE_CHECKPOINT_RESTART, NULL,
						 NULL));
	cat->busy_tries = BUSY_TRIES;
	if ((code & 0xff) == SQLITE_BUSY)
		return sm_fail(err, SNAPMGR_LOCKED, EAGAIN,
			       "catalogue of pool '%s' is being read: its log cannot be emptied",
			       cat->subject);
	return code == SQLITE_OK ? restart_log(cat, err) : scat_sql_failed(cat, code, err);
}

int scat_checkpoint(struct scat *cat, struct snapmgr_err *err)
{
	return checkpoint(cat, 20, err);
}

/* The fuller the log, the longer this waits for readers. A failure concerns nobody yet. */
static void checkpoint_beyond(struct scat *cat, uint32_t limit)
{
	uint32_t frames = cat->vfs ? scat_vfs_frames(cat->vfs) : 0; /* else SQLite sees to it */
	int tries = frames > log_part(cat, 3) ? 20 : frames > log_part(cat, 2) ? 10 : 3;

	if (frames > limit) /* who waited in vain does not wait again */
		cat->impatient = checkpoint(cat, cat->impatient ? 0 : tries, NULL) < 0;
}

/* Because what is committed to the log must find room in the database later. */
static int limit_pages(struct scat *cat, struct snapmgr_err *err)
{
	char sql[64];

	(void)snprintf(sql, sizeof(sql), "PRAGMA max_page_count=%llu",
		       (unsigned long long)(cat->vfs->region.db_len / SCAT_PAGE_BYTES));
	return exec(cat, sql, err);
}

static int prepare_writer(struct scat *cat, struct snapmgr_err *err)
{
	int r = exec(cat, "PRAGMA synchronous=FULL", err);

	if (!cat->vfs) {
		(void)sqlite3_wal_autocheckpoint(cat->db, CHECKPOINT_FRAMES);
		return r;
	}
	if (r == 0)
		r = limit_pages(cat, err);
	if (r == 0)
		checkpoint_beyond(cat, log_part(cat, 2)); /* writers that died never closed */
	return r;
}

/*
 * The device stays open while its pool is active, so what the dead wrote last is in the kernel's cache
 * even where it never reached the disk, and whom it was told to is dead, too.
 */
static int read_anew(struct scat *cat, struct snapmgr_err *err)
{
	int r = cat->vfs ? scat_vfs_sync(cat->vfs) : 0;

	if (r < 0)
		return sm_fail(err, SNAPMGR_IO, r, "cannot flush the catalogue of pool '%s'",
			       cat->subject);
	if (cat->vfs)
		scat_region_forget(&cat->vfs->region);
	return 0;
}

int scat_open(const char *device, const struct sm_uuid *uuid, enum scat_use use, struct scat **ret,
	      struct snapmgr_err *err)
{
	const bool writable = use != SCAT_READ;
	struct scat *cat;
	int r = connect(device, uuid, writable, &cat, err);

	if (r < 0)
		return r;
	if (cat->vfs)
		cat->vfs->owner = use == SCAT_OWN || use == SCAT_HEAL;
	if (use == SCAT_HEAL)
		r = read_anew(cat, err);
	harden(cat);
	if (r == 0)
		r = exec(cat, "PRAGMA temp_store=2;PRAGMA cell_size_check=1;BEGIN", err);
	if (r == 0)
		r = check_versions(cat, err);
	if (r == 0)
		r = check_modes(cat, err);
	if (r == 0)
		r = scat_schema_check(cat, err);
	scat_rollback(cat);
	if (r == 0 && writable)
		r = prepare_writer(cat, err);
	if (r < 0)
		scat_close(cat);
	else
		*ret = cat;
	return r;
}

static void tidy(struct scat *cat)
{
	scat_rollback(cat);
	if (cat->wrote && cat->vfs && cat->vfs->region.fd >= 0)
		checkpoint_beyond(cat, CHECKPOINT_FRAMES);
	cat->wrote = false;
}

void scat_own(struct scat *cat)
{
	scat_rollback(cat);
	if (cat->vfs)
		cat->vfs->owner = true;
}

void scat_disown(struct scat *cat)
{
	tidy(cat);
	if (cat->vfs)
		cat->vfs->owner = false;
}

void scat_park(struct scat *cat)
{
	tidy(cat);
	scat_region_close(&cat->vfs->region);
}

int scat_unpark(struct scat *cat, struct snapmgr_err *err)
{
	return scat_region_reopen(&cat->vfs->region, err);
}

void scat_close(struct scat *cat)
{
	if (!cat)
		return;
	if (cat->db)
		tidy(cat);
	for (size_t i = 0; i < SCAT_CACHED && cat->cached[i].sql; i++)
		(void)sqlite3_finalize(cat->cached[i].stmt);
	(void)sqlite3_close(cat->db);
	scat_vfs_close(cat->vfs);
	free((void *)cat->path);
	free(cat);
}

/* ---- transactions ---- */

int scat_begin(struct scat *cat, struct snapmgr_err *err)
{
	int r;

	if (cat->writing && !sqlite3_get_autocommit(cat->db))
		return 0;
	scat_rollback(cat);
	if (!cat->writable)
		return sm_fail(err, SNAPMGR_INTERNAL, EROFS,
			       "catalogue of pool '%s' is open for reading only", cat->subject);
	checkpoint_beyond(cat, log_part(cat, 3)); /* closing does it long before; see there */
	r = begin_write(cat, err);
	cat->writing = r == 0;
	return r;
}

int scat_begin_read(struct scat *cat, struct snapmgr_err *err)
{
	int r = sqlite3_get_autocommit(cat->db) ? scat_run(cat, sql_begin_read, NULL, err) : 0;

	return r < 0 ? r : 0;
}

/*
 * A commit that failed may have left whole frames with a commit mark behind the log's known end,
 * which a recovery after a crash would take for a commit. Break the first of them.
 */
static void cut_log(struct scat *cat)
{
	static const unsigned char zeroes[SCAT_FRAME_HEADER];
	const struct scat_region *region = &cat->vfs->region;
	uint64_t at = SCAT_WAL_HEADER;
	uint32_t frames;

	if (!scat_vfs_log_end(cat->vfs, &frames))
		return;
	at += (uint64_t)frames * SCAT_FRAME_BYTES;
	if (at + sizeof(zeroes) <= region->wal_len &&
	    scat_region_write(region, zeroes, sizeof(zeroes), region->wal_at + at) == 0)
		(void)scat_vfs_sync(cat->vfs);
}

/* SQLite flushes at each commit there; only a region's may go without. */
static int commit_file(struct scat *cat, struct snapmgr_err *err)
{
	int r = SM_STEP("commit", scat_run(cat, sql_commit, NULL, err));

	if (r < 0)
		scat_rollback(cat);
	cat->writing = false;
	return r < 0 ? r : 0;
}

int scat_commit(struct scat *cat, bool durable, struct snapmgr_err *err)
{
	uint64_t syncs;
	int r;

	if (!cat->vfs)
		return commit_file(cat, err);
	syncs = cat->vfs->syncs;
	cat->wrote = true;
	if (sqlite3_get_autocommit(
		    cat->db)) /* an I/O error has ended it, and somebody did not ask */
		return scat_sql_failed(cat, SQLITE_IOERR, err);
	cat->vfs->skip_sync = !durable;
	r = SM_STEP("commit", scat_run(cat, sql_commit, NULL, err));
	cat->vfs->skip_sync = false;
	if (cat->vfs->held_error && r >= 0) {
		scat_shm_distrust(cat->vfs);
		(void)scat_vfs_failed(cat->vfs, SQLITE_IOERR_WRITE, cat->vfs->held_error, NULL);
		return scat_sql_failed(cat, SQLITE_IOERR_WRITE, err);
	}
	if (r < 0) {
		scat_rollback(cat);
		cut_log(cat);
		return r;
	}
	cat->writing = false;
	/* nothing was written now, but what was committed without a flush before shall be durable */
	if (durable && syncs == cat->vfs->syncs && (r = scat_vfs_sync(cat->vfs)) < 0) {
		(void)scat_vfs_failed(cat->vfs, SQLITE_IOERR_FSYNC, r, NULL);
		return scat_sql_failed(cat, SQLITE_IOERR_FSYNC, err);
	}
	return 0;
}

void scat_rollback(struct scat *cat)
{
	if (!sqlite3_get_autocommit(cat->db))
		(void)scat_run(cat, sql_rollback, NULL, NULL);
	if (cat->vfs) {
		cat->vfs->held_len = 0; /* another process may write there next */
		cat->vfs->foreseen_len = 0;
		cat->vfs->held_error = 0; /* told, and no fault of the next commit */
	}
	cat->writing = false;
}

static int count_pages(struct scat *cat, int64_t *ret, struct snapmgr_err *err)
{
	static const char count[] = "PRAGMA page_count", freelist[] = "PRAGMA freelist_count";
	int64_t unused = 0;
	int r = scat_number(cat, count, NULL, ret, err);

	if (r == 0)
		r = scat_number(cat, freelist, NULL, &unused, err);
	if (r == 0 && unused > *ret)
		r = scat_damaged(cat, err, "it has more free pages than pages");
	*ret -= unused;
	return r;
}

uint64_t scat_used_bytes(struct scat *cat)
{
	int64_t pages = 0;

	return count_pages(cat, &pages, NULL) < 0 ? UINT64_MAX : (uint64_t)pages * SCAT_PAGE_BYTES;
}

uint64_t scat_size_bytes(const struct scat *cat)
{
	return cat->vfs ? scat_region_db_len(&cat->vfs->region, UINT64_MAX) : SM_TIB;
}

int scat_check_room(struct scat *cat, struct snapmgr_err *err)
{
	int64_t pages = 0;
	uint64_t known, wanted, now;
	int r = cat->vfs ? count_pages(cat, &pages, err) : 0;

	if (r < 0 || !cat->vfs)
		return r;
	known = cat->vfs->region.db_len;
	wanted = ((uint64_t)pages + RESERVE_PAGES) * SCAT_PAGE_BYTES;
	now = scat_region_db_len(&cat->vfs->region, wanted);
	if (wanted > now)
		return scat_sql_failed(cat, SQLITE_FULL, err);
	return now == known ? 0 : limit_pages(cat, err);
}

uint64_t scat_syncs(const struct scat *cat)
{
	return cat->vfs->syncs;
}

uint32_t scat_wal_frames(const struct scat *cat)
{
	return scat_vfs_frames(cat->vfs);
}
