/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/catalogue_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define REGION_BYTES SCAT_MIN_BYTES
#define WAL_AT	     4096u
#define SECTOR	     512u

/*
 * The history of every test here: commit number n makes snapshot "sn". A catalogue is whole where
 * its rows agree on one n.
 */
static void commit_next(struct scat *cat, bool durable)
{
	struct scat_snapshot s;
	struct scat_volume v;
	char name[32];

	MUST(scat_volume_by_name(cat, "v", &v, &rig_err));
	(void)snprintf(name, sizeof(name), "s%llu", (unsigned long long)v.sequence + 1);
	rig_io.begun = (uint32_t)v.sequence + 1;
	MUST(scat_begin(cat, &rig_err));
	MUST(rig_snapshot_in(cat, &v, name, &s));
	MUST(scat_commit(cat, durable, &rig_err));
	if (durable)
		rig_io.durable = (uint32_t)v.sequence;
}

/* Return: n. */
static uint64_t require_whole(struct scat *cat)
{
	struct scat_counts counts;
	struct scat_snapshot s;
	struct scat_pool pool;
	struct scat_volume v;
	char name[32];

	MUST(scat_pool_get(cat, &pool, &rig_err));
	MUST(scat_volume_by_name(cat, "v", &v, &rig_err));
	MUST(scat_counts(cat, &counts, &rig_err));
	ATF_REQUIRE_EQ(v.sequence, counts.snapshots);
	ATF_REQUIRE_EQ(v.sequence + 2, pool.next_thin);
	if (v.sequence > 0) {
		(void)snprintf(name, sizeof(name), "s%llu", (unsigned long long)v.sequence);
		MUST(scat_snapshot_latest(cat, v.id, 0, &s, &rig_err));
		ATF_REQUIRE_STREQ(name, s.c.name);
		ATF_REQUIRE_EQ(v.c.parent, s.id);
	}
	ATF_REQUIRE_EQ(0, rig_count_findings(cat));
	return v.sequence;
}

static uint64_t require_whole_file(void)
{
	struct scat *cat = rig_open(true);
	uint64_t n = require_whole(cat);

	scat_close(cat);
	return n;
}

static void start_history(void)
{
	struct scat *cat;

	rig_format(REGION_BYTES);
	cat = rig_open(true);
	(void)rig_volume(cat, "v");
	scat_close(cat);
}

/* ---- killed ---- */

/* Return: true where the child came to its end before it was killed. */
static bool commit_in_a_child(int kill_after_writes, bool durable, int commits)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct scat *cat = rig_open(true);

		rig_io.writes = 0;
		rig_io.kill_after_writes = kill_after_writes;
		for (int i = 0; i < commits; i++)
			commit_next(cat, durable);
		scat_close(cat);
		_exit(0);
	}
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	if (WIFEXITED(status))
		ATF_REQUIRE_EQ(0, WEXITSTATUS(status));
	else
		ATF_REQUIRE_EQ(SIGKILL, WTERMSIG(status));
	return WIFEXITED(status);
}

static void kill_at_every_write(int commits)
{
	bool ended = false;

	start_history();
	for (int i = 1; !ended; i++) {
		uint64_t before = require_whole_file(), after;

		ended = commit_in_a_child(i, i % 2 == 0, commits);
		after = require_whole_file();
		ATF_REQUIRE(after >= before && after <= before + (uint64_t)commits);
		ATF_REQUIRE(!ended || after == before + (uint64_t)commits);
		if (after == before)
			ATF_REQUIRE(commit_in_a_child(0, true, 1));
	}
}

ATF_TC_WITHOUT_HEAD(killed_before_the_commit_leaves_nothing);
ATF_TC_BODY(killed_before_the_commit_leaves_nothing, tc)
{
	pid_t pid;

	start_history();
	pid = fork();
	if (pid == 0) {
		struct scat *cat = rig_open(true);
		struct scat_volume v;
		struct scat_snapshot s;

		MUST(scat_volume_by_name(cat, "v", &v, &rig_err));
		MUST(scat_begin(cat, &rig_err));
		MUST(rig_snapshot_in(cat, &v, "s1", &s));
		(void)raise(SIGKILL);
	}
	ATF_REQUIRE_EQ(pid, waitpid(pid, NULL, 0));
	ATF_CHECK_EQ(0, require_whole_file());
}

