/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's lists of mounts and swaps, as text. */
#include <atf-c.h>
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "snapmgr/host/mountinfo.h"

static int parse(const char *text, struct shost_mountinfo *m)
{
	static char line[512];

	(void)snprintf(line, sizeof(line), "%s", text);
	return shost_mountinfo_line(line, m);
}

ATF_TC_WITHOUT_HEAD(a_plain_line_is_taken_apart);
ATF_TC_BODY(a_plain_line_is_taken_apart, tc)
{
	struct shost_mountinfo m;

	ATF_REQUIRE_EQ(0, parse("36 35 253:300 / /mnt rw,noatime shared:7 - ext4 /dev/mapper/a "
				"rw,errors=remount-ro",
				&m));
	ATF_CHECK_EQ(36, m.id);
	ATF_CHECK_EQ(35, m.parent);
	ATF_CHECK_EQ(makedev(253, 300), m.devno);
	ATF_CHECK_STREQ("/", m.root);
	ATF_CHECK_STREQ("/mnt", m.target);
	ATF_CHECK_STREQ("rw,noatime", m.flags);
	ATF_CHECK(m.shared && !m.slave && !m.unbindable);
	ATF_CHECK_STREQ("ext4", m.fstype);
	ATF_CHECK_STREQ("/dev/mapper/a", m.source);
	ATF_CHECK_STREQ("rw,errors=remount-ro", m.super);
}

ATF_TC_WITHOUT_HEAD(octal_escapes_are_undone);
ATF_TC_BODY(octal_escapes_are_undone, tc)
{
	struct shost_mountinfo m;

	ATF_REQUIRE_EQ(
		0, parse("1 2 8:1 /a\\040b /mnt/x\\011y\\012z\\134 rw - ext4 /dev/s\\040t rw", &m));
	ATF_CHECK_STREQ("/a b", m.root);
	ATF_CHECK_STREQ("/mnt/x\ty\nz\\", m.target);
	ATF_CHECK_STREQ("/dev/s t", m.source);
}

ATF_TC_WITHOUT_HEAD(what_only_looks_like_an_escape_stays);
ATF_TC_BODY(what_only_looks_like_an_escape_stays, tc)
{
	struct shost_mountinfo m;

	ATF_REQUIRE_EQ(0, parse("1 2 8:1 / /a\\04 rw - ext4 /b\\999 rw,x=\\", &m));
	ATF_CHECK_STREQ("/a\\04", m.target);
	ATF_CHECK_STREQ("/b\\999", m.source);
	ATF_CHECK_STREQ("rw,x=\\", m.super);
}

ATF_TC_WITHOUT_HEAD(there_may_be_no_optional_field_or_many);
ATF_TC_BODY(there_may_be_no_optional_field_or_many, tc)
{
	struct shost_mountinfo m;

	ATF_REQUIRE_EQ(0, parse("1 2 8:1 / /a rw - ext4 /dev/a rw", &m));
	ATF_CHECK(!m.shared && !m.slave && !m.unbindable);
	ATF_REQUIRE_EQ(
		0,
		parse("1 2 8:1 / /a rw shared:1 master:2 propagate_from:3 new:4 - ext4 /dev/a rw",
		      &m));
	ATF_CHECK(m.shared && m.slave && !m.unbindable);
	ATF_REQUIRE_EQ(0, parse("1 2 8:1 / /a rw unbindable - ext4 /dev/a rw", &m));
	ATF_CHECK(m.unbindable);
	ATF_CHECK_STREQ("ext4", m.fstype);
}

ATF_TC_WITHOUT_HEAD(a_btrfs_subvolume_keeps_its_root_and_options);
ATF_TC_BODY(a_btrfs_subvolume_keeps_its_root_and_options, tc)
{
	struct shost_mountinfo m;

	ATF_REQUIRE_EQ(0, parse("90 35 0:45 /@home /home rw,relatime shared:3 - btrfs /dev/sda2 "
				"rw,space_cache=v2,subvolid=257,subvol=/@home",
				&m));
	ATF_CHECK_EQ(makedev(0, 45), m.devno);
	ATF_CHECK_STREQ("/@home", m.root);
	ATF_CHECK_STREQ("rw,space_cache=v2,subvolid=257,subvol=/@home", m.super);
}

ATF_TC_WITHOUT_HEAD(an_empty_source_is_no_error);
ATF_TC_BODY(an_empty_source_is_no_error, tc)
{
	struct shost_mountinfo m;

	ATF_REQUIRE_EQ(0, parse("1 2 0:5 / /a rw - tmpfs  rw,size=4k", &m));
	ATF_CHECK_STREQ("", m.source);
	ATF_CHECK_STREQ("rw,size=4k", m.super);
}

ATF_TC_WITHOUT_HEAD(a_broken_line_is_refused);
ATF_TC_BODY(a_broken_line_is_refused, tc)
{
	static const char *const lines[] = {
		"",
		" ",
		"1",
		"1 2",
		"1 2 8:1",
		"1 2 8:1 /",
		"1 2 8:1 / /a",
		"1 2 8:1 / /a rw",
		"1 2 8:1 / /a rw -",
		"1 2 8:1 / /a rw - ext4",
		"x 2 8:1 / /a rw - ext4 /dev/a rw",
		"1 2 8 / /a rw - ext4 /dev/a rw",
		"1 2 8:x / /a rw - ext4 /dev/a rw",
		"1 2 -8:1 / /a rw - ext4 /dev/a rw",
		"99999999999 2 8:1 / /a rw - ext4 /dev/a rw",
		"1 2 8:1 / /a rw shared:1 ext4 /dev/a rw",
	};
	struct shost_mountinfo m;

	for (size_t i = 0; i < SM_ARRAY(lines); i++)
		ATF_CHECK_EQ_MSG(-EINVAL, parse(lines[i], &m), "'%s'", lines[i]);
}

