/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which states an operation gives to what it changes, while it runs. The manual's table is this one. */
#include <string.h>

#include "snapmgr/core/core.h"

const struct sm_transition sm_transitions[] = {
	{ "snapshot", SCAT_SNAPSHOTTING, SCAT_STATES },
	{ "revert", SCAT_REVERTING, SCAT_RESTORING },
	{ "undo", SCAT_REVERTING, SCAT_STATES },
	{ "extend", SCAT_EXTENDING, SCAT_STATES },
	{ "shrink", SCAT_SHRINKING, SCAT_STATES },
	{ "delete", SCAT_DELETING, SCAT_DELETING },
	{ NULL, SCAT_STATES, SCAT_STATES },
};

/* Does @object, "vol" or "vol@snap", name this volume; and which snapshot of it? */
static bool names(const char *object, const char *volume, const char **ret_snapshot)
{
	const size_t len = strlen(volume);

	*ret_snapshot = strchr(object, '@');
	return strncmp(object, volume, len) == 0 && (object[len] == '\0' || object[len] == '@');
}

enum scat_state sm_state_now(const struct sm_pool *pool, enum scat_state stored, const char *volume,
			     const char *snapshot)
{
	const struct sm_transition *t = sm_transitions;
	const char *changed;

	if (stored != SCAT_AVAILABLE || !pool->others.verb[0] ||
	    !names(pool->others.object, volume, &changed))
		return stored;
	while (t->verb && strcmp(t->verb, pool->others.verb) != 0)
		t++;
	if (snapshot)
		return changed && strcmp(changed + 1, snapshot) == 0 && t->snapshot != SCAT_STATES ?
			       t->snapshot :
			       stored;
	if (changed && t->volume == SCAT_DELETING) /* only the snapshot goes */
		return stored;
	return t->volume != SCAT_STATES ? t->volume : stored;
}
