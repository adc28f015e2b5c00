/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapmgr/catalogue/rundir.h"

#include "base.h"

static const char *run_dir = SM_RUN_DIR;

const char *scat_run_dir(void)
{
	return run_dir;
}

void scat_set_run_dir(const char *path)
{
	run_dir = path;
}
