/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an admin may set on a pool. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"

#define WHEN_FULL "error_if_no_space"
#define GROW_AT	  "store_grow_at"

static const struct property {
	const char *key, *usual;
	uint32_t min, max;
	size_t at;   /* in struct sm_limits */
	bool on_off; /* no percentage */
} properties[] = {
	{ "high_water", "90%", SM_LIMIT_LEAST, 100, offsetof(struct sm_limits, high_water), false },
	{ "low_water", "80%", 1, 100, offsetof(struct sm_limits, low_water), false },
	{ "reserve", "5%", 0, SM_LIMIT_LEAST, offsetof(struct sm_limits, reserve), false },
	{ GROW_AT, "70%", 10, 95, offsetof(struct sm_limits, grow_at), false },
	{ WHEN_FULL, "off", 0, 1, offsetof(struct sm_limits, error_if_no_space), true },
};

static const struct property *find(const char *key)
{
	for (size_t i = 0; i < SM_ARRAY(properties); i++) {
		if (strcmp(properties[i].key, key) == 0)
			return &properties[i];
	}
	return NULL;
}

/* "95%" or "95" */
static int parse_percent(const struct property *p, const char *value, uint32_t *ret,
			 struct snapmgr_err *err)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*value < '0' || *value > '9' || (strcmp(end, "%") != 0 && *end) || n < p->min ||
	    n > p->max)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "%s is a percentage from %u%% to %u%%, not '%.40s'", p->key, p->min,
			       p->max, value);
	*ret = (uint32_t)n;
	return 0;
}

static int parse(const struct property *p, const char *value, uint32_t *ret,
		 struct snapmgr_err *err)
{
	bool on = false;
	int r;

	if (!p->on_off)
		return parse_percent(p, value, ret, err);
	r = sm_parse_bool(p->key, value, &on, err);
	*ret = on;
	return r;
}

static void store(const struct property *p, const char *value, struct sm_limits *limits)
{
	uint32_t n = 0;

	if (parse(p, value, &n, NULL) < 0)
		(void)parse(p, p->usual, &n, NULL); /* of a newer version, or damaged */
	memcpy((char *)limits + p->at, &n, sizeof(n));
}

static int take(const struct snapmgr_tag *given, void *data)
{
	const struct property *p = find(given->key);

	if (p)
		store(p, given->value, data);
	return 0;
}

int sm_limits_get(struct sm_pool *pool, struct sm_limits *ret, struct snapmgr_err *err)
{
	for (size_t i = 0; i < SM_ARRAY(properties); i++)
		store(&properties[i], properties[i].usual, ret);
	return scat_property_each(pool->cat, take, ret, err);
}

static int check_driver(const struct sm_pool *pool, const char *key, struct snapmgr_err *err)
{
	if (strcmp(key, GROW_AT) == 0 && !pool->b.driver->stores)
		return sm_fail(
			err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			"snapshots of pool '%s' have no stores that could grow: its driver is '%s'",
			pool->row.name, pool->row.driver);
	if (strcmp(key, WHEN_FULL) != 0 || pool->b.driver->when_full)
		return 0;
	return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
		       "pool '%s' has no choice when it is full: its driver is '%s'",
		       pool->row.name, pool->row.driver);
}

int sm_pool_property(struct sm_pool *pool, const char *key, const char *value,
		     struct snapmgr_err *err)
{
	const struct property *p = find(key);
	char text[8] = "";
	uint32_t n = 0;
	int r;

	if (!p)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "a pool has no property '%.40s': it has high_water, low_water, "
			       "reserve, " WHEN_FULL " and (cow) " GROW_AT,
			       key);
	r = check_driver(pool, key, err);
	if (r == 0 && *value)
		r = parse(p, value, &n, err);
	if (r < 0)
		return r;
	if (*value && p->on_off)
		(void)strcpy(text, n ? "on" : "off");
	else if (*value)
		(void)snprintf(text, sizeof(text), "%u%%", n);
	return scat_property_set(pool->cat, key, text, err);
}

void sm_pool_property_apply(struct sm_pool *pool, const char *key)
{
	struct sm_limits limits;
	struct snapmgr_err err;
	int r;

	if (strcmp(key, WHEN_FULL) != 0)
		return;
	r = sm_limits_get(pool, &limits, &err);
	pool->b.error_if_no_space = r == 0 && limits.error_if_no_space;
	if (r == 0)
		r = pool->b.driver->when_full(&pool->b, &err);
	if (r < 0)
		sm_warn(pool->sm,
			"the setting is kept, and tells only when pool '%s' is activated again: %s",
			pool->row.name, err.message);
	sm_pool_settle(pool);
}
