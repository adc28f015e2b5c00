/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/catalogue_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define REGION_BYTES (8 * SM_MIB)
#define WAL_AT	     4096u
#define WAL_BYTES    (2 * SM_MIB)
#define DB_AT	     (WAL_AT + WAL_BYTES)
#define DB_BYTES     (REGION_BYTES - DB_AT)

/* A region with a header and nothing else, and one of its two files. */
static struct scat_vfs *open_vfs(void)
{
	struct scat_vfs *vfs = NULL;

	rig_run_dir();
	rig_file(REGION, REGION_BYTES);
	sm_uuid_make(&rig_pool.uuid);
	MUST(scat_region_format(REGION, &rig_pool.uuid, &rig_err));
	MUST(scat_vfs_open(REGION, &rig_pool.uuid, true, &vfs, &rig_err));
	return vfs;
}

static sqlite3_file *open_file(struct scat_vfs *vfs, bool wal)
{
	static char memory[2][256];
	sqlite3_file *f = (void *)memory[wal];

	ATF_REQUIRE((size_t)vfs->base.szOsFile <= sizeof(memory[0]));
	ATF_REQUIRE_EQ(SQLITE_OK,
		       vfs->base.xOpen(&vfs->base, wal ? REGION "-wal" : REGION, f,
				       SQLITE_OPEN_READWRITE |
					       (wal ? SQLITE_OPEN_WAL : SQLITE_OPEN_MAIN_DB),
				       NULL));
	return f;
}

static int64_t size_of(sqlite3_file *f)
{
	sqlite3_int64 size = -1;

	ATF_REQUIRE_EQ(SQLITE_OK, f->pMethods->xFileSize(f, &size));
	return size;
}

static void poke(uint64_t at, const void *data, size_t len)
{
	int fd = open(REGION, O_RDWR | O_CLOEXEC);

	ATF_REQUIRE(fd >= 0 && pwrite(fd, data, len, (off_t)at) == (ssize_t)len);
	(void)close(fd);
}

ATF_TC_WITHOUT_HEAD(it_opens_the_database_and_its_log_only);
ATF_TC_BODY(it_opens_the_database_and_its_log_only, tc)
{
	static const struct {
		const char *path;
		int flags;
	} refused[] = {
		{ REGION "-journal", SQLITE_OPEN_MAIN_JOURNAL },
		{ REGION "-wal2", SQLITE_OPEN_WAL },
		{ "other-wal", SQLITE_OPEN_WAL },
		{ NULL, SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_DELETEONCLOSE },
		{ NULL, SQLITE_OPEN_TEMP_JOURNAL | SQLITE_OPEN_DELETEONCLOSE },
		{ "/tmp/x", SQLITE_OPEN_SUBJOURNAL },
		{ "/tmp/x", SQLITE_OPEN_SUPER_JOURNAL },
	};
	struct scat_vfs *vfs = open_vfs();
	char memory[256];

	(void)open_file(vfs, false);
	(void)open_file(vfs, true);
	for (size_t i = 0; i < SM_ARRAY(refused); i++)
		ATF_CHECK_EQ(SQLITE_CANTOPEN,
			     vfs->base.xOpen(&vfs->base, refused[i].path, (void *)memory,
					     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
						     refused[i].flags,
					     NULL));
	scat_vfs_close(vfs);
}

ATF_TC_WITHOUT_HEAD(the_database_is_as_long_as_its_first_page_says);
ATF_TC_BODY(the_database_is_as_long_as_its_first_page_says, tc)
{
	unsigned char header[100] = "SQLite format 3";
	struct scat_vfs *vfs = open_vfs();
	sqlite3_file *db = open_file(vfs, false);

	ATF_CHECK_EQ(0, size_of(db));
	header[31] = 5;
	ATF_REQUIRE_EQ(SQLITE_OK, db->pMethods->xWrite(db, header, sizeof(header), 0));
	ATF_CHECK_EQ(5 * 4096, size_of(db));
	header[28] = 0xff;
	ATF_REQUIRE_EQ(SQLITE_OK, db->pMethods->xWrite(db, header, sizeof(header), 0));
	ATF_CHECK_EQ((int64_t)DB_BYTES, size_of(db));
	ATF_CHECK_EQ(SQLITE_OK, db->pMethods->xTruncate(db, 4096));
	ATF_CHECK_EQ((int64_t)DB_BYTES, size_of(db));
	scat_vfs_close(vfs);
}

