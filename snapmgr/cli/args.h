/* SPDX-License-Identifier: GPL-2.0-or-later */
/**
 * args.h - a parser of options that is driven by a const table, which also is the help
 *
 * Long options take their value as --flag=VALUE or --flag VALUE, letters as -oVALUE or -o VALUE;
 * options and operands may be mixed, and "--" ends the options. Values are written through offsets
 * into a structure of the caller, so that the compiler checks the names.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/base.h"

enum arg_kind {
	ARG_FLAG,    /* bool */
	ARG_TEXT,    /* const char *, borrowed from argv; the last one wins */
	ARG_SIZE,    /* uint64_t, bytes */
	ARG_SECONDS, /* uint32_t */
	ARG_LIST,    /* struct arg_list; may be repeated */
};

#define ARG_SECONDS_MAX 4000000u /* in milliseconds still a uint32_t */

struct arg_list {
	const char **items;
	size_t n;
};

struct arg_opt {
	const char *name; /* without its dashes; NULL ends the table */
	char letter;	  /* or 0 */
	enum arg_kind kind;
	size_t offset;	      /* of the value, in the caller's structure */
	const char *value;    /* what the help calls the value */
	const char *help;     /* one line */
	const char *not_with; /* the name of an option that contradicts this one, or NULL */
};

struct args {
	const struct arg_opt *const *tables; /* NULL-terminated; searched in order */
	void *values;
	struct arg_list operands; /* borrowed from argv */
	struct {
		const struct arg_opt *seen[64]; /* for not_with */
		size_t n;
	} given;
};

/**
 * args_parse() - read argv[0..argc) into args->values and args->operands
 * @stop_at_operand: end before the first operand (what a program accepts before its command)
 * @ret_used: how many words were read; may be NULL
 *
 * Return: 0 or -EINVAL (usage). Release with args_release() in both cases.
 */
int args_parse(struct args *args, int argc, char *const argv[], bool stop_at_operand, int *ret_used,
	       struct snapmgr_err *err);
void args_release(struct args *args);

int arg_list_add(struct arg_list *list, const char *item);

/**
 * arg_nearest() - the candidate that somebody who typed @word may have meant
 * @candidate: the best one before, or NULL
 * @best:      its distance; start with ARG_FAR
 */
#define ARG_FAR 1000u
const char *arg_nearest(const char *word, const char *candidate, const char *next, unsigned *best);

#endif
