/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "snapmgr/cli/pool_info.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/cli/text.h"

#define FULL_PERCENT 80 /* from here on a line of warning */

enum type { TEXT, NUMBER, NUMBER32, TIME, FLAG };

static const struct field {
	const char *name;
	enum type type;
	size_t at;
} fields[] = {
#define FIELD(name, type, member)                                 \
	{                                                         \
		name, type, offsetof(struct snapmgr_pool, member) \
	}
	FIELD("name", TEXT, name),
	FIELD("uuid", TEXT, uuid),
	FIELD("driver", TEXT, driver),
	FIELD("state", TEXT, state),
	FIELD("mode", TEXT, mode),
	FIELD("host", TEXT, host),
	FIELD("size", NUMBER, size_bytes),
	FIELD("used", NUMBER, used_bytes),
	FIELD("meta_size", NUMBER, meta_bytes),
	FIELD("meta_used", NUMBER, meta_used_bytes),
	FIELD("catalogue_size", NUMBER, catalogue_bytes),
	FIELD("reclaimable", NUMBER, reclaimable_bytes),
	FIELD("virtual_size", NUMBER, virtual_bytes),
	FIELD("chunk_size", NUMBER, chunk_bytes),
	FIELD("block_size", NUMBER32, block_bytes),
	FIELD("volumes", NUMBER, volumes),
	FIELD("snapshots", NUMBER, snapshots),
	FIELD("garbage", NUMBER, garbage),
	FIELD("high_water", NUMBER, high_water),
	FIELD("low_water", NUMBER, low_water),
	FIELD("reserve", NUMBER, reserve),
	FIELD("store_grow_at", NUMBER, store_grow_at),
	FIELD("error_if_no_space", FLAG, error_if_no_space),
	FIELD("transaction_id", NUMBER, transaction_id),
	FIELD("created_at", TIME, created_at_us),
#undef FIELD
};

static void number_json(struct json *j, uint64_t n)
{
	if (n == UINT64_MAX)
		json_null(j);
	else
		json_uint(j, n);
}

static void flag_json(struct json *j, int flag)
{
	if (flag < 0)
		json_null(j);
	else
		json_bool(j, flag);
}

static void value_json(struct json *j, const struct field *f, const struct snapmgr_pool *p)
{
	const void *at = (const char *)p + f->at;

	switch (f->type) {
	case TEXT:
		json_text(j, *(const char *)at ? at : NULL);
		break;
	case NUMBER:
		number_json(j, *(const uint64_t *)at);
		break;
	case FLAG:
		flag_json(j, *(const int *)at);
		break;
	case NUMBER32:
		json_uint(j, *(const uint32_t *)at);
		break;
	case TIME:
		json_time(j, *(const int64_t *)at);
	}
}

static void member_json(struct json *j, const struct snapmgr_member *m)
{
	json_object(j);
	json_key(j, "device");
	json_text(j, *m->device ? m->device : NULL);
	json_key(j, "uuid");
	json_text(j, m->uuid);
	json_key(j, "size");
	number_json(j, m->size_bytes);
	json_key(j, "missing");
	json_bool(j, m->missing);
	json_key(j, "meta_only");
	json_bool(j, m->meta_only);
	json_key(j, "bad_copy");
	json_bool(j, m->bad_copy);
	json_end(j);
}

void pool_json(struct json *j, const struct snapmgr_pool *p)
{
	json_object(j);
	for (const struct field *f = fields; f < fields + SM_ARRAY(fields); f++) {
		json_key(j, f->name);
		value_json(j, f, p);
	}
	json_key(j, "members");
	json_array(j);
	for (size_t i = 0; i < p->n_members; i++)
		member_json(j, &p->members[i]);
	json_end(j);
	json_end(j);
}

static void size_line(FILE *to, const char *what, uint64_t bytes)
{
	char text[TEXT_SIZE];

	if (bytes != UINT64_MAX)
		(void)fprintf(to, "%s: %s (%" PRIu64 " bytes)\n", what, text_size(bytes, text),
			      bytes);
}

static const char *on_off(const struct snapmgr_pool *p)
{
	return p->error_if_no_space > 0 ? "on" : "off";
}

