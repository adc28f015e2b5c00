/* SPDX-License-Identifier: GPL-2.0-or-later */
/* set, get */
#include <errno.h>
#include <string.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/object.h"

static int set_one(struct cmd *cmd, const char *assignment)
{
	char key[SNAPMGR_LABEL_MAX + 8];
	const char *equals = strchr(assignment, '=');
	size_t len = equals ? (size_t)(equals - assignment) : 0;

	if (!len)
		return sm_fail(&cmd->err, SNAPMGR_USAGE, EINVAL, "'%s' is no KEY=VALUE",
			       assignment);
	if (len >= sizeof(key))
		return sm_fail(&cmd->err, SNAPMGR_USAGE, EINVAL, "no key is as long as '%.*s...'",
			       32, assignment);
	memcpy(key, assignment, len);
	key[len] = '\0';
	return snapmgr_set(cmd->sm, cmd->args[0], key, equals + 1, &cmd->err);
}

static int run_set(struct cmd *cmd)
{
	for (size_t i = 1; i < cmd->n_args; i++) {
		int r = set_one(cmd, cmd->args[i]);

		if (r < 0)
			return r;
		say(cmd, "%s: %s", cmd->args[0], cmd->args[i]);
	}
	return show_after(cmd, cmd->args[0]);
}

static int visit_get(const struct snapmgr_object *o, void *data)
{
	struct cmd *cmd = data;
	const char *key = cmd->n_args > 1 ? cmd->args[1] : NULL;

	if (!cmd->flags.json)
		return object_property(NULL, stdout, o, key, &cmd->err);
	json_object(&cmd->json);
	return object_property(&cmd->json, NULL, o, key, &cmd->err);
}

static int run_get(struct cmd *cmd)
{
	return snapmgr_show(cmd->sm, cmd->args[0], visit_get, cmd, &cmd->err);
}

const struct cmd_verb cmd_property_verbs[] = {
	{ "set", run_set, 2, CMD_ANY, "OBJECT KEY=VALUE...",
	  "change properties\n\n"
	  "KEY is label, description, project, undo_keep, guest, autostart,\n"
	  "revert_to_snapshot_support, or tag:NAME; an empty value removes a tag.",
	  NULL, "set p0/v undo_keep=5 tag:role=db", 0 },
	{ "get", run_get, 1, 2, "OBJECT [KEY]", "print one property, or all that can be set", NULL,
	  "get p0/v tag:role", 0 },
	{ .name = NULL },
};
