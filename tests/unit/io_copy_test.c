/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copies of files: tails, holes, zeroes, offsets, progress, resumption, verification. */
#include <inttypes.h>

#include "io_rig.h"
#include "tests/model/io_faults.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true /* which takes memory of its own */
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED false
#endif

static const struct {
	bool source, target;
} memories[] = { { false, false }, { true, false }, { false, true }, { true, true } };

ATF_TC_WITHOUT_HEAD(a_file_of_any_size_is_copied_to_its_last_byte);
ATF_TC_BODY(a_file_of_any_size_is_copied_to_its_last_byte, tc)
{
	static const uint64_t sizes[] = {
		0, 1, 511, 4095, 4096, 4097, SM_MIB + 1, 3 * SM_MIB - 512
	};

	(void)tc;
	for (size_t i = 0; i < SM_ARRAY(sizes); i++) {
		int source = io_file("source", memories[i % 4].source);
		int target = io_file("target", memories[i % 4].target);

		io_fill(source, 0, sizes[i], 7);
		ATF_CHECK_EQ(sizes[i], io_copied(source, target, NULL).moved_bytes);
		ATF_CHECK_EQ(sizes[i], io_size(target));
		io_is(target, 0, sizes[i], 7);
		(void)close(source);
		(void)close(target);
	}
}

ATF_TC_WITHOUT_HEAD(what_lies_behind_the_end_of_the_source_is_left_alone);
ATF_TC_BODY(what_lies_behind_the_end_of_the_source_is_left_alone, tc)
{
	int source = io_file("source", false), target = io_file("target", false);

	(void)tc;
	io_fill(source, 0, 100001, 1);
	io_fill(target, 0, 200000, 2);
	(void)io_copied(source, target, NULL);
	ATF_CHECK_EQ(200000, io_size(target));
	io_is(target, 0, 100001, 1);
	io_is(target, 100001, 99999, 2);
}

ATF_TC_WITHOUT_HEAD(holes_stay_holes);
ATF_TC_BODY(holes_stay_holes, tc)
{
	(void)tc;
	for (int i = 0; i < 2; i++) {
		int source = io_file("source", i), target = io_file("target", i);
		struct sio_copy_result result;

		ATF_REQUIRE_EQ(0, ftruncate(source, (off_t)(100 * SM_GIB)));
		io_fill(source, 50 * SM_GIB, SM_MIB, 3);
		result = io_copied(source, target, NULL);
		ATF_CHECK_EQ(SM_MIB, result.moved_bytes);
		ATF_CHECK_EQ(100 * SM_GIB - SM_MIB, result.hole_bytes);
		ATF_CHECK_EQ(100 * SM_GIB, io_size(target));
		ATF_CHECK(io_used(target) <= SM_MIB + 65536);
		io_is(target, 50 * SM_GIB, SM_MIB, 3);
		(void)close(source);
		(void)close(target);
	}
}

ATF_TC_WITHOUT_HEAD(what_a_hole_comes_to_lie_on_becomes_zero_and_is_given_back);
ATF_TC_BODY(what_a_hole_comes_to_lie_on_becomes_zero_and_is_given_back, tc)
{
	(void)tc;
	for (int i = 0; i < 2; i++) {
		int source = io_file("source", i), target = io_file("target", i);

		ATF_REQUIRE_EQ(0, ftruncate(source, 4 * SM_MIB + 100));
		io_fill(source, SM_MIB, 4096, 3);
		io_fill(target, 0, 4 * SM_MIB + 100, 9);
		(void)io_copied(source, target, NULL);
		io_is(target, 0, SM_MIB, 0);
		io_is(target, SM_MIB, 4096, 3);
		io_is(target, SM_MIB + 4096, 3 * SM_MIB - 4096 + 100, 0);
		ATF_CHECK(io_used(target) <= 65536);
		(void)close(source);
		(void)close(target);
	}
}

/* A source that was written to all over, half of it with zeroes. */
static int half_zero(void)
{
	int source = io_file("source", false);
	static const char zeroes[SM_MIB];

	io_fill(source, 0, 2 * SM_MIB, 5);
	ATF_REQUIRE_EQ((ssize_t)sizeof(zeroes), pwrite(source, zeroes, sizeof(zeroes), 512 * 1024));
	return source;
}

