/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "snapmgr/cli/tree.h"

#include <errno.h>
#include <string.h>

#include "snapmgr/cli/object.h"
#include "snapmgr/cli/text.h"

#define NONE   SIZE_MAX
#define PREFIX 512 /* bytes: side branches nest log2(nodes) deep, and take 4 bytes each */

struct tree_node {
	enum snapmgr_kind kind;
	char name[SNAPMGR_NAME_MAX + 1];
	char uuid[SNAPMGR_UUID_TEXT];
	char parent_uuid[SNAPMGR_UUID_TEXT];
	char *notes; /* may be NULL */
	uint64_t size_bytes, used_bytes;
	int64_t created_at_us;
	size_t parent, first_child, last_child, next; /* indices, or NONE */
	size_t weight;				      /* nodes at and below this one */
	size_t waiting;				      /* children not yet weighed */
	bool trunk;				      /* leads to the head */
	bool drawn;
};

struct shapes {
	const char *snapshot, *head, *undo, *branch, *down;
};

static const struct shapes ascii_shapes = { "o", "*", "x", "|-", "| " };
static const struct shapes utf8_shapes = { "○", "●", "◌", "├─", "│ " };

struct drawing {
	const struct tree *tree;
	const struct shapes *shapes;
	struct table *table;
	int64_t now_us;
	char prefix[PREFIX];
};

/* ---- nodes ---- */

static char *notes_of(const struct snapmgr_object *o)
{
	char text[OBJECT_NOTES + SNAPMGR_LABEL_MAX + 4], notes[OBJECT_NOTES];

	(void)object_notes(o, notes);
	if (!*notes && !*o->label)
		return NULL;
	(void)snprintf(text, sizeof(text), "%s%s%s", notes, *notes && *o->label ? "  " : "",
		       o->label);
	return strdup(text);
}

int tree_add(struct tree *t, const struct snapmgr_object *o)
{
	struct tree_node *node;

	if (t->n == t->room) {
		size_t room = t->room ? t->room * 2 : 64;

		node = realloc(t->nodes, room * sizeof(*node));
		if (!node)
			return -ENOMEM;
		t->nodes = node;
		t->room = room;
	}
	node = &t->nodes[t->n++];
	*node = (struct tree_node){
		.kind = o->kind,
		.notes = notes_of(o),
		.size_bytes = o->size_bytes,
		.used_bytes = o->used_bytes,
		.created_at_us = o->created_at_us,
	};
	(void)sm_copy_text(node->name, sizeof(node->name), o->name);
	(void)sm_copy_text(node->uuid, sizeof(node->uuid), o->uuid);
	(void)sm_copy_text(node->parent_uuid, sizeof(node->parent_uuid), o->parent);
	return 0;
}

void tree_release(struct tree *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->nodes[i].notes);
	free(t->nodes);
	*t = (struct tree){ 0 };
}

/* ---- who descends from whom ---- */

/* Oldest first, so that children come in the order of their births. The head and undo points, which
 * are contents of today, stand behind the snapshots. */
static int by_age(const void *va, const void *vb)
{
	const struct tree_node *a = va, *b = vb;
	bool a_snap = a->kind == SNAPMGR_SNAPSHOT, b_snap = b->kind == SNAPMGR_SNAPSHOT;

	if (a_snap != b_snap)
		return a_snap ? -1 : 1;
	if (a->created_at_us != b->created_at_us)
		return a->created_at_us < b->created_at_us ? -1 : 1;
	return strcmp(a->uuid, b->uuid);
}

static int by_uuid(const void *va, const void *vb, void *data)
{
	const struct tree *t = data;

	return strcmp(t->nodes[*(const size_t *)va].uuid, t->nodes[*(const size_t *)vb].uuid);
}

static size_t find(const struct tree *t, const size_t *index, const char *uuid)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(uuid, t->nodes[index[middle]].uuid);

		if (order == 0)
			return index[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NONE;
}

static void add_child(struct tree *t, size_t parent, size_t child)
{
	struct tree_node *p = &t->nodes[parent];

	if (p->first_child == NONE)
		p->first_child = child;
	else
		t->nodes[p->last_child].next = child;
	p->last_child = child;
	p->waiting++;
}

static int link_nodes(struct tree *t)
{
	AUTO(free) size_t *index = calloc(t->n ? t->n : 1, sizeof(*index));

	if (!index)
		return -ENOMEM;
	if (t->n) /* else there is no array, either */
		qsort(t->nodes, t->n, sizeof(*t->nodes), by_age);
	for (size_t i = 0; i < t->n; i++) {
		struct tree_node *node = &t->nodes[i];

		index[i] = i;
		node->parent = node->first_child = node->last_child = node->next = NONE;
		node->waiting = 0;
		node->weight = 1;
	}
	qsort_r(index, t->n, sizeof(*index), by_uuid, t);
	for (size_t i = 0; i < t->n; i++) {
		size_t parent = find(t, index, t->nodes[i].parent_uuid);

		/* Only a snapshot has descendants. */
		if (parent == NONE || t->nodes[parent].kind != SNAPMGR_SNAPSHOT)
			continue;
		t->nodes[i].parent = parent;
		add_child(t, parent, i);
	}
	return 0;
}

