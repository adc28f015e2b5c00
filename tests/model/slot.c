/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Contents that say by themselves what they are, and other small things. */
#include "tests/model/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

int model_fail(struct model_why *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why->text, sizeof(why->text), fmt, ap);
	va_end(ap);
	return -1;
}

int model_done(int r, const struct snapmgr_err *err, const char *what, struct model_why *why)
{
	return r < 0 ? model_fail(why, "%s: %s", what, err->message) : 0;
}

unsigned char *model_room(void)
{
	static void *room;

	if (!room && posix_memalign(&room, MODEL_SLOT, MODEL_ROOM) != 0)
		abort();
	return room;
}

static uint64_t word(uint64_t first, uint64_t i)
{
	uint64_t state = first + i * 0x1234567;

	return model_random(&state);
}

void model_fill(void *block, uint32_t id, uint32_t index)
{
	uint64_t *words = block, first = (uint64_t)id << 32 | index;

	words[0] = first;
	for (size_t i = 1; i < MODEL_SLOT / sizeof(*words); i++)
		words[i] = word(first, i);
}

uint32_t model_recognize(const void *block, uint32_t index)
{
	static const unsigned char zeroes[MODEL_SLOT];
	const uint64_t *words = block;

	if (memcmp(block, zeroes, MODEL_SLOT) == 0)
		return 0;
	if ((uint32_t)words[0] != index)
		return MODEL_TORN;
	for (size_t i = 1; i < MODEL_SLOT / sizeof(*words); i++)
		if (words[i] != word(words[0], i))
			return MODEL_TORN;
	return (uint32_t)(words[0] >> 32);
}

void model_node(const struct snapmgr_object *o, char ret[160])
{
	(void)snprintf(ret, 160, "/dev/mapper/%s", o->dm_name);
}

int model_keep(const struct snapmgr_object *object, void *data)
{
	struct snapmgr_object *ret = data;

	*ret = *object;
	ret->tags = NULL;
	return 0;
}

int model_mount_one(const char *node, const char *name, bool read_only, char ret[96],
		    struct model_why *why)
{
	(void)snprintf(ret, 96, "/tmp/model/%s", name);
	(void)mkdir("/tmp/model", 0755);
	(void)mkdir(ret, 0755);
	if (mount(node, ret, "ext4", read_only ? MS_RDONLY : 0, read_only ? "noload" : "") < 0 &&
	    errno != EBUSY) /* it is mounted already */
		return model_fail(why, "cannot mount '%s': %s", node, strerror(errno));
	return 0;
}
