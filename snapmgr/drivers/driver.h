/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * driver.h - what a pool can do: one const table of entry points for each kind of pool
 *
 * A slot is NULL when the driver cannot, and the core alone tests it; every capability report is
 * computed from the table. Drivers know kernel objects, not the catalogue: the core hands them ids
 * and sizes, and decides what a commit is. Sizes of volumes are bytes.
 */
#ifndef SM_DRIVER_H
#define SM_DRIVER_H

#include <sys/types.h>

#include "base.h"
#include "dm/sdm.h"
#include "io/sio.h"

struct sm_driver;

/* A piece of a member device. */
struct sm_extent {
	dev_t devno;
	uint64_t start_sectors, len_sectors;
};
struct sm_extents {
	struct sm_extent *v; /* owned by the layout */
	size_t n;
};
struct sm_layout {
	struct sm_extents catalogue, meta, spare, data;
};
void sm_layout_release(struct sm_layout *layout);
static inline void auto_sm_layout_release(struct sm_layout *layout)
{
	sm_layout_release(layout);
}

enum sm_role {
	SM_ROLE_CATALOGUE,
	SM_ROLE_META,
	SM_ROLE_DATA,
	SM_ROLE_POOL,
	SM_ROLE_ZERO,
	SM_ROLE_SPARE, /* mapped for a repair alone */
	SM_ROLE_TAIL,  /* what lies behind a volume's end, while it is wiped */
	SM_ROLES
};

#define SM_POOL_DIR    320
#define SM_FILE_FOLDER ".snapmgr" /* what is ours in it */

/* A pool as its driver sees it. */
struct sm_backend {
	const struct sm_driver *driver;
	struct sm_uuid uuid;
	char name[SNAPMGR_NAME_MAX + 1];
	uint32_t chunk_sectors, block_bytes;
	bool error_if_no_space; /* as the pool's property says; for start and when_full */
	struct sdm_device roles[SM_ROLES]; /* names and UUIDs; filled by sm_backend_init() */
	dev_t pool_dev;			   /* the mapped pool; 0: not known yet */
	struct sdm_cookie cookie;	   /* udev's work on what was mapped and unmapped so far */
	/* Of a pool that is a folder: where it is, absolute and without '/' at its end; else "". */
	char dir[SM_POOL_DIR];
	bool reflink; /* its filesystem shares extents between files */
};
/* sm_backend_init() - names of the pool's own devices; opens nothing. */
void sm_backend_init(struct sm_backend *b, const struct sm_driver *driver,
		     const struct sm_uuid *uuid, const char *name, uint32_t chunk_sectors,
		     uint32_t block_bytes);
/**
 * sm_backend_settle() - wait, bounded, for udev to be done with what was mapped and unmapped
 *
 * Call it without holding a lock. Return: 0 or -ETIMEDOUT (kernel): everything works, links may lag.
 */
int sm_backend_settle(struct sm_backend *b, struct snapmgr_err *err);
/* sm_role_name() - dm name of one of a pool's own devices, as sm_backend_init() gives it. */
void sm_role_name(const char *pool, const struct sm_uuid *uuid, enum sm_role role,
		  char ret[SDM_NAME_MAX]);
/* sm_role_parse() - the pool of a dm UUID "SNAPMGR-UUID-cat"; false where it is not that role's. */
bool sm_role_parse(const char *dm_uuid, enum sm_role role, struct sm_uuid *ret_pool);

/* A volume, snapshot or undo point as its driver sees it. */
struct sm_vdev {
	struct sdm_device dm; /* name, UUID, audience, link */
	uint32_t id;	      /* thin id; or what a driver without dm-thin names contents by */
	uint64_t size_bytes;
	/* Of drivers with stores: */
	bool of_store;	  /* what a store shows: a snapshot, an undo point */
	bool has_stores;  /* somebody keeps what is overwritten in it */
	uint32_t merging; /* the store that it takes on; 0: none; SM_ID_UNKNOWN: who knows */
	char volume[SNAPMGR_NAME_MAX + 1];
	struct sm_uuid uuid;
};
#define SM_ID_UNKNOWN UINT32_MAX
/**
 * sm_vdev_init() - @snapshot NULL: a volume (writable, @guest decides who looks), else read-only
 */
