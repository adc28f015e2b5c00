/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is on a device, asked of libblkid. The one file that includes its header. */
#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>

#include "shost.h"
#include "sys.h"

DEFINE_AUTO(blkid_probe, blkid_free_probe);

static void describe(blkid_probe probe, char *ret, size_t size)
{
	const char *value;

	if (blkid_probe_lookup_value(probe, "TYPE", &value, NULL) == 0)
		(void)snprintf(ret, size, "%s", value);
	else if (blkid_probe_lookup_value(probe, "PTTYPE", &value, NULL) == 0)
		(void)snprintf(ret, size, "%s partition table", value);
	else
		(void)snprintf(ret, size, "unknown signature");
}

static void configure(blkid_probe probe)
{
	(void)blkid_probe_enable_superblocks(probe, 1);
	(void)blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE);
	(void)blkid_probe_enable_partitions(probe, 1);
}

int shost_probe(const char *path, char *ret_type, size_t size, struct snapmgr_err *err)
{
	AUTO(sm_close_fd) int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	AUTO(blkid_free_probe) blkid_probe probe = NULL;

	if (fd < 0)
		return shost_fail(err, errno, "cannot open '%s'", path);
	probe = blkid_new_probe();
	if (!probe)
		return sm_nomem(err);
	errno = 0;
	if (blkid_probe_set_device(probe, fd, 0, 0) < 0)
		return shost_fail(err, errno, "cannot look for signatures on '%s'", path);
	configure(probe);
	errno = 0;
	switch (blkid_do_safeprobe(probe)) {
	case 0:
		describe(probe, ret_type, size);
		return 0;
	case 1:
		ret_type[0] = '\0';
		return 0;
	case -2:
		(void)snprintf(ret_type, size, "several signatures");
		return 0;
	default:
		return shost_fail(err, errno, "cannot look for signatures on '%s'", path);
	}
}
