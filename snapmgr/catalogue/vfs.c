/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vfs.c - SQLite's files inside a region
 *
 * The database and its write-ahead log are areas of a device, which have no length of their own:
 * the database's comes from its first page, and the log is as long as its area once it has a header
 * (SQLite stops at the first frame whose salt or checksum is not of that header). Nothing else is
 * ever opened: no rollback journal, no temporary file.
 */
#include "snapmgr/catalogue/vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "snapmgr/catalogue/bytes.h"

#define DB_HEADER_BYTES 100
#define HELD_MAX	(128 * SM_KIB)
#define DB_PAGES_AT	28
#define WAL_MAGIC	UINT32_C(0x377f0682) /* the lowest bit tells the checksums' byte order */

static const char db_magic[16] = "SQLite format 3";

struct file {
	sqlite3_file base;
	struct scat_vfs *vfs;
	bool wal;
};

static struct file *file_of(sqlite3_file *f)
{
	return (struct file *)f;
}

int scat_vfs_failed(struct scat_vfs *vfs, int code, int errnum, const char *path)
{
	vfs->errnum = errnum < 0 ? -errnum : errnum;
	(void)snprintf(vfs->failed_path, sizeof(vfs->failed_path), "%s",
		       path ? path : vfs->region.path);
	return code;
}

/* ---- held writes ---- */

/*
 * SQLite writes a frame in two pieces, and a commit frame by frame: dozens of calls for what is one
 * stretch of the log. They are held back and written as one before anybody could look: at a read of
 * the log, at a flush, and at the barrier that SQLite raises before it publishes the frames in the
 * wal-index. The barrier cannot fail, so scat_commit() asks for held_error.
 */
int scat_vfs_release(struct scat_vfs *vfs)
{
	size_t len = vfs->held_len;
	int r;

	if (!len)
		return 0;
	vfs->held_len = 0;
	r = scat_region_write(&vfs->region, vfs->held, len, vfs->held_at);
	if (r < 0)
		vfs->held_error = r;
	return r;
}

/* Return: true where it is held now. */
static bool hold(struct scat_vfs *vfs, const void *buf, size_t len, uint64_t at)
{
	if (!vfs->held)
		vfs->held = malloc(HELD_MAX);
	if (!vfs->held || len > HELD_MAX - vfs->held_len ||
	    (vfs->held_len && at != vfs->held_at + vfs->held_len))
		return false;
	if (!vfs->held_len)
		vfs->held_at = at;
	memcpy(vfs->held + vfs->held_len, buf, len);
	vfs->held_len += len;
	return true;
}

/* What follows the log's last frame is nobody's: a page of it that is written whole is not read first. */
static void fill_page(struct scat_vfs *vfs)
{
	uint64_t end = vfs->held_at + vfs->held_len;
	size_t rest = (size_t)((SCAT_PAGE_BYTES - end % SCAT_PAGE_BYTES) % SCAT_PAGE_BYTES);

	if (rest > HELD_MAX - vfs->held_len)
		return;
	memset(vfs->held + vfs->held_len, 0, rest);
	vfs->held_len += rest;
}

/*
 * SQLite ends a durable commit with its last page once more, so that no later one shares a sector with
 * it: up to the sector's end before the flush, and the rest after it. That rest would be a call of its
 * own, and a page that is still dirty when the device is closed. Here it goes along before the flush;
 * when SQLite comes with it, it is compared.
 */
static void foresee(struct scat_vfs *vfs)
{
	uint64_t end = vfs->held_at + vfs->held_len - vfs->region.wal_at;
	size_t part = (size_t)((end - SCAT_WAL_HEADER) % SCAT_FRAME_BYTES);
	size_t rest = SCAT_FRAME_BYTES - part;

	if (end < SCAT_WAL_HEADER || part < SCAT_FRAME_HEADER ||
	    vfs->held_len < part + SCAT_FRAME_BYTES || rest > HELD_MAX - vfs->held_len ||
	    end + rest > vfs->region.wal_len)
		return;
	vfs->foreseen_at = vfs->held_at + vfs->held_len;
	vfs->foreseen = vfs->held + vfs->held_len;
	vfs->foreseen_len = rest;
	memcpy(vfs->held + vfs->held_len, vfs->foreseen - SCAT_FRAME_BYTES, rest);
	vfs->held_len += rest;
	fill_page(vfs);
}

/* Return: whether it was written already. */
static bool was_foreseen(struct scat_vfs *vfs, const void *buf, size_t len, uint64_t at)
{
	size_t foreseen_len = vfs->foreseen_len;

	vfs->foreseen_len = 0;
	return foreseen_len && len == foreseen_len && at == vfs->foreseen_at &&
	       memcmp(buf, vfs->foreseen, len) == 0;
}

