/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/catalogue_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define REGION_BYTES SCAT_MIN_BYTES
#define WAL_AT	     4096u
#define DB_AT	     (WAL_AT + 2 * SM_MIB)

static struct scat_volume volume;

/* A catalogue with a bit of everything, all of it in the database and nothing in the log. */
static void fill(void)
{
	struct scat_operation op = { .verb = "revert", .pid = 1, .started_at_us = 1 };
	struct scat_undo u = { .size_bytes = 4096, .thin = 5000 };
	struct scat *cat;
	char name[32];

	rig_format(REGION_BYTES);
	cat = rig_open(true);
	volume = rig_volume(cat, "v");
	(void)rig_volume(cat, "w");
	for (int i = 1; i <= 30; i++) {
		(void)snprintf(name, sizeof(name), "s%d", i);
		(void)rig_snapshot(cat, &volume, name);
	}
	u.volume = op.volume = volume.id;
	sm_uuid_make(&u.uuid);
	sm_uuid_make(&op.uuid);
	sm_uuid_make(&op.boot_id);
	MUST(CHANGE(cat, scat_undo_insert(cat, &u, &rig_err)));
	MUST(CHANGE(cat, scat_operation_insert(cat, &op, &rig_err)));
	MUST(CHANGE(cat, scat_garbage_add(cat, 6000, &rig_err)));
	MUST(CHANGE(cat, scat_tag_set(cat, &volume.c.uuid, "key", "value", &rig_err)));
	MUST(scat_checkpoint(cat, &rig_err));
	scat_close(cat);
}

/* ---- everything that reads ---- */

static int seen_volume(const struct scat_volume *v, void *data)
{
	ATF_REQUIRE(v->c.size_bytes % 512 == 0 && strlen(v->c.name) <= SNAPMGR_NAME_MAX);
	++*(int *)data;
	return 0;
}

static int seen_snapshot(const struct scat_snapshot *s, void *data)
{
	ATF_REQUIRE(s->c.parent < s->id && s->c.thin < 1u << 24);
	++*(int *)data;
	return 0;
}

static int seen_undo(const struct scat_undo *u, void *data)
{
	(void)u;
	++*(int *)data;
	return 0;
}

static int seen_operation(const struct scat_operation *op, void *data)
{
	(void)op;
	++*(int *)data;
	return 0;
}

static int seen_garbage(uint32_t thin, void *data)
{
	(void)thin;
	++*(int *)data;
	return 0;
}

static int seen_finding(const char *line, void *data)
{
	(void)line;
	++*(int *)data;
	return 0;
}

/* Whatever is on the disk: an answer, or damaged, and never anything else. */
static void require_damaged_or_fine(int r)
{
	if (r == 0 || r == -ENOENT || r == -ESTALE)
		return;
	ATF_REQUIRE_MSG(r == -EUCLEAN || r == -EPROTONOSUPPORT, "%d: %s", r, rig_err.message);
	ATF_REQUIRE(rig_err.code == SNAPMGR_DAMAGED || rig_err.code == SNAPMGR_NEWER_VERSION);
}

/* Return: true where every question was answered. */
static bool read_all(struct scat *cat)
{
	AUTO(free) struct snapmgr_tag *tags = NULL;
	struct scat_snapshot s;
	struct scat_counts counts;
	struct scat_volume v;
	struct scat_pool pool;
	int n = 0, bad = 0, r[12];
	size_t n_tags;

	r[0] = scat_pool_get(cat, &pool, &rig_err);
	r[1] = scat_volume_each(cat, seen_volume, &n, &rig_err);
	r[2] = scat_snapshot_each(cat, -1, seen_snapshot, &n, &rig_err);
	r[3] = scat_snapshot_each(cat, volume.id, seen_snapshot, &n, &rig_err);
	r[4] = scat_undo_each(cat, -1, seen_undo, &n, &rig_err);
	r[5] = scat_operation_each(cat, seen_operation, &n, &rig_err);
	r[6] = scat_garbage_each(cat, seen_garbage, &n, &rig_err);
	r[7] = scat_tags_get(cat, &volume.c.uuid, &tags, &n_tags, &rig_err);
	r[8] = scat_volume_by_name(cat, "v", &v, &rig_err);
	r[9] = scat_snapshot_latest(cat, volume.id, 3, &s, &rig_err);
	r[10] = scat_counts(cat, &counts, &rig_err);
	r[11] = scat_check(cat, seen_finding, &n, &rig_err);
	for (size_t i = 0; i < SM_ARRAY(r); i++) {
		require_damaged_or_fine(r[i]);
		bad += r[i] < 0;
	}
	return bad == 0;
}

