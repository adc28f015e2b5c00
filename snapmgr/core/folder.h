/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * folder.h - pools that are folders: where they are, whose they are
 *
 * A pool is found by a link NAME -> DIR in one folder of links. DIR/.snapmgr/owner says what it is and
 * which machine uses it, and is read before the catalogue is touched: two machines that have one folder
 * by NFS must not both open that.
 */
#ifndef SM_FOLDER_H
#define SM_FOLDER_H

#include "snapmgr/core/core.h"

#define SM_FOLDER_ACTIVE     "active"
#define SM_FOLDER_INACTIVE   "inactive"
#define SM_FOLDER_EXPORTED   "exported"
#define SM_FOLDER_DESTROYING "destroying"

struct sm_folder {
	char dir[SM_POOL_DIR];
	char name[SNAPMGR_NAME_MAX + 1];
	char state[16];
	struct sm_uuid uuid, host_id, boot_id;
	char host[65];
	int64_t created_at_us;
	bool reflink;
};
/* sm_folder_read() - -ENOENT (err untouched): there is no pool in @dir */
int sm_folder_read(const char *dir, struct sm_folder *ret, struct snapmgr_err *err);
/* sm_folder_write() - whole or not at all, on the disk when it returns. */
int sm_folder_write(const struct sm_folder *folder, struct snapmgr_err *err);
/* sm_folder_is_ours() - this machine's */
bool sm_folder_is_ours(const struct sm_folder *folder);
/* sm_folder_claim() - this machine's, in this boot, from now on */
int sm_folder_claim(struct sm_folder *folder, struct snapmgr_err *err);
void sm_folder_lock_name(const char *dir, char ret[SM_POOL_DIR + 32]);
/* sm_folder_probe() - can files in @dir share extents? */
bool sm_folder_probe(const char *dir);

/* sm_folder_link() - from now on it is found; -EEXIST (exists) where another pool has that name. */
int sm_folder_link(const struct snapmgr *sm, const char *name, const char *dir,
		   struct snapmgr_err *err);
int sm_folder_unlink(const struct snapmgr *sm, const char *name, struct snapmgr_err *err);
/**
 * sm_folder_find() - by name or UUID
 * Return: 0; -ENOENT (err untouched) where there is no link; -ENODEV (bad_state): it leads nowhere.
 */
int sm_folder_find(const struct snapmgr *sm, const char *pool, struct sm_folder *ret,
		   struct snapmgr_err *err);
/* sm_folder_each() - all that have a link; what cannot be read is told as a warning. */
typedef int sm_folder_fn(const struct sm_folder *folder, void *data);
int sm_folder_each(const struct snapmgr *sm, sm_folder_fn *visit, void *data);

/* sm_folder_open() - as sm_pool_open(); -ENOENT (err untouched) where no link has that name */
int sm_folder_open(struct snapmgr *sm, const char *pool, bool writable, struct sm_pool *ret,
		   struct snapmgr_err *err);
/* sm_folder_open_any() - under its lock, whatever its state; the catalogue stays closed. */
int sm_folder_open_any(struct snapmgr *sm, const char *pool, struct sm_folder *ret_folder,
		       struct sm_pool *ret, struct snapmgr_err *err);
int sm_folder_catalogue(struct sm_pool *pool, const struct sm_folder *folder, bool writable,
			struct snapmgr_err *err);

/* ---- the verbs of pools, for a folder: folder_create.c, folder_state.c, folder_show.c ---- */

int sm_folder_create(struct snapmgr *sm, const char *name, const char *const *dirs, size_t n,
		     const struct sm_driver *driver, const struct snapmgr_pool_create_opts *o,
		     struct snapmgr_err *err);
int sm_folder_destroy(struct snapmgr *sm, const char *name,
		      const struct snapmgr_pool_destroy_opts *o, struct snapmgr_err *err);
int sm_folder_activate(struct snapmgr *sm, const char *name, struct snapmgr_err *err);
/* @state: SM_FOLDER_INACTIVE or SM_FOLDER_EXPORTED */
int sm_folder_let_go(struct snapmgr *sm, const char *name, const char *state,
		     struct snapmgr_err *err);
int sm_folder_import(struct snapmgr *sm, const char *dir, const struct snapmgr_pool_import_opts *o,
		     struct snapmgr_err *err);

/* sm_folder_down() - detach all; or only look whether nobody uses it */
int sm_folder_down(struct sm_pool *pool, bool remove, struct snapmgr_err *err);
int sm_folder_list(struct snapmgr *sm, snapmgr_pool_fn *visit, void *data, bool *ret_any);
int sm_folder_show(struct snapmgr *sm, const struct sm_folder *folder, snapmgr_pool_fn *visit,
		   void *data, struct snapmgr_err *err);
int sm_folder_check(struct snapmgr *sm, const char *name, const struct snapmgr_pool_check_opts *o,
		    struct snapmgr_err *err);

/* sm_folder_refuse() - what pools in folders do not do; unsupported */
int sm_folder_refuse(const struct sm_folder *folder, const char *what, struct snapmgr_err *err);

#endif
