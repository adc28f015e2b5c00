/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which drivers there are. */
#include <errno.h>
#include <string.h>

#include "snapmgr/drivers/driver.h"

static const struct sm_driver *const drivers[] = { &sm_driver_thin, &sm_driver_cow,
						   &sm_driver_file };

const struct sm_driver *sm_driver_at(size_t i)
{
	return i < SM_ARRAY(drivers) ? drivers[i] : NULL;
}

int sm_driver_find(const char *name, const struct sm_driver **ret, struct snapmgr_err *err)
{
	for (size_t i = 0; i < SM_ARRAY(drivers); i++) {
		if (strcmp(drivers[i]->name, name) == 0) {
			*ret = drivers[i];
			return 0;
		}
	}
	return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
		       "driver '%.32s' is not known: 'thin', 'cow' and 'file' are", name);
}