ATF_TC_WITHOUT_HEAD(killed_at_any_write_leaves_the_old_or_the_new);
ATF_TC_BODY(killed_at_any_write_leaves_the_old_or_the_new, tc)
{
	kill_at_every_write(1);
}

/* So many commits that the log is emptied in between. */
ATF_TC_WITHOUT_HEAD(killed_at_any_write_of_a_checkpoint_leaves_all);
ATF_TC_BODY(killed_at_any_write_of_a_checkpoint_leaves_all, tc)
{
	kill_at_every_write(40);
}

ATF_TC_WITHOUT_HEAD(killed_with_a_kept_index_leaves_the_old_or_the_new);
ATF_TC_BODY(killed_with_a_kept_index_leaves_the_old_or_the_new, tc)
{
	scat_pretend_life(4711);
	kill_at_every_write(1);
	kill_at_every_write(40);
}

/* ---- torn logs ---- */

static void zero_from(const char *path, uint64_t at, uint64_t end)
{
	static const unsigned char zeroes[REGION_BYTES];
	int fd = open(path, O_RDWR | O_CLOEXEC);

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ((ssize_t)(end - at), pwrite(fd, zeroes, end - at, (off_t)at));
	(void)close(fd);
}

ATF_TC_WITHOUT_HEAD(a_log_without_its_tail_is_an_older_catalogue);
ATF_TC_BODY(a_log_without_its_tail_is_an_older_catalogue, tc)
{
	uint64_t end, last = 5, wal_end;
	struct scat *cat;

	start_history();
	cat = rig_open(true);
	for (int i = 0; i < 5; i++)
		commit_next(cat, true);
	end = SCAT_WAL_HEADER + scat_wal_frames(cat) * (uint64_t)SCAT_FRAME_BYTES;
	scat_close(cat);
	wal_end = WAL_AT + end;
	for (uint64_t cut = wal_end; cut > WAL_AT; cut -= cut % SECTOR ? cut % SECTOR : SECTOR) {
		uint64_t n;

		zero_from(REGION, cut, wal_end);
		cat = rig_open(false);
		if (end - (cut - WAL_AT) < SCAT_FRAME_BYTES) /* the volume goes with the first */
			n = require_whole(cat);
		else
			n = scat_volume_by_name(cat, "v", &(struct scat_volume){ 0 }, &rig_err) ?
				    0 :
				    require_whole(cat);
		ATF_REQUIRE(n <= last);
		last = n;
		scat_close(cat);
	}
	ATF_CHECK_EQ(0, last);
}

ATF_TC_WITHOUT_HEAD(a_flipped_bit_in_the_log_is_an_older_catalogue);
ATF_TC_BODY(a_flipped_bit_in_the_log_is_an_older_catalogue, tc)
{
	uint64_t end, n;
	struct scat *cat;

	start_history();
	cat = rig_open(true);
	commit_next(cat, true);
	MUST(scat_checkpoint(cat, &rig_err));
	commit_next(cat, true);
	commit_next(cat, true);
	end = WAL_AT + SCAT_WAL_HEADER + scat_wal_frames(cat) * (uint64_t)SCAT_FRAME_BYTES;
	scat_close(cat);
	for (uint64_t at = WAL_AT; at < end; at += 97) {
		unsigned char c;
		int fd = open(REGION, O_RDWR | O_CLOEXEC);

		ATF_REQUIRE_EQ(1, pread(fd, &c, 1, (off_t)at));
		c ^= (unsigned char)(1u << at % 8);
		ATF_REQUIRE_EQ(1, pwrite(fd, &c, 1, (off_t)at));
		cat = rig_open(false);
		n = require_whole(cat);
		ATF_REQUIRE(n >= 1 && n <= 3);
		scat_close(cat);
		c ^= (unsigned char)(1u << at % 8);
		ATF_REQUIRE_EQ(1, pwrite(fd, &c, 1, (off_t)at));
		(void)close(fd);
	}
	ATF_CHECK_EQ(3, require_whole_file());
}

/* ---- power cuts ---- */

static unsigned char disk[REGION_BYTES]; /* what a flush made durable */
static unsigned char torn[REGION_BYTES]; /* and what may have arrived after that */

