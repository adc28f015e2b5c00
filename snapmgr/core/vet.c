/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* May this device become a member? */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/core/core.h"

#define MEMBER_MIN (8 * SM_MIB)

static int refuse_holder(const struct shost_holder *holder, void *data)
{
	(void)sm_copy_text(data, sizeof(holder->what), holder->what);
	return 1;
}

static int vet_users(const struct shost_device *dev, struct snapmgr_err *err)
{
	struct shost_holder holder;
	int r = shost_holders(dev->devno, SHOST_MOUNT | SHOST_SWAP | SHOST_HOLDER | SHOST_LOOP,
			      refuse_holder, holder.what, err);

	return r <= 0 ? r :
			sm_fail(err, SNAPMGR_IN_USE, EBUSY, "device '%s' is in use: %s", dev->path,
				holder.what);
}

/* O_EXCL, as a mount or device-mapper would: also sees who holds it without a trace in sysfs. */
static int vet_claim(const struct shost_device *dev, struct snapmgr_err *err)
{
	AUTO(sm_close_fd) int fd = open(dev->path, O_RDONLY | O_EXCL | O_CLOEXEC);
	struct shost_holder holder;

	if (fd >= 0)
		return 0;
	if (errno != EBUSY)
		return sm_fail(err,
			       errno == EACCES || errno == EPERM ? SNAPMGR_PERMISSION : SNAPMGR_IO,
			       errno, "cannot open '%s'", dev->path);
	if (shost_holders(dev->devno, SHOST_PROCESS, refuse_holder, holder.what, NULL) > 0)
		return sm_fail(err, SNAPMGR_IN_USE, EBUSY, "device '%s' is in use: %s", dev->path,
			       holder.what);
	return sm_fail(err, SNAPMGR_IN_USE, EBUSY,
		       "device '%s' is in use: somebody holds it exclusively", dev->path);
}

static int of_a_pool(const struct shost_device *dev, const struct ssb *sb, struct snapmgr_err *err)
{
	char uuid[SNAPMGR_UUID_TEXT];

	sm_uuid_text(&sb->pool_uuid, uuid);
	return sm_fail(err, SNAPMGR_FOREIGN_DEVICE, EBUSY,
		       "device '%s' is a member of pool '%s' (%s); --force does not override that: "
		       "'snapmgr pool destroy %s' frees it",
		       dev->path, sb->pool_name, uuid, uuid);
}

/*
 * Does the pool that this superblock names know of it? Not where a pool create, or an extend, was
 * killed before its commit: such a device is as good as unformatted.
 */
static int is_member(const struct ssb *sb, bool *ret, struct snapmgr_err *err)
{
	AUTO(sm_members_release) struct sm_members m = { 0 };
	char uuid[SNAPMGR_UUID_TEXT];
	int r;

	sm_uuid_text(&sb->pool_uuid, uuid);
	r = sm_members_find(uuid, &m, err);
	*ret = false;
	if (r == -ENOENT)
		return 0;
	for (uint32_t i = 0; i < m.sb.n_members; i++)
		*ret |= sm_uuid_equal(&m.sb.members[i].uuid, &sb->members[sb->self].uuid);
	return r;
}

static int vet_member(const struct shost_device *dev, struct snapmgr_err *err)
{
	AUTO(ssb_release) struct ssb sb = { 0 };
	struct snapmgr_err why;
	bool member = true;
	int r = ssb_read(dev->path, &sb, NULL, &why);

	if (r == 0 && sb.self != 0)
		r = is_member(&sb, &member, &why);
	if (r == 0)
		return member ? of_a_pool(dev, &sb, err) : 0;
	if (r == -ENOMSG)
		return 0;
	if (err)
		*err = why;
	if (r != -EUCLEAN && r != -EPROTONOSUPPORT)
		return r;
	return sm_fail(
		err, SNAPMGR_FOREIGN_DEVICE, EBUSY,
		"device '%s' was a member of a pool and its superblock cannot be read (%.300s); if its data is "
		"not needed, wipe it with 'blkdiscard -f -z -l 1M %s'",
		dev->path, why.message, dev->path);
}

static int vet_contents(const struct shost_device *dev, bool force, struct snapmgr_err *err)
{
	char type[64];
	int r = vet_member(dev, err);

	if (r == 0)
		r = shost_probe(dev->path, type, sizeof(type), err);
	if (r < 0 || !type[0] || force)
		return r;
	return sm_fail(err, SNAPMGR_FOREIGN_DEVICE, EBUSY,
		       "device '%s' holds a signature: %s; --force overwrites it", dev->path, type);
}

int sm_device_vet(const char *path, bool force, struct shost_device *ret, struct snapmgr_err *err)
{
	struct shost_device dev;
	int r = shost_device(path, &dev, err);

	if (r < 0)
		return r;
	if (dev.read_only)
		return sm_fail(err, SNAPMGR_PERMISSION, EROFS, "device '%s' cannot be written to",
			       dev.path);
	if (dev.size_bytes < MEMBER_MIN)
		return sm_fail(err, SNAPMGR_NO_SPACE, ENOSPC,
			       "device '%s' is too small: it has %" PRIu64
			       " bytes, at least %" PRIu64 " are needed",
			       dev.path, dev.size_bytes, (uint64_t)MEMBER_MIN);
	if (dev.block_bytes != 512 && dev.block_bytes != 4096)
		return sm_fail(
			err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			"device '%s' has logical blocks of %u bytes: only 512 and 4096 are supported",
			dev.path, dev.block_bytes);
	r = vet_users(&dev, err);
	if (r == 0)
		r = vet_claim(&dev, err);
	if (r == 0)
		r = vet_contents(&dev, force, err);
	if (r == 0)
		*ret = dev;
	return r;
}
