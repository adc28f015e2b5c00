/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names, and "pool/vol@snap" taken apart. */
#include <atf-c.h>
#include <errno.h>
#include <string.h>

#include "base.h"

#define UUID   "01234567-89ab-cdef-0123-456789abcdef"
#define NAME64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

ATF_TC_WITHOUT_HEAD(names_of_the_allowed_characters_are_good);
ATF_TC_BODY(names_of_the_allowed_characters_are_good, tc)
{
	static const char *const good[] = { "a",     "0",	 "Z",	     "a.b_c+d-e", NAME64,
					    "a..b",  "a-",	 "undone",   "latest-1",  "undo1",
					    "later", "01234567", "1-2-3-4-5" };

	for (size_t i = 0; i < SM_ARRAY(good); i++)
		ATF_CHECK_EQ_MSG(0, sm_name_check("name", good[i], NULL), "%s", good[i]);
}

ATF_TC_WITHOUT_HEAD(a_bad_name_is_quoted_with_its_fault);
ATF_TC_BODY(a_bad_name_is_quoted_with_its_fault, tc)
{
	static const char *const bad[][2] = {
		{ "", "is empty" },
		{ NAME64 "a", "is longer than 64" },
		{ ".", "begin" },
		{ "..", "begin" },
		{ "-x", "begin" },
		{ "_x", "begin" },
		{ "+x", "begin" },
		{ "\xc3\xa4", "begin" },
		{ "a/b", "has a character" },
		{ "a@b", "has a character" },
		{ "a b", "has a character" },
		{ "a\n", "has a character" },
		{ "a\x7f", "has a character" },
		{ "Z\xc3\xbcrich", "has a character" },
		{ "a~1", "has a character" },
		{ UUID, "UUID" },
		{ "01234567-89AB-CDEF-0123-456789ABCDEF", "UUID" },
		{ "undo", "reserved" },
		{ "latest", "reserved" },
	};
	struct snapmgr_err err;

	for (size_t i = 0; i < SM_ARRAY(bad); i++) {
		ATF_CHECK_EQ_MSG(-EINVAL, sm_name_check("pool name", bad[i][0], &err), "'%s'",
				 bad[i][0]);
		ATF_CHECK_EQ(SNAPMGR_USAGE, err.code);
		ATF_CHECK_MSG(strstr(err.message, bad[i][1]), "'%s': %s", bad[i][0], err.message);
		ATF_CHECK_MSG(strncmp(err.message, "pool name '", 11) == 0, "%s", err.message);
	}
}

ATF_TC_WITHOUT_HEAD(a_message_quotes_no_control_character_and_no_page_of_text);
ATF_TC_BODY(a_message_quotes_no_control_character_and_no_page_of_text, tc)
{
	char huge[5000];
	struct snapmgr_err err;

	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	huge[3] = '\033';
	ATF_CHECK_EQ(-EINVAL, sm_name_check("name", huge, &err));
	ATF_CHECK(strlen(err.message) < 200);
	ATF_CHECK(strstr(err.message, "xxx?xxx"));
	ATF_CHECK(strstr(err.message, "..."));
	ATF_CHECK(!strchr(err.message, '\033'));
}

static void parse(const char *text, const char *pool, const char *volume, const char *snapshot)
{
	struct snapmgr_err err = { .message = "" };
	struct sm_spec spec;

	ATF_REQUIRE_EQ_MSG(0, sm_spec_parse(text, &spec, &err), "'%s': %s", text, err.message);
	ATF_CHECK_STREQ(pool, spec.pool);
	ATF_CHECK_STREQ(volume, spec.volume);
	ATF_CHECK_STREQ(snapshot, spec.snapshot);
}

ATF_TC_WITHOUT_HEAD(a_spec_is_taken_apart);
ATF_TC_BODY(a_spec_is_taken_apart, tc)
{
	parse("p", "p", "", "");
	parse("p/v", "p", "v", "");
	parse("p/v@s", "p", "v", "s");
	parse(NAME64 "/" NAME64 "@" NAME64, NAME64, NAME64, NAME64);
	parse(UUID, UUID, "", "");
	parse("p/" UUID "@" UUID, "p", UUID, UUID);
	parse("p/v@latest", "p", "v", "latest");
	parse("p/v@latest~12", "p", "v", "latest~12");
	parse("p/v@undo~1", "p", "v", "undo~1");
}

ATF_TC_WITHOUT_HEAD(what_is_no_spec_leaves_the_answer_alone);
ATF_TC_BODY(what_is_no_spec_leaves_the_answer_alone, tc)
{
	static const char *const bad[] = {
		"",
		"/",
		"@",
		"p/",
		"/v",
		"p@s",
		"p/v@",
		"p/@s",
		"p//v",
		"p/v/w",
		"p/v@s/t",
		"p@x/v",
		"p/v@s@t",
		"p/v@~1",
		"p/undo",
		"latest",
		"p/v@undo~",
		"p/v@latest~x",
		"p/v@latest~1234567",
		"p/v@undo~-1",
		"p/latest~1",
		NAME64 "a/v",
		"p/" NAME64 "a",
		"p/v@" NAME64 "a",
		"p /v",
		" p",
	};
	struct snapmgr_err err;

	for (size_t i = 0; i < SM_ARRAY(bad); i++) {
		struct sm_spec spec = { .pool = "before" };

		ATF_CHECK_EQ_MSG(-EINVAL, sm_spec_parse(bad[i], &spec, &err), "'%s'", bad[i]);
		ATF_CHECK_EQ(SNAPMGR_USAGE, err.code);
		ATF_CHECK_STREQ("before", spec.pool);
	}
}

ATF_TC_WITHOUT_HEAD(a_selector_counts_back);
ATF_TC_BODY(a_selector_counts_back, tc)
{
	uint32_t back = 77;

	ATF_CHECK(sm_selector_parse("latest", "latest", &back) && back == 0);
	ATF_CHECK(sm_selector_parse("latest~0", "latest", &back) && back == 0);
	ATF_CHECK(sm_selector_parse("undo~12", "undo", &back) && back == 12);
	ATF_CHECK(sm_selector_parse("undo~999999", "undo", &back) && back == 999999);
	back = 77;
	ATF_CHECK(!sm_selector_parse("undo", "latest", &back));
	ATF_CHECK(!sm_selector_parse("undone", "undo", &back));
	ATF_CHECK(!sm_selector_parse("undo~", "undo", &back));
	ATF_CHECK(!sm_selector_parse("undo~1x", "undo", &back));
	ATF_CHECK(!sm_selector_parse("undo~ 1", "undo", &back));
	ATF_CHECK(!sm_selector_parse("", "undo", &back));
	ATF_CHECK_EQ(77, back);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, names_of_the_allowed_characters_are_good);
	ATF_TP_ADD_TC(tp, a_bad_name_is_quoted_with_its_fault);
	ATF_TP_ADD_TC(tp, a_message_quotes_no_control_character_and_no_page_of_text);
	ATF_TP_ADD_TC(tp, a_spec_is_taken_apart);
	ATF_TP_ADD_TC(tp, what_is_no_spec_leaves_the_answer_alone);
	ATF_TP_ADD_TC(tp, a_selector_counts_back);
	return atf_no_error();
}
