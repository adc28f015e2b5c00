/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nobody else uses a volume that is a file: its loop device is held with O_EXCL, and the file with a
 * write lease, which the kernel grants only where nobody else has it open, whoever that is. With its
 * own loop device attached there is always one, and then the open files of all processes are looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "snapmgr/core/core.h"

static int first_holder(const struct shost_holder *holder, void *data)
{
	*(struct shost_holder *)data = *holder;
	return 1;
}

/* Return: 1 where somebody else has it open, 0, or a negative errno. */
static int look(const struct sm_claim *claim, struct shost_holder *ret, struct snapmgr_err *err)
{
	int r = shost_file_users(claim->fd, claim->info.exists ? claim->info.name : "",
				 first_holder, ret, err);

	if (r != 0 || !claim->info.exists)
		return r;
	return shost_holders(makedev(claim->info.major, claim->info.minor), SHOST_PROCESS,
			     first_holder, ret, err);
}

/* Return: 1 with nobody else at it, 0 with somebody, -EINVAL and others where that cannot be said. */
static int lease(int fd)
{
	struct statfs fs;

	/* Who opens it meanwhile waits, and we need no word of it. */
	if (SM_STEP("claim.signal", fcntl(fd, F_SETSIG, SIGURG)) < 0)
		return -errno;
	if (SM_STEP("claim.lease", fcntl(fd, F_SETLEASE, F_WRLCK)) == 0)
		return 1;
	/* NFS says EAGAIN, too, where its server handed out no delegation, which tells nothing. */
	if (fstatfs(fd, &fs) == 0 && fs.f_type == NFS_SUPER_MAGIC)
		return -EINVAL;
	return errno == EAGAIN || errno == EBUSY ? 0 : -errno;
}

static int nobody_else(struct sm_claim *claim, struct shost_holder *ret, struct snapmgr_err *err)
{
	int r = claim->info.exists ? -EINVAL : lease(claim->fd);

	*ret = (struct shost_holder){ 0 };
	if (r >= 0)
		return r;
	r = look(claim, ret, err);
	return r < 0 ? r : !r;
}

static int open_file(const struct sm_pool *pool, const struct sm_vdev *v, const char *spec,
		     struct snapmgr_err *err)
{
	char path[SM_POOL_DIR + SNAPMGR_NAME_MAX + 8];
	struct stat st;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s.img", pool->b.dir, v->volume);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	if (fd >= 0 || errno == ENOENT || errno == ELOOP) {
		sm_close_fd(fd);
		return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN,
			       "the file '%s' of '%s' is missing: bring it back to where it was",
			       path, spec);
	}
	if (errno == EWOULDBLOCK)
		return sm_fail(err, SNAPMGR_IN_USE, EBUSY,
			       "'%s' is in use: somebody has a lease on '%s'", spec, path);
	return sm_fail(err, errno == EACCES ? SNAPMGR_PERMISSION : SNAPMGR_IO, errno,
		       "cannot open '%s'", path);
}

static int claim_volume(struct sm_pool *pool, const char *spec, bool online, uint64_t *deadline_ns,
			struct sm_claim *claim, struct snapmgr_err *err)
{
	struct shost_holder holder;
	int r;

	for (;;) {
		r = nobody_else(claim, &holder, err);
		if (r < 0)
			return r;
		claim->others = r == 0;
		if (!claim->others || (online && sm_driver_online(pool->b.driver, &pool->b)))
			return 0;
		if (sm_claim_passed(deadline_ns))
			break;
		sm_claim_pause();
	}
	if (!holder.kind && look(claim, &holder, NULL) <= 0)
		return sm_fail(err, SNAPMGR_IN_USE, EBUSY,
			       "'%s' is in use: its file is open elsewhere", spec);
	if (online)
		return sm_fail(
			err, SNAPMGR_IN_USE, EBUSY,
			"'%s' is in use: %s; the filesystem of '%s' cannot share extents, so that it "
			"is copied, which --online cannot hide",
			spec, holder.what, pool->b.dir);
	return sm_claim_refuse(spec, &holder, err);
}

/* Above the standard files, so that 0 can mean none. */
static int keep_node(struct sm_claim *claim, int fd)
{
	claim->node = fd > 2 ? fd : SM_STEP("claim.node", fcntl(fd, F_DUPFD_CLOEXEC, 3));
	if (claim->node != fd)
		(void)close(fd);
	return claim->node;
}

int sm_claim_file(struct sm_pool *pool, const struct sm_vdev *v, const char *spec, bool online,
		  struct sm_claim *ret, struct snapmgr_err *err)
{
	uint64_t deadline_ns = 0;
	AUTO(sm_claim_drop) struct sm_claim claim = { .fd = -1 };
	struct shost_holder holder;
	int r = sm_vdev_info(&pool->b, v, &claim.info, err);

	if (r == 0 && claim.info.exists) {
		r = sm_claim_node(&claim.info, spec, &deadline_ns, err);
		if (r >= 0)
			r = keep_node(&claim, r);
	}
	if (r < 0)
		return r;
	if (v->dm.read_only) { /* its file is ours alone; its loop device may be open */
		claim.mapped = claim.info.exists;
		r = claim.mapped ? shost_holders(makedev(claim.info.major, claim.info.minor),
						 SHOST_PROCESS, first_holder, &holder, err) :
				   0;
		if (r > 0)
			return sm_claim_refuse(spec, &holder, err);
	} else {
		claim.mapped = true;
		r = claim.fd = open_file(pool, v, spec, err);
		if (r >= 0)
			r = claim_volume(pool, spec, online, &deadline_ns, &claim, err);
	}
	if (r < 0)
		return r;
	*ret = claim;
	claim = (struct sm_claim){ .fd = -1 };
	return 0;
}
