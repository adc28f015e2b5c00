/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables, messages and status lines of thin pools. */
#include <atf-c.h>
#include <errno.h>
#include <string.h>

#include "fake_kernel.h"

static const struct sdm_device meta = { .name = "meta", .uuid = "SNAPMGR-u-meta" };
static const struct sdm_device data = { .name = "data", .uuid = "SNAPMGR-u-data" };
static const struct sdm_device pool = { .name = "pool", .uuid = "SNAPMGR-u-pool" };
static const struct sdm_device vol = { .name = "vol", .uuid = "SNAPMGR-v" };

static void map(const struct sdm_device *dev, const struct sdm_target *target)
{
	struct snapmgr_err err;

	if (sdm_create(dev, target, 1, NULL, &err) < 0)
		atf_tc_fail("%s", err.message);
}

static void pool_up(void)
{
	const struct sdm_pool_table table = { "meta", "data", 1280000, 500, 128, false };
	const struct sdm_target disk = { .len_sectors = 1280000,
					 .type = "linear",
					 .params = "8:0 0" };
	struct sdm_target target;

	fake_kernel_reset();
	map(&meta, &disk);
	map(&data, &disk);
	sdm_pool_target(&table, &target);
	map(&pool, &target);
}

ATF_TC_WITHOUT_HEAD(a_table_names_devices_by_node_or_number);
ATF_TC_BODY(a_table_names_devices_by_node_or_number, tc)
{
	struct sdm_pool_table table = { "253:7", "snapmgr-p0-data", 1024, 5, 128, false };
	struct sdm_target target;

	(void)tc;
	sdm_pool_target(&table, &target);
	ATF_CHECK_STREQ("thin-pool", target.type);
	ATF_CHECK_STREQ("253:7 /dev/mapper/snapmgr-p0-data 128 5 0", target.params);
	ATF_CHECK_EQ(0, target.start_sectors);
	ATF_CHECK_EQ(1024, target.len_sectors);
	table.error_if_no_space = true;
	sdm_pool_target(&table, &target);
	ATF_CHECK_STREQ("253:7 /dev/mapper/snapmgr-p0-data 128 5 1 error_if_no_space",
			target.params);
	sdm_thin_target("253:3", 7, 2048, &target);
	ATF_CHECK_STREQ("thin", target.type);
	ATF_CHECK_STREQ("253:3 7", target.params);
	ATF_CHECK_EQ(2048, target.len_sectors);
}

ATF_TC_WITHOUT_HEAD(the_longest_names_fit_into_a_table);
ATF_TC_BODY(the_longest_names_fit_into_a_table, tc)
{
	struct sdm_pool_table table = { .data_sectors = UINT64_MAX,
					.low_water_chunks = UINT64_MAX,
					.chunk_sectors = UINT32_MAX };
	struct sdm_target target;

	(void)tc;
	memset(table.meta_dev, 'm', sizeof(table.meta_dev) - 1);
	memset(table.data_dev, 'd', sizeof(table.data_dev) - 1);
	sdm_pool_target(&table, &target);
	ATF_CHECK(strstr(target.params, "d 4294967295 18446744073709551615 0") != NULL);
}

ATF_TC_WITHOUT_HEAD(what_is_done_already_counts_as_done);
ATF_TC_BODY(what_is_done_already_counts_as_done, tc)
{
	struct snapmgr_err err;

	(void)tc;
	pool_up();
	ATF_CHECK_EQ(0, sdm_thin_create("pool", 1, &err));
	ATF_CHECK_STREQ("create_thin 1", fake_kernel_last_message());
	ATF_CHECK_EQ(-EEXIST, sdm_thin_create("pool", 1, &err));
	ATF_CHECK_EQ(SNAPMGR_KERNEL, err.code);
	ATF_CHECK_EQ(EEXIST, err.errnum);
	ATF_CHECK_EQ(0, sdm_thin_snap("pool", 2, 1, &err));
	ATF_CHECK_STREQ("create_snap 2 1", fake_kernel_last_message());
	ATF_CHECK_EQ(-ENODATA, sdm_thin_snap("pool", 3, 9, &err));
	ATF_CHECK_EQ(0, sdm_thin_delete("pool", 2, &err));
	ATF_CHECK_EQ(1, sdm_thin_delete("pool", 2, &err));
	ATF_CHECK_EQ(0, sdm_meta_snap("pool", false, &err));
	ATF_CHECK_EQ(0, sdm_meta_snap("pool", true, &err));
	ATF_CHECK_EQ(-EBUSY, sdm_meta_snap("pool", true, &err));
	ATF_CHECK_EQ(0, sdm_meta_snap("pool", false, &err));
	ATF_CHECK_EQ(0, sdm_pool_transaction("pool", 0, 1, &err));
	ATF_CHECK_EQ(-EINVAL, sdm_pool_transaction("pool", 0, 1, &err));
}

