/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What several commands do the same way. */
#include <errno.h>
#include <string.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/object.h"
#include "snapmgr/cli/text.h"

int visit_object_json(const struct snapmgr_object *o, void *data)
{
	struct cmd *cmd = data;

	object_json(&cmd->json, o, false);
	return out_failed();
}

int show_after(struct cmd *cmd, const char *spec)
{
	if (!cmd->flags.json)
		return 0;
	return snapmgr_show(cmd->sm, spec, visit_object_json, cmd, &cmd->err);
}

void objects_open(struct cmd *cmd)
{
	if (!cmd->flags.json)
		return;
	json_object(&cmd->json);
	json_key(&cmd->json, "objects");
	json_array(&cmd->json);
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
	if (len > SNAPMGR_LABEL_MAX || sm_copy_text(tag->value, sizeof(tag->value), equals + 1) < 0)
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

int create_opts_fill(struct snapmgr_create_opts *opts, const struct cmd_flags *flags,
		     struct snapmgr_tag **ret_tags, struct snapmgr_err *err)
{
	int r = tags_from_list(&flags->tags, ret_tags, err);

	if (r < 0)
		return r;
	opts->project = flags->project;
	opts->label = flags->label;
	opts->description = flags->description;
	opts->tags = *ret_tags;
	opts->n_tags = flags->tags.n;
	opts->inactive = flags->inactive;
	opts->guest = flags->guest;
	opts->no_revert = flags->no_revert;
	opts->params = flags->params.items;
	opts->n_params = flags->params.n;
	return 0;
}

int visit_new_volume(const struct snapmgr_object *o, void *data)
{
	struct cmd *cmd = data;
	char name[OBJECT_NAME], size[TEXT_SIZE];

	progress_end();
	say(cmd, "created %s, %s%s%s", object_name(o, name), text_size(o->size_bytes, size),
	    *o->device ? ", " : ", inactive", o->device);
	if (cmd->flags.json)
		object_json(&cmd->json, o, false);
	return 0;
}
