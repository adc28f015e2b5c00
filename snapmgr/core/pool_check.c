/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_pool_check(): superblocks, thin metadata, catalogue, each by itself and against the others. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "snapmgr/core/core.h"
#include "snapmgr/core/folder.h"

#define MAX_ID (1u << 24)

struct check {
	struct snapmgr *sm;
	const struct snapmgr_pool_check_opts *opts;
	struct sm_members m;
	struct sm_pool pool;
	bool active, damaged;
	bool rebuilt; /* what was lost by it has been told */
	char damage[400];
	unsigned int left;	  /* problems that were not repaired */
	uint8_t *named, *present; /* a bit an id */
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

static bool bit(const uint8_t *bits, uint32_t i)
{
	return bits[i / 8] >> (i % 8) & 1;
}

static void set_bit(uint8_t *bits, uint32_t i)
{
	bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << (i % 8));
}

/* ---- superblocks ---- */

static int check_superblocks(struct check *c)
{
	bool rewrite = false;
	int r = 0;

	for (uint32_t i = 0; i < c->m.sb.n_members && r == 0; i++) {
		bool old = c->m.generations[i] != c->m.sb.generation;

		rewrite |= c->m.bad_copy[i] || old;
		if (c->m.bad_copy[i])
			r = find(c, c->opts->repair,
				 "superblock of '%s': one of its two copies is damaged%s",
				 c->m.paths[i],
				 c->opts->repair ? "; rewritten from the good one" : "");
		else if (old)
			r = find(
				c, c->opts->repair,
				"superblock of '%s': of another time than that of the first member%s",
				c->m.paths[i], c->opts->repair ? "; rewritten from that one" : "");
		c->m.bad_copy[i] &= !c->opts->repair; /* told already */
	}
	if (r == 0 && rewrite && c->opts->repair)
		r = sm_members_write(c->sm, &c->m, c->err);
	return r;
}

/* ---- catalogue against kernel ---- */

static int name_id(struct check *c, uint32_t id, const char *what)
{
	if (id >= c->pool.row.next_thin || id == 0)
		return find(c, false, "%s has id %u, which was never handed out", what, id);
	if (bit(c->named, id))
		return find(c, false, "%s has id %u, which something else has, too", what, id);
	set_bit(c->named, id);
	return 0;
}

static int name_volume(const struct scat_volume *v, void *data)
{
	struct check *c = data;
	struct sm_vdev dev;
	uint64_t sectors;
	uint32_t live;
	int r = name_id(c, v->c.thin, v->c.name);

	sm_volume_device(&c->pool, v, &dev);
	if (r == 0 && c->active && sdm_thin_live_id(dev.dm.name, &live, &sectors, NULL) == 0 &&
	    live != v->c.thin)
		r = find(c, false,
			 "volume '%s' runs on id %u, the catalogue says %u: 'snapmgr recover'",
			 v->c.name, live, v->c.thin);
	return r;
}

static int name_snapshot(const struct scat_snapshot *s, void *data)
{
	return name_id(data, s->c.thin, s->c.name);
}

static int name_undo(const struct scat_undo *u, void *data)
{
	return name_id(data, u->thin, "an undo point");
}

static int name_operation(const struct scat_operation *op, void *data)
{
	return op->thin ? name_id(data, op->thin, "an operation") : 0;
}

/* Whether the kernel has it still is all the same. */
static int name_garbage(uint32_t thin, void *data)
{
	struct check *c = data;

	if (bit(c->present, thin % MAX_ID))
		set_bit(c->named, thin % MAX_ID);
	return 0;
}

static int see_id(uint32_t id, uint64_t mapped, uint64_t exclusive, void *data)
{
	struct check *c = data;

	(void)mapped;
	(void)exclusive;
	if (id < MAX_ID)
		set_bit(c->present, id);
	return 0;
}

/* In the reserved window: made by somebody who was killed before the commit. Activation drops it. */
static bool is_reserved(const struct check *c, uint32_t id)
{
	return id >= c->pool.row.next_thin && id < c->pool.row.reserved_thin;
}

static int orphan(struct check *c, uint32_t id)
{
	const bool repair = c->opts->repair && c->active;
	int r = 0;

	if (is_reserved(c, id) && !repair)
		return 0;
	if (repair)
		r = c->pool.b.driver->drop(&c->pool.b, id, c->err);
	if (r == -EBUSY)
		return find(
			c, false,
			"id %u is in the pool and nothing names it; it is mapped by somebody: take that "
			"device down, and repair again",
			id);
	if (r < 0)
		return r;
	return find(c, repair, "id %u is in the pool and nothing names it%s", id,
		    repair	    ? "; deleted" :
		    c->opts->repair ? ": activate the pool, and repair again" :
				      "");
}

