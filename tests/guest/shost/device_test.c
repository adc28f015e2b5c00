/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices are found, measured, and what is on them is told. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lab.h"
#include "snapmgr/host/sys.h"

/* ---- one device ---- */

ATF_TC_WITHOUT_HEAD(a_device_is_measured_by_any_name);
ATF_TC_BODY(a_device_is_measured_by_any_name, tc)
{
	static const char *const names[] = { LAB "/one", LAB "/two", LAB "/node" };
	struct shost_device dev;

	lab_fresh();
	lab_run("ln -s %s " LAB "/one && ln -s one " LAB "/two && cp -a %s " LAB "/node",
		lab_disk(0), lab_disk(0));
	for (size_t i = 0; i < SM_ARRAY(names); i++) {
		ATF_REQUIRE_EQ(0, shost_device(names[i], &dev, NULL));
		ATF_CHECK_STREQ(lab_disk(0), dev.path);
		ATF_CHECK_EQ(lab_devno(lab_disk(0)), dev.devno);
		ATF_CHECK_EQ(SM_GIB, dev.size_bytes);
		ATF_CHECK_EQ(512, dev.block_bytes);
		ATF_CHECK(!dev.read_only);
	}
}

ATF_TC_WITHOUT_HEAD(block_size_and_read_only_are_told);
ATF_TC_BODY(block_size_and_read_only_are_told, tc)
{
	struct shost_device dev;

	lab_fresh();
	lab_run("truncate -s 8M " LAB "/img && losetup -r -b 4096 /dev/loop3 " LAB "/img");
	ATF_REQUIRE_EQ(0, shost_device("/dev/loop3", &dev, NULL));
	ATF_CHECK_EQ(4096, dev.block_bytes);
	ATF_CHECK_EQ(8 * SM_MIB, dev.size_bytes);
	ATF_CHECK(dev.read_only);
	lab_fresh();
}

static void check_not(const char *path, enum snapmgr_code code, int errnum, const char *message)
{
	struct shost_device dev = { .size_bytes = 7 };
	struct snapmgr_err err;

	ATF_CHECK_EQ(-errnum, shost_device(path, &dev, &err));
	ATF_CHECK_EQ_MSG(code, err.code, "%s", snapmgr_code_name(err.code));
	ATF_CHECK_STREQ(message, err.message);
	ATF_CHECK_EQ(7, dev.size_bytes);
}

ATF_TC_WITHOUT_HEAD(what_is_no_device_is_refused);
ATF_TC_BODY(what_is_no_device_is_refused, tc)
{
	lab_fresh();
	lab_run("ln -s nowhere " LAB "/dangling && mknod " LAB "/empty b 200 77");
	check_not(LAB "/none", SNAPMGR_NOT_FOUND, ENOENT,
		  "cannot find device '" LAB "/none': No such file or directory");
	check_not(LAB "/dangling", SNAPMGR_NOT_FOUND, ENOENT,
		  "cannot find device '" LAB "/dangling': No such file or directory");
	check_not(LAB, SNAPMGR_USAGE, ENOTBLK, "'" LAB "' is not a block device");
	check_not("/dev/null", SNAPMGR_USAGE, ENOTBLK, "'/dev/null' is not a block device");
	check_not(LAB "/empty", SNAPMGR_NOT_FOUND, ENXIO,
		  "cannot open '" LAB "/empty': No such device or address");
}

ATF_TC_WITHOUT_HEAD(a_number_leads_to_a_node);
ATF_TC_BODY(a_number_leads_to_a_node, tc)
{
	struct snapmgr_err err;
	char path[256], small[8];

	lab_fresh();
	ATF_REQUIRE_EQ(0, shost_device_path(lab_devno(lab_disk(1)), path, sizeof(path), NULL));
	ATF_CHECK_STREQ(lab_disk(1), path);
	ATF_CHECK(shost_device_path(lab_devno(lab_disk(1)), small, sizeof(small), NULL) < 0);
	ATF_CHECK_EQ(-ENOENT, shost_device_path(makedev(200, 77), path, sizeof(path), &err));
	ATF_CHECK_STREQ("there is no block device 200:77", err.message);
}

ATF_TC_WITHOUT_HEAD(a_mapped_device_without_its_usual_node_has_another);
ATF_TC_BODY(a_mapped_device_without_its_usual_node_has_another, tc)
{
	const char *dev;
	char path[256];
	dev_t devno;

	lab_fresh();
	dev = lab_linear("odd", lab_disk(0));
	devno = lab_devno(dev);
	ATF_REQUIRE_EQ(0, shost_device_path(devno, path, sizeof(path), NULL));
	ATF_CHECK_STREQ("/dev/dm-0", path);
	lab_run("mv /dev/dm-0 " LAB "/dm-0");
	ATF_REQUIRE_EQ(0, shost_device_path(devno, path, sizeof(path), NULL));
	ATF_CHECK_STREQ("/dev/mapper/odd", path);
	lab_run("mv " LAB "/dm-0 /dev/dm-0");
	lab_fresh();
}

