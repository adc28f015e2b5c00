/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "snapmgr/cli/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "snapmgr/cli/text.h"

static bool keep(struct table *t, const char *bytes, size_t len)
{
	if (t->room - t->len < len) {
		size_t room = (t->room ? t->room * 2 : 4096) + len;
		char *grown = realloc(t->cells, room);

		if (!grown)
			return false;
		t->cells = grown;
		t->room = room;
	}
	memcpy(t->cells + t->len, bytes, len);
	t->len += len;
	return true;
}

void table_cell(struct table *t, const char *text)
{
	size_t width = utf8_columns(text);

	if (t->at == 0 && !keep(t, "", 1))
		t->failed = true; /* room for the style */
	if (t->at >= t->columns || !keep(t, text, strlen(text) + 1))
		t->failed = true;
	else if (width > t->width[t->at])
		t->width[t->at] = width;
	t->at++;
}

void table_end_row(struct table *t, enum table_style style)
{
	while (t->at < t->columns && !t->failed)
		table_cell(t, "");
	t->at = 0;
	if (t->failed)
		return;
	t->cells[t->row] = (char)style;
	t->row = t->len;
	t->rows++;
}

/* The columns of a row that hold something: nothing is padded behind the last of them. */
static unsigned filled_columns(const struct table *t, const char *cell)
{
	unsigned filled = 0;

	for (unsigned c = 0; c < t->columns; c++) {
		if (*cell)
			filled = c + 1;
		cell += strlen(cell) + 1;
	}
	return filled;
}

static void write_cell(FILE *to, const char *text, size_t width, bool right, bool last)
{
	size_t columns = utf8_columns(text);
	int pad = (int)(width > columns ? width - columns : 0);

	if (right)
		(void)fprintf(to, "%*s", pad, "");
	text_plain(to, text);
	if (!right && !last)
		(void)fprintf(to, "%*s", pad, "");
	if (!last)
		(void)fputs("  ", to);
}

int table_write(const struct table *t, FILE *to, bool colour)
{
	static const char *const codes[] = { "", "\033[1m", "\033[2m", "\033[32m" };
	const char *p = t->cells;

	for (size_t row = 0; row < t->rows; row++) {
		const char *code = colour ? codes[(unsigned char)*p] : "";
		unsigned filled = filled_columns(t, ++p);

		(void)fputs(code, to);
		for (unsigned c = 0; c < t->columns; c++) {
			if (c < filled)
				write_cell(to, p, t->width[c], t->right >> c & 1, c + 1 == filled);
			p += strlen(p) + 1;
		}
		(void)fputs(*code ? "\033[0m\n" : "\n", to);
	}
	return t->failed ? -ENOMEM : 0;
}

void table_release(struct table *t)
{
	free(t->cells);
	*t = (struct table){ 0 };
}
