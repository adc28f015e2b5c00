/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A catalogue as text, and back. */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "snapmgr/catalogue/dump.h"
#include "tests/unit/catalogue_rig.h"

#define COPY "copy"

struct text {
	char *v;
	size_t len;
};

static int collect(const char *text, size_t len, void *data)
{
	struct text *t = data;

	t->v = realloc(t->v, t->len + len + 1);
	ATF_REQUIRE(t->v != NULL);
	memcpy(t->v + t->len, text, len);
	t->len += len;
	t->v[t->len] = '\0';
	return 0;
}

static struct text dump(struct scat *cat)
{
	struct text t = { 0 };

	MUST(scat_dump(cat, collect, &t, &rig_err));
	return t;
}

/* Two volumes, a tree, an undo point, a tag, a property, garbage. */
static struct text sample(void)
{
	struct scat_volume v;
	struct scat *cat;
	struct text t;

	rig_format(16 * SM_MIB);
	cat = rig_open(true);
	v = rig_volume(cat, "v");
	(void)rig_volume(cat, "w");
	(void)rig_snapshot(cat, &v, "s1");
	(void)rig_snapshot(cat, &v, "s2");
	(void)sm_copy_text(v.c.description, sizeof(v.c.description),
			   "a \"quoted\\ text\", \xc3\xa4");
	MUST(CHANGE(cat, scat_volume_update(cat, &v, &rig_err)));
	MUST(CHANGE(cat, scat_tag_set(cat, &v.c.uuid, "role", "db", &rig_err)));
	MUST(CHANGE(cat, scat_property_set(cat, "high_water", "95%", &rig_err)));
	MUST(CHANGE(cat, scat_garbage_add(cat, 4711, &rig_err)));
	t = dump(cat);
	scat_close(cat);
	return t;
}

static int restore(const struct text *t, struct snapmgr_err *err)
{
	AUTO(scat_dump_free) struct scat_dump *d = NULL;
	int r = scat_dump_parse(t->v, t->len, &d, err);

	return r == 0 ? scat_restore(COPY, d, NULL, err) : r;
}

static struct scat *open_copy(void)
{
	struct scat *cat = NULL;

	MUST(scat_open(COPY, &rig_pool.uuid, true, &cat, &rig_err));
	return cat;
}

/* Without the head, where the time is, and the pool's row, which counts checkpoints. */
static const char *tables(const struct text *t)
{
	const char *p = strstr(t->v, "\"properties\"");

	ATF_REQUIRE(p != NULL);
	return p;
}

ATF_TC_WITHOUT_HEAD(a_dump_restored_gives_the_same_dump_and_a_clean_catalogue);
ATF_TC_BODY(a_dump_restored_gives_the_same_dump_and_a_clean_catalogue, tc)
{
	struct scat_volume v;
	struct text t = sample(), again;
	struct scat *cat;

	rig_file(COPY, 8 * SM_MIB);
	MUST(restore(&t, &rig_err));
	cat = open_copy();
	ATF_CHECK_EQ(0, rig_count_findings(cat));
	MUST(scat_volume_by_name(cat, "v", &v, &rig_err));
	ATF_CHECK_STREQ("a \"quoted\\ text\", \xc3\xa4", v.c.description);
	again = dump(cat);
	ATF_CHECK_STREQ(tables(&t), tables(&again));
	(void)rig_snapshot(cat, &v, "s3"); /* it can be worked with */
	scat_close(cat);
	free(t.v);
	free(again.v);
}

ATF_TC_WITHOUT_HEAD(a_cut_dump_is_refused_wherever_it_ends);
ATF_TC_BODY(a_cut_dump_is_refused_wherever_it_ends, tc)
{
	struct text t = sample();

	for (size_t len = 0; len + 2 < t.len; len++) { /* the last byte is a newline */
		struct scat_dump *d = NULL;

		ATF_CHECK_EQ_MSG(-EUCLEAN, scat_dump_parse(t.v, len, &d, &rig_err), "%zu", len);
		ATF_CHECK_EQ(SNAPMGR_DAMAGED, rig_err.code);
	}
	free(t.v);
}

