#!/usr/bin/env atf-sh
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
#
# Pools made: of every kind of block device, and refused where somebody else has it.

. "$(atf_get_srcdir)/../../lib.sh"
. "$(atf_get_srcdir)/../../pool.sh"

atf_test_case a_pool_on_two_disks_is_shown_as_it_was_made
a_pool_on_two_disks_is_shown_as_it_was_made_body()
{
	fresh
	ok snapmgr pool create p0 "$(disk 1)" "$(disk 2)"
	snapmgr pool list --json >list.json || atf_fail "list"
	expect p0 '.pools[0].name' <list.json
	expect active '.pools[0].state' <list.json
	expect rw '.pools[0].mode' <list.json
	expect thin '.pools[0].driver' <list.json
	expect 65536 '.pools[0].chunk_size' <list.json
	expect 512 '.pools[0].block_size' <list.json
	expect 0 '.pools[0].volumes' <list.json
	expect "$(disk 1) $(disk 2)" '[.pools[0].members[].device] | join(" ")' <list.json
	expect true '.pools[0].size > 12 * 1024 * 1024 * 1024 - 200 * 1024 * 1024' <list.json
	snapmgr pool show p0 --json | expect "$(jq -r '.pools[0].uuid' list.json)" .uuid
	# Somebody has it open all the time, so that no command has to read it anew.
	[ "$(dmsetup info -c --noheadings -o open snapmgr-p0-_cat)" = 1 ] ||
		atf_fail "the catalogue is not held: $(dmsetup info snapmgr-p0-_cat)"
	# The header and the last MiB of each hold nothing but our superblocks.
	for d in "$(disk 1)" "$(disk 2)"; do
		[ "$(tail -c 1048576 "$d" | tr -d '\0' | wc -c)" = 0 ] || atf_fail "the tail of $d is not zero"
	done
	ok snapmgr pool check p0
}

atf_test_case any_block_device_serves
any_block_device_serves_body()
{
	local part lv md

	fresh
	part=$(loop part 100M)
	echo '2048,,L' | sfdisk -q --no-reread "$part"
	[ -e "${part}p1" ] || partx -a "$part"
	settle
	vgcreate -qq -y vg "$(disk 3)" && lvcreate -qq -y -Wn -Zn -L 100M -n lv vg 2>/dev/null || atf_fail "no LV"
	lv=/dev/vg/lv
	settle
	md=/dev/md5
	yes | mdadm --quiet --create $md --level=1 --raid-devices=2 "$(loop m1 100M)" "$(loop m2 100M)" \
		2>/dev/null || atf_fail "mdadm"
	settle
	ok snapmgr pool create p0 "${part}p1" $lv $md "$(loop plain 100M)"
	snapmgr pool show p0 --json | expect 4 '.members | length'
	use_it p0
	ok snapmgr pool deactivate p0
	# A scan sees the array and the LV, not what they are made of.
	snapmgr pool show p0 --json | expect 0 '[.members[] | select(.missing)] | length'
	ok snapmgr pool activate p0
	used_it p0
	ok snapmgr pool check p0
	ok snapmgr pool destroy p0 --yes
	ok vgremove -qq -y vg
}

atf_test_case blocks_of_4096_bytes_serve_and_mix_at_creation
blocks_of_4096_bytes_serve_and_mix_at_creation_body()
{
	local big small

	fresh
	big=$(loop big 100M --sector-size 4096)
	small=$(loop small 100M)
	ok snapmgr pool create p0 "$big"
	snapmgr pool show p0 --json | expect 4096 .block_size
	use_it p0
	expect 4096 . <"/sys/block/$(basename "$(readlink -f /dev/snapmgr/p0/v)")/queue/logical_block_size"
	ok snapmgr pool destroy p0 --yes
	ok snapmgr pool create p0 "$small" "$big"
	snapmgr pool show p0 --json | expect 4096 .block_size
	use_it p0
	ok snapmgr pool deactivate p0
	ok snapmgr pool activate p0
	used_it p0
}

atf_test_case larger_blocks_are_refused_later
larger_blocks_are_refused_later_body()
{
	local big before

	fresh
	big=$(loop big 44M --sector-size 4096)
	before=$(sum_device "$big")
	ok snapmgr pool create p0 "$(loop small 100M)"
	refuses unsupported 6 pool extend p0 "$big"
	says "'$big'" "4096 bytes"
	[ "$(sum_device "$big")" = "$before" ] || atf_fail "the device was changed"
	snapmgr pool show p0 --json | expect 1 '.members | length'
}

# below NAME - the devices that a dm device lies on
below()
{
	ls "/sys/class/block/$(basename "$(readlink -f "/dev/mapper/$1")")/slaves"
}

