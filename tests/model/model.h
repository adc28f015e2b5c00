/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * model.h - what a pool must look like after a series of changes that a seed decides
 *
 * A test makes changes to a pool and keeps the model beside it. After a crash the pool must be what
 * the model was after some change: not before the last one that was acknowledged, nor after the last
 * one that had begun. The model is plain data: it is copied to be kept.
 *
 * Contents are slots: blocks of a raw volume, files of one with a filesystem. What is written into a
 * slot says by itself what it is, so that what is found can be held against several models at once.
 */
#ifndef MODEL_H
#define MODEL_H

#include "base.h"

#define MODEL_POOL	"p"
#define MODEL_SLOT	4096u /* bytes of a block */
#define MODEL_FILE	(4 * MODEL_SLOT)
#define MODEL_SLOTS	256u /* at most, of one volume */
#define MODEL_UNIT	16u  /* slots of a raw volume come in chunks of 64 KiB */
#define MODEL_FILES	32u
#define MODEL_FS_BYTES	(16 * SM_MIB)
#define MODEL_VOLUMES	4
#define MODEL_SNAPSHOTS 10
#define MODEL_UNDO	3
#define MODEL_TORN	UINT32_MAX /* a slot that holds nothing that was ever written as a whole */
#define MODEL_NONE	(-1)

/* A slot that may hold something else after a crash: nobody flushed it yet; or does already. */
enum { MODEL_SOLID, MODEL_UNFLUSHED, MODEL_UNKNOWN };

struct model_contents {
	uint32_t n;		    /* slots; of a raw volume, its size */
	uint32_t slot[MODEL_SLOTS]; /* what was written last, 0: nothing */
	int parent;		    /* snapshot */
	uint8_t loose[MODEL_SLOTS]; /* MODEL_SOLID, ... */
};
struct model_volume {
	bool used, files;
	char name[16], label[16];
	uint32_t group; /* number in its name; 0: in none */
	struct model_contents head, undo[MODEL_UNDO];
	size_t n_undo;
};
struct model_snapshot {
	bool used;
	int volume;
	char name[16];
	uint32_t set,
		group; /* of a group, taken as one: the number in the name they share; 0: not */
	struct model_contents c;
};
struct model {
	struct model_volume volumes[MODEL_VOLUMES];
	struct model_snapshot snapshots[MODEL_SNAPSHOTS];
	uint32_t quota; /* the pool's limit: so many bytes above what is never reached; 0: none */
	uint32_t made;	/* names and contents given out so far */
};

enum model_verb {
	MODEL_WRITE,	   /* and flush */
	MODEL_WRITE_LOOSE, /* and do not */
	MODEL_SNAPSHOT,
	MODEL_SNAPSHOT_TWO, /* of this volume and another, at one instant */
	MODEL_REVERT,
	MODEL_UNDO_IT,
	MODEL_CREATE,
	MODEL_CLONE,
	MODEL_DELETE_SNAPSHOT,
	MODEL_DELETE_VOLUME,
	MODEL_RENAME,
	MODEL_RESIZE,
	MODEL_LABEL,
	MODEL_GROUP, /* of this volume and another */
	MODEL_GROUP_SNAPSHOT,
	MODEL_GROUP_REVERT, /* to the set that this snapshot is part of */
	MODEL_GROUP_DELETE,
	MODEL_QUOTA,
	MODEL_RESTART, /* the pool, deactivated and activated */
	MODEL_EXPORT,  /* and imported */
	MODEL_SETTLE,  /* write what is loose anew, and flush: after a crash */
	MODEL_VERBS
};
struct model_op {
	enum model_verb verb;
	int volume, other, snapshot;
	uint32_t from, n; /* slots */
	uint32_t id;	  /* what is written; the number in the new name */
	bool buffered, no_undo;
};

/* model_random() - the same numbers in every run, from a state that starts as the seed. */
uint64_t model_random(uint64_t *state);
/* model_init() - what every pool of these begins with: volume v0, and with @files also v1. */
void model_init(struct model *m, bool files);
/* model_mate() - the other snapshot of a group's set; MODEL_NONE: it is not whole any more. */
int model_mate(const struct model *m, int snapshot);
/* model_other() - the other volume of a group; MODEL_NONE: it is in none. */
int model_other(const struct model *m, int volume);
/* model_next() - a change that is possible now. */
void model_next(const struct model *m, uint64_t *random, struct model_op *ret);
void model_apply(struct model *m, const struct model_op *op);
/* model_begun() - as model_apply(), but of a write nobody knows what has arrived. */
void model_begun(struct model *m, const struct model_op *op);
/* model_crash() - what was not flushed is not known any more. */
void model_crash(struct model *m);
/* model_say() - one line about @op. Static. */
const char *model_say(const struct model *m, const struct model_op *op);

/* ---- a real pool (pool.c): 0 or -1 with @why ---- */

struct model_why {
	char text[1024];
};

/* model_make() - the volumes of model_init(), in the empty pool. */
int model_make(struct snapmgr *sm, const struct model *m, struct model_why *why);
/* model_do() - @op, on the pool that looks as @m. */
int model_do(struct snapmgr *sm, const struct model *m, const struct model_op *op,
	     struct model_why *why);
/* model_mount() - mount what holds files; model_unmount() - everything. */
int model_mount(struct snapmgr *sm, const struct model *m, struct model_why *why);
void model_unmount(void);

/* model_bring_up() - activate the pool; @may_import: it may be exported. */
int model_bring_up(struct snapmgr *sm, bool may_import, struct model_why *why);

struct model_seen; /* what a pool holds */
/* model_look() - read all of an active pool, contents included. Free it with free(). */
int model_look(struct snapmgr *sm, struct model_seen **ret, struct model_why *why);
/* model_fits() - is it what the model says? */
bool model_fits(const struct model_seen *seen, const struct model *m, struct model_why *why);
/* model_check() - nothing suspended, and pool check clean; @may_be_torn: but for copies of superblocks,
 * which are repaired then. */
int model_check(struct snapmgr *sm, bool may_be_torn, struct model_why *why);

#endif
