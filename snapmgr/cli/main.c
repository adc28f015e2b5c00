/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program: find the command, run it, say how it went. Exit statuses are picked here alone. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/text.h"

const struct cmd_verb *const cli_families[] = {
	cmd_pool_verbs,	    cmd_dump_verbs,    cmd_volume_verbs,  cmd_delete_verbs,
	cmd_snapshot_verbs, cmd_copy_verbs,    cmd_revert_verbs,  cmd_undo_verbs,
	cmd_diff_verbs,	    cmd_group_verbs,   cmd_list_verbs,	  cmd_tree_verbs,
	cmd_property_verbs, cmd_quota_verbs,   cmd_recover_verbs, cmd_operation_verbs,
	cmd_message_verbs,  cmd_monitor_verbs, cmd_help_verbs,	  NULL,
};

const struct arg_opt cli_common_opts[] = {
	CLI_FLAG("json", json, "print one JSON document"),
	CLI_OPT("quiet", 'q', ARG_FLAG, quiet, NULL, "no word about success, no warnings", NULL),
	CLI_OPT("wait", 0, ARG_SECONDS, wait_s, "SECONDS",
		"how long to wait for a pool that is locked (30)", NULL),
	CLI_OPT("help", 'h', ARG_FLAG, help, NULL, "say this", NULL),
	CLI_END,
};

static const struct arg_opt main_opts[] = {
	CLI_FLAG("version", version, "print the version"),
	CLI_END,
};

/*
 * A descriptor 0 to 2 that is closed would be given to the next file that is opened, and our output
 * would go there. Return: whether stdout was closed.
 */
static bool guard_standard_files(void)
{
	bool closed = false;

	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		closed |= fd == STDOUT_FILENO;
		(void)open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR);
	}
	return closed;
}

static void on_sigpipe(int signum)
{
	(void)signum;
}

/* A handler, unlike SIG_IGN, is not handed down to programs that the library runs. */
static void turn_sigpipe_into_epipe(void)
{
	struct sigaction sa = { .sa_handler = on_sigpipe, .sa_flags = SA_RESTART };

	(void)sigaction(SIGPIPE, &sa, NULL);
}

static void warn(const char *message, void *data)
{
	const struct cmd *cmd = data;

	if (cmd->flags.quiet)
		return;
	progress_end();
	(void)fprintf(stderr, "snapmgr: %s: warning: ", cmd->verb->name);
	text_plain(stderr, message);
	(void)putc('\n', stderr);
}

/* The program itself, for the guard of a suspended volume. */
static const char *program_path(char *path, size_t size)
{
	ssize_t len = readlink("/proc/self/exe", path, size - 1);

	if (len <= 0)
		return NULL;
	path[len] = '\0';
	return path;
}

static int run_verb(struct cmd *cmd)
{
	char path[4096];
	struct snapmgr_open_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_open_opts);
	int r;

	if (cmd->verb->traits & CMD_NO_SM)
		return cmd->verb->run(cmd);
	opts.wait_ms = cmd->flags.wait_s * 1000;
	opts.warn = warn;
	opts.progress = progress_report;
	opts.data = cmd;
	opts.recover_program = program_path(path, sizeof(path));
	opts.backup_dir = secure_getenv("SNAPMGR_BACKUP_DIR");
	opts.pools_dir = secure_getenv("SNAPMGR_POOLS_DIR");
	r = snapmgr_open(&opts, &cmd->sm, &cmd->err);
	if (r == 0)
		r = cmd->verb->run(cmd);
	snapmgr_free(cmd->sm);
	cmd->sm = NULL;
	return r;
}

static int check_operands(const struct cmd *cmd, struct snapmgr_err *err)
{
	const struct cmd_verb *v = cmd->verb;

	if (cmd->n_args < v->min_args)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "missing argument; usage: snapmgr %s %s",
			       v->name, v->operands);
	if (cmd->n_args > v->max_args && v->max_args == 0)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "unexpected argument '%s'",
			       cmd->args[0]);
	if (cmd->n_args > v->max_args)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "unexpected argument '%s'; usage: snapmgr %s %s",
			       cmd->args[v->max_args], v->name, v->operands);
	return 0;
}

static int run_parsed(struct cmd *cmd, bool stdout_closed)
{
	int r;

	if (cmd->flags.help) {
		help_verb(cmd->verb);
		return 0;
	}
	r = check_operands(cmd, &cmd->err);
	if (r == 0 && stdout_closed && !cmd->flags.quiet)
		r = sm_fail(&cmd->err, SNAPMGR_IO, EBADF,
			    "standard output is closed (--quiet does without it)");
	return r < 0 ? r : run_verb(cmd);
}