/* Return: true where it opened and every question was answered. */
static bool open_and_read_all(void)
{
	struct scat *cat = NULL;
	bool all;
	int r;

	memset(&rig_err, 0, sizeof(rig_err));
	r = scat_open(REGION, &rig_pool.uuid, false, &cat, &rig_err);
	require_damaged_or_fine(r);
	if (r < 0)
		return false;
	all = read_all(cat);
	scat_close(cat);
	return all;
}

/* ---- bytes ---- */

static void put(uint64_t at, const void *data, size_t len)
{
	int fd = open(REGION, O_RDWR | O_CLOEXEC);

	ATF_REQUIRE(fd >= 0 && pwrite(fd, data, len, (off_t)at) == (ssize_t)len);
	(void)close(fd);
}

static void get(uint64_t at, void *data, size_t len)
{
	int fd = open(REGION, O_RDONLY | O_CLOEXEC);

	ATF_REQUIRE(fd >= 0 && pread(fd, data, len, (off_t)at) == (ssize_t)len);
	(void)close(fd);
}

static uint32_t count_pages(void)
{
	unsigned char n[4];

	get(DB_AT + 28, n, 4);
	return (uint32_t)n[0] << 24 | (uint32_t)n[1] << 16 | (uint32_t)n[2] << 8 | n[3];
}

static void put_page(uint32_t page, const void *data)
{
	put(DB_AT + page * (uint64_t)SCAT_PAGE_BYTES, data, SCAT_PAGE_BYTES);
}

ATF_TC_WITHOUT_HEAD(a_lost_page_is_damage_or_was_not_needed);
ATF_TC_BODY(a_lost_page_is_damage_or_was_not_needed, tc)
{
	static const unsigned char zeroes[SCAT_PAGE_BYTES];
	unsigned char page[SCAT_PAGE_BYTES], noise[SCAT_PAGE_BYTES];
	uint32_t n, lost = 0;

	fill();
	n = count_pages();
	srandom(1);
	ATF_REQUIRE(open_and_read_all());
	for (uint32_t i = 0; i < n; i++) {
		get(DB_AT + i * (uint64_t)SCAT_PAGE_BYTES, page, sizeof(page));
		for (size_t j = 0; j < sizeof(noise); j++)
			noise[j] = (unsigned char)random();
		put_page(i, zeroes);
		lost += !open_and_read_all();
		put_page(i, noise);
		lost += !open_and_read_all();
		put_page(i, page);
	}
	printf("%u of %u losses were noticed by plain reading\n", lost, 2 * n);
	ATF_CHECK(lost > n / 2);
	ATF_CHECK(open_and_read_all());
}

ATF_TC(flipped_bits_are_damage_or_another_answer);
ATF_TC_HEAD(flipped_bits_are_damage_or_another_answer, tc)
{
	atf_tc_set_md_var(tc, "timeout", "600");
}
ATF_TC_BODY(flipped_bits_are_damage_or_another_answer, tc)
{
	uint32_t n, noticed = 0, flips = 0;

	fill();
	n = count_pages();
	srandom(2);
	for (uint32_t i = 0; i < n; i++)
		for (int j = 0; j < 40; j++, flips++) {
			/* half of them in the page's header and cell pointers */
			uint64_t at = DB_AT + i * (uint64_t)SCAT_PAGE_BYTES +
				      (uint64_t)random() % (j % 2 ? SCAT_PAGE_BYTES : 64);
			unsigned char c, flipped;

			get(at, &c, 1);
			flipped = c ^ (unsigned char)(1u << random() % 8);
			put(at, &flipped, 1);
			noticed += !open_and_read_all();
			put(at, &c, 1);
		}
	printf("%u of %u flips were noticed by plain reading\n", noticed, flips);
	ATF_CHECK(open_and_read_all());
}

