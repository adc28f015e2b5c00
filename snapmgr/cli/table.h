/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * table.h - rows of text with aligned columns
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum table_style { TABLE_NORMAL, TABLE_BOLD, TABLE_DIM, TABLE_GREEN };

#define TABLE_COLUMNS 12

/* Rows are kept as text until the widths are known: some 60 bytes a row. */
struct table {
	unsigned columns;
	unsigned right; /* bit N: column N is aligned to the right */
	size_t width[TABLE_COLUMNS];
	size_t rows;
	char *cells; /* each row: a style, then its cells, each ending with NUL */
	size_t len, room;
	size_t row;  /* where the current row starts in @cells */
	unsigned at; /* the column that comes next */
	bool failed; /* out of memory */
};

/* table_cell() - the next cell; the row starts by itself and ends with table_end_row(). */
void table_cell(struct table *t, const char *text);
void table_end_row(struct table *t, enum table_style style);
/* table_write() - Return: 0 or -ENOMEM where a row was lost. */
int table_write(const struct table *t, FILE *to, bool colour);
void table_release(struct table *t);

#endif
