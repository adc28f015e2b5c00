/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words of the targets thin-pool and thin (kernel: admin-guide/device-mapper/thin-provisioning). */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "dm/sdm.h"

#define THIN_ID_MAX ((UINT32_C(1) << 24) - 1)

/* "major:minor" as it is, a dm name as its node. */
static int put_device(char *to, size_t size, const char *dev)
{
	bool number = dev[strspn(dev, "0123456789:")] == '\0';

	return snprintf(to, size, "%s%s", number ? "" : "/dev/mapper/", dev);
}

void sdm_pool_target(const struct sdm_pool_table *pool, struct sdm_target *ret)
{
	char meta[SDM_NAME_MAX + 16], data[SDM_NAME_MAX + 16];

	*ret = (struct sdm_target){ .len_sectors = pool->data_sectors, .type = "thin-pool" };
	(void)put_device(meta, sizeof(meta), pool->meta_dev);
	(void)put_device(data, sizeof(data), pool->data_dev);
	(void)snprintf(ret->params, sizeof(ret->params), "%s %s %" PRIu32 " %" PRIu64 " %s", meta,
		       data, pool->chunk_sectors, pool->low_water_chunks,
		       pool->error_if_no_space ? "1 error_if_no_space" : "0");
}

void sdm_thin_target(const char *pool_dev, uint32_t id, uint64_t sectors, struct sdm_target *ret)
{
	char dev[SDM_NAME_MAX + 16];

	*ret = (struct sdm_target){ .len_sectors = sectors, .type = "thin" };
	(void)put_device(dev, sizeof(dev), pool_dev);
	(void)snprintf(ret->params, sizeof(ret->params), "%s %" PRIu32, dev, id);
}

static bool word_is(const char *word, const char *what)
{
	size_t len = strlen(what);

	return strncmp(word, what, len) == 0 && (word[len] == ' ' || word[len] == '\0');
}

static const char *next_word(const char *p)
{
	p += strcspn(p, " ");
	return p + strspn(p, " ");
}

/* A decimal number that ends at @end; moves *p behind that character. */
static bool number(const char **p, char end, uint64_t *ret)
{
	char *stop;

	if (**p < '0' || **p > '9')
		return false;
	errno = 0;
	*ret = strtoull(*p, &stop, 10);
	if (errno || (*stop != end && !(end == ' ' && *stop == '\0')))
		return false;
	*p = *stop ? stop + 1 : stop;
	return true;
}

static int bad_status(const char *name, const char *line, struct snapmgr_err *err)
{
	return sm_fail(err, SNAPMGR_KERNEL, EPROTO, "cannot understand status '%.100s' of '%s'",
		       line, name);
}

static bool parse_counts(const char **p, struct sdm_pool_status *s)
{
	return number(p, ' ', &s->transaction_id) && number(p, '/', &s->meta_used) &&
	       number(p, ' ', &s->meta_total) && number(p, '/', &s->data_used) &&
	       number(p, ' ', &s->data_total);
}

/* From the held root on; what later kernels add is passed over. */
static bool parse_flags(const char *p, struct sdm_pool_status *s)
{
	if (*p == '-')
		p = next_word(p);
	else if (!number(&p, ' ', &s->held_root))
		return false;
	s->read_only = word_is(p, "ro");
	s->out_of_data = word_is(p, "out_of_data_space");
	if (!s->read_only && !s->out_of_data && !word_is(p, "rw"))
		return false;
	while (*(p = next_word(p)))
		s->needs_check |= word_is(p, "needs_check");
	return true;
}

int sdm_pool_status(const char *pool_dev, bool flush, struct sdm_pool_status *ret,
		    struct snapmgr_err *err)
{
	struct sdm_pool_status s = { 0 };
	char line[SDM_PARAMS_MAX];
	const char *p = line;
	int r = sdm_status(pool_dev, flush, NULL, line, sizeof(line), err);

