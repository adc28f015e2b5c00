/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * quota_rows.c - limits, and what they are held against
 *
 * Use is counted from the rows that are its cause, never kept as a number of its own: so a commit
 * changes both at once, and no crash can part them. The indices by project hold all that is summed.
 */
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/internal.h"

/* ---- limits ---- */

static uint64_t row_limit(struct scat_row *row)
{
	if (sqlite3_column_type(row->stmt, row->column) != SQLITE_NULL)
		return (uint64_t)scat_row_int(row, 0, INT64_MAX, "limit");
	row->column++;
	return SNAPMGR_UNLIMITED;
}

static int read_quota(struct scat *cat, sqlite3_stmt *stmt, void *ret, struct snapmgr_err *err)
{
	struct scat_row row = { .stmt = stmt };
	struct scat_quota q = { 0 };

	scat_row_text(&row, q.project, sizeof(q.project), "project");
	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++)
		q.limit[i] = row_limit(&row);
	if (row.wrong)
		return scat_damaged(cat, err, "the quota of a project has an impossible %s",
				    row.wrong);
	memcpy(ret, &q, sizeof(q));
	return 0;
}

#define SELECT "SELECT project,volumes,snapshots,volume_bytes,snapshot_bytes FROM quotas "

int scat_quota_get(struct scat *cat, const char *project, struct scat_quota *ret,
		   struct snapmgr_err *err)
{
	static const char sql[] = SELECT "WHERE project=?1";

	return scat_get(cat, sql, ARGS(ARG_TEXT(project)), read_quota, ret, err);
}

int scat_quota_each(struct scat *cat, scat_quota_fn *visit, void *data, struct snapmgr_err *err)
{
	static const char sql[] = SELECT "ORDER BY project";
	struct scat_quota q;
	sqlite3_stmt *stmt;
	int r = scat_query(cat, sql, NULL, &stmt, err);

	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0) {
		r = read_quota(cat, stmt, &q, err);
		if (r == 0)
			r = visit(&q, data);
		if (r)
			break;
	}
	scat_finish(cat, stmt);
	return r;
}

/* Above INT64_MAX nothing can be: no limit. SQLite writes -1 as null. */
static int64_t limit_arg(uint64_t limit)
{
	return limit > INT64_MAX ? -1 : (int64_t)limit;
}

static bool has_limit(const struct scat_quota *q)
{
	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++)
		if (q->limit[i] <= INT64_MAX)
			return true;
	return false;
}

static int write_row(struct scat *cat, const struct scat_quota *q, struct snapmgr_err *err)
{
	static const char put[] =
		"REPLACE INTO quotas(project,volumes,snapshots,volume_bytes,snapshot_bytes)"
		"VALUES(?1,nullif(?2,-1),nullif(?3,-1),nullif(?4,-1),nullif(?5,-1))";
	static const char drop[] = "DELETE FROM quotas WHERE project=?1";
	int r;

	if (!has_limit(q))
		return scat_run(cat, drop, ARGS(ARG_TEXT(q->project)), err);
	r = scat_check_room(cat, err);
	if (r < 0)
		return r;
	return scat_run(cat, put,
			ARGS(ARG_TEXT(q->project), ARG_INT(limit_arg(q->limit[SNAPMGR_VOLUMES])),
			     ARG_INT(limit_arg(q->limit[SNAPMGR_SNAPSHOTS])),
			     ARG_INT(limit_arg(q->limit[SNAPMGR_VOLUME_BYTES])),
			     ARG_INT(limit_arg(q->limit[SNAPMGR_SNAPSHOT_BYTES]))),
			err);
}

int scat_quota_put(struct scat *cat, const struct scat_quota *q, struct snapmgr_err *err)
{
	static const char count[] = "UPDATE pool SET quotas=(SELECT count(*)FROM quotas)WHERE id=1";
	int r;

	if (!sm_utf8_valid(q->project))
		return sm_fail(err, SNAPMGR_INTERNAL, EINVAL,
			       "a quota cannot be recorded for such a project");
	r = write_row(cat, q, err);
	if (r >= 0)
		r = scat_run(cat, count, NULL, err);
	return r < 0 ? r : 0;
}

/* ---- use ---- */

