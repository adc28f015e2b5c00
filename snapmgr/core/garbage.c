/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ids that nothing names any more, deleted when somebody has the time. */
#include <errno.h>

#include "snapmgr/core/core.h"

#define BATCH 64

struct batch {
	uint32_t thins[BATCH];
	size_t n;
	uint32_t after; /* only ids above this one, so that one that stays is not met again */
};

static int collect(uint32_t thin, void *data)
{
	struct batch *b = data;

	if (thin <= b->after)
		return 0;
	b->thins[b->n++] = thin;
	return b->n == BATCH;
}

/* An id that is still mapped stays garbage. Its row goes after the kernel's delete, never before. */
static int drop_batch(struct sm_pool *pool, struct batch *b, uint64_t until_ns,
		      struct snapmgr_err *err)
{
	bool gone[BATCH] = { false };
	const struct sm_driver *driver = pool->b.driver;
	int n = 0, r = 0;

	for (size_t i = 0; i < b->n && driver->stores; i++) /* a store holds its origin open */
		(void)driver->stores->disarm(&pool->b, b->thins[i], NULL);
	for (size_t i = 0; i < b->n && r == 0; i++) {
		r = pool->b.driver->drop(&pool->b, b->thins[i], err);
		gone[i] = r == 0;
		r = r == -EBUSY ? 0 : r;
		if (sm_monotonic_ns() >= until_ns)
			b->n = i + 1;
	}
	if (r == 0)
		r = scat_begin(pool->cat, err);
	for (size_t i = 0; i < b->n && r == 0; i++) {
		if (!gone[i])
			continue;
		r = scat_garbage_remove(pool->cat, b->thins[i], err);
		if (r == 0 && driver->stores)
			r = scat_extent_free(pool->cat, b->thins[i], err);
		n++;
	}
	if (r == 0)
		r = scat_commit(pool->cat, false,
				err); /* lost by a power cut: deleted once more, no harm */
	scat_rollback(pool->cat);
	return r < 0 ? r : n;
}

int sm_garbage_drop(struct sm_pool *pool, struct snapmgr_err *err)
{
	int total = 0;
	uint32_t after = 0;

	for (;;) {
		struct batch b = { .after = after };
		int r = scat_garbage_each(pool->cat, collect, &b, err);

		if (r >= 0 && b.n)
			r = drop_batch(pool, &b, UINT64_MAX, err);
		if (r < 0)
			return r;
		total += b.n ? r : 0;
		if (b.n < BATCH)
			return total;
		after = b.thins[BATCH - 1];
	}
}

int sm_garbage_drop_some(struct sm_pool *pool, uint32_t budget_ms, uint32_t *after, bool *ret_more,
			 struct snapmgr_err *err)
{
	const uint64_t until_ns = sm_monotonic_ns() + budget_ms * UINT64_C(1000000);
	struct batch b = { .after = *after };
	size_t found;
	int r = scat_garbage_each(pool->cat, collect, &b, err);

	*ret_more = false;
	if (r < 0 || !b.n)
		return r < 0 ? r : 0;
	found = b.n;
	r = drop_batch(pool, &b, until_ns, err);
	*after = b.thins[b.n - 1];
	*ret_more = b.n < found || found == BATCH;
	return r;
}
