/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What happened, written down with what happened. */
#include "snapmgr/core/core.h"

/* Errors quote what they met; a row takes valid UTF-8 without control characters only. */
static void copy_clean(char *to, size_t size, const char *from)
{
	size_t at = 0;

	while (from && *from) {
		size_t len = sm_utf8_length(from);
		bool odd = !len || (unsigned char)*from < ' ' || *from == 0x7f;

		len = len ? len : 1;
		if (at + len >= size)
			break;
		memcpy(to + at, odd ? "?" : from, odd ? 1 : len);
		at += odd ? 1 : len;
		from += len;
	}
	to[at] = '\0';
	if (!sm_utf8_valid(to)) /* a control character of more than one byte */
		for (size_t i = 0; i < at; i++)
			to[i] = (unsigned char)to[i] < 0x80 ? to[i] : '?';
}

int sm_message(struct sm_pool *pool, const struct sm_message *m, struct snapmgr_err *err)
{
	struct scat_message row = { .created_at_us = pool->op.started_at_us };

	if (!row.created_at_us)
		row.created_at_us = sm_now_us();
	(void)sm_copy_text(row.level, sizeof(row.level), m->level);
	(void)sm_copy_text(row.verb, sizeof(row.verb), m->verb);
	(void)sm_copy_text(row.code, sizeof(row.code), m->code ? m->code : "");
	(void)sm_copy_text(row.kind, sizeof(row.kind), m->kind);
	if (m->object)
		row.object = *m->object;
	if (m->operation)
		row.operation = *m->operation;
	copy_clean(row.project, sizeof(row.project), m->project);
	copy_clean(row.text, sizeof(row.text), m->text);
	return scat_message_insert(pool->cat, &row, err);
}

void sm_message_failed(struct sm_pool *pool, const struct sm_message *about, const char *name,
		       const struct snapmgr_err *why)
{
	char text[SNAPMGR_MESSAGE_MAX];
	const struct sm_message m = { .level = "error",
				      .verb = pool->op.verb,
				      .code = snapmgr_code_name(why->code),
				      .kind = about->kind,
				      .object = about->object,
				      .project = about->project,
				      .operation = &pool->op.uuid,
				      .text = text };

	if (why->code == SNAPMGR_IN_USE || why->code == SNAPMGR_LOCKED)
		return;
	(void)snprintf(text, sizeof(text), "%s of %s '%s/%s' failed, and it is as it was: %.500s",
		       pool->op.verb, about->kind, pool->row.name, name, why->message);
	if (scat_begin(pool->cat, NULL) == 0 && sm_message(pool, &m, NULL) == 0)
		(void)scat_commit(pool->cat, false, NULL);
	scat_rollback(pool->cat);
}

void sm_message_volume_failed(struct sm_pool *pool, const struct scat_volume *v,
			      const struct snapmgr_err *why)
{
	const struct sm_message about = { .kind = "volume",
					  .object = &v->c.uuid,
					  .project = v->c.project };

	sm_message_failed(pool, &about, v->c.name, why);
}