void sm_vdev_init(struct sm_vdev *v, const struct sm_backend *b, const char *volume,
		  const char *snapshot, const struct sm_uuid *uuid, bool guest);

/* sm_vdev_info() - whether it is mapped, and as what: as sdm_info(), or the driver's own word. */
int sm_vdev_info(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_info *ret,
		 struct snapmgr_err *err);
/* sm_vdev_info_by_uuid() - the same, while its name may be on its way to another. */
int sm_vdev_info_by_uuid(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_info *ret,
			 struct snapmgr_err *err);

struct sm_space {
	/* meta_bytes 0: the driver has no such thing */
	uint64_t data_bytes, data_used_bytes, meta_bytes, meta_used_bytes, transaction_id;
	bool fail, read_only, out_of_data, needs_check;
};

struct sm_switch_item { /* one of several mapped volumes that change at one instant */
	const struct sm_vdev *v;
	int claim_fd; /* open O_EXCL, or -1 */
	bool alone;  /* nobody has it open, and it is not claimed; -EAGAIN where that has changed */
	bool online; /* others have it open */
	dev_t devno; /* 0: not known */
	uint32_t old_id; /* the head until now */
	bool forget;	 /* nobody will want that back */
};
struct sm_switch_opts {
	int lock_fd; /* the pool's lock, for the guard */
	uint64_t lock_serial;
	const char *recover_program;
	uint64_t *suspended_ns; /* out, may be NULL */
};
/* sm_switch_opts_of() - for dm/: the same, with the pool, and how long a suspend may wait. */
struct sdm_switch_opts sm_switch_opts_of(const struct sm_backend *b,
					 const struct sm_switch_opts *opts);
/* The commit point; runs while the volume is suspended. -EIO: outcome unknown. */
typedef int sm_commit_fn(void *arg, struct snapmgr_err *err);

struct sm_snap_item { /* one of several snapshots at one instant */
	struct sm_vdev *volume;
	bool active;
	bool open;   /* by anybody */
	bool frozen; /* a filesystem on it is frozen: suspend without lockfs */
	uint32_t new_id;
	int claim_fd; /* the volume's file, with nobody else at it; -1: not needed */
};

/* ---- of drivers whose ids lie where the core says, and whose snapshots are stores ---- */

struct sm_segment { /* of the pool's data; sectors */
	uint64_t start_sectors, len_sectors;
};
struct sm_place { /* where an id lies */
	uint32_t id;
	uint32_t origin;     /* of a store: the id whose overwritten chunks it keeps; 0: a volume */
	uint64_t size_bytes; /* of the volume */
	struct sm_segment *v;
	size_t n;
};
enum sm_blank {
	SM_BLANK_NOTHING, /* what is there counts */
	SM_BLANK_HEAD,	  /* it is to be an empty store */
	SM_BLANK_ALL,	  /* nobody may read what was there */
};
struct sm_store_driver {
	/* Which sectors of the data may be handed out, in steps of *ret_step. */
	int (*room)(const struct sm_backend *b, uint64_t *ret_from, uint64_t *ret_to,
		    uint64_t *ret_step, struct snapmgr_err *err);
	/* What a store needs at most, and at least for @keeps_sectors of chunks to keep. */
	uint64_t (*store_most)(const struct sm_backend *b, uint64_t volume_bytes);
	uint64_t (*store_for)(const struct sm_backend *b, uint64_t keeps_sectors);
	/* Map an id, or make the mapped one as long as @p says. Of a store: what lies beneath. */
	int (*place)(struct sm_backend *b, const struct sm_place *p, enum sm_blank blank,
		     struct snapmgr_err *err);
	/* From here on the placed store keeps what is overwritten in its origin, which nobody writes
	 * to at this moment. Repeatable. */
	int (*arm)(struct sm_backend *b, const struct sm_place *p, struct snapmgr_err *err);
	/* It keeps nothing more. Absent is success. -EBUSY: somebody reads it. */
	int (*disarm)(struct sm_backend *b, uint32_t id, struct snapmgr_err *err);
	/* Of an armed store, or with @merging of the origin that takes it on. -ENOENT: neither. */
	int (*status)(const struct sm_backend *b, uint32_t id, bool merging,
		      struct sdm_store_status *ret, struct snapmgr_err *err);
	/* All that was written to it is on the disks. */
	int (*flush)(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err);
	/**
	 * Make a mapped volume's table what @item->v says; where it is that already, do nothing.
	 * With merging, the kernel begins to merge in the same moment, also where it is not mapped.
	 * Without, it is over: the merging device goes. *ret_settle as of repoint.
	 */
	int (*retable)(struct sm_backend *b, const struct sm_switch_item *item,
		       const struct sm_place *merging, const struct sm_switch_opts *opts,
		       struct sdm_switch **ret_settle, struct snapmgr_err *err);
	/**
	 * Where the kernel has given up merging into @item->v, have it begin again by what is on the
	 * disks; where it has not, do nothing. In between the volume's reads fail, so that nobody else
	 * has it open. Cut short, retable() with the same goes on.
	 */
	int (*again)(struct sm_backend *b, const struct sm_switch_item *item,
		     const struct sm_place *merging, const struct sm_switch_opts *opts,
		     struct snapmgr_err *err);
};

