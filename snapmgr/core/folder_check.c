/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A pool that is a folder: its catalogue, and the files that it names. */
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "snapmgr/core/folder.h"

struct check {
	struct sm_pool pool;
	const struct snapmgr_pool_check_opts *opts;
	unsigned int left; /* problems that were not repaired */
	struct snapmgr_err *err;
};

static int find(struct check *c, bool repaired, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int find(struct check *c, bool repaired, const char *fmt, ...)
{
	char text[SNAPMGR_MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->left += !repaired;
	return c->opts->report ? c->opts->report(text, repaired, c->opts->data) : 0;
}

static int catalogue_finding(const char *line, void *data)
{
	return find(data, false, "catalogue: %s", line);
}

static int check_file(struct check *c, const char *what, const char *path, uint64_t size_bytes)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return find(c, false, "%s: its file '%s' is missing", what, path);
	if (!S_ISREG(st.st_mode))
		return find(c, false, "%s: '%s' is not a file", what, path);
	if ((uint64_t)st.st_size == size_bytes)
		return 0;
	return find(c, false, "%s: '%s' has %lld bytes, the catalogue says %" PRIu64, what, path,
		    (long long)st.st_size, size_bytes);
}

static void id_path(const struct check *c, uint32_t id, const char *suffix, char *ret, size_t size)
{
	(void)snprintf(ret, size, "%s/" SM_FILE_FOLDER "/%" PRIu32 ".%s", c->pool.b.dir, id,
		       suffix);
}

static int check_volume(const struct scat_volume *v, void *data)
{
	struct check *c = data;
	char what[SNAPMGR_NAME_MAX + 16], path[SM_POOL_DIR + SNAPMGR_NAME_MAX + 8];

	if (v->c.state == SCAT_CREATING || v->c.state == SCAT_REVERTING) /* not as it will be */
		return 0;
	(void)snprintf(what, sizeof(what), "volume '%s'", v->c.name);
	(void)snprintf(path, sizeof(path), "%s/%s.img", c->pool.b.dir, v->c.name);
	return check_file(c, what, path, v->c.size_bytes);
}

static int check_snapshot(const struct scat_snapshot *s, void *data)
{
	struct check *c = data;
	char what[2 * SNAPMGR_NAME_MAX + 24], path[SM_POOL_DIR + 40];

	if (s->c.state == SCAT_CREATING)
		return 0;
	(void)snprintf(what, sizeof(what), "snapshot '%s@%s'", s->volume_name, s->c.name);
	id_path(c, s->c.thin, "img", path, sizeof(path));
	return check_file(c, what, path, s->c.size_bytes);
}

static int check_undo(const struct scat_undo *u, void *data)
{
	struct check *c = data;
	char path[SM_POOL_DIR + 40];

	id_path(c, u->thin, "img", path, sizeof(path));
	return check_file(c, "an undo point", path, u->size_bytes);
}

/* ---- files that nothing names ---- */

struct orphans {
	uint32_t ids[256];
	size_t n;
	struct check *c;
};

static int see_id(uint32_t id, uint64_t mapped, uint64_t exclusive, void *data)
{
	struct orphans *o = data;
	int r;

	(void)mapped;
	(void)exclusive;
	if (o->n == SM_ARRAY(o->ids))
		return 0;
	r = scat_thin_named(o->c->pool.cat, id, o->c->err);
	if (r == 0)
		o->ids[o->n++] = id;
	return r < 0 ? r : 0;
}

static int check_orphans(struct check *c)
{
	struct orphans o = { .c = c };
	int r = c->pool.b.driver->ids(&c->pool.b, true, see_id, &o, c->err);

	for (size_t i = 0; i < o.n && r == 0; i++) {
		if (c->opts->repair)
			r = c->pool.b.driver->drop(&c->pool.b, o.ids[i], c->err);
		if (r == 0)
			r = find(c, c->opts->repair,
				 "id %u has a file in '%s/" SM_FILE_FOLDER
				 "', and nothing names it%s",
				 o.ids[i], c->pool.b.dir, c->opts->repair ? "; deleted" : "");
	}
	return r;
}

static int run(struct check *c)
{
	int r = scat_check(c->pool.cat, catalogue_finding, c, c->err);

	if (r == 0 && c->opts->repair)
		r = sm_garbage_drop(&c->pool, c->err);
	if (r >= 0)
		r = scat_volume_each(c->pool.cat, check_volume, c, c->err);
	if (r == 0)
		r = scat_snapshot_each(c->pool.cat, -1, check_snapshot, c, c->err);
	if (r == 0)
		r = scat_undo_each(c->pool.cat, -1, check_undo, c, c->err);
	return r == 0 ? check_orphans(c) : r;
}

int sm_folder_check(struct snapmgr *sm, const char *name, const struct snapmgr_pool_check_opts *o,
		    struct snapmgr_err *err)
{
	struct check c = { .pool = { .sm = sm, .lock = SLOCK_NONE }, .opts = o, .err = err };
	int r = sm_folder_open(sm, name, true, &c.pool, err);

	if (r == 0 && o->accept)
		r = sm_fail(
			err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			"pool '%s' has no metadata beside its catalogue: there is nothing to accept",
			name);
	if (r == 0)
		r = run(&c);
	if (r == 0 && c.left)
		r = sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN, "pool '%s' has %u problem%s", name,
			    c.left, c.left == 1 ? "" : "s");
	sm_pool_close(&c.pool);
	return r;
}
