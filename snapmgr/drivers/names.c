/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of kernel devices: snapmgr-POOL-VOL[@SNAP], and UUIDs SNAPMGR-UUID[-role]. */
#include <string.h>

#include "snapmgr/drivers/driver.h"

#define SUSPEND_MS 5000

/* No volume's name begins with '_', so that no volume can be taken for one of these. */
static const char *const role_names[SM_ROLES] = {
	[SM_ROLE_CATALOGUE] = "cat", [SM_ROLE_META] = "meta", [SM_ROLE_DATA] = "data",
	[SM_ROLE_POOL] = "pool",     [SM_ROLE_ZERO] = "zero", [SM_ROLE_SPARE] = "spare",
	[SM_ROLE_TAIL] = "tail",
};

/* Append @text with its hyphens doubled; false where it does not fit. */
static bool append(char name[SDM_NAME_MAX], const char *separator, const char *text)
{
	size_t len = strlen(name);
	int n = snprintf(name + len, SDM_NAME_MAX - len, "%s", separator);

	len += (size_t)n;
	for (; *text; text++) {
		if (len + 2 >= SDM_NAME_MAX)
			return false;
		if (*text == '-')
			name[len++] = '-';
		name[len++] = *text;
		name[len] = '\0';
	}
	return true;
}

void sm_role_name(const char *pool, const struct sm_uuid *uuid, enum sm_role role,
		  char ret[SDM_NAME_MAX])
{
	char text[SNAPMGR_UUID_TEXT];

	(void)strcpy(ret, "snapmgr");
	if (append(ret, "-", pool) && strlen(ret) + 2 + strlen(role_names[role]) < SDM_NAME_MAX) {
		(void)strcat(strcat(ret, "-_"), role_names[role]);
		return;
	}
	sm_uuid_text(uuid, text);
	(void)snprintf(ret, SDM_NAME_MAX, "snapmgr-%s-_%s", text, role_names[role]);
}

bool sm_role_parse(const char *dm_uuid, enum sm_role role, struct sm_uuid *ret_pool)
{
	const size_t prefix = strlen(SM_DM_UUID);
	char text[SNAPMGR_UUID_TEXT];

	if (strncmp(dm_uuid, SM_DM_UUID, prefix) != 0 || strlen(dm_uuid) <= prefix + 37)
		return false;
	(void)sm_copy_text(text, sizeof(text), dm_uuid + prefix);
	return dm_uuid[prefix + 36] == '-' &&
	       strcmp(dm_uuid + prefix + 37, role_names[role]) == 0 &&
	       sm_uuid_parse(text, ret_pool);
}

void sm_backend_init(struct sm_backend *b, const struct sm_driver *driver,
		     const struct sm_uuid *uuid, const char *name, uint32_t chunk_sectors,
		     uint32_t block_bytes)
{
	char text[SNAPMGR_UUID_TEXT];

	*b = (struct sm_backend){
		.driver = driver,
		.uuid = *uuid,
		.chunk_sectors = chunk_sectors,
		.block_bytes = block_bytes,
	};
	(void)sm_copy_text(b->name, sizeof(b->name), name);
	sm_uuid_text(uuid, text);
	for (int role = 0; role < SM_ROLES; role++) {
		struct sdm_device *dm = &b->roles[role];

		sm_role_name(name, uuid, (enum sm_role)role, dm->name);
		(void)snprintf(dm->uuid, sizeof(dm->uuid), SM_DM_UUID "%s-%s", text,
			       role_names[role]);
		dm->audience = SDM_INTERNAL;
	}
}

void sm_vdev_init(struct sm_vdev *v, const struct sm_backend *b, const char *volume,
		  const char *snapshot, const struct sm_uuid *uuid, bool guest)
{
	char text[SNAPMGR_UUID_TEXT];
	char *name = v->dm.name;
	bool fits;

	*v = (struct sm_vdev){ .dm.read_only = snapshot != NULL };
	(void)sm_copy_text(v->volume, sizeof(v->volume), volume);
	v->uuid = *uuid;
	sm_uuid_text(uuid, text);
	(void)strcpy(name, "snapmgr");
	fits = *volume && append(name, "-", b->name) && append(name, "-", volume);
	if (fits && snapshot)
		fits = append(name, "@", snapshot);
	if (!fits)
		(void)snprintf(name, SDM_NAME_MAX, "snapmgr-%s", text);
	(void)snprintf(v->dm.uuid, sizeof(v->dm.uuid), SM_DM_UUID "%s", text);
	if (snapshot)
		v->dm.audience = SDM_SNAPSHOT;
	else
		v->dm.audience = guest ? SDM_GUEST : SDM_VOLUME;
	if (snapshot)
		(void)snprintf(v->dm.link, sizeof(v->dm.link), "%s/%s@%s", b->name,
			       *volume ? volume : text, snapshot);
	else
		(void)snprintf(v->dm.link, sizeof(v->dm.link), "%s/%s", b->name, volume);
}

int sm_vdev_info(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_info *ret,
		 struct snapmgr_err *err)
{
	return b->driver->info ? b->driver->info(b, v, ret, err) : sdm_info(v->dm.name, ret, err);
}

int sm_vdev_info_by_uuid(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_info *ret,
			 struct snapmgr_err *err)
{
	return b->driver->info ? b->driver->info(b, v, ret, err) :
				 sdm_info_by_uuid(v->dm.uuid, ret, err);
}

struct sdm_switch_opts sm_switch_opts_of(const struct sm_backend *b,
					 const struct sm_switch_opts *opts)
{
	return (struct sdm_switch_opts){
		.timed = opts->suspended_ns,
		.timeout_ms = SUSPEND_MS,
		.lock_fd = opts->lock_fd,
		.lock_serial = opts->lock_serial,
		.recover_program = opts->recover_program,
		.pool = b->name,
	};
}
