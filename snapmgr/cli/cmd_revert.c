/* SPDX-License-Identifier: GPL-2.0-or-later */
/* revert */
#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/revert_report.h"

static int run_revert(struct cmd *cmd)
{
	const struct cmd_flags *f = &cmd->flags;
	struct snapmgr_revert_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	struct revert_members members = { .why = NULL };
	struct snapmgr_revert_result ret;
	int r;

	opts.target = f->target;
	opts.latest_only = f->latest_only;
	opts.no_undo = f->no_undo;
	opts.online = f->online;
	opts.remount = f->remount;
	opts.force = f->force;
	opts.allow_clone = f->allow_clone;
	opts.dry_run = f->dry_run;
	opts.strategy = f->strategy;
	opts.params = f->params.items;
	opts.n_params = f->params.n;
	opts.member = revert_member;
	opts.member_data = &members;
	r = snapmgr_revert(cmd->sm, cmd->args[0], &opts, &ret, &cmd->err);
	if (r == 0)
		revert_report(cmd, &ret, &members, false);
	revert_members_release(&members);
	return r;
}

static const struct arg_opt revert_opts[] = {
	CLI_TEXT("target", target, "POOL/VOL",
		 "the volume to revert, where it is not the snapshot's own"),
	CLI_FLAG("latest-only", latest_only, "fail unless it is the newest snapshot"),
	CLI_FLAG("no-undo", no_undo, "keep no way back"),
	CLI_ONLINE,
	CLI_REMOUNT,
	CLI_FLAG("force", force, "with --online: also to a smaller size"),
	CLI_TEXT("strategy", strategy, "NAME", "repoint, reflink, merge, copy or clone"),
	CLI_FLAG("allow-clone", allow_clone, "where nothing else can do it: a new volume"),
	CLI_PARAMS,
	CLI_DRY_RUN,
	CLI_PROGRESS,
	CLI_END,
};
const struct cmd_verb cmd_revert_verbs[] = {
	{ "revert", run_revert, 1, 1, "POOL/VOL@SNAP | POOL/GROUP@SNAP",
	  "make a volume, or all of a group, read as a snapshot of it, in place", revert_opts,
	  "revert p0/v@s1\nrevert p0/v@latest --remount\nrevert p0/vm1@s1", 0 },
	{ .name = NULL },
};