/* ---- of drivers that copy into a head, which takes long ---- */

struct sm_watch { /* of one long copy; zeroed: nobody looks */
	sio_progress_fn *progress;
	sio_checkpoint_fn *checkpoint;
	void *data;
	uint64_t resume_at; /* a checkpoint of an earlier one */
};
/* What a head holds: the contents of @id; where @to is not 0, a mixture with those of @to. */
struct sm_contents {
	uint32_t id, to;
};
/*
 * repoint and snapshot, in steps, each durable when it returns: the core lets go of the pool's lock
 * while keep and fill copy. @fd is the head's, claimed.
 */
struct sm_rewrite_driver {
	/* Does this pool copy at all? Else repoint and snapshot take no time. */
	bool (*lasts)(const struct sm_backend *b);
	/* Bytes that are allocated for what @v holds. */
	int (*room)(const struct sm_backend *b, const struct sm_vdev *v, uint64_t *ret,
		    struct snapmgr_err *err);
	/* What the head holds becomes the contents of @id as well. */
	int (*keep)(const struct sm_backend *b, const struct sm_vdev *v, int fd, uint32_t id,
		    const struct sm_watch *watch, struct snapmgr_err *err);
	/* That again, away. Absent is success. */
	int (*forget)(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err);
	/* The id of a volume that is to be, a second name of its source, gets a file of its own. */
	int (*own)(const struct sm_backend *b, uint32_t id, const struct sm_watch *watch,
		   struct snapmgr_err *err);
	int (*holds)(const struct sm_backend *b, const struct sm_vdev *v, struct sm_contents *ret,
		     struct snapmgr_err *err);
	/* From here on it is what the core says; before fill begins, and after it has ended. */
	int (*mark)(const struct sm_backend *b, const struct sm_vdev *v,
		    const struct sm_contents *contents, struct snapmgr_err *err);
	/* The head's contents and size become those of @id. */
	int (*fill)(const struct sm_backend *b, const struct sm_vdev *v, int fd, uint32_t id,
		    const struct sm_watch *watch, struct snapmgr_err *err);
};

typedef int sm_id_fn(uint32_t id, uint64_t mapped_bytes, uint64_t exclusive_bytes, void *data);

#define SM_NOWHERE UINT64_MAX /* not mapped, or behind the end: reads as zero */
struct sm_diff_extent {
	uint64_t at_bytes, len_bytes;
	uint64_t left_at,
		right_at; /* where the bytes lie in what diff_open() opens, or SM_NOWHERE */
};
struct sm_diff { /* owned; ascending, without overlap */
	struct sm_diff_extent *v;
	size_t n, room;
};
/**
 * sm_diff_add() - one more extent, cut at the ends of both sides, and merged with its neighbour
 * @shared: both sides have the same bytes there: it counts only where one of them has ended
 */
int sm_diff_add(struct sm_diff *diff, struct sm_diff_extent e, bool shared, uint64_t left_bytes,
		uint64_t right_bytes, struct snapmgr_err *err);
void sm_diff_release(struct sm_diff *diff);
static inline void auto_sm_diff_release(struct sm_diff *diff)
{
	sm_diff_release(diff);
}

