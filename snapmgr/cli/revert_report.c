/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "snapmgr/cli/revert_report.h"

#include <string.h>

#include "snapmgr/cli/object.h"
#include "snapmgr/cli/text.h"

static void result_json(struct cmd *cmd, const struct snapmgr_revert_result *ret)
{
	struct json *j = &cmd->json;

	json_object(j);
	json_key(j, "volume");
	object_json(j, &ret->volume, false);
	json_key(j, "snapshot");
	if (*ret->snapshot.uuid)
		object_json(j, &ret->snapshot, false);
	else
		json_null(j);
	json_key(j, "strategy");
	json_text(j, ret->strategy);
	json_key(j, "reason");
	json_text(j, *ret->reason ? ret->reason : NULL);
	json_key(j, "move_bytes");
	json_uint(j, ret->move_bytes);
	json_key(j, "in_place");
	json_bool(j, ret->in_place);
	json_key(j, "undo");
	json_bool(j, ret->undo);
	json_key(j, "dry_run");
	json_bool(j, cmd->flags.dry_run);
	json_key(j, "elapsed_ms");
	json_ms(j, ret->elapsed_us);
	json_key(j, "suspended_ms");
	json_ms(j, ret->suspended_us);
	json_end(j);
}

/* What the volume reads as now: "s1", or "w@s1" where that is a snapshot of another volume. */
static void contents_name(const struct snapmgr_revert_result *ret, char *to, size_t size)
{
	const struct snapmgr_object *s = &ret->snapshot;

	if (!*s->volume || strcmp(s->volume, ret->volume.name) == 0)
		(void)snprintf(to, size, "%s", s->name);
	else
		(void)snprintf(to, size, "%s@%s", s->volume, s->name);
}

static void say_choice(const struct cmd *cmd, const struct snapmgr_revert_result *ret)
{
	char name[OBJECT_NAME], snap[OBJECT_NAME], size[TEXT_SIZE];

	contents_name(ret, snap, sizeof(snap));
	say(cmd, "%s would become %s", object_name(&ret->volume, name), snap);
	say(cmd, "strategy: %s", ret->strategy);
	if (*ret->reason)
		say(cmd, "reason: %s", ret->reason);
	say(cmd, "to move: %s", text_size(ret->move_bytes, size));
	say(cmd, "undo: %s", ret->undo ? "yes" : "no");
}

static void say_result(const struct cmd *cmd, const struct snapmgr_revert_result *ret)
{
	char name[OBJECT_NAME], snap[OBJECT_NAME];
	unsigned long long ms = (ret->elapsed_us + 500) / 1000;

	(void)object_name(&ret->volume, name);
	contents_name(ret, snap, sizeof(snap));
	if (ret->snapshot.kind == SNAPMGR_UNDO)
		say(cmd, "%s is now what it was (%s, %llu ms); forth again: snapmgr undo %s", name,
		    ret->strategy, ms, name);
	else if (ret->undo)
		say(cmd, "%s is now %s (%s, %llu ms); back: snapmgr undo %s", name, snap,
		    ret->strategy, ms, name);
	else
		say(cmd, "%s is now %s (%s, %llu ms); there is no way back", name, snap,
		    ret->strategy, ms);
}

void revert_report(struct cmd *cmd, const struct snapmgr_revert_result *ret)
{
	progress_end();
	if (cmd->flags.json)
		result_json(cmd, ret);
	else if (cmd->flags.dry_run)
		say_choice(cmd, ret);
	else
		say_result(cmd, ret);
}
