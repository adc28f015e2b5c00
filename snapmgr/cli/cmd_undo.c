/* SPDX-License-Identifier: GPL-2.0-or-later */
/* undo, and undo --drop */
#include <string.h>

#include "snapmgr/cli/object.h"
#include "snapmgr/cli/revert_report.h"

/* The undo points that a drop is about: all of a volume, or one. */
struct points {
	char volume[SNAPMGR_SPEC_TEXT];	 /* "p0/v" */
	char only[SNAPMGR_NAME_MAX + 1]; /* "undo~1", or "" for all */
	struct snapmgr_object *objects;
	size_t n;
};

static int visit_named(const struct snapmgr_object *o, void *data)
{
	struct points *p = data;
	const char *volume = o->kind == SNAPMGR_UNDO ? o->volume : o->name;

	(void)snprintf(p->volume, sizeof(p->volume), "%s/%s", o->pool, volume);
	if (o->kind == SNAPMGR_UNDO)
		(void)sm_copy_text(p->only, sizeof(p->only), o->name);
	return 0;
}

static int visit_point(const struct snapmgr_object *o, void *data)
{
	struct points *p = data;
	struct snapmgr_object *grown;

	if (o->kind != SNAPMGR_UNDO || (*p->only && strcmp(p->only, o->name) != 0))
		return 0;
	grown = realloc(p->objects, (p->n + 1) * sizeof(*grown));
	if (!grown)
		return sm_nomem(NULL);
	p->objects = grown;
	grown[p->n] = *o;
	grown[p->n].tags = NULL; /* only borrowed */
	grown[p->n++].n_tags = 0;
	return 0;
}

static int find_points(struct cmd *cmd, struct points *p)
{
	struct snapmgr_list_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_list_opts);
	int r = snapmgr_show(cmd->sm, cmd->args[0], visit_named, p, &cmd->err);

	opts.undo = true;
	if (r == 0)
		r = snapmgr_list(cmd->sm, p->volume, &opts, visit_point, p, &cmd->err);
	return r;
}

static void report_points(struct cmd *cmd, const struct points *p)
{
	char name[OBJECT_NAME];

	for (size_t i = 0; i < p->n; i++)
		say(cmd, "%s %s", cmd->flags.dry_run ? "would drop" : "dropped",
		    object_name(&p->objects[i], name));
	if (!cmd->flags.json)
		return;
	json_object(&cmd->json);
	json_key(&cmd->json, "dry_run");
	json_bool(&cmd->json, cmd->flags.dry_run);
	json_key(&cmd->json, "dropped");
	json_array(&cmd->json);
	for (size_t i = 0; i < p->n; i++)
		object_json(&cmd->json, &p->objects[i], false);
	json_end_to(&cmd->json, 0);
}

static int drop_points(struct cmd *cmd, const struct snapmgr_undo_opts *opts, struct points *p)
{
	struct snapmgr_revert_result ret;
	char question[SNAPMGR_SPEC_TEXT + 80];
	int r = find_points(cmd, p);

	(void)snprintf(question, sizeof(question), "forget %zu undo point%s of %s for good", p->n,
		       p->n == 1 ? "" : "s", p->volume);
	if (r == 0 && !opts->dry_run)
		r = confirm(cmd, question);
	if (r == 0)
		r = snapmgr_undo(cmd->sm, cmd->args[0], opts, &ret, &cmd->err);
	if (r == 0)
		report_points(cmd, p);
	return r;
}

static int drop(struct cmd *cmd, const struct snapmgr_undo_opts *opts)
{
	struct points points = { .n = 0 };
	int r = drop_points(cmd, opts, &points);

	free(points.objects);
	return r;
}

static int run_undo(struct cmd *cmd)
{
	const struct cmd_flags *f = &cmd->flags;
	struct snapmgr_undo_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_undo_opts);
	struct revert_members members = { .why = NULL };
	struct snapmgr_revert_result ret;
	int r;

	opts.drop = f->drop;
	opts.online = f->online;
	opts.remount = f->remount;
	opts.force = f->force;
	opts.dry_run = f->dry_run;
	if (f->drop)
		return drop(cmd, &opts);
	opts.member = revert_member;
	opts.member_data = &members;
	r = snapmgr_undo(cmd->sm, cmd->args[0], &opts, &ret, &cmd->err);
	if (r == 0)
		revert_report(cmd, &ret, &members, true);
	revert_members_release(&members);
	return r;
}

static const struct arg_opt undo_opts[] = {
	CLI_FLAG("drop", drop, "forget undo points instead: the one named, or all of them"),
	CLI_ONLINE,
	CLI_REMOUNT,
	CLI_FLAG("force", force, "with --online: also to a smaller size"),
	CLI_YES,
	CLI_DRY_RUN,
	CLI_PROGRESS,
	CLI_END,
};

const struct cmd_verb cmd_undo_verbs[] = {
	{ "undo", run_undo, 1, 1, "POOL/VOL[@undo~N] | POOL/GROUP",
	  "go back to what a volume, or all of a group, was before its last revert", undo_opts,
	  "undo p0/v\nundo p0/v --drop --yes", 0 },
	{ .name = NULL },
};