static int compare(struct check *c)
{
	int r = 0;

	if (!bit(c->present, 0) && c->opts->repair && !c->active)
		r = find(
			c, true,
			"id 0, which keeps the pool claimed, is missing; activation makes it anew");
	else if (!bit(c->present, 0))
		r = find(c, false, "id 0, which keeps the pool claimed, is missing");
	for (uint32_t id = 1; id < MAX_ID && r == 0; id++) {
		if (bit(c->present, id) && !bit(c->named, id))
			r = orphan(c, id);
		else if (!bit(c->present, id) && bit(c->named, id) && !c->rebuilt)
			r = find(c, false, "id %u is named by the catalogue and not in the pool",
				 id);
	}
	return r;
}

static int check_ids(struct check *c)
{
	int r = 0;

	if (c->opts->repair && c->active)
		r = sm_garbage_drop(&c->pool, c->err);
	if (r >= 0 && !c->pool.b.driver->ids) /* where they lie, the catalogue alone says */
		return 0;
	if (r >= 0)
		r = scat_volume_each(c->pool.cat, name_volume, c, c->err);
	if (r == 0)
		r = scat_snapshot_each(c->pool.cat, -1, name_snapshot, c, c->err);
	if (r == 0)
		r = scat_undo_each(c->pool.cat, -1, name_undo, c, c->err);
	if (r == 0)
		r = scat_operation_each(c->pool.cat, name_operation, c, c->err);
	if (r == 0)
		r = c->pool.b.driver->ids(&c->pool.b, c->active, see_id, c, c->err);
	if (r == 0)
		r = scat_garbage_each(c->pool.cat, name_garbage, c, c->err);
	return r == 0 ? compare(c) : r;
}

/* ---- both ways to it ---- */

static int catalogue_finding(const char *line, void *data)
{
	return find(data, false, "catalogue: %s", line);
}

static int metadata_finding(const char *line, bool repaired, void *data)
{
	struct check *c = data;

	c->damaged = true; /* so that it is not read for anything else */
	return find(
		data, repaired,
		"metadata: %s: 'snapmgr pool deactivate %s', then 'snapmgr pool check %s --repair'",
		line, c->pool.row.name, c->pool.row.name);
}

static int check_times(struct check *c, const struct sm_space *space)
{
	struct snapmgr_err why;

	return sm_pool_times(&c->pool, space->transaction_id, &why) < 0 ?
		       find(c, c->opts->repair && c->opts->accept && !c->active, "%s",
			    why.message) :
		       0;
}

/* The kernel runs less than the superblocks say: an extend that was killed after its commit. */
static int check_size(struct check *c, const struct sm_space *space)
{
	const bool repair = c->opts->repair;
	int r;

	if (space->data_bytes >= ssb_kind_sectors(&c->m.sb, SSB_DATA) * SM_SECTOR)
		return 0;
	r = repair ? sm_pool_grow(&c->pool, &c->m, c->err) : 0;
	return r < 0 ? r :
		       find(c, repair,
			    "the pool was extended, but does not use its new devices yet%s",
			    repair ? "; it does now" : "");
}

static int check_active(struct check *c)
{
	struct sm_space space;
	bool frozen;
	int r = scat_check(c->pool.cat, catalogue_finding, c, c->err);

	if (r == 0)
		r = sm_pool_space(&c->pool, true, &space, c->err);
	if (r < 0)
		return r;
	frozen = space.fail || space.needs_check || space.read_only;
	if (frozen) /* it takes no message, so that nobody can look into it while it runs */
		r = find(
			c, false,
			"the kernel has made the pool read-only, since its metadata needs a check: 'snapmgr pool "
			"deactivate %s', then 'snapmgr pool check %s --repair'",
			c->pool.row.name, c->pool.row.name);
	if (r == 0 && !space.fail && c->pool.b.driver->transaction)
		r = check_times(c, &space);
	if (r == 0 && !frozen)
		r = check_size(c, &space);
	if (r == 0 && !frozen && c->pool.b.driver->verify)
		r = c->pool.b.driver->verify(&c->pool.b, true, metadata_finding, c, c->err);
	return r == 0 && !frozen && !c->damaged ? check_ids(c) : r;
}

/* Good metadata that the kernel refuses since it once could not write it. */
static int absolve(struct check *c)
{
	const bool repair = c->opts->repair;
	int r = repair ? c->pool.b.driver->absolve(&c->pool.b, c->err) : 0;

	return r < 0 ? r :
		       find(c, repair, "metadata: it needed a check, and is whole%s",
			    repair ? "; the pool can be used again" :
				     ": --repair lets the pool be used again");
}

static int repair_finding(const char *line, bool repaired, void *data)
{
	return find(data, repaired, "%s", line);
}

static int see_damage(const char *line, bool repaired, void *data)
{
	struct check *c = data;

	(void)repaired;
	c->damaged = true;
	(void)sm_copy_text(c->damage, sizeof(c->damage), line);
	return 0;
}

