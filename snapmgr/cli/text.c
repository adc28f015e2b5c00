/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base.h"
#include "snapmgr/cli/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *text_size(uint64_t bytes, char to[TEXT_SIZE])
{
	static const char units[] = "BKMGTPE";
	unsigned unit = 0;
	uint64_t tenths = bytes;

	if (bytes == UINT64_MAX)
		return strcpy(to, "-");
	if (bytes < 1024) {
		(void)snprintf(to, TEXT_SIZE, "%" PRIu64 "B", bytes);
		return to;
	}
	for (unit = 1; unit < 6 && bytes >> (10 * unit) >= 1024; unit++)
		;
	for (;; unit++) {
		uint64_t one = UINT64_C(1) << (10 * unit), rest = bytes % one;

		/* The rest is shortened first: times ten it would pass 64 bits. */
		tenths = bytes / one * 10 + ((rest >> 4) * 10 + (one >> 5)) / (one >> 4);
		if (tenths < 10240 || unit == 6)
			break;
	}
	(void)snprintf(to, TEXT_SIZE, "%" PRIu64 ".%u%c", tenths / 10, (unsigned)(tenths % 10),
		       units[unit]);
	return to;
}

const char *text_age(int64_t us, char to[TEXT_SIZE])
{
	static const struct {
		int64_t seconds, below;
		char unit;
	} steps[] = {
		{ 1, 60, 's' },
		{ 60, 3600, 'm' },
		{ 3600, 48 * 3600, 'h' },
		{ 86400, 730 * 86400LL, 'd' },
		{ 31556952, INT64_MAX, 'y' },
	};
	int64_t seconds = us > 0 ? us / 1000000 : 0;
	unsigned i = 0;

	while (seconds >= steps[i].below)
		i++;
	(void)snprintf(to, TEXT_SIZE, "%" PRId64 "%c", seconds / steps[i].seconds, steps[i].unit);
	return to;
}

const char *text_percent(uint64_t part, uint64_t whole, char to[TEXT_SIZE])
{
	if (!whole || part == UINT64_MAX || whole == UINT64_MAX)
		return strcpy(to, "-");
	(void)snprintf(to, TEXT_SIZE, "%.0f%%", 100.0 * (double)part / (double)whole);
	return to;
}

/* Days since 1970 as a date of the Gregorian calendar; years are counted from March. */
static void civil_date(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
	int64_t from_0000 = days + 719468; /* days from 0000-03-01 to 1970-01-01 */
	int64_t era = (from_0000 >= 0 ? from_0000 : from_0000 - 146096) / 146097;
	int64_t of_era = from_0000 - era * 146097;
	int64_t of_era_years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * of_era_years + of_era_years / 4 - of_era_years / 100);
	int64_t from_march = (5 * of_year + 2) / 153;

	*day = (unsigned)(of_year - (153 * from_march + 2) / 5 + 1);
	*month = (unsigned)(from_march < 10 ? from_march + 3 : from_march - 9);
	*year = of_era_years + era * 400 + (*month <= 2);
}

/* What snprintf() would take ten times as long for, and a long list has many. */
static char *put_number(char *to, unsigned n, unsigned width, char behind)
{
	for (unsigned i = width; i > 0; n /= 10)
		to[--i] = (char)('0' + n % 10);
	to[width] = behind;
	return to + width + 1;
}

const char *text_time(int64_t us, char to[TEXT_TIME])
{
	int64_t seconds = us / 1000000, fraction = us % 1000000, days, of_day, year;
	unsigned month, day;
	char *at;

	if (fraction < 0) {
		fraction += 1000000;
		seconds--;
	}
	days = seconds / 86400;
	of_day = seconds % 86400;
	if (of_day < 0) {
		of_day += 86400;
		days--;
	}
	civil_date(days, &year, &month, &day);
	if (year >= 0 && year <= 9999)
		at = put_number(to, (unsigned)year, 4, '-');
	else
		at = to + snprintf(to, TEXT_TIME, "%04d-", (int)year);
	at = put_number(at, month, 2, '-');
	at = put_number(at, day, 2, 'T');
	at = put_number(at, (unsigned)(of_day / 3600), 2, ':');
	at = put_number(at, (unsigned)(of_day / 60 % 60), 2, ':');
	at = put_number(at, (unsigned)(of_day % 60), 2, '.');
	at = put_number(at, (unsigned)fraction, 6, 'Z');
	*at = '\0';
	return to;
}

static int parse_ago(const char *text, int64_t now_us, int64_t *ret_us)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char *end;
	long long n = strtoll(text, &end, 10);

	if (*text < '0' || *text > '9' || !*end || end[1] || n > 100000000)
		return -EINVAL;
	for (size_t i = 0; i < SM_ARRAY(units); i++)
		if (units[i].unit == *end) {
			*ret_us = now_us - n * units[i].seconds * 1000000;
			return 0;
		}
	return -EINVAL;
}

/* Decimals of a second as microseconds; NULL where there are none, or more than we count. */
static const char *parse_fraction(const char *text, int64_t *ret_us)
{
	int digits = 0;

	for (*ret_us = 0; text[digits] >= '0' && text[digits] <= '9'; digits++)
		*ret_us = *ret_us * 10 + (text[digits] - '0');
	if (digits < 1 || digits > 6)
		return NULL;
	for (int i = digits; i < 6; i++)
		*ret_us *= 10;
	return text + digits;
}

int text_since(const char *text, int64_t now_us, int64_t *ret_us)
{
	struct tm tm = { 0 };
	int64_t fraction_us = 0;
	const char *end = strptime(text, "%Y-%m-%d", &tm);

	if (!end)
		return parse_ago(text, now_us, ret_us);
	if (*end == 'T')
		end = strptime(end + 1, "%H:%M:%S", &tm);
	else if (*end)
		return -EINVAL;
	if (end && *end == '.')
		end = parse_fraction(end + 1, &fraction_us);
	if (!end || (*end && strcmp(end, "Z") != 0))
		return -EINVAL;
	*ret_us = (int64_t)timegm(&tm) * 1000000 + fraction_us;
	return 0;
}

size_t utf8_columns(const char *text)
{
	size_t columns = 0;

	while (*text) {
		size_t len = sm_utf8_length(text);

		text += len ? len : 1;
		columns++;
	}
	return columns;
}

/* Control characters, U+0080 to U+009F among them, and what is not UTF-8 at all. */
static bool is_plain(const char *text, size_t len)
{
	unsigned char first = (unsigned char)text[0];

	if (len == 1)
		return first >= 0x20 && first != 0x7f;
	return len && !(len == 2 && first == 0xc2 && (unsigned char)text[1] < 0xa0);
}

void text_plain(FILE *to, const char *text)
{
	while (*text) {
		size_t len = sm_utf8_length(text);

		if (is_plain(text, len))
			(void)fwrite(text, 1, len, to);
		else
			(void)putc('?', to);
		text += len ? len : 1;
	}
}

bool text_colour(FILE *to)
{
	const char *term, *no_color;

	if (!isatty(fileno(to)))
		return false;
	no_color = getenv("NO_COLOR");
	if (no_color && *no_color)
		return false;
	term = getenv("TERM");
	return term && strcmp(term, "dumb") != 0;
}