/* From each leaf upwards; a node is weighed when its last child was. */
static void weigh(struct tree *t)
{
	for (size_t leaf = 0; leaf < t->n; leaf++) {
		if (t->nodes[leaf].first_child != NONE)
			continue;
		for (size_t i = leaf; t->nodes[i].parent != NONE; i = t->nodes[i].parent) {
			struct tree_node *parent = &t->nodes[t->nodes[i].parent];

			parent->weight += t->nodes[i].weight;
			if (--parent->waiting)
				break;
		}
	}
}

static void mark_trunk(struct tree *t)
{
	for (size_t head = 0; head < t->n; head++)
		for (size_t i = t->nodes[head].kind == SNAPMGR_VOLUME ? head : NONE;
		     i != NONE && !t->nodes[i].trunk; i = t->nodes[i].parent)
			t->nodes[i].trunk = true;
}

/* ---- drawing ---- */

static void row(struct drawing *d, struct tree_node *node, const char *lead)
{
	const struct shapes *s = d->shapes;
	bool head = node->kind == SNAPMGR_VOLUME, undo = node->kind == SNAPMGR_UNDO;
	char name[PREFIX + SNAPMGR_NAME_MAX + 16], text[TEXT_SIZE];

	(void)snprintf(name, sizeof(name), "%s%s%s  %s%s", d->prefix, lead,
		       head ? s->head :
		       undo ? s->undo :
			      s->snapshot,
		       undo ? "@" : "", head ? "head" : node->name);
	table_cell(d->table, name);
	table_cell(d->table, text_size(node->size_bytes, text));
	table_cell(d->table, text_size(node->used_bytes, text));
	table_cell(d->table, head ? "now" : text_age(d->now_us - node->created_at_us, text));
	table_cell(d->table, node->notes ? node->notes : "");
	table_end_row(d->table, head ? TABLE_GREEN : undo ? TABLE_DIM : TABLE_NORMAL);
	node->drawn = true;
}

/* The one of several siblings that goes on in its parent's column. */
static size_t main_child(const struct tree *t, size_t first)
{
	size_t best = NONE;

	for (size_t i = first; i != NONE; i = t->nodes[i].next)
		if (best == NONE || t->nodes[i].trunk ||
		    (!t->nodes[best].trunk && t->nodes[i].weight >= t->nodes[best].weight))
			best = i;
	return best;
}

static void draw_line(struct drawing *d, size_t from, const char *lead);

/* All of the siblings but one, as side branches. Return: the one that is left. */
static size_t draw_branches(struct drawing *d, size_t first)
{
	size_t stays = main_child(d->tree, first), len = strlen(d->prefix);

	for (size_t i = first; i != NONE; i = d->tree->nodes[i].next) {
		struct tree_node *node = &d->tree->nodes[i];

		if (i == stays || len + 8 > sizeof(d->prefix))
			continue;
		row(d, node, d->shapes->branch);
		(void)strcat(d->prefix, d->shapes->down);
		draw_line(d, node->first_child, "");
		d->prefix[len] = '\0';
	}
	return stays;
}

/* A line of descent from the siblings that begin with @from down to its end. */
static void draw_line(struct drawing *d, size_t from, const char *lead)
{
	for (size_t first = from; first != NONE;) {
		size_t stays = draw_branches(d, first);

		row(d, &d->tree->nodes[stays], lead);
		first = d->tree->nodes[stays].first_child;
	}
}

/* Those without a parent, strung together as siblings. */
static size_t link_roots(struct tree *t)
{
	size_t first = NONE, last = NONE;

	for (size_t i = 0; i < t->n; i++) {
		if (t->nodes[i].parent != NONE)
			continue;
		if (first == NONE)
			first = i;
		else
			t->nodes[last].next = i;
		last = i;
	}
	return first;
}

int tree_draw(struct tree *t, bool utf8, int64_t now_us, struct table *table)
{
	struct drawing d = {
		.tree = t,
		.shapes = utf8 ? &utf8_shapes : &ascii_shapes,
		.table = table,
		.now_us = now_us,
	};

	if (link_nodes(t) < 0)
		return -ENOMEM;
	weigh(t);
	mark_trunk(t);
	draw_line(&d, link_roots(t), "");
	for (size_t i = 0; i < t->n; i++)
		if (!t->nodes[i].drawn)
			row(&d, &t->nodes[i], "");
	return table->failed ? -ENOMEM : 0;
}
