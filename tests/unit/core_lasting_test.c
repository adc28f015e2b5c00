/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lasting operations: who is kept away, who sees them, and how those end whose owner is dead. */
#include <atf-c.h>
#include <errno.h>
#include <string.h>

#include "snapmgr/core/lasting.h"
#include "tests/unit/core_rig.h"

struct lasting { /* one on "p0/v", which fills an id of its own */
	struct sm_found f;
	struct sm_lasting op;
	uint32_t thin;
};

static void begin_as(struct lasting *l, const char *verb, bool resumable)
{
	struct sm_lasting_plan plan = { .verb = verb,
					.volume = &l->f.volume,
					.volume_state = SCAT_REVERTING,
					.new_size_bytes = 3 * SM_MIB,
					.todo_bytes = 1000,
					.resumable = resumable,
					.detail = "of the verb" };

	*l = (struct lasting){ .f.pool.lock = SLOCK_NONE };
	MUST(sm_find(rig_sm, "p0/v", SM_WANT_VOLUME, true, &l->f, &rig_err));
	MUST(sm_op_begin(&l->f.pool, verb, "v", NULL, 0, &rig_err));
	MUST(l->f.pool.b.driver->make(&l->f.pool.b, l->f.pool.row.next_thin, &rig_err));
	plan.thin = l->thin = l->f.pool.row.next_thin++;
	MUST(sm_lasting_begin(&l->f.pool, &plan, &l->op, &rig_err));
	ATF_REQUIRE(!l->f.pool.lock.held);
}

static void leave(struct lasting *l)
{
	sm_lasting_release(&l->op);
	sm_found_close(&l->f);
}

/* As if its process had died: nobody ever started at that time. */
static void die(struct lasting *l)
{
	sm_lasting_abandon(&l->op);
	sm_pool_unlock(&l->f.pool);
	leave(l);
}

static int count(const struct snapmgr_operation *op, void *data)
{
	struct snapmgr_operation *last = data;

	*last = *op;
	return 0;
}

/* The last one that is listed; its verb is "" where none is. */
static struct snapmgr_operation listed(void)
{
	struct snapmgr_operation op = { 0 };

	MUST(snapmgr_operations(rig_sm, "p0", count, &op, &rig_err));
	return op;
}

static enum scat_state state_of_v(uint32_t *ret_garbage, uint32_t thin)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };

	MUST(sm_find(rig_sm, "p0/v", SM_WANT_VOLUME, false, &f, &rig_err));
	if (ret_garbage)
		*ret_garbage = (uint32_t)scat_thin_named(f.pool.cat, thin, &rig_err);
	return f.volume.c.state;
}

ATF_TC_WITHOUT_HEAD(others_are_kept_away_and_told_by_whom);
ATF_TC_BODY(others_are_kept_away_and_told_by_whom, tc)
{
	struct lasting l;
	const char *spec = "p0/v@s";
	char pid[32];

	rig_up();
	rig_create("p0/v");
	begin_as(&l, "copy", false);
	(void)snprintf(pid, sizeof(pid), "process %d", getpid());
	ATF_CHECK_EQ(-EBUSY, snapmgr_snapshot(rig_sm, &spec, 1, NULL, NULL, NULL, &rig_err));
	ATF_CHECK_EQ(SNAPMGR_BAD_STATE, rig_err.code);
	ATF_CHECK(strstr(rig_err.message, pid) && strstr(rig_err.message, listed().uuid));
	ATF_CHECK_EQ(-EBUSY, snapmgr_rename(rig_sm, "p0/v", "w", &rig_err));
	ATF_CHECK_EQ(-EBUSY, snapmgr_set(rig_sm, "p0/v", "label", "x", &rig_err));
	ATF_CHECK_EQ(-EBUSY, snapmgr_reset_state(rig_sm, "p0/v", &rig_err));
	rig_create("p0/other");
	MUST(sm_lasting_end(&l.op, NULL, NULL, &rig_err));
	leave(&l);
	ATF_CHECK_STREQ("", listed().verb);
	rig_take("p0/v@s");
}

ATF_TC_WITHOUT_HEAD(others_see_how_far_it_is_and_may_ask_it_to_stop);
ATF_TC_BODY(others_see_how_far_it_is_and_may_ask_it_to_stop, tc)
{
	struct snapmgr_operation op;
	char dir[SPROGRESS_DIR];
	struct lasting l;

	rig_up();
	rig_create("p0/v");
	begin_as(&l, "copy", false);
	ATF_CHECK_EQ(0, sm_lasting_progress(&l.op, 400, 1000));
	op = listed();
	ATF_CHECK_STREQ("copy", op.verb);
	ATF_CHECK_STREQ("v", op.object);
	ATF_CHECK(op.lasting && !op.dead && !op.resumable && !op.stopping);
	ATF_CHECK(op.done_bytes == 400 && op.todo_bytes == 1000 && op.pid == getpid());
	sprogress_dir(&l.f.pool.b.uuid, "", dir);
	MUST(sprogress_stop(dir, &l.op.row.uuid));
	ATF_CHECK(listed().stopping);
	ATF_CHECK_EQ(-ECANCELED, sm_lasting_progress(&l.op, 500, 1000));
	sm_lasting_undo(&l.op);
	leave(&l);
	ATF_CHECK_STREQ("", listed().verb);
	ATF_CHECK_EQ(SCAT_AVAILABLE, state_of_v(NULL, 0));
}

