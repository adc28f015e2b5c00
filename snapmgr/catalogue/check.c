/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check.c - is the catalogue whole? And how much is in it
 */
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/internal.h"

struct checker {
	struct scat *cat;
	int (*finding)(const char *line, void *data);
	void *data;
};

/* Each row of @sql as a line, but "ok". */
static int check_rows(struct checker *c, const char *sql, const char *prefix,
		      struct snapmgr_err *err)
{
	sqlite3_stmt *stmt;
	char line[512];
	int r = scat_query(c->cat, sql, NULL, &stmt, err);

	if (r < 0)
		return r;
	while ((r = scat_step(c->cat, stmt, err)) > 0) {
		const char *text = (const char *)sqlite3_column_text(stmt, 0);

		r = 0;
		if (text && strcmp(text, "ok") != 0) {
			(void)snprintf(line, sizeof(line), "%s%.400s", prefix, text);
			r = c->finding(line, c->data);
		}
		if (r)
			break;
	}
	scat_finish(c->cat, stmt);
	return r;
}

static int pass_volume(const struct scat_volume *v, void *data)
{
	(void)v;
	(void)data;
	return 0;
}

static int pass_snapshot(const struct scat_snapshot *s, void *data)
{
	(void)s;
	(void)data;
	return 0;
}

static int pass_undo(const struct scat_undo *u, void *data)
{
	(void)u;
	(void)data;
	return 0;
}

static int pass_operation(const struct scat_operation *op, void *data)
{
	(void)op;
	(void)data;
	return 0;
}

static int pass_group(const struct scat_group *g, void *data)
{
	(void)g;
	(void)data;
	return 0;
}

static int pass_set(const struct scat_set *s, void *data)
{
	(void)s;
	(void)data;
	return 0;
}

static int pass_garbage(uint32_t thin, void *data)
{
	(void)thin;
	(void)data;
	return 0;
}

static int pass_extent(const struct scat_extent *e, void *data)
{
	(void)e;
	(void)data;
	return 0;
}

static int pass_quota(const struct scat_quota *q, void *data)
{
	(void)q;
	(void)data;
	return 0;
}

/* Read everything once: a row that breaks a rule ends its walk, and is a finding. */
static int check_walks(struct checker *c, struct snapmgr_err *err)
{
	struct snapmgr_err e = { 0 };
	struct scat_pool pool;
	int r = 0;

	for (int i = 0; i < 10 && r == 0; i++) {
		switch (i) {
		case 0:
			r = scat_pool_get(c->cat, &pool, &e);
			break;
		case 1:
			r = scat_volume_each(c->cat, pass_volume, NULL, &e);
			break;
		case 2:
			r = scat_snapshot_each(c->cat, -1, pass_snapshot, NULL, &e);
			break;
		case 3:
			r = scat_undo_each(c->cat, -1, pass_undo, NULL, &e);
			break;
		case 4:
			r = scat_operation_each(c->cat, pass_operation, NULL, &e);
			break;
		case 5:
			r = scat_group_each(c->cat, pass_group, NULL, &e);
			break;
		case 6:
			r = scat_set_each(c->cat, -1, pass_set, NULL, &e);
			break;
		case 7:
			r = scat_quota_each(c->cat, pass_quota, NULL, &e);
			break;
		case 8:
			r = scat_extent_each(c->cat, 0, pass_extent, NULL, &e);
			break;
		default:
			r = scat_garbage_each(c->cat, pass_garbage, NULL, &e);
		}
		if (r == -EUCLEAN)
			r = c->finding(e.message, c->data);
		else if (r < 0 && err)
			*err = e;
	}
	return r;
}

