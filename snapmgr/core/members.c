/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pools on disk: members found by scanning, put together, and rewritten together. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "snapmgr/core/core.h"

/* One member as found. */
struct seen {
	struct ssb sb;
	struct ssb_health health;
	char path[256];
};
struct seen_list {
	struct seen *v;
	size_t n;
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

static int see(const struct shost_device *dev, void *data)
{
	struct seen_list *list = data;
	struct seen s = { 0 }, *v;

	if (ssb_read(dev->path, &s.sb, &s.health, NULL) < 0)
		return 0; /* not ours, or beyond reading: its pool will name it as missing */
	v = realloc(list->v, (list->n + 1) * sizeof(*v));
	if (!v) {
		ssb_release(&s.sb);
		return -ENOMEM;
	}
	(void)sm_copy_text(s.path, sizeof(s.path), dev->path);
	list->v = v;
	list->v[list->n++] = s;
	return 0;
}

static int see_all(struct seen_list *ret, struct snapmgr_err *err)
{
	int r = shost_scan(see, ret, err);

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

/* Member 0 is the truth; without it, whoever was written last. */
static const struct seen *truth(const struct seen_list *list, const struct sm_uuid *pool)
{
	const struct seen *best = NULL;

	for (size_t i = 0; i < list->n; i++) {
		const struct seen *s = &list->v[i];

		if (!sm_uuid_equal(&s->sb.pool_uuid, pool))
			continue;
		if (s->sb.self == 0)
			return s;
		if (!best || s->sb.generation > best->sb.generation)
			best = s;
	}
	return best;
}

/* Two devices that both say they are this member: a copy of a disk is about. Which is it? */
static int twice(const struct sm_members *m, uint32_t i, const char *path, struct snapmgr_err *err)
{
	char uuid[SNAPMGR_UUID_TEXT];

	sm_uuid_text(&m->sb.members[i].uuid, uuid);
	return sm_fail(err, SNAPMGR_EXISTS, EEXIST,
		       "'%s' and '%s' are both member %s of pool '%s': take one of them away",
		       m->paths[i], path, uuid, m->sb.pool_name);
}

static int place(struct sm_members *m, const struct seen *s, struct snapmgr_err *err)
{
	const struct sm_uuid *uuid = &s->sb.members[s->sb.self].uuid;

	for (uint32_t i = 0; i < m->sb.n_members; i++) {
		if (!sm_uuid_equal(&m->sb.members[i].uuid, uuid))
			continue;
		if (m->paths[i][0])
			return twice(m, i, s->path, err);
		(void)sm_copy_text(m->paths[i], sizeof(m->paths[i]), s->path);
		m->bad_copy[i] = s->health.bad_a || s->health.bad_b;
		m->generations[i] = s->sb.generation;
		m->n_missing--;
		break;
	}
	return 0; /* one that is not listed is left over from an extend that was cut short */
}

static int assemble(const struct seen_list *list, const struct sm_uuid *pool, struct sm_members *ret,
		    struct snapmgr_err *err)
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
	for (size_t i = 0; i < list->n && r == 0; i++) {
		if (sm_uuid_equal(&list->v[i].sb.pool_uuid, pool))
			r = place(&m, &list->v[i], err);
	}
	if (r < 0)
		return r;
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
	return sm_fail(err, SNAPMGR_EXISTS, EEXIST,
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
	if (!found)
		return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT,
			       "there is no pool '%s' ('snapmgr pool list' shows those there are)", pool);
	return assemble(&list, &found->sb.pool_uuid, ret, err);
}

int sm_members_complete(const struct sm_members *m, struct snapmgr_err *err)
{
	char uuid[SNAPMGR_UUID_TEXT];

	for (uint32_t i = 0; i < m->sb.n_members; i++) {
		if (m->paths[i][0])
			continue;
		sm_uuid_text(&m->sb.members[i].uuid, uuid);
		return sm_fail(err, SNAPMGR_NOT_FOUND, ENODEV,
			       "pool '%s' is not complete: member %u of %u, %s, %.1f GiB, is missing: attach that disk",
			       m->sb.pool_name, i + 1, m->sb.n_members, uuid,
			       (double)m->sb.members[i].size_bytes / (double)SM_GIB);
	}
	return 0;
}

/* The others first: what they say of each other counts for nothing until member 0 says it too. */
int sm_members_write(struct sm_members *m, struct snapmgr_err *err)
{
	int r = 0;

	m->sb.generation++;
	for (uint32_t i = m->sb.n_members; i > 0 && r == 0; i--) {
		m->sb.self = i - 1;
		r = ssb_write(m->paths[i - 1], &m->sb, err);
	}
	m->sb.self = 0;
	return r;
}

static int add_extent(struct sm_extents *to, const struct ssb_region *region, dev_t devno)
{
	struct sm_extent *v = realloc(to->v, (to->n + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	to->v = v;
	to->v[to->n++] = (struct sm_extent){ devno, region->start_sectors, region->len_sectors };
	return 0;
}

static struct sm_extents *extents_of(struct sm_layout *layout, enum ssb_kind kind)
{
	switch (kind) {
	case SSB_CATALOGUE:
		return &layout->catalogue;
	case SSB_META:
		return &layout->meta;
	case SSB_SPARE:
		return &layout->spare;
	case SSB_DATA:
	default:
		return &layout->data;
	}
}

int sm_members_layout(const struct sm_members *m, struct sm_layout *ret, struct snapmgr_err *err)
{
	AUTO(sm_layout_release) struct sm_layout layout = { 0 };

	for (uint32_t i = 0; i < m->sb.n_regions; i++) {
		const struct ssb_region *region = &m->sb.regions[i];
		struct shost_device dev;
		int r = shost_device(m->paths[region->member], &dev, err);

		if (r < 0)
			return r;
		if (dev.size_bytes < m->sb.members[region->member].size_bytes)
			return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN,
				       "device '%s' of pool '%s' has shrunk from %llu to %llu bytes", dev.path,
				       m->sb.pool_name,
				       (unsigned long long)m->sb.members[region->member].size_bytes,
				       (unsigned long long)dev.size_bytes);
		if (add_extent(extents_of(&layout, region->kind), region, dev.devno) < 0)
			return sm_nomem(err);
	}
	*ret = layout;
	layout = (struct sm_layout){ 0 };
	return 0;
}
