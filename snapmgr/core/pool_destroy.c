/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_pool_destroy(): its devices are free again. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"
#include "snapmgr/core/folder.h"

/* ---- held snapshots ---- */

#define NAMED 3

struct held { /* the first few, and how many there are */
	const struct sm_pool *pool;
	char names[NAMED * (SNAPMGR_SPEC_TEXT + 4)];
	size_t n;
};

static int collect_held(const struct scat_snapshot *s, void *data)
{
	struct held *h = data;
	char spec[SNAPMGR_SPEC_TEXT];
	size_t len = strlen(h->names);

	if (!s->hold || h->n++ >= NAMED)
		return 0;
	sm_snapshot_spec(h->pool, s, spec);
	(void)snprintf(h->names + len, sizeof(h->names) - len, "%s'%s'", len ? ", " : "", spec);
	return 0;
}

static int refuse_held(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct held h = { .pool = pool };
	char more[40] = "";
	int r = scat_snapshot_each(pool->cat, -1, collect_held, &h, err);

	if (r < 0 || !h.n)
		return r;
	if (h.n > NAMED)
		(void)snprintf(more, sizeof(more), " and %zu more", h.n - NAMED);
	return sm_fail(err, SNAPMGR_HELD, EBUSY,
		       "pool '%s' has held snapshots: %.600s%s; 'snapmgr release' them, or --force "
		       "destroys them too",
		       pool->row.name, h.names, more);
}

/* Somebody may have been promised that they stay: that nobody can look is no answer. */
static int refuse_blind(const char *pool, const struct snapmgr_err *why, struct snapmgr_err *err)
{
	if (err) {
		*err = *why;
		(void)snprintf(
			err->message, sizeof(err->message),
			"it cannot be told whether pool '%s' has held snapshots (--force destroys "
			"it all the same): %.500s",
			pool, why->message);
	}
	return -why->errnum;
}

static int look_for_held(struct sm_pool *pool, const struct sm_members *m, struct snapmgr_err *err)
{
	AUTO(sm_layout_release) struct sm_layout layout = { 0 };
	struct snapmgr_err why = { 0 };
	struct sdm_info info;
	int r = sm_members_layout(m, &layout, &why);

	if (r == 0)
		r = sm_region_map(&pool->b, SM_ROLE_CATALOGUE, &layout.catalogue, &why);
	if (r == 0)
		r = sdm_info(pool->b.roles[SM_ROLE_CATALOGUE].name, &info, &why);
	if (r == 0) {
		sm_node_path(&info, pool->node, sizeof(pool->node));
		r = scat_open(pool->node, &pool->b.uuid, SCAT_OWN, &pool->cat, &why);
	}
	if (r == 0)
		r = scat_pool_get(pool->cat, &pool->row, &why);
	if (r == 0)
		r = refuse_held(pool, &why);
	if (r < 0 && why.code == SNAPMGR_HELD && err)
		*err = why;
	else if (r < 0)
		return refuse_blind(m->sb.pool_name, &why, err);
	return r;
}

/* Of an inactive pool: its catalogue alone is mapped for it, and unmapped again. */
static int refuse_held_inactive(struct sm_pool *pool, const struct sm_members *m,
				struct snapmgr_err *err)
{
	const struct sm_driver *driver;
	struct snapmgr_err why;
	int r = sm_members_complete(m, &why);

	if (r == 0)
		r = sm_driver_find(m->sb.driver, &driver, &why);
	if (r < 0)
		return refuse_blind(m->sb.pool_name, &why, err);
	sm_backend_init(&pool->b, driver, &m->sb.pool_uuid, m->sb.pool_name, m->sb.chunk_sectors,
			m->sb.block_bytes);
	r = sm_pool_stop(pool, err); /* what somebody left who was killed half way */
	if (r == 0)
		r = look_for_held(pool, m, err);
	(void)sm_pool_stop(pool, NULL);
	return r;
}

static int refuse_held_active(struct sm_pool *pool, const char *uuid, struct snapmgr_err *err)
{
	const struct snapmgr_err why = { SNAPMGR_DAMAGED, EUCLEAN, "its catalogue cannot be read" };

	return pool->cat ? refuse_held(pool, err) : refuse_blind(uuid, &why, err);
}

