/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * snapmgr.h - snapshot trees of block devices, and reverts in place
 *
 * Every call blocks, returns 0 or a negative errno, and on failure fills the error it was handed
 * (which may be NULL); the code in that error, never the errno, says what kind of failure it was.
 * Nothing is written to an output on failure. The library prints nothing and never exits. While a
 * volume is suspended, signal SIGRTMIN+11 has an empty handler, and what it had is put back after;
 * no other handler is installed. After a first snapshot or revert a process "snapmgr-guard" waits
 * beside the program, unseen by wait(2), until snapmgr_free(). A handle serves one thread at a time;
 * several handles may be used side by side.
 *
 * Objects are named "pool", "pool/vol", "pool/vol@snap"; a UUID serves wherever a name does, and
 * "@latest", "@latest~N", "@undo", "@undo~N" select one by age. Sizes are bytes, times are
 * microseconds since 1970 in UTC.
 *
 * An options structure starts with its own size, so that it can grow: set it with SNAPMGR_OPTS_INIT;
 * a NULL pointer means all defaults.
 */
#ifndef SNAPMGR_H
#define SNAPMGR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SNAPMGR_VERSION		"0.1.0"
#define SNAPMGR_NAME_MAX	64  /* bytes of a pool's, volume's or snapshot's name */
#define SNAPMGR_LABEL_MAX	128 /* bytes of a label, a project, a tag's key or value */
#define SNAPMGR_DESC_MAX	512 /* bytes of a description */
#define SNAPMGR_UUID_TEXT	37  /* bytes of a UUID as text, with its NUL */
#define SNAPMGR_SPEC_TEXT	200 /* bytes of "pool/vol@snap", with its NUL */
#define SNAPMGR_MESSAGE_MAX	768
#define SNAPMGR_OPTS_INIT(type) ((type){ .size = sizeof(type) })

/* What kind of failure it was. Exit statuses and JSON are computed from this alone. */
enum snapmgr_code {
	SNAPMGR_OK,
	SNAPMGR_IO,
	SNAPMGR_KERNEL,
	SNAPMGR_DAMAGED,
	SNAPMGR_NEWER_VERSION,
	SNAPMGR_PERMISSION,
	SNAPMGR_INTERNAL,
	SNAPMGR_USAGE,
	SNAPMGR_NOT_FOUND,
	SNAPMGR_EXISTS,
	SNAPMGR_IN_USE,
	SNAPMGR_BAD_STATE,
	SNAPMGR_NOT_LATEST,
	SNAPMGR_STALE,
	SNAPMGR_LOCKED,
	SNAPMGR_HELD,
	SNAPMGR_HAS_SNAPSHOTS,
	SNAPMGR_FOREIGN_DEVICE,
	SNAPMGR_NO_SPACE,
	SNAPMGR_OVER_QUOTA,
	SNAPMGR_UNSUPPORTED,
	SNAPMGR_CODES
};

struct snapmgr_err {
	enum snapmgr_code code;
	int errnum; /* positive errno, e.g. EBUSY */
	char message[SNAPMGR_MESSAGE_MAX];
};

/** snapmgr_code_name() - "in_use" for SNAPMGR_IN_USE; never NULL. */
const char *snapmgr_code_name(enum snapmgr_code code);

/** snapmgr_code_exit() - the exit status of a program that failed with @code (0 to 6). */
int snapmgr_code_exit(enum snapmgr_code code);

/* ---- handle ---- */

struct snapmgr;

struct snapmgr_open_opts {
	size_t size;
	uint32_t
		wait_ms; /* how long to wait for a pool's lock; 0 is try once (30000 without options) */
	/* A warning (one line, no newline) that fails nothing; NULL drops it. */
	void (*warn)(const char *message, void *data);
	/* Progress of long work; a non-zero answer asks it to stop. May be NULL. */
	int (*progress)(const char *what, uint64_t done, uint64_t todo, void *data);
	void *data;
	const char *recover_program; /* run as "PROGRAM recover POOL" by the guard of a suspended
				      * volume after its owner died; NULL: nothing is run */
	const char *backup_dir; /* dumps of catalogues are kept below it after changes of structure;
				 * NULL: /var/lib/snapmgr/backup; "": none are */
	/* Links to pools that are folders; NULL: /etc/snapmgr/pools, or where the user is not root
	 * $XDG_STATE_HOME/snapmgr/pools ($HOME/.local/state/snapmgr/pools). */
	const char *pools_dir;
};

/**
 * snapmgr_open() - make a handle
 * @opts: borrowed for the call; NULL for defaults
 * @ret:  caller frees with snapmgr_free()
 *
 * Opens no device: each call opens what it needs.
 * Return: 0, -EINVAL, -ENOMEM.
 */
