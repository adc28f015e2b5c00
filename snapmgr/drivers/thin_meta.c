/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thin pool's metadata: read, listed and checked. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "snapmgr/drivers/thin.h"

#define META_BLOCK    4096u
#define LISTING_BYTES (64 * SM_MIB)

/* The first block of the metadata, little-endian: struct thin_disk_superblock of dm-thin-metadata.c. */
#define SUPER_FLAGS	  4
#define SUPER_CSUM_XOR	  160774u
#define SUPER_MAGIC	  32
#define SUPER_TRANSACTION 48
#define MAGIC		  27022010u
#define FLAG_NEEDS_CHECK  1u

int thin_node(const struct sm_backend *b, enum sm_role role, char *ret, size_t size,
	      struct snapmgr_err *err)
{
	struct sdm_info info;
	int r = sdm_info(b->roles[role].name, &info, err);

	if (r < 0)
		return r;
	sm_node_path(&info, ret, size);
	return 0;
}

static int meta_node(const struct sm_backend *b, char *ret, size_t size, struct snapmgr_err *err)
{
	return thin_node(b, SM_ROLE_META, ret, size, err);
}

static uint64_t le64(const unsigned char *p)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static int read_super(const char *node, unsigned char *ret, struct snapmgr_err *err)
{
	AUTO(sm_close_fd) int fd = open(node, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pread(fd, ret, META_BLOCK, 0);

	if (n == META_BLOCK)
		return 0;
	return sm_fail(err, SNAPMGR_IO, n < 0 ? errno : EIO,
		       "cannot read the thin metadata on '%s'", node);
}

/* The checksum is of all that follows it: dm-thin-metadata.c, sb_check(). */
static bool is_whole(const unsigned char *block)
{
	uint32_t sum = ~sm_crc32c(0, block + 4, META_BLOCK - 4) ^ SUPER_CSUM_XOR;

	return le64(block + SUPER_MAGIC) == MAGIC && sum == (uint32_t)le64(block);
}

bool thin_super_whole(const char *node)
{
	AUTO(free) unsigned char *block = aligned_alloc(META_BLOCK, META_BLOCK);

	return block && read_super(node, block, NULL) == 0 && is_whole(block);
}

int thin_peek(const struct sm_backend *b, struct sm_space *ret, struct snapmgr_err *err)
{
	AUTO(free) unsigned char *block = aligned_alloc(META_BLOCK, META_BLOCK);
	char node[SDM_NAME_MAX + 16];
	int r = block ? meta_node(b, node, sizeof(node), err) : sm_nomem(err);

	if (r == 0)
		r = read_super(node, block, err);
	if (r < 0)
		return r;
	if (!is_whole(block))
		return sm_fail(
			err, SNAPMGR_DAMAGED, EUCLEAN,
			"the thin metadata of pool '%s' has no whole superblock: 'snapmgr pool "
			"check %s --repair'",
			b->name, b->name);
	*ret = (struct sm_space){
		.transaction_id = le64(block + SUPER_TRANSACTION),
		.needs_check = block[SUPER_FLAGS] & FLAG_NEEDS_CHECK,
	};
	return 0;
}

int thin_on_snapshot(const struct sm_backend *b, thin_look_fn *look, void *data,
		     struct snapmgr_err *err)
{
	const char *pool = b->roles[SM_ROLE_POOL].name;
	sigset_t signals;
	int r, r_release;

	sm_signals_hold(&signals); /* they end the tool, and us when it is released */
	r = sdm_meta_snap(pool, true, err);
	if (r == -EBUSY) { /* one that a dead process left */
		r = sdm_meta_snap(pool, false, err);
		if (r == 0)
			r = sdm_meta_snap(pool, true, err);
	}
	if (r == 0) {
		r = look(data, err);
		r_release = sdm_meta_snap(pool, false, r < 0 ? NULL : err);
		r = r < 0 ? r : r_release;
	}
	sm_signals_release(&signals);
	return r;
}

/* One of thin-provisioning-tools, and what it says. */
struct tool {
	const char *const *argv;
	char *out;
	size_t size;
};

static int run_tool(void *data, struct snapmgr_err *err)
{
	const struct tool *t = data;

	return sm_program_run(t->argv, t->out, t->size, err);
}

static int on_metadata_snapshot(const struct sm_backend *b, const char *const argv[], char *out,
				size_t size, struct snapmgr_err *err)
{
	struct tool tool = { argv, out, size };

	return thin_on_snapshot(b, run_tool, &tool, err);
}

static int visit_line(const char *line, sm_id_fn *visit, void *data, struct snapmgr_err *err)
{
	uint64_t mapped, exclusive;
	uint32_t id;

	if (sscanf(line, "%" SCNu32 " %" SCNu64 " %" SCNu64, &id, &mapped, &exclusive) != 3)
		return sm_fail(err, SNAPMGR_DAMAGED, EUCLEAN, "thin_ls answered '%.60s'", line);
	return visit(id, mapped, exclusive, data);
}

int thin_ids(const struct sm_backend *b, bool active, sm_id_fn *visit, void *data,
	     struct snapmgr_err *err)
{
	static const char columns[] = "DEV,MAPPED_BYTES,EXCLUSIVE_BYTES";
	char node[SDM_NAME_MAX + 16];
	const char *const live[] = { "thin_ls", "--metadata-snap", "--no-headers",
				     "-o",	columns,	   node,
				     NULL };
	const char *const still[] = { "thin_ls", "--no-headers", "-o", columns, node, NULL };
	AUTO(free) char *out = malloc(LISTING_BYTES);
	char *state = NULL;
	int r;

	if (!out)
		return sm_nomem(err);
	r = meta_node(b, node, sizeof(node), err);
	if (r == 0)
		r = active ? on_metadata_snapshot(b, live, out, LISTING_BYTES, err) :
			     sm_program_run(still, out, LISTING_BYTES, err);
	if (r < 0)
		return r;
	for (char *line = strtok_r(out, "\n", &state); line && r == 0;
	     line = strtok_r(NULL, "\n", &state))
		r = visit_line(line, visit, data, err);
	return r;
}

int thin_verify(const struct sm_backend *b, bool active, snapmgr_report_fn *report, void *data,
		struct snapmgr_err *err)
{
	char node[SDM_NAME_MAX + 16], out[2048];
	const char *const live[] = { "thin_check", "-q", "--metadata-snap", node, NULL };
	const char *const still[] = { "thin_check", "-q", node, NULL };
	struct snapmgr_err why;
	int r = meta_node(b, node, sizeof(node), err);

	if (r < 0)
		return r;
	r = active ? on_metadata_snapshot(b, live, out, sizeof(out), &why) :
		     sm_program_run(still, out, sizeof(out), &why);
	if (r == 0 || (why.code != SNAPMGR_DAMAGED)) {
		if (r < 0 && err)
			*err = why;
		return r;
	}
	return report(why.message, false, data);
}

int thin_absolve(const struct sm_backend *b, struct snapmgr_err *err)
{
	char node[SDM_NAME_MAX + 16], out[2048];
	const char *const argv[] = { "thin_check", "-q", "--clear-needs-check-flag", node, NULL };
	int r = meta_node(b, node, sizeof(node), err);

	return r < 0 ? r : sm_program_run(argv, out, sizeof(out), err);
}
