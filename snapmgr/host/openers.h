/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openers.h - walks through the open files of all processes: dear, for messages only */
#ifndef SHOST_OPENERS_H
#define SHOST_OPENERS_H

#include <sys/types.h>

#include "base.h"

/**
 * shost_openers() - each process but ours, once for each block device that it has open
 * @mapped: has mapped into its memory instead, maybe with no descriptor left; dearer still
 */
typedef int shost_opener_fn(int32_t pid, const char *name, dev_t devno, void *data);
int shost_openers(bool mapped, shost_opener_fn *visit, void *data);

/**
 * shost_path_users() - each process that has something below @folder open, mapped, or as its folder
 *
 * By name: asks no filesystem, so a dead one cannot stop it.
 */
typedef int shost_path_user_fn(int32_t pid, const char *name, void *data);
int shost_path_users(const char *folder, shost_path_user_fn *visit, void *data);

/* shost_file_openers() - each process but ours that has this file open, by whatever name */
struct stat;
int shost_file_openers(const struct stat *file, shost_path_user_fn *visit, void *data);

#endif
