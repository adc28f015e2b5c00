/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The choice of a revert's way, as a table: what a driver has, where things lie, sizes; and the answer. */
#include <atf-c.h>
#include <errno.h>
#include <string.h>

#include "snapmgr/core/strategy.h"

#define U SM_UNKNOWN_BYTES

static int repoint(struct sm_backend *b, const struct sm_switch_item *items, size_t n,
		   const struct sm_switch_opts *opts, sm_commit_fn *commit, void *arg,
		   struct sdm_switch **ret_settle, struct snapmgr_err *err)
{
	(void)b, (void)items, (void)n, (void)opts, (void)commit, (void)arg, (void)ret_settle;
	return sm_nomem(err);
}

static int copy(const struct sm_backend *b, uint32_t from, uint32_t id, struct snapmgr_err *err)
{
	(void)b, (void)from, (void)id;
	return sm_nomem(err);
}

static int diff(const struct sm_backend *b, const struct sm_vdev *left, const struct sm_vdev *right,
		struct sm_diff *ret, struct snapmgr_err *err)
{
	(void)b, (void)left, (void)right, (void)ret;
	return sm_nomem(err);
}

/* No filesystem of pools of this driver shares extents, and no tool for a merge is installed. */
static const char *lacks(const struct sm_backend *b, const char *strategy)
{
	(void)b;
	if (!strategy)
		return NULL;
	return strcmp(strategy, "reflink") == 0 ? "no shared extents here" :
	       strcmp(strategy, "merge") == 0	? "no tool here" :
						  NULL;
}

static const char *const all[] = { "repoint", "merge", "copy", NULL };
static const char *const files[] = { "reflink", "copy", NULL };
static const char *const slow[] = { "merge", "copy", NULL };
static const char *const one[] = { "repoint", NULL };

static const struct sm_driver thin = {
	.name = "thin", .strategies = all, .repoint = repoint, .copy = copy, .diff = diff
};
static const struct sm_driver file = {
	.name = "file", .strategies = files, .repoint = repoint, .copy = copy, .lacks = lacks
};
static const struct sm_driver merging = { .name = "merging",
					  .strategies = slow,
					  .repoint = repoint,
					  .copy = copy,
					  .diff = diff,
					  .lacks = lacks };
static const struct sm_driver blind = {
	.name = "blind", .strategies = all, .repoint = repoint, .copy = copy
};
static const struct sm_driver only_switch = { .name = "switch",
					      .strategies = one,
					      .repoint = repoint };
static const struct sm_store_driver stores;
static const char *const by_kernel[] = { "merge", NULL };
static const struct sm_driver keeping = { .name = "keeping",
					  .strategies = by_kernel,
					  .stores = &stores };
static const struct sm_driver no_revert = { .name = "clones", .strategies = all, .copy = copy };
static const struct sm_driver nothing = { .name = "nothing" };
static const struct sm_backend pool;

