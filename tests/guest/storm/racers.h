/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * racers.h - two processes that do something at once, many times
 *
 * Both begin at the same moment, give or take a random little, and go one after the other in some order.
 */
#ifndef RACERS_H
#define RACERS_H

#include "../pool_lab.h"

struct answer {
	enum snapmgr_code code; /* SNAPMGR_OK: done */
	char name[SNAPMGR_NAME_MAX + 1];
	char message[200];
};
struct race {
	volatile unsigned int round; /* grows: go */
	volatile unsigned int done;
	uint64_t start_ns[2];
	struct answer answers[2];
};
typedef int racer_fn(unsigned int round, struct answer *ret, struct snapmgr_err *err);
extern struct race *race;

/* race_begin() - two processes that wait for rounds; what their answers are is in "race". */
void race_begin(racer_fn *a, racer_fn *b);
/* race_round() - one round; both are done when it returns. */
void race_round(void);
/* race_finish() - end the two; nothing may be left in the pool of what they did. */
void race_finish(void);

#endif