ATF_TC_WITHOUT_HEAD(zeroes_among_the_data_become_holes);
ATF_TC_BODY(zeroes_among_the_data_become_holes, tc)
{
	int source = half_zero(), target = io_file("target", false);
	struct sio_copy_result result;

	(void)tc;
	io_fill(target, 0, 2 * SM_MIB, 6);
	result = io_copied(source, target, NULL);
	ATF_CHECK_EQ(SM_MIB, result.zero_bytes);
	ATF_CHECK_EQ(SM_MIB, result.moved_bytes);
	io_is(target, 512 * SM_KIB, SM_MIB, 0);
	io_is(target, 0, 512 * SM_KIB, 5);
	io_is(target, 1536 * SM_KIB, 512 * SM_KIB, 5);
	ATF_CHECK(io_used(target) < SM_MIB + 65536);
}

ATF_TC_WITHOUT_HEAD(zeroes_are_written_where_all_is_data);
ATF_TC_BODY(zeroes_are_written_where_all_is_data, tc)
{
	const struct sio_copy_opts opts = { .size = sizeof(opts), .all_data = true };
	int source = half_zero(), target = io_file("target", false);

	(void)tc;
	ATF_CHECK_EQ(2 * SM_MIB, io_copied(source, target, &opts).moved_bytes);
	ATF_CHECK(io_used(target) >= 2 * SM_MIB);
}

ATF_TC_WITHOUT_HEAD(nothing_is_written_between_two_extents);
ATF_TC_BODY(nothing_is_written_between_two_extents, tc)
{
	static const struct sio_extent extents[] = {
		{ 0, 0, SIO_DATA },	   { 100, 300, SIO_DATA },    { 400, 8000, SIO_DATA },
		{ 65536, 4096, SIO_HOLE }, { 131072, 1, SIO_DATA },   { 200000, 77777, SIO_DATA },
		{ 277777, 3, SIO_HOLE },   { 277780, 220, SIO_DATA },
	};
	int source = io_file("source", false), target = io_file("target", false);
	struct sio_list list;
	struct sio_copy_opts opts = { .size = sizeof(opts), .map = &list.map, .verify = true };

	(void)tc;
	io_fill(source, 0, 300000, 1);
	io_fill(target, 0, 300000, 2);
	sio_list(&list, extents, SM_ARRAY(extents));
	(void)io_copied(source, target, &opts);
	io_is(target, 0, 100, 2);
	io_is(target, 100, 8300, 1);
	io_is(target, 8400, 65536 - 8400, 2);
	io_is(target, 65536, 4096, 0);
	io_is(target, 69632, 131072 - 69632, 2);
	io_is(target, 131072, 1, 1);
	io_is(target, 131073, 200000 - 131073, 2);
	io_is(target, 200000, 77777, 1);
	io_is(target, 277777, 3, 0);
	io_is(target, 277780, 220, 1);
	io_is(target, 278000, 22000, 2);
}

ATF_TC_WITHOUT_HEAD(neighbours_are_read_as_one);
ATF_TC_BODY(neighbours_are_read_as_one, tc)
{
	struct sio_extent extents[256];
	int source = io_file("source", false), target = io_file("target", false);
	struct sio_list list;
	struct sio_copy_opts opts = { .size = sizeof(opts), .map = &list.map };

	(void)tc;
	for (size_t i = 0; i < SM_ARRAY(extents); i++)
		extents[i] = (struct sio_extent){ i * 4096, 4096, SIO_DATA };
	io_fill(source, 0, SM_MIB, 1);
	sio_list(&list, extents, SM_ARRAY(extents));
	(void)io_copied(source, target, &opts);
	ATF_CHECK_EQ(1, io_faults.count[OF_READS]);
	ATF_CHECK_EQ(1, io_faults.count[OF_WRITES]);
}

ATF_TC_WITHOUT_HEAD(a_map_out_of_order_is_refused);
ATF_TC_BODY(a_map_out_of_order_is_refused, tc)
{
	static const struct sio_extent overlapping[] = { { 0, 8192, SIO_DATA },
							 { 4096, 4096, SIO_DATA } };
	static const struct sio_extent huge[] = { { 4096, UINT64_MAX, SIO_HOLE } };
	int fd = io_file("source", true), target = io_file("target", true);
	struct sio_side from = { fd, "source", 0 }, to = { target, "target", 0 };
	struct sio_list list;
	struct sio_copy_opts opts = { .size = sizeof(opts), .map = &list.map };

	(void)tc;
	io_fill(fd, 0, 65536, 1);
	sio_list(&list, overlapping, 2);
	ATF_CHECK_EQ(-EINVAL, sio_copy(&from, &to, &opts, NULL, &err));
	ATF_CHECK_EQ(SNAPMGR_INTERNAL, err.code);
	sio_list(&list, huge, 1);
	ATF_CHECK_EQ(-EINVAL, sio_copy(&from, &to, &opts, NULL, &err));
}

