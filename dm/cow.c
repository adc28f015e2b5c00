/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words of the targets snapshot, snapshot-origin, snapshot-merge and linear (kernel: snapshot.rst). */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "dm/sdm.h"

void sdm_linear_target(dev_t dev, uint64_t from_sectors, uint64_t start_sectors,
		       uint64_t len_sectors, struct sdm_target *ret)
{
	*ret = (struct sdm_target){ .start_sectors = start_sectors,
				    .len_sectors = len_sectors,
				    .type = "linear" };
	(void)snprintf(ret->params, sizeof(ret->params), "%u:%u %" PRIu64, major(dev), minor(dev),
		       from_sectors);
}

void sdm_origin_target(dev_t origin, uint64_t len_sectors, struct sdm_target *ret)
{
	*ret = (struct sdm_target){ .len_sectors = len_sectors, .type = "snapshot-origin" };
	(void)snprintf(ret->params, sizeof(ret->params), "%u:%u", major(origin), minor(origin));
}

void sdm_snapshot_target(dev_t origin, dev_t store, uint32_t chunk_sectors, uint64_t len_sectors,
			 bool merge, struct sdm_target *ret)
{
	*ret = (struct sdm_target){ .len_sectors = len_sectors };
	(void)strcpy(ret->type, merge ? "snapshot-merge" : "snapshot");
	(void)snprintf(ret->params, sizeof(ret->params), "%u:%u %u:%u P %" PRIu32, major(origin),
		       minor(origin), major(store), minor(store), chunk_sectors);
}

/* "ALLOCATED/TOTAL METADATA" in sectors, or a word where the store is lost. */
int sdm_store_status(const char *name, struct sdm_store_status *ret, struct snapmgr_err *err)
{
	struct sdm_store_status s = { 0 };
	char line[256];
	int r = sdm_status(name, false, NULL, line, sizeof(line), err);

	if (r < 0)
		return r;
	if (sscanf(line, "%" SCNu64 "/%" SCNu64 " %" SCNu64, &s.used_sectors, &s.total_sectors,
		   &s.metadata_sectors) == 3)
		s.state = SDM_STORE_VALID;
	else if (strcmp(line, "Merge failed") == 0)
		s.state = SDM_STORE_MERGE_FAILED;
	else if (strcmp(line, "Invalid") == 0 || strcmp(line, "Overflow") == 0)
		s.state = SDM_STORE_LOST;
	else
		return sm_fail(err, SNAPMGR_KERNEL, EPROTO,
			       "cannot understand status '%.100s' of '%s'", line, name);
	*ret = s;
	return 0;
}
