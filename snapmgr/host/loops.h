/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* loops.h - loop devices in use, and what is behind them */
#ifndef SHOST_LOOPS_H
#define SHOST_LOOPS_H

#include <sys/types.h>

#include "base.h"

struct shost_loop {
	dev_t devno;
	char kname[16];
	dev_t behind_node; /* the block device behind it; 0 where a file is */
	dev_t behind_file; /* the file's st_dev; 0 where a device is */
	char *path; /* of what is behind, as the kernel names it here; may be stale or foreign */
};
struct shost_loops {
	struct shost_loop *v;
	size_t n;
};
/* shost_loops_load() - all that are attached. 0 or -errno. */
int shost_loops_load(struct shost_loops *ret);
void shost_loops_release(struct shost_loops *loops);
static inline void auto_shost_loops_release(struct shost_loops *loops)
{
	shost_loops_release(loops);
}

#endif
