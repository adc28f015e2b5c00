/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sizes, UUIDs, checksums, text, errors, and programs that are run. */
#include <atf-c.h>
#include <errno.h>
#include <string.h>

#include "base.h"

/* ---- sizes ---- */

ATF_TC_WITHOUT_HEAD(sizes_are_powers_of_1024);
ATF_TC_BODY(sizes_are_powers_of_1024, tc)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "4096B", 4096 },
		{ "007", 7 },
		{ "64K", 65536 },
		{ "64k", 65536 },
		{ "64KiB", 65536 },
		{ "64kiB", 65536 },
		{ "10G", UINT64_C(10) << 30 },
		{ "1T", UINT64_C(1) << 40 },
		{ "3PiB", UINT64_C(3) << 50 },
		{ "7E", UINT64_C(7) << 60 },
		{ "9223372036854775807", INT64_MAX },
	};
	uint64_t bytes;

	for (size_t i = 0; i < SM_ARRAY(good); i++) {
		ATF_CHECK_EQ_MSG(0, snapmgr_parse_size(good[i].text, &bytes, NULL), "%s",
				 good[i].text);
		ATF_CHECK_EQ_MSG(good[i].bytes, bytes, "%s: %ju", good[i].text, (uintmax_t)bytes);
	}
}

ATF_TC_WITHOUT_HEAD(what_is_no_size_is_refused);
ATF_TC_BODY(what_is_no_size_is_refused, tc)
{
	static const char *const bad[] = { "",	   "-1",   "+1",     "1.5G", "10KB", "10kB",
					   "10GB", "10Gi", "10GiBs", "10 G", " 10G", "10G ",
					   "G",	   "0x10", "1e3",    "ten",  "10X",  "10 ",
					   "10\n", "1K1",  "K1",     "1iB",  "1BB",  "1\xc3\xa4" };
	static const char *const large[] = { "8E",
					     "16E",
					     "16EiB",
					     "9223372036854775808",
					     "18446744073709551616",
					     "99999999999999999999999999",
					     "8388608T" };
	struct snapmgr_err err;
	uint64_t bytes = 77;

	for (size_t i = 0; i < SM_ARRAY(bad); i++) {
		ATF_CHECK_EQ_MSG(-EINVAL, snapmgr_parse_size(bad[i], &bytes, &err), "'%s'", bad[i]);
		ATF_CHECK_EQ(SNAPMGR_USAGE, err.code);
		ATF_CHECK_MSG(strstr(err.message, "is no size"), "%s", err.message);
	}
	for (size_t i = 0; i < SM_ARRAY(large); i++) {
		ATF_CHECK_EQ_MSG(-EINVAL, snapmgr_parse_size(large[i], &bytes, &err), "'%s'",
				 large[i]);
		ATF_CHECK_MSG(strstr(err.message, "too large"), "%s", err.message);
	}
	ATF_CHECK_EQ(77, bytes);
}

/* ---- UUIDs ---- */

ATF_TC_WITHOUT_HEAD(a_uuid_survives_text);
ATF_TC_BODY(a_uuid_survives_text, tc)
{
	static const char *const bad[] = {
		"",
		"01234567-89ab-cdef-0123-456789abcde",
		"01234567-89ab-cdef-0123-456789abcdef0",
		"0123456789ab-cdef-0123-456789abcdef--",
		"01234567-89ab-cdef-0123_456789abcdef",
		"01234567-89ab-cdef-0123-456789abcdeg",
		"01234567-89ab-cdef-0123-456789abcde-",
		"{1234567-89ab-cdef-0123-456789abcdef",
		"0123456\xb0-89ab-cdef-0123-456789abcdef",
	};
	char text[SNAPMGR_UUID_TEXT];
	struct sm_uuid u, again, null = { { 0 } };

	sm_uuid_make(&u);
	ATF_CHECK_EQ(0x40, u.b[6] & 0xf0); /* version 4, RFC 4122 variant */
	ATF_CHECK_EQ(0x80, u.b[8] & 0xc0);
	sm_uuid_text(&u, text);
	ATF_REQUIRE(sm_uuid_parse(text, &again));
	ATF_CHECK(sm_uuid_equal(&u, &again));
	ATF_CHECK(!sm_uuid_is_null(&u));
	ATF_CHECK(sm_uuid_is_null(&null));
	sm_uuid_make(&again);
	ATF_CHECK(!sm_uuid_equal(&u, &again));
	ATF_REQUIRE(sm_uuid_parse("FEDCBA98-7654-3210-FEDC-BA9876543210", &u));
	sm_uuid_text(&u, text);
	ATF_CHECK_STREQ("fedcba98-7654-3210-fedc-ba9876543210", text);
	for (size_t i = 0; i < SM_ARRAY(bad); i++)
		ATF_CHECK_MSG(!sm_uuid_parse(bad[i], &u), "%s", bad[i]);
}

