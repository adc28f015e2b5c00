/* SPDX-License-Identifier: GPL-2.0-or-later */
/* create, resize, rename, delete, activate, deactivate */
#include <errno.h>
#include <string.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/object.h"
#include "snapmgr/cli/text.h"

static int run_create(struct cmd *cmd)
{
	const struct cmd_flags *f = &cmd->flags;
	struct snapmgr_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);
	AUTO(free) struct snapmgr_tag *tags = NULL;
	int r;

	if (f->size_bytes == UINT64_MAX)
		return sm_fail(&cmd->err, SNAPMGR_USAGE, EINVAL,
			       "how large is '%s' to be? use --size 10G", cmd->args[0]);
	r = create_opts_fill(&opts, f, &tags, &cmd->err);
	if (r < 0)
		return r;
	opts.size_bytes = f->size_bytes;
	return snapmgr_create(cmd->sm, cmd->args[0], &opts, visit_new_volume, cmd, &cmd->err);
}

static int visit_resized(const struct snapmgr_object *o, void *data)
{
	struct cmd *cmd = data;
	char name[OBJECT_NAME], size[TEXT_SIZE];

	say(cmd, "%s has %s now", object_name(o, name), text_size(o->size_bytes, size));
	if (cmd->flags.json)
		object_json(&cmd->json, o, false);
	return 0;
}

static int run_resize(struct cmd *cmd)
{
	struct snapmgr_resize_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_resize_opts);
	uint64_t size_bytes;
	int r = snapmgr_parse_size(cmd->args[1], &size_bytes, &cmd->err);

	if (r < 0)
		return r;
	opts.shrink = cmd->flags.shrink;
	opts.online = cmd->flags.online;
	return snapmgr_resize(cmd->sm, cmd->args[0], size_bytes, &opts, visit_resized, cmd,
			      &cmd->err);
}

/* ---- rename ---- */

/* "p0/v@s1" and "s2" make "p0/v@s2"; a UUID stays what it was. */
static void renamed_spec(const char *spec, const char *to, char *out, size_t size)
{
	const char *at = strrchr(spec, '@'), *slash = strchr(spec, '/');
	size_t keep = at ? (size_t)(at - spec) + 1 : slash ? (size_t)(slash - spec) + 1 : 0;

	if (is_uuid(spec))
		(void)snprintf(out, size, "%s", spec);
	else
		(void)snprintf(out, size, "%.*s%s", (int)keep, spec, to);
}

static int run_rename(struct cmd *cmd)
{
	char spec[2 * SNAPMGR_SPEC_TEXT];
	int r = snapmgr_rename(cmd->sm, cmd->args[0], cmd->args[1], &cmd->err);

	if (r < 0)
		return r;
	renamed_spec(cmd->args[0], cmd->args[1], spec, sizeof(spec));
	say(cmd, "%s is now %s", cmd->args[0], cmd->args[1]);
	return show_after(cmd, spec);
}

/* ---- delete ---- */

/* The first walk of a deletion changes nothing and finds what a person has to agree to. */
struct would_go {
	struct cmd *cmd;
	uint64_t volumes, snapshots;
	char first[OBJECT_NAME];
};

static int visit_would_go(const struct snapmgr_object *o, void *data)
{
	struct would_go *w = data;

	if (o->kind == SNAPMGR_VOLUME && !w->volumes++)
		(void)object_name(o, w->first);
	w->snapshots += o->kind == SNAPMGR_SNAPSHOT;
	return 0;
}

static int visit_gone(const struct snapmgr_object *o, void *data)
{
	struct cmd *cmd = data;
	char name[OBJECT_NAME];

	say(cmd, "%s %s", cmd->flags.dry_run ? "would delete" : "deleted", object_name(o, name));
	if (cmd->flags.json)
		object_json(&cmd->json, o, false);
	return 0;
}

static int ask_about_volumes(struct cmd *cmd, struct snapmgr_delete_opts opts)
{
	struct would_go w = { .cmd = cmd };
	char question[OBJECT_NAME + 80];

	opts.dry_run = true;
	for (size_t i = 0; i < cmd->n_args; i++) {
		int r = snapmgr_delete(cmd->sm, cmd->args[i], &opts, visit_would_go, &w,
				       &cmd->err);

		if (r < 0)
			return r;
	}
	if (!w.volumes)
		return 0;
	if (w.volumes == 1)
		(void)snprintf(question, sizeof(question), "delete volume %s and %llu snapshots",
			       w.first, (unsigned long long)w.snapshots);
	else
		(void)snprintf(question, sizeof(question), "delete %llu volumes and %llu snapshots",
			       (unsigned long long)w.volumes, (unsigned long long)w.snapshots);
	return confirm(cmd, question);
}

