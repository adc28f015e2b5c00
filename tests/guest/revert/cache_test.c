/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The page cache, and those who have the volume open through a revert. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "../pool_lab.h"

#define SIZE  (8 * SM_MIB)
#define BYTES (2 * SM_MIB) /* of the volume that single bytes are written to */
#define PAGE  4096u

static const struct snapmgr_revert_opts online = { .size = sizeof(online), .online = true };
static const struct snapmgr_undo_opts undo_online = { .size = sizeof(undo_online), .online = true };

/* A snapshot of 's', a head of 'h'. */
static int open_volume(int flags)
{
	int fd;

	lab_up();
	lab_create("p/v", SIZE);
	lab_write(lab_node("p/v"), 0, SIZE, 's', LAB_DIRECT);
	lab_snapshot("p/v@s");
	lab_write(lab_node("p/v"), 0, SIZE, 'h', LAB_DIRECT);
	fd = open(lab_node("p/v"), flags | O_CLOEXEC);
	ATF_REQUIRE(fd >= 0);
	return fd;
}

ATF_TC_WITHOUT_HEAD(an_open_descriptor_reads_no_cached_page_of_the_old_contents);
ATF_TC_BODY(an_open_descriptor_reads_no_cached_page_of_the_old_contents, tc)
{
	int fd = open_volume(O_RDONLY);

	for (int i = 0; i < 5; i++) {
		ATF_REQUIRE(lab_reads(fd, 0, SIZE, 'h'));
		LAB_DO(snapmgr_revert(lab, "p/v@s", &online, NULL, &err));
		ATF_CHECK(lab_reads(fd, 0, SIZE, 's'));
		LAB_DO(snapmgr_undo(lab, "p/v", &undo_online, NULL, &err));
	}
	(void)close(fd);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(dirty_pages_go_to_the_displaced_head_and_nowhere_else);
ATF_TC_BODY(dirty_pages_go_to_the_displaced_head_and_nowhere_else, tc)
{
	int fd = open_volume(O_RDWR);

	lab_pwrite(fd, 0, SIZE, 'd');
	LAB_DO(snapmgr_revert(lab, "p/v@s", &online, NULL, &err));
	ATF_CHECK(lab_reads(fd, 0, SIZE, 's'));
	ATF_REQUIRE_EQ(0, fsync(fd));
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE, 's', LAB_DIRECT));
	LAB_DO(snapmgr_undo(lab, "p/v", &undo_online, NULL, &err));
	ATF_CHECK_MSG(lab_holds(lab_node("p/v"), 0, SIZE, 'd', LAB_DIRECT), "a write was lost");
	(void)close(fd);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(what_was_cached_before_it_was_closed_is_not_read_after);
ATF_TC_BODY(what_was_cached_before_it_was_closed_is_not_read_after, tc)
{
	int keeper = open_volume(
		O_RDONLY); /* the cache of a device that nobody has open is dropped anyway */

	ATF_REQUIRE(lab_holds(lab_node("p/v"), 0, SIZE, 'h', 0));
	lab_write(lab_node("p/v"), 0, SIZE / 2, 'd', LAB_ASYNC);
	LAB_DO(snapmgr_revert(lab, "p/v@s", &online, NULL, &err));
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE, 's', 0));
	(void)close(keeper);
	lab_revert("p/v@s");
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE, 's', 0));
	lab_check_rest();
}

struct shared {
	_Atomic bool stop;
	_Atomic int error;
	_Atomic uint64_t done;
	char node[160];
};

static struct shared *share(void)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ATF_REQUIRE(s != MAP_FAILED);
	(void)sm_copy_text(s->node, sizeof(s->node), lab_node("p/v"));
	return s;
}

static void write_direct(void *data)
{
	struct shared *s = data;
	int fd = open(s->node, O_RDWR | O_DIRECT | O_CLOEXEC);
	uint64_t random = 5;
	void *page;

	if (fd < 0 || posix_memalign(&page, PAGE, PAGE))
		_exit(1);
	memset(page, 'w', PAGE);
	lab_ready();
	while (!s->stop) {
		uint64_t at = lab_random(&random) % (SIZE / PAGE) * PAGE;

		if (pwrite(fd, page, PAGE, (off_t)at) != PAGE ||
		    pread(fd, page, PAGE, (off_t)at) != PAGE)
			s->error = errno ? errno : EIO;
		s->done++;
	}
}

/* Whoever has it open when it is suspended has pages in the cache; who came and went has none. */
static void look_in(void *data)
{
	struct shared *s = data;
	char page[PAGE];

	lab_ready();
	while (!s->stop) {
		int fd = open(s->node, O_RDONLY | O_CLOEXEC);

		for (uint64_t at = 0; fd >= 0 && at < SIZE; at += SIZE / 8)
			if (pread(fd, page, PAGE, (off_t)at) != PAGE)
				s->error = errno ? errno : EIO;
		(void)close(fd);
		s->done++;
	}
}