int scat_check(struct scat *cat, int (*finding)(const char *line, void *data), void *data,
	       struct snapmgr_err *err)
{
	static const char integrity[] = "PRAGMA integrity_check(100)";
	static const char foreign[] = "SELECT \"table\"||' '||rowid||' names a row of '||parent||"
				      "' that is not there' FROM pragma_foreign_key_check";
	static const char thins[] =
		"SELECT thin||' is named '||count(*)||' times' FROM("
		"SELECT thin FROM volumes UNION ALL SELECT thin FROM snapshots UNION ALL "
		"SELECT thin FROM undos UNION ALL SELECT thin FROM garbage)"
		"WHERE thin IS NOT NULL GROUP BY thin HAVING count(*)>1";
	static const char window[] =
		"SELECT thin||' was never handed out' FROM("
		"SELECT thin FROM volumes UNION ALL SELECT thin FROM snapshots UNION ALL "
		"SELECT thin FROM undos)WHERE thin>=(SELECT max(next_thin,reserved_thin)FROM pool)";
	static const char sequence[] =
		"SELECT s.id||' is newer than its volume knows' FROM snapshots s "
		"JOIN volumes v ON v.id=s.volume WHERE s.sequence>v.sequence";
	static const char sets[] =
		"SELECT g.id||' is of '||g.members||' volumes and has '||count(s.id)||' snapshots'"
		"FROM group_snapshots g LEFT JOIN snapshots s ON s.taken_with=g.uuid GROUP BY g.id "
		"HAVING count(s.id)NOT BETWEEN 1 AND g.members";
	static const char quotas[] =
		"SELECT (SELECT count(*)FROM quotas)||' projects have quotas, and the pool knows of '||"
		"quotas FROM pool WHERE quotas<>(SELECT count(*)FROM quotas)";
	static const char overlaps[] =
		"SELECT start||' is id '||owner||'s and of another id, too' FROM(SELECT start,owner,"
		"max(start+len)OVER(ORDER BY start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)AS "
		"before FROM extents)WHERE before>start";
	static const char owners[] =
		"SELECT DISTINCT owner||' has room, and nothing names it' FROM extents WHERE owner NOT IN("
		"SELECT thin FROM volumes UNION ALL SELECT thin FROM snapshots UNION ALL "
		"SELECT thin FROM undos UNION ALL SELECT thin FROM garbage)";
	static const char homeless[] =
		"SELECT thin||' is named, and lies nowhere' FROM("
		"SELECT thin FROM volumes UNION ALL SELECT thin FROM snapshots UNION ALL "
		"SELECT thin FROM undos)WHERE (SELECT driver FROM pool)='cow' AND thin NOT IN("
		"SELECT owner FROM extents)";
	static const char merges[] =
		"SELECT volume||' takes on store '||store||', which is none of its' FROM merges m WHERE "
		"store NOT IN(SELECT thin FROM snapshots s WHERE s.volume=m.volume UNION ALL "
		"SELECT thin FROM undos u WHERE u.volume=m.volume)";
	struct checker c = { .cat = cat, .finding = finding, .data = data };
	int r = check_rows(&c, integrity, "catalogue: ", err);

	if (r == 0)
		r = check_rows(&c, foreign, "catalogue: ", err);
	if (r == 0)
		r = check_walks(&c, err);
	if (r == 0)
		r = check_rows(&c, thins, "catalogue: thin id ", err);
	if (r == 0)
		r = check_rows(&c, window, "catalogue: thin id ", err);
	if (r == 0)
		r = check_rows(&c, sequence, "catalogue: snapshot ", err);
	if (r == 0)
		r = check_rows(&c, sets, "catalogue: group snapshot ", err);
	if (r == 0)
		r = check_rows(&c, quotas, "catalogue: ", err);
	if (r == 0)
		r = check_rows(&c, overlaps, "catalogue: sector ", err);
	if (r == 0)
		r = check_rows(&c, owners, "catalogue: id ", err);
	if (r == 0)
		r = check_rows(&c, homeless, "catalogue: id ", err);
	if (r == 0)
		r = check_rows(&c, merges, "catalogue: volume ", err);
	return r;
}

static int sum_sizes(const struct scat_volume *v, void *data)
{
	uint64_t *sum = data;

	*sum = *sum > UINT64_MAX - v->c.size_bytes ? UINT64_MAX : *sum + v->c.size_bytes;
	return 0;
}

int scat_counts(struct scat *cat, struct scat_counts *ret, struct snapmgr_err *err)
{
	static const char sql[] =
		"SELECT(SELECT count(*)FROM volumes),(SELECT count(*)FROM snapshots),"
		"(SELECT count(*)FROM undos),(SELECT count(*)FROM garbage)";
	struct scat_counts counts = { 0 };
	sqlite3_stmt *stmt;
	int r = scat_query(cat, sql, NULL, &stmt, err);

	if (r < 0)
		return r;
	r = scat_step(cat, stmt, err);
	if (r > 0) {
		counts.volumes = (uint64_t)sqlite3_column_int64(stmt, 0);
		counts.snapshots = (uint64_t)sqlite3_column_int64(stmt, 1);
		counts.undos = (uint64_t)sqlite3_column_int64(stmt, 2);
		counts.garbage = (uint64_t)sqlite3_column_int64(stmt, 3);
	}
	scat_finish(cat, stmt);
	if (r > 0)
		r = scat_volume_each(cat, sum_sizes, &counts.virtual_bytes, err);
	if (r == 0)
		*ret = counts;
	return r;
}