ATF_TC_WITHOUT_HEAD(the_log_is_its_area_once_it_has_a_header);
ATF_TC_BODY(the_log_is_its_area_once_it_has_a_header, tc)
{
	static const unsigned char big[4] = { 0x37, 0x7f, 0x06, 0x83 };
	static const unsigned char little[4] = { 0x37, 0x7f, 0x06, 0x82 };
	struct scat_vfs *vfs = open_vfs();
	sqlite3_file *wal = open_file(vfs, true);
	int exists = -1;

	ATF_CHECK_EQ(0, size_of(wal));
	ATF_REQUIRE_EQ(SQLITE_OK, wal->pMethods->xWrite(wal, big, 4, 0));
	ATF_CHECK_EQ((int64_t)WAL_BYTES, size_of(wal));
	ATF_REQUIRE_EQ(SQLITE_OK,
		       vfs->base.xAccess(&vfs->base, REGION "-wal", SQLITE_ACCESS_EXISTS, &exists));
	ATF_CHECK_EQ(1, exists);
	ATF_REQUIRE_EQ(SQLITE_OK, wal->pMethods->xTruncate(wal, 0));
	ATF_CHECK_EQ(0, size_of(wal));
	ATF_REQUIRE_EQ(SQLITE_OK, wal->pMethods->xWrite(wal, little, 4, 0));
	ATF_CHECK_EQ((int64_t)WAL_BYTES, size_of(wal));
	ATF_REQUIRE_EQ(SQLITE_OK, vfs->base.xDelete(&vfs->base, REGION "-wal", 0));
	ATF_CHECK_EQ(0, size_of(wal));
	ATF_REQUIRE_EQ(SQLITE_OK,
		       vfs->base.xAccess(&vfs->base, REGION "-wal", SQLITE_ACCESS_EXISTS, &exists));
	ATF_CHECK_EQ(0, exists);
	ATF_REQUIRE_EQ(SQLITE_OK, vfs->base.xAccess(&vfs->base, REGION "-journal",
						    SQLITE_ACCESS_EXISTS, &exists));
	ATF_CHECK_EQ(0, exists);
	scat_vfs_close(vfs);
}

static void require_full_behind(sqlite3_file *f, uint64_t len)
{
	static const int64_t behind[] = { -1, 0, 4096, INT64_MAX / 2 };
	char buf[2] = "ab";

	ATF_CHECK_EQ(SQLITE_OK, f->pMethods->xWrite(f, buf, 2, (int64_t)len - 2));
	for (size_t i = 0; i < SM_ARRAY(behind); i++)
		ATF_CHECK_EQ(SQLITE_FULL, f->pMethods->xWrite(f, buf, 2, (int64_t)len + behind[i]));
	ATF_CHECK_EQ(SQLITE_OK, f->pMethods->xRead(f, buf, 2, (int64_t)len - 2));
	ATF_CHECK(buf[0] == 'a' && buf[1] == 'b');
	ATF_CHECK_EQ(SQLITE_IOERR_SHORT_READ, f->pMethods->xRead(f, buf, 2, (int64_t)len - 1));
	ATF_CHECK(buf[0] == 'b' && buf[1] == 0);
	ATF_CHECK_EQ(SQLITE_IOERR_SHORT_READ, f->pMethods->xRead(f, buf, 2, (int64_t)len + 4096));
	ATF_CHECK(buf[0] == 0 && buf[1] == 0);
}

ATF_TC_WITHOUT_HEAD(behind_an_area_nothing_is_written_and_zeroes_are_read);
ATF_TC_BODY(behind_an_area_nothing_is_written_and_zeroes_are_read, tc)
{
	struct scat_vfs *vfs = open_vfs();
	unsigned char next = 0xff;
	int fd;

	require_full_behind(open_file(vfs, true), WAL_BYTES);
	ATF_CHECK(vfs->wal_full && !vfs->db_full);
	require_full_behind(open_file(vfs, false), DB_BYTES);
	ATF_CHECK(vfs->db_full);
	fd = open(REGION, O_RDONLY | O_CLOEXEC);
	ATF_REQUIRE_EQ(1, pread(fd, &next, 1, (off_t)DB_AT)); /* the log did not spill over */
	ATF_CHECK_EQ(0, next);
	ATF_CHECK_EQ((off_t)REGION_BYTES, lseek(fd, 0, SEEK_END));
	(void)close(fd);
	scat_vfs_close(vfs);
}

