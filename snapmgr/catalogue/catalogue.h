/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * catalogue.h - what a pool remembers: one SQLite database inside the pool
 *
 * Rows are plain structs; a function per question. Ids are SQLite rowids, private to this pool's
 * catalogue; 0 means none. Text is bounded and valid UTF-8; a row that breaks a bound (hostile or
 * damaged catalogue) is refused with code damaged. Writers hold the pool's lock and a transaction;
 * readers neither. "No such row" is -ENOENT and leaves err untouched: the caller knows the subject.
 */
#ifndef SCAT_H
#define SCAT_H

#include "base.h"

#define SCAT_SCHEMA    1 /* PRAGMA user_version; another one is refused with newer_version */
#define SCAT_MIN_BYTES (8 * SM_MIB)

struct scat;

enum scat_use {
	SCAT_READ,
	SCAT_WRITE, /* with locks of its own, beside others */
	SCAT_OWN,   /* under the pool's lock */
	SCAT_HEAL, /* the same, after somebody died at work: nothing that the kernel kept is believed */
};

/* Volume and snapshot states; the catalogue holds their names (scat_state_name). */
enum scat_state {
	SCAT_CREATING,
	SCAT_AVAILABLE,
	SCAT_SNAPSHOTTING,
	SCAT_REVERTING,
	SCAT_REVERTING_ERROR,
	SCAT_EXTENDING,
	SCAT_SHRINKING,
	SCAT_RESTORING,
	SCAT_DELETING,
	SCAT_ERROR,
	SCAT_STATES
};
const char *scat_state_name(enum scat_state state);

struct scat_pool { /* one row */
	struct sm_uuid uuid;
	char name[SNAPMGR_NAME_MAX + 1];
	char driver[16];
	int64_t created_at_us;
	uint32_t chunk_sectors, block_bytes;
	uint32_t next_thin;	 /* next id to hand out; 1 at first: 0 is ours */
	uint32_t reserved_thin;	 /* ids from next_thin up to here may exist in the kernel unnamed */
	uint64_t transaction_id; /* the kernel's, as last known committed */
	uint64_t next_transaction_id; /* = transaction_id, or one more while activation moves on */
	uint64_t
		quotas; /* rows of quotas: where there are none, nothing else is asked; read only */
	uint64_t operations; /* rows of those, likewise */
};
struct scat_common { /* what volumes and snapshots share */
	struct sm_uuid uuid;
	char name[SNAPMGR_NAME_MAX + 1];
	char project[SNAPMGR_LABEL_MAX + 1];
	char label[SNAPMGR_LABEL_MAX + 1];
	char description[SNAPMGR_DESC_MAX + 1];
	int64_t created_at_us;
	enum scat_state state;
	uint64_t size_bytes;
	uint32_t thin;
	int64_t parent; /* id of the snapshot this descends from, 0: none */
};
struct scat_volume {
	int64_t id;
	struct scat_common c;
	uint64_t sequence;	     /* the last one given to a snapshot; only grows */
	int64_t last_snapshot_at_us; /* created_at of the newest snapshot ever taken, for ordering */
	uint32_t undo_keep;
	bool autostart, guest, revert_support;
	/* The head that the last switch displaced, for a device whose running table turns out to be
	 * that one although the switch was committed: recovery then goes back to it. */
	struct {
		uint32_t thin; /* 0: none was */
		int64_t parent;
		uint64_t size_bytes;
		bool swapped;	     /* with an undo point, which has it now */
		struct sm_uuid with; /* the operation that did so to several at once; or null */
	} before;
};
struct scat_snapshot {
	int64_t id;
	struct scat_common c;
	int64_t volume;				/* 0: its volume is gone */
	char volume_name[SNAPMGR_NAME_MAX + 1]; /* of @volume, filled by reads; "" where gone */
	uint64_t sequence;
	uint64_t used_bytes; /* mapped when taken; UINT64_MAX: unknown */
	bool hold;
	struct sm_uuid taken_with; /* what snapshots of one instant share; null: taken alone */
};
struct scat_undo {
	int64_t id; /* grows: the newest has the highest */
	int64_t volume;
	struct sm_uuid uuid;
	int64_t created_at_us;
	uint64_t size_bytes;
	uint32_t thin;
	int64_t parent;
	/* What the points of one group revert share, as long as all of them are there; else null. */
	struct sm_uuid displaced_with;
};
struct scat_group {
	int64_t id;
	struct sm_uuid uuid;
	char name[SNAPMGR_NAME_MAX + 1];
	char project[SNAPMGR_LABEL_MAX + 1];
	char label[SNAPMGR_LABEL_MAX + 1];
	char description[SNAPMGR_DESC_MAX + 1];
	int64_t created_at_us;
};
struct scat_set { /* a snapshot of a group: those with this UUID as taken_with */
	int64_t id;
	struct sm_uuid uuid;
	int64_t group;
	char name[SNAPMGR_NAME_MAX + 1];
	int64_t created_at_us;
	uint32_t members; /* how many snapshots it had when it was taken */
	uint32_t left;	  /* how many of them there are; filled by reads */
};
#define SCAT_DETAIL_MAX 1024 /* bytes of an operation's detail, with its NUL */
/* One that lasts longer than its hold of the pool's lock. The others are told of in the lock's file. */
struct scat_operation {
	int64_t id;
	struct sm_uuid uuid;
	char verb[24];
	int64_t volume, snapshot; /* 0: none */
	uint64_t new_size_bytes;  /* that the volume will have: reserved until then; 0: unchanged */
	struct sm_uuid boot_id;	  /* owner */
	int32_t pid;
	uint64_t start_ticks; /* field 22 of /proc/PID/stat */
	int64_t started_at_us;
	uint32_t thin;			 /* that it fills and no other row names; 0: none */
	uint64_t todo_bytes, done_bytes; /* done: for good, as of the last checkpoint */
	bool resumable; /* where its owner is dead it waits for the same again, until cancelled */
	char detail[SCAT_DETAIL_MAX]; /* the verb's own */
};

