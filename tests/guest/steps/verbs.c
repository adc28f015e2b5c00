/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The verbs that are killed at every step. To add one: a function that runs it, one that brings the pool
 * to where it begins (from whatever the last round left), and a line of the table at the end.
 *
 * The usual scene: volume "p/v" with snapshots "one" (which reads as 1), "two" (2), reading as 2;
 * volume "p/w" with snapshot "a"; both active, no undo points.
 */
#include "scene.h"

#include <fcntl.h>
#include <string.h>

/* ---- create, clone ---- */

static int create_at(const char *spec, const char *from, struct snapmgr_err *err)
{
	struct snapmgr_create_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_create_opts);

	opts.size_bytes = from ? 0 : SIZE;
	opts.from = from;
	return snapmgr_create(lab, spec, &opts, NULL, NULL, err);
}

static void no_n(void)
{
	scene_gone("p/n");
}

static int create(struct snapmgr_err *err)
{
	return create_at("p/n", NULL, err);
}

static int create_from(struct snapmgr_err *err)
{
	return create_at("p/n", "p/v@one", err);
}

static int clone_one(struct snapmgr_err *err)
{
	return snapmgr_clone(lab, "p/v@one", "p/n", NULL, NULL, NULL, err);
}

/* ---- snapshot ---- */

static int snapshot(struct snapmgr_err *err)
{
	static const char *const spec = "p/v@s";

	return snapmgr_snapshot(lab, &spec, 1, NULL, NULL, NULL, err);
}

static int snapshot_both(struct snapmgr_err *err)
{
	static const char *const specs[] = { "p/v@s", "p/w@s" };

	return snapmgr_snapshot(lab, specs, 2, NULL, NULL, NULL, err);
}

static int snapshot_inactive(struct snapmgr_err *err)
{
	return snapshot(err);
}

static void no_s_and_inactive(void)
{
	scene_no_s();
	LAB_DO(snapmgr_deactivate(lab, "p/v", &err));
}

/* ---- revert, undo ---- */

static int revert(struct snapmgr_err *err)
{
	return snapmgr_revert(lab, "p/v@one", NULL, NULL, err);
}

static int revert_no_undo(struct snapmgr_err *err)
{
	const struct snapmgr_revert_opts opts = { .size = sizeof(opts), .no_undo = true };

	return snapmgr_revert(lab, "p/v@one", &opts, NULL, err);
}

static int revert_online(struct snapmgr_err *err)
{
	const struct snapmgr_revert_opts opts = { .size = sizeof(opts), .online = true };

	return snapmgr_revert(lab, "p/v@one", &opts, NULL, err);
}

static void settle_and_open(void)
{
	sm_close_fd(scene_open_fd);
	scene_settle();
	scene_open_fd = open(lab_node("p/v"), O_RDONLY | O_CLOEXEC);
	ATF_REQUIRE(scene_open_fd >= 0);
}

static void settle_inactive(void)
{
	scene_settle();
	LAB_DO(snapmgr_deactivate(lab, "p/v", &err));
}

/* The oldest of them has to go. */
static void settle_with_all_undo_points(void)
{
	scene_settle();
	for (int i = 0; i < 3; i++)
		lab_revert(i % 2 ? "p/v@two" : "p/v@one");
	scene_revert_without_undo("p/v@two");
}

static void settle_and_revert(void)
{
	scene_settle();
	lab_revert("p/v@one");
}

static int undo(struct snapmgr_err *err)
{
	return snapmgr_undo(lab, "p/v", NULL, NULL, err);
}

static int undo_drop(struct snapmgr_err *err)
{
	const struct snapmgr_undo_opts opts = { .size = sizeof(opts), .drop = true };

	return snapmgr_undo(lab, "p/v", &opts, NULL, err);
}

/* ---- resize ---- */

static int resize_to(const char *spec, uint64_t bytes, struct snapmgr_err *err)
{
	const struct snapmgr_resize_opts opts = { .size = sizeof(opts), .shrink = true };

	return snapmgr_resize(lab, spec, bytes, &opts, NULL, NULL, err);
}

static void small(void)
{
	LAB_DO(resize_to("p/v", SIZE + STAMP, &err));
}

static void large(void)
{
	LAB_DO(resize_to("p/v", SIZE + 2 * STAMP, &err));
}

