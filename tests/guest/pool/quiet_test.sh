#!/usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# The host leaves a pool's own devices, and its members, alone: udevd, blkid, mount and LVM, all real.

. "$(atf_get_srcdir)/../../lib.sh"
. "$(atf_get_srcdir)/../../pool.sh"

internal='cat meta data pool zero'

# lvm_home - a private configuration without any filter, and what was found so far forgotten
lvm_home()
{
	mkdir -p lvm
	printf 'devices {\n use_devicesfile=0\n scan=["/dev"]\n %s\n}\nactivation { monitoring=0 }\n' \
		"$*" >lvm/lvm.conf
	export LVM_SYSTEM_DIR="$PWD/lvm"
	rm -rf /run/lvm
}

# node NAME - the kernel's name of a dm device
node()
{
	basename "$(readlink -f "/dev/mapper/$1")"
}

atf_test_case nothing_is_found_on_internal_devices_and_members
nothing_is_found_on_internal_devices_and_members_body()
{
	local uuid a b part

	fresh
	a=$(loop a 100M) b=$(loop b 100M)
	ok snapmgr pool create p0 "$a" "$b"
	# The first thing written to the pool is the image of a filesystem.
	ok snapmgr create p0/v --size 32M
	truncate -s 32M image
	mkfs.ext4 -q image
	dd if=image of=/dev/snapmgr/p0/v bs=64K conv=fsync status=none
	uuid=$(blkid -p -o value -s UUID /dev/snapmgr/p0/v)
	settle
	for part in $internal; do
		[ -z "$(blkid -p "/dev/mapper/snapmgr-p0-_$part")" ] ||
			atf_fail "$part: $(blkid -p "/dev/mapper/snapmgr-p0-_$part")"
	done
	for d in "$a" "$b"; do
		[ -z "$(blkid -p "$d")" ] || atf_fail "$d: $(blkid -p "$d")"
	done
	[ "$(readlink -f "/dev/disk/by-uuid/$uuid")" = "/dev/$(node snapmgr-p0-v)" ] ||
		atf_fail "by-uuid: $(ls -l /dev/disk/by-uuid)"
	[ "$(blkid -c /dev/null -t UUID="$uuid" -o device)" = /dev/mapper/snapmgr-p0-v ] ||
		atf_fail "blkid: $(blkid -c /dev/null -t UUID="$uuid" -o device)"
	# Without the volume, nobody has that filesystem: neither after a coldplug nor a scan by mount.
	ok snapmgr deactivate p0/v
	udevadm trigger --action=add --subsystem-match=block
	udevadm trigger --action=change --subsystem-match=block
	settle
	mkdir -p m
	if mount "UUID=$uuid" m 2>err; then
		atf_fail "mounted: $(grep "$PWD/m" /proc/mounts)"
	fi
	[ -z "$(blkid -c /dev/null -t UUID="$uuid" -o device)" ] || atf_fail "blkid found it"
	[ ! -e "/dev/disk/by-uuid/$uuid" ] || atf_fail "by-uuid has it"
	for part in $internal; do
		udevadm info "/dev/mapper/snapmgr-p0-_$part" >known
		if grep -E 'ID_FS_|ID_PART_|/disk/' known; then
			atf_fail "$part was looked into: $(cat known)"
		fi
	done
	ok snapmgr activate p0/v
	mount "UUID=$uuid" m || atf_fail "cannot mount it"
	grep -q "^/dev/mapper/snapmgr-p0-v $PWD/m " /proc/mounts || atf_fail "mounted: $(cat /proc/mounts)"
	umount m
}

atf_test_case lvm_meets_a_physical_volume_once_and_never_in_a_guest
lvm_meets_a_physical_volume_once_and_never_in_a_guest_body()
{
	fresh
	lvm_home
	ok snapmgr pool create p0 "$(loop a 100M)" "$(loop b 100M)"
	ok snapmgr create p0/v --size 32M
	vgcreate -qq -y inner /dev/snapmgr/p0/v 2>err && lvcreate -qq -y -Wn -Zn -an -l 100%FREE -n lv inner 2>err ||
		atf_fail "no LV: $(cat err)"
	settle
	# Once: not by way of a member, nor of the pool's data.
	pvs --noheadings -o pv_name 2>err | tr -d ' ' >found
	[ "$(cat found)" = /dev/snapmgr/p0/v ] || atf_fail "pvs: $(cat found err)"
	if grep -i duplicate err; then
		atf_fail "$(cat err)"
	fi
	# The host's own autoactivation hears of it where it is an ordinary disk ...
	udevadm info /dev/mapper/snapmgr-p0-v | grep -q 'ID_FS_TYPE=LVM2_member' || atf_fail "udev does not know it"
	ok snapmgr deactivate p0/v
	rm -rf /run/lvm
	ok snapmgr activate p0/v
	settle
	[ -n "$(ls /run/lvm/pvs_online 2>/dev/null)" ] || atf_fail "this host does not autoactivate: no proof"
	# ... and not where it is a guest's, also not by a coldplug or a revert.
	vgchange -qq -an inner
	settle
	ok snapmgr snapshot p0/v@s
	ok snapmgr deactivate p0/v
	ok snapmgr set p0/v guest=on
	rm -rf /run/lvm
	ok snapmgr activate p0/v
	settle
	udevadm trigger --action=add --subsystem-match=block
	settle
	ok snapmgr revert p0/v@s
	ok snapmgr activate p0/v@s
	settle
	[ -z "$(ls /run/lvm/pvs_online 2>/dev/null)" ] || atf_fail "autoactivated: $(ls /run/lvm/pvs_online)"
	[ ! -e /dev/inner ] || atf_fail "the inner LV is active"
}

atf_test_case the_filter_that_is_shipped_hides_internal_devices_only
the_filter_that_is_shipped_hides_internal_devices_only_body()
{
	local part

	fresh
	ok snapmgr pool create p0 "$(loop a 100M)"
	ok snapmgr create p0/v --size 32M
	lvm_home
	lvmdiskscan >all 2>&1
	lvm_home "$(sed -n 's/^	\(global_filter.*\)/\1/p' "$(filter)")"
	lvmdiskscan >filtered 2>&1
	for part in cat meta data pool; do # the last one is too small for LVM
		grep -q "/snapmgr-p0-_$part " all || atf_fail "this LVM never sees $part, no proof: $(cat all)"
		if grep "/snapmgr-p0-_$part " filtered; then
			atf_fail "$part is seen"
		fi
	done
	grep -q "/dev/snapmgr/p0/v " filtered || atf_fail "the volume is hidden: $(cat filtered)"
}

# filter - the snippet, in the sources
filter()
{
	echo "$(atf_get_srcdir)/../../../../dm/udev/lvm-snapmgr.conf"
}

atf_init_test_cases()
{
	atf_add_test_case nothing_is_found_on_internal_devices_and_members
	atf_add_test_case lvm_meets_a_physical_volume_once_and_never_in_a_guest
	atf_add_test_case the_filter_that_is_shipped_hides_internal_devices_only
}