	if (r < 0)
		return r;
	s.fail = word_is(line, "Fail") || word_is(line, "Error");
	if (!s.fail && !(parse_counts(&p, &s) && parse_flags(p, &s)))
		return bad_status(pool_dev, line, err);
	*ret = s;
	return 0;
}

int sdm_thin_status(const char *name, struct sdm_info *ret_info, uint64_t *ret_mapped_sectors,
		    struct snapmgr_err *err)
{
	char line[SDM_PARAMS_MAX];
	const char *p = line;
	uint64_t mapped;
	int r = sdm_status(name, false, ret_info, line, sizeof(line), err);

	if (r < 0)
		return r;
	if (word_is(line, "Fail") || word_is(line, "Error"))
		return sm_fail(err, SNAPMGR_KERNEL, EIO, "thin device '%s' has failed", name);
	if (word_is(line, "-")) { /* as a suspended one says */
		*ret_mapped_sectors = 0;
		return 0;
	}
	if (!number(&p, ' ', &mapped))
		return bad_status(name, line, err);
	*ret_mapped_sectors = mapped;
	return 0;
}

int sdm_thin_mapped_end(const char *name, uint64_t *ret_sectors, struct snapmgr_err *err)
{
	char line[SDM_PARAMS_MAX];
	const char *p = line;
	uint64_t mapped, highest = 0;
	int r = sdm_status(name, false, NULL, line, sizeof(line), err);

	if (r < 0)
		return r;
	if (word_is(line, "Fail") || word_is(line, "Error"))
		return sm_fail(err, SNAPMGR_KERNEL, EIO, "thin device '%s' has failed", name);
	if (!number(&p, ' ', &mapped) || (!word_is(p, "-") && !number(&p, ' ', &highest)))
		return bad_status(name, line, err);
	*ret_sectors = mapped ? highest + 1 : 0;
	return 0;
}

struct live_id {
	uint32_t id;
	uint64_t sectors;
	bool found;
};

static int take_id(const struct sdm_target *target, void *data)
{
	struct live_id *live = data;
	const char *p = next_word(target->params);
	uint64_t id;

	if (strcmp(target->type, "thin") == 0 && number(&p, ' ', &id) && id <= THIN_ID_MAX)
		*live = (struct live_id){ (uint32_t)id, target->len_sectors, true };
	return 0;
}

int sdm_thin_live_id(const char *name, uint32_t *ret_id, uint64_t *ret_sectors,
		     struct snapmgr_err *err)
{
	struct live_id live = { 0 };
	int r = sdm_table(name, false, take_id, &live, err);

	if (r < 0)
		return r;
	if (!live.found)
		return sm_fail(err, SNAPMGR_NOT_FOUND, ENOENT, "device '%s' is no thin device",
			       name);
	*ret_id = live.id;
	*ret_sectors = live.sectors;
	return 0;
}

int sdm_thin_create(const char *pool_dev, uint32_t id, struct snapmgr_err *err)
{
	return sdm_message(pool_dev, err, "create_thin %" PRIu32, id);
}

int sdm_thin_snap(const char *pool_dev, uint32_t id, uint32_t origin, struct snapmgr_err *err)
{
	return sdm_message(pool_dev, err, "create_snap %" PRIu32 " %" PRIu32, id, origin);
}

int sdm_thin_delete(const char *pool_dev, uint32_t id, struct snapmgr_err *err)
{
	int r = sdm_message(pool_dev, err, "delete %" PRIu32, id);

	return r == -ENODATA ? 1 : r;
}

int sdm_pool_transaction(const char *pool_dev, uint64_t from, uint64_t to, struct snapmgr_err *err)
{
	return sdm_message(pool_dev, err, "set_transaction_id %" PRIu64 " %" PRIu64, from, to);
}

int sdm_meta_snap(const char *pool_dev, bool reserve, struct snapmgr_err *err)
{
	int r = sdm_message(pool_dev, err, "%s_metadata_snap", reserve ? "reserve" : "release");

	return !reserve && r == -EINVAL ? 0 : r;
}
