/* SPDX-License-Identifier: GPL-2.0-or-later */
/* list, show, capabilities */
#include <errno.h>
#include <string.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/object.h"
#include "snapmgr/cli/pack.h"
#include "snapmgr/cli/pool_info.h"
#include "snapmgr/cli/text.h"

struct listing {
	struct cmd *cmd;
	struct pack snapshots, undo, groups, sets; /* JSON has them behind all volumes */
	struct table table;
	int64_t now_us;
};

/* ---- list --json ---- */

static int visit_json(const struct snapmgr_object *o, void *data)
{
	struct listing *l = data;
	struct pack *packs[] = {
		[SNAPMGR_SNAPSHOT] = &l->snapshots,
		[SNAPMGR_UNDO] = &l->undo,
		[SNAPMGR_GROUP] = &l->groups,
		[SNAPMGR_GROUP_SNAPSHOT] = &l->sets,
	};
	int r = 0;

	if (o->kind == SNAPMGR_VOLUME)
		object_json(&l->cmd->json, o, l->cmd->flags.space);
	else
		r = pack_add(packs[o->kind], o);
	if (r < 0)
		return sm_nomem(&l->cmd->err);
	return out_failed();
}

static int visit_packed(const struct snapmgr_object *o, void *data)
{
	struct listing *l = data;

	object_json(&l->cmd->json, o, l->cmd->flags.space);
	return out_failed();
}

static int packed_array(struct listing *l, const char *key, const struct pack *p)
{
	struct json *j = &l->cmd->json;
	int r;

	json_end_to(j, 1);
	json_key(j, key);
	json_array(j);
	r = pack_each(p, visit_packed, l);
	return r == -ENOMEM ? sm_nomem(&l->cmd->err) : r;
}

static int group_arrays(struct listing *l)
{
	int r = packed_array(l, "groups", &l->groups);

	return r == 0 ? packed_array(l, "group_snapshots", &l->sets) : r;
}

static int list_json(struct listing *l, const char *spec, const struct snapmgr_list_opts *opts)
{
	struct cmd *cmd = l->cmd;
	int r;

	json_object(&cmd->json);
	if (!opts->groups_only) {
		json_key(&cmd->json, "volumes");
		json_array(&cmd->json);
	}
	r = snapmgr_list(cmd->sm, spec, opts, visit_json, l, &cmd->err);
	if (r == 0 && !opts->groups_only)
		r = packed_array(l, "snapshots", &l->snapshots);
	if (r == 0 && opts->undo)
		r = packed_array(l, "undo_points", &l->undo);
	return r == 0 ? group_arrays(l) : r;
}

/* ---- list for people ---- */

static void header(struct table *t, bool space)
{
	static const char *const names[] = { "NAME", "SIZE",  "USED",	"EXCLUSIVE",
					     "AGE",  "STATE", "PARENT", "NOTES" };

	t->columns = (unsigned)SM_ARRAY(names) - !space;
	t->right = space ? 0x1e : 0xe;
	for (size_t i = 0; i < SM_ARRAY(names); i++)
		if (space || strcmp(names[i], "EXCLUSIVE") != 0)
			table_cell(t, names[i]);
	table_end_row(t, TABLE_BOLD);
}

/* Notes, and the name of a snapshot whose volume is gone: its UUID is in the first column. */
static void notes_cell(struct table *t, const struct snapmgr_object *o)
{
	char text[OBJECT_NOTES + SNAPMGR_NAME_MAX + 8], notes[OBJECT_NOTES];
	bool orphan = o->kind == SNAPMGR_SNAPSHOT && !*o->volume;

	(void)object_notes(o, notes);
	(void)snprintf(text, sizeof(text), "%s%s%s", notes, orphan && *notes ? "," : "",
		       orphan ? o->name : "");
	table_cell(t, text);
}

/* "v@s1" as "@s1" where the volume is the same. */
static const char *short_parent(const struct snapmgr_object *o)
{
	const char *volume = o->kind == SNAPMGR_VOLUME ? o->name : o->volume;
	size_t len = strlen(volume);

	if (len && strncmp(o->parent_name, volume, len) == 0 && o->parent_name[len] == '@')
		return o->parent_name + len;
	return *o->parent_name ? o->parent_name : "-";
}

