/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vfs_shm.c - the wal-index in /run/snapmgr/UUID/catalogue-shm.LIFE
 *
 * LIFE is the kernel's number of the mapped device, which no other device ever gets in this boot. So
 * the file is of this activation, whoever else had the pool before, and stays valid while nobody has
 * it open: no command reads the log again that the one before it has indexed. A writer that died in
 * the middle left what SQLite's protocol allows for. Where there is no such number (a file; a kernel
 * before 5.15), each connection holds a shared lock on ALIVE_BYTE; who gets it exclusively is alone,
 * throws away what the file holds, and SQLite builds it anew from the log.
 *
 * Locks are open-file-description locks: they belong to the connection, not to the process.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "snapmgr/catalogue/rundir.h"
#include "snapmgr/catalogue/vfs.h"

#define LOCK_BYTE   120 /* the first of SQLITE_SHM_NLOCK; where SQLite's own VFS has them */
#define ALIVE_BYTE  (LOCK_BYTE + SQLITE_SHM_NLOCK)
#define ALIVE_TRIES 50 /* of a millisecond */
#define MXFRAME_AT  16 /* in the wal-index header; a native 32 bit integer */

/* Return: 0, -EAGAIN or another -errno. */
static int lock_bytes(int fd, short type, off_t at, int n)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = n };

	if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

static int empty_if_alone(int fd)
{
	int r = lock_bytes(fd, F_WRLCK, ALIVE_BYTE, 1);

	if (r == 0 && ftruncate(fd, 0) < 0)
		r = -errno;
	if (r == 0 || r == -EAGAIN)
		r = lock_bytes(fd, F_RDLCK, ALIVE_BYTE, 1);
	return r;
}

/* Somebody holds ALIVE_BYTE exclusively only for a moment. */
static int say_alive(int fd)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int r = empty_if_alone(fd);

	for (int i = 0; r == -EAGAIN && i < ALIVE_TRIES; i++) {
		(void)nanosleep(&pause, NULL);
		r = empty_if_alone(fd);
	}
	return r;
}

/* Those of earlier lives. */
static void remove_others(const char *folder, const char *mine)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (strncmp(entry->d_name, "catalogue-shm", 13) == 0 &&
		    strcmp(entry->d_name, mine) != 0)
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		(void)closedir(dir);
}

/* Return: 1 where the file was made, 0 where it was there, or -errno. */
static int open_or_make(const char *path, int *ret)
{
	*ret = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (*ret >= 0)
		return 0;
	*ret = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return *ret >= 0 ? 1 : -errno;
}

static int open_shm(struct scat_vfs *vfs)
{
	char uuid[SNAPMGR_UUID_TEXT], folder[SCAT_RUN_PATH], name[40], path[SCAT_RUN_PATH + 41];
	struct snapmgr_err err;
	int r;

	sm_uuid_text(&vfs->region.pool, uuid);
	(void)snprintf(folder, sizeof(folder), "%s/%s", scat_run_dir(), uuid);
	(void)snprintf(name, sizeof(name), "catalogue-shm.%llu",
		       (unsigned long long)vfs->region.life);
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	r = open_or_make(path, &vfs->shm.fd);
	if (r == -ENOENT) {
		if (sm_mkdir_p(folder, 0700, &err) < 0)
			return scat_vfs_failed(vfs, SQLITE_IOERR_SHMOPEN, err.errnum, folder);
		r = open_or_make(path, &vfs->shm.fd);
	}
	if (r < 0)
		return scat_vfs_failed(vfs, SQLITE_IOERR_SHMOPEN, r, path);
	if (r > 0)
		remove_others(folder, name);
	r = vfs->region.life ? 0 : say_alive(vfs->shm.fd);
	if (r == 0)
		return SQLITE_OK;
	(void)close(vfs->shm.fd);
	vfs->shm.fd = -1;
	return r == -EAGAIN ? SQLITE_BUSY : scat_vfs_failed(vfs, SQLITE_IOERR_SHMLOCK, r, path);
}

/* Grow the file with real pages, because a mapped hole in a full tmpfs is a SIGBUS. */
static int grow(int fd, off_t bytes, bool extend)
{
	off_t end = lseek(fd, 0, SEEK_END);

	if (end < 0)
		return -errno;
	if (end >= bytes)
		return 1;
	return extend ? (posix_fallocate(fd, end, bytes - end) == 0 ? 1 : -ENOSPC) : 0;
}

int scat_shm_map(struct scat_vfs *vfs, int index, int bytes, bool extend, void volatile **ret)
{
	struct scat_shm *shm = &vfs->shm;
	off_t at = (off_t)index * bytes;
	void *p;
	int r;

	*ret = NULL;
	if (index < 0 || index >= SCAT_SHM_REGIONS)
		return scat_vfs_failed(vfs, SQLITE_IOERR_SHMSIZE, EFBIG, NULL);
	if (shm->fd < 0) {
		r = open_shm(vfs);
		if (r != SQLITE_OK)
			return r;
	}
	if (!shm->regions[index]) {
		r = grow(shm->fd, at + bytes, extend);
		if (r < 0)
			return scat_vfs_failed(vfs, SQLITE_IOERR_SHMSIZE, r, scat_run_dir());
		if (r == 0)
			return SQLITE_OK;
		p = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, shm->fd, at);
		if (p == MAP_FAILED)
			return scat_vfs_failed(vfs, SQLITE_IOERR_SHMMAP, errno, scat_run_dir());
		shm->regions[index] = p;
		shm->region_bytes = (uint32_t)bytes;
	}
	*ret = shm->regions[index];
	return SQLITE_OK;
}

int scat_shm_lock(struct scat_vfs *vfs, int offset, int n, int flags)
{
	short type = F_UNLCK;
	int r;

	if (vfs->shm.fd < 0)
		return SQLITE_IOERR_SHMLOCK;
	if (flags & SQLITE_SHM_LOCK)
		type = flags & SQLITE_SHM_EXCLUSIVE ? F_WRLCK : F_RDLCK;
	r = lock_bytes(vfs->shm.fd, type, LOCK_BYTE + offset, n);
	if (r == -EAGAIN)
		return SQLITE_BUSY;
	return r == 0 ? SQLITE_OK : scat_vfs_failed(vfs, SQLITE_IOERR_SHMLOCK, r, scat_run_dir());
}

/* Unlocks by name, because a forked child that still has the descriptor would keep the locks. */
void scat_shm_unmap(struct scat_vfs *vfs)
{
	struct scat_shm *shm = &vfs->shm;

	for (int i = 0; i < SCAT_SHM_REGIONS; i++)
		if (shm->regions[i])
			(void)munmap(shm->regions[i], shm->region_bytes);
	if (shm->fd >= 0) {
		(void)lock_bytes(shm->fd, F_UNLCK, 0, 0);
		(void)close(shm->fd);
	}
	memset(shm, 0, sizeof(*shm));
	shm->fd = -1;
}

uint32_t scat_vfs_frames(const struct scat_vfs *vfs)
{
	uint32_t frames = 0;

	if (vfs->shm.regions[0])
		memcpy(&frames, (const char *)vfs->shm.regions[0] + MXFRAME_AT, sizeof(frames));
	return frames;
}

/* Both copies of the header made invalid: whoever comes next builds the index anew from the log. */
void scat_shm_distrust(struct scat_vfs *vfs)
{
	if (vfs->shm.regions[0])
		memset(vfs->shm.regions[0], 0, 96);
}
