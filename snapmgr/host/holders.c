/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who uses a block device, and its partitions. No process is spawned, nothing blocks. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "fsdev.h"
#include "loops.h"
#include "openers.h"
#include "shost.h"
#include "upper.h"

struct search {
	struct shost_fsdev *devs; /* the device, then its partitions */
	size_t n;
	unsigned int kinds;
	shost_holder_fn *visit;
	void *data;
	const struct shost_fsdev *dev; /* the one being looked at */
	size_t mounts, openers;	       /* found so far */
	bool mapped;		       /* looking for mappings */
};

static int tell(const struct search *s, struct shost_holder *holder, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int tell(const struct search *s, struct shost_holder *holder, const char *fmt, ...)
{
	size_t len = 0;
	va_list ap;

	holder->what[0] = '\0';
	if (s->dev != s->devs)
		(void)snprintf(holder->what, sizeof(holder->what), "partition '%s' ",
			       s->dev->kname);
	len = strlen(holder->what);
	va_start(ap, fmt);
	(void)vsnprintf(holder->what + len, sizeof(holder->what) - len, fmt, ap);
	va_end(ap);
	return s->visit(holder, s->data);
}

/* ---- devices on top ---- */

static int on_holder(dev_t devno, const char *kname, int sysfd, void *data)
{
	struct shost_holder holder = { .kind = SHOST_HOLDER };
	char name[128];

	(void)devno;
	shost_sys_dm(sysfd, "name", name, sizeof(name));
	if (*name)
		return tell(data, &holder, "held by device '%s' (%s)", kname, name);
	return tell(data, &holder, "held by device '%s'", kname);
}

static int find_holders(struct search *s)
{
	return shost_holders_of(s->dev->devno, on_holder, s);
}

/* ---- loop devices ---- */

static int find_loops(struct search *s)
{
	AUTO(shost_loops_release) struct shost_loops loops = { 0 };
	int r = shost_loops_load(&loops);

	for (size_t i = 0; r == 0 && i < loops.n; i++) {
		struct shost_holder holder = { .kind = SHOST_LOOP };

		for (s->dev = s->devs; r == 0 && s->dev < s->devs + s->n; s->dev++)
			if (loops.v[i].behind_node == s->dev->devno)
				r = tell(s, &holder, "attached to '/dev/%s'", loops.v[i].kname);
	}
	return r;
}

/* ---- swap ---- */

/* Of a name that was deleted, only the text is left: the names that the device has. */
static bool is_named(const struct shost_fsdev *dev, const char *path)
{
	AUTO(sm_close_fd) int sysfd = shost_sys_open(dev->devno);
	char name[256], dm[128];

	(void)snprintf(name, sizeof(name), "/dev/%s", dev->kname);
	if (strcmp(path, name) == 0)
		return true;
	shost_sys_dm(sysfd, "name", dm, sizeof(dm));
	(void)snprintf(name, sizeof(name), "/dev/mapper/%s", dm);
	return *dm && strcmp(path, name) == 0;
}

static int on_swap(struct search *s, const struct shost_swap *swap)
{
	dev_t devno = swap->deleted ? 0 : shost_rdev(swap->path);
	struct shost_holder holder = { .kind = SHOST_SWAP };
	int r = 0;

	for (s->dev = s->devs; r == 0 && s->dev < s->devs + s->n; s->dev++)
		if (devno ? devno == s->dev->devno :
			    swap->partition && is_named(s->dev, swap->path))
			r = tell(s, &holder, "used as swap");
	return r;
}

static int find_swaps(struct search *s)
{
	AUTO(free) char *text = NULL;
	struct shost_swap swap;
	char *rest, *line;
	int r;

	r = shost_read_file("/proc/swaps", &text);
	if (r < 0)
		return r == -ENOENT ? 0 : r; /* a kernel without swap */
	rest = text;
	while (r == 0 && (line = strsep(&rest, "\n")))
		if (shost_swap_line(line, &swap) == 0)
			r = on_swap(s, &swap);
	return r;
}

/* ---- mounts ---- */

static int on_mount(struct search *s, const struct shost_mountinfo *m, int32_t pid,
		    enum shost_use use)
{
	const char *as = use == SHOST_USE_JOURNAL ? "part of the filesystem mounted on" :
						    "mounted on";
	struct shost_holder holder = { .kind = SHOST_MOUNT, .pid = pid };
	char name[32];

	s->mounts++;
	if (pid) {
		shost_pid_name(pid, name);
		return tell(s, &holder, "%s '%s' in the mount namespace of process %d (%s)", as,
			    m->target, pid, name);
	}
	(void)sm_copy_text(holder.mount_point, sizeof(holder.mount_point), m->target);
	return tell(s, &holder, "%s '%s'", as, m->target);
}

static int find_mounts_in(struct search *s, const struct shost_mounttab *tab)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < tab->n; i++)
		for (s->dev = s->devs; r == 0 && s->dev < s->devs + s->n; s->dev++) {
			enum shost_use use = shost_fsdev_use(s->dev, &tab->v[i], tab->pid);

			if (use != SHOST_USE_NONE)
				r = on_mount(s, &tab->v[i], tab->pid, use);
		}
	return r;
}

