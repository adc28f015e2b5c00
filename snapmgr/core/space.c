/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Can the pool take a change? */
#include <errno.h>

#include "snapmgr/core/core.h"

#define META_FLOOR_BYTES (256 * SM_KIB) /* a change of one tree, many times over */

int sm_space_for(struct sm_pool *pool, const char *what, struct sm_space *ret, struct snapmgr_err *err)
{
	const char *name = pool->row.name;
	struct sm_space s;
	int r = pool->b.driver->space(&pool->b, false, &s, err);

	if (r < 0)
		return r;
	if (s.fail || s.needs_check)
		return sm_fail(err, SNAPMGR_BAD_STATE, EROFS,
			       "no %s: the metadata of pool '%s' needs a check: deactivate the pool, run "
			       "'snapmgr pool check %s'",
			       what, name, name);
	if (s.read_only)
		return sm_fail(err, SNAPMGR_BAD_STATE, EROFS, "no %s: pool '%s' is read-only", what, name);
	if (s.meta_bytes - s.meta_used_bytes < META_FLOOR_BYTES)
		return sm_fail(err, SNAPMGR_NO_SPACE, ENOSPC,
			       "no %s: pool '%s' is out of metadata space: 'snapmgr pool extend %s DEVICE' adds some", what,
			       name, name);
	*ret = s;
	return 0;
}
