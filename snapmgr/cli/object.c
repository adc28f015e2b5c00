/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "snapmgr/cli/object.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/cli/args.h"
#include "snapmgr/cli/text.h"

enum type { TEXT, BYTES, NUMBER, NUMBER32, TIME, BOOL, TAGS, PARTS };

#define VOLUME	 (1u << SNAPMGR_VOLUME)
#define SNAPSHOT (1u << SNAPMGR_SNAPSHOT)
#define UNDO	 (1u << SNAPMGR_UNDO)
#define GROUP	 (1u << SNAPMGR_GROUP)
#define SET	 (1u << SNAPMGR_GROUP_SNAPSHOT)
#define ALL	 (VOLUME | SNAPSHOT | UNDO)
#define GROUPS	 (GROUP | SET)
#define MAPPED	 256u  /* applies while it is active */
#define ON_ASK	 512u  /* in JSON only where it was asked for */
#define JSON	 1024u /* said to programs, not to people */

struct field {
	const char *name;
	enum type type;
	size_t at;
	unsigned traits;   /* kinds that have it, and the flags above */
	unsigned settable; /* kinds of which it can be set */
};

#define AT(field) offsetof(struct snapmgr_object, field)

static const struct field fields[] = {
	{ "name", TEXT, AT(name), ALL | GROUPS | JSON, 0 },
	{ "uuid", TEXT, AT(uuid), ALL | GROUPS, 0 },
	{ "pool", TEXT, AT(pool), ALL | GROUPS | JSON, 0 },
	{ "volume", TEXT, AT(volume), SNAPSHOT | UNDO | JSON, 0 },
	{ "group", TEXT, AT(group), VOLUME | SET, 0 },
	{ "members", PARTS, AT(parts), GROUPS, 0 },
	{ "members_taken", NUMBER, AT(parts_taken), SET, 0 },
	{ "driver", TEXT, AT(driver), ALL | GROUPS, 0 },
	{ "size", BYTES, AT(size_bytes), ALL | GROUPS, 0 },
	{ "used", BYTES, AT(used_bytes), ALL | SET, 0 },
	{ "exclusive", BYTES, AT(exclusive_bytes), ALL | ON_ASK, 0 },
	{ "state", TEXT, AT(state), ALL | GROUPS, 0 },
	{ "created_at", TIME, AT(created_at_us), ALL | GROUPS, 0 },
	{ "sequence", NUMBER, AT(sequence), ALL, 0 },
	{ "parent", TEXT, AT(parent), ALL, 0 },
	{ "parent_name", TEXT, AT(parent_name), ALL, 0 },
	{ "snapshot_of", TEXT, AT(snapshot_of), SNAPSHOT | UNDO | SET, 0 },
	{ "taken_with", TEXT, AT(taken_with), SNAPSHOT, 0 },
	{ "latest", BOOL, AT(latest), SNAPSHOT | SET, 0 },
	{ "hold", BOOL, AT(hold), SNAPSHOT | SET, 0 },
	{ "active", BOOL, AT(active), ALL, 0 },
	{ "device", TEXT, AT(device), ALL, 0 },
	{ "dm_name", TEXT, AT(dm_name), ALL, 0 },
	{ "major", NUMBER32, AT(major), ALL | MAPPED, 0 },
	{ "minor", NUMBER32, AT(minor), ALL | MAPPED, 0 },
	{ "project", TEXT, AT(project), VOLUME | SNAPSHOT | GROUPS, VOLUME | SNAPSHOT | GROUP },
	{ "label", TEXT, AT(label), ALL | GROUPS, VOLUME | SNAPSHOT | GROUP },
	{ "description", TEXT, AT(description), ALL | GROUPS, VOLUME | SNAPSHOT | GROUP },
	{ "autostart", BOOL, AT(autostart), VOLUME, VOLUME },
	{ "guest", BOOL, AT(guest), VOLUME, VOLUME },
	{ "undo_keep", NUMBER32, AT(undo_keep), VOLUME, VOLUME },
	{ "revert_to_snapshot_support", BOOL, AT(revert_support), VOLUME | SNAPSHOT, VOLUME },
	{ "tags", TAGS, AT(tags), ALL | GROUPS, 0 },
};

static const char *kind_name(enum snapmgr_kind kind)
{
	static const char *const names[] = {
		[SNAPMGR_VOLUME] = "volume",
		[SNAPMGR_SNAPSHOT] = "snapshot",
		[SNAPMGR_UNDO] = "undo",
		[SNAPMGR_GROUP] = "group",
		[SNAPMGR_GROUP_SNAPSHOT] = "group_snapshot",
	};

	return (size_t)kind < SM_ARRAY(names) ? names[kind] : "unknown";
}

