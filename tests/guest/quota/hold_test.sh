#! /usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A held snapshot stays, whatever is deleted around it.

. "$(atf_get_srcdir)/../../lib.sh"
. "$(atf_get_srcdir)/../../pool.sh"

begin()
{
	fresh
	device=$(loop a 64M)
	ok snapmgr pool create p0 "$device"
	ok snapmgr create p0/v --size 16M
	dd if=/dev/urandom of=/dev/snapmgr/p0/v bs=1M count=4 oflag=direct status=none
	ok snapmgr snapshot p0/v@s1
	ok snapmgr snapshot p0/v@kept
	ok snapmgr snapshot p0/v@s3
	ok snapmgr hold p0/v@kept
}

sum_of()
{
	snapmgr activate "$1" -q && sum_device "$(snapmgr show "$1" --json | json .device)" &&
		snapmgr deactivate "$1" -q
}

# held COMMAND... - refused, naming the snapshot and the way out; and nothing is gone
held()
{
	snapmgr list p0 --undo --json >before
	refuses held 4 "$@"
	says "p0/v@kept" "snapmgr release"
	snapmgr list p0 --undo --json >after
	cmp before after || atf_fail "$* changed: $(diff before after)"
}

atf_test_case nothing_deletes_a_held_snapshot
nothing_deletes_a_held_snapshot_body()
{
	local sum uuid

	begin
	sum=$(sum_of p0/v@kept)
	uuid=$(snapmgr show p0/v@kept --json | json .uuid)
	held delete p0/v@kept
	held delete p0/v@latest~1
	held delete "$uuid"
	held delete p0/v --recursive --yes
	held delete p0/v --recursive --dry-run
	ok snapmgr hold p0/v@kept # twice is once
	held delete p0/v@kept
	# Neighbours go, the tree closes around it.
	ok snapmgr delete p0/v@s1 p0/v@s3
	snapmgr show p0/v@kept --json | expect 'true null' '"\(.hold) \(.parent)"'
	# Reverts neither drop nor change it.
	dd if=/dev/urandom of=/dev/snapmgr/p0/v bs=1M count=4 oflag=direct status=none
	ok snapmgr revert p0/v@kept
	ok snapmgr undo p0/v --drop --yes
	held delete p0/v@kept
	# It is kept through names, activations and reboots of the pool.
	ok snapmgr rename p0/v@kept moved
	refuses held 4 delete p0/v@moved
	says "p0/v@moved"
	ok snapmgr rename p0/v@moved kept
	ok snapmgr pool export p0
	ok snapmgr pool import p0
	held delete p0/v --recursive --yes
	# Without its volume it has no name left but its UUID.
	ok snapmgr delete p0/v --keep-snapshots --yes
	refuses held 4 delete "$uuid"
	says "snapmgr release $uuid"
	ok snapmgr clone "$uuid" p0/w
	[ "$sum" = "$(sum_device /dev/snapmgr/p0/w)" ] || atf_fail "the snapshot has changed"
	ok snapmgr release "$uuid"
	ok snapmgr delete "$uuid"
	ok snapmgr pool check p0
}

atf_test_case several_objects_stop_at_a_held_one
several_objects_stop_at_a_held_one_body()
{
	begin
	refuses held 4 delete p0/v@kept p0/v@s3
	snapmgr list p0 --json | expect "s1 kept s3" '[.snapshots[].name] | join(" ")'
	refuses usage 2 hold p0/v
	refuses not_found 3 hold p0/v@none
	ok snapmgr revert p0/v@s1
	refuses usage 2 hold p0/v@undo
	ok snapmgr release p0/v@kept
	ok snapmgr release p0/v@kept # twice is once
	ok snapmgr delete p0/v --recursive --yes
}

atf_test_case a_held_member_keeps_the_snapshot_of_its_group
a_held_member_keeps_the_snapshot_of_its_group_body()
{
	begin
	ok snapmgr release p0/v@kept
	ok snapmgr delete p0/v@kept
	ok snapmgr create p0/w --size 1M
	ok snapmgr group create p0/g v w
	ok snapmgr snapshot p0/g@kept
	ok snapmgr hold p0/v@kept
	held delete p0/g@kept
	held delete p0/v --recursive --yes
	ok snapmgr group delete p0/g # no snapshot goes with it
	held delete p0/v@kept
	ok snapmgr delete p0/w --recursive --yes
	ok snapmgr group create p0/h v
	ok snapmgr snapshot p0/h@all
	ok snapmgr hold p0/h@all
	refuses held 4 delete p0/h@all
	refuses held 4 delete p0/v@all
	ok snapmgr release p0/h@all
	ok snapmgr delete p0/h@all
	ok snapmgr pool check p0
}

atf_test_case a_pool_with_held_snapshots_is_not_destroyed
a_pool_with_held_snapshots_is_not_destroyed_body()
{
	local before

	begin
	held pool destroy p0 --yes
	says "--force"
	held pool destroy p0 --dry-run
	for name in s1 s3; do
		ok snapmgr hold "p0/v@$name"
	done
	ok snapmgr snapshot p0/v@s4
	ok snapmgr hold p0/v@s4
	refuses held 4 pool destroy p0 --yes
	says "'p0/v@s1', 'p0/v@kept', 'p0/v@s3' and 1 more"
	for name in s1 s3 s4; do
		ok snapmgr release "p0/v@$name"
	done
	# Nor while it is inactive, when only its disks can tell.
	ok snapmgr pool deactivate p0
	before=$(sum_device "$device")
	refuses held 4 pool destroy p0 --yes
	says "p0/v@kept" "--force"
	refuses held 4 pool destroy p0 --dry-run
	[ "$(dmsetup ls)" = "No devices found" ] || atf_fail "left: $(dmsetup ls)"
	[ "$before" = "$(sum_device "$device")" ] || atf_fail "something was written"
	ok snapmgr pool export p0
	refuses held 4 pool destroy p0 --yes
	ok snapmgr pool import p0
	held delete p0/v@kept
	ok snapmgr release p0/v@kept
	ok snapmgr pool deactivate p0
	ok snapmgr pool destroy p0 --dry-run
	snapmgr pool show p0 --json | expect inactive .state
	ok snapmgr pool destroy p0 --yes
	refuses not_found 3 pool show p0
	ok snapmgr pool create p0 "$device"
	ok snapmgr create p0/v --size 1M
	ok snapmgr snapshot p0/v@kept
	ok snapmgr hold p0/v@kept
	ok snapmgr pool destroy p0 --yes --force
	ok snapmgr pool create p0 "$device"
}

atf_init_test_cases()
{
	atf_add_test_case nothing_deletes_a_held_snapshot
	atf_add_test_case several_objects_stop_at_a_held_one
	atf_add_test_case a_held_member_keeps_the_snapshot_of_its_group
	atf_add_test_case a_pool_with_held_snapshots_is_not_destroyed
}
