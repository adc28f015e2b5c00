/* SPDX-License-Identifier: LGPL-2.1-or-later */
/** walk.h - through a map, and in which pieces; how far it came */
#ifndef SIO_WALK_H
#define SIO_WALK_H

#include <sys/stat.h>

#include "io/end.h"

/* A map's extents, merged, within two positions. */
struct sio_walk {
	struct sio_map *map;
	uint64_t from, to, seen_to;
	uint64_t skipped_bytes; /* of data, before @from */
	struct sio_extent ahead;
	bool has_ahead, ended;
};
void sio_walk_start(struct sio_walk *w, struct sio_map *map, uint64_t from, uint64_t to);
/* Return: 1 and the next, 0 after the last, -errno. */
int sio_walk_next(struct sio_walk *w, struct sio_extent *ret, struct snapmgr_err *err);

/* Where extents are cut into requests: all but rags lie on blocks of both sides and whole pages. */
struct sio_cut {
	uint64_t unit, shift; /* position x is on a boundary where (x + shift) % unit is 0 */
	uint64_t request_bytes;
};
/* sio_cut_make() - a source whose blocks lie athwart the target's goes through the page cache. */
void sio_cut_make(struct sio_cut *ret, struct sio_end *source, struct sio_end *target,
		  uint64_t request_bytes);
/* sio_cut_piece() - the first of an extent: its length, and whether it is a rag. */
uint64_t sio_cut_piece(const struct sio_cut *cut, uint64_t at, uint64_t len, bool *ret_rag);

/* Who is told how it goes. */
struct sio_meter {
	sio_progress_fn *fn;
	void *data;
	struct sio_progress now;
	uint64_t told_ns, rate_ns, rate_from;
	bool stop;
};
void sio_meter_start(struct sio_meter *m, sio_progress_fn *fn, void *data, uint64_t todo);
/* sio_meter_tick() - tell, where it is time or @force; true: stop. */
bool sio_meter_tick(struct sio_meter *m, bool force);
/* sio_meter_skip() - so much was done before. */
void sio_meter_skip(struct sio_meter *m, uint64_t bytes);
int sio_meter_stopped(const struct sio_meter *m, struct snapmgr_err *err);

/* sio_sizes() - of the caller, or the defaults; -EINVAL (usage) where they make no sense. */
int sio_sizes(uint32_t *depth, uint32_t *request_bytes, struct snapmgr_err *err);
/* sio_buffers() - @bytes of aligned memory in one piece; the caller's to free(). */
char *sio_buffers(uint64_t bytes);

#endif
