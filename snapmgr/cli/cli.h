/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * cli.h - what the commands of the program share
 *
 * A command is a row of a const table; the table is also the help. It prints its result, and leaves a
 * failure in cmd->err; main() alone prints failures and picks exit statuses.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "include/base.h"
#include "snapmgr/cli/args.h"
#include "snapmgr/cli/json.h"

/* Every value that an option can have, for all commands; a command's table says which it takes. */
struct cmd_flags {
	bool json, quiet, help, version, progress, yes, dry_run;
	bool force, online, remount, latest_only, no_undo, allow_clone, drop, fast;
	bool recursive, keep_snapshots, shrink, space, undo, operations;
	bool inactive, guest, no_revert, no_activate, repair, full, verify, resume;
	const char *driver, *meta, *project, *label, *description, *target, *strategy, *as, *from,
		*accept;
	const char *level, *since;
	const char *volumes, *snapshots, *volume_size, *snapshot_size; /* limits */
	uint64_t size_bytes, chunk_bytes, cow_bytes, checkpoint_bytes; /* UINT64_MAX: not given */
	uint32_t wait_s, every_s;
	struct arg_list tags, params;
};

struct cmd {
	const struct cmd_verb *verb;
	struct cmd_flags flags;
	const char *const *args; /* operands; between the table's min and max of them */
	size_t n_args;
	struct snapmgr *sm;
	struct json json; /* to stdout; an open document is closed by main() after a failure */
	struct snapmgr_err err;
};

#define CMD_ANY	  SIZE_MAX /* as many operands as there are */
#define CMD_NO_SM 1u	   /* needs no handle of the library */

struct cmd_verb {
	const char *name;	     /* "list", "pool list"; NULL ends the table */
	int (*run)(struct cmd *cmd); /* 0 or a negative errno with cmd->err filled */
	size_t min_args, max_args;
	const char *operands;
	const char *help; /* the first line is what the list of commands says */
	const struct arg_opt *opts;
	const char *example; /* lines for the help, without "snapmgr"; may be NULL */
	unsigned traits;
};

/* Rows of option tables: name, letter, kind, where the value goes, what it is called, what for. */
#define CLI_AT(field) offsetof(struct cmd_flags, field)
#define CLI_OPT(name, letter, kind, field, value, help, not_with)        \
	{                                                                \
		name, letter, kind, CLI_AT(field), value, help, not_with \
	}
#define CLI_FLAG(n, field, help)	CLI_OPT(n, 0, ARG_FLAG, field, NULL, help, NULL)
#define CLI_TEXT(n, field, value, help) CLI_OPT(n, 0, ARG_TEXT, field, value, help, NULL)
#define CLI_SIZE(n, field, help)	CLI_OPT(n, 0, ARG_SIZE, field, "SIZE", help, NULL)
#define CLI_LIST(n, l, field, help)	CLI_OPT(n, l, ARG_LIST, field, "KEY=VALUE", help, NULL)
#define CLI_END				CLI_OPT(NULL, 0, ARG_FLAG, json, NULL, NULL, NULL)

/* Those that several commands take. */
#define CLI_YES	    CLI_OPT("yes", 'y', ARG_FLAG, yes, NULL, "do not ask", NULL)
#define CLI_DRY_RUN CLI_FLAG("dry-run", dry_run, "say what would happen, change nothing")
#define CLI_PROGRESS \
	CLI_FLAG("progress", progress, "report progress, also where stderr is no terminal")
#define CLI_PARAMS CLI_LIST("option", 'o', params, "parameter of the driver; may be repeated")
#define CLI_ONLINE                                   \
	CLI_OPT("online", 0, ARG_FLAG, online, NULL, \
		"although a program (a VM) has it open; never although it is mounted", "remount")
#define CLI_REMOUNT \
	CLI_FLAG("remount", remount, "unmount it, and mount it again with the same options")
