/* SPDX-License-Identifier: GPL-2.0-or-later */
/* diff */
#include <inttypes.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/object.h"
#include "snapmgr/cli/text.h"

struct showing {
	struct cmd *cmd;
	struct snapmgr_diff_result ret; /* known when the first extent comes */
	bool begun;
};

static void begin_json(struct showing *s)
{
	struct json *j = &s->cmd->json;

	json_object(j);
	json_key(j, "changed_bytes");
	json_uint(j, s->ret.changed_bytes);
	json_key(j, "exact");
	json_bool(j, s->ret.exact);
	json_key(j, "grain_bytes");
	json_uint(j, s->ret.grain_bytes);
	json_key(j, "read_bytes");
	json_uint(j, s->ret.read_bytes);
	json_key(j, "left");
	object_json(j, &s->ret.left, false);
	json_key(j, "right");
	object_json(j, &s->ret.right, false);
	json_key(j, "extents");
	json_array(j);
}

static void begin_text(const struct showing *s)
{
	const struct snapmgr_diff_result *ret = &s->ret;
	char left[OBJECT_NAME], right[OBJECT_NAME];

	say(s->cmd, "%" PRIu64 " bytes in %" PRIu64 " extents %sdiffer: %s (left), %s (right)",
	    ret->changed_bytes, ret->extents, ret->exact ? "" : "may ",
	    object_name(&ret->left, left), object_name(&ret->right, right));
	if (ret->extents)
		say(s->cmd, "%15s %15s  %s", "START", "LENGTH", "KIND");
}

static void begin(struct showing *s)
{
	if (s->begun)
		return;
	s->begun = true;
	progress_end();
	if (s->cmd->flags.json)
		begin_json(s);
	else
		begin_text(s);
}

static int show_extent(const struct snapmgr_extent *e, void *data)
{
	struct showing *s = data;
	struct json *j = &s->cmd->json;

	begin(s);
	if (!s->cmd->flags.json) {
		(void)printf("%15" PRIu64 " %15" PRIu64 "  %s\n", e->start_bytes, e->len_bytes,
			     snapmgr_extent_kind_name(e->kind));
		return out_failed();
	}
	json_object(j);
	json_key(j, "start");
	json_uint(j, e->start_bytes);
	json_key(j, "length");
	json_uint(j, e->len_bytes);
	json_key(j, "kind");
	json_text(j, snapmgr_extent_kind_name(e->kind));
	json_end(j);
	return out_failed();
}

static int run_diff(struct cmd *cmd)
{
	struct snapmgr_diff_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_diff_opts);
	struct showing s = { .cmd = cmd };
	int r;

	opts.fast = cmd->flags.fast;
	r = snapmgr_diff(cmd->sm, cmd->args[0], cmd->args[1], &opts, show_extent, &s, &s.ret,
			 &cmd->err);
	if (r == 0)
		begin(&s);
	return r;
}

static const struct arg_opt diff_opts[] = {
	CLI_FLAG("fast", fast, "read nothing: chunks that are not shared count as changed"),
	CLI_PROGRESS,
	CLI_END,
};
const struct cmd_verb cmd_diff_verbs[] = {
	{ "diff", run_diff, 2, 2, "POOL/VOL@A POOL/VOL[@B]",
	  "list where two snapshots, undo points or volumes of a pool differ\n\n"
	  "The sum of the bytes comes first. Chunks that both share are not read; the others are\n"
	  "compared, so that what is listed are the blocks that differ and no others.",
	  diff_opts, "diff p0/v@s1 p0/v@s2\ndiff p0/v@undo p0/v --json", 0 },
	{ .name = NULL },
};
