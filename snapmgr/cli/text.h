/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * text.h - text for people: sizes, ages, times, UTF-8
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TEXT_TIME 40 /* bytes for text_time() */
#define TEXT_SIZE 24 /* bytes for text_size() and text_age() */

/* text_size() - "512B", "64.0K", "4.0G"; "-" for UINT64_MAX (not known) */
const char *text_size(uint64_t bytes, char to[TEXT_SIZE]);
/* text_age() - "5s", "12m", "3h", "2d", "4y"; never negative */
const char *text_age(int64_t us, char to[TEXT_SIZE]);
/* text_percent() - "37%"; "-" where @whole is 0 or either is not known */
const char *text_percent(uint64_t part, uint64_t whole, char to[TEXT_SIZE]);
/* text_time() - RFC 3339 in UTC with microseconds; loads no time zone */
const char *text_time(int64_t us, char to[TEXT_TIME]);

/**
 * text_since() - a moment: "2026-11-22T14:38:11Z" (with or without a fraction), "2026-11-22", or how
 * long ago: "90s", "15m", "3h", "2d"
 *
 * Return: 0 or -EINVAL (err untouched).
 */
int text_since(const char *text, int64_t now_us, int64_t *ret_us);

/* utf8_columns() - characters in @text, an invalid byte counting as one */
size_t utf8_columns(const char *text);
/* text_plain() - write @text with '?' for what might drive a terminal or is not UTF-8 */
void text_plain(FILE *to, const char *text);

/* text_colour() - whether @to is a terminal that wants colour (NO_COLOR, TERM=dumb) */
bool text_colour(FILE *to);

#endif
