/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What happens while volumes are suspended: stores armed, tables changed, a merge begun. */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "snapmgr/drivers/cow.h"

/* ---- snapshots ---- */

struct work {
	const struct sm_backend *b;
	struct sm_snap_item *items;
	size_t n;
	struct sdm_switch_device *devs; /* owned */
	struct sdm_target *targets;	/* owned */
	size_t n_active;
};

static int make_stores(const struct work *w, struct snapmgr_err *err)
{
	int r = 0;

	for (size_t i = 0; i < w->n && r == 0; i++)
		r = cow_arm_idle(w->b, w->items[i].new_id, w->items[i].volume->id,
				 w->items[i].volume->size_bytes, false, err);
	return r;
}

static int arm_stores(const struct work *w, struct snapmgr_err *err)
{
	int r = 0;

	for (size_t i = 0; i < w->n && r == 0; i++) {
		struct sdm_device dm;

		cow_device(w->b, w->items[i].new_id, COW_SHOWN, &dm);
		r = sdm_resume(&dm, NULL, err);
	}
	return r;
}

static void take_back(const struct work *w)
{
	for (size_t i = 0; i < w->n; i++)
		(void)cow_remove(w->b, w->items[i].new_id, COW_SHOWN, NULL);
}

/* Those that are mapped become origins; one that is already has to learn of the new store. */
static int find_devices(struct work *w, struct snapmgr_err *err)
{
	int r = 0;

	w->devs = calloc(w->n, sizeof(*w->devs));
	w->targets = calloc(w->n, sizeof(*w->targets));
	if (!w->devs || !w->targets)
		return sm_nomem(err);
	for (size_t i = 0; i < w->n && r == 0; i++) {
		const struct sm_snap_item *item = &w->items[i];
		struct sm_vdev wanted = *item->volume;

		if (!item->active)
			continue;
		wanted.has_stores = true;
		r = cow_target(w->b, &wanted, &w->targets[w->n_active], err);
		w->devs[w->n_active] = (struct sdm_switch_device){
			.dev = &item->volume->dm,
			.target = item->volume->has_stores ? NULL : &w->targets[w->n_active],
			.suspend_flags = item->frozen ? SDM_SKIP_LOCKFS : 0,
			.idle = !item->open,
		};
		w->n_active++;
	}
	return r;
}

static int arm_under_suspension(struct work *w, const struct sdm_switch_opts *how,
				const struct sm_switch_opts *opts, struct snapmgr_err *err)
{
	AUTO(sdm_switch_free) struct sdm_switch *sw = NULL;
	int r = sdm_switch_prepare(w->devs, w->n_active, how, &sw, err);

	if (r == 0)
		r = sdm_switch_suspend(sw, err);
	if (r < 0)
		return r;
	r = arm_stores(w, err);
	if (r == 0)
		r = sdm_switch_resume(sw, err);
	else
		sdm_switch_back(sw);
	if (opts->suspended_ns)
		*opts->suspended_ns = sdm_switch_suspended_ns(sw);
	return r;
}

int cow_snapshot(const struct sm_backend *b, struct sm_snap_item *items, size_t n,
		 const int *thaw_fds, size_t n_thaw, const struct sm_switch_opts *opts,
		 struct snapmgr_err *err)
{
	struct work w = { .b = b, .items = items, .n = n };
	struct sdm_switch_opts how = sm_switch_opts_of(b, opts);
	int r = find_devices(&w, err);

	how.thaw_fds = thaw_fds;
	how.n_thaw = n_thaw;
	if (r == 0)
		r = make_stores(&w, err);
	if (r == 0)
		r = w.n_active ? arm_under_suspension(&w, &how, opts, err) : arm_stores(&w, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = cow_sync(b, items[i].new_id, err);
	if (r < 0)
		take_back(&w);
	free(w.devs);
	free(w.targets);
	return r;
}

/* ---- one volume's table ---- */

struct live {
	struct sdm_target target;
	size_t n;
};

static int see_target(const struct sdm_target *target, void *data)
{
	struct live *live = data;

	live->target = *target;
	live->n++;
	return 0;
}

static int is_already(const struct sm_vdev *v, const struct sdm_info *info,
		      const struct sdm_target *wanted, bool *ret, struct snapmgr_err *err)
{
	struct live live = { .n = 0 };
	int r = sdm_table(v->dm.name, false, see_target, &live, err);

	if (r < 0)
		return r;
	*ret = live.n == 1 && !info->suspended && !info->has_inactive &&
	       info->read_only == v->dm.read_only &&
	       live.target.len_sectors == wanted->len_sectors &&
	       strcmp(live.target.type, wanted->type) == 0 &&
	       strcmp(live.target.params, wanted->params) == 0;
	return 0;
}

static int change_table(struct sm_backend *b, const struct sm_switch_item *item,
			const struct sdm_target *target, const struct sdm_device *wake,
			const struct sm_switch_opts *opts, struct sdm_switch **ret_settle,
			struct snapmgr_err *err)
{
	const struct sdm_switch_device dev = {
		.dev = &item->v->dm,
		.target = target,
		.online = item->online,
		.flush = item->claim_fd >= 0,
		.flush_fd = item->claim_fd,
		.flush_dev = item->devno,
		.idle = item->claim_fd >= 0 && !item->online,
	};
	AUTO(sdm_switch_free) struct sdm_switch *sw = NULL;
	struct sdm_switch_opts how = sm_switch_opts_of(b, opts);
	int r;