/* ---- signatures ---- */

static void check_probe(const char *type)
{
	struct snapmgr_err err = { 0 };
	char got[64] = "unchanged";

	ATF_CHECK_EQ_MSG(0, shost_probe(lab_disk(0), got, sizeof(got), &err), "%s", err.message);
	ATF_CHECK_STREQ(type, got);
}

ATF_TC_WITHOUT_HEAD(signatures_are_named);
ATF_TC_BODY(signatures_are_named, tc)
{
	static const struct {
		const char *make, *type;
	} kinds[] = {
		{ "true", "" },
		{ "mkfs.ext4 -q -F %s", "ext4" },
		{ "mkfs.xfs -q -f %s", "xfs" },
		{ "mkfs.btrfs -q -f %s", "btrfs" },
		{ "mkswap %s >/dev/null", "swap" },
		{ "echo ,,L | sfdisk -q --no-reread %s", "dos partition table" },
		{ "echo 'label: gpt' | sfdisk -q --no-reread %s", "gpt partition table" },
		{ "pvcreate -q %s >/dev/null 2>&1", "LVM2_member" },
	};

	for (size_t i = 0; i < SM_ARRAY(kinds); i++) {
		const char *disk = lab_disk(0);
		char command[256];

		lab_fresh();
		lab_run("wipefs -qa %s && dd if=/dev/zero of=%s bs=1M count=1 status=none", disk,
			disk);
		(void)snprintf(command, sizeof(command), kinds[i].make, disk);
		lab_run("%s", command);
		check_probe(kinds[i].type);
	}
}

ATF_TC_WITHOUT_HEAD(two_signatures_are_several);
ATF_TC_BODY(two_signatures_are_several, tc)
{
	const char *disk = lab_disk(0);

	lab_fresh();
	lab_run("mkfs.xfs -q -f %s && dd if=%s of=" LAB
		"/x bs=4k count=1 status=none && mkfs.btrfs -q -f %s && "
		"dd if=" LAB "/x of=%s bs=4k count=1 conv=notrunc status=none",
		disk, disk, disk, disk);
	check_probe("several signatures");
}

ATF_TC_WITHOUT_HEAD(a_probe_that_cannot_read_says_so);
ATF_TC_BODY(a_probe_that_cannot_read_says_so, tc)
{
	struct snapmgr_err err;
	char type[32];

	lab_fresh();
	ATF_CHECK_EQ(-ENOENT, shost_probe(LAB "/none", type, sizeof(type), &err));
	ATF_CHECK_EQ(SNAPMGR_NOT_FOUND, err.code);
	lab_run("dmsetup create bad --table '0 65536 error'");
	ATF_CHECK_EQ(-EIO, shost_probe("/dev/mapper/bad", type, sizeof(type), &err));
	ATF_CHECK_EQ(SNAPMGR_IO, err.code);
	lab_fresh();
}

/* ---- all devices ---- */

struct found {
	struct shost_device v[64];
	size_t n;
};

static int collect(const struct shost_device *dev, void *data)
{
	struct found *found = data;

	ATF_REQUIRE(found->n < SM_ARRAY(found->v));
	found->v[found->n++] = *dev;
	return 0;
}

static void scan(struct found *found)
{
	struct snapmgr_err err = { 0 };

	found->n = 0;
	ATF_REQUIRE_EQ_MSG(0, shost_scan(collect, found, &err), "%s", err.message);
}

static const struct shost_device *find(const char *path)
{
	static struct found found;

	scan(&found);
	for (size_t i = 0; i < found.n; i++)
		if (strcmp(found.v[i].path, path) == 0)
			return &found.v[i];
	return NULL;
}

ATF_TC_WITHOUT_HEAD(disks_are_found_and_measured_without_opening_them);
ATF_TC_BODY(disks_are_found_and_measured_without_opening_them, tc)
{
	const struct shost_device *dev;
	struct shost_device opened;

	lab_fresh();
	for (unsigned int i = 0; i < 3; i++) {
		dev = find(lab_disk(i));
		ATF_REQUIRE(dev);
		ATF_REQUIRE_EQ(0, shost_device(lab_disk(i), &opened, NULL));
		ATF_CHECK_EQ(opened.devno, dev->devno);
		ATF_CHECK_EQ(opened.size_bytes, dev->size_bytes);
		ATF_CHECK_EQ(opened.block_bytes, dev->block_bytes);
		ATF_CHECK_EQ(opened.read_only, dev->read_only);
	}
	ATF_CHECK_MSG(!find("/dev/loop0"), "an unused loop device is empty");
}