atf_test_case metadata_and_catalogue_lie_on_the_meta_device
metadata_and_catalogue_lie_on_the_meta_device_body()
{
	local meta data

	fresh
	meta=$(loop meta 64M)
	data=$(loop data 100M)
	ok snapmgr pool create p0 "$data" --meta "$meta" --chunk 1M
	snapmgr pool show p0 --json >show.json
	expect 1048576 .chunk_size <show.json
	expect "$meta" '.members[] | select(.meta_only) | .device' <show.json
	expect $((98 * 1048576)) .size <show.json
	for part in cat meta; do
		[ "$(below snapmgr-p0-_$part)" = "${meta#/dev/}" ] || atf_fail "$part is elsewhere"
	done
	use_it p0
	# What an extend adds of it goes there, too, as long as there is room.
	ok snapmgr pool extend p0 "$(disk 1)"
	[ "$(below snapmgr-p0-_meta)" = "${meta#/dev/}" ] ||
		atf_fail "the metadata went to the data's disk"
	used_it p0
	ok snapmgr pool deactivate p0
	ok snapmgr pool activate p0
	used_it p0
	ok snapmgr pool check p0
}

atf_test_case chunks_are_multiples_of_64k_up_to_1g
chunks_are_multiples_of_64k_up_to_1g_body()
{
	fresh
	for bad in 32K 65K 2G; do
		refuses usage 2 pool create p0 "$(disk 1)" --chunk $bad
	done
	for good in 192K 1G; do
		ok snapmgr pool create p0 "$(disk 1)" --chunk $good
		use_it p0
		ok snapmgr pool destroy p0 --yes
	done
}

atf_test_case a_known_signature_is_refused_and_forced_over
a_known_signature_is_refused_and_forced_over_body()
{
	local d before

	fresh
	d=$(loop d 48M)
	for kind in ext4 gpt pv; do
		case $kind in
		ext4) mkfs.ext4 -q "$d" ;;
		gpt) printf 'label: gpt\n,20M\n' | sfdisk -q "$d" ;;
		pv) pvcreate -qq -y "$d" ;;
		esac || atf_fail "cannot make $kind"
		settle
		before=$(sum_device "$d")
		refuses foreign_device 4 pool create p0 "$d"
		says "'$d'" --force
		[ "$(sum_device "$d")" = "$before" ] || atf_fail "$kind: the device was changed"
		ok snapmgr pool create p0 "$d" --force
		settle
		[ -z "$(blkid -p "$d")" ] || atf_fail "$kind: still there: $(blkid -p "$d")"
		[ ! -e "/sys/class/block/${d#/dev/}p1" ] || atf_fail "the old partition is still there"
		ok snapmgr pool destroy p0 --yes
		[ -z "$(blkid -p "$d")" ] || atf_fail "$kind came back: $(blkid -p "$d")"
	done
}

# in_use DEVICE TEXT - refused even if forced; nothing is written; the message has TEXT in it
in_use()
{
	local before
	before=$(sum_device "$1")
	refuses in_use 4 pool create p0 "$1" --force
	says "'$1'" "$2"
	[ "$(sum_device "$1")" = "$before" ] || atf_fail "$1 was changed"
}

atf_test_case a_device_in_use_is_refused_also_with_force
a_device_in_use_is_refused_also_with_force_body()
{
	local d f

	fresh
	d=$(loop d 44M)
	mkfs.ext4 -q "$d"
	mkdir -p m
	mount "$d" m
	sync
	in_use "$d" "mounted on '$PWD/m'"
	umount m
	mkswap "$d" >/dev/null
	swapon "$d"
	in_use "$d" swap
	swapoff "$d"
	dmsetup create held --table "0 2048 linear $d 0"
	in_use "$d" "'dm-"
	dmsetup remove held
	f=$(losetup -f)
	losetup "$f" "$d"
	in_use "$d" "$f"
	losetup -d "$f"
	perl -e 'use Fcntl; sysopen(F, shift, O_RDONLY | O_EXCL) or die; open(R, ">held"); close R; sleep 60' "$d" &
	while [ ! -e held ]; do sleep 0.05; done
	in_use "$d" "process $!"
	kill $!
	wait
	# A partition in use is its disk in use.
	printf 'label: dos\n2048,40000\n' | sfdisk -q "$d"
	[ -e "${d}p1" ] || partx -a "$d"
	settle
	mkfs.ext4 -q "${d}p1"
	mount "${d}p1" m
	sync
	in_use "$d" "$PWD/m"
	umount m
}

