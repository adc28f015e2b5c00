/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapmgr_pool_restore(): the catalogue of an inactive pool, made of a dump.
 *
 * The dump is turned into a catalogue in memory first, and checked as any catalogue is; then it is held
 * against what the pool's metadata has. Only then is anything on the disks changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include "failpoint.h"
#include "snapmgr/catalogue/dump.h"
#include "snapmgr/core/inventory.h"
#include "snapmgr/core/folder.h"

#define THIN_IDS (1u << 24)

struct restore {
	const struct snapmgr_pool_restore_opts *opts;
	struct scat_dump *dump;
	struct sm_pool pool;
	struct sm_members m;
	struct sm_layout layout;
	struct sm_space space;
	struct sm_inventory inv;
	struct scat_pool row; /* that the catalogue will have */
	uint64_t mismatches;  /* that would cost somebody something */
	char contradiction[SNAPMGR_MESSAGE_MAX];
	struct snapmgr_err *err;
};

static int find(struct restore *re, bool harmless, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int find(struct restore *re, bool harmless, const char *fmt, ...)
{
	char text[SNAPMGR_MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	re->mismatches += !harmless;
	return re->opts->report ? re->opts->report(text, false, re->opts->data) : 0;
}

/* ---- the dump by itself ---- */

static int keep_first(const char *line, void *data)
{
	struct restore *re = data;

	if (!re->contradiction[0])
		(void)sm_copy_text(re->contradiction, sizeof(re->contradiction), line);
	return 0;
}

static int look_at(struct restore *re, struct scat *cat)
{
	int r = scat_check(cat, keep_first, re, re->err);

	if (r == 0 && re->contradiction[0])
		return sm_fail(re->err, SNAPMGR_DAMAGED, EUCLEAN,
			       "the dump contradicts itself: %.600s", re->contradiction);
	if (r == 0)
		r = scat_pool_get(cat, &re->row, re->err);
	return r == 0 ? sm_inventory_names(&re->inv, cat, re->err) : r;
}

/* As large as the real region, so that what fits here fits there. */
static int try_in_memory(struct restore *re)
{
	const uint64_t bytes = ssb_kind_sectors(&re->m.sb, SSB_CATALOGUE) * SM_SECTOR;
	AUTO(scat_close) struct scat *cat = NULL;
	AUTO(sm_close_fd) int fd = memfd_create("snapmgr-restore", MFD_CLOEXEC);
	char path[40];
	int r;

	if (fd < 0 || SM_STEP("restore.size", ftruncate(fd, (off_t)bytes)) < 0)
		return sm_nomem(re->err);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = scat_restore(path, re->dump, NULL, re->err);
	if (r == 0)
		r = scat_open(path, &re->pool.b.uuid, SCAT_OWN, &cat, re->err);
	return r == 0 ? look_at(re, cat) : r;
}

static int check_pool(struct restore *re)
{
	const struct ssb *sb = &re->m.sb;
	char name[SNAPMGR_NAME_MAX + 1];
	struct sm_uuid uuid;

	scat_dump_pool(re->dump, &uuid, name);
	if (sm_uuid_equal(&uuid, &sb->pool_uuid))
		return 0;
	return sm_fail(
		re->err, SNAPMGR_USAGE, EINVAL,
		"the dump is of another pool, which was called '%s' then: its UUID is not that "
		"of pool '%s'",
		name, sb->pool_name);
}

static int check_shape(struct restore *re)
{
	const struct ssb *sb = &re->m.sb;

	if (re->row.chunk_sectors == sb->chunk_sectors && re->row.block_bytes == sb->block_bytes &&
	    strcmp(re->row.driver, sb->driver) == 0)
		return 0;
	return sm_fail(
		re->err, SNAPMGR_DAMAGED, EUCLEAN,
		"the dump contradicts the superblock of pool '%s': driver, chunk or block size",
		sb->pool_name);
}

/* ---- the dump against the metadata ---- */

static int compare_times(struct restore *re)
{
	const uint64_t known = re->row.transaction_id, kernel = re->space.transaction_id;

	if (kernel == known || kernel == re->row.next_transaction_id)
		return 0;
	return find(re, kernel > known,
		    "the dump is of transaction %" PRIu64 ", the metadata of transaction %" PRIu64
		    ": the %s is older",
		    known, kernel, kernel > known ? "dump" : "metadata");
}

static int compare_ids(struct restore *re)
{
	int r = 0;

	for (size_t i = 0; i < re->inv.n_named && r == 0; i++) {
		const struct sm_named *n = &re->inv.named[i];

		if (n->kind && !sm_inventory_present(&re->inv, n->id))
			r = find(re, false, "%s (id %u) is in the dump and not in the metadata",
				 n->what, n->id);
	}
	for (size_t i = 0; i < re->inv.n_present && r == 0; i++) {
		const struct sm_present *p = &re->inv.present[i];

		if (p->id && !sm_inventory_named(&re->inv, p->id))
			r = find(re, false,
				 "id %u (%" PRIu64
				 " bytes) is in the metadata and not in the dump: "
				 "it was made later",
				 p->id, p->mapped_bytes);
	}
	return r;
}

static int compare(struct restore *re)
{
	int r = re->pool.b.driver->peek(&re->pool.b, &re->space, re->err);

	if (r == 0)
		r = sm_inventory_ids(&re->inv, &re->pool.b, re->err);
	if (r == -EUCLEAN)
		return sm_fail(re->err, SNAPMGR_DAMAGED, EUCLEAN,
			       "the metadata of pool '%s' is damaged, too: 'snapmgr pool check %s "
			       "--repair' first",
			       re->pool.b.name, re->pool.b.name);
	if (r == 0)
		r = compare_times(re);
	if (r == 0)
		r = compare_ids(re);
	if (r < 0 || !re->mismatches || re->opts->force)
		return r;
	return sm_fail(
		re->err, SNAPMGR_STALE, ESTALE,
		"dump and metadata of pool '%s' differ in %" PRIu64
		" places: nothing was changed; --force restores what the dump has, and leaves the "
		"rest in the pool without a name",
		re->pool.b.name, re->mismatches);
}

/* ---- the change ---- */

/* Ids are never handed out twice: what the metadata has beyond the dump keeps its own. */
static void fix_row(struct restore *re)
{
	struct scat_pool *row = &re->row;
	uint32_t next = row->next_thin > row->reserved_thin ? row->next_thin : row->reserved_thin;

	if (re->inv.n_present && re->inv.present[re->inv.n_present - 1].id >= next)
		next = re->inv.present[re->inv.n_present - 1].id + 1;
	row->next_thin = row->reserved_thin = next < THIN_IDS ? next : THIN_IDS;
	row->transaction_id = row->next_transaction_id = re->space.transaction_id;
	(void)sm_copy_text(row->name, sizeof(row->name), re->m.sb.pool_name);
}

/* The one that is there may be better than the dump: it is kept where it can be read. */
static int keep_present(struct restore *re)
{
	char path[512];
	int r;

	if (sm_inactive_catalogue(&re->pool, NULL) < 0) {
		scat_close(re->pool.cat);
		re->pool.cat = NULL;
		return 0;
	}
	r = sm_backup_to(&re->pool, path, sizeof(path), re->err);
	scat_close(re->pool.cat);
	re->pool.cat = NULL;
	if (r == -EUCLEAN || (r < 0 && re->opts->force))
		return 0;
	return r == 0 ? find(re, true, "the catalogue that was there is kept in '%s'", path) : r;
}

static int change(struct restore *re)
{
	int r = keep_present(re);

	fix_row(re);
	if (r == 0)
		r = scat_restore(re->pool.node, re->dump, &re->row, re->err);
	if (r == 0)
		r = sm_inactive_catalogue(&re->pool, re->err);
	return r == 0 ? sm_inventory_mark_lost(&re->inv, re->pool.cat, re->err) : r;
}

static int run(struct restore *re, struct snapmgr *sm, const char *name)
{
	int r = sm_inactive_lock(sm, name, &re->m, &re->pool, re->err);

	if (r == 0)
		r = check_pool(re);
	if (r == 0 && strcmp(re->m.sb.driver, "thin") != 0)
		return sm_fail(
			re->err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			"a dump of a pool of driver '%s' cannot be restored: what it says of where "
			"things lie may be true no more",
			re->m.sb.driver);
	if (r == 0)
		r = sm_inactive_map(&re->pool, &re->m, &re->layout, re->err);
	if (r == 0)
		r = try_in_memory(re);
	if (r == 0)
		r = check_shape(re);
	if (r == 0)
		r = compare(re);
	return r == 0 && !re->opts->dry_run ? change(re) : r;
}

int snapmgr_pool_restore(struct snapmgr *sm, const char *name, const char *text, size_t len,
			 const struct snapmgr_pool_restore_opts *opts, struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_pool_restore_opts, o, opts);
	struct restore re = { .opts = &o, .pool.lock = SLOCK_NONE, .err = err };
	struct sm_folder folder;
	int r = sm_folder_find(sm, name, &folder, err);

	if (r != -ENOENT)
		return r < 0 ? r :
			       sm_folder_refuse(
				       &folder,
				       "its catalogue is not made anew from a dump; restore "
				       "the folder from a backup",
				       err);
	r = sdm_init(err);
	if (r == 0)
		r = scat_dump_parse(text, len, &re.dump, err);
	if (r == 0)
		r = run(&re, sm, name);
	sm_inactive_unmap(&re.pool);
	sm_members_release(&re.m);
	sm_layout_release(&re.layout);
	sm_inventory_release(&re.inv);
	scat_dump_free(re.dump);
	return r;
}
