/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * dump.h - a catalogue as text, and text as a catalogue
 *
 * The text is JSON (doc/CATALOGUE.md): every table but operations and messages, each row by the names
 * of its columns. What is read may come from anywhere; nothing is believed before scat_dump_parse()
 * and, for what the rows say of each other, scat_check() on what scat_restore() made of it.
 */
#ifndef SCAT_DUMP_H
#define SCAT_DUMP_H

#include "snapmgr/catalogue/catalogue.h"

#define SCAT_DUMP_VERSION   1
#define SCAT_DUMP_MAX_BYTES SM_GIB

/* Takes the text piece by piece. A non-zero answer ends the dump and is returned by it. */
typedef int scat_text_fn(const char *text, size_t len, void *data);

/* scat_dump() - all of it, of one moment; waits for nobody. */
int scat_dump(struct scat *cat, scat_text_fn *write, void *data, struct snapmgr_err *err);

struct scat_dump; /* one that was parsed */

/**
 * scat_dump_parse() - the form of it is right: a known version, each table once, each row's columns
 *
 * Return: 0; -EUCLEAN (damaged, naming line or table and row); -EPROTONOSUPPORT (newer_version).
 */
int scat_dump_parse(const char *text, size_t len, struct scat_dump **ret, struct snapmgr_err *err);
void scat_dump_free(struct scat_dump *dump); /* NULL is fine */
DEFINE_AUTO(struct scat_dump *, scat_dump_free);

void scat_dump_pool(const struct scat_dump *dump, struct sm_uuid *ret_uuid,
		    char ret_name[SNAPMGR_NAME_MAX + 1]);

/**
 * scat_restore() - format @device with what the dump says
 * @row: the pool's row that it gets; NULL: the dump's own
 *
 * A crash in between leaves a region without a header, which is damaged: what was there is gone, what
 * comes is not there yet, and it has to be done again. Objects that were in transition are available.
 * Return: 0; -EUCLEAN (a row breaks a rule of its table); -ENOSPC; -EIO; ...
 */
int scat_restore(const char *device, const struct scat_dump *dump, const struct scat_pool *row,
		 struct snapmgr_err *err);

/* ---- between dump_read.c and restore.c ---- */

enum scat_dump_kind { SCAT_DUMP_NULL, SCAT_DUMP_INT, SCAT_DUMP_TEXT };
struct scat_dump_value {
	enum scat_dump_kind kind;
	int64_t i;
	const char *text; /* the dump's */
};
size_t scat_dump_rows(const struct scat_dump *dump, const char *table);
size_t scat_dump_columns(const struct scat_dump *dump, const char *table, size_t row);
/* scat_dump_value() - false where the row has no such column. */
bool scat_dump_value(const struct scat_dump *dump, const char *table, size_t row,
		     const char *column, struct scat_dump_value *ret);

#endif
