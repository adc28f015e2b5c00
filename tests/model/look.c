/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a real pool holds, and whether that is what a model says. */
#include "tests/model/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>

#include "dm/sdm.h"

#define MAX_OBJECTS (MODEL_VOLUMES * (MODEL_UNDO + 1) + MODEL_SNAPSHOTS + 8)

struct object {
	enum snapmgr_kind kind;
	char volume[SNAPMGR_NAME_MAX + 1], name[SNAPMGR_NAME_MAX + 1];
	char group[SNAPMGR_NAME_MAX + 1];
	char parent[2 * SNAPMGR_NAME_MAX + 2], label[SNAPMGR_LABEL_MAX + 1], state[24];
	bool active;
	uint64_t size_bytes;
	struct model_contents c; /* @parent is not used */
};
struct model_seen {
	struct object v[MAX_OBJECTS];
	size_t n;
	struct snapmgr_quota quota; /* the pool's */
};

/* ---- reading ---- */

static int see(const struct snapmgr_object *o, void *data)
{
	struct model_seen *seen = data;
	struct object *x = &seen->v[seen->n];

	if (o->kind == SNAPMGR_GROUP || o->kind == SNAPMGR_GROUP_SNAPSHOT)
		return 0;
	if (seen->n == MAX_OBJECTS)
		return 1;
	seen->n++;
	x->kind = o->kind;
	x->active = o->active;
	x->size_bytes = o->size_bytes;
	(void)sm_copy_text(x->volume, sizeof(x->volume),
			   o->kind == SNAPMGR_VOLUME ? o->name : o->volume);
	(void)sm_copy_text(x->name, sizeof(x->name), o->name);
	(void)sm_copy_text(x->group, sizeof(x->group), o->group);
	(void)sm_copy_text(x->parent, sizeof(x->parent), o->parent_name);
	(void)sm_copy_text(x->label, sizeof(x->label), o->label);
	(void)sm_copy_text(x->state, sizeof(x->state), o->state);
	return 0;
}

static int read_blocks(const char *node, struct object *x, struct model_why *why)
{
	AUTO(sm_close_fd) int fd = open(node, O_RDONLY | O_DIRECT | O_CLOEXEC);
	unsigned char *room = model_room();
	ssize_t n;

	if (fd < 0)
		return model_fail(why, "cannot open '%s': %s", node, strerror(errno));
	n = read(fd, room, MODEL_ROOM);
	if (n < 0 || (uint64_t)n != x->size_bytes)
		return model_fail(why, "read %zd bytes of '%s', which has %ju: %s", n, node,
				  (uintmax_t)x->size_bytes, strerror(errno));
	x->c.n = (uint32_t)((size_t)n / MODEL_SLOT);
	for (uint32_t i = 0; i < x->c.n; i++)
		x->c.slot[i] = model_recognize(room + (size_t)i * MODEL_SLOT, i);
	return 0;
}

static uint32_t read_file(const char *folder, uint32_t slot)
{
	unsigned char *room = model_room();
	AUTO(sm_close_fd) int fd = -1;
	char path[128];
	uint32_t id;

	(void)snprintf(path, sizeof(path), "%s/f%u", folder, slot);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : MODEL_TORN;
	if (read(fd, room, MODEL_ROOM) != (ssize_t)MODEL_FILE)
		return MODEL_TORN;
	id = model_recognize(room, slot * MODEL_FILE_BLOCKS);
	for (uint32_t i = 1; i < MODEL_FILE_BLOCKS; i++)
		if (model_recognize(room + (size_t)i * MODEL_SLOT, slot * MODEL_FILE_BLOCKS + i) !=
		    id)
			return MODEL_TORN;
	return id ? id : MODEL_TORN; /* a file of zeroes was never written */
}

static int read_files(const char *node, struct object *x, struct model_why *why)
{
	char point[96];
	bool head = x->kind == SNAPMGR_VOLUME;

	if (model_mount_one(node, head ? x->name : "look", !head, point, why) < 0)
		return -1;
	x->c.n = MODEL_FILES;
	for (uint32_t i = 0; i < MODEL_FILES; i++)
		x->c.slot[i] = read_file(point, i);
	if (!head)
		(void)umount2(point, 0);
	return 0;
}

static int read_object(struct snapmgr *sm, struct object *x, struct model_why *why)
{
	struct snapmgr_object o;
	struct snapmgr_err err;
	char spec[160], node[160];
	int r;

	(void)snprintf(spec, sizeof(spec), MODEL_POOL "/%.64s%s%.64s", x->volume,
		       x->kind == SNAPMGR_VOLUME ? "" : "@",
		       x->kind == SNAPMGR_VOLUME ? "" : x->name);
	r = x->active ? snapmgr_show(sm, spec, model_keep, &o, &err) :
			snapmgr_activate(sm, spec, model_keep, &o, &err);
	if (model_done(r, &err, spec, why) < 0)
		return -1;
	model_node(&o, node);
	r = x->size_bytes == MODEL_FS_BYTES ? read_files(node, x, why) : read_blocks(node, x, why);
	if (!x->active && snapmgr_deactivate(sm, spec, &err) < 0 && r == 0)
		r = model_done(-1, &err, spec, why);
	return r;
}