struct sm_driver {
	const char *name;	       /* as stored in the catalogue */
	const char *const *strategies; /* of a revert, cheapest first, NULL-terminated */
	bool online;		       /* a revert may happen under an open device */
	/* A pool is a folder (sm_backend.dir), its volumes are files, there without being mapped. */
	bool files;

	/* Where the core hands out what ids lie on: then it calls these in place of make, copy, repoint,
	 * and drop takes down what is mapped of an id. NULL: the kernel hands it out. */
	const struct sm_store_driver *stores;

	/* Where repoint and snapshot may have to copy: the same in steps. NULL: they never do. */
	const struct sm_rewrite_driver *rewrite;

	/* Where a revert copies, it fills a new id that is mapped for it beside the head. Else repoint
	 * does all that its strategies need. */
	bool beside;

	/* What this machine, or with @b that pool, lacks for a strategy, or with NULL for anything at
	 * all; a static text, NULL: nothing. The slot NULL: nothing ever. */
	const char *(*lacks)(const struct sm_backend *b, const char *strategy);

	/* Best chunk for @data_bytes, and how much metadata that wants, both in bytes. */
	uint64_t (*chunk_for)(uint64_t data_bytes);
	uint64_t (*meta_for)(uint64_t data_bytes, uint64_t chunk_bytes);

	/* Zero what the kernel takes for "make it new", on mapped devices. After layout is mapped. */
	int (*start)(struct sm_backend *b, const struct sm_layout *layout, bool fresh,
		     struct snapmgr_err *err);
	/* Make (when @fresh) and map thin id 0, which keeps the pool claimed. Else it also lets go of
	 * what a dead process held of the metadata. */
	int (*pin)(struct sm_backend *b, bool fresh, struct snapmgr_err *err);
	/* Unmap the pool's own devices but the catalogue's. Repeatable. */
	int (*stop)(struct sm_backend *b, struct snapmgr_err *err);
	/* Bring a running pool to a larger @layout. */
	int (*grow)(struct sm_backend *b, const struct sm_layout *layout, struct snapmgr_err *err);
	/* Bring a running pool to b->error_if_no_space: what becomes of writes when it is full. NULL:
	 * there is no choice. */
	int (*when_full)(struct sm_backend *b, struct snapmgr_err *err);
	int (*space)(const struct sm_backend *b, bool commit_first, struct sm_space *ret,
		     struct snapmgr_err *err);
	int (*transaction)(const struct sm_backend *b, uint64_t from, uint64_t to,
			   struct snapmgr_err *err);
	/* What the metadata says of itself where its region is mapped and nothing runs: transaction_id
	 * and needs_check. -EUCLEAN (damaged): it is none. */
	int (*peek)(const struct sm_backend *b, struct sm_space *ret, struct snapmgr_err *err);
	/* Every id the metadata holds; @active: from a metadata snapshot, else as peek. O(mapped) for
	 * the bytes. */
	int (*ids)(const struct sm_backend *b, bool active, sm_id_fn *visit, void *data,
		   struct snapmgr_err *err);
	/* Check the metadata with the tools of its makers; @active as above. */
	int (*verify)(const struct sm_backend *b, bool active, snapmgr_report_fn *report,
		      void *data, struct snapmgr_err *err);
	/* What a dead process held of a running pool's metadata. NULL: nothing is ever held. */
	int (*let_go)(const struct sm_backend *b, struct snapmgr_err *err);
	/* Where inactive metadata was found good: the kernel need not refuse it any more. */
	int (*absolve)(const struct sm_backend *b, struct snapmgr_err *err);

	/**
	 * Write damaged inactive metadata anew, into the spare, which is mapped, too; what it has
	 * forgotten of itself is in the arguments. -EUCLEAN (damaged): it cannot be done. NULL: the
	 * driver has no such metadata. Return: 1 where not even its roots were known, so that what
	 * was found may be of an earlier moment; 0 or a negative errno.
	 */
	int (*rebuild)(const struct sm_backend *b, uint64_t transaction, uint64_t data_bytes,
		       struct snapmgr_err *err);
	/* As ids, what damaged inactive metadata still tells of each id; nothing where it does not. */
	int (*recorded)(const struct sm_backend *b, sm_id_fn *visit, void *data,
			struct snapmgr_err *err);