int snapmgr_open(const struct snapmgr_open_opts *opts, struct snapmgr **ret,
		 struct snapmgr_err *err);
void snapmgr_free(struct snapmgr *sm);

/* ---- what the calls tell ---- */

struct snapmgr_tag {
	char key[SNAPMGR_LABEL_MAX + 1];
	char value[SNAPMGR_LABEL_MAX + 1];
};

enum snapmgr_kind {
	SNAPMGR_VOLUME,
	SNAPMGR_SNAPSHOT,
	SNAPMGR_UNDO,
	SNAPMGR_GROUP,
	SNAPMGR_GROUP_SNAPSHOT
};

/* A volume of a group, "vol", or a snapshot of a group snapshot, "vol@snap". */
struct snapmgr_part {
	char name[2 * SNAPMGR_NAME_MAX + 2];
	char uuid[SNAPMGR_UUID_TEXT];
};

/* A volume, snapshot, undo point or group. Empty strings and UINT64_MAX: "does not apply". */
struct snapmgr_object {
	enum snapmgr_kind kind;
	char pool[SNAPMGR_NAME_MAX + 1];
	char volume[SNAPMGR_NAME_MAX +
		    1]; /* of a snapshot: its volume's name, "" where that is gone */
	char group[SNAPMGR_NAME_MAX + 1]; /* of a volume: the group that it is in; of a group and
					   * of a group snapshot: the group */
	char name[SNAPMGR_NAME_MAX + 1];  /* "vol", "snap", or "undo", "undo~1" */
	char uuid[SNAPMGR_UUID_TEXT];
	char driver[16];
	char state[24];
	char parent[SNAPMGR_UUID_TEXT];		    /* snapshot that this descends from */
	char parent_name[2 * SNAPMGR_NAME_MAX + 2]; /* the same as "vol@snap" */
	char snapshot_of[SNAPMGR_UUID_TEXT];	    /* volume; of a group snapshot: group */
	char taken_with[SNAPMGR_UUID_TEXT];	    /* what snapshots of one instant share */
	char project[SNAPMGR_LABEL_MAX + 1];
	char label[SNAPMGR_LABEL_MAX + 1];
	char description[SNAPMGR_DESC_MAX + 1];
	const struct snapmgr_part *parts; /* borrowed for the callback; of groups */
	const struct snapmgr_tag *tags;	  /* borrowed for the callback */
	size_t n_tags, n_parts;
	uint64_t parts_taken; /* of a group snapshot: how many parts it had when it was taken */
	uint64_t size_bytes;
	uint64_t used_bytes;	  /* mapped; UINT64_MAX where not known */
	uint64_t exclusive_bytes; /* only where asked for; else UINT64_MAX */
	int64_t created_at_us;
	uint64_t sequence; /* of a volume: of its newest snapshot, 0 where it has none */
	bool latest;	   /* of a snapshot: the newest of its volume */
	bool hold;
	bool active;	/* mapped in the kernel now */
	bool autostart; /* of a volume: mapped whenever its pool is */
	bool guest;	/* what is inside belongs to a virtual machine */
	bool revert_support;
	uint32_t undo_keep;
	uint32_t major, minor; /* 0, 0 where inactive */
	char dm_name[128];     /* "" where inactive */
	char device[400];      /* "/dev/snapmgr/pool/vol"; "" where inactive */
};

struct snapmgr_member {
	char device[400]; /* "" where missing */
	char uuid[SNAPMGR_UUID_TEXT];
	uint64_t size_bytes;
	bool missing;
	bool meta_only; /* given with --meta */
	bool bad_copy;	/* one of its two superblock copies is damaged */
};

struct snapmgr_pool {
	char name[SNAPMGR_NAME_MAX + 1];
	char uuid[SNAPMGR_UUID_TEXT];
	char driver[16];
	char state[24]; /* active, inactive, exported, incomplete, foreign (another host has it) */
	char mode[32];	/* of an active pool: rw, ro, out_of_data_space, fail, needs_check */
	char host[65];	/* the host that had it last */
	uint64_t size_bytes, used_bytes;	     /* data; used is UINT64_MAX where inactive */
	uint64_t meta_bytes, meta_used_bytes;	     /* thin metadata */
	uint64_t catalogue_bytes, reclaimable_bytes; /* reclaimable: garbage; UINT64_MAX: unknown */
	uint64_t virtual_bytes;			     /* sum of the volumes' sizes */
	uint64_t chunk_bytes;
	uint32_t block_bytes;			 /* logical block size */
	uint64_t volumes, snapshots, garbage;	 /* UINT64_MAX where inactive */
	uint64_t high_water, low_water, reserve; /* percent; UINT64_MAX where inactive */
	uint64_t store_grow_at; /* percent; UINT64_MAX where inactive, or without stores */
	int error_if_no_space; /* 1: a full pool fails writes at once; 0: after 60 s; -1 where inactive */
	uint64_t transaction_id;
	int64_t created_at_us;
	const struct snapmgr_member *members; /* borrowed for the callback */
	size_t n_members;
};

