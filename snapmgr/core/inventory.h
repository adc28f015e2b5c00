/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * inventory.h - the ids that the catalogue names, held against those that the metadata holds
 */
#ifndef SM_INVENTORY_H
#define SM_INVENTORY_H

#include "snapmgr/core/core.h"

struct sm_named {
	uint32_t id;
	unsigned int kind; /* SM_WANT_VOLUME, _SNAPSHOT, _UNDO; 0: garbage */
	int64_t row;
	uint64_t used_bytes; /* mapped at least, as far as known; UINT64_MAX: not known */
	char what[2 * SNAPMGR_NAME_MAX + 32]; /* "snapshot 'v@s'" */
};
struct sm_present {
	uint32_t id;
	uint64_t mapped_bytes;
};
struct sm_inventory {
	struct sm_named *named; /* both by id, owned */
	size_t n_named;
	struct sm_present *present;
	size_t n_present;
};
void sm_inventory_release(struct sm_inventory *inv);
static inline void auto_sm_inventory_release(struct sm_inventory *inv)
{
	sm_inventory_release(inv);
}
int sm_inventory_names(struct sm_inventory *inv, struct scat *cat, struct snapmgr_err *err);
/* sm_inventory_ids() - of metadata that is mapped and not running. */
int sm_inventory_ids(struct sm_inventory *inv, const struct sm_backend *b, struct snapmgr_err *err);
/* sm_inventory_add() - one that is present; in the order of ids. -ENOMEM leaves no error filled. */
int sm_inventory_add(struct sm_inventory *inv, uint32_t id, uint64_t mapped_bytes);
const struct sm_named *sm_inventory_named(const struct sm_inventory *inv, uint32_t id);
const struct sm_present *sm_inventory_present(const struct sm_inventory *inv, uint32_t id);
/* sm_inventory_mark_lost() - what is named and not there: state error; undo points of it go. */
int sm_inventory_mark_lost(const struct sm_inventory *inv, struct scat *cat,
			   struct snapmgr_err *err);

#endif
