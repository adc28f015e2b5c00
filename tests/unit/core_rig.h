/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * core_rig.h - a thin pool "p0" on the fake kernel, its catalogue in a file of the test's folder
 *
 * Takes the place of snapmgr/drivers/regions.c and snapmgr/host/holders.c: there are no nodes to open,
 * and nobody uses a device.
 */
#ifndef CORE_RIG_H
#define CORE_RIG_H

#include "snapmgr/core/core.h"
#include "tests/unit/catalogue_rig.h"
#include "tests/unit/fake_kernel.h"

#define POOL_DEV "snapmgr-p0-_pool"

extern struct snapmgr *rig_sm;

/* rig_up() - a fresh pool that is active, and a handle. */
void rig_up(void);
void rig_create(const char *spec);
void rig_take(const char *spec);
/* rig_thin() - the id of "p0/v" or "p0/v@s1", as the catalogue has it. */
uint32_t rig_thin(const char *spec);

#endif
