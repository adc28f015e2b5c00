/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * bytes.h - little-endian integers in disk structures, at any alignment
 */
#ifndef SCAT_BYTES_H
#define SCAT_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void put_le32(void *to, uint32_t value)
{
	value = htole32(value);
	memcpy(to, &value, sizeof(value));
}
static inline void put_le64(void *to, uint64_t value)
{
	value = htole64(value);
	memcpy(to, &value, sizeof(value));
}
static inline uint32_t get_le32(const void *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
	return le32toh(value);
}
static inline uint64_t get_le64(const void *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	return le64toh(value);
}
static inline uint32_t get_be32(const void *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
	return be32toh(value);
}
static inline uint16_t get_be16(const void *from)
{
	uint16_t value;

	memcpy(&value, from, sizeof(value));
	return be16toh(value);
}
static inline bool all_zero(const void *from, size_t len)
{
	const unsigned char *p = from;

	while (len > 0 && *p == 0) {
		p++;
		len--;
	}
	return len == 0;
}

#endif
