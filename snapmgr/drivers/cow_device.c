/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The devices of a cow pool that nobody but the pool opens: what they are called, and their end. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "failpoint.h"
#include "snapmgr/drivers/cow.h"

#define ID_DIGITS 8 /* of 2^24 - 1 */

static const char *const suffixes[] = { [COW_PLACE] = "", [COW_SHOWN] = "s", [COW_MERGING] = "m" };

/* The data's name, up to what says that it is the data's. */
static size_t stem(const char *name)
{
	return strlen(name) - strlen("data");
}

void cow_device(const struct sm_backend *b, uint32_t id, enum cow_kind kind, struct sdm_device *ret)
{
	const struct sdm_device *data = &b->roles[SM_ROLE_DATA];
	char uuid[SNAPMGR_UUID_TEXT];

	*ret = (struct sdm_device){ .audience = SDM_INTERNAL };
	(void)snprintf(ret->uuid, sizeof(ret->uuid), "%.*s%u%s", (int)stem(data->uuid), data->uuid,
		       id, suffixes[kind]);
	if (stem(data->name) + ID_DIGITS + 2 < SDM_NAME_MAX) {
		(void)snprintf(ret->name, sizeof(ret->name), "%.*s%u%s", (int)stem(data->name),
			       data->name, id, suffixes[kind]);
		return;
	}
	sm_uuid_text(&b->uuid, uuid);
	(void)snprintf(ret->name, sizeof(ret->name), "snapmgr-%s-_%u%s", uuid, id, suffixes[kind]);
}

bool cow_id(const struct sm_backend *b, const char *dm_uuid, uint32_t *ret_id,
	    enum cow_kind *ret_kind)
{
	const char *data = b->roles[SM_ROLE_DATA].uuid;
	unsigned long id;
	char *end;

	if (strncmp(dm_uuid, data, stem(data)) != 0)
		return false;
	dm_uuid += stem(data);
	if (*dm_uuid < '1' || *dm_uuid > '9')
		return false;
	id = strtoul(dm_uuid, &end, 10);
	if (id >= 1u << 24)
		return false;
	for (size_t i = 0; i < SM_ARRAY(suffixes); i++) {
		if (strcmp(end, suffixes[i]) != 0)
			continue;
		*ret_id = (uint32_t)id;
		*ret_kind = (enum cow_kind)i;
		return true;
	}
	return false;
}

int cow_devno(const struct sm_backend *b, uint32_t id, enum cow_kind kind, dev_t *ret,
	      struct snapmgr_err *err)
{
	struct sdm_device dm;
	struct sdm_info info;
	int r;

	cow_device(b, id, kind, &dm);
	r = sdm_info(dm.name, &info, err);
	if (r < 0)
		return r;
	if (!info.exists)
		return sm_fail(err, SNAPMGR_BAD_STATE, ENODEV,
			       "device '%s' of pool '%s' is missing: 'snapmgr pool deactivate %s', "
			       "then 'snapmgr pool activate %s'",
			       dm.name, b->name, b->name, b->name);
	*ret = makedev(info.major, info.minor);
	return 0;
}

int cow_remove(const struct sm_backend *b, uint32_t id, enum cow_kind kind, struct snapmgr_err *err)
{
	struct sdm_device dm;

	cow_device(b, id, kind, &dm);
	return sdm_remove(&dm, NULL, err);
}

int cow_sync(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err)
{
	struct sdm_device dm;
	struct sdm_info info;
	int fd, r;

	cow_device(b, id, COW_PLACE, &dm);
	r = sdm_info(dm.name, &info, err);
	if (r < 0)
		return r;
	fd = sm_node_open(&info, O_RDONLY, err);
	if (fd < 0)
		return fd;
	r = SM_STEP("cow.sync", fdatasync(fd));
	if (r < 0)
		r = sm_fail(err, SNAPMGR_IO, errno, "cannot write to '%s'", dm.name);
	(void)close(fd);
	return r;
}

/* It was zeroed when it was placed, and is as long as its volume shall be, or longer. */
int cow_fill_open(const struct sm_backend *b, uint32_t id, uint64_t size_bytes,
		  struct snapmgr_err *err)
{
	struct sdm_device dm;
	struct sdm_info info;
	int r;

	(void)size_bytes;
	cow_device(b, id, COW_PLACE, &dm);
	r = sdm_info(dm.name, &info, err);
	return r < 0 ? r : sm_node_open(&info, O_RDWR | O_EXCL, err);
}