/* A callback's non-zero answer ends the walk and is returned by it. */
typedef int snapmgr_object_fn(const struct snapmgr_object *object, void *data);
typedef int snapmgr_pool_fn(const struct snapmgr_pool *pool, void *data);
/* One finding of a check or one step of a recovery; @repaired: it was mended. */
typedef int snapmgr_report_fn(const char *finding, bool repaired, void *data);

/* ---- pools ---- */

struct snapmgr_pool_create_opts {
	size_t size;
	const char *driver;	 /* default "thin" */
	const char *meta_device; /* everything but the data goes here */
	uint64_t chunk_bytes;	 /* 0: chosen from the size */
	bool force;		 /* overrides foreign signatures, nothing else */
	const char *const
		*params; /* "KEY=VALUE", n_params of them; unknown keys are usage errors */
	size_t n_params;
};
/**
 * snapmgr_pool_create() - make a pool of whole devices and activate it
 *
 * Overwrites the devices. Refuses mounted, held, read-only, too small, duplicate and foreign ones
 * before anything is written. After a crash before the end the devices read as unformatted.
 */
int snapmgr_pool_create(struct snapmgr *sm, const char *name, const char *const *devices,
			size_t n_devices, const struct snapmgr_pool_create_opts *opts,
			struct snapmgr_err *err);

struct snapmgr_pool_extend_opts {
	size_t size;
	bool force;
};
int snapmgr_pool_extend(struct snapmgr *sm, const char *pool, const char *const *devices,
			size_t n_devices, const struct snapmgr_pool_extend_opts *opts,
			struct snapmgr_err *err);

/** snapmgr_pool_list() - every pool on this machine, active or not; scans all block devices. */
int snapmgr_pool_list(struct snapmgr *sm, snapmgr_pool_fn *visit, void *data,
		      struct snapmgr_err *err);
/** snapmgr_pool_show() - one pool; scans only where it is not active. */
int snapmgr_pool_show(struct snapmgr *sm, const char *pool, snapmgr_pool_fn *visit, void *data,
		      struct snapmgr_err *err);
int snapmgr_pool_activate(struct snapmgr *sm, const char *pool, struct snapmgr_err *err);
/** snapmgr_pool_deactivate() - unmap everything; -EBUSY names the volume that is open. */
int snapmgr_pool_deactivate(struct snapmgr *sm, const char *pool, struct snapmgr_err *err);
/** snapmgr_pool_export() - deactivate, and let go of it: only an import takes it back. */
int snapmgr_pool_export(struct snapmgr *sm, const char *pool, struct snapmgr_err *err);

struct snapmgr_pool_import_opts {
	size_t size;
	const char *as; /* new name */
	bool force;	/* although another host has it active */
	bool no_activate;
};
int snapmgr_pool_import(struct snapmgr *sm, const char *pool,
			const struct snapmgr_pool_import_opts *opts, struct snapmgr_err *err);

struct snapmgr_pool_check_opts {
	size_t size;
	bool repair;
	snapmgr_report_fn *report;
	void *data;
	/* With repair, where thin metadata and catalogue are of different times: "metadata" keeps all
	 * that is in the metadata, "catalogue" deletes from it what the catalogue does not name. */
	const char *accept;
};
/** snapmgr_pool_check() - Return: 0 where clean or all was repaired, else -EUCLEAN (damaged). */
int snapmgr_pool_check(struct snapmgr *sm, const char *pool,
		       const struct snapmgr_pool_check_opts *opts, struct snapmgr_err *err);

/* Takes a text piece by piece. A non-zero answer ends the call and is returned by it. */
typedef int snapmgr_text_fn(const char *text, size_t len, void *data);
/**
 * snapmgr_pool_dump() - the catalogue as JSON, of an active or an inactive pool
 *
 * Everything but operations and messages. Takes no lock of an active pool, and waits for nobody.
 */
int snapmgr_pool_dump(struct snapmgr *sm, const char *pool, snapmgr_text_fn *write, void *data,
		      struct snapmgr_err *err);

