/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <atf-c.h>
#include <string.h>

#include "snapmgr/cli/args.h"

struct values {
	bool force, online, remount;
	const char *label;
	uint64_t size_bytes;
	uint32_t wait_s;
	struct arg_list tags;
};

#define AT(f) offsetof(struct values, f)

static const struct arg_opt own[] = {
	{ .name = "force", .letter = 'f', .kind = ARG_FLAG, .offset = AT(force) },
	{ .name = "online", .kind = ARG_FLAG, .offset = AT(online), .not_with = "remount" },
	{ .name = "remount", .kind = ARG_FLAG, .offset = AT(remount) },
	{ .name = "label", .kind = ARG_TEXT, .offset = AT(label), .value = "TEXT" },
	{ .name = "tag", .letter = 't', .kind = ARG_LIST, .offset = AT(tags), .value = "K=V" },
	{ .name = NULL },
};
static const struct arg_opt common[] = {
	{ .name = "size", .kind = ARG_SIZE, .offset = AT(size_bytes), .value = "SIZE" },
	{ .name = "wait", .kind = ARG_SECONDS, .offset = AT(wait_s), .value = "SECONDS" },
	{ .name = NULL },
};
static const struct arg_opt *const tables[] = { own, common, NULL };

static struct values values;
static struct args args;
static struct snapmgr_err err;
static int used;

static int parse_until(bool stop, char *const words[])
{
	int n = 0;

	while (words[n])
		n++;
	args_release(&args);
	values = (struct values){ 0 };
	args = (struct args){ .tables = tables, .values = &values };
	err = (struct snapmgr_err){ .code = SNAPMGR_OK };
	return args_parse(&args, n, words, stop, &used, &err);
}

#define PARSE(...) parse_until(false, (char *[]){ __VA_ARGS__, NULL })

static void require_usage(int r, const char *message)
{
	ATF_CHECK(r < 0);
	ATF_CHECK_EQ(SNAPMGR_USAGE, err.code);
	ATF_CHECK_STREQ(message, err.message);
}

ATF_TC_WITHOUT_HEAD(options_and_operands_may_be_mixed);
ATF_TC_BODY(options_and_operands_may_be_mixed, tc)
{
	ATF_REQUIRE_EQ(0, PARSE("p0/v", "--force", "p0/w", "--label", "x y", "-"));
	ATF_CHECK(values.force);
	ATF_CHECK_STREQ("x y", values.label);
	ATF_REQUIRE_EQ(3, args.operands.n);
	ATF_CHECK_STREQ("p0/v", args.operands.items[0]);
	ATF_CHECK_STREQ("p0/w", args.operands.items[1]);
	ATF_CHECK_STREQ("-", args.operands.items[2]);
}

ATF_TC_WITHOUT_HEAD(a_value_follows_an_equals_sign_or_is_the_next_word);
ATF_TC_BODY(a_value_follows_an_equals_sign_or_is_the_next_word, tc)
{
	ATF_REQUIRE_EQ(0, PARSE("--label=a=b", "--size", "64K"));
	ATF_CHECK_STREQ("a=b", values.label);
	ATF_CHECK_EQ(65536, values.size_bytes);
	ATF_REQUIRE_EQ(0, PARSE("--label="));
	ATF_CHECK_STREQ("", values.label);
	ATF_REQUIRE_EQ(0, PARSE("--label", "--force"));
	ATF_CHECK_STREQ("--force", values.label);
	ATF_CHECK(!values.force);
}

ATF_TC_WITHOUT_HEAD(a_double_dash_ends_the_options);
ATF_TC_BODY(a_double_dash_ends_the_options, tc)
{
	ATF_REQUIRE_EQ(0, PARSE("--", "--force", "-f", "--"));
	ATF_CHECK(!values.force);
	ATF_REQUIRE_EQ(3, args.operands.n);
	ATF_CHECK_STREQ("--force", args.operands.items[0]);
	ATF_CHECK_STREQ("--", args.operands.items[2]);
}

ATF_TC_WITHOUT_HEAD(lists_keep_every_value_in_order);
ATF_TC_BODY(lists_keep_every_value_in_order, tc)
{
	ATF_REQUIRE_EQ(0, PARSE("--tag", "a=1", "-tb=2", "-t", "c=3", "-ftd=4"));
	ATF_REQUIRE_EQ(4, values.tags.n);
	ATF_CHECK_STREQ("a=1", values.tags.items[0]);
	ATF_CHECK_STREQ("b=2", values.tags.items[1]);
	ATF_CHECK_STREQ("c=3", values.tags.items[2]);
	ATF_CHECK_STREQ("d=4", values.tags.items[3]);
	ATF_CHECK(values.force);
}

ATF_TC_WITHOUT_HEAD(the_last_of_two_equal_options_wins);
ATF_TC_BODY(the_last_of_two_equal_options_wins, tc)
{
	ATF_REQUIRE_EQ(0, PARSE("--label", "a", "--label", "b"));
	ATF_CHECK_STREQ("b", values.label);
}

ATF_TC_WITHOUT_HEAD(an_unknown_option_is_refused_with_the_nearest_one);
ATF_TC_BODY(an_unknown_option_is_refused_with_the_nearest_one, tc)
{
	require_usage(PARSE("--forse"), "unknown option '--forse'; did you mean '--force'?");
	require_usage(PARSE("--sz=1"), "unknown option '--sz'");
	require_usage(PARSE("--wiat", "1"), "unknown option '--wiat'; did you mean '--wait'?");
	require_usage(PARSE("--lable=x"), "unknown option '--lable'; did you mean '--label'?");
	require_usage(PARSE("-x"), "unknown option '-x'");
	require_usage(PARSE("-fx"), "unknown option '-fx'");
	require_usage(PARSE("--=x"), "unknown option '--'");
	require_usage(PARSE("-1"), "unknown option '-1'");
}

