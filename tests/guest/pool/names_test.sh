#!/usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# Pools of one name, pools of other hosts, and hosts on which pools cannot work.

. "$(atf_get_srcdir)/../../lib.sh"
. "$(atf_get_srcdir)/../../pool.sh"

atf_test_case two_pools_of_one_name_are_told_apart_by_uuid
two_pools_of_one_name_are_told_apart_by_uuid_body()
{
	local a first second

	fresh
	a=$(loop a 64M)
	ok snapmgr pool create p0 "$a"
	use_it p0
	first=$(snapmgr pool show p0 --json | json .uuid)
	ok snapmgr pool deactivate p0
	losetup -d "$a"
	ok snapmgr pool create p0 "$(loop b 64M)"
	second=$(snapmgr pool show p0 --json | json .uuid)
	losetup -f a.img
	# One is active: its name is its own, and nothing of the other may get in its way.
	snapmgr pool show p0 --json | expect "$second" .uuid
	refuses exists 4 pool activate "$first"
	says snapmgr-p0-
	ok snapmgr create p0/w --size 1M
	refuses exists 4 pool import "$first"
	says "--as NAME"
	refuses exists 4 pool import "$first" --as p0
	ok snapmgr pool deactivate p0
	refuses exists 4 pool activate p0
	says "two pools named 'p0'"
	refuses exists 4 pool import p0
	refuses exists 4 pool destroy p0 --yes
	refuses usage 2 pool import "$first" --as 'a b'
	ok snapmgr pool import "$first" --as p1
	used_it p1
	snapmgr pool show p1 --json | expect "$first" .uuid
	ok snapmgr pool activate p0
	ok snapmgr show p0/w
	# The new name is on the disk: also where it was only ours already.
	ok snapmgr pool deactivate p1
	ok snapmgr pool activate p1
	ok snapmgr pool check p1
	ok snapmgr pool check p0
}

atf_test_case an_import_renames_a_pool_that_a_crash_left_marked_as_ours
an_import_renames_a_pool_that_a_crash_left_marked_as_ours_body()
{
	fresh
	ok snapmgr pool create p0 "$(loop a 64M)"
	use_it p0
	dmsetup remove_all >/dev/null 2>&1
	dmsetup remove_all >/dev/null 2>&1
	ok snapmgr pool import p0 --as p1
	used_it p1
	ok snapmgr pool deactivate p1
	refuses not_found 3 pool activate p0
	ok snapmgr pool activate p1
	used_it p1
}

atf_test_case long_and_hyphenated_names_serve
long_and_hyphenated_names_serve_body()
{
	local long name

	fresh
	long=$(printf 'p%063d' 0)
	for name in "$long" a-b--c; do
		ok snapmgr pool create "$name" "$(loop a 64M)"
		use_it "$name"
		ok snapmgr pool deactivate "$name"
		ok snapmgr pool activate "$name"
		used_it "$name"
		ok snapmgr pool check "$name"
		ok snapmgr pool destroy "$name" --yes
	done
	for name in '' "${long}0" .. a/b 'a b' -x 6a9f7c1e-3d5b-4c2a-8e1f-0123456789ab; do
		refuses usage 2 pool create "$name" "$(disk 1)" --force
	done
}

atf_test_case without_rights_nothing_works_and_it_says_why
without_rights_nothing_works_and_it_says_why_body()
{
	fresh
	ok snapmgr pool create p0 "$(loop a 64M)"
	for what in "list" "show p0" "activate p0" "check p0" "create p1 $(disk 1)"; do
		# shellcheck disable=SC2086 # words
		setpriv --reuid 65534 --regid 65534 --clear-groups snapmgr pool $what --json >out && atf_fail "$what works"
		expect permission .error.code <out
	done
}

atf_test_case where_run_cannot_be_written_it_says_so_and_changes_nothing
where_run_cannot_be_written_it_says_so_and_changes_nothing_body()
{
	local a before

	fresh
	a=$(loop a 64M)
	before=$(sum_device "$a")
	mkdir -p /run/snapmgr
	mount -t tmpfs -o ro none /run/snapmgr
	refuses io 1 pool create p0 "$a"
	says /run/snapmgr
	[ "$(sum_device "$a")" = "$before" ] || atf_fail "the device was changed"
	umount /run/snapmgr
	ok snapmgr pool create p0 "$a"
	ok snapmgr pool deactivate p0
	before=$(sum_device "$a")
	mount -t tmpfs -o ro none /run/snapmgr
	for verb in activate check export import; do
		refuses io 1 pool $verb p0
		says /run/snapmgr
	done
	[ "$(dmsetup ls)" = "No devices found" ] || atf_fail "left: $(dmsetup ls)"
	[ "$(sum_device "$a")" = "$before" ] || atf_fail "the device was changed"
	umount /run/snapmgr
	ok snapmgr pool activate p0
}

atf_test_case without_device_mapper_it_says_so
without_device_mapper_it_says_so_body()
{
	fresh
	ok snapmgr pool create p0 "$(loop a 64M)"
	# What a kernel without it looks like: no such node, and nothing to make it of.
	mkdir -p empty
	mount --bind empty /dev/mapper
	mount --bind /dev/null /proc/devices
	for what in "pool list" "pool activate p0" "list" "pool create p1 $(disk 1)"; do
		# shellcheck disable=SC2086 # words
		snapmgr $what --json >out
		status=$?
		[ "$status $(jq -r .error.code out)" = "6 unsupported" ] || {
			umount /proc/devices /dev/mapper
			atf_fail "$what: $status $(cat out)"
		}
	done
	umount /proc/devices /dev/mapper
	ok snapmgr pool check p0
}

atf_test_case a_disk_that_cannot_be_read_makes_no_pool_of_another_name
a_disk_that_cannot_be_read_makes_no_pool_of_another_name_body()
{
	fresh
	ok snapmgr pool create p0 "$(loop a 64M)"
	dmsetup create unreadable --table '0 20480 error'
	refuses not_found 3 pool activate p1
	says "or is it on this one? cannot read"
	refuses not_found 3 show p1/v
	ok snapmgr pool check p0
	dmsetup remove unreadable
}

atf_init_test_cases()
{
	atf_add_test_case two_pools_of_one_name_are_told_apart_by_uuid
	atf_add_test_case an_import_renames_a_pool_that_a_crash_left_marked_as_ours
	atf_add_test_case long_and_hyphenated_names_serve
	atf_add_test_case without_rights_nothing_works_and_it_says_why
	atf_add_test_case where_run_cannot_be_written_it_says_so_and_changes_nothing
	atf_add_test_case without_device_mapper_it_says_so
	atf_add_test_case a_disk_that_cannot_be_read_makes_no_pool_of_another_name
}
