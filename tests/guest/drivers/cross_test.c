/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Contents that go from one pool to another, of whatever kinds the two are. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "bed.h"

#define BYTES (8 * SM_MIB)
#define LARGE (64 * SM_MIB)
#define TRIES 8 /* until one dies behind a checkpoint */

/* Parts of the two disks: two thin pools, one of linear volumes, one folder that shares and one that not. */
static const char *const pools[] = { "t", "u", "c", "x", "e" };

static void part(const char *name, unsigned int disk, unsigned int from_mib, unsigned int mib,
		 char ret[64])
{
	lab_run("dmsetup create lab-%s --table '0 %u linear %s %u' && dd if=/dev/zero "
		"of=/dev/mapper/lab-%s bs=1M count=2 status=none",
		name, mib * 2048, lab_disk(disk), from_mib * 2048, name);
	(void)snprintf(ret, 64, "/dev/mapper/lab-%s", name);
}

static void make_pool(const char *name, const char *driver, const char *place)
{
	struct snapmgr_pool_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_create_opts);

	opts.driver = driver;
	LAB_DO(snapmgr_pool_create(lab, name, &place, 1, &opts, &err));
}

static void make_folder(const char *name, const char *mkfs, const char *dev)
{
	char dir[64];

	lab_run("%s %s && mkdir -p " LAB "/%s && mount %s " LAB "/%s && mkdir " LAB "/%s/pool",
		mkfs, dev, name, dev, name, name);
	(void)snprintf(dir, sizeof(dir), LAB "/%s/pool", name);
	make_pool(name, "file", dir);
}

static void up(void)
{
	char dev[64];

	lab_run("umount -q " LAB "/x " LAB "/e || true; rm -rf /etc/snapmgr/pools");
	lab_clean();
	lab_reopen();
	part("t", 0, 0, 300, dev);
	make_pool("t", "thin", dev);
	part("u", 0, 300, 300, dev);
	make_pool("u", "thin", dev);
	part("c", 0, 600, 400, dev);
	make_pool("c", "cow", dev);
	part("x", 1, 0, 500, dev);
	make_folder("x", "mkfs.xfs -q -f -m reflink=1", dev);
	part("e", 1, 500, 400, dev);
	make_folder("e", "mkfs.ext4 -q -F", dev);
}

static char *spec(const char *pool, const char *rest)
{
	static char texts[8][160];
	static unsigned int next;
	char *ret = texts[next++ % 8];

	(void)snprintf(ret, sizeof(texts[0]), "%s/%s", pool, rest);
	return ret;
}

/* "v" with a snapshot "v@s", and a head that is another. */
static void make_source(const char *pool, uint64_t bytes)
{
	struct snapmgr_snapshot_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_snapshot_opts);
	const char *s = spec(pool, "v@s");

	opts.cow_bytes = strcmp(pool, "c") == 0 ? bytes : 0;
	lab_create(spec(pool, "v"), bytes);
	bed_write(spec(pool, "v"), 1 + (uint64_t)*pool);
	LAB_DO(snapmgr_snapshot(lab, &s, 1, &opts, NULL, NULL, &err));
	bed_write(spec(pool, "v"), 2 + (uint64_t)*pool);
}

static void copy(const char *from, const char *to)
{
	LAB_DO(snapmgr_copy(lab, from, to, NULL, NULL, NULL, NULL, &err));
}

static int count_operation(const struct snapmgr_operation *op, void *data)
{
	printf("%s of %s/%s is left\n", op->verb, op->pool, op->object);
	++*(size_t *)data;
	return 0;
}

static int see_part(const char *name, const char *uuid, uint32_t major, uint32_t minor, void *data)
{
	(void)uuid, (void)major, (void)minor;
	if (strstr(name, "_source") || strstr(name, "_target")) {
		printf("%s is left\n", name);
		++*(size_t *)data;
	}
	return 0;
}

static int finding(const char *line, bool repaired, void *data)
{
	(void)repaired, (void)data;
	printf("pool check: %s\n", line);
	return 0;
}

