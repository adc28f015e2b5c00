/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What runs in a guest whose plug will be pulled. See tests/plug.sh, which starts it:
 *
 *   plug_work make              a pool on all disks
 *   plug_work go DIR [SEED]     look at what the last pull left, then change the pool until the next
 *
 * In DIR lies "history": a line "SEED N LOOSE" for each time before, N changes of which came true
 * (and of the write after them nobody knows: LOOSE). In DIR also lies "last", "SEED N" for the time that the
 * plug was pulled in, N changes of which were acknowledged: a line "ack N" that the host got. The answer
 * is "whole SEED N LOOSE". Once DIR/go.SEED is there, SEED's changes are made.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "tests/model/model.h"

#define MAX_AHEAD 64 /* changes that were made, and whose acknowledgement did not reach the host */

/* The changes of one time between two pulls: they come from the seed and what there was before. */
struct series {
	struct model m;
	struct model_op next;
	uint64_t random;
	uint32_t n; /* made so far */
};

__attribute__((noreturn, format(printf, 1, 2))) static void lost(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)printf("lost ");
	(void)vprintf(fmt, ap);
	(void)putchar('\n');
	va_end(ap);
	exit(1);
}

static void begin(struct series *s, uint64_t seed)
{
	s->random = seed;
	s->n = 0;
	s->next = (struct model_op){ .verb = MODEL_SETTLE,
				     .id = s->m.made,
				     .snapshot = MODEL_NONE };
}

static void step(struct series *s)
{
	model_apply(&s->m, &s->next);
	s->n++;
	model_next(&s->m, &s->random, &s->next);
}

static bool is_write(const struct model_op *op)
{
	return op->verb == MODEL_WRITE || op->verb == MODEL_WRITE_LOOSE;
}

/* Everything before the last pull, as it came out. */
static void remember(struct series *s, const char *dir)
{
	char path[512];
	AUTO(sm_close_file) FILE *f = NULL;
	uint64_t seed;
	uint32_t n, loose;

	model_init(&s->m, true);
	(void)snprintf(path, sizeof(path), "%s/history", dir);
	f = fopen(path, "re");
	while (f && fscanf(f, "%" SCNu64 " %u %u", &seed, &n, &loose) == 3) {
		begin(s, seed);
		while (s->n < n)
			step(s);
		if (loose)
			model_begun(&s->m, &s->next);
		model_crash(&s->m);
	}
}

static bool read_last(const char *dir, uint64_t *seed, uint32_t *acked)
{
	char path[512];
	AUTO(sm_close_file) FILE *f = NULL;

	(void)snprintf(path, sizeof(path), "%s/last", dir);
	f = fopen(path, "re");
	return f && fscanf(f, "%" SCNu64 " %u", seed, acked) == 2;
}

/* May it be that the plug was pulled in this? */
static bool is_near(const struct series *from, enum model_verb verb)
{
	struct series s = *from;

	for (int i = 0; i < MAX_AHEAD; i++, step(&s))
		if (s.next.verb == verb)
			return true;
	return false;
}

/* The first state, from what was acknowledged on, that the pool is in. */
static bool find_state(struct series *s, const struct model_seen *seen, struct model_why *why)
{
	struct model_why first;

	for (int i = 0; i < MAX_AHEAD; i++, step(s)) {
		struct model m = s->m;

		if (is_write(&s->next))
			model_begun(&m, &s->next);
		if (model_fits(seen, &m, why)) {
			s->m = m;
			return true;
		}
		if (i == 0)
			first = *why;
	}
	*why = first;
	return false;
}

/* After SEED's settling, nothing of what was loose before is. */
static void look(struct snapmgr *sm, struct series *s, uint64_t seed, uint32_t acked)
{
	struct model_why why = { "" };
	struct model_seen *seen;
	bool exporting, headers;

	begin(s, seed);
	while (s->n < acked)
		step(s);
	exporting = is_near(s, MODEL_EXPORT);
	headers = exporting || is_near(s, MODEL_RESTART);
	if (model_bring_up(sm, exporting, &why) < 0 || model_look(sm, &seen, &why) < 0)
		lost("after change %u of %" PRIu64 ": %s", acked, seed, why.text);
	if (!find_state(s, seen, &why))
		lost("after change %u of %" PRIu64 ": %s", acked, seed, why.text);
	free(seen);
	model_crash(&s->m);
	if (model_check(sm, headers, &why) < 0)
		lost("after change %u of %" PRIu64 ": %s", acked, seed, why.text);
	printf("whole %" PRIu64 " %u %d\n", seed, s->n, is_write(&s->next));
}

static void wait_for_go(const char *dir, uint64_t seed)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/go.%" PRIu64, dir, seed);
	while (access(path, F_OK) < 0)
		(void)usleep(5000);
}

static void work(struct snapmgr *sm, struct series *s, uint64_t seed)
{
	struct model_why why = { "" };

	for (begin(s, seed);; step(s)) {
		if (s->n)
			printf("ack %u\n", s->n);
		if (model_do(sm, &s->m, &s->next, &why) < 0)
			lost("change %u of %" PRIu64 ", %s: %s", s->n, seed,
			     model_say(&s->m, &s->next), why.text);
	}
}

static int make(struct snapmgr *sm)
{
	const char *disks[8];
	struct model_why why;
	struct snapmgr_err err;
	struct model m;
	char *all = strdup(getenv("SANDBOX_DISKS"));
	size_t n = 0;

	for (char *at = strtok(all, " "); at && n < SM_ARRAY(disks); at = strtok(NULL, " "))
		disks[n++] = at;
	model_init(&m, true);
	if (snapmgr_pool_create(sm, MODEL_POOL, disks, n, NULL, &err) < 0)
		lost("create: %s", err.message);
	if (model_make(sm, &m, &why) < 0)
		lost("create: %s", why.text);
	sync();
	printf("made\n");
	return 0;
}

static void warn(const char *message, void *data)
{
	(void)data;
	printf("warning: %s\n", message);
}

int main(int argc, char **argv)
{
	struct snapmgr_open_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_open_opts);
	static struct series s;
	struct snapmgr *sm;
	struct model_why why;
	uint64_t seed;
	uint32_t acked;

	(void)setvbuf(stdout, NULL, _IOLBF, 0); /* a line is one write */
	opts.wait_ms = 30000;
	opts.warn = warn;
	if (argc < 2 || !getenv("SANDBOX_DISKS") || snapmgr_open(&opts, &sm, NULL) < 0)
		return 2;
	if (strcmp(argv[1], "make") == 0)
		return make(sm);
	if (argc < 3)
		return 2;
	printf("up\n");
	remember(&s, argv[2]);
	if (read_last(argv[2], &seed, &acked))
		look(sm, &s, seed, acked);
	else if (model_bring_up(sm, false, &why) < 0)
		lost("%s", why.text);
	if (argc < 4)
		return 0;
	seed = strtoull(argv[3], NULL, 10);
	wait_for_go(argv[2], seed);
	if (model_mount(sm, &s.m, &why) < 0)
		lost("%s", why.text);
	work(sm, &s, seed);
	return 0;
}
