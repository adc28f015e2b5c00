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
static void contents(const struct snapmgr_revert_result *ret, bool undone, char *to, size_t size)
{
	const struct snapmgr_object *s = &ret->snapshot;

	if (undone)
		(void)snprintf(to, size, "what it was before");
	else if (!*s->volume || strcmp(s->volume, ret->volume.name) == 0)
		(void)snprintf(to, size, "%s", s->name);
	else
		(void)snprintf(to, size, "%s@%s", s->volume, s->name);
}

static void say_choice(const struct cmd *cmd, const struct snapmgr_revert_result *ret, bool undone)
{
	char name[OBJECT_NAME], now[OBJECT_NAME], size[TEXT_SIZE];

	contents(ret, undone, now, sizeof(now));
	say(cmd, "%s would become %s", object_name(&ret->volume, name), now);
	say(cmd, "strategy: %s", ret->strategy);
	if (*ret->reason)
		say(cmd, "reason: %s", ret->reason);
	say(cmd, "to move: %s", text_size(ret->move_bytes, size));
}

static void say_result(const struct cmd *cmd, const struct snapmgr_revert_result *ret, bool undone)
{
	char name[OBJECT_NAME], now[OBJECT_NAME], back[OBJECT_NAME + 32];

	(void)object_name(&ret->volume, name);
	contents(ret, undone, now, sizeof(now));
	if (ret->undo)
		(void)snprintf(back, sizeof(back), "back: snapmgr undo %s", name);
	else
		(void)snprintf(back, sizeof(back), "there is no way back");
	say(cmd, "%s is now %s (%s, %llu ms); %s", name, now, ret->strategy,
	    (unsigned long long)(ret->elapsed_us + 500) / 1000, back);
}

void revert_report(struct cmd *cmd, const struct snapmgr_revert_result *ret, bool undone)
{
	progress_end();
	if (cmd->flags.json)
		result_json(cmd, ret);
	else if (cmd->flags.dry_run)
		say_choice(cmd, ret, undone);
	else
		say_result(cmd, ret, undone);
}
