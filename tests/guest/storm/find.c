/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is there when the storm is over. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "storm.h"

#define MAX_SPEC 64

static struct storm *storm;

/* ---- at the end ---- */

static uint32_t stamp_of(const uint64_t *page, unsigned int process, unsigned int volume)
{
	static uint64_t expected[STORM_PAGE / 8];
	uint32_t stamp = (uint32_t)page[0];

	if (!stamp) {
		for (size_t i = 0; i < STORM_PAGE / 8; i++)
			stamp |= (uint32_t)page[i] | (uint32_t)(page[i] >> 32);
		return stamp ? STORM_BAD : 0;
	}
	storm_page(expected, process, volume, stamp);
	return memcmp(page, expected, STORM_PAGE) == 0 ? stamp : STORM_BAD;
}

static int keep(const struct snapmgr_object *o, void *data)
{
	struct snapmgr_object *ret = data;

	*ret = *o;
	ret->tags = NULL;
	return 0;
}

static int read_slots(const char *dm_name, unsigned int v, struct storm_contents *ret)
{
	AUTO(free) uint64_t *page = aligned_alloc(STORM_PAGE, STORM_PAGE);
	char node[160];
	int fd;

	(void)snprintf(node, sizeof(node), "/dev/mapper/%s", dm_name);
	fd = open(node, O_RDONLY | O_DIRECT | O_CLOEXEC);
	for (unsigned int p = 0; p < STORM_PROCESSES; p++) {
		if (fd < 0 || pread(fd, page, STORM_PAGE, STORM_SLOT(p)) != STORM_PAGE)
			return storm_failed(storm, "cannot read '%s': %s", node, strerror(errno));
		ret->stamps[p] = stamp_of(page, p, v);
	}
	(void)close(fd);
	return 0;
}

static int read_contents(struct snapmgr *sm, const char *spec, unsigned int v,
			 struct storm_contents *ret)
{
	struct snapmgr_object o;
	struct snapmgr_err err;
	int r = snapmgr_activate(sm, spec, keep, &o, &err);

	if (r == 0 && read_slots(o.dm_name, v, ret) < 0)
		return -1;
	if (r == 0 && o.kind != SNAPMGR_VOLUME)
		r = snapmgr_deactivate(sm, spec, &err);
	return r < 0 ? storm_failed(storm, "%s: %s", spec, err.message) : 0;
}

struct finding {
	unsigned int volume;
	struct storm_volume *ret;
};

static uint32_t parent_of(const struct snapmgr_object *o)
{
	const char *at = strchr(o->parent_name, '@');

	return at ? storm_number(at + 1) : 0;
}

static int find_object(const struct snapmgr_object *o, void *data)
{
	struct finding *f = data;
	struct storm_snapshot *s = &f->ret->snapshots[f->ret->n_snapshots];

	if (o->kind == SNAPMGR_VOLUME) {
		f->ret->parent = parent_of(o);
		f->ret->size_bytes = o->size_bytes;
	} else if (f->ret->n_snapshots++ < STORM_LIVE_MAX) {
		*s = (struct storm_snapshot){ .number = storm_number(o->name),
					      .parent = parent_of(o),
					      .size_bytes = o->size_bytes,
					      .sequence = o->sequence,
					      .created_at_us = o->created_at_us };
	}
	return 0;
}

static int find_volume(struct snapmgr *sm, unsigned int v, struct storm_volume *ret)
{
	struct finding f = { v, ret };
	struct snapmgr_err err;
	char spec[MAX_SPEC];
	int r;

	*ret = (struct storm_volume){ 0 };
	(void)snprintf(spec, sizeof(spec), "p/v%u", v);
	if (snapmgr_list(sm, spec, NULL, find_object, &f, &err) < 0)
		return storm_failed(storm, "%s: %s", spec, err.message);
	r = read_contents(sm, spec, v, &ret->contents);
	for (size_t i = 0; i < ret->n_snapshots && r == 0; i++) {
		(void)snprintf(spec, sizeof(spec), "p/v%u@s%u", v, ret->snapshots[i].number);
		r = read_contents(sm, spec, v, &ret->snapshots[i].contents);
	}
	while (r == 0) {
		struct snapmgr_object o;

		(void)snprintf(spec, sizeof(spec), "p/v%u@undo~%zu", v, ret->n_undos);
		if (snapmgr_show(sm, spec, keep, &o, &err) < 0)
			break;
		if (ret->n_undos == STORM_UNDOS)
			return storm_failed(storm, "v%u has too many undo points", v);
		r = read_contents(sm, spec, v, &ret->undos[ret->n_undos++]);
	}
	return r;
}

static int keep_finding(const char *finding, bool repaired, void *data)
{
	(void)repaired;
	(void)data;
	return storm_failed(storm, "pool check: %s", finding);
}

/* ---- quotas: what is said, what is counted, and what the replay has ---- */

struct figures {
	struct storm_use said, counted;
};

static int take_said(const struct snapmgr_quota *q, void *data)
{
	struct figures *f = data;

	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++)
		f->said.n[i] = q->resources[i].in_use;
	return q->resources[SNAPMGR_VOLUMES].reserved || q->resources[SNAPMGR_SNAPSHOTS].reserved ||
	       q->resources[SNAPMGR_VOLUME_BYTES].reserved ||
	       q->resources[SNAPMGR_SNAPSHOT_BYTES].reserved;
}

static int count(const struct snapmgr_object *o, void *data)
{
	struct figures *f = data;
	const bool volume = o->kind == SNAPMGR_VOLUME;

	if (strcmp(o->project, "web") != 0 || (!volume && o->kind != SNAPMGR_SNAPSHOT))
		return 0;
	f->counted.n[volume ? SNAPMGR_VOLUMES : SNAPMGR_SNAPSHOTS]++;
	f->counted.n[volume ? SNAPMGR_VOLUME_BYTES : SNAPMGR_SNAPSHOT_BYTES] += o->size_bytes;
	return 0;
}

static int judge_quota(struct snapmgr *sm, const struct storm_use *replayed)
{
	struct figures f = { 0 };
	struct snapmgr_err err = { .message = "something is reserved" };

	if (snapmgr_quota_list(sm, "p", "web", take_said, &f, &err) != 0 ||
	    snapmgr_list(sm, "p", NULL, count, &f, &err) != 0)
		return storm_failed(storm, "quota: %s", err.message);
	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++)
		if (f.said.n[i] != f.counted.n[i] || f.said.n[i] != replayed->n[i])
			return storm_failed(
				storm,
				"quota says %ju of resource %zu, %ju are there, and should be %ju",
				(uintmax_t)f.said.n[i], i, (uintmax_t)f.counted.n[i],
				(uintmax_t)replayed->n[i]);
	return 0;
}

int storm_end(struct storm *shared, struct snapmgr *sm, uint64_t size_bytes)
{
	struct snapmgr_pool_check_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_check_opts);
	static struct storm_volume found;
	struct storm_use use;
	struct snapmgr_err err;
	int r;

	storm = shared;
	opts.report = keep_finding;
	if (snapmgr_pool_check(sm, "p", &opts, &err) < 0)
		return storm_failed(storm, "pool check: %s", err.message);
	r = storm_order(storm, size_bytes, &use);
	if (r == 0)
		r = judge_quota(sm, &use);
	for (unsigned int v = 0; v < STORM_VOLUMES && r == 0; v++) {
		r = find_volume(sm, v, &found);
		if (r == 0)
			r = storm_judge(storm, v, size_bytes, &found);
	}
	return r;
}