/**
 * scat_format() - an empty catalogue with @pool's row on @device (its region, mapped)
 *
 * Not crash-safe, and need not be: the superblocks that make the pool real are written after it.
 * Ends with a real flush.
 */
int scat_format(const char *device, const struct scat_pool *pool, struct snapmgr_err *err);

/**
 * scat_format_file() - the same as a file of its own, DIR/catalogue.db, which must not be there
 * @dir: with a '/' at its end, by which scat_open() knows it, too
 *
 * It is reached through SQLite's own VFS: its log and wal-index lie beside it, each commit is durable,
 * and its room is that of the filesystem. It cannot be parked.
 */
#define SCAT_FILE_NAME "catalogue.db"
#define SCAT_FILE_PATH 512
int scat_format_file(const char *dir, const struct scat_pool *pool, struct snapmgr_err *err);

/**
 * scat_open() - open the catalogue on @device
 * @device: the pinned dm-linear device of the region, e.g. "/dev/mapper/snapmgr-p-_cat"
 * @uuid:   pool's UUID: names the wal-index and lock files under /run/snapmgr/UUID/
 * @use: SCAT_OWN, SCAT_HEAL: the caller holds the pool's lock, until scat_disown()
 *
 * Opens nothing but @device and those two files. Return: 0; -EUCLEAN (damaged);
 * -EPROTONOSUPPORT (newer_version); -EACCES; -EIO.
 */
int scat_open(const char *device, const struct sm_uuid *uuid, enum scat_use use, struct scat **ret,
	      struct snapmgr_err *err);
/**
 * scat_park() - let go of the device, so that anybody may unmap it, and keep what was learnt of it
 * scat_unpark() - take it up again
 *
 * A parked catalogue may be unparked or closed, nothing else. Return: 0; -ESTALE (err untouched)
 * where the device is another one by now: close it and open anew.
 */
void scat_park(struct scat *cat);
int scat_unpark(struct scat *cat, struct snapmgr_err *err);
/**
 * scat_own() - the caller holds the pool's lock again: then nothing else has to be locked to write
 * scat_disown() - it is about to give it up; rolls back, and empties a log that grew long
 */
void scat_own(struct scat *cat);
void scat_disown(struct scat *cat);
/* scat_close() - rolls back; a writer may empty a log that grew long. NULL is fine. */
void scat_close(struct scat *cat);
DEFINE_AUTO(struct scat *, scat_close);

