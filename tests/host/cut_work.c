/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cut_work SNAPSHOT STRATEGY N [no-undo] - a revert that stops itself (SIGSTOP) at its N-th step: a request of the copy
 * engine, or a look at how far it is. So somebody can pull the plug there.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "snapmgr.h"

static unsigned long left;

static void step(void)
{
	if (left && --left == 0)
		(void)raise(SIGSTOP);
}

/* In place of libaio's; see the Makefile. */
int __real_io_submit(void *context, long n, void **requests);
int __wrap_io_submit(void *context, long n, void **requests);
int __wrap_io_submit(void *context, long n, void **requests)
{
	for (long i = 0; i < n; i++)
		step();
	return __real_io_submit(context, n, requests);
}

static int look(const char *what, uint64_t done, uint64_t todo, void *data)
{
	(void)what;
	(void)done;
	(void)todo;
	(void)data;
	step();
	return 0;
}

int main(int argc, char **argv)
{
	struct snapmgr_open_opts open = SNAPMGR_OPTS_INIT(struct snapmgr_open_opts);
	struct snapmgr_revert_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	struct snapmgr_err err;
	struct snapmgr *sm;

	if (argc < 4)
		return 2;
	left = strtoul(argv[3], NULL, 10);
	open.wait_ms = 30000;
	open.progress = look;
	open.pools_dir = getenv("SNAPMGR_POOLS_DIR");
	opts.strategy = argv[2];
	opts.no_undo = argc > 4;
	if (snapmgr_open(&open, &sm, &err) == 0 &&
	    snapmgr_revert(sm, argv[1], &opts, NULL, &err) == 0)
		return 0;
	(void)fprintf(stderr, "%s: %s\n", argv[1], err.message);
	return 1;
}
