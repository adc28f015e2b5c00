/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Snapshots in stores, mapped for as long as somebody reads them. */
#include "snapmgr/core/reading.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "snapmgr/core/store.h"

/*
 * The detail of the row: the UUIDs of what was mapped, or "VOLUME@NAME" of the snapshot that was made, each
 * with a blank behind it.
 */
#define WORD (SNAPMGR_UUID_TEXT + SNAPMGR_NAME_MAX + 1)

static void add_word(char detail[SCAT_DETAIL_MAX], const struct sm_uuid *uuid, const char *name)
{
	char text[SNAPMGR_UUID_TEXT];
	const size_t len = strlen(detail);

	sm_uuid_text(uuid, text);
	(void)snprintf(detail + len, SCAT_DETAIL_MAX - len, "%s%s%s ", text, name ? "@" : "",
		       name ? name : "");
}

static int begin(struct sm_pool *pool, const char *detail, struct scat_snapshot *snapshot,
		 struct sm_reading *ret, struct snapmgr_err *err)
{
	const struct sm_lasting_plan plan = {
		.verb = "read",
		.snapshot = snapshot,
		.snapshot_state = SCAT_AVAILABLE,
		.detail = detail,
	};

	*ret = (struct sm_reading){ .fds = { -1, -1 } };
	return sm_lasting_begin(pool, &plan, &ret->op, err);
}

static int open_one(struct sm_pool *pool, const struct sm_vdev *dev, struct snapmgr_err *err)
{
	struct sdm_info info;
	int r = sdm_info_by_uuid(dev->dm.uuid, &info, err);

	if (r == 0 && !info.exists)
		r = pool->b.driver->map(&pool->b, dev, err);
	if (r == 0 && !info.exists) {
		(void)sm_backend_settle(&pool->b, NULL);
		r = sdm_info_by_uuid(dev->dm.uuid, &info, err);
	}
	return r == 0 ? sm_node_open(&info, O_RDONLY | O_DIRECT, err) : r;
}

static int open_all(struct sm_pool *pool, const struct sm_vdev *const *devs, size_t n,
		    struct sm_reading *reading, struct snapmgr_err *err)
{
	int r = sm_lasting_retake(&reading->op, err);

	for (size_t i = 0; i < n && r >= 0; i++)
		r = reading->fds[i] = open_one(pool, devs[i], err);
	sm_pool_unlock(pool);
	return r < 0 ? r : 0;
}

/* The row before the mapping: whoever dies in between has mapped nothing that no row names. */
int sm_reading_begin(struct sm_pool *pool, const struct sm_vdev *const *devs, size_t n,
		     struct scat_snapshot *snapshot, struct sm_reading *ret,
		     struct snapmgr_err *err)
{
	char detail[SCAT_DETAIL_MAX] = "";
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		struct sdm_info info;

		r = sdm_info_by_uuid(devs[i]->dm.uuid, &info, err);
		if (r == 0 && !info.exists)
			add_word(detail, &devs[i]->uuid, NULL);
	}
	if (r == 0)
		r = begin(pool, detail, snapshot, ret, err);
	if (r < 0)
		return r;
	r = open_all(pool, devs, n, ret, err);
	if (r < 0)
		sm_reading_end(ret);
	return r;
}

static int take_snapshot(struct sm_pool *pool, const struct scat_volume *v, const char *name,
			 struct snapmgr_err *err)
{
	struct snapmgr_snapshot_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_snapshot_opts);
	char spec[SNAPMGR_SPEC_TEXT], uuid[SNAPMGR_UUID_TEXT];
	const char *specs[] = { spec };

	sm_uuid_text(&pool->b.uuid, uuid);
	(void)snprintf(spec, sizeof(spec), "%s/%s@%s", uuid, v->c.name, name);
	opts.label = "for a copy that is under way";
	return snapmgr_snapshot(pool->sm, specs, 1, &opts, NULL, NULL, err);
}

/* Without the lock, since a snapshot takes it. */
static int open_made(struct sm_pool *pool, const struct scat_volume *v, const char *name,
		     struct sm_reading *reading, struct snapmgr_err *err)
{
	struct scat_snapshot s;
	struct sm_vdev dev;
	int r = take_snapshot(pool, v, name, err);

