/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * sdm.h - the kernel's device-mapper, as much of it as snapmgr uses
 *
 * Only this folder talks to libdevmapper. Lengths and offsets are sectors of 512 bytes. Devices are
 * named by their dm name. Errors are filled with code kernel unless said otherwise.
 */
#ifndef SDM_H
#define SDM_H

#include <sys/types.h>

#include "base.h"

#define SDM_NAME_MAX   128 /* with the NUL: dm_ioctl's name[] */
#define SDM_UUID_MAX   129
#define SDM_PARAMS_MAX 512

/* ---- kernel.c, query.c, udev.c: thin wrappers. The fake for unit tests (tests/unit/fake_kernel.h)
 * takes the place of these, of guard*.c and of link.c ---- */

/* Who may look at a device; decides the udev flags of every one of its resumes and its removal. */
enum sdm_audience {
	SDM_INTERNAL, /* nobody: subsystem, disk and other rules are off */
	SDM_SNAPSHOT, /* as internal, but it has a link of ours under /dev/snapmgr */
	SDM_VOLUME,   /* everybody: an ordinary disk */
	SDM_GUEST,    /* a disk whose contents are not the host's: disk rules run (by-uuid), other
		       * rules (LVM autoactivation, ...) do not */
};

struct sdm_target {
	uint64_t start_sectors, len_sectors;
	char type[16]; /* "linear", "thin", "thin-pool", "error" */
	char params[SDM_PARAMS_MAX];
};

struct sdm_device {
	char name[SDM_NAME_MAX];
	char uuid[SDM_UUID_MAX];
	enum sdm_audience audience;
	bool read_only;
	char link[200]; /* "pool/vol" below /dev/snapmgr, or "" for none (see link.c) */
};

struct sdm_info {
	bool exists; /* where false, nothing else is set */
	bool suspended, has_live, has_inactive, read_only;
	uint32_t open_count, major, minor, event_nr;
	char name[SDM_NAME_MAX], uuid[SDM_UUID_MAX];
};

/* A udev transaction: made before, waited for after, on failure too. Zeroed: none. */
struct sdm_cookie {
	uint32_t value;
	bool made;
};

/**
 * sdm_init() - silence the library's own printing, and see that the kernel has device-mapper
 *
 * Cheap to repeat. Return: 0, -ENODEV (unsupported: no device-mapper), -EACCES (permission).
 */
int sdm_init(struct snapmgr_err *err);

/* Absence is no error: ret->exists says it. */
int sdm_info(const char *name, struct sdm_info *ret, struct snapmgr_err *err);
int sdm_info_by_uuid(const char *uuid, struct sdm_info *ret, struct snapmgr_err *err);

typedef int sdm_name_fn(const char *name, const char *uuid, uint32_t major, uint32_t minor,
			void *data);
/* sdm_list() - every device whose dm UUID begins with @uuid_prefix, in one or few ioctls. */
int sdm_list(const char *uuid_prefix, sdm_name_fn *visit, void *data, struct snapmgr_err *err);

/**
 * sdm_events_open() - a descriptor that poll() says is readable once something happened to any device
 *
 * An event of a target (a pool low on space, a pool in another mode), a removal, a renaming: not what.
 * Armed until then; the caller's to close. Return: it; -EOPNOTSUPP (unsupported): before Linux 4.13.
 */
int sdm_events_open(struct snapmgr_err *err);
/* sdm_events_arm() - again; before looking at what happened, so that nothing is missed. */
int sdm_events_arm(int fd, struct snapmgr_err *err);

/**
 * sdm_create() - make a device with its table and resume it
 * @cookie: NULL or a made one
 *
 * All or nothing: a table the kernel refuses leaves no device. -EEXIST (code exists) where the name
 * or UUID is taken.
 */
int sdm_create(const struct sdm_device *dev, const struct sdm_target *targets, size_t n,
	       struct sdm_cookie *cookie, struct snapmgr_err *err);
/* sdm_create_idle() - the same, but its table waits in the inactive slot for a sdm_resume(). */
int sdm_create_idle(const struct sdm_device *dev, const struct sdm_target *targets, size_t n,
		    struct snapmgr_err *err);
/* sdm_load() - @targets into the inactive slot. */
int sdm_load(const struct sdm_device *dev, const struct sdm_target *targets, size_t n,
	     struct snapmgr_err *err);
