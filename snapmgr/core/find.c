/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* "pool/vol@snap", or a UUID, to the rows that it names. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"
#include "snapmgr/core/folder.h"

void sm_found_close(struct sm_found *f)
{
	sm_pool_close(&f->pool);
}

static int no_volume(const struct sm_found *f, const char *name, unsigned int want,
		     struct snapmgr_err *err)
{
	const bool volume = want & (SM_WANT_VOLUME | SM_WANT_SNAPSHOT | SM_WANT_UNDO);
	const bool group = want & (SM_WANT_GROUP | SM_WANT_SET);

	return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT,
		       "pool '%s' has no %s%s%s '%s' ('snapmgr list %s' shows those there are)",
		       f->pool.row.name, volume ? "volume" : "", volume && group ? " or " : "",
		       group ? "group" : "", name, f->pool.row.name);
}

/* A volume, or a group: no two of them have one name. */
static int find_volume(struct sm_found *f, const char *name, unsigned int want,
		       struct snapmgr_err *err)
{
	struct scat *cat = f->pool.cat;
	struct sm_uuid uuid;
	bool by_uuid = sm_uuid_parse(name, &uuid);
	int r = by_uuid ? scat_volume_by_uuid(cat, &uuid, &f->volume, err) :
			  scat_volume_by_name(cat, name, &f->volume, err);

	f->has_volume = r == 0;
	if (r != -ENOENT)
		return r;
	r = by_uuid ? scat_group_by_uuid(cat, &uuid, &f->group, err) :
		      scat_group_by_name(cat, name, &f->group, err);
	f->has_group = r == 0;
	return r == -ENOENT ? no_volume(f, name, want, err) : r;
}

static int no_snapshot(const struct sm_found *f, const char *name, struct snapmgr_err *err)
{
	return sm_fail(
		err, SNAPMGR_NOT_FOUND, ENOENT,
		"volume '%s/%s' has no snapshot '%s' ('snapmgr list %s/%s' shows those there are)",
		f->pool.row.name, f->volume.c.name, name, f->pool.row.name, f->volume.c.name);
}

static int find_undo(struct sm_found *f, const char *name, uint32_t back, struct snapmgr_err *err)
{
	int r = scat_undo_nth(f->pool.cat, f->volume.id, back, &f->undo, err);

	if (r == -ENOENT)
		return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT,
			       "volume '%s/%s' has no undo point '@%s'", f->pool.row.name,
			       f->volume.c.name, name);
	f->has_undo = r == 0;
	f->undo_back = back;
	return r;
}

/* How many undo points of its volume are newer. */
struct rank {
	int64_t id;
	uint32_t n;
};

static int count_newer(const struct scat_undo *undo, void *data)
{
	struct rank *rank = data;

	if (undo->id == rank->id)
		return 1;
	rank->n++;
	return 0;
}

static int find_group_uuid(struct sm_found *f, const struct sm_uuid *uuid, struct snapmgr_err *err)
{
	int r = scat_group_by_uuid(f->pool.cat, uuid, &f->group, err);

	f->has_group = r == 0;
	if (r != -ENOENT)
		return r;
	r = scat_set_by_uuid(f->pool.cat, uuid, &f->set, err);
	f->has_set = r == 0;
	if (r == 0)
		r = scat_group_by_id(f->pool.cat, f->set.group, &f->group, err);
	f->has_group = r == 0;
	return r;
}

/* Whatever has this UUID in the opened pool; -ENOENT leaves err alone. */
static int find_uuid(struct sm_found *f, const struct sm_uuid *uuid, struct snapmgr_err *err)
{
	struct scat *cat = f->pool.cat;
	int64_t volume = 0;
	int r = scat_volume_by_uuid(cat, uuid, &f->volume, err);

	f->has_volume = r == 0;
	if (r != -ENOENT)
		return r;
	r = scat_snapshot_by_uuid(cat, uuid, &f->snapshot, err);
	f->has_snapshot = r == 0;
	if (r == 0)
		volume = f->snapshot.volume;
	if (r == -ENOENT) {
		r = scat_undo_by_uuid(cat, uuid, &f->undo, err);
		f->has_undo = r == 0;
		volume = f->undo.volume;
	}
	if (r == 0 && f->has_undo) {
		struct rank rank = { f->undo.id, 0 };

		r = scat_undo_each(cat, volume, count_newer, &rank, err);
		f->undo_back = rank.n;
		r = r > 0 ? 0 : r;
	}
	if (r == -ENOENT)
		return find_group_uuid(f, uuid, err);
	if (r < 0 || !volume)
		return r;
	r = scat_volume_by_id(cat, volume, &f->volume, err);
	f->has_volume = r == 0;
	return r;
}

