/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which states an operation gives to what it changes, while it runs. The manual's table is this one. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/lasting.h"

const struct sm_transition sm_transitions[] = {
	{ "create", SCAT_CREATING, SCAT_STATES },
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

bool sm_state_is_transition(enum scat_state state)
{
	return state != SCAT_AVAILABLE && state != SCAT_ERROR && state != SCAT_REVERTING_ERROR;
}

/* "12 s", "3 min", "2 h" */
static void age_text(int64_t us, char to[24])
{
	const int64_t s = us > 0 ? us / 1000000 : 0;

	if (s < 120)
		(void)snprintf(to, 24, "%d s", (int)s);
	else if (s < 7200)
		(void)snprintf(to, 24, "%d min", (int)(s / 60));
	else
		(void)snprintf(to, 24, "%lld h", (long long)(s / 3600));
}

int sm_state_conflict(const struct sm_pool *pool, const char *what, const char *spec,
		      enum scat_state state, int64_t volume, int64_t snapshot,
		      struct snapmgr_err *err)
{
	char uuid[SNAPMGR_UUID_TEXT], age[24];
	struct scat_operation op;
	bool alive;

	if (!pool->row.operations || scat_operation_on(pool->cat, volume, snapshot, &op, NULL) < 0)
		return sm_fail(err, SNAPMGR_BAD_STATE, EBUSY, "%s '%s' is in state '%s'", what,
			       spec, scat_state_name(state));
	if (strcmp(op.verb, "merge") == 0) /* nobody can */
		return sm_fail(
			err, SNAPMGR_BAD_STATE, EBUSY,
			"%s '%s' is in state '%s': the kernel moves back what has changed, and no change is "
			"taken until it is done",
			what, spec, scat_state_name(state));
	alive = sm_lasting_owner_alive(&op);
	sm_uuid_text(&op.uuid, uuid);
	age_text(sm_now_us() - op.started_at_us, age);
	return sm_fail(err, SNAPMGR_BAD_STATE, EBUSY,
		       "%s '%s' is in state '%s': operation %s (%s) of process %d%s, begun %s ago, "
		       "%s it; 'snapmgr cancel %s' ends it",
		       what, spec, scat_state_name(state), uuid, op.verb, op.pid,
		       alive ? "" : ", which is dead", age, alive ? "works on" : "holds", uuid);
}
