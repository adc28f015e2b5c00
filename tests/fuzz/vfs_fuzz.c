/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vfs_fuzz.c - a catalogue on a region that an enemy wrote
 *
 * The input is a list of records that change a good region: a byte that says what (see below), two
 * bytes of page, two of offset, one of length, then so many bytes. The log is made of the good pages
 * with changes of their own, and has right checksums; so has the region's header where bit 0 of the
 * input's first byte is clear. Where bit 1 is set a few functions write, then every one that reads
 * runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "snapmgr/catalogue/bytes.h"
#include "snapmgr/catalogue/catalogue.h"
#include "snapmgr/catalogue/internal.h"
#include "snapmgr/catalogue/rundir.h"

#define REGION_BYTES SCAT_MIN_BYTES
#define WAL_AT	     4096u
#define DB_AT	     (WAL_AT + 2 * SM_MIB)
#define PAGES	     (REGION_BYTES / SCAT_PAGE_BYTES)
#define FRAMES_MAX   64

enum record { CHANGE_DB, CHANGE_LOG, NEW_FRAME, LAST_FRAME, CHANGE_HEADER, RECORDS };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned char *good, *image; /* the latter is what the region's file is */
static bool dirty[PAGES];
static char path[64];
static struct sm_uuid pool_uuid, volume_uuid;
static struct snapmgr_err err;

static void require(bool fine)
{
	if (!fine)
		abort();
}

/* ---- the region: a file in memory, put back after each run ---- */

static void touch(uint64_t at, size_t len)
{
	for (uint64_t i = at / SCAT_PAGE_BYTES; len && i <= (at + len - 1) / SCAT_PAGE_BYTES; i++)
		dirty[i] = true;
}

/* Everybody's pwrite(), so that what the catalogue wrote is known as well. */
ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
	ssize_t n = syscall(SYS_pwrite64, fd, data, len, at);

	if (n > 0 && (uint64_t)at + (uint64_t)n <= REGION_BYTES)
		touch((uint64_t)at, (size_t)n);
	return n;
}

static void change(uint64_t at, const void *data, size_t len)
{
	if (at > REGION_BYTES || len > REGION_BYTES - at)
		return;
	memcpy(image + at, data, len);
	touch(at, len);
}

static void put_back(void)
{
	for (size_t i = 0; i < PAGES; i++)
		if (dirty[i])
			memcpy(image + i * SCAT_PAGE_BYTES, good + i * SCAT_PAGE_BYTES,
			       SCAT_PAGE_BYTES);
	memset(dirty, 0, sizeof(dirty));
}

/* ---- a log with right checksums ---- */

static void sum_up(const unsigned char *data, size_t len, uint32_t sum[2])
{
	for (size_t i = 0; i < len; i += 8) {
		sum[0] += get_be32(data + i) + sum[1];
		sum[1] += get_be32(data + i + 4) + sum[0];
	}
}

static void put_be32(unsigned char *to, uint32_t value)
{
	value = htobe32(value);
	memcpy(to, &value, sizeof(value));
}

static void begin_log(uint32_t sum[2])
{
	unsigned char header[SCAT_WAL_HEADER] = { 0 };

	put_be32(header, 0x377f0683);
	put_be32(header + 4, 3007000);
	put_be32(header + 8, SCAT_PAGE_BYTES);
	sum_up(header, 24, sum);
	put_be32(header + 24, sum[0]);
	put_be32(header + 28, sum[1]);
	change(WAL_AT, header, sizeof(header));
}

static void end_frame(uint32_t i, uint32_t sum[2])
{
	uint64_t at = WAL_AT + SCAT_WAL_HEADER + (uint64_t)i * SCAT_FRAME_BYTES;
	unsigned char header[SCAT_FRAME_HEADER];

	memcpy(header, image + at, sizeof(header));
	memset(header + 8, 0, 8);
	sum_up(header, 8, sum);
	sum_up(image + at + SCAT_FRAME_HEADER, SCAT_PAGE_BYTES, sum);
	put_be32(header + 16, sum[0]);
	put_be32(header + 20, sum[1]);
	change(at, header, sizeof(header));
}

static void add_frame(uint32_t i, uint32_t page, uint32_t commit)
{
	uint64_t at = WAL_AT + SCAT_WAL_HEADER + (uint64_t)i * SCAT_FRAME_BYTES;
	unsigned char header[SCAT_FRAME_HEADER] = { 0 };

	put_be32(header, page + 1);
	put_be32(header + 4, commit);
	change(at, header, sizeof(header));
	change(at + SCAT_FRAME_HEADER, good + DB_AT + (page % 512) * (uint64_t)SCAT_PAGE_BYTES,
	       SCAT_PAGE_BYTES);
}

/* ---- the input ---- */

struct state {
	uint32_t frames;
	bool log;
};

