/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Row 10: what it costs to start: "snapmgr list" and "--help" against lvs, on a machine that does
 * nothing else, and which files are opened for it.
 */
#include "tests/bench/bench.h"

#include <string.h>

static const struct pair {
	const char *ours_name, *theirs_name, *ours[4], *theirs[4];
} pairs[] = {
	{ "snapmgr list", "lvs", { "snapmgr", "list" }, { "lvs" } },
	{ "snapmgr --help", "lvs --help", { "snapmgr", "--help" }, { "lvs", "--help" } },
};

/*
 * What such a command uses: itself, the libraries that it calls with those that they need, the run
 * directory, and devices. "/" is opened for nothing but the number of its descriptor.
 */
static const char *const used[] = {
	"/etc/ld.so.cache", "libdevmapper.so", "libsqlite3.so", "libc.so",	 "libm.so",
	"libselinux.so",    "libudev.so",      "libpcre2-8.so", "/run/snapmgr",	 "/dev/mapper",
	"/dev/dm-",	    "/sys/dev/block",  "/proc/self",	"/proc/devices", "/dev/null",
	"boot_id",	    "O_PATH",	       "/etc/snapmgr",
};

static bool is_used(const char *line)
{
	size_t i = 0;

	while (i < SM_ARRAY(used) && !strstr(line, used[i]))
		i++;
	return i < SM_ARRAY(used);
}

/* One line of strace for each file opened: name it where nobody uses it. @what NULL: only count. */
static unsigned int look(FILE *f, const char *what, unsigned int *opened)
{
	char line[1024];
	unsigned int odd = 0;

	*opened = 0;
	while (fgets(line, sizeof(line), f)) {
		if (!strstr(line, "open"))
			continue;
		(*opened)++;
		if (!what || is_used(line))
			continue;
		line[strcspn(line, "\n")] = '\0';
		note("%s opens what it does not use: %s", what, line);
		odd++;
	}
	return odd;
}

static void look_at_files(const struct pair *pair, bool ours)
{
	const char *const *command = ours ? pair->ours : pair->theirs;
	const char *name = ours ? pair->ours_name : pair->theirs_name;
	char path[] = "/tmp/bench-strace.XXXXXX";
	AUTO(sm_close_file) FILE *f = NULL;
	AUTO(sm_close_fd) int fd = mkstemp(path);
	const char *argv[12] = { "strace", "-qq", "-f", "-e", "trace=open,openat", "-o", path };
	unsigned int odd, opened;
	char what[96];

	for (size_t i = 0; command[i]; i++)
		argv[7 + i] = command[i];
	(void)snprintf(what, sizeof(what), "%s: files opened and not used", name);
	if (fd < 0 || !have("strace") || !command_ok(argv)) {
		not_measured(what, "strace does not work here");
		return;
	}
	f = fopen(path, "re");
	if (!f)
		die("no output of strace");
	odd = look(f, ours ? name : NULL, &opened);
	if (ours)
		at_most(what, odd, 0);
	note("%s: %u files opened", name, opened);
	(void)unlink(path);
}

static void compare(const struct pair *pair)
{
	struct series *us = series_at("ms", BENCH_NO_X, "%s", pair->ours_name),
		      *them = series_at("ms", BENCH_NO_X, "%s", pair->theirs_name);
	char what[96];

	for (int i = 0; i < bench.reps; i++) {
		for (int k = 0; k < 2; k++) {
			settle();
			if (alternate(i, k, 2) == 0)
				series_add(us, command_ms(pair->ours));
			else
				series_add(them, command_ms(pair->theirs));
		}
	}
	(void)snprintf(what, sizeof(what), "%s, part of the time of %s", pair->ours_name,
		       pair->theirs_name);
	at_most(what, series_median(us) / series_median(them), 1.0 / 3);
	look_at_files(pair, true);
	look_at_files(pair, false);
}

int main(int argc, char **argv)
{
	bench_start(10, true, argc, argv);
	pool_make();
	volume_make("bench/v", SM_GIB);
	snapshot_take("bench/v@s");
	lvm_start(true);
	(void)command_ms(ARGV("lvcreate", "-q", "-V", "1g", "-n", "v", "--thinpool", LVM_POOL));
	(void)command_ms(ARGV("lvcreate", "-q", "-s", "-ns", LVM_VG "/v"));
	for (size_t i = 0; i < SM_ARRAY(pairs); i++)
		compare(&pairs[i]);
	bench_end();
	return 0;
}
