/* SPDX-License-Identifier: GPL-2.0-or-later */
/* list --operations, cancel */
#include <errno.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/table.h"
#include "snapmgr/cli/text.h"

struct listing {
	struct cmd *cmd;
	struct table table;
};

static void uint_or_null(struct json *j, const char *key, bool known, uint64_t n)
{
	json_key(j, key);
	if (known)
		json_uint(j, n);
	else
		json_null(j);
}

static void operation_json(struct json *j, const struct snapmgr_operation *op)
{
	json_object(j);
	json_key(j, "uuid");
	json_text(j, op->uuid);
	json_key(j, "pool");
	json_text(j, op->pool);
	json_key(j, "verb");
	json_text(j, op->verb);
	json_key(j, "object");
	json_text(j, op->object);
	json_key(j, "pid");
	json_uint(j, (uint64_t)op->pid);
	json_key(j, "program");
	json_text(j, *op->program ? op->program : NULL);
	json_key(j, "started_at");
	json_time(j, op->started_at_us);
	json_key(j, "lasting");
	json_bool(j, op->lasting);
	json_key(j, "dead");
	json_bool(j, op->dead);
	json_key(j, "resumable");
	json_bool(j, op->resumable);
	json_key(j, "stopping");
	json_bool(j, op->stopping);
	uint_or_null(j, "done_bytes", op->lasting, op->done_bytes);
	uint_or_null(j, "todo_bytes", op->lasting && op->todo_bytes, op->todo_bytes);
	uint_or_null(j, "bytes_per_s", op->lasting && !op->dead, op->bytes_per_s);
	json_end(j);
}

/* "37%, 812.0M/s", "dead", "stopping"; "-" of what is done in moments */
static const char *progress_text(const struct snapmgr_operation *op, char *to, size_t size)
{
	char percent[TEXT_SIZE], rate[TEXT_SIZE];

	if (!op->lasting)
		(void)snprintf(to, size, "-");
	else
		(void)snprintf(to, size, "%s, %s%s%s",
			       text_percent(op->done_bytes, op->todo_bytes, percent),
			       op->dead ? "dead" : text_size(op->bytes_per_s, rate),
			       op->dead ? "" : "/s",
			       op->stopping		 ? ", stopping" :
			       op->dead && op->resumable ? ", resumable" :
							   "");
	return to;
}

static int visit_operation(const struct snapmgr_operation *op, void *data)
{
	struct listing *l = data;
	char when[TEXT_TIME], owner[40], progress[80];

	if (l->cmd->flags.json) {
		operation_json(&l->cmd->json, op);
		return out_failed();
	}
	(void)snprintf(owner, sizeof(owner), "%d (%s)", op->pid,
		       *op->program ? op->program : "dead");
	{
		const char *const cells[] = { op->pool,
					      op->verb,
					      op->object,
					      owner,
					      text_time(op->started_at_us, when),
					      progress_text(op, progress, sizeof(progress)),
					      op->uuid };

		for (size_t i = 0; i < SM_ARRAY(cells); i++)
			table_cell(&l->table, cells[i]);
	}
	table_end_row(&l->table, TABLE_NORMAL);
	return 0;
}

int list_operations(struct cmd *cmd, const char *pool)
{
	static const char *const names[] = { "POOL",  "OPERATION", "OBJECT", "BY",
					     "SINCE", "PROGRESS",  "UUID" };
	struct listing l = { .cmd = cmd, .table.columns = SM_ARRAY(names) };
	int r;

	for (size_t i = 0; i < SM_ARRAY(names); i++)
		table_cell(&l.table, names[i]);
	table_end_row(&l.table, TABLE_BOLD);
	if (cmd->flags.json) {
		json_object(&cmd->json);
		json_key(&cmd->json, "operations");
		json_array(&cmd->json);
	}
	r = snapmgr_operations(cmd->sm, pool, visit_operation, &l, &cmd->err);
	if (r == 0 && !cmd->flags.json && l.table.rows > 1)
		r = table_write(&l.table, stdout, text_colour(stdout));
	table_release(&l.table);
	return r == -ENOMEM ? sm_nomem(&cmd->err) : r;
}

static int run_cancel(struct cmd *cmd)
{
	int r = snapmgr_cancel(cmd->sm, cmd->args[0], &cmd->err);

	if (r == 0)
		say(cmd, "%s is stopped", cmd->args[0]);
	return r;
}

const struct cmd_verb cmd_operation_verbs[] = {
	{ "cancel", run_cancel, 1, 1, "OPERATION-UUID | POOL/VOL",
	  "stop a copy that is under way, or was cut short, and undo it", NULL, "cancel p0/v", 0 },
	{ .name = NULL },
};