static int write_log(struct scat_vfs *vfs, const void *buf, size_t len, uint64_t at)
{
	int r;

	if (was_foreseen(vfs, buf, len, at))
		return 0;
	if (hold(vfs, buf, len, at))
		return 0;
	r = scat_vfs_release(vfs);
	if (r < 0 || hold(vfs, buf, len, at))
		return r;
	return scat_region_write(&vfs->region, buf, len, at);
}

/* ---- the two areas ---- */

static uint64_t area_at(const struct file *f)
{
	return f->wal ? f->vfs->region.wal_at : f->vfs->region.db_at;
}

/* @wanted: how far the caller reaches */
static uint64_t area_len(struct file *f, uint64_t wanted)
{
	return f->wal ? f->vfs->region.wal_len : scat_region_db_len(&f->vfs->region, wanted);
}

static int close_file(sqlite3_file *base)
{
	(void)base;
	return SQLITE_OK; /* scat_vfs_close() closes the region */
}

/* What lies behind the area's end, or the device's, reads as zeroes; SQLite wants it like that. */
static int read_file(sqlite3_file *base, void *buf, int amount, sqlite3_int64 at)
{
	struct file *f = file_of(base);
	uint64_t from = (uint64_t)at, want = (uint64_t)amount, len = area_len(f, from + want);
	ssize_t n;
	int r = f->wal ? scat_vfs_release(f->vfs) : 0;

	if (r < 0)
		return scat_vfs_failed(f->vfs, SQLITE_IOERR_WRITE, r, NULL);
	if (from >= len)
		want = 0;
	else if (want > len - from)
		want = len - from;
	n = scat_region_read(&f->vfs->region, buf, want, area_at(f) + from);
	if (n < 0)
		return scat_vfs_failed(f->vfs, SQLITE_IOERR_READ, (int)n, NULL);
	if (n == amount)
		return SQLITE_OK;
	memset((char *)buf + n, 0, (size_t)(amount - n));
	return SQLITE_IOERR_SHORT_READ;
}

static int write_file(sqlite3_file *base, const void *buf, int amount, sqlite3_int64 at)
{
	struct file *f = file_of(base);
	uint64_t from = (uint64_t)at, want = (uint64_t)amount, len = area_len(f, from + want);
	int r;

	if (from > len || want > len - from) {
		if (f->wal)
			f->vfs->wal_full = true;
		else
			f->vfs->db_full = true;
		return scat_vfs_failed(f->vfs, SQLITE_FULL, ENOSPC, NULL);
	}
	if (f->wal && at == 0)
		f->vfs->wal_header_written = true;
	r = f->wal ? write_log(f->vfs, buf, want, area_at(f) + from) :
		     scat_region_write(&f->vfs->region, buf, want, area_at(f) + from);
	return r == 0 ? SQLITE_OK : scat_vfs_failed(f->vfs, SQLITE_IOERR_WRITE, r, NULL);
}

static int empty_wal(struct scat_vfs *vfs)
{
	static const unsigned char zeroes[SCAT_WAL_HEADER];
	int r = scat_vfs_release(vfs);

	if (r < 0)
		return scat_vfs_failed(vfs, SQLITE_IOERR_TRUNCATE, r, NULL);
	r = scat_region_write(&vfs->region, zeroes, sizeof(zeroes), vfs->region.wal_at);

	return r == 0 ? SQLITE_OK : scat_vfs_failed(vfs, SQLITE_IOERR_TRUNCATE, r, NULL);
}

/* An area keeps its length, so only "empty the log" means anything. */
static int truncate_file(sqlite3_file *base, sqlite3_int64 size)
{
	struct file *f = file_of(base);

	return f->wal && size == 0 ? empty_wal(f->vfs) : SQLITE_OK;
}

int scat_vfs_sync(struct scat_vfs *vfs)
{
	int r = scat_vfs_release(vfs);

	if (r == 0)
		r = SM_STEP("region.flush", fdatasync(vfs->region.fd)) == 0 ? 0 : -errno;
	vfs->syncs++;
	vfs->wal_header_written = false;
	if (r < 0)
		vfs->foreseen_len = 0;
	if (r < 0) /* the kernel now calls pages clean that never arrived: read them again */
		scat_region_forget(&vfs->region);
	return r;
}

/*
 * A commit that need not be durable skips its flush, but not the one that follows a new log header:
 * before that has arrived, a frame written over an old one could revive the old log's beginning.
 */
