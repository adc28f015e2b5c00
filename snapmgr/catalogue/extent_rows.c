/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which part of the pool's data is whose, where the catalogue and not the kernel hands it out. */
#include <errno.h>
#include <inttypes.h>

#include "snapmgr/catalogue/internal.h"

static int read_extent(struct scat *cat, sqlite3_stmt *stmt, struct scat_extent *ret,
		       struct snapmgr_err *err)
{
	struct scat_row row = { .stmt = stmt };

	ret->start = (uint64_t)scat_row_int(&row, 0, INT64_MAX, "start");
	ret->len = (uint64_t)scat_row_int(&row, 1, INT64_MAX, "length");
	ret->owner = scat_row_thin(&row);
	ret->position = (uint64_t)scat_row_int(&row, 0, INT64_MAX, "position");
	if (!row.wrong && (!ret->owner || ret->start > INT64_MAX - ret->len))
		row.wrong = "end";
	return scat_row_end(cat, &row, "extent", sqlite3_column_int64(stmt, 0), err);
}

static int each(struct scat *cat, const char *sql, const struct scat_arg *args,
		scat_extent_fn *visit, void *data, struct snapmgr_err *err)
{
	struct scat_extent e;
	sqlite3_stmt *stmt;
	int r = scat_query(cat, sql, args, &stmt, err);

	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0) {
		r = read_extent(cat, stmt, &e, err);
		if (r == 0)
			r = visit(&e, data);
		if (r)
			break;
	}
	scat_finish(cat, stmt);
	return r;
}

int scat_extent_each(struct scat *cat, uint32_t owner, scat_extent_fn *visit, void *data,
		     struct snapmgr_err *err)
{
	static const char all[] = "SELECT start,len,owner,position FROM extents ORDER BY start";
	static const char one[] = "SELECT start,len,owner,position FROM extents WHERE owner=?1 "
				  "ORDER BY position";

	return owner ? each(cat, one, ARGS(ARG_INT(owner)), visit, data, err) :
		       each(cat, all, NULL, visit, data, err);
}

/* ---- what is free: between the rows, and behind the last ---- */

struct gap {
	uint64_t start, len;
};
struct gaps {
	struct gap *v; /* owned */
	size_t n;
	uint64_t end, sum; /* of the rows so far; of the gaps */
	bool overlap;
};

static int add_gap(struct gaps *g, uint64_t start, uint64_t end)
{
	struct gap *more;

	if (start >= end)
		return 0;
	more = reallocarray(g->v, g->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	g->v = more;
	g->v[g->n++] = (struct gap){ start, end - start };
	g->sum += end - start;
	return 0;
}

static int see(const struct scat_extent *e, void *data)
{
	struct gaps *g = data;
	int r = add_gap(g, g->end, e->start);

	g->overlap |= e->start < g->end;
	g->end = e->start + e->len;
	return r;
}

static int find_gaps(struct scat *cat, uint64_t from, uint64_t to, struct gaps *g,
		     struct snapmgr_err *err)
{
	int r;

	g->end = from;
	r = scat_extent_each(cat, 0, see, g, err);
	if (r == 0)
		r = add_gap(g, g->end, to);
	if (r == -ENOMEM)
		return sm_nomem(err);
	if (r == 0 && g->overlap)
		return scat_damaged(cat, err, "two extents lie over each other");
	return r;
}

/* First fit: the first gap that has room for all of it; where none has, from the first one on. */
static size_t first_fit(const struct gaps *g, uint64_t len)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->v[i].len >= len)
			return i;
	return 0;
}

static int insert(struct scat *cat, const struct scat_extent *e, struct snapmgr_err *err)
{
	static const char sql[] = "INSERT INTO extents(start,len,owner,position)"
				  "VALUES(?1,?2,?3,?4)";
	int r = scat_run(cat, sql,
			 ARGS(ARG_INT(e->start), ARG_INT(e->len), ARG_INT(e->owner),
			      ARG_INT(e->position)),
			 err);

	return r < 0 ? r : 0;
}

static int fill_gaps(struct scat *cat, const struct gaps *g, uint32_t owner, uint64_t len,
		     struct snapmgr_err *err)
{
	struct scat_extent e = { .owner = owner };
	int r = scat_extent_sum(cat, owner, &e.position, err);

