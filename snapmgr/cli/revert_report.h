/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * revert_report.h - what a revert or an undo did, or with --dry-run would do
 */
#ifndef CLI_REVERT_REPORT_H
#define CLI_REVERT_REPORT_H

#include "snapmgr/cli/cli.h"

/* @undone: it was an undo; the snapshot then is the one that the contents descend from, if any */
void revert_report(struct cmd *cmd, const struct snapmgr_revert_result *ret, bool undone);

#endif