/* scat_check() - SQLite's integrity_check and foreign_key_check, a line per finding. */
int scat_check(struct scat *cat, int (*finding)(const char *line, void *data), void *data,
	       struct snapmgr_err *err);
/* scat_checkpoint() - move the WAL into the database; a reader may delay it (-EAGAIN). */
int scat_checkpoint(struct scat *cat, struct snapmgr_err *err);
uint64_t scat_used_bytes(struct scat *cat);
/* scat_size_bytes() - the room that scat_used_bytes() is a part of */
uint64_t scat_size_bytes(const struct scat *cat);

/**
 * scat_begin() - start a write transaction; in one already, nothing
 * scat_begin_read() - one consistent view over several reads; end it with scat_rollback()
 * scat_commit() - @durable: with one flush; else it survives this process, not a power cut
 *
 * A commit that fails with -EIO was cut off the log where the device still took that, but its outcome
 * counts as unknown: close, open and read again before anything is undone. -ENOSPC: it did not
 * happen; the region is full (what deletes still has room), or the change larger than the log. scat_rollback() outside of a transaction does nothing.
 */
int scat_begin(struct scat *cat, struct snapmgr_err *err);
int scat_begin_read(struct scat *cat, struct snapmgr_err *err);
int scat_commit(struct scat *cat, bool durable, struct snapmgr_err *err);
void scat_rollback(struct scat *cat);

int scat_pool_get(struct scat *cat, struct scat_pool *ret, struct snapmgr_err *err);
int scat_pool_put(struct scat *cat, const struct scat_pool *pool, struct snapmgr_err *err);

int scat_volume_by_name(struct scat *cat, const char *name, struct scat_volume *ret,
			struct snapmgr_err *err);
int scat_volume_by_uuid(struct scat *cat, const struct sm_uuid *uuid, struct scat_volume *ret,
			struct snapmgr_err *err);
int scat_volume_by_id(struct scat *cat, int64_t id, struct scat_volume *ret,
		      struct snapmgr_err *err);
typedef int scat_volume_fn(const struct scat_volume *volume, void *data);
int scat_volume_each(struct scat *cat, scat_volume_fn *visit, void *data, struct snapmgr_err *err);
/* insert: sets ->id. -EEXIST (exists) where the name is taken (by a group, too). */
int scat_volume_insert(struct scat *cat, struct scat_volume *volume, struct snapmgr_err *err);
int scat_volume_update(struct scat *cat, const struct scat_volume *volume, struct snapmgr_err *err);
/* scat_states_reset() - of all volumes and snapshots that no operation works on, back to available;
 * one that never was finished goes to error. */
int scat_states_reset(struct scat *cat, struct snapmgr_err *err);
/* delete: its snapshots stay, with volume 0; its undo points must be gone; tags go. */
int scat_volume_delete(struct scat *cat, int64_t id, struct snapmgr_err *err);

int scat_snapshot_by_name(struct scat *cat, int64_t volume, const char *name,
			  struct scat_snapshot *ret, struct snapmgr_err *err);
int scat_snapshot_by_uuid(struct scat *cat, const struct sm_uuid *uuid, struct scat_snapshot *ret,
			  struct snapmgr_err *err);
int scat_snapshot_by_id(struct scat *cat, int64_t id, struct scat_snapshot *ret,
			struct snapmgr_err *err);
/* The snapshot of @volume with the @back-th highest sequence (0: latest). Uses an index. */
int scat_snapshot_latest(struct scat *cat, int64_t volume, uint32_t back, struct scat_snapshot *ret,
			 struct snapmgr_err *err);
typedef int scat_snapshot_fn(const struct scat_snapshot *snapshot, void *data);
/* @volume: one volume's, oldest first; 0: those whose volume is gone; -1: all, by id. */
int scat_snapshot_each(struct scat *cat, int64_t volume, scat_snapshot_fn *visit, void *data,
		       struct snapmgr_err *err);
int scat_snapshot_insert(struct scat *cat, struct scat_snapshot *snapshot, struct snapmgr_err *err);
int scat_snapshot_update(struct scat *cat, const struct scat_snapshot *snapshot,
			 struct snapmgr_err *err);
