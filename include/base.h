/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * base.h - what every room of the library shares: errors, cleanup, UUIDs, times, text
 *
 * Internal; never installed. Code behind it: snapmgr/base/.
 */
#ifndef SM_BASE_H
#define SM_BASE_H

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "failpoint.h"
#include "snapmgr.h"

/* AUTO(fn) TYPE v: fn(v) runs when v leaves scope. DEFINE_AUTO names the destructor once. */
#define AUTO(fn) __attribute__((cleanup(auto_##fn)))
#define DEFINE_AUTO(type, fn)                 \
	static inline void auto_##fn(type *p) \
	{                                     \
		fn(*p);                       \
	}                                     \
	struct sm_require_semicolon

static inline void sm_close_fd(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}
static inline void sm_close_file(FILE *f)
{
	if (f)
		(void)fclose(f);
}
static inline void auto_free(void *p)
{
	free(*(void **)p);
}
DEFINE_AUTO(int, sm_close_fd);
DEFINE_AUTO(FILE *, sm_close_file);

#define SM_SECTOR   512u
#define SM_ARRAY(a) (sizeof(a) / sizeof((a)[0]))
#define SM_KIB	    (UINT64_C(1) << 10)
#define SM_MIB	    (UINT64_C(1) << 20)
#define SM_GIB	    (UINT64_C(1) << 30)
#define SM_TIB	    (UINT64_C(1) << 40)
#define SM_RUN_DIR  "/run/snapmgr"
#define SM_DEV_DIR  "/dev/snapmgr"
#define SM_DM_UUID  "SNAPMGR-" /* what every dm UUID of ours begins with */

/**
 * sm_fail() - describe a failure, once, in the frame that knows its subject
 * @errnum: positive errno (a negative one is taken as its positive); 0 becomes EIO
 *
 * The text says what failed, quoting the subject, with no program name. For the codes io, kernel and
 * permission ": strerror(errnum)" is appended; with the others the text says the cause itself.
 * A NULL @err is fine. Return: -errnum.
 */
int sm_fail(struct snapmgr_err *err, enum snapmgr_code code, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
int sm_nomem(struct snapmgr_err *err);

/* A UUID in binary. All zeroes means none. */
struct sm_uuid {
	uint8_t b[16];
};
void sm_uuid_make(struct sm_uuid *u); /* random, version 4 */
void sm_uuid_text(const struct sm_uuid *u, char text[SNAPMGR_UUID_TEXT]);
/* sm_uuid_parse() - 36 characters, either case; false where @text is no UUID. */
bool sm_uuid_parse(const char *text, struct sm_uuid *ret);
bool sm_uuid_equal(const struct sm_uuid *a, const struct sm_uuid *b);
bool sm_uuid_is_null(const struct sm_uuid *u);

int64_t sm_now_us(void); /* CLOCK_REALTIME */
uint64_t sm_monotonic_ns(void);
uint32_t sm_crc32c(uint32_t crc, const void *data, size_t len); /* start with 0 */

/* sm_copy_text() - bounded copy, always terminated; -ENAMETOOLONG where it was cut. */
int sm_copy_text(char *to, size_t size, const char *from);
/* sm_utf8_length() - bytes of the first character (1 for NUL); 0 where it is not valid UTF-8. */
size_t sm_utf8_length(const char *text);
/* sm_utf8_valid() - valid UTF-8 without control characters. */
bool sm_utf8_valid(const char *text);

/**
 * sm_name_check() - the rule for names of pools, volumes and snapshots
 * @what: "pool name", for the message
 *
 * Return: 0 or -EINVAL (usage) with the reason.
 */
int sm_name_check(const char *what, const char *name, struct snapmgr_err *err);

/* "pool/vol@snap" taken apart; a part that is not there is "". */
struct sm_spec {
	char pool[SNAPMGR_NAME_MAX + 1]; /* a name or a UUID as text */
	char volume[SNAPMGR_NAME_MAX + 1];
	char snapshot[SNAPMGR_NAME_MAX + 1]; /* name, UUID, "latest~2", "undo~1" */
};
/**
 * sm_spec_parse() - syntax only: a name's form is checked, its existence is not
 *
 * A bare UUID lands in @pool: it may mean a pool, a volume or a snapshot.
 */
int sm_spec_parse(const char *text, struct sm_spec *ret, struct snapmgr_err *err);
/**
 * sm_selector_parse() - "latest", "latest~2", "undo", "undo~1"
 * @word: "latest" or "undo"
 * Return: true and the number behind ~ (0 without one) where @text is that selector.
 */
bool sm_selector_parse(const char *text, const char *word, uint32_t *ret_back);

/* sm_program_run() - run argv[0] with no shell, stdin /dev/null; stdout+stderr into @out (cut). */
int sm_program_run(const char *const argv[], char *out, size_t out_size, struct snapmgr_err *err);
bool sm_program_found(const char *name); /* in PATH */
/**
 * sm_program_lines() - the same, but @line gets each line of what it says, however much that is
 *
 * After a non-zero answer no more lines are handed out; where the program itself succeeds, the answer
 * is returned when it has ended.
 */
typedef int sm_line_fn(const char *line, void *data);
int sm_program_lines(const char *const argv[], sm_line_fn *line, void *data,
		     struct snapmgr_err *err);

/**
 * sm_signals_hold() - whatever would end or stop this thread waits until sm_signals_release()
 *
 * Around what must not be left half done and does not last long. Faults and SIGKILL do not wait.
 */
void sm_signals_hold(sigset_t *ret_before);
void sm_signals_release(const sigset_t *before);

/**
 * sm_fd_private() - a forked child (fork(), no exec) gets /dev/null in its place
 * sm_fd_public() - before it is closed
 *
 * For descriptors with open-file-description locks: a child's copy would hold them when we are dead.
 */
void sm_fd_private(int fd);
void sm_fd_public(int fd);
/* sm_map_shared() - of @fd, writable; whoever inherits the mapping keeps no lock of @fd. NULL: errno. */
void *sm_map_shared(int fd, size_t len, off_t at);

/* sm_mkdir_p() - make a directory (and its parents) with @mode; existing ones are fine. */
int sm_mkdir_p(const char *path, unsigned int mode, struct snapmgr_err *err);

#endif
