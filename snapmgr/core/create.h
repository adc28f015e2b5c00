/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * create.h - new volumes: what those made empty, by a clone and by a copy have in common
 */
#ifndef SM_CREATE_H
#define SM_CREATE_H

#include "snapmgr/core/core.h"

/* sm_volume_describe() - what the options say of a volume that is to be; size, parent and thin are not
 * among it. */
void sm_volume_describe(struct scat_volume *v, const char *name,
			const struct snapmgr_create_opts *o, const struct sm_driver *driver);
int sm_create_opts_check(const struct snapmgr_create_opts *o, struct snapmgr_err *err);
int sm_volume_quota(struct sm_pool *pool, const struct scat_volume *v, struct snapmgr_err *err);
/* sm_volume_insert() - its row and tags, and the pool's; in the open transaction. */
int sm_volume_insert(struct sm_pool *pool, struct scat_volume *v,
		     const struct snapmgr_create_opts *o, struct snapmgr_err *err);
/* sm_volume_bring_up() - map it where it shall be; where that fails it is taken back. */
int sm_volume_bring_up(struct sm_pool *pool, const struct scat_volume *v, struct snapmgr_err *err);
int sm_make_empty(struct sm_pool *pool, uint32_t id, void *arg, struct snapmgr_err *err);
/* ---- create_blank.c ---- */

/* sm_create_blank() - a new volume, described, where what is handed out has to be made zero: a lasting
 * operation. The lock is held on entry; on return of 0, too. */
int sm_create_blank(struct sm_pool *pool, struct scat_volume *v,
		    const struct snapmgr_create_opts *o, struct snapmgr_err *err);

/* ---- create.c ---- */

/* sm_clone() - in one pool, at once; @from: a snapshot or undo point, with @head also a volume as it
 * is now. */
int sm_clone(struct snapmgr *sm, const char *from, const struct sm_spec *to,
	     struct snapmgr_create_opts *o, bool head, snapmgr_object_fn *visit, void *data,
	     struct snapmgr_err *err);

/* ---- moment.c ---- */

/* sm_make_moment() - an sm_make_fn: what a volume (@arg, a struct scat_volume) holds at one instant, as a
 * new id. Its filesystems are frozen for it, as for a snapshot. */
int sm_make_moment(struct sm_pool *pool, uint32_t id, void *arg, struct snapmgr_err *err);

/* ---- copy.c ---- */

/* sm_copy_bytes() - snapmgr_copy() by the copy engine, from wherever it is. */
int sm_copy_bytes(struct snapmgr *sm, const char *from, const struct sm_spec *to,
		  const struct snapmgr_copy_opts *o, snapmgr_object_fn *visit, void *data,
		  struct snapmgr_copy_result *ret, struct snapmgr_err *err);
/* sm_copy_revert() - a volume that is there reads as snapshot @from of another pool, and has its size. */
int sm_copy_revert(struct snapmgr *sm, const char *from, const struct sm_spec *to,
		   const struct snapmgr_revert_opts *o, struct snapmgr_object *ret_volume,
		   struct snapmgr_copy_result *ret, struct snapmgr_err *err);
/* revert.c */
int sm_revert_support(const struct sm_pool *pool, const struct scat_volume *v,
		      struct snapmgr_err *err);
/* sm_copy_new() - snapmgr_create() of something that no clone can be made of. */
int sm_copy_new(struct snapmgr *sm, const char *from, const struct sm_spec *to,
		const struct snapmgr_create_opts *o, snapmgr_object_fn *visit, void *data,
		struct snapmgr_err *err);
/* sm_copy_is_foreign() - is @from a path, of another pool than @pool, or of one that shares nothing? 1, 0
 * or a negative errno */
int sm_copy_is_foreign(struct snapmgr *sm, const char *from, const char *pool,
		       struct snapmgr_err *err);
/* sm_copy_settle() - the handler of sm_lasting_verbs */
struct scat_operation;
int sm_copy_settle(struct sm_pool *pool, const struct scat_operation *op, char *said,
		   struct snapmgr_err *err);

#endif
