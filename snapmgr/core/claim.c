/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Nobody else uses the device: held with O_EXCL, and looked at where O_EXCL is blind. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include <linux/fs.h>

#include "snapmgr/core/core.h"

#define PATIENCE_MS 1000 /* udev opens what has just changed, for a moment */
#define PAUSE_MS    20

void sm_claim_drop(struct sm_claim *claim)
{
	sm_fd_public(claim->fd);
	sm_close_fd(claim->fd);
	claim->fd = -1;
	if (claim->node > 0)
		sm_close_fd(claim->node);
	claim->node = 0;
}

static int first_holder(const struct shost_holder *holder, void *data)
{
	*(struct shost_holder *)data = *holder;
	return 1;
}

/* 1 where @kinds have a holder, 0 where not. */
static int look(const struct sdm_info *info, unsigned int kinds, struct shost_holder *ret,
		struct snapmgr_err *err)
{
	return shost_holders(makedev(info->major, info->minor), kinds, first_holder, ret, err);
}

int sm_claim_refuse(const char *spec, const struct shost_holder *holder, struct snapmgr_err *err)
{
	static const struct {
		unsigned int kind;
		const char *way_out;
	} ways[] = {
		{ SHOST_MOUNT, "unmount it first (revert and undo: or use --remount)" },
		{ SHOST_SWAP, "run swapoff first" },
		{ SHOST_HOLDER, "take that device down first" },
		{ SHOST_LOOP, "detach it with 'losetup -d' first" },
		{ SHOST_PROCESS,
		  "end it first (revert and undo: or use --online where it can follow a change underneath)" },
	};
	const char *way_out = "";

	for (size_t i = 0; i < SM_ARRAY(ways); i++) {
		if (holder->kind == ways[i].kind)
			way_out = ways[i].way_out;
	}
	return sm_fail(err, SNAPMGR_IN_USE, EBUSY, "'%s' is in use: %s; %s", spec, holder->what,
		       way_out);
}

void sm_claim_pause(void)
{
	const struct timespec t = { .tv_nsec = PAUSE_MS * 1000000L };

	(void)nanosleep(&t, NULL);
}

/* Who asks first sets it. */
bool sm_claim_passed(uint64_t *deadline_ns)
{
	const uint64_t now_ns = sm_monotonic_ns();

	if (!*deadline_ns)
		*deadline_ns = now_ns + (uint64_t)PATIENCE_MS * 1000000;
	return now_ns > *deadline_ns;
}

/* Exclusive use, as a mount or dm would claim it. Read-only, so that closing it is no news to udev. */
int sm_claim_node(const struct sdm_info *info, const char *spec, uint64_t *deadline_ns,
		  struct snapmgr_err *err)
{
	struct shost_holder holder;

	for (;;) {
		struct snapmgr_err why;
		int fd = sm_node_open(info, O_RDONLY | O_EXCL, &why);
		int r;

		if (fd >= 0)
			return fd;
		if (fd != -EBUSY) {
			if (err)
				*err = why;
			return fd;
		}
		r = look(info, SHOST_MOUNT | SHOST_SWAP | SHOST_HOLDER, &holder, err);
		if (r < 0)
			return r;
		if (r > 0)
			return sm_claim_refuse(spec, &holder, err);
		if (sm_claim_passed(deadline_ns))
			break;
		sm_claim_pause();
	}
	if (look(info, SHOST_PROCESS, &holder, NULL) > 0)
		return sm_claim_refuse(spec, &holder, err);
	return sm_fail(err, SNAPMGR_IN_USE, EBUSY, "'%s' is in use: somebody holds it exclusively",
		       spec);
}

/* Others that have it open beside us: with @online that is their right. */
static int wait_for_openers(const char *spec, bool online, uint64_t *deadline_ns,
			    struct sm_claim *claim, struct snapmgr_err *err)
{
	struct shost_holder holder;