static int sync_file(sqlite3_file *base, int flags)
{
	struct file *f = file_of(base);
	int r;

	(void)flags;
	if (f->wal && f->vfs->skip_sync && !f->vfs->wal_header_written) {
		f->vfs->skipped_syncs++;
		r = scat_vfs_release(f->vfs); /* here its failure can still fail the commit */
		return r == 0 ? SQLITE_OK : scat_vfs_failed(f->vfs, SQLITE_IOERR_WRITE, r, NULL);
	}
	if (f->wal && f->vfs->held_len)
		foresee(f->vfs);
	r = scat_vfs_sync(f->vfs);
	return r == 0 ? SQLITE_OK : scat_vfs_failed(f->vfs, SQLITE_IOERR_FSYNC, r, NULL);
}

static int wal_size(struct scat_vfs *vfs, sqlite3_int64 *ret)
{
	unsigned char magic[4] = { 0 };
	ssize_t n = scat_vfs_release(vfs);

	if (n == 0)
		n = scat_region_read(&vfs->region, magic, sizeof(magic), vfs->region.wal_at);

	if (n < 0)
		return scat_vfs_failed(vfs, SQLITE_IOERR_FSTAT, (int)n, NULL);
	*ret = (get_be32(magic) & ~UINT32_C(1)) == WAL_MAGIC ? (sqlite3_int64)vfs->region.wal_len :
							       0;
	return SQLITE_OK;
}

/*
 * There is no database yet; or a power cut spoilt its first page while a checkpoint wrote it, and
 * the log has a whole one. SQLite must not take that for empty: it would delete the log.
 */
static int torn_db_size(struct scat_vfs *vfs, sqlite3_int64 *ret)
{
	sqlite3_int64 wal = 0;
	int r = wal_size(vfs, &wal);

	*ret = wal > 0 ? SCAT_PAGE_BYTES : 0;
	return r;
}

static int db_size(struct scat_vfs *vfs, sqlite3_int64 *ret)
{
	unsigned char header[DB_HEADER_BYTES] = { 0 };
	ssize_t n = scat_region_read(&vfs->region, header, sizeof(header), vfs->region.db_at);
	uint64_t size, len;

	if (n < 0)
		return scat_vfs_failed(vfs, SQLITE_IOERR_FSTAT, (int)n, NULL);
	if (memcmp(header, db_magic, sizeof(db_magic)) != 0)
		return torn_db_size(vfs, ret);
	size = (uint64_t)get_be32(header + DB_PAGES_AT) * SCAT_PAGE_BYTES;
	if (size == 0)
		size = SCAT_PAGE_BYTES;
	len = scat_region_db_len(&vfs->region, size);
	*ret = (sqlite3_int64)(size < len ? size : len);
	return SQLITE_OK;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *ret)
{
	struct file *f = file_of(base);

	return f->wal ? wal_size(f->vfs, ret) : db_size(f->vfs, ret);
}

/*
 * Locks on the database itself only matter to rollback journals: in WAL mode all is decided by the
 * locks on the wal-index, and scat_format() has the region for itself.
 */
static int lock_file(sqlite3_file *base, int level)
{
	(void)base;
	(void)level;
	return SQLITE_OK;
}

static int check_reserved(sqlite3_file *base, int *ret)
{
	(void)base;
	*ret = 0;
	return SQLITE_OK;
}

