/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * io_faults.h - what the kernel may answer to asynchronous requests, made to happen
 *
 * A program that is linked with io_faults.o gets the calls of libaio through here (--wrap, in the
 * Makefile). Requests that are to come short really move less, those that are to fail move nothing.
 */
#ifndef IO_FAULTS_H
#define IO_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

enum io_fault_of { OF_READS, OF_WRITES, OF_FLUSHES, IO_FAULT_KINDS };

struct io_faults {
	uint32_t again_every;  /* each so manieth submission is answered by EAGAIN */
	uint32_t most_at_once; /* requests taken by one submission; 0: all */
	uint32_t short_every;  /* each so manieth transfer moves less than asked */
	uint32_t again_later;  /* each so manieth transfer ends with EAGAIN */
	uint32_t signal_every; /* each so manieth wait is ended by EINTR */
	enum io_fault_of of;   /* the fail_at-th of these, and all after it where @for_good, ... */
	uint32_t fail_at;      /* 0: none */
	int error;	       /* ...fails so: -EIO; 1: moves nothing and says 0 */
	bool for_good;
	/* Written by the wrappers: */
	uint32_t submissions, waits, transfers, count[IO_FAULT_KINDS];
	uint32_t in_flight, reads_in_flight, writes_in_flight, most_in_flight, both_in_flight;
	uint64_t waits_with_both; /* so often reads and writes were on their way together */
};
extern struct io_faults io_faults;

/* Called before a request is handed over; NULL: nobody. */
struct iocb;
extern void (*io_faults_submitted)(const struct iocb *cb);
extern void (*io_faults_done)(const struct iocb *cb);

#endif
