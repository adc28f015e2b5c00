/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An active pool, opened for one call. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"
#include "snapmgr/core/folder.h"

/* The catalogue device of an active pool; exists is false where there is none. */
struct seek {
	struct snapmgr *sm;
	const char *pool;
	struct sdm_info info;
};

static int role_by_uuid(const struct sm_uuid *uuid, enum sm_role role, struct sdm_info *ret,
			struct snapmgr_err *err)
{
	struct sm_backend b;

	sm_backend_init(&b, &sm_driver_thin, uuid, "x", 0, 0);
	return sdm_info_by_uuid(b.roles[role].uuid, ret, err);
}

/* Thin pools have metadata; what else there is goes by the names of its devices. */
const struct sm_driver *sm_driver_running(const struct sm_uuid *uuid)
{
	struct sdm_info pool, meta;

	return role_by_uuid(uuid, SM_ROLE_POOL, &pool, NULL) == 0 &&
			       role_by_uuid(uuid, SM_ROLE_META, &meta, NULL) == 0 && !pool.exists &&
			       !meta.exists ?
		       &sm_driver_cow :
		       &sm_driver_thin;
}

static int catalogue_by_uuid(const struct sm_uuid *uuid, struct sdm_info *ret,
			     struct snapmgr_err *err)
{
	return role_by_uuid(uuid, SM_ROLE_CATALOGUE, ret, err);
}

int sm_pool_is_active(const struct sm_uuid *uuid, bool *ret, struct snapmgr_err *err)
{
	struct sdm_info info;
	int r = role_by_uuid(uuid, SM_ROLE_ZERO, &info, err);

	if (r == 0)
		*ret = info.exists;
	return r;
}

/* The catalogue that the handle used last, where it is this one and its device still the same. */
static int take_parked(struct sm_pool *pool, const struct sm_uuid *uuid)
{
	struct snapmgr *sm = pool->sm;
	struct scat *cat = sm->parked;

	if (!cat || !sm_uuid_equal(&sm->parked_uuid, uuid))
		return -ENOENT;
	sm->parked = NULL;
	/* Who died may have left a commit in the log that no index knows of: only opening looks there. */
	if (pool->lock.abandoned || scat_unpark(cat, NULL) < 0) {
		scat_close(cat);
		return -ESTALE;
	}
	(void)sm_copy_text(pool->node, sizeof(pool->node), sm->parked_node);
	pool->cat = cat;
	return 0;
}

static void park(struct sm_pool *pool)
{
	struct snapmgr *sm = pool->sm;

	scat_close(sm->parked);
	sm_pool_unlock(pool);
	slock_drop(&sm->parked_lock);
	sm->parked_lock = pool->lock;
	pool->lock = SLOCK_NONE;
	scat_park(pool->cat);
	sm->parked = pool->cat;
	sm->parked_uuid = pool->b.uuid;
	sm->parked_dev = pool->b.pool_dev;
	(void)sm_copy_text(sm->parked_node, sizeof(sm->parked_node), pool->node);
	(void)sm_copy_text(sm->parked_name, sizeof(sm->parked_name), pool->row.name);
	pool->cat = NULL;
}

int sm_pool_begin(struct sm_pool *pool, const struct sm_uuid *uuid, bool writable,
		  struct snapmgr_err *err)
{
	const struct sm_driver *driver;
	int r;

	if (writable)
		scat_own(pool->cat);
	r = writable ? scat_begin(pool->cat, err) : scat_begin_read(pool->cat, err);
	if (r == 0)
		r = scat_pool_get(pool->cat, &pool->row, err);
	if (r == 0)
		r = sm_driver_find(pool->row.driver, &driver, err);
	if (r == 0)
		sm_backend_init(&pool->b, driver, uuid, pool->row.name, pool->row.chunk_sectors,
				pool->row.block_bytes);
	return r;
}

static int open_catalogue(const struct sdm_info *info, bool writable, struct sm_pool *pool,
			  struct snapmgr_err *err)
{
	struct sm_uuid uuid;
	bool parked;
	int r = 0;

	if (!sm_role_parse(info->uuid, SM_ROLE_CATALOGUE, &uuid))
		return sm_fail(err, SNAPMGR_FOREIGN_DEVICE, EINVAL,
			       "device '%s' is not one of snapmgr's", info->name);
	parked = take_parked(pool, &uuid) == 0;
	if (!parked) {
		sm_node_path(info, pool->node, sizeof(pool->node));
		r = scat_open(pool->node, &uuid,
			      !writable		   ? SCAT_READ :
			      pool->lock.abandoned ? SCAT_HEAL :
						     SCAT_OWN,
			      &pool->cat, err);
	}
	if (r == 0)
		r = sm_pool_begin(pool, &uuid, writable, err);
	pool->parkable = r == 0 && (parked || writable);
	return r;
}

