/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/internal.h"

static int read_property(struct scat *cat, sqlite3_stmt *stmt, void *ret, struct snapmgr_err *err)
{
	struct scat_row row = { .stmt = stmt };
	struct snapmgr_tag p = { 0 };
	int r;

	scat_row_text(&row, p.key, sizeof(p.key), "key");
	scat_row_text(&row, p.value, sizeof(p.value), "value");
	r = scat_row_end(cat, &row, "property", 0, err);
	if (r == 0)
		memcpy(ret, &p, sizeof(p));
	return r;
}

int scat_property_each(struct scat *cat, int (*visit)(const struct snapmgr_tag *p, void *data),
		       void *data, struct snapmgr_err *err)
{
	static const char sql[] = "SELECT key,value FROM properties ORDER BY key";
	struct snapmgr_tag p;
	sqlite3_stmt *stmt;
	int r = scat_query(cat, sql, NULL, &stmt, err);

	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0) {
		r = read_property(cat, stmt, &p, err);
		if (r == 0)
			r = visit(&p, data);
		if (r)
			break;
	}
	scat_finish(cat, stmt);
	return r;
}

int scat_property_set(struct scat *cat, const char *key, const char *value, struct snapmgr_err *err)
{
	static const char set[] = "INSERT INTO properties(key,value)VALUES(?1,?2)"
				  "ON CONFLICT DO UPDATE SET value=?2";
	static const char unset[] = "DELETE FROM properties WHERE key=?1";
	int r;

	if (!value || !*value) {
		r = scat_run(cat, unset, ARGS(ARG_TEXT(key)), err);
		return r < 0 ? r : 0;
	}
	if (!sm_utf8_valid(key) || !sm_utf8_valid(value))
		return sm_fail(err, SNAPMGR_INTERNAL, EINVAL, "such a property cannot be recorded");
	r = scat_check_room(cat, err);
	if (r == 0)
		r = scat_run(cat, set, ARGS(ARG_TEXT(key), ARG_TEXT(value)), err);
	return r < 0 ? r : 0;
}