	/* An empty volume. -EEXIST: the id is taken. */
	int (*make)(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err);
	/* @id becomes a writable copy of @from, which nobody writes to. -EEXIST as above. */
	int (*copy)(const struct sm_backend *b, uint32_t from, uint32_t id,
		    struct snapmgr_err *err);
	/* As copy, where @active is a mapped (read-only or idle) device of @from: paused for it. */
	int (*copy_active)(const struct sm_backend *b, const struct sm_vdev *active, uint32_t id,
			   const struct sm_switch_opts *opts, struct snapmgr_err *err);
	/**
	 * What @v still holds from @from_bytes to @to_bytes reads as zero from now on: it lies behind its
	 * end, since it was larger once. @v is mapped or not (then its name is empty or unknown). Durable;
	 * may be repeated. @until_ns: stop then, if not 0. Return: 1 where time was up. NULL: nothing is
	 * ever left there.
	 */
	int (*wipe)(struct sm_backend *b, const struct sm_vdev *v, uint64_t from_bytes,
		    uint64_t to_bytes, uint64_t until_ns, struct snapmgr_err *err);
	/* Forget @id. An absent id is success, so recovery may repeat the call. -EBUSY: mapped. */
	int (*drop)(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err);

	/* Whether @v is mapped, and as which device (name, number). NULL: a dm device by its name. */
	int (*info)(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_info *ret,
		    struct snapmgr_err *err);
	/* -EEXIST: something that is not ours is where a volume of this name would be. NULL: never. */
	int (*name_free)(const struct sm_backend *b, const char *volume, struct snapmgr_err *err);
	/* A volume's contents under its name, where they are not yet (just made, renamed, or somebody
	 * died in between). Repeatable. NULL: contents have no name of their own. */
	int (*place)(const struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err);
	/* Away from their name, to where place and drop find them by their id. */
	int (*withdraw)(const struct sm_backend *b, const struct sm_vdev *v,
			struct snapmgr_err *err);

	/* Links appear once the backend is settled. */
	int (*map)(struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err);
	int (*unmap)(struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err);
	/* A mapped device's name and link; its number and UUID stay. */
	int (*rename)(struct sm_backend *b, const struct sm_vdev *from, const struct sm_vdev *to,
		      struct snapmgr_err *err);
	/* Mapped bytes of an active device, and its state (@ret_info may be NULL). -ENOENT: not mapped. */
	int (*used)(const struct sm_backend *b, const struct sm_vdev *v, struct sdm_info *ret_info,
		    uint64_t *ret, struct snapmgr_err *err);

	/* All @items suspended, then copied to their new ids, then resumed. NULL: no snapshots. */
	int (*snapshot)(const struct sm_backend *b, struct sm_snap_item *items, size_t n,
			const int *thaw_fds, size_t n_thaw, const struct sm_switch_opts *opts,
			struct snapmgr_err *err);
	/**
	 * Point each mapped item->v at its id and size, in place; also how a volume is resized.
	 * @commit runs while all are suspended; where it fails the old tables are back (-EIO apart:
	 * the caller rereads). NULL: no revert in place. *ret_settle: wait for udev with it, unlocked.
	 */
	int (*repoint)(struct sm_backend *b, const struct sm_switch_item *items, size_t n,
		       const struct sm_switch_opts *opts, sm_commit_fn *commit, void *arg,
		       struct sdm_switch **ret_settle, struct snapmgr_err *err);
	/* The id that @v runs on, where that can be told apart from what the catalogue says. Return: 1,
	 * 0 where it tells nothing, or a negative errno. NULL: the id in its live dm-thin table. */
	int (*live)(const struct sm_backend *b, const struct sm_vdev *v, uint32_t *ret_id,
		    struct snapmgr_err *err);
	/* What a dead owner left on @v: see sdm_switch_heal(); afterwards *ret_id, *ret_bytes tell
	 * what runs. -ENOENT: it is not mapped. */
	int (*heal)(const struct sm_backend *b, const struct sm_vdev *v, uint32_t *ret_id,
		    uint64_t *ret_bytes, struct snapmgr_err *err);

