/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the fake kernel says about its devices: dm/query.c. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fake_state.h"

static uint32_t minor_of(const struct device *d)
{
	return (uint32_t)(d - k.devices);
}

static void fill(const struct device *d, struct sdm_info *ret)
{
	*ret = (struct sdm_info){
		.exists = true,
		.suspended = d->suspended,
		.has_live = d->live.n,
		.has_inactive = d->inactive.n,
		.read_only = d->live.read_only,
		.open_count = fake_users(d),
		.major = FAKE_MAJOR,
		.minor = minor_of(d),
		.event_nr = d->event_nr,
	};
	(void)sm_copy_text(ret->name, sizeof(ret->name), d->name);
	(void)sm_copy_text(ret->uuid, sizeof(ret->uuid), d->uuid);
}

int sdm_info(const char *name, struct sdm_info *ret, struct snapmgr_err *err)
{
	const struct device *d = fake_find(name);
	int r = fake_record(false, "info %s", name);

	if (r < 0)
		return fake_refused(err, r, "look at", name);
	*ret = (struct sdm_info){ 0 };
	if (d)
		fill(d, ret);
	return 0;
}

int sdm_info_by_uuid(const char *uuid, struct sdm_info *ret, struct snapmgr_err *err)
{
	int r = fake_record(false, "info %s", uuid);

	if (r < 0)
		return fake_refused(err, r, "look at", uuid);
	*ret = (struct sdm_info){ 0 };
	for (const struct device *d = k.devices; d < k.devices + DEVICES_MAX; d++)
		if (d->used && strcmp(d->uuid, uuid) == 0)
			fill(d, ret);
	return 0;
}

int sdm_list(const char *uuid_prefix, sdm_name_fn *visit, void *data, struct snapmgr_err *err)
{
	int r = fake_record(false, "list");

	if (r < 0)
		return sm_fail(err, SNAPMGR_KERNEL, r, "cannot list devices");
	for (const struct device *d = k.devices; d < k.devices + DEVICES_MAX && r == 0; d++)
		if (d->used && strncmp(d->uuid, uuid_prefix, strlen(uuid_prefix)) == 0)
			r = visit(d->name, d->uuid, FAKE_MAJOR, minor_of(d), data);
	return r;
}

int sdm_table(const char *name, bool inactive, sdm_target_fn *visit, void *data,
	      struct snapmgr_err *err)
{
	const struct device *d = fake_find(name);
	const struct table *t;
	int r = fake_record(false, "table %s", name);

	if (r == 0 && !d)
		r = -ENXIO;
	if (r < 0)
		return fake_refused(err, r, "ask", name);
	t = inactive ? &d->inactive : &d->live;
	for (size_t i = 0; i < t->n && r == 0; i++)
		r = visit(&t->targets[i], data);
	return r;
}

static void own_status(const struct device *d, char line[SDM_PARAMS_MAX])
{
	struct pool *p = fake_pool_of(d);
	uint64_t total = d->live.n ? d->live.targets[0].len_sectors / 128 : 0;

	if (p)
		(void)snprintf(line, SDM_PARAMS_MAX,
			       "%" PRIu64 " 10/4096 %u/%" PRIu64
			       " %s rw discard_passdown queue_if_no_space - 1024",
			       p->transaction, fake_kernel_thins(d->name), total,
			       p->held ? "7" : "-");
	else
		(void)snprintf(line, SDM_PARAMS_MAX, "128 127");
}

int sdm_status(const char *name, bool flush, struct sdm_info *ret_info, char *buf, size_t size,
	       struct snapmgr_err *err)
{
	const struct device *d = fake_find(name);
	char line[SDM_PARAMS_MAX];
	int r = fake_record(false, "status %s", name);

	(void)flush;
	if (r == 0 && !d)
		r = -ENXIO;
	if (r < 0)
		return fake_refused(err, r, "ask", name);
	if (ret_info)
		fill(d, ret_info);
	own_status(d, line);
	return sm_copy_text(buf, size, *d->status ? d->status : line);
}

int sdm_deps(const char *name, int (*visit)(uint32_t major, uint32_t minor, void *data), void *data,
	     struct snapmgr_err *err)
{
	const struct device *d = fake_find(name);
	int r = fake_record(false, "deps %s", name);

	if (r == 0 && !d)
		r = -ENXIO;
	if (r < 0)
		return fake_refused(err, r, "ask", name);
	for (const struct device *to = k.devices; to < k.devices + DEVICES_MAX && r == 0; to++)
		if (to->used && fake_refers(&d->live, to))
			r = visit(FAKE_MAJOR, minor_of(to), data);
	return r;
}

int sdm_target_known(const char *type, struct snapmgr_err *err)
{
	(void)type;
	(void)err;
	return 1;
}
