/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disks that fail: reads, writes or flushes of one part of a pool's devices end with EIO while a verb
 * runs, and work again after it. The verb says which device it was, has changed nothing where it says
 * that it failed, and succeeds when it is tried again.
 *
 * The data lies on device "bad-0", all else on "bad-1" (--meta).
 */
#include <atf-c.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "dm/sdm.h"
#include "snapmgr/catalogue/superblock.h"
#include "tests/model/rig.h"

#define BYTES	(64 * SM_MIB)
#define BOUND_S 40 /* a verb that takes longer than this hangs */

enum place { SUPERBLOCK, CATALOGUE, METADATA, DATA };
enum how { READS, WRITES, FLUSHES };

static const char *const places[] = { "superblock", "catalogue", "metadata", "data" };
static const char *const hows[] = { "reads", "writes", "flushes" };

struct piece {
	int device;
	uint64_t start, len; /* sectors */
};

static struct snapmgr *sm;
static struct model now; /* what the pool is */
static struct piece where[4];
static unsigned int failed, tried;

/* ---- the two devices ---- */

#define DO(call)                                                             \
	do {                                                                 \
		struct snapmgr_err err = { .message = "" };                  \
		ATF_REQUIRE_EQ_MSG(0, (call), "%s: %s", #call, err.message); \
	} while (0)

static const char *disk(int n)
{
	static char disks[2][64];

	ATF_REQUIRE_MSG(getenv("SANDBOX_DISKS") && sscanf(getenv("SANDBOX_DISKS"), "%63s %63s",
							  disks[0], disks[1]) == 2,
			"outside of a guest");
	return disks[n];
}

static struct sdm_device device(const char *name)
{
	struct sdm_device dev = { .audience = SDM_INTERNAL };

	(void)sm_copy_text(dev.name, sizeof(dev.name), name);
	(void)snprintf(dev.uuid, sizeof(dev.uuid), "BAD-%s", name);
	return dev;
}

static void set(struct sdm_target *t, uint64_t start, uint64_t end, const char *type,
		const char *below, const char *more)
{
	*t = (struct sdm_target){ .start_sectors = start, .len_sectors = end - start };
	(void)sm_copy_text(t->type, sizeof(t->type), type);
	(void)snprintf(t->params, sizeof(t->params), "%s %ju%s", below, (uintmax_t)start, more);
}

/* A device in up to three pieces; those in flight and queued go on with the new table. */
static void switch_to(int n, const struct sdm_target *targets, size_t count)
{
	struct sdm_device dev = device(n == 0 ? "bad-0" : "bad-1");

	DO(sdm_load(&dev, targets, count, &err));
	DO(sdm_suspend(dev.name, SDM_SKIP_LOCKFS | SDM_NOFLUSH, NULL, &err));
	DO(sdm_resume(&dev, NULL, &err));
}

/* Reads of the piece fail until it is written: each block is told to dm-dust. */
static void make_dust(const struct piece *p)
{
	struct sdm_device dust = device("bad-dust");
	struct sdm_target t;

	set(&t, 0, BYTES / SM_SECTOR, "dust", disk(p->device), " 4096");
	DO(sdm_create(&dust, &t, 1, NULL, &err));
	for (uint64_t i = p->start / 8; i < (p->start + p->len) / 8; i++)
		DO(sdm_message("bad-dust", &err, "addbadblock %ju", (uintmax_t)i));
	DO(sdm_message("bad-dust", &err, "enable"));
}

static void drop_caches(void)
{
	AUTO(sm_close_fd) int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

	ATF_REQUIRE_EQ(1, write(fd, "3", 1));
}

static void heal(int n)
{
	struct sdm_device dust = device("bad-dust");
	struct sdm_target all;

	set(&all, 0, BYTES / SM_SECTOR, "linear", disk(n), "");
	switch_to(n, &all, 1);
	DO(sdm_remove(&dust, NULL, &err));
}

/* dm passes a flush to every piece of a device: a small one that nobody uses makes it fail. */
static void fail_flushes(int n)
{
	const uint64_t end = BYTES / SM_SECTOR;
	struct sdm_target t[2];

	set(&t[0], 0, end - 8, "linear", disk(n), "");
	set(&t[1], end - 8, end, "flakey", disk(n), " 0 1000 1 error_writes");
	switch_to(n, t, 2);
}

static void harm(const struct piece *p, enum how how)
{
	const uint64_t end = BYTES / SM_SECTOR;
	struct sdm_target t[3];
	size_t n = 0;

	if (how == FLUSHES) {
		fail_flushes(p->device);
		return;
	}
	if (p->start > 0)
		set(&t[n++], 0, p->start, "linear", disk(p->device), "");
	if (how == READS) {
		make_dust(p);
		set(&t[n++], p->start, p->start + p->len, "linear", "/dev/mapper/bad-dust", "");
	} else if (p->start == 0) { /* which is read before it is written */
		set(&t[n++], p->start, p->start + p->len, "flakey", disk(p->device),
		    " 0 1000 1 error_writes");
	} else { /* what is read is in memory; and flushes are not passed to this one */
		set(&t[n], p->start, p->start + p->len, "error", "", "");
		t[n++].params[0] = '\0';
	}
	if (p->start + p->len < end)
		set(&t[n++], p->start + p->len, end, "linear", disk(p->device), "");
	switch_to(p->device, t, n);
	if (how == READS)
		drop_caches();
}

static void map_disks(void)
{
	for (int n = 0; n < 2; n++) {
		struct sdm_device dev = device(n == 0 ? "bad-0" : "bad-1");
		struct sdm_target all;

		set(&all, 0, BYTES / SM_SECTOR, "linear", disk(n), "");
		DO(sdm_create(&dev, &all, 1, NULL, &err));
	}
}

/* ---- the pool ---- */

static void new_handle(void)
{
	struct snapmgr_open_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_open_opts);

	snapmgr_free(sm);
	opts.wait_ms = 10000;
	DO(snapmgr_open(&opts, &sm, &err));
}

