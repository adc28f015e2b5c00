/* SPDX-License-Identifier: GPL-2.0-or-later */
/* snapshot, hold, release, clone */
#include <string.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/object.h"

struct taking {
	struct cmd *cmd;
	size_t n;
};

/* A group's snapshot comes first, and then the snapshots that it is made of. */
static int visit_taken(const struct snapmgr_object *o, void *data)
{
	struct taking *t = data;
	struct cmd *cmd = t->cmd;
	char name[OBJECT_NAME];

	say(cmd, "took %s", object_name(o, name));
	if (cmd->flags.json && o->kind == SNAPMGR_GROUP_SNAPSHOT) {
		json_key(&cmd->json, "group_snapshot");
		object_json(&cmd->json, o, false);
	}
	t->n += o->kind == SNAPMGR_SNAPSHOT;
	if (!cmd->flags.json || o->kind != SNAPMGR_SNAPSHOT)
		return 0;
	if (t->n == 1) {
		json_key(&cmd->json, "snapshots");
		json_array(&cmd->json);
	}
	object_json(&cmd->json, o, false);
	return 0;
}

static int run_snapshot(struct cmd *cmd)
{
	const struct cmd_flags *f = &cmd->flags;
	struct snapmgr_snapshot_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_snapshot_opts);
	AUTO(free) struct snapmgr_tag *tags = NULL;
	struct taking taking = { .cmd = cmd };
	uint64_t suspended_ns = 0;
	int r = tags_from_list(&f->tags, &tags, &cmd->err);

	if (r < 0)
		return r;
	opts.label = f->label;
	opts.description = f->description;
	opts.tags = tags;
	opts.n_tags = f->tags.n;
	opts.params = f->params.items;
	opts.n_params = f->params.n;
	opts.suspended_ns = &suspended_ns;
	opts.cow_bytes = f->cow_bytes == UINT64_MAX ? 0 : f->cow_bytes;
	if (f->json)
		json_object(&cmd->json);
	r = snapmgr_snapshot(cmd->sm, cmd->args, cmd->n_args, &opts, visit_taken, &taking,
			     &cmd->err);
	if (r < 0)
		return r;
	if (taking.n > 1)
		say(cmd, "at one instant; suspended for %.2f ms", (double)suspended_ns / 1e6);
	if (!f->json)
		return 0;
	json_end_to(&cmd->json, 1);
	json_key(&cmd->json, "suspended_ms");
	json_ms(&cmd->json, suspended_ns / 1000);
	return 0;
}

static int hold(struct cmd *cmd, bool on)
{
	int r = snapmgr_hold(cmd->sm, cmd->args[0], on, &cmd->err);

	if (r < 0)
		return r;
	say(cmd, "%s is %s", cmd->args[0], on ? "held" : "released");
	return show_after(cmd, cmd->args[0]);
}

static int run_hold(struct cmd *cmd)
{
	return hold(cmd, true);
}

static int run_release(struct cmd *cmd)
{
	return hold(cmd, false);
}

static int run_clone(struct cmd *cmd)
{
	struct snapmgr_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);
	AUTO(free) struct snapmgr_tag *tags = NULL;
	int r = create_opts_fill(&opts, &cmd->flags, &tags, &cmd->err);

	if (r < 0)
		return r;
	return snapmgr_clone(cmd->sm, cmd->args[0], cmd->args[1], &opts, visit_new_volume, cmd,
			     &cmd->err);
}

static const struct arg_opt snapshot_opts[] = {
	CLI_LABEL,
	CLI_DESCRIPTION,
	CLI_TAG,
	CLI_SIZE("cow-size", cow_bytes,
		 "in cow pools: room for what changes afterwards; default a fifth of the volume"),
	CLI_PARAMS,
	CLI_END,
};
static const struct arg_opt clone_opts[] = { CLI_NEW_VOLUME, CLI_PROGRESS, CLI_END };

const struct cmd_verb cmd_snapshot_verbs[] = {
	{ "snapshot", run_snapshot, 1, CMD_ANY, "POOL/VOL@SNAP... | POOL/GROUP@SNAP",
	  "take snapshots of volumes of one pool, or of a group, all at one instant", snapshot_opts,
	  "snapshot p0/data@s1 p0/log@s1\nsnapshot p0/vm1@s1", 0 },
	{ "hold", run_hold, 1, 1, "POOL/VOL@SNAP | POOL/GROUP@SNAP",
	  "keep a snapshot from being deleted", NULL, "hold p0/v@s1", 0 },
	{ "release", run_release, 1, 1, "POOL/VOL@SNAP | POOL/GROUP@SNAP",
	  "let a held snapshot be deleted", NULL, "release p0/v@s1", 0 },
	{ "clone", run_clone, 2, 2, "POOL/VOL@SNAP POOL/NEW",
	  "make a new volume with a snapshot's contents", clone_opts, "clone p0/v@s1 p0/test", 0 },
	{ .name = NULL },
};
