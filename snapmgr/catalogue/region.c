/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * region.c - the header of the catalogue's region (doc/CATALOGUE.md)
 */
#include "snapmgr/catalogue/region.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "failpoint.h"
#include "snapmgr/catalogue/bytes.h"
#include "snapmgr/catalogue/catalogue.h"

#define REGION_VERSION 1u

#ifndef BLKGETDISKSEQ
#define BLKGETDISKSEQ _IOR(0x12, 128, uint64_t) /* since Linux 5.15 */
#endif

enum {
	AT_MAGIC = 0, /* 16 bytes */
	AT_CRC = 16,  /* of everything from AT_VERSION to the header's end */
	AT_VERSION = 20,
	AT_POOL_UUID = 24,
	AT_REGION_BYTES = 40, /* when it was formatted; it may have grown */
	AT_WAL_AT = 48,
	AT_WAL_LEN = 56,
	AT_DB_AT = 64,
	HEADER_BYTES = 4096,
};
static const unsigned char magic[16] = "snapmgr cat\r\n\x1a";
static uint64_t pretended_life;

void scat_pretend_life(uint64_t life)
{
	pretended_life = life;
}

ssize_t scat_region_read(const struct scat_region *region, void *buf, size_t len, uint64_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(region->fd, (char *)buf + done, len - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int scat_region_write(const struct scat_region *region, const void *buf, size_t len, uint64_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = SM_STEP("region.write", pwrite(region->fd, (const char *)buf + done,
							   len - done, (off_t)(at + done)));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		done += (size_t)n;
	}
	return 0;
}

static int open_failed(const char *path, struct snapmgr_err *err)
{
	bool denied = errno == EACCES || errno == EPERM;

	return sm_fail(err, denied ? SNAPMGR_PERMISSION : SNAPMGR_IO, errno,
		       "cannot open catalogue '%s'", path);
}

static int open_region(const char *path, bool writable, struct scat_region *region,
		       struct snapmgr_err *err)
{
	memset(region, 0, sizeof(*region));
	region->writable = writable;
	region->fd = -1;
	if (sm_copy_text(region->path, sizeof(region->path), path) < 0)
		return sm_fail(err, SNAPMGR_INTERNAL, ENAMETOOLONG, "path '%.100s...' is too long",
			       path);
	region->fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY);
	if (region->fd < 0)
		return open_failed(path, err);
	if (ioctl(region->fd, BLKGETDISKSEQ, &region->life) < 0)
		region->life = pretended_life; /* a file, or an older kernel */
	return 0;
}

static int end_of(const struct scat_region *region, uint64_t *ret, struct snapmgr_err *err)
{
	off_t end = lseek(region->fd, 0, SEEK_END);

	if (end < 0)
		return open_failed(region->path, err);
	*ret = (uint64_t)end;
	return 0;
}

static void set_length(struct scat_region *region, uint64_t bytes)
{
	region->db_len = bytes - region->db_at;
	region->db_len -= region->db_len % SCAT_PAGE_BYTES;
}

uint64_t scat_region_db_len(struct scat_region *region, uint64_t wanted)
{
	off_t end = wanted > region->db_len ? lseek(region->fd, 0, SEEK_END) : -1;

	if (end > 0 && (uint64_t)end > region->db_at + region->db_len)
		set_length(region, (uint64_t)end);
	return region->db_len;
}

int scat_region_reopen(struct scat_region *region, struct snapmgr_err *err)
{
	struct scat_region again;
	int r = open_region(region->path, region->writable, &again, err);

	if (r < 0) {
		scat_region_close(&again);
		return r;
	}
	if (!again.life || again.life != region->life) {
		scat_region_close(&again);
		return -ESTALE;
	}
	region->fd = again.fd;
	return 0;
}

void scat_region_forget(const struct scat_region *region)
{
	(void)posix_fadvise(region->fd, 0, 0, POSIX_FADV_DONTNEED);
}

void scat_region_close(struct scat_region *region)
{
	if (region->fd >= 0)
		(void)close(region->fd);
	region->fd = -1;
}

/* The areas that @bytes of a region are divided into. */
static void divide(uint64_t bytes, struct scat_region *region)
{
	uint64_t wal = bytes / 4 < SCAT_WAL_MAX ? bytes / 4 : SCAT_WAL_MAX;

	region->wal_at = HEADER_BYTES;
	region->wal_len = wal - wal % SCAT_PAGE_BYTES;
	region->db_at = region->wal_at + region->wal_len;
}

static int write_flushed(const struct scat_region *region, const void *page, uint64_t at)
{
	int r = scat_region_write(region, page, SCAT_PAGE_BYTES, at);

	if (r == 0 && SM_STEP("region.flush", fdatasync(region->fd)) < 0)
		r = -errno;
	return r;
}

