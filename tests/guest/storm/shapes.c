/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All volumes at once, in the order of what was acknowledged: which snapshots and undo points there are,
 * of what, how large. Contents are model.c's.
 */
#include "shapes.h"

#include <string.h>

int storm_by_ticket(const void *a, const void *b)
{
	const struct storm_event *const *x = a, *const *y = b;

	return (*x)->ticket < (*y)->ticket ? -1 : (*x)->ticket > (*y)->ticket;
}

struct point *tree_find(struct tree *t, uint32_t number)
{
	for (size_t i = 0; i < STORM_LIVE_MAX; i++)
		if (t->points[i].number == number)
			return &t->points[i];
	return NULL;
}

static void push_undo(struct tree *t, uint64_t with)
{
	memmove(t->undos + 1, t->undos, sizeof(t->undos) - sizeof(t->undos[0]));
	t->undos[0] = (struct undo_shape){ t->head, with };
	t->n_undos += t->n_undos < STORM_UNDOS;
}

/* The head and that point change places, and what was the head is the newest then. */
static bool swap(struct tree *t, size_t at, uint64_t with)
{
	const struct shape head = t->head;

	if (at >= t->n_undos)
		return false;
	t->head = t->undos[at].shape;
	memmove(t->undos + 1, t->undos, at * sizeof(t->undos[0]));
	t->undos[0] = (struct undo_shape){ head, with };
	return true;
}

static void adopt(struct shape *child, const struct point *gone)
{
	if (child->parent == gone->number)
		child->parent = gone->shape.parent;
}

static void forget(struct tree *t, struct point *gone)
{
	adopt(&t->head, gone);
	for (size_t i = 0; i < t->n_undos; i++)
		adopt(&t->undos[i].shape, gone);
	for (size_t i = 0; i < STORM_LIVE_MAX; i++)
		adopt(&t->points[i].shape, gone);
	gone->number = 0;
}

static bool add_point(struct tree *t, uint32_t number)
{
	struct point *p = tree_find(t, 0);

	if (!p || tree_find(t, number))
		return false;
	*p = (struct point){ number, ++t->sequence, t->head };
	t->head.parent = number;
	return true;
}

bool tree_step(struct tree *t, const struct storm_event *e, unsigned int v)
{
	struct point *p = tree_find(t, e->snapshot);

	switch (e->verb) {
	case STORM_SNAPSHOT:
		return add_point(t, e->snapshot);
	case STORM_REVERT:
		push_undo(t, e->group ? e->ticket : 0);
		/* fallthrough */
	case STORM_REVERT_NO_UNDO:
		if (!p)
			return false;
		t->head = (struct shape){ e->snapshot, p->shape.size_bytes };
		return true;
	case STORM_UNDO:
		return swap(t, 0, 0);
	case STORM_GROUP_UNDO:
		return swap(t, e->undo_at[v], e->ticket);
	case STORM_DROP_UNDO:
		if (!t->n_undos)
			return false;
		t->n_undos = 0;
		return true;
	case STORM_DELETE:
		if (!p)
			return false;
		forget(t, p);
		return true;
	default:
		t->head.size_bytes = e->size_bytes;
		return true;
	}
}

/* ---- all volumes together ---- */

struct order {
	struct storm *storm;
	struct storm_event *events[STORM_PROCESSES * STORM_EVENTS_MAX];
	size_t n_events;
	struct tree trees[STORM_VOLUMES];
	uint64_t clones, clone_bytes;
};

static void collect(struct order *o)
{
	for (size_t p = 0; p < STORM_PROCESSES; p++)
		for (size_t i = 0; i < o->storm->processes[p].n_events; i++)
			o->events[o->n_events++] = &o->storm->processes[p].events[i];
	qsort(o->events, o->n_events, sizeof(o->events[0]), storm_by_ticket);
}

/* Where one point of a set goes, the others are no set any more. */
static void part(struct order *o, uint64_t with)
{
	for (unsigned int v = 0; v < STORM_VOLUMES && with; v++)
		for (size_t i = 0; i < STORM_UNDOS; i++)
			if (o->trees[v].undos[i].with == with)
				o->trees[v].undos[i].with = 0;
}

