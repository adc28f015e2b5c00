#! /usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2154 # refusal: see lib.sh
#
# What is to stay free: undo points go first, then snapshots are refused.
. "$(atf_get_srcdir)/../../lib.sh"
. "$(atf_get_srcdir)/../../pool.sh"

# fill VOLUME MIB [SEEK] - so much of it written with something that is not zero
fill()
{
	tr '\0' 'f' </dev/zero | dd of="/dev/snapmgr/$1" bs=1M count="$2" seek="${3-0}" iflag=fullblock \
		oflag=direct conv=notrunc status=none || atf_fail "cannot write $2 MiB to $1"
}

# used POOL - percent of its data
used()
{
	snapmgr pool show "$1" --json | jq '.used * 100 / .size | floor'
}

atf_test_case limits_are_set_and_shown_and_wrong_ones_refused
limits_are_set_and_shown_and_wrong_ones_refused_body()
{
	fresh
	ok snapmgr pool create p0 "$(loop a 64M)"
	snapmgr get p0 --json | expect '90 5' '"\(.high_water) \(.reserve)"'
	ok snapmgr set p0 high_water=95% reserve=0
	[ "$(snapmgr get p0)" = "high_water: 95%
low_water: 80%
reserve: 0%
error_if_no_space: off" ] || atf_fail "not: $(snapmgr get p0)"
	[ "$(snapmgr get p0 high_water)" = 95% ] || atf_fail "high_water"
	refuses usage 2 set p0 high_water=49%
	refuses usage 2 set p0 high_water=101%
	refuses usage 2 set p0 reserve=51
	refuses usage 2 set p0 reserve=5x
	refuses usage 2 set p0 reserve=-1
	refuses usage 2 set p0 reserve=7% no_such=1
	refuses usage 2 set p0 tag:a=b
	refuses usage 2 set p0 error_if_no_space=maybe
	ok snapmgr set p0 error_if_no_space=on
	[ "$(snapmgr get p0 error_if_no_space)" = on ] || atf_fail "error_if_no_space"
	snapmgr pool show p0 --json | expect true .error_if_no_space
	dmsetup table snapmgr-p0-_pool | grep -q error_if_no_space || atf_fail "not at once"
	ok snapmgr pool extend p0 "$(loop more 64M)"
	dmsetup table snapmgr-p0-_pool | grep -q error_if_no_space || atf_fail "not kept by an extend"
	snapmgr get p0 --json | expect '95 0' '"\(.high_water) \(.reserve)"'
	ok snapmgr pool deactivate p0
	refuses bad_state 4 get p0
	ok snapmgr pool activate p0
	dmsetup table snapmgr-p0-_pool | grep -q error_if_no_space || atf_fail "not by an activation"
	ok snapmgr set p0 high_water= reserve= error_if_no_space=
	! dmsetup table snapmgr-p0-_pool | grep error_if_no_space || atf_fail "still on"
	snapmgr pool show p0 --json | expect '90 5' '"\(.high_water) \(.reserve)"'
}

atf_test_case past_the_mark_undo_points_go_the_oldest_first_and_no_active_one
past_the_mark_undo_points_go_the_oldest_first_and_no_active_one_body()
{
	local oldest second newest sum

	fresh
	ok snapmgr pool create p0 "$(loop a 192M)"
	ok snapmgr set p0 high_water=60%
	ok snapmgr create p0/v --size 64M
	ok snapmgr create p0/w --size 128M
	fill p0/v 8
	sum=$(sum_device /dev/snapmgr/p0/v)
	ok snapmgr snapshot p0/v@s
	for _ in 1 2 3; do
		fill p0/v 16 8
		ok snapmgr revert p0/v@s
	done
	newest=$(snapmgr show p0/v@undo --json | jq -r .uuid)
	second=$(snapmgr show p0/v@undo~1 --json | jq -r .uuid)
	oldest=$(snapmgr show p0/v@undo~2 --json | jq -r .uuid)
	ok snapmgr activate "$oldest"
	fill p0/w $(((65 - $(used p0)) * 1638 / 1000))
	[ "$(used p0)" -ge 60 ] || atf_fail "only $(used p0)% full"
	warns "undo point $second of volume 'p0/v' was dropped" snapmgr snapshot p0/w@s
	snapmgr show "$oldest" --json >/dev/null || atf_fail "the active one went"
	snapmgr show "$newest" --json >/dev/null || atf_fail "the newest one went"
	refuses not_found 3 show "$second"
	snapmgr messages p0 --json | grep -q "$second" || atf_fail "no message"
	[ "$(used p0)" -lt 60 ] || atf_fail "still $(used p0)% full"
	[ "$(sum_device /dev/snapmgr/p0/v)" = "$sum" ] || atf_fail "p0/v has changed"
	ok snapmgr pool check p0
}

atf_test_case the_reserve_refuses_snapshots_clones_and_volumes_and_names_the_way_out
the_reserve_refuses_snapshots_clones_and_volumes_and_names_the_way_out_body()
{
	fresh
	ok snapmgr pool create p0 "$(loop a 128M)"
	ok snapmgr create p0/v --size 256M
	fill p0/v 4
	ok snapmgr snapshot p0/v@s
	fill p0/v $((97 - $(used p0))) 8
	while [ "$(used p0)" -lt 95 ]; do
		fill p0/v 1 $((200 - $(used p0)))
	done
	for what in 'snapshot p0/v@t' 'clone p0/v@s p0/c' 'create p0/n --size 16M'; do
		# shellcheck disable=SC2086 # words
		refuses no_space 5 $what
		says 'less than 5% of its data space' 'snapmgr pool extend p0 DEVICE' \
			'snapmgr set p0 reserve='
	done
	snapmgr list p0 --json | expect '1 1' '"\(.volumes | length) \(.snapshots | length)"'
	ok snapmgr revert p0/v@s # wants no data
	ok snapmgr undo p0/v
	ok snapmgr set p0 reserve=0%
	warns 'was dropped' snapmgr snapshot p0/v@t
	ok snapmgr delete p0/v@t
	ok snapmgr set p0 reserve=
	ok snapmgr pool extend p0 "$(loop b 128M)"
	ok snapmgr snapshot p0/v@t
	ok snapmgr pool check p0
}

atf_init_test_cases()
{
	atf_add_test_case limits_are_set_and_shown_and_wrong_ones_refused
	atf_add_test_case past_the_mark_undo_points_go_the_oldest_first_and_no_active_one
	atf_add_test_case the_reserve_refuses_snapshots_clones_and_volumes_and_names_the_way_out
}
