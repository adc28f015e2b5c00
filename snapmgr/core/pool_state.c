/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pools activated, deactivated, exported, imported, renamed. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"
#include "snapmgr/core/folder.h"

static bool is_ours(const struct ssb *sb)
{
	struct sm_uuid id;
	char host[65];

	shost_machine(&id, host);
	return sm_uuid_equal(&sb->host_id, &id);
}

static int check_owner(const struct ssb *sb, struct snapmgr_err *err)
{
	if (sb->flags & SSB_FLAG_EXPORTED)
		return sm_fail(err, SNAPMGR_BAD_STATE, EBUSY,
			       "pool '%s' was exported: 'snapmgr pool import %s' takes it",
			       sb->pool_name, sb->pool_name);
	if (is_ours(sb))
		return 0;
	return sm_fail(err, SNAPMGR_BAD_STATE, EBUSY,
		       "pool '%s' belongs to host '%s': 'snapmgr pool import %s%s' takes it",
		       sb->pool_name, sb->host, sb->pool_name,
		       sb->flags & SSB_FLAG_ACTIVE ? " --force" : "");
}

static int check_foreign(const struct ssb *sb, bool force, struct snapmgr_err *err)
{
	if (force || !(sb->flags & SSB_FLAG_ACTIVE) || is_ours(sb))
		return 0;
	return sm_fail(
		err, SNAPMGR_IN_USE, EBUSY,
		"host '%s' has pool '%s' active and did not export it: two hosts at once would destroy it; if that "
		"host is down for good, --force takes it",
		sb->host, sb->pool_name);
}

/* An extend that was killed after its commit: the kernel is made to follow the superblocks. */
static int finish_extend(struct snapmgr *sm, const char *uuid, struct snapmgr_err *err)
{
	AUTO(sm_members_release) struct sm_members m = { 0 };
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	int r = sm_pool_open(sm, uuid, true, &pool, err);

	if (r == 0)
		r = sm_members_running(&pool, &m, err);
	if (r == 0)
		r = sm_pool_grow(&pool, &m, err);
	sm_pool_settle(&pool);
	return r;
}

int snapmgr_pool_activate(struct snapmgr *sm, const char *pool, struct snapmgr_err *err)
{
	AUTO(sm_members_release) struct sm_members m = { 0 };
	AUTO(slock_drop) struct slock lock = SLOCK_NONE;
	struct sm_pool running = { .lock = SLOCK_NONE };
	char uuid[SNAPMGR_UUID_TEXT];
	bool active;
	int r = sm_folder_activate(sm, pool, err);

	if (r != -ENOENT)
		return r;
	r = sdm_init(err);
	if (r < 0)
		return r;
	r = sm_pool_open(sm, pool, false, &running, err);
	if (r == 0) {
		sm_uuid_text(&running.b.uuid, uuid);
		sm_pool_close(&running);
		return finish_extend(sm, uuid, err);
	}
	r = sm_members_lock(sm, pool, &m, &lock, err);
	if (r == 0)
		r = sm_pool_is_active(&m.sb.pool_uuid, &active, err);
	if (r < 0 || active)
		return r;
	r = check_owner(&m.sb, err);
	return r == 0 ? sm_pool_start(sm, &m, &lock, NULL, err) : r;
}

/* Take it down; @flags is what its superblocks say afterwards. */
static int let_go(struct snapmgr *sm, const char *pool_name, uint32_t flags,
		  struct snapmgr_err *err)
{
	AUTO(sm_members_release) struct sm_members m = { 0 };
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct snapmgr_err why;
	int r = sm_pool_open_to_stop(sm, pool_name, &pool, err);
	int whole;

	if (r < 0)
		return r;
	whole = sm_members_running(&pool, &m, &why);
	if (whole == 0)
		whole = sm_members_complete(&m, &why);
	if (whole < 0 && flags & SSB_FLAG_EXPORTED) {
		if (err)
			*err = why;
		return whole;
	}
	r = sm_pool_stop(&pool, err);
	pool.lock.abandoned |= r < 0; /* maybe half down: the next one is to look */
	m.sb.flags = flags;
	if (r == 0 && whole == 0)
		r = sm_members_write(sm, &m, err);
	else if (r == 0)
		sm_warn(sm, "the pool stays marked as active on this host: %s", why.message);
	sm_pool_settle(&pool);
	return r;
}