static int grow(struct snapmgr_err *err)
{
	return resize_to("p/v", SIZE + 2 * STAMP, err);
}

static int shrink(struct snapmgr_err *err)
{
	return resize_to("p/v", SIZE + STAMP, err);
}

/* ---- rename ---- */

static void old_names(void)
{
	if (lab_exists("p/x"))
		LAB_DO(snapmgr_rename(lab, "p/x", "w", &err));
	if (lab_exists("p/v@uno"))
		LAB_DO(snapmgr_rename(lab, "p/v@uno", "one", &err));
}

static int rename_volume(struct snapmgr_err *err)
{
	return snapmgr_rename(lab, "p/w", "x", err);
}

static int rename_snapshot(struct snapmgr_err *err)
{
	return snapmgr_rename(lab, "p/v@one", "uno", err);
}

/* ---- delete ---- */

static int delete_with(const char *spec, bool recursive, bool keep, struct snapmgr_err *err)
{
	const struct snapmgr_delete_opts opts = { .size = sizeof(opts),
						  .recursive = recursive,
						  .keep_snapshots = keep };

	return snapmgr_delete(lab, spec, &opts, NULL, NULL, err);
}

static void have_s(void)
{
	if (!lab_exists("p/v@s"))
		lab_snapshot("p/v@s");
}

static int delete_snapshot(struct snapmgr_err *err)
{
	return delete_with("p/v@s", false, false, err);
}

static void have_empty(void)
{
	if (!lab_exists("p/n"))
		lab_create("p/n", SIZE);
}

static int delete_volume(struct snapmgr_err *err)
{
	return delete_with("p/n", false, false, err);
}

/* Snapshots whose volume is gone. */
static int keep_orphan(const struct snapmgr_object *o, void *data)
{
	if (o->kind == SNAPMGR_SNAPSHOT && !*o->snapshot_of)
		(void)sm_copy_text(data, SNAPMGR_UUID_TEXT, o->uuid);
	return 0;
}

static void no_orphans(void)
{
	char uuid[SNAPMGR_UUID_TEXT];

	do {
		*uuid = '\0';
		LAB_DO(snapmgr_list(lab, "p", NULL, keep_orphan, uuid, &err));
		if (*uuid)
			LAB_DO(delete_with(uuid, false, false, &err));
	} while (*uuid);
}

/* "p/n" with snapshots a and b, one below the other, and an undo point. */
static void have_tree(void)
{
	no_orphans();
	if (lab_exists("p/n@a") && lab_exists("p/n@b"))
		return;
	scene_gone("p/n");
	lab_create("p/n", SIZE);
	lab_snapshot("p/n@a");
	lab_snapshot("p/n@b");
	lab_revert("p/n@b");
}

static void have_tree_mapped(void)
{
	have_tree();
	scene_map("p/n@a");
	scene_map("p/n@b");
	scene_map("p/n@undo");
}

static void have_s_mapped(void)
{
	have_s();
	scene_map("p/v@s");
}

static int delete_parent(struct snapmgr_err *err)
{
	return delete_with("p/n@a", false, false, err);
}

static int delete_recursive(struct snapmgr_err *err)
{
	return delete_with("p/n", true, false, err);
}

static int delete_keep(struct snapmgr_err *err)
{
	return delete_with("p/n", false, true, err);
}

/* ---- properties ---- */

static void not_held(void)
{
	LAB_DO(snapmgr_hold(lab, "p/v@one", false, &err));
}

static int hold(struct snapmgr_err *err)
{
	return snapmgr_hold(lab, "p/v@one", true, err);
}

static void held(void)
{
	LAB_DO(hold(&err));
}

static int release(struct snapmgr_err *err)
{
	return snapmgr_hold(lab, "p/v@one", false, err);
}

static void no_label(void)
{
	LAB_DO(snapmgr_set(lab, "p/v", "label", "", &err));
}

static int set(struct snapmgr_err *err)
{
	return snapmgr_set(lab, "p/v", "label", "changed", err);
}

/* ---- mapped or not ---- */

static int activate_it(const char *spec, struct snapmgr_err *err)
{
	return snapmgr_activate(lab, spec, NULL, NULL, err);
}

static void inactive_w(void)
{
	LAB_DO(snapmgr_deactivate(lab, "p/w", &err));
}