	how.uevent = ret_settle;
	r = sdm_switch_prepare(&dev, 1, &how, &sw, err);
	if (r == 0)
		r = sdm_switch_suspend(sw, err);
	if (r < 0)
		return r;
	sdm_switch_committed(sw); /* the catalogue has it already */
	if (wake)
		r = sdm_resume(wake, NULL, err);
	if (r == 0)
		r = sdm_switch_resume(sw, err);
	else
		sdm_switch_back(sw);
	if (ret_settle) {
		*ret_settle = sw;
		sw = NULL;
	}
	return r;
}

/* The device that merges, not yet begun; it may be there from an attempt before. */
static int make_merging(struct sm_backend *b, const struct sm_vdev *v, const struct sm_place *store,
			bool *ret_begun, struct snapmgr_err *err)
{
	struct sdm_device dm;
	struct sdm_info info;
	int r;

	cow_device(b, v->id, COW_MERGING, &dm);
	r = sdm_info(dm.name, &info, err);
	if (r < 0)
		return r;
	*ret_begun = info.exists && info.has_live && !info.suspended;
	if (info.exists && (info.has_live || info.has_inactive))
		return 0; /* whoever died has loaded it, and the volume's table may hold it open */
	r = cow_disarm(b, store->id, err); /* two users of one store would be a handover */
	return r == 0 ? cow_arm_idle(b, store->id, v->id, v->size_bytes, true, err) : r;
}

static int retable_mapped(struct sm_backend *b, const struct sm_switch_item *item,
			  const struct sdm_info *info, const struct sdm_device *wake,
			  const struct sm_switch_opts *opts, struct sdm_switch **ret_settle,
			  struct snapmgr_err *err)
{
	struct sm_switch_item mapped = *item;
	struct sdm_target target;
	bool already = false;
	int r = cow_target(b, item->v, &target, err);

	mapped.devno = item->devno ? item->devno : makedev(info->major, info->minor);
	if (r == 0)
		r = is_already(item->v, info, &target, &already, err);
	if (r < 0)
		return r;
	if (already)
		return wake ? sdm_resume(wake, NULL, err) : 0;
	return change_table(b, &mapped, &target, wake, opts, ret_settle, err);
}

int cow_retable(struct sm_backend *b, const struct sm_switch_item *item,
		const struct sm_place *merging, const struct sm_switch_opts *opts,
		struct sdm_switch **ret_settle, struct snapmgr_err *err)
{
	const struct sm_vdev *v = item->v;
	struct sdm_device dm;
	struct sdm_info info;
	bool begun = true;
	int r = sdm_info(v->dm.name, &info, err);

	if (r == 0 && merging)
		r = make_merging(b, v, merging, &begun, err);
	if (r < 0)
		return r;
	cow_device(b, v->id, COW_MERGING, &dm);
	if (info.exists)
		r = retable_mapped(b, item, &info, begun ? NULL : &dm, opts, ret_settle, err);
	else if (!begun)
		r = sdm_resume(&dm, NULL, err);
	if (r == 0 && !merging)
		r = cow_remove(b, v->id, COW_MERGING, err);
	return r;
}

/*
 * The device that failed has forgotten in its memory what it was about to commit: a table handed over from
 * it would merge the wrong chunks. So it goes, and the new one reads the store from the disk.
 */
static int take_off(struct sm_backend *b, const struct sm_switch_item *item,
		    const struct sm_switch_opts *opts, struct snapmgr_err *err)
{
	struct sm_switch_item mapped = *item;
	struct sdm_target nothing = { .len_sectors = item->v->size_bytes / SM_SECTOR,
				      .type = "error" };
	struct sdm_info info;
	int r = sdm_info(item->v->dm.name, &info, err);

	if (r < 0 || !info.exists)
		return r;
	mapped.devno = makedev(info.major, info.minor);
	return change_table(b, &mapped, &nothing, NULL, opts, NULL, err);
}

int cow_again(struct sm_backend *b, const struct sm_switch_item *item,
	      const struct sm_place *merging, const struct sm_switch_opts *opts,
	      struct snapmgr_err *err)
{
	struct sdm_store_status s;
	int r = cow_status(b, item->v->id, true, &s, err);

	if (r == 0 && s.state != SDM_STORE_VALID) {
		r = take_off(b, item, opts, err);
		if (r == 0)
			r = cow_remove(b, item->v->id, COW_MERGING, err);
	}
	return r == 0 || r == -ENOENT ? cow_retable(b, item, merging, opts, NULL, err) : r;
}
