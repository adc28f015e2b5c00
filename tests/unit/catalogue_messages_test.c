/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages in the catalogue: a bounded queue. */
#include "tests/unit/catalogue_rig.h"

#include <errno.h>
#include <string.h>

static struct scat *fresh(uint64_t bytes)
{
	rig_format(bytes);
	return rig_open(true);
}

static struct scat_message message(const char *text)
{
	struct scat_message m = { .created_at_us = 1000000,
				  .level = "info",
				  .verb = "revert",
				  .kind = "volume",
				  .project = "p" };

	sm_uuid_make(&m.object);
	(void)sm_copy_text(m.text, sizeof(m.text), text);
	return m;
}

struct seen {
	size_t n;
	int64_t first, last;
	struct scat_message newest;
};

static int see(const struct scat_message *m, void *data)
{
	struct seen *s = data;

	if (!s->n++)
		s->first = m->id;
	s->last = m->id;
	s->newest = *m;
	return 0;
}

static void insert_many(struct scat *cat, size_t n)
{
	struct scat_message m = message("again");

	rig_begin(cat);
	for (size_t i = 0; i < n; i++)
		MUST(scat_message_insert(cat, &m, &rig_err));
	MUST(rig_end(cat, 0));
}

ATF_TC_WITHOUT_HEAD(a_message_is_read_as_it_was_written);
ATF_TC_BODY(a_message_is_read_as_it_was_written, tc)
{
	AUTO(scat_close) struct scat *cat = fresh(16 * SM_MIB);
	struct scat_message m = message("volume 'p0/v' is now s1");
	struct seen seen = { 0 };

	(void)strcpy(m.code, "in_use");
	sm_uuid_make(&m.operation);
	MUST(CHANGE(cat, scat_message_insert(cat, &m, &rig_err)));
	MUST(scat_message_each(cat, false, see, &seen, &rig_err));
	ATF_CHECK_EQ(1, seen.n);
	ATF_CHECK_EQ(0, memcmp(&m, &seen.newest, sizeof(m)));
}

ATF_TC_WITHOUT_HEAD(what_a_message_does_not_have_is_empty);
ATF_TC_BODY(what_a_message_does_not_have_is_empty, tc)
{
	AUTO(scat_close) struct scat *cat = fresh(16 * SM_MIB);
	struct scat_message m = { .level = "error", .text = "alone" };
	struct seen seen = { 0 };

	MUST(CHANGE(cat, scat_message_insert(cat, &m, &rig_err)));
	MUST(scat_message_each(cat, false, see, &seen, &rig_err));
	ATF_CHECK(sm_uuid_is_null(&seen.newest.object));
	ATF_CHECK(sm_uuid_is_null(&seen.newest.operation));
	ATF_CHECK_STREQ("", seen.newest.code);
}

ATF_TC_WITHOUT_HEAD(messages_come_in_either_order);
ATF_TC_BODY(messages_come_in_either_order, tc)
{
	AUTO(scat_close) struct scat *cat = fresh(16 * SM_MIB);
	struct seen up = { 0 }, down = { 0 };

	insert_many(cat, 3);
	MUST(scat_message_each(cat, false, see, &up, &rig_err));
	MUST(scat_message_each(cat, true, see, &down, &rig_err));
	ATF_CHECK_EQ(1, up.first);
	ATF_CHECK_EQ(3, up.last);
	ATF_CHECK_EQ(3, down.first);
	ATF_CHECK_EQ(1, down.last);
}

ATF_TC_WITHOUT_HEAD(a_bounded_number_of_messages_is_kept_the_newest);
ATF_TC_BODY(a_bounded_number_of_messages_is_kept_the_newest, tc)
{
	AUTO(scat_close) struct scat *cat = fresh(16 * SM_MIB);

	for (int round = 0; round < 5; round++) {
		const int64_t total = (round + 1) * 777;
		struct seen seen = { 0 };

		insert_many(cat, 777);
		MUST(scat_message_each(cat, false, see, &seen, &rig_err));
		ATF_CHECK_EQ(total, seen.last);
		ATF_CHECK(seen.n <= SCAT_MESSAGES + SCAT_MESSAGES_UPKEEP);
		ATF_CHECK(total < SCAT_MESSAGES ? seen.n == (size_t)total :
						  seen.n >= SCAT_MESSAGES);
	}
}

