/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a change takes away for a moment: mounts of a volume, and devices of snapshots. It is noted
 * before it goes, so that the next one to have the pool's lock brings it back where its owner died.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "snapmgr/catalogue/note.h"
#include "snapmgr/core/core.h"

#define MAPPED "mapped" /* the note of who has the lock; those of mounts are named by a UUID */
#define END    "end\n"	/* what lacks it was cut short, and nothing had gone yet */

static uint64_t namespace_of_mounts(void)
{
	struct stat st;

	return stat("/proc/self/ns/mnt", &st) == 0 ? st.st_ino : 0;
}

/* ---- noted ---- */

int sm_aside_mapped(struct sm_pool *pool, const struct sm_uuid *object, struct snapmgr_err *err)
{
	char line[SNAPMGR_UUID_TEXT + 1];
	int r;

	sm_uuid_text(object, line);
	(void)strcat(line, "\n");
	r = snote_add(&pool->b.uuid, MAPPED, line, err);
	slock_note(&pool->lock, true);
	return r;
}

void sm_aside_mapped_end(struct sm_pool *pool)
{
	snote_forget(&pool->b.uuid, MAPPED);
}

int sm_aside_mounts(struct sm_pool *pool, const struct scat_volume *v, size_t turn,
		    const struct shost_mounts *mounts, struct sm_uuid *ret, struct snapmgr_err *err)
{
	char boot[SNAPMGR_UUID_TEXT], volume[SNAPMGR_UUID_TEXT], name[SNAPMGR_UUID_TEXT];
	AUTO(free) char *lines = shost_mounts_text(mounts);
	AUTO(free) char *text = NULL;
	struct shost_owner self;
	int r = shost_owner_self(&self, err);

	if (r < 0)
		return r;
	sm_uuid_make(ret);
	sm_uuid_text(ret, name);
	sm_uuid_text(&self.boot_id, boot);
	sm_uuid_text(&v->c.uuid, volume);
	if (!lines ||
	    asprintf(&text, "%s %" PRId32 " %" PRIu64 " %" PRIu64 " %s %zu\n%s" END, boot, self.pid,
		     self.start_ticks, namespace_of_mounts(), volume, turn, lines) < 0) {
		text = NULL;
		return sm_nomem(err);
	}
	slock_note(&pool->lock, true);
	return snote_add(&pool->b.uuid, name, text, err);
}

void sm_aside_mounts_end(const struct sm_pool *pool, struct sm_uuid *noted)
{
	char name[SNAPMGR_UUID_TEXT];

	if (sm_uuid_is_null(noted))
		return;
	sm_uuid_text(noted, name);
	snote_forget(&pool->b.uuid, name);
	*noted = (struct sm_uuid){ 0 };
}

/* ---- devices of snapshots and undo points, whose delete never was ---- */

/* Return: 1 and its device; 0 where it is gone; or a negative errno. */
static int device_of(struct sm_pool *pool, const struct sm_uuid *uuid, struct sm_vdev *ret,
		     struct snapmgr_err *err)
{
	struct scat_snapshot s;
	struct scat_volume v;
	struct scat_undo u;
	int r = scat_snapshot_by_uuid(pool->cat, uuid, &s, err);

