/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "snapmgr/cli/pack.h"

#include <errno.h>
#include <string.h>

#define BLOCK_BYTES (256u << 10)

struct pack_block {
	struct pack_block *next;
	size_t len, room;
	char bytes[];
};

/* The texts of an object: all but these is copied as it is. */
static const struct {
	size_t at, size;
} texts[] = {
#define MEMBER(m)                                                                           \
	{                                                                                   \
		offsetof(struct snapmgr_object, m), sizeof(((struct snapmgr_object *)0)->m) \
	}
	MEMBER(pool),	     MEMBER(volume),  MEMBER(name),   MEMBER(uuid),
	MEMBER(driver),	     MEMBER(state),   MEMBER(parent), MEMBER(parent_name),
	MEMBER(snapshot_of), MEMBER(project), MEMBER(label),  MEMBER(description),
	MEMBER(dm_name),     MEMBER(device),  MEMBER(group),  MEMBER(taken_with),
#undef MEMBER
};

/* The numbers between the tags and the first text behind them. */
#define NUMBERS_AT  offsetof(struct snapmgr_object, n_tags)
#define NUMBERS_END offsetof(struct snapmgr_object, dm_name)

static size_t packed_bytes(const struct snapmgr_object *o)
{
	size_t bytes = sizeof(o->kind) + NUMBERS_END - NUMBERS_AT;

	for (size_t i = 0; i < SM_ARRAY(texts); i++)
		bytes += strlen((const char *)o + texts[i].at) + 1;
	for (size_t i = 0; o->tags && i < o->n_tags; i++)
		bytes += strlen(o->tags[i].key) + strlen(o->tags[i].value) + 2;
	for (size_t i = 0; o->parts && i < o->n_parts; i++)
		bytes += strlen(o->parts[i].name) + strlen(o->parts[i].uuid) + 2;
	return bytes;
}

static char *room_for(struct pack *p, size_t bytes)
{
	struct pack_block *b = p->last;

	if (!b || b->room - b->len < bytes) {
		size_t room = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;

		b = malloc(sizeof(*b) + room);
		if (!b)
			return NULL;
		*b = (struct pack_block){ .room = room };
		if (p->last)
			p->last->next = b;
		else
			p->first = b;
		p->last = b;
	}
	b->len += bytes;
	return b->bytes + b->len - bytes;
}

static char *put(char *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	return to + len;
}

int pack_add(struct pack *p, const struct snapmgr_object *o)
{
	char *to = room_for(p, packed_bytes(o));

	if (!to)
		return -ENOMEM;
	to = put(to, &o->kind, sizeof(o->kind));
	to = put(to, (const char *)o + NUMBERS_AT, NUMBERS_END - NUMBERS_AT);
	for (size_t i = 0; i < SM_ARRAY(texts); i++) {
		const char *text = (const char *)o + texts[i].at;

		to = put(to, text, strlen(text) + 1);
	}
	for (size_t i = 0; o->tags && i < o->n_tags; i++) {
		to = put(to, o->tags[i].key, strlen(o->tags[i].key) + 1);
		to = put(to, o->tags[i].value, strlen(o->tags[i].value) + 1);
	}
	for (size_t i = 0; o->parts && i < o->n_parts; i++) {
		to = put(to, o->parts[i].name, strlen(o->parts[i].name) + 1);
		to = put(to, o->parts[i].uuid, strlen(o->parts[i].uuid) + 1);
	}
	p->n++;
	return 0;
}

static const char *take(void *to, const char *from, size_t len)
{
	memcpy(to, from, len);
	return from + len;
}

static const char *take_text(char *to, const char *from)
{
	return take(to, from, strlen(from) + 1);
}

/* What an object borrows, of the one unpacked last. */
struct borrowed {
	struct snapmgr_tag *tags;
	struct snapmgr_part *parts;
};

static const char *unpack_tags(const char *from, struct snapmgr_object *o, struct borrowed *b)
{
	free(b->tags);
	o->tags = b->tags = calloc(o->n_tags, sizeof(*b->tags));
	for (size_t i = 0; b->tags && i < o->n_tags; i++) {
		from = take_text(b->tags[i].key, from);
		from = take_text(b->tags[i].value, from);
	}
	return b->tags ? from : NULL;
}

static const char *unpack_parts(const char *from, struct snapmgr_object *o, struct borrowed *b)
{
	free(b->parts);
	o->parts = b->parts = calloc(o->n_parts, sizeof(*b->parts));
	for (size_t i = 0; b->parts && i < o->n_parts; i++) {
		from = take_text(b->parts[i].name, from);
		from = take_text(b->parts[i].uuid, from);
	}
	return b->parts ? from : NULL;
}

static const char *unpack(const char *from, struct snapmgr_object *o, struct borrowed *b)
{
	from = take(&o->kind, from, sizeof(o->kind));
	from = take((char *)o + NUMBERS_AT, from, NUMBERS_END - NUMBERS_AT);
	for (size_t i = 0; i < SM_ARRAY(texts); i++)
		from = take_text((char *)o + texts[i].at, from);
	o->tags = NULL;
	o->parts = NULL;
	if (o->n_tags)
		from = unpack_tags(from, o, b);
	return from && o->n_parts ? unpack_parts(from, o, b) : from;
}

static int each(const struct pack *p, snapmgr_object_fn *visit, void *data, struct borrowed *b)
{
	struct snapmgr_object o;

	for (const struct pack_block *block = p->first; block; block = block->next)
		for (const char *at = block->bytes; at < block->bytes + block->len;) {
			int r;

			at = unpack(at, &o, b);
			if (!at)
				return -ENOMEM;
			r = visit(&o, data);
			if (r)
				return r;
		}
	return 0;
}

int pack_each(const struct pack *p, snapmgr_object_fn *visit, void *data)
{
	struct borrowed borrowed = { 0 };
	int r = each(p, visit, data, &borrowed);

	free(borrowed.tags);
	free(borrowed.parts);
	return r;
}

void pack_release(struct pack *p)
{
	while (p->first) {
		struct pack_block *next = p->first->next;

		free(p->first);
		p->first = next;
	}
	*p = (struct pack){ 0 };
}
