/* SPDX-License-Identifier: GPL-2.0-or-later */
/* With udevd: nothing by which a volume is known changes in a revert, and what is inside is seen anew. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "../pool_lab.h"

#define SIZE (64 * SM_MIB)

struct identity {
	struct snapmgr_object o;
	char tags[512];
	struct sdm_info dm;
	char link[256];
	dev_t node;
};

static int keep(const struct snapmgr_object *o, void *data)
{
	struct identity *id = data;
	size_t len = 0;

	id->o = *o;
	id->tags[0] = '\0';
	for (size_t i = 0; i < o->n_tags; i++)
		len += (size_t)snprintf(id->tags + len, sizeof(id->tags) - len, "%s=%s;",
					o->tags[i].key, o->tags[i].value);
	return 0;
}

static void settle(void)
{
	lab_run("udevadm settle");
}

static void look(struct identity *ret)
{
	struct stat st;
	ssize_t n;

	settle();
	*ret = (struct identity){ 0 };
	LAB_DO(snapmgr_show(lab, "p/v", keep, ret, &err));
	LAB_DO(sdm_info(ret->o.dm_name, &ret->dm, &err));
	n = readlink("/dev/snapmgr/p/v", ret->link, sizeof(ret->link) - 1);
	ATF_REQUIRE_MSG(n > 0, "there is no /dev/snapmgr/p/v: %s", strerror(errno));
	ATF_REQUIRE_EQ(0, stat("/dev/snapmgr/p/v", &st));
	ret->node = st.st_rdev;
}

static void check_same(const struct identity *a, const struct identity *b)
{
	ATF_CHECK_STREQ(a->o.name, b->o.name);
	ATF_CHECK_STREQ(a->o.uuid, b->o.uuid);
	ATF_CHECK_STREQ(a->o.dm_name, b->o.dm_name);
	ATF_CHECK_STREQ(a->o.device, b->o.device);
	ATF_CHECK_STREQ(a->o.project, b->o.project);
	ATF_CHECK_STREQ(a->o.label, b->o.label);
	ATF_CHECK_STREQ(a->o.description, b->o.description);
	ATF_CHECK_STREQ(a->tags, b->tags);
	ATF_CHECK_EQ(a->o.created_at_us, b->o.created_at_us);
	ATF_CHECK_EQ(a->o.undo_keep, b->o.undo_keep);
	ATF_CHECK_EQ(a->o.major, b->o.major);
	ATF_CHECK_EQ(a->o.minor, b->o.minor);
	ATF_CHECK_STREQ(a->dm.name, b->dm.name);
	ATF_CHECK_STREQ(a->dm.uuid, b->dm.uuid);
	ATF_CHECK_EQ(a->dm.minor, b->dm.minor);
	ATF_CHECK_STREQ(a->link, b->link);
	ATF_CHECK_EQ(a->node, b->node);
}

static void make_volume(void)
{
	const struct snapmgr_tag tags[] = { { "role", "db" }, { "tier", "gold" } };
	const struct snapmgr_create_opts opts = {
		.size = sizeof(opts),
		.size_bytes = SIZE,
		.project = "web",
		.label = "the label",
		.description = "what it is for",
		.tags = tags,
		.n_tags = 2,
	};

	lab_up();
	LAB_DO(snapmgr_create(lab, "p/v", &opts, NULL, NULL, &err));
	settle();
}

ATF_TC_WITHOUT_HEAD(a_revert_keeps_all_that_a_volume_is_known_by);
ATF_TC_BODY(a_revert_keeps_all_that_a_volume_is_known_by, tc)
{
	struct identity before, after;

	make_volume();
	lab_write(lab_node("p/v"), 0, SM_MIB, 1, LAB_DIRECT);
	lab_snapshot("p/v@s");
	lab_write(lab_node("p/v"), 0, SM_MIB, 2, LAB_DIRECT);
	look(&before);
	ATF_REQUIRE_STREQ("role=db;tier=gold;", before.tags);
	lab_revert("p/v@s");
	look(&after);
	check_same(&before, &after);
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	look(&after);
	check_same(&before, &after);
	ATF_CHECK(lab_holds("/dev/snapmgr/p/v", 0, SM_MIB, 2, LAB_DIRECT));
	lab_check_rest();
}

static uint64_t device_bytes(void)
{
	AUTO(sm_close_fd) int fd = open("/dev/snapmgr/p/v", O_RDONLY | O_CLOEXEC);
	off_t end = lseek(fd, 0, SEEK_END);

	ATF_REQUIRE(end > 0);
	return (uint64_t)end;
}

ATF_TC_WITHOUT_HEAD(a_size_that_changes_back_keeps_it_too);
ATF_TC_BODY(a_size_that_changes_back_keeps_it_too, tc)
{
	struct identity before, after;

	make_volume();
	lab_snapshot("p/v@small");
	look(&before);
	LAB_DO(snapmgr_resize(lab, "p/v", 2 * SIZE, NULL, NULL, NULL, &err));
	ATF_CHECK_EQ(2 * SIZE, device_bytes());
	lab_revert("p/v@small");
	look(&after);
	check_same(&before, &after);
	ATF_CHECK_EQ(SIZE, after.o.size_bytes);
	ATF_CHECK_EQ(SIZE, device_bytes());
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	look(&after);
	check_same(&before, &after);
	ATF_CHECK_EQ(2 * SIZE, after.o.size_bytes);
	ATF_CHECK_EQ(2 * SIZE, device_bytes());
	lab_check_rest();
}

#define UUID_A "aaaaaaaa-1111-4222-8333-aaaaaaaaaaaa"
#define UUID_B "bbbbbbbb-1111-4222-8333-bbbbbbbbbbbb"

/* udevd hears of a writer that closed the device some time after it has. */
static void check_links(const char *has, const char *lacks)
{
	struct stat st, volume;
	bool right = false;

	for (int i = 0; i < 100 && !right; i++) {
		settle();
		right = stat(has, &st) == 0 && stat("/dev/snapmgr/p/v", &volume) == 0 &&
			st.st_rdev == volume.st_rdev && (!lacks || access(lacks, F_OK) < 0);
		if (!right)
			lab_sleep_ms(30);
	}
	ATF_CHECK_MSG(right, "'%s' is not the volume's, or '%s' is there", has, lacks ? lacks : "");
}