/* name NULL: refused, and the message has @says in it */
static const struct {
	const char *what;
	struct sm_choice choice;
	const char *name;
	uint64_t moves;
	const char *says;
} cases[] = {
	{ "the cheapest of all",
	  { &thin, NULL, SM_OWN_VOLUME, false, 9, 5, NULL, false },
	  "repoint",
	  0,
	  NULL },
	{ "another volume of the pool",
	  { &thin, NULL, SM_SAME_POOL, false, 9, 5, NULL, false },
	  "repoint",
	  0,
	  NULL },
	{ "another pool",
	  { &thin, NULL, SM_OTHER_POOL, false, 9, 5, NULL, false },
	  "copy",
	  9,
	  NULL },
	{ "several at one instant",
	  { &thin, NULL, SM_OWN_VOLUME, true, 9, 5, NULL, false },
	  "repoint",
	  0,
	  NULL },
	{ "forced to merge",
	  { &thin, NULL, SM_OWN_VOLUME, false, 9, 5, "merge", false },
	  "merge",
	  5,
	  NULL },
	{ "forced to copy",
	  { &thin, NULL, SM_OWN_VOLUME, false, 9, 5, "copy", false },
	  "copy",
	  9,
	  NULL },
	{ "a merge with another volume",
	  { &thin, NULL, SM_SAME_POOL, false, 9, 5, "merge", false },
	  NULL,
	  0,
	  "'merge' for this; open are 'repoint', 'copy'" },
	{ "a merge of several",
	  { &thin, NULL, SM_OWN_VOLUME, true, 9, 5, "merge", false },
	  NULL,
	  0,
	  "'merge' for this; open are 'repoint'" },
	{ "a switch to another pool",
	  { &thin, NULL, SM_OTHER_POOL, false, 9, 5, "repoint", false },
	  NULL,
	  0,
	  "open are 'copy'" },
	{ "what it never heard of",
	  { &thin, NULL, SM_OWN_VOLUME, false, 9, 5, "magic", false },
	  NULL,
	  0,
	  "no strategy 'magic'; open are 'repoint', 'merge', 'copy'" },
	{ "what other drivers have",
	  { &thin, NULL, SM_OWN_VOLUME, false, 9, 5, "reflink", false },
	  NULL,
	  0,
	  "no strategy 'reflink'; open" },
	{ "a clone where it is not needed",
	  { &thin, NULL, SM_OWN_VOLUME, false, 9, 5, "clone", true },
	  NULL,
	  0,
	  "no strategy 'clone'; open are 'repoint'" },
	{ "clones allowed and not needed",
	  { &thin, NULL, SM_OWN_VOLUME, false, 9, 5, NULL, true },
	  "repoint",
	  0,
	  NULL },
	{ "merging moves less",
	  { &merging, NULL, SM_OWN_VOLUME, false, 9, 5, NULL, false },
	  "merge",
	  5,
	  NULL },
	{ "copying moves less",
	  { &merging, NULL, SM_OWN_VOLUME, false, 4, 5, NULL, false },
	  "copy",
	  4,
	  NULL },
	{ "as much",
	  { &merging, NULL, SM_OWN_VOLUME, false, 5, 5, NULL, false },
	  "merge",
	  5,
	  NULL },
	{ "sizes not known",
	  { &merging, NULL, SM_OWN_VOLUME, false, U, U, NULL, false },
	  "merge",
	  U,
	  NULL },
	{ "one size not known",
	  { &merging, NULL, SM_OWN_VOLUME, false, 7, U, NULL, false },
	  "copy",
	  7,
	  NULL },
	{ "no tool for it",
	  { &merging, &pool, SM_OWN_VOLUME, false, 9, 5, NULL, false },
	  "copy",
	  9,
	  NULL },
	{ "no tool, and forced",
	  { &merging, &pool, SM_OWN_VOLUME, false, 9, 5, "merge", false },
	  NULL,
	  0,
	  "no tool here; open are 'copy'" },
	{ "a file, from another pool",
	  { &file, NULL, SM_OTHER_POOL, false, 9, U, NULL, false },
	  "copy",
	  9,
	  NULL },
	{ "another file of the pool",
	  { &file, NULL, SM_SAME_POOL, false, 9, U, NULL, false },
	  "reflink",
	  0,
	  NULL },
	{ "extents shared with another pool",
	  { &file, NULL, SM_OTHER_POOL, false, 9, U, "reflink", false },
	  NULL,
	  0,
	  "no strategy 'reflink' for this; open are 'copy'" },
	{ "a merge with another pool",
	  { &merging, NULL, SM_OTHER_POOL, false, 9, 5, "merge", false },
	  NULL,
	  0,
	  "open are 'copy'" },
	{ "from another pool, of unknown size",
	  { &thin, NULL, SM_OTHER_POOL, false, U, U, NULL, false },
	  "copy",
	  U,
	  NULL },
	{ "stores, their own volume",
	  { &keeping, NULL, SM_OWN_VOLUME, false, 9, 5, NULL, false },
	  "merge",
	  5,
	  NULL },
	{ "stores, from another volume",
	  { &keeping, NULL, SM_SAME_POOL, false, 9, 5, NULL, false },
	  NULL,
	  0,
	  "cannot revert a volume from there" },
	{ "stores, from another pool",
	  { &keeping, NULL, SM_OTHER_POOL, false, 9, 5, NULL, true },
	  NULL,
	  0,
	  "cannot revert a volume from there" },
	{ "several from another pool",
	  { &thin, NULL, SM_OTHER_POOL, true, 9, 5, NULL, false },
	  NULL,
	  0,
	  "several volumes at one instant" },
	{ "files", { &file, NULL, SM_OWN_VOLUME, false, 9, U, NULL, false }, "reflink", 0, NULL },
	{ "files where nothing is shared",
	  { &file, &pool, SM_OWN_VOLUME, false, 9, U, NULL, false },
	  "copy",
	  9,
	  NULL },
	{ "several such files",
	  { &file, &pool, SM_OWN_VOLUME, true, 9, U, NULL, true },
	  NULL,
	  0,
	  "several volumes at one instant" },
	{ "a merge without a slot for differences",
	  { &blind, NULL, SM_OWN_VOLUME, false, 9, 5, "merge", false },
	  NULL,
	  0,
	  "open are 'repoint', 'copy'" },
	{ "no more than a switch",
	  { &only_switch, NULL, SM_OTHER_POOL, false, 9, 5, NULL, true },
	  NULL,
	  0,
	  "cannot revert a volume from there" },
	{ "no way, and no clone allowed",
	  { &no_revert, NULL, SM_OWN_VOLUME, false, 9, 5, NULL, false },
	  NULL,
	  0,
	  "--allow-clone" },
	{ "no way but a clone",
	  { &no_revert, NULL, SM_OWN_VOLUME, false, 9, 5, NULL, true },
	  "clone",
	  0,
	  NULL },
	{ "a clone by name",
	  { &no_revert, NULL, SM_OWN_VOLUME, false, 9, 5, "clone", true },
	  "clone",
	  0,
	  NULL },
	{ "a clone by name, not allowed",
	  { &no_revert, NULL, SM_OWN_VOLUME, false, 9, 5, "clone", false },
	  NULL,
	  0,
	  "no strategy 'clone'" },
	{ "another way by name, clones allowed",
	  { &no_revert, NULL, SM_OWN_VOLUME, false, 9, 5, "copy", true },
	  NULL,
	  0,
	  "no strategy 'copy'" },
	{ "a clone to another pool",
	  { &no_revert, NULL, SM_OTHER_POOL, false, 9, 5, NULL, true },
	  NULL,
	  0,
	  "cannot revert a volume from there" },
	{ "clones of a group",
	  { &no_revert, NULL, SM_OWN_VOLUME, true, 9, 5, NULL, true },
	  NULL,
	  0,
	  "several volumes at one instant" },
	{ "nothing at all",
	  { &nothing, NULL, SM_OWN_VOLUME, false, 9, 5, NULL, true },
	  NULL,
	  0,
	  "cannot revert in place" },
};