/* delete: everything that has it as parent (volumes, snapshots, undo points) gets its parent. */
int scat_snapshot_delete(struct scat *cat, int64_t id, struct snapmgr_err *err);

/* Those that were taken together, by id. */
int scat_snapshot_each_with(struct scat *cat, const struct sm_uuid *taken_with,
			    scat_snapshot_fn *visit, void *data, struct snapmgr_err *err);

/* ---- groups: a volume is in one at most; they share their name space with volumes ---- */

int scat_group_by_name(struct scat *cat, const char *name, struct scat_group *ret,
		       struct snapmgr_err *err);
int scat_group_by_uuid(struct scat *cat, const struct sm_uuid *uuid, struct scat_group *ret,
		       struct snapmgr_err *err);
int scat_group_by_id(struct scat *cat, int64_t id, struct scat_group *ret, struct snapmgr_err *err);
int scat_group_of(struct scat *cat, int64_t volume, struct scat_group *ret,
		  struct snapmgr_err *err);
typedef int scat_group_fn(const struct scat_group *group, void *data);
int scat_group_each(struct scat *cat, scat_group_fn *visit, void *data, struct snapmgr_err *err);
/* insert: sets ->id. -EEXIST (exists) where the name is taken (by a volume, too). */
int scat_group_insert(struct scat *cat, struct scat_group *group, struct snapmgr_err *err);
int scat_group_update(struct scat *cat, const struct scat_group *group, struct snapmgr_err *err);
/* delete: volumes and their snapshots stay; its group snapshots are nothing but those, then. */
int scat_group_delete(struct scat *cat, int64_t id, struct snapmgr_err *err);
int scat_member_add(struct scat *cat, int64_t group, int64_t volume, struct snapmgr_err *err);
int scat_member_remove(struct scat *cat, int64_t volume, struct snapmgr_err *err);
/* by name */
int scat_member_each(struct scat *cat, int64_t group, scat_volume_fn *visit, void *data,
		     struct snapmgr_err *err);

int scat_set_by_name(struct scat *cat, int64_t group, const char *name, struct scat_set *ret,
		     struct snapmgr_err *err);
int scat_set_by_uuid(struct scat *cat, const struct sm_uuid *uuid, struct scat_set *ret,
		     struct snapmgr_err *err);
int scat_set_latest(struct scat *cat, int64_t group, uint32_t back, struct scat_set *ret,
		    struct snapmgr_err *err);
typedef int scat_set_fn(const struct scat_set *set, void *data);
/* oldest first; @group -1: all */
int scat_set_each(struct scat *cat, int64_t group, scat_set_fn *visit, void *data,
		  struct snapmgr_err *err);
/* insert: sets ->id. A set goes with the last of its snapshots (scat_snapshot_delete()). */
int scat_set_insert(struct scat *cat, struct scat_set *set, struct snapmgr_err *err);
int scat_set_rename(struct scat *cat, const struct scat_set *set, struct snapmgr_err *err);

typedef int scat_undo_fn(const struct scat_undo *undo, void *data);
/* newest first; @volume -1: all */
int scat_undo_each(struct scat *cat, int64_t volume, scat_undo_fn *visit, void *data,
		   struct snapmgr_err *err);
int scat_undo_nth(struct scat *cat, int64_t volume, uint32_t back, struct scat_undo *ret,
		  struct snapmgr_err *err);
int scat_undo_by_uuid(struct scat *cat, const struct sm_uuid *uuid, struct scat_undo *ret,
		      struct snapmgr_err *err);
int scat_undo_insert(struct scat *cat, struct scat_undo *undo, struct snapmgr_err *err);
int scat_undo_update(struct scat *cat, const struct scat_undo *undo, struct snapmgr_err *err);
/* delete: those displaced with it are no longer known to be. */
int scat_undo_delete(struct scat *cat, int64_t id, struct snapmgr_err *err);
/**
 * scat_undo_push_out() - delete, and its id is garbage; @by: thin id of the head that takes its room
 * scat_undo_take_back() - what @by has pushed out is there again, where it is garbage still
 */
