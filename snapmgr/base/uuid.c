/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* UUIDs (RFC 4122), binary and as text. */
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "base.h"

/* Random bytes of this thread, fetched for several UUIDs at once. */
static _Thread_local struct {
	uint8_t bytes[256];
	size_t left;
} drawn;

/* The child would hand out its parent's. */
static void forget(void)
{
	drawn.left = 0;
}

static void watch_forks(void)
{
	(void)pthread_atfork(NULL, NULL, forget);
}

void sm_uuid_make(struct sm_uuid *u)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, watch_forks);
	/* Up to 256 bytes getrandom neither fails nor is cut short once the pool is ready: getrandom(2). */
	while (drawn.left < sizeof(u->b))
		if (getrandom(drawn.bytes, sizeof(drawn.bytes), 0) == (ssize_t)sizeof(drawn.bytes))
			drawn.left = sizeof(drawn.bytes);
	drawn.left -= sizeof(u->b);
	memcpy(u->b, drawn.bytes + drawn.left, sizeof(u->b));
	u->b[6] = (uint8_t)((u->b[6] & 0x0f) | 0x40);
	u->b[8] = (uint8_t)((u->b[8] & 0x3f) | 0x80);
}

static bool hyphen_at(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

void sm_uuid_text(const struct sm_uuid *u, char text[SNAPMGR_UUID_TEXT])
{
	static const char digits[] = "0123456789abcdef";
	static const uint8_t places[] = {
		0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34
	};

	memcpy(text, "........-....-....-....-............", 37);
	for (size_t i = 0; i < sizeof(places); i++) {
		text[places[i]] = digits[u->b[i] >> 4];
		text[places[i] + 1] = digits[u->b[i] & 15];
	}
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool sm_uuid_parse(const char *text, struct sm_uuid *ret)
{
	struct sm_uuid u;
	size_t n = 0;

	if (strnlen(text, 37) != 36)
		return false;
	for (size_t i = 0; i < 36;) {
		if (hyphen_at(i)) {
			if (text[i++] != '-')
				return false;
			continue;
		}
		int high = digit(text[i]), low = digit(text[i + 1]);

		if (high < 0 || low < 0)
			return false;
		u.b[n++] = (uint8_t)(high << 4 | low);
		i += 2;
	}
	*ret = u;
	return true;
}

bool sm_uuid_equal(const struct sm_uuid *a, const struct sm_uuid *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool sm_uuid_is_null(const struct sm_uuid *u)
{
	static const struct sm_uuid null;

	return sm_uuid_equal(u, &null);
}
