/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Damaged thin metadata, written anew into the spare by the tools of its makers. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/drivers/thin.h"

#define LISTING_BYTES (64 * SM_MIB)

/* What the tools have to be told where the superblock cannot tell them. */
struct overrides {
	char transaction[24], chunk_sectors[24], chunks[24];
};

static void fill(const struct sm_backend *b, uint64_t transaction, uint64_t data_bytes,
		 struct overrides *o)
{
	const uint64_t chunk_bytes = (uint64_t)b->chunk_sectors * SM_SECTOR;

	(void)snprintf(o->transaction, sizeof(o->transaction), "%" PRIu64, transaction);
	(void)snprintf(o->chunk_sectors, sizeof(o->chunk_sectors), "%u", b->chunk_sectors);
	(void)snprintf(o->chunks, sizeof(o->chunks), "%" PRIu64, data_bytes / chunk_bytes);
}

int thin_rebuild(const struct sm_backend *b, uint64_t transaction, uint64_t data_bytes,
		 struct snapmgr_err *err)
{
	char meta[SDM_NAME_MAX + 16], spare[SDM_NAME_MAX + 16], out[2048];
	struct overrides o;
	const char *argv[12] = { "thin_repair", "-i", meta, "-o", spare };
	size_t n = 5;
	int r = thin_node(b, SM_ROLE_META, meta, sizeof(meta), err);

	if (r == 0)
		r = thin_node(b, SM_ROLE_SPARE, spare, sizeof(spare), err);
	if (r < 0)
		return r;
	if (!thin_super_whole(meta)) { /* else its own are better than what we know */
		fill(b, transaction, data_bytes, &o);
		argv[n++] = "--transaction-id";
		argv[n++] = o.transaction;
		argv[n++] = "--data-block-size";
		argv[n++] = o.chunk_sectors;
		argv[n++] = "--nr-data-blocks";
		argv[n++] = o.chunks;
	}
	r = sm_program_run(argv, out, sizeof(out), err);
	return r == 0 ? n > 5 : r;
}

int thin_recorded(const struct sm_backend *b, sm_id_fn *visit, void *data, struct snapmgr_err *err)
{
	const uint64_t chunk_bytes = (uint64_t)b->chunk_sectors * SM_SECTOR;
	char meta[SDM_NAME_MAX + 16];
	const char *const argv[] = { "thin_dump", "--repair", "--skip-mappings", meta, NULL };
	AUTO(free) char *out = malloc(LISTING_BYTES);
	uint64_t mapped;
	uint32_t id;
	int r = out ? thin_node(b, SM_ROLE_META, meta, sizeof(meta), err) : sm_nomem(err);

	if (r == 0 && sm_program_run(argv, out, LISTING_BYTES, NULL) < 0)
		return 0; /* it cannot tell */
	for (const char *p = out; r == 0 && (p = strstr(p, "<device ")); p++) {
		if (sscanf(p, "<device dev_id=\"%" SCNu32 "\" mapped_blocks=\"%" SCNu64, &id,
			   &mapped) == 2)
			r = visit(id, mapped * chunk_bytes, 0, data);
	}
	return r;
}