/* Pages in the log of one durable commit that changes a volume and leaves @n messages. */
static uint32_t pages_of_change(struct scat *cat, struct scat_volume *v, int n)
{
	const uint32_t frames = scat_wal_frames(cat);
	const uint64_t syncs = scat_syncs(cat);
	struct scat_message m = message("short");

	rig_begin(cat);
	v->sequence++;
	MUST(scat_volume_update(cat, v, &rig_err));
	for (int i = 0; i < n; i++)
		MUST(scat_message_insert(cat, &m, &rig_err));
	MUST(scat_commit(cat, true, &rig_err));
	ATF_CHECK_EQ(1, scat_syncs(cat) - syncs);
	return scat_wal_frames(cat) - frames;
}

ATF_TC_WITHOUT_HEAD(a_message_costs_one_page_of_the_commit_it_is_in);
ATF_TC_BODY(a_message_costs_one_page_of_the_commit_it_is_in, tc)
{
	AUTO(scat_close) struct scat *cat = fresh(16 * SM_MIB);
	struct scat_volume v = rig_volume(cat, "v");

	insert_many(cat, 1200);
	ATF_CHECK_EQ(1, pages_of_change(cat, &v, 1) - pages_of_change(cat, &v, 0));
}

ATF_TC_WITHOUT_HEAD(messages_leave_a_full_catalogue_room_to_be_emptied);
ATF_TC_BODY(messages_leave_a_full_catalogue_room_to_be_emptied, tc)
{
	AUTO(scat_close) struct scat *cat = fresh(SCAT_MIN_BYTES);
	struct scat_message m = message("");
	struct seen seen = { 0 };
	uint64_t before;

	while (scat_check_room(cat, NULL) == 0) {
		rig_begin(cat);
		rig_sql(cat,
			"INSERT INTO properties VALUES(hex(randomblob(16)),hex(zeroblob(1500)))");
		MUST(rig_end(cat, 0));
	}
	before = scat_used_bytes(cat);
	memset(m.text, 'y', sizeof(m.text) - 1);
	for (int i = 0; i < 1000; i++)
		MUST(CHANGE(cat, scat_message_insert(cat, &m, &rig_err)));
	ATF_CHECK_MSG(scat_used_bytes(cat) - before < 40 * 4096, "%llu bytes more",
		      (unsigned long long)(scat_used_bytes(cat) - before));
	MUST(scat_message_each(cat, false, see, &seen, &rig_err));
	ATF_CHECK_EQ(1000, seen.last);
}

ATF_TC_WITHOUT_HEAD(an_impossible_message_is_damage);
ATF_TC_BODY(an_impossible_message_is_damage, tc)
{
	static const char *const wrong[] = {
		"level='shout'", "object=x'00'",  "operation=zeroblob(16)",
		"created_at=-1", "text=char(10)", "verb='a verb that is longer than any there is'",
	};
	AUTO(scat_close) struct scat *cat = fresh(16 * SM_MIB);
	struct scat_message m = message("fine");
	struct seen seen = { 0 };
	char sql[160];

	for (size_t i = 0; i < SM_ARRAY(wrong); i++) {
		rig_sql(cat, "DELETE FROM messages");
		MUST(CHANGE(cat, scat_message_insert(cat, &m, &rig_err)));
		(void)snprintf(sql, sizeof(sql), "UPDATE messages SET %s", wrong[i]);
		rig_sql(cat, sql);
		ATF_CHECK_EQ_MSG(-EUCLEAN, scat_message_each(cat, false, see, &seen, &rig_err),
				 "%s", wrong[i]);
		ATF_CHECK_EQ(SNAPMGR_DAMAGED, rig_err.code);
	}
	(void)strcpy(m.level, "loud");
	ATF_CHECK_EQ(-EINVAL, CHANGE(cat, scat_message_insert(cat, &m, &rig_err)));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_message_is_read_as_it_was_written);
	ATF_TP_ADD_TC(tp, what_a_message_does_not_have_is_empty);
	ATF_TP_ADD_TC(tp, messages_come_in_either_order);
	ATF_TP_ADD_TC(tp, a_bounded_number_of_messages_is_kept_the_newest);
	ATF_TP_ADD_TC(tp, a_message_costs_one_page_of_the_commit_it_is_in);
	ATF_TP_ADD_TC(tp, messages_leave_a_full_catalogue_room_to_be_emptied);
	ATF_TP_ADD_TC(tp, an_impossible_message_is_damage);
	return atf_no_error();
}