static int match_name(const char *name, const char *dm_uuid, uint32_t major, uint32_t minor,
		      void *data)
{
	struct seek *seek = data;
	AUTO(sm_pool_close) struct sm_pool pool = { .sm = seek->sm, .lock = SLOCK_NONE };
	struct sm_uuid uuid;
	struct sdm_info info;

	(void)major;
	(void)minor;
	if (!sm_role_parse(dm_uuid, SM_ROLE_CATALOGUE, &uuid) || sdm_info(name, &info, NULL) < 0 ||
	    !info.exists || open_catalogue(&info, false, &pool, NULL) < 0)
		return 0;
	if (strcmp(pool.row.name, seek->pool) != 0)
		return 0;
	seek->info = info;
	return 1;
}

/* By its dm name, one ioctl; only names that are too long for one need a look into each pool. */
static int seek_active(struct seek *seek, struct snapmgr_err *err)
{
	char name[SDM_NAME_MAX];
	struct sm_uuid uuid = { 0 };
	int r;

	if (sm_uuid_parse(seek->pool, &uuid))
		return catalogue_by_uuid(&uuid, &seek->info, err);
	sm_role_name(seek->pool, &uuid, SM_ROLE_CATALOGUE, name);
	r = sdm_info(name, &seek->info, err);
	if (r < 0 || seek->info.exists || strlen(seek->pool) < 50)
		return r;
	r = sdm_list(SM_DM_UUID, match_name, seek, err);
	return r > 0 ? 0 : r;
}

static int not_active(const char *pool, struct snapmgr_err *err)
{
	AUTO(sm_members_release) struct sm_members m = { 0 };
	int r = sm_members_find(pool, &m, err);

	if (r < 0)
		return r;
	return sm_fail(err, SNAPMGR_BAD_STATE, ENODEV,
		       "pool '%s' is not active: 'snapmgr pool %s %s' brings it up", pool,
		       m.sb.flags & SSB_FLAG_EXPORTED ? "import" : "activate", pool);
}

static int take_lock(struct snapmgr *sm, const struct sm_uuid *uuid, struct slock *ret,
		     struct snapmgr_err *err)
{
	char text[SNAPMGR_UUID_TEXT];
	int r;

	sm_uuid_text(uuid, text);
	if (sm->parked_lock.fd < 0 || !sm_uuid_equal(&sm->parked_uuid, uuid))
		return slock_take(text, sm->opts.wait_ms, ret, err);
	r = slock_retake(text, sm->opts.wait_ms, &sm->parked_lock, err);
	if (r < 0)
		return r;
	*ret = sm->parked_lock;
	sm->parked_lock = SLOCK_NONE;
	return 0;
}

/* The pool of a catalogue device, and whether it is up: one half started is not active. */
static int identify(const struct seek *seek, struct sm_uuid *ret_uuid, bool *ret_active,
		    struct snapmgr_err *err)
{
	if (!sm_role_parse(seek->info.uuid, SM_ROLE_CATALOGUE, ret_uuid))
		return sm_fail(err, SNAPMGR_FOREIGN_DEVICE, EINVAL,
			       "device '%s' is not one of snapmgr's", seek->info.name);
	return sm_pool_is_active(ret_uuid, ret_active, err);
}

/* Under the pool's lock: it may be gone, or another device, since we looked. */
static int lock_it(struct seek *seek, struct sm_pool *ret, struct sm_uuid *ret_uuid,
		   bool *ret_active, struct snapmgr_err *err)
{
	int r = identify(seek, ret_uuid, ret_active, err);

	if (ret->lock.fd >= 0 && !sm_uuid_equal(ret_uuid, &seek->sm->parked_uuid))
		slock_drop(&ret->lock); /* another pool has that name by now */
	if (r == 0 && ret->lock.fd < 0)
		r = take_lock(seek->sm, ret_uuid, &ret->lock, err);
	if (r == 0)
		r = catalogue_by_uuid(ret_uuid, &seek->info, err);
	*ret_active = false;
	return r == 0 && seek->info.exists ? sm_pool_is_active(ret_uuid, ret_active, err) : r;
}