ATF_TC_WITHOUT_HEAD(the_filesystem_inside_is_seen_anew_and_a_snapshot_never_takes_its_link);
ATF_TC_BODY(the_filesystem_inside_is_seen_anew_and_a_snapshot_never_takes_its_link, tc)
{
	static const char a[] = "/dev/disk/by-uuid/" UUID_A, b[] = "/dev/disk/by-uuid/" UUID_B;

	make_volume();
	lab_run("mkfs.ext4 -q -U " UUID_A " /dev/snapmgr/p/v");
	check_links(a, NULL);
	lab_snapshot("p/v@a");
	settle(); /* while udevd looks at a device it does not watch for its writers */
	lab_run("mkfs.ext4 -q -F -U " UUID_B " /dev/snapmgr/p/v");
	check_links(b, a);
	lab_revert("p/v@a");
	check_links(a, b);
	LAB_DO(snapmgr_activate(lab, "p/v@a", NULL, NULL, &err));
	check_links(a, NULL);
	lab_revert("p/v@a");
	check_links(a, NULL);
	LAB_DO(snapmgr_undo(lab, "p/v@undo~1", NULL, NULL, &err));
	check_links(b, a);
	LAB_DO(snapmgr_deactivate(lab, "p/v@a", &err));
	lab_check_rest();
}

/* udevd and its helpers open what has just changed: no conflict, one revert after the other. */
ATF_TC_WITHOUT_HEAD(reverts_in_a_row_are_not_in_udevs_way);
ATF_TC_BODY(reverts_in_a_row_are_not_in_udevs_way, tc)
{
	make_volume();
	lab_run("mkfs.ext4 -q /dev/snapmgr/p/v");
	lab_snapshot("p/v@s");
	for (int i = 0; i < 15; i++)
		lab_revert("p/v@s");
	settle();
	lab_check_rest();
	ATF_CHECK_STREQ("", lab_warnings);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_revert_keeps_all_that_a_volume_is_known_by);
	ATF_TP_ADD_TC(tp, a_size_that_changes_back_keeps_it_too);
	ATF_TP_ADD_TC(tp, the_filesystem_inside_is_seen_anew_and_a_snapshot_never_takes_its_link);
	ATF_TP_ADD_TC(tp, reverts_in_a_row_are_not_in_udevs_way);
	return atf_no_error();
}
