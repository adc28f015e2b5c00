/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "snapmgr/cli/revert_report.h"

#include <errno.h>
#include <string.h>

#include "snapmgr/cli/object.h"
#include "snapmgr/cli/text.h"

int revert_member(const struct snapmgr_object *o, const char *left_alone, void *data)
{
	struct revert_members *m = data;
	const char **why;

	if (o->kind == SNAPMGR_GROUP)
		return pack_add(&m->group, o);
	if (o->kind == SNAPMGR_GROUP_SNAPSHOT)
		return pack_add(&m->snapshot, o);
	if (!left_alone)
		return pack_add(&m->changed, o);
	why = reallocarray(m->why, m->left.n + 1, sizeof(*why));
	if (!why)
		return -ENOMEM;
	m->why = why;
	m->why[m->left.n] = left_alone;
	return pack_add(&m->left, o);
}

void revert_members_release(struct revert_members *m)
{
	pack_release(&m->group);
	pack_release(&m->snapshot);
	pack_release(&m->changed);
	pack_release(&m->left);
	free(m->why);
}

struct telling {
	struct cmd *cmd;
	const struct revert_members *members;
	size_t at;
	char *text; /* of names */
	size_t size;
};

static int json_left(const struct snapmgr_object *o, void *data)
{
	struct telling *t = data;
	struct json *j = &t->cmd->json;

	json_object(j);
	json_key(j, "volume");
	object_json(j, o, false);
	json_key(j, "why");
	json_text(j, t->members->why[t->at++]);
	json_end(j);
	return 0;
}

static void group_json(struct cmd *cmd, const struct revert_members *m)
{
	struct telling t = { .cmd = cmd, .members = m };
	struct json *j = &cmd->json;

	json_key(j, "group");
	(void)pack_each(&m->group, visit_object_json, cmd);
	json_key(j, "snapshot");
	if (m->snapshot.n)
		(void)pack_each(&m->snapshot, visit_object_json, cmd);
	else
		json_null(j);
	json_key(j, "volumes");
	json_array(j);
	(void)pack_each(&m->changed, visit_object_json, cmd);
	json_end(j);
	json_key(j, "left_alone");
	json_array(j);
	(void)pack_each(&m->left, json_left, &t);
	json_end(j);
}

static void volume_json(struct json *j, const struct snapmgr_revert_result *ret)
{
	json_key(j, "volume");
	object_json(j, &ret->volume, false);
	json_key(j, "snapshot");
	if (*ret->snapshot.uuid)
		object_json(j, &ret->snapshot, false);
	else
		json_null(j);
}

static void result_json(struct cmd *cmd, const struct snapmgr_revert_result *ret,
			const struct revert_members *members)
{
	struct json *j = &cmd->json;

	json_object(j);
	if (members->group.n)
		group_json(cmd, members);
	else
		volume_json(j, ret);
	json_key(j, "strategy");
	json_text(j, ret->strategy);
	json_key(j, "reason");
	json_text(j, *ret->reason ? ret->reason : NULL);
	json_key(j, "move_bytes");
	json_uint(j, ret->move_bytes);
	json_key(j, "in_place");
	json_bool(j, ret->in_place);
	if (*ret->kept) {
		json_key(j, "kept");
		json_text(j, ret->kept);
	}
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
	else if (s->kind == SNAPMGR_GROUP_SNAPSHOT || !*s->volume ||
		 strcmp(s->volume, ret->volume.name) == 0)
		(void)snprintf(to, size, "%s", s->name);
	else
		(void)snprintf(to, size, "%s@%s", s->volume, s->name);
}

static void say_choice(const struct cmd *cmd, const struct snapmgr_revert_result *ret, bool undone)
{
	char name[OBJECT_NAME], now[OBJECT_NAME], size[TEXT_SIZE];

	contents(ret, undone, now, sizeof(now));
	if (*ret->kept)
		say(cmd, "%s would be kept beside a new volume with the contents of %s",
		    object_name(&ret->volume, name), now);
	else
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
	if (*ret->kept) {
		say(cmd, "%s is a new volume with the contents of %s (clone); %s/%s is kept", name,
		    now, ret->volume.pool, ret->kept);
		return;
	}
	if (ret->undo)
		(void)snprintf(back, sizeof(back), "back: snapmgr undo %s", name);
	else
		(void)snprintf(back, sizeof(back), "there is no way back");
	say(cmd, "%s is now %s (%s, %llu ms); %s", name, now, ret->strategy,
	    (unsigned long long)(ret->elapsed_us + 500) / 1000, back);
}

static int say_left(const struct snapmgr_object *o, void *data)
{
	struct telling *t = data;
	char name[OBJECT_NAME];

	say(t->cmd, "%s %s left alone: %s", object_name(o, name),
	    t->cmd->flags.dry_run ? "would be" : "was", t->members->why[t->at++]);
	return 0;
}

static int add_name(const struct snapmgr_object *o, void *data)
{
	struct telling *t = data;
	size_t len = strlen(t->text);

	(void)snprintf(t->text + len, t->size - len, "%s%s", len ? ", " : "", o->name);
	return 0;
}

static void say_members(struct cmd *cmd, const struct revert_members *m)
{
	char names[1024] = "";
	struct telling t = { .cmd = cmd, .members = m, .text = names, .size = sizeof(names) };

	(void)pack_each(&m->changed, add_name, &t);
	say(cmd, "%zu volume%s: %s%s", m->changed.n, m->changed.n == 1 ? "" : "s", names,
	    strlen(names) + 1 == sizeof(names) ? "..." : "");
	(void)pack_each(&m->left, say_left, &t);
}

void revert_report(struct cmd *cmd, const struct snapmgr_revert_result *ret,
		   const struct revert_members *members, bool undone)
{
	progress_end();
	if (cmd->flags.json) {
		result_json(cmd, ret, members);
		return;
	}
	if (cmd->flags.dry_run)
		say_choice(cmd, ret, undone);
	else
		say_result(cmd, ret, undone);
	if (!members->group.n)
		return;
	if (!cmd->flags.dry_run)
		say(cmd, "suspended for %.2f ms", (double)ret->suspended_us / 1000);
	say_members(cmd, members);
}
