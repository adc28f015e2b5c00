/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What people type: specs, sizes, UUIDs, text. What is taken must be in bounds and mean itself. */
#include <stdlib.h>
#include <string.h>

#include "base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void try_spec(const char *text)
{
	struct sm_spec spec, again;
	char built[SNAPMGR_SPEC_TEXT];
	struct snapmgr_err err;

	if (sm_spec_parse(text, &spec, &err) < 0) {
		must(err.code == SNAPMGR_USAGE && sm_utf8_valid(err.message));
		return;
	}
	(void)snprintf(built, sizeof(built), "%s%s%s%s%s", spec.pool, spec.volume[0] ? "/" : "",
		       spec.volume, spec.snapshot[0] ? "@" : "", spec.snapshot);
	must(strcmp(built, text) == 0 && sm_spec_parse(built, &again, NULL) == 0);
	must(!strchr(spec.pool, '/') && !strchr(spec.volume, '@') &&
	     strcmp(spec.volume, "..") != 0);
}

static void try_size(const char *text)
{
	uint64_t bytes, again;
	char built[32];

	if (snapmgr_parse_size(text, &bytes, NULL) < 0)
		return;
	must(bytes <= INT64_MAX && text[0] >= '0' && text[0] <= '9');
	(void)snprintf(built, sizeof(built), "%llu", (unsigned long long)bytes);
	must(snapmgr_parse_size(built, &again, NULL) == 0 && again == bytes);
}

static void try_uuid(const char *text)
{
	char built[SNAPMGR_UUID_TEXT];
	struct sm_uuid uuid;

	if (!sm_uuid_parse(text, &uuid))
		return;
	sm_uuid_text(&uuid, built);
	must(strcasecmp(built, text) == 0 && sm_name_check("name", text, NULL) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1); /* of its exact size, so that a byte too many is seen */

	if (!text)
		return 0;
	memcpy(text, data, len);
	text[len] = '\0';
	try_spec(text);
	try_size(text);
	try_uuid(text);
	if (sm_name_check("name", text, NULL) == 0)
		must(sm_utf8_valid(text) && strlen(text) <= SNAPMGR_NAME_MAX);
	free(text);
	return 0;
}
