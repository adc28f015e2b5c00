/* SPDX-License-Identifier: GPL-2.0-or-later */
/* internal.h - what the parts of the model that work on a real pool share */
#ifndef MODEL_INTERNAL_H
#define MODEL_INTERNAL_H

#include "tests/model/model.h"

#define MODEL_FILE_BLOCKS (MODEL_FILE / MODEL_SLOT)
#define MODEL_ROOM	  ((size_t)MODEL_SLOTS * MODEL_SLOT)

#define MODEL_QUOTA_BYTES SM_TIB /* a limit is that and a number that tells it from others */

/* model_fail() - Return: -1. */
int model_fail(struct model_why *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* model_done() - the answer of a call of the library: 0 or -1. */
int model_done(int r, const struct snapmgr_err *err, const char *what, struct model_why *why);
/* model_room() - MODEL_ROOM bytes for O_DIRECT; always the same. */
unsigned char *model_room(void);

/* A block says what it is: which write made it, and the how-manieth of its volume or file it is. */
void model_fill(void *block, uint32_t id, uint32_t index);
/* model_recognize() - the id, 0 where it was never written, or MODEL_TORN. */
uint32_t model_recognize(const void *block, uint32_t index);

void model_node(const struct snapmgr_object *o, char ret[160]);
int model_keep(const struct snapmgr_object *object, void *data);
/* model_mount_one() - ret: where it is now. */
int model_mount_one(const char *node, const char *name, bool read_only, char ret[96],
		    struct model_why *why);

#endif
