#!/usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# What a pool remembers of what happened.

# shellcheck source=tests/lib.sh
. "$(atf_get_srcdir)/../../lib.sh"
# shellcheck source=tests/pool.sh
. "$(atf_get_srcdir)/../../pool.sh"

# start - a pool p0 with volume v and snapshots s1 and s2
start()
{
	fresh || atf_fail 'the guest is not clean'
	ok snapmgr pool create p0 "$(disk 1)"
	ok snapmgr create p0/v --size 64M --project blue
	ok snapmgr snapshot p0/v@s1
	ok snapmgr snapshot p0/v@s2
}

# last FILTER [ARG...] - of the newest message, on stdout
last()
{
	local filter="$1"

	shift
	snapmgr messages --json "$@" | jq -r ".messages[-1]$filter"
}

atf_test_case a_revert_leaves_a_message_that_says_what_by_what_and_when
a_revert_leaves_a_message_that_says_what_by_what_and_when_body()
{
	local uuid before

	start
	before=$(date -u +%Y-%m-%dT%H:%M:%S)
	ok snapmgr revert p0/v@s1
	uuid=$(snapmgr show p0/v --json | jq -r .uuid)
	snapmgr messages p0 --json >m.json
	expect 1 '.messages | length' <m.json
	expect 'revert info volume blue p0' \
		'.messages[0] | "\(.action) \(.level) \(.resource_type) \(.project) \(.pool)"' <m.json
	expect "$uuid" '.messages[0].resource_id' <m.json
	expect true '.messages[0].user_message | test("'"'p0/v' was reverted to snapshot 's1'"'")' <m.json
	expect true '.messages[0].request_id | test("^[0-9a-f-]{36}$")' <m.json
	expect true '.messages[0].uuid | test("^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-")' <m.json
	expect null '.messages[0].detail' <m.json
	expect true ".messages[0].created_at >= \"$before\" and .messages[0].expires_at > .messages[0].created_at" <m.json
}

atf_test_case what_changes_a_volume_for_good_leaves_a_message
what_changes_a_volume_for_good_leaves_a_message_body()
{
	start
	ok snapmgr revert p0/v@s1
	ok snapmgr undo p0/v
	ok snapmgr undo p0/v --drop --yes
	ok snapmgr delete p0/v@s2
	ok snapmgr delete p0/v --recursive --yes
	ok snapmgr pool extend p0 "$(disk 2)"
	atf_check -o inline:'revert undo undo-drop delete delete extend\n' \
		sh -c "snapmgr messages --json | jq -r '[.messages[].action] | join(\" \")'"
	atf_check -o match:"snapshot 'p0/v@s2' was deleted" -o match:'^TIME +LEVEL +ACTION' \
		-o match:"info +extend +- +- +pool 'p0' was extended by 1 device" snapmgr messages p0
}

atf_test_case what_was_refused_leaves_none
what_was_refused_leaves_none_body()
{
	start
	refuses not_found 3 -- revert p0/v@none
	refuses not_latest 4 -- revert p0/v@s1 --latest-only
	ok snapmgr revert p0/v@s1 --dry-run
	atf_check -o inline:'{"messages":[]}\n' snapmgr messages --json
	atf_check snapmgr messages
}

atf_test_case messages_are_picked_by_object_level_and_time
messages_are_picked_by_object_level_and_time_body()
{
	local now uuid

	start
	ok snapmgr create p0/w --size 16M
	ok snapmgr snapshot p0/w@s1
	ok snapmgr revert p0/v@s1
	sleep 1.1
	now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
	ok snapmgr revert p0/w@s1
	uuid=$(snapmgr show p0/w --json | jq -r .uuid)
	atf_check_equal "$uuid" "$(last .resource_id p0/w)"
	atf_check_equal 1 "$(snapmgr messages p0/w --json | jq '.messages | length')"
	atf_check_equal 1 "$(snapmgr messages --since "$now" --json | jq '.messages | length')"
	atf_check_equal 2 "$(snapmgr messages --since 1h --json | jq '.messages | length')"
	atf_check_equal 0 "$(snapmgr messages --level warning --json | jq '.messages | length')"
	ok snapmgr delete p0/w --recursive --yes
	atf_check_equal delete "$(last .action "$uuid")"
	refuses not_found 3 -- messages p0/w
	refuses not_found 3 -- messages 01234567-89ab-4cde-8fab-0123456789ab
	refuses usage 2 -- messages --level loud
	refuses usage 2 -- messages --since yesterday
}

atf_test_case a_revert_of_a_group_leaves_one_message_of_the_group
a_revert_of_a_group_leaves_one_message_of_the_group_body()
{
	start
	ok snapmgr create p0/w --size 16M
	ok snapmgr group create p0/g v w
	ok snapmgr snapshot p0/g@t1
	ok snapmgr revert p0/g@t1
	snapmgr messages p0/g --json >m.json
	expect 'revert group' '.messages[-1] | "\(.action) \(.resource_type)"' <m.json
	expect "$(snapmgr messages p0 --json | jq '.messages | length')" '.messages | length' <m.json
}

atf_test_case messages_travel_with_the_pool
messages_travel_with_the_pool_body()
{
	start
	ok snapmgr revert p0/v@s1
	last .uuid >before
	ok snapmgr pool export p0
	ok snapmgr pool import p0 --as p1
	atf_check_equal "$(cat before)" "$(last .uuid p1)"
}

atf_init_test_cases()
{
	atf_add_test_case a_revert_leaves_a_message_that_says_what_by_what_and_when
	atf_add_test_case what_changes_a_volume_for_good_leaves_a_message
	atf_add_test_case what_was_refused_leaves_none
	atf_add_test_case messages_are_picked_by_object_level_and_time
	atf_add_test_case a_revert_of_a_group_leaves_one_message_of_the_group
	atf_add_test_case messages_travel_with_the_pool
}
