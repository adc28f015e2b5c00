/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The model's changes, made to a real pool. */
#include "tests/model/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* ---- writing ---- */

static int write_blocks(struct snapmgr *sm, const struct model_volume *v, const struct model_op *op,
			struct model_why *why)
{
	char spec[64], node[160];
	unsigned char *room = model_room();
	AUTO(sm_close_fd) int fd = -1;
	struct snapmgr_object o;
	struct snapmgr_err err;
	size_t bytes = (size_t)op->n * MODEL_SLOT;

	(void)snprintf(spec, sizeof(spec), MODEL_POOL "/%s", v->name);
	if (model_done(snapmgr_show(sm, spec, model_keep, &o, &err), &err, spec, why) < 0)
		return -1;
	model_node(&o, node);
	fd = open(node, O_WRONLY | O_CLOEXEC | (op->buffered ? 0 : O_DIRECT));
	if (fd < 0)
		return model_fail(why, "cannot open '%s': %s", node, strerror(errno));
	for (uint32_t i = 0; i < op->n; i++)
		model_fill(room + (size_t)i * MODEL_SLOT, op->id, op->from + i);
	if (pwrite(fd, room, bytes, (off_t)op->from * MODEL_SLOT) != (ssize_t)bytes)
		return model_fail(why, "cannot write to '%s': %s", node, strerror(errno));
	if (op->verb != MODEL_WRITE_LOOSE && fdatasync(fd) < 0)
		return model_fail(why, "cannot flush '%s': %s", node, strerror(errno));
	return 0;
}

static int flush_folder(const char *path, struct model_why *why)
{
	AUTO(sm_close_fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && fsync(fd) == 0 ? 0 : model_fail(why, "cannot flush '%s'", path);
}

/* Beside it, and renamed: the slot holds the old or the new. */
static int write_file(const char *folder, uint32_t slot, const struct model_op *op,
		      struct model_why *why)
{
	unsigned char *room = model_room();
	char path[96], new[96];
	AUTO(sm_close_fd) int fd = -1;

	(void)snprintf(path, sizeof(path), "%s/f%u", folder, slot);
	(void)snprintf(new, sizeof(new), "%s/new", folder);
	fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	for (uint32_t i = 0; i < MODEL_FILE_BLOCKS; i++)
		model_fill(room + (size_t)i * MODEL_SLOT, op->id, slot * MODEL_FILE_BLOCKS + i);
	if (fd < 0 || write(fd, room, MODEL_FILE) != (ssize_t)MODEL_FILE ||
	    (op->verb != MODEL_WRITE_LOOSE && fsync(fd) < 0) || rename(new, path) < 0)
		return model_fail(why, "cannot write '%s': %s", path, strerror(errno));
	return 0;
}

static int write_files(const struct model_volume *v, const struct model_op *op,
		       struct model_why *why)
{
	char folder[64];
	int r = 0;

	(void)snprintf(folder, sizeof(folder), "/tmp/model/%s", v->name);
	for (uint32_t i = op->from; i < op->from + op->n && r == 0; i++)
		r = write_file(folder, i, op, why);
	return r == 0 && op->verb != MODEL_WRITE_LOOSE ? flush_folder(folder, why) : r;
}

static int write_some(struct snapmgr *sm, const struct model *m, const struct model_op *op,
		      struct model_why *why)
{
	const struct model_volume *v = &m->volumes[op->volume];

	return v->files ? write_files(v, op, why) : write_blocks(sm, v, op, why);
}

static int settle(struct snapmgr *sm, const struct model *m, const struct model_op *op,
		  struct model_why *why)
{
	for (int i = 0; i < MODEL_VOLUMES; i++)
		for (uint32_t k = 0; m->volumes[i].used && k < m->volumes[i].head.n; k++) {
			struct model_op one = {
				.verb = MODEL_WRITE, .volume = i, .from = k, .n = 1, .id = op->id
			};

			if (m->volumes[i].head.loose[k] && write_some(sm, m, &one, why) < 0)
				return -1;
		}
	return 0;
}

/* ---- filesystems ---- */

int model_mount(struct snapmgr *sm, const struct model *m, struct model_why *why)
{
	for (int i = 0; i < MODEL_VOLUMES; i++) {
		char spec[64], node[160], point[96];
		struct snapmgr_object o;
		struct snapmgr_err err;

		if (!m->volumes[i].used || !m->volumes[i].files)
			continue;
		(void)snprintf(spec, sizeof(spec), MODEL_POOL "/%s", m->volumes[i].name);
		if (model_done(snapmgr_show(sm, spec, model_keep, &o, &err), &err, spec, why) < 0)
			return -1;
		model_node(&o, node);
		if (model_mount_one(node, o.name, false, point, why) < 0)
			return -1;
	}
	return 0;
}

void model_unmount(void)
{
	for (int i = 0; i < MODEL_VOLUMES; i++) {
		char point[96];

		(void)snprintf(point, sizeof(point), "/tmp/model/v%d", i);
		(void)umount2(point, 0);
	}
}

static int make_volume(struct snapmgr *sm, const char *name, uint64_t bytes, const char *from,
		       struct model_why *why)
{
	struct snapmgr_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);
	struct snapmgr_err err;
	char spec[64];

	opts.size_bytes = from ? 0 : bytes;
	(void)snprintf(spec, sizeof(spec), MODEL_POOL "/%s", name);
	if (from)
		return model_done(snapmgr_clone(sm, from, spec, NULL, NULL, NULL, &err), &err, spec,
				  why);
	return model_done(snapmgr_create(sm, spec, &opts, NULL, NULL, &err), &err, spec, why);
}