ATF_TC_WITHOUT_HEAD(a_skipped_flush_is_real_after_a_new_log_header);
ATF_TC_BODY(a_skipped_flush_is_real_after_a_new_log_header, tc)
{
	struct scat_vfs *vfs = open_vfs();
	sqlite3_file *wal = open_file(vfs, true);
	char header[32] = "x";

	rig_io.syncs = 0; /* those of the format */
	vfs->skip_sync = true;
	ATF_REQUIRE_EQ(SQLITE_OK, wal->pMethods->xWrite(wal, header, sizeof(header), 0));
	ATF_REQUIRE_EQ(SQLITE_OK, wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL));
	ATF_CHECK_EQ(1, rig_io.syncs);
	ATF_REQUIRE_EQ(SQLITE_OK, wal->pMethods->xWrite(wal, header, sizeof(header), 32));
	ATF_REQUIRE_EQ(SQLITE_OK, wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL));
	ATF_CHECK_EQ(1, rig_io.syncs);
	vfs->skip_sync = false;
	ATF_REQUIRE_EQ(SQLITE_OK, wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL));
	ATF_CHECK_EQ(2, rig_io.syncs);
	scat_vfs_close(vfs);
}

ATF_TC_WITHOUT_HEAD(io_errors_name_the_device);
ATF_TC_BODY(io_errors_name_the_device, tc)
{
	struct scat_vfs *vfs = open_vfs();
	sqlite3_file *db = open_file(vfs, false);

	rig_io.fail_writes = 1;
	ATF_CHECK_EQ(SQLITE_IOERR_WRITE, db->pMethods->xWrite(db, "x", 1, 0));
	rig_io.fail_writes = 0;
	ATF_CHECK_EQ(EIO, vfs->errnum);
	ATF_CHECK_STREQ(REGION, vfs->failed_path);
	rig_io.fail_syncs = 1;
	ATF_CHECK_EQ(SQLITE_IOERR_FSYNC, db->pMethods->xSync(db, SQLITE_SYNC_NORMAL));
	(void)close(vfs->region.fd);
	ATF_CHECK_EQ(SQLITE_IOERR_READ, db->pMethods->xRead(db, (char[1]){ 0 }, 1, 0));
	ATF_CHECK_EQ(EBADF, vfs->errnum);
	vfs->region.fd = -1;
	scat_vfs_close(vfs);
}

/* ---- the region's header ---- */

static int open_region(void)
{
	struct scat_region region;
	int r;

	memset(&rig_err, 0, sizeof(rig_err));
	r = scat_region_open(REGION, &rig_pool.uuid, false, &region, &rig_err);
	if (r == 0)
		scat_region_close(&region);
	return r;
}

ATF_TC_WITHOUT_HEAD(every_flipped_bit_of_the_header_is_noticed);
ATF_TC_BODY(every_flipped_bit_of_the_header_is_noticed, tc)
{
	unsigned char header[4096];
	int fd;

	scat_vfs_close(open_vfs());
	fd = open(REGION, O_RDONLY | O_CLOEXEC);
	ATF_REQUIRE_EQ(4096, pread(fd, header, 4096, 0));
	(void)close(fd);
	for (size_t i = 0; i < 8 * sizeof(header); i += i < 8 * 80 ? 1 : 61) {
		unsigned char c = header[i / 8] ^ (unsigned char)(1u << i % 8);

		poke(i / 8, &c, 1);
		ATF_REQUIRE_EQ(-EUCLEAN, open_region());
		ATF_REQUIRE_EQ(SNAPMGR_DAMAGED, rig_err.code);
		poke(i / 8, &header[i / 8], 1);
	}
	ATF_CHECK_EQ(0, open_region());
}