static int visit_row(const struct snapmgr_object *o, void *data)
{
	struct listing *l = data;
	struct table *t = &l->table;
	char name[OBJECT_NAME], text[TEXT_SIZE];

	table_cell(t, object_name(o, name));
	table_cell(t, text_size(o->size_bytes, text));
	table_cell(t, text_size(o->used_bytes, text));
	if (l->cmd->flags.space)
		table_cell(t, text_size(o->exclusive_bytes, text));
	table_cell(t, text_age(l->now_us - o->created_at_us, text));
	table_cell(t, o->state);
	table_cell(t, short_parent(o));
	notes_cell(t, o);
	table_end_row(t, o->kind == SNAPMGR_VOLUME || o->kind == SNAPMGR_GROUP ? TABLE_BOLD :
			 o->kind == SNAPMGR_UNDO			       ? TABLE_DIM :
										 TABLE_NORMAL);
	return 0;
}

static int list_table(struct listing *l, const char *spec, const struct snapmgr_list_opts *opts)
{
	struct cmd *cmd = l->cmd;
	int r;

	header(&l->table, opts->space);
	l->now_us = sm_now_us();
	r = snapmgr_list(cmd->sm, spec, opts, visit_row, l, &cmd->err);
	if (r < 0)
		return r;
	if (l->table.rows > 1 || l->table.failed)
		r = table_write(&l->table, stdout, text_colour(stdout));
	else if (isatty(STDERR_FILENO) && !cmd->flags.quiet)
		(void)fputs(opts->groups_only ? "no groups\n" : "no volumes\n", stderr);
	return r < 0 ? sm_nomem(&cmd->err) : 0;
}

/* group list: the same, of groups alone. */
int cmd_list(struct cmd *cmd)
{
	struct snapmgr_list_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_list_opts);
	struct listing l = { .cmd = cmd };
	const char *spec = cmd->n_args ? cmd->args[0] : NULL;
	int r;

	opts.space = cmd->flags.space;
	opts.undo = cmd->flags.undo;
	opts.groups_only = strcmp(cmd->verb->name, "group list") == 0;
	if (cmd->flags.operations)
		return list_operations(cmd, spec);
	r = cmd->flags.json ? list_json(&l, spec, &opts) : list_table(&l, spec, &opts);
	pack_release(&l.snapshots);
	pack_release(&l.undo);
	pack_release(&l.groups);
	pack_release(&l.sets);
	table_release(&l.table);
	return r;
}

/* ---- show ---- */

static int visit_show(const struct snapmgr_object *o, void *data)
{
	struct cmd *cmd = data;

	if (cmd->flags.json)
		object_json(&cmd->json, o, false);
	else
		object_lines(stdout, o);
	return out_failed();
}

static int visit_pool(const struct snapmgr_pool *pool, void *data)
{
	struct cmd *cmd = data;

	if (cmd->flags.json)
		pool_json(&cmd->json, pool);
	else
		pool_lines(stdout, pool);
	return out_failed();
}

/* A bare name is a pool's; a UUID may be anybody's. */
static int run_show(struct cmd *cmd)
{
	const char *spec = cmd->args[0];
	int r;

	if (is_pool_spec(spec))
		return snapmgr_pool_show(cmd->sm, spec, visit_pool, cmd, &cmd->err);
	r = snapmgr_show(cmd->sm, spec, visit_show, cmd, &cmd->err);
	if (r == 0 || !is_uuid(spec))
		return r;
	return snapmgr_pool_show(cmd->sm, spec, visit_pool, cmd, NULL) == 0 ? 0 : r;
}

/* ---- capabilities ---- */

