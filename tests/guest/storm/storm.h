/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * storm.h - processes that do whatever comes to mind to the same volumes at once, and what was true
 *
 * Each process writes stamps into a slot of its own on each volume, one after the other, and notes when
 * each write began and ended. It notes each verb that was acknowledged with its ticket, which is drawn
 * under the pool's lock, and the moment at which the volume stood still. shapes.c and model.c replay the
 * verbs in the order of their tickets: what is there at the end must be what that gives, and at no moment
 * was there more than the quotas allow.
 *
 * "p/v0" and "p/v1" are the group "p/g". All volumes belong to project "web", which has limits.
 */
#ifndef STORM_H
#define STORM_H

#include "base.h"

#define STORM_PROCESSES	 8
#define STORM_VOLUMES	 4
#define STORM_GROUP	 3u	      /* those in the group, a bit each */
#define STORM_RECENT	 6	      /* snapshots of the group that are thought of */
#define STORM_SIZE	 (2 * SM_MIB) /* of a volume at the start */
#define STORM_UNDOS	 3	      /* the default of undo_keep */
#define STORM_EVENTS_MAX 2048	      /* of one process */
#define STORM_WRITES_MAX 8192
#define STORM_LIVE_MAX	 96	    /* snapshots of one volume */
#define STORM_BAD	 UINT32_MAX /* contents that are nobody's stamp */

enum storm_verb {
	STORM_SNAPSHOT,
	STORM_REVERT,
	STORM_REVERT_NO_UNDO,
	STORM_UNDO,
	STORM_DROP_UNDO,
	STORM_DELETE,
	STORM_RESIZE,
	STORM_GROUP_UNDO,
	STORM_CLONE, /* of no volume of ours: it counts for the quota alone */
	STORM_UNCLONE,
	STORM_VERBS
};

struct storm_event {
	uint64_t ticket; /* of its commit: the order of all things */
	uint64_t at_ns;	 /* when the volumes stood still; 0: they did not */
	enum storm_verb verb;
	unsigned int volumes; /* a bit each */
	uint32_t snapshot;    /* its number: it is called "s7" */
	uint64_t size_bytes;  /* of a resize, of a clone */
	bool group;	      /* all volumes together, by the group's name */
	/* Of an undo of the group: which point of each volume; storm_order() finds out. */
	uint8_t undo_at[STORM_VOLUMES];
};
struct storm_use { /* of the project */
	uint64_t n[SNAPMGR_RESOURCES];
};
struct storm_write {
	uint64_t begin_ns, end_ns;
	unsigned int volume;
	uint32_t stamp; /* grows, from 1 */
};
struct storm_process {
	size_t n_events, n_writes;
	uint32_t stamps;
	unsigned int acknowledged[STORM_VERBS], of_group, refused, over_quota, looks;
	struct storm_event events[STORM_EVENTS_MAX];
	struct storm_write writes[STORM_WRITES_MAX];
};
struct storm { /* shared by all */
	uint64_t tickets;
	uint32_t snapshots;	       /* numbers handed out */
	uint32_t recent[STORM_RECENT]; /* of the group */
	unsigned int ops_left;
	int begun, failed;
	char failure[1024]; /* the first one */
	struct storm_process processes[STORM_PROCESSES];
};

/* What was found at the end. */
struct storm_contents {
	uint32_t stamps[STORM_PROCESSES];
};
struct storm_snapshot {
	uint32_t number, parent; /* 0: none */
	uint64_t size_bytes, sequence;
	int64_t created_at_us;
	struct storm_contents contents;
};
struct storm_volume {
	uint32_t parent;
	uint64_t size_bytes;
	struct storm_contents contents;
	size_t n_snapshots, n_undos;
	struct storm_snapshot snapshots[STORM_LIVE_MAX]; /* as listed */
	struct storm_contents undos[STORM_UNDOS];
};

/* storm_failed() - note it, unless something failed before; -1. */
int storm_failed(struct storm *storm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

extern const struct storm_use storm_limits;

/**
 * storm_order() - which undo points each undo of the group meant, and the use of the quota at the end
 *
 * Fails where something that was acknowledged could not be, or passed a limit. Before storm_judge().
 */
int storm_order(struct storm *storm, uint64_t size_bytes, struct storm_use *ret);

/* storm_judge() - is @found, of volume @v, what replaying gives? @size_bytes: at the start. */
int storm_judge(struct storm *storm, unsigned int v, uint64_t size_bytes,
		const struct storm_volume *found);

/* storm_open() - a handle that waits for as long as it takes. */
int storm_open(struct snapmgr **ret, struct snapmgr_err *err);

/* storm_work() - what one process does, until no turn is left; it ends the process. */
void storm_work(struct storm *shared, unsigned int self, uint64_t seed) __attribute__((noreturn));

/* storm_end() - find what is there, and judge it. */
int storm_end(struct storm *storm, struct snapmgr *sm, uint64_t size_bytes);

/* ---- what is written ---- */

#define STORM_PAGE    4096u
#define STORM_SLOT(p) ((off_t)(p)*9 * STORM_PAGE) /* some chunks of 64 KiB have two, others one */

void storm_page(uint64_t *page, unsigned int process, unsigned int volume, uint32_t stamp);
/* storm_number() - of a snapshot's name; 0: none of ours. */
uint32_t storm_number(const char *name);

/**
 * storm_run() - a new pool "p" on the guest's first two disks, @ops operations, and the judgement
 *
 * Everything random comes from @seed, but not who comes first. Return: 0 and what was done in @what, or
 * -1 and what was lost; the pool is destroyed either way.
 */
int storm_run(uint64_t seed, unsigned int ops, char *what, size_t size);

#endif
