/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The thin driver: dm-thin pools and volumes. */
#include "snapmgr/drivers/thin.h"

static const char *const strategies[] = { "repoint", "merge", "copy", NULL };

const struct sm_driver sm_driver_thin = {
	.name = "thin",
	.strategies = strategies,
	.online = true,
	.beside = true,
	.lacks = thin_lacks,
	.chunk_for = thin_chunk_for,
	.meta_for = thin_meta_for,
	.start = thin_start,
	.pin = thin_pin,
	.stop = thin_stop,
	.grow = thin_grow,
	.when_full = thin_when_full,
	.space = thin_space,
	.transaction = thin_transaction,
	.peek = thin_peek,
	.ids = thin_ids,
	.verify = thin_verify,
	.let_go = thin_let_go,
	.absolve = thin_absolve,
	.rebuild = thin_rebuild,
	.recorded = thin_recorded,
	.make = thin_make,
	.copy = thin_copy,
	.copy_active = thin_copy_active,
	.wipe = thin_wipe,
	.drop = thin_drop,
	.map = thin_map,
	.unmap = sm_vdev_unmap,
	.rename = sm_vdev_rename,
	.used = thin_used,
	.snapshot = thin_snapshot,
	.repoint = thin_repoint,
	.heal = thin_heal,
	.diff = thin_diff,
	.diff_open = thin_diff_open,
};
