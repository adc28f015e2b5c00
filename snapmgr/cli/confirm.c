/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/text.h"

int confirm(struct cmd *cmd, const char *question)
{
	char answer[16];

	if (cmd->flags.yes)
		return 0;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return sm_fail(&cmd->err, SNAPMGR_USAGE, EINVAL,
			       "to %s, say --yes (there is no terminal to ask on)", question);
	(void)fflush(stdout);
	text_plain(stderr, question);
	(void)fputs("? [y/N] ", stderr);
	(void)fflush(stderr);
	if (!fgets(answer, sizeof(answer), stdin))
		answer[0] = '\0';
	answer[strcspn(answer, "\n")] = '\0';
	if (strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0)
		return 0;
	return sm_fail(&cmd->err, SNAPMGR_USAGE, ECANCELED, "nothing was done");
}