struct snapmgr_pool_restore_opts {
	size_t size;
	bool force;		   /* although the pool's metadata has other ids than the dump */
	bool dry_run;		   /* only compare */
	snapmgr_report_fn *report; /* what does not match; nothing of it is ever repaired */
	void *data;
};
/**
 * snapmgr_pool_restore() - give an inactive pool the catalogue of a dump
 * @text: as snapmgr_pool_dump() wrote it; may come from anywhere
 *
 * Changes nothing before all of the dump was found good and was compared with the ids and the
 * transaction of the pool's metadata. A catalogue that can still be read is dumped to the backup
 * folder first. What the dump names and the metadata lacks is in state error afterwards. After a
 * crash in the middle the pool has no catalogue: restore it again.
 *
 * Return: 0; -EUCLEAN (damaged: the dump, or the metadata); -EPROTONOSUPPORT (newer_version); -EINVAL
 * (usage: a dump of another pool); -ESTALE (stale: they differ, and @force is off); -EBUSY (in_use:
 * the pool is active); ...
 */
int snapmgr_pool_restore(struct snapmgr *sm, const char *pool, const char *text, size_t len,
			 const struct snapmgr_pool_restore_opts *opts, struct snapmgr_err *err);

struct snapmgr_pool_destroy_opts {
	size_t size;
	bool dry_run;
	bool force; /* although snapshots are held, or nobody can look whether they are */
};
int snapmgr_pool_destroy(struct snapmgr *sm, const char *pool,
			 const struct snapmgr_pool_destroy_opts *opts, struct snapmgr_err *err);

/* ---- volumes and snapshots ---- */

struct snapmgr_create_opts {
	size_t size;
	uint64_t size_bytes; /* a multiple of the pool's logical block */
	const char *project, *label, *description;
	const struct snapmgr_tag *tags;
	size_t n_tags;
	bool inactive; /* do not map it now, nor with its pool */
	bool guest;
	bool no_revert; /* revert_to_snapshot_support = false */
	const char *const *params;
	size_t n_params;
	/* Contents: a volume as it is now, a snapshot, an undo point, also of another pool, or the path of
	 * a file or device ("/..." or "./..."); then size_bytes 0 is its size. What is not of this pool
	 * is copied, see snapmgr_copy(). */
	const char *from;
};
/**
 * snapmgr_create() - make a volume
 *
 * Where it is made of a snapshot, and in a clone, what the options leave out is the source's: its
 * project, and "guest" where the source's volume has it.
 */
int snapmgr_create(struct snapmgr *sm, const char *spec, const struct snapmgr_create_opts *opts,
		   snapmgr_object_fn *visit, void *data, struct snapmgr_err *err);

struct snapmgr_snapshot_opts {
	size_t size;
	const char *label, *description;
	const struct snapmgr_tag *tags;
	size_t n_tags;
	const char *const *params;
	size_t n_params;
	uint64_t *suspended_ns; /* out, may be NULL: how long the volumes' I/O was paused */
	uint64_t cow_bytes;	/* cow pools: room for what changes afterwards; 0: a fifth of the
				 * volume. At least 4 MiB, at most what all of it wants */
};
/**
 * snapmgr_snapshot() - @n snapshots of different volumes of one pool, all at one instant
 *
 * Or of all volumes of one group, "pool/group@snap"; then the group snapshot is visited first.
 */
int snapmgr_snapshot(struct snapmgr *sm, const char *const *specs, size_t n,
		     const struct snapmgr_snapshot_opts *opts, snapmgr_object_fn *visit, void *data,
		     struct snapmgr_err *err);

/**
 * snapmgr_member_fn - after a revert or undo of a group: the group, its snapshot, and each volume
 * @left_alone: of a volume that was not changed: why; else NULL
 */
typedef int snapmgr_member_fn(const struct snapmgr_object *object, const char *left_alone,
			      void *data);

struct snapmgr_revert_opts {
	size_t size;
	const char *target; /* the volume to revert, of any pool; NULL: the snapshot's own */
	bool latest_only;
	bool no_undo;
	bool online;
	bool remount;
	bool force; /* with online: to a smaller size */
	bool allow_clone;
	bool dry_run;
	const char *strategy; /* NULL: the cheapest */
	const char *const *params;
	size_t n_params;
	snapmgr_member_fn *member; /* of a group; may be NULL */
	void *member_data;
};
struct snapmgr_revert_result {
	/* Of a group: the group, and the group snapshot. Their tags and parts are NULL. */
	struct snapmgr_object volume, snapshot;
	char strategy[16];
	char reason[160]; /* why that strategy */
	uint64_t move_bytes;
	bool in_place;
	bool undo; /* there is a way back */
	uint64_t elapsed_us, suspended_us;
	/* Of a clone: the volume that stays as it was, beside @volume, which is new; else "". */
	char kept[SNAPMGR_NAME_MAX + 1];
};
/**
 * snapmgr_revert() - make a volume read as one of its snapshots, in place
 * @spec: "pool/vol@snap", a snapshot's UUID, or a selector, resolved under the pool's lock
 *
 * The volume keeps its identity, every snapshot is kept, and what it read as until now becomes an
 * undo point. I/O pauses while the tables switch; at every moment, and after any crash, the volume
 * reads wholly as before or wholly as the snapshot. Durable when it returns 0.
 *
 * "pool/group@snap": all volumes that were in the group then and are in it now, by one commit, all or
 * none, also across a crash. Volumes that came into it since, or left it, are left alone.
 *
 * Return: 0; -EBUSY (in_use, bad_state), -ESTALE (not_latest), -ENOENT, -ENOSPC, -EOPNOTSUPP, ...
 */
