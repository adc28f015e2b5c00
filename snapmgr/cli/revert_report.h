/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * revert_report.h - what a revert or an undo did, or with --dry-run would do
 */
#ifndef CLI_REVERT_REPORT_H
#define CLI_REVERT_REPORT_H

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/pack.h"

/* Of a group: what the library told of it. Zeroed: of one volume. */
struct revert_members {
	struct pack group, snapshot, changed, left;
	const char **why; /* owned; of each left alone */
};
snapmgr_member_fn revert_member; /* data is the struct revert_members */
void revert_members_release(struct revert_members *m);

/* @undone: it was an undo; the snapshot then is the one that the contents descend from, if any */
void revert_report(struct cmd *cmd, const struct snapmgr_revert_result *ret,
		   const struct revert_members *members, bool undone);

#endif
