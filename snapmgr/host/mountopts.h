/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mountopts.h - from the options that mountinfo shows to those that mount(2) takes */
#ifndef SHOST_MOUNTOPTS_H
#define SHOST_MOUNTOPTS_H

#include "mountinfo.h"

struct shost_mount {
	struct shost_mountinfo info; /* points into the text of struct shost_mounts */
	bool mounted;
};

/* shost_flags_of_mount() - MS_* of "rw,nosuid,noatime"; an access time mode is always among them. */
unsigned long shost_flags_of_mount(const char *flags);
/* shost_flags_of_super() - MS_* of the options of a superblock that are no filesystem's own. */
unsigned long shost_flags_of_super(const char *super);

#define SHOST_DATA_ESSENTIAL   1u /* only what decides what is mounted and what may be written */
#define SHOST_DATA_NO_SUBVOLID 2u /* a subvolume by its name alone */
/* shost_data_of_super() - the filesystem's own options, for mount(2); NULL: out of memory. */
char *shost_data_of_super(const char *super, unsigned int how);

/* shost_has_option() - @name, with or without a value, is in a list of options. */
bool shost_has_option(const char *options, const char *name);
/**
 * shost_subtree() - which folder of what mount(2) brings is mounted: "/" for all of it, or "/dir"
 *
 * A btrfs subvolume is brought by its option. Points into @m.
 */
const char *shost_subtree(const struct shost_mountinfo *m);

#endif
