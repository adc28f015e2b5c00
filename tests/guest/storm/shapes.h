/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * shapes.h - what a volume is but for its contents, one event after the other
 */
#ifndef STORM_SHAPES_H
#define STORM_SHAPES_H

#include "storm.h"

struct shape {
	uint32_t parent;
	uint64_t size_bytes;
};
struct point {		 /* a snapshot */
	uint32_t number; /* 0: free */
	uint64_t sequence;
	struct shape shape;
};
struct undo_shape {
	struct shape shape;
	uint64_t with; /* the ticket of the event that displaced all of a group; 0: this alone */
};
struct tree {
	struct shape head;
	struct undo_shape undos[STORM_UNDOS];
	size_t n_undos;
	uint64_t sequence;
	struct point points[STORM_LIVE_MAX];
};

/* tree_find() - NULL where there is none; number 0: a free place. */
struct point *tree_find(struct tree *t, uint32_t number);
/* tree_step() - one event of volume @v on; false where this cannot be the next thing that happened. */
bool tree_step(struct tree *t, const struct storm_event *e, unsigned int v);
/* storm_by_ticket() - for qsort(), of pointers to events. */
int storm_by_ticket(const void *a, const void *b);

#endif
