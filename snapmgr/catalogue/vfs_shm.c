/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vfs_shm.c - the wal-index in /run/snapmgr/UUID/catalogue-shm.LIFE
 *
 * LIFE is the kernel's number of the mapped device, which no other device ever gets in this boot. So
 * the file is of this activation, whoever else had the pool before, and stays valid while nobody has
 * it open: no command reads the log again that the one before it has indexed. A writer that died in
 * the middle left what SQLite's protocol allows for. The number alone is not believed (a /run on a
 * disk would outlive the boot): the index must end where the log does, see index_fits(). Where there
 * is no such number (a file; a kernel before 5.15), each connection holds a shared lock on ALIVE_BYTE;
 * who gets it exclusively is alone, throws away what the file holds, and SQLite builds it anew from
 * the log.
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

#include "snapmgr/catalogue/bytes.h"
#include "snapmgr/catalogue/lock.h"
#include "snapmgr/catalogue/rundir.h"
#include "snapmgr/catalogue/vfs.h"

#define LOCK_BYTE   120 /* the first of SQLITE_SHM_NLOCK; where SQLite's own VFS has them */
#define ALIVE_BYTE  (LOCK_BYTE + SQLITE_SHM_NLOCK)
#define ALIVE_TRIES 50 /* of a millisecond */

/* SQLite's locks on the wal-index, by their numbers (sqlite.org/walformat.html, 2.2.1). */
enum { WRITE_SLOT, CKPT_SLOT, RECOVER_SLOT, READ_SLOT };

/* The wal-index header, of which there are two copies (sqlite.org/walformat.html, 2.1). */
enum {
	INDEX_INIT_AT = 12,   /* one byte, not 0 */
	INDEX_FRAMES_AT = 16, /* native, as the checksum */
	INDEX_CKSUM_AT = 24,  /* of the last frame, over everything since the header of the log */
	INDEX_SALT_AT = 32,   /* as in the header of the log */
	INDEX_HEADER_BYTES = 48,
	MARKS_AT =
		100, /* five of them, native: behind both headers and the checkpoint's progress */
	WAL_SALT_AT = 16,
	FRAME_SALT_AT = 8,
	FRAME_CKSUM_AT = 16,
};

