/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small things that commands share: a word about success, operands, lists of tags. */
#include <errno.h>
#include <string.h>

#include "snapmgr/cli/cli.h"

void say(const struct cmd *cmd, const char *fmt, ...)
{
	va_list ap;

	if (cmd->flags.quiet || cmd->flags.json)
		return;
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)putchar('\n');
}

int out_failed(void)
{
	static int first; /* the errno of the write that failed; later calls change errno */

	if (!first && ferror(stdout))
		first = errno ? errno : EIO;
	return -first;
}

bool is_uuid(const char *text)
{
	struct sm_uuid ignored;

	return sm_uuid_parse(text, &ignored);
}

bool is_pool_spec(const char *text)
{
	return !strchr(text, '/') && !is_uuid(text);
}

static int tag_from_text(const char *text, struct snapmgr_tag *tag, struct snapmgr_err *err)
{
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : 0;

	if (!equals || !len)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "a tag is KEY=VALUE, not '%s'", text);
	if (len > SNAPMGR_LABEL_MAX ||
	    sm_copy_text(tag->value, sizeof(tag->value), equals + 1) < 0)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "a tag's key and value have at most %d bytes: '%.*s'",
			       SNAPMGR_LABEL_MAX, 64, text);
	memcpy(tag->key, text, len);
	tag->key[len] = '\0';
	return 0;
}

int tags_from_list(const struct arg_list *list, struct snapmgr_tag **ret, struct snapmgr_err *err)
{
	AUTO(free) struct snapmgr_tag *tags = NULL;

	if (!list->n) {
		*ret = NULL;
		return 0;
	}
	tags = calloc(list->n, sizeof(*tags));
	if (!tags)
		return sm_nomem(err);
	for (size_t i = 0; i < list->n; i++) {
		int r = tag_from_text(list->items[i], &tags[i], err);

		if (r < 0)
			return r;
	}
	*ret = tags;
	tags = NULL;
	return 0;
}
