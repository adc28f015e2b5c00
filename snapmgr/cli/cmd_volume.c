/* SPDX-License-Identifier: GPL-2.0-or-later */
/* create, resize, rename, activate, deactivate */
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
	bool sized = f->size_bytes != UINT64_MAX;
	int r;

	if (!sized && !f->from)
		return sm_fail(&cmd->err, SNAPMGR_USAGE, EINVAL,
			       "how large is '%s' to be? use --size 10G", cmd->args[0]);
	if (sized && f->size_bytes == 0)
		return sm_fail(&cmd->err, SNAPMGR_USAGE, EINVAL,
			       "--size: a volume of size 0 cannot be");
	r = create_opts_fill(&opts, f, &tags, &cmd->err);
	if (r < 0)
		return r;
	opts.from = f->from;
	opts.size_bytes = sized ? f->size_bytes : 0;
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
	CLI_SIZE("size", size_bytes, "how large it is: 10G, 512MiB; needed without --from"),
	CLI_TEXT("from", from, "SOURCE",
		 "contents: a volume, snapshot or undo point, or the path of a file or device"),
	CLI_NEW_VOLUME,
	CLI_PROGRESS,
	CLI_END,
};
static const struct arg_opt resize_opts[] = {
	CLI_FLAG("shrink", shrink, "allow a smaller size; what lies behind it is cut off"),
	CLI_FLAG("online", online, "with --shrink: although a program has it open"),
	CLI_END,
};
const struct cmd_verb cmd_volume_verbs[] = {
	{ "create", run_create, 1, 1, "POOL/VOL", "create a volume", create_opts,
	  "create p0/v --size 10G --tag role=db", 0 },
	{ "resize", run_resize, 2, 2, "POOL/VOL SIZE", "change the size of a volume", resize_opts,
	  "resize p0/v 20G", 0 },
	{ "rename", run_rename, 2, 2, "OBJECT NEWNAME",
	  "give a pool, volume or snapshot another name", NULL, "rename p0/v@s1 before-upgrade",
	  0 },
	{ "activate", run_activate, 1, CMD_ANY, "OBJECT...", "map volumes, or snapshots read-only",
	  NULL, "activate p0/v@s1", 0 },
	{ "deactivate", run_deactivate, 1, CMD_ANY, "OBJECT...", "unmap volumes or snapshots", NULL,
	  "deactivate p0/v@s1", 0 },
	{ .name = NULL },
};
