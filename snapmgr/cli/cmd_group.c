/* SPDX-License-Identifier: GPL-2.0-or-later */
/* group create, add, remove, list, delete */
#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/object.h"
#include "snapmgr/cli/pack.h"

static void say_group(const struct cmd *cmd, const char *verb, const struct snapmgr_object *o)
{
	char name[OBJECT_NAME];

	say(cmd, "%s %s, %zu volume%s", verb, object_name(o, name), o->n_parts,
	    o->n_parts == 1 ? "" : "s");
}

static int visit_changed(const struct snapmgr_object *o, void *data)
{
	struct cmd *cmd = data;
	char name[OBJECT_NAME];

	say(cmd, "%s has %zu volume%s now", object_name(o, name), o->n_parts,
	    o->n_parts == 1 ? "" : "s");
	if (cmd->flags.json)
		object_json(&cmd->json, o, false);
	return 0;
}

static int visit_created(const struct snapmgr_object *o, void *data)
{
	struct cmd *cmd = data;

	say_group(cmd, "created group", o);
	if (cmd->flags.json)
		object_json(&cmd->json, o, false);
	return 0;
}

static int run_create(struct cmd *cmd)
{
	const struct cmd_flags *f = &cmd->flags;
	struct snapmgr_group_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_group_opts);
	AUTO(free) struct snapmgr_tag *tags = NULL;
	int r = tags_from_list(&f->tags, &tags, &cmd->err);

	if (r < 0)
		return r;
	opts.project = f->project;
	opts.label = f->label;
	opts.description = f->description;
	opts.tags = tags;
	opts.n_tags = f->tags.n;
	return snapmgr_group_create(cmd->sm, cmd->args[0], cmd->args + 1, cmd->n_args - 1, &opts,
				    visit_created, cmd, &cmd->err);
}

static int run_add(struct cmd *cmd)
{
	return snapmgr_group_add(cmd->sm, cmd->args[0], cmd->args + 1, cmd->n_args - 1,
				 visit_changed, cmd, &cmd->err);
}

static int run_remove(struct cmd *cmd)
{
	return snapmgr_group_remove(cmd->sm, cmd->args[0], cmd->args + 1, cmd->n_args - 1,
				    visit_changed, cmd, &cmd->err);
}

/* Told by the library before the deed: said only when it is done. */
static int visit_going(const struct snapmgr_object *o, void *data)
{
	return pack_add(data, o);
}

static int visit_gone(const struct snapmgr_object *o, void *data)
{
	struct cmd *cmd = data;
	char name[OBJECT_NAME];

	say(cmd, "deleted group %s; its %zu volume%s kept", object_name(o, name), o->n_parts,
	    o->n_parts == 1 ? " is" : "s are");
	if (!cmd->flags.json)
		return 0;
	json_object(&cmd->json);
	json_key(&cmd->json, "deleted");
	json_array(&cmd->json);
	object_json(&cmd->json, o, false);
	json_end_to(&cmd->json, 0);
	return 0;
}

static int run_delete(struct cmd *cmd)
{
	struct pack gone = { .n = 0 };
	int r = snapmgr_group_delete(cmd->sm, cmd->args[0], visit_going, &gone, &cmd->err);

	if (r == 0)
		r = pack_each(&gone, visit_gone, cmd);
	pack_release(&gone);
	return r;
}

static const struct arg_opt create_opts[] = {
	CLI_TEXT("project", project, "NAME",
		 "whose group it is; quotas count its volumes, each for its own"),
	CLI_LABEL,
	CLI_DESCRIPTION,
	CLI_TAG,
	CLI_END,
};

const struct cmd_verb cmd_group_verbs[] = {
	{ "group create", run_create, 1, CMD_ANY, "POOL/GROUP [VOL]...",
	  "make a group: volumes that are snapshotted and reverted together", create_opts,
	  "group create p0/vm1 root data log\nsnapshot p0/vm1@s1\nrevert p0/vm1@s1", 0 },
	{ "group add", run_add, 2, CMD_ANY, "POOL/GROUP VOL...", "put volumes into a group", NULL,
	  "group add p0/vm1 swap", 0 },
	{ "group remove", run_remove, 2, CMD_ANY, "POOL/GROUP VOL...",
	  "take volumes out of a group; they stay, with their snapshots", NULL,
	  "group remove p0/vm1 swap", 0 },
	{ "group list", cmd_list, 0, 1, "[POOL[/GROUP]]",
	  "list groups, each with its group snapshots", NULL, "group list p0 --json", 0 },
	{ "group delete", run_delete, 1, 1, "POOL/GROUP",
	  "forget a group; its volumes and their snapshots stay", NULL, "group delete p0/vm1", 0 },
	{ .name = NULL },
};
