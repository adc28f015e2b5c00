/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/model/model.h"

#include <string.h>

uint64_t model_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint32_t below(uint64_t *random, size_t n)
{
	return (uint32_t)(model_random(random) % n);
}

static void start_volume(struct model_volume *v, const char *name, bool files)
{
	*v = (struct model_volume){ .used = true, .files = files };
	(void)sm_copy_text(v->name, sizeof(v->name), name);
	v->head.n = files ? MODEL_FILES : 4 * MODEL_UNIT;
	v->head.parent = MODEL_NONE;
}

void model_init(struct model *m, bool files)
{
	*m = (struct model){ .made = 1 };
	start_volume(&m->volumes[0], "v0", false);
	if (files)
		start_volume(&m->volumes[1], "v1", true);
}

/* ---- what is possible ---- */

static int any_volume(const struct model *m, uint64_t *random)
{
	int i;

	do
		i = (int)below(random, MODEL_VOLUMES);
	while (!m->volumes[i].used); /* there is always one: see may_delete() */
	return i;
}

static int any_snapshot(const struct model *m, uint64_t *random)
{
	for (int tries = 0; tries < 100; tries++) {
		int i = (int)below(random, MODEL_SNAPSHOTS);

		if (m->snapshots[i].used)
			return i;
	}
	return MODEL_NONE;
}

static int free_volume(const struct model *m)
{
	for (int i = 0; i < MODEL_VOLUMES; i++)
		if (!m->volumes[i].used)
			return i;
	return MODEL_NONE;
}

static size_t free_snapshots(const struct model *m)
{
	size_t n = 0;

	for (int i = 0; i < MODEL_SNAPSHOTS; i++)
		n += !m->snapshots[i].used;
	return n;
}

static int next_free_snapshot(const struct model *m)
{
	for (int i = 0; i < MODEL_SNAPSHOTS; i++)
		if (!m->snapshots[i].used)
			return i;
	return MODEL_NONE;
}

int model_other(const struct model *m, int volume)
{
	const uint32_t group = m->volumes[volume].group;

	for (int i = 0; group && i < MODEL_VOLUMES; i++)
		if (i != volume && m->volumes[i].used && m->volumes[i].group == group)
			return i;
	return MODEL_NONE;
}

int model_mate(const struct model *m, int snapshot)
{
	const struct model_snapshot *s = &m->snapshots[snapshot];

	if (!s->set || m->volumes[s->volume].group != s->group)
		return MODEL_NONE;
	for (int i = 0; i < MODEL_SNAPSHOTS; i++)
		if (i != snapshot && m->snapshots[i].used && m->snapshots[i].set == s->set)
			return i;
	return MODEL_NONE;
}

/* The first ones stay, so that there is something to work on. */
static bool may_delete(const struct model *m, int volume)
{
	return volume > 0 && !m->volumes[volume].files && !m->volumes[volume].group;
}

static void pick_slots(const struct model_volume *v, uint64_t *random, struct model_op *op)
{
	uint32_t most = v->files ? 4 : 24;

	op->from = below(random, v->head.n);
	op->n = 1 + below(random, most);
	if (op->n > v->head.n - op->from)
		op->n = v->head.n - op->from;
	op->buffered = v->files || below(random, 2);
}