const char *object_name(const struct snapmgr_object *o, char to[OBJECT_NAME])
{
	if (o->kind == SNAPMGR_VOLUME || o->kind == SNAPMGR_GROUP)
		(void)snprintf(to, OBJECT_NAME, "%s/%s", o->pool, o->name);
	else if (o->kind == SNAPMGR_GROUP_SNAPSHOT)
		(void)snprintf(to, OBJECT_NAME, "%s/%s@%s", o->pool, o->group, o->name);
	else if (*o->volume)
		(void)snprintf(to, OBJECT_NAME, "%s/%s@%s", o->pool, o->volume, o->name);
	else
		(void)snprintf(to, OBJECT_NAME, "%s", o->uuid);
	return to;
}

/* What belongs to a group says so. */
static void group_note(const struct snapmgr_object *o, char *to, size_t size)
{
	to[0] = '\0';
	if (o->kind == SNAPMGR_GROUP)
		(void)snprintf(to, size, "group of %zu", o->n_parts);
	else if (o->kind == SNAPMGR_GROUP_SNAPSHOT)
		(void)snprintf(to, size, "%zu of %" PRIu64, o->n_parts, o->parts_taken);
	else if (o->kind == SNAPMGR_VOLUME && *o->group)
		(void)snprintf(to, size, "in %s", o->group);
}

const char *object_notes(const struct snapmgr_object *o, char to[OBJECT_NOTES])
{
	const bool taken = o->kind == SNAPMGR_SNAPSHOT || o->kind == SNAPMGR_GROUP_SNAPSHOT;
	char group[SNAPMGR_NAME_MAX + 8];
	const struct {
		bool is;
		const char *word;
	} notes[] = {
		{ o->active, "active" }, { taken && o->latest, "latest" },
		{ o->hold, "held" },	 { o->guest, "guest" },
		{ true, group },
	};
	size_t len = 0;

	group_note(o, group, sizeof(group));
	to[0] = '\0';
	for (size_t i = 0; i < SM_ARRAY(notes); i++)
		if (notes[i].is && *notes[i].word)
			len += (size_t)snprintf(to + len, OBJECT_NOTES - len, "%s%s",
						len ? "," : "", notes[i].word);
	return to;
}

static uint64_t number_of(const struct field *f, const struct snapmgr_object *o)
{
	const void *at = (const char *)o + f->at;

	switch (f->type) {
	case NUMBER32:
		return *(const uint32_t *)at;
	case BOOL:
		return *(const bool *)at;
	case TIME:
		return (uint64_t) * (const int64_t *)at;
	default:
		return *(const uint64_t *)at;
	}
}

static const char *text_of(const struct field *f, const struct snapmgr_object *o)
{
	return (const char *)o + f->at;
}

/* Whether @o has such a thing at all; what it has not is null, or not mentioned. */
static bool applies(const struct field *f, const struct snapmgr_object *o)
{
	if (!(f->traits & 1u << o->kind) || (f->traits & MAPPED && !o->active))
		return false;
	if (f->type == TEXT)
		return *text_of(f, o);
	return f->type == TAGS || f->type == PARTS || f->type == BOOL ||
	       number_of(f, o) != UINT64_MAX;
}

static void tags_json(struct json *j, const struct snapmgr_object *o)
{
	json_object(j);
	for (size_t i = 0; o->tags && i < o->n_tags; i++) {
		json_key(j, o->tags[i].key);
		json_text(j, o->tags[i].value);
	}
	json_end(j);
}

static void parts_json(struct json *j, const struct snapmgr_object *o)
{
	json_array(j);
	for (size_t i = 0; o->parts && i < o->n_parts; i++) {
		json_object(j);
		json_key(j, "name");
		json_text(j, o->parts[i].name);
		json_key(j, "uuid");
		json_text(j, o->parts[i].uuid);
		json_end(j);
	}
	json_end(j);
}

static void value_json(struct json *j, const struct field *f, const struct snapmgr_object *o)
{
	if (!applies(f, o)) {
		json_null(j);
		return;
	}
	switch (f->type) {
	case TEXT:
		json_text(j, text_of(f, o));
		break;
	case TIME:
		json_time(j, (int64_t)number_of(f, o));
		break;
	case BOOL:
		json_bool(j, number_of(f, o));
		break;
	case TAGS:
		tags_json(j, o);
		break;
	case PARTS:
		parts_json(j, o);
		break;
	case BYTES:
	case NUMBER:
	case NUMBER32:
		json_uint(j, number_of(f, o));
	}
}

void object_json(struct json *j, const struct snapmgr_object *o, bool space)
{
	json_object(j);
	json_key(j, "kind");
	json_text(j, kind_name(o->kind));
	for (const struct field *f = fields; f < fields + SM_ARRAY(fields); f++) {
		if (f->traits & ON_ASK && !space)
			continue;
		json_key(j, f->name);
		value_json(j, f, o);
	}
	json_end(j);
}

