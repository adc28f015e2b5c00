/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Verbs of groups: "p/g" is "p/v" and "p/w". */
#include <string.h>

#include "scene.h"

static const char *const members[] = { "p/v", "p/w" };

int group_create(struct snapmgr_err *err)
{
	return snapmgr_group_create(lab, "p/g", members, 2, NULL, NULL, NULL, err);
}

int group_delete(struct snapmgr_err *err)
{
	return snapmgr_group_delete(lab, "p/g", NULL, NULL, err);
}

int group_remove(struct snapmgr_err *err)
{
	return snapmgr_group_remove(lab, "p/g", &members[1], 1, NULL, NULL, err);
}

int group_add(struct snapmgr_err *err)
{
	return snapmgr_group_add(lab, "p/g", &members[1], 1, NULL, NULL, err);
}

void group_none(void)
{
	LAB_DO(scene_quiet(group_delete(&err), &err, SNAPMGR_NOT_FOUND));
}

void group_both(void)
{
	group_none();
	LAB_DO(group_create(&err));
}

void group_without_w(void)
{
	group_both();
	LAB_DO(group_remove(&err));
}

void group_without_s(void)
{
	scene_no_s();
	if (!lab_exists("p/g"))
		group_both();
}

int group_snapshot(struct snapmgr_err *err)
{
	static const char *const spec = "p/g@s";

	return snapmgr_snapshot(lab, &spec, 1, NULL, NULL, NULL, err);
}

/* Both read otherwise than in "p/g@base", with nothing to undo. */
void group_settled(void)
{
	struct snapmgr_object o;

	if (!lab_exists("p/v@base")) {
		group_both();
		lab_write(lab_node("p/v"), 0, SIZE, 5, LAB_DIRECT);
		lab_write(lab_node("p/w"), 0, SIZE, 6, LAB_DIRECT);
		lab_snapshot("p/g@base");
	}
	scene_settle();
	scene_drop_undo_points("p/w");
	lab_show("p/w", &o);
	if (strcmp(o.parent_name, "w@a") != 0)
		scene_revert_without_undo("p/w@a");
}

int group_revert(struct snapmgr_err *err)
{
	return snapmgr_revert(lab, "p/g@base", NULL, NULL, err);
}

void group_reverted(void)
{
	group_settled();
	lab_revert("p/g@base");
}

int group_undo(struct snapmgr_err *err)
{
	return snapmgr_undo(lab, "p/g", NULL, NULL, err);
}
