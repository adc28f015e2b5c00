/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a volume holds at one instant, for a copy: a snapshot that no row of its own names. */
#include <errno.h>
#include <sys/sysmacros.h>

#include "snapmgr/core/create.h"

static int take(struct sm_pool *pool, struct sm_snap_item *item, dev_t devno,
		struct snapmgr_err *err)
{
	const struct sm_switch_opts opts = {
		.lock_fd = pool->lock.fd,
		.lock_serial = pool->lock.serial,
		.recover_program = pool->sm->opts.recover_program,
	};
	struct shost_freeze frozen = { 0 };
	int r = item->open ? shost_freeze(&devno, 1, &frozen, err) : 0;

	if (r == 0 && item->open)
		item->frozen = frozen.has_fs[0];
	if (r == 0)
		r = pool->b.driver->snapshot(&pool->b, item, 1, frozen.fds, frozen.n, &opts, err);
	shost_thaw(&frozen);
	return r;
}

int sm_make_moment(struct sm_pool *pool, uint32_t id, void *arg, struct snapmgr_err *err)
{
	struct sm_snap_item item = { .new_id = id };
	struct sdm_info info;
	struct sm_vdev dev;
	sigset_t signals;
	int r;

	sm_volume_device(pool, arg, &dev);
	r = sdm_info(dev.dm.name, &info, err);
	if (r < 0)
		return r;
	item.volume = &dev;
	item.active = info.exists;
	item.open = info.exists && info.open_count > 0;
	if (item.open)
		sm_signals_hold(&signals); /* what is frozen stays so where a Ctrl-C ends us */
	r = take(pool, &item, makedev(info.major, info.minor), err);
	if (item.open)
		sm_signals_release(&signals);
	return r;
}
