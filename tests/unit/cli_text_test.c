/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "snapmgr/cli/table.h"
#include "snapmgr/cli/text.h"

static const char *size(uint64_t bytes)
{
	static char text[TEXT_SIZE];

	return text_size(bytes, text);
}

ATF_TC_WITHOUT_HEAD(sizes_have_one_decimal_and_the_largest_unit_that_fits);
ATF_TC_BODY(sizes_have_one_decimal_and_the_largest_unit_that_fits, tc)
{
	ATF_CHECK_STREQ("0B", size(0));
	ATF_CHECK_STREQ("1023B", size(1023));
	ATF_CHECK_STREQ("1.0K", size(1024));
	ATF_CHECK_STREQ("1.5K", size(1536));
	ATF_CHECK_STREQ("64.0K", size(65536));
	ATF_CHECK_STREQ("1.0M", size(1048575));
	ATF_CHECK_STREQ("4.0G", size(UINT64_C(4) << 30));
	ATF_CHECK_STREQ("1.2G", size(1234567890 + 50000000));
	ATF_CHECK_STREQ("1.0E", size((UINT64_C(1) << 60) - 1));
	ATF_CHECK_STREQ("8.0E", size(INT64_MAX));
	ATF_CHECK_STREQ("16.0E", size(UINT64_MAX - 1));
	ATF_CHECK_STREQ("-", size(UINT64_MAX));
}

static const char *age(int64_t seconds)
{
	static char text[TEXT_SIZE];

	return text_age(seconds * 1000000, text);
}

ATF_TC_WITHOUT_HEAD(ages_are_rounded_down_to_one_unit_and_never_negative);
ATF_TC_BODY(ages_are_rounded_down_to_one_unit_and_never_negative, tc)
{
	ATF_CHECK_STREQ("0s", age(0));
	ATF_CHECK_STREQ("0s", age(-100));
	ATF_CHECK_STREQ("59s", age(59));
	ATF_CHECK_STREQ("1m", age(60));
	ATF_CHECK_STREQ("59m", age(3599));
	ATF_CHECK_STREQ("47h", age(47 * 3600 + 3599));
	ATF_CHECK_STREQ("2d", age(48 * 3600));
	ATF_CHECK_STREQ("729d", age(729 * 86400));
	ATF_CHECK_STREQ("2y", age(750 * 86400));
}

static void check_time(int64_t seconds, int64_t fraction)
{
	char ours[TEXT_TIME], theirs[64], with[80];
	struct tm tm;
	time_t t = (time_t)seconds;

	ATF_REQUIRE(gmtime_r(&t, &tm) != NULL);
	(void)strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(with, sizeof(with), "%s.%06dZ", theirs, (int)fraction);
	ATF_CHECK_STREQ(with, text_time(seconds * 1000000 + fraction, ours));
}

ATF_TC_WITHOUT_HEAD(times_agree_with_the_c_library);
ATF_TC_BODY(times_agree_with_the_c_library, tc)
{
	for (int64_t day = 0; day < 200 * 366; day += 1)
		check_time(day * 86400 + day % 86400, day);
	check_time(951782399, 999999); /* 2000-02-28 */
	check_time(951782400, 0);      /* a leap day */
	check_time(-1, 5);
	check_time(-86400 * 60, 0);
}

ATF_TC_WITHOUT_HEAD(percentages_of_nothing_are_not_known);
ATF_TC_BODY(percentages_of_nothing_are_not_known, tc)
{
	char text[TEXT_SIZE];

	ATF_CHECK_STREQ("50%", text_percent(1, 2, text));
	ATF_CHECK_STREQ("-", text_percent(1, 0, text));
	ATF_CHECK_STREQ("-", text_percent(UINT64_MAX, 2, text));
}

ATF_TC_WITHOUT_HEAD(what_could_drive_a_terminal_is_not_written_to_it);
ATF_TC_BODY(what_could_drive_a_terminal_is_not_written_to_it, tc)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	ATF_REQUIRE(to != NULL);
	text_plain(to, "a\033[31mé\302\233x\377\n€\177");
	ATF_REQUIRE_EQ(0, fclose(to));
	ATF_CHECK_STREQ("a?[31mé?x??€?", text);
	free(text);
}

/* The table, drawn. */
static char *drawn(const struct table *t, bool colour)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	ATF_REQUIRE(to != NULL);
	ATF_REQUIRE_EQ(0, table_write(t, to, colour));
	ATF_REQUIRE_EQ(0, fclose(to));
	return text;
}