/* @people: sizes with units and bytes; else the bare number, for scripts */
static void value_plain(FILE *to, const struct field *f, const struct snapmgr_object *o,
			bool people)
{
	char text[TEXT_TIME], human[TEXT_SIZE];

	if (!applies(f, o))
		return;
	switch (f->type) {
	case TEXT:
		text_plain(to, text_of(f, o));
		break;
	case TIME:
		(void)fputs(text_time((int64_t)number_of(f, o), text), to);
		break;
	case BOOL:
		(void)fputs(number_of(f, o) ? "on" : "off", to);
		break;
	case BYTES:
		if (people)
			(void)fprintf(to, "%s (%" PRIu64 " bytes)",
				      text_size(number_of(f, o), human), number_of(f, o));
		else
			(void)fprintf(to, "%" PRIu64, number_of(f, o));
		break;
	case NUMBER:
	case NUMBER32:
		(void)fprintf(to, "%" PRIu64, number_of(f, o));
		break;
	case PARTS:
		for (size_t i = 0; o->parts && i < o->n_parts; i++)
			(void)fprintf(to, "%s%s", i ? " " : "", o->parts[i].name);
		break;
	case TAGS:
		break;
	}
}

static void tag_lines(FILE *to, const struct snapmgr_object *o)
{
	for (size_t i = 0; o->tags && i < o->n_tags; i++) {
		(void)fputs("tag:", to);
		text_plain(to, o->tags[i].key);
		(void)fputs(": ", to);
		text_plain(to, o->tags[i].value);
		(void)putc('\n', to);
	}
}

static void line(FILE *to, const struct field *f, const struct snapmgr_object *o, bool people)
{
	(void)fprintf(to, "%s: ", f->name);
	value_plain(to, f, o, people);
	(void)putc('\n', to);
}

void object_lines(FILE *to, const struct snapmgr_object *o)
{
	char name[OBJECT_NAME];

	(void)fprintf(to, "%s: %s\n", kind_name(o->kind), object_name(o, name));
	if ((o->kind == SNAPMGR_SNAPSHOT || o->kind == SNAPMGR_UNDO) && !*o->volume)
		(void)fprintf(to, "name: %s\n", o->name);
	for (const struct field *f = fields; f < fields + SM_ARRAY(fields); f++)
		if (f->type != TAGS && !(f->traits & JSON) && applies(f, o))
			line(to, f, o, true);
	tag_lines(to, o);
}

static const struct snapmgr_tag *find_tag(const struct snapmgr_object *o, const char *key)
{
	for (size_t i = 0; o->tags && i < o->n_tags; i++)
		if (strcmp(o->tags[i].key, key) == 0)
			return &o->tags[i];
	return NULL;
}

static int one_tag(struct json *j, FILE *plain, const struct snapmgr_object *o, const char *key,
		   struct snapmgr_err *err)
{
	const struct snapmgr_tag *tag = find_tag(o, key + strlen("tag:"));
	char name[OBJECT_NAME];

	if (!tag)
		return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT, "'%s' has no tag '%s'",
			       object_name(o, name), key + strlen("tag:"));
	if (plain) {
		text_plain(plain, tag->value);
		(void)putc('\n', plain);
		return 0;
	}
	json_key(j, key);
	json_text(j, tag->value);
	return 0;
}

static int unknown_key(const char *key, struct snapmgr_err *err)
{
	const char *hint = NULL;
	unsigned best = ARG_FAR;

	for (const struct field *f = fields; f < fields + SM_ARRAY(fields); f++)
		hint = arg_nearest(key, hint, f->name, &best);
	if (hint)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "unknown property '%s'; did you mean '%s'?", key, hint);
	return sm_fail(err, SNAPMGR_USAGE, EINVAL,
		       "unknown property '%s'; 'get OBJECT' names those that can be set", key);
}

static void all_settable(struct json *j, FILE *plain, const struct snapmgr_object *o)
{
	for (const struct field *f = fields; f < fields + SM_ARRAY(fields); f++) {
		if (!(f->settable & 1u << o->kind) && f->type != TAGS)
			continue;
		if (!plain) {
			json_key(j, f->name);
			value_json(j, f, o);
		} else if (f->type != TAGS) {
			line(plain, f, o, false);
		}
	}
	if (plain)
		tag_lines(plain, o);
}

int object_property(struct json *j, FILE *plain, const struct snapmgr_object *o, const char *key,
		    struct snapmgr_err *err)
{
	if (!key) {
		all_settable(j, plain, o);
		return 0;
	}
	if (strncmp(key, "tag:", strlen("tag:")) == 0)
		return one_tag(j, plain, o, key, err);
	for (const struct field *f = fields; f < fields + SM_ARRAY(fields); f++) {
		if (strcmp(f->name, key) != 0)
			continue;
		if (!plain) {
			json_key(j, key);
			value_json(j, f, o);
			return 0;
		}
		if (f->type == TAGS)
			tag_lines(plain, o);
		else
			value_plain(plain, f, o, false);
		if (f->type != TAGS)
			(void)putc('\n', plain);
		return 0;
	}
	return unknown_key(key, err);
}
