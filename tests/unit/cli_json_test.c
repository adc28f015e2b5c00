/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <atf-c.h>
#include <stdlib.h>
#include <string.h>

#include "snapmgr/cli/json.h"

static char *text;
static size_t len;
static struct json j;

static void begin(void)
{
	free(text);
	text = NULL;
	j = (struct json){ .to = open_memstream(&text, &len) };
	ATF_REQUIRE(j.to != NULL);
}

static const char *written(void)
{
	ATF_REQUIRE_EQ(0, fclose(j.to));
	return text;
}

ATF_TC_WITHOUT_HEAD(commas_stand_between_members_and_elements_only);
ATF_TC_BODY(commas_stand_between_members_and_elements_only, tc)
{
	begin();
	json_object(&j);
	json_key(&j, "a");
	json_array(&j);
	json_uint(&j, 1);
	json_object(&j);
	json_end(&j);
	json_array(&j);
	json_end(&j);
	json_null(&j);
	json_end(&j);
	json_key(&j, "b");
	json_bool(&j, true);
	json_key(&j, "c");
	json_text(&j, NULL);
	json_end(&j);
	ATF_CHECK_STREQ("{\"a\":[1,{},[],null],\"b\":true,\"c\":null}\n", written());
}

ATF_TC_WITHOUT_HEAD(an_open_document_is_closed_down_to_a_depth);
ATF_TC_BODY(an_open_document_is_closed_down_to_a_depth, tc)
{
	begin();
	json_object(&j);
	json_key(&j, "list");
	json_array(&j);
	json_object(&j);
	json_key(&j, "x");
	json_uint(&j, 1);
	json_end_to(&j, 1);
	json_key(&j, "error");
	json_text(&j, "no");
	json_end_to(&j, 0);
	json_end(&j); /* there is nothing left to close */
	ATF_CHECK_STREQ("{\"list\":[{\"x\":1}],\"error\":\"no\"}\n", written());
}

static const char *quoted(const char *plain)
{
	begin();
	json_text(&j, plain);
	return written();
}

ATF_TC_WITHOUT_HEAD(text_is_escaped_as_json_wants_it);
ATF_TC_BODY(text_is_escaped_as_json_wants_it, tc)
{
	ATF_CHECK_STREQ("\"\"", quoted(""));
	ATF_CHECK_STREQ("\"a\\\"b\\\\c/\"", quoted("a\"b\\c/"));
	ATF_CHECK_STREQ("\"\\n\\r\\t\\u0001\\u001f\\u007f\"", quoted("\n\r\t\001\037\177"));
	ATF_CHECK_STREQ("\"é€😀\"", quoted("é€😀"));
}

ATF_TC_WITHOUT_HEAD(bytes_that_are_no_utf8_become_replacement_characters);
ATF_TC_BODY(bytes_that_are_no_utf8_become_replacement_characters, tc)
{
	ATF_CHECK_STREQ("\"a\\ufffdb\"", quoted("a\377b"));
	ATF_CHECK_STREQ("\"\\ufffd\"", quoted("\303"));			      /* cut short */
	ATF_CHECK_STREQ("\"\\ufffd\\ufffd\"", quoted("\300\200"));	      /* overlong */
	ATF_CHECK_STREQ("\"\\ufffd\\ufffd\\ufffd\"", quoted("\355\240\200")); /* a surrogate */
	ATF_CHECK_STREQ("\"\\ufffd\\ufffd\\ufffd\\ufffd\"", quoted("\364\220\200\200"));
	ATF_CHECK_STREQ("\"\\ufffd\\ufffdé\"", quoted("\340\237é"));
}

ATF_TC_WITHOUT_HEAD(numbers_keep_all_64_bits);
ATF_TC_BODY(numbers_keep_all_64_bits, tc)
{
	begin();
	json_array(&j);
	json_uint(&j, 0);
	json_uint(&j, UINT64_MAX);
	json_ms(&j, 7900);
	json_ms(&j, 1);
	json_end(&j);
	ATF_CHECK_STREQ("[0,18446744073709551615,7.900,0.001]\n", written());
}

ATF_TC_WITHOUT_HEAD(times_are_rfc_3339_in_utc_with_microseconds);
ATF_TC_BODY(times_are_rfc_3339_in_utc_with_microseconds, tc)
{
	begin();
	json_array(&j);
	json_time(&j, 0);
	json_time(&j, INT64_C(1795358291000123));
	json_end(&j);
	ATF_CHECK_STREQ("[\"1970-01-01T00:00:00.000000Z\",\"2026-11-22T14:38:11.000123Z\"]\n",
			written());
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, commas_stand_between_members_and_elements_only);
	ATF_TP_ADD_TC(tp, an_open_document_is_closed_down_to_a_depth);
	ATF_TP_ADD_TC(tp, text_is_escaped_as_json_wants_it);
	ATF_TP_ADD_TC(tp, bytes_that_are_no_utf8_become_replacement_characters);
	ATF_TP_ADD_TC(tp, numbers_keep_all_64_bits);
	ATF_TP_ADD_TC(tp, times_are_rfc_3339_in_utc_with_microseconds);
	return atf_no_error();
}