/* Snapshots go without a question; what may be a volume is looked at first. */
static bool may_name_volume(const struct cmd *cmd)
{
	for (size_t i = 0; i < cmd->n_args; i++)
		if (!strchr(cmd->args[i], '@'))
			return true;
	return false;
}

static int run_delete(struct cmd *cmd)
{
	struct snapmgr_delete_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);
	int r = 0;

	opts.recursive = cmd->flags.recursive;
	opts.keep_snapshots = cmd->flags.keep_snapshots;
	opts.dry_run = cmd->flags.dry_run;
	if (!opts.dry_run && !cmd->flags.yes && may_name_volume(cmd))
		r = ask_about_volumes(cmd, opts);
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
		r = snapmgr_delete(cmd->sm, cmd->args[i], &opts, visit_gone, cmd, &cmd->err);
	return r;
}

/* ---- activate ---- */

static int visit_activated(const struct snapmgr_object *o, void *data)
{
	struct cmd *cmd = data;
	char name[OBJECT_NAME];

	say(cmd, "%s is %s", object_name(o, name), o->device);
	if (cmd->flags.json)
		object_json(&cmd->json, o, false);
	return 0;
}

static int run_activate(struct cmd *cmd)
{
	int r = 0;

	objects_open(cmd);
	for (size_t i = 0; i < cmd->n_args && r == 0; i++)
		r = snapmgr_activate(cmd->sm, cmd->args[i], visit_activated, cmd, &cmd->err);
	return r;
}

static int run_deactivate(struct cmd *cmd)
{
	int r = 0;

	objects_open(cmd);
	for (size_t i = 0; i < cmd->n_args && r == 0; i++) {
		r = snapmgr_deactivate(cmd->sm, cmd->args[i], &cmd->err);
		if (r < 0)
			break;
		say(cmd, "%s is inactive", cmd->args[i]);
		r = show_after(cmd, cmd->args[i]);
	}
	return r;
}

/* ---- the table ---- */

static const struct arg_opt create_opts[] = {
	CLI_SIZE("size", size_bytes, "how large it is: 10G, 512MiB; needed"),
	CLI_TEXT("project", project, "NAME", "the owner whose quota it counts for"),
	CLI_LABEL,
	CLI_DESCRIPTION,
	CLI_TAG,
	CLI_FLAG("inactive", inactive, "do not map it, now or with its pool"),
	CLI_FLAG("guest", guest, "what is inside belongs to a virtual machine"),
	CLI_FLAG("no-revert", no_revert, "revert_to_snapshot_support is off"),
	CLI_PARAMS,
	CLI_END,
};
static const struct arg_opt resize_opts[] = {
	CLI_FLAG("shrink", shrink, "allow a smaller size; what lies behind it is lost"),
	CLI_FLAG("online", online, "with --shrink: although a program has it open"),
	CLI_END,
};
static const struct arg_opt delete_opts[] = {
	{ .name = "recursive", .kind = ARG_FLAG, .offset = CLI_AT(recursive),
	  .help = "a volume with its snapshots", .not_with = "keep-snapshots" },
	CLI_FLAG("keep-snapshots", keep_snapshots, "a volume without its snapshots"),
	CLI_YES,
	CLI_DRY_RUN,
	CLI_END,
};

const struct cmd_verb cmd_volume_verbs[] = {
	{ "create", run_create, 1, 1, "POOL/VOL", "create a volume", create_opts,
	  "create p0/v --size 10G --tag role=db", 0 },
	{ "resize", run_resize, 2, 2, "POOL/VOL SIZE", "change the size of a volume", resize_opts,
	  "resize p0/v 20G", 0 },
	{ "rename", run_rename, 2, 2, "OBJECT NEWNAME",
	  "give a pool, volume or snapshot another name", NULL, "rename p0/v@s1 before-upgrade", 0 },
	{ "delete", run_delete, 1, CMD_ANY, "OBJECT...",
	  "delete snapshots, or volumes (asks, or needs --yes)", delete_opts,
	  "delete p0/v@s1 p0/v@s2\ndelete p0/v --recursive --dry-run", 0 },
	{ "activate", run_activate, 1, CMD_ANY, "OBJECT...",
	  "map volumes, or snapshots read-only", NULL, "activate p0/v@s1", 0 },
	{ "deactivate", run_deactivate, 1, CMD_ANY, "OBJECT...", "unmap volumes or snapshots", NULL,
	  "deactivate p0/v@s1", 0 },
	{ .name = NULL },
};