int scat_undo_push_out(struct scat *cat, int64_t id, uint32_t by, struct snapmgr_err *err);
int scat_undo_take_back(struct scat *cat, uint32_t by, struct snapmgr_err *err);
/* scat_undo_part() - no point of @volume belongs to those of others any more. */
int scat_undo_part(struct scat *cat, int64_t volume, struct snapmgr_err *err);
int scat_undo_each_with(struct scat *cat, const struct sm_uuid *displaced_with, scat_undo_fn *visit,
			void *data, struct snapmgr_err *err);

/* Tags of a volume or snapshot, by its UUID. An array owned by the caller (free()), by key. */
int scat_tags_get(struct scat *cat, const struct sm_uuid *object, struct snapmgr_tag **ret,
		  size_t *ret_n, struct snapmgr_err *err);
typedef int scat_uuid_fn(const struct sm_uuid *uuid, void *data);
/* scat_tagged_each() - whoever has tags, in the order of their UUIDs. */
int scat_tagged_each(struct scat *cat, scat_uuid_fn *visit, void *data, struct snapmgr_err *err);
/* scat_tag_set() - an empty or NULL @value removes it. */
int scat_tag_set(struct scat *cat, const struct sm_uuid *object, const char *key, const char *value,
		 struct snapmgr_err *err);

/* Settings of the pool. scat_property_set() - an empty or NULL @value goes back to the default. */
int scat_property_each(struct scat *cat, int (*visit)(const struct snapmgr_tag *p, void *data),
		       void *data, struct snapmgr_err *err);
int scat_property_set(struct scat *cat, const char *key, const char *value,
		      struct snapmgr_err *err);

/* Thin ids that nothing names any more and the kernel may still have. Adding one twice is fine. */
int scat_garbage_add(struct scat *cat, uint32_t thin, struct snapmgr_err *err);
int scat_garbage_remove(struct scat *cat, uint32_t thin, struct snapmgr_err *err);
int scat_garbage_each(struct scat *cat, int (*visit)(uint32_t thin, void *data), void *data,
		      struct snapmgr_err *err);
/* Is @thin named by a volume, snapshot, undo point, operation or as garbage? 1, 0 or a negative errno. */
int scat_thin_named(struct scat *cat, uint32_t thin, struct snapmgr_err *err);

/**
 * Where an id lies in the data of pools whose driver has no metadata of its own, in sectors.
 *
 * scat_extent_take() - @len more behind what @owner has, between @from and @to, first fit: in the first
 * gap that holds all of it, else in as many as it takes from the first one on. -ENOSPC (no_space).
 */
struct scat_extent {
	uint64_t start, len;
	uint32_t owner;	   /* an id */
	uint64_t position; /* in the owner */
};
int scat_extent_take(struct scat *cat, uint32_t owner, uint64_t len, uint64_t from, uint64_t to,
		     struct snapmgr_err *err);
/* scat_extent_cut() - what @owner has from position @len on is nobody's any more. */
int scat_extent_cut(struct scat *cat, uint32_t owner, uint64_t len, struct snapmgr_err *err);
int scat_extent_free(struct scat *cat, uint32_t owner, struct snapmgr_err *err);
typedef int scat_extent_fn(const struct scat_extent *extent, void *data);
/* @owner: one's, by position; 0: all, by start */
int scat_extent_each(struct scat *cat, uint32_t owner, scat_extent_fn *visit, void *data,
		     struct snapmgr_err *err);
/* scat_extent_sum() - sectors of @owner; 0: of all */
int scat_extent_sum(struct scat *cat, uint32_t owner, uint64_t *ret, struct snapmgr_err *err);

/**
 * A volume that takes on the contents of a store: from the commit of its row to that which deletes it
 * the kernel merges, and whoever comes upon it goes on. scat_merge_get() - -ENOENT: there is none
 */
int scat_merge_get(struct scat *cat, int64_t volume, uint32_t *ret_store, struct snapmgr_err *err);
int scat_merge_put(struct scat *cat, int64_t volume, uint32_t store, struct snapmgr_err *err);
/* scat_merge_any() - 1 where there is one, 0, or a negative errno */
int scat_merge_any(struct scat *cat, struct snapmgr_err *err);
int scat_merge_delete(struct scat *cat, int64_t volume, struct snapmgr_err *err);

