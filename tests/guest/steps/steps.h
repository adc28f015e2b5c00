/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * steps.h - what a verb is to a test that kills it at every step, and what a pool looks like
 *
 * A verb takes the pool from one picture to another. Wherever it is killed, once the pool is recovered
 * it has to look like one of the two.
 */
#ifndef STEPS_H
#define STEPS_H

#include "../pool_lab.h"

#define SIZE  (256 * SM_KIB) /* of each volume's contents */
#define STAMP (64 * SM_KIB)  /* behind them in "p/v", for what is written after a kill */

#define VERB_POOL    1u /* what it changes is the pool: nothing recovers it but the same again */
#define VERB_REMAPS  2u /* devices come and go, so their numbers may change */
#define VERB_TOGGLES 4u /* the same again is the way back */
#define VERB_MIDWAY \
	8u /* start() leaves another verb half done; pictures are taken before and after that */

#define VERB_STATES  64u /* what it is about is in a state of error before it */
#define VERB_MOUNTED 32u /* a filesystem is mounted, so that devices cannot go as in a reboot */

struct verb {
	const char *name;
	/* scene() - from nothing; NULL: the usual one, see verbs.c. */
	void (*scene)(void);
	/* start() - from however the last round ended, or from the scene, to where the verb begins. */
	void (*start)(void);
	/* half() - with VERB_MIDWAY, after start(): leave something behind that was cut short. */
	void (*half)(void);
	int (*run)(struct snapmgr_err *err);
	unsigned int flags;
	/* What the same again may answer where it was done already; neither: it just succeeds. */
	enum snapmgr_code again, or_again, or_inactive;
};

extern const struct verb verbs[];
extern const size_t n_verbs;

/* ---- verbs.c ---- */

const struct verb *verbs_find(const char *name);

/* verbs_scene() - everything anew, up to where start() of @v can go on. */
void verbs_scene(const struct verb *v);
/* verbs_reopen() - a new handle in the place of the old one; whatever a test holds open is closed. */
void verbs_reopen(void);
/* verbs_guarded() - wait until no guard is left that is still at work, nor what it ran. */
void verbs_guarded(void);
/* verbs_die() - run @run in a child that dies at @points; Return: whether it came so far. */
bool verbs_die(int (*run)(struct snapmgr_err *err), const char *points, bool with_guard);

/* verbs_stop() - the same, but it stays there, stopped. */
bool verbs_stop(int (*run)(struct snapmgr_err *err), const char *points);

/* ---- picture.c ---- */

#define PICTURE_REBOOTED \
	16u /* of picture_take(): devices have other numbers, some are not mapped */

struct picture {
	char text[16384], rows[8192]; /* all of it; only what the catalogue says */
	struct {
		char uuid[SNAPMGR_UUID_TEXT];
		uint32_t major, minor;
	} known[64];
	size_t n;
};

/* lose() - say what went wrong and end the process: a loss. */
void lose(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/**
 * picture_take() - all that a user can see of pools "p" and "q"
 * @known: objects of that picture are named by their place in it, others are just "new", and a device
 *         that has another number than there is a loss; NULL: by their place in this one
 * @flags: VERB_POOL looks for pools too; VERB_REMAPS and PICTURE_REBOOTED ask for no numbers
 */
void picture_take(struct picture *ret, const struct picture *known, unsigned int flags);
/* texts_differ() - the first line in which they do, or NULL. Static. */
const char *texts_differ(const char *a, const char *b);
/* picture_contents() - what snapshots and undo points of pool "p" read as; they are mapped for it. */
void picture_contents(char *ret, size_t size);

/* ---- engine.c ---- */

struct sweep {
	const struct verb *verb;
	size_t most;   /* so many kills, spread over all; 0: every point in every way */
	uint64_t seed; /* of which ones */
	/* NULL; or only points whose names begin with one of these words, each of them once */
	const char *const *only;
	/* counted */
	unsigned int points, kills, missed, lost;
};

/* sweep() - kill the verb at its points; what is lost is printed, and counted. */
void sweep(struct sweep *s);
/**
 * sweep_cut() - cut the machine's power at a point of a verb that is none of pools; both by @seed
 * sweep_up() - after that, in the machine that came up again: what is there?
 * @path: a file that survives
 *
 * sweep_cut() returns where that point is not reached.
 */
void sweep_cut(uint64_t seed, const char *path);
void sweep_up(const char *path);

#endif