static uint32_t mix(uint32_t a, uint32_t b)
{
	uint32_t pair[2] = { a, b };

	return sm_crc32c(0x12345678, pair, sizeof(pair));
}

/* Now and then the sector that was under the head is lost with all that was in it. */
static void spoil(const struct rig_op *ops, size_t from, size_t to, uint32_t seed)
{
	const struct rig_op *op = &ops[from + mix(seed, 7) % (to - from)];

	if (!op->sync && mix(seed, 8) % 3 == 0)
		memset(torn + (op->at + mix(seed, 9) % op->len) / SCAT_PAGE_BYTES * SCAT_PAGE_BYTES,
		       0xa5, SCAT_PAGE_BYTES);
}

/*
 * Writes since the last flush reach the disk in any order and torn: each unit of it holds what it
 * held at some moment of its own.
 */
static void tear(const struct rig_op *ops, size_t from, size_t to, uint32_t seed)
{
	uint64_t unit = mix(seed, 0) % 2 ? SECTOR : SCAT_PAGE_BYTES;
	uint32_t n = (uint32_t)(to - from) + 1;

	memcpy(torn, disk, sizeof(torn));
	for (size_t i = from; i < to; i++)
		for (uint64_t at = ops[i].at, done = 0, len; done < ops[i].len;
		     at += len, done += len) {
			len = unit - at % unit;
			if (len > ops[i].len - done)
				len = ops[i].len - done;
			if (mix(seed, (uint32_t)(at / unit)) % n > i - from)
				memcpy(torn + at, ops[i].data + done, len);
		}
	if (from < to)
		spoil(ops, from, to, seed);
}

static void write_torn(void)
{
	int fd = open(REGION, O_RDWR | O_CLOEXEC);

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ((ssize_t)sizeof(torn), write(fd, torn, sizeof(torn)));
	(void)close(fd);
}

static void record_history(void)
{
	struct scat *cat = NULL;
	int fd;

	start_history();
	fd = open(REGION, O_RDONLY | O_CLOEXEC);
	ATF_REQUIRE_EQ((ssize_t)sizeof(disk), read(fd, disk, sizeof(disk)));
	(void)close(fd);
	rig_io.record = true;
	for (uint32_t i = 0; i < 150; i++) {
		if (mix(i, 1) % 8 == 0 || !cat) {
			scat_close(cat);
			cat = rig_open(true);
		}
		commit_next(cat, mix(i, 2) % 3 != 0);
	}
	scat_close(cat);
	rig_io.record = false;
}

/* Power goes before operation @i, after a flush before operation @flushed. */
static void cut_power(size_t flushed, size_t i, uint32_t seed)
{
	const struct rig_op *op = &rig_io.ops[i];
	uint64_t n;

	tear(rig_io.ops, flushed, i, seed);
	write_torn();
	n = require_whole_file();
	if (n < op->durable || n > op->begun)
		atf_tc_fail("operation %zu, seed %u: %llu is not in %u to %u", i, seed,
			    (unsigned long long)n, op->durable, op->begun);
}

/* The dangerous moments are those when the log starts anew. */
static bool restarts_log(size_t flushed, size_t i)
{
	while (flushed < i && (rig_io.ops[flushed].sync || rig_io.ops[flushed].at != WAL_AT))
		flushed++;
	return flushed < i;
}

static void cut_power_everywhere(void)
{
	size_t flushed = 0, trials = 0;

	for (size_t i = 0; i < rig_io.n_ops; i++) {
		const struct rig_op *op = &rig_io.ops[i];
		uint32_t seeds = restarts_log(flushed, i) ? 30 : 1;

		for (uint32_t seed = 0; seed < seeds; seed++, trials++)
			cut_power(flushed, i, mix(seed, (uint32_t)i));
		for (; op->sync && flushed < i; flushed++)
			memcpy(disk + rig_io.ops[flushed].at, rig_io.ops[flushed].data,
			       rig_io.ops[flushed].len);
		if (op->sync)
			flushed = i + 1;
	}
	printf("%zu power cuts\n", trials);
}

ATF_TC(power_cut_anywhere_leaves_a_commit_and_no_durable_one_is_lost);
ATF_TC_HEAD(power_cut_anywhere_leaves_a_commit_and_no_durable_one_is_lost, tc)
{
	atf_tc_set_md_var(tc, "timeout", "600");
}
ATF_TC_BODY(power_cut_anywhere_leaves_a_commit_and_no_durable_one_is_lost, tc)
{
	record_history();
	cut_power_everywhere();
}