static void active_w(void)
{
	LAB_DO(activate_it("p/w", &err));
}

static int activate_volume(struct snapmgr_err *err)
{
	return activate_it("p/w", err);
}

static int deactivate_volume(struct snapmgr_err *err)
{
	return snapmgr_deactivate(lab, "p/w", err);
}

static void inactive_one(void)
{
	LAB_DO(snapmgr_deactivate(lab, "p/v@one", &err));
}

static void active_one(void)
{
	LAB_DO(activate_it("p/v@one", &err));
}

static int activate_snapshot(struct snapmgr_err *err)
{
	return activate_it("p/v@one", err);
}

static int deactivate_snapshot(struct snapmgr_err *err)
{
	return snapmgr_deactivate(lab, "p/v@one", err);
}

/* ---- recover, check ---- */

static void half_revert_before(void)
{
	ATF_REQUIRE(verbs_die(revert, "dm.suspend.after:1", true));
}

static void half_revert_after(void)
{
	ATF_REQUIRE(verbs_die(revert, "commit.after:2", true) ||
		    verbs_die(revert, "commit.after:1", true));
}

static void half_snapshot(void)
{
	ATF_REQUIRE(verbs_die(snapshot_both, "dm.message.after:1", true));
}

static void half_rename(void)
{
	ATF_REQUIRE(verbs_die(rename_volume, "dm.rename.before:1", true));
}

static int recover(struct snapmgr_err *err)
{
	return snapmgr_recover(lab, "p", NULL, NULL, err);
}

static void nothing(void)
{
}

static int check_repair(struct snapmgr_err *err)
{
	struct snapmgr_pool_check_opts opts = SNAPMGR_OPTS_INIT(struct snapmgr_pool_check_opts);

	opts.repair = true;
	return snapmgr_pool_check(lab, "p", &opts, err);
}

/* ---- pools ---- */

static int keep_state(const struct snapmgr_pool *pool, void *data)
{
	return sm_copy_text(data, sizeof(pool->state), pool->state);
}

/* "" where there is none of that name. */
static const char *pool_state(const char *name)
{
	static char state[24];

	*state = '\0';
	LAB_DO(scene_quiet(snapmgr_pool_show(lab, name, keep_state, state, &err), &err,
			   SNAPMGR_NOT_FOUND));
	return state;
}

static bool pool_is(const char *name, const char *state)
{
	return strcmp(pool_state(name), state) == 0;
}

static int pool_activate(struct snapmgr_err *err)
{
	return snapmgr_pool_activate(lab, "p", err);
}

static int pool_deactivate(struct snapmgr_err *err)
{
	return snapmgr_pool_deactivate(lab, "p", err);
}

static int pool_export(struct snapmgr_err *err)
{
	return snapmgr_pool_export(lab, "p", err);
}

static int pool_import(struct snapmgr_err *err)
{
	return snapmgr_pool_import(lab, "p", NULL, err);
}

static int pool_rename(struct snapmgr_err *err)
{
	return snapmgr_rename(lab, "p", "q", err);
}

static void pool_active(void)
{
	if (pool_is("p", "exported"))
		LAB_DO(pool_import(&err));
	if (!pool_is("p", "active"))
		LAB_DO(pool_activate(&err));
}

static void pool_inactive(void)
{
	if (pool_is("q", "inactive"))
		LAB_DO(snapmgr_rename(lab, "q", "p", &err));
	if (pool_is("p", "active"))
		LAB_DO(pool_deactivate(&err));
}

static void pool_exported(void)
{
	if (!pool_is("p", "exported"))
		LAB_DO(pool_export(&err));
}

static int pool_create(struct snapmgr_err *err)
{
	const char *const disks[] = { lab_disk(0), lab_disk(1) };

	return snapmgr_pool_create(lab, "p", disks, 2, NULL, err);
}

static int pool_destroy(struct snapmgr_err *err)
{
	return snapmgr_pool_destroy(lab, "p", NULL, err);
}

static void no_pool(void)
{
	if (*pool_state("p"))
		LAB_DO(pool_destroy(&err));
}

static void empty_pool(void)
{
	if (!*pool_state("p"))
		LAB_DO(pool_create(&err));
	pool_active();
}

static int pool_extend(struct snapmgr_err *err)
{
	const char *const disk = lab_disk(2);

	return snapmgr_pool_extend(lab, "p", &disk, 1, NULL, err);
}

