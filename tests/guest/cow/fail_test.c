/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A disk that fails while the kernel merges: what the volume is then, and each way out of it. */
#include <errno.h>

#include "cow_lab.h"

#define DATA_BYTES (256 * SM_MIB)
#define VOLUME	   1u /* ids, in the order in which they are made */
#define STORE	   2u

/* The catalogue is on a disk that is well. */
static void up(void)
{
	struct snapmgr_pool_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_create_opts);
	const char *const devices[] = { "/dev/mapper/lab-data" };

	lab_clean();
	lab_reopen();
	lab_run("dmsetup create lab-data --table '0 %ju linear %s 0'",
		(uintmax_t)(DATA_BYTES / SM_SECTOR), lab_disk(0));
	opts.driver = "cow";
	opts.meta_device = lab_disk(1);
	LAB_DO(snapmgr_pool_create(lab, "p", devices, 1, &opts, &err));
	lab_create("p/v", SIZE);
	cow_fill('a');
	cow_snapshot("p/v@a", 16 * SM_MIB);
	cow_fill('b');
}

static uint64_t number(const char *fmt, unsigned int id)
{
	char command[256];
	uint64_t n = 0;
	FILE *f;

	(void)snprintf(command, sizeof(command), fmt, id);
	f = popen(command, "re");
	ATF_REQUIRE(f != NULL && fscanf(f, "%ju", (uintmax_t *)&n) == 1);
	(void)pclose(f);
	return n;
}

/* @len sectors from @at on of where @id lies are as @target says; the rest of the disk is well. */
static void break_disk(unsigned int id, uint64_t at, uint64_t len, const char *target)
{
	uint64_t from = number("dmsetup table snapmgr-p-_data | awk '{ print $5 + 0*%u }'", id) +
			number("dmsetup table snapmgr-p-_%u | awk 'NR == 1 { print $5 }'", id) + at;
	const uint64_t end = from + len, all = DATA_BYTES / SM_SECTOR;
	char bad[128];

	(void)snprintf(bad, sizeof(bad), target, lab_disk(0), (uintmax_t)from);
	lab_run("printf '0 %ju linear %s 0\\n%ju %ju %s\\n%ju %ju linear %s %ju\\n' | "
		"dmsetup load lab-data && dmsetup resume --noudevsync lab-data",
		(uintmax_t)from, lab_disk(0), (uintmax_t)from, (uintmax_t)len, bad, (uintmax_t)end,
		(uintmax_t)(all - end), lab_disk(0), (uintmax_t)end);
}

static void mend_disk(void)
{
	lab_run("dmsetup load lab-data --table '0 %ju linear %s 0' && "
		"dmsetup resume --noudevsync lab-data",
		(uintmax_t)(DATA_BYTES / SM_SECTOR), lab_disk(0));
}

/*
 * The kernel passes a flush to all that a disk is made of, so one with a part that takes no writes takes no
 * flush either, and a revert would not even begin. So it breaks when the merge is about to.
 */
static unsigned int breaks_at_merge; /* which id; 0: none */

int __real_sdm_create_idle(const struct sdm_device *dev, const struct sdm_target *targets, size_t n,
			   struct snapmgr_err *err);
int __wrap_sdm_create_idle(const struct sdm_device *dev, const struct sdm_target *targets, size_t n,
			   struct snapmgr_err *err);
int __wrap_sdm_create_idle(const struct sdm_device *dev, const struct sdm_target *targets, size_t n,
			   struct snapmgr_err *err)
{
	if (breaks_at_merge && strcmp(targets->type, "snapshot-merge") == 0) {
		break_disk(breaks_at_merge, 0, SIZE / SM_SECTOR,
			   "flakey %s %ju 0 60 1 error_writes");
		breaks_at_merge = 0;
	}
	return __real_sdm_create_idle(dev, targets, n, err);
}

static void check_failed(void)
{
	struct snapmgr_delete_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);
	struct snapmgr_object o;

	lab_show("p/v", &o);
	ATF_CHECK_STREQ("reverting_error", o.state);
	LAB_REFUSED(SNAPMGR_BAD_STATE, snapmgr_reset_state(lab, "p/v", &err));
	LAB_SAYS("snapmgr recover p");
	LAB_REFUSED(SNAPMGR_BAD_STATE, snapmgr_delete(lab, "p/v@a", &opts, NULL, NULL, &err));
	lab_run("snapmgr messages p | grep -q \"error.*gave up the revert of 'p/v'\"");
}

/* Refused, and told why and what then; again and again, as long as the disk is bad. */
static void fail(void)
{
	LAB_REFUSED(SNAPMGR_KERNEL, snapmgr_revert(lab, "p/v@a", NULL, NULL, &err));
	LAB_SAYS("Merge failed");
	LAB_SAYS("snapmgr recover p");
	check_failed();
	LAB_REFUSED(SNAPMGR_KERNEL, snapmgr_recover(lab, "p", NULL, NULL, &err));
	check_failed();
	LAB_DO(snapmgr_set(lab, "p", "reserve", "1%", &err)); /* what does not need it works */
}