int snapmgr_revert(struct snapmgr *sm, const char *spec, const struct snapmgr_revert_opts *opts,
		   struct snapmgr_revert_result *ret, struct snapmgr_err *err);

struct snapmgr_undo_opts {
	size_t size;
	bool drop; /* forget the undo point instead; *all* of them where @spec names none */
	bool online, remount, force, dry_run;
	snapmgr_member_fn *member; /* of a group; may be NULL */
	void *member_data;
};
/**
 * snapmgr_undo() - swap the head with "pool/vol" (its newest undo point) or "pool/vol@undo~N"
 *
 * "pool/group": the heads of all volumes that the last revert of the group changed, all or none. It
 * can be done as long as each of them has its undo point of that revert.
 */
int snapmgr_undo(struct snapmgr *sm, const char *spec, const struct snapmgr_undo_opts *opts,
		 struct snapmgr_revert_result *ret, struct snapmgr_err *err);

/** snapmgr_clone() - a new volume with a snapshot's contents; @to is "pool/new", of the same pool. */
int snapmgr_clone(struct snapmgr *sm, const char *from, const char *to,
		  const struct snapmgr_create_opts *opts, snapmgr_object_fn *visit, void *data,
		  struct snapmgr_err *err);

struct snapmgr_copy_opts {
	size_t size;
	const struct snapmgr_create_opts
		*create;  /* of a volume that is not there yet; may be NULL */
	bool must_be_new; /* a volume that is there is not replaced */
	bool full;	  /* byte by byte, also where the pool could share the blocks */
	bool verify;	  /* read back and compare */
	bool resume; /* go on with the same copy that was cut short; and if this one is, keep it for that */
	bool no_undo, online, remount; /* of a volume that is there; as in a revert */
	uint64_t checkpoint_bytes; /* with resume: at most so much is copied again; 0: 256 MiB */
};
struct snapmgr_copy_result {
	char strategy[16]; /* copy, clone (a new volume that shares all blocks), repoint */
	uint64_t moved_bytes, elapsed_us;
	bool undo; /* there is a way back */
};
/**
 * snapmgr_copy() - bring the contents of @from into volume @to, "pool/vol", a new one or one that is there
 * @from: as snapmgr_create_opts.from
 *
 * A volume is copied as it is at one instant, through a momentary snapshot. A new volume is in state
 * creating until all of it is there, and cannot be used before. One that is there is in state reverting
 * and holds what it held before, until it is switched at the end as by a revert; what it held then
 * becomes an undo point. It keeps its size, and is refused where it is smaller than the source. The pools
 * may be of any two drivers; only into a cow pool none that is there can be replaced (unsupported).
 *
 * The pools' locks are free while bytes are copied. snapmgr_open_opts.progress is told how far it is,
 * and so is everybody else (snapmgr_operations()). Where it is stopped, fails, or dies, all that it made
 * goes (of a dead one with the next change to the pool), unless @resume keeps it.
 */
int snapmgr_copy(struct snapmgr *sm, const char *from, const char *to,
		 const struct snapmgr_copy_opts *opts, snapmgr_object_fn *visit, void *data,
		 struct snapmgr_copy_result *ret, struct snapmgr_err *err);

struct snapmgr_list_opts {
	size_t size;
	bool space;	  /* fill exclusive_bytes: reads the metadata, O(mapped) */
	bool undo;	  /* undo points too */
	bool groups_only; /* no volumes and snapshots */
};
/**
 * snapmgr_list() - walk volumes and snapshots: each volume, then its snapshots, oldest first
 * @spec: NULL (every active pool), "pool", "pool/vol" or "pool/group" (its volumes)
 *
 * The groups come behind all volumes, each with its group snapshots. Takes no lock and waits for
 * nobody.
 */
int snapmgr_list(struct snapmgr *sm, const char *spec, const struct snapmgr_list_opts *opts,
		 snapmgr_object_fn *visit, void *data, struct snapmgr_err *err);
/** snapmgr_show() - one volume, snapshot, undo point, group or group snapshot. */
int snapmgr_show(struct snapmgr *sm, const char *spec, snapmgr_object_fn *visit, void *data,
		 struct snapmgr_err *err);

