/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapmgr_set(), snapmgr_hold(): what an admin may say of an object. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "snapmgr/core/core.h"

#define UNDO_KEEP_MAX 64
#define SM_WANT_ANY   (SM_WANT_POOL | SM_WANT_VOLUME | SM_WANT_SNAPSHOT)

int sm_parse_bool(const char *key, const char *value, bool *ret, struct snapmgr_err *err)
{
	static const char *const yes[] = { "on", "true", "yes", "1" }, *const no[] = { "off",
										       "false",
										       "no", "0" };

	for (size_t i = 0; i < SM_ARRAY(yes); i++) {
		if (strcasecmp(value, yes[i]) == 0 || strcasecmp(value, no[i]) == 0) {
			*ret = strcasecmp(value, yes[i]) == 0;
			return 0;
		}
	}
	return sm_fail(err, SNAPMGR_USAGE, EINVAL, "property '%s' is 'on' or 'off', not '%.40s'",
		       key, value);
}

static int parse_keep(const char *value, uint32_t *ret, struct snapmgr_err *err)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*value < '0' || *value > '9' || *end || n > UNDO_KEEP_MAX)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "undo_keep is a number from 0 to %d, not '%.40s'", UNDO_KEEP_MAX,
			       value);
	*ret = (uint32_t)n;
	return 0;
}

static int set_text(const char *key, const char *value, struct scat_common *c,
		    struct snapmgr_err *err)
{
	int r;

	if (strcmp(key, "label") == 0) {
		r = sm_check_texts(NULL, value, NULL, NULL, 0, err);
		return r == 0 ? sm_copy_text(c->label, sizeof(c->label), value) : r;
	}
	if (strcmp(key, "description") == 0) {
		r = sm_check_texts(NULL, NULL, value, NULL, 0, err);
		return r == 0 ? sm_copy_text(c->description, sizeof(c->description), value) : r;
	}
	if (strcmp(key, "project") == 0) {
		r = sm_check_texts(value, NULL, NULL, NULL, 0, err);
		return r == 0 ? sm_copy_text(c->project, sizeof(c->project), value) : r;
	}
	return -ENOMSG;
}

static int set_revert(const struct sm_pool *pool, struct scat_volume *v, const char *key,
		      const char *value, struct snapmgr_err *err)
{
	bool on = false;
	int r = sm_parse_bool(key, value, &on, err);

	if (r < 0)
		return r;
	if (on && !sm_driver_reverts(pool->b.driver))
		return sm_fail(err, SNAPMGR_UNSUPPORTED, EOPNOTSUPP,
			       "driver '%s' of pool '%s' cannot revert in place", pool->row.driver,
			       pool->row.name);
	v->revert_support = on;
	return 0;
}

static int set_volume(const struct sm_pool *pool, struct scat_volume *v, const char *key,
		      const char *value, struct snapmgr_err *err)
{
	int r = set_text(key, value, &v->c, err);

	if (r != -ENOMSG)
		return r;
	if (strcmp(key, "undo_keep") == 0)
		return parse_keep(value, &v->undo_keep, err);
	if (strcmp(key, "guest") == 0)
		return sm_parse_bool(key, value, &v->guest, err);
	if (strcmp(key, "autostart") == 0)
		return sm_parse_bool(key, value, &v->autostart, err);
	if (strcmp(key, "revert_to_snapshot_support") == 0)
		return set_revert(pool, v, key, value, err);
	return sm_fail(
		err, SNAPMGR_USAGE, EINVAL,
		"a volume has no property '%.40s': it has label, description, project, undo_keep, guest, autostart, "
		"revert_to_snapshot_support and tag:KEY",
		key);
}

static int set_snapshot(struct scat_snapshot *s, const char *key, const char *value,
			struct snapmgr_err *err)
{
	int r = set_text(key, value, &s->c, err);

	if (r != -ENOMSG)
		return r;
	return sm_fail(
		err, SNAPMGR_USAGE, EINVAL,
		"a snapshot has no property '%.40s': it has label, description, project and tag:KEY",
		key);
}

