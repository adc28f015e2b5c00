/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dump_read.c - the text of a dump taken apart
 *
 * The one file that knows the JSON library. Jansson refuses what is not UTF-8, a key that comes twice,
 * a NUL, an integer beyond 64 bits, and nesting without end.
 */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "snapmgr/catalogue/dump.h"
#include "snapmgr/catalogue/internal.h"

struct scat_dump {
	json_t *root;	/* owned */
	json_t *tables; /* of it */
	struct sm_uuid uuid;
	char name[SNAPMGR_NAME_MAX + 1];
};

static int damaged(struct snapmgr_err *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static int damaged(struct snapmgr_err *err, const char *fmt, ...)
{
	char what[400];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	for (char *p = what; *p; p++) /* it may quote the text */
		*p = (unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f ? '?' : *p;
	return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN, "this is no whole dump: %s", what);
}

void scat_dump_free(struct scat_dump *dump)
{
	if (!dump)
		return;
	json_decref(dump->root);
	free(dump);
}

static int check_number(const json_t *root, const char *key, json_int_t known,
			struct snapmgr_err *err)
{
	const json_t *v = json_object_get(root, key);

	if (!json_is_integer(v))
		return damaged(err, "'%s' is no number", key);
	if (json_integer_value(v) > known)
		return sm_fail(
			err, SNAPMGR_NEWER_VERSION, EPROTONOSUPPORT,
			"the dump has %s %lld, and this program knows %lld: use a newer snapmgr",
			key, (long long)json_integer_value(v), (long long)known);
	return json_integer_value(v) == known ?
		       0 :
		       damaged(err, "'%s' is %lld", key, (long long)json_integer_value(v));
}

static int check_value(const char *table, size_t row, const char *column, const json_t *v,
		       struct snapmgr_err *err)
{
	if (json_is_null(v) || json_is_integer(v))
		return 0;
	if (json_is_string(v) && json_string_length(v) <= SNAPMGR_DESC_MAX &&
	    sm_utf8_valid(json_string_value(v)))
		return 0;
	return damaged(err, "row %zu of table '%s' has an impossible '%.60s'", row, table, column);
}

static int check_table(const char *table, const json_t *rows, struct snapmgr_err *err)
{
	const json_t *row, *v;
	const char *column;
	size_t i;
	int r = 0;

	if (!json_is_array(rows))
		return damaged(err, "there is no table '%s'", table);
	json_array_foreach((json_t *)rows, i, row)
	{
		if (!json_is_object(row))
			return damaged(err, "row %zu of table '%s' is none", i + 1, table);
		json_object_foreach((json_t *)row, column, v)
		{
			r = check_value(table, i + 1, column, v, err);
			if (r < 0)
				return r;
		}
	}
	return r;
}

static int check_tables(const struct scat_dump *dump, struct snapmgr_err *err)
{
	const char *table;
	size_t n = 0;
	int r = 0;

	for (; r == 0 && (table = scat_schema_lasting(n)); n++)
		r = check_table(table, json_object_get(dump->tables, table), err);
	if (r == 0 && json_object_size(dump->tables) != n)
		r = damaged(err, "it has a table that is not known");
	return r;
}

static int read_head(struct scat_dump *dump, struct snapmgr_err *err)
{
	const char *uuid = json_string_value(json_object_get(dump->root, "uuid"));
	const char *name = json_string_value(json_object_get(dump->root, "pool"));
	int r = check_number(dump->root, "snapmgr_dump", SCAT_DUMP_VERSION, err);

	if (r == 0)
		r = check_number(dump->root, "schema", SCAT_SCHEMA, err);
	if (r < 0)
		return r;
	dump->tables = json_object_get(dump->root, "tables");
	if (!uuid || !sm_uuid_parse(uuid, &dump->uuid) || sm_uuid_is_null(&dump->uuid))
		return damaged(err, "it does not say of which pool it is");
	if (!name || sm_name_check("pool name", name, NULL) < 0)
		return damaged(err, "its pool has an impossible name");
	(void)sm_copy_text(dump->name, sizeof(dump->name), name);
	return json_is_object(dump->tables) ? check_tables(dump, err) :
					      damaged(err, "it has no tables");
}

int scat_dump_parse(const char *text, size_t len, struct scat_dump **ret, struct snapmgr_err *err)
{
	AUTO(scat_dump_free) struct scat_dump *dump = calloc(1, sizeof(*dump));
	json_error_t why;
	int r;

	if (!dump)
		return sm_nomem(err);
	if (len > SCAT_DUMP_MAX_BYTES)
		return damaged(err, "it is too large");
	dump->root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!dump->root && json_error_code(&why) == json_error_out_of_memory)
		return sm_nomem(err);
	if (!dump->root)
		return damaged(err, "line %d: %s", why.line, why.text);
	r = json_is_object(dump->root) ? read_head(dump, err) : damaged(err, "it is no object");
	if (r < 0)
		return r;
	*ret = dump;
	dump = NULL;
	return 0;
}

void scat_dump_pool(const struct scat_dump *dump, struct sm_uuid *ret_uuid,
		    char ret_name[SNAPMGR_NAME_MAX + 1])
{
	*ret_uuid = dump->uuid;
	memcpy(ret_name, dump->name, sizeof(dump->name));
}

size_t scat_dump_rows(const struct scat_dump *dump, const char *table)
{
	return json_array_size(json_object_get(dump->tables, table));
}

static const json_t *row_at(const struct scat_dump *dump, const char *table, size_t row)
{
	return json_array_get(json_object_get(dump->tables, table), row);
}

size_t scat_dump_columns(const struct scat_dump *dump, const char *table, size_t row)
{
	return json_object_size(row_at(dump, table, row));
}

bool scat_dump_value(const struct scat_dump *dump, const char *table, size_t row,
		     const char *column, struct scat_dump_value *ret)
{
	const json_t *v = json_object_get(row_at(dump, table, row), column);

	*ret = (struct scat_dump_value){ .kind = SCAT_DUMP_NULL };
	if (json_is_integer(v)) {
		ret->kind = SCAT_DUMP_INT;
		ret->i = json_integer_value(v);
	} else if (json_is_string(v)) {
		ret->kind = SCAT_DUMP_TEXT;
		ret->text = json_string_value(v);
	}
	return v != NULL;
}