static int on_namespace(int32_t pid, void *data)
{
	AUTO(shost_mounttab_release) struct shost_mounttab tab = { 0 };

	if (shost_mounttab_load(pid, &tab) < 0)
		return 0; /* ended meanwhile */
	return find_mounts_in(data, &tab);
}

/* A namespace can live without a process: by a bind mount, or an open descriptor. */
static int find_hidden_mount(struct search *s)
{
	struct shost_holder holder = { .kind = SHOST_MOUNT };
	int r = 0;

	for (s->dev = s->devs; r == 0 && s->dev < s->devs + s->n; s->dev++)
		if (s->dev->mounted || s->dev->journal)
			r = tell(s, &holder, "in use by a filesystem that is mounted out of sight");
	return r;
}

static int find_mounts(struct search *s)
{
	AUTO(shost_mounttab_release) struct shost_mounttab tab = { 0 };
	int r = shost_mounttab_load(0, &tab);

	if (r == 0)
		r = find_mounts_in(s, &tab);
	if (r == 0)
		r = shost_namespaces(on_namespace, s);
	if (r == 0 && s->mounts == 0)
		r = find_hidden_mount(s);
	return r;
}

/* ---- processes ---- */

static int on_opener(int32_t pid, const char *name, dev_t devno, void *data)
{
	struct shost_holder holder = { .kind = SHOST_PROCESS, .pid = pid };
	struct search *s = data;
	int r = 0;

	for (s->dev = s->devs; r == 0 && s->dev < s->devs + s->n; s->dev++) {
		if (s->dev->devno != devno)
			continue;
		s->openers++;
		r = tell(s, &holder, "%s by process %d (%s)", s->mapped ? "mapped" : "open", pid,
			 name);
	}
	return r;
}

static int find_processes(struct search *s)
{
	int r = shost_openers(false, on_opener, s);

	if (r != 0 || s->openers)
		return r;
	s->mapped = true;
	return shost_openers(true, on_opener, s);
}

/* ---- all of it ---- */

/* What mounts need is looked up only for them. */
static int look(dev_t devno, unsigned int kinds, struct shost_fsdev *ret)
{
	if (kinds & SHOST_MOUNT)
		return shost_fsdev_look(devno, ret);
	*ret = (struct shost_fsdev){ .devno = devno };
	return shost_sys_kname(devno, ret->kname);
}

static int add_device(dev_t devno, const char *kname, int sysfd, void *data)
{
	struct search *s = data;
	struct shost_fsdev *more = realloc(s->devs, (s->n + 1) * sizeof(*more));
	int r;

	(void)kname;
	(void)sysfd;
	if (!more)
		return -ENOMEM;
	s->devs = more;
	r = look(devno, s->kinds, &more[s->n]);
	if (r == 0)
		s->n++;
	return r == -ENOENT && s->n ? 0 : r; /* a partition may go meanwhile */
}

static int find(struct search *s)
{
	unsigned int kinds = s->kinds;
	int r = 0;

	for (s->dev = s->devs; kinds & SHOST_HOLDER && r == 0 && s->dev < s->devs + s->n; s->dev++)
		r = find_holders(s);
	if (r == 0 && kinds & SHOST_LOOP)
		r = find_loops(s);
	if (r == 0 && kinds & SHOST_SWAP)
		r = find_swaps(s);
	if (r == 0 && kinds & SHOST_MOUNT)
		r = find_mounts(s);
	if (r == 0 && kinds & SHOST_PROCESS)
		r = find_processes(s);
	return r;
}

/* Tells our own failures from what the caller's visitor answered, which is passed on as it is. */
struct answer {
	shost_holder_fn *visit;
	void *data;
	int r;
};

static int pass_on(const struct shost_holder *holder, void *data)
{
	struct answer *answer = data;

	answer->r = answer->visit(holder, answer->data);
	return answer->r;
}

int shost_holders(dev_t devno, unsigned int kinds, shost_holder_fn *visit, void *data,
		  struct snapmgr_err *err)
{
	struct answer answer = { visit, data, 0 };
	struct search s = { .kinds = kinds, .visit = pass_on, .data = &answer };
	int r;

	r = add_device(devno, NULL, -1, &s);
	if (r == 0)
		r = shost_partitions_of(devno, add_device, &s);
	if (r == 0)
		r = find(&s);
	free(s.devs);
	if (r != 0 && answer.r == 0)
		return shost_fail(err, r, "cannot tell who uses block device %u:%u", major(devno),
				  minor(devno));
	return r;
}
