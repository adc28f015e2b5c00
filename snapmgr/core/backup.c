/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The catalogue's dump, kept on the host after each change of structure: for the day when the disks
 * have lost it. Nothing rests on it, so that a failure is a warning.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "failpoint.h"
#include "snapmgr/catalogue/dump.h"
#include "snapmgr/core/core.h"

#define BACKUP_DIR "/var/lib/snapmgr/backup"
#define KEPT	   10
#define STALE_S	   86400

/* 00000017-20261122T181500Z.json: by number, whatever the clock does */
struct kept {
	uint32_t number;
	char name[64];
};
struct folder {
	char path[400];
	int fd;
	struct kept *v; /* owned; by number */
	size_t n;
};

static void folder_close(struct folder *f)
{
	sm_close_fd(f->fd);
	free(f->v);
}
static inline void auto_folder_close(struct folder *f)
{
	folder_close(f);
}

static bool is_backup(const char *name, uint32_t *ret)
{
	int end = 0;

	return strlen(name) < sizeof(((struct kept *)NULL)->name) &&
	       sscanf(name, "%8" SCNu32 "-%*[0-9TZ].json%n", ret, &end) == 1 && end > 0 &&
	       name[end] == '\0';
}

static int by_number(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

/* One that a dead process left half written. */
static void forget_stale(const struct folder *f, const char *name)
{
	const char *dot = strrchr(name, '.');
	struct stat st;

	if (dot && strcmp(dot, ".new") == 0 && fstatat(f->fd, name, &st, 0) == 0 &&
	    time(NULL) - st.st_mtime > STALE_S)
		(void)SM_STEP("backup.stale", unlinkat(f->fd, name, 0));
}

static int read_folder(struct folder *f)
{
	DIR *dir = opendir(f->path);
	struct dirent *d;
	uint32_t number;

	while (dir && (d = readdir(dir))) {
		struct kept *v;

		forget_stale(f, d->d_name);
		if (!is_backup(d->d_name, &number))
			continue;
		v = reallocarray(f->v, f->n + 1, sizeof(*v));
		if (!v)
			break;
		f->v = v;
		f->v[f->n].number = number;
		(void)sm_copy_text(f->v[f->n++].name, sizeof(v->name), d->d_name);
	}
	if (dir)
		(void)closedir(dir);
	if (f->n)
		qsort(f->v, f->n, sizeof(*f->v), by_number);
	return dir ? 0 : -errno;
}

static int open_folder(const struct sm_pool *pool, struct folder *f, struct snapmgr_err *err)
{
	const char *base = pool->sm->opts.backup_dir ? pool->sm->opts.backup_dir : BACKUP_DIR;
	char uuid[SNAPMGR_UUID_TEXT];
	int r;

	sm_uuid_text(&pool->b.uuid, uuid);
	(void)snprintf(f->path, sizeof(f->path), "%.350s/%s", base, uuid);
	r = sm_mkdir_p(f->path, 0700, err);
	if (r < 0)
		return r;
	f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->fd < 0 || read_folder(f) < 0)
		return sm_fail(err, SNAPMGR_IO, errno, "cannot read folder '%s'", f->path);
	return 0;
}

static int write_piece(const char *text, size_t len, void *data)
{
	const int fd = *(const int *)data;

	while (len) {
		ssize_t n = SM_STEP("backup.write", write(fd, text, len));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Whole, and on the disk, before it has its name. */
static int write_new(const struct folder *f, struct scat *cat, const char *name,
		     struct snapmgr_err *err)
{
	char part[32];
	AUTO(sm_close_fd) int fd = -1;
	int r;

	(void)snprintf(part, sizeof(part), ".%d.new", (int)getpid());
	fd = SM_STEP("backup.make",
		     openat(f->fd, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			    0600));
	if (fd < 0)
		return sm_fail(err, SNAPMGR_IO, errno, "cannot write in '%s'", f->path);
	errno = 0;
	r = scat_dump(cat, write_piece, &fd, err);
	if (r < 0 && errno == -r) /* of writing, not of the catalogue */
		r = sm_fail(err, SNAPMGR_IO, -r, "cannot write in '%s'", f->path);
	if (r == 0 && (SM_STEP("backup.flush", fsync(fd)) < 0 ||
		       SM_STEP("backup.name", renameat(f->fd, part, f->fd, name)) < 0 ||
		       SM_STEP("backup.settle", fsync(f->fd)) < 0))
		r = sm_fail(err, SNAPMGR_IO, errno, "cannot write in '%s'", f->path);
	if (r < 0)
		(void)SM_STEP("backup.drop", unlinkat(f->fd, part, 0));
	return r;
}

static void drop_old(const struct folder *f)
{
	for (size_t i = 0; i + KEPT - 1 < f->n; i++)
		(void)SM_STEP("backup.old", unlinkat(f->fd, f->v[i].name, 0));
}

int sm_backup_to(struct sm_pool *pool, char *ret_path, size_t size, struct snapmgr_err *err)
{
	AUTO(folder_close) struct folder f = { .fd = -1 };
	char name[64], stamp[24] = "0";
	time_t now = (time_t)(sm_now_us() / 1000000);
	struct tm tm;
	int r = open_folder(pool, &f, err);

	if (r < 0)
		return r;
	if (gmtime_r(&now, &tm))
		(void)strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	(void)snprintf(name, sizeof(name), "%08u-%s.json",
		       f.n ? (f.v[f.n - 1].number + 1) % 100000000 : 1, stamp);
	r = write_new(&f, pool->cat, name, err);
	if (r < 0)
		return r;
	drop_old(&f);
	if (ret_path)
		(void)snprintf(ret_path, size, "%s/%s", f.path, name);
	return 0;
}

void sm_backup(struct sm_pool *pool)
{
	const char *dir = pool->sm->opts.backup_dir;
	struct snapmgr_err why;

	if ((dir && !*dir) || !pool->cat)
		return;
	if (!dir && pool->b.dir[0] && geteuid() != 0) /* nobody else's folder is written to */
		return;
	if (sm_backup_to(pool, NULL, 0, &why) < 0)
		sm_warn(pool->sm, "the catalogue of pool '%s' was not backed up: %s",
			pool->row.name, why.message);
}

void sm_backup_of(struct snapmgr *sm, const char *name)
{
	AUTO(sm_pool_close) struct sm_pool pool = { .lock = SLOCK_NONE };
	struct snapmgr_err why;

	if (sm_pool_open(sm, name, false, &pool, &why) == 0)
		sm_backup(&pool);
	else
		sm_warn(sm, "the catalogue of pool '%s' was not backed up: %s", name, why.message);
}
