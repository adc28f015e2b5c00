/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* thin.h - the entry points of the thin driver, for its table in thin.c. See driver.h. */
#ifndef SM_THIN_H
#define SM_THIN_H

#include "snapmgr/drivers/driver.h"

/* thin_pool.c */
const char *thin_lacks(const struct sm_backend *b, const char *strategy);
uint64_t thin_chunk_for(uint64_t data_bytes);
uint64_t thin_meta_for(uint64_t data_bytes, uint64_t chunk_bytes);
int thin_start(struct sm_backend *b, const struct sm_layout *layout, bool fresh,
	       struct snapmgr_err *err);
int thin_pin(struct sm_backend *b, bool fresh, struct snapmgr_err *err);
int thin_stop(struct sm_backend *b, struct snapmgr_err *err);
int thin_grow(struct sm_backend *b, const struct sm_layout *layout, struct snapmgr_err *err);
int thin_when_full(struct sm_backend *b, struct snapmgr_err *err);
int thin_let_go(const struct sm_backend *b, struct snapmgr_err *err);
int thin_space(const struct sm_backend *b, bool commit_first, struct sm_space *ret,
	       struct snapmgr_err *err);
int thin_transaction(const struct sm_backend *b, uint64_t from, uint64_t to,
		     struct snapmgr_err *err);

/* thin_meta.c */
int thin_peek(const struct sm_backend *b, struct sm_space *ret, struct snapmgr_err *err);
int thin_ids(const struct sm_backend *b, bool active, sm_id_fn *visit, void *data,
	     struct snapmgr_err *err);
int thin_verify(const struct sm_backend *b, bool active, snapmgr_report_fn *report, void *data,
		struct snapmgr_err *err);
int thin_absolve(const struct sm_backend *b, struct snapmgr_err *err);
int thin_node(const struct sm_backend *b, enum sm_role role, char *ret, size_t size,
	      struct snapmgr_err *err);
/**
 * thin_on_snapshot() - look into the metadata of a running pool, as of one moment
 *
 * The pool has one metadata snapshot: the caller holds the pool's lock. It is released whatever @look
 * comes to; after a crash, by the next one, by recovery and by activation.
 */
typedef int thin_look_fn(void *data, struct snapmgr_err *err);
int thin_on_snapshot(const struct sm_backend *b, thin_look_fn *look, void *data,
		     struct snapmgr_err *err);
/* thin_super_whole() - can the metadata's first block be believed? */
bool thin_super_whole(const char *node);

/* thin_repair.c */
int thin_rebuild(const struct sm_backend *b, uint64_t transaction, uint64_t data_bytes,
		 struct snapmgr_err *err);
int thin_recorded(const struct sm_backend *b, sm_id_fn *visit, void *data, struct snapmgr_err *err);

/* thin_diff.c */
int thin_diff(const struct sm_backend *b, const struct sm_vdev *left, const struct sm_vdev *right,
	      struct sm_diff *ret, struct snapmgr_err *err);
int thin_diff_open(const struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err);

/* thin_volume.c */
/* thin_find_pool() - fill b->pool_dev, once. */
int thin_find_pool(struct sm_backend *b, struct snapmgr_err *err);
int thin_target(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_target *ret,
		struct snapmgr_err *err);
/* thin_committed() - did the kernel write its metadata after the last message? */
int thin_committed(const struct sm_backend *b, struct snapmgr_err *err);
int thin_make(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err);
int thin_copy(const struct sm_backend *b, uint32_t from, uint32_t id, struct snapmgr_err *err);
int thin_copy_active(const struct sm_backend *b, const struct sm_vdev *active, uint32_t id,
		     const struct sm_switch_opts *opts, struct snapmgr_err *err);
int thin_drop(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err);
int thin_map(struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err);
int thin_used(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_info *ret_info,
	      uint64_t *ret, struct snapmgr_err *err);

/* thin_wipe.c */
int thin_wipe(struct sm_backend *b, const struct sm_vdev *v, uint64_t from_bytes, uint64_t to_bytes,
	      uint64_t until_ns, struct snapmgr_err *err);

/* thin_switch.c */
int thin_snapshot(const struct sm_backend *b, struct sm_snap_item *items, size_t n,
		  const int *thaw_fds, size_t n_thaw, const struct sm_switch_opts *opts,
		  struct snapmgr_err *err);
int thin_repoint(struct sm_backend *b, const struct sm_switch_item *items, size_t n,
		 const struct sm_switch_opts *opts, sm_commit_fn *commit, void *arg,
		 struct sdm_switch **ret_settle, struct snapmgr_err *err);
int thin_heal(const struct sm_backend *b, const struct sm_vdev *v, uint32_t *ret_id,
	      uint64_t *ret_bytes, struct snapmgr_err *err);

#endif