static bool possible(const struct model *m, const struct model_op *op)
{
	const struct model_volume *v = &m->volumes[op->volume];

	switch (op->verb) {
	case MODEL_SNAPSHOT:
		return free_snapshots(m) >= 1;
	case MODEL_SNAPSHOT_TWO:
		return free_snapshots(m) >= 2 && op->other != op->volume;
	case MODEL_GROUP:
		return op->other != op->volume && !v->group && !m->volumes[op->other].group;
	case MODEL_GROUP_SNAPSHOT:
		return v->group && free_snapshots(m) >= 2;
	case MODEL_GROUP_REVERT:
		return op->snapshot != MODEL_NONE && model_mate(m, op->snapshot) != MODEL_NONE;
	case MODEL_GROUP_DELETE:
		return v->group;
	case MODEL_UNDO_IT:
		return v->n_undo > 0;
	case MODEL_REVERT:
	case MODEL_DELETE_SNAPSHOT:
		return op->snapshot != MODEL_NONE;
	case MODEL_CREATE:
		return free_volume(m) != MODEL_NONE;
	case MODEL_CLONE:
		return op->snapshot != MODEL_NONE && free_volume(m) != MODEL_NONE &&
		       !m->volumes[m->snapshots[op->snapshot].volume].files;
	case MODEL_DELETE_VOLUME:
		return may_delete(m, op->volume);
	case MODEL_RENAME:
		return !v->files;
	case MODEL_RESIZE:
		return !v->files && v->head.n + MODEL_UNIT <= MODEL_SLOTS;
	default:
		return true;
	}
}

void model_next(const struct model *m, uint64_t *random, struct model_op *ret)
{
	static const struct {
		enum model_verb verb;
		unsigned int weight;
	} mix[] = {
		{ MODEL_WRITE, 26 },	      { MODEL_WRITE_LOOSE, 8 },
		{ MODEL_SNAPSHOT, 16 },	      { MODEL_SNAPSHOT_TWO, 4 },
		{ MODEL_REVERT, 18 },	      { MODEL_UNDO_IT, 7 },
		{ MODEL_CREATE, 3 },	      { MODEL_CLONE, 3 },
		{ MODEL_DELETE_SNAPSHOT, 7 }, { MODEL_DELETE_VOLUME, 2 },
		{ MODEL_RENAME, 2 },	      { MODEL_RESIZE, 2 },
		{ MODEL_GROUP, 3 },	      { MODEL_GROUP_SNAPSHOT, 6 },
		{ MODEL_GROUP_REVERT, 12 },   { MODEL_GROUP_DELETE, 1 },
		{ MODEL_QUOTA, 4 },	      { MODEL_LABEL, 2 },
		{ MODEL_RESTART, 2 },	      { MODEL_EXPORT, 2 },
	};
	unsigned int at;
	size_t i;

	do {
		at = below(random, 130);
		for (i = 0; at >= mix[i].weight; i++)
			at -= mix[i].weight;
		*ret = (struct model_op){ .verb = mix[i].verb, .id = m->made };
		ret->volume = any_volume(m, random);
		ret->other = any_volume(m, random);
		ret->snapshot = any_snapshot(m, random);
		ret->no_undo = below(random, 6) == 0;
		pick_slots(&m->volumes[ret->volume], random, ret);
	} while (!possible(m, ret));
	if (ret->verb == MODEL_REVERT || ret->verb == MODEL_GROUP_REVERT)
		ret->volume = m->snapshots[ret->snapshot].volume;
}

/* ---- what comes of it ---- */

/* What is on its way reaches the disk. */
static void flush(struct model_contents *c)
{
	for (uint32_t i = 0; i < MODEL_SLOTS; i++)
		if (c->loose[i] == MODEL_UNFLUSHED)
			c->loose[i] = MODEL_SOLID;
}

static void write_slots(struct model *m, const struct model_op *op, uint8_t loose)
{
	struct model_volume *v = &m->volumes[op->volume];

	for (uint32_t i = op->from; i < op->from + op->n; i++) {
		v->head.slot[i] = op->id;
		v->head.loose[i] = loose;
	}
	if (!loose &&
	    !v->files) /* a flush of a device leaves nothing behind; that of a file does */
		flush(&v->head);
}

static void take_snapshot(struct model *m, int volume, uint32_t id)
{
	struct model_volume *v = &m->volumes[volume];
	int i = next_free_snapshot(m);
	struct model_snapshot *s = &m->snapshots[i];

	flush(&v->head);
	*s = (struct model_snapshot){ .used = true, .volume = volume, .c = v->head };
	(void)snprintf(s->name, sizeof(s->name), "s%u", id);
	v->head.parent = i;
}