ATF_TC_WITHOUT_HEAD(offsets_that_lie_athwart_are_copied_right);
ATF_TC_BODY(offsets_that_lie_athwart_are_copied_right, tc)
{
	static const uint64_t offsets[][2] = {
		{ 512, 0 }, { 0, 512 }, { 4096, 512 }, { 513, 1 }, { 3, 4099 }
	};

	(void)tc;
	for (size_t i = 0; i < SM_ARRAY(offsets); i++) {
		int source = io_file("source", false), target = io_file("target", false), moved;
		struct sio_side from = { source, "source", offsets[i][0] };
		struct sio_side to = { target, "target", offsets[i][1] };
		struct sio_copy_opts opts = { .size = sizeof(opts), .verify = true };

		io_fill(source, 0, 300000, 1);
		ATF_REQUIRE_EQ_MSG(0, sio_copy(&from, &to, &opts, NULL, &err), "%s", err.message);
		ATF_CHECK_EQ(300000 - offsets[i][0] + offsets[i][1], io_size(target));
		/* Seen from where position 0 of the source lies, it is the source. */
		moved = io_file("moved", true);
		ATF_REQUIRE_EQ(0, ftruncate(moved, 300000));
		to.fd = moved;
		to.offset = offsets[i][0];
		from.fd = target;
		from.offset = offsets[i][1];
		ATF_REQUIRE_EQ(0, sio_copy(&from, &to, NULL, NULL, &err));
		io_is(moved, offsets[i][0], 300000 - offsets[i][0], 1);
		(void)close(source);
		(void)close(target);
		(void)close(moved);
	}
}

ATF_TC_WITHOUT_HEAD(descriptors_keep_their_flags);
ATF_TC_BODY(descriptors_keep_their_flags, tc)
{
	int source = io_file("source", false), target = io_file("target", false);
	int before = fcntl(source, F_GETFL);

	(void)tc;
	io_fill(source, 0, 100000, 1);
	ATF_REQUIRE_EQ(0, fcntl(target, F_SETFL, fcntl(target, F_GETFL) | O_DIRECT));
	(void)io_copied(source, target, NULL);
	ATF_CHECK_EQ(before, fcntl(source, F_GETFL));
	ATF_CHECK(fcntl(target, F_GETFL) & O_DIRECT);
}

/* ---- progress, stopping, resumption ---- */

struct watch {
	struct sio_progress last;
	unsigned int calls, checkpoints;
	uint64_t stop_after, durable;
	uint64_t stopped_ns;
	bool fell_back;
};

static int watch_progress(const struct sio_progress *progress, void *data)
{
	struct watch *w = data;

	w->fell_back |= progress->verifying == w->last.verifying &&
			progress->done_bytes < w->last.done_bytes;
	w->last = *progress;
	w->calls++;
	if (!w->stop_after || progress->done_bytes < w->stop_after)
		return 0;
	w->stopped_ns = sm_monotonic_ns();
	return 1;
}

static int watch_checkpoint(uint64_t durable, void *data, struct snapmgr_err *e)
{
	struct watch *w = data;

	(void)e;
	w->checkpoints++;
	w->durable = durable;
	return 0;
}

ATF_TC_WITHOUT_HEAD(progress_only_grows_and_ends_with_all);
ATF_TC_BODY(progress_only_grows_and_ends_with_all, tc)
{
	struct watch w = { 0 };
	const struct sio_copy_opts opts = {
		.size = sizeof(opts), .progress = watch_progress, .data = &w, .verify = true
	};
	int source = io_file("source", false), target = io_file("target", false);

	(void)tc;
	io_fill(source, 0, 20 * SM_MIB, 1);
	ATF_CHECK_EQ(20 * SM_MIB, io_copied(source, target, &opts).verified_bytes);
	ATF_CHECK(w.calls >= 2);
	ATF_CHECK(!w.fell_back);
	ATF_CHECK(w.last.verifying);
	ATF_CHECK_EQ(20 * SM_MIB, w.last.done_bytes);
	ATF_CHECK_EQ(20 * SM_MIB, w.last.todo_bytes);
}

