/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LVM on the second device, with a configuration of its own that spares it all that is not the job: it
 * looks at that device alone, monitors nothing, and polls in the command itself.
 */
#include <errno.h>
#include <string.h>

#include "tests/bench/bench.h"

static char home[] = "/tmp/bench-lvm.XXXXXX";

static void configure(const char *device)
{
	AUTO(sm_close_file) FILE *f = NULL;
	char path[64];

	if (!mkdtemp(home))
		die("cannot make '%s': %s", home, strerror(errno));
	(void)snprintf(path, sizeof(path), "%s/lvm.conf", home);
	f = fopen(path, "we");
	if (!f)
		die("cannot write '%s': %s", path, strerror(errno));
	(void)fprintf(
		f,
		"devices {\n use_devicesfile=0\n scan=[\"/dev\"]\n filter=[\"a|^%s$|\",\"r|.*|\"]\n}\n"
		"activation { monitoring=0 }\nglobal { use_lvmpolld=0 }\n",
		device);
	(void)setenv("LVM_SYSTEM_DIR", home, 1);
	(void)setenv("LVM_SUPPRESS_FD_WARNINGS", "1", 1);
}

void lvm_start(bool thin)
{
	if (bench.n_devices < 2)
		die("LVM needs a second device");
	configure(bench.devices[1]);
	bench.has_lvm = true;
	(void)command_ms(ARGV("vgcreate", "-q", LVM_VG, bench.devices[1]));
	if (thin)
		(void)command_ms(ARGV("lvcreate", "-q", "-l", "90%FREE", "--chunksize", "64k",
				      "--poolmetadatasize", "64m", "--thinpool", "tp", LVM_VG));
	settle();
}

void lvm_end(void)
{
	settle();
	(void)command_ms(ARGV("vgremove", "-q", "-ff", "-y", LVM_VG));
	(void)command_ms(ARGV("pvremove", "-q", "-ff", "-y", bench.devices[1]));
	(void)command_ok(ARGV("rm", "-r", "--", home));
	settle();
}
