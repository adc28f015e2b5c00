/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * fake_kernel.h - a device-mapper in memory, for unit tests that need no kernel
 *
 * It takes the place of dm/kernel.c, query.c, udev.c, guard.c and link.c: a test that
 * is linked with $(FAKE_KERNEL) of the Makefile has it. It has devices with a live and an inactive table, thin pools with ids, and keeps the rules
 * that the kernel keeps (an id in use cannot be deleted, a device below another cannot be removed, ...).
 * What a device holds is one number: fake_kernel_write() and fake_kernel_read() stand for I/O.
 *
 * Each call is recorded as one line, by dm names: "create NAME TYPE PARAMS", "load NAME TYPE PARAMS",
 * "clear NAME", "suspend NAME", "resume NAME", "remove NAME", "rename NAME TO", "message NAME TEXT",
 * "announce NAME LINK", "link NAME LINK", "unlink NAME LINK", "arm NAME...", "committed", "dismiss",
 * "abandon". What only asks is not recorded, but can be made to fail: "info NAME", "list", "table
 * NAME", "status NAME", "deps NAME".
 */
#ifndef FAKE_KERNEL_H
#define FAKE_KERNEL_H

#include "dm/sdm.h"

/* fake_kernel_reset() - as after a boot: no devices, nothing recorded, no failures wanted. */
void fake_kernel_reset(void);
/* fake_kernel_reboot() - as after a reboot: the devices go, thin ids and what they hold stay. */
void fake_kernel_reboot(void);

/* fake_kernel_fail() - the @nth call (from 1) from now whose line matches the glob @pattern fails. */
void fake_kernel_fail(const char *pattern, unsigned int nth, int errnum);
/* fake_kernel_before() - @hook sees each line before it is carried out; it may leave by longjmp(). */
void fake_kernel_before(void (*hook)(const char *line, void *data), void *data);
/* fake_kernel_owner_dies() - what an armed guard does then. */
void fake_kernel_owner_dies(void);

const char *fake_kernel_log(void); /* all lines, each with a newline */
void fake_kernel_log_clear(void);
unsigned int fake_kernel_count(const char *pattern); /* lines that match */
const char *fake_kernel_last_message(void); /* "create_snap 9 3"; "" where there was none */
/* What a careful driver never does, such as a snapshot of a running origin; "" where nothing. */
const char *fake_kernel_violations(void);

bool fake_kernel_exists(const char *name);
bool fake_kernel_is_suspended(const char *name);
/* fake_kernel_open() - somebody opens (or with a negative @by closes) the device. */
void fake_kernel_open(const char *name, int by);
void fake_kernel_write(const char *name, uint64_t value);
uint64_t fake_kernel_read(const char *name);
bool fake_kernel_has_thin(const char *pool, uint32_t id);
unsigned int fake_kernel_thins(const char *pool); /* how many ids there are */
/* fake_kernel_set_status() - what the device's status line says from now; NULL: its own again. */
void fake_kernel_set_status(const char *name, const char *line);
/* fake_kernel_set_udev() - whether a udevd runs; cookies that nobody waited for are counted. */
void fake_kernel_set_udev(bool running);
unsigned int fake_kernel_cookies(void);

#endif
