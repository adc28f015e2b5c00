/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * task.h - libdevmapper's tasks, for the files of this folder that speak to it
 *
 * The library keeps state of its own (a control descriptor, queued node operations), so its calls are
 * made under one mutex; a suspend, which may wait, is the one exception.
 */
#ifndef SDM_TASK_H
#define SDM_TASK_H

#include <errno.h>
#include <libdevmapper.h>

#include "dm/sdm.h"

static inline void auto_dm_task_destroy(struct dm_task **t)
{
	if (*t) /* the library's function takes no NULL */
		dm_task_destroy(*t);
}

/* sdm_task_make() - a task of @type (DM_DEVICE_...) for the device @name; NULL for none. */
int sdm_task_make(int type, const char *name, struct dm_task **ret, struct snapmgr_err *err);
/* sdm_task_run() - Return: 0 or the kernel's -errno; fills no error: the caller knows its subject. */
int sdm_task_run(struct dm_task *t);
/**
 * sdm_task_run_event() - the same for a resume, removal or rename, which tell udev
 * @cookie: NULL or not made: udev gets the audience's flags, and nobody waits
 */
int sdm_task_run_event(struct dm_task *t, enum sdm_audience audience, struct sdm_cookie *cookie);
/* sdm_task_refused() - "cannot @what device '@name'"; not_found, -ENOENT where there is none. */
int sdm_task_refused(struct snapmgr_err *err, int r, const char *what, const char *name);
/* Around every other call of libdevmapper. */
void sdm_task_lock(void);
void sdm_task_unlock(void);

#endif