static int set_tag(struct sm_found *f, const char *key, const char *value, struct snapmgr_err *err)
{
	struct snapmgr_tag tag = { 0 };
	int r = sm_copy_text(tag.key, sizeof(tag.key), key);

	if (r == 0)
		r = sm_copy_text(tag.value, sizeof(tag.value), value);
	if (r < 0)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "a tag's key and value have at most %d bytes each",
			       SNAPMGR_LABEL_MAX);
	r = sm_check_texts(NULL, NULL, NULL, &tag, 1, err);
	if (r < 0)
		return r;
	return scat_tag_set(f->pool.cat,
			    f->has_group    ? &f->group.uuid :
			    f->has_snapshot ? &f->snapshot.c.uuid :
					      &f->volume.c.uuid,
			    key, value, err);
}

/* The udev flags of a device are those of its activation: another audience wants a new one. */
static int check_guest(struct sm_found *f, struct snapmgr_err *err)
{
	struct sdm_info info;
	struct sm_vdev dev;
	int r;

	sm_volume_device(&f->pool, &f->volume, &dev);
	r = sm_vdev_info(&f->pool.b, &dev, &info, err);
	if (r < 0 || !info.exists)
		return r;
	return sm_fail(err, SNAPMGR_IN_USE, EBUSY,
		       "property 'guest' cannot change while '%s' is active: deactivate it first",
		       dev.dm.link);
}

static int set_group(struct sm_found *f, const char *key, const char *value,
		     struct snapmgr_err *err)
{
	struct scat_group *g = &f->group;
	struct scat_common c = { 0 };
	int r;

	if (strncmp(key, "tag:", 4) == 0)
		return set_tag(f, key + 4, value, err);
	(void)sm_copy_text(c.project, sizeof(c.project), g->project);
	(void)sm_copy_text(c.label, sizeof(c.label), g->label);
	(void)sm_copy_text(c.description, sizeof(c.description), g->description);
	r = set_text(key, value, &c, err);
	(void)sm_copy_text(g->project, sizeof(g->project), c.project);
	(void)sm_copy_text(g->label, sizeof(g->label), c.label);
	(void)sm_copy_text(g->description, sizeof(g->description), c.description);
	if (r != -ENOMSG)
		return r;
	return sm_fail(err, SNAPMGR_USAGE, EINVAL,
		       "a group has no property '%.40s': it has label, description, project and "
		       "tag:KEY",
		       key);
}

static bool of_pool(const struct sm_found *f)
{
	return !f->has_group && !f->has_volume && !f->has_snapshot;
}

static int set_one(struct sm_found *f, const char *key, const char *value, struct snapmgr_err *err)
{
	const bool guest = f->volume.guest;
	int r;

	if (f->has_group)
		return set_group(f, key, value, err);
	if (of_pool(f))
		return sm_pool_property(&f->pool, key, value, err);
	if (strncmp(key, "tag:", 4) == 0)
		return set_tag(f, key + 4, value, err);
	if (f->has_snapshot)
		return set_snapshot(&f->snapshot, key, value, err);
	r = set_volume(&f->pool, &f->volume, key, value, err);
	return r == 0 && f->volume.guest != guest ? check_guest(f, err) : r;
}

/* What changes hands is the new owner's; the pool as a whole has no more than before. */
static int check_quota(struct sm_found *f, const char *before, struct snapmgr_err *err)
{
	const struct scat_common *c = f->has_snapshot ? &f->snapshot.c : &f->volume.c;
	struct sm_quota_change changes[2] = { { .project = c->project }, { .project = before } };
	const size_t count = f->has_snapshot ? SNAPMGR_SNAPSHOTS : SNAPMGR_VOLUMES;
	const size_t bytes = f->has_snapshot ? SNAPMGR_SNAPSHOT_BYTES : SNAPMGR_VOLUME_BYTES;

	changes[0].amount[count] = 1;
	changes[0].amount[bytes] = (int64_t)c->size_bytes;
	changes[1].amount[count] = -1;
	changes[1].amount[bytes] = -(int64_t)c->size_bytes;
	return sm_quota_check(&f->pool, changes, 2, err);
}

struct assignment { /* one of many, taken apart */
	char key[SNAPMGR_LABEL_MAX + 8];
	const char *value;
};

