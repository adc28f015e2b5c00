/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rows_fuzz.c - a catalogue that is a sound database, with rows that make no sense
 *
 * The input is a list of changes of ten bytes: table, column, row, what kind of value, and six bytes of
 * it. They are made by SQL with every constraint switched off; then every reader runs, and ends with
 * rows that keep the rules or with a clear error.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "snapmgr/catalogue/catalogue.h"
#include "snapmgr/catalogue/internal.h"
#include "snapmgr/catalogue/rundir.h"

#define REGION_BYTES SCAT_MIN_BYTES
#define CHANGE_BYTES 10
#define CHANGES_MAX  32

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const tables[] = { "pool",	   "properties", "names",      "volumes",
				      "snapshots", "undos",	 "tags",       "groups",
				      "quotas",	   "garbage",	 "operations", "group_members",
				      "messages" };

static unsigned char *good, *image;
static char path[64];
static struct sm_uuid pool_uuid, volume_uuid;
static struct snapmgr_err err;

static void require(bool fine)
{
	if (!fine)
		abort();
}

/* ---- changes ---- */

static void bind(sqlite3_stmt *stmt, uint8_t kind, const uint8_t *value)
{
	static const int64_t numbers[] = { 0,	       -1,	  1,
					   INT64_MAX,  INT64_MIN, INT32_MAX,
					   UINT32_MAX, 1 << 24,	  (int64_t)1 << 62 };
	static const char *const texts[] = { "",       "v@s", "available", "\x01",    "\xff\xfe",
					     "latest", "-",   "thin",	   "\xc3\xa4" };
	static char endless[70000];
	int64_t number = 0;

	memcpy(&number, value, 6);
	memset(endless, 'a', sizeof(endless));
	switch (kind % 7) {
	case 0:
		(void)sqlite3_bind_int64(stmt, 1, numbers[value[0] % SM_ARRAY(numbers)]);
		break;
	case 1:
		(void)sqlite3_bind_int64(stmt, 1, number);
		break;
	case 2:
		(void)sqlite3_bind_text(stmt, 1, texts[value[0] % SM_ARRAY(texts)], -1,
					SQLITE_STATIC);
		break;
	case 3:
		(void)sqlite3_bind_text(stmt, 1, endless, value[0] << 8 | value[1], SQLITE_STATIC);
		break;
	case 4:
		(void)sqlite3_bind_blob(stmt, 1, value, value[5] % 7, SQLITE_TRANSIENT);
		break;
	case 5:
		(void)sqlite3_bind_text(stmt, 1, (const char *)value, 6, SQLITE_TRANSIENT);
		break;
	default:
		(void)sqlite3_bind_null(stmt, 1);
	}
}

/* The name of a column, by number. */
static bool column_of(sqlite3 *db, const char *table, unsigned int n, char ret[64])
{
	sqlite3_stmt *stmt = NULL;
	char sql[80];
	bool found;

	(void)snprintf(sql, sizeof(sql), "SELECT * FROM %s", table);
	found = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK;
	if (found)
		(void)sm_copy_text(
			ret, 64,
			sqlite3_column_name(stmt, (int)(n % (unsigned)sqlite3_column_count(stmt))));
	(void)sqlite3_finalize(stmt);
	return found;
}

static void change(sqlite3 *db, const uint8_t *c)
{
	const char *table = tables[c[0] % SM_ARRAY(tables)];
	sqlite3_stmt *stmt = NULL;
	char sql[300], column[64];

	if (!column_of(db, table, c[1], column))
		return;
	if (c[2] == 255)
		(void)snprintf(sql, sizeof(sql), "DELETE FROM %s WHERE \"%s\" IS NOT ?1", table,
			       column);
	else
		(void)snprintf(sql, sizeof(sql),
			       "UPDATE %s SET \"%s\"=?1 WHERE \"%s\" IN (SELECT \"%s\" FROM %s "
			       "LIMIT 1 OFFSET %d)",
			       table, column, column, column, table, c[2] % 8);
	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK) {
		bind(stmt, c[3], c + 4);
		(void)sqlite3_step(stmt);
	}
	(void)sqlite3_finalize(stmt);
}

static void apply(const uint8_t *data, size_t size)
{
	struct scat *cat = NULL;

	require(scat_open(path, &pool_uuid, true, &cat, &err) == 0);
	(void)sqlite3_exec(cat->db, "PRAGMA foreign_keys=OFF;PRAGMA ignore_check_constraints=ON",
			   NULL, NULL, NULL);
	require(scat_begin(cat, &err) == 0);
	for (size_t i = 0; i < CHANGES_MAX && (i + 1) * CHANGE_BYTES <= size; i++)
		change(cat->db, data + i * CHANGE_BYTES);
	(void)scat_commit(cat, true, &err);
	scat_close(cat);
}

/* ---- what is run ---- */

static int see_volume(const struct scat_volume *v, void *data)
{
	(void)data;
	require(v->c.size_bytes % 512 == 0 && v->c.size_bytes > 0 && v->c.thin < 1u << 24);
	require((unsigned int)v->c.state < SCAT_STATES &&
		sm_name_check("name", v->c.name, NULL) == 0);
	return 0;
}

static int see_snapshot(const struct scat_snapshot *s, void *data)
{
	(void)data;
	require(s->c.parent < s->id && (unsigned int)s->c.state < SCAT_STATES);
	require(sm_name_check("name", s->c.name, NULL) == 0 && sm_utf8_valid(s->c.label) &&
		sm_utf8_valid(s->c.description) && sm_utf8_valid(s->c.project));
	return 0;
}

