/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Can the pool take a change? */
#include <errno.h>

#include "snapmgr/core/core.h"

#define META_FLOOR_BYTES (256 * SM_KIB) /* a change of one tree, many times over */

static bool crowded(const struct sm_space *s)
{
	return s->data_used_bytes / 4 >= s->data_bytes / 5 ||
	       s->meta_used_bytes / 4 >= s->meta_bytes / 5;
}

/* Past four fifths it is time for what was put off: displaced heads that nobody keeps any more. */
static int measure(struct sm_pool *pool, struct sm_space *s, struct snapmgr_err *err)
{
	int r = pool->b.driver->space(&pool->b, false, s, err);

	if (r < 0 || !crowded(s) || s->fail || s->read_only || s->needs_check)
		return r;
	r = sm_garbage_drop(pool, err);
	return r > 0 ? pool->b.driver->space(&pool->b, false, s, err) : r;
}

int sm_space_for(struct sm_pool *pool, const char *what, struct sm_space *ret,
		 struct snapmgr_err *err)
{
	const char *name = pool->row.name;
	struct sm_space s;
	int r = measure(pool, &s, err);

	if (r < 0)
		return r;
	if (s.fail || s.needs_check)
		return sm_fail(
			err, SNAPMGR_BAD_STATE, EROFS,
			"no %s: the metadata of pool '%s' needs a check: deactivate the pool, run "
			"'snapmgr pool check %s'",
			what, name, name);
	if (s.read_only)
		return sm_fail(err, SNAPMGR_BAD_STATE, EROFS, "no %s: pool '%s' is read-only", what,
			       name);
	if (s.meta_bytes - s.meta_used_bytes < META_FLOOR_BYTES)
		return sm_fail(
			err, SNAPMGR_NO_SPACE, ENOSPC,
			"no %s: pool '%s' is out of metadata space: 'snapmgr pool extend %s DEVICE' adds some",
			what, name, name);
	*ret = s;
	return 0;
}
