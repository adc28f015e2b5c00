/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A pool taken down. */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "snapmgr/core/core.h"

/* The device with this dm UUID as one of this pool's objects; -ENOENT where it is none of them. */
int sm_pool_device(struct sm_pool *pool, const char *dm_uuid, struct sm_vdev *ret,
		   struct snapmgr_err *err)
{
	struct scat_snapshot s;
	struct scat_volume v;
	struct scat_undo u;
	struct sm_uuid uuid;
	int r;

	if (!sm_uuid_parse(dm_uuid + strlen(SM_DM_UUID), &uuid))
		return -ENOENT;
	r = scat_volume_by_uuid(pool->cat, &uuid, &v, err);
	if (r == 0) {
		sm_volume_device(pool, &v, ret);
		return 0;
	}
	if (r == -ENOENT)
		r = scat_snapshot_by_uuid(pool->cat, &uuid, &s, err);
	if (r == 0) {
		sm_snapshot_device(pool, &s, ret);
		return 0;
	}
	if (r == -ENOENT)
		r = scat_undo_by_uuid(pool->cat, &uuid, &u, err);
	if (r == 0)
		r = scat_volume_by_id(pool->cat, u.volume, &v, err);
	if (r == 0)
		sm_undo_device(pool, &v, &u, 0, ret);
	return r;
}

struct down {
	struct sm_pool *pool;
	dev_t *own; /* owned; the pool's own devices, on which all that is to go lies */
	size_t n_own;
	bool remove; /* else only look whether it could be */
	struct snapmgr_err *err;
};

/* "SNAPMGR-POOL-", which the dm UUIDs of the pool's own devices begin with. */
static bool is_own(const struct sm_pool *pool, const char *dm_uuid)
{
	const char *cat = pool->b.roles[SM_ROLE_CATALOGUE].uuid;

	return strncmp(dm_uuid, cat, strlen(cat) - strlen("cat")) == 0;
}

static int add_own(const char *name, const char *dm_uuid, uint32_t major, uint32_t minor,
		   void *data)
{
	struct down *down = data;
	dev_t *more;

	(void)name;
	if (!is_own(down->pool, dm_uuid))
		return 0;
	more = reallocarray(down->own, down->n_own + 1, sizeof(*more));
	if (!more)
		return sm_nomem(down->err);
	down->own = more;
	down->own[down->n_own++] = makedev(major, minor);
	return 0;
}

static int is_below(uint32_t major, uint32_t minor, void *data)
{
	const struct down *down = data;
	size_t i = 0;

	while (i < down->n_own && down->own[i] != makedev(major, minor))
		i++;
	return i < down->n_own;
}

static int take_down(const char *name, const char *dm_uuid, uint32_t major, uint32_t minor,
		     void *data)
{
	struct down *down = data;
	struct sm_pool *pool = down->pool;
	struct sm_claim claim = { .fd = -1 };
	struct sm_vdev dev = { .dm.audience = SDM_INTERNAL };
	int r;

	(void)major;
	(void)minor;
	if (is_own(pool, dm_uuid))
		return 0;
	r = sdm_deps(name, is_below, down, NULL);
	if (r <= 0)
		return 0; /* of another pool, or gone by now */
	if (!pool->cat || sm_pool_device(pool, dm_uuid, &dev, NULL) < 0)
		(void)sm_copy_text(dev.dm.uuid, sizeof(dev.dm.uuid), dm_uuid);
	(void)sm_copy_text(dev.dm.name, sizeof(dev.dm.name), name);
	if (down->remove)
		return pool->b.driver->unmap(&pool->b, &dev, down->err);
	r = sm_claim(pool, &dev, dev.dm.link[0] ? dev.dm.link : name, false, &claim, down->err);
	sm_claim_drop(&claim);
	return r;
}