static void take_set(struct model *m, const struct model_op *op)
{
	const int volumes[2] = { op->volume, model_other(m, op->volume) };

	for (int i = 0; i < 2; i++) {
		int at = next_free_snapshot(m);

		take_snapshot(m, volumes[i], op->id);
		m->snapshots[at].set = op->id;
		m->snapshots[at].group = m->volumes[op->volume].group;
	}
}

static void revert(struct model *m, const struct model_op *op, int snapshot)
{
	struct model_volume *v = &m->volumes[m->snapshots[snapshot].volume];

	flush(&v->head);
	if (!op->no_undo) {
		memmove(&v->undo[1], &v->undo[0], sizeof(v->undo) - sizeof(v->undo[0]));
		v->undo[0] = v->head;
		v->n_undo += v->n_undo < MODEL_UNDO;
	}
	v->head = m->snapshots[snapshot].c;
	v->head.parent = snapshot;
}

static void revert_both(struct model *m, const struct model_op *op)
{
	int mate = model_mate(m, op->snapshot);

	revert(m, op, op->snapshot);
	revert(m, op, mate);
}

static void set_group(struct model *m, const struct model_op *op, int other, uint32_t group)
{
	m->volumes[op->volume].group = group;
	if (other != MODEL_NONE)
		m->volumes[other].group = group;
}

/* Nothing is copied for it, so nothing is flushed: what a writer did not flush stays so. */
static void undo(struct model_volume *v)
{
	struct model_contents head = v->head;

	if (v->files) /* it is unmounted for it */
		flush(&head);
	v->head = v->undo[0];
	v->undo[0] = head;
}

static void adopt(struct model_contents *c, int parent, int grandparent)
{
	if (c->parent == parent)
		c->parent = grandparent;
}

static void delete_snapshot(struct model *m, int gone)
{
	int up = m->snapshots[gone].c.parent;

	m->snapshots[gone].used = false;
	for (int i = 0; i < MODEL_SNAPSHOTS; i++)
		adopt(&m->snapshots[i].c, gone, up);
	for (int i = 0; i < MODEL_VOLUMES; i++) {
		adopt(&m->volumes[i].head, gone, up);
		for (size_t k = 0; k < MODEL_UNDO; k++)
			adopt(&m->volumes[i].undo[k], gone, up);
	}
}

static void delete_volume(struct model *m, int volume)
{
	for (int i = 0; i < MODEL_SNAPSHOTS; i++)
		if (m->snapshots[i].used && m->snapshots[i].volume == volume)
			delete_snapshot(m, i);
	m->volumes[volume].used = false;
}

static void make_volume(struct model *m, const struct model_op *op)
{
	int i = free_volume(m);
	char name[16];

	(void)snprintf(name, sizeof(name), "v%u", op->id);
	start_volume(&m->volumes[i], name, false);
	if (op->verb != MODEL_CLONE)
		return;
	m->volumes[i].head = m->snapshots[op->snapshot].c;
	m->volumes[i].head.parent = op->snapshot;
}

static void settle(struct model *m, uint32_t id)
{
	for (int i = 0; i < MODEL_VOLUMES; i++) {
		struct model_volume *v = &m->volumes[i];

		for (uint32_t k = 0; v->used && k < v->head.n; k++)
			if (v->head.loose[k])
				v->head.slot[k] = id;
		memset(v->head.loose, 0, sizeof(v->head.loose));
	}
}

/* Down and up again: nothing is in the page cache any more. */
static void restart(struct model *m)
{
	for (int i = 0; i < MODEL_VOLUMES; i++)
		flush(&m->volumes[i].head);
}