/* The options before the command, the command, and everything behind it. */
static int run_words(struct cmd *cmd, struct args *args, int argc, char **argv, bool stdout_closed)
{
	static const struct arg_opt *const before[] = { main_opts, cli_common_opts, NULL };
	const struct arg_opt *tables[] = { NULL, cli_common_opts, NULL };
	size_t words = 0;
	int used = 0, r;

	args->tables = before;
	r = args_parse(args, argc, argv, true, &used, &cmd->err);
	if (r < 0)
		return r;
	if (used == argc && (cmd->flags.help || cmd->flags.version)) {
		if (cmd->flags.help)
			help_all();
		else
			(void)puts("snapmgr " SNAPMGR_VERSION);
		return 0;
	}
	cmd->verb = verb_find((const char *const *)argv + used, (size_t)(argc - used), &words,
			      &cmd->err);
	if (!cmd->verb)
		return -EINVAL;
	used += (int)words;
	tables[0] = cmd->verb->opts;
	args->tables = cmd->verb->opts ? tables : tables + 1;
	r = args_parse(args, argc - used, argv + used, false, NULL, &cmd->err);
	cmd->args = args->operands.items;
	cmd->n_args = args->operands.n;
	if (r == 0)
		r = run_parsed(cmd, stdout_closed);
	args_release(args);
	return r;
}

static void print_error_json(struct cmd *cmd)
{
	struct json *j = &cmd->json;
	const char *name = strerrorname_np(cmd->err.errnum);

	if (j->depth)
		json_end_to(j, 1); /* a document that was begun tells its end */
	else
		json_object(j);
	json_key(j, "error");
	json_object(j);
	json_key(j, "code");
	json_text(j, snapmgr_code_name(cmd->err.code));
	json_key(j, "errno");
	json_text(j, name);
	json_key(j, "message");
	json_text(j, cmd->err.message);
	json_end_to(j, 0);
}

static void print_error_line(const struct cmd *cmd)
{
	(void)fflush(stdout);
	(void)fputs("snapmgr: ", stderr);
	if (cmd->verb)
		(void)fprintf(stderr, "%s: ", cmd->verb->name);
	text_plain(stderr, cmd->err.message);
	(void)putc('\n', stderr);
}

static int report_failure(struct cmd *cmd, int r)
{
	if (cmd->err.code == SNAPMGR_OK)
		(void)sm_fail(&cmd->err, SNAPMGR_INTERNAL, r, "failed without a reason: %s",
			      strerror(-r));
	if (cmd->flags.json)
		print_error_json(cmd);
	else
		print_error_line(cmd);
	return snapmgr_code_exit(cmd->err.code);
}

/* Nobody may take half a list for a whole one. */
static int close_output(const struct cmd *cmd, int status)
{
	int failed = out_failed(), flushed = fflush(stdout) == 0 ? 0 : -errno;

	if (!failed)
		failed = flushed;
	if (fclose(stdout) != 0 && !failed && errno != EBADF)
		failed = -errno;
	if (!failed)
		return status;
	(void)fprintf(stderr, "snapmgr: %s%scannot write to standard output: %s\n",
		      cmd->verb ? cmd->verb->name : "", cmd->verb ? ": " : "", strerror(-failed));
	return status ? status : 1;
}

/* An error in what comes before --json is an error in JSON all the same. */
static bool wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	static char results[1 << 16], messages[1 << 12];
	bool stdout_closed = guard_standard_files();
	struct cmd cmd = {
		.flags = { .size_bytes = UINT64_MAX,
			   .chunk_bytes = UINT64_MAX,
			   .cow_bytes = UINT64_MAX,
			   .checkpoint_bytes = UINT64_MAX,
			   .wait_s = 30 },
		.json = { .to = stdout },
	};
	struct args args = { .values = &cmd.flags };
	int r, status = 0;

	turn_sigpipe_into_epipe();
	(void)setvbuf(stdout, results, _IOFBF, sizeof(results));
	(void)setvbuf(stderr, messages, _IOLBF, sizeof(messages)); /* a line is one write */
	r = run_words(&cmd, &args, argc - 1, argv + 1, stdout_closed);
	progress_end();
	cmd.flags.json |= wants_json(argc, argv);
	if (r != 0 && !ferror(stdout))
		status = report_failure(&cmd, r);
	else
		json_end_to(&cmd.json, 0);
	return close_output(&cmd, r != 0 && !status ? 1 : status);
}