ATF_TC_WITHOUT_HEAD(a_copy_stops_when_asked_and_goes_on_from_its_last_checkpoint);
ATF_TC_BODY(a_copy_stops_when_asked_and_goes_on_from_its_last_checkpoint, tc)
{
	struct watch w = { .stop_after = 8 * SM_MIB };
	struct sio_copy_opts opts = { .size = sizeof(opts),
				      .progress = watch_progress,
				      .checkpoint = watch_checkpoint,
				      .checkpoint_bytes = SM_MIB,
				      .depth = 2,
				      .request_bytes = 65536,
				      .data = &w };
	int source = io_file("source", false), target = io_file("target", false);
	struct sio_side from = { source, "source", 0 }, to = { target, "target", 0 };
	struct sio_copy_result result;

	(void)tc;
	io_fill(source, 0, 200 * SM_MIB, 1);
	ATF_REQUIRE_EQ(-ECANCELED, sio_copy(&from, &to, &opts, &result, &err));
	ATF_CHECK(sm_monotonic_ns() - w.stopped_ns < UINT64_C(1000000000));
	ATF_CHECK(result.durable < 200 * SM_MIB);
	ATF_CHECK_EQ(w.durable, result.durable);
	ATF_CHECK(w.checkpoints > 0);
	io_is(target, 0, result.durable, 1);
	/* What lies before it is not looked at again. */
	io_fill(target, 0, result.durable, 4);
	w = (struct watch){ 0 };
	opts.resume_at = result.durable;
	opts.depth = opts.request_bytes = 0;
	ATF_CHECK_EQ(200 * SM_MIB - opts.resume_at, io_copied(source, target, &opts).moved_bytes);
	ATF_CHECK_EQ(200 * SM_MIB, w.last.done_bytes);
	io_is(target, 0, opts.resume_at, 4);
	io_is(target, opts.resume_at, 200 * SM_MIB - opts.resume_at, 1);
}

/* ---- verification ---- */

static int spoilt_fd;

/* Somebody writes to the target once it is read. */
static void flip(const struct iocb *cb)
{
	unsigned char c;

	(void)cb;
	if (io_faults.count[OF_READS] != 3 || spoilt_fd < 0)
		return;
	ATF_REQUIRE_EQ(1, pread(spoilt_fd, &c, 1, 3 * SM_MIB + 4711));
	c ^= 0x10;
	ATF_REQUIRE_EQ(1, pwrite(spoilt_fd, &c, 1, 3 * SM_MIB + 4711));
	ATF_REQUIRE_EQ(0, fsync(spoilt_fd));
	spoilt_fd = -1;
}

ATF_TC_WITHOUT_HEAD(verify_finds_a_flipped_bit);
ATF_TC_BODY(verify_finds_a_flipped_bit, tc)
{
	struct sio_copy_opts opts = { .size = sizeof(opts), .verify = true, .depth = 2 };
	int source = io_file("source", false), target = io_file("target", false);
	struct sio_side from = { source, "source", 0 }, to = { target, "target", 0 };

	(void)tc;
	io_fill(source, 0, 8 * SM_MIB, 1);
	(void)io_copied(source, target, &opts);
	/* The third read is of the copy: the bit flips in what will be overwritten, and comes back. */
	spoilt_fd = open("target", O_RDWR | O_CLOEXEC);
	io_faults_submitted = flip;
	io_faults.count[OF_READS] = 0;
	ATF_CHECK_EQ(0, sio_copy(&from, &to, &opts, NULL, &err));
	spoilt_fd = open("target", O_RDWR | O_CLOEXEC);
	io_faults.count[OF_READS] = (uint32_t)-8;
	ATF_CHECK_EQ(-EBADMSG, sio_copy(&from, &to, &opts, NULL, &err));
	ATF_CHECK_EQ(SNAPMGR_DAMAGED, err.code);
	ATF_CHECK_STREQ("'target' differs from 'source' after the copy: 4096 bytes at 3149824",
			err.message);
}

ATF_TC_WITHOUT_HEAD(verify_finds_that_a_hole_is_not_zero);
ATF_TC_BODY(verify_finds_that_a_hole_is_not_zero, tc)
{
	static const struct sio_extent extents[] = { { 0, 65536, SIO_DATA },
						     { 65536, 65536, SIO_HOLE } };
	int a = io_file("a", false), b = io_file("b", false);
	struct sio_side from = { a, "a", 0 }, to = { b, "b", 0 };
	struct sio_list list;
	struct sio_compare_opts opts = { .size = sizeof(opts), .map = &list.map };
	uint64_t bytes;

	(void)tc;
	io_fill(a, 0, 65536, 1);
	io_fill(b, 0, 65536, 1);
	ATF_REQUIRE_EQ(0, ftruncate(b, 131072));
	sio_list(&list, extents, 2);
	ATF_REQUIRE_EQ(0, sio_compare(&from, &to, &opts, &bytes, &err));
	ATF_CHECK_EQ(0, bytes);
	ATF_REQUIRE_EQ(1, pwrite(b, "x", 1, 100000));
	list.map.rewind(&list.map);
	ATF_REQUIRE_EQ(0, sio_compare(&from, &to, &opts, &bytes, &err));
	ATF_CHECK_EQ(4096, bytes);
	opts.data_only = true;
	list.map.rewind(&list.map);
	ATF_REQUIRE_EQ(0, sio_compare(&from, &to, &opts, &bytes, &err));
	ATF_CHECK_EQ(0, bytes);
}

