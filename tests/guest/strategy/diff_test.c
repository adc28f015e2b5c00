/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What differs, held against reading all of it, and against a model of which chunks are shared. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../pool_lab.h"
#include "dm/sdm.h"

#define CHUNK	 (64 * SM_KIB)
#define SIZE	 (2 * SM_MIB)
#define MOST	 (3 * SM_MIB)
#define CHUNKS	 (MOST / CHUNK)
#define SECTORS	 (MOST / SM_SECTOR)
#define VERSIONS 24

/* ---- a model: which block each chunk of each version lies in; 0: in none ---- */

struct version {
	char spec[32];
	uint64_t size;
	uint32_t blocks[CHUNKS];
	bool doubtful[CHUNKS]; /* an end lay in it: what was behind that may have been zeroed */
	char *contents;	       /* MOST bytes, zeroes behind the end */
};

static struct version snapshots[VERSIONS], undos[VERSIONS], head;
static size_t n_snapshots, n_undos;
static uint32_t last_block;
static uint64_t state;

static uint64_t draw(uint64_t below)
{
	return lab_random(&state) % below;
}

static bool is_shared(size_t chunk)
{
	bool shared = false;

	for (size_t i = 0; i < n_snapshots; i++)
		shared |= snapshots[i].blocks[chunk] == head.blocks[chunk];
	for (size_t i = 0; i < n_undos; i++)
		shared |= undos[i].blocks[chunk] == head.blocks[chunk];
	return shared;
}

static void write_zeroes(int fd, uint64_t at, uint64_t len)
{
	AUTO(free) char *zeroes = calloc(1, len);

	ATF_REQUIRE_EQ((ssize_t)len, pwrite(fd, zeroes, len, (off_t)at));
}

/* Few patterns, so that the same bytes come back in other blocks; one of them is zero. */
static void do_write(void)
{
	uint64_t at = draw(head.size / SM_SECTOR) * SM_SECTOR, len = (1 + draw(400)) * SM_SECTOR;
	AUTO(sm_close_fd) int fd = open(lab_node("p/v"), O_RDWR | O_CLOEXEC);

	if (len > head.size - at)
		len = head.size - at;
	if (draw(4))
		lab_pwrite(fd, at, len, draw(3));
	else
		write_zeroes(fd, at, len);
	ATF_REQUIRE_EQ(0, fsync(fd));
	for (size_t c = at / CHUNK; c <= (at + len - 1) / CHUNK; c++) {
		if (!head.blocks[c] || is_shared(c) || head.doubtful[c])
			head.blocks[c] = ++last_block;
		head.doubtful[c] = false;
	}
}

static void do_discard(void)
{
	uint64_t chunk = draw(head.size / CHUNK), n = 1 + draw(4);
	AUTO(sm_close_fd) int fd = open(lab_node("p/v"), O_RDWR | O_CLOEXEC);
	uint64_t range[2];

	if (n > head.size / CHUNK - chunk)
		n = head.size / CHUNK - chunk;
	range[0] = chunk * CHUNK;
	range[1] = n * CHUNK;
	ATF_REQUIRE_EQ_MSG(0, ioctl(fd, BLKDISCARD, range), "%s", strerror(errno));
	for (uint64_t c = chunk; c < chunk + n; c++) {
		head.blocks[c] = 0;
		head.doubtful[c] = false;
	}
}

static void do_snapshot(void)
{
	if (n_snapshots == 8)
		return;
	snapshots[n_snapshots] = head;
	(void)snprintf(snapshots[n_snapshots].spec, sizeof(head.spec), "p/v@s%zu", n_snapshots);
	lab_snapshot(snapshots[n_snapshots++].spec);
}

static void do_revert(void)
{
	const struct version *s;

	if (!n_snapshots || n_undos == 5)
		return;
	s = &snapshots[draw(n_snapshots)];
	lab_revert(s->spec);
	memmove(&undos[1], &undos[0], n_undos++ * sizeof(undos[0]));
	undos[0] = head;
	head = *s;
}

static void do_undo(void)
{
	struct version old = head;

	if (!n_undos)
		return;
	LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
	head = undos[0];
	undos[0] = old;
}

