/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel may answer: less than asked, not now, an error, nothing more. And deaths. */
#include <inttypes.h>
#include <libaio.h>
#include <signal.h>
#include <sys/wait.h>

#include "io_rig.h"
#include "tests/model/io_faults.h"

#define BYTES (8 * SM_MIB)

static int source_fd, target_fd;
static struct sio_copy_result result;

/* Two files on disk, the source filled; requests of 64 KiB, four at once. */
static int copy_with(const struct io_faults *faults, struct sio_copy_opts opts)
{
	struct sio_side from = { 0, "the source", 0 }, to = { 0, "the target", 0 };
	int r;

	source_fd = io_file("source", false);
	target_fd = io_file("target", false);
	io_fill(source_fd, 0, BYTES, 1);
	io_fill(target_fd, 0, BYTES, 2);
	from.fd = source_fd;
	to.fd = target_fd;
	opts.size = sizeof(opts);
	opts.request_bytes = 65536;
	opts.depth = opts.depth ? opts.depth : 4;
	io_faults = *faults;
	r = sio_copy(&from, &to, &opts, &result, &err);
	io_faults.fail_at = 0;
	return r;
}

static void must_not_show(struct io_faults faults)
{
	int r = copy_with(&faults, (struct sio_copy_opts){ .verify = true });

	ATF_REQUIRE_EQ_MSG(0, r, "%s", err.message);
	io_is(target_fd, 0, BYTES, 1);
}

ATF_TC_WITHOUT_HEAD(short_transfers_go_on_where_they_ended);
ATF_TC_BODY(short_transfers_go_on_where_they_ended, tc)
{
	(void)tc;
	must_not_show((struct io_faults){ .short_every = 2 });
	ATF_CHECK(io_faults.transfers > 2 * 2 * BYTES / 65536);
	must_not_show((struct io_faults){ .short_every = 1 });
}

ATF_TC_WITHOUT_HEAD(requests_that_are_not_taken_now_are_handed_over_later);
ATF_TC_BODY(requests_that_are_not_taken_now_are_handed_over_later, tc)
{
	(void)tc;
	must_not_show((struct io_faults){ .again_every = 2, .most_at_once = 1 });
	must_not_show((struct io_faults){ .again_later = 7 });
	must_not_show((struct io_faults){ .signal_every = 2 });
}

ATF_TC_WITHOUT_HEAD(a_file_that_refuses_direct_requests_is_copied_through_the_page_cache);
ATF_TC_BODY(a_file_that_refuses_direct_requests_is_copied_through_the_page_cache, tc)
{
	(void)tc;
	must_not_show((struct io_faults){ .of = OF_READS, .fail_at = 2, .error = -EINVAL });
	must_not_show((struct io_faults){ .of = OF_WRITES, .fail_at = 2, .error = -EINVAL });
	ATF_CHECK(!(fcntl(target_fd, F_GETFL) & O_DIRECT));
}

ATF_TC_WITHOUT_HEAD(a_kernel_that_flushes_only_when_waited_for_is_waited_for);
ATF_TC_BODY(a_kernel_that_flushes_only_when_waited_for_is_waited_for, tc)
{
	const struct io_faults faults = {
		.of = OF_FLUSHES, .fail_at = 1, .error = -EINVAL, .for_good = true
	};

	(void)tc;
	ATF_REQUIRE_EQ(0, copy_with(&faults, (struct sio_copy_opts){ .checkpoint_bytes = SM_MIB }));
	io_is(target_fd, 0, BYTES, 1);
}

/* ---- errors name what, where, and why ---- */

static void must_say(struct io_faults faults, int r, enum snapmgr_code code, const char *message)
{
	faults.for_good = true;
	ATF_CHECK_EQ(r, copy_with(&faults, (struct sio_copy_opts){ .depth = 1 }));
	ATF_CHECK_EQ(code, err.code);
	ATF_CHECK_STREQ(message, err.message);
}