ATF_TC_WITHOUT_HEAD(loops_and_partitions_are_found);
ATF_TC_BODY(loops_and_partitions_are_found, tc)
{
	const struct shost_device *dev;

	lab_fresh();
	lab_run("truncate -s 64M " LAB "/img && printf '2048,32M\\n' | sfdisk -q " LAB
		"/img && losetup -r -P /dev/loop2 " LAB "/img");
	dev = find("/dev/loop2");
	ATF_REQUIRE(dev);
	ATF_CHECK(dev->read_only);
	dev = find("/dev/loop2p1");
	ATF_REQUIRE(dev);
	ATF_CHECK_EQ(32 * SM_MIB, dev->size_bytes);
	ATF_CHECK_EQ(512, dev->block_bytes);
	lab_fresh();
	lab_run("truncate -s 64M " LAB "/img && losetup -b 4096 /dev/loop2 " LAB "/img && "
		"printf '2048,8000\\n' | sfdisk -q --no-tell-kernel /dev/loop2 && partx -a /dev/loop2");
	dev = find("/dev/loop2p1");
	ATF_REQUIRE(dev);
	ATF_CHECK_EQ(4096, dev->block_bytes);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(components_give_way_to_what_is_made_of_them);
ATF_TC_BODY(components_give_way_to_what_is_made_of_them, tc)
{
	lab_fresh();
	lab_linear("foreign", lab_disk(0));
	ATF_CHECK(!find(lab_disk(0)));
	ATF_CHECK(find("/dev/dm-0"));
	ATF_CHECK(find(lab_disk(1)));
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(our_own_devices_are_left_out_and_their_members_are_not);
ATF_TC_BODY(our_own_devices_are_left_out_and_their_members_are_not, tc)
{
	lab_fresh();
	lab_run("dmsetup create ours -u SNAPMGR-x-pool --table '0 2048 linear %s 0'", lab_disk(0));
	ATF_CHECK(find(lab_disk(0)));
	ATF_CHECK(!find("/dev/dm-0"));
	lab_run("dmsetup create theirs --table '0 2048 linear %s 4096'", lab_disk(0));
	ATF_CHECK_MSG(!find(lab_disk(0)), "others hold it too");
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_suspended_device_cannot_stop_a_scan);
ATF_TC_BODY(a_suspended_device_cannot_stop_a_scan, tc)
{
	lab_fresh();
	lab_linear("low", lab_disk(0));
	lab_linear("high", "/dev/mapper/low");
	ATF_CHECK(find("/dev/dm-1"));
	lab_run("dmsetup suspend low");
	ATF_CHECK(!find("/dev/dm-0"));
	ATF_CHECK(!find("/dev/dm-1"));
	lab_run("dmsetup resume low");
	ATF_CHECK(find("/dev/dm-1"));
	lab_fresh();
}

static int stop(const struct shost_device *dev, void *data)
{
	(void)dev;
	++*(int *)data;
	return -77;
}

ATF_TC_WITHOUT_HEAD(an_answer_of_the_visitor_ends_the_scan);
ATF_TC_BODY(an_answer_of_the_visitor_ends_the_scan, tc)
{
	int calls = 0;

	lab_fresh();
	ATF_CHECK_EQ(-77, shost_scan(stop, &calls, NULL));
	ATF_CHECK_EQ(1, calls);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_device_is_measured_by_any_name);
	ATF_TP_ADD_TC(tp, block_size_and_read_only_are_told);
	ATF_TP_ADD_TC(tp, what_is_no_device_is_refused);
	ATF_TP_ADD_TC(tp, a_number_leads_to_a_node);
	ATF_TP_ADD_TC(tp, a_mapped_device_without_its_usual_node_has_another);
	ATF_TP_ADD_TC(tp, signatures_are_named);
	ATF_TP_ADD_TC(tp, two_signatures_are_several);
	ATF_TP_ADD_TC(tp, a_probe_that_cannot_read_says_so);
	ATF_TP_ADD_TC(tp, disks_are_found_and_measured_without_opening_them);
	ATF_TP_ADD_TC(tp, loops_and_partitions_are_found);
	ATF_TP_ADD_TC(tp, components_give_way_to_what_is_made_of_them);
	ATF_TP_ADD_TC(tp, our_own_devices_are_left_out_and_their_members_are_not);
	ATF_TP_ADD_TC(tp, a_suspended_device_cannot_stop_a_scan);
	ATF_TP_ADD_TC(tp, an_answer_of_the_visitor_ends_the_scan);
	return atf_no_error();
}
