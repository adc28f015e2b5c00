/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <atf-c.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "snapmgr/cli/object.h"
#include "snapmgr/cli/pack.h"

static const struct snapmgr_tag tags[] = { { "role", "db" }, { "x", "" } };

static struct snapmgr_object volume(void)
{
	return (struct snapmgr_object){
		.kind = SNAPMGR_VOLUME,
		.pool = "p0",
		.name = "v",
		.uuid = "11111111-1111-4111-8111-111111111111",
		.driver = "thin",
		.state = "available",
		.label = "a \"label\"",
		.tags = tags,
		.n_tags = SM_ARRAY(tags),
		.size_bytes = 4096,
		.used_bytes = UINT64_MAX,
		.exclusive_bytes = UINT64_MAX,
		.created_at_us = 1,
		.sequence = 7,
		.active = true,
		.revert_support = true,
		.undo_keep = 3,
		.major = 253,
		.minor = 0,
		.dm_name = "snapmgr-p0-v",
		.device = "/dev/snapmgr/p0/v",
	};
}

static struct snapmgr_object snapshot(void)
{
	return (struct snapmgr_object){
		.kind = SNAPMGR_SNAPSHOT,
		.pool = "p0",
		.volume = "v",
		.name = "s1",
		.uuid = "22222222-2222-4222-8222-222222222222",
		.driver = "thin",
		.state = "available",
		.parent = "33333333-3333-4333-8333-333333333333",
		.parent_name = "v@s0",
		.snapshot_of = "11111111-1111-4111-8111-111111111111",
		.size_bytes = 4096,
		.used_bytes = 512,
		.exclusive_bytes = 256,
		.created_at_us = 2,
		.sequence = 7,
		.latest = true,
	};
}

static char *json_of(const struct snapmgr_object *o, bool space)
{
	char *text = NULL;
	size_t len;
	struct json j = { .to = open_memstream(&text, &len) };

	ATF_REQUIRE(j.to != NULL);
	object_json(&j, o, space);
	ATF_REQUIRE_EQ(0, fclose(j.to));
	return text;
}

ATF_TC_WITHOUT_HEAD(a_volume_in_json_has_every_field_and_null_for_what_does_not_apply);
ATF_TC_BODY(a_volume_in_json_has_every_field_and_null_for_what_does_not_apply, tc)
{
	struct snapmgr_object o = volume();
	char *text = json_of(&o, false);

	ATF_CHECK_STREQ(
		"{\"kind\":\"volume\",\"name\":\"v\","
		"\"uuid\":\"11111111-1111-4111-8111-111111111111\",\"pool\":\"p0\","
		"\"volume\":null,\"group\":null,\"members\":null,\"members_taken\":null,"
		"\"driver\":\"thin\",\"size\":4096,\"used\":null,"
		"\"state\":\"available\",\"created_at\":\"1970-01-01T00:00:00.000001Z\","
		"\"sequence\":7,\"parent\":null,\"parent_name\":null,\"snapshot_of\":null,"
		"\"taken_with\":null,"
		"\"latest\":null,\"hold\":null,\"active\":true,"
		"\"device\":\"/dev/snapmgr/p0/v\",\"dm_name\":\"snapmgr-p0-v\","
		"\"major\":253,\"minor\":0,\"project\":null,\"label\":\"a \\\"label\\\"\","
		"\"description\":null,\"autostart\":false,\"guest\":false,\"undo_keep\":3,"
		"\"revert_to_snapshot_support\":true,\"tags\":{\"role\":\"db\",\"x\":\"\"}}\n",
		text);
	free(text);
}

ATF_TC_WITHOUT_HEAD(a_snapshot_in_json_tells_exclusive_bytes_on_demand);
ATF_TC_BODY(a_snapshot_in_json_tells_exclusive_bytes_on_demand, tc)
{
	struct snapmgr_object o = snapshot();
	char *with = json_of(&o, true), *without = json_of(&o, false);

	ATF_CHECK(strstr(with, "\"used\":512,\"exclusive\":256,") != NULL);
	ATF_CHECK(strstr(without, "exclusive") == NULL);
	ATF_CHECK(strstr(without,
			 "\"device\":null,\"dm_name\":null,\"major\":null,\"minor\":null") != NULL);
	ATF_CHECK(strstr(without, "\"latest\":true,\"hold\":false") != NULL);
	ATF_CHECK(strstr(without, "\"undo_keep\":null") != NULL);
	free(with);
	free(without);
}

ATF_TC_WITHOUT_HEAD(names_can_be_typed_back);
ATF_TC_BODY(names_can_be_typed_back, tc)
{
	struct snapmgr_object v = volume(), s = snapshot();
	char name[OBJECT_NAME];

	ATF_CHECK_STREQ("p0/v", object_name(&v, name));
	ATF_CHECK_STREQ("p0/v@s1", object_name(&s, name));
	s.volume[0] = '\0'; /* the volume is gone: only the UUID still names it */
	ATF_CHECK_STREQ("22222222-2222-4222-8222-222222222222", object_name(&s, name));
}

