/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cow driver: linear volumes, and classic snapshots in stores of their own. */
#include "snapmgr/drivers/cow.h"

static const char *const strategies[] = { "merge", NULL };

static const struct sm_store_driver stores = {
	.room = cow_room,
	.store_most = cow_store_most,
	.store_for = cow_store_for,
	.place = cow_place,
	.arm = cow_arm,
	.disarm = cow_disarm,
	.status = cow_status,
	.flush = cow_sync,
	.retable = cow_retable,
	.again = cow_again,
};

static const char *lacks(const struct sm_backend *b, const char *strategy)
{
	static const char *const targets[] = { "snapshot", "snapshot-origin", "snapshot-merge" };

	for (size_t i = 0; !b && !strategy && i < SM_ARRAY(targets); i++)
		if (sdm_target_known(targets[i], NULL) <= 0)
			return "the kernel has no device-mapper target 'snapshot', or not all of it";
	return NULL;
}

const struct sm_driver sm_driver_cow = {
	.name = "cow",
	.strategies = strategies,
	.lacks = lacks,
	.stores = &stores,
	.chunk_for = cow_chunk_for,
	.start = cow_start,
	.pin = cow_pin,
	.stop = cow_stop,
	.grow = cow_grow,
	.space = cow_space,
	.drop = cow_drop,
	.map = cow_map,
	.unmap = sm_vdev_unmap,
	.rename = sm_vdev_rename,
	.used = cow_used,
	.snapshot = cow_snapshot,
	.heal = cow_heal,
	.fill_open = cow_fill_open,
	.diff = cow_diff,
	.diff_open = cow_diff_open,
};
