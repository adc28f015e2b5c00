/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The folder as a whole: its room, and what is in it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "snapmgr/drivers/file.h"

int file_name_free(const struct sm_backend *b, const char *volume, struct snapmgr_err *err)
{
	char path[FILE_PATH];
	struct stat st;

	file_head_path(b, volume, path);
	if (lstat(path, &st) < 0)
		return 0;
	return sm_fail(err, SNAPMGR_EXISTS, EEXIST,
		       "there is a file '%s' already, which is not ours", path);
}

const char *file_lacks(const struct sm_backend *b, const char *strategy)
{
	return b && strategy && !b->reflink && strcmp(strategy, "reflink") == 0 ?
		       "its filesystem does not share extents between files" :
		       NULL;
}

/* That of its filesystem, which others use too. */
int file_space(const struct sm_backend *b, bool commit_first, struct sm_space *ret,
	       struct snapmgr_err *err)
{
	struct statvfs st;

	(void)commit_first;
	if (statvfs(b->dir, &st) < 0)
		return file_failed(err, errno, "look at", b->dir);
	*ret = (struct sm_space){
		.data_bytes = (uint64_t)st.f_blocks * st.f_frsize,
		.data_used_bytes = (uint64_t)(st.f_blocks - st.f_bavail) * st.f_frsize,
		.read_only = st.f_flag & ST_RDONLY,
	};
	return 0;
}

/* ID.img and ID.head; a head with its name is nobody's business here. */
int file_ids(const struct sm_backend *b, bool active, sm_id_fn *visit, void *data,
	     struct snapmgr_err *err)
{
	char path[FILE_PATH];
	struct dirent *d;
	struct stat st;
	uint32_t id;
	DIR *dir;
	int r = 0;

	(void)active;
	(void)snprintf(path, sizeof(path), "%s/" SM_FILE_FOLDER, b->dir);
	dir = opendir(path);
	if (!dir)
		return file_failed(err, errno, "read", path);
	while (r == 0 && (d = readdir(dir))) {
		int end = 0;

		if ((sscanf(d->d_name, "%8" SCNu32 ".img%n", &id, &end) == 1 && end > 0 &&
		     !d->d_name[end]) ||
		    (end = 0, sscanf(d->d_name, "%8" SCNu32 ".head%n", &id, &end) == 1 && end > 0 &&
				      !d->d_name[end]))
			r = fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 ?
				    visit(id, (uint64_t)st.st_blocks * SM_SECTOR, 0, data) :
				    0;
	}
	(void)closedir(dir);
	return r;
}