ATF_TC_WITHOUT_HEAD(each_case_has_its_way);
ATF_TC_BODY(each_case_has_its_way, tc)
{
	for (size_t i = 0; i < SM_ARRAY(cases); i++) {
		struct sm_strategy s = { .name = "before" };
		struct snapmgr_err err = { .message = "" };
		int r = sm_strategy_choose(&cases[i].choice, &s, &err);

		if (!cases[i].name) {
			ATF_CHECK_EQ_MSG(-EOPNOTSUPP, r, "%s: %s", cases[i].what, s.name);
			ATF_CHECK_STREQ("before", s.name);
			ATF_CHECK_MSG(strstr(err.message, cases[i].says), "%s: '%s' is not in: %s",
				      cases[i].what, cases[i].says, err.message);
			continue;
		}
		ATF_CHECK_EQ_MSG(0, r, "%s: %s", cases[i].what, err.message);
		ATF_CHECK_MSG(strcmp(cases[i].name, s.name) == 0, "%s: %s, not %s", cases[i].what,
			      s.name, cases[i].name);
		ATF_CHECK_EQ_MSG(cases[i].moves, s.move_bytes, "%s", cases[i].what);
		ATF_CHECK_EQ(strcmp(s.name, "clone") != 0, s.in_place);
		ATF_CHECK(*s.reason);
	}
}

static void check_list(const struct sm_driver *driver, const struct sm_backend *b, const char *want)
{
	const char *names[SM_WAYS];
	char text[64] = "";

	sm_strategies(driver, b, names);
	for (size_t i = 0; names[i]; i++) {
		(void)strcat(text, names[i]);
		(void)strcat(text, " ");
	}
	ATF_CHECK_STREQ(want, text);
}

ATF_TC_WITHOUT_HEAD(a_way_is_listed_where_its_slots_are_filled_and_nothing_is_lacking);
ATF_TC_BODY(a_way_is_listed_where_its_slots_are_filled_and_nothing_is_lacking, tc)
{
	check_list(&thin, NULL, "repoint merge copy ");
	check_list(&blind, NULL, "repoint copy ");
	check_list(&file, NULL, "reflink copy ");
	check_list(&file, &pool, "copy ");
	check_list(&only_switch, NULL, "repoint ");
	check_list(&no_revert, NULL, "");
	check_list(&nothing, &pool, "");
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, each_case_has_its_way);
	ATF_TP_ADD_TC(tp, a_way_is_listed_where_its_slots_are_filled_and_nothing_is_lacking);
	return atf_no_error();
}
