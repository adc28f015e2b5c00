/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * pool_info.h - one pool as JSON, as lines for people, as a row of a table
 */
#ifndef CLI_POOL_INFO_H
#define CLI_POOL_INFO_H

#include "include/base.h"
#include "snapmgr/cli/json.h"
#include "snapmgr/cli/table.h"

void pool_json(struct json *j, const struct snapmgr_pool *p);
void pool_lines(FILE *to, const struct snapmgr_pool *p);

#define POOL_COLUMNS 9
void pool_header(struct table *t);
void pool_row(struct table *t, const struct snapmgr_pool *p);

/* pool_property() - one that can be set, or (@key NULL) all; into @j, or as text where that is NULL */
int pool_property(struct json *j, FILE *plain, const struct snapmgr_pool *p, const char *key,
		  struct snapmgr_err *err);

#endif
