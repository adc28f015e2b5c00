/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* upper.h - the block devices that are made of another one */
#ifndef SHOST_UPPER_H
#define SHOST_UPPER_H

#include <sys/types.h>

#include "base.h"

/* @kname: the upper device's name in sysfs; @sysfd: its folder there. Non-zero ends the walk. */
typedef int shost_upper_fn(dev_t devno, const char *kname, int sysfd, void *data);

/* shost_holders_of() - dm, md, bcache, ... devices on top. 0, what @visit answered, or -errno. */
int shost_holders_of(dev_t devno, shost_upper_fn *visit, void *data);
/* shost_partitions_of() - the kernel's partitions of a disk. */
int shost_partitions_of(dev_t devno, shost_upper_fn *visit, void *data);

#endif