static int see_quota(const struct snapmgr_quota *quota, void *data)
{
	struct model_seen *seen = data;

	seen->quota = *quota;
	return 0;
}

int model_look(struct snapmgr *sm, struct model_seen **ret, struct model_why *why)
{
	struct snapmgr_list_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_list_opts);
	struct model_seen *seen = calloc(1, sizeof(*seen));
	struct snapmgr_err err = { .message = "too many objects" };
	int r;

	if (!seen)
		return model_fail(why, "no memory");
	opts.undo = true;
	r = snapmgr_list(sm, MODEL_POOL, &opts, see, seen, &err);
	r = model_done(r ? -1 : 0, &err, "list", why);
	if (r == 0)
		r = model_done(snapmgr_quota_list(sm, MODEL_POOL, "", see_quota, seen, &err), &err,
			       "quota", why);
	for (size_t i = 0; i < seen->n && r == 0; i++)
		r = read_object(sm, &seen->v[i], why);
	if (r < 0)
		free(seen);
	else
		*ret = seen;
	return r;
}

/* ---- comparing ---- */

static const struct object *find(const struct model_seen *seen, enum snapmgr_kind kind,
				 const char *volume, const char *name)
{
	for (size_t i = 0; i < seen->n; i++)
		if (seen->v[i].kind == kind && strcmp(seen->v[i].volume, volume) == 0 &&
		    strcmp(seen->v[i].name, name) == 0)
			return &seen->v[i];
	return NULL;
}

static bool same_parent(const struct object *x, const struct model *m, int parent)
{
	char text[64] = "";

	if (parent != MODEL_NONE)
		(void)snprintf(text, sizeof(text), "%s@%s",
			       m->volumes[m->snapshots[parent].volume].name,
			       m->snapshots[parent].name);
	return strcmp(x->parent, text) == 0;
}

static bool same(const struct object *x, const struct model *m, const struct model_contents *c,
		 struct model_why *why)
{
	if (strcmp(x->state, "available") != 0)
		return model_fail(why, "%s@%s is %s", x->volume, x->name, x->state) == 0;
	if (x->c.n != c->n)
		return model_fail(why, "%s@%s has %u slots, not %u", x->volume, x->name, x->c.n,
				  c->n) == 0;
	if (!same_parent(x, m, c->parent))
		return model_fail(why, "%s@%s descends from '%s'", x->volume, x->name, x->parent) ==
		       0;
	for (uint32_t i = 0; i < c->n; i++)
		if (x->c.slot[i] != c->slot[i] && !c->loose[i])
			return model_fail(why, "slot %u of %s@%s holds %d, not %d", i, x->volume,
					  x->name, (int)x->c.slot[i], (int)c->slot[i]) == 0;
	return true;
}

/* An object that the model has; counted in @n. */
static bool has(const struct model_seen *seen, enum snapmgr_kind kind, const char *volume,
		const char *name, const struct object **ret, size_t *n, struct model_why *why)
{
	*ret = find(seen, kind, volume, name);
	*n += 1;
	return *ret ? true : model_fail(why, "%s@%s is missing", volume, name) == 0;
}

static bool fits_volume(const struct model_seen *seen, const struct model *m,
			const struct model_volume *v, size_t *n, struct model_why *why)
{
	const struct object *x;
	char group[32] = "";

	if (!has(seen, SNAPMGR_VOLUME, v->name, v->name, &x, n, why) || !same(x, m, &v->head, why))
		return false;
	if (strcmp(x->label, v->label) != 0)
		return model_fail(why, "%s has label '%s', not '%s'", v->name, x->label,
				  v->label) == 0;
	if (v->group)
		(void)snprintf(group, sizeof(group), "g%u", v->group);
	if (strcmp(x->group, group) != 0)
		return model_fail(why, "%s is in group '%s', not '%s'", v->name, x->group, group) ==
		       0;
	for (size_t i = 0; i < v->n_undo; i++) {
		char name[32] = "undo";

		if (i > 0)
			(void)snprintf(name, sizeof(name), "undo~%zu", i);
		if (!has(seen, SNAPMGR_UNDO, v->name, name, &x, n, why) ||
		    !same(x, m, &v->undo[i], why))
			return false;
	}
	return true;
}

/* ---- quotas: the figures are those of what is there ---- */