ATF_TC_WITHOUT_HEAD(columns_are_aligned_by_characters_not_bytes);
ATF_TC_BODY(columns_are_aligned_by_characters_not_bytes, tc)
{
	struct table t = { .columns = 3, .right = 2 };
	char *text;

	table_cell(&t, "NAME");
	table_cell(&t, "N");
	table_cell(&t, "NOTE");
	table_end_row(&t, TABLE_BOLD);
	table_cell(&t, "é");
	table_cell(&t, "100");
	table_cell(&t, "x");
	table_end_row(&t, TABLE_NORMAL);
	table_cell(&t, "longer");
	table_cell(&t, "1");
	table_end_row(&t, TABLE_NORMAL);
	text = drawn(&t, false);
	ATF_CHECK_STREQ("NAME      N  NOTE\n"
			"é       100  x\n"
			"longer    1\n",
			text);
	free(text);
	text = drawn(&t, true);
	ATF_CHECK(strncmp(text, "\033[1mNAME      N  NOTE\033[0m\n", 24) == 0);
	free(text);
	table_release(&t);
}

ATF_TC_WITHOUT_HEAD(a_table_holds_many_rows);
ATF_TC_BODY(a_table_holds_many_rows, tc)
{
	struct table t = { .columns = 2 };
	char *text, cell[16];

	for (int i = 0; i < 20000; i++) {
		(void)snprintf(cell, sizeof(cell), "%d", i);
		table_cell(&t, cell);
		table_cell(&t, "x");
		table_end_row(&t, TABLE_NORMAL);
	}
	text = drawn(&t, false);
	ATF_CHECK_EQ(20000 * 9, strlen(text));
	ATF_CHECK_STREQ("19999  x\n", text + 19999 * 9);
	free(text);
	table_release(&t);
}

static int64_t since(const char *text)
{
	int64_t us = -1;

	return text_since(text, INT64_C(1000000000) * 1000000, &us) < 0 ? -1 : us;
}

ATF_TC_WITHOUT_HEAD(a_moment_is_a_time_a_day_or_an_age);
ATF_TC_BODY(a_moment_is_a_time_a_day_or_an_age, tc)
{
	char text[TEXT_TIME];

	ATF_CHECK_EQ(INT64_C(1763822291000000), since("2025-11-22T14:38:11Z"));
	ATF_CHECK_EQ(INT64_C(1763822291000123), since("2025-11-22T14:38:11.000123Z"));
	ATF_CHECK_EQ(INT64_C(1763822291500000), since("2025-11-22T14:38:11.5"));
	ATF_CHECK_EQ(INT64_C(1763769600000000), since("2025-11-22"));
	ATF_CHECK_EQ(INT64_C(1763822291000123), since(text_time(1763822291000123, text)));
	ATF_CHECK_EQ(INT64_C(999999910000000), since("90s"));
	ATF_CHECK_EQ(INT64_C(999999100000000), since("15m"));
	ATF_CHECK_EQ(INT64_C(999989200000000), since("3h"));
	ATF_CHECK_EQ(INT64_C(999827200000000), since("2d"));
}

ATF_TC_WITHOUT_HEAD(what_is_no_moment_is_refused);
ATF_TC_BODY(what_is_no_moment_is_refused, tc)
{
	static const char *const wrong[] = { "",
					     "now",
					     "15",
					     "m",
					     "-3h",
					     "3h ago",
					     "9999999999d",
					     "2025-13-01",
					     "2025-11-22 14:38",
					     "2025-11-22T14:38:11+01:00",
					     "2025-11-22T14:38:11.Z",
					     "2025-11-22T14:38:11.0001234Z" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		ATF_CHECK_EQ_MSG(-1, since(wrong[i]), "%s", wrong[i]);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, sizes_have_one_decimal_and_the_largest_unit_that_fits);
	ATF_TP_ADD_TC(tp, ages_are_rounded_down_to_one_unit_and_never_negative);
	ATF_TP_ADD_TC(tp, times_agree_with_the_c_library);
	ATF_TP_ADD_TC(tp, percentages_of_nothing_are_not_known);
	ATF_TP_ADD_TC(tp, what_could_drive_a_terminal_is_not_written_to_it);
	ATF_TP_ADD_TC(tp, columns_are_aligned_by_characters_not_bytes);
	ATF_TP_ADD_TC(tp, a_table_holds_many_rows);
	ATF_TP_ADD_TC(tp, a_moment_is_a_time_a_day_or_an_age);
	ATF_TP_ADD_TC(tp, what_is_no_moment_is_refused);
	return atf_no_error();
}