/* Damaged metadata is not read for anything else. */
static int check_damage(struct check *c, const struct sm_layout *layout)
{
	int r = c->pool.b.driver->verify(&c->pool.b, false, see_damage, c, c->err);

	if (r < 0 || !c->damaged)
		return r;
	if (!c->opts->repair)
		return find(c, false, "metadata: %s: --repair rebuilds it in the spare region",
			    c->damage);
	r = sm_metadata_rebuild(&c->pool, &c->m, layout, c->damage, repair_finding, c, c->err);
	c->rebuilt = r == 1;
	c->damaged = !c->rebuilt;
	return r < 0 ? r : 0;
}

static int resolve(struct check *c, const struct sm_space *space)
{
	int r = c->pool.b.driver->ids(&c->pool.b, false, see_id, c, c->err);

	return r < 0 ? r :
		       sm_stale_resolve(&c->pool, c->present, space->transaction_id,
					c->opts->repair ? c->opts->accept : NULL, repair_finding, c,
					c->err);
}

static int check_inactive_metadata(struct check *c, const struct sm_layout *layout)
{
	struct sm_space space;
	bool stale;
	int r = c->pool.b.driver->peek ? check_damage(c, layout) : 1;

	if (r > 0) /* there is no other memory than the catalogue */
		return 0;
	if (r < 0 || c->damaged)
		return r;
	r = c->pool.b.driver->peek(&c->pool.b, &space, c->err);
	stale = r == 0 && c->pool.cat && sm_pool_times(&c->pool, space.transaction_id, NULL) < 0;
	if (r == 0 && c->pool.cat)
		r = check_times(c, &space);
	if (r == 0 && stale)
		return resolve(c, &space);
	if (r == 0 && space.needs_check)
		r = absolve(c);
	return r == 0 && c->pool.cat ? check_ids(c) : r;
}

static int open_inactive(struct check *c)
{
	AUTO(sm_layout_release) struct sm_layout layout = { 0 };
	struct snapmgr_err why = { .code = SNAPMGR_OK };
	int r = sm_inactive_map(&c->pool, &c->m, &layout, c->err);

	if (r < 0)
		return r;
	r = sm_inactive_catalogue(&c->pool, &why);
	if (r < 0 && why.code == SNAPMGR_DAMAGED) { /* then of the metadata what can be said */
		scat_close(c->pool.cat);
		c->pool.cat = NULL;
		r = find(c, false, "%s; 'snapmgr pool restore %s FILE' makes it anew from a dump",
			 why.message, c->m.sb.pool_name);
	} else if (r < 0 && c->err) {
		*c->err = why;
	}
	if (r == 0 && c->pool.cat)
		r = scat_check(c->pool.cat, catalogue_finding, c, c->err);
	return r == 0 ? check_inactive_metadata(c, &layout) : r;
}

/* Only catalogue and metadata are mapped for it, and unmapped again. */
static int check_inactive(struct check *c)
{
	int r = open_inactive(c);

	if (c->pool.b.driver)
		(void)sm_pool_stop(&c->pool, NULL);
	return r;
}

static int open_any(struct check *c, const char *name)
{
	struct snapmgr_err why;
	int r = sm_pool_open(c->sm, name, true, &c->pool, &why);

	c->active = r == 0;
	if (r == 0)
		return sm_members_running(&c->pool, &c->m, c->err);
	if (r == -ENODEV && why.code == SNAPMGR_BAD_STATE)
		return sm_inactive_lock(c->sm, name, &c->m, &c->pool, c->err);
	if (c->err)
		*c->err = why;
	return r;
}

static int run(struct check *c, const char *name)
{
	int r = open_any(c, name);

	if (r == 0)
		r = sm_members_complete(&c->m, c->err);
	if (r == 0)
		r = check_superblocks(c);
	if (r < 0)
		return r;
	return c->active ? check_active(c) : check_inactive(c);
}

int snapmgr_pool_check(struct snapmgr *sm, const char *name,
		       const struct snapmgr_pool_check_opts *opts, struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_pool_check_opts, o, opts);
	struct check c = {
		.sm = sm, .opts = &o, .pool = { .sm = sm, .lock = SLOCK_NONE }, .err = err
	};
	int r = sm_folder_check(sm, name, &o, err);

	if (r != -ENOENT)
		return r;
	r = sdm_init(err);
	if (o.accept && (!o.repair ||
			 (strcmp(o.accept, "metadata") != 0 && strcmp(o.accept, "catalogue") != 0)))
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "--accept takes 'metadata' or 'catalogue', and --repair with it");
	c.named = calloc(MAX_ID / 8, 1);
	c.present = calloc(MAX_ID / 8, 1);
	if (r == 0)
		r = c.named && c.present ? run(&c, name) : sm_nomem(err);
	if (r == 0 && c.left)
		r = sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN, "pool '%s' has %u problem%s", name,
			    c.left, c.left == 1 ? "" : "s");
	sm_pool_close(&c.pool);
	sm_members_release(&c.m);
	free(c.named);
	free(c.present);
	return r;
}
