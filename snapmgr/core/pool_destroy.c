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

static int take_down(struct snapmgr *sm, const char *uuid, bool dry_run, struct slock *lock,
		     struct snapmgr_err *err)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct scat_snapshot s;
	int r = sm_pool_open(sm, uuid, true, &pool, err);

	if (r == 0)
		r = scat_snapshot_each(pool.cat, -1, held, &s, err);
	if (r > 0)
		return sm_fail(err, SNAPMGR_HELD, EBUSY, "pool '%s' has a held snapshot: '%s@%s'; release it first",
			       pool.row.name, s.volume_name, s.c.name);
	if (r < 0 || dry_run)
		return r;
	r = sm_pool_stop(&pool, err);
	*lock = pool.lock; /* kept until the superblocks are gone */
	pool.lock = SLOCK_NONE;
	return r;
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

int snapmgr_pool_destroy(struct snapmgr *sm, const char *name, const struct snapmgr_pool_destroy_opts *opts,
			 struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_pool_destroy_opts, o, opts);
	AUTO(sm_members_release) struct sm_members m = { 0 };
	AUTO(slock_drop) struct slock lock = SLOCK_NONE;
	char uuid[SNAPMGR_UUID_TEXT];
	struct sm_uuid id;
	char host[65];
	bool active;
	int r = sdm_init(err);

	if (r == 0)
		r = sm_members_find(name, &m, err);
	if (r == 0)
		r = sm_pool_is_active(&m.sb.pool_uuid, &active, err);
	if (r < 0)
		return r;
	shost_machine(&id, host);
	sm_uuid_text(&m.sb.pool_uuid, uuid);
	if (!active && m.sb.flags & SSB_FLAG_ACTIVE && !sm_uuid_equal(&m.sb.host_id, &id))
		return sm_fail(err, SNAPMGR_IN_USE, EBUSY,
			       "host '%s' has pool '%s' active: 'snapmgr pool import %s --force --no-activate' takes it "
			       "first, if that host is down for good",
			       m.sb.host, m.sb.pool_name, uuid);
	r = active ? take_down(sm, uuid, o.dry_run, &lock, err) :
		     slock_take(uuid, sm->opts.wait_ms, &lock, err);
	return r < 0 || o.dry_run ? r : erase(&m, err);
}
