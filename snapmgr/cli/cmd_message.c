/* SPDX-License-Identifier: GPL-2.0-or-later */
/* messages */
#include <errno.h>
#include <string.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/table.h"
#include "snapmgr/cli/text.h"

struct listing {
	struct cmd *cmd;
	struct table table;
};

/* The names that Manila has for them, where it has one. */
static int visit_json(const struct snapmgr_message *m, void *data)
{
	const struct listing *l = data;
	struct json *j = &l->cmd->json;
	const struct {
		const char *key, *value;
	} texts[] = {
		{ "uuid", m->uuid },	      { "pool", m->pool },
		{ "level", m->level },	      { "action", m->verb },
		{ "detail", m->code },	      { "resource_type", m->kind },
		{ "resource_id", m->object }, { "request_id", m->operation },
		{ "project", m->project },    { "user_message", m->text },
	};

	json_object(j);
	for (size_t i = 0; i < SM_ARRAY(texts); i++) {
		json_key(j, texts[i].key);
		json_text(j, *texts[i].value ? texts[i].value : NULL);
	}
	json_key(j, "created_at");
	json_time(j, m->created_at_us);
	json_key(j, "expires_at");
	json_time(j, m->expires_at_us);
	json_end(j);
	return out_failed();
}

static int visit_row(const struct snapmgr_message *m, void *data)
{
	struct listing *l = data;
	struct table *t = &l->table;
	char when[TEXT_TIME];

	table_cell(t, text_time(m->created_at_us, when));
	table_cell(t, m->level);
	table_cell(t, m->verb);
	table_cell(t, *m->code ? m->code : "-");
	table_cell(t, *m->operation ? m->operation : "-");
	table_cell(t, m->text);
	table_end_row(t, strcmp(m->level, "info") == 0 ? TABLE_NORMAL : TABLE_BOLD);
	return 0;
}

static int messages_table(struct listing *l, const char *spec,
			  const struct snapmgr_messages_opts *opts)
{
	static const char *const names[] = { "TIME", "LEVEL",	  "ACTION",
					     "CODE", "OPERATION", "MESSAGE" };
	struct table *t = &l->table;
	struct cmd *cmd = l->cmd;
	int r;

	t->columns = SM_ARRAY(names);
	for (size_t i = 0; i < SM_ARRAY(names); i++)
		table_cell(t, names[i]);
	table_end_row(t, TABLE_BOLD);
	r = snapmgr_messages(cmd->sm, spec, opts, visit_row, l, &cmd->err);
	if (r == 0 && (t->rows > 1 || t->failed) && table_write(t, stdout, text_colour(stdout)) < 0)
		r = sm_nomem(&cmd->err);
	return r;
}

static int run_messages(struct cmd *cmd)
{
	struct snapmgr_messages_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_messages_opts);
	const char *spec = cmd->n_args ? cmd->args[0] : NULL;
	struct listing l = { .cmd = cmd };
	int r;

	opts.level = cmd->flags.level;
	if (cmd->flags.since && text_since(cmd->flags.since, sm_now_us(), &opts.since_us) < 0)
		return sm_fail(
			&cmd->err, SNAPMGR_USAGE, EINVAL,
			"--since: '%.40s' is no time such as 2026-11-22T14:38:11Z, 2026-11-22, "
			"90s, 15m, 3h or 2d",
			cmd->flags.since);
	if (cmd->flags.json) {
		json_object(&cmd->json);
		json_key(&cmd->json, "messages");
		json_array(&cmd->json);
		return snapmgr_messages(cmd->sm, spec, &opts, visit_json, &l, &cmd->err);
	}
	r = messages_table(&l, spec, &opts);
	table_release(&l.table);
	return r;
}

static const struct arg_opt messages_opts[] = {
	CLI_TEXT("level", level, "LEVEL", "only this and worse: info, warning, error"),
	CLI_TEXT("since", since, "TIME", "only those since 2026-11-22T14:38:11Z, or since 15m, 2d"),
	CLI_END,
};

const struct cmd_verb cmd_message_verbs[] = {
	{ "messages", run_messages, 0, 1, "[OBJECT]", "show what happened, oldest first",
	  messages_opts, "messages p0 --level warning\nmessages p0/v --since 2d --json", 0 },
	{ .name = NULL },
};
