#!/usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# What is done for a pool without anybody asking.

# shellcheck source=tests/lib.sh
. "$(atf_get_srcdir)/../../lib.sh"
# shellcheck source=tests/pool.sh
. "$(atf_get_srcdir)/../../pool.sh"

# start - a pool p0 of some 900 MiB with volume v and snapshot s1
start()
{
	fresh || atf_fail 'the guest is not clean'
	ok snapmgr pool create p0 "$(disk 1)"
	ok snapmgr create p0/v --size 2G
	ok snapmgr snapshot p0/v@s1
}

# watch [ARG...] - a monitor in the background, whose events go to "events"
watch()
{
	: >events
	snapmgr monitor --every 1 --json "$@" >>events 2>monitor.err &
	monitor=$!
}

# event FILTER - waits, 20 s at most, for an event that jq finds true
event()
{
	local tries=0

	while jq -c "select($1)" events >found 2>/dev/null; [ ! -s found ]; do
		tries=$((tries + 1))
		if [ $tries -ge 100 ]; then
			kill "$monitor"
			atf_fail "no event with $1: $(tr '\n' ' ' <events)$(cat monitor.err)"
		fi
		sleep 0.2
	done
}

# unwatch - SIGTERM ends it, with status 0 and not a word on stderr
unwatch()
{
	local status=0

	kill -TERM "$monitor"
	wait "$monitor" || status=$?
	[ $status = 0 ] || atf_fail "the monitor ended with $status: $(cat monitor.err)"
	[ ! -s monitor.err ] || atf_fail "the monitor said: $(cat monitor.err)"
}

# fill MIB [SEEK] - so much of v gets contents of its own
fill()
{
	dd if=/dev/zero of=/dev/snapmgr/p0/v bs=1M count="$1" seek="${2-0}" oflag=direct status=none ||
		atf_fail 'cannot write'
}

atf_test_case it_drops_what_was_displaced_without_being_asked
it_drops_what_was_displaced_without_being_asked_body()
{
	start
	ok snapmgr set p0/v undo_keep=1
	fill 64
	watch
	event '.what == "pool"'
	ok snapmgr revert p0/v@s1
	fill 64
	ok snapmgr revert p0/v@s1
	ok snapmgr revert p0/v@s1
	event '.what == "garbage"'
	snapmgr pool show p0 --json | expect 0 .garbage
	unwatch
	ok snapmgr pool check p0
}

atf_test_case it_warns_once_where_a_mark_is_passed_and_leaves_a_message
it_warns_once_where_a_mark_is_passed_and_leaves_a_message_body()
{
	start
	watch p0
	event '.what == "pool"'
	size=$(snapmgr pool show p0 --json | jq .size)
	fill $((size * 83 / 100 / 1048576))
	event '.what == "space" and .level == "warning" and (.text | test("data of pool .p0. is 8[0-9]% full.*low-water"))'
	fill $((size / 10 / 1048576)) $((size * 83 / 100 / 1048576))
	event '.what == "space" and .level == "error" and (.text | test("high-water"))'
	sleep 2.5
	atf_check_equal 2 "$(jq -s '[.[] | select(.what == "space")] | length' events)"
	unwatch
	snapmgr messages p0 --json >m.json
	expect 'warning error' '[.messages[] | select(.action == "monitor") | .level] | join(" ")' <m.json
	expect no_space '.messages[-1].detail' <m.json
}

atf_test_case past_the_high_water_mark_it_lets_undo_points_go
past_the_high_water_mark_it_lets_undo_points_go_body()
{
	start
	ok snapmgr set p0 high_water=50% low_water=45%
	fill 250
	ok snapmgr revert p0/v@s1
	fill 100
	watch p0
	event '.what == "pool"'
	atf_check_equal 1 "$(snapmgr list --undo --json | jq '.undo_points | length')"
	fill 200 100
	event '.what == "space" and (.text | test("undo point .* was dropped"))'
	atf_check_equal 0 "$(snapmgr list --undo --json | jq '.undo_points | length')"
	event '.what == "space" and .level == "info"'
	unwatch
	ok snapmgr pool check p0
}

atf_test_case it_tells_when_there_is_room_again
it_tells_when_there_is_room_again_body()
{
	start
	watch p0
	event '.what == "pool"'
	size=$(snapmgr pool show p0 --json | jq .size)
	fill $((size * 83 / 100 / 1048576))
	event '.what == "space" and .level == "warning"'
	ok snapmgr pool extend p0 "$(disk 2)"
	event '.what == "space" and .level == "info" and (.text | test("below its low-water mark again"))'
	unwatch
}