	/* A descriptor to read all that @v holds, mapped or not; what it read stays, also where its id is
	 * dropped meanwhile. NULL: through a device that is mapped for it. */
	int (*read_open)(const struct sm_backend *b, const struct sm_vdev *v,
			 struct snapmgr_err *err);
	/* A descriptor to write what @id, which was made and is no volume's yet, shall hold. Its rest reads
	 * as zero. NULL: through a device that is mapped for it. */
	int (*fill_open)(const struct sm_backend *b, uint32_t id, uint64_t size_bytes,
			 struct snapmgr_err *err);
	/* All is written to it and durable: from now on repoint takes it. Repeatable. NULL: it does anyway. */
	int (*fill_end)(const struct sm_backend *b, uint32_t id, struct snapmgr_err *err);

	/**
	 * Where two of the pool may differ, by what their kind of pool remembers and without reading
	 * contents: every difference is in it, and nothing that both share. Neither needs to be mapped;
	 * what is mapped and written to counts as of some moment during the call. NULL: it cannot tell.
	 */
	int (*diff)(const struct sm_backend *b, const struct sm_vdev *left,
		    const struct sm_vdev *right, struct sm_diff *ret, struct snapmgr_err *err);
	/* Where the contents of one of them can be read at the positions that diff told; a descriptor,
	 * read past the page cache, or a negative errno. */
	int (*diff_open)(const struct sm_backend *b, const struct sm_vdev *v,
			 struct snapmgr_err *err);
};

extern const struct sm_driver sm_driver_thin, sm_driver_cow, sm_driver_file;

/* sm_driver_find() - by name; -EOPNOTSUPP (unsupported) names those there are. */
int sm_driver_find(const char *name, const struct sm_driver **ret, struct snapmgr_err *err);
/* sm_driver_at() - the @i-th driver, NULL at the end. */
const struct sm_driver *sm_driver_at(size_t i);

/* sm_driver_reverts() - in place, that is, by whatever means */
static inline bool sm_driver_reverts(const struct sm_driver *driver)
{
	return driver->repoint || driver->stores;
}
/* sm_driver_online() - under an open device; @b NULL: of no certain pool */
static inline bool sm_driver_online(const struct sm_driver *driver, const struct sm_backend *b)
{
	return sm_driver_reverts(driver) && driver->online && (!driver->files || !b || b->reflink);
}
/* sm_driver_resizes() - a volume that is there */
static inline bool sm_driver_resizes(const struct sm_driver *driver)
{
	return driver->repoint || driver->stores;
}
/* sm_driver_reverts_groups() - several volumes, all or none */
static inline bool sm_driver_reverts_groups(const struct sm_driver *driver)
{
	return driver->repoint;
}
/* sm_driver_keeps_snapshots() - of a volume that is deleted: what a store holds is nothing by itself */
static inline bool sm_driver_keeps_snapshots(const struct sm_driver *driver)
{
	return !driver->stores;
}

/* ---- vdev.c: slots that drivers on device-mapper share ---- */

int sm_vdev_map(struct sm_backend *b, const struct sm_vdev *v, const struct sdm_target *target,
		struct snapmgr_err *err);
int sm_vdev_unmap(struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err);
int sm_vdev_rename(struct sm_backend *b, const struct sm_vdev *from, const struct sm_vdev *to,
		   struct snapmgr_err *err);

/* ---- regions.c: what every driver on raw devices shares ---- */

/* sm_region_map() - @extents as one linear device in the role, made or (where it runs) reloaded.
 * Goes by the UUID: a device of that name that is another pool's is -EEXIST, and left alone. */
int sm_region_map(struct sm_backend *b, enum sm_role role, const struct sm_extents *extents,
		  struct snapmgr_err *err);
/*
 * sm_region_pin() - a target that keeps the catalogue's device open while the table it is in lives: as
 * long as somebody has a device open, the kernel keeps what was read of it. Nobody reads through it.
 */
int sm_region_pin(const struct sm_backend *b, uint64_t start_sectors, struct sdm_target *ret,
		  struct snapmgr_err *err);
int sm_region_unmap(struct sm_backend *b, enum sm_role role, struct snapmgr_err *err);
/* sm_node_open() - the node of a dm device, /dev/dm-N or below /dev/mapper; a descriptor or -errno. */
int sm_node_open(const struct sdm_info *info, int flags, struct snapmgr_err *err);
void sm_node_path(const struct sdm_info *info, char *ret, size_t size);

#endif
