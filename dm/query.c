/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel says about devices: which there are, their tables, their status. */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "dm/task.h"

static void fill_info(struct dm_task *t, const struct dm_info *from, struct sdm_info *ret)
{
	const char *name = dm_task_get_name(t), *uuid = dm_task_get_uuid(t);

	*ret = (struct sdm_info){
		.exists = true,
		.suspended = from->suspended,
		.has_live = from->live_table,
		.has_inactive = from->inactive_table,
		.read_only = from->read_only,
		.open_count = from->open_count > 0 ? (uint32_t)from->open_count : 0,
		.major = from->major,
		.minor = from->minor,
		.event_nr = from->event_nr,
	};
	(void)sm_copy_text(ret->name, sizeof(ret->name), name ? name : "");
	(void)sm_copy_text(ret->uuid, sizeof(ret->uuid), uuid ? uuid : "");
}

static int info(struct dm_task *t, const char *subject, struct sdm_info *ret,
		struct snapmgr_err *err)
{
	struct dm_info found;
	int r = sdm_task_run(t);

	if (r == 0 && !dm_task_get_info(t, &found))
		r = -EIO;
	if (r == -ENXIO || (r == 0 && !found.exists)) {
		*ret = (struct sdm_info){ 0 };
		return 0;
	}
	if (r < 0)
		return sdm_task_refused(err, r, "look at", subject);
	fill_info(t, &found, ret);
	return 0;
}

int sdm_info(const char *name, struct sdm_info *ret, struct snapmgr_err *err)
{
	AUTO(dm_task_destroy) struct dm_task *t = NULL;
	int r = sdm_task_make(DM_DEVICE_INFO, name, &t, err);

	return r < 0 ? r : info(t, name, ret, err);
}

int sdm_info_by_uuid(const char *uuid, struct sdm_info *ret, struct snapmgr_err *err)
{
	AUTO(dm_task_destroy) struct dm_task *t = NULL;
	int r = sdm_task_make(DM_DEVICE_INFO, NULL, &t, err);

	if (r < 0)
		return r;
	if (!dm_task_set_uuid(t, uuid))
		return sm_nomem(err);
	return info(t, uuid, ret, err);
}

/*
 * What follows a name in the kernel's list (linux/dm-ioctl.h, struct dm_name_list): event number, flags
 * and, from version 4.44 of the interface, the UUID. The library hands the list through as it is.
 */
static const char *listed_uuid(const struct dm_names *n)
{
	const char *end = n->name + strlen(n->name) + 1;
	size_t offset = ((size_t)(end - (const char *)n) + 7) & ~(size_t)7;
	uint32_t words[2];

	if (n->next && offset + sizeof(words) > n->next)
		return NULL;
	memcpy(words, (const char *)n + offset, sizeof(words));
	return words[1] & 1 ? (const char *)n + offset + sizeof(words) : NULL;
}

static int list_entry(const struct dm_names *n, const char *prefix, sdm_name_fn *visit, void *data,
		      struct snapmgr_err *err)
{
	const char *uuid = listed_uuid(n);
	struct sdm_info found;
	int r;

	if (!uuid) {
		r = sdm_info(n->name, &found, err);
		if (r < 0 || !found.exists)
			return r;
		uuid = found.uuid;
	}
	if (strncmp(uuid, prefix, strlen(prefix)) != 0)
		return 0;
	return visit(n->name, uuid, major((dev_t)n->dev), minor((dev_t)n->dev), data);
}

int sdm_list(const char *uuid_prefix, sdm_name_fn *visit, void *data, struct snapmgr_err *err)
{
	AUTO(dm_task_destroy) struct dm_task *t = NULL;
	const struct dm_names *n;
	int r = sdm_task_make(DM_DEVICE_LIST, NULL, &t, err);

	if (r < 0)
		return r;
	r = sdm_task_run(t);
	if (r < 0)
		return sm_fail(err, SNAPMGR_KERNEL, r, "cannot list device-mapper's devices");
	n = dm_task_get_names(t);
	if (!n || !n->dev)
		return 0;
	for (;;) {
		r = list_entry(n, uuid_prefix, visit, data, err);
		if (r != 0 || !n->next)
			return r;
		n = (const void *)((const char *)n + n->next);
	}
}