	if (r == 0)
		r = sm_lasting_retake(&reading->op, err);
	if (r == 0)
		r = scat_snapshot_by_name(pool->cat, v->id, name, &s, err);
	if (r == 0) {
		sm_snapshot_device(pool, &s, &dev);
		r = reading->fds[0] = open_one(pool, &dev, err);
	}
	sm_pool_unlock(pool);
	return r < 0 ? r : 0;
}

int sm_reading_head(struct sm_pool *pool, const struct scat_volume *v, struct sm_reading *ret,
		    struct snapmgr_err *err)
{
	char detail[SCAT_DETAIL_MAX] = "", uuid[SNAPMGR_UUID_TEXT], name[SNAPMGR_UUID_TEXT + 8];
	int r;

	sm_uuid_text(&pool->op.uuid, uuid);
	(void)snprintf(name, sizeof(name), "copy-%s", uuid);
	add_word(detail, &v->c.uuid, name);
	r = begin(pool, detail, NULL, ret, err);
	if (r < 0)
		return r;
	r = open_made(pool, v, name, ret, err);
	if (r < 0)
		sm_reading_end(ret);
	return r;
}

void sm_reading_end(struct sm_reading *r)
{
	if (!r->op.pool)
		return;
	for (size_t i = 0; i < SM_ARRAY(r->fds); i++) {
		sm_close_fd(r->fds[i]);
		r->fds[i] = -1;
	}
	sm_lasting_undo(&r->op);
	sm_lasting_release(&r->op);
}

/* ---- what a reader left, dead or done ---- */

/* One that somebody has open by now stays: it is active, as if he had said so. */
static int unmap(struct sm_pool *pool, const struct sm_vdev *dev, struct snapmgr_err *err)
{
	int r = pool->b.driver->unmap(&pool->b, dev, err);

	return r == -EBUSY ? 0 : r;
}

static int unmap_object(struct sm_pool *pool, const char *uuid, struct snapmgr_err *err)
{
	char dm_uuid[sizeof(SM_DM_UUID) + WORD];
	struct sm_vdev dev;
	int r;

	(void)snprintf(dm_uuid, sizeof(dm_uuid), SM_DM_UUID "%s", uuid);
	r = sm_pool_device(pool, dm_uuid, &dev, err);
	return r == 0 ? unmap(pool, &dev, err) : r == -ENOENT ? 0 : r;
}

static int delete_row(struct sm_pool *pool, const struct scat_snapshot *s, struct snapmgr_err *err)
{
	int r = scat_begin(pool->cat, err);

	if (r == 0)
		r = scat_snapshot_delete(pool->cat, s->id, err);
	if (r == 0)
		r = scat_garbage_add(pool->cat, s->c.thin, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	if (r < 0)
		return r;
	(void)sm_garbage_drop(pool, NULL); /* what stays is garbage still */
	sm_store_refresh(pool, s->volume);
	return 0;
}

static int delete_made(struct sm_pool *pool, const char *volume, const char *name,
		       struct snapmgr_err *err)
{
	struct sm_uuid uuid;
	struct scat_snapshot s;
	struct scat_volume v;
	struct sm_vdev dev;
	int r = sm_uuid_parse(volume, &uuid) ? scat_volume_by_uuid(pool->cat, &uuid, &v, err) :
					       -ENOENT;

	if (r == 0)
		r = scat_snapshot_by_name(pool->cat, v.id, name, &s, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	sm_snapshot_device(pool, &s, &dev);
	r = pool->b.driver->unmap(&pool->b, &dev, err);
	return r == 0 ? delete_row(pool, &s, err) : r;
}

int sm_reading_settle(struct sm_pool *pool, const struct scat_operation *op, char said[SM_SAID],
		      struct snapmgr_err *err)
{
	const char *at = op->detail;
	char word[WORD];
	int r = 0, len;

	while (r == 0 && sscanf(at, "%101s%n", word, &len) == 1) {
		char *name = strchr(word, '@');

		at += len;
		if (name)
			*name++ = '\0';
		r = name ? delete_made(pool, word, name, err) : unmap_object(pool, word, err);
	}
	if (r == 0)
		r = scat_begin(pool->cat, err);
	if (r == 0)
		r = scat_operation_delete(pool->cat, op->id, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	if (r == 0)
		(void)sm_copy_text(said, SM_SAID, "what was mapped for it is not any more");
	return r;
}
