/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * core.h - what the verbs share: an opened pool, objects found in it, operations, claims
 *
 * A verb opens what it names (sm_find), does its work under the pool's lock, and closes it again.
 */
#ifndef SM_CORE_H
#define SM_CORE_H

#include <string.h>

#include "base.h"
#include "snapmgr/catalogue/catalogue.h"
#include "snapmgr/catalogue/lock.h"
#include "snapmgr/catalogue/superblock.h"
#include "snapmgr/drivers/driver.h"
#include "snapmgr/host/shost.h"

struct snapmgr {
	struct snapmgr_open_opts opts;
	char recover_program[256];
	char backup_dir[352], pools_dir[352];
	pid_t owner;		 /* the process that made it */
	struct shost_owner self; /* known after the first operation; pid 0: not yet */
	struct scat *parked;	 /* the catalogue used last, without its device; or NULL */
	struct sm_uuid parked_uuid;
	dev_t parked_dev; /* of its pool device, where that was needed */
	char parked_node[160], parked_name[SNAPMGR_NAME_MAX + 1];
	struct slock parked_lock;  /* its lock, not held */
	snapmgr_report_fn *report; /* of a recovery that somebody asked for; else NULL */
	void *report_data;
	bool leave_dead; /* what can be gone on with is not: it shall be cancelled */
};
/* sm_warn() - tell the caller something that fails nothing. */
void sm_warn(const struct snapmgr *sm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Options of an older, shorter or newer, longer caller: what is missing reads as zero. */
#define SM_OPTS(type, var, given) \
	type var = { 0 };         \
	if (given)                \
	memcpy(&var, given, (given)->size < sizeof(var) ? (given)->size : sizeof(var))
/* sm_params_check() - no driver has parameters yet: any "KEY=VALUE" is a usage error. */
int sm_params_check(const char *const *params, size_t n, struct snapmgr_err *err);

/* ---- pool.c: an active pool, opened for one call ---- */

struct sm_pool {
	struct snapmgr *sm;
	struct sm_backend b;
	struct slock lock;	/* held where opened for writing */
	struct slock_holder op; /* what is being done under it; uuid null before sm_op_begin() */
	struct slock_holder others; /* where opened for reading: what somebody is doing to it */
	struct scat *cat;
	struct scat_pool row;
	char node[SM_POOL_DIR +
		  8];	      /* of the catalogue device; or the folder, with '/' at its end */
	bool parkable;	      /* the catalogue is kept by the handle when the pool is closed */
	struct sm_view *view; /* of a walk over many objects, borrowed; NULL: none is under way */
};
/**
 * sm_pool_open() - by name or UUID; @writable: with its lock, after finishing what the dead left
 *
 * Opens the catalogue and nothing else; for writing in a transaction, which the verb goes on with.
 * What was read of the pool opened last is still known: its catalogue is
 * parked in the handle. Return: 0; -ENOENT (not_found); -ENODEV (bad_state: exists,
 * but is not active; the message says how to activate it); -EAGAIN (locked); ...
 */
int sm_pool_open(struct snapmgr *sm, const char *pool, bool writable, struct sm_pool *ret,
		 struct snapmgr_err *err);
/* sm_pool_begin() - of a catalogue just opened: a transaction, the pool's row, its backend. */
int sm_pool_begin(struct sm_pool *pool, const struct sm_uuid *uuid, bool writable,
		  struct snapmgr_err *err);
/* sm_pool_finish_others() - what the dead left, under the lock and without; then a transaction. */
int sm_pool_finish_others(struct sm_pool *pool, struct snapmgr_err *err);
/* sm_pool_reopen() - the catalogue again, after a commit of unknown outcome. */
int sm_pool_reopen(struct sm_pool *pool, struct snapmgr_err *err);
/* sm_pool_unlock() - let others in, without what was not committed; the catalogue stays open. */
void sm_pool_unlock(struct sm_pool *pool);
/**
 * sm_pool_relock() - the lock again after sm_pool_unlock(), in a transaction, and the pool's row as it is
 * now; what the dead left meanwhile is finished first. Return: as sm_pool_open(); -EAGAIN (locked).
 */
int sm_pool_relock(struct sm_pool *pool, uint32_t wait_ms, struct snapmgr_err *err);
/* sm_pool_settle() - unlock, then wait for udev; a timeout is a warning. */
void sm_pool_settle(struct sm_pool *pool);
void sm_pool_close(struct sm_pool *pool); /* zeroed or closed is fine */
static inline void auto_sm_pool_close(struct sm_pool *pool)
{
	sm_pool_close(pool);
}
/**
 * sm_pool_open_to_stop() - with its lock, in whatever state it is: half started, or with a catalogue
 * that cannot be read; ret->cat is NULL then. Return: as sm_pool_open().
 */
int sm_pool_open_to_stop(struct snapmgr *sm, const char *pool, struct sm_pool *ret,
			 struct snapmgr_err *err);
/* sm_pool_each() - every active pool's UUID as text. */
int sm_pool_each(struct snapmgr *sm, int (*visit)(const char *uuid, void *data), void *data,
		 struct snapmgr_err *err);
/* sm_pool_is_active() - by UUID: whole, that is; its id 0 is mapped last and unmapped first. */
int sm_pool_is_active(const struct sm_uuid *uuid, bool *ret, struct snapmgr_err *err);

/* sm_driver_running() - whose devices these are, where no catalogue tells. */
const struct sm_driver *sm_driver_running(const struct sm_uuid *uuid);

/* ---- members.c: pools on disk ---- */

struct sm_members {
	struct ssb sb;	    /* of member 0 where it is here, else of any */
	char (*paths)[256]; /* per member; "" where missing */
	bool *bad_copy;
	uint64_t *generations;
	size_t n_missing;
	char conflict
		[640]; /* two devices both say that they are one member: nothing may be done; or "" */
	char hint[512]; /* what is damaged nearby and may be what is missing; or "" */
};
void sm_members_release(struct sm_members *m);
static inline void auto_sm_members_release(struct sm_members *m)
{
	sm_members_release(m);
}
typedef int sm_members_fn(struct sm_members *m, void *data);
/* sm_members_scan() - every pool on this machine's devices, whole or not. */
int sm_members_scan(sm_members_fn *visit, void *data, struct snapmgr_err *err);
/**
 * sm_members_find() - one pool by name or UUID, by a look at every device
 * Return: 0; -ENOENT (not_found; the message names a disk that cannot be read, if there is one);
 * -EEXIST (exists: two pools of that name); -EUCLEAN (damaged: no such pool, but a device of ours
 * that may be of it makes no sense).
 */
int sm_members_find(const char *pool, struct sm_members *ret, struct snapmgr_err *err);
/* sm_members_running() - of an active pool: the devices that it runs on; others are looked at only
 * where one is missing, and a copy of a disk counts for nothing. */
int sm_members_running(struct sm_pool *pool, struct sm_members *ret, struct snapmgr_err *err);
/* sm_members_lock() - of an inactive pool, found under its lock. */
int sm_members_lock(struct snapmgr *sm, const char *pool, struct sm_members *ret,
		    struct slock *lock, struct snapmgr_err *err);

/* ---- members_use.c ---- */

/* sm_members_complete() - -ENODEV (not_found) naming the missing member, -EEXIST for a conflict. */
int sm_members_complete(const struct sm_members *m, struct snapmgr_err *err);
/**
 * sm_members_write() - @m->sb with the next generation to all; member 0 is the commit point
 *
 * New members (of generation 0) get one of generation SM_BIRTH before that, which counts only where
 * member 0 is there and lists them. So a create, or an extend, that is cut short leaves new devices
 * that read as unformatted. A damaged copy is mended by the way, which is told as a warning.
 */
int sm_members_write(struct snapmgr *sm, struct sm_members *m, struct snapmgr_err *err);
#define SM_BIRTH 1u
/* sm_members_level() - what a write that was cut short left: the others say what member 0 says. */
int sm_members_level(struct snapmgr *sm, struct sm_members *m, struct snapmgr_err *err);
/* sm_members_unborn() - make all but member 0 such that they are no pool's once that is erased. */
int sm_members_unborn(struct snapmgr *sm, struct sm_members *m, struct snapmgr_err *err);
int sm_members_layout(const struct sm_members *m, struct sm_layout *ret, struct snapmgr_err *err);

/* ---- layout.c: which part of which device becomes what ---- */

/* Fill @sb's regions for its members; sizes from the driver. -ENOSPC names the need. */
int sm_layout_plan(struct ssb *sb, const struct sm_driver *driver, struct snapmgr_err *err);
/* Add regions on the members from @first_new on. */
int sm_layout_extend(struct ssb *sb, const struct sm_driver *driver, uint32_t first_new,
		     struct snapmgr_err *err);
/* sm_device_vet() - may @path become a member? Names every reason against it. */
int sm_device_vet(const char *path, bool force, struct shost_device *ret, struct snapmgr_err *err);

/* ---- find.c: "pool/vol@snap" to rows ---- */

struct sm_found {
	struct sm_pool pool;
	bool has_volume, has_snapshot, has_undo, has_group, has_set;
	struct scat_volume volume; /* also that of the snapshot or undo point, where it has one */
	struct scat_snapshot snapshot;
	struct scat_undo undo;
	struct scat_group group; /* also that of the set */
	struct scat_set set;	 /* a group's snapshot */
	uint32_t undo_back;	 /* 0: the newest */
};
#define SM_WANT_POOL	 1u
#define SM_WANT_VOLUME	 2u
#define SM_WANT_SNAPSHOT 4u
#define SM_WANT_UNDO	 8u
#define SM_WANT_GROUP	 16u
#define SM_WANT_SET	 32u
#define SM_WANT_HELD	 64u /* also what an operation is at work on */
/**
 * sm_find() - open the pool that @spec names and look the object up, under the lock if @writable
 * @want: what kinds the caller takes; another kind is a usage error that says what is wanted
 */
int sm_find(struct snapmgr *sm, const char *spec, unsigned int want, bool writable,
	    struct sm_found *ret, struct snapmgr_err *err);
/**
 * sm_find_in() - one more object, of the pool that @first has open
 *
 * ret->pool is borrowed from @first: it is not to be closed.
 */
int sm_find_in(const struct sm_found *first, const char *spec, unsigned int want,
	       struct sm_found *ret, struct snapmgr_err *err);
void sm_found_close(struct sm_found *f);
static inline void auto_sm_found_close(struct sm_found *f)
{
	sm_found_close(f);
}

/* ---- object.c: rows to what callers see ---- */

int sm_object_volume(struct sm_pool *pool, const struct scat_volume *v, struct snapmgr_object *ret,
		     struct snapmgr_err *err);
int sm_object_snapshot(struct sm_pool *pool, const struct scat_snapshot *s, bool latest,
		       struct snapmgr_object *ret, struct snapmgr_err *err);
int sm_object_undo(struct sm_pool *pool, const struct scat_volume *v, const struct scat_undo *u,
		   uint32_t back, struct snapmgr_object *ret, struct snapmgr_err *err);
/* sm_object_visit() - with the tags, which live as long as the callback runs. */
int sm_object_visit(struct sm_pool *pool, struct snapmgr_object *o, snapmgr_object_fn *visit,
		    void *data, struct snapmgr_err *err);
int sm_visit_volume(struct sm_pool *pool, const struct scat_volume *v, snapmgr_object_fn *visit,
		    void *data, struct snapmgr_err *err);
int sm_visit_snapshot(struct sm_pool *pool, const struct scat_snapshot *s, snapmgr_object_fn *visit,
		      void *data, struct snapmgr_err *err);
/* group_object.c: groups, and their snapshots */
int sm_visit_group(struct sm_pool *pool, const struct scat_group *g, snapmgr_object_fn *visit,
		   void *data, struct snapmgr_err *err);
int sm_visit_set(struct sm_pool *pool, const struct scat_group *g, const struct scat_set *s,
		 snapmgr_object_fn *visit, void *data, struct snapmgr_err *err);
/* sm_snapshot_spec() - "p0/v@s1", or its UUID where its volume is gone: what a command takes */
void sm_snapshot_spec(const struct sm_pool *pool, const struct scat_snapshot *s,
		      char ret[SNAPMGR_SPEC_TEXT]);
/* Kernel devices of rows. */
void sm_volume_device(const struct sm_pool *pool, const struct scat_volume *v, struct sm_vdev *ret);
void sm_snapshot_device(const struct sm_pool *pool, const struct scat_snapshot *s,
			struct sm_vdev *ret);
void sm_undo_device(const struct sm_pool *pool, const struct scat_volume *v,
		    const struct scat_undo *u, uint32_t back, struct sm_vdev *ret);

/* ---- group.c: what is in groups ---- */

#define SM_GROUP_MAX 240 /* so many can be suspended at once */

struct sm_volumes { /* owned */
	struct scat_volume *v;
	size_t n;
};
struct sm_snapshots { /* owned */
	struct scat_snapshot *v;
	size_t n;
};
/* sm_group_volumes() - all that are in a group, by name; -ENOENT (bad_state) where none is. */
int sm_group_volumes(struct sm_pool *pool, const struct scat_group *g, struct sm_volumes *ret,
		     struct snapmgr_err *err);
/* sm_set_snapshots() - all of a group's snapshot; two of one volume are damage. */
int sm_set_snapshots(struct sm_pool *pool, const struct scat_set *s, struct sm_snapshots *ret,
		     struct snapmgr_err *err);
static inline void auto_sm_volumes_free(struct sm_volumes *all)
{
	free(all->v);
}
static inline void auto_sm_snapshots_free(struct sm_snapshots *all)
{
	free(all->v);
}

/* ---- view.c: what a walk over many objects remembers ---- */

/* Which objects are mapped, of all pools: one ioctl, however many there are. Zeroed: none. */
struct sm_active {
	struct sm_uuid *uuids; /* sorted */
	size_t n;
};
int sm_active_load(struct sm_active *ret, struct snapmgr_err *err);
bool sm_active_has(const struct sm_active *a, const struct sm_uuid *uuid);
void sm_active_release(struct sm_active *a);
static inline void auto_sm_active_release(struct sm_active *a)
{
	sm_active_release(a);
}

struct sm_known { /* a snapshot, as its children tell of it */
	int64_t id;
	char uuid[SNAPMGR_UUID_TEXT];
	char name[2 * SNAPMGR_NAME_MAX + 2];
};
void sm_known_fill(struct sm_known *known, const struct scat_snapshot *s);

struct sm_view;
int sm_view_new(struct sm_view **ret, struct snapmgr_err *err);
void sm_view_free(struct sm_view *view);
DEFINE_AUTO(struct sm_view *, sm_view_free);
bool sm_view_active(const struct sm_view *view, const struct sm_uuid *uuid);
/* sm_view_tags() - remember who has tags; sm_view_tagged() - whether this one may. NULL: it may. */
int sm_view_tags(struct sm_view *view, struct scat *cat, struct snapmgr_err *err);
bool sm_view_tagged(const struct sm_view *view, const struct sm_uuid *uuid);
/* sm_view_volume() - the volume whose snapshots come next; borrowed until another is named. */
void sm_view_volume(struct sm_view *view, const struct scat_volume *v);
/* sm_view_is_volume() - that volume where it has this id; NULL where not, or @view is NULL. */
const struct scat_volume *sm_view_is_volume(const struct sm_view *view, int64_t id);
void sm_view_meet(struct sm_view *view, const struct scat_snapshot *s); /* NULL is fine */
const struct sm_known *sm_view_known(struct sm_view *view, int64_t id);

/* ---- operation.c: ids, and what is under way ---- */

/**
 * sm_id_make() - a new thin id through @make, remembered in pool->row; the caller's commit stores it
 *
 * An id that a dead process made and never committed lies where the next one is handed out: no row
 * names it, so it is deleted and made again.
 */
typedef int sm_make_fn(struct sm_pool *pool, uint32_t id, void *arg, struct snapmgr_err *err);
int sm_id_make(struct sm_pool *pool, sm_make_fn *make, void *arg, uint32_t *ret,
	       struct snapmgr_err *err);
/* sm_id_reserve() - see that @n ids are reserved; a commit only where the last one left too few. */
int sm_id_reserve(struct sm_pool *pool, uint32_t n, struct snapmgr_err *err);
/* sm_pool_save() - the pool's row in the current transaction, with a fresh reservation. */
int sm_pool_save(struct sm_pool *pool, struct snapmgr_err *err);

/**
 * sm_op_begin() - say in the lock's file, for everybody to read, what this process begins to change
 * @volume: or group; NULL: the pool. @snapshot: may be NULL. @head: thin id of a volume whose head
 * will change, so that recovery can say whether it did; else 0
 *
 * Costs no write to the catalogue. It is over when the lock is given up; where the process dies
 * before that, the next one finds it (sm_recover_abandoned()).
 */
int sm_op_begin(struct sm_pool *pool, const char *verb, const char *volume, const char *snapshot,
		uint32_t head, struct snapmgr_err *err);
/* ---- states.c ---- */

struct sm_transition {
	const char *verb;		  /* NULL ends the table */
	enum scat_state volume, snapshot; /* of what it names; SCAT_STATES: unchanged */
};
extern const struct sm_transition sm_transitions[];
/* sm_state_now() - the stored state, or that which a running operation gives; @snapshot NULL: of the
 * volume. */
enum scat_state sm_state_now(const struct sm_pool *pool, enum scat_state stored, const char *volume,
			     const char *snapshot);

/* sm_state_check() - -EBUSY (bad_state) naming the state, unless it is available (or @also). */
int sm_volume_ready(const struct sm_pool *pool, const struct scat_volume *v, bool also_error,
		    struct snapmgr_err *err);
int sm_snapshot_ready(const struct sm_pool *pool, const struct scat_snapshot *s,
		      struct snapmgr_err *err);
/* created_at of the next snapshot or undo point: never earlier than its predecessor's plus one. */
int64_t sm_next_time(int64_t now_us, int64_t previous_us);

/* ---- quota.c ---- */

/* What a change gives to an owner, or (below 0) takes from one. */
struct sm_quota_change {
	const char *project; /* borrowed; "" counts for the pool alone */
	int64_t amount[SNAPMGR_RESOURCES];
};
/**
 * sm_quota_check() - -EDQUOT (over_quota) where @n changes together are more than an owner may have
 *
 * Under the pool's lock, before anything is changed: what the rows say then cannot change until the
 * caller's commit, which is what takes the room or gives it back. Without any quota in the pool
 * nothing is read.
 */
int sm_quota_check(struct sm_pool *pool, const struct sm_quota_change *changes, size_t n,
		   struct snapmgr_err *err);

/* ---- space.c: free space against what is to stay free ---- */

/**
 * sm_space_for() - may the pool take a change that needs metadata alone: a revert, an undo?
 *
 * Return: 0; -ENOSPC; -EROFS where the kernel takes no change.
 */
int sm_space_for(struct sm_pool *pool, const char *what, struct sm_space *ret,
		 struct snapmgr_err *err);
/**
 * sm_space_for_more() - may it take a snapshot, clone or volume, which will want data in time?
 * @source: an undo point that the caller works on, which must not go; NULL: none
 *
 * As sm_space_for(); but what is past the pool's high-water mark is relieved first, and the reserve
 * is left alone. May commit what the caller has done so far.
 */
int sm_space_for_more(struct sm_pool *pool, const char *what, const struct scat_undo *source,
		      struct snapmgr_err *err);
/**
 * sm_space_relieve() - drop garbage; past the high-water mark undo points too, the oldest first
 *
 * Each undo point that goes leaves a message; one that is mapped stays. Nothing where the kernel
 * takes no change. Commits. Return: how many undo points went, or a negative errno.
 */
int sm_space_relieve(struct sm_pool *pool, struct snapmgr_err *err);

/* sm_pool_space() - what the driver says of it, or of what the core hands out the core. */
int sm_pool_space(struct sm_pool *pool, bool commit_first, struct sm_space *ret,
		  struct snapmgr_err *err);

/* ---- pool_property.c: what an admin sets on a pool ---- */

struct sm_limits {
	uint32_t high_water; /* percent in use, of data or metadata, from where undo points go */
	uint32_t low_water; /* percent in use, of those or the catalogue, that a monitor warns of */
	uint32_t reserve;   /* percent that snapshots, clones and new volumes leave free */
	uint32_t grow_at;   /* percent of a store in use, from where a monitor lets it grow */
	uint32_t
		error_if_no_space; /* 1: a full pool fails writes at once; 0: the kernel queues them */
};
/* sm_parse_bool() - "on", "off", and what else people say. */
int sm_parse_bool(const char *key, const char *value, bool *ret, struct snapmgr_err *err);
/* sm_pool_property_apply() - after the commit: what a running pool has to be told of @key. Never fails. */
void sm_pool_property_apply(struct sm_pool *pool, const char *key);
int sm_limits_get(struct sm_pool *pool, struct sm_limits *ret, struct snapmgr_err *err);
#define SM_LIMIT_LEAST 50u /* no pool less full than this has to look at its limits */
/* sm_pool_property() - check one and write it, in the caller's transaction; "" is the default. */
int sm_pool_property(struct sm_pool *pool, const char *key, const char *value,
		     struct snapmgr_err *err);

/* ---- store.c, merge_tend.c: of pools whose ids the core places; the rest is in store.h ---- */

/* sm_store_volume() - room for a new volume of that id, in the open transaction, and zeroed. */
int sm_store_volume(struct sm_pool *pool, uint32_t id, uint64_t size_bytes,
		    struct snapmgr_err *err);
/* sm_store_volume_as_is() - the same, with what others left there: nobody may see it yet. */
int sm_store_volume_as_is(struct sm_pool *pool, uint32_t id, uint64_t size_bytes,
			  struct snapmgr_err *err);
/* sm_store_status() - of the store of a snapshot or undo point. -ENOENT: it is not mapped */
int sm_store_status(struct sm_pool *pool, uint32_t id, struct sdm_store_status *ret,
		    struct snapmgr_err *err);
/* sm_store_refresh() - after stores of @volume went: its table is the one it wants now. */
void sm_store_refresh(struct sm_pool *pool, int64_t volume);
/* sm_merge_notice() - of a pool just opened for writing: what nobody waits for goes on, or ends. */
int sm_merge_notice(struct sm_pool *pool, struct snapmgr_err *err);

/* ---- copy_source.c ---- */

struct sm_copy_source {
	struct sm_vdev dev;
	int64_t parent;	       /* what a head made of it descends from */
	uint64_t larger_bytes; /* what the copy will have, where that is more than @dev */
};
void sm_copy_source(const struct sm_found *f, struct sm_copy_source *ret);
/* sm_make_copy() - an sm_make_fn; @arg is a struct sm_copy_source. */
int sm_make_copy(struct sm_pool *pool, uint32_t id, void *arg, struct snapmgr_err *err);
int sm_same_pool(const struct sm_pool *pool, const char *other, struct snapmgr_err *err);

/* ---- create.c ---- */

int sm_check_texts(const char *project, const char *label, const char *description,
		   const struct snapmgr_tag *tags, size_t n_tags, struct snapmgr_err *err);
int sm_check_size(const struct sm_pool *pool, uint64_t bytes, struct snapmgr_err *err);
int sm_set_tags(struct sm_pool *pool, const struct sm_uuid *object, const struct snapmgr_tag *tags,
		size_t n, struct snapmgr_err *err);
int sm_new_volume_spec(const char *text, struct sm_spec *ret, struct snapmgr_err *err);

/* ---- claim.c: nobody else uses the device ---- */

struct sm_claim {
	int fd; /* open O_EXCL where the device is mapped, else -1; of a file: that, and writable */
	int node;    /* of a file: its loop device, open O_EXCL; 0: none */
	bool mapped; /* the driver has to be told of a change; a file always is */
	bool others; /* with online: somebody else has it open */
	bool alone;  /* nobody has it open, we neither: see sm_claim_lightly() */
	struct sdm_info info;
};
/**
 * sm_claim() - hold a volume's device, or say who does
 * @online: openers (not mounts, swaps, holders, loops) are fine
 *
 * An opener that is gone within a second is no conflict. Return: 0; -EBUSY (in_use; or bad_state: it
 * is suspended, and any I/O would hang).
 */
int sm_claim(struct sm_pool *pool, const struct sm_vdev *v, const char *spec, bool online,
	     struct sm_claim *ret, struct snapmgr_err *err);
/*
 * sm_claim_lightly() - the same for a switch that follows at once: what nobody has open is not held
 *
 * It has no page in the cache then, and who opens it until its table is switched is seen under suspension
 * (-EAGAIN of the switch); who opens it later reads nothing before the resume.
 */
int sm_claim_lightly(struct sm_pool *pool, const struct sm_vdev *v, const char *spec, bool online,
		     struct sm_claim *ret, struct snapmgr_err *err);
/* sm_claim_trial() - refuse as sm_claim() would, for holders of these kinds, and hold nothing. */
int sm_claim_trial(const struct sm_pool *pool, const struct sm_vdev *v, const char *spec,
		   unsigned int kinds, struct snapmgr_err *err);
/* claim.c for claim_file.c: the words of a refusal, and exclusive use of a node. */
int sm_claim_refuse(const char *spec, const struct shost_holder *holder, struct snapmgr_err *err);
int sm_claim_node(const struct sdm_info *info, const char *spec, uint64_t *deadline_ns,
		  struct snapmgr_err *err);
bool sm_claim_passed(uint64_t *deadline_ns);
void sm_claim_pause(void);
/* sm_claim_file() - sm_claim() of a pool that is a folder */
int sm_claim_file(struct sm_pool *pool, const struct sm_vdev *v, const char *spec, bool online,
		  struct sm_claim *ret, struct snapmgr_err *err);
/* sm_claim_flush() - write its page cache back and forget it; waits for the I/O. */
int sm_claim_flush(const struct sm_claim *claim, const char *spec, struct snapmgr_err *err);
void sm_claim_drop(struct sm_claim *claim);
static inline void auto_sm_claim_drop(struct sm_claim *claim)
{
	sm_claim_drop(claim);
}

/* ---- names.c ---- */

/**
 * sm_names_follow() - give every mapped object the name and the link that the catalogue has for it
 *
 * Inside of a transaction: those that it is about to commit. Repeatable; numbers and UUIDs stay.
 */
int sm_names_follow(struct sm_pool *pool, struct snapmgr_err *err);

/* ---- head.c: change what a volume's head is; revert, undo and resize are made of it ---- */

struct sm_head_change {
	bool swap;			      /* with an undo point, which gets the old head */
	const struct scat_snapshot *snapshot; /* restored from, or NULL */
	struct scat_volume *volume;
	bool forget;   /* nobody will want the old head back */
	uint32_t thin; /* the new head */
	uint64_t size_bytes;
	int64_t parent;
	/* Further rows of the same transaction: undo points, garbage. May be NULL. */
	int (*rows)(struct sm_pool *pool, struct sm_head_change *change, struct snapmgr_err *err);
	void *arg;
	const struct sm_claim *claim;
	struct sm_head_change *next; /* changes at the same instant, by the same commit; or NULL */
	struct scat_volume wanted;   /* of sm_head_switch() */
	/* Out, in the first of them: */
	bool timed; /* tell for how long it was suspended: */
	uint64_t suspended_ns;
	struct sdm_switch *settle; /* wait with it after unlocking; free it */
	bool unclear; /* of a failure: the commit is there, or may be: see sm_head_abort() */
};
/**
 * sm_head_switch() - @change and those linked to it, all or none
 *
 * All that are mapped are suspended before the one commit, and resumed after it.
 */
int sm_head_switch(struct sm_pool *pool, struct sm_head_change *change, struct snapmgr_err *err);
/**
 * sm_head_abort() - after a failure: is all as it was before?
 *
 * Where that is not known, nothing may be deleted or written on a guess: recovery decides by what runs;
 * at once where it can, else in the next command.
 * Return: true where nothing has changed, so that what was made for it may go.
 */
bool sm_head_abort(struct sm_pool *pool, struct sm_head_change *change);
/* sm_head_settle() - after the lock is dropped: wait for udev, bounded; a timeout is a warning. */
void sm_head_settle(struct sm_pool *pool, struct sm_head_change *change);

/* ---- garbage.c ---- */

/* sm_garbage_drop() - delete what the kernel lets go of; returns how many, or a negative errno. */
int sm_garbage_drop(struct sm_pool *pool, struct snapmgr_err *err);
/**
 * sm_garbage_drop_some() - the same for about @budget_ms, so that others get the lock in between
 * @after: in and out: ids up to this one were looked at; 0 at first
 * @ret_more: there are others
 */
int sm_garbage_drop_some(struct sm_pool *pool, uint32_t budget_ms, uint32_t *after, bool *ret_more,
			 struct snapmgr_err *err);

/* ---- message.c ---- */

/* What happened, for whom it concerns; all but @project and @text are words of ours. */
struct sm_message {
	const char *level; /* info, warning, error */
	const char *verb;  /* what was being done: revert, delete, recover, monitor ... */
	const char *code;  /* snapmgr_code_name(); NULL: nothing failed */
	const char *kind;  /* of @object: volume, snapshot, group, pool */
	const struct sm_uuid *object;
	const char *project;		 /* whose object it is; NULL or "": nobody's */
	const struct sm_uuid *operation; /* NULL: of none */
	const char *text; /* one sentence that names the object; cut where it is too long */
};
/**
 * sm_message() - leave a message in the transaction that the caller has open
 *
 * It comes and goes with that transaction. A bounded number is kept; see scat_message_insert().
 */
int sm_message(struct sm_pool *pool, const struct sm_message *m, struct snapmgr_err *err);
/**
 * sm_message_failed() - leave one that pool->op, begun on this, failed for @why and changed nothing
 * @about: kind, object and project of it
 *
 * In a transaction of its own, without a flush. A conflict (in_use, locked) is the caller's affair and
 * leaves none; neither does a catalogue that takes no writes.
 */
void sm_message_failed(struct sm_pool *pool, const struct sm_message *about, const char *name,
		       const struct snapmgr_err *why);
void sm_message_volume_failed(struct sm_pool *pool, const struct scat_volume *v,
			      const struct snapmgr_err *why);

/* ---- lasting.h has the operations that outlast their hold of the lock ---- */

/* sm_lasting_owner_alive() - not dead; however slow */
bool sm_lasting_owner_alive(const struct scat_operation *op);
/* sm_lasting_reap() - settle those whose owner is dead, but the resumable; nothing where there are none. */
int sm_lasting_reap(struct sm_pool *pool, struct snapmgr_err *err);
/**
 * sm_state_conflict() - -EBUSY (bad_state) that names the state, and the operation that gives it
 * @volume, @snapshot: ids, one of them 0
 */
int sm_state_conflict(const struct sm_pool *pool, const char *what, const char *spec,
		      enum scat_state state, int64_t volume, int64_t snapshot,
		      struct snapmgr_err *err);
/* sm_state_is_transition() - some operation is at work on what is in this state */
bool sm_state_is_transition(enum scat_state state);

/* ---- recover.c ---- */

/* sm_recover_tell() - to who asked for a recovery, else as a warning. */
void sm_recover_tell(struct sm_pool *pool, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * sm_recover_abandoned() - whatever somebody who died under the lock may have left
 *
 * Names, suspended devices, heads that are not what the catalogue says, ids that no row names. What the
 * kernel refuses to put right is put off: the next command finds the lock abandoned, and tries again.
 */
int sm_recover_abandoned(struct sm_pool *pool, struct snapmgr_err *err);
/* sm_recover_head() - in the open transaction: @v's head from before is its head again. */
int sm_recover_head(struct sm_pool *pool, struct scat_volume *v, struct snapmgr_err *err);
/* sm_recover_together() - what was switched with one that runs on the old head goes back, too. */
int sm_recover_together(struct sm_pool *pool, struct snapmgr_err *err);
/* sm_recover_activated() - of a pool that is just coming up: the catalogue alone decides. */
int sm_recover_activated(struct sm_pool *pool, struct snapmgr_err *err);
/* sm_recover_ids() - delete kernel ids that were reserved and never committed; what is refused is put off. */
int sm_recover_ids(struct sm_pool *pool, struct snapmgr_err *err);

/* ---- aside.c: what a change takes away for a moment, and who brings it back should it die ---- */

/* sm_aside_mapped() - this object is unmapped now; sm_aside_mapped_end() - for good, or it is mapped again. */
int sm_aside_mapped(struct sm_pool *pool, const struct sm_uuid *object, struct snapmgr_err *err);
void sm_aside_mapped_end(struct sm_pool *pool);
/**
 * sm_aside_mounts() - these mounts of a volume go now, as the how manyeth of an operation's volumes
 * @ret: what to end it by, under the lock or without it, once they are back; null is fine there
 */
int sm_aside_mounts(struct sm_pool *pool, const struct scat_volume *v, size_t turn,
		    const struct shost_mounts *mounts, struct sm_uuid *ret,
		    struct snapmgr_err *err);
void sm_aside_mounts_end(const struct sm_pool *pool, struct sm_uuid *noted);
/* sm_aside_settle() - of those who died: mapped and mounted again. What is not possible is a warning. */
void sm_aside_settle(struct sm_pool *pool);

/* ---- pool_start.c ---- */

/* sm_pool_start() - map everything of a pool whose members are known; the caller has its lock. */
int sm_pool_start(struct snapmgr *sm, struct sm_members *m, struct slock *lock, const char *rename,
		  struct snapmgr_err *err);
/* sm_pool_times() - -ESTALE where thin metadata and catalogue are of different times. */
int sm_pool_times(const struct sm_pool *pool, uint64_t transaction_id, struct snapmgr_err *err);

/* ---- pool_stale.c ---- */

typedef int sm_stale_fn(const char *finding, bool repaired, void *data);
/**
 * sm_stale_resolve() - of an inactive pool: catalogue and metadata of different times
 * @present: a bit for each id that the metadata has
 * @transaction: the metadata's
 * @accept: "metadata" or "catalogue"; NULL: only say what there is, and the ways out
 *
 * One transaction; the catalogue as it was is dumped to the backup folder before.
 */
int sm_stale_resolve(struct sm_pool *pool, const uint8_t *present, uint64_t transaction,
		     const char *accept, sm_stale_fn *find, void *data, struct snapmgr_err *err);

/* ---- pool_extend.c ---- */

/* sm_pool_grow() - make members and kernel follow member 0 of @m; cheap where they do. */
int sm_pool_grow(struct sm_pool *pool, struct sm_members *m, struct snapmgr_err *err);

/* ---- inactive.c: looked into without being activated ---- */

/* sm_inactive_lock() - @pool gets the lock and nothing else; -EBUSY where it is active, here or elsewhere. */
int sm_inactive_lock(struct snapmgr *sm, const char *name, struct sm_members *m,
		     struct sm_pool *pool, struct snapmgr_err *err);
/* sm_inactive_map() - catalogue and metadata; end it with sm_inactive_unmap(), also after a failure. */
int sm_inactive_map(struct sm_pool *pool, struct sm_members *m, struct sm_layout *ret_layout,
		    struct snapmgr_err *err);
/* sm_inactive_catalogue() - open it, and read the pool's row. */
int sm_inactive_catalogue(struct sm_pool *pool, struct snapmgr_err *err);
void sm_inactive_unmap(struct sm_pool *pool);

/* ---- metadata_repair.c ---- */

/**
 * sm_metadata_rebuild() - of an inactive pool (pool->cat may be NULL), into the spare region
 * @damage: what a check says of it
 * @report: what was done and what was lost
 *
 * Return: 1 where it was done: the device of the metadata is the new one then; 0 where it cannot be,
 * and nothing has changed; or a negative errno.
 */
int sm_metadata_rebuild(struct sm_pool *pool, struct sm_members *m, const struct sm_layout *layout,
			const char *damage, snapmgr_report_fn *report, void *data,
			struct snapmgr_err *err);

/* ---- backup.c ---- */

/* sm_backup() - keep a dump on the host, after a change of structure; a failure is a warning. */
void sm_backup(struct sm_pool *pool);
/* sm_backup_of() - the same for an active pool that is not open. */
void sm_backup_of(struct snapmgr *sm, const char *pool);
int sm_backup_to(struct sm_pool *pool, char *ret_path, size_t size, struct snapmgr_err *err);

/* ---- pool_stop.c ---- */

/* sm_pool_device() - the device with this dm UUID as one of the pool's objects; -ENOENT: it is none
 * (err untouched). */
int sm_pool_device(struct sm_pool *pool, const char *dm_uuid, struct sm_vdev *ret,
		   struct snapmgr_err *err);
/**
 * sm_pool_stop() - unmap everything; nothing where a volume is in use (-EBUSY names it)
 *
 * Goes by what the kernel has, so that it also takes down what a dead process half made, and where
 * there is no catalogue (pool->cat NULL). Closes the catalogue.
 */
int sm_pool_stop(struct sm_pool *pool, struct snapmgr_err *err);
/* sm_pool_sweep() - take down what a pool create left that was killed; under the lock "host". */
int sm_pool_sweep(struct snapmgr *sm, struct snapmgr_err *err);

#endif
