/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * monitor.h - what the loop of the monitor and its look at one pool share
 */
#ifndef SM_MONITOR_H
#define SM_MONITOR_H

#include "snapmgr/core/core.h"

enum sm_mark { SM_MARK_NONE, SM_MARK_LOW, SM_MARK_HIGH };
enum sm_resource { SM_RES_DATA, SM_RES_META, SM_RES_CATALOGUE, SM_RESOURCES };

/* A pool, as it was when it was looked at last. */
struct sm_watched {
	struct sm_uuid uuid;
	char name[SNAPMGR_NAME_MAX + 1]; /* "": not known yet */
	bool there;			 /* it is active */
	bool greeted;
	enum sm_mark marks[SM_RESOURCES];
	const char *mode; /* "rw" at first; static */
	uint32_t busy;	  /* how often in a row somebody else had its lock */
	struct {
		uint32_t hash; /* of what was told */
		uint64_t seen; /* the last round in which it was so */
	} troubles[8];
	size_t next_trouble;
};

struct sm_monitor {
	struct snapmgr *sm;
	const char *only; /* name or UUID; NULL: every pool */
	struct snapmgr_monitor_opts opts;
	snapmgr_event_fn *visit;
	void *data;
	struct sm_watched *pools; /* owned */
	size_t n;
	struct sm_watched *current; /* of whom the library tells while it works */
	const char *topic;	    /* what it tells of then: "trouble", or what is being done */
	uint64_t round;
	bool missed;   /* @only is not active, which was told */
	int answer;    /* the visitor's, or an error: it ends */
	int events_fd; /* -1: the kernel tells of none */
	struct snapmgr_err *err;
};

/* sm_monitor_tell() - one event of m->current */
void sm_monitor_tell(struct sm_monitor *m, const char *level, const char *what, const char *fmt,
		     ...) __attribute__((format(printf, 4, 5)));
/* sm_monitor_trouble() - what m->current suffers from; told once, as long as it lasts */
void sm_monitor_trouble(struct sm_monitor *m, const char *level, const char *text);
/* sm_monitor_stopped() - somebody wants it to end; waits so long for that */
bool sm_monitor_stopped(struct sm_monitor *m, int wait_ms);
/* sm_monitor_pool() - look after m->current; what fails is told, and tried again the next time */
void sm_monitor_pool(struct sm_monitor *m);

#endif