static int take_apart(const char *text, struct assignment *ret, struct snapmgr_err *err)
{
	const char *equals = strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : 0;

	if (!len)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "'%.80s' is no KEY=VALUE", text);
	if (len >= sizeof(ret->key))
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "no property has a name as long as '%.32s...'", text);
	memcpy(ret->key, text, len);
	ret->key[len] = '\0';
	ret->value = equals + 1;
	return 0;
}

static int set_row(struct sm_found *f, struct snapmgr_err *err)
{
	if (f->has_snapshot)
		return scat_snapshot_update(f->pool.cat, &f->snapshot, err);
	if (f->has_group)
		return scat_group_update(f->pool.cat, &f->group, err);
	return f->has_volume ? scat_volume_update(f->pool.cat, &f->volume, err) : 0;
}

static int write_all(struct sm_found *f, const struct assignment *all, size_t n,
		     struct snapmgr_err *err)
{
	char before[SNAPMGR_LABEL_MAX + 1];
	int r = scat_begin(f->pool.cat, err);

	(void)sm_copy_text(before, sizeof(before),
			   f->has_snapshot ? f->snapshot.c.project : f->volume.c.project);
	for (size_t i = 0; i < n && r == 0; i++)
		r = set_one(f, all[i].key, all[i].value, err);
	if (r == 0 && !f->has_group) /* counts for nobody: its volumes do */
		r = check_quota(f, before, err);
	if (r == 0)
		r = set_row(f, err);
	if (r == 0)
		r = scat_commit(f->pool.cat, true, err);
	scat_rollback(f->pool.cat);
	for (size_t i = 0; i < n && r == 0 && of_pool(f); i++)
		sm_pool_property_apply(&f->pool, all[i].key);
	return r;
}

int snapmgr_set_many(struct snapmgr *sm, const char *spec, const char *const *assignments, size_t n,
		     struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	AUTO(free) struct assignment *all = calloc(n ? n : 1, sizeof(*all));
	int r = 0;

	if (!all)
		return sm_nomem(err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = take_apart(assignments[i], &all[i], err);
	if (r == 0)
		r = sm_find(sm, spec, SM_WANT_ANY | SM_WANT_GROUP, true, &f, err);
	return r == 0 ? write_all(&f, all, n, err) : r;
}

int snapmgr_set(struct snapmgr *sm, const char *spec, const char *key, const char *value,
		struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	struct assignment one = { .value = value };
	int r = sm_copy_text(one.key, sizeof(one.key), key);

	if (r < 0)
		return sm_fail(err, SNAPMGR_USAGE, EINVAL,
			       "no property has a name as long as '%.32s...'", key);
	r = sm_find(sm, spec, SM_WANT_ANY | SM_WANT_GROUP, true, &f, err);
	return r == 0 ? write_all(&f, &one, 1, err) : r;
}

static int hold_one(struct sm_pool *pool, struct scat_snapshot *s, bool hold,
		    struct snapmgr_err *err)
{
	if (s->hold == hold)
		return 0;
	s->hold = hold;
	return scat_snapshot_update(pool->cat, s, err);
}

/* All of a group's snapshot, or none. */
static int hold_set(struct sm_found *f, bool hold, struct snapmgr_err *err)
{
	AUTO(sm_snapshots_free) struct sm_snapshots all = { 0 };
	int r = sm_set_snapshots(&f->pool, &f->set, &all, err);

	for (size_t i = 0; i < all.n && r == 0; i++)
		r = hold_one(&f->pool, &all.v[i], hold, err);
	return r;
}

int snapmgr_hold(struct snapmgr *sm, const char *spec, bool hold, struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	int r = sm_find(sm, spec, SM_WANT_SNAPSHOT | SM_WANT_SET, true, &f, err);

	if (r < 0 || (f.has_snapshot && f.snapshot.hold == hold))
		return r;
	r = scat_begin(f.pool.cat, err);
	if (r == 0)
		r = f.has_set ? hold_set(&f, hold, err) : hold_one(&f.pool, &f.snapshot, hold, err);
	if (r == 0)
		r = scat_commit(f.pool.cat, true, err);
	scat_rollback(f.pool.cat);
	return r;
}
