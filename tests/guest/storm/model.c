/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The acknowledged verbs, one after the other.
 *
 * A slot's contents at an event are the last write that had ended by then; of the one that was under way,
 * both may be. So the replay keeps every state that is possible, and drops those that contradict what was
 * found. A write that is lost or comes back, a revert that did not happen or happened twice: no state is
 * left.
 */
#include <string.h>

#include "shapes.h"

#define STATES_MAX 256

struct state { /* of one slot of one volume */
	uint32_t head;
	uint32_t undos[STORM_UNDOS], points[STORM_LIVE_MAX];
	uint32_t landed; /* the write under way is in it already */
};
struct judge {
	struct storm *storm;
	unsigned int volume;
	const struct storm_volume *found;
	const struct storm_event *events[STORM_PROCESSES * STORM_EVENTS_MAX];
	size_t n_events;
	struct tree tree;
	unsigned int slot; /* whose */
	struct state states[STATES_MAX];
	size_t n_states;
};

/* ---- the events of one volume, in order ---- */

static void collect(struct judge *j)
{
	for (size_t p = 0; p < STORM_PROCESSES; p++) {
		const struct storm_process *process = &j->storm->processes[p];

		for (size_t i = 0; i < process->n_events; i++)
			if (process->events[i].volumes & 1u << j->volume)
				j->events[j->n_events++] = &process->events[i];
	}
	qsort(j->events, j->n_events, sizeof(j->events[0]), storm_by_ticket);
}

static const struct storm_snapshot *found_as(const struct judge *j, uint32_t number)
{
	for (size_t i = 0; i < j->found->n_snapshots; i++)
		if (j->found->snapshots[i].number == number)
			return &j->found->snapshots[i];
	return NULL;
}

/* ---- shapes ---- */

static int judge_snapshot(const struct judge *j, const struct point *p)
{
	const struct storm_snapshot *s = found_as(j, p->number);

	if (!s)
		return storm_failed(j->storm, "v%u@s%u is gone", j->volume, p->number);
	if (s->parent != p->shape.parent)
		return storm_failed(j->storm, "v%u@s%u descends from s%u, not s%u", j->volume,
				    s->number, s->parent, p->shape.parent);
	if (s->size_bytes != p->shape.size_bytes)
		return storm_failed(j->storm, "v%u@s%u has another size", j->volume, s->number);
	if (s->sequence != p->sequence)
		return storm_failed(j->storm, "v%u@s%u is the %ju. snapshot, not the %ju.",
				    j->volume, s->number, (uintmax_t)s->sequence,
				    (uintmax_t)p->sequence);
	return 0;
}

static int judge_tree(struct judge *j)
{
	const struct storm_volume *f = j->found;
	const struct tree *t = &j->tree;
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < STORM_LIVE_MAX && r == 0; i++)
		if (t->points[i].number) {
			r = judge_snapshot(j, &t->points[i]);
			n++;
		}
	if (r < 0)
		return r;
	if (n != f->n_snapshots || t->n_undos != f->n_undos)
		return storm_failed(j->storm,
				    "v%u has %zu snapshots and %zu undo points, not %zu and %zu",
				    j->volume, f->n_snapshots, f->n_undos, n, t->n_undos);
	if (t->head.parent != f->parent || t->head.size_bytes != f->size_bytes)
		return storm_failed(j->storm,
				    "v%u descends from s%u and has %ju bytes, not s%u and %ju",
				    j->volume, f->parent, (uintmax_t)f->size_bytes, t->head.parent,
				    (uintmax_t)t->head.size_bytes);
	for (size_t i = 1; i < f->n_snapshots; i++)
		if (f->snapshots[i].created_at_us <= f->snapshots[i - 1].created_at_us ||
		    f->snapshots[i].sequence <= f->snapshots[i - 1].sequence)
			return storm_failed(j->storm, "v%u@s%u is listed after an older one",
					    j->volume, f->snapshots[i].number);
	return 0;
}

/* ---- contents: one slot at a time ---- */

static int add_state(struct judge *j, const struct state *s)
{
	for (size_t i = 0; i < j->n_states; i++)
		if (memcmp(&j->states[i], s, sizeof(*s)) == 0)
			return 0;
	if (j->n_states == STATES_MAX)
		return storm_failed(j->storm, "v%u: too many states are possible", j->volume);
	j->states[j->n_states++] = *s;
	return 0;
}

/* A write that had ended. Where it had landed before an earlier event it is in there already. */
static int end_write(struct judge *j, uint32_t stamp)
{
	static struct state before[STATES_MAX];
	size_t n = j->n_states;
	int r = 0;

	memcpy(before, j->states, n * sizeof(*before));
	j->n_states = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		if (!before[i].landed)
			before[i].head = stamp;
		before[i].landed = false;
		r = add_state(j, &before[i]);
	}
	return r;
}

/* One that was under way: as before, or landed. */
static int maybe_write(struct judge *j, uint32_t stamp)
{
	int r = 0;

	for (size_t i = 0, n = j->n_states; i < n && r == 0; i++) {
		struct state s = j->states[i];

		if (s.landed)
			continue;
		s.head = stamp;
		s.landed = true;
		r = add_state(j, &s);
	}
	return r;
}

