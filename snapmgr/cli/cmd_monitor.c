/* SPDX-License-Identifier: GPL-2.0-or-later */
/* monitor */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/text.h"

/* A pipe rather than a blocked signal: programs that are started meanwhile inherit a mask. */
static int stop_pipe[2] = { -1, -1 };

static void on_stop(int signum)
{
	int errno_before = errno;

	(void)signum;
	(void)!write(stop_pipe[1], "", 1);
	errno = errno_before;
}

static int catch_signals(struct snapmgr_err *err)
{
	struct sigaction sa = { .sa_handler = on_stop, .sa_flags = SA_RESTART };

	if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return sm_fail(err, SNAPMGR_KERNEL, errno, "cannot make a pipe");
	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGINT, &sa, NULL);
	return 0;
}

static void event_json(const struct snapmgr_event *e)
{
	struct json j = { .to = stdout }; /* a document for each line */
	const char *const texts[][2] = {
		{ "pool", e->pool },
		{ "level", e->level },
		{ "what", e->what },
		{ "text", e->text },
	};

	json_object(&j);
	json_key(&j, "at");
	json_time(&j, e->at_us);
	for (size_t i = 0; i < SM_ARRAY(texts); i++) {
		json_key(&j, texts[i][0]);
		json_text(&j, texts[i][1]);
	}
	json_end(&j);
}

static int visit_event(const struct snapmgr_event *e, void *data)
{
	const struct cmd *cmd = data;
	char when[TEXT_TIME];

	if (cmd->flags.quiet && strcmp(e->level, "info") == 0)
		return 0;
	if (cmd->flags.json) {
		event_json(e);
	} else {
		(void)printf("%s %s: ", text_time(e->at_us, when), e->level);
		text_plain(stdout, e->text);
		(void)putchar('\n');
	}
	return fflush(stdout) == 0 ? out_failed() : -errno; /* whoever watches sees it now */
}

static int run_monitor(struct cmd *cmd)
{
	struct snapmgr_monitor_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_monitor_opts);
	int r = catch_signals(&cmd->err);

	if (r < 0)
		return r;
	opts.interval_ms = cmd->flags.every_s * 1000;
	opts.stop_fd = stop_pipe[0];
	return snapmgr_monitor(cmd->sm, cmd->n_args ? cmd->args[0] : NULL, &opts, visit_event, cmd,
			       &cmd->err);
}

static const struct arg_opt monitor_opts[] = {
	CLI_OPT("every", 0, ARG_SECONDS, every_s, "SECONDS",
		"look at least so often, besides when the kernel tells of something (5)", NULL),
	CLI_END,
};

const struct cmd_verb cmd_monitor_verbs[] = {
	{ "monitor", run_monitor, 0, 1, "[POOL]",
	  "look after pools: drop what was deleted, finish what the dead began, warn of what runs full\n"
	  "\n"
	  "Stays in the foreground and prints a line for each thing it does or notices, with --json\n"
	  "as an object a line; SIGTERM and Ctrl-C end it.",
	  monitor_opts, "monitor\nmonitor p0 --every 60 --json", 0 },
	{ .name = NULL },
};
