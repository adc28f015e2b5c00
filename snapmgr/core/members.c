/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pools on disk: members found by looking at devices, and put together. */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "snapmgr/core/core.h"

/* One member as found. */
struct seen {
	struct ssb sb;
	struct ssb_health health;
	char path[256];
	bool running; /* its pool runs on this very device */
};
struct seen_list {
	struct seen *v;
	size_t n;
	struct snapmgr_err
		damaged; /* of the first device that is ours, or may be, and cannot be read; or zero */
};

static void seen_release(struct seen_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		ssb_release(&list->v[i].sb);
	free(list->v);
	*list = (struct seen_list){ 0 };
}
static inline void auto_seen_release(struct seen_list *list)
{
	seen_release(list);
}

static bool is_seen(const struct seen_list *list, const char *path)
{
	for (size_t i = 0; i < list->n; i++) {
		if (strcmp(list->v[i].path, path) == 0)
			return true;
	}
	return false;
}

static int see_path(struct seen_list *list, const char *path, bool running)
{
	struct seen s = { .running = running }, *v;
	struct snapmgr_err why;
	int r;

	if (is_seen(list, path))
		return 0;
	r = ssb_read(path, &s.sb, &s.health, &why);
	/* What says that it is ours goes before what says nothing. */
	if ((r == -EUCLEAN || r == -EPROTONOSUPPORT || r == -EIO) &&
	    (!list->damaged.code || (r != -EIO && list->damaged.code == SNAPMGR_IO)))
		list->damaged = why;
	if (r < 0)
		return 0; /* not ours, or beyond reading: its pool will name it as missing */
	v = reallocarray(list->v, list->n + 1, sizeof(*v));
	if (!v) {
		ssb_release(&s.sb);
		return -ENOMEM;
	}
	(void)sm_copy_text(s.path, sizeof(s.path), path);
	list->v = v;
	list->v[list->n++] = s;
	return 0;
}

static int see(const struct shost_device *dev, void *data)
{
	return see_path(data, dev->path, false);
}

static bool has_member_0(const struct seen_list *list, const struct sm_uuid *pool)
{
	for (size_t i = 0; i < list->n; i++) {
		if (list->v[i].sb.self == 0 && sm_uuid_equal(&list->v[i].sb.pool_uuid, pool))
			return true;
	}
	return false;
}

/* See sm_members_write(): these were never a pool's. */
static void drop_unborn(struct seen_list *list)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++) {
		struct ssb *sb = &list->v[i].sb;
		bool unborn = sb->generation == SM_BIRTH && sb->self != 0;

		if (unborn && !has_member_0(list, &sb->pool_uuid))
			ssb_release(sb);
		else
			list->v[n++] = list->v[i];
	}
	list->n = n;
}

static int see_all(struct seen_list *list, struct snapmgr_err *err)
{
	int r = shost_scan(see, list, err);

	if (r == 0)
		drop_unborn(list);
	return r == -ENOMEM ? sm_nomem(err) : r;
}

void sm_members_release(struct sm_members *m)
{
	ssb_release(&m->sb);
	free(m->paths);
	free(m->bad_copy);
	free(m->generations);
	*m = (struct sm_members){ 0 };
}

/* Of a running pool, is this a copy of a disk that it runs on? */
static bool is_copy(const struct seen_list *list, const struct seen *s)
{
	for (size_t i = 0; i < list->n && !s->running; i++) {
		const struct ssb *sb = &list->v[i].sb;

		if (list->v[i].running &&
		    sm_uuid_equal(&sb->members[sb->self].uuid, &s->sb.members[s->sb.self].uuid))
			return true;
	}
	return false;
}