	for (;;) {
		int r;

		claim->others = claim->info.open_count > 1;
		if (!claim->others || online)
			return 0;
		if (sm_claim_passed(deadline_ns))
			break;
		sm_claim_pause();
		r = sdm_info(claim->info.name, &claim->info, err);
		if (r < 0)
			return r;
	}
	if (look(&claim->info, SHOST_PROCESS, &holder, NULL) > 0)
		return sm_claim_refuse(spec, &holder, err);
	return sm_fail(err, SNAPMGR_IN_USE, EBUSY, "'%s' is open elsewhere (%u times)", spec,
		       claim->info.open_count - 1);
}

int sm_claim_trial(const struct sm_pool *pool, const struct sm_vdev *v, const char *spec,
		   unsigned int kinds, struct snapmgr_err *err)
{
	struct shost_holder holder;
	struct sdm_info info;
	int r = sm_vdev_info(&pool->b, v, &info, err);

	if (r < 0 || !info.exists)
		return r;
	r = look(&info, kinds, &holder, err);
	return r > 0 ? sm_claim_refuse(spec, &holder, err) : r;
}

int sm_claim_flush(const struct sm_claim *claim, const char *spec, struct snapmgr_err *err)
{
	struct stat st;

	if (claim->fd >= 0 && fstat(claim->fd, &st) == 0 && S_ISREG(st.st_mode))
		return 0; /* its driver does, with that of its loop device */
	if (claim->fd < 0 || SM_STEP("claim.flush", ioctl(claim->fd, BLKFLSBUF, 0)) == 0)
		return 0;
	return sm_fail(err, SNAPMGR_IO, errno, "cannot write back the cache of '%s'", spec);
}

int sm_claim_lightly(struct sm_pool *pool, const struct sm_vdev *v, const char *spec, bool online,
		     struct sm_claim *ret, struct snapmgr_err *err)
{
	struct sm_claim claim = { .fd = -1 };
	int r = sdm_info(v->dm.name, &claim.info, err);

	if (r < 0)
		return r;
	if (claim.info.exists && (claim.info.suspended || claim.info.open_count > 0))
		return sm_claim(pool, v, spec, online, ret, err);
	claim.mapped = claim.alone = claim.info.exists;
	*ret = claim;
	return 0;
}

int sm_claim(struct sm_pool *pool, const struct sm_vdev *v, const char *spec, bool online,
	     struct sm_claim *ret, struct snapmgr_err *err)
{
	uint64_t deadline_ns = 0;
	AUTO(sm_claim_drop) struct sm_claim claim = { .fd = -1 };
	struct shost_holder holder;
	int r;

	if (pool->b.dir[0])
		return sm_claim_file(pool, v, spec, online, ret, err);
	r = sdm_info(v->dm.name, &claim.info, err);

	if (r < 0)
		return r;
	claim.mapped = claim.info.exists;
	if (claim.info.suspended)
		return sm_fail(err, SNAPMGR_BAD_STATE, EBUSY,
			       "'%s' is suspended: 'snapmgr recover' resumes it", spec);
	if (claim.mapped) {
		r = claim.fd = sm_claim_node(&claim.info, spec, &deadline_ns, err);
		sm_fd_private(claim.fd); /* a forked child would keep it claimed */
		claim.info.open_count++; /* ours. Who comes from here on is seen under suspension */
		if (r >= 0)
			r = claim.info.open_count > 1 ? sdm_info(v->dm.name, &claim.info, err) : 0;
		if (r == 0 &&
		    claim.info.open_count > 1) /* a loop device is one that O_EXCL does not see */
			r = look(&claim.info, SHOST_LOOP, &holder, err);
		if (r > 0)
			return sm_claim_refuse(spec, &holder, err);
		if (r == 0)
			r = wait_for_openers(spec, online, &deadline_ns, &claim, err);
		if (r < 0)
			return r;
	}
	*ret = claim;
	claim.fd = -1;
	return 0;
}
