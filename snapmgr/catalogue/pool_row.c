/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/internal.h"

static int read_pool(struct scat *cat, sqlite3_stmt *stmt, void *ret, struct snapmgr_err *err)
{
	struct scat_row row = { .stmt = stmt };
	struct scat_pool p = { 0 };
	int r;

	scat_row_uuid(&row, &p.uuid, "UUID");
	scat_row_name(&row, p.name, "name");
	scat_row_text(&row, p.driver, sizeof(p.driver), "driver");
	p.created_at_us = scat_row_int(&row, 0, SCAT_TIME_MAX, "creation time");
	p.chunk_sectors = (uint32_t)scat_row_int(&row, 0, SM_GIB / SM_SECTOR, "chunk size");
	p.block_bytes = (uint32_t)scat_row_int(&row, 512, 4096, "block size");
	p.next_thin = (uint32_t)scat_row_int(&row, 1, SCAT_THIN_MAX + 1, "next thin id");
	p.reserved_thin = (uint32_t)scat_row_int(&row, 0, SCAT_THIN_MAX + 1, "reserved thin id");
	p.transaction_id = (uint64_t)scat_row_int(&row, 0, INT64_MAX, "transaction id");
	p.next_transaction_id = (uint64_t)scat_row_int(&row, 0, INT64_MAX, "next transaction id");
	p.quotas = (uint64_t)scat_row_int(&row, 0, INT64_MAX, "number of quotas");
	p.operations = (uint64_t)scat_row_int(&row, 0, INT64_MAX, "number of operations");
	if (!row.wrong && p.block_bytes != 512 && p.block_bytes != 4096)
		row.wrong = "block size";
	if (!row.wrong && p.next_transaction_id != p.transaction_id &&
	    p.next_transaction_id != p.transaction_id + 1)
		row.wrong = "next transaction id";
	if (!row.wrong && !sm_uuid_equal(&p.uuid, &cat->uuid))
		row.wrong = "UUID";
	r = scat_row_end(cat, &row, "pool", 1, err);
	if (r < 0)
		return r;
	memcpy(cat->subject, p.name, sizeof(p.name));
	memcpy(ret, &p, sizeof(p));
	return 0;
}

int scat_pool_get(struct scat *cat, struct scat_pool *ret, struct snapmgr_err *err)
{
	static const char sql[] =
		"SELECT uuid,name,driver,created_at,chunk_sectors,block_bytes,next_thin,"
		"reserved_thin,transaction_id,next_transaction_id,quotas,operations FROM pool WHERE id=1";
	int r = scat_get(cat, sql, NULL, read_pool, ret, err);

	return r == -ENOENT ? scat_damaged(cat, err, "it does not know its own pool") : r;
}

int scat_pool_put(struct scat *cat, const struct scat_pool *p, struct snapmgr_err *err)
{
	static const char sql[] =
		"UPDATE pool SET name=?1,driver=?2,created_at=?3,chunk_sectors=?4,block_bytes=?5,"
		"next_thin=?6,reserved_thin=?7,transaction_id=?8,next_transaction_id=?9 WHERE id=1";
	int r = sm_name_check("pool name", p->name, err);

	if (r < 0)
		return r;
	r = scat_run(cat, sql,
		     ARGS(ARG_TEXT(p->name), ARG_TEXT(p->driver), ARG_INT(p->created_at_us),
			  ARG_INT(p->chunk_sectors), ARG_INT(p->block_bytes), ARG_INT(p->next_thin),
			  ARG_INT(p->reserved_thin), ARG_INT(p->transaction_id),
			  ARG_INT(p->next_transaction_id)),
		     err);
	if (r == 0)
		return scat_damaged(cat, err, "it does not know its own pool");
	return r < 0 ? r : 0;
}