/*
 * Each answers a sum in two halves, of the upper and the lower 32 bits of its parts: a sum of sizes as
 * such may pass 64 bits, at which SQLite gives up.
 */
#define COUNT	     "SELECT 0,count(*)FROM "
#define SUM(b, from) "SELECT coalesce(sum(" b ">>32),0),coalesce(sum(" b "&4294967295),0)FROM " from
#define OWNED	     " WHERE project=?1 AND project<>''" /* as the indices have it */
/* Rows in transition are those that an operation names: few. ?1 is the project, '' the whole pool. */
#define UNDER_WAY(kind) \
	"operations o JOIN " kind "s t ON t.id=o." kind " WHERE(?1='' OR t.project=?1)"

static const struct {
	const char *all, *owned, *creating;
} questions[] = {
	[SNAPMGR_VOLUMES] = { COUNT "volumes", COUNT "volumes" OWNED,
			      COUNT UNDER_WAY("volume") "AND t.state='creating'" },
	[SNAPMGR_SNAPSHOTS] = { COUNT "snapshots", COUNT "snapshots" OWNED,
				COUNT UNDER_WAY("snapshot") "AND t.state='creating'" },
	[SNAPMGR_VOLUME_BYTES] = { SUM("size", "volumes"), SUM("size", "volumes") OWNED,
				   SUM("t.size", UNDER_WAY("volume") "AND t.state='creating'") },
	[SNAPMGR_SNAPSHOT_BYTES] = { SUM("size", "snapshots"), SUM("size", "snapshots") OWNED,
				     SUM("t.size",
					 UNDER_WAY("snapshot") "AND t.state='creating'") },
};
static const char growth[] = SUM(
	"(o.new_size-t.size)", UNDER_WAY("volume") "AND t.state<>'creating' AND o.new_size>t.size");

static uint64_t put_together(int64_t high, int64_t low)
{
	uint64_t sum = (uint64_t)low + ((uint64_t)high << 32);

	if (high > INT32_MAX || sum > INT64_MAX)
		return INT64_MAX;
	return sum;
}

static int read_sum(struct scat *cat, sqlite3_stmt *stmt, void *ret, struct snapmgr_err *err)
{
	int64_t high = sqlite3_column_int64(stmt, 0), low = sqlite3_column_int64(stmt, 1);

	if (high < 0 || low < 0)
		return scat_damaged(cat, err, "it has impossible sizes");
	*(uint64_t *)ret = put_together(high, low);
	return 0;
}

int scat_usage(struct scat *cat, const char *project, enum snapmgr_resource resource,
	       struct scat_usage *ret, struct snapmgr_err *err)
{
	const struct scat_arg *args = ARGS(ARG_TEXT(project));
	uint64_t all = 0, creating = 0, more = 0;
	int r = *project ? scat_get(cat, questions[resource].owned, args, read_sum, &all, err) :
			   scat_get(cat, questions[resource].all, NULL, read_sum, &all, err);

	if (r == 0)
		r = scat_get(cat, questions[resource].creating, args, read_sum, &creating, err);
	if (r == 0 && resource == SNAPMGR_VOLUME_BYTES)
		r = scat_get(cat, growth, args, read_sum, &more, err);
	if (r < 0)
		return r;
	ret->in_use = all > creating ? all - creating : 0;
	ret->reserved = more > INT64_MAX - creating ? INT64_MAX : creating + more;
	return 0;
}

int scat_project_each(struct scat *cat, scat_project_fn *visit, void *data, struct snapmgr_err *err)
{
	static const char sql[] =
		"SELECT ''UNION SELECT project FROM quotas UNION SELECT project FROM volumes WHERE "
		"project<>''UNION SELECT project FROM snapshots WHERE project<>''ORDER BY 1";
	char project[SNAPMGR_LABEL_MAX + 1];
	sqlite3_stmt *stmt;
	int r = scat_query(cat, sql, NULL, &stmt, err);

	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0) {
		struct scat_row row = { .stmt = stmt };

		scat_row_text(&row, project, sizeof(project), "project");
		r = row.wrong ? scat_damaged(cat, err, "a project has an impossible name") :
				visit(project, data);
		if (r)
			break;
	}
	scat_finish(cat, stmt);
	return r;
}