ATF_TC_WITHOUT_HEAD(a_database_that_is_not_one_is_damage);
ATF_TC_BODY(a_database_that_is_not_one_is_damage, tc)
{
	static const struct {
		uint64_t at;
		size_t len;
	} holes[] = { { 0, 16 }, { 16, 2 }, { 19, 1 }, { 68, 4 }, { 0, 4096 } };
	static const unsigned char ones[4096] = { [0 ... 4095] = 1 };
	static const unsigned char zeroes[4096];

	for (size_t i = 0; i < SM_ARRAY(holes); i++) {
		fill();
		put(WAL_AT, zeroes, sizeof(zeroes)); /* nor does the log help */
		put(DB_AT + holes[i].at, ones, holes[i].len);
		ATF_CHECK_MSG(!open_and_read_all(), "%zu", i);
		ATF_CHECK_EQ(SNAPMGR_DAMAGED, rig_err.code);
		ATF_CHECK_MSG(strstr(rig_err.message, "run 'snapmgr pool check"), "%s",
			      rig_err.message);
	}
}

ATF_TC_WITHOUT_HEAD(noise_instead_of_all_is_damage);
ATF_TC_BODY(noise_instead_of_all_is_damage, tc)
{
	static unsigned char noise[REGION_BYTES];

	fill();
	srandom(3);
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (unsigned char)random();
	put(DB_AT, noise, sizeof(noise) - DB_AT);
	ATF_CHECK(!open_and_read_all());
	put(WAL_AT, noise, sizeof(noise) - WAL_AT);
	ATF_CHECK(!open_and_read_all());
}

/* ---- another schema ---- */

static int open_after(const char *sql)
{
	struct scat *cat = rig_open(true);
	int r;

	rig_sql(cat, sql);
	scat_close(cat);
	cat = NULL;
	r = scat_open(REGION, &rig_pool.uuid, false, &cat, &rig_err);
	scat_close(cat);
	return r;
}

ATF_TC_WITHOUT_HEAD(a_newer_schema_is_for_newer_programs);
ATF_TC_BODY(a_newer_schema_is_for_newer_programs, tc)
{
	fill();
	ATF_CHECK_EQ(-EPROTONOSUPPORT, open_after("CREATE TABLE later(x);PRAGMA user_version=2"));
	ATF_CHECK_EQ(SNAPMGR_NEWER_VERSION, rig_err.code);
	ATF_CHECK_MSG(strstr(rig_err.message, "schema 2"), "%s", rig_err.message);
}

ATF_TC_WITHOUT_HEAD(tables_that_are_not_ours_are_damage);
ATF_TC_BODY(tables_that_are_not_ours_are_damage, tc)
{
	static const char *const changes[] = {
		"PRAGMA user_version=0",
		"PRAGMA application_id=1",
		"CREATE TABLE more(x)",
		"CREATE INDEX more ON snapshots(label)",
		"DROP INDEX snapshots_sequence",
		"ALTER TABLE volumes ADD COLUMN x INTEGER",
		"CREATE TRIGGER t AFTER INSERT ON garbage BEGIN DELETE FROM volumes; END",
		"CREATE VIEW more AS SELECT * FROM volumes",
		"DROP TABLE garbage;CREATE VIEW garbage AS SELECT 1 AS thin",
		"DROP TABLE quotas",
		"PRAGMA writable_schema=ON;UPDATE sqlite_schema SET sql=sql||' ' WHERE rowid=5",
		"PRAGMA writable_schema=ON;DELETE FROM sqlite_schema WHERE name='undos_parent'",
		"PRAGMA writable_schema=ON;UPDATE sqlite_schema SET sql=sql||' ' WHERE name='pool'",
	};

	for (size_t i = 0; i < SM_ARRAY(changes); i++) {
		fill();
		ATF_CHECK_EQ_MSG(-EUCLEAN, open_after(changes[i]), "%s", changes[i]);
		ATF_CHECK_EQ_MSG(SNAPMGR_DAMAGED, rig_err.code, "%s", rig_err.message);
	}
}