/* ---- the deed ---- */

/* Until member 0 is erased it is a pool that can be activated, and from then on it is none. */
static int erase(struct snapmgr *sm, struct sm_members *m, struct snapmgr_err *err)
{
	int r = m->paths[0][0] ? sm_members_unborn(sm, m, err) : 0;

	for (uint32_t i = 0; i < m->sb.n_members && r == 0; i++) {
		if (m->paths[i][0])
			r = ssb_erase(m->paths[i], err);
	}
	return r;
}

/* Of two disks that are one member, which is to be erased? */
static int refuse_conflict(const struct sm_members *m, struct snapmgr_err *err)
{
	return m->conflict[0] ? sm_fail(err, SNAPMGR_EXISTS, EEXIST, "%s", m->conflict) : 0;
}

static int destroy_active(struct snapmgr *sm, const char *uuid,
			  const struct snapmgr_pool_destroy_opts *o, struct snapmgr_err *err)
{
	AUTO(sm_members_release) struct sm_members m = { 0 };
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	bool active = true;
	int r = sm_pool_open_to_stop(sm, uuid, &pool, err);

	if (r == 0 && !pool.cat)
		r = sm_pool_is_active(&pool.b.uuid, &active, err);
	if (r == 0 && !active) { /* who took it down was killed half way */
		r = sm_pool_stop(&pool, err);
		return r < 0 ? r : sm_fail(err, SNAPMGR_BAD_STATE, ENODEV, "it is not active");
	}
	if (r == 0)
		r = sm_members_running(&pool, &m, err);
	if (r == 0)
		r = refuse_conflict(&m, err);
	if (r == 0 && !o->force)
		r = refuse_held_active(&pool, uuid, err);
	if (r < 0 || o->dry_run)
		return r;
	sm_backup(&pool);
	r = sm_pool_stop(&pool, err); /* the lock is kept until the superblocks are gone */
	return r == 0 ? erase(sm, &m, err) : r;
}

static int refuse_foreign(const struct ssb *sb, const char *uuid, struct snapmgr_err *err)
{
	struct sm_uuid id;
	char host[65];

	shost_machine(&id, host);
	if (!(sb->flags & SSB_FLAG_ACTIVE) || sm_uuid_equal(&sb->host_id, &id))
		return 0;
	return sm_fail(
		err, SNAPMGR_IN_USE, EBUSY,
		"host '%s' has pool '%s' active: 'snapmgr pool import %s --force --no-activate' takes it first, if "
		"that host is down for good",
		sb->host, sb->pool_name, uuid);
}

static int destroy_inactive(struct snapmgr *sm, const char *uuid,
			    const struct snapmgr_pool_destroy_opts *o, struct snapmgr_err *err)
{
	AUTO(sm_members_release) struct sm_members m = { 0 };
	AUTO(sm_pool_close) struct sm_pool pool = { .sm = sm, .lock = SLOCK_NONE };
	bool active = false;
	int r = sm_members_lock(sm, uuid, &m, &pool.lock, err);

	if (r == 0)
		r = sm_pool_is_active(&m.sb.pool_uuid, &active, err);
	if (r == 0 && active)
		return sm_fail(err, SNAPMGR_BAD_STATE, EBUSY, "pool '%s' has just been activated",
			       m.sb.pool_name);
	if (r == 0)
		r = refuse_conflict(&m, err);
	if (r == 0)
		r = refuse_foreign(&m.sb, uuid, err);
	if (r == 0 && !o->force)
		r = refuse_held_inactive(&pool, &m, err);
	return r < 0 || o->dry_run ? r : erase(sm, &m, err);
}

int snapmgr_pool_destroy(struct snapmgr *sm, const char *name,
			 const struct snapmgr_pool_destroy_opts *opts, struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_pool_destroy_opts, o, opts);
	struct snapmgr_err why;
	int r = sm_folder_destroy(sm, name, &o, err);

	if (r != -ENOENT)
		return r;
	r = destroy_active(sm, name, &o, &why);

	if (r == -ENODEV && why.code == SNAPMGR_BAD_STATE)
		return destroy_inactive(sm, name, &o, err);
	if (r < 0 && err)
		*err = why;
	return r;
}