static void find_places(void)
{
	AUTO(ssb_release) struct ssb sb = { 0 };

	DO(ssb_read("/dev/mapper/bad-0", &sb, NULL, &err));
	where[SUPERBLOCK] = (struct piece){ 0, 0, SSB_HEADER_BYTES / SM_SECTOR };
	for (uint32_t i = 0; i < sb.n_regions; i++) {
		const struct ssb_region *region = &sb.regions[i];
		struct piece p = { sb.members[region->member].role == SSB_ROLE_META,
				   region->start_sectors, region->len_sectors };

		if (region->kind == SSB_CATALOGUE)
			where[CATALOGUE] = p;
		else if (region->kind == SSB_META)
			where[METADATA] = p;
		else if (region->kind == SSB_DATA)
			where[DATA] = p;
	}
}

static void apply(const struct model_op *op)
{
	model_apply(&now, op);
}

static void must(int r, const struct model_why *why, const char *what)
{
	ATF_REQUIRE_EQ_MSG(0, r, "%s: %s", what, why->text);
}

static void up(void)
{
	static const struct model_op first[] = {
		{ .verb = MODEL_WRITE, .n = 40, .id = 11 },
		{ .verb = MODEL_SNAPSHOT, .id = 12 },
		{ .verb = MODEL_WRITE, .from = 8, .n = 40, .id = 13 },
		{ .verb = MODEL_SNAPSHOT, .id = 14 },
		{ .verb = MODEL_REVERT, .snapshot = 0, .id = 15 },
		{ .verb = MODEL_WRITE, .from = 2, .n = 4, .id = 16 },
	};
	struct snapmgr_pool_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_create_opts);
	const char *const members[] = { "/dev/mapper/bad-0" };
	struct model_why why;

	must(rig_wipe(&why), &why, "clean");
	map_disks();
	sm = NULL;
	new_handle();
	opts.meta_device = "/dev/mapper/bad-1";
	DO(snapmgr_pool_create(sm, MODEL_POOL, members, 1, &opts, &err));
	find_places();
	model_init(&now, false);
	must(model_make(sm, &now, &why), &why, "make");
	for (size_t i = 0; i < SM_ARRAY(first); i++) {
		must(model_do(sm, &now, &first[i], &why), &why, model_say(&now, &first[i]));
		apply(&first[i]);
	}
}

/* ---- a verb in trouble ---- */

static bool names_device(const char *text)
{
	return strstr(text, "/dev/") || strstr(text, "snapmgr-" MODEL_POOL "-") ||
	       strstr(text, "bad-");
}

static int no_suspended(const char *name, const char *uuid, uint32_t major, uint32_t minor,
			void *data)
{
	struct sdm_info info;

	(void)uuid;
	(void)major;
	(void)minor;
	DO(sdm_info(name, &info, &err));
	ATF_REQUIRE_MSG(!info.suspended, "'%s' is left suspended after %s", name,
			(const char *)data);
	return 0;
}

