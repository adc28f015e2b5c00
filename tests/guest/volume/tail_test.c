/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What was cut off by a shrink is not seen again by growing; snapshots keep it. */
#include <fcntl.h>
#include <string.h>

#include "../pool_lab.h"

#define LARGE (4 * SM_MIB)
#define SMALL (1 * SM_MIB + 12 * SM_KIB) /* ends within a chunk */

static void resize(const char *spec, uint64_t bytes)
{
	const struct snapmgr_resize_opts opts = { .size = sizeof(opts), .shrink = true };

	LAB_DO(snapmgr_resize(lab, spec, bytes, &opts, NULL, NULL, &err));
}

static bool is_zero(const char *node, uint64_t from, uint64_t to)
{
	AUTO(sm_close_fd) int fd = open(node, O_RDONLY | O_CLOEXEC);
	static char found[4096], zeroes[4096];

	for (; from < to; from += sizeof(found)) {
		ATF_REQUIRE_EQ(sizeof(found), pread(fd, found, sizeof(found), (off_t)from));
		if (memcmp(found, zeroes, sizeof(found)) != 0)
			return false;
	}
	return true;
}

static void check_grown(const char *spec)
{
	ATF_CHECK(lab_holds(lab_node(spec), 0, SMALL, 1, LAB_DIRECT));
	ATF_CHECK_MSG(is_zero(lab_node(spec), SMALL, LARGE), "'%s' shows what was cut off", spec);
}

static int keep_target(const struct sdm_target *target, void *data)
{
	*(struct sdm_target *)data = *target;
	return 1;
}

/* A second device of a volume's thin id, as long as the volume was. */
static void map_beside(const char *spec, const char *name, const char *uuid)
{
	struct sdm_target target;
	struct snapmgr_object o;

	lab_show(spec, &o);
	ATF_REQUIRE_EQ(1, sdm_table(o.dm_name, false, keep_target, &target, NULL));
	lab_run("dmsetup create %s %s %s --table '0 %ju thin %s'", name, *uuid ? "--uuid" : "",
		uuid, (uintmax_t)(LARGE / SM_SECTOR), target.params);
}

/* As a shrink leaves it that died right after its commit. */
static void leave_tail(const char *spec)
{
	map_beside(spec, "lab-tail", "");
	lab_write("/dev/mapper/lab-tail", SMALL, LARGE - SMALL, 3, LAB_DIRECT);
	lab_run("dmsetup remove lab-tail");
}

static void make_small(void)
{
	lab_up();
	lab_create("p/v", SMALL);
	lab_write(lab_node("p/v"), 0, SMALL, 1, LAB_DIRECT);
	leave_tail("p/v");
}

static uint64_t used(const char *spec)
{
	struct snapmgr_object o;

	lab_show(spec, &o);
	return o.used_bytes;
}

ATF_TC_WITHOUT_HEAD(what_was_cut_off_reads_as_zero_and_is_in_the_snapshot);
ATF_TC_BODY(what_was_cut_off_reads_as_zero_and_is_in_the_snapshot, tc)
{
	lab_up();
	lab_create("p/v", LARGE);
	lab_write(lab_node("p/v"), 0, LARGE, 1, LAB_DIRECT);
	lab_snapshot("p/v@s");
	resize("p/v", SMALL);
	ATF_CHECK_MSG(used("p/v") <= SMALL + 64 * SM_KIB, "%ju bytes are still in use",
		      (uintmax_t)used("p/v"));
	resize("p/v", LARGE);
	check_grown("p/v");
	lab_revert("p/v@s");
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, LARGE, 1, LAB_DIRECT));
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	check_grown("p/v");
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_tail_that_a_crash_left_is_not_seen_by_growing);
ATF_TC_BODY(a_tail_that_a_crash_left_is_not_seen_by_growing, tc)
{
	make_small();
	lab_snapshot("p/v@s");
	resize("p/v", LARGE);
	check_grown("p/v");
	/* The snapshot has it too: a head made of it, and grown. */
	lab_revert("p/v@s");
	LAB_DO(snapmgr_deactivate(lab, "p/v", &err));
	resize("p/v", LARGE);
	LAB_DO(snapmgr_activate(lab, "p/v", NULL, NULL, &err));
	check_grown("p/v");
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_larger_clone_does_not_show_what_was_cut_off);
ATF_TC_BODY(a_larger_clone_does_not_show_what_was_cut_off, tc)
{
	struct snapmgr_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);

	make_small();
	lab_snapshot("p/v@s");
	opts.size_bytes = LARGE;
	opts.from = "p/v@s";
	LAB_DO(snapmgr_create(lab, "p/n", &opts, NULL, NULL, &err));
	check_grown("p/n");
	LAB_DO(snapmgr_activate(lab, "p/v@s", NULL, NULL, &err));
	LAB_DO(snapmgr_create(lab, "p/m", &opts, NULL, NULL, &err));
	check_grown("p/m");
	lab_check_rest();
}

static int keep_uuid(const struct snapmgr_pool *p, void *data)
{
	return sm_copy_text(data, SNAPMGR_UUID_TEXT, p->uuid);
}

ATF_TC_WITHOUT_HEAD(who_dies_while_it_wipes_is_in_nobodys_way);
ATF_TC_BODY(who_dies_while_it_wipes_is_in_nobodys_way, tc)
{
	char uuid[SNAPMGR_UUID_TEXT], role[SDM_UUID_MAX];

	make_small();
	lab_create("p/n", SMALL);
	LAB_DO(snapmgr_pool_show(lab, "p", keep_uuid, uuid, &err));
	(void)snprintf(role, sizeof(role), SM_DM_UUID "%s-tail", uuid);
	map_beside("p/n", "snapmgr-p-_tail", role);
	LAB_DO(snapmgr_delete(lab, "p/n", NULL, NULL, NULL, &err));
	lab_check_rest();
	map_beside("p/v", "snapmgr-p-_tail", role);
	resize("p/v", LARGE);
	check_grown("p/v");
	map_beside("p/v", "snapmgr-p-_tail", role);
	LAB_DO(snapmgr_pool_deactivate(lab, "p", &err));
	LAB_DO(snapmgr_pool_activate(lab, "p", &err));
	check_grown("p/v");
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_was_cut_off_reads_as_zero_and_is_in_the_snapshot);
	ATF_TP_ADD_TC(tp, a_tail_that_a_crash_left_is_not_seen_by_growing);
	ATF_TP_ADD_TC(tp, a_larger_clone_does_not_show_what_was_cut_off);
	ATF_TP_ADD_TC(tp, who_dies_while_it_wipes_is_in_nobodys_way);
	return atf_no_error();
}
