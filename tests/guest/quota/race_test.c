/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is first gets it: changes that race for the last of a quota, and processes that are killed
 * while they take and give back.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "../pool_lab.h"

#define SIZE (4 * SM_MIB)

static void limit(enum snapmgr_resource resource, uint64_t n)
{
	struct snapmgr_quota_set_opts o = SNAPMGR_OPTS_INIT(struct snapmgr_quota_set_opts);

	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++)
		o.limits[i] = SNAPMGR_UNCHANGED;
	o.limits[resource] = n;
	LAB_DO(snapmgr_quota_set(lab, "p", "web", &o, &err));
}

static int keep_quota(const struct snapmgr_quota *q, void *data)
{
	memcpy(data, q, sizeof(*q));
	return 0;
}

static int recount(const struct snapmgr_object *o, void *data)
{
	struct snapmgr_quota *q = data;
	const size_t at = o->kind == SNAPMGR_VOLUME ? SNAPMGR_VOLUMES : SNAPMGR_SNAPSHOTS;
	const size_t bytes = o->kind == SNAPMGR_VOLUME ? SNAPMGR_VOLUME_BYTES :
							 SNAPMGR_SNAPSHOT_BYTES;

	if (strcmp(o->project, "web") != 0)
		return 0;
	q->resources[at].in_use++;
	q->resources[bytes].in_use += o->size_bytes;
	return 0;
}

/* The figures are what the objects say, and within the limits. */
static void check_figures(void)
{
	struct snapmgr_quota said, counted = { 0 };

	LAB_DO(snapmgr_quota_list(lab, "p", "web", keep_quota, &said, &err));
	LAB_DO(snapmgr_list(lab, "p", NULL, recount, &counted, &err));
	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++) {
		ATF_CHECK_EQ_MSG(counted.resources[i].in_use, said.resources[i].in_use,
				 "resource %zu: counted %ju, said %ju", i,
				 (uintmax_t)counted.resources[i].in_use,
				 (uintmax_t)said.resources[i].in_use);
		ATF_CHECK_EQ(0, said.resources[i].reserved);
		ATF_CHECK(said.resources[i].in_use <= said.resources[i].limit);
	}
}

/* ---- races ---- */

typedef int racer_fn(struct snapmgr_err *err);
static volatile bool *go;

static int create(const char *spec, uint64_t bytes, struct snapmgr_err *err)
{
	struct snapmgr_create_opts o = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);

	o.size_bytes = bytes;
	o.project = "web";
	o.inactive = true;
	return snapmgr_create(lab, spec, &o, NULL, NULL, err);
}

static int create_one(struct snapmgr_err *err)
{
	return create("p/one", SIZE, err);
}

static int create_other(struct snapmgr_err *err)
{
	return create("p/other", SIZE, err);
}

static int snapshot_one(struct snapmgr_err *err)
{
	return snapmgr_snapshot(lab, (const char *const[]){ "p/v@one" }, 1, NULL, NULL, NULL, err);
}

static int snapshot_other(struct snapmgr_err *err)
{
	return snapmgr_snapshot(lab, (const char *const[]){ "p/v@other" }, 1, NULL, NULL, NULL,
				err);
}

static int grow(struct snapmgr_err *err)
{
	return snapmgr_resize(lab, "p/v", 2 * SIZE, NULL, NULL, NULL, err);
}

static int revert_to_large(struct snapmgr_err *err)
{
	return snapmgr_revert(lab, "p/v@large", NULL, NULL, err);
}

static int undo_to_large(struct snapmgr_err *err)
{
	return snapmgr_undo(lab, "p/v", NULL, NULL, err);
}

static int adopt(struct snapmgr_err *err)
{
	return snapmgr_set(lab, "p/nobodys", "project", "web", err);
}

static void run_racer(void *data)
{
	struct snapmgr_err err = { 0 };
	racer_fn *racer = *(racer_fn **)data;
	int r;

	lab_reopen();
	lab_ready();
	while (!*go)
		(void)sched_yield();
	r = racer(&err);
	if (r < 0 && err.code != SNAPMGR_OVER_QUOTA)
		fprintf(stderr, "%s\n", err.message);
	_exit(r == 0 ? 0 : snapmgr_code_exit(err.code));
}

static int race(racer_fn *first, racer_fn *second)
{
	pid_t pids[2];
	int statuses[2];

	*go = false;
	pids[0] = lab_child(run_racer, &first);
	pids[1] = lab_child(run_racer, &second);
	*go = true;
	for (size_t i = 0; i < 2; i++) {
		ATF_REQUIRE_EQ(pids[i], waitpid(pids[i], &statuses[i], 0));
		ATF_REQUIRE(WIFEXITED(statuses[i]));
	}
	ATF_CHECK_EQ_MSG(5, WEXITSTATUS(statuses[0]) + WEXITSTATUS(statuses[1]),
			 "exit statuses %d and %d: not one success and one refusal",
			 WEXITSTATUS(statuses[0]), WEXITSTATUS(statuses[1]));
	check_figures();
	return WEXITSTATUS(statuses[0]) == 0 ? 0 : 1;
}

