/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of where two things differ: what the drivers' answers have in common. */
#include <errno.h>

#include "snapmgr/drivers/driver.h"

void sm_diff_release(struct sm_diff *diff)
{
	free(diff->v);
	*diff = (struct sm_diff){ 0 };
}

static uint64_t step(uint64_t at, uint64_t bytes)
{
	return at == SM_NOWHERE ? SM_NOWHERE : at + bytes;
}

static bool goes_on(const struct sm_diff_extent *a, const struct sm_diff_extent *b)
{
	return a->at_bytes + a->len_bytes == b->at_bytes &&
	       step(a->left_at, a->len_bytes) == b->left_at &&
	       step(a->right_at, a->len_bytes) == b->right_at;
}

static int append(struct sm_diff *diff, const struct sm_diff_extent *e, struct snapmgr_err *err)
{
	struct sm_diff_extent *more;

	if (diff->n && goes_on(&diff->v[diff->n - 1], e)) {
		diff->v[diff->n - 1].len_bytes += e->len_bytes;
		return 0;
	}
	if (diff->n == diff->room) {
		more = reallocarray(diff->v, diff->room ? 2 * diff->room : 64, sizeof(*more));
		if (!more)
			return sm_nomem(err);
		diff->v = more;
		diff->room = diff->room ? 2 * diff->room : 64;
	}
	diff->v[diff->n++] = *e;
	return 0;
}

/* What of @e begins before @end; *e is the rest, then. */
static struct sm_diff_extent split(struct sm_diff_extent *e, uint64_t end)
{
	struct sm_diff_extent first = *e;
	uint64_t len = end <= e->at_bytes ? 0 : end - e->at_bytes;

	if (len > e->len_bytes)
		len = e->len_bytes;
	first.len_bytes = len;
	e->at_bytes += len;
	e->len_bytes -= len;
	e->left_at = step(e->left_at, len);
	e->right_at = step(e->right_at, len);
	return first;
}

int sm_diff_add(struct sm_diff *diff, struct sm_diff_extent e, bool shared, uint64_t left_bytes,
		uint64_t right_bytes, struct snapmgr_err *err)
{
	const bool left_ends = left_bytes < right_bytes;
	struct sm_diff_extent both = split(&e, left_ends ? left_bytes : right_bytes);
	struct sm_diff_extent one = split(&e, left_ends ? right_bytes : left_bytes);
	int r = 0;

	if (both.len_bytes && !shared)
		r = append(diff, &both, err);
	if (left_ends)
		one.left_at = SM_NOWHERE;
	else
		one.right_at = SM_NOWHERE;
	if (r < 0 || !one.len_bytes || (one.left_at == SM_NOWHERE && one.right_at == SM_NOWHERE))
		return r;
	return append(diff, &one, err);
}
