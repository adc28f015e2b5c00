/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pool dump, pool restore */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "snapmgr/cli/cli.h"
#include "snapmgr/cli/text.h"

/* ---- dump ---- */

static int to_stdout(const char *text, size_t len, void *data)
{
	(void)data;
	(void)fwrite(text, 1, len, stdout);
	return out_failed();
}

struct file {
	char part[4096]; /* has the name only when it is whole */
	FILE *f;
};

static int to_file(const char *text, size_t len, void *data)
{
	const struct file *file = data;

	return fwrite(text, 1, len, file->f) == len ? 0 : -errno;
}

static int cannot_write(const char *path, struct snapmgr_err *err)
{
	return sm_fail(err, errno == EACCES ? SNAPMGR_PERMISSION : SNAPMGR_IO, errno,
		       "cannot write '%.200s'", path);
}

/* Nobody means a device when he says where the dump shall go. */
static int open_file(const char *path, struct file *file, struct snapmgr_err *err)
{
	struct stat st;
	int fd;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "'%.200s' is no regular file", path);
	if ((size_t)snprintf(file->part, sizeof(file->part), "%s.XXXXXX", path) >=
	    sizeof(file->part))
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "path '%.80s...' is too long", path);
	fd = mkstemp(file->part);
	if (fd < 0)
		return cannot_write(path, err);
	file->f = fdopen(fd, "w");
	if (file->f)
		return 0;
	(void)close(fd);
	(void)unlink(file->part);
	return sm_nomem(err);
}

static int finish_file(struct file *file, const char *path, struct snapmgr_err *err)
{
	int r = 0;

	if (fflush(file->f) != 0 || fsync(fileno(file->f)) < 0 || rename(file->part, path) < 0)
		r = cannot_write(path, err);
	return r;
}

static int dump_to_file(struct cmd *cmd, const char *path)
{
	struct file file = { .f = NULL };
	int r = open_file(path, &file, &cmd->err);

	if (r < 0)
		return r;
	errno = 0;
	r = snapmgr_pool_dump(cmd->sm, cmd->args[0], to_file, &file, &cmd->err);
	if (r < 0 && cmd->err.code == SNAPMGR_OK) /* of writing */
		r = cannot_write(path, &cmd->err);
	if (r == 0)
		r = finish_file(&file, path, &cmd->err);
	(void)fclose(file.f);
	if (r < 0)
		(void)unlink(file.part);
	else
		say(cmd, "the catalogue of pool %s is in %s", cmd->args[0], path);
	return r;
}

static int run_dump(struct cmd *cmd)
{
	int r;

	if (cmd->n_args > 1)
		return dump_to_file(cmd, cmd->args[1]);
	r = snapmgr_pool_dump(cmd->sm, cmd->args[0], to_stdout, NULL, &cmd->err);
	if (r < 0 && cmd->err.code == SNAPMGR_OK)
		return sm_fail(&cmd->err, SNAPMGR_IO, -r, "cannot write the dump");
	return r;
}

/* ---- restore ---- */

struct text {
	char *v;
	size_t len;
};

static int read_all(FILE *f, const char *path, struct text *t, struct snapmgr_err *err)
{
	size_t room = 0;

	while (!feof(f) && !ferror(f)) {
		if (t->len == room) {
			char *v = realloc(t->v, room = room ? 2 * room : 65536);

			if (!v)
				return sm_nomem(err);
			t->v = v;
		}
		t->len += fread(t->v + t->len, 1, room - t->len, f);
		if (t->len > SM_GIB)
			return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN, "'%.200s' is no dump", path);
	}
	return ferror(f) ? sm_fail(err, SNAPMGR_IO, errno, "cannot read '%.200s'", path) : 0;
}

static int read_dump(const char *path, struct text *t, struct snapmgr_err *err)
{
	AUTO(sm_close_file) FILE *f = NULL;

	if (strcmp(path, "-") == 0)
		return read_all(stdin, "standard input", t, err);
	f = fopen(path, "re");
	if (!f)
		return sm_fail(err,
			       errno == ENOENT ? SNAPMGR_NOT_FOUND :
			       errno == EACCES ? SNAPMGR_PERMISSION :
						 SNAPMGR_IO,
			       errno, "cannot read '%.200s': %m", path);
	return read_all(f, path, t, err);
}

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
	struct cmd *cmd = data;

	(void)repaired;
	if (cmd->flags.json) {
		open_findings(cmd);
		json_text(&cmd->json, finding);
		return out_failed();
	}
	text_plain(stdout, finding);
	(void)putchar('\n');
	(void)fflush(stdout); /* as they come */
	return out_failed();
}

static int run_restore(struct cmd *cmd)
{
	struct snapmgr_pool_restore_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_restore_opts);
	struct text text = { 0 };
	int r = read_dump(cmd->args[1], &text, &cmd->err);

	opts.force = cmd->flags.force;
	opts.dry_run = cmd->flags.dry_run;
	opts.report = report_finding;
	opts.data = cmd;
	if (r == 0)
		r = snapmgr_pool_restore(cmd->sm, cmd->args[0], text.v, text.len, &opts, &cmd->err);
	free(text.v);
	if (r < 0)
		return r;
	say(cmd, "pool %s %s the catalogue of the dump%s%s", cmd->args[0],
	    opts.dry_run ? "could have" : "has",
	    opts.dry_run ? "" : "; next: snapmgr pool activate ", opts.dry_run ? "" : cmd->args[0]);
	if (cmd->flags.json) {
		open_findings(cmd);
		json_end_to(&cmd->json, 1);
		json_key(&cmd->json, "restored");
		json_bool(&cmd->json, !opts.dry_run);
	}
	return 0;
}

static const struct arg_opt restore_opts[] = {
	CLI_FLAG("force", force, "although dump and metadata do not have the same ids"),
	CLI_DRY_RUN,
	CLI_END,
};

const struct cmd_verb cmd_dump_verbs[] = {
	{ "pool dump", run_dump, 1, 2, "POOL [FILE]",
	  "print the catalogue as JSON\n\n"
	  "With FILE, that gets it, whole or not at all.",
	  NULL, "pool dump p0 p0.json", 0 },
	{ "pool restore", run_restore, 2, 2, "POOL FILE",
	  "give an inactive pool the catalogue of a dump\n\n"
	  "FILE is - for standard input. What the dump has is held against the pool's\n"
	  "metadata first, and what does not match is named.",
	  restore_opts, "pool restore p0 p0.json --dry-run", 0 },
	{ .name = NULL },
};