static void reset(void)
{
	static const char *const gone[] = { "p/one", "p/other", "p/v@one", "p/v@other" };
	struct snapmgr_resize_opts shrink = SNAPMGR_OPTS_INIT(struct snapmgr_resize_opts);

	for (size_t i = 0; i < SM_ARRAY(gone); i++)
		(void)snapmgr_delete(lab, gone[i], NULL, NULL, NULL, NULL);
	shrink.shrink = true;
	LAB_DO(snapmgr_resize(lab, "p/v", SIZE, &shrink, NULL, NULL, &err));
	LAB_DO(snapmgr_set(lab, "p/nobodys", "project", "", &err));
}

ATF_TC_WITHOUT_HEAD(of_two_that_race_for_the_last_of_a_quota_one_wins);
ATF_TC_BODY(of_two_that_race_for_the_last_of_a_quota_one_wins, tc)
{
	static const struct {
		racer_fn *first, *second;
		bool snapshots, undo; /* what they race for; what comes before */
	} races[] = {
		{ create_one, create_other, false, false },
		{ create_other, create_one, false, false },
		{ snapshot_one, snapshot_other, true, false },
		{ snapshot_other, snapshot_one, true, false },
		{ create_one, grow, false, false },
		{ revert_to_large, create_one, false, false },
		{ create_one, revert_to_large, false, false },
		{ undo_to_large, create_one, false, true },
		{ adopt, create_one, false, false },
		{ adopt, grow, false, false },
	};
	int wins[2] = { 0, 0 };

	go = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ATF_REQUIRE(go != MAP_FAILED);
	lab_up();
	LAB_DO(create("p/v", 2 * SIZE, &err));
	lab_snapshot("p/v@large");
	lab_create("p/nobodys", SIZE);
	reset();
	lab_snapshot("p/v@small");
	for (size_t i = 0; i < SM_ARRAY(races); i++) {
		limit(SNAPMGR_VOLUME_BYTES, SNAPMGR_UNLIMITED);
		limit(SNAPMGR_SNAPSHOTS, races[i].snapshots ? 3 : SNAPMGR_UNLIMITED);
		if (races[i].undo) {
			lab_revert("p/v@large");
			lab_revert("p/v@small");
		}
		limit(SNAPMGR_VOLUME_BYTES, 2 * SIZE);
		wins[race(races[i].first, races[i].second)]++;
		reset();
	}
	printf("won by the first %d, by the second %d\n", wins[0], wins[1]);
	lab_check_rest();
}

/* ---- killed ---- */

/* One step of many; what is refused or not there is fine. */
static void step(uint64_t *random)
{
	static const char *const snaps[] = { "p/v@a", "p/v@b", "p/v@c" };
	static const char *const volumes[] = { "p/w", "p/x" };
	const char *snap = snaps[lab_random(random) % SM_ARRAY(snaps)];
	const char *volume = volumes[lab_random(random) % SM_ARRAY(volumes)];
	const struct snapmgr_resize_opts shrink = { .size = sizeof(shrink), .shrink = true };
	const struct snapmgr_delete_opts all = { .size = sizeof(all), .recursive = true };
	const uint64_t bytes = SIZE * (1 + lab_random(random) % 3);

	switch (lab_random(random) % 8) {
	case 0:
		(void)create(volume, bytes, NULL);
		break;
	case 1:
		(void)snapmgr_delete(lab, volume, &all, NULL, NULL, NULL);
		break;
	case 2:
		(void)snapmgr_snapshot(lab, &snap, 1, NULL, NULL, NULL, NULL);
		break;
	case 3:
		(void)snapmgr_delete(lab, snap, NULL, NULL, NULL, NULL);
		break;
	case 4:
		(void)snapmgr_resize(lab, "p/v", bytes, &shrink, NULL, NULL, NULL);
		break;
	case 5:
		(void)snapmgr_revert(lab, snap, NULL, NULL, NULL);
		break;
	case 6:
		(void)snapmgr_undo(lab, "p/v", NULL, NULL, NULL);
		break;
	default:
		(void)snapmgr_set(lab, volume, "project", bytes > SIZE ? "web" : "", NULL);
	}
}

static void work_without_end(void *data)
{
	lab_reopen();
	lab_ready();
	for (;;)
		step(data);
}

ATF_TC_WITHOUT_HEAD(figures_are_a_recount_whoever_was_killed);
ATF_TC_BODY(figures_are_a_recount_whoever_was_killed, tc)
{
	uint64_t random = 20261122;

	lab_up();
	LAB_DO(create("p/v", SIZE, &err));
	LAB_DO(snapmgr_activate(lab, "p/v", NULL, NULL, &err));
	limit(SNAPMGR_VOLUMES, 2);
	limit(SNAPMGR_VOLUME_BYTES, 4 * SIZE);
	limit(SNAPMGR_SNAPSHOTS, 2);
	limit(SNAPMGR_SNAPSHOT_BYTES, 5 * SIZE);
	for (int i = 0; i < 25; i++) {
		pid_t pid;

		random += 1000;
		pid = lab_child(work_without_end, &random);
		lab_sleep_ms(20 + (unsigned int)(lab_random(&random) % 150));
		lab_end(pid);
		LAB_DO(snapmgr_recover(lab, "p", NULL, NULL, &err));
		check_figures();
	}
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, of_two_that_race_for_the_last_of_a_quota_one_wins);
	ATF_TP_ADD_TC(tp, figures_are_a_recount_whoever_was_killed);
	return atf_no_error();
}