/* sdm_clear() - empty the inactive slot; an empty one is success. */
int sdm_clear(const char *name, struct snapmgr_err *err);

#define SDM_SKIP_LOCKFS 1u /* do not freeze a filesystem on it (it is frozen, or has none) */
#define SDM_NOFLUSH	2u /* leave queued I/O queued; never before a revert */
/* sdm_suspend() - waits for I/O in flight; -EINTR where a signal came first (it keeps running).
 * @ret_openers (may be NULL): how often it was open once it was suspended. */
int sdm_suspend(const char *name, unsigned int flags, uint32_t *ret_openers,
		struct snapmgr_err *err);
int sdm_resume(const struct sdm_device *dev, struct sdm_cookie *cookie, struct snapmgr_err *err);
/**
 * sdm_resume_unchanged() - where what is in it is as before the suspend
 *
 * To udev that is a change as any writer makes it and no new activation: it starts no program, and
 * nobody (LVM) takes the device for one that just came.
 */
int sdm_resume_unchanged(const char *name, struct snapmgr_err *err);
/* sdm_remove() - absent is success; retried for a second while udev has it open; then -EBUSY. */
int sdm_remove(const struct sdm_device *dev, struct sdm_cookie *cookie, struct snapmgr_err *err);
/* sdm_node_mend() - /dev/mapper/NAME, should whoever made the device have died before; udevd needs no such
 * help. NULL: of every device. */
int sdm_node_mend(const char *name, struct snapmgr_err *err);
/* sdm_rename() - -EEXIST (code exists) where the name is taken; @dev->name is the old one. */
int sdm_rename(const struct sdm_device *dev, const char *to, struct sdm_cookie *cookie,
	       struct snapmgr_err *err);

typedef int sdm_target_fn(const struct sdm_target *target, void *data);
/* sdm_table() - the live table, or with @inactive the loaded one; no I/O is waited for. */
int sdm_table(const char *name, bool inactive, sdm_target_fn *visit, void *data,
	      struct snapmgr_err *err);
/* sdm_status() - status line of the first target; @flush: commit the pool's metadata first; and what
 * sdm_info() says, where @ret_info is not NULL. Return: 0; -ENOENT where there is no such device. */
int sdm_status(const char *name, bool flush, struct sdm_info *ret_info, char *buf, size_t size,
	       struct snapmgr_err *err);
/* sdm_deps() - major:minor of every device below it. */
int sdm_deps(const char *name, int (*visit)(uint32_t major, uint32_t minor, void *data), void *data,
	     struct snapmgr_err *err);
