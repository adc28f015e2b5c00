/* SPDX-License-Identifier: GPL-2.0-or-later */
/* snapmgr pool ... */
#include <errno.h>
#include <string.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/pool_info.h"
#include "snapmgr/cli/text.h"

static int visit_json(const struct snapmgr_pool *pool, void *data)
{
	struct cmd *cmd = data;

	pool_json(&cmd->json, pool);
	return out_failed();
}

static int visit_lines(const struct snapmgr_pool *pool, void *data)
{
	(void)data;
	pool_lines(stdout, pool);
	return out_failed();
}

static int visit_row(const struct snapmgr_pool *pool, void *data)
{
	pool_row(data, pool);
	return 0;
}

/* With --json every command that changed a pool prints it as it is now. */
static int show_if_json(struct cmd *cmd, const char *name)
{
	if (!cmd->flags.json)
		return 0;
	return snapmgr_pool_show(cmd->sm, name, visit_json, cmd, &cmd->err);
}

static int run_create(struct cmd *cmd)
{
	const struct cmd_flags *f = &cmd->flags;
	struct snapmgr_pool_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_create_opts);
	int r;

	if (f->chunk_bytes == 0)
		return sm_fail(&cmd->err, SNAPMGR_USAGE, EINVAL, "a chunk of 0 bytes is none");
	opts.driver = f->driver;
	opts.meta_device = f->meta;
	opts.chunk_bytes = f->chunk_bytes == UINT64_MAX ? 0 : f->chunk_bytes;
	opts.force = f->force;
	opts.params = f->params.items;
	opts.n_params = f->params.n;
	r = snapmgr_pool_create(cmd->sm, cmd->args[0], cmd->args + 1, cmd->n_args - 1, &opts,
				&cmd->err);
	if (r < 0)
		return r;
	say(cmd, "pool %s is ready", cmd->args[0]);
	return show_if_json(cmd, cmd->args[0]);
}

static int list_json(struct cmd *cmd)
{
	int r;

	json_object(&cmd->json);
	json_key(&cmd->json, "pools");
	json_array(&cmd->json);
	r = snapmgr_pool_list(cmd->sm, visit_json, cmd, &cmd->err);
	if (r == 0)
		json_end_to(&cmd->json, 0);
	return r;
}

static int run_list(struct cmd *cmd)
{
	struct table table = { 0 };
	int r;

	if (cmd->flags.json)
		return list_json(cmd);
	pool_header(&table);
	r = snapmgr_pool_list(cmd->sm, visit_row, &table, &cmd->err);
	if (r == 0 && table.rows > 1)
		r = table_write(&table, stdout, text_colour(stdout));
	else if (r == 0 && isatty(STDERR_FILENO) && !cmd->flags.quiet)
		(void)fputs("no pools\n", stderr);
	table_release(&table);
	return r;
}

static int run_show(struct cmd *cmd)
{
	return snapmgr_pool_show(cmd->sm, cmd->args[0], cmd->flags.json ? visit_json : visit_lines,
				 cmd, &cmd->err);
}

static int run_extend(struct cmd *cmd)
{
	struct snapmgr_pool_extend_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_extend_opts);
	int r;

	opts.force = cmd->flags.force;
	r = snapmgr_pool_extend(cmd->sm, cmd->args[0], cmd->args + 1, cmd->n_args - 1, &opts,
				&cmd->err);
	if (r < 0)
		return r;
	say(cmd, "pool %s has %zu more device%s", cmd->args[0], cmd->n_args - 1,
	    cmd->n_args == 2 ? "" : "s");
	return show_if_json(cmd, cmd->args[0]);
}

static int run_activate(struct cmd *cmd)
{
	int r = snapmgr_pool_activate(cmd->sm, cmd->args[0], &cmd->err);

	if (r < 0)
		return r;
	say(cmd, "pool %s is active", cmd->args[0]);
	return show_if_json(cmd, cmd->args[0]);
}

static int run_deactivate(struct cmd *cmd)
{
	int r = snapmgr_pool_deactivate(cmd->sm, cmd->args[0], &cmd->err);

	if (r < 0)
		return r;
	say(cmd, "pool %s is inactive", cmd->args[0]);
	return show_if_json(cmd, cmd->args[0]);
}

static int run_export(struct cmd *cmd)
{
	int r = snapmgr_pool_export(cmd->sm, cmd->args[0], &cmd->err);

	if (r < 0)
		return r;
	say(cmd, "pool %s is exported; back: snapmgr pool import %s", cmd->args[0], cmd->args[0]);
	return show_if_json(cmd, cmd->args[0]);
}

