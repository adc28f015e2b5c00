/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A new volume where the kernel hands out no zeroes: what others left there is written over while the
 * pool is free for everybody. Until that is durable the volume is creating, and nobody has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "io/sio.h"
#include "snapmgr/core/create.h"
#include "snapmgr/core/lasting.h"

#define PIECE_BYTES (32 * SM_MIB) /* between two looks at whether to stop */

struct blank {
	struct sm_pool *pool;
	struct scat_volume *volume;
	const struct snapmgr_create_opts *opts;
	struct sm_lasting op;
	struct sm_vdev dev; /* name "" where it is not mapped */
};

static void release(struct blank *b)
{
	sm_lasting_release(&b->op);
}
static inline void auto_release(struct blank *b)
{
	release(b);
}

static int insert_volume(struct sm_pool *pool, void *arg, struct snapmgr_err *err)
{
	struct blank *b = arg;

	return sm_volume_insert(pool, b->volume, b->opts, err);
}

static int make_as_is(struct sm_pool *pool, uint32_t id, void *arg, struct snapmgr_err *err)
{
	const struct scat_volume *v = arg;

	return sm_store_volume_as_is(pool, id, v->c.size_bytes, err);
}

static int begin(struct blank *b, struct snapmgr_err *err)
{
	struct scat_volume *v = b->volume;
	const struct sm_lasting_plan plan = {
		.verb = "create",
		.volume = v,
		.volume_state = SCAT_CREATING,
		.todo_bytes = v->c.size_bytes,
		.rows = insert_volume,
		.arg = b,
	};
	int r = sm_op_begin(b->pool, "create", v->c.name, NULL, 0, err);

	v->c.state = SCAT_CREATING;
	if (r == 0)
		r = sm_id_make(b->pool, make_as_is, v, &v->c.thin, err);
	if (r < 0)
		return r;
	r = sm_lasting_begin(b->pool, &plan, &b->op, err);
	if (r < 0 && r != -EIO) /* after -EIO nobody knows: the next one of that id looks */
		(void)b->pool->b.driver->drop(&b->pool->b, v->c.thin, NULL);
	return r;
}

/* ---- without the lock ---- */

/* Through a device of the operation, which recovery knows, and without which the pool does not stop. */
static int map(struct blank *b, struct snapmgr_err *err)
{
	struct sm_backend *backend = &b->pool->b;
	struct sdm_info info;
	int r;

	sm_lasting_thin_device(&b->op.row.uuid, "target", b->volume->c.thin,
			       b->volume->c.size_bytes, &b->dev);
	r = backend->driver->map(backend, &b->dev, err);
	if (r < 0) {
		b->dev.dm.name[0] = '\0';
		return r;
	}
	(void)sm_backend_settle(backend, NULL);
	r = sdm_info_by_uuid(b->dev.dm.uuid, &info, err);
	return r == 0 ? sm_node_open(&info, O_RDWR | O_EXCL, err) : r;
}

static int zero(struct blank *b, int fd, struct snapmgr_err *err)
{
	const struct sio_side side = { .fd = fd, .name = b->op.what };
	const uint64_t bytes = b->volume->c.size_bytes;
	int r = 0;

	for (uint64_t at = 0; at < bytes && r == 0; at += PIECE_BYTES) {
		const uint64_t n = bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES;

		r = sm_lasting_progress(&b->op, at, bytes);
		if (r < 0)
			return sm_lasting_stopped(&b->op, err);
		r = SM_STEP("create.zero", sio_zero(&side, at, n, SIO_HOLES_ZERO, err));
	}
	if (r == 0 && SM_STEP("create.flush", fdatasync(fd)) < 0)
		r = sm_fail(err, SNAPMGR_IO, errno, "cannot write zeroes to '%s'", b->op.what);
	return r;
}

static int fill(struct blank *b, struct snapmgr_err *err)
{
	struct sm_backend *backend = &b->pool->b;
	int r_unmap = 0, fd = map(b, err);
	int r = fd < 0 ? fd : zero(b, fd, err);

	if (fd >= 0)
		sm_close_fd(fd);
	if (b->dev.dm.name[0]) /* keep the first error */
		r_unmap = backend->driver->unmap(backend, &b->dev, r < 0 ? NULL : err);
	(void)sm_backend_settle(backend, NULL);
	return r < 0 ? r : r_unmap;
}

int sm_create_blank(struct sm_pool *pool, struct scat_volume *v,
		    const struct snapmgr_create_opts *o, struct snapmgr_err *err)
{
	AUTO(release) struct blank b = { .pool = pool, .volume = v, .opts = o };
	int r = begin(&b, err);

	if (r < 0)
		return r;
	r = fill(&b, err);
	if (r == 0)
		r = sm_lasting_end(&b.op, NULL, NULL, err);
	if (r == 0)
		return sm_volume_bring_up(pool, v, err);
	sm_lasting_undo(&b.op);
	return r;
}
