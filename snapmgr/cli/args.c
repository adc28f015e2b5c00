/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "snapmgr/cli/args.h"

#include <errno.h>
#include <string.h>

#define NEAREST_WORD 31u /* longer words are nobody's typing mistake */

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

/* The third row of the table of distances, that of the first @i letters of @a, from the two above. */
static void next_row(const char *a, const char *b, size_t i, unsigned *const rows[3])
{
	rows[2][0] = (unsigned)i;
	for (size_t j = 1; b[j - 1]; j++) {
		unsigned changed = rows[1][j - 1] + (a[i - 1] != b[j - 1]);

		rows[2][j] = min3(rows[1][j] + 1, rows[2][j - 1] + 1, changed);
		if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
		    rows[0][j - 2] + 1 < rows[2][j])
			rows[2][j] = rows[0][j - 2] + 1;
	}
}

/* How many letters must be inserted, dropped, changed or swapped to make @b of @a. */
static unsigned distance(const char *a, const char *b)
{
	unsigned cells[3][NEAREST_WORD + 1];
	unsigned *rows[3] = { cells[0], cells[1], cells[2] };
	size_t len_a = strlen(a), len_b = strlen(b);

	if (len_a > NEAREST_WORD || len_b > NEAREST_WORD)
		return ARG_FAR;
	for (size_t j = 0; j <= len_b; j++)
		rows[1][j] = (unsigned)j;
	for (size_t i = 1; i <= len_a; i++) {
		unsigned *oldest;

		next_row(a, b, i, rows);
		oldest = rows[0];
		rows[0] = rows[1];
		rows[1] = rows[2];
		rows[2] = oldest;
	}
	return rows[1][len_b];
}

const char *arg_nearest(const char *word, const char *candidate, const char *next, unsigned *best)
{
	unsigned d = distance(word, next), limit = strlen(word) < 6 ? 1 : 2;

	/* The beginning of a word is as good as a misspelt one. */
	if (d > limit && strlen(word) >= 2 && strncmp(word, next, strlen(word)) == 0)
		d = limit;
	if (d > limit || d >= *best)
		return candidate;
	*best = d;
	return next;
}

static const struct arg_opt *find(const struct args *args, const char *name, size_t len)
{
	for (const struct arg_opt *const *t = args->tables; *t; t++)
		for (const struct arg_opt *o = *t; o->name; o++)
			if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
				return o;
	return NULL;
}

static const struct arg_opt *find_letter(const struct args *args, char letter)
{
	for (const struct arg_opt *const *t = args->tables; *t; t++)
		for (const struct arg_opt *o = *t; o->name; o++)
			if (o->letter == letter)
				return o;
	return NULL;
}

static int unknown(const struct args *args, const char *name, size_t len, struct snapmgr_err *err)
{
	char word[NEAREST_WORD + 2] = "";
	const char *hint = NULL;
	unsigned best = ARG_FAR;

	if (len < sizeof(word))
		memcpy(word, name, len);
	for (const struct arg_opt *const *t = args->tables; *t && *word; t++)
		for (const struct arg_opt *o = *t; o->name; o++)
			hint = arg_nearest(word, hint, o->name, &best);
	if (hint)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "unknown option '--%.*s'; did you mean '--%s'?", (int)len, name,
			       hint);
	return sm_fail(err, SNAPMGR_USAGE, EINVAL, "unknown option '--%.*s'", (int)len, name);
}

int arg_list_add(struct arg_list *list, const char *item)
{
	const char **grown = realloc(list->items, (list->n + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	grown[list->n++] = item;
	list->items = grown;
	return 0;
}

static int parse_seconds(const char *text, uint32_t *ret)
{
	uint64_t n = 0;

	if (!*text)
		return -EINVAL;
	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		n = n * 10 + (uint64_t)(*p - '0');
		if (n > ARG_SECONDS_MAX)
			return -ERANGE;
	}
	*ret = (uint32_t)n;
	return 0;
}

static int set_size(const struct arg_opt *o, void *at, const char *value, struct snapmgr_err *err)
{
	struct snapmgr_err why = { .code = SNAPMGR_OK };
	int r = snapmgr_parse_size(value, at, &why);

	if (r < 0)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "--%s: %s", o->name, why.message);
	return 0;
}