static void one_record(struct state *s, uint8_t what, uint32_t page, uint32_t offset,
		       const uint8_t *data, size_t len)
{
	uint64_t last = WAL_AT + SCAT_WAL_HEADER +
			(uint64_t)(s->frames ? s->frames - 1 : 0) * SCAT_FRAME_BYTES;

	switch (what % RECORDS) {
	case CHANGE_DB:
		change(DB_AT + (page % 512) * (uint64_t)SCAT_PAGE_BYTES + offset % SCAT_PAGE_BYTES,
		       data, len);
		break;
	case CHANGE_LOG:
		change(WAL_AT + ((uint64_t)page << 12 | offset % 4096) % (2 * SM_MIB), data, len);
		break;
	case NEW_FRAME:
		if (s->frames < FRAMES_MAX)
			add_frame(s->frames++, page, offset);
		s->log = true;
		break;
	case LAST_FRAME:
		if (s->frames)
			change(last + SCAT_FRAME_HEADER + offset % SCAT_PAGE_BYTES, data, len);
		break;
	default:
		change(offset % 4096, data, len);
	}
}

static void mend_header(void)
{
	unsigned char crc[4];

	put_le32(crc, sm_crc32c(0, image + 20, 4096 - 20));
	change(16, crc, sizeof(crc));
}

static void apply(const uint8_t *data, size_t size)
{
	struct state s = { 0 };
	uint32_t sum[2] = { 0 };
	size_t at = 1;

	while (at + 6 <= size) {
		size_t len = data[at + 5];

		if (len > size - at - 6)
			len = size - at - 6;
		one_record(&s, data[at], get_be16(data + at + 1), get_be16(data + at + 3),
			   data + at + 6, len);
		at += 6 + len;
	}
	if (s.log)
		begin_log(sum);
	for (uint32_t i = 0; i < s.frames; i++)
		end_frame(i, sum);
	if (size > 0 && data[0] % 2 == 0)
		mend_header();
}

/* ---- what is run ---- */

static int see_volume(const struct scat_volume *v, void *data)
{
	(void)data;
	require(v->c.size_bytes % 512 == 0 && v->c.size_bytes > 0 && v->c.thin < 1u << 24);
	return 0;
}

static int see_snapshot(const struct scat_snapshot *s, void *data)
{
	(void)data;
	require(s->c.parent < s->id && (unsigned int)s->c.state < SCAT_STATES);
	require(sm_name_check("name", s->c.name, NULL) == 0 && sm_utf8_valid(s->c.label));
	return 0;
}

static int see_undo(const struct scat_undo *u, void *data)
{
	(void)data;
	require(u->size_bytes % 512 == 0);
	return 0;
}

static int see_operation(const struct scat_operation *op, void *data)
{
	(void)data;
	require(op->pid > 0);
	return 0;
}

static int see_garbage(uint32_t thin, void *data)
{
	(void)data;
	require(thin > 0 && thin < 1u << 24);
	return 0;
}

static int see_finding(const char *line, void *data)
{
	(void)data;
	require(strlen(line) > 0);
	return 0;
}

/* No memory: SQLite says so of a record that claims to be longer than any memory. */
static void require_honest(int r)
{
	require(r == 0 || r == -ENOENT || r == -ENOMEM ||
		(r == -EUCLEAN && err.code == SNAPMGR_DAMAGED) ||
		(r == -EPROTONOSUPPORT && err.code == SNAPMGR_NEWER_VERSION));
}

static void read_all(struct scat *cat)
{
	AUTO(free) struct snapmgr_tag *tags = NULL;
	struct scat_counts counts;
	struct scat_snapshot s;
	struct scat_volume v;
	struct scat_undo u;
	struct scat_pool p;
	size_t n;

	require_honest(scat_pool_get(cat, &p, &err));
	require_honest(scat_volume_each(cat, see_volume, NULL, &err));
	require_honest(scat_volume_by_name(cat, "v", &v, &err));
	require_honest(scat_volume_by_uuid(cat, &volume_uuid, &v, &err));
	require_honest(scat_snapshot_each(cat, -1, see_snapshot, NULL, &err));
	require_honest(scat_snapshot_each(cat, 1, see_snapshot, NULL, &err));
	require_honest(scat_snapshot_by_name(cat, 1, "s2", &s, &err));
	require_honest(scat_snapshot_latest(cat, 1, 1, &s, &err));
	require_honest(scat_undo_each(cat, -1, see_undo, NULL, &err));
	require_honest(scat_undo_nth(cat, 1, 0, &u, &err));
	require_honest(scat_operation_each(cat, see_operation, NULL, &err));
	require_honest(scat_garbage_each(cat, see_garbage, NULL, &err));
	require_honest(scat_tags_get(cat, &volume_uuid, &tags, &n, &err));
	require_honest(scat_counts(cat, &counts, &err));
	require_honest(scat_check(cat, see_finding, NULL, &err));
	(void)scat_thin_named(cat, 5, &err);
	(void)scat_used_bytes(cat);
}