static bool figure(const struct model_seen *seen, const struct model *m, enum snapmgr_resource what,
		   uint64_t in_use, struct model_why *why)
{
	const struct snapmgr_quota_resource *r = &seen->quota.resources[what];
	const uint64_t limit = m->quota ? MODEL_QUOTA_BYTES + m->quota : SNAPMGR_UNLIMITED;

	if (r->in_use != in_use || r->reserved)
		return model_fail(why, "quota figure %d is %ju, and %ju reserved, not %ju",
				  (int)what, (uintmax_t)r->in_use, (uintmax_t)r->reserved,
				  (uintmax_t)in_use) == 0;
	return r->limit == limit || model_fail(why, "quota limit %d is %ju, not %ju", (int)what,
					       (uintmax_t)r->limit, (uintmax_t)limit) == 0;
}

static uint64_t bytes_of(const struct model_volume *v, const struct model_contents *c)
{
	return v->files ? MODEL_FS_BYTES : (uint64_t)c->n * MODEL_SLOT;
}

static bool quota_fits(const struct model_seen *seen, const struct model *m, struct model_why *why)
{
	uint64_t sums[SNAPMGR_RESOURCES] = { 0 };

	for (int i = 0; i < MODEL_VOLUMES; i++) {
		const struct model_volume *v = &m->volumes[i];

		sums[SNAPMGR_VOLUMES] += v->used;
		sums[SNAPMGR_VOLUME_BYTES] += v->used ? bytes_of(v, &v->head) : 0;
	}
	for (int i = 0; i < MODEL_SNAPSHOTS; i++) {
		const struct model_snapshot *s = &m->snapshots[i];

		sums[SNAPMGR_SNAPSHOTS] += s->used;
		sums[SNAPMGR_SNAPSHOT_BYTES] += s->used ? bytes_of(&m->volumes[s->volume], &s->c) :
							  0;
	}
	for (int what = 0; what < SNAPMGR_RESOURCES; what++)
		if (!figure(seen, m, (enum snapmgr_resource)what, sums[what], why))
			return false;
	return true;
}

bool model_fits(const struct model_seen *seen, const struct model *m, struct model_why *why)
{
	const struct object *x;
	size_t n = 0;

	for (int i = 0; i < MODEL_VOLUMES; i++)
		if (m->volumes[i].used && !fits_volume(seen, m, &m->volumes[i], &n, why))
			return false;
	for (int i = 0; i < MODEL_SNAPSHOTS; i++) {
		const struct model_snapshot *s = &m->snapshots[i];

		if (s->used && (!has(seen, SNAPMGR_SNAPSHOT, m->volumes[s->volume].name, s->name,
				     &x, &n, why) ||
				!same(x, m, &s->c, why)))
			return false;
	}
	if (n != seen->n)
		return model_fail(why, "%zu objects, not %zu", seen->n, n) == 0;
	return quota_fits(seen, m, why);
}

/* ---- at rest ---- */

static int check_device(const char *name, const char *uuid, uint32_t major, uint32_t minor,
			void *data)
{
	struct model_why *why = data;
	struct snapmgr_err err;
	struct sdm_info info;

	(void)uuid;
	(void)major;
	(void)minor;
	if (model_done(sdm_info(name, &info, &err), &err, name, why) < 0)
		return -1;
	if (info.suspended || info.has_inactive)
		return model_fail(why, "'%s' is %s", name,
				  info.suspended ? "suspended" : "left with an inactive table");
	return 0;
}

struct findings {
	struct model_why *why;
	unsigned int n, torn;
};

static int note(const char *finding, bool repaired, void *data)
{
	struct findings *f = data;

	if (repaired)
		return 0;
	f->n++;
	f->torn += strstr(finding, "one of its two copies is damaged") != NULL;
	(void)model_fail(f->why, "pool check: %s", finding);
	return 0;
}

static int check_pool(struct snapmgr *sm, bool repair, struct findings *f)
{
	struct snapmgr_pool_check_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_check_opts);
	struct snapmgr_err err;
	int r;

	f->n = f->torn = 0;
	opts.repair = repair;
	opts.report = note;
	opts.data = f;
	r = snapmgr_pool_check(sm, MODEL_POOL, &opts, &err);
	return r < 0 && !f->n ? model_fail(f->why, "pool check: %s", err.message) : r;
}

int model_check(struct snapmgr *sm, bool may_be_torn, struct model_why *why)
{
	struct findings f = { .why = why };
	struct snapmgr_err err = { .message = "" };
	int r = sdm_list(SM_DM_UUID, check_device, why, &err);

	if (r != 0)
		return err.message[0] ? model_fail(why, "%s", err.message) : -1;
	r = check_pool(sm, false, &f);
	if (r < 0 && may_be_torn && f.n && f.n == f.torn) {
		r = check_pool(sm, true, &f);
		r = r == 0 ? check_pool(sm, false, &f) : r;
	}
	return r < 0 ? -1 : 0;
}