static void check_nothing_left(void)
{
	struct snapmgr_pool_check_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_check_opts);
	size_t n = 0;

	LAB_DO(snapmgr_operations(lab, NULL, count_operation, &n, &err));
	LAB_DO(sdm_list("SNAPMGR-", see_part, &n, &err));
	ATF_CHECK_EQ(0, n);
	opts.report = finding;
	for (size_t i = 0; i < SM_ARRAY(pools); i++)
		LAB_DO(snapmgr_pool_check(lab, pools[i], &opts, &err));
}

static void only_snapshot_is_inactive(const char *pool)
{
	struct snapmgr_object o;

	lab_show(spec(pool, "v@latest"), &o);
	ATF_CHECK_STREQ("s", o.name);
	ATF_CHECK(!o.active);
}

/* ---- what there is to say ---- */

ATF_TC_WITHOUT_HEAD(a_snapshot_and_a_head_come_over_between_any_two_kinds_of_pools);
ATF_TC_BODY(a_snapshot_and_a_head_come_over_between_any_two_kinds_of_pools, tc)
{
	up();
	for (size_t i = 0; i < SM_ARRAY(pools); i++)
		make_source(pools[i], BYTES);
	for (size_t i = 0; i < SM_ARRAY(pools); i++) {
		const char *from = pools[i], *next = pools[(i + 1) % SM_ARRAY(pools)];
		const uint64_t of_snapshot = bed_sum_of(spec(from, "v@s"));
		const uint64_t of_head = bed_sum(spec(from, "v"));

		for (size_t k = 0; k < SM_ARRAY(pools); k++) {
			copy(spec(from, "v@s"), spec(pools[k], "new"));
			ATF_CHECK_EQ_MSG(of_snapshot, bed_sum(spec(pools[k], "new")), "%s to %s",
					 from, pools[k]);
			LAB_DO(snapmgr_delete(lab, spec(pools[k], "new"), NULL, NULL, NULL, &err));
		}
		copy(spec(from, "v"), spec(next, "head"));
		ATF_CHECK_EQ_MSG(of_head, bed_sum(spec(next, "head")), "head of %s", from);
		copy(spec(from, "v"), spec(from, "twin"));
		ATF_CHECK_EQ_MSG(of_head, bed_sum(spec(from, "twin")), "within %s", from);
		ATF_CHECK_EQ(of_snapshot, bed_sum_of(spec(from, "v@s")));
		only_snapshot_is_inactive(from);
	}
	check_nothing_left();
}

ATF_TC_WITHOUT_HEAD(into_a_volume_that_is_there_it_can_be_undone);
ATF_TC_BODY(into_a_volume_that_is_there_it_can_be_undone, tc)
{
	static const struct {
		const char *from, *to;
	} pairs[] = { { "c", "t" }, { "t", "x" }, { "x", "e" }, { "e", "u" }, { "x", "x" } };
	char before[BED_IDENTITY], after[BED_IDENTITY];

	up();
	for (size_t i = 0; i < SM_ARRAY(pools) - 1; i++)
		make_source(pools[i], BYTES);
	make_source("e", BYTES);
	for (size_t i = 0; i < SM_ARRAY(pairs); i++) {
		const char *from = pairs[i].from, *to = spec(pairs[i].to, "o");
		uint64_t was, now;

		lab_create(to, BYTES);
		bed_write(to, 77);
		was = bed_sum(to);
		bed_identity(to, before);
		copy(spec(from, "v@s"), to);
		now = bed_sum(to);
		ATF_CHECK_EQ_MSG(bed_sum_of(spec(from, "v@s")), now, "%s to %s", from, to);
		bed_identity(to, after);
		ATF_CHECK_STREQ(before, after);
		LAB_DO(snapmgr_undo(lab, to, NULL, NULL, &err));
		ATF_CHECK_EQ(was, bed_sum(to));
		LAB_DO(snapmgr_undo(lab, to, NULL, NULL, &err));
		ATF_CHECK_EQ(now, bed_sum(to));
		LAB_DO(snapmgr_delete(lab, to, NULL, NULL, NULL, &err));
	}
	check_nothing_left();
}