atf_test_case unusable_devices_are_refused
unusable_devices_are_refused_body()
{
	local d before

	fresh
	d=$(loop d 64M)
	before=$(sum_device "$d")
	refuses not_found 3 pool create p0 /dev/nothing
	says "'/dev/nothing'"
	touch file
	refuses usage 2 pool create p0 "$PWD/file"
	says "not a block device"
	refuses usage 2 pool create p0 /dev/null
	refuses no_space 5 pool create p0 "$(loop tiny 4M)"
	says "too small"
	refuses no_space 5 pool create p0 "$(loop little 30M)"
	refuses usage 2 pool create p0 "$d" "$d"
	says twice
	ln -s "$d" link
	refuses usage 2 pool create p0 "$d" "$PWD/link"
	says twice
	mknod node b "0x$(stat -c %t "$d")" "0x$(stat -c %T "$d")"
	refuses usage 2 pool create p0 "$PWD/node" "$d"
	says twice
	refuses usage 2 pool create p0 "$d" --meta "$d"
	# A good one beside a bad one stays as it is.
	refuses not_found 3 pool create p0 "$d" /dev/nothing
	[ "$(sum_device "$d")" = "$before" ] || atf_fail "the device was changed"
	blockdev --setro "$d"
	refuses permission 1 pool create p0 "$d"
	says "'$d'"
	blockdev --setrw "$d"
	[ "$(sum_device "$d")" = "$before" ] || atf_fail "the device was changed"
	! dmsetup ls | grep -q snapmgr || atf_fail "devices are left"
}

atf_test_case a_member_of_a_pool_is_refused_also_with_force
a_member_of_a_pool_is_refused_also_with_force_body()
{
	local a b uuid

	fresh
	a=$(loop a 64M) b=$(loop b 64M)
	ok snapmgr pool create p0 "$a" "$b"
	uuid=$(snapmgr pool show p0 --json | json .uuid)
	refuses in_use 4 pool create p1 "$a" --force
	refuses in_use 4 pool extend p0 "$b"
	ok snapmgr pool deactivate p0
	refuses foreign_device 4 pool create p1 "$b" --force
	says "'$b'" "'p0'" "snapmgr pool destroy $uuid"
	refuses exists 4 pool create p0 "$(loop c 64M)"
	says "'p0'"
	# What the message advises.
	ok snapmgr pool destroy "$uuid" --yes
	ok snapmgr pool create p1 "$a"
	ok snapmgr pool extend p1 "$b"
}

atf_test_case a_create_that_fails_leaves_the_devices_unformatted
a_create_that_fails_leaves_the_devices_unformatted_body()
{
	local a b

	fresh
	a=$(loop a 64M) b=$(loop b 64M)
	# Somebody has a device of the name that the pool's data would get.
	dmsetup create snapmgr-p0-_data --table "0 8 zero"
	refuses exists 4 pool create p0 "$a" "$b"
	says snapmgr-p0-_data
	[ "$(dmsetup ls | wc -l)" = 1 ] || atf_fail "left: $(dmsetup ls)"
	dmsetup table snapmgr-p0-_data | grep -q "^0 8 zero" || atf_fail "it is somebody else's"
	snapmgr pool list --json | expect 0 '.pools | length'
	dmsetup remove snapmgr-p0-_data
	ok snapmgr pool create p0 "$a" "$b"
}

atf_test_case two_creates_at_once_make_one_pool
two_creates_at_once_make_one_pool_body()
{
	local a n=0

	fresh
	a=$(loop a 64M)
	snapmgr pool create p0 "$a" >/dev/null 2>err1 &
	snapmgr pool create p1 "$a" >/dev/null 2>err2 || n=$((n + 1))
	wait $! || n=$((n + 1))
	[ $n = 1 ] || atf_fail "$n of 2 failed: $(cat err1 err2)"
	grep -q "in use\|is a member of pool" err1 err2 || atf_fail "$(cat err1 err2)"
	snapmgr pool list --json | expect 1 '.pools | length'
	snapmgr pool list --json | expect active '.pools[0].state'
}

atf_init_test_cases()
{
	atf_add_test_case a_pool_on_two_disks_is_shown_as_it_was_made
	atf_add_test_case any_block_device_serves
	atf_add_test_case blocks_of_4096_bytes_serve_and_mix_at_creation
	atf_add_test_case larger_blocks_are_refused_later
	atf_add_test_case metadata_and_catalogue_lie_on_the_meta_device
	atf_add_test_case chunks_are_multiples_of_64k_up_to_1g
	atf_add_test_case a_known_signature_is_refused_and_forced_over
	atf_add_test_case a_device_in_use_is_refused_also_with_force
	atf_add_test_case unusable_devices_are_refused
	atf_add_test_case a_member_of_a_pool_is_refused_also_with_force
	atf_add_test_case a_create_that_fails_leaves_the_devices_unformatted
	atf_add_test_case two_creates_at_once_make_one_pool
}
