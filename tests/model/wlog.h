/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * wlog.h - what dm-log-writes recorded, and the disks that a power cut could have left
 *
 * The log has the writes in the order in which they were completed, each flush after the writes that it
 * made durable, and marks. So at any entry it is known what was on the disk for certain, and which
 * writes may or may not have arrived, whole or in part.
 */
#ifndef MODEL_WLOG_H
#define MODEL_WLOG_H

#include "tests/model/model.h"

#define WLOG_FLUSH   1u
#define WLOG_FUA     2u
#define WLOG_DISCARD 4u
#define WLOG_MARK    8u

struct wlog_entry {
	uint64_t at, len; /* bytes; 0 long: a flush of the device that begins at @at or before */
	uint32_t flags;
	uint64_t data_at; /* in the log */
	char mark[32];
};
struct wlog {
	int fd;
	struct wlog_entry *v;
	size_t n;
};
int wlog_read(const char *device, struct wlog *ret, struct model_why *why);
void wlog_free(struct wlog *log);

/* The disk while a log is played: what is durable is on @base_fd. Two devices share it. */
struct wplay {
	const struct wlog *log;
	int base_fd;
	uint64_t split;	 /* bytes; the second device begins there, with a cache of its own */
	size_t next;	 /* entry */
	size_t *pending; /* entries that are not durable, in order */
	size_t n_pending;
};
int wplay_start(struct wplay *play, const struct wlog *log, const char *base, uint64_t split,
		struct model_why *why);
/* wplay_next() - the next entry comes true. */
int wplay_next(struct wplay *play, struct model_why *why);
void wplay_end(struct wplay *play);

enum wplay_how {
	WPLAY_NOTHING, /* of what is not durable has arrived */
	WPLAY_ALL,
	WPLAY_SOME, /* some whole, some not at all, some torn: halves, or sectors here and there */
};
/* wplay_power_cut() - write to @fd (a copy of the base) what has arrived of the pending. */
int wplay_power_cut(const struct wplay *play, int fd, enum wplay_how how, uint64_t *random,
		    struct model_why *why);

#endif
