/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a pool looks like to its user, as text. */
#include "steps.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct album {
	struct picture *out;
	const struct picture *known;
	unsigned int flags;
	bool pools[2]; /* "p", "q": active */
};

void lose(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	(void)fflush(NULL);
	_exit(3);
}

static void add(char *text, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void add(char *text, size_t size, const char *fmt, ...)
{
	size_t len = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text + len, size - len, fmt, ap);
	va_end(ap);
	if (strlen(text) + 2 > size)
		lose("a picture has no room for all of it");
}

#define ADD(picture, ...) add((picture)->text, sizeof((picture)->text), __VA_ARGS__)

/* Of the contents, without what is written after a kill. */
static uint64_t sum(const char *dm_name)
{
	static uint64_t *room;
	char node[200];
	uint64_t h = 0;
	ssize_t n;

	if (!room && posix_memalign((void **)&room, 4096, SIZE) != 0)
		abort();
	(void)snprintf(node, sizeof(node), "/dev/mapper/%s", dm_name);
	AUTO(sm_close_fd) int fd = open(node, O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (fd < 0 || (n = read(fd, room, SIZE)) < 0)
		lose("cannot read '%s': %m", node);
	for (ssize_t i = 0; i < n / 8; i++)
		h = (h ^ room[i]) * UINT64_C(0xff51afd7ed558ccd) + (h >> 29);
	return h;
}

/* Return: its place in the picture that is compared with, or SIZE_MAX. */
static size_t place(const struct album *a, const char *uuid)
{
	for (size_t i = 0; i < a->known->n; i++)
		if (strcmp(a->known->known[i].uuid, uuid) == 0)
			return i;
	return SIZE_MAX;
}

/* Static, of the last two calls. */
static const char *name_of(const struct album *a, const char *uuid)
{
	static char texts[2][16];
	static int next;
	char *text = texts[next ^= 1];
	size_t i = place(a, uuid);

	(void)snprintf(text, sizeof(texts[0]), i == SIZE_MAX ? "new" : "#%zu", i);
	return *uuid ? text : "none";
}

static void know(struct album *a, const char *uuid, uint32_t major, uint32_t minor)
{
	struct picture *p = a->out;

	if (p->n == SM_ARRAY(p->known))
		lose("too many objects");
	(void)sm_copy_text(p->known[p->n].uuid, SNAPMGR_UUID_TEXT, uuid);
	p->known[p->n].major = major;
	p->known[p->n++].minor = minor;
}

static void check_number(const struct album *a, const struct snapmgr_object *o)
{
	size_t i = place(a, o->uuid);

	if (i == SIZE_MAX || a->flags & (VERB_REMAPS | PICTURE_REBOOTED))
		return;
	if (a->known->known[i].major != o->major || a->known->known[i].minor != o->minor)
		lose("'%s' was %u:%u and is %u:%u", o->dm_name, a->known->known[i].major,
		     a->known->known[i].minor, o->major, o->minor);
}

/* Where, and with which options: the rest of a line of mountinfo is numbers. */
static void add_mounts(struct picture *p, const char *dm_name)
{
	char line[1000], root[100], target[100], flags[200];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	const char *rest;

	ATF_REQUIRE(f != NULL);
	while (fgets(line, sizeof(line), f)) {
		rest = strstr(line, " - ");
		if (!rest || !strstr(rest, dm_name))
			continue;
		ATF_REQUIRE_EQ(3, sscanf(line, "%*s %*s %*s %99s %99s %199s", root, target, flags));
		ADD(p, " %s on %s (%s,%.*s)", root, target, flags, (int)strcspn(rest, "\n"), rest);
	}
	(void)fclose(f);
}

static void add_device(struct album *a, const struct snapmgr_object *o)
{
	struct stat st;

	if (!o->active) {
		ADD(a->out, " inactive");
		return;
	}
	if (stat(o->device, &st) < 0)
		lose("'%s' has no link '%s'", o->dm_name, o->device);
	if (major(st.st_rdev) != o->major || minor(st.st_rdev) != o->minor)
		lose("'%s' is not the device of '%s'", o->device, o->dm_name);
	check_number(a, o);
	ADD(a->out, " %s %s", o->dm_name, o->device);
	if (strcmp(o->volume, "m") != 0) /* which is mounted, and changes by itself */
		ADD(a->out, " reads %jx", (uintmax_t)sum(o->dm_name));
	else if (o->kind == SNAPMGR_VOLUME)
		add_mounts(a->out, o->dm_name);
}

static int add_object(const struct snapmgr_object *o, void *data)
{
	struct album *a = data;
	struct picture *p = a->out;
	size_t len = strlen(p->text);
	const bool well = strcmp(o->state, "available") == 0;

	if (!well && !(a->flags & VERB_STATES))
		lose("'%s@%s' is in state '%s'", o->volume, o->name, o->state);
	if (!a->known->n || a->known == p)
		know(a, o->uuid, o->major, o->minor);
	ADD(p, "%s/%s %s %s %ju of %s parent '%s' label '%s' undo_keep %u%s%s%s%s%s", o->pool,
	    o->volume, o->kind == SNAPMGR_VOLUME ? "" : o->name,
	    o->kind == SNAPMGR_UNDO ? "undo" : name_of(a, o->uuid), (uintmax_t)o->size_bytes,
	    name_of(a, o->snapshot_of), o->parent_name, o->label, o->undo_keep,
	    o->hold ? " held" : "", o->latest ? " latest" : "", o->autostart ? " autostart" : "",
	    well ? "" : " in state ", well ? "" : o->state);
	add(p->rows, sizeof(p->rows), "%s\n", p->text + len);
	if (o->kind == SNAPMGR_UNDO)
		ADD(p, o->active ? " undo, active" : " undo");
	else
		add_device(a, o);
	ADD(p, "\n");
	return 0;
}

static int add_pool(const struct snapmgr_pool *pool, void *data)
{
	struct album *a = data;
	int which = strcmp(pool->name, "q") == 0;

	if (!which && strcmp(pool->name, "p") != 0)
		return 0;
	a->pools[which] = strcmp(pool->state, "active") == 0;
	if (!a->known->n || a->known == a->out)
		know(a, pool->uuid, 0, 0);
	ADD(a->out, "pool %s %s %s %s, %zu members, %ju bytes\n", pool->name,
	    name_of(a, pool->uuid), pool->state, a->pools[which] ? pool->mode : "", pool->n_members,
	    (uintmax_t)pool->size_bytes);
	return 0;
}

static int check_device(const char *name, const char *uuid, uint32_t major, uint32_t minor,
			void *data)
{
	struct sdm_info info;

	(void)uuid;
	(void)major;
	(void)minor;
	(void)data;
	LAB_DO(sdm_info(name, &info, &err));
	if (info.suspended)
		lose("'%s' is suspended", name);
	if (info.has_inactive)
		lose("'%s' has an inactive table", name);
	if (!info.has_live)
		lose("'%s' has no table", name);
	return 0;
}

void picture_take(struct picture *ret, const struct picture *known, unsigned int flags)
{
	struct snapmgr_list_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_list_opts);
	struct album a = { .out = ret, .known = known ? known : ret, .flags = flags };

	ret->text[0] = ret->rows[0] = '\0';
	ret->n = 0;
	opts.undo = true;
	LAB_DO(sdm_list(SM_DM_UUID, check_device, NULL, &err));
	if (flags & VERB_POOL)
		LAB_DO(snapmgr_pool_list(lab, add_pool, &a, &err));
	else
		a.pools[0] = true;
	for (int i = 0; i < 2; i++)
		if (a.pools[i])
			LAB_DO(snapmgr_list(lab, i ? "q" : "p", &opts, add_object, &a, &err));
}

