/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A dump from anywhere: refused, or made a catalogue in memory, which is then checked and dumped again
 * as snapmgr pool restore and pool dump would do it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "snapmgr/catalogue/dump.h"
#include "snapmgr/catalogue/rundir.h"

#define REGION (8 * SM_MIB)

static char folder[] = "/tmp/dump_fuzz.XXXXXX";

static int pass_line(const char *line, void *data)
{
	(void)line;
	(void)data;
	return 0;
}

static int pass_text(const char *text, size_t len, void *data)
{
	size_t *sum = data;

	*sum += len + (unsigned char)*text;
	return 0;
}

static void restore(const struct scat_dump *dump)
{
	AUTO(sm_close_fd) int fd = memfd_create("region", MFD_CLOEXEC);
	AUTO(scat_close) struct scat *cat = NULL;
	char path[40], name[SNAPMGR_NAME_MAX + 1];
	struct snapmgr_err err = { 0 };
	struct sm_uuid uuid;
	size_t sum = 0;

	if (fd < 0 || ftruncate(fd, (off_t)REGION) < 0)
		abort();
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	scat_dump_pool(dump, &uuid, name);
	if (scat_restore(path, dump, NULL, &err) < 0) {
		if (err.code != SNAPMGR_DAMAGED && err.code != SNAPMGR_NO_SPACE &&
		    err.code != SNAPMGR_USAGE && err.code != SNAPMGR_INTERNAL)
			abort();
		return;
	}
	if (scat_open(path, &uuid, true, &cat, &err) < 0)
		return;
	(void)scat_check(cat, pass_line, NULL, NULL);
	(void)scat_dump(cat, pass_text, &sum, NULL);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (!mkdtemp(folder))
		abort();
	scat_set_run_dir(folder);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(scat_dump_free) struct scat_dump *dump = NULL;
	struct snapmgr_err err = { 0 };

	if (scat_dump_parse((const char *)data, size, &dump, &err) == 0)
		restore(dump);
	else if (!err.message[0] || !sm_utf8_valid(err.message))
		abort();
	return 0;
}
