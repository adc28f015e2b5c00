#! /usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What all other guest tests stand on: the guest itself and tests/lib.sh.

. "$(atf_get_srcdir)/../../lib.sh"

atf_test_case fresh_takes_everything_down
fresh_takes_everything_down_head()
{
	atf_set descr "mounts, swap, loop and stacked dm devices go, and the ends of the disks are zero"
}
fresh_takes_everything_down_body()
{
	one=$(disk 1)
	dmsetup create lower --table "0 2097152 linear $one 0" || atf_fail "lower"
	dmsetup create upper --table "0 1048576 linear /dev/mapper/lower 0" || atf_fail "upper"
	mkfs.ext4 -q /dev/mapper/upper || atf_fail "mkfs"
	mkdir mnt
	mount /dev/mapper/upper mnt || atf_fail "mount"
	truncate -s 16M mnt/image
	losetup -f mnt/image || atf_fail "losetup"
	mkswap -q "$(disk 2)" && swapon "$(disk 2)" || atf_fail "swap"
	dmsetup create hung --table "0 8 linear $(disk 3) 0" && dmsetup suspend hung || atf_fail "hung"

	fresh || atf_fail "fresh failed"
	atf_check_equal '' "$(dmsetup ls | grep -v 'No devices')"
	atf_check_equal '' "$(losetup -a)"
	atf_check -s exit:1 -o empty grep '^/dev/' /proc/mounts
	atf_check cmp -n 2097152 "$one" /dev/zero
	atf_check -s exit:2 -o empty blkid -p "$one" "$(disk 2)"
}

atf_test_case udevd_makes_links
udevd_makes_links_body()
{
	fresh
	atf_check mkfs.ext4 -q -U 01234567-89ab-cdef-0123-456789abcdef "$(disk 1)"
	settle
	atf_check test -e /dev/disk/by-uuid/01234567-89ab-cdef-0123-456789abcdef
}

atf_init_test_cases()
{
	atf_add_test_case fresh_takes_everything_down
	atf_add_test_case udevd_makes_links
}
