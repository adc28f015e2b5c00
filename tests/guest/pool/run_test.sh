#!/usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# Pools extended, taken down and brought up, also after somebody was killed half way.

. "$(atf_get_srcdir)/../../lib.sh"
. "$(atf_get_srcdir)/../../pool.sh"

atf_test_case a_full_pool_is_extended_and_the_data_is_whole
a_full_pool_is_extended_and_the_data_is_whole_body()
{
	local before

	fresh
	ok snapmgr pool create p0 "$(loop a 64M)"
	snapmgr pool show p0 --json >before
	ok snapmgr create p0/v --size 100M
	seq 1 20000000 | head -c 104857600 >data
	# It runs full half way; the writer waits for room.
	dd if=data of=/dev/snapmgr/p0/v bs=1M iflag=fullblock oflag=direct status=none &
	while [ "$(snapmgr pool show p0 --json | jq -r .mode)" = rw ]; do sleep 0.2; done
	snapmgr pool show p0 --json | expect out_of_data_space .mode
	ok snapmgr pool extend p0 "$(loop b 100M)"
	wait $! || atf_fail "the writer failed"
	cmp data /dev/snapmgr/p0/v || atf_fail "the data differs"
	snapmgr pool show p0 --json >after
	expect rw .mode <after
	expect 2 '.members | length' <after
	expect true '.[0].size + 80 * 1024 * 1024 < .[1].size' <<-END
		$(jq -s . before after)
	END
	ok snapmgr pool deactivate p0
	ok snapmgr pool activate p0
	cmp data /dev/snapmgr/p0/v || atf_fail "the data differs"
	ok snapmgr pool check p0
}

atf_test_case metadata_and_catalogue_grow_with_a_pool_in_use
metadata_and_catalogue_grow_with_a_pool_in_use_body()
{
	fresh
	ok snapmgr pool create p0 "$(loop a 64M)"
	use_it p0
	mkfs.ext4 -q /dev/snapmgr/p0/v
	mkdir -p m
	mount /dev/snapmgr/p0/v m
	echo kept >m/file
	snapmgr pool show p0 --json >before
	truncate -s 40G big.img # sparse
	ok snapmgr pool extend p0 "$(losetup --show -f big.img)" "$(disk 1)"
	snapmgr pool show p0 --json >after
	jq -s . before after >both
	expect true '.[0].meta_size * 4 < .[1].meta_size' <both
	expect true '.[0].catalogue_size < .[1].catalogue_size' <both
	expect true '.[1].size > 45 * 1024 * 1024 * 1024' <both
	[ "$(cat m/file)" = kept ] || atf_fail "the file is gone"
	ok snapmgr create p0/large --size 30G
	umount m
	ok snapmgr pool deactivate p0
	ok snapmgr pool activate p0
	mount /dev/snapmgr/p0/v m
	[ "$(cat m/file)" = kept ] || atf_fail "the file is gone"
	umount m
	ok snapmgr pool check p0
}

atf_test_case an_extend_that_is_refused_changes_nothing
an_extend_that_is_refused_changes_nothing_body()
{
	local b before

	fresh
	ok snapmgr pool create p0 "$(loop a 64M)"
	snapmgr pool show p0 --json >before
	b=$(loop b 64M)
	mkfs.ext4 -q "$b"
	before=$(sum_device "$b")
	refuses foreign_device 4 pool extend p0 "$b"
	refuses usage 2 pool extend p0 "$(loop c 64M)" "$(losetup -n -O NAME -j c.img)"
	says twice
	refuses no_space 5 pool extend p0 "$(loop d 12M)"
	refuses not_found 3 pool extend p0 "$(loop e 64M)" /dev/nothing
	refuses not_found 3 pool extend nopool "$b"
	[ "$before" = "$(sum_device "$b")" ] || atf_fail "the device was changed"
	snapmgr pool show p0 --json | cmp - before || atf_fail "the pool has changed"
	ok snapmgr pool extend p0 "$b" --force
	snapmgr pool show p0 --json | expect 2 '.members | length'
}

atf_test_case a_pool_with_an_open_volume_stays_active
a_pool_with_an_open_volume_stays_active_body()
{
	fresh
	ok snapmgr pool create p0 "$(loop a 100M)"
	use_it p0
	ok snapmgr create p0/free --size 16M
	mkfs.ext4 -q /dev/snapmgr/p0/v
	ok snapmgr snapshot p0/v@s
	mkdir -p m
	mount /dev/snapmgr/p0/v m
	for verb in deactivate export; do
		refuses in_use 4 pool $verb p0
		says "p0/v" "$PWD/m"
		[ -e /dev/snapmgr/p0/free ] || atf_fail "$verb took down another volume"
		snapmgr pool show p0 --json | expect active .state
	done
	refuses in_use 4 pool destroy p0 --yes
	umount m
	# An active snapshot that is mounted holds it, too; one that is not goes with it.
	ok snapmgr activate p0/v@s
	mount -o ro,noload /dev/snapmgr/p0/v@s m
	refuses in_use 4 pool deactivate p0
	says "p0/v@s" "$PWD/m"
	umount m
	ok snapmgr pool deactivate p0
	[ "$(dmsetup ls)" = "No devices found" ] || atf_fail "left: $(dmsetup ls)"
	[ ! -e /dev/snapmgr/p0 ] || atf_fail "left: $(ls -R /dev/snapmgr)"
	ok snapmgr pool deactivate p0 # once more is fine
	ok snapmgr pool activate p0
	ok snapmgr pool activate p0
	[ -b /dev/snapmgr/p0/v ] || atf_fail "the volume is not there"
	[ ! -e /dev/snapmgr/p0/v@s ] || atf_fail "the snapshot is there"
}

