/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The scene in which verbs are killed, and how they die. */
#include "scene.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "failpoint.h"

int scene_open_fd = -1; /* somebody has "p/v" open */

/* ---- helpers ---- */

void verbs_reopen(void)
{
	sm_close_fd(scene_open_fd);
	scene_open_fd = -1;
	snapmgr_free(lab);
	lab_reopen();
}

int scene_quiet(int r, struct snapmgr_err *err, enum snapmgr_code fine)
{
	return r < 0 && err->code == fine ? 0 : r;
}

/* Deleted with its snapshots, where it is there. */
void scene_gone(const char *spec)
{
	const struct snapmgr_delete_opts opts = { .size = sizeof(opts),
						  .recursive = !strchr(spec, '@') };

	LAB_DO(scene_quiet(snapmgr_delete(lab, spec, &opts, NULL, NULL, &err), &err,
			   SNAPMGR_NOT_FOUND));
}

void scene_no_s(void)
{
	scene_gone("p/v@s");
	scene_gone("p/w@s");
}

void scene_map(const char *spec)
{
	LAB_DO(snapmgr_activate(lab, spec, NULL, NULL, &err));
}

void scene_drop_undo_points(const char *volume)
{
	const struct snapmgr_undo_opts opts = { .size = sizeof(opts), .drop = true };

	LAB_DO(scene_quiet(snapmgr_undo(lab, volume, &opts, NULL, &err), &err, SNAPMGR_NOT_FOUND));
}

void scene_revert_without_undo(const char *spec)
{
	const struct snapmgr_revert_opts opts = { .size = sizeof(opts), .no_undo = true };

	LAB_DO(snapmgr_revert(lab, spec, &opts, NULL, &err));
}

/* "p/v" reads as 2, with nothing to undo. */
void scene_settle(void)
{
	struct snapmgr_object o;

	scene_drop_undo_points("p/v");
	lab_show("p/v", &o);
	if (strcmp(o.parent_name, "v@two") != 0)
		scene_revert_without_undo("p/v@two");
}

void scene_make_usual(void)
{
	lab_create("p/v", SIZE + STAMP);
	lab_write(lab_node("p/v"), 0, SIZE, 1, LAB_DIRECT);
	lab_snapshot("p/v@one");
	lab_write(lab_node("p/v"), 0, SIZE, 2, LAB_DIRECT);
	lab_snapshot("p/v@two");
	lab_create("p/w", SIZE);
	lab_write(lab_node("p/w"), 0, SIZE, 3, LAB_DIRECT);
	lab_snapshot("p/w@a");
}

void scene_usual(void)
{
	lab_up();
	scene_make_usual();
}

/* Every process of that name gets @signal, if it is none: the guest is ours. */
static unsigned int count_named(const char *name, int signal)
{
	unsigned int n = 0;
	DIR *proc = opendir("/proc");
	struct dirent *d;

	while (proc && (d = readdir(proc))) {
		char path[300], comm[32] = "";
		FILE *f;

		(void)snprintf(path, sizeof(path), "/proc/%s/comm", d->d_name);
		if (d->d_name[0] < '1' || d->d_name[0] > '9' || !(f = fopen(path, "re")))
			continue;
		(void)!fscanf(f, "%31s", comm);
		(void)fclose(f);
		if (strcmp(comm, name) != 0)
			continue;
		(void)kill((pid_t)strtol(d->d_name, NULL, 10), signal);
		n++;
	}
	if (proc)
		(void)closedir(proc);
	return n;
}

static bool is_running(const char *name)
{
	return count_named(name, 0) > 0;
}

void verbs_guarded(void)
{
	while (is_running("snapmgr-guard") || is_running("snapmgr"))
		lab_sleep_ms(5);
}

static void run_to_death(int (*run)(struct snapmgr_err *err), const char *points, bool stop)
{
	struct snapmgr_err err = { .message = "" };

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	lab_reopen();
	sm_failpoint_arm(points, NULL, stop);
	if (run(&err) < 0)
		lose("it failed: %s", err.message);
	_exit(0); /* without an end for its handle: its guard sees it die */
}

bool verbs_die(int (*run)(struct snapmgr_err *err), const char *points, bool with_guard)
{
	int status;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid == 0)
		run_to_death(run, points, with_guard);
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, WUNTRACED));
	if (WIFSTOPPED(status)) {
		(void)count_named("snapmgr-guard", SIGKILL);
		(void)kill(pid, SIGKILL);
		ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		_exit(3);
	return WIFSIGNALED(status);
}

bool verbs_stop(int (*run)(struct snapmgr_err *err), const char *points)
{
	int status;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid == 0)
		run_to_death(run, points, true);
	ATF_REQUIRE_EQ(pid, waitpid(pid, &status, WUNTRACED));
	return WIFSTOPPED(status);
}

void verbs_scene(const struct verb *v)
{
	if (v->scene)
		v->scene();
	else
		scene_usual();
	lab_recover_program = "snapmgr"; /* of PATH, without failpoints */
	if (!lab)
		lab_reopen();
}
