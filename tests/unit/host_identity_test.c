/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A dead process told from a slow one. */
#include <atf-c.h>
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "snapmgr/host/identity.h"

#define REST "1 1 0 -1 4194560 5 0 0 0 0 0 0 0 20 0 1 0 77123 4096 100 18446744073709551615"

static void check_stat(const char *text, char state, uint64_t start)
{
	uint64_t got = 0;
	char got_state = 0;

	ATF_REQUIRE_EQ_MSG(0, shost_stat_parse(text, &got_state, &got), "%s", text);
	ATF_CHECK_EQ(state, got_state);
	ATF_CHECK_EQ_MSG(start, got, "%s", text);
}

ATF_TC_WITHOUT_HEAD(the_start_time_is_found_behind_any_name);
ATF_TC_BODY(the_start_time_is_found_behind_any_name, tc)
{
	check_stat("12 (bash) S 1 " REST, 'S', 77123);
	check_stat("12 (a b c) S 1 " REST, 'S', 77123);
	check_stat("12 (a) R 1 2 (x)) Z 1 " REST, 'Z', 77123);
	check_stat("12 ()) S 1 " REST "\n", 'S', 77123);
}

ATF_TC_WITHOUT_HEAD(a_broken_stat_is_refused);
ATF_TC_BODY(a_broken_stat_is_refused, tc)
{
	static const char no_blank[] = "12 (bash)S 1 " REST;
	static const char *const texts[] = {
		"",	      "12",	     "12 (bash",	  "12 (bash)",
		"12 (bash) ", "12 (bash) S", "12 (bash) S 1 2 3", no_blank,
	};
	uint64_t start;
	char state;

	for (size_t i = 0; i < SM_ARRAY(texts); i++)
		ATF_CHECK_EQ_MSG(-EINVAL, shost_stat_parse(texts[i], &state, &start), "'%s'",
				 texts[i]);
}

ATF_TC_WITHOUT_HEAD(this_process_lives);
ATF_TC_BODY(this_process_lives, tc)
{
	struct shost_owner self;

	ATF_REQUIRE_EQ(0, prctl(PR_SET_NAME, "a) b (c", 0, 0, 0));
	ATF_REQUIRE_EQ(0, shost_owner_self(&self, NULL));
	ATF_CHECK_EQ(getpid(), self.pid);
	ATF_CHECK(!sm_uuid_is_null(&self.boot_id));
	ATF_CHECK(self.start_ticks > 0);
	ATF_CHECK(shost_owner_alive(&self));
}

ATF_TC_WITHOUT_HEAD(another_boot_or_start_time_is_another_process);
ATF_TC_BODY(another_boot_or_start_time_is_another_process, tc)
{
	struct shost_owner self, other;

	ATF_REQUIRE_EQ(0, shost_owner_self(&self, NULL));
	other = self;
	other.start_ticks++;
	ATF_CHECK(!shost_owner_alive(&other));
	other = self;
	other.boot_id.b[0] ^= 1;
	ATF_CHECK(!shost_owner_alive(&other));
	other = self;
	other.pid = 0;
	ATF_CHECK(!shost_owner_alive(&other));
}

ATF_TC_WITHOUT_HEAD(a_zombie_and_a_reaped_process_are_dead);
ATF_TC_BODY(a_zombie_and_a_reaped_process_are_dead, tc)
{
	struct shost_owner child;
	int fds[2];
	pid_t pid;

	ATF_REQUIRE_EQ(0, pipe(fds));
	pid = fork();
	ATF_REQUIRE(pid >= 0);
	if (pid == 0) {
		struct shost_owner self;

		if (shost_owner_self(&self, NULL) < 0 || write(fds[1], &self, sizeof(self)) < 0)
			_exit(1);
		_exit(0);
	}
	ATF_REQUIRE_EQ(sizeof(child), read(fds[0], &child, sizeof(child)));
	ATF_CHECK_EQ(pid, child.pid);
	ATF_REQUIRE_EQ(0, waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT));
	ATF_CHECK(!shost_owner_alive(&child));
	ATF_REQUIRE_EQ(pid, waitpid(pid, NULL, 0));
	ATF_CHECK(!shost_owner_alive(&child));
}

ATF_TC_WITHOUT_HEAD(a_machine_has_one_id_and_name);
ATF_TC_BODY(a_machine_has_one_id_and_name, tc)
{
	struct sm_uuid a, b;
	char name[65], again[65];

	shost_machine(&a, name);
	shost_machine(&b, again);
	ATF_CHECK(!sm_uuid_is_null(&a));
	ATF_CHECK(sm_uuid_equal(&a, &b));
	ATF_CHECK_STREQ(name, again);
	ATF_CHECK(strlen(name) > 0);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, the_start_time_is_found_behind_any_name);
	ATF_TP_ADD_TC(tp, a_broken_stat_is_refused);
	ATF_TP_ADD_TC(tp, this_process_lives);
	ATF_TP_ADD_TC(tp, another_boot_or_start_time_is_another_process);
	ATF_TP_ADD_TC(tp, a_zombie_and_a_reaped_process_are_dead);
	ATF_TP_ADD_TC(tp, a_machine_has_one_id_and_name);
	return atf_no_error();
}