static int plain(const struct snapmgr_object *o, const char *key, char **text,
		 struct snapmgr_err *err)
{
	size_t len;
	FILE *to = open_memstream(text, &len);
	int r;

	ATF_REQUIRE(to != NULL);
	r = object_property(NULL, to, o, key, err);
	ATF_REQUIRE_EQ(0, fclose(to));
	return r;
}

static void require_property(const char *key, const char *expected)
{
	struct snapmgr_object o = volume();
	char *text;

	ATF_REQUIRE_EQ(0, plain(&o, key, &text, NULL));
	ATF_CHECK_STREQ(expected, text);
	free(text);
}

ATF_TC_WITHOUT_HEAD(one_property_is_a_bare_value_for_scripts);
ATF_TC_BODY(one_property_is_a_bare_value_for_scripts, tc)
{
	require_property("size", "4096\n");
	require_property("label", "a \"label\"\n");
	require_property("guest", "off\n");
	require_property("project", "\n");
	require_property("tag:role", "db\n");
	require_property("tags", "tag:role: db\ntag:x: \n");
	require_property(NULL, "project: \nlabel: a \"label\"\ndescription: \nautostart: off\n"
			       "guest: off\nundo_keep: 3\nrevert_to_snapshot_support: on\n"
			       "tag:role: db\ntag:x: \n");
}

ATF_TC_WITHOUT_HEAD(properties_that_are_not_there_are_refused);
ATF_TC_BODY(properties_that_are_not_there_are_refused, tc)
{
	struct snapmgr_object o = volume();
	struct snapmgr_err err;
	char *text;

	ATF_CHECK_EQ(-ENOENT, plain(&o, "tag:other", &text, &err));
	ATF_CHECK_EQ(SNAPMGR_NOT_FOUND, err.code);
	ATF_CHECK_STREQ("'p0/v' has no tag 'other'", err.message);
	free(text);
	ATF_CHECK_EQ(-EINVAL, plain(&o, "lable", &text, &err));
	ATF_CHECK_EQ(SNAPMGR_USAGE, err.code);
	ATF_CHECK_STREQ("unknown property 'lable'; did you mean 'label'?", err.message);
	free(text);
}

struct compared {
	struct snapmgr_object originals[2];
	size_t n;
};

static int visit_compare(const struct snapmgr_object *o, void *data)
{
	struct compared *c = data;
	char *a = json_of(&c->originals[c->n % 2], true), *b = json_of(o, true);

	ATF_CHECK_STREQ(a, b);
	free(a);
	free(b);
	c->n++;
	return 0;
}

ATF_TC_WITHOUT_HEAD(a_packed_object_comes_back_as_it_was);
ATF_TC_BODY(a_packed_object_comes_back_as_it_was, tc)
{
	struct compared c = { .originals = { volume(), snapshot() } };
	struct pack p = { .n = 0 };

	memset(c.originals[0].description, 'd', SNAPMGR_DESC_MAX);
	for (size_t i = 0; i < 4000; i++)
		ATF_REQUIRE_EQ(0, pack_add(&p, &c.originals[i % 2]));
	ATF_CHECK_EQ(4000, p.n);
	ATF_REQUIRE_EQ(0, pack_each(&p, visit_compare, &c));
	ATF_CHECK_EQ(4000, c.n);
	pack_release(&p);
	ATF_CHECK_EQ(0, pack_each(&p, visit_compare, &c));
	ATF_CHECK_EQ(4000, c.n);
}

static int visit_stop(const struct snapmgr_object *o, void *data)
{
	(void)o;
	(void)data;
	return -EPIPE;
}

ATF_TC_WITHOUT_HEAD(a_walk_over_packed_objects_ends_when_it_is_told_to);
ATF_TC_BODY(a_walk_over_packed_objects_ends_when_it_is_told_to, tc)
{
	struct snapmgr_object o = volume();
	struct pack p = { .n = 0 };

	ATF_REQUIRE_EQ(0, pack_add(&p, &o));
	ATF_CHECK_EQ(-EPIPE, pack_each(&p, visit_stop, NULL));
	pack_release(&p);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_volume_in_json_has_every_field_and_null_for_what_does_not_apply);
	ATF_TP_ADD_TC(tp, a_snapshot_in_json_tells_exclusive_bytes_on_demand);
	ATF_TP_ADD_TC(tp, names_can_be_typed_back);
	ATF_TP_ADD_TC(tp, one_property_is_a_bare_value_for_scripts);
	ATF_TP_ADD_TC(tp, properties_that_are_not_there_are_refused);
	ATF_TP_ADD_TC(tp, a_packed_object_comes_back_as_it_was);
	ATF_TP_ADD_TC(tp, a_walk_over_packed_objects_ends_when_it_is_told_to);
	return atf_no_error();
}
