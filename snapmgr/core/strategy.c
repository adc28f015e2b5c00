/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which way a revert goes: a pure choice over what the driver has, where things lie, and sizes. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/strategy.h"

static bool switches(const struct sm_driver *d)
{
	return d->repoint != NULL;
}

/* By the kernel, out of a store; or to a copy of the head. */
static bool merges(const struct sm_driver *d)
{
	return d->stores || (d->repoint && d->diff && d->copy);
}

static uint64_t nothing(const struct sm_choice *c)
{
	(void)c;
	return 0;
}

static uint64_t changed(const struct sm_choice *c)
{
	return c->changed_bytes;
}

static uint64_t mapped(const struct sm_choice *c)
{
	return c->mapped_bytes;
}

/* Cheapest first, where sizes do not say otherwise. */
static const struct way {
	const char *name;
	bool (*slots)(const struct sm_driver *driver); /* what of the table it needs */
	enum sm_reach reach;			       /* how far it goes */
	bool together;				       /* also for several at one instant */
	uint64_t (*moves)(const struct sm_choice *choice);
	const char *reason;
} ways[] = {
	{ "repoint", switches, SM_SAME_POOL, true, nothing,
	  "the driver switches the volume to a copy of the snapshot that shares all its blocks" },
	{ "reflink", switches, SM_SAME_POOL, true, nothing,
	  "the filesystem shares the snapshot's extents into the volume's file" },
	{ "merge", merges, SM_OWN_VOLUME, false, changed,
	  "what has changed since the snapshot is copied back, and nothing else" },
	{ "copy", switches, SM_OTHER_POOL, false, mapped,
	  "all that the snapshot has mapped is copied, and the volume is switched to the result" },
};

static const struct way *find_way(const char *name)
{
	for (size_t i = 0; i < SM_ARRAY(ways); i++) {
		if (strcmp(ways[i].name, name) == 0)
			return &ways[i];
	}
	return NULL;
}

static bool lists(const struct sm_driver *driver, const char *name)
{
	for (const char *const *s = driver->strategies; s && *s; s++) {
		if (strcmp(*s, name) == 0)
			return true;
	}
	return false;
}

/* What this machine or pool lacks for it; NULL: nothing. */
static const char *lack(const struct sm_driver *driver, const struct sm_backend *backend,
			const char *name)
{
	return backend && driver->lacks ? driver->lacks(backend, name) : NULL;
}

static bool has(const struct sm_driver *driver, const struct way *way)
{
	return lists(driver, way->name) && way->slots(driver);
}

void sm_strategies(const struct sm_driver *driver, const struct sm_backend *backend,
		   const char *ret[SM_WAYS])
{
	size_t n = 0;

	for (size_t i = 0; i < SM_ARRAY(ways); i++) {
		if (has(driver, &ways[i]) && !lack(driver, backend, ways[i].name))
			ret[n++] = ways[i].name;
	}
	ret[n] = NULL;
}

static bool is_open(const struct sm_choice *c, const struct way *way)
{
	const bool files = c->driver->files; /* each is filled in place, whatever the way */
	const enum sm_reach reach = files && way->reach < SM_SAME_POOL ? SM_SAME_POOL : way->reach;

	return has(c->driver, way) && c->reach <= reach &&
	       (way->together || files || !c->together) && !lack(c->driver, c->backend, way->name);
}

/* What moves an unknown number of bytes is taken for what moves most. */
static const struct way *cheapest(const struct sm_choice *c)
{
	const struct way *best = NULL;

	for (size_t i = 0; i < SM_ARRAY(ways); i++) {
		if (best && ways[i].moves(c) >= best->moves(c))
			continue; /* whether it is open may be a look for tools */
		if (is_open(c, &ways[i]))
			best = &ways[i];
	}
	return best;
}

static int take(const struct sm_choice *c, const struct way *way, struct sm_strategy *ret)
{
	*ret = (struct sm_strategy){
		.name = way->name,
		.reason = way->reason,
		.move_bytes = way->moves(c),
		.in_place = true,
	};
	return 0;
}

static int take_clone(struct sm_strategy *ret)
{
	*ret = (struct sm_strategy){
		.name = "clone",
		.reason =
			"nothing leads to the volume itself: a new one has the snapshot's contents",
	};
	return 0;
}

static int refuse(const struct sm_choice *c, struct snapmgr_err *err)
{
	const struct way *way = c->forced ? find_way(c->forced) : NULL;
	const char *driver = c->driver->name,
		   *lacking = way ? lack(c->driver, c->backend, way->name) : NULL;
	char names[64] = "";
	size_t len = 0;

	for (size_t i = 0; i < SM_ARRAY(ways); i++) {
		if (is_open(c, &ways[i]) && len < sizeof(names))
			len += (size_t)snprintf(names + len, sizeof(names) - len, "%s'%s'",
						len ? ", " : "", ways[i].name);
	}
	if (!c->forced)
		return sm_fail(
			err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP, "driver '%s' cannot revert %s%s",
			driver,
			c->together		  ? "several volumes at one instant" :
			c->reach == SM_OWN_VOLUME ? "in place" :
						    "a volume from there",
			c->driver->copy && c->reach < SM_OTHER_POOL && !c->together ?
				": 'snapmgr clone' makes a new volume, as --allow-clone does" :
				"");
	return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
		       "driver '%s' has no strategy '%.40s'%s%s%s%s%s", driver, c->forced,
		       way && has(c->driver, way) ? " for this" : "", lacking ? ": " : "",
		       lacking ? lacking : "", *names ? "; open are " : "", names);
}

int sm_strategy_choose(const struct sm_choice *c, struct sm_strategy *ret, struct snapmgr_err *err)
{
	const bool clone = !c->forced || strcmp(c->forced, "clone") == 0;
	const struct way *best = cheapest(c);
	const struct way *way = c->forced ? find_way(c->forced) : best;

	if (way && is_open(c, way))
		return take(c, way, ret);
	if (clone && c->allow_clone && !best && !c->together && c->driver->copy &&
	    c->reach < SM_OTHER_POOL)
		return take_clone(ret);
	return refuse(c, err);
}

void sm_strategy_apply(struct sm_backend *b, const struct sm_strategy *strategy)
{
	b->reflink &= strcmp(strategy->name, "copy") != 0;
}

bool sm_strategy_copies(const struct sm_driver *driver, const struct sm_strategy *strategy)
{
	const struct way *way = find_way(strategy->name);

	return driver->beside && way && way->moves != nothing;
}
