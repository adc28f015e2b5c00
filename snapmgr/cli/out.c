/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A word about success, and whether anybody hears it. */
#include <errno.h>

#include "snapmgr/cli/cli.h"

void say(const struct cmd *cmd, const char *fmt, ...)
{
	va_list ap;

	if (cmd->flags.quiet || cmd->flags.json)
		return;
	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)putchar('\n');
}

int out_failed(void)
{
	static int first; /* the errno of the write that failed; later calls change errno */

	if (!first && ferror(stdout))
		first = errno ? errno : EIO;
	return -first;
}
