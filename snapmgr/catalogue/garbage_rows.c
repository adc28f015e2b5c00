/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "snapmgr/catalogue/internal.h"

int scat_garbage_add(struct scat *cat, uint32_t thin, struct snapmgr_err *err)
{
	static const char sql[] = "INSERT INTO garbage(thin)VALUES(?1)ON CONFLICT DO NOTHING";
	int r;

	if (thin == 0 || thin > SCAT_THIN_MAX)
		return sm_fail(err, SNAPMGR_INTERNAL, EINVAL, "thin id %u cannot be garbage", thin);
	r = scat_run(cat, sql, ARGS(ARG_INT(thin)), err);
	return r < 0 ? r : 0;
}

int scat_garbage_remove(struct scat *cat, uint32_t thin, struct snapmgr_err *err)
{
	static const char sql[] = "DELETE FROM garbage WHERE thin=?1";
	int r = scat_run(cat, sql, ARGS(ARG_INT(thin)), err);

	return r < 0 ? r : 0;
}

int scat_garbage_each(struct scat *cat, int (*visit)(uint32_t thin, void *data), void *data,
		      struct snapmgr_err *err)
{
	static const char sql[] = "SELECT thin FROM garbage ORDER BY thin";
	sqlite3_stmt *stmt;
	int r = scat_query(cat, sql, NULL, &stmt, err);

	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0) {
		struct scat_row row = { .stmt = stmt };
		uint32_t thin = scat_row_thin(&row);

		r = scat_row_end(cat, &row, "garbage", sqlite3_column_int64(stmt, 0), err);
		if (r == 0)
			r = visit(thin, data);
		if (r)
			break;
	}
	scat_finish(cat, stmt);
	return r;
}

int scat_thin_named(struct scat *cat, uint32_t thin, struct snapmgr_err *err)
{
	static const char sql[] = "SELECT EXISTS(SELECT 1 FROM volumes WHERE thin=?1)"
				  "OR EXISTS(SELECT 1 FROM snapshots WHERE thin=?1)"
				  "OR EXISTS(SELECT 1 FROM undos WHERE thin=?1)"
				  "OR EXISTS(SELECT 1 FROM operations WHERE thin=?1)"
				  "OR EXISTS(SELECT 1 FROM garbage WHERE thin=?1)";
	int64_t named = 0;
	int r = scat_number(cat, sql, ARGS(ARG_INT(thin)), &named, err);

	return r < 0 ? r : named != 0;
}