int scat_operation_insert(struct scat *cat, struct scat_operation *op, struct snapmgr_err *err);
/* scat_operation_update() - its owner, thin, todo, done and detail; -ENOENT: it is gone */
int scat_operation_update(struct scat *cat, const struct scat_operation *op,
			  struct snapmgr_err *err);
int scat_operation_delete(struct scat *cat, int64_t id, struct snapmgr_err *err);
int scat_operation_by_uuid(struct scat *cat, const struct sm_uuid *uuid, struct scat_operation *ret,
			   struct snapmgr_err *err);
/* scat_operation_on() - that of a volume; @volume 0: of a snapshot. There are few: no index. */
int scat_operation_on(struct scat *cat, int64_t volume, int64_t snapshot,
		      struct scat_operation *ret, struct snapmgr_err *err);
typedef int scat_operation_fn(const struct scat_operation *op, void *data);
int scat_operation_each(struct scat *cat, scat_operation_fn *visit, void *data,
			struct snapmgr_err *err);

/* Something that an admin, or a user of the object, may want to know later. "" and zeroes: none. */
struct scat_message {
	int64_t id; /* grows: the newest has the highest */
	int64_t created_at_us;
	char level[8]; /* info, warning, error */
	char project[SNAPMGR_LABEL_MAX + 1];
	char verb[24];
	char code[24]; /* snapmgr_code_name(); "" where nothing failed */
	char kind[16]; /* of @object: volume, snapshot, group, pool */
	struct sm_uuid object, operation;
	char text[SNAPMGR_MESSAGE_MAX];
};
#define SCAT_MESSAGES	     1000 /* the oldest go where there are more, */
#define SCAT_MESSAGES_UPKEEP 16	  /* which is looked at once in so many */
/**
 * scat_message_insert() - sets ->id; the oldest go
 *
 * One row in the table's last page. Where what is added to the catalogue has no more room, older ones
 * make it: no change is refused for its message's sake.
 */
int scat_message_insert(struct scat *cat, struct scat_message *m, struct snapmgr_err *err);
typedef int scat_message_fn(const struct scat_message *m, void *data);
int scat_message_each(struct scat *cat, bool newest_first, scat_message_fn *visit, void *data,
		      struct snapmgr_err *err);
/* scat_message_level() - 0 info, 1 warning, 2 error; -EINVAL (err untouched): it is none of them */
int scat_message_level(const char *level);
/* Limits of one owner; SNAPMGR_UNLIMITED: none. */
struct scat_quota {
	char project[SNAPMGR_LABEL_MAX + 1]; /* "": the whole pool */
	uint64_t limit[SNAPMGR_RESOURCES];
};
/* scat_quota_get() - -ENOENT where @project has no limit at all */
int scat_quota_get(struct scat *cat, const char *project, struct scat_quota *ret,
		   struct snapmgr_err *err);
/* scat_quota_put() - a row without any limit goes; the count in the pool's row follows. */
int scat_quota_put(struct scat *cat, const struct scat_quota *quota, struct snapmgr_err *err);
typedef int scat_quota_fn(const struct scat_quota *quota, void *data);
int scat_quota_each(struct scat *cat, scat_quota_fn *visit, void *data, struct snapmgr_err *err);

/* What an owner has, counted from the rows; of more than INT64_MAX bytes: INT64_MAX. */
struct scat_usage {
	uint64_t in_use;
	uint64_t reserved; /* for what long operations are about to make or to enlarge */
};
/* scat_usage() - of @project ("": the whole pool), one resource */
int scat_usage(struct scat *cat, const char *project, enum snapmgr_resource resource,
	       struct scat_usage *ret, struct snapmgr_err *err);
/* scat_project_each() - "" for the whole pool, then every project that has something or a limit */
typedef int scat_project_fn(const char *project, void *data);
int scat_project_each(struct scat *cat, scat_project_fn *visit, void *data,
		      struct snapmgr_err *err);

struct scat_counts {
	uint64_t volumes, snapshots, undos, garbage, virtual_bytes;
};
int scat_counts(struct scat *cat, struct scat_counts *ret, struct snapmgr_err *err);

#endif