ATF_TC_WITHOUT_HEAD(a_dead_owners_is_undone_by_the_next_change_to_the_pool);
ATF_TC_BODY(a_dead_owners_is_undone_by_the_next_change_to_the_pool, tc)
{
	uint32_t named;
	struct lasting l;

	rig_up();
	rig_create("p0/v");
	begin_as(&l, "copy", false);
	die(&l);
	ATF_CHECK(listed().dead);
	ATF_CHECK_EQ(SCAT_REVERTING, state_of_v(&named, l.thin));
	ATF_CHECK_EQ(1, named); /* what it fills is its own as long as it is there */
	rig_create("p0/other");
	ATF_CHECK_STREQ("", listed().verb);
	ATF_CHECK_EQ(SCAT_AVAILABLE, state_of_v(&named, l.thin));
	ATF_CHECK_EQ(0, named); /* and was given back */
	rig_take("p0/v@s");
}

ATF_TC_WITHOUT_HEAD(a_resumable_one_waits_until_it_is_cancelled);
ATF_TC_BODY(a_resumable_one_waits_until_it_is_cancelled, tc)
{
	struct snapmgr_operation op;
	struct lasting l;

	rig_up();
	rig_create("p0/v");
	begin_as(&l, "copy", true);
	MUST(sm_lasting_checkpoint(&l.op, 640, NULL, &rig_err));
	ATF_CHECK(!l.f.pool.lock.held);
	die(&l);
	rig_create("p0/other");
	op = listed();
	ATF_CHECK(op.dead && op.resumable && op.done_bytes == 640);
	ATF_CHECK_EQ(SCAT_REVERTING, state_of_v(NULL, 0));
	MUST(snapmgr_cancel(rig_sm, "p0/v", &rig_err));
	ATF_CHECK_STREQ("", listed().verb);
	ATF_CHECK_EQ(SCAT_AVAILABLE, state_of_v(NULL, 0));
	ATF_CHECK_EQ(-ENOENT, snapmgr_cancel(rig_sm, "p0/v", &rig_err));
}

ATF_TC_WITHOUT_HEAD(a_verb_that_nobody_knows_leaves_its_volume_in_error);
ATF_TC_BODY(a_verb_that_nobody_knows_leaves_its_volume_in_error, tc)
{
	struct lasting l;

	rig_up();
	rig_create("p0/v");
	begin_as(&l, "of-a-later-version", false);
	die(&l);
	rig_create("p0/other");
	ATF_CHECK_STREQ("", listed().verb);
	ATF_CHECK_EQ(SCAT_ERROR, state_of_v(NULL, 0));
	MUST(snapmgr_reset_state(rig_sm, "p0/v", &rig_err));
	ATF_CHECK_EQ(SCAT_AVAILABLE, state_of_v(NULL, 0));
}

ATF_TC_WITHOUT_HEAD(who_was_taken_for_dead_notices_at_the_end);
ATF_TC_BODY(who_was_taken_for_dead_notices_at_the_end, tc)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct scat_operation row;
	char said[SM_SAID];
	struct lasting l;

	rig_up();
	rig_create("p0/v");
	begin_as(&l, "copy", false);
	MUST(sm_pool_open(rig_sm, "p0", true, &pool, &rig_err));
	MUST(scat_operation_by_uuid(pool.cat, &l.op.row.uuid, &row, &rig_err));
	MUST(sm_lasting_settle(&pool, &row, said, &rig_err));
	sm_pool_unlock(&pool);
	ATF_CHECK_EQ(-ESTALE, sm_lasting_checkpoint(&l.op, 1, NULL, &rig_err));
	ATF_CHECK_EQ(-ESTALE, sm_lasting_end(&l.op, NULL, NULL, &rig_err));
	ATF_CHECK_EQ(SNAPMGR_STALE, rig_err.code);
	leave(&l);
	ATF_CHECK_EQ(SCAT_AVAILABLE, state_of_v(NULL, 0));
}

static int keep_quota(const struct snapmgr_quota *q, void *data)
{
	*(struct snapmgr_quota *)data = *q;
	return 0;
}

ATF_TC_WITHOUT_HEAD(the_growth_that_it_announces_is_reserved);
ATF_TC_BODY(the_growth_that_it_announces_is_reserved, tc)
{
	struct snapmgr_quota q;
	struct lasting l;

	rig_up();
	rig_create("p0/v"); /* of 1 MiB */
	begin_as(&l, "copy", false);
	MUST(snapmgr_quota_list(rig_sm, "p0", "", keep_quota, &q, &rig_err));
	ATF_CHECK_EQ(1 * SM_MIB, q.resources[SNAPMGR_VOLUME_BYTES].in_use);
	ATF_CHECK_EQ(2 * SM_MIB, q.resources[SNAPMGR_VOLUME_BYTES].reserved);
	sm_lasting_undo(&l.op);
	leave(&l);
	MUST(snapmgr_quota_list(rig_sm, "p0", "", keep_quota, &q, &rig_err));
	ATF_CHECK_EQ(0, q.resources[SNAPMGR_VOLUME_BYTES].reserved);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, others_are_kept_away_and_told_by_whom);
	ATF_TP_ADD_TC(tp, others_see_how_far_it_is_and_may_ask_it_to_stop);
	ATF_TP_ADD_TC(tp, a_dead_owners_is_undone_by_the_next_change_to_the_pool);
	ATF_TP_ADD_TC(tp, a_resumable_one_waits_until_it_is_cancelled);
	ATF_TP_ADD_TC(tp, a_verb_that_nobody_knows_leaves_its_volume_in_error);
	ATF_TP_ADD_TC(tp, who_was_taken_for_dead_notices_at_the_end);
	ATF_TP_ADD_TC(tp, the_growth_that_it_announces_is_reserved);
	return atf_no_error();
}