static void check_well(char head)
{
	struct snapmgr_object o;

	lab_show("p/v", &o);
	ATF_CHECK_STREQ("available", o.state);
	ATF_CHECK(cow_is("p/v", head));
	ATF_CHECK(cow_is("p/v@a", 'a'));
	cow_fill('c');
	ATF_CHECK(cow_is("p/v@a", 'a'));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_volume_that_takes_no_writes_is_reverted_once_it_does);
ATF_TC_BODY(a_volume_that_takes_no_writes_is_reverted_once_it_does, tc)
{
	up();
	breaks_at_merge = VOLUME;
	fail();
	ATF_CHECK(cow_is("p/v", 'a')); /* wholly, although half of it is in the store */
	mend_disk();
	LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
	ATF_CHECK(cow_is("p/v@undo", 'b'));
	check_well('a');
}

ATF_TC_WITHOUT_HEAD(a_store_that_takes_no_writes_fails_and_the_same_revert_goes_on);
ATF_TC_BODY(a_store_that_takes_no_writes_fails_and_the_same_revert_goes_on, tc)
{
	struct snapmgr_revert_result ret;

	up();
	breaks_at_merge = STORE;
	fail();
	ATF_CHECK(cow_is("p/v", 'a'));
	mend_disk();
	LAB_DO(snapmgr_revert(lab, "p/v@a", NULL, &ret, &err));
	ATF_CHECK(ret.in_place && ret.undo);
	ATF_CHECK_EQ(1, lab_undo_points("p/v"));
	ATF_CHECK(cow_is("p/v@undo", 'b'));
	check_well('a');
}

ATF_TC_WITHOUT_HEAD(a_store_that_cannot_be_read_fails_and_an_undo_leads_back);
ATF_TC_BODY(a_store_that_cannot_be_read_fails_and_an_undo_leads_back, tc)
{
	up();
	break_disk(STORE, 3 * SM_MIB / SM_SECTOR, 128, "error");
	fail();
	mend_disk();
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	ATF_CHECK(cow_is("p/v@undo", 'a'));
	check_well('b');
}

static void wait_until_available(void)
{
	struct snapmgr_object o;

	do {
		lab_sleep_ms(25);
		LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
		lab_show("p/v", &o);
	} while (strcmp(o.state, "available") != 0);
}

ATF_TC_WITHOUT_HEAD(a_pool_that_is_activated_again_goes_on_by_itself);
ATF_TC_BODY(a_pool_that_is_activated_again_goes_on_by_itself, tc)
{
	up();
	breaks_at_merge = VOLUME;
	fail();
	mend_disk();
	LAB_DO(snapmgr_pool_deactivate(lab, "p", &err));
	LAB_DO(snapmgr_pool_activate(lab, "p", &err));
	wait_until_available();
	check_well('a');
}

ATF_TC_WITHOUT_HEAD(who_reads_the_volume_has_to_close_it_first);
ATF_TC_BODY(who_reads_the_volume_has_to_close_it_first, tc)
{
	FILE *f;

	up();
	breaks_at_merge = VOLUME;
	fail();
	mend_disk();
	f = fopen(lab_node("p/v"), "re");
	ATF_REQUIRE(f != NULL);
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, "p/v@a", NULL, NULL, &err));
	(void)fclose(f);
	LAB_DO(snapmgr_revert(lab, "p/v@a", NULL, NULL, &err));
	check_well('a');
}

ATF_TC_WITHOUT_HEAD(with_a_disk_that_stays_bad_the_volume_can_be_deleted);
ATF_TC_BODY(with_a_disk_that_stays_bad_the_volume_can_be_deleted, tc)
{
	struct snapmgr_delete_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);

	up();
	breaks_at_merge = VOLUME;
	fail();
	opts.recursive = true;
	LAB_DO(snapmgr_delete(lab, "p/v", &opts, NULL, NULL, &err));
	ATF_CHECK(!lab_exists("p/v"));
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_volume_that_takes_no_writes_is_reverted_once_it_does);
	ATF_TP_ADD_TC(tp, a_store_that_takes_no_writes_fails_and_the_same_revert_goes_on);
	ATF_TP_ADD_TC(tp, a_store_that_cannot_be_read_fails_and_an_undo_leads_back);
	ATF_TP_ADD_TC(tp, a_pool_that_is_activated_again_goes_on_by_itself);
	ATF_TP_ADD_TC(tp, who_reads_the_volume_has_to_close_it_first);
	ATF_TP_ADD_TC(tp, with_a_disk_that_stays_bad_the_volume_can_be_deleted);
	return atf_no_error();
}
