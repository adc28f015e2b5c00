/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Eight processes, four volumes, a group, a quota. */
#include "storm.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define LOCK_MS	 300000
#define MAX_SPEC 64

/* Of project "web": reached now and then. */
const struct storm_use storm_limits = { .n = { [SNAPMGR_VOLUMES] = STORM_VOLUMES + 2,
					       [SNAPMGR_VOLUME_BYTES] = 5 * STORM_SIZE +
									STORM_SIZE / 2,
					       [SNAPMGR_SNAPSHOTS] = 36,
					       [SNAPMGR_SNAPSHOT_BYTES] = 40 * STORM_SIZE } };

static struct storm *storm;

int storm_failed(struct storm *s, const char *fmt, ...)
{
	va_list ap;

	if (__atomic_exchange_n(&s->failed, 1, __ATOMIC_SEQ_CST))
		return -1;
	va_start(ap, fmt);
	(void)vsnprintf(s->failure, sizeof(s->failure), fmt, ap);
	va_end(ap);
	return -1;
}

int storm_open(struct snapmgr **ret, struct snapmgr_err *err)
{
	struct snapmgr_open_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_open_opts);

	opts.wait_ms = LOCK_MS;
	return snapmgr_open(&opts, ret, err);
}

static int run_processes(uint64_t seed)
{
	pid_t pids[STORM_PROCESSES];
	int status, r = 0;

	(void)fflush(NULL);
	for (unsigned int i = 0; i < STORM_PROCESSES; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			storm_work(storm, i, seed);
	}
	storm->begun = 1;
	for (unsigned int i = 0; i < STORM_PROCESSES; i++)
		if (waitpid(pids[i], &status, 0) != pids[i] || status != 0)
			r = storm_failed(storm, "process %u ended with status %d", i, status);
	return storm->failed ? -1 : r;
}

/* ---- all of it ---- */

static int make_pool(struct snapmgr *sm)
{
	struct snapmgr_pool_create_opts pool = SNAPMGR_OPTS_INIT(struct snapmgr_pool_create_opts);
	struct snapmgr_create_opts volume = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);
	struct snapmgr_quota_set_opts quota = SNAPMGR_OPTS_INIT(struct snapmgr_quota_set_opts);
	const char *const group[] = { "p/v0", "p/v1" };
	char disks[2][64], spec[MAX_SPEC];
	const char *const list[] = { disks[0], disks[1] };
	const char *all = getenv("SANDBOX_DISKS");
	struct snapmgr_err err = { .message = "outside of a guest with two disks" };
	int r = all && sscanf(all, "%63s %63s", disks[0], disks[1]) == 2 ? 0 : -1;

	pool.force = true;
	volume.size_bytes = STORM_SIZE;
	volume.project = "web";
	if (r == 0)
		r = snapmgr_pool_create(sm, "p", list, 2, &pool, &err);
	for (unsigned int v = 0; v < STORM_VOLUMES && r == 0; v++) {
		(void)snprintf(spec, sizeof(spec), "p/v%u", v);
		r = snapmgr_create(sm, spec, &volume, NULL, NULL, &err);
	}
	if (r == 0)
		r = snapmgr_group_create(sm, "p/g", group, SM_ARRAY(group), NULL, NULL, NULL, &err);
	memcpy(quota.limits, storm_limits.n, sizeof(quota.limits));
	if (r == 0)
		r = snapmgr_quota_set(sm, "p", "web", &quota, &err);
	return r < 0 ? storm_failed(storm, "cannot make the pool: %s", err.message) : 0;
}

static void summarise(char *what, size_t size)
{
	static const char *const names[] = {
		"snapshots", "reverts", "reverts without undo", "undos",  "drops",
		"deletes",   "resizes", "undos of the group",	"clones", "clones gone"
	};
	size_t writes = 0, refusals = 0, quota = 0, group = 0, looks = 0, at = 0;

	for (int verb = 0; verb < STORM_VERBS && at < size; verb++) {
		unsigned int n = 0;

		for (size_t i = 0; i < STORM_PROCESSES; i++)
			n += storm->processes[i].acknowledged[verb];
		at += (size_t)snprintf(what + at, size - at, "%u %s, ", n, names[verb]);
	}
	for (size_t i = 0; i < STORM_PROCESSES; i++) {
		writes += storm->processes[i].n_writes;
		refusals += storm->processes[i].refused;
		quota += storm->processes[i].over_quota;
		group += storm->processes[i].of_group;
		looks += storm->processes[i].looks;
	}
	if (at < size)
		(void)snprintf(
			what + at, size - at,
			"%zu of them of the group, %zu writes, %zu conflicts (%zu over quota), "
			"%zu looks",
			group, writes, refusals, quota, looks);
}

int storm_run(uint64_t seed, unsigned int ops, char *what, size_t size)
{
	struct snapmgr *sm = NULL;
	int r;

	storm = mmap(NULL, sizeof(*storm), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (storm == MAP_FAILED || storm_open(&sm, NULL) < 0)
		return -1;
	storm->ops_left = ops;
	r = make_pool(sm);
	if (r == 0)
		r = run_processes(seed);
	if (r == 0)
		r = storm_end(storm, sm, STORM_SIZE);
	if (r == 0)
		summarise(what, size);
	else
		(void)snprintf(what, size, "%s", storm->failure);
	(void)snapmgr_pool_destroy(sm, "p", NULL, NULL);
	snapmgr_free(sm);
	(void)munmap(storm, sizeof(*storm));
	storm = NULL;
	return r;
}