/* What lies behind an end goes: whole chunks, and the rest of the one that it lies in. */
static void cut_off(uint64_t end)
{
	if (end % CHUNK)
		head.doubtful[end / CHUNK] = true;
	for (size_t c = (end + CHUNK - 1) / CHUNK; c < CHUNKS; c++) {
		head.blocks[c] = 0;
		head.doubtful[c] = false;
	}
}

static void do_resize(void)
{
	struct snapmgr_resize_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_resize_opts);
	const uint64_t before = head.size;

	opts.shrink = true;
	head.size = SM_MIB + (1 + draw((MOST - SM_MIB) / 4096)) * 4096;
	LAB_DO(snapmgr_resize(lab, "p/v", head.size, &opts, NULL, NULL, &err));
	cut_off(head.size < before ? head.size : before);
}

static void make_history(uint64_t seed, unsigned int steps)
{
	static void (*const does[])(void) = { do_write,	   do_write,	do_write,    do_write,
					      do_write,	   do_discard,	do_discard,  do_snapshot,
					      do_snapshot, do_snapshot, do_revert,   do_undo,
					      do_resize,   do_write,	do_snapshot, do_write };

	state = seed;
	n_snapshots = n_undos = 0;
	last_block = 0;
	head = (struct version){ .size = SIZE };
	lab_up();
	lab_create("p/v", SIZE);
	LAB_DO(snapmgr_set(lab, "p/v", "undo_keep", "20", &err));
	for (unsigned int i = 0; i < steps; i++)
		does[draw(SM_ARRAY(does))]();
	(void)snprintf(head.spec, sizeof(head.spec), "p/v");
	for (size_t i = 0; i < n_undos; i++)
		(void)snprintf(undos[i].spec, sizeof(head.spec), "p/v@undo~%zu", i);
}

/* ---- brute force ---- */

static void read_all(struct version *v)
{
	struct snapmgr_object o;
	char node[160];
	int fd;

	lab_show(v->spec, &o);
	ATF_REQUIRE_EQ(v->size, o.size_bytes);
	if (!o.active)
		LAB_DO(snapmgr_activate(lab, v->spec, NULL, NULL, &err));
	(void)sm_copy_text(node, sizeof(node), lab_node(v->spec));
	v->contents = calloc(1, MOST);
	fd = open(node, O_RDONLY | O_CLOEXEC);
	ATF_REQUIRE(v->contents && fd >= 0);
	ATF_REQUIRE_EQ((ssize_t)v->size, pread(fd, v->contents, v->size, 0));
	(void)close(fd);
	if (!o.active)
		LAB_DO(snapmgr_deactivate(lab, v->spec, &err));
}

struct told {
	const struct version *left, *right;
	bool sectors[SECTORS];
	uint64_t bytes, extents, end;
	bool wrong;
};

static bool all_zero(const char *p, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static int keep(const struct snapmgr_extent *e, void *data)
{
	struct told *t = data;

	t->wrong |= !e->len_bytes || e->len_bytes % SM_SECTOR || e->start_bytes % SM_SECTOR ||
		    e->start_bytes < t->end || e->start_bytes + e->len_bytes > MOST;
	if (t->wrong)
		return 1;
	if (e->kind == SNAPMGR_LEFT_ONLY)
		t->wrong |= !all_zero(t->right->contents + e->start_bytes, e->len_bytes);
	if (e->kind == SNAPMGR_RIGHT_ONLY)
		t->wrong |= !all_zero(t->left->contents + e->start_bytes, e->len_bytes);
	t->end = e->start_bytes + e->len_bytes;
	t->bytes += e->len_bytes;
	t->extents++;
	for (uint64_t s = e->start_bytes / SM_SECTOR; s < t->end / SM_SECTOR; s++)
		t->sectors[s] = true;
	return 0;
}

static void ask(struct told *t, bool fast)
{
	struct snapmgr_diff_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_diff_opts);
	struct snapmgr_diff_result ret;

	opts.fast = fast;
	LAB_DO(snapmgr_diff(lab, t->left->spec, t->right->spec, &opts, keep, t, &ret, &err));
	ATF_CHECK(!t->wrong);
	ATF_CHECK_EQ(t->bytes, ret.changed_bytes);
	ATF_CHECK_EQ(t->extents, ret.extents);
	ATF_CHECK_EQ(!fast, ret.exact);
}