ATF_TC_WITHOUT_HEAD(an_id_in_use_is_not_deleted);
ATF_TC_BODY(an_id_in_use_is_not_deleted, tc)
{
	struct sdm_target target;
	struct snapmgr_err err;

	(void)tc;
	pool_up();
	ATF_REQUIRE_EQ(0, sdm_thin_create("pool", 1, &err));
	sdm_thin_target("pool", 1, 2048, &target);
	map(&vol, &target);
	ATF_CHECK_EQ(-EBUSY, sdm_thin_delete("pool", 1, &err));
	ATF_CHECK_EQ(EBUSY, err.errnum);
}

ATF_TC_WITHOUT_HEAD(a_pools_status_is_understood);
ATF_TC_BODY(a_pools_status_is_understood, tc)
{
	struct sdm_pool_status s;
	struct snapmgr_err err;

	(void)tc;
	pool_up();
	fake_kernel_set_status("pool",
			       "5 12/4096 7/10000 - rw discard_passdown queue_if_no_space - 1024");
	ATF_REQUIRE_EQ(0, sdm_pool_status("pool", false, &s, &err));
	ATF_CHECK_EQ(5, s.transaction_id);
	ATF_CHECK_EQ(12, s.meta_used);
	ATF_CHECK_EQ(4096, s.meta_total);
	ATF_CHECK_EQ(7, s.data_used);
	ATF_CHECK_EQ(10000, s.data_total);
	ATF_CHECK_EQ(0, s.held_root);
	ATF_CHECK(!s.fail && !s.read_only && !s.out_of_data && !s.needs_check);

	fake_kernel_set_status("pool", "18446744073709551615 1/2 3/4 99 ro no_discard_passdown "
				       "error_if_no_space needs_check 1024 new words");
	ATF_REQUIRE_EQ(0, sdm_pool_status("pool", false, &s, &err));
	ATF_CHECK_EQ(UINT64_MAX, s.transaction_id);
	ATF_CHECK_EQ(99, s.held_root);
	ATF_CHECK(s.read_only && s.needs_check && !s.out_of_data && !s.fail);

	fake_kernel_set_status("pool",
			       "0 1/2 3/4 - out_of_data_space discard_passdown queue_if_no_space");
	ATF_REQUIRE_EQ(0, sdm_pool_status("pool", false, &s, &err));
	ATF_CHECK(s.out_of_data && !s.read_only && !s.needs_check);

	fake_kernel_set_status("pool", "Fail");
	ATF_REQUIRE_EQ(0, sdm_pool_status("pool", false, &s, &err));
	ATF_CHECK(s.fail);
	fake_kernel_set_status("pool", "Error");
	ATF_REQUIRE_EQ(0, sdm_pool_status("pool", false, &s, &err));
	ATF_CHECK(s.fail);
}

ATF_TC_WITHOUT_HEAD(a_strange_status_is_an_error_and_changes_nothing);
ATF_TC_BODY(a_strange_status_is_an_error_and_changes_nothing, tc)
{
	static const char *const lines[] = {
		" ",
		"5",
		"5 ",
		"x 1/2 3/4 - rw",
		"5 1 2 3/4 - rw",
		"5 1/ 3/4 - rw",
		"5 1/2",
		"5 1/2 3/4",
		"5 1/2 3/4 -",
		"5 1/2 3/4 - ",
		"5 1/2 3/4 - rwx discard_passdown",
		"5 1/2 3/4 seven rw",
		"-5 1/2 3/4 - rw",
		"5 1/2 3/-4 - rw",
		"5 1/2 3/4x - rw",
		"18446744073709551616 1/2 3/4 - rw",
		"Failure",
		"5  1/2 3/4 - rw",
	};
	struct sdm_pool_status s = { .transaction_id = 77 };
	struct snapmgr_err err;

	(void)tc;
	pool_up();
	for (size_t i = 0; i < SM_ARRAY(lines); i++) {
		fake_kernel_set_status("pool", lines[i]);
		ATF_CHECK_EQ_MSG(-EPROTO, sdm_pool_status("pool", false, &s, &err), "'%s'",
				 lines[i]);
		ATF_CHECK_EQ(SNAPMGR_KERNEL, err.code);
		ATF_CHECK_EQ(77, s.transaction_id);
	}
}

