/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A power cut at any moment, on disks that lose what was not flushed to them and tear what they were
 * writing: all writes of a series of changes are recorded, and disks made as each cut could have left
 * them. Every one must come up, be clean, and hold what was acknowledged.
 *
 * The linker hands us fdatasync(), so that the test can be seen to fail where a flush is missing.
 */
#include <atf-c.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/model/rig.h"

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

static const char *omitted; /* flushes of dm devices whose names begin so are not made */

static bool is_omitted(int fd)
{
	char path[64], name[128] = "";
	struct stat st;
	FILE *f;

	if (!omitted || fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode))
		return false;
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/dm/name", major(st.st_rdev),
		       minor(st.st_rdev));
	f = fopen(path, "re");
	if (!f)
		return false;
	(void)!fscanf(f, "%127s", name);
	sm_close_file(f);
	return strncmp(name, omitted, strlen(omitted)) == 0;
}

int __wrap_fdatasync(int fd)
{
	return is_omitted(fd) ? 0 : __real_fdatasync(fd);
}

static struct rig *new_rig(uint64_t seed, unsigned int changes, unsigned int states)
{
	static struct rig rig;
	const char *disks = getenv("SANDBOX_DISKS");
	static char disk[64];

	ATF_REQUIRE_MSG(disks && sscanf(disks, "%63s", disk) == 1, "outside of a guest");
	rig = (struct rig){
		.log_device = disk, .seed = seed, .changes = changes, .states = states
	};
	return &rig;
}

static void record_and_replay(struct rig *rig)
{
	struct model_why why = { "" };

	ATF_REQUIRE_EQ_MSG(0, rig_record(rig, &why), "%s", why.text);
	ATF_REQUIRE_EQ_MSG(0, rig_replay(rig, false, &why), "%s", why.text);
	printf("%u states of %u flushes: %u at one, %u with some writes torn or dropped\n",
	       rig->tried, rig->flushes, rig->at_flushes, rig->torn);
	ATF_CHECK_MSG(rig->tried >= rig->states / 2, "%u states", rig->tried);
}

/* What the same replay says of a program that leaves out a flush. */
static void require_caught(struct rig *rig, const char *of)
{
	struct model_why why = { "" };
	int r;

	omitted = of;
	r = rig_record(rig, &why);
	omitted = NULL;
	ATF_REQUIRE_EQ_MSG(0, r, "%s", why.text);
	ATF_REQUIRE_EQ_MSG(0, rig_replay(rig, true, &why), "%s", why.text);
	printf("%u of %u states lost\n", rig->lost, rig->tried);
	ATF_CHECK_MSG(rig->lost > 0, "nobody noticed, in %u states", rig->tried);
}

ATF_TC_WITHOUT_HEAD(a_power_cut_loses_nothing_that_was_acknowledged);
ATF_TC_BODY(a_power_cut_loses_nothing_that_was_acknowledged, tc)
{
	record_and_replay(new_rig(1, 60, 80));
}

ATF_TC_WITHOUT_HEAD(a_power_cut_loses_no_file_that_was_flushed);
ATF_TC_BODY(a_power_cut_loses_no_file_that_was_flushed, tc)
{
	struct rig *rig = new_rig(2, 40, 30);

	rig->files = true;
	record_and_replay(rig);
}

ATF_TC_WITHOUT_HEAD(a_power_cut_leaves_a_whole_superblock);
ATF_TC_BODY(a_power_cut_leaves_a_whole_superblock, tc)
{
	struct rig *rig = new_rig(3, 16, 24);

	rig->exports = true;
	record_and_replay(rig);
}

ATF_TC_WITHOUT_HEAD(a_catalogue_without_flushes_is_caught);
ATF_TC_BODY(a_catalogue_without_flushes_is_caught, tc)
{
	require_caught(new_rig(4, 20, 24), "snapmgr-" MODEL_POOL "-_cat");
}

ATF_TC_WITHOUT_HEAD(superblocks_without_flushes_are_caught);
ATF_TC_BODY(superblocks_without_flushes_are_caught, tc)
{
	struct rig *rig = new_rig(5, 16, 24);

	rig->exports = true;
	require_caught(rig, "rig-");
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_power_cut_loses_nothing_that_was_acknowledged);
	ATF_TP_ADD_TC(tp, a_power_cut_loses_no_file_that_was_flushed);
	ATF_TP_ADD_TC(tp, a_power_cut_leaves_a_whole_superblock);
	ATF_TP_ADD_TC(tp, a_catalogue_without_flushes_is_caught);
	ATF_TP_ADD_TC(tp, superblocks_without_flushes_are_caught);
	return atf_no_error();
}