static void poke_header(size_t at, uint64_t value, size_t len)
{
	unsigned char header[4096];
	uint32_t crc;
	int fd = open(REGION, O_RDONLY | O_CLOEXEC);

	ATF_REQUIRE_EQ(4096, pread(fd, header, 4096, 0));
	(void)close(fd);
	memcpy(header + at, &value, len);
	crc = sm_crc32c(0, header + 20, 4096 - 20);
	memcpy(header + 16, &crc, 4);
	poke(0, header, sizeof(header));
}

ATF_TC_WITHOUT_HEAD(impossible_areas_are_refused);
ATF_TC_BODY(impossible_areas_are_refused, tc)
{
	static const struct {
		size_t at;
		uint64_t value;
	} bad[] = {
		{ 40, 4096 },
		{ 40, UINT64_MAX },
		{ 40, REGION_BYTES + 1 },
		{ 48, 0 },
		{ 48, 8192 },
		{ 56, 0 },
		{ 56, WAL_BYTES + 1 },
		{ 56, 1ull << 40 },
		{ 56, UINT64_MAX },
		{ 64, 0 },
		{ 64, DB_AT + 1 },
		{ 64, REGION_BYTES },
		{ 56, 6 * SM_MIB },
	};

	for (size_t i = 0; i < SM_ARRAY(bad); i++) {
		scat_vfs_close(open_vfs());
		poke_header(bad[i].at, bad[i].value, 8);
		ATF_CHECK_EQ_MSG(-EUCLEAN, open_region(), "%zu", i);
	}
	scat_vfs_close(open_vfs());
	poke_header(20, 2, 4);
	ATF_CHECK_EQ(-EPROTONOSUPPORT, open_region());
	ATF_CHECK_EQ(SNAPMGR_NEWER_VERSION, rig_err.code);
}

ATF_TC_WITHOUT_HEAD(another_pools_region_and_a_short_one_are_refused);
ATF_TC_BODY(another_pools_region_and_a_short_one_are_refused, tc)
{
	scat_vfs_close(open_vfs());
	ATF_REQUIRE_EQ(0, truncate(REGION, (off_t)REGION_BYTES - 4096));
	ATF_CHECK_EQ(-EUCLEAN, open_region());
	ATF_CHECK(strstr(rig_err.message, "cut short") != NULL);
	ATF_REQUIRE_EQ(0, truncate(REGION, 10));
	ATF_CHECK_EQ(-EUCLEAN, open_region());
	scat_vfs_close(open_vfs());
	rig_pool.uuid.b[3] ^= 1;
	ATF_CHECK_EQ(-EUCLEAN, open_region());
	ATF_CHECK(strstr(rig_err.message, "another pool") != NULL);
	ATF_CHECK_EQ(-ENOENT, scat_region_open("not-there", &rig_pool.uuid, false,
					       &(struct scat_region){ 0 }, &rig_err));
	ATF_CHECK_EQ(SNAPMGR_IO, rig_err.code);
}

ATF_TC_WITHOUT_HEAD(a_region_below_the_least_size_is_no_space);
ATF_TC_BODY(a_region_below_the_least_size_is_no_space, tc)
{
	rig_file(REGION, SCAT_MIN_BYTES - 512);
	ATF_CHECK_EQ(-ENOSPC, scat_region_format(REGION, &rig_pool.uuid, &rig_err));
	ATF_CHECK_EQ(SNAPMGR_NO_SPACE, rig_err.code);
}

ATF_TC_WITHOUT_HEAD(a_region_that_grew_has_a_larger_database);
ATF_TC_BODY(a_region_that_grew_has_a_larger_database, tc)
{
	struct scat_region region;

	scat_vfs_close(open_vfs());
	ATF_REQUIRE_EQ(0, truncate(REGION, (off_t)(64 * SM_MIB)));
	MUST(scat_region_open(REGION, &rig_pool.uuid, false, &region, &rig_err));
	ATF_CHECK_EQ(64 * SM_MIB - DB_AT, region.db_len);
	ATF_CHECK_EQ(WAL_BYTES, region.wal_len);
	scat_region_close(&region);
}

/* ---- locks ---- */

static int shm_lock(struct scat_vfs *vfs, int slot, int n, int flags)
{
	return scat_shm_lock(vfs, slot, n, flags);
}