/* There is no way back from an extend. */
static void anew(void)
{
	LAB_DO(scene_quiet(pool_destroy(&err), &err, SNAPMGR_NOT_FOUND));
	LAB_DO(pool_create(&err));
	scene_make_usual();
}

static char dumped[65536];

static int keep_dump(const char *text, size_t len, void *data)
{
	size_t *at = data;

	ATF_REQUIRE(*at + len < sizeof(dumped));
	memcpy(dumped + *at, text, len);
	*at += len;
	dumped[*at] = '\0';
	return 0;
}

static void pool_dumped(void)
{
	size_t len = 0;

	pool_active();
	*dumped = '\0';
	LAB_DO(snapmgr_pool_dump(lab, "p", keep_dump, &len, &err));
	pool_inactive();
}

static int pool_restore(struct snapmgr_err *err)
{
	return snapmgr_pool_restore(lab, "p", dumped, strlen(dumped), NULL, err);
}

const struct verb verbs[] = {
	{ "create", .start = no_n, .run = create, .again = SNAPMGR_EXISTS },
	{ "create --from", .start = no_n, .run = create_from, .again = SNAPMGR_EXISTS },
	{ "clone", .start = no_n, .run = clone_one, .again = SNAPMGR_EXISTS },
	{ "snapshot", .start = scene_no_s, .run = snapshot, .again = SNAPMGR_EXISTS },
	{ "snapshot of two", .start = scene_no_s, .run = snapshot_both, .again = SNAPMGR_EXISTS },
	{ "snapshot, inactive", .start = no_s_and_inactive, .run = snapshot_inactive,
	  .flags = VERB_REMAPS, .again = SNAPMGR_EXISTS },
	{ "revert", .start = scene_settle, .run = revert },
	{ "revert --no-undo", .start = scene_settle, .run = revert_no_undo },
	{ "revert --online", .start = settle_and_open, .run = revert_online },
	{ "revert, inactive", .start = settle_inactive, .run = revert, .flags = VERB_REMAPS },
	{ "revert, undo points full", .start = settle_with_all_undo_points, .run = revert },
	{ "undo", .start = settle_and_revert, .run = undo, .flags = VERB_TOGGLES },
	{ "undo --drop", .start = settle_and_revert, .run = undo_drop, .again = SNAPMGR_NOT_FOUND },
	{ "group create", .start = group_none, .run = group_create, .again = SNAPMGR_EXISTS },
	{ "group delete", .start = group_both, .run = group_delete, .again = SNAPMGR_NOT_FOUND },
	{ "group remove", .start = group_both, .run = group_remove, .again = SNAPMGR_NOT_FOUND },
	{ "snapshot of a group", .start = group_without_s, .run = group_snapshot,
	  .again = SNAPMGR_EXISTS },
	{ "revert of a group", .start = group_settled, .run = group_revert },
	{ "undo of a group", .start = group_reverted, .run = group_undo, .flags = VERB_TOGGLES },
	{ "resize, larger", .start = small, .run = grow },
	{ "resize, smaller", .start = large, .run = shrink },
	{ "rename a volume", .start = old_names, .run = rename_volume, .again = SNAPMGR_NOT_FOUND },
	{ "rename a snapshot", .start = old_names, .run = rename_snapshot,
	  .again = SNAPMGR_NOT_FOUND },
	{ "delete a snapshot", .start = have_s, .run = delete_snapshot,
	  .again = SNAPMGR_NOT_FOUND },
	{ "delete a parent", .start = have_tree, .run = delete_parent, .again = SNAPMGR_NOT_FOUND },
	{ "delete a volume", .start = have_empty, .run = delete_volume,
	  .again = SNAPMGR_NOT_FOUND },
	{ "delete --recursive", .start = have_tree, .run = delete_recursive,
	  .again = SNAPMGR_NOT_FOUND },
	{ "delete a snapshot, mapped", .start = have_s_mapped, .run = delete_snapshot,
	  .flags = VERB_REMAPS, .again = SNAPMGR_NOT_FOUND },
	{ "delete --recursive, mapped", .start = have_tree_mapped, .run = delete_recursive,
	  .flags = VERB_REMAPS, .again = SNAPMGR_NOT_FOUND },
	{ "delete --keep-snapshots", .start = have_tree, .run = delete_keep,
	  .again = SNAPMGR_NOT_FOUND },
	{ "hold", .start = not_held, .run = hold },
	{ "release", .start = held, .run = release },
	{ "quota set", .start = more_no_quota, .run = more_quota },
	{ "group add", .start = group_without_w, .run = group_add, .again = SNAPMGR_EXISTS },
	{ "snapshot, mounted", .start = more_mounted, .run = more_snapshot_mounted,
	  .flags = VERB_MOUNTED, .again = SNAPMGR_EXISTS },
	{ "revert --remount", .start = more_mounted, .run = more_revert_remount,
	  .flags = VERB_MOUNTED },
	{ "reset-state", .start = more_in_error, .run = more_reset_state, .flags = VERB_STATES,
	  .again = SNAPMGR_BAD_STATE },
	{ "reset-state of a snapshot", .start = more_snapshot_in_error,
	  .run = more_reset_snapshot_state, .flags = VERB_STATES, .again = SNAPMGR_BAD_STATE },
	{ "set", .start = no_label, .run = set },
	{ "activate a volume", .start = inactive_w, .run = activate_volume, .flags = VERB_REMAPS },
	{ "deactivate a volume", .start = active_w, .run = deactivate_volume,
	  .flags = VERB_REMAPS },
	{ "activate a snapshot", .start = inactive_one, .run = activate_snapshot,
	  .flags = VERB_REMAPS },
	{ "deactivate a snapshot", .start = active_one, .run = deactivate_snapshot,
	  .flags = VERB_REMAPS },
	{ "recover a revert, back", .start = scene_settle, .half = half_revert_before,
	  .run = recover, .flags = VERB_MIDWAY },
	{ "recover a revert, on", .start = scene_settle, .half = half_revert_after, .run = recover,
	  .flags = VERB_MIDWAY },
	{ "recover a snapshot", .start = scene_no_s, .half = half_snapshot, .run = recover,
	  .flags = VERB_MIDWAY },
	{ "recover a rename", .start = old_names, .half = half_rename, .run = recover,
	  .flags = VERB_MIDWAY },
	{ "pool check --repair", .start = nothing, .run = check_repair },
	{ "pool check --repair, rebuilt", .start = more_damaged, .run = more_rebuild,
	  .flags = VERB_POOL | VERB_REMAPS },
	{ "pool activate", .start = pool_inactive, .run = pool_activate,
	  .flags = VERB_POOL | VERB_REMAPS },
	{ "pool deactivate", .start = pool_active, .run = pool_deactivate,
	  .flags = VERB_POOL | VERB_REMAPS },
	{ "pool export", .start = pool_active, .run = pool_export, .flags = VERB_POOL | VERB_REMAPS,
	  .again = SNAPMGR_BAD_STATE },
	{ "pool import", .start = pool_exported, .run = pool_import,
	  .flags = VERB_POOL | VERB_REMAPS, .again = SNAPMGR_IN_USE,
	  .or_again = SNAPMGR_BAD_STATE },
	{ "pool rename", .start = pool_inactive, .run = pool_rename, .flags = VERB_POOL,
	  .again = SNAPMGR_NOT_FOUND },
	{ "pool create", .scene = lab_clean, .start = no_pool, .run = pool_create,
	  .flags = VERB_POOL | VERB_REMAPS, .again = SNAPMGR_IN_USE, .or_again = SNAPMGR_EXISTS,
	  .or_inactive = SNAPMGR_FOREIGN_DEVICE },
	{ "pool destroy", .scene = lab_up, .start = empty_pool, .run = pool_destroy,
	  .flags = VERB_POOL | VERB_REMAPS, .again = SNAPMGR_NOT_FOUND },
	{ "pool restore", .start = pool_dumped, .run = pool_restore,
	  .flags = VERB_POOL | VERB_REMAPS },
	{ "pool extend", .start = anew, .run = pool_extend, .flags = VERB_POOL,
	  .again = SNAPMGR_IN_USE, .or_again = SNAPMGR_FOREIGN_DEVICE },
};
const size_t n_verbs = SM_ARRAY(verbs);

const struct verb *verbs_find(const char *name)
{
	for (size_t i = 0; i < n_verbs; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	atf_tc_fail("there is no verb '%s'", name);
}
