/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fake_state.h - what the files of the fake kernel share; no test includes it. */
#ifndef FAKE_STATE_H
#define FAKE_STATE_H

#include "fake_kernel.h"

#define FAKE_MAJOR  253
#define DEVICES_MAX 256
#define TARGETS_MAX 8
#define THINS_MAX   4096
#define FAILS_MAX   8
#define LOG_MAX	    (1024 * 1024)

struct table {
	size_t n; /* 0: none */
	bool read_only;
	struct sdm_target targets[TARGETS_MAX];
};

struct device {
	bool used, suspended;
	char name[SDM_NAME_MAX], uuid[SDM_UUID_MAX], status[SDM_PARAMS_MAX];
	int open;
	uint32_t event_nr;
	uint64_t value; /* where it is no thin */
	struct table live, inactive;
};

/* An id of the pool whose metadata lies on the device with that UUID. */
struct thin {
	bool used;
	char meta_uuid[SDM_UUID_MAX];
	uint32_t id;
	uint64_t value;
};

struct pool {
	char meta_uuid[SDM_UUID_MAX];
	uint64_t transaction;
	bool held;
};

struct fake {
	struct device devices[DEVICES_MAX];
	struct thin thins[THINS_MAX];
	struct pool pools[16];
	struct {
		char pattern[128];
		unsigned int left;
		int errnum;
	} fails[FAILS_MAX];
	char log[LOG_MAX], last_message[512], violations[4096];
	size_t log_len;
	void (*hook)(const char *line, void *data);
	void *hook_data;
	bool udev;
	unsigned int cookies;
	struct {
		char uuid[SDM_UUID_MAX], link[200];
	} announced[DEVICES_MAX];
	struct {
		bool armed, committed;
		size_t n;
		char names[64][SDM_NAME_MAX];
	} guard;
};

extern struct fake k;

/* fake_record() - before a call is carried out: the wanted failure or 0; @keep: into the log. */
int fake_record(bool keep, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void fake_violation(const char *what, const char *name);
/* fake_refused() - the error of a request about a device. */
int fake_refused(struct snapmgr_err *err, int r, const char *what, const char *name);
bool fake_refers(const struct table *t, const struct device *to);
unsigned int fake_users(const struct device *to); /* openers, and tables on top */
struct device *fake_find(const char *name);
/* fake_named() - the device that the first word of a table's parameters names. */
struct device *fake_named(const char *word);
const char *fake_word(const char *params, int n);
int fake_wake(struct device *d);
struct pool *fake_pool_of(const struct device *dev);
struct thin *fake_thin_of(const struct table *t);
int fake_obey(struct pool *p, const char *message);

#endif
