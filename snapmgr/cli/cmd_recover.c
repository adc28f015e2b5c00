/* SPDX-License-Identifier: GPL-2.0-or-later */
/* recover */
#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/text.h"

struct steps {
	struct cmd *cmd;
	size_t n;
};

static int visit_step(const char *finding, bool repaired, void *data)
{
	struct steps *s = data;
	struct json *j = &s->cmd->json;

	s->n++;
	if (s->cmd->flags.json) {
		json_object(j);
		json_key(j, "finding");
		json_text(j, finding);
		json_key(j, "repaired");
		json_bool(j, repaired);
		json_end(j);
	} else if (!s->cmd->flags.quiet) {
		text_plain(stdout, finding);
		(void)putchar('\n');
	}
	return 0; /* whether anybody reads it or not, the work goes on */
}

static int run_recover(struct cmd *cmd)
{
	struct steps steps = { .cmd = cmd };
	int r;

	if (cmd->flags.json) {
		json_object(&cmd->json);
		json_key(&cmd->json, "steps");
		json_array(&cmd->json);
	}
	r = snapmgr_recover(cmd->sm, cmd->n_args ? cmd->args[0] : NULL, visit_step, &steps,
			    &cmd->err);
	progress_end();
	if (r == 0 && !steps.n)
		say(cmd, "nothing to recover");
	return r;
}

static int run_reset_state(struct cmd *cmd)
{
	int r = snapmgr_reset_state(cmd->sm, cmd->args[0], &cmd->err);

	if (r == 0)
		say(cmd, "%s is said to be available", cmd->args[0]);
	return r;
}

static const struct arg_opt recover_opts[] = { CLI_PROGRESS, CLI_END };

const struct cmd_verb cmd_recover_verbs[] = {
	{ "recover", run_recover, 0, 1, "[POOL]", "finish or undo what dead processes left",
	  recover_opts, "recover p0", 0 },
	{ "reset-state", run_reset_state, 1, 1, "POOL/VOL | POOL/VOL@SNAP",
	  "say that what is in a state of error is available: the last resort", NULL,
	  "reset-state p0/v", 0 },
	{ .name = NULL },
};