int snapmgr_pool_deactivate(struct snapmgr *sm, const char *pool, struct snapmgr_err *err)
{
	struct snapmgr_err why;
	int r = sm_folder_let_go(sm, pool, SM_FOLDER_INACTIVE, err);

	if (r != -ENOENT)
		return r;
	r = let_go(sm, pool, 0, &why);

	if (r == -ENODEV && why.code == SNAPMGR_BAD_STATE) /* it is inactive: what was asked for */
		return 0;
	if (r < 0 && err)
		*err = why;
	return r;
}

static int export_inactive(struct snapmgr *sm, const char *pool, struct snapmgr_err *err)
{
	AUTO(sm_members_release) struct sm_members m = { 0 };
	AUTO(slock_drop) struct slock lock = SLOCK_NONE;
	int r = sm_members_lock(sm, pool, &m, &lock, err);

	if (r < 0 || m.sb.flags & SSB_FLAG_EXPORTED)
		return r;
	r = check_owner(&m.sb, err);
	if (r == 0)
		r = sm_members_complete(&m, err);
	if (r < 0)
		return r;
	m.sb.flags = SSB_FLAG_EXPORTED;
	return sm_members_write(sm, &m, err);
}

int snapmgr_pool_export(struct snapmgr *sm, const char *pool, struct snapmgr_err *err)
{
	struct snapmgr_err why;
	int r = sm_folder_let_go(sm, pool, SM_FOLDER_EXPORTED, err);

	if (r != -ENOENT)
		return r;
	r = let_go(sm, pool, SSB_FLAG_EXPORTED, &why);

	if (r == -ENODEV && why.code == SNAPMGR_BAD_STATE)
		return export_inactive(sm, pool, err);
	if (r < 0 && err)
		*err = why;
	return r;
}

struct taken {
	const char *name;
	const struct sm_uuid *but;
	struct snapmgr_err *err;
};

static int refuse_name(struct sm_members *m, void *data)
{
	const struct taken *taken = data;

	if (strcmp(m->sb.pool_name, taken->name) != 0 ||
	    sm_uuid_equal(&m->sb.pool_uuid, taken->but))
		return 0;
	return sm_fail(
		taken->err, SNAPMGR_EXISTS, EEXIST,
		"there is another pool '%s' already: import this one by its UUID with --as NAME",
		taken->name);
}

/* Inactive, and ours from now on. */
static int claim_only(struct snapmgr *sm, struct sm_members *m, const char *as,
		      struct snapmgr_err *err)
{
	if (as)
		(void)sm_copy_text(m->sb.pool_name, sizeof(m->sb.pool_name), as);
	shost_machine(&m->sb.host_id, m->sb.host);
	m->sb.flags = 0;
	return sm_members_write(sm, m, err);
}

int snapmgr_pool_import(struct snapmgr *sm, const char *pool,
			const struct snapmgr_pool_import_opts *opts, struct snapmgr_err *err)
{
	SM_OPTS(struct snapmgr_pool_import_opts, o, opts);
	AUTO(sm_members_release) struct sm_members m = { 0 };
	AUTO(slock_drop) struct slock host = SLOCK_NONE, lock = SLOCK_NONE;
	struct taken taken = { .err = err };
	bool active = false;
	int r = o.as ? sm_name_check("pool name", o.as, err) : 0;

	if (r < 0)
		return r;
	r = sm_folder_import(sm, pool, &o, err);
	if (r != -ENOENT || strchr(pool, '/'))
		return r;
	r = sdm_init(err);
	if (r == 0)
		r = slock_take("host", sm->opts.wait_ms, &host, err);
	if (r == 0)
		r = sm_members_lock(sm, pool, &m, &lock, err);
	if (r == 0)
		r = sm_pool_is_active(&m.sb.pool_uuid, &active, err);
	if (r < 0)
		return r;
	if (active)
		return sm_fail(err, SNAPMGR_IN_USE, EBUSY, "pool '%s' is active here already",
			       m.sb.pool_name);
	taken.name = o.as ? o.as : m.sb.pool_name;
	taken.but = &m.sb.pool_uuid;
	r = sm_members_scan(refuse_name, &taken, err);
	if (r == 0)
		r = check_foreign(&m.sb, o.force, err);
	if (r == 0)
		r = sm_members_complete(&m, err);
	if (r < 0)
		return r;
	return o.no_activate ? claim_only(sm, &m, o.as, err) :
			       sm_pool_start(sm, &m, &lock, o.as, err);
}