enum snapmgr_extent_kind {
	SNAPMGR_DIFFERS,
	SNAPMGR_LEFT_ONLY, /* the right one has nothing there, or ends before it: it counts as zeroes */
	SNAPMGR_RIGHT_ONLY
};
struct snapmgr_extent {
	uint64_t start_bytes, len_bytes;
	enum snapmgr_extent_kind kind;
};
typedef int snapmgr_extent_fn(const struct snapmgr_extent *extent, void *data);
/* snapmgr_extent_kind_name() - "differs", "left_only", "right_only" */
const char *snapmgr_extent_kind_name(enum snapmgr_extent_kind kind);

struct snapmgr_diff_opts {
	size_t size;
	bool fast; /* read no contents: what the pool does not know to be shared counts as changed */
};
struct snapmgr_diff_result {
	struct snapmgr_object left, right; /* their tags are NULL */
	uint64_t changed_bytes, extents;   /* the sum of all */
	uint64_t read_bytes;		   /* of both, in order to compare */
	uint32_t grain_bytes;		   /* extents are multiples of it, ends apart */
	bool exact;			   /* contents were compared */
};
/**
 * snapmgr_diff() - where two snapshots, undo points or heads of one pool differ
 * @visit: gets the extents, ascending; may be NULL
 * @ret:   filled before the first of them is visited; may be NULL
 *
 * The pool knows which chunks both share. Only the others are read, and compared: so the extents are
 * exactly the differing logical blocks, and cost what has changed since. Nothing is mapped for it but
 * the snapshots of a cow pool. Of a head that is written to meanwhile, take a snapshot first. Holds the pool's lock while it asks
 * the metadata, not while it reads.
 *
 * Return: 0; -EXDEV (usage: two pools); -ESTALE (stale: one of them was deleted, or a head changed,
 * meanwhile); -ECANCELED (usage: progress said so); -EOPNOTSUPP; ...
 */
int snapmgr_diff(struct snapmgr *sm, const char *left, const char *right,
		 const struct snapmgr_diff_opts *opts, snapmgr_extent_fn *visit, void *data,
		 struct snapmgr_diff_result *ret, struct snapmgr_err *err);

/* ---- groups: volumes that are snapshotted and reverted together ---- */

struct snapmgr_group_opts {
	size_t size;
	const char *project, *label, *description;
	const struct snapmgr_tag *tags;
	size_t n_tags;
};
/**
 * snapmgr_group_create() - a group of @n volumes (names, "pool/vol", UUIDs) of one pool
 * @spec: "pool/group"; volumes and groups share one name space
 *
 * A volume is in one group at most. Return: 0; -EEXIST (exists), -ENOENT (not_found), ...
 */
int snapmgr_group_create(struct snapmgr *sm, const char *spec, const char *const *volumes, size_t n,
			 const struct snapmgr_group_opts *opts, snapmgr_object_fn *visit,
			 void *data, struct snapmgr_err *err);
/* snapmgr_group_add(), snapmgr_group_remove() - all @volumes or none; what they hold stays. */
int snapmgr_group_add(struct snapmgr *sm, const char *spec, const char *const *volumes, size_t n,
		      snapmgr_object_fn *visit, void *data, struct snapmgr_err *err);
int snapmgr_group_remove(struct snapmgr *sm, const char *spec, const char *const *volumes, size_t n,
			 snapmgr_object_fn *visit, void *data, struct snapmgr_err *err);
/** snapmgr_group_delete() - forget the group; its volumes and all their snapshots stay. */
int snapmgr_group_delete(struct snapmgr *sm, const char *spec, snapmgr_object_fn *visit, void *data,
			 struct snapmgr_err *err);

struct snapmgr_resize_opts {
	size_t size;
	bool shrink; /* without it a smaller size is refused */
	bool online; /* with shrink: although something has it open */
};
int snapmgr_resize(struct snapmgr *sm, const char *spec, uint64_t size_bytes,
		   const struct snapmgr_resize_opts *opts, snapmgr_object_fn *visit, void *data,
		   struct snapmgr_err *err);
/** snapmgr_rename() - @to is a bare name: of a pool (inactive or active), volume or snapshot. */
int snapmgr_rename(struct snapmgr *sm, const char *spec, const char *to, struct snapmgr_err *err);

struct snapmgr_delete_opts {
	size_t size;
	bool recursive;	     /* a volume with its snapshots */
	bool keep_snapshots; /* a volume without them */
	bool dry_run;	     /* only visit what would go */
};
int snapmgr_delete(struct snapmgr *sm, const char *spec, const struct snapmgr_delete_opts *opts,
		   snapmgr_object_fn *visit, void *data, struct snapmgr_err *err);
int snapmgr_hold(struct snapmgr *sm, const char *spec, bool hold, struct snapmgr_err *err);

/**
 * snapmgr_set() - change one property
 * @key: of a pool: high_water, low_water, reserve (percentages; empty: the default),
 *       error_if_no_space (on or off), store_grow_at (cow; a percentage); of others
 *       label, description, project, undo_keep, guest, autostart, revert_to_snapshot_support, or
 *       tag:KEY (an empty @value removes the tag)
 */
