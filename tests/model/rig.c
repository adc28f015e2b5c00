/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/model/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "dm/sdm.h"
#include "tests/model/internal.h"

#define BASE "/dev/ram0"
#define COW  "/dev/ram1"

static const char *const members[] = { "/dev/mapper/rig-0", "/dev/mapper/rig-1" };

/* ---- devices ---- */

static int make(const char *name, uint64_t sectors, const char *type, const char *params,
		struct model_why *why)
{
	struct sdm_device dev = { .audience = SDM_INTERNAL };
	struct sdm_target target = { .len_sectors = sectors };
	struct snapmgr_err err;

	(void)sm_copy_text(dev.name, sizeof(dev.name), name);
	(void)snprintf(dev.uuid, sizeof(dev.uuid), "RIG-%s", name);
	(void)sm_copy_text(target.type, sizeof(target.type), type);
	(void)sm_copy_text(target.params, sizeof(target.params), params);
	return model_done(sdm_create(&dev, &target, 1, NULL, &err), &err, name, why);
}

/* The pool's two devices, on @below. */
static int make_members(const char *below, struct model_why *why)
{
	char params[2][64];

	(void)snprintf(params[0], sizeof(params[0]), "%s 0", below);
	(void)snprintf(params[1], sizeof(params[1]), "%s %ju", below,
		       (uintmax_t)(RIG_SPLIT / SM_SECTOR));
	if (make("rig-0", RIG_SPLIT / SM_SECTOR, "linear", params[0], why) < 0)
		return -1;
	return make("rig-1", (RIG_BYTES - RIG_SPLIT) / SM_SECTOR, "linear", params[1], why);
}

static int remove_one(const char *name, const char *uuid, uint32_t major, uint32_t minor,
		      void *data)
{
	struct sdm_device dev = { .audience = SDM_INTERNAL };
	struct sdm_info info;

	(void)major;
	(void)minor;
	(void)sm_copy_text(dev.name, sizeof(dev.name), name);
	(void)sm_copy_text(dev.uuid, sizeof(dev.uuid), uuid);
	*(unsigned int *)data += 1;
	(void)sdm_clear(name, NULL);
	if (sdm_info(name, &info, NULL) == 0 && info.exists && info.suspended)
		(void)sdm_resume(&dev, NULL, NULL);
	if (info.open_count == 0)
		(void)sdm_remove(&dev, NULL, NULL);
	return 0;
}

