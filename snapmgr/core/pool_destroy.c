/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_pool_destroy(): its devices are free again. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"

static int held(const struct scat_snapshot *s, void *data)
{
	if (!s->hold)
		return 0;
	*(struct scat_snapshot *)data = *s;
	return 1;
}

static int refuse_held(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct scat_snapshot s;
	int r = pool->cat ? scat_snapshot_each(pool->cat, -1, held, &s, err) : 0;

	if (r <= 0)
		return r;
	return sm_fail(err, SNAPMGR_HELD, EBUSY,
		       "pool '%s' has a held snapshot: '%s@%s'; release it first", pool->row.name,
		       s.volume_name, s.c.name);
}

/* Member 0 first: without it the rest is no pool any more. */
static int erase(const struct sm_members *m, struct snapmgr_err *err)
{
	int r = 0;

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

static int destroy_active(struct snapmgr *sm, const char *uuid, bool dry_run,
			  struct snapmgr_err *err)
{
	AUTO(sm_members_release) struct sm_members m = { 0 };
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	int r = sm_pool_open_to_stop(sm, uuid, &pool, err);

	if (r == 0)
		r = sm_members_running(&pool, &m, err);
	if (r == 0)
		r = refuse_conflict(&m, err);
	if (r == 0)
		r = refuse_held(&pool, err);
	if (r < 0 || dry_run)
		return r;
	r = sm_pool_stop(&pool, err); /* the lock is kept until the superblocks are gone */
	return r == 0 ? erase(&m, err) : r;
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

static int destroy_inactive(struct snapmgr *sm, const char *uuid, bool dry_run,
			    struct snapmgr_err *err)
{
	AUTO(sm_members_release) struct sm_members m = { 0 };
	AUTO(slock_drop) struct slock lock = SLOCK_NONE;
	bool active = false;
	int r = sm_members_lock(sm, uuid, &m, &lock, err);

	if (r == 0)
		r = sm_pool_is_active(&m.sb.pool_uuid, &active, err);
	if (r == 0 && active)
		return sm_fail(err, SNAPMGR_BAD_STATE, EBUSY, "pool '%s' has just been activated",
			       m.sb.pool_name);
	if (r == 0)
		r = refuse_conflict(&m, err);
	if (r == 0)
		r = refuse_foreign(&m.sb, uuid, err);
	return r < 0 || dry_run ? r : erase(&m, err);
}

int snapmgr_pool_destroy(struct snapmgr *sm, const char *name,
			 const struct snapmgr_pool_destroy_opts *opts, struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_pool_destroy_opts, o, opts);
	struct snapmgr_err why;
	int r = destroy_active(sm, name, o.dry_run, &why);

	if (r == -ENODEV && why.code == SNAPMGR_BAD_STATE)
		return destroy_inactive(sm, name, o.dry_run, err);
	if (r < 0 && err)
		*err = why;
	return r;
}