/* The kernel has made it read-only: its metadata could not be written. */
static bool is_frozen(void)
{
	char buf[512] = "";

	return sdm_status("snapmgr-" MODEL_POOL "-_pool", false, NULL, buf, sizeof(buf), NULL) ==
		       0 &&
	       (strstr(buf, " ro ") || strstr(buf, "Fail") || strstr(buf, "needs_check"));
}

/* As the messages say that one does. */
static void repair(const char *what)
{
	struct snapmgr_pool_check_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_check_opts);
	struct snapmgr_err e;

	opts.repair = true;
	ATF_REQUIRE_EQ_MSG(0, snapmgr_pool_deactivate(sm, MODEL_POOL, &e),
			   "deactivate after %s: %s", what, e.message);
	ATF_REQUIRE_EQ_MSG(0, snapmgr_pool_check(sm, MODEL_POOL, &opts, &e),
			   "check --repair after %s: %s", what, e.message);
	ATF_REQUIRE_EQ_MSG(0, snapmgr_pool_activate(sm, MODEL_POOL, &e), "activate after %s: %s",
			   what, e.message);
	printf("    the kernel had made the pool read-only: repaired\n");
}

static int note_mode(const struct snapmgr_pool *pool, void *data)
{
	(void)sm_copy_text(data, 24, pool->state);
	return 0;
}

/* What the pool needs before it works again: nothing, or what its messages say. */
static void back_to_work(const char *what)
{
	struct snapmgr_err e;
	char state[24];

	DO(sdm_list(SM_DM_UUID, no_suspended, (void *)(uintptr_t)what, &err));
	DO(snapmgr_pool_show(sm, MODEL_POOL, note_mode, state, &err));
	if (strcmp(state, "exported") == 0)
		ATF_REQUIRE_EQ_MSG(0, snapmgr_pool_import(sm, MODEL_POOL, NULL, &e),
				   "import after %s: %s", what, e.message);
	else if (strcmp(state, "active") != 0)
		ATF_REQUIRE_EQ_MSG(0, snapmgr_pool_activate(sm, MODEL_POOL, &e),
				   "activate after %s: %s", what, e.message);
	if (is_frozen())
		repair(what);
}

/* Everything that is not on the disks is forgotten. */
static void reboot(void)
{
	struct model_why why;

	snapmgr_free(sm);
	sm = NULL;
	must(rig_forget(&why), &why, "reboot");
	map_disks();
	new_handle();
}

static bool looks_as(const struct model *m, struct model_why *why)
{
	struct model_seen *seen;
	bool fits;

	must(model_look(sm, &seen, why), why, "look");
	fits = model_fits(seen, m, why);
	free(seen);
	return fits;
}

static void trouble(enum place place, enum how how, bool crash, const struct model_op *op)
{
	const struct piece *p = &where[place];
	struct model after = now;
	struct model_why why = { "" }, ignored;
	uint64_t start;
	char what[300];
	int r;

	(void)snprintf(what, sizeof(what), "%s with failing %s of %s", model_say(&now, op),
		       hows[how], places[place]);
	model_apply(&after, op);
	if (how == READS)
		new_handle(); /* one that has read nothing yet */
	harm(p, how);
	start = sm_monotonic_ns();
	r = model_do(sm, &now, op, &why);
	start = (sm_monotonic_ns() - start) / 1000000;
	heal(p->device);
	tried++;
	failed += r < 0;
	printf("%s: %s (%ju ms)\n", what, r < 0 ? why.text : "done", (uintmax_t)start);
	ATF_CHECK_MSG(start < BOUND_S * 1000, "%s took %ju ms", what, (uintmax_t)start);
	if (r < 0)
		ATF_CHECK_MSG(names_device(why.text), "%s: no device in: %s", what, why.text);
	if (crash)
		reboot();
	back_to_work(what);
	if (r < 0) {
		ATF_REQUIRE_MSG(looks_as(&now, &ignored), "%s said '%s', and yet: %s", what,
				why.text, ignored.text);
		ATF_REQUIRE_EQ_MSG(0, model_do(sm, &now, op, &ignored), "%s, again: %s", what,
				   ignored.text);
		back_to_work(what);
	}
	ATF_REQUIRE_MSG(looks_as(&after, &ignored), "%s: %s", what, ignored.text);
	now = after;
}