ATF_TC_WITHOUT_HEAD(a_table_holds_every_good_line_in_order);
ATF_TC_BODY(a_table_holds_every_good_line_in_order, tc)
{
	struct shost_mounttab tab;

	ATF_REQUIRE_EQ(0, shost_mounttab_parse(strdup("1 0 8:1 / / rw - ext4 /dev/a rw\n"
						      "nonsense\n"
						      "2 1 8:2 / /b rw - ext4 /dev/b rw"),
					       &tab));
	ATF_REQUIRE_EQ(2, tab.n);
	ATF_CHECK_STREQ("/", tab.v[0].target);
	ATF_CHECK_STREQ("/b", tab.v[1].target);
	shost_mounttab_release(&tab);
	ATF_REQUIRE_EQ(0, shost_mounttab_parse(strdup(""), &tab));
	ATF_CHECK_EQ(0, tab.n);
	shost_mounttab_release(&tab);
}

ATF_TC_WITHOUT_HEAD(a_path_lies_in_the_longest_and_latest_mount);
ATF_TC_BODY(a_path_lies_in_the_longest_and_latest_mount, tc)
{
	struct shost_mounttab tab;

	ATF_REQUIRE_EQ(0, shost_mounttab_parse(strdup("1 0 8:1 / / rw - ext4 /dev/a rw\n"
						      "2 1 8:2 / /b rw - ext4 /dev/b rw\n"
						      "3 1 8:3 / /bc rw - ext4 /dev/c rw\n"
						      "4 2 8:4 / /b rw - ext4 /dev/d rw\n"),
					       &tab));
	ATF_CHECK_EQ(1, shost_mounttab_of_path(&tab, "/x/y")->id);
	ATF_CHECK_EQ(4, shost_mounttab_of_path(&tab, "/b")->id);
	ATF_CHECK_EQ(4, shost_mounttab_of_path(&tab, "/b/x")->id);
	ATF_CHECK_EQ(3, shost_mounttab_of_path(&tab, "/bc/x")->id);
	ATF_CHECK_EQ(NULL, shost_mounttab_of_path(&tab, "relative"));
	shost_mounttab_release(&tab);
}

ATF_TC_WITHOUT_HEAD(our_own_mounts_can_be_read);
ATF_TC_BODY(our_own_mounts_can_be_read, tc)
{
	struct shost_mounttab tab;

	ATF_REQUIRE_EQ(0, shost_mounttab_load(0, &tab));
	ATF_CHECK(tab.n > 0);
	shost_mounttab_release(&tab);
	ATF_CHECK_EQ(NULL, tab.v);
}

static int parse_swap(const char *text, struct shost_swap *s)
{
	static char line[512];

	(void)snprintf(line, sizeof(line), "%s", text);
	return shost_swap_line(line, s);
}

ATF_TC_WITHOUT_HEAD(swap_lines_are_taken_apart);
ATF_TC_BODY(swap_lines_are_taken_apart, tc)
{
	struct shost_swap s;

	ATF_CHECK_EQ(-EINVAL, parse_swap("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority", &s));
	ATF_CHECK_EQ(-EINVAL, parse_swap("", &s));
	ATF_CHECK_EQ(-EINVAL, parse_swap("/dev/sda1", &s));
	ATF_REQUIRE_EQ(0,
		       parse_swap("/dev/dm-1                               partition\t1024\t0\t-2",
				  &s));
	ATF_CHECK_STREQ("/dev/dm-1", s.path);
	ATF_CHECK(s.partition && !s.deleted);
	ATF_REQUIRE_EQ(0, parse_swap("/var/swap\\040file                      file\t\t1024\t0\t-3",
				     &s));
	ATF_CHECK_STREQ("/var/swap file", s.path);
	ATF_CHECK(!s.partition && !s.deleted);
}

ATF_TC_WITHOUT_HEAD(a_deleted_swap_loses_the_mark_and_says_so);
ATF_TC_BODY(a_deleted_swap_loses_the_mark_and_says_so, tc)
{
	struct shost_swap s;

	ATF_REQUIRE_EQ(0, parse_swap("/dev/mapper/a\\040(deleted) partition\t1024\t0\t-2", &s));
	ATF_CHECK_STREQ("/dev/mapper/a", s.path);
	ATF_CHECK(s.partition && s.deleted);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_plain_line_is_taken_apart);
	ATF_TP_ADD_TC(tp, octal_escapes_are_undone);
	ATF_TP_ADD_TC(tp, what_only_looks_like_an_escape_stays);
	ATF_TP_ADD_TC(tp, there_may_be_no_optional_field_or_many);
	ATF_TP_ADD_TC(tp, a_btrfs_subvolume_keeps_its_root_and_options);
	ATF_TP_ADD_TC(tp, an_empty_source_is_no_error);
	ATF_TP_ADD_TC(tp, a_broken_line_is_refused);
	ATF_TP_ADD_TC(tp, a_table_holds_every_good_line_in_order);
	ATF_TP_ADD_TC(tp, a_path_lies_in_the_longest_and_latest_mount);
	ATF_TP_ADD_TC(tp, our_own_mounts_can_be_read);
	ATF_TP_ADD_TC(tp, swap_lines_are_taken_apart);
	ATF_TP_ADD_TC(tp, a_deleted_swap_loses_the_mark_and_says_so);
	return atf_no_error();
}