static int find_set(struct sm_found *f, const char *name, struct snapmgr_err *err)
{
	struct sm_uuid uuid;
	uint32_t back;
	int r;

	if (sm_selector_parse(name, "undo", &back))
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "'%s/%s' is a group: its volumes have undo points, each its own",
			       f->pool.row.name, f->group.name);
	if (sm_selector_parse(name, "latest", &back))
		r = scat_set_latest(f->pool.cat, f->group.id, back, &f->set, err);
	else if (sm_uuid_parse(name, &uuid))
		r = scat_set_by_uuid(f->pool.cat, &uuid, &f->set, err);
	else
		r = scat_set_by_name(f->pool.cat, f->group.id, name, &f->set, err);
	if (r == 0 && f->set.group != f->group.id)
		r = -ENOENT;
	if (r == -ENOENT)
		return sm_fail(
			err, SNAPMGR_NOT_FOUND, ENOENT,
			"group '%s/%s' has no snapshot '%s' ('snapmgr show %s/%s' shows those there are)",
			f->pool.row.name, f->group.name, name, f->pool.row.name, f->group.name);
	f->has_set = r == 0;
	return r;
}

static int find_snapshot(struct sm_found *f, const char *name, struct snapmgr_err *err)
{
	struct scat *cat = f->pool.cat;
	const int64_t volume = f->volume.id;
	struct sm_uuid uuid;
	uint32_t back;
	int r;

	if (f->has_group)
		return find_set(f, name, err);
	if (sm_selector_parse(name, "undo", &back))
		return find_undo(f, name, back, err);
	if (sm_selector_parse(name, "latest", &back)) {
		r = scat_snapshot_latest(cat, volume, back, &f->snapshot, err);
	} else if (sm_uuid_parse(name, &uuid)) {
		r = find_uuid(f, &uuid, err);
		if (r == 0 && ((f->has_snapshot && f->snapshot.volume == volume) ||
			       (f->has_undo && f->undo.volume == volume)))
			return 0;
		r = r == 0 ? -ENOENT : r;
	} else {
		r = scat_snapshot_by_name(cat, volume, name, &f->snapshot, err);
	}
	if (r == -ENOENT)
		return no_snapshot(f, name, err);
	f->has_snapshot = r == 0;
	return r;
}

static unsigned int kind_of(const struct sm_found *f)
{
	if (f->has_undo)
		return SM_WANT_UNDO;
	if (f->has_snapshot)
		return SM_WANT_SNAPSHOT;
	if (f->has_group)
		return f->has_set ? SM_WANT_SET : SM_WANT_GROUP;
	return f->has_volume ? SM_WANT_VOLUME : SM_WANT_POOL;
}

/* @kinds: one, or several that it may be. */
static int check_kind(const char *spec, unsigned int kinds, unsigned int want,
		      struct snapmgr_err *err)
{
	static const char *const names[] = { "a pool",	      "a volume", "a snapshot",
					     "an undo point", "a group",  "a group snapshot" };
	static const char *const forms[] = { "pool",	      "pool/vol",   "pool/vol@snap",
					     "pool/vol@undo", "pool/group", "pool/group@snap" };
	size_t is = (size_t)__builtin_ctz(kinds), first = (size_t)__builtin_ctz(want);

	if (kinds & want)
		return 0;
	return sm_fail(err, SNAPMGR_USAGE, EINVAL, "'%.80s' names %s where %s is wanted (%s)", spec,
		       names[is], names[first], forms[first]);
}

/* The kinds that a spec may have by its form alone; a lone UUID may be anything: 0. */
static unsigned int kind_of_spec(const struct sm_spec *spec)
{
	struct sm_uuid uuid;
	uint32_t n;

	if (spec->snapshot[0]) {
		if (sm_selector_parse(spec->snapshot, "undo", &n))
			return SM_WANT_UNDO;
		return sm_uuid_parse(spec->snapshot, &uuid) ? 0 : SM_WANT_SNAPSHOT | SM_WANT_SET;
	}
	if (spec->volume[0])
		return SM_WANT_VOLUME | SM_WANT_GROUP;
	return sm_uuid_parse(spec->pool, &uuid) ? 0 : SM_WANT_POOL;
}