static void all_verbs(enum place place, enum how how, bool crash)
{
	static const struct model_op ops[] = {
		{ .verb = MODEL_LABEL, .id = 21, .snapshot = -1 },
		{ .verb = MODEL_SNAPSHOT, .id = 22, .snapshot = -1 },
		{ .verb = MODEL_REVERT, .id = 24, .snapshot = 1 },
		{ .verb = MODEL_UNDO_IT, .id = 26, .snapshot = -1 },
		{ .verb = MODEL_CREATE, .id = 28, .snapshot = -1 },
		{ .verb = MODEL_CLONE, .id = 30, .snapshot = 2 },
		{ .verb = MODEL_RESIZE, .id = 32, .snapshot = -1 },
		{ .verb = MODEL_RENAME, .id = 34, .snapshot = -1 },
		{ .verb = MODEL_DELETE_SNAPSHOT, .id = 36, .snapshot = 0 },
		{ .verb = MODEL_DELETE_VOLUME, .id = 38, .volume = 1, .snapshot = -1 },
		{ .verb = MODEL_RESTART, .id = 40, .snapshot = -1 },
		{ .verb = MODEL_EXPORT, .id = 42, .snapshot = -1 },
	};
	struct model_why why;

	failed = tried = 0;
	up();
	for (size_t i = 0; i < SM_ARRAY(ops); i++)
		trouble(place, how, crash, &ops[i]);
	must(model_check(sm, false, &why), &why, "at the end");
	printf("%u of %u verbs failed\n", failed, tried);
	snapmgr_free(sm);
	sm = NULL;
}

#define CASE(name, place, how, crash, at_least)                                     \
	ATF_TC_WITHOUT_HEAD(name);                                                  \
	ATF_TC_BODY(name, tc)                                                       \
	{                                                                           \
		all_verbs(place, how, crash);                                       \
		ATF_CHECK_MSG((int)failed >= (at_least), "only %u failed", failed); \
	}

CASE(a_superblock_that_cannot_be_read_fails_what_needs_it, SUPERBLOCK, READS, false, 1)
CASE(a_superblock_that_cannot_be_written_fails_what_changes_it, SUPERBLOCK, WRITES, false, 1)
CASE(a_catalogue_that_cannot_be_read_changes_nothing, CATALOGUE, READS, false, 10)
CASE(a_catalogue_that_cannot_be_written_changes_nothing, CATALOGUE, WRITES, false, 10)
CASE(a_catalogue_that_cannot_be_flushed_changes_nothing, CATALOGUE, FLUSHES, false, 10)

ATF_TC_WITHOUT_HEAD(metadata_that_cannot_be_read_fails_the_activation);
ATF_TC_BODY(metadata_that_cannot_be_read_fails_the_activation, tc)
{
	struct model_why why = { "" };
	struct snapmgr_err e = { .message = "" };

	up();
	DO(snapmgr_pool_deactivate(sm, MODEL_POOL, &err));
	harm(&where[METADATA], READS);
	ATF_CHECK(snapmgr_pool_activate(sm, MODEL_POOL, &e) < 0);
	ATF_CHECK_MSG(names_device(e.message), "no device in: %s", e.message);
	heal(1);
	back_to_work("the activation");
	ATF_CHECK_MSG(looks_as(&now, &why), "%s", why.text);
	must(model_check(sm, false, &why), &why, "at the end");
}

CASE(a_catalogue_that_could_not_be_written_before_a_crash_changed_nothing, CATALOGUE, WRITES, true,
     10)
CASE(a_catalogue_that_could_not_be_flushed_before_a_crash_changed_nothing, CATALOGUE, FLUSHES, true,
     10)
CASE(metadata_that_could_not_be_written_before_a_crash_changed_nothing, METADATA, WRITES, true, 4)
CASE(metadata_that_cannot_be_written_changes_nothing, METADATA, WRITES, false, 4)
CASE(data_that_cannot_be_read_hurts_nobody, DATA, READS, false, 0)
CASE(data_that_cannot_be_written_hurts_nobody, DATA, WRITES, false, 0)
CASE(data_that_cannot_be_flushed_changes_nothing, DATA, FLUSHES, false, 3)

/* ---- pools that are made and extended ---- */

static int make_pool(struct snapmgr_err *err)
{
	const char *const members[] = { "/dev/mapper/bad-0" };

	return snapmgr_pool_create(sm, MODEL_POOL, members, 1, NULL, err);
}

