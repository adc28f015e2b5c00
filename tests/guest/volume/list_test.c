/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Many snapshots, written into the catalogue by themselves: no list asks the kernel for each. */
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "snapmgr/catalogue/catalogue.h"
#include "tests/guest/pool_lab.h"

#define MANY	   50000u
#define PER_COMMIT 2000u
#define CPU_MS	   3000 /* a tenth of it was seen; others use the machine, too */
#define IOCTLS	   20

static unsigned int ioctls;

/* Instead of the C library's, also for libdevmapper. */
int ioctl(int fd, unsigned long request, ...)
{
	void *arg;
	va_list ap;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	ioctls++;
	return (int)syscall(SYS_ioctl, fd, request, arg);
}

static void must(int r, const struct snapmgr_err *err)
{
	ATF_REQUIRE_EQ_MSG(0, r, "%s", err->message);
}

static void insert(struct scat *cat, const struct scat_volume *v, uint32_t n, int64_t *parents)
{
	struct snapmgr_err err = { .message = "" };
	struct scat_snapshot s = { .volume = v->id, .sequence = n + 1, .used_bytes = 4096 };

	s.c = v->c;
	sm_uuid_make(&s.c.uuid);
	(void)snprintf(s.c.name, sizeof(s.c.name), "daily-%u", n);
	s.c.thin = 1000 + n;
	s.c.parent = n ? parents[n % 7 ? n - 1 : n / 2] : 0; /* mostly a chain */
	must(scat_snapshot_insert(cat, &s, &err), &err);
	parents[n] = s.id;
}

static struct scat *open_catalogue(bool writable)
{
	struct snapmgr_err why = { .message = "" };
	struct scat *cat = NULL;
	struct sm_uuid uuid;
	struct sdm_info info;

	LAB_DO(sdm_info("snapmgr-p-_cat", &info, &err));
	info.uuid[strlen(SM_DM_UUID) + 36] = '\0';
	ATF_REQUIRE(sm_uuid_parse(info.uuid + strlen(SM_DM_UUID), &uuid));
	must(scat_open("/dev/mapper/snapmgr-p-_cat", &uuid, writable, &cat, &why), &why);
	return cat;
}

static void fill(void)
{
	AUTO(free) int64_t *parents = calloc(MANY, sizeof(*parents));
	struct snapmgr_err why = { .message = "" };
	struct scat *cat = open_catalogue(true);
	struct scat_volume v;

	must(scat_volume_by_name(cat, "v", &v, &why), &why);
	for (uint32_t n = 0; n < MANY;) {
		must(scat_begin(cat, &why), &why);
		do
			insert(cat, &v, n++, parents);
		while (n % PER_COMMIT && n < MANY);
		if (n == MANY) {
			v.sequence = MANY;
			must(scat_volume_update(cat, &v, &why), &why);
		}
		must(scat_commit(cat, false, &why), &why);
	}
	scat_close(cat);
}

static long cpu_ms(const struct rusage *u)
{
	return (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000 +
	       (u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1000;
}

static int count(const struct snapmgr_object *o, void *data)
{
	*(uint32_t *)data += o->kind == SNAPMGR_SNAPSHOT;
	return 0;
}

/* Runs one command line and says what it took. */
static void measure(const char *command, long *ret_ms, long *ret_kib)
{
	struct rusage u;
	int status;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	ATF_REQUIRE(pid >= 0);
	if (pid == 0) {
		(void)execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	ATF_REQUIRE_EQ(pid, wait4(pid, &status, 0, &u));
	ATF_REQUIRE_EQ_MSG(0, status, "'%s' ended with %d", command, status);
	*ret_ms = cpu_ms(&u);
	*ret_kib = u.ru_maxrss;
	printf("%s: %ld ms, %ld KiB\n", command, *ret_ms, *ret_kib);
}

ATF_TC(fifty_thousand_snapshots_are_listed_quickly_and_in_little_memory);
ATF_TC_HEAD(fifty_thousand_snapshots_are_listed_quickly_and_in_little_memory, tc)
{
	atf_tc_set_md_var(tc, "timeout", "200");
}
ATF_TC_BODY(fifty_thousand_snapshots_are_listed_quickly_and_in_little_memory, tc)
{
	static const char *const lists[] = { "exec snapmgr list --json p >" LAB "/list",
					     "exec snapmgr list p >/dev/null",
					     "exec snapmgr tree p >/dev/null" };
	uint32_t n = 0;
	long ms, kib;

	lab_up();
	lab_create("p/v", SM_MIB);
	fill();
	ioctls = 0;
	LAB_DO(snapmgr_list(lab, "p", NULL, count, &n, &err));
	ATF_CHECK_EQ(MANY, n);
	ATF_CHECK_MSG(ioctls < IOCTLS, "%u ioctls", ioctls);
	for (size_t i = 0; i < SM_ARRAY(lists); i++) {
		measure(lists[i], &ms, &kib);
		ATF_CHECK_MSG(ms < CPU_MS, "'%s': %ld ms", lists[i], ms);
		ATF_CHECK_MSG(kib < 64 * 1024, "'%s': %ld KiB", lists[i], kib);
	}
	lab_run("[ $(grep -o '\"name\":\"daily-' " LAB "/list | wc -l) = %u ]", MANY);
	/* One that is met among all of them costs what it costs alone. */
	measure("exec snapmgr show p/v@latest~40000 >/dev/null", &ms, &kib);
	ATF_CHECK_MSG(ms < 500, "show: %ld ms", ms);
	ATF_CHECK_MSG(kib < 16 * 1024, "show: %ld KiB", kib);
	measure("exec snapmgr snapshot p/v@one-more", &ms, &kib);
	ATF_CHECK_MSG(ms < 1000, "snapshot: %ld ms", ms);
	measure("exec snapmgr rename p/v w", &ms, &kib);
	ATF_CHECK_MSG(ms < 1000, "rename: %ld ms", ms);
	ATF_CHECK_MSG(kib < 16 * 1024, "rename: %ld KiB", kib);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, fifty_thousand_snapshots_are_listed_quickly_and_in_little_memory);
	return atf_no_error();
}
