/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * rundir.h - where locks and wal-indices live: /run/snapmgr
 */
#ifndef SCAT_RUNDIR_H
#define SCAT_RUNDIR_H

#define SCAT_RUN_PATH 512

const char *scat_run_dir(void);
/* scat_set_run_dir() - for unit tests, before anything is opened; @path is borrowed. */
void scat_set_run_dir(const char *path);

#endif
