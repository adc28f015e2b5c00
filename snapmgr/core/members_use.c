/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Members put together: are all here, where do the regions lie, and their superblocks rewritten. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"

int sm_members_complete(const struct sm_members *m, struct snapmgr_err *err)
{
	char uuid[SNAPMGR_UUID_TEXT];

	if (m->conflict[0])
		return sm_fail(err, SNAPMGR_EXISTS, EEXIST, "%s", m->conflict);
	for (uint32_t i = 0; i < m->sb.n_members; i++) {
		if (m->paths[i][0])
			continue;
		sm_uuid_text(&m->sb.members[i].uuid, uuid);
		return sm_fail(
			err, SNAPMGR_NOT_FOUND, ENODEV,
			"pool '%s' is not complete: member %u of %u, %s, %.1f GiB, is missing: attach that disk%s",
			m->sb.pool_name, i + 1, m->sb.n_members, uuid,
			(double)m->sb.members[i].size_bytes / (double)SM_GIB, m->hint);
	}
	return 0;
}

static int write_one(struct snapmgr *sm, struct sm_members *m, uint32_t i, uint64_t generation,
		     struct snapmgr_err *err)
{
	const uint64_t now = m->sb.generation;
	int r;

	m->sb.self = i;
	m->sb.generation = generation;
	r = ssb_write(m->paths[i], &m->sb, err);
	m->sb.self = 0;
	m->sb.generation = now;
	if (r < 0)
		return r;
	m->generations[i] = generation;
	if (m->bad_copy[i])
		sm_warn(sm,
			"a damaged copy of the superblock on '%s' was rewritten from the good one",
			m->paths[i]);
	m->bad_copy[i] = false;
	return 0;
}

/* Above all that are there, also above one that a write cut short left. */
static uint64_t next_generation(const struct sm_members *m)
{
	uint64_t last = m->sb.generation > SM_BIRTH ? m->sb.generation : SM_BIRTH;

	for (uint32_t i = 0; i < m->sb.n_members; i++) {
		if (last < m->generations[i])
			last = m->generations[i];
	}
	return last + 1;
}

int sm_members_level(struct snapmgr *sm, struct sm_members *m, struct snapmgr_err *err)
{
	int r = 0;

	for (uint32_t i = 1; i < m->sb.n_members && r == 0; i++) {
		if (m->generations[i] != m->sb.generation)
			r = write_one(sm, m, i, m->sb.generation, err);
	}
	return r;
}

/*
 * The others first: what they say of each other counts for nothing until member 0 says it too.
 *
 * A damaged copy is left alone by activation, so that it stays known until 'pool check --repair'
 * mends it; but who has other reasons to write the superblocks mends it on the way, and says so.
 */
int sm_members_write(struct snapmgr *sm, struct sm_members *m, struct snapmgr_err *err)
{
	const uint64_t generation = next_generation(m);
	int r = 0;

	for (uint32_t i = m->sb.n_members; i > 1 && r == 0; i--)
		r = write_one(sm, m, i - 1, m->generations[i - 1] ? generation : SM_BIRTH, err);
	if (r == 0)
		r = write_one(sm, m, 0, generation, err);
	if (r < 0)
		return r;
	m->sb.generation = generation;
	return sm_members_level(sm, m, err); /* who was born with the write of member 0 */
}

/* As before their pool was born: without member 0, which is to be erased next, they count for nothing. */
int sm_members_unborn(struct snapmgr *sm, struct sm_members *m, struct snapmgr_err *err)
{
	int r = 0;

	for (uint32_t i = 1; i < m->sb.n_members && r == 0; i++)
		if (m->paths[i][0])
			r = write_one(sm, m, i, SM_BIRTH, err);
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
			return sm_fail(
				err, SNAPMGR_DAMAGED, EUCLEAN,
				"device '%s' of pool '%s' has shrunk from %llu to %llu bytes",
				dev.path, m->sb.pool_name,
				(unsigned long long)m->sb.members[region->member].size_bytes,
				(unsigned long long)dev.size_bytes);
		if (add_extent(extents_of(&layout, region->kind), region, dev.devno) < 0)
			return sm_nomem(err);
	}
	*ret = layout;
	layout = (struct sm_layout){ 0 };
	return 0;
}