/* ---- CRC-32C: RFC 3720, appendix B.4 ---- */

ATF_TC_WITHOUT_HEAD(crc32c_gives_the_values_of_the_rfc);
ATF_TC_BODY(crc32c_gives_the_values_of_the_rfc, tc)
{
	uint8_t data[32];

	ATF_CHECK_EQ(0, sm_crc32c(0, "", 0));
	ATF_CHECK_EQ(0xe3069283, sm_crc32c(0, "123456789", 9));
	memset(data, 0, sizeof(data));
	ATF_CHECK_EQ(0x8a9136aa, sm_crc32c(0, data, sizeof(data)));
	memset(data, 0xff, sizeof(data));
	ATF_CHECK_EQ(0x62a8ab43, sm_crc32c(0, data, sizeof(data)));
	for (uint8_t i = 0; i < sizeof(data); i++)
		data[i] = i;
	ATF_CHECK_EQ(0x46dd794e, sm_crc32c(0, data, sizeof(data)));
	for (uint8_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(31 - i);
	ATF_CHECK_EQ(0x113fdb5c, sm_crc32c(0, data, sizeof(data)));
	/* In pieces it is the same. */
	ATF_CHECK_EQ(0x113fdb5c, sm_crc32c(sm_crc32c(0, data, 5), data + 5, sizeof(data) - 5));
}

/* ---- text ---- */

ATF_TC_WITHOUT_HEAD(text_is_valid_utf8_without_control_characters);
ATF_TC_BODY(text_is_valid_utf8_without_control_characters, tc)
{
	static const char *const good[] = { "",
					    "plain ~",
					    "\xc3\xa4",
					    "\xe2\x82\xac",
					    "\xf0\x9f\x98\x80",
					    "\xf4\x8f\xbf\xbf",
					    "\xed\x9f\xbf",
					    "\xc2\xa0" };
	static const char *const bad[] = {
		"\n",
		"\x01",
		"\x7f",
		"\xc2\x80",
		"\xc2\x9f",
		"\x80",
		"\xc3",
		"\xc3(",
		"\xc0\x80",
		"\xc1\xbf",
		"\xe0\x80\x80",
		"\xe0\x9f\xbf",
		"\xed\xa0\x80",
		"\xe2\x82",
		"\xf0\x80\x80\x80",
		"\xf4\x90\x80\x80",
		"\xf8\x88\x80\x80\x80",
		"\xff",
		"a\xfe",
	};

	for (size_t i = 0; i < SM_ARRAY(good); i++)
		ATF_CHECK_MSG(sm_utf8_valid(good[i]), "%zu", i);
	for (size_t i = 0; i < SM_ARRAY(bad); i++)
		ATF_CHECK_MSG(!sm_utf8_valid(bad[i]), "%zu", i);
}

ATF_TC_WITHOUT_HEAD(a_copy_is_cut_and_says_so);
ATF_TC_BODY(a_copy_is_cut_and_says_so, tc)
{
	char to[5];

	ATF_CHECK_EQ(0, sm_copy_text(to, sizeof(to), "four"));
	ATF_CHECK_STREQ("four", to);
	ATF_CHECK_EQ(-ENAMETOOLONG, sm_copy_text(to, sizeof(to), "fives"));
	ATF_CHECK_STREQ("five", to);
	ATF_CHECK_EQ(-ENAMETOOLONG, sm_copy_text(to, 1, "x"));
	ATF_CHECK_STREQ("", to);
}

/* ---- errors ---- */

ATF_TC_WITHOUT_HEAD(each_code_has_a_name_and_an_exit_status);
ATF_TC_BODY(each_code_has_a_name_and_an_exit_status, tc)
{
	static const struct {
		enum snapmgr_code code;
		const char *name;
		int exit;
	} some[] = { { SNAPMGR_OK, "ok", 0 },
		     { SNAPMGR_DAMAGED, "damaged", 1 },
		     { SNAPMGR_USAGE, "usage", 2 },
		     { SNAPMGR_NOT_FOUND, "not_found", 3 },
		     { SNAPMGR_NOT_LATEST, "not_latest", 4 },
		     { SNAPMGR_OVER_QUOTA, "over_quota", 5 },
		     { SNAPMGR_UNSUPPORTED, "unsupported", 6 } };

	for (size_t i = 0; i < SM_ARRAY(some); i++) {
		ATF_CHECK_STREQ(some[i].name, snapmgr_code_name(some[i].code));
		ATF_CHECK_EQ(some[i].exit, snapmgr_code_exit(some[i].code));
	}
	for (unsigned int c = 1; c < SNAPMGR_CODES; c++) {
		ATF_CHECK(snapmgr_code_name((enum snapmgr_code)c));
		ATF_CHECK(snapmgr_code_exit((enum snapmgr_code)c) > 0);
	}
	ATF_CHECK_STREQ("internal", snapmgr_code_name((enum snapmgr_code)1000));
	ATF_CHECK_EQ(1, snapmgr_code_exit((enum snapmgr_code)1000));
}

ATF_TC_WITHOUT_HEAD(a_failure_is_described_once);
ATF_TC_BODY(a_failure_is_described_once, tc)
{
	struct snapmgr_err err;
	char huge[2 * SNAPMGR_MESSAGE_MAX];

	ATF_CHECK_EQ(-ENOENT, sm_fail(&err, SNAPMGR_NOT_FOUND, ENOENT, "no '%s'", "x"));
	ATF_CHECK_STREQ("no 'x'", err.message);
	ATF_CHECK_EQ(-EACCES, sm_fail(&err, SNAPMGR_PERMISSION, -EACCES, "cannot"));
	ATF_CHECK_STREQ("cannot: Permission denied", err.message);
	ATF_CHECK_EQ(EACCES, err.errnum);
	ATF_CHECK_EQ(-EIO, sm_fail(&err, SNAPMGR_INTERNAL, 0, "x"));
	ATF_CHECK_EQ(-EBUSY, sm_fail(NULL, SNAPMGR_IN_USE, EBUSY, "x"));
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	ATF_CHECK_EQ(-EIO, sm_fail(&err, SNAPMGR_IO, EIO, "%s", huge));
	ATF_CHECK_EQ(SNAPMGR_MESSAGE_MAX - 1, strlen(err.message));
}

/* ---- programs ---- */

ATF_TC_WITHOUT_HEAD(a_program_is_run_and_its_words_are_kept);
ATF_TC_BODY(a_program_is_run_and_its_words_are_kept, tc)
{
	static const char *const good[] = { "sh", "-c", "echo out; echo err >&2; cat", NULL };
	static const char *const bad[] = { "sh", "-c", "echo reason; exit 7", NULL };
	static const char *const none[] = { "/nonexistent/program", NULL };
	static const char *const killed[] = { "sh", "-c", "kill -9 $$", NULL };
	static const char *const much[] = { "sh", "-c", "yes | head -c 1000000", NULL };
	struct snapmgr_err err;
	char out[32];

	ATF_CHECK_EQ(0, sm_program_run(good, out, sizeof(out), &err));
	ATF_CHECK_STREQ("out\nerr\n", out);
	ATF_CHECK_EQ(-EUCLEAN, sm_program_run(bad, out, sizeof(out), &err));
	ATF_CHECK_EQ(SNAPMGR_DAMAGED, err.code);
	ATF_CHECK(strstr(err.message, "status 7") && strstr(err.message, "reason"));
	ATF_CHECK_EQ(-ENOENT, sm_program_run(none, out, sizeof(out), &err));
	ATF_CHECK_EQ(SNAPMGR_UNSUPPORTED, err.code);
	ATF_CHECK_EQ(-EUCLEAN, sm_program_run(killed, out, sizeof(out), &err));
	ATF_CHECK(strstr(err.message, "137"));
	ATF_CHECK_EQ(0, sm_program_run(much, out, sizeof(out), &err));
	ATF_CHECK_EQ(sizeof(out) - 1, strlen(out));
}

ATF_TC_WITHOUT_HEAD(a_folder_is_made_with_its_parents);
ATF_TC_BODY(a_folder_is_made_with_its_parents, tc)
{
	struct snapmgr_err err;
	FILE *f;

	ATF_CHECK_EQ(0, sm_mkdir_p("a/b/c", 0755, &err));
	ATF_CHECK_EQ(0, sm_mkdir_p("a/b/c", 0755, &err));
	ATF_CHECK_EQ(0, access("a/b/c", F_OK));
	f = fopen("a/file", "w");
	ATF_REQUIRE(f);
	(void)fclose(f);
	ATF_CHECK_EQ(-ENOTDIR, sm_mkdir_p("a/file/d", 0755, &err));
	ATF_CHECK_EQ(SNAPMGR_IO, err.code);
	ATF_CHECK(strstr(err.message, "a/file/d"));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, sizes_are_powers_of_1024);
	ATF_TP_ADD_TC(tp, what_is_no_size_is_refused);
	ATF_TP_ADD_TC(tp, a_uuid_survives_text);
	ATF_TP_ADD_TC(tp, crc32c_gives_the_values_of_the_rfc);
	ATF_TP_ADD_TC(tp, text_is_valid_utf8_without_control_characters);
	ATF_TP_ADD_TC(tp, a_copy_is_cut_and_says_so);
	ATF_TP_ADD_TC(tp, each_code_has_a_name_and_an_exit_status);
	ATF_TP_ADD_TC(tp, a_failure_is_described_once);
	ATF_TP_ADD_TC(tp, a_program_is_run_and_its_words_are_kept);
	ATF_TP_ADD_TC(tp, a_folder_is_made_with_its_parents);
	return atf_no_error();
}
