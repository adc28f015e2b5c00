/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an owner may have: held against what the rows say, before anything is changed. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/core/core.h"

/* ---- the check ---- */

static const struct {
	const char *what, *option;
	bool bytes;
} resources[SNAPMGR_RESOURCES] = {
	[SNAPMGR_VOLUMES] = { "volumes", "volumes", false },
	[SNAPMGR_SNAPSHOTS] = { "snapshots", "snapshots", false },
	[SNAPMGR_VOLUME_BYTES] = { "the size of volumes", "volume-size", true },
	[SNAPMGR_SNAPSHOT_BYTES] = { "the size of snapshots", "snapshot-size", true },
};

#define AMOUNT 24

/* As the command line takes it, exactly: "10G", "1536M", "513". */
static const char *amount_text(uint64_t n, bool bytes, char to[AMOUNT])
{
	static const char units[] = "KMGTPE";
	int unit = -1;

	while (bytes && n && unit < 5 && n % 1024 == 0) {
		n /= 1024;
		unit++;
	}
	(void)snprintf(to, AMOUNT, "%" PRIu64 "%.*s", n, unit >= 0, unit >= 0 ? units + unit : "");
	return to;
}

/* Nothing that a shell would take for more than a word: the message is there to be copied. */
static bool is_word(const char *text)
{
	return *text != '-' && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					    "0123456789._+-") == strlen(text);
}

struct excess { /* one limit, and what would pass it */
	const char *project;
	enum snapmgr_resource resource;
	uint64_t limit;
	struct scat_usage usage;
	uint64_t asked;
};

/* The limit that would do; none, where nothing does. */
static const char *enough(const struct excess *x, char to[AMOUNT])
{
	uint64_t n;

	if (__builtin_add_overflow(x->usage.in_use, x->usage.reserved, &n) ||
	    __builtin_add_overflow(n, x->asked, &n) || n > INT64_MAX)
		return "none";
	return amount_text(n, resources[x->resource].bytes, to);
}

static int refuse(const struct sm_pool *pool, const struct excess *x, struct snapmgr_err *err)
{
	const bool bytes = resources[x->resource].bytes, whole = !*x->project;
	char owner[SNAPMGR_LABEL_MAX + 16] = "", option[SNAPMGR_LABEL_MAX + 16] = "";
	char limit[AMOUNT], in_use[AMOUNT], reserved[AMOUNT], asked[AMOUNT], raise[AMOUNT];

	if (!whole) {
		(void)snprintf(owner, sizeof(owner), "project '%s' of ", x->project);
		(void)snprintf(option, sizeof(option), "--project %s ",
			       is_word(x->project) ? x->project : "PROJECT");
	}
	return sm_fail(
		err, SNAPMGR_OVER_QUOTA, EDQUOT,
		"%spool '%s' would be over its quota for %s: limit %s, in use %s, reserved %s, asked for "
		"%s more; delete some, or raise it with 'snapmgr quota %s %s--%s %s'",
		owner, pool->row.name, resources[x->resource].what,
		amount_text(x->limit, bytes, limit), amount_text(x->usage.in_use, bytes, in_use),
		amount_text(x->usage.reserved, bytes, reserved),
		amount_text(x->asked, bytes, asked), pool->row.name, option,
		resources[x->resource].option, enough(x, raise));
}

static bool is_over(const struct excess *x)
{
	uint64_t left = x->limit;

	if (x->usage.in_use > left)
		return true;
	left -= x->usage.in_use;
	if (x->usage.reserved > left)
		return true;
	return x->asked > left - x->usage.reserved;
}

typedef __int128 wide; /* a sum of many sizes */

/* What all changes together give to @project; "": to the pool. */
static uint64_t total(const struct sm_quota_change *changes, size_t n, const char *project,
		      enum snapmgr_resource resource)
{
	wide sum = 0;

	for (size_t i = 0; i < n; i++) {
		if (!*project || strcmp(changes[i].project, project) == 0)
			sum += changes[i].amount[resource];
	}
	return sum <= 0 ? 0 : sum > INT64_MAX ? INT64_MAX : (uint64_t)sum;
}

static int check_owner(struct sm_pool *pool, const struct sm_quota_change *changes, size_t n,
		       const char *project, struct snapmgr_err *err)
{
	struct excess x = { .project = project };
	struct scat_quota quota;
	int r = scat_quota_get(pool->cat, project, &quota, err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (int i = 0; i < SNAPMGR_RESOURCES; i++) {
		x.resource = (enum snapmgr_resource)i;
		x.limit = quota.limit[i];
		x.asked = total(changes, n, project, x.resource);
		if (x.limit == SNAPMGR_UNLIMITED || !x.asked) /* who takes nothing passes nothing */
			continue;
		r = scat_usage(pool->cat, project, x.resource, &x.usage, err);
		if (r < 0)
			return r;
		if (is_over(&x))
			return refuse(pool, &x, err);
	}
	return 0;
}

/* Has an earlier change the same project? */
static bool is_repeated(const struct sm_quota_change *changes, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (strcmp(changes[i].project, changes[at].project) == 0)
			return true;
	return false;
}

int sm_quota_check(struct sm_pool *pool, const struct sm_quota_change *changes, size_t n,
		   struct snapmgr_err *err)
{
	int r = 0;

	if (!pool->row.quotas)
		return 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		if (*changes[i].project && !is_repeated(changes, i))
			r = check_owner(pool, changes, n, changes[i].project, err);
	}
	return r == 0 ? check_owner(pool, changes, n, "", err) : r;
}