/* ---- rows that break a rule ---- */

static const struct {
	const char *sql, *said;
} lies[] = {
	{ "UPDATE volumes SET size=513", "size" },
	{ "UPDATE volumes SET size=0", "size" },
	{ "UPDATE volumes SET size=-512", "size" },
	{ "UPDATE volumes SET thin=16777216 WHERE id=1", "thin id" },
	{ "UPDATE volumes SET thin=0 WHERE id=1", "thin id" },
	{ "UPDATE volumes SET state='dancing'", "state" },
	{ "UPDATE volumes SET state='restoring'", "state" },
	{ "UPDATE volumes SET uuid=zeroblob(15) WHERE id=1", "UUID" },
	{ "UPDATE volumes SET uuid=zeroblob(16) WHERE id=1", "UUID" },
	{ "UPDATE volumes SET created_at=-1", "creation time" },
	{ "UPDATE volumes SET created_at=9223372036854775807", "creation time" },
	{ "UPDATE volumes SET sequence=-1", "sequence" },
	{ "UPDATE volumes SET undo_keep=4294967296", "undo_keep" },
	{ "UPDATE volumes SET guest=2", "guest" },
	{ "UPDATE volumes SET parent=-7", "parent" },
	{ "UPDATE volumes SET label=replace(hex(zeroblob(65)),'0','x')", "label" },
	{ "UPDATE volumes SET label=char(10)", "label" },
	{ "UPDATE volumes SET label=CAST(x'61ff' AS TEXT)", "label" },
	{ "UPDATE volumes SET label=CAST(x'610062' AS TEXT)", "label" },
	{ "UPDATE volumes SET description=replace(hex(zeroblob(400)),'0','x')", "description" },
	{ "UPDATE names SET name='../../etc' WHERE id=1", "name" },
	{ "UPDATE names SET name='' WHERE id=1", "name" },
	{ "UPDATE names SET name='0d5c6d2e-5a5c-4b6e-9a53-0f4f7a1e7a10' WHERE id=1", "name" },
	{ "UPDATE snapshots SET parent=id WHERE id=2", "parent" },
	{ "UPDATE snapshots SET parent=9 WHERE id=2", "parent" },
	{ "UPDATE snapshots SET hold=-1", "hold" },
	{ "UPDATE snapshots SET used=-1", "used size" },
	{ "UPDATE snapshots SET volume=77", "volume" },
	{ "UPDATE snapshots SET state='reverting'", "state" },
	{ "UPDATE snapshots SET name='a b' WHERE id=3", "name" },
	{ "UPDATE undos SET size=1", "size" },
	{ "UPDATE undos SET uuid=x'00'", "UUID" },
	{ "UPDATE operations SET pid=0", "pid" },
	{ "UPDATE operations SET verb=replace(hex(zeroblob(20)),'0','x')", "verb" },
	{ "UPDATE operations SET boot_id=x''", "boot id" },
	{ "UPDATE garbage SET thin=1<<24", "thin id" },
	{ "UPDATE garbage SET thin=-1", "thin id" },
	{ "UPDATE tags SET value=char(7)", "value" },
	{ "UPDATE pool SET next_thin=0", "next thin id" },
	{ "UPDATE pool SET block_bytes=1024", "block size" },
	{ "UPDATE pool SET next_transaction_id=transaction_id+2", "transaction id" },
	{ "UPDATE pool SET name='.'", "name" },
	{ "UPDATE pool SET uuid=randomblob(16)", "UUID" },
	{ "DELETE FROM pool", "its own pool" },
};

