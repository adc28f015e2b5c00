/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * row.c - columns into struct fields; everything on disk may be a lie
 */
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/internal.h"

static const char *const state_names[SCAT_STATES] = {
	[SCAT_CREATING] = "creating",
	[SCAT_AVAILABLE] = "available",
	[SCAT_SNAPSHOTTING] = "snapshotting",
	[SCAT_REVERTING] = "reverting",
	[SCAT_REVERTING_ERROR] = "reverting_error",
	[SCAT_EXTENDING] = "extending",
	[SCAT_SHRINKING] = "shrinking",
	[SCAT_RESTORING] = "restoring",
	[SCAT_DELETING] = "deleting",
	[SCAT_ERROR] = "error",
};

const uint32_t scat_volume_states = (SCAT_STATE_BIT(SCAT_STATES) - 1) &
				    ~SCAT_STATE_BIT(SCAT_RESTORING);
const uint32_t scat_snapshot_states = SCAT_STATE_BIT(SCAT_CREATING) |
				      SCAT_STATE_BIT(SCAT_AVAILABLE) |
				      SCAT_STATE_BIT(SCAT_RESTORING) |
				      SCAT_STATE_BIT(SCAT_DELETING) | SCAT_STATE_BIT(SCAT_ERROR);

const char *scat_state_name(enum scat_state state)
{
	return (unsigned int)state < SCAT_STATES ? state_names[state] : "unknown";
}

static void wrong(struct scat_row *row, const char *field)
{
	if (!row->wrong)
		row->wrong = field;
}

int64_t scat_row_int(struct scat_row *row, int64_t min, int64_t max, const char *field)
{
	int column = row->column++;
	int64_t value = sqlite3_column_int64(row->stmt, column);

	if (sqlite3_column_type(row->stmt, column) == SQLITE_INTEGER && value >= min &&
	    value <= max)
		return value;
	wrong(row, field);
	return min;
}

static bool is_null(struct scat_row *row)
{
	if (sqlite3_column_type(row->stmt, row->column) != SQLITE_NULL)
		return false;
	row->column++;
	return true;
}

int64_t scat_row_id(struct scat_row *row, const char *field)
{
	return is_null(row) ? 0 : scat_row_int(row, 1, INT64_MAX, field);
}

uint32_t scat_row_thin(struct scat_row *row)
{
	return is_null(row) ? 0 : (uint32_t)scat_row_int(row, 1, SCAT_THIN_MAX, "thin id");
}

bool scat_row_bool(struct scat_row *row, const char *field)
{
	return scat_row_int(row, 0, 1, field) != 0;
}

uint64_t scat_row_bytes(struct scat_row *row, const char *field)
{
	int64_t value = scat_row_int(row, 1, INT64_MAX, field);

	if (value % SM_SECTOR)
		wrong(row, field);
	return (uint64_t)value;
}

void scat_row_text(struct scat_row *row, char *to, size_t size, const char *field)
{
	int column = row->column++;
	const void *text = NULL;
	size_t len = 0;

	to[0] = '\0';
	if (sqlite3_column_type(row->stmt, column) == SQLITE_TEXT) {
		text = sqlite3_column_text(row->stmt, column);
		len = (size_t)sqlite3_column_bytes(row->stmt, column);
	}
	if (!text || len >= size || memchr(text, '\0', len)) {
		wrong(row, field);
		return;
	}
	memcpy(to, text, len);
	to[len] = '\0';
	if (!sm_utf8_valid(to))
		wrong(row, field);
}

void scat_row_name(struct scat_row *row, char *to, const char *field)
{
	scat_row_text(row, to, SNAPMGR_NAME_MAX + 1, field);
	if (sm_name_check(field, to, NULL) < 0)
		wrong(row, field);
}

void scat_row_uuid(struct scat_row *row, struct sm_uuid *ret, const char *field)
{
	int column = row->column++;
	const void *blob = NULL;

	memset(ret, 0, sizeof(*ret));
	if (sqlite3_column_type(row->stmt, column) == SQLITE_BLOB &&
	    sqlite3_column_bytes(row->stmt, column) == sizeof(ret->b))
		blob = sqlite3_column_blob(row->stmt, column);
	if (blob)
		memcpy(ret->b, blob, sizeof(ret->b));
	if (!blob || sm_uuid_is_null(ret))
		wrong(row, field);
}

void scat_row_uuid_or_null(struct scat_row *row, struct sm_uuid *ret, const char *field)
{
	memset(ret, 0, sizeof(*ret));
	if (!is_null(row))
		scat_row_uuid(row, ret, field);
}

int scat_row_end(struct scat *cat, const struct scat_row *row, const char *what, int64_t id,
		 struct snapmgr_err *err)
{
	if (!row->wrong)
		return 0;
	return scat_damaged(cat, err, "%s %lld has an impossible %s", what, (long long)id,
			    row->wrong);
}

static enum scat_state row_state(struct scat_row *row, uint32_t states)
{
	char text[24];

	scat_row_text(row, text, sizeof(text), "state");
	for (unsigned int i = 0; i < SCAT_STATES; i++)
		if ((states & SCAT_STATE_BIT(i)) && strcmp(text, state_names[i]) == 0)
			return (enum scat_state)i;
	wrong(row, "state");
	return SCAT_ERROR;
}

void scat_row_common(struct scat_row *row, int64_t *id, struct scat_common *c, uint32_t states)
{
	*id = scat_row_int(row, 1, INT64_MAX, "id");
	scat_row_uuid(row, &c->uuid, "UUID");
	scat_row_name(row, c->name, "name");
	scat_row_text(row, c->project, sizeof(c->project), "project");
	scat_row_text(row, c->label, sizeof(c->label), "label");
	scat_row_text(row, c->description, sizeof(c->description), "description");
	c->created_at_us = scat_row_int(row, 0, SCAT_TIME_MAX, "creation time");
	c->state = row_state(row, states);
	c->size_bytes = scat_row_bytes(row, "size");
	c->thin = scat_row_thin(row);
	c->parent = scat_row_id(row, "parent");
}

static const char *common_wrong(const struct scat_common *c, uint32_t states)
{
	if (sm_uuid_is_null(&c->uuid))
		return "UUID";
	if (sm_name_check("name", c->name, NULL) < 0)
		return "name";
	if (!sm_utf8_valid(c->project))
		return "project";
	if (!sm_utf8_valid(c->label))
		return "label";
	if (!sm_utf8_valid(c->description))
		return "description";
	if (c->created_at_us < 0 || c->created_at_us > SCAT_TIME_MAX)
		return "creation time";
	if ((unsigned int)c->state >= SCAT_STATES || !(states & SCAT_STATE_BIT(c->state)))
		return "state";
	if (c->size_bytes == 0 || c->size_bytes > INT64_MAX || c->size_bytes % SM_SECTOR)
		return "size";
	if (c->thin > SCAT_THIN_MAX)
		return "thin id";
	return c->parent < 0 ? "parent" : NULL;
}

int scat_common_check(const struct scat_common *c, uint32_t states, struct snapmgr_err *err)
{
	const char *field = common_wrong(c, states);

	if (!field)
		return 0;
	return sm_fail(err, SNAPMGR_INTERNAL, EINVAL, "'%s' cannot be recorded with such a %s",
		       c->name, field);
}