static int see_undo(const struct scat_undo *u, void *data)
{
	(void)data;
	require(u->size_bytes % 512 == 0 && u->thin < 1u << 24);
	return 0;
}

static int see_garbage(uint32_t thin, void *data)
{
	(void)data;
	require(thin > 0 && thin < 1u << 24);
	return 0;
}

static int see_finding(const char *line, void *data)
{
	(void)data;
	require(strlen(line) > 0);
	return 0;
}

static void require_honest(int r)
{
	require(r == 0 || r == -ENOENT || (r == -EUCLEAN && err.code == SNAPMGR_DAMAGED));
}

static void read_all(struct scat *cat)
{
	AUTO(free) struct snapmgr_tag *tags = NULL;
	struct scat_counts counts;
	struct scat_snapshot s;
	struct scat_volume v;
	struct scat_undo u;
	struct scat_pool p;
	size_t n;

	require_honest(scat_pool_get(cat, &p, &err));
	require_honest(scat_volume_each(cat, see_volume, NULL, &err));
	require_honest(scat_volume_by_name(cat, "v", &v, &err));
	require_honest(scat_volume_by_uuid(cat, &volume_uuid, &v, &err));
	require_honest(scat_snapshot_each(cat, -1, see_snapshot, NULL, &err));
	require_honest(scat_snapshot_each(cat, 0, see_snapshot, NULL, &err));
	require_honest(scat_snapshot_each(cat, 1, see_snapshot, NULL, &err));
	require_honest(scat_snapshot_by_name(cat, 1, "s2", &s, &err));
	require_honest(scat_snapshot_latest(cat, 1, 1, &s, &err));
	require_honest(scat_undo_each(cat, -1, see_undo, NULL, &err));
	require_honest(scat_undo_nth(cat, 1, 0, &u, &err));
	require_honest(scat_garbage_each(cat, see_garbage, NULL, &err));
	require_honest(scat_tags_get(cat, &volume_uuid, &tags, &n, &err));
	require_honest(scat_counts(cat, &counts, &err));
	require_honest(scat_check(cat, see_finding, NULL, &err));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scat *cat = NULL;
	int r;

	memcpy(image, good, REGION_BYTES);
	apply(data, size);
	r = scat_open(path, &pool_uuid, false, &cat, &err);
	require_honest(r);
	if (r == 0)
		read_all(cat);
	scat_close(cat);
	return 0;
}

/* ---- the good one ---- */

static void fill(struct scat *cat)
{
	struct scat_volume v = { .c = { .name = "v",
					.size_bytes = SM_GIB,
					.thin = 1,
					.state = SCAT_AVAILABLE,
					.label = "a label" } };
	struct scat_undo u = { .size_bytes = 4096, .thin = 80, .volume = 1 };

	sm_uuid_make(&v.c.uuid);
	sm_uuid_make(&u.uuid);
	volume_uuid = v.c.uuid;
	require(scat_begin(cat, &err) == 0 && scat_volume_insert(cat, &v, &err) == 0);
	for (uint32_t i = 1; i < 8; i++) {
		struct scat_snapshot s = { .c = v.c, .volume = v.id, .sequence = i };

		(void)snprintf(s.c.name, sizeof(s.c.name), "s%u", i);
		sm_uuid_make(&s.c.uuid);
		s.c.thin = i + 1;
		s.c.parent = i / 2;
		require(scat_snapshot_insert(cat, &s, &err) == 0);
	}
	v.sequence = 7;
	require(scat_volume_update(cat, &v, &err) == 0 && scat_undo_insert(cat, &u, &err) == 0 &&
		scat_garbage_add(cat, 90, &err) == 0 &&
		scat_tag_set(cat, &volume_uuid, "key", "value", &err) == 0 &&
		scat_commit(cat, true, &err) == 0 && scat_checkpoint(cat, &err) == 0);
}

static char run_dir[] = "/dev/shm/snapmgr-fuzz-XXXXXX";

static void remove_run_dir(void)
{
	char uuid[SNAPMGR_UUID_TEXT], name[200];

	sm_uuid_text(&pool_uuid, uuid);
	(void)snprintf(name, sizeof(name), "%s/%s/catalogue-shm.0", run_dir, uuid);
	(void)unlink(name);
	(void)snprintf(name, sizeof(name), "%s/%s", run_dir, uuid);
	(void)rmdir(name);
	(void)rmdir(run_dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct scat_pool pool = { .name = "p0",
				  .driver = "thin",
				  .chunk_sectors = 128,
				  .block_bytes = 512,
				  .next_thin = 100,
				  .reserved_thin = 100 };
	int fd = memfd_create("region", MFD_CLOEXEC);
	struct scat *cat = NULL;

	(void)argc;
	(void)argv;
	require(mkdtemp(run_dir) != NULL && fd >= 0 && ftruncate(fd, REGION_BYTES) == 0);
	scat_set_run_dir(run_dir);
	(void)atexit(remove_run_dir);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	image = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	good = malloc(REGION_BYTES);
	require(image != MAP_FAILED && good != NULL);
	sm_uuid_make(&pool.uuid);
	pool_uuid = pool.uuid;
	require(scat_format(path, &pool, &err) == 0);
	require(scat_open(path, &pool_uuid, true, &cat, &err) == 0);
	fill(cat);
	scat_close(cat);
	memcpy(good, image, REGION_BYTES);
	return 0;
}
