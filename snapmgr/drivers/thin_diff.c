/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where two thin volumes differ: their mappings compared by thin_delta, and their chunks read. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/drivers/thin.h"

/* What thin_delta says of a range of chunks; it names the kind once, before the ranges of it. */
enum relation { NONE, SAME, DIFFERENT, LEFT_ONLY, RIGHT_ONLY };

struct delta {
	const char *const *argv;
	uint64_t chunk_bytes, left_bytes, right_bytes;
	enum relation relation;
	bool whole; /* its last line was there */
	struct sm_diff *diff;
	struct snapmgr_err *err;
};

static bool begins(const char *line, const char *what)
{
	return strncmp(line, what, strlen(what)) == 0;
}

/* "<range begin="3" left_data_begin="40" right_data_begin="7" length="2"/>", all counted in chunks */
static bool read_range(const char *line, const struct delta *d, struct sm_diff_extent *ret)
{
	const uint64_t chunk = d->chunk_bytes;
	uint64_t begin, left, right, len;
	bool whole;

	if (d->relation == DIFFERENT) {
		whole = sscanf(line,
			       "<range begin=\"%" SCNu64 "\" left_data_begin=\"%" SCNu64
			       "\" right_data_begin=\"%" SCNu64 "\" length=\"%" SCNu64,
			       &begin, &left, &right, &len) == 4;
	} else {
		whole = sscanf(line,
			       "<range begin=\"%" SCNu64 "\" data_begin=\"%" SCNu64
			       "\" length=\"%" SCNu64,
			       &begin, &left, &len) == 3;
		right = left;
	}
	if (!whole || d->relation == NONE)
		return false;
	*ret = (struct sm_diff_extent){
		.at_bytes = begin * chunk,
		.len_bytes = len * chunk,
		.left_at = d->relation == RIGHT_ONLY ? SM_NOWHERE : left * chunk,
		.right_at = d->relation == LEFT_ONLY ? SM_NOWHERE : right * chunk,
	};
	return true;
}

static bool read_relation(const char *line, enum relation *ret)
{
	static const struct {
		const char *tag;
		enum relation relation;
	} tags[] = {
		{ "<same>", SAME },
		{ "<different>", DIFFERENT },
		{ "<left_only>", LEFT_ONLY },
		{ "<right_only>", RIGHT_ONLY },
		{ "</", NONE },
	};

	for (size_t i = 0; i < SM_ARRAY(tags); i++) {
		if (begins(line, tags[i].tag)) {
			*ret = tags[i].relation;
			return true;
		}
	}
	return begins(line, "<superblock ") || begins(line, "<diff ") || !*line;
}

static int read_line(const char *line, void *data)
{
	struct delta *d = data;
	struct sm_diff_extent e;

	line += strspn(line, " \t");
	if (begins(line, "</superblock>"))
		d->whole = true;
	if (read_range(line, d, &e))
		return sm_diff_add(d->diff, e, d->relation == SAME, d->left_bytes, d->right_bytes,
				   d->err);
	if (read_relation(line, &d->relation))
		return 0;
	return sm_fail(d->err, SNAPMGR_DAMAGED, EUCLEAN, "thin_delta answered '%.60s'", line);
}

static int run_delta(void *data, struct snapmgr_err *err)
{
	struct delta *d = data;
	int r = sm_program_lines(d->argv, read_line, d, err);

	if (r == 0 && !d->whole)
		r = sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN, "thin_delta did not come to its end");
	return r;
}

int thin_diff(const struct sm_backend *b, const struct sm_vdev *left, const struct sm_vdev *right,
	      struct sm_diff *ret, struct snapmgr_err *err)
{
	char node[SDM_NAME_MAX + 16], ids[2][16];
	/* verbose: with the places of the chunks */
	const char *const argv[] = { "thin_delta", "--verbose", "--metadata-snap",
				     "--thin1",	   ids[0],	"--thin2",
				     ids[1],	   node,	NULL };
	AUTO(sm_diff_release) struct sm_diff diff = { 0 };
	struct delta d = {
		.argv = argv,
		.chunk_bytes = (uint64_t)b->chunk_sectors * SM_SECTOR,
		.left_bytes = left->size_bytes,
		.right_bytes = right->size_bytes,
		.diff = &diff,
		.err = err,
	};
	int r = thin_node(b, SM_ROLE_META, node, sizeof(node), err);

	(void)snprintf(ids[0], sizeof(ids[0]), "%" PRIu32, left->id);
	(void)snprintf(ids[1], sizeof(ids[1]), "%" PRIu32, right->id);
	if (r == 0)
		r = thin_on_snapshot(b, run_delta, &d, err);
	if (r < 0)
		return r;
	*ret = diff;
	diff = (struct sm_diff){ 0 };
	return 0;
}

/* A chunk is read where it lies, so nothing has to be mapped for it. */
int thin_diff_open(const struct sm_backend *b, const struct sm_vdev *v, struct snapmgr_err *err)
{
	struct sdm_info info;
	int r = sdm_info(b->roles[SM_ROLE_DATA].name, &info, err);

	(void)v;
	return r < 0 ? r : sm_node_open(&info, O_RDONLY | O_DIRECT, err);
}
