/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * pool_lab.h - a fresh pool for each test in a guest, contents that can be told apart, and what is
 * true of a pool at rest
 *
 * A test starts with lab_up(): whatever an earlier one left, mounts and suspended devices included,
 * is gone, and pool "p" is there and empty. What fails in here fails the test.
 */
#ifndef POOL_LAB_H
#define POOL_LAB_H

#include <atf-c.h>
#include <sys/types.h>

#include "base.h"
#include "dm/sdm.h"

#define LAB "/tmp/lab" /* files and mount points of tests lie here */

/* What a guard runs after its owner's death, or NULL; for handles opened from then on. */
extern const char *lab_recover_program;
extern struct snapmgr *lab;		      /* made by lab_up() */
extern char lab_message[SNAPMGR_MESSAGE_MAX]; /* of the last LAB_REFUSED */
extern char lab_warnings[4096];		      /* all that the handle warned of, a line each */

/* LAB_DO() - a call of the library that must succeed; it passes &err. */
#define LAB_DO(call)                                                                   \
	do {                                                                           \
		struct snapmgr_err err = { .message = "" };                            \
		int lab_r = (call);                                                    \
		ATF_REQUIRE_EQ_MSG(0, lab_r, "%s: %d: %s", #call, lab_r, err.message); \
	} while (0)
/* LAB_REFUSED() - a call that must fail with this code, and say why in lab_message. */
#define LAB_REFUSED(want, call)                                                           \
	do {                                                                              \
		struct snapmgr_err err = { .message = "" };                               \
		int lab_r = (call);                                                       \
		ATF_REQUIRE_MSG(lab_r < 0, "%s succeeded", #call);                        \
		ATF_REQUIRE_EQ_MSG(want, err.code, "%s: %s: %s", #call,                   \
				   snapmgr_code_name(err.code), err.message);             \
		ATF_CHECK_EQ_MSG(lab_r, -err.errnum, "%d is not %d", lab_r, -err.errnum); \
		(void)sm_copy_text(lab_message, sizeof(lab_message), err.message);        \
	} while (0)
/* LAB_SAYS() - the last refusal's message has this in it. */
#define LAB_SAYS(text) \
	ATF_CHECK_MSG(strstr(lab_message, text), "'%s' is not in: %s", text, lab_message)

/* ---- the guest ---- */

void lab_clean(void); /* nothing mounted, mapped, attached; no signature on a disk */
void lab_up(void);    /* lab_clean(), pool "p" on the first two disks, a handle */
/* lab_up_small() - the same on one device of @bytes, a part of the first disk. */
void lab_up_small(uint64_t bytes);
void lab_reopen(void); /* a new handle, e.g. in a forked child */
/* lab_forget() - every dm device taken away as a reboot would, and /run emptied; disks stay. */
void lab_forget(void);
const char *lab_disk(unsigned int n); /* the @n-th of the guest, from 0 */
/* lab_run() - a shell command that must succeed. */
void lab_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* lab_child() - fork @work, which calls lab_ready() and is ended by lab_end(), or by our end. */
typedef void lab_work_fn(void *data);
pid_t lab_child(lab_work_fn *work, void *data);
void lab_ready(void);
void lab_end(pid_t pid);
void lab_sleep_ms(unsigned int ms);
/* lab_random() - the same numbers in every run, from a state that starts as the seed. */
uint64_t lab_random(uint64_t *state);

/* ---- objects ---- */

void lab_create(const char *spec, uint64_t bytes);
void lab_snapshot(const char *spec);
void lab_revert(const char *spec);			     /* with no options */
void lab_show(const char *spec, struct snapmgr_object *ret); /* its tags are NULL */
bool lab_exists(const char *spec);
size_t lab_undo_points(const char *volume);
/* lab_node() - path of an active object's device, by its dm name. Static, of the last four calls. */
const char *lab_node(const char *spec);
void lab_dm(const char *spec, struct sdm_info *ret);

/* ---- contents ---- */

#define LAB_DIRECT 1u /* past the page cache; @at and @len multiples of 4096 */
#define LAB_ASYNC  2u /* no fsync at the end */
/* lab_write() - a pattern that @seed and the position make, other than that of every other seed. */
void lab_write(const char *node, uint64_t at, uint64_t len, uint64_t seed, unsigned int how);
void lab_pwrite(int fd, uint64_t at, uint64_t len, uint64_t seed);
/* lab_holds() - does it read as that pattern? */
bool lab_holds(const char *node, uint64_t at, uint64_t len, uint64_t seed, unsigned int how);
bool lab_reads(int fd, uint64_t at, uint64_t len, uint64_t seed);
/* lab_sum() - of the whole device, past the page cache; differs also where only the size does. */
uint64_t lab_sum(const char *node);
/* lab_sum_of() - of a volume, snapshot or undo point, which is activated for it where it is not. */
uint64_t lab_sum_of(const char *spec);

/* ---- at rest ---- */

/* lab_check_rest() - nothing suspended, no inactive table, every state available, pool check clean. */
void lab_check_rest(void);

#endif
