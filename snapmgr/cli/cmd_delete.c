/* SPDX-License-Identifier: GPL-2.0-or-later */
/* delete */
#include <errno.h>
#include <string.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/object.h"
#include "snapmgr/cli/pack.h"

/* What one walk of the library said: before a deletion what would go, after it what went. */
struct going {
	struct pack objects;
	uint64_t volumes, snapshots;
	char volume[OBJECT_NAME]; /* the first */
};

static int visit_going(const struct snapmgr_object *o, void *data)
{
	struct going *g = data;

	if (o->kind == SNAPMGR_VOLUME && !g->volumes++)
		(void)object_name(o, g->volume);
	g->snapshots += o->kind == SNAPMGR_SNAPSHOT;
	return pack_add(&g->objects, o);
}

static int walk(struct cmd *cmd, const char *spec, const struct snapmgr_delete_opts *opts,
		struct going *g)
{
	int r = snapmgr_delete(cmd->sm, spec, opts, visit_going, g, &cmd->err);

	return r == -ENOMEM ? sm_nomem(&cmd->err) : r;
}

/* ---- the question ---- */

static int ask(struct cmd *cmd, const struct going *g)
{
	char question[OBJECT_NAME + 80], volumes[OBJECT_NAME + 16], snapshots[64] = "";

	if (g->volumes == 1)
		(void)snprintf(volumes, sizeof(volumes), "volume %s", g->volume);
	else
		(void)snprintf(volumes, sizeof(volumes), "%llu volumes",
			       (unsigned long long)g->volumes);
	if (g->snapshots)
		(void)snprintf(snapshots, sizeof(snapshots), " and %llu snapshot%s",
			       (unsigned long long)g->snapshots, g->snapshots == 1 ? "" : "s");
	(void)snprintf(question, sizeof(question), "delete %s%s", volumes, snapshots);
	return confirm(cmd, question);
}

/*
 * Nothing goes before all are known to be there and free to go. Snapshots go without a question; what may
 * be a volume is looked at in any case.
 */
static int look_first(struct cmd *cmd, struct snapmgr_delete_opts opts)
{
	struct going g = { .volumes = 0 };
	int r = 0;

	opts.dry_run = true;
	for (size_t i = 0; i < cmd->n_args && r == 0; i++)
		if (cmd->n_args > 1 || (!cmd->flags.yes && !strchr(cmd->args[i], '@')))
			r = walk(cmd, cmd->args[i], &opts, &g);
	if (r == 0 && g.volumes && !cmd->flags.yes)
		r = ask(cmd, &g);
	pack_release(&g.objects);
	return r;
}

/* ---- the deed ---- */

static int visit_gone(const struct snapmgr_object *o, void *data)
{
	struct cmd *cmd = data;
	char name[OBJECT_NAME];

	say(cmd, "%s %s", cmd->flags.dry_run ? "would delete" : "deleted", object_name(o, name));
	if (cmd->flags.json)
		object_json(&cmd->json, o, false);
	return 0;
}

static int delete_one(struct cmd *cmd, const char *spec, const struct snapmgr_delete_opts *opts)
{
	struct going g = { .volumes = 0 };
	int r = walk(cmd, spec, opts, &g);

	if (r == 0)
		r = pack_each(&g.objects, visit_gone, cmd);
	pack_release(&g.objects);
	return r;
}

static int run_delete(struct cmd *cmd)
{
	struct snapmgr_delete_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);
	int r = 0;

	opts.recursive = cmd->flags.recursive;
	opts.keep_snapshots = cmd->flags.keep_snapshots;
	opts.dry_run = cmd->flags.dry_run;
	if (!opts.dry_run)
		r = look_first(cmd, opts);
	if (r < 0)
		return r;
	if (cmd->flags.json) {
		json_object(&cmd->json);
		json_key(&cmd->json, "dry_run");
		json_bool(&cmd->json, opts.dry_run);
		json_key(&cmd->json, "deleted");
		json_array(&cmd->json);
	}
	for (size_t i = 0; i < cmd->n_args && r == 0; i++)
		r = delete_one(cmd, cmd->args[i], &opts);
	return r;
}

static const struct arg_opt delete_opts[] = {
	CLI_OPT("recursive", 0, ARG_FLAG, recursive, NULL, "a volume with its snapshots",
		"keep-snapshots"),
	CLI_FLAG("keep-snapshots", keep_snapshots, "a volume without its snapshots"),
	CLI_YES,
	CLI_DRY_RUN,
	CLI_END,
};

const struct cmd_verb cmd_delete_verbs[] = {
	{ "delete", run_delete, 1, CMD_ANY, "OBJECT...",
	  "delete snapshots, or volumes (asks, or needs --yes)", delete_opts,
	  "delete p0/v@s1 p0/v@s2\ndelete p0/v --recursive --dry-run", 0 },
	{ .name = NULL },
};