static void step_state(struct state *s, const struct storm_event *e, size_t point, size_t undo_at,
		       size_t n_undos)
{
	uint32_t swapped = s->head;

	switch (e->verb) {
	case STORM_SNAPSHOT:
		s->points[point] = s->head;
		break;
	case STORM_REVERT:
		memmove(s->undos + 1, s->undos, sizeof(s->undos) - sizeof(s->undos[0]));
		s->undos[0] = s->head;
		/* fallthrough */
	case STORM_REVERT_NO_UNDO:
		s->head = s->points[point];
		break;
	case STORM_UNDO:
	case STORM_GROUP_UNDO: /* what is swapped in becomes the newest */
		s->head = s->undos[undo_at];
		memmove(s->undos + 1, s->undos, undo_at * sizeof(s->undos[0]));
		s->undos[0] = swapped;
		break;
	case STORM_DELETE:
		s->points[point] = 0;
		break;
	default:
		break;
	}
	for (size_t i = n_undos; i < STORM_UNDOS; i++)
		s->undos[i] = 0;
}

/* All states one event on; those that contradict a snapshot that was found are no more. */
static int step_states(struct judge *j, const struct storm_event *e, size_t point)
{
	const struct storm_snapshot *s = e->verb == STORM_SNAPSHOT ? found_as(j, e->snapshot) :
								     NULL;
	static struct state before[STATES_MAX];
	size_t n = j->n_states;
	int r = 0;

	memcpy(before, j->states, n * sizeof(*before));
	j->n_states = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		step_state(&before[i], e, point, e->undo_at[j->volume], j->tree.n_undos);
		if (!s || before[i].points[point] == s->contents.stamps[j->slot])
			r = add_state(j, &before[i]);
	}
	if (r == 0 && !j->n_states)
		return storm_failed(j->storm,
				    "v%u@s%u holds stamp %u of process %u, where it held %u",
				    j->volume, e->snapshot, s->contents.stamps[j->slot], j->slot,
				    before[0].points[point]);
	return r;
}

static const struct storm_write *next_write(const struct judge *j, size_t *i)
{
	const struct storm_process *p = &j->storm->processes[j->slot];

	while (*i < p->n_writes && p->writes[*i].volume != j->volume)
		++*i;
	return *i < p->n_writes ? &p->writes[*i] : NULL;
}

static int writes_until(struct judge *j, uint64_t at_ns, size_t *i)
{
	const struct storm_write *w;
	int r = 0;

	while ((w = next_write(j, i)) && w->end_ns < at_ns && r == 0) {
		r = end_write(j, w->stamp);
		++*i;
	}
	if (r == 0 && w && w->begin_ns < at_ns)
		r = maybe_write(j, w->stamp);
	return r;
}

static int judge_end(struct judge *j)
{
	const struct storm_volume *f = j->found;

	for (size_t i = 0; i < j->n_states; i++) {
		bool same = j->states[i].head == f->contents.stamps[j->slot];

		for (size_t u = 0; u < f->n_undos; u++)
			same &= j->states[i].undos[u] == f->undos[u].stamps[j->slot];
		if (same)
			return 0;
	}
	return storm_failed(j->storm,
			    "v%u holds stamp %u of process %u, and not %u (or its undo "
			    "points hold others)",
			    j->volume, f->contents.stamps[j->slot], j->slot, j->states[0].head);
}

/* Step the tree with it: the places of snapshots in the states are theirs in the tree. */
static int judge_slot(struct judge *j, const struct tree *start)
{
	size_t write = 0;
	int r = 0;

	j->tree = *start;
	j->n_states = 1;
	memset(j->states, 0, sizeof(j->states[0]));
	for (size_t i = 0; i < j->n_events && r == 0; i++) {
		const struct storm_event *e = j->events[i];
		const struct point *p = tree_find(&j->tree,
						  e->verb == STORM_SNAPSHOT ? 0 : e->snapshot);
		size_t point = p ? (size_t)(p - j->tree.points) : 0;

		if (!tree_step(&j->tree, e, j->volume))
			return storm_failed(
				j->storm, "v%u: verb %d of s%u was acknowledged, and could not be",
				j->volume, e->verb, e->snapshot);
		if (e->at_ns)
			r = writes_until(j, e->at_ns, &write);
		if (r == 0)
			r = step_states(j, e, point);
	}
	if (r == 0)
		r = writes_until(j, UINT64_MAX, &write);
	return r == 0 ? judge_end(j) : r;
}

int storm_judge(struct storm *storm, unsigned int v, uint64_t size_bytes,
		const struct storm_volume *found)
{
	const struct tree start = { .head.size_bytes = size_bytes };
	struct judge *j = calloc(1, sizeof(*j));
	int r = 0;

	if (!j)
		return storm_failed(storm, "no memory");
	j->storm = storm;
	j->volume = v;
	j->found = found;
	collect(j);
	for (j->slot = 0; j->slot < STORM_PROCESSES && r == 0; j->slot++)
		r = judge_slot(j, &start);
	if (r == 0)
		r = judge_tree(j);
	free(j);
	return r;
}