/* What the event takes away from its sets, or will push out. */
static void part_sets(struct order *o, const struct storm_event *e, unsigned int v)
{
	const struct tree *t = &o->trees[v];
	const bool all = e->verb == STORM_DROP_UNDO ||
			 (e->verb == STORM_REVERT_NO_UNDO && e->group);

	if (e->verb == STORM_UNDO)
		part(o, t->undos[0].with);
	if (e->verb == STORM_REVERT && t->n_undos == STORM_UNDOS)
		part(o, t->undos[STORM_UNDOS - 1].with);
	for (size_t i = 0; i < t->n_undos && all; i++)
		part(o, t->undos[i].with);
}

/* The undo points that an undo of the group meant: those of its newest set. */
static int aim(struct order *o, struct storm_event *e)
{
	uint64_t newest = 0;

	for (unsigned int v = 0; v < STORM_VOLUMES; v++)
		for (size_t i = 0; i < o->trees[v].n_undos && e->volumes & 1u << v; i++)
			if (o->trees[v].undos[i].with > newest)
				newest = o->trees[v].undos[i].with;
	if (!newest)
		return storm_failed(o->storm, "an undo of the group found points where none were");
	for (unsigned int v = 0; v < STORM_VOLUMES; v++) {
		const struct tree *t = &o->trees[v];
		size_t i = 0;

		while (i < t->n_undos && t->undos[i].with != newest)
			i++;
		if (e->volumes & 1u << v && i == t->n_undos)
			return storm_failed(o->storm, "an undo of the group was without v%u's", v);
		e->undo_at[v] = (uint8_t)i;
	}
	part(o, newest);
	return 0;
}

static void add_use(const struct tree *t, struct storm_use *use)
{
	use->n[SNAPMGR_VOLUMES]++;
	use->n[SNAPMGR_VOLUME_BYTES] += t->head.size_bytes;
	for (size_t i = 0; i < STORM_LIVE_MAX; i++) {
		if (!t->points[i].number)
			continue;
		use->n[SNAPMGR_SNAPSHOTS]++;
		use->n[SNAPMGR_SNAPSHOT_BYTES] += t->points[i].shape.size_bytes;
	}
}

static struct storm_use use_now(const struct order *o)
{
	struct storm_use use = {
		.n = { [SNAPMGR_VOLUMES] = o->clones, [SNAPMGR_VOLUME_BYTES] = o->clone_bytes }
	};

	for (unsigned int v = 0; v < STORM_VOLUMES; v++)
		add_use(&o->trees[v], &use);
	return use;
}

static int check_limits(const struct order *o, const struct storm_event *e)
{
	const struct storm_use use = use_now(o);

	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++)
		if (use.n[i] > storm_limits.n[i])
			return storm_failed(
				o->storm,
				"verb %d was let past a limit: %ju of %ju of resource %zu", e->verb,
				(uintmax_t)use.n[i], (uintmax_t)storm_limits.n[i], i);
	return 0;
}

static int step(struct order *o, struct storm_event *e)
{
	int r = e->verb == STORM_GROUP_UNDO ? aim(o, e) : 0;

	if (e->verb == STORM_CLONE || e->verb == STORM_UNCLONE) {
		o->clones += e->verb == STORM_CLONE ? 1 : UINT64_MAX;
		o->clone_bytes += e->verb == STORM_CLONE ? e->size_bytes : 0 - e->size_bytes;
	}
	for (unsigned int v = 0; v < STORM_VOLUMES && r == 0; v++) {
		if (!(e->volumes & 1u << v))
			continue;
		part_sets(o, e, v);
		if (!tree_step(&o->trees[v], e, v))
			r = storm_failed(o->storm,
					 "v%u: verb %d of s%u was acknowledged, and could not be",
					 v, e->verb, e->snapshot);
	}
	return r == 0 ? check_limits(o, e) : r;
}

int storm_order(struct storm *storm, uint64_t size_bytes, struct storm_use *ret)
{
	struct order *o = calloc(1, sizeof(*o));
	int r = 0;

	if (!o)
		return storm_failed(storm, "no memory");
	o->storm = storm;
	for (unsigned int v = 0; v < STORM_VOLUMES; v++)
		o->trees[v].head.size_bytes = size_bytes;
	collect(o);
	for (size_t i = 0; i < o->n_events && r == 0; i++)
		r = step(o, o->events[i]);
	*ret = use_now(o);
	free(o);
	return r;
}
