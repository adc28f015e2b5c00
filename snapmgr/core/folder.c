/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pools that are folders: their owner, and the links that they are found by. */
#include "snapmgr/core/folder.h"
#include "snapmgr/core/rewrite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define LINKS	    "/etc/snapmgr/pools"
#define OWNER_BYTES 1024
#define OWNER_PATH  (SM_POOL_DIR + 32)

/* ---- DIR/.snapmgr/owner ---- */

static void owner_path(const char *dir, const char *suffix, char ret[OWNER_PATH])
{
	(void)snprintf(ret, OWNER_PATH, "%s/" SM_FILE_FOLDER "/owner%s", dir, suffix);
}

void sm_folder_lock_name(const char *dir, char ret[SM_POOL_DIR + 32])
{
	(void)snprintf(ret, SM_POOL_DIR + 32, "%s/" SM_FILE_FOLDER "/lock", dir);
}

static bool parse(const char *text, struct sm_folder *f)
{
	char uuid[SNAPMGR_UUID_TEXT], host_id[SNAPMGR_UUID_TEXT], boot_id[SNAPMGR_UUID_TEXT];
	char reflink[8];

	return sscanf(text,
		      "snapmgr pool 1\nuuid %36s\nname %64s\ncreated %" SCNd64
		      "\nstate %15s\nreflink %7s\nhost %36s %64s\nboot %36s\n",
		      uuid, f->name, &f->created_at_us, f->state, reflink, host_id, f->host,
		      boot_id) == 8 &&
	       sm_uuid_parse(uuid, &f->uuid) && sm_uuid_parse(host_id, &f->host_id) &&
	       sm_uuid_parse(boot_id, &f->boot_id) &&
	       sm_name_check("pool name", f->name, NULL) == 0 &&
	       (f->reflink = strcmp(reflink, "yes") == 0, true);
}

int sm_folder_read(const char *dir, struct sm_folder *ret, struct snapmgr_err *err)
{
	char path[OWNER_PATH], text[OWNER_BYTES];
	struct sm_folder f = { 0 };
	AUTO(sm_close_fd) int fd = -1;
	ssize_t n;

	owner_path(dir, "", path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return -ENOENT;
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return sm_fail(err, errno == EACCES ? SNAPMGR_PERMISSION : SNAPMGR_IO, errno,
			       "cannot read '%s'", path);
	text[n] = '\0';
	if (!parse(text, &f) || sm_copy_text(f.dir, sizeof(f.dir), dir) < 0)
		return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN, "'%s' is damaged", path);
	*ret = f;
	return 0;
}

static int print(const struct sm_folder *f, char text[OWNER_BYTES])
{
	char uuid[SNAPMGR_UUID_TEXT], host_id[SNAPMGR_UUID_TEXT], boot_id[SNAPMGR_UUID_TEXT];

	sm_uuid_text(&f->uuid, uuid);
	sm_uuid_text(&f->host_id, host_id);
	sm_uuid_text(&f->boot_id, boot_id);
	return snprintf(text, OWNER_BYTES,
			"snapmgr pool 1\nuuid %s\nname %s\ncreated %" PRId64
			"\nstate %s\nreflink %s\nhost %s %s\nboot %s\n",
			uuid, f->name, f->created_at_us, f->state, f->reflink ? "yes" : "no",
			host_id, f->host[0] ? f->host : "-", boot_id);
}

static int write_whole(const struct sm_folder *f, const char *part, const char *path)
{
	char text[OWNER_BYTES];
	const int len = print(f, text);
	AUTO(sm_close_fd) int dir = -1;
	AUTO(sm_close_fd)
	int fd = SM_STEP("owner.make",
			 open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));

	if (fd < 0 || SM_STEP("owner.write", write(fd, text, (size_t)len)) != len ||
	    SM_STEP("owner.flush", fsync(fd)) < 0 ||
	    SM_STEP("owner.rename", rename(part, path)) < 0)
		return -errno;
	*strrchr(part, '/') = '\0';
	dir = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 || SM_STEP("owner.sync", fsync(dir)) < 0 ? -errno : 0;
}

int sm_folder_write(const struct sm_folder *f, struct snapmgr_err *err)
{
	char path[OWNER_PATH], part[OWNER_PATH];
	int r;

	owner_path(f->dir, "", path);
	owner_path(f->dir, ".new", part);
	r = write_whole(f, part, path);
	return r < 0 ? sm_fail(err, r == -EACCES ? SNAPMGR_PERMISSION : SNAPMGR_IO, r,
			       "cannot write '%s'", path) :
		       0;
}