/* sdm_target_known() - has the kernel a target of this type, also as a module? 1, 0, or -errno. */
int sdm_target_known(const char *type, struct snapmgr_err *err);
/* sdm_message() - @name sector 0; the errno is the kernel's own (EEXIST, ENODATA, EOPNOTSUPP...). */
int sdm_message(const char *name, struct snapmgr_err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

bool sdm_udev_running(void);
/* sdm_udev_event() - dm_ioctl's event_nr that carries @audience's flags and no cookie. */
uint32_t sdm_udev_event(enum sdm_audience audience);
/* sdm_cookie_make() - where no udevd runs, makes none and succeeds. */
int sdm_cookie_make(struct sdm_cookie *cookie, struct snapmgr_err *err);
/* sdm_cookie_wait() - by polling, at most @timeout_ms, then -ETIMEDOUT; sooner where udevd has died
 * meanwhile. The cookie is gone after. */
int sdm_cookie_wait(struct sdm_cookie *cookie, uint32_t timeout_ms, struct snapmgr_err *err);

/* ---- link.c: /dev/snapmgr ---- */

/**
 * sdm_link_announce() - before a device is made or renamed: tell our udev rule its link
 *
 * Writes /run/snapmgr/udev/DM_UUID, which the rule imports (no process is spawned for it). With no
 * link, removes the file.
 */
int sdm_link_announce(const struct sdm_device *dev, struct snapmgr_err *err);
/* sdm_link_settle() - after: where no udevd runs, make (or with @gone remove) the link itself. */
int sdm_link_settle(const struct sdm_device *dev, bool gone, struct snapmgr_err *err);
/* sdm_link_announced() - the link that was announced for a dm UUID; -ENOENT: none was. */
int sdm_link_announced(const char *dm_uuid, char ret[200], struct snapmgr_err *err);
/**
 * sdm_link_move() - another link for a device that keeps its name
 *
 * Where a udevd runs it is told by a synthetic event, and waited for, a few seconds at most.
 */
int sdm_link_move(const struct sdm_device *from, const struct sdm_device *to,
		  struct snapmgr_err *err);
/* sdm_link_forget() - after removal: the announcement, the link, and an empty folder. */
void sdm_link_forget(const struct sdm_device *dev);

/* ---- thin.c: the thin-pool and thin targets' words ---- */

struct sdm_pool_table {
	char meta_dev[SDM_NAME_MAX], data_dev[SDM_NAME_MAX]; /* dm names, or "major:minor" */
	uint64_t data_sectors, low_water_chunks;
	uint32_t chunk_sectors;
	bool error_if_no_space; /* else writes to a full pool are queued for 60 s */
};
struct sdm_pool_status {
	uint64_t transaction_id;
	uint64_t meta_used, meta_total; /* blocks of 4096 bytes */
	uint64_t data_used, data_total; /* chunks */
	uint64_t held_root;		/* metadata snapshot, 0: none */
	bool fail, read_only, out_of_data, needs_check;
};
/* Discards are passed down; zeroing is on. */
void sdm_pool_target(const struct sdm_pool_table *pool, struct sdm_target *ret);
/* @pool_dev: dm name of the pool; the thin's length is @sectors. */
void sdm_thin_target(const char *pool_dev, uint32_t id, uint64_t sectors, struct sdm_target *ret);
int sdm_pool_status(const char *pool_dev, bool flush, struct sdm_pool_status *ret,
		    struct snapmgr_err *err);
/* sdm_thin_status() - mapped sectors of an active thin. */
int sdm_thin_status(const char *name, struct sdm_info *ret_info, uint64_t *ret_mapped_sectors,
		    struct snapmgr_err *err);
/* sdm_thin_mapped_end() - the first sector behind all that an active thin maps, whatever its length; 0: it
 * maps nothing. -ENOENT: there is no such device. */
int sdm_thin_mapped_end(const char *name, uint64_t *ret_sectors, struct snapmgr_err *err);
/* sdm_thin_live_id() - the thin id in the live table; -ENOENT where it has none. */
int sdm_thin_live_id(const char *name, uint32_t *ret_id, uint64_t *ret_sectors,
		     struct snapmgr_err *err);
int sdm_thin_create(const char *pool_dev, uint32_t id, struct snapmgr_err *err);
/* sdm_thin_snap() - @origin must be inactive or suspended. */
int sdm_thin_snap(const char *pool_dev, uint32_t id, uint32_t origin, struct snapmgr_err *err);
/* sdm_thin_delete() - Return: 0; 1 where there is no such id, so that recovery may repeat it; or -errno */
int sdm_thin_delete(const char *pool_dev, uint32_t id, struct snapmgr_err *err);
int sdm_pool_transaction(const char *pool_dev, uint64_t from, uint64_t to, struct snapmgr_err *err);
int sdm_meta_snap(const char *pool_dev, bool reserve,
		  struct snapmgr_err *err); /* release: none held is success */

/* ---- cow.c: the words of linear, snapshot-origin, snapshot and snapshot-merge ---- */

void sdm_linear_target(dev_t dev, uint64_t from_sectors, uint64_t start_sectors,
		       uint64_t len_sectors, struct sdm_target *ret);
void sdm_origin_target(dev_t origin, uint64_t len_sectors, struct sdm_target *ret);
/* @merge: not a snapshot, but the origin, which takes on what the store holds */
void sdm_snapshot_target(dev_t origin, dev_t store, uint32_t chunk_sectors, uint64_t len_sectors,
			 bool merge, struct sdm_target *ret);

enum sdm_store_state {
	SDM_STORE_VALID,
	SDM_STORE_LOST, /* it was full when something had to be kept in it */
	SDM_STORE_MERGE_FAILED,
};
struct sdm_store_status {
	enum sdm_store_state state;
	uint64_t used_sectors, total_sectors; /* the metadata's are among those used */
	uint64_t metadata_sectors;
};
/* sdm_store_status() - of a device with a snapshot or snapshot-merge target. */
int sdm_store_status(const char *name, struct sdm_store_status *ret, struct snapmgr_err *err);

/* ---- switch.c, guard.c: suspend, act, resume, with somebody who resumes if we die ---- */

struct sdm_switch;

struct sdm_switch_device {
	const struct sdm_device *dev;	 /* borrowed until sdm_switch_free() */
	const struct sdm_target *target; /* loaded into the inactive slot; NULL: only suspended */
	unsigned int suspend_flags;	 /* SDM_SKIP_LOCKFS or 0 */
	bool online; /* somebody else has it open: purge the page cache while suspended, retry */
	bool flush;  /* no page of the old contents may stay in its cache: see to that through... */
	int flush_fd;	 /* ...the device, open O_EXCL */
	dev_t flush_dev; /* its number; 0: look */
	/* Nobody has it open but the claim, so no I/O is on its way and its suspend cannot wait. Who opens
	 * it in that moment, and hangs, makes this hang too: until the pool fails what it has queued. */
	bool idle;
	bool alone; /* nobody at all has it open; who has once it is suspended: -EAGAIN */
};
struct sdm_switch_opts {
	bool uevent;	     /* resume with a cookie; needed where the contents or size change */
	bool timed;	     /* somebody will ask for sdm_switch_suspended_ns() */
	uint32_t timeout_ms; /* of the suspend; 0: 5000 */
	const int *thaw_fds; /* filesystems to thaw (FITHAW) by whoever resumes; borrowed */
	size_t n_thaw;
	int lock_fd;	      /* the guard keeps this open until it has resumed; -1: none */
	uint64_t lock_serial; /* of that descriptor, so that it is handed over once; 0: each time */
	const char *recover_program; /* run by the guard after it resumed: PROGRAM recover @pool */
	const char *pool;
};
/**
 * sdm_switch_prepare() - all that can fail or block: tables loaded, cookies made, memory locked,
 * guard forked (holding nothing but its pipe, dm's control device, @lock_fd and @thaw_fds)
 *
 * Crash: the guard, or later sdm_switch_heal(), clears the inactive slot and resumes.
 */
int sdm_switch_prepare(const struct sdm_switch_device *devs, size_t n,
		       const struct sdm_switch_opts *opts, struct sdm_switch **ret,
		       struct snapmgr_err *err);
/**
 * sdm_switch_suspend() - suspend all, in order, under a timer; signals are blocked from here to the
 * resume. On failure everything is running again on its old table and the inactive slots are clear.
 *
 * Return: 0; -ETIMEDOUT (in_use: queued writes); -EBUSY (in_use: page cache would not come clean, or
 * a frozen filesystem).
 */
int sdm_switch_suspend(struct sdm_switch *sw, struct snapmgr_err *err);
/**
 * sdm_switch_committing() - who dies from here to sdm_switch_committed() may have committed or not: its
 * guard asks the recovery program, with all suspended, for a bounded time. Cannot fail.
 */
void sdm_switch_committing(struct sdm_switch *sw);
/* sdm_switch_committed() - tell the guard that the new tables are the truth now. Cannot fail. */
void sdm_switch_committed(struct sdm_switch *sw);
/* sdm_switch_resume() - resume all into what is loaded, thaw, unblock signals, dismiss the guard. */
int sdm_switch_resume(struct sdm_switch *sw, struct snapmgr_err *err);
/* sdm_switch_back() - clear the inactive slots, resume the old tables, thaw. Harmless to repeat. */
void sdm_switch_back(struct sdm_switch *sw);
uint64_t sdm_switch_suspended_ns(const struct sdm_switch *sw);
/* sdm_switch_settle() - wait for udev, bounded; call it without holding a lock. */
int sdm_switch_settle(struct sdm_switch *sw, uint32_t timeout_ms, struct snapmgr_err *err);
/* sdm_release() - end the guard processes that idle; the next switch would start one. */
void sdm_release(void);
/* sdm_switch_free() - NULL is fine; implies sdm_switch_back() where still suspended. */
void sdm_switch_free(struct sdm_switch *sw);
DEFINE_AUTO(struct sdm_switch *, sdm_switch_free);

/**
 * sdm_switch_heal() - what a dead owner left on one device: a suspended one is resumed, into its
 * inactive table where @forward, else that is cleared first; a running one is cleared
 *
 * Return: 1 where anything was done, 0 where there was nothing, or a negative errno.
 */
int sdm_switch_heal(const struct sdm_device *dev, bool forward, struct snapmgr_err *err);

#endif