ATF_TC_WITHOUT_HEAD(who_looks_in_now_and_then_reads_nothing_old);
ATF_TC_BODY(who_looks_in_now_and_then_reads_nothing_old, tc)
{
	struct snapmgr_err err;
	int reverted = 0;
	struct shared *s;
	pid_t pid;

	(void)close(open_volume(O_RDONLY));
	lab_snapshot("p/v@h");
	s = share();
	pid = lab_child(look_in, s);
	for (int i = 0; i < 20; i++) {
		int r = snapmgr_revert(lab, i % 2 ? "p/v@h" : "p/v@s", NULL, NULL, &err);

		ATF_REQUIRE_MSG(r == 0 || err.code == SNAPMGR_IN_USE, "%s", err.message);
		reverted += r == 0;
		if (r == 0)
			ATF_REQUIRE_MSG(lab_holds(s->node, 0, SIZE, i % 2 ? 'h' : 's', 0),
					"round %d: it reads as before", i);
	}
	s->stop = true;
	lab_end(pid);
	printf("%d reverts between %ju looks\n", reverted, (uintmax_t)s->done);
	ATF_CHECK_EQ_MSG(0, s->error, "the reader saw: %s", strerror(s->error));
	ATF_CHECK(reverted > 0);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_direct_writer_sees_no_error_through_reverts);
ATF_TC_BODY(a_direct_writer_sees_no_error_through_reverts, tc)
{
	struct snapmgr_revert_result ret;
	struct shared *s;
	uint64_t before;
	pid_t pid;

	(void)close(open_volume(O_RDONLY));
	s = share();
	pid = lab_child(write_direct, s);
	for (int i = 0; i < 40; i++) {
		LAB_DO(snapmgr_revert(lab, "p/v@s", &online, &ret, &err));
		ATF_CHECK_MSG(ret.suspended_us < 2000000, "paused for %ju us",
			      (uintmax_t)ret.suspended_us);
		before = s->done;
		for (int k = 0; k < 100 && s->done <= before; k++)
			lab_sleep_ms(10);
		ATF_REQUIRE_MSG(s->done > before, "the writer is stuck");
	}
	s->stop = true;
	ATF_CHECK_EQ_MSG(0, s->error, "the writer saw: %s", strerror(s->error));
	lab_end(pid);
	lab_check_rest();
}

/* Single bytes through the page cache, at the end of pages; their beginning is the test's. */
static void write_bytes(void *data)
{
	struct shared *s = data;
	int fd = open(s->node, O_RDWR | O_CLOEXEC);
	uint64_t random = 7;

	if (fd < 0)
		_exit(1);
	lab_ready();
	while (!s->stop) {
		uint64_t page = lab_random(&random) % (BYTES / PAGE);

		if (pwrite(fd, "w", 1, (off_t)(page * PAGE + PAGE - 1)) != 1)
			s->error = errno;
		s->done++;
		if (s->done % 8 == 0)
			lab_sleep_ms(1);
	}
}

static void read_bytes(void *data)
{
	struct shared *s = data;
	int fd = open(s->node, O_RDONLY | O_CLOEXEC);
	uint64_t random = 9;
	char byte;

	if (fd < 0)
		_exit(1);
	lab_ready();
	while (!s->stop) {
		if (pread(fd, &byte, 1, (off_t)(lab_random(&random) % BYTES)) != 1)
			s->error = errno ? errno : EIO;
		s->done++;
		if (s->done % 8 == 0)
			lab_sleep_ms(1);
	}
}

/* He waits for a page whenever the volume is suspended: that is no page of the old contents. */
ATF_TC_WITHOUT_HEAD(a_buffered_reader_holds_no_revert_up);
ATF_TC_BODY(a_buffered_reader_holds_no_revert_up, tc)
{
	struct shared *s;
	pid_t pid;

	lab_up();
	lab_create("p/v", BYTES);
	s = share();
	lab_snapshot("p/v@s");
	pid = lab_child(read_bytes, s);
	for (int i = 0; i < 20; i++)
		LAB_DO(snapmgr_revert(lab, "p/v@s", &online, NULL, &err));
	s->stop = true;
	ATF_CHECK_EQ_MSG(0, s->error, "the reader saw: %s", strerror(s->error));
	lab_end(pid);
	lab_check_rest();
}

/* How many pages begin with @mark. */
static size_t count_marks(const char *node, uint64_t mark, int flags)
{
	AUTO(sm_close_fd) int fd = open(node, O_RDONLY | O_CLOEXEC | flags);
	AUTO(free) void *all = NULL;
	size_t n = 0;

	ATF_REQUIRE(fd >= 0 && posix_memalign(&all, PAGE, BYTES) == 0);
	ATF_REQUIRE_EQ((ssize_t)BYTES, pread(fd, all, BYTES, 0));
	for (size_t at = 0; at < BYTES; at += PAGE)
		n += memcmp((char *)all + at, &mark, sizeof(mark)) == 0;
	return n;
}