ATF_TC_WITHOUT_HEAD(a_target_that_is_smaller_or_full_or_cannot_is_refused_and_nothing_changes);
ATF_TC_BODY(a_target_that_is_smaller_or_full_or_cannot_is_refused_and_nothing_changes, tc)
{
	uint64_t was;

	up();
	make_source("x", BYTES);
	for (size_t i = 0; i < SM_ARRAY(pools); i++) {
		lab_create(spec(pools[i], "small"), BYTES / 2);
		bed_write(spec(pools[i], "small"), 3);
		was = bed_sum(spec(pools[i], "small"));
		LAB_REFUSED(SNAPMGR_USAGE, snapmgr_copy(lab, "x/v@s", spec(pools[i], "small"), NULL,
							NULL, NULL, NULL, &err));
		LAB_SAYS("less than");
		ATF_CHECK_EQ(was, bed_sum(spec(pools[i], "small")));
	}
	lab_create("c/same", BYTES);
	LAB_REFUSED(SNAPMGR_UNSUPPORTED,
		    snapmgr_copy(lab, "x/v@s", "c/same", NULL, NULL, NULL, NULL, &err));
	LAB_SAYS("to a new volume");
	/* more than there is in any of them */
	lab_run("dmsetup create lab-big --table '0 %u zero'", 600 * 2048);
	for (size_t i = 0; i < SM_ARRAY(pools); i++) {
		LAB_REFUSED(SNAPMGR_NO_SPACE,
			    snapmgr_copy(lab, "/dev/mapper/lab-big", spec(pools[i], "new"), NULL,
					 NULL, NULL, NULL, &err));
		ATF_CHECK(!lab_exists(spec(pools[i], "new")));
	}
	check_nothing_left();
}

/* ---- while it copies ---- */

static void (*meanwhile)(void);
static uint64_t die_at;
static unsigned int calls;

static int on_progress(const char *what, uint64_t done, uint64_t todo, void *data)
{
	(void)what, (void)todo, (void)data;
	if (die_at && done >= die_at)
		(void)raise(SIGKILL);
	if (calls++ == 0 && meanwhile)
		meanwhile();
	return 0;
}

static struct snapmgr *watched(void (*what)(void), uint64_t death)
{
	struct snapmgr_open_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_open_opts);
	struct snapmgr *sm;

	opts.wait_ms = 30000;
	opts.progress = on_progress;
	meanwhile = what;
	die_at = death;
	calls = 0;
	LAB_DO(snapmgr_open(&opts, &sm, &err));
	return sm;
}

static const char *source;

static void delete_source(void)
{
	LAB_DO(snapmgr_delete(lab, spec(source, "v@s"), NULL, NULL, NULL, &err));
}

static void try_to_delete_source(void)
{
	LAB_REFUSED(SNAPMGR_IN_USE,
		    snapmgr_delete(lab, spec(source, "v@s"), NULL, NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, spec(source, "v@s"), NULL, NULL, &err));
	bed_write(spec(source, "v"), 99);
}

ATF_TC_WITHOUT_HEAD(a_source_that_is_deleted_meanwhile_is_copied_all_the_same_or_kept);
ATF_TC_BODY(a_source_that_is_deleted_meanwhile_is_copied_all_the_same_or_kept, tc)
{
	static const char *const sources[] = { "t", "c", "x", "e" };

	up();
	for (size_t i = 0; i < SM_ARRAY(sources); i++) {
		const bool kept = strcmp(sources[i], "c") == 0;
		struct snapmgr *other = watched(kept ? try_to_delete_source : delete_source, 0);
		uint64_t sum;

		source = sources[i];
		make_source(source, BYTES);
		sum = bed_sum_of(spec(source, "v@s"));
		LAB_DO(snapmgr_copy(other, spec(source, "v@s"), spec("u", source), NULL, NULL, NULL,
				    NULL, &err));
		ATF_CHECK(calls > 0);
		ATF_CHECK_EQ(sum, bed_sum(spec("u", source)));
		ATF_CHECK_EQ(kept, lab_exists(spec(source, "v@s")));
		snapmgr_free(other);
	}
	check_nothing_left();
}

struct job {
	const char *from, *to;
	bool resume;
	uint64_t die_at;
};

static void copy_and_die(void *data)
{
	struct snapmgr_copy_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_copy_opts);
	const struct job *job = data;

	opts.resume = job->resume;
	opts.checkpoint_bytes = SM_MIB;
	lab_ready();
	(void)snapmgr_copy(watched(NULL, job->die_at), job->from, job->to, &opts, NULL, NULL, NULL,
			   NULL);
}

