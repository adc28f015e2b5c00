/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* identity.h - what host/ and its tests share of identity.c */
#ifndef SHOST_IDENTITY_H
#define SHOST_IDENTITY_H

#include "shost.h"

/* shost_stat_parse() - state and start time from the text of /proc/PID/stat. 0 or -EINVAL. */
int shost_stat_parse(const char *text, char *ret_state, uint64_t *ret_start_ticks);

#endif
