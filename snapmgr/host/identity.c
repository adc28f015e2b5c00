/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which machine this is, and which process: told apart from a later one of the same number. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "identity.h"
#include "sys.h"

/* 32 hexadecimal digits, as in /etc/machine-id. */
static bool parse_machine_id(const char *text, struct sm_uuid *ret)
{
	char dashed[SNAPMGR_UUID_TEXT];

	if (strlen(text) != 32)
		return false;
	(void)snprintf(dashed, sizeof(dashed), "%.8s-%.4s-%.4s-%.4s-%.12s", text, text + 8,
		       text + 12, text + 16, text + 20);
	return sm_uuid_parse(dashed, ret) && !sm_uuid_is_null(ret);
}

static void derive_from_name(const char *name, struct sm_uuid *ret)
{
	for (uint32_t i = 0; i < 4; i++) {
		uint32_t crc = sm_crc32c(i + 1, name, strlen(name));

		memcpy(ret->b + 4 * i, &crc, sizeof(crc));
	}
	ret->b[6] = (uint8_t)((ret->b[6] & 0x0f) | 0x80); /* version 8: vendor specific */
	ret->b[8] = (uint8_t)((ret->b[8] & 0x3f) | 0x80);
}

void shost_machine(struct sm_uuid *ret_id, char ret_name[65])
{
	char text[64];

	if (gethostname(ret_name, 65) < 0)
		ret_name[0] = '\0';
	ret_name[64] = '\0';
	if (shost_read_text(AT_FDCWD, "/etc/machine-id", text, sizeof(text)) < 0 ||
	    !parse_machine_id(text, ret_id))
		derive_from_name(ret_name, ret_id);
}

int shost_stat_parse(const char *text, char *ret_state, uint64_t *ret_start_ticks)
{
	const char *p = strrchr(text, ')'); /* the name before it may hold blanks and parentheses */
	char *end;
	uint64_t v;

	if (!p || p[1] != ' ' || !p[2] || p[3] != ' ')
		return -EINVAL;
	*ret_state = p[2];
	p += 2;
	for (int field = 3; field < 22; field++) {
		p = strchr(p, ' ');
		if (!p)
			return -EINVAL;
		p++;
	}
	errno = 0;
	v = strtoull(p, &end, 10);
	if (errno || end == p || (*end && *end != ' ' && *end != '\n'))
		return -EINVAL;
	*ret_start_ticks = v;
	return 0;
}

static int read_stat(int32_t pid, char *ret_state, uint64_t *ret_start_ticks)
{
	char path[32], text[1024];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	n = shost_read_text(AT_FDCWD, path, text, sizeof(text));
	return n < 0 ? (int)n : shost_stat_parse(text, ret_state, ret_start_ticks);
}

static int read_boot_id(struct sm_uuid *ret)
{
	char text[64];
	ssize_t n;

	n = shost_read_text(AT_FDCWD, "/proc/sys/kernel/random/boot_id", text, sizeof(text));
	if (n < 0)
		return (int)n;
	return sm_uuid_parse(text, ret) ? 0 : -EINVAL;
}

int shost_owner_self(struct shost_owner *ret, struct snapmgr_err *err)
{
	struct shost_owner self = { .pid = getpid() };
	char state;
	int r;

	r = read_boot_id(&self.boot_id);
	if (r < 0)
		return sm_fail(err, SNAPMGR_KERNEL, r, "cannot read the boot id from /proc");
	r = read_stat(self.pid, &state, &self.start_ticks);
	if (r < 0)
		return sm_fail(err, SNAPMGR_KERNEL, r, "cannot read '/proc/%d/stat'", self.pid);
	*ret = self;
	return 0;
}

bool shost_owner_alive(const struct shost_owner *owner)
{
	struct sm_uuid boot_id;
	uint64_t start;
	char state;

	if (owner->pid <= 0)
		return false;
	if (read_boot_id(&boot_id) == 0 && !sm_uuid_equal(&boot_id, &owner->boot_id))
		return false;
	if (read_stat(owner->pid, &state, &start) < 0) /* hidden from us, or gone */
		return kill(owner->pid, 0) == 0 || errno != ESRCH;
	return start == owner->start_ticks && state != 'Z' && state != 'X';
}

void shost_process_name(int32_t pid, char *ret, size_t size)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if (shost_read_text(AT_FDCWD, path, ret, size) < 0)
		ret[0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	if (!sm_utf8_valid(ret))
		ret[0] = '\0';
}