struct seek_uuid {
	struct snapmgr *sm;
	struct sm_uuid uuid;
	char pool[SNAPMGR_UUID_TEXT];
};

static int seek_in_pool(const char *pool, void *data)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	struct seek_uuid *seek = data;

	if (sm_pool_open(seek->sm, pool, false, &f.pool, NULL) < 0 ||
	    find_uuid(&f, &seek->uuid, NULL) < 0)
		return 0;
	(void)sm_copy_text(seek->pool, sizeof(seek->pool), pool);
	return 1;
}

/* A lone UUID: a pool's own, or that of something in one of the active pools. */
static int find_anywhere(struct snapmgr *sm, const char *text, bool writable, struct sm_found *f,
			 struct snapmgr_err *err)
{
	struct seek_uuid seek = { .sm = sm };
	bool is_pool = false;
	struct sm_folder folder;
	int r;

	(void)sm_uuid_parse(text, &seek.uuid);
	if (sm_folder_find(sm, text, &folder, NULL) == 0)
		is_pool = true;
	else if (sdm_init(NULL) == 0 && (r = sm_pool_is_active(&seek.uuid, &is_pool, err)) < 0)
		return r;
	if (is_pool)
		return sm_pool_open(sm, text, writable, &f->pool, err);
	r = sm_pool_each(sm, seek_in_pool, &seek, err);
	if (r < 0)
		return r;
	if (r == 0)
		return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT,
			       "no active pool has anything with UUID '%s'", text);
	r = sm_pool_open(sm, seek.pool, writable, &f->pool, err);
	if (r == 0)
		r = find_uuid(f, &seek.uuid, err);
	if (r == -ENOENT)
		return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT, "'%s' is gone", text);
	return r;
}

/* Whatever is to be done to it: not while an operation works on it. */
static int check_transition(const struct sm_found *f, struct snapmgr_err *err)
{
	if (f->has_snapshot && sm_state_is_transition(f->snapshot.c.state))
		return sm_snapshot_ready(&f->pool, &f->snapshot, err);
	if (f->has_volume && !f->has_snapshot && sm_state_is_transition(f->volume.c.state))
		return sm_volume_ready(&f->pool, &f->volume, true, err);
	return 0;
}

int sm_find(struct snapmgr *sm, const char *text, unsigned int want, bool writable,
	    struct sm_found *ret, struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	struct sm_spec spec;
	struct sm_uuid uuid;
	int r = sm_spec_parse(text, &spec, err);

	if (r == 0 && kind_of_spec(&spec))
		r = check_kind(text, kind_of_spec(&spec), want, err);
	if (r < 0)
		return r;
	if (!spec.volume[0] && sm_uuid_parse(spec.pool, &uuid)) {
		r = find_anywhere(sm, spec.pool, writable, &f, err);
	} else {
		r = sm_pool_open(sm, spec.pool, writable, &f.pool, err);
		if (r == 0 && spec.volume[0])
			r = find_volume(&f, spec.volume, want, err);
		if (r == 0 && spec.snapshot[0])
			r = find_snapshot(&f, spec.snapshot, err);
	}
	if (r == 0)
		r = check_kind(text, kind_of(&f), want, err);
	if (r == 0 && writable && !(want & SM_WANT_HELD))
		r = check_transition(&f, err);
	if (r < 0)
		return r;
	*ret = f;
	f = (struct sm_found){ .pool.lock = SLOCK_NONE };
	return 0;
}

int sm_find_in(const struct sm_found *first, const char *text, unsigned int want,
	       struct sm_found *ret, struct snapmgr_err *err)
{
	struct sm_found f = { .pool = first->pool };
	struct sm_spec spec;
	struct sm_uuid uuid;
	int r = sm_spec_parse(text, &spec, err);

	if (r < 0)
		return r;
	if (!spec.volume[0] && sm_uuid_parse(spec.pool, &uuid)) {
		r = find_uuid(&f, &uuid, err);
		if (r == -ENOENT)
			return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT,
				       "pool '%s' has nothing with UUID '%s'", f.pool.row.name,
				       spec.pool);
	} else {
		r = sm_same_pool(&f.pool, spec.pool, err);
		if (r == 0 && spec.volume[0])
			r = find_volume(&f, spec.volume, want, err);
		if (r == 0 && spec.snapshot[0])
			r = find_snapshot(&f, spec.snapshot, err);
	}
	if (r == 0)
		r = check_kind(text, kind_of(&f), want, err);
	if (r == 0)
		*ret = f;
	return r;
}