atf_test_case it_tells_of_a_pool_that_runs_out_of_space
it_tells_of_a_pool_that_runs_out_of_space_body()
{
	start
	watch --every 3600
	event '.what == "pool"'
	size=$(snapmgr pool show p0 --json | jq .size)
	dd if=/dev/zero of=/dev/snapmgr/p0/v bs=1M count=$((size / 1048576 + 8)) oflag=direct \
		status=none 2>/dev/null &
	writer=$!
	# By an event of the kernel alone: nothing else would wake it within an hour.
	event '.what == "mode" and .level == "error" and (.text | test("out of data space"))'
	ok snapmgr pool extend p0 "$(disk 2)"
	wait $writer
	event '.what == "mode" and .level == "info"'
	unwatch
}

atf_test_case it_survives_pools_that_come_and_go
it_survives_pools_that_come_and_go_body()
{
	fresh || atf_fail 'the guest is not clean'
	watch p0
	event '.what == "pool" and .level == "warning" and (.text | test("waiting for it"))'
	ok snapmgr pool create p1 "$(disk 2)"
	ok snapmgr pool create p0 "$(disk 1)"
	event '.text == "pool '"'p0'"' is active"'
	ok snapmgr pool deactivate p0
	event '.text | test("not active any more")'
	: >events # it appends
	ok snapmgr pool activate p0
	event '.text | test("is active$")'
	ok snapmgr create p0/v --size 16M
	ok snapmgr pool destroy p0 --yes
	sleep 1.5
	kill -0 "$monitor" || atf_fail "the monitor is gone: $(cat monitor.err)"
	unwatch
	grep -q p1 events && atf_fail 'it looked after a pool that it was not given'
	true
}

atf_test_case it_finishes_what_the_dead_began
it_finishes_what_the_dead_began_body()
{
	start
	watch p0
	event '.what == "pool"'
	# Killed with a copy made that nothing names, before there is a guard that would see to it.
	SM_FAIL=dm.message.after:1 "$(atf_get_srcdir)/../../../failpoints/bin/snapmgr" revert p0/v@s1 >killed 2>&1 &&
		atf_fail 'it was not killed'
	event '.what == "recover" and (.text | test("the revert of .p0/v@s1. .* was cut short: the volume is as it was before"))'
	unwatch
	snapmgr messages p0/v --level warning --json >m.json
	expect 'recover volume' '.messages[-1] | "\(.action) \(.resource_type)"' <m.json
	expect true '.messages[-1].request_id | test("^[0-9a-f-]{36}$")' <m.json
	ok snapmgr pool check p0
	ok snapmgr revert p0/v@s1
}

atf_test_case it_holds_nothing_while_it_waits
it_holds_nothing_while_it_waits_body()
{
	start
	watch --every 3600
	event '.what == "pool"'
	sleep 0.5
	# Neither the lock (tried once) nor a device.
	ok snapmgr snapshot p0/v@s2 --wait 0
	ok snapmgr pool deactivate p0 --wait 0
	unwatch
}

atf_test_case an_interrupt_ends_it_as_well
an_interrupt_ends_it_as_well_body()
{
	start
	# A shell starts background jobs with SIGINT ignored; the handler overrides that.
	watch
	event '.what == "pool"'
	kill -INT "$monitor"
	wait "$monitor" || atf_fail "status $?"
}

atf_test_case what_cannot_be_monitored_is_refused
what_cannot_be_monitored_is_refused_body()
{
	refuses usage 2 -- monitor p0/v
	refuses usage 2 -- monitor p0 p1
	refuses usage 2 -- monitor --every soon
	refuses usage 2 -- monitor 'not/a@pool'
}

atf_init_test_cases()
{
	atf_add_test_case it_drops_what_was_displaced_without_being_asked
	atf_add_test_case it_warns_once_where_a_mark_is_passed_and_leaves_a_message
	atf_add_test_case past_the_high_water_mark_it_lets_undo_points_go
	atf_add_test_case it_tells_when_there_is_room_again
	atf_add_test_case it_tells_of_a_pool_that_runs_out_of_space
	atf_add_test_case it_survives_pools_that_come_and_go
	atf_add_test_case it_finishes_what_the_dead_began
	atf_add_test_case it_holds_nothing_while_it_waits
	atf_add_test_case an_interrupt_ends_it_as_well
	atf_add_test_case what_cannot_be_monitored_is_refused
}
