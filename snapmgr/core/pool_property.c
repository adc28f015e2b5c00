/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an admin may set on a pool. */
#include <errno.h>
#include <string.h>

#include "snapmgr/core/core.h"

static const struct property {
	const char *key, *usual;
	uint32_t min, max;
	size_t at; /* in struct sm_limits */
} properties[] = {
	{ "high_water", "90%", SM_LIMIT_LEAST, 100, offsetof(struct sm_limits, high_water) },
	{ "low_water", "80%", 1, 100, offsetof(struct sm_limits, low_water) },
	{ "reserve", "5%", 0, SM_LIMIT_LEAST, offsetof(struct sm_limits, reserve) },
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
static bool parse(const struct property *p, const char *value, uint32_t *ret)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*value < '0' || *value > '9' || (strcmp(end, "%") != 0 && *end) || n < p->min ||
	    n > p->max)
		return false;
	*ret = (uint32_t)n;
	return true;
}

static void store(const struct property *p, const char *value, struct sm_limits *limits)
{
	uint32_t n;

	if (!parse(p, value, &n))
		(void)parse(p, p->usual, &n); /* of a newer version, or damaged */
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

int sm_pool_property(struct sm_pool *pool, const char *key, const char *value,
		     struct snapmgr_err *err)
{
	const struct property *p = find(key);
	char text[8] = "";
	uint32_t n;

	if (!p)
		return sm_fail(
			err, SNAPMGR_USAGE, EINVAL,
			"a pool has no property '%.40s': it has high_water, low_water and reserve",
			key);
	if (*value && !parse(p, value, &n))
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "%s is a percentage from %u%% to %u%%, not '%.40s'", key, p->min,
			       p->max, value);
	if (*value)
		(void)snprintf(text, sizeof(text), "%u%%", n);
	return scat_property_set(pool->cat, key, text, err);
}
