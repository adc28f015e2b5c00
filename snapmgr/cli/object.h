/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * object.h - one volume, snapshot or undo point as JSON, as lines, as a single property
 *
 * One table names the fields; everything that is said about an object comes from it.
 */
#ifndef CLI_OBJECT_H
#define CLI_OBJECT_H

#include "include/base.h"
#include "snapmgr/cli/json.h"

#define OBJECT_NAME (3 * SNAPMGR_NAME_MAX + 8)

/* object_name() - "p0/v@s1"; the UUID of a snapshot whose volume is gone */
const char *object_name(const struct snapmgr_object *o, char to[OBJECT_NAME]);

/* object_notes() - "active,latest,held": what is remarkable about it, in few words */
#define OBJECT_NOTES 128
const char *object_notes(const struct snapmgr_object *o, char to[OBJECT_NOTES]);

/* @space: with exclusive bytes */
void object_json(struct json *j, const struct snapmgr_object *o, bool space);
void object_lines(FILE *to, const struct snapmgr_object *o);

/**
 * object_property() - write one field, or "tag:KEY", as a plain value or as a member of @j
 * @key:   NULL: all that can be set, as "key: value" lines
 * @plain: where no JSON is wanted; else NULL
 */
int object_property(struct json *j, FILE *plain, const struct snapmgr_object *o, const char *key,
		    struct snapmgr_err *err);

#endif
