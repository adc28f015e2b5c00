#! /usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Failpoints: every call that needs one has one, and what is shipped has none.

top=$(dirname "$(dirname "$(command -v check-failpoints)")")
built=$top/${B:-build}

# shipped FILE - nothing in it speaks of failpoints
shipped()
{
	nm "$1" >symbols 2>/dev/null || nm -D "$1" >symbols || atf_fail "$1 cannot be read"
	strings -a "$1" >>symbols
	! grep -E 'sm_failpoint|SM_FAIL|guard\.committed' symbols
}

atf_test_case what_is_shipped_has_no_failpoints
what_is_shipped_has_no_failpoints_body()
{
	for file in "$built"/bin/snapmgr "$built"/lib/libsnapmgr.a "$built"/lib/libsnapmgr.so; do
		shipped "$file" || atf_fail "$file has failpoints"
	done
	# A test build does have them: else this one finds nothing anywhere.
	! shipped "$built"/failpoints/bin/snapmgr >/dev/null || atf_fail "the test build has none"
}

atf_test_case what_is_shipped_ignores_the_environment
what_is_shipped_ignores_the_environment_body()
{
	atf_check -s exit:0 -o ignore env SM_FAIL=folder.make.before:1 SM_FAIL_LOG="$PWD/log" \
		"$built"/bin/snapmgr capabilities
	[ ! -e log ] || atf_fail "it keeps a log of failpoints"
}

atf_test_case every_call_that_changes_something_has_failpoints
every_call_that_changes_something_has_failpoints_body()
{
	atf_check check-failpoints
}

atf_test_case a_call_that_lost_its_failpoints_is_found
a_call_that_lost_its_failpoints_is_found_head()
{
	atf_set descr "each of them in turn"
}
a_call_that_lost_its_failpoints_is_found_body()
{
	n=0
	cd "$top" || exit 1
	grep -rnE 'SM_(STEP|DO)\(' dm snapmgr --include='*.c' | cut -d: -f1,2 >"$OLDPWD/calls"
	while IFS=: read -r file line; do
		mkdir -p "$OLDPWD/$(dirname "$file")"
		awk -v line="$line" 'NR == line { sub(/SM_(STEP|DO)\(("[a-z.]*",)?/, "(") }
			{ print }' "$file" >"$OLDPWD/$file"
		! check-failpoints "$OLDPWD/$file" >"$OLDPWD/found" ||
			atf_fail "$file:$line: not missed"
		n=$((n + 1))
	done <"$OLDPWD/calls"
	[ "$n" -gt 70 ] || atf_fail "only $n"
}

atf_init_test_cases()
{
	atf_add_test_case what_is_shipped_has_no_failpoints
	atf_add_test_case what_is_shipped_ignores_the_environment
	atf_add_test_case every_call_that_changes_something_has_failpoints
	atf_add_test_case a_call_that_lost_its_failpoints_is_found
}
