/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/catalogue_rig.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define REGION_BYTES SCAT_MIN_BYTES /* a log of 2 MiB, 508 frames */

static struct scat *fresh(void)
{
	rig_format(REGION_BYTES);
	rig_io.syncs = 0;
	return rig_open(true);
}

/* Commit a small change of the pool's row. */
static void commit(struct scat *cat, bool durable)
{
	struct scat_pool pool;

	MUST(scat_begin(cat, &rig_err));
	MUST(scat_pool_get(cat, &pool, &rig_err));
	pool.next_thin++;
	MUST(scat_pool_put(cat, &pool, &rig_err));
	MUST(scat_commit(cat, durable, &rig_err));
}

static uint32_t next_thin(struct scat *cat)
{
	struct scat_pool pool;

	MUST(scat_pool_get(cat, &pool, &rig_err));
	return pool.next_thin;
}

/* ---- flushes ---- */

ATF_TC_WITHOUT_HEAD(a_durable_commit_is_one_flush_also_the_first_one);
ATF_TC_BODY(a_durable_commit_is_one_flush_also_the_first_one, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();

	for (uint64_t i = 1; i <= 50; i++) {
		commit(cat, true);
		ATF_REQUIRE_EQ(i, rig_io.syncs);
		ATF_REQUIRE_EQ(i, scat_syncs(cat));
	}
}

/* But where the sector ends inside a frame's header, which is not known before SQLite writes it. */
ATF_TC_WITHOUT_HEAD(a_durable_commit_is_one_write_and_none_after_its_flush);
ATF_TC_BODY(a_durable_commit_is_one_write_and_none_after_its_flush, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	int more = 0;

	commit(cat, true);
	for (int i = 0; i < 100; i++) {
		uint64_t before = rig_io.writes;

		commit(cat, true);
		more += rig_io.writes != before + 1;
	}
	ATF_CHECK_MSG(more <= 3, "%d of 100 commits were more than one write", more);
}

/* What is written in part has to be read first. */
ATF_TC_WITHOUT_HEAD(a_durable_commit_ends_with_a_whole_page);
ATF_TC_BODY(a_durable_commit_ends_with_a_whole_page, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	int parts = 0;

	commit(cat, true);
	rig_io.n_ops = 0;
	rig_io.record = true;
	for (int i = 0; i < 50; i++)
		commit(cat, true);
	for (size_t i = 1; i < rig_io.n_ops; i++) {
		const struct rig_op *op = &rig_io.ops[i - 1];

		if (!op->sync && rig_io.ops[i].sync)
			parts += (op->at + op->len) % SCAT_PAGE_BYTES != 0;
	}
	ATF_CHECK_MSG(rig_io.n_ops >= 100 && parts <= 3, "%d of %zu", parts, rig_io.n_ops);
}

ATF_TC_WITHOUT_HEAD(a_commit_that_need_not_last_is_no_flush);
ATF_TC_BODY(a_commit_that_need_not_last_is_no_flush, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();

	for (int i = 0; i < 50; i++)
		commit(cat, false);
	ATF_CHECK_EQ(0, rig_io.syncs);
}

ATF_TC_WITHOUT_HEAD(an_empty_durable_commit_flushes_what_came_before);
ATF_TC_BODY(an_empty_durable_commit_flushes_what_came_before, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();

	commit(cat, false);
	ATF_CHECK_EQ(0, rig_io.syncs);
	MUST(scat_begin(cat, &rig_err));
	MUST(scat_commit(cat, true, &rig_err));
	ATF_CHECK_EQ(1, rig_io.syncs);
}

ATF_TC_WITHOUT_HEAD(large_and_mixed_commits_are_one_flush_too);
ATF_TC_BODY(large_and_mixed_commits_are_one_flush_too, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v");
	char name[32];

	for (int i = 0; i < 20; i++) {
		uint64_t before = rig_io.syncs;
		struct scat_snapshot s;

		MUST(scat_begin(cat, &rig_err));
		for (int j = 0; j <= i; j++) {
			(void)snprintf(name, sizeof(name), "s%d.%d", i, j);
			MUST(rig_snapshot_in(cat, &v, name, &s));
		}
		MUST(scat_commit(cat, i % 3 != 0, &rig_err));
		ATF_REQUIRE_EQ(before + (i % 3 != 0), rig_io.syncs);
	}
}

