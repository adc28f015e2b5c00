/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An id filled by the copy engine, with progress, checkpoints, and an end to all that was mapped for it. */
#include "snapmgr/core/filler.h"

#include <errno.h>
#include <fcntl.h>

#define CHECKPOINT_BYTES (256 * SM_MIB)

int sm_filler_map(struct sm_pool *pool, struct sm_vdev *dev, int flags, struct snapmgr_err *err)
{
	struct sdm_info info;
	int r = pool->b.driver->map(&pool->b, dev, err);

	if (r < 0) {
		dev->dm.name[0] = '\0';
		return r;
	}
	if (sm_backend_settle(&pool->b, NULL) < 0)
		sm_warn(pool->sm, "udev is slow");
	r = sdm_info_by_uuid(dev->dm.uuid, &info, err);
	return r == 0 ? sm_node_open(&info, flags, err) : r;
}

int sm_filler_open(struct sm_filler *f, uint32_t id, uint64_t size_bytes, struct snapmgr_err *err)
{
	struct sm_pool *pool = f->pool;
	int r;

	if (pool->b.driver->fill_open) {
		r = pool->b.driver->fill_open(&pool->b, id, size_bytes, err);
	} else {
		sm_lasting_thin_device(&f->op->row.uuid, "target", id, size_bytes, &f->dev);
		r = sm_filler_map(pool, &f->dev, O_RDWR | O_EXCL, err);
	}
	f->fd = r < 0 ? -1 : r;
	return r < 0 ? r : 0;
}

static int on_progress(const struct sio_progress *p, void *data)
{
	struct sm_filler *f = data;

	if (f->reading && sm_lasting_cancelled(f->reading))
		return -ECANCELED;
	return sm_lasting_progress(f->op, p->done_bytes, p->todo_bytes);
}

static int on_checkpoint(uint64_t durable, void *data, struct snapmgr_err *err)
{
	struct sm_filler *f = data;

	return sm_lasting_checkpoint(f->op, durable, NULL, err);
}

int sm_filler_run(struct sm_filler *f, const struct sio_side *source, struct sio_map *map,
		  uint64_t len, struct snapmgr_err *err)
{
	const struct sio_side target = { .fd = f->fd, .name = f->op->what };
	const struct sio_copy_opts o = {
		.size = sizeof(o),
		.map = map,
		.len = len,
		.holes = f->holes,
		.verify = f->verify,
		.resume_at = f->resume_at,
		.checkpoint = f->checkpoints ? on_checkpoint : NULL,
		.checkpoint_bytes = f->checkpoint_bytes ? f->checkpoint_bytes : CHECKPOINT_BYTES,
		.progress = on_progress,
		.data = f,
	};
	int r = SM_STEP("fill.move", sio_copy(source, &target, &o, &f->moved, err));

	return r == -ECANCELED ? sm_lasting_stopped(f->op, err) : r;
}

int sm_filler_close(struct sm_filler *f, int r, struct snapmgr_err *err)
{
	struct sm_backend *b = &f->pool->b;
	int r_unmap = 0;

	sm_close_fd(f->fd);
	f->fd = -1;
	if (f->dev.dm.name[0])
		r_unmap = b->driver->unmap(b, &f->dev, r < 0 ? NULL : err);
	(void)sm_backend_settle(b, NULL);
	return r < 0 ? r : r_unmap;
}

int sm_filler_unmap_parts(struct sm_pool *pool, const struct sm_uuid *operation,
			  struct snapmgr_err *err)
{
	static const char *const parts[] = { "source", "target" };
	int r = 0;

	for (size_t i = 0; i < SM_ARRAY(parts) && r == 0; i++) {
		struct sdm_info info;
		struct sm_vdev dev;

		sm_lasting_thin_device(operation, parts[i], 0, 0, &dev);
		r = sdm_info_by_uuid(dev.dm.uuid, &info, err);
		if (r < 0 && pool->b.dir[0]) /* who may not ask has not mapped any */
			return 0;
		if (r == 0 && info.exists)
			r = sm_vdev_unmap(&pool->b, &dev, err);
	}
	return r;
}