/* What the dead left is finished first: those who died under the lock, and those who worked without. */
int sm_pool_finish_others(struct sm_pool *pool, struct snapmgr_err *err)
{
	int r = pool->lock.abandoned ? sm_recover_abandoned(pool, err) : 0;

	if (r == 0 && pool->lock.noted)
		sm_aside_settle(pool);
	if (r == 0 && pool->row.operations)
		r = sm_lasting_reap(pool, err);
	return r == 0 ? scat_begin(pool->cat, err) : r;
}

static int open_writable(const struct seek *seek, struct sm_pool *ret, struct snapmgr_err *err)
{
	int r = open_catalogue(&seek->info, true, ret, err);

	return r == 0 ? sm_pool_finish_others(ret, err) : r;
}

static int open_locked(struct seek *seek, struct sm_pool *ret, struct snapmgr_err *err)
{
	struct sm_uuid uuid;
	bool active;
	int r = lock_it(seek, ret, &uuid, &active, err);

	if (r == 0 && !active)
		return not_active(seek->pool, err);
	return r < 0 ? r : open_writable(seek, ret, err);
}

/* Before the catalogue is read: what is over by then may still be told of, but nothing is missed. */
static void see_others(const struct sm_uuid *uuid, struct sm_pool *ret)
{
	char text[SNAPMGR_UUID_TEXT];

	sm_uuid_text(uuid, text);
	if (!slock_ask(text, &ret->others))
		ret->others = (struct slock_holder){ 0 };
}

static int open_unlocked(struct seek *seek, struct sm_pool *ret, struct snapmgr_err *err)
{
	struct sm_uuid uuid;
	bool active;
	int r = identify(seek, &uuid, &active, err);

	if (r == 0 && !active)
		return not_active(seek->pool, err);
	if (r == 0)
		see_others(&uuid, ret);
	return r < 0 ? r : open_catalogue(&seek->info, false, ret, err);
}

static bool is_parked(const struct snapmgr *sm, const char *pool)
{
	struct sm_uuid uuid;

	if (!sm->parked || sm->parked_lock.fd < 0)
		return false;
	return sm_uuid_parse(pool, &uuid) ? sm_uuid_equal(&uuid, &sm->parked_uuid) :
					    strcmp(pool, sm->parked_name) == 0;
}

/*
 * The pool that the handle used last, for writing. Its catalogue is on the same device as then, so it is
 * the same activation, under the same name; and it is whole, since nobody failed in taking it down:
 * that would have left the lock abandoned. Return: -ENOENT where all this is not so; maybe locked.
 */
static int open_again(struct snapmgr *sm, const char *pool, struct sm_pool *ret,
		      struct snapmgr_err *err)
{
	const struct sm_uuid uuid = sm->parked_uuid;
	int r;

	if (!is_parked(sm, pool))
		return -ENOENT;
	r = take_lock(sm, &uuid, &ret->lock, err);
	if (r < 0)
		return r;
	if (ret->lock.abandoned || take_parked(ret, &uuid) < 0)
		return -ENOENT; /* with the lock: it knows who died */
	r = sm_pool_begin(ret, &uuid, true, err);
	ret->b.pool_dev = sm->parked_dev;
	ret->parkable = r == 0;
	return r == 0 && (ret->row.operations || ret->lock.noted) ?
		       sm_pool_finish_others(ret, err) :
		       r;
}

int sm_pool_open(struct snapmgr *sm, const char *pool, bool writable, struct sm_pool *ret,
		 struct snapmgr_err *err)
{
	AUTO(sm_pool_close) struct sm_pool p = { .sm = sm, .lock = SLOCK_NONE };
	struct seek seek = { .sm = sm, .pool = pool };
	int r = writable ? open_again(sm, pool, &p, err) : -ENOENT;

	if (r == -ENOENT)
		r = sm_folder_open(sm, pool, writable, &p, err);
	if (r != -ENOENT)
		goto out;
	r = sdm_init(err);
	if (r == 0)
		r = seek_active(&seek, err);
	if (r < 0)
		return r;
	if (!seek.info.exists)
		return not_active(pool, err);
	r = writable ? open_locked(&seek, &p, err) : open_unlocked(&seek, &p, err);
out:
	if (r == 0 && writable && p.b.driver->stores)
		r = sm_merge_notice(&p, err);
	if (r < 0)
		return r;
	*ret = p;
	p = (struct sm_pool){ .lock = SLOCK_NONE };
	return 0;
}

