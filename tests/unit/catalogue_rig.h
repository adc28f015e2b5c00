/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * catalogue_rig.h - a catalogue in a file, for tests
 *
 * The run folder and the region's file lie in the folder of the test. pwrite() and fdatasync() of the
 * whole program go through the rig, which can count, refuse and record them.
 */
#ifndef CATALOGUE_RIG_H
#define CATALOGUE_RIG_H

#include <atf-c.h>

#include "snapmgr/catalogue/catalogue.h"
#include "snapmgr/catalogue/internal.h"
#include "snapmgr/catalogue/rundir.h"

#define REGION "region"

/* The pool that every test has. */
extern struct scat_pool rig_pool;

/* Require success, and show the message otherwise. Pass &rig_err to the call. */
#define MUST(call) rig_must((call), #call, __FILE__, __LINE__)
void rig_must(int r, const char *call, const char *file, int line);
extern struct snapmgr_err rig_err;

void rig_run_dir(void); /* a run folder in the working folder */
void rig_file(const char *path, uint64_t bytes);
void rig_copy(const char *from, const char *to);
/* rig_format() - a fresh region of @bytes with rig_pool in it */
void rig_format(uint64_t bytes);
struct scat *rig_open(bool writable);

/*
 * rig_end() - commit what @r says went well, roll back what did not; answers @r. As in
 * CHANGE(cat, scat_x(cat, ..., &rig_err)): one change in a transaction of its own.
 */
void rig_begin(struct scat *cat);
int rig_end(struct scat *cat, int r);
#define CHANGE(cat, call) (rig_begin(cat), rig_end((cat), (call)))

struct scat_volume rig_volume(struct scat *cat, const char *name); /* inserted and committed */
/* rig_snapshot() - the next snapshot of @v, which becomes the head's parent; inside a transaction */
int rig_snapshot_in(struct scat *cat, struct scat_volume *v, const char *name,
		    struct scat_snapshot *ret);
struct scat_snapshot rig_snapshot(struct scat *cat, struct scat_volume *v, const char *name);
/* rig_sql() - any SQL, all defences down, as an enemy would write it */
void rig_sql(struct scat *cat, const char *sql);
int rig_count_findings(struct scat *cat);

/* What passes through pwrite() and fdatasync(). */
struct rig_op {
	bool sync;
	uint64_t at;
	size_t len;
	unsigned char *data;
	uint32_t begun, durable; /* as they were then */
};
struct rig_io {
	uint64_t writes, syncs;
	int fail_syncs;	 /* refuse this many, with EIO */
	int fail_writes; /* refuse all while above 0, with EIO */
	bool record;
	struct rig_op *ops;
	size_t n_ops, room;
	uint32_t begun, durable; /* commits, for the record's sake */
	int kill_after_writes;	 /* SIGKILL ourselves before the one after so many; 0: never */
};
extern struct rig_io rig_io;

#endif