static void die_in(struct job *job)
{
	pid_t pid = lab_child(copy_and_die, job);
	int status;

	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	ATF_REQUIRE(WIFSIGNALED(status));
	lab_end(pid);
}

static int keep_done(const struct snapmgr_operation *op, void *data)
{
	if (strcmp(op->verb, "copy") == 0)
		*(uint64_t *)data = op->done_bytes;
	return 0;
}

/* Behind a checkpoint: which the copy that died may not have come to, if the first bytes were slow. */
static void die_half_way(struct job *job)
{
	uint64_t done = 0;

	for (unsigned int i = 0; i < TRIES; i++) {
		die_in(job);
		LAB_DO(snapmgr_operations(lab, NULL, keep_done, &done, &err));
		if (done)
			return;
		LAB_DO(snapmgr_cancel(lab, job->to, &err));
	}
	atf_tc_fail("no checkpoint in %d tries", TRIES);
}

/* Into a new volume, or into one that is there. */
static void check_resumed(const char *from, const char *to, bool over)
{
	struct snapmgr_copy_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_copy_opts);
	struct snapmgr_copy_result ret;
	struct job job = { spec(from, "v@s"), spec(to, "new"), true, LARGE / 4 };

	opts.resume = true;
	if (over)
		lab_create(job.to, LARGE);
	die_half_way(&job);
	LAB_DO(snapmgr_recover(lab, NULL, NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_BAD_STATE,
		    snapmgr_copy(lab, job.from, job.to, NULL, NULL, NULL, NULL, &err));
	LAB_DO(snapmgr_copy(lab, job.from, job.to, &opts, NULL, NULL, &ret, &err));
	/* every other MiB of it is data */
	ATF_CHECK_MSG(ret.moved_bytes < LARGE / 2, "%s to %s: %ju bytes were moved again", from, to,
		      (uintmax_t)ret.moved_bytes);
	ATF_CHECK_EQ_MSG(bed_sum_of(job.from), bed_sum(job.to), "%s to %s", from, to);
	LAB_DO(snapmgr_delete(lab, job.to, NULL, NULL, NULL, &err));
}

ATF_TC_WITHOUT_HEAD(killed_it_goes_on_where_it_was_between_any_kinds_of_pools);
ATF_TC_BODY(killed_it_goes_on_where_it_was_between_any_kinds_of_pools, tc)
{
	up();
	make_source("t", LARGE);
	make_source("c", LARGE);
	make_source("x", LARGE);
	check_resumed("t", "x", true);
	check_resumed("t", "c", false);
	check_resumed("c", "e", true);
	check_resumed("x", "u", true);
	check_nothing_left();
}

ATF_TC_WITHOUT_HEAD(killed_it_leaves_nothing_in_either_pool);
ATF_TC_BODY(killed_it_leaves_nothing_in_either_pool, tc)
{
	static const char *const targets[] = { "u", "c", "x" };

	up();
	make_source("t", BYTES);
	make_source("c", BYTES);
	make_source("e", BYTES);
	for (size_t i = 0; i < SM_ARRAY(targets); i++) {
		struct job jobs[] = { { spec("t", "v"), spec(targets[i], "new"), false, 1 },
				      { spec("c", "v"), spec(targets[i], "new"), false, 1 },
				      { spec("c", "v@s"), spec(targets[i], "new"), false, 1 },
				      { spec("e", "v"), spec(targets[i], "new"), false, 1 } };

		for (size_t k = 0; k < SM_ARRAY(jobs); k++) {
			die_in(&jobs[k]);
			LAB_DO(snapmgr_recover(lab, NULL, NULL, NULL, &err));
			ATF_CHECK(!lab_exists(jobs[k].to));
		}
		only_snapshot_is_inactive("t");
		only_snapshot_is_inactive("c");
		only_snapshot_is_inactive("e");
	}
	check_nothing_left();
}

/* ---- a revert of another pool's volume ---- */