int sm_pool_open_to_stop(struct snapmgr *sm, const char *pool, struct sm_pool *ret,
			 struct snapmgr_err *err)
{
	AUTO(sm_pool_close) struct sm_pool p = { .sm = sm, .lock = SLOCK_NONE };
	struct seek seek = { .sm = sm, .pool = pool };
	struct snapmgr_err why;
	struct sm_uuid uuid;
	bool active;
	int r = sdm_init(err);

	if (r == 0)
		r = seek_active(&seek, err);
	if (r == 0 && seek.info.exists)
		r = lock_it(&seek, &p, &uuid, &active, err);
	if (r == 0 && !seek.info.exists)
		r = not_active(pool, err);
	if (r < 0)
		return r;
	r = active ? open_writable(&seek, &p, &why) : -ENODEV;
	if (r < 0 && active)
		sm_warn(sm, "%s", why.message);
	if (r < 0) { /* what is mapped says enough */
		scat_close(p.cat);
		p.cat = NULL;
		sm_backend_init(&p.b, sm_driver_running(&uuid), &uuid, "", 0, 0);
	}
	*ret = p;
	p = (struct sm_pool){ .lock = SLOCK_NONE };
	return 0;
}

int sm_pool_reopen(struct sm_pool *pool, struct snapmgr_err *err)
{
	int r;

	scat_close(pool->cat);
	pool->cat = NULL;
	pool->parkable = false;
	r = scat_open(pool->node, &pool->b.uuid, SCAT_HEAL, &pool->cat, err);
	return r == 0 ? scat_pool_get(pool->cat, &pool->row, err) : r;
}

int sm_pool_relock(struct sm_pool *pool, uint32_t wait_ms, struct snapmgr_err *err)
{
	char text[SNAPMGR_UUID_TEXT];
	int r;

	sm_uuid_text(&pool->b.uuid, text);
	r = slock_retake(text, wait_ms, &pool->lock, err);
	if (r < 0)
		return r;
	if (pool->lock.abandoned) { /* who died may have left a commit that no index knows of */
		r = sm_pool_reopen(pool, err);
	} else {
		scat_own(pool->cat);
		r = scat_begin(pool->cat, err);
		if (r == 0)
			r = scat_pool_get(pool->cat, &pool->row, err);
	}
	if (r == 0)
		r = sm_pool_finish_others(pool, err);
	if (r < 0)
		sm_pool_unlock(pool);
	return r;
}

void sm_pool_unlock(struct sm_pool *pool)
{
	if (pool->cat)
		scat_disown(pool->cat);
	slock_park(&pool->lock);
}

void sm_pool_settle(struct sm_pool *pool)
{
	struct snapmgr_err err;

	sm_pool_unlock(pool);
	if (sm_backend_settle(&pool->b, &err) < 0)
		sm_warn(pool->sm, "%s", err.message);
}

void sm_pool_close(struct sm_pool *pool)
{
	if (pool->cat && pool->parkable)
		park(pool);
	scat_close(pool->cat);
	pool->cat = NULL;
	slock_drop(&pool->lock);
	(void)sm_backend_settle(&pool->b, NULL);
}

struct each {
	int (*visit)(const char *uuid, void *data);
	void *data;
	size_t folders;
};

static int visit_folder(const struct sm_folder *f, void *data)
{
	struct each *each = data;
	char text[SNAPMGR_UUID_TEXT];

	each->folders++;
	if (strcmp(f->state, SM_FOLDER_ACTIVE) != 0 || !sm_folder_is_ours(f))
		return 0;
	sm_uuid_text(&f->uuid, text);
	return each->visit(text, each->data);
}

static int visit_active(const char *name, const char *dm_uuid, uint32_t major, uint32_t minor,
			void *data)
{
	struct each *each = data;
	char text[SNAPMGR_UUID_TEXT];
	struct sm_uuid uuid;

	(void)name;
	(void)major;
	(void)minor;
	if (!sm_role_parse(dm_uuid, SM_ROLE_ZERO, &uuid))
		return 0;
	sm_uuid_text(&uuid, text);
	return each->visit(text, each->data);
}

int sm_pool_each(struct snapmgr *sm, int (*visit)(const char *uuid, void *data), void *data,
		 struct snapmgr_err *err)
{
	struct each each = { visit, data, 0 };
	int r = sm_folder_each(sm, visit_folder, &each);

	if (r)
		return r;
	r = sdm_init(each.folders ? NULL : err);
	if (r < 0)
		return each.folders ? 0 : r;
	return sdm_list(SM_DM_UUID, visit_active, &each, err);
}
