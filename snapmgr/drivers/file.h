/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * file.h - image files in a folder: what the files of this driver share
 *
 * DIR/NAME.img          a volume: its head, whose inode never changes
 * DIR/.snapmgr/ID.img   a snapshot, an undo point, or what is about to become a head
 * DIR/.snapmgr/ID.head  a head without a name: just made, on its way to another name, or deleted
 * DIR/.snapmgr/UUID.mark  which id's contents a volume's file holds: see file_mark
 *
 * A file that a row names is whole and on the disk before the commit that names it.
 */
#ifndef SM_FILE_H
#define SM_FILE_H

#include "snapmgr/drivers/driver.h"

#define FILE_PATH (SM_POOL_DIR + 128)

/* ---- paths (file_volume.c) ---- */

void file_head_path(const struct sm_backend *b, const char *volume, char ret[FILE_PATH]);
/* @suffix: "img", "head" */
void file_id_path(const struct sm_backend *b, uint32_t id, const char *suffix, char ret[FILE_PATH]);
/* file_path() - where @v's contents are */
void file_path(const struct sm_backend *b, const struct sm_vdev *v, char ret[FILE_PATH]);
/* file_open() - a descriptor, close-on-exec; or a negative errno, -EUCLEAN (damaged) where it is missing. */
int file_open(const char *path, int flags, struct snapmgr_err *err);
/* file_failed() - an errno as our error; a full filesystem is no_space. */
int file_failed(struct snapmgr_err *err, int errnum, const char *act, const char *path);
/* file_sync_dir() - names made and gone in the pool's folder, or in ours below it, are on the disk. */
int file_sync_dir(const struct sm_backend *b, bool below, struct snapmgr_err *err);
/* file_unlink() - an absent one is success. */
int file_unlink(const char *path, struct snapmgr_err *err);

/* ---- file_copy.c ---- */

/**
 * file_share() - @to, in place, made equal to @from, sizes included, and on the disk
 *
 * By shared extents where the pool has them, else by copying what is allocated.
 * @watch: of that copying; NULL: nobody looks
 */
int file_share(const struct sm_backend *b, int from, int to, const char *to_path,
	       const struct sm_watch *watch, struct snapmgr_err *err);
/* file_share_new() - the same into a new file; what has that name is only its name, and goes. */
int file_share_new(const struct sm_backend *b, int from, const char *to_path,
		   const struct sm_watch *watch, struct snapmgr_err *err);

/* ---- what a volume's file holds (file_switch.c) ---- */

/*
 * The head's contents change in place, and not in one step. So beside the catalogue, which says what
 * they shall be, a mark says what they are.
 */
/* file_mark_read() - -ENOENT where there is none: then it holds what the catalogue says. */
int file_mark_read(const struct sm_backend *b, const struct sm_vdev *v, struct sm_contents *ret,
		   struct snapmgr_err *err);
int file_mark_write(const struct sm_backend *b, const struct sm_vdev *v,
		    const struct sm_contents *mark, struct snapmgr_err *err);
void file_mark_path(const struct sm_backend *b, const struct sm_vdev *v, char ret[FILE_PATH]);

/* ---- the slots ---- */

extern const struct sm_rewrite_driver file_rewrite; /* file_rewrite.c */

int file_name_free(const struct sm_backend *b, const char *volume, struct snapmgr_err *err);
const char *file_lacks(const struct sm_backend *b, const char *strategy);
int file_space(const struct sm_backend *b, bool commit_first, struct sm_space *ret,
	       struct snapmgr_err *err);
int file_ids(const struct sm_backend *b, bool active, sm_id_fn *visit, void *data,
	     struct snapmgr_err *err);

int file_make(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err);
int file_link(const struct sm_backend *b, uint32_t from, uint32_t id, struct snapmgr_err *err);
int file_link_active(const struct sm_backend *b, const struct sm_vdev *active, uint32_t id,
		     const struct sm_switch_opts *opts, struct snapmgr_err *err);
int file_drop(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err);
int file_own(const struct sm_backend *b, uint32_t id, const struct sm_watch *watch,
	     struct snapmgr_err *err);
int file_place(const struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err);
int file_withdraw(const struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err);

int file_info(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_info *ret,
	      struct snapmgr_err *err);
int file_map(struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err);
int file_unmap(struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err);
int file_rename(struct sm_backend *b, const struct sm_vdev *from, const struct sm_vdev *to,
		struct snapmgr_err *err);
int file_used(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_info *ret_info,
	      uint64_t *ret, struct snapmgr_err *err);
/* file_loop_flush() - write back what its loop device holds, and forget it; nothing where it has none. */
int file_loop_flush(const struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err);
/* file_loop_resize() - the size of the file is that of the loop device. */
int file_loop_resize(const struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err);

/* ---- file_fill.c ---- */

int file_read_open(const struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err);
int file_fill_open(const struct sm_backend *b, uint32_t id, uint64_t size_bytes,
		   struct snapmgr_err *err);
int file_fill_end(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err);

/* ---- file_diff.c ---- */

int file_diff(const struct sm_backend *b, const struct sm_vdev *left, const struct sm_vdev *right,
	      struct sm_diff *ret, struct snapmgr_err *err);

int file_snapshot(const struct sm_backend *b, struct sm_snap_item *items, size_t n,
		  const int *thaw_fds, size_t n_thaw, const struct sm_switch_opts *opts,
		  struct snapmgr_err *err);
int file_repoint(struct sm_backend *b, const struct sm_switch_item *items, size_t n,
		 const struct sm_switch_opts *opts, sm_commit_fn *commit, void *arg,
		 struct sdm_switch **ret_settle, struct snapmgr_err *err);
int file_live(const struct sm_backend *b, const struct sm_vdev *v, uint32_t *ret_id,
	      struct snapmgr_err *err);
int file_heal(const struct sm_backend *b, const struct sm_vdev *v, uint32_t *ret_id,
	      uint64_t *ret_bytes, struct snapmgr_err *err);

#endif