bool sm_folder_is_ours(const struct sm_folder *f)
{
	struct sm_uuid id;
	char host[65];

	shost_machine(&id, host);
	return sm_uuid_equal(&f->host_id, &id);
}

int sm_folder_claim(struct sm_folder *f, struct snapmgr_err *err)
{
	struct shost_owner self;
	int r = shost_owner_self(&self, err);

	if (r < 0)
		return r;
	shost_machine(&f->host_id, f->host);
	f->host[strcspn(f->host, " \t\n")] = '\0';
	f->boot_id = self.boot_id;
	f->reflink = sm_folder_probe(f->dir);
	return sm_folder_write(f, err);
}

/* By doing it: what a filesystem could do depends on how it was made. */
bool sm_folder_probe(const char *dir)
{
	static const char block[4096] = "probe";
	char a[OWNER_PATH], b[OWNER_PATH];
	AUTO(sm_close_fd) int from = -1;
	AUTO(sm_close_fd) int to = -1;
	bool can;

	(void)snprintf(a, sizeof(a), "%s/" SM_FILE_FOLDER "/probe-a", dir);
	(void)snprintf(b, sizeof(b), "%s/" SM_FILE_FOLDER "/probe-b", dir);
	from = SM_STEP("probe.make",
		       open(a, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
	to = SM_STEP("probe.make",
		     open(b, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
	can = from >= 0 && to >= 0 &&
	      SM_STEP("probe.write", write(from, block, sizeof(block))) == (ssize_t)sizeof(block) &&
	      SM_STEP("probe.share", ioctl(to, FICLONE, from)) == 0;
	(void)SM_STEP("probe.unlink", unlink(a));
	(void)SM_STEP("probe.unlink", unlink(b));
	return can;
}

int sm_folder_refuse(const struct sm_folder *f, const char *what, struct snapmgr_err *err)
{
	return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP, "pool '%s' is the folder '%s': %s",
		       f->name, f->dir, what);
}

/* ---- links ---- */

/* Return: 0, or -ENOENT where this user has no place for them. */
static int links_dir(const struct snapmgr *sm, char ret[PATH_MAX])
{
	const char *base = sm->opts.pools_dir, *home;

	if (base)
		return sm_copy_text(ret, PATH_MAX, base);
	if (geteuid() == 0)
		return sm_copy_text(ret, PATH_MAX, LINKS);
	base = secure_getenv("XDG_STATE_HOME");
	home = secure_getenv("HOME");
	if (base && *base == '/')
		return snprintf(ret, PATH_MAX, "%s/snapmgr/pools", base) < PATH_MAX ? 0 : -ENOENT;
	if (!home || *home != '/')
		return -ENOENT;
	return snprintf(ret, PATH_MAX, "%s/.local/state/snapmgr/pools", home) < PATH_MAX ? 0 :
											   -ENOENT;
}

static int link_path(const struct snapmgr *sm, const char *name, char ret[PATH_MAX])
{
	char dir[PATH_MAX];
	int r = links_dir(sm, dir), n;

	if (r < 0)
		return -ENOENT;
	n = snprintf(ret, PATH_MAX, "%.4000s/%.80s", dir, name);
	return n < PATH_MAX ? 0 : -ENOENT;
}

/* Return: 0, or -ENOENT. */
static int read_link(const char *link, char ret[SM_POOL_DIR])
{
	ssize_t n = readlink(link, ret, SM_POOL_DIR - 1);

	if (n <= 0 || n == SM_POOL_DIR - 1 || ret[0] != '/')
		return -ENOENT;
	ret[n] = '\0';
	return 0;
}

int sm_folder_link(const struct snapmgr *sm, const char *name, const char *dir,
		   struct snapmgr_err *err)
{
	char link[PATH_MAX], now[SM_POOL_DIR];
	struct sm_folder other;
	int r = link_path(sm, "", link);

	if (r < 0)
		return sm_fail(
			err, SNAPMGR_PERMISSION, EACCES,
			"there is no place for the link to '%s': neither HOME nor XDG_STATE_HOME is set",
			dir);
	r = sm_mkdir_p(link, 0755, err);
	if (r < 0)
		return r;
	(void)link_path(sm, name, link);
	if (SM_STEP("owner.link", symlink(dir, link)) == 0)
		return 0;
	if (errno != EEXIST)
		return sm_fail(err, errno == EACCES ? SNAPMGR_PERMISSION : SNAPMGR_IO, errno,
			       "cannot make '%s'", link);
	if (read_link(link, now) == 0 && strcmp(now, dir) == 0)
		return 0;
	if (read_link(link, now) == 0 && sm_folder_read(now, &other, NULL) == 0 &&
	    strcmp(other.name, name) == 0)
		return sm_fail(err, SNAPMGR_EXISTS, EEXIST, "there is a pool '%s' already, in '%s'",
			       name, now);
	return sm_fail(
		err, SNAPMGR_EXISTS, EEXIST,
		"'%s' leads to another folder, where no pool '%s' is: mount what is missing there, or "
		"delete the link",
		link, name);
}

int sm_folder_unlink(const struct snapmgr *sm, const char *name, struct snapmgr_err *err)
{
	char link[PATH_MAX];

	if (link_path(sm, name, link) < 0 || SM_STEP("owner.unlink", unlink(link)) == 0 ||
	    errno == ENOENT)
		return 0;
	return sm_fail(err, errno == EACCES ? SNAPMGR_PERMISSION : SNAPMGR_IO, errno,
		       "cannot delete '%s'", link);
}

/* ---- found ---- */

static int find_by_name(const struct snapmgr *sm, const char *name, struct sm_folder *ret,
			struct snapmgr_err *err)
{
	char link[PATH_MAX], dir[SM_POOL_DIR];
	int r = strchr(name, '/') ? -ENOENT : link_path(sm, name, link);

	if (r == 0)
		r = read_link(link, dir);
	if (r < 0)
		return -ENOENT;
	r = sm_folder_read(dir, ret, err);
	if (r == -ENOENT)
		return sm_fail(err, SNAPMGR_BAD_STATE, ENODEV,
			       "pool '%s' is not in '%s', where '%s' leads: mount what is missing "
			       "there, or delete the link",
			       name, dir, link);
	if (r == 0 && strcmp(ret->name, name) != 0)
		return sm_fail(err, SNAPMGR_BAD_STATE, ENODEV,
			       "'%s' leads to '%s', where pool '%s' is: delete the link, and say "
			       "'snapmgr pool import %s'",
			       link, dir, ret->name, dir);
	return r;
}

struct seek {
	struct sm_uuid uuid;
	struct sm_folder *ret;
};

static int match(const struct sm_folder *f, void *data)
{
	struct seek *seek = data;

	if (!sm_uuid_equal(&f->uuid, &seek->uuid))
		return 0;
	*seek->ret = *f;
	return 1;
}

int sm_folder_find(const struct snapmgr *sm, const char *pool, struct sm_folder *ret,
		   struct snapmgr_err *err)
{
	struct seek seek = { .ret = ret };

	if (!sm_uuid_parse(pool, &seek.uuid))
		return find_by_name(sm, pool, ret, err);
	return sm_folder_each(sm, match, &seek) > 0 ? 0 : -ENOENT;
}

int sm_folder_each(const struct snapmgr *sm, sm_folder_fn *visit, void *data)
{
	char path[PATH_MAX];
	struct sm_folder f;
	struct snapmgr_err why;
	struct dirent *d;
	DIR *links;
	int r = 0;

	if (links_dir(sm, path) < 0)
		return 0;
	links = opendir(path);
	while (r == 0 && links && (d = readdir(links))) {
		if (sm_name_check("pool name", d->d_name, NULL) < 0)
			continue;
		r = find_by_name(sm, d->d_name, &f, &why);
		if (r == 0)
			r = visit(&f, data);
		else if (r != -ENOENT)
			sm_warn(sm, "%s", why.message);
		r = r < 0 ? 0 : r;
	}
	if (links)
		(void)closedir(links);
	return r;
}

/* ---- opened ---- */

static int check_state(const struct sm_folder *f, struct snapmgr_err *err)
{
	if (strcmp(f->state, SM_FOLDER_EXPORTED) == 0)
		return sm_fail(
			err, SNAPMGR_BAD_STATE, ENODEV,
			"pool '%s' is not active: it was exported: 'snapmgr pool import %s' takes it",
			f->name, f->dir);
	if (strcmp(f->state, SM_FOLDER_DESTROYING) == 0)
		return sm_fail(err, SNAPMGR_BAD_STATE, ENODEV,
			       "pool '%s' is half destroyed: 'snapmgr pool destroy %s' ends it",
			       f->name, f->name);
	if (!sm_folder_is_ours(f))
		return sm_fail(
			err, SNAPMGR_IN_USE, EBUSY,
			"host '%s' has pool '%s' active, and two hosts at once would destroy it: "
			"export it there; if that host is down for good, 'snapmgr pool import "
			"--force %s' takes it",
			f->host, f->name, f->dir);
	if (strcmp(f->state, SM_FOLDER_ACTIVE) != 0)
		return sm_fail(err, SNAPMGR_BAD_STATE, ENODEV,
			       "pool '%s' is not active: 'snapmgr pool activate %s' brings it up",
			       f->name, f->name);
	return 0;
}

int sm_folder_catalogue(struct sm_pool *pool, const struct sm_folder *f, bool writable,
			struct snapmgr_err *err)
{
	int r;

	(void)snprintf(pool->node, sizeof(pool->node), "%s/", f->dir);
	r = scat_open(pool->node, &f->uuid, writable ? SCAT_OWN : SCAT_READ, &pool->cat, err);
	if (r == 0)
		r = sm_pool_begin(pool, &f->uuid, writable, err);
	if (r < 0)
		return r;
	(void)sm_copy_text(pool->b.dir, sizeof(pool->b.dir), f->dir);
	pool->b.reflink = f->reflink;
	return 0;
}

/* After a reboot nothing is attached any more, and whoever was at work is dead. */
static int see_boot(struct sm_pool *pool, struct sm_folder *f, struct snapmgr_err *err)
{
	struct shost_owner self;
	int r = shost_owner_self(&self, err);

	if (r < 0 || sm_uuid_equal(&self.boot_id, &f->boot_id))
		return r;
	r = sm_recover_abandoned(pool, err);
	return r == 0 ? sm_folder_claim(f, err) : r;
}

static int open_writable(struct sm_folder *f, struct sm_pool *ret, struct snapmgr_err *err)
{
	char lock[SM_POOL_DIR + 32];
	int r;

	sm_folder_lock_name(f->dir, lock);
	r = slock_take(lock, ret->sm->opts.wait_ms, &ret->lock, err);
	if (r == 0) /* again, now that nobody changes it */
		r = sm_folder_read(f->dir, f, err);
	if (r == -ENOENT)
		return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT, "pool '%s' has just been destroyed",
			       f->name);
	if (r == 0)
		r = check_state(f, err);
	if (r == 0)
		r = sm_folder_catalogue(ret, f, true, err);
	if (r == 0)
		r = see_boot(ret, f, err);
	if (r == 0)
		r = sm_pool_finish_others(ret, err);
	return r == 0 && !ret->sm->leave_dead ? sm_rewrite_tend(ret, err) : r;
}

static int open_readable(const struct sm_folder *f, struct sm_pool *ret, struct snapmgr_err *err)
{
	char lock[SM_POOL_DIR + 32];

	sm_folder_lock_name(f->dir, lock);
	if (!slock_ask(lock, &ret->others))
		ret->others = (struct slock_holder){ 0 };
	return sm_folder_catalogue(ret, f, false, err);
}

int sm_folder_open(struct snapmgr *sm, const char *pool, bool writable, struct sm_pool *ret,
		   struct snapmgr_err *err)
{
	struct sm_folder f;
	int r = sm_folder_find(sm, pool, &f, err);

	if (r == 0)
		r = check_state(&f, err);
	if (r < 0)
		return r;
	ret->sm = sm;
	return writable ? open_writable(&f, ret, err) : open_readable(&f, ret, err);
}

int sm_folder_open_any(struct snapmgr *sm, const char *pool, struct sm_folder *f,
		       struct sm_pool *ret, struct snapmgr_err *err)
{
	char lock[SM_POOL_DIR + 32];
	int r = sm_folder_find(sm, pool, f, err);

	if (r < 0)
		return r;
	ret->sm = sm;
	sm_folder_lock_name(f->dir, lock);
	r = slock_take(lock, sm->opts.wait_ms, &ret->lock, err);
	if (r == 0)
		r = sm_folder_read(f->dir, f, err);
	return r == -ENOENT ? sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT,
				      "pool '%s' has just been destroyed", f->name) :
			      r;
}