static int set_value(const struct args *args, const struct arg_opt *o, const char *value,
		     struct snapmgr_err *err)
{
	void *at = (char *)args->values + o->offset;

	switch (o->kind) {
	case ARG_FLAG:
		*(bool *)at = true;
		return 0;
	case ARG_TEXT:
		*(const char **)at = value;
		return 0;
	case ARG_SIZE:
		return set_size(o, at, value, err);
	case ARG_SECONDS:
		if (parse_seconds(value, at) < 0)
			return sm_fail(err, SNAPMGR_USAGE, EINVAL,
				       "--%s needs whole seconds from 0 to %u, not '%s'", o->name,
				       ARG_SECONDS_MAX, value);
		return 0;
	case ARG_LIST:
		return arg_list_add(at, value) < 0 ? sm_nomem(err) : 0;
	}
	return -EINVAL;
}

/* Set @o from @inlined, or else from the next word. */
static int take(struct args *args, const struct arg_opt *o, const char *inlined, const char *next,
		bool *ret_took_next, struct snapmgr_err *err)
{
	const char *value = inlined ? inlined : next;

	*ret_took_next = false;
	if (o->kind == ARG_FLAG && inlined)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "--%s takes no value", o->name);
	if (o->kind != ARG_FLAG && !value)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "--%s needs a value: %s", o->name,
			       o->value);
	*ret_took_next = o->kind != ARG_FLAG && !inlined;
	if (args->given.n < SM_ARRAY(args->given.seen))
		args->given.seen[args->given.n++] = o;
	return set_value(args, o, value, err);
}

static int take_long(struct args *args, const char *word, const char *next, bool *ret_took_next,
		     struct snapmgr_err *err)
{
	const char *name = word + 2, *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	const struct arg_opt *o = find(args, name, len);

	if (!o)
		return unknown(args, name, len, err);
	return take(args, o, equals ? equals + 1 : NULL, next, ret_took_next, err);
}

static int take_letters(struct args *args, const char *word, const char *next, bool *ret_took_next,
			struct snapmgr_err *err)
{
	for (const char *p = word + 1; *p; p++) {
		const struct arg_opt *o = find_letter(args, *p);
		bool flag = o && o->kind == ARG_FLAG;
		int r;

		if (!o)
			return sm_fail(err, SNAPMGR_USAGE, EINVAL, "unknown option '%s'", word);
		r = take(args, o, flag || !p[1] ? NULL : p + 1, next, ret_took_next, err);
		if (r < 0 || !flag)
			return r;
	}
	return 0;
}

static int contradictions(const struct args *args, struct snapmgr_err *err)
{
	for (size_t i = 0; i < args->given.n; i++)
		for (size_t j = 0; j < args->given.n; j++) {
			const struct arg_opt *a = args->given.seen[i], *b = args->given.seen[j];

			if (a->not_with && strcmp(a->not_with, b->name) == 0)
				return sm_fail(err, SNAPMGR_USAGE, EINVAL,
					       "--%s and --%s exclude each other", a->name,
					       b->name);
		}
	return 0;
}

int args_parse(struct args *args, int argc, char *const argv[], bool stop_at_operand, int *ret_used,
	       struct snapmgr_err *err)
{
	bool options = true;
	int i;

	for (i = 0; i < argc; i++) {
		const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
		bool is_option = options && word[0] == '-' && word[1], took_next = false;
		int r;

		if (is_option && strcmp(word, "--") == 0) {
			options = false;
			continue;
		}
		if (!is_option && stop_at_operand)
			break;
		if (!is_option)
			r = arg_list_add(&args->operands, word) < 0 ? sm_nomem(err) : 0;
		else if (word[1] == '-')
			r = take_long(args, word, next, &took_next, err);
		else
			r = take_letters(args, word, next, &took_next, err);
		if (r < 0)
			return r;
		i += took_next;
	}
	if (ret_used)
		*ret_used = i;
	return contradictions(args, err);
}

void args_release(struct args *args)
{
	for (const struct arg_opt *const *t = args->tables; t && *t; t++)
		for (const struct arg_opt *o = *t; o->name; o++)
			if (o->kind == ARG_LIST) {
				struct arg_list *list = (void *)((char *)args->values + o->offset);

				free(list->items);
				*list = (struct arg_list){ 0 };
			}
	free(args->operands.items);
	args->operands = (struct arg_list){ 0 };
}