/* ---- the verbs ---- */

struct walk {
	struct sm_pool *pool;
	snapmgr_quota_fn *visit;
	void *data;
	struct snapmgr_err *err;
};

static int visit_project(const char *project, void *data)
{
	struct walk *w = data;
	struct snapmgr_quota q = { 0 };
	struct scat_quota limits;
	int r = scat_quota_get(w->pool->cat, project, &limits, w->err);

	if (r == -ENOENT)
		for (size_t i = 0; i < SNAPMGR_RESOURCES; i++)
			limits.limit[i] = SNAPMGR_UNLIMITED;
	else if (r < 0)
		return r;
	(void)sm_copy_text(q.pool, sizeof(q.pool), w->pool->row.name);
	(void)sm_copy_text(q.project, sizeof(q.project), project);
	for (int i = 0; i < SNAPMGR_RESOURCES; i++) {
		struct scat_usage usage;

		r = scat_usage(w->pool->cat, project, (enum snapmgr_resource)i, &usage, w->err);
		if (r < 0)
			return r;
		q.resources[i].limit = limits.limit[i];
		q.resources[i].in_use = usage.in_use;
		q.resources[i].reserved = usage.reserved;
	}
	return w->visit ? w->visit(&q, w->data) : 0;
}

int snapmgr_quota_list(struct snapmgr *sm, const char *name, const char *project,
		       snapmgr_quota_fn *visit, void *data, struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	struct walk w = { &f.pool, visit, data, err };
	int r = sm_check_texts(project, NULL, NULL, NULL, 0, err);

	if (r == 0)
		r = sm_find(sm, name, SM_WANT_POOL, false, &f, err);
	if (r < 0)
		return r;
	return project ? visit_project(project, &w) :
			 scat_project_each(f.pool.cat, visit_project, &w, err);
}

static int check_limits(const uint64_t limits[SNAPMGR_RESOURCES], struct snapmgr_err *err)
{
	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++)
		if (limits[i] > INT64_MAX && limits[i] != SNAPMGR_UNLIMITED &&
		    limits[i] != SNAPMGR_UNCHANGED)
			return sm_fail(err, SNAPMGR_USAGE, EINVAL,
				       "a limit of %" PRIu64 " is too large", limits[i]);
	return 0;
}

static int write_limits(struct sm_pool *pool, const char *project,
			const uint64_t limits[SNAPMGR_RESOURCES], struct snapmgr_err *err)
{
	struct scat_quota q = { .project = "" };
	int r = scat_begin(pool->cat, err);

	if (r == 0)
		r = scat_quota_get(pool->cat, project, &q, err);
	if (r == -ENOENT) {
		(void)sm_copy_text(q.project, sizeof(q.project), project);
		for (size_t i = 0; i < SNAPMGR_RESOURCES; i++)
			q.limit[i] = SNAPMGR_UNLIMITED;
		r = 0;
	}
	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++)
		if (limits[i] != SNAPMGR_UNCHANGED)
			q.limit[i] = limits[i];
	if (r == 0)
		r = scat_quota_put(pool->cat, &q, err);
	if (r == 0)
		r = scat_commit(pool->cat, true, err);
	scat_rollback(pool->cat);
	return r;
}

int snapmgr_quota_set(struct snapmgr *sm, const char *name, const char *project,
		      const struct snapmgr_quota_set_opts *opts, struct snapmgr_err *err)
{
	AUTO(sm_found_close) struct sm_found f = { .pool.lock = SLOCK_NONE };
	uint64_t limits[SNAPMGR_RESOURCES];
	int r = sm_check_texts(project, NULL, NULL, NULL, 0, err);

	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++) {
		const size_t end = offsetof(struct snapmgr_quota_set_opts, limits) +
				   (i + 1) * sizeof(limits[0]);

		limits[i] = opts->size >= end ? opts->limits[i] : SNAPMGR_UNCHANGED;
	}
	if (r == 0)
		r = check_limits(limits, err);
	if (r == 0)
		r = sm_find(sm, name, SM_WANT_POOL, true, &f, err);
	return r == 0 ? write_limits(&f.pool, project, limits, err) : r;
}
