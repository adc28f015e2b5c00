/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/core_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#define DATA_SECTORS (UINT64_C(1) << 24)

struct snapmgr *rig_sm;

/* ---- instead of drivers/regions.c ---- */

void sm_layout_release(struct sm_layout *layout)
{
	*layout = (struct sm_layout){ 0 };
}

int sm_backend_settle(struct sm_backend *b, struct snapmgr_err *err)
{
	return b->cookie.made ? sdm_cookie_wait(&b->cookie, 1000, err) : 0;
}

int sm_region_map(struct sm_backend *b, enum sm_role role, const struct sm_extents *extents,
		  struct snapmgr_err *err)
{
	const struct sdm_target target = { .len_sectors = DATA_SECTORS,
					   .type = "linear",
					   .params = "8:0 0" };

	(void)extents;
	return sdm_create(&b->roles[role], &target, 1, &b->cookie, err);
}

int sm_region_pin(const struct sm_backend *b, uint64_t start_sectors, struct sdm_target *ret,
		  struct snapmgr_err *err)
{
	(void)b;
	(void)err;
	*ret = (struct sdm_target){ .start_sectors = start_sectors,
				    .len_sectors = 8,
				    .type = "linear",
				    .params = "8:0 0" };
	return 0;
}

int sm_region_unmap(struct sm_backend *b, enum sm_role role, struct snapmgr_err *err)
{
	return sdm_remove(&b->roles[role], &b->cookie, err);
}

void sm_node_path(const struct sdm_info *info, char *ret, size_t size)
{
	(void)snprintf(ret, size, "%s", strstr(info->name, "_cat") ? REGION : "node");
}

int sm_node_open(const struct sdm_info *info, int flags, struct snapmgr_err *err)
{
	int fd = open("node", (flags & O_ACCMODE) | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 ? sm_fail(err, SNAPMGR_IO, errno, "cannot open '%s'", info->name) : fd;
}

/* ---- instead of the kernel's answers about who uses a device ---- */

int ioctl(int fd, unsigned long request, ...)
{
	(void)fd;
	(void)request;
	return 0;
}

int shost_holders(dev_t devno, unsigned int kinds, shost_holder_fn *visit, void *data,
		  struct snapmgr_err *err)
{
	(void)devno;
	(void)kinds;
	(void)visit;
	(void)data;
	(void)err;
	return 0;
}

/* ---- the pool ---- */

void rig_up(void)
{
	struct sm_extent extent = { .len_sectors = DATA_SECTORS };
	const struct sm_layout layout = { .meta = { &extent, 1 }, .data = { &extent, 1 } };
	const struct snapmgr_open_opts opts = { .size = sizeof(opts),
						.wait_ms = 30000,
						.backup_dir = "" };
	struct sm_backend b;

	fake_kernel_reset();
	rig_format(16 * SM_MIB);
	sm_backend_init(&b, &sm_driver_thin, &rig_pool.uuid, "p0", 128, 512);
	MUST(sm_region_map(&b, SM_ROLE_CATALOGUE, &layout.data, &rig_err));
	MUST(b.driver->start(&b, &layout, true, &rig_err));
	MUST(b.driver->pin(&b, true, &rig_err));
	MUST(snapmgr_open(&opts, &rig_sm, &rig_err));
	fake_kernel_log_clear();
}

void rig_create(const char *spec)
{
	struct snapmgr_create_opts o = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);

	o.size_bytes = SM_MIB;
	MUST(snapmgr_create(rig_sm, spec, &o, NULL, NULL, &rig_err));
}

void rig_take(const char *spec)
{
	MUST(snapmgr_snapshot(rig_sm, &spec, 1, NULL, NULL, NULL, &rig_err));
}

uint32_t rig_thin(const char *spec)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };

	MUST(sm_find(rig_sm, spec, SM_WANT_VOLUME | SM_WANT_SNAPSHOT, false, &f, &rig_err));
	return f.has_snapshot ? f.snapshot.c.thin : f.volume.c.thin;
}
