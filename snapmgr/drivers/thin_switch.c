/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What happens while volumes are suspended: snapshots taken, tables switched; and its healing. */
#include <errno.h>

#include "snapmgr/drivers/thin.h"

static int copy_all(const struct sm_backend *b, const struct sm_snap_item *items, size_t n,
		    struct snapmgr_err *err)
{
	size_t i;
	int r = 0;

	for (i = 0; i < n && r == 0; i++)
		r = sdm_thin_snap(b->roles[SM_ROLE_POOL].name, items[i].new_id, items[i].volume->id,
				  err);
	if (r == 0)
		return 0;
	for (i--; i > 0; i--) /* the one that failed was not made; keep the first error */
		(void)thin_drop(b, items[i - 1].new_id, NULL);
	return r;
}

static size_t active_devices(struct sm_snap_item *items, size_t n, struct sdm_switch_device *devs)
{
	size_t n_active = 0;

	for (size_t i = 0; i < n; i++) {
		if (!items[i].active)
			continue;
		devs[n_active++] = (struct sdm_switch_device){
			.dev = &items[i].volume->dm,
			.suspend_flags = items[i].frozen ? SDM_SKIP_LOCKFS : 0,
			.idle = !items[i].open,
		};
	}
	return n_active;
}

int thin_snapshot(const struct sm_backend *b, struct sm_snap_item *items, size_t n,
		  const int *thaw_fds, size_t n_thaw, const struct sm_switch_opts *opts,
		  struct snapmgr_err *err)
{
	AUTO(free) struct sdm_switch_device *devs = calloc(n, sizeof(*devs));
	AUTO(sdm_switch_free) struct sdm_switch *sw = NULL;
	struct sdm_switch_opts how = sm_switch_opts_of(b, opts);
	size_t n_active;
	int r;

	if (!devs)
		return sm_nomem(err);
	n_active = active_devices(items, n, devs);
	if (!n_active) {
		r = copy_all(b, items, n, err);
		return r == 0 ? thin_committed(b, err) : r;
	}
	how.thaw_fds = thaw_fds;
	how.n_thaw = n_thaw;
	r = sdm_switch_prepare(devs, n_active, &how, &sw, err);
	if (r == 0)
		r = sdm_switch_suspend(sw, err);
	if (r < 0)
		return r;
	r = copy_all(b, items, n, err);
	if (r == 0)
		r = sdm_switch_resume(sw, err);
	else
		sdm_switch_back(sw);
	if (opts->suspended_ns)
		*opts->suspended_ns = sdm_switch_suspended_ns(sw);
	return r == 0 ? thin_committed(b, err) : r;
}

int thin_copy_active(const struct sm_backend *b, const struct sm_vdev *active, uint32_t id,
		     const struct sm_switch_opts *opts, struct snapmgr_err *err)
{
	struct sm_vdev v = *active;
	struct sm_snap_item item = { .volume = &v, .active = true, .open = true, .new_id = id };

	return thin_snapshot(b, &item, 1, NULL, 0, opts, err);
}

static int switch_devices(const struct sm_backend *b, const struct sm_switch_item *items, size_t n,
			  struct sdm_target *targets, struct sdm_switch_device *devs,
			  struct snapmgr_err *err)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		r = thin_target(b, items[i].v, &targets[i], err);
		devs[i] = (struct sdm_switch_device){
			.dev = &items[i].v->dm,
			.target = &targets[i],
			.online = items[i].online,
			.flush = items[i].claim_fd >= 0,
			.flush_fd = items[i].claim_fd,
			.flush_dev = items[i].devno,
			.idle = items[i].alone || (items[i].claim_fd >= 0 && !items[i].online),
			.alone = items[i].alone,
		};
	}
	return r;
}

int thin_repoint(struct sm_backend *b, const struct sm_switch_item *items, size_t n,
		 const struct sm_switch_opts *opts, sm_commit_fn *commit, void *arg,
		 struct sdm_switch **ret_settle, struct snapmgr_err *err)
{
	AUTO(free) struct sdm_switch_device *devs = calloc(n, sizeof(*devs));
	AUTO(free) struct sdm_target *targets = calloc(n, sizeof(*targets));
	AUTO(sdm_switch_free) struct sdm_switch *sw = NULL;
	struct sdm_switch_opts how = sm_switch_opts_of(b, opts);
	int r = devs && targets ? thin_find_pool(b, err) : sm_nomem(err);

	if (r == 0)
		r = switch_devices(b, items, n, targets, devs, err);
	if (r < 0)
		return r;
	how.uevent = true;
	r = sdm_switch_prepare(devs, n, &how, &sw, err);
	if (r == 0)
		r = sdm_switch_suspend(sw, err);
	if (r < 0)
		return r;
	sdm_switch_committing(sw);
	r = commit(arg, err);
	if (r < 0) {
		sdm_switch_back(sw);
		return r;
	}
	sdm_switch_committed(sw);
	r = sdm_switch_resume(sw, err);
	if (opts->suspended_ns)
		*opts->suspended_ns = sdm_switch_suspended_ns(sw);
	*ret_settle = sw;
	sw = NULL;
	return r;
}

int thin_heal(const struct sm_backend *b, const struct sm_vdev *v, uint32_t *ret_id,
	      uint64_t *ret_bytes, struct snapmgr_err *err)
{
	struct sdm_target target;
	struct sdm_info info;
	uint64_t sectors = 0;
	uint32_t live = 0;
	bool forward = false;
	int r = sdm_info(v->dm.name, &info, err);

	if (r < 0)
		return r;
	if (!info.exists)
		return -ENOENT;
	/* @v says what the catalogue wants: a suspended device goes there, a running one is the truth. */
	if (info.suspended) {
		r = thin_target(b, v, &target, err);
		if (r == 0)
			r = sdm_load(&v->dm, &target, 1, err);
		forward = true;
	}
	if (r == 0)
		r = sdm_switch_heal(&v->dm, forward, err);
	if (r >= 0)
		r = sdm_thin_live_id(v->dm.name, &live, &sectors, err);
	if (r == 0) /* its maker may have died before it made these two */
		r = sdm_node_mend(v->dm.name, err);
	if (r == 0)
		r = sdm_link_settle(&v->dm, false, err);
	if (r < 0)
		return r;
	*ret_id = live;
	*ret_bytes = sectors * SM_SECTOR;
	return 0;
}
