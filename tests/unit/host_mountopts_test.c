/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the options that mountinfo shows to those that mount(2) takes. */
#include <atf-c.h>
#include <string.h>
#include <sys/mount.h>

#include "snapmgr/host/fsdev.h"
#include "snapmgr/host/mountopts.h"

#define ATIME (MS_NOATIME | MS_RELATIME | MS_STRICTATIME)

ATF_TC_WITHOUT_HEAD(flags_of_a_mount_are_those_of_mount_2);
ATF_TC_BODY(flags_of_a_mount_are_those_of_mount_2, tc)
{
	ATF_CHECK_EQ(MS_RELATIME, shost_flags_of_mount("rw,relatime"));
	ATF_CHECK_EQ((MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME),
		     shost_flags_of_mount("ro,nosuid,nodev,noexec,noatime"));
	ATF_CHECK_EQ((MS_NODIRATIME | MS_RELATIME), shost_flags_of_mount("rw,nodiratime,relatime"));
	ATF_CHECK_EQ(256 | MS_RELATIME, shost_flags_of_mount("rw,relatime,nosymfollow"));
}

ATF_TC_WITHOUT_HEAD(neither_noatime_nor_relatime_means_strict);
ATF_TC_BODY(neither_noatime_nor_relatime_means_strict, tc)
{
	ATF_CHECK_EQ(MS_STRICTATIME, shost_flags_of_mount("rw") & ATIME);
	ATF_CHECK_EQ(MS_NOATIME, shost_flags_of_mount("rw,noatime") & ATIME);
}

ATF_TC_WITHOUT_HEAD(flags_of_a_superblock_are_told_from_its_data);
ATF_TC_BODY(flags_of_a_superblock_are_told_from_its_data, tc)
{
	static const char super[] = "ro,sync,dirsync,lazytime,seclabel,errors=remount-ro,stripe=16";
	char *data = shost_data_of_super(super, 0);

	ATF_CHECK_EQ((MS_RDONLY | MS_SYNCHRONOUS | MS_DIRSYNC | MS_LAZYTIME),
		     shost_flags_of_super(super));
	ATF_CHECK_STREQ("errors=remount-ro,stripe=16", data);
	free(data);
	ATF_CHECK_EQ(0, shost_flags_of_super("rw,errors=remount-ro"));
}

ATF_TC_WITHOUT_HEAD(no_options_leave_no_data);
ATF_TC_BODY(no_options_leave_no_data, tc)
{
	char *data = shost_data_of_super("rw", 0);

	ATF_CHECK_STREQ("", data);
	free(data);
	data = shost_data_of_super("", 0);
	ATF_CHECK_STREQ("", data);
	free(data);
}

ATF_TC_WITHOUT_HEAD(essential_options_decide_what_is_mounted);
ATF_TC_BODY(essential_options_decide_what_is_mounted, tc)
{
	static const char super[] =
		"rw,ssd,space_cache=v2,subvolid=257,subvol=/a,nouuid,logdev=/dev/x";
	char *data = shost_data_of_super(super, SHOST_DATA_ESSENTIAL);

	ATF_CHECK_STREQ("subvolid=257,subvol=/a,nouuid,logdev=/dev/x", data);
	free(data);
	data = shost_data_of_super(super, SHOST_DATA_ESSENTIAL | SHOST_DATA_NO_SUBVOLID);
	ATF_CHECK_STREQ("subvol=/a,nouuid,logdev=/dev/x", data);
	free(data);
	data = shost_data_of_super(super, SHOST_DATA_NO_SUBVOLID);
	ATF_CHECK_STREQ("ssd,space_cache=v2,subvol=/a,nouuid,logdev=/dev/x", data);
	free(data);
}

ATF_TC_WITHOUT_HEAD(a_quoted_label_with_commas_is_one_option);
ATF_TC_BODY(a_quoted_label_with_commas_is_one_option, tc)
{
	static const char super[] = "rw,context=\"u:r:t:s0:c1,ro,c2\",discard";
	char *data = shost_data_of_super(super, SHOST_DATA_ESSENTIAL);

	ATF_CHECK_STREQ("context=\"u:r:t:s0:c1,ro,c2\"", data);
	free(data);
	ATF_CHECK_EQ(0, shost_flags_of_super(super));
}