ATF_TC_WITHOUT_HEAD(an_error_names_what_was_moved_where_and_why_not);
ATF_TC_BODY(an_error_names_what_was_moved_where_and_why_not, tc)
{
	(void)tc;
	must_say((struct io_faults){ .of = OF_READS, .fail_at = 3, .error = -EIO }, -EIO,
		 SNAPMGR_IO,
		 "cannot read 65536 bytes at 131072 of 'the source': Input/output error");
	must_say((struct io_faults){ .of = OF_WRITES, .fail_at = 2, .error = -EIO }, -EIO,
		 SNAPMGR_IO,
		 "cannot write 65536 bytes at 65536 of 'the target': Input/output error");
	must_say((struct io_faults){ .of = OF_WRITES, .fail_at = 1, .error = -ENOSPC }, -ENOSPC,
		 SNAPMGR_NO_SPACE,
		 "cannot write 65536 bytes at 0 of 'the target': No space left on device");
	must_say((struct io_faults){ .of = OF_WRITES, .fail_at = 1, .error = -EPERM }, -EPERM,
		 SNAPMGR_PERMISSION,
		 "cannot write 65536 bytes at 0 of 'the target': Operation not permitted");
}

ATF_TC_WITHOUT_HEAD(a_failed_copy_leaves_old_or_new_and_what_it_calls_durable);
ATF_TC_BODY(a_failed_copy_leaves_old_or_new_and_what_it_calls_durable, tc)
{
	const struct io_faults faults = { .of = OF_READS, .fail_at = 70, .error = -EIO };
	struct sio_side from, to;
	struct sio_copy_opts opts = { .size = sizeof(opts) };

	(void)tc;
	ATF_REQUIRE_EQ(-EIO, copy_with(&faults, (struct sio_copy_opts){ .depth = 8 }));
	ATF_CHECK_EQ(0, result.durable); /* nobody asked for checkpoints */
	for (uint64_t at = 0; at < BYTES; at += 65536) {
		uint64_t is_new = io_differs(target_fd, at, 65536, 1) == at + 65536;

		ATF_REQUIRE(is_new || io_differs(target_fd, at, 65536, 2) == at + 65536);
	}
	from = (struct sio_side){ source_fd, "the source", 0 };
	to = (struct sio_side){ target_fd, "the target", 0 };
	ATF_REQUIRE_EQ(0, sio_copy(&from, &to, &opts, NULL, &err));
	io_is(target_fd, 0, BYTES, 1);
}

/* ---- a source that becomes smaller, or larger ---- */

static off_t new_size;
static void resize_source(const struct iocb *cb)
{
	(void)cb;
	if (io_faults.count[OF_READS] == 20 && new_size) {
		ATF_REQUIRE_EQ(0, ftruncate(source_fd, new_size));
		new_size = 0;
	}
}

ATF_TC_WITHOUT_HEAD(a_source_that_becomes_smaller_is_noticed);
ATF_TC_BODY(a_source_that_becomes_smaller_is_noticed, tc)
{
	static const off_t sizes[] = { 30 * 65536, 30 * 65536 + 4096, 30 * 65536 + 100 };

	(void)tc;
	io_faults_submitted = resize_source;
	for (size_t i = 0; i < SM_ARRAY(sizes); i++) {
		new_size = sizes[i];
		ATF_CHECK_EQ(-ENODATA,
			     copy_with(&(struct io_faults){ 0 }, (struct sio_copy_opts){ 0 }));
		ATF_CHECK_EQ(SNAPMGR_IO, err.code);
		ATF_CHECK_MSG(strncmp(err.message, "'the source' ended before the ", 30) == 0, "%s",
			      err.message);
	}
}

ATF_TC_WITHOUT_HEAD(of_a_source_that_grows_what_was_there_is_copied);
ATF_TC_BODY(of_a_source_that_grows_what_was_there_is_copied, tc)
{
	(void)tc;
	io_faults_submitted = resize_source;
	new_size = 2 * BYTES;
	ATF_CHECK_EQ(0, copy_with(&(struct io_faults){ 0 }, (struct sio_copy_opts){ 0 }));
	ATF_CHECK_EQ(BYTES, io_size(target_fd));
	io_is(target_fd, 0, BYTES, 1);
}