ATF_TC_WITHOUT_HEAD(a_thins_status_is_understood);
ATF_TC_BODY(a_thins_status_is_understood, tc)
{
	struct sdm_target target;
	struct snapmgr_err err;
	uint64_t mapped = 1;

	(void)tc;
	pool_up();
	ATF_REQUIRE_EQ(0, sdm_thin_create("pool", 1, &err));
	sdm_thin_target("pool", 1, 2048, &target);
	map(&vol, &target);
	fake_kernel_set_status("vol", "0 -");
	ATF_CHECK_EQ(0, sdm_thin_status("vol", NULL, &mapped, &err));
	ATF_CHECK_EQ(0, mapped);
	fake_kernel_set_status("vol", "1280 2047");
	ATF_CHECK_EQ(0, sdm_thin_status("vol", NULL, &mapped, &err));
	ATF_CHECK_EQ(1280, mapped);
	fake_kernel_set_status("vol", "Fail");
	ATF_CHECK_EQ(-EIO, sdm_thin_status("vol", NULL, &mapped, &err));
	fake_kernel_set_status("vol", "12a4 7");
	ATF_CHECK_EQ(-EPROTO, sdm_thin_status("vol", NULL, &mapped, &err));
	ATF_CHECK_EQ(1280, mapped);
	ATF_CHECK_EQ(-ENOENT, sdm_thin_status("nothing", NULL, &mapped, &err));
	ATF_CHECK_EQ(SNAPMGR_NOT_FOUND, err.code);
}

ATF_TC_WITHOUT_HEAD(the_live_id_is_read_from_the_live_table);
ATF_TC_BODY(the_live_id_is_read_from_the_live_table, tc)
{
	struct sdm_target target;
	struct snapmgr_err err;
	uint64_t sectors = 0;
	uint32_t id = 0;

	(void)tc;
	pool_up();
	ATF_REQUIRE_EQ(0, sdm_thin_create("pool", 1, &err));
	ATF_REQUIRE_EQ(0, sdm_thin_create("pool", 16777215, &err));
	sdm_thin_target("pool", 1, 2048, &target);
	map(&vol, &target);
	sdm_thin_target("pool", 16777215, 4096, &target);
	ATF_REQUIRE_EQ(0, sdm_load(&vol, &target, 1, &err));
	ATF_CHECK_EQ(0, sdm_thin_live_id("vol", &id, &sectors, &err));
	ATF_CHECK_EQ(1, id);
	ATF_CHECK_EQ(2048, sectors);
	ATF_REQUIRE_EQ(0, sdm_resume(&vol, NULL, &err));
	ATF_CHECK_EQ(0, sdm_thin_live_id("vol", &id, &sectors, &err));
	ATF_CHECK_EQ(16777215, id);
	ATF_CHECK_EQ(-ENOENT, sdm_thin_live_id("pool", &id, &sectors, &err));
	ATF_CHECK_EQ(-ENOENT, sdm_thin_live_id("nothing", &id, &sectors, &err));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_table_names_devices_by_node_or_number);
	ATF_TP_ADD_TC(tp, the_longest_names_fit_into_a_table);
	ATF_TP_ADD_TC(tp, what_is_done_already_counts_as_done);
	ATF_TP_ADD_TC(tp, an_id_in_use_is_not_deleted);
	ATF_TP_ADD_TC(tp, a_pools_status_is_understood);
	ATF_TP_ADD_TC(tp, a_strange_status_is_an_error_and_changes_nothing);
	ATF_TP_ADD_TC(tp, a_thins_status_is_understood);
	ATF_TP_ADD_TC(tp, the_live_id_is_read_from_the_live_table);
	return atf_no_error();
}