static void check_exact(const struct version *left, const struct version *right)
{
	struct told t = { .left = left, .right = right };

	ask(&t, false);
	for (uint64_t s = 0; s < SECTORS; s++) {
		bool differs = memcmp(left->contents + s * SM_SECTOR,
				      right->contents + s * SM_SECTOR, SM_SECTOR) != 0;

		ATF_REQUIRE_EQ_MSG(differs, t.sectors[s], "%s %s: sector %ju %s", left->spec,
				   right->spec, (uintmax_t)s,
				   differs ? "differs and is not listed" : "is listed");
	}
}

static uint32_t block_of(const struct version *v, uint64_t sector)
{
	return sector * SM_SECTOR < v->size ? v->blocks[sector * SM_SECTOR / CHUNK] : 0;
}

static void check_fast(const struct version *left, const struct version *right)
{
	struct told t = { .left = left, .right = right };

	ask(&t, true);
	for (uint64_t s = 0; s < SECTORS; s++) {
		const size_t c = s * SM_SECTOR / CHUNK;
		bool differs = block_of(left, s) != block_of(right, s);

		if (left->doubtful[c] || right->doubtful[c])
			continue;
		ATF_REQUIRE_EQ_MSG(differs, t.sectors[s], "%s %s: chunk %ju %s", left->spec,
				   right->spec, (uintmax_t)(s * SM_SECTOR / CHUNK),
				   differs ? "is not listed" : "is shared and listed");
	}
}

static struct version *any(void)
{
	uint64_t i = draw(n_snapshots + n_undos + 1);

	if (i < n_snapshots)
		return &snapshots[i];
	i -= n_snapshots;
	return i < n_undos ? &undos[i] : &head;
}

