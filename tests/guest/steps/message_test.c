/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel that answers with errors: each verb, at each message that it sends, twice: the message was
 * refused, or it was carried out and the answer is wrong. And at each suspend, which the kernel never does
 * halfway: a device that cannot be suspended.
 *
 * The linker hands us both (--wrap, see the Makefile). A verb that fails has changed nothing, one that
 * succeeds is done, and the same again succeeds.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "steps.h"

#define MOST	    3 /* messages of a verb that fail, spread over all */
#define MESSAGE_MAX 512
#define LOST_MAX    10

int __real_sdm_message(const char *name, struct snapmgr_err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int __wrap_sdm_message(const char *name, struct snapmgr_err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

int __real_sdm_suspend(const char *name, unsigned int flags, uint32_t *ret_openers,
		       struct snapmgr_err *err);
int __wrap_sdm_suspend(const char *name, unsigned int flags, uint32_t *ret_openers,
		       struct snapmgr_err *err);

enum mode { REFUSED, DONE_ALL_THE_SAME, MODES };

static struct {
	unsigned int sent, fails; /* so many so far; which one fails, 0: none */
	enum mode mode;
	bool suspends; /* they are counted, and messages are not */
	bool keeps;    /* ids: it refuses to delete any */
	unsigned int kept, deleted;
	pid_t pid;		   /* whose: a guard is another */
	char message[MESSAGE_MAX]; /* that one */
} kernel;

int __wrap_sdm_suspend(const char *name, unsigned int flags, uint32_t *ret_openers,
		       struct snapmgr_err *err)
{
	if (!kernel.suspends || ++kernel.sent != kernel.fails)
		return __real_sdm_suspend(name, flags, ret_openers, err);
	(void)strcpy(kernel.message, "suspend");
	return sm_fail(err, SNAPMGR_KERNEL, EINVAL, "cannot suspend '%s'", name);
}

static int send(const char *name, const char *message, struct snapmgr_err *err)
{
	const bool deletes = strncmp(message, "delete ", 7) == 0;
	int r;

	if (deletes && kernel.keeps) {
		kernel.kept++;
		return sm_fail(err, SNAPMGR_KERNEL, EIO, "device '%s' refused '%s'", name, message);
	}
	r = __real_sdm_message(name, err, "%s", message);
	kernel.deleted += deletes && r == 0;
	return r;
}

int __wrap_sdm_message(const char *name, struct snapmgr_err *err, const char *fmt, ...)
{
	static const int errnos[] = { EIO, ENOMEM, EOPNOTSUPP };
	char message[MESSAGE_MAX];
	va_list ap;
	int r;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (kernel.suspends || ++kernel.sent != kernel.fails)
		return send(name, message, err);
	(void)sm_copy_text(kernel.message, sizeof(kernel.message), message);
	r = kernel.mode == REFUSED ? 0 : __real_sdm_message(name, err, "%s", message);
	return r < 0 ? r :
		       sm_fail(err, SNAPMGR_KERNEL, errnos[kernel.sent % SM_ARRAY(errnos)],
			       "device '%s' refused '%s'", name, message);
}

static struct shared {
	unsigned int messages, tries, refusals, next; /* of one verb */
	char doing[1000];
	struct picture before, after;
	char contents[4096];
} * shared;

static int run(const struct verb *v, unsigned int fails, enum mode mode, struct snapmgr_err *err)
{
	int r;

	kernel.sent = 0;
	kernel.fails = fails;
	kernel.mode = mode;
	*kernel.message = '\0';
	*err = (struct snapmgr_err){ .message = "" };
	r = v->run(err);
	kernel.fails = 0;
	return r;
}

static void start(const struct verb *v)
{
	v->start();
	picture_take(&shared->before, NULL, v->flags);
	if (v->half)
		v->half();
}

/* Undisturbed: how many messages, and what comes of it. The first time may send more than later ones. */
static void get_known(const struct verb *v)
{
	struct snapmgr_err err;

	for (int i = 0; i < 2; i++) {
		start(v);
		if (!(v->flags & VERB_POOL))
			picture_contents(shared->contents, sizeof(shared->contents));
		if (run(v, 0, REFUSED, &err) < 0)
			lose("it failed: %s", err.message);
		shared->messages = kernel.sent;
		picture_take(&shared->after, &shared->before, v->flags);
	}
}

static void again(const struct verb *v, bool done)
{
	struct snapmgr_err err;
	struct picture now;
	int r = run(v, 0, REFUSED, &err);

	if (r < 0 && (!done || (err.code != v->again && err.code != v->or_again)))
		lose("the same again: %s: %s", snapmgr_code_name(err.code), err.message);
	if (done) /* once more may be one more, or the way back */
		return;
	picture_take(&now, &shared->before, v->flags);
	if (texts_differ(now.text, shared->after.text))
		lose("the same again: %s", texts_differ(now.text, shared->after.text));
}

static void try(const struct verb *v, unsigned int fails, enum mode mode)
{
	const struct picture *want;
	struct snapmgr_err err;
	struct picture now;
	bool said; /* how far it came */
	int r;

	start(v);
	(void)snprintf(shared->doing, sizeof(shared->doing), "%s, message %u of %u %s", v->name,
		       fails, shared->messages, mode == REFUSED ? "refused" : "done and refused");
	r = run(v, fails, mode, &err);
	(void)snprintf(shared->doing, sizeof(shared->doing),
		       "%s, message %u of %u ('%.100s') %s: %s", v->name, fails, shared->messages,
		       kernel.message, mode == REFUSED ? "refused" : "done and refused",
		       r < 0 ? err.message : "success");
	if (r < 0 && (err.code == SNAPMGR_OK || !err.message[0]))
		lose("it failed, and does not say why");
	shared->tries++;
	shared->refusals += r < 0;
	want = r < 0 ? &shared->before : &shared->after;
	picture_take(&now, &shared->before, v->flags);
	said = r < 0 && strstr(err.message, "is imported, but inactive");
	if (texts_differ(now.text, want->text) && !(v->flags & VERB_MIDWAY) && !said)
		lose("it %s, but: %s", r < 0 ? "failed" : "succeeded",
		     texts_differ(now.text, want->text));
	if (!(v->flags & (VERB_POOL | VERB_MIDWAY)))
		lab_check_rest();
	again(v, r == 0 || said);
	if (!(v->flags & VERB_POOL))
		lab_check_rest();
}

static void check_contents(const struct verb *v)
{
	char contents[sizeof(shared->contents)];

	if (v->flags & VERB_POOL)
		return;
	start(v);
	picture_contents(contents, sizeof(contents));
	if (texts_differ(contents, shared->contents))
		lose("contents: %s", texts_differ(contents, shared->contents));
}

/* Which of the messages, counted from 1. */
static unsigned int nth(unsigned int i)
{
	return shared->messages <= MOST ? i + 1 : 1 + i * (shared->messages - 1) / (MOST - 1);
}

static void work(const struct verb *v)
{
	unsigned int n;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sm_copy_text(shared->doing, sizeof(shared->doing), v->name);
	verbs_scene(v);
	get_known(v);
	n = shared->messages < MOST ? shared->messages : MOST;
	while (shared->next < n * MODES) {
		const unsigned int i = shared->next++;

		if (!kernel.suspends || i % MODES == REFUSED)
			try(v, nth(i / MODES), (enum mode)(i % MODES));
	}
	if (n)
		check_contents(v);
	(void)fflush(NULL);
	_exit(0);
}

/* Return: how often it was lost. */
static unsigned int disturb(const struct verb *v)
{
	unsigned int lost = 0;
	int status;
	pid_t pid;

	shared->next = shared->tries = shared->refusals = 0;
	do {
		(void)fflush(NULL);
		pid = fork();
		if (pid == 0)
			work(v);
		ATF_REQUIRE_EQ(pid, waitpid(pid, &status, 0));
		if (status)
			printf("lost: %s\n", shared->doing);
		lost += status != 0;
	} while (status && lost < LOST_MAX && shared->next > 0 && shared->next < MODES * MOST &&
		 shared->next < MODES * shared->messages);
	if (shared->messages)
		printf("%s: %u messages, %u tries, %u of them failed, %u lost\n", v->name,
		       shared->messages, shared->tries, shared->refusals, lost);
	return lost;
}

static void disturb_all(unsigned int flag, const char *only, bool suspends)
{
	unsigned int lost = 0, tries = 0;

	kernel.suspends = suspends;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	ATF_REQUIRE(shared != MAP_FAILED);
	for (size_t i = 0; i < n_verbs; i++) {
		if ((verbs[i].flags & VERB_POOL) != flag || (only && strcmp(only, verbs[i].name)))
			continue;
		lost += disturb(&verbs[i]);
		tries += shared->tries;
	}
	printf("%u tries, %u lost\n", tries, lost);
	ATF_CHECK_MSG(lost == 0, "%u lost", lost);
	ATF_CHECK(tries > 0);
}

ATF_TC(a_verb_whose_message_fails_is_done_or_not_done);
ATF_TC_HEAD(a_verb_whose_message_fails_is_done_or_not_done, tc)
{
	atf_tc_set_md_var(tc, "timeout", "600");
}
ATF_TC_BODY(a_verb_whose_message_fails_is_done_or_not_done, tc)
{
	disturb_all(0, atf_tc_get_config_var_wd(tc, "verb", NULL), false);
}

ATF_TC(a_verb_whose_suspend_fails_is_done_or_not_done);
ATF_TC_HEAD(a_verb_whose_suspend_fails_is_done_or_not_done, tc)
{
	atf_tc_set_md_var(tc, "timeout", "600");
}
ATF_TC_BODY(a_verb_whose_suspend_fails_is_done_or_not_done, tc)
{
	disturb_all(0, atf_tc_get_config_var_wd(tc, "verb", NULL), true);
}

ATF_TC(a_change_of_a_pool_whose_message_fails_is_done_by_the_same_again);
ATF_TC_HEAD(a_change_of_a_pool_whose_message_fails_is_done_by_the_same_again, tc)
{
	atf_tc_set_md_var(tc, "timeout", "600");
}
ATF_TC_BODY(a_change_of_a_pool_whose_message_fails_is_done_by_the_same_again, tc)
{
	disturb_all(VERB_POOL, atf_tc_get_config_var_wd(tc, "verb", NULL), false);
}

ATF_TC_WITHOUT_HEAD(a_pool_comes_up_although_the_kernel_keeps_what_nothing_names);
ATF_TC_BODY(a_pool_comes_up_although_the_kernel_keeps_what_nothing_names, tc)
{
	const struct verb *v = verbs_find("snapshot of two");

	verbs_scene(v);
	v->start();
	ATF_REQUIRE(verbs_die(v->run, "dm.message.after:1", true)); /* one id is made */
	verbs_reopen();
	lab_forget();
	kernel.keeps = true;
	lab_warnings[0] = '\0';
	LAB_DO(snapmgr_pool_activate(lab, "p", &err));
	ATF_CHECK(kernel.kept > 0);
	ATF_CHECK_MSG(strstr(lab_warnings, "stays for now"), "%s", lab_warnings);
	ATF_CHECK(lab_holds(lab_node("p/v"), 0, SIZE, 2, LAB_DIRECT));
	LAB_DO(snapmgr_set(lab, "p/v", "label", "changed",
			   &err)); /* nor is it in the way of others */
	ATF_CHECK_EQ(0, kernel.deleted);

	kernel.keeps = false;
	LAB_DO(snapmgr_set(lab, "p/v", "label", "", &err));
	ATF_CHECK_EQ_MSG(1, kernel.deleted, "%u", kernel.deleted);
	LAB_DO(snapmgr_set(lab, "p/v", "label", "changed", &err));
	ATF_CHECK_EQ_MSG(1, kernel.deleted, "once is enough");
	lab_check_rest();
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, a_pool_comes_up_although_the_kernel_keeps_what_nothing_names);
	ATF_TP_ADD_TC(tp, a_verb_whose_message_fails_is_done_or_not_done);
	ATF_TP_ADD_TC(tp, a_verb_whose_suspend_fails_is_done_or_not_done);
	ATF_TP_ADD_TC(tp, a_change_of_a_pool_whose_message_fails_is_done_by_the_same_again);
	return atf_no_error();
}