/* ---- a wal-index that was kept ---- */

ATF_TC_WITHOUT_HEAD(a_kept_index_of_another_log_is_not_believed);
ATF_TC_BODY(a_kept_index_of_another_log_is_not_believed, tc)
{
	struct scat *cat;

	scat_pretend_life(4711);
	start_history();
	(void)commit_in_a_child(0, true, 3);
	rig_copy(REGION, "three");
	(void)commit_in_a_child(0, true, 2);
	rig_copy(REGION, "five");
	ATF_CHECK_EQ(5, require_whole_file());
	rig_copy("three", REGION); /* the log ends before the index does */
	ATF_CHECK_EQ(3, require_whole_file());
	rig_copy("five", REGION); /* the log goes on behind the index */
	ATF_CHECK_EQ(5, require_whole_file());
	cat = rig_open(true);
	MUST(scat_checkpoint(cat, &rig_err));
	commit_next(cat, true);
	scat_close(cat);
	rig_copy("three", REGION); /* another generation of the log */
	ATF_CHECK_EQ(3, require_whole_file());
	(void)commit_in_a_child(0, true, 4);
	ATF_CHECK_EQ(7, require_whole_file());
}

ATF_TC_WITHOUT_HEAD(an_index_of_an_earlier_life_is_removed);
ATF_TC_BODY(an_index_of_an_earlier_life_is_removed, tc)
{
	char uuid[SNAPMGR_UUID_TEXT], path[300];

	scat_pretend_life(1);
	start_history();
	scat_pretend_life(2);
	(void)commit_in_a_child(0, true, 1);
	sm_uuid_text(&rig_pool.uuid, uuid);
	(void)snprintf(path, sizeof(path), "run/%s/catalogue-shm.2", uuid);
	ATF_CHECK_EQ(0, access(path, F_OK));
	(void)snprintf(path, sizeof(path), "run/%s/catalogue-shm.1", uuid);
	ATF_CHECK_EQ(-1, access(path, F_OK));
	ATF_CHECK_EQ(1, require_whole_file());
}

ATF_TC_WITHOUT_HEAD(a_garbled_index_is_built_anew);
ATF_TC_BODY(a_garbled_index_is_built_anew, tc)
{
	char uuid[SNAPMGR_UUID_TEXT], path[300];
	unsigned char garbage[4096];

	scat_pretend_life(7);
	start_history();
	(void)commit_in_a_child(0, true, 2);
	sm_uuid_text(&rig_pool.uuid, uuid);
	(void)snprintf(path, sizeof(path), "run/%s/catalogue-shm.7", uuid);
	for (int i = 0; i < 20; i++) {
		int fd = open(path, O_RDWR | O_CLOEXEC);

		for (size_t j = 0; j < sizeof(garbage); j++)
			garbage[j] = (unsigned char)mix((uint32_t)i, (uint32_t)j);
		ATF_REQUIRE(pwrite(fd, garbage, i < 10 ? 136 : sizeof(garbage), 0) > 0);
		(void)close(fd);
		ATF_REQUIRE_EQ(2, require_whole_file());
	}
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, killed_before_the_commit_leaves_nothing);
	ATF_TP_ADD_TC(tp, killed_at_any_write_leaves_the_old_or_the_new);
	ATF_TP_ADD_TC(tp, killed_at_any_write_of_a_checkpoint_leaves_all);
	ATF_TP_ADD_TC(tp, killed_with_a_kept_index_leaves_the_old_or_the_new);
	ATF_TP_ADD_TC(tp, a_log_without_its_tail_is_an_older_catalogue);
	ATF_TP_ADD_TC(tp, a_flipped_bit_in_the_log_is_an_older_catalogue);
	ATF_TP_ADD_TC(tp, power_cut_anywhere_leaves_a_commit_and_no_durable_one_is_lost);
	ATF_TP_ADD_TC(tp, a_kept_index_of_another_log_is_not_believed);
	ATF_TP_ADD_TC(tp, an_index_of_an_earlier_life_is_removed);
	ATF_TP_ADD_TC(tp, a_garbled_index_is_built_anew);
	return atf_no_error();
}