/* All or nothing, as far as one can look ahead. Without id 0 it counts as inactive from the first step on. */
static int unmap_all(struct down *down)
{
	struct sm_pool *pool = down->pool;
	struct snapmgr_err *err = down->err;
	struct sdm_info zero;
	int r = sdm_list(SM_DM_UUID, take_down, down, err);

	if (r == 0)
		r = sdm_info_by_uuid(pool->b.roles[SM_ROLE_ZERO].uuid, &zero, err);
	if (r == 0)
		r = sm_region_unmap(&pool->b, SM_ROLE_ZERO, err);
	if (r < 0)
		return r;
	down->remove = true;
	r = sdm_list(SM_DM_UUID, take_down, down, err);
	if (r < 0 && zero.exists &&
	    pool->cat) /* opened in this moment: it is active, with what is left */
		(void)pool->b.driver->pin(&pool->b, false, NULL);
	return r;
}

static int unmap_objects(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct down down = { .pool = pool, .err = err };
	int r = sdm_list(SM_DM_UUID, add_own, &down, err);

	if (r == 0 && down.n_own)
		r = unmap_all(&down);
	free(down.own);
	return r;
}

int sm_pool_stop(struct sm_pool *pool, struct snapmgr_err *err)
{
	int r = unmap_objects(pool, err);

	if (r < 0)
		return r;
	scat_close(pool->cat);
	pool->cat = NULL;
	r = pool->b.driver->stop(&pool->b, err);
	return r == 0 ? sm_region_unmap(&pool->b, SM_ROLE_CATALOGUE, err) : r;
}

/* ---- pools that were never born ---- */

struct leftover {
	struct sm_uuid *uuids;
	size_t n;
};

static int add_pool(const char *name, const char *dm_uuid, uint32_t major, uint32_t minor,
		    void *data)
{
	struct leftover *l = data;
	struct sm_uuid uuid, *v;

	(void)name;
	(void)major;
	(void)minor;
	if (!sm_role_parse(dm_uuid, SM_ROLE_CATALOGUE, &uuid))
		return 0;
	v = reallocarray(l->uuids, l->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	l->uuids = v;
	l->uuids[l->n++] = uuid;
	return 0;
}

/* 1 where this device is somebody's: it has a superblock that counts, or cannot be read. */
static int is_born(uint32_t major, uint32_t minor, void *data)
{
	AUTO(ssb_release) struct ssb sb = { 0 };
	char path[256];
	int r = shost_device_path(makedev(major, minor), path, sizeof(path), NULL);

	(void)data;
	if (r == 0)
		r = ssb_read(path, &sb, NULL, NULL);
	return r < 0 ? r != -ENOMSG : sb.self == 0 || sb.generation != SM_BIRTH;
}

static int sweep_one(const struct sm_uuid *uuid, struct snapmgr_err *err)
{
	static const enum sm_role roles[] = { SM_ROLE_CATALOGUE, SM_ROLE_META, SM_ROLE_DATA };
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	char text[SNAPMGR_UUID_TEXT];
	int r;

	sm_uuid_text(uuid, text);
	if (slock_take(text, 0, &pool.lock, NULL) < 0)
		return 0; /* somebody is at work on it, so it is no leftover */
	sm_backend_init(&pool.b, sm_driver_running(uuid), uuid, "", 0, 0);
	for (size_t i = 0; i < SM_ARRAY(roles); i++) {
		struct sdm_info info;

		r = sdm_info_by_uuid(pool.b.roles[roles[i]].uuid, &info, err);
		if (r == 0 && info.exists)
			r = sdm_deps(info.name, is_born, NULL, err);
		if (r)
			return r < 0 ? r : 0;
	}
	return sm_pool_stop(&pool, err);
}

int sm_pool_sweep(struct snapmgr *sm, struct snapmgr_err *err)
{
	struct leftover l = { 0 };
	struct snapmgr_err why;
	int r = sdm_list(SM_DM_UUID, add_pool, &l, err);

	if (r == -ENOMEM)
		r = sm_nomem(err);
	for (size_t i = 0; i < l.n && r == 0; i++) {
		if (sweep_one(&l.uuids[i], &why) < 0) /* its devices will be refused as held */
			sm_warn(sm, "what is left of a pool that was never finished stays: %s",
				why.message);
	}
	free(l.uuids);
	return r;
}
