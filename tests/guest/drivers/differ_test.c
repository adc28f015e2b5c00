/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What differs, on pools without metadata that tells: held against reading all of it, on random histories. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bed.h"

#define SECTORS	 (BED_BYTES / SM_SECTOR)
#define VERSIONS 8
#define STEPS	 24
#define PAIRS	 12

struct version {
	char spec[32];
	char *contents; /* owned */
};
static struct version versions[2 * VERSIONS + 1];
static size_t n_versions, n_snapshots, n_undos;
static uint64_t state;

static uint64_t draw(uint64_t below)
{
	return lab_random(&state) % below;
}

/* Few patterns, so that the same bytes come back in other places; one of them is zero. */
static void do_write(void)
{
	const uint64_t at = draw(SECTORS) * SM_SECTOR, most = (1 + draw(200)) * SM_SECTOR;
	const uint64_t len = most < BED_BYTES - at ? most : BED_BYTES - at, seed = draw(3);
	AUTO(sm_close_fd) int fd = open(bed_path("p/v"), O_RDWR | O_CLOEXEC);
	AUTO(free) char *zeroes = calloc(1, len);

	ATF_REQUIRE(fd >= 0 && zeroes);
	if (seed)
		lab_pwrite(fd, at, len, seed);
	else
		ATF_REQUIRE_EQ((ssize_t)len, pwrite(fd, zeroes, len, (off_t)at));
	ATF_REQUIRE_EQ(0, fsync(fd));
}

static void do_snapshot(void)
{
	char spec[32];

	if (n_snapshots == VERSIONS)
		return;
	(void)snprintf(spec, sizeof(spec), "p/v@s%zu", n_snapshots++);
	bed_snapshot(spec);
}

static void do_revert(void)
{
	char spec[32];

	if (!n_snapshots || n_undos == 3)
		return;
	(void)snprintf(spec, sizeof(spec), "p/v@s%ju", (uintmax_t)draw(n_snapshots));
	lab_revert(spec);
	n_undos++;
}

static void do_undo(void)
{
	if (n_undos)
		LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
}

static void add(const char *format, size_t i)
{
	struct version *v = &versions[n_versions++];
	struct snapmgr_object o;
	int fd;

	(void)snprintf(v->spec, sizeof(v->spec), format, i);
	lab_show(v->spec, &o);
	if (o.kind != SNAPMGR_VOLUME)
		LAB_DO(snapmgr_activate(lab, v->spec, NULL, NULL, &err));
	v->contents = malloc(BED_BYTES);
	fd = open(bed_path(v->spec), O_RDONLY | O_CLOEXEC);
	ATF_REQUIRE(v->contents && fd >= 0);
	ATF_REQUIRE_EQ((ssize_t)BED_BYTES, pread(fd, v->contents, BED_BYTES, 0));
	(void)close(fd);
	if (o.kind != SNAPMGR_VOLUME)
		LAB_DO(snapmgr_deactivate(lab, v->spec, &err));
}

static void make_history(const struct bed *bed, uint64_t seed)
{
	static void (*const does[])(void) = { do_write,	   do_write, do_write,	  do_write,
					      do_snapshot, do_write, do_snapshot, do_write,
					      do_revert,   do_undo };

	state = seed;
	n_versions = n_snapshots = n_undos = 0;
	bed_up(bed);
	do_write();
	do_snapshot();
	for (unsigned int i = 0; i < STEPS; i++)
		does[draw(SM_ARRAY(does))]();
	for (size_t i = 0; i < n_snapshots; i++)
		add("p/v@s%zu", i);
	for (size_t i = 0; i < n_undos; i++)
		add("p/v@undo~%zu", i);
	add("p/v", 0);
	printf("%s: %zu snapshots, %zu undo points\n", bed->name, n_snapshots, n_undos);
}

struct told {
	bool sectors[SECTORS];
	uint64_t bytes;
	bool wrong;
};

static int keep(const struct snapmgr_extent *e, void *data)
{
	struct told *t = data;

	t->wrong |= e->len_bytes % SM_SECTOR || e->start_bytes % SM_SECTOR ||
		    e->start_bytes + e->len_bytes > BED_BYTES;
	if (t->wrong)
		return 1;
	t->bytes += e->len_bytes;
	memset(t->sectors + e->start_bytes / SM_SECTOR, true, e->len_bytes / SM_SECTOR);
	return 0;
}