#define CLI_PROJECT	CLI_TEXT("project", project, "NAME", "the owner whose quota it counts for")
#define CLI_LABEL	CLI_TEXT("label", label, "TEXT", "a short text")
#define CLI_DESCRIPTION CLI_TEXT("description", description, "TEXT", "a longer text")
#define CLI_TAG		CLI_LIST("tag", 0, tags, "attach a tag; may be repeated")

/* What is made by create and clone. */
#define CLI_NEW_VOLUME                                                                   \
	CLI_PROJECT, CLI_LABEL, CLI_DESCRIPTION, CLI_TAG,                                \
		CLI_FLAG("inactive", inactive, "do not map it, now or with its pool"),   \
		CLI_FLAG("guest", guest, "what is inside belongs to a virtual machine"), \
		CLI_FLAG("no-revert", no_revert, "revert_to_snapshot_support is off"), CLI_PARAMS

extern const struct arg_opt cli_common_opts[];	    /* what every command takes */
extern const struct cmd_verb *const cli_families[]; /* tables of verbs; NULL-terminated */
extern const struct cmd_verb cmd_pool_verbs[], cmd_volume_verbs[], cmd_delete_verbs[],
	cmd_snapshot_verbs[], cmd_revert_verbs[], cmd_undo_verbs[], cmd_list_verbs[],
	cmd_tree_verbs[], cmd_property_verbs[], cmd_quota_verbs[], cmd_group_verbs[],
	cmd_recover_verbs[], cmd_copy_verbs[], cmd_operation_verbs[], cmd_message_verbs[],
	cmd_monitor_verbs[], cmd_help_verbs[], cmd_dump_verbs[], cmd_diff_verbs[];

/* ---- help.c ---- */

void help_verb(const struct cmd_verb *verb);
void help_all(void);
/* verb_find() - by its words; @ret_used says how many of them it has. */
const struct cmd_verb *verb_find(const char *const *words, size_t n, size_t *ret_used,
				 struct snapmgr_err *err);

/* ---- out.c ---- */

/* say() - one line about success, to stdout, unless --quiet or --json */
void say(const struct cmd *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* out_failed() - for walks: -EPIPE once stdout takes no more */
int out_failed(void);

/* ---- common.c: what several commands do the same way ---- */

/* is_pool_spec() - a bare name, which can only be a pool's */
bool is_pool_spec(const char *text);
bool is_uuid(const char *text);
/* tags_from_list() - "KEY=VALUE" taken apart; *ret is the caller's to free, NULL where there are none */
int tags_from_list(const struct arg_list *list, struct snapmgr_tag **ret, struct snapmgr_err *err);

/* show_after() - with --json, the object that a command changed, as it is now */
int show_after(struct cmd *cmd, const char *spec);
/* objects_open() - with --json: begin {"objects":[...]}, for commands that take several */
void objects_open(struct cmd *cmd);
/* create_opts_fill() - options of create and clone; @ret_tags is the caller's to free */
int create_opts_fill(struct snapmgr_create_opts *opts, const struct cmd_flags *flags,
		     struct snapmgr_tag **ret_tags, struct snapmgr_err *err);
/* visit_new_volume() - for the walk of create and clone; data is the struct cmd */
snapmgr_object_fn visit_new_volume;
/* visit_object_json() - one object into cmd->json; data is the struct cmd */
snapmgr_object_fn visit_object_json;

/* ---- cmd_list.c ---- */

/* cmd_list() - list, and group list */
int cmd_list(struct cmd *cmd);

/* ---- cmd_operation.c ---- */

/* list_operations() - list --operations; @pool NULL: of every active pool */
int list_operations(struct cmd *cmd, const char *pool);

/* ---- confirm.c ---- */

/* confirm() - 0 where --yes was given or a person at the terminal agrees; else usage, -ECANCELED. */
int confirm(struct cmd *cmd, const char *question);

/* ---- progress.c ---- */

/* progress_report() - for snapmgr_open_opts.progress; data is the struct cmd */
int progress_report(const char *what, uint64_t done, uint64_t todo, void *data);
/* progress_end() - leave the terminal as it was */
void progress_end(void);

#endif
