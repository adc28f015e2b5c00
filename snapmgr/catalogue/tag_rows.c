/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/internal.h"

#define TAGS_MAX 1024u /* of one object; more is no honest catalogue */

static int read_tag(struct scat *cat, sqlite3_stmt *stmt, struct snapmgr_tag *tag,
		    struct snapmgr_err *err)
{
	struct scat_row row = { .stmt = stmt };

	scat_row_text(&row, tag->key, sizeof(tag->key), "key");
	scat_row_text(&row, tag->value, sizeof(tag->value), "value");
	return row.wrong ? scat_damaged(cat, err, "a tag has an impossible %s", row.wrong) : 0;
}

/* Return: room for one more tag, or NULL. */
static struct snapmgr_tag *grow(struct snapmgr_tag **tags, size_t n)
{
	struct snapmgr_tag *more;

	if (n % 16)
		return *tags + n;
	more = reallocarray(*tags, n + 16, sizeof(*more));
	if (!more)
		return NULL;
	*tags = more;
	return more + n;
}

int scat_tags_get(struct scat *cat, const struct sm_uuid *object, struct snapmgr_tag **ret,
		  size_t *ret_n, struct snapmgr_err *err)
{
	static const char sql[] = "SELECT key,value FROM tags WHERE object=?1 ORDER BY key";
	struct snapmgr_tag *tags = NULL, *tag;
	sqlite3_stmt *stmt;
	size_t n = 0;
	int r = scat_query(cat, sql, ARGS(ARG_UUID(object)), &stmt, err);

	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0) {
		tag = grow(&tags, n++);
		if (!tag)
			r = sm_nomem(err);
		else if (n > TAGS_MAX)
			r = scat_damaged(cat, err, "an object has too many tags");
		else
			r = read_tag(cat, stmt, tag, err);
		if (r < 0)
			break;
	}
	scat_finish(cat, stmt);
	if (r < 0) {
		free(tags);
		return r;
	}
	*ret = tags;
	*ret_n = n;
	return 0;
}

int scat_tagged_each(struct scat *cat, scat_uuid_fn *visit, void *data, struct snapmgr_err *err)
{
	static const char sql[] = "SELECT DISTINCT object FROM tags ORDER BY object";
	sqlite3_stmt *stmt;
	int r = scat_query(cat, sql, NULL, &stmt, err);

	if (r < 0)
		return r;
	while ((r = scat_step(cat, stmt, err)) > 0) {
		struct scat_row row = { .stmt = stmt };
		struct sm_uuid uuid;

		scat_row_uuid(&row, &uuid, "object");
		r = row.wrong ? scat_damaged(cat, err, "a tag has an impossible object") :
				visit(&uuid, data);
		if (r)
			break;
	}
	scat_finish(cat, stmt);
	return r;
}

static int count_tags(struct scat *cat, const struct sm_uuid *object, const char *key,
		      struct snapmgr_err *err)
{
	static const char sql[] = "SELECT count(*) FROM tags WHERE object=?1 AND key<>?2";
	int64_t n = 0;
	int r = scat_number(cat, sql, ARGS(ARG_UUID(object), ARG_TEXT(key)), &n, err);

	if (r == 0 && n >= TAGS_MAX)
		return sm_fail(err, SNAPMGR_UNSUPPORTED, E2BIG, "an object has at most %u tags",
			       TAGS_MAX);
	return r;
}

int scat_tag_set(struct scat *cat, const struct sm_uuid *object, const char *key, const char *value,
		 struct snapmgr_err *err)
{
	static const char set[] = "INSERT INTO tags(object,key,value)VALUES(?1,?2,?3)"
				  "ON CONFLICT DO UPDATE SET value=excluded.value";
	static const char drop[] = "DELETE FROM tags WHERE object=?1 AND key=?2";
	int r;

	if (!value || !*value) {
		r = scat_run(cat, drop, ARGS(ARG_UUID(object), ARG_TEXT(key)), err);
		return r < 0 ? r : 0;
	}
	if (!*key || strlen(key) > SNAPMGR_LABEL_MAX || strlen(value) > SNAPMGR_LABEL_MAX ||
	    !sm_utf8_valid(key) || !sm_utf8_valid(value))
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "a tag's key and value have 1 to %d bytes of UTF-8 text",
			       SNAPMGR_LABEL_MAX);
	r = count_tags(cat, object, key, err);
	if (r == 0)
		r = scat_check_room(cat, err);
	if (r == 0)
		r = scat_run(cat, set, ARGS(ARG_UUID(object), ARG_TEXT(key), ARG_TEXT(value)), err);
	return r < 0 ? r : 0;
}