/* Return: 0, -EAGAIN or another -errno. */
static int lock_bytes(int fd, short type, off_t at, int n)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = n };

	if (SM_STEP("index.lock", fcntl(fd, F_OFD_SETLK, &fl)) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

static int empty_if_alone(int fd)
{
	int r = lock_bytes(fd, F_WRLCK, ALIVE_BYTE, 1);

	if (r == 0 && SM_STEP("index.empty", ftruncate(fd, 0)) < 0)
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
			(void)SM_STEP("index.forget", unlinkat(dirfd(dir), entry->d_name, 0));
	if (dir)
		(void)closedir(dir);
}

/* Return: 1 where the file was made, 0 where it was there, or -errno. */
static int open_or_make(const char *path, int *ret)
{
	*ret = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (*ret >= 0)
		return 0;
	*ret = SM_STEP("index.make", open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
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
	if (r == 0) {
		sm_fd_private(vfs->shm.fd); /* as the pool's lock: see there */
		return SQLITE_OK;
	}
	(void)close(vfs->shm.fd);
	vfs->shm.fd = -1;
	return r == -EAGAIN ? SQLITE_BUSY : scat_vfs_failed(vfs, SQLITE_IOERR_SHMLOCK, r, path);
}

static bool read_log(const struct scat_vfs *vfs, void *buf, size_t len, uint64_t at)
{
	return at + len <= vfs->region.wal_len &&
	       scat_region_read(&vfs->region, buf, len, vfs->region.wal_at + at) == (ssize_t)len;
}

static uint64_t frame_at(uint32_t index)
{
	return SCAT_WAL_HEADER + (uint64_t)index * SCAT_FRAME_BYTES;
}

/* Each frame's checksum goes on from the one before: equal at the last means equal in all. */
static bool ends_with(const struct scat_vfs *vfs, const unsigned char *index, uint32_t frames)
{
	unsigned char frame[SCAT_FRAME_HEADER];
	uint32_t cksum[2];

	memcpy(cksum, index + INDEX_CKSUM_AT, sizeof(cksum));
	return read_log(vfs, frame, sizeof(frame), frame_at(frames - 1)) &&
	       memcmp(frame + FRAME_SALT_AT, index + INDEX_SALT_AT, 8) == 0 &&
	       get_be32(frame + FRAME_CKSUM_AT) == cksum[0] &&
	       get_be32(frame + FRAME_CKSUM_AT + 4) == cksum[1];
}

bool scat_vfs_log_end(const struct scat_vfs *vfs, uint32_t *ret_frames)
{
	unsigned char index[2 * INDEX_HEADER_BYTES], log[SCAT_WAL_HEADER];
	uint32_t frames;

	if (!vfs->shm.regions[0])
		return false;
	memcpy(index, vfs->shm.regions[0], sizeof(index));
	memcpy(&frames, index + INDEX_FRAMES_AT, sizeof(frames));
	if (memcmp(index, index + INDEX_HEADER_BYTES, INDEX_HEADER_BYTES) != 0 ||
	    !index[INDEX_INIT_AT] || !read_log(vfs, log, sizeof(log), 0) ||
	    memcmp(log + WAL_SALT_AT, index + INDEX_SALT_AT, 8) != 0 ||
	    (frames > 0 && !ends_with(vfs, index, frames)))
		return false;
	*ret_frames = frames;
	return true;
}

/* Nor may the log go on behind what the index knows. What fits only a part of this is built anew. */
static bool index_fits(const struct scat_vfs *vfs)
{
	unsigned char last[SCAT_FRAME_HEADER], next[SCAT_FRAME_HEADER];
	uint32_t frames = 0;

	if (!scat_vfs_log_end(vfs, &frames) || frames == 0 ||
	    !read_log(vfs, last, sizeof(last), frame_at(frames - 1)))
		return false;
	return !read_log(vfs, next, sizeof(next), frame_at(frames)) ||
	       memcmp(next + FRAME_SALT_AT, last + FRAME_SALT_AT, 8) != 0;
}

/* Grow the file with real pages, because a mapped hole in a full tmpfs is a SIGBUS. */
static int grow(int fd, off_t bytes, bool extend)
{
	off_t end = lseek(fd, 0, SEEK_END);

	if (end < 0)
		return -errno;
	if (end >= bytes)
		return 1;
	if (!extend)
		return 0;
	return SM_STEP("index.grow", posix_fallocate(fd, end, bytes - end)) == 0 ? 1 : -ENOSPC;
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
		p = sm_map_shared(shm->fd, (size_t)bytes, at);
		if (!p)
			return scat_vfs_failed(vfs, SQLITE_IOERR_SHMMAP, errno, scat_run_dir());
		shm->regions[index] = p;
		shm->region_bytes = (uint32_t)bytes;
		if (index == 0 && vfs->region.life && !index_fits(vfs))
			scat_shm_distrust(vfs);
	}
	*ret = shm->regions[index];
	return SQLITE_OK;
}

/* Is there a read mark that serves a reader of all that is in the log? Anything up to its end does. */
static bool has_mark(const struct scat_vfs *vfs)
{
	uint32_t frames = scat_vfs_frames(vfs), mark;

	for (int i = 1; i < SQLITE_SHM_NLOCK - READ_SLOT; i++) {
		memcpy(&mark, (const char *)vfs->shm.regions[0] + MARKS_AT + i * 4, sizeof(mark));
		if (mark <= frames)
			return true;
	}
	return false;
}

/*
 * Who owns the pool's lock is alone with the readers: nobody else writes, empties the log or builds
 * the index anew. So it needs neither the writer's lock nor one on a read mark of its own, and it moves
 * no mark, which takes an exclusive lock: any mark before its end will do, when nobody acts on it.
 * Return: an SQLite code, or -1 where the kernel has to be asked.
 */
static int needless(const struct scat_vfs *vfs, int offset, int n, bool exclusive)
{
	const unsigned int alone = 1u << CKPT_SLOT | 1u << RECOVER_SLOT;

	if (!vfs->owner || n != 1 || (offset != WRITE_SLOT && offset < READ_SLOT))
		return -1;
	if (offset == WRITE_SLOT || !exclusive)
		return SQLITE_OK;
	return vfs->shm.locked & alone || !has_mark(vfs) ? -1 : SQLITE_BUSY;
}

/* Who does not own the pool's lock has it for as long as it has the writer's. */
static int borrow(struct scat_vfs *vfs)
{
	char uuid[SNAPMGR_UUID_TEXT];

	sm_uuid_text(&vfs->region.pool, uuid);
	vfs->shm.borrowed = slock_borrow(uuid);
	return vfs->shm.borrowed < 0 ? vfs->shm.borrowed : 0;
}

static void give_back(struct scat_vfs *vfs)
{
	if (vfs->shm.borrowed >= 0)
		slock_return(vfs->shm.borrowed);
	vfs->shm.borrowed = -1;
}

static int unlock(struct scat_vfs *vfs, int offset, int n, unsigned int slots)
{
	int r = 0;

	if (vfs->shm.locked & slots)
		r = lock_bytes(vfs->shm.fd, F_UNLCK, LOCK_BYTE + offset, n);
	vfs->shm.locked &= ~slots;
	if (slots & 1u << WRITE_SLOT)
		give_back(vfs);
	return r;
}

int scat_shm_lock(struct scat_vfs *vfs, int offset, int n, int flags)
{
	const unsigned int slots = ((1u << n) - 1) << offset;
	bool exclusive = flags & SQLITE_SHM_EXCLUSIVE;
	int r;

	if (vfs->shm.fd < 0)
		return SQLITE_IOERR_SHMLOCK;
	if (flags & SQLITE_SHM_LOCK) {
		r = needless(vfs, offset, n, exclusive);
		if (r >= 0)
			return r;
		r = lock_bytes(vfs->shm.fd, exclusive ? F_WRLCK : F_RDLCK, LOCK_BYTE + offset, n);
		if (r == 0)
			vfs->shm.locked |= slots;
		if (r == 0 && offset == WRITE_SLOT && !vfs->owner && (r = borrow(vfs)) < 0)
			(void)unlock(vfs, offset, n, slots);
	} else {
		r = unlock(vfs, offset, n, slots);
	}
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
		sm_fd_public(shm->fd);
		(void)close(shm->fd);
		give_back(vfs);
	}
	memset(shm, 0, sizeof(*shm));
	shm->fd = shm->borrowed = -1;
}

uint32_t scat_vfs_frames(const struct scat_vfs *vfs)
{
	uint32_t frames = 0;

	if (vfs->shm.regions[0])
		memcpy(&frames, (const char *)vfs->shm.regions[0] + INDEX_FRAMES_AT,
		       sizeof(frames));
	return frames;
}

/* Both copies of the header made invalid: whoever comes next builds the index anew from the log. */
void scat_shm_distrust(struct scat_vfs *vfs)
{
	if (vfs->shm.regions[0])
		SM_DO("index.distrust", memset(vfs->shm.regions[0], 0, 2 * INDEX_HEADER_BYTES));
}
