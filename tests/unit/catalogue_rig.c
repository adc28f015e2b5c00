/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/catalogue_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct scat_pool rig_pool;
struct snapmgr_err rig_err;
struct rig_io rig_io;

/* ---- instead of the C library's ---- */

static void record(bool sync, const void *data, size_t len, uint64_t at)
{
	struct rig_op *op;

	if (!rig_io.record)
		return;
	if (rig_io.n_ops == rig_io.room) {
		rig_io.room = rig_io.room ? 2 * rig_io.room : 1024;
		rig_io.ops = reallocarray(rig_io.ops, rig_io.room, sizeof(*rig_io.ops));
		ATF_REQUIRE(rig_io.ops != NULL);
	}
	op = &rig_io.ops[rig_io.n_ops++];
	*op = (struct rig_op){
		.sync = sync, .at = at, .len = len, .begun = rig_io.begun, .durable = rig_io.durable
	};
	if (len) {
		op->data = malloc(len);
		ATF_REQUIRE(op->data != NULL);
		memcpy(op->data, data, len);
	}
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
	rig_io.writes++;
	if (rig_io.kill_after_writes && rig_io.writes > (uint64_t)rig_io.kill_after_writes)
		(void)raise(SIGKILL);
	if (rig_io.fail_writes > 0) {
		errno = EIO;
		return -1;
	}
	record(false, data, len, (uint64_t)at);
	return syscall(SYS_pwrite64, fd, data, len, at);
}

int fdatasync(int fd)
{
	rig_io.syncs++;
	if (rig_io.fail_syncs > 0) {
		rig_io.fail_syncs--;
		errno = EIO;
		return -1;
	}
	record(true, NULL, 0, 0);
	(void)fd; /* files of tests need not survive a power cut */
	return 0;
}

/* ---- a pool ---- */

void rig_must(int r, const char *call, const char *file, int line)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s: %d %s\n", call, r, rig_err.message); /* a child's result is lost */
	atf_tc_fail("%s:%d: %s: %d %s", file, line, call, r, rig_err.message);
}

void rig_begin(struct scat *cat)
{
	memset(&rig_err, 0, sizeof(rig_err));
	MUST(scat_begin(cat, &rig_err));
}

int rig_end(struct scat *cat, int r)
{
	if (r < 0)
		scat_rollback(cat);
	else
		MUST(scat_commit(cat, false, &rig_err));
	return r;
}

void rig_run_dir(void)
{
	static char path[PATH_MAX + 8];

	ATF_REQUIRE(getcwd(path, PATH_MAX) != NULL);
	strcat(path, "/run");
	scat_set_run_dir(path);
}

void rig_file(const char *path, uint64_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ATF_REQUIRE(fd >= 0);
	ATF_REQUIRE_EQ(0, ftruncate(fd, (off_t)bytes));
	(void)close(fd);
}

void rig_copy(const char *from, const char *to)
{
	static char buf[1 << 20];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct stat st;
	ssize_t n;

	ATF_REQUIRE(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		ATF_REQUIRE_EQ(n, write(out, buf, (size_t)n));
	ATF_REQUIRE_EQ(0, fstat(in, &st));
	ATF_REQUIRE_EQ(0, ftruncate(out, st.st_size));
	(void)close(in);
	(void)close(out);
}

void rig_format(uint64_t bytes)
{
	rig_run_dir();
	rig_file(REGION, bytes);
	rig_pool = (struct scat_pool){ .name = "p0",
				       .driver = "thin",
				       .created_at_us = 1700000000000000,
				       .chunk_sectors = 128,
				       .block_bytes = 512,
				       .next_thin = 1,
				       .reserved_thin = 100000 };
	sm_uuid_make(&rig_pool.uuid);
	MUST(scat_format(REGION, &rig_pool, &rig_err));
}

struct scat *rig_open(bool writable)
{
	struct scat *cat = NULL;

	MUST(scat_open(REGION, &rig_pool.uuid, writable, &cat, &rig_err));
	return cat;
}

static uint32_t take_thin(struct scat *cat)
{
	struct scat_pool pool;

	MUST(scat_pool_get(cat, &pool, &rig_err));
	pool.next_thin++;
	MUST(scat_pool_put(cat, &pool, &rig_err));
	return pool.next_thin - 1;
}

struct scat_volume rig_volume(struct scat *cat, const char *name)
{
	struct scat_volume v = { .c = { .size_bytes = SM_GIB,
					.state = SCAT_AVAILABLE,
					.created_at_us = 1700000000000001 },
				 .undo_keep = 3,
				 .revert_support = true };

	(void)sm_copy_text(v.c.name, sizeof(v.c.name), name);
	sm_uuid_make(&v.c.uuid);
	MUST(scat_begin(cat, &rig_err));
	v.c.thin = take_thin(cat);
	MUST(scat_volume_insert(cat, &v, &rig_err));
	MUST(scat_commit(cat, true, &rig_err));
	return v;
}

int rig_snapshot_in(struct scat *cat, struct scat_volume *v, const char *name,
		    struct scat_snapshot *ret)
{
	struct scat_snapshot s = { .c = v->c, .volume = v->id, .used_bytes = UINT64_MAX };
	int r;

	(void)sm_copy_text(s.c.name, sizeof(s.c.name), name);
	sm_uuid_make(&s.c.uuid);
	s.c.state = SCAT_AVAILABLE;
	s.sequence = ++v->sequence;
	s.c.created_at_us += (int64_t)s.sequence;
	s.c.thin = take_thin(cat);
	r = scat_snapshot_insert(cat, &s, &rig_err);
	if (r < 0)
		return r;
	v->c.parent = s.id;
	v->last_snapshot_at_us = s.c.created_at_us;
	*ret = s;
	return scat_volume_update(cat, v, &rig_err);
}

struct scat_snapshot rig_snapshot(struct scat *cat, struct scat_volume *v, const char *name)
{
	struct scat_snapshot s;

	MUST(scat_begin(cat, &rig_err));
	MUST(rig_snapshot_in(cat, v, name, &s));
	MUST(scat_commit(cat, true, &rig_err));
	return s;
}

void rig_sql(struct scat *cat, const char *sql)
{
	char *message = NULL;

	(void)sqlite3_db_config(cat->db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
	(void)sqlite3_db_config(cat->db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
	(void)sqlite3_exec(cat->db, "PRAGMA ignore_check_constraints=1", NULL, NULL, NULL);
	if (sqlite3_exec(cat->db, sql, NULL, NULL, &message) != SQLITE_OK)
		atf_tc_fail("%s: %s", sql, message);
	(void)sqlite3_exec(cat->db, "PRAGMA ignore_check_constraints=0", NULL, NULL, NULL);
	(void)sqlite3_db_config(cat->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
	(void)sqlite3_db_config(cat->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
}

static int count_finding(const char *line, void *data)
{
	printf("finding: %s\n", line);
	++*(int *)data;
	return 0;
}

int rig_count_findings(struct scat *cat)
{
	int n = 0;

	MUST(scat_check(cat, count_finding, &n, &rig_err));
	return n;
}