static int count_and_print(const char *line, void *data)
{
	printf("  %s\n", line);
	++*(int *)data;
	return 0;
}

ATF_TC_WITHOUT_HEAD(a_row_that_breaks_a_rule_is_damage_and_named);
ATF_TC_BODY(a_row_that_breaks_a_rule_is_damage_and_named, tc)
{
	struct scat *cat;

	fill();
	rig_copy(REGION, "good");
	for (size_t i = 0; i < SM_ARRAY(lies); i++) {
		int findings = 0;

		rig_copy("good", REGION);
		cat = rig_open(true);
		rig_sql(cat, lies[i].sql);
		ATF_CHECK_MSG(!read_all(cat), "%s: nobody noticed", lies[i].sql);
		ATF_CHECK_MSG(strstr(rig_err.message, lies[i].said), "%s: %s", lies[i].sql,
			      rig_err.message);
		ATF_CHECK(strstr(rig_err.message, "run 'snapmgr pool check") != NULL);
		MUST(scat_check(cat, count_and_print, &findings, &rig_err));
		ATF_CHECK_MSG(findings > 0 || strstr(lies[i].sql, "tags"), "%s", lies[i].sql);
		scat_close(cat);
	}
}

ATF_TC_WITHOUT_HEAD(a_check_finds_what_single_rows_cannot_show);
ATF_TC_BODY(a_check_finds_what_single_rows_cannot_show, tc)
{
	static const char *const changes[] = {
		"UPDATE undos SET thin=(SELECT thin FROM volumes WHERE id=1)",
		"INSERT INTO garbage(thin)SELECT thin FROM volumes WHERE id=1",
		"UPDATE pool SET next_thin=5,reserved_thin=5",
		"UPDATE volumes SET parent=999 WHERE id=2",
		"UPDATE operations SET volume=999",
		"DELETE FROM volumes WHERE id=1",
		"UPDATE volumes SET sequence=7 WHERE id=1",
		"INSERT INTO group_members VALUES(1,55)",
	};
	struct scat *cat;

	fill();
	rig_copy(REGION, "good");
	for (size_t i = 0; i < SM_ARRAY(changes); i++) {
		rig_copy("good", REGION);
		cat = rig_open(true);
		rig_sql(cat, changes[i]);
		ATF_CHECK_MSG(rig_count_findings(cat) > 0, "%s", changes[i]);
		scat_close(cat);
	}
}

ATF_TC_WITHOUT_HEAD(an_index_that_lies_is_found_by_the_check);
ATF_TC_BODY(an_index_that_lies_is_found_by_the_check, tc)
{
	struct scat *cat;

	fill();
	cat = rig_open(true);
	rig_sql(cat,
		"PRAGMA writable_schema=ON;"
		"UPDATE sqlite_schema SET sql='CREATE INDEX snapshots_parent ON snapshots(hold)'"
		"WHERE name='snapshots_parent'");
	scat_close(cat);
	ATF_REQUIRE_EQ(-EUCLEAN, scat_open(REGION, &rig_pool.uuid, true, &cat, &rig_err));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_lost_page_is_damage_or_was_not_needed);
	ATF_TP_ADD_TC(tp, flipped_bits_are_damage_or_another_answer);
	ATF_TP_ADD_TC(tp, a_database_that_is_not_one_is_damage);
	ATF_TP_ADD_TC(tp, noise_instead_of_all_is_damage);
	ATF_TP_ADD_TC(tp, a_newer_schema_is_for_newer_programs);
	ATF_TP_ADD_TC(tp, tables_that_are_not_ours_are_damage);
	ATF_TP_ADD_TC(tp, a_row_that_breaks_a_rule_is_damage_and_named);
	ATF_TP_ADD_TC(tp, a_check_finds_what_single_rows_cannot_show);
	ATF_TP_ADD_TC(tp, an_index_that_lies_is_found_by_the_check);
	return atf_no_error();
}
