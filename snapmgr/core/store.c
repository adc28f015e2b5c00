/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Room on the data, for pools whose kernel hands out none. */
#include "snapmgr/core/store.h"

#include <errno.h>
#include <inttypes.h>

#define SHARE	  5u /* one part in this many of the volume is its store's by default */
#define STORE_MIN (4 * SM_MIB)

struct load {
	struct sm_place *place;
	bool gap;
	uint64_t end;
};

static int add_segment(const struct scat_extent *e, void *data)
{
	struct load *l = data;
	struct sm_place *p = l->place;
	struct sm_segment *more = reallocarray(p->v, p->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	p->v = more;
	p->v[p->n++] = (struct sm_segment){ e->start, e->len };
	l->gap |= e->position != l->end;
	l->end = e->position + e->len;
	return 0;
}

int sm_place_load(struct sm_pool *pool, uint32_t id, uint32_t origin, uint64_t size_bytes,
		  struct sm_place *ret, struct snapmgr_err *err)
{
	struct sm_place p = { .id = id, .origin = origin, .size_bytes = size_bytes };
	struct load l = { .place = &p };
	int r = scat_extent_each(pool->cat, id, add_segment, &l, err);

	if (r == -ENOMEM)
		r = sm_nomem(err);
	if (r == 0 && (!p.n || l.gap || (!origin && l.end * SM_SECTOR < size_bytes)))
		r = sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN,
			    "the catalogue of pool '%s' does not tell where id %u lies: 'snapmgr "
			    "pool check %s'",
			    pool->row.name, id, pool->row.name);
	if (r < 0) {
		free(p.v);
		return r;
	}
	*ret = p;
	return 0;
}

struct room {
	uint64_t from, to, step;
};

static int find_room(const struct sm_pool *pool, struct room *ret, struct snapmgr_err *err)
{
	return pool->b.driver->stores->room(&pool->b, &ret->from, &ret->to, &ret->step, err);
}

static uint64_t round_up(uint64_t n, uint64_t step)
{
	return (n + step - 1) / step * step;
}

int sm_store_free_sectors(struct sm_pool *pool, uint64_t *ret, struct snapmgr_err *err)
{
	struct room room;
	uint64_t used;
	int r = find_room(pool, &room, err);

	if (r == 0)
		r = scat_extent_sum(pool->cat, 0, &used, err);
	if (r == 0)
		*ret = room.to - room.from > used ? room.to - room.from - used : 0;
	return r;
}

static int take(struct sm_pool *pool, uint32_t id, uint64_t sectors, struct snapmgr_err *err)
{
	struct room room;
	int r = scat_begin(pool->cat, err);

	if (r == 0)
		r = find_room(pool, &room, err);
	return r == 0 ? scat_extent_take(pool->cat, id, round_up(sectors, room.step), room.from,
					 room.to, err) :
			r;
}

/* Of a dead process an id may have left devices; of us, where this fails, none. */
static int make(struct sm_pool *pool, uint32_t id, uint32_t origin, uint64_t size_bytes,
		uint64_t sectors, enum sm_blank blank, struct snapmgr_err *err)
{
	AUTO(sm_place_free) struct sm_place place = { 0 };
	const struct sm_driver *driver = pool->b.driver;
	int r = driver->drop(&pool->b, id, err);

	if (r == 0)
		r = take(pool, id, sectors, err);
	if (r == 0)
		r = sm_place_load(pool, id, origin, size_bytes, &place, err);
	if (r < 0)
		return r;
	r = driver->stores->place(&pool->b, &place, blank, err);
	if (r < 0)
		(void)driver->drop(&pool->b, id, NULL); /* keep the first error */
	return r;
}

int sm_store_volume(struct sm_pool *pool, uint32_t id, uint64_t size_bytes, struct snapmgr_err *err)
{
	return make(pool, id, 0, size_bytes, size_bytes / SM_SECTOR, SM_BLANK_ALL, err);
}

int sm_store_volume_as_is(struct sm_pool *pool, uint32_t id, uint64_t size_bytes,
			  struct snapmgr_err *err)
{
	return make(pool, id, 0, size_bytes, size_bytes / SM_SECTOR, SM_BLANK_NOTHING, err);
}

uint64_t sm_store_step(const struct sm_pool *pool, uint64_t sectors)
{
	struct room room;

	return find_room(pool, &room, NULL) == 0 ? round_up(sectors, room.step) : sectors;
}

static uint64_t size_for(const struct sm_pool *pool, uint64_t volume_bytes, uint64_t cow_bytes)
{
	const uint64_t most = pool->b.driver->stores->store_most(&pool->b, volume_bytes) *
			      SM_SECTOR;

	if (!cow_bytes)
		cow_bytes = volume_bytes / SHARE;
	if (cow_bytes < STORE_MIN)
		cow_bytes = STORE_MIN;
	return cow_bytes < most ? cow_bytes : most;
}

int sm_store_new(struct sm_pool *pool, uint32_t id, const struct scat_volume *v, uint64_t cow_bytes,
		 struct snapmgr_err *err)
{
	const uint64_t bytes = size_for(pool, v->c.size_bytes, cow_bytes);

	return make(pool, id, v->c.thin, v->c.size_bytes, (bytes + SM_SECTOR - 1) / SM_SECTOR,
		    SM_BLANK_HEAD, err);
}

int sm_store_follow(struct sm_pool *pool, uint32_t id, struct snapmgr_err *err)
{
	AUTO(sm_place_free) struct sm_place place = { 0 };
	int r = sm_place_load(pool, id, id, 0, &place, err);

	return r == 0 ? pool->b.driver->stores->place(&pool->b, &place, SM_BLANK_NOTHING, err) : r;
}

int sm_store_grow(struct sm_pool *pool, uint32_t id, uint64_t more_sectors, struct snapmgr_err *err)
{
	int r = take(pool, id, more_sectors, err);

	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	return r == 0 ? sm_store_follow(pool, id, err) : r;
}
