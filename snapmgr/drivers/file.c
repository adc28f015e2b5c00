/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file driver: image files in a folder. */
#include "snapmgr/drivers/file.h"

static const char *const strategies[] = { "reflink", "copy", NULL };

const struct sm_driver sm_driver_file = {
	.name = "file",
	.strategies = strategies,
	.online = true,
	.files = true,
	.rewrite = &file_rewrite,
	.lacks = file_lacks,
	.space = file_space,
	.ids = file_ids,
	.make = file_make,
	.copy = file_link,
	.copy_active = file_link_active,
	.drop = file_drop,
	.info = file_info,
	.name_free = file_name_free,
	.place = file_place,
	.withdraw = file_withdraw,
	.map = file_map,
	.unmap = file_unmap,
	.rename = file_rename,
	.used = file_used,
	.snapshot = file_snapshot,
	.repoint = file_repoint,
	.live = file_live,
	.heal = file_heal,
	.read_open = file_read_open,
	.fill_open = file_fill_open,
	.fill_end = file_fill_end,
	.diff = file_diff,
	.diff_open = file_read_open,
};