ATF_TC_WITHOUT_HEAD(no_commit_pays_for_a_checkpoint);
ATF_TC_BODY(no_commit_pays_for_a_checkpoint, tc)
{
	struct scat *cat = fresh();
	uint64_t commits = 0, checkpoints = 0, before;

	for (int i = 0; i < 100; i++) { /* commands: open, commit a few times, close */
		for (int j = 0; j < 10; j++, commits++) {
			before = rig_io.syncs;
			commit(cat, true);
			ATF_REQUIRE_EQ(before + 1, rig_io.syncs);
		}
		before = rig_io.syncs;
		scat_close(cat);
		if (rig_io.syncs > before)
			checkpoints++;
		before = rig_io.syncs;
		cat = rig_open(true);
		ATF_REQUIRE_EQ(before, rig_io.syncs);
	}
	ATF_CHECK(checkpoints > 0);
	printf("%llu flushes, %llu commits, %llu checkpoints\n", (unsigned long long)rig_io.syncs,
	       (unsigned long long)commits, (unsigned long long)checkpoints);
	ATF_CHECK_EQ(1 + commits, next_thin(cat));
	scat_close(cat);
}

ATF_TC_WITHOUT_HEAD(a_writer_that_never_closes_does_not_fill_the_log);
ATF_TC_BODY(a_writer_that_never_closes_does_not_fill_the_log, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();

	for (int i = 0; i < 2000; i++)
		commit(cat, false);
	ATF_CHECK_EQ(2001, next_thin(cat));
	ATF_CHECK(scat_wal_frames(cat) < 508);
}

ATF_TC_WITHOUT_HEAD(closing_keeps_a_short_log);
ATF_TC_BODY(closing_keeps_a_short_log, tc)
{
	struct scat *cat = fresh();
	uint32_t frames;

	commit(cat, true);
	frames = scat_wal_frames(cat);
	ATF_CHECK(frames > 0);
	scat_close(cat);
	ATF_CHECK_EQ(1, rig_io.syncs);
	cat = rig_open(false);
	ATF_CHECK_EQ(frames, scat_wal_frames(cat));
	ATF_CHECK_EQ(2, next_thin(cat));
	scat_close(cat);
}

ATF_TC_WITHOUT_HEAD(a_checkpoint_empties_the_log);
ATF_TC_BODY(a_checkpoint_empties_the_log, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();

	for (int i = 0; i < 100; i++)
		commit(cat, false);
	MUST(scat_checkpoint(cat, &rig_err));
	ATF_CHECK(scat_wal_frames(cat) < 4);
	ATF_CHECK_EQ(101, next_thin(cat));
}

/* ---- no room ---- */

/* Fill one transaction until something breaks. */
static int fill(struct scat *cat, struct scat_volume *v, int most)
{
	struct scat_snapshot s;
	char name[16];
	int r = 0;

	for (int i = 0; r == 0 && i < most; i++) {
		(void)snprintf(name, sizeof(name), "n%d", i);
		r = rig_snapshot_in(cat, v, name, &s);
	}
	return r < 0 ? r : scat_commit(cat, true, &rig_err);
}

ATF_TC_WITHOUT_HEAD(a_change_larger_than_the_log_is_no_space_and_undone);
ATF_TC_BODY(a_change_larger_than_the_log_is_no_space_and_undone, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v"), w = v;

	MUST(scat_begin(cat, &rig_err));
	ATF_CHECK_EQ(-ENOSPC, fill(cat, &w, 20000));
	ATF_CHECK_EQ(SNAPMGR_NO_SPACE, rig_err.code);
	ATF_CHECK_MSG(strstr(rig_err.message, "log"), "%s", rig_err.message);
	scat_rollback(cat);
	for (int i = 0; i < 100; i++)
		commit(cat, true);
	(void)rig_snapshot(cat, &v, "n0");
	ATF_CHECK_EQ(0, rig_count_findings(cat));
	scat_close(cat);
	cat = rig_open(true);
	ATF_CHECK_EQ(103, next_thin(cat));
}