ATF_TC_WITHOUT_HEAD(values_are_asked_for_and_refused_where_they_do_not_belong);
ATF_TC_BODY(values_are_asked_for_and_refused_where_they_do_not_belong, tc)
{
	require_usage(PARSE("--label"), "--label needs a value: TEXT");
	require_usage(PARSE("-t"), "--tag needs a value: K=V");
	require_usage(PARSE("--force=yes"), "--force takes no value");
}

ATF_TC_WITHOUT_HEAD(seconds_are_whole_and_bounded);
ATF_TC_BODY(seconds_are_whole_and_bounded, tc)
{
	static char *const bad[] = { "",   "-1", "+1",	    "1.5",
				     "1s", " 1", "4000001", "18446744073709551616" };

	ATF_REQUIRE_EQ(0, PARSE("--wait", "0"));
	ATF_CHECK_EQ(0, values.wait_s);
	ATF_REQUIRE_EQ(0, PARSE("--wait=4000000"));
	ATF_CHECK_EQ(4000000, values.wait_s);
	for (size_t i = 0; i < SM_ARRAY(bad); i++) {
		ATF_CHECK(PARSE("--wait", bad[i]) < 0);
		ATF_CHECK_EQ(SNAPMGR_USAGE, err.code);
	}
}

ATF_TC_WITHOUT_HEAD(a_wrong_size_names_its_option);
ATF_TC_BODY(a_wrong_size_names_its_option, tc)
{
	static char *const bad[] = { "", "-1", "1.5G", "10GB", "16E", "4K x", "x" };

	for (size_t i = 0; i < SM_ARRAY(bad); i++) {
		ATF_CHECK(PARSE("--size", bad[i]) < 0);
		ATF_CHECK_EQ(SNAPMGR_USAGE, err.code);
		ATF_CHECK(strncmp(err.message, "--size: ", 8) == 0);
	}
}

ATF_TC_WITHOUT_HEAD(options_that_contradict_each_other_are_refused_in_any_order);
ATF_TC_BODY(options_that_contradict_each_other_are_refused_in_any_order, tc)
{
	require_usage(PARSE("--online", "x", "--remount"),
		      "--online and --remount exclude each other");
	require_usage(PARSE("--remount", "--online"), "--online and --remount exclude each other");
	ATF_CHECK_EQ(0, PARSE("--remount", "--remount"));
}

ATF_TC_WITHOUT_HEAD(what_comes_before_a_command_ends_at_the_first_word);
ATF_TC_BODY(what_comes_before_a_command_ends_at_the_first_word, tc)
{
	char *const words[] = { "--force", "--label", "x", "list", "--online", NULL };

	ATF_REQUIRE_EQ(0, parse_until(true, words));
	ATF_CHECK_EQ(3, used);
	ATF_CHECK(values.force && !values.online);
	ATF_CHECK_EQ(0, args.operands.n);
}

static const char *nearest(const char *word)
{
	static const char *const words[] = { "revert", "resize", "list", "set", "pool list" };
	const char *hint = NULL;
	unsigned best = ARG_FAR;

	for (size_t i = 0; i < SM_ARRAY(words); i++)
		hint = arg_nearest(word, hint, words[i], &best);
	return hint ? hint : "";
}

ATF_TC_WITHOUT_HEAD(the_nearest_word_is_a_likely_one_or_none);
ATF_TC_BODY(the_nearest_word_is_a_likely_one_or_none, tc)
{
	ATF_CHECK_STREQ("revert", nearest("rever"));
	ATF_CHECK_STREQ("revert", nearest("rvert"));
	ATF_CHECK_STREQ("list", nearest("lst"));
	ATF_CHECK_STREQ("pool list", nearest("pool lsit"));
	ATF_CHECK_STREQ("set", nearest("st"));
	ATF_CHECK_STREQ("resize", nearest("resi"));
	ATF_CHECK_STREQ("list", nearest("ilst"));
	ATF_CHECK_STREQ("resize", nearest("rezise"));
	ATF_CHECK_STREQ("", nearest("lots")); /* a short word is soon far away */
	ATF_CHECK_STREQ("", nearest("rollback"));
	ATF_CHECK_STREQ("", nearest(""));
	ATF_CHECK_STREQ("",
			nearest("a-word-that-is-longer-than-any-command-could-be-in-a-program"));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, options_and_operands_may_be_mixed);
	ATF_TP_ADD_TC(tp, a_value_follows_an_equals_sign_or_is_the_next_word);
	ATF_TP_ADD_TC(tp, a_double_dash_ends_the_options);
	ATF_TP_ADD_TC(tp, lists_keep_every_value_in_order);
	ATF_TP_ADD_TC(tp, the_last_of_two_equal_options_wins);
	ATF_TP_ADD_TC(tp, an_unknown_option_is_refused_with_the_nearest_one);
	ATF_TP_ADD_TC(tp, values_are_asked_for_and_refused_where_they_do_not_belong);
	ATF_TP_ADD_TC(tp, seconds_are_whole_and_bounded);
	ATF_TP_ADD_TC(tp, a_wrong_size_names_its_option);
	ATF_TP_ADD_TC(tp, options_that_contradict_each_other_are_refused_in_any_order);
	ATF_TP_ADD_TC(tp, what_comes_before_a_command_ends_at_the_first_word);
	ATF_TP_ADD_TC(tp, the_nearest_word_is_a_likely_one_or_none);
	return atf_no_error();
}