/* ---- how many at once ---- */

ATF_TC_WITHOUT_HEAD(reads_and_writes_are_on_their_way_together_and_never_too_many);
ATF_TC_BODY(reads_and_writes_are_on_their_way_together_and_never_too_many, tc)
{
	(void)tc;
	ATF_REQUIRE_EQ(0,
		       copy_with(&(struct io_faults){ 0 }, (struct sio_copy_opts){ .depth = 16 }));
	ATF_CHECK(io_faults.most_in_flight <= 16);
	ATF_CHECK_MSG(io_faults.most_in_flight > 4, "%u", io_faults.most_in_flight);
	ATF_CHECK_MSG(io_faults.waits_with_both > io_faults.waits / 2, "%" PRIu64 " of %u",
		      io_faults.waits_with_both, io_faults.waits);
}

/* ---- checkpoints ---- */

#define WRITES_MAX 4096

static struct {
	const struct iocb *cb;
	uint64_t to;
	uint64_t
		before_flush; /* came back before that flush was handed over; UINT64_MAX: not yet */
} writes[WRITES_MAX];
static uint64_t n_writes, n_flushes, bad_checkpoints, good_checkpoints;

static void note_write(const struct iocb *cb)
{
	if (cb->aio_lio_opcode == IO_CMD_FDSYNC)
		n_flushes++;
	if (cb->aio_lio_opcode != IO_CMD_PWRITE || n_writes == WRITES_MAX)
		return;
	writes[n_writes].cb = cb;
	writes[n_writes].to = (uint64_t)cb->u.c.offset + cb->u.c.nbytes;
	writes[n_writes++].before_flush = UINT64_MAX;
}

static void note_written(const struct iocb *cb)
{
	for (uint64_t i = 0; i < n_writes; i++)
		if (writes[i].cb == cb && writes[i].before_flush == UINT64_MAX)
			writes[i].before_flush = n_flushes + 1;
}

static int judge_checkpoint(uint64_t durable, void *data, struct snapmgr_err *e)
{
	(void)data;
	(void)e;
	for (uint64_t i = 0; i < n_writes; i++)
		bad_checkpoints += writes[i].to <= durable && writes[i].before_flush > n_flushes;
	good_checkpoints++;
	return 0;
}

ATF_TC_WITHOUT_HEAD(a_checkpoint_is_told_after_a_flush_that_came_after_all_before_it);
ATF_TC_BODY(a_checkpoint_is_told_after_a_flush_that_came_after_all_before_it, tc)
{
	(void)tc;
	io_faults_submitted = note_write;
	io_faults_done = note_written;
	ATF_REQUIRE_EQ(0, copy_with(&(struct io_faults){ 0 },
				    (struct sio_copy_opts){ .depth = 16,
							    .checkpoint = judge_checkpoint,
							    .checkpoint_bytes = 256 * SM_KIB }));
	ATF_CHECK_EQ(0, bad_checkpoints);
	ATF_CHECK(good_checkpoints >= 3);
	ATF_CHECK(n_flushes >= good_checkpoints);
}

ATF_TC_WITHOUT_HEAD(a_flush_that_fails_is_no_checkpoint);
ATF_TC_BODY(a_flush_that_fails_is_no_checkpoint, tc)
{
	const struct io_faults faults = { .of = OF_FLUSHES, .fail_at = 1, .error = -EIO };

	(void)tc;
	/* Of the flush after it nothing is known: it may say that all is well, of what was lost before. */
	ATF_CHECK_EQ(-EIO,
		     copy_with(&faults, (struct sio_copy_opts){ .checkpoint = judge_checkpoint,
								.checkpoint_bytes = SM_MIB }));
	ATF_CHECK_STREQ("cannot flush 'the target': Input/output error", err.message);
	ATF_CHECK_EQ(0, good_checkpoints);
	ATF_CHECK_EQ(0, result.durable);
}

