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

/* Of a file that has to be copied block by block, nobody else may be at it meanwhile. */
static int claim_file(struct sm_pool *pool, const struct sm_vdev *dev, const char *name,
		      struct sm_claim *ret, struct snapmgr_err *err)
{
	char spec[SNAPMGR_SPEC_TEXT];

	if (!pool->b.dir[0] || pool->b.reflink)
		return 0;
	(void)snprintf(spec, sizeof(spec), "%s/%s", pool->row.name, name);
	return sm_claim(pool, dev, spec, false, ret, err);
}

int sm_make_moment(struct sm_pool *pool, uint32_t id, void *arg, struct snapmgr_err *err)
{
	AUTO(sm_claim_drop) struct sm_claim claim = { .fd = -1 };
	const struct scat_volume *v = arg;
	struct sm_snap_item item = { .new_id = id };
	struct sdm_info info;
	struct sm_vdev dev;
	sigset_t signals;
	int r;

	sm_volume_device(pool, v, &dev);
	r = sm_vdev_info(&pool->b, &dev, &info, err);
	if (r == 0)
		r = claim_file(pool, &dev, v->c.name, &claim, err);
	if (r < 0)
		return r;
	item.volume = &dev;
	item.active = info.exists;
	/* Of a loop device nobody knows how many have it open. */
	item.open = info.exists && (info.open_count > 0 || pool->b.dir[0]);
	item.claim_fd = claim.fd;
	if (item.open)
		sm_signals_hold(&signals); /* what is frozen stays so where a Ctrl-C ends us */
	r = take(pool, &item, makedev(info.major, info.minor), err);
	if (item.open)
		sm_signals_release(&signals);
	return r;
}
