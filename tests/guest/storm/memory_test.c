/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A revert to which memory is refused, at each place where it asks for some.
 *
 * The linker hands us the library's own allocations (--wrap, see the Makefile); those inside of SQLite and
 * libdevmapper are not among them.
 */
#include <errno.h>

#include "../pool_lab.h"

#define SIZE (1 * SM_MIB)
#define MANY 500

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static unsigned int countdown; /* 0: all succeed */

static bool refused(void)
{
	if (!countdown || --countdown > 0)
		return false;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return refused() ? NULL : __real_calloc(n, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
	return refused() ? NULL : __real_reallocarray(old, n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return refused() ? NULL : __real_realloc(old, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return refused() ? NULL : __real_aligned_alloc(alignment, size);
}

static const char *const volumes[] = { "p/v", "p/w" };

static bool both_hold(uint64_t seed)
{
	return lab_holds(lab_node("p/v"), 0, SIZE, seed, LAB_DIRECT) &&
	       lab_holds(lab_node("p/w"), 0, SIZE, seed + 10, LAB_DIRECT);
}

static void write_both(uint64_t seed)
{
	lab_write(lab_node("p/v"), 0, SIZE, seed, LAB_DIRECT);
	lab_write(lab_node("p/w"), 0, SIZE, seed + 10, LAB_DIRECT);
}

static void make_group(void)
{
	lab_up();
	lab_create("p/v", SIZE);
	lab_create("p/w", SIZE);
	LAB_DO(snapmgr_group_create(lab, "p/g", volumes, 2, NULL, NULL, NULL, &err));
	write_both(1);
	lab_snapshot("p/g@s");
	write_both(2);
}

/* Return: whether an allocation was refused. */
static bool revert_without(unsigned int allocation, const char *volume, const char *snapshot,
			   unsigned int *failures)
{
	struct snapmgr_err why = { .message = "" };
	bool came;
	int r;

	snapmgr_free(lab); /* so that nothing is known, and all of it is asked for */
	lab_reopen();
	countdown = allocation;
	r = snapmgr_revert(lab, snapshot, NULL, NULL, &why);
	came = countdown == 0;
	countdown = 0;
	if (r == 0) { /* what was refused was not needed, or nothing was */
		ATF_REQUIRE(lab_holds(lab_node("p/v"), 0, SIZE, 1, LAB_DIRECT));
		LAB_DO(snapmgr_undo(lab, volume, NULL, NULL, &err));
	} else {
		++*failures;
		ATF_CHECK_MSG(why.message[0] != '\0', "no message");
	}
	ATF_REQUIRE_MSG(both_hold(2), "allocation %u: other heads", allocation);
	lab_check_rest();
	return came;
}

static void refuse_each(const char *volume, const char *snapshot)
{
	unsigned int failures = 0, n = 1;

	make_group();
	while (n < MANY && revert_without(n, volume, snapshot, &failures))
		n++;
	printf("%u allocations, %u of them ended it\n", n - 1, failures);
	ATF_CHECK(failures > 0);
	ATF_CHECK(n < MANY);
}

ATF_TC_WITHOUT_HEAD(a_revert_without_memory_changes_nothing_and_leaves_nothing);
ATF_TC_BODY(a_revert_without_memory_changes_nothing_and_leaves_nothing, tc)
{
	refuse_each("p/v", "p/v@s");
}

ATF_TC_WITHOUT_HEAD(a_group_revert_without_memory_changes_nothing_and_leaves_nothing);
ATF_TC_BODY(a_group_revert_without_memory_changes_nothing_and_leaves_nothing, tc)
{
	refuse_each("p/g", "p/g@s");
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_revert_without_memory_changes_nothing_and_leaves_nothing);
	ATF_TP_ADD_TC(tp, a_group_revert_without_memory_changes_nothing_and_leaves_nothing);
	return atf_no_error();
}