ATF_TC_WITHOUT_HEAD(locks_exclude_connections_not_processes);
ATF_TC_BODY(locks_exclude_connections_not_processes, tc)
{
	const int take_x = SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE;
	const int take_s = SQLITE_SHM_LOCK | SQLITE_SHM_SHARED;
	struct scat_vfs *a = open_vfs(), *b = NULL;
	void volatile *p;

	MUST(scat_vfs_open(REGION, &rig_pool.uuid, true, &b, &rig_err));
	ATF_REQUIRE_EQ(SQLITE_OK, scat_shm_map(a, 0, 32768, true, &p));
	ATF_REQUIRE_EQ(SQLITE_OK, scat_shm_map(b, 0, 32768, true, &p));
	ATF_CHECK_EQ(SQLITE_OK, shm_lock(a, 0, 1, take_x));
	ATF_CHECK_EQ(SQLITE_BUSY, shm_lock(b, 0, 1, take_x));
	ATF_CHECK_EQ(SQLITE_BUSY, shm_lock(b, 0, 1, take_s));
	ATF_CHECK_EQ(SQLITE_OK, shm_lock(b, 1, 2, take_x));
	ATF_CHECK_EQ(SQLITE_BUSY, shm_lock(a, 0, 8, take_x));
	scat_shm_unmap(b);
	ATF_CHECK_EQ(SQLITE_OK, shm_lock(a, 1, 7, take_x));
	scat_vfs_close(b);
	scat_vfs_close(a);
}

ATF_TC_WITHOUT_HEAD(the_index_is_shared_while_somebody_lives_and_stale_after);
ATF_TC_BODY(the_index_is_shared_while_somebody_lives_and_stale_after, tc)
{
	struct scat_vfs *a = open_vfs(), *b = NULL;
	void volatile *p, *q;

	MUST(scat_vfs_open(REGION, &rig_pool.uuid, true, &b, &rig_err));
	ATF_REQUIRE_EQ(SQLITE_OK, scat_shm_map(a, 0, 32768, false, &p));
	ATF_CHECK(p == NULL); /* nothing to map, and none was asked for */
	ATF_REQUIRE_EQ(SQLITE_OK, scat_shm_map(a, 0, 32768, true, &p));
	((volatile char *)p)[100] = 'x';
	ATF_REQUIRE_EQ(SQLITE_OK, scat_shm_map(b, 0, 32768, false, &q));
	ATF_CHECK_EQ('x', ((volatile char *)q)[100]);
	scat_shm_unmap(a);
	scat_shm_unmap(b);
	ATF_REQUIRE_EQ(SQLITE_OK, scat_shm_map(a, 0, 32768, true, &p));
	ATF_CHECK_EQ(0, ((volatile char *)p)[100]);
	ATF_CHECK_EQ(SQLITE_IOERR_SHMSIZE, scat_shm_map(a, SCAT_SHM_REGIONS, 32768, true, &p));
	scat_vfs_close(a);
	scat_vfs_close(b);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, it_opens_the_database_and_its_log_only);
	ATF_TP_ADD_TC(tp, the_database_is_as_long_as_its_first_page_says);
	ATF_TP_ADD_TC(tp, the_log_is_its_area_once_it_has_a_header);
	ATF_TP_ADD_TC(tp, behind_an_area_nothing_is_written_and_zeroes_are_read);
	ATF_TP_ADD_TC(tp, a_skipped_flush_is_real_after_a_new_log_header);
	ATF_TP_ADD_TC(tp, io_errors_name_the_device);
	ATF_TP_ADD_TC(tp, every_flipped_bit_of_the_header_is_noticed);
	ATF_TP_ADD_TC(tp, impossible_areas_are_refused);
	ATF_TP_ADD_TC(tp, another_pools_region_and_a_short_one_are_refused);
	ATF_TP_ADD_TC(tp, a_region_below_the_least_size_is_no_space);
	ATF_TP_ADD_TC(tp, a_region_that_grew_has_a_larger_database);
	ATF_TP_ADD_TC(tp, locks_exclude_connections_not_processes);
	ATF_TP_ADD_TC(tp, the_index_is_shared_while_somebody_lives_and_stale_after);
	return atf_no_error();
}