static void check_revert(const char *from, const char *to)
{
	struct snapmgr_revert_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	const char *snapshot = spec(from, "v@s"), *target = spec(to, "o");
	const uint64_t wanted = bed_sum_of(snapshot);
	char before[BED_IDENTITY], after[BED_IDENTITY];
	struct snapmgr_revert_result ret;
	uint64_t was;

	lab_create(target, 2 * BYTES);
	bed_write(target, 5);
	was = bed_sum(target);
	bed_identity(target, before);
	opts.target = target;
	opts.dry_run = true;
	LAB_DO(snapmgr_revert(lab, snapshot, &opts, &ret, &err));
	ATF_CHECK_STREQ("copy", ret.strategy);
	ATF_CHECK(*ret.reason && ret.in_place && ret.undo);
	ATF_CHECK_MSG(ret.move_bytes >= BYTES / 2 && ret.move_bytes <= BYTES, "%ju",
		      (uintmax_t)ret.move_bytes);
	ATF_CHECK_EQ(was, bed_sum(target));
	opts.dry_run = false;
	LAB_DO(snapmgr_revert(lab, snapshot, &opts, &ret, &err));
	ATF_CHECK_STREQ("copy", ret.strategy);
	ATF_CHECK_STREQ("o", ret.volume.name);
	ATF_CHECK_STREQ("s", ret.snapshot.name);
	ATF_CHECK_EQ(BYTES / 2, ret.move_bytes);
	ATF_CHECK_EQ_MSG(wanted, bed_sum(target), "%s to %s", from, to);
	bed_identity(target, after);
	ATF_CHECK_STREQ(before, after);
	LAB_DO(snapmgr_undo(lab, target, NULL, NULL, &err));
	ATF_CHECK_EQ(was, bed_sum(target));
	LAB_DO(snapmgr_undo(lab, target, NULL, NULL, &err));
	ATF_CHECK_EQ(wanted, bed_sum(target));
	ATF_CHECK_EQ(wanted, bed_sum_of(snapshot));
	opts.strategy = "reflink";
	LAB_REFUSED(SNAPMGR_UNSUPPORTED, snapmgr_revert(lab, snapshot, &opts, NULL, &err));
	LAB_SAYS("open are 'copy'");
	LAB_DO(snapmgr_delete(lab, target, NULL, NULL, NULL, &err));
}

ATF_TC_WITHOUT_HEAD(a_volume_of_another_pool_is_reverted_where_it_is_named);
ATF_TC_BODY(a_volume_of_another_pool_is_reverted_where_it_is_named, tc)
{
	struct snapmgr_revert_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	uint64_t head;

	up();
	make_source("t", BYTES);
	make_source("c", BYTES);
	make_source("x", BYTES);
	check_revert("t", "x");
	check_revert("c", "u");
	check_revert("x", "e");
	check_revert("x", "t");
	/* what cannot be is refused, and changes nothing */
	head = bed_sum("c/v");
	opts.target = "c/v";
	LAB_REFUSED(SNAPMGR_UNSUPPORTED, snapmgr_revert(lab, "t/v@s", &opts, NULL, &err));
	ATF_CHECK_EQ(head, bed_sum("c/v"));
	opts.target = "x/none";
	LAB_REFUSED(SNAPMGR_NOT_FOUND, snapmgr_revert(lab, "t/v@s", &opts, NULL, &err));
	ATF_CHECK(!lab_exists("x/none"));
	opts.target = "none/v";
	LAB_REFUSED(SNAPMGR_NOT_FOUND, snapmgr_revert(lab, "t/v@s", &opts, NULL, &err));
	lab_snapshot("t/v@later");
	opts.target = "x/v";
	opts.latest_only = true;
	LAB_REFUSED(SNAPMGR_NOT_LATEST, snapmgr_revert(lab, "t/v@s", &opts, NULL, &err));
	check_nothing_left();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_volume_of_another_pool_is_reverted_where_it_is_named);
	ATF_TP_ADD_TC(tp, a_snapshot_and_a_head_come_over_between_any_two_kinds_of_pools);
	ATF_TP_ADD_TC(tp, into_a_volume_that_is_there_it_can_be_undone);
	ATF_TP_ADD_TC(tp,
		      a_target_that_is_smaller_or_full_or_cannot_is_refused_and_nothing_changes);
	ATF_TP_ADD_TC(tp, a_source_that_is_deleted_meanwhile_is_copied_all_the_same_or_kept);
	ATF_TP_ADD_TC(tp, killed_it_goes_on_where_it_was_between_any_kinds_of_pools);
	ATF_TP_ADD_TC(tp, killed_it_leaves_nothing_in_either_pool);
	return atf_no_error();
}