static int make_filesystem(const char *name, struct model_why *why)
{
	char node[64], out[256];
	const char *const argv[] = { "mkfs.ext4", "-q", "-F", node, NULL };
	struct snapmgr_err err;

	(void)snprintf(node, sizeof(node), "/dev/mapper/snapmgr-" MODEL_POOL "-%s", name);
	return model_done(sm_program_run(argv, out, sizeof(out), &err), &err, "mkfs.ext4", why);
}

int model_make(struct snapmgr *sm, const struct model *m, struct model_why *why)
{
	for (int i = 0; i < MODEL_VOLUMES; i++) {
		const struct model_volume *v = &m->volumes[i];
		uint64_t bytes = v->files ? MODEL_FS_BYTES : (uint64_t)v->head.n * MODEL_SLOT;

		if (!v->used)
			continue;
		if (make_volume(sm, v->name, bytes, NULL, why) < 0 ||
		    (v->files && make_filesystem(v->name, why) < 0))
			return -1;
	}
	return model_mount(sm, m, why);
}

int model_bring_up(struct snapmgr *sm, bool may_import, struct model_why *why)
{
	struct snapmgr_err err, why_not;
	int r = snapmgr_pool_activate(sm, MODEL_POOL, &err);

	if (r < 0 && may_import && snapmgr_pool_import(sm, MODEL_POOL, NULL, &why_not) == 0)
		r = 0;
	return model_done(r, &err, "activate", why);
}

/* ---- the changes ---- */

static const char *snapshot_spec(const struct model *m, int snapshot, char ret[64])
{
	const struct model_snapshot *s = &m->snapshots[snapshot];

	(void)snprintf(ret, 64, MODEL_POOL "/%s@%s", m->volumes[s->volume].name, s->name);
	return ret;
}

static int take_snapshots(struct snapmgr *sm, const struct model *m, const struct model_op *op,
			  struct model_why *why)
{
	const int volumes[2] = { op->volume, op->other };
	const size_t n = op->verb == MODEL_SNAPSHOT_TWO ? 2 : 1;
	const char *specs[2];
	struct snapmgr_err err;
	char text[2][64];

	for (size_t i = 0; i < n; i++) {
		(void)snprintf(text[i], sizeof(text[i]), MODEL_POOL "/%s@s%u",
			       m->volumes[volumes[i]].name, op->id + (uint32_t)i);
		specs[i] = text[i];
	}
	return model_done(snapmgr_snapshot(sm, specs, n, NULL, NULL, NULL, &err), &err, text[0],
			  why);
}

static int displace(struct snapmgr *sm, const struct model *m, const struct model_op *op,
		    const char *spec, struct model_why *why)
{
	struct snapmgr_revert_opts revert = SNAPMGR_OPTS_INIT(struct snapmgr_revert_opts);
	struct snapmgr_undo_opts undo = SNAPMGR_OPTS_INIT(struct snapmgr_undo_opts);
	struct snapmgr_err err;
	char text[64];

	revert.no_undo = op->no_undo;
	revert.remount = undo.remount = m->volumes[op->volume].files;
	if (op->verb == MODEL_UNDO_IT)
		return model_done(snapmgr_undo(sm, spec, &undo, NULL, &err), &err, spec, why);
	(void)snapshot_spec(m, op->snapshot, text);
	return model_done(snapmgr_revert(sm, text, &revert, NULL, &err), &err, text, why);
}

/* ---- groups, of two volumes; quotas ---- */

static int make_group(struct snapmgr *sm, const struct model *m, const struct model_op *op,
		      struct model_why *why)
{
	const char *const members[2] = { m->volumes[op->volume].name, m->volumes[op->other].name };
	struct snapmgr_err err;
	char spec[64];

	(void)snprintf(spec, sizeof(spec), MODEL_POOL "/g%u", op->id);
	return model_done(snapmgr_group_create(sm, spec, members, 2, NULL, NULL, NULL, &err), &err,
			  spec, why);
}

static int change_group(struct snapmgr *sm, const struct model *m, const struct model_op *op,
			struct model_why *why)
{
	const struct model_volume *v = &m->volumes[op->volume];
	const struct snapmgr_revert_opts opts = { .size = sizeof(opts),
						  .no_undo = op->no_undo,
						  .remount = true };
	const struct model_snapshot *s = op->snapshot < 0 ? NULL : &m->snapshots[op->snapshot];
	struct snapmgr_err err;
	char group[64], set[96];
	const char *spec = set;
	int r;