static void write_some(struct scat *cat)
{
	struct scat_snapshot s;
	struct scat_volume v;

	if (scat_begin(cat, &err) < 0)
		return;
	if (scat_volume_by_name(cat, "v", &v, &err) == 0 &&
	    scat_snapshot_latest(cat, v.id, 0, &s, &err) == 0 &&
	    scat_snapshot_delete(cat, s.id, &err) == 0) {
		sm_uuid_make(&s.c.uuid);
		(void)scat_snapshot_insert(cat, &s, &err);
		(void)scat_tag_set(cat, &s.c.uuid, "k", "w", &err);
		(void)scat_garbage_add(cat, 9, &err);
		v.c.size_bytes = 512;
		(void)scat_volume_update(cat, &v, &err);
		(void)scat_commit(cat, true, &err);
	}
	(void)scat_checkpoint(cat, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool writable = size > 0 && (data[0] & 2);
	struct scat *cat = NULL;
	int r;

	apply(data, size);
	memset(&err, 0, sizeof(err));
	r = scat_open(path, &pool_uuid, writable, &cat, &err);
	require_honest(r);
	if (r == 0 && writable)
		write_some(cat);
	if (r == 0)
		read_all(cat);
	scat_close(cat);
	put_back();
	return 0;
}

/* ---- the good region ---- */

static void fill(struct scat *cat)
{
	struct scat_volume v = { .c = { .name = "v",
					.size_bytes = SM_GIB,
					.thin = 1,
					.state = SCAT_AVAILABLE,
					.label = "a label" } };
	struct scat_undo u = { .size_bytes = 4096, .thin = 80, .volume = 1 };
	struct scat_operation op = { .verb = "revert", .pid = 1, .volume = 1, .snapshot = 2 };

	sm_uuid_make(&v.c.uuid);
	sm_uuid_make(&u.uuid);
	sm_uuid_make(&op.uuid);
	sm_uuid_make(&op.boot_id);
	volume_uuid = v.c.uuid;
	require(scat_begin(cat, &err) == 0 && scat_volume_insert(cat, &v, &err) == 0);
	for (uint32_t i = 1; i < 40; i++) {
		struct scat_snapshot s = { .c = v.c, .volume = v.id, .sequence = i };

		(void)snprintf(s.c.name, sizeof(s.c.name), "s%u", i);
		memset(s.c.description, 'd', SNAPMGR_DESC_MAX);
		sm_uuid_make(&s.c.uuid);
		s.c.thin = i + 1;
		s.c.parent = i / 2;
		require(scat_snapshot_insert(cat, &s, &err) == 0);
	}
	v.sequence = 39;
	require(scat_volume_update(cat, &v, &err) == 0 && scat_undo_insert(cat, &u, &err) == 0 &&
		scat_operation_insert(cat, &op, &err) == 0 &&
		scat_garbage_add(cat, 7000, &err) == 0 &&
		scat_tag_set(cat, &volume_uuid, "key", "value", &err) == 0 &&
		scat_commit(cat, true, &err) == 0 && scat_checkpoint(cat, &err) == 0);
}

static char run_dir[] = "/dev/shm/snapmgr-fuzz-XXXXXX";

static void remove_run_dir(void)
{
	char uuid[SNAPMGR_UUID_TEXT], name[200];

	sm_uuid_text(&pool_uuid, uuid);
	(void)snprintf(name, sizeof(name), "%s/%s/catalogue-shm.0", run_dir, uuid);
	(void)unlink(name);
	(void)snprintf(name, sizeof(name), "%s/%s", run_dir, uuid);
	(void)rmdir(name);
	(void)rmdir(run_dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct scat_pool pool = { .name = "p0",
				  .driver = "thin",
				  .chunk_sectors = 128,
				  .block_bytes = 512,
				  .next_thin = 100,
				  .reserved_thin = 100 };
	int fd = memfd_create("region", MFD_CLOEXEC);
	struct scat *cat = NULL;

	(void)argc;
	(void)argv;
	require(mkdtemp(run_dir) != NULL && fd >= 0 && ftruncate(fd, REGION_BYTES) == 0);
	scat_set_run_dir(run_dir);
	(void)atexit(remove_run_dir);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	image = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	good = malloc(REGION_BYTES);
	require(image != MAP_FAILED && good != NULL);
	sm_uuid_make(&pool.uuid);
	pool_uuid = pool.uuid;
	require(scat_format(path, &pool, &err) == 0);
	require(scat_open(path, &pool_uuid, true, &cat, &err) == 0);
	fill(cat);
	scat_close(cat);
	memcpy(good, image, REGION_BYTES);
	memset(dirty, 0, sizeof(dirty));
	return 0;
}