/* ---- bounds ---- */

ATF_TC_WITHOUT_HEAD(options_that_make_no_sense_are_refused);
ATF_TC_BODY(options_that_make_no_sense_are_refused, tc)
{
	static const uint32_t wrong[][2] = {
		{ 0, 2048 }, { 0, 8 << 20 }, { 0, 1000000 }, { 65, 0 }, { 17, 4 << 20 }
	};
	int fd = io_file("a", true);
	struct sio_side side = { fd, "a", 0 };

	(void)tc;
	for (size_t i = 0; i < SM_ARRAY(wrong); i++) {
		struct sio_copy_opts opts = { .size = sizeof(opts),
					      .depth = wrong[i][0],
					      .request_bytes = wrong[i][1] };

		ATF_CHECK_EQ(-EINVAL, sio_copy(&side, &side, &opts, NULL, &err));
		ATF_CHECK_EQ(SNAPMGR_USAGE, err.code);
	}
}

ATF_TC_WITHOUT_HEAD(a_pipe_is_not_supported);
ATF_TC_BODY(a_pipe_is_not_supported, tc)
{
	int ends[2], fd = io_file("a", true);
	struct sio_side file = { fd, "a", 0 }, end = { -1, "the pipe", 0 };

	(void)tc;
	ATF_REQUIRE_EQ(0, pipe2(ends, O_CLOEXEC));
	end.fd = ends[0];
	ATF_CHECK_EQ(-EOPNOTSUPP, sio_copy(&end, &file, NULL, NULL, &err));
	ATF_CHECK_EQ(SNAPMGR_UNSUPPORTED, err.code);
	ATF_CHECK_STREQ("'the pipe' is neither a file nor a block device", err.message);
}

static uint64_t memory_most(void)
{
	AUTO(sm_close_file) FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	uint64_t kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmHWM: %" SCNu64, &kib) == 1)
			return kib * 1024;
	return UINT64_MAX;
}

ATF_TC_WITHOUT_HEAD(memory_stays_below_64_mib);
ATF_TC_BODY(memory_stays_below_64_mib, tc)
{
	struct sio_copy_opts opts = { .size = sizeof(opts), .verify = true };
	int source = io_file("source", false), target = io_file("target", false);

	(void)tc;
	io_fill(source, 0, 128 * SM_MIB, 1);
	(void)io_copied(source, target, &opts);
	ATF_CHECK(SANITIZED || memory_most() < 64 * SM_MIB);
	ATF_CHECK(memory_most() > 32 * SM_MIB); /* the measure sees the buffers */
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_file_of_any_size_is_copied_to_its_last_byte);
	ATF_TP_ADD_TC(tp, what_lies_behind_the_end_of_the_source_is_left_alone);
	ATF_TP_ADD_TC(tp, holes_stay_holes);
	ATF_TP_ADD_TC(tp, what_a_hole_comes_to_lie_on_becomes_zero_and_is_given_back);
	ATF_TP_ADD_TC(tp, zeroes_among_the_data_become_holes);
	ATF_TP_ADD_TC(tp, zeroes_are_written_where_all_is_data);
	ATF_TP_ADD_TC(tp, nothing_is_written_between_two_extents);
	ATF_TP_ADD_TC(tp, neighbours_are_read_as_one);
	ATF_TP_ADD_TC(tp, a_map_out_of_order_is_refused);
	ATF_TP_ADD_TC(tp, offsets_that_lie_athwart_are_copied_right);
	ATF_TP_ADD_TC(tp, descriptors_keep_their_flags);
	ATF_TP_ADD_TC(tp, progress_only_grows_and_ends_with_all);
	ATF_TP_ADD_TC(tp, a_copy_stops_when_asked_and_goes_on_from_its_last_checkpoint);
	ATF_TP_ADD_TC(tp, verify_finds_a_flipped_bit);
	ATF_TP_ADD_TC(tp, verify_finds_that_a_hole_is_not_zero);
	ATF_TP_ADD_TC(tp, options_that_make_no_sense_are_refused);
	ATF_TP_ADD_TC(tp, a_pipe_is_not_supported);
	ATF_TP_ADD_TC(tp, memory_stays_below_64_mib);
	return atf_no_error();
}
