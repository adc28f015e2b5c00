/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Can the pool take a change? What is past the high-water mark is relieved first: of garbage, then
 * of undo points. The reserve is what snapshots leave to the volumes that are there.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/core/core.h"

#define META_FLOOR_BYTES (256 * SM_KIB) /* a change of one tree, many times over */
#define CROWDED_PERCENT	 80u		/* from here on a change drops garbage first */

static bool is_frozen(const struct sm_space *s)
{
	return s->fail || s->read_only || s->needs_check;
}

static bool over(uint64_t used, uint64_t size, uint32_t percent)
{
	return size && used >= size / 100 * percent; /* 0: the pool has no such thing */
}

/* Is @percent of data or metadata in use? */
static bool past(const struct sm_space *s, uint32_t percent)
{
	return over(s->data_used_bytes, s->data_bytes, percent) ||
	       over(s->meta_used_bytes, s->meta_bytes, percent);
}

int sm_pool_space(struct sm_pool *pool, bool commit_first, struct sm_space *ret,
		  struct snapmgr_err *err)
{
	uint64_t sectors = 0;
	int r = pool->b.driver->space(&pool->b, commit_first, ret, err);

	if (r < 0 || !pool->b.driver->stores)
		return r;
	r = scat_extent_sum(pool->cat, 0, &sectors, err);
	ret->data_used_bytes = sectors * SM_SECTOR;
	return r;
}

static int measure(struct sm_pool *pool, struct sm_space *ret, struct snapmgr_err *err)
{
	return sm_pool_space(pool, false, ret, err);
}

/* Past four fifths it is time for what was put off: displaced heads that nobody keeps any more. */
static int measure_tidied(struct sm_pool *pool, struct sm_space *s, struct snapmgr_err *err)
{
	int r = measure(pool, s, err);

	if (r < 0 || is_frozen(s) || !past(s, CROWDED_PERCENT))
		return r;
	r = sm_garbage_drop(pool, err);
	return r > 0 ? measure(pool, s, err) : r;
}

/* ---- undo points that have to go ---- */

struct oldest {
	struct sm_pool *pool;
	const struct scat_undo *but;
	struct scat_undo undo; /* the walk goes from the newest to the oldest */
	bool found;
	struct snapmgr_err *err;
};

static bool is_mapped(struct sm_pool *pool, const struct scat_undo *undo)
{
	struct scat_volume v;
	struct sm_vdev dev;
	char uuid[SDM_UUID_MAX];
	char text[SNAPMGR_UUID_TEXT];
	struct sdm_info info;

	if (pool->b.driver->info) {
		if (scat_volume_by_id(pool->cat, undo->volume, &v, NULL) < 0)
			return true;
		sm_undo_device(pool, &v, undo, 0, &dev);
		return sm_vdev_info(&pool->b, &dev, &info, NULL) < 0 || info.exists;
	}
	sm_uuid_text(&undo->uuid, text);
	(void)snprintf(uuid, sizeof(uuid), SM_DM_UUID "%s", text);
	return sdm_info_by_uuid(uuid, &info, NULL) < 0 || info.exists;
}

static int see(const struct scat_undo *undo, void *data)
{
	struct oldest *o = data;

	if ((o->but && o->but->id == undo->id) || is_mapped(o->pool, undo))
		return 0;
	o->undo = *undo;
	o->found = true;
	return 0;
}

static int tell(struct sm_pool *pool, const struct scat_undo *undo, struct snapmgr_err *err)
{
	char text[SNAPMGR_MESSAGE_MAX], uuid[SNAPMGR_UUID_TEXT];
	struct scat_volume v;
	struct sm_message m = { .level = "warning", .verb = "relieve", .kind = "volume" };
	int r = scat_volume_by_id(pool->cat, undo->volume, &v, err);

	if (r < 0)
		return r;
	sm_uuid_text(&undo->uuid, uuid);
	(void)snprintf(text, sizeof(text),
		       "pool '%s' is past its high-water mark: undo point %s of volume '%s/%s' was "
		       "dropped",
		       pool->row.name, uuid, pool->row.name, v.c.name);
	sm_warn(pool->sm, "%s", text);
	m.object = &v.c.uuid;
	m.project = v.c.project;
	m.text = text;
	return sm_message(pool, &m, err);
}

