/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How far a lasting operation is, for everybody to read. */
#include "snapmgr/catalogue/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "snapmgr/catalogue/rundir.h"

#define MAGIC	  UINT64_C(0x31706f6d536e6150) /* a file of another program is no progress */
#define WINDOW_NS UINT64_C(1000000000)	       /* that the rate is taken over */

struct sprogress_shared {
	_Atomic uint64_t magic; /* last, when all else is there */
	_Atomic uint64_t done, todo, rate;
	_Atomic uint64_t mark_ns, mark_done; /* where the window of the rate began */
	_Atomic uint32_t stop;
};

void sprogress_dir(const struct sm_uuid *pool, const char *folder, char ret[SPROGRESS_DIR])
{
	char text[SNAPMGR_UUID_TEXT];

	sm_uuid_text(pool, text);
	if (*folder)
		(void)snprintf(ret, SPROGRESS_DIR, "%s/.snapmgr", folder);
	else
		(void)snprintf(ret, SPROGRESS_DIR, "%s/%s", scat_run_dir(), text);
}

static void path_of(const char *dir, const struct sm_uuid *operation, char path[SCAT_RUN_PATH])
{
	char text[SNAPMGR_UUID_TEXT];

	sm_uuid_text(operation, text);
	(void)snprintf(path, SCAT_RUN_PATH, "%s/operation.%s", dir, text);
}

static struct sprogress_shared *map(int fd, int protection)
{
	struct sprogress_shared *s;
	off_t len = lseek(fd, 0, SEEK_END);

	if (len < (off_t)sizeof(*s)) /* being made just now, or no such file at all */
		return NULL;
	s = mmap(NULL, sizeof(*s), protection, MAP_SHARED, fd, 0);
	return s == MAP_FAILED ? NULL : s;
}

void sprogress_make(const char *dir, const struct sm_uuid *operation, uint64_t done_bytes,
		    uint64_t todo_bytes, struct sprogress *ret)
{
	char path[SCAT_RUN_PATH];
	AUTO(sm_close_fd) int fd = -1;

	*ret = (struct sprogress){ .operation = *operation };
	(void)sm_copy_text(ret->dir, sizeof(ret->dir), dir);
	path_of(dir, operation, path);
	(void)SM_STEP("progress.unlink", unlink(path));
	fd = SM_STEP("progress.open",
		     open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
	if (fd < 0 ||
	    SM_STEP("progress.size", ftruncate(fd, (off_t)sizeof(struct sprogress_shared))) < 0)
		return;
	ret->shared = map(fd, PROT_READ | PROT_WRITE);
	if (!ret->shared)
		return;
	sprogress_set(ret, done_bytes, todo_bytes);
	SM_DO("progress.magic", atomic_store(&ret->shared->magic, MAGIC));
}

void sprogress_set(struct sprogress *p, uint64_t done_bytes, uint64_t todo_bytes)
{
	struct sprogress_shared *s = p->shared;
	uint64_t now_ns, mark_ns, mark_done;

	if (!s)
		return;
	now_ns = sm_monotonic_ns();
	mark_ns = atomic_load(&s->mark_ns);
	mark_done = atomic_load(&s->mark_done);
	/* No step in these: they are hints, told ten times a second. */
	atomic_store_explicit(&s->done, done_bytes, memory_order_relaxed);
	atomic_store_explicit(&s->todo, todo_bytes, memory_order_relaxed);
	if (!mark_ns || done_bytes < mark_done) {
		mark_ns = 0;
	} else if (now_ns - mark_ns < WINDOW_NS) {
		return;
	} else {
		atomic_store_explicit(&s->rate,
				      (uint64_t)((double)(done_bytes - mark_done) * 1e9 /
						 (double)(now_ns - mark_ns)),
				      memory_order_relaxed);
	}
	atomic_store_explicit(&s->mark_ns, now_ns, memory_order_relaxed);
	atomic_store_explicit(&s->mark_done, done_bytes, memory_order_relaxed);
}

bool sprogress_asked_to_stop(const struct sprogress *p)
{
	return p->shared && atomic_load(&p->shared->stop);
}

void sprogress_drop(struct sprogress *p)
{
	if (p->shared)
		(void)munmap(p->shared, sizeof(*p->shared));
	if (!sm_uuid_is_null(&p->operation))
		sprogress_forget(p->dir, &p->operation);
	*p = (struct sprogress){ 0 };
}

static struct sprogress_shared *look(const char *dir, const struct sm_uuid *operation)
{
	struct sprogress_shared *s;
	char path[SCAT_RUN_PATH];
	AUTO(sm_close_fd) int fd = -1;

	path_of(dir, operation, path);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	s = fd < 0 ? NULL : map(fd, PROT_READ | PROT_WRITE);
	if (s && atomic_load(&s->magic) != MAGIC) {
		(void)munmap(s, sizeof(*s));
		return NULL;
	}
	return s;
}

int sprogress_look(const char *dir, const struct sm_uuid *operation, struct sprogress_seen *ret)
{
	struct sprogress_shared *s = look(dir, operation);

	if (!s)
		return -ENOENT;
	*ret = (struct sprogress_seen){ atomic_load(&s->done), atomic_load(&s->todo),
					atomic_load(&s->rate), atomic_load(&s->stop) != 0 };
	(void)munmap(s, sizeof(*s));
	return 0;
}

int sprogress_stop(const char *dir, const struct sm_uuid *operation)
{
	struct sprogress_shared *s = look(dir, operation);

	if (!s)
		return -ENOENT;
	SM_DO("progress.stop", atomic_store(&s->stop, 1));
	(void)munmap(s, sizeof(*s));
	return 0;
}

void sprogress_forget(const char *dir, const struct sm_uuid *operation)
{
	char path[SCAT_RUN_PATH];

	path_of(dir, operation, path);
	(void)SM_STEP("progress.forget", unlink(path));
}