/* Member 0 is the truth; without it, whoever was written last. */
static const struct seen *truth(const struct seen_list *list, const struct sm_uuid *pool)
{
	const struct seen *best = NULL;

	for (size_t i = 0; i < list->n; i++) {
		const struct seen *s = &list->v[i];

		if (!sm_uuid_equal(&s->sb.pool_uuid, pool))
			continue;
		if (s->sb.self == 0 && !is_copy(list, s))
			return s;
		if (!best || s->sb.generation > best->sb.generation)
			best = s;
	}
	return best;
}

/* Two devices that both say they are this member: a copy of a disk is about. Which is it? */
static void twice(struct sm_members *m, uint32_t i, const char *path)
{
	char uuid[SNAPMGR_UUID_TEXT];

	sm_uuid_text(&m->sb.members[i].uuid, uuid);
	(void)snprintf(
		m->conflict, sizeof(m->conflict),
		"'%.200s' and '%.200s' are both member %s of pool '%s': take one of them away",
		m->paths[i], path, uuid, m->sb.pool_name);
}

static void place(struct sm_members *m, const struct seen *s)
{
	const struct sm_uuid *uuid = &s->sb.members[s->sb.self].uuid;

	for (uint32_t i = 0; i < m->sb.n_members; i++) {
		if (!sm_uuid_equal(&m->sb.members[i].uuid, uuid))
			continue;
		if (m->paths[i][0]) {
			twice(m, i, s->path);
			break;
		}
		(void)sm_copy_text(m->paths[i], sizeof(m->paths[i]), s->path);
		m->bad_copy[i] = s->health.bad_a || s->health.bad_b;
		m->generations[i] = s->sb.generation;
		m->n_missing--;
		break;
	}
	/* one that is not listed is left over from an extend that was cut short */
}

static int assemble(const struct seen_list *list, const struct sm_uuid *pool,
		    struct sm_members *ret, struct snapmgr_err *err)
{
	AUTO(sm_members_release) struct sm_members m = { 0 };
	const struct seen *t = truth(list, pool);
	int r = ssb_clone(&t->sb, &m.sb, err);

	if (r < 0)
		return r;
	m.n_missing = m.sb.n_members;
	m.paths = calloc(m.sb.n_members, sizeof(*m.paths));
	m.bad_copy = calloc(m.sb.n_members, sizeof(*m.bad_copy));
	m.generations = calloc(m.sb.n_members, sizeof(*m.generations));
	if (!m.paths || !m.bad_copy || !m.generations)
		return sm_nomem(err);
	for (size_t i = 0; i < list->n; i++) {
		if (sm_uuid_equal(&list->v[i].sb.pool_uuid, pool) && !is_copy(list, &list->v[i]))
			place(&m, &list->v[i]);
	}
	if (m.n_missing && list->damaged.code)
		(void)snprintf(m.hint, sizeof(m.hint), "; or is it this one? %.400s",
			       list->damaged.message);
	*ret = m;
	m = (struct sm_members){ 0 };
	return 0;
}

/* Is list->v[i] the first one of its pool? */
static bool first_of_pool(const struct seen_list *list, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (sm_uuid_equal(&list->v[k].sb.pool_uuid, &list->v[i].sb.pool_uuid))
			return false;
	}
	return true;
}

int sm_members_scan(sm_members_fn *visit, void *data, struct snapmgr_err *err)
{
	AUTO(seen_release) struct seen_list list = { 0 };
	int r = see_all(&list, err);

	for (size_t i = 0; i < list.n && r == 0; i++) {
		AUTO(sm_members_release) struct sm_members m = { 0 };

		if (!first_of_pool(&list, i))
			continue;
		r = assemble(&list, &list.v[i].sb.pool_uuid, &m, err);
		if (r == 0)
			r = visit(&m, data);
	}
	return r;
}

static int two_of_a_name(const char *name, struct snapmgr_err *err)
{
	return sm_fail(
		err, SNAPMGR_EXISTS, EEXIST,
		"there are two pools named '%s': name one by its UUID ('snapmgr pool list' shows them; "
		"'snapmgr pool import UUID --as NAME' renames one)",
		name);
}

