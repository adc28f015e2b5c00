/* SPDX-License-Identifier: GPL-2.0-or-later */
/* copy */
#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/object.h"
#include "snapmgr/cli/pack.h"
#include "snapmgr/cli/text.h"

static int keep(const struct snapmgr_object *o, void *data)
{
	return pack_add(data, o);
}

static int name_of(const struct snapmgr_object *o, void *data)
{
	(void)object_name(o, data);
	return 0;
}

static void report_json(struct cmd *cmd, const struct pack *volume,
			const struct snapmgr_copy_result *ret)
{
	struct json *j = &cmd->json;

	json_object(j);
	json_key(j, "volume");
	(void)pack_each(volume, visit_object_json, cmd);
	json_key(j, "strategy");
	json_text(j, ret->strategy);
	json_key(j, "moved_bytes");
	json_uint(j, ret->moved_bytes);
	json_key(j, "undo");
	json_bool(j, ret->undo);
	json_key(j, "elapsed_ms");
	json_ms(j, ret->elapsed_us);
	json_end(j);
}

static void report(struct cmd *cmd, const struct pack *volume,
		   const struct snapmgr_copy_result *ret)
{
	char name[OBJECT_NAME] = "", back[OBJECT_NAME + 32] = "", size[TEXT_SIZE];

	progress_end();
	if (cmd->flags.json) {
		report_json(cmd, volume, ret);
		return;
	}
	(void)pack_each(volume, name_of, name);
	if (ret->undo)
		(void)snprintf(back, sizeof(back), "; back: snapmgr undo %s", name);
	say(cmd, "%s is now a copy of %s (%s, %s moved, %llu ms)%s", name, cmd->args[0],
	    ret->strategy, text_size(ret->moved_bytes, size),
	    (unsigned long long)(ret->elapsed_us + 500) / 1000, back);
}

static int run_copy(struct cmd *cmd)
{
	const struct cmd_flags *f = &cmd->flags;
	struct snapmgr_create_opts create = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);
	struct snapmgr_copy_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_copy_opts);
	AUTO(free) struct snapmgr_tag *tags = NULL;
	struct snapmgr_copy_result result = { 0 };
	struct pack volume = { 0 };
	int r = create_opts_fill(&create, f, &tags, &cmd->err);

	if (r < 0)
		return r;
	create.size_bytes = f->size_bytes != UINT64_MAX ? f->size_bytes : 0;
	opts.create = &create;
	opts.full = f->full;
	opts.verify = f->verify;
	opts.resume = f->resume;
	opts.checkpoint_bytes = f->checkpoint_bytes != UINT64_MAX ? f->checkpoint_bytes : 0;
	opts.no_undo = f->no_undo;
	opts.online = f->online;
	opts.remount = f->remount;
	r = snapmgr_copy(cmd->sm, cmd->args[0], cmd->args[1], &opts, keep, &volume, &result,
			 &cmd->err);
	if (r == 0)
		report(cmd, &volume, &result);
	pack_release(&volume);
	return r;
}

static const struct arg_opt copy_opts[] = {
	CLI_SIZE("size", size_bytes,
		 "of a new volume; at least the source's, which is the default"),
	CLI_FLAG("full", full, "byte by byte, also where the pool could share the blocks"),
	CLI_FLAG("verify", verify, "read back and compare"),
	CLI_FLAG(
		"resume", resume,
		"go on where the same command was cut short, and keep what this one has copied if it is"),
	CLI_SIZE("checkpoint", checkpoint_bytes,
		 "with --resume: at most about so much is copied twice (256M)"),
	CLI_FLAG("no-undo", no_undo, "keep nothing of what a volume held that is there already"),
	CLI_ONLINE,
	CLI_REMOUNT,
	CLI_NEW_VOLUME,
	CLI_PROGRESS,
	CLI_END,
};

const struct cmd_verb cmd_copy_verbs[] = {
	{ "copy", run_copy, 2, 2, "SOURCE POOL/VOL",
	  "copy a volume, snapshot, file or device into a volume, a new one or one that is there",
	  copy_opts, "copy p0/v@s1 p1/v\ncopy ./disk.img p0/v", 0 },
	{ .name = NULL },
};
