/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The copy engine on block devices: blocks of both sizes, holes, errors, ends, and stopping. */
#include <sys/ioctl.h>
#include <sys/statfs.h>

#include "lab.h"
#include "tests/unit/io_rig.h"

#define MIB	SM_MIB
#define SECTORS (SM_MIB / SM_SECTOR)

static struct sio_copy_result result;

static int device(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	ATF_REQUIRE_MSG(fd >= 0, "cannot open '%s': %s", path, strerror(errno));
	return fd;
}

/* A dm device of so many sectors of a disk. */
static int linear(const char *name, unsigned int disk, uint64_t sectors)
{
	char path[64];

	lab_run("dmsetup create %s --table '0 %ju linear %s 0'", name, (uintmax_t)sectors,
		lab_disk(disk));
	(void)snprintf(path, sizeof(path), "/dev/mapper/%s", name);
	return device(path);
}

/* One of blocks of 4096 bytes, in memory. */
static int blocks_of_4096(unsigned int mib)
{
	lab_run("truncate -s %uM " LAB "/img && losetup -b 4096 /dev/loop3 " LAB "/img", mib);
	return device("/dev/loop3");
}

static int copy(int source, int target, struct sio_copy_opts opts)
{
	const struct sio_side a = { source, "the source", 0 }, b = { target, "the target", 0 };

	opts.size = sizeof(opts);
	return sio_copy(&a, &b, &opts, &result, &err);
}

static void must_copy(int source, int target, struct sio_copy_opts opts)
{
	int r;

	opts.verify = true;
	r = copy(source, target, opts);
	ATF_REQUIRE_EQ_MSG(0, r, "%s", err.message);
}

