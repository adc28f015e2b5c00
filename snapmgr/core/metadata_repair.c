/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Damaged metadata of an inactive pool, rebuilt in the spare region.
 *
 * Metadata and spare change places in the superblock: that write is the commit point. Before it the
 * pool is as it was, and what is in the spare counts for nothing; after it the old metadata is what
 * lies in the spare, until the next repair.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "snapmgr/core/inventory.h"

struct rebuild {
	struct sm_pool *pool;
	struct sm_members *m;
	const struct sm_layout *layout;
	struct sm_inventory before, after; /* what the ids had mapped, and have */
	bool bad;			   /* what was written is damaged, too */
	bool guessed;			   /* its roots are the newest that could be found */
	const char *damage;
	snapmgr_report_fn *report;
	void *data;
	struct snapmgr_err *err;
};

static int tell(struct rebuild *re, bool repaired, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int tell(struct rebuild *re, bool repaired, const char *fmt, ...)
{
	char text[SNAPMGR_MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return re->report(text, repaired, re->data);
}

static int still_bad(const char *finding, bool repaired, void *data)
{
	struct rebuild *re = data;

	(void)finding;
	(void)repaired;
	re->bad = true;
	return 0;
}

static int record(uint32_t id, uint64_t mapped, uint64_t exclusive, void *data)
{
	struct rebuild *re = data;

	(void)exclusive;
	return sm_inventory_add(&re->before, id, mapped);
}

/* From the damaged metadata into the spare, which is then looked at in the metadata's place. */
static int write_spare(struct rebuild *re)
{
	struct sm_backend *b = &re->pool->b;
	const uint64_t data_bytes = ssb_kind_sectors(&re->m->sb, SSB_DATA) * SM_SECTOR;
	int r = sm_region_map(b, SM_ROLE_SPARE, &re->layout->spare, re->err);

	if (r == 0)
		r = b->driver->recorded(b, record, re, re->err);
	if (r == 0)
		r = b->driver->rebuild(b, re->pool->row.transaction_id, data_bytes, re->err);
	re->guessed = r > 0;
	r = r > 0 ? 0 : r;
	if (r == 0)
		r = sm_region_unmap(b, SM_ROLE_SPARE, re->err);
	if (r == 0)
		r = sm_region_map(b, SM_ROLE_META, &re->layout->spare, re->err);
	if (r == 0)
		r = b->driver->verify(b, false, still_bad, re, re->err);
	if (r == 0 && !re->bad)
		r = sm_inventory_ids(&re->after, b, re->err);
	return r;
}

/*
 * Does anything of what the pool is for come back? Id 0 is ours. Of trees that had to be guessed all has
 * to be there: older ones would lack what was made last.
 */
static bool is_of_use(const struct rebuild *re)
{
	size_t named = 0, found = 0;

	for (size_t i = 0; i < re->before.n_named; i++) {
		const struct sm_named *n = &re->before.named[i];

		named += n->kind != 0;
		found += n->kind != 0 && sm_inventory_present(&re->after, n->id);
	}
	if (!named)
		return re->after.n_present > 0;
	return re->guessed ? found == named : found > 0;
}

static int give_up(struct rebuild *re, const char *why)
{
	struct snapmgr_err ignored;

	(void)sm_region_map(&re->pool->b, SM_ROLE_META, &re->layout->meta, &ignored);
	return tell(re, false, "metadata: %.300s; it stays as it is: %.300s", re->damage, why);
}

static int swap(struct rebuild *re)
{
	struct ssb *sb = &re->m->sb;

	for (uint32_t i = 0; i < sb->n_regions; i++) {
		if (sb->regions[i].kind == SSB_META)
			sb->regions[i].kind = SSB_SPARE;
		else if (sb->regions[i].kind == SSB_SPARE)
			sb->regions[i].kind = SSB_META;
	}
	return sm_members_write(re->pool->sm, re->m, re->err);
}

/* ---- what was lost ---- */

static int tell_one(struct rebuild *re, uint32_t id, const char *what, uint64_t before)
{
	const struct sm_present *now = sm_inventory_present(&re->after, id);

	if (!now)
		return tell(re, false, "%s (id %u) is lost", what, id);
	if (before == UINT64_MAX || now->mapped_bytes >= before)
		return 0;
	return tell(re, false,
		    "%s (id %u) lost %" PRIu64 " of %" PRIu64 " bytes, which read as zeroes now",
		    what, id, before - now->mapped_bytes, before);
}

static uint64_t recorded(const struct rebuild *re, const struct sm_named *n)
{
	const struct sm_present *p = sm_inventory_present(&re->before, n->id);

	return p ? p->mapped_bytes : n->used_bytes;
}

static int tell_losses(struct rebuild *re)
{
	char what[32];
	int r = 0;

	for (size_t i = 0; i < re->before.n_named && r == 0; i++) {
		const struct sm_named *n = &re->before.named[i];

		if (n->kind)
			r = tell_one(re, n->id, n->what, recorded(re, n));
	}
	for (size_t i = 0; i < re->before.n_present && r == 0 && !re->pool->cat; i++) {
		const struct sm_present *p = &re->before.present[i];

		(void)snprintf(what, sizeof(what), "id %u", p->id);
		r = tell_one(re, p->id, what, p->mapped_bytes);
	}
	return r;
}

/* What the catalogue names, as it will be marked. */
static int mark_losses(struct rebuild *re)
{
	struct sm_inventory both = { .named = re->before.named,
				     .n_named = re->before.n_named,
				     .present = re->after.present,
				     .n_present = re->after.n_present };

	return re->pool->cat ? sm_inventory_mark_lost(&both, re->pool->cat, re->err) : 0;
}

static int run(struct rebuild *re)
{
	struct snapmgr_err why = { .message = "" }, *err = re->err;
	int r = re->pool->cat ? sm_inventory_names(&re->before, re->pool->cat, err) : 0;

	if (r < 0)
		return r;
	re->err = &why;
	r = write_spare(re);
	re->err = err;
	if (r < 0 && why.code != SNAPMGR_DAMAGED) {
		if (err)
			*err = why;
		return r;
	}
	if (r < 0 || re->bad)
		return give_up(re, r < 0 ? why.message :
					   "what thin_repair makes of it is damaged, too");
	if (!is_of_use(re))
		return give_up(re,
			       "thin_repair does not find the pool's volumes and snapshots in it");
	r = swap(re);
	if (r == 0)
		r = mark_losses(re);
	if (r == 0)
		r = tell(
			re, true,
			"metadata: %.400s; rebuilt in the spare region, and the damaged one is kept until "
			"the next repair",
			re->damage);
	if (r == 0 && re->guessed)
		r = tell(
			re, false,
			"metadata: its superblock was lost: the newest trees that could be found may lack "
			"the last moments before that; look at what is inside before it is used");
	if (r == 0)
		r = tell_losses(re);
	return r == 0 ? 1 : r;
}

int sm_metadata_rebuild(struct sm_pool *pool, struct sm_members *m, const struct sm_layout *layout,
			const char *damage, snapmgr_report_fn *report, void *data,
			struct snapmgr_err *err)
{
	struct rebuild re = { .pool = pool,
			      .m = m,
			      .layout = layout,
			      .damage = damage,
			      .report = report,
			      .data = data,
			      .err = err };
	int r;

	if (!pool->b.driver->rebuild || !layout->spare.n)
		return tell(&re, false, "metadata: %.300s; there is no way to mend it here",
			    damage);
	r = run(&re);
	sm_inventory_release(&re.before);
	sm_inventory_release(&re.after);
	return r;
}