static int file_control(sqlite3_file *base, int op, void *arg)
{
	(void)base;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int sector_size(sqlite3_file *base)
{
	(void)base;
	return 4096;
}

static int characteristics(sqlite3_file *base)
{
	(void)base;
	return 0; /* no power-safe overwrite: a torn sector may take its neighbours' bytes along */
}

static int shm_map(sqlite3_file *base, int index, int bytes, int extend, void volatile **ret)
{
	return scat_shm_map(file_of(base)->vfs, index, bytes, extend != 0, ret);
}

static int shm_lock(sqlite3_file *base, int offset, int n, int flags)
{
	return scat_shm_lock(file_of(base)->vfs, offset, n, flags);
}

static void shm_barrier(sqlite3_file *base)
{
	(void)scat_vfs_release(file_of(base)->vfs); /* kept in held_error */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static int shm_unmap(sqlite3_file *base, int delete)
{
	(void)delete;
	scat_shm_unmap(file_of(base)->vfs);
	return SQLITE_OK;
}

static const sqlite3_io_methods io_methods = {
	.iVersion = 2,
	.xClose = close_file,
	.xRead = read_file,
	.xWrite = write_file,
	.xTruncate = truncate_file,
	.xSync = sync_file,
	.xFileSize = file_size,
	.xLock = lock_file,
	.xUnlock = lock_file,
	.xCheckReservedLock = check_reserved,
	.xFileControl = file_control,
	.xSectorSize = sector_size,
	.xDeviceCharacteristics = characteristics,
	.xShmMap = shm_map,
	.xShmLock = shm_lock,
	.xShmBarrier = shm_barrier,
	.xShmUnmap = shm_unmap,
};

/* ---- the file system ---- */

static struct scat_vfs *vfs_of(sqlite3_vfs *base)
{
	return base->pAppData;
}

static bool is_wal(const struct scat_vfs *vfs, const char *path)
{
	size_t len = strlen(vfs->region.path);

	return path && strncmp(path, vfs->region.path, len) == 0 && strcmp(path + len, "-wal") == 0;
}

static int open_file(sqlite3_vfs *base, sqlite3_filename path, sqlite3_file *ret, int flags,
		     int *ret_flags)
{
	struct scat_vfs *vfs = vfs_of(base);
	struct file *f = file_of(ret);

	memset(f, 0, sizeof(*f));
	if (flags & SQLITE_OPEN_WAL ? !is_wal(vfs, path) : !(flags & SQLITE_OPEN_MAIN_DB))
		return scat_vfs_failed(vfs, SQLITE_CANTOPEN, ENOTSUP,
				       path ? path : "temporary file");
	f->base.pMethods = &io_methods;
	f->vfs = vfs;
	f->wal = flags & SQLITE_OPEN_WAL;
	if (ret_flags && !vfs->region.writable)
		*ret_flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) |
			     SQLITE_OPEN_READONLY;
	else if (ret_flags)
		*ret_flags = flags;
	return SQLITE_OK;
}

static int delete_file(sqlite3_vfs *base, const char *path, int sync_dir)
{
	(void)sync_dir;
	return is_wal(vfs_of(base), path) ? empty_wal(vfs_of(base)) : SQLITE_IOERR_DELETE_NOENT;
}

static int access_file(sqlite3_vfs *base, const char *path, int flags, int *ret)
{
	sqlite3_int64 size = 0;
	int r = SQLITE_OK;

	(void)flags;
	if (is_wal(vfs_of(base), path))
		r = wal_size(vfs_of(base), &size);
	*ret = size > 0;
	return r;
}

static int full_pathname(sqlite3_vfs *base, const char *path, int size, char *ret)
{
	(void)base;
	return sm_copy_text(ret, (size_t)size, path) < 0 ? SQLITE_CANTOPEN : SQLITE_OK;
}

static int randomness(sqlite3_vfs *base, int n, char *ret)
{
	(void)base;
	return getentropy(ret, n < 256 ? (size_t)n : 256) == 0 ? n : 0;
}

static int sleep_us(sqlite3_vfs *base, int us)
{
	const struct timespec ts = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L };

	(void)base;
	(void)nanosleep(&ts, NULL);
	return us;
}

/* Days since noon of 4714-11-24 BC in milliseconds; SQLite asks only where SQL says 'now'. */
static int current_time(sqlite3_vfs *base, sqlite3_int64 *ret)
{
	(void)base;
	*ret = INT64_C(210866760000000) + sm_now_us() / 1000;
	return SQLITE_OK;
}

static int last_error(sqlite3_vfs *base, int size, char *ret)
{
	(void)size;
	(void)ret;
	return vfs_of(base)->errnum;
}

static const sqlite3_vfs methods = {
	.iVersion = 2,
	.szOsFile = sizeof(struct file),
	.mxPathname = 300,
	.xOpen = open_file,
	.xDelete = delete_file,
	.xAccess = access_file,
	.xFullPathname = full_pathname,
	.xRandomness = randomness,
	.xSleep = sleep_us,
	.xGetLastError = last_error,
	.xCurrentTimeInt64 = current_time,
};

int scat_vfs_open(const char *device, const struct sm_uuid *pool, bool writable,
		  struct scat_vfs **ret, struct snapmgr_err *err)
{
	struct scat_vfs *vfs = calloc(1, sizeof(*vfs));
	int r;

	if (!vfs)
		return sm_nomem(err);
	vfs->shm.fd = vfs->shm.borrowed = -1;
	r = scat_region_open(device, pool, writable, &vfs->region, err);
	if (r < 0) {
		free(vfs);
		return r;
	}
	vfs->base = methods;
	vfs->base.pAppData = vfs;
	(void)snprintf(vfs->name, sizeof(vfs->name), "snapmgr-%p", (void *)vfs);
	vfs->base.zName = vfs->name;
	if (sqlite3_vfs_register(&vfs->base, 0) != SQLITE_OK) {
		scat_vfs_close(vfs);
		return sm_nomem(err);
	}
	*ret = vfs;
	return 0;
}

void scat_vfs_close(struct scat_vfs *vfs)
{
	if (!vfs)
		return;
	(void)sqlite3_vfs_unregister(&vfs->base);
	free(vfs->held); /* of a transaction that was not committed */
	scat_shm_unmap(vfs);
	scat_region_close(&vfs->region);
	free(vfs);
}
