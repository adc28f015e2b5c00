/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * json.h - write one JSON document to a stream, as it comes
 *
 * Commas and closing brackets are kept track of here. What is no valid UTF-8 is written as U+FFFD, so
 * that a document can always be read. Write errors stay in the stream (ferror).
 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH 16
#define JSON_ROOM  4096

struct json {
	FILE *to; /* gets what is whole, or no longer fits here */
	size_t len;
	char buf[JSON_ROOM];
	unsigned depth;
	bool comma;
	char closing[JSON_DEPTH];
};

void json_object(struct json *j);
void json_array(struct json *j);
void json_end(struct json *j);
/* json_end_to() - close what is open down to @depth; at depth 0 the document ends with a newline. */
void json_end_to(struct json *j, unsigned depth);

void json_key(struct json *j, const char *key);
void json_text(struct json *j, const char *text); /* NULL: null */
void json_uint(struct json *j, uint64_t n);
void json_bool(struct json *j, bool value);
void json_null(struct json *j);
/* json_time() - microseconds since 1970 as "2026-11-22T14:38:11.000123Z" */
void json_time(struct json *j, int64_t us);
/* json_ms() - microseconds as milliseconds with a fraction: 7.9 */
void json_ms(struct json *j, uint64_t us);

#endif
