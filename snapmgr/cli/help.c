/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tables of commands say to people: help, and the way from words to a command. */
#include <errno.h>
#include <string.h>

#include "snapmgr/cli/cli.h"

static const char statuses[] =
	"Exit status:\n"
	"  0  done\n"
	"  1  a device, the kernel or the pool's data failed, or permission was missing\n"
	"  2  usage\n"
	"  3  not found\n"
	"  4  a conflict: exists, in use, wrong state, not the latest, locked, held\n"
	"  5  no space, or over quota\n"
	"  6  not supported\n";

static void option_line(const struct arg_opt *o)
{
	char left[64], letter[8] = "";
	bool needs = o->kind != ARG_FLAG;

	if (o->letter)
		(void)snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	(void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, needs ? " " : "",
		       needs ? o->value : "");
	(void)printf("  %-26s  %s\n", left, o->help);
}

static void option_lines(const struct arg_opt *opts)
{
	for (const struct arg_opt *o = opts; o && o->name; o++)
		option_line(o);
}

void help_verb(const struct cmd_verb *v)
{
	(void)printf("usage: snapmgr %s [OPTION]...%s%s\n\n%s\n\n", v->name,
		     *v->operands ? " " : "", v->operands, v->help);
	option_lines(v->opts);
	option_lines(cli_common_opts);
	if (!v->example)
		return;
	(void)puts("\nExample:");
	for (const char *line = v->example; *line;) {
		size_t len = strcspn(line, "\n");

		(void)printf("  snapmgr %.*s\n", (int)len, line);
		line += len + (line[len] == '\n');
	}
}

void help_all(void)
{
	(void)puts("usage: snapmgr COMMAND [OPTION]... [ARGUMENT]...\n\n"
		   "Snapshot trees of block devices, and reverts in place.\n\nCommands:");
	for (const struct cmd_verb *const *family = cli_families; *family; family++)
		for (const struct cmd_verb *v = *family; v->name; v++)
			(void)printf("  %-16s  %.*s\n", v->name, (int)strcspn(v->help, "\n"),
				     v->help);
	(void)puts("\nOptions of every command:");
	option_lines(cli_common_opts);
	(void)printf(
		"\nObjects are POOL, POOL/VOL, POOL/VOL@SNAP, a UUID, or one of the selectors\n"
		"POOL/VOL@latest[~N] and POOL/VOL@undo[~N].\n\n"
		"Example:\n"
		"  snapmgr pool create p0 /dev/vdb /dev/vdc\n"
		"  snapmgr create p0/v --size 10G\n"
		"  snapmgr snapshot p0/v@s1\n"
		"  snapmgr revert p0/v@s1\n\n%s\n"
		"'snapmgr help COMMAND' tells about one of them; see also snapmgr(8).\n",
		statuses);
}

/* How many of @words make up @name; 0 where they are others. */
static size_t words_of(const char *name, const char *const *words, size_t n)
{
	size_t first = strcspn(name, " ");

	if (!n || strlen(words[0]) != first || memcmp(words[0], name, first) != 0)
		return 0;
	if (!name[first])
		return 1;
	return n > 1 && strcmp(words[1], name + first + 1) == 0 ? 2 : 0;
}

static bool begins_family(const char *name, const char *word)
{
	size_t len = strlen(word);

	return strncmp(name, word, len) == 0 && name[len] == ' ';
}

static const struct cmd_verb *unknown(const char *const *words, size_t n, struct snapmgr_err *err)
{
	char typed[64];
	const char *hint = NULL, *family_name = NULL;
	unsigned best = ARG_FAR;

	for (const struct cmd_verb *const *f = cli_families; *f; f++)
		for (const struct cmd_verb *v = *f; v->name; v++)
			if (begins_family(v->name, words[0]))
				family_name = words[0];
	(void)snprintf(typed, sizeof(typed), "%s%s%s", words[0], family_name && n > 1 ? " " : "",
		       family_name && n > 1 ? words[1] : "");
	for (const struct cmd_verb *const *f = cli_families; *f; f++)
		for (const struct cmd_verb *v = *f; v->name; v++)
			hint = arg_nearest(typed, hint, v->name, &best);
	if (family_name && n < 2)
		(void)sm_fail(err, SNAPMGR_USAGE, EINVAL,
			      "'%s' needs a second word; see 'snapmgr help'", family_name);
	else if (hint)
		(void)sm_fail(err, SNAPMGR_USAGE, EINVAL,
			      "unknown command '%s'; did you mean '%s'?", typed, hint);
	else
		(void)sm_fail(err, SNAPMGR_USAGE, EINVAL,
			      "unknown command '%s'; see 'snapmgr help'", typed);
	return NULL;
}

const struct cmd_verb *verb_find(const char *const *words, size_t n, size_t *ret_used,
				 struct snapmgr_err *err)
{
	if (!n) {
		(void)sm_fail(err, SNAPMGR_USAGE, EINVAL, "no command given; see 'snapmgr help'");
		return NULL;
	}
	for (const struct cmd_verb *const *f = cli_families; *f; f++)
		for (const struct cmd_verb *v = *f; v->name; v++) {
			size_t used = words_of(v->name, words, n);

			if (used) {
				*ret_used = used;
				return v;
			}
		}
	return unknown(words, n, err);
}

static int run_help(struct cmd *cmd)
{
	const struct cmd_verb *verb;
	size_t used = 0;

	if (!cmd->n_args) {
		help_all();
		return 0;
	}
	verb = verb_find(cmd->args, cmd->n_args, &used, &cmd->err);
	if (!verb)
		return -EINVAL;
	help_verb(verb);
	return 0;
}

static int run_version(struct cmd *cmd)
{
	if (!cmd->flags.json) {
		(void)puts("snapmgr " SNAPMGR_VERSION);
		return 0;
	}
	json_object(&cmd->json);
	json_key(&cmd->json, "version");
	json_text(&cmd->json, SNAPMGR_VERSION);
	json_end(&cmd->json);
	return 0;
}

const struct cmd_verb cmd_help_verbs[] = {
	{ .name = "help",
	  .run = run_help,
	  .max_args = 2,
	  .operands = "[COMMAND]",
	  .help = "say what a command does",
	  .example = "help revert",
	  .traits = CMD_NO_SM },
	{ .name = "version",
	  .run = run_version,
	  .operands = "",
	  .help = "print the version",
	  .traits = CMD_NO_SM },
	{ .name = NULL },
};