static void capability_json(struct json *j, const struct snapmgr_capability *c)
{
	const struct {
		const char *name;
		bool value;
	} flags[] = {
		{ "snapshot_support", c->snapshot_support },
		{ "revert_to_snapshot_support", c->revert_to_snapshot_support },
		{ "create_share_from_snapshot_support", c->create_share_from_snapshot_support },
		{ "in_place", c->in_place },
		{ "online", c->online },
		{ "diff", c->diff },
		{ "resize", c->resize },
		{ "group_revert", c->group_revert },
		{ "keep_snapshots", c->keep_snapshots },
	};

	json_object(j);
	json_key(j, "driver");
	json_text(j, c->driver);
	json_key(j, "pool");
	json_text(j, *c->pool ? c->pool : NULL);
	for (size_t i = 0; i < SM_ARRAY(flags); i++) {
		json_key(j, flags[i].name);
		json_bool(j, flags[i].value);
	}
	json_key(j, "strategies");
	json_array(j);
	for (const char *const *s = c->strategies; s && *s; s++)
		json_text(j, *s);
	json_end(j);
	json_key(j, "missing");
	json_text(j, c->missing);
	json_end(j);
}

static void capability_row(struct table *t, const struct snapmgr_capability *c)
{
	char text[128] = "";
	size_t len = 0;

	for (const char *const *s = c->strategies; s && *s && len < sizeof(text); s++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len ? "," : "", *s);
	table_cell(t, c->driver);
	table_cell(t, *c->pool ? c->pool : "-");
	table_cell(t, c->snapshot_support ? "yes" : "no");
	table_cell(t, c->revert_to_snapshot_support ? "yes" : "no");
	table_cell(t, c->create_share_from_snapshot_support ? "yes" : "no");
	table_cell(t, c->in_place ? "yes" : "no");
	table_cell(t, c->online ? "yes" : "no");
	table_cell(t, c->diff ? "yes" : "no");
	table_cell(t, c->resize ? "yes" : "no");
	table_cell(t, c->group_revert ? "yes" : "no");
	table_cell(t, *text ? text : "-");
	table_cell(t, c->missing ? c->missing : "-");
	table_end_row(t, TABLE_NORMAL);
}

static int visit_capability(const struct snapmgr_capability *c, void *data)
{
	struct listing *l = data;

	if (l->cmd->flags.json)
		capability_json(&l->cmd->json, c);
	else
		capability_row(&l->table, c);
	return 0;
}

static int run_capabilities(struct cmd *cmd)
{
	static const char *const names[] = { "DRIVER", "POOL",	   "SNAPSHOT",	 "REVERT",
					     "CLONE",  "IN PLACE", "ONLINE",	 "DIFF",
					     "RESIZE", "GROUPS",   "STRATEGIES", "MISSING" };
	struct listing l = { .cmd = cmd, .table = { .columns = SM_ARRAY(names) } };
	const char *pool = cmd->n_args ? cmd->args[0] : NULL;
	int r;

	for (size_t i = 0; i < SM_ARRAY(names); i++)
		table_cell(&l.table, names[i]);
	table_end_row(&l.table, TABLE_BOLD);
	if (cmd->flags.json) {
		json_object(&cmd->json);
		json_key(&cmd->json, "capabilities");
		json_array(&cmd->json);
	}
	r = snapmgr_capabilities(cmd->sm, pool, visit_capability, &l, &cmd->err);
	if (r == 0 && !cmd->flags.json)
		r = table_write(&l.table, stdout, text_colour(stdout));
	table_release(&l.table);
	return r;
}

static const struct arg_opt list_opts[] = {
	CLI_FLAG("space", space,
		 "what each would free, alone; reads the metadata, which takes time"),
	CLI_FLAG("undo", undo, "undo points too"),
	CLI_FLAG("operations", operations, "what is being changed just now, and by whom, instead"),
	CLI_END,
};

const struct cmd_verb cmd_list_verbs[] = {
	{ "list", cmd_list, 0, 1, "[POOL[/VOL|/GROUP]]",
	  "list volumes, each with its snapshots, and groups", list_opts,
	  "list p0\nlist p0/v --json", 0 },
	{ "show", run_show, 1, 1, "OBJECT", "show one volume, snapshot, undo point, group or pool",
	  NULL, "show p0/v@latest", 0 },
	{ "capabilities", run_capabilities, 0, 1, "[POOL]",
	  "say what the drivers, or one pool, can do", NULL, "capabilities p0", 0 },
	{ .name = NULL },
};
