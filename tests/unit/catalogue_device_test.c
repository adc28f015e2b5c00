/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/catalogue_rig.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define REGION_BYTES SCAT_MIN_BYTES

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

/* ---- errors of the device ---- */

ATF_TC_WITHOUT_HEAD(a_flush_that_fails_is_an_io_error_and_the_change_is_gone);
ATF_TC_BODY(a_flush_that_fails_is_an_io_error_and_the_change_is_gone, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_pool pool = rig_pool;

	commit(cat, true);
	pool.next_thin = 77;
	MUST(scat_begin(cat, &rig_err));
	MUST(scat_pool_put(cat, &pool, &rig_err));
	rig_io.fail_syncs = 1;
	ATF_CHECK_EQ(-EIO, scat_commit(cat, true, &rig_err));
	ATF_CHECK_EQ(SNAPMGR_IO, rig_err.code);
	ATF_CHECK_MSG(strstr(rig_err.message, "'" REGION "'"), "%s", rig_err.message);
	ATF_CHECK_EQ(2, next_thin(cat));
	scat_close(cat); /* nor does a recovery find it: the frames it left are broken */
	cat = rig_open(true);
	ATF_CHECK_EQ(2, next_thin(cat));
	commit(cat, true);
	ATF_CHECK_EQ(3, next_thin(cat));
}

ATF_TC_WITHOUT_HEAD(a_write_that_fails_is_an_io_error_and_the_change_is_gone);
ATF_TC_BODY(a_write_that_fails_is_an_io_error_and_the_change_is_gone, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_pool pool = rig_pool;

	commit(cat, true);
	pool.next_thin = 77;
	MUST(scat_begin(cat, &rig_err));
	MUST(scat_pool_put(cat, &pool, &rig_err));
	rig_io.fail_writes = 1;
	ATF_CHECK_EQ(-EIO, scat_commit(cat, true, &rig_err));
	ATF_CHECK_EQ(SNAPMGR_IO, rig_err.code);
	ATF_CHECK_EQ(-EIO, scat_checkpoint(cat, &rig_err));
	scat_close(cat);
	rig_io.fail_writes = 0;
	cat = rig_open(true);
	ATF_CHECK_EQ(2, next_thin(cat));
	commit(cat, true);
}

ATF_TC_WITHOUT_HEAD(a_handle_outlives_a_write_that_failed);
ATF_TC_BODY(a_handle_outlives_a_write_that_failed, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_pool pool = rig_pool;

	commit(cat, true);
	for (uint32_t durable = 0; durable < 2; durable++) {
		pool.next_thin = 77;
		MUST(scat_begin(cat, &rig_err));
		MUST(scat_pool_put(cat, &pool, &rig_err));
		rig_io.fail_writes = 1;
		ATF_CHECK_EQ(-EIO, scat_commit(cat, durable, &rig_err));
		scat_rollback(cat);
		rig_io.fail_writes = 0;
		ATF_CHECK_EQ(2 + durable, next_thin(cat));
		commit(cat, true);
		ATF_CHECK_EQ(3 + durable, next_thin(cat));
	}
	ATF_CHECK_EQ(0, rig_count_findings(cat));
}

ATF_TC_WITHOUT_HEAD(a_write_that_fails_fails_a_commit_without_flush_too);
ATF_TC_BODY(a_write_that_fails_fails_a_commit_without_flush_too, tc)
{
	AUTO(scat_close) struct scat *cat = fresh();
	struct scat_pool pool = rig_pool;

	commit(cat, true);
	pool.next_thin = 77;
	MUST(scat_begin(cat, &rig_err));
	MUST(scat_pool_put(cat, &pool, &rig_err));
	rig_io.fail_writes = 1;
	ATF_CHECK_EQ(-EIO, scat_commit(cat, false, &rig_err));
	ATF_CHECK_EQ(SNAPMGR_IO, rig_err.code);
	rig_io.fail_writes = 0;
	ATF_CHECK_EQ(2, next_thin(cat));
	commit(cat, true);
	ATF_CHECK_EQ(3, next_thin(cat));
}

/* ---- parked ---- */

static void commit_in_a_child(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct scat *cat = rig_open(true);

		commit(cat, true);
		scat_close(cat);
		_exit(0);
	}
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	ATF_REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

