/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lab.h - devices, filesystems and processes for the tests of host/, in a guest */
#ifndef LAB_H
#define LAB_H

#include <atf-c.h>
#include <sys/types.h>

#include "snapmgr/host/shost.h"

#define LAB "/tmp/lab" /* what tests mount and make lies here */

/* lab_fresh() - as at the start: nothing mounted, mapped, attached or swapped on. */
void lab_fresh(void);
/* lab_disk() - the @n-th disk of the guest, from 0; its ends are wiped on first use by a test. */
const char *lab_disk(unsigned int n);
/* lab_run() - a shell command that must succeed. */
void lab_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
dev_t lab_devno(const char *path);
/* lab_linear() - a dm device on the whole of @below. Return: its path, static. */
const char *lab_linear(const char *name, const char *below);
/* lab_write() - a file with @text, not synced. */
void lab_write(const char *path, const char *text);
/* lab_read() - up to 63 bytes of a file; "" where there is none. Static. */
const char *lab_read(const char *path);

/* lab_child() - fork @work, which calls lab_ready() and is killed by lab_end(). */
typedef void lab_work_fn(const void *data);
pid_t lab_child(lab_work_fn *work, const void *data);
void lab_ready(void);
void lab_end(pid_t pid);

/* Holders, collected. */
struct lab_holders {
	struct shost_holder v[16];
	size_t n;
};
void lab_holders(const char *device, unsigned int kinds, struct lab_holders *ret);
/* lab_check_held() - exactly one holder of @kind, and it reads @what. */
void lab_check_held(const char *device, unsigned int kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define LAB_KERNEL_KINDS (SHOST_MOUNT | SHOST_SWAP | SHOST_HOLDER | SHOST_LOOP)

#endif
