/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reverts all over a tree of snapshots: each keeps what it held. */
#include <string.h>

#include "../pool_lab.h"

#define SIZE	(32 * SM_MIB)
#define CHUNK	(64 * SM_KIB)
#define N_SNAPS 30
#define STEPS	200

struct walk {
	uint64_t random;
	uint64_t sums[N_SNAPS]; /* of each snapshot, as it was taken */
	uint64_t head;		/* what the volume should read as; 0: whatever was written last */
	int parents[N_SNAPS];
	int descends; /* the snapshot that the head descends from; -1: none */
	int n;
};

static const char *snapshot(int i)
{
	static char spec[32];

	(void)snprintf(spec, sizeof(spec), "p/v@s%d", i);
	return spec;
}

/* A few chunks rewritten, so that the next snapshot differs from all others. */
static void scribble(struct walk *w)
{
	char node[160];

	(void)sm_copy_text(node, sizeof(node), lab_node("p/v"));
	for (int i = 0; i < 4; i++) {
		uint64_t at = lab_random(&w->random) % (SIZE / CHUNK) * CHUNK;

		lab_write(node, at, 4096 + lab_random(&w->random) % 15 * 4096,
			  lab_random(&w->random), LAB_DIRECT | LAB_ASYNC);
	}
}

static void take(struct walk *w)
{
	scribble(w);
	lab_snapshot(snapshot(w->n));
	w->sums[w->n] = w->head = lab_sum(lab_node("p/v"));
	w->parents[w->n] = w->descends;
	w->descends = w->n++;
}

static void go_to(struct walk *w, int i)
{
	lab_revert(snapshot(i));
	w->head = w->sums[i];
	w->descends = i;
}

static void check_parent(const struct walk *w, const struct snapmgr_object *o, int parent)
{
	char want[32] = "";

	(void)w;
	if (parent >= 0)
		(void)snprintf(want, sizeof(want), "v@s%d", parent);
	ATF_CHECK_STREQ_MSG(want, o->parent_name, "of %s", o->name);
}

static void check_all(const struct walk *w)
{
	struct snapmgr_object o;

	if (w->head)
		ATF_REQUIRE_EQ_MSG(w->head, lab_sum(lab_node("p/v")),
				   "the volume holds something else");
	lab_show("p/v", &o);
	check_parent(w, &o, w->descends);
	for (int i = 0; i < w->n; i++) {
		ATF_REQUIRE_EQ_MSG(w->sums[i], lab_sum_of(snapshot(i)), "s%d has changed", i);
		lab_show(snapshot(i), &o);
		check_parent(w, &o, w->parents[i]);
	}
}

/* Thirty snapshots, each a child of any earlier one. */
static void grow(struct walk *w)
{
	lab_create("p/v", SIZE);
	while (w->n < N_SNAPS) {
		if (w->n > 1 && lab_random(&w->random) % 2)
			go_to(w, (int)(lab_random(&w->random) % (uint64_t)w->n));
		take(w);
	}
}

static void step(struct walk *w)
{
	switch (lab_random(&w->random) % 4) {
	case 0:
		scribble(w);
		w->head = 0;
		return;
	case 1: { /* undone: what was before */
		uint64_t before = w->head ? w->head : lab_sum(lab_node("p/v"));
		int descended = w->descends;

		go_to(w, (int)(lab_random(&w->random) % N_SNAPS));
		LAB_DO(snapmgr_undo(lab, "p/v", NULL, NULL, &err));
		w->head = before;
		w->descends = descended;
		return;
	}
	default:
		go_to(w, (int)(lab_random(&w->random) % N_SNAPS));
	}
}

static void walk(uint64_t seed, int checked_each)
{
	struct walk w = { .random = seed, .descends = -1 };

	lab_up();
	grow(&w);
	for (int i = 1; i <= STEPS; i++) {
		step(&w);
		if (i % checked_each == 0)
			check_all(&w);
	}
	lab_check_rest();
}

ATF_TC_WITHOUT_HEAD(no_walk_over_the_tree_changes_a_snapshot);
ATF_TC_BODY(no_walk_over_the_tree_changes_a_snapshot, tc)
{
	walk(1, 20);
}

ATF_TC_WITHOUT_HEAD(no_other_walk_over_the_tree_changes_a_snapshot);
ATF_TC_BODY(no_other_walk_over_the_tree_changes_a_snapshot, tc)
{
	walk(20261, STEPS);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, no_walk_over_the_tree_changes_a_snapshot);
	ATF_TP_ADD_TC(tp, no_other_walk_over_the_tree_changes_a_snapshot);
	return atf_no_error();
}