atf_test_case an_exported_pool_is_only_taken_back_by_an_import
an_exported_pool_is_only_taken_back_by_an_import_body()
{
	fresh
	ok snapmgr pool create p0 "$(loop a 64M)"
	use_it p0
	ok snapmgr pool export p0
	snapmgr pool show p0 --json | expect exported .state
	refuses bad_state 4 pool activate p0
	says "snapmgr pool import p0"
	refuses bad_state 4 create p0/w --size 1M
	says "snapmgr pool import p0"
	ok snapmgr pool check p0
	ok snapmgr pool import p0 --no-activate
	snapmgr pool show p0 --json | expect inactive .state
	ok snapmgr pool export p0
	ok snapmgr pool import p0 --as p1
	used_it p1
	refuses not_found 3 pool show p0
	refuses in_use 4 pool import p1
	ok snapmgr pool check p1
}

atf_test_case destroy_frees_the_devices
destroy_frees_the_devices_body()
{
	local a b

	fresh
	a=$(loop a 64M) b=$(loop b 64M)
	ok snapmgr pool create p0 "$a" "$b"
	use_it p0
	ok snapmgr snapshot p0/v@s
	refuses usage 2 pool destroy p0 # not on a terminal: --yes
	ok snapmgr pool destroy p0 --dry-run
	snapmgr pool show p0 --json | expect active .state
	ok snapmgr hold p0/v@s
	refuses held 4 pool destroy p0 --yes
	says "v@s"
	ok snapmgr release p0/v@s
	ok snapmgr pool destroy p0 --yes
	[ "$(dmsetup ls)" = "No devices found" ] || atf_fail "left: $(dmsetup ls)"
	snapmgr pool list --json | expect 0 '.pools | length'
	refuses not_found 3 pool destroy p0 --yes
	ok snapmgr pool create p1 "$b" "$a"
	# Of an inactive pool with a member missing: what is here is freed.
	ok snapmgr pool deactivate p1
	losetup -d "$b"
	refuses not_found 3 pool activate p1
	refuses not_found 3 pool destroy p1 --yes # nobody can look for held snapshots
	says "held" "--force"
	ok snapmgr pool destroy p1 --yes --force
	ok snapmgr pool create p2 "$a"
}

atf_test_case a_copy_of_a_running_disk_counts_for_nothing
a_copy_of_a_running_disk_counts_for_nothing_body()
{
	local a b

	fresh
	a=$(loop a 64M) b=$(loop b 64M)
	ok snapmgr pool create p0 "$a"
	ok snapmgr pool create other "$b"
	use_it p0
	cp a.img copy.img
	losetup -f copy.img
	snapmgr pool show p0 --json | expect "$a" '[.members[].device] | join(" ")'
	snapmgr pool list --json | expect 2 '.pools | length'
	ok snapmgr pool check p0
	ok snapmgr pool deactivate p0
	# Now it cannot be told which is the true one. Other pools do not care.
	refuses exists 4 pool activate p0
	says "'$a'" "both member"
	refuses exists 4 pool destroy p0 --yes
	refuses exists 4 pool check p0 --repair
	ok snapmgr pool deactivate other
	ok snapmgr pool activate other
	ok snapmgr pool create third "$(loop c 64M)"
	losetup -d "$(losetup -n -O NAME -j copy.img)"
	ok snapmgr pool activate p0
	used_it p0
}