ATF_TC_WITHOUT_HEAD(a_full_region_is_no_space_and_can_be_emptied);
ATF_TC_BODY(a_full_region_is_no_space_and_can_be_emptied, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_volume v = rig_volume(cat, "v");
	struct scat_snapshot s;
	uint64_t n = 0;
	char name[16];
	int r = 0;

	while (r == 0 && n < 1000000) {
		MUST(scat_begin(cat, &rig_err));
		for (int j = 0; r == 0 && j < 50; j++, n++) {
			(void)snprintf(name, sizeof(name), "n%llu", (unsigned long long)n);
			memset(v.c.description, 'd', SNAPMGR_DESC_MAX);
			r = rig_snapshot_in(cat, &v, name, &s);
		}
		if (r == 0)
			r = scat_commit(cat, false, &rig_err);
		if (r == 0)
			r = scat_checkpoint(cat, &rig_err);
	}
	printf("%llu snapshots, then: %s\n", (unsigned long long)n, rig_err.message);
	ATF_CHECK_EQ(-ENOSPC, r);
	ATF_CHECK_EQ(SNAPMGR_NO_SPACE, rig_err.code);
	scat_rollback(cat);
	for (int i = 0; i < 500; i++) {
		MUST(scat_snapshot_latest(cat, v.id, 0, &s, &rig_err));
		MUST(CHANGE(cat, scat_snapshot_delete(cat, s.id, &rig_err)));
	}
	MUST(scat_checkpoint(cat, &rig_err));
	ATF_CHECK_EQ(0, rig_count_findings(cat));
	MUST(scat_volume_by_name(cat, "v", &v, &rig_err));
	(void)rig_snapshot(cat, &v, "again");
}

/* ---- several at once ---- */

ATF_TC_WITHOUT_HEAD(a_reader_keeps_its_view_and_hinders_no_writer);
ATF_TC_BODY(a_reader_keeps_its_view_and_hinders_no_writer, tc)
{
	AUTO(scat_close) struct scat *writer = fresh();
	AUTO(scat_close) struct scat *reader = rig_open(false);

	MUST(scat_begin_read(reader, &rig_err));
	ATF_CHECK_EQ(1, next_thin(reader));
	for (int i = 0; i < 5; i++)
		commit(writer, true);
	ATF_CHECK_EQ(1, next_thin(reader));
	scat_rollback(reader);
	ATF_CHECK_EQ(6, next_thin(reader));
	MUST(scat_begin(writer, &rig_err));
	ATF_CHECK_EQ(6, next_thin(reader)); /* nor does a writer hinder a reader */
	scat_rollback(writer);
}

ATF_TC_WITHOUT_HEAD(a_long_reader_lets_the_log_grow_until_it_is_full);
ATF_TC_BODY(a_long_reader_lets_the_log_grow_until_it_is_full, tc)
{
	AUTO(scat_close) struct scat *writer = fresh();
	AUTO(scat_close) struct scat *reader = rig_open(false);
	struct scat_pool pool = rig_pool;
	int r = 0;

	MUST(scat_begin_read(reader, &rig_err));
	ATF_CHECK_EQ(1, next_thin(reader));
	commit(writer, false);
	ATF_CHECK_EQ(-EAGAIN, scat_checkpoint(writer, &rig_err));
	ATF_CHECK_EQ(SNAPMGR_LOCKED, rig_err.code);
	for (int i = 0; i < 600 && r == 0; i++) {
		pool.next_thin++;
		MUST(scat_begin(writer, &rig_err));
		MUST(scat_pool_put(writer, &pool, &rig_err));
		r = scat_commit(writer, false, &rig_err);
	}
	ATF_CHECK_EQ(-ENOSPC, r);
	ATF_CHECK_MSG(strstr(rig_err.message, "reading for long"), "%s", rig_err.message);
	ATF_CHECK_EQ(1, next_thin(reader));
	scat_rollback(reader);
	commit(writer, true); /* and goes on once the reader is gone */
	ATF_CHECK_EQ(pool.next_thin, next_thin(reader));
}

