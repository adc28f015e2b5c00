#! /usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Reverts as the command line makes them, with udevd and LVM's rules around.

. "$(atf_get_srcdir)/../../lib.sh"

volume()
{
	fresh || atf_fail "cannot begin"
	atf_check -o ignore snapmgr pool create p "$(disk 1)" "$(disk 2)"
	atf_check -o ignore snapmgr create p/v --size 64M "$@"
}

atf_test_case a_revert_says_what_it_did_and_the_way_back
a_revert_says_what_it_did_and_the_way_back_body()
{
	volume
	atf_check -o ignore snapmgr snapshot p/v@s1
	atf_check -o match:'^p/v is now s1 \(repoint, [0-9]+ ms\); back: snapmgr undo p/v$' snapmgr revert p/v@s1
	atf_check -o match:'there is no way back' snapmgr revert p/v@s1 --no-undo
	atf_check -o match:'p/v' snapmgr undo p/v
	atf_check -o save:answer snapmgr revert p/v@latest --json
	atf_check -o inline:'true\n' jq '.strategy == "repoint" and .in_place and .undo and .elapsed_ms > 0 and
		.volume.name == "v" and .snapshot.name == "s1" and .volume.parent == .snapshot.uuid' answer
	atf_check -o save:answer snapmgr revert p/v@latest --dry-run --json
	atf_check -o inline:'true\n' jq '.dry_run and .strategy == "repoint" and .move_bytes == 0 and
		.reason != null' answer
	atf_check -o match:'would become s1' -o match:'strategy: repoint' -o match:'reason: ' -o match:'to move: 0' \
		snapmgr revert p/v@s1 --dry-run
}

atf_test_case each_refusal_has_its_code_and_exit_status
each_refusal_has_its_code_and_exit_status_body()
{
	volume
	atf_check -o ignore snapmgr snapshot p/v@s1
	atf_check -o ignore snapmgr snapshot p/v@s2
	refuses not_latest 4 revert p/v@s1 --latest-only
	refuses not_found 3 revert p/v@s3
	refuses usage 2 revert p/v
	refuses usage 2 revert p/v@s1 -o speed=high
	refuses unsupported 6 revert p/v@s1 --strategy reflink
	refuses not_found 3 undo p/v
	mkfs.ext4 -q /dev/snapmgr/p/v
	mkdir -p m && mount /dev/snapmgr/p/v m
	refuses in_use 4 revert p/v@s1
	case $refusal in *"mounted on '$PWD/m'"*) ;; *) atf_fail "$refusal" ;; esac
	atf_check -s exit:4 -e match:"^snapmgr: revert: 'p/v' is in use: mounted on '$PWD/m'" snapmgr revert p/v@s1
	umount m
	atf_check snapmgr revert p/v@s2 --latest-only --quiet --target p/v
}

atf_test_case a_mount_comes_back_by_its_link
a_mount_comes_back_by_its_link_body()
{
	volume
	mkfs.ext4 -q /dev/snapmgr/p/v
	mkdir -p m && mount -o noatime,nosuid /dev/snapmgr/p/v m
	echo one >m/f
	atf_check -o ignore snapmgr snapshot p/v@s1
	echo two >m/f
	grep " $PWD/m " /proc/mounts >before
	atf_check -o ignore snapmgr revert p/v@s1 --remount
	atf_check -o file:before grep " $PWD/m " /proc/mounts
	atf_check -o inline:'one\n' cat m/f
	atf_check -o ignore snapmgr undo p/v --remount
	atf_check -o inline:'two\n' cat m/f
	umount m
}

# A volume that holds a physical volume with one logical volume in it, which LVM's rules know nothing of yet.
lvm_inside()
{
	lvm vgcreate -q guests /dev/snapmgr/p/v && lvm lvcreate -q -an -Zn -Wn -L 8M -n root guests || return 1
	settle
	rm -rf /run/lvm/pvs_online /run/lvm/vgs_online /run/lvm/pvs_lookup
} >/dev/null 2>&1

atf_test_case what_is_inside_a_guests_disk_is_left_alone
what_is_inside_a_guests_disk_is_left_alone_body()
{
	volume --guest
	lvm_inside || atf_fail "no LVM inside"
	atf_check -o ignore snapmgr snapshot p/v@s1
	atf_check -o ignore snapmgr revert p/v@s1
	settle
	atf_check -s exit:1 -o ignore -e ignore dmsetup info guests-root
	atf_check -o ignore snapmgr deactivate p/v
	atf_check -o ignore snapmgr activate p/v
	settle
	atf_check -s exit:1 -o ignore -e ignore dmsetup info guests-root
	atf_check -s not-exit:0 -o ignore -e ignore ls /dev/disk/by-id/lvm-pv-uuid-*
	atf_check -o ignore snapmgr revert p/v@s1
}

# The other side of it, without which the test above could not fail.
atf_test_case what_is_inside_a_hosts_disk_is_activated_and_then_holds_it
what_is_inside_a_hosts_disk_is_activated_and_then_holds_it_body()
{
	volume
	lvm_inside || atf_fail "no LVM inside"
	atf_check -o ignore snapmgr snapshot p/v@s1
	atf_check -o ignore snapmgr revert p/v@s1
	settle
	atf_check -o ignore dmsetup info guests-root
	refuses in_use 4 revert p/v@s1
	case $refusal in *guests-root*) ;; *) atf_fail "$refusal" ;; esac
	lvm vgchange -q -an guests || atf_fail "vgchange"
	atf_check -o ignore snapmgr revert p/v@s1
}

atf_test_case a_killed_command_is_recovered
a_killed_command_is_recovered_body()
{
	local i

	volume
	atf_check -o ignore snapmgr snapshot p/v@s1
	for i in 0.02 0.03 0.04 0.05 0.06 0.07 0.08 0.09 0.1 0.12; do
		timeout -s KILL "$i" snapmgr revert p/v@s1 >/dev/null 2>&1
		atf_check -o ignore -e ignore snapmgr recover
		atf_check -o inline:'available\n' jq -r .state - <<END
$(snapmgr show p/v --json)
END
		atf_check -o not-match:SUSPENDED dmsetup info -c --noheadings -o name,suspended
	done
	atf_check -o ignore snapmgr pool check p
}

atf_init_test_cases()
{
	atf_add_test_case a_revert_says_what_it_did_and_the_way_back
	atf_add_test_case each_refusal_has_its_code_and_exit_status
	atf_add_test_case a_mount_comes_back_by_its_link
	atf_add_test_case what_is_inside_a_guests_disk_is_left_alone
	atf_add_test_case what_is_inside_a_hosts_disk_is_activated_and_then_holds_it
	atf_add_test_case a_killed_command_is_recovered
}