static void mark_all(const char *node, uint64_t mark)
{
	AUTO(sm_close_fd) int fd = open(node, O_WRONLY | O_CLOEXEC);

	for (size_t at = 0; at < BYTES; at += PAGE)
		ATF_REQUIRE_EQ(sizeof(mark), pwrite(fd, &mark, sizeof(mark), (off_t)at));
}

/* One round. Return: whether the volume was reverted. */
static bool revert_marked(const char *node, uint64_t mark)
{
	struct snapmgr_err err = { .message = "" };
	int r, fd;

	mark_all(node, mark);
	r = snapmgr_revert(lab, "p/v@s", &online, NULL, &err);
	if (r < 0) {
		ATF_REQUIRE_EQ_MSG(SNAPMGR_IN_USE, err.code, "%s", err.message);
		ATF_REQUIRE_EQ_MSG(BYTES / PAGE, count_marks(node, mark, 0),
				   "refused, and changed something");
		return false;
	}
	ATF_REQUIRE_EQ_MSG(0, count_marks(node, mark, 0), "a page of the old contents was read");
	fd = open(node, O_RDONLY | O_CLOEXEC);
	ATF_REQUIRE(fsync(fd) == 0 && close(fd) == 0);
	ATF_REQUIRE_EQ_MSG(0, count_marks(node, mark, O_DIRECT),
			   "a page of the old contents was written");
	ATF_REQUIRE_EQ_MSG(BYTES / PAGE, count_marks(node, UINT64_C(0x5353535353535353), O_DIRECT),
			   "a page is not the snapshot's");
	return true;
}

ATF_TC_WITHOUT_HEAD(a_buffered_writer_of_single_bytes_never_brings_an_old_page_over);
ATF_TC_BODY(a_buffered_writer_of_single_bytes_never_brings_an_old_page_over, tc)
{
	int reverted = 0, tries = 0;
	struct shared *s;
	pid_t pid;

	lab_up();
	lab_create("p/v", BYTES);
	s = share();
	mark_all(s->node, UINT64_C(0x5353535353535353));
	lab_snapshot("p/v@s");
	pid = lab_child(write_bytes, s);
	for (uint64_t i = 1; i <= 60 || (i <= 600 && reverted < 20); i++) {
		reverted += revert_marked(s->node, i);
		tries++;
	}
	s->stop = true;
	ATF_CHECK_EQ_MSG(0, s->error, "the writer saw: %s", strerror(s->error));
	printf("%d of %d reverted, the others refused; %ju bytes written\n", reverted, tries,
	       (uintmax_t)s->done);
	ATF_CHECK_MSG(reverted >= 20, "only %d reverts came through", reverted);
	lab_end(pid);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(online_to_a_smaller_size_wants_force);
ATF_TC_BODY(online_to_a_smaller_size_wants_force, tc)
{
	struct snapmgr_revert_opts opts = online;
	int fd = open_volume(O_RDONLY);
	struct snapmgr_object v;

	LAB_DO(snapmgr_resize(lab, "p/v", 2 * SIZE, NULL, NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_IN_USE, snapmgr_revert(lab, "p/v@s", &opts, NULL, &err));
	LAB_SAYS("--force");
	lab_show("p/v", &v);
	ATF_CHECK_EQ(2 * SIZE, v.size_bytes);
	ATF_CHECK(lab_reads(fd, 0, SIZE, 'h'));
	opts.force = true;
	LAB_DO(snapmgr_revert(lab, "p/v@s", &opts, NULL, &err));
	ATF_CHECK(lab_reads(fd, 0, SIZE, 's'));
	ATF_CHECK_EQ((off_t)SIZE, lseek(fd, 0, SEEK_END));
	(void)close(fd);
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, an_open_descriptor_reads_no_cached_page_of_the_old_contents);
	ATF_TP_ADD_TC(tp, dirty_pages_go_to_the_displaced_head_and_nowhere_else);
	ATF_TP_ADD_TC(tp, what_was_cached_before_it_was_closed_is_not_read_after);
	ATF_TP_ADD_TC(tp, who_looks_in_now_and_then_reads_nothing_old);
	ATF_TP_ADD_TC(tp, a_direct_writer_sees_no_error_through_reverts);
	ATF_TP_ADD_TC(tp, a_buffered_reader_holds_no_revert_up);
	ATF_TP_ADD_TC(tp, a_buffered_writer_of_single_bytes_never_brings_an_old_page_over);
	ATF_TP_ADD_TC(tp, online_to_a_smaller_size_wants_force);
	return atf_no_error();
}