/* Exactly what differs; with fast all that does, and maybe more. */
static void check(const struct version *left, const struct version *right, bool fast)
{
	struct snapmgr_diff_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_diff_opts);
	struct snapmgr_diff_result ret;
	struct told t = { .bytes = 0 };

	opts.fast = fast;
	LAB_DO(snapmgr_diff(lab, left->spec, right->spec, &opts, keep, &t, &ret, &err));
	ATF_CHECK(!t.wrong);
	ATF_CHECK_EQ(t.bytes, ret.changed_bytes);
	ATF_CHECK(!fast || !ret.read_bytes);
	for (uint64_t s = 0; s < SECTORS; s++) {
		const bool differs = memcmp(left->contents + s * SM_SECTOR,
					    right->contents + s * SM_SECTOR, SM_SECTOR) != 0;

		ATF_REQUIRE_MSG(fast ? !differs || t.sectors[s] : differs == t.sectors[s],
				"%s %s: sector %ju %s", left->spec, right->spec, (uintmax_t)s,
				differs ? "differs and is not listed" : "is listed");
	}
}

static void check_bed(const struct bed *bed)
{
	const char *text = getenv("SEEDS");
	const uint64_t seeds = text ? strtoull(text, NULL, 10) : 1;

	for (uint64_t seed = 1; seed <= seeds; seed++) {
		make_history(bed, seed);
		for (unsigned int i = 0; i < PAIRS; i++) {
			const struct version *left = &versions[draw(n_versions)],
					     *right = &versions[draw(n_versions)];

			check(left, right, false);
			check(left, right, true);
		}
		bed_check_clean();
		for (size_t i = 0; i < n_versions; i++)
			free(versions[i].contents);
	}
}

#define DIFFERS(name, bed)                                                         \
	ATF_TC_WITHOUT_HEAD(what_differs_is_what_reading_all_of_it_finds__##name); \
	ATF_TC_BODY(what_differs_is_what_reading_all_of_it_finds__##name, tc)      \
	{                                                                          \
		check_bed(&bed);                                                   \
	}
DIFFERS(cow, cow_bed)
DIFFERS(xfs, xfs_bed)
DIFFERS(btrfs, btrfs_bed)
DIFFERS(ext4, ext4_bed)
DIFFERS(tmpfs, tmpfs_bed)

static const struct bed *const sharing[] = { &cow_bed, &xfs_bed, &btrfs_bed };

/* What both share is not read. */
ATF_TC_WITHOUT_HEAD(only_what_has_changed_is_read);
ATF_TC_BODY(only_what_has_changed_is_read, tc)
{
	for (size_t i = 0; i < SM_ARRAY(sharing); i++) {
		struct snapmgr_diff_result ret;
		AUTO(sm_close_fd) int fd = -1;

		bed_up(sharing[i]);
		bed_write("p/v", 1);
		bed_snapshot("p/v@a");
		fd = open(bed_path("p/v"), O_RDWR | O_CLOEXEC);
		lab_pwrite(fd, SM_MIB, 4096, 9);
		ATF_REQUIRE_EQ(0, fsync(fd));
		LAB_DO(snapmgr_diff(lab, "p/v@a", "p/v", NULL, NULL, NULL, &ret, &err));
		ATF_CHECK_EQ_MSG(4096, ret.changed_bytes, "%s: %ju", sharing[i]->name,
				 (uintmax_t)ret.changed_bytes);
		ATF_CHECK_MSG(ret.read_bytes <= 2 * 64 * SM_KIB, "%s: %ju bytes were read",
			      sharing[i]->name, (uintmax_t)ret.read_bytes);
		ATF_CHECK(!ret.left.active);
		LAB_DO(snapmgr_diff(lab, "p/v@a", "p/v@a", NULL, NULL, NULL, &ret, &err));
		ATF_CHECK_EQ(0, ret.changed_bytes);
	}
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_differs_is_what_reading_all_of_it_finds__cow);
	ATF_TP_ADD_TC(tp, what_differs_is_what_reading_all_of_it_finds__xfs);
	ATF_TP_ADD_TC(tp, what_differs_is_what_reading_all_of_it_finds__btrfs);
	ATF_TP_ADD_TC(tp, what_differs_is_what_reading_all_of_it_finds__ext4);
	ATF_TP_ADD_TC(tp, what_differs_is_what_reading_all_of_it_finds__tmpfs);
	ATF_TP_ADD_TC(tp, only_what_has_changed_is_read);
	return atf_no_error();
}
