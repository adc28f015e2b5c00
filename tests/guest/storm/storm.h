/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * storm.h - processes that do whatever comes to mind to the same volumes at once, and what was true
 *
 * Each process writes stamps into a slot of its own on each volume, one after the other, and notes when
 * each write began and ended. It notes each verb that was acknowledged with its ticket, which is drawn
 * under the pool's lock, and the moment at which the volume stood still. model.c replays the verbs in
 * the order of their tickets: what is there at the end must be what that gives.
 */
#ifndef STORM_H
#define STORM_H

#include "base.h"

#define STORM_PROCESSES	 8
#define STORM_VOLUMES	 4
#define STORM_UNDOS	 3    /* the default of undo_keep */
#define STORM_EVENTS_MAX 2048 /* of one process */
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
	STORM_VERBS
};

struct storm_event {
	uint64_t ticket; /* of its commit: the order of all things */
	uint64_t at_ns;	 /* when the volumes stood still; 0: they did not */
	enum storm_verb verb;
	unsigned int volumes; /* a bit each */
	uint32_t snapshot;    /* its number: it is called "s7" */
	uint64_t size_bytes;  /* of a resize */
};
struct storm_write {
	uint64_t begin_ns, end_ns;
	unsigned int volume;
	uint32_t stamp; /* grows, from 1 */
};
struct storm_process {
	size_t n_events, n_writes;
	uint32_t stamps;
	unsigned int acknowledged[STORM_VERBS], refused, looks;
	struct storm_event events[STORM_EVENTS_MAX];
	struct storm_write writes[STORM_WRITES_MAX];
};
struct storm { /* shared by all */
	uint64_t tickets;
	uint32_t snapshots; /* numbers handed out */
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

/* storm_judge() - is @found, of volume @v, what replaying gives? @size_bytes: at the start. */
int storm_judge(struct storm *storm, unsigned int v, uint64_t size_bytes,
		const struct storm_volume *found);

/**
 * storm_run() - a new pool "p" on the guest's first two disks, @ops operations, and the judgement
 *
 * Everything random comes from @seed, but not who comes first. Return: 0 and what was done in @what, or
 * -1 and what was lost; the pool is destroyed either way.
 */
int storm_run(uint64_t seed, unsigned int ops, char *what, size_t size);

#endif