static int run_import(struct cmd *cmd)
{
	struct snapmgr_pool_import_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_import_opts);
	const char *name = cmd->flags.as ? cmd->flags.as : cmd->args[0];
	int r;

	opts.as = cmd->flags.as;
	opts.force = cmd->flags.force;
	opts.no_activate = cmd->flags.no_activate;
	r = snapmgr_pool_import(cmd->sm, cmd->args[0], &opts, &cmd->err);
	if (r < 0)
		return r;
	say(cmd, "pool %s is imported%s", name, opts.no_activate ? "" : " and active");
	return show_if_json(cmd, name);
}

/* ---- check ---- */

struct findings {
	struct cmd *cmd;
	uint64_t problems, repaired;
};

static void open_findings(struct cmd *cmd)
{
	if (cmd->json.depth)
		return;
	json_object(&cmd->json);
	json_key(&cmd->json, "pool");
	json_text(&cmd->json, cmd->args[0]);
	json_key(&cmd->json, "findings");
	json_array(&cmd->json);
}

static int report_finding(const char *finding, bool repaired, void *data)
{
	struct findings *f = data;
	struct json *j = &f->cmd->json;

	f->problems++;
	f->repaired += repaired;
	if (f->cmd->flags.json) {
		open_findings(f->cmd);
		json_object(j);
		json_key(j, "finding");
		json_text(j, finding);
		json_key(j, "repaired");
		json_bool(j, repaired);
		json_end(j);
		return out_failed();
	}
	progress_end();
	text_plain(stdout, finding);
	(void)puts(repaired ? " (repaired)" : "");
	(void)fflush(stdout); /* as they come */
	return out_failed();
}

static void summary(const struct findings *f)
{
	struct json *j = &f->cmd->json;

	if (!f->cmd->flags.json && !f->problems)
		(void)printf("pool %s: clean\n", f->cmd->args[0]);
	else if (!f->cmd->flags.json)
		(void)printf("%llu problem%s, %llu repaired\n", (unsigned long long)f->problems,
			     f->problems == 1 ? "" : "s", (unsigned long long)f->repaired);
	if (!f->cmd->flags.json)
		return;
	open_findings(f->cmd);
	json_end_to(j, 1);
	json_key(j, "problems");
	json_uint(j, f->problems);
	json_key(j, "repaired");
	json_uint(j, f->repaired);
	json_key(j, "clean");
	json_bool(j, f->problems == f->repaired);
}

static int run_check(struct cmd *cmd)
{
	struct findings findings = { .cmd = cmd };
	struct snapmgr_pool_check_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_check_opts);
	int r;

	opts.repair = cmd->flags.repair;
	opts.accept = cmd->flags.accept;
	opts.report = report_finding;
	opts.data = &findings;
	r = snapmgr_pool_check(cmd->sm, cmd->args[0], &opts, &cmd->err);
	progress_end();
	if (r == 0 || cmd->err.code == SNAPMGR_DAMAGED)
		summary(&findings);
	return r;
}

/* ---- destroy ---- */

/* What would be lost, as words. */
struct loss {
	char text[256];
	char uuid[SNAPMGR_UUID_TEXT];
};

static int visit_loss(const struct snapmgr_pool *p, void *data)
{
	struct loss *loss = data;
	size_t len;

	(void)sm_copy_text(loss->uuid, sizeof(loss->uuid), p->uuid);
	(void)snprintf(loss->text, sizeof(loss->text), "pool %s (%s, %zu device%s)", p->name,
		       p->uuid, p->n_members, p->n_members == 1 ? "" : "s");
	len = strlen(loss->text);
	if (p->volumes != UINT64_MAX)
		(void)snprintf(loss->text + len, sizeof(loss->text) - len,
			       " with %llu volume%s and %llu snapshot%s",
			       (unsigned long long)p->volumes, p->volumes == 1 ? "" : "s",
			       (unsigned long long)p->snapshots, p->snapshots == 1 ? "" : "s");
	return 0;
}

static void destroyed_json(struct cmd *cmd, const struct loss *loss)
{
	struct json *j = &cmd->json;

	json_object(j);
	json_key(j, "destroyed");
	json_text(j, cmd->args[0]);
	json_key(j, "uuid");
	json_text(j, loss->uuid);
	json_key(j, "dry_run");
	json_bool(j, cmd->flags.dry_run);
	json_end(j);
}

