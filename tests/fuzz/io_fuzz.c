/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copies and comparisons that the input decides, with faults, against memcpy(): tests/model/io_plan.h.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/model/io_plan.h"

#include "base.h"

static char folder[] = "/tmp/io_fuzz.XXXXXX";

static void go_home(void)
{
	(void)unlink("source");
	(void)unlink("target");
	(void)rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (!mkdtemp(folder))
		abort();
	(void)atexit(go_home);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(sm_close_fd) int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *wrong;

	/* The fuzzer's own files lie where it was started. */
	if (before < 0 || chdir(folder) < 0)
		abort();
	wrong = io_plan_run(data, size);
	if (fchdir(before) < 0)
		abort();
	if (!wrong)
		return 0;
	(void)fprintf(stderr, "%s\n", wrong);
	abort();
}
