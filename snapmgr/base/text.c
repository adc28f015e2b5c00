/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text of bounded length, and which text is fit to be kept. */
#include <errno.h>
#include <string.h>

#include "base.h"

int sm_copy_text(char *to, size_t size, const char *from)
{
	size_t len = strnlen(from, size);

	if (len == size) {
		memcpy(to, from, size - 1);
		to[size - 1] = '\0';
		return -ENAMETOOLONG;
	}
	memcpy(to, from, len + 1);
	return 0;
}

size_t sm_utf8_length(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	static const struct {
		unsigned char mask, lead;
		uint32_t min;
	} forms[] = { { 0x80, 0x00, 0 },
		      { 0xe0, 0xc0, 0x80 },
		      { 0xf0, 0xe0, 0x800 },
		      { 0xf8, 0xf0, 0x10000 } };

	for (size_t n = 0; n < SM_ARRAY(forms); n++) {
		uint32_t c = (uint32_t)(*p & (unsigned char)~forms[n].mask);

		if ((*p & forms[n].mask) != forms[n].lead)
			continue;
		for (size_t i = 1; i <= n; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (p[i] & 0x3f);
		}
		if (c < forms[n].min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return 0;
		return n + 1;
	}
	return 0;
}

bool sm_utf8_valid(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p) {
		size_t len = sm_utf8_length((const char *)p);
		bool c1 = len == 2 && p[0] == 0xc2 && p[1] < 0xa0;

		if (!len || *p < 0x20 || *p == 0x7f || c1)
			return false;
		p += len;
	}
	return true;
}