/* A changed byte is refused, or what comes of it is a whole catalogue of other words. */
ATF_TC_WITHOUT_HEAD(a_garbled_dump_is_refused_or_makes_a_catalogue_that_can_be_read);
ATF_TC_BODY(a_garbled_dump_is_refused_or_makes_a_catalogue_that_can_be_read, tc)
{
	struct text t = sample();
	size_t refused = 0;

	rig_file(COPY, 8 * SM_MIB);
	for (size_t at = 1; at < t.len; at += 1 + at % 3) {
		static const char odd[] = "0\"-]x,\n\xff";
		char old = t.v[at];
		struct snapmgr_err err = { 0 };
		struct scat *cat = NULL;

		t.v[at] = odd[at % (sizeof(odd) - 1)];
		if (restore(&t, &err) < 0) {
			ATF_CHECK_MSG(err.code == SNAPMGR_DAMAGED ||
					      err.code == SNAPMGR_NEWER_VERSION,
				      "byte %zu: %s", at, err.message);
			refused++;
		} else if (scat_open(COPY, &rig_pool.uuid, true, &cat, &err) == 0) {
			(void)rig_count_findings(cat);
		}
		scat_close(cat);
		t.v[at] = old;
	}
	ATF_CHECK_MSG(refused > t.len / 4, "only %zu of %zu", refused, t.len);
	free(t.v);
}

/* @what in the sample becomes @by; what the refusal says has @says in it. */
static void check_refused(const char *what, const char *by, enum snapmgr_code code,
			  const char *says)
{
	struct text t = sample();
	char *at = strstr(t.v, what), *all = NULL;
	struct snapmgr_err err = { 0 };
	struct text changed;

	ATF_REQUIRE_MSG(at != NULL, "no %s in %s", what, t.v);
	*at = '\0';
	ATF_REQUIRE(asprintf(&all, "%s%s%s", t.v, by, at + strlen(what)) > 0);
	changed = (struct text){ all, strlen(all) };
	rig_file(COPY, 8 * SM_MIB);
	ATF_CHECK_MSG(restore(&changed, &err) < 0, "%s was taken", by);
	ATF_CHECK_EQ_MSG(code, err.code, "%s: %s", by, err.message);
	ATF_CHECK_MSG(strstr(err.message, says), "no '%s' in: %s", says, err.message);
	free(all);
	free(t.v);
}

ATF_TC_WITHOUT_HEAD(what_no_catalogue_could_hold_is_refused_by_table_and_row);
ATF_TC_BODY(what_no_catalogue_could_hold_is_refused_by_table_and_row, tc)
{
	check_refused("\"snapmgr_dump\":1", "\"snapmgr_dump\":2", SNAPMGR_NEWER_VERSION, "newer");
	check_refused("\"schema\":1", "\"schema\":99", SNAPMGR_NEWER_VERSION, "newer");
	check_refused("\"snapmgr_dump\":1", "\"snapmgr_dump\":\"1\"", SNAPMGR_DAMAGED, "number");
	check_refused("\"volumes\":[", "\"volumen\":[", SNAPMGR_DAMAGED, "volumes");
	check_refused("\"volumes\":[", "\"volumes\":[],\"more\":[", SNAPMGR_DAMAGED, "known");
	check_refused("\"thin\":4711", "\"thin\":4711.0", SNAPMGR_DAMAGED, "thin");
	check_refused("\"thin\":4711", "\"thin\":[4711]", SNAPMGR_DAMAGED, "thin");
	check_refused("\"thin\":4711", "\"thin\":99999999999999999999", SNAPMGR_DAMAGED, "line");
	check_refused("\"thin\":4711", "\"thin\":\"x\"", SNAPMGR_DAMAGED, "garbage");
	check_refused("\"thin\":4711", "\"thin\":1,\"thin\":2", SNAPMGR_DAMAGED, "uplicate");
	check_refused("{\"thin\":4711,", "{},{\"thin\":4711,", SNAPMGR_DAMAGED,
		      "row 1 of table 'garbage'");
	check_refused("{\"thin\":4711,", "{\"thim\":4711,", SNAPMGR_DAMAGED, "garbage");
	check_refused("{\"thin\":4711,",
		      "{\"thin\":1,\"pushed_by\":null,\"undo\":null,\"volume\":null,\"uuid\":null,"
		      "\"created_at\":null,\"size\":null,\"parent\":null,\"displaced_with\":null},"
		      "{\"thin\":1,",
		      SNAPMGR_DAMAGED, "row 2");
	check_refused("\"role\"", "\"ro\\u0001le\"", SNAPMGR_DAMAGED, "tags");
	check_refused("\"role\"", "\"ro\\u0000le\"", SNAPMGR_DAMAGED, "line");
	check_refused("\"properties\":[", "\"properties\":[7,", SNAPMGR_DAMAGED, "properties");
	check_refused("\"pool\":[", "\"pool\":[],\"pool2\":[", SNAPMGR_DAMAGED, "known");
}

