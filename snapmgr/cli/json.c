/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base.h"
#include "snapmgr/cli/json.h"

#include <inttypes.h>
#include <string.h>

#include "snapmgr/cli/text.h"

static void flush(struct json *j)
{
	(void)fwrite_unlocked(j->buf, 1, j->len, j->to);
	j->len = 0;
}

static void put(struct json *j, const char *text, size_t len)
{
	if (len > sizeof(j->buf) - j->len)
		flush(j);
	if (len > sizeof(j->buf)) {
		(void)fwrite_unlocked(text, 1, len, j->to);
		return;
	}
	memcpy(j->buf + j->len, text, len);
	j->len += len;
}

static void put_char(struct json *j, char c)
{
	if (j->len == sizeof(j->buf))
		flush(j);
	j->buf[j->len++] = c;
}

/* A value is complete; a whole document goes out. */
static void end_value(struct json *j)
{
	if (!j->depth)
		flush(j);
}

static void puts_in(struct json *j, const char *text)
{
	put(j, text, strlen(text));
}

static void separate(struct json *j)
{
	if (j->comma)
		put_char(j, ',');
	j->comma = true;
}

static void open_with(struct json *j, char opening, char closing)
{
	separate(j);
	put_char(j, opening);
	if (j->depth < JSON_DEPTH)
		j->closing[j->depth++] = closing;
	j->comma = false;
}

void json_object(struct json *j)
{
	open_with(j, '{', '}');
}

void json_array(struct json *j)
{
	open_with(j, '[', ']');
}

void json_end(struct json *j)
{
	if (!j->depth)
		return;
	put_char(j, j->closing[--j->depth]);
	j->comma = j->depth > 0;
	if (!j->depth)
		put_char(j, '\n');
	end_value(j);
}

void json_end_to(struct json *j, unsigned depth)
{
	while (j->depth > depth)
		json_end(j);
}

/* What stands for an ASCII character that may not stand for itself; "" where it may. */
static const char *escape(unsigned char c, char scratch[8])
{
	switch (c) {
	case '"':
		return "\\\"";
	case '\\':
		return "\\\\";
	case '\n':
		return "\\n";
	case '\r':
		return "\\r";
	case '\t':
		return "\\t";
	}
	if (c >= 0x20 && c != 0x7f)
		return "";
	(void)snprintf(scratch, 8, "\\u%04x", c);
	return scratch;
}

/* Bytes of @text that stand for themselves, as nearly all do. */
static size_t plain_length(const char *text)
{
	static const bool plain[256] = {
		[' ' ... '!'] = true,
		['#' ... '['] = true,
		[']' ... '~'] = true,
	};
	const char *end = text;

	while (plain[(unsigned char)*end])
		end++;
	return (size_t)(end - text);
}

static void quoted(struct json *j, const char *text)
{
	const char *plain = text; /* from here on nothing was written yet */
	char scratch[8];

	put_char(j, '"');
	for (text += plain_length(text); *text; text += plain_length(text)) {
		size_t len = sm_utf8_length(text);
		const char *instead = len == 1 ? escape((unsigned char)*text, scratch) : "";

		if (!len)
			instead = "\\ufffd";
		if (*instead) {
			put(j, plain, (size_t)(text - plain));
			puts_in(j, instead);
			plain = text + 1;
		}
		text += len ? len : 1;
	}
	put(j, plain, (size_t)(text - plain));
	put_char(j, '"');
}

void json_key(struct json *j, const char *key)
{
	separate(j);
	quoted(j, key);
	put_char(j, ':');
	j->comma = false;
}

void json_text(struct json *j, const char *text)
{
	if (!text) {
		json_null(j);
		return;
	}
	separate(j);
	quoted(j, text);
	end_value(j);
}

static void word(struct json *j, const char *text)
{
	separate(j);
	puts_in(j, text);
	end_value(j);
}

void json_uint(struct json *j, uint64_t n)
{
	char text[24] = "", *digit = text + sizeof(text) - 1;

	do
		*--digit = (char)('0' + n % 10);
	while (n /= 10);
	word(j, digit);
}

void json_bool(struct json *j, bool value)
{
	word(j, value ? "true" : "false");
}

void json_null(struct json *j)
{
	word(j, "null");
}

void json_time(struct json *j, int64_t us)
{
	char text[TEXT_TIME];

	text_time(us, text);
	json_text(j, text);
}

void json_ms(struct json *j, uint64_t us)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%" PRIu64 ".%03u", us / 1000, (unsigned)(us % 1000));
	word(j, text);
}