int sm_members_find(const char *pool, struct sm_members *ret, struct snapmgr_err *err)
{
	AUTO(seen_release) struct seen_list list = { 0 };
	const struct seen *found = NULL;
	struct sm_uuid uuid;
	bool by_uuid = sm_uuid_parse(pool, &uuid);
	int r = see_all(&list, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < list.n; i++) {
		const struct seen *t = truth(&list, &list.v[i].sb.pool_uuid);

		if (!first_of_pool(&list, i) || (by_uuid ? !sm_uuid_equal(&t->sb.pool_uuid, &uuid) :
							   strcmp(t->sb.pool_name, pool) != 0))
			continue;
		if (found)
			return two_of_a_name(pool, err);
		found = t;
	}
	if (!found && list.damaged.code == SNAPMGR_IO) /* any disk at all */
		return sm_fail(
			err, SNAPMGR_NOT_FOUND, ENOENT,
			"there is no pool '%.40s' ('snapmgr pool list' shows those there are); "
			"or is it on this one? %.500s",
			pool, list.damaged.message);
	if (!found && list.damaged.code) /* most likely what was meant */
		return sm_fail(err, list.damaged.code, list.damaged.errnum,
			       "there is no pool '%.40s' that can be read: %.500s", pool,
			       list.damaged.message);
	if (!found)
		return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT,
			       "there is no pool '%s' ('snapmgr pool list' shows those there are)",
			       pool);
	return assemble(&list, &found->sb.pool_uuid, ret, err);
}

/* ---- of an active pool ---- */

static int see_below(uint32_t major, uint32_t minor, void *data)
{
	char path[256];

	if (shost_device_path(makedev(major, minor), path, sizeof(path), NULL) < 0)
		return 0; /* it vanished under the pool */
	return see_path(data, path, true);
}

static int see_running(const struct sm_backend *b, struct seen_list *list, struct snapmgr_err *err)
{
	static const enum sm_role roles[] = { SM_ROLE_CATALOGUE, SM_ROLE_META, SM_ROLE_DATA };
	int r = 0;

	for (size_t i = 0; i < SM_ARRAY(roles) && r == 0; i++) {
		struct sdm_info info;

		r = sdm_info_by_uuid(b->roles[roles[i]].uuid, &info, err);
		if (r == 0 && info.exists)
			r = sdm_deps(info.name, see_below, list, err);
	}
	return r == -ENOMEM ? sm_nomem(err) : r;
}

int sm_members_running(struct sm_pool *pool, struct sm_members *ret, struct snapmgr_err *err)
{
	AUTO(seen_release) struct seen_list list = { 0 };
	int r = see_running(&pool->b, &list, err);

	if (r == 0 && truth(&list, &pool->b.uuid))
		r = assemble(&list, &pool->b.uuid, ret, err);
	if (r < 0 || (ret->n_missing == 0 && ret->sb.n_members))
		return r;
	sm_members_release(ret); /* one that is only a spare's, say */
	r = see_all(&list, err);
	if (r < 0)
		return r;
	if (!truth(&list, &pool->b.uuid))
		return sm_fail(err, SNAPMGR_NOT_FOUND, ENODEV,
			       "pool '%s' is active, but none of its devices can be read",
			       pool->b.name);
	return assemble(&list, &pool->b.uuid, ret, err);
}

/* They may have changed between the first look and the lock. */
int sm_members_lock(struct snapmgr *sm, const char *pool, struct sm_members *ret,
		    struct slock *lock, struct snapmgr_err *err)
{
	char uuid[SNAPMGR_UUID_TEXT];
	int r = sm_members_find(pool, ret, err);

	if (r < 0)
		return r;
	sm_uuid_text(&ret->sb.pool_uuid, uuid);
	r = slock_take(uuid, sm->opts.wait_ms, lock, err);
	if (r < 0)
		return r;
	sm_members_release(ret);
	return sm_members_find(uuid, ret, err);
}