/* 1 where one went, 0 where there is none left that may. */
static int drop_oldest(struct sm_pool *pool, const struct scat_undo *but, struct snapmgr_err *err)
{
	struct oldest o = { .pool = pool, .but = but, .err = err };
	int r = scat_undo_each(pool->cat, -1, see, &o, err);

	if (r < 0 || !o.found)
		return r;
	r = scat_begin(pool->cat, err);
	if (r == 0)
		r = scat_undo_delete(pool->cat, o.undo.id, err);
	if (r == 0)
		r = scat_garbage_add(pool->cat, o.undo.thin, err);
	if (r == 0)
		r = tell(pool, &o.undo, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	if (r == 0)
		r = sm_garbage_drop(pool, err);
	return r < 0 ? r : 1;
}

/* From where undo points go: before anything is refused, whatever the marks are. */
static uint32_t mark(const struct sm_limits *limits)
{
	uint32_t full = 100 - limits->reserve;

	return limits->high_water < full ? limits->high_water : full;
}

static int relieve(struct sm_pool *pool, const struct sm_limits *limits,
		   const struct scat_undo *but, struct sm_space *s, struct snapmgr_err *err)
{
	int n = 0, r = 1;

	while (r > 0 && past(s, mark(limits))) {
		r = drop_oldest(pool, but, err);
		n += r > 0;
		if (r > 0 && measure(pool, s, err) < 0)
			r = -EIO;
	}
	return r < 0 ? r : n;
}

int sm_space_relieve(struct sm_pool *pool, struct snapmgr_err *err)
{
	struct sm_limits limits;
	struct sm_space s;
	int r = measure(pool, &s, err);

	if (r < 0 || is_frozen(&s))
		return r;
	r = sm_garbage_drop(pool, err);
	if (r > 0)
		r = measure(pool, &s, err);
	if (r < 0 || !past(&s, SM_LIMIT_LEAST))
		return r;
	r = sm_limits_get(pool, &limits, err);
	return r == 0 ? relieve(pool, &limits, NULL, &s, err) : r;
}

/* ---- refused, with the way out ---- */

static int check_mode(const struct sm_pool *pool, const char *what, const struct sm_space *s,
		      struct snapmgr_err *err)
{
	const char *name = pool->row.name;

	if (s->fail || s->needs_check)
		return sm_fail(
			err, SNAPMGR_BAD_STATE, EROFS,
			"no %s: the metadata of pool '%s' needs a check: 'snapmgr pool deactivate "
			"%s', then 'snapmgr pool check %s --repair'",
			what, name, name, name);
	if (s->read_only)
		return sm_fail(
			err, SNAPMGR_BAD_STATE, EROFS,
			"no %s: pool '%s' is read-only; if its metadata space is full, 'snapmgr pool "
			"extend %s DEVICE' adds some",
			what, name, name);
	if (s->meta_bytes && s->meta_bytes - s->meta_used_bytes < META_FLOOR_BYTES)
		return sm_fail(
			err, SNAPMGR_NO_SPACE, ENOSPC,
			"no %s: pool '%s' is out of metadata space: 'snapmgr pool extend %s DEVICE' adds some",
			what, name, name);
	return 0;
}

static int check_reserve(const struct sm_pool *pool, const char *what, const struct sm_space *s,
			 const struct sm_limits *limits, struct snapmgr_err *err)
{
	const char *name = pool->row.name;
	const uint32_t full = 100 - limits->reserve;
	bool data = s->out_of_data || over(s->data_used_bytes, s->data_bytes, full);

	if (!data && !over(s->meta_used_bytes, s->meta_bytes, full))
		return 0;
	return sm_fail(
		err, SNAPMGR_NO_SPACE, ENOSPC,
		"no %s: pool '%s' has less than %u%% of its %s free, which is reserved for the volumes "
		"that are there: 'snapmgr pool extend %s DEVICE' adds some, 'snapmgr delete' frees some, "
		"'snapmgr set %s reserve=N%%' changes it",
		what, name, limits->reserve, data ? "data space" : "metadata space", name, name);
}

int sm_space_for(struct sm_pool *pool, const char *what, struct sm_space *ret,
		 struct snapmgr_err *err)
{
	struct sm_space s;
	int r = measure_tidied(pool, &s, err);

	if (r == 0)
		r = check_mode(pool, what, &s, err);
	if (r == 0)
		*ret = s;
	return r;
}

int sm_space_for_more(struct sm_pool *pool, const char *what, const struct scat_undo *source,
		      struct snapmgr_err *err)
{
	struct sm_limits limits;
	struct sm_space s;
	int r = measure_tidied(pool, &s, err);

	if (r < 0)
		return r;
	if (is_frozen(&s) || !past(&s, SM_LIMIT_LEAST))
		return check_mode(pool, what, &s, err);
	r = sm_limits_get(pool, &limits, err);
	if (r == 0)
		r = relieve(pool, &limits, source, &s, err);
	if (r >= 0)
		r = check_mode(pool, what, &s, err);
	return r == 0 ? check_reserve(pool, what, &s, &limits, err) : r;
}