ATF_TC_WITHOUT_HEAD(states_of_work_that_was_under_way_are_settled);
ATF_TC_BODY(states_of_work_that_was_under_way_are_settled, tc)
{
	struct scat_volume v;
	struct text t;
	struct scat *cat;

	rig_format(16 * SM_MIB);
	cat = rig_open(true);
	v = rig_volume(cat, "v");
	v.c.state = SCAT_REVERTING;
	MUST(CHANGE(cat, scat_volume_update(cat, &v, &rig_err)));
	t = dump(cat);
	scat_close(cat);
	rig_file(COPY, 8 * SM_MIB);
	MUST(restore(&t, &rig_err));
	cat = open_copy();
	MUST(scat_volume_by_name(cat, "v", &v, &rig_err));
	ATF_CHECK_EQ(SCAT_AVAILABLE, v.c.state);
	scat_close(cat);
	free(t.v);
}

/* The header comes last: what is cut short anywhere before cannot be opened. */
ATF_TC_WITHOUT_HEAD(a_restore_that_is_cut_short_leaves_nothing_that_opens);
ATF_TC_BODY(a_restore_that_is_cut_short_leaves_nothing_that_opens, tc)
{
	struct text t = sample();
	uint64_t writes;

	rig_file(COPY, 8 * SM_MIB);
	rig_io.writes = 0;
	MUST(restore(&t, &rig_err));
	writes = rig_io.writes;
	ATF_REQUIRE(writes > 10);
	for (uint64_t n = 1; n < writes; n++) {
		struct scat *cat = NULL;
		pid_t pid = fork();

		if (pid == 0) {
			rig_io.writes = 0;
			rig_io.kill_after_writes = (int)n;
			(void)restore(&t, &rig_err);
			_exit(0);
		}
		ATF_REQUIRE(waitpid(pid, NULL, 0) == pid);
		ATF_CHECK_EQ_MSG(-EUCLEAN, scat_open(COPY, &rig_pool.uuid, true, &cat, &rig_err),
				 "after %ju of %ju writes", (uintmax_t)n, (uintmax_t)writes);
	}
	MUST(restore(&t, &rig_err));
	scat_close(open_copy());
	free(t.v);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_dump_restored_gives_the_same_dump_and_a_clean_catalogue);
	ATF_TP_ADD_TC(tp, a_cut_dump_is_refused_wherever_it_ends);
	ATF_TP_ADD_TC(tp, a_garbled_dump_is_refused_or_makes_a_catalogue_that_can_be_read);
	ATF_TP_ADD_TC(tp, what_no_catalogue_could_hold_is_refused_by_table_and_row);
	ATF_TP_ADD_TC(tp, states_of_work_that_was_under_way_are_settled);
	ATF_TP_ADD_TC(tp, a_restore_that_is_cut_short_leaves_nothing_that_opens);
	return atf_no_error();
}