	for (size_t i = first_fit(g, len); len > 0 && r == 0; i++) {
		e.start = g->v[i].start;
		e.len = g->v[i].len < len ? g->v[i].len : len;
		r = insert(cat, &e, err);
		e.position += e.len;
		len -= e.len;
	}
	return r;
}

int scat_extent_take(struct scat *cat, uint32_t owner, uint64_t len, uint64_t from, uint64_t to,
		     struct snapmgr_err *err)
{
	struct gaps g = { 0 };
	int r;

	if (!owner || owner > SCAT_THIN_MAX || !len || len > INT64_MAX || to > INT64_MAX)
		return sm_fail(err, SNAPMGR_INTERNAL, EINVAL, "no such extent can be recorded");
	r = scat_check_room(cat, err);
	if (r == 0)
		r = find_gaps(cat, from, to, &g, err);
	if (r == 0 && g.sum < len)
		r = sm_fail(err, SNAPMGR_NO_SPACE, ENOSPC,
			    "pool '%s' has %" PRIu64 " MiB left, and %" PRIu64 " are needed",
			    cat->subject, g.sum * SM_SECTOR / SM_MIB, len * SM_SECTOR / SM_MIB);
	if (r == 0)
		r = fill_gaps(cat, &g, owner, len, err);
	free(g.v);
	return r;
}

int scat_extent_cut(struct scat *cat, uint32_t owner, uint64_t len, struct snapmgr_err *err)
{
	static const char drop[] = "DELETE FROM extents WHERE owner=?1 AND position>=?2";
	static const char cut[] = "UPDATE extents SET len=?2-position WHERE owner=?1 "
				  "AND position+len>?2";
	int r = scat_run(cat, drop, ARGS(ARG_INT(owner), ARG_INT(len)), err);

	if (r >= 0)
		r = scat_run(cat, cut, ARGS(ARG_INT(owner), ARG_INT(len)), err);
	return r < 0 ? r : 0;
}

int scat_extent_free(struct scat *cat, uint32_t owner, struct snapmgr_err *err)
{
	static const char sql[] = "DELETE FROM extents WHERE owner=?1";
	int r = scat_run(cat, sql, ARGS(ARG_INT(owner)), err);

	return r < 0 ? r : 0;
}

int scat_extent_sum(struct scat *cat, uint32_t owner, uint64_t *ret, struct snapmgr_err *err)
{
	static const char all[] = "SELECT coalesce(sum(len),0) FROM extents";
	static const char one[] = "SELECT coalesce(sum(len),0) FROM extents WHERE owner=?1";
	int64_t sum = 0;
	int r = owner ? scat_number(cat, one, ARGS(ARG_INT(owner)), &sum, err) :
			scat_number(cat, all, NULL, &sum, err);

	if (r == 0)
		*ret = (uint64_t)sum;
	return r;
}

/* ---- volumes that take on the contents of a store ---- */

int scat_merge_get(struct scat *cat, int64_t volume, uint32_t *ret, struct snapmgr_err *err)
{
	static const char sql[] = "SELECT store FROM merges WHERE volume=?1";
	int64_t store = 0;
	int r = scat_number(cat, sql, ARGS(ARG_INT(volume)), &store, err);

	if (r == 0 && (store < 1 || store > SCAT_THIN_MAX))
		return scat_damaged(cat, err, "a merge has no store");
	if (r == 0)
		*ret = (uint32_t)store;
	return r;
}

int scat_merge_put(struct scat *cat, int64_t volume, uint32_t store, struct snapmgr_err *err)
{
	static const char sql[] = "INSERT INTO merges(volume,store)VALUES(?1,?2)";
	int r = scat_run(cat, sql, ARGS(ARG_INT(volume), ARG_INT(store)), err);

	return r < 0 ? r : 0;
}

int scat_merge_delete(struct scat *cat, int64_t volume, struct snapmgr_err *err)
{
	static const char sql[] = "DELETE FROM merges WHERE volume=?1";
	int r = scat_run(cat, sql, ARGS(ARG_INT(volume)), err);

	return r < 0 ? r : 0;
}

int scat_merge_any(struct scat *cat, struct snapmgr_err *err)
{
	static const char sql[] = "SELECT EXISTS(SELECT 1 FROM merges)";
	int64_t any = 0;
	int r = scat_number(cat, sql, NULL, &any, err);

	return r < 0 ? r : any != 0;
}
