/* SPDX-License-Identifier: GPL-2.0-or-later */
/* quota */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/table.h"
#include "snapmgr/cli/text.h"

static const struct resource {
	const char *option, *key; /* of JSON */
	size_t at;		  /* what was given, in struct cmd_flags */
	bool bytes;
} resources[SNAPMGR_RESOURCES] = {
	[SNAPMGR_VOLUMES] = { "volumes", "volumes", CLI_AT(volumes), false },
	[SNAPMGR_SNAPSHOTS] = { "snapshots", "snapshots", CLI_AT(snapshots), false },
	[SNAPMGR_VOLUME_BYTES] = { "volume-size", "volume_size", CLI_AT(volume_size), true },
	[SNAPMGR_SNAPSHOT_BYTES] = { "snapshot-size", "snapshot_size", CLI_AT(snapshot_size),
				     true },
};

/* ---- show ---- */

static int visit_json(const struct snapmgr_quota *q, void *data)
{
	struct cmd *cmd = data;
	struct json *j = &cmd->json;

	json_object(j);
	json_key(j, "pool");
	json_text(j, q->pool);
	json_key(j, "project");
	json_text(j, *q->project ? q->project : NULL);
	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++) {
		const struct snapmgr_quota_resource *r = &q->resources[i];

		json_key(j, resources[i].key);
		json_object(j);
		json_key(j, "limit");
		if (r->limit == SNAPMGR_UNLIMITED)
			json_null(j);
		else
			json_uint(j, r->limit);
		json_key(j, "in_use");
		json_uint(j, r->in_use);
		json_key(j, "reserved");
		json_uint(j, r->reserved);
		json_end(j);
	}
	json_end(j);
	return out_failed();
}

static void amount_cell(struct table *t, uint64_t n, bool bytes)
{
	char text[TEXT_SIZE];

	if (n == SNAPMGR_UNLIMITED)
		(void)strcpy(text, "-");
	else if (bytes)
		(void)text_size(n, text);
	else
		(void)snprintf(text, sizeof(text), "%" PRIu64, n);
	table_cell(t, text);
}

static int visit_rows(const struct snapmgr_quota *q, void *data)
{
	struct table *t = data;

	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++) {
		const struct snapmgr_quota_resource *r = &q->resources[i];
		bool full = r->in_use > r->limit || r->reserved >= r->limit - r->in_use;

		table_cell(t, *q->project ? q->project : "(whole pool)");
		table_cell(t, resources[i].option);
		amount_cell(t, r->limit, resources[i].bytes);
		amount_cell(t, r->in_use, resources[i].bytes);
		amount_cell(t, r->reserved, resources[i].bytes);
		table_end_row(t, full ? TABLE_BOLD : TABLE_NORMAL);
	}
	return 0;
}

static int show_rows(struct cmd *cmd, const char *project)
{
	static const char *const names[] = { "PROJECT", "RESOURCE", "LIMIT", "IN USE", "RESERVED" };
	struct table table = { .columns = SM_ARRAY(names), .right = 0x1c };
	int r;

	for (size_t i = 0; i < SM_ARRAY(names); i++)
		table_cell(&table, names[i]);
	table_end_row(&table, TABLE_BOLD);
	r = snapmgr_quota_list(cmd->sm, cmd->args[0], project, visit_rows, &table, &cmd->err);
	if (r == 0)
		r = table_write(&table, stdout, text_colour(stdout)) < 0 ? sm_nomem(&cmd->err) : 0;
	table_release(&table);
	return r;
}

static int show(struct cmd *cmd, const char *project)
{
	if (!cmd->flags.json)
		return show_rows(cmd, project);
	json_object(&cmd->json);
	json_key(&cmd->json, "quotas");
	json_array(&cmd->json);
	return snapmgr_quota_list(cmd->sm, cmd->args[0], project, visit_json, cmd, &cmd->err);
}

/* ---- set ---- */

static int parse_count(const char *text, uint64_t *ret)
{
	uint64_t n = 0;

	if (!*text)
		return -EINVAL;
	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9' || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n) || n > INT64_MAX)
			return -EINVAL;
	}
	*ret = n;
	return 0;
}

static int parse_limit(const struct resource *res, const char *text, uint64_t *ret,
		       struct snapmgr_err *err)
{
	if (strcmp(text, "none") == 0 || strcmp(text, "-1") == 0) {
		*ret = SNAPMGR_UNLIMITED;
		return 0;
	}
	if (res->bytes ? snapmgr_parse_size(text, ret, NULL) == 0 : parse_count(text, ret) == 0)
		return 0;
	return sm_fail(err, SNAPMGR_USAGE, EINVAL,
		       "--%s: a limit is %s, or 'none' (or -1), not '%.40s'", res->option,
		       res->bytes ? "a size as 10G" : "a whole number", text);
}

/* 1 where a limit was given. */
static int limits_fill(const struct cmd_flags *flags, struct snapmgr_quota_set_opts *opts,
		       struct snapmgr_err *err)
{
	int given = 0, r = 0;

	for (size_t i = 0; i < SNAPMGR_RESOURCES && r == 0; i++) {
		const char *text = *(const char *const *)((const char *)flags + resources[i].at);

		opts->limits[i] = SNAPMGR_UNCHANGED;
		if (!text)
			continue;
		given = 1;
		r = parse_limit(&resources[i], text, &opts->limits[i], err);
	}
	return r < 0 ? r : given;
}

static int run_quota(struct cmd *cmd)
{
	struct snapmgr_quota_set_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_quota_set_opts);
	const char *project = cmd->flags.project;
	int r = limits_fill(&cmd->flags, &opts, &cmd->err);

	if (r >= 0 && project && !*project)
		return sm_fail(&cmd->err, SNAPMGR_USAGE, EINVAL,
			       "--project: no project has an empty name; without --project it is "
			       "the whole pool's quota");
	if (r == 0)
		return show(cmd, project);
	project = project ? project : "";
	if (r > 0)
		r = snapmgr_quota_set(cmd->sm, cmd->args[0], project, &opts, &cmd->err);
	if (r < 0 || (cmd->flags.quiet && !cmd->flags.json))
		return r;
	return show(cmd, project);
}

/* ---- the table ---- */

static const struct arg_opt quota_opts[] = {
	CLI_TEXT("project", project, "NAME", "this project's; without it, the whole pool's"),
	CLI_TEXT("volumes", volumes, "N", "how many volumes there may be; none: any number"),
	CLI_TEXT("snapshots", snapshots, "N", "how many snapshots there may be"),
	CLI_TEXT("volume-size", volume_size, "SIZE", "how large all volumes together may be"),
	CLI_TEXT("snapshot-size", snapshot_size, "SIZE", "how large all snapshots together may be"),
	CLI_END,
};

const struct cmd_verb cmd_quota_verbs[] = {
	{ "quota", run_quota, 1, 1, "POOL",
	  "show or set what a project, or a whole pool, may have\n"
	  "A limit below what is there takes nothing away: it refuses what would add to it.",
	  quota_opts, "quota p0\nquota p0 --project web --volumes 10 --volume-size 1T", 0 },
	{ .name = NULL },
};
