/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * sys.h - reading /proc and /sys, for host/ alone
 *
 * Every file here is small or grows with the machine, none blocks, none is written.
 */
#ifndef SHOST_SYS_H
#define SHOST_SYS_H

#include <dirent.h>
#include <sys/types.h>

#include "base.h"

#define SHOST_KNAME 64 /* bytes of a block device's name in sysfs, e.g. "dm-3", "cciss!c0d0" */

static inline void shost_close_dir(DIR *d)
{
	if (d)
		(void)closedir(d);
}
DEFINE_AUTO(DIR *, shost_close_dir);

/* shost_dir() - open a folder below @dirfd (or AT_FDCWD) for reading; NULL and errno on failure. */
DIR *shost_dir(int dirfd, const char *path);
/* shost_next() - the next entry of a folder but "." and ".."; NULL at the end. */
const char *shost_next(DIR *dir);

/* shost_read_text() - a small file without its last newline, cut at @size; length or -errno. */
ssize_t shost_read_text(int dirfd, const char *path, char *ret, size_t size);
/* shost_read_number() - a file that holds one number; @otherwise where it cannot be read. */
uint64_t shost_read_number(int dirfd, const char *path, uint64_t otherwise);
/* shost_read_file() - a whole file of any length, NUL-terminated; caller frees. 0 or -errno. */
int shost_read_file(const char *path, char **ret);

/* shost_sys_open() - the folder of a block device in sysfs; descriptor or -errno. */
int shost_sys_open(dev_t devno);
/* shost_sys_kname() - its name there. 0 or -errno. */
int shost_sys_kname(dev_t devno, char ret[SHOST_KNAME]);
/* shost_sys_devno() - the number in @path's file "dev"; 0 where there is none. */
dev_t shost_sys_devno(int dirfd, const char *path);
/* shost_sys_dm() - file "dm/@what" (name, uuid) of a device's folder; "" where it is no dm device. */
void shost_sys_dm(int dirfd, const char *what, char *ret, size_t size);

/* shost_rdev() - the device that a path is a node of; 0 where it is none. */
dev_t shost_rdev(const char *path);
/* shost_open_node() - open a block device by number, close-on-exec; descriptor or -errno. */
int shost_open_node(dev_t devno, int flags);

/* shost_pid_name() - the name of a process, printable; "?" where it is gone. */
void shost_pid_name(int32_t pid, char ret[32]);
/* shost_path_below() - @path is @folder or something in it. */
bool shost_path_below(const char *path, const char *folder);
/* shost_unescape() - "\040" to " ", in place: how /proc writes blanks and backslashes. */
void shost_unescape(char *text);

/* shost_fail() - sm_fail() with the code that fits @errnum: permission, not_found or io. */
int shost_fail(struct snapmgr_err *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
