/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * superblock.h - the header that makes a device a member of a pool
 *
 * A member begins with 1 MiB of header: copy A of the superblock at byte 0, copy B at byte 512 KiB,
 * each at most 128 KiB; the last 1 MiB of the device stays zero. Member 0's superblock is the truth
 * about the pool (name, members, regions, host); the others repeat it, and are rewritten from it
 * where their generation is older. All integers are little-endian; CRC-32C. See doc/CATALOGUE.md.
 */
#ifndef SSB_H
#define SSB_H

#include "base.h"

#define SSB_HEADER_BYTES SM_MIB
#define SSB_TAIL_BYTES	 SM_MIB
#define SSB_COPY_A	 0
#define SSB_COPY_B	 (512 * SM_KIB)
#define SSB_COPY_BYTES	 (128 * SM_KIB)
#define SSB_VERSION	 1u
#define SSB_MAX_MEMBERS	 512u
#define SSB_MAX_REGIONS	 2048u

enum ssb_role { SSB_ROLE_DATA = 1, SSB_ROLE_META = 2 }; /* META: given with --meta */
enum ssb_kind { SSB_CATALOGUE = 1, SSB_META = 2, SSB_SPARE = 3, SSB_DATA = 4 };

#define SSB_FLAG_ACTIVE	  1u /* @host has it active, or did not let go of it in good order */
#define SSB_FLAG_EXPORTED 2u /* only an import takes it */

struct ssb_member {
	struct sm_uuid uuid;
	uint64_t size_bytes; /* as found when it joined */
	enum ssb_role role;
};
/* Regions of one kind, in table order, are concatenated. */
struct ssb_region {
	enum ssb_kind kind;
	uint32_t member; /* index */
	uint64_t start_sectors, len_sectors;
};
struct ssb {
	struct sm_uuid pool_uuid;
	char pool_name[SNAPMGR_NAME_MAX + 1];
	char driver[16];
	uint64_t generation; /* one more at each rewrite */
	uint32_t self;	     /* index of the member that this was read from */
	uint32_t flags;
	uint32_t block_bytes;	/* logical block of the pool: 512 or 4096 */
	uint32_t chunk_sectors; /* thin chunk */
	int64_t created_at_us;
	char host[65];		/* host name, for messages */
	struct sm_uuid host_id; /* of the machine, stable over reboots */
	uint32_t n_members, n_regions;
	struct ssb_member *members; /* owned */
	struct ssb_region *regions; /* owned */
};

/* AUTO(ssb_release) struct ssb sb = {0}; releases at the end of scope. */
void ssb_release(struct ssb *sb); /* frees what it owns; zeroed or released is fine */
static inline void auto_ssb_release(struct ssb *sb)
{
	ssb_release(sb);
}
int ssb_clone(const struct ssb *from, struct ssb *ret, struct snapmgr_err *err);

/**
 * ssb_encode() - @sb as bytes into @buf of SSB_COPY_BYTES, rest zeroed
 * Return: 0 or -E2BIG (too many members or regions).
 */
int ssb_encode(const struct ssb *sb, void *buf, struct snapmgr_err *err);
/**
 * ssb_decode() - one copy, hostile input: everything is checked (magic, checksum, version, counts,
 * names, overlapping regions, regions outside of their member's header and tail, self)
 *
 * Return: 0; -ENOMSG (no magic: not ours, err untouched); -EUCLEAN (damaged: ours, but broken);
 * -EPROTONOSUPPORT (newer_version).
 */
int ssb_decode(const void *buf, size_t len, struct ssb *ret, struct snapmgr_err *err);

struct ssb_health {
	bool bad_a, bad_b; /* unreadable, damaged, or older than the other */
};
/**
 * ssb_read() - the better copy on a device: the valid one with the higher generation
 * @path: block device; read with O_DIRECT
 * @health: may be NULL
 * Return: 0; -ENOMSG (not a member, err untouched); -EUCLEAN (both copies broken); -EIO; ...
 */
int ssb_read(const char *path, struct ssb *ret, struct ssb_health *health, struct snapmgr_err *err);
/**
 * ssb_write() - both copies for member @sb->self: A, flush, B, flush, O_DIRECT
 *
 * A crash in between leaves one whole copy, the old or the new. Does not touch the rest of header.
 */
int ssb_write(const char *path, const struct ssb *sb, struct snapmgr_err *err);
/* ssb_format() - zero the 1 MiB header and tail (old signatures), flush; then ssb_write() makes it ours. */
int ssb_format(const char *path, uint64_t size_bytes, struct snapmgr_err *err);
/* ssb_erase() - make a member an unformatted device again: both copies zeroed, flushed. */
int ssb_erase(const char *path, struct snapmgr_err *err);

/* Sum of the lengths of all regions of a kind. */
uint64_t ssb_kind_sectors(const struct ssb *sb, enum ssb_kind kind);

#endif
