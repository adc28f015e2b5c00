/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * cow_lab.h - a cow pool "p" with a volume "v" for each test
 */
#ifndef COW_LAB_H
#define COW_LAB_H

#include <string.h>

#include "../pool_lab.h"

#define SIZE (8 * SM_MIB)

static inline void cow_up(void)
{
	struct snapmgr_pool_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_create_opts);
	const char *const disks[] = { lab_disk(0), lab_disk(1) };

	lab_clean();
	lab_reopen();
	opts.driver = "cow";
	LAB_DO(snapmgr_pool_create(lab, "p", disks, 2, &opts, &err));
	lab_create("p/v", SIZE);
}

/* The whole volume, so that each store holds all of it. */
static inline void cow_fill(char seed)
{
	lab_write(lab_node("p/v"), 0, SIZE, (uint64_t)seed, LAB_DIRECT);
}

static inline bool cow_is(const char *spec, char seed)
{
	struct snapmgr_object o;
	bool is;

	lab_show(spec, &o);
	if (!o.active)
		LAB_DO(snapmgr_activate(lab, spec, NULL, NULL, &err));
	is = lab_holds(lab_node(spec), 0, SIZE, (uint64_t)seed, LAB_DIRECT);
	if (!o.active)
		LAB_DO(snapmgr_deactivate(lab, spec, &err));
	return is;
}

static inline void cow_snapshot(const char *spec, uint64_t cow_bytes)
{
	struct snapmgr_snapshot_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_snapshot_opts);

	opts.cow_bytes = cow_bytes;
	LAB_DO(snapmgr_snapshot(lab, &spec, 1, &opts, NULL, NULL, &err));
}

static inline void cow_reboot(void)
{
	snapmgr_free(lab);
	lab = NULL;
	lab_forget();
	lab_reopen();
	LAB_DO(snapmgr_pool_activate(lab, "p", &err));
}

#endif