void model_apply(struct model *m, const struct model_op *op)
{
	struct model_volume *v = &m->volumes[op->volume];

	m->made = op->id + 2;
	switch (op->verb) {
	case MODEL_WRITE:
	case MODEL_WRITE_LOOSE:
		write_slots(m, op, op->verb == MODEL_WRITE_LOOSE ? MODEL_UNFLUSHED : MODEL_SOLID);
		break;
	case MODEL_SNAPSHOT_TWO:
		take_snapshot(m, op->volume, op->id);
		take_snapshot(m, op->other, op->id + 1);
		break;
	case MODEL_SNAPSHOT:
		take_snapshot(m, op->volume, op->id);
		break;
	case MODEL_REVERT:
		revert(m, op, op->snapshot);
		break;
	case MODEL_GROUP:
		set_group(m, op, op->other, op->id);
		break;
	case MODEL_GROUP_DELETE:
		set_group(m, op, model_other(m, op->volume), 0);
		break;
	case MODEL_GROUP_SNAPSHOT:
		take_set(m, op);
		break;
	case MODEL_GROUP_REVERT:
		revert_both(m, op);
		break;
	case MODEL_QUOTA:
		m->quota = op->id;
		break;
	case MODEL_UNDO_IT:
		undo(v);
		break;
	case MODEL_CREATE:
	case MODEL_CLONE:
		make_volume(m, op);
		break;
	case MODEL_DELETE_SNAPSHOT:
		delete_snapshot(m, op->snapshot);
		break;
	case MODEL_DELETE_VOLUME:
		delete_volume(m, op->volume);
		break;
	case MODEL_RENAME:
		(void)snprintf(v->name, sizeof(v->name), "v%u", op->id);
		break;
	case MODEL_RESIZE:
		memset(&v->head.slot[v->head.n], 0, MODEL_UNIT * sizeof(v->head.slot[0]));
		memset(&v->head.loose[v->head.n], 0, MODEL_UNIT);
		v->head.n += MODEL_UNIT;
		break;
	case MODEL_LABEL:
		(void)snprintf(v->label, sizeof(v->label), "l%u", op->id);
		break;
	case MODEL_SETTLE:
		settle(m, op->id);
		break;
	case MODEL_RESTART:
	case MODEL_EXPORT:
		restart(m);
		break;
	case MODEL_VERBS:
		break;
	}
}

void model_begun(struct model *m, const struct model_op *op)
{
	uint8_t loose[MODEL_SLOTS];
	struct model_volume *v = &m->volumes[op->volume];

	if (op->verb != MODEL_WRITE && op->verb != MODEL_WRITE_LOOSE) {
		if (op->verb != MODEL_SETTLE)
			model_apply(m, op);
		return;
	}
	memcpy(loose, v->head.loose, sizeof(loose));
	model_apply(m, op);
	memcpy(v->head.loose, loose, sizeof(loose));
	for (uint32_t i = op->from; i < op->from + op->n; i++)
		v->head.loose[i] = MODEL_UNKNOWN;
}

static void forget(struct model_contents *c)
{
	for (uint32_t i = 0; i < MODEL_SLOTS; i++)
		if (c->loose[i])
			c->loose[i] = MODEL_UNKNOWN;
}

void model_crash(struct model *m)
{
	for (int i = 0; i < MODEL_VOLUMES; i++) {
		forget(&m->volumes[i].head);
		for (size_t k = 0; k < MODEL_UNDO; k++)
			forget(&m->volumes[i].undo[k]);
	}
}

const char *model_say(const struct model *m, const struct model_op *op)
{
	static const char *const verbs[MODEL_VERBS] = {
		"write",
		"write, not flushed",
		"snapshot",
		"snapshot of two",
		"revert",
		"undo",
		"create",
		"clone",
		"delete",
		"delete volume",
		"rename",
		"resize",
		"label",
		"group create",
		"snapshot of a group",
		"revert of a group",
		"group delete",
		"quota set",
		"restart",
		"export and import",
		"settle",
	};
	static char text[160];
	const char *volume = m->volumes[op->volume].name;
	const char *snapshot = op->snapshot >= 0 ? m->snapshots[op->snapshot].name : "-";

	(void)snprintf(text, sizeof(text), "%s %s (snapshot %s, slots %u+%u, id %u%s%s)",
		       verbs[op->verb], volume, snapshot, op->from, op->n, op->id,
		       op->buffered ? ", buffered" : "", op->no_undo ? ", no undo" : "");
	return text;
}
