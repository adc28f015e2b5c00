/* SPDX-License-Identifier: GPL-2.0-or-later */
/* set, get */
#include <string.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/object.h"
#include "snapmgr/cli/pool_info.h"

static int visit_pool(const struct snapmgr_pool *pool, void *data)
{
	struct cmd *cmd = data;
	const char *key = strcmp(cmd->verb->name, "get") == 0 && cmd->n_args > 1 ? cmd->args[1] :
										   NULL;

	if (!cmd->flags.json)
		return pool_property(NULL, stdout, pool, key, &cmd->err);
	json_object(&cmd->json);
	return pool_property(&cmd->json, NULL, pool, key, &cmd->err);
}

static int run_set(struct cmd *cmd)
{
	int r = snapmgr_set_many(cmd->sm, cmd->args[0], cmd->args + 1, cmd->n_args - 1, &cmd->err);

	for (size_t i = 1; i < cmd->n_args && r == 0; i++)
		say(cmd, "%s: %s", cmd->args[0], cmd->args[i]);
	if (r < 0 || !cmd->flags.json || !is_pool_spec(cmd->args[0]))
		return r < 0 ? r : show_after(cmd, cmd->args[0]);
	return snapmgr_pool_show(cmd->sm, cmd->args[0], visit_pool, cmd, &cmd->err);
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
	if (is_pool_spec(cmd->args[0]))
		return snapmgr_pool_show(cmd->sm, cmd->args[0], visit_pool, cmd, &cmd->err);
	return snapmgr_show(cmd->sm, cmd->args[0], visit_get, cmd, &cmd->err);
}

const struct cmd_verb cmd_property_verbs[] = {
	{ "set", run_set, 2, CMD_ANY, "OBJECT KEY=VALUE...",
	  "change properties\n\n"
	  "KEY is label, description, project, undo_keep, guest, autostart,\n"
	  "revert_to_snapshot_support, or tag:NAME; an empty value removes a tag.\n\n"
	  "Of a pool: high_water (percent in use from where undo points are dropped,\n"
	  "90% by default), low_water (percent in use that a monitor warns of, 80% by\n"
	  "default), reserve (percent that snapshots, clones and new volumes leave\n"
	  "free, 5% by default), and error_if_no_space (on: writes to a full pool fail\n"
	  "at once; off, the default: after a minute), and in a cow pool store_grow_at\n"
	  "(percent of a snapshot's store in use from where the monitor lets it grow,\n"
	  "70% by default); an empty value is the default.",
	  NULL, "set p0/v undo_keep=5 tag:role=db", 0 },
	{ "get", run_get, 1, 2, "OBJECT [KEY]", "print one property, or all that can be set", NULL,
	  "get p0/v tag:role", 0 },
	{ .name = NULL },
};