ATF_TC_WITHOUT_HEAD(an_option_is_found_by_its_whole_name);
ATF_TC_BODY(an_option_is_found_by_its_whole_name, tc)
{
	char value[32] = "";

	ATF_CHECK(shost_has_option("rw,idmapped", "idmapped"));
	ATF_CHECK(!shost_has_option("rw,norw", "ro"));
	ATF_CHECK(!shost_has_option("", "ro"));
	ATF_CHECK(shost_option("rw,logdev=/dev/b,x", "logdev", value, sizeof(value)));
	ATF_CHECK_STREQ("/dev/b", value);
	ATF_CHECK(!shost_option("rw,xlogdev=/dev/b,logdev", "logdev", value, sizeof(value)));
}

static const char *subtree(const char *fstype, const char *root, const char *super)
{
	struct shost_mountinfo m = { .fstype = fstype, .root = root, .super = super };

	return shost_subtree(&m);
}

ATF_TC_WITHOUT_HEAD(a_subtree_is_what_the_options_do_not_bring);
ATF_TC_BODY(a_subtree_is_what_the_options_do_not_bring, tc)
{
	ATF_CHECK_STREQ("/", subtree("ext4", "/", "rw"));
	ATF_CHECK_STREQ("/dir", subtree("ext4", "/dir", "rw"));
	ATF_CHECK_STREQ("/", subtree("btrfs", "/a", "rw,subvolid=257,subvol=/a"));
	ATF_CHECK_STREQ("/dir", subtree("btrfs", "/a/dir", "rw,subvolid=257,subvol=/a"));
	ATF_CHECK_STREQ("/ab", subtree("btrfs", "/ab", "rw,subvol=/a"));
	ATF_CHECK_STREQ("/", subtree("btrfs", "/", "rw,subvolid=5,subvol=/"));
	ATF_CHECK_STREQ("/dir", subtree("btrfs", "/dir", "rw,subvolid=5,subvol=/"));
}

ATF_TC_WITHOUT_HEAD(an_external_journal_is_read_from_the_superblock);
ATF_TC_BODY(an_external_journal_is_read_from_the_superblock, tc)
{
	struct shost_ext4_journal journal;
	uint8_t super[1024] = { 0 };

	ATF_CHECK(!shost_ext4_journal(super, &journal));
	super[0x38] = 0x53;
	super[0x39] = 0xef;
	ATF_CHECK(!shost_ext4_journal(super, &journal)); /* no journal at all */
	super[0x5c] = 0x04;
	super[0xe0] = 8;
	ATF_CHECK(!shost_ext4_journal(super, &journal)); /* an inode */
	super[0xe0] = 0;
	super[0xd0] = 0xab;
	super[0xe4] = 0x2c; /* 253:300, as the kernel writes it */
	super[0xe5] = 0xfd;
	super[0xe6] = 0x10;
	ATF_REQUIRE(shost_ext4_journal(super, &journal));
	ATF_CHECK_EQ(0xab, journal.uuid.b[0]);
	ATF_CHECK_EQ(253, (journal.devno >> 8) & 0xfff);
	ATF_CHECK_EQ(300, (journal.devno & 0xff) | ((journal.devno >> 12) & 0xfff00));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, flags_of_a_mount_are_those_of_mount_2);
	ATF_TP_ADD_TC(tp, neither_noatime_nor_relatime_means_strict);
	ATF_TP_ADD_TC(tp, flags_of_a_superblock_are_told_from_its_data);
	ATF_TP_ADD_TC(tp, no_options_leave_no_data);
	ATF_TP_ADD_TC(tp, essential_options_decide_what_is_mounted);
	ATF_TP_ADD_TC(tp, a_quoted_label_with_commas_is_one_option);
	ATF_TP_ADD_TC(tp, an_option_is_found_by_its_whole_name);
	ATF_TP_ADD_TC(tp, a_subtree_is_what_the_options_do_not_bring);
	ATF_TP_ADD_TC(tp, an_external_journal_is_read_from_the_superblock);
	return atf_no_error();
}