static int run_destroy(struct cmd *cmd)
{
	struct snapmgr_pool_destroy_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_destroy_opts);
	struct loss loss = { "", "" };
	char question[300];
	int r = snapmgr_pool_show(cmd->sm, cmd->args[0], visit_loss, &loss, &cmd->err);

	opts.dry_run = cmd->flags.dry_run;
	opts.force = cmd->flags.force;
	(void)snprintf(question, sizeof(question), "destroy %s", loss.text);
	if (r == 0 && !opts.dry_run)
		r = confirm(cmd, question);
	/* What was asked about, and no other pool that took its name meanwhile. */
	if (r == 0)
		r = snapmgr_pool_destroy(cmd->sm, loss.uuid, &opts, &cmd->err);
	if (r < 0)
		return r;
	say(cmd, "%s %s", opts.dry_run ? "would destroy" : "destroyed", loss.text);
	if (cmd->flags.json)
		destroyed_json(cmd, &loss);
	return 0;
}

/* ---- the table ---- */

static const struct arg_opt create_opts[] = {
	CLI_TEXT("driver", driver, "NAME", "thin (the default), cow or file"),
	CLI_TEXT("meta", meta, "DEVICE", "put everything but the data on this device"),
	CLI_SIZE("chunk", chunk_bytes, "unit of allocation; chosen from the size by default"),
	CLI_FLAG("force", force, "overwrite foreign signatures; never a device in use"),
	CLI_PARAMS,
	CLI_PROGRESS,
	CLI_END,
};
static const struct arg_opt extend_opts[] = {
	CLI_FLAG("force", force, "overwrite foreign signatures; never a device in use"),
	CLI_PROGRESS,
	CLI_END,
};
static const struct arg_opt import_opts[] = {
	CLI_TEXT("as", as, "NAME", "give it another name"),
	CLI_FLAG("force", force, "although another host has it active"),
	CLI_FLAG("no-activate", no_activate, "leave it inactive"),
	CLI_END,
};
static const struct arg_opt check_opts[] = {
	CLI_FLAG("repair", repair, "delete orphans, rewrite bad superblock copies"),
	CLI_TEXT("accept", accept, "WHAT", "of different times, metadata or catalogue is right"),
	CLI_PROGRESS,
	CLI_END,
};
static const struct arg_opt destroy_opts[] = {
	CLI_FLAG("force", force, "although snapshots are held, or nobody can look for that"),
	CLI_YES,
	CLI_DRY_RUN,
	CLI_END,
};

const struct cmd_verb cmd_pool_verbs[] = {
	{ "pool create", run_create, 2, CMD_ANY, "NAME DEVICE...|DIR",
	  "make a pool of whole devices, or of a folder, and activate it", create_opts,
	  "pool create p0 /dev/vdb /dev/vdc", 0 },
	{ "pool list", run_list, 0, 0, "", "list every pool of this machine, active or not", NULL,
	  "pool list --json", 0 },
	{ "pool show", run_show, 1, 1, "POOL", "show one pool: members, usage, state, warnings",
	  NULL, "pool show p0", 0 },
	{ "pool extend", run_extend, 2, CMD_ANY, "POOL DEVICE...", "add devices to a pool",
	  extend_opts, "pool extend p0 /dev/vdd", 0 },
	{ "pool activate", run_activate, 1, 1, "POOL",
	  "map a pool and the volumes that start with it", NULL, "pool activate p0", 0 },
	{ "pool deactivate", run_deactivate, 1, 1, "POOL", "unmap a pool and all that is in it",
	  NULL, "pool deactivate p0", 0 },
	{ "pool export", run_export, 1, 1, "POOL",
	  "deactivate a pool and let go of it, for another host to import", NULL, "pool export p0",
	  0 },
	{ "pool import", run_import, 1, 1, "POOL|DIR",
	  "take a pool that was exported, and activate it", import_opts, "pool import p0 --as p1",
	  0 },
	{ "pool check", run_check, 1, 1, "POOL",
	  "hold catalogue, kernel metadata and superblocks against each other", check_opts,
	  "pool check p0 --repair", 0 },
	{ "pool destroy", run_destroy, 1, 1, "POOL", "destroy a pool and all that is in it",
	  destroy_opts, "pool destroy p0 --dry-run", 0 },
	{ .name = NULL },
};
