/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * superblock_fuzz.c - any bytes as a superblock
 *
 * The first byte says what is mended, so that the code behind the checks is reached: 1 the magic and
 * the version, 2 the length, 4 the checksum. What decodes must encode to the same bytes again.
 */
#include <errno.h>
#include <string.h>

#include "snapmgr/catalogue/bytes.h"
#include "snapmgr/catalogue/superblock.h"

#define AT_CRC	     16
#define AT_LENGTH    20
#define AT_VERSION   24
#define AT_N_MEMBERS 96
#define AT_N_REGIONS 100
#define FIXED_BYTES  512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend(unsigned char *buf, uint8_t what)
{
	uint64_t length = FIXED_BYTES + UINT64_C(32) * get_le32(buf + AT_N_MEMBERS) +
			  UINT64_C(24) * get_le32(buf + AT_N_REGIONS);

	if (what & 1) {
		memcpy(buf, "snapmgr pool\r\n\x1a", 16);
		put_le32(buf + AT_VERSION, SSB_VERSION);
	}
	if ((what & 2) && length <= SSB_COPY_BYTES)
		put_le32(buf + AT_LENGTH, (uint32_t)length);
	length = get_le32(buf + AT_LENGTH);
	if ((what & 4) && length >= FIXED_BYTES && length <= SSB_COPY_BYTES)
		put_le32(buf + AT_CRC, sm_crc32c(0, buf + AT_LENGTH, length - AT_LENGTH));
}

static void require(bool fine)
{
	if (!fine)
		abort();
}

static void require_same_again(const unsigned char *buf, const struct ssb *sb)
{
	AUTO(free) unsigned char *again = malloc(SSB_COPY_BYTES);
	AUTO(ssb_release) struct ssb copy = { 0 };
	struct snapmgr_err err;

	require(again != NULL);
	require(ssb_clone(sb, &copy, &err) == 0);
	require(ssb_encode(&copy, again, &err) == 0);
	require(memcmp(buf, again, get_le32(buf + AT_LENGTH)) == 0);
	require(ssb_kind_sectors(sb, SSB_CATALOGUE) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(free) unsigned char *buf = calloc(1, SSB_COPY_BYTES);
	AUTO(ssb_release) struct ssb sb = { 0 };
	struct snapmgr_err err = { 0 };
	int r;

	require(buf != NULL);
	if (size < 1 || size - 1 > SSB_COPY_BYTES)
		return 0;
	memcpy(buf, data + 1, size - 1);
	mend(buf, data[0]);
	r = ssb_decode(buf, SSB_COPY_BYTES, &sb, &err);
	if (r == 0)
		require_same_again(buf, &sb);
	else
		require(r == -ENOMSG ?
				err.code == SNAPMGR_OK :
				r == (err.code == SNAPMGR_DAMAGED ? -EUCLEAN : -EPROTONOSUPPORT));
	return 0;
}
