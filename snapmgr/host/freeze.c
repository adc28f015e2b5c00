/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Freezing the filesystems on some devices for a snapshot.
 *
 * What lies on a filesystem is frozen before it and thawed after it: a frozen one must have nothing
 * left to write, and thawing writes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "shost.h"
#include "stack.h"
#include "thawer.h"

enum state {
	RUNNING,
	FROZEN,	      /* by us, or by somebody else before */
	OUT_OF_REACH, /* lies on one that somebody else has frozen: it can neither sync nor write */
	NOT_FREEZABLE, /* FAT and the like: synced, and dm's own freeze does for it */
};

struct job {
	struct shost_stack stack;
	int *fds; /* of each filesystem; -1 once given away */
	enum state *states;
	struct shost_freeze out;
};

static const char *target(const struct job *job, size_t i)
{
	return job->stack.fs[i].m->target;
}

/* ---- opening ---- */

/* Only a folder or a plain file: opening anything else may wait, or do something. */
static int reopen(int top)
{
	char path[32];
	struct stat st;
	int fd;

	if (fstat(top, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return -EINVAL;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", top);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int open_mount(const struct shost_mounttab *tab, const struct shost_mountinfo *m)
{
	AUTO(sm_close_fd) int top = shost_mount_open(m, tab->pid);

	return top < 0 ? top : reopen(top);
}

/* Any of a filesystem's mounts serves; one may be hidden under another. */
static int open_any(const struct shost_stack *stack, dev_t fs)
{
	int r = -ENOENT;

	for (size_t t = 0; t < stack->n_tabs; t++)
		for (size_t i = 0; i < stack->tabs[t]->n; i++) {
			const struct shost_mountinfo *m = &stack->tabs[t]->v[i];
			int fd;

			if (m->devno != fs)
				continue;
			fd = open_mount(stack->tabs[t], m);
			if (fd >= 0)
				return fd;
			r = fd;
		}
	return r;
}

static int open_all(struct job *job, struct snapmgr_err *err)
{
	for (size_t i = 0; i < job->stack.n_fs; i++) {
		job->fds[i] = open_any(&job->stack, job->stack.fs[i].m->devno);
		if (job->fds[i] < 0)
			return shost_fail(err, job->fds[i],
					  "cannot freeze the filesystem on '%s': cannot open it",
					  target(job, i));
	}
	return 0;
}

/* ---- freezing ---- */

/* Return: whether it is frozen by this; else errno tells. */
static bool freeze_fd(struct job *job, size_t i)
{
	int e;

	shost_thawer_mark(job->out.thawer, i, true);
	if (SM_STEP("fs.freeze", ioctl(job->fds[i], FIFREEZE, 0)) == 0)
		return true;
	e = errno;
	shost_thawer_mark(job->out.thawer, i, false);
	errno = e;
	return false;
}

static void thaw_fd(struct job *job, size_t i)
{
	(void)SM_STEP("fs.thaw", ioctl(job->fds[i], FITHAW, 0));
	shost_thawer_mark(job->out.thawer, i, false);
}

/*
 * A filesystem that somebody froze blocks the sync of what lies on files in it, beyond SIGKILL.
 * Only freezing it tells; so the lower ones are tried first, and thawed again.
 */
static void find_out_of_reach(struct job *job)
{
	for (size_t i = job->stack.n_fs; i-- > 0;) {
		size_t above = job->stack.fs[i].first_above;

		if (above == i)
			continue;
		if (freeze_fd(job, i))
			thaw_fd(job, i);
		else if (errno == EBUSY)
			for (; above < i; above++)
				job->states[above] = OUT_OF_REACH;
	}
}

static int sync_all(struct job *job, struct snapmgr_err *err)
{
	for (size_t i = 0; i < job->stack.n_fs; i++)
		if (job->states[i] == RUNNING && SM_STEP("fs.sync", syncfs(job->fds[i])) < 0)
			return sm_fail(err, SNAPMGR_IO, errno, "cannot sync the filesystem on '%s'",
				       target(job, i));
	return 0;
}

static int freeze_one(struct job *job, size_t i, struct snapmgr_err *err)
{
	if (freeze_fd(job, i)) {
		job->out.fds[job->out.n++] = job->fds[i];
		job->fds[i] = -1;
		job->states[i] = FROZEN;
		return 0;
	}
	switch (errno) {
	case EBUSY:
		job->states[i] = FROZEN;
		return 0;
	case EOPNOTSUPP:
	case ENOTTY:
		job->states[i] = NOT_FREEZABLE;
		return 0;
	case EPERM:
	case EACCES:
		return sm_fail(err, SNAPMGR_PERMISSION, errno,
			       "cannot freeze the filesystem on '%s'", target(job, i));
	default:
		return sm_fail(err, SNAPMGR_KERNEL, errno, "cannot freeze the filesystem on '%s'",
			       target(job, i));
	}
}

static int freeze_all(struct job *job, struct snapmgr_err *err)
{
	int r = 0;

	if (job->stack.n_fs)
		r = shost_thawer_start(job->fds, job->stack.n_fs, &job->out.thawer, err);
	if (r == 0) {
		find_out_of_reach(job);
		r = sync_all(job, err);
	}
	for (size_t i = 0; r == 0 && i < job->stack.n_fs; i++)
		if (job->states[i] == RUNNING)
			r = freeze_one(job, i, err);
	return r;
}

/* The devices asked for come first in the stack's list. */
static void tell_devices(struct job *job)
{
	for (size_t d = 0; d < job->out.n_devices; d++)
		for (size_t i = 0; i < job->stack.n_fs; i++) {
			const struct shost_stack_fs *fs = &job->stack.fs[i];

			if (job->states[i] == FROZEN &&
			    shost_fsdev_use(&job->stack.devs[d].dev, fs->m, fs->tab->pid) !=
				    SHOST_USE_NONE)
				job->out.has_fs[d] = true;
		}
}

static int prepare(struct job *job, size_t n_devices)
{
	size_t n = job->stack.n_fs;

	job->fds = malloc((n + 1) * sizeof(*job->fds));
	job->states = calloc(n + 1, sizeof(*job->states));
	job->out.fds = calloc(n + 1, sizeof(*job->out.fds));
	job->out.has_fs = calloc(n_devices + 1, sizeof(*job->out.has_fs));
	job->out.n_devices = n_devices;
	for (size_t i = 0; job->fds && i < n; i++)
		job->fds[i] = -1;
	return job->fds && job->states && job->out.fds && job->out.has_fs ? 0 : -ENOMEM;
}

static void release(struct job *job)
{
	for (size_t i = 0; job->fds && i < job->stack.n_fs; i++)
		sm_close_fd(job->fds[i]);
	free(job->fds);
	free(job->states);
	shost_stack_release(&job->stack);
}

int shost_freeze(const dev_t *devices, size_t n, struct shost_freeze *ret, struct snapmgr_err *err)
{
	struct job job = { 0 };
	int r = shost_stack_find(&job.stack, devices, n);

	if (r < 0)
		r = shost_fail(err, r, "cannot tell which filesystems are to be frozen");
	else if (prepare(&job, n) < 0)
		r = sm_nomem(err);
	if (r == 0)
		r = open_all(&job, err);
	if (r == 0)
		r = freeze_all(&job, err);
	if (r == 0) {
		tell_devices(&job);
		*ret = job.out;
	} else {
		shost_thaw(&job.out);
	}
	release(&job);
	return r;
}

void shost_thaw(struct shost_freeze *freeze)
{
	for (size_t i = freeze->n; i-- > 0;) {
		(void)SM_STEP("fs.thaw", ioctl(freeze->fds[i], FITHAW, 0));
		sm_close_fd(freeze->fds[i]);
	}
	shost_thawer_end(freeze->thawer);
	free(freeze->fds);
	free(freeze->has_fs);
	*freeze = (struct shost_freeze){ 0 };
}
