/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * catalogue_size_test.c - a pool of fifty thousand snapshots; times are printed, not required
 */
#include "tests/unit/catalogue_rig.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED false
#endif
#define SNAPSHOTS 50000
#define BATCH	  200

static uint64_t started_ns;

static void start(void)
{
	started_ns = sm_monotonic_ns();
}

static void stop(const char *what, unsigned int times)
{
	printf("%s: %.3f ms\n", what, (double)(sm_monotonic_ns() - started_ns) / 1e6 / times);
}

static struct scat_volume make_many(struct scat *cat)
{
	struct scat_volume v = rig_volume(cat, "v");
	struct scat_snapshot s;
	char name[32];

	start();
	for (unsigned int i = 0; i < SNAPSHOTS; i += BATCH) {
		MUST(scat_begin(cat, &rig_err));
		for (unsigned int j = i; j < i + BATCH; j++) {
			(void)snprintf(name, sizeof(name), "s%u", j);
			MUST(rig_snapshot_in(cat, &v, name, &s));
		}
		MUST(scat_commit(cat, false, &rig_err));
	}
	stop("a new snapshot", SNAPSHOTS);
	return v;
}

/* Rows that statements of this handle walked over without an index. */
static int scanned(struct scat *cat)
{
	int n = 0;

	for (sqlite3_stmt *s = sqlite3_next_stmt(cat->db, NULL); s;
	     s = sqlite3_next_stmt(cat->db, s))
		n += sqlite3_stmt_status(s, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1);
	return n;
}

static void look_up(struct scat *cat, const struct scat_volume *v)
{
	struct scat_snapshot s;
	struct scat_volume w;
	struct scat_undo u;
	char name[32];

	(void)scanned(cat);
	start();
	for (unsigned int i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "s%u", i * 499);
		MUST(scat_snapshot_by_name(cat, v->id, name, &s, &rig_err));
		MUST(scat_snapshot_by_uuid(cat, &s.c.uuid, &s, &rig_err));
		MUST(scat_snapshot_by_id(cat, s.id, &s, &rig_err));
		MUST(scat_snapshot_latest(cat, v->id, i, &s, &rig_err));
		MUST(scat_volume_by_name(cat, "v", &w, &rig_err));
		MUST(scat_volume_by_uuid(cat, &v->c.uuid, &w, &rig_err));
		ATF_REQUIRE_EQ(1, scat_thin_named(cat, i + 1, &rig_err));
		ATF_REQUIRE_EQ(-ENOENT, scat_undo_nth(cat, v->id, 0, &u, &rig_err));
	}
	stop("eight look-ups", 100);
	ATF_CHECK_EQ(0, scanned(cat));
}

static void change(struct scat *cat, struct scat_volume *v)
{
	struct scat_snapshot s;

	(void)scanned(cat);
	start();
	for (unsigned int i = 0; i < 100; i++) {
		MUST(scat_snapshot_latest(cat, v->id, 200, &s, &rig_err));
		s.hold = true;
		MUST(CHANGE(cat, scat_snapshot_update(cat, &s, &rig_err)));
		MUST(CHANGE(cat, scat_snapshot_delete(cat, s.id, &rig_err)));
	}
	stop("an update and a deletion", 100);
	start();
	for (unsigned int i = 0; i < 100; i++) {
		MUST(scat_volume_by_id(cat, v->id, v, &rig_err));
		v->c.size_bytes += 512;
		MUST(CHANGE(cat, scat_volume_update(cat, v, &rig_err)));
	}
	stop("an update of the volume", 100);
	ATF_CHECK_EQ(0, scanned(cat));
}

/* In one transaction, as a recursive deletion does. */
static void delete_all(struct scat *cat, int64_t volume)
{
	struct scat_counts counts;
	struct scat_snapshot s;
	int r;

	start();
	MUST(scat_begin(cat, &rig_err));
	while ((r = scat_snapshot_latest(cat, volume, 0, &s, &rig_err)) == 0) {
		MUST(scat_snapshot_delete(cat, s.id, &rig_err));
		MUST(scat_garbage_add(cat, s.c.thin, &rig_err));
	}
	ATF_REQUIRE_EQ(-ENOENT, r);
	MUST(scat_volume_delete(cat, volume, &rig_err));
	MUST(scat_commit(cat, true, &rig_err));
	stop("deleting all at once", 1);
	printf("%u frames\n", scat_wal_frames(cat));
	MUST(scat_counts(cat, &counts, &rig_err));
	ATF_CHECK(counts.snapshots == 0 && counts.garbage > 49000);
	ATF_CHECK_EQ(0, rig_count_findings(cat));
}

static int count(const struct scat_snapshot *s, void *data)
{
	(void)s;
	++*(unsigned int *)data;
	return 0;
}

ATF_TC(fifty_thousand_snapshots_need_no_scan_and_little_memory);
ATF_TC_HEAD(fifty_thousand_snapshots_need_no_scan_and_little_memory, tc)
{
	atf_tc_set_md_var(tc, "timeout", "600");
}
ATF_TC_BODY(fifty_thousand_snapshots_need_no_scan_and_little_memory, tc)
{
	AUTO(scat_close) struct scat *cat = NULL;
	struct scat_volume v;
	struct rusage usage;
	unsigned int n = 0;

	rig_format(64 * SM_MIB);
	cat = rig_open(true);
	v = make_many(cat);
	scat_close(cat);
	start();
	cat = rig_open(true);
	stop("opening", 1);
	look_up(cat, &v);
	change(cat, &v);
	start();
	MUST(scat_snapshot_each(cat, v.id, count, &n, &rig_err));
	stop("a walk over all", 1);
	ATF_CHECK_EQ(SNAPSHOTS - 100, n);
	printf("%llu KiB used\n", (unsigned long long)scat_used_bytes(cat) / 1024);
	delete_all(cat, v.id);
	ATF_REQUIRE_EQ(0, getrusage(RUSAGE_SELF, &usage));
	printf("%ld KiB resident at most\n", usage.ru_maxrss);
	ATF_CHECK(SANITIZED || usage.ru_maxrss < 16 * 1024);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, fifty_thousand_snapshots_need_no_scan_and_little_memory);
	return atf_no_error();
}