int scat_region_format(const char *path, const struct sm_uuid *pool, struct snapmgr_err *err)
{
	unsigned char header[HEADER_BYTES] = { 0 }, zeroes[SCAT_PAGE_BYTES] = { 0 };
	struct scat_region region;
	uint64_t bytes = 0;
	int r = open_region(path, true, &region, err);

	if (r == 0)
		r = end_of(&region, &bytes, err);
	if (r == 0 && bytes < SCAT_MIN_BYTES)
		r = sm_fail(err, SNAPMGR_NO_SPACE, ENOSPC,
			    "'%s' is too small for a catalogue: it needs %llu bytes", path,
			    (unsigned long long)SCAT_MIN_BYTES);
	if (r < 0)
		goto out;
	divide(bytes, &region);
	memcpy(header + AT_MAGIC, magic, sizeof(magic));
	put_le32(header + AT_VERSION, REGION_VERSION);
	memcpy(header + AT_POOL_UUID, pool->b, 16);
	put_le64(header + AT_REGION_BYTES, bytes);
	put_le64(header + AT_WAL_AT, region.wal_at);
	put_le64(header + AT_WAL_LEN, region.wal_len);
	put_le64(header + AT_DB_AT, region.db_at);
	put_le32(header + AT_CRC, sm_crc32c(0, header + AT_VERSION, HEADER_BYTES - AT_VERSION));
	/* A header over the remains of an older log or database would make them one that counts. */
	r = write_flushed(&region, zeroes, 0);
	if (r == 0)
		r = scat_region_write(&region, zeroes, sizeof(zeroes), region.wal_at);
	if (r == 0)
		r = write_flushed(&region, zeroes, region.db_at);
	if (r == 0)
		r = scat_region_write(&region, header, sizeof(header), 0);
	if (r < 0)
		r = sm_fail(err, SNAPMGR_IO, r, "cannot write catalogue '%s'", path);
out:
	scat_region_close(&region);
	return r;
}

static int damaged(const struct scat_region *region, const char *wrong, struct snapmgr_err *err)
{
	return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN, "catalogue '%s' is damaged: %s", region->path,
		       wrong);
}

static int decode_header(const unsigned char *header, uint64_t bytes, struct scat_region *region,
			 struct snapmgr_err *err)
{
	uint64_t formatted = get_le64(header + AT_REGION_BYTES);
	uint32_t version = get_le32(header + AT_VERSION);

	if (memcmp(header, magic, sizeof(magic)) != 0)
		return damaged(region, "it has no header", err);
	if (get_le32(header + AT_CRC) !=
	    sm_crc32c(0, header + AT_VERSION, HEADER_BYTES - AT_VERSION))
		return damaged(region, "its header has a wrong checksum", err);
	if (version > REGION_VERSION)
		return sm_fail(
			err, SNAPMGR_NEWER_VERSION, EPROTONOSUPPORT,
			"catalogue '%s' has layout %u, and this program knows %u: use a newer "
			"snapmgr",
			region->path, version, REGION_VERSION);
	if (bytes < formatted)
		return damaged(region, "it is cut short", err);
	memcpy(region->pool.b, header + AT_POOL_UUID, 16);
	region->wal_at = get_le64(header + AT_WAL_AT);
	region->wal_len = get_le64(header + AT_WAL_LEN);
	region->db_at = get_le64(header + AT_DB_AT);
	if (formatted < SCAT_MIN_BYTES || region->wal_at != HEADER_BYTES ||
	    region->wal_len > SCAT_WAL_MAX || region->wal_len < SM_MIB ||
	    region->wal_len % SCAT_PAGE_BYTES || region->wal_len > formatted / 2 ||
	    region->db_at != region->wal_at + region->wal_len || version == 0)
		return damaged(region, "its header has impossible offsets", err);
	set_length(region, bytes);
	return 0;
}

int scat_region_open(const char *path, const struct sm_uuid *pool, bool writable,
		     struct scat_region *ret, struct snapmgr_err *err)
{
	unsigned char header[HEADER_BYTES] = { 0 };
	struct scat_region region;
	uint64_t bytes = 0;
	ssize_t n = 0;
	int r = open_region(path, writable, &region, err);

	if (r == 0)
		r = end_of(&region, &bytes, err);
	if (r == 0) {
		n = scat_region_read(&region, header, sizeof(header), 0);
		if (n < 0)
			r = sm_fail(err, SNAPMGR_IO, (int)n, "cannot read catalogue '%s'", path);
	}
	if (r == 0)
		r = decode_header(header, bytes, &region, err);
	if (r == 0 && !sm_uuid_equal(pool, &region.pool))
		r = damaged(&region, "it belongs to another pool", err);
	if (r < 0)
		scat_region_close(&region);
	else
		*ret = region;
	return r;
}