ATF_TC_WITHOUT_HEAD(a_reading_handle_cannot_write);
ATF_TC_BODY(a_reading_handle_cannot_write, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_pool pool = rig_pool;

	scat_close(cat);
	cat = rig_open(false);
	ATF_CHECK_EQ(-EROFS, scat_begin(cat, &rig_err));
	ATF_CHECK_EQ(SNAPMGR_INTERNAL, rig_err.code);
	ATF_CHECK(scat_pool_put(cat, &pool, &rig_err) < 0);
}

static void write_and_read_forever(bool writable, const int *stop, uint32_t *rounds)
{
	uint32_t last = 0;

	while (!__atomic_load_n(stop, __ATOMIC_SEQ_CST)) {
		struct scat *cat = rig_open(writable);
		uint32_t now = next_thin(cat);

		ATF_REQUIRE(now >= last);
		last = now;
		if (writable)
			commit(cat, true);
		scat_close(cat);
		++*rounds;
	}
	_exit(0);
}

ATF_TC_WITHOUT_HEAD(processes_that_come_and_go_see_every_commit_once);
ATF_TC_BODY(processes_that_come_and_go_see_every_commit_once, tc)
{
	struct {
		int stop;
		uint32_t rounds[5];
	} *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	AUTO(scat_close) struct scat *cat = NULL;
	pid_t pids[5];
	int status;

	scat_close(fresh());
	for (int i = 0; i < 5; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			write_and_read_forever(i < 2, &shared->stop, &shared->rounds[i]);
	}
	(void)sleep(3);
	__atomic_store_n(&shared->stop, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 5; i++) {
		ATF_REQUIRE_EQ(pids[i], waitpid(pids[i], &status, 0));
		ATF_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		printf("%s %d: %u rounds\n", i < 2 ? "writer" : "reader", i, shared->rounds[i]);
	}
	cat = rig_open(true);
	ATF_CHECK_EQ(1 + shared->rounds[0] + shared->rounds[1], next_thin(cat));
	ATF_CHECK_EQ(0, rig_count_findings(cat));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_durable_commit_is_one_flush_also_the_first_one);
	ATF_TP_ADD_TC(tp, a_durable_commit_is_one_write_and_none_after_its_flush);
	ATF_TP_ADD_TC(tp, a_durable_commit_ends_with_a_whole_page);
	ATF_TP_ADD_TC(tp, a_commit_that_need_not_last_is_no_flush);
	ATF_TP_ADD_TC(tp, an_empty_durable_commit_flushes_what_came_before);
	ATF_TP_ADD_TC(tp, large_and_mixed_commits_are_one_flush_too);
	ATF_TP_ADD_TC(tp, no_commit_pays_for_a_checkpoint);
	ATF_TP_ADD_TC(tp, a_writer_that_never_closes_does_not_fill_the_log);
	ATF_TP_ADD_TC(tp, closing_keeps_a_short_log);
	ATF_TP_ADD_TC(tp, a_checkpoint_empties_the_log);
	ATF_TP_ADD_TC(tp, a_change_larger_than_the_log_is_no_space_and_undone);
	ATF_TP_ADD_TC(tp, a_full_region_is_no_space_and_can_be_emptied);
	ATF_TP_ADD_TC(tp, a_reader_keeps_its_view_and_hinders_no_writer);
	ATF_TP_ADD_TC(tp, a_long_reader_lets_the_log_grow_until_it_is_full);
	ATF_TP_ADD_TC(tp, a_reading_handle_cannot_write);
	ATF_TP_ADD_TC(tp, processes_that_come_and_go_see_every_commit_once);
	return atf_no_error();
}
