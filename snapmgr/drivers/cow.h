/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * cow.h - the entry points of the cow driver, for its table in cow.c. See driver.h.
 *
 * Kernel devices of a pool p with the UUID U, all on p's data:
 *
 *   snapmgr-p-_7   U-7   where id 7 lies: a volume's data, or a store
 *   snapmgr-p-_7s  U-7s  store 7 against its origin: reads as the snapshot
 *   snapmgr-p-_7m  U-7m  volume 7 while it takes on a store: snapshot-merge
 *
 * A volume's own device is linear over _7, over _7m, or snapshot-origin over _7; a snapshot's, where
 * it is active, linear over _Ns.
 */
#ifndef SM_COW_H
#define SM_COW_H

#include "snapmgr/drivers/driver.h"

/* ---- cow_device.c ---- */

enum cow_kind { COW_PLACE, COW_SHOWN, COW_MERGING };
void cow_device(const struct sm_backend *b, uint32_t id, enum cow_kind kind,
		struct sdm_device *ret);
/* cow_devno() - -ENODEV (bad_state) where it is not mapped */
int cow_devno(const struct sm_backend *b, uint32_t id, enum cow_kind kind, dev_t *ret,
	      struct snapmgr_err *err);
/* cow_id() - what an internal device of the pool is; false where it is none of these */
bool cow_id(const struct sm_backend *b, const char *dm_uuid, uint32_t *ret_id,
	    enum cow_kind *ret_kind);
int cow_remove(const struct sm_backend *b, uint32_t id, enum cow_kind kind,
	       struct snapmgr_err *err);
int cow_sync(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err);
int cow_fill_open(const struct sm_backend *b, uint32_t id, uint64_t size_bytes,
		  struct snapmgr_err *err);

/* ---- cow_pool.c ---- */

uint64_t cow_chunk_for(uint64_t data_bytes);
int cow_start(struct sm_backend *b, const struct sm_layout *layout, bool fresh,
	      struct snapmgr_err *err);
int cow_pin(struct sm_backend *b, bool fresh, struct snapmgr_err *err);
int cow_stop(struct sm_backend *b, struct snapmgr_err *err);
int cow_grow(struct sm_backend *b, const struct sm_layout *layout, struct snapmgr_err *err);
int cow_space(const struct sm_backend *b, bool commit_first, struct sm_space *ret,
	      struct snapmgr_err *err);
int cow_room(const struct sm_backend *b, uint64_t *ret_from, uint64_t *ret_to, uint64_t *ret_step,
	     struct snapmgr_err *err);

/* ---- cow_store.c ---- */

uint64_t cow_store_most(const struct sm_backend *b, uint64_t volume_bytes);
uint64_t cow_store_for(const struct sm_backend *b, uint64_t keeps_sectors);
int cow_place(struct sm_backend *b, const struct sm_place *p, enum sm_blank blank,
	      struct snapmgr_err *err);
/* cow_arm_idle() - armed by its sdm_resume() */
int cow_arm_idle(const struct sm_backend *b, uint32_t id, uint32_t origin, uint64_t size_bytes,
		 bool merge, struct snapmgr_err *err);
int cow_arm(struct sm_backend *b, const struct sm_place *p, struct snapmgr_err *err);
int cow_disarm(struct sm_backend *b, uint32_t id, struct snapmgr_err *err);
int cow_status(const struct sm_backend *b, uint32_t id, bool merging, struct sdm_store_status *ret,
	       struct snapmgr_err *err);
int cow_drop(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err);

/* ---- cow_volume.c ---- */

int cow_target(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_target *ret,
	       struct snapmgr_err *err);
int cow_map(struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err);
int cow_used(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_info *ret_info,
	     uint64_t *ret, struct snapmgr_err *err);
int cow_heal(const struct sm_backend *b, const struct sm_vdev *v, uint32_t *ret_id,
	     uint64_t *ret_bytes, struct snapmgr_err *err);

/* ---- cow_diff.c ---- */

int cow_diff(const struct sm_backend *b, const struct sm_vdev *left, const struct sm_vdev *right,
	     struct sm_diff *ret, struct snapmgr_err *err);
int cow_diff_open(const struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err);

/* ---- cow_switch.c ---- */

int cow_snapshot(const struct sm_backend *b, struct sm_snap_item *items, size_t n,
		 const int *thaw_fds, size_t n_thaw, const struct sm_switch_opts *opts,
		 struct snapmgr_err *err);
int cow_retable(struct sm_backend *b, const struct sm_switch_item *item,
		const struct sm_place *merging, const struct sm_switch_opts *opts,
		struct sdm_switch **ret_settle, struct snapmgr_err *err);
int cow_again(struct sm_backend *b, const struct sm_switch_item *item,
	      const struct sm_place *merging, const struct sm_switch_opts *opts,
	      struct snapmgr_err *err);

#endif