static int refuse_checkpoint(uint64_t durable, void *data, struct snapmgr_err *e)
{
	(void)durable;
	(void)data;
	return sm_fail(e, SNAPMGR_STALE, ESTALE, "somebody else's now");
}

ATF_TC_WITHOUT_HEAD(a_checkpoint_that_is_refused_ends_the_copy);
ATF_TC_BODY(a_checkpoint_that_is_refused_ends_the_copy, tc)
{
	(void)tc;
	ATF_CHECK_EQ(-ESTALE, copy_with(&(struct io_faults){ 0 },
					(struct sio_copy_opts){ .checkpoint = refuse_checkpoint,
								.checkpoint_bytes = SM_MIB }));
	ATF_CHECK_STREQ("somebody else's now", err.message);
}

/* ---- deaths ---- */

struct shared {
	uint64_t durable;
};

static int keep(uint64_t durable, void *data, struct snapmgr_err *e)
{
	(void)e;
	((struct shared *)data)->durable = durable;
	return 0;
}

static uint32_t die_at;
static void die(const struct iocb *cb)
{
	(void)cb;
	if (io_faults.count[OF_WRITES] == die_at)
		(void)raise(SIGKILL);
}

ATF_TC_WITHOUT_HEAD(who_is_killed_is_resumed_at_the_last_checkpoint);
ATF_TC_BODY(who_is_killed_is_resumed_at_the_last_checkpoint, tc)
{
	static const uint32_t writes_made[] = { 1, 17, 50, 127 };
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)tc;
	ATF_REQUIRE(shared != MAP_FAILED);
	for (size_t i = 0; i < SM_ARRAY(writes_made); i++) {
		struct sio_copy_opts opts = { .size = sizeof(opts),
					      .checkpoint = keep,
					      .checkpoint_bytes = 512 * SM_KIB,
					      .data = shared };
		int status;

		shared->durable = 0;
		die_at = writes_made[i];
		if (fork() == 0) {
			io_faults_submitted = die;
			(void)copy_with(&(struct io_faults){ 0 }, opts);
			_exit(0);
		}
		ATF_REQUIRE(wait(&status) > 0 && WIFSIGNALED(status));
		source_fd = open("source", O_RDWR | O_CLOEXEC);
		target_fd = open("target", O_RDWR | O_CLOEXEC);
		io_is(target_fd, 0, shared->durable, 1);
		opts.resume_at = shared->durable;
		ATF_CHECK_EQ(BYTES - opts.resume_at,
			     io_copied(source_fd, target_fd, &opts).moved_bytes);
		io_is(target_fd, 0, BYTES, 1);
		ATF_CHECK(i == 0 || opts.resume_at > 0);
	}
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, short_transfers_go_on_where_they_ended);
	ATF_TP_ADD_TC(tp, requests_that_are_not_taken_now_are_handed_over_later);
	ATF_TP_ADD_TC(tp, a_file_that_refuses_direct_requests_is_copied_through_the_page_cache);
	ATF_TP_ADD_TC(tp, a_kernel_that_flushes_only_when_waited_for_is_waited_for);
	ATF_TP_ADD_TC(tp, an_error_names_what_was_moved_where_and_why_not);
	ATF_TP_ADD_TC(tp, a_failed_copy_leaves_old_or_new_and_what_it_calls_durable);
	ATF_TP_ADD_TC(tp, a_source_that_becomes_smaller_is_noticed);
	ATF_TP_ADD_TC(tp, of_a_source_that_grows_what_was_there_is_copied);
	ATF_TP_ADD_TC(tp, reads_and_writes_are_on_their_way_together_and_never_too_many);
	ATF_TP_ADD_TC(tp, a_checkpoint_is_told_after_a_flush_that_came_after_all_before_it);
	ATF_TP_ADD_TC(tp, a_flush_that_fails_is_no_checkpoint);
	ATF_TP_ADD_TC(tp, a_checkpoint_that_is_refused_ends_the_copy);
	ATF_TP_ADD_TC(tp, who_is_killed_is_resumed_at_the_last_checkpoint);
	return atf_no_error();
}
