/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two at once. */
#include "racers.h"

#include <sched.h>
#include <sys/mman.h>

#define SPREAD 3000000 /* ns, between the two */

struct racer {
	racer_fn *run;
	unsigned int number;
};

struct race *race;
static uint64_t lab_seed;

static void wait_until(uint64_t at_ns)
{
	while (sm_monotonic_ns() < at_ns)
		(void)sched_yield();
}

static void run_racer(void *data)
{
	const struct racer *racer = data;
	struct answer *answer = &race->answers[racer->number];

	lab_reopen();
	lab_ready();
	for (unsigned int seen = 0;; seen++) {
		struct snapmgr_err err = { 0 };

		while (race->round == seen)
			lab_sleep_ms(1);
		*answer = (struct answer){ 0 };
		wait_until(race->start_ns[racer->number]);
		if (racer->run(seen, answer, &err) < 0) {
			answer->code = err.code;
			(void)snprintf(answer->message, sizeof(answer->message), "%.199s",
				       err.message);
		}
		__atomic_add_fetch(&race->done, 1, __ATOMIC_SEQ_CST);
	}
}

static pid_t pids[2];

void race_begin(racer_fn *a, racer_fn *b)
{
	static struct racer racers[2];

	race = mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ATF_REQUIRE(race != MAP_FAILED);
	racers[0] = (struct racer){ a, 0 };
	racers[1] = (struct racer){ b, 1 };
	lab_seed = 7;
	for (int i = 0; i < 2; i++)
		pids[i] = lab_child(run_racer, &racers[i]);
}

void race_round(void)
{
	uint64_t start_ns = sm_monotonic_ns() + 4000000;

	race->done = 0;
	for (int i = 0; i < 2; i++)
		race->start_ns[i] = start_ns + lab_random(&lab_seed) % SPREAD;
	__atomic_add_fetch(&race->round, 1, __ATOMIC_SEQ_CST);
	while (race->done < 2)
		lab_sleep_ms(1);
	for (int i = 0; i < 2; i++)
		if (race->answers[i].code)
			printf("racer %d: %s: %s\n", i, snapmgr_code_name(race->answers[i].code),
			       race->answers[i].message);
}

void race_finish(void)
{
	for (int i = 0; i < 2; i++)
		lab_end(pids[i]);
	lab_check_rest();
}
