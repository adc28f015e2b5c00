/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of objects, and "pool/vol@snap" taken apart. */
#include <errno.h>
#include <string.h>

#include "base.h"

static bool alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Of the first characters, as many as a name may have. */
static size_t good_length(const char *name)
{
	size_t n = 0;

	while (alphanumeric(name[n]) || name[n] == '.' || name[n] == '_' || name[n] == '+' ||
	       name[n] == '-')
		n++;
	return n;
}

/* Quoting hostile text in a message: cut, and with what is not printable ASCII as '?'. */
static const char *quoted(const char *text, char buf[80])
{
	size_t i;

	for (i = 0; text[i] && i < 76; i++)
		buf[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	(void)strcpy(buf + i, text[i] ? "..." : "");
	return buf;
}

static const char *name_fault(const char *name)
{
	struct sm_uuid u;
	uint32_t n;

	if (!*name)
		return "is empty";
	if (strlen(name) > SNAPMGR_NAME_MAX)
		return "is longer than 64 characters";
	if (!alphanumeric(*name))
		return "does not begin with a letter or digit";
	if (name[good_length(name)])
		return "has a character other than A-Z a-z 0-9 . _ + -";
	if (sm_uuid_parse(name, &u))
		return "has the form of a UUID";
	if (sm_selector_parse(name, "undo", &n) || sm_selector_parse(name, "latest", &n))
		return "is reserved";
	return NULL;
}

int sm_name_check(const char *what, const char *name, struct snapmgr_err *err)
{
	const char *fault = name_fault(name);
	char buf[80];

	if (!fault)
		return 0;
	return sm_fail(err, SNAPMGR_USAGE, EINVAL, "%s '%s' %s", what, quoted(name, buf), fault);
}

bool sm_selector_parse(const char *text, const char *word, uint32_t *ret_back)
{
	size_t len = strlen(word);
	unsigned long back = 0;

	if (strncmp(text, word, len) != 0)
		return false;
	text += len;
	if (*text) {
		if (*text++ != '~' || !*text || strlen(text) > 6)
			return false;
		for (; *text; text++) {
			if (*text < '0' || *text > '9')
				return false;
			back = back * 10 + (unsigned long)(*text - '0');
		}
	}
	*ret_back = (uint32_t)back;
	return true;
}

/* One part of a spec: a name, or a UUID; in a snapshot's place a selector, too. */
static int take_part(const char *what, const char *from, size_t len, char to[SNAPMGR_NAME_MAX + 1],
		     struct snapmgr_err *err)
{
	char part[SNAPMGR_NAME_MAX + 2];
	struct sm_uuid u;
	uint32_t n;

	len = len > SNAPMGR_NAME_MAX + 1 ? SNAPMGR_NAME_MAX + 1 : len;
	memcpy(part, from, len);
	part[len] = '\0';
	bool selector = strcmp(what, "snapshot name") == 0 &&
			(sm_selector_parse(part, "latest", &n) ||
			 sm_selector_parse(part, "undo", &n));

	if (!selector && !sm_uuid_parse(part, &u)) {
		int r = sm_name_check(what, part, err);

		if (r < 0)
			return r;
	}
	return sm_copy_text(to, SNAPMGR_NAME_MAX + 1, part);
}

int sm_spec_parse(const char *text, struct sm_spec *ret, struct snapmgr_err *err)
{
	struct sm_spec spec = { 0 };
	const char *slash = strchr(text, '/'), *at = strchr(text, '@');
	size_t len = strlen(text);
	char buf[80];
	int r;

	if (at && (!slash || at < slash))
		return sm_fail(err, SNAPMGR_USAGE, EINVAL, "'%s' is not of the form pool/vol@snap",
			       quoted(text, buf));
	r = take_part("pool name", text, slash ? (size_t)(slash - text) : len, spec.pool, err);
	if (r == 0 && slash)
		r = take_part("volume name", slash + 1,
			      at ? (size_t)(at - slash) - 1 : len - (size_t)(slash - text) - 1,
			      spec.volume, err);
	if (r == 0 && at)
		r = take_part("snapshot name", at + 1, len - (size_t)(at - text) - 1, spec.snapshot,
			      err);
	if (r == 0)
		*ret = spec;
	return r;
}