static void usage_line(FILE *to, const char *what, uint64_t used, uint64_t size)
{
	char part[TEXT_SIZE], whole[TEXT_SIZE], percent[TEXT_SIZE];

	if (!size || size == UINT64_MAX)
		return;
	(void)fprintf(to, "%s: %s of %s used (%s)\n", what, text_size(used, part),
		      text_size(size, whole), text_percent(used, size, percent));
}

static void text_line(FILE *to, const char *what, const char *text)
{
	if (!*text)
		return;
	(void)fprintf(to, "%s: ", what);
	text_plain(to, text);
	(void)putc('\n', to);
}

static void count_line(FILE *to, const char *what, uint64_t n)
{
	if (n != UINT64_MAX)
		(void)fprintf(to, "%s: %" PRIu64 "\n", what, n);
}

static void member_line(FILE *to, const struct snapmgr_member *m)
{
	char size[TEXT_SIZE];

	(void)fputs("member: ", to);
	text_plain(to, m->missing || !*m->device ? "missing" : m->device);
	(void)fprintf(to, ", %s, uuid %s%s%s\n", text_size(m->size_bytes, size), m->uuid,
		      m->meta_only ? ", metadata only" : "",
		      m->bad_copy ? ", one superblock copy is damaged" : "");
}

static void fullness_warning(FILE *to, const char *what, uint64_t used, uint64_t size)
{
	char percent[TEXT_SIZE];

	if (used != UINT64_MAX && size != UINT64_MAX && size &&
	    (double)used * 100 >= (double)size * FULL_PERCENT)
		(void)fprintf(to, "warning: the %s is %s full: snapmgr pool extend\n", what,
			      text_percent(used, size, percent));
}

static void warnings(FILE *to, const struct snapmgr_pool *p)
{
	fullness_warning(to, "data space", p->used_bytes, p->size_bytes);
	fullness_warning(to, "metadata space", p->meta_used_bytes, p->meta_bytes);
	if (*p->mode && strcmp(p->mode, "rw") != 0)
		(void)fprintf(to, "warning: the pool is in mode '%s'\n", p->mode);
	for (size_t i = 0; i < p->n_members; i++) {
		const struct snapmgr_member *m = &p->members[i];

		if (m->missing)
			(void)fprintf(to, "warning: member %s is missing\n", m->uuid);
		if (m->bad_copy && !m->missing)
			(void)fprintf(to,
				      "warning: %s has a damaged superblock copy: "
				      "snapmgr pool check --repair %s\n",
				      m->device, p->name);
	}
}

void pool_lines(FILE *to, const struct snapmgr_pool *p)
{
	char time[TEXT_TIME];

	text_line(to, "pool", p->name);
	text_line(to, "uuid", p->uuid);
	text_line(to, "driver", p->driver);
	text_line(to, "state", p->state);
	text_line(to, "mode", p->mode);
	text_line(to, "host", p->host);
	(void)fprintf(to, "created_at: %s\n", text_time(p->created_at_us, time));
	usage_line(to, "data", p->used_bytes, p->size_bytes);
	usage_line(to, "metadata", p->meta_used_bytes, p->meta_bytes);
	size_line(to, "catalogue", p->catalogue_bytes);
	size_line(to, "reclaimable", p->reclaimable_bytes);
	size_line(to, "virtual", p->virtual_bytes);
	size_line(to, "chunk", p->chunk_bytes);
	count_line(to, "block", p->block_bytes);
	count_line(to, "volumes", p->volumes);
	count_line(to, "snapshots", p->snapshots);
	if (p->high_water != UINT64_MAX)
		(void)fprintf(to,
			      "high_water: %" PRIu64 "%%\nlow_water: %" PRIu64
			      "%%\nreserve: %" PRIu64 "%%\nerror_if_no_space: %s\n",
			      p->high_water, p->low_water, p->reserve, on_off(p));
	if (p->store_grow_at != UINT64_MAX)
		(void)fprintf(to, "store_grow_at: %" PRIu64 "%%\n", p->store_grow_at);
	count_line(to, "transaction_id", p->transaction_id);
	for (size_t i = 0; i < p->n_members; i++)
		member_line(to, &p->members[i]);
	warnings(to, p);
}