int snapmgr_set(struct snapmgr *sm, const char *spec, const char *key, const char *value,
		struct snapmgr_err *err);
/* snapmgr_set_many() - @n "KEY=VALUE", all or none. */
int snapmgr_set_many(struct snapmgr *sm, const char *spec, const char *const *assignments, size_t n,
		     struct snapmgr_err *err);
int snapmgr_activate(struct snapmgr *sm, const char *spec, snapmgr_object_fn *visit, void *data,
		     struct snapmgr_err *err);
int snapmgr_deactivate(struct snapmgr *sm, const char *spec, struct snapmgr_err *err);

/* ---- quotas ---- */

enum snapmgr_resource {
	SNAPMGR_VOLUMES,
	SNAPMGR_SNAPSHOTS,
	SNAPMGR_VOLUME_BYTES, /* sizes as their users see them, whatever is mapped of them */
	SNAPMGR_SNAPSHOT_BYTES,
	SNAPMGR_RESOURCES
};
#define SNAPMGR_UNLIMITED UINT64_MAX
#define SNAPMGR_UNCHANGED (UINT64_MAX - 1)

/* One owner's limits, and what they are held against. Undo points and groups count for nobody. */
struct snapmgr_quota {
	char pool[SNAPMGR_NAME_MAX + 1];
	char project[SNAPMGR_LABEL_MAX + 1]; /* "": the whole pool, with what has no project */
	struct snapmgr_quota_resource {
		uint64_t limit; /* or SNAPMGR_UNLIMITED */
		uint64_t in_use;
		uint64_t reserved; /* by operations that are under way */
	} resources[SNAPMGR_RESOURCES];
};
typedef int snapmgr_quota_fn(const struct snapmgr_quota *quota, void *data);
/**
 * snapmgr_quota_list() - limits and use, in one consistent view
 * @project: NULL: the whole pool first, then each project that has a limit or owns something; "":
 *	     the whole pool alone
 *
 * Takes no lock and waits for nobody.
 */
int snapmgr_quota_list(struct snapmgr *sm, const char *pool, const char *project,
		       snapmgr_quota_fn *visit, void *data, struct snapmgr_err *err);
struct snapmgr_quota_set_opts {
	size_t size;
	uint64_t limits[SNAPMGR_RESOURCES]; /* or SNAPMGR_UNLIMITED, SNAPMGR_UNCHANGED */
};
/**
 * snapmgr_quota_set() - limit what a project (@project "": a whole pool) may have
 *
 * A limit below what is there takes nothing away: it refuses what would add to it (over_quota).
 */
int snapmgr_quota_set(struct snapmgr *sm, const char *pool, const char *project,
		      const struct snapmgr_quota_set_opts *opts, struct snapmgr_err *err);

/** snapmgr_recover() - finish or undo what dead processes left; @pool NULL: every active pool. */
int snapmgr_recover(struct snapmgr *sm, const char *pool, snapmgr_report_fn *report, void *data,
		    struct snapmgr_err *err);

/**
 * snapmgr_reset_state() - say that a volume or snapshot in a state of error is available
 *
 * The last resort: a new revert, undo and recover are the ways out that mend something. Leaves a
 * message. Return: 0; -EBUSY (bad_state) where it is in no state of error, or runs on something else
 * than the catalogue says; ...
 */
int snapmgr_reset_state(struct snapmgr *sm, const char *spec, struct snapmgr_err *err);

/* What is being changed just now. */
struct snapmgr_operation {
	char uuid[SNAPMGR_UUID_TEXT];
	char pool[SNAPMGR_NAME_MAX + 1];
	char verb[24];
	char object[2 * SNAPMGR_NAME_MAX + 2]; /* "vol", "vol@snap", a group, or the pool */
	char program[17];		       /* "" where its process is dead */
	int pid;
	int64_t started_at_us;
	/* One that copies for long, without the pool's lock; all of this is zero for the others. */
	bool lasting;
	bool dead;	/* its process: it is settled with the next change to the pool, unless... */
	bool resumable; /* ...it waits for the same command again, or to be cancelled */
	bool stopping;	/* somebody asked it to */
	uint64_t done_bytes, todo_bytes, bytes_per_s; /* as far as known */
};
typedef int snapmgr_operation_fn(const struct snapmgr_operation *operation, void *data);
/* snapmgr_operations() - walk those of @pool, NULL: of every active pool. Waits for nobody. */
int snapmgr_operations(struct snapmgr *sm, const char *pool, snapmgr_operation_fn *visit,
		       void *data, struct snapmgr_err *err);