static int remove_path(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int rig_forget(struct model_why *why)
{
	unsigned int left = 1;

	model_unmount();
	(void)umount2("/tmp/model/look", 0);
	for (int i = 0; i < 12 && left;
	     i++) { /* the upper ones first, the others in a later round */
		left = 0;
		(void)sdm_list("", remove_one, &left, NULL);
	}
	(void)nftw(SM_RUN_DIR, remove_path, 8, FTW_DEPTH | FTW_PHYS);
	(void)nftw(SM_DEV_DIR, remove_path, 8, FTW_DEPTH | FTW_PHYS);
	return left ? model_fail(why, "devices cannot be removed") : 0;
}

static int zero(const char *device, uint64_t bytes, struct model_why *why)
{
	AUTO(sm_close_fd) int fd = open(device, O_WRONLY | O_DIRECT | O_CLOEXEC);
	void *zeroes = mmap(NULL, SM_MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (uint64_t at = 0; at < bytes; at += SM_MIB)
		if (fd < 0 || pwrite(fd, zeroes, SM_MIB, (off_t)at) != (ssize_t)SM_MIB)
			return model_fail(why, "cannot write to '%s': %s", device, strerror(errno));
	(void)munmap(zeroes, SM_MIB);
	return 0;
}

int rig_wipe(struct model_why *why)
{
	const char *disks = getenv("SANDBOX_DISKS");
	int r = rig_forget(why), len;
	char disk[64];

	for (; r == 0 && disks && sscanf(disks, "%63s%n", disk, &len) == 1; disks += len)
		r = zero(disk, SM_MIB, why);
	if (r == 0 && access(BASE, F_OK) == 0)
		r = zero(BASE, SM_MIB, why);
	if (r == 0 && access(COW, F_OK) == 0)
		r = zero(COW, SM_MIB, why);
	return r;
}

static int load_brd(struct model_why *why)
{
	char size[32], out[256];
	const char *const argv[] = { "modprobe", "brd", "rd_nr=2", size, NULL };
	struct snapmgr_err err;

	(void)snprintf(size, sizeof(size), "rd_size=%ju", (uintmax_t)(RIG_BYTES / SM_KIB));
	return model_done(sm_program_run(argv, out, sizeof(out), &err), &err, out, why);
}

/* ---- recording ---- */

static int mark(struct model_why *why, const char *what, unsigned int n)
{
	struct snapmgr_err err;

	return model_done(sdm_message("rig-log", &err, "mark %s%u", what, n), &err, "mark", why);
}

static struct snapmgr *new_handle(void)
{
	struct snapmgr_open_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_open_opts);
	struct snapmgr *sm;

	opts.wait_ms = 30000;
	if (snapmgr_open(&opts, &sm, NULL) < 0)
		abort();
	return sm;
}

static int change(const struct rig *rig, struct model_why *why)
{
	struct snapmgr *sm = new_handle();
	struct snapmgr_err err;
	int r = model_done(snapmgr_pool_create(sm, MODEL_POOL, members, 2, NULL, &err), &err,
			   "pool create", why);

	if (r == 0)
		r = model_make(sm, &rig->models[0], why);
	if (r == 0)
		r = mark(why, "end", 0);
	for (unsigned int i = 0; i < rig->changes && r == 0; i++) {
		r = mark(why, "begin", i + 1);
		if (r == 0)
			r = model_do(sm, &rig->models[i], &rig->ops[i], why);
		if (r < 0)
			printf("change %u, %s: %s\n", i + 1,
			       model_say(&rig->models[i], &rig->ops[i]), why->text);
		if (r == 0)
			r = mark(why, "end", i + 1);
	}
	snapmgr_free(sm);
	return r;
}

/* In a child, so that it is not alive any more when what it did is looked at. */
static int change_in_a_child(const struct rig *rig, struct model_why *why)
{
	struct model_why *said = mmap(NULL, sizeof(*said), PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = 0;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		int r = change(rig, said);

		(void)fflush(NULL);
		_exit(r < 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return model_fail(why, "no child");
	*why = *said;
	(void)munmap(said, sizeof(*said));
	return status == 0 ? 0 : -1;
}

/* A group, its snapshot, a quota, and a revert of it: after that what comes, but these for certain. */
static bool begin_with(const struct model *m, unsigned int at, struct model_op *ret)
{
	static const enum model_verb verbs[] = { MODEL_WRITE,	       MODEL_CREATE, MODEL_GROUP,
						 MODEL_GROUP_SNAPSHOT, MODEL_WRITE,  MODEL_QUOTA,
						 MODEL_GROUP_REVERT };

	if (at >= SM_ARRAY(verbs))
		return false;
	*ret = (struct model_op){
		.verb = verbs[at], .n = 4, .id = m->made, .snapshot = MODEL_NONE
	};
	for (int i = 1; i < MODEL_VOLUMES && !ret->other; i++)
		if (m->volumes[i].used)
			ret->other = i;
	if (verbs[at] == MODEL_GROUP_REVERT)
		ret->snapshot = 0;
	return true;
}

static void plan(struct rig *rig)
{
	uint64_t random = rig->seed;

	model_init(&rig->models[0], rig->files);
	for (unsigned int i = 0; i < rig->changes; i++) {
		if (rig->exports || !begin_with(&rig->models[i], i, &rig->ops[i]))
			model_next(&rig->models[i], &random, &rig->ops[i]);
		if (rig->exports && i % 2)
			rig->ops[i].verb = MODEL_EXPORT;
		rig->models[i + 1] = rig->models[i];
		model_apply(&rig->models[i + 1], &rig->ops[i]);
	}
}

int rig_record(struct rig *rig, struct model_why *why)
{
	char params[128];
	int r;

	if (rig->changes > RIG_MAX)
		return model_fail(why, "at most %d changes", RIG_MAX);
	plan(rig);
	(void)snprintf(params, sizeof(params), BASE " %s", rig->log_device);
	r = load_brd(why);
	if (r == 0)
		r = rig_wipe(why);
	if (r == 0)
		r = zero(BASE, RIG_BYTES, why);
	if (r == 0) /* it may begin with what looks like a superblock */
		r = zero(COW, RIG_BYTES, why);
	if (r == 0)
		r = make("rig-log", RIG_BYTES / SM_SECTOR, "log-writes", params, why);
	if (r == 0)
		r = make_members("/dev/mapper/rig-log", why);
	if (r == 0)
		r = change_in_a_child(rig, why);
	return r == 0 ? rig_forget(why) : r;
}

/* ---- looking at what a power cut left ---- */

/* What was acknowledged, and what had begun, by the marks so far. */
struct moment {
	unsigned int begun, ended;
	bool started;
};

static void pass(struct moment *moment, const struct wlog_entry *x)
{
	if (!(x->flags & WLOG_MARK))
		return;
	moment->started |= strcmp(x->mark, "end0") == 0;
	(void)sscanf(x->mark, "begin%u", &moment->begun);
	(void)sscanf(x->mark, "end%u", &moment->ended);
}

/* Nothing of it is in the catalogue's or the kernel's way. */
static int use_it(struct snapmgr *sm, const struct model *m, struct model_why *why)
{
	struct model_op op = { .verb = MODEL_SNAPSHOT,
			       .id = m->made + 100,
			       .snapshot = MODEL_NONE };
	char spec[64];
	struct snapmgr_err err;

	if (model_do(sm, m, &op, why) < 0)
		return -1;
	(void)snprintf(spec, sizeof(spec), MODEL_POOL "/%s@s%u", m->volumes[0].name, op.id);
	return model_done(snapmgr_revert(sm, spec, NULL, NULL, &err), &err, spec, why);
}

static bool is_under_way(const struct rig *rig, const struct moment *moment, enum model_verb verb)
{
	return moment->begun > moment->ended && rig->ops[moment->ended].verb == verb;
}

/* A superblock's copy may be torn that was being written; the other one is for that. */
static bool torn_header_allowed(const struct rig *rig, const struct moment *moment)
{
	return is_under_way(rig, moment, MODEL_EXPORT) || is_under_way(rig, moment, MODEL_RESTART);
}

/* The pool is as after the last change that was acknowledged, or as after the one that had begun. */
static int hold_against(struct rig *rig, const struct moment *moment, struct snapmgr *sm, bool use,
			struct model_why *why)
{
	struct model after = rig->models[moment->ended], *found = &after;
	struct model_seen *seen = NULL;
	struct model_why why_not;
	bool fits;

	if (model_look(sm, &seen, why) < 0)
		return -1;
	if (moment->begun > moment->ended)
		model_begun(&after, &rig->ops[moment->ended]);
	fits = model_fits(seen, &after, why);
	if (!fits) {
		char newer[512];

		(void)sm_copy_text(newer, sizeof(newer), why->text);
		found = &rig->models[moment->ended];
		fits = model_fits(seen, found, &why_not);
		(void)model_fail(why, "as before it: %.400s; as after it: %.400s", why_not.text,
				 newer);
	}
	free(seen);
	if (!fits)
		return -1;
	if (use && use_it(sm, found, why) < 0)
		return -1;
	return model_check(sm, torn_header_allowed(rig, moment), why);
}

static int look(struct rig *rig, const struct moment *moment, struct model_why *why)
{
	struct snapmgr *sm = new_handle();
	int r = model_bring_up(sm, is_under_way(rig, moment, MODEL_EXPORT), why);

	if (r == 0)
		r = hold_against(rig, moment, sm, rig->tried % 8 == 0, why);
	snapmgr_free(sm);
	return r;
}

/* One state: the base as it is, and a throw-away layer on it with what else arrived. */
static int one_state(const struct wplay *play, enum wplay_how how, uint64_t *random,
		     struct model_why *why)
{
	int fd, r = make("rig-state", RIG_BYTES / SM_SECTOR, "snapshot", BASE " " COW " N 8", why);

	if (r < 0)
		return r;
	fd = open("/dev/mapper/rig-state", O_WRONLY | O_DIRECT | O_CLOEXEC);
	r = fd < 0 ? model_fail(why, "cannot open the state") :
		     wplay_power_cut(play, fd, how, random, why);
	sm_close_fd(fd);
	if (r == 0)
		r = make_members("/dev/mapper/rig-state", why);
	return r;
}

static int try_state(struct rig *rig, const struct wplay *play, const struct moment *moment,
		     enum wplay_how how, uint64_t *random, bool count_only, struct model_why *why)
{
	const uint64_t before = *random;
	struct model_why lost;
	int r = one_state(play, how, random, why);

	if (r < 0)
		return r;
	rig->tried++;
	rig->at_flushes += how == WPLAY_NOTHING;
	rig->torn += how == WPLAY_SOME;
	if (look(rig, moment, &lost) < 0) {
		rig->lost++;
		printf("entry %zu of %zu, %s of %zu writes, %u changes of %u ended%s%s (random %ju): %s\n",
		       play->next, play->log->n,
		       how == WPLAY_NOTHING ? "none" :
		       how == WPLAY_ALL	    ? "all" :
					      "some",
		       play->n_pending, moment->ended, moment->begun,
		       moment->begun > moment->ended ? ", begun: " : "",
		       moment->begun > moment->ended ?
			       model_say(&rig->models[moment->ended], &rig->ops[moment->ended]) :
			       "",
		       (uintmax_t)before, lost.text);
		if (!count_only) {
			*why = lost;
			return -1;
		}
	}
	return rig_forget(why);
}

static bool has_header(const struct wplay *play)
{
	for (size_t i = 0; i < play->n_pending; i++) {
		uint64_t at = play->log->v[play->pending[i]].at;

		if (at < SM_MIB || (at >= RIG_SPLIT && at < RIG_SPLIT + SM_MIB))
			return true;
	}
	return false;
}

/* What shall be tried at the next entry: a third of the states where a change was acknowledged, with
 * nothing but what is durable; a third after flushes; a third before them. */
struct shares {
	double ends, flushes;
	uint64_t random;
};

static bool try_it(struct shares *shares, double share)
{
	return (double)(model_random(&shares->random) % 1000) < share * 1000;
}

/* Just before a flush is done, with some of what it would have made durable. */
static int before_flush(struct rig *rig, const struct wplay *play, const struct moment *moment,
			struct shares *shares, bool count_only, struct model_why *why)
{
	unsigned int n = has_header(play) ? 3 : 1;
	int r = 0;

	for (unsigned int i = 0; i < n && r == 0 && play->n_pending; i++)
		if (try_it(shares, shares->flushes))
			r = try_state(rig, play, moment,
				      try_it(shares, 0.06) ? WPLAY_ALL : WPLAY_SOME,
				      &shares->random, count_only, why);
	return r;
}

static unsigned int count_flushes(const struct wlog *log)
{
	struct moment moment = { 0 };
	unsigned int n = 0;

	for (size_t i = 0; i < log->n; i++) {
		pass(&moment, &log->v[i]);
		n += moment.started && log->v[i].flags & WLOG_FLUSH;
	}
	return n;
}

static int play_all(struct rig *rig, struct wplay *play, bool count_only, struct model_why *why)
{
	struct shares shares = { .ends = rig->states / (3.0 * rig->changes),
				 .flushes = rig->states / (3.0 * rig->flushes),
				 .random = rig->seed ^ 0x5eed };
	struct moment moment = { 0 };
	int r = 0;

	while (r == 0 && play->next < play->log->n) {
		const struct wlog_entry *x = &play->log->v[play->next];
		const bool flush = moment.started && x->flags & WLOG_FLUSH;
		const unsigned int ended = moment.ended;

		pass(&moment, x);
		if (flush)
			r = before_flush(rig, play, &moment, &shares, count_only, why);
		if (r == 0)
			r = wplay_next(play, why);
		if (r == 0 && ((flush && try_it(&shares, shares.flushes)) ||
			       (moment.ended > ended && try_it(&shares, shares.ends))))
			r = try_state(rig, play, &moment, WPLAY_NOTHING, &shares.random, count_only,
				      why);
	}
	return r;
}

int rig_replay(struct rig *rig, bool count_only, struct model_why *why)
{
	struct wlog log = { .fd = -1 };
	struct wplay play = { .base_fd = -1 };
	int r = zero(BASE, RIG_BYTES, why);

	rig->tried = rig->at_flushes = rig->torn = rig->lost = 0;
	if (r == 0)
		r = wlog_read(rig->log_device, &log, why);
	if (r < 0)
		return r;
	rig->flushes = count_flushes(&log);
	r = wplay_start(&play, &log, BASE, RIG_SPLIT, why);
	if (r == 0)
		r = play_all(rig, &play, count_only, why);
	wplay_end(&play);
	wlog_free(&log);
	if (r < 0) {
		struct model_why ignored;

		(void)rig_forget(&ignored);
	}
	return r;
}