void pool_header(struct table *t)
{
	static const char *const names[POOL_COLUMNS] = {
		"NAME", "DRIVER",  "STATE",	"SIZE",	   "USED",
		"META", "VOLUMES", "SNAPSHOTS", "MEMBERS",
	};

	t->columns = POOL_COLUMNS;
	t->right = 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7;
	for (unsigned i = 0; i < POOL_COLUMNS; i++)
		table_cell(t, names[i]);
	table_end_row(t, TABLE_BOLD);
}

static void count_cell(struct table *t, uint64_t n)
{
	char text[24] = "-";

	if (n != UINT64_MAX)
		(void)snprintf(text, sizeof(text), "%" PRIu64, n);
	table_cell(t, text);
}

static void members_cell(struct table *t, const struct snapmgr_pool *p)
{
	char text[512] = "";

	for (size_t i = 0; i < p->n_members; i++) {
		const struct snapmgr_member *m = &p->members[i];
		size_t len = strlen(text);

		(void)snprintf(text + len, sizeof(text) - len, "%s%s", len ? "," : "",
			       m->missing || !*m->device ? "missing" : m->device);
	}
	table_cell(t, text);
}

void pool_row(struct table *t, const struct snapmgr_pool *p)
{
	char text[TEXT_SIZE], state[sizeof(p->state) + sizeof(p->mode) + 1];
	bool odd_mode = *p->mode && strcmp(p->mode, "rw") != 0;

	(void)snprintf(state, sizeof(state), "%s%s%s", p->state, odd_mode ? "," : "",
		       odd_mode ? p->mode : "");
	table_cell(t, p->name);
	table_cell(t, p->driver);
	table_cell(t, state);
	table_cell(t, text_size(p->size_bytes, text));
	table_cell(t, text_percent(p->used_bytes, p->size_bytes, text));
	table_cell(t, text_percent(p->meta_used_bytes, p->meta_bytes, text));
	count_cell(t, p->volumes);
	count_cell(t, p->snapshots);
	members_cell(t, p);
	table_end_row(t, strcmp(p->state, "active") == 0 ? TABLE_NORMAL : TABLE_DIM);
}

static void when_full(struct json *j, FILE *plain, const char *key, const struct snapmgr_pool *p,
		      bool alone)
{
	if (j) {
		json_key(j, key);
		flag_json(j, p->error_if_no_space);
	} else {
		(void)fprintf(plain, "%s%s%s\n", alone ? "" : key, alone ? "" : ": ", on_off(p));
	}
}

static void limit(struct json *j, FILE *plain, const char *key, uint64_t percent, bool alone)
{
	if (j) {
		json_key(j, key);
		number_json(j, percent);
	} else {
		(void)fprintf(plain, "%s%s%" PRIu64 "%%\n", alone ? "" : key, alone ? "" : ": ",
			      percent);
	}
}

int pool_property(struct json *j, FILE *plain, const struct snapmgr_pool *p, const char *key,
		  struct snapmgr_err *err)
{
	const struct {
		const char *key;
		uint64_t percent;
	} all[] = {
		{ "high_water", p->high_water },
		{ "low_water", p->low_water },
		{ "reserve", p->reserve },
		{ "store_grow_at", p->store_grow_at },
	};
	static const char flag[] = "error_if_no_space";
	const bool flagged = !key || strcmp(key, flag) == 0;
	bool known = flagged;

	for (size_t i = 0; i < SM_ARRAY(all); i++)
		known |= key && strcmp(key, all[i].key) == 0;
	if (!known)
		return sm_fail(
			err, SNAPMGR_USAGE, EINVAL,
			"a pool has no property '%.40s': it has high_water, low_water, reserve, error_if_no_space "
			"and (cow) store_grow_at",
			key);
	if (p->high_water == UINT64_MAX)
		return sm_fail(err, SNAPMGR_BAD_STATE, ENODEV,
			       "pool '%s' is not active: 'snapmgr pool activate %s' brings it up",
			       p->name, p->name);
	if (key && strcmp(key, "store_grow_at") == 0 && p->store_grow_at == UINT64_MAX)
		return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			       "snapshots of pool '%s' have no stores that could grow", p->name);
	for (size_t i = 0; i < SM_ARRAY(all); i++)
		if (key ? strcmp(key, all[i].key) == 0 : all[i].percent != UINT64_MAX)
			limit(j, plain, all[i].key, all[i].percent, key);
	if (flagged)
		when_full(j, plain, flag, p, key);
	return 0;
}