static void check_history(uint64_t seed, unsigned int pairs)
{
	make_history(seed, 60);
	for (size_t i = 0; i < n_snapshots; i++)
		read_all(&snapshots[i]);
	for (size_t i = 0; i < n_undos; i++)
		read_all(&undos[i]);
	read_all(&head);
	printf("seed %ju: %zu snapshots, %zu undo points\n", (uintmax_t)seed, n_snapshots, n_undos);
	for (unsigned int i = 0; i < pairs; i++) {
		const struct version *left = any(), *right = any();

		check_exact(left, right);
		check_fast(left, right);
	}
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(what_differs_is_what_reading_all_of_it_finds);
ATF_TC_BODY(what_differs_is_what_reading_all_of_it_finds, tc)
{
	const char *seeds = getenv("SEEDS");

	for (uint64_t seed = 1; seed <= (seeds ? strtoull(seeds, NULL, 10) : 2); seed++)
		check_history(seed, 10);
}

/* ---- what it leaves alone ---- */

#define V2 (4 * SM_MIB)

static void make_two(void)
{
	lab_up();
	lab_create("p/v", V2);
	lab_write(lab_node("p/v"), 0, V2, 'a', LAB_DIRECT);
	lab_snapshot("p/v@a");
	lab_write(lab_node("p/v"), SM_MIB, SM_MIB, 'b', LAB_DIRECT);
	lab_snapshot("p/v@b");
}

static int count_device(const char *name, const char *uuid, uint32_t major, uint32_t minor,
			void *data)
{
	struct sdm_info info;

	(void)uuid;
	(void)major;
	(void)minor;
	LAB_DO(sdm_info(name, &info, &err));
	*(uint64_t *)data += 1 + ((uint64_t)info.event_nr << 8);
	return 0;
}

static bool metadata_held(void)
{
	struct sdm_pool_status s;

	LAB_DO(sdm_pool_status("snapmgr-p-_pool", false, &s, &err));
	return s.held_root;
}

static uint64_t changed(const char *left, const char *right)
{
	struct snapmgr_diff_result ret;

	LAB_DO(snapmgr_diff(lab, left, right, NULL, NULL, NULL, &ret, &err));
	return ret.changed_bytes;
}

ATF_TC_WITHOUT_HEAD(nothing_is_mapped_or_held_for_it);
ATF_TC_BODY(nothing_is_mapped_or_held_for_it, tc)
{
	uint64_t before = 0, after = 0;

	make_two();
	LAB_DO(sdm_list("", count_device, &before, &err));
	ATF_CHECK_EQ(SM_MIB, changed("p/v@a", "p/v@b"));
	LAB_DO(sdm_list("", count_device, &after, &err));
	ATF_CHECK_EQ(before, after);
	ATF_CHECK(!metadata_held());
	LAB_DO(snapmgr_deactivate(lab, "p/v", &err));
	ATF_CHECK_EQ(SM_MIB, changed("p/v@a", "p/v"));
	ATF_CHECK_EQ(0, changed("p/v@b", "p/v"));
	ATF_CHECK_EQ(0, changed("p/v@a", "p/v@a"));
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(a_head_counts_with_what_its_writers_left_in_the_cache);
ATF_TC_BODY(a_head_counts_with_what_its_writers_left_in_the_cache, tc)
{
	AUTO(sm_close_fd) int fd = -1;

	make_two();
	fd = open(lab_node("p/v"), O_RDWR | O_CLOEXEC);
	lab_pwrite(fd, 3 * SM_MIB, 8192, 'c');
	ATF_CHECK_EQ(8192, changed("p/v@b", "p/v"));
}

/* ---- errors and deaths ---- */

/* Instead of thin_delta: @script. */
static void fake_delta(const char *script)
{
	FILE *f;

	lab_run("mkdir -p " LAB "/bin");
	f = fopen(LAB "/bin/thin_delta", "we");
	ATF_REQUIRE(f && fputs(script, f) >= 0 && fchmod(fileno(f), 0755) == 0 && fclose(f) == 0);
	(void)setenv("PATH", LAB "/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
}

ATF_TC_WITHOUT_HEAD(a_tool_that_fails_or_stops_half_way_is_an_error_and_the_metadata_is_let_go);
ATF_TC_BODY(a_tool_that_fails_or_stops_half_way_is_an_error_and_the_metadata_is_let_go, tc)
{
	make_two();
	fake_delta("#!/bin/sh\necho lame excuse\nexit 3\n");
	LAB_REFUSED(SNAPMGR_DAMAGED,
		    snapmgr_diff(lab, "p/v@a", "p/v@b", NULL, NULL, NULL, NULL, &err));
	LAB_SAYS("lame excuse");
	ATF_CHECK(!metadata_held());
	fake_delta("#!/bin/sh\n/usr/sbin/thin_delta \"$@\" | head -n 4\n");
	LAB_REFUSED(SNAPMGR_DAMAGED,
		    snapmgr_diff(lab, "p/v@a", "p/v@b", NULL, NULL, NULL, NULL, &err));
	LAB_SAYS("end");
	fake_delta("#!/bin/sh\n/usr/sbin/thin_delta \"$@\" | sed 's/range/rang/'\n");
	LAB_REFUSED(SNAPMGR_DAMAGED,
		    snapmgr_diff(lab, "p/v@a", "p/v@b", NULL, NULL, NULL, NULL, &err));
	(void)setenv("PATH", LAB, 1);
	LAB_REFUSED(SNAPMGR_UNSUPPORTED,
		    snapmgr_diff(lab, "p/v@a", "p/v@b", NULL, NULL, NULL, NULL, &err));
	ATF_CHECK(!metadata_held());
}

static void diff_and_hang(void *data)
{
	(void)data;
	fake_delta("#!/bin/sh\nexec sleep 60\n");
	lab_ready();
	(void)snapmgr_diff(lab, "p/v@a", "p/v@b", NULL, NULL, NULL, NULL, NULL);
}

/* Dead while its tool was looking. */
static void die_in_diff(void)
{
	pid_t pid = lab_child(diff_and_hang, NULL);

	for (int i = 0; i < 400 && !metadata_held(); i++)
		lab_sleep_ms(10);
	ATF_REQUIRE(metadata_held());
	lab_end(pid);
	ATF_REQUIRE(metadata_held());
}

ATF_TC_WITHOUT_HEAD(what_a_killed_diff_held_is_let_go_by_whoever_comes_next);
ATF_TC_BODY(what_a_killed_diff_held_is_let_go_by_whoever_comes_next, tc)
{
	make_two();
	die_in_diff();
	lab_snapshot("p/v@c"); /* recovers first */
	ATF_CHECK(!metadata_held());
	die_in_diff();
	ATF_CHECK_EQ(SM_MIB, changed("p/v@a", "p/v@b"));
	ATF_CHECK(!metadata_held());
	die_in_diff();
	LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
	ATF_CHECK(!metadata_held());
	die_in_diff();
	lab_forget();
	lab_reopen();
	LAB_DO(snapmgr_pool_activate(lab, "p", &err));
	ATF_CHECK(!metadata_held());
	lab_check_rest();
}

static struct snapmgr *second;
static int answer;

static int delete_meanwhile(const char *what, uint64_t done, uint64_t todo, void *data)
{
	(void)what;
	(void)done;
	(void)todo;
	(void)data;
	if (second)
		LAB_DO(snapmgr_delete(second, "p/v@b", NULL, NULL, NULL, &err));
	snapmgr_free(second);
	second = NULL;
	return answer;
}

ATF_TC_WITHOUT_HEAD(nobody_waits_for_the_reading_and_a_deletion_meanwhile_is_told);
ATF_TC_BODY(nobody_waits_for_the_reading_and_a_deletion_meanwhile_is_told, tc)
{
	struct snapmgr_open_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_open_opts);
	struct snapmgr *sm;

	make_two();
	LAB_DO(snapmgr_open(&opts, &second, &err)); /* does not wait for a lock */
	opts.progress = delete_meanwhile;
	LAB_DO(snapmgr_open(&opts, &sm, &err));
	LAB_REFUSED(SNAPMGR_STALE,
		    snapmgr_diff(sm, "p/v@a", "p/v@b", NULL, NULL, NULL, NULL, &err));
	LAB_SAYS("p-v@b");
	answer = 1;
	LAB_REFUSED(SNAPMGR_USAGE, snapmgr_diff(sm, "p/v@a", "p/v", NULL, NULL, NULL, NULL, &err));
	LAB_SAYS("stopped");
	snapmgr_free(sm);
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(two_pools_pools_and_what_is_not_there_are_refused);
ATF_TC_BODY(two_pools_pools_and_what_is_not_there_are_refused, tc)
{
	make_two();
	LAB_REFUSED(SNAPMGR_USAGE,
		    snapmgr_diff(lab, "p/v@a", "q/v@b", NULL, NULL, NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_USAGE, snapmgr_diff(lab, "p", "p/v", NULL, NULL, NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_USAGE, snapmgr_diff(lab, "p/v", "p", NULL, NULL, NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_NOT_FOUND,
		    snapmgr_diff(lab, "p/v", "p/v@z", NULL, NULL, NULL, NULL, &err));
	LAB_REFUSED(SNAPMGR_NOT_FOUND,
		    snapmgr_diff(lab, "p/v", "p/v@undo", NULL, NULL, NULL, NULL, &err));
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_differs_is_what_reading_all_of_it_finds);
	ATF_TP_ADD_TC(tp, nothing_is_mapped_or_held_for_it);
	ATF_TP_ADD_TC(tp, a_head_counts_with_what_its_writers_left_in_the_cache);
	ATF_TP_ADD_TC(tp,
		      a_tool_that_fails_or_stops_half_way_is_an_error_and_the_metadata_is_let_go);
	ATF_TP_ADD_TC(tp, what_a_killed_diff_held_is_let_go_by_whoever_comes_next);
	ATF_TP_ADD_TC(tp, nobody_waits_for_the_reading_and_a_deletion_meanwhile_is_told);
	ATF_TP_ADD_TC(tp, two_pools_pools_and_what_is_not_there_are_refused);
	return atf_no_error();
}
