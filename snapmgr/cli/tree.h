/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * tree.h - draw the snapshots of one volume as a tree
 *
 * Oldest first, from the top down. A snapshot's child stands below it in the same column; where there are
 * several, all but one branch off to the right. The column on the left is the line that leads to the head,
 * so that a long history without reverts is a plain list:
 *
 *	p0/v
 *	o  s1
 *	o  s2
 *	|-o  s3         a second child of s2 follows, because somebody reverted
 *	| x  @undo
 *	o  s4
 *	*  head
 */
#ifndef CLI_TREE_H
#define CLI_TREE_H

#include "include/base.h"
#include "snapmgr/cli/table.h"

struct tree_node;

struct tree {
	struct tree_node *nodes;
	size_t n, room;
};

/* tree_add() - a volume (its head), snapshot or undo point, in any order. Return: 0 or -ENOMEM. */
int tree_add(struct tree *t, const struct snapmgr_object *o);
/**
 * tree_draw() - rows for @table, which has TREE_COLUMNS columns
 * @now_us: ages are counted up to here
 *
 * Nodes whose parent is not in the tree stand directly below the volume. Nothing is drawn twice, also
 * where damaged data says that somebody descends from itself; what is on such a ring comes last.
 * Return: 0 or -ENOMEM.
 */
#define TREE_COLUMNS 5
int tree_draw(struct tree *t, bool utf8, int64_t now_us, struct table *table);
void tree_release(struct tree *t);

#endif