atf_test_case a_disk_that_vanishes_is_named_and_the_pool_comes_down
a_disk_that_vanishes_is_named_and_the_pool_comes_down_body()
{
	local a

	fresh
	modprobe scsi_debug dev_size_mb=64 && modprobe sd_mod || atf_fail "no scsi_debug"
	settle
	a=/dev/$(basename "$(echo /sys/bus/pseudo/drivers/scsi_debug/adapter*/host*/target*/*/block/*)")
	ok snapmgr pool create p0 "$a" "$(loop b 64M)" --force
	ok snapmgr create p0/v --size 2M
	sync
	echo 1 >"/sys/block/${a#/dev/}/device/delete"
	settle
	# What the catalogue says is in the kernel's cache, so it is told; and what is wrong.
	ok snapmgr pool show p0
	grep -q 'warning: member .* is missing' ok.out || atf_fail "it tells of nothing: $(cat ok.out)"
	ok snapmgr pool list --json
	expect true '.pools[0].members[0].missing' <ok.out
	refuses not_found 3 pool extend p0 "$(loop c 64M)"
	says "member 1 of 2" missing
	refuses kernel 1 create p0/w --size 1M
	says "did not reach its disks" snapmgr-p0-_meta
	warns "stays marked as active.*member 1 of 2" snapmgr pool deactivate p0
	[ "$(dmsetup ls)" = "No devices found" ] || atf_fail "left: $(dmsetup ls)"
	refuses not_found 3 pool activate p0
	says "member 1 of 2" missing
	# It is plugged in again.
	echo 1 >/sys/bus/pseudo/drivers/scsi_debug/add_host
	until snapmgr pool show p0 --json | jq -e '.state == "inactive"' >/dev/null; do sleep 0.1; done
	ok snapmgr pool activate p0
	ok snapmgr pool check p0
	ok snapmgr pool destroy p0 --yes
	for a in /sys/block/sd*; do
		echo 1 >"$a/device/delete"
	done
	rmmod scsi_debug
}

# killed DELAY ARG... - snapmgr ARG... in the background, killed after that many seconds
killed()
{
	local delay="$1"

	shift
	snapmgr "$@" >/dev/null 2>&1 &
	sleep "$delay"
	kill -KILL $! 2>/dev/null
	wait $! || :
}

atf_test_case what_was_killed_half_way_is_done_by_the_next
what_was_killed_half_way_is_done_by_the_next_body()
{
	local a b delay

	fresh
	a=$(loop a 64M) b=$(loop b 64M)
	for delay in 0.05 0.1 0.17; do
		killed $delay pool create p0 "$a" "$b"
		snapmgr pool list --json >pools
		case $(jq -r '[.pools[].state] | join(" ")' pools) in
		active | inactive) ok snapmgr pool activate p0 ;;
		'') ok snapmgr pool create p0 "$a" "$b" ;;
		*) atf_fail "create killed after $delay s: $(cat pools)" ;;
		esac
		use_it p0
		killed $delay pool deactivate p0
		snapmgr pool show p0 --json | expect true '.state == "active" or .state == "inactive"'
		ok snapmgr pool deactivate p0
		[ "$(dmsetup ls)" = "No devices found" ] || atf_fail "left: $(dmsetup ls)"
		killed $delay pool activate p0
		snapmgr pool show p0 --json | expect true '.state == "active" or .state == "inactive"'
		ok snapmgr pool activate p0
		used_it p0
		ok snapmgr pool check p0
		ok snapmgr pool destroy p0 --yes
	done
}

atf_test_case an_extend_that_was_killed_is_finished_or_never_was
an_extend_that_was_killed_is_finished_or_never_was_body()
{
	local a b delay n

	fresh
	a=$(loop a 64M) b=$(loop b 64M)
	for delay in 0.06 0.12; do
		ok snapmgr pool create p0 "$a"
		use_it p0
		killed $delay pool extend p0 "$b"
		n=$(snapmgr pool show p0 --json | json '.members | length')
		if [ "$n" = 2 ]; then
			ok snapmgr pool activate p0
		else
			ok snapmgr pool extend p0 "$b"
		fi
		snapmgr pool show p0 --json | expect true ".size > 80 * 1024 * 1024"
		used_it p0
		ok snapmgr pool check p0
		ok snapmgr pool destroy p0 --yes
	done
}

atf_test_case a_superblock_that_an_extend_left_behind_follows_the_first
a_superblock_that_an_extend_left_behind_follows_the_first_body()
{
	local a b c

	fresh
	a=$(loop a 64M) b=$(loop b 64M) c=$(loop c 64M)
	ok snapmgr pool create p0 "$a" "$b"
	dd if="$b" of=before bs=1M count=1 status=none
	ok snapmgr pool extend p0 "$c"
	# As if the extend had been killed before it came to this member.
	dd if=before of="$b" bs=1M count=1 conv=notrunc status=none
	refuses damaged 1 pool check p0
	ok snapmgr pool activate p0
	ok snapmgr pool check p0
	ok snapmgr pool destroy p0 --yes
}

atf_init_test_cases()
{
	atf_add_test_case a_full_pool_is_extended_and_the_data_is_whole
	atf_add_test_case metadata_and_catalogue_grow_with_a_pool_in_use
	atf_add_test_case an_extend_that_is_refused_changes_nothing
	atf_add_test_case a_pool_with_an_open_volume_stays_active
	atf_add_test_case an_exported_pool_is_only_taken_back_by_an_import
	atf_add_test_case destroy_frees_the_devices
	atf_add_test_case a_copy_of_a_running_disk_counts_for_nothing
	atf_add_test_case a_disk_that_vanishes_is_named_and_the_pool_comes_down
	atf_add_test_case what_was_killed_half_way_is_done_by_the_next
	atf_add_test_case a_superblock_that_an_extend_left_behind_follows_the_first
	atf_add_test_case an_extend_that_was_killed_is_finished_or_never_was
}
