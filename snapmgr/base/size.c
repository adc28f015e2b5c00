/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes as people write them. */
#include <errno.h>
#include <string.h>

#include "base.h"

/* "", "B", "K", "KiB", ...: how far to shift; -1: no such unit. */
static int unit_shift(const char *unit)
{
	static const char letters[] = "KMGTPE";
	const char *letter;

	if (!*unit || strcmp(unit, "B") == 0)
		return 0;
	letter = strchr(letters, *unit & ~0x20);
	if (!letter || !*letter || (unit[1] && strcmp(unit + 1, "iB") != 0))
		return -1;
	return 10 * (int)(letter - letters + 1);
}

int snapmgr_parse_size(const char *text, uint64_t *ret_bytes, struct snapmgr_err *err)
{
	const char *p = text;
	uint64_t n = 0;
	int shift;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
			goto too_big;
	}
	shift = p == text ? -1 : unit_shift(p);
	if (shift < 0)
		return sm_fail(
			err, SNAPMGR_USAGE, EINVAL,
			"'%.40s' is no size: write a whole number of bytes, or one with K, M, G, T, P "
			"or E (powers of 1024; KiB is the same, KB is refused)",
			text);
	if (n > (uint64_t)INT64_MAX >> shift)
		goto too_big;
	*ret_bytes = n << shift;
	return 0;
too_big:
	return sm_fail(err, SNAPMGR_USAGE, EINVAL, "size '%.40s' is too large", text);
}
