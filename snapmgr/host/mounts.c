/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mounts that were taken away, as text for another process, and back. */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "mountopts.h"
#include "shost.h"

/* As /proc writes them: what is between the fields, and the backslash, as "\040". */
static void write_field(FILE *f, const char *text)
{
	for (const char *p = text; *p; p++)
		if (strchr(" \t\n\\", *p))
			(void)fprintf(f, "\\%03o", (unsigned int)(unsigned char)*p);
		else
			(void)putc(*p, f);
}

static void write_one(FILE *f, const struct shost_mountinfo *m)
{
	(void)fprintf(f, "%d %d %u:%u ", m->id, m->parent, major(m->devno), minor(m->devno));
	write_field(f, m->root);
	(void)putc(' ', f);
	write_field(f, m->target);
	(void)putc(' ', f);
	write_field(f, m->flags);
	(void)fprintf(f, "%s%s%s - ", m->shared ? " shared:1" : "", m->slave ? " master:1" : "",
		      m->unbindable ? " unbindable" : "");
	write_field(f, m->fstype);
	(void)putc(' ', f);
	write_field(f, m->source);
	(void)putc(' ', f);
	write_field(f, m->super);
	(void)putc('\n', f);
}

char *shost_mounts_text(const struct shost_mounts *mounts)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	for (size_t i = 0; i < mounts->n; i++)
		write_one(f, &mounts->v[i].info);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

int shost_mounts_parse(const char *text, dev_t devno, struct shost_mounts *ret)
{
	struct shost_mounts mounts = { .devno = devno };
	AUTO(shost_mounttab_release) struct shost_mounttab tab = { 0 };
	char *copy = strdup(text);
	int r = copy ? shost_mounttab_parse(copy, &tab) : -ENOMEM;

	if (r < 0)
		return r;
	mounts.v = calloc(tab.n + 1, sizeof(*mounts.v));
	if (!mounts.v)
		return -ENOMEM;
	for (; mounts.n < tab.n; mounts.n++)
		mounts.v[mounts.n].info = tab.v[mounts.n];
	mounts.text = tab.text;
	tab.text = NULL;
	*ret = mounts;
	return 0;
}

const char *shost_mounts_where(const struct shost_mounts *mounts)
{
	return mounts->n ? mounts->v[0].info.target : "";
}
