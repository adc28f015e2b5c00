/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who uses a file that is somebody's disk. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "loops.h"
#include "openers.h"
#include "shost.h"

struct seek {
	const struct stat *file;
	shost_holder_fn *visit;
	void *data;
};

static int see_process(int32_t pid, const char *name, void *data)
{
	const struct seek *seek = data;
	struct shost_holder holder = { .kind = SHOST_PROCESS, .pid = pid };

	(void)snprintf(holder.what, sizeof(holder.what), "open by process %d (%s)", (int)pid, name);
	return seek->visit(&holder, seek->data);
}

static int see_loops(const struct seek *seek, const char *but)
{
	struct shost_loops loops = { 0 };
	int r = shost_loops_load(&loops);

	for (size_t i = 0; i < loops.n && r == 0; i++) {
		const struct shost_loop *loop = &loops.v[i];
		struct shost_holder holder = { .kind = SHOST_LOOP };
		struct stat st;

		if (strcmp(loop->kname, but) == 0 || stat(loop->path, &st) < 0 ||
		    st.st_dev != seek->file->st_dev || st.st_ino != seek->file->st_ino)
			continue;
		(void)snprintf(holder.what, sizeof(holder.what), "attached to '/dev/%s'",
			       loop->kname);
		r = seek->visit(&holder, seek->data);
	}
	shost_loops_release(&loops);
	return r;
}

int shost_file_users(int fd, const char *but_loop, shost_holder_fn *visit, void *data,
		     struct snapmgr_err *err)
{
	struct stat st;
	const struct seek seek = { &st, visit, data };
	int r;

	if (fstat(fd, &st) < 0)
		return sm_fail(err, SNAPMGR_IO, errno, "cannot look at a file");
	r = see_loops(&seek, but_loop);
	if (r == 0 || r == -ENOENT)
		r = shost_file_openers(&st, see_process, (void *)&seek);
	return r == -ENOMEM ? sm_nomem(err) : r;
}
