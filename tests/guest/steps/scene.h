/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * scene.h - what the verbs of the table share: the usual scene, and ways back to it
 */
#ifndef STEPS_SCENE_H
#define STEPS_SCENE_H

#include "steps.h"

extern int scene_open_fd; /* somebody has "p/v" open; -1: nobody */

void scene_make_usual(void); /* in a pool "p" that is empty */
void scene_usual(void);	     /* with the pool, from nothing */
/* scene_settle() - "p/v" reads as 2, with nothing to undo. */
void scene_settle(void);
/* scene_gone() - deleted with its snapshots, where it is there. */
void scene_gone(const char *spec);
void scene_drop_undo_points(const char *volume);
void scene_revert_without_undo(const char *spec);
/* scene_quiet() - 0 where @r is an error of this code. */
int scene_quiet(int r, struct snapmgr_err *err, enum snapmgr_code fine);

void scene_no_s(void); /* no snapshot "s" of "p/v" and "p/w" */
/* scene_map() - activate it. */
void scene_map(const char *spec);

/* ---- verbs_group.c: "p/g" is "p/v" and "p/w" ---- */

void group_none(void);
void group_both(void);
void group_without_w(void);
void group_without_s(void); /* no snapshot of that name */
/* group_settled() - both read otherwise than in "p/g@base", with nothing to undo. */
void group_settled(void);
void group_reverted(void);
int group_create(struct snapmgr_err *err);
int group_delete(struct snapmgr_err *err);
int group_remove(struct snapmgr_err *err);
int group_add(struct snapmgr_err *err);
int group_snapshot(struct snapmgr_err *err);
int group_revert(struct snapmgr_err *err);
int group_undo(struct snapmgr_err *err);

/* ---- verbs_more.c: "p/m" has a filesystem that is mounted; and what else needs more than a call ---- */

void more_mounted(void); /* written to, with snapshot "base", no others and nothing to undo */
int more_snapshot_mounted(struct snapmgr_err *err);
int more_revert_remount(struct snapmgr_err *err);
void more_damaged(void); /* pool "p", inactive, with metadata that has to be rebuilt */
int more_rebuild(struct snapmgr_err *err);
void more_no_quota(void);
int more_quota(struct snapmgr_err *err);
void more_in_error(void);	   /* "p/v" */
void more_snapshot_in_error(void); /* "p/v@one" */
int more_reset_state(struct snapmgr_err *err);
int more_reset_snapshot_state(struct snapmgr_err *err);

#endif