/* Runs a table or status request; @inactive asks for the loaded table. */
static int query(int type, const char *name, bool inactive, bool flush, struct dm_task **ret,
		 struct snapmgr_err *err)
{
	struct dm_info found = { 0 };
	int r = sdm_task_make(type, name, ret, err);

	if (r < 0)
		return r;
	if ((inactive && !dm_task_query_inactive_table(*ret)) ||
	    (!flush && !dm_task_no_flush(*ret)))
		return sm_nomem(err);
	r = sdm_task_run(*ret);
	if (r == 0 && !(dm_task_get_info(*ret, &found) && found.exists))
		r = -ENXIO;
	return r < 0 ? sdm_task_refused(err, r, "ask", name) : 0;
}

int sdm_table(const char *name, bool inactive, sdm_target_fn *visit, void *data,
	      struct snapmgr_err *err)
{
	AUTO(dm_task_destroy) struct dm_task *t = NULL;
	struct sdm_target target;
	char *type, *params;
	void *next = NULL;
	int r = query(DM_DEVICE_TABLE, name, inactive, false, &t, err);

	if (r < 0)
		return r;
	do {
		type = params = NULL;
		next = dm_get_next_target(t, next, &target.start_sectors, &target.len_sectors,
					  &type, &params);
		if (!type)
			break; /* an empty slot */
		if (sm_copy_text(target.type, sizeof(target.type), type) < 0 ||
		    sm_copy_text(target.params, sizeof(target.params), params ? params : "") < 0)
			return sm_fail(err, SNAPMGR_KERNEL, EMSGSIZE,
				       "cannot read the table of '%s'", name);
		r = visit(&target, data);
	} while (r == 0 && next);
	return r;
}

int sdm_status(const char *name, bool flush, struct sdm_info *ret_info, char *buf, size_t size,
	       struct snapmgr_err *err)
{
	struct dm_info found;
	AUTO(dm_task_destroy) struct dm_task *t = NULL;
	char *type = NULL, *params = NULL;
	uint64_t start, len;
	int r = query(DM_DEVICE_STATUS, name, false, flush, &t, err);

	if (r < 0)
		return r;
	if (ret_info && dm_task_get_info(t, &found))
		fill_info(t, &found, ret_info);
	(void)dm_get_next_target(t, NULL, &start, &len, &type, &params);
	if (!type)
		return sm_fail(err, SNAPMGR_BAD_STATE, ENODATA, "device '%s' has no live table",
			       name);
	if (sm_copy_text(buf, size, params ? params : "") < 0)
		return sm_fail(err, SNAPMGR_KERNEL, EMSGSIZE, "cannot read the status of '%s'",
			       name);
	return 0;
}

int sdm_deps(const char *name, int (*visit)(uint32_t major, uint32_t minor, void *data), void *data,
	     struct snapmgr_err *err)
{
	AUTO(dm_task_destroy) struct dm_task *t = NULL;
	const struct dm_deps *deps;
	int r = query(DM_DEVICE_DEPS, name, false, true, &t, err);

	if (r < 0)
		return r;
	deps = dm_task_get_deps(t);
	for (uint32_t i = 0; deps && i < deps->count && r == 0; i++)
		r = visit(major((dev_t)deps->device[i]), minor((dev_t)deps->device[i]), data);
	return r;
}

int sdm_target_known(const char *type, struct snapmgr_err *err)
{
	AUTO(dm_task_destroy) struct dm_task *t = NULL;
	int r = sdm_task_make(DM_DEVICE_GET_TARGET_VERSION, type, &t, err);

	if (r == 0)
		r = sdm_task_run(t);
	return r == 0 ? 1 : r == -EINVAL ? 0 : r;
}
