/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tree */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <string.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/object.h"
#include "snapmgr/cli/text.h"
#include "snapmgr/cli/tree.h"

/* The volume whose snapshots are coming; it is drawn when the next one begins. */
struct forest {
	struct cmd *cmd;
	struct tree tree;
	struct table table;
	char pool[SNAPMGR_NAME_MAX + 1];
	char volume[SNAPMGR_NAME_MAX + 1];
	bool utf8;
	int64_t now_us;
};

static bool locale_is_utf8(void)
{
	return setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static void title(struct forest *f, const char *text, uint64_t size_bytes)
{
	char size[TEXT_SIZE];

	table_cell(&f->table, text);
	table_cell(&f->table, size_bytes == UINT64_MAX ? "SIZE" : text_size(size_bytes, size));
	table_cell(&f->table, "USED");
	table_cell(&f->table, "AGE");
	table_end_row(&f->table, TABLE_BOLD);
}

static int draw(struct forest *f)
{
	int r = 0;

	if (f->tree.n)
		r = tree_draw(&f->tree, f->utf8, f->now_us, &f->table);
	tree_release(&f->tree);
	return r < 0 ? sm_nomem(&f->cmd->err) : 0;
}

/* "p0/c (from v@s1)" for a clone: its line begins in another volume's tree. */
static void begin(struct forest *f, const struct snapmgr_object *o)
{
	char text[2 * OBJECT_NAME], name[OBJECT_NAME];
	size_t len = strlen(o->name);
	bool own = strncmp(o->parent_name, o->name, len) == 0 && o->parent_name[len] == '@';

	if (o->kind != SNAPMGR_VOLUME)
		(void)snprintf(text, sizeof(text), "%s (volumes that are gone)", o->pool);
	else if (*o->parent_name && !own)
		(void)snprintf(text, sizeof(text), "%s (from %s)", object_name(o, name),
			       o->parent_name);
	else
		(void)object_name(o, text);
	if (o->kind == SNAPMGR_VOLUME && *o->group) {
		size_t end = strlen(text);

		(void)snprintf(text + end, sizeof(text) - end, " (in %s)", o->group);
	}
	if (f->table.rows) {
		table_cell(&f->table, "");
		table_end_row(&f->table, TABLE_NORMAL);
	}
	title(f, text, UINT64_MAX);
}

static int visit(const struct snapmgr_object *o, void *data)
{
	struct forest *f = data;
	const char *volume = o->kind == SNAPMGR_VOLUME ? o->name : o->volume;
	bool first = !f->table.rows;

	if (o->kind == SNAPMGR_GROUP || o->kind == SNAPMGR_GROUP_SNAPSHOT)
		return 0; /* a volume's line says which group it is in */
	if (first || strcmp(f->pool, o->pool) != 0 || strcmp(f->volume, volume) != 0) {
		int r = draw(f);

		if (r < 0)
			return r;
		begin(f, o);
		(void)sm_copy_text(f->pool, sizeof(f->pool), o->pool);
		(void)sm_copy_text(f->volume, sizeof(f->volume), volume);
	}
	return tree_add(&f->tree, o) < 0 ? sm_nomem(&f->cmd->err) : 0;
}

static int write_forest(struct forest *f)
{
	int r = draw(f);

	if (r < 0)
		return r;
	if (!f->table.rows && isatty(STDERR_FILENO) && !f->cmd->flags.quiet)
		(void)fputs("no volumes\n", stderr);
	r = table_write(&f->table, stdout, text_colour(stdout));
	return r < 0 ? sm_nomem(&f->cmd->err) : 0;
}

/* ---- tree --json: each volume with what belongs to it; parents say the rest ---- */

static int visit_json(const struct snapmgr_object *o, void *data)
{
	struct cmd *cmd = data;

	object_json(&cmd->json, o, false);
	return out_failed();
}

static int tree_json(struct cmd *cmd, const char *spec, const struct snapmgr_list_opts *opts)
{
	json_object(&cmd->json);
	json_key(&cmd->json, "objects");
	json_array(&cmd->json);
	return snapmgr_list(cmd->sm, spec, opts, visit_json, cmd, &cmd->err);
}

static int run_tree(struct cmd *cmd)
{
	struct snapmgr_list_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_list_opts);
	struct forest f = { .cmd = cmd, .table = { .columns = TREE_COLUMNS, .right = 0xe } };
	const char *spec = cmd->n_args ? cmd->args[0] : NULL;
	int r;

	opts.undo = true;
	if (cmd->flags.json)
		return tree_json(cmd, spec, &opts);
	f.utf8 = locale_is_utf8();
	f.now_us = sm_now_us();
	r = snapmgr_list(cmd->sm, spec, &opts, visit, &f, &cmd->err);
	if (r == 0)
		r = write_forest(&f);
	tree_release(&f.tree);
	table_release(&f.table);
	return r;
}

const struct cmd_verb cmd_tree_verbs[] = {
	{ "tree", run_tree, 0, 1, "[POOL[/VOL]]",
	  "draw the snapshots of volumes as trees\n\n"
	  "Oldest first. The left column leads to the head; what was left by a revert branches\n"
	  "off to the right, undo points among it.",
	  NULL, "tree p0/v", 0 },
	{ .name = NULL },
};
