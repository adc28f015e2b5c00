/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * pack.h - many objects in little memory
 *
 * A struct snapmgr_object has 2 KiB, most of it room for text that is not there. Packed, a snapshot takes
 * some 300 bytes, so that a list of 50,000 fits anywhere.
 */
#ifndef CLI_PACK_H
#define CLI_PACK_H

#include "include/base.h"

struct pack_block;

struct pack {
	struct pack_block *first, *last;
	size_t n;
};

/* pack_add() - keep a copy, tags too. Return: 0 or -ENOMEM. */
int pack_add(struct pack *p, const struct snapmgr_object *o);
/* pack_each() - in the order they came; tags are borrowed for the callback */
int pack_each(const struct pack *p, snapmgr_object_fn *visit, void *data);
void pack_release(struct pack *p);

#endif