static void require_refused(int r, const struct snapmgr_err *e, const char *what)
{
	printf("%s: %s\n", what, r < 0 ? e->message : "done");
	ATF_REQUIRE_MSG(r < 0, "%s: done", what);
	ATF_CHECK_MSG(names_device(e->message), "%s: no device in: %s", what, e->message);
}

/* No data but that of id 0 is written by it, and no superblock is read back. */
ATF_TC_WITHOUT_HEAD(a_pool_is_not_made_of_a_disk_that_fails);
ATF_TC_BODY(a_pool_is_not_made_of_a_disk_that_fails, tc)
{
	struct snapmgr_err e = { .message = "" };
	struct model_why why;

	must(rig_wipe(&why), &why, "clean");
	map_disks();
	new_handle();
	DO(make_pool(&err));
	find_places();
	for (enum place place = SUPERBLOCK; place <= DATA; place++)
		for (enum how how = WRITES; how <= FLUSHES; how++) {
			char what[64];

			DO(snapmgr_pool_destroy(sm, MODEL_POOL, NULL, &err));
			(void)snprintf(what, sizeof(what), "create with failing %s of %s",
				       hows[how], places[place]);
			harm(&where[place], how);
			require_refused(make_pool(&e), &e, what);
			heal(0);
			ATF_REQUIRE_EQ_MSG(0, make_pool(&e), "%s, again: %s", what, e.message);
			must(model_check(sm, false, &why), &why, what);
		}
}

ATF_TC_WITHOUT_HEAD(a_pool_is_not_extended_by_a_disk_that_fails);
ATF_TC_BODY(a_pool_is_not_extended_by_a_disk_that_fails, tc)
{
	static const struct model_op write = {
		.verb = MODEL_WRITE, .n = 40, .id = 11, .snapshot = -1
	};
	const char *const more[] = { "/dev/mapper/bad-1" };
	const struct piece header = { 1, 0, SSB_HEADER_BYTES / SM_SECTOR };
	struct snapmgr_err e = { .message = "" };
	struct model_why why;

	must(rig_wipe(&why), &why, "clean");
	map_disks();
	new_handle();
	DO(make_pool(&err));
	model_init(&now, false);
	must(model_make(sm, &now, &why), &why, "make");
	must(model_do(sm, &now, &write, &why), &why, "write");
	apply(&write);
	for (enum how how = WRITES; how <= FLUSHES; how++) {
		harm(&header, how);
		require_refused(snapmgr_pool_extend(sm, MODEL_POOL, more, 1, NULL, &e), &e,
				hows[how]);
		heal(1);
		ATF_CHECK_MSG(looks_as(&now, &why), "%s", why.text);
		must(model_check(sm, false, &why), &why, hows[how]);
	}
	DO(snapmgr_pool_extend(sm, MODEL_POOL, more, 1, NULL, &err));
	ATF_CHECK_MSG(looks_as(&now, &why), "%s", why.text);
	must(model_check(sm, false, &why), &why, "extended");
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_pool_is_not_made_of_a_disk_that_fails);
	ATF_TP_ADD_TC(tp, a_pool_is_not_extended_by_a_disk_that_fails);
	ATF_TP_ADD_TC(tp, a_superblock_that_cannot_be_read_fails_what_needs_it);
	ATF_TP_ADD_TC(tp, a_superblock_that_cannot_be_written_fails_what_changes_it);
	ATF_TP_ADD_TC(tp, a_catalogue_that_cannot_be_read_changes_nothing);
	ATF_TP_ADD_TC(tp, a_catalogue_that_cannot_be_written_changes_nothing);
	ATF_TP_ADD_TC(tp, a_catalogue_that_cannot_be_flushed_changes_nothing);
	ATF_TP_ADD_TC(tp, metadata_that_cannot_be_read_fails_the_activation);
	ATF_TP_ADD_TC(tp, metadata_that_cannot_be_written_changes_nothing);
	ATF_TP_ADD_TC(tp, a_catalogue_that_could_not_be_written_before_a_crash_changed_nothing);
	ATF_TP_ADD_TC(tp, a_catalogue_that_could_not_be_flushed_before_a_crash_changed_nothing);
	ATF_TP_ADD_TC(tp, metadata_that_could_not_be_written_before_a_crash_changed_nothing);
	ATF_TP_ADD_TC(tp, data_that_cannot_be_read_hurts_nobody);
	ATF_TP_ADD_TC(tp, data_that_cannot_be_written_hurts_nobody);
	ATF_TP_ADD_TC(tp, data_that_cannot_be_flushed_changes_nothing);
	return atf_no_error();
}