ATF_TC_WITHOUT_HEAD(blocks_of_512_and_of_4096_bytes_are_copied_to_each_other);
ATF_TC_BODY(blocks_of_512_and_of_4096_bytes_are_copied_to_each_other, tc)
{
	const uint64_t sectors = 16 * SECTORS + 3;
	int small, large, back;

	(void)tc;
	lab_fresh();
	small = linear("small", 0, sectors);
	back = linear("back", 1, sectors);
	large = blocks_of_4096(20);
	io_fill(small, 0, sectors * SM_SECTOR, 1);
	io_fill(large, 0, 20 * MIB, 2);
	must_copy(small, large, (struct sio_copy_opts){ 0 });
	io_is(large, 0, sectors * SM_SECTOR, 1);
	io_is(large, sectors * SM_SECTOR, 20 * MIB - sectors * SM_SECTOR, 2);
	must_copy(large, back, (struct sio_copy_opts){ .len = sectors * SM_SECTOR });
	io_is(back, 0, sectors * SM_SECTOR, 1);
	(void)close(small);
	(void)close(back);
	(void)close(large);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(extents_of_single_sectors_leave_their_neighbours_alone);
ATF_TC_BODY(extents_of_single_sectors_leave_their_neighbours_alone, tc)
{
	struct sio_extent extents[200];
	int source, targets[2];
	struct sio_list list;

	(void)tc;
	lab_fresh();
	source = linear("source", 0, 4 * SECTORS);
	targets[0] = linear("target", 1, 4 * SECTORS);
	targets[1] = blocks_of_4096(4);
	io_fill(source, 0, 4 * MIB, 1);
	for (size_t i = 0; i < SM_ARRAY(extents); i++)
		extents[i] = (struct sio_extent){ (i * 40 + i % 7) * SM_SECTOR,
						  (1 + i % 33) * SM_SECTOR,
						  i % 5 ? SIO_DATA : SIO_HOLE };
	for (int t = 0; t < 2; t++) {
		uint64_t at = 0;

		io_fill(targets[t], 0, 4 * MIB, 2);
		sio_list(&list, extents, SM_ARRAY(extents));
		must_copy(source, targets[t], (struct sio_copy_opts){ .map = &list.map });
		for (size_t i = 0; i < SM_ARRAY(extents); i++) {
			io_is(targets[t], at, extents[i].at - at, 2);
			io_is(targets[t], extents[i].at, extents[i].len,
			      extents[i].kind == SIO_DATA ? 1 : 0);
			at = extents[i].at + extents[i].len;
		}
		io_is(targets[t], at, 4 * MIB - at, 2);
		(void)close(targets[t]);
	}
	(void)close(source);
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_ram_disk_a_disk_and_a_file_in_memory_are_copied_to_each_other);
ATF_TC_BODY(a_ram_disk_a_disk_and_a_file_in_memory_are_copied_to_each_other, tc)
{
	int disk, ram, file;

	(void)tc;
	lab_fresh();
	lab_run("modprobe brd rd_nr=1 rd_size=32768");
	disk = linear("disk", 0, 32 * SECTORS);
	ram = device("/dev/ram0");
	file = open(LAB "/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ATF_REQUIRE(file >= 0);
	io_fill(disk, 0, 32 * MIB, 1);
	must_copy(disk, ram, (struct sio_copy_opts){ 0 });
	io_is(ram, 0, 32 * MIB, 1);
	must_copy(ram, file, (struct sio_copy_opts){ 0 });
	io_is(file, 0, 32 * MIB, 1);
	ATF_REQUIRE_EQ(0, sio_zero(&(struct sio_side){ disk, "disk", 0 }, 4097, 20 * MIB,
				   SIO_HOLES_ZERO, &err));
	io_is(disk, 0, 4097, 1);
	io_is(disk, 4097, 20 * MIB, 0);
	io_is(disk, 4097 + 20 * MIB, 12 * MIB - 4097, 1);
	must_copy(file, disk, (struct sio_copy_opts){ 0 });
	io_is(disk, 0, 32 * MIB, 1);
	(void)close(disk);
	(void)close(ram);
	(void)close(file);
	lab_run("rmmod brd");
	lab_fresh();
}

/* ---- thin targets ---- */

static uint64_t thin_mapped(const char *name)
{
	unsigned long long sectors = 0;

	lab_run("dmsetup status %s | cut -d' ' -f4 >" LAB "/mapped", name);
	ATF_REQUIRE(sscanf(lab_read(LAB "/mapped"), "%llu", &sectors) == 1);
	return sectors * SM_SECTOR;
}

ATF_TC_WITHOUT_HEAD(what_becomes_zero_is_given_back_to_a_thin_pool);
ATF_TC_BODY(what_becomes_zero_is_given_back_to_a_thin_pool, tc)
{
	static const struct sio_extent extents[] = { { 0, MIB, SIO_DATA },
						     { MIB, 6 * MIB + 12345, SIO_HOLE },
						     { 7 * MIB + 12345, MIB - 12345, SIO_DATA } };
	struct sio_list list;
	int source, thin;

	(void)tc;
	lab_fresh();
	lab_run("dd if=/dev/zero of=%s bs=4k count=1 conv=fsync status=none && "
		"dmsetup create meta --table '0 %ju linear %s 0' && "
		"dmsetup create pool --table '0 %ju thin-pool /dev/mapper/meta %s 128 0' && "
		"dmsetup message pool 0 'create_thin 1' && "
		"dmsetup create thin --table '0 %ju thin /dev/mapper/pool 1'",
		lab_disk(1), (uintmax_t)(4 * SECTORS), lab_disk(1), (uintmax_t)(64 * SECTORS),
		lab_disk(2), (uintmax_t)(8 * SECTORS));
	source = linear("source", 0, 8 * SECTORS);
	thin = device("/dev/mapper/thin");
	io_fill(source, 0, 8 * MIB, 1);
	io_fill(thin, 0, 8 * MIB, 2);
	ATF_REQUIRE_EQ(0, fsync(thin));
	ATF_CHECK_EQ(8 * MIB, thin_mapped("thin"));
	sio_list(&list, extents, SM_ARRAY(extents));
	must_copy(source, thin,
		  (struct sio_copy_opts){ .map = &list.map, .holes = SIO_HOLES_DISCARD });
	io_is(thin, 0, MIB, 1);
	io_is(thin, MIB, 6 * MIB + 12345, 0);
	io_is(thin, 7 * MIB + 12345, MIB - 12345, 1);
	ATF_CHECK_EQ(2 * MIB, thin_mapped("thin"));
	(void)close(source);
	(void)close(thin);
	lab_run("dmsetup remove thin; dmsetup remove pool");
	lab_fresh();
}

/* ---- errors ---- */

static void bad_sectors(const char *name, unsigned int disk, uint64_t from, uint64_t to,
			uint64_t all)
{
	lab_run("printf '0 %ju linear %s 0\\n%ju %ju error\\n%ju %ju linear %s %ju\\n' | dmsetup create %s",
		(uintmax_t)from, lab_disk(disk), (uintmax_t)from, (uintmax_t)(to - from),
		(uintmax_t)to, (uintmax_t)(all - to), lab_disk(disk), (uintmax_t)to, name);
}

static int good(uint64_t durable, void *data, struct snapmgr_err *e)
{
	(void)durable;
	(void)data;
	(void)e;
	return 0;
}

static void mend(const char *name, unsigned int disk, uint64_t sectors)
{
	lab_run("dmsetup suspend %s && dmsetup load %s --table '0 %ju linear %s 0' && dmsetup resume %s",
		name, name, (uintmax_t)sectors, lab_disk(disk), name);
}

ATF_TC_WITHOUT_HEAD(bad_sectors_are_named_and_a_mended_device_goes_on);
ATF_TC_BODY(bad_sectors_are_named_and_a_mended_device_goes_on, tc)
{
	static const char *const whats[] = {
		"cannot read 1048576 bytes at 12582912 of 'the source': ",
		"cannot write 1048576 bytes at 12582912 of 'the target': "
	};
	const struct sio_copy_opts opts = { .checkpoint = good,
					    .checkpoint_bytes = 2 * MIB,
					    .depth = 4 };

	(void)tc;
	for (unsigned int bad = 0; bad < 2; bad++) {
		struct sio_copy_opts again = opts;
		int fds[2], r;

		lab_fresh();
		fds[!bad] = linear("fine", !bad, 16 * SECTORS);
		mend("fine", !bad, 16 * SECTORS);
		bad_sectors("bad", bad, 12 * SECTORS + 100, 12 * SECTORS + 108, 16 * SECTORS);
		fds[bad] = device("/dev/mapper/bad");
		if (bad) {
			io_fill(fds[0], 0, 16 * MIB, 1);
		} else {
			int whole = device(lab_disk(0));

			io_fill(whole, 0, 16 * MIB, 1);
			ATF_REQUIRE_EQ(0,
				       fsync(whole)); /* dm has it open too: no close flushes it */
			(void)close(whole);
		}
		r = copy(fds[0], fds[1], opts);
		ATF_CHECK_EQ_MSG(-EIO, r, "%d", r);
		ATF_CHECK_EQ(SNAPMGR_IO, err.code);
		ATF_CHECK_MSG(strncmp(err.message, whats[bad], strlen(whats[bad])) == 0, "%s",
			      err.message);
		/* Requests behind it may have been done: before it all are. */
		ATF_CHECK(result.durable >= 8 * MIB && result.durable <= 12 * MIB);
		io_is(fds[1], 0, result.durable, 1);
		mend("bad", bad, 16 * SECTORS);
		again.resume_at = result.durable;
		must_copy(fds[0], fds[1], again);
		io_is(fds[1], 0, 16 * MIB, 1);
		(void)close(fds[0]);
		(void)close(fds[1]);
	}
	lab_fresh();
}

ATF_TC_WITHOUT_HEAD(a_target_that_stops_to_take_writes_fails_the_copy);
ATF_TC_BODY(a_target_that_stops_to_take_writes_fails_the_copy, tc)
{
	int source, target;

	(void)tc;
	lab_fresh();
	source = linear("source", 0, 8 * SECTORS);
	lab_run("dmsetup create flakey --table '0 %ju flakey %s 0 0 100 1 error_writes'",
		(uintmax_t)(8 * SECTORS), lab_disk(1));
	target = device("/dev/mapper/flakey");
	io_fill(source, 0, 8 * MIB, 1);
	ATF_CHECK_EQ(-EIO, copy(source, target, (struct sio_copy_opts){ 0 }));
	ATF_CHECK_EQ(0, result.moved_bytes);
	ATF_CHECK_MSG(strstr(err.message, "cannot write 1048576 bytes at 0 of 'the target'"), "%s",
		      err.message);
	(void)close(source);
	(void)close(target);
	lab_fresh();
}

/* ---- ends ---- */

ATF_TC_WITHOUT_HEAD(a_target_with_less_room_is_refused_or_found_full);
ATF_TC_BODY(a_target_with_less_room_is_refused_or_found_full, tc)
{
	int source, target;

	(void)tc;
	lab_fresh();
	source = linear("source", 0, 8 * SECTORS);
	target = linear("target", 1, 8 * SECTORS - 1);
	io_fill(source, 0, 8 * MIB, 1);
	io_fill(target, 0, MIB, 2);
	ATF_CHECK_EQ(-ENOSPC, copy(source, target, (struct sio_copy_opts){ 0 }));
	ATF_CHECK_EQ(SNAPMGR_NO_SPACE, err.code);
	ATF_CHECK_STREQ("'the target' has 8388096 bytes, 512 fewer than the copy needs",
			err.message);
	io_is(target, 0, MIB, 2);
	(void)close(target);

	lab_run("mkdir " LAB "/small && mount -t tmpfs -o size=2M none " LAB "/small");
	target = open(LAB "/small/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ATF_CHECK_EQ(-ENOSPC,
		     copy(source, target, (struct sio_copy_opts){ .request_bytes = 65536 }));
	ATF_CHECK_EQ(SNAPMGR_NO_SPACE, err.code);
	ATF_CHECK_MSG(strstr(err.message, "of 'the target': No space left on device"), "%s",
		      err.message);
	(void)close(target);
	(void)close(source);
	lab_fresh();
}

static bool shrunk;
static int shrink(uint64_t durable, void *data, struct snapmgr_err *e)
{
	(void)durable;
	(void)e;
	if (!shrunk)
		mend(data, 0, 12 * SECTORS);
	shrunk = true;
	return 0;
}

ATF_TC_WITHOUT_HEAD(a_device_that_becomes_smaller_is_noticed);
ATF_TC_BODY(a_device_that_becomes_smaller_is_noticed, tc)
{
	const struct sio_copy_opts opts = { .checkpoint = shrink,
					    .checkpoint_bytes = MIB,
					    .depth = 2,
					    .data = (void *)(uintptr_t) "s" };
	int source, target, r;

	(void)tc;
	lab_fresh();
	source = linear("s", 0, 16 * SECTORS);
	target = linear("t", 1, 16 * SECTORS);
	io_fill(source, 0, 16 * MIB, 1);
	r = copy(source, target, opts);
	ATF_CHECK(shrunk);
	ATF_CHECK_MSG(r == -ENODATA || r == -EIO, "%d", r);
	ATF_CHECK_EQ(SNAPMGR_IO, err.code);
	ATF_CHECK_MSG(strstr(err.message, "the source"), "%s", err.message);
	io_is(target, 0, result.durable, 1);
	(void)close(source);
	(void)close(target);
	lab_fresh();
}

/* ---- stopping ---- */

static uint64_t asked_ns;
static int stop_soon(const struct sio_progress *progress, void *data)
{
	(void)data;
	if (progress->done_bytes < 2 * MIB)
		return 0;
	asked_ns = asked_ns ? asked_ns : sm_monotonic_ns();
	return 1;
}

ATF_TC_WITHOUT_HEAD(a_copy_of_slow_devices_stops_within_a_second);
ATF_TC_BODY(a_copy_of_slow_devices_stops_within_a_second, tc)
{
	int source, target;

	(void)tc;
	lab_fresh();
	source = linear("source", 0, 512 * SECTORS);
	lab_run("dmsetup create slow --table '0 %ju delay /dev/mapper/source 0 200'",
		(uintmax_t)(512 * SECTORS));
	target = linear("target", 1, 512 * SECTORS);
	(void)close(source);
	source = device("/dev/mapper/slow");
	ATF_CHECK_EQ(-ECANCELED,
		     copy(source, target,
			  (struct sio_copy_opts){ .progress = stop_soon, .all_data = true }));
	ATF_CHECK(sm_monotonic_ns() - asked_ns < UINT64_C(1000000000));
	ATF_CHECK(result.moved_bytes < 512 * MIB);
	(void)close(source);
	(void)close(target);
	lab_fresh();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, blocks_of_512_and_of_4096_bytes_are_copied_to_each_other);
	ATF_TP_ADD_TC(tp, extents_of_single_sectors_leave_their_neighbours_alone);
	ATF_TP_ADD_TC(tp, a_ram_disk_a_disk_and_a_file_in_memory_are_copied_to_each_other);
	ATF_TP_ADD_TC(tp, what_becomes_zero_is_given_back_to_a_thin_pool);
	ATF_TP_ADD_TC(tp, bad_sectors_are_named_and_a_mended_device_goes_on);
	ATF_TP_ADD_TC(tp, a_target_that_stops_to_take_writes_fails_the_copy);
	ATF_TP_ADD_TC(tp, a_target_with_less_room_is_refused_or_found_full);
	ATF_TP_ADD_TC(tp, a_device_that_becomes_smaller_is_noticed);
	ATF_TP_ADD_TC(tp, a_copy_of_slow_devices_stops_within_a_second);
	return atf_no_error();
}