	if (r == 0)
		sm_snapshot_device(pool, &s, ret);
	if (r != -ENOENT)
		return r < 0 ? r : 1;
	r = scat_undo_by_uuid(pool->cat, uuid, &u, err);
	if (r == 0)
		r = scat_volume_by_id(pool->cat, u.volume, &v, err);
	if (r == 0)
		sm_undo_device(pool, &v, &u, 0, ret);
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static void map_again(struct sm_pool *pool, const struct sm_uuid *uuid)
{
	struct snapmgr_err why;
	struct sdm_info info;
	struct sm_vdev dev;
	int r = device_of(pool, uuid, &dev, &why);

	if (r == 0)
		return;
	if (r > 0)
		r = sm_vdev_info(&pool->b, &dev, &info, &why);
	if (r == 0 && !info.exists)
		r = pool->b.driver->map(&pool->b, &dev, &why);
	if (r < 0)
		sm_warn(pool->sm, "'%s' is inactive: %s", dev.dm.link, why.message);
}

static void settle_mapped(struct sm_pool *pool, const struct snote *note)
{
	char *rest = note->text, *line;
	struct sm_uuid uuid;

	while (pool->b.driver->map && (line = strsep(&rest, "\n")))
		if (sm_uuid_parse(line, &uuid))
			map_again(pool, &uuid);
	snote_forget(&pool->b.uuid, note->name);
}

/* ---- mounts ---- */

struct mounted {
	const char *name; /* of the note */
	struct shost_owner owner;
	uint64_t namespace;
	struct sm_uuid volume;
	size_t turn;
	const char *lines;
};

static bool parse(const struct snote *note, struct mounted *ret)
{
	char boot[SNAPMGR_UUID_TEXT], volume[SNAPMGR_UUID_TEXT];
	struct mounted m = { .name = note->name };
	const char *end = strstr(note->text, "\n" END);
	int used = 0;

	if (!end ||
	    sscanf(note->text, "%36s %" SCNd32 " %" SCNu64 " %" SCNu64 " %36s %zu%n", boot,
		   &m.owner.pid, &m.owner.start_ticks, &m.namespace, volume, &m.turn, &used) < 6 ||
	    !sm_uuid_parse(boot, &m.owner.boot_id) || !sm_uuid_parse(volume, &m.volume))
		return false;
	note->text[end - note->text + 1] = '\0';
	m.lines = note->text + used + 1;
	*ret = m;
	return true;
}

static void tell(struct sm_pool *pool, const struct mounted *m, const struct scat_volume *v,
		 const struct shost_mounts *mounts, const struct snapmgr_err *why)
{
	char text[SNAPMGR_MESSAGE_MAX];
	const struct sm_message message = { .level = why ? "error" : "warning",
					    .verb = "recover",
					    .code = why ? snapmgr_code_name(why->code) : NULL,
					    .kind = "volume",
					    .object = &v->c.uuid,
					    .project = v->c.project,
					    .text = text };

	if (why)
		(void)snprintf(
			text, sizeof(text),
			"volume '%s/%s' was unmounted from '%.200s' by process %d, which died, and "
			"cannot be mounted again: %.300s",
			pool->row.name, v->c.name, shost_mounts_where(mounts), m->owner.pid,
			why->message);
	else
		(void)snprintf(text, sizeof(text),
			       "volume '%s/%s', which process %d had unmounted when it died, is "
			       "mounted again on '%.400s'",
			       pool->row.name, v->c.name, m->owner.pid, shost_mounts_where(mounts));
	if (scat_begin(pool->cat, NULL) == 0 && sm_message(pool, &message, NULL) == 0)
		(void)scat_commit(pool->cat, false, NULL);
	scat_rollback(pool->cat);
	if (why)
		sm_warn(pool->sm, "%s", text);
	else
		sm_recover_tell(pool, "%s", text);
}

/* Return: whether it is settled; else there is nothing to mount, or not yet. */
static bool mount_again(struct sm_pool *pool, const struct mounted *m)
{
	struct shost_mounts mounts = { 0 };
	struct snapmgr_err why;
	struct scat_volume v;
	struct sdm_info info;
	struct sm_vdev dev;
	int r = scat_volume_by_uuid(pool->cat, &m->volume, &v, &why);

	if (r < 0)
		return r == -ENOENT;
	sm_volume_device(pool, &v, &dev);
	if (dev.merging || sm_vdev_info(&pool->b, &dev, &info, &why) < 0 || !info.exists ||
	    info.suspended ||
	    shost_mounts_parse(m->lines, makedev(info.major, info.minor), &mounts) < 0)
		return false;
	shost_remount_sweep(mounts.devno);
	r = shost_remount(&mounts, &why);
	tell(pool, m, &v, &mounts, r < 0 ? &why : NULL);
	if (mounts.warning[0])
		sm_warn(pool->sm, "%s", mounts.warning);
	shost_mounts_free(&mounts);
	return true;
}

/* What was unmounted last comes first: it may carry the others. */
static int last_first(const void *a, const void *b)
{
	const struct mounted *x = a, *y = b;

	return (x->turn < y->turn) - (x->turn > y->turn);
}

/* Return: whether it is none that waits. */
static bool is_over(struct sm_pool *pool, struct mounted *m)
{
	if (shost_owner_alive(&m->owner)) /* it is just about to do so itself */
		return false;
	if (m->namespace == namespace_of_mounts())
		return mount_again(pool, m);
	sm_warn(pool->sm,
		"what process %d had unmounted when it died belongs to another mount namespace: run "
		"'snapmgr recover %s' there",
		m->owner.pid, pool->row.name);
	return false;
}

/* Return: how many are left. */
static size_t settle_mounts(struct sm_pool *pool, const struct snotes *notes)
{
	AUTO(free) struct mounted *v = calloc(notes->n + 1, sizeof(*v));
	size_t n = 0, left = 0;

	if (!v)
		return notes->n;
	for (size_t i = 0; i < notes->n; i++) {
		if (strcmp(notes->v[i].name, MAPPED) == 0)
			continue;
		if (parse(&notes->v[i], &v[n]))
			n++;
		else
			snote_forget(&pool->b.uuid, notes->v[i].name);
	}
	qsort(v, n, sizeof(*v), last_first);
	for (size_t i = 0; i < n; i++) {
		if (is_over(pool, &v[i]))
			snote_forget(&pool->b.uuid, v[i].name);
		else
			left++;
	}
	return left;
}

void sm_aside_settle(struct sm_pool *pool)
{
	AUTO(snote_release) struct snotes notes = { 0 };

	if (snote_load(&pool->b.uuid, &notes) < 0)
		return; /* the next one tries again */
	for (size_t i = 0; i < notes.n; i++)
		if (strcmp(notes.v[i].name, MAPPED) == 0)
			settle_mapped(pool, &notes.v[i]);
	if (!settle_mounts(pool, &notes))
		slock_note(&pool->lock, false);
}