	(void)snprintf(group, sizeof(group), MODEL_POOL "/g%u", v->group);
	if (op->verb == MODEL_GROUP_DELETE)
		return model_done(snapmgr_group_delete(sm, group, NULL, NULL, &err), &err, group,
				  why);
	(void)snprintf(set, sizeof(set), "%s@s%u", group,
		       op->verb == MODEL_GROUP_REVERT && s ? s->set : op->id);
	r = op->verb == MODEL_GROUP_REVERT ? snapmgr_revert(sm, set, &opts, NULL, &err) :
					     snapmgr_snapshot(sm, &spec, 1, NULL, NULL, NULL, &err);
	return model_done(r, &err, set, why);
}

static int set_quota(struct snapmgr *sm, const struct model_op *op, struct model_why *why)
{
	struct snapmgr_quota_set_opts opts = { .size = sizeof(opts) };
	struct snapmgr_err err;

	for (size_t i = 0; i < SNAPMGR_RESOURCES; i++)
		opts.limits[i] = MODEL_QUOTA_BYTES + op->id;
	return model_done(snapmgr_quota_set(sm, MODEL_POOL, "", &opts, &err), &err, "quota", why);
}

static int restart(struct snapmgr *sm, const struct model *m, bool export, struct model_why *why)
{
	struct snapmgr_err err;
	int r;

	model_unmount();
	r = export ? snapmgr_pool_export(sm, MODEL_POOL, &err) :
		     snapmgr_pool_deactivate(sm, MODEL_POOL, &err);
	if (r == 0)
		r = export ? snapmgr_pool_import(sm, MODEL_POOL, NULL, &err) :
			     snapmgr_pool_activate(sm, MODEL_POOL, &err);
	return model_done(r, &err, export ? "export and import" : "restart", why) < 0 ?
		       -1 :
		       model_mount(sm, m, why);
}

int model_do(struct snapmgr *sm, const struct model *m, const struct model_op *op,
	     struct model_why *why)
{
	const struct model_volume *v = &m->volumes[op->volume];
	struct snapmgr_delete_opts all = SNAPMGR_OPTS_INIT(struct snapmgr_delete_opts);
	char spec[64], text[64], snapshot[64] = "";
	struct snapmgr_err err;

	(void)snprintf(spec, sizeof(spec), MODEL_POOL "/%s", v->name);
	(void)snprintf(text, sizeof(text), op->verb == MODEL_LABEL ? "l%u" : "v%u", op->id);
	if (op->snapshot >= 0)
		(void)snapshot_spec(m, op->snapshot, snapshot);
	all.recursive = true;
	switch (op->verb) {
	case MODEL_WRITE:
	case MODEL_WRITE_LOOSE:
		return write_some(sm, m, op, why);
	case MODEL_SNAPSHOT:
	case MODEL_SNAPSHOT_TWO:
		return take_snapshots(sm, m, op, why);
	case MODEL_REVERT:
	case MODEL_UNDO_IT:
		return displace(sm, m, op, spec, why);
	case MODEL_GROUP:
		return make_group(sm, m, op, why);
	case MODEL_GROUP_SNAPSHOT:
	case MODEL_GROUP_REVERT:
	case MODEL_GROUP_DELETE:
		return change_group(sm, m, op, why);
	case MODEL_QUOTA:
		return set_quota(sm, op, why);
	case MODEL_CREATE:
		return make_volume(sm, text, 4 * MODEL_UNIT * MODEL_SLOT, NULL, why);
	case MODEL_CLONE:
		return make_volume(sm, text, 0, snapshot, why);
	case MODEL_DELETE_SNAPSHOT:
		return model_done(snapmgr_delete(sm, snapshot, NULL, NULL, NULL, &err), &err,
				  snapshot, why);
	case MODEL_DELETE_VOLUME:
		return model_done(snapmgr_delete(sm, spec, &all, NULL, NULL, &err), &err, spec,
				  why);
	case MODEL_RENAME:
		return model_done(snapmgr_rename(sm, spec, text, &err), &err, spec, why);
	case MODEL_RESIZE:
		return model_done(snapmgr_resize(sm, spec,
						 (uint64_t)(v->head.n + MODEL_UNIT) * MODEL_SLOT,
						 NULL, NULL, NULL, &err),
				  &err, spec, why);
	case MODEL_LABEL:
		return model_done(snapmgr_set(sm, spec, "label", text, &err), &err, spec, why);
	case MODEL_SETTLE:
		return settle(sm, m, op, why);
	case MODEL_RESTART:
	case MODEL_EXPORT:
		return restart(sm, m, op->verb == MODEL_EXPORT, why);
	case MODEL_VERBS:
		break;
	}
	return model_fail(why, "no such verb");
}