/**
 * snapmgr_cancel() - stop a lasting operation, and undo what it has done
 * @what: its UUID, or the volume that it changes ("pool/vol", or the volume's UUID)
 *
 * Its process does so; it is waited for, as long as for a lock (snapmgr_open_opts.wait_ms). Where that is
 * dead, it is done here. Return: 0; -ENOENT (not_found); -EAGAIN (locked): it has been asked, but has not
 * answered yet.
 */
int snapmgr_cancel(struct snapmgr *sm, const char *what, struct snapmgr_err *err);

/* What happened, kept in the pool: the last thousand or so. Empty strings stand for "none". */
struct snapmgr_message {
	char uuid[SNAPMGR_UUID_TEXT];
	char pool[SNAPMGR_NAME_MAX + 1];
	char level[8]; /* info, warning, error */
	char verb[24]; /* what was being done: revert, undo, delete, recover, monitor ... */
	char code[24]; /* of a failure: snapmgr_code_name() */
	char kind[16]; /* of the object: volume, snapshot, group, pool */
	char object[SNAPMGR_UUID_TEXT];
	char operation[SNAPMGR_UUID_TEXT];
	char project[SNAPMGR_LABEL_MAX + 1]; /* whose object it is */
	char text[SNAPMGR_MESSAGE_MAX];
	int64_t created_at_us, expires_at_us; /* it is shown until then */
};
typedef int snapmgr_message_fn(const struct snapmgr_message *message, void *data);

struct snapmgr_messages_opts {
	size_t size;
	const char *level; /* this one and worse; NULL: all */
	int64_t since_us;  /* not those before it; 0: all */
	bool newest_first;
};
/**
 * snapmgr_messages() - walk what happened, oldest first
 * @spec: NULL (every active pool), "pool", "pool/vol", "pool/group", "pool/vol@snap", or a UUID, also
 *        of what is gone by now
 *
 * Takes no lock and waits for nobody.
 */
int snapmgr_messages(struct snapmgr *sm, const char *spec, const struct snapmgr_messages_opts *opts,
		     snapmgr_message_fn *visit, void *data, struct snapmgr_err *err);

/* Something that a monitor did or noticed; the texts are borrowed for the callback. */
struct snapmgr_event {
	const char *pool;  /* its name */
	const char *level; /* info, warning, error */
	const char *what;  /* pool (came, went), space, mode, garbage, recover, trouble */
	const char *text;
	int64_t at_us;
};
typedef int snapmgr_event_fn(const struct snapmgr_event *event, void *data);

struct snapmgr_monitor_opts {
	size_t size;
	uint32_t interval_ms; /* look at least so often; 0: every five seconds */
	int stop_fd;	      /* it ends once this is readable; 0: never */
};
/**
 * snapmgr_monitor() - watch over active pools, now and whenever device-mapper tells of an event
 * @pool: NULL: every one, also those that come later
 * @visit: a non-zero answer ends it, and is returned
 *
 * Drops what displaced heads and deleted snapshots leave, a bit at a time; finishes or undoes what
 * dead processes left; tells when data, metadata or catalogue pass a mark, and leaves a message.
 * While it waits it holds neither a lock nor a device. A pool that is busy is left for the next time.
 */
int snapmgr_monitor(struct snapmgr *sm, const char *pool, const struct snapmgr_monitor_opts *opts,
		    snapmgr_event_fn *visit, void *data, struct snapmgr_err *err);

/* What a driver can do here, computed from its table. */
struct snapmgr_capability {
	char driver[16];
	char pool[SNAPMGR_NAME_MAX + 1]; /* "" for the driver as such */
	bool snapshot_support;
	bool revert_to_snapshot_support;
	bool create_share_from_snapshot_support;
	bool in_place, online;
	bool diff;
	bool resize;		       /* a volume that is there */
	bool group_revert;	       /* several volumes, all or none */
	bool keep_snapshots;	       /* of a volume that is deleted */
	const char *const *strategies; /* of a revert, cheapest first; NULL-terminated, borrowed */
	const char
		*missing; /* what this machine lacks for it, or for a strategy that a pool has not
			      * therefore; static, NULL: nothing */
};
typedef int snapmgr_capability_fn(const struct snapmgr_capability *cap, void *data);
int snapmgr_capabilities(struct snapmgr *sm, const char *pool, snapmgr_capability_fn *visit,
			 void *data, struct snapmgr_err *err);

/* ---- small helpers for front ends ---- */

/**
 * snapmgr_parse_size() - "10G", "64K", "512MiB", "4096"; powers of 1024; "10KB", signs, fractions,
 * trailing text and anything above INT64_MAX are refused.
 */
int snapmgr_parse_size(const char *text, uint64_t *ret_bytes, struct snapmgr_err *err);

#ifdef __cplusplus
}
#endif
#endif