const char *texts_differ(const char *a, const char *b)
{
	static char text[2048];
	const char *p = a, *q = b;

	while (*p && *p == *q)
		p++, q++;
	if (*p == *q)
		return NULL;
	while (p > a && p[-1] != '\n')
		p--, q--;
	(void)snprintf(text, sizeof(text), "'%.*s' and not '%.*s'", (int)strcspn(p, "\n"), p,
		       (int)strcspn(q, "\n"), q);
	return text;
}

struct specs {
	char v[64][SNAPMGR_UUID_TEXT];
	size_t n;
};

static int keep_spec(const struct snapmgr_object *o, void *data)
{
	struct specs *s = data;

	if ((o->kind == SNAPMGR_SNAPSHOT || o->kind == SNAPMGR_UNDO) && s->n < SM_ARRAY(s->v))
		memcpy(s->v[s->n++], o->uuid, SNAPMGR_UUID_TEXT);
	return 0;
}

static int keep_dm_name(const struct snapmgr_object *o, void *data)
{
	(void)sm_copy_text(data, sizeof(o->dm_name), o->dm_name);
	return 0;
}

void picture_contents(char *ret, size_t size)
{
	struct snapmgr_list_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_list_opts);
	struct specs all = { .n = 0 };
	struct snapmgr_object o;
	bool was;

	*ret = '\0';
	opts.undo = true;
	LAB_DO(snapmgr_list(lab, "p", &opts, keep_spec, &all, &err));
	for (size_t i = 0; i < all.n; i++) {
		lab_show(all.v[i], &o);
		was = o.active;
		if (!was)
			LAB_DO(snapmgr_activate(lab, all.v[i], keep_dm_name, o.dm_name, &err));
		add(ret, size, "%s@%s reads %jx\n", o.volume, o.name, (uintmax_t)sum(o.dm_name));
		if (!was)
			LAB_DO(snapmgr_deactivate(lab, all.v[i], &err));
	}
}