ATF_TC_WITHOUT_HEAD(a_parked_catalogue_sees_what_others_did_meanwhile);
ATF_TC_BODY(a_parked_catalogue_sees_what_others_did_meanwhile, tc)
{
	struct scat *cat;

	scat_pretend_life(5);
	cat = fresh();
	commit(cat, true);
	for (uint32_t i = 0; i < 5; i++) {
		scat_park(cat);
		commit_in_a_child();
		MUST(scat_unpark(cat, &rig_err));
		ATF_REQUIRE_EQ(next_thin(cat), 3u + 2 * i);
		commit(cat, true);
		ATF_REQUIRE_EQ(next_thin(cat), 4u + 2 * i);
	}
	scat_park(cat);
	scat_close(cat);
	cat = rig_open(true);
	ATF_CHECK_EQ(12, next_thin(cat));
	ATF_CHECK_EQ(0, rig_count_findings(cat));
	scat_close(cat);
}

ATF_TC_WITHOUT_HEAD(a_parked_catalogue_of_another_device_is_stale);
ATF_TC_BODY(a_parked_catalogue_of_another_device_is_stale, tc)
{
	struct scat *cat;

	scat_pretend_life(5);
	cat = fresh();
	scat_park(cat);
	scat_pretend_life(6);
	ATF_CHECK_EQ(-ESTALE, scat_unpark(cat, &rig_err));
	scat_close(cat);
	scat_pretend_life(0);
	cat = rig_open(true);
	scat_park(cat);
	ATF_CHECK_EQ(-ESTALE, scat_unpark(cat, &rig_err)); /* who knows */
	scat_close(cat);
}

/* Return: what ended it. */
static int fill(struct scat *cat, struct scat_volume *v)
{
	static unsigned int n;
	struct scat_snapshot s;
	char name[16];
	int r = 0;

	while (r == 0) {
		MUST(scat_begin(cat, &rig_err));
		for (int i = 0; r == 0 && i < 50; i++) {
			(void)snprintf(name, sizeof(name), "n%u", n++);
			memset(v->c.description, 'd', SNAPMGR_DESC_MAX);
			r = rig_snapshot_in(cat, v, name, &s);
		}
		if (r == 0)
			r = scat_commit(cat, false, &rig_err);
	}
	scat_rollback(cat);
	return r;
}

ATF_TC_WITHOUT_HEAD(a_parked_catalogue_finds_the_room_that_an_extend_gave_it);
ATF_TC_BODY(a_parked_catalogue_finds_the_room_that_an_extend_gave_it, tc)
{
	struct scat_volume v;
	struct scat *cat;

	scat_pretend_life(5);
	cat = fresh();
	v = rig_volume(cat, "v");
	ATF_REQUIRE_EQ(-ENOSPC, fill(cat, &v));
	MUST(scat_checkpoint(cat, &rig_err));
	scat_park(cat);
	ATF_REQUIRE_EQ(0, truncate(REGION, (off_t)(2 * REGION_BYTES)));
	MUST(scat_unpark(cat, &rig_err));
	MUST(scat_volume_by_name(cat, "v", &v, &rig_err));
	(void)rig_snapshot(cat, &v, "more");
	ATF_CHECK_EQ(-ENOSPC, fill(cat, &v));
	ATF_CHECK(scat_used_bytes(cat) > (uint64_t)REGION_BYTES);
	scat_rollback(cat);
	ATF_CHECK_EQ(0, rig_count_findings(cat));
	scat_close(cat);
}

ATF_TC_WITHOUT_HEAD(a_run_folder_that_cannot_be_used_is_named);
ATF_TC_BODY(a_run_folder_that_cannot_be_used_is_named, tc)
{
	struct scat *cat = NULL;

	rig_format(REGION_BYTES);
	atf_utils_create_file("file", "%s", "");
	scat_set_run_dir("file/run");
	ATF_CHECK_EQ(-ENOTDIR, scat_open(REGION, &rig_pool.uuid, false, &cat, &rig_err));
	ATF_CHECK_EQ(SNAPMGR_IO, rig_err.code);
	ATF_CHECK_MSG(strstr(rig_err.message, "file/run"), "%s", rig_err.message);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_flush_that_fails_is_an_io_error_and_the_change_is_gone);
	ATF_TP_ADD_TC(tp, a_write_that_fails_is_an_io_error_and_the_change_is_gone);
	ATF_TP_ADD_TC(tp, a_handle_outlives_a_write_that_failed);
	ATF_TP_ADD_TC(tp, a_write_that_fails_fails_a_commit_without_flush_too);
	ATF_TP_ADD_TC(tp, a_parked_catalogue_sees_what_others_did_meanwhile);
	ATF_TP_ADD_TC(tp, a_parked_catalogue_of_another_device_is_stale);
	ATF_TP_ADD_TC(tp, a_parked_catalogue_finds_the_room_that_an_extend_gave_it);
	ATF_TP_ADD_TC(tp, a_run_folder_that_cannot_be_used_is_named);
	return atf_no_error();
}
